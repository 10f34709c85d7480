//! Calls of the published library, drawn for a small world: three executions of one partition, two lanes, two workers,
//! two flows, budgets, quotas and waitpoints.
//!
//! What a valid call needs is looked up in the engine's keyspace first: the current lease, epoch and attempt. A few
//! calls then have something wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use ff_core::{
    contracts::{EdgeDependencyPolicy, OnSatisfied},
    keys::FlowKeyContext,
    types::*,
};
use grantsim::{plan::ODD_ARGUMENTS, protocol::*, types::Millis};
use uuid::Uuid;
use valkey_sim::engine::UnixMicros;

use super::{
    support::{choices::Choices, server::Args, simulated::Simulated, transcript::START},
    who::{PARTITION, Who, execution, field, is_member},
};

/// Every function that the library registers.
pub const FUNCTIONS: [&str; 59] = [
    "ff_create_execution",
    "ff_issue_claim_grant",
    "ff_claim_execution",
    "ff_renew_lease",
    "ff_complete_execution",
    "ff_fail_execution",
    "ff_suspend_execution",
    "ff_deliver_signal",
    "ff_claim_resumed_execution",
    "ff_create_flow",
    "ff_add_execution_to_flow",
    "ff_stage_dependency_edge",
    "ff_apply_dependency_to_child",
    "ff_resolve_dependency",
    "ff_mark_lease_expired_if_due",
    "ff_issue_reclaim_grant",
    "ff_reclaim_execution",
    "ff_issue_grant_and_claim",
    "ff_append_frame",
    "ff_create_budget",
    "ff_create_quota_policy",
    "ff_check_admission_and_record",
    "ff_report_usage_and_check",
    "ff_record_spend",
    "ff_revoke_lease",
    "ff_cancel_execution",
    "ff_delay_execution",
    "ff_move_to_waiting_children",
    "ff_expire_execution",
    "ff_set_execution_tags",
    "ff_change_priority",
    "ff_register_worker",
    "ff_heartbeat_worker",
    "ff_update_progress",
    "ff_promote_delayed",
    "ff_resume_execution",
    "ff_create_pending_waitpoint",
    "ff_expire_suspension",
    "ff_close_waitpoint",
    "ff_rotate_waitpoint_hmac_secret",
    "ff_list_waitpoint_hmac_kids",
    "ff_buffer_signal_for_pending_waitpoint",
    "ff_read_attempt_stream",
    "ff_read_summary",
    "ff_release_budget",
    "ff_reset_budget",
    "ff_unblock_execution",
    "ff_block_execution_for_admission",
    "ff_release_admission",
    "ff_cancel_flow",
    "ff_ack_cancel_member",
    "ff_set_edge_group_policy",
    "ff_drain_sibling_cancel_group",
    "ff_reconcile_sibling_cancel_group",
    "ff_evaluate_flow_eligibility",
    "ff_promote_blocked_to_eligible",
    "ff_replay_execution",
    "ff_set_flow_tags",
    "ff_version",
];

/// One step of a sequence.
pub enum Step {
    /// The clock is turned.
    Clock(UnixMicros),
    /// A function is called.
    Call(Args),
}

/// What the calls so far were, as far as later ones need to know.
pub struct World {
    now: UnixMicros,
    /// Ids that were drawn.
    drawn: u128,
    /// The last call: it may be repeated.
    last: Option<Args>,
    /// Whether what is wrong with a call is wrong with its arguments only, and never with its keys.
    pub keeps_keys: bool,
    /// Whether every call is one that a client could send.
    well_formed: bool,
}

impl Default for World {
    fn default() -> Self {
        Self { now: START, drawn: 0, last: None, keeps_keys: false, well_formed: false }
    }
}

/// A command out of words.
pub fn bytes(args: &[&str]) -> Args {
    args.iter().map(|arg| arg.as_bytes().to_vec()).collect()
}

impl World {
    /// A world in which every call is one that a client could send.
    pub fn of_clients() -> Self {
        Self { well_formed: true, ..Self::default() }
    }

    /// The next step, drawn from bytes.
    pub fn step(&mut self, choices: &[u8], ours: &mut Simulated) -> Step {
        let mut draw = Choices::new(choices);
        if draw.once_in(8) {
            self.now = UnixMicros(self.now.0 + 1_000 * draw.of(&[1, 999, 1_000, 5_000, 60_000]));
            return Step::Clock(self.now);
        }
        if draw.once_in(16)
            && let Some(last) = &self.last
        {
            return Step::Call(last.clone());
        }
        let who = Who::draw(&mut draw, ours);
        let function = if draw.below(3) < 2 { draw.of(who.fitting(ours)) } else { draw.of(&FUNCTIONS) };
        let mut args = self.call(function, &who, &mut draw, ours);
        let right = args.clone();
        malform(&mut args, &mut draw);
        let keys =
            3 + right.get(2).and_then(|count| std::str::from_utf8(count).ok()?.parse().ok()).unwrap_or(0);
        if self.well_formed || self.keeps_keys && args.get(..keys) != right.get(..keys) {
            args = right;
        }
        self.last = Some(args.clone());
        Step::Call(args)
    }

    /// The plainest call of a function.
    pub fn plain(&mut self, function: &str, ours: &mut Simulated) -> Step {
        let mut draw = Choices::new(&[]);
        let who = Who::draw(&mut draw, ours);
        Step::Call(self.call(function, &who, &mut draw, ours))
    }

    /// A call of a function, valid as far as the world's state allows.
    fn call(&mut self, function: &str, who: &Who, draw: &mut Choices<'_>, ours: &mut Simulated) -> Args {
        let now = TimestampMs(self.now.millis().0 + draw.of(&[0, 0, 0, 1, -1, 60_000, -60_000]));
        self.drawn += 1;
        // A fresh id, mostly; now and then one that was drawn before.
        let fresh = Uuid::from_u128(if draw.once_in(8) { 1 } else { 0x1000 + self.drawn });
        let Who { execution_id, lane_id, worker_id, worker_instance_id, attempt_index, fence } = who.clone();
        let keys = ExecutionKeys::of(&execution_id);
        let owned = Owned {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            worker_instance_id: worker_instance_id.clone(),
            attempt_index,
            fence: fence.clone(),
            source: draw.of(&[
                CancelSource::LeaseHolder,
                CancelSource::LeaseHolder,
                CancelSource::OperatorOverride,
            ]),
        };
        let claim = Claim {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            worker_id: worker_id.clone(),
            worker_instance_id: worker_instance_id.clone(),
            lease_id: LeaseId::from_uuid(fresh),
            attempt_id: AttemptId::from_uuid(fresh),
            lease_ttl: Millis(draw.of(&[30_000, 30_000, 30_000, 90_000, 1_000, 1_000, 1, 0])),
            attempt_policy_json: draw
                .of(&["", "", "", r#"{"a":{"b":[1,2.5,null]},"c":true}"#, "{}", "[", "7"])
                .into(),
            attempt_timeout: draw.of(&[None, None, Some(Millis(5_000)), Some(Millis(0))]),
            execution_deadline_at: draw.of(&[None, Some(now)]),
        };
        let grant = GrantRequest {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            worker_id: worker_id.clone(),
            worker_instance_id: worker_instance_id.clone(),
            grant_ttl: Millis(draw.of(&[60_000, 5_000, 5_000, 5_000, 1_000, 1_000, 1, 0])),
            capabilities: if draw.once_in(8) { BTreeSet::new() } else { BTreeSet::from(["gpu".to_owned()]) },
            notes: GrantNotes::default(),
        };
        let flow = FlowAt {
            flow_id: FlowId::from_uuid(Uuid::from_u128(draw.of(&[21, 21, 21, 22]))),
            partition: PARTITION,
        };
        let flow_keys = FlowKeyContext::new(&flow_partition_at(PARTITION), &flow.flow_id);
        let (edge, upstream, downstream) = edge(draw, ours);
        let dependency = Dependency {
            flow: flow.clone(),
            edge_id: EdgeId::from_uuid(Uuid::from_u128(edge)),
            upstream: execution(upstream),
            downstream: execution(downstream),
            dependency_kind: draw.of(&["success_only", "success_only", "success_only", "bogus"]).into(),
            data_passing_ref: draw.of(&[None, Some("ref".to_owned())]),
        };
        let group = SiblingGroup { flow: flow.clone(), downstream: execution_id.clone() };
        let policy = draw.of(&[
            EdgeDependencyPolicy::all_of(),
            EdgeDependencyPolicy::any_of(OnSatisfied::cancel_remaining()),
            EdgeDependencyPolicy::quorum(2, OnSatisfied::let_run()),
        ]);
        let waitpoint_id = who.waitpoint(draw, ours);
        let waitpoint = Waitpoint { id: waitpoint_id.clone(), key: WaitpointKey::new("wpk:a") };
        let pending = who.waitpoint_field(ours, &waitpoint_id, "state") == "pending";
        let blocked_by =
            BLOCKS.into_iter().find(|reason| reason.as_str() == who.core(ours, "blocking_reason"));
        let quota_policy_id = QuotaPolicyId::from_uuid(Uuid::from_u128(draw.of(&[51, 52])));
        let budget_id = BudgetId::from_uuid(Uuid::from_u128(draw.of(&[61, 62])));
        let deltas: BTreeMap<String, u64> =
            BTreeMap::from([("tokens".to_owned(), draw.of(&[4, 1, 9, 0])), ("usd".to_owned(), 1)]);
        let dedup: String = draw.of(&["", "r1", "r2"]).into();
        let revision = field(ours, &flow_keys.core(), "graph_revision").parse().unwrap_or_default();
        let graph_revision = if draw.once_in(6) { 99 } else { revision };
        let secrets = keys.index.waitpoint_hmac_secrets();
        let namespace = Namespace::new("ns");
        let text = |id: &dyn ToString| id.to_string();
        match function {
            "ff_create_execution" => send(&CreateExecution {
                execution_id,
                namespace,
                lane_id,
                execution_kind: "kind".into(),
                priority: draw.of(&[0, 5, -1, 9_001]),
                creator_identity: "me".into(),
                policy_json: draw.of(&[
                    String::new(),
                    policy_json(["gpu"]),
                    retries(),
                    retries(),
                    String::new(),
                    "{".into(),
                ]),
                payload: draw.of(&[&b"input"[..], b"\xff\x00", b""]).to_vec(),
                delay_until: draw.of(&[None, None, None, None, Some(now)]),
                idempotency_key: draw.of(&[None, None, None, Some("idem".to_owned())]),
                dedup_ttl: Millis(draw.of(&[1_000, 0])),
                tags: draw.of(&[BTreeMap::new(), BTreeMap::from([("a.b".to_owned(), "c".to_owned())])]),
                execution_deadline_at: draw.of(&[None, None, None, Some(now)]),
            }),
            "ff_issue_claim_grant" => send(&IssueClaimGrant(grant)),
            "ff_claim_execution" => send(&ClaimExecution {
                function: Default::default(),
                claim,
                expected_attempt_index: AttemptIndex(who.attempts(ours)),
            }),
            "ff_claim_resumed_execution" => send(&ClaimResumedExecution { claim, attempt_index }),
            "ff_issue_reclaim_grant" => send(&IssueReclaimGrant(grant)),
            "ff_reclaim_execution" => send(&ReclaimExecution {
                claim,
                old_attempt_index: attempt_index,
                default_max_reclaim_count: draw.of(&[Some(3), None, Some(0)]),
            }),
            "ff_issue_grant_and_claim" => send(&IssueGrantAndClaim { claim }),
            "ff_renew_lease" => send(&RenewLease {
                execution_id,
                attempt_index,
                fence,
                lease_ttl: Millis(draw.of(&[30_000, 1, 0])),
                history_grace: Millis(draw.of(&[60_000, 0])),
            }),
            "ff_mark_lease_expired_if_due" => send(&MarkLeaseExpired { execution_id }),
            "ff_revoke_lease" => send(&RevokeLease {
                execution_id,
                worker_instance_id,
                expected_lease_id: draw.of(&[None, fence.map(|fence| fence.lease_id)]),
                reason: "why".into(),
            }),
            "ff_complete_execution" => send(&CompleteExecution {
                owned,
                result: draw.of(&[&b"output"[..], b"", b"\x00\xff"]).to_vec(),
            }),
            "ff_fail_execution" => send(&FailExecution {
                owned,
                reason: "why".into(),
                category: "c".into(),
                retry_policy_json: draw.of(&[retries(), String::new(), "[".into(), "{}".into()]),
            }),
            "ff_delay_execution" => send(&DelayExecution { owned, delay_until: now }),
            "ff_move_to_waiting_children" => send(&MoveToWaitingChildren { owned }),
            "ff_cancel_execution" => send(&CancelExecution { owned, reason: "why".into() }),
            "ff_expire_execution" => send(&ExpireExecution {
                execution_id,
                lane_id,
                worker_instance_id,
                attempt_index,
                reason: draw.of(&["attempt_timeout", "execution_deadline"]).into(),
            }),
            "ff_replay_execution" => send(&ReplayExecution {
                execution_id,
                lane_id,
                now,
                edges: draw.of(&[vec![], vec![dependency.edge_id]]),
            }),
            "ff_suspend_execution" => send(&SuspendExecution {
                execution_id,
                lane_id,
                worker_instance_id,
                attempt_index,
                fence,
                suspension_id: SuspensionId::from_uuid(fresh),
                extra_waitpoints: if draw.once_in(6) {
                    vec![Waitpoint {
                        id: WaitpointId::from_uuid(Uuid::from_u128(43)),
                        key: WaitpointKey::new("wpk:x"),
                    }]
                } else {
                    vec![]
                },
                waitpoint,
                reason_code: "waiting_for_signal".into(),
                requested_by: "worker".into(),
                timeout_at: draw.of(&[None, Some(now), Some(Millis(60_000).after(now))]),
                timeout_behavior: draw.of(&[
                    TimeoutBehavior::Fail,
                    TimeoutBehavior::Cancel,
                    TimeoutBehavior::Expire,
                    TimeoutBehavior::AutoResume,
                    TimeoutBehavior::Escalate,
                ]),
                resume_condition_json: draw.of(CONDITIONS).into(),
                resume_policy_json: draw.of(&["{}", r#"{"resume_delay_ms":1000}"#, "["]).into(),
                continuation_metadata_pointer: draw.of(&[None, Some("p".to_owned())]),
                use_pending_waitpoint: pending != draw.once_in(8),
                idempotency_key: draw.of(&[None, None, None, Some("idem".to_owned())]),
                dedup_ttl: Millis(draw.of(&[1_000, 0])),
            }),
            "ff_resume_execution" => send(&ResumeExecution {
                execution_id,
                lane_id,
                waitpoint_id,
                trigger: draw.of(&[ResumeTrigger::Signal, ResumeTrigger::Operator]),
                resume_delay: Millis(draw.of(&[0, 1_000])),
            }),
            "ff_expire_suspension" => {
                send(&ExpireSuspension { execution_id, lane_id, waitpoint_id, attempt_index })
            }
            "ff_promote_delayed" => send(&PromoteDelayed { execution_id, lane_id, now }),
            "ff_block_execution_for_admission" => send(&BlockExecution {
                execution_id,
                lane_id,
                reason: draw.of(&BLOCKS),
                detail: "d".into(),
                now,
            }),
            "ff_unblock_execution" => {
                let expected_reason = blocked_by.filter(|_| !draw.once_in(8)).unwrap_or(draw.of(&BLOCKS));
                send(&UnblockExecution { execution_id, lane_id, expected_reason, now })
            }
            "ff_change_priority" => {
                send(&ChangePriority { execution_id, lane_id, priority: draw.of(&[9, 0, -5, 100_000]) })
            }
            "ff_create_flow" => send(&CreateFlow { flow, flow_kind: "dag".into(), namespace, now }),
            "ff_add_execution_to_flow" => send(&AddExecutionToFlow { flow, execution_id, now }),
            "ff_cancel_flow" => send(&CancelFlow {
                flow,
                reason: "why".into(),
                cancellation_policy: draw.of(&["cancel_all", "let_finish"]).into(),
                now,
                grace: draw.of(&[None, Some(Millis(1_000))]),
            }),
            "ff_ack_cancel_member" => send(&AckCancelMember { flow, execution_id }),
            "ff_stage_dependency_edge" => {
                send(&StageDependencyEdge { dependency, expected_graph_revision: graph_revision, now })
            }
            "ff_set_edge_group_policy" => {
                send(&SetEdgeGroupPolicy { flow, downstream: execution_id, policy, now })
            }
            "ff_apply_dependency_to_child" => {
                send(&ApplyDependencyToChild { dependency, lane_id, graph_revision, now })
            }
            "ff_resolve_dependency" => send(&ResolveDependency {
                dependency,
                lane_id,
                attempt_index,
                upstream_outcome: draw.of(&["success", "failed", "cancelled", "skipped"]).into(),
                now,
            }),
            "ff_evaluate_flow_eligibility" => send(&EvaluateFlowEligibility { execution_id }),
            "ff_promote_blocked_to_eligible" => {
                send(&PromoteBlockedToEligible { execution_id, lane_id, now })
            }
            "ff_drain_sibling_cancel_group" => send(&DrainSiblingCancelGroup(group)),
            "ff_reconcile_sibling_cancel_group" => send(&ReconcileSiblingCancelGroup(group)),
            "ff_create_quota_policy" => send(&CreateQuotaPolicy {
                quota_policy_id,
                window_seconds: draw.of(&[60, 1]),
                max_requests_per_window: draw.of(&[2, 0]),
                max_concurrent: draw.of(&[1, 0]),
                now,
            }),
            "ff_check_admission_and_record" => send(&CheckAdmission {
                quota_policy_id,
                execution_id,
                window_seconds: draw.of(&[60, 1]),
                rate_limit: draw.of(&[2, 0]),
                concurrency_cap: draw.of(&[1, 0, 2]),
                // Its jitter is math.random's, which is the server's and goes on from case to case.
                jitter: Millis(0),
                now,
            }),
            "ff_release_admission" => send(&ReleaseAdmission { quota_policy_id, execution_id }),
            "ff_create_budget" => send(&CreateBudget {
                budget_id,
                scope_type: "lane".into(),
                scope_id: "gpu".into(),
                enforcement_mode: "strict".into(),
                on_hard_limit: "fail".into(),
                on_soft_limit: "warn".into(),
                reset_interval: Millis(draw.of(&[0, 60_000])),
                now,
                limits: BTreeMap::from([("tokens".to_owned(), Limits { hard: 10, soft: 5 })]),
            }),
            "ff_report_usage_and_check" => send(&ReportUsage { budget_id, deltas, now, dedup }),
            "ff_record_spend" => send(&RecordSpend { budget_id, execution_id, deltas, now, dedup }),
            "ff_release_budget" => send(&ReleaseBudget { budget_id, execution_id }),
            "ff_reset_budget" => send(&ResetBudget { budget_id, now }),
            "ff_register_worker" => send(&RegisterWorker {
                namespace,
                worker_instance_id,
                worker_id,
                lanes: BTreeSet::from([lane_id]),
                capabilities: draw.of(&[BTreeSet::new(), BTreeSet::from(["gpu".to_owned()])]),
                ttl: Millis(draw.of(&[60_000, 1])),
                now,
            }),
            "ff_heartbeat_worker" => send(&HeartbeatWorker { namespace, worker_instance_id, now }),
            // What follows without a typed call is sent with words in place of numbers, and lists of odd lengths: KEYS and ARGV
            // as the functions' comments say.
            "ff_set_execution_tags" => fcall(function, &[keys.exec.core(), keys.exec.tags()], &tags(draw)),
            "ff_set_flow_tags" => fcall(function, &[flow_keys.core(), flow_keys.tags()], &tags(draw)),
            "ff_update_progress" => fcall(
                function,
                &[keys.exec.core()],
                &[text(&execution_id), who.lease(), who.epoch(), draw.word("50 100 x"), "half".into()],
            ),
            "ff_create_pending_waitpoint" => send(&CreatePendingWaitpoint {
                execution_id,
                attempt_index,
                waitpoint,
                expires_at: Millis(60_000).after(now),
            }),
            "ff_close_waitpoint" => {
                send(&CloseWaitpoint { execution_id, waitpoint_id, reason: "why".into() })
            }
            "ff_rotate_waitpoint_hmac_secret" => fcall(
                function,
                &[secrets],
                &[
                    draw.word("k1 k1 k1 k2 k2 k3 a:b"),
                    draw.word("abcd abcd abcd 0123 xyz"),
                    draw.word("60000 60000 0 -1 x"),
                ],
            ),
            "ff_list_waitpoint_hmac_kids" => send(&ListWaitpointSecrets { partition: PARTITION }),
            "ff_deliver_signal" | "ff_buffer_signal_for_pending_waitpoint" => {
                let token = who.waitpoint_field(ours, &waitpoint_id, "waitpoint_token");
                let token = if token.is_empty() || draw.once_in(8) { "k1:bad".into() } else { token };
                signal(function, who, &waitpoint_id, SignalId::from_uuid(fresh), token, draw, now)
            }
            "ff_append_frame" => fcall(
                function,
                &[
                    keys.exec.core(),
                    keys.exec.stream(attempt_index),
                    keys.exec.stream_meta(attempt_index),
                    keys.exec.stream_summary(attempt_index),
                ],
                &[
                    text(&execution_id),
                    text(&attempt_index),
                    who.lease(),
                    who.epoch(),
                    "delta".into(),
                    text(&now),
                    draw.of(&[r#"{"a":1,"b":{"c":null}}"#, "hello", r#"{"b":{"d":[1,2]}}"#, "[1]"]).into(),
                    "utf8".into(),
                    String::new(),
                    "worker".into(),
                    draw.word("0 2 1000"),
                    who.attempt(),
                    draw.word("65536 65536 65536 3"),
                    draw.of(&["", "summary", "best_effort", "durable", "bogus"]).into(),
                    draw.of(&["json-merge-patch", ""]).into(),
                    draw.word("1000 0"),
                    draw.word("0 4"),
                    draw.word("0 8"),
                    draw.word("0 0.3 1.5"),
                ],
            ),
            "ff_read_attempt_stream" => fcall(
                function,
                &[keys.exec.stream(attempt_index), keys.exec.stream_meta(attempt_index)],
                &[
                    "-".into(),
                    "+".into(),
                    draw.word("10 1 0 x"),
                    draw.of(&["", "exclude_best_effort", "x"]).into(),
                ],
            ),
            "ff_read_summary" => send(&ReadSummary { execution_id, attempt_index }),
            "ff_version" => send(&library_version()),
            other => panic!("no call of {other}"),
        }
    }
}

/// The number of an edge and of the executions that it connects: one within a flow, mostly.
fn edge(draw: &mut Choices<'_>, ours: &mut Simulated) -> (u128, u128, u128) {
    const EDGES: [(u128, u128, u128); 3] = [(31, 0, 1), (32, 0, 2), (33, 1, 2)];
    let joined: Vec<_> = [0, 1, 2].into_iter().filter(|&n| is_member(&execution(n), ours)).collect();
    let within: Vec<_> = EDGES
        .into_iter()
        .filter(|(_, upstream, downstream)| joined.contains(upstream) && joined.contains(downstream))
        .collect();
    if within.is_empty() || draw.once_in(8) { draw.of(&EDGES) } else { draw.of(&within) }
}

/// A signal to a waitpoint, delivered or buffered.
fn signal(
    function: &str,
    who: &Who,
    waitpoint_id: &WaitpointId,
    signal_id: SignalId,
    token: String,
    draw: &mut Choices<'_>,
    now: TimestampMs,
) -> Args {
    let ExecutionKeys { exec, index } = ExecutionKeys::of(&who.execution_id);
    let idempotency_key = draw.of(&["", "idem"]);
    let mut keys = vec![
        exec.core(),
        exec.waitpoint_condition(waitpoint_id),
        exec.waitpoint_signals(waitpoint_id),
        exec.exec_signals(),
        exec.signal(&signal_id),
        exec.signal_payload(&signal_id),
        exec.signal_dedup(waitpoint_id, idempotency_key),
        exec.waitpoint(waitpoint_id),
    ];
    if function == "ff_deliver_signal" {
        keys.extend([
            exec.suspension_current(),
            index.lane_eligible(&who.lane_id),
            index.lane_suspended(&who.lane_id),
            index.lane_delayed(&who.lane_id),
            index.suspension_timeout(),
            index.waitpoint_hmac_secrets(),
            index.partition_signal_delivery(),
        ]);
    } else {
        keys.push(index.waitpoint_hmac_secrets());
    }
    let args = [
        signal_id.to_string(),
        who.execution_id.to_string(),
        waitpoint_id.to_string(),
        draw.word("go stop"),
        "category".into(),
        "source".into(),
        "me".into(),
        "payload".into(),
        "json".into(),
        idempotency_key.into(),
        String::new(),
        "waitpoint".into(),
        now.to_string(),
        draw.word("1000 0 x"),
        draw.word("0 1000"),
        draw.word("1000 1"),
        draw.word("10000 1"),
        token,
    ];
    fcall(function, &keys, &args)
}

/// What suspensions wait for.
const CONDITIONS: &[&str] = &[
    r#"{"required_signal_names":["go"]}"#,
    r#"{"condition_type":"signal_set","required_signal_names":["go","stop"],"signal_match_mode":"all"}"#,
    r#"{"required_signal_names":[]}"#,
    r#"{"v":1,"composite":{"kind":"AllOf","members":[]}}"#,
    "{}",
    "[",
];

const BLOCKS: [BlockingReason; 4] =
    [BlockingReason::Budget, BlockingReason::Quota, BlockingReason::Capability, BlockingReason::Operator];

/// A policy that lets an execution be tried again.
fn retries() -> String {
    r#"{"max_retries":2,"backoff":{"type":"exponential","initial_delay_ms":100,"max_delay_ms":1000,"multiplier":2},"max_reclaim_count":2}"#.into()
}

fn send(command: &impl Command) -> Args {
    command.request().args.to_vec()
}

fn fcall(function: &str, keys: &[String], args: &[String]) -> Args {
    let mut all = bytes(&["FCALL", function, &keys.len().to_string()]);
    all.extend(keys.iter().chain(args).map(|arg| arg.as_bytes().to_vec()));
    all
}

fn tags(draw: &mut Choices<'_>) -> Vec<String> {
    draw.of(&[&["a.b", "c"][..], &["a.b", "c", "x.y", ""], &["bad", "c"], &["a.b"], &[]])
        .iter()
        .map(|word| (*word).to_owned())
        .collect()
}

/// Now and then, makes a call that no client of the library would send.
fn malform(args: &mut Args, draw: &mut Choices<'_>) {
    if !draw.once_in(16) || args.len() < 4 {
        return;
    }
    let at = 3 + draw.below(args.len() - 3);
    match draw.below(6) {
        // The bytes that are no text are what no plan can hold.
        0 if draw.once_in(8) => args[at] = b"\xff\x00".to_vec(),
        0 => args[at] = draw.of(&ODD_ARGUMENTS).as_bytes().to_vec(),
        1 => drop(args.pop()),
        2 => args.truncate(at),
        3 => args.push(b"more".to_vec()),
        4 => args[2] = draw.of(&[&b"0"[..], b"1", b"2", b"-1", b"x", b"99"]).to_vec(),
        _ => {
            let other = 3 + draw.below(args.len() - 3);
            args.swap(at, other);
        }
    }
}
