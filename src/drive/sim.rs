//! The driver on madsim: the processes, the server, the network and the clocks of a run in simulated time.
//!
//! Nothing else knows madsim. Everything that waits, waits on simulated time; a fresh runtime a run leaves nothing behind.
//! Here is the world as a whole: nodes start, live and end in it. A process's task is in `task.rs`, the server and what breaks
//! about it in `server.rs`, what breaks when in `agenda.rs`.

#[cfg(not(madsim))]
compile_error!(
    "grantsim simulates time with madsim and needs `--cfg madsim`: see .cargo/config.toml, and docs/your-own-library.md for \
     what another crate needs"
);

mod agenda;
mod replica;
mod server;
mod task;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use bytes::BytesMut;
use madsim::{
    Config,
    runtime::{Handle, NodeHandle, Runtime},
};
use send_wrapper::SendWrapper;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use valkey_sim::{
    engine::Engine,
    link::{Delay, Direction, HostId, Latency, Mailbox, Network, Post},
    resp,
};

use super::{
    Course, Cues, Deployment, Disk, Faults, Log, Process, Ran, Recorded, RunError, Subject, Watch, Witness,
    course::{Instant, Turn},
    faults::Act as Timed,
    shell::Envelope,
};
use crate::{
    plan::{Cut, Plan},
    protocol::Request,
    trace::{End, Moment, What},
    types::{Function, Millis, Node, Seq, SimTime, Waiting},
};
use agenda::Agenda;
use server::{Running, server_host};
use task::Task;

/// More events than this are more than anybody reads, and more than any sensible plan makes.
const MAX_EVENTS: Seq = 1_000_000;
/// How often the world looks whether all is quiet.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the nodes of a run share.
struct World {
    deployment: Deployment,
    network: Network,
    post: Post<Envelope>,
    latency: Latency,
    subject: Subject,
    /// The server, and those that it took the place of, by how many failovers there had been.
    servers: RefCell<Vec<Running>>,
    /// How many servers were started: none has the number of another.
    started: Cell<u32>,
    /// What the server has written, where a plan may ask for it.
    disk: Option<Rc<RefCell<Disk>>>,
    /// Whoever accepts connections, to be told that another server takes the place of this one.
    promoted: RefCell<Option<Waker>>,
    /// Whoever loads its library was refused, and tries again.
    owes_library: Cell<bool>,
    witness: Rc<RefCell<Witness<Watching>>>,
    faults: Rc<RefCell<Faults>>,
    /// The faults that have a time, or got one.
    agenda: Rc<Agenda>,
    cues: Rc<RefCell<Cues>>,
    /// The processes that live, each in its task.
    processes: RefCell<BTreeMap<Node, Rc<RefCell<Process>>>>,
    lives: RefCell<BTreeMap<Node, u32>>,
    /// How many requests and messages each node has sent.
    sent: RefCell<BTreeMap<Node, (usize, usize)>>,
    /// Open before anybody starts: no first message is lost to the order in which nodes do.
    mailboxes: RefCell<BTreeMap<Node, Mailbox<Envelope>>>,
    /// When the last fault that has a time is over.
    faults_until: Cell<SimTime>,
    /// When the last thing that a fault left in the network will have arrived.
    late_until: Rc<Cell<SimTime>>,
    /// What a partition held has arrived so much after its end, at the latest.
    next_try_us: u64,
}

/// Runs a plan to its end. The function is the one that had to be stopped, if there was one.
pub(super) fn run<W: Watch + 'static>(
    plan: &Plan,
    subject: &Subject,
    watch: W,
    keep_commands: bool,
) -> Result<(Ran, W, Option<Function>, Vec<Recorded>), RunError> {
    let loaded = subject.load(plan.dialect, plan.random("valkey").next_u64())?;
    let deployment = Deployment::new(plan, loaded.functions, loaded.claim_function);
    let executions = deployment.names.clone();
    let watch = Rc::new(RefCell::new(watch));
    let mut witness = Witness::new(Watching(watch.clone()), executions.clone());
    if keep_commands {
        witness.keep_commands();
    }
    let witness = Rc::new(RefCell::new(witness));
    let runtime = Runtime::with_seed_and_config(plan.random("runtime").next_u64(), Config::default());
    let ((how, waiting), faults) = runtime.block_on(async {
        let world = World::new(deployment, subject.clone(), loaded.engine, Rc::clone(&witness));
        let nodes = world.start();
        let ended = world.watch(&nodes).await;
        world.stop(&nodes).await;
        let faults = world.faults.borrow().fates();
        (ended, faults)
    });
    drop(runtime);
    let witness =
        Rc::into_inner(witness).expect("every task of the run is gone with its runtime").into_inner();
    let endless = witness.endless().cloned();
    let (_, ended, recorded) = witness.end(how, waiting);
    let watch = Rc::into_inner(watch).expect("the witness is gone").into_inner();
    Ok((Ran { ended, faults, executions }, watch, endless, recorded))
}

/// Whoever watches: a world is the same code for all of them.
struct Watching(Rc<RefCell<dyn Watch>>);

impl Watch for Watching {
    fn see(&mut self, moment: &Moment<'_>) {
        self.0.borrow_mut().see(moment);
    }
}

impl World {
    fn new(
        deployment: Deployment,
        subject: Subject,
        engine: Engine,
        witness: Rc<RefCell<Witness<Watching>>>,
    ) -> Rc<Self> {
        let plan = &deployment.plan;
        let latency = Latency {
            base_us: plan.network.latency_us,
            jitter_us: plan.network.jitter_us,
            loss_ppm: plan.network.loss_ppm,
            ..Latency::default()
        };
        let network = Network::new(plan.random("network").next_u64(), latency);
        let post = network.post();
        let mailboxes = plan.nodes().map(|node| (node, post.mailbox(host(node)))).collect();
        let disk = plan.faults.iter().any(|fault| fault.replaces_server().is_some()).then(Rc::default);
        let cues = Rc::new(RefCell::new(Cues::new(plan, deployment.claim_function.into())));
        let world = Self {
            post,
            mailboxes: RefCell::new(mailboxes),
            latency,
            subject,
            servers: RefCell::default(),
            started: Cell::new(0),
            disk,
            promoted: RefCell::default(),
            owes_library: Cell::new(false),
            cues,
            faults: Rc::new(RefCell::new(Faults::new(plan, deployment.claim_function.into()))),
            agenda: Rc::new(Agenda::new(Faults::timed(plan))),
            faults_until: Cell::new(deployment.faults_end()),
            late_until: Rc::new(Cell::new(SimTime::START)),
            // The sender's next try, which may be lost once more.
            next_try_us: latency.base_us + latency.jitter_us + 2_000 * u64::from(latency.retransmit_ms),
            processes: RefCell::default(),
            lives: RefCell::default(),
            sent: RefCell::default(),
            network,
            witness,
            deployment,
        };
        let running = world.started(engine, 0);
        world.servers.borrow_mut().push(running);
        Rc::new(world)
    }

    /// Where a node is to be found.
    fn host(&self, node: Node) -> HostId {
        match node {
            Node::Valkey => server_host(self.failovers()),
            Node::FormerValkey => server_host(self.failovers().saturating_sub(1)),
            other => host(other),
        }
    }

    fn now(&self) -> SimTime {
        self.network.now()
    }

    fn record(&self, node: Node, cause: Option<Seq>, what: What) -> Seq {
        self.witness.borrow_mut().at(self.now()).record(node, cause, what)
    }

    /// Notes that a fault keeps something in the network until then.
    fn expect_until(&self, instant: SimTime) {
        self.late_until.set(self.late_until.get().max(instant));
    }

    /// How the request that a node sends now is kept in the network, where the plan says so: until it is to arrive, or for as
    /// long as its place takes.
    fn keeps_request(&self, node: Node) -> Option<Delay> {
        let (requests, _) = self.counted(node, 1, 0)?;
        let arrivals = self.deployment.plan.arrivals.get(&node);
        let at_us = arrivals.and_then(|arrivals| arrivals.requests.get(requests - 1));
        let waits = || Some(Delay::By(Duration::from_micros(self.wait_us(node, requests)?)));
        at_us.map(|at_us| Delay::Until(SimTime(*at_us))).or_else(waits)
    }

    /// How much longer the network has the message that a node sends now, where the plan says so; microseconds.
    fn keeps_message(&self, node: Node) -> Option<u64> {
        let (requests, messages) = self.counted(node, 0, 1)?;
        let arrivals = self.deployment.plan.arrivals.get(&node);
        let at_us = arrivals.and_then(|arrivals| arrivals.messages.get(messages - 1));
        let left_us = |at_us: &u64| at_us.saturating_sub(self.now().0 + self.latency.base_us);
        at_us.map(left_us).or_else(|| self.wait_us(node, requests))
    }

    /// How many requests and messages a node has sent with these, where the plan goes by that.
    fn counted(&self, node: Node, requests: usize, messages: usize) -> Option<(usize, usize)> {
        let plan = &self.deployment.plan;
        (plan.priorities.is_some() || plan.arrivals.contains_key(&node)).then(|| {
            let mut sent = self.sent.borrow_mut();
            let sent = sent.entry(node).or_default();
            *sent = (sent.0 + requests, sent.1 + messages);
            *sent
        })
    }

    /// How long its place keeps what a node sends after so many requests, microseconds.
    fn wait_us(&self, node: Node, requests: usize) -> Option<u64> {
        let wait_us = self.deployment.plan.priorities.as_ref()?.wait_us(node, requests as u64);
        (wait_us > 0).then_some(wait_us)
    }

    fn start(self: &Rc<Self>) -> BTreeMap<Node, NodeHandle> {
        let handle = Handle::current();
        let start = |node: Node| {
            // The world never leaves its thread; madsim's builder asks for a guarantee that it cannot know.
            let world = SendWrapper::new(Rc::downgrade(self));
            let init = move || {
                let world = world.upgrade();
                async move {
                    if let Some(world) = world {
                        world.live(node).await;
                    }
                }
            };
            (node, handle.create_node().name(node.to_string()).init(init).build())
        };
        self.deployment.plan.nodes().map(start).collect()
    }

    /// A node, from its first instant: what runs when it starts or restarts.
    async fn live(self: Rc<Self>, node: Node) {
        let life = {
            let mut lives = self.lives.borrow_mut();
            let life = lives.entry(node).or_default();
            *life += 1;
            *life
        };
        if life > 1 {
            self.record(node, None, What::Restarted);
        }
        self.load_at_start(node);
        match self.deployment.process(node, life) {
            None => self.serve().await,
            Some(process) => Task::new(self, node, process).run().await,
        }
    }

    /// Accepts connections for as long as the server's node lives.
    async fn serve(self: Rc<Self>) {
        self.keep(&self.server());
        let place = self.failovers();
        self.accept(place).await;
    }

    /// Accepts the connections to one of the servers, by how many failovers there had been. One that takes its place while
    /// it goes on is served from here, too.
    fn accept(self: Rc<Self>, place: usize) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            let listener = self.network.listen(server_host(place));
            let mut is_followed = false;
            loop {
                let next = poll_fn(|cx| {
                    if self.failovers() > place && !is_followed {
                        return Poll::Ready(None);
                    }
                    self.promoted.replace(Some(cx.waker().clone()));
                    pin!(listener.accept()).poll(cx).map(Some)
                });
                let Some(stream) = next.await else {
                    is_followed = true;
                    madsim::task::spawn_local(Rc::clone(&self).accept(place + 1));
                    continue;
                };
                let (caller, connection) = (self.node_at(stream.peer()), stream.connection_id());
                let Some(running) = self.servers.borrow().get(place).cloned() else { continue };
                self.keep(&running);
                let serving = running.server.connection(stream);
                self.witness.borrow_mut().opened((running.number, serving.id()), caller, connection);
                madsim::task::spawn_local(async move {
                    // A connection that breaks is the client's concern, which sees it break.
                    let _ = serving.await;
                });
            }
        })
    }

    fn node_at(&self, id: HostId) -> Node {
        let at = self.deployment.plan.nodes().find(|node| host(*node) == id);
        at.expect("every host of the network is a node of the plan")
    }

    /// Waits until all is quiet, or has settled, or the time is up, while the faults happen that have a time.
    async fn watch(self: &Rc<Self>, nodes: &BTreeMap<Node, NodeHandle>) -> (End, Vec<Waiting>) {
        let direct = Rc::clone(self).inject(nodes.clone());
        let injector = madsim::task::spawn_local(direct);
        let mut course = Course::default();
        // Whether all was done after so many steps, as last looked at.
        let mut done = None;
        let ended = loop {
            let left = Duration::from_micros(course.next(&self.deployment).0.saturating_sub(self.now().0));
            madsim::time::sleep(LOOK_EVERY.min(left)).await;
            let now = self.now();
            let turn = {
                let mut witness = self.witness.borrow_mut();
                witness.at(now);
                if witness.endless().is_some() {
                    break (End::Endless, Vec::new());
                } else if witness.events() > MAX_EVENTS {
                    break (End::TooManyEvents, Vec::new());
                }
                let is_up = now >= course.next(&self.deployment);
                let is_over = now > self.late_until.get().max(self.faults_until.get()) && self.is_idle();
                if is_over && (!is_up || self.deployment.plan.heals) {
                    let steps = witness.steps();
                    let known = done.filter(|(after, _)| *after == steps).map(|(_, is_done)| is_done);
                    let is_done = known.unwrap_or_else(|| self.deployment.is_done(witness.view(), now));
                    if is_done {
                        break (End::Quiet, Vec::new());
                    }
                    done = Some((steps, is_done));
                }
                let lives = |node| self.processes.borrow().contains_key(&node);
                let view = witness.view();
                let was_hostile = self.faults.borrow().were_hostile();
                let deployment = &self.deployment;
                course.look(&Instant { deployment, view, now, is_over, was_hostile, lives: &lives })
            };
            match turn {
                Turn::GoOn => {}
                Turn::Heal => self.heal(nodes),
                Turn::End(how, waiting) => break (how, waiting),
            }
        };
        injector.abort();
        ended
    }

    /// From now on nothing breaks, and whoever was to come back does.
    fn heal(&self, nodes: &BTreeMap<Node, NodeHandle>) {
        self.record(Node::Valkey, None, What::Healed);
        self.faults_until.set(self.now());
        let acts = self.faults.borrow_mut().heal_all();
        acts.into_iter().for_each(|act| self.perform(nodes, act));
    }

    /// Whether no process waits for what comes of a call.
    fn is_idle(&self) -> bool {
        !self.processes.borrow().values().any(|process| process.borrow().is_calling())
    }

    /// Kills every node and lets their tasks go: what is not dropped in here is never freed.
    async fn stop(&self, nodes: &BTreeMap<Node, NodeHandle>) {
        (0..=self.failovers()).for_each(|place| self.network.kill(server_host(place)));
        for (node, handle) in nodes {
            self.network.kill(host(*node));
            Handle::current().kill(handle.id());
        }
        self.processes.borrow_mut().clear();
        madsim::time::sleep(Duration::from_millis(1)).await;
    }

    /// Injects the timed faults.
    async fn inject(self: Rc<Self>, nodes: BTreeMap<Node, NodeHandle>) {
        loop {
            let timed = self.agenda.next(self.network.clock()).await;
            let admitted = self.faults.borrow_mut().admit(&timed);
            if let Some(act) = admitted {
                self.perform(&nodes, act);
            }
        }
    }

    fn perform(&self, nodes: &BTreeMap<Node, NodeHandle>, act: Timed) {
        let runtime = Handle::current();
        let id = |node: &Node| nodes[node].id();
        match act {
            Timed::Crash(node) => {
                self.record(node, None, What::Crashed);
                self.network.kill(self.host(node));
                runtime.kill(id(&node));
                self.processes.borrow_mut().remove(&node);
            }
            Timed::Server(act) => self.perform_on_server(nodes, act),
            Timed::Restart(node) => runtime.restart(id(&node)),
            Timed::Pause(node) => {
                self.record(node, None, What::Paused);
                runtime.pause(id(&node));
            }
            Timed::Resume(node) => {
                self.record(node, None, What::Resumed);
                runtime.resume(id(&node));
            }
            Timed::Cut(a, b, cut) => {
                self.record(a, None, What::PartitionBegan { a, b, cut });
                self.part(a, b, cut);
            }
            Timed::Heal(a, b, stays) => {
                self.record(a, None, What::PartitionHealed { a, b });
                self.network.heal(self.host(a), self.host(b));
                self.expect_until(self.now().after(self.next_try_us));
                // The network knows only of both ways at once. Nothing passes in between.
                if let Some(cut) = stays {
                    self.part(a, b, cut);
                }
            }
            Timed::SetClock(node, by_ms) => {
                self.record(node, None, What::ClockSet { by_ms });
            }
        }
    }

    fn part(&self, a: Node, b: Node, cut: Cut) {
        let (a, b) = (self.host(a), self.host(b));
        match cut {
            Cut::Both => self.network.partition(a, b, Direction::Both),
            Cut::AToB => self.network.partition(a, b, Direction::OneWay),
            Cut::BToA => self.network.partition(b, a, Direction::OneWay),
        }
    }

    /// Sends the same bytes once more, later, on a connection of their own.
    async fn repeat(self: Rc<Self>, node: Node, request: Request, sent: Option<Seq>, after: Millis) {
        let at = self.now().after(after.0.saturating_mul(1_000));
        self.network.world().sleep_until(at).await;
        let Ok(mut stream) = self.network.connect(host(node), self.host(Node::Valkey)).await else { return };
        if let Some(sent) = sent {
            self.witness.borrow_mut().written((stream.connection_id(), 1), sent);
        }
        let mut reply = BytesMut::new();
        if stream.write_all(&encoded(&request)).await.is_ok() {
            // Nobody waits for the reply; the connection stays open until it is there.
            let _ = stream.read_buf(&mut reply).await;
        }
    }
}

/// A node's host: by its name, so that a deployment without another node gives it the same paths.
fn host(node: Node) -> HostId {
    HostId(match node {
        Node::Valkey | Node::FormerValkey => 0,
        Node::Submitter => 1,
        Node::Scanner => 2,
        Node::SecondScanner => 4,
        Node::Operator => 3,
        Node::Scheduler(number) => 0x4000 | number,
        Node::Worker(number) => 0x8000 | number,
    })
}

/// When a node's turn is among those that wait for one instant: by its name, for the same reason.
fn turn(node: Node) -> u16 {
    match node {
        Node::Scheduler(number) => 100 + number.min(399),
        Node::Worker(number) => 500 + number.min(499),
        other => host(other).0,
    }
}

fn encoded(request: &Request) -> Vec<u8> {
    let mut bytes = Vec::new();
    resp::encode_request(request.args.iter().map(Vec::as_slice), &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use valkey_sim::link;

    use super::{super::support::plan, *};
    use crate::{
        drive::Recorder,
        library::Library,
        plan::{self, Fate, Fault, token::Token},
        trace::{Event, Summary},
        types::{ExecutionName, Reason, Why},
    };

    fn events(plan: &Plan) -> Vec<Event> {
        let subject = Subject::new(Library::published()).expect("the published library loads");
        super::super::run(plan, &subject).expect("the plan runs").events
    }

    /// The first latencies of every path between two nodes of a plan.
    fn latencies(plan: &Plan) -> BTreeMap<(Node, Node), Vec<u64>> {
        let runtime = Runtime::with_seed_and_config(1, Config::default());
        runtime.block_on(async {
            let world = world(plan);
            let mut all = BTreeMap::new();
            let nodes: Vec<Node> = plan.nodes().collect();
            for (from, to) in nodes.iter().flat_map(|from| nodes.iter().map(move |to| (*from, *to))) {
                let post = world.network.post::<()>();
                let mailbox = post.mailbox(host(to));
                for _ in 0..8 {
                    let sent = world.now();
                    post.send(host(from), host(to), (), link::Fate::Deliver);
                    mailbox.receive().await;
                    all.entry((from, to)).or_insert_with(Vec::new).push(world.now().0 - sent.0);
                }
            }
            all
        })
    }

    fn subject() -> Subject {
        Subject::new(Library::published()).expect("it loads")
    }

    fn world(plan: &Plan) -> Rc<World> {
        let deployment = Deployment::new(plan, Default::default(), Default::default());
        let engine = Engine::new(plan.dialect, valkey_sim::lua::Interpreter::default());
        let watching = Watching(Rc::new(RefCell::new(Recorder::default())));
        let witness = Witness::new(watching, deployment.names.clone());
        World::new(deployment, subject(), engine, Rc::new(RefCell::new(witness)))
    }

    #[test]
    fn a_path_has_the_same_latencies_whoever_else_takes_part() {
        for seed in 0..4 {
            let plan = Token::new("swarm", seed).expect("a profile").plan();
            let whole = latencies(&plan);
            let nodes = plan
                .parts()
                .into_iter()
                .filter(|part| matches!(part, plan::Part::Worker(_) | plan::Part::Scheduler(_)));
            for part in nodes {
                let Some(rest) = plan.without(&part) else { continue };
                for (path, drawn) in latencies(&rest) {
                    assert_eq!(drawn, whole[&path], "seed {seed}, without {part}, {path:?}");
                }
            }
        }
    }

    #[test]
    fn no_two_nodes_share_a_path() {
        let mut plan = Token::new("swarm", 1).expect("a profile").plan();
        plan.network = plan::Network { latency_us: 10, jitter_us: 1_000_000, loss_ppm: 0 };
        let drawn = latencies(&plan);
        let distinct: std::collections::BTreeSet<_> = drawn.values().collect();
        assert_eq!(distinct.len(), drawn.len());
    }

    /// What happened on a node at a microsecond.
    fn at(events: &[Event], node: Node, at_us: u64) -> Vec<&What> {
        let there = events.iter().filter(|event| event.head.node == node && event.head.at.0 == at_us);
        there.map(|event| &event.what).collect()
    }

    /// The plan of one worker with a grant that arrives at 12 ms, once more or so much later.
    fn with_grant_message(fate: Fate) -> Plan {
        let mut plan =
            plan([Fault::GrantMessage { from: None, execution: Some(ExecutionName::nth(1)), nth: 1, fate }]);
        plan.settings.partitions = 1;
        plan.workers.truncate(1);
        plan.workers[0].slots = 2;
        plan
    }

    #[test]
    fn messages_come_before_timers() {
        // The grant arrives when it is time to poll.
        let events = events(&with_grant_message(Fate::Delay(88)));
        let at_100 = at(&events, Node::Worker(1), 100_000);
        assert!(
            matches!(
                at_100[..],
                [What::MessageReceived { .. }, What::MessageSent { message: Summary::Ask { .. }, .. }]
            ),
            "{at_100:?}"
        );
    }

    #[test]
    fn what_came_of_requests_comes_before_messages() {
        // The grant arrives once more when the first claim is answered.
        let events = events(&with_grant_message(Fate::Twice(6)));
        let at_18 = at(&events, Node::Worker(1), 18_000);
        assert!(
            matches!(
                at_18[..],
                [What::ReplyReceived { .. }, What::WorkBegan { .. }, What::MessageReceived { .. }]
            ),
            "{at_18:?}"
        );
    }

    #[test]
    fn what_is_sent_arrives_when_the_plan_says_so_and_not_before_it_can() {
        let when = |node, requests: &[u64], messages: &[u64], is_meant: fn(&What) -> bool| {
            let mut plan = plan([]);
            plan.settings.partitions = 1;
            plan.workers.truncate(1);
            let arrivals = plan::Arrivals { requests: requests.to_vec(), messages: messages.to_vec() };
            plan.arrivals.insert(node, arrivals);
            plan.check().expect("the plan can be run");
            let events = events(&plan);
            let first = events.iter().find(|event| is_meant(&event.what));
            first.expect("it happens").head.at.0
        };
        let created = |at_us| when(Node::Submitter, &[at_us], &[], |what| matches!(what, What::Executed(_)));
        assert_eq!((created(30_007), created(0)), (30_007, 3_000));
        let granted = |at_us| {
            when(Node::Scheduler(1), &[], &[at_us], |what| matches!(what, What::MessageReceived { .. }))
        };
        assert_eq!((granted(40_011), granted(0)), (40_011, 12_000));
    }

    #[test]
    fn what_is_sent_from_a_later_place_is_under_way_for_so_many_steps_longer() {
        let executed = |node, places: &[(u64, u32)]| -> Vec<u64> {
            let mut plan = plan([]);
            plan.settings.partitions = 1;
            plan.workers.truncate(1);
            let places = BTreeMap::from([(node, places.iter().copied().collect())]);
            plan.priorities = Some(plan::Priorities { step_us: 5_000, places });
            plan.check().expect("the plan can be run");
            let events = events(&plan);
            let is_meant = |what: &What| match node {
                Node::Submitter => matches!(what, What::Executed(_)),
                _ => matches!(what, What::MessageReceived { .. }),
            };
            events.iter().filter(|event| is_meant(&event.what)).map(|event| event.head.at.0).collect()
        };
        let created = |places: &[(u64, u32)]| executed(Node::Submitter, places)[0];
        assert_eq!((created(&[]), created(&[(1, 2)]), created(&[(2, 2)])), (3_000, 13_000, 3_000));
        let granted = |places: &[(u64, u32)]| executed(Node::Scheduler(1), places)[0];
        // It sends four requests, and then the message.
        let late = [(1, 1), (4, 1), (5, 1)].map(|place| granted(&[place]));
        assert_eq!((granted(&[]), late), (12_000, [37_000, 22_000, 12_000]));
    }

    #[test]
    fn a_run_ends_with_no_call_under_way() {
        for takes_ms in (300..350).step_by(5) {
            let mut plan = plan([]);
            plan.network.latency_us = 20_000;
            plan.executions[0].work[0].takes_ms = takes_ms;
            let events = events(&plan);
            let count =
                |is_meant: fn(&What) -> bool| events.iter().filter(|event| is_meant(&event.what)).count();
            let sent = count(|what| matches!(what, What::RequestSent { .. }));
            let over = count(|what| matches!(what, What::ReplyReceived { .. } | What::ReplyLost { .. }));
            assert_eq!(sent, over, "with {takes_ms} ms of work");
        }
    }

    #[test]
    fn a_run_ends_in_time_whether_all_is_done_or_not() {
        let end = |run_for_ms| {
            let mut plan = plan([]);
            plan.run_for_ms = run_for_ms;
            let subject = Subject::new(Library::published()).expect("the published library loads");
            super::super::run(&plan, &subject).expect("the plan runs").ended
        };
        let cut_short = end(200);
        assert_eq!(cut_short.how, End::OutOfTime);
        assert_eq!(cut_short.at_us.0 / 1_000, 200);
        assert_eq!(end(23).at_us.0 / 1_000, 23, "whatever the interval at which it looks");
        assert_eq!(end(10_000).how, End::Quiet);
    }

    /// How the run of a plan that heals ends, and what its executions wait for.
    fn settles(plan: Plan) -> (End, u64, Vec<Why>) {
        let subject = Subject::new(Library::published()).expect("the published library loads");
        let ended = super::super::run(&Plan { heals: true, ..plan }, &subject).expect("the plan runs").ended;
        (ended.how, ended.at_us.0 / 1_000, ended.waiting.iter().map(|one| one.why).collect())
    }

    #[test]
    fn a_world_that_is_healed_finishes_what_the_faults_held_up() {
        // Both workers are away for an hour.
        let faults: [fn(Node) -> Fault; 3] = [
            |node| Fault::Crash { node, at_ms: 50, down_ms: Some(3_600_000), upon: None },
            |node| Fault::Pause { node, at_ms: 50, for_ms: 3_600_000, upon: None },
            |node| Fault::Partition {
                a: node,
                b: Node::Valkey,
                at_ms: 50,
                for_ms: 3_600_000,
                cut: Cut::Both,
                upon: None,
            },
        ];
        for fault in faults {
            let plan = plan([Node::Worker(1), Node::Worker(2)].map(fault));
            let (how, at_ms, waiting) = settles(plan.clone());
            assert_eq!((how, waiting), (End::Quiet, vec![]), "{fault:?}", fault = plan.faults[0]);
            assert!((10_000..20_000).contains(&at_ms), "healed when the time of the faults is up: {at_ms}");
        }
    }

    #[test]
    fn what_is_destroyed_for_good_stays_so_and_is_a_reason_to_stand_still() {
        let dies = |node| Fault::Crash { node, at_ms: 50, down_ms: None, upon: None };
        let (how, at_ms, waiting) = settles(plan([Node::Worker(1), Node::Worker(2)].map(dies)));
        assert_eq!((how, waiting), (End::Settled, vec![Why::Legitimate(Reason::NoWorker)]));
        assert!(at_ms < 10_000, "nothing can change any more: {at_ms}");
    }

    #[test]
    fn a_run_of_no_executions_is_over_when_its_faults_are() {
        let mut plan = plan([Fault::Pause { node: Node::Scanner, at_ms: 100, for_ms: 200, upon: None }]);
        plan.executions.clear();
        let subject = Subject::new(Library::published()).expect("the published library loads");
        let ended = super::super::run(&plan, &subject).expect("the plan runs").ended;
        assert_eq!((ended.how, ended.at_us.0 / 1_000), (End::Quiet, 350));
    }

    #[test]
    fn no_first_message_is_lost_to_the_order_in_which_nodes_start() {
        for seed in 0..8 {
            let events = events(&Plan { seed, ..plan([]) });
            let granted = events.iter().find(|event| {
                matches!(event.what, What::MessageSent { message: Summary::ClaimGrant { .. }, .. })
            });
            // A question that is lost is asked again 100 ms later.
            assert!(
                granted.is_some_and(|event| event.head.at < SimTime::from_millis(50)),
                "seed {seed}: {granted:?}"
            );
        }
    }

    #[test]
    fn a_clock_that_is_set_is_told() {
        let mut plan = plan([]);
        let steps = vec![plan::ClockStep { at_ms: 70, by_ms: -5 }];
        plan.clocks.insert(Node::Scanner, plan::WrongClock { steps, ..Default::default() });
        assert_eq!(at(&events(&plan), Node::Scanner, 70_000), [&What::ClockSet { by_ms: -5 }]);
    }

    #[test]
    fn a_partition_cuts_the_way_that_it_says_and_only_that_one() {
        for (cut, there, back) in
            [(Cut::Both, false, false), (Cut::AToB, false, true), (Cut::BToA, true, false)]
        {
            let runtime = Runtime::with_seed_and_config(1, Config::default());
            runtime.block_on(async {
                let world = world(&plan([]));
                let (a, b) = (Node::Worker(1), Node::Worker(2));
                let arrives = async |from, to| {
                    let post = world.network.post::<()>();
                    let mailbox = post.mailbox(host(to));
                    post.send(host(from), host(to), (), link::Fate::Deliver);
                    madsim::time::timeout(Duration::from_secs(1), mailbox.receive()).await.is_ok()
                };
                let cut_off = Timed::Cut(a, b, cut);
                world.perform(&BTreeMap::new(), cut_off);
                assert_eq!((arrives(a, b).await, arrives(b, a).await), (there, back), "{cut:?}");
                world.perform(&BTreeMap::new(), Timed::Heal(a, b, Some(Cut::AToB)));
                assert_eq!(
                    (arrives(a, b).await, arrives(b, a).await),
                    (false, true),
                    "{cut:?}: one way stays"
                );
                world.perform(&BTreeMap::new(), Timed::Heal(a, b, None));
                assert_eq!((arrives(a, b).await, arrives(b, a).await), (true, true), "{cut:?}");
            });
        }
    }
}
