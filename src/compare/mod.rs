//! Comparing two libraries: what a change to the library changed, call by call.
//!
//! Plans run on the old library. Each call that it executes is executed on the new one, too, from the same keyspace and at
//! the same time; the run itself goes on as the old library answered. So one difference never causes another, and whatever
//! the new library does otherwise on the old one's paths is met where it begins.
//!
//! Compared are the reply, and the state that the call leaves: values, fields, members, scores, entries, expiries. By which
//! commands a state is written is no difference ([`Report::spelt_otherwise`] counts such calls). Where one library refuses
//! and the other does not, what only the other writes is part of that one difference.
//!
//! Not compared: what is published to subscribers, the order of a hash's fields, databases other than 0, and what a library
//! keeps in its upvalues from call to call. A plan that would only arise on the new library's path is not met.

mod accepted;
mod beside;
mod difference;
mod gather;
mod least;
mod reply;
mod shape;
mod state;
mod text;

use std::{
    collections::BTreeSet,
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use serde::Serialize;
use valkey_sim::engine::Dialect;

pub use accepted::{Accepted, AcceptedError};
pub use difference::{Change, Difference, Kind, Part, ReplyPart, Side};

use crate::{
    drive::{self, LoadError, Ran, RunError, Subject},
    library::LibraryRef,
    plan::{Plan, token::Token},
    protocol::Registered,
    shrink::Size,
    types::{ExecutionName, Function, Node, Seq, SimTime, TimestampMs},
};
use beside::{Beside, Seen};
use gather::Gather;

/// Two libraries, and the plans to compare them by.
pub struct Comparison {
    pair: Arc<Pair>,
    /// The first token; the others have the seeds that follow.
    pub first: Token,
    /// How many seeds.
    pub seeds: u64,
    /// How many runs at a time. The result does not depend on it.
    pub jobs: NonZero<usize>,
    /// The server's dialect, where it is not the plan's.
    pub dialect: Option<Dialect>,
    /// How many runs at most to make the plan of each difference small; 0: it stays as it was met.
    pub shrink_runs: u64,
}

/// Two libraries, and what each registers.
struct Pair {
    old: Subject,
    new: Subject,
    old_has: Registered,
    new_has: Registered,
}

/// How far a comparison is.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// Plans are run.
    Comparing {
        /// Seeds done.
        seeds: u64,
        /// Differences so far.
        differences: usize,
    },
    /// The plans of the differences are made small.
    Shrinking {
        /// Differences done.
        done: usize,
        /// Of so many.
        of: usize,
    },
}

/// What came of a comparison. Its JSON is a promise: see the README.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The library that the plans ran on.
    pub old: LibraryRef,
    /// The library that was compared with it.
    pub new: LibraryRef,
    /// What the old library answers to `ff_version`.
    pub old_says: Option<String>,
    /// What the new library answers to `ff_version`.
    pub new_says: Option<String>,
    /// Seeds that were run.
    pub seeds: u64,
    /// The first token.
    pub first_token: String,
    /// Calls that both libraries executed.
    pub calls: u64,
    /// Calls that were not executed on the new library, since the function did not return before in the same run.
    pub passed_over: u64,
    /// Calls after which the state is the same, written by other commands.
    pub spelt_otherwise: u64,
    /// Functions of both libraries that no plan called: nothing is said of what they do.
    pub not_called: Vec<Function>,
    /// Those of them whose text differs, comments aside.
    pub not_called_edited: BTreeSet<Function>,
    /// What differs, by function and kind.
    pub differences: Vec<Found>,
    /// Accepted differences that were not met.
    pub not_met: Vec<String>,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

/// A difference, and what shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// Its stable name.
    pub difference: Difference,
    /// Calls that showed it.
    pub calls: u64,
    /// Seeds that showed it.
    pub seeds: u64,
    /// Where it is accepted: why.
    pub accepted: Option<String>,
    /// What shows it; none where only one library has the function, and no plan calls it.
    pub example: Option<Example>,
}

/// The smallest plan that shows a difference, and the call that does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// The token of the smallest plan that was met. The plan may have been made smaller since.
    pub token: String,
    /// The plan.
    pub plan: Plan,
    /// How big it is.
    #[serde(skip)]
    pub size: Size,
    /// Whether no single part of it can be deleted.
    pub minimal: bool,
    /// The call.
    pub call: SideBySide,
}

/// A call as both libraries executed it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideBySide {
    /// Which event of the run it is.
    pub event: Seq,
    /// When, by the true time of the run, microseconds.
    #[serde(rename = "at_us")]
    pub at: SimTime,
    /// The server's clock.
    pub server_ms: TimestampMs,
    /// Who called.
    pub caller: Node,
    /// About which execution.
    pub execution: Option<ExecutionName>,
    /// KEYS.
    pub keys: Vec<String>,
    /// ARGV.
    pub argv: Vec<String>,
    /// The old library's reply.
    pub old_reply: String,
    /// The new library's reply; none where only one library has the function.
    pub new_reply: Option<String>,
    /// What differs.
    pub rows: Vec<Row>,
    /// What the plan calls the executions whose ids occur here.
    #[serde(skip)]
    pub names: Vec<(String, ExecutionName)>,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Where: `reply`, or the key without what names one thing of many.
    pub place: String,
    /// The key; none where it is a part of the reply.
    pub key: Option<String>,
    /// The field, member or entry.
    pub what: String,
    /// What it was before the call; absent where there was none.
    pub before: Option<String>,
    /// What the old library left.
    pub old: Option<String>,
    /// What the new library left.
    pub new: Option<String>,
}

impl Row {
    fn reply(what: &str, old: Option<String>, new: Option<String>) -> Self {
        Self { place: "reply".to_owned(), key: None, what: what.to_owned(), before: None, old, new }
    }
}

impl SideBySide {
    /// Every text that may name an execution.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let rows = self.rows.iter().flat_map(|row| {
            let values = [&row.key, &row.before, &row.old, &row.new].into_iter().flatten();
            values.map(String::as_str).chain([&*row.what])
        });
        let words = self.keys.iter().chain(&self.argv).chain([&self.old_reply]).chain(&self.new_reply);
        words.map(String::as_str).chain(rows)
    }
}

impl Comparison {
    /// A comparison by 500 plans of a profile, from `first` on.
    ///
    /// # Errors
    /// [`LoadError`]: a library does not load on a server that it has to load on.
    pub fn new(old: Subject, new: Subject, first: Token) -> Result<Self, LoadError> {
        let functions = |subject: &Subject| Ok(subject.load(Dialect::default(), 0)?.functions);
        let pair = Pair { old_has: functions(&old)?, new_has: functions(&new)?, old, new };
        let jobs = NonZero::<usize>::MIN;
        Ok(Self { pair: Arc::new(pair), first, seeds: 500, jobs, dialect: None, shrink_runs: 200 })
    }

    /// Compares until the end, or until `stop` is set, and tells how far it is.
    ///
    /// ```
    /// use std::sync::atomic::AtomicBool;
    /// use grantsim::{compare::Comparison, drive::Subject, library::Library, plan::token::Token};
    ///
    /// let published = Subject::new(Library::published())?;
    /// let edit = published.library.source().replacen("return ok(", "--[[ a comment ]] return ok(", 1);
    /// let edited = Subject::new(Library::from_source("an edit", &edit)?)?;
    /// let mut comparison = Comparison::new(published, edited, Token::new("calm", 0)?)?;
    /// comparison.seeds = 2;
    /// let report = comparison.run(&AtomicBool::new(false), |_| {}).map_err(|(_, error)| error)?;
    /// assert_eq!((report.differences.len(), report.seeds), (0, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RunError`] of the lowest seed that had one, with its token. That a function of either library does not return is
    /// none: it is a difference.
    pub fn run(
        &self,
        stop: &AtomicBool,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Report, (Token, RunError)> {
        let next = AtomicU64::new(0);
        let gather = Mutex::new((Gather::new(self), &mut progress));
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= self.seeds {
                    return;
                }
                let seed = self.first.seed().wrapping_add(place);
                let seen = self.beside(&self.plan(seed)).map(|(_, seen)| seen);
                let mut gather = gather.lock().unwrap_or_else(PoisonError::into_inner);
                if seen.is_err() {
                    // Those before it go on: the lowest seed that fails is the one to tell.
                    next.store(self.seeds, Ordering::Relaxed);
                }
                gather.0.add(place, seen);
                let (seeds, differences) = gather.0.progress();
                (gather.1)(Progress::Comparing { seeds, differences });
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs.get() {
                scope.spawn(work);
            }
        });
        let (mut gather, progress) = gather.into_inner().unwrap_or_else(PoisonError::into_inner);
        gather.settle()?;
        self.shrink(&mut gather, stop, progress).map_err(|error| (self.first.clone(), error))?;
        Ok(gather.report())
    }

    /// Runs a plan on the old library, and looks at each call on the new one, too.
    fn beside(&self, plan: &Plan) -> Result<(Ran, Seen), RunError> {
        let watch = Beside::new(Arc::clone(&self.pair), plan.dialect);
        let (ran, beside, _) = drive::watch_to_the_end(plan, &self.pair.old, watch)?;
        match beside.seen.refused {
            Some(error) => Err(error.into()),
            None => Ok((ran, beside.seen)),
        }
    }

    /// The plan of a seed.
    fn plan(&self, seed: u64) -> Plan {
        let mut plan = self.first.with_seed(seed).plan();
        if let Some(dialect) = self.dialect {
            plan.dialect = dialect;
        }
        plan
    }

    /// The functions that both libraries have and that nobody called.
    fn not_called(&self, called: &BTreeSet<Function>) -> Vec<Function> {
        let Pair { old_has, new_has, .. } = &*self.pair;
        let in_both = old_has.iter().filter(|function| new_has.has(function));
        in_both.filter(|function| !called.contains(function)).cloned().collect()
    }

    /// The functions that only one library has.
    fn only_in_one(&self) -> impl Iterator<Item = Difference> + '_ {
        let Pair { old_has, new_has, .. } = &*self.pair;
        let only = |side: Side, one: &'_ Registered, other: &'_ Registered| -> Vec<Difference> {
            let functions = one.iter().filter(|function| !other.has(function));
            functions
                .map(|function| Difference { function: function.clone(), kind: Kind::OnlyIn(side) })
                .collect()
        };
        only(Side::Old, old_has, new_has).into_iter().chain(only(Side::New, new_has, old_has))
    }
}

impl Report {
    /// Whether nothing differs but for what is accepted.
    pub fn is_accepted(&self) -> bool {
        self.differences.iter().all(|found| found.accepted.is_some())
    }
}
