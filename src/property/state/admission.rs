//! An admission keeps to the rate limit of its window, is remembered for that long, and is refused for a reason only; a
//! release forgets it (36 and 59 of `docs/protocol.md`; RFC-008).
//!
//! The window is a sliding one by the caller's clock, and the limits are those that the caller names, as the library has
//! it. Not here: the counter of those that are admitted at a time, which [`quota`](super::quota) asks about, and what a
//! scheduler makes of a refusal.

use super::entity_of_key;
use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Call, Moment, Step},
    types::Function,
    view::{Entity, Quota, View},
};
use valkey_sim::engine::Reply;

const OVER_RATE: Kind =
    Kind { name: "over-rate", about: "more executions were admitted within a window than its limit allows" };
const NOT_RECORDED: Kind =
    Kind { name: "not-recorded", about: "an execution was admitted and is not in the admitted set" };
const FORGOTTEN: Kind = Kind {
    name: "forgotten",
    about: "an admission is not remembered for as long as its window, to the millisecond",
};
const REFUSED: Kind =
    Kind { name: "refused-below-limit", about: "an execution was refused though no limit was reached" };
const NOT_RELEASED: Kind = Kind {
    name: "not-released",
    about: "an admission was released and is still remembered, or in the admitted set",
};

const NOT_AS_SENT: Kind = Kind {
    name: "not-as-sent",
    about: "a quota policy was created, by the answer, and its definition is another one",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "admission",
    numbers: &[36, 59, 63],
    claim: "An admission keeps to its window's rate limit and is remembered for that long; a release forgets it.",
    expect: Expect::Always,
    kinds: &[OVER_RATE, NOT_RECORDED, FORGOTTEN, REFUSED, NOT_RELEASED, NOT_AS_SENT],
    monitor: || Box::new(Admission),
};

#[derive(Clone, Hash)]
struct Admission;

impl Property for Admission {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        let Some(call) = &step.call else { return };
        match call.function {
            Function::CheckAdmissionAndRecord => {
                if let Some((asked, word)) = Asked::of(call).zip(word(call.reply)) {
                    asked.judge(step, word, found);
                }
            }
            Function::CreateQuotaPolicy if call.answer.is_ok() => created(step, call, found),
            Function::ReleaseAdmission if call.answer.is_ok() => released(step, call, found),
            _ => {}
        }
    }
}

/// What the reply of a check says, which has no number in front.
fn word(reply: &Reply) -> Option<&str> {
    let Reply::Array(items) = reply else { return None };
    match items.first()? {
        Reply::Bulk(word) => std::str::from_utf8(word).ok(),
        _ => None,
    }
}

/// What a check asked, where its numbers are whole ones.
struct Asked<'c> {
    window: &'c str,
    tag: String,
    id: String,
    execution: &'c str,
    now_ms: i64,
    window_ms: i64,
    rate: usize,
    cap: i64,
}

impl<'c> Asked<'c> {
    fn of(call: &'c Call<'_>) -> Option<Self> {
        let Entity::Quota(tag, id) = entity_of_key(call, 2)? else { return None };
        let number = |index| call.arg(index).parse::<i64>().ok();
        let window_ms = number(1)?.checked_mul(1_000)?;
        Some(Self {
            window: std::str::from_utf8(call.keys.first()?).ok()?,
            tag,
            id,
            execution: call.arg(4),
            now_ms: number(0)?,
            window_ms,
            rate: usize::try_from(number(2)?).unwrap_or(0),
            cap: number(3)?,
        })
    }

    fn quota<'v>(&'v self, view: &'v View) -> Quota<'v> {
        view.quota(&self.tag, &self.id)
    }

    /// How many admissions count at the caller's now.
    fn in_window(&self, view: &View) -> usize {
        let oldest = (self.now_ms - self.window_ms) as f64;
        let set = view.sorted_set(self.window);
        set.map_or(0, |set| set.iter().filter(|(_, at)| *at > oldest).count())
    }

    fn judge(&self, step: &Step<'_>, word: &str, found: &mut Found<'_>) {
        let execution = self.execution;
        match word {
            "ADMITTED" => self.admitted(step, found),
            "ALREADY_ADMITTED" if !self.quota(step.before).is_remembered(execution, step.now) => {
                found.violation(REFUSED, None, format!("{execution} counts as admitted and was not"));
            }
            "RATE_EXCEEDED" => {
                let count = self.in_window(step.before);
                if self.rate == 0 || count < self.rate {
                    let message = format!(
                        "refused with {count} admissions in the window, of which {} may be",
                        self.rate
                    );
                    found.violation(REFUSED, None, message);
                }
            }
            "CONCURRENCY_EXCEEDED" => {
                let counter = self.quota(step.before).concurrency().unwrap_or(0);
                if self.cap <= 0 || counter < self.cap {
                    let message = format!("refused with {counter} counted and a cap of {}", self.cap);
                    found.violation(REFUSED, None, message);
                }
            }
            _ => {}
        }
    }

    fn admitted(&self, step: &Step<'_>, found: &mut Found<'_>) {
        let (execution, quota) = (self.execution, self.quota(step.after));
        let (count, before) = (self.in_window(step.after), self.in_window(step.before));
        if self.rate > 0 && count > self.rate && count > before {
            let message = format!("{count} admissions are in the window, and {} may be", self.rate);
            found.violation(OVER_RATE, None, message);
        }
        let is_in_window = self.window_ms <= 0 || step.after.contains(self.window, execution);
        if !quota.is_admitted(execution) || !is_in_window {
            found.violation(NOT_RECORDED, None, format!("{execution} was admitted, and it is not recorded"));
        }
        let until = quota.remembered_until(execution).map(|until| until.0 - step.now.0);
        if self.window_ms > 0 && until != Some(self.window_ms) {
            let message = format!("an admission is remembered for {until:?} ms, not {}", self.window_ms);
            found.violation(FORGOTTEN, None, message);
        }
    }
}

fn created(step: &Step<'_>, call: &Call<'_>, found: &mut Found<'_>) {
    let Some(Entity::Quota(tag, id)) = entity_of_key(call, 0) else { return };
    let definition = step.after.quota(&tag, &id).definition();
    let fields = ["requests_per_window_seconds", "max_requests_per_window", "active_concurrency_cap"];
    let stored = |field: &str| definition.map(|it| it.text(field)).unwrap_or_default();
    if let Some((field, index)) = fields.iter().zip(1..).find(|(it, index)| stored(it) != call.arg(*index)) {
        let message = format!("{field} {} was sent, and {:?} is stored", call.arg(index), stored(field));
        found.violation(NOT_AS_SENT, None, message);
    }
}

fn released(step: &Step<'_>, call: &Call<'_>, found: &mut Found<'_>) {
    let (Some(Entity::Quota(tag, id)), execution) = (entity_of_key(call, 1), call.arg(0)) else { return };
    let quota = step.after.quota(&tag, &id);
    if quota.is_admitted(execution) || quota.is_remembered(execution, step.now) {
        found.violation(NOT_RELEASED, None, format!("{execution} was released and still counts as admitted"));
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    const ADMIT: &str =
        "ZADD :quota:window:r @10 e1; SET :quota:admitted:E 1 PX 2000; SADD :quota:admitted_set e1";

    /// At 10, `e1` asks for one of so many admissions in a window of two seconds.
    fn asks(story: Story, rate: u32, answer: &str, commands: &str) -> Story {
        let keys = ":quota:window:r :quota:concurrency :quota :quota:admitted:E :quota:admitted_set";
        let call = format!("ff_check_admission_and_record {keys} | @10 2 {rate} 0 e1 0");
        story.step(
            10,
            &call,
            answer,
            &commands.replace("admitted:E", "admitted:{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8"),
        )
    }

    /// One other execution is in the window, since 5.
    fn one() -> Story {
        Story::new().step(5, "ff_create_quota_policy", "OK", "HSET :quota x y; ZADD :quota:window:r @5 x")
    }

    fn releases(commands: &str) -> Story {
        let call = "ff_release_admission :quota:admitted:E :quota:admitted_set :quota:concurrency | e1";
        asks(one(), 2, "reply", ADMIT).step(20, call, "OK", commands)
    }

    fn creates(commands: &str) -> Story {
        Story::new().step(5, "ff_create_quota_policy :quota | q1 2 9 3 @5", "OK q1", commands)
    }

    cases! {
        one_more_than_the_window_allows: "admission/ff_check_admission_and_record/reply/over-rate",
            asks(one(), 1, "reply", ADMIT),
            alone asks(one(), 2, "reply", ADMIT);
        an_admission_that_nobody_wrote_down: "admission/ff_check_admission_and_record/reply/not-recorded",
            asks(one(), 2, "reply", &ADMIT.replace("SADD", "SREM")),
            alone asks(one(), 0, "reply", ADMIT);
        an_admission_that_is_remembered_in_seconds: "admission/ff_check_admission_and_record/reply/forgotten",
            asks(one(), 2, "reply", &ADMIT.replace("2000", "2")),
            alone asks(one(), 2, "reply", ADMIT);
        a_refusal_one_below_the_limit: "admission/ff_check_admission_and_record/reply/refused-below-limit",
            asks(one(), 2, "reply RATE_EXCEEDED 1995", ""),
            alone asks(one(), 1, "reply RATE_EXCEEDED 1995", "");
        a_refusal_by_a_cap_that_there_is_not: "admission/ff_check_admission_and_record/reply/refused-below-limit",
            asks(one(), 2, "reply CONCURRENCY_EXCEEDED", ""),
            alone asks(one(), 2, "invalid_input now_ms", "");
        a_policy_without_its_cap: "admission/ff_create_quota_policy/OK/not-as-sent",
            creates("HSET :quota requests_per_window_seconds 2 max_requests_per_window 9"),
            alone creates("HSET :quota requests_per_window_seconds 2 max_requests_per_window 9 active_concurrency_cap 3");
        a_release_that_leaves_the_member: "admission/ff_release_admission/OK/not-released",
            releases("SET :quota:admitted:{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8 1 PXAT 1"),
            alone releases("SREM :quota:admitted_set e1; SET :quota:admitted:{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8 1 PXAT 1");
    }
}
