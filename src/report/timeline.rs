//! A run as a timeline: a line an event, what a call wrote below it.
//!
//! ```text
//!  time/ms  node           → request  ← reply  × no reply  ⇒ message  ⇐ received  ! fault  └ written
//!  103.000  worker-1       → ff_claim_execution e1
//!  104.000  valkey +104    ff_claim_execution e1: OK  (worker-1 as w1-1.1; lane gold)
//!                          └ claim grant of +102 for e1 consumed
//! ```
//!
//! The times on the left are true ones. `+104` is the server's clock, counted from what it read at the start of the
//! run, on the left as in the text. Executions and processes have the names that the plan gives them; ids stand behind
//! them, cut to their first eight digits.

use super::{
    slice::{Subject, concerned},
    story::{Entry, Much, Story},
    words::{Style, named},
};
use crate::{property::nearest, trace::Trace, types::ExecutionName};

/// The heading of the events' column.
const LEGEND: &str = "→ request  ← reply  × no reply  ⇒ message  ⇐ received  ! fault  └ written";
/// How many names an error offers for one that is not there.
const OFFERED: usize = 3;

/// How much of a run a timeline shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What becomes of executions, their grants and their leases. The questions for work, the schedulers' and
    /// scanners' calls that changed nothing, and the writes to indexes and single fields are left out.
    Life,
    /// As `Life`, but order and outcome alone: no time, no id. Whether a grant or a lease was over is said in words. A
    /// snapshot of it stays the same when a latency changes by a fraction of a millisecond, and says what a reviewer
    /// wants to see: what came before what, and how it ended.
    Order,
    /// Every event.
    Full,
}

impl Detail {
    fn style(self) -> Style {
        if self == Detail::Order { Style::Order } else { Style::Exact }
    }
}

/// No execution of a run has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no execution of this run is called {name:?}; the nearest are {}", nearest.join(", "))]
pub struct UnknownExecution {
    /// What was asked for.
    pub name: String,
    /// The names most like it.
    pub nearest: Vec<String>,
}

/// Writes a trace as a timeline.
///
/// A test of your own keeps the life of a grant as a snapshot of its [`Detail::Order`]:
///
/// ```
/// use grantsim::{drive::{self, Subject}, library::Library, plan::file::PlanFile, report::{self, Detail}};
///
/// let plan = PlanFile::read("fixtures/plans/life-happy-path.json".as_ref())?.plan;
/// let trace = drive::run(&plan, &Subject::new(Library::published())?)?;
/// let life = report::timeline(&trace, Detail::Order);
/// // insta::assert_snapshot!(life);
/// assert!(life.contains("ff_claim_execution e1: OK  (worker-1 as w1-1.1; lane gold)\n"), "{life}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn timeline(trace: &Trace, detail: Detail) -> String {
    timeline_of(trace, detail, &[]).unwrap_or_else(|_| unreachable!("no name was asked for"))
}

/// Writes what a trace tells of some executions, and what broke at the processes that took part; of all if none is named.
///
/// # Errors
/// [`UnknownExecution`], with the nearest names.
pub fn timeline_of(
    trace: &Trace,
    detail: Detail,
    executions: &[ExecutionName],
) -> Result<String, UnknownExecution> {
    let story = Story::of(trace, detail.style());
    for name in executions {
        known(&story, trace, name)?;
    }
    let subject = Subject { executions: executions.to_vec(), entity: None };
    let is_concerned = concerned(&story, &subject);
    let is_shown =
        |(entry, concerned): &(&Entry, bool)| *concerned && (detail == Detail::Full || !entry.is_idle);
    let shown = story.entries.iter().zip(is_concerned).filter(is_shown).map(|(entry, _)| entry);
    let much = if detail == Detail::Full { Much::All } else { Much::Life };
    Ok(format!("{}{}\n", excerpt(story.words.style(), shown, much), story.last_line()))
}

fn known(story: &Story, trace: &Trace, name: &ExecutionName) -> Result<(), UnknownExecution> {
    let planned = trace.header.executions.iter().map(|(_, name)| name);
    let mut names: Vec<&ExecutionName> =
        planned.chain(story.entries.iter().flat_map(|entry| &entry.about)).collect();
    names.sort();
    names.dedup();
    if names.contains(&name) {
        return Ok(());
    }
    names.sort_by_key(|known| nearest::edits(name.as_str(), known.as_str()));
    let nearest = names.into_iter().take(OFFERED).map(named).collect();
    Err(UnknownExecution { name: name.to_string(), nearest })
}

/// The line above a timeline.
pub(super) fn heading(style: Style) -> String {
    match style {
        Style::Exact => format!("{:>9}  {:<13}  {LEGEND}", "time/ms", "node"),
        Style::Order => format!("{:<11}  {LEGEND}", "node"),
    }
}

/// Some of a story's entries as a timeline.
pub(super) fn excerpt<'a>(style: Style, entries: impl IntoIterator<Item = &'a Entry>, much: Much) -> String {
    let mut out = heading(style) + "\n";
    for line in entries.into_iter().flat_map(|entry| entry.lines(much)) {
        out += &line;
        out.push('\n');
    }
    out
}
