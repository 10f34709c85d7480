//! A process: an actor, its line to the server, its timers. A pure step machine without a clock or a socket of its own.
//!
//! The driver tells a shell what happens (a reply, a message, the time) and performs what [`Shell::next`] says. What is due at
//! once is done in a fixed order: what came of requests before messages, messages before timers.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    mem,
};

use valkey_sim::{clock::Clock, engine::Reply};

use super::{
    Log,
    faults::Faults,
    line::{self, FunctionCall, Line, Pending},
};
use crate::{
    actor::{Actor, Input, Message, Outbox, Output},
    plan::Fate,
    protocol::{Request, reply::was_not_run},
    trace::{Names, Summary, What},
    types::{ExecutionName, Lost, Millis, Node, Seq, SimTime, TimestampMs},
};

/// A process in its shell.
///
/// Two shells that hash alike go on alike, for whoever sees them by the millisecond: of the times at which something is due, what
/// is hashed is the millisecond and their order. The numbers of events are no part of it.
#[derive(Clone, Debug)]
pub struct Shell<A: Actor> {
    node: Node,
    actor: A,
    line: Line<A::Continuation>,
    /// By when they are due, then by when they were set.
    timers: BTreeMap<(SimTime, u64), (A::Continuation, Option<Seq>)>,
    next_timer: u64,
    /// Messages on their way out.
    posts: std::collections::VecDeque<Post>,
    /// What the line needs done before anything else.
    urgent: Option<line::Act>,
    /// Empty between steps; kept for its memory.
    out: Outbox<A::Continuation>,
}

/// A message between processes, and the event by which it was sent.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Who sent it.
    pub from: Node,
    /// The event that says so, or what led to it.
    pub sent: Option<Seq>,
    /// What it says.
    pub message: Message,
}

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Post {
    /// To whom.
    pub to: Node,
    /// What.
    pub envelope: Envelope,
    /// What the plan does to it.
    pub fate: Option<Fate>,
}

/// What the driver has to do for a process now.
#[derive(Clone, Debug)]
pub enum Act {
    /// Something with the connection.
    Line(line::Act),
    /// Sends a message.
    Post(Post),
}

/// What a process stands in while it takes a step.
pub struct Surroundings<'a> {
    /// The true time, which no process is told.
    pub now: SimTime,
    /// Its node's clock.
    pub clock: &'a Clock,
    /// How long a client waits for a reply.
    pub request_timeout: Millis,
    /// What the plan calls the executions.
    pub names: &'a Names,
    /// The plan's faults.
    pub faults: &'a mut Faults,
    /// Where it is written down.
    pub log: &'a mut dyn Log,
}

impl Surroundings<'_> {
    /// The wall clock of the process's node.
    fn wall(&self) -> TimestampMs {
        TimestampMs(self.clock.now(self.now).millis().0)
    }

    /// The instant at which the node's steady clock will have counted so much more.
    fn deadline(&self, after: Millis) -> SimTime {
        let counted = self.clock.monotonic(self.now).saturating_add(after.0.saturating_mul(1_000));
        self.clock.world_at_monotonic(counted)
    }
}

impl<A: Actor> Hash for Shell<A> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { node, actor, line, timers, next_timer: _, posts, urgent, out: _ } = self;
        debug_assert!(
            posts.is_empty() && urgent.is_none(),
            "whoever hashes a process has done what it wants done"
        );
        (node, actor, line, timers.len()).hash(hasher);
        for ((due, _), (continuation, _)) in timers {
            (due.0 / 1_000, continuation).hash(hasher);
        }
    }
}

impl<A: Actor> Shell<A> {
    /// A process that has not started yet.
    pub fn new(node: Node, actor: A) -> Self {
        Self {
            node,
            actor,
            line: Line::new(node),
            timers: BTreeMap::new(),
            next_timer: 0,
            posts: Default::default(),
            urgent: None,
            out: Outbox::default(),
        }
    }

    /// Its node.
    pub fn node(&self) -> Node {
        self.node
    }

    /// It starts.
    pub fn start(&mut self, around: &mut Surroundings<'_>) {
        self.step(Input::Started, None, around);
    }

    /// A message arrived.
    pub fn receive(&mut self, envelope: Envelope, around: &mut Surroundings<'_>) {
        let Envelope { from, sent, message } = envelope;
        let told = summary(&message, around.names).filter(Summary::is_about_a_grant);
        let cause = match told {
            Some(message) => {
                Some(around.log.record(self.node, sent, What::MessageReceived { from, message }))
            }
            None => sent,
        };
        self.step(Input::Received { from, message }, cause, around);
    }

    /// Its connection stands.
    pub fn connected(&mut self) {
        self.line.connected();
    }

    /// It could not connect.
    pub fn refused(&mut self, around: &mut Surroundings<'_>) {
        self.line.refused(around.log);
    }

    /// Its connection broke.
    pub fn reset(&mut self, around: &mut Surroundings<'_>) {
        self.line.reset(around.log);
    }

    /// A reply arrived; `executed` is the event that executed the request.
    pub fn replied(&mut self, reply: Reply, executed: Option<Seq>, around: &mut Surroundings<'_>) {
        self.urgent = self.line.replied(reply, executed, around.log);
    }

    /// A reply arrived, and then word that what it tells of is not safe, with the reason.
    pub fn not_safe(&mut self, lost: Lost, around: &mut Surroundings<'_>) {
        self.line.not_safe(lost, around.log);
    }

    /// Gives up on what has waited for too long; then takes one step with what came of a request, if anything did. Says
    /// whether it did.
    pub fn complete(&mut self, around: &mut Surroundings<'_>) -> bool {
        if let Some(act) = self.line.time_out(around.now, around.log) {
            self.urgent = Some(act);
        }
        let Some(completed) = self.line.completed() else { return false };
        let line::Completed { continuation, answer, cause } = completed;
        // What the server could not run now is asked again later, as what was lost is.
        let answer = answer.and_then(|reply| match &reply {
            Reply::Error(error) if was_not_run(error) => Err(Lost::NotRun),
            _ => Ok(reply),
        });
        self.step(Input::Answered { continuation, answer }, cause, around);
        true
    }

    /// Takes one step with a timer that is due, if one is. Says whether one was.
    pub fn tick(&mut self, around: &mut Surroundings<'_>) -> bool {
        let due = self.timers.first_entry().filter(|first| first.key().0 <= around.now);
        let Some((continuation, cause)) = due.map(|due| due.remove()) else { return false };
        self.step(Input::Due(continuation), cause, around);
        true
    }

    /// What the driver has to do for it now. To be asked until there is nothing; a driver whose connection does not take
    /// more bytes asks for messages only ([`next_post`](Self::next_post)).
    pub fn next(&mut self, around: &mut Surroundings<'_>) -> Option<Act> {
        if let Some(act) = self.urgent.take() {
            return Some(Act::Line(act));
        }
        self.next_post().map(Act::Post).or_else(|| self.line.next(around.log).map(Act::Line))
    }

    /// A message that the driver has to send.
    pub fn next_post(&mut self) -> Option<Post> {
        self.posts.pop_front()
    }

    /// When it wants to be looked at again, if nothing happens before.
    pub fn wake_at(&self) -> Option<SimTime> {
        let timer = self.timers.first_key_value().map(|((due, _), _)| *due);
        timer.into_iter().chain(self.line.deadline()).min()
    }

    /// Whether a function call of its is under way.
    pub fn is_calling(&self) -> bool {
        self.line.is_calling()
    }

    fn step(&mut self, input: Input<A::Continuation>, cause: Option<Seq>, around: &mut Surroundings<'_>) {
        let mut out = mem::take(&mut self.out);
        tracing::trace!(at_us = around.now.0, node = %self.node, cause, ?input, "step");
        self.actor.step(around.wall(), input, &mut out);
        for output in out.drain() {
            match output {
                Output::Call { request, continuation } => self.call(request, continuation, cause, around),
                Output::Wake { after_ms, continuation } => {
                    self.next_timer += 1;
                    let due = around.deadline(Millis(after_ms));
                    self.timers.insert((due, self.next_timer), (continuation, cause));
                }
                Output::Send { to, message } => self.send(to, message, cause, around),
                Output::Work { execution_id, epoch, ended } => {
                    let execution = around.names.of(&execution_id);
                    let what = match ended {
                        None => What::WorkBegan { execution, epoch },
                        Some(how) => What::WorkEnded { execution, epoch, how },
                    };
                    around.log.record(self.node, cause, what);
                }
            }
        }
        self.out = out;
    }

    fn call(
        &mut self,
        request: Request,
        continuation: A::Continuation,
        cause: Option<Seq>,
        around: &mut Surroundings<'_>,
    ) {
        let deadline = around.deadline(around.request_timeout);
        let Some(function) = request.function() else {
            let verdict = Default::default();
            return self.line.send(Pending { continuation, request, call: None, cause, deadline, verdict });
        };
        let execution: Option<ExecutionName> = request.execution_id().map(|id| around.names.of_text(id));
        let what = What::RequestSent { function: function.clone(), execution: execution.clone() };
        let sent = around.log.record(self.node, cause, what);
        around.faults.present(execution.as_ref(), &request);
        let verdict = around.faults.call(self.node, &function, execution.as_ref());
        let request = verdict.tampered(request);
        for fault in &verdict.hits {
            if let Some(call) = fault.call() {
                let what = What::CallFault { class: fault.class(), call: call.clone() };
                around.log.record(self.node, Some(sent), what);
            }
        }
        let call = Some(FunctionCall { function, execution, sent });
        self.line.send(Pending { continuation, request, call, cause, deadline, verdict });
    }

    fn send(&mut self, to: Node, message: Message, cause: Option<Seq>, around: &mut Surroundings<'_>) {
        let told = summary(&message, around.names);
        let grant = told.as_ref().and_then(|told| told.execution().cloned());
        let sent = match told {
            Some(message) => Some(around.log.record(self.node, cause, What::MessageSent { to, message })),
            None => cause,
        };
        let fate = grant.and_then(|execution| around.faults.message(self.node, &execution));
        if let Some(fate) = fate {
            around.log.record(self.node, sent, What::MessageFault { fate });
        }
        self.posts.push_back(Post { to, envelope: Envelope { from: self.node, sent, message }, fate });
    }
}

/// What the trace says of a message. That there is nothing to do, that a worker lives, or that a deed is due, it does not say.
fn summary(message: &Message, names: &Names) -> Option<Summary> {
    match message {
        Message::Ask(ask) => Some(Summary::Ask { lane: (&ask.lane_id).into() }),
        Message::Grant(_, grant) => Some(Summary::ClaimGrant {
            execution: names.of(&grant.execution_id),
            expires_at_ms: grant.expires_at_ms,
        }),
        Message::Reclaim(grant) => Some(Summary::ReclaimGrant {
            execution: names.of(&grant.execution_id),
            expires_at_ms: grant.expires_at_ms,
            lane: (&grant.lane_id).into(),
        }),
        Message::NoGrant(_) | Message::Alive(_) | Message::Cue(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use valkey_sim::engine::UnixMicros;

    use super::{
        super::support::{FUNCTION, ID, Notes, WORKER, call, claim, ms, ok, plain, plan},
        *,
    };
    use crate::{
        actor::{Ask, AskId},
        plan::{CallRef, Called, Fault},
        trace::WorkEnd,
        types::{
            AttemptId, AttemptIndex, ExecutionId, FaultClass, LaneId, LeaseEpoch, LeaseId, Lost, WorkerId,
            WorkerInstanceId,
            grant::{AttemptKind, ClaimGrant, Lease},
        },
    };

    const TIMEOUT_MS: u64 = 500;

    /// What the actor of these tests does when it starts.
    #[derive(Clone, Hash)]
    enum Do {
        Call(Request, u32),
        Wake(u64, u32),
        Send(Node, Message),
        Work(Option<WorkEnd>),
    }

    /// An actor that does as it is told when it starts, and remembers what happens to it.
    #[derive(Clone, Default, Hash)]
    struct Probe {
        does: VecDeque<Do>,
        saw: Vec<String>,
        read: Vec<TimestampMs>,
    }

    impl Actor for Probe {
        type Continuation = u32;

        fn step(&mut self, now: TimestampMs, input: Input<u32>, out: &mut Outbox<u32>) {
            self.read.push(now);
            self.saw.push(match input {
                Input::Started => "started".to_owned(),
                Input::Due(number) => format!("due {number}"),
                Input::Answered { continuation, answer: Ok(_) } => format!("answered {continuation}"),
                Input::Answered { continuation, answer: Err(lost) } => format!("{lost:?} {continuation}"),
                Input::Received { from, .. } => format!("received from {from}"),
            });
            for act in self.does.drain(..) {
                match act {
                    Do::Call(request, number) => out.request(request, number),
                    Do::Wake(after_ms, number) => out.wake(after_ms, number),
                    Do::Send(to, message) => out.send(to, message),
                    Do::Work(ended) => out.work(&lease(), ended),
                }
            }
        }
    }

    fn id() -> ExecutionId {
        ExecutionId::parse(ID).unwrap()
    }

    fn lease() -> Lease {
        Lease {
            execution_id: id(),
            lease_id: LeaseId::from_uuid(uuid::Uuid::from_u128(1)),
            epoch: LeaseEpoch(3),
            attempt_id: AttemptId::from_uuid(uuid::Uuid::from_u128(2)),
            attempt_index: AttemptIndex(0),
            attempt_kind: AttemptKind::Initial,
            expires_at_ms: TimestampMs(0),
        }
    }

    fn grant() -> Message {
        Message::Grant(AskId(1), ClaimGrant::new(id(), TimestampMs(9)))
    }

    fn ask() -> Message {
        Message::Ask(Ask {
            id: AskId(1),
            lane_id: LaneId::new("gold"),
            worker_id: WorkerId::new("w1"),
            worker_instance_id: WorkerInstanceId::new("w1-1.1"),
            capabilities: Default::default(),
        })
    }

    /// A probe in its shell, and all that stands around it.
    struct Bench {
        shell: Shell<Probe>,
        now: SimTime,
        clock: Clock,
        names: Names,
        faults: Faults,
        log: Notes,
    }

    impl Bench {
        fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
            Self {
                shell: Shell::new(WORKER, Probe::default()),
                now: SimTime::START,
                clock: Clock::starting_at(UnixMicros::from_millis(1_000)),
                names: [(id(), ExecutionName::nth(1))].into_iter().collect(),
                faults: Faults::new(&plan(faults), FUNCTION),
                log: Notes::default(),
            }
        }

        /// Starts an actor that does this.
        fn start(&mut self, does: impl IntoIterator<Item = Do>) {
            self.shell.actor.does = does.into_iter().collect();
            self.with(Shell::start);
        }

        fn with<T>(&mut self, act: impl FnOnce(&mut Shell<Probe>, &mut Surroundings<'_>) -> T) -> T {
            let mut around = Surroundings {
                now: self.now,
                clock: &self.clock,
                request_timeout: Millis(TIMEOUT_MS),
                names: &self.names,
                faults: &mut self.faults,
                log: &mut self.log,
            };
            act(&mut self.shell, &mut around)
        }

        fn at(&mut self, now: SimTime) -> &mut Self {
            self.now = now;
            self
        }

        fn next(&mut self) -> Option<Act> {
            self.with(Shell::next)
        }

        /// Connects and writes all that waits; the writes.
        fn write_all(&mut self) -> Vec<line::Write> {
            let mut writes = Vec::new();
            while let Some(act) = self.next() {
                match act {
                    Act::Line(line::Act::Connect) => self.shell.connected(),
                    Act::Line(line::Act::Write(write)) => writes.push(write),
                    other => panic!("{other:?} in place of a write"),
                }
            }
            writes
        }

        /// What the actor saw since it started.
        fn saw(&self) -> &[String] {
            &self.shell.actor.saw[1..]
        }
    }

    #[test]
    fn messages_leave_before_requests_and_what_the_line_needs_leaves_before_both() {
        let mut bench = Bench::new([]);
        bench.start([Do::Call(call(), 1)]);
        bench.write_all();
        bench.shell.actor.does = [Do::Call(call(), 2), Do::Send(WORKER, grant())].into();
        bench.at(ms(TIMEOUT_MS)).with(Shell::complete);
        let order = std::iter::from_fn(|| bench.next());
        let order: Vec<_> = order.take(3).map(|act| format!("{act:?}")[..10].to_owned()).collect();
        assert_eq!(order, ["Line(Close", "Post(Post ", "Line(Conne"]);
    }

    #[test]
    fn timers_come_by_when_they_are_due_and_then_by_when_they_were_set() {
        let mut bench = Bench::new([]);
        bench.start([Do::Wake(30, 1), Do::Wake(10, 2), Do::Wake(30, 3), Do::Wake(40, 4)]);
        assert_eq!(bench.shell.wake_at(), Some(ms(10)));
        assert!(!bench.at(ms(9)).with(Shell::tick), "nothing is due yet");
        bench.at(ms(30));
        while bench.with(Shell::tick) {}
        assert_eq!(bench.saw(), ["due 2", "due 1", "due 3"], "one step each");
        assert_eq!(bench.shell.wake_at(), Some(ms(40)));
    }

    #[test]
    fn timers_and_timeouts_run_by_the_nodes_own_steady_clock() {
        // A clock that gains a tenth has counted 1,100 ms when 1,000 ms are over.
        for (drift_ppm, due) in [(100_000, 1_000_000), (-100_000, 1_222_223), (0, 1_100_000)] {
            let mut bench = Bench::new([]);
            bench.clock.drift_ppm = drift_ppm;
            bench.start([Do::Wake(1_100, 1)]);
            assert_eq!(bench.shell.wake_at(), Some(SimTime(due)), "{drift_ppm} ppm");
            assert!(!bench.at(SimTime(due - 1)).with(Shell::tick), "{drift_ppm} ppm");
            assert!(bench.at(SimTime(due)).with(Shell::tick), "{drift_ppm} ppm");
        }
        let mut bench = Bench::new([]);
        bench.clock.drift_ppm = 100_000;
        bench.start([Do::Call(call(), 1)]);
        assert_eq!(bench.shell.wake_at(), Some(SimTime(454_546)), "its 500 ms are over sooner");
    }

    #[test]
    fn a_clock_that_is_set_moves_no_timer() {
        let mut bench = Bench::new([]);
        bench.clock.steps = vec![valkey_sim::clock::Step { at: ms(5), by_ms: 60_000 }];
        bench.start([Do::Wake(10, 1)]);
        assert_eq!(bench.shell.wake_at(), Some(ms(10)));
        bench.at(ms(10)).with(Shell::tick);
        assert_eq!(bench.shell.actor.read, [TimestampMs(1_000), TimestampMs(61_010)], "but it is read");
    }

    #[test]
    fn a_process_wakes_for_its_next_timer_or_for_the_request_that_waits_too_long() {
        let mut bench = Bench::new([]);
        bench.start([Do::Wake(TIMEOUT_MS + 1, 1), Do::Call(call(), 2)]);
        assert_eq!(bench.shell.wake_at(), Some(ms(TIMEOUT_MS)));
        assert!(bench.at(ms(TIMEOUT_MS)).with(Shell::complete));
        assert_eq!(bench.saw(), ["Refused 2"]);
        assert_eq!(bench.shell.wake_at(), Some(ms(TIMEOUT_MS + 1)));
    }

    #[test]
    fn what_came_of_each_request_is_one_step() {
        let mut bench = Bench::new([]);
        bench.start([Do::Call(call(), 1), Do::Call(plain(), 2), Do::Call(call(), 3)]);
        bench.write_all();
        assert!(bench.shell.is_calling());
        bench.with(|shell, around| shell.replied(ok(), None, around));
        bench.with(|shell, around| shell.replied(ok(), None, around));
        bench.with(Shell::reset);
        while bench.with(Shell::complete) {}
        assert_eq!(bench.saw(), ["answered 1", "answered 2", "Reset 3"]);
        assert!(!bench.shell.is_calling());
    }

    #[test]
    fn a_reply_that_is_to_be_lost_cuts_the_connection_first_of_all() {
        let call_of_worker = CallRef { function: Called::Function(FUNCTION), ..claim(1) };
        let mut bench = Bench::new([Fault::LoseReply { call: call_of_worker }]);
        bench.start([Do::Call(call(), 1), Do::Send(WORKER, grant())]);
        while bench.next().is_some_and(|act| !matches!(act, Act::Line(line::Act::Connect))) {}
        bench.shell.connected();
        bench.write_all();
        bench.with(|shell, around| shell.replied(ok(), None, around));
        assert!(matches!(bench.next(), Some(Act::Line(line::Act::Cut))));
        assert!(bench.with(Shell::complete));
        assert_eq!(bench.saw(), ["Reset 1"]);
        assert_eq!(bench.log.0.last().unwrap().2, lost(Lost::Reset));
    }

    fn lost(lost: Lost) -> What {
        What::ReplyLost { function: FUNCTION, execution: Some(ExecutionName::nth(1)), lost }
    }

    #[test]
    fn a_call_and_the_faults_that_hit_it_are_told_with_their_causes() {
        let call_of_worker = CallRef { function: Called::Function(FUNCTION), ..claim(1) };
        let late = Fault::DelayRequest { call: call_of_worker.clone(), by_ms: 7 };
        let again = Fault::RepeatRequest { call: call_of_worker.clone(), after_ms: 9 };
        let mut bench = Bench::new([late, again]);
        bench.start([]);
        bench.shell.actor.does = [Do::Call(call(), 1), Do::Call(plain(), 2)].into();
        let envelope = Envelope { from: Node::Scheduler(1), sent: Some(40), message: ask() };
        bench.with(|shell, around| shell.receive(envelope, around));
        let sent = What::RequestSent { function: FUNCTION, execution: Some(ExecutionName::nth(1)) };
        let hit = |class| What::CallFault { class, call: call_of_worker.clone() };
        assert_eq!(
            bench.log.0,
            [
                (WORKER, Some(40), sent),
                (WORKER, Some(0), hit(FaultClass::LateRequest)),
                (WORKER, Some(0), hit(FaultClass::RepeatedRequest)),
            ]
        );
        let writes = bench.write_all();
        let kept: Vec<_> = writes.iter().map(|write| (write.sent, write.hold, write.repeats.len())).collect();
        let hold = Some(super::super::faults::Hold::By(Millis(7)));
        assert_eq!(kept, [(Some(0), hold, 1), (None, None, 0)]);
    }

    #[test]
    fn a_message_about_a_grant_and_the_fault_that_hits_it_are_told_with_their_causes() {
        let dropped = Fault::GrantMessage {
            from: None,
            execution: Some(ExecutionName::nth(1)),
            nth: 1,
            fate: Fate::Drop,
        };
        let mut bench = Bench::new([dropped]);
        bench.start([Do::Send(Node::Worker(2), grant()), Do::Send(Node::Worker(2), grant())]);
        let summary = Summary::ClaimGrant { execution: ExecutionName::nth(1), expires_at_ms: TimestampMs(9) };
        let sent = What::MessageSent { to: Node::Worker(2), message: summary.clone() };
        assert_eq!(
            bench.log.0,
            [
                (WORKER, None, sent.clone()),
                (WORKER, Some(0), What::MessageFault { fate: Fate::Drop }),
                (WORKER, None, sent),
            ]
        );
        let posts: Vec<Post> = std::iter::from_fn(|| bench.shell.next_post()).collect();
        let told: Vec<_> = posts.iter().map(|post| (post.to, post.envelope.sent, post.fate)).collect();
        assert_eq!(told, [(Node::Worker(2), Some(0), Some(Fate::Drop)), (Node::Worker(2), Some(2), None)]);
        assert!(posts.iter().all(|post| post.envelope.from == WORKER));
    }

    #[test]
    fn only_a_message_about_a_grant_is_told_when_it_arrives() {
        let mut bench = Bench::new([]);
        bench.start([]);
        let from = Node::Scheduler(1);
        for message in [ask(), Message::NoGrant(AskId(1)), grant()] {
            let envelope = Envelope { from, sent: Some(5), message };
            bench.with(|shell, around| shell.receive(envelope, around));
        }
        let message = Summary::ClaimGrant { execution: ExecutionName::nth(1), expires_at_ms: TimestampMs(9) };
        assert_eq!(bench.log.0, [(WORKER, Some(5), What::MessageReceived { from, message })]);
        assert_eq!(bench.saw().len(), 3, "whoever it is for sees every one");
    }

    #[test]
    fn a_question_is_told_when_it_is_sent_and_hit_by_no_fault_and_no_grant_is_not_told() {
        let every =
            Fault::GrantMessage { from: Some(Node::Scheduler(1)), execution: None, nth: 1, fate: Fate::Drop };
        let mut bench = Bench::new([every]);
        bench.start([
            Do::Send(Node::Scheduler(1), ask()),
            Do::Send(Node::Worker(2), Message::NoGrant(AskId(1))),
        ]);
        let asked = What::MessageSent {
            to: Node::Scheduler(1),
            message: Summary::Ask { lane: (&LaneId::new("gold")).into() },
        };
        assert_eq!(bench.log.whats(), [asked]);
        assert!(std::iter::from_fn(|| bench.shell.next_post()).all(|post| post.fate.is_none()));
    }

    #[test]
    fn work_is_told_when_it_begins_and_when_it_ends() {
        let mut bench = Bench::new([]);
        bench.start([Do::Work(None), Do::Work(Some(WorkEnd::LostLease))]);
        let (execution, epoch) = (ExecutionName::nth(1), LeaseEpoch(3));
        assert_eq!(
            bench.log.whats(),
            [
                What::WorkBegan { execution: execution.clone(), epoch },
                What::WorkEnded { execution, epoch, how: WorkEnd::LostLease },
            ]
        );
    }

    #[test]
    fn a_timer_goes_on_from_what_led_to_it() {
        let mut bench = Bench::new([]);
        bench.start([]);
        bench.shell.actor.does = [Do::Wake(10, 1)].into();
        let envelope = Envelope { from: Node::Scheduler(1), sent: Some(40), message: ask() };
        bench.with(|shell, around| shell.receive(envelope, around));
        bench.shell.actor.does = [Do::Call(call(), 2)].into();
        bench.at(ms(10)).with(Shell::tick);
        assert_eq!(bench.log.0.last().unwrap().1, Some(40));
    }
}
