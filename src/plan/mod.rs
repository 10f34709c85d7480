//! The plan: what will happen in a run, as plain data.
//!
//! A plan says who takes part ([`Plan::workers`], [`Plan::schedulers`]), what there is to do
//! ([`Plan::executions`]), what breaks ([`Plan::faults`]) and how the rest is drawn ([`Plan::seed`]). The run
//! of a plan is a function of the plan, the library under test and this build; a plan in a file outlives the
//! generator that made it, which is why regressions are plans and not seeds.
//!
//! All times are simulated milliseconds since the start of the run, unless the name says otherwise.

mod fault;
pub mod file;
pub mod profile;
mod strategy;
pub mod token;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use fault::{CallRef, Cut, Fate, Fault};

use crate::node::Node;

/// The version of the plan's shape that this build reads and writes.
pub const SCHEMA: u32 = 1;

/// What will happen in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`SCHEMA`] of the build that wrote it.
    pub schema: u32,
    /// Draws whatever the plan leaves open: latencies, ids, the order in which ready processes run.
    pub seed: u64,
    /// The server's name for its own behaviour: `valkey-8` or `redis-7`.
    #[serde(default = "default_dialect")]
    pub dialect: String,
    /// The true time of day at the start, milliseconds since the Unix epoch. Clocks differ from it by plan.
    pub epoch_ms: u64,
    /// The run ends here at the latest; it ends sooner when every execution is terminal and all is quiet.
    pub run_for_ms: u64,
    /// Times to live, timeouts and intervals.
    pub settings: Settings,
    /// How the network behaves when nothing is broken.
    pub network: Network,
    /// Clocks that are wrong. Nodes that are absent have a true one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clocks: BTreeMap<Node, WrongClock>,
    /// The schedulers; worker asks go round them.
    pub schedulers: u16,
    /// The workers.
    pub workers: Vec<Worker>,
    /// What is submitted.
    pub executions: Vec<Execution>,
    /// What breaks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

fn default_dialect() -> String {
    valkey_sim::engine::Dialect::default().name().to_owned()
}

/// Times to live, timeouts and intervals, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many flow partitions the deployment has (FlowFabric's default is 256; fewer find work sooner).
    pub partitions: u16,
    /// How long a claim or reclaim grant lives. FlowFabric allows 1 to 60,000; 0 is issued and never exists.
    pub grant_ttl_ms: u64,
    /// How long a lease lives without renewal; workers renew every third of it.
    pub lease_ttl_ms: u64,
    /// How long a client waits for a reply before it gives the connection up.
    pub request_timeout_ms: u64,
    /// How often an idle worker asks for work.
    pub poll_ms: u64,
    /// Up to this much is added each time: workers that ask in step with each other starve whoever is last.
    #[serde(default)]
    pub poll_jitter_ms: u64,
    /// How often the lease-expiry scanner walks the partitions (FlowFabric: 1,500).
    pub lease_scan_ms: u64,
    /// How often the delayed promoter does (FlowFabric: 750).
    pub delayed_scan_ms: u64,
    /// How often the unblock scanner does (FlowFabric: 5,000).
    pub unblock_scan_ms: u64,
    /// How often the reclaimer does. No published scheduler issues reclaim grants; this one is the harness's own.
    pub reclaim_scan_ms: u64,
    /// How many times more a worker claims with a grant after a claim whose reply it lost. The published SDK
    /// does not (0); a caller who still holds the grant may.
    pub claim_again: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            partitions: 4,
            grant_ttl_ms: 2_000,
            lease_ttl_ms: 3_000,
            request_timeout_ms: 1_000,
            poll_ms: 100,
            poll_jitter_ms: 0,
            lease_scan_ms: 1_500,
            delayed_scan_ms: 750,
            unblock_scan_ms: 5_000,
            reclaim_scan_ms: 1_000,
            claim_again: 0,
        }
    }
}

/// How long a segment takes from one node to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The least it takes, microseconds.
    pub latency_us: u64,
    /// Up to this much is added, microseconds.
    pub jitter_us: u64,
    /// How many segments in a million are lost; in a stream a loss is a delay until the retransmission.
    #[serde(default)]
    pub loss_ppm: u32,
}

impl Default for Network {
    fn default() -> Self {
        Self { latency_us: 1_000, jitter_us: 500, loss_ppm: 0 }
    }
}

/// A clock that differs from the true time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrongClock {
    /// Ahead of the true time at the start, milliseconds; negative: behind.
    #[serde(default)]
    pub offset_ms: i64,
    /// Gains this many microseconds a second; negative: loses.
    #[serde(default)]
    pub drift_ppm: i32,
    /// Jumps: at a time of the run, by so many milliseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ClockStep>,
}

/// A jump of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockStep {
    /// When.
    pub at_ms: u64,
    /// By how much; negative: backwards.
    pub by_ms: i64,
}

/// A worker process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// The worker it is an instance of. Two processes may share one (`worker_id`), as replicas of a deployment do.
    pub worker_id: String,
    /// The lanes it serves, in turn.
    pub lanes: Vec<String>,
    /// What it is able to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// How many executions it works on at a time.
    pub slots: u16,
}

/// An execution to be submitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Execution {
    /// When it is submitted.
    pub at_ms: u64,
    /// The lane the submitter chose.
    pub lane: String,
    /// 0 to 9,000; more urgent first.
    #[serde(default)]
    pub priority: i32,
    /// Not to be run before this long after its submission, by the submitter's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// What a worker must be able to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// How often a failed attempt is tried again.
    #[serde(default)]
    pub max_retries: u8,
    /// What the worker does, attempt by attempt; further attempts do as the last.
    pub work: Vec<Work>,
}

/// What a worker does with an attempt. It travels in the execution's payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// How long, by the worker's clock.
    pub takes_ms: u64,
    /// How it ends.
    pub ends: Ending,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// `ff_complete_execution`.
    Complete,
    /// `ff_fail_execution`, with the execution's retry policy.
    Fail,
    /// `ff_delay_execution`, by this many milliseconds of the worker's clock; the same attempt goes on later.
    Delay(u64),
    /// `ff_cancel_execution`, under the worker's own lease.
    Cancel,
    /// The worker forgets it without a word: no renewal, no outcome.
    Vanish,
}

impl Plan {
    /// Every process of the plan.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        let schedulers = (1..=self.schedulers).map(Node::Scheduler);
        let workers = (1..=self.workers.len() as u16).map(Node::Worker);
        [Node::Valkey, Node::Submitter, Node::Scanner].into_iter().chain(schedulers).chain(workers)
    }

    /// The lanes that occur in it, in order.
    pub fn lanes(&self) -> std::collections::BTreeSet<&str> {
        let served = self.workers.iter().flat_map(|w| w.lanes.iter());
        let submitted = self.executions.iter().map(|e| &e.lane);
        served.chain(submitted).map(String::as_str).collect()
    }
}
