//! Times and spans, each in a type that names its unit.
//!
//! Three clocks are never mixed: [`SimTime`] is the true time since the start of the run, which no node can read;
//! [`TimestampMs`](super::TimestampMs) is what some node's wall clock shows; [`Millis`] is a span.

use std::fmt;

use ff_core::types::TimestampMs;
use serde::{Deserialize, Serialize};

/// True time since the start of a run, microseconds.
pub use valkey_sim::clock::SimTime;

/// The position of an event in its run, from 0.
pub type Seq = u32;

/// A span of time in milliseconds: a time to live, a delay.
///
/// ```
/// use grantsim::types::{Millis, TimestampMs};
/// assert_eq!(Millis(500).after(TimestampMs(1_000)), TimestampMs(1_500));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// The time that is this much later; it stops at the end of time.
    pub fn after(self, start: TimestampMs) -> TimestampMs {
        TimestampMs(start.0.saturating_add_unsigned(self.0))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A time as a library writes it: an integer, or, from 10¹⁴ on, a number with an exponent, as Lua writes one. What is past
/// the end of time reads as its end.
///
/// ```
/// use grantsim::types::{TimestampMs, written_time};
/// assert_eq!(written_time("1735689600050"), Some(TimestampMs(1_735_689_600_050)));
/// assert_eq!(written_time("9.007e+15"), Some(TimestampMs(9_007_000_000_000_000)));
/// assert_eq!(written_time("1.5"), None);
/// ```
pub fn written_time(text: &str) -> Option<TimestampMs> {
    let large = || text.parse::<f64>().ok().filter(|number| number.abs() >= 1e14).map(|number| number as i64);
    text.parse().ok().or_else(large).map(TimestampMs)
}
