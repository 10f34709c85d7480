//! The kinds of value a key holds.

use bytes::Bytes;
use indexmap::IndexMap;

pub mod set;
pub mod stream;
pub mod zset;

pub use set::Set;
pub use stream::Stream;
pub use zset::SortedSet;

use crate::base::{Dialect, number};

/// The hash function of every table: fixed, so that no order depends on the process.
pub type FixedState = std::hash::BuildHasherDefault<rustc_hash::FxHasher>;

/// A hash: its fields in the order in which they were first set.
pub type Hash = IndexMap<Bytes, Bytes, FixedState>;

/// A list.
pub type List = std::collections::VecDeque<Bytes>;

/// A value, by type. Collections are never empty: the last removal removes the key.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `string`.
    String(Bytes),
    /// `hash`.
    Hash(Hash),
    /// `list`.
    List(List),
    /// `set`.
    Set(Set),
    /// `zset`.
    SortedSet(SortedSet),
    /// `stream`.
    Stream(Stream),
}

/// How a server keeps a string, which depends on how that came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As short as it can: a number as one.
    #[default]
    Compact,
    /// As text, even where it is a number.
    Text,
    /// By itself, even where it is short.
    Raw,
}

/// The most fields that a server keeps in order: `hash-max-listpack-entries`.
pub const ORDERED_HASH_ENTRIES: usize = 512;

/// Up to where a server keeps a collection in its compact form: entries, and bytes of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compact {
    /// `hash-max-listpack-entries`.
    pub hash_entries: usize,
    /// `hash-max-listpack-value`.
    pub hash_bytes: usize,
    /// `list-max-listpack-size`: entries, or, negative, a size of the table in [`Compact::holds_list`].
    pub list_size: i64,
    /// `set-max-intset-entries`. A set has left its intset behind at 512 members, even if this is more.
    pub intset_entries: usize,
    /// `set-max-listpack-entries`.
    pub set_entries: usize,
    /// `set-max-listpack-value`.
    pub set_bytes: usize,
    /// `zset-max-listpack-entries`.
    pub zset_entries: usize,
    /// `zset-max-listpack-value`.
    pub zset_bytes: usize,
}

impl Default for Compact {
    fn default() -> Self {
        Self {
            hash_entries: ORDERED_HASH_ENTRIES,
            hash_bytes: 64,
            list_size: -2,
            intset_entries: set::INTSET_ENTRIES,
            set_entries: 128,
            set_bytes: 64,
            zset_entries: 128,
            zset_bytes: 64,
        }
    }
}

/// The longest string that is allocated together with its header.
const EMBEDDED_BYTES: usize = 44;

impl Value {
    /// How many elements it has; of a string, how many bytes.
    pub fn elements(&self) -> u64 {
        match self {
            Value::String(text) => text.len() as u64,
            Value::Hash(hash) => hash.len() as u64,
            Value::List(list) => list.len() as u64,
            Value::Set(set) => set.len() as u64,
            Value::SortedSet(zset) => zset.len() as u64,
            Value::Stream(stream) => stream.len(),
        }
    }

    /// What it costs to look at all of it, or to copy it: so many elements, or sixteen bytes for one.
    pub fn work(&self) -> usize {
        match self {
            Value::String(text) => text.len() / 16,
            collection => collection.elements() as usize,
        }
    }

    /// All that [`type_name`](Self::type_name) answers.
    pub const TYPE_NAMES: [&str; 6] = ["string", "hash", "list", "set", "zset", "stream"];

    /// What `TYPE` answers.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::String(_) => "string",
            Value::Hash(_) => "hash",
            Value::List(_) => "list",
            Value::Set(_) => "set",
            Value::SortedSet(_) => "zset",
            Value::Stream(_) => "stream",
        }
    }

    /// What `OBJECT ENCODING` answers for a value that was made as it is now: a real server also remembers that
    /// a value was larger once.
    pub fn encoding(&self, kept: Encoding, dialect: Dialect, limits: &Compact) -> &'static str {
        let choose = |compact, small, large| if compact { small } else { large };
        match self {
            Value::String(text) => match kept {
                Encoding::Compact if number::read_i64(text).is_some() => "int",
                Encoding::Compact | Encoding::Text => choose(text.len() <= EMBEDDED_BYTES, "embstr", "raw"),
                Encoding::Raw => "raw",
            },
            Value::Hash(hash) => choose(limits.holds_hash(hash), "listpack", "hashtable"),
            Value::List(list) => choose(limits.holds_list(list, dialect), "listpack", "quicklist"),
            Value::Set(set) if limits.holds_intset(set) => "intset",
            Value::Set(set) => choose(limits.holds_set(set, dialect), "listpack", "hashtable"),
            Value::SortedSet(zset) => choose(limits.holds_zset(zset), "listpack", "skiplist"),
            Value::Stream(_) => "stream",
        }
    }
}

impl Compact {
    /// Whether a server keeps this hash as a listpack, and so scans it in one go.
    pub fn holds_hash(&self, hash: &Hash) -> bool {
        let is_short = |bytes: &Bytes| bytes.len() <= self.hash_bytes;
        hash.len() <= self.hash_entries
            && hash.iter().all(|(field, value)| is_short(field) && is_short(value))
    }

    /// Whether a server keeps this list as one listpack. Redis 7.0 calls every list a quicklist.
    pub fn holds_list(&self, list: &List, dialect: Dialect) -> bool {
        let bytes = |kilobytes: usize| list.iter().map(Bytes::len).sum::<usize>() <= kilobytes * 1024;
        dialect == Dialect::Valkey8
            && match self.list_size {
                -1 => bytes(4),
                // Less than −5 is −5.
                ..=-5 => bytes(64),
                -4 => bytes(32),
                -3 => bytes(16),
                -2 => bytes(8),
                most => list.len() <= most.max(1) as usize,
            }
    }

    /// Whether a node of a long list may grow to so many bytes and elements.
    pub fn holds_list_node(&self, bytes: usize, elements: usize) -> bool {
        match self.list_size {
            -1 => bytes <= 4 * 1024,
            ..=-5 => bytes <= 64 * 1024,
            -4 => bytes <= 32 * 1024,
            -3 => bytes <= 16 * 1024,
            -2 => bytes <= 8 * 1024,
            most => elements <= most.max(1) as usize && bytes <= 8 * 1024,
        }
    }

    /// Whether an element of a list is a node by itself.
    pub fn is_large_element(&self, bytes: usize) -> bool {
        let most = match self.list_size {
            -1 => 4,
            ..=-5 => 64,
            -4 => 32,
            -3 => 16,
            _ => 8,
        };
        bytes > most * 1024
    }

    /// Whether a server keeps this set as an intset.
    pub fn holds_intset(&self, set: &Set) -> bool {
        set.is_intset() && set.len() <= self.intset_entries
    }

    /// Whether a server keeps this set as an intset or a listpack. Redis 7.0 knows no listpack of a set.
    pub fn holds_set(&self, set: &Set, dialect: Dialect) -> bool {
        self.holds_intset(set)
            || dialect == Dialect::Valkey8
                && set.len() <= self.set_entries
                && set.iter().all(|member| member.len() <= self.set_bytes)
    }

    /// Whether a server keeps this sorted set as a listpack.
    pub fn holds_zset(&self, zset: &SortedSet) -> bool {
        zset.len() <= self.zset_entries && zset.iter().all(|(member, _)| member.len() <= self.zset_bytes)
    }
}
