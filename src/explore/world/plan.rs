//! A history written down as a plan: what arrived when, and what went wrong, by names.

use std::collections::BTreeMap;

use crate::{
    plan::{Arrivals, CallRef, Called, Fault, Plan},
    types::{Function, Node, SimTime},
};

/// What is in flight at the end arrives so much later.
const NEVER_US: u64 = 60_000_000;

/// What a plan calls a request: the n-th that a node wrote, and for a call the n-th of its function, both counted from 1.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ticket {
    nth: usize,
    nth_call: u32,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(super) struct Record {
    requests: BTreeMap<Node, Vec<Option<SimTime>>>,
    messages: BTreeMap<Node, Vec<SimTime>>,
    /// Calls by node and function: sent, and executed.
    sent: BTreeMap<(Node, Function), u32>,
    executed: BTreeMap<(Node, Function), u32>,
    faults: Vec<Fault>,
}

impl Record {
    /// A node wrote a request.
    pub fn wrote(&mut self, node: Node, function: Option<Function>) -> Ticket {
        let requests = self.requests.entry(node).or_default();
        requests.push(None);
        let nth = requests.len();
        let nth_call = function.map_or(0, |function| count(&mut self.sent, node, function));
        Ticket { nth, nth_call }
    }

    /// It did not after all: it is the last that it wrote.
    pub fn never_wrote(&mut self, node: Node) {
        self.requests.entry(node).or_default().pop();
    }

    /// A request arrived.
    pub fn arrived(&mut self, node: Node, ticket: Ticket, at: SimTime) {
        let requests = self.requests.entry(node).or_default();
        if let Some(arrival) = ticket.nth.checked_sub(1).and_then(|place| requests.get_mut(place)) {
            *arrival = Some(at);
        }
    }

    /// A call was executed. Says which of its node and its function it is.
    pub fn executed(&mut self, node: Node, function: Function) -> u32 {
        count(&mut self.executed, node, function)
    }

    /// A message that a node sent arrives.
    pub fn delivered(&mut self, from: Node, at: SimTime) {
        self.messages.entry(from).or_default().push(at);
    }

    /// Something goes wrong.
    pub fn breaks(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// The plan: everything else is as in `base`.
    pub fn plan(self, base: &Plan, run_for_ms: u64) -> Plan {
        let never = run_for_ms * 1_000 + NEVER_US;
        let mut arrivals: BTreeMap<Node, Arrivals> = BTreeMap::new();
        for (node, requests) in self.requests {
            let requests = requests.into_iter().map(|at| at.map_or(never, |at| at.0)).collect();
            arrivals.entry(node).or_default().requests = requests;
        }
        for (node, messages) in self.messages {
            arrivals.entry(node).or_default().messages = messages.into_iter().map(|at| at.0).collect();
        }
        Plan { run_for_ms, arrivals, faults: self.faults, ..base.clone() }
    }
}

/// The call of a function by a node.
pub(super) fn call(node: Node, function: Function, nth: u32) -> CallRef {
    CallRef { node: Some(node), function: Called::Function(function), execution: None, nth }
}

/// The call of this ticket.
pub(super) fn call_of(node: Node, function: Function, ticket: Ticket) -> CallRef {
    call(node, function, ticket.nth_call)
}

fn count(counts: &mut BTreeMap<(Node, Function), u32>, node: Node, function: Function) -> u32 {
    let count = counts.entry((node, function)).or_default();
    *count += 1;
    *count
}
