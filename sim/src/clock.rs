//! One clock a node: what a node believes the time to be, as a function of the world's.
//!
//! A clock starts off by some amount, drifts, and is stepped now and then, as by an operator or a time daemon.
//! Everything is exact to the microsecond and saturates; no arithmetic here can fail. What moves the
//! simulation's time is not here: it is madsim, through the module `link`.

use serde::{Deserialize, Serialize};

use crate::base::UnixMicros;

/// Microseconds since the start of a run: the time that no node can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorldMicros(pub u64);

impl WorldMicros {
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
/// use valkey_sim::clock::{Clock, Step, WorldMicros};
/// use valkey_sim::engine::UnixMicros;
///
/// // One part in a thousand fast, and set back by 30 ms after a second.
/// let clock = Clock {
///     epoch: UnixMicros::from_millis(1_700_000_000_000),
///     drift_ppm: 1_000,
///     steps: vec![Step { at: WorldMicros::from_millis(1_000), by_ms: -30 }],
/// };
/// assert_eq!(clock.now(WorldMicros::from_millis(500)), UnixMicros(1_700_000_000_500_500));
/// assert_eq!(clock.now(WorldMicros::from_millis(1_000)), UnixMicros::from_millis(1_700_000_000_971));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// What the clock reads when the run starts.
    pub epoch: UnixMicros,
    /// How much faster it runs than the world, in millionths. At −1,000,000 or less it stands still.
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
    pub at: WorldMicros,
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
    pub fn now(&self, world: WorldMicros) -> UnixMicros {
        let local = i128::from(self.epoch.0) + self.ticked(world) + self.stepped(world);
        UnixMicros(saturate(local))
    }

    /// Microseconds that the node has counted since the start: drifts, is never stepped, never goes back. The
    /// timers of real programs run on it.
    pub fn monotonic(&self, world: WorldMicros) -> u64 {
        saturate(self.ticked(world))
    }

    /// The first instant, from `from` on, at which the clock reads `local` or more; [`WorldMicros::NEVER`] if it
    /// never does. A clock that is set back reads a time twice, so it matters when one asks.
    pub fn next_at(&self, from: WorldMicros, local: UnixMicros) -> WorldMicros {
        if local.0 == 0 {
            return from; // every clock reads at least that, however far it was set back
        }
        let later = self.steps.iter().map(|step| step.at).filter(|at| *at > from);
        let starts = std::iter::once(from).chain(later);
        let first = starts.filter_map(|start| self.first_in_stretch(start, local)).min();
        first.unwrap_or(WorldMicros::NEVER)
    }

    /// The first instant at which [`monotonic`](Self::monotonic) has reached `micros`.
    pub fn world_at_monotonic(&self, micros: u64) -> WorldMicros {
        self.first_with(i128::from(micros)).unwrap_or(WorldMicros::NEVER)
    }

    /// The first instant at which the clock reads `local`, in the stretch from `start` to the next step.
    fn first_in_stretch(&self, start: WorldMicros, local: UnixMicros) -> Option<WorldMicros> {
        let ticks = i128::from(local.0) - i128::from(self.epoch.0) - self.stepped(start);
        let first = self.first_with(ticks)?.max(start);
        let end = self.steps.iter().map(|step| step.at).filter(|at| *at > start).min();
        end.is_none_or(|end| first < end).then_some(first)
    }

    /// Microseconds counted since the start, rounded down.
    fn ticked(&self, world: WorldMicros) -> i128 {
        i128::from(world.0) * self.rate() / MILLION
    }

    /// The inverse of [`ticked`](Self::ticked): the first instant by which so many have been counted.
    fn first_with(&self, ticks: i128) -> Option<WorldMicros> {
        match self.rate() {
            _ if ticks <= 0 => Some(WorldMicros::START),
            0 => None,
            rate => u64::try_from((ticks * MILLION + rate - 1) / rate).ok().map(WorldMicros),
        }
    }

    /// Local microseconds in a million of the world's.
    fn rate(&self) -> i128 {
        (MILLION + i128::from(self.drift_ppm)).max(0)
    }

    /// The steps that have been made, in microseconds.
    fn stepped(&self, world: WorldMicros) -> i128 {
        self.steps.iter().filter(|step| step.at <= world).map(|step| i128::from(step.by_ms) * 1_000).sum()
    }
}

fn saturate(micros: i128) -> u64 {
    micros.clamp(0, i128::from(u64::MAX)) as u64
}
