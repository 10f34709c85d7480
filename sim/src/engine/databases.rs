//! Several databases: `SELECT` and what propagates of it.
//!
//! The engine holds the selected database apart from the others, so that whoever works on it need not ask which one
//! it is. Between two commands that is database 0.

use std::{collections::BTreeMap, mem};

use super::{Context, Effects, Engine, ErrorReply, Keyspace, UnixMillis, number};

/// How many databases there are: the setting `databases`.
pub const COUNT: u8 = 16;

/// The databases that are not selected, and what of the choice was propagated.
#[derive(Clone, Debug, Default)]
pub struct Databases {
    /// The database in [`Engine::db`].
    selected: u8,
    /// The others; one that is absent is empty.
    parked: BTreeMap<u8, Keyspace>,
    /// The database that the last effect was for.
    propagated: u8,
    /// How many of the effects at hand are told apart already.
    settled: usize,
    /// The database that the first of the effects at hand is for, unless they say otherwise.
    entered: u8,
}

impl Databases {
    /// The one that commands work on now.
    pub fn selected(&self) -> u8 {
        self.selected
    }

    /// The one that the last effect was for.
    pub fn propagated(&self) -> u8 {
        self.propagated
    }

    /// The one that the first effect of the last command was for, unless the effects say otherwise.
    pub fn entered(&self) -> u8 {
        self.entered
    }
}

impl Engine {
    /// The databases that have been used, in order, with their numbers.
    pub fn databases(&self) -> impl Iterator<Item = (u8, &Keyspace)> {
        (0..COUNT).filter_map(|number| Some((number, self.database(number)?)))
    }

    /// A database, unless it was never used.
    pub fn database(&self, number: u8) -> Option<&Keyspace> {
        if number == self.databases.selected { Some(&self.db) } else { self.databases.parked.get(&number) }
    }

    /// A database, for changing.
    pub(super) fn database_mut(&mut self, number: u8) -> &mut Keyspace {
        if number == self.databases.selected {
            return &mut self.db;
        }
        let db = self.databases.parked.entry(number).or_default();
        db.now_s = self.db.now_s;
        db
    }

    /// Begins a command of a session in database `number`; what `effects` holds already is none of its.
    pub(super) fn enter(&mut self, number: u8, effects: &Effects) {
        self.databases.settled = effects.len();
        if effects.is_empty() {
            self.databases.entered = self.databases.propagated;
        }
        self.swap_in(number);
    }

    /// Ends a command: database 0 is the selected one again.
    pub(super) fn leave(&mut self, effects: &mut Effects) {
        if self.databases.selected != self.databases.propagated {
            self.settle(effects);
        }
        self.swap_in(0);
    }

    /// Selects another database in the middle of a command.
    pub(super) fn select(&mut self, number: u8, effects: &mut Effects) {
        if number != self.databases.selected {
            self.settle(effects);
            self.swap_in(number);
        }
    }

    /// Marks the effects that came since the last time as the selected database's, if there are any.
    fn settle(&mut self, effects: &mut Effects) {
        let Databases { selected, propagated, settled, .. } = self.databases;
        if effects.len() > settled && selected != propagated {
            effects.insert(settled, &[b"SELECT", selected.to_string().as_bytes()]);
            self.tracking.note_inserted(settled);
            self.databases.propagated = selected;
        }
        self.databases.settled = effects.len();
    }

    /// Leaves a command in its middle for those of other clients; answers what [`come_back`](Self::come_back) takes.
    pub(super) fn leave_for_others(&mut self) -> (u8, usize) {
        let left = (self.databases.selected, self.databases.settled);
        self.swap_in(0);
        left
    }

    /// Goes on with the command that was left.
    pub(super) fn come_back(&mut self, (selected, settled): (u8, usize)) {
        self.swap_in(selected);
        self.databases.settled = settled;
    }

    fn swap_in(&mut self, number: u8) {
        let selected = mem::replace(&mut self.databases.selected, number);
        if number != selected {
            let mut db = self.databases.parked.remove(&number).unwrap_or_default();
            db.now_s = self.db.now_s;
            let db = mem::replace(&mut self.db, db);
            self.databases.parked.insert(selected, db);
        }
    }

    /// Exchanges two databases.
    pub(super) fn swap(&mut self, one: u8, other: u8) {
        let db = mem::take(self.database_mut(one));
        let db = mem::replace(self.database_mut(other), db);
        *self.database_mut(one) = db;
        self.usage.swap(one, other);
    }

    /// Takes all keys of all databases away.
    pub(super) fn clear_databases(&mut self) {
        self.databases.parked.clear();
        self.db.clear();
    }

    /// The database whose next key expires first, and when.
    pub(super) fn next_expiry_of_all(&self) -> Option<(UnixMillis, u8)> {
        let databases = self.databases.parked.iter().map(|(number, db)| (*number, db));
        let all = std::iter::once((self.databases.selected, &self.db)).chain(databases);
        all.filter_map(|(number, db)| Some((db.next_expiry()?.0, number))).min()
    }
}

impl Context<'_> {
    /// The number of the selected database.
    pub fn selected(&self) -> u8 {
        self.engine.databases.selected()
    }

    /// Does something in another database, and comes back.
    pub fn in_database<T>(&mut self, number: u8, work: impl FnOnce(&mut Self) -> T) -> T {
        let here = self.selected();
        self.engine.select(number, self.effects);
        let result = work(self);
        self.engine.select(here, self.effects);
        result
    }
}

/// The database that a `MOVE` or a `COPY` writes to, which was sent in database `own`.
pub fn target(args: &[&[u8]], own: u8) -> u8 {
    let number = match args {
        [name, _, number] if name.eq_ignore_ascii_case(b"MOVE") => Some(*number),
        _ => args.windows(2).find(|pair| pair[0].eq_ignore_ascii_case(b"DB")).map(|pair| pair[1]),
    };
    number.and_then(|number| parse(number).ok()).unwrap_or(own)
}

/// Reads the number of a database.
pub fn parse(text: &[u8]) -> Result<u8, ErrorReply> {
    let number = number::parse_i64(text)?;
    let number = i32::try_from(number).map_err(|_| {
        ErrorReply::new("ERR value is out of range, value must between -2147483648 and 2147483647")
    })?;
    checked(number)
}

/// Reads an integer that should be the number of a database, with an error of the command's own.
pub fn int_or(text: &[u8], error: ErrorReply) -> Result<i32, ErrorReply> {
    number::read_i64(text).and_then(|number| i32::try_from(number).ok()).ok_or(error)
}

/// An integer as the number of a database that there is.
pub fn checked(number: i32) -> Result<u8, ErrorReply> {
    let found = u8::try_from(number).ok().filter(|&number| number < COUNT);
    found.ok_or(ErrorReply::new("ERR DB index is out of range"))
}
