//! Suspension: a worker gives up its lease to wait for a signal, and the execution comes back when it arrives or
//! when the wait times out. Signals and the tokens of waitpoints are in `signal`.

use ff_core::types::{
    AttemptIndex, ExecutionId, LaneId, LeaseFence, SuspensionId, TimestampMs, WaitpointId, WaitpointKey,
    WorkerInstanceId,
};

use super::{Call, Consent, ExecutionKeys, Malformed, Status, args, words};
use crate::types::{Function, Millis};

/// A place where a signal can be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Waitpoint {
    /// The waitpoint.
    pub id: WaitpointId,
    /// What the outside calls it.
    pub key: WaitpointKey,
}

words! {
    /// What becomes of an execution whose suspension times out.
    pub enum TimeoutBehavior {
        /// It fails.
        Fail = "fail",
        /// It is cancelled.
        Cancel = "cancel",
        /// It expires.
        Expire = "expire",
        /// It goes on as if the signal had come.
        AutoResume = "auto_resume_with_timeout_signal",
        /// It stays suspended, for an operator to look at.
        Escalate = "escalate",
    }
}

/// `ff_suspend_execution`: releases the lease and waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspendExecution {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its lane.
    pub lane_id: LaneId,
    /// The worker that holds the lease.
    pub worker_instance_id: WorkerInstanceId,
    /// The current attempt: it goes on later.
    pub attempt_index: AttemptIndex,
    /// Proof of ownership; without it the library answers `fence_required`.
    pub fence: Option<LeaseFence>,
    /// A fresh id.
    pub suspension_id: SuspensionId,
    /// What is waited at.
    pub waitpoint: Waitpoint,
    /// More that is waited at.
    pub extra_waitpoints: Vec<Waitpoint>,
    /// `waiting_for_signal`, `waiting_for_approval` …
    pub reason_code: String,
    /// Who asks: `worker`, `operator` …
    pub requested_by: String,
    /// When the wait is over in any case.
    pub timeout_at: Option<TimestampMs>,
    /// And what happens then.
    pub timeout_behavior: TimeoutBehavior,
    /// What satisfies the suspension, as JSON.
    pub resume_condition_json: String,
    /// How the execution comes back, as JSON.
    pub resume_policy_json: String,
    /// Where the worker left its state.
    pub continuation_metadata_pointer: Option<String>,
    /// Whether the waitpoint was created before, as a pending one.
    pub use_pending_waitpoint: bool,
    /// A second suspension under the same key answers as the first did.
    pub idempotency_key: Option<String>,
    /// How long the idempotency key is remembered.
    pub dedup_ttl: Millis,
}

/// How many events a lease's history keeps, about.
const LEASE_HISTORY_MAXLEN: u32 = 1_000;

/// What came of [`SuspendExecution`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspended {
    /// Whether a signal that had come before satisfied the condition at once: the lease is kept then.
    pub already_satisfied: bool,
    /// The suspension.
    pub suspension_id: SuspensionId,
    /// What is waited at.
    pub waitpoint: Waitpoint,
    /// What a signal must show.
    pub waitpoint_token: String,
}

impl Call for SuspendExecution {
    const FUNCTION: Function = Function::SuspendExecution;
    type Outcome = Suspended;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        let mut keys = vec![
            exec.core(),
            exec.attempt_hash(self.attempt_index),
            exec.lease_current(),
            exec.lease_history(),
            index.lease_expiry(),
            index.worker_leases(&self.worker_instance_id),
            exec.suspension_current(),
            exec.waitpoint(&self.waitpoint.id),
            exec.waitpoint_signals(&self.waitpoint.id),
            index.suspension_timeout(),
            index.pending_waitpoint_expiry(),
            index.lane_active(&self.lane_id),
            index.lane_suspended(&self.lane_id),
            exec.waitpoints(),
            exec.waitpoint_condition(&self.waitpoint.id),
            index.attempt_timeout(),
            index.waitpoint_hmac_secrets(),
            match &self.idempotency_key {
                Some(key) => exec.suspend_dedup(key),
                None => exec.noop(),
            },
        ];
        for Waitpoint { id, .. } in &self.extra_waitpoints {
            keys.extend([exec.waitpoint(id), exec.waitpoint_signals(id), exec.waitpoint_condition(id)]);
        }
        keys
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let fence = self.fence.as_ref();
        let mut argv = args![
            self.execution_id,
            self.attempt_index,
            fence.map(|f| &f.attempt_id),
            fence.map(|f| &f.lease_id),
            fence.map(|f| &f.lease_epoch),
            self.suspension_id,
            self.waitpoint.id,
            self.waitpoint.key,
            self.reason_code,
            self.requested_by,
            self.timeout_at,
            self.resume_condition_json,
            self.resume_policy_json,
            self.continuation_metadata_pointer,
            self.use_pending_waitpoint.then_some("1"),
            self.timeout_behavior,
            LEASE_HISTORY_MAXLEN,
            self.idempotency_key,
            self.dedup_ttl,
            self.extra_waitpoints.len(),
        ];
        argv.extend(self.extra_waitpoints.iter().flat_map(|waitpoint| args![waitpoint.id, waitpoint.key]));
        argv
    }

    fn outcome(&self, answer: &Consent) -> Result<Suspended, Malformed> {
        Ok(Suspended {
            already_satisfied: answer.status == Status::AlreadySatisfied,
            suspension_id: answer.field(0, "suspension_id")?,
            waitpoint: Waitpoint {
                id: answer.field(1, "waitpoint_id")?,
                key: answer.field(2, "waitpoint_key")?,
            },
            waitpoint_token: answer.field(3, "waitpoint_token")?,
        })
    }
}

words! {
    /// Who or what ends a suspension.
    pub enum ResumeTrigger {
        /// The signal that was waited for.
        Signal = "signal",
        /// An operator.
        Operator = "operator",
        /// The timeout, for executions that go on in any case.
        AutoResume = "auto_resume",
    }
}

/// `ff_resume_execution`: a suspended execution becomes eligible, or delayed. Answers its public state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeExecution {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its lane.
    pub lane_id: LaneId,
    /// What it waits at.
    pub waitpoint_id: WaitpointId,
    /// Who or what resumes it.
    pub trigger: ResumeTrigger,
    /// How long it is to wait before it is eligible.
    pub resume_delay: Millis,
}

impl Call for ResumeExecution {
    const FUNCTION: Function = Function::ResumeExecution;
    type Outcome = String;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        vec![
            exec.core(),
            exec.suspension_current(),
            exec.waitpoint(&self.waitpoint_id),
            exec.waitpoint_signals(&self.waitpoint_id),
            index.suspension_timeout(),
            index.lane_eligible(&self.lane_id),
            index.lane_delayed(&self.lane_id),
            index.lane_suspended(&self.lane_id),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.execution_id, self.trigger, self.resume_delay]
    }

    fn outcome(&self, answer: &Consent) -> Result<String, Malformed> {
        answer.field(0, "public_state")
    }
}

/// `ff_expire_suspension`: the suspension timeout scanner's call. Answers what was done: `not_yet_due`, a behaviour
/// (`fail`, `auto_resume` …), or how the index was cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpireSuspension {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its lane.
    pub lane_id: LaneId,
    /// What it waits at.
    pub waitpoint_id: WaitpointId,
    /// The current attempt.
    pub attempt_index: AttemptIndex,
}

impl Call for ExpireSuspension {
    const FUNCTION: Function = Function::ExpireSuspension;
    type Outcome = String;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        vec![
            exec.core(),
            exec.suspension_current(),
            exec.waitpoint(&self.waitpoint_id),
            exec.waitpoint_condition(&self.waitpoint_id),
            exec.attempt_hash(self.attempt_index),
            exec.stream_meta(self.attempt_index),
            index.suspension_timeout(),
            index.lane_suspended(&self.lane_id),
            index.lane_terminal(&self.lane_id),
            index.lane_eligible(&self.lane_id),
            index.lane_delayed(&self.lane_id),
            exec.lease_history(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.execution_id]
    }

    fn outcome(&self, answer: &Consent) -> Result<String, Malformed> {
        answer.field(0, "behavior")
    }
}
