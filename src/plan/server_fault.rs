//! What can break about the server, as data.

use serde::{Deserialize, Serialize};
use valkey_sim::durability::Fsync;

use super::reading::is_default;
use crate::types::{FaultClass, word::words};

/// How long a sync of the append-only file takes, microseconds.
pub const SYNC_TAKES_US: u64 = 20_000;

/// One thing that goes wrong with the server. All times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ServerFault {
    /// It is gone, and its connections are reset. It comes back with all that it had, or with less.
    Lost {
        /// How long it is away.
        down_ms: u64,
        /// What it comes back with.
        keeps: Keeps,
        /// For how long it answers `LOADING` when it is back.
        #[serde(default, skip_serializing_if = "is_default")]
        loading_ms: u64,
        /// For how long it lacks its function library when it is back, until somebody loads it again.
        #[serde(default, skip_serializing_if = "is_default")]
        without_functions_ms: u64,
    },
    /// A replica takes its place, which had been cut off for a while: what was acknowledged meanwhile is lost.
    Failover {
        /// From the fault until the replica is promoted, and the service's name leads to it.
        down_ms: u64,
        /// How far behind the replica is: what the primary wrote in so much time before the fault, it does not have.
        lag_ms: u64,
        /// And so many microseconds.
        #[serde(default, skip_serializing_if = "is_default")]
        lag_us: u64,
        /// By how much its clock differs from the primary's.
        #[serde(default, skip_serializing_if = "is_default")]
        clock_ms: i64,
        /// For how long the former primary goes on answering those who are connected to it, from the promotion on: a split
        /// brain. 0: it is dead at once.
        #[serde(default, skip_serializing_if = "is_default")]
        former_ms: u64,
        /// For how long, from then on, it follows the new primary and still answers those who are connected to it: reads, and
        /// `READONLY` to whatever may write. 0: it is dead at once.
        #[serde(default, skip_serializing_if = "is_default")]
        demoted_ms: u64,
    },
    /// Its function library is not there, as after a restart without data or a `FUNCTION FLUSH`, until it is loaded again.
    LibraryGone {
        /// How long.
        for_ms: u64,
    },
    /// Its library is loaded once more, with `FUNCTION LOAD REPLACE`, as FlowFabric's workers do when they start.
    LibraryReloaded,
    /// Another version of its library is loaded in its place, in mid-flight, and after a while it again: an upgrade that is
    /// rolled back. Which version the caller says (`--other FILE`); without one it is the same again.
    LibraryReplaced {
        /// How long.
        for_ms: u64,
    },
    /// It has no memory for writes: `maxmemory` is reached, and `noeviction` says to refuse.
    OutOfMemory {
        /// How long.
        for_ms: u64,
    },
    /// It evicts so many keys.
    Evicts {
        /// How many.
        keys: u32,
        /// Which.
        #[serde(default, skip_serializing_if = "is_default")]
        policy: Policy,
    },
    /// Its clients wait (`CLIENT PAUSE`), as in a failover that is made by hand.
    ClientsPaused {
        /// How long.
        for_ms: u64,
        /// Only those that write.
        writes_only: bool,
    },
    /// What goes to it and comes from it takes longer.
    Slow {
        /// How long.
        for_ms: u64,
        /// By how much, each way.
        by_ms: u64,
    },
}

words! {
    /// Which keys are evicted: a `maxmemory-policy`.
    #[derive(Default)]
    pub enum Policy {
        /// Any.
        #[default]
        AllkeysRandom = "allkeys-random",
        /// Those that were used longest ago.
        AllkeysLru = "allkeys-lru",
        /// Any of those that expire.
        VolatileRandom = "volatile-random",
        /// Those that expire first.
        VolatileTtl = "volatile-ttl",
    }
}

/// What a server that was lost comes back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeps {
    /// All: its process was killed, and what it had written the kernel has.
    All,
    /// What was synced: the machine lost its power.
    Synced(Fsync),
    /// What a snapshot had that was so old, milliseconds.
    Snapshot(u64),
    /// Nothing.
    Nothing,
}

impl ServerFault {
    /// The class that the contract and the summary count it by.
    pub fn class(&self) -> FaultClass {
        match self {
            ServerFault::Lost { keeps: Keeps::All | Keeps::Synced(Fsync::Always), .. } => FaultClass::Restart,
            ServerFault::Lost { .. } => FaultClass::LostWrites,
            ServerFault::Failover { former_ms: 0, .. } => FaultClass::Failover,
            ServerFault::Failover { .. } => FaultClass::SplitBrain,
            ServerFault::LibraryGone { .. }
            | ServerFault::LibraryReloaded
            | ServerFault::LibraryReplaced { .. } => FaultClass::Library,
            ServerFault::OutOfMemory { .. } => FaultClass::OutOfMemory,
            ServerFault::Evicts { .. } => FaultClass::Eviction,
            ServerFault::Slow { .. } | ServerFault::ClientsPaused { .. } => FaultClass::Slow,
        }
    }

    /// How long it goes on.
    pub fn lasts_ms(&self) -> u64 {
        match *self {
            ServerFault::Lost { down_ms, loading_ms, without_functions_ms, .. } => {
                down_ms.saturating_add(loading_ms.max(without_functions_ms))
            }
            ServerFault::Failover { down_ms, former_ms, demoted_ms, .. } => {
                down_ms.saturating_add(former_ms).saturating_add(demoted_ms)
            }
            ServerFault::LibraryGone { for_ms }
            | ServerFault::LibraryReplaced { for_ms }
            | ServerFault::OutOfMemory { for_ms }
            | ServerFault::ClientsPaused { for_ms, .. }
            | ServerFault::Slow { for_ms, .. } => for_ms,
            ServerFault::LibraryReloaded | ServerFault::Evicts { .. } => 0,
        }
    }

    /// The time that is worth shortening first: how long it lasts.
    pub fn lasting_mut(&mut self) -> Option<&mut u64> {
        match self {
            ServerFault::Lost { down_ms: ms, .. }
            | ServerFault::Failover { down_ms: ms, .. }
            | ServerFault::LibraryGone { for_ms: ms }
            | ServerFault::LibraryReplaced { for_ms: ms }
            | ServerFault::ClientsPaused { for_ms: ms, .. }
            | ServerFault::OutOfMemory { for_ms: ms }
            | ServerFault::Slow { for_ms: ms, .. } => Some(ms),
            ServerFault::LibraryReloaded | ServerFault::Evicts { .. } => None,
        }
    }

    /// How far the replica is behind that takes the server's place, microseconds; 0 where none does.
    pub fn behind_us(&self) -> u64 {
        match self {
            ServerFault::Failover { lag_ms, lag_us, .. } => {
                lag_ms.saturating_mul(1_000).saturating_add(*lag_us)
            }
            _ => 0,
        }
    }

    /// Whether the primary that was lost goes on answering beside the new one.
    pub fn former_lives(&self) -> bool {
        matches!(self, ServerFault::Failover { former_ms: 1.., .. })
    }

    /// Whether the server itself is away, or is being replaced: one such thing at a time.
    pub fn replaces_it(&self) -> bool {
        matches!(self, ServerFault::Lost { .. } | ServerFault::Failover { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loses_acknowledged_writes_is_told_from_what_does_not() {
        let lost =
            |keeps| ServerFault::Lost { down_ms: 1, keeps, loading_ms: 0, without_functions_ms: 0 }.class();
        assert_eq!(
            [Keeps::All, Keeps::Synced(Fsync::Always)].map(lost),
            [FaultClass::Restart, FaultClass::Restart]
        );
        for keeps in
            [Keeps::Synced(Fsync::EverySecond), Keeps::Synced(Fsync::No), Keeps::Snapshot(0), Keeps::Nothing]
        {
            assert_eq!(lost(keeps), FaultClass::LostWrites);
        }
    }

    #[test]
    fn it_lasts_until_the_last_of_it_is_over() {
        let lost = |loading_ms, without_functions_ms| {
            ServerFault::Lost { down_ms: 10, keeps: Keeps::All, loading_ms, without_functions_ms }.lasts_ms()
        };
        assert_eq!([lost(0, 0), lost(5, 3), lost(5, 7)], [10, 15, 17]);
    }
}
