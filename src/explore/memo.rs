//! What calls did before. A call does the same wherever the keys that it looks at hold the same: most of the states of a search
//! differ in others, and two thirds of what a step took was Lua.

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use valkey_sim::{
    engine::{Effects, Entry, Keyspace, Reply},
    hash::Hash128,
};

use super::search::plain;
use crate::types::TimestampMs;

/// Outcomes of a generation: as many are remembered at least, and twice as many at most. They are a few kilobytes each.
const GENERATION: usize = 30_000;

/// What a call did.
pub(super) struct Outcome {
    pub reply: Reply,
    pub effects: Effects,
    /// What it left under the keys whose entries it changed; nothing where it took the key away.
    left: Vec<(Bytes, Option<Arc<Entry>>)>,
}

/// Some keys that a call looked at, and what it did by what they held.
struct Looked {
    keys: Vec<Bytes>,
    outcomes: IndexMap<u128, Outcome, plain::State>,
}

/// The outcomes of calls, by the call and its time, by the keys that it looked at, by what these held.
#[derive(Default)]
struct Generation {
    calls: IndexMap<u128, Vec<Looked>, plain::State>,
    count: usize,
}

/// The outcomes of the last calls: when there are many of them, the older ones are forgotten.
#[derive(Default)]
pub(super) struct Memo {
    young: Generation,
    old: Generation,
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

impl Generation {
    fn recall(&self, call: u128, keyspace: &Keyspace) -> Option<&Outcome> {
        let looked = self.calls.get(&call)?.iter();
        looked.filter_map(|it| it.outcomes.get(&held(&it.keys, keyspace))).next()
    }

    fn note(&mut self, call: u128, keys: Vec<Bytes>, before: &Keyspace, outcome: Outcome) {
        let looked = self.calls.entry(call).or_default();
        let place = looked.iter().position(|it| it.keys == keys).unwrap_or_else(|| {
            looked.push(Looked { keys, outcomes: IndexMap::default() });
            looked.len() - 1
        });
        let it = &mut looked[place];
        it.outcomes.insert(held(&it.keys, before), outcome);
        self.count += 1;
    }
}

impl Memo {
    /// What the call does on this keyspace, if it is known.
    pub fn recall(&self, call: u128, keyspace: &Keyspace) -> Option<&Outcome> {
        self.young.recall(call, keyspace).or_else(|| self.old.recall(call, keyspace))
    }

    /// The call looked at these keys, and did this.
    pub fn note(
        &mut self,
        call: u128,
        keys: Vec<Bytes>,
        reply: &Reply,
        effects: &Effects,
        [before, after]: [&Keyspace; 2],
    ) {
        let is_same = |key: &Bytes| match (before.shared(key), after.shared(key)) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let left =
            keys.iter().filter(|key| !is_same(key)).map(|key| (key.clone(), after.shared(key).cloned()));
        let outcome = Outcome { reply: reply.clone(), effects: effects.clone(), left: left.collect() };
        if self.young.count == GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.note(call, keys, before, outcome);
    }
}

impl Outcome {
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
            let mut memo = Memo::default();
            memo.note(1, keys, &reply, &effects, [&before, &after]);
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
        let mut memo = Memo::default();
        let effects = Effects::default();
        memo.note(7, vec![Bytes::from_static(b"a")], &Reply::Int(1), &effects, [&one, &one]);
        fn recalled_of(memo: &Memo, call: u128, keyspace: &Keyspace) -> Option<Reply> {
            memo.recall(call, keyspace).map(|it| it.reply.clone())
        }
        let recalled = |call, keyspace| recalled_of(&memo, call, keyspace);
        assert_eq!(recalled(7, &one), Some(Reply::Int(1)));
        assert_eq!(recalled(7, &other), Some(Reply::Int(1)), "it never looked at b");
        assert_eq!(recalled(7, &changed), None);
        let nothing = Keyspace::default();
        assert_eq!(recalled(7, &nothing), None);
        assert_eq!(recalled(8, &one), None);
        // What came before the last generations is forgotten.
        for nth in 0..2 * GENERATION as u128 {
            assert_eq!(recalled_of(&memo, 7, &one), Some(Reply::Int(1)), "after {nth} others");
            memo.note(nth << 64, Vec::new(), &Reply::Null, &effects, [&one, &one]);
        }
        assert_eq!(recalled_of(&memo, 7, &one), None);
        assert!(memo.young.count <= GENERATION && memo.old.count <= GENERATION);
        let times = [1, 2].map(|now| call(&[b"FCALL", b"f"], TimestampMs(now)));
        assert_ne!(times[0], times[1]);
        assert_ne!(call(&[b"ab", b"c"], TimestampMs(1)), call(&[b"a", b"bc"], TimestampMs(1)));
    }
}
