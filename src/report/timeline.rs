//! A run as a timeline: a line an event, what a call wrote below it.
//!
//! ```text
//!  time/ms  node           → request  ← reply  × no reply  ⇒ message  ⇐ received  ! fault  └ written
//!  103.000  worker-1       → ff_claim_execution e1
//!  104.000  valkey +104    ff_claim_execution e1: OK  (worker-1 for w1, w1-1.1; lane gold)
//!                          └ claim grant of +102 consumed
//! ```
//!
//! The times on the left are true ones. `+104` is the server's clock, counted from what it read at the start of the
//! run, on the left as in the text. Executions have the names that the plan gives them; ids are cut to their first eight
//! digits.

use super::story::{Entry, Story};
use crate::trace::Trace;

/// The heading of the events' column.
const LEGEND: &str = "→ request  ← reply  × no reply  ⇒ message  ⇐ received  ! fault  └ written";

/// How much of a run a timeline shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What becomes of executions, their grants and their leases. The questions for work, the schedulers' and
    /// scanners' calls that changed nothing, and the writes to indexes and single fields are left out.
    Life,
    /// Every event.
    Full,
}

/// Writes a trace as a timeline.
pub fn timeline(trace: &Trace, detail: Detail) -> String {
    let story = Story::of(trace);
    let shown = story.entries.iter().filter(|entry| detail == Detail::Full || !entry.is_idle);
    format!("{}{}\n", excerpt(shown, detail == Detail::Full), story.last_line())
}

/// Some of a story's entries as a timeline.
pub(super) fn excerpt<'a>(entries: impl IntoIterator<Item = &'a Entry>, asides: bool) -> String {
    let mut out = format!("{:>9}  {:<13}  {LEGEND}\n", "time/ms", "node");
    for line in entries.into_iter().flat_map(|entry| entry.lines(asides)) {
        out += &line;
        out.push('\n');
    }
    out
}
