//! How two states differ that a call left: key by key, and within a key by fields, members, scores, entries and expiry.
//!
//! Compared is what is visible at the time of the call: a key that has expired is as good as gone, whether somebody has
//! removed it already or not. By which commands a state was written cannot be seen here. Not compared: the order of a hash's
//! fields, and databases other than 0.

use std::collections::BTreeSet;

use bytes::Bytes;
use valkey_sim::engine::{
    Effect, Effects, Entry, Keyspace, UnixMillis,
    value::{
        Hash, Set, SortedSet, Stream, Value,
        stream::{StreamEntry, StreamId},
    },
};

use super::{
    Row,
    difference::{Change, Kind, Part},
    shape,
};
use crate::view;

/// Commands of which it is known where their keys are; of any other command each argument may be one.
const PLAIN: [&[u8]; 18] = [
    b"HSET",
    b"HDEL",
    b"HINCRBY",
    b"HMSET",
    b"ZADD",
    b"ZREM",
    b"SADD",
    b"SREM",
    b"SET",
    b"DEL",
    b"UNLINK",
    b"PEXPIREAT",
    b"XADD",
    b"RPUSH",
    b"LPUSH",
    b"INCRBY",
    b"PERSIST",
    b"RENAME",
];

/// The keys that effects may have changed.
pub(super) fn touched<'e>(effects: impl IntoIterator<Item = &'e Effects>) -> BTreeSet<&'e [u8]> {
    effects.into_iter().flat_map(|effects| effects.iter().flat_map(keys_of)).collect()
}

fn keys_of(effect: Effect<'_>) -> Vec<&[u8]> {
    if PLAIN.contains(&effect.name()) {
        view::keys_of(effect).collect()
    } else {
        (1..effect.len()).map(|index| effect.arg(index)).collect()
    }
}

/// A state before a call, and what the libraries made of it.
pub(super) struct States<'a> {
    pub before: &'a Keyspace,
    pub old: &'a Keyspace,
    pub new: &'a Keyspace,
    /// The server's clock.
    pub now: UnixMillis,
}

/// One key, as the three states have it.
#[derive(Clone, Copy)]
struct Three<T> {
    before: T,
    old: T,
    new: T,
}

impl States<'_> {
    /// What differs under these keys.
    pub fn differences(&self, keys: &BTreeSet<&[u8]>) -> Vec<(Kind, Row)> {
        let mut found = Found::default();
        for key in keys {
            let three = Three {
                before: self.entry(self.before, key),
                old: self.entry(self.old, key),
                new: self.entry(self.new, key),
            };
            if !same(three.old, three.new) {
                found.at(key, three);
            }
        }
        found.differences
    }

    /// Whether a library left these keys as they were.
    pub fn is_idle(&self, after: &Keyspace, keys: &BTreeSet<&[u8]>) -> bool {
        keys.iter().all(|key| same(self.entry(self.before, key), self.entry(after, key)))
    }

    fn entry<'k>(&self, keyspace: &'k Keyspace, key: &[u8]) -> Option<&'k Entry> {
        keyspace.get(key).filter(|entry| entry.expires_at.is_none_or(|at| self.now <= at))
    }
}

fn same(one: Option<&Entry>, other: Option<&Entry>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => std::ptr::eq(one, other) || one == other,
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// What differs so far.
#[derive(Default)]
struct Found {
    key: String,
    shape: String,
    differences: Vec<(Kind, Row)>,
}

impl Found {
    /// Looks at a key that is not the same.
    fn at(&mut self, key: &[u8], three: Three<Option<&Entry>>) {
        self.key = String::from_utf8_lossy(key).into_owned();
        self.shape = shape::of_key(&self.key);
        self.values(three.map(|entry| entry.map(|entry| &entry.value)));
        if three.old.is_some() && three.new.is_some() {
            let expiry = three.map(|entry| entry.and_then(|entry| entry.expires_at));
            self.add_if(expiry, Part::Ttl, "expires at", expiry.map(|at| at.map(|at| at.0.to_string())));
        }
    }

    /// A set without members is no key, and the other way round: sets are compared member by member in any case.
    fn values(&mut self, values: Three<Option<&Value>>) {
        let all = |is: fn(&Value) -> bool| [values.old, values.new].into_iter().flatten().all(is);
        if all(|value| matches!(value, Value::SortedSet(_))) {
            return self.sorted_set(values.map(|value| value.and_then(as_sorted_set)));
        }
        if all(|value| matches!(value, Value::Set(_))) {
            return self.set(values.map(|value| value.and_then(as_set)));
        }
        let whole = match (values.old, values.new) {
            (Some(Value::Hash(_)), Some(Value::Hash(_))) => {
                return self.hash(values.map(|value| value.and_then(as_hash)));
            }
            (Some(Value::Stream(_)), Some(Value::Stream(_))) => {
                return self.stream(values.map(|value| value.and_then(as_stream)));
            }
            (Some(Value::String(_)), Some(Value::String(_))) => Part::Text,
            (Some(Value::List(_)), Some(Value::List(_))) => Part::Elements,
            (Some(_), Some(_)) => Part::Type,
            _ => {
                let is_there = values.map(|value| value.is_some());
                return self.add_if(is_there, Part::Key, "", values.map(|value| value.map(described)));
            }
        };
        self.add_if(values, whole, "", values.map(|value| value.map(described)));
    }

    fn hash(&mut self, hashes: Three<Option<&Hash>>) {
        let fields: BTreeSet<&Bytes> =
            [hashes.old, hashes.new].into_iter().flatten().flat_map(|hash| hash.keys()).collect();
        for field in fields {
            let values = hashes.map(|hash| hash.and_then(|hash| hash.get(field)));
            let name = text(field);
            let part = Part::Field(shape::of_text(&name));
            self.add_if(values, part, &name, values.map(|value| value.map(text)));
        }
    }

    fn sorted_set(&mut self, sets: Three<Option<&SortedSet>>) {
        let members: BTreeSet<&Bytes> = [sets.old, sets.new]
            .into_iter()
            .flatten()
            .flat_map(|set| set.iter().map(|(member, _)| member))
            .collect();
        for member in members {
            let scores = sets.map(|set| set.and_then(|set| set.score(member)));
            let is_in_both = scores.old.is_some() && scores.new.is_some();
            let shown = scores.map(|score| score.map(|score| score.to_string()));
            if is_in_both {
                self.add_if(scores, Part::Score, &text(member), shown);
            } else {
                self.add_if(scores.map(|score| score.is_some()), Part::Member, &text(member), shown);
            }
        }
    }

    fn set(&mut self, sets: Three<Option<&Set>>) {
        let members: BTreeSet<&Bytes> =
            [sets.old, sets.new].into_iter().flatten().flat_map(|set| set.iter()).collect();
        for member in members {
            let is_in = sets.map(|set| set.is_some_and(|set| set.contains(member)));
            self.add_if(
                is_in,
                Part::Member,
                &text(member),
                is_in.map(|is_in| is_in.then(|| "a member".to_owned())),
            );
        }
    }

    fn stream(&mut self, streams: Three<Option<&Stream>>) {
        let entries = |stream: Option<&Stream>| -> BTreeSet<StreamId> {
            let range = stream.map(|stream| stream.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id));
            range.into_iter().flatten().collect()
        };
        let count = self.differences.len();
        for id in entries(streams.old).union(&entries(streams.new)) {
            let of = streams.map(|stream| stream.and_then(|stream| stream.range(*id, *id).next()));
            let fields = |entry: &StreamEntry| entry.fields.iter().map(text).collect::<Vec<_>>().join(" ");
            self.add_if(of, Part::Entry, &id.to_string(), of.map(|entry| entry.map(fields)));
        }
        if self.differences.len() == count {
            let about = |stream: &Stream| {
                format!(
                    "last id {}, {} added, {} groups",
                    stream.last_id,
                    stream.entries_added,
                    stream.groups.len()
                )
            };
            self.add_if(streams, Part::Stream, "", streams.map(|stream| stream.map(about)));
        }
    }

    /// Adds a part if the libraries left different ones.
    fn add_if<T: PartialEq>(
        &mut self,
        parts: Three<T>,
        part: Part,
        what: &str,
        shown: Three<Option<String>>,
    ) {
        let Some(change) = Change::of(&parts.before, &parts.old, &parts.new) else { return };
        let Three { before, old, new } = shown;
        let (place, key) = (self.shape.clone(), Some(self.key.clone()));
        let row = Row { place, key, what: what.to_owned(), before, old, new };
        self.differences.push((Kind::State { key: self.shape.clone(), part, change }, row));
    }
}

impl<T> Three<T> {
    fn map<U>(self, mut of: impl FnMut(T) -> U) -> Three<U> {
        Three { before: of(self.before), old: of(self.old), new: of(self.new) }
    }
}

fn as_hash(value: &Value) -> Option<&Hash> {
    if let Value::Hash(hash) = value { Some(hash) } else { None }
}

fn as_sorted_set(value: &Value) -> Option<&SortedSet> {
    if let Value::SortedSet(set) = value { Some(set) } else { None }
}

fn as_set(value: &Value) -> Option<&Set> {
    if let Value::Set(set) = value { Some(set) } else { None }
}

fn as_stream(value: &Value) -> Option<&Stream> {
    if let Value::Stream(stream) = value { Some(stream) } else { None }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A value in a line.
fn described(value: &Value) -> String {
    match value {
        Value::String(bytes) => format!("{:?}", text(bytes)),
        Value::List(list) => format!("list: {}", list.iter().map(text).collect::<Vec<_>>().join(", ")),
        Value::Hash(hash) => {
            let fields: Vec<_> =
                hash.iter().map(|(field, value)| format!("{}={}", text(field), text(value))).collect();
            format!("hash: {}", fields.join(", "))
        }
        other => format!("{} of {}", other.type_name(), other.elements()),
    }
}

#[cfg(test)]
mod tests {
    use valkey_sim::{
        engine::{Dialect, Engine, UnixMicros},
        lua::Interpreter,
    };

    use super::*;
    use crate::{compare::Difference, types::Function};

    const NOW: UnixMicros = UnixMicros(5_000_000);

    /// A keyspace after these commands, which begin at `from`, and what they wrote.
    fn after(from: &Keyspace, commands: &str) -> (Keyspace, Effects) {
        let mut engine = Engine::new(Dialect::default(), Interpreter::default());
        engine.set_keyspace(from.clone());
        let (mut session, mut effects) = (engine.connect(), Effects::default());
        for command in commands.split(';').map(str::trim).filter(|command| !command.is_empty()) {
            let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
            let reply = engine.execute(&mut session, &args, NOW, &mut effects);
            assert!(reply.error().is_none(), "{command}: {reply:?}");
        }
        (engine.keyspace().clone(), effects)
    }

    /// The names of what differs between two ways to go on.
    fn names(before: &str, old: &str, new: &str) -> Vec<String> {
        let (before, _) = after(&Keyspace::default(), before);
        let ((old, old_effects), (new, new_effects)) = (after(&before, old), after(&before, new));
        let states = States { before: &before, old: &old, new: &new, now: NOW.millis() };
        let found = states.differences(&touched([&old_effects, &new_effects]));
        let name = |(kind, _)| Difference { function: Function::Version, kind }.to_string();
        found.into_iter().map(name).map(|name| name.replacen("ff_version/", "", 1)).collect()
    }

    #[test]
    fn every_part_of_a_state_is_compared() {
        for (before, old, new, expected) in [
            ("", "HSET h a 1 b 2", "HSET h a 1 b 2", vec![]),
            ("", "HSET h a 1", "HSET h a 2", vec!["h/field:a/other"]),
            ("", "HSET h a 1", "HSET h a 1 b 2", vec!["h/field:b/extra"]),
            ("HSET h a 0", "HSET h a 1 b 1", "HSET h b 1", vec!["h/field:a/missing"]),
            ("HSET h a 0 b 0", "HDEL h b", "HSET h c7 1", vec!["h/field:b/missing", "h/field:c#/extra"]),
            ("HSET h a 0", "", "DEL h", vec!["h/key/extra"]),
            ("HSET h a 0", "DEL h", "", vec!["h/key/missing"]),
            ("", "ZADD z 1 m", "ZADD z 2 m", vec!["z/score/other"]),
            ("ZADD z 1 m", "ZADD z 2 m", "", vec!["z/score/missing"]),
            ("", "ZADD z 1 m 1 n", "ZADD z 1 n", vec!["z/member/missing"]),
            ("", "ZADD z 1 m", "", vec!["z/member/missing"]),
            ("SADD s m", "", "SREM s m", vec!["s/member/extra"]),
            ("SADD s m n", "", "SADD s o", vec!["s/member/extra"]),
            ("", "SET t a", "SET t b", vec!["t/text/other"]),
            ("SET t a", "SET t b", "", vec!["t/text/missing"]),
            ("", "RPUSH l a b", "RPUSH l b a", vec!["l/elements/other"]),
            ("", "SET k a", "HSET k a a", vec!["k/type/other"]),
            ("", "XADD x 1-0 a 1", "XADD x 1-0 a 2", vec!["x/entry/other"]),
            ("", "XADD x 1-0 a 1", "XADD x 1-0 a 1; XADD x 2-0 b 1; XDEL x 2-0", vec!["x/stream/other"]),
            ("", "SET k a PX 10", "SET k a PX 11", vec!["k/ttl/other"]),
            ("", "SET k a PX 10", "SET k a", vec!["k/ttl/missing"]),
            ("SET k a PX 10", "", "PERSIST k", vec!["k/ttl/extra"]),
            ("SADD s 7", "", "SMOVE s t 7", vec!["s/member/extra", "t/member/extra"]),
            ("SET one a", "", "COPY one other", vec!["other/key/extra"]),
            ("", "MSET a 1 b 2", "MSET a 1 b 3", vec!["b/text/other"]),
            ("RPUSH l a", "", "LMOVE l m LEFT LEFT", vec!["l/key/extra", "m/key/extra"]),
        ] {
            assert_eq!(names(before, old, new), expected, "{before:?}, then {old:?} or {new:?}");
        }
    }

    #[test]
    fn by_which_commands_a_state_was_written_is_no_difference() {
        for (before, one, other) in [
            ("", "HSET h a 1 b 2", "HMSET h b 2; HINCRBY h a 1"),
            ("ZADD z 1 m", "ZADD z 3 m", "ZINCRBY z 2 m"),
            ("", "SET k a PX 10", "SET k a; PEXPIREAT k 5010"),
            ("HSET h a 1", "DEL h", "HDEL h a"),
            ("SET k a", "DEL k", "RENAME k l; UNLINK l"),
            ("", "", "SADD s m; SREM s m"),
        ] {
            assert_eq!(names(before, one, other), [""; 0], "{one:?} or {other:?}");
        }
    }

    #[test]
    fn a_key_that_has_expired_is_gone_whether_it_was_removed_or_not() {
        let expired = "SET k a PXAT 5001";
        let (before, _) = after(&Keyspace::default(), expired);
        let mut removed = before.clone();
        removed.remove(b"k");
        let at = |ms| {
            let states = States { before: &before, old: &before, new: &removed, now: UnixMillis(ms) };
            states.differences(&BTreeSet::from([&b"k"[..]])).len()
        };
        assert_eq!((at(5_000), at(5_001), at(5_002)), (1, 1, 0));
    }
}
