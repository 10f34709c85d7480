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

const ANSWERED_OTHERWISE: Kind = Kind {
    name: "answered-otherwise",
    about: "a suspension was asked for again under its key, and was not answered as the first time",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "done",
    numbers: &[63],
    claim: "What a call acknowledges it has done.",
    expect: Expect::Always,
    kinds: &[NOT_WRITTEN, ANSWERED_OTHERWISE],
    monitor: || Box::new(Calls(&[is_done as Look, is_answered_as_before])),
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
    if is_noop || !Shape::of(&call.function)?.takes(call.argv) || remembered(step, call).is_some() {
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

/// Where ff_suspend_execution has its idempotency key among the ARGV, and where it is remembered among the KEYS; from 0.
const IDEMPOTENCY: (usize, usize) = (17, 17);

/// What the library has remembered of a suspension under the key that a call presents: the status, the ids and keys and
/// tokens, with tabs in between (RFC-013 §9.2).
fn remembered<'v>(step: &Step<'v>, call: &Call<'_>) -> Option<&'v str> {
    let (argument, key) = IDEMPOTENCY;
    if call.function != Function::SuspendExecution || call.argv.get(argument)?.is_empty() {
        return None;
    }
    let key = std::str::from_utf8(call.keys.get(key)?).ok()?;
    let outcome = step.before.fields(key)?.text("outcome");
    (!outcome.is_empty() && step.before.is_visible(key, step.now)).then_some(outcome)
}

fn is_answered_as_before(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    let Answer::Consent(status) = &call.answer else { return None };
    let first = remembered(step, call)?;
    let status = status.to_string();
    let words = std::iter::once(status.as_str()).chain(super::texts(call)?);
    let answer = words.collect::<Vec<_>>().join("\t");
    (answer != first).then(|| Wrong {
        kind: ANSWERED_OTHERWISE,
        message: format!("{} was answered {answer:?}, and the first time {first:?}", call.function),
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

    /// A suspension under a key, which was answered before, or was not.
    fn again(is_remembered: bool, answer: &str) -> Story {
        let before = Story::new().created(0);
        let before = match is_remembered {
            true => before.plain(5, "HSET :dedup outcome OK<tab>s1<tab>0"),
            false => before,
        };
        let noop = [":noop"; 17];
        let keys: Vec<&str> =
            [":core"].into_iter().chain(noop.into_iter().skip(1)).chain([":dedup"]).collect();
        let argv = [
            "e1", "0", "a1", "l1", "1", "s1", "w1", "k1", "why", "worker", "", "{}", "{}", "", "", "fail",
            "9", "key", "900", "0",
        ];
        before.keyed(10, "ff_suspend_execution", &keys, &argv, answer, "")
    }

    cases! {
        a_suspension_that_is_acknowledged_and_not_written: "done/ff_suspend_execution/OK/not-written",
            again(false, "OK s1 0"),
            alone again(true, "OK s1 0");
        a_suspension_that_is_answered_anew: "done/ff_suspend_execution/OK/answered-otherwise",
            again(true, "OK s2 0"),
            alone again(true, "OK s1 0");
        a_call_that_is_acknowledged_and_does_half: "done/ff_set_execution_tags/OK/not-written",
            tagged("OK 1", "HSET :core last_mutation_at 10"),
            alone tagged("OK 1", "HSET :core last_mutation_at 10; HSET :e1:tags team.a b");
        a_call_that_is_acknowledged_and_does_nothing: "done/ff_set_execution_tags/OK/not-written",
            tagged("OK 1", ""),
            alone tagged("invalid_tag_key", "");
    }
}
