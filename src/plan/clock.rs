//! Clocks that are wrong.

use serde::{Deserialize, Serialize};

/// A clock that differs from the true time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrongClock {
    /// Ahead of the true time at the start, milliseconds; negative: behind.
    #[serde(default)]
    pub offset_ms: i64,
    /// Gains this many microseconds a second; negative: loses.
    #[serde(default)]
    pub drift_ppm: i32,
    /// Jumps: at a time of the run, by so many milliseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ClockStep>,
}

/// A jump of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockStep {
    /// When.
    pub at_ms: u64,
    /// By how much; negative: backwards.
    pub by_ms: i64,
}
