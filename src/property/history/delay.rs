//! What is delayed says until when, and neither becomes eligible nor is claimed before (16 of `docs/protocol.md`).
//!
//! Remembered is until when each execution is delayed: whoever blocks it or gives it a dependency meanwhile does not end the
//! delay, and the core may forget it. A promoter goes by its own clock, which may be ahead of the server's.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
};

use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Change, Happened, Moment, Step},
    types::{Answer, EligibilityState, ExecutionName, Function, LifecyclePhase},
    view::{Core, StateVector},
};

const NO_TIME: Kind = Kind { name: "no-time", about: "it is delayed, and its core does not say until when" };
const ELIGIBLE: Kind =
    Kind { name: "eligible-early", about: "it was delayed and became eligible before its time" };
const CLAIMED: Kind = Kind { name: "claimed-early", about: "it was delayed and was claimed before its time" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "delay",
    numbers: &[16],
    claim: "What is delayed says until when, and is neither eligible nor claimed before that.",
    expect: Expect::Always,
    kinds: &[NO_TIME, ELIGIBLE, CLAIMED],
    monitor: || Box::<Delay>::default(),
};

#[derive(Clone, Default)]
struct Delay {
    /// Until when an execution is delayed, in milliseconds of the server's clock.
    until: BTreeMap<ExecutionName, f64>,
}

impl Hash for Delay {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.until.len().hash(hasher);
        for (execution, until) in &self.until {
            (execution, until.to_bits()).hash(hasher);
        }
    }
}

impl Property for Delay {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        match moment {
            Moment::Step(step) => {
                for change in step.changes() {
                    if let Happened::StateChanged { from, to } = &change.what {
                        let was_delayed = from.as_deref().is_some_and(is_delayed);
                        self.changed(step, change, was_delayed, to, found);
                    }
                }
            }
            // What the server forgot is delayed again, or not: who knows.
            Moment::Rewound { .. } => self.until.clear(),
            _ => {}
        }
    }
}

fn is_delayed(state: &StateVector) -> bool {
    state.phase == LifecyclePhase::Runnable && state.eligibility == EligibilityState::NotEligibleUntilTime
}

impl Delay {
    fn changed(
        &mut self,
        step: &Step<'_>,
        change: &Change,
        was_delayed: bool,
        to: &StateVector,
        found: &mut Found<'_>,
    ) {
        let name = &change.execution;
        if is_delayed(to) {
            let Some(core) = step.after.execution(&change.id).core().filter(Core::is_whole) else { return };
            let until = core.text("delay_until");
            if until.is_empty() {
                return self.without_time(step, name, was_delayed, to, found);
            }
            self.until.extend(until.parse().ok().map(|until| (name.clone(), until)));
            return;
        }
        match (&to.phase, &to.eligibility) {
            (LifecyclePhase::Runnable, EligibilityState::EligibleNow) => {
                self.ended(step, name, ELIGIBLE, found);
            }
            (LifecyclePhase::Active, _) => self.ended(step, name, CLAIMED, found),
            (LifecyclePhase::Terminal, _) => {
                self.until.remove(name);
            }
            _ => {}
        }
    }

    fn without_time(
        &self,
        step: &Step<'_>,
        name: &ExecutionName,
        was_delayed: bool,
        to: &StateVector,
        found: &mut Found<'_>,
    ) {
        // A call that raised is told of by others.
        let has_raised = step.call.as_ref().is_some_and(|call| matches!(call.answer, Answer::Error(_)));
        if !was_delayed && !has_raised {
            let message = format!("{name} is delayed ({}), and delay_until says no time", to.blocking);
            found.violation(NO_TIME, Some(name), message);
        }
    }

    fn ended(&mut self, step: &Step<'_>, name: &ExecutionName, kind: Kind, found: &mut Found<'_>) {
        let Some(until) = self.until.remove(name) else { return };
        let early_ms = until - now(step);
        if early_ms > 0.0 {
            let how = if kind == CLAIMED { "was claimed" } else { "became eligible" };
            found.violation(
                kind,
                Some(name),
                format!("{name} was delayed and {how} {early_ms} ms before its time"),
            );
        }
    }
}

/// A promotion goes by the caller's now, everything else by the server's.
fn now(step: &Step<'_>) -> f64 {
    let promoted = step.call.as_ref().filter(|call| call.function == Function::PromoteDelayed);
    let callers = promoted.and_then(|call| std::str::from_utf8(call.argv.get(1)?).ok()?.parse().ok());
    callers.unwrap_or(step.now.0 as f64)
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::{
        property::{
            libraries::{leased, published},
            testing::{Story, cases},
        },
        protocol::{BlockingReason::Budget, TimeoutBehavior::AutoResume},
    };

    fn delayed() -> Story {
        published().creates(0, Some(500))
    }

    cases! {
        a_resume_with_a_delay_that_says_no_time: "delay/ff_resume_execution/OK/no-time",
            leased().suspends(50, 1, None).resumes(60, 100),
            near leased().suspends(50, 1, Some((60, AutoResume))).times_out(60, 0);
        an_execution_that_is_eligible_too_early: "delay/ff_unblock_execution/OK/eligible-early",
            delayed().blocks(10, Budget).unblocks(20, Budget),
            near delayed().promotes(500, 500);
        an_execution_that_is_claimed_too_early: "delay/ff_issue_grant_and_claim/OK/claimed-early",
            leased().delays(50, 1).grants_and_claims(60, 2, None),
            near leased().delays(50, 1).promotes(550, 550).grants_and_claims(560, 2, None);
    }

    #[test]
    fn a_promoter_goes_by_its_own_clock() {
        assert!(delayed().promotes(400, 500).fingerprints().is_empty());
    }

    #[test]
    fn a_replay_does_not_wait_for_the_delay_of_an_earlier_life() {
        let told = delayed().overrides_cancel(10, 0).replays(20).leases(30, 1).fingerprints();
        assert!(told.is_empty(), "{told:?}");
    }
}
