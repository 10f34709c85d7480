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

#[cfg(test)]
mod tests {
    use super::{
        super::support::{Outputs, Stage, argv, id, ok, refusal, words},
        *,
    };
    use crate::types::{ExecutionId, LeaseEpoch};

    const SCHEDULER: Node = Node::Scheduler(1);
    const LEASE_TTL_MS: u64 = 900;
    const TIMEOUT_MS: u64 = 100;

    type Play = Stage<Worker>;
    type Out = Outputs<Continuation>;

    fn config() -> Config {
        Config {
            worker_id: WorkerId::new("w1"),
            instance: WorkerInstanceId::new("w1-1.1"),
            lanes: vec![LaneId::new("gold"), LaneId::new("silver")],
            capabilities: ["gpu".to_owned()].into(),
            slots: 1,
            schedulers: vec![SCHEDULER],
            settings: plan::Settings {
                lease_ttl_ms: LEASE_TTL_MS,
                request_timeout_ms: TIMEOUT_MS,
                poll_ms: 50,
                claim_again: 0,
                ..plan::Settings::default()
            },
            functions: Arc::new(Registered::from_iter([
                Function::FailExecution,
                Function::DelayExecution,
                Function::CancelExecution,
            ])),
            claim_function: ClaimFunction::ClaimExecution,
            seed: 7,
        }
    }

    fn worker() -> Play {
        Stage::new(Worker::new(config()))
    }

    fn worker_with(change: impl FnOnce(&mut Config)) -> Play {
        let mut config = config();
        change(&mut config);
        Stage::new(Worker::new(config))
    }

    /// The question in what came of a step, if one was asked.
    fn question(out: &Out) -> Option<(Node, Ask)> {
        out.sent().into_iter().find_map(|(to, message)| match message {
            Message::Ask(ask) => Some((to, ask)),
            _ => None,
        })
    }

    /// Polls; the question, if there is a slot for one.
    fn poll(worker: &mut Play) -> Option<(Node, Ask)> {
        let out = worker.due(Continuation::Poll);
        out.wake(|it| matches!(it, Continuation::Poll));
        question(&out)
    }

    fn ask(worker: &mut Play) -> Ask {
        poll(worker).expect("a slot is free").1
    }

    fn e1() -> ExecutionId {
        id(1, 1)
    }

    fn grant() -> ClaimGrant {
        ClaimGrant::new(e1(), TimestampMs(9))
    }

    /// A grant arrives for a question, and the attempts are counted: what the worker does then.
    fn counted(worker: &mut Play, ask: AskId) -> Out {
        let (request, continuation) = worker.receive(SCHEDULER, Message::Grant(ask, grant())).call_of("HGET");
        assert_eq!(words(&request)[2], "total_attempt_count");
        worker.answer(continuation, Reply::bulk("0"))
    }

    /// A claim of the worker's, with what it goes on with.
    fn claim(worker: &mut Play) -> (Request, Continuation) {
        let ask = ask(worker).id;
        counted(worker, ask).call_of("ff_claim_execution")
    }

    /// The reply to a claim that is granted.
    fn leased(epoch: u64) -> Reply {
        let (lease, attempt) = (uuid::Uuid::from_u128(5).to_string(), uuid::Uuid::from_u128(6).to_string());
        ok(&[&lease, &epoch.to_string(), "1000900", &attempt, "0", "initial"])
    }

    fn execution(work: &[Work]) -> plan::Execution {
        plan::Execution {
            name: crate::types::ExecutionName::nth(1),
            at_ms: 0,
            lane: "gold".to_owned(),
            priority: 0,
            delay_ms: None,
            capabilities: Vec::new(),
            max_retries: 2,
            work: work.to_vec(),
        }
    }

    /// A job: its timers.
    struct Working {
        renew: Continuation,
        done: Option<(u64, Continuation)>,
        out: Out,
    }

    /// What the worker does under a lease that begins with this step, when it reads this payload.
    fn begin(worker: &mut Play, begun: &Out, payload: Reply) -> Working {
        let renew = begun.wake(|it| matches!(it, Continuation::Renew(_))).1;
        let out = worker.answer(begun.call_of("GET").1, payload);
        let done = out.wakes().into_iter().find(|(_, it)| matches!(it, Continuation::Done(_)));
        Working { renew, done, out }
    }

    /// A worker at work on e1 under epoch 1: how long it takes, and how it ends.
    fn works(worker: &mut Play, takes_ms: u64, ends: Ending) -> Working {
        let (_, continuation) = claim(worker);
        let begun = worker.answer(continuation, leased(1));
        assert_eq!(begun.work(), [(LeaseEpoch(1), None)]);
        let payload = serde_json::to_vec(&execution(&[Work { takes_ms, ends }])).unwrap();
        begin(worker, &begun, Reply::bulk(payload))
    }

    /// The work is done: the worker's ending, and what it goes on with.
    fn ends(worker: &mut Play, ends: Ending) -> (Request, Continuation) {
        let done = works(worker, 400, ends).done.expect("there is something to do").1;
        worker.due(done).call()
    }

    mod asks {
        use super::*;

        #[test]
        fn a_worker_that_starts_says_that_it_lives_and_asks_for_work() {
            let out = worker().start();
            let alive = Alive {
                worker_id: config().worker_id,
                worker_instance_id: config().instance,
                lanes: config().lanes,
                capabilities: config().capabilities,
            };
            assert_eq!(out.sent()[0], (Node::Scanner, Message::Alive(alive.clone())));
            let (to, ask) = question(&out).unwrap();
            assert_eq!((to, ask.lane_id.as_str(), ask.worker_id.as_str()), (SCHEDULER, "gold", "w1"));
            assert_eq!(
                (ask.worker_instance_id, ask.capabilities),
                (config().instance, config().capabilities)
            );
            let again = worker().due(Continuation::Alive);
            assert_eq!(again.sent(), [(Node::Scanner, Message::Alive(alive))]);
            assert_eq!(again.wake(|it| matches!(it, Continuation::Alive)).0, ALIVE_EVERY_MS);
        }

        #[test]
        fn it_asks_about_its_lanes_and_its_schedulers_in_turn() {
            let mut worker = worker_with(|config| {
                config.slots = 9;
                config.schedulers = vec![Node::Scheduler(1), Node::Scheduler(3), Node::Scheduler(5)];
            });
            let asked: Vec<_> = (0..4).filter_map(|_| poll(&mut worker)).collect();
            let lanes: Vec<_> = asked.iter().map(|(_, ask)| ask.lane_id.as_str()).collect();
            assert_eq!(lanes, ["gold", "silver", "gold", "silver"]);
            assert_eq!([0, 1, 2, 3].map(|n| asked[n].0), [1, 3, 5, 1].map(Node::Scheduler));
        }

        #[test]
        fn it_polls_at_its_interval_and_the_jitter_that_it_draws() {
            let intervals = |jitter_ms| {
                let mut worker = worker_with(|config| config.settings.poll_jitter_ms = jitter_ms);
                let mut next =
                    || worker.due(Continuation::Poll).wake(|it| matches!(it, Continuation::Poll)).0;
                (0..40).map(|_| next()).collect::<std::collections::BTreeSet<_>>()
            };
            assert_eq!(intervals(0).into_iter().collect::<Vec<_>>(), [50]);
            let drawn = intervals(3);
            assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [50, 51, 52, 53]);
        }

        #[test]
        fn a_question_keeps_a_slot_until_it_is_answered() {
            let mut worker = worker_with(|config| config.slots = 2);
            let first = ask(&mut worker);
            ask(&mut worker);
            assert_eq!(poll(&mut worker), None, "both slots wait for an answer");
            worker.receive(SCHEDULER, Message::NoGrant(first.id));
            assert!(poll(&mut worker).is_some());
        }

        #[test]
        fn a_question_that_nobody_answers_frees_its_slot_after_twice_the_patience() {
            let mut worker = worker();
            let out = worker.due(Continuation::Poll);
            let (after_ms, overdue) = out.wake(|it| matches!(it, Continuation::Overdue(_)));
            assert_eq!(after_ms, 2 * TIMEOUT_MS);
            assert_eq!(poll(&mut worker), None);
            worker.due(overdue);
            assert!(poll(&mut worker).is_some());
        }

        #[test]
        fn a_question_that_was_granted_is_not_overdue_while_its_claim_is_under_way() {
            let mut worker = worker();
            let out = worker.due(Continuation::Poll);
            let overdue = out.wake(|it| matches!(it, Continuation::Overdue(_))).1;
            counted(&mut worker, question(&out).unwrap().1.id);
            worker.due(overdue);
            assert_eq!(poll(&mut worker), None);
        }

        #[test]
        fn a_job_keeps_a_slot_until_it_ends() {
            let mut worker = worker();
            let (_, ended) = ends(&mut worker, Ending::Complete);
            assert_eq!(poll(&mut worker), None);
            worker.answer(ended, ok(&[]));
            assert!(poll(&mut worker).is_some());
        }
    }

    mod claims {
        use super::*;

        #[test]
        fn a_claim_takes_the_lane_of_its_question_which_the_grant_does_not_carry() {
            let mut worker = worker_with(|config| config.slots = 2);
            let (gold, silver) = (ask(&mut worker), ask(&mut worker));
            for (ask, lane) in [(silver, "silver"), (gold, "gold")] {
                let (request, _) = counted(&mut worker, ask.id).call_of("ff_claim_execution");
                assert_eq!(
                    argv(&request)[..4],
                    [e1().to_string(), "w1".into(), "w1-1.1".into(), lane.into()]
                );
            }
        }

        #[test]
        fn a_claim_is_sent_to_the_function_that_claims_and_names_the_attempt_to_come() {
            let mut worker = worker_with(|config| config.claim_function = ClaimFunction::AcquireLease);
            let ask = ask(&mut worker).id;
            let (_, count) = worker.receive(SCHEDULER, Message::Grant(ask, grant())).call();
            let (request, _) = worker.answer(count, Reply::bulk("3")).call_of("ff_acquire_lease");
            assert!(words(&request).iter().any(|key| key.ends_with(":3")), "{request:?}");
            assert_eq!(argv(&request)[6], LEASE_TTL_MS.to_string());
        }

        #[test]
        fn every_claim_has_ids_of_its_own() {
            let mut worker = worker_with(|config| config.slots = 2);
            let [one, other] = [claim(&mut worker), claim(&mut worker)].map(|(request, _)| argv(&request));
            assert_ne!(one[5], other[5], "the lease");
            assert_ne!(one[8], other[8], "the attempt");
        }

        #[test]
        fn an_answer_to_a_question_of_an_earlier_life_is_ignored() {
            let earlier = ask(&mut worker()).id;
            let mut worker = worker_with(|config| config.seed = 8);
            let own = ask(&mut worker).id;
            assert_ne!(own, earlier);
            assert!(worker.receive(SCHEDULER, Message::Grant(earlier, grant())).is_empty());
            counted(&mut worker, own).call_of("ff_claim_execution");
        }

        #[test]
        fn an_answer_after_no_grant_is_ignored() {
            let mut worker = worker();
            let ask = ask(&mut worker).id;
            worker.receive(SCHEDULER, Message::NoGrant(ask));
            assert!(worker.receive(SCHEDULER, Message::Grant(ask, grant())).is_empty());
        }

        #[test]
        fn a_grant_that_arrives_twice_is_claimed_twice_as_one_that_is_handed_to_the_sdk_twice() {
            let mut worker = worker();
            let ask = ask(&mut worker).id;
            let (_, first) = counted(&mut worker, ask).call_of("ff_claim_execution");
            let (_, second) = counted(&mut worker, ask).call_of("ff_claim_execution");
            worker.answer(first, leased(1)).call_of("GET");
            assert!(worker.answer(second, refusal("execution_not_leaseable")).is_empty());
        }

        #[test]
        fn an_answer_that_comes_late_is_claimed_with_all_the_same() {
            let mut worker = worker();
            let out = worker.due(Continuation::Poll);
            worker.due(out.wake(|it| matches!(it, Continuation::Overdue(_))).1);
            counted(&mut worker, question(&out).unwrap().1.id).call_of("ff_claim_execution");
        }

        #[test]
        fn a_refused_claim_frees_the_slot() {
            let mut worker = worker();
            let (_, continuation) = claim(&mut worker);
            assert!(worker.answer(continuation, refusal("invalid_claim_grant")).is_empty());
            assert!(poll(&mut worker).is_some());
        }

        #[test]
        fn a_claim_whose_reply_is_lost_is_left_to_its_fate() {
            let mut worker = worker();
            let (_, continuation) = claim(&mut worker);
            assert!(worker.lose(continuation).is_empty());
            assert!(poll(&mut worker).is_some());
        }

        #[test]
        fn by_plan_a_claim_whose_reply_is_lost_is_tried_so_many_times_more() {
            let mut worker = worker_with(|config| config.settings.claim_again = 2);
            let (_, mut continuation) = claim(&mut worker);
            for _ in 0..2 {
                let count = worker.lose(continuation).call_of("HGET").1;
                assert_eq!(poll(&mut worker), None, "the slot stays taken");
                continuation = worker.answer(count, Reply::bulk("0")).call_of("ff_claim_execution").1;
            }
            assert!(worker.lose(continuation).is_empty());
            assert!(poll(&mut worker).is_some());
        }

        #[test]
        fn a_count_that_is_lost_frees_the_slot() {
            let mut worker = worker();
            let ask = ask(&mut worker).id;
            let (_, count) = worker.receive(SCHEDULER, Message::Grant(ask, grant())).call();
            assert!(worker.lose(count).is_empty());
            assert!(poll(&mut worker).is_some());
        }

        #[test]
        fn an_execution_that_was_interrupted_is_claimed_as_resumed() {
            let mut worker = worker();
            let (_, continuation) = claim(&mut worker);
            let (request, read) =
                worker.answer(continuation, refusal("use_claim_resumed_execution")).call_of("HGET");
            assert_eq!(words(&request)[2], "current_attempt_index");
            let (request, continuation) =
                worker.answer(read, Reply::bulk("4")).call_of("ff_claim_resumed_execution");
            assert!(words(&request).iter().any(|key| key.ends_with(":4")), "the same attempt: {request:?}");
            assert_eq!(argv(&request)[3], "gold");
            assert_eq!(poll(&mut worker), None, "the slot stays taken");
            worker.answer(continuation, leased(2)).call_of("GET");
        }

        #[test]
        fn a_resumption_that_comes_to_nothing_frees_the_slot() {
            for reply in [Some(refusal("invalid_claim_grant")), None] {
                let mut worker = worker();
                let (_, claimed) = claim(&mut worker);
                let (_, read) = worker.answer(claimed, refusal("use_claim_resumed_execution")).call();
                let (_, resumed) = worker.answer(read, Reply::Null).call();
                let out = match reply {
                    Some(reply) => worker.answer(resumed, reply),
                    None => worker.lose(resumed),
                };
                assert!(out.is_empty());
                assert!(poll(&mut worker).is_some());
            }
        }

        #[test]
        fn a_reclaim_grant_carries_its_lane_and_starts_the_attempt_after_the_last() {
            let mut worker = worker();
            let grant = ReclaimGrant::new(e1(), LaneId::new("bronze"), TimestampMs(9));
            let (request, read) = worker.receive(Node::Scanner, Message::Reclaim(grant)).call_of("HGET");
            assert_eq!(words(&request)[2], "current_attempt_index");
            let (request, reclaimed) = worker.answer(read, Reply::bulk("4")).call_of("ff_reclaim_execution");
            assert_eq!(argv(&request)[3], "bronze");
            let keys = words(&request);
            assert!(
                [":4", ":5"].iter().all(|attempt| keys.iter().any(|key| key.ends_with(attempt))),
                "{keys:?}"
            );
            assert!(worker.answer(reclaimed.clone(), refusal("invalid_claim_grant")).is_empty());
            let begun = worker.answer(reclaimed, leased(2));
            assert_eq!(begun.work(), [(LeaseEpoch(2), None)]);
        }
    }

    mod renews {
        use super::*;

        #[test]
        fn a_lease_is_renewed_every_third_of_its_time() {
            let mut worker = worker();
            let renew = works(&mut worker, 400, Ending::Complete).renew;
            for _ in 0..3 {
                let out = worker.due(renew.clone());
                let (request, renewed) = out.call_of("ff_renew_lease");
                assert_eq!(argv(&request)[5], LEASE_TTL_MS.to_string());
                assert_eq!(out.wake(|it| matches!(it, Continuation::Renew(_))).0, LEASE_TTL_MS / 3);
                assert!(worker.answer(renewed, ok(&["1001200"])).is_empty());
            }
        }

        #[test]
        fn the_first_renewal_is_a_third_after_the_lease_began() {
            let mut worker = worker();
            let (_, continuation) = claim(&mut worker);
            let begun = worker.answer(continuation, leased(1));
            assert_eq!(begun.wake(|it| matches!(it, Continuation::Renew(_))).0, LEASE_TTL_MS / 3);
        }

        #[test]
        fn a_refused_renewal_ends_the_job() {
            let mut worker = worker();
            let Working { renew, done, .. } = works(&mut worker, 400, Ending::Complete);
            let (_, renewed) = worker.due(renew.clone()).call();
            let ended = worker.answer(renewed, refusal("stale_lease"));
            assert_eq!(ended.work(), [(LeaseEpoch(1), Some(WorkEnd::LostLease))]);
            assert!(poll(&mut worker).is_some(), "its slot is free");
            assert!(worker.due(renew).is_empty(), "nothing is renewed any more");
            assert!(worker.due(done.unwrap().1).is_empty(), "and nothing is completed");
        }

        #[test]
        fn a_renewal_whose_reply_is_lost_does_not_end_the_job() {
            let mut worker = worker();
            let Working { renew, done, .. } = works(&mut worker, 400, Ending::Complete);
            let (_, renewed) = worker.due(renew.clone()).call();
            assert!(worker.lose(renewed).is_empty());
            worker.due(renew).call_of("ff_renew_lease");
            worker.due(done.unwrap().1).call_of("ff_complete_execution");
        }

        #[test]
        fn nothing_is_renewed_once_the_work_is_done() {
            let mut worker = worker();
            let Working { renew, done, .. } = works(&mut worker, 400, Ending::Complete);
            let (_, renewed) = worker.due(renew.clone()).call();
            worker.due(done.unwrap().1);
            assert!(worker.due(renew).is_empty());
            let late = worker.answer(renewed, refusal("execution_not_active"));
            assert!(late.is_empty(), "a renewal that crossed the ending says nothing new");
        }
    }

    mod ends {
        use super::*;

        #[test]
        fn the_work_is_that_of_the_lease_and_what_is_beyond_the_list_is_as_the_last() {
            let list = [(1, 100), (2, 200), (3, 200), (4, 200)];
            for (epoch, takes_ms) in list {
                let mut worker = worker();
                let (_, continuation) = claim(&mut worker);
                let begun = worker.answer(continuation, leased(epoch));
                let work = [100, 200].map(|takes_ms| Work { takes_ms, ends: Ending::Complete });
                let payload = serde_json::to_vec(&execution(&work)).unwrap();
                let done = begin(&mut worker, &begun, Reply::bulk(payload)).done;
                assert_eq!(done.map(|(ms, _)| ms), Some(takes_ms), "epoch {epoch}");
            }
        }

        #[test]
        fn a_payload_that_cannot_be_read_leaves_nothing_to_do_but_to_vanish() {
            for payload in [Reply::Null, Reply::bulk("no plan")] {
                let mut worker = worker();
                let (_, continuation) = claim(&mut worker);
                let begun = worker.answer(continuation, leased(1));
                let Working { renew, out, .. } = begin(&mut worker, &begun, payload);
                assert_eq!(out.work(), [(LeaseEpoch(1), Some(WorkEnd::Vanished))]);
                assert!(worker.due(renew).is_empty());
            }
        }

        #[test]
        fn each_ending_is_its_own_call() {
            for (ending, name) in [
                (Ending::Complete, "ff_complete_execution"),
                (Ending::Fail, "ff_fail_execution"),
                (Ending::Delay(30), "ff_delay_execution"),
                (Ending::Cancel, "ff_cancel_execution"),
            ] {
                let mut worker = worker();
                let done = works(&mut worker, 400, ending).done.unwrap();
                assert_eq!(done.0, 400);
                let out = worker.due(done.1);
                assert_eq!(out.work(), [(LeaseEpoch(1), Some(WorkEnd::Done))]);
                let (request, _) = out.call_of(name);
                assert_eq!(argv(&request)[0], e1().to_string());
                if ending == Ending::Delay(30) {
                    let until = worker.now.0 + 30;
                    assert!(argv(&request).contains(&until.to_string()), "by its own clock: {request:?}");
                }
            }
        }

        #[test]
        fn a_failure_brings_the_plans_number_of_retries() {
            let (request, _) = ends(&mut worker(), Ending::Fail);
            assert!(argv(&request).iter().any(|arg| arg.contains(r#""max_retries":2"#)), "{request:?}");
        }

        #[test]
        fn where_the_library_has_no_such_function_the_work_is_completed() {
            for ending in [Ending::Fail, Ending::Delay(30), Ending::Cancel] {
                let mut worker = worker_with(|config| config.functions = Arc::default());
                let (request, _) = ends(&mut worker, ending);
                assert_eq!(String::from_utf8_lossy(request.name()), "ff_complete_execution");
            }
        }

        #[test]
        fn a_worker_that_vanishes_says_nothing_to_the_server_and_has_a_slot_again() {
            let mut worker = worker();
            let Working { renew, done, .. } = works(&mut worker, 400, Ending::Vanish);
            let out = worker.due(done.unwrap().1);
            assert_eq!(out.work(), [(LeaseEpoch(1), Some(WorkEnd::Vanished))]);
            assert!(out.calls().is_empty());
            assert!(worker.due(renew).is_empty());
            assert!(poll(&mut worker).is_some());
        }

        #[test]
        fn an_ending_whose_reply_is_lost_is_sent_again_and_the_work_does_not_end_twice() {
            let mut worker = worker();
            let (first, mut continuation) = ends(&mut worker, Ending::Complete);
            for _ in 1..END_TRIES {
                let lost = worker.lose(continuation);
                assert!(lost.calls().is_empty(), "not at once");
                let (after_ms, again) = lost.wake(|it| matches!(it, Continuation::Ended(..)));
                assert_eq!(after_ms, END_AGAIN_MS);
                let out = worker.due(again);
                assert_eq!(out.work(), []);
                let (request, next) = out.call();
                assert_eq!(words(&request), words(&first));
                continuation = next;
            }
            assert_eq!(poll(&mut worker), None, "the slot stays taken");
            assert!(worker.lose(continuation).is_empty(), "five times, and no more");
            assert!(poll(&mut worker).is_some());
        }

        #[test]
        fn any_answer_to_an_ending_ends_the_job() {
            for reply in [ok(&[]), refusal("execution_not_active"), refusal("stale_lease")] {
                let mut worker = worker();
                let (_, continuation) = ends(&mut worker, Ending::Complete);
                assert!(worker.answer(continuation.clone(), reply).is_empty());
                assert!(worker.due(continuation).is_empty());
                assert!(poll(&mut worker).is_some());
            }
        }
    }
}
