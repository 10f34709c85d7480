//! FlowFabric's keyspace, typed, read on demand from a handle.
//!
//! A [`View`] is a handle to the keyspace as it was at one moment: cloning one costs nothing, and two of them, before and
//! after a call, say all that the call did. Nothing is remembered here and nothing is written; whatever command wrote a
//! key, it reads the same. The key patterns are those of `docs/protocol.md`, built by `ff-core`.
//!
//! ```
//! use grantsim::{types::ExecutionId, view::View};
//! let id = ExecutionId::parse("{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8")?;
//! assert!(View::default().execution(&id).core().is_none());
//! # Ok::<(), ff_core::types::ExecutionIdParseError>(())
//! ```

mod budget;
mod entity;
mod execution;
mod fields;
mod flow;
mod place;
mod quota;
mod secrets;
mod suspension;
mod waitpoint;
mod worker;

use valkey_sim::engine::{
    Entry, Keyspace,
    value::{Hash, Set, SortedSet, Stream, Value},
};

pub use budget::Budget;
pub use entity::{Entity, IndexName, touched};
pub(crate) use entity::{keys_of, tag_of};
pub use execution::{Attempt, Core, Execution, Grant, Lease, StateVector};
pub use fields::Fields;
pub use flow::{Dependencies, EdgeGroup, Flow};
pub use place::{Place, Places};
pub use quota::Quota;
pub use secrets::Secrets;
pub use suspension::Suspension;
pub use waitpoint::{SignalSeen, Waitpoint};
pub use worker::Worker;

use crate::types::{ExecutionId, TimestampMs};

/// The keyspace at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    keyspace: Keyspace,
}

impl View {
    /// A view of a keyspace.
    pub fn new(keyspace: Keyspace) -> Self {
        Self { keyspace }
    }

    /// The keyspace itself: a clone of it costs nothing.
    pub fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// Whether a library with names of its own is tested by a table: the mirror in `library/mirror.lua` writes this key.
    pub fn is_mirrored(&self) -> bool {
        self.entry("grantsim:table").is_some()
    }

    /// Whether the library is told this part of a lease (`lease_id`, `epoch`, `attempt_id`, `attempt_index`) by its holder.
    /// FlowFabric's is told all of them; one with names of its own, those that its table passes to its functions.
    ///
    /// A library cannot tell one lease from another by what it is not told.
    pub fn is_told(&self, part: &str) -> bool {
        !self.is_mirrored()
            || self.string("grantsim:table").is_some_and(|told| told.split(' ').any(|it| it == part))
    }

    /// An execution, whether it exists or not.
    pub fn execution(&self, id: &ExecutionId) -> Execution<'_> {
        Execution::new(self, id)
    }

    /// Every execution that has a core.
    pub fn executions(&self) -> impl Iterator<Item = ExecutionId> + '_ {
        let keys = self.keyspace.range_from(bytes::Bytes::from_static(entity::EXECUTIONS.as_bytes()));
        let keys = keys.map_while(|(key, _)| std::str::from_utf8(key).ok()?.strip_prefix(entity::EXECUTIONS));
        keys.filter_map(|rest| {
            let (_, id) = rest.strip_suffix(":core")?.split_once("}:")?;
            ExecutionId::parse(id).ok()
        })
    }

    /// A flow, whether it exists or not; `partition` is the number in its hash tag.
    pub fn flow<'v>(&'v self, partition: &'v str, id: &'v str) -> Flow<'v> {
        Flow::new(self, partition, id)
    }

    /// A budget, whether it exists or not; `tag` is its hash tag: `{b:7}`.
    pub fn budget<'v>(&'v self, tag: &'v str, id: &'v str) -> Budget<'v> {
        Budget::new(self, tag, id)
    }

    /// A quota policy, whether it exists or not; `tag` is its hash tag: `{q:7}`.
    pub fn quota<'v>(&'v self, tag: &'v str, id: &'v str) -> Quota<'v> {
        Quota::new(self, tag, id)
    }

    /// A process in the worker registry, whether it is there or not.
    pub fn worker<'v>(&'v self, namespace: &'v str, instance: &'v str) -> Worker<'v> {
        Worker::new(self, namespace, instance)
    }

    /// A waitpoint, whether it exists or not; `tag` is its hash tag: `{fp:7}`.
    pub fn waitpoint<'v>(&'v self, tag: &'v str, id: &'v str) -> Waitpoint<'v> {
        Waitpoint::new(self, tag, id)
    }

    /// The secrets that sign a partition's waitpoint tokens; `tag` is its hash tag: `{fp:7}`.
    pub fn secrets(&self, tag: &str) -> Secrets<'_> {
        Secrets::new(self, tag)
    }

    /// What is under a key: value and expiry. A key that has expired and that nobody has removed yet is still there.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.keyspace.get(key.as_bytes())
    }

    /// When a key expires: the last millisecond at which it is visible.
    pub fn expires_at(&self, key: &str) -> Option<TimestampMs> {
        self.entry(key)?.expires_at.map(|at| TimestampMs(at.0))
    }

    /// The hash under a key.
    pub fn hash(&self, key: &str) -> Option<&Hash> {
        match &self.entry(key)?.value {
            Value::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    /// The fields of the hash under a key.
    pub fn fields(&self, key: &str) -> Option<Fields<'_>> {
        self.hash(key).map(Fields)
    }

    /// The sorted set under a key.
    pub fn sorted_set(&self, key: &str) -> Option<&SortedSet> {
        match &self.entry(key)?.value {
            Value::SortedSet(set) => Some(set),
            _ => None,
        }
    }

    /// The set under a key.
    pub fn set(&self, key: &str) -> Option<&Set> {
        match &self.entry(key)?.value {
            Value::Set(set) => Some(set),
            _ => None,
        }
    }

    /// The stream under a key.
    pub fn stream(&self, key: &str) -> Option<&Stream> {
        match &self.entry(key)?.value {
            Value::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// The string under a key, as text.
    pub fn string(&self, key: &str) -> Option<std::borrow::Cow<'_, str>> {
        match &self.entry(key)?.value {
            Value::String(bytes) => Some(String::from_utf8_lossy(bytes)),
            _ => None,
        }
    }

    /// The score of a member of the sorted set under a key.
    pub fn score(&self, key: &str, member: &str) -> Option<f64> {
        self.sorted_set(key)?.score(member.as_bytes())
    }

    /// Whether the set or sorted set under a key has a member.
    pub fn contains(&self, key: &str, member: &str) -> bool {
        match self.entry(key).map(|entry| &entry.value) {
            Some(Value::SortedSet(set)) => set.score(member.as_bytes()).is_some(),
            Some(Value::Set(set)) => set.contains(member.as_bytes()),
            _ => false,
        }
    }

    /// How many members the set or sorted set under a key has; 0 where there is none.
    pub fn size(&self, key: &str) -> usize {
        match self.entry(key).map(|entry| &entry.value) {
            Some(Value::SortedSet(set)) => set.len(),
            Some(Value::Set(set)) => set.len(),
            _ => 0,
        }
    }

    /// Whether a key is there and has not expired: it is visible up to and including the millisecond that it names.
    pub fn is_visible(&self, key: &str, now: TimestampMs) -> bool {
        self.entry(key).is_some_and(|entry| entry.expires_at.is_none_or(|at| now.0 <= at.0))
    }

    /// The members of the set or sorted set under a key, as text.
    pub fn members(&self, key: &str) -> Vec<String> {
        let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
        match self.entry(key).map(|entry| &entry.value) {
            Some(Value::SortedSet(set)) => set.iter().map(|(member, _)| text(member)).collect(),
            Some(Value::Set(set)) => set.iter().map(text).collect(),
            _ => Vec::new(),
        }
    }

    /// The keys that begin with a prefix, in byte order.
    pub fn keys<'v>(&'v self, prefix: &'v str) -> impl Iterator<Item = &'v str> + 'v {
        let start = bytes::Bytes::copy_from_slice(prefix.as_bytes());
        let keys = self.keyspace.range_from(start).map(|(key, _)| std::str::from_utf8(key));
        keys.map_while(move |key| key.ok().filter(|key| key.starts_with(prefix)))
    }
}
