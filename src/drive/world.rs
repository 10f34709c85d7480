//! One simulated deployment: what its processes share, and the run from start to end.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use ff_core::{
    partition::PartitionConfig,
    types::{ExecutionId, LaneId, TimestampMs, WorkerId, WorkerInstanceId},
};
use madsim::{
    Config,
    runtime::{Handle, NodeHandle, Runtime},
};
use send_wrapper::SendWrapper;
use valkey_sim::{
    clock::{Clock, Step, WorldMicros},
    engine::UnixMicros,
    link::{self, HostId, Latency, Network, Post},
    random::Random,
    server::Server,
};

use super::{Recorded, RunError, Subject, director, process, server};
use crate::{
    actor::{Message, Scanner, Scheduler, Submitter, Worker, WorkerConfig},
    grant::Millis,
    library::{ClaimFunction, Functions},
    node::Node,
    plan::{Fault, Plan},
    trace::{Ended, Recorder, Seq, Trace, What, file},
};

/// More events than this are more than anybody reads, and more than any sensible plan makes.
const MAX_EVENTS: usize = 1_000_000;
/// How often the world looks whether all is quiet.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the processes of a run share.
pub(super) struct World {
    pub plan: Plan,
    pub functions: Arc<Functions>,
    pub claim_function: ClaimFunction,
    pub network: Network,
    pub post: Post<Envelope>,
    pub server: Server,
    pub recorder: Rc<RefCell<Recorder>>,
    /// Which event sent a request, and which one executed it, by connection and ordinal.
    pub requests: Rc<RefCell<Requests>>,
    /// When the last thing that a fault left in the network will have arrived.
    pub late_until: Cell<WorldMicros>,
    /// Shared by every call that its client still waits for.
    pub under_way: Rc<()>,
    /// Set when a function had to be stopped.
    pub endless: Rc<RefCell<Option<String>>>,
    time: link::World,
    clocks: BTreeMap<Node, Clock>,
    hosts: BTreeMap<Node, HostId>,
    /// Calls of each function by each node so far, over all its lives; grant messages under the empty name.
    counts: RefCell<BTreeMap<(Node, String), u32>>,
    lives: RefCell<BTreeMap<Node, u32>>,
    executions: Vec<ExecutionId>,
}

/// A message between processes, and the event by which it was sent.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub from: Node,
    pub told: Option<Seq>,
    pub message: Message,
}

/// Requests on their way: a connection and an ordinal on it name one.
#[derive(Default)]
pub(super) struct Requests {
    /// Who is behind a session of the server, and by which connection.
    pub sessions: BTreeMap<u64, (Node, u64)>,
    /// The event that sent a request.
    pub sent: BTreeMap<(u64, u64), Seq>,
    /// The event that executed it.
    pub called: BTreeMap<(u64, u64), Seq>,
    /// All commands so far, if anybody wants to know.
    pub recorded: Option<Vec<Recorded>>,
}

/// Runs a plan to its end; adds the commands to `recorded`, if it is there.
pub(super) fn run(
    plan: &Plan,
    subject: &Subject,
    recorded: Option<Vec<Recorded>>,
) -> Result<(Trace, Vec<Recorded>), RunError> {
    let dialect = plan.dialect.parse().unwrap_or_default();
    let loaded = server::load(subject, dialect, plan.seed)?;
    let runtime = Runtime::with_seed_and_config(plan.seed, Config::default());
    let (ended, recorder, now, endless, recorded) = runtime.block_on(async {
        let world = World::new(plan.clone(), loaded);
        world.requests.borrow_mut().recorded = recorded;
        let nodes = world.start();
        let ended = world.watch(&nodes).await;
        world.stop(&nodes).await;
        let recorded = world.requests.borrow_mut().recorded.take().unwrap_or_default();
        let endless = world.endless.borrow_mut().take();
        (ended, Rc::clone(&world.recorder), world.now(), endless, recorded)
    });
    drop(runtime);
    if let Some(function) = endless {
        let library = subject.library.name().to_owned();
        return Err(RunError::Endless { library, function, limit: server::INSTRUCTIONS_PER_CALL });
    }
    let header = file::Header {
        schema: file::SCHEMA,
        token: None,
        library: subject.reference(),
        dialect: plan.dialect.clone(),
    };
    let events = std::mem::take(&mut *recorder.borrow_mut()).into_events();
    Ok((Trace { header, events, ended, simulated_us: now.0 }, recorded))
}

impl World {
    fn new(plan: Plan, loaded: server::Loaded) -> Rc<Self> {
        let server::Loaded { engine, functions, claim_function } = loaded;
        let time = link::World::current();
        let latency = Latency {
            base_us: plan.network.latency_us,
            jitter_us: plan.network.jitter_us,
            loss_ppm: plan.network.loss_ppm,
            ..Latency::default()
        };
        let network = Network::new(plan.seed, latency);
        let hosts: BTreeMap<_, _> = plan.nodes().zip((0..).map(HostId)).collect();
        let clocks: BTreeMap<_, _> = plan.nodes().map(|node| (node, clock(&plan, node))).collect();
        let recorder = Rc::new(RefCell::new(Recorder::default()));
        let requests = Rc::new(RefCell::new(Requests::default()));
        let endless = Rc::default();
        let server = server::start(engine, &clocks[&Node::Valkey], &time, &recorder, &requests, &endless);
        let executions = execution_ids(&plan);
        Rc::new(Self {
            post: network.post(),
            functions: Arc::new(functions),
            claim_function,
            late_until: Cell::new(faults_end(&plan)),
            under_way: Rc::new(()),
            counts: RefCell::default(),
            lives: RefCell::default(),
            plan,
            network,
            server,
            recorder,
            requests,
            endless,
            time,
            clocks,
            hosts,
            executions,
        })
    }

    /// True time since the start of the run.
    pub fn now(&self) -> WorldMicros {
        self.time.now()
    }

    pub fn host(&self, node: Node) -> HostId {
        self.hosts[&node]
    }

    pub fn clock(&self, node: Node) -> &Clock {
        &self.clocks[&node]
    }

    pub fn node_at(&self, host: HostId) -> Node {
        let at = self.hosts.iter().find(|(_, id)| **id == host);
        *at.expect("every host of the network is a node of the plan").0
    }

    /// The wall clock of a node.
    pub fn wall(&self, node: Node) -> TimestampMs {
        TimestampMs(self.clock(node).now(self.now()).millis().0)
    }

    /// The instant at which a node's steady clock will have counted `after_ms` more.
    pub fn deadline(&self, node: Node, after_ms: u64) -> WorldMicros {
        let clock = self.clock(node);
        clock.world_at_monotonic(clock.monotonic(self.now()).saturating_add(after_ms.saturating_mul(1_000)))
    }

    pub fn record(&self, node: Node, cause: Option<Seq>, what: What) -> Seq {
        self.recorder.borrow_mut().record(self.now().0, node, cause, what)
    }

    /// Counts a call of `function` by `node`: 1 for the first.
    pub fn count(&self, node: Node, function: &str) -> u32 {
        let mut counts = self.counts.borrow_mut();
        match counts.iter_mut().find(|((n, f), _)| *n == node && f == function) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                counts.insert((node, function.to_owned()), 1);
                1
            }
        }
    }

    /// Notes that a fault keeps something in the network until then.
    pub fn expect_until(&self, instant: WorldMicros) {
        self.late_until.set(self.late_until.get().max(instant));
    }

    /// A process of the plan, from its first instant: what runs when a node starts or restarts.
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
        match node {
            Node::Valkey => server::serve(self).await,
            Node::Submitter => {
                let plan = self.plan.executions.iter().cloned();
                let actor =
                    Submitter::new(self.executions.iter().cloned().zip(plan).collect(), &self.functions);
                process::run(self, node, actor).await;
            }
            Node::Scheduler(_) => {
                let settings = &self.plan.settings;
                let actor = Scheduler::new(settings.partitions, Millis(settings.grant_ttl_ms));
                process::run(self, node, actor).await;
            }
            Node::Scanner => {
                let lanes = self.plan.lanes().into_iter().map(LaneId::new).collect();
                let actor = Scanner::new(lanes, self.plan.settings.clone(), &self.functions);
                process::run(self, node, actor).await;
            }
            Node::Worker(number) => {
                let actor = Worker::new(self.worker_config(number, life));
                process::run(self, node, actor).await;
            }
        }
    }

    fn worker_config(&self, number: u16, life: u32) -> WorkerConfig {
        let worker = &self.plan.workers[usize::from(number) - 1];
        WorkerConfig {
            worker_id: WorkerId::new(&worker.worker_id),
            instance: WorkerInstanceId::new(format!("{}-{number}.{life}", worker.worker_id)),
            lanes: worker.lanes.iter().map(LaneId::new).collect(),
            capabilities: worker.capabilities.iter().cloned().collect(),
            slots: worker.slots,
            schedulers: self.plan.schedulers,
            settings: self.plan.settings.clone(),
            functions: Arc::clone(&self.functions),
            claim_function: self.claim_function,
            seed: Random::new(self.plan.seed ^ (u64::from(number) << 32) ^ u64::from(life)).next_u64(),
        }
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
        self.plan.nodes().map(start).collect()
    }

    /// Waits until all is quiet or the time is up, while the plan's faults happen.
    async fn watch(self: &Rc<Self>, nodes: &BTreeMap<Node, NodeHandle>) -> Ended {
        let director = madsim::task::spawn_local(director::direct(Rc::clone(self), nodes.clone()));
        let end = WorldMicros(self.plan.run_for_ms.saturating_mul(1_000));
        let ended = loop {
            madsim::time::sleep(LOOK_EVERY).await;
            if self.endless.borrow().is_some() {
                break Ended::Quiet;
            }
            let recorder = self.recorder.borrow();
            let (created, open) = recorder.open_executions();
            let is_idle = Rc::strong_count(&self.under_way) == 1;
            let done = created == self.plan.executions.len() && open == 0 && is_idle;
            if recorder.events().len() > MAX_EVENTS {
                break Ended::TooManyEvents;
            } else if self.now() >= end {
                break Ended::OutOfTime;
            } else if done && self.now() > self.late_until.get() {
                break Ended::Quiet;
            }
        };
        director.abort();
        ended
    }

    /// Kills every node and lets their tasks go: what is not dropped in here is never freed.
    async fn stop(&self, nodes: &BTreeMap<Node, NodeHandle>) {
        for (node, handle) in nodes {
            self.network.kill(self.host(*node));
            Handle::current().kill(handle.id());
        }
        madsim::time::sleep(Duration::from_millis(1)).await;
    }
}

fn clock(plan: &Plan, node: Node) -> Clock {
    let mut clock = Clock::starting_at(UnixMicros::from_millis(plan.epoch_ms));
    if let Some(wrong) = plan.clocks.get(&node) {
        let epoch_ms = plan.epoch_ms.saturating_add_signed(wrong.offset_ms);
        clock.epoch = UnixMicros::from_millis(epoch_ms);
        clock.drift_ppm = wrong.drift_ppm;
        let step = |s: &crate::plan::ClockStep| Step {
            at: WorldMicros(s.at_ms.saturating_mul(1_000)),
            by_ms: s.by_ms,
        };
        clock.steps = wrong.steps.iter().map(step).collect();
    }
    clock
}

/// The ids of the plan's executions: drawn from its seed, so that a plan without an execution keeps the others' ids.
fn execution_ids(plan: &Plan) -> Vec<ExecutionId> {
    let config =
        PartitionConfig { num_flow_partitions: plan.settings.partitions, ..PartitionConfig::default() };
    let id = |(i, execution): (usize, &crate::plan::Execution)| {
        let mut random = Random::new(plan.seed.wrapping_add(i as u64));
        let bits = (u128::from(random.next_u64()) << 64) | u128::from(random.next_u64());
        let uuid = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
        ExecutionId::deterministic_solo(&LaneId::new(&execution.lane), &config, uuid)
    };
    plan.executions.iter().enumerate().map(id).collect()
}

/// When the last of the faults that have a time is over.
fn faults_end(plan: &Plan) -> WorldMicros {
    let ends = plan.faults.iter().map(|fault| match fault {
        Fault::Crash { at_ms, down_ms, .. } => at_ms.saturating_add(down_ms.unwrap_or(0)),
        Fault::Pause { at_ms, for_ms, .. } | Fault::Partition { at_ms, for_ms, .. } => {
            at_ms.saturating_add(*for_ms)
        }
        _ => 0,
    });
    WorldMicros(ends.max().unwrap_or(0).saturating_mul(1_000))
}
