//! The ways to a lease: claiming a grant, resuming, reclaiming, and granting and claiming in one call.

use ff_core::{
    contracts::ClaimGrantOutcome,
    types::{AttemptId, AttemptIndex, ExecutionId, LaneId, LeaseId, TimestampMs, WorkerId, WorkerInstanceId},
};

use super::{Call, ClaimFunction, Consent, ExecutionKeys, Malformed, args};
use crate::types::{Function, Millis, grant::Lease};

/// Who claims what, for how long, and under which new ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The lane that the caller chose: a [`ClaimGrant`](crate::types::grant::ClaimGrant) does not say.
    pub lane_id: LaneId,
    /// The worker that the grant was issued to.
    pub worker_id: WorkerId,
    /// The process of that worker.
    pub worker_instance_id: WorkerInstanceId,
    /// A fresh id for the lease.
    pub lease_id: LeaseId,
    /// A fresh id for the attempt; a resumed execution keeps its own.
    pub attempt_id: AttemptId,
    /// How long the lease is to last.
    pub lease_ttl: Millis,
    /// The attempt's policy as JSON; empty for none.
    pub attempt_policy_json: String,
    /// How long the attempt may take.
    pub attempt_timeout: Option<Millis>,
    /// When the execution must have ended.
    pub execution_deadline_at: Option<TimestampMs>,
}

impl Claim {
    /// The lease in an answer of six fields. What was asked for is not what counts: the answer is.
    fn lease(&self, answer: &Consent) -> Result<Lease, Malformed> {
        Ok(Lease {
            execution_id: self.execution_id.clone(),
            lease_id: answer.field(0, "lease_id")?,
            epoch: answer.field(1, "lease_epoch")?,
            expires_at_ms: answer.field(2, "expires_at")?,
            attempt_id: answer.field(3, "attempt_id")?,
            attempt_index: answer.field(4, "attempt_index")?,
            attempt_kind: answer.field(5, "attempt_type")?,
        })
    }

    /// When the published worker thinks of renewing: after two thirds of the lease.
    fn renew_before(&self) -> Millis {
        Millis(self.lease_ttl.0.saturating_mul(2) / 3)
    }
}

/// `ff_claim_execution`, or `ff_acquire_lease` where that is what the library registers: consumes a claim grant and
/// starts a new attempt under a new lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimExecution {
    /// Which of the two the library registers.
    pub function: ClaimFunction,
    /// Who claims what.
    pub claim: Claim,
    /// The index that the new attempt will have: the execution's `total_attempt_count` as last read.
    pub expected_attempt_index: AttemptIndex,
}

impl Call for ClaimExecution {
    const FUNCTION: Function = Function::ClaimExecution;
    type Outcome = Lease;

    fn function(&self) -> Function {
        self.function.into()
    }

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.claim.execution_id);
        vec![
            exec.core(),
            exec.claim_grant(),
            index.lane_eligible(&self.claim.lane_id),
            index.lease_expiry(),
            index.worker_leases(&self.claim.worker_instance_id),
            exec.attempt_hash(self.expected_attempt_index),
            exec.attempt_usage(self.expected_attempt_index),
            exec.attempt_policy(self.expected_attempt_index),
            exec.attempts(),
            exec.lease_current(),
            exec.lease_history(),
            index.lane_active(&self.claim.lane_id),
            index.attempt_timeout(),
            index.execution_deadline(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let claim = &self.claim;
        args![
            claim.execution_id,
            claim.worker_id,
            claim.worker_instance_id,
            claim.lane_id,
            "", // capability_snapshot_hash: FlowFabric's own client sends none
            claim.lease_id,
            claim.lease_ttl,
            claim.renew_before(),
            claim.attempt_id,
            claim.attempt_policy_json,
            claim.attempt_timeout,
            claim.execution_deadline_at,
        ]
    }

    fn outcome(&self, answer: &Consent) -> Result<Lease, Malformed> {
        self.claim.lease(answer)
    }
}

/// `ff_claim_resumed_execution`: consumes the grant of an execution whose suspension ended. The attempt goes on
/// under a new lease; the claim's `attempt_id` is not sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimResumedExecution {
    /// Who claims what; its `attempt_timeout` is what the attempt has left.
    pub claim: Claim,
    /// The attempt that goes on.
    pub attempt_index: AttemptIndex,
}

impl Call for ClaimResumedExecution {
    const FUNCTION: Function = Function::ClaimResumedExecution;
    type Outcome = Lease;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.claim.execution_id);
        vec![
            exec.core(),
            exec.claim_grant(),
            index.lane_eligible(&self.claim.lane_id),
            index.lease_expiry(),
            index.worker_leases(&self.claim.worker_instance_id),
            exec.attempt_hash(self.attempt_index),
            exec.lease_current(),
            exec.lease_history(),
            index.lane_active(&self.claim.lane_id),
            index.attempt_timeout(),
            index.execution_deadline(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let claim = &self.claim;
        args![
            claim.execution_id,
            claim.worker_id,
            claim.worker_instance_id,
            claim.lane_id,
            "", // capability_snapshot_hash
            claim.lease_id,
            claim.lease_ttl,
            claim.attempt_timeout,
        ]
    }

    fn outcome(&self, answer: &Consent) -> Result<Lease, Malformed> {
        self.claim.lease(answer)
    }
}

/// `ff_reclaim_execution`: consumes a reclaim grant. A new attempt takes over from one whose lease is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReclaimExecution {
    /// Who claims what.
    pub claim: Claim,
    /// The attempt whose lease is gone.
    pub old_attempt_index: AttemptIndex,
    /// How often an execution may be reclaimed where its own policy does not say. `None` leaves it to the library.
    pub default_max_reclaim_count: Option<u32>,
}

impl Call for ReclaimExecution {
    const FUNCTION: Function = Function::ReclaimExecution;
    type Outcome = Lease;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.claim.execution_id);
        let new_attempt_index = AttemptIndex(self.old_attempt_index.0.saturating_add(1));
        vec![
            exec.core(),
            exec.claim_grant(),
            exec.attempt_hash(self.old_attempt_index),
            exec.stream_meta(self.old_attempt_index),
            exec.attempt_hash(new_attempt_index),
            exec.attempt_usage(new_attempt_index),
            exec.attempts(),
            exec.lease_current(),
            exec.lease_history(),
            index.lease_expiry(),
            index.worker_leases(&self.claim.worker_instance_id),
            index.lane_active(&self.claim.lane_id),
            index.attempt_timeout(),
            index.execution_deadline(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let claim = &self.claim;
        let mut argv = args![
            claim.execution_id,
            claim.worker_id,
            claim.worker_instance_id,
            claim.lane_id,
            claim.lease_id,
            claim.lease_ttl,
            claim.attempt_id,
            claim.attempt_policy_json,
        ];
        argv.extend(self.default_max_reclaim_count.iter().flat_map(|count| args![count]));
        argv
    }

    fn outcome(&self, answer: &Consent) -> Result<Lease, Malformed> {
        self.claim.lease(answer)
    }
}

/// `ff_issue_grant_and_claim`: an operator's grant and claim in one call, without a look at capabilities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueGrantAndClaim {
    /// Who claims what.
    pub claim: Claim,
}

impl Call for IssueGrantAndClaim {
    const FUNCTION: Function = Function::IssueGrantAndClaim;
    /// Less than a [`Lease`]: this function does not answer the expiry.
    type Outcome = ClaimGrantOutcome;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.claim.execution_id);
        vec![
            exec.core(),
            exec.claim_grant(),
            index.lane_eligible(&self.claim.lane_id),
            index.lease_expiry(),
            index.worker_leases(&self.claim.worker_instance_id),
            exec.attempts(),
            exec.lease_current(),
            exec.lease_history(),
            index.lane_active(&self.claim.lane_id),
            index.attempt_timeout(),
            index.execution_deadline(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let claim = &self.claim;
        args![
            claim.execution_id,
            claim.worker_id,
            claim.worker_instance_id,
            claim.lane_id,
            "", // capability_snapshot_hash
            claim.lease_id,
            claim.lease_ttl,
            claim.attempt_id,
            claim.attempt_policy_json,
            claim.attempt_timeout,
            claim.execution_deadline_at,
        ]
    }

    fn outcome(&self, answer: &Consent) -> Result<ClaimGrantOutcome, Malformed> {
        Ok(ClaimGrantOutcome::new(
            answer.field(0, "lease_id")?,
            answer.field(1, "lease_epoch")?,
            answer.field(2, "attempt_index")?,
        ))
    }
}
