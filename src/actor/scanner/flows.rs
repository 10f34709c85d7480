//! Flows: those that wait learn what became of those that they wait for, the members of a cancelled flow are cancelled,
//! and so are those that nobody needs any more (`ff-engine` 0.15: `scanner/dependency_reconciler.rs`,
//! `cancel_reconciler.rs`, `edge_cancel_dispatcher.rs`, `edge_cancel_reconciler.rs`).
//!
//! One thing is the harness's own: an execution that waits in the set of dependencies with none that is open is promoted,
//! after a look by `ff_evaluate_flow_eligibility`. Nothing published calls either function.

use ff_core::types::{CancelSource, EdgeId, FlowId, WorkerInstanceId};
use valkey_sim::engine::Reply;

use super::{Continuation, Place, Scanner};
use crate::{
    actor::{Outbox, attempt_index},
    protocol::{
        AckCancelMember, CallError, CancelExecution, Command, Dependency, DrainSiblingCancelGroup,
        EvaluateFlowEligibility, FlowAt, FlowEligibility, Owned, Plain, PromoteBlockedToEligible,
        ReconcileSiblingCancelGroup, ResolveDependency, SiblingGroup, core_field, core_fields, edge,
        forget_cancelled_flow, members_to_cancel, open_edges, unneeded_siblings,
    },
    types::{ExecutionId, LaneId, TimestampMs},
};

/// How many edges of an execution are looked at in a walk.
const EDGES: usize = 20;
/// How many members of a cancelled flow are cancelled in a walk.
const MEMBERS: usize = 500;
/// What is read of an execution that is to be cancelled.
const MEMBER_FIELDS: [&str; 3] = ["lane_id", "current_attempt_index", "current_worker_instance_id"];

/// A step on the way to a call.
#[derive(Clone, Debug, Hash)]
pub enum Step {
    /// The open edges of one that waits on a lane.
    Open(ExecutionId, LaneId, Plain<Vec<String>>),
    /// Whether one without open edges may run.
    Evaluated(LaneId, EvaluateFlowEligibility),
    /// What an edge is.
    Edge(ExecutionId, LaneId, EdgeId, Plain<Vec<Option<String>>>),
    /// What became of the one that is waited for.
    Upstream(Box<Dependency>, LaneId, Plain<Vec<Option<String>>>),
    /// Which attempt the one that waits is at.
    Attempt(Box<Dependency>, LaneId, String, Plain<Option<String>>),
    /// The members of a cancelled flow.
    Members(FlowAt, Plain<Vec<ExecutionId>>),
    /// What must be known of an execution to cancel it.
    Member(Errand, ExecutionId, Plain<Vec<Option<String>>>),
    /// An execution was cancelled, or not.
    Cancelled(Errand, CancelExecution),
    /// Those of a group that nobody needs.
    Siblings(SiblingGroup, Plain<Option<String>>),
}

/// Why an execution is cancelled, and so what is done next.
#[derive(Clone, Debug, Hash)]
pub enum Errand {
    /// Its flow was cancelled.
    Member(FlowAt),
    /// Nobody needs it; these are next.
    Sibling(SiblingGroup, Vec<ExecutionId>),
}

impl Scanner {
    pub(super) fn look_at_dependencies(
        &self,
        place: Place,
        execution_id: ExecutionId,
        out: &mut Outbox<Continuation>,
    ) {
        let lane_id = self.lanes[place.lane].clone();
        out.call(open_edges(&execution_id), |read| {
            Continuation::Flow(Step::Open(execution_id, lane_id, read))
        });
    }

    pub(super) fn look_at_cancelled_flow(&self, partition: u16, name: &str, out: &mut Outbox<Continuation>) {
        let Ok(flow_id) = FlowId::parse(name) else { return };
        let flow = FlowAt { flow_id, partition };
        out.call(members_to_cancel(&flow, MEMBERS), |read| Continuation::Flow(Step::Members(flow, read)));
    }

    /// `<flow>|<who waited>`: a group of which some are no longer needed. It is looked at once by each of the two scanners
    /// that FlowFabric has for them.
    pub(super) fn look_at_siblings(&self, partition: u16, name: &str, out: &mut Outbox<Continuation>) {
        let ids = name.split_once('|');
        let ids = ids.and_then(|(flow, id)| Some((FlowId::parse(flow).ok()?, ExecutionId::parse(id).ok()?)));
        let Some((flow_id, downstream)) = ids else { return };
        let group = SiblingGroup { flow: FlowAt { flow_id, partition }, downstream };
        out.call(ReconcileSiblingCancelGroup(group.clone()), |_| Continuation::Told);
        out.call(unneeded_siblings(&group.flow, &group.downstream), |read| {
            Continuation::Flow(Step::Siblings(group, read))
        });
    }

    pub(super) fn flow_step(
        &self,
        now: TimestampMs,
        step: Step,
        reply: &Reply,
        out: &mut Outbox<Continuation>,
    ) {
        let next = Continuation::Flow;
        match step {
            Step::Open(id, lane_id, read) => self.opened(id, &lane_id, read.parse(reply), out),
            Step::Evaluated(lane_id, call) => {
                if call.parse(reply) == Ok(FlowEligibility::Eligible) {
                    let execution_id = call.execution_id;
                    let call = PromoteBlockedToEligible { execution_id, lane_id, now };
                    out.call(call, |_| Continuation::Told);
                }
            }
            Step::Edge(id, lane_id, edge_id, read) => {
                let Some(dependency) = dependency(&id, edge_id, read.parse(reply)) else { return };
                let read = core_fields(&dependency.upstream, &["lifecycle_phase", "terminal_outcome"]);
                out.call(read, |read| next(Step::Upstream(Box::new(dependency), lane_id, read)));
            }
            Step::Upstream(dependency, lane_id, read) => {
                let Some(outcome) = outcome(read.parse(reply)) else { return };
                let read = core_field(&dependency.downstream, "current_attempt_index");
                out.call(read, |read| next(Step::Attempt(dependency, lane_id, outcome, read)));
            }
            Step::Attempt(dependency, lane_id, upstream_outcome, read) => {
                let attempt_index = attempt_index(read.parse(reply).ok().flatten().as_deref());
                let dependency = *dependency;
                let call = ResolveDependency { dependency, lane_id, attempt_index, upstream_outcome, now };
                out.call(call, |_| Continuation::Told);
            }
            Step::Members(flow, read) => match read.parse(reply) {
                Ok(members) if members.is_empty() => {
                    out.call(forget_cancelled_flow(&flow), |_| Continuation::Told);
                }
                Ok(members) => {
                    members.into_iter().for_each(|id| look_at_member(Errand::Member(flow.clone()), id, out));
                }
                Err(_) => {}
            },
            Step::Member(errand, id, read) => {
                if let Ok(fields) = read.parse(reply) {
                    cancel(errand, id, &fields, out);
                }
            }
            Step::Cancelled(errand, call) => {
                // Consent and refusal alike: it is over with this one. What is no answer is tried again in the next walk.
                if !matches!(call.parse(reply), Err(CallError::Server(_) | CallError::Malformed { .. })) {
                    go_on(errand, call.owned.execution_id, out);
                }
            }
            Step::Siblings(group, read) => {
                let Ok(members) = read.parse(reply) else { return };
                let members = members.unwrap_or_default();
                let members = members.split('|').filter_map(|id| ExecutionId::parse(id).ok()).collect();
                next_sibling(group, members, out);
            }
        }
    }

    /// One that waits: each of its open edges is looked at; one without any is promoted.
    fn opened(
        &self,
        id: ExecutionId,
        lane_id: &LaneId,
        open: Result<Vec<String>, CallError>,
        out: &mut Outbox<Continuation>,
    ) {
        let Ok(open) = open else { return };
        if open.is_empty() {
            out.call(EvaluateFlowEligibility { execution_id: id }, |call| {
                Continuation::Flow(Step::Evaluated(lane_id.clone(), call))
            });
            return;
        }
        for edge_id in open.iter().take(EDGES).filter_map(|id| EdgeId::parse(id).ok()) {
            out.call(edge(&id, &edge_id), |read| {
                Continuation::Flow(Step::Edge(id.clone(), lane_id.clone(), edge_id, read))
            });
        }
    }
}

/// What an execution knows of an edge; none where that is not enough.
fn dependency(
    id: &ExecutionId,
    edge_id: EdgeId,
    read: Result<Vec<Option<String>>, CallError>,
) -> Option<Dependency> {
    let fields: [Option<String>; 4] = read.ok()?.try_into().ok()?;
    let [flow, upstream, kind, data] = fields;
    Some(Dependency {
        flow: FlowAt { flow_id: FlowId::parse(&flow?).ok()?, partition: id.partition() },
        edge_id,
        upstream: ExecutionId::parse(&upstream?).ok()?,
        downstream: id.clone(),
        dependency_kind: kind.unwrap_or_default(),
        data_passing_ref: data.filter(|data| !data.is_empty()),
    })
}

/// How an execution ended; none while it has not.
fn outcome(read: Result<Vec<Option<String>>, CallError>) -> Option<String> {
    let [phase, outcome]: [Option<String>; 2] = read.ok()?.try_into().ok()?;
    let outcome = outcome.filter(|outcome| !outcome.is_empty() && outcome != "none");
    outcome.filter(|_| phase.as_deref() == Some("terminal"))
}

fn look_at_member(errand: Errand, id: ExecutionId, out: &mut Outbox<Continuation>) {
    out.call(core_fields(&id, &MEMBER_FIELDS), |read| Continuation::Flow(Step::Member(errand, id, read)));
}

/// An operator's cancel, as both of FlowFabric's scanners send it.
fn cancel(
    errand: Errand,
    execution_id: ExecutionId,
    fields: &[Option<String>],
    out: &mut Outbox<Continuation>,
) {
    let [lane, attempt, instance] = fields else { return };
    let reason = match errand {
        Errand::Member(_) => "flow_cancelled",
        Errand::Sibling(..) => "sibling_quorum_satisfied",
    };
    let call = CancelExecution {
        owned: Owned {
            execution_id,
            lane_id: LaneId::new(lane.as_deref().unwrap_or("default")),
            worker_instance_id: WorkerInstanceId::new(instance.as_deref().unwrap_or_default()),
            attempt_index: attempt_index(attempt.as_deref()),
            fence: None,
            source: CancelSource::OperatorOverride,
        },
        reason: reason.to_owned(),
    };
    out.call(call, |call| Continuation::Flow(Step::Cancelled(errand, call)));
}

fn go_on(errand: Errand, execution_id: ExecutionId, out: &mut Outbox<Continuation>) {
    match errand {
        Errand::Member(flow) => out.call(AckCancelMember { flow, execution_id }, |_| Continuation::Told),
        Errand::Sibling(group, rest) => next_sibling(group, rest, out),
    }
}

/// Cancels one after the other; a group is drained when all are.
fn next_sibling(group: SiblingGroup, mut members: Vec<ExecutionId>, out: &mut Outbox<Continuation>) {
    if members.is_empty() {
        out.call(DrainSiblingCancelGroup(group), |_| Continuation::Told);
    } else {
        let first = members.remove(0);
        look_at_member(Errand::Sibling(group, members), first, out);
    }
}
