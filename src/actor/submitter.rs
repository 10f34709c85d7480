//! The submitter creates the plan's executions, and asks again until it knows that they exist.

use ff_core::types::{ExecutionId, LaneId, Namespace, TimestampMs};

use super::{Actor, Input, Outbox};
use crate::{
    grant::Millis,
    library::Functions,
    plan::Execution,
    protocol::{CreateExecution, policy_json},
};

/// How long it waits before it asks again after a lost reply. The id stays the same, so nothing is created twice.
const AGAIN_MS: u64 = 250;

/// Creates executions.
pub struct Submitter {
    executions: Vec<(ExecutionId, Execution)>,
    /// Whether the library has anything that ends a delay.
    delays: bool,
}

/// What the submitter comes back to: an execution, by its place in the plan.
pub type Then = usize;

impl Submitter {
    /// Submits these, each at its time; a library that promotes nothing is asked for no delay.
    pub fn new(executions: Vec<(ExecutionId, Execution)>, functions: &Functions) -> Self {
        Self { executions, delays: functions.has("ff_promote_delayed") }
    }
}

impl Actor for Submitter {
    type Then = Then;

    fn step(&mut self, now: TimestampMs, input: Input<Then>, out: &mut Outbox<Then>) {
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
            Input::Answered { then, answer: Err(_) } => out.wake(AGAIN_MS, then),
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
