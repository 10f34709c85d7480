//! A process: an actor, its line to the server, its timers. A pure step machine without a clock or a socket of its own.
//!
//! The driver tells a shell what happens (a reply, a message, the time) and performs what [`Shell::next`] says. What is due at
//! once is done in a fixed order: what came of requests before messages, messages before timers.

use std::{collections::BTreeMap, mem};

use valkey_sim::{clock::Clock, engine::Reply};

use super::{
    Log,
    faults::Faults,
    line::{self, FunctionCall, Line, Pending},
};
use crate::{
    actor::{Actor, Input, Message, Outbox, Output},
    plan::Fate,
    protocol::Request,
    trace::{Names, Summary, What},
    types::{ExecutionName, Millis, Node, Seq, SimTime, TimestampMs},
};

/// A process in its shell.
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

    /// Gives up on what has waited for too long; then takes one step with what came of a request, if anything did. Says
    /// whether it did.
    pub fn complete(&mut self, around: &mut Surroundings<'_>) -> bool {
        if let Some(act) = self.line.time_out(around.now, around.log) {
            self.urgent = Some(act);
        }
        let Some(completed) = self.line.completed() else { return false };
        let line::Completed { continuation, answer, cause } = completed;
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
        let verdict = around.faults.call(self.node, &function, execution.as_ref());
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

/// What the trace says of a message. That there is nothing to do, or that a worker lives, it does not say.
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
        Message::NoGrant(_) | Message::Alive(_) => None,
    }
}
