//! Gathering: what the runs showed, added up, whatever order they end in.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Comparison, Difference, Example, Found, Report, SideBySide,
    beside::{Met, Seen},
    text,
};
use crate::{
    drive::RunError,
    plan::{Plan, token::Token},
    shrink::Size,
    types::Function,
};

/// What the runs so far showed.
pub(super) struct Gather<'a> {
    comparison: &'a Comparison,
    seeds: u64,
    calls: u64,
    passed_over: u64,
    spelt_otherwise: u64,
    called: BTreeSet<Function>,
    found: BTreeMap<Difference, Sum>,
    /// The run that failed, of several that of the lowest place.
    failed: Option<(u64, RunError)>,
}

/// A difference in all runs.
pub(super) struct Sum {
    calls: u64,
    seeds: u64,
    least: Option<Least>,
}

/// The smallest plan that was met.
struct Least {
    /// The place of its seed, counted from 0.
    place: u64,
    size: Size,
    call: SideBySide,
    /// What it was made of it since.
    shrunk: Option<(Plan, bool)>,
}

impl<'a> Gather<'a> {
    pub fn new(comparison: &'a Comparison) -> Self {
        let none = || Sum { calls: 0, seeds: 0, least: None };
        Self {
            comparison,
            seeds: 0,
            calls: 0,
            passed_over: 0,
            spelt_otherwise: 0,
            called: BTreeSet::new(),
            found: comparison.only_in_one().map(|difference| (difference, none())).collect(),
            failed: None,
        }
    }

    /// Adds what came of the seed at a place, counted from 0.
    pub fn add(&mut self, place: u64, seen: Result<Seen, RunError>) {
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                if self.failed.as_ref().is_none_or(|(other, _)| place < *other) {
                    self.failed = Some((place, error));
                }
                return;
            }
        };
        self.seeds += 1;
        self.calls += seen.calls;
        self.passed_over += seen.passed_over;
        self.spelt_otherwise += seen.spelt_otherwise;
        self.called.extend(seen.called);
        if seen.differences.is_empty() {
            return;
        }
        let size = Size::of(&self.comparison.plan(self.seed(place)), seen.events.into());
        for (difference, Met { calls, first }) in seen.differences {
            let sum = self.found.entry(difference).or_insert(Sum { calls: 0, seeds: 0, least: None });
            sum.calls += calls;
            sum.seeds += 1;
            if sum
                .least
                .as_ref()
                .is_none_or(|least| (weight(&size), place) < (weight(&least.size), least.place))
            {
                sum.least = Some(Least { place, size, call: first, shrunk: None });
            }
        }
    }

    /// Seeds and differences so far.
    pub fn progress(&self) -> (u64, usize) {
        (self.seeds, self.found.len())
    }

    /// The runs are over: whether one of them failed.
    pub fn settle(&mut self) -> Result<(), (Token, RunError)> {
        match self.failed.take() {
            Some((place, error)) => Err((self.comparison.first.with_seed(self.seed(place)), error)),
            None => Ok(()),
        }
    }

    /// The differences that a plan shows, with the smallest one that was met.
    pub fn shown(&self) -> Vec<(Difference, Plan, Size)> {
        let met = self.found.iter().filter_map(|(difference, sum)| Some((difference, sum.least.as_ref()?)));
        met.map(|(difference, least)| (difference.clone(), self.plan_of(least), least.size)).collect()
    }

    /// A smaller plan shows a difference, by this call.
    pub fn shrunk(
        &mut self,
        difference: &Difference,
        plan: Plan,
        size: Size,
        minimal: bool,
        call: SideBySide,
    ) {
        if let Some(least) = self.found.get_mut(difference).and_then(|sum| sum.least.as_mut()) {
            (least.size, least.call, least.shrunk) = (size, call, Some((plan, minimal)));
        }
    }

    pub fn report(self) -> Report {
        let comparison = self.comparison;
        let differences = self.found.iter().map(|(difference, sum)| Found {
            difference: difference.clone(),
            calls: sum.calls,
            seeds: sum.seeds,
            accepted: None,
            example: sum.least.as_ref().map(|least| self.example(least)),
        });
        let not_called = comparison.not_called(&self.called);
        let [old_text, new_text] = [&comparison.pair.old, &comparison.pair.new].map(|it| it.library.source());
        Report {
            not_called_edited: text::differing(old_text, new_text, &not_called),
            not_called,
            old: comparison.pair.old.reference(),
            new: comparison.pair.new.reference(),
            old_says: comparison.pair.old.says_version.clone(),
            new_says: comparison.pair.new.says_version.clone(),
            seeds: self.seeds,
            first_token: comparison.first.to_string(),
            calls: self.calls,
            passed_over: self.passed_over,
            spelt_otherwise: self.spelt_otherwise,
            differences: differences.collect(),
            not_met: Vec::new(),
            interrupted: self.seeds < comparison.seeds,
        }
    }

    fn example(&self, least: &Least) -> Example {
        Example {
            token: self.comparison.first.with_seed(self.seed(least.place)).to_string(),
            plan: self.plan_of(least),
            size: least.size,
            minimal: least.shrunk.as_ref().is_some_and(|(_, minimal)| *minimal),
            call: least.call.clone(),
        }
    }

    fn plan_of(&self, least: &Least) -> Plan {
        match &least.shrunk {
            Some((plan, _)) => plan.clone(),
            None => self.comparison.plan(self.seed(least.place)),
        }
    }

    fn seed(&self, place: u64) -> u64 {
        self.comparison.first.seed().wrapping_add(place)
    }
}

/// What makes one plan smaller than another: its parts, then the events of its run.
pub(super) fn weight(size: &Size) -> (usize, u64) {
    let Size { executions, workers, schedulers, faults, clocks, deeds, events } = *size;
    (executions + workers + schedulers + faults + clocks + deeds, events)
}
