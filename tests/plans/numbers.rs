//! Every number that the generator draws stays in its range, and comes near both ends of it.

use std::{collections::BTreeSet, ops::RangeInclusive};

use grantsim::plan::{CallRef, Called, Ending, Fate, Fault, Plan, Retry, Terms};
use grantsim::types::Node;

use super::small_lives_of;

/// The numbers of one kind in a plan.
type Numbers = fn(&Plan) -> Vec<u64>;

/// Asserts that all are in the range, some in its lowest tenth, and some in its highest.
fn assert_spread(at: &str, range: &RangeInclusive<u64>, numbers: &[u64]) {
    let (low, high) = (*range.start(), *range.end());
    let (Some(least), Some(most)) = (numbers.iter().min(), numbers.iter().max()) else {
        panic!("{at}: never drawn");
    };
    assert!(low <= *least && *most <= high, "{at}: {least} to {most} leaves {low} to {high}");
    let tenth = (high - low) / 10;
    assert!(*least <= low + tenth, "{at}: none below {least}, of {low} to {high}");
    assert!(*most >= high - tenth, "{at}: none above {most}, of {low} to {high}");
}

const PROFILES: [&str; 11] =
    ["swarm", "calm", "race", "edge", "crash", "lossy", "life", "restart", "failover", "clock", "pct"];

/// What each profile promises, in the order of [`PROFILES`].
#[rustfmt::skip]
const SHAPES: &[(&str, Numbers, [RangeInclusive<u64>; 11])] = &[
    ("workers", |plan| vec![plan.workers.len() as u64],
        [2..=8, 2..=4, 4..=8, 2..=4, 2..=4, 2..=4, 2..=4, 2..=4, 2..=4, 2..=4, 2..=5]),
    ("schedulers", |plan| vec![plan.schedulers.len() as u64],
        [1..=3, 1..=2, 2..=3, 1..=2, 1..=2, 1..=2, 1..=2, 1..=2, 1..=2, 1..=2, 1..=2]),
    ("executions", |plan| vec![plan.executions.len() as u64],
        [10..=40, 10..=40, 3..=12, 6..=20, 8..=30, 8..=30, 8..=24, 8..=30, 8..=30, 8..=30, 3..=12]),
    ("slots", |plan| plan.workers.iter().map(|worker| worker.slots.into()).collect(),
        [1..=4, 1..=4, 2..=6, 1..=4, 1..=4, 1..=4, 1..=4, 1..=4, 1..=4, 1..=4, 1..=4]),
    ("grant_ttl_ms", |plan| vec![plan.settings.grant_ttl_ms],
        [0..=3_000, 500..=5_000, 4..=60, 0..=200, 50..=2_000, 100..=3_000, 200..=3_000, 100..=3_000, 100..=3_000, 20..=3_000, 20..=2_000]),
    ("lease_ttl_ms", |plan| vec![plan.settings.lease_ttl_ms],
        [50..=3_000, 600..=4_000, 30..=400, 10..=500, 200..=2_000, 200..=2_500, 200..=3_000, 300..=3_000, 300..=3_000, 200..=3_000, 100..=1_500]),
    ("takes_ms", |plan| works(plan, |takes_ms, _| Some(takes_ms)),
        [1..=1_500, 1..=1_500, 1..=200, 1..=600, 1..=1_500, 1..=1_500, 1..=1_500, 1..=1_500, 1..=1_500, 1..=1_500, 1..=600]),
    ("request_timeout_ms", |plan| vec![plan.settings.request_timeout_ms],
        [100..=1_000, 500..=1_000, 500..=1_000, 500..=1_000, 500..=1_000, 100..=800, 500..=1_000, 200..=800, 200..=800, 500..=1_000, 500..=1_000]),
    ("latency_us", |plan| vec![plan.network.latency_us],
        [50..=1_500, 300..=2_000, 50..=400, 50..=300, 300..=2_000, 300..=2_000, 300..=2_000, 300..=2_000, 300..=2_000, 300..=2_000, 100..=800]),
    ("jitter_us", |plan| vec![plan.network.jitter_us],
        [0..=1_500, 0..=2_000, 0..=400, 0..=100, 0..=2_000, 0..=2_000, 0..=2_000, 0..=2_000, 0..=2_000, 0..=2_000, 0..=0]),
    ("loss_ppm", |plan| vec![plan.network.loss_ppm.into()],
        [0..=20_000, 0..=0, 0..=0, 0..=0, 0..=0, 0..=20_000, 0..=0, 0..=0, 0..=0, 0..=0, 0..=0]),
    ("faults", |plan| vec![plan.faults.len() as u64],
        [0..=16, 0..=0, 0..=4, 4..=10, 2..=8, 4..=14, 0..=5, 1..=5, 1..=4, 0..=4, 0..=6]),
];

/// What is the same in all profiles; measured on swarm, which draws everything.
#[rustfmt::skip]
const COMMON: &[(&str, Numbers, RangeInclusive<u64>)] = &[
    ("at_ms", |plan| plan.executions.iter().map(|execution| execution.at_ms).collect(), 0..=2_000),
    // What is beyond is of a family of its own.
    ("priority", |plan| {
        let priorities = plan.executions.iter().map(|execution| execution.priority);
        priorities.filter(|priority| (0..=9_000).contains(priority)).map(i32::unsigned_abs).map(u64::from).collect()
    }, 0..=9_000),
    ("a deadline", |plan| terms(plan, |terms| terms.deadline_ms), 0..=6_000),
    ("an attempt timeout", |plan| terms(plan, |terms| terms.attempt_timeout_ms), 0..=2_000),
    ("a fixed delay of a retry", |plan| terms(plan, |terms| match &terms.retry {
        Some(Retry::Fixed { delay_ms, .. }) => Some(*delay_ms), _ => None,
    }), 0..=800),
    ("the first delay of a growing retry", |plan| terms(plan, |terms| match &terms.retry {
        Some(Retry::Exponential { first_ms, .. }) => Some(*first_ms), _ => None,
    }), 10..=400),
    ("a key's time", |plan| terms(plan, |terms| terms.once.as_ref().map(|once| once.ttl_ms)), 0..=60_000),
    ("how long a suspension waits", |plan| works(plan, |_, ends| match ends {
        Ending::Suspend(wait) => wait.timeout_ms, _ => None,
    }), 0..=4_000),
    ("a quota's window", |plan| plan.quotas.iter().map(|quota| quota.window_seconds).collect(), 0..=3),
    ("a budget's interval", |plan| plan.budgets.iter().map(|budget| budget.reset_every_ms).collect(), 0..=4_000),
    ("how long a worker stays registered", |plan| {
        plan.settings.registry.iter().map(|registry| registry.ttl_ms).collect()
    }, 300..=3_000),
    ("delay_ms", |plan| plan.executions.iter().filter_map(|execution| execution.delay_ms).collect(), 1..=1_500),
    ("a delay by the worker", |plan| works(plan, |_, ends| match ends {
        Ending::Delay(by_ms) => Some(by_ms),
        _ => None,
    }), 1..=800),
    ("poll_ms", |plan| vec![plan.settings.poll_ms], 100..=500),
    ("poll_jitter_ms", |plan| vec![plan.settings.poll_jitter_ms], 50..=250),
    ("unblock_scan_ms", |plan| vec![plan.settings.unblock_scan_ms], 500..=3_000),
    ("a clock's offset", |plan| clocks(plan, |clock| vec![clock.offset_ms.unsigned_abs()]), 0..=3_000),
    ("a clock's drift", |plan| clocks(plan, |clock| vec![clock.drift_ppm.unsigned_abs().into()]), 0..=500),
    ("a clock's step", |plan| clocks(plan, |clock| clock.steps.iter().map(|step| step.by_ms.unsigned_abs()).collect()),
        0..=3_000),
    ("when a clock steps", |plan| clocks(plan, |clock| clock.steps.iter().map(|step| step.at_ms).collect()), 0..=6_000),
    ("when a crash is", |plan| faults(plan, |fault| match fault {
        Fault::Crash { at_ms, .. } => Some(*at_ms), _ => None,
    }), 0..=6_000),
    ("how long a crash lasts", |plan| faults(plan, |fault| match fault {
        Fault::Crash { down_ms, .. } => Some(down_ms.expect("all come back")), _ => None,
    }), 1..=8_000),
    ("when a pause is", |plan| faults(plan, |fault| match fault {
        Fault::Pause { at_ms, .. } => Some(*at_ms), _ => None,
    }), 0..=6_000),
    ("how long a pause lasts", |plan| faults(plan, |fault| match fault {
        Fault::Pause { for_ms, .. } => Some(*for_ms), _ => None,
    }), 1..=8_000),
    ("when a partition is", |plan| faults(plan, |fault| match fault {
        Fault::Partition { at_ms, .. } => Some(*at_ms), _ => None,
    }), 0..=6_000),
    ("how long a partition lasts", |plan| faults(plan, |fault| match fault {
        Fault::Partition { for_ms, .. } => Some(*for_ms), _ => None,
    }), 1..=5_000),
    ("how late a request is", |plan| faults(plan, |fault| match fault {
        Fault::DelayRequest { by_ms, .. } => Some(*by_ms), _ => None,
    }), 1..=6_000),
    ("when a request is repeated", |plan| faults(plan, |fault| match fault {
        Fault::RepeatRequest { after_ms, .. } => Some(*after_ms), _ => None,
    }), 1..=6_000),
    ("how late a message is", |plan| faults(plan, |fault| match fault {
        Fault::GrantMessage { fate: Fate::Delay(by_ms), .. } => Some(*by_ms), _ => None,
    }), 1..=5_000),
    ("when a message is doubled", |plan| faults(plan, |fault| match fault {
        Fault::GrantMessage { fate: Fate::Twice(after_ms), .. } => Some(*after_ms), _ => None,
    }), 0..=3_000),
    ("the n-th call of a worker", |plan| calls(plan, |call| matches!(call.node, Some(Node::Worker(_)))), 1..=6),
    ("the n-th call of a scheduler", |plan| calls(plan, |call| matches!(call.node, Some(Node::Scheduler(_)))), 1..=10),
    ("the n-th call of the scanner", |plan| calls(plan, |call| call.node == Some(Node::Scanner)), 1..=4),
    ("the n-th call about an execution", |plan| calls(plan, |call| call.execution.is_some()), 1..=3),
    ("the n-th claim at its expiry", |plan| claims(plan, |call| call.node.is_some()), 1..=8),
    ("the n-th claim of an execution at its expiry", |plan| claims(plan, |call| call.execution.is_some()), 1..=3),
    ("the n-th message of a node", |plan| faults(plan, |fault| match fault {
        Fault::GrantMessage { from: Some(_), nth, .. } => Some((*nth).into()), _ => None,
    }), 1..=12),
    ("the n-th message about an execution", |plan| faults(plan, |fault| match fault {
        Fault::GrantMessage { execution: Some(_), nth, .. } => Some((*nth).into()), _ => None,
    }), 1..=3),
];

fn terms(plan: &Plan, number: fn(&Terms) -> Option<u64>) -> Vec<u64> {
    plan.executions.iter().filter_map(|execution| number(&execution.terms)).collect()
}

fn works(plan: &Plan, number: fn(u64, Ending) -> Option<u64>) -> Vec<u64> {
    let works = plan.executions.iter().flat_map(|execution| &execution.work);
    works.filter_map(|work| number(work.takes_ms, work.ends)).collect()
}

fn clocks(plan: &Plan, numbers: fn(&grantsim::plan::WrongClock) -> Vec<u64>) -> Vec<u64> {
    plan.clocks.values().flat_map(numbers).collect()
}

fn faults(plan: &Plan, number: fn(&Fault) -> Option<u64>) -> Vec<u64> {
    plan.faults.iter().filter_map(number).collect()
}

/// Calls that are lost, late or repeated.
fn calls(plan: &Plan, is_meant: fn(&CallRef) -> bool) -> Vec<u64> {
    let others = plan.faults.iter().filter(|fault| !matches!(fault, Fault::AtDeadline { .. }));
    others.filter_map(Fault::call).filter(|call| is_meant(call)).map(|call| call.nth.into()).collect()
}

fn claims(plan: &Plan, is_meant: fn(&CallRef) -> bool) -> Vec<u64> {
    let claims = plan.faults.iter().filter(|fault| matches!(fault, Fault::AtDeadline { .. }));
    let claims = claims.filter_map(Fault::call).filter(|call| call.function == Called::Claim);
    claims.filter(|call| is_meant(call)).map(|call| call.nth.into()).collect()
}

#[test]
fn profiles_keep_to_their_shapes_and_fill_them() {
    let every: BTreeSet<&str> =
        grantsim::plan::profile::PROFILES.iter().map(|profile| profile.name).collect();
    assert_eq!(every, BTreeSet::from(PROFILES), "a profile without a column here");
    for (place, profile) in PROFILES.iter().enumerate() {
        let plans = small_lives_of(profile);
        for (name, numbers, ranges) in SHAPES {
            let drawn: Vec<u64> = plans.iter().flat_map(numbers).collect();
            assert_spread(&format!("{profile}: {name}"), &ranges[place], &drawn);
        }
    }
}

#[test]
fn only_pct_goes_by_priority_and_there_everybody_has_a_place_and_some_fall_behind() {
    for profile in PROFILES.iter().filter(|profile| **profile != "pct") {
        assert!(small_lives_of(profile).iter().all(|plan| plan.priorities.is_none()), "{profile}");
    }
    let (mut steps, mut turns, mut firsts) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut falls = BTreeSet::new();
    for plan in small_lives_of("pct") {
        // Those that the families bring along are first.
        let is_placed = |node: &Node| !matches!(node, Node::Valkey | Node::Operator | Node::SecondScanner);
        let senders: Vec<Node> = plan.nodes().filter(is_placed).collect();
        let priorities = plan.priorities.expect("it goes by priority");
        steps.push(priorities.step_us);
        let first: BTreeSet<(u32, Node)> =
            senders.iter().map(|node| (priorities.places[node][&1], *node)).collect();
        let places: Vec<u32> = first.iter().map(|(place, _)| *place).collect();
        assert_eq!(places, (0..senders.len() as u32).collect::<Vec<_>>(), "a place each: {first:?}");
        firsts.extend(first.first().map(|(_, node)| *node));
        let later = priorities.places.values().flat_map(|places| places.range(2..));
        let later: Vec<(u64, u32)> = later.map(|(nth, place)| (*nth, *place)).collect();
        assert!(later.iter().all(|(_, place)| *place as usize >= senders.len()), "{later:?}");
        turns.extend(later.iter().map(|(nth, _)| *nth));
        falls.insert(later.len());
    }
    assert_spread("step_us", &(500..=3_000), &steps);
    assert_spread("the request at which a node falls behind", &(2..=60), &turns);
    assert_eq!(falls, (0..=3).collect(), "so many fall behind");
    let somebody = [Node::Submitter, Node::Scanner, Node::Scheduler(1), Node::Worker(1)];
    assert!(somebody.iter().all(|node| firsts.contains(node)), "first are only {firsts:?}");
}

#[test]
fn what_no_shape_says_is_the_same_everywhere() {
    let plans = small_lives_of("swarm");
    for (name, numbers, range) in COMMON {
        let drawn: Vec<u64> = plans.iter().flat_map(numbers).collect();
        assert_spread(name, range, &drawn);
    }
    for plan in &plans {
        assert_eq!(
            (plan.epoch_ms, plan.run_for_ms, plan.dialect.name()),
            (1_735_689_600_000, 30_000, "valkey-8")
        );
    }
}
