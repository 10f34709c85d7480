//! The functions that a FlowFabric library registers.

use super::word::open_words;

open_words! {
    /// A function of the library: the 59 that ff-script 0.15 registers, `ff_acquire_lease` (which the documentation names
    /// beside `ff_claim_execution`), and whatever else a library has.
    ///
    /// ```
    /// use grantsim::types::Function;
    /// assert_eq!(Function::from("ff_renew_lease"), Function::RenewLease);
    /// assert_eq!(Function::from("ff_moon_phase").as_str(), "ff_moon_phase");
    /// assert_eq!(Function::KNOWN.len(), 60);
    /// ```
    pub enum Function {
        AckCancelMember = "ff_ack_cancel_member",
        AcquireLease = "ff_acquire_lease",
        AddExecutionToFlow = "ff_add_execution_to_flow",
        AppendFrame = "ff_append_frame",
        ApplyDependencyToChild = "ff_apply_dependency_to_child",
        BlockExecutionForAdmission = "ff_block_execution_for_admission",
        BufferSignalForPendingWaitpoint = "ff_buffer_signal_for_pending_waitpoint",
        CancelExecution = "ff_cancel_execution",
        CancelFlow = "ff_cancel_flow",
        ChangePriority = "ff_change_priority",
        CheckAdmissionAndRecord = "ff_check_admission_and_record",
        ClaimExecution = "ff_claim_execution",
        ClaimResumedExecution = "ff_claim_resumed_execution",
        CloseWaitpoint = "ff_close_waitpoint",
        CompleteExecution = "ff_complete_execution",
        CreateBudget = "ff_create_budget",
        CreateExecution = "ff_create_execution",
        CreateFlow = "ff_create_flow",
        CreatePendingWaitpoint = "ff_create_pending_waitpoint",
        CreateQuotaPolicy = "ff_create_quota_policy",
        DelayExecution = "ff_delay_execution",
        DeliverSignal = "ff_deliver_signal",
        DrainSiblingCancelGroup = "ff_drain_sibling_cancel_group",
        EvaluateFlowEligibility = "ff_evaluate_flow_eligibility",
        ExpireExecution = "ff_expire_execution",
        ExpireSuspension = "ff_expire_suspension",
        FailExecution = "ff_fail_execution",
        HeartbeatWorker = "ff_heartbeat_worker",
        IssueClaimGrant = "ff_issue_claim_grant",
        IssueGrantAndClaim = "ff_issue_grant_and_claim",
        IssueReclaimGrant = "ff_issue_reclaim_grant",
        ListWaitpointHmacKids = "ff_list_waitpoint_hmac_kids",
        MarkLeaseExpiredIfDue = "ff_mark_lease_expired_if_due",
        MoveToWaitingChildren = "ff_move_to_waiting_children",
        PromoteBlockedToEligible = "ff_promote_blocked_to_eligible",
        PromoteDelayed = "ff_promote_delayed",
        ReadAttemptStream = "ff_read_attempt_stream",
        ReadSummary = "ff_read_summary",
        ReclaimExecution = "ff_reclaim_execution",
        ReconcileSiblingCancelGroup = "ff_reconcile_sibling_cancel_group",
        RecordSpend = "ff_record_spend",
        RegisterWorker = "ff_register_worker",
        ReleaseAdmission = "ff_release_admission",
        ReleaseBudget = "ff_release_budget",
        RenewLease = "ff_renew_lease",
        ReplayExecution = "ff_replay_execution",
        ReportUsageAndCheck = "ff_report_usage_and_check",
        ResetBudget = "ff_reset_budget",
        ResolveDependency = "ff_resolve_dependency",
        ResumeExecution = "ff_resume_execution",
        RevokeLease = "ff_revoke_lease",
        RotateWaitpointHmacSecret = "ff_rotate_waitpoint_hmac_secret",
        SetEdgeGroupPolicy = "ff_set_edge_group_policy",
        SetExecutionTags = "ff_set_execution_tags",
        SetFlowTags = "ff_set_flow_tags",
        StageDependencyEdge = "ff_stage_dependency_edge",
        SuspendExecution = "ff_suspend_execution",
        UnblockExecution = "ff_unblock_execution",
        UpdateProgress = "ff_update_progress",
        Version = "ff_version",
    }
}

impl Function {
    /// Whether it answers in words of its own: a bare version, a bare verdict of admission. Every other function answers
    /// `{1, status, …}` or `{0, code, …}`.
    pub fn has_its_own_grammar(&self) -> bool {
        matches!(self, Function::CheckAdmissionAndRecord | Function::Version)
    }

    /// Whether it makes a lease of a grant.
    pub fn consumes_grants(&self) -> bool {
        matches!(
            self,
            Function::ClaimExecution
                | Function::AcquireLease
                | Function::ClaimResumedExecution
                | Function::ReclaimExecution
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_the_published_library_is_known() {
        let registered = ff_script::LIBRARY_SOURCE.split("register_function('").skip(1);
        let names: Vec<&str> = registered.filter_map(|rest| rest.split('\'').next()).collect();
        assert_eq!(names.len(), 59);
        for name in names {
            assert!(Function::from(name).is_known(), "{name}");
        }
    }
}
