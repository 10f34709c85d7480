//! Attempts are counted without gaps (11, 31 of `docs/protocol.md`), one at a time is open and none when the execution has
//! ended (30), the one that runs is the lease's, and one that has ended never changes (48).
//!
//! Not here: usage and policy of an attempt, and its stream.

use std::borrow::Cow;

use super::rules::{Deed, Fault, Rules, Seen};
use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Moment, Step},
    types::{AttemptIndex, AttemptState, ExecutionId, LifecyclePhase, OwnershipState},
    view::{Attempt, Core, keys_of},
};

const COUNT: Kind =
    Kind { name: "count", about: "the count of attempts, their list and the current index do not agree" };
const LEFT_OPEN: Kind = Kind {
    name: "left-open",
    about: "an attempt is open though its execution has ended, or a later attempt has begun",
};
const STATE: Kind =
    Kind { name: "state", about: "the current attempt's record is missing, or in another state" };
const IDENTITY: Kind =
    Kind { name: "identity", about: "the attempt that runs names another lease or worker" };
const MODIFIED: Kind = Kind { name: "modified", about: "an attempt that had ended was changed" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "attempts",
    numbers: &[11, 30, 31, 48],
    claim: "Attempts are counted without gaps, one is open at a time and none at the end, and what has ended stays as it is.",
    expect: Expect::Always,
    kinds: &[COUNT, LEFT_OPEN, STATE, IDENTITY, MODIFIED],
    monitor: || Box::new(Attempts(Rules::new(concerns, &[count, open, current]))),
};

/// The rules, and the one that compares an attempt before and after.
#[derive(Clone, Hash)]
struct Attempts(Rules);

impl Property for Attempts {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        self.0.observe(moment, found);
        let Moment::Step(step) = moment else { return };
        for (id, index) in written(step) {
            let deed = Deed { step, id: &id, changes: &[] };
            if !deed.is_told_elsewhere() {
                modified(step, &id, index, found);
            }
        }
    }
}

fn concerns(deed: &Deed<'_>) -> bool {
    deed.changed_state() || written(deed.step).any(|(id, _)| id == *deed.id)
}

/// The attempts whose records a step wrote.
fn written<'s>(step: &'s Step<'_>) -> impl Iterator<Item = (ExecutionId, AttemptIndex)> + 's {
    let keys = step.effects.iter().flat_map(keys_of).filter_map(|key| std::str::from_utf8(key).ok());
    keys.filter_map(|key| {
        let (_, rest) = key.strip_prefix("ff:attempt:")?.split_once("}:")?;
        let (id, index) = rest.rsplit_once(':')?;
        Some((ExecutionId::parse(id).ok()?, AttemptIndex(index.parse().ok()?)))
    })
}

fn count(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let total = seen.core.0.count("total_attempt_count");
    let listed = seen.execution.attempt_count() as u64;
    let after_current = seen.core.attempt_index().map_or(0, |index| u64::from(index.0) + 1);
    if (total, total) != (listed, after_current) {
        let message = format!(
            "counts {total} attempts, lists {listed}, and its current index is {:?}",
            seen.core.text("current_attempt_index")
        );
        faults.push(Fault { kind: COUNT, what: "".into(), message });
    }
}

fn open(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let current = seen.core.attempt_index();
    let why = match (&seen.state.phase, &seen.state.attempt) {
        (LifecyclePhase::Terminal, _) => Some("it has ended"),
        (_, AttemptState::PendingRetryAttempt | AttemptState::PendingReplayAttempt) => {
            Some("it waits for a new one")
        }
        _ => None,
    };
    for index in seen.execution.attempts() {
        if Some(index) == current && why.is_none() {
            continue;
        }
        let Some(attempt) = seen.execution.attempt(index).filter(is_open) else { continue };
        let why = why.unwrap_or("a later one is its current attempt");
        let message = format!("has attempt {} still {}, and {why}", index.0, attempt.state());
        faults.push(Fault { kind: LEFT_OPEN, what: what(index), message });
    }
}

fn current(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let Some(index) = seen.core.attempt_index() else { return };
    let state = &seen.state;
    let attempt = seen.execution.attempt(index);
    let expected = match (&state.phase, &state.attempt) {
        (LifecyclePhase::Active, _) => "started",
        (LifecyclePhase::Suspended, _) | (LifecyclePhase::Runnable, AttemptState::AttemptInterrupted) => {
            "suspended"
        }
        _ => "",
    };
    let found = attempt.map_or("missing", |attempt| attempt.0.text("attempt_state"));
    if attempt.is_none() || !expected.is_empty() && found != expected {
        let message =
            format!("is {}, {}, and its attempt {} is {found}", state.phase, state.attempt, index.0);
        faults.push(Fault { kind: STATE, what: what(index), message });
        return;
    }
    let Some(attempt) = attempt.filter(|_| state.ownership == OwnershipState::Leased) else { return };
    let fields = [
        ("current_attempt_id", "attempt_id"),
        ("current_lease_id", "lease_id"),
        ("current_lease_epoch", "lease_epoch"),
        ("current_worker_id", "worker_id"),
        ("current_worker_instance_id", "worker_instance_id"),
    ];
    for (core, field) in fields {
        let (of_core, of_attempt) = (seen.core.text(core), attempt.0.text(field));
        if of_core != of_attempt {
            let message =
                format!("has {core} {of_core:?}, and its attempt {} has {field} {of_attempt:?}", index.0);
            faults.push(Fault { kind: IDENTITY, what: field.into(), message });
            return;
        }
    }
}

fn modified(step: &Step<'_>, id: &ExecutionId, index: AttemptIndex, found: &mut Found<'_>) {
    let before = step.before.execution(id);
    let Some(old) = before.attempt(index).filter(|attempt| !is_open(attempt)) else { return };
    // It had ended and its execution runs: that was told (a call may have raised half-way), and this one goes on from there.
    let runs = |core: Core<'_>| {
        core.attempt_index() == Some(index)
            && !core.is_terminal()
            && core.ownership() != OwnershipState::Unowned
    };
    if before.core().is_some_and(runs) {
        return;
    }
    let new = before.seen_in(step.after).attempt(index);
    if new.is_some_and(|new| old.0 == new.0) {
        return;
    }
    let state = new.map_or("gone", |new| new.0.text("attempt_state"));
    let name = step.names.of(id);
    let message = format!(
        "{name}'s attempt {} had ended ({}) and was changed: now it is {state}",
        index.0,
        old.state()
    );
    found.violation(MODIFIED, Some(&name), message);
}

fn is_open(attempt: &Attempt<'_>) -> bool {
    matches!(attempt.state(), "started" | "suspended")
}

fn what(index: AttemptIndex) -> Cow<'static, str> {
    index.0.to_string().into()
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::{
        property::{
            libraries::leased,
            testing::{Story, cases},
        },
        protocol::TimeoutBehavior::AutoResume,
    };

    fn renewed(commands: &str) -> Story {
        leased().step(30, "ff_renew_lease e1 0 a1 l1 1 0 0", "OK", commands)
    }

    fn done() -> Story {
        leased().completes(50, 1)
    }

    cases! {
        an_attempt_that_is_counted_twice: "attempts/ff_claim_execution/OK/count",
            leased().step(30, "ff_claim_execution e1 w w-1 gold", "OK", "HSET :core total_attempt_count 2; HSET :attempt:0 resumed_at @30"),
            near done().replays(60).leases(70, 2);
        an_attempt_that_is_open_when_its_execution_has_ended: "attempts/ff_cancel_execution/OK/left-open",
            leased().delays(50, 1).overrides_cancel(60, 0),
            near leased().overrides_cancel(60, 0);
        an_attempt_in_another_state_than_its_execution: "attempts/ff_renew_lease/OK/state",
            renewed("HSET :attempt:0 attempt_state suspended"),
            near leased().suspends(50, 1, None);
        an_attempt_of_another_lease: "attempts/ff_renew_lease/OK/identity",
            renewed("HSET :attempt:0 lease_id other"),
            near leased().suspends(50, 1, Some((60, AutoResume))).times_out(60, 0).resumes_lease(70, 2, 0);
        an_attempt_that_changes_after_its_end: "attempts/ff_cancel_execution/execution_not_active/modified",
            done().step(60, "ff_cancel_execution e1 why operator_override", "execution_not_active", "HSET :attempt:0 failure_reason why"),
            near done().overrides_cancel(60, 0);
    }

    #[test]
    fn the_attempt_that_stays_open_is_told_of_once_and_not_by_the_next_one() {
        let told = leased()
            .delays(50, 1)
            .overrides_cancel(60, 0)
            .replays(70)
            .leases(80, 2)
            .completes(90, 2)
            .fingerprints();
        assert_eq!(told, ["attempts/ff_cancel_execution/OK/left-open"]);
    }
}
