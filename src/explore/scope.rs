//! Scopes: what takes part in an exploration, and how deep it goes unless it is told otherwise.

use super::world::WAY_US;
use crate::{
    plan::{Ending, Execution, Network, Plan, SCHEMA, Settings, Terms, Work, Worker},
    types::{ExecutionName, Label, Node},
};

/// When the first call is sent, milliseconds of the run: the operator is connected by then. A tick of the server's expiry
/// cycle.
pub(super) const START_MS: u64 = 100;
/// The true time of day at the start.
const EPOCH_MS: u64 = 1_735_689_600_000;
/// The lane that everything is submitted to.
pub(super) const LANE: &str = "gold";
/// How long a lease's work takes in a world: a renewal lies in it.
const WORK_MS: u64 = 150;
/// How long an execution waits that a worker delays.
const DELAY_MS: u64 = 120;
/// How often a scanner walks that has nothing to do: no history is so long.
const IDLE_MS: u64 = 600_000;
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
    /// Of what its histories are made.
    pub(super) kind: Kind,
}

/// Of what histories are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of calls that nobody in particular makes.
    Calls(Calls),
    /// Of what a deployment does, and what goes wrong about it.
    World(World),
}

/// Which calls a menu has, beside those of grants and leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Calls {
    /// How many executions there are.
    pub executions: usize,
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
    executions: 1,
    waits: false,
    operator: false,
    flow: false,
    admission: false,
    registry: false,
    other_lane: false,
};

/// The scopes of calls, in the order in which they are explored.
pub const CALLS: &[Scope] = &[
    Scope {
        name: "one",
        about: "one execution and two workers",
        depth: 7,
        kind: Kind::Calls(Calls { waits: true, operator: true, ..GRANTS_AND_LEASES }),
    },
    Scope {
        name: "two",
        about: "two executions and two workers",
        depth: 8,
        kind: Kind::Calls(Calls { executions: 2, ..GRANTS_AND_LEASES }),
    },
    Scope {
        name: "flow",
        about: "a flow of three executions that wait for one another",
        depth: 6,
        kind: Kind::Calls(Calls { executions: 3, flow: true, ..GRANTS_AND_LEASES }),
    },
    Scope {
        name: "admission",
        about: "two executions under a budget and a quota",
        depth: 5,
        kind: Kind::Calls(Calls { executions: 2, admission: true, ..GRANTS_AND_LEASES }),
    },
    Scope {
        name: "registry",
        about: "two processes in the worker registry",
        depth: 6,
        kind: Kind::Calls(Calls { registry: true, ..GRANTS_AND_LEASES }),
    },
];

/// Who takes part in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct World {
    /// How many workers there are, each with a slot.
    pub workers: u16,
    /// How much may go wrong in a history, unless it is said otherwise.
    pub budget: u8,
    /// Whether it is the server that goes wrong: a replica takes its place. Otherwise it is everybody else.
    pub fails_over: bool,
    /// How the work of the execution ends, lease by lease.
    pub ends: &'static [Ending],
}

/// The scopes of worlds, in the order in which they are explored.
pub const WORLD: &[Scope] = &[
    Scope {
        name: "claim",
        about: "one execution, two workers, a scheduler and a scanner",
        depth: 64,
        kind: Kind::World(World { workers: 2, budget: 2, fails_over: false, ends: &[Ending::Complete] }),
    },
    Scope {
        name: "again",
        about: "one execution that fails, is delayed, and completes, a worker, a scheduler and a scanner",
        depth: 100,
        kind: Kind::World(World {
            workers: 1,
            budget: 1,
            fails_over: false,
            ends: &[Ending::Fail, Ending::Delay(DELAY_MS), Ending::Complete],
        }),
    },
    Scope {
        name: "failover",
        about: "one execution, two workers, a scheduler and a scanner, whose server may be replaced by a replica that is behind",
        depth: 64,
        kind: Kind::World(World { workers: 2, budget: 2, fails_over: true, ends: &[Ending::Complete] }),
    },
];

impl Scope {
    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        CALLS.iter().chain(WORLD).find(|scope| scope.name == name)
    }

    /// How much may go wrong in a history, unless it is said otherwise.
    pub(super) fn budget(&self) -> u8 {
        match self.kind {
            Kind::Calls(_) => 0,
            Kind::World(world) => world.budget,
        }
    }

    /// The plan of which its histories are variants: who takes part, and what ids they have.
    pub(super) fn plan(&self) -> Plan {
        match self.kind {
            Kind::Calls(calls) => calls.plan(),
            Kind::World(world) => world.plan(),
        }
    }
}

impl Calls {
    /// The plan whose names the ids are derived from. It has no calls yet.
    fn plan(&self) -> Plan {
        let flow = self.flow.then(|| Label::from(FLOW));
        let work = || vec![Work { takes_ms: 0, ends: Ending::Complete, meanwhile: Vec::new() }];
        Plan {
            executions: (1..=self.executions).map(|nth| execution(nth, flow.clone(), work())).collect(),
            // Whatever is sent in a millisecond is executed in it.
            network: Network { latency_us: 500, jitter_us: 0, loss_ppm: 0 },
            ..plan(Settings::default())
        }
    }
}

impl World {
    /// Whether its execution waits for its time to come.
    fn delays(&self) -> bool {
        self.ends.iter().any(|ends| matches!(ends, Ending::Fail | Ending::Delay(_)))
    }

    fn plan(&self) -> Plan {
        let settings = Settings {
            grant_ttl_ms: 300,
            lease_ttl_ms: 400,
            request_timeout_ms: 1_000,
            poll_ms: 200,
            lease_scan_ms: 450,
            reclaim_scan_ms: 500,
            delayed_scan_ms: if self.delays() { 250 } else { IDLE_MS },
            unblock_scan_ms: IDLE_MS,
            ..Settings::default()
        };
        let work = |ends: &Ending| Work { takes_ms: WORK_MS, ends: *ends, meanwhile: Vec::new() };
        let worker = |nth| Worker {
            name: Node::Worker(nth),
            worker_id: format!("w{nth}"),
            lanes: vec![LANE.to_owned()],
            capabilities: Vec::new(),
            slots: 1,
            same_instance: false,
        };
        let execution = execution(1, None, self.ends.iter().map(work).collect());
        let max_retries = self.ends.iter().filter(|ends| **ends == Ending::Fail).count() as u8;
        Plan {
            executions: vec![Execution { max_retries, ..execution }],
            schedulers: vec![Node::Scheduler(1)],
            workers: (1..=self.workers).map(worker).collect(),
            network: Network { latency_us: WAY_US, jitter_us: 0, loss_ppm: 0 },
            ..plan(settings)
        }
    }
}

/// A plan in which nobody takes part yet.
fn plan(settings: Settings) -> Plan {
    Plan {
        schema: SCHEMA,
        seed: 1,
        dialect: Default::default(),
        epoch_ms: EPOCH_MS,
        run_for_ms: START_MS + 1,
        heals: false,
        settings: Settings { partitions: 1, ..settings },
        network: Network::default(),
        clocks: Default::default(),
        schedulers: Vec::new(),
        workers: Vec::new(),
        executions: Vec::new(),
        scanners: 1,
        budgets: Vec::new(),
        quotas: Vec::new(),
        faults: Vec::new(),
        deeds: Vec::new(),
        calls: Vec::new(),
        arrivals: Default::default(),
        priorities: None,
    }
}

fn execution(nth: usize, flow: Option<Label>, work: Vec<Work>) -> Execution {
    Execution {
        name: ExecutionName::nth(nth),
        at_ms: 0,
        lane: LANE.to_owned(),
        flow,
        priority: 0,
        delay_ms: None,
        capabilities: Vec::new(),
        max_retries: 0,
        terms: Terms::default(),
        work,
    }
}
