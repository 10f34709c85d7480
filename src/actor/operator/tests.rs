//! The operator, deed by deed: what it reads first, what it calls, and what follows from the answer.

use serde_json::json;

use super::{
    super::support::{Outputs, Stage, argv, list, ok, refusal, words},
    *,
};
use crate::types::{ExecutionName, Function, Node};

/// An operator with these deeds, in its `life`-th life.
fn operator_of(deeds: serde_json::Value, life: u32) -> Stage<Operator> {
    let mut plan = json!({
        "schema": 2, "seed": 1, "epoch_ms": 1_000_000, "run_for_ms": 1_000,
        "settings": crate::plan::Settings::default(),
        "network": { "latency_us": 500, "jitter_us": 100 },
        "schedulers": 1,
        "workers": [{ "worker_id": "w1", "lanes": ["gold"], "slots": 2 }],
        "executions": [
            { "at_ms": 0, "lane": "gold", "flow": "f1", "work": [{ "takes_ms": 100, "ends": "complete" }] },
            { "at_ms": 0, "lane": "gold", "flow": "f1", "work": [{ "takes_ms": 100, "ends": "complete" }] },
        ],
    });
    plan["deeds"] = deeds;
    let plan: Plan = serde_json::from_value(plan).expect("a plan");
    assert_eq!(plan.check(), Ok(()));
    let functions = Registered::from_iter(Function::KNOWN.iter().cloned());
    Stage::new(Operator::new(Arc::new(plan), Arc::new(functions), life))
}

fn operator(does: serde_json::Value) -> Stage<Operator> {
    operator_of(json!([{ "at_ms": 5, "does": does }]), 1)
}

fn begin(stage: &mut Stage<Operator>) -> Outputs<Continuation> {
    stage.due(Continuation::Begin { place: 0, again: 0 })
}

const LEASE: &str = "00000000-0000-0000-0000-000000000001";
const ATTEMPT: &str = "00000000-0000-0000-0000-000000000002";
const WAITPOINT: &str = "00000000-0000-0000-0000-000000000003";

/// The core of an execution that worker w-1.1 runs.
fn core() -> Reply {
    list(&["gold", "w-1.1", "2", ATTEMPT, LEASE, "7", WAITPOINT])
}

#[test]
fn a_deed_is_done_at_its_time_and_one_that_waits_for_a_call_when_word_of_it_comes() {
    let version = json!({ "deed": "version" });
    let upon = json!({ "function": "claim", "execution": "e1", "nth": 1 });
    let deeds = json!([
        { "at_ms": 30, "does": version },
        { "at_ms": 4, "upon": upon, "does": version },
    ]);
    let mut operator = operator_of(deeds, 1);
    let wakes = operator.start().wakes();
    assert!(matches!(wakes[..], [(30, Continuation::Begin { place: 0, .. })]), "{wakes:?}");
    let cued = operator.receive(Node::Valkey, Message::Cue(Label::from("d2"))).wakes();
    assert!(matches!(cued[..], [(4, Continuation::Begin { place: 1, .. })]), "{cued:?}");
    assert!(operator.receive(Node::Valkey, Message::Cue(Label::from("d9"))).is_empty());
}

#[test]
fn an_operator_that_was_restarted_does_what_is_still_to_come() {
    let version = json!({ "deed": "version" });
    let deeds = json!([{ "at_ms": 30, "does": version }, { "at_ms": 90, "does": version }]);
    let mut operator = operator_of(deeds, 2);
    operator.now.0 += 50;
    let wakes = operator.start().wakes();
    assert!(matches!(wakes[..], [(40, Continuation::Begin { place: 1, .. })]), "{wakes:?}");
}

#[test]
fn what_a_call_needs_is_read_first() {
    let mut operator = operator(json!({ "deed": "cancel", "execution": "e1", "right": "fence" }));
    let (request, continuation) = begin(&mut operator).call_of("HMGET");
    assert_eq!(words(&request)[2..], FIELDS);
    let (request, _) = operator.answer(continuation, core()).call_of("ff_cancel_execution");
    assert_eq!(argv(&request)[1..], ["operator", "lease_holder", LEASE, "7"]);
    assert!(words(&request).iter().any(|key| key.ends_with("worker:w-1.1:leases")), "{request:?}");
}

#[test]
fn a_cancellation_presents_what_its_right_says() {
    for (right, source, lease) in [
        ("fence", "lease_holder", LEASE),
        ("none", "lease_holder", ""),
        ("override", "operator_override", ""),
    ] {
        let mut operator = operator(json!({ "deed": "cancel", "execution": "e1", "right": right }));
        let look = begin(&mut operator).call().1;
        let (request, _) = operator.answer(look, core()).call();
        assert_eq!(argv(&request)[2..4], [source, lease], "{right}");
    }
}

#[test]
fn a_stale_deed_acts_on_what_was_so_much_earlier() {
    let does = json!({ "deed": "revoke", "execution": "e1", "named": true });
    let mut operator = operator_of(json!([{ "at_ms": 5, "stale_ms": 70, "does": does }]), 1);
    let look = begin(&mut operator).call().1;
    let waits = operator.answer(look, core()).wakes();
    let [(70, continuation)] = &waits[..] else { panic!("{waits:?} in place of one wait of 70 ms") };
    let (request, _) = operator.due(continuation.clone()).call_of("ff_revoke_lease");
    assert_eq!(argv(&request)[1], LEASE);
}

#[test]
fn a_deed_of_which_nobody_knows_is_done_again_as_often_as_it_says() {
    let deeds = json!([{ "at_ms": 5, "again": 1, "does": { "deed": "create_flow", "flow": "f1" } }]);
    let mut operator = operator_of(deeds, 1);
    let sent = operator.due(Continuation::Begin { place: 0, again: 1 }).call_of("ff_create_flow").1;
    let again = operator.lose(sent).wakes();
    assert!(matches!(again[..], [(AGAIN_MS, Continuation::Begin { place: 0, again: 0 })]), "{again:?}");
    let sent = operator.due(again[0].1.clone()).call().1;
    assert!(operator.lose(sent).is_empty(), "it gives up");
}

#[test]
fn a_dependency_is_staged_at_the_revision_that_was_read_and_applied_at_the_one_that_was_answered() {
    let edge = json!({
        "deed": "edge", "flow": "f1", "from": "e1", "to": "e2", "passes_data": true, "apply": true,
    });
    let mut operator = operator(edge);
    let look = begin(&mut operator).call_of("HMGET").1;
    let graph = operator.answer(look, core()).call_of("HGET").1;
    let (stage, continuation) = operator.answer(graph, Reply::bulk("4")).call_of("ff_stage_dependency_edge");
    assert_eq!(argv(&stage)[6], "4");
    let (apply, _) =
        operator.answer(continuation.clone(), ok(&["edge", "5"])).call_of("ff_apply_dependency_to_child");
    assert_eq!(argv(&apply)[3], "5");
    assert!(operator.answer(continuation, refusal("cycle_detected")).is_empty(), "nothing is applied");
}

#[test]
fn the_members_of_a_cancelled_flow_are_cancelled_and_acknowledged_one_after_the_other() {
    let cancel = |members| json!({ "deed": "cancel_flow", "flow": "f1", "policy": "cancel_all", "grace_ms": 0, "members": members });
    let mut stage = operator(cancel(true));
    let id = stage.actor.plan.execution_id(&ExecutionName::nth(1)).to_string();
    let sent = begin(&mut stage).call_of("ff_cancel_flow").1;
    let look = stage.answer(sent, ok(&["cancel_all", &id])).call_of("HMGET").1;
    let (request, sent) = stage.answer(look, core()).call_of("ff_cancel_execution");
    assert_eq!(argv(&request)[0..3], [&id, "flow cancelled", "operator_override"]);
    let (request, sent) = stage.answer(sent, ok(&["cancelled"])).call_of("ff_ack_cancel_member");
    assert_eq!(argv(&request)[0], id);
    assert!(stage.answer(sent, ok(&[])).is_empty());

    let mut stage = operator(cancel(false));
    let sent = begin(&mut stage).call().1;
    assert!(stage.answer(sent, ok(&["cancel_all", &id])).is_empty(), "it leaves them to others");
}

#[test]
fn what_was_granted_and_claimed_in_one_call_is_worked_on_and_ended() {
    let claim = json!({
        "deed": "grant_and_claim", "execution": "e1", "lease_ttl_ms": 500, "takes_ms": 80, "ends": "complete",
    });
    let mut operator = operator(claim);
    let look = begin(&mut operator).call().1;
    let (request, sent) = operator.answer(look, core()).call_of("ff_issue_grant_and_claim");
    assert_eq!((argv(&request)[1].as_str(), argv(&request)[6].as_str()), ("operator", "500"));
    let look = operator.answer(sent.clone(), ok(&[LEASE, "8", "3"])).call_of("HMGET").1;
    let works = operator.answer(look, core()).wakes();
    let [(80, continuation)] = &works[..] else { panic!("{works:?} in place of work of 80 ms") };
    let (request, _) = operator.due(continuation.clone()).call_of("ff_complete_execution");
    assert_eq!(argv(&request)[1..4], [LEASE, "8", ATTEMPT]);
    assert!(operator.answer(sent, refusal("lease_conflict")).is_empty());
}

#[test]
fn a_secret_is_rotated_in_every_partition() {
    let mut operator =
        operator(json!({ "deed": "rotate_secret", "kid": "k2", "secret": "s2", "grace_ms": 9 }));
    let mut step = begin(&mut operator);
    let mut keys = Vec::new();
    while !step.is_empty() {
        let (request, sent) = step.call_of("ff_rotate_waitpoint_hmac_secret");
        keys.push(words(&request)[3].clone());
        step = operator.answer(sent, ok(&["rotated", "", "k2", "0"]));
    }
    assert_eq!(keys, (0..4).map(|p| format!("ff:sec:{{fp:{p}}}:waitpoint_hmac")).collect::<Vec<_>>());
}

#[test]
fn a_signal_goes_to_where_the_execution_waits_with_the_token_that_it_says() {
    for (token, sent) in [("valid", "k1:abcd"), ("forged", "k1:0000"), ("missing", "")] {
        let does = json!({
            "deed": "signal", "execution": "e1", "signal": "go", "token": token, "resume_delay_ms": 0,
        });
        let mut operator = operator(does);
        let look = begin(&mut operator).call().1;
        let (request, look) = operator.answer(look, core()).call_of("HGET");
        assert!(words(&request)[1].ends_with(WAITPOINT), "{request:?}");
        let (request, _) = operator.answer(look, Reply::bulk("k1:abcd")).call_of("ff_deliver_signal");
        assert_eq!((argv(&request)[2].as_str(), argv(&request)[17].as_str()), (WAITPOINT, sent));
    }
}

#[test]
fn an_execution_that_does_not_wait_is_signalled_at_the_waitpoint_that_was_made_for_it() {
    let does = json!({ "deed": "buffer_signal", "execution": "e1", "signal": "go", "token": "valid" });
    let mut operator = operator(does);
    let own = operator.actor.plan.waitpoint(&ExecutionName::nth(1)).id.to_string();
    let look = begin(&mut operator).call().1;
    let (request, _) = operator.answer(look, list(&["gold", "", "0", "", "", "", ""])).call();
    assert!(words(&request)[1].ends_with(&own), "{request:?}");
}

#[test]
fn a_function_that_the_library_lacks_is_not_called() {
    let mut stage = operator(json!({ "deed": "create_flow", "flow": "f1" }));
    stage.actor.functions = Arc::new(Registered::from_iter([Function::CancelExecution]));
    assert!(begin(&mut stage).is_empty());
}

#[test]
fn no_two_tries_make_up_the_same_ids() {
    let mut operator = operator(json!({
        "deed": "signal", "execution": "nobody-1", "signal": "go", "token": "missing", "resume_delay_ms": 0,
    }));
    let mut signal = || {
        let look = begin(&mut operator).call().1;
        let look = operator.answer(look, list(&[])).call().1;
        argv(&operator.answer(look, Reply::Null).call().0)[0].clone()
    };
    assert_ne!(signal(), signal());
}
