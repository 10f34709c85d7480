//! Faults and clocks: they name what the plan has, and ask for nothing that cannot happen.

use std::collections::BTreeSet;

use super::{InvalidPlan, demand};
use crate::{
    plan::{CallRef, Fault, Plan, ServerFault},
    types::{ExecutionName, LaneId, Node},
};

/// More arguments than any function has that is not given a list.
const MOST_ARGUMENTS: u32 = 64;

pub(super) fn check(plan: &Plan) -> Result<(), InvalidPlan> {
    let nodes: BTreeSet<Node> = plan.nodes().collect();
    let executions: BTreeSet<&ExecutionName> =
        plan.executions.iter().map(|execution| &execution.name).collect();
    for node in plan.clocks.keys() {
        demand(nodes.contains(node), || format!("clocks names {node}, {}", has(&nodes)))?;
    }
    for (place, fault) in plan.faults.iter().enumerate() {
        for node in fault.nodes() {
            demand(nodes.contains(&node), || format!("faults[{place}] names {node}, {}", has(&nodes)))?;
        }
        if let Some(name) = fault.execution() {
            demand(executions.contains(name), || {
                format!("faults[{place}] names execution {name}, which the plan does not have")
            })?;
        }
        possible(fault).map_err(|why| InvalidPlan(format!("faults[{place}]: {why}")))?;
    }
    one_at_a_time(plan)
}

/// The most failovers of one plan.
const MOST_FAILOVERS: usize = 8;

/// The server is lost, or replaced, once at a time: what a replica takes over must be there.
fn one_at_a_time(plan: &Plan) -> Result<(), InvalidPlan> {
    let is_failover =
        |fault: &&Fault| matches!(fault, Fault::Server { breaks: ServerFault::Failover { .. }, .. });
    let failovers = plan.faults.iter().filter(is_failover).count();
    demand(failovers <= MOST_FAILOVERS, || format!("{failovers} failovers: {MOST_FAILOVERS} at most"))?;
    let places = plan.faults.iter().enumerate();
    let mut replacing: Vec<_> =
        places.filter_map(|(place, fault)| Some((fault.replaces_server()?, place, fault))).collect();
    replacing.sort_by_key(|(away, ..)| *away.start());
    let comes_upon_a_call =
        replacing.iter().any(|(.., fault)| matches!(fault, Fault::Server { upon: Some(_), .. }));
    demand(!comes_upon_a_call || replacing.len() == 1, || {
        "the server is lost or replaced upon a call, and at another time, too: which comes first nobody can say".to_owned()
    })?;
    replacing.windows(2).try_for_each(|pair| {
        let [(before, first, _), (after, second, _)] = pair else { return Ok(()) };
        let (over_ms, at_ms) = (before.end(), after.start());
        demand(at_ms > over_ms, || {
            format!(
                "faults[{second}] loses or replaces the server at {at_ms} ms, and faults[{first}] is over at {over_ms} \
                 ms only: one at a time"
            )
        })
    })
}

/// Lists the nodes that can be named; of a large plan, those that every plan has.
fn has(nodes: &BTreeSet<Node>) -> String {
    const MOST: usize = 20;
    let names: Vec<String> = nodes.iter().take(MOST).map(Node::to_string).collect();
    let more = if nodes.len() > MOST { " …" } else { "" };
    format!("which the plan does not have: it has {}{more}", names.join(", "))
}

/// Whether a fault can happen at all, whatever the plan.
fn possible(fault: &Fault) -> Result<(), InvalidPlan> {
    fault.upon().map_or(Ok(()), callable)?;
    match fault {
        Fault::Crash { node, .. } => demand(*node != Node::Valkey, || {
            "crash names valkey: of the server a plan says what it comes back with, as in {\"fault\": \"server\", \
             \"at_ms\": 900, \"breaks\": {\"lost\": {\"down_ms\": 500, \"keeps\": \"all\"}}}"
                .to_owned()
        }),
        Fault::Partition { a, b, .. } => {
            demand(a != b, || format!("partition cuts {a} off from itself: name two nodes"))
        }
        Fault::GrantMessage { from, execution, nth, .. } => {
            demand(from.is_some() || execution.is_some(), || {
                "the grant message is anybody's: say who it is from, or which execution's grant it is"
                    .to_owned()
            })?;
            let sends =
                |node: &Node| matches!(node, Node::Scheduler(_) | Node::Scanner | Node::SecondScanner);
            demand(from.as_ref().is_none_or(sends), || {
                "only schedulers and the scanner send grants: name one of them".to_owned()
            })?;
            counted(*nth)
        }
        Fault::LoseRequest { call }
        | Fault::AtDeadline { call, .. }
        | Fault::LoseReply { call }
        | Fault::DelayRequest { call, .. }
        | Fault::RepeatRequest { call, .. } => callable(call),
        Fault::OtherLane { call, lane } => {
            LaneId::try_new(lane).map_err(|why| InvalidPlan(format!("lane {lane:?}: {why}")))?;
            callable(call)
        }
        Fault::StaleFence { call, age, .. } => {
            demand(*age > 0, || "age is 0, which is the present lease: the one before is 1".to_owned())?;
            callable(call)
        }
        Fault::BadArgument { call, argument, .. } => {
            demand((1..=MOST_ARGUMENTS).contains(argument), || {
                format!("argument is {argument}, not 1 to {MOST_ARGUMENTS}")
            })?;
            callable(call)
        }
        Fault::Server {
            upon: Some(_), breaks: ServerFault::Failover { clock_ms: 1.. | ..=-1, .. }, ..
        } => demand(false, || "a failover that comes upon a call has no clock_ms: give it a time".to_owned()),
        Fault::Pause { .. } | Fault::Server { .. } => Ok(()),
    }
}

pub(super) fn callable(call: &CallRef) -> Result<(), InvalidPlan> {
    demand(call.node.is_some() || call.execution.is_some(), || {
        "the call is anybody's: say whose it is (node), or what it is about (execution)".to_owned()
    })?;
    demand(call.node != Some(Node::Valkey), || "valkey calls nothing: name the client".to_owned())?;
    demand(!call.function.as_str().is_empty(), || "the call's function has no name".to_owned())?;
    counted(call.nth)
}

fn counted(nth: u32) -> Result<(), InvalidPlan> {
    demand(nth > 0, || "nth is 0, and the first is 1".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{said, sound};
    use crate::{plan::Plan, types::Deadline};

    fn said_of(fault: Value) -> String {
        let mut plan = sound();
        plan["faults"] = json!([fault]);
        let plan: Plan = serde_json::from_value(plan).unwrap();
        plan.check().map_or_else(|why| why.to_string(), |()| "sound".to_owned())
    }

    fn lost(call: Value) -> Value {
        json!({ "fault": "lose_reply", "call": call })
    }

    const NODES: &str = "it has valkey, submitter, scheduler-1, scheduler-2, worker-1, worker-2, scanner";

    #[test]
    fn what_is_named_is_there() {
        for (fault, named) in [
            (json!({ "fault": "crash", "node": "worker-3", "at_ms": 0 }), "worker-3"),
            (json!({ "fault": "pause", "node": "scheduler-3", "at_ms": 0, "for_ms": 1 }), "scheduler-3"),
            (
                json!({ "fault": "partition", "a": "worker-3", "b": "valkey", "at_ms": 0, "for_ms": 1 }),
                "worker-3",
            ),
            (
                json!({ "fault": "partition", "a": "valkey", "b": "worker-3", "at_ms": 0, "for_ms": 1 }),
                "worker-3",
            ),
            (lost(json!({ "node": "worker-3", "function": "claim", "nth": 1 })), "worker-3"),
            (
                json!({ "fault": "grant_message", "from": "scheduler-3", "nth": 1, "fate": "drop" }),
                "scheduler-3",
            ),
        ] {
            let message = format!("faults[0] names {named}, which the plan does not have: {NODES}");
            assert_eq!(said_of(fault), message);
        }
        let message = format!("clocks names worker-3, which the plan does not have: {NODES}");
        assert_eq!(said("/clocks", json!({ "worker-3": {} })), message);
        for fault in [
            lost(json!({ "execution": "e3", "function": "claim", "nth": 1 })),
            json!({ "fault": "grant_message", "execution": "e3", "nth": 1, "fate": "drop" }),
        ] {
            assert_eq!(said_of(fault), "faults[0] names execution e3, which the plan does not have");
        }
    }

    #[test]
    fn what_cannot_happen_is_refused() {
        for (fault, message) in [
            (
                json!({ "fault": "crash", "node": "valkey", "at_ms": 0 }),
                "crash names valkey: of the server a plan says what it comes back with, as in {\"fault\": \"server\", \
                 \"at_ms\": 900, \"breaks\": {\"lost\": {\"down_ms\": 500, \"keeps\": \"all\"}}}",
            ),
            (
                json!({ "fault": "partition", "a": "scanner", "b": "scanner", "at_ms": 0, "for_ms": 1 }),
                "partition cuts scanner off from itself: name two nodes",
            ),
            (
                lost(json!({ "function": "claim", "nth": 1 })),
                "the call is anybody's: say whose it is (node), or what it is about (execution)",
            ),
            (
                lost(json!({ "node": "valkey", "function": "claim", "nth": 1 })),
                "valkey calls nothing: name the client",
            ),
            (
                lost(json!({ "node": "worker-1", "function": "", "nth": 1 })),
                "the call's function has no name",
            ),
            (
                lost(json!({ "node": "worker-1", "function": "claim", "nth": 0 })),
                "nth is 0, and the first is 1",
            ),
            (
                json!({ "fault": "grant_message", "from": "scanner", "nth": 0, "fate": "drop" }),
                "nth is 0, and the first is 1",
            ),
            (
                json!({ "fault": "grant_message", "nth": 1, "fate": "drop" }),
                "the grant message is anybody's: say who it is from, or which execution's grant it is",
            ),
            (
                json!({ "fault": "grant_message", "from": "worker-1", "nth": 1, "fate": "drop" }),
                "only schedulers and the scanner send grants: name one of them",
            ),
        ] {
            assert_eq!(said_of(fault), format!("faults[0]: {message}"));
        }
    }

    #[test]
    fn any_call_may_come_at_any_deadline_and_an_old_plans_claim_at_its_grants_expiry() {
        let call = |function: &str| json!({ "node": "worker-1", "function": function, "nth": 1 });
        for (function, deadline) in
            [("claim", "grant"), ("ff_renew_lease", "lease"), ("ff_deliver_signal", "suspension")]
        {
            let fault = json!({ "fault": "at_deadline", "call": call(function), "deadline": deadline, "offset_ms": 0 });
            assert_eq!(said_of(fault), "sound");
        }
        let old = json!({ "fault": "claim_at_expiry", "call": call("claim"), "offset_ms": 1 });
        let read: crate::plan::Fault = serde_json::from_value(old).unwrap();
        assert!(matches!(
            read,
            crate::plan::Fault::AtDeadline { deadline: Deadline::Grant, offset_ms: 1, .. }
        ));
    }

    #[test]
    fn the_server_may_be_paused_and_cut_off() {
        for fault in [
            json!({ "fault": "pause", "node": "valkey", "at_ms": 0, "for_ms": 1 }),
            json!({ "fault": "partition", "a": "valkey", "b": "scanner", "at_ms": 0, "for_ms": 1 }),
        ] {
            assert_eq!(said_of(fault), "sound");
        }
    }

    #[test]
    fn a_call_is_named_by_its_node_its_execution_or_both() {
        for call in [
            json!({ "node": "worker-1", "function": "claim", "nth": 1 }),
            json!({ "execution": "e1", "function": "claim", "nth": 1 }),
            json!({ "node": "worker-1", "execution": "e1", "function": "claim", "nth": 1 }),
        ] {
            assert_eq!(said_of(lost(call)), "sound");
        }
    }

    #[test]
    fn the_server_is_lost_or_replaced_once_at_a_time() {
        let lost = |at_ms: u64| json!({ "fault": "server", "at_ms": at_ms, "breaks": { "lost": { "down_ms": 50, "keeps": "all" } } });
        let said_of_both = |faults: Value| {
            let mut plan = sound();
            plan["faults"] = faults;
            let plan: Plan = serde_json::from_value(plan).unwrap();
            plan.check().map_or_else(|why| why.to_string(), |()| "sound".to_owned())
        };
        assert_eq!(said_of_both(json!([lost(10), lost(61)])), "sound");
        let message = "faults[1] loses or replaces the server at 60 ms, and faults[0] is over at 60 ms only: one at a time";
        assert_eq!(said_of_both(json!([lost(10), lost(60)])), message);
        let mut upon = lost(3);
        upon["upon"] = json!({ "node": "worker-1", "function": "claim", "nth": 1 });
        assert_eq!(said_of_both(json!([upon])), "sound");
        assert!(
            said_of_both(json!([upon, lost(900)])).starts_with("the server is lost or replaced upon a call")
        );
        let mut failover = upon.clone();
        failover["breaks"] = json!({ "failover": { "down_ms": 5, "lag_ms": 1, "clock_ms": -3 } });
        assert_eq!(
            said_of_both(json!([failover])),
            "faults[0]: a failover that comes upon a call has no clock_ms: give it a time"
        );
    }
}
