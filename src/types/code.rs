//! Why a function refuses: the codes of the published library, and whatever else a library says.

use super::word::open_words;

// Every code of ff-script 0.15: those of its error type, and those that only its Lua knows.
open_words! {
    /// A refusal's code.
    ///
    /// ```
    /// use grantsim::types::Code;
    /// assert_eq!(Code::from("stale_lease"), Code::StaleLease);
    /// assert_eq!(Code::from("moon_phase").as_str(), "moon_phase");
    /// ```
    pub enum Code {
        ActiveAttemptExists = "active_attempt_exists",
        AdditionalWaitpointBindingMalformed = "additional_waitpoint_binding_malformed",
        AlreadySuspended = "already_suspended",
        AttemptAlreadyTerminal = "attempt_already_terminal",
        AttemptNotFound = "attempt_not_found",
        AttemptNotInCreatedState = "attempt_not_in_created_state",
        AttemptNotStarted = "attempt_not_started",
        BudgetAttachConflict = "budget_attach_conflict",
        BudgetExceeded = "budget_exceeded",
        BudgetNotFound = "budget_not_found",
        BudgetOverrideNotAllowed = "budget_override_not_allowed",
        BudgetSoftExceeded = "budget_soft_exceeded",
        CapabilityMismatch = "capability_mismatch",
        ClaimGrantExpired = "claim_grant_expired",
        ConcurrencyLimitExceeded = "concurrency_limit_exceeded",
        Corruption = "corruption",
        CycleDetected = "cycle_detected",
        DependencyAlreadyExists = "dependency_already_exists",
        DepsNotSatisfied = "deps_not_satisfied",
        DuplicateSignal = "duplicate_signal",
        ExecutionAlreadyInFlow = "execution_already_in_flow",
        ExecutionNotActive = "execution_not_active",
        ExecutionNotEligible = "execution_not_eligible",
        ExecutionNotEligibleForAttempt = "execution_not_eligible_for_attempt",
        ExecutionNotFound = "execution_not_found",
        ExecutionNotInEligibleSet = "execution_not_in_eligible_set",
        ExecutionNotInFlow = "execution_not_in_flow",
        ExecutionNotLeaseable = "execution_not_leaseable",
        ExecutionNotReclaimable = "execution_not_reclaimable",
        ExecutionNotSuspended = "execution_not_suspended",
        ExecutionNotTerminal = "execution_not_terminal",
        FenceRequired = "fence_required",
        FlowAlreadyTerminal = "flow_already_terminal",
        FlowNotFound = "flow_not_found",
        GrantAlreadyExists = "grant_already_exists",
        HmacSecretNotInitialized = "hmac_secret_not_initialized",
        InvalidArgs = "invalid_args",
        InvalidBlockingReason = "invalid_blocking_reason",
        InvalidBudgetScope = "invalid_budget_scope",
        InvalidCapabilities = "invalid_capabilities",
        InvalidClaimGrant = "invalid_claim_grant",
        InvalidDependency = "invalid_dependency",
        InvalidFrameType = "invalid_frame_type",
        InvalidGraceMs = "invalid_grace_ms",
        InvalidInput = "invalid_input",
        InvalidKeysMissingHmac = "invalid_keys_missing_hmac",
        InvalidKid = "invalid_kid",
        InvalidLeaseForSuspend = "invalid_lease_for_suspend",
        InvalidOffset = "invalid_offset",
        InvalidPolicyJson = "invalid_policy_json",
        InvalidQuotaSpec = "invalid_quota_spec",
        InvalidSecret = "invalid_secret",
        InvalidSecretHex = "invalid_secret_hex",
        InvalidTagKey = "invalid_tag_key",
        InvalidToken = "invalid_token",
        InvalidWaitpointForExecution = "invalid_waitpoint_for_execution",
        InvalidWaitpointKey = "invalid_waitpoint_key",
        InvariantViolation = "invariant_violation",
        LeaseConflict = "lease_conflict",
        LeaseExpired = "lease_expired",
        LeaseRevoked = "lease_revoked",
        MaxReplaysExhausted = "max_replays_exhausted",
        MaxRetriesExhausted = "max_retries_exhausted",
        MissingToken = "missing_token",
        NoActiveLease = "no_active_lease",
        NoEligibleExecution = "no_eligible_execution",
        NotAResumedExecution = "not_a_resumed_execution",
        NotBlockedByDeps = "not_blocked_by_deps",
        NotRunnable = "not_runnable",
        OkAlreadyApplied = "ok_already_applied",
        PartialFenceTriple = "partial_fence_triple",
        PayloadTooLarge = "payload_too_large",
        PendingWaitpointExpired = "pending_waitpoint_expired",
        QuotaAttachConflict = "quota_attach_conflict",
        QuotaPolicyNotFound = "quota_policy_not_found",
        RateLimitExceeded = "rate_limit_exceeded",
        ReplayNotAllowed = "replay_not_allowed",
        ResumeConditionNotMet = "resume_condition_not_met",
        RetentionLimitExceeded = "retention_limit_exceeded",
        RotationConflict = "rotation_conflict",
        SelfReferencingEdge = "self_referencing_edge",
        SignalLimitExceeded = "signal_limit_exceeded",
        StaleGraphRevision = "stale_graph_revision",
        StaleLease = "stale_lease",
        StaleOwnerCannotAppend = "stale_owner_cannot_append",
        StreamAlreadyClosed = "stream_already_closed",
        StreamClosed = "stream_closed",
        StreamNotFound = "stream_not_found",
        TargetNotSignalable = "target_not_signalable",
        Terminal = "terminal",
        TokenExpired = "token_expired",
        Unauthorized = "unauthorized",
        UseClaimResumedExecution = "use_claim_resumed_execution",
        UsePendingWithExtrasUnsupported = "use_pending_with_extras_unsupported",
        WaitpointAlreadyExists = "waitpoint_already_exists",
        WaitpointClosed = "waitpoint_closed",
        WaitpointNotFound = "waitpoint_not_found",
        WaitpointNotOpen = "waitpoint_not_open",
        WaitpointNotPending = "waitpoint_not_pending",
        WaitpointNotTokenBound = "waitpoint_not_token_bound",
        WaitpointPendingUseBufferScript = "waitpoint_pending_use_buffer_script",
    }
}

impl Code {
    /// Whether the same request may be granted later: the execution or its grant was in another state than the
    /// caller thought, or a limit was reached. Everything else stays refused however often it is asked.
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Code::UseClaimResumedExecution
                | Code::NotAResumedExecution
                | Code::ExecutionNotLeaseable
                | Code::LeaseConflict
                | Code::InvalidClaimGrant
                | Code::ClaimGrantExpired
                | Code::CapabilityMismatch
                | Code::RateLimitExceeded
                | Code::ConcurrencyLimitExceeded
        )
    }

    /// Whether a worker that is told so no longer owns the execution and stops renewing.
    pub fn ends_ownership(&self) -> bool {
        matches!(
            self,
            Code::StaleLease
                | Code::LeaseExpired
                | Code::LeaseRevoked
                | Code::ExecutionNotActive
                | Code::ExecutionNotFound
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_the_published_library_says_is_known() {
        let after = |words: &'static str| {
            ff_script::LIBRARY_SOURCE.split(words).skip(1).filter_map(|rest| rest.split('"').next())
        };
        // What is wrong with a token is passed on by its name.
        let said = after("err(\"")
            .chain(after("    return nil, \""))
            .chain(after("    return \"").filter(|it| it.contains('_')));
        let mut unknown: Vec<_> = said.filter(|code| matches!(Code::from(*code), Code::Unknown(_))).collect();
        unknown.dedup();
        // This one carries a flow's id in its text, so that it cannot be one code.
        // The other is passed on within `ff_append_frame`, and never answered.
        assert_eq!(unknown, ["already_member_of_different_flow:", "patch_depth_exceeded"]);
    }

    #[test]
    fn a_code_is_its_text_in_json_whether_known_or_not() {
        for text in ["stale_lease", "moon_phase"] {
            let code = Code::from(text.to_owned());
            let json = serde_json::to_string(&code).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), code);
        }
    }

    /// FlowFabric's own classification agrees on every code that docs/protocol.md lists as retryable.
    #[test]
    fn what_is_retryable_here_is_retryable_to_flowfabric() {
        use ff_core::error::ErrorClass;
        use ff_script::ScriptError;
        for code in
            [Code::LeaseConflict, Code::InvalidClaimGrant, Code::ClaimGrantExpired, Code::RateLimitExceeded]
        {
            let theirs = ScriptError::from_code(code.as_str()).expect("FlowFabric knows the code");
            assert!(code.retryable() && theirs.class() == ErrorClass::Retryable, "{code}");
        }
        assert!(!Code::StaleLease.retryable() && Code::StaleLease.ends_ownership());
    }
}
