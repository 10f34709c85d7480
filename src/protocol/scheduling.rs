//! What schedulers and scanners ask for: grants, and moves between the sets that executions wait in.

use std::collections::BTreeSet;

use ff_core::keys::IndexKeys;
use ff_core::types::{ExecutionId, LaneId, TimestampMs, WorkerId, WorkerInstanceId};

use super::{Call, Consent, ExecutionKeys, Malformed, args, words};
use crate::types::{Function, Millis, grant::ReclaimGrant};

/// Who is to be granted what, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrantRequest {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The lane it was found in.
    pub lane_id: LaneId,
    /// The worker that may consume the grant.
    pub worker_id: WorkerId,
    /// The process of that worker.
    pub worker_instance_id: WorkerInstanceId,
    /// How long the grant is valid.
    pub grant_ttl: Millis,
    /// What the worker can do; must contain all that the execution requires.
    pub capabilities: BTreeSet<String>,
    /// What the grant's record says beside: nothing that the protocol looks at.
    pub notes: GrantNotes,
}

/// What a grant's record says for those who read it later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GrantNotes {
    /// A hash of the worker's capabilities.
    pub capability_hash: String,
    /// How the execution was routed, as JSON.
    pub route_snapshot_json: String,
    /// How it was admitted.
    pub admission_summary: String,
}

impl GrantRequest {
    fn argv(&self) -> Vec<Vec<u8>> {
        // A BTreeSet is sorted, as the library wants the list to be.
        let capabilities = self.capabilities.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        args![
            self.execution_id,
            self.worker_id,
            self.worker_instance_id,
            self.lane_id,
            self.notes.capability_hash,
            self.grant_ttl,
            self.notes.route_snapshot_json,
            self.notes.admission_summary,
            capabilities,
        ]
    }
}

/// `ff_issue_claim_grant`: writes a grant for an eligible execution. The execution stays in the eligible set.
///
/// The answer does not tell when the grant expires: a scheduler computes it from the server time that it read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IssueClaimGrant(pub GrantRequest);

impl Call for IssueClaimGrant {
    const FUNCTION: Function = Function::IssueClaimGrant;
    type Outcome = ();

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.0.execution_id);
        vec![exec.core(), exec.claim_grant(), index.lane_eligible(&self.0.lane_id)]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        self.0.argv()
    }

    fn outcome(&self, _: &Consent) -> Result<(), Malformed> {
        Ok(())
    }
}

/// `ff_issue_reclaim_grant`: writes a grant for an execution whose lease expired or was revoked.
///
/// The answer tells when the grant expires. Libraries before version 28 (ff-script 0.12) answer the execution's id only: the
/// caller then [computes](Self::computed) the expiry by its own clock, as the clients of that time did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IssueReclaimGrant(pub GrantRequest);

impl Call for IssueReclaimGrant {
    const FUNCTION: Function = Function::IssueReclaimGrant;
    type Outcome = Option<ReclaimGrant>;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.0.execution_id);
        vec![exec.core(), exec.claim_grant(), index.lease_expiry()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        self.0.argv()
    }

    fn outcome(&self, answer: &Consent) -> Result<Option<ReclaimGrant>, Malformed> {
        // Of two fields the second is the expiry. Of one there is none to read: an old library.
        if answer.fields.len() == 1 {
            return Ok(None);
        }
        Ok(Some(self.granted(answer.field(1, "grant_expires_at")?)))
    }
}

impl IssueReclaimGrant {
    /// The grant by the clock of its caller, for a library that does not tell the server's.
    pub fn computed(&self, now: TimestampMs) -> ReclaimGrant {
        self.granted(self.0.grant_ttl.after(now))
    }

    fn granted(&self, expires_at_ms: TimestampMs) -> ReclaimGrant {
        ReclaimGrant::new(self.0.execution_id.clone(), self.0.lane_id.clone(), expires_at_ms)
    }
}

/// `ff_change_priority`: moves an eligible execution forward or back in its lane. Answers old and new priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangePriority {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its lane.
    pub lane_id: LaneId,
    /// Higher goes first.
    pub priority: i32,
}

impl Call for ChangePriority {
    const FUNCTION: Function = Function::ChangePriority;
    type Outcome = (i64, i64);

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        vec![exec.core(), index.lane_eligible(&self.lane_id)]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.execution_id, self.priority]
    }

    fn outcome(&self, answer: &Consent) -> Result<(i64, i64), Malformed> {
        Ok((answer.field(0, "old_priority")?, answer.field(1, "new_priority")?))
    }
}

/// `ff_promote_delayed`: the delayed promoter's call. Due or not is decided by the caller's now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromoteDelayed {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its lane.
    pub lane_id: LaneId,
    /// The caller's now.
    pub now: TimestampMs,
}

words! {
    /// What came of [`PromoteDelayed`].
    pub enum PromoteDelayedOutcome {
        /// It is eligible now.
        Promoted = "promoted",
        /// It is not due yet.
        NotYetDue = "not_yet_due",
        /// There is no such execution; the index was cleaned.
        NotFoundCleaned = "not_found_cleaned",
        /// It is no longer runnable; the index was cleaned.
        NotRunnableCleaned = "not_runnable_cleaned",
        /// It is not delayed; the index was cleaned.
        NotDelayedCleaned = "not_delayed_cleaned",
    }
}

impl Call for PromoteDelayed {
    const FUNCTION: Function = Function::PromoteDelayed;
    type Outcome = PromoteDelayedOutcome;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        vec![exec.core(), index.lane_delayed(&self.lane_id), index.lane_eligible(&self.lane_id)]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.execution_id, self.now]
    }

    fn outcome(&self, answer: &Consent) -> Result<PromoteDelayedOutcome, Malformed> {
        answer.field(0, "outcome")
    }
}

words! {
    /// Why an execution is kept out of the eligible set.
    pub enum BlockingReason {
        /// A budget is used up.
        Budget = "waiting_for_budget",
        /// A quota admits no more.
        Quota = "waiting_for_quota",
        /// No worker that asked can do what it requires.
        Capability = "waiting_for_capable_worker",
        /// An operator holds it back.
        Operator = "paused_by_operator",
    }
}

impl BlockingReason {
    /// The set in which an execution waits that is blocked for this reason.
    pub(super) fn blocked_set(self, index: &IndexKeys, lane_id: &LaneId) -> String {
        match self {
            BlockingReason::Budget => index.lane_blocked_budget(lane_id),
            BlockingReason::Quota => index.lane_blocked_quota(lane_id),
            BlockingReason::Capability => index.lane_blocked_route(lane_id),
            BlockingReason::Operator => index.lane_blocked_operator(lane_id),
        }
    }
}

/// `ff_block_execution_for_admission`: takes an execution out of the eligible set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockExecution {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its lane.
    pub lane_id: LaneId,
    /// Why.
    pub reason: BlockingReason,
    /// Why, for people.
    pub detail: String,
    /// The caller's now.
    pub now: TimestampMs,
}

impl Call for BlockExecution {
    const FUNCTION: Function = Function::BlockExecutionForAdmission;
    type Outcome = ();

    fn keys(&self) -> Vec<String> {
        let keys = ExecutionKeys::of(&self.execution_id);
        let blocked = self.reason.blocked_set(&keys.index, &self.lane_id);
        vec![keys.exec.core(), keys.index.lane_eligible(&self.lane_id), blocked]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.execution_id, self.reason, self.detail, self.now]
    }

    fn outcome(&self, _: &Consent) -> Result<(), Malformed> {
        Ok(())
    }
}

/// `ff_unblock_execution`: puts a blocked execution back into the eligible set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnblockExecution {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its lane.
    pub lane_id: LaneId,
    /// What blocks it, as far as the caller knows; refused when it is another reason.
    pub expected_reason: BlockingReason,
    /// The caller's now.
    pub now: TimestampMs,
}

impl Call for UnblockExecution {
    const FUNCTION: Function = Function::UnblockExecution;
    type Outcome = ();

    fn keys(&self) -> Vec<String> {
        let keys = ExecutionKeys::of(&self.execution_id);
        let blocked = self.expected_reason.blocked_set(&keys.index, &self.lane_id);
        vec![keys.exec.core(), blocked, keys.index.lane_eligible(&self.lane_id)]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.execution_id, self.now, self.expected_reason]
    }

    fn outcome(&self, _: &Consent) -> Result<(), Malformed> {
        Ok(())
    }
}
