//! The search: candidates are tried in rounds, and the first that works, in their order, becomes the plan.
//!
//! A round's candidates run in parallel. Which one wins, and how many runs are counted, is decided by their order alone:
//! a run of a candidate that stands after the winner is thrown away, and not counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use super::{
    Budget, Phase, Progress, Size, Trial,
    trial::{Shown, Told},
};
use crate::{drive::RunError, plan::Plan, types::digest::sha256_hex};

/// What came of a candidate's run.
type Outcome = Result<Option<Shown>, RunError>;

/// Which of the plans that show it are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// Any.
    Any,
    /// Those whose story up to the violation is not longer.
    NoLonger,
    /// Those whose story up to the violation is shorter.
    Shorter,
    /// Those of which nothing more is told, after the violation either.
    NothingMore,
}

impl Take {
    fn takes(self, told: Told, now: Told) -> bool {
        match self {
            Take::Any => true,
            Take::NoLonger => told.before <= now.before,
            Take::Shorter => told.before < now.before,
            Take::NothingMore => told.all <= now.all,
        }
    }
}

/// The smallest plan so far, and what has been spent.
pub(super) struct Search<'a> {
    trial: &'a dyn Trial,
    budget: Budget,
    /// Whether somebody wants it to end here.
    stop: &'a AtomicBool,
    started: Instant,
    plan: Plan,
    shown: Shown,
    runs: u64,
    /// Plans that were run and not taken, by their digests, and how much is told of them; none where they do not show it.
    /// They are not run twice for nothing.
    passed_over: BTreeMap<String, Option<Told>>,
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
        stop: &'a AtomicBool,
        progress: &'a mut dyn FnMut(Progress<'_>),
    ) -> Self {
        Self {
            trial,
            budget,
            stop,
            started: Instant::now(),
            plan,
            shown,
            runs: 1,
            passed_over: BTreeMap::new(),
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

    /// Whether a budget ran out, or it was interrupted, with candidates untried.
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
        self.first_of(Take::Any, candidates)
    }

    /// As [`first`](Self::first), among those candidates whose story is short enough.
    ///
    /// # Errors
    /// As [`first`](Self::first).
    pub fn first_of(
        &mut self,
        take: Take,
        candidates: impl IntoIterator<Item = Plan>,
    ) -> Result<Option<usize>, RunError> {
        let now = self.shown.told;
        let takes = |shown: &Shown| take.takes(shown.told, now);
        let fresh = self.fresh(take, candidates);
        let left = self.budget.runs.saturating_sub(self.runs);
        let affordable = fresh.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut outcomes = self.outcomes(&fresh[..affordable], takes);
        for (nth, (place, plan, digest)) in fresh.into_iter().enumerate() {
            let Some(outcome) = outcomes.remove(&nth) else {
                self.is_out = true;
                break;
            };
            self.runs += 1;
            match outcome? {
                Some(shown) if takes(&shown) => {
                    (self.plan, self.shown) = (plan, shown);
                    self.tell();
                    return Ok(Some(place));
                }
                shown => _ = self.passed_over.insert(digest, shown.map(|shown| shown.told)),
            }
        }
        self.tell();
        Ok(None)
    }

    /// The candidates that are worth a run, with their places and digests.
    fn fresh(&self, take: Take, candidates: impl IntoIterator<Item = Plan>) -> Vec<(usize, Plan, String)> {
        let mut seen = BTreeSet::new();
        let with_digest =
            candidates.into_iter().enumerate().map(|(place, plan)| (place, digest(&plan), plan));
        let fresh = with_digest.filter(|(_, digest, plan)| {
            let passed_over = self.passed_over.get(digest);
            let is_takeable =
                |told: &Option<Told>| told.is_some_and(|told| take.takes(told, self.shown.told));
            passed_over.is_none_or(is_takeable)
                && *plan != self.plan
                && plan.check().is_ok()
                && seen.insert(digest.clone())
        });
        fresh.map(|(place, digest, plan)| (place, plan, digest)).collect()
    }

    /// Runs plans, in their order, as many at a time as there are jobs, up to the first that decides the round. Where the
    /// time is up, or somebody wants it to end, the rest is missing.
    fn outcomes(
        &self,
        plans: &[(usize, Plan, String)],
        takes: impl Fn(&Shown) -> bool + Sync,
    ) -> BTreeMap<usize, Outcome> {
        let (trial, started, wall, stop) = (self.trial, self.started, self.budget.wall, self.stop);
        let is_over = || stop.load(Ordering::Relaxed) || started.elapsed() >= wall;
        let (next, decided) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let outcomes = Mutex::new(BTreeMap::new());
        let work = || {
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                let Some((_, plan, _)) = plans.get(nth) else { return };
                if nth > decided.load(Ordering::Relaxed) || is_over() {
                    return;
                }
                let outcome = trial.show(plan);
                let is_passed_over = outcome.as_ref().is_ok_and(|shown| !shown.as_ref().is_some_and(&takes));
                if !is_passed_over {
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
