//! A state: all that the future of a history depends on.

use std::{hash::Hash, sync::Arc};

use valkey_sim::{engine::Keyspace, hash::Hash128};

use crate::{
    property::Memories,
    types::{Seq, TimestampMs},
};

/// Where a history has come to.
#[derive(Clone)]
pub(super) struct State {
    /// What the server holds.
    pub keyspace: Keyspace,
    /// The server's clock.
    pub now: TimestampMs,
    /// What the properties remember.
    pub memories: Arc<Memories>,
    /// A hash of what they remember.
    pub remembered: u128,
    /// How many events led here. It is no part of what the future depends on.
    pub events: Seq,
}

/// What tells two states apart: a hash of 128 bits.
pub(super) type StateKey = u128;

impl State {
    /// What tells it from other states: the keyspace with every expiry, the clock, and what the properties remember. Times are
    /// raw: two histories that differ in when something happened long ago are two states.
    pub fn key(&self) -> StateKey {
        let mut hash = Hash128::default();
        for part in [self.keyspace.identity(), self.remembered] {
            hash.words((part >> 64) as u64, part as u64);
        }
        hash.words(self.now.0 as u64, 0);
        hash.finish128()
    }
}

/// A hash of what the properties remember.
pub(super) fn remembered(memories: &Memories) -> u128 {
    let mut hash = Hash128::default();
    memories.hash(&mut hash);
    hash.finish128()
}
