//! The trace: what happened in a run, as plain data.
//!
//! A trace is a list of [`Event`]s. What clients saw and what the server did are kept apart: a client's
//! [`Saw`](What::Saw) is what it was told, the server-side events are read from the effects of a call, never
//! from its reply. Every event but the first of a chain names its `cause`, so a lease can be followed back to
//! the question that led to it.

mod event;
pub mod file;
mod presented;
mod recorder;

pub use event::{Called, Event, Exec, GrantKind, GrantRef, IndexName, Lost, Seq, Summary, What};
pub use presented::Presented;
pub use recorder::{Call, Recorder, answer};

/// What happened in one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// What was run.
    pub header: file::Header,
    /// In the order in which they happened.
    pub events: Vec<Event>,
    /// How the run ended.
    pub ended: Ended,
    /// Simulated time from start to end, microseconds.
    pub simulated_us: u64,
}

/// How a run ended. None of these is a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Every execution is terminal and every fault is over.
    Quiet,
    /// The plan's `run_for_ms` was up.
    OutOfTime,
    /// More events than any plan of a sensible size makes: the run was stopped.
    TooManyEvents,
}
