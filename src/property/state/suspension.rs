//! A suspended execution has an open record of what it waits for, and nothing else has (24 and 57 of `docs/protocol.md`; S1
//! to S4 of RFC-004).
//!
//! The record's ids are those of the core, its waitpoints are open while it is and closed with it, and the index of
//! timeouts has its timeout and no other. A waitpoint that is waited at has an open condition. Not here: what a signal
//! does, which [`signals`](super::signals) asks, and the lane's set of suspended executions.

use super::{Broken, Check, State};
use crate::{
    property::{Entry, Expect, Kind},
    trace::Step,
    types::{ExecutionId, LifecyclePhase},
    view::{Entity, Execution, Suspension, View, tag_of},
};

const NO_RECORD: Kind = Kind {
    name: "no-record",
    about: "an execution is suspended and has no open record of it, or the record is of another suspension",
};
const LEFT_OPEN: Kind = Kind {
    name: "left-open",
    about: "an execution is not suspended and the record of its suspension is open",
};
const TIMEOUT_INDEX: Kind = Kind {
    name: "timeout-index",
    about: "the index of timeouts does not have a suspension's timeout, has another, or one of what is over",
};
const NO_CAUSE: Kind =
    Kind { name: "no-cause", about: "a suspension is over and its record does not say why" };
const NO_WAITPOINT: Kind = Kind {
    name: "no-waitpoint",
    about: "a suspension is open and its waitpoint is not active, or another execution's or suspension's",
};
const NO_CONDITION: Kind = Kind {
    name: "no-condition",
    about: "a suspension is open and the condition of its waitpoint is missing, or closed: no signal is accepted there",
};
const WAITPOINT_LEFT_OPEN: Kind =
    Kind { name: "waitpoint-left-open", about: "a suspension is over and one of its waitpoints is open" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "suspension",
    numbers: &[24, 57],
    claim: "A suspended execution has an open record of what it waits for, and nothing else has.",
    expect: Expect::Always,
    kinds: &[NO_RECORD, LEFT_OPEN, TIMEOUT_INDEX, NO_CAUSE, NO_WAITPOINT, NO_CONDITION, WAITPOINT_LEFT_OPEN],
    monitor: || {
        Box::new(State(&[
            has_a_record as Check,
            is_timed,
            has_a_cause,
            has_its_waitpoint,
            has_its_condition,
            closes_its_waitpoints,
        ]))
    },
};

fn execution<'v>(entity: &Entity, view: &'v View) -> Option<Execution<'v>> {
    let Entity::Execution(id) = entity else { return None };
    Some(view.execution(id))
}

fn is_suspended(execution: &Execution<'_>) -> bool {
    execution.core().is_some_and(|core| core.text("lifecycle_phase") == LifecyclePhase::Suspended.as_str())
}

fn has_a_record(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let execution = execution(entity, view)?;
    let core = execution.core()?;
    let open = execution.suspension().filter(Suspension::is_open);
    match (is_suspended(&execution), open) {
        (true, None) => Broken::new(NO_RECORD, "it is suspended, and no open record says so"),
        (true, Some(record)) => {
            let named = (core.text("current_suspension_id"), core.text("current_waitpoint_id"));
            let message = || format!("its core names {named:?}, and the record is of {}", record.id());
            (named != (record.id(), record.waitpoint())).then(|| Broken::new(NO_RECORD, message())).flatten()
        }
        (false, Some(_)) => Broken::new(LEFT_OPEN, "it is not suspended, and its suspension is open"),
        (false, None) => None,
    }
}

fn is_timed(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let execution = execution(entity, view)?;
    let indexed = view.score(&execution.keys().index.suspension_timeout(), execution.id().as_str());
    if indexed.is_none() && !is_suspended(&execution) {
        return None;
    }
    let record = execution.suspension().filter(|record| is_suspended(&execution) && record.is_open());
    let timeout = record.and_then(|record| record.timeout_at()).map(|at| at.0 as f64);
    let message = || format!("its suspension times out at {timeout:?}, and the index says {indexed:?}");
    (indexed != timeout).then(|| Broken::new(TIMEOUT_INDEX, message())).flatten()
}

fn has_a_cause(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let record = execution(entity, view)?.suspension()?;
    let is_silent = !record.id().is_empty() && !record.is_open() && record.text("close_reason").is_empty();
    is_silent.then(|| Broken::new(NO_CAUSE, "its suspension is over, and nothing says why")).flatten()
}

fn has_its_waitpoint(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let execution = execution(entity, view)?;
    let record = execution.suspension().filter(Suspension::is_open)?;
    (!is_its_own(&execution, &record, view))
        .then(|| Broken::new(NO_WAITPOINT, "it waits at a waitpoint that is not open, or not its own"))
        .flatten()
}

fn is_its_own(execution: &Execution<'_>, record: &Suspension<'_>, view: &View) -> bool {
    let Some(tag) = tag_of(execution.id()) else { return false };
    view.waitpoint(tag, record.waitpoint()).record().is_some_and(|it| {
        it.text("state") == "active"
            && it.text("execution_id") == execution.id().as_str()
            && it.text("suspension_id") == record.id()
    })
}

/// Of a waitpoint that is not its own, [`has_its_waitpoint`] tells.
fn has_its_condition(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let execution = execution(entity, view)?;
    let record = open_suspension(execution.id(), view)?;
    let condition = view.waitpoint(tag_of(execution.id())?, record.waitpoint()).condition();
    let is_open = condition.is_some_and(|it| it.text("closed") == "0");
    (!is_open && is_its_own(&execution, &record, view))
        .then(|| Broken::new(NO_CONDITION, "it waits at a waitpoint whose condition is missing, or closed"))
        .flatten()
}

fn closes_its_waitpoints(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let execution = execution(entity, view)?;
    let record = execution.suspension().filter(|record| !record.id().is_empty() && !record.is_open())?;
    let tag = tag_of(execution.id())?;
    let mut waitpoints = record.more_waitpoints();
    waitpoints.push(record.waitpoint().to_owned());
    let is_open = |id: &&String| {
        let waitpoint = view.waitpoint(tag, id).record();
        waitpoint.is_some_and(|it| it.text("state") == "active" && it.text("suspension_id") == record.id())
    };
    let open = waitpoints.iter().find(is_open)?;
    Broken::new(WAITPOINT_LEFT_OPEN, format!("its suspension is over, and waitpoint {open} is open"))
}

/// What an execution waits for, if it is suspended.
pub(super) fn open_suspension<'v>(id: &ExecutionId, view: &'v View) -> Option<Suspension<'v>> {
    let execution = view.execution(id);
    execution.suspension().filter(|record| is_suspended(&execution) && record.is_open())
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    pub const SUSPEND: &str = "DEL :lease; HSET :core lifecycle_phase suspended ownership_state unowned \
        current_suspension_id s1 current_waitpoint_id w1 current_lease_id - lease_expires_at - terminal_outcome none; \
        ZREM :lane:gold:active e1; ZADD :lane:gold:suspended @90 e1; \
        HSET :e1:suspension:current suspension_id s1 waitpoint_id w1 waitpoint_key k1 timeout_at @90 resume_condition_json {\"required_signal_names\":[\"go\"]} closed_at - close_reason -; \
        HSET :wp:w1 waitpoint_id w1 execution_id e1 suspension_id s1 waitpoint_key k1 state active waitpoint_token k:t created_at @20; \
        HSET :wp:w1:condition closed 0; ZADD :suspension_timeout @90 e1";

    pub fn suspends(commands: &str) -> Story {
        let story = Story::new().created(0).granted(10, 50).claimed(12, 1, 100);
        story.step(20, "ff_suspend_execution e1 0 a1 l1 1 s1 w1 k1", "OK s1 w1 k1 k:t", commands)
    }

    pub const RESUME: &str = "HSET :core lifecycle_phase runnable eligibility_state eligible_now attempt_state attempt_interrupted \
        current_suspension_id - current_waitpoint_id -; ZREM :lane:gold:suspended e1; ZADD :lane:gold:eligible 0 e1; \
        HSET :e1:suspension:current closed_at @30 close_reason resumed; HSET :wp:w1 state closed; HSET :wp:w1:condition closed 1; \
        ZREM :suspension_timeout e1";

    fn resumes(commands: &str) -> Story {
        suspends(SUSPEND).step(30, "ff_resume_execution e1 operator 0", "OK waiting", commands)
    }

    cases! {
        a_suspension_without_a_record: "suspension/ff_suspend_execution/OK/no-record",
            suspends(&SUSPEND.replace("HSET :e1:suspension:current suspension_id s1", "HSET :e1:suspension:current suspension_id -").replace("timeout_at @90", "timeout_at -").replace("ZADD :suspension_timeout @90 e1", "ZREM :suspension_timeout e1")),
            alone suspends(SUSPEND);
        a_record_that_stays_open: "suspension/ff_resume_execution/OK/left-open",
            resumes(&RESUME.replace("closed_at @30", "closed_at -").replace("HSET :wp:w1 state closed; HSET :wp:w1:condition closed 1;", "")),
            alone resumes(RESUME);
        a_timeout_that_no_scanner_finds: "suspension/ff_suspend_execution/OK/timeout-index",
            suspends(&SUSPEND.replace("ZADD :suspension_timeout @90 e1", "ZADD :suspension_timeout @91 e1")),
            alone suspends(&SUSPEND.replace("ZADD :suspension_timeout @90 e1", "ZREM :suspension_timeout e1").replace("timeout_at @90", "timeout_at -"));
        a_timeout_that_outlives_its_suspension: "suspension/ff_resume_execution/OK/timeout-index",
            resumes(&RESUME.replace("ZREM :suspension_timeout e1", "ZREM :suspension_timeout e2")),
            alone resumes(RESUME);
        a_resume_without_a_cause: "suspension/ff_resume_execution/OK/no-cause",
            resumes(&RESUME.replace("close_reason resumed", "close_reason -")),
            alone resumes(RESUME);
        a_suspension_at_another_executions_waitpoint: "suspension/ff_suspend_execution/OK/no-waitpoint",
            suspends(&SUSPEND.replace("execution_id e1", "execution_id e2")),
            alone suspends(SUSPEND);
        a_suspension_that_no_signal_can_end: "suspension/ff_suspend_execution/OK/no-condition",
            suspends(&SUSPEND.replace("HSET :wp:w1:condition closed 0", "HSET :wp:w1:condition closed 1")),
            alone suspends(SUSPEND);
        a_waitpoint_that_outlives_its_suspension: "suspension/ff_resume_execution/OK/waitpoint-left-open",
            resumes(&RESUME.replace("HSET :wp:w1 state closed; HSET :wp:w1:condition closed 1;", "")),
            alone resumes(RESUME);
    }
}
