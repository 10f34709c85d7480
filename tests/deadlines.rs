//! A call that comes at a deadline of its execution comes in that very millisecond, or in the one beside it, and is answered
//! by it: what a lease or a suspension still allows it allows until then.

use crate::common::{PUBLISHED, plan_files, run};
use grantsim::{
    plan::{CallRef, Called, Ending, Fault, Plan, Suspend, Until},
    protocol::TimeoutBehavior,
    trace::{Command, Moment, Trace, What},
    types::{Deadline, Function, Node},
};

/// One worker, one execution, leases of 600 ms, work of 500: it renews twice.
fn plan() -> Plan {
    let files = plan_files("fixtures/plans");
    let (_, file) =
        files.into_iter().find(|(name, _)| name == "fault-claim-at-expiry-at").expect("it is there");
    let mut plan = file.plan;
    plan.settings.lease_ttl_ms = 600;
    plan.executions[0].work[0].takes_ms = 500;
    plan
}

fn at(function: Function, deadline: Deadline, offset_ms: i64) -> Fault {
    let call = CallRef {
        node: Some(Node::Worker(1)),
        function: Called::Function(function),
        execution: None,
        nth: 1,
    };
    Fault::AtDeadline { call, deadline, offset_ms }
}

/// When the first call of a function was executed, and what it was answered.
fn first(trace: &Trace, function: &Function) -> (i64, String) {
    let executed = trace.events.iter().find_map(|event| match &event.what {
        What::Executed(executed) => {
            let args: Vec<&[u8]> = executed.args.iter().map(Vec::as_slice).collect();
            (Command::function(&args)? == *function).then(|| {
                let answer = grantsim::protocol::reply::answer(&executed.reply).to_string();
                (executed.now_ms.0, answer)
            })
        }
        _ => None,
    });
    executed.expect("it was called")
}

/// The first end of a lease that was ever stored.
fn lease_end(trace: &Trace) -> i64 {
    let mut end = None;
    trace.replay(|moment| {
        if let (Moment::Step(step), None) = (moment, end) {
            let id = step.after.executions().next();
            end = id.and_then(|id| step.after.execution(&id).deadline(Deadline::Lease)).map(|time| time.0);
        }
    });
    end.expect("there was a lease")
}

#[test]
fn what_a_lease_allows_it_allows_until_its_last_millisecond() {
    for function in [Function::RenewLease, Function::CompleteExecution] {
        let answers = [-1, 0, 1].map(|offset_ms| {
            let mut plan = plan();
            plan.faults = vec![at(function.clone(), Deadline::Lease, offset_ms)];
            if function == Function::CompleteExecution {
                // Nobody renews before.
                plan.executions[0].work[0].takes_ms = 100;
            }
            let trace = run(&plan, &PUBLISHED);
            let (now, answer) = first(&trace, &function);
            assert_eq!(now - lease_end(&trace), offset_ms, "{function} comes when it is to come");
            answer
        });
        assert_eq!(answers, ["OK", "lease_expired", "lease_expired"], "{function}");
    }
}

#[test]
fn a_call_whose_execution_has_no_such_deadline_is_not_held() {
    let mut calm = plan();
    calm.faults.clear();
    let mut held = plan();
    held.faults = vec![at(Function::RenewLease, Deadline::Suspension, 0)];
    let when = |plan: &Plan| first(&run(plan, &PUBLISHED), &Function::RenewLease);
    assert_eq!(when(&held), when(&calm));
}

#[test]
fn a_suspension_waits_at_as_many_waitpoints_as_it_is_told_and_is_remembered_under_its_key() {
    let mut plan = plan();
    plan.faults.clear();
    let suspend = Suspend {
        until: Until::AllOf,
        timeout_ms: Some(900),
        then: TimeoutBehavior::Fail,
        pending: false,
        extra: 2,
        once_ms: Some(5_000),
    };
    plan.executions[0].work[0].ends = Ending::Suspend(suspend);
    let trace = run(&with_a_secret(plan), &PUBLISHED);
    let (_, answer) = first(&trace, &Function::SuspendExecution);
    assert_eq!(answer, "OK");
    let mut waits_at = 0;
    trace.replay(|moment| {
        if let Moment::Step(step) = moment
            && let Some(id) = step.after.executions().next()
            && let Some(suspension) = step.after.execution(&id).suspension()
        {
            waits_at = suspension.more_waitpoints().len();
        }
    });
    assert_eq!(waits_at, 2);
}

/// The plan of a deployment in which waitpoints have tokens.
fn with_a_secret(mut plan: Plan) -> Plan {
    let deed =
        r#"{ "at_ms": 0, "does": { "deed": "rotate_secret", "kid": "k1", "secret": "s1", "grace_ms": 0 } }"#;
    plan.deeds = vec![serde_json::from_str(deed).expect("a deed")];
    plan
}
