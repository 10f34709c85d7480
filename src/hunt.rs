//! The hunt: many seeds, in parallel, each judged; and what came of all of them.

mod again;
mod exit;
mod gather;
mod report;
#[cfg(test)]
pub(crate) mod testing;
mod verdict;

use std::{
    num::NonZero,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use valkey_sim::engine::Dialect;

pub use again::{NotTheSame, same};
pub use exit::Exit;
pub use report::{Found, Report};
pub use verdict::{Conclusion, Unseen, verdict};

use crate::{
    drive::{self, RunError, Subject},
    finding::Finding,
    plan::{Plan, token::Token},
    property::{self, Entry, Judge, Verdict, catalogue},
    trace::Trace,
};
use gather::{Gather, Outcome};

/// What to hunt through.
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
}

/// When a hunt stops.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many seeds.
    Seeds(u64),
    /// After this long.
    Elapsed(Duration),
}

/// How far a hunt is.
pub struct Progress<'a> {
    gather: &'a Gather<'a>,
    elapsed: Duration,
}

impl Progress<'_> {
    /// Seeds done.
    pub fn seeds(&self) -> u64 {
        self.gather.seeds
    }

    /// New violations so far, one a fingerprint.
    pub fn violations(&self) -> usize {
        self.gather.violations()
    }

    /// The report of a hunt that is interrupted here. What is in the baseline, too, is told apart at the end only.
    pub fn report(&self) -> Report {
        self.gather.report(self.elapsed, true)
    }
}

/// A violation cannot be shown again.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// Its run does not come to an end.
    #[error("{0}")]
    Run(#[from] RunError),
    /// Its run goes differently.
    #[error("{token} did not do again what it did")]
    NotTheSame {
        /// The token.
        token: String,
        /// From which event on.
        source: NotTheSame,
    },
}

impl Hunt {
    /// Hunts until the end, or until `stop` is set, and tells how far it is before the first seed and after each.
    ///
    /// # Errors
    /// [`RunError`] of the lowest seed that had one, with its token.
    pub fn run(
        &self,
        stop: &AtomicBool,
        mut progress: impl FnMut(Progress<'_>),
    ) -> Result<Report, (Token, RunError)> {
        let started = Instant::now();
        let next = AtomicU64::new(0);
        let (sender, receiver) = mpsc::sync_channel(1_024);
        let mut gather = Gather::new(self);
        progress(Progress { gather: &gather, elapsed: started.elapsed() });
        thread::scope(|scope| {
            for _ in 0..self.jobs.get() {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed)
                        && let Some(seed) = self.take(next, started)
                    {
                        let result = self.judge(&self.plan(seed), &self.subject);
                        if sender.send(Outcome { seed, result }).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for outcome in receiver {
                if outcome.result.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                gather.add(outcome);
                progress(Progress { gather: &gather, elapsed: started.elapsed() });
            }
        });
        let elapsed = started.elapsed();
        let is_interrupted = match self.seeds() {
            Some(seeds) => gather.seeds < seeds,
            None => stop.load(Ordering::Relaxed),
        };
        gather.settle()?;
        Ok(gather.report(elapsed, is_interrupted))
    }

    /// Runs the token of a violation once more, to show what led there.
    ///
    /// # Errors
    /// [`ShowError`]: above all, where the run does not show the violation again.
    pub fn show(&self, found: &Found) -> Result<Trace, ShowError> {
        let token = &found.token;
        let seed = token.parse::<Token>().expect("a hunt's tokens are of this build").seed();
        let trace = drive::run(&self.plan(seed), &self.subject)?;
        let verdict = property::judge(&trace, self.properties.iter().copied());
        if verdict.violations.contains(&found.violation) {
            return Ok(trace);
        }
        let at = trace.events.len().min(found.violation.at as usize);
        Err(ShowError::NotTheSame { token: token.clone(), source: NotTheSame { at } })
    }

    /// The next seed of this hunt's share.
    fn take(&self, next: &AtomicU64, started: Instant) -> Option<u64> {
        let place = self.place(next.fetch_add(1, Ordering::Relaxed));
        let more = match self.until {
            Until::Seeds(seeds) => place < seeds,
            Until::Elapsed(limit) => started.elapsed() < limit,
        };
        more.then(|| self.seed(place))
    }

    /// Where the n-th seed of this hunt's share stands among all seeds, counted from 0.
    fn place(&self, nth: u64) -> u64 {
        let (share, shares) = self.shard;
        nth.saturating_mul(shares).saturating_add(share - 1)
    }

    fn seed(&self, place: u64) -> u64 {
        self.first.seed().wrapping_add(place)
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
            Until::Elapsed(_) => None,
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
