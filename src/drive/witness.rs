//! Sees what a run does and shows it as moments: the one place where events get their numbers and their causes.
//!
//! Whatever drives a run tells the witness of each command that the server executed; processes and the driver write into it
//! as a [`Log`]. It looks at no clock: the driver says what time it is.

use std::collections::BTreeMap;

use valkey_sim::{
    engine::{Effects, Keyspace, Reply, UnixMicros},
    lua::is_out_of_instructions,
};

use super::{Log, Recorded, Watch};
use crate::{
    trace::{Command, End, Ended, Event, Head, Moment, Names, Stepper, What, show_plain},
    types::{Function, Node, Seq, SimTime, TimestampMs},
    view::View,
};

/// A connection and the ordinal of a request on it: together they name a request.
pub type RequestId = (u64, u64);

/// Shows a run to whoever watches.
pub struct Witness<W> {
    watch: W,
    now: SimTime,
    next: Seq,
    /// Steps so far.
    steps: u64,
    names: Names,
    stepper: Stepper,
    /// Who is behind a session of the server, and by which connection.
    sessions: BTreeMap<u64, (Node, u64)>,
    /// The events that sent requests which have not been executed yet.
    sent: BTreeMap<RequestId, Seq>,
    /// The events that executed requests whose replies have not been read yet.
    executed: BTreeMap<RequestId, Seq>,
    endless: Option<Function>,
    recorded: Option<Vec<Recorded>>,
}

/// A command, as the server that executed it tells of it.
pub struct Told<'a> {
    /// The server's session.
    pub session: u64,
    /// Which request of its connection it was, the first being 1.
    pub nth: u64,
    /// The command.
    pub args: &'a [&'a [u8]],
    /// The server's clock.
    pub now: UnixMicros,
    /// What it answered.
    pub reply: &'a Reply,
    /// What it wrote.
    pub effects: &'a Effects,
    /// The keyspace after it.
    pub keyspace: &'a Keyspace,
}

impl<W: Watch> Witness<W> {
    /// A witness of a run that has not begun.
    pub fn new(watch: W, names: Names) -> Self {
        Self {
            watch,
            now: SimTime::START,
            next: 0,
            steps: 0,
            names,
            stepper: Stepper::default(),
            sessions: BTreeMap::new(),
            sent: BTreeMap::new(),
            executed: BTreeMap::new(),
            endless: None,
            recorded: None,
        }
    }

    /// Keeps every command from now on, those too that change nothing.
    pub fn keep_commands(&mut self) {
        self.recorded.get_or_insert_default();
    }

    /// The time from now on.
    pub fn at(&mut self, now: SimTime) -> &mut Self {
        debug_assert!(now >= self.now, "time does not go back");
        self.now = now;
        self
    }

    /// How many events there were.
    pub fn events(&self) -> Seq {
        self.next
    }

    /// How many steps there were: as long as it stays, so does the keyspace.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The keyspace as it is.
    pub fn view(&self) -> &View {
        self.stepper.view()
    }

    /// The function that did not return, if there was one.
    pub fn endless(&self) -> Option<&Function> {
        self.endless.as_ref()
    }

    /// The server opened a session for a node's connection.
    pub fn opened(&mut self, session: u64, node: Node, connection: u64) {
        self.sessions.insert(session, (node, connection));
    }

    /// A request was written: `sent` is the event that says so.
    pub fn written(&mut self, request: RequestId, sent: Seq) {
        self.sent.insert(request, sent);
    }

    /// The event that executed a request whose reply is being read.
    pub fn read(&mut self, request: RequestId) -> Option<Seq> {
        self.executed.remove(&request)
    }

    /// The server executed a command. A plain one that wrote nothing is no moment.
    pub fn executed(&mut self, told: &Told<'_>) {
        if let Some(recorded) = &mut self.recorded {
            let args = told.args.iter().map(|arg| arg.to_vec()).collect();
            recorded.push(Recorded { session: told.session, now: told.now, args });
        }
        let Some(&(caller, connection)) = self.sessions.get(&told.session) else { return };
        let request = (connection, told.nth);
        let function = Command::function(told.args);
        let cause = self.sent.remove(&request);
        if function.is_some() || !told.effects.is_empty() {
            let seq =
                self.step(Some(caller), cause, told.args, told.now, told.reply, told.effects, told.keyspace);
            if function.is_some() {
                self.executed.insert(request, seq);
            }
        }
        if told.reply.error().is_some_and(is_out_of_instructions) {
            self.endless = self.endless.take().or(function);
        }
    }

    /// The server removed what had expired.
    pub fn reaped(&mut self, now: UnixMicros, effects: &Effects, keyspace: &Keyspace) {
        self.step(None, None, &[], now, &Reply::Nothing, effects, keyspace);
    }

    /// The server's truth is an earlier one again.
    pub fn rewound(&mut self, server: Node, keyspace: &Keyspace) {
        let watch = &mut self.watch;
        self.stepper.rewind(server, View::new(keyspace.clone()), &mut |moment| watch.see(moment));
    }

    /// The run is over. Hands back who watched, and the commands if they were kept.
    pub fn end(mut self, how: End) -> (W, Ended, Vec<Recorded>) {
        let ended = Ended { how, at_us: self.now };
        self.watch.see(&Moment::End(ended));
        (self.watch, ended, self.recorded.unwrap_or_default())
    }

    #[expect(clippy::too_many_arguments, reason = "one argument each part of what was executed")]
    fn step(
        &mut self,
        caller: Option<Node>,
        cause: Option<Seq>,
        args: &[&[u8]],
        now: UnixMicros,
        reply: &Reply,
        effects: &Effects,
        keyspace: &Keyspace,
    ) -> Seq {
        self.steps += 1;
        let head = self.head(Node::Valkey, cause);
        let command = Command { caller, now: TimestampMs(now.millis().0), args, reply, effects };
        let watch = &mut self.watch;
        let after = View::new(keyspace.clone());
        self.stepper.step(head, &command, after, &self.names, &mut |moment| watch.see(moment));
        head.seq
    }

    fn head(&mut self, node: Node, cause: Option<Seq>) -> Head {
        let seq = self.next;
        debug_assert!(cause.is_none_or(|cause| cause < seq), "what led to it came before");
        self.next += 1;
        Head { seq, at: self.now, node, cause }
    }
}

impl<W: Watch> Log for Witness<W> {
    fn record(&mut self, node: Node, cause: Option<Seq>, what: What) -> Seq {
        let event = Event { head: self.head(node, cause), what };
        tracing::debug!(at_us = event.head.at.0, %node, seq = event.head.seq, cause, what = ?event.what);
        let watch = &mut self.watch;
        show_plain(&event, &mut |moment| watch.see(moment));
        event.head.seq
    }
}
