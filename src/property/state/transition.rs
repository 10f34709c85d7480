//! From one state to the next there is a way that RFC-001 §3 allows (46 of `docs/protocol.md`).
//!
//! Phases and ownership, each by itself. Not here: whether the states at both ends are legal, which is
//! [`vector`](super::vector)'s; nor the way out of what has ended, which promise 14 is about.

use super::rules::Deed;
use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Happened, Moment},
    types::{LifecyclePhase, OwnershipState},
    view::StateVector,
};

const PHASE: Kind =
    Kind { name: "phase", about: "it went from one phase to another to which there is no way" };
const OWNERSHIP: Kind =
    Kind { name: "ownership", about: "its ownership went from one word to another to which there is no way" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "transition",
    numbers: &[46],
    claim: "An execution goes from one phase, and one word of ownership, to another only where RFC-001 has a way.",
    expect: Expect::Always,
    kinds: &[PHASE, OWNERSHIP],
    monitor: || Box::new(Transition),
};

#[derive(Clone, Hash)]
struct Transition;

impl Property for Transition {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        for deed in Deed::all(step) {
            for change in deed.changes {
                let Happened::StateChanged { from, to } = &change.what else { continue };
                if !deed.has_raised() && deed.after().is_some() {
                    judge(&deed, from.as_deref(), to, found);
                }
            }
        }
    }
}

fn judge(deed: &Deed<'_>, from: Option<&StateVector>, to: &StateVector, found: &mut Found<'_>) {
    let name = deed.step.names.of(deed.id);
    let mut tell = |kind, message: String| found.violation(kind, Some(&name), format!("{name} {message}"));
    let Some(from) = from else {
        if to.phase != LifecyclePhase::Runnable {
            tell(PHASE, format!("came to be as {}, and not as runnable", to.phase));
        }
        return;
    };
    if !has_way(&from.phase, &to.phase) {
        tell(PHASE, format!("went from {} to {}", from.phase, to.phase));
    }
    if !has_way_of_ownership(&from.ownership, &to.ownership) {
        tell(OWNERSHIP, format!("went from {} to {}", from.ownership, to.ownership));
    }
}

/// RFC-001 §3.1. The skip of an active child (active → terminal) is in it.
fn has_way(from: &LifecyclePhase, to: &LifecyclePhase) -> bool {
    use LifecyclePhase::{Active, Runnable, Submitted, Suspended};
    !matches!((from, to), (_, Submitted) | (Runnable, Suspended) | (Suspended, Active))
}

/// RFC-001 §3.2.
fn has_way_of_ownership(from: &OwnershipState, to: &OwnershipState) -> bool {
    use OwnershipState::{LeaseExpiredReclaimable, LeaseRevoked, Leased, Unowned};
    match (from, to) {
        (Unowned, LeaseExpiredReclaimable | LeaseRevoked) => false,
        (LeaseExpiredReclaimable, LeaseRevoked) | (LeaseRevoked, LeaseExpiredReclaimable) => false,
        (Leased | Unowned | LeaseExpiredReclaimable | LeaseRevoked, _) => true,
        (OwnershipState::Unknown(_), _) => true,
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::{
        property::{
            libraries::{leased, published},
            testing::{Story, cases},
        },
        protocol::TimeoutBehavior::AutoResume,
    };

    fn suspended() -> Story {
        leased().suspends(50, 1, None)
    }

    const RUNS: &str = "HSET :core lifecycle_phase active ownership_state leased eligibility_state not_applicable blocking_reason none attempt_state running_attempt public_state active";

    cases! {
        a_suspended_execution_that_runs_at_once: "transition/ff_claim_resumed_execution/OK/phase",
            suspended().step(60, "ff_claim_resumed_execution e1 w w-1 gold", "OK", RUNS),
            near leased().suspends(50, 1, Some((60, AutoResume))).times_out(60, 0).resumes_lease(70, 2, 0);
        a_lease_that_is_revoked_and_was_none: "transition/ff_revoke_lease/OK/ownership",
            published().creates(0, None).step(10, "ff_revoke_lease e1 - why", "OK", "HSET :core ownership_state lease_revoked"),
            near leased().revokes(30);
    }

    #[test]
    fn what_comes_to_be_is_runnable() {
        let core = "HSET :core lifecycle_phase active retry_count 0";
        let told =
            Story::new().step(0, "ff_create_execution e1 ns gold kind 0 me - - -", "OK", core).fingerprints();
        assert!(told.contains(&"transition/ff_create_execution/OK/phase".to_owned()), "{told:?}");
    }
}
