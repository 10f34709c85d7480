//! What a server counts: the numbers of `INFO stats` and `INFO commandstats`.

use indexmap::IndexMap;

use super::{UnixMicros, commands::Command, value::FixedState};

/// The counters.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// When the first command came: a simulated server has been up since then.
    pub since: Option<UnixMicros>,
    /// Connections ever accepted.
    pub connections: u64,
    /// Keys that expired.
    pub expired_keys: u64,
    calls: IndexMap<&'static str, u64, FixedState>,
}

impl Stats {
    /// Counts a call.
    pub fn count(&mut self, command: &Command, now: UnixMicros) {
        self.since.get_or_insert(now);
        *self.calls.entry(command.name).or_insert(0) += 1;
    }

    /// How often each command was called, in the order of their first calls.
    pub fn calls(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.calls.iter().map(|(name, calls)| (*name, *calls))
    }

    /// `CONFIG RESETSTAT`.
    pub fn reset(&mut self) {
        *self = Self { since: self.since, ..Self::default() };
    }
}
