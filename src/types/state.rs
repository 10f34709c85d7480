//! The seven fields of `core` that together say where an execution stands (RFC-001 §2).
//!
//! The words are `ff-core`'s; a test holds them to it. Each has an `Unknown`, so that a library which writes a word of its
//! own is seen to.

use super::word::open_words;

open_words! {
    /// `lifecycle_phase`: where in its life it is.
    pub enum LifecyclePhase {
        Submitted = "submitted",
        Runnable = "runnable",
        Active = "active",
        Suspended = "suspended",
        Terminal = "terminal",
    }
}

open_words! {
    /// `ownership_state`: who, if anybody, may change it.
    pub enum OwnershipState {
        Unowned = "unowned",
        Leased = "leased",
        LeaseExpiredReclaimable = "lease_expired_reclaimable",
        LeaseRevoked = "lease_revoked",
    }
}

open_words! {
    /// `eligibility_state`: whether it can be claimed now.
    pub enum EligibilityState {
        EligibleNow = "eligible_now",
        NotEligibleUntilTime = "not_eligible_until_time",
        BlockedByDependencies = "blocked_by_dependencies",
        BlockedByBudget = "blocked_by_budget",
        BlockedByQuota = "blocked_by_quota",
        BlockedByRoute = "blocked_by_route",
        BlockedByLaneState = "blocked_by_lane_state",
        BlockedByOperator = "blocked_by_operator",
        NotApplicable = "not_applicable",
    }
}

open_words! {
    /// `blocking_reason`: why it is not making progress.
    pub enum BlockingReason {
        None = "none",
        WaitingForWorker = "waiting_for_worker",
        WaitingForRetryBackoff = "waiting_for_retry_backoff",
        WaitingForResumeDelay = "waiting_for_resume_delay",
        WaitingForDelay = "waiting_for_delay",
        WaitingForSignal = "waiting_for_signal",
        WaitingForApproval = "waiting_for_approval",
        WaitingForCallback = "waiting_for_callback",
        WaitingForToolResult = "waiting_for_tool_result",
        WaitingForChildren = "waiting_for_children",
        WaitingForBudget = "waiting_for_budget",
        WaitingForQuota = "waiting_for_quota",
        WaitingForCapableWorker = "waiting_for_capable_worker",
        WaitingForLocalityMatch = "waiting_for_locality_match",
        PausedByOperator = "paused_by_operator",
        PausedByPolicy = "paused_by_policy",
        PausedByFlowCancel = "paused_by_flow_cancel",
    }
}

open_words! {
    /// `terminal_outcome`: how it ended.
    pub enum TerminalOutcome {
        None = "none",
        Success = "success",
        Failed = "failed",
        Cancelled = "cancelled",
        Expired = "expired",
        Skipped = "skipped",
    }
}

open_words! {
    /// `attempt_state`: what its attempt is doing.
    pub enum AttemptState {
        None = "none",
        PendingFirstAttempt = "pending_first_attempt",
        RunningAttempt = "running_attempt",
        AttemptInterrupted = "attempt_interrupted",
        PendingRetryAttempt = "pending_retry_attempt",
        PendingReplayAttempt = "pending_replay_attempt",
        AttemptTerminal = "attempt_terminal",
    }
}

open_words! {
    /// `public_state`: what users are shown.
    pub enum PublicState {
        Waiting = "waiting",
        Delayed = "delayed",
        RateLimited = "rate_limited",
        WaitingChildren = "waiting_children",
        Active = "active",
        Suspended = "suspended",
        Resumable = "resumable",
        Completed = "completed",
        Failed = "failed",
        Cancelled = "cancelled",
        Expired = "expired",
        Skipped = "skipped",
    }
}

impl OwnershipState {
    /// Whether the lease is over and the execution may be taken over from its worker.
    pub fn is_reclaimable(&self) -> bool {
        matches!(self, Self::LeaseExpiredReclaimable | Self::LeaseRevoked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ff-core` reads every word of ours.
    macro_rules! agree {
        ($($name:ident),*) => { $(
            for known in $name::KNOWN {
                let json = serde_json::to_string(known).unwrap();
                let theirs: ff_core::state::$name = serde_json::from_str(&json).unwrap();
                assert_eq!(serde_json::to_string(&theirs).unwrap(), json);
            }
        )* };
    }

    #[test]
    fn the_words_are_those_of_flowfabric() {
        agree!(
            LifecyclePhase,
            OwnershipState,
            EligibilityState,
            BlockingReason,
            TerminalOutcome,
            AttemptState,
            PublicState
        );
        assert!(!LifecyclePhase::from("moonlit").is_known());
    }

    #[test]
    fn every_word_that_the_published_library_writes_is_known() {
        let words = |field: &str| {
            let quoted = format!("\"{field}\"");
            let after = ff_script::LIBRARY_SOURCE.split(&quoted).skip(1);
            let literal = after
                .filter_map(|rest| rest.trim_start_matches([',', ' ']).strip_prefix('"')?.split('"').next());
            literal.map(str::to_owned).collect::<Vec<_>>()
        };
        let phases = words("lifecycle_phase");
        assert!(phases.len() > 10, "the library's text has changed: {phases:?}");
        assert!(
            words("public_state")
                .iter()
                .all(|word| PublicState::from(word.as_str()).is_known() || word.starts_with("current_"))
        );
        assert!(words("ownership_state").iter().all(|word| OwnershipState::from(word.as_str()).is_known()));
    }
}
