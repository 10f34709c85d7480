//! What the unit tests of the drive share: a small plan, requests, and a log that can be looked at.

use valkey_sim::{
    engine::{Dialect, Effects, Engine, Reply, UnixMicros},
    lua::Interpreter,
};

use super::Log;
use crate::{
    plan::{CallRef, Called, Fault, Plan},
    protocol::{Command, MarkLeaseExpired, Request, server_time},
    trace::What,
    types::{ExecutionId, Function, Node, Seq, SimTime},
    view::View,
};

pub const WORKER: Node = Node::Worker(1);

/// Two workers, a scheduler, an execution `e1`; what breaks is up to the test.
pub fn plan(faults: impl IntoIterator<Item = Fault>) -> Plan {
    let json = serde_json::json!({
        "schema": 2, "seed": 7, "epoch_ms": 1_735_689_600_000u64, "run_for_ms": 10_000,
        "settings": {
            "partitions": 2, "grant_ttl_ms": 500, "lease_ttl_ms": 900, "request_timeout_ms": 500, "poll_ms": 100,
            "lease_scan_ms": 500, "delayed_scan_ms": 750, "unblock_scan_ms": 5_000, "reclaim_scan_ms": 500,
            "claim_again": 0,
        },
        "network": { "latency_us": 1_000, "jitter_us": 0 },
        "schedulers": 1,
        "workers": [
            { "worker_id": "w1", "lanes": ["gold"], "slots": 1 },
            { "worker_id": "w2", "lanes": ["gold", "silver"], "slots": 1 },
        ],
        "executions": [{ "at_ms": 0, "lane": "gold", "work": [{ "takes_ms": 400, "ends": "complete" }] }],
    });
    let mut plan: Plan = serde_json::from_value(json).expect("the plan is one");
    plan.faults.extend(faults);
    plan.check().expect("the plan can be run");
    plan
}

/// The n-th claim of worker-1.
pub fn claim(nth: u32) -> CallRef {
    CallRef { node: Some(WORKER), function: Called::Claim, execution: None, nth }
}

/// A plain command.
pub fn plain() -> Request {
    server_time().request()
}

/// A function call about an execution that no plan names.
pub fn call() -> Request {
    let execution_id = ExecutionId::parse(ID).expect("an id");
    MarkLeaseExpired { execution_id }.request()
}

/// The function that [`call`] calls, and the execution that it is about.
pub const FUNCTION: Function = Function::MarkLeaseExpiredIfDue;
pub const ID: &str = "{fp:1}:6ba7b810-9dad-41d1-80b4-00c04fd430c8";

/// A function's consent.
pub fn ok() -> Reply {
    Reply::Array(vec![Reply::Int(1), Reply::bulk("OK")])
}

pub fn ms(ms: u64) -> SimTime {
    SimTime::from_millis(ms)
}

/// The keyspace after these commands.
pub fn view(commands: &[&[&str]]) -> View {
    let mut engine = Engine::new(Dialect::default(), Interpreter::default());
    let mut session = engine.connect();
    for command in commands {
        let args: Vec<&[u8]> = command.iter().map(|arg| arg.as_bytes()).collect();
        let reply = engine.execute(&mut session, &args, UnixMicros(0), &mut Effects::default());
        assert!(reply.error().is_none(), "{command:?}: {reply:?}");
    }
    View::new(engine.keyspace().clone())
}

/// What was recorded, in order: where, what led to it, what.
#[derive(Clone, Debug, Default)]
pub struct Notes(pub Vec<(Node, Option<Seq>, What)>);

impl Log for Notes {
    fn record(&mut self, node: Node, cause: Option<Seq>, what: What) -> Seq {
        self.0.push((node, cause, what));
        self.0.len() as Seq - 1
    }
}

impl Notes {
    /// What was recorded, without where and why.
    pub fn whats(&self) -> Vec<What> {
        self.0.iter().map(|(.., what)| what.clone()).collect()
    }
}
