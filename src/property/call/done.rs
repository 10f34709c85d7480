//! What a call acknowledges it has done: the keys that such a consent always writes are written (63 of `docs/protocol.md`).
//!
//! Here it counts that something was written there, by whatever command. What it has to be is for the promises about states,
//! which ask about every step. A consent that says that there was nothing to do is not asked.

use super::{Calls, Look, Wrong};
use crate::{
    property::{Entry, Expect, Kind},
    protocol::shape::Shape,
    trace::{Call, Step},
    types::{Answer, Function, Status},
    view::keys_of,
};

const NOT_WRITTEN: Kind = Kind {
    name: "not-written",
    about: "a call was acknowledged, and left out a key that such a consent always writes",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "done",
    numbers: &[63],
    claim: "What a call acknowledges it has done.",
    expect: Expect::Always,
    kinds: &[NOT_WRITTEN],
    monitor: || Box::new(Calls(&[is_done as Look])),
};

/// The KEYS, counted from 1, that a consent of these functions always writes: the records, in the order of KEYS that the
/// published library documents. Sets and indexes are none of them: what was never in one is not removed from it.
fn written(function: &Function) -> &'static [usize] {
    use Function::*;
    match function {
        IssueClaimGrant | IssueReclaimGrant | SetEdgeGroupPolicy | CloseWaitpoint | AppendFrame => &[2],
        AddExecutionToFlow | CreateBudget | RegisterWorker | SetExecutionTags | SetFlowTags => &[1, 2],
        ApplyDependencyToChild | CreatePendingWaitpoint => &[2, 3],
        StageDependencyEdge => &[1, 3],
        ResolveDependency => &[3],
        BufferSignalForPendingWaitpoint | DeliverSignal => &[3, 5],
        CreateExecution | ClaimExecution | AcquireLease | ClaimResumedExecution | ReclaimExecution => &[1],
        IssueGrantAndClaim | RenewLease | UpdateProgress | MarkLeaseExpiredIfDue | RevokeLease => &[1],
        CompleteExecution | FailExecution | CancelExecution | ExpireExecution | DelayExecution => &[1],
        SuspendExecution | ResumeExecution | ExpireSuspension | MoveToWaitingChildren => &[1],
        ReplayExecution | ChangePriority | BlockExecutionForAdmission | UnblockExecution => &[1],
        PromoteDelayed | PromoteBlockedToEligible | CreateFlow | CancelFlow | CreateQuotaPolicy => &[1],
        ReportUsageAndCheck | RecordSpend | ResetBudget | HeartbeatWorker | RotateWaitpointHmacSecret => &[1],
        _ => &[],
    }
}

/// Words by which a consent says that there was nothing to do.
const NOTHING: [&str; 4] = ["noop", "already", "not_", "duplicate"];

fn is_done(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    if !matches!(call.answer, Answer::Consent(Status::Ok)) || step.after.is_mirrored() {
        return None;
    }
    let said = super::texts(call)?;
    let is_noop = said.first().is_some_and(|word| NOTHING.iter().any(|nothing| word.contains(nothing)));
    if is_noop || !Shape::of(&call.function)?.takes(call.argv) {
        return None;
    }
    let left_out = written(&call.function).iter().find_map(|nth| {
        let key = call.keys.get(nth - 1)?;
        let is_written = step.effects.iter().flat_map(keys_of).any(|written| written == *key);
        (!is_written).then_some(key)
    })?;
    let key = String::from_utf8_lossy(left_out);
    Some(Wrong {
        kind: NOT_WRITTEN,
        message: format!("{} answered OK and did not write {key}", call.function),
    })
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    fn tagged(answer: &str, commands: &str) -> Story {
        let created = Story::new().created(0);
        created.keyed(
            10,
            "ff_set_execution_tags",
            &[":core", ":e1:tags"],
            &["e1", "team.a", "b"],
            answer,
            commands,
        )
    }

    cases! {
        a_call_that_is_acknowledged_and_does_half: "done/ff_set_execution_tags/OK/not-written",
            tagged("OK 1", "HSET :core last_mutation_at 10"),
            alone tagged("OK 1", "HSET :core last_mutation_at 10; HSET :e1:tags team.a b");
        a_call_that_is_acknowledged_and_does_nothing: "done/ff_set_execution_tags/OK/not-written",
            tagged("OK 1", ""),
            alone tagged("invalid_tag_key", "");
    }
}
