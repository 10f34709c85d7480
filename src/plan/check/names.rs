//! Names: well formed, each given once, of the right kind.

use std::{collections::BTreeSet, fmt::Display};

use super::{InvalidPlan, demand};
use crate::{
    plan::Plan,
    types::{LaneId, Node},
};

pub(super) fn check(plan: &Plan) -> Result<(), InvalidPlan> {
    for (place, name) in plan.schedulers.iter().enumerate() {
        demand(matches!(name, Node::Scheduler(1..)), || {
            format!("schedulers[{place}] is called {name}: a scheduler's name is scheduler-N, N from 1")
        })?;
    }
    for (place, worker) in plan.workers.iter().enumerate() {
        demand(matches!(worker.name, Node::Worker(1..)), || {
            format!("workers[{place}] is called {}: a worker's name is worker-N, N from 1", worker.name)
        })?;
    }
    for (place, execution) in plan.executions.iter().enumerate() {
        execution.name.check().map_err(|why| InvalidPlan(format!("executions[{place}]: {why}")))?;
    }
    once("schedulers", plan.schedulers.iter())?;
    once("workers", plan.workers.iter().map(|worker| &worker.name))?;
    once("executions", plan.executions.iter().map(|execution| &execution.name))?;
    for budget in &plan.budgets {
        budget.name.check("a budget").map_err(InvalidPlan)?;
    }
    for quota in &plan.quotas {
        quota.name.check("a quota").map_err(InvalidPlan)?;
    }
    once("budgets", plan.budgets.iter().map(|budget| &budget.name))?;
    once("quotas", plan.quotas.iter().map(|quota| &quota.name))?;
    for lane in plan.lanes() {
        LaneId::try_new(lane).map_err(|why| InvalidPlan(format!("lane {lane:?}: {why}")))?;
    }
    Ok(())
}

/// No two share a name.
fn once<N: Ord + Display>(kind: &str, names: impl Iterator<Item = N>) -> Result<(), InvalidPlan> {
    let mut taken = BTreeSet::new();
    for name in names {
        demand(!taken.contains(&name), || format!("two {kind} are called {name}: give one another name"))?;
        taken.insert(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{said, sound};
    use crate::{
        plan::Plan,
        types::{ExecutionName, Node},
    };

    #[test]
    fn every_name_is_given_once_and_of_its_kind() {
        for (pointer, value, message) in [
            ("/executions/1/name", json!("e1"), "two executions are called e1: give one another name"),
            ("/workers/1/name", json!("worker-1"), "two workers are called worker-1: give one another name"),
            (
                "/schedulers/1",
                json!("scheduler-1"),
                "two schedulers are called scheduler-1: give one another name",
            ),
            (
                "/workers/0/name",
                json!("scanner"),
                "workers[0] is called scanner: a worker's name is worker-N, N from 1",
            ),
            (
                "/schedulers/1",
                json!("worker-7"),
                "schedulers[1] is called worker-7: a scheduler's name is scheduler-N, N from 1",
            ),
        ] {
            assert_eq!(said(pointer, value), message);
        }
        let lane = said("/executions/0/lane", json!(""));
        assert!(lane.starts_with("lane \"\": "), "{lane}");
    }

    /// A file cannot say these; a plan that is made in memory can.
    #[test]
    fn a_name_must_be_one_that_a_file_could_hold() {
        let plan = || serde_json::from_value::<Plan>(sound()).unwrap();
        let refused = |plan: Plan, message: &str| assert_eq!(plan.check().unwrap_err().to_string(), message);

        let mut spaced = plan();
        spaced.executions[1].name = ExecutionName::of_id("no spaces");
        let message = "executions[1]: \"no spaces\" cannot name an execution: a name is 1 to 40 letters, digits, `-`, `_` or `.`";
        refused(spaced, message);

        let mut zeroth = plan();
        zeroth.workers[0].name = Node::Worker(0);
        refused(zeroth, "workers[0] is called worker-0: a worker's name is worker-N, N from 1");

        let mut zeroth = plan();
        zeroth.schedulers[0] = Node::Scheduler(0);
        refused(zeroth, "schedulers[0] is called scheduler-0: a scheduler's name is scheduler-N, N from 1");
    }
}
