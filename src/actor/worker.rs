//! The worker: asks for grants, claims, works, renews, ends: the published SDK's behaviour, as far as it goes.
//!
//! It remembers which lane each question was about, because the grant that comes back does not say. On a lost
//! reply it does as `ff-sdk` 0.15 does: a claim's outcome stays unknown and the worker moves on (or, by plan, tries the
//! grant again), a renewal is tried again at the next tick, an ending is sent again and reconciled through what
//! `execution_not_active` tells.

use std::{collections::BTreeMap, sync::Arc};

use valkey_sim::{engine::Reply, random::Random};

use super::{Actor, Alive, Ask, AskId, Input, Message, Outbox};
use crate::{
    plan::{self, Ending, Work},
    protocol::{
        CallError, CancelExecution, Claim, ClaimExecution, ClaimFunction, ClaimResumedExecution, Command,
        CompleteExecution, DelayExecution, FailExecution, Owned, Plain, ReclaimExecution, Registered,
        RenewLease, Request, core_field, payload, total_attempt_count,
    },
    trace::WorkEnd,
    types::{
        AttemptId, AttemptIndex, Code, Function, LaneId, LeaseId, Lost, Millis, Node, TimestampMs, WorkerId,
        WorkerInstanceId,
        grant::{ClaimGrant, Lease, ReclaimGrant},
    },
};

/// How often a worker says that it lives.
const ALIVE_EVERY_MS: u64 = 1_000;
/// How often an ending is sent, at most; the SDK leaves this to its caller.
const END_TRIES: u8 = 5;
/// How long it waits before it sends an ending again.
const END_AGAIN_MS: u64 = 200;

/// A worker process.
#[derive(Clone, Debug)]
pub struct Worker {
    config: Config,
    random: Random,
    next_id: u64,
    asked: BTreeMap<AskId, Question>,
    turn: usize,
    jobs: BTreeMap<JobId, Job>,
}

/// What a worker is told when it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who it is.
    pub worker_id: WorkerId,
    /// Which process of it: no two lives have the same.
    pub instance: WorkerInstanceId,
    /// The lanes it serves, in turn.
    pub lanes: Vec<LaneId>,
    /// What it is able to do.
    pub capabilities: std::collections::BTreeSet<String>,
    /// How many executions it works on at a time.
    pub slots: u16,
    /// The schedulers it asks, in turn.
    pub schedulers: Vec<Node>,
    /// Times to live and intervals.
    pub settings: plan::Settings,
    /// What the library under test registers.
    pub functions: Arc<Registered>,
    /// Which of these functions claims.
    pub claim_function: ClaimFunction,
    /// Draws its ids.
    pub seed: u64,
}

/// A worker's own number for what it works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId(u64);

/// A question to a scheduler. It stays known after its answer: a network may deliver one twice, or late.
#[derive(Clone, Debug)]
struct Question {
    lane_id: LaneId,
    /// Keeps a slot free: for the answer, and then for what comes of the claim.
    open: bool,
    granted: bool,
}

#[derive(Clone, Debug)]
struct Job {
    lease: Lease,
    lane_id: LaneId,
    /// The last thing it does, once it knows.
    ends: Option<Ending>,
    max_retries: u8,
    /// It is over but for the answer: nothing is renewed any more.
    ending: bool,
}

/// A claim under way.
#[derive(Clone, Debug)]
pub struct Attempt {
    ask: AskId,
    grant: ClaimGrant,
    lane_id: LaneId,
    tries_left: u8,
}

/// What the worker goes on with.
#[derive(Clone, Debug)]
pub enum Continuation {
    /// Time to ask for work.
    Poll,
    /// Time to say that it lives.
    Alive,
    /// A question has been open for long enough.
    Overdue(AskId),
    /// `total_attempt_count`, before a claim.
    Counted(Attempt, Plain<AttemptIndex>),
    /// A claim.
    Claimed(Attempt, Box<ClaimExecution>),
    /// `current_attempt_index`, before a claim of a resumed execution.
    Interrupted(Attempt, Plain<Option<String>>),
    /// A claim of a resumed execution.
    Resumed(AskId, Box<ClaimResumedExecution>),
    /// `current_attempt_index`, before a reclaim.
    Orphaned(ReclaimGrant, Plain<Option<String>>),
    /// A reclaim.
    Reclaimed(Box<ReclaimExecution>),
    /// The payload: what there is to do.
    Payload(JobId, Plain<Option<Vec<u8>>>),
    /// Time to renew.
    Renew(JobId),
    /// A renewal.
    Renewed(JobId, Box<RenewLease>),
    /// The work is done.
    Done(JobId),
    /// An ending.
    Ended(JobId, u8),
}

impl Worker {
    /// A worker that has just started.
    pub fn new(config: Config) -> Self {
        Self {
            random: Random::new(config.seed),
            config,
            next_id: 0,
            asked: BTreeMap::new(),
            turn: 0,
            jobs: BTreeMap::new(),
        }
    }

    fn fresh(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn uuid(&mut self) -> uuid::Uuid {
        let bytes = [self.random.next_u64().to_le_bytes(), self.random.next_u64().to_le_bytes()].concat();
        uuid::Builder::from_random_bytes(bytes.try_into().expect("two words are sixteen bytes")).into_uuid()
    }

    fn poll(&mut self, out: &mut Outbox<Continuation>) {
        let waiting = self.asked.values().filter(|question| question.open).count();
        if self.jobs.len() + waiting < usize::from(self.config.slots) {
            let lane_id = self.config.lanes[self.turn % self.config.lanes.len()].clone();
            let scheduler = self.config.schedulers[self.turn % self.config.schedulers.len()];
            self.turn += 1;
            // Drawn, not counted: an answer to a question of an earlier life must not look like one to this life's.
            let id = AskId(self.random.next_u64());
            self.asked.insert(id, Question { lane_id: lane_id.clone(), open: true, granted: false });
            let ask = Ask {
                id,
                lane_id,
                worker_id: self.config.worker_id.clone(),
                worker_instance_id: self.config.instance.clone(),
                capabilities: self.config.capabilities.clone(),
            };
            out.send(scheduler, Message::Ask(ask));
            out.wake(self.config.settings.request_timeout_ms.saturating_mul(2), Continuation::Overdue(id));
        }
        let jitter_ms = self.random.below(self.config.settings.poll_jitter_ms.saturating_add(1));
        out.wake(self.config.settings.poll_ms.saturating_add(jitter_ms), Continuation::Poll);
    }

    fn say_alive(&self, out: &mut Outbox<Continuation>) {
        let alive = Alive {
            worker_id: self.config.worker_id.clone(),
            worker_instance_id: self.config.instance.clone(),
            lanes: self.config.lanes.clone(),
            capabilities: self.config.capabilities.clone(),
        };
        out.send(Node::Scanner, Message::Alive(alive));
        out.wake(ALIVE_EVERY_MS, Continuation::Alive);
    }

    fn received(&mut self, message: Message, out: &mut Outbox<Continuation>) {
        match message {
            Message::NoGrant(ask) => {
                self.asked.remove(&ask);
            }
            // The lane is not in the grant: it is the one that this question was about. A question of an earlier life
            // is forgotten, and with it the lane: nobody can claim with such an answer.
            Message::Grant(ask, grant) => {
                let Some(question) = self.asked.get_mut(&ask) else { return };
                question.granted = true;
                let lane_id = question.lane_id.clone();
                let tries_left = self.config.settings.claim_again;
                self.count(Attempt { ask, grant, lane_id, tries_left }, out);
            }
            Message::Reclaim(grant) => {
                out.call(current_attempt_index(&grant.execution_id), |read| {
                    Continuation::Orphaned(grant, read)
                });
            }
            Message::Ask(_) | Message::Alive(_) => {}
        }
    }

    /// `claim_from_grant(lane, grant)`, its first step.
    fn count(&self, attempt: Attempt, out: &mut Outbox<Continuation>) {
        out.call(total_attempt_count(&attempt.grant.execution_id), |read| {
            Continuation::Counted(attempt, read)
        });
    }

    fn claim(&mut self, execution_id: ff_core::types::ExecutionId, lane_id: LaneId) -> Claim {
        Claim {
            execution_id,
            lane_id,
            worker_id: self.config.worker_id.clone(),
            worker_instance_id: self.config.instance.clone(),
            lease_id: LeaseId::from_uuid(self.uuid()),
            attempt_id: AttemptId::from_uuid(self.uuid()),
            lease_ttl: Millis(self.config.settings.lease_ttl_ms),
            attempt_policy_json: String::new(),
            attempt_timeout: None,
            execution_deadline_at: None,
        }
    }

    fn answered(
        &mut self,
        continuation: Continuation,
        answer: Result<Reply, Lost>,
        out: &mut Outbox<Continuation>,
    ) {
        match (continuation, answer) {
            (Continuation::Counted(attempt, read), Ok(reply)) => {
                let expected_attempt_index = read.parse(&reply).unwrap_or(AttemptIndex(0));
                let claim = self.claim(attempt.grant.execution_id.clone(), attempt.lane_id.clone());
                let function = self.config.claim_function;
                let call = ClaimExecution { function, claim, expected_attempt_index };
                out.call(call, |call| Continuation::Claimed(attempt, Box::new(call)));
            }
            (Continuation::Claimed(attempt, call), Ok(reply)) => match call.parse(&reply) {
                Ok(lease) => {
                    self.close(attempt.ask);
                    self.begin(lease, attempt.lane_id, out);
                }
                Err(error) if refused(&error, &Code::UseClaimResumedExecution) => {
                    let read = current_attempt_index(&attempt.grant.execution_id);
                    out.call(read, |read| Continuation::Interrupted(attempt, read));
                }
                Err(_) => self.close(attempt.ask),
            },
            // Unknown to the worker: the claim may stand. With the grant still in hand it may try once more.
            (Continuation::Claimed(attempt, _), Err(_)) if attempt.tries_left > 0 => {
                self.count(Attempt { tries_left: attempt.tries_left - 1, ..attempt }, out);
            }
            (Continuation::Interrupted(attempt, read), Ok(reply)) => {
                let claim = self.claim(attempt.grant.execution_id, attempt.lane_id);
                let call = ClaimResumedExecution { claim, attempt_index: index(read.parse(&reply)) };
                out.call(call, |call| Continuation::Resumed(attempt.ask, Box::new(call)));
            }
            (Continuation::Resumed(ask, call), Ok(reply)) => {
                self.close(ask);
                if let Ok(lease) = call.parse(&reply) {
                    self.begin(lease, call.claim.lane_id, out);
                }
            }
            (Continuation::Resumed(ask, _), Err(_)) => self.close(ask),
            (
                Continuation::Counted(attempt, _)
                | Continuation::Claimed(attempt, _)
                | Continuation::Interrupted(attempt, _),
                Err(_),
            ) => {
                self.close(attempt.ask);
            }
            (Continuation::Orphaned(grant, read), Ok(reply)) => {
                let claim = self.claim(grant.execution_id, grant.lane_id);
                let call = ReclaimExecution {
                    claim,
                    old_attempt_index: index(read.parse(&reply)),
                    default_max_reclaim_count: None,
                };
                out.call(call, |call| Continuation::Reclaimed(Box::new(call)));
            }
            (Continuation::Reclaimed(call), Ok(reply)) => {
                if let Ok(lease) = call.parse(&reply) {
                    self.begin(lease, call.claim.lane_id, out);
                }
            }
            (Continuation::Payload(job, read), answer) => {
                let payload = answer.ok().and_then(|reply| read.parse(&reply).ok()?);
                self.plan_work(job, payload.as_deref(), out);
            }
            (Continuation::Renewed(job, call), Ok(reply)) => self.renewed(job, &call, &reply, out),
            (Continuation::Ended(job, tries), answer) => self.ended(job, tries, answer.is_ok(), out),
            _ => {}
        }
    }

    /// Nothing more will come of a question: its slot is free, or taken by a job.
    fn close(&mut self, ask: AskId) {
        if let Some(question) = self.asked.get_mut(&ask) {
            question.open = false;
        }
    }

    /// A lease is there: start the renewals and read what to do.
    fn begin(&mut self, lease: Lease, lane_id: LaneId, out: &mut Outbox<Continuation>) {
        let id = JobId(self.fresh());
        out.call(payload(&lease.execution_id), |read| Continuation::Payload(id, read));
        out.wake(self.renew_every_ms(), Continuation::Renew(id));
        out.work(&lease, None);
        self.jobs.insert(id, Job { lease, lane_id, ends: None, max_retries: 0, ending: false });
    }

    fn renew_every_ms(&self) -> u64 {
        (self.config.settings.lease_ttl_ms / 3).max(1)
    }

    /// Reads the payload. Each lease of an execution, told by its epoch, has its own work; a payload that cannot be
    /// read leaves nothing to do but to vanish.
    fn plan_work(&mut self, id: JobId, payload: Option<&[u8]>, out: &mut Outbox<Continuation>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let read = payload.and_then(|json| serde_json::from_slice::<plan::Execution>(json).ok());
        let nth = job.lease.epoch.0.saturating_sub(1) as usize;
        let work = read.as_ref().and_then(|execution| execution.work.get(nth).or(execution.work.last()));
        let Some(Work { takes_ms, ends }) = work.cloned() else {
            self.stop(id, WorkEnd::Vanished, out);
            return;
        };
        job.max_retries = read.map_or(0, |execution| execution.max_retries);
        job.ends = Some(ends);
        out.wake(takes_ms, Continuation::Done(id));
    }

    fn renew(&mut self, id: JobId, out: &mut Outbox<Continuation>) {
        let Some(job) = self.jobs.get(&id).filter(|job| !job.ending) else { return };
        let call = RenewLease::of(&job.lease, Millis(self.config.settings.lease_ttl_ms));
        out.call(call, |call| Continuation::Renewed(id, Box::new(call)));
        out.wake(self.renew_every_ms(), Continuation::Renew(id));
    }

    /// A refusal ends the job: another owns the execution, or nobody does. A lost reply does not, the next tick
    /// tries again.
    fn renewed(&mut self, id: JobId, call: &RenewLease, reply: &Reply, out: &mut Outbox<Continuation>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match call.parse(reply) {
            Ok(expires_at_ms) => job.lease.expires_at_ms = expires_at_ms,
            Err(_) if job.ending => {}
            Err(_) => self.stop(id, WorkEnd::LostLease, out),
        }
    }

    /// Forgets a job before its work was done.
    fn stop(&mut self, id: JobId, ended: WorkEnd, out: &mut Outbox<Continuation>) {
        if let Some(job) = self.jobs.remove(&id) {
            out.work(&job.lease, Some(ended));
        }
    }

    /// Sends the ending that the work calls for; where the library has no such function, it completes.
    fn end(&mut self, now: TimestampMs, id: JobId, tries: u8, out: &mut Outbox<Continuation>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if !job.ending && !matches!(job.ends, Some(Ending::Vanish) | None) {
            out.work(&job.lease, Some(WorkEnd::Done));
        }
        job.ending = true;
        let owned = Owned::by(&job.lease, job.lane_id.clone(), self.config.instance.clone());
        let has = |function: &Function| self.config.functions.has(function);
        let request: Request = match job.ends {
            Some(Ending::Vanish) | None => {
                self.stop(id, WorkEnd::Vanished, out);
                return;
            }
            Some(Ending::Fail) if has(&Function::FailExecution) => FailExecution {
                owned,
                reason: "planned".to_owned(),
                category: "planned".to_owned(),
                retry_policy_json: retry_policy_json(job.max_retries),
            }
            .request(),
            Some(Ending::Delay(by_ms)) if has(&Function::DelayExecution) => {
                let delay_until = TimestampMs(now.0.saturating_add_unsigned(by_ms));
                DelayExecution { owned, delay_until }.request()
            }
            Some(Ending::Cancel) if has(&Function::CancelExecution) => {
                CancelExecution { owned, reason: "planned".to_owned() }.request()
            }
            Some(_) => CompleteExecution { owned, result: b"done".to_vec() }.request(),
        };
        out.request(request, Continuation::Ended(id, tries));
    }

    /// An ending whose reply was lost is sent again. When the first did arrive, the second is refused with
    /// `execution_not_active`, which says by its detail that the deed is done; any answer ends the job.
    fn ended(&mut self, id: JobId, tries: u8, answered: bool, out: &mut Outbox<Continuation>) {
        if !answered && tries + 1 < END_TRIES {
            out.wake(END_AGAIN_MS, Continuation::Ended(id, tries + 1));
        } else {
            self.jobs.remove(&id);
        }
    }
}

impl Actor for Worker {
    type Continuation = Continuation;

    fn step(&mut self, now: TimestampMs, input: Input<Continuation>, out: &mut Outbox<Continuation>) {
        match input {
            Input::Started => {
                self.say_alive(out);
                self.poll(out);
            }
            Input::Due(Continuation::Poll) => self.poll(out),
            Input::Due(Continuation::Alive) => self.say_alive(out),
            Input::Due(Continuation::Overdue(ask)) => {
                if self.asked.get(&ask).is_some_and(|question| !question.granted) {
                    self.close(ask);
                }
            }
            Input::Due(Continuation::Renew(job)) => self.renew(job, out),
            Input::Due(Continuation::Done(job)) => self.end(now, job, 0, out),
            Input::Due(Continuation::Ended(job, tries)) => self.end(now, job, tries, out),
            Input::Due(_) => {}
            Input::Answered { continuation, answer } => self.answered(continuation, answer, out),
            Input::Received { message, .. } => self.received(message, out),
        }
    }
}

fn refused(error: &CallError, code: &Code) -> bool {
    error.refusal().is_some_and(|refusal| refusal.code == *code)
}

/// An attempt index as `core` has it: absent or empty before the first attempt.
fn index(read: Result<Option<String>, CallError>) -> AttemptIndex {
    AttemptIndex(read.ok().flatten().and_then(|text| text.parse().ok()).unwrap_or(0))
}

fn current_attempt_index(execution_id: &ff_core::types::ExecutionId) -> Plain<Option<String>> {
    core_field(execution_id, "current_attempt_index")
}

fn retry_policy_json(max_retries: u8) -> String {
    if max_retries == 0 {
        return String::new();
    }
    serde_json::json!({ "max_retries": max_retries, "backoff": { "type": "fixed", "delay_ms": 200 } })
        .to_string()
}
