//! A denial says in all fields of the state what the caller denied (50 of `docs/protocol.md`), takes nothing that waits for
//! something else, and what a cancelled flow holds back stays so.
//!
//! That the execution leaves the eligible set and enters the set of its reason, in the same call, is asked by
//! [`indexes`](super::indexes).

use super::rules::Deed;
use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Happened, Moment},
    types::{BlockingReason, EligibilityState, Function},
    view::StateVector,
};

const OTHER_REASON: Kind =
    Kind { name: "other-reason", about: "it was denied for one reason, and its state says another" };
const FORGETS: Kind = Kind {
    name: "forgets",
    about: "it waited for a time or for other executions, was denied, and no longer says what it waits for",
};
const FLOW_CANCEL: Kind =
    Kind { name: "flow-cancel", about: "its flow was cancelled, and it became eligible all the same" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "denial",
    numbers: &[50],
    claim: "A denial moves an execution that was offered, in all fields of its state, and never one that waits otherwise.",
    expect: Expect::Always,
    kinds: &[OTHER_REASON, FORGETS, FLOW_CANCEL],
    monitor: || Box::new(Denial),
};

#[derive(Clone, Hash)]
struct Denial;

impl Property for Denial {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        for deed in Deed::all(step).filter(|deed| !deed.has_raised() && deed.after().is_some()) {
            for change in deed.changes {
                if let Happened::StateChanged { from: Some(from), to } = &change.what {
                    judge(&deed, from, to, found);
                }
            }
        }
    }
}

fn judge(deed: &Deed<'_>, from: &StateVector, to: &StateVector, found: &mut Found<'_>) {
    let name = deed.step.names.of(deed.id);
    if from.blocking == BlockingReason::PausedByFlowCancel && to.eligibility == EligibilityState::EligibleNow
    {
        let message = format!("{name} was held back because its flow was cancelled, and is eligible");
        found.violation(FLOW_CANCEL, Some(&name), message);
    }
    let Some(call) =
        deed.step.call.as_ref().filter(|call| call.function == Function::BlockExecutionForAdmission)
    else {
        return;
    };
    // ARGV: execution, reason, detail, now.
    let asked = call.argv.get(1).and_then(|arg| std::str::from_utf8(arg).ok()).map(BlockingReason::from);
    let means = asked.as_ref().and_then(eligibility_of);
    if asked.as_ref() != Some(&to.blocking) || means.as_ref() != Some(&to.eligibility) {
        let asked = asked.as_ref().map_or("", BlockingReason::as_str);
        let message =
            format!("{name} was denied for {asked:?}, and is {} for {}", to.eligibility, to.blocking);
        found.violation(OTHER_REASON, Some(&name), message);
    }
    let waited = [EligibilityState::NotEligibleUntilTime, EligibilityState::BlockedByDependencies];
    if waited.contains(&from.eligibility) {
        let message = format!(
            "{name} was {}, is {} now, and will be eligible when that ends",
            from.eligibility, to.eligibility
        );
        found.violation(FORGETS, Some(&name), message);
    }
}

/// The state that a denial for this reason means (RFC-009 §6.2).
fn eligibility_of(reason: &BlockingReason) -> Option<EligibilityState> {
    Some(match reason {
        BlockingReason::WaitingForBudget => EligibilityState::BlockedByBudget,
        BlockingReason::WaitingForQuota => EligibilityState::BlockedByQuota,
        BlockingReason::WaitingForCapableWorker => EligibilityState::BlockedByRoute,
        BlockingReason::PausedByOperator => EligibilityState::BlockedByOperator,
        BlockingReason::PausedByPolicy => EligibilityState::BlockedByLaneState,
        _ => return None,
    })
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::{
        property::{
            libraries::published,
            testing::{Story, cases},
        },
        protocol::BlockingReason::Budget,
    };

    fn created() -> Story {
        published().creates(0, None)
    }

    const QUOTA: &str = "HSET :core eligibility_state blocked_by_quota blocking_reason waiting_for_quota public_state rate_limited; \
                         ZREM :lane:gold:eligible e1; ZADD :lane:gold:blocked:quota @10 e1";
    const CANCELLED: &str =
        "HSET :core eligibility_state blocked_by_operator blocking_reason paused_by_flow_cancel";

    cases! {
        a_denial_for_another_reason_than_the_callers: "denial/ff_block_execution_for_admission/OK/other-reason",
            created().step(10, "ff_block_execution_for_admission e1 waiting_for_budget - @10", "OK", QUOTA),
            near created().step(10, "ff_block_execution_for_admission e1 waiting_for_quota - @10", "OK", QUOTA);
        a_denial_of_what_waits_for_its_time: "denial/ff_block_execution_for_admission/OK/forgets",
            published().creates(0, Some(500)).blocks(10, Budget),
            near created().blocks(10, Budget);
        an_execution_of_a_cancelled_flow: "denial/ff_unblock_execution/OK/flow-cancel",
            created().step(10, "ff_cancel_flow f1", "OK", CANCELLED).step(20, "ff_unblock_execution e1", "OK", "HSET :core eligibility_state eligible_now blocking_reason waiting_for_worker"),
            near created().blocks(10, Budget).unblocks(20, Budget);
    }
}
