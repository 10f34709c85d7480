//! Flows: executions that wait for each other. Members, dependencies between them, and what a member's end means to
//! those that wait for it.

use ff_core::{
    contracts::EdgeDependencyPolicy,
    keys::{FlowIndexKeys, FlowKeyContext},
    types::{AttemptIndex, EdgeId, ExecutionId, FlowId, LaneId, Namespace, TimestampMs},
};

use super::{Call, Consent, ExecutionKeys, Malformed, Status, args, flow_partition_at, words};
use crate::types::{Function, Millis};

/// A flow and where it lives: with its members, whose ids name the partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FlowAt {
    /// The flow.
    pub flow_id: FlowId,
    /// Its partition's number.
    pub partition: u16,
}

impl FlowAt {
    fn keys(&self) -> FlowKeyContext {
        FlowKeyContext::new(&flow_partition_at(self.partition), &self.flow_id)
    }

    fn index(&self) -> FlowIndexKeys {
        FlowIndexKeys::new(&flow_partition_at(self.partition))
    }
}

/// `ff_create_flow`. Answers whether it is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateFlow {
    /// A fresh id, and where it shall live.
    pub flow: FlowAt,
    /// What kind of flow it is.
    pub flow_kind: String,
    /// The tenant.
    pub namespace: Namespace,
    /// The caller's now; the library takes the server's.
    pub now: TimestampMs,
}

impl Call for CreateFlow {
    const FUNCTION: Function = Function::CreateFlow;
    type Outcome = bool;

    fn keys(&self) -> Vec<String> {
        vec![self.flow.keys().core(), self.flow.keys().members(), self.flow.index().flow_index()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.flow.flow_id, self.flow_kind, self.namespace, self.now]
    }

    fn outcome(&self, answer: &Consent) -> Result<bool, Malformed> {
        Ok(answer.status == Status::Ok)
    }
}

/// `ff_add_execution_to_flow`. Answers how many members there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddExecutionToFlow {
    /// The flow.
    pub flow: FlowAt,
    /// The new member.
    pub execution_id: ExecutionId,
    /// The caller's now; the library takes the server's.
    pub now: TimestampMs,
}

impl Call for AddExecutionToFlow {
    const FUNCTION: Function = Function::AddExecutionToFlow;
    type Outcome = u32;

    fn keys(&self) -> Vec<String> {
        let flow = self.flow.keys();
        let core = ExecutionKeys::of(&self.execution_id).exec.core();
        vec![flow.core(), flow.members(), self.flow.index().flow_index(), core]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.flow.flow_id, self.execution_id, self.now]
    }

    fn outcome(&self, answer: &Consent) -> Result<u32, Malformed> {
        answer.field(1, "node_count")
    }
}

/// `ff_cancel_flow`: marks a flow as cancelled. Answers its members: cancelling them is the caller's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelFlow {
    /// The flow.
    pub flow: FlowAt,
    /// Why.
    pub reason: String,
    /// `cancel_all`, or what else is to become of the members.
    pub cancellation_policy: String,
    /// The caller's now; the library takes the server's.
    pub now: TimestampMs,
    /// How long the reconciler leaves the members to the caller.
    pub grace: Option<Millis>,
}

impl Call for CancelFlow {
    const FUNCTION: Function = Function::CancelFlow;
    type Outcome = Vec<ExecutionId>;

    fn keys(&self) -> Vec<String> {
        let (flow, index) = (self.flow.keys(), self.flow.index());
        vec![flow.core(), flow.members(), index.flow_index(), flow.pending_cancels(), index.cancel_backlog()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.flow.flow_id, self.reason, self.cancellation_policy, self.now, self.grace]
    }

    fn outcome(&self, answer: &Consent) -> Result<Vec<ExecutionId>, Malformed> {
        (1..answer.fields.len()).map(|index| answer.field(index, "execution_id")).collect()
    }
}

/// `ff_ack_cancel_member`: a member of a cancelled flow was cancelled too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckCancelMember {
    /// The flow.
    pub flow: FlowAt,
    /// The member.
    pub execution_id: ExecutionId,
}

impl Call for AckCancelMember {
    const FUNCTION: Function = Function::AckCancelMember;
    type Outcome = ();

    fn keys(&self) -> Vec<String> {
        vec![self.flow.keys().pending_cancels(), self.flow.index().cancel_backlog()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.execution_id, self.flow.flow_id]
    }

    fn outcome(&self, _: &Consent) -> Result<(), Malformed> {
        Ok(())
    }
}

/// One member waits for another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dependency {
    /// The flow of both.
    pub flow: FlowAt,
    /// A fresh id.
    pub edge_id: EdgeId,
    /// Who is waited for.
    pub upstream: ExecutionId,
    /// Who waits.
    pub downstream: ExecutionId,
    /// `success_only` is the kind there is.
    pub dependency_kind: String,
    /// What of the upstream's result becomes the downstream's payload.
    pub data_passing_ref: Option<String>,
}

/// `ff_stage_dependency_edge`: adds a dependency to the flow's graph. Answers the graph's new revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageDependencyEdge {
    /// The dependency.
    pub dependency: Dependency,
    /// The revision that the caller saw.
    pub expected_graph_revision: u64,
    /// The caller's now.
    pub now: TimestampMs,
}

impl Call for StageDependencyEdge {
    const FUNCTION: Function = Function::StageDependencyEdge;
    type Outcome = u64;

    fn keys(&self) -> Vec<String> {
        let Dependency { flow, edge_id, upstream, downstream, .. } = &self.dependency;
        let flow = flow.keys();
        vec![
            flow.core(),
            flow.members(),
            flow.edge(edge_id),
            flow.outgoing(upstream),
            flow.incoming(downstream),
            flow.grant(&edge_id.to_string()),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let Dependency { flow, edge_id, upstream, downstream, dependency_kind, data_passing_ref } =
            &self.dependency;
        args![
            flow.flow_id,
            edge_id,
            upstream,
            downstream,
            dependency_kind,
            data_passing_ref,
            self.expected_graph_revision,
            self.now,
        ]
    }

    fn outcome(&self, answer: &Consent) -> Result<u64, Malformed> {
        answer.field(1, "new_graph_revision")
    }
}

/// `ff_set_edge_group_policy`: how many of a member's dependencies must be satisfied. Answers whether it is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetEdgeGroupPolicy {
    /// The flow.
    pub flow: FlowAt,
    /// Who waits.
    pub downstream: ExecutionId,
    /// All, any, or so many.
    pub policy: EdgeDependencyPolicy,
    /// The caller's now.
    pub now: TimestampMs,
}

impl Call for SetEdgeGroupPolicy {
    const FUNCTION: Function = Function::SetEdgeGroupPolicy;
    type Outcome = bool;

    fn keys(&self) -> Vec<String> {
        let flow = self.flow.keys();
        vec![flow.core(), flow.edgegroup(&self.downstream)]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let (on_satisfied, k) = match &self.policy {
            EdgeDependencyPolicy::Quorum { k, on_satisfied } => (on_satisfied.variant_str(), *k),
            EdgeDependencyPolicy::AnyOf { on_satisfied } => (on_satisfied.variant_str(), 0),
            _ => ("", 0),
        };
        args![self.policy.variant_str(), on_satisfied, k, self.now]
    }

    fn outcome(&self, answer: &Consent) -> Result<bool, Malformed> {
        Ok(answer.field::<String>(0, "outcome")? == "set")
    }
}

/// `ff_apply_dependency_to_child`: the one who waits learns of a dependency, and leaves the eligible set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyDependencyToChild {
    /// The dependency.
    pub dependency: Dependency,
    /// The lane of the one who waits.
    pub lane_id: LaneId,
    /// The revision at which it was staged.
    pub graph_revision: u64,
    /// The caller's now.
    pub now: TimestampMs,
}

/// What came of [`ApplyDependencyToChild`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyDependencyOutcome {
    /// It waits now, for so many in all.
    Applied {
        /// How many.
        unsatisfied: u32,
    },
    /// It had been applied before.
    AlreadyApplied,
}

impl Call for ApplyDependencyToChild {
    const FUNCTION: Function = Function::ApplyDependencyToChild;
    type Outcome = ApplyDependencyOutcome;

    fn keys(&self) -> Vec<String> {
        let Dependency { flow, edge_id, downstream, .. } = &self.dependency;
        let ExecutionKeys { exec, index } = ExecutionKeys::of(downstream);
        vec![
            exec.core(),
            exec.deps_meta(),
            exec.deps_unresolved(),
            exec.dep_edge(edge_id),
            index.lane_eligible(&self.lane_id),
            index.lane_blocked_dependencies(&self.lane_id),
            exec.deps_all_edges(),
            flow.keys().edgegroup(downstream),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let Dependency { flow, edge_id, upstream, dependency_kind, data_passing_ref, .. } = &self.dependency;
        args![
            flow.flow_id,
            edge_id,
            upstream,
            self.graph_revision,
            dependency_kind,
            data_passing_ref,
            self.now
        ]
    }

    fn outcome(&self, answer: &Consent) -> Result<ApplyDependencyOutcome, Malformed> {
        match answer.field::<String>(0, "unsatisfied")?.as_str() {
            "already_applied" => Ok(ApplyDependencyOutcome::AlreadyApplied),
            _ => Ok(ApplyDependencyOutcome::Applied { unsatisfied: answer.field(0, "unsatisfied")? }),
        }
    }
}

/// `ff_resolve_dependency`: the one who was waited for has ended. Answers what it means: `satisfied`, `impossible`,
/// `pending`, `already_fired` or `already_resolved`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveDependency {
    /// The dependency.
    pub dependency: Dependency,
    /// The lane of the one who waits.
    pub lane_id: LaneId,
    /// The attempt of the one who waits.
    pub attempt_index: AttemptIndex,
    /// `success`, `failed` …
    pub upstream_outcome: String,
    /// The caller's now.
    pub now: TimestampMs,
}

impl Call for ResolveDependency {
    const FUNCTION: Function = Function::ResolveDependency;
    type Outcome = String;

    fn keys(&self) -> Vec<String> {
        let Dependency { flow, edge_id, upstream, downstream, .. } = &self.dependency;
        let ExecutionKeys { exec, index } = ExecutionKeys::of(downstream);
        vec![
            exec.core(),
            exec.deps_meta(),
            exec.deps_unresolved(),
            exec.dep_edge(edge_id),
            index.lane_eligible(&self.lane_id),
            index.lane_terminal(&self.lane_id),
            index.lane_blocked_dependencies(&self.lane_id),
            exec.attempt_hash(self.attempt_index),
            exec.stream_meta(self.attempt_index),
            exec.payload(),
            ExecutionKeys::of(upstream).exec.result(),
            flow.keys().edgegroup(downstream),
            flow.keys().incoming(downstream),
            flow.index().pending_cancel_groups(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let Dependency { flow, edge_id, downstream, .. } = &self.dependency;
        args![edge_id, self.upstream_outcome, self.now, flow.flow_id, downstream]
    }

    fn outcome(&self, answer: &Consent) -> Result<String, Malformed> {
        answer.field(0, "outcome")
    }
}

/// `ff_evaluate_flow_eligibility`: whether the dependencies of an execution let it run. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EvaluateFlowEligibility {
    /// The execution.
    pub execution_id: ExecutionId,
}

words! {
    /// What came of [`EvaluateFlowEligibility`].
    pub enum FlowEligibility {
        /// It may run.
        Eligible = "eligible",
        /// It waits.
        Blocked = "blocked_by_dependencies",
        /// What it waits for will never come.
        Impossible = "impossible",
        /// Somebody runs it.
        Owned = "owned",
        /// It has ended.
        Terminal = "terminal",
        /// It is suspended, or the like.
        NotRunnable = "not_runnable",
        /// There is no such execution.
        NotFound = "not_found",
    }
}

impl Call for EvaluateFlowEligibility {
    const FUNCTION: Function = Function::EvaluateFlowEligibility;
    type Outcome = FlowEligibility;

    fn keys(&self) -> Vec<String> {
        let exec = ExecutionKeys::of(&self.execution_id).exec;
        vec![exec.core(), exec.deps_meta()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![]
    }

    fn outcome(&self, answer: &Consent) -> Result<FlowEligibility, Malformed> {
        answer.field(0, "eligibility")
    }
}

/// `ff_promote_blocked_to_eligible`: an execution that waits for nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromoteBlockedToEligible {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its lane.
    pub lane_id: LaneId,
    /// The caller's now.
    pub now: TimestampMs,
}

impl Call for PromoteBlockedToEligible {
    const FUNCTION: Function = Function::PromoteBlockedToEligible;
    type Outcome = ();

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        vec![
            exec.core(),
            index.lane_blocked_dependencies(&self.lane_id),
            index.lane_eligible(&self.lane_id),
            exec.deps_meta(),
            exec.deps_unresolved(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.execution_id, self.now]
    }

    fn outcome(&self, _: &Consent) -> Result<(), Malformed> {
        Ok(())
    }
}

/// The members that are no longer needed once enough of a group is satisfied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SiblingGroup {
    /// The flow.
    pub flow: FlowAt,
    /// Who waited for the group.
    pub downstream: ExecutionId,
}

impl SiblingGroup {
    fn keys(&self) -> Vec<String> {
        vec![self.flow.index().pending_cancel_groups(), self.flow.keys().edgegroup(&self.downstream)]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.flow.flow_id, self.downstream]
    }
}

/// `ff_drain_sibling_cancel_group`: the members of a group were cancelled. Answers what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainSiblingCancelGroup(pub SiblingGroup);

impl Call for DrainSiblingCancelGroup {
    const FUNCTION: Function = Function::DrainSiblingCancelGroup;
    type Outcome = String;

    fn keys(&self) -> Vec<String> {
        self.0.keys()
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        self.0.argv()
    }

    fn outcome(&self, answer: &Consent) -> Result<String, Malformed> {
        answer.field(0, "outcome")
    }
}

/// `ff_reconcile_sibling_cancel_group`: looks whether a group is left over from a crash. Answers what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconcileSiblingCancelGroup(pub SiblingGroup);

impl Call for ReconcileSiblingCancelGroup {
    const FUNCTION: Function = Function::ReconcileSiblingCancelGroup;
    type Outcome = String;

    fn keys(&self) -> Vec<String> {
        self.0.keys()
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        self.0.argv()
    }

    fn outcome(&self, answer: &Consent) -> Result<String, Malformed> {
        answer.field(0, "outcome")
    }
}
