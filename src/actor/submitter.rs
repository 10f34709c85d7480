//! The submitter creates the plan's executions, and asks again until it knows that they exist.

use super::{Actor, Input, Outbox};
use crate::{
    plan::Execution,
    protocol::{CreateExecution, Registered, policy_json},
    types::{ExecutionId, Function, LaneId, Millis, Namespace, TimestampMs},
};

/// How long it waits before it asks again after a lost reply. The id stays the same, so nothing is created twice.
const AGAIN_MS: u64 = 250;

/// Creates executions.
#[derive(Clone, Debug)]
pub struct Submitter {
    executions: Vec<(ExecutionId, Execution)>,
    /// Whether the library has anything that ends a delay.
    delays: bool,
}

/// What the submitter goes on with: an execution, by its place in the plan.
pub type Continuation = usize;

impl Submitter {
    /// Submits these, each at its time; a library that promotes nothing is asked for no delay.
    pub fn new(executions: Vec<(ExecutionId, Execution)>, functions: &Registered) -> Self {
        Self { executions, delays: functions.has(&Function::PromoteDelayed) }
    }
}

impl Actor for Submitter {
    type Continuation = Continuation;

    fn step(&mut self, now: TimestampMs, input: Input<Continuation>, out: &mut Outbox<Continuation>) {
        match input {
            Input::Started => {
                for (place, (_, execution)) in self.executions.iter().enumerate() {
                    out.wake(execution.at_ms, place);
                }
            }
            Input::Due(place) => {
                if let Some((id, execution)) = self.executions.get(place) {
                    let delay_ms = execution.delay_ms.filter(|_| self.delays);
                    out.call(creation(id, execution, delay_ms, now), |_| place);
                }
            }
            Input::Answered { continuation, answer: Err(_) } => out.wake(AGAIN_MS, continuation),
            Input::Answered { .. } | Input::Received { .. } => {}
        }
    }
}

fn creation(
    id: &ExecutionId,
    execution: &Execution,
    delay_ms: Option<u64>,
    now: TimestampMs,
) -> CreateExecution {
    CreateExecution {
        execution_id: id.clone(),
        namespace: Namespace::new("sim"),
        lane_id: LaneId::new(&execution.lane),
        execution_kind: "task".to_owned(),
        priority: execution.priority,
        creator_identity: "submitter".to_owned(),
        policy_json: policy_json(execution.capabilities.iter().map(String::as_str)),
        // What the worker is to do travels with the execution, as work does.
        payload: serde_json::to_vec(execution).expect("a plan is plain data"),
        delay_until: delay_ms.map(|ms| TimestampMs(now.0.saturating_add_unsigned(ms))),
        idempotency_key: None,
        dedup_ttl: Millis(0),
        tags: Default::default(),
        execution_deadline_at: None,
    }
}
