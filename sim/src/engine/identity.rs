//! What is under a key, as a number of 128 bits: two entries are the same if and only if their numbers are, but for
//! collisions of [`Hash128`].
//!
//! The same counts as for [`digest`](super::digest): not the order of fields and members where the type keeps none. What has
//! expired and is still there counts, since whoever looks next removes it.

use super::{
    keyspace::Entry,
    value::{
        Stream, Value,
        stream::{Group, StreamId},
    },
};
use crate::hash::Hash128;

/// The identity of an entry under its key.
pub(super) fn of_entry(key: &[u8], entry: &Entry) -> u128 {
    let mut hash = Hash128::default();
    hash.bytes(key);
    hash.words(u64::from(entry.expires_at.is_some()), entry.expires_at.map_or(0, |at| at.0 as u64));
    match &entry.value {
        Value::String(text) => {
            hash.words(1, 0);
            hash.bytes(text);
        }
        Value::Hash(fields) => {
            hash.words(2, fields.len() as u64);
            unordered(&mut hash, fields.iter().map(|(field, value)| of_parts(&[field, value])));
        }
        Value::List(list) => {
            hash.words(3, list.len() as u64);
            list.iter().for_each(|element| hash.bytes(element));
        }
        Value::Set(set) => {
            hash.words(4, set.len() as u64);
            unordered(&mut hash, set.iter().map(|member| of_parts(&[member])));
        }
        Value::SortedSet(set) => {
            hash.words(5, set.len() as u64);
            for (member, score) in set.iter() {
                hash.bytes(member);
                hash.words(score.to_bits(), 0);
            }
        }
        Value::Stream(stream) => of_stream(&mut hash, stream),
    }
    hash.finish128()
}

fn of_parts(parts: &[&[u8]]) -> u128 {
    let mut hash = Hash128::default();
    parts.iter().for_each(|part| hash.bytes(part));
    hash.finish128()
}

/// A sum does not know in which order its parts came.
fn unordered(hash: &mut Hash128, parts: impl Iterator<Item = u128>) {
    let sum = parts.fold(0_u128, u128::wrapping_add);
    hash.key(sum);
}

fn of_stream(hash: &mut Hash128, stream: &Stream) {
    hash.words(6, stream.len());
    for entry in stream.range(StreamId::MIN, StreamId::MAX) {
        of_id(hash, entry.id);
        hash.words(entry.fields.len() as u64, 0);
        entry.fields.iter().for_each(|part| hash.bytes(part));
    }
    of_id(hash, stream.last_id);
    of_id(hash, stream.max_deleted_id);
    hash.words(stream.entries_added, stream.groups.len() as u64);
    for (name, group) in &stream.groups {
        hash.bytes(name);
        of_group(hash, group);
    }
}

fn of_group(hash: &mut Hash128, group: &Group) {
    of_id(hash, group.last_id);
    hash.words(u64::from(group.entries_read.is_some()), group.entries_read.unwrap_or_default());
    hash.words(group.pending.len() as u64, group.consumers.len() as u64);
    for (id, pending) in &group.pending {
        of_id(hash, *id);
        hash.bytes(&pending.consumer);
        hash.words(pending.delivered_at.0 as u64, pending.deliveries);
    }
    group.consumers.keys().for_each(|name| hash.bytes(name));
}

fn of_id(hash: &mut Hash128, id: StreamId) {
    hash.words(id.ms, id.seq);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::{
        engine::{Dialect, Effects, Engine, Keyspace, UnixMicros},
        lua::Interpreter,
    };

    /// The keyspace that commands leave.
    fn after(commands: &str) -> Keyspace {
        let mut engine = Engine::new(Dialect::Valkey8, Interpreter::default());
        let mut session = engine.connect();
        for command in commands.split(';') {
            let words: Vec<&[u8]> = command.split_whitespace().map(str::as_bytes).collect();
            let reply = engine.execute(&mut session, &words, UnixMicros(5_000), &mut Effects::default());
            assert!(reply.error().is_none(), "{command}: {reply:?}");
        }
        engine.keyspace().clone()
    }

    #[test]
    fn what_can_be_read_makes_another_identity_and_nothing_else_does() {
        let mut seen = BTreeMap::new();
        for commands in [
            "SET k v",
            "SET k w",
            "SET l v",
            "SET k v PXAT 9000",
            "SET k v PXAT 9001",
            "SET k v; SET l v",
            "HSET k a 1 b 2",
            "HSET k a 2 b 1",
            "HSET k a 1",
            "RPUSH k a b",
            "RPUSH k b a",
            "SADD k a b",
            "SADD k a",
            "ZADD k 1 a 2 b",
            "ZADD k 2 a 1 b",
            "XADD k 1-1 a b",
            "XADD k 1-2 a b",
            "XADD k 1-1 a b; XADD k 1-2 a b; XDEL k 1-2",
            "XADD k 1-1 a b; XGROUP CREATE k g 0",
        ] {
            let other = seen.insert(after(commands).identity(), commands);
            assert_eq!(other, None, "{commands}");
        }
        for (one, other) in [
            ("HSET k a 1 b 2", "HSET k b 2; HSET k a 1"),
            ("SADD k a b", "SADD k b; SADD k a"),
            ("SET k v; SET l v", "SET l v; SET k v"),
            ("SET k v", "SET k w; SET l v; SET k v; DEL l"),
            ("HSET k a 1", "HSET k a 1 b 2; HDEL k b"),
            ("SET k v PXAT 9000", "SET k v; PEXPIREAT k 9000"),
        ] {
            assert_eq!(after(one).identity(), after(other).identity(), "{one} and {other}");
        }
    }

    #[test]
    fn an_identity_that_was_asked_for_is_another_after_a_write_and_the_copy_keeps_its_own() {
        let mut engine = Engine::new(Dialect::Valkey8, Interpreter::default());
        let mut session = engine.connect();
        let mut run = |command: &str| {
            let words: Vec<&[u8]> = command.split_whitespace().map(str::as_bytes).collect();
            engine.execute(&mut session, &words, UnixMicros(5_000), &mut Effects::default());
            engine.keyspace().clone()
        };
        let (first, second) = (run("HSET k a 1"), run("HSET k a 2"));
        assert_ne!(first.identity(), second.identity());
        let kept = first.identity();
        assert_ne!(second.identity(), run("PEXPIREAT k 9000").identity());
        assert_eq!(run("PERSIST k").identity(), second.identity());
        assert_eq!(run("HSET k a 1").identity(), kept);
        assert_eq!(first.identity(), kept);
    }
}
