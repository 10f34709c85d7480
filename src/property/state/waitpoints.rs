//! A waitpoint that is pending is in the index that ends it, one that is closed takes nothing more, and each has a token (57
//! of `docs/protocol.md`; RFC-004, RFC-010 §6).
//!
//! Not here: the suspension it belongs to, which [`suspension`](super::suspension) asks about, and whether anybody closes
//! what has expired.

use super::{Broken, Check, Move, StateAndMoves};
use crate::{
    property::{Entry, Expect, Kind},
    trace::Step,
    view::{Entity, View, Waitpoint},
};

const PENDING_INDEX: Kind = Kind {
    name: "pending-index",
    about: "a pending waitpoint is not in the index of those that expire at its time, or one that is not pending is",
};
const CONDITION_LEFT_OPEN: Kind = Kind {
    name: "condition-left-open",
    about: "a waitpoint is closed and its condition is open: a signal that satisfies it counts",
};
const NO_TOKEN: Kind =
    Kind { name: "no-token", about: "a waitpoint is open and has no token that a signal could show" };
const EXPIRED_USED: Kind =
    Kind { name: "expired-used", about: "a pending waitpoint that had expired was used by a suspension" };
const REOPENED: Kind = Kind { name: "reopened", about: "a waitpoint that was closed is open again" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "waitpoints",
    numbers: &[57],
    claim: "A pending waitpoint will be ended, a closed one takes nothing more, and each has a token.",
    expect: Expect::Always,
    kinds: &[PENDING_INDEX, CONDITION_LEFT_OPEN, NO_TOKEN, EXPIRED_USED, REOPENED],
    monitor: || {
        const CHECKS: &[Check] = &[is_indexed, closes_its_condition, has_a_token];
        Box::new(StateAndMoves(CHECKS, &[is_used_in_time as Move, stays_closed]))
    },
};

fn waitpoint<'v>(entity: &'v Entity, view: &'v View) -> Option<Waitpoint<'v>> {
    let Entity::Waitpoint(tag, id) = entity else { return None };
    Some(view.waitpoint(tag, id))
}

fn is_indexed(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let waitpoint = waitpoint(entity, view)?;
    let until = waitpoint.record().filter(|it| it.text("state") == "pending").map(|it| it.time("expires_at"));
    let indexed = waitpoint.pending_until();
    let message = || format!("it is pending until {until:?}, and the index says {indexed:?}");
    (until != indexed.map(Some)).then(|| Broken::new(PENDING_INDEX, message())).flatten()
}

fn closes_its_condition(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let waitpoint = waitpoint(entity, view)?;
    let is_open = waitpoint.condition().is_some_and(|condition| condition.text("closed") == "0");
    (is_open && waitpoint.state() == "closed")
        .then(|| Broken::new(CONDITION_LEFT_OPEN, "a waitpoint is closed, and its condition is open"))
        .flatten()
}

fn has_a_token(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let record = waitpoint(entity, view)?.record()?;
    let is_open = matches!(record.text("state"), "pending" | "active");
    (is_open && record.text("waitpoint_token").is_empty())
        .then(|| Broken::new(NO_TOKEN, "a waitpoint is open and has no token"))
        .flatten()
}

fn is_used_in_time(entity: &Entity, step: &Step<'_>) -> Option<Broken> {
    let before = waitpoint(entity, step.before)?.record()?;
    let is_used = before.text("state") == "pending" && waitpoint(entity, step.after)?.state() == "active";
    let late_ms = step.now.0 - before.time("expires_at")?.0;
    (is_used && late_ms >= 0)
        .then(|| Broken::new(EXPIRED_USED, format!("a waitpoint was used {late_ms} ms after it had expired")))
        .flatten()
}

/// One that is made anew under its id is another.
fn stays_closed(entity: &Entity, step: &Step<'_>) -> Option<Broken> {
    let (before, after) =
        (waitpoint(entity, step.before)?.record()?, waitpoint(entity, step.after)?.record()?);
    let is_open_again =
        before.text("state") == "closed" && matches!(after.text("state"), "pending" | "active");
    (is_open_again && before.text("waitpoint_token") == after.text("waitpoint_token"))
        .then(|| Broken::new(REOPENED, "a waitpoint that was closed is open again"))
        .flatten()
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use super::super::suspension::tests::{RESUME, SUSPEND, suspends};
    use crate::property::testing::{Story, cases};

    pub const PENDING: &str = "HSET :wp:w1 waitpoint_id w1 execution_id e1 waitpoint_key k1 state pending waitpoint_token k:t created_at @15 expires_at @30; \
                               ZADD :pending_waitpoint_expiry @30 w1";

    pub fn pending(commands: &str) -> Story {
        let story = Story::new().created(0).granted(10, 50).claimed(12, 1, 100);
        story.step(15, "ff_create_pending_waitpoint e1 0 w1 k1 @30", "OK w1 k1 k:t", commands)
    }

    fn used(at: i64) -> Story {
        let commands = format!("{SUSPEND}; ZREM :pending_waitpoint_expiry w1");
        pending(PENDING).step(at, "ff_suspend_execution e1 0 a1 l1 1 s1 w1 k1", "OK s1 w1 k1 k:t", &commands)
    }

    fn closed(commands: &str) -> Story {
        suspends(SUSPEND).step(30, "ff_resume_execution e1 operator 0", "OK waiting", commands)
    }

    cases! {
        a_pending_waitpoint_that_nothing_ends: "waitpoints/ff_create_pending_waitpoint/OK/pending-index",
            pending(&PENDING.replace("ZADD :pending_waitpoint_expiry @30", "ZADD :pending_waitpoint_expiry @31")),
            alone pending(PENDING);
        a_closed_waitpoint_whose_condition_is_open: "waitpoints/ff_resume_execution/OK/condition-left-open",
            closed(&RESUME.replace("HSET :wp:w1:condition closed 1;", "")),
            alone closed(RESUME);
        a_waitpoint_without_a_token: "waitpoints/ff_suspend_execution/OK/no-token",
            suspends(&SUSPEND.replace("waitpoint_token k:t", "waitpoint_token -")),
            alone suspends(SUSPEND);
        a_waitpoint_that_is_used_at_the_millisecond_it_expires: "waitpoints/ff_suspend_execution/OK/expired-used",
            used(30),
            alone used(29);
        a_waitpoint_that_is_open_again: "waitpoints/ff_close_waitpoint/OK/reopened",
            closed(RESUME).step(40, "ff_close_waitpoint w1 why", "OK", "HSET :wp:w1 state active suspension_id s0"),
            alone closed(RESUME).step(40, "ff_create_pending_waitpoint e1 0 w1 k1 @90", "OK", "HSET :wp:w1 state pending suspension_id - waitpoint_token k:u expires_at @90; ZADD :pending_waitpoint_expiry @90 w1");
    }
}
