//! What a server counts: the numbers of `INFO stats`, `INFO commandstats` and `INFO errorstats`.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::{ErrorReply, UnixMicros, table::Command, value::FixedState};

/// The counters.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// When the first command came: a simulated server has been up since then.
    pub since: Option<UnixMicros>,
    /// Connections ever accepted.
    pub connections: u64,
    /// Connections that were turned away.
    pub rejected_connections: u64,
    /// Keys that expired.
    pub expired_keys: u64,
    /// Those of them whose time had come, and that no command ended.
    pub expired_by_time: u64,
    /// Looks at keys that were there, and at others.
    pub hits: u64,
    /// See [`hits`](Self::hits).
    pub misses: u64,
    /// Keys that were evicted.
    pub evicted_keys: u64,
    commands: IndexMap<&'static str, Calls, FixedState>,
    errors: BTreeMap<String, u64>,
}

/// What became of the calls of one command.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calls {
    /// It was executed.
    pub calls: u64,
    /// It was refused before it was executed.
    pub rejected: u64,
    /// It was executed and answered with an error.
    pub failed: u64,
}

/// Different error codes that are told apart: a script may make up any number.
const MOST_CODES: usize = 128;

impl Stats {
    /// Counts a call.
    pub fn count(&mut self, command: &Command, now: UnixMicros) {
        self.since.get_or_insert(now);
        self.of(command).calls += 1;
    }

    /// Counts a call that failed.
    #[cold]
    pub fn count_failure(&mut self, command: &Command, error: &ErrorReply) {
        self.of(command).failed += 1;
        self.count_error(error);
    }

    /// Counts a call that failed in a script: the error is counted when the script ends with it.
    #[cold]
    pub fn count_failure_within(&mut self, command: &Command) {
        self.of(command).failed += 1;
    }

    /// Counts a call that was refused; without a command if there is none of that name.
    #[cold]
    pub fn count_rejection(&mut self, command: Option<&Command>, error: &ErrorReply) {
        if let Some(command) = command {
            self.of(command).rejected += 1;
        }
        self.count_error(error);
    }

    fn count_error(&mut self, error: &ErrorReply) {
        if let Some(count) = self.errors.get_mut(error.code()) {
            *count += 1;
        } else if self.errors.len() < MOST_CODES {
            self.errors.insert(error.code().to_owned(), 1);
        }
    }

    fn of(&mut self, command: &Command) -> &mut Calls {
        self.commands.entry(command.name).or_default()
    }

    /// What became of each command's calls, in the order of their first ones.
    pub fn commands(&self) -> impl Iterator<Item = (&'static str, Calls)> {
        self.commands.iter().map(|(name, calls)| (*name, *calls))
    }

    /// How often each error code was answered.
    pub fn errors(&self) -> impl Iterator<Item = (&str, u64)> {
        self.errors.iter().map(|(code, count)| (&**code, *count))
    }

    /// `CONFIG RESETSTAT`.
    pub fn reset(&mut self) {
        *self = Self { since: self.since, ..Self::default() };
    }
}
