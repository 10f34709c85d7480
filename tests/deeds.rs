//! Deeds in whole runs: the operator does what the plan says, when it says so, and the published library lets it.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{PUBLISHED, run};
use grantsim::{
    plan::{Deed, DeedKind, Fault, Plan, file::PlanFile, token::Token},
    protocol::reply::answer,
    trace::{Executed, Trace, What},
    types::{Answer, FaultClass, Function, Node, Status},
};
use serde_json::{Value, json};

/// What the operator called, and what it was answered, in order.
fn operators_calls(trace: &Trace) -> Vec<(Function, Answer, u64)> {
    let executed = trace.events.iter().filter_map(|event| match &event.what {
        What::Executed(executed) if executed.caller == Some(Node::Operator) => {
            Some((function(executed)?, answer(&executed.reply), event.head.at.0 / 1_000))
        }
        _ => None,
    });
    executed.collect()
}

/// The function of a call; none for a plain command.
fn function(executed: &Executed) -> Option<Function> {
    let [name, function, ..] = &executed.args[..] else { return None };
    (name == b"FCALL").then(|| Function::from(&*String::from_utf8_lossy(function)))
}

/// Whether the function did what it was asked for. Two answer outside of the common grammar.
fn is_consent(function: &Function, said: &Answer) -> bool {
    let has_own_words = matches!(function, Function::Version | Function::CheckAdmissionAndRecord);
    matches!(said, Answer::Consent(_)) || has_own_words && *said == Answer::Other
}

/// Of the first hundred and fifty seeds of `life`, those whose runs take half the time of all of them.
const LONG: [u64; 14] = [5, 13, 32, 45, 67, 70, 71, 73, 84, 103, 108, 109, 132, 134];

#[test]
fn every_kind_of_deed_calls_its_function_and_is_consented_to_in_a_hunt() {
    let token = Token::new("life", 0).expect("a profile");
    let mut missing: BTreeSet<DeedKind> = DeedKind::ALL.iter().copied().collect();
    let mut answers: BTreeMap<Function, BTreeSet<String>> = BTreeMap::new();
    for seed in (0..400).filter(|seed| !LONG.contains(seed)) {
        let plan = token.with_seed(seed).plan();
        if !plan.deeds.iter().any(|deed| missing.contains(&deed.does.kind())) {
            continue;
        }
        let trace = run(&plan, &PUBLISHED);
        for (function, said, _) in operators_calls(&trace) {
            answers.entry(function.clone()).or_default().insert(said.to_string());
            if is_consent(&function, &said) {
                missing.retain(|kind| kind.function() != function);
            }
        }
        if missing.is_empty() {
            return;
        }
    }
    let said: Vec<_> = missing.iter().map(|kind| (kind, answers.get(&kind.function()))).collect();
    panic!("never consented to: {said:#?}");
}

#[test]
fn every_hostile_fault_happens_in_a_hunt() {
    let token = Token::new("life", 0).expect("a profile");
    let mut missing: BTreeSet<FaultClass> = FaultClass::HOSTILE.into_iter().collect();
    for seed in (0..60).filter(|seed| !LONG.contains(seed)) {
        let trace = run(&token.with_seed(seed).plan(), &PUBLISHED);
        let happened = trace.events.iter().filter_map(|event| event.what.fault_class());
        for class in happened {
            missing.remove(&class);
        }
        if missing.is_empty() {
            return;
        }
    }
    panic!("never happened: {missing:?}");
}

#[test]
fn a_plan_with_deeds_reads_back() {
    let token = Token::new("life", 0).expect("a profile");
    let mut kinds = BTreeSet::new();
    for seed in 0..200 {
        let plan = token.with_seed(seed).plan();
        kinds.extend(plan.deeds.iter().map(|deed| deed.does.kind()));
        let file = PlanFile { about: String::new(), library: None, plan };
        assert_eq!(
            PlanFile::from_json("it", &file.to_json()).expect("it was just written"),
            file,
            "seed {seed}"
        );
    }
    assert_eq!(kinds.len(), DeedKind::ALL.len(), "every kind is drawn");
}

/// One worker, one execution of half a second, and these deeds.
fn plan(deeds: Value, faults: Value) -> Plan {
    let plan: Plan = serde_json::from_value(json!({
        "schema": 2, "seed": 1, "epoch_ms": 1_767_225_600_000u64, "run_for_ms": 8_000,
        "settings": {
            "partitions": 1, "grant_ttl_ms": 500, "lease_ttl_ms": 900, "request_timeout_ms": 400, "poll_ms": 100,
            "lease_scan_ms": 500, "delayed_scan_ms": 300, "unblock_scan_ms": 5_000, "reclaim_scan_ms": 500,
            "claim_again": 0,
        },
        "network": { "latency_us": 1_000, "jitter_us": 0 },
        "schedulers": 1,
        "workers": [{ "worker_id": "w1", "lanes": ["gold"], "slots": 2 }],
        "executions": [
            { "at_ms": 0, "lane": "gold", "flow": "f1", "work": [{ "takes_ms": 500, "ends": "complete" }] },
            { "at_ms": 0, "lane": "gold", "flow": "f1", "work": [{ "takes_ms": 500, "ends": "complete" }] },
        ],
        "deeds": deeds, "faults": faults,
    }))
    .expect("a plan");
    assert_eq!(plan.check(), Ok(()));
    plan
}

#[test]
fn a_deed_upon_a_call_comes_so_long_after_the_call_was_executed() {
    let claim = json!({ "function": "claim", "execution": "e1", "nth": 1 });
    let cancel = json!({ "deed": "cancel", "execution": "e1", "right": "override" });
    let deeds = json!([{ "at_ms": 120, "upon": claim, "does": cancel }]);
    let trace = run(&plan(deeds, json!([])), &PUBLISHED);
    let claimed = trace.events.iter().find_map(|event| match &event.what {
        What::Executed(executed) if function(executed) == Some(Function::ClaimExecution) => {
            Some(event.head.at.0 / 1_000)
        }
        _ => None,
    });
    let calls = operators_calls(&trace);
    let [(Function::CancelExecution, Answer::Consent(Status::Ok), at_ms)] = &calls[..] else {
        panic!("{calls:?}")
    };
    // Word of it, a connection and a look, each there and back, and the call.
    assert_eq!(*at_ms, claimed.expect("a claim") + 120 + 6);
}

#[test]
fn what_an_operator_read_too_long_ago_is_refused() {
    let claim = json!({ "function": "claim", "execution": "e1", "nth": 1 });
    let progress = json!({ "deed": "update_progress", "execution": "e1", "percent": "50" });
    let answered = |stale_ms: u64| {
        let deeds = json!([{ "at_ms": 0, "upon": claim, "stale_ms": stale_ms, "does": progress }]);
        operators_calls(&run(&plan(deeds, json!([])), &PUBLISHED)).remove(0).1.to_string()
    };
    assert_eq!((answered(0).as_str(), answered(2_000).as_str()), ("OK", "execution_not_active"));
}

#[test]
fn an_operator_that_dies_between_two_steps_leaves_the_second_undone() {
    let join = |execution: &str| json!({ "at_ms": 50, "does": { "deed": "add_member", "flow": "f1", "execution": execution } });
    let deeds = json!([
        { "at_ms": 10, "does": { "deed": "create_flow", "flow": "f1" } },
        join("e1"), join("e2"),
        { "at_ms": 100, "does": {
            "deed": "cancel_flow", "flow": "f1", "policy": "cancel_all", "grace_ms": 0, "members": true,
        } },
    ]);
    let called = |faults: Value| {
        let calls = operators_calls(&run(&plan(deeds.clone(), faults), &PUBLISHED)).into_iter();
        calls
            .map(|(function, ..)| function)
            .filter(|it| *it != Function::AddExecutionToFlow)
            .collect::<Vec<_>>()
    };
    let (cancel, ack) = (Function::CancelExecution, Function::AckCancelMember);
    let whole =
        [Function::CreateFlow, Function::CancelFlow, cancel.clone(), ack.clone(), cancel.clone(), ack];
    assert_eq!(called(json!([])), whole);
    // After the flow was cancelled, before anything else was.
    let dies = json!([{ "fault": "crash", "node": "operator", "at_ms": 102, "down_ms": 500 }]);
    assert_eq!(called(dies), whole[..2]);
}

#[test]
fn a_plan_without_deeds_has_no_operator_and_the_small_life_has_none() {
    for seed in 0..40 {
        let plan = Token::new("race", seed).expect("a profile").plan();
        assert_eq!((plan.deeds.len(), plan.nodes().any(|node| node == Node::Operator)), (0, false));
    }
    let swarm = Token::new("swarm", 0).expect("a profile");
    let plans: Vec<Plan> = (0..400).map(|seed| swarm.with_seed(seed).plan()).collect();
    let small =
        plans.iter().filter(|plan| plan.deeds.is_empty() && !plan.faults.iter().any(is_hostile)).count();
    assert!((160..260).contains(&small), "{small} of 400 plans are of the small life");
    let deeds: Vec<&Deed> = plans.iter().flat_map(|plan| &plan.deeds).collect();
    let share =
        |is_meant: fn(&Deed) -> bool| deeds.iter().filter(|deed| is_meant(deed)).count() * 100 / deeds.len();
    assert!(
        (35..65).contains(&share(|deed| deed.upon.is_some())),
        "at the worst moment as often as at a quiet one"
    );
    assert!((8..25).contains(&share(|deed| deed.stale_ms > 0)));
}

fn is_hostile(fault: &Fault) -> bool {
    FaultClass::HOSTILE.contains(&fault.class())
}
