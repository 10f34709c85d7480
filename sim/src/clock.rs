//! One clock per node: the time that a node reads, as a function of the simulation's own time.
//!
//! A clock has an offset, drifts, and is stepped now and then, as by an operator or a time daemon. All arithmetic is
//! exact to the microsecond and saturates; it cannot fail. This module does not advance the simulation's time: madsim
//! does, through the module `link`.

use serde::{Deserialize, Serialize};

use crate::base::UnixMicros;

/// Microseconds since the start of a run: the time that no node can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SimTime(pub u64);

impl SimTime {
    /// The start of the run.
    pub const START: Self = Self(0);
    /// Later than anything that happens.
    pub const NEVER: Self = Self(u64::MAX);

    /// So many milliseconds into the run.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// The instant `micros` later; [`NEVER`](Self::NEVER) if that is past the end of time.
    pub const fn after(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

/// A node's clock.
///
/// ```
/// use valkey_sim::clock::{Clock, Step, SimTime};
/// use valkey_sim::engine::UnixMicros;
///
/// // One part in a thousand fast, and set back by 30 ms after a second.
/// let clock = Clock {
///     epoch: UnixMicros::from_millis(1_700_000_000_000),
///     drift_ppm: 1_000,
///     steps: vec![Step { at: SimTime::from_millis(1_000), by_ms: -30 }],
/// };
/// assert_eq!(clock.now(SimTime::from_millis(500)), UnixMicros(1_700_000_000_500_500));
/// assert_eq!(clock.now(SimTime::from_millis(1_000)), UnixMicros::from_millis(1_700_000_000_971));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// What the clock reads when the run starts.
    pub epoch: UnixMicros,
    /// How much faster it runs than the simulation, in millionths. At −1,000,000 or less it stands still.
    #[serde(default)]
    pub drift_ppm: i32,
    /// When it is set, in any order.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// One setting of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// From when on it counts.
    pub at: SimTime,
    /// By how much the clock is set forward, or back.
    pub by_ms: i64,
}

/// The parts of a whole that a drift is counted in.
const MILLION: i128 = 1_000_000;

impl Clock {
    /// A clock that reads `epoch` when the run starts and is right from then on.
    pub fn starting_at(epoch: UnixMicros) -> Self {
        Self { epoch, ..Self::default() }
    }

    /// What the clock reads.
    pub fn now(&self, sim: SimTime) -> UnixMicros {
        let local = i128::from(self.epoch.0) + self.ticked(sim) + self.stepped(sim);
        UnixMicros(saturate(local))
    }

    /// Microseconds that the node has counted since the start: drifts, is never stepped, never goes back. The
    /// timers of real programs run on it.
    pub fn monotonic(&self, sim: SimTime) -> u64 {
        saturate(self.ticked(sim))
    }

    /// The first instant, from `from` on, at which the clock reads `local` or more; [`SimTime::NEVER`] if it
    /// never does. A clock that is set back reads a time twice, so it matters when one asks.
    pub fn next_at(&self, from: SimTime, local: UnixMicros) -> SimTime {
        if local.0 == 0 {
            return from; // every clock reads at least that, however far it was set back
        }
        let later = self.steps.iter().map(|step| step.at).filter(|at| *at > from);
        let starts = std::iter::once(from).chain(later);
        let first = starts.filter_map(|start| self.first_in_stretch(start, local)).min();
        first.unwrap_or(SimTime::NEVER)
    }

    /// The first instant at which [`monotonic`](Self::monotonic) has reached `micros`.
    pub fn sim_time_at_monotonic(&self, micros: u64) -> SimTime {
        self.first_with(i128::from(micros)).unwrap_or(SimTime::NEVER)
    }

    #[doc(hidden)]
    pub fn world_at_monotonic(&self, micros: u64) -> SimTime {
        self.sim_time_at_monotonic(micros)
    }

    /// The first instant at which the clock reads `local`, in the stretch from `start` to the next step.
    fn first_in_stretch(&self, start: SimTime, local: UnixMicros) -> Option<SimTime> {
        let ticks = i128::from(local.0) - i128::from(self.epoch.0) - self.stepped(start);
        let first = self.first_with(ticks)?.max(start);
        let end = self.steps.iter().map(|step| step.at).filter(|at| *at > start).min();
        end.is_none_or(|end| first < end).then_some(first)
    }

    /// Microseconds counted since the start, rounded down.
    fn ticked(&self, sim: SimTime) -> i128 {
        i128::from(sim.0) * self.rate() / MILLION
    }

    /// The inverse of [`ticked`](Self::ticked): the first instant by which so many have been counted.
    fn first_with(&self, ticks: i128) -> Option<SimTime> {
        match self.rate() {
            _ if ticks <= 0 => Some(SimTime::START),
            0 => None,
            rate => u64::try_from((ticks * MILLION + rate - 1) / rate).ok().map(SimTime),
        }
    }

    /// Local microseconds in a million of the simulation's.
    fn rate(&self) -> i128 {
        (MILLION + i128::from(self.drift_ppm)).max(0)
    }

    /// The steps that have been made, in microseconds.
    fn stepped(&self, sim: SimTime) -> i128 {
        self.steps.iter().filter(|step| step.at <= sim).map(|step| i128::from(step.by_ms) * 1_000).sum()
    }
}

fn saturate(micros: i128) -> u64 {
    micros.clamp(0, i128::from(u64::MAX)) as u64
}
