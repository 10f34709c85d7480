//! The times that an execution has stored, and at which something of it ends or begins.

use serde::{Deserialize, Serialize};

/// A time that an execution has stored, and at which something ends or begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadline {
    /// Its grant expires, of whichever kind it is.
    #[default]
    Grant,
    /// Its lease ends.
    Lease,
    /// Its delay is over.
    Delay,
    /// Its suspension times out.
    Suspension,
    /// Its attempt times out.
    Attempt,
    /// It is to have ended.
    Execution,
}

impl Deadline {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Grant, Self::Lease, Self::Delay, Self::Suspension, Self::Attempt, Self::Execution];
}

/// A part of what a call presents to show that it holds the lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FencePart {
    /// All of it.
    #[default]
    Whole,
    /// The lease's id.
    Lease,
    /// The epoch.
    Epoch,
    /// The attempt's id.
    Attempt,
}

impl FencePart {
    /// Whether it is all of it.
    pub fn is_whole(&self) -> bool {
        *self == Self::Whole
    }
}
