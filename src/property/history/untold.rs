//! What was done at the server and nobody was told of yet.
//!
//! A server that forgets such a thing forgets what nobody knows. So a property that remembers across a power loss what was
//! acknowledged asks here what was not.

use std::collections::BTreeMap;

use crate::{
    trace::{Event, What},
    types::Seq,
};

/// What nobody was told of yet, by the event that did it.
#[derive(Clone, Debug, Hash)]
pub(super) struct Untold<T>(BTreeMap<Seq, T>);

impl<T> Default for Untold<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Untold<T> {
    /// An event did something.
    pub(super) fn add(&mut self, event: Seq, what: T) {
        self.0.insert(event, what);
    }

    /// What a client's event tells it of, where that is something of these; it is no longer one of them.
    pub(super) fn told(&mut self, event: &Event) -> Option<T> {
        match (&event.what, event.head.cause) {
            (What::ReplyReceived { .. }, Some(cause)) => self.0.remove(&cause),
            _ => None,
        }
    }

    /// All of it, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.values()
    }
}
