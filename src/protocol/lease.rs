//! What can happen to a lease that exists: renewal, expiry, revocation.

use ff_core::types::{AttemptIndex, ExecutionId, LeaseFence, LeaseId, TimestampMs, WorkerInstanceId};

use super::{Call, Consent, ExecutionKeys, Malformed, Status, args, words};
use crate::types::{Function, Millis, grant::Lease};

/// How long FlowFabric lets `lease:current` outlive its lease (the default of `ff-core`'s `RenewLeaseArgs`).
pub const LEASE_HISTORY_GRACE: Millis = Millis(60_000);

/// `ff_renew_lease`: moves the expiry of a lease that is still valid. Answers the new expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewLease {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The lease's attempt.
    pub attempt_index: AttemptIndex,
    /// Proof of ownership; without it the library answers `fence_required`.
    pub fence: Option<LeaseFence>,
    /// How long the lease is to last from now on.
    pub lease_ttl: Millis,
    /// How long the record of the lease may outlive it.
    pub history_grace: Millis,
}

impl RenewLease {
    /// Renews a lease for as long as `lease_ttl`.
    pub fn of(lease: &Lease, lease_ttl: Millis) -> Self {
        Self {
            execution_id: lease.execution_id.clone(),
            attempt_index: lease.attempt_index,
            fence: Some(lease.fence()),
            lease_ttl,
            history_grace: LEASE_HISTORY_GRACE,
        }
    }
}

impl Call for RenewLease {
    const FUNCTION: Function = Function::RenewLease;
    type Outcome = TimestampMs;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        vec![exec.core(), exec.lease_current(), exec.lease_history(), index.lease_expiry()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let fence = self.fence.as_ref();
        args![
            self.execution_id,
            self.attempt_index,
            fence.map(|f| &f.attempt_id),
            fence.map(|f| &f.lease_id),
            fence.map(|f| &f.lease_epoch),
            self.lease_ttl,
            self.history_grace,
        ]
    }

    fn outcome(&self, answer: &Consent) -> Result<TimestampMs, Malformed> {
        answer.field(0, "new_expires_at")
    }
}

/// `ff_mark_lease_expired_if_due`: the expiry scanner's call. Whether the lease is due is for the server to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkLeaseExpired {
    /// The execution.
    pub execution_id: ExecutionId,
}

/// What came of [`MarkLeaseExpired`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkLeaseExpiredOutcome {
    /// The lease had expired, and now says so.
    Marked,
    /// Nothing was to be done, for this reason: `not_yet_expired`, `already_expired`, `not_active` …
    NothingDue(String),
}

impl Call for MarkLeaseExpired {
    const FUNCTION: Function = Function::MarkLeaseExpiredIfDue;
    type Outcome = MarkLeaseExpiredOutcome;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        vec![exec.core(), exec.lease_current(), index.lease_expiry(), exec.lease_history()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.execution_id]
    }

    fn outcome(&self, answer: &Consent) -> Result<MarkLeaseExpiredOutcome, Malformed> {
        match answer.status {
            Status::Ok => Ok(MarkLeaseExpiredOutcome::Marked),
            Status::AlreadySatisfied => Ok(MarkLeaseExpiredOutcome::NothingDue(answer.field(0, "reason")?)),
            _ => Err(answer.unexpected()),
        }
    }
}

/// `ff_revoke_lease`: an operator takes a lease away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeLease {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The worker that holds the lease.
    pub worker_instance_id: WorkerInstanceId,
    /// The lease to revoke; `None` for whichever is current.
    pub expected_lease_id: Option<LeaseId>,
    /// Why, for the history.
    pub reason: String,
}

words! {
    /// What came of [`RevokeLease`].
    pub enum RevokeLeaseOutcome {
        /// The lease was revoked.
        Revoked = "revoked",
        /// Somebody had revoked it before.
        AlreadyRevoked = "already_revoked",
        /// It had expired before.
        AlreadyExpired = "already_expired",
    }
}

impl Call for RevokeLease {
    const FUNCTION: Function = Function::RevokeLease;
    type Outcome = RevokeLeaseOutcome;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        vec![
            exec.core(),
            exec.lease_current(),
            exec.lease_history(),
            index.lease_expiry(),
            index.worker_leases(&self.worker_instance_id),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.execution_id, self.expected_lease_id, self.reason]
    }

    fn outcome(&self, answer: &Consent) -> Result<RevokeLeaseOutcome, Malformed> {
        answer.field(0, "outcome")
    }
}
