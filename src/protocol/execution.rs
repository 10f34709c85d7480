//! An execution from creation to its end: everything but how a worker comes by a lease.

use std::collections::BTreeMap;

use ff_core::{
    keys::idempotency_key,
    types::{
        AttemptIndex, CancelSource, EdgeId, ExecutionId, LaneId, LeaseFence, Namespace, TimestampMs,
        WorkerInstanceId,
    },
};
use serde_json::json;

use super::{Call, Consent, ExecutionKeys, Malformed, Status, args, fence_args};
use crate::types::{Function, Millis};

/// `ff_create_execution`: eligible at once, or delayed iff `delay_until` is later than the server's now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CreateExecution {
    /// A fresh id.
    pub execution_id: ExecutionId,
    /// The tenant.
    pub namespace: Namespace,
    /// The lane to wait in.
    pub lane_id: LaneId,
    /// What kind of work it is: the library only stores it.
    pub execution_kind: String,
    /// Higher goes first; clamped to 0..=9000 by the library.
    pub priority: i32,
    /// Who asks.
    pub creator_identity: String,
    /// The execution's policy as JSON; [`policy_json`] makes one. Empty for none.
    pub policy_json: String,
    /// The input; empty for none.
    pub payload: Vec<u8>,
    /// Not before this time.
    pub delay_until: Option<TimestampMs>,
    /// A second creation under the same key is a duplicate.
    pub idempotency_key: Option<String>,
    /// How long the idempotency key is remembered.
    pub dedup_ttl: Millis,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// When the execution must have ended.
    pub execution_deadline_at: Option<TimestampMs>,
}

/// A policy that requires capabilities of the worker: the part of FlowFabric's policy that decides about claims.
pub fn policy_json<'a>(required_capabilities: impl IntoIterator<Item = &'a str>) -> String {
    let capabilities: Vec<_> = required_capabilities.into_iter().collect();
    match capabilities.is_empty() {
        true => String::new(),
        false => json!({ "routing_requirements": { "required_capabilities": capabilities } }).to_string(),
    }
}

/// What came of [`CreateExecution`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateExecutionOutcome {
    /// It exists now, in this public state: `waiting` or `delayed`.
    Created {
        /// The state.
        public_state: String,
    },
    /// It existed, perhaps under another id that had the same idempotency key.
    Duplicate {
        /// What existed.
        execution_id: ExecutionId,
    },
}

impl Call for CreateExecution {
    const FUNCTION: Function = Function::CreateExecution;
    type Outcome = CreateExecutionOutcome;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        vec![
            exec.core(),
            exec.payload(),
            exec.policy(),
            exec.tags(),
            match self.delay_until {
                Some(_) => index.lane_delayed(&self.lane_id),
                None => index.lane_eligible(&self.lane_id),
            },
            match &self.idempotency_key {
                Some(key) => idempotency_key(exec.hash_tag(), self.namespace.as_str(), key),
                None => exec.noop(),
            },
            index.execution_deadline(),
            index.all_executions(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![
            self.execution_id,
            self.namespace,
            self.lane_id,
            self.execution_kind,
            self.priority,
            self.creator_identity,
            self.policy_json,
            self.payload,
            self.delay_until,
            self.idempotency_key.as_ref().map(|_| self.dedup_ttl),
            json!(self.tags).to_string(),
            self.execution_deadline_at,
            u32::from(self.execution_id.partition()),
        ]
    }

    fn outcome(&self, answer: &Consent) -> Result<CreateExecutionOutcome, Malformed> {
        match answer.status {
            Status::Ok => {
                Ok(CreateExecutionOutcome::Created { public_state: answer.field(1, "public_state")? })
            }
            Status::Duplicate => {
                Ok(CreateExecutionOutcome::Duplicate { execution_id: answer.field(0, "execution_id")? })
            }
            _ => Err(answer.unexpected()),
        }
    }
}

/// Who ends an attempt, and by what right: shared by the calls that do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its lane.
    pub lane_id: LaneId,
    /// The worker that holds the lease.
    pub worker_instance_id: WorkerInstanceId,
    /// The current attempt.
    pub attempt_index: AttemptIndex,
    /// Proof of ownership; without it `source` must be an operator's override.
    pub fence: Option<LeaseFence>,
    /// Who asks: the default is an operator, a worker says [`CancelSource::LeaseHolder`].
    pub source: CancelSource,
}

impl Owned {
    /// What a worker says of its own lease.
    pub fn by(
        lease: &crate::types::grant::Lease,
        lane_id: LaneId,
        worker_instance_id: WorkerInstanceId,
    ) -> Self {
        Self {
            execution_id: lease.execution_id.clone(),
            lane_id,
            worker_instance_id,
            attempt_index: lease.attempt_index,
            fence: Some(lease.fence()),
            source: CancelSource::LeaseHolder,
        }
    }

    /// ARGV that all of them begin with: the id and the fence.
    fn argv(&self) -> Vec<Vec<u8>> {
        let mut argv = args![self.execution_id];
        argv.extend(fence_args(self.fence.as_ref()));
        argv
    }

    /// KEYS of the two calls that leave for another index and come back: `delay` and `waiting for children`.
    fn keys_to(&self, target: impl FnOnce(&ExecutionKeys) -> String) -> Vec<String> {
        let keys = ExecutionKeys::of(&self.execution_id);
        let ExecutionKeys { exec, index } = &keys;
        vec![
            exec.core(),
            exec.attempt_hash(self.attempt_index),
            exec.lease_current(),
            exec.lease_history(),
            index.lease_expiry(),
            index.worker_leases(&self.worker_instance_id),
            index.lane_active(&self.lane_id),
            target(&keys),
            index.attempt_timeout(),
        ]
    }
}

/// `ff_complete_execution`: the attempt succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteExecution {
    /// Whose attempt.
    pub owned: Owned,
    /// What came of the work; empty for nothing.
    pub result: Vec<u8>,
}

impl Call for CompleteExecution {
    const FUNCTION: Function = Function::CompleteExecution;
    type Outcome = ();

    fn keys(&self) -> Vec<String> {
        let Owned { execution_id, lane_id, worker_instance_id, attempt_index, .. } = &self.owned;
        let ExecutionKeys { exec, index } = ExecutionKeys::of(execution_id);
        vec![
            exec.core(),
            exec.attempt_hash(*attempt_index),
            index.lease_expiry(),
            index.worker_leases(worker_instance_id),
            index.lane_terminal(lane_id),
            exec.lease_current(),
            exec.lease_history(),
            index.lane_active(lane_id),
            exec.stream_meta(*attempt_index),
            exec.result(),
            index.attempt_timeout(),
            index.execution_deadline(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let mut argv = self.owned.argv();
        argv.extend(args![self.result, self.owned.source]);
        argv
    }

    fn outcome(&self, _: &Consent) -> Result<(), Malformed> {
        Ok(())
    }
}

/// `ff_fail_execution`: the attempt failed; the retry policy decides whether there is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailExecution {
    /// Whose attempt.
    pub owned: Owned,
    /// What went wrong.
    pub reason: String,
    /// The kind of failure, for the retry policy.
    pub category: String,
    /// The retry policy as JSON; empty for no retry.
    pub retry_policy_json: String,
}

/// What came of [`FailExecution`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailExecutionOutcome {
    /// There will be another attempt.
    RetryScheduled {
        /// Not before this time.
        delay_until: TimestampMs,
    },
    /// That was the last attempt.
    TerminalFailed,
}

impl Call for FailExecution {
    const FUNCTION: Function = Function::FailExecution;
    type Outcome = FailExecutionOutcome;

    fn keys(&self) -> Vec<String> {
        let Owned { execution_id, lane_id, worker_instance_id, attempt_index, .. } = &self.owned;
        let ExecutionKeys { exec, index } = ExecutionKeys::of(execution_id);
        vec![
            exec.core(),
            exec.attempt_hash(*attempt_index),
            index.lease_expiry(),
            index.worker_leases(worker_instance_id),
            index.lane_terminal(lane_id),
            index.lane_delayed(lane_id),
            exec.lease_current(),
            exec.lease_history(),
            index.lane_active(lane_id),
            exec.stream_meta(*attempt_index),
            index.attempt_timeout(),
            index.execution_deadline(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let mut argv = self.owned.argv();
        argv.extend(args![self.reason, self.category, self.retry_policy_json, self.owned.source]);
        argv
    }

    fn outcome(&self, answer: &Consent) -> Result<FailExecutionOutcome, Malformed> {
        match answer.field::<String>(0, "outcome")?.as_str() {
            "retry_scheduled" => {
                Ok(FailExecutionOutcome::RetryScheduled { delay_until: answer.field(1, "delay_until")? })
            }
            "terminal_failed" => Ok(FailExecutionOutcome::TerminalFailed),
            _ => Err(answer.unexpected()),
        }
    }
}

/// `ff_delay_execution`: the worker gives the execution back until later. Answers until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayExecution {
    /// Whose attempt.
    pub owned: Owned,
    /// Not before this time.
    pub delay_until: TimestampMs,
}

impl Call for DelayExecution {
    const FUNCTION: Function = Function::DelayExecution;
    type Outcome = TimestampMs;

    fn keys(&self) -> Vec<String> {
        self.owned.keys_to(|keys| keys.index.lane_delayed(&self.owned.lane_id))
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let mut argv = self.owned.argv();
        argv.extend(args![self.delay_until, self.owned.source]);
        argv
    }

    fn outcome(&self, answer: &Consent) -> Result<TimestampMs, Malformed> {
        answer.field(0, "delay_until")
    }
}

/// `ff_move_to_waiting_children`: the worker gives the execution back until its children have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveToWaitingChildren {
    /// Whose attempt.
    pub owned: Owned,
}

impl Call for MoveToWaitingChildren {
    const FUNCTION: Function = Function::MoveToWaitingChildren;
    type Outcome = ();

    fn keys(&self) -> Vec<String> {
        self.owned.keys_to(|keys| keys.index.lane_blocked_dependencies(&self.owned.lane_id))
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let mut argv = self.owned.argv();
        argv.extend(args![self.owned.source]);
        argv
    }

    fn outcome(&self, _: &Consent) -> Result<(), Malformed> {
        Ok(())
    }
}

/// `ff_cancel_execution`: ends an execution in whatever state it is; fenced only where the fence is given and the
/// source is not an operator's override. The attempt id of the fence is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelExecution {
    /// Whose attempt, if there is one.
    pub owned: Owned,
    /// Why.
    pub reason: String,
}

impl Call for CancelExecution {
    const FUNCTION: Function = Function::CancelExecution;
    /// The lifecycle phase that it was cancelled from.
    type Outcome = String;

    fn keys(&self) -> Vec<String> {
        let Owned { execution_id, lane_id, worker_instance_id, attempt_index, .. } = &self.owned;
        let ExecutionKeys { exec, index } = ExecutionKeys::of(execution_id);
        vec![
            exec.core(),
            exec.attempt_hash(*attempt_index),
            exec.stream_meta(*attempt_index),
            exec.lease_current(),
            exec.lease_history(),
            index.lease_expiry(),
            index.worker_leases(worker_instance_id),
            exec.suspension_current(),
            // FlowFabric's client does not know the waitpoint and sends this key in place of both of its keys.
            exec.suspension_current(),
            exec.suspension_current(),
            index.suspension_timeout(),
            index.lane_terminal(lane_id),
            index.attempt_timeout(),
            index.execution_deadline(),
            index.lane_eligible(lane_id),
            index.lane_delayed(lane_id),
            index.lane_blocked_dependencies(lane_id),
            index.lane_blocked_budget(lane_id),
            index.lane_blocked_quota(lane_id),
            index.lane_blocked_route(lane_id),
            index.lane_blocked_operator(lane_id),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let [lease_id, lease_epoch, _] = fence_args(self.owned.fence.as_ref());
        args![self.owned.execution_id, self.reason, self.owned.source, lease_id, lease_epoch]
    }

    fn outcome(&self, answer: &Consent) -> Result<String, Malformed> {
        answer.field(1, "cancelled_from")
    }
}

/// `ff_expire_execution`: a scanner ends an execution whose attempt or deadline timed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpireExecution {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its lane.
    pub lane_id: LaneId,
    /// The worker that holds the lease, if there is one.
    pub worker_instance_id: WorkerInstanceId,
    /// The current attempt.
    pub attempt_index: AttemptIndex,
    /// `attempt_timeout` or `execution_deadline`.
    pub reason: String,
}

super::words! {
    /// What came of [`ExpireExecution`].
    pub enum ExpireExecutionOutcome {
        /// It ended now.
        Expired = "expired",
        /// It had ended before.
        AlreadyTerminal = "already_terminal",
        /// There is no such execution; the index was cleaned.
        NotFoundCleaned = "not_found_cleaned",
    }
}

impl Call for ExpireExecution {
    const FUNCTION: Function = Function::ExpireExecution;
    type Outcome = ExpireExecutionOutcome;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        vec![
            exec.core(),
            exec.attempt_hash(self.attempt_index),
            exec.stream_meta(self.attempt_index),
            exec.lease_current(),
            exec.lease_history(),
            index.lease_expiry(),
            index.worker_leases(&self.worker_instance_id),
            index.lane_active(&self.lane_id),
            index.lane_terminal(&self.lane_id),
            index.attempt_timeout(),
            index.execution_deadline(),
            index.lane_suspended(&self.lane_id),
            index.suspension_timeout(),
            exec.suspension_current(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.execution_id, self.reason]
    }

    fn outcome(&self, answer: &Consent) -> Result<ExpireExecutionOutcome, Malformed> {
        answer.field(0, "outcome")
    }
}

/// `ff_replay_execution`: a terminal execution becomes eligible again, or waits again for the dependencies that
/// made it skipped. Answers how many of those are unsatisfied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayExecution {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its lane.
    pub lane_id: LaneId,
    /// The caller's now.
    pub now: TimestampMs,
    /// The dependencies of a skipped member of a flow; empty for any other execution.
    pub edges: Vec<EdgeId>,
}

impl Call for ReplayExecution {
    const FUNCTION: Function = Function::ReplayExecution;
    type Outcome = u32;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        let mut keys = vec![
            exec.core(),
            index.lane_terminal(&self.lane_id),
            index.lane_eligible(&self.lane_id),
            exec.lease_history(),
        ];
        if !self.edges.is_empty() {
            keys.extend([
                index.lane_blocked_dependencies(&self.lane_id),
                exec.deps_meta(),
                exec.deps_unresolved(),
            ]);
            keys.extend(self.edges.iter().map(|edge| exec.dep_edge(edge)));
        }
        keys
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let mut argv = args![self.execution_id, self.now];
        argv.extend(self.edges.iter().flat_map(|edge| args![edge]));
        argv
    }

    fn outcome(&self, answer: &Consent) -> Result<u32, Malformed> {
        answer.field(0, "unsatisfied")
    }
}
