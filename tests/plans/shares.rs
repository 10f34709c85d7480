//! How often: what is drawn with a weight is drawn about as often as the weight says.

use grantsim::{
    plan::{Cut, Ending, Execution, Fate, Fault, Plan},
    types::{FaultClass, Node},
};

use super::small_lives_of;

/// For each thing that could be so, whether it is.
type Chances = fn(&Plan) -> Vec<bool>;

/// A profile, what to count in its plans, and its share in a hundred. A share may be off by a quarter of itself and two
/// points.
#[rustfmt::skip]
const SHARES: &[(&str, &str, u32, Chances)] = &[
    ("calm", "executions with a priority", 25,
        |plan| plan.executions.iter().map(|execution| execution.priority > 0).collect()),
    ("calm", "executions with a delay", 15,
        |plan| plan.executions.iter().map(|execution| execution.delay_ms.is_some()).collect()),
    // A tenth ask for all that their worker can do, which for a third of the workers is nothing.
    ("calm", "executions that ask for a capability", 7,
        |plan| plan.executions.iter().map(|execution| !execution.capabilities.is_empty()).collect()),
    ("calm", "twins", 20,
        |plan| plan.workers.windows(2).map(|pair| pair[0].worker_id == pair[1].worker_id).collect()),
    ("calm", "executions of one attempt", 78,
        |plan| plan.executions.iter().map(|execution| execution.work.len() == 1).collect()),
    ("calm", "plans whose workers claim again", 33, |plan| vec![plan.settings.claim_again > 0]),
    ("calm", "plans with one partition", 33, |plan| vec![plan.settings.partitions == 1]),
    ("edge", "plans whose grants never exist", 20, |plan| vec![plan.settings.grant_ttl_ms == 0]),
    ("edge", "plans whose grants live 1 ms", 20, |plan| vec![plan.settings.grant_ttl_ms == 1]),
    ("edge", "faults at the expiry", 89, |plan| of_class(plan, FaultClass::AtDeadline)),
    ("edge", "claims in the last valid millisecond", 33, |plan| offsets(plan, 0)),
    ("edge", "claims a millisecond late", 33, |plan| offsets(plan, 1)),
    ("edge", "claims a millisecond early", 33, |plan| offsets(plan, -1)),
    ("crash", "faults that are crashes", 44, |plan| of_class(plan, FaultClass::Crash)),
    ("crash", "faults that are pauses", 44, |plan| of_class(plan, FaultClass::Pause)),
    ("crash", "crashes of 8 s", 20, |plan| some(plan, |fault| match fault {
        Fault::Crash { down_ms, .. } => Some(*down_ms == Some(8_000)), _ => None,
    })),
    ("race", "faults of grant messages", 60, |plan| of_class(plan, FaultClass::GrantMessage)),
    ("lossy", "faults of replies", 25, |plan| of_class(plan, FaultClass::LostReply)),
    ("lossy", "faults of requests", 13, |plan| of_class(plan, FaultClass::LostRequest)),
    ("lossy", "late requests", 25, |plan| of_class(plan, FaultClass::LateRequest)),
    ("lossy", "repeated requests", 19, |plan| of_class(plan, FaultClass::RepeatedRequest)),
    ("lossy", "partitions", 13, |plan| of_class(plan, FaultClass::Partition)),
    ("lossy", "partitions from the server", 83, |plan| some(plan, |fault| match fault {
        Fault::Partition { b, .. } => Some(*b == Node::Valkey), _ => None,
    })),
    ("lossy", "partitions both ways", 33, |plan| some(plan, |fault| match fault {
        Fault::Partition { cut, .. } => Some(*cut == Cut::Both), _ => None,
    })),
    ("lossy", "faults of calls that name an execution", 50, |plan| some(plan, |fault| {
        Some(fault.call()?.execution.is_some())
    })),
    ("edge", "claims at the expiry that name an execution", 50, |plan| some(plan, |fault| {
        Some(fault.call()?.execution.is_some())
    })),
    ("race", "messages that name an execution", 50, |plan| some(plan, |fault| match fault {
        Fault::GrantMessage { execution, .. } => Some(execution.is_some()), _ => None,
    })),
    ("race", "messages that are dropped", 33, |plan| some(plan, |fault| match fault {
        Fault::GrantMessage { fate, .. } => Some(*fate == Fate::Drop), _ => None,
    })),
    ("lossy", "calls of workers", 67, |plan| some(plan, |fault| {
        Some(matches!(fault.call()?.node?, Node::Worker(_)))
    })),
    ("lossy", "calls that claim", 15, |plan| some(plan, |fault| {
        Some(fault.call()?.function.as_str() == "claim")
    })),
    ("life", "executions with a deadline", 15,
        |plan| of_executions(plan, |execution| execution.terms.deadline_ms.is_some())),
    ("life", "executions with an attempt timeout", 20,
        |plan| of_executions(plan, |execution| execution.terms.attempt_timeout_ms.is_some())),
    // Two in five of Timing, and one in ten of what is left by somebody hostile.
    ("life", "executions with a retry policy", 46,
        |plan| of_executions(plan, |execution| execution.terms.retry.is_some())),
    ("life", "executions with a cap on reclaims", 25,
        |plan| of_executions(plan, |execution| execution.terms.max_reclaims.is_some())),
    ("life", "executions with an idempotency key", 15,
        |plan| of_executions(plan, |execution| execution.terms.once.is_some())),
    ("life", "executions that are suspended", 35, |plan| of_executions(plan, |execution| {
        execution.work.iter().any(|work| matches!(work.ends, Ending::Suspend(_)))
    })),
    ("life", "executions that wait for children", 15, |plan| of_executions(plan, |execution| {
        execution.work.iter().any(|work| work.ends == Ending::WaitChildren)
    })),
    ("life", "executions that are charged to a quota", 40,
        |plan| of_executions(plan, |execution| execution.terms.quota.is_some())),
    ("life", "plans with two scanners", 30, |plan| vec![plan.scanners == 2]),
    ("life", "workers that return as they were", 40,
        |plan| plan.workers.iter().map(|worker| worker.same_instance).collect()),
    ("swarm", "plans with loss", 25, |plan| vec![plan.network.loss_ppm > 0]),
    // Two in five have a skew; one in four of those draws no clock.
    ("swarm", "plans with a wrong clock", 30, |plan| vec![!plan.clocks.is_empty()]),
    ("swarm", "plans whose grants never exist", 3, |plan| vec![plan.settings.grant_ttl_ms == 0]),
    ("swarm", "plans whose grants live at most 60 ms", 13, |plan| vec![plan.settings.grant_ttl_ms <= 60]),
];

fn of_executions(plan: &Plan, chance: fn(&Execution) -> bool) -> Vec<bool> {
    plan.executions.iter().map(chance).collect()
}

fn of_class(plan: &Plan, class: FaultClass) -> Vec<bool> {
    plan.faults.iter().map(|fault| fault.class() == class).collect()
}

fn some(plan: &Plan, chance: fn(&Fault) -> Option<bool>) -> Vec<bool> {
    plan.faults.iter().filter_map(chance).collect()
}

fn offsets(plan: &Plan, wanted: i64) -> Vec<bool> {
    let offsets = plan.faults.iter().filter_map(|fault| match fault {
        Fault::AtDeadline { offset_ms, .. } => Some(*offset_ms),
        _ => None,
    });
    offsets.map(|offset_ms| offset_ms == wanted).collect()
}

#[test]
fn what_has_a_weight_is_drawn_as_often_as_it_says() {
    let mut wrong = Vec::new();
    for profile in grantsim::plan::profile::PROFILES {
        let plans = small_lives_of(profile.name);
        for (_, name, expected, chances) in SHARES.iter().filter(|(of, ..)| *of == profile.name) {
            let chances: Vec<bool> = plans.iter().flat_map(chances).collect();
            assert!(!chances.is_empty(), "{} {name}: never so much as a chance", profile.name);
            let share = chances.iter().filter(|met| **met).count() as f64 * 100.0 / chances.len() as f64;
            let expected = f64::from(*expected);
            if (share - expected).abs() > expected / 4.0 + 2.0 {
                wrong.push(format!("{} {name}: {share:.1} in a hundred, not {expected}", profile.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
