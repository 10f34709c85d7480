//! What a caller presented with a call, read from its ARGV by the documented positions.

use serde::{Deserialize, Serialize};

use super::Exec;

/// The parts of a call's arguments that the properties ask about. Empty where the function takes none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presented {
    /// The execution that the call is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Exec>,
    /// The worker, in calls that issue or take a grant.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub worker: String,
    /// The worker's process.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// The lane that the caller passed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lane: String,
    /// The lease under which the caller acts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lease_id: String,
    /// Its epoch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub epoch: String,
    /// Its attempt.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub attempt_id: String,
}

/// Where a function's ARGV holds what; 0 is the first. `None`: it takes none.
#[derive(Clone, Copy, Default)]
struct Positions {
    worker: Option<usize>,
    lane: Option<usize>,
    lease: Option<usize>,
    epoch: Option<usize>,
    attempt: Option<usize>,
}

impl Presented {
    /// Reads the arguments of a call. `execution` is ARGV\[0\], already numbered.
    pub fn of(function: &str, execution: Option<Exec>, argv: &[&[u8]]) -> Self {
        let at = Positions::of(function);
        let text = |index: Option<usize>| {
            let arg = index.and_then(|i| argv.get(i)).copied().unwrap_or_default();
            String::from_utf8_lossy(arg).into_owned()
        };
        Self {
            execution,
            worker: text(at.worker),
            instance: text(at.worker.map(|i| i + 1)),
            lane: text(at.lane),
            lease_id: text(at.lease),
            epoch: text(at.epoch),
            attempt_id: text(at.attempt),
        }
    }

    /// Whether the caller acts under a lease.
    pub fn is_fenced(&self) -> bool {
        !self.lease_id.is_empty()
    }
}

impl Positions {
    /// From the ARGV comments of the published library, version 34.
    fn of(function: &str) -> Self {
        let grant = Positions { worker: Some(1), lane: Some(3), ..Self::default() };
        let fenced = |lease, epoch, attempt| Positions {
            lease: Some(lease),
            epoch: Some(epoch),
            attempt,
            ..Self::default()
        };
        match function {
            "ff_issue_claim_grant" | "ff_issue_reclaim_grant" | "ff_issue_grant_and_claim" => grant,
            "ff_claim_execution"
            | "ff_acquire_lease"
            | "ff_claim_resumed_execution"
            | "ff_reclaim_execution" => grant,
            "ff_create_execution" => Positions { lane: Some(2), ..Self::default() },
            "ff_renew_lease" | "ff_suspend_execution" => fenced(3, 4, Some(2)),
            "ff_complete_execution" | "ff_fail_execution" | "ff_delay_execution" => fenced(1, 2, Some(3)),
            "ff_move_to_waiting_children" => fenced(1, 2, Some(3)),
            "ff_cancel_execution" => fenced(3, 4, None),
            _ => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_presents_its_fence_and_a_claim_its_lane() {
        let renew =
            Presented::of("ff_renew_lease", Some(Exec(1)), &[b"e", b"0", b"att", b"lease", b"7", b"1", b"1"]);
        assert_eq!((&*renew.lease_id, &*renew.epoch, &*renew.attempt_id), ("lease", "7", "att"));
        let claim = Presented::of("ff_claim_execution", None, &[b"e", b"w", b"w-1", b"gold"]);
        assert_eq!((&*claim.worker, &*claim.instance, &*claim.lane), ("w", "w-1", "gold"));
        assert!(!claim.is_fenced());
    }
}
