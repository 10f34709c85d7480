//! A signal is accepted by its token only, once, for an open waitpoint of its own execution, is written down, and changes
//! neither lease nor priority nor outcome (57 of `docs/protocol.md`; G1 to G5 of RFC-005, RFC-004 on tokens).
//!
//! A signal counts as accepted when the waitpoint's stream has grown. A token is checked against the one that was given out
//! with the waitpoint, and its secret against the rotations that were asked for, which are remembered: a secret is good for
//! its grace. Not here: whether the signal ends the wait, which [`resume_condition`](super::resume_condition) asks.

use std::collections::BTreeMap;

use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Call, Moment, Step},
    types::{Code, ExecutionId, ExecutionName, Function, LifecyclePhase, Status, TimestampMs},
    view::{Entity, Fields, View, Waitpoint, tag_of},
};

use super::suspension::open_suspension;
use crate::types::Answer;

const BAD_TOKEN: Kind =
    Kind { name: "bad-token", about: "a signal was accepted that does not show the waitpoint's token" };
const DEAD_SECRET: Kind = Kind {
    name: "dead-secret",
    about: "a signal was accepted whose token was signed with a secret that is over, or unknown",
};
const GOOD_TOKEN_REFUSED: Kind = Kind {
    name: "good-token-refused",
    about: "a token that was given out was refused, though its secret is the current one or within its grace",
};
const AFTER_CLOSE: Kind =
    Kind { name: "after-close", about: "a signal was accepted for a waitpoint that is closed" };
const BUFFERED_LATE: Kind = Kind {
    name: "buffered-too-late",
    about: "a signal was put aside for a waitpoint that is not pending any more: nobody will look at it",
};
const OTHER_EXECUTION: Kind = Kind {
    name: "other-execution",
    about: "a signal for one execution was accepted at a waitpoint of another",
};
const OLD_WAITPOINT: Kind = Kind {
    name: "old-waitpoint",
    about: "an execution went on because of a signal at a waitpoint of an earlier suspension",
};
const COUNTED_TWICE: Kind = Kind {
    name: "counted-twice",
    about: "a signal was accepted though one with its idempotency key had been, and is remembered",
};
const LOST: Kind =
    Kind { name: "lost", about: "a signal was accepted, by the answer, and it is not written down" };
const NOT_AS_SENT: Kind =
    Kind { name: "not-as-sent", about: "a signal was accepted, and its record or payload is another one" };
const LEASE: Kind = Kind { name: "lease", about: "a signal changed a lease, or the attempt" };
const PRIORITY: Kind = Kind { name: "priority", about: "a signal changed a priority" };
const OUTCOME: Kind = Kind { name: "outcome", about: "a signal changed an outcome" };
const SATISFIED_WAIT: Kind = Kind {
    name: "satisfied-wait",
    about: "a wait that was satisfied before it began cost the worker its lease",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "signals",
    numbers: &[57, 63],
    claim: "A signal is accepted by its token, once, for an open waitpoint, and changes no lease, priority or outcome.",
    expect: Expect::Always,
    kinds: &[
        BAD_TOKEN,
        DEAD_SECRET,
        GOOD_TOKEN_REFUSED,
        AFTER_CLOSE,
        BUFFERED_LATE,
        OTHER_EXECUTION,
        OLD_WAITPOINT,
        COUNTED_TWICE,
        LOST,
        NOT_AS_SENT,
        LEASE,
        PRIORITY,
        OUTCOME,
        SATISFIED_WAIT,
    ],
    monitor: || Box::<Signals>::default(),
};

#[derive(Clone, Default, Hash)]
struct Signals {
    /// Until when a secret that was rotated out is good, by partition and name, as the rotations asked for it.
    promised: BTreeMap<(String, String), TimestampMs>,
}

impl Property for Signals {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let step = match moment {
            Moment::Step(step) => step,
            // The rotations since may be lost.
            Moment::Rewound { .. } => return self.promised.clear(),
            _ => return,
        };
        let Some(call) = &step.call else { return };
        match call.function {
            Function::DeliverSignal | Function::BufferSignalForPendingWaitpoint => {
                if let Some(signal) = Signal::of(step, call) {
                    signal.judge(&self.promised, found);
                }
            }
            Function::SuspendExecution => satisfied(step, call, found),
            Function::RotateWaitpointHmacSecret if call.answer.is_ok() => self.rotated(step, call),
            _ => {}
        }
    }
}

impl Signals {
    /// Takes a rotation in: what was current is good until its grace is over.
    fn rotated(&mut self, step: &Step<'_>, call: &Call<'_>) {
        let Some(Entity::Secrets(tag)) = super::entity_of_key(call, 0) else { return };
        let old = step.before.secrets(&tag).current().to_owned();
        let (new, grace) = (call.arg(0), call.arg(2).parse::<i64>());
        if old == new {
            return;
        }
        self.promised.remove(&(tag.clone(), new.to_owned()));
        if let (false, Ok(grace_ms)) = (old.is_empty(), grace) {
            self.promised.insert((tag, old), TimestampMs(step.now.0.saturating_add(grace_ms)));
        }
    }
}

/// A signal that was sent to an execution's waitpoint.
struct Signal<'s> {
    step: &'s Step<'s>,
    call: &'s Call<'s>,
    id: ExecutionId,
    execution: ExecutionName,
    tag: String,
    waitpoint: &'s str,
}

impl<'s> Signal<'s> {
    fn of(step: &'s Step<'s>, call: &'s Call<'s>) -> Option<Self> {
        let id = ExecutionId::parse(call.arg(1)).ok()?;
        let tag = tag_of(&id)?.to_owned();
        Some(Self { step, call, execution: step.names.of(&id), id, tag, waitpoint: call.arg(2) })
    }

    fn at<'v>(&'v self, view: &'v View) -> Waitpoint<'v> {
        view.waitpoint(&self.tag, self.waitpoint)
    }

    /// How the waitpoint was before the signal came, if there was one.
    fn record(&self) -> Option<Fields<'_>> {
        self.at(self.step.before).record()
    }

    fn is_accepted(&self) -> bool {
        self.at(self.step.after).accepted() > self.at(self.step.before).accepted()
    }

    fn judge(&self, promised: &BTreeMap<(String, String), TimestampMs>, found: &mut Found<'_>) {
        self.changes_nothing_else(found);
        if self.is_accepted() {
            self.accepted(promised, found);
        } else if self.call.answer.is_ok() {
            self.tell(LOST, "a signal was accepted, and its waitpoint does not have it", found);
        } else {
            self.refused(promised, found);
        }
    }

    fn tell(&self, kind: Kind, message: &str, found: &mut Found<'_>) {
        found.violation(kind, Some(&self.execution), format!("{}: {message}", self.execution));
    }

    fn accepted(&self, promised: &BTreeMap<(String, String), TimestampMs>, found: &mut Found<'_>) {
        let token = self.call.arg(17);
        let record = self.record();
        let text = |name: &str| record.map(|it| it.text(name)).unwrap_or_default();
        if token.is_empty() || token != text("waitpoint_token") {
            self.tell(BAD_TOKEN, "a signal was accepted that does not show the waitpoint's token", found);
        } else if !self.is_good(token, promised) {
            self.tell(DEAD_SECRET, "a signal was accepted whose secret is over", found);
        }
        let is_buffered = self.call.function == Function::BufferSignalForPendingWaitpoint;
        // What is no execution's id is of a caller who said something else.
        let owner = ExecutionId::parse(text("execution_id")).ok();
        if owner.is_some_and(|owner| owner.as_str() != self.id.as_str()) {
            self.tell(OTHER_EXECUTION, "its signal was accepted at another execution's waitpoint", found);
        } else if text("state") == "closed" {
            self.tell(AFTER_CLOSE, "a signal was accepted for a waitpoint that is closed", found);
        } else if is_buffered && text("state") != "pending" {
            self.tell(
                BUFFERED_LATE,
                "a signal was put aside for a waitpoint that is waited at already",
                found,
            );
        } else if self.has_ended_another_wait() {
            self.tell(OLD_WAITPOINT, "it went on because of a signal at an earlier waitpoint", found);
        }
        let idempotency_key = self.call.key(6);
        let is_known = idempotency_key.is_some_and(|key| self.step.before.is_visible(key, self.step.now));
        let is_deduplicated = !self.call.arg(9).is_empty() && self.call.arg(13).parse().unwrap_or(0) > 0;
        if is_known && is_deduplicated {
            self.tell(COUNTED_TWICE, "a signal was accepted a second time", found);
        }
        self.is_written_down(found);
    }

    fn is_written_down(&self, found: &mut Found<'_>) {
        let signal = self.call.arg(0);
        let record = self.step.after.fields(&format!("ff:signal:{}:{signal}", self.tag));
        let index = format!("ff:exec:{}:{}:signals", self.tag, self.id);
        let is_there = record.is_some_and(|it| it.text("signal_name") == self.call.arg(3));
        if !is_there || !self.step.after.contains(&index, signal) {
            self.tell(LOST, "a signal was accepted, and its record or its execution's index lacks it", found);
        } else if record.is_some_and(|record| !self.is_as_sent(record)) {
            self.tell(NOT_AS_SENT, "a signal was accepted, and another one is written down", found);
        }
    }

    fn is_as_sent(&self, record: Fields<'_>) -> bool {
        const FIELDS: [(&str, usize); 9] = [
            ("target_execution_id", 1),
            ("target_waitpoint_id", 2),
            ("signal_category", 4),
            ("source_type", 5),
            ("source_identity", 6),
            ("payload_encoding", 8),
            ("idempotency_key", 9),
            ("correlation_id", 10),
            ("target_scope", 11),
        ];
        let payload = self.call.key(5);
        let stored = payload.and_then(|key| self.step.after.string(key)).unwrap_or_default();
        let sent = self.call.argv.get(7).map(|sent| String::from_utf8_lossy(sent)).unwrap_or_default();
        FIELDS.iter().all(|(name, index)| record.text(name) == self.call.arg(*index))
            && (sent.is_empty() || stored == sent)
    }

    /// Whether it is suspended no more, and waited elsewhere.
    fn has_ended_another_wait(&self) -> bool {
        let Some(before) = open_suspension(&self.id, self.step.before) else { return false };
        let is_awaited = before.waitpoint() == self.waitpoint
            || before.more_waitpoints().iter().any(|more| more == self.waitpoint);
        !is_awaited && open_suspension(&self.id, self.step.after).is_none()
    }

    fn refused(&self, promised: &BTreeMap<(String, String), TimestampMs>, found: &mut Found<'_>) {
        let token = self.call.arg(17);
        let is_of_token = matches!(&self.call.answer, Answer::Refusal(code)
            if matches!(code, Code::InvalidToken | Code::TokenExpired | Code::InvalidSecret));
        let is_given_out = self.record().is_some_and(|it| it.text("waitpoint_token") == token);
        if is_of_token && is_given_out && !token.is_empty() && self.is_good(token, promised) {
            self.tell(GOOD_TOKEN_REFUSED, "a token that was given out and is still good was refused", found);
        }
    }

    /// Whether the secret that signed a token is the current one, or within the grace that was asked for.
    fn is_good(&self, token: &str, promised: &BTreeMap<(String, String), TimestampMs>) -> bool {
        let Some((kid, _)) = token.split_once(':') else { return false };
        let secrets = self.step.before.secrets(&self.tag);
        let until = promised.get(&(self.tag.clone(), kid.to_owned())).copied();
        kid == secrets.current()
            || until.or(secrets.expires_at(kid)).is_some_and(|until| self.step.now.0 <= until.0)
    }

    fn changes_nothing_else(&self, found: &mut Found<'_>) {
        let (before, after) = (self.step.before.execution(&self.id), self.step.after.execution(&self.id));
        let (Some(old), Some(new)) = (before.core(), after.core()) else { return };
        let differs = |names: &[&str]| names.iter().any(|name| old.text(name) != new.text(name));
        let lease = ["current_lease_id", "current_lease_epoch", "lease_expires_at", "ownership_state"];
        let attempt = ["current_attempt_id", "current_attempt_index", "total_attempt_count"];
        if differs(&lease) || differs(&attempt) || before.lease() != after.lease() {
            self.tell(LEASE, "a signal changed its lease or its attempt", found);
        }
        if differs(&["priority"]) {
            self.tell(PRIORITY, "a signal changed its priority", found);
        }
        if differs(&["terminal_outcome"]) {
            self.tell(OUTCOME, "a signal changed its outcome", found);
        }
    }
}

/// A wait that was over before it began.
fn satisfied(step: &Step<'_>, call: &Call<'_>, found: &mut Found<'_>) {
    if call.answer != Answer::Consent(Status::AlreadySatisfied) {
        return;
    }
    let Ok(id) = ExecutionId::parse(call.arg(0)) else { return };
    let (before, after) = (step.before.execution(&id), step.after.execution(&id));
    let is_active = before.state().is_some_and(|state| state.phase == LifecyclePhase::Active);
    if is_active && (before.state() != after.state() || before.lease() != after.lease()) {
        let execution = step.names.of(&id);
        let message = format!("{execution} had to wait for nothing, and its lease is not what it was");
        found.violation(SATISFIED_WAIT, Some(&execution), message);
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use super::super::{
        secrets::tests::FIRST,
        suspension::tests::{RESUME, SUSPEND},
        waitpoints::tests::PENDING,
    };
    use crate::property::testing::{Story, cases};

    fn active() -> Story {
        let rotate = "ff_rotate_waitpoint_hmac_secret :secrets | k1 ab 100";
        let story = Story::new().step(0, rotate, "OK rotated", FIRST).created(0);
        story.granted(10, 50).claimed(12, 1, 100)
    }

    fn suspended() -> Story {
        let call = "ff_suspend_execution e1 0 a1 l1 1 s1 w1 k1";
        active().step(20, call, "OK s1 w1 k1 k1:t", &SUSPEND.replace("k:t", "k1:t"))
    }

    fn pending() -> Story {
        let call = "ff_create_pending_waitpoint e1 0 w1 k1 @30";
        active().step(15, call, "OK w1 k1 k1:t", &PENDING.replace("k:t", "k1:t"))
    }

    const KEYS: &str = ":core :wp:w1:condition :wp:w1:signals :e1:signals ff:signal:{fp:7}:g :x idem :wp:w1";
    const WRITE: &str = "HSET ff:signal:{fp:7}:g signal_id g target_execution_id e1 target_waitpoint_id w1 \
                         target_scope waitpoint signal_name go signal_category c source_type s source_identity me \
                         payload_encoding json; SET :x p; XADD :wp:w1:signals * signal_id g signal_name go; \
                         ZADD :e1:signals 1 g";

    fn signals(story: Story, function: &str, at: i64, token: &str, answer: &str, commands: &str) -> Story {
        let call =
            format!("{function} {KEYS} | g e1 w1 go c s me p json - - waitpoint - 1000 0 1000 100 {token}");
        story.step(at, &call, answer, commands)
    }

    fn delivers(story: Story, token: &str, answer: &str, commands: &str) -> Story {
        signals(story, "ff_deliver_signal", 30, token, answer, commands)
    }

    fn resumes() -> String {
        format!("{WRITE}; {RESUME}")
    }

    fn buffers(story: Story, commands: &str) -> Story {
        signals(story, "ff_buffer_signal_for_pending_waitpoint", 25, "k1:t", "OK g", commands)
    }

    fn rotates(story: Story, at: i64, kid: &str, grace_ms: u32, commands: &str) -> Story {
        let call = format!("ff_rotate_waitpoint_hmac_secret :secrets | {kid} cd {grace_ms}");
        story.step(at, &call, "OK rotated", commands)
    }

    /// The secret of the token is rotated out at 22, and good for so long.
    fn rotated(grace_ms: u32) -> Story {
        let commands = format!("HSET :secrets current_kid k2 secret:k2 cd expires_at:k1 @{}", 22 + grace_ms);
        rotates(suspended(), 22, "k2", grace_ms, &commands)
    }

    fn closed() -> Story {
        suspended().step(25, "ff_resume_execution e1 operator 0", "OK waiting", RESUME)
    }

    /// `e1` waits a second time, at another waitpoint; the first one was forgotten.
    fn waits_again() -> Story {
        let first = RESUME.replace(
            "HSET :wp:w1 state closed; HSET :wp:w1:condition closed 1;",
            "HSET :wp:w1 suspension_id s9;",
        );
        let story = suspended().step(22, "ff_resume_execution e1 operator 0", "OK waiting", &first);
        let again =
            SUSPEND.replace("w1", "w2").replace("s1", "s2").replace("k1", "k2").replace("k:t", "k1:u");
        let story = story.granted(23, 50).claimed(24, 2, 100);
        story.step(26, "ff_suspend_execution e1 0 a2 l2 2 s2 w2 k2", "OK s2 w2 k2 k1:u", &again)
    }

    fn again(commands: &str) -> Story {
        let call = format!(
            "ff_deliver_signal {KEYS} | g e1 w1 stop c s me p json idem - waitpoint - 1000 0 1000 100 k1:t"
        );
        suspended()
            .step(
                30,
                &call,
                "OK g",
                &format!(
                    "{}; HSET ff:signal:{{fp:7}}:g idempotency_key idem; SET idem g PX 1000",
                    WRITE.replace(" go", " stop")
                ),
            )
            .step(40, &call, "DUPLICATE g", commands)
    }

    fn suspends_satisfied(commands: &str) -> Story {
        pending().step(
            25,
            "ff_suspend_execution e1 0 a1 l1 1 s1 w1 k1",
            "ALREADY_SATISFIED s1 w1 k1 k1:t",
            commands,
        )
    }

    const SATISFIED: &str = "HSET :wp:w1 state closed; ZREM :pending_waitpoint_expiry w1";

    cases! {
        a_signal_with_another_token: "signals/ff_deliver_signal/OK/bad-token",
            delivers(suspended(), "k1:u", "OK g", &resumes()),
            alone delivers(suspended(), "k1:u", "invalid_token", "");
        a_signal_whose_secret_is_over: "signals/ff_deliver_signal/OK/dead-secret",
            delivers(rotated(7), "k1:t", "OK g", &resumes()),
            alone delivers(rotated(8), "k1:t", "OK g", &resumes());
        a_good_token_that_is_refused: "signals/ff_deliver_signal/token_expired/good-token-refused",
            delivers(rotated(8), "k1:t", "token_expired", ""),
            alone delivers(rotated(7), "k1:t", "token_expired", "");
        a_grace_that_was_not_written: "signals/ff_deliver_signal/token_expired/good-token-refused",
            delivers(rotates(suspended(), 22, "k2", 8, "HSET :secrets current_kid k2 secret:k2 cd"), "k1:t", "token_expired", ""),
            alone delivers(rotates(suspended(), 22, "k2", 7, "HSET :secrets current_kid k2 secret:k2 cd"), "k1:t", "token_expired", "");
        a_signal_for_what_is_closed: "signals/ff_deliver_signal/OK/after-close",
            delivers(closed(), "k1:t", "OK g", WRITE),
            alone delivers(closed(), "k1:t", "target_not_signalable", "");
        a_signal_that_nobody_will_look_at: "signals/ff_buffer_signal_for_pending_waitpoint/OK/buffered-too-late",
            buffers(suspended(), WRITE),
            alone buffers(pending(), WRITE);
        a_signal_at_another_executions_waitpoint: "signals/ff_buffer_signal_for_pending_waitpoint/OK/other-execution",
            buffers(pending().step(20, "ff_close_waitpoint w1 why", "OK", "HSET :wp:w1 execution_id e2"), WRITE),
            alone buffers(pending(), WRITE);
        a_signal_of_long_ago: "signals/ff_deliver_signal/OK/old-waitpoint",
            delivers(waits_again(), "k1:t", "OK g", &format!("{WRITE}; {}", RESUME.replace("w1", "w2"))),
            alone delivers(waits_again(), "k1:t", "OK g", WRITE);
        a_signal_that_counts_twice: "signals/ff_deliver_signal/DUPLICATE/counted-twice",
            again(&WRITE.replace(" go", " stop")),
            alone again("");
        a_signal_that_nobody_wrote_down: "signals/ff_deliver_signal/OK/lost",
            delivers(suspended(), "k1:t", "OK g", RESUME),
            alone delivers(suspended(), "k1:t", "OK g", &resumes());
        a_signal_without_a_record: "signals/ff_deliver_signal/OK/lost",
            delivers(suspended(), "k1:t", "OK g", &resumes().replace("ZADD :e1:signals 1 g", "ZREM :e1:signals g")),
            alone delivers(suspended(), "k1:t", "OK g", &resumes());
        a_signal_of_another_source: "signals/ff_deliver_signal/OK/not-as-sent",
            delivers(suspended(), "k1:t", "OK g", &resumes().replace("source_type s", "source_type t")),
            alone delivers(suspended(), "k1:t", "OK g", &resumes());
        a_signal_that_says_something_else: "signals/ff_deliver_signal/OK/not-as-sent",
            delivers(suspended(), "k1:t", "OK g", &resumes().replace("SET :x p", "SET :x q")),
            alone delivers(suspended(), "k1:t", "OK g", &resumes());
        a_signal_that_raises_the_epoch: "signals/ff_deliver_signal/OK/lease",
            delivers(suspended(), "k1:t", "OK g", &format!("{}; HSET :core current_lease_epoch 2", resumes())),
            alone delivers(suspended(), "k1:t", "OK g", &resumes());
        a_signal_that_makes_more_of_it: "signals/ff_deliver_signal/OK/priority",
            delivers(suspended(), "k1:t", "OK g", &format!("{}; HSET :core priority 9", resumes())),
            alone delivers(suspended(), "k1:t", "OK g", &resumes());
        a_signal_that_ends_it: "signals/ff_deliver_signal/OK/outcome",
            delivers(suspended(), "k1:t", "OK g", &format!("{}; HSET :core terminal_outcome success", resumes())),
            alone delivers(suspended(), "k1:t", "OK g", &resumes());
        a_wait_for_nothing_that_costs_the_lease: "signals/ff_suspend_execution/ALREADY_SATISFIED/satisfied-wait",
            suspends_satisfied(&format!("{SATISFIED}; DEL :lease")),
            alone suspends_satisfied(SATISFIED);
    }
}
