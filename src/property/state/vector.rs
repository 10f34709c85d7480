//! The seven fields of an execution's state agree (V1 to V10, D1 to D5 of RFC-001 §2; 23 of `docs/protocol.md`).
//!
//! Each field holds one of its words, no two contradict each other, the reason fits what it is a reason for, and
//! `public_state` is what the others derive. Not here: how a state came to be, which is [`transition`](super::transition)'s.

use super::rules::{Fault, Rules, Seen};
use crate::{
    property::{Entry, Expect, Kind},
    types::{
        AttemptState, BlockingReason, EligibilityState, LifecyclePhase, OwnershipState, PublicState,
        TerminalOutcome,
    },
    view::StateVector,
};

const WORD: Kind =
    Kind { name: "word", about: "a field of its state is empty, or holds a word of no meaning" };
const COMBINATION: Kind =
    Kind { name: "combination", about: "two fields of its state contradict each other" };
const REASON: Kind =
    Kind { name: "reason", about: "its blocking reason is not one for the state that it is in" };
const PUBLIC: Kind =
    Kind { name: "public-state", about: "its public state is not what the other fields derive" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "vector",
    numbers: &[23],
    claim: "The seven fields of an execution's state are a legal combination, and public_state follows from them.",
    expect: Expect::Always,
    kinds: &[WORD, COMBINATION, REASON, PUBLIC],
    monitor: || {
        Box::new(Rules::new(|deed| deed.changed_state(), &[words, combinations, reason, public_state]))
    },
};

fn words(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let state = &seen.state;
    let fields = [
        ("lifecycle_phase", state.phase.is_known() && state.phase != LifecyclePhase::Submitted),
        ("ownership_state", state.ownership.is_known()),
        ("eligibility_state", state.eligibility.is_known()),
        ("blocking_reason", state.blocking.is_known()),
        ("terminal_outcome", state.outcome.is_known()),
        ("attempt_state", state.attempt.is_known()),
        ("public_state", state.public.is_known()),
    ];
    for (field, _) in fields.into_iter().filter(|(_, is_known)| !is_known) {
        let message = format!("has {:?} in {field}, which is no word of that field", seen.core.text(field));
        faults.push(Fault { kind: WORD, what: field.into(), message });
    }
}

/// What must never occur together, by the name of the rule. V8 is about the phase `submitted`, which is no word here.
fn combinations(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    use LifecyclePhase::{Active, Runnable, Suspended, Terminal};
    let StateVector { phase, ownership, eligibility, outcome, attempt, .. } = &seen.state;
    let (is_owned, is_terminal) = (*ownership != OwnershipState::Unowned, *phase == Terminal);
    let is_eligible = *eligibility == EligibilityState::EligibleNow;
    let has_no_outcome = *outcome == TerminalOutcome::None;
    let is_running = *attempt == AttemptState::RunningAttempt;
    let is_interrupted = *attempt == AttemptState::AttemptInterrupted;
    let says_not_applicable = *eligibility == EligibilityState::NotApplicable;
    let rules = [
        ("V1", is_terminal && is_owned, "terminal and owned"),
        ("V2", *phase == Suspended && is_owned, "suspended and owned"),
        ("V3", !is_terminal && !has_no_outcome, "not terminal, with an outcome"),
        ("V4", is_terminal && has_no_outcome, "terminal without an outcome"),
        (
            "V5",
            *phase == Active && *attempt == AttemptState::PendingFirstAttempt,
            "active before its first attempt",
        ),
        ("V6", is_terminal && is_eligible, "terminal and eligible"),
        ("V7", *phase == Active && is_eligible, "active and eligible"),
        ("V9", *phase == Runnable && is_running, "runnable, with an attempt that runs"),
        ("V10", *phase == Active && !is_owned, "active and owned by nobody"),
        // What RFC-001 §2.2 says of the fields one by one.
        ("runnable-owned", *phase == Runnable && is_owned, "runnable and owned"),
        (
            "runnable-eligibility",
            *phase == Runnable && says_not_applicable,
            "runnable, and says not whether it is eligible",
        ),
        (
            "eligibility",
            *phase != Runnable && !says_not_applicable && !is_eligible,
            "not runnable, and waits to become eligible",
        ),
        (
            "leased-attempt",
            *ownership == OwnershipState::Leased && !is_running,
            "leased, and its attempt does not run",
        ),
        (
            "lost-attempt",
            ownership.is_reclaimable() && !is_interrupted,
            "without its lease, and its attempt is not interrupted",
        ),
        (
            "suspended-attempt",
            *phase == Suspended && !is_interrupted,
            "suspended, and its attempt is not interrupted",
        ),
        ("ended-attempt", is_terminal && (is_running || is_interrupted), "terminal, and its attempt goes on"),
    ];
    for (rule, _, message) in rules.into_iter().filter(|(_, is_broken, _)| *is_broken) {
        faults.push(Fault {
            kind: COMBINATION,
            what: rule.into(),
            message: format!("is {message} ({rule})"),
        });
    }
}

fn reason(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    use BlockingReason as R;
    let StateVector { phase, ownership, eligibility, blocking, .. } = &seen.state;
    let fits = match (phase, eligibility) {
        (LifecyclePhase::Runnable, eligibility) => match eligibility {
            EligibilityState::EligibleNow => matches!(blocking, R::WaitingForWorker),
            EligibilityState::NotEligibleUntilTime => {
                matches!(blocking, R::WaitingForDelay | R::WaitingForRetryBackoff | R::WaitingForResumeDelay)
            }
            EligibilityState::BlockedByDependencies => matches!(blocking, R::WaitingForChildren),
            EligibilityState::BlockedByBudget => matches!(blocking, R::WaitingForBudget),
            EligibilityState::BlockedByQuota => matches!(blocking, R::WaitingForQuota),
            EligibilityState::BlockedByRoute => {
                matches!(blocking, R::WaitingForCapableWorker | R::WaitingForLocalityMatch)
            }
            EligibilityState::BlockedByOperator => {
                matches!(blocking, R::PausedByOperator | R::PausedByFlowCancel)
            }
            EligibilityState::BlockedByLaneState => matches!(blocking, R::PausedByPolicy),
            EligibilityState::NotApplicable | EligibilityState::Unknown(_) => true,
        },
        // RFC-001's example of an expired lease has no reason; RFC-003 and the library have this one.
        (LifecyclePhase::Active, _) if ownership.is_reclaimable() => {
            matches!(blocking, R::WaitingForWorker | R::None)
        }
        (LifecyclePhase::Active | LifecyclePhase::Terminal, _) => matches!(blocking, R::None),
        (LifecyclePhase::Suspended, _) => matches!(
            blocking,
            R::WaitingForSignal
                | R::WaitingForApproval
                | R::WaitingForCallback
                | R::WaitingForToolResult
                | R::WaitingForBudget
                | R::PausedByOperator
                | R::PausedByPolicy
        ),
        _ => true,
    };
    if !fits && blocking.is_known() {
        let message = format!("is {phase} and {eligibility}, and its reason is {blocking}");
        faults.push(Fault { kind: REASON, what: "".into(), message });
    }
}

fn public_state(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let StateVector { phase, eligibility, outcome, public, .. } = &seen.state;
    let Some(derived) = derived(&seen.state).filter(|derived| derived != public && public.is_known()) else {
        return;
    };
    let message = format!(
        "is shown as {public}, and should be as {derived}: it is {phase}, {eligibility}, outcome {outcome}"
    );
    faults.push(Fault { kind: PUBLIC, what: "".into(), message });
}

/// `public_state` by RFC-001 §2.4, D1 to D5; none where a field holds no word of its own.
fn derived(state: &StateVector) -> Option<PublicState> {
    Some(match &state.phase {
        LifecyclePhase::Terminal => match &state.outcome {
            TerminalOutcome::Success => PublicState::Completed,
            TerminalOutcome::Failed => PublicState::Failed,
            TerminalOutcome::Cancelled => PublicState::Cancelled,
            TerminalOutcome::Expired => PublicState::Expired,
            TerminalOutcome::Skipped => PublicState::Skipped,
            TerminalOutcome::None | TerminalOutcome::Unknown(_) => return None,
        },
        LifecyclePhase::Suspended => PublicState::Suspended,
        LifecyclePhase::Active => PublicState::Active,
        LifecyclePhase::Runnable => match &state.eligibility {
            EligibilityState::NotEligibleUntilTime => PublicState::Delayed,
            EligibilityState::BlockedByDependencies => PublicState::WaitingChildren,
            EligibilityState::BlockedByBudget | EligibilityState::BlockedByQuota => PublicState::RateLimited,
            EligibilityState::EligibleNow
            | EligibilityState::BlockedByRoute
            | EligibilityState::BlockedByLaneState
            | EligibilityState::BlockedByOperator => PublicState::Waiting,
            EligibilityState::NotApplicable | EligibilityState::Unknown(_) => return None,
        },
        LifecyclePhase::Submitted | LifecyclePhase::Unknown(_) => return None,
    })
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::{
        property::{
            libraries::{leased, published},
            testing::{Story, cases},
        },
        protocol::BlockingReason,
    };

    fn created() -> Story {
        published().creates(0, None)
    }

    fn set(story: Story, call: &str, fields: &str) -> Story {
        story.step(30, call, "OK", &format!("HSET :core {fields}"))
    }

    cases! {
        a_field_with_a_word_of_no_meaning: "vector/ff_change_priority/OK/word",
            set(created(), "ff_change_priority e1 9", "public_state moonlit"),
            near set(created(), "ff_change_priority e1 9", "public_state waiting");
        an_execution_that_runs_and_that_nobody_owns: "vector/ff_renew_lease/OK/combination",
            set(leased(), "ff_renew_lease e1 0 a1 l1 1 0 0", "ownership_state unowned"),
            near leased().renews(30, 1);
        a_reason_for_another_state: "vector/ff_block_execution_for_admission/OK/reason",
            set(created().blocks(10, BlockingReason::Budget), "ff_block_execution_for_admission e1 waiting_for_quota - @30", "blocking_reason waiting_for_quota"),
            near created().blocks(10, BlockingReason::Budget);
        a_public_state_that_does_not_follow: "vector/ff_block_execution_for_admission/OK/public-state",
            created().blocks(10, BlockingReason::Capability),
            near created().blocks(10, BlockingReason::Quota);
    }

    #[test]
    fn a_core_with_fewer_fields_than_flowfabrics_is_not_judged() {
        let story = Story::new().created(0).step(
            10,
            "ff_change_priority e1 9",
            "OK",
            "HSET :core lifecycle_phase moonlit",
        );
        assert!(story.fingerprints().is_empty());
    }

    #[test]
    fn who_leaves_it_as_wrong_as_it_was_is_not_blamed() {
        let story = created().blocks(10, BlockingReason::Capability).blocks(20, BlockingReason::Operator);
        let vector = story.verdict().violations;
        let times: Vec<_> =
            vector.iter().filter(|v| v.property.as_str() == "vector").map(|v| v.times).collect();
        assert_eq!(times, [1]);
    }
}
