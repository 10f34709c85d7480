//! The trace: what happened in a run, as plain data, and how it is shown.
//!
//! A trace is a list of [`Event`]s. What clients saw and what the server did are kept apart: a client's
//! [`ReplyReceived`](What::ReplyReceived) is what it was told; of the server the trace keeps each command with its whole
//! reply and its effects. Every event but the first of a chain names its `cause`, so a lease can be followed back to the
//! question that led to it.
//!
//! Whoever looks at a run looks at [`Moment`]s. They come live while a run goes on, and the same ones come from
//! [`Trace::replay`], which rebuilds the keyspace from the effects. So a trace file can be judged and told by itself.

mod change;
mod event;
pub mod file;
mod moment;
mod names;
mod replay;
mod wire;

pub use change::{Change, GrantSeen, Happened};
pub use event::{Event, Executed, Head, LaneName, Summary, What, WorkEnd};
pub use moment::{Call, Moment, Step};
pub use names::Names;
pub use replay::{Command, Impossible, Stepper, show_plain};

/// What happened in one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// What was run.
    pub header: file::Header,
    /// In the order in which they happened.
    pub events: Vec<Event>,
    /// How the run ended.
    pub ended: Ended,
    /// What became of the plan's faults, in their order.
    pub faults: Vec<FaultFate>,
}

/// What became of a fault of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultFate {
    /// It happened.
    Happened,
    /// What it was to hit was hit by another fault, by its place in the plan, so that nothing came of it.
    HiddenBy(usize),
    /// What it was to hit never came.
    Never,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ended {
    /// Why.
    pub how: End,
    /// Simulated time from start to end, microseconds.
    pub at_us: crate::types::SimTime,
    /// What each execution waited for that had not ended: of a run that was given the time to settle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<crate::types::Waiting>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Every execution is terminal and every fault is over.
    Quiet,
    /// Every fault is over, and every execution is terminal, goes on, or waits for a reason: [`Ended::waiting`] has them.
    Settled,
    /// The faults were over, and within the plan's bound something that must happen did not: [`Ended::waiting`] says what.
    Stuck,
    /// The plan's `run_for_ms` was up, and the plan does not say what comes then: no verdict.
    OutOfTime,
    /// More events than any plan of a sensible size makes: the run was stopped.
    TooManyEvents,
    /// A function did not return: the run was stopped in the middle of its call.
    Endless,
}
