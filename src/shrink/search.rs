//! The search: candidates are tried in rounds, and the first that works, in their order, becomes the plan.
//!
//! A round's candidates run in parallel. Which one wins, and how many runs are counted, is decided by their order alone:
//! a run of a candidate that stands after the winner is thrown away, and not counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use super::{Budget, Phase, Progress, Size, Trial, trial::Shown};
use crate::{drive::RunError, plan::Plan, types::digest::sha256_hex};

/// What came of a candidate's run.
type Outcome = Result<Option<Shown>, RunError>;

/// The smallest plan so far, and what has been spent.
pub(super) struct Search<'a> {
    trial: &'a dyn Trial,
    budget: Budget,
    started: Instant,
    plan: Plan,
    shown: Shown,
    runs: u64,
    /// Digests of plans that do not show it: they are not run twice.
    failed: BTreeSet<String>,
    is_out: bool,
    phase: Phase,
    progress: &'a mut dyn FnMut(Progress<'_>),
}

impl<'a> Search<'a> {
    /// A search from a plan that was run once, and showed it.
    pub fn new(
        plan: Plan,
        shown: Shown,
        trial: &'a dyn Trial,
        budget: Budget,
        progress: &'a mut dyn FnMut(Progress<'_>),
    ) -> Self {
        Self {
            trial,
            budget,
            started: Instant::now(),
            plan,
            shown,
            runs: 1,
            failed: BTreeSet::new(),
            is_out: false,
            phase: Phase::Deleting,
            progress,
        }
    }

    /// The smallest plan so far.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What its run showed.
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// The runs that were counted.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Whether a budget ran out with candidates untried.
    pub fn is_out(&self) -> bool {
        self.is_out
    }

    pub fn size(&self) -> Size {
        Size::of(&self.plan, self.shown.events)
    }

    pub fn into_plan(self) -> Plan {
        self.plan
    }

    /// Begins a phase.
    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.tell();
    }

    /// Tries candidates. The first that shows it, in their order, becomes the plan; its place is returned. Those that
    /// cannot be run, and those that were tried before, are passed over.
    ///
    /// # Errors
    /// [`RunError`] of the first candidate that had one, if none before it won.
    pub fn first(&mut self, candidates: impl IntoIterator<Item = Plan>) -> Result<Option<usize>, RunError> {
        let mut fresh: Vec<(usize, Plan, String)> = Vec::new();
        let mut seen = BTreeSet::new();
        for (place, plan) in candidates.into_iter().enumerate() {
            let digest = digest(&plan);
            if plan != self.plan
                && plan.check().is_ok()
                && !self.failed.contains(&digest)
                && seen.insert(digest.clone())
            {
                fresh.push((place, plan, digest));
            }
        }
        let left = self.budget.runs.saturating_sub(self.runs);
        let affordable = fresh.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut outcomes = self.outcomes(&fresh[..affordable]);
        for (nth, (place, plan, digest)) in fresh.into_iter().enumerate() {
            let Some(outcome) = outcomes.remove(&nth) else {
                self.is_out = true;
                break;
            };
            self.runs += 1;
            match outcome? {
                Some(shown) => {
                    (self.plan, self.shown) = (plan, shown);
                    self.tell();
                    return Ok(Some(place));
                }
                None => _ = self.failed.insert(digest),
            }
        }
        self.tell();
        Ok(None)
    }

    /// Runs plans, in their order, as many at a time as there are jobs, up to the first that decides the round. Where the
    /// time is up, the rest is missing.
    fn outcomes(&self, plans: &[(usize, Plan, String)]) -> BTreeMap<usize, Outcome> {
        let (trial, started, wall) = (self.trial, self.started, self.budget.wall);
        let (next, decided) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let outcomes = Mutex::new(BTreeMap::new());
        let work = || {
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                let Some((_, plan, _)) = plans.get(nth) else { return };
                if nth > decided.load(Ordering::Relaxed) || started.elapsed() >= wall {
                    return;
                }
                let outcome = trial.show(plan);
                if !matches!(outcome, Ok(None)) {
                    decided.fetch_min(nth, Ordering::Relaxed);
                }
                outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(nth, outcome);
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.budget.jobs.get().min(plans.len()) {
                scope.spawn(work);
            }
        });
        outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&mut self) {
        let size = self.size();
        (self.progress)(Progress { phase: self.phase, runs: self.runs, plan: &self.plan, size });
    }
}

fn digest(plan: &Plan) -> String {
    sha256_hex(&serde_json::to_vec(plan).expect("a plan is plain data"))
}
