//! Scopes: what takes part in an exploration, and how deep it goes unless it is told otherwise.

use crate::{
    plan::{Ending, Execution, Network, Plan, SCHEMA, Settings, Terms, Work},
    types::{ExecutionName, Label},
};

/// When the first call is sent, milliseconds of the run: the operator is connected by then. A tick of the server's expiry
/// cycle.
pub(super) const START_MS: u64 = 100;
/// The true time of day at the start.
const EPOCH_MS: u64 = 1_735_689_600_000;
/// The lane that everything is submitted to.
pub(super) const LANE: &str = "gold";
/// The flow of a scope that has one.
pub(super) const FLOW: &str = "flow";

/// What takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its name.
    pub name: &'static str,
    /// What it is, in words that go on from "every history of".
    pub about: &'static str,
    /// How many choices a history has, unless it is said otherwise.
    pub depth: usize,
    /// How many executions there are.
    pub executions: usize,
    /// Which calls the menu has.
    pub(super) calls: Calls,
}

/// Which calls a menu has, beside those of grants and leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Calls {
    /// Suspensions, waitpoints and signals.
    pub waits: bool,
    /// What an operator does: blocks, priorities, overrides, streams.
    pub operator: bool,
    /// Flows and their edges.
    pub flow: bool,
    /// A budget and a quota, and what is charged to them.
    pub admission: bool,
    /// The worker registry, and no execution.
    pub registry: bool,
    /// Callers who name another lane.
    pub other_lane: bool,
}

const GRANTS_AND_LEASES: Calls = Calls {
    waits: false,
    operator: false,
    flow: false,
    admission: false,
    registry: false,
    other_lane: false,
};

/// All of them, in the order in which they are explored.
pub const SCOPES: &[Scope] = &[
    Scope {
        name: "one",
        about: "one execution and two workers",
        depth: 7,
        executions: 1,
        calls: Calls { waits: true, operator: true, ..GRANTS_AND_LEASES },
    },
    Scope {
        name: "two",
        about: "two executions and two workers",
        depth: 8,
        executions: 2,
        calls: GRANTS_AND_LEASES,
    },
    Scope {
        name: "flow",
        about: "a flow of three executions that wait for one another",
        depth: 5,
        executions: 3,
        calls: Calls { flow: true, ..GRANTS_AND_LEASES },
    },
    Scope {
        name: "admission",
        about: "two executions under a budget and a quota",
        depth: 5,
        executions: 2,
        calls: Calls { admission: true, ..GRANTS_AND_LEASES },
    },
    Scope {
        name: "registry",
        about: "two processes in the worker registry",
        depth: 6,
        executions: 1,
        calls: Calls { registry: true, ..GRANTS_AND_LEASES },
    },
];

impl Scope {
    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SCOPES.iter().find(|scope| scope.name == name)
    }

    /// The plan whose names its ids are derived from. It has no calls yet.
    pub(super) fn plan(&self) -> Plan {
        let execution = |nth| Execution {
            name: ExecutionName::nth(nth),
            at_ms: 0,
            lane: LANE.to_owned(),
            flow: self.calls.flow.then(|| Label::from(FLOW)),
            priority: 0,
            delay_ms: None,
            capabilities: Vec::new(),
            max_retries: 0,
            terms: Terms::default(),
            work: vec![Work { takes_ms: 0, ends: Ending::Complete, meanwhile: Vec::new() }],
        };
        Plan {
            schema: SCHEMA,
            seed: 1,
            dialect: Default::default(),
            epoch_ms: EPOCH_MS,
            run_for_ms: START_MS + 1,
            heals: false,
            settings: Settings { partitions: 1, ..Settings::default() },
            // Whatever is sent in a millisecond is executed in it.
            network: Network { latency_us: 500, jitter_us: 0, loss_ppm: 0 },
            clocks: Default::default(),
            schedulers: Vec::new(),
            workers: Vec::new(),
            executions: (1..=self.executions).map(execution).collect(),
            scanners: 1,
            budgets: Vec::new(),
            quotas: Vec::new(),
            faults: Vec::new(),
            deeds: Vec::new(),
            calls: Vec::new(),
            arrivals: Default::default(),
        }
    }
}
