//! What has ended has ended: nothing but a replay leaves terminal, an outcome and a result stay, and a replay keeps its rules
//! (RFC-001 §3.1 and §1.1, E9; RFC-002; 13, 14 and 51 of `docs/protocol.md`).
//!
//! A replay goes at most to the limit (policy `max_replay_count`, else 10), is counted, and leaves earlier attempts as they
//! are. Not here: which states are legal before and after, and that the next completion overwrites the result, which
//! [`reply_state`](crate::property::call::reply_state) asks.

use serde_json::Value;

use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Moment, Step},
    types::{Answer, ExecutionId, Function, Status},
    view::{Entity, Execution, keys_of},
};

const REVIVED: Kind = Kind { name: "revived", about: "an execution left terminal, and not by a replay" };
const OUTCOME: Kind =
    Kind { name: "other-outcome", about: "an execution that had ended has another outcome" };
const RESULT: Kind = Kind { name: "other-result", about: "an execution that had ended has another result" };
const OVER_LIMIT: Kind =
    Kind { name: "over-the-limit", about: "an execution was replayed more often than it may" };
const UNCOUNTED: Kind = Kind { name: "uncounted", about: "a replay was not counted, or more than once" };
const TOUCHED: Kind = Kind { name: "attempt-touched", about: "a replay changed an attempt, or what it used" };
const NO_RECLAIMS: Kind = Kind {
    name: "no-reclaims-left",
    about: "an execution was replayed whose next lost lease ends it, since its earlier life used up the reclaims",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "terminal",
    numbers: &[13, 14, 51],
    claim: "What has ended is left by replays only, within their limit, and keeps its outcome, result and attempts.",
    expect: Expect::Always,
    kinds: &[REVIVED, OUTCOME, RESULT, OVER_LIMIT, UNCOUNTED, TOUCHED, NO_RECLAIMS],
    monitor: || Box::new(Terminal),
};

/// How often an execution may be replayed whose policy does not say (ff-script 0.15, ff_replay_execution).
const REPLAYS: u64 = 10;

#[derive(Clone, Hash)]
struct Terminal;

impl Property for Terminal {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        // What a function leaves that raises is half done, which is the business of `refusal-writes`.
        if step.call.as_ref().is_some_and(|call| matches!(call.answer, Answer::Error(_))) {
            return;
        }
        for entity in step.touched {
            let Entity::Execution(id) = entity else { continue };
            let before = step.before.execution(id);
            if before.core().is_some_and(|core| core.is_terminal()) {
                judge(step, id, &before, found);
            }
        }
    }
}

fn judge(step: &Step<'_>, id: &ExecutionId, before: &Execution<'_>, found: &mut Found<'_>) {
    let (Some(old), Some(new)) = (before.core(), before.seen_in(step.after).core()) else { return };
    let name = step.names.of(id);
    if new.is_terminal() {
        let (outcome, was) = (new.text("terminal_outcome"), old.text("terminal_outcome"));
        if outcome != was {
            found.violation(
                OUTCOME,
                Some(&name),
                format!("{name} had ended as {was} and has ended as {outcome}"),
            );
        }
        let result = before.keys().exec.result();
        if step.before.entry(&result).is_some() && step.before.entry(&result) != step.after.entry(&result) {
            found.violation(
                RESULT,
                Some(&name),
                format!("the result of {name}, which had ended, is another"),
            );
        }
        return;
    }
    let replays = step.call.as_ref().is_some_and(|call| {
        call.function == Function::ReplayExecution && call.answer == Answer::Consent(Status::Ok)
    });
    if !replays {
        let phase = new.text("lifecycle_phase");
        found.violation(REVIVED, Some(&name), format!("{name} had ended and is {phase}, without a replay"));
        return;
    }
    let (count, limit) =
        (old.0.count("replay_count"), limit(step, before, "max_replay_count").unwrap_or(REPLAYS));
    if count >= limit {
        let message = format!("{name} was replayed a {}th time, and may be {limit} times", count + 1);
        found.violation(OVER_LIMIT, Some(&name), message);
    }
    if new.0.count("replay_count") != count + 1 {
        let message = format!("{name} was replayed {count} times, and then {}", new.text("replay_count"));
        found.violation(UNCOUNTED, Some(&name), message);
    }
    if step.effects.iter().flat_map(keys_of).any(|key| is_of_attempt(key, id)) {
        found.violation(TOUCHED, Some(&name), format!("the replay of {name} changed an attempt of it"));
    }
    let (reclaims, cap) = (new.0.count("lease_reclaim_count"), limit_of_reclaims(step, before));
    if cap.is_some_and(|cap| cap > 0 && reclaims >= cap) {
        let message =
            format!("{name} was replayed with {reclaims} of its reclaims used up in its earlier life");
        found.violation(NO_RECLAIMS, Some(&name), message);
    }
}

fn limit_of_reclaims(step: &Step<'_>, execution: &Execution<'_>) -> Option<u64> {
    limit(step, execution, "max_reclaim_count")
}

/// A limit of the execution's policy.
fn limit(step: &Step<'_>, execution: &Execution<'_>, name: &str) -> Option<u64> {
    let policy = step.before.string(&execution.keys().exec.policy())?;
    let policy: Value = serde_json::from_str(&policy).ok()?;
    policy[name].as_u64()
}

/// Whether a key is that of an attempt's record, of what it used, or of its policy: `ff:attempt:{fp:N}:<id>:…`.
fn is_of_attempt(key: &[u8], id: &ExecutionId) -> bool {
    let rest = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix("ff:attempt:"));
    let rest = rest.and_then(|rest| rest.split_once("}:")?.1.strip_prefix(id.as_str()));
    rest.is_some_and(|rest| rest.starts_with(':'))
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    /// It has ended with a result, and may be replayed twice.
    fn ended() -> Story {
        let created =
            Story::new().created(0).plain(1, r#"SET :policy {"max_replay_count":2,"max_reclaim_count":1}"#);
        created.granted(10, 50).claimed(20, 1, 100).completed(50, 1).plain(51, "SET :result done")
    }

    fn replayed(story: Story, at: i64, count: u64, more: &str) -> Story {
        let commands = format!(
            "HSET :core lifecycle_phase runnable eligibility_state eligible_now terminal_outcome none attempt_state \
             pending_replay_attempt replay_count {count}; ZREM :lane:gold:terminal e1; ZADD :lane:gold:eligible 0 e1; {more}"
        );
        story.step(at, "ff_replay_execution e1 @0", "OK", &commands)
    }

    /// It ends again, as if it had been cancelled.
    fn ends_again(story: Story, at: i64) -> Story {
        let ended = "HSET :core lifecycle_phase terminal eligibility_state not_applicable terminal_outcome cancelled; \
                     ZREM :lane:gold:eligible e1; ZADD :lane:gold:terminal 0 e1";
        story.step(at, "ff_cancel_execution e1 why operator_override - -", "OK", ended)
    }

    fn twice_replayed() -> Story {
        ends_again(replayed(ends_again(replayed(ended(), 60, 1, ""), 70), 80, 2, ""), 90)
    }

    fn late(commands: &str) -> Story {
        ended().step(60, "ff_set_execution_tags a.b c", "OK", commands)
    }

    cases! {
        what_comes_back_without_a_replay: "terminal/ff_unblock_execution/OK/revived",
            ended().step(60, "ff_unblock_execution e1 @60 why", "OK", "HSET :core lifecycle_phase runnable"),
            near replayed(ended(), 60, 1, "");
        an_outcome_that_changes: "terminal/ff_set_execution_tags/OK/other-outcome",
            late("HSET :core terminal_outcome failed"),
            near late("HSET :core last_mutation_at @60");
        a_result_that_changes: "terminal/ff_set_execution_tags/OK/other-result",
            late("SET :result undone; HSET :core last_mutation_at @60"),
            near late("SET :result done; HSET :core last_mutation_at @60");
        one_replay_too_many: "terminal/ff_replay_execution/OK/over-the-limit",
            replayed(twice_replayed(), 100, 3, ""),
            near twice_replayed();
        a_replay_that_is_not_counted: "terminal/ff_replay_execution/OK/uncounted",
            replayed(ended(), 60, 0, ""),
            near replayed(ended(), 60, 1, "");
        a_replay_that_touches_an_attempt: "terminal/ff_replay_execution/OK/attempt-touched",
            replayed(ended(), 60, 1, "HSET ff:attempt:{fp:7}:<e1>:0 attempt_state started"),
            near replayed(ended(), 60, 1, "HSET ff:attempt:{fp:7}:<e1>X:0 attempt_state started; DEL ff:attempt:{fp:7}:<e1>X:0; HSET :core replay_count 1");
        a_replay_without_reclaims: "terminal/ff_replay_execution/OK/no-reclaims-left",
            replayed(ended(), 60, 1, "HSET :core lease_reclaim_count 1"),
            near replayed(ended(), 60, 1, "HSET :core lease_reclaim_count 0");
    }
}
