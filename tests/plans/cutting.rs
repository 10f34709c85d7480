//! What is left of a plan without one part: everything else, unmoved.

use std::collections::BTreeSet;

use grantsim::{
    plan::{Deed, Fault, Part, Plan, profile},
    types::{ExecutionName, Node},
};
use proptest::prelude::*;
use serde_json::Value;

use super::{config, plans_of};

/// Whether a name occurs in some plain data, as a value or as a key.
fn mentions(data: &Value, name: &str) -> bool {
    match data {
        Value::String(text) => text == name,
        Value::Array(items) => items.iter().any(|item| mentions(item, name)),
        Value::Object(fields) => fields.iter().any(|(key, value)| key == name || mentions(value, name)),
        _ => false,
    }
}

/// What the plan should be without the part, found by looking for its name in each piece of the plan's JSON.
fn expected(plan: &Plan, part: &Part) -> Plan {
    fn others<T: Clone>(all: &[T], is_it: impl Fn(&T) -> bool) -> Vec<T> {
        all.iter().filter(|one| !is_it(one)).cloned().collect()
    }
    let mut rest = plan.clone();
    let gone = match part {
        Part::Execution(name) => name.to_string(),
        Part::Worker(node) | Part::Scheduler(node) => node.to_string(),
        Part::Clock(node) => {
            rest.clocks.retain(|other, _| other != node);
            return rest;
        }
        Part::Fault(place) => {
            rest.faults = [&plan.faults[..*place], &plan.faults[place + 1..]].concat();
            return rest;
        }
        Part::Deed(place) => {
            rest.deeds = [&plan.deeds[..*place], &plan.deeds[place + 1..]].concat();
            return without_an_idle_operator(rest);
        }
        Part::Call(_) => unreachable!("what is generated has no calls of its own"),
    };
    let names_it = |fault: &Fault| mentions(&serde_json::to_value(fault).expect("plain data"), &gone);
    rest.executions = others(&plan.executions, |execution| execution.name.as_str() == gone);
    rest.workers = others(&plan.workers, |worker| worker.name.to_string() == gone);
    rest.schedulers = others(&plan.schedulers, |scheduler| scheduler.to_string() == gone);
    rest.clocks.retain(|node, _| node.to_string() != gone);
    if let Some(priorities) = &mut rest.priorities {
        priorities.places.retain(|node, _| node.to_string() != gone);
    }
    rest.faults = others(&plan.faults, names_it);
    let names_it = |deed: &Deed| mentions(&serde_json::to_value(deed).expect("plain data"), &gone);
    rest.deeds = others(&plan.deeds, names_it);
    without_an_idle_operator(rest)
}

/// Nothing befalls an operator who has nothing to do.
fn without_an_idle_operator(mut plan: Plan) -> Plan {
    if plan.deeds.is_empty() {
        plan.faults.retain(|fault| !fault.nodes().contains(&Node::Operator));
    }
    plan
}

/// Whether the plan cannot be run without it.
fn is_needed(plan: &Plan, part: &Part) -> bool {
    match part {
        Part::Worker(_) => plan.workers.len() == 1,
        Part::Scheduler(_) => plan.schedulers.len() == 1,
        _ => false,
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_plan_without_a_part_is_the_same_plan_for_all_others(
        plan in (profile::find("swarm").expect("the default profile").plans)()
    ) {
        let parts = plan.parts();
        for part in &parts {
            let Some(cut) = plan.without(part) else {
                prop_assert!(is_needed(&plan, part), "{} cannot be cut", part);
                continue;
            };
            prop_assert!(!is_needed(&plan, part), "{} was cut", part);
            prop_assert_eq!(cut.check(), Ok(()));
            prop_assert_eq!(&cut, &expected(&plan, part), "without {}", part);
            prop_assert_eq!(cut.random("execution e1"), plan.random("execution e1"));
        }
        let all = plan.executions.len() + plan.workers.len() + plan.schedulers.len() + plan.faults.len() + plan.clocks.len() + plan.deeds.len();
        prop_assert_eq!(parts.iter().collect::<BTreeSet<_>>().len(), all);
    }
}

#[test]
fn what_is_not_there_cannot_be_cut() {
    for plan in &plans_of("swarm")[..50] {
        let true_clock =
            plan.nodes().find(|node| !plan.clocks.contains_key(node)).expect("not all are wrong");
        for part in [
            Part::Execution(ExecutionName::nth(1_000)),
            Part::Worker(Node::Worker(1_000)),
            Part::Worker(Node::Scheduler(1)),
            Part::Worker(Node::Valkey),
            Part::Scheduler(Node::Scheduler(1_000)),
            Part::Scheduler(Node::Worker(1)),
            Part::Fault(plan.faults.len()),
            Part::Deed(plan.deeds.len()),
            Part::Clock(true_clock),
        ] {
            assert_eq!(plan.without(&part), None, "{part}");
        }
    }
}

#[test]
fn a_plan_can_be_cut_down_to_one_worker_and_one_scheduler() {
    for mut plan in plans_of("swarm")[..20].iter().cloned() {
        let most = plan.parts().len();
        let mut cuts = 0;
        while let Some(smaller) = plan.parts().iter().find_map(|part| plan.without(part)) {
            plan = smaller;
            cuts += 1;
            assert!(cuts < most, "a cut that cuts nothing");
        }
        assert_eq!((plan.workers.len(), plan.schedulers.len(), plan.parts().len()), (1, 1, 2));
    }
}
