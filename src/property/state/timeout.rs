//! An attempt's timeout is armed when the attempt begins, for this attempt only (17 of `docs/protocol.md`); a deadline stays
//! armed until the execution has ended.
//!
//! Armed is what the indexes attempt_timeout and execution_deadline name. Not here: whether a scanner that finds one due may
//! act on it.

use super::rules::{Deed, Fault, Rules, Seen, number};
use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Call, Happened, Moment},
    types::{Function, LifecyclePhase},
    view::Place,
};

const NOT_ARMED: Kind = Kind {
    name: "not-armed",
    about: "a call gave a timeout or deadline, and no scanner will find it at its time",
};
const INHERITED: Kind = Kind { name: "inherited", about: "a new attempt has the timeout of an earlier one" };
const LEFT: Kind = Kind { name: "left", about: "a timeout or deadline is armed for what no longer runs" };
const LOST: Kind =
    Kind { name: "lost", about: "a deadline is not armed any more, and its execution has not ended" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "timeout",
    numbers: &[17, 24],
    claim: "A timeout is armed for the attempt it was given to and no other, and a deadline until its execution has ended.",
    expect: Expect::Always,
    kinds: &[NOT_ARMED, INHERITED, LEFT, LOST],
    monitor: || Box::new(Timeouts(Rules::new(|deed| deed.moved(), &[left]))),
};

/// What is left, and what a step made of the timeouts it found.
#[derive(Clone, Hash)]
struct Timeouts(Rules);

impl Property for Timeouts {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        self.0.observe(moment, found);
        let Moment::Step(step) = moment else { return };
        for deed in Deed::all(step).filter(|deed| !deed.changes.is_empty() && !deed.is_told_elsewhere()) {
            armed(&deed, found);
            kept(&deed, found);
        }
    }
}

fn left(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let Some(places) = seen.execution.places(seen.core.lane()) else { return };
    let phase = &seen.state.phase;
    for (place, lives) in [
        (Place::AttemptTimeout, *phase == LifecyclePhase::Active),
        (Place::ExecutionDeadline, *phase != LifecyclePhase::Terminal),
    ] {
        if !lives && places.holds(place) {
            let message = format!("is {phase}, and still in {}", place.name());
            faults.push(Fault { kind: LEFT, what: place.name().into(), message });
        }
    }
}

/// What the call gave is armed, and what it did not give is not.
fn armed(deed: &Deed<'_>, found: &mut Found<'_>) {
    let Some(call) = &deed.step.call else { return };
    let is_claimed = deed.did(|what| matches!(what, Happened::LeaseCreated { .. }));
    let is_created = deed.did(|what| matches!(what, Happened::Created { .. }));
    if !is_claimed && !is_created {
        return;
    }
    let Some((after, name)) = deed.after().map(|after| (after, deed.step.names.of(deed.id))) else { return };
    let Some(places) = after.execution.places(after.core.lane()) else { return };
    let (timeout, deadline) = given(call);
    let now = deed.step.now.0 as f64;
    for (place, due) in
        [(Place::AttemptTimeout, timeout.map(|ms| now + ms)), (Place::ExecutionDeadline, deadline)]
    {
        let score = places.score(place);
        if due.is_some_and(|due| score != Some(due)) {
            let message = format!(
                "{name} was given {} for {place:?}, and its score there is {score:?}",
                due.unwrap_or(0.0)
            );
            found.violation(NOT_ARMED, Some(&name), message);
        }
    }
    let is_new_attempt =
        deed.before().is_some_and(|before| before.core.attempt_index() != after.core.attempt_index());
    if timeout.is_none() && is_claimed && is_new_attempt && places.holds(Place::AttemptTimeout) {
        let message =
            format!("{name} has a new attempt without a timeout, and attempt_timeout still names it");
        found.violation(INHERITED, Some(&name), message);
    }
}

/// The timeout and the deadline that a call gives, in milliseconds: an attempt's from now on, an execution's on the clock.
fn given(call: &Call<'_>) -> (Option<f64>, Option<f64>) {
    let read = |at: usize| {
        let text = call.argv.get(at).and_then(|arg| std::str::from_utf8(arg).ok())?;
        number(text).filter(|ms| *ms != 0.0)
    };
    // By the ARGV comments of the published library, version 34.
    match call.function {
        Function::CreateExecution => (None, read(11)),
        Function::ClaimExecution | Function::AcquireLease => (read(10), read(11)),
        Function::ClaimResumedExecution => (read(7).filter(|ms| *ms > 0.0), None),
        Function::IssueGrantAndClaim => (read(9), read(10)),
        _ => (None, None),
    }
}

fn kept(deed: &Deed<'_>, found: &mut Found<'_>) {
    let is_deadline =
        |what: &Happened| matches!(what, Happened::Unindexed(index) if index.name == "execution_deadline");
    if !deed.did(is_deadline) {
        return;
    }
    let Some(after) = deed.after().filter(|after| after.state.phase != LifecyclePhase::Terminal) else {
        return;
    };
    let name = deed.step.names.of(deed.id);
    let message = format!("{name} is {}, and its deadline is not armed any more", after.state.phase);
    found.violation(LOST, Some(&name), message);
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::{
        libraries::{leased, published},
        testing::{Story, cases},
    };

    /// A lease until 110, of an attempt with a timeout at 30010.
    fn timed() -> Story {
        published().creates(0, None).leases_with_timeout(10, 1, 30_000)
    }

    fn due() -> Story {
        published().creates_with(0, 0, "", Some(500))
    }

    fn delayed() -> Story {
        leased().delays(50, 1).promotes(600, 600)
    }

    cases! {
        a_timeout_that_nobody_arms: "timeout/ff_issue_grant_and_claim/OK/not-armed",
            delayed().grants_and_claims(610, 2, Some(700)),
            near delayed().grants_and_claims(610, 2, None);
        a_timeout_of_an_earlier_attempt: "timeout/ff_reclaim_execution/OK/inherited",
            timed().marks(120).grants(130, true).reclaims(140, 2),
            near timed().delays(50, 1).promotes(600, 600).resumes_lease(610, 2, 0);
        a_timeout_that_is_left: "timeout/ff_set_execution_tags/OK/left",
            timed().completes(50, 1).step(60, "ff_set_execution_tags e1", "OK", "ZADD :attempt_timeout 7 e1"),
            near timed().completes(50, 1);
        a_deadline_that_is_lost: "timeout/ff_delay_execution/OK/lost",
            due().step(10, "ff_delay_execution e1", "OK", "ZREM :execution_deadline e1"),
            near due().leases(10, 1).completes(20, 1);
    }

    /// D41 of `docs/protocol.md`.
    #[test]
    fn a_suspension_that_times_out_and_a_skip_leave_the_deadline() {
        let times_out =
            due().leases(10, 1).suspends(50, 1, Some((80, crate::protocol::TimeoutBehavior::Fail)));
        assert_eq!(times_out.times_out(80, 0).fingerprints(), ["timeout/ff_expire_suspension/OK/left"]);
        let skipped = due().depends(10, 1).resolves(20, 1, "failed");
        assert_eq!(skipped.fingerprints(), ["timeout/ff_resolve_dependency/OK/left"]);
    }
}
