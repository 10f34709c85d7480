//! Calls of the published library beyond those of a lease's life: what operators, schedulers and flows send, about `e1`.
//!
//! The n-th lease is the one of epoch n; where no lease was lost its attempt is the n-th, too.

use super::{EPOCH_MS, Story};
use crate::{
    property::libraries::{claim, id, owned, uuid},
    protocol::{
        self, ApplyDependencyToChild, BlockExecution, BlockingReason, ChangePriority, ClaimFunction,
        ClaimResumedExecution, CreateExecution, Dependency, ExpireExecution, ExpireSuspension, FailExecution,
        FlowAt, IssueGrantAndClaim, PromoteBlockedToEligible, PromoteDelayed, ReplayExecution,
        ResolveDependency, ResumeExecution, ResumeTrigger, RevokeLease, SuspendExecution, TimeoutBehavior,
        UnblockExecution, Waitpoint,
    },
    types::{
        AttemptId, AttemptIndex, EdgeId, ExecutionId, FlowId, LaneId, LeaseId, Millis, Namespace,
        SuspensionId, TimestampMs, WaitpointId, WorkerInstanceId,
    },
};

fn at_ms(at: i64) -> TimestampMs {
    TimestampMs(EPOCH_MS + at)
}

fn gold() -> LaneId {
    LaneId::new("gold")
}

fn w_1() -> WorkerInstanceId {
    WorkerInstanceId::new("w-1")
}

fn waitpoint() -> WaitpointId {
    WaitpointId::from_uuid(uuid(900))
}

/// The n-th thing that `e1` depends on.
fn dependency(n: u64) -> Dependency {
    let upstream = format!("{{fp:7}}:{}", uuid(700 + n));
    Dependency {
        flow: FlowAt { flow_id: FlowId::from_uuid(uuid(600)), partition: 7 },
        edge_id: EdgeId::from_uuid(uuid(500 + n)),
        upstream: ExecutionId::parse(&upstream).expect("an id"),
        downstream: id(),
        dependency_kind: "success_only".into(),
        data_passing_ref: None,
    }
}

impl Story {
    /// `e1` is created with this priority, policy and deadline.
    pub fn creates_with(self, at: i64, priority: i32, policy: &str, deadline: Option<i64>) -> Self {
        let call = CreateExecution {
            execution_id: id(),
            namespace: Namespace::new("ns"),
            lane_id: gold(),
            execution_kind: "kind".into(),
            priority,
            creator_identity: "me".into(),
            policy_json: policy.into(),
            payload: Vec::new(),
            delay_until: None,
            idempotency_key: None,
            dedup_ttl: Millis(0),
            tags: Default::default(),
            execution_deadline_at: deadline.map(at_ms),
        };
        self.sends(at, &call)
    }

    /// A grant is issued and claimed: the n-th lease, a new attempt.
    pub fn leases(self, at: i64, n: u64) -> Self {
        self.grants(at, false).claims(at, n, ClaimFunction::ClaimExecution)
    }

    /// As [`leases`](Self::leases), with a timeout.
    pub fn leases_with_timeout(self, at: i64, n: u64, timeout_ms: u64) -> Self {
        let mut claim = claim(n);
        claim.attempt_timeout = Some(Millis(timeout_ms));
        let call = protocol::ClaimExecution {
            function: ClaimFunction::ClaimExecution,
            claim,
            expected_attempt_index: AttemptIndex(n as u32 - 1),
        };
        self.grants(at, false).sends(at, &call)
    }

    /// A grant is issued, and the attempt with this index goes on under the n-th lease.
    pub fn resumes_lease(self, at: i64, n: u64, attempt: u32) -> Self {
        self.grants(at, false).claims_resumed(at, n, attempt)
    }

    /// The attempt with this index goes on under the n-th lease.
    pub fn claims_resumed(self, at: i64, n: u64, attempt: u32) -> Self {
        self.sends(at, &ClaimResumedExecution { claim: claim(n), attempt_index: AttemptIndex(attempt) })
    }

    /// An operator's grant and claim in one, with a timeout of the attempt, if any.
    pub fn grants_and_claims(self, at: i64, n: u64, timeout_ms: Option<u64>) -> Self {
        let mut claim = claim(n);
        claim.attempt_timeout = timeout_ms.map(Millis);
        self.sends(at, &IssueGrantAndClaim { claim })
    }

    /// The holder of the n-th lease completes, and names another execution in its arguments.
    pub fn completes_another(self, at: i64, n: u64) -> Self {
        self.sends(at, &Askew(protocol::CompleteExecution { owned: owned(n), result: b"done".to_vec() }))
    }

    /// An operator cancels it, whose current attempt has this index.
    pub fn overrides_cancel(self, at: i64, attempt: u32) -> Self {
        let mut owned = owned(1);
        (owned.fence, owned.attempt_index) = (None, AttemptIndex(attempt));
        owned.source = ff_core::types::CancelSource::OperatorOverride;
        self.sends(at, &protocol::CancelExecution { owned, reason: "why".into() })
    }

    /// The holder of the first lease goes on under the n-th one of the same attempt, and completes.
    pub fn completes_as(self, at: i64, n: u64, attempt: u64) -> Self {
        let call = protocol::CompleteExecution { owned: owned_as(n, attempt), result: b"done".to_vec() };
        self.sends(at, &call)
    }

    /// Fails, and is tried again after a backoff of 50 ms, if at all.
    pub fn fails(self, at: i64, n: u64, retries: u32) -> Self {
        let retry_policy_json =
            format!(r#"{{"max_retries":{retries},"backoff":{{"type":"fixed","delay_ms":50}}}}"#);
        let call = FailExecution {
            owned: owned(n),
            reason: "why".into(),
            category: "kind".into(),
            retry_policy_json,
        };
        self.sends(at, &call)
    }

    pub fn waits_for_children(self, at: i64, n: u64) -> Self {
        self.sends(at, &protocol::MoveToWaitingChildren { owned: owned(n) })
    }

    /// The holder of the n-th lease waits at a waitpoint, until this time if at all.
    pub fn suspends(self, at: i64, n: u64, timeout: Option<(i64, TimeoutBehavior)>) -> Self {
        let secret = ["HSET", "ff:sec:{fp:7}:waitpoint_hmac", "current_kid", "k1", "secret:k1", "00ff"];
        let held = owned(n);
        let call = SuspendExecution {
            execution_id: id(),
            lane_id: gold(),
            worker_instance_id: w_1(),
            attempt_index: held.attempt_index,
            fence: held.fence,
            suspension_id: SuspensionId::from_uuid(uuid(800)),
            waitpoint: Waitpoint { id: waitpoint(), key: "wpk:1".into() },
            extra_waitpoints: Vec::new(),
            reason_code: "waiting_for_signal".into(),
            requested_by: "worker".into(),
            timeout_at: timeout.map(|(at, _)| at_ms(at)),
            timeout_behavior: timeout.map_or(TimeoutBehavior::Fail, |(_, behavior)| behavior),
            resume_condition_json: r#"{"condition_type":"signal_set","required_signal_names":["go"],"signal_match_mode":"any","minimum_signal_count":1}"#.into(),
            resume_policy_json: "{}".into(),
            continuation_metadata_pointer: None,
            use_pending_waitpoint: false,
            idempotency_key: None,
            dedup_ttl: Millis(0),
        };
        self.plain(at, &secret.join(" ")).sends(at, &call)
    }

    pub fn resumes(self, at: i64, delay_ms: u64) -> Self {
        let call = ResumeExecution {
            execution_id: id(),
            lane_id: gold(),
            waitpoint_id: waitpoint(),
            trigger: ResumeTrigger::Operator,
            resume_delay: Millis(delay_ms),
        };
        self.sends(at, &call)
    }

    /// The suspension's timeout is looked at.
    pub fn times_out(self, at: i64, attempt: u32) -> Self {
        let call = ExpireSuspension {
            execution_id: id(),
            lane_id: gold(),
            waitpoint_id: waitpoint(),
            attempt_index: AttemptIndex(attempt),
        };
        self.sends(at, &call)
    }

    pub fn revokes(self, at: i64) -> Self {
        let call = RevokeLease {
            execution_id: id(),
            worker_instance_id: w_1(),
            expected_lease_id: None,
            reason: "why".into(),
        };
        self.sends(at, &call)
    }

    pub fn blocks(self, at: i64, reason: BlockingReason) -> Self {
        let call = BlockExecution {
            execution_id: id(),
            lane_id: gold(),
            reason,
            detail: String::new(),
            now: at_ms(at),
        };
        self.sends(at, &call)
    }

    pub fn unblocks(self, at: i64, expected_reason: BlockingReason) -> Self {
        let call = UnblockExecution { execution_id: id(), lane_id: gold(), expected_reason, now: at_ms(at) };
        self.sends(at, &call)
    }

    /// The promoter, by its own clock.
    pub fn promotes(self, at: i64, now: i64) -> Self {
        self.sends(at, &PromoteDelayed { execution_id: id(), lane_id: gold(), now: at_ms(now) })
    }

    pub fn changes_priority(self, at: i64, priority: i32) -> Self {
        self.sends(at, &ChangePriority { execution_id: id(), lane_id: gold(), priority })
    }

    /// `e1` depends on the n-th of the others.
    pub fn depends(self, at: i64, n: u64) -> Self {
        let call = ApplyDependencyToChild {
            dependency: dependency(n),
            lane_id: gold(),
            graph_revision: n,
            now: at_ms(at),
        };
        self.sends(at, &call)
    }

    /// The n-th of the others has ended so.
    pub fn resolves(self, at: i64, n: u64, outcome: &str) -> Self {
        let call = ResolveDependency {
            dependency: dependency(n),
            lane_id: gold(),
            attempt_index: AttemptIndex(0),
            upstream_outcome: outcome.into(),
            now: at_ms(at),
        };
        self.sends(at, &call)
    }

    pub fn promotes_blocked(self, at: i64) -> Self {
        self.sends(at, &PromoteBlockedToEligible { execution_id: id(), lane_id: gold(), now: at_ms(at) })
    }

    /// A scanner finds that its time is over.
    pub fn expires(self, at: i64, attempt: u32) -> Self {
        let call = ExpireExecution {
            execution_id: id(),
            lane_id: gold(),
            worker_instance_id: w_1(),
            attempt_index: AttemptIndex(attempt),
            reason: "attempt_timeout".into(),
        };
        self.sends(at, &call)
    }

    pub fn replays(self, at: i64) -> Self {
        let call = ReplayExecution { execution_id: id(), lane_id: gold(), now: at_ms(at), edges: Vec::new() };
        self.sends(at, &call)
    }
}

/// A call whose ARGV names another execution than its KEYS.
struct Askew<C>(C);

impl<C: protocol::Command> protocol::Command for Askew<C> {
    type Outcome = C::Outcome;

    fn request(&self) -> protocol::Request {
        let mut args = self.0.request().args.to_vec();
        let named = args.iter().rposition(|arg| arg == id().as_str().as_bytes()).expect("it names e1");
        args[named] = b"another".to_vec();
        protocol::Request { args: args.into() }
    }

    fn parse(&self, reply: &valkey_sim::engine::Reply) -> Result<C::Outcome, protocol::CallError> {
        self.0.parse(reply)
    }
}

/// The n-th lease, of another attempt than the n-th.
fn owned_as(n: u64, attempt: u64) -> protocol::Owned {
    let mut owned = owned(n);
    owned.attempt_index = AttemptIndex(attempt as u32 - 1);
    if let Some(fence) = &mut owned.fence {
        fence.lease_id = LeaseId::from_uuid(uuid(n));
        fence.attempt_id = AttemptId::from_uuid(uuid(100 + attempt));
    }
    owned
}
