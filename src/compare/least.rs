//! The smallest plan of each difference: shrinking by a trial that looks for the difference.
//!
//! A plan that was shrunk for one difference often shows others, too: where it is smaller than what they were met in, they
//! begin with it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::{
    Comparison, Difference, Progress,
    beside::Seen,
    gather::{Gather, weight},
};
use crate::{
    drive::{Ran, RunError},
    plan::Plan,
    shrink::{self, Budget, Outcome, Shown, Size, Told, Trial},
    trace::FaultFate,
};

/// One difference takes no longer than this to shrink. The runs are meant to be over long before: where they are not, the
/// result depends on the machine.
const MOST_TIME: Duration = Duration::from_secs(120);

/// Looks for a difference.
struct Shows<'a> {
    comparison: &'a Comparison,
    difference: &'a Difference,
}

impl Trial for Shows<'_> {
    fn show(&self, plan: &Plan) -> Result<Option<Shown>, RunError> {
        let (ran, seen) = self.comparison.beside(plan)?;
        Ok(shown(self.difference, &ran, &seen))
    }
}

fn shown(difference: &Difference, ran: &Ran, seen: &Seen) -> Option<Shown> {
    let call = &seen.differences.get(difference)?.first;
    let events = seen.events.into();
    let idle = ran.faults.iter().enumerate().filter(|(_, fate)| **fate != FaultFate::Happened);
    Some(Shown {
        at_ms: Some(call.at.0.div_ceil(1_000)),
        execution: call.execution.clone(),
        idle: idle.map(|(place, _)| place).collect(),
        events,
        told: Told { before: events, all: events },
    })
}

impl Comparison {
    /// Makes the plan of each difference small, and tells how far it is.
    pub(super) fn shrink(
        &self,
        gather: &mut Gather<'_>,
        stop: &AtomicBool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), RunError> {
        if self.shrink_runs == 0 {
            return Ok(());
        }
        let budget = Budget { runs: self.shrink_runs, wall: MOST_TIME, jobs: self.jobs };
        let mut small: Vec<(Plan, Size, Seen)> = Vec::new();
        let differences = gather.shown();
        let of = differences.len();
        for (done, (difference, plan, size)) in differences.into_iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            progress(Progress::Shrinking { done, of });
            let smaller = small.iter().filter(|(_, _, seen)| seen.differences.contains_key(&difference));
            let least = smaller.map(|(plan, size, _)| (plan, size)).min_by_key(|(_, size)| weight(size));
            let start = match least {
                Some((other, other_size)) if weight(other_size) < weight(&size) => other.clone(),
                _ => plan,
            };
            let trial = Shows { comparison: self, difference: &difference };
            let shrunk = shrink::shrink(&start, &trial, budget, stop, &mut |_| {})?;
            let Outcome::Shrunk(shrunk) = shrunk else { continue };
            let (_, seen) = self.beside(&shrunk.plan)?;
            let Some(met) = seen.differences.get(&difference) else { continue };
            gather.shrunk(&difference, shrunk.plan.clone(), shrunk.after, shrunk.minimal, met.first.clone());
            small.push((shrunk.plan, shrunk.after, seen));
        }
        progress(Progress::Shrinking { done: of, of });
        Ok(())
    }
}
