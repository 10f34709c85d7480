//! The hunt: many seeds, in parallel, each judged; and what came of all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZero,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;
use valkey_sim::engine::Dialect;

use crate::{
    drive::{self, RunError, Subject},
    finding::Finding,
    library::LibraryRef,
    plan::{Plan, token::Token},
    property::{Counts, Entry, Fingerprint, Judge, Verdict, Violation, catalogue},
};

/// A hunt of so many seeds of the default profile must reach all that is required.
pub const REQUIRED_FROM_SEEDS: u64 = 200;

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

/// What came of one seed.
struct Outcome {
    seed: u64,
    result: Result<Verdict, RunError>,
}

/// A violation, and the token that shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The violation.
    #[serde(flatten)]
    pub violation: Violation,
    /// Its token.
    pub token: String,
    /// How many seeds showed the same.
    pub seeds: u64,
}

/// What came of a hunt. Its JSON is a promise: see the README.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those without a new violation.
    pub passed: u64,
    /// Known findings that were met again, by slug: in how many seeds.
    pub known: BTreeMap<String, u64>,
    /// Kinds of known findings that this library does not show any more, by slug; of libraries that descend from a
    /// published one.
    pub fixed: BTreeMap<String, Vec<Fingerprint>>,
    /// What the baseline breaks in the same way, one a fingerprint.
    pub in_baseline: Vec<Found>,
    /// The first token of its share.
    pub first_token: String,
    /// The last token that was run.
    pub last_token: String,
    /// New violations, one a fingerprint, the lowest seed first.
    pub violations: Vec<Found>,
    /// States reached, by name.
    pub reach: BTreeMap<String, u64>,
    /// States of the catalogue that no run reached.
    pub not_reached: Vec<&'static str>,
    /// What happened, counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// Real time, seconds.
    pub wall_seconds: f64,
    /// The library.
    pub library: LibraryRef,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

/// How far a hunt is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Seeds done.
    pub seeds: u64,
    /// New violations so far.
    pub violations: usize,
}

impl Hunt {
    /// Hunts until the end, or until `stop` is set, and tells how far it is after each seed.
    ///
    /// # Errors
    /// [`RunError`] of the lowest seed that had one, with its token.
    pub fn run(
        &self,
        stop: &AtomicBool,
        mut progress: impl FnMut(Progress),
    ) -> Result<Report, (Token, RunError)> {
        let started = Instant::now();
        let next = AtomicU64::new(0);
        let (sender, receiver) = mpsc::sync_channel(1_024);
        let mut gather = Gather::new(self);
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
                progress(Progress { seeds: gather.seeds, violations: gather.found.len() });
            }
        });
        gather.finish(started.elapsed())
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
        nth * shares + (share - 1)
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
    pub fn known(&self) -> Vec<Finding> {
        if self.strict {
            return Vec::new();
        }
        let mut known = Finding::of(&self.subject);
        let of_baseline = self.baseline.iter().flat_map(Finding::of);
        let more: Vec<_> = of_baseline.filter(|finding| !known.contains(finding)).collect();
        known.extend(more);
        known
    }

    /// Whether the library is a changed one: not the published text itself.
    fn is_edited(&self) -> bool {
        !self.subject.library.is_published()
    }
}

/// Puts outcomes together, in whatever order they come, to the same report.
struct Gather<'a> {
    hunt: &'a Hunt,
    known: Vec<Finding>,
    seeds: u64,
    last_seed: u64,
    /// By fingerprint: the lowest seed, its violation, and all seeds.
    found: BTreeMap<Fingerprint, (u64, Violation, BTreeSet<u64>)>,
    known_met: BTreeMap<String, BTreeSet<u64>>,
    reach: BTreeMap<String, u64>,
    counts: Counts,
    error: Option<(u64, RunError)>,
}

impl<'a> Gather<'a> {
    fn new(hunt: &'a Hunt) -> Self {
        Self {
            known: hunt.known(),
            hunt,
            seeds: 0,
            last_seed: hunt.seed(hunt.place(0)),
            found: BTreeMap::new(),
            known_met: BTreeMap::new(),
            reach: BTreeMap::new(),
            counts: Counts::default(),
            error: None,
        }
    }

    fn add(&mut self, outcome: Outcome) {
        let Outcome { seed, result } = outcome;
        let verdict = match result {
            Ok(verdict) => verdict,
            Err(error) => {
                if self.error.as_ref().is_none_or(|(first, _)| seed < *first) {
                    self.error = Some((seed, error));
                }
                return;
            }
        };
        self.seeds += 1;
        self.last_seed = self.last_seed.max(seed);
        self.counts.add(&verdict.counts);
        for (name, count) in verdict.reached {
            *self.reach.entry(name.to_owned()).or_default() += count;
        }
        for violation in verdict.violations {
            self.violated(seed, violation);
        }
    }

    fn violated(&mut self, seed: u64, violation: Violation) {
        if let Some(finding) = self.known.iter().find(|finding| finding.covers(&violation.fingerprint)) {
            self.known_met.entry(finding.slug.clone()).or_default().insert(seed);
            return;
        }
        let fingerprint = violation.fingerprint.clone();
        let (first, kept, seeds) =
            self.found.entry(fingerprint).or_insert_with(|| (seed, violation.clone(), BTreeSet::new()));
        seeds.insert(seed);
        if seed < *first {
            (*first, *kept) = (seed, violation);
        }
    }

    fn finish(self, elapsed: Duration) -> Result<Report, (Token, RunError)> {
        let hunt = self.hunt;
        let token = |seed| hunt.first.with_seed(seed);
        if let Some((seed, error)) = self.error {
            return Err((token(seed), error));
        }
        let mut fixed = BTreeMap::new();
        let known = if hunt.is_edited() { &self.known[..] } else { &[] };
        for finding in known {
            let gone = finding.fixed_on(&hunt.subject).map_err(|error| (hunt.first.clone(), error))?;
            if !gone.is_empty() {
                let gone = gone.into_iter().map(|shown| shown.fingerprint.clone()).collect();
                fixed.insert(finding.slug.clone(), gone);
            }
        }
        let mut found: Vec<_> = self.found.into_values().collect();
        found.sort_by_key(|(seed, ..)| *seed);
        let (mut violations, mut in_baseline, mut failed) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (seed, violation, seeds) in found {
            let is_inherited = inherits(hunt, seed, &violation).map_err(|error| (token(seed), error))?;
            let entry = Found { violation, token: token(seed).to_string(), seeds: seeds.len() as u64 };
            if is_inherited {
                in_baseline.push(entry);
            } else {
                failed.extend(seeds);
                violations.push(entry);
            }
        }
        let missed = catalogue::sometimes().filter(|entry| !self.reach.contains_key(entry.name));
        Ok(Report {
            seeds: self.seeds,
            passed: self.seeds - failed.len() as u64,
            known: self.known_met.into_iter().map(|(slug, seeds)| (slug, seeds.len() as u64)).collect(),
            fixed,
            in_baseline,
            first_token: token(hunt.seed(hunt.place(0))).to_string(),
            last_token: token(self.last_seed).to_string(),
            violations,
            not_reached: missed.map(|entry| entry.name).collect(),
            reach: self.reach,
            counts: self.counts,
            wall_seconds: elapsed.as_secs_f64(),
            library: hunt.subject.reference(),
            interrupted: hunt.seeds().is_some_and(|seeds| self.seeds < seeds),
        })
    }
}

/// Whether the baseline breaks in the same way, by the same plan.
fn inherits(hunt: &Hunt, seed: u64, violation: &Violation) -> Result<bool, RunError> {
    let Some(baseline) = &hunt.baseline else { return Ok(false) };
    let verdict = hunt.judge(&hunt.plan(seed), baseline)?;
    Ok(verdict.violations.iter().any(|theirs| theirs.fingerprint == violation.fingerprint))
}
