//! The menu: what can happen next in a state, by stable names.
//!
//! A call is built as actors build it, from what the keyspace says: the current lease, the one before, the waitpoint at which an
//! execution waits. The ids that a caller makes up are a function of what is stored, so that two histories that lead to the
//! same state have the same ids, and no state has to be renamed to be known again. Time stands still while calls are made; a
//! choice moves it to an instant at which something is due, or a millisecond before or after.

mod admission;
mod registry;

use std::{collections::BTreeSet, fmt, hash::Hasher};

use ff_core::{
    contracts::{EdgeDependencyPolicy, OnSatisfied},
    types::{CancelSource, SignalId},
};
use uuid::Uuid;
use valkey_sim::hash::Hash128;

use super::{
    super::scope::{Calls, FLOW, LANE},
    State,
};
use crate::{
    drive::Deployment,
    protocol::*,
    types::{
        AttemptId, AttemptIndex, Deadline, ExecutionId, ExecutionName, Label, LaneId, LeaseEpoch, LeaseFence,
        LeaseId, Millis, Namespace, SuspensionId, TimestampMs, WaitpointId, WaitpointKey, WorkerId,
        WorkerInstanceId,
    },
    view::{Core, View},
};

/// A lane that nothing is submitted to.
const OTHER_LANE: &str = "silver";
const GRANT_TTL: Millis = Millis(300);
const LEASE_TTL: Millis = Millis(700);
const DELAY: Millis = Millis(200);
const SUSPENDED_FOR: Millis = Millis(500);
const WAITPOINT_TTL: Millis = Millis(600);
const ATTEMPT_TIMEOUT: Millis = Millis(400);
const DEADLINE: Millis = Millis(900);
const CONDITION: &str =
    r#"{"condition_type":"signal_set","required_signal_names":["go"],"signal_match_mode":"any"}"#;
const RETRY: &str = r#"{"max_retries":1,"backoff":{"type":"fixed","delay_ms":200}}"#;
/// The policy of an execution that may be taken over once.
const POLICY: &str = r#"{"max_reclaim_count":1}"#;

const UUID_LENGTH: usize = 36;

/// The workers.
const WORKERS: [Caller; 2] =
    [Caller { id: "w1", instance: "w1-1.1" }, Caller { id: "w2", instance: "w2-2.1" }];

struct Caller {
    id: &'static str,
    instance: &'static str,
}

/// What happens next.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What it is called.
    pub name: ChoiceName,
    /// What it is.
    pub act: Act,
}

/// What a choice does.
#[derive(Clone, Debug)]
pub enum Act {
    /// A function is called.
    Call(Request),
    /// The clock goes on to this time.
    Wait(TimestampMs),
}

/// The name of a choice: `claim e1 by w2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChoiceName {
    /// A call, in which `{}` stands for the execution.
    Call(&'static str, ExecutionName),
    /// Time passes, up to so many milliseconds after something is due, in which `{}` stands for the execution.
    Wait(&'static str, ExecutionName, i64),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl fmt::Display for ChoiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Call(text, execution) | Self::Wait(text, execution, _)) = self;
        let text = text.replace("{}", execution.as_str());
        match self {
            Self::Call(..) => f.write_str(&text),
            Self::Wait(.., 0) => write!(f, "wait for {text}"),
            Self::Wait(.., -1) => write!(f, "wait until 1 ms before {text}"),
            Self::Wait(.., offset) => write!(f, "wait until {offset} ms after {text}"),
        }
    }
}

/// Makes the menus of a scope.
pub(super) struct Menu {
    calls: Calls,
    functions: Registered,
    claim_function: ClaimFunction,
    executions: Vec<(ExecutionName, ExecutionId)>,
    flow: FlowAt,
    /// The edges of the flow: from, to, and their ids.
    edges: Vec<(usize, usize, crate::types::EdgeId)>,
    admission: admission::Ids,
    /// Executions that are alike where exploring begins, each with what names it in a call: its id, and that of its edge.
    alike: Vec<Vec<String>>,
}

/// Of whom anything has come in a history. Until then all of a kind are alike, and the first of them is called upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Known {
    /// Of a call that named a worker.
    pub worker: bool,
    /// Of a call that named one of the executions that are alike where exploring begins.
    pub execution: bool,
}

impl Menu {
    pub fn new(calls: Calls, deployment: &Deployment) -> Self {
        let plan = &deployment.plan;
        let names: Vec<ExecutionName> = plan.executions.iter().map(|it| it.name.clone()).collect();
        let flow = Label::from(FLOW);
        let edge = |from: usize, to: usize| (from, to, plan.edge_id(&flow, &names[from], &names[to]));
        let edges = if calls.flow { vec![edge(0, 2), edge(1, 2)] } else { Vec::new() };
        let executions: Vec<_> =
            names.iter().map(|name| (name.clone(), deployment.id(name).clone())).collect();
        // The prelude creates them, and only the last member of a flow waits for others.
        let are_alike = if calls.flow || calls.admission { 2 } else { 0 };
        let named = |place: usize| {
            let edges = edges.iter().filter(|(from, ..)| *from == place).map(|(.., id)| id.to_string());
            edges.chain([executions[place].1.to_string()]).collect()
        };
        Self {
            calls,
            functions: (*deployment.functions).clone(),
            claim_function: deployment.claim_function,
            alike: (0..are_alike).map(named).collect(),
            executions,
            flow: plan.flow(&flow),
            edges,
            admission: admission::Ids::of(plan),
        }
    }

    /// What is done before anything is explored.
    pub fn prelude(&self, now: TimestampMs) -> Vec<Request> {
        let mut requests = Vec::new();
        let partition = self.executions[0].1.partition();
        if self.calls.waits {
            let (kid, secret_hex) = ("k1".to_owned(), "00112233445566778899aabbccddeeff".to_owned());
            requests.push(RotateWaitpointSecret { partition, kid, secret_hex, grace: Millis(0) }.request());
        }
        if self.calls.flow {
            let (flow, namespace) = (self.flow.clone(), Namespace::new("sim"));
            requests.push(CreateFlow { flow, flow_kind: "dag".into(), namespace, now }.request());
            for (_, id) in &self.executions {
                requests.push(create(id, None, None).request());
                let (flow, execution_id) = (self.flow.clone(), id.clone());
                requests.push(AddExecutionToFlow { flow, execution_id, now }.request());
            }
        }
        if self.calls.admission {
            requests.extend(self.executions.iter().map(|(_, id)| create(id, None, None).request()));
        }
        requests.retain(|request| request.function().is_some_and(|it| self.functions.has(&it)));
        requests
    }

    /// What can happen next in a state. The same state has the same menu.
    pub fn of_state(&self, state: &State) -> Vec<Choice> {
        let view = View::new(state.keyspace.clone());
        self.of(&view, state.now, state.known)
    }

    /// Of whom anything has come once something has come of this call.
    pub fn known_after(&self, known: Known, request: &Request) -> Known {
        Known {
            worker: known.worker || WORKERS.iter().any(|worker| names(request, worker.instance)),
            execution: known.execution || self.alike.iter().any(|one| is_named(one, request)),
        }
    }

    /// Whether a call is about another one than the first of those that are alike.
    fn is_of_another(&self, request: &Request) -> bool {
        let mut named = self.alike.iter().map(|one| is_named(one, request));
        named.next() == Some(false) && named.any(|it| it)
    }

    fn of(&self, view: &View, now: TimestampMs, known: Known) -> Vec<Choice> {
        let mut list = List { menu: self, known, choices: Vec::new() };
        if self.calls.registry {
            list.of_registry(view, now);
            return list.choices;
        }
        let all: Vec<Seen<'_>> =
            self.executions.iter().map(|(name, id)| Seen::of(view, name, id, now)).collect();
        for (place, seen) in all.iter().enumerate() {
            // Executions are all alike: the next is created when the one before it was.
            let is_next = place == 0 || all[place - 1].core.is_some();
            if is_next {
                list.of_execution(seen);
            }
        }
        if self.calls.flow {
            list.of_flow(view, &all, now);
        }
        if self.calls.admission {
            list.of_admission(view, &all, now);
        }
        let due = all.iter().flat_map(|seen| seen.deadlines.iter().map(|(what, at)| (*what, seen.name, *at)));
        list.waits(now, due.chain(list.admission_due(view, &all)));
        list.choices
    }
}

/// An execution as a caller who looks at it sees it.
struct Seen<'v> {
    name: &'v ExecutionName,
    id: &'v ExecutionId,
    now: TimestampMs,
    core: Option<Core<'v>>,
    epoch: LeaseEpoch,
    attempt_index: AttemptIndex,
    attempts: u32,
    instance: WorkerInstanceId,
    /// At which it waits, or waited last.
    waitpoint: Option<WaitpointId>,
    /// How many waitpoints its partition has: the number of the next.
    waitpoints: usize,
    /// The latest that was created for it and not used.
    pending: Option<WaitpointId>,
    /// The tokens of the waitpoint at which it waits, and of the pending one.
    tokens: [String; 2],
    signals: usize,
    deadlines: Vec<(&'static str, TimestampMs)>,
}

impl<'v> Seen<'v> {
    fn of(view: &'v View, name: &'v ExecutionName, id: &'v ExecutionId, now: TimestampMs) -> Self {
        let execution = view.execution(id);
        let core = execution.core();
        let text = |field: &str| core.map_or("", |core| core.text(field));
        let waitpoint = WaitpointId::parse(text("current_waitpoint_id")).ok();
        let keys = execution.keys();
        let tag = keys.exec.hash_tag();
        let prefix = format!("ff:wp:{tag}:");
        let is_record = |key: &&str| key.len() == prefix.len() + UUID_LENGTH;
        let waitpoints = if core.is_some() { view.keys(&prefix).filter(is_record).count() } else { 0 };
        let is_pending = |at: &WaitpointId| view.waitpoint(tag, &at.to_string()).state() == "pending";
        let pending = (0..waitpoints).rev().map(|nth| waitpoint_id(id, nth)).find(is_pending);
        let token_of = |waitpoint: &WaitpointId| {
            view.fields(&keys.exec.waitpoint(waitpoint)).map(|it| it.text("waitpoint_token").to_owned())
        };
        let deadline = |(which, what): (Deadline, &'static str)| Some((what, execution.deadline(which)?));
        let pending_expiry = view
            .sorted_set(&keys.index.pending_waitpoint_expiry())
            .and_then(|set| set.iter().next())
            .map(|(_, score)| ("the waitpoint of {}", TimestampMs(score as i64)));
        Self {
            name,
            id,
            now,
            core,
            epoch: core.map_or(LeaseEpoch(0), |core| core.epoch()),
            attempt_index: core.and_then(|core| core.attempt_index()).unwrap_or(AttemptIndex(0)),
            attempts: text("total_attempt_count").parse().unwrap_or(0),
            instance: WorkerInstanceId::new(match text("current_worker_instance_id") {
                "" => WORKERS[0].instance,
                instance => instance,
            }),
            tokens: [&waitpoint, &pending].map(|at| at.as_ref().and_then(token_of).unwrap_or_default()),
            pending,
            signals: view.size(&keys.exec.exec_signals()),
            deadlines: match core {
                Some(_) => DEADLINES.into_iter().filter_map(deadline).chain(pending_expiry).collect(),
                None => Vec::new(),
            },
            waitpoint,
            waitpoints,
        }
    }

    fn is(&self, field: &str, word: &str) -> bool {
        self.core.is_some_and(|core| core.text(field) == word)
    }

    /// The fence of the lease of this epoch.
    fn fence_of(&self, epoch: LeaseEpoch) -> LeaseFence {
        let current = self.core.map_or("", |core| core.text("current_attempt_id"));
        let attempt = AttemptId::parse(current).ok().filter(|_| epoch == self.epoch);
        LeaseFence {
            lease_id: LeaseId::from_uuid(made_up("lease", self.id, epoch.0)),
            lease_epoch: epoch,
            attempt_id: attempt.unwrap_or_else(|| AttemptId::from_uuid(made_up("attempt", self.id, epoch.0))),
        }
    }

    fn fence(&self) -> Option<LeaseFence> {
        Some(self.fence_of(self.epoch))
    }

    /// The fence of the lease before.
    fn stale(&self) -> Option<LeaseFence> {
        (self.epoch.0 > 1).then(|| self.fence_of(LeaseEpoch(self.epoch.0 - 1)))
    }

    fn owned(&self, fence: Option<LeaseFence>, source: CancelSource) -> Owned {
        Owned {
            execution_id: self.id.clone(),
            lane_id: LaneId::new(LANE),
            worker_instance_id: self.instance.clone(),
            attempt_index: self.attempt_index,
            fence,
            source,
        }
    }

    fn grant(&self, worker: &Caller) -> GrantRequest {
        GrantRequest {
            execution_id: self.id.clone(),
            lane_id: LaneId::new(LANE),
            worker_id: WorkerId::new(worker.id),
            worker_instance_id: WorkerInstanceId::new(worker.instance),
            grant_ttl: GRANT_TTL,
            capabilities: BTreeSet::new(),
            notes: GrantNotes::default(),
        }
    }

    /// A claim: the lease that comes of it has the next epoch, from which its ids follow.
    fn claim(&self, worker: &Caller, lane: &str, attempt_timeout: Option<Millis>) -> Claim {
        Claim {
            execution_id: self.id.clone(),
            lane_id: LaneId::new(lane),
            worker_id: WorkerId::new(worker.id),
            worker_instance_id: WorkerInstanceId::new(worker.instance),
            lease_id: LeaseId::from_uuid(made_up("lease", self.id, self.epoch.0 + 1)),
            attempt_id: AttemptId::from_uuid(made_up("attempt", self.id, self.epoch.0 + 1)),
            lease_ttl: LEASE_TTL,
            attempt_policy_json: String::new(),
            attempt_timeout,
            execution_deadline_at: None,
        }
    }
}

/// What is due at an execution, by name.
const DEADLINES: [(Deadline, &str); 6] = [
    (Deadline::Grant, "the grant's expiry of {}"),
    (Deadline::Lease, "the lease's end of {}"),
    (Deadline::Delay, "the delay's end of {}"),
    (Deadline::Suspension, "the suspension's timeout of {}"),
    (Deadline::Attempt, "the attempt's timeout of {}"),
    (Deadline::Execution, "the deadline of {}"),
];

/// An id that follows from an execution and a number.
fn made_up(what: &str, id: &ExecutionId, number: u64) -> Uuid {
    let mut hash = Hash128::default();
    hash.bytes(what.as_bytes());
    hash.bytes(id.as_str().as_bytes());
    hash.write_u64(number);
    uuid::Builder::from_random_bytes(hash.finish128().to_be_bytes()).into_uuid()
}

fn waitpoint_id(id: &ExecutionId, nth: usize) -> WaitpointId {
    WaitpointId::from_uuid(made_up("waitpoint", id, nth as u64))
}

fn create(
    id: &ExecutionId,
    delay_until: Option<TimestampMs>,
    execution_deadline_at: Option<TimestampMs>,
) -> CreateExecution {
    CreateExecution {
        execution_id: id.clone(),
        namespace: Namespace::new("sim"),
        lane_id: LaneId::new(LANE),
        execution_kind: "task".into(),
        priority: 0,
        creator_identity: "submitter".into(),
        policy_json: POLICY.into(),
        payload: b"input".to_vec(),
        delay_until,
        idempotency_key: None,
        dedup_ttl: Millis(0),
        tags: Default::default(),
        execution_deadline_at,
    }
}

/// Whether a call says this anywhere.
fn names(request: &Request, what: &str) -> bool {
    request.args.iter().any(|arg| arg.windows(what.len()).any(|it| it == what.as_bytes()))
}

/// Whether a call says one of these.
fn is_named(one: &[String], request: &Request) -> bool {
    one.iter().any(|name| names(request, name))
}

/// A menu that is being written.
struct List<'m> {
    menu: &'m Menu,
    known: Known,
    choices: Vec<Choice>,
}

impl List<'_> {
    fn add(&mut self, text: &'static str, seen: &Seen<'_>, command: &impl Command) {
        self.push(text, seen.name, command.request());
    }

    /// A call of w2's.
    fn add_second(&mut self, text: &'static str, seen: &Seen<'_>, command: &impl Command) {
        if self.known.worker {
            self.add(text, seen, command);
        }
    }

    /// A call, if the library has its function.
    fn push(&mut self, text: &'static str, of: &ExecutionName, request: Request) {
        let is_there = request.function().is_some_and(|function| self.menu.functions.has(&function));
        if is_there && (self.known.execution || !self.menu.is_of_another(&request)) {
            let name = ChoiceName::Call(text, of.clone());
            self.choices.push(Choice { name, act: Act::Call(request) });
        }
    }

    fn of_execution(&mut self, seen: &Seen<'_>) {
        self.creations(seen);
        if seen.core.is_none() {
            // What is not there is asked about once: every function looks for the core first.
            self.add("issue a grant of {} to w1", seen, &IssueClaimGrant(seen.grant(&WORKERS[0])));
            return;
        }
        if self.menu.calls.flow {
            return self.member(seen);
        }
        if self.menu.calls.admission {
            return self.charged(seen);
        }
        self.grants(seen);
        self.leases(seen);
        self.scanners(seen);
        if self.menu.calls.operator {
            self.operator(seen);
        }
        if self.menu.calls.waits {
            self.suspensions(seen);
        }
    }

    fn creations(&mut self, seen: &Seen<'_>) {
        let create = |delay_until, deadline| create(seen.id, delay_until, deadline);
        self.add("create {}", seen, &create(None, None));
        if seen.core.is_none() {
            self.add("create {}, delayed", seen, &create(Some(DELAY.after(seen.now)), None));
            if self.menu.calls.operator {
                self.add("create {} with a deadline", seen, &create(None, Some(DEADLINE.after(seen.now))));
            }
        }
    }

    fn grants(&mut self, seen: &Seen<'_>) {
        let claim = |worker: usize, lane, timeout| ClaimExecution {
            function: self.menu.claim_function,
            claim: seen.claim(&WORKERS[worker], lane, timeout),
            expected_attempt_index: AttemptIndex(seen.attempts),
        };
        let (by_w1, by_w2) = (claim(0, LANE, None), claim(1, LANE, None));
        let (timed, on_silver) = (claim(0, LANE, Some(ATTEMPT_TIMEOUT)), claim(0, OTHER_LANE, None));
        self.add("issue a grant of {} to w1", seen, &IssueClaimGrant(seen.grant(&WORKERS[0])));
        self.add_second("issue a grant of {} to w2", seen, &IssueClaimGrant(seen.grant(&WORKERS[1])));
        self.add("claim {} by w1", seen, &by_w1);
        self.add_second("claim {} by w2", seen, &by_w2);
        if self.menu.calls.operator {
            self.add("claim {} by w1 with a timeout", seen, &timed);
        }
        if self.menu.calls.other_lane {
            self.add("claim {} by w1 on lane silver", seen, &on_silver);
        }
        let resumed = |worker: usize| ClaimResumedExecution {
            claim: seen.claim(&WORKERS[worker], LANE, None),
            attempt_index: seen.attempt_index,
        };
        self.add("claim {} again by w1", seen, &resumed(0));
        self.add_second("claim {} again by w2", seen, &resumed(1));
        self.add("issue a reclaim grant of {} to w1", seen, &IssueReclaimGrant(seen.grant(&WORKERS[0])));
        self.add_second(
            "issue a reclaim grant of {} to w2",
            seen,
            &IssueReclaimGrant(seen.grant(&WORKERS[1])),
        );
        let reclaim = |worker: usize| ReclaimExecution {
            claim: seen.claim(&WORKERS[worker], LANE, None),
            old_attempt_index: seen.attempt_index,
            default_max_reclaim_count: Some(1),
        };
        self.add("reclaim {} by w1", seen, &reclaim(0));
        self.add_second("reclaim {} by w2", seen, &reclaim(1));
        if self.menu.calls.operator {
            let by = |worker: usize| IssueGrantAndClaim { claim: seen.claim(&WORKERS[worker], LANE, None) };
            match self.known.worker {
                true => self.add("grant and claim {} by w2", seen, &by(1)),
                false => self.add("grant and claim {} by w1", seen, &by(0)),
            }
        }
    }

    /// What becomes of a member of a flow, in few words: the rest is in the scopes without one.
    fn member(&mut self, seen: &Seen<'_>) {
        let claim = ClaimExecution {
            function: self.menu.claim_function,
            claim: seen.claim(&WORKERS[0], LANE, None),
            expected_attempt_index: AttemptIndex(seen.attempts),
        };
        self.add("issue a grant of {} to w1", seen, &IssueClaimGrant(seen.grant(&WORKERS[0])));
        self.add("claim {} by w1", seen, &claim);
        let at_once = IssueGrantAndClaim { claim: seen.claim(&WORKERS[1], LANE, None) };
        self.add("grant and claim {} by w2", seen, &at_once);
        let owned = |fence| seen.owned(fence, CancelSource::LeaseHolder);
        let complete = CompleteExecution { owned: owned(seen.fence()), result: b"output".to_vec() };
        self.add("complete {}", seen, &complete);
        let fail = |retry: &str| FailExecution {
            owned: owned(seen.fence()),
            reason: "it failed".into(),
            category: "error".into(),
            retry_policy_json: retry.into(),
        };
        self.add("fail {}", seen, &fail(""));
        self.add("fail {}, to be tried again", seen, &fail(RETRY));
        let children = MoveToWaitingChildren { owned: owned(seen.fence()) };
        self.add("have {} wait for its children", seen, &children);
        let owned = seen.owned(None, CancelSource::OperatorOverride);
        self.add("cancel {} by override", seen, &CancelExecution { owned, reason: "cancelled".into() });
    }

    fn leases(&mut self, seen: &Seen<'_>) {
        let holder = || CancelSource::LeaseHolder;
        let renew = |fence| RenewLease {
            execution_id: seen.id.clone(),
            attempt_index: seen.attempt_index,
            fence,
            lease_ttl: LEASE_TTL,
            history_grace: Millis(60_000),
        };
        let complete = |fence, source| CompleteExecution {
            owned: seen.owned(fence, source),
            result: b"output".to_vec(),
        };
        let fail = |fence, retry: &str| FailExecution {
            owned: seen.owned(fence, CancelSource::LeaseHolder),
            reason: "it failed".into(),
            category: "error".into(),
            retry_policy_json: retry.into(),
        };
        let delay = |fence| DelayExecution {
            owned: seen.owned(fence, CancelSource::LeaseHolder),
            delay_until: DELAY.after(seen.now),
        };
        let cancel =
            |fence, source| CancelExecution { owned: seen.owned(fence, source), reason: "cancelled".into() };
        self.add("renew the lease of {}", seen, &renew(seen.fence()));
        self.add("complete {}", seen, &complete(seen.fence(), holder()));
        self.add("fail {}", seen, &fail(seen.fence(), ""));
        self.add("fail {}, to be tried again", seen, &fail(seen.fence(), RETRY));
        self.add("delay {}", seen, &delay(seen.fence()));
        self.add("cancel {} by its holder", seen, &cancel(seen.fence(), holder()));
        self.add("cancel {} without a fence", seen, &cancel(None, holder()));
        if let Some(stale) = seen.stale() {
            let stale = || Some(stale.clone());
            self.add("renew the lease before of {}", seen, &renew(stale()));
            self.add("complete {} under the lease before", seen, &complete(stale(), holder()));
            self.add("fail {} under the lease before", seen, &fail(stale(), RETRY));
            self.add("delay {} under the lease before", seen, &delay(stale()));
            self.add("cancel {} under the lease before", seen, &cancel(stale(), holder()));
        }
        if self.menu.calls.operator {
            let by_override = || CancelSource::OperatorOverride;
            self.add("complete {} by override", seen, &complete(None, by_override()));
            self.add("cancel {} by override", seen, &cancel(None, by_override()));
            let owned = seen.owned(seen.fence(), CancelSource::LeaseHolder);
            self.add("have {} wait for its children", seen, &MoveToWaitingChildren { owned });
        }
    }

    fn scanners(&mut self, seen: &Seen<'_>) {
        let (execution_id, lane_id) = (seen.id.clone(), LaneId::new(LANE));
        self.add("mark {} expired if due", seen, &MarkLeaseExpired { execution_id: execution_id.clone() });
        let promote =
            PromoteDelayed { execution_id: execution_id.clone(), lane_id: lane_id.clone(), now: seen.now };
        self.add("promote {}", seen, &promote);
        if self.menu.calls.operator {
            let expire = |reason: &str| ExpireExecution {
                execution_id: execution_id.clone(),
                lane_id: lane_id.clone(),
                worker_instance_id: seen.instance.clone(),
                attempt_index: seen.attempt_index,
                reason: reason.into(),
            };
            self.add("expire {}, its attempt", seen, &expire("attempt_timeout"));
            self.add("expire {}, its deadline", seen, &expire("execution_deadline"));
        }
    }

    fn operator(&mut self, seen: &Seen<'_>) {
        let (execution_id, lane_id, now) = (seen.id.clone(), LaneId::new(LANE), seen.now);
        let revoke = RevokeLease {
            execution_id: execution_id.clone(),
            worker_instance_id: seen.instance.clone(),
            expected_lease_id: None,
            reason: "operator".into(),
        };
        self.add("revoke the lease of {}", seen, &revoke);
        let priority =
            ChangePriority { execution_id: execution_id.clone(), lane_id: lane_id.clone(), priority: 9 };
        self.add("give {} priority", seen, &priority);
        let edges = Vec::new();
        let replay =
            ReplayExecution { execution_id: execution_id.clone(), lane_id: lane_id.clone(), now, edges };
        self.add("replay {}", seen, &replay);
        let block = |reason| BlockExecution {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            reason,
            detail: "operator".into(),
            now,
        };
        self.add("block {} for its route", seen, &block(BlockingReason::Capability));
        self.add("block {} for its budget", seen, &block(BlockingReason::Budget));
        let unblock = |expected_reason| UnblockExecution {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            expected_reason,
            now,
        };
        self.add("unblock {} from its route", seen, &unblock(BlockingReason::Capability));
        self.add("unblock {} from its budget", seen, &unblock(BlockingReason::Budget));
        let frame = |fence| AppendFrame {
            execution_id: execution_id.clone(),
            attempt_index: seen.attempt_index,
            fence,
            frame_type: "delta".into(),
            now,
            payload: b"frame".to_vec(),
            retention_maxlen: 1_000,
            max_payload_bytes: 65_536,
            mode: StreamMode::Durable,
            ttl: Millis(0),
        };
        if seen.is("lifecycle_phase", "active") {
            self.add("append a frame of {}", seen, &frame(seen.fence()));
        }
    }

    fn suspensions(&mut self, seen: &Seen<'_>) {
        let named = |id: WaitpointId| Waitpoint { key: WaitpointKey::new(format!("wpk:{id}")), id };
        let fresh = waitpoint_id(seen.id, seen.waitpoints);
        let pending = seen.pending.clone().unwrap_or_else(|| fresh.clone());
        let at = seen.waitpoint.clone().unwrap_or_else(|| pending.clone());
        let waitpoint = named(fresh.clone());
        let (execution_id, lane_id) = (seen.id.clone(), LaneId::new(LANE));
        let create = CreatePendingWaitpoint {
            execution_id: execution_id.clone(),
            attempt_index: seen.attempt_index,
            waitpoint,
            expires_at: WAITPOINT_TTL.after(seen.now),
        };
        self.add("create a waitpoint of {}", seen, &create);
        let suspend = |fence, timeout_behavior, use_pending_waitpoint| SuspendExecution {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            worker_instance_id: seen.instance.clone(),
            attempt_index: seen.attempt_index,
            fence,
            suspension_id: SuspensionId::from_uuid(made_up("suspension", seen.id, seen.waitpoints as u64)),
            waitpoint: named(match use_pending_waitpoint {
                true => pending.clone(),
                false => fresh.clone(),
            }),
            extra_waitpoints: Vec::new(),
            reason_code: "waiting_for_signal".into(),
            requested_by: "worker".into(),
            timeout_at: Some(SUSPENDED_FOR.after(seen.now)),
            timeout_behavior,
            resume_condition_json: CONDITION.into(),
            resume_policy_json: "{}".into(),
            continuation_metadata_pointer: None,
            use_pending_waitpoint,
            idempotency_key: None,
            dedup_ttl: Millis(0),
        };
        self.add("suspend {}", seen, &suspend(seen.fence(), TimeoutBehavior::Fail, false));
        self.add(
            "suspend {} at its waitpoint",
            seen,
            &suspend(seen.fence(), TimeoutBehavior::AutoResume, true),
        );
        if let Some(stale) = seen.stale() {
            let under_stale = suspend(Some(stale), TimeoutBehavior::Fail, false);
            self.add("suspend {} under the lease before", seen, &under_stale);
        }
        let signal = |name: &str, at: &WaitpointId, token: &str| Signal {
            signal_id: SignalId::from_uuid(made_up("signal", seen.id, seen.signals as u64)),
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            waitpoint_id: at.clone(),
            name: name.into(),
            payload: Vec::new(),
            idempotency_key: None,
            dedup_ttl: Millis(0),
            created_at: seen.now,
            resume_delay: Millis(0),
            max_signals: 10,
            token: token.to_owned(),
        };
        let [token, of_pending] = &seen.tokens;
        self.add("signal {} to go", seen, &DeliverSignal(signal("go", &at, token)));
        self.add("signal {} otherwise", seen, &DeliverSignal(signal("other", &at, token)));
        let buffered = BufferSignal(signal("go", &pending, of_pending));
        self.add("buffer a signal for {} to go", seen, &buffered);
        let resume = ResumeExecution {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            waitpoint_id: at.clone(),
            trigger: ResumeTrigger::Operator,
            resume_delay: Millis(0),
        };
        self.add("resume {} by the operator", seen, &resume);
        let expire = ExpireSuspension {
            execution_id: execution_id.clone(),
            lane_id,
            waitpoint_id: at.clone(),
            attempt_index: seen.attempt_index,
        };
        self.add("expire the suspension of {}", seen, &expire);
        let close = CloseWaitpoint { execution_id, waitpoint_id: pending, reason: "expired".into() };
        self.add("close the waitpoint of {}", seen, &close);
    }

    fn of_flow(&mut self, view: &View, all: &[Seen<'_>], now: TimestampMs) {
        let flow = || self.menu.flow.clone();
        let (tag, flow_id) =
            (format!("{{fp:{}}}", self.menu.flow.partition), self.menu.flow.flow_id.to_string());
        let revision = view
            .flow(&tag, &flow_id)
            .core()
            .and_then(|core| core.text("graph_revision").parse().ok())
            .unwrap_or(0);
        let lane = || LaneId::new(LANE);
        let mut commands: Vec<(&'static str, usize, Request)> = Vec::new();
        for (place, seen) in all.iter().enumerate() {
            if seen.core.is_none() {
                continue;
            }
            let execution_id = seen.id.clone();
            let add = AddExecutionToFlow { flow: flow(), execution_id: execution_id.clone(), now };
            commands.push(("add {} to the flow", place, add.request()));
        }
        for (from, to, edge_id) in &self.menu.edges {
            let (upstream, downstream) = (&all[*from], &all[*to]);
            if upstream.core.is_none() || downstream.core.is_none() {
                continue;
            }
            let dependency = || Dependency {
                flow: flow(),
                edge_id: edge_id.clone(),
                upstream: upstream.id.clone(),
                downstream: downstream.id.clone(),
                dependency_kind: "success_only".into(),
                data_passing_ref: None,
            };
            let (stage, apply, success, failure) = match from {
                0 => (
                    "stage the edge e1 to {}",
                    "apply the edge e1 to {}",
                    "resolve e1 to {}: success",
                    "resolve e1 to {}: failed",
                ),
                _ => (
                    "stage the edge e2 to {}",
                    "apply the edge e2 to {}",
                    "resolve e2 to {}: success",
                    "resolve e2 to {}: failed",
                ),
            };
            let staged =
                StageDependencyEdge { dependency: dependency(), expected_graph_revision: revision, now };
            commands.push((stage, *to, staged.request()));
            let applied = ApplyDependencyToChild {
                dependency: dependency(),
                lane_id: lane(),
                graph_revision: revision,
                now,
            };
            commands.push((apply, *to, applied.request()));
            let resolve = |outcome: &str| ResolveDependency {
                dependency: dependency(),
                lane_id: lane(),
                attempt_index: downstream.attempt_index,
                upstream_outcome: outcome.into(),
                now,
            };
            // Who resolves says how the one before has ended: nobody says so before it has.
            if upstream.is("lifecycle_phase", "terminal") {
                match upstream.is("terminal_outcome", "success") {
                    true => commands.push((success, *to, resolve("success").request())),
                    false => commands.push((failure, *to, resolve("failed").request())),
                }
            }
        }
        if let Some(last) = all.last().filter(|last| last.core.is_some()) {
            let place = all.len() - 1;
            let group = SetEdgeGroupPolicy {
                flow: flow(),
                downstream: last.id.clone(),
                policy: EdgeDependencyPolicy::any_of(OnSatisfied::cancel_remaining()),
                now,
            };
            commands.push(("have {} wait for any of its edges", place, group.request()));
            let (execution_id, lane_id) = (last.id.clone(), lane());
            let evaluate = EvaluateFlowEligibility { execution_id: execution_id.clone() };
            commands.push(("evaluate {}", place, evaluate.request()));
            let promote = PromoteBlockedToEligible { execution_id, lane_id, now };
            commands.push(("promote {} from its dependencies", place, promote.request()));
            let replay = ReplayExecution {
                execution_id: last.id.clone(),
                lane_id: lane(),
                now,
                edges: self.menu.edges.iter().map(|(.., id)| id.clone()).collect(),
            };
            commands.push(("replay {}", place, replay.request()));
        }
        let cancel = CancelFlow {
            flow: flow(),
            reason: "operator".into(),
            cancellation_policy: "cancel_all".into(),
            now,
            grace: None,
        };
        commands.push(("cancel the flow", 0, cancel.request()));
        for (text, place, request) in commands {
            self.push(text, all[place].name, request);
        }
    }

    /// Every instant at which something is due later, a millisecond before it, and one after it; each once.
    fn waits<'d>(&mut self, now: TimestampMs, due: impl Iterator<Item = Due<'d>>) {
        let mut instants: Vec<(TimestampMs, ChoiceName)> = Vec::new();
        for (what, of, at) in due {
            for offset in [-1, 0, 1] {
                let instant = TimestampMs(at.0.saturating_add(offset));
                if instant > now && instants.iter().all(|(known, _)| *known != instant) {
                    instants.push((instant, ChoiceName::Wait(what, of.clone(), offset)));
                }
            }
        }
        instants.sort_by_key(|(instant, _)| *instant);
        let choices = instants.into_iter().map(|(at, name)| Choice { name, act: Act::Wait(at) });
        self.choices.extend(choices);
    }
}

/// What is due, of which execution, and when.
type Due<'d> = (&'static str, &'d ExecutionName, TimestampMs);
