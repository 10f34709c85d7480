//! What every state has in it: what the properties remember of the history that led there.

use std::sync::Arc;

use crate::{
    property::{Entry, Memories},
    types::Seq,
};

/// What tells two states apart: a hash of 128 bits.
pub(super) type StateKey = u128;

/// What the properties remember of a history.
#[derive(Clone)]
pub(super) struct Remembered {
    /// What each of them does.
    pub memories: Arc<Memories>,
    /// A hash of that.
    pub key: u128,
    /// How many events there were. It is no part of what the future depends on.
    pub events: Seq,
}

impl Remembered {
    /// What they remember before anything has happened.
    pub fn nothing(entries: &[&'static Entry]) -> Self {
        let memories = Memories::new(entries.iter().copied());
        Self { key: memories.key(), memories: Arc::new(memories), events: 0 }
    }
}
