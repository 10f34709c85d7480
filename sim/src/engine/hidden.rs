//! Expired keys that stay: a command does not see them. On a replica they stay until the primary says that they are gone, and
//! during a pause until it is over.
//!
//! A key that a command looks at is set aside while the command runs, and put back after it. `DBSIZE` counts it all the
//! while, and `DEL` takes it away as one that is there. What the primary sends sees such keys as what they are on the primary:
//! there.

use std::sync::Arc;

use bytes::Bytes;

use super::{Engine, Entry};

/// Said where a key takes the place of one that is set aside during a pause. That can only be in a transaction that began the
/// pause. Measured: valkey 8.0.1 and redis 7.0.15 find a key that they took for missing, and are gone.
const FATAL: &str =
    "a key is written in whose place an expired one stays for a pause, and a real server dies of that";

/// The keys that are set aside, each with its database.
pub type Hidden = Vec<(u8, Bytes, Arc<Entry>)>;

impl Engine {
    /// Sets a key of the selected database aside.
    pub(super) fn hide(&mut self, key: &[u8]) {
        let number = self.databases.selected();
        if let Some(entry) = self.db.remove(key) {
            self.hidden.push((number, Bytes::copy_from_slice(key), entry));
        }
    }

    /// Takes a key away that is set aside. False where there is none.
    pub(super) fn remove_hidden(&mut self, key: &[u8]) -> bool {
        let number = self.databases.selected();
        let place = self.hidden.iter().position(|(of, hidden, _)| (*of, &hidden[..]) == (number, key));
        place.map(|place| self.hidden.swap_remove(place)).is_some()
    }

    /// Puts back what was set aside, unless another key took its place.
    #[inline]
    pub(super) fn show_hidden(&mut self) {
        if !self.hidden.is_empty() {
            self.put_back();
        }
    }

    fn put_back(&mut self) {
        for (number, key, entry) in std::mem::take(&mut self.hidden) {
            let db = self.database_mut(number);
            if db.get(&key).is_none() {
                db.put(key, Arc::unwrap_or_clone(entry));
            } else if !self.is_replica() {
                tracing::warn!(key = %key.escape_ascii(), "{FATAL}");
            }
        }
    }

    /// How many keys the selected database has, those that are set aside among them.
    pub(super) fn key_count(&self) -> usize {
        let selected = self.databases.selected();
        self.db.len() + self.hidden.iter().filter(|(number, ..)| *number == selected).count()
    }
}
