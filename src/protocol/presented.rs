//! What a caller presented with a call, read from its ARGV by the documented positions.

use crate::types::{ExecutionId, Function};

/// The parts of a call's arguments that the properties ask about, as they were sent. Empty where the function takes none,
/// or the caller left it out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presented {
    /// The execution that the call is about, where the first argument is an execution's id.
    pub execution: Option<ExecutionId>,
    /// The worker, in calls that issue or take a grant.
    pub worker: String,
    /// The worker's process.
    pub instance: String,
    /// The lane that the caller passed.
    pub lane: String,
    /// The lease under which the caller acts.
    pub lease_id: String,
    /// Its epoch.
    pub epoch: String,
    /// Its attempt.
    pub attempt_id: String,
    /// `operator_override`, `lease_holder` …, in calls that say by what right they are made.
    pub source: String,
    /// `delay_until`, in calls that delay.
    pub delay_until: String,
}

/// Where a function's ARGV holds what; 0 is the first. `None`: it takes none.
#[derive(Clone, Copy, Default)]
pub(super) struct Positions {
    worker: Option<usize>,
    pub(super) lane: Option<usize>,
    pub(super) lease: Option<usize>,
    pub(super) epoch: Option<usize>,
    pub(super) attempt: Option<usize>,
    source: Option<usize>,
    delay_until: Option<usize>,
}

impl Presented {
    /// Reads the arguments of a call.
    pub fn of(function: &Function, argv: &[&[u8]]) -> Self {
        let at = Positions::of(function);
        let text = |index: Option<usize>| {
            let arg = index.and_then(|i| argv.get(i)).copied().unwrap_or_default();
            String::from_utf8_lossy(arg).into_owned()
        };
        let id = argv.first().and_then(|id| std::str::from_utf8(id).ok());
        Self {
            execution: id.and_then(|id| ExecutionId::parse(id).ok()),
            worker: text(at.worker),
            instance: text(at.worker.map(|i| i + 1)),
            lane: text(at.lane),
            lease_id: text(at.lease),
            epoch: text(at.epoch),
            attempt_id: text(at.attempt),
            source: text(at.source),
            delay_until: text(at.delay_until),
        }
    }

    /// Whether the caller acts under a lease. An operator's override does not, whatever else it names.
    pub fn is_fenced(&self) -> bool {
        !self.lease_id.is_empty() && self.source != "operator_override"
    }
}

impl Positions {
    /// From the ARGV comments of the published library, version 34.
    pub(super) fn of(function: &Function) -> Self {
        let none = Self::default();
        let grant = Self { worker: Some(1), lane: Some(3), ..none };
        let fence = |lease, epoch, attempt| Self { lease: Some(lease), epoch: Some(epoch), attempt, ..none };
        let ending = |source| Self { source: Some(source), ..fence(1, 2, Some(3)) };
        match function {
            Function::IssueClaimGrant
            | Function::IssueReclaimGrant
            | Function::IssueGrantAndClaim
            | Function::ClaimExecution
            | Function::AcquireLease
            | Function::ClaimResumedExecution
            | Function::ReclaimExecution => grant,
            Function::CreateExecution => Self { lane: Some(2), delay_until: Some(8), ..none },
            Function::RenewLease | Function::SuspendExecution => fence(3, 4, Some(2)),
            Function::CompleteExecution | Function::DelayExecution => {
                let delay_until = (*function == Function::DelayExecution).then_some(4);
                Self { delay_until, ..ending(5) }
            }
            Function::MoveToWaitingChildren => ending(4),
            Function::FailExecution => ending(7),
            Function::CancelExecution => Self { source: Some(2), ..fence(3, 4, None) },
            Function::UpdateProgress => fence(1, 2, None),
            Function::AppendFrame => fence(2, 3, Some(11)),
            _ => none,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_presents_its_fence_and_a_claim_its_lane() {
        let renew = Presented::of(&Function::RenewLease, &[b"e", b"0", b"att", b"lease", b"7", b"1", b"1"]);
        assert_eq!((&*renew.lease_id, &*renew.epoch, &*renew.attempt_id), ("lease", "7", "att"));
        let claim = Presented::of(&Function::ClaimExecution, &[b"e", b"w", b"w-1", b"gold"]);
        assert_eq!((&*claim.worker, &*claim.instance, &*claim.lane), ("w", "w-1", "gold"));
        assert!(renew.is_fenced() && !claim.is_fenced());
    }

    #[test]
    fn an_operators_override_is_not_fenced() {
        let argv: [&[u8]; 5] = [b"e", b"why", b"operator_override", b"lease", b"7"];
        assert!(!Presented::of(&Function::CancelExecution, &argv).is_fenced());
    }

    /// The fence and the source stand where the typed calls put them.
    #[test]
    fn the_positions_are_those_of_the_typed_calls() {
        use crate::protocol::{self, Call};
        let owned = protocol::Owned {
            execution_id: ExecutionId::parse("{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8").unwrap(),
            lane_id: crate::types::LaneId::new("gold"),
            worker_instance_id: crate::types::WorkerInstanceId::new("w-1"),
            attempt_index: crate::types::AttemptIndex(0),
            fence: Some(crate::types::LeaseFence {
                lease_id: crate::types::LeaseId::from_uuid(uuid::Uuid::from_u128(1)),
                lease_epoch: crate::types::LeaseEpoch(7),
                attempt_id: crate::types::AttemptId::from_uuid(uuid::Uuid::from_u128(2)),
            }),
            source: ff_core::types::CancelSource::LeaseHolder,
        };
        fn presented(call: &impl Call) -> Presented {
            let argv = call.argv();
            Presented::of(&call.function(), &argv.iter().map(Vec::as_slice).collect::<Vec<_>>())
        }
        let complete = protocol::CompleteExecution { owned: owned.clone(), result: b"done".to_vec() };
        let delay =
            protocol::DelayExecution { owned: owned.clone(), delay_until: crate::types::TimestampMs(9) };
        let children = protocol::MoveToWaitingChildren { owned: owned.clone() };
        let cancel = protocol::CancelExecution { owned: owned.clone(), reason: "why".into() };
        let fail = protocol::FailExecution {
            owned,
            reason: "r".into(),
            category: "c".into(),
            retry_policy_json: String::new(),
        };
        let all = [
            presented(&complete),
            presented(&delay),
            presented(&children),
            presented(&cancel),
            presented(&fail),
        ];
        for presented in &all {
            assert_eq!((&*presented.epoch, &*presented.source), ("7", "lease_holder"), "{presented:?}");
            assert!(presented.lease_id.ends_with("0001") && presented.execution.is_some());
        }
        assert_eq!(all[1].delay_until, "9");
    }
}
