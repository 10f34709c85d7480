//! The hunt: many seeds, in parallel, each judged; and what came of all of them.

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    drive::{self, RunError, Subject},
    finding::Finding,
    plan::{Plan, token::Token},
    property::{self, Entry, Violation, reach},
    trace::{Ended, Trace, What, file::LibraryRef},
};

/// What to hunt through.
pub struct Hunt {
    /// The library.
    pub subject: Subject,
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
    pub dialect: Option<String>,
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
    result: Result<Judged, RunError>,
}

struct Judged {
    violations: Vec<Violation>,
    reach: BTreeMap<&'static str, u64>,
    counts: Counts,
}

/// What happened, counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Events in all traces.
    pub events: u64,
    /// Function calls that the server executed.
    pub calls: u64,
    /// Grants issued.
    pub grants: u64,
    /// Leases created.
    pub claims: u64,
    /// Grants that expired before anyone took them.
    pub expiries: u64,
    /// Leases that were marked expired.
    pub lost_leases: u64,
    /// Faults that happened, by class.
    pub faults: BTreeMap<String, u64>,
    /// Runs that ended before all executions had.
    pub unfinished: u64,
    /// Simulated time, seconds.
    pub sim_seconds: f64,
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
    pub times: u64,
}

/// What came of a hunt. Its JSON is a promise: see the README.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those without a new violation.
    pub passed: u64,
    /// Known findings that were met again, by slug.
    pub known: BTreeMap<String, u64>,
    /// The first token of its share.
    pub first_token: String,
    /// The last token that was run.
    pub last_token: String,
    /// New violations, one a fingerprint, the lowest seed first.
    pub violations: Vec<Found>,
    /// States reached, by name.
    pub reach: BTreeMap<String, u64>,
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
                        let result = self.judge(seed);
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

    /// Where the nth seed of this hunt's share stands among all seeds.
    fn place(&self, nth: u64) -> u64 {
        let (share, shares) = self.shard;
        nth * shares + (share - 1)
    }

    fn seed(&self, place: u64) -> u64 {
        self.first.seed().wrapping_add(place)
    }

    fn judge(&self, seed: u64) -> Result<Judged, RunError> {
        let trace = drive::run(&self.plan(seed), &self.subject)?;
        Ok(Judged {
            violations: property::judge(&trace.events, &self.properties),
            reach: reach::count(&trace.events),
            counts: Counts::of(&trace),
        })
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
        if let Some(dialect) = &self.dialect {
            plan.dialect.clone_from(dialect);
        }
        plan
    }
}

/// Puts outcomes together, in whatever order they come, to the same report.
struct Gather<'a> {
    hunt: &'a Hunt,
    known: Vec<Finding>,
    seeds: u64,
    last_seed: u64,
    failed_seeds: u64,
    known_met: BTreeMap<String, u64>,
    /// By fingerprint: the lowest seed, its violation, how many seeds.
    found: BTreeMap<String, (u64, Violation, u64)>,
    reach: BTreeMap<String, u64>,
    counts: Counts,
    error: Option<(u64, RunError)>,
}

impl<'a> Gather<'a> {
    fn new(hunt: &'a Hunt) -> Self {
        let known = if hunt.strict { Vec::new() } else { Finding::of(&hunt.subject.library) };
        Self {
            hunt,
            known,
            seeds: 0,
            last_seed: hunt.seed(hunt.place(0)),
            failed_seeds: 0,
            known_met: BTreeMap::new(),
            found: BTreeMap::new(),
            reach: BTreeMap::new(),
            counts: Counts::default(),
            error: None,
        }
    }

    fn add(&mut self, outcome: Outcome) {
        let Outcome { seed, result } = outcome;
        let judged = match result {
            Ok(judged) => judged,
            Err(error) => {
                if self.error.as_ref().is_none_or(|(first, _)| seed < *first) {
                    self.error = Some((seed, error));
                }
                return;
            }
        };
        self.seeds += 1;
        self.last_seed = self.last_seed.max(seed);
        self.counts.add(&judged.counts);
        for (name, count) in judged.reach {
            *self.reach.entry(name.to_owned()).or_default() += count;
        }
        let mut failed = false;
        for violation in judged.violations {
            failed |= self.violated(seed, violation);
        }
        self.failed_seeds += u64::from(failed);
    }

    /// Notes a violation; whether it is a new one.
    fn violated(&mut self, seed: u64, violation: Violation) -> bool {
        if let Some(finding) = self.known.iter().find(|finding| finding.covers(&violation.fingerprint)) {
            *self.known_met.entry(finding.slug.clone()).or_default() += 1;
            return false;
        }
        let fingerprint = violation.fingerprint.0.clone();
        let (first, kept, times) =
            self.found.entry(fingerprint).or_insert_with(|| (seed, violation.clone(), 0));
        *times += 1;
        if seed < *first {
            (*first, *kept) = (seed, violation);
        }
        true
    }

    fn finish(self, elapsed: Duration) -> Result<Report, (Token, RunError)> {
        let token = |seed| self.hunt.first.with_seed(seed);
        if let Some((seed, error)) = self.error {
            return Err((token(seed), error));
        }
        let mut found: Vec<_> = self.found.into_values().collect();
        found.sort_by_key(|(seed, ..)| *seed);
        let found = found.into_iter();
        let violations = found
            .map(|(seed, violation, times)| Found { violation, token: token(seed).to_string(), times })
            .collect();
        Ok(Report {
            seeds: self.seeds,
            passed: self.seeds - self.failed_seeds,
            known: self.known_met,
            first_token: token(self.hunt.seed(self.hunt.place(0))).to_string(),
            last_token: token(self.last_seed).to_string(),
            violations,
            reach: self.reach,
            counts: self.counts,
            wall_seconds: elapsed.as_secs_f64(),
            library: self.hunt.subject.reference(),
            interrupted: self.hunt.seeds().is_some_and(|seeds| self.seeds < seeds),
        })
    }
}

impl Counts {
    /// Counts one trace.
    pub fn of(trace: &Trace) -> Self {
        let mut counts = Self {
            events: trace.events.len() as u64,
            unfinished: u64::from(trace.ended != Ended::Quiet),
            sim_seconds: trace.simulated_us as f64 / 1e6,
            ..Self::default()
        };
        let faults = &mut counts.faults;
        let mut fault = |class: &str| *faults.entry(class.to_owned()).or_default() += 1;
        for event in &trace.events {
            match &event.what {
                What::Called(_) => counts.calls += 1,
                What::GrantIssued { .. } => counts.grants += 1,
                What::LeaseCreated { .. } => counts.claims += 1,
                What::GrantExpired { .. } => counts.expiries += 1,
                What::StateChanged { ownership, .. } if ownership == "lease_expired_reclaimable" => {
                    counts.lost_leases += 1;
                }
                What::Crashed => fault("crash"),
                What::Paused => fault("pause"),
                What::PartitionBegan { .. } => fault("partition"),
                What::CallFault { class, .. } => fault(class),
                What::MessageFault { .. } => fault("grant-message"),
                _ => {}
            }
        }
        counts
    }

    fn add(&mut self, other: &Counts) {
        self.events += other.events;
        self.calls += other.calls;
        self.grants += other.grants;
        self.claims += other.claims;
        self.expiries += other.expiries;
        self.lost_leases += other.lost_leases;
        self.unfinished += other.unfinished;
        self.sim_seconds += other.sim_seconds;
        for (class, count) in &other.faults {
            *self.faults.entry(class.clone()).or_default() += count;
        }
    }
}
