//! A frame that was accepted is the newest entry of its attempt's stream, as it was sent, and counts; a stream is closed when
//! its attempt ends, not before, and takes nothing more (66 of `docs/protocol.md`; RFC-015).
//!
//! Not here: how many frames a stream keeps, who may append ([`fence`](crate::property::history::fence)), and what a
//! summary makes of its patches.

use super::{Calls, Look, Wrong, texts};
use crate::{
    property::{Entry, Expect, Kind},
    trace::{Call, Step},
    types::{Answer, Function, OwnershipState},
    view::{Execution, Fields, View},
};

const LOST: Kind =
    Kind { name: "lost", about: "a frame was accepted, and it is not the newest entry of its stream" };
const NOT_AS_SENT: Kind =
    Kind { name: "not-as-sent", about: "a frame was accepted, and another one is stored" };
const MISCOUNTED: Kind = Kind {
    name: "miscounted",
    about: "a frame was accepted, and the stream's record does not count it, or names another one as its last",
};
const RATE: Kind = Kind { name: "rate", about: "the estimate of how often frames come is no finite number" };
const EXPIRY: Kind = Kind {
    name: "expiry",
    about: "a stream with a durable frame expires, or one of best effort expires at another time than twice its TTL",
};
const AFTER_CLOSE: Kind =
    Kind { name: "after-close", about: "a frame was accepted for a stream that is closed" };
const LEFT_OPEN: Kind =
    Kind { name: "left-open", about: "an attempt has ended or is lost, and its stream is not closed" };
const CLOSED_EARLY: Kind =
    Kind { name: "closed-early", about: "a stream was closed while its attempt goes on under its lease" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "streams",
    numbers: &[66],
    claim: "A frame that was accepted is in its attempt's stream and counts, and a stream closes with its attempt.",
    expect: Expect::Always,
    kinds: &[LOST, NOT_AS_SENT, MISCOUNTED, RATE, EXPIRY, AFTER_CLOSE, LEFT_OPEN, CLOSED_EARLY],
    monitor: || Box::new(Calls(&[appended as Look, left_open, closed_early])),
};

fn wrong(kind: Kind, message: impl Into<String>) -> Option<Wrong> {
    Some(Wrong { kind, message: message.into() })
}

/// A frame that was accepted.
struct Frame<'s> {
    call: &'s Call<'s>,
    stream: &'s str,
    before: Option<Fields<'s>>,
    meta: Fields<'s>,
}

fn appended(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    let is_frame = call.function == Function::AppendFrame && call.answer.is_ok() && call.argv.len() >= 16;
    if !is_frame || step.after.is_mirrored() {
        return None;
    }
    let (stream, meta) = (call.key(1)?, call.key(2)?);
    let Some(after) = step.after.fields(meta) else { return wrong(MISCOUNTED, "the stream has no record") };
    let frame = Frame { call, stream, before: step.before.fields(meta), meta: after };
    frame.entry(step).or_else(|| frame.counted()).or_else(|| frame.expires(step))
}

impl<'s> Frame<'s> {
    fn entry(&self, step: &Step<'_>) -> Option<Wrong> {
        if self.before.is_some_and(|before| !before.text("closed_at").is_empty()) {
            return wrong(AFTER_CLOSE, "a frame was accepted, and the stream was closed");
        }
        let said = texts(self.call)?.first().copied()?;
        let newest = step.after.stream(self.stream).and_then(|stream| stream.last());
        let Some(entry) = newest.filter(|entry| entry.id.to_string() == said) else {
            return wrong(LOST, format!("frame {said} was accepted, and is not the newest of its stream"));
        };
        let stored = |name: &str| {
            let at = entry.fields.chunks_exact(2).find(|pair| pair[0] == name.as_bytes());
            at.map(|pair| &*pair[1]).unwrap_or_default()
        };
        let fields =
            [("frame_type", 4), ("payload", 6), ("encoding", 7), ("correlation_id", 8), ("source", 9)];
        let other = fields.iter().find(|(name, index)| stored(name) != self.call.argv[*index])?;
        wrong(NOT_AS_SENT, format!("{} of frame {said} is not as it was sent", other.0))
    }

    fn counted(&self) -> Option<Wrong> {
        let fields = texts(self.call)?;
        let old = |name: &str| self.before.map_or(0, |before| before.count(name));
        let wanted = [
            ("frame_count", (old("frame_count") + 1).to_string()),
            ("total_bytes", (old("total_bytes") + self.call.argv[6].len() as u64).to_string()),
            ("last_sequence", (*fields.first()?).to_owned()),
        ];
        if let Some((name, wanted)) = wanted.iter().find(|(name, wanted)| self.meta.text(name) != wanted) {
            let message = format!("{name} is {:?}, and should be {wanted:?}", self.meta.text(name));
            return wrong(MISCOUNTED, message);
        }
        let rate: f64 = self.meta.text("ema_rate_hz").parse().ok()?;
        (!rate.is_finite()).then(|| wrong(RATE, format!("frames come {rate} times a second"))).flatten()
    }

    fn expires(&self, step: &Step<'_>) -> Option<Wrong> {
        let until = step.after.expires_at(self.stream).map(|until| until.0 - step.now.0);
        if self.meta.text("has_durable_frame") == "1" {
            let message = || format!("a stream with a durable frame expires in {until:?} ms");
            return until.and_then(|_| wrong(EXPIRY, message()));
        }
        let is_best_effort = self.call.arg(13) == "best_effort";
        let ttl: i64 = self.call.arg(15).parse().ok().filter(|ttl| is_best_effort && *ttl > 0)?;
        let message = || format!("a stream expires in {until:?} ms, and its frame is for {ttl} ms");
        (until != Some(2 * ttl)).then(|| wrong(EXPIRY, message())).flatten()
    }
}

/// The key of the record of the current attempt's stream.
fn current_meta(execution: &Execution<'_>) -> Option<String> {
    let index = execution.core()?.attempt_index()?;
    Some(execution.keys().exec.stream_meta(index))
}

fn is_open(view: &View, meta: &str) -> bool {
    view.fields(meta).is_some_and(|meta| meta.text("closed_at").is_empty())
}

fn is_leased(execution: &Execution<'_>) -> bool {
    execution.core().is_some_and(|core| core.ownership() == OwnershipState::Leased)
}

/// A call that ends an attempt, or marks it as lost, and knows its stream.
fn left_open(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    let execution = step.before.execution(call.presented.execution.as_ref()?);
    let is_end = matches!(
        call.function,
        Function::CompleteExecution
            | Function::FailExecution
            | Function::CancelExecution
            | Function::ExpireExecution
            | Function::ReclaimExecution
    );
    let is_mark = call.function == Function::MarkLeaseExpiredIfDue;
    let meta = current_meta(&execution)?;
    let is_known = is_mark || is_end && call.keys.contains(&meta.as_bytes());
    let was_active = execution.core()?.text("lifecycle_phase") == "active";
    if !is_known || !call.answer.is_ok() || !was_active || !is_open(step.before, &meta) {
        return None;
    }
    let message = || format!("attempt of {} is over, and its stream is open", step.names.of(execution.id()));
    is_open(step.after, &meta).then(|| wrong(LEFT_OPEN, message())).flatten()
}

/// What a call that raised leaves half done is a sequel of its raising.
fn closed_early(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    if matches!(call.answer, Answer::Error(_)) {
        return None;
    }
    let before = step.before.execution(call.presented.execution.as_ref()?);
    let (after, meta) = (before.seen_in(step.after), current_meta(&before)?);
    let goes_on = is_leased(&before) && is_leased(&after) && current_meta(&after)? == meta;
    if !goes_on || !is_open(step.before, &meta) || is_open(step.after, &meta) {
        return None;
    }
    wrong(
        CLOSED_EARLY,
        format!("{} is leased, and its attempt's stream was closed", step.names.of(before.id())),
    )
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    fn leased() -> Story {
        let claimed = Story::new().created(0).granted(10, 50).claimed(20, 1, 900);
        claimed.plain(21, "HSET :core current_attempt_index 0")
    }

    /// A frame at 30, of this mode and TTL: 30-0 is its id.
    fn appends(story: Story, mode: &str, commands: &str) -> Story {
        let keys = ":core ff:stream:{fp:7}:<e1>:0 ff:stream:{fp:7}:<e1>:0:meta";
        let call =
            format!("ff_append_frame {keys} | e1 0 l1 1 log @30 text utf8 - worker 0 a1 65536 {mode} - 40");
        story.step(30, &call, "OK 30-0 1 -", commands)
    }

    const ENTRY: &str =
        "XADD ff:stream:{fp:7}:<e1>:0 30-0 frame_type log ts @30 payload text encoding utf8 source worker";
    const META: &str =
        "HSET ff:stream:{fp:7}:<e1>:0:meta frame_count 1 total_bytes 4 last_sequence 30-0 closed_at -";

    fn durable(commands: &str) -> Story {
        let flag = "HSET ff:stream:{fp:7}:<e1>:0:meta has_durable_frame 1";
        appends(leased(), "durable", &format!("{flag}; {commands}"))
    }

    fn best_effort(ttl_ms: u32, rate: &str) -> Story {
        let commands = format!(
            "{ENTRY}; {META}; HSET ff:stream:{{fp:7}}:<e1>:0:meta ema_rate_hz {rate} has_durable_frame 0; \
             PEXPIRE ff:stream:{{fp:7}}:<e1>:0 {ttl_ms}"
        );
        appends(leased(), "best_effort", &commands)
    }

    fn kept() -> Story {
        durable(&format!("{ENTRY}; {META}"))
    }

    fn closes(call: &str, commands: &str) -> Story {
        kept().step(40, call, "OK", commands)
    }

    const COMPLETE: &str =
        "ff_complete_execution :core ff:stream:{fp:7}:<e1>:0:meta | e1 l1 1 a1 done lease_holder";
    const COMPLETED: &str = "DEL :lease; HSET :core lifecycle_phase terminal ownership_state unowned eligibility_state not_applicable";
    const CLOSE: &str = "HSET ff:stream:{fp:7}:<e1>:0:meta closed_at @40";

    cases! {
        a_frame_that_nobody_wrote_down: "streams/ff_append_frame/OK/lost",
            durable(META),
            alone kept();
        a_frame_that_says_something_else: "streams/ff_append_frame/OK/not-as-sent",
            durable(&format!("{}; {META}", ENTRY.replace("payload text", "payload test"))),
            alone kept();
        a_frame_that_does_not_count: "streams/ff_append_frame/OK/miscounted",
            durable(&format!("{ENTRY}; {}", META.replace("last_sequence 30-0", "last_sequence 29-0"))),
            alone kept();
        frames_that_come_infinitely_often: "streams/ff_append_frame/OK/rate",
            best_effort(80, "inf"),
            alone best_effort(80, "800");
        a_stream_that_ends_too_soon: "streams/ff_append_frame/OK/expiry",
            best_effort(40, "800"),
            alone best_effort(80, "800");
        a_durable_frame_that_expires: "streams/ff_append_frame/OK/expiry",
            durable(&format!("{ENTRY}; {META}; PEXPIRE ff:stream:{{fp:7}}:<e1>:0 80")),
            alone kept();
        a_frame_for_what_is_closed: "streams/ff_append_frame/OK/after-close",
            appends(leased().plain(22, "HSET ff:stream:{fp:7}:<e1>:0:meta closed_at @22"), "durable", &format!("{ENTRY}; {META}")),
            alone appends(leased().plain(22, "HSET ff:stream:{fp:7}:<e1>:0:meta closed_at -"), "durable", &format!("{ENTRY}; {META}"));
        a_stream_that_outlives_its_attempt: "streams/ff_complete_execution/OK/left-open",
            closes(COMPLETE, COMPLETED),
            alone closes(COMPLETE, &format!("{COMPLETED}; {CLOSE}"));
        a_stream_that_is_closed_before_its_attempt_ends: "streams/ff_renew_lease/OK/closed-early",
            closes("ff_renew_lease e1 0 a1 l1 1 860 0", CLOSE),
            alone closes("ff_renew_lease e1 0 a1 l1 1 860 0", "HSET :core lease_last_renewed_at @40");
    }
}
