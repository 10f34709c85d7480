//! What calls did before. A call does the same wherever the keys that it looks at hold the same: most of the states of a search
//! differ in others, and two thirds of what a step took was Lua.
//!
//! All threads of a search share what they know, and it is kept from one level to the next. Three of four calls write nothing:
//! what they answered takes some dozens of bytes, and is remembered for long. What a call wrote takes ten kilobytes, since
//! most of them write an execution's core.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use indexmap::IndexMap;
use valkey_sim::{
    engine::{Effects, Entry, Keyspace, Reply},
    hash::Hash128,
};

use super::search::plain;
use crate::types::TimestampMs;

/// How many calls are remembered that wrote nothing,
const IDLE: usize = 1 << 20;
/// and that wrote something.
const WRITING: usize = 4_000;
/// What a call answered is kept once for so many of its answers.
const ALIKE: usize = 4;
/// They are kept apart by their hash, so that threads seldom wait for one another.
const SHARDS: usize = 16;

/// What a call did.
pub(super) struct Outcome {
    pub reply: Reply,
    pub effects: Effects,
    /// What it left under the keys whose entries it changed; nothing where it took the key away.
    left: Vec<(Bytes, Option<Arc<Entry>>)>,
}

/// The outcomes of the last calls: when there are many of them, the oldest are forgotten.
#[derive(Default)]
pub(super) struct Memo {
    shards: [Mutex<Shard>; SHARDS],
}

/// The outcomes of calls, by the call and its time, by the keys that it looked at, by what these held.
#[derive(Default)]
struct Shard {
    calls: IndexMap<u128, Vec<Looked>, plain::State>,
    /// Those that wrote nothing, and those that did: calls, and what their keys held, the oldest first.
    ages: [VecDeque<(u128, u128)>; 2],
}

/// Some keys that a call looked at, and what it did by what they held.
struct Looked {
    keys: Vec<Bytes>,
    outcomes: IndexMap<u128, Arc<Outcome>, plain::State>,
}

/// A call and its time.
pub(super) fn call(args: &[&[u8]], now: TimestampMs) -> u128 {
    let mut hash = Hash128::default();
    hash.words(now.0 as u64, args.len() as u64);
    args.iter().for_each(|arg| hash.bytes(arg));
    hash.finish128()
}

fn held(keys: &[Bytes], keyspace: &Keyspace) -> u128 {
    let mut hash = Hash128::default();
    for key in keys {
        hash.key(keyspace.identity_of(key));
    }
    hash.finish128()
}

impl Memo {
    /// What the call does on this keyspace, if it is known.
    pub fn recall(&self, call: u128, keyspace: &Keyspace) -> Option<Arc<Outcome>> {
        let shard = self.shard(call);
        let looked = shard.calls.get(&call)?.iter();
        looked.filter_map(|it| it.outcomes.get(&held(&it.keys, keyspace))).next().cloned()
    }

    /// The call looked at these keys of this keyspace, and did this.
    pub fn note(&self, call: u128, keys: Vec<Bytes>, before: &Keyspace, outcome: Arc<Outcome>) {
        self.shard(call).note(call, keys, before, outcome);
    }

    fn shard(&self, call: u128) -> MutexGuard<'_, Shard> {
        // The low half tells the calls of a shard apart.
        self.shards[(call >> 64) as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn note(&mut self, call: u128, keys: Vec<Bytes>, before: &Keyspace, outcome: Arc<Outcome>) {
        let (which, most) = if outcome.is_idle() { (0, IDLE) } else { (1, WRITING) };
        if self.ages[which].len() == most / SHARDS {
            let oldest = self.ages[which].pop_front();
            oldest.into_iter().for_each(|(call, held)| self.forget(call, held));
        }
        let looked = self.calls.entry(call).or_default();
        let place = looked.iter().position(|it| it.keys == keys).unwrap_or_else(|| {
            looked.push(Looked { keys, outcomes: IndexMap::default() });
            looked.len() - 1
        });
        let it = &mut looked[place];
        let held = held(&it.keys, before);
        let alike = it.outcomes.values().rev().take(ALIKE).find(|other| other.is_alike(&outcome));
        let outcome = alike.cloned().unwrap_or(outcome);
        if it.outcomes.insert(held, outcome).is_none() {
            self.ages[which].push_back((call, held));
        }
    }

    fn forget(&mut self, call: u128, held: u128) {
        let Some(looked) = self.calls.get_mut(&call) else { return };
        looked.iter_mut().for_each(|it| _ = it.outcomes.swap_remove(&held));
        looked.retain(|it| !it.outcomes.is_empty());
        if looked.is_empty() {
            self.calls.swap_remove(&call);
        }
    }
}

impl Outcome {
    /// What a call did that looked at these keys.
    pub fn new(reply: Reply, effects: Effects, keys: &[Bytes], [before, after]: [&Keyspace; 2]) -> Self {
        let is_same = |key: &Bytes| match (before.shared(key), after.shared(key)) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let left =
            keys.iter().filter(|key| !is_same(key)).map(|key| (key.clone(), after.shared(key).cloned()));
        Self { reply, effects, left: left.collect() }
    }

    /// The keyspace after the call.
    pub fn after(&self, before: &Keyspace) -> Keyspace {
        let mut after = before.clone();
        for (key, entry) in &self.left {
            match entry {
                Some(entry) => after.share(key.clone(), Arc::clone(entry)),
                None => _ = after.remove(key),
            }
        }
        after
    }

    /// Whether the call wrote nothing.
    pub fn is_idle(&self) -> bool {
        self.effects.is_empty() && self.left.is_empty()
    }

    /// Whether it and another are the same, and cheap to compare.
    fn is_alike(&self, other: &Self) -> bool {
        self.is_idle() && other.is_idle() && self.reply == other.reply
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use valkey_sim::engine::{Dialect, UnixMicros};

    use super::*;
    use crate::{
        drive::{self, Subject},
        library::Library,
        plan::{profile, token::Token},
        trace::Moment,
        types::Function,
    };

    /// The calls of some runs, each with the keyspace and the time of its execution.
    fn calls(subject: &Subject) -> Vec<(Vec<Vec<u8>>, Keyspace, UnixMicros)> {
        let mut calls = Vec::new();
        for seed in [9, 54, 56] {
            let plan = Token::new(profile::DEFAULT, seed).expect("a profile").plan();
            drive::run(&plan, subject).expect("it runs").replay(|moment| {
                let Moment::Step(step) = moment else { return };
                if step.call.is_some() {
                    let args = step.command.args.iter().map(|arg| arg.to_vec()).collect();
                    let now = UnixMicros::from_millis(step.now.0.unsigned_abs());
                    calls.push((args, step.before.keyspace().clone(), now));
                }
            });
        }
        calls
    }

    #[test]
    fn a_call_does_the_same_where_there_is_nothing_but_what_it_looked_at() {
        let subject = Subject::new(Library::published()).expect("it loads");
        let mut engine = subject.load(Dialect::Valkey8, 1).expect("it loads").engine;
        let mut session = engine.connect();
        let (mut functions, mut left_out) = (BTreeSet::new(), 0);
        for (args, before, now) in calls(&subject) {
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            let mut run = |keyspace: Keyspace| {
                let mut effects = Effects::default();
                engine.set_keyspace(keyspace);
                engine.seed(1);
                engine.begin_looks();
                let reply = engine.execute(&mut session, &args, now, &mut effects);
                (
                    reply,
                    effects,
                    engine.end_looks().expect("it looks at keys only"),
                    engine.keyspace().clone(),
                )
            };
            let (reply, effects, keys, after) = run(before.clone());
            let mut rest = Keyspace::default();
            for (key, entry) in keys.iter().filter_map(|key| Some((key, before.shared(key)?))) {
                rest.share(key.clone(), Arc::clone(entry));
            }
            left_out += before.len() - rest.len();
            let alone = run(rest);
            let name = String::from_utf8_lossy(args[1]).into_owned();
            assert_eq!((&alone.0, &alone.1, &alone.2), (&reply, &effects, &keys), "{name}");
            assert_eq!(held(&keys, &alone.3), held(&keys, &after), "{name}");
            // And that is what is done again.
            let memo = Memo::default();
            let outcome = Outcome::new(reply, effects, &keys, [&before, &after]);
            memo.note(1, keys, &before, Arc::new(outcome));
            let again = memo.recall(1, &before).expect("it holds the same");
            assert_eq!(again.after(&before).identity(), after.identity(), "{name}");
            functions.insert(Function::from(&*name));
        }
        assert!(functions.len() > 12 && left_out > 10_000, "{left_out} keys of {functions:?}");
    }

    #[test]
    fn a_call_is_known_where_it_looks_at_the_same_and_nowhere_else() {
        let subject = Subject::new(Library::published()).expect("it loads");
        let mut engine = subject.load(Dialect::Valkey8, 1).expect("it loads").engine;
        let (mut session, now) = (engine.connect(), UnixMicros::from_millis(1_000));
        let mut set = |key: &[u8], value: &[u8]| {
            engine.execute(&mut session, &[b"SET", key, value], now, &mut Effects::default());
            engine.keyspace().clone()
        };
        let (one, other, changed) = (set(b"a", b"1"), set(b"b", b"1"), set(b"a", b"2"));
        let memo = Memo::default();
        let noted = |call, key: &'static [u8], before: &Keyspace, after: &Keyspace, answer| {
            let keys = vec![Bytes::from_static(key)];
            let outcome = Outcome::new(Reply::Int(answer), Effects::default(), &keys, [before, after]);
            memo.note(call, keys, before, Arc::new(outcome));
        };
        let recalled = |call, keyspace| memo.recall(call, keyspace).map(|it| it.reply.clone());
        noted(7, b"a", &one, &one, 1);
        assert_eq!(recalled(7, &one), Some(Reply::Int(1)));
        assert_eq!(recalled(7, &other), Some(Reply::Int(1)), "it never looked at b");
        assert_eq!(recalled(7, &changed), None);
        let nothing = Keyspace::default();
        assert_eq!(recalled(7, &nothing), None);
        assert_eq!(recalled(8, &one), None);
        // One call looks at one key and then at others: by what it holds.
        noted(7, b"a", &nothing, &nothing, 2);
        noted(7, b"a", &changed, &changed, 1);
        let answers = [&one, &nothing, &changed].map(|keyspace| recalled(7, keyspace));
        assert_eq!(answers, [1, 2, 1].map(|answer| Some(Reply::Int(answer))));
        // Of one shard are all whose high halves leave the same. Those that write do not make it forget those that do not.
        noted(9, b"b", &nothing, &other, 3);
        for nth in 1..=WRITING / SHARDS {
            assert_eq!(recalled(9, &nothing), Some(Reply::Int(3)), "after {nth} others");
            noted(((nth * SHARDS) as u128) << 64, b"b", &nothing, &other, 3);
        }
        assert_eq!(recalled(9, &nothing), None, "the oldest is forgotten");
        assert_eq!(recalled(7, &one), Some(Reply::Int(1)));
        let times = [1, 2].map(|now| call(&[b"FCALL", b"f"], TimestampMs(now)));
        assert_ne!(times[0], times[1]);
        assert_ne!(call(&[b"ab", b"c"], TimestampMs(1)), call(&[b"a", b"bc"], TimestampMs(1)));
    }
}
