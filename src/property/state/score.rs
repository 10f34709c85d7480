//! An execution's score in a set is the one that its core gives (32, 49 of `docs/protocol.md`): −(priority × 10¹²) +
//! `created_at` among what is eligible, however it came there; its due time among what waits for one.
//!
//! Not here: lease_expiry, which is [`lease_record`](super::lease_record)'s, and who is granted first, which schedulers
//! decide.

use super::rules::{Deed, Fault, Rules, Seen, differ, number};
use crate::{
    property::{Entry, Expect, Kind},
    types::{EligibilityState, LifecyclePhase},
    view::Place,
};

const ELIGIBLE: Kind = Kind {
    name: "eligible",
    about: "its score in the eligible set is not −(priority × 10¹²) + created_at",
};
const PRIORITY: Kind =
    Kind { name: "priority", about: "its priority is no number, or not within 0 and 9000" };
const DUE: Kind =
    Kind { name: "due", about: "its score in a set of times is not the time at which it is due" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "score",
    numbers: &[32, 49],
    claim: "Whatever made an execution wait in a set, its score there follows from its priority, age, or due time.",
    expect: Expect::Always,
    kinds: &[ELIGIBLE, PRIORITY, DUE],
    monitor: || Box::new(Rules::new(|_: &Deed<'_>| true, &[priority, scores])),
};

/// Beyond it, scores are no exact integers any more (ff-script 0.15, ff_create_execution).
const MOST: f64 = 9_000.0;
const A_PRIORITY: f64 = 1e12;
/// A fractional priority is kept with 14 digits, its score with 17.
const A_FRACTION: f64 = 1_000.0;

fn priority(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let text = seen.core.text("priority");
    if !number(text).is_some_and(|priority| (0.0..=MOST).contains(&priority)) {
        let message = format!("has the priority {text:?}, which is not within 0 and 9000");
        faults.push(Fault { kind: PRIORITY, what: "".into(), message });
    }
}

fn scores(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let core = &seen.core;
    let (place, expected, kind) = match (&seen.state.phase, &seen.state.eligibility) {
        (LifecyclePhase::Runnable, EligibilityState::EligibleNow) => {
            let (priority, created) = (number(core.text("priority")), number(core.text("created_at")));
            let score = priority.zip(created).map(|(priority, created)| created - priority * A_PRIORITY);
            (Place::Eligible, score, ELIGIBLE)
        }
        // One without a time is `delay`'s.
        (LifecyclePhase::Runnable, EligibilityState::NotEligibleUntilTime) => {
            (Place::Delayed, number(core.text("delay_until")), DUE)
        }
        (LifecyclePhase::Runnable, EligibilityState::BlockedByDependencies) => {
            (Place::BlockedDependencies, number(core.text("created_at")), DUE)
        }
        (LifecyclePhase::Suspended, _) => {
            (Place::SuspensionTimeout, number(seen.execution.suspension_timeout()), DUE)
        }
        (LifecyclePhase::Terminal, _) => (Place::Terminal, number(core.text("completed_at")), DUE),
        _ => return,
    };
    let Some(places) = seen.execution.places(core.lane()) else { return };
    let (Some(score), Some(expected)) = (places.score(place), expected) else { return };
    let is_fractional = kind == ELIGIBLE && core.text("priority").contains(['.', 'e']);
    if differ(score, expected) && !(is_fractional && (score - expected).abs() < A_FRACTION) {
        let message = format!("has the score {score} in {}, and should have {expected}", place.name());
        faults.push(Fault { kind, what: place.name().into(), message });
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::{
        libraries::{leased, published},
        testing::{Story, cases},
    };

    fn created() -> Story {
        published().creates(0, None)
    }

    fn changed(commands: &str) -> Story {
        created().step(10, "ff_change_priority e1 9001", "OK", commands)
    }

    cases! {
        a_score_of_another_priority: "score/ff_change_priority/OK/eligible",
            changed("ZADD :lane:gold:eligible 9 e1"),
            near created().changes_priority(10, 9);
        a_priority_beyond_the_clamp: "score/ff_change_priority/OK/priority",
            changed("HSET :core priority 9001; ZADD :lane:gold:eligible -8999264310400000 e1"),
            near created().changes_priority(10, 9_001);
        a_retry_at_another_time_than_its_own: "score/ff_fail_execution/OK/due",
            leased().fails(50, 1, 1).step(60, "ff_fail_execution e1", "OK", "ZADD :lane:gold:delayed 7 e1"),
            near leased().fails(50, 1, 1).promotes(100, 100);
    }
}
