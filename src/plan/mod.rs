//! The plan: what will happen in a run, as plain data.
//!
//! A plan says who takes part ([`Plan::workers`], [`Plan::schedulers`]), what there is to do ([`Plan::executions`]),
//! what breaks ([`Plan::faults`]), what operators do ([`Plan::deeds`]) and how the rest is drawn ([`Plan::random`]). The run of a plan is a function of the
//! plan, the library under test and this build; a plan in a file outlives the generator that made it, which is why
//! regressions are plans and not seeds.
//!
//! **Names, not positions.** Executions, workers and schedulers have names. Faults refer to names and random streams
//! are drawn by name, so a plan [without](Plan::without) one part is the same plan for all the others.
//!
//! All times are simulated milliseconds since the start of the run, unless the name says otherwise.

mod arrivals;
mod call;
mod check;
mod clock;
mod deed;
mod execution;
mod fault;
pub mod file;
mod ids;
mod limits;
mod part;
mod priorities;
pub mod profile;
mod random;
mod reading;
mod sent;
mod server_fault;
mod settings;
mod settle;
mod strategy;
mod terms;
pub mod token;
mod work;
mod worker;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use valkey_sim::engine::Dialect;

pub use arrivals::Arrivals;
pub use call::{CallRef, Called};
pub use check::InvalidPlan;
pub use clock::{ClockStep, WrongClock};
pub use deed::{
    Deed, DeedKind, Dimensions, Does, GroupPolicy, NOBODY, Overdue, Right, Token, Upstream, is_nobody,
};
pub use execution::Execution;
pub use fault::{Cut, Fate, Fault, ODD_ARGUMENTS};
pub use ids::NOBODYS_LANE;
pub(crate) use ids::drawn_uuid;
pub use limits::{Budget, Limit, Quota};
pub use part::Part;
pub use priorities::Priorities;
pub use sent::Sent;
pub use server_fault::{Keeps, Policy, SYNC_TAKES_US, ServerFault};
pub use settings::{Network, Registry, SafeOn, Scans, Settings};
pub use terms::{Once, Retry, Terms};
pub use work::{Chore, Doing, Ending, Frame, Suspend, Until, Work};
pub use worker::Worker;

use crate::types::Node;

/// The version of the plan's shape that this build writes. It reads this one and 1, which is upgraded when it is read.
pub const SCHEMA: u32 = 2;

/// What will happen in one run.
///
/// ```
/// use grantsim::{plan::Plan, types::Node};
/// let plan: Plan = serde_json::from_str(r#"{
///     "schema": 2, "seed": 7, "epoch_ms": 1735689600000, "run_for_ms": 10000,
///     "settings": {
///         "partitions": 1, "grant_ttl_ms": 500, "lease_ttl_ms": 900, "request_timeout_ms": 500, "poll_ms": 100,
///         "lease_scan_ms": 500, "delayed_scan_ms": 750, "unblock_scan_ms": 5000, "reclaim_scan_ms": 500,
///         "claim_again": 0
///     },
///     "network": { "latency_us": 1000, "jitter_us": 0 },
///     "schedulers": 1,
///     "workers": [{ "worker_id": "w1", "lanes": ["gold"], "slots": 1 }],
///     "executions": [{ "name": "e1", "at_ms": 0, "lane": "gold", "work": [{ "takes_ms": 400, "ends": "complete" }] }],
///     "faults": [{ "fault": "lose_reply", "call": { "function": "claim", "execution": "e1", "nth": 1 } }]
/// }"#)?;
/// assert_eq!(plan.check(), Ok(()));
/// assert_eq!((plan.workers[0].name, plan.schedulers[0]), (Node::Worker(1), Node::Scheduler(1)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`SCHEMA`].
    #[serde(deserialize_with = "reading::schema")]
    pub schema: u32,
    /// Draws whatever the plan leaves open: latencies, ids, the order in which ready processes run.
    pub seed: u64,
    /// Which server the simulated one answers as; in a file `valkey-8` or `redis-7`, and valkey-8 when absent.
    #[serde(default, with = "crate::types::dialect")]
    pub dialect: Dialect,
    /// The true time of day at the start, milliseconds since the Unix epoch. Clocks differ from it by plan.
    pub epoch_ms: u64,
    /// So long things may break. Here the world is healed, if the plan [heals](Plan::heals), else the run ends here at the
    /// latest; it ends sooner when every execution is terminal and all is quiet.
    pub run_for_ms: u64,
    /// Whether the world is healed when `run_for_ms` is up, and the run goes on until all has settled: partitions heal,
    /// processes go on, those come back that were to, clocks stay as they are, and no fault hits any more. What has not
    /// settled [in time](Plan::settle_ms) is stuck. Absent in a file: no, and such a run says nothing of what must happen in
    /// the end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heals: bool,
    /// Times to live, timeouts and intervals.
    pub settings: Settings,
    /// How the network behaves when nothing is broken.
    pub network: Network,
    /// Clocks that are wrong. Nodes that are absent have a true one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clocks: BTreeMap<Node, WrongClock>,
    /// The schedulers; a worker asks them in turn. A file may give their number instead: 2 is scheduler-1 and -2.
    #[serde(deserialize_with = "reading::schedulers")]
    pub schedulers: Vec<Node>,
    /// The workers.
    #[serde(deserialize_with = "reading::workers")]
    pub workers: Vec<Worker>,
    /// What is submitted.
    #[serde(deserialize_with = "reading::executions")]
    pub executions: Vec<Execution>,
    /// How many copies of the scanners there are: 1, or 2 that overlap.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub scanners: u8,
    /// The budgets that exist before anything is submitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// The quotas that do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<Quota>,
    /// What breaks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// What operators and other callers do.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "reading::deeds")]
    pub deeds: Vec<Deed>,
    /// Calls word for word. Where there are any, nobody takes part but the server and the operator, who sends them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Sent>,
    /// When what a node sends arrives, where the network's latency does not say so. A plan that says so does not end before its
    /// time is up.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arrivals: BTreeMap<Node, Arrivals>,
    /// Whose requests and messages come first. What a fault keeps in the network, or an arrival says, does not wait for its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priorities: Option<Priorities>,
}

fn one() -> u8 {
    1
}

fn is_one(number: &u8) -> bool {
    *number == 1
}

impl Plan {
    /// The scanners.
    pub fn scanners(&self) -> impl Iterator<Item = Node> + use<> {
        [Node::Scanner, Node::SecondScanner].into_iter().take(usize::from(self.scanners))
    }

    /// Every process of the plan.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        let workers = self.workers.iter().map(|worker| worker.name);
        // A plan without deeds has nobody to carry them out, and one of calls has nobody else.
        let operator = (!self.deeds.is_empty() || !self.calls.is_empty()).then_some(Node::Operator);
        let others = std::iter::once(Node::Submitter)
            .chain(self.scanners())
            .chain(self.schedulers.iter().copied())
            .chain(workers)
            .filter(|_| self.calls.is_empty());
        std::iter::once(Node::Valkey).chain(others).chain(operator)
    }

    /// Whether a node takes part in it that sends anything.
    fn sends(&self, node: Node) -> bool {
        node != Node::Valkey && self.nodes().any(|it| it == node)
    }

    /// Whether a worker of it suspends what it runs, or opens a waitpoint.
    pub fn suspends(&self) -> bool {
        let works = self.executions.iter().flat_map(|execution| &execution.work);
        works.into_iter().any(Work::suspends)
    }

    /// Whether an execution of it is charged to a budget or a quota.
    pub fn charges(&self) -> bool {
        self.executions.iter().any(|execution| execution.terms.is_charged())
    }

    /// The lanes that occur in it, in order.
    pub fn lanes(&self) -> BTreeSet<&str> {
        let served = self.workers.iter().flat_map(|worker| worker.lanes.iter());
        let submitted = self.executions.iter().map(|execution| &execution.lane);
        served.chain(submitted).map(String::as_str).collect()
    }
}
