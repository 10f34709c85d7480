//! Expired keys of a replica: a command does not see them, and they stay until the primary says that they are gone.
//!
//! A key that a command looks at is set aside while the command runs, and put back after it. `DBSIZE` counts it all the
//! while. What the primary sends sees such keys as what they are on the primary: there.

use std::sync::Arc;

use bytes::Bytes;

use super::{Engine, Entry};

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

    /// Puts back what was set aside, unless another key took its place.
    pub(super) fn show_hidden(&mut self) {
        for (number, key, entry) in std::mem::take(&mut self.hidden) {
            let db = self.database_mut(number);
            if db.get(&key).is_none() {
                db.put(key, Arc::unwrap_or_clone(entry));
            }
        }
    }

    /// How many keys the selected database has, those that are set aside among them.
    pub(super) fn key_count(&self) -> usize {
        let selected = self.databases.selected();
        self.db.len() + self.hidden.iter().filter(|(number, ..)| *number == selected).count()
    }
}
