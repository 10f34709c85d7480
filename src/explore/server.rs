//! The server of an exploration: an engine that is given what it holds before each command, and an onlooker who shows what
//! happens to the properties.
//!
//! Each command begins with the same random numbers, so that they are no part of a state.

use std::{collections::BTreeMap, sync::Arc};

use valkey_sim::{
    engine::{Dialect, Effects, Engine, Keyspace, Reply, Session, UnixMicros},
    lua::is_out_of_instructions,
    server::tick_after,
};

use super::{
    ExploreError,
    memo::{self, Memo},
    state::Remembered,
};
use crate::{
    drive::{Deployment, Log, Subject},
    property::{Fingerprint, Memories, Violation},
    protocol::Request,
    trace::{Command, Event, Head, Moment, Names, Stepper, What, show_plain},
    types::{Node, Seq, SimTime, TimestampMs},
    view::View,
};

/// Of all random choices of the library's: it stands for those that a deployment leaves to chance.
const SEED: u64 = 1;

/// What a step found, by kind.
pub(super) type Violations = BTreeMap<Fingerprint, Violation>;

/// An engine that takes steps.
pub(super) struct Server {
    engine: Engine,
    session: Session,
    effects: Effects,
    /// What calls did before, where it is to do that again.
    memo: Option<Memo>,
    names: Arc<Names>,
    epoch_ms: u64,
}

impl Server {
    pub fn new(
        subject: &Subject,
        dialect: Dialect,
        deployment: &Deployment,
        remembers: bool,
    ) -> Result<Self, ExploreError> {
        let mut engine = subject.load(dialect, SEED)?.engine;
        let session = engine.connect();
        let (names, epoch_ms) = (Arc::new(deployment.names.clone()), deployment.plan.epoch_ms);
        Ok(Self {
            engine,
            session,
            effects: Effects::default(),
            memo: remembers.then(Memo::default),
            names,
            epoch_ms,
        })
    }

    /// What it holds.
    pub fn keyspace(&self) -> &Keyspace {
        self.engine.keyspace()
    }

    /// From now on it holds this.
    pub fn hold(&mut self, keyspace: &Keyspace) {
        self.engine.set_keyspace(keyspace.clone());
    }

    /// Whoever watches the step that is taken from a state of which this is remembered.
    pub fn onlooker<'s>(&self, from: &'s Remembered, found: &'s mut Violations) -> Onlooker<'s> {
        Onlooker {
            from,
            memories: None,
            events: from.events,
            at: SimTime::START,
            names: Arc::clone(&self.names),
            found,
        }
    }

    /// Executes a command, and shows it: a plain one that writes nothing is no moment.
    pub fn execute(
        &mut self,
        request: &Request,
        caller: Node,
        now: TimestampMs,
        onlooker: &mut Onlooker<'_>,
    ) -> Result<(Reply, Option<Seq>), ExploreError> {
        let before = View::new(self.engine.keyspace().clone());
        let args: Vec<&[u8]> = request.args.iter().map(Vec::as_slice).collect();
        let reply = self.answer(&args, now);
        let function = request.function();
        if reply.error().is_some_and(is_out_of_instructions) {
            return Err(ExploreError::Endless(
                function.map_or_else(String::new, |it| it.as_str().to_owned()),
            ));
        }
        let is_moment = function.is_some() || !self.effects.is_empty();
        let seq = is_moment.then(|| self.show(before, Some(caller), &args, now, &reply, onlooker));
        Ok((reply, seq))
    }

    /// Executes a command, or does again what it did before where it looked at the same.
    fn answer(&mut self, args: &[&[u8]], now: TimestampMs) -> Reply {
        let Self { engine, session, effects, memo, .. } = self;
        let before = engine.keyspace().clone();
        let mut anew = |engine: &mut Engine, effects: &mut Effects| {
            engine.seed(SEED);
            effects.clear();
            engine.execute(session, args, micros(now), effects)
        };
        let Some(memo) = memo else { return anew(engine, effects) };
        let call = memo::call(args, now);
        if let Some(known) = memo.recall(call, &before) {
            engine.set_keyspace(known.after(&before));
            effects.clone_from(&known.effects);
            return known.reply.clone();
        }
        engine.begin_looks();
        let reply = anew(engine, effects);
        if let Some(keys) = engine.end_looks() {
            memo.note(call, keys, &reply, effects, [&before, engine.keyspace()]);
        }
        reply
    }

    /// Whether the last command wrote anything.
    pub fn has_written(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Removes what has expired by then, at the ticks at which a server does so.
    pub fn expire(&mut self, until: TimestampMs, onlooker: &mut Onlooker<'_>) {
        while let Some(tick) = self.next_tick().filter(|tick| *tick <= until) {
            self.reap(tick, onlooker);
        }
    }

    fn reap(&mut self, now: TimestampMs, onlooker: &mut Onlooker<'_>) {
        let before = View::new(self.engine.keyspace().clone());
        self.effects.clear();
        self.engine.reap(micros(now), usize::MAX, &mut self.effects);
        self.show(before, None, &[], now, &Reply::Nothing, onlooker);
    }

    /// Another server takes its place, which holds this.
    pub fn fail_over(&mut self, keyspace: &Keyspace, now: TimestampMs, onlooker: &mut Onlooker<'_>) {
        self.hold(keyspace);
        onlooker.rewound(View::new(keyspace.clone()));
        // What should be gone by then it removes at once.
        if self.next_tick().is_some_and(|tick| tick <= now) {
            self.reap(now, onlooker);
        }
    }

    /// When it removes next what has expired.
    pub fn next_tick(&self) -> Option<TimestampMs> {
        self.engine.next_expiry().map(|at| TimestampMs(tick_after(at).0))
    }

    fn show(
        &self,
        before: View,
        caller: Option<Node>,
        args: &[&[u8]],
        now: TimestampMs,
        reply: &Reply,
        onlooker: &mut Onlooker<'_>,
    ) -> Seq {
        onlooker.at = SimTime::from_millis(since(self.epoch_ms, now));
        let command = Command { caller, now, args, reply, effects: &self.effects };
        let after = View::new(self.engine.keyspace().clone());
        onlooker.step(before, after, &command)
    }
}

/// Shows the properties what happens in a step, and keeps what they remember of it.
pub(super) struct Onlooker<'s> {
    from: &'s Remembered,
    /// A copy of what they remember, once there is anything to see.
    memories: Option<Memories>,
    events: Seq,
    /// What time it is.
    pub at: SimTime,
    names: Arc<Names>,
    found: &'s mut Violations,
}

impl Onlooker<'_> {
    /// What the properties remember now.
    pub fn remembered(self) -> Remembered {
        match self.memories {
            Some(memories) => self.from.then(memories, self.events),
            None => self.from.clone(),
        }
    }

    fn step(&mut self, before: View, after: View, command: &Command<'_>) -> Seq {
        let (head, names) = (self.head(Node::Valkey, None), Arc::clone(&self.names));
        self.see(head.seq, |see| Stepper::at(before).step(head, command, after, &names, see));
        head.seq
    }

    /// The server's truth is an earlier one again.
    fn rewound(&mut self, to: View) {
        self.see(self.events, |see| Stepper::default().rewind(Node::Valkey, to, see));
    }

    /// Shows the properties what happens at an event.
    fn see(&mut self, at: Seq, show: impl FnOnce(&mut dyn FnMut(&Moment<'_>))) {
        let memories = self.memories.get_or_insert_with(|| (*self.from.memories).clone());
        let found = &mut *self.found;
        show(&mut |moment| memories.observe(moment, at, found));
    }

    fn head(&mut self, node: Node, cause: Option<Seq>) -> Head {
        let seq = self.events;
        self.events += 1;
        Head { seq, at: self.at, node, cause }
    }
}

impl Log for Onlooker<'_> {
    fn record(&mut self, node: Node, cause: Option<Seq>, what: What) -> Seq {
        let event = Event { head: self.head(node, cause), what };
        self.see(event.head.seq, |see| show_plain(&event, see));
        event.head.seq
    }
}

/// Milliseconds of the run.
pub(super) fn since(epoch_ms: u64, now: TimestampMs) -> u64 {
    now.0.saturating_sub_unsigned(epoch_ms).max(0).unsigned_abs()
}

fn micros(now: TimestampMs) -> UnixMicros {
    UnixMicros::from_millis(now.0.max(0).unsigned_abs())
}
