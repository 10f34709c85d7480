//! Deeds: they name what the plan has, or what nobody submitted on purpose, and ask for nothing that cannot happen.

use std::collections::BTreeSet;

use super::{InvalidPlan, demand, faults::callable};
use crate::{
    plan::{Deed, Does, NOBODY, Plan, is_nobody},
    types::{ExecutionName, Label, Node},
};

/// More than anybody does; each is data that a run carries around.
const MOST: usize = 10_000;
/// A deed that is done again and again is no deed any more.
const MOST_TRIES: u64 = 100;

pub(super) fn check(plan: &Plan) -> Result<(), InvalidPlan> {
    demand(plan.deeds.len() <= MOST, || format!("it has more than {MOST} deeds"))?;
    for execution in &plan.executions {
        if let Some(flow) = &execution.flow {
            flow.check("a flow")
                .map_err(|why| InvalidPlan(format!("execution {}: {why}", execution.name)))?;
        }
        demand(!is_nobody(&execution.name), || {
            format!(
                "execution {} is called like one that nobody submits: give it another name",
                execution.name
            )
        })?;
    }
    let executions: BTreeSet<&ExecutionName> =
        plan.executions.iter().map(|execution| &execution.name).collect();
    let nodes: BTreeSet<Node> = plan.nodes().collect();
    let mut names = BTreeSet::new();
    for (place, deed) in plan.deeds.iter().enumerate() {
        let at = |why: String| InvalidPlan(format!("deeds[{place}]: {why}"));
        deed.name.check("a deed").map_err(at)?;
        demand(names.insert(&deed.name), || {
            format!("two deeds are called {}: give one another name", deed.name)
        })?;
        for name in deed.executions() {
            demand(executions.contains(name) || is_nobody(name), || {
                format!(
                    "deeds[{place}] names execution {name}, which the plan does not have: one that is to be missing \
                     is called {NOBODY}…"
                )
            })?;
        }
        if let Some(node) = deed.upon.as_ref().and_then(|call| call.node) {
            demand(nodes.contains(&node), || {
                format!("deeds[{place}] waits for {node}, which the plan does not have")
            })?;
        }
        possible(plan, deed).map_err(at)?;
    }
    Ok(())
}

/// Whether a deed can be done at all.
fn possible(plan: &Plan, deed: &Deed) -> Result<(), String> {
    if let Some(call) = &deed.upon {
        callable(call).map_err(|why| why.to_string())?;
    }
    let holds = |holds: bool, why: &dyn Fn() -> String| if holds { Ok(()) } else { Err(why()) };
    holds(deed.again <= MOST_TRIES, &|| {
        format!("it is done again {} times, not 0 to {MOST_TRIES}", deed.again)
    })?;
    for (thing, name) in labels(&deed.does) {
        name.check(thing)?;
    }
    if let Does::ListSecrets { partition } = deed.does {
        let partitions = plan.settings.partitions;
        holds(partition < partitions, &|| {
            format!("there is no partition {partition}: they are 0 to {}", partitions.saturating_sub(1))
        })?;
    }
    Ok(())
}

/// The names in a deed of what is no execution, and of what kind each is.
fn labels(does: &Does) -> Vec<(&'static str, &Label)> {
    match does {
        Does::CreateFlow { flow }
        | Does::AddMember { flow, .. }
        | Does::SetGroup { flow, .. }
        | Does::Edge { flow, .. }
        | Does::ApplyEdge { flow, .. }
        | Does::ResolveEdge { flow, .. }
        | Does::CancelFlow { flow, .. }
        | Does::AckMember { flow, .. }
        | Does::DrainGroup { flow, .. }
        | Does::ReconcileGroup { flow, .. }
        | Does::TagFlow { flow, .. } => vec![("a flow", flow)],
        Does::CreateQuota { quota, .. } | Does::Admit { quota, .. } | Does::Release { quota, .. } => {
            vec![("a quota policy", quota)]
        }
        Does::CreateBudget { budget, .. }
        | Does::ReleaseBudget { budget, .. }
        | Does::ResetBudget { budget } => vec![("a budget", budget)],
        Does::ReportUsage { budget, key, .. } | Does::Spend { budget, key, .. } => {
            let key = key.iter().map(|key| ("a report", key));
            [("a budget", budget)].into_iter().chain(key).collect()
        }
        Does::Signal { key, .. } | Does::BufferSignal { key, .. } => {
            key.iter().map(|key| ("an idempotency key", key)).collect()
        }
        Does::RotateSecret { secret, .. } => vec![("a secret", secret)],
        Does::Register { instance, .. } | Does::Heartbeat { instance } => {
            vec![("a worker's process", instance)]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::sound;
    use crate::plan::Plan;

    fn said_of(deed: Value) -> String {
        let mut plan = sound();
        plan["deeds"] = json!([deed]);
        let plan: Plan = serde_json::from_value(plan).unwrap();
        plan.check().map_or_else(|why| why.to_string(), |()| "sound".to_owned())
    }

    fn does(does: Value) -> Value {
        json!({ "at_ms": 5, "does": does })
    }

    #[test]
    fn a_deed_names_what_the_plan_has_or_what_nobody_submits() {
        let cancel = |name: &str| does(json!({ "deed": "replay", "execution": name }));
        assert_eq!(said_of(cancel("e1")), "sound");
        assert_eq!(said_of(cancel("nobody-1")), "sound");
        let message = "deeds[0] names execution e9, which the plan does not have: one that is to be missing is called \
                       nobody…";
        assert_eq!(said_of(cancel("e9")), message);
        let mut upon = cancel("e1");
        upon["upon"] = json!({ "function": "claim", "execution": "e9", "nth": 1 });
        assert_eq!(said_of(upon.clone()), message);
        upon["upon"] = json!({ "function": "claim", "node": "worker-7", "nth": 1 });
        assert_eq!(said_of(upon), "deeds[0] waits for worker-7, which the plan does not have");
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let version = |member: &str, value: Value| {
            let mut deed = does(json!({ "deed": "version" }));
            deed[member] = value;
            said_of(deed)
        };
        assert_eq!(version("again", json!(3)), "sound");
        assert_eq!(version("again", json!(101)), "deeds[0]: it is done again 101 times, not 0 to 100");
        let named = version("name", json!("no spaces"));
        assert!(named.starts_with("deeds[0]: \"no spaces\" cannot name a deed"), "{named}");
        let nobodys = version("upon", json!({ "function": "claim", "nth": 1 }));
        assert!(nobodys.starts_with("deeds[0]: the call is anybody's"), "{nobodys}");
        let day = version("at_ms", json!(86_400_001));
        assert_eq!(day, "a time of a deed is more than a day");
        let flow = said_of(does(json!({ "deed": "create_flow", "flow": "" })));
        assert!(flow.starts_with("deeds[0]: \"\" cannot name a flow"), "{flow}");
        let partition = said_of(does(json!({ "deed": "list_secrets", "partition": 4 })));
        assert_eq!(partition, "deeds[0]: there is no partition 4: they are 0 to 3");
    }

    #[test]
    fn deeds_are_named_by_place_and_each_name_is_given_once() {
        let mut plan = sound();
        let version = json!({ "at_ms": 5, "does": { "deed": "version" } });
        plan["deeds"] = json!([version, version]);
        let mut plan: Plan = serde_json::from_value(plan).unwrap();
        let names: Vec<String> = plan.deeds.iter().map(|deed| deed.name.to_string()).collect();
        assert_eq!((names, plan.check()), (vec!["d1".to_owned(), "d2".to_owned()], Ok(())));
        plan.deeds[1].name = plan.deeds[0].name.clone();
        assert_eq!(plan.check().unwrap_err().to_string(), "two deeds are called d1: give one another name");
    }

    #[test]
    fn an_execution_is_not_called_like_nobody() {
        let mut plan = sound();
        plan["executions"][0]["name"] = json!("nobody-1");
        let plan: Plan = serde_json::from_value(plan).unwrap();
        let why = plan.check().unwrap_err().to_string();
        assert_eq!(why, "execution nobody-1 is called like one that nobody submits: give it another name");
    }
}
