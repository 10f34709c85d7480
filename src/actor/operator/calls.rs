//! What a deed calls, from what is known: one arm a kind of deed.

use std::collections::BTreeMap;

use ff_core::{
    contracts::{EdgeDependencyPolicy, OnSatisfied},
    types::{CancelSource, SignalId},
};

use super::{Core, Doing, Known, Operator, WORKER};
use crate::{
    plan::{Deed, Dimensions, Does, Ending, GroupPolicy, NOBODYS_LANE, Right, Token, drawn_uuid},
    protocol::*,
    types::{
        AttemptId, ExecutionId, ExecutionName, Label, LaneId, LeaseFence, LeaseId, Millis, Namespace,
        TimestampMs, WorkerId, WorkerInstanceId,
    },
};

/// How long an idempotency key of a signal is remembered.
const DEDUP_TTL: Millis = Millis(60_000);

impl Operator {
    /// The call that a deed is about.
    pub(super) fn call(&self, deed: &Deed, doing: &mut Doing, now: TimestampMs) -> Option<Request> {
        let known = &doing.known;
        let id = |name: &ExecutionName| self.plan.execution_id(name);
        let lane = |name: &ExecutionName| self.lane(name, &known.core);
        let (attempt_index, instance) = (known.core.attempt_index(), known.core.instance());
        let flow = |name: &Label| self.plan.flow(name);
        let override_of = |name: &ExecutionName| {
            self.owned_by_name(name, &known.core, None, CancelSource::OperatorOverride)
        };
        Some(match &deed.does {
            Does::Cancel { execution, right } => {
                let (fence, source) = match right {
                    Right::Fence => (known.core.fence(), CancelSource::LeaseHolder),
                    Right::None => (None, CancelSource::LeaseHolder),
                    Right::Override => (None, CancelSource::OperatorOverride),
                };
                let owned = self.owned_by_name(execution, &known.core, fence, source);
                CancelExecution { owned, reason: "operator".to_owned() }.request()
            }
            Does::Revoke { execution, named } => RevokeLease {
                execution_id: id(execution),
                worker_instance_id: instance,
                expected_lease_id: known.core.lease_id.clone().filter(|_| *named),
                reason: "operator".to_owned(),
            }
            .request(),
            Does::Complete { execution } => {
                // Half of them bring no result.
                let result: &[u8] = if doing.random.below(2) == 0 { b"" } else { b"by an operator" };
                CompleteExecution { owned: override_of(execution), result: result.to_vec() }.request()
            }
            Does::Fail { execution, max_retries } => FailExecution {
                owned: override_of(execution),
                reason: "operator".to_owned(),
                category: "operator".to_owned(),
                retry_policy_json: retry_policy(*max_retries),
            }
            .request(),
            Does::Delay { execution, by_ms } => {
                DelayExecution { owned: override_of(execution), delay_until: later(now, *by_ms) }.request()
            }
            Does::Replay { execution } => ReplayExecution {
                execution_id: id(execution),
                lane_id: lane(execution),
                now,
                edges: known.edges.clone(),
            }
            .request(),
            Does::Expire { execution, reason } => ExpireExecution {
                execution_id: id(execution),
                lane_id: lane(execution),
                worker_instance_id: instance,
                attempt_index,
                reason: reason.as_str().to_owned(),
            }
            .request(),
            Does::ChangePriority { execution, priority } => {
                ChangePriority { execution_id: id(execution), lane_id: lane(execution), priority: *priority }
                    .request()
            }
            Does::Block { execution, reason } => BlockExecution {
                execution_id: id(execution),
                lane_id: lane(execution),
                reason: *reason,
                detail: "operator".to_owned(),
                now,
            }
            .request(),
            Does::Unblock { execution, reason } => UnblockExecution {
                execution_id: id(execution),
                lane_id: lane(execution),
                expected_reason: *reason,
                now,
            }
            .request(),
            Does::GrantAndClaim { execution, lease_ttl_ms, .. } => IssueGrantAndClaim {
                claim: Claim {
                    execution_id: id(execution),
                    lane_id: lane(execution),
                    worker_id: WorkerId::new(WORKER),
                    worker_instance_id: WorkerInstanceId::new(WORKER),
                    lease_id: LeaseId::from_uuid(drawn_uuid(&mut doing.random)),
                    attempt_id: AttemptId::from_uuid(drawn_uuid(&mut doing.random)),
                    lease_ttl: Millis(*lease_ttl_ms),
                    attempt_policy_json: String::new(),
                    attempt_timeout: None,
                    execution_deadline_at: None,
                },
            }
            .request(),
            Does::TagExecution { execution, tag } => {
                SetExecutionTags { execution_id: id(execution), tags: tags(tag, &deed.name) }.request()
            }
            Does::ReadSummary { execution } => {
                ReadSummary { execution_id: id(execution), attempt_index }.request()
            }
            Does::ReadStream { execution, count, durable_only } => ReadAttemptStream {
                execution_id: id(execution),
                attempt_index,
                count: *count,
                durable_only: *durable_only,
            }
            .request(),
            Does::UpdateProgress { execution, percent } => UpdateProgress {
                execution_id: id(execution),
                fence: known.core.fence(),
                percent: percent.clone(),
                message: "by an operator".to_owned(),
            }
            .request(),
            Does::Signal { execution, signal, token, key, resume_delay_ms, most, at: _ } => {
                let signal = self.signal(doing, execution, signal, *token, key.as_ref(), now);
                let resume_delay = Millis(*resume_delay_ms);
                let max_signals = u32::try_from(*most).unwrap_or(u32::MAX);
                DeliverSignal(Signal { resume_delay, max_signals, ..signal }).request()
            }
            Does::BufferSignal { execution, signal, token, key } => {
                BufferSignal(self.signal(doing, execution, signal, *token, key.as_ref(), now)).request()
            }
            Does::CreateWaitpoint { execution, lives_ms } => CreatePendingWaitpoint {
                execution_id: id(execution),
                attempt_index,
                waitpoint: self.plan.waitpoint(execution),
                expires_at: later(now, *lives_ms),
            }
            .request(),
            Does::CloseWaitpoint { execution } => CloseWaitpoint {
                execution_id: id(execution),
                waitpoint_id: self.waitpoint(execution, known).id,
                reason: "operator".to_owned(),
            }
            .request(),
            Does::Resume { execution, trigger, delay_ms } => ResumeExecution {
                execution_id: id(execution),
                lane_id: lane(execution),
                waitpoint_id: self.waitpoint(execution, known).id,
                trigger: *trigger,
                resume_delay: Millis(*delay_ms),
            }
            .request(),
            Does::ExpireSuspension { execution } => ExpireSuspension {
                execution_id: id(execution),
                lane_id: lane(execution),
                waitpoint_id: self.waitpoint(execution, known).id,
                attempt_index,
            }
            .request(),
            Does::PromoteDelayed { execution } => {
                PromoteDelayed { execution_id: id(execution), lane_id: lane(execution), now }.request()
            }
            Does::MarkExpired { execution } => MarkLeaseExpired { execution_id: id(execution) }.request(),
            Does::RotateSecret { .. } | Does::ApplyEdge { .. } => return None,
            Does::ListSecrets { partition } => ListWaitpointSecrets { partition: *partition }.request(),
            Does::CreateFlow { flow: name } => {
                CreateFlow { flow: flow(name), flow_kind: "dag".to_owned(), namespace: namespace(), now }
                    .request()
            }
            Does::AddMember { flow: name, execution } => {
                AddExecutionToFlow { flow: flow(name), execution_id: id(execution), now }.request()
            }
            Does::SetGroup { flow: name, execution, policy, quorum, let_run } => SetEdgeGroupPolicy {
                flow: flow(name),
                downstream: id(execution),
                policy: group_policy(*policy, *quorum, *let_run),
                now,
            }
            .request(),
            Does::Edge { flow: name, from, to, passes_data, .. } => StageDependencyEdge {
                dependency: self.dependency(name, from, to, *passes_data),
                expected_graph_revision: known.graph_revision,
                now,
            }
            .request(),
            Does::ResolveEdge { flow: name, from, to, outcome } => ResolveDependency {
                dependency: self.dependency(name, from, to, false),
                lane_id: lane(to),
                attempt_index,
                upstream_outcome: outcome.as_str().to_owned(),
                now,
            }
            .request(),
            Does::Evaluate { execution } => EvaluateFlowEligibility { execution_id: id(execution) }.request(),
            Does::Promote { execution } => {
                PromoteBlockedToEligible { execution_id: id(execution), lane_id: lane(execution), now }
                    .request()
            }
            Does::CancelFlow { flow: name, policy, grace_ms, .. } => CancelFlow {
                flow: flow(name),
                reason: "operator".to_owned(),
                cancellation_policy: policy.clone(),
                now,
                grace: Some(Millis(*grace_ms)),
            }
            .request(),
            Does::AckMember { flow: name, execution } => {
                AckCancelMember { flow: flow(name), execution_id: id(execution) }.request()
            }
            Does::DrainGroup { flow: name, execution } => {
                DrainSiblingCancelGroup(SiblingGroup { flow: flow(name), downstream: id(execution) })
                    .request()
            }
            Does::ReconcileGroup { flow: name, execution } => {
                ReconcileSiblingCancelGroup(SiblingGroup { flow: flow(name), downstream: id(execution) })
                    .request()
            }
            Does::TagFlow { flow: name, tag } => {
                SetFlowTags { flow: flow(name), tags: tags(tag, &deed.name) }.request()
            }
            Does::CreateQuota { quota, window_s, rate, concurrent } => CreateQuotaPolicy {
                quota_policy_id: self.plan.quota_id(quota),
                window_seconds: *window_s,
                max_requests_per_window: *rate,
                max_concurrent: *concurrent,
                now,
            }
            .request(),
            Does::Admit { quota, execution, window_s, rate, concurrent } => CheckAdmission {
                quota_policy_id: self.plan.quota_id(quota),
                execution_id: id(execution),
                window_seconds: *window_s,
                rate_limit: *rate,
                concurrency_cap: *concurrent,
                jitter: Millis(0),
                now,
            }
            .request(),
            Does::Release { quota, execution } => {
                ReleaseAdmission { quota_policy_id: self.plan.quota_id(quota), execution_id: id(execution) }
                    .request()
            }
            Does::CreateBudget { budget, hard, soft, reset_ms } => CreateBudget {
                budget_id: self.plan.budget_id(budget),
                scope_type: "lane".to_owned(),
                scope_id: "gold".to_owned(),
                enforcement_mode: "strict".to_owned(),
                on_hard_limit: "fail".to_owned(),
                on_soft_limit: "warn".to_owned(),
                reset_interval: Millis(*reset_ms),
                now,
                limits: limits(hard, soft),
            }
            .request(),
            Does::ReportUsage { budget, used, key } => ReportUsage {
                budget_id: self.plan.budget_id(budget),
                deltas: used.clone(),
                now,
                dedup: key.as_ref().map(Label::to_string).unwrap_or_default(),
            }
            .request(),
            Does::Spend { budget, execution, used, key } => RecordSpend {
                budget_id: self.plan.budget_id(budget),
                execution_id: id(execution),
                deltas: used.clone(),
                now,
                dedup: key.as_ref().map(Label::to_string).unwrap_or_default(),
            }
            .request(),
            Does::ReleaseBudget { budget, execution } => {
                ReleaseBudget { budget_id: self.plan.budget_id(budget), execution_id: id(execution) }
                    .request()
            }
            Does::ResetBudget { budget } => {
                ResetBudget { budget_id: self.plan.budget_id(budget), now }.request()
            }
            Does::Register { instance, worker_id, lanes, ttl_ms } => RegisterWorker {
                namespace: namespace(),
                worker_instance_id: WorkerInstanceId::new(instance.as_str()),
                worker_id: WorkerId::new(worker_id),
                lanes: lanes.iter().map(LaneId::new).collect(),
                capabilities: Default::default(),
                ttl: Millis(*ttl_ms),
                now,
            }
            .request(),
            Does::Heartbeat { instance } => HeartbeatWorker {
                namespace: namespace(),
                worker_instance_id: WorkerInstanceId::new(instance.as_str()),
                now,
            }
            .request(),
            Does::Version {} => library_version().request(),
        })
    }

    /// Applies a dependency at the revision that is known.
    pub(super) fn apply(&self, deed: &Deed, known: &Known, now: TimestampMs) -> Option<Request> {
        let (flow, from, to, passes_data) = match &deed.does {
            Does::Edge { flow, from, to, passes_data, .. } => (flow, from, to, *passes_data),
            Does::ApplyEdge { flow, from, to } => (flow, from, to, false),
            _ => return None,
        };
        let call = ApplyDependencyToChild {
            dependency: self.dependency(flow, from, to, passes_data),
            lane_id: self.lane(to, &known.core),
            graph_revision: known.graph_revision,
            now,
        };
        Some(call.request())
    }

    /// Ends the attempt that it claimed itself, as the deed says.
    pub(super) fn end(&self, deed: &Deed, known: &Known, now: TimestampMs) -> Option<Request> {
        let Does::GrantAndClaim { execution, ends, .. } = &deed.does else { return None };
        let (lease_id, lease_epoch, attempt_index) = known.lease.clone()?;
        let attempt_id = known.core.attempt_id.clone()?;
        let owned = Owned {
            execution_id: self.plan.execution_id(execution),
            lane_id: self.lane(execution, &known.core),
            worker_instance_id: WorkerInstanceId::new(WORKER),
            attempt_index,
            fence: Some(LeaseFence { lease_id, lease_epoch, attempt_id }),
            source: CancelSource::LeaseHolder,
        };
        Some(match ends {
            Ending::Complete => CompleteExecution { owned, result: b"done".to_vec() }.request(),
            Ending::Fail => FailExecution {
                owned,
                reason: "it failed".to_owned(),
                category: "work".to_owned(),
                retry_policy_json: retry_policy(1),
            }
            .request(),
            Ending::Delay(by_ms) => DelayExecution { owned, delay_until: later(now, *by_ms) }.request(),
            Ending::Cancel => CancelExecution { owned, reason: "it gave up".to_owned() }.request(),
            _ => return None,
        })
    }

    /// Whose attempt it is, in the words of an operator.
    fn owned_by_name(
        &self,
        name: &ExecutionName,
        core: &Core,
        fence: Option<LeaseFence>,
        source: CancelSource,
    ) -> Owned {
        Owned {
            lane_id: self.lane(name, core),
            ..self.owned(self.plan.execution_id(name), core, fence, source)
        }
    }

    pub(super) fn owned(
        &self,
        execution_id: ExecutionId,
        core: &Core,
        fence: Option<LeaseFence>,
        source: CancelSource,
    ) -> Owned {
        Owned {
            execution_id,
            lane_id: LaneId::new(core.lane.as_deref().unwrap_or(NOBODYS_LANE)),
            worker_instance_id: core.instance(),
            attempt_index: core.attempt_index(),
            fence,
            source,
        }
    }

    /// An execution's lane: as it was read, else as the plan says.
    fn lane(&self, name: &ExecutionName, core: &Core) -> LaneId {
        let planned = || {
            let execution = self.plan.executions.iter().find(|execution| execution.name == *name);
            execution.map_or(NOBODYS_LANE, |execution| &execution.lane)
        };
        LaneId::new(core.lane.as_deref().unwrap_or_else(planned))
    }

    /// Where an execution waits, else the waitpoint that is created for it before it does.
    pub(super) fn waitpoint(&self, name: &ExecutionName, known: &Known) -> Waitpoint {
        let own = self.plan.waitpoint(name);
        match &known.core.waitpoint_id {
            Some(id) => Waitpoint { id: id.clone(), ..own },
            None => own,
        }
    }

    fn dependency(
        &self,
        flow: &Label,
        from: &ExecutionName,
        to: &ExecutionName,
        passes_data: bool,
    ) -> Dependency {
        Dependency {
            flow: self.plan.flow(flow),
            edge_id: self.plan.edge_id(flow, from, to),
            upstream: self.plan.execution_id(from),
            downstream: self.plan.execution_id(to),
            dependency_kind: "success_only".to_owned(),
            data_passing_ref: passes_data.then(|| "result".to_owned()),
        }
    }

    fn signal(
        &self,
        doing: &mut Doing,
        execution: &ExecutionName,
        name: &str,
        token: Token,
        key: Option<&Label>,
        now: TimestampMs,
    ) -> Signal {
        Signal {
            signal_id: SignalId::from_uuid(drawn_uuid(&mut doing.random)),
            execution_id: self.plan.execution_id(execution),
            lane_id: self.lane(execution, &doing.known.core),
            waitpoint_id: self.waitpoint(execution, &doing.known).id,
            name: name.to_owned(),
            payload: b"{}".to_vec(),
            idempotency_key: key.map(Label::to_string),
            dedup_ttl: DEDUP_TTL,
            created_at: now,
            resume_delay: Millis(0),
            max_signals: 100,
            token: match token {
                Token::Valid => doing.known.token.clone(),
                Token::Forged => forged(&doing.known.token),
                Token::Missing => String::new(),
            },
        }
    }
}

fn namespace() -> Namespace {
    Namespace::new("sim")
}

fn later(now: TimestampMs, by_ms: u64) -> TimestampMs {
    TimestampMs(now.0.saturating_add_unsigned(by_ms))
}

/// A policy that allows so many retries, a moment apart; none for none.
fn retry_policy(max_retries: u8) -> String {
    match max_retries {
        0 => String::new(),
        _ => format!(r#"{{"max_retries":{max_retries},"backoff":{{"type":"fixed","delay_ms":100}}}}"#),
    }
}

fn tags(tag: &str, value: &Label) -> Tags {
    Tags::from([(tag.to_owned(), value.to_string())])
}

fn group_policy(policy: GroupPolicy, quorum: u32, let_run: bool) -> EdgeDependencyPolicy {
    let on_satisfied = if let_run { OnSatisfied::let_run() } else { OnSatisfied::cancel_remaining() };
    match policy {
        GroupPolicy::AllOf => EdgeDependencyPolicy::all_of(),
        GroupPolicy::AnyOf => EdgeDependencyPolicy::any_of(on_satisfied),
        GroupPolicy::Quorum => EdgeDependencyPolicy::quorum(quorum, on_satisfied),
    }
}

fn limits(hard: &Dimensions, soft: &Dimensions) -> BTreeMap<String, Limits> {
    let of = |all: &Dimensions, dimension: &String| all.get(dimension).copied().unwrap_or(0);
    let dimensions = hard.keys().chain(soft.keys());
    dimensions
        .map(|dimension| (dimension.clone(), Limits { hard: of(hard, dimension), soft: of(soft, dimension) }))
        .collect()
}

/// A token of the same shape that nobody made.
fn forged(token: &str) -> String {
    match token.split_once(':') {
        Some((kid, hex)) => format!("{kid}:{}", "0".repeat(hex.len().max(2))),
        None => "k1:00".to_owned(),
    }
}
