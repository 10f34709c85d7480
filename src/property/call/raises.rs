//! No function raises, whatever it is sent (61 of `docs/protocol.md`).
//!
//! An error reply is the server's own where the server says that it could not run the function at all, or not now; any
//! other one was raised by the function, or answered by it. Not here: what a function wrote before it raised
//! ([`refusal_writes`](super::refusal_writes)), and a function that never returns, which ends the run.

use valkey_sim::{engine::Reply, lua::is_out_of_instructions};

use super::{Calls, Look, Wrong};
use crate::{
    property::{Entry, Expect, Kind},
    protocol::{
        reply::was_not_run,
        shape::{Shape, is_plain_json, is_plain_number},
    },
    trace::{Call, Step},
    types::Function,
};

const RAISED: Kind = Kind { name: "raised", about: "the function raised an error" };
const BAD_ARGUMENTS: Kind = Kind {
    name: "on-bad-arguments",
    about: "the function raised an error over an argument that is not what it documents, instead of refusing it",
};
const STORED: Kind = Kind {
    name: "on-what-it-stored",
    about: "the function raised an error over a value that an earlier call had stored",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "raises",
    numbers: &[61],
    claim: "No function raises an error, whatever it is sent.",
    expect: Expect::Always,
    kinds: &[RAISED, BAD_ARGUMENTS, STORED],
    monitor: || Box::new(Calls(&[raised as Look])),
};

/// The codes by which a server says that it will not run a function so, now or later.
const NEVER: [&str; 6] = ["ASK", "CROSSSLOT", "EXECABORT", "MOVED", "NOAUTH", "NOPERM"];

/// How `ERR` goes on where the function was never begun.
const NOT_BEGUN: [&str; 2] = ["ERR Bad number of keys", "ERR Number of keys can't be greater"];

fn raised(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    let Reply::Error(error) = call.reply else { return None };
    let is_the_servers = was_not_run(error)
        || NEVER.contains(&error.code())
        || NOT_BEGUN.iter().any(|text| error.0.starts_with(text))
        || is_out_of_instructions(error);
    if is_the_servers || !call.function.is_known() {
        return None;
    }
    let kind = match Shape::of(&call.function) {
        Some(shape) if !shape.takes(call.argv) => BAD_ARGUMENTS,
        _ if has_stored_oddities(step, call) => STORED,
        _ => RAISED,
    };
    Some(Wrong { kind, message: format!("{} raised: {}", call.function, error.0) })
}

/// The fields of `core` that are numbers, or empty.
const NUMBERS: [&str; 9] = [
    "created_at",
    "current_lease_epoch",
    "delay_until",
    "lease_expires_at",
    "lease_reclaim_count",
    "priority",
    "replay_count",
    "retry_count",
    "total_attempt_count",
];

/// Whether the function found something of its execution that a library should never have stored.
fn has_stored_oddities(step: &Step<'_>, call: &Call<'_>) -> bool {
    let Some(id) = &call.presented.execution else { return false };
    let execution = step.before.execution(id);
    let Some(core) = execution.core() else { return false };
    let is_odd = |name: &&str| {
        let text = core.text(name);
        !text.is_empty() && !is_plain_number(text.as_bytes())
    };
    let waits_for_no_time = call.function == Function::PromoteDelayed && core.delay_until().is_none();
    let suspension = execution.suspension();
    let times_out_never = call.function == Function::ExpireSuspension
        && suspension.is_some_and(|suspension| suspension.timeout_at().is_none());
    let policy = step.before.string(&execution.keys().exec.policy());
    let has_odd_policy = policy.is_some_and(|policy| !is_plain_json(policy.as_bytes()));
    waits_for_no_time || times_out_never || has_odd_policy || NUMBERS.iter().any(is_odd)
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    fn promoted(at: i64, answer: &str) -> Story {
        let core =
            "HSET :core lifecycle_phase runnable eligibility_state not_eligible_until_time lane_id gold";
        let created = Story::new().step(
            0,
            "ff_create_execution e1 ns gold kind 0 me - - @50 - - - 7",
            "OK",
            &format!("{core} delay_until @50; ZADD :lane:gold:delayed @50 e1"),
        );
        created.step(at, &format!("ff_promote_delayed e1 @{at}"), answer, "")
    }

    cases! {
        a_function_that_raises: "raises/ff_promote_delayed/ERR/raised",
            promoted(60, "ERR user_function:7: attempt to index a nil value"),
            near promoted(60, "LOADING Valkey is loading the dataset in memory");
        a_function_that_answers_an_error_of_its_own: "raises/ff_promote_delayed/WHOOPS/raised",
            promoted(60, "WHOOPS no such thing"),
            near promoted(60, "invalid_input");
        a_function_that_raises_over_an_argument: "raises/ff_promote_delayed/ERR/on-bad-arguments",
            Story::new().step(0, "ff_promote_delayed e1 soon", "ERR user_function:7: soon", ""),
            near Story::new().step(0, "ff_promote_delayed e1 soon", "invalid_input", "");
        a_function_that_raises_over_what_another_stored: "raises/ff_promote_delayed/ERR/on-what-it-stored",
            promoted(10, "OK").plain(20, "HSET :core delay_until -").step(60, "ff_promote_delayed e1 @60", "ERR nil", ""),
            near promoted(10, "OK").plain(20, "HSET :core delay_until -").step(60, "ff_promote_delayed e1 @60", "OOM command not allowed", "");
    }

    #[test]
    fn a_function_that_the_library_lacks_and_one_that_only_it_has_are_not_judged() {
        let story = Story::new().step(0, "ff_promote_delayed e1 @0", "ERR Function not found", "");
        assert!(story.step(1, "job_push e1", "ERR whatever", "").fingerprints().is_empty());
    }
}
