//! The hunt: many seeds, in parallel, each judged; and what came of all of them.

mod again;
mod crew;
mod exit;
mod gather;
pub mod mutants;
mod places;
mod report;
mod resume;
mod settle;
mod side_by_side;
mod states;
mod stop;
#[cfg(test)]
pub(crate) mod testing;
mod verdict;

use std::{
    num::NonZero,
    path::Path,
    time::{Duration, Instant},
};

use valkey_sim::engine::Dialect;

pub use again::{NotTheSame, same};
pub use exit::Exit;
pub use places::{NoPlaces, Places};
pub use report::{Excused, Failed, Found, Hung, Report, Smaller};
pub use resume::{Earlier, Resume, ResumeError};
pub use states::States;
pub use stop::{NotDone, Stop};
pub use verdict::{Conclusion, Unseen, verdict};

use crate::{
    drive::{self, RunError, Subject},
    finding::Finding,
    plan::{
        Plan,
        file::{PlanFile, PlanFileError},
        token::Token,
    },
    property::{self, Entry, Fingerprint, Judge, Verdict, Violation, catalogue},
    shrink::{self, Budget, ShrinkError, Shrunk},
    trace::Trace,
};
use crew::{Crew, Heard};
use gather::Gather;

/// What to hunt through.
#[derive(Clone)]
pub struct Hunt {
    /// The library.
    pub subject: Subject,
    /// A library that this one descends from: what it breaks, too, is not this one's fault.
    pub baseline: Option<Subject>,
    /// The first token; the others have the seeds that follow.
    pub first: Token,
    /// When to stop.
    pub until: Until,
    /// How many runs at a time.
    pub jobs: NonZero<usize>,
    /// The `.0`-th of `.1` shares of the seeds, from 1.
    pub shard: (u64, u64),
    /// The properties to judge by.
    pub properties: Vec<&'static Entry>,
    /// The server's dialect, where it is not the plan's.
    pub dialect: Option<Dialect>,
    /// Whether known findings count as violations.
    pub strict: bool,
    /// After how long, in real time, a run is said to hang.
    pub hang_after: Duration,
    /// What an earlier hunt had when it ended or was killed: this one goes on from there. [`Earlier::check`] says whether it
    /// can.
    pub resume: Option<Earlier>,
}

/// When a hunt stops.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many seeds.
    Seeds(u64),
    /// After this long.
    Elapsed(Duration),
    /// After so many seeds in a row in which nothing was new: no state reached, no answer of a function, no class of faults,
    /// no kind of violation that no seed before them had.
    Saturated(u64),
}

/// How far a hunt is.
pub struct Progress<'a> {
    gather: &'a Gather<'a>,
    elapsed: Duration,
}

impl Progress<'_> {
    /// Seeds done.
    pub fn seeds(&self) -> u64 {
        self.gather.seeds()
    }

    /// How many seeds there are to run until so many in a row bring nothing new, as far as is known now.
    pub fn saturated_after(&self, quiet: u64) -> u64 {
        self.gather.saturated_after(quiet)
    }

    /// New violations so far, one a fingerprint.
    pub fn violations(&self) -> usize {
        self.gather.violations()
    }

    /// Reasons so far for a run not to come to its end.
    pub fn failures(&self) -> usize {
        self.gather.failures()
    }

    /// Real time since the hunt began.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The runs that hang.
    pub fn hung(&self) -> Vec<Hung> {
        self.gather.hung()
    }

    /// The report of a hunt that is interrupted here. What is in the baseline, too, is told apart at the end only.
    pub fn report(&self) -> Report {
        self.gather.report(self.elapsed, true)
    }
}

/// A violation that was seen again.
pub struct Again {
    /// The violation, in the run of this plan.
    pub violation: Violation,
    /// The smallest plan that there is.
    pub plan: Plan,
    /// Its run.
    pub trace: Trace,
}

/// A violation cannot be shown again.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The plan that it was shrunk to is not there any more.
    #[error(transparent)]
    Plan(#[from] PlanFileError),
    /// Its run does not come to an end.
    #[error("{0}")]
    Run(#[from] RunError),
    /// Its run goes differently.
    #[error("{what} did not do again what it did")]
    NotTheSame {
        /// The token, or the plan's file.
        what: String,
        /// From which event on.
        source: NotTheSame,
    },
}

/// After how long, in real time, a run is said to hang, unless something else is asked for.
const HANG_AFTER: Duration = Duration::from_secs(30);

impl Hunt {
    /// A hunt for everything that a library breaks: every property, one run at a time, all of the seeds, and what is known
    /// of the library does not count. All of it can be changed.
    pub fn new(subject: Subject, first: Token, until: Until) -> Self {
        Self {
            subject,
            baseline: None,
            first,
            until,
            jobs: NonZero::<usize>::MIN,
            shard: (1, 1),
            properties: catalogue::promises().collect(),
            dialect: None,
            strict: false,
            hang_after: HANG_AFTER,
            resume: None,
        }
    }

    /// Hunts until the end, or until it is to `stop`, and tells how far it is before the first seed, after each, and now and
    /// then in between.
    ///
    /// A run that does not come to its end is in the report, and the hunt goes on. One that hangs is left behind once the
    /// hunt is to stop, or its time is up: its thread goes on until the process ends.
    pub fn run(&self, stop: &Stop, mut progress: impl FnMut(Progress<'_>)) -> Report {
        let started = Instant::now();
        let mut gather = Gather::new(self);
        progress(Progress { gather: &gather, elapsed: started.elapsed() });
        if stop.is_asked() {
            return gather.report(started.elapsed(), true);
        }
        let crew = Crew::start(self, gather.done().clone(), started);
        self.go_on(&gather, &crew);
        loop {
            match crew.hear() {
                Heard::Outcome(outcome) => {
                    gather.add(*outcome);
                    self.go_on(&gather, &crew);
                }
                Heard::Nothing => {}
                Heard::AllDone => break,
            }
            gather.hung = crew.running_for(self.hang_after);
            progress(Progress { gather: &gather, elapsed: started.elapsed() });
            if stop.is_asked() {
                crew.dismiss();
            }
            if stop.is_over() || self.has_only_hung(&gather, &crew, started) {
                break;
            }
        }
        gather.hung = crew.running_for(Duration::ZERO);
        let elapsed = started.elapsed();
        let is_interrupted = match self.seeds() {
            Some(seeds) => gather.seeds() < seeds,
            None => stop.is_asked(),
        };
        let (hunt, shown_by) = (self.clone(), gather.shown_by(settle::BASELINE_SEEDS));
        let has_claims = gather.has_claims();
        // Where it is to stop, and this takes long, nothing is told apart.
        if let Ok(settled) = stop.wait_for(move || settle::settle(&hunt, &shown_by, has_claims)) {
            gather.settle(settled);
        }
        gather.report(elapsed, is_interrupted)
    }

    /// Has the crew go on until nothing new has come for long enough, where that is when the hunt stops.
    fn go_on(&self, gather: &Gather<'_>, crew: &Crew) {
        let Until::Saturated(quiet) = self.until else { return };
        let seeds = gather.saturated_after(quiet);
        crew.go_on_to(seeds);
        if gather.seeds() >= seeds {
            crew.dismiss();
        }
    }

    /// Whether the hunt's time is up and nothing runs but what hangs.
    fn has_only_hung(&self, gather: &Gather<'_>, crew: &Crew, started: Instant) -> bool {
        let is_up = matches!(self.until, Until::Elapsed(limit) if started.elapsed() >= limit);
        is_up && !gather.hung.is_empty() && gather.hung.len() == crew.at_work()
    }

    /// Runs the token of a violation once more, to show what led there.
    ///
    /// # Errors
    /// [`ShowError`]: above all, where the run does not show the violation again.
    pub fn show(&self, found: &Found) -> Result<Trace, ShowError> {
        let (violation, trace) =
            self.show_plan(&self.plan_of(found), &found.violation.fingerprint, &found.token)?;
        if violation == found.violation {
            return Ok(trace);
        }
        let at = trace.events.len().min(found.violation.at as usize);
        Err(ShowError::NotTheSame { what: found.token.clone(), source: NotTheSame { at } })
    }

    /// Runs a violation's smallest plan once more: the one that it was shrunk to, else its token's.
    ///
    /// # Errors
    /// As [`show`](Self::show); or the plan's file cannot be read.
    pub fn show_smallest(&self, found: &Found) -> Result<Again, ShowError> {
        let Some(smaller) = &found.shrunk else {
            let trace = self.show(found)?;
            return Ok(Again { violation: found.violation.clone(), plan: self.plan_of(found), trace });
        };
        let plan = PlanFile::read(Path::new(&smaller.plan))?.plan;
        let (violation, trace) = self.show_plan(&plan, &found.violation.fingerprint, &smaller.plan)?;
        Ok(Again { violation, plan, trace })
    }

    /// Runs a plan that shows a violation, and finds it again. `what` is what an error calls the plan.
    ///
    /// # Errors
    /// As [`show`](Self::show).
    pub fn show_plan(
        &self,
        plan: &Plan,
        fingerprint: &Fingerprint,
        what: &str,
    ) -> Result<(Violation, Trace), ShowError> {
        let trace = drive::run(plan, &self.subject.elsewhere())?;
        let verdict = property::judge(&trace, self.properties.iter().copied());
        match verdict.violations.into_iter().find(|violation| violation.fingerprint == *fingerprint) {
            Some(violation) => Ok((violation, trace)),
            None => {
                let source = NotTheSame { at: trace.events.len() };
                Err(ShowError::NotTheSame { what: what.to_owned(), source })
            }
        }
    }

    /// Shrinks the plan of a violation, with all jobs, for so long at most.
    ///
    /// # Errors
    /// [`ShrinkError`].
    pub fn shrink(
        &self,
        found: &Found,
        runs: u64,
        wall: Duration,
        progress: impl FnMut(shrink::Progress<'_>),
    ) -> Result<Shrunk, ShrinkError> {
        let budget = Budget { runs, wall, jobs: self.jobs };
        shrink::run(&self.plan_of(found), &self.subject, &found.violation.fingerprint, budget, progress)
    }

    /// The plan that shows a violation.
    pub fn plan_of(&self, found: &Found) -> Plan {
        self.plan(found.token.parse::<Token>().expect("a hunt's tokens are of this build").seed())
    }

    /// The seed that is the n-th of this hunt's share, counted from 0.
    fn seed(&self, nth: u64) -> u64 {
        let (share, shares) = self.shard;
        self.first.seed().wrapping_add(nth.wrapping_mul(shares)).wrapping_add(share - 1)
    }

    /// Which of this hunt's share a seed is.
    fn nth(&self, seed: u64) -> u64 {
        let (share, shares) = self.shard;
        seed.wrapping_sub(self.first.seed()).wrapping_sub(share - 1) / shares
    }

    fn token(&self, nth: u64) -> String {
        self.first.with_seed(self.seed(nth)).to_string()
    }

    fn judge(&self, plan: &Plan, subject: &Subject) -> Result<Verdict, RunError> {
        let judge = Judge::new(self.properties.iter().copied().chain(catalogue::sometimes()));
        drive::watch(plan, subject, judge).map(|(_, judge)| judge.finish())
    }

    /// How many seeds this hunt's share is, where that is known before.
    pub fn seeds(&self) -> Option<u64> {
        let (share, shares) = self.shard;
        match self.until {
            Until::Seeds(seeds) => Some(seeds.saturating_add(shares - share) / shares),
            Until::Elapsed(_) | Until::Saturated(_) => None,
        }
    }

    /// The plan that this hunt makes of a seed.
    pub fn plan(&self, seed: u64) -> Plan {
        let mut plan = self.first.with_seed(seed).plan();
        if let Some(dialect) = self.dialect {
            plan.dialect = dialect;
        }
        plan
    }

    /// The findings that this hunt knows: those of the library, and of the one it descends from.
    fn known(&self) -> Vec<Finding> {
        if self.strict {
            return Vec::new();
        }
        let mut known = Finding::of(&self.subject);
        let of_baseline = self.baseline.iter().flat_map(Finding::of);
        let more: Vec<_> = of_baseline.filter(|finding| !known.contains(finding)).collect();
        known.extend(more);
        known
    }
}
