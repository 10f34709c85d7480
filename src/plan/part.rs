//! The parts that a plan can do without: what a shrinker cuts.
//!
//! Names, not positions, stand behind this: what is left keeps its names, and with them its random streams. Making a
//! part smaller (a shorter pause, fewer attempts) is not for here.

use std::fmt;

use super::Plan;
use crate::types::{ExecutionName, Node};

/// A part of a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An execution, and the faults and deeds that name it.
    Execution(ExecutionName),
    /// A worker, its clock, and the faults that name it.
    Worker(Node),
    /// A scheduler, its clock, and the faults that name it.
    Scheduler(Node),
    /// A fault, by its place in [`Plan::faults`], counted from 0. Cutting one moves those behind it.
    Fault(usize),
    /// A wrong clock: without it, the node's is true.
    Clock(Node),
    /// A deed, by its place in [`Plan::deeds`], counted from 0. Cutting one moves those behind it.
    Deed(usize),
    /// A call, by its place in [`Plan::calls`], counted from 0. Cutting one moves those behind it.
    Call(usize),
}

impl Plan {
    /// Every part that it has, in the order of [`Part`]'s variants. Not every one can be cut.
    pub fn parts(&self) -> Vec<Part> {
        let executions = self.executions.iter().map(|execution| Part::Execution(execution.name.clone()));
        let workers = self.workers.iter().map(|worker| Part::Worker(worker.name));
        let schedulers = self.schedulers.iter().copied().map(Part::Scheduler);
        let faults = (0..self.faults.len()).map(Part::Fault);
        let clocks = self.clocks.keys().copied().map(Part::Clock);
        let deeds = (0..self.deeds.len()).map(Part::Deed);
        let calls = (0..self.calls.len()).map(Part::Call);
        executions
            .chain(workers)
            .chain(schedulers)
            .chain(faults)
            .chain(clocks)
            .chain(deeds)
            .chain(calls)
            .collect()
    }

    /// The same plan without one part; what is left is as it was, in the same order.
    ///
    /// `None` where there is no such part, and where the rest cannot be run (by [`Plan::check`]): a plan needs a worker
    /// and a scheduler.
    ///
    /// ```
    /// # use grantsim::{plan::{Part, token::Token}, types::{ExecutionName, Node}};
    /// let plan = Token::new("calm", 1)?.plan();
    /// let cut = plan.without(&Part::Execution(ExecutionName::nth(1))).expect("it has more of them");
    /// assert_eq!(cut.executions, plan.executions[1..]);
    /// assert_eq!(plan.without(&Part::Worker(Node::Worker(99))), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn without(&self, part: &Part) -> Option<Plan> {
        let mut rest = self.clone();
        let was_there = match part {
            Part::Execution(name) => {
                rest.faults.retain(|fault| fault.execution() != Some(name));
                rest.deeds.retain(|deed| !deed.executions().contains(&name));
                remove(&mut rest.executions, |execution| execution.name == *name)
            }
            Part::Worker(node) => {
                rest.forget(*node);
                remove(&mut rest.workers, |worker| worker.name == *node)
            }
            Part::Scheduler(node) => {
                rest.forget(*node);
                remove(&mut rest.schedulers, |scheduler| scheduler == node)
            }
            Part::Fault(place) if *place < rest.faults.len() => {
                rest.faults.remove(*place);
                true
            }
            Part::Fault(_) => false,
            Part::Clock(node) => rest.clocks.remove(node).is_some(),
            Part::Deed(place) if *place < rest.deeds.len() => {
                rest.deeds.remove(*place);
                true
            }
            Part::Deed(_) => false,
            // Without its last call it would be a plan of another sort, in which everybody takes part.
            Part::Call(place) if *place < rest.calls.len() && rest.calls.len() > 1 => {
                rest.calls.remove(*place);
                true
            }
            Part::Call(_) => false,
        };
        if rest.deeds.is_empty() && rest.calls.is_empty() {
            // Nobody is left to carry them out, and nothing of his can break.
            rest.forget(Node::Operator);
        }
        (was_there && rest.check().is_ok()).then_some(rest)
    }

    /// Drops the clock of a node, its place, and the faults that name it.
    fn forget(&mut self, node: Node) {
        self.clocks.remove(&node);
        self.arrivals.remove(&node);
        if let Some(priorities) = &mut self.priorities {
            priorities.places.remove(&node);
        }
        self.faults.retain(|fault| !fault.nodes().contains(&node));
        self.deeds.retain(|deed| deed.upon.as_ref().is_none_or(|call| call.node != Some(node)));
    }
}

/// Removes what is meant, and says whether anything was.
fn remove<T>(all: &mut Vec<T>, is_meant: impl Fn(&T) -> bool) -> bool {
    let before = all.len();
    all.retain(|one| !is_meant(one));
    all.len() < before
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Execution(name) => write!(f, "execution {name}"),
            Part::Worker(node) | Part::Scheduler(node) => write!(f, "{node}"),
            Part::Fault(place) => write!(f, "faults[{place}]"),
            Part::Clock(node) => write!(f, "the clock of {node}"),
            Part::Deed(place) => write!(f, "deeds[{place}]"),
            Part::Call(place) => write!(f, "calls[{place}]"),
        }
    }
}
