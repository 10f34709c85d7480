//! A grant is consumed at most once, and exactly when a lease is created (FlowFabric's CG1 to CG3; 1, 2 and 6 of
//! `docs/protocol.md`).
//!
//! Not here: whether the grant was still valid, which [`expiry`](super::expiry) asks, and which process of its worker
//! consumes it (RFC-024 §4.4: any may).

use std::collections::BTreeSet;

use super::untold::Untold;
use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Change, Event, GrantSeen, Happened, Moment, Step},
    types::{EligibilityState, ExecutionId, ExecutionName, LeaseEpoch, LifecyclePhase, TimestampMs},
    view::View,
};

const GRANT_WITHOUT_LEASE: Kind = Kind {
    name: "grant-without-lease",
    about: "a grant was taken from an execution that can still be granted, and no lease came of it",
};
const SPENT_GRANT: Kind =
    Kind { name: "spent-grant", about: "a second lease came of a grant that had made one" };
const GRANT_LEFT_BEHIND: Kind = Kind {
    name: "grant-left-behind",
    about: "a lease was created and its grant still lies there for another",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "at-most-once",
    numbers: &[1, 2, 6],
    claim: "A grant is consumed at most once, and exactly when a lease is created.",
    expect: Expect::Always,
    kinds: &[GRANT_WITHOUT_LEASE, SPENT_GRANT, GRANT_LEFT_BEHIND],
    monitor: || Box::<AtMostOnce>::default(),
};

#[derive(Clone, Default, Hash)]
struct AtMostOnce {
    /// Grants of which a lease was made: their execution, and when they were issued.
    spent: BTreeSet<(ExecutionName, TimestampMs)>,
    /// Executions whose latest grant was consumed.
    without_grant: BTreeSet<ExecutionName>,
    /// Claims whose callers were not told.
    untold: Untold<Claim>,
}

/// A claim: of which grant, and the lease that it made.
#[derive(Clone, Hash)]
struct Claim {
    execution: ExecutionName,
    id: ExecutionId,
    issued_at: TimestampMs,
    epoch: LeaseEpoch,
}

impl Property for AtMostOnce {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let step = match moment {
            Moment::Step(step) => step,
            Moment::Client(event) => return self.told(event),
            Moment::Rewound { to, .. } => return self.rewound(to),
            _ => return,
        };
        for change in step.changes() {
            let execution = &change.execution;
            match &change.what {
                Happened::GrantIssued(seen) => {
                    // With a TTL of 0 or 1 ms two grants of an execution may carry the same time: this one is fresh.
                    self.spent.remove(&(execution.clone(), seen.grant.created_at));
                    self.without_grant.remove(execution);
                }
                Happened::GrantConsumed(_) => {
                    self.without_grant.insert(execution.clone());
                }
                Happened::GrantDropped(_) if can_be_granted(step, change) => found.violation(
                    GRANT_WITHOUT_LEASE,
                    Some(execution),
                    format!("the grant of {execution} was consumed and no lease came of it"),
                ),
                Happened::LeaseCreated { lease, grant } => {
                    self.leased(step, execution, lease.epoch, grant.as_ref(), found);
                    if let Some(seen) = grant {
                        let (execution, id) = (execution.clone(), change.id.clone());
                        let (issued_at, epoch) = (seen.grant.created_at, lease.epoch);
                        self.untold.add(step.head.seq, Claim { execution, id, issued_at, epoch });
                    }
                }
                _ => {}
            }
        }
    }
}

impl AtMostOnce {
    /// Who was told of a claim knows of it for good.
    fn told(&mut self, event: &Event) {
        if let Some(claim) = self.untold.told(event) {
            self.without_grant.insert(claim.execution.clone());
            self.spent.insert((claim.execution, claim.issued_at));
        }
    }

    /// The claims that the server has forgotten, and of which nobody was told, were never made.
    fn rewound(&mut self, to: &View) {
        for claim in self.untold.iter() {
            if to.execution(&claim.id).core().is_none_or(|core| core.epoch() < claim.epoch) {
                self.spent.remove(&(claim.execution.clone(), claim.issued_at));
                self.without_grant.remove(&claim.execution);
            }
        }
    }

    fn leased(
        &mut self,
        step: &Step<'_>,
        execution: &ExecutionName,
        epoch: LeaseEpoch,
        grant: Option<&GrantSeen>,
        found: &mut Found<'_>,
    ) {
        let is_spent = match grant {
            Some(seen) => !self.spent.insert((execution.clone(), seen.grant.created_at)),
            // No grant is there any more, and a second lease came of it all the same.
            None => self.without_grant.contains(execution),
        };
        if is_spent {
            let message = format!("{execution} got a second lease (epoch {epoch}) from one grant");
            found.violation(SPENT_GRANT, Some(execution), message);
        }
        let is_consumed = |change: &Change| {
            change.execution == *execution && matches!(change.what, Happened::GrantConsumed(_))
        };
        if grant.is_some() && !step.changes().iter().any(is_consumed) {
            let message =
                format!("{execution} got a lease (epoch {epoch}) and its grant still lies there for another");
            found.violation(GRANT_LEFT_BEHIND, Some(execution), message);
        }
    }
}

/// Whether the execution could still be granted after the step, or runs without a lease: a grant dies when its execution
/// stops being grantable (54), and only then may one be removed that made no lease.
fn can_be_granted(step: &Step<'_>, change: &Change) -> bool {
    let state = step.after.execution(&change.id).state();
    state.is_some_and(|state| match state.phase {
        LifecyclePhase::Terminal | LifecyclePhase::Suspended => false,
        LifecyclePhase::Runnable => state.eligibility == EligibilityState::EligibleNow,
        _ => true,
    })
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases, grant, lease};

    fn granted() -> Story {
        Story::new().created(0).granted(10, 100)
    }

    fn taken_without_lease(story: Story, state: &str) -> Story {
        let commands = format!("DEL :grant; ZREM :lane:gold:eligible e1; HSET :core {state}");
        story.step(20, "ff_claim_execution e1 w w-1 gold", "OK", &commands)
    }

    cases! {
        a_claim_that_takes_the_grant_and_makes_no_lease: "at-most-once/ff_claim_execution/OK/grant-without-lease",
            taken_without_lease(granted(), "lifecycle_phase active ownership_state leased eligibility_state not_applicable"),
            // A grant dies with its execution.
            near taken_without_lease(granted(), "lifecycle_phase terminal eligibility_state not_applicable");
        a_second_lease_from_a_grant_that_is_gone: "at-most-once/ff_claim_execution/OK/spent-grant",
            granted().claimed(20, 1, 30).claimed(40, 2, 900),
            near granted().claimed(20, 1, 30).marked_and_freed(30).granted(40, 100).claimed(50, 2, 900);
        a_lease_that_leaves_its_grant_behind: "at-most-once/ff_claim_execution/OK/grant-left-behind",
            granted().step(20, "ff_claim_execution e1 w w-1 gold", "OK", &lease(1, 900)),
            near granted().claimed(20, 1, 900);
        a_grant_that_is_dropped_by_the_call_that_should_have_refused: "at-most-once/ff_claim_execution/stale_lease/grant-without-lease",
            granted().step(20, "ff_claim_execution e1 w w-1 gold", "stale_lease", "DEL :grant"),
            near granted().step(20, "ff_block_execution_for_admission e1", "OK", "DEL :grant; HSET :core eligibility_state blocked_by_budget");
    }

    #[test]
    fn a_grant_that_was_left_behind_makes_a_second_lease_and_both_are_reported() {
        let claim =
            |story: Story, at, n| story.step(at, "ff_claim_execution e1 w w-1 gold", "OK", &lease(n, at + 5));
        let story = claim(claim(granted(), 20, 1), 30, 2);
        assert_eq!(
            story.fingerprints(),
            [
                "at-most-once/ff_claim_execution/OK/grant-left-behind",
                "at-most-once/ff_claim_execution/OK/spent-grant"
            ]
        );
        assert_eq!(story.verdict().violations[0].times, 2);
    }

    #[test]
    fn two_grants_of_the_same_millisecond_are_two_grants() {
        let story = granted().claimed(10, 1, 900).delayed(10, 1).granted(10, 11).claimed(10, 2, 900);
        assert!(story.fingerprints().is_empty());
        // With a TTL of 0 the grant comes and goes within its call.
        let story =
            Story::new().created(0).granted(10, 10).granted(10, 10).granted(10, 20).claimed(10, 1, 900);
        assert!(story.fingerprints().is_empty());
    }

    #[test]
    fn another_process_of_the_worker_may_take_the_grant() {
        let claim = format!("DEL :grant; {}", lease(1, 900));
        assert!(
            granted().step(20, "ff_claim_execution e1 w w-2 gold", "OK", &claim).fingerprints().is_empty()
        );
    }

    #[test]
    fn a_grant_that_expired_was_not_consumed() {
        assert!(granted().reaped(101).granted(110, 200).claimed(200, 1, 900).fingerprints().is_empty());
    }

    #[test]
    fn what_was_consumed_before_a_power_loss_is_not_consumed_again() {
        let spent = ["at-most-once/ff_claim_execution/OK/spent-grant"];
        let story = || granted().kept().claimed(20, 1, 900).told("ff_claim_execution").rewound();
        assert!(story().fingerprints().is_empty(), "a power loss alone is no violation");
        assert_eq!(story().claimed(30, 2, 900).fingerprints(), spent);
        // Of what nobody was told, and the server forgot, nothing is left: the other claim is the first.
        let untold = granted().kept().claimed(20, 1, 900).rewound();
        assert!(untold.claimed(30, 2, 900).fingerprints().is_empty());
        // What the server kept it knows, told or not.
        let kept = granted().claimed(20, 1, 900).kept().rewound();
        assert!(kept.claimed(30, 2, 900).fingerprints().contains(&spent[0].to_owned()));
        let fresh = granted().kept().claimed(20, 1, 900).rewound().reaped(101).step(
            110,
            "ff_issue_claim_grant e1 w w-1 gold - 0",
            "OK",
            &grant(110, 200),
        );
        assert!(fresh.claimed(120, 2, 900).fingerprints().is_empty());
    }

    #[test]
    fn a_lease_from_no_grant_is_no_second_lease_from_the_grant_before() {
        let story = granted().claimed(20, 1, 30).marked_and_freed(30).granted(40, 100).reaped(101);
        assert_eq!(story.claimed(110, 2, 900).fingerprints(), ["expiry/ff_claim_execution/OK/no-grant"]);
    }
}
