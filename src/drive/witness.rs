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
    types::{Function, Node, Seq, SimTime, TimestampMs, Waiting},
    view::View,
};

/// A connection and the ordinal of a request on it: together they name a request.
pub type RequestId = (u64, u64);

/// A server's process, by a number that no other one has, and a session of it.
pub type SessionId = (u32, u64);

/// Shows a run to whoever watches.
pub struct Witness<W> {
    watch: W,
    now: SimTime,
    next: Seq,
    /// Steps so far.
    steps: u64,
    names: Names,
    /// One each server; there is more than one only where a former one goes on.
    steppers: BTreeMap<Node, Stepper>,
    /// Who is behind a session of a server, and by which connection.
    sessions: BTreeMap<SessionId, (Node, u64)>,
    /// The events that sent requests which have not been executed yet.
    sent: BTreeMap<RequestId, Seq>,
    /// The events that executed requests whose replies have not been read yet.
    executed: BTreeMap<RequestId, Seq>,
    endless: Option<Function>,
    recorded: Option<Vec<Recorded>>,
}

/// A command, as the server that executed it tells of it.
pub struct Told<'a> {
    /// Which server.
    pub server: Node,
    /// Its session.
    pub session: SessionId,
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
            steppers: BTreeMap::from([(Node::Valkey, Stepper::default())]),
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

    /// How many steps and rewinds there were: as long as it stays, so does the keyspace.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The keyspace as it is.
    pub fn view(&self) -> &View {
        self.steppers[&Node::Valkey].view()
    }

    /// The function that did not return, if there was one.
    pub fn endless(&self) -> Option<&Function> {
        self.endless.as_ref()
    }

    /// The server opened a session for a node's connection.
    pub fn opened(&mut self, session: SessionId, node: Node, connection: u64) {
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

    /// The server executed a command. A plain one that wrote nothing is no moment. Answers the event, if there is one.
    pub fn executed(&mut self, told: &Told<'_>) -> Option<Seq> {
        if let Some(recorded) = &mut self.recorded {
            let args = told.args.iter().map(|arg| arg.to_vec()).collect();
            recorded.push(Recorded { session: told.session.1, now: told.now, args });
        }
        let &(caller, connection) = self.sessions.get(&told.session)?;
        let request = (connection, told.nth);
        let function = Command::function(told.args);
        let cause = self.sent.remove(&request);
        let is_moment = function.is_some() || !told.effects.is_empty();
        let seq = is_moment.then(|| {
            let head = self.head(told.server, cause);
            self.step(head, Some(caller), told.args, told.now, told.reply, told.effects, told.keyspace)
        });
        if let Some(seq) = seq.filter(|_| function.is_some()) {
            self.executed.insert(request, seq);
        }
        if told.reply.error().is_some_and(is_out_of_instructions) {
            self.endless = self.endless.take().or(function);
        }
        seq
    }

    /// Whose session of the server it is.
    pub fn caller(&self, session: SessionId) -> Option<Node> {
        self.sessions.get(&session).map(|(node, _)| *node)
    }

    /// A server removed what had expired, or what it had to make room of. Answers the event.
    pub fn reaped(&mut self, server: Node, now: UnixMicros, effects: &Effects, keyspace: &Keyspace) -> Seq {
        let head = self.head(server, None);
        self.step(head, None, &[], now, &Reply::Nothing, effects, keyspace)
    }

    /// The server's truth is an earlier one again: what it was after the event `kept`, so many that wrote something being
    /// lost. A former server may go on from where it was.
    pub fn rewound(&mut self, kept: Option<Seq>, lost: usize, former_lives: bool, keyspace: &Keyspace) {
        self.steps += 1;
        self.record(Node::Valkey, None, What::Rewound { kept, lost, former_lives });
        if former_lives {
            let former = self.steppers[&Node::Valkey].clone();
            self.steppers.insert(Node::FormerValkey, former);
        }
        let (watch, to) = (&mut self.watch, View::new(keyspace.clone()));
        let stepper = self.steppers.entry(Node::Valkey).or_default();
        stepper.rewind(Node::Valkey, to, &mut |moment| watch.see(moment));
    }

    /// The run is over, and this is what each execution waits for that has not ended. Hands back who watched, and the
    /// commands if they were kept.
    pub fn end(mut self, how: End, waiting: Vec<Waiting>) -> (W, Ended, Vec<Recorded>) {
        let ended = Ended { how, at_us: self.now, waiting };
        self.watch.see(&Moment::End(&ended));
        (self.watch, ended, self.recorded.unwrap_or_default())
    }

    #[expect(clippy::too_many_arguments, reason = "one argument each part of what was executed")]
    fn step(
        &mut self,
        head: Head,
        caller: Option<Node>,
        args: &[&[u8]],
        now: UnixMicros,
        reply: &Reply,
        effects: &Effects,
        keyspace: &Keyspace,
    ) -> Seq {
        self.steps += 1;
        let command = Command { caller, now: TimestampMs(now.millis().0), args, reply, effects };
        let watch = &mut self.watch;
        let after = View::new(keyspace.clone());
        let stepper = self.steppers.entry(head.node).or_default();
        stepper.step(head, &command, after, &self.names, &mut |moment| watch.see(moment));
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

#[cfg(test)]
mod tests {
    use valkey_sim::{
        engine::{Dialect, Engine, Session},
        lua::Interpreter,
    };

    use super::{
        super::support::{FUNCTION, WORKER, ok},
        *,
    };
    use crate::types::{FaultClass, Lost};

    const CONNECTION: u64 = 40;
    const SESSION: u64 = 3;

    /// A watcher that writes down which moments it is shown.
    #[derive(Default)]
    struct Seen {
        moments: Vec<String>,
        causes: Vec<Option<Seq>>,
        /// How many keys there were before and after each step, and after each rewind.
        keys: Vec<usize>,
    }

    impl Watch for Seen {
        fn see(&mut self, moment: &Moment<'_>) {
            let head = match moment {
                Moment::Step(step) => {
                    self.keys.extend([keys(step.before), keys(step.after)]);
                    Some(step.head)
                }
                Moment::Client(event) | Moment::Fault(event) => Some(event.head),
                Moment::Rewound { to, .. } => {
                    self.keys.push(keys(to));
                    None
                }
                Moment::End(_) => None,
            };
            self.causes.extend(head.map(|head| head.cause));
            self.moments.push(match moment {
                Moment::Step(step) => format!("step {} at {}", step.head.seq, step.head.at.0),
                Moment::Client(event) => format!("client {} of {}", event.head.seq, event.head.node),
                Moment::Fault(event) => format!("fault {} of {}", event.head.seq, event.head.node),
                Moment::Rewound { server, .. } => format!("rewound {server}"),
                Moment::End(ended) => format!("end at {}", ended.at_us.0),
            });
        }
    }

    fn keys(view: &View) -> usize {
        ["k", "l"].iter().filter(|key| view.entry(key).is_some()).count()
    }

    /// A witness of a server that worker-1 is connected to.
    struct Bench {
        witness: Witness<Seen>,
        engine: Engine,
        session: Session,
        requests: u64,
    }

    impl Bench {
        fn new() -> Self {
            let mut engine = Engine::new(Dialect::default(), Interpreter::default());
            let session = engine.connect();
            let mut witness = Witness::new(Seen::default(), Names::default());
            witness.opened((0, SESSION), WORKER, CONNECTION);
            Self { witness, engine, session, requests: 0 }
        }

        /// The next request of the connection is sent; the event that says so.
        fn sent(&mut self) -> Seq {
            let sent =
                self.witness.record(WORKER, None, What::RequestSent { function: FUNCTION, execution: None });
            self.witness.written((CONNECTION, self.requests + 1), sent);
            sent
        }

        /// The server executes a command for real.
        fn executes(&mut self, args: &[&[u8]]) {
            let mut effects = Effects::default();
            let reply = self.engine.execute(&mut self.session, args, UnixMicros(5_000), &mut effects);
            self.tell(SESSION, args, &reply, &effects);
        }

        /// The server answers a call, and writes nothing.
        fn answers(&mut self, reply: &Reply) {
            self.tell(SESSION, &[b"FCALL", FUNCTION.as_str().as_bytes(), b"0"], reply, &Effects::default());
        }

        fn tell(&mut self, session: u64, args: &[&[u8]], reply: &Reply, effects: &Effects) {
            self.requests += 1;
            let (nth, now, keyspace) = (self.requests, UnixMicros(5_000), self.engine.keyspace());
            let session = (0, session);
            self.witness.executed(&Told {
                server: Node::Valkey,
                session,
                nth,
                args,
                now,
                reply,
                effects,
                keyspace,
            });
        }

        fn seen(self) -> Seen {
            self.witness.end(End::Quiet, Vec::new()).0
        }
    }

    #[test]
    fn a_call_is_caused_by_its_sending_and_its_reply_by_its_execution() {
        let mut bench = Bench::new();
        let first = bench.sent();
        bench.answers(&ok());
        let second = bench.sent();
        bench.answers(&ok());
        assert_eq!(bench.witness.read((CONNECTION, 1)), Some(1));
        assert_eq!(bench.witness.read((CONNECTION, 2)), Some(3));
        assert_eq!(bench.witness.read((CONNECTION, 2)), None, "a reply is read once");
        assert_eq!(bench.seen().causes, [None, Some(first), None, Some(second)]);
    }

    #[test]
    fn a_plain_command_is_a_moment_only_if_it_wrote_something() {
        let mut bench = Bench::new();
        bench.executes(&[b"GET", b"k"]);
        assert_eq!(bench.witness.events(), 0);
        bench.executes(&[b"SET", b"k", b"v"]);
        assert_eq!(bench.witness.events(), 1);
        bench.answers(&ok());
        assert_eq!(bench.witness.events(), 2, "a call always is one");
        assert_eq!(
            bench.witness.read((CONNECTION, 2)),
            None,
            "nobody is told which event a plain command was"
        );
        assert_eq!(bench.witness.read((CONNECTION, 3)), Some(1));
    }

    #[test]
    fn a_late_duplicate_is_caused_by_whoever_sent_the_first() {
        let mut bench = Bench::new();
        let sent = bench.sent();
        bench.answers(&ok());
        bench.witness.opened((0, SESSION + 1), WORKER, CONNECTION + 1);
        bench.witness.written((CONNECTION + 1, 1), sent);
        bench.requests = 0;
        bench.tell(SESSION + 1, &[b"FCALL", b"f", b"0"], &ok(), &Effects::default());
        assert_eq!(bench.seen().causes, [None, Some(sent), Some(sent)]);
    }

    #[test]
    fn a_session_of_nobodys_is_not_told() {
        let mut bench = Bench::new();
        bench.tell(SESSION + 9, &[b"FCALL", b"f", b"0"], &ok(), &Effects::default());
        assert_eq!(bench.witness.events(), 0);
    }

    #[test]
    fn events_are_numbered_and_dated_and_faults_are_told_from_what_clients_do() {
        let mut bench = Bench::new();
        bench.witness.at(SimTime(10)).record(WORKER, None, What::Crashed);
        let lost = What::ReplyLost { function: FUNCTION, execution: None, lost: Lost::Reset };
        bench.witness.at(SimTime(20)).record(WORKER, Some(0), lost);
        bench.witness.at(SimTime(30));
        bench.executes(&[b"SET", b"k", b"v"]);
        let moments = bench.seen().moments;
        assert_eq!(moments, ["fault 0 of worker-1", "client 1 of worker-1", "step 2 at 30", "end at 30"]);
        assert_eq!(What::Crashed.fault_class(), Some(FaultClass::Crash));
    }

    #[test]
    fn what_expires_is_a_step_of_nobodys() {
        let mut bench = Bench::new();
        bench.executes(&[b"SET", b"k", b"v"]);
        let mut effects = Effects::default();
        bench.engine.execute(&mut bench.session, &[b"DEL", b"k"], UnixMicros(0), &mut effects);
        bench.witness.reaped(Node::Valkey, UnixMicros(9_000), &effects, bench.engine.keyspace());
        let seen = bench.seen();
        assert_eq!((seen.keys, seen.causes), (vec![0, 1, 1, 0], vec![None, None]));
    }

    #[test]
    fn a_rewind_is_shown_and_the_next_step_begins_from_there() {
        let mut bench = Bench::new();
        bench.executes(&[b"SET", b"k", b"v"]);
        let earlier = bench.engine.keyspace().clone();
        bench.executes(&[b"SET", b"l", b"v"]);
        let steps = bench.witness.steps();
        bench.witness.rewound(Some(0), 1, false, &earlier);
        assert!(bench.witness.steps() > steps, "whoever remembers by steps looks again");
        assert_eq!(keys(bench.witness.view()), 1);
        bench.executes(&[b"DEL", b"k"]);
        let seen = bench.seen();
        assert_eq!(seen.keys, [0, 1, 1, 2, 1, 1, 1]);
        assert_eq!(seen.moments[2..4], ["fault 2 of valkey", "rewound valkey"]);
    }

    #[test]
    fn the_first_function_that_did_not_return_is_named() {
        let mut engine = Engine::new(
            Dialect::default(),
            Interpreter::new(valkey_sim::lua::Limits { instructions_per_call: 1_000, ..Default::default() }),
        );
        let mut session = engine.connect();
        let mut effects = Effects::default();
        let stuck =
            engine.execute(&mut session, &[b"EVAL", b"while true do end", b"0"], UnixMicros(0), &mut effects);
        let mut bench = Bench::new();
        assert_eq!(bench.witness.endless(), None);
        bench.answers(&ok());
        bench.answers(&stuck);
        bench.tell(SESSION, &[b"FCALL", b"another", b"0"], &stuck, &Effects::default());
        assert_eq!(bench.witness.endless(), Some(&FUNCTION), "{stuck:?}");
    }

    #[test]
    fn commands_are_kept_if_asked_for_those_too_that_change_nothing() {
        let mut bench = Bench::new();
        bench.executes(&[b"GET", b"k"]);
        bench.witness.keep_commands();
        bench.executes(&[b"GET", b"l"]);
        let recorded = bench.witness.end(End::Quiet, Vec::new()).2;
        let get =
            Recorded { session: SESSION, now: UnixMicros(5_000), args: vec![b"GET".to_vec(), b"l".to_vec()] };
        assert_eq!(recorded, [get]);
    }
}
