//! What is said of a shrink, and the snapshot of a plan that is kept.

use super::{Detail, timeline};
use crate::{shrink::Shrunk, trace::Trace};

/// Describes what came of a shrink, in a few lines.
pub fn shrunk(shrunk: &Shrunk) -> String {
    let Shrunk { runs, minimal, stopped, before, after, .. } = shrunk;
    let verdict = match (minimal, stopped) {
        (true, false) => "1-minimal: without any one of its parts it does not show the violation",
        (true, true) => {
            "1-minimal: without any one of its parts it does not show the violation; its numbers may get plainer with more \
             --runs or --for"
        }
        (false, _) => "not known to be 1-minimal: the budget ran out, or it was interrupted",
    };
    format!("before     {before}\nafter      {after}\nruns       {runs}\nminimal    {verdict}\n")
}

/// The life of a kept plan as its snapshot has it.
pub fn snapshot(trace: &Trace) -> String {
    timeline(trace, Detail::Order)
}

/// What the snapshot of a kept plan is called.
pub fn snapshot_name(plan: &str) -> String {
    format!("kept-{plan}")
}

/// A snapshot as insta writes it, so that the test of a kept plan passes from the first time on.
pub fn snapshot_file(trace: &Trace) -> String {
    format!("---\nsource: tests/regressions.rs\n---\n{}", snapshot(trace))
}
