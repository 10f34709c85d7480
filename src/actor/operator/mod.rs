//! The operator carries out the deeds of a plan: each as a tool of FlowFabric's would, which reads what a call needs (a
//! lease, a graph's revision, a token) and then calls.
//!
//! What takes several calls (a flow and its members, a dependency staged and applied) is several steps; an operator that
//! dies in between leaves the rest to others, and knows nothing of it in its next life.

mod calls;

use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
    sync::Arc,
};

use ff_core::types::CancelSource;
use valkey_sim::{engine::Reply, random::Random};

use super::{Actor, Input, Message, Outbox};
use crate::{
    plan::{Deed, Does, Plan},
    protocol::{self, *},
    types::{
        Answer, AttemptId, AttemptIndex, EdgeId, ExecutionId, Label, LeaseEpoch, LeaseFence, LeaseId, Millis,
        TimestampMs, WaitpointId, WorkerInstanceId,
    },
};

/// How long it waits before it does a deed again of which nobody knows whether it was done.
const AGAIN_MS: u64 = 250;
/// Who the operator is where it takes a lease itself.
const WORKER: &str = "operator";

/// Carries out the deeds of a plan.
#[derive(Clone, Debug)]
pub struct Operator {
    plan: Arc<Plan>,
    functions: Arc<Registered>,
    /// Which time it lives, counted from 1.
    life: u32,
    /// How many times anything was begun: no two tries make up the same ids.
    begun: u64,
}

/// What the operator goes on with.
#[derive(Clone, Debug, Hash)]
pub enum Continuation {
    /// A deed is due.
    Begin {
        /// Which, by its place in the plan.
        place: usize,
        /// How often it may be done again.
        again: u64,
    },
    /// A deed that is under way.
    Go(Box<Doing>),
    /// A call of the plan is due, by its place.
    Send(usize),
    /// It is connected, or a call was answered: nothing follows.
    Done,
}

/// A deed that is under way: what is known, and what is still to be done.
#[derive(Clone, Debug, Hash)]
pub struct Doing {
    place: usize,
    again: u64,
    /// Draws the ids that it makes up.
    random: Random,
    known: Known,
    /// What was sent last, and is answered next.
    sent: Option<Step>,
    steps: VecDeque<Step>,
}

/// A step of a deed.
#[derive(Clone, Debug, Hash)]
enum Step {
    /// Reads the core of an execution.
    Look(ExecutionId),
    /// Reads at which waitpoints it waits beside that of its core, and means the n-th of them.
    LookBeside(u64),
    /// Reads the token of the waitpoint at which it waits, or that was created for it.
    LookAtToken,
    /// Reads the revision of a flow's graph.
    LookAtGraph(Label),
    /// Reads the dependencies of an execution.
    LookAtEdges,
    /// Lets time pass: what is known grows old.
    Wait(u64),
    /// Does what the deed is about.
    Do,
    /// Applies the dependency that was staged.
    Apply,
    /// Cancels a member of a cancelled flow, of whose core it read.
    CancelMember(ExecutionId),
    /// Acknowledges that it was.
    Acknowledge(ExecutionId),
    /// Rotates the secret of one partition.
    Rotate(u16),
    /// Ends the attempt that it claimed.
    End,
}

/// The fields of a core that calls need, in the order of [`Core`].
const FIELDS: [&str; 7] = [
    "lane_id",
    "current_worker_instance_id",
    "current_attempt_index",
    "current_attempt_id",
    "current_lease_id",
    "current_lease_epoch",
    "current_waitpoint_id",
];

/// What was read of an execution's core.
#[derive(Clone, Debug, Default, Hash)]
struct Core {
    lane: Option<String>,
    instance: Option<String>,
    attempt_index: Option<AttemptIndex>,
    attempt_id: Option<AttemptId>,
    lease_id: Option<LeaseId>,
    epoch: Option<LeaseEpoch>,
    waitpoint_id: Option<WaitpointId>,
}

/// What a deed knows.
#[derive(Clone, Debug, Default, Hash)]
struct Known {
    core: Core,
    token: String,
    graph_revision: u64,
    edges: Vec<EdgeId>,
    /// The lease that it took itself, and the attempt under it.
    lease: Option<(LeaseId, LeaseEpoch, AttemptIndex)>,
}

impl Core {
    fn read(fields: Vec<Option<String>>) -> Self {
        let mut fields = fields.into_iter().map(|field| field.filter(|text| !text.is_empty()));
        let mut next = || fields.next().flatten();
        Self {
            lane: next(),
            instance: next(),
            attempt_index: next().and_then(|text| AttemptIndex::from_field(&text)),
            attempt_id: next().and_then(|text| AttemptId::from_field(&text)),
            lease_id: next().and_then(|text| LeaseId::from_field(&text)),
            epoch: next().and_then(|text| LeaseEpoch::from_field(&text)),
            waitpoint_id: next().and_then(|text| WaitpointId::from_field(&text)),
        }
    }

    fn attempt_index(&self) -> AttemptIndex {
        self.attempt_index.unwrap_or(AttemptIndex(0))
    }

    /// The fence of the current lease; none where nobody ever had one.
    fn fence(&self) -> Option<LeaseFence> {
        Some(LeaseFence {
            lease_id: self.lease_id.clone()?,
            lease_epoch: self.epoch?,
            attempt_id: self.attempt_id.clone()?,
        })
    }

    fn instance(&self) -> WorkerInstanceId {
        WorkerInstanceId::new(self.instance.as_deref().unwrap_or(WORKER))
    }
}

impl Operator {
    /// An operator in its `life`-th life, counted from 1. Of a library that lacks functions, it leaves out their deeds.
    pub fn new(plan: Arc<Plan>, functions: Arc<Registered>, life: u32) -> Self {
        Self { plan, functions, life, begun: 0 }
    }

    /// Sets a timer for each deed that has a time of its own and is still to come, by the operator's own clock.
    fn start(&self, now: TimestampMs, out: &mut Outbox<Continuation>) {
        // In its first life it counts from its start; later, from what its clock says of the start of the run.
        let since_start = now.0.saturating_sub_unsigned(self.plan.epoch_ms).max(0).unsigned_abs();
        let passed_ms = if self.life > 1 { since_start } else { 0 };
        if !self.plan.calls.is_empty() {
            // So the connection stands when the first is due.
            out.call(server_time(), |_| Continuation::Done);
        }
        for (place, call) in self.plan.calls.iter().enumerate() {
            if let Some(after_ms) = call.at_ms.checked_sub(passed_ms) {
                out.wake(after_ms, Continuation::Send(place));
            }
        }
        for (place, deed) in self.plan.deeds.iter().enumerate() {
            if let Some(after_ms) = deed.at_ms.checked_sub(passed_ms).filter(|_| deed.upon.is_none()) {
                out.wake(after_ms, Continuation::Begin { place, again: deed.again });
            }
        }
    }

    fn begin(&mut self, now: TimestampMs, place: usize, again: u64, out: &mut Outbox<Continuation>) {
        let Some(deed) = self.plan.deeds.get(place) else { return };
        self.begun += 1;
        let random = self.plan.random(&format!("deed {} life {} try {}", deed.name, self.life, self.begun));
        let steps = self.steps(deed);
        let doing = Doing { place, again, random, known: Known::default(), sent: None, steps };
        self.go(now, doing, out);
    }

    /// What a deed begins with: what it reads, for how long it keeps that to itself, and what it does then.
    fn steps(&self, deed: &Deed) -> VecDeque<Step> {
        let execution =
            deed.does.executions().into_iter().next_back().map(|name| self.plan.execution_id(name));
        let mut steps: VecDeque<Step> = match &deed.does {
            Does::Version {}
            | Does::RotateSecret { .. }
            | Does::ListSecrets { .. }
            | Does::CreateFlow { .. }
            | Does::AddMember { .. }
            | Does::SetGroup { .. }
            | Does::CancelFlow { .. }
            | Does::AckMember { .. }
            | Does::DrainGroup { .. }
            | Does::ReconcileGroup { .. }
            | Does::TagFlow { .. }
            | Does::TagExecution { .. }
            | Does::Evaluate { .. }
            | Does::CreateQuota { .. }
            | Does::Admit { .. }
            | Does::Release { .. }
            | Does::CreateBudget { .. }
            | Does::ReportUsage { .. }
            | Does::Spend { .. }
            | Does::ReleaseBudget { .. }
            | Does::ResetBudget { .. }
            | Does::Register { .. }
            | Does::Heartbeat { .. } => VecDeque::new(),
            Does::Cancel { .. }
            | Does::Revoke { .. }
            | Does::Complete { .. }
            | Does::Fail { .. }
            | Does::Delay { .. }
            | Does::Expire { .. }
            | Does::ChangePriority { .. }
            | Does::Block { .. }
            | Does::Unblock { .. }
            | Does::GrantAndClaim { .. }
            | Does::ReadSummary { .. }
            | Does::ReadStream { .. }
            | Does::UpdateProgress { .. }
            | Does::CreateWaitpoint { .. }
            | Does::CloseWaitpoint { .. }
            | Does::Resume { .. }
            | Does::ExpireSuspension { .. }
            | Does::PromoteDelayed { .. }
            | Does::MarkExpired { .. }
            | Does::Promote { .. }
            | Does::ResolveEdge { .. } => execution.into_iter().map(Step::Look).collect(),
            Does::Replay { .. } => execution.into_iter().map(Step::Look).chain([Step::LookAtEdges]).collect(),
            Does::Signal { at: nth @ 1.., .. } => {
                let core = execution.into_iter().map(Step::Look);
                core.chain([Step::LookBeside(*nth), Step::LookAtToken]).collect()
            }
            Does::Signal { .. } | Does::BufferSignal { .. } => {
                execution.into_iter().map(Step::Look).chain([Step::LookAtToken]).collect()
            }
            Does::Edge { flow, .. } | Does::ApplyEdge { flow, .. } => {
                let core = execution.into_iter().map(Step::Look);
                core.chain([Step::LookAtGraph(flow.clone())]).collect()
            }
        };
        steps.push_back(Step::Wait(deed.stale_ms));
        match deed.does {
            // A deployment rotates the secret in every partition.
            Does::RotateSecret { .. } => steps.extend((0..self.plan.settings.partitions).map(Step::Rotate)),
            Does::ApplyEdge { .. } => steps.push_back(Step::Apply),
            _ => steps.push_back(Step::Do),
        }
        steps
    }

    /// Goes on with a deed until it has to wait for something, or is done.
    fn go(&mut self, now: TimestampMs, mut doing: Doing, out: &mut Outbox<Continuation>) {
        while let Some(step) = doing.steps.pop_front() {
            if let Step::Wait(ms) = step {
                if ms > 0 {
                    return out.wake(ms, Continuation::Go(Box::new(doing)));
                }
                continue;
            }
            let request = self.request(&step, &mut doing, now);
            if let Some(request) = request.filter(|request| self.is_registered(request)) {
                doing.sent = Some(step);
                return out.request(request, Continuation::Go(Box::new(doing)));
            }
        }
    }

    fn is_registered(&self, request: &Request) -> bool {
        request.function().is_none_or(|function| self.functions.has(&function))
    }

    fn request(&self, step: &Step, doing: &mut Doing, now: TimestampMs) -> Option<Request> {
        let deed = self.plan.deeds.get(doing.place)?;
        let execution = deed.does.executions().into_iter().next_back();
        let id = |name| self.plan.execution_id(name);
        Some(match step {
            Step::Wait(_) => return None,
            Step::Look(id) => core_fields(id, &FIELDS).request(),
            Step::LookBeside(_) => protocol::more_waitpoints(&id(execution?)).request(),
            Step::LookAtToken => {
                let name = execution?;
                waitpoint_token(&id(name), &self.waitpoint(name, &doing.known).id).request()
            }
            Step::LookAtGraph(flow) => protocol::graph_revision(&self.plan.flow(flow)).request(),
            Step::LookAtEdges => applied_edges(&id(execution?)).request(),
            Step::Do => self.call(deed, doing, now)?,
            Step::Apply => self.apply(deed, &doing.known, now)?,
            Step::CancelMember(member) => {
                let owned =
                    self.owned(member.clone(), &doing.known.core, None, CancelSource::OperatorOverride);
                CancelExecution { owned, reason: "flow cancelled".to_owned() }.request()
            }
            Step::Acknowledge(member) => {
                let Does::CancelFlow { flow, .. } = &deed.does else { return None };
                AckCancelMember { flow: self.plan.flow(flow), execution_id: member.clone() }.request()
            }
            Step::Rotate(partition) => {
                let Does::RotateSecret { kid, secret, grace_ms } = &deed.does else { return None };
                let (kid, secret_hex) = (kid.clone(), self.plan.secret_hex(secret));
                RotateWaitpointSecret { partition: *partition, kid, secret_hex, grace: Millis(*grace_ms) }
                    .request()
            }
            Step::End => self.end(deed, &doing.known, now)?,
        })
    }

    /// What an answer leads to: what it says is known from now on, and further steps may follow from it.
    fn answered(&self, doing: &mut Doing, reply: &Reply) {
        let Some(deed) = self.plan.deeds.get(doing.place) else { return };
        let is_consent = matches!(protocol::reply::answer(reply), Answer::Consent(_));
        match doing.sent.take() {
            Some(Step::Look(id)) => {
                if let Ok(fields) = core_fields(&id, &FIELDS).parse(reply) {
                    doing.known.core = Core::read(fields);
                }
            }
            Some(Step::LookBeside(nth)) => {
                let name = deed.does.executions().into_iter().next_back();
                let read = name.and_then(|name| {
                    protocol::more_waitpoints(&self.plan.execution_id(name)).parse(reply).ok()
                });
                let meant = read.unwrap_or_default().into_iter().nth(nth as usize - 1);
                doing.known.core.waitpoint_id = meant.or(doing.known.core.waitpoint_id.take());
            }
            Some(Step::LookAtToken | Step::LookAtGraph(_)) => {
                let text = protocol::reply::text(reply).unwrap_or_default();
                doing.known.graph_revision = text.parse().unwrap_or(0);
                doing.known.token = text;
            }
            Some(Step::LookAtEdges) => {
                if let Some(name) = deed.does.executions().first() {
                    let read = applied_edges(&self.plan.execution_id(name)).parse(reply);
                    doing.known.edges = read.unwrap_or_default();
                }
            }
            Some(Step::Do) if is_consent => self.follow(deed, doing, reply),
            _ => {}
        }
    }

    /// The second step of what takes two.
    fn follow(&self, deed: &Deed, doing: &mut Doing, reply: &Reply) {
        let field = |index: usize| {
            let consent = Consent::read(reply).ok();
            consent.and_then(|consent| consent.fields.get(index).cloned()).unwrap_or_default()
        };
        match &deed.does {
            Does::Edge { apply: true, .. } => {
                doing.known.graph_revision = field(1).parse().unwrap_or(doing.known.graph_revision);
                doing.steps.push_back(Step::Apply);
            }
            Does::CancelFlow { members: true, .. } => {
                let fields = Consent::read(reply).map(|consent| consent.fields).unwrap_or_default();
                for member in fields.iter().skip(1).filter_map(|id| ExecutionId::parse(id).ok()) {
                    let each = [
                        Step::Look(member.clone()),
                        Step::CancelMember(member.clone()),
                        Step::Acknowledge(member),
                    ];
                    doing.steps.extend(each);
                }
            }
            Does::GrantAndClaim { execution, takes_ms, .. } => {
                let (lease_id, epoch) = (LeaseId::from_field(&field(0)), LeaseEpoch::from_field(&field(1)));
                if let (Some(id), Some(epoch), Some(index)) =
                    (lease_id, epoch, AttemptIndex::from_field(&field(2)))
                {
                    doing.known.lease = Some((id, epoch, index));
                    // The attempt's id is not answered: it is read.
                    let look = Step::Look(self.plan.execution_id(execution));
                    doing.steps.extend([look, Step::Wait(*takes_ms), Step::End]);
                }
            }
            _ => {}
        }
    }
}

/// Without what it is told when it starts.
impl Hash for Operator {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { plan: _, functions: _, life: _, begun } = self;
        begun.hash(hasher);
    }
}

impl Actor for Operator {
    type Continuation = Continuation;

    fn step(&mut self, now: TimestampMs, input: Input<Continuation>, out: &mut Outbox<Continuation>) {
        match input {
            Input::Started => self.start(now, out),
            Input::Due(Continuation::Begin { place, again }) => self.begin(now, place, again, out),
            Input::Due(Continuation::Go(doing)) => self.go(now, *doing, out),
            Input::Due(Continuation::Send(place)) => {
                if let Some(call) = self.plan.calls.get(place) {
                    out.request(call.request(), Continuation::Done);
                }
            }
            Input::Due(Continuation::Done) => {}
            Input::Answered { continuation: Continuation::Go(mut doing), answer } => match answer {
                Ok(reply) => {
                    self.answered(&mut doing, &reply);
                    self.go(now, *doing, out);
                }
                Err(_) if doing.again > 0 => {
                    out.wake(AGAIN_MS, Continuation::Begin { place: doing.place, again: doing.again - 1 });
                }
                Err(_) => {}
            },
            Input::Received { message: Message::Cue(name), .. } => {
                let deeds = &self.plan.deeds;
                if let Some(place) = deeds.iter().position(|deed| deed.name == name) {
                    let Deed { at_ms, again, .. } = deeds[place];
                    out.wake(at_ms, Continuation::Begin { place, again });
                }
            }
            Input::Answered { .. } | Input::Received { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
