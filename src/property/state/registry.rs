//! A worker that registers is there whole and for as long as it said; nobody else's is overwritten, and a heartbeat brings
//! none back (60 of `docs/protocol.md`; RFC-025 §4, §5).
//!
//! Judged of what the two functions do. Not here: how a worker is marked dead, which the client does by plain commands, and
//! what a scheduler makes of it.

use super::entity_of_key;
use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Call, Moment, Step},
    types::Function,
    view::{Entity, Worker},
};
use valkey_sim::engine::Reply;

const OTHER_WORKER: Kind = Kind {
    name: "other-worker",
    about: "a process that is registered under one worker id was registered under another",
};
const HALF: Kind =
    Kind { name: "half", about: "a process counts as alive and has no description, or the other way round" };
const TTL: Kind = Kind {
    name: "ttl",
    about: "a process does not count as alive, or is not described, for exactly as long as it said",
};
const NOT_INDEXED: Kind =
    Kind { name: "not-indexed", about: "a process registered and the namespace's index does not name it" };
const DESCRIPTION: Kind =
    Kind { name: "description", about: "what a process said of itself is not what is written" };
const OUTCOME: Kind = Kind {
    name: "outcome",
    about: "a registration is said to be new though the process was alive, or not to be though it was not",
};
const REVIVED: Kind =
    Kind { name: "revived", about: "a heartbeat counts, and the process was dead or had never registered" };
const DENIED: Kind =
    Kind { name: "denied", about: "a process that is registered and alive was told that it is not" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "registry",
    numbers: &[60],
    claim: "A registered worker is there whole, for as long as it said, and a heartbeat brings no dead one back.",
    expect: Expect::Always,
    kinds: &[OTHER_WORKER, HALF, TTL, NOT_INDEXED, DESCRIPTION, OUTCOME, REVIVED, DENIED],
    monitor: || Box::new(Registry),
};

#[derive(Clone, Hash)]
struct Registry;

impl Property for Registry {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        let Some(call) = &step.call else { return };
        let is_registration = call.function == Function::RegisterWorker;
        if !(is_registration || call.function == Function::HeartbeatWorker) || !call.answer.is_ok() {
            return;
        }
        let (Some(Entity::Worker(namespace, instance)), Some(word)) = (entity_of_key(call, 0), word(call))
        else {
            return;
        };
        let before = step.before.worker(&namespace, &instance);
        let after = step.after.worker(&namespace, &instance);
        let sides = Sides { step, call, before, after };
        if is_registration { sides.registered(word, found) } else { sides.beat(word, found) }
    }
}

/// What the answer says of what was done.
fn word<'c>(call: &Call<'c>) -> Option<&'c str> {
    let Reply::Array(items) = call.reply else { return None };
    match items.get(2)? {
        Reply::Bulk(word) => std::str::from_utf8(word).ok(),
        _ => None,
    }
}

/// A process before a call and after it.
struct Sides<'s> {
    step: &'s Step<'s>,
    call: &'s Call<'s>,
    before: Worker<'s>,
    after: Worker<'s>,
}

impl Sides<'_> {
    fn is_whole(&self, worker: &Worker<'_>) -> bool {
        worker.is_alive(self.step.now) && worker.is_described(self.step.now)
    }

    fn registered(&self, word: &str, found: &mut Found<'_>) {
        let described = self.before.capabilities().map(|it| it.text("worker_id")).unwrap_or_default();
        let said = self.call.arg(1);
        if self.is_whole(&self.before) && !described.is_empty() && described != said {
            let message = format!("a process of {described} was registered as one of {said}");
            found.violation(OTHER_WORKER, None, message);
        }
        if (word == "registered") == self.before.is_alive(self.step.now) {
            found.violation(OUTCOME, None, format!("the answer is {word}, and it is the other way round"));
        }
        if !self.after.is_indexed() {
            found.violation(NOT_INDEXED, None, "a process registered and the index does not name it");
        }
        let is_written = self.after.capabilities().is_some_and(|it| {
            [("worker_id", 1), ("lanes_csv", 2), ("caps_csv", 3)]
                .into_iter()
                .all(|(field, index)| it.text(field) == self.call.arg(index))
        });
        if !is_written {
            found.violation(DESCRIPTION, None, "what the process said of itself is not what is written");
        }
        self.lasts(self.call.arg(4), found);
    }

    fn beat(&self, word: &str, found: &mut Found<'_>) {
        let described = self.before.capabilities().filter(|_| self.is_whole(&self.before));
        match (described, word) {
            (Some(_), "not_registered") => {
                found.violation(
                    DENIED,
                    None,
                    "a process that is registered and alive was told that it is not",
                );
            }
            (Some(described), _) => self.lasts(described.text("ttl_ms"), found),
            (None, "refreshed") => {
                found.violation(REVIVED, None, "a heartbeat counts of a process that is not registered");
            }
            (None, _) if self.after.is_alive(self.step.now) && !self.before.is_alive(self.step.now) => {
                found.violation(REVIVED, None, "a refused heartbeat made a dead process alive");
            }
            _ => {}
        }
    }

    /// It is there, whole, for so many milliseconds.
    fn lasts(&self, ttl_ms: &str, found: &mut Found<'_>) {
        if !self.is_whole(&self.after) {
            found.violation(
                HALF,
                None,
                "a process counts as alive and is not described, or the other way round",
            );
            return;
        }
        let Ok(ttl_ms) = ttl_ms.parse::<i64>() else { return };
        let left = [self.after.alive_until(), self.after.described_until()]
            .map(|until| until.map(|until| until.0 - self.step.now.0));
        if left != [Some(ttl_ms); 2] {
            let message = format!("a process said {ttl_ms} ms, and is there for {left:?}");
            found.violation(TTL, None, message);
        }
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    const WRITE: &str = "SET :worker:alive 1 PX 100; HSET :worker:caps worker_id w lanes_csv gold caps_csv gpu ttl_ms 100; \
                         PEXPIRE :worker:caps 100; SADD :workers w-1";

    fn registers(story: Story, at: i64, worker: &str, answer: &str, commands: &str) -> Story {
        let call = format!(
            "ff_register_worker :worker:alive :worker:caps :workers | w-1 {worker} gold gpu 100 @{at}"
        );
        story.step(at, &call, answer, commands)
    }

    fn there() -> Story {
        registers(Story::new(), 0, "w", "OK registered", WRITE)
    }

    fn beats(story: Story, at: i64, answer: &str, commands: &str) -> Story {
        story.step(at, &format!("ff_heartbeat_worker :worker:alive :worker:caps | @{at}"), answer, commands)
    }

    const BEAT: &str = "PEXPIRE :worker:alive 100; PEXPIRE :worker:caps 100";

    cases! {
        a_process_that_changes_its_worker: "registry/ff_register_worker/OK/other-worker",
            registers(there(), 50, "v", "OK refreshed", &WRITE.replace("worker_id w", "worker_id v")),
            alone registers(there(), 101, "v", "OK registered", &WRITE.replace("worker_id w", "worker_id v"));
        a_process_that_is_not_described: "registry/ff_register_worker/OK/half",
            registers(there(), 50, "w", "OK refreshed", &WRITE.replace("SET :worker:alive 1 PX 100", "PEXPIREAT :worker:alive 1")),
            alone registers(there(), 50, "w", "OK refreshed", WRITE);
        a_time_in_seconds: "registry/ff_register_worker/OK/ttl",
            registers(Story::new(), 0, "w", "OK registered", &WRITE.replace("PX 100", "EX 100")),
            alone there();
        a_heartbeat_that_refreshes_one_half: "registry/ff_heartbeat_worker/OK/ttl",
            beats(there(), 50, "OK refreshed 100", "PEXPIRE :worker:alive 100"),
            alone beats(there(), 50, "OK refreshed 100", BEAT);
        a_process_that_no_list_names: "registry/ff_register_worker/OK/not-indexed",
            registers(Story::new(), 0, "w", "OK registered", &WRITE.replace("SADD", "SREM")),
            alone there();
        capabilities_that_nobody_wrote: "registry/ff_register_worker/OK/description",
            registers(Story::new(), 0, "w", "OK registered", &WRITE.replace("caps_csv gpu", "caps_csv cpu")),
            alone there();
        a_registration_that_is_said_to_be_new: "registry/ff_register_worker/OK/outcome",
            registers(there(), 100, "w", "OK registered", WRITE),
            alone registers(there(), 101, "w", "OK registered", WRITE);
        a_heartbeat_after_death: "registry/ff_heartbeat_worker/OK/revived",
            beats(there(), 101, "OK refreshed 100", "SET :worker:alive 1 PX 100"),
            alone beats(there(), 101, "OK not_registered", "");
        a_heartbeat_that_is_denied_at_the_last_millisecond: "registry/ff_heartbeat_worker/OK/denied",
            beats(there(), 100, "OK not_registered", ""),
            alone beats(there(), 100, "OK refreshed 100", BEAT);
    }
}
