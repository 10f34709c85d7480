//! Takes a step: an engine with the library in it, which is given a state and does what a choice says.
//!
//! Each step begins with the same random numbers, so that they are no part of a state.

use std::{collections::BTreeMap, sync::Arc};

use valkey_sim::{
    engine::{Dialect, Effects, Engine, Reply, Session, UnixMicros},
    lua::is_out_of_instructions,
    server::tick_after,
};

use super::{
    Act, Choice, ExploreError,
    state::{State, remembered},
};
use crate::{
    drive::{Deployment, Subject},
    property::{Entry, Fingerprint, Memories, Violation},
    protocol::{Request, reply},
    trace::{Command, Event, Head, Moment, Names, Stepper, What, show_plain},
    types::{Node, Seq, SimTime, TimestampMs},
    view::View,
};

/// Of all random choices: it stands for those that a deployment leaves to chance.
const SEED: u64 = 1;

/// An engine that takes steps.
pub(super) struct Runner {
    engine: Engine,
    session: Session,
    names: Names,
    epoch_ms: u64,
    effects: Effects,
}

/// What a step found, by kind.
pub(super) type Violations = BTreeMap<Fingerprint, Violation>;

impl Runner {
    pub fn new(subject: &Subject, dialect: Dialect, deployment: &Deployment) -> Result<Self, ExploreError> {
        let mut engine = subject.load(dialect, SEED)?.engine;
        let session = engine.connect();
        Ok(Self {
            engine,
            session,
            names: deployment.names.clone(),
            epoch_ms: deployment.plan.epoch_ms,
            effects: Effects::default(),
        })
    }

    /// The state in which nothing has happened.
    pub fn start(&self, now: TimestampMs, entries: &[&'static Entry]) -> State {
        let memories = Memories::new(entries.iter().copied());
        State {
            keyspace: self.engine.keyspace().clone(),
            now,
            remembered: remembered(&memories),
            memories: Arc::new(memories),
            events: 0,
        }
    }

    /// What comes of a choice in a state. Adds what the properties find.
    pub fn step(
        &mut self,
        from: &State,
        choice: &Choice,
        found: &mut Violations,
    ) -> Result<(State, Option<Reply>), ExploreError> {
        match &choice.act {
            Act::Call(request) => self.call(from, request, found).map(|(state, reply)| (state, Some(reply))),
            Act::Wait(until) => Ok((self.wait(from, *until, found), None)),
        }
    }

    /// Calls a function.
    pub fn call(
        &mut self,
        from: &State,
        request: &Request,
        found: &mut Violations,
    ) -> Result<(State, Reply), ExploreError> {
        self.engine.set_keyspace(from.keyspace.clone());
        self.engine.seed(SEED);
        self.effects.clear();
        let args: Vec<&[u8]> = request.args.iter().map(Vec::as_slice).collect();
        let reply = self.engine.execute(&mut self.session, &args, micros(from.now), &mut self.effects);
        if reply.error().is_some_and(is_out_of_instructions) {
            let function = request.function().map(|function| function.as_str().to_owned());
            return Err(ExploreError::Endless(function.unwrap_or_default()));
        }
        let mut memories = (*from.memories).clone();
        let mut events = from.events;
        let command = Command {
            caller: Some(Node::Operator),
            now: from.now,
            args: &args,
            reply: &reply,
            effects: &self.effects,
        };
        let head = self.head(from.now, events, None);
        let mut stepper = Stepper::at(View::new(from.keyspace.clone()));
        let after = View::new(self.engine.keyspace().clone());
        stepper.step(head, &command, after, &self.names, &mut |moment| {
            memories.observe(moment, events, found);
        });
        events += 1;
        if let Some(function) = request.function().filter(|_| !self.effects.is_empty()) {
            // Whoever calls is told: no reply is lost here.
            let execution = request.execution_id().map(|id| self.names.of_text(id));
            let what = What::ReplyReceived { function, execution, answer: reply::answer(&reply) };
            let event = Event { head: self.head(from.now, events, Some(head.seq)), what };
            show_plain(&event, &mut |moment| memories.observe(moment, events, found));
            events += 1;
        }
        Ok((self.reached(from, from.now, memories, events), reply))
    }

    /// Lets time pass. What expires on the way is removed at the ticks at which a server does so.
    fn wait(&mut self, from: &State, until: TimestampMs, found: &mut Violations) -> State {
        self.engine.set_keyspace(from.keyspace.clone());
        let mut memories: Option<Memories> = None;
        let mut events = from.events;
        while let Some(tick) = self.engine.next_expiry().map(tick_after).filter(|tick| tick.0 <= until.0) {
            let now = TimestampMs(tick.0);
            let mut stepper = Stepper::at(View::new(self.engine.keyspace().clone()));
            self.effects.clear();
            self.engine.reap(micros(now), usize::MAX, &mut self.effects);
            let command =
                Command { caller: None, now, args: &[], reply: &Reply::Nothing, effects: &self.effects };
            let head = self.head(now, events, None);
            let after = View::new(self.engine.keyspace().clone());
            let memories = memories.get_or_insert_with(|| (*from.memories).clone());
            let mut see = |moment: &Moment<'_>| memories.observe(moment, events, found);
            stepper.step(head, &command, after, &self.names, &mut see);
            events += 1;
        }
        match memories {
            Some(memories) => self.reached(from, until, memories, events),
            None => State { now: until, ..from.clone() },
        }
    }

    fn reached(&self, from: &State, now: TimestampMs, memories: Memories, events: Seq) -> State {
        let known = remembered(&memories);
        // Most steps leave nothing to remember: their states share what was there.
        let memories = if known == from.remembered { Arc::clone(&from.memories) } else { Arc::new(memories) };
        State { keyspace: self.engine.keyspace().clone(), now, memories, remembered: known, events }
    }

    fn head(&self, now: TimestampMs, seq: Seq, cause: Option<Seq>) -> Head {
        let since_start = now.0.saturating_sub_unsigned(self.epoch_ms).max(0).unsigned_abs();
        Head { seq, at: SimTime::from_millis(since_start), node: Node::Valkey, cause }
    }
}

fn micros(now: TimestampMs) -> UnixMicros {
    UnixMicros::from_millis(now.0.max(0).unsigned_abs())
}
