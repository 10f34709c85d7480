//! Watched keys: `WATCH`, and what makes an `EXEC` fail.
//!
//! A key is touched when an effect says that it was written. Nothing is looked at as long as nobody watches.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Context, Effect, Engine, databases, table::CommandTable};

/// Who watches which keys.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    /// For every watched key of a database: the sessions, and for each whether there was no such key, or only an expired
    /// one, when it began to watch, so that its removal is no news.
    keys: BTreeMap<(u8, Bytes), BTreeMap<u64, bool>>,
    /// The sessions whose next `EXEC` fails.
    touched: BTreeSet<u64>,
}

impl Watches {
    /// Whether nobody watches anything.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a key that a session watches was written.
    pub fn is_touched(&self, session: u64) -> bool {
        self.touched.contains(&session)
    }

    /// Has a session watch nothing any more.
    pub fn forget(&mut self, session: u64) {
        self.touched.remove(&session);
        self.keys.retain(|_, watchers| {
            watchers.remove(&session);
            !watchers.is_empty()
        });
    }

    /// A key was written, or perhaps only removed.
    fn touch(&mut self, database: u8, key: &[u8], removed: bool) {
        // The map is searched by owned keys; this is done only while someone watches.
        let Some(watchers) = self.keys.get_mut(&(database, Bytes::copy_from_slice(key))) else { return };
        let touched = watchers.iter().filter(|(_, was_absent)| !(removed && **was_absent));
        self.touched.extend(touched.map(|(session, _)| *session));
    }
}

impl Engine {
    /// Touches the watched keys that effects wrote; the first of them was for database `database`, unless it says
    /// otherwise.
    pub(super) fn touch_watched<'e>(&mut self, effects: impl Iterator<Item = Effect<'e>>, mut database: u8) {
        for effect in effects {
            let args: Vec<&[u8]> = effect.args().collect();
            match effect.name() {
                b"SELECT" => database = databases::parse(effect.arg(1)).unwrap_or(database),
                b"MOVE" => {
                    self.watches.touch(database, effect.key(), false);
                    self.watches.touch(databases::target(&args, database), effect.key(), false);
                }
                b"COPY" => {
                    self.watches.touch(databases::target(&args, database), effect.arg(2), false);
                }
                name => {
                    let removed = matches!(name, b"DEL" | b"UNLINK");
                    let written = written_keys(self.commands, name, &args);
                    written.into_iter().for_each(|key| self.watches.touch(database, key, removed));
                }
            }
        }
    }

    /// A database is about to be emptied, or to be exchanged for another: touches what is watched in it and exists in
    /// either.
    pub(super) fn touch_database(&mut self, database: u8, replacement: Option<u8>) {
        if self.watches.is_empty() {
            return;
        }
        let exists = |number: u8, key: &Bytes| self.database(number).is_some_and(|db| db.get(key).is_some());
        let watched = self.watches.keys.iter().filter(|((number, _), _)| *number == database);
        let touched = watched.flat_map(|((_, key), watchers)| {
            let (lost, found) =
                (exists(database, key), replacement.is_some_and(|number| exists(number, key)));
            watchers.iter().filter(move |(_, was_absent)| found || (lost && !**was_absent)).map(|(id, _)| *id)
        });
        let sessions: Vec<u64> = touched.collect();
        self.watches.touched.extend(sessions);
    }
}

/// The keys that an effect wrote, in the database it is for. What happens to a stream's groups leaves the stream as it
/// was, and its id counter too: a real server does not count them as changes of the key.
pub(super) fn written_keys<'a>(commands: &CommandTable, name: &[u8], args: &[&'a [u8]]) -> Vec<&'a [u8]> {
    match name {
        // A command that makes a stream for its group says so itself.
        b"XACK" | b"XCLAIM" | b"XSETID" | b"XGROUP" => Vec::new(),
        // The set that it adds to says itself whether it changed.
        b"SMOVE" => args.get(1).copied().into_iter().collect(),
        b"SORT" => commands.find(name).and_then(|command| command.keys.of(args)?.pop()).into_iter().collect(),
        b"BITOP" => args.get(2).copied().into_iter().collect(),
        name if name.ends_with(b"STORE") => args.get(1).copied().into_iter().collect(),
        name => commands.find(name).and_then(|command| command.keys.of(args)).unwrap_or_default(),
    }
}

impl Watches {
    /// How many keys are watched.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How many connections watch a key.
    pub fn clients(&self) -> usize {
        self.keys.values().flat_map(BTreeMap::keys).collect::<BTreeSet<_>>().len()
    }

    /// How many keys a connection watches.
    pub fn count(&self, id: u64) -> usize {
        self.keys.values().filter(|watchers| watchers.contains_key(&id)).count()
    }
}

impl Context<'_> {
    /// Touches a key that was written, for those who watch it; what an effect says need not be said again.
    pub fn touch(&mut self, key: &[u8]) {
        if !self.engine.watches.is_empty() {
            let database = self.selected();
            self.engine.watches.touch(database, key, false);
        }
        if !self.engine.tracking.is_empty() {
            self.invalidate(key);
        }
    }

    /// Has the connection watch a key of the selected database.
    pub fn watch(&mut self, key: &[u8]) {
        let was_absent = self.engine.db.get(key).is_none() || self.engine.db.is_expired(key, self.now_ms());
        let watched = (self.selected(), Bytes::copy_from_slice(key));
        self.engine.watches.keys.entry(watched).or_default().entry(self.session.id).or_insert(was_absent);
    }

    /// Has the connection watch nothing any more. Returns whether a key that it watched was touched, or has expired
    /// since it began.
    pub fn unwatch(&mut self) -> bool {
        let (id, now) = (self.session.id, self.now_ms());
        let watches = &self.engine.watches;
        let watched = watches.keys.iter().filter(|(_, watchers)| watchers.get(&id) == Some(&false));
        let expired =
            |number: u8, key: &Bytes| self.engine.database(number).is_some_and(|db| db.is_expired(key, now));
        let touched = watches.is_touched(id) || watched.into_iter().any(|((n, key), _)| expired(*n, key));
        self.engine.watches.forget(id);
        touched
    }
}
