//! proptest strategies: plans of a given shape.
//!
//! A [`Shape`] says how big, how hurried and how broken a deployment is; [`plans`] turns it into a strategy.
//! Profiles are shapes with names ([`super::profile`]).

use std::{collections::BTreeMap, ops::RangeInclusive};

use proptest::{collection::vec, option, prelude::*, sample::subsequence};

use super::{
    CallRef, ClockStep, Cut, Ending, Execution, Fate, Fault, Network, Plan, SCHEMA, Settings, Work, Worker,
    WrongClock,
};
use crate::node::Node;

/// 2025-01-01: the hour is of no importance, that it is the same in every run is.
const EPOCH_MS: u64 = 1_735_689_600_000;
/// Faults begin within this time; what they leave behind has the rest of the run to mend.
const FAULTS_WITHIN_MS: u64 = 6_000;
/// Long enough for whatever the faults left behind to mend.
const RUN_FOR_MS: u64 = 30_000;
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
    /// How often each kind of fault is drawn; those with weight 0 never are.
    pub weights: Weights,
    /// Clocks are up to this far off, milliseconds; 0: all are true.
    pub skew_ms: i64,
}

/// How often each kind of fault is drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weights {
    pub crash: u32,
    pub pause: u32,
    pub partition: u32,
    pub lose_request: u32,
    pub lose_reply: u32,
    pub delay_request: u32,
    pub repeat_request: u32,
    pub claim_at_expiry: u32,
    pub grant_message: u32,
}

/// Who takes part: what faults and executions may refer to.
#[derive(Clone, Debug)]
struct Cast {
    schedulers: u16,
    workers: Vec<Worker>,
}

/// Plans of a shape.
pub(super) fn plans(shape: Shape) -> impl Strategy<Value = Plan> {
    cast(&shape).prop_flat_map(move |cast| {
        let parts = (
            vec(execution(&cast, &shape), shape.executions.clone()),
            faults(&cast, &shape),
            settings(&shape),
            network(&shape),
            clocks(&cast, &shape),
            any::<u64>().no_shrink(),
        );
        parts.prop_map(move |(executions, faults, settings, network, clocks, seed)| Plan {
            schema: SCHEMA,
            seed,
            dialect: super::default_dialect(),
            epoch_ms: EPOCH_MS,
            run_for_ms: RUN_FOR_MS,
            settings,
            network,
            clocks,
            schedulers: cast.schedulers,
            workers: cast.workers.clone(),
            executions,
            faults,
        })
    })
}

fn cast(shape: &Shape) -> impl Strategy<Value = Cast> + use<> {
    let worker = (
        subsequence(LANES.to_vec(), 1..=LANES.len()).prop_shuffle(),
        subsequence(CAPABILITIES.to_vec(), 0..=CAPABILITIES.len()),
        shape.slots.clone(),
        prop::bool::weighted(0.2),
    );
    (shape.schedulers.clone(), vec(worker, shape.workers.clone())).prop_map(|(schedulers, drawn)| {
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let mut workers: Vec<Worker> = Vec::new();
        for (i, (lanes, capabilities, slots, twin)) in drawn.into_iter().enumerate() {
            // A twin is another process of the worker before it, as replicas of a deployment are.
            let worker_id = match workers.last() {
                Some(before) if twin => before.worker_id.clone(),
                _ => format!("w{}", i + 1),
            };
            workers.push(Worker { worker_id, lanes: owned(lanes), capabilities: owned(capabilities), slots });
        }
        Cast { schedulers, workers }
    })
}

/// An execution that one of the workers, at least, is able to do.
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
            at_ms,
            lane: lane.get(&able.lanes).clone(),
            priority,
            delay_ms,
            capabilities: if demanding { able.capabilities.clone() } else { Vec::new() },
            max_retries,
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
            before.into_iter().chain([last]).map(|(takes_ms, ends)| Work { takes_ms, ends }).collect()
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

fn network(shape: &Shape) -> impl Strategy<Value = Network> + use<> {
    (shape.latency_us.clone(), shape.jitter_us.clone(), shape.loss_ppm.clone())
        .prop_map(|(latency_us, jitter_us, loss_ppm)| Network { latency_us, jitter_us, loss_ppm })
}

fn clocks(cast: &Cast, shape: &Shape) -> BoxedStrategy<BTreeMap<Node, WrongClock>> {
    let skew = shape.skew_ms;
    if skew == 0 {
        return Just(BTreeMap::new()).boxed();
    }
    let step = (0..=FAULTS_WITHIN_MS, -skew..=skew).prop_map(|(at_ms, by_ms)| ClockStep { at_ms, by_ms });
    let clock = (-skew..=skew, -500..=500i32, vec(step, 0..=1))
        .prop_map(|(offset_ms, drift_ppm, steps)| WrongClock { offset_ms, drift_ppm, steps });
    let mut nodes = vec![Node::Valkey, Node::Scanner, Node::Submitter];
    nodes.extend(cast.worker_nodes());
    nodes.extend(cast.scheduler_nodes());
    prop::collection::btree_map(prop::sample::select(nodes), clock, 0..=3).boxed()
}

impl Cast {
    fn worker_nodes(&self) -> impl Iterator<Item = Node> + use<> {
        (1..=self.workers.len() as u16).map(Node::Worker)
    }

    fn scheduler_nodes(&self) -> impl Iterator<Item = Node> + use<> {
        (1..=self.schedulers).map(Node::Scheduler)
    }
}

fn faults(cast: &Cast, shape: &Shape) -> BoxedStrategy<Vec<Fault>> {
    let workers: Vec<Node> = cast.worker_nodes().collect();
    let schedulers: Vec<Node> = cast.scheduler_nodes().collect();
    let everyone: Vec<Node> = workers.iter().chain(&schedulers).copied().chain([Node::Scanner]).collect();
    let any_of = |nodes: &[Node]| prop::sample::select(nodes.to_vec());
    let at = 0..=FAULTS_WITHIN_MS;
    let call = call(&workers, &schedulers);
    let w = shape.weights;

    let crash = (any_of(&everyone), at.clone(), option::weighted(0.8, 1..=4_000u64))
        .prop_map(|(node, at_ms, down_ms)| Fault::Crash { node, at_ms, down_ms: down_ms.or(Some(8_000)) });
    let pause = (any_of(&everyone), at.clone(), 1..=8_000u64)
        .prop_map(|(node, at_ms, for_ms)| Fault::Pause { node, at_ms, for_ms });
    let cut = prop_oneof![Just(Cut::Both), Just(Cut::AToB), Just(Cut::BToA)];
    let partition = (any_of(&everyone), any_of(&everyone), at, 1..=5_000u64, cut, prop::bool::weighted(0.8))
        .prop_map(|(a, b, at_ms, for_ms, cut, from_server)| {
            let b = if from_server || a == b { Node::Valkey } else { b };
            Fault::Partition { a, b, at_ms, for_ms, cut }
        });
    let lose_request = call.clone().prop_map(|call| Fault::LoseRequest { call });
    let lose_reply = call.clone().prop_map(|call| Fault::LoseReply { call });
    let delay_request =
        (call.clone(), 1..=6_000u64).prop_map(|(call, by_ms)| Fault::DelayRequest { call, by_ms });
    let repeat_request =
        (call, 1..=6_000u64).prop_map(|(call, after_ms)| Fault::RepeatRequest { call, after_ms });
    let claim_at_expiry = (any_of(&workers), 1..=8u32, -1..=1i64).prop_map(|(node, nth, offset_ms)| {
        Fault::ClaimAtExpiry { call: CallRef { node, function: "claim".to_owned(), nth }, offset_ms }
    });
    let fate = prop_oneof![
        Just(Fate::Drop),
        (1..=5_000u64).prop_map(Fate::Delay),
        (0..=3_000u64).prop_map(Fate::Twice)
    ];
    let senders: Vec<Node> = schedulers.iter().copied().chain([Node::Scanner]).collect();
    let grant_message = (any_of(&senders), 1..=12u32, fate)
        .prop_map(|(from, nth, fate)| Fault::GrantMessage { from, nth, fate });

    let kinds: Vec<(u32, BoxedStrategy<Fault>)> = [
        (w.crash, crash.boxed()),
        (w.pause, pause.boxed()),
        (w.partition, partition.boxed()),
        (w.lose_request, lose_request.boxed()),
        (w.lose_reply, lose_reply.boxed()),
        (w.delay_request, delay_request.boxed()),
        (w.repeat_request, repeat_request.boxed()),
        (w.claim_at_expiry, claim_at_expiry.boxed()),
        (w.grant_message, grant_message.boxed()),
    ]
    .into_iter()
    .filter(|(weight, _)| *weight > 0)
    .collect();
    if kinds.is_empty() {
        return Just(Vec::new()).boxed();
    }
    vec(prop::strategy::Union::new_weighted(kinds), shape.faults.clone()).boxed()
}

/// A call that a fault may hit: one of those whose loss matters.
fn call(workers: &[Node], schedulers: &[Node]) -> BoxedStrategy<CallRef> {
    let of_a_worker = prop::sample::select(vec![
        "claim",
        "claim",
        "ff_renew_lease",
        "ff_complete_execution",
        "ff_fail_execution",
        "ff_delay_execution",
        "ff_cancel_execution",
        "ff_claim_resumed_execution",
        "ff_reclaim_execution",
    ]);
    let worker = (prop::sample::select(workers.to_vec()), of_a_worker, 1..=6u32);
    let scheduler = (prop::sample::select(schedulers.to_vec()), Just("ff_issue_claim_grant"), 1..=10u32);
    let scanner = prop::sample::select(vec!["ff_issue_reclaim_grant", "ff_mark_lease_expired_if_due"]);
    let scanner = (Just(Node::Scanner), scanner, 1..=4u32);
    prop_oneof![6 => worker, 2 => scheduler, 1 => scanner]
        .prop_map(|(node, function, nth)| CallRef { node, function: function.to_owned(), nth })
        .boxed()
}
