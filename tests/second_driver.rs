//! A second driver: a plain loop without madsim, over fixed latencies.
//!
//! Proof of the seam, and the example to write another driver from (an explorer, one against a live server). What happens
//! is an ordered queue of events; processes, faults, engine and witness are the same pure ones that `drive::run` drives.
//! Its network has ordered connections that are held, cut and closed, messages with fates, and partitions. It leaves out
//! what is drawn at random: jitter, loss, and the prefix that a killed process has sent; and what breaks about the server. Of two things that happen in the
//! same microsecond, either may be first: an explorer would try both.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{PUBLISHED, plan_files, run};
use grantsim::{
    drive::{
        Deployment, Faults, Log, Process, Ran, Recorder, Subject, Witness,
        faults::{Act as Timed, Hold, Timed as Due},
        line::{Act as LineAct, Write},
        shell::{Act, Envelope, Post, Surroundings},
        witness::Told,
    },
    plan::{Cut, Fate, Fault, Plan},
    protocol::Request,
    trace::{End, FaultFate, Happened, Moment, Trace, What},
    types::{ExecutionName, Node, Seq, SimTime},
    view::View,
};
use valkey_sim::engine::{Effects, Engine, Reply, Session, UnixMicros, UnixMillis};

/// What is under way from one node to another.
struct Flight {
    from: Node,
    to: Node,
    load: Load,
}

enum Load {
    /// The handshake of a connection: there, and back.
    Hello(u64),
    Welcome(u64),
    /// A request on a connection, and the event that sent it.
    Request(u64, Request, Option<Seq>),
    /// The reply to the n-th request of a connection.
    Reply(u64, u64, Reply),
    Message(Envelope),
}

enum Event {
    Arrives(Flight),
    Fault(Due),
    /// A client repeats a request, on a connection of its own.
    Repeats(Node, Request, Option<Seq>),
}

/// A connection as the server has it.
struct Served {
    client: Node,
    session: Session,
    requests: u64,
    /// Nothing that is sent later lands before this.
    last_due: SimTime,
}

/// A process that lives, and its connection.
struct Client {
    process: Process,
    connection: Option<u64>,
    replies: u64,
}

struct Driver {
    deployment: Deployment,
    engine: Engine,
    witness: Witness<Recorder>,
    faults: Faults,
    now: SimTime,
    latency_us: u64,
    /// What happens, by its time; what is due at once, by the way that it travels, and then by when it was put here.
    queue: BTreeMap<(SimTime, u64, u64), Event>,
    queued: u64,
    /// Decides which way is first.
    ties: u64,
    clients: BTreeMap<Node, Client>,
    lives: BTreeMap<Node, u32>,
    served: BTreeMap<u64, Served>,
    connections: u64,
    /// Who stands still, and the ways that are cut: what would arrive there waits.
    still: BTreeSet<Node>,
    cut: BTreeSet<(Node, Node)>,
    waiting: Vec<Flight>,
}

impl Driver {
    /// Runs a plan to its end. What is due at once is done in an order that is drawn from `ties`.
    fn run(plan: &Plan, subject: &Subject, ties: u64) -> Trace {
        let loaded = subject.load(plan.dialect, plan.random("valkey").next_u64()).expect("it loads");
        let deployment = Deployment::new(plan, loaded.functions, loaded.claim_function);
        let executions = deployment.names.clone();
        let mut driver = Self {
            engine: loaded.engine,
            witness: Witness::new(Recorder::default(), executions.clone()),
            faults: Faults::new(plan, deployment.claim_function.into()),
            deployment,
            now: SimTime::START,
            latency_us: plan.network.latency_us,
            queue: BTreeMap::new(),
            queued: 0,
            ties,
            clients: BTreeMap::new(),
            lives: BTreeMap::new(),
            served: BTreeMap::new(),
            connections: 0,
            still: BTreeSet::new(),
            cut: BTreeSet::new(),
            waiting: Vec::new(),
        };
        Faults::timed(plan).into_iter().for_each(|due| driver.put(due.at, Event::Fault(due)));
        plan.nodes().for_each(|node| driver.start(node));
        let how = driver.go_on_until(SimTime::from_millis(plan.run_for_ms));
        let (recorder, ended, _) = driver.witness.end(how, Vec::new());
        recorder.into_trace(
            plan,
            subject.reference(),
            Ran { ended, faults: driver.faults.fates(), executions },
        )
    }

    /// One thing after the other: first what arrives and what breaks, then timers, then what has expired.
    fn go_on_until(&mut self, end: SimTime) -> End {
        loop {
            let arrives = self.queue.first_key_value().map(|((at, ..), _)| *at);
            let awake = self.clients.iter().filter(|(node, _)| !self.still.contains(node));
            let timers = awake.filter_map(|(node, client)| Some((client.process.wake_at()?, *node)));
            let timer = timers.min();
            let next = [arrives, timer.map(|(at, _)| at), self.reaps_at()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next < end) else { return End::OutOfTime };
            self.now = self.now.max(next);
            self.witness.at(self.now);
            if arrives == Some(next) {
                let (_, event) = self.queue.pop_first().expect("it is there");
                self.happen(event);
            } else if let Some((_, node)) = timer.filter(|(at, _)| *at == next) {
                self.with(node, |process, around| process.complete(around) || process.tick(around));
                self.settle(node);
            } else {
                self.reap();
            }
            if self.is_quiet() {
                return End::Quiet;
            }
        }
    }

    fn is_quiet(&self) -> bool {
        let idle = !self.clients.values().any(|client| client.process.is_calling());
        idle && self.queue.is_empty()
            && self.waiting.is_empty()
            && self.deployment.is_done(self.witness.view(), self.now)
    }

    fn put(&mut self, at: SimTime, event: Event) {
        let way = match &event {
            Event::Arrives(Flight { from, to, .. }) => format!("{} {from} {to}", self.ties),
            Event::Fault(_) | Event::Repeats(..) => String::new(),
        };
        self.queued += 1;
        self.queue.insert((at, self.deployment.plan.random(&way).next_u64(), self.queued), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives(flight) => self.arrive(flight),
            Event::Fault(due) => {
                if let Some(act) = self.faults.admit(&due) {
                    self.break_something(act);
                }
            }
            Event::Repeats(node, request, sent) => {
                let connection = self.open(node);
                self.send(node, Node::Valkey, Load::Request(connection, request, sent), 2 * self.latency_us);
            }
        }
    }

    // Processes.

    fn start(&mut self, node: Node) {
        let life = self.lives.entry(node).or_default();
        *life += 1;
        if let Some(process) = self.deployment.process(node, *life) {
            self.clients.insert(node, Client { process, connection: None, replies: 0 });
            self.with(node, Process::start);
            self.settle(node);
        }
    }

    /// Lets a process do something.
    fn with<T>(&mut self, node: Node, act: impl FnOnce(&mut Process, &mut Surroundings<'_>) -> T) -> T {
        let client = self.clients.get_mut(&node).expect("the process lives");
        let mut around = Surroundings {
            now: self.now,
            clock: self.deployment.clock(node),
            request_timeout: self.deployment.request_timeout(),
            names: &self.deployment.names,
            faults: &mut self.faults,
            log: &mut self.witness,
        };
        act(&mut client.process, &mut around)
    }

    /// Performs what a process wants done, and hands it what came of requests, until there is neither.
    fn settle(&mut self, node: Node) {
        loop {
            while let Some(act) = self.with(node, Process::next) {
                self.perform(node, act);
            }
            if !self.with(node, Process::complete) {
                return;
            }
        }
    }

    fn perform(&mut self, node: Node, act: Act) {
        match act {
            Act::Post(post) => self.post(node, post),
            Act::Line(LineAct::Connect) => {
                let connection = self.open(node);
                let client = self.clients.get_mut(&node).expect("the process lives");
                (client.connection, client.replies) = (Some(connection), 0);
                self.send(node, Node::Valkey, Load::Hello(connection), 0);
            }
            Act::Line(LineAct::Write(write)) => self.write(node, write),
            Act::Line(LineAct::Cut) => self.hang_up(node, true),
            Act::Line(LineAct::Close) => self.hang_up(node, false),
        }
    }

    fn post(&mut self, from: Node, Post { to, envelope, fate }: Post) {
        let (copies, later_ms) = match fate {
            None => (vec![0], 0),
            Some(Fate::Drop) => (vec![], 0),
            Some(Fate::Delay(by_ms)) => (vec![0], by_ms),
            Some(Fate::Twice(after_ms)) => (vec![0, after_ms], 0),
        };
        for after_ms in copies {
            self.send(from, to, Load::Message(envelope.clone()), (later_ms + after_ms) * 1_000);
        }
    }

    fn write(&mut self, node: Node, write: Write) {
        let Write { request, sent, hold, repeats } = write;
        for after in repeats {
            self.put(self.now.after(after.0 * 1_000), Event::Repeats(node, request.clone(), sent));
        }
        let Some(connection) = self.clients[&node].connection else { return };
        let execution = request.execution_id().map(|id| self.deployment.names.of_text(id));
        let until = hold.and_then(|hold| {
            self.deployment.held_until(hold, execution.as_ref(), self.now, self.witness.view())
        });
        let held_us = match (hold, until) {
            // So much longer than it would take.
            (Some(Hold::By(by)), _) => by.0 * 1_000,
            // Not before this instant.
            (_, Some(until)) => until.0.saturating_sub(self.now.0 + self.latency_us),
            _ => 0,
        };
        self.send(node, Node::Valkey, Load::Request(connection, request, sent), held_us);
    }

    // The network.

    /// A connection that the server will know of when its first bytes arrive.
    fn open(&mut self, client: Node) -> u64 {
        self.connections += 1;
        let session = self.engine.connect();
        self.witness.opened((0, session.id), client, self.connections);
        let served = Served { client, session, requests: 0, last_due: self.now };
        self.served.insert(self.connections, served);
        self.connections
    }

    /// Forgets a process's connection; one that is cut loses all that is under way on it.
    fn hang_up(&mut self, node: Node, cut: bool) {
        let connection = self.clients.get_mut(&node).and_then(|client| client.connection.take());
        if let Some(connection) = connection.filter(|_| cut) {
            self.served.remove(&connection);
        }
    }

    /// Sends something that arrives after the latency, and so much later.
    fn send(&mut self, from: Node, to: Node, load: Load, later_us: u64) {
        let mut due = self.now.after(self.latency_us + later_us);
        if let Load::Hello(connection) | Load::Request(connection, ..) = &load
            && let Some(served) = self.served.get_mut(connection)
        {
            due = due.max(served.last_due);
            served.last_due = due;
        }
        // A message across a partition is lost; what a connection carries is held.
        if !(matches!(load, Load::Message(_)) && self.cut.contains(&(from, to))) {
            self.put(due, Event::Arrives(Flight { from, to, load }));
        }
    }

    fn arrive(&mut self, flight: Flight) {
        let is_cut = self.cut.contains(&(flight.from, flight.to));
        if is_cut && matches!(flight.load, Load::Message(_)) {
            return;
        }
        if is_cut || self.still.contains(&flight.to) {
            return self.waiting.push(flight);
        }
        let Flight { from, to, load } = flight;
        let is_current = |driver: &Self, connection| {
            driver.clients.get(&to).is_some_and(|client| client.connection == Some(connection))
        };
        match load {
            Load::Hello(connection) => self.send(to, from, Load::Welcome(connection), 0),
            Load::Request(connection, request, sent) => self.execute(connection, &request, sent),
            Load::Welcome(connection) if is_current(self, connection) => {
                self.with(to, |process, _| process.connected());
            }
            Load::Reply(connection, nth, reply) if is_current(self, connection) => {
                let executed = self.witness.read((connection, nth));
                self.with(to, |process, around| process.replied(reply, executed, around));
            }
            Load::Message(envelope) if self.clients.contains_key(&to) => {
                self.with(to, |process, around| process.receive(envelope, around));
            }
            // For a connection that its client gave up, or for a process that is down.
            Load::Welcome(_) | Load::Reply(..) | Load::Message(_) => return,
        }
        if self.clients.contains_key(&to) {
            self.settle(to);
        }
    }

    /// Has what waits arrive after all, in the order in which it was held.
    fn release(&mut self) {
        for flight in std::mem::take(&mut self.waiting) {
            self.put(self.now, Event::Arrives(flight));
        }
    }

    // The server.

    fn server_time(&self) -> UnixMicros {
        self.deployment.clock(Node::Valkey).now(self.now)
    }

    fn execute(&mut self, connection: u64, request: &Request, sent: Option<Seq>) {
        let now = self.server_time();
        let Some(served) = self.served.get_mut(&connection) else { return };
        served.requests += 1;
        let (client, session, nth) = (served.client, served.session.id, served.requests);
        let args: Vec<&[u8]> = request.args.iter().map(Vec::as_slice).collect();
        let mut effects = Effects::default();
        let reply = self.engine.execute(&mut served.session, &args, now, &mut effects);
        if let Some(sent) = sent {
            self.witness.written((connection, nth), sent);
        }
        let (args, keyspace) = (&args[..], self.engine.keyspace());
        let (server, session) = (Node::Valkey, (0, session));
        self.witness.executed(&Told {
            server,
            session,
            nth,
            args,
            now,
            reply: &reply,
            effects: &effects,
            keyspace,
        });
        self.send(Node::Valkey, client, Load::Reply(connection, nth, reply), 0);
    }

    /// When the server next removes what has expired: at every full 100 ms of its clock.
    fn reaps_at(&self) -> Option<SimTime> {
        let UnixMillis(expires) =
            self.engine.next_expiry().filter(|_| !self.still.contains(&Node::Valkey))?;
        let tick = UnixMillis((expires / 100 + 1) * 100);
        Some(self.deployment.clock(Node::Valkey).next_at(self.now, UnixMicros::from_millis(tick.0 as u64)))
    }

    fn reap(&mut self) {
        let (now, mut effects) = (self.server_time(), Effects::default());
        self.engine.reap(now, usize::MAX, &mut effects);
        self.witness.reaped(Node::Valkey, now, &effects, self.engine.keyspace());
    }

    // What breaks.

    fn break_something(&mut self, act: Timed) {
        let mut tell = |node, what| self.witness.record(node, None, what);
        match act {
            Timed::Crash(node) => {
                tell(node, What::Crashed);
                self.hang_up(node, true);
                self.clients.remove(&node);
                self.still.remove(&node);
            }
            Timed::Restart(node) => {
                tell(node, What::Restarted);
                self.start(node);
            }
            Timed::Pause(node) => {
                tell(node, What::Paused);
                self.still.insert(node);
            }
            Timed::Resume(node) => {
                tell(node, What::Resumed);
                self.still.remove(&node);
                self.release();
            }
            Timed::Cut(a, b, cut) => {
                tell(a, What::PartitionBegan { a, b, cut });
                self.part(a, b, cut);
            }
            Timed::Heal(a, b, stays) => {
                tell(a, What::PartitionHealed { a, b });
                self.cut.retain(|way| *way != (a, b) && *way != (b, a));
                stays.into_iter().for_each(|cut| self.part(a, b, cut));
                self.release();
            }
            Timed::SetClock(node, by_ms) => {
                tell(node, What::ClockSet { by_ms });
            }
            Timed::Server(act) => panic!("this driver has one server, which does not break: {act:?}"),
        }
    }

    fn part(&mut self, a: Node, b: Node, cut: Cut) {
        self.cut.extend((cut != Cut::BToA).then_some((a, b)));
        self.cut.extend((cut != Cut::AToB).then_some((b, a)));
    }
}

/// What became of grants and leases, and how every execution ended: what two drivers agree on, whatever their latencies.
#[derive(Debug, Default, PartialEq)]
struct Life {
    told: Vec<String>,
    states: BTreeMap<ExecutionName, String>,
    faults: Vec<FaultFate>,
}

fn life(trace: &Trace) -> Life {
    let mut life = Life::default();
    let mut last = View::default();
    trace.replay(|moment| {
        let Moment::Step(step) = moment else { return };
        life.told.extend(step.changes().iter().filter_map(|change| {
            let told = match &change.what {
                Happened::GrantIssued(seen) => {
                    format!("{:?} grant issued to {}, {}", seen.kind, seen.grant.worker, seen.grant.instance)
                }
                Happened::GrantConsumed(seen) => format!("{:?} grant consumed", seen.kind),
                Happened::GrantExpired(seen) => format!("{:?} grant expired", seen.kind),
                Happened::GrantDropped(seen) => format!("{:?} grant dropped", seen.kind),
                Happened::LeaseCreated { lease, .. } => {
                    format!("lease created, epoch {}, for {}", lease.epoch.0, lease.instance)
                }
                Happened::LeaseEnded { epoch } => format!("lease ended, epoch {}", epoch.0),
                _ => return None,
            };
            Some(format!("{}: {told}", change.execution))
        }));
        last = step.after.clone();
    });
    let states = trace.header.executions.iter().filter_map(|(id, name)| {
        let id = grantsim::types::ExecutionId::parse(id).ok()?;
        let state = last.execution(&id).core().map(|core| core.state());
        Some((name.clone(), format!("{state:?}")))
    });
    life.states = states.collect();
    life.faults.clone_from(&trace.faults);
    life
}

/// Whether a plain loop lives a plan as madsim does, in one of the orders in which it may do what is due at once; in all of
/// them where only one worker asks.
fn assert_same_life(name: &str, plan: &Plan) {
    let madsim = life(&run(plan, &PUBLISHED));
    let loops: Vec<Life> = (0..8).map(|ties| life(&Driver::run(plan, &PUBLISHED, ties))).collect();
    if plan.workers.len() == 1 {
        loops.iter().for_each(|one| assert_eq!(*one, madsim, "{name}"));
    }
    assert!(loops.contains(&madsim), "{name}: {madsim:#?} is none of {loops:#?}");
}

#[test]
fn a_plain_loop_lives_the_ten_lives_as_madsim_does() {
    let files = plan_files("fixtures/plans");
    let lives: Vec<_> = files.iter().filter(|(name, _)| name.starts_with("life-")).collect();
    assert_eq!(lives.len(), 10);
    lives.into_iter().for_each(|(name, file)| assert_same_life(name, &file.plan));
}

#[test]
fn a_plain_loop_breaks_the_world_as_madsim_does() {
    let files = plan_files("fixtures/plans");
    // It has one server, which does not break, and nothing in it comes upon a call.
    let is_left_out = |fault: &Fault| matches!(fault, Fault::Server { .. }) || fault.upon().is_some();
    let faults = files.iter().filter(|(name, _)| name.starts_with("fault-"));
    let faults: Vec<_> = faults.filter(|(_, file)| !file.plan.faults.iter().any(is_left_out)).collect();
    assert!(!faults.is_empty());
    faults.into_iter().for_each(|(name, file)| assert_same_life(name, &file.plan));
}
