//! proptest strategies: plans of a given shape.
//!
//! A [`Shape`] says how big, how hurried and how broken a deployment is; [`plans`] turns it into a strategy.
//! Profiles are shapes with names ([`super::profile`]). `tests/plans.rs` holds the generator to what it says here:
//! every row is met, by number.
//!
//! The small life of grants and leases is drawn first, and is the same plan whatever is drawn after it: what the
//! [`Families`] of a shape add comes on top.

mod deeds;
mod families;
mod faults;
mod weights;
mod workload;

use std::{collections::BTreeMap, ops::RangeInclusive};

use proptest::{collection::vec, option, prelude::*, sample::subsequence};
use valkey_sim::engine::Dialect;

use super::{
    ClockStep, Ending, Execution, Network, Plan, Priorities, SCHEMA, Settings, Terms, Work, Worker,
    WrongClock,
};
use crate::types::{ExecutionName, FaultClass, Label, Node};

pub(super) use families::{Families, Family};
pub(super) use faults::Budget;
pub(super) use weights::Weights;

/// 2025-01-01: the hour is of no importance, that it is the same in every run is.
const EPOCH_MS: u64 = 1_735_689_600_000;
/// Faults begin within this time; what they leave behind has the rest of the run to mend.
const FAULTS_WITHIN_MS: u64 = 6_000;
/// Long enough for whatever the faults left behind to mend.
const RUN_FOR_MS: u64 = 30_000;
/// At which of its requests a node falls behind, and how often one does: orders for which one thing more than that must come in
/// a certain sequence are met for sure, sooner or later.
const TURNS: RangeInclusive<u64> = 2..=60;
const MOST_TURNS: usize = 3;
/// A round trip of the shapes that go by priority, more or less.
const STEP_US: RangeInclusive<u64> = 500..=3_000;
const LANES: [&str; 3] = ["gold", "silver", "bronze"];
const CAPABILITIES: [&str; 2] = ["gpu", "eu"];

/// How big, how hurried and how broken.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub workers: RangeInclusive<usize>,
    pub schedulers: RangeInclusive<u16>,
    pub executions: RangeInclusive<usize>,
    pub slots: RangeInclusive<u16>,
    pub grant_ttl_ms: Vec<RangeInclusive<u64>>,
    pub lease_ttl_ms: RangeInclusive<u64>,
    pub work_ms: RangeInclusive<u64>,
    pub request_timeout_ms: RangeInclusive<u64>,
    pub latency_us: RangeInclusive<u64>,
    pub jitter_us: RangeInclusive<u64>,
    pub loss_ppm: RangeInclusive<u32>,
    pub faults: RangeInclusive<usize>,
    /// How often each class of fault is drawn.
    pub weights: Weights,
    /// How much of each class there is at most.
    pub budget: Budget,
    /// Clocks are up to this far off, milliseconds; 0: all are true.
    pub skew_ms: i64,
    /// Whether priorities order what is sent, in the place of random latencies.
    pub by_priority: bool,
    /// Which families of workload are drawn on top of the small life.
    pub families: BoxedStrategy<Families>,
}

/// Who takes part and what there is to do, by name: what faults and clocks may refer to.
#[derive(Clone, Debug)]
struct Cast {
    schedulers: Vec<Node>,
    workers: Vec<Worker>,
    executions: Vec<ExecutionName>,
    /// Whether there is anything for an operator to do.
    has_operator: bool,
}

impl Cast {
    fn workers(&self) -> Vec<Node> {
        self.workers.iter().map(|worker| worker.name).collect()
    }

    /// The processes that may fail. What fails of the server are faults of their own, and the operator's come with his deeds.
    fn fallible(&self) -> Vec<Node> {
        let mut nodes = self.workers();
        nodes.extend(&self.schedulers);
        nodes.extend([Node::Scanner, Node::Submitter]);
        nodes
    }
}

/// Plans of a shape: the small life, and what its families add.
pub(super) fn plans(shape: Shape) -> impl Strategy<Value = Plan> {
    let families = shape.families.clone();
    small_life(shape).prop_flat_map(move |plan| {
        families.clone().prop_flat_map(move |families| grown(plan.clone(), &families))
    })
}

/// A plan with what its families add. Each draws after those before it, so that none moves the dice of another.
fn grown(plan: Plan, families: &Families) -> BoxedStrategy<Plan> {
    if families.is_empty() {
        return Just(plan).boxed();
    }
    let families = families.clone();
    let of_workload = families.clone();
    in_flows(plan, &families)
        .prop_flat_map(move |plan| workload::workload(plan, &of_workload))
        .prop_flat_map(move |plan| with_deeds(plan, &families))
        .boxed()
}

/// Some of the executions live in the partition of a flow: those that become its members.
fn in_flows(plan: Plan, families: &Families) -> BoxedStrategy<Plan> {
    if !families.has(Family::Flows) {
        return Just(plan).boxed();
    }
    let flow =
        prop_oneof![4 => Just(Some(deeds::FLOWS[0])), 1 => Just(Some(deeds::FLOWS[1])), 5 => Just(None)];
    vec(flow, plan.executions.len())
        .prop_map(move |flows| {
            let mut plan = plan.clone();
            for (execution, flow) in plan.executions.iter_mut().zip(flows) {
                execution.flow = flow.map(Label::from);
            }
            plan
        })
        .boxed()
}

/// Deeds, what befalls the one who carries them out, and what hostile callers do.
fn with_deeds(plan: Plan, families: &Families) -> BoxedStrategy<Plan> {
    let is_hostile = families.has(Family::Hostile);
    deeds::deeds(&plan, families)
        .prop_flat_map(move |deeds| {
            let plan = Plan { deeds, ..plan.clone() };
            let cast = Cast {
                schedulers: plan.schedulers.clone(),
                workers: plan.workers.clone(),
                executions: plan.executions.iter().map(|execution| execution.name.clone()).collect(),
                has_operator: !plan.deeds.is_empty(),
            };
            // Where nothing breaks, nothing does for the operator.
            let of_the_operator = match cast.has_operator && !plan.faults.is_empty() {
                true => faults::of_the_operator(&plan).boxed(),
                false => Just(Vec::new()).boxed(),
            };
            let hostile = if is_hostile { faults::hostile(&cast).boxed() } else { Just(Vec::new()).boxed() };
            (of_the_operator, hostile).prop_map(move |(of_the_operator, hostile)| {
                let mut plan = plan.clone();
                plan.faults.extend(of_the_operator.into_iter().chain(hostile));
                plan
            })
        })
        .boxed()
}

/// Plans of grants and leases only.
fn small_life(shape: Shape) -> impl Strategy<Value = Plan> {
    cast(&shape).prop_flat_map(move |cast| {
        let parts = (
            vec(execution(&cast, &shape), cast.executions.len()),
            faults::faults(&cast, &shape),
            settings(&shape),
            network(&shape),
            clocks(&cast, &shape),
            replicated(&shape),
            any::<u64>().no_shrink(),
            priorities(&cast, &shape),
        );
        let budget = shape.budget;
        parts.prop_map(move |drawn| {
            let (mut executions, faults, settings, network, clocks, replicated, seed, priorities) = drawn;
            let (wait_ms, replica_lag_s) = replicated;
            let settings = Settings { wait_ms, replica_lag_s, ..settings };
            let faults = faults::within(budget, faults, &settings);
            // Where something happens to the library, it does so in half of the runs by those who start, too.
            let is_loaded = faults.iter().any(|fault| fault.class() == FaultClass::Library);
            let settings = Settings { workers_load: is_loaded && seed % 2 == 0, ..settings };
            for (execution, name) in executions.iter_mut().zip(&cast.executions) {
                execution.name = name.clone();
            }
            Plan {
                schema: SCHEMA,
                seed,
                dialect: Dialect::default(),
                epoch_ms: EPOCH_MS,
                run_for_ms: RUN_FOR_MS,
                heals: true,
                settings,
                network,
                clocks,
                schedulers: cast.schedulers.clone(),
                workers: cast.workers.clone(),
                executions,
                scanners: 1,
                budgets: Vec::new(),
                quotas: Vec::new(),
                faults,
                deeds: Vec::new(),
                calls: Vec::new(),
                arrivals: BTreeMap::new(),
                priorities,
            }
        })
    })
}

fn cast(shape: &Shape) -> impl Strategy<Value = Cast> + use<> {
    let schedulers = shape.schedulers.clone().prop_map(|number| (1..=number).map(Node::Scheduler).collect());
    let executions =
        shape.executions.clone().prop_map(|number| (1..=number).map(ExecutionName::nth).collect());
    (schedulers, workers(shape), executions).prop_map(|(schedulers, workers, executions)| Cast {
        schedulers,
        workers,
        executions,
        has_operator: false,
    })
}

fn workers(shape: &Shape) -> impl Strategy<Value = Vec<Worker>> + use<> {
    let worker = (
        subsequence(LANES.to_vec(), 1..=LANES.len()).prop_shuffle(),
        subsequence(CAPABILITIES.to_vec(), 0..=CAPABILITIES.len()),
        shape.slots.clone(),
        prop::bool::weighted(0.2),
    );
    vec(worker, shape.workers.clone()).prop_map(|drawn| {
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let mut workers: Vec<Worker> = Vec::new();
        for (number, (lanes, capabilities, slots, twin)) in (1..).zip(drawn) {
            // A twin is another process of the worker before it, as replicas of a deployment are.
            let worker_id = match workers.last() {
                Some(before) if twin => before.worker_id.clone(),
                _ => format!("w{number}"),
            };
            workers.push(Worker {
                name: Node::Worker(number),
                worker_id,
                lanes: owned(lanes),
                capabilities: owned(capabilities),
                slots,
                same_instance: false,
            });
        }
        workers
    })
}

/// An execution that one of the workers, at least, is able to do. Its name is given later.
fn execution(cast: &Cast, shape: &Shape) -> impl Strategy<Value = Execution> + use<> {
    let workers = cast.workers.clone();
    let drawn = (
        0..workers.len(),
        any::<prop::sample::Index>(),
        0..=2_000u64,
        prop_oneof![3 => Just(0), 1 => 0..=9_000i32],
        option::weighted(0.15, 1..=1_500u64),
        prop::bool::weighted(0.1),
        0..=2u8,
        works(shape),
    );
    drawn.prop_map(move |(worker, lane, at_ms, priority, delay_ms, demanding, max_retries, work)| {
        let able = &workers[worker];
        Execution {
            name: super::reading::unnamed_execution(),
            at_ms,
            lane: lane.get(&able.lanes).clone(),
            flow: None,
            priority,
            delay_ms,
            capabilities: if demanding { able.capabilities.clone() } else { Vec::new() },
            max_retries,
            terms: Terms::default(),
            work,
        }
    })
}

fn works(shape: &Shape) -> impl Strategy<Value = Vec<Work>> + use<> {
    let takes = shape.work_ms.clone();
    let on_the_way = prop_oneof![
        3 => Just(Ending::Fail),
        3 => Just(Ending::Vanish),
        2 => (1..=800u64).prop_map(Ending::Delay),
        1 => Just(Ending::Complete),
    ];
    let at_last =
        prop_oneof![8 => Just(Ending::Complete), 1 => Just(Ending::Fail), 1 => Just(Ending::Cancel)];
    let before = vec((takes.clone(), on_the_way), 0..=2);
    (prop_oneof![2 => Just(Vec::new()).boxed(), 1 => before.boxed()], (takes, at_last)).prop_map(
        |(before, last)| {
            before.into_iter().chain([last]).map(|(takes_ms, ends)| Work::new(takes_ms, ends)).collect()
        },
    )
}

fn settings(shape: &Shape) -> impl Strategy<Value = Settings> + use<> {
    let grant_ttl_ms = prop::strategy::Union::new(shape.grant_ttl_ms.iter().cloned().map(Strategy::boxed));
    let drawn = (
        grant_ttl_ms,
        shape.lease_ttl_ms.clone(),
        shape.request_timeout_ms.clone(),
        // Most of what a run costs is idle polling, a partition at a time: a few of both are as good as many.
        prop_oneof![Just(1u16), Just(2), Just(4)],
        100..=500u64,
        prop_oneof![2 => Just(0u8), 1 => 1..=2u8],
        500..=3_000u64,
    );
    drawn.prop_map(|drawn| {
        let (
            grant_ttl_ms,
            lease_ttl_ms,
            request_timeout_ms,
            partitions,
            poll_ms,
            claim_again,
            unblock_scan_ms,
        ) = drawn;
        Settings {
            grant_ttl_ms,
            lease_ttl_ms,
            request_timeout_ms,
            partitions,
            poll_ms,
            poll_jitter_ms: poll_ms / 2,
            claim_again,
            unblock_scan_ms,
            ..Settings::default()
        }
    })
}

/// How a deployment that may fail over guards itself: its clients wait for the replica, its server needs one, or neither.
/// That clients wait for the disk is for plans of one's own: a scan of calls that take a second each is none.
fn replicated(shape: &Shape) -> BoxedStrategy<(Option<u64>, Option<u64>)> {
    let fails_over = |class| matches!(class, FaultClass::Failover | FaultClass::SplitBrain);
    if !shape.weights.drawn().any(|(class, _)| fails_over(class)) {
        return Just((None, None)).boxed();
    }
    let waits = prop_oneof![
        5 => Just((None, None)),
        2 => (20..=400u64).prop_map(|ms| (Some(ms), None)),
        1 => (1..=2u64).prop_map(|seconds| (None, Some(seconds))),
    ];
    waits.boxed()
}

fn network(shape: &Shape) -> impl Strategy<Value = Network> + use<> {
    (shape.latency_us.clone(), shape.jitter_us.clone(), shape.loss_ppm.clone())
        .prop_map(|(latency_us, jitter_us, loss_ppm)| Network { latency_us, jitter_us, loss_ppm })
}

/// Everybody has a place, and some fall behind all others at one of their requests.
fn priorities(cast: &Cast, shape: &Shape) -> BoxedStrategy<Option<Priorities>> {
    if !shape.by_priority {
        return Just(None).boxed();
    }
    let nodes = cast.fallible();
    let turns = vec((prop::sample::select(nodes.clone()), TURNS), 0..=MOST_TURNS);
    let drawn = (Just(nodes).prop_shuffle(), turns, STEP_US);
    let priorities = drawn.prop_map(|(nodes, turns, step_us)| {
        let mut places: BTreeMap<Node, BTreeMap<u64, u32>> =
            nodes.into_iter().zip(0..).map(|(node, place)| (node, [(1, place)].into())).collect();
        for ((node, nth), place) in turns.into_iter().zip(places.len() as u32..) {
            places.entry(node).or_default().insert(nth, place);
        }
        Some(Priorities { step_us, places })
    });
    priorities.boxed()
}

fn clocks(cast: &Cast, shape: &Shape) -> BoxedStrategy<BTreeMap<Node, WrongClock>> {
    let skew = shape.skew_ms;
    if skew == 0 {
        return Just(BTreeMap::new()).boxed();
    }
    let step = (0..=FAULTS_WITHIN_MS, -skew..=skew).prop_map(|(at_ms, by_ms)| ClockStep { at_ms, by_ms });
    let clock = (-skew..=skew, -500..=500i32, vec(step, 0..=1))
        .prop_map(|(offset_ms, drift_ppm, steps)| WrongClock { offset_ms, drift_ppm, steps });
    let nodes = [cast.fallible(), vec![Node::Valkey]].concat();
    prop::collection::btree_map(prop::sample::select(nodes), clock, 0..=3).boxed()
}
