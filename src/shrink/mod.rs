//! Shrinking: from a plan that shows a violation to the smallest and plainest plan that still shows the same one.
//!
//! Delta debugging of a plan as data. First parts are deleted ([`Plan::parts`]): chunks of them, then one by one, until no
//! single part can go any more. Then what is left is made plain: default settings, round numbers, a quiet network. In the end
//! its story is made short: other times, with which less happens until the violation. A change is kept only if the run still
//! shows the same [`Fingerprint`], so that shrinking never wanders to another violation.
//!
//! The result depends on the plan, the library, the fingerprint and the run budget, and not on the number of jobs. Only
//! where the time is up before the runs are, it depends on the machine. Names stay: a plan of `e7` keeps it, and the random
//! stream that belongs to it.

mod delete;
mod jump;
mod knobs;
mod numbers;
mod search;
mod shorten;
mod simplify;
#[cfg(test)]
mod tests;
mod trial;
mod usual;

use std::{fmt, num::NonZero, sync::atomic::AtomicBool, time::Duration};

use search::Search;
use trial::OnSubject;
pub(crate) use trial::{Shown, Told, Trial};

use crate::{
    drive::{RunError, Subject},
    plan::Plan,
    property::Fingerprint,
};

/// How much a shrink may use.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Runs, the first included.
    pub runs: u64,
    /// Real time.
    pub wall: Duration,
    /// How many runs at a time. The result does not depend on it.
    pub jobs: NonZero<usize>,
}

/// How big a plan is, and its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Executions.
    pub executions: usize,
    /// Workers.
    pub workers: usize,
    /// Schedulers.
    pub schedulers: usize,
    /// Faults.
    pub faults: usize,
    /// Wrong clocks.
    pub clocks: usize,
    /// Deeds.
    pub deeds: usize,
    /// Events of its run.
    pub events: u64,
}

/// What came of a shrink.
#[derive(Clone, Debug, PartialEq)]
pub struct Shrunk {
    /// The plan. It shows the violation.
    pub plan: Plan,
    /// Runs that it took.
    pub runs: u64,
    /// Whether no single part can be deleted: with any one less the plan does not show the violation.
    pub minimal: bool,
    /// Whether it ended before there was nothing left to try: a budget ran out, or it was interrupted. Shrinking the plan
    /// goes on from here.
    pub stopped: bool,
    /// How big the plan was.
    pub before: Size,
    /// How big it is.
    pub after: Size,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Parts are deleted.
    Deleting,
    /// What is left is made plain.
    Simplifying,
    /// Its story is made short.
    Shortening,
}

/// How far a shrink is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What is being done.
    pub phase: Phase,
    /// Runs so far.
    pub runs: u64,
    /// The smallest plan so far.
    pub plan: &'a Plan,
    /// How big that is.
    pub size: Size,
}

/// A plan that cannot be shrunk.
#[derive(Debug, thiserror::Error)]
pub enum ShrinkError {
    /// It does not show the violation.
    #[error("the plan does not show {0} on this library, so there is nothing to shrink")]
    NotShown(Fingerprint),
    /// It showed the violation, and in a second run it does not.
    #[error(
        "a plan showed {fingerprint}, and in a second run of the same plan it does not, so that it cannot be shrunk. A library \
         can bring that about: `pairs` of a table whose keys are tables or functions goes by their addresses"
    )]
    NotAgain {
        /// The violation.
        fingerprint: Fingerprint,
        /// The smallest plan that showed it once.
        plan: Box<Plan>,
    },
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Shrinks a plan that shows a violation with this fingerprint, and tells how far it is after each round of runs.
///
/// ```
/// use std::{num::NonZero, time::Duration};
/// use grantsim::{drive::Subject, library::{Library, Mutant}, plan::token::Token, shrink};
///
/// let mutant = Mutant::named("keep-grant").expect("a mutant");
/// let subject = Subject::new(Library::published().mutant(&mutant))?;
/// let plan = Token::new("calm", 1)?.plan();
/// let fingerprint = "at-most-once/ff_claim_execution/OK/grant-left-behind".parse()?;
/// let budget = shrink::Budget { runs: 40, wall: Duration::from_secs(60), jobs: NonZero::<usize>::MIN };
/// let shrunk = shrink::run(&plan, &subject, &fingerprint, budget, |_| {})?;
/// assert_eq!(shrunk.after.executions, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ShrinkError`]: the plan does not show the violation, or not every time, or the harness failed. A plan on which a
/// function does not return does not show it.
pub fn run(
    plan: &Plan,
    subject: &Subject,
    fingerprint: &Fingerprint,
    budget: Budget,
    progress: impl FnMut(Progress<'_>),
) -> Result<Shrunk, ShrinkError> {
    run_until(&AtomicBool::new(false), plan, subject, fingerprint, budget, progress)
}

/// As [`run`], and ends soon after `stop` is set, with the smallest plan so far. A run that was begun is waited for.
///
/// # Errors
/// As [`run`].
pub fn run_until(
    stop: &AtomicBool,
    plan: &Plan,
    subject: &Subject,
    fingerprint: &Fingerprint,
    budget: Budget,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Shrunk, ShrinkError> {
    for is_excused in [false, true] {
        let trial = OnSubject::new(subject, fingerprint, is_excused);
        match shrink(plan, &trial, budget, stop, &mut progress)? {
            Outcome::Shrunk(shrunk) => return Ok(shrunk),
            Outcome::NotShown => {}
            Outcome::NotAgain(plan) => {
                let plan = Box::new(plan);
                return Err(ShrinkError::NotAgain { fingerprint: fingerprint.clone(), plan });
            }
        }
    }
    Err(ShrinkError::NotShown(fingerprint.clone()))
}

/// What becomes of a plan.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Shrunk(Shrunk),
    /// The plan does not show what it is about.
    NotShown,
    /// The smallest plan that showed it does not do so again.
    NotAgain(Plan),
}

/// Shrinks a plan by any trial.
pub(crate) fn shrink(
    plan: &Plan,
    trial: &impl Trial,
    budget: Budget,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome, RunError> {
    let Some(shown) = trial.show(plan)? else { return Ok(Outcome::NotShown) };
    let mut search = Search::new(plan.clone(), shown, trial, budget, stop, progress);
    let before = search.size();
    let minimal = search_all(&mut search)?;
    let (runs, stopped, after) = (search.runs(), search.is_out(), search.size());
    let plan = search.into_plan();
    // Once more, and not counted: what shows it by chance is no result.
    if trial.show_again(&plan)?.is_none() {
        return Ok(Outcome::NotAgain(plan));
    }
    Ok(Outcome::Shrunk(Shrunk { plan, runs, minimal, stopped, before, after }))
}

/// Makes the plan smaller, plainer and its story shorter as long as that goes. Whether it is 1-minimal then.
fn search_all(search: &mut Search<'_>) -> Result<bool, RunError> {
    search.first(simplify::trimmed(search.plan(), search.shown()))?;
    // Once: what is made plain afterwards may make the story longer again, and so on without an end.
    let mut is_usual_left = true;
    loop {
        search.enter(Phase::Deleting);
        let minimal = delete::delete(search)?;
        search.enter(Phase::Simplifying);
        // What became plainer may have made a part unnecessary.
        let is_changed = simplify::simplify(search)?
            || jump::jump(search)?
            || std::mem::take(&mut is_usual_left) && usual::usual(search)?;
        if is_changed && search.is_out() {
            return Ok(false);
        }
        if !is_changed {
            return finish(search, minimal);
        }
    }
}

/// Makes the story short, and the numbers plain as far as that leaves it as short.
fn finish(search: &mut Search<'_>, minimal: bool) -> Result<bool, RunError> {
    search.enter(Phase::Shortening);
    let mut is_shorter = false;
    while shorten::shorten(search)? {
        is_shorter = true;
        simplify::simplify_no_longer(search)?;
    }
    let is_cut = shorten::cut_short(search)?;
    if is_shorter || is_cut { delete::one_by_one(search) } else { Ok(minimal) }
}

impl Size {
    /// The size of a plan whose run has so many events.
    pub fn of(plan: &Plan, events: u64) -> Self {
        Self {
            executions: plan.executions.len(),
            workers: plan.workers.len(),
            schedulers: plan.schedulers.len(),
            faults: plan.faults.len(),
            clocks: plan.clocks.len(),
            deeds: plan.deeds.len(),
            events,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        let clocks = match self.clocks {
            0 => String::new(),
            n => format!("{}, ", count(n, "wrong clock")),
        };
        let deeds = match self.deeds {
            0 => String::new(),
            n => format!("{}, ", count(n, "deed")),
        };
        write!(
            f,
            "{}, {}, {}, {}, {clocks}{deeds}{} events",
            count(self.executions, "execution"),
            count(self.workers, "worker"),
            count(self.schedulers, "scheduler"),
            count(self.faults, "fault"),
            self.events
        )
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Deleting => "deleting parts",
            Phase::Simplifying => "making it plain",
            Phase::Shortening => "making its story short",
        })
    }
}
