//! The worker: asks for grants, claims, works, renews, ends: the published SDK's behaviour, as far as it goes.
//!
//! It remembers which lane each question was about, because the grant that comes back does not say. On a lost
//! reply it does as `ff-sdk` 0.15 does: a claim's outcome stays unknown and the worker moves on (or, by plan, tries the
//! grant again), a renewal is tried again at the next tick, an ending is sent again and reconciled through what
//! `execution_not_active` tells.

mod claims;
mod ends;
mod meanwhile;
mod registry;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use ff_core::types::SuspensionId;
use valkey_sim::{engine::Reply, random::Random};

use self::claims::Way;
use super::{Actor, Alive, AskId, Input, Message, Outbox};
use crate::{
    plan::{self, Doing, Ending, Plan, Work},
    protocol::{
        ClaimExecution, ClaimFunction, ClaimResumedExecution, Command, CreatePendingWaitpoint,
        HeartbeatWorker, Plain, ReclaimExecution, Registered, RenewLease, Waitpoint, payload,
    },
    trace::WorkEnd,
    types::{
        AttemptIndex, ExecutionName, LaneId, Lost, Node, TimestampMs, WorkerId, WorkerInstanceId,
        grant::{ClaimGrant, Lease, ReclaimGrant},
    },
};

/// How often a worker says that it lives.
const ALIVE_EVERY_MS: u64 = 1_000;

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
    /// What ids and names of budgets, waitpoints and other processes follow from.
    pub plan: Arc<Plan>,
    /// Whether some execution has a policy that says how long an attempt may take: a claim has to bring it.
    pub reads_policies: bool,
    /// Draws its ids.
    pub seed: u64,
}

/// A worker's own number for what it works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(u64);

/// A question to a scheduler. It stays known after its answer: a network may deliver one twice, or late.
#[derive(Clone, Debug, Hash)]
struct Question {
    lane_id: LaneId,
    /// Keeps a slot free: for the answer, and then for what comes of the claim.
    open: bool,
    granted: bool,
}

#[derive(Clone, Debug, Hash)]
struct Job {
    lease: Lease,
    lane_id: LaneId,
    /// The last thing it does, once it knows.
    ends: Option<Ending>,
    takes_ms: u64,
    /// What the plan calls the execution.
    name: Option<ExecutionName>,
    /// What it does on the way.
    meanwhile: Vec<Doing>,
    /// The retry policy that a failure brings; empty for none.
    retry_json: String,
    /// The pending waitpoint that it opened.
    waitpoint: Option<Waitpoint>,
    /// The suspension that ends it, and the waitpoints that are waited at.
    suspension: Option<(SuspensionId, Vec<Waitpoint>)>,
    /// It is over but for the answer: nothing is renewed any more.
    ending: bool,
}

/// A claim under way.
#[derive(Clone, Debug, Hash)]
pub struct Attempt {
    ask: AskId,
    grant: ClaimGrant,
    lane_id: LaneId,
    tries_left: u8,
}

/// What the worker goes on with.
#[derive(Clone, Debug, Hash)]
pub enum Continuation {
    /// Time to ask for work.
    Poll,
    /// Time to say that it lives.
    Alive,
    /// A question has been open for long enough.
    Overdue(AskId),
    /// `total_attempt_count`, before a claim.
    Counted(Attempt, Plain<AttemptIndex>),
    /// The execution's policy, before a call that makes a lease.
    Policy(Way, Plain<Option<Vec<u8>>>),
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
    /// Time for a chore, by its place.
    Does(JobId, usize),
    /// A waitpoint that the job opens.
    Awaits(JobId, Box<CreatePendingWaitpoint>),
    /// Time to say so to the registry.
    Heartbeat,
    /// The registry was told.
    Beaten(Box<HeartbeatWorker>),
    /// A call whose answer changes nothing here.
    Told,
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

    fn say_alive(&self, out: &mut Outbox<Continuation>) {
        let alive = Alive {
            worker_id: self.config.worker_id.clone(),
            worker_instance_id: self.config.instance.clone(),
            lanes: self.config.lanes.clone(),
            capabilities: self.config.capabilities.clone(),
        };
        for scanner in self.config.plan.scanners() {
            out.send(scanner, Message::Alive(alive.clone()));
        }
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
                self.take_over(grant, out);
            }
            Message::Ask(_) | Message::Alive(_) | Message::Cue(_) => {}
        }
    }

    fn answered(
        &mut self,
        now: TimestampMs,
        continuation: Continuation,
        answer: Result<Reply, Lost>,
        out: &mut Outbox<Continuation>,
    ) {
        match (continuation, answer) {
            (Continuation::Payload(job, read), answer) => {
                let payload = answer.ok().and_then(|reply| read.parse(&reply).ok()?);
                self.plan_work(job, payload.as_deref(), out);
            }
            (Continuation::Beaten(call), Ok(reply)) => self.beaten(now, &call, &reply, out),
            (Continuation::Awaits(job, call), Ok(reply)) => self.awaits(job, &call, &reply),
            (Continuation::Renewed(job, call), Ok(reply)) => self.renewed(job, &call, &reply, out),
            (Continuation::Ended(job, tries), answer) => self.ended(job, tries, answer.as_ref().ok(), out),
            (continuation, answer) => self.on_the_way(continuation, answer, out),
        }
    }

    /// A lease is there: start the renewals and read what to do.
    fn begin(&mut self, lease: Lease, lane_id: LaneId, out: &mut Outbox<Continuation>) {
        let id = JobId(self.fresh());
        out.call(payload(&lease.execution_id), |read| Continuation::Payload(id, read));
        out.wake(self.renew_every_ms(), Continuation::Renew(id));
        out.work(&lease, None);
        let job = Job {
            lease,
            lane_id,
            ends: None,
            takes_ms: 0,
            name: None,
            meanwhile: Vec::new(),
            retry_json: String::new(),
            waitpoint: None,
            suspension: None,
            ending: false,
        };
        self.jobs.insert(id, job);
    }

    /// Reads the payload. Each lease of an execution, told by its epoch, has its own work. What a dependency passed on in
    /// the payload's place is used up at once; without a payload there is nothing to do but to vanish.
    fn plan_work(&mut self, id: JobId, payload: Option<&[u8]>, out: &mut Outbox<Continuation>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(payload) = payload else { return self.stop(id, WorkEnd::Vanished, out) };
        let Ok(execution) = serde_json::from_slice::<plan::Execution>(payload) else {
            (job.ends, job.takes_ms) = (Some(Ending::Complete), 0);
            return out.wake(0, Continuation::Done(id));
        };
        let nth = job.lease.epoch.0.saturating_sub(1) as usize;
        let work = execution.work.get(nth).or(execution.work.last());
        let Some(Work { takes_ms, ends, meanwhile }) = work else {
            return self.stop(id, WorkEnd::Vanished, out);
        };
        let retry = execution.terms.retry.as_ref();
        job.retry_json =
            retry.map_or_else(|| retry_policy_json(execution.max_retries), plan::Retry::policy_json);
        (job.ends, job.takes_ms) = (Some(*ends), *takes_ms);
        job.name = Some(execution.name.clone());
        job.meanwhile = meanwhile.iter().map(|chore| chore.does.clone()).collect();
        for (nth, chore) in meanwhile.iter().enumerate() {
            out.wake(chore.after_ms, Continuation::Does(id, nth));
        }
        out.wake(*takes_ms, Continuation::Done(id));
    }
}

/// Without what it is told when it starts.
impl Hash for Worker {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { config: _, random, next_id, asked, turn, jobs } = self;
        (random, next_id, asked, turn, jobs).hash(hasher);
    }
}

impl Actor for Worker {
    type Continuation = Continuation;

    fn step(&mut self, now: TimestampMs, input: Input<Continuation>, out: &mut Outbox<Continuation>) {
        match input {
            Input::Started => {
                self.enter(now, out);
                self.say_alive(out);
                self.poll(out);
            }
            Input::Due(Continuation::Poll) => self.poll(out),
            Input::Due(Continuation::Alive) => self.say_alive(out),
            Input::Due(Continuation::Heartbeat) => self.beat(now, out),
            Input::Due(Continuation::Overdue(ask)) => {
                if self.asked.get(&ask).is_some_and(|question| !question.granted) {
                    self.close(ask);
                }
            }
            Input::Due(Continuation::Renew(job)) => self.renew(job, out),
            Input::Due(Continuation::Does(job, nth)) => self.does(now, job, nth, out),
            Input::Due(Continuation::Done(job)) => self.end(now, job, 0, out),
            Input::Due(Continuation::Ended(job, tries)) => self.end(now, job, tries, out),
            Input::Due(_) => {}
            Input::Answered { continuation, answer } => self.answered(now, continuation, answer, out),
            Input::Received { message, .. } => self.received(message, out),
        }
    }
}

/// The retry policy of an execution whose terms have none.
fn retry_policy_json(max_retries: u8) -> String {
    match max_retries {
        0 => String::new(),
        retries => plan::Retry::Fixed { retries: retries.into(), delay_ms: 200 }.policy_json(),
    }
}
