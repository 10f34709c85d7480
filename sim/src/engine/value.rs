//! The kinds of value a key holds.

use bytes::Bytes;
use indexmap::IndexMap;

pub mod stream;
pub mod zset;

pub use stream::Stream;
pub use zset::SortedSet;

/// The hash function of every table: fixed, so that no order depends on the process.
pub type FixedState = std::hash::BuildHasherDefault<rustc_hash::FxHasher>;

/// A hash: its fields in the order in which they were first set.
pub type Hash = IndexMap<Bytes, Bytes, FixedState>;

/// A value, by type. Collections are never empty: the last removal removes the key.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `string`.
    String(Bytes),
    /// `hash`.
    Hash(Hash),
    /// `list`.
    List(std::collections::VecDeque<Bytes>),
    /// `set`.
    Set(Set),
    /// `zset`.
    SortedSet(SortedSet),
    /// `stream`.
    Stream(Stream),
}

/// A set: its members in the order in which they were added; all-integer sets are listed sorted, as an intset is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set {
    /// The members.
    pub members: indexmap::IndexSet<Bytes, FixedState>,
}

impl Value {
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
}
