//! The calls against the published library's own comments: as many KEYS and ARGV as it says, for every function of
//! the protocol.

use std::collections::{BTreeMap, BTreeSet};

use ff_core::{contracts::EdgeDependencyPolicy, types::*};
use uuid::Uuid;
use valkey_sim::engine::Reply;

use super::*;
use crate::types::{
    Millis,
    grant::{AttemptKind, Lease, ReclaimGrant},
};

/// The functions of a grant's and a lease's life, and of everything that decides whether there may be one.
const PROTOCOL: &[&str] = &[
    "ff_create_execution",
    "ff_issue_claim_grant",
    "ff_claim_execution",
    "ff_claim_resumed_execution",
    "ff_issue_reclaim_grant",
    "ff_reclaim_execution",
    "ff_issue_grant_and_claim",
    "ff_renew_lease",
    "ff_mark_lease_expired_if_due",
    "ff_revoke_lease",
    "ff_complete_execution",
    "ff_fail_execution",
    "ff_delay_execution",
    "ff_move_to_waiting_children",
    "ff_suspend_execution",
    "ff_resume_execution",
    "ff_expire_suspension",
    "ff_cancel_execution",
    "ff_expire_execution",
    "ff_replay_execution",
    "ff_promote_delayed",
    "ff_block_execution_for_admission",
    "ff_unblock_execution",
    "ff_change_priority",
    "ff_create_flow",
    "ff_add_execution_to_flow",
    "ff_cancel_flow",
    "ff_ack_cancel_member",
    "ff_stage_dependency_edge",
    "ff_set_edge_group_policy",
    "ff_apply_dependency_to_child",
    "ff_resolve_dependency",
    "ff_evaluate_flow_eligibility",
    "ff_promote_blocked_to_eligible",
    "ff_drain_sibling_cancel_group",
    "ff_reconcile_sibling_cancel_group",
    "ff_create_quota_policy",
    "ff_check_admission_and_record",
    "ff_release_admission",
    "ff_create_budget",
    "ff_report_usage_and_check",
    "ff_record_spend",
    "ff_release_budget",
    "ff_reset_budget",
    "ff_register_worker",
    "ff_heartbeat_worker",
    "ff_set_execution_tags",
    "ff_update_progress",
    "ff_create_pending_waitpoint",
    "ff_close_waitpoint",
    "ff_rotate_waitpoint_hmac_secret",
    "ff_list_waitpoint_hmac_kids",
    "ff_deliver_signal",
    "ff_buffer_signal_for_pending_waitpoint",
    "ff_append_frame",
    "ff_read_attempt_stream",
    "ff_read_summary",
    "ff_set_flow_tags",
];

/// Where our count is not the comment's, and why.
const EXCEPTIONS: &[(&str, (usize, usize), &str)] = &[
    ("ff_cancel_flow", (5, 5), "the comment forgets the backlog keys and the grace, which the body reads"),
    ("ff_create_budget", (5, 12), "variadic ARGV: nine and three a dimension; one dimension here"),
    ("ff_report_usage_and_check", (3, 5), "variadic ARGV: three and two a dimension; one dimension here"),
    ("ff_record_spend", (5, 6), "variadic ARGV: four and two a dimension; one dimension here"),
    (
        "ff_suspend_execution",
        (18, 20),
        "variadic in both: three keys and two arguments an extra waitpoint; none here",
    ),
    ("ff_replay_execution", (4, 2), "variadic in both: edges of a skipped member; none here"),
    ("ff_set_execution_tags", (2, 2), "variadic ARGV: two a tag; one tag here"),
    ("ff_set_flow_tags", (2, 2), "variadic ARGV: two a tag; one tag here"),
    ("ff_list_waitpoint_hmac_kids", (1, 0), "its comment says `none` in place of a number"),
];

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn execution_id() -> ExecutionId {
    ExecutionId::parse("{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8").unwrap()
}

fn lane() -> LaneId {
    LaneId::new("gpu")
}

fn instance() -> WorkerInstanceId {
    WorkerInstanceId::new("w1")
}

fn lease() -> Lease {
    Lease {
        execution_id: execution_id(),
        lease_id: LeaseId::from_uuid(id(1)),
        epoch: LeaseEpoch(3),
        attempt_id: AttemptId::from_uuid(id(2)),
        attempt_index: AttemptIndex(2),
        attempt_kind: AttemptKind::Initial,
        expires_at_ms: TimestampMs(42_000),
    }
}

fn owned() -> Owned {
    Owned::by(&lease(), lane(), instance())
}

fn claim() -> Claim {
    Claim {
        execution_id: execution_id(),
        lane_id: lane(),
        worker_id: WorkerId::new("w"),
        worker_instance_id: instance(),
        lease_id: lease().lease_id,
        attempt_id: lease().attempt_id,
        lease_ttl: Millis(30_000),
        attempt_policy_json: String::new(),
        attempt_timeout: None,
        execution_deadline_at: None,
    }
}

fn claim_execution(function: ClaimFunction) -> ClaimExecution {
    ClaimExecution { function, claim: claim(), expected_attempt_index: AttemptIndex(2) }
}

fn grant_request() -> GrantRequest {
    GrantRequest {
        execution_id: execution_id(),
        lane_id: lane(),
        worker_id: WorkerId::new("w"),
        worker_instance_id: instance(),
        grant_ttl: Millis(5_000),
        capabilities: BTreeSet::from(["gpu".to_owned(), "a100".to_owned()]),
        notes: GrantNotes::default(),
    }
}

fn create() -> CreateExecution {
    CreateExecution {
        execution_id: execution_id(),
        namespace: Namespace::new("ns"),
        lane_id: lane(),
        execution_kind: "k".into(),
        priority: 5,
        creator_identity: "me".into(),
        policy_json: policy_json(["gpu"]),
        payload: b"\xff".to_vec(),
        delay_until: None,
        idempotency_key: None,
        dedup_ttl: Millis(1_000),
        tags: BTreeMap::new(),
        execution_deadline_at: None,
    }
}

fn flow() -> FlowAt {
    FlowAt { flow_id: FlowId::from_uuid(id(3)), partition: 7 }
}

fn dependency() -> Dependency {
    Dependency {
        flow: flow(),
        edge_id: EdgeId::from_uuid(id(4)),
        upstream: ExecutionId::parse("{fp:7}:6ba7b811-9dad-41d1-80b4-00c04fd430c8").unwrap(),
        downstream: execution_id(),
        dependency_kind: "success_only".into(),
        data_passing_ref: None,
    }
}

fn suspend() -> SuspendExecution {
    SuspendExecution {
        execution_id: execution_id(),
        lane_id: lane(),
        worker_instance_id: instance(),
        attempt_index: AttemptIndex(0),
        fence: Some(lease().fence()),
        suspension_id: SuspensionId::from_uuid(id(5)),
        waitpoint: Waitpoint { id: WaitpointId::from_uuid(id(6)), key: WaitpointKey::new("wpk:a") },
        extra_waitpoints: vec![],
        reason_code: "waiting_for_signal".into(),
        requested_by: "worker".into(),
        timeout_at: None,
        timeout_behavior: TimeoutBehavior::Fail,
        resume_condition_json: "{}".into(),
        resume_policy_json: "{}".into(),
        continuation_metadata_pointer: None,
        use_pending_waitpoint: false,
        idempotency_key: None,
        dedup_ttl: Millis(0),
    }
}

/// One of every call.
fn tags() -> Tags {
    Tags::from([("app.color".to_owned(), "red".to_owned())])
}

fn signal() -> Signal {
    Signal {
        signal_id: SignalId::from_uuid(id(9)),
        execution_id: execution_id(),
        lane_id: lane(),
        waitpoint_id: suspend().waitpoint.id,
        name: "go".into(),
        payload: Vec::new(),
        idempotency_key: Some("idem".into()),
        dedup_ttl: Millis(1_000),
        created_at: TimestampMs(0),
        resume_delay: Millis(0),
        max_signals: 10,
        token: "k1:00".into(),
    }
}

fn every_call() -> BTreeMap<String, Request> {
    let mut calls = BTreeMap::new();
    macro_rules! add {
        ($($call:expr),* $(,)?) => { $( add(&mut calls, &$call); )* };
    }
    fn add<C: Call>(calls: &mut BTreeMap<String, Request>, call: &C) {
        assert!(
            calls.insert(C::FUNCTION.as_str().to_owned(), call.request()).is_none(),
            "{} twice",
            C::FUNCTION
        );
    }
    let (execution_id, lane_id, now) = (execution_id(), lane(), TimestampMs(42));
    let (attempt_index, worker_instance_id) = (AttemptIndex(0), instance());
    let waitpoint_id = WaitpointId::from_uuid(id(6));
    let group = SiblingGroup { flow: flow(), downstream: execution_id.clone() };
    let quota_policy_id = QuotaPolicyId::from_uuid(id(7));
    let budget_id = BudgetId::from_uuid(id(8));
    let deltas = BTreeMap::from([("tokens".to_owned(), 9)]);
    let namespace = Namespace::new("ns");
    add![
        create(),
        IssueClaimGrant(grant_request()),
        claim_execution(ClaimFunction::ClaimExecution),
        ClaimResumedExecution { claim: claim(), attempt_index },
        IssueReclaimGrant(grant_request()),
        ReclaimExecution {
            claim: claim(),
            old_attempt_index: attempt_index,
            default_max_reclaim_count: None
        },
        IssueGrantAndClaim { claim: claim() },
        RenewLease::of(&lease(), Millis(30_000)),
        MarkLeaseExpired { execution_id: execution_id.clone() },
        RevokeLease {
            execution_id: execution_id.clone(),
            worker_instance_id: worker_instance_id.clone(),
            expected_lease_id: None,
            reason: "why".into()
        },
        CompleteExecution { owned: owned(), result: vec![] },
        FailExecution {
            owned: owned(),
            reason: "why".into(),
            category: "c".into(),
            retry_policy_json: String::new()
        },
        DelayExecution { owned: owned(), delay_until: now },
        MoveToWaitingChildren { owned: owned() },
        suspend(),
        ResumeExecution {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            waitpoint_id: waitpoint_id.clone(),
            trigger: ResumeTrigger::Signal,
            resume_delay: Millis(0)
        },
        ExpireSuspension {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            waitpoint_id,
            attempt_index
        },
        CancelExecution { owned: owned(), reason: "why".into() },
        ExpireExecution {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            worker_instance_id: worker_instance_id.clone(),
            attempt_index,
            reason: "attempt_timeout".into()
        },
        ReplayExecution { execution_id: execution_id.clone(), lane_id: lane_id.clone(), now, edges: vec![] },
        PromoteDelayed { execution_id: execution_id.clone(), lane_id: lane_id.clone(), now },
        BlockExecution {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            reason: BlockingReason::Capability,
            detail: String::new(),
            now
        },
        UnblockExecution {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            expected_reason: BlockingReason::Quota,
            now
        },
        ChangePriority { execution_id: execution_id.clone(), lane_id: lane_id.clone(), priority: 1 },
        CreateFlow { flow: flow(), flow_kind: "dag".into(), namespace: namespace.clone(), now },
        AddExecutionToFlow { flow: flow(), execution_id: execution_id.clone(), now },
        CancelFlow {
            flow: flow(),
            reason: "why".into(),
            cancellation_policy: "cancel_all".into(),
            now,
            grace: None
        },
        AckCancelMember { flow: flow(), execution_id: execution_id.clone() },
        StageDependencyEdge { dependency: dependency(), expected_graph_revision: 0, now },
        SetEdgeGroupPolicy {
            flow: flow(),
            downstream: execution_id.clone(),
            policy: EdgeDependencyPolicy::all_of(),
            now
        },
        ApplyDependencyToChild { dependency: dependency(), lane_id: lane_id.clone(), graph_revision: 1, now },
        ResolveDependency {
            dependency: dependency(),
            lane_id: lane_id.clone(),
            attempt_index,
            upstream_outcome: "success".into(),
            now
        },
        EvaluateFlowEligibility { execution_id: execution_id.clone() },
        PromoteBlockedToEligible { execution_id: execution_id.clone(), lane_id: lane_id.clone(), now },
        DrainSiblingCancelGroup(group.clone()),
        ReconcileSiblingCancelGroup(group),
        CreateQuotaPolicy {
            quota_policy_id: quota_policy_id.clone(),
            window_seconds: 1,
            max_requests_per_window: 2,
            max_concurrent: 3,
            now
        },
        CheckAdmission {
            quota_policy_id: quota_policy_id.clone(),
            execution_id: execution_id.clone(),
            window_seconds: 1,
            rate_limit: 2,
            concurrency_cap: 3,
            jitter: Millis(0),
            now
        },
        ReleaseAdmission { quota_policy_id, execution_id: execution_id.clone() },
        CreateBudget {
            budget_id: budget_id.clone(),
            scope_type: "lane".into(),
            scope_id: "gpu".into(),
            enforcement_mode: "strict".into(),
            on_hard_limit: "fail".into(),
            on_soft_limit: "warn".into(),
            reset_interval: Millis(0),
            now,
            limits: BTreeMap::from([("tokens".to_owned(), Limits { hard: 10, soft: 5 })])
        },
        ReportUsage { budget_id: budget_id.clone(), deltas: deltas.clone(), now, dedup: "r1".into() },
        RecordSpend {
            budget_id: budget_id.clone(),
            execution_id: execution_id.clone(),
            deltas,
            now,
            dedup: String::new()
        },
        ReleaseBudget { budget_id: budget_id.clone(), execution_id: execution_id.clone() },
        ResetBudget { budget_id, now },
        RegisterWorker {
            namespace: namespace.clone(),
            worker_instance_id: worker_instance_id.clone(),
            worker_id: WorkerId::new("w"),
            lanes: BTreeSet::from([lane_id]),
            capabilities: BTreeSet::new(),
            ttl: Millis(1),
            now
        },
        HeartbeatWorker { namespace, worker_instance_id, now },
        SetExecutionTags { execution_id: execution_id.clone(), tags: tags() },
        SetFlowTags { flow: flow(), tags: tags() },
        UpdateProgress {
            execution_id: execution_id.clone(),
            fence: Some(lease().fence()),
            percent: "50".into(),
            message: "half".into(),
        },
        CreatePendingWaitpoint {
            execution_id: execution_id.clone(),
            attempt_index: AttemptIndex(2),
            waitpoint: suspend().waitpoint,
            expires_at: now,
        },
        CloseWaitpoint {
            execution_id: execution_id.clone(),
            waitpoint_id: suspend().waitpoint.id,
            reason: "why".into(),
        },
        RotateWaitpointSecret { partition: 7, kid: "k1".into(), secret_hex: "abcd".into(), grace: Millis(0) },
        ListWaitpointSecrets { partition: 7 },
        DeliverSignal(signal()),
        BufferSignal(signal()),
        AppendFrame {
            execution_id: execution_id.clone(),
            attempt_index: AttemptIndex(2),
            fence: Some(lease().fence()),
            frame_type: "delta".into(),
            now,
            payload: b"{}".to_vec(),
            retention_maxlen: 0,
            max_payload_bytes: 65_536,
            mode: StreamMode::Summary,
            ttl: Millis(0),
        },
        ReadAttemptStream {
            execution_id: execution_id.clone(),
            attempt_index: AttemptIndex(2),
            count: 10,
            durable_only: true,
        },
        ReadSummary { execution_id, attempt_index: AttemptIndex(2) },
    ];
    calls
}

/// How many KEYS and ARGV a request has.
fn counts(request: &Request) -> (usize, usize) {
    let keys = String::from_utf8_lossy(&request.args[2]).parse().unwrap();
    (keys, request.args.len() - 3 - keys)
}

/// The first number after `what (` in the comment above a function's registration: `-- KEYS (14): …`.
fn documented(function: &str, what: &str) -> Option<usize> {
    let source = ff_script::LIBRARY_SOURCE;
    let registered = source.find(&format!("redis.register_function('{function}',"))?;
    let comment = source[..registered].lines().rev().take_while(|line| line.starts_with("--"));
    let line =
        comment.filter_map(|line| line.strip_prefix("-- ")?.strip_prefix(what)?.strip_prefix(" (")).next()?;
    let digits: String = line.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[test]
fn every_function_of_the_protocol_has_a_call_with_the_documented_keys_and_arguments() {
    let calls = every_call();
    let named: BTreeSet<_> = PROTOCOL.iter().copied().collect();
    assert_eq!(calls.keys().map(String::as_str).collect::<BTreeSet<_>>(), named);
    for (function, request) in &calls {
        let expected = match EXCEPTIONS.iter().find(|(name, ..)| name == function) {
            Some((_, counts, _)) => *counts,
            None => (documented(function, "KEYS").unwrap(), documented(function, "ARGV").unwrap()),
        };
        assert_eq!(counts(request), expected, "{function}");
    }
}

#[test]
fn a_function_beyond_the_protocol_is_known_to_be_so() {
    let registered = ff_script::LIBRARY_SOURCE.split("\nredis.register_function('").skip(1);
    let others: Vec<_> = registered
        .filter_map(|rest| rest.split('\'').next())
        .filter(|name| !PROTOCOL.contains(name))
        .collect();
    // A plain command: it answers a bare string.
    assert_eq!(others, ["ff_version"]);
}

#[test]
fn all_keys_of_a_call_share_a_slot_but_for_the_worker_registry() {
    for (function, request) in every_call() {
        let (keys, _) = counts(&request);
        let tag = |key: &[u8]| {
            let key = String::from_utf8_lossy(key).into_owned();
            key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag.to_owned())
        };
        let tags: BTreeSet<_> = request.args[3..3 + keys].iter().map(|key| tag(key)).collect();
        assert_eq!(tags.len(), 1, "{function}: {tags:?}");
        assert_eq!(tags.contains(&None), function.ends_with("_worker"), "{function}");
    }
}

#[test]
fn a_claim_goes_to_the_function_that_the_library_registers_with_the_same_keys_and_arguments() {
    let [published, documented] =
        [ClaimFunction::ClaimExecution, ClaimFunction::AcquireLease].map(|f| claim_execution(f).request());
    assert_eq!((published.name(), documented.name()), (&b"ff_claim_execution"[..], &b"ff_acquire_lease"[..]));
    assert_eq!(published.args[2..], documented.args[2..]);
}

#[test]
fn a_claim_sends_the_lane_that_its_caller_chose_in_both_sets_and_in_the_arguments() {
    let sent = format!("{:?}", claim_execution(ClaimFunction::AcquireLease).request());
    for lane in
        [r#""ff:idx:{fp:7}:lane:gpu:eligible""#, r#""ff:idx:{fp:7}:lane:gpu:active""#, r#""w1", "gpu", """#]
    {
        assert!(sent.contains(lane), "{sent}");
    }
}

fn reply(words: &[&str]) -> Reply {
    let (flag, rest) = words.split_first().unwrap();
    let items = rest.iter().map(Reply::bulk);
    Reply::Array(std::iter::once(Reply::Int(flag.parse().unwrap())).chain(items).collect())
}

#[test]
fn a_claim_answers_a_lease() {
    let lease_id = lease().lease_id.to_string();
    let attempt_id = lease().attempt_id.to_string();
    let consent = reply(&["1", "OK", &lease_id, "3", "42000", &attempt_id, "2", "initial"]);
    assert_eq!(claim_execution(ClaimFunction::ClaimExecution).parse(&consent), Ok(lease()));
    let odd = reply(&["1", "OK", &lease_id, "three"]);
    let error = claim_execution(ClaimFunction::AcquireLease).parse(&odd).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ff_acquire_lease answered outside of its grammar: expected lease_epoch, LeaseEpoch, found \"three\""
    );
    let refusal = claim_execution(ClaimFunction::AcquireLease).parse(&reply(&["0", "claim_grant_expired"]));
    assert!(refusal.unwrap_err().refusal().is_some_and(|refusal| refusal.code.retryable()));
}

#[test]
fn a_reclaim_grant_carries_the_lane_and_the_servers_expiry() {
    let granted = IssueReclaimGrant(grant_request()).parse(&reply(&["1", "OK", "x", "77"])).unwrap();
    assert_eq!(granted, Some(ReclaimGrant::new(execution_id(), lane(), TimestampMs(77))));
    let by_an_old_library = IssueReclaimGrant(grant_request());
    assert_eq!(by_an_old_library.parse(&reply(&["1", "OK", "x"])), Ok(None));
    let expires_at_ms = grant_request().grant_ttl.after(TimestampMs(5));
    assert_eq!(by_an_old_library.computed(TimestampMs(5)).expires_at_ms, expires_at_ms);
    assert!(by_an_old_library.parse(&reply(&["1", "OK", "x", "soon"])).is_err());
}

#[test]
fn capabilities_are_sent_sorted_and_a_payload_as_it_is() {
    let sent = IssueClaimGrant(grant_request()).request();
    assert_eq!(sent.args.last().unwrap(), b"a100,gpu");
    assert!(create().request().args.contains(&b"\xff".to_vec()));
    assert_eq!(create().policy_json, r#"{"routing_requirements":{"required_capabilities":["gpu"]}}"#);
}

#[test]
fn each_outcome_is_read_from_what_the_library_answers() {
    assert_eq!(RenewLease::of(&lease(), Millis(1)).parse(&reply(&["1", "OK", "99"])), Ok(TimestampMs(99)));
    let mark = MarkLeaseExpired { execution_id: execution_id() };
    assert_eq!(mark.parse(&reply(&["1", "OK", "marked_expired"])), Ok(MarkLeaseExpiredOutcome::Marked));
    let not_yet = MarkLeaseExpiredOutcome::NothingDue("not_yet_expired".into());
    assert_eq!(mark.parse(&reply(&["1", "ALREADY_SATISFIED", "not_yet_expired"])), Ok(not_yet));
    let duplicate = CreateExecutionOutcome::Duplicate { execution_id: execution_id() };
    assert_eq!(create().parse(&reply(&["1", "DUPLICATE", execution_id().as_str()])), Ok(duplicate));
    let fail = FailExecution {
        owned: owned(),
        reason: String::new(),
        category: String::new(),
        retry_policy_json: String::new(),
    };
    let retry = FailExecutionOutcome::RetryScheduled { delay_until: TimestampMs(5) };
    assert_eq!(fail.parse(&reply(&["1", "OK", "retry_scheduled", "5"])), Ok(retry));
    assert_eq!(fail.parse(&reply(&["1", "OK", "terminal_failed"])), Ok(FailExecutionOutcome::TerminalFailed));
    let promote = PromoteDelayed { execution_id: execution_id(), lane_id: lane(), now: TimestampMs(0) };
    assert_eq!(promote.parse(&reply(&["1", "OK", "not_yet_due"])), Ok(PromoteDelayedOutcome::NotYetDue));
    let spend = ReportUsage {
        budget_id: BudgetId::from_uuid(id(8)),
        deltas: BTreeMap::new(),
        now: TimestampMs(0),
        dedup: String::new(),
    };
    let breach = Breach { dimension: "tokens".into(), current: 9, limit: 10 };
    assert_eq!(
        spend.parse(&reply(&["1", "HARD_BREACH", "tokens", "9", "10"])),
        Ok(Usage::HardBreach(breach))
    );
}
