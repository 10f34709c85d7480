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
    memo::{self, Memo, Outcome},
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
    /// What calls did before, where it is to do that again.
    memo: Option<Arc<Memo>>,
    /// A copy of what was remembered before the last step, by its key, where that step left nothing to remember: most do, and
    /// the next is often taken from the same state.
    spare: Option<(u128, Memories)>,
    names: Arc<Names>,
    epoch_ms: u64,
}

impl Server {
    pub fn new(
        subject: &Subject,
        dialect: Dialect,
        deployment: &Deployment,
        memo: Option<&Arc<Memo>>,
    ) -> Result<Self, ExploreError> {
        let mut engine = subject.load(dialect, SEED)?.engine;
        let session = engine.connect();
        let (names, epoch_ms) = (Arc::new(deployment.names.clone()), deployment.plan.epoch_ms);
        Ok(Self { engine, session, memo: memo.cloned(), spare: None, names, epoch_ms })
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
    pub fn onlooker<'s>(&mut self, from: &'s Remembered, found: &'s mut Violations) -> Onlooker<'s> {
        let spare = self.spare.take().filter(|(key, _)| *key == from.key);
        Onlooker {
            from,
            memories: spare.map(|(_, memories)| memories),
            events: from.events,
            at: SimTime::START,
            names: Arc::clone(&self.names),
            found,
        }
    }

    /// What is remembered after a step. Most leave nothing to remember: their states share what was there.
    pub fn remembered(&mut self, onlooker: Onlooker<'_>) -> Remembered {
        let Onlooker { from, events, .. } = onlooker;
        let Some(memories) = onlooker.memories else { return from.clone() };
        let key = memories.key();
        if key == from.key {
            self.spare = Some((key, memories));
            return Remembered { events, ..from.clone() };
        }
        Remembered { memories: Arc::new(memories), key, events }
    }

    /// Executes a command, and shows it: a plain one that writes nothing is no moment.
    pub fn execute(
        &mut self,
        request: &Request,
        caller: Node,
        now: TimestampMs,
        onlooker: &mut Onlooker<'_>,
    ) -> Result<(Arc<Outcome>, Option<Seq>), ExploreError> {
        let before = View::new(self.engine.keyspace().clone());
        let args: Vec<&[u8]> = request.args.iter().map(Vec::as_slice).collect();
        let outcome = self.answer(before.keyspace(), &args, now);
        let function = request.function();
        if outcome.reply.error().is_some_and(is_out_of_instructions) {
            return Err(ExploreError::Endless(
                function.map_or_else(String::new, |it| it.as_str().to_owned()),
            ));
        }
        let is_moment = function.is_some() || !outcome.effects.is_empty();
        let Outcome { reply, effects, .. } = &*outcome;
        let command = Command { caller: Some(caller), now, args: &args, reply, effects };
        let seq = is_moment.then(|| self.show(before, &command, onlooker));
        Ok((outcome, seq))
    }

    /// Executes a command on what it holds, or does again what it did before where it looked at the same.
    fn answer(&mut self, before: &Keyspace, args: &[&[u8]], now: TimestampMs) -> Arc<Outcome> {
        let call = memo::call(args, now);
        if let Some(known) = self.memo.as_ref().and_then(|memo| memo.recall(call, before)) {
            self.engine.set_keyspace(known.after(before));
            return known;
        }
        let mut effects = Effects::default();
        self.engine.seed(SEED);
        self.engine.begin_looks();
        let reply = self.engine.execute(&mut self.session, args, micros(now), &mut effects);
        let looks = self.engine.end_looks();
        let keys = looks.as_deref().unwrap_or_default();
        let outcome = Arc::new(Outcome::new(reply, effects, keys, [before, self.engine.keyspace()]));
        if let (Some(memo), Some(keys)) = (&self.memo, looks) {
            memo.note(call, keys, before, Arc::clone(&outcome));
        }
        outcome
    }

    /// Removes what has expired by then, at the ticks at which a server does so.
    pub fn expire(&mut self, until: TimestampMs, onlooker: &mut Onlooker<'_>) {
        while let Some(tick) = self.next_tick().filter(|tick| *tick <= until) {
            self.reap(tick, onlooker);
        }
    }

    fn reap(&mut self, now: TimestampMs, onlooker: &mut Onlooker<'_>) {
        let before = View::new(self.engine.keyspace().clone());
        let mut effects = Effects::default();
        self.engine.reap(micros(now), usize::MAX, &mut effects);
        let command = Command { caller: None, now, args: &[], reply: &Reply::Nothing, effects: &effects };
        self.show(before, &command, onlooker);
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

    fn show(&self, before: View, command: &Command<'_>, onlooker: &mut Onlooker<'_>) -> Seq {
        onlooker.at = SimTime::from_millis(since(self.epoch_ms, command.now));
        onlooker.step(before, View::new(self.engine.keyspace().clone()), command)
    }
}

/// Shows the properties what happens in a step, and keeps what they remember of it.
pub(super) struct Onlooker<'s> {
    from: &'s Remembered,
    /// A copy of what they remember, once there is anything to see, or one that was to spare.
    memories: Option<Memories>,
    events: Seq,
    /// What time it is.
    pub at: SimTime,
    names: Arc<Names>,
    found: &'s mut Violations,
}

impl Onlooker<'_> {
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
