//! The server of a run, and those that it took the place of: how it is lost, comes back and is replaced, and who sees what
//! it does.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use madsim::runtime::{Handle, NodeHandle};
use valkey_sim::{
    clock::Clock,
    durability::SYNC_EVERY_US,
    engine::{self, Effects, Engine, Entry, Reply, UnixMicros, replication::Address},
    link::{self, HostId, Latency, NodeTime, Post},
    server::{Executed, Observer, Server},
};

use super::{
    Watching, World,
    agenda::Agenda,
    host,
    replica::{self, Replica},
};
use crate::{
    actor::Message,
    drive::{
        Cues, Disk, Faults, Witness,
        cues::{Cue, called},
        faults::ServerAct,
        shell::Envelope,
        witness::Told,
    },
    library::Library,
    plan::{Fault, Policy, SYNC_TAKES_US, SafeOn, ServerFault},
    protocol::{Command, load_library},
    trace::{Names, What},
    types::{FaultClass, Node, Seq, SimTime},
};

/// A server that was started.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) server: Server,
    pub(super) number: u32,
    /// As what it answers: the server, a former one; none where it is dead.
    pub(super) role: Rc<Cell<Option<Node>>>,
    /// Whether anybody looks after what expires in it, and after its replica.
    pub(super) is_kept: Rc<Cell<bool>>,
    /// Its replica, where the plan asks for one.
    pub(super) replica: Option<Rc<Replica>>,
    /// The server that it took the place of, once that one follows it and still answers.
    follower: Rc<RefCell<Option<Server>>>,
    /// Its clock.
    pub(super) clock: Clock,
}

impl World {
    /// A server of this engine, with the clock of the one that serves after so many failovers.
    pub(super) fn started(&self, mut engine: Engine, failovers: usize) -> Running {
        let number = self.started.get();
        self.started.set(number + 1);
        let role = Rc::new(Cell::new(Some(Node::Valkey)));
        let replica = Replica::of(&self.deployment.plan, self.latency.base_us);
        let plan = &self.deployment.plan;
        let clock = self.deployment.server_clock(failovers);
        if replica.is_some() {
            replica::attach(&mut engine, plan, clock.now(self.now()));
        }
        let configure = |engine: &mut Engine, name, value| {
            engine.configure(name, value).expect("a setting that every server has");
        };
        if plan.settings.waits_for(SafeOn::Disk).is_some() {
            configure(&mut engine, "appendonly", "yes");
        }
        configure(&mut engine, "maxmemory-policy", self.policy());
        let follower: Rc<RefCell<Option<Server>>> = Rc::default();
        let tap = Tap {
            follower: Rc::clone(&follower),
            time: self.network.world().clone(),
            number,
            role: Rc::clone(&role),
            replica: replica.clone(),
            disk: self.disk.clone(),
            witness: Rc::clone(&self.witness),
            cues: Rc::clone(&self.cues),
            upon: self
                .faults
                .borrow()
                .come_upon_calls()
                .then(|| (Rc::clone(&self.faults), Rc::clone(&self.agenda))),
            names: self.deployment.names.clone(),
            post: self.post.clone(),
            late_until: Rc::clone(&self.late_until),
            // There and back, for each of the few calls that a deed takes.
            calls_us: 16 * (self.latency.base_us + self.latency.jitter_us),
        };
        let time = NodeTime::new(clock.clone(), self.network.world().clone());
        Running {
            server: Server::new(engine, time, tap),
            number,
            role,
            is_kept: Rc::default(),
            replica,
            follower,
            clock,
        }
    }

    /// The server's `maxmemory-policy`: how keys are used is noted only where it asks for it.
    fn policy(&self) -> &'static str {
        let evicts_by_use = |fault: &Fault| {
            let policy = Policy::AllkeysLru;
            matches!(fault, Fault::Server { breaks: ServerFault::Evicts { policy: by, .. }, .. } if *by == policy)
        };
        let is_noted = self.deployment.plan.faults.iter().any(evicts_by_use);
        if is_noted { Policy::AllkeysLru.as_str() } else { "noeviction" }
    }

    /// How many failovers there have been.
    pub(super) fn failovers(&self) -> usize {
        self.servers.borrow().len() - 1
    }

    /// The one that the service's name leads to.
    pub(super) fn server(&self) -> Running {
        self.servers.borrow().last().expect("there is always one").clone()
    }

    pub(super) fn perform_on_server(&self, nodes: &BTreeMap<Node, NodeHandle>, act: ServerAct) {
        let (runtime, id) = (Handle::current(), nodes[&Node::Valkey].id());
        match act {
            ServerAct::Dies(breaks) => {
                self.break_server(self.deployment.plan.settings.class_of(&breaks), "is gone".to_owned());
                self.server().role.set(None);
                self.network.kill(self.host(Node::Valkey));
                runtime.kill(id);
            }
            ServerAct::Returns { kept, without_functions, is_loading } => {
                let engine = self.restored(kept, false);
                if let Some(replica) = self.server().replica {
                    replica.leave();
                }
                let running = self.started(engine, self.failovers());
                *self.servers.borrow_mut().last_mut().expect("there is always one") = running;
                if without_functions {
                    self.forget_library();
                }
                self.server().server.with_engine(|engine| engine.set_loading(is_loading));
                self.miss_library(without_functions);
                runtime.restart(id);
            }
            ServerAct::Loaded => {
                self.mend_server("has loaded its data");
                self.server().server.with_engine(|engine| engine.set_loading(false));
                self.load_owed_library();
            }
            ServerAct::Promotes { kept, breaks } => {
                let former_lives = breaks.former_lives();
                self.promote(kept, &breaks);
                self.miss_library(false);
                if !former_lives {
                    runtime.restart(id);
                }
            }
            ServerAct::FormerDies => {
                self.mend_server("is the only one: the former one is gone");
                let former = self.host(Node::FormerValkey);
                self.servers.borrow().iter().rev().skip(1).for_each(|former| former.role.set(None));
                self.server().follower.take();
                self.network.kill(former);
            }
            ServerAct::DemotesFormer => {
                self.mend_server("is followed by the former one, which takes no writes any more");
                self.demote_former();
            }
            ServerAct::ForgetsLibrary => self.forget_library(),
            ServerAct::LoadsLibrary => self.load_library(),
            ServerAct::LoadsOther => {
                self.break_server(
                    FaultClass::Library,
                    "is given another version of its function library".to_owned(),
                );
                self.load(self.subject.other.as_deref().unwrap_or(&self.subject.library));
            }
            ServerAct::PausesClients(for_ms, writes_only) => {
                let (who, mode) = if writes_only { ("those that write", "WRITE") } else { ("all", "ALL") };
                self.break_server(FaultClass::Slow, format!("has its clients wait, {who} of them"));
                self.administer(&[b"CLIENT", b"PAUSE", for_ms.to_string().as_bytes(), mode.as_bytes()]);
            }
            ServerAct::ResumesClients => {
                self.mend_server("lets its clients go on");
                self.administer(&[b"CLIENT", b"UNPAUSE"]);
            }
            ServerAct::FillsMemory => {
                self.break_server(FaultClass::OutOfMemory, "has no memory for writes".to_owned());
                self.configure("maxmemory-policy", "noeviction");
                self.configure("maxmemory", "1");
            }
            ServerAct::FreesMemory => {
                self.mend_server("has memory again");
                self.configure("maxmemory", "0");
                self.configure("maxmemory-policy", self.policy());
                self.load_owed_library();
            }
            ServerAct::Evicts(count, policy) => self.evict(count, policy),
            ServerAct::Slows(by_ms) => {
                self.break_server(FaultClass::Slow, format!("is {by_ms} ms further away"));
                self.slow(by_ms);
            }
            ServerAct::Quickens => {
                self.mend_server("is as near as before");
                self.slow(0);
            }
        }
    }

    fn forget_library(&self) {
        self.break_server(FaultClass::Library, "has lost its function library".to_owned());
        self.administer(&[b"FUNCTION", b"FLUSH"]);
    }

    fn load_library(&self) {
        self.break_server(FaultClass::Library, "is given its function library anew".to_owned());
        self.load(&self.subject.library);
    }

    fn load(&self, library: &Library) {
        let request = load_library(library.source()).request();
        let args: Vec<&[u8]> = request.args.iter().map(Vec::as_slice).collect();
        let reply = self.administer(&args);
        self.owes_library.set(reply.error().is_some());
    }

    /// Loads the library into a server that came back without it, from a time at which it was missing, unless that is how it
    /// is to be for a while.
    fn miss_library(&self, is_meant: bool) {
        let is_missing = self.server().server.with_engine(|engine| engine.functions().function_count() == 0);
        let is_meant = is_meant || self.faults.borrow().is_broken(FaultClass::Library);
        if is_missing && !is_meant {
            self.load_library();
        }
    }

    /// Loads the library for a worker that starts, where workers do and it reaches the server.
    pub(super) fn load_at_start(&self, node: Node) {
        let loads = self.deployment.plan.settings.workers_load && matches!(node, Node::Worker(_));
        if loads && self.server().role.get().is_some() && self.faults.borrow().reaches(node, Node::Valkey) {
            self.break_server(FaultClass::Library, format!("is given its function library anew by {node}"));
            self.load(&self.subject.library);
        }
    }

    fn load_owed_library(&self) {
        if self.owes_library.get() {
            self.load_library();
        }
    }

    fn break_server(&self, class: FaultClass, how: String) {
        self.record(Node::Valkey, None, What::ServerBroke { class, how });
    }

    fn mend_server(&self, how: &str) {
        self.record(Node::Valkey, None, What::ServerMended { how: how.to_owned() });
    }

    /// A fresh engine with what the disk held at an instant; with nothing but the library where there is none. What is lost
    /// by that, and what a former server goes on from, is told.
    fn restored(&self, kept: Option<SimTime>, former_lives: bool) -> Engine {
        let plan = &self.deployment.plan;
        let mut disk = self.disk.as_ref().expect("a plan that may ask for it keeps it").borrow_mut();
        let lost = disk.lose_after(kept);
        let seed = plan.random(&format!("valkey at {}", self.now().0)).next_u64();
        let mut engine = self.subject.load(plan.dialect, seed).expect("it was loaded before").engine;
        disk.load_into(&mut engine).expect("an engine of the same library has written it");
        if lost > 0 || former_lives {
            let mut witness = self.witness.borrow_mut();
            witness.at(self.now()).rewound(disk.last(), lost, former_lives, engine.keyspace());
        }
        engine
    }

    /// Has a replica be the server from now on.
    fn promote(&self, kept: SimTime, breaks: &ServerFault) {
        let class = self.deployment.plan.settings.class_of(breaks);
        let former_lives = breaks.former_lives();
        let replica = self.server().replica;
        let kept = kept.max(replica.as_ref().and_then(|replica| replica.has_until()).unwrap_or(kept));
        let and = if former_lives { ", and the former one still answers" } else { "" };
        self.break_server(class, format!("is another one from now on, a replica{and}"));
        let engine = self.restored(Some(kept), former_lives);
        if let ServerFault::Failover { clock_ms: by_ms @ (1.. | ..=-1), .. } = *breaks {
            self.record(Node::Valkey, None, What::ClockSet { by_ms });
        }
        let former = self.server();
        if let Some(replica) = replica {
            replica.leave();
        }
        former.role.set(former_lives.then_some(Node::FormerValkey));
        let running = self.started(engine, self.failovers() + 1);
        self.servers.borrow_mut().push(running);
        if let Some(acceptor) = self.promoted.take().filter(|_| former_lives) {
            acceptor.wake();
        }
    }

    /// Has the former server follow the one that took its place: it has the data of that one from now on, and takes no
    /// writes. Nobody is told what it still answers, which changes nothing.
    fn demote_former(&self) {
        let servers = self.servers.borrow();
        let [.., former, leader] = &servers[..] else { return };
        former.role.set(None);
        let address = Address { host: "valkey".to_owned(), port: 6_379 };
        let data = leader.server.with_engine(|engine| engine.keyspace().clone());
        former.server.with_engine(|engine| {
            engine.follow(address);
            engine.set_keyspace(data);
        });
        leader.follower.replace(Some(former.server.clone()));
    }

    /// Runs a command on the server by itself, which no client sent. Nobody is told.
    fn command(&self, args: &[&[u8]]) -> (Reply, UnixMicros, Effects) {
        let running = self.server();
        let now = running.clock.now(self.now());
        let mut effects = Effects::default();
        let reply = running.server.with_engine(|engine| {
            let mut session = engine.connect();
            let reply = engine.execute(&mut session, args, now, &mut effects);
            engine.disconnect(&session);
            reply
        });
        (reply, now, effects)
    }

    /// Keeps what an event wrote, where a plan may ask for it.
    fn write(&self, event: Seq, effects: &Effects) {
        if let Some(disk) = &self.disk {
            disk.borrow_mut().write(self.now(), event, effects);
        }
    }

    /// Runs a command of an administrator's on the server. It is told as what broke or was mended by it, not as a step.
    fn administer(&self, args: &[&[u8]]) -> Reply {
        let (reply, _, effects) = self.command(args);
        let told = self.witness.borrow().events().saturating_sub(1);
        self.write(told, &effects);
        reply
    }

    fn configure(&self, name: &str, value: &str) {
        let set = self.server().server.with_engine(|engine| engine.configure(name, value));
        set.expect("a setting that every server has");
    }

    /// Has the server evict some of its keys, those that its policy says, or its dice.
    fn evict(&self, count: u32, policy: Policy) {
        let running = self.server();
        let now = running.clock.now(self.now());
        let mut dice = self.deployment.plan.random(&format!("eviction at {}", self.now().0));
        let mut keys: Vec<bytes::Bytes> =
            running.server.with_engine(|engine| match by_use_or_expiry(policy) {
                Some(policy) => engine.next_to_go(policy, count as usize, now),
                None => {
                    let may_go =
                        |entry: &Entry| policy == Policy::AllkeysRandom || entry.expires_at.is_some();
                    let all = engine.keyspace().iter().filter(|(_, entry)| may_go(entry));
                    all.map(|(key, _)| key.clone()).collect()
                }
            });
        let mut evicted = vec![bytes::Bytes::from_static(b"DEL")];
        for _ in 0..count {
            if !keys.is_empty() {
                evicted.push(keys.swap_remove((dice.next_u64() % keys.len() as u64) as usize));
            }
        }
        self.break_server(FaultClass::Eviction, format!("evicts {} keys", evicted.len() - 1));
        if evicted.len() > 1 {
            let args: Vec<&[u8]> = evicted.iter().map(|arg| &arg[..]).collect();
            let (_, now, effects) = self.command(&args);
            let keyspace = self.server().server.with_engine(|engine| engine.keyspace().clone());
            let event =
                self.witness.borrow_mut().at(self.now()).reaped(Node::Valkey, now, &effects, &keyspace);
            self.write(event, &effects);
        }
    }

    /// Sets how long what goes to the server and comes from it takes, beyond what it always does.
    fn slow(&self, by_ms: u64) {
        let base_us = self.latency.base_us.saturating_add(by_ms.saturating_mul(1_000));
        let (latency, server) = (Latency { base_us, ..self.latency }, self.host(Node::Valkey));
        for node in self.deployment.plan.nodes().filter(|node| *node != Node::Valkey) {
            self.network.set_latency(host(node), server, latency);
            self.network.set_latency(server, host(node), latency);
        }
        self.expect_until(self.now().after(by_ms.saturating_mul(4_000)));
    }

    /// Looks after what expires in a server, and after its replica, if nobody does yet.
    pub(super) fn keep(self: &Rc<Self>, running: &Running) {
        if !running.is_kept.replace(true) {
            let server = running.server.clone();
            madsim::task::spawn_local(async move { server.housekeeping().await });
            if running.replica.is_some() {
                madsim::task::spawn_local(replica::follow(Rc::clone(self), running.clone()));
            }
            if self.deployment.plan.settings.waits_for(SafeOn::Disk).is_some() {
                madsim::task::spawn_local(sync(Rc::clone(self), running.clone()));
            }
        }
    }
}

/// Has a server know what its disk has, which is synced on the seconds of the run, for as long as it lives.
async fn sync(world: Rc<World>, running: Running) {
    let clock = world.network.world();
    loop {
        let begins = SimTime((world.now().0 / SYNC_EVERY_US + 1) * SYNC_EVERY_US);
        clock.sleep_until(begins).await;
        let written = running.server.with_engine(|engine| engine.replication().offset());
        clock.sleep_until(begins.after(SYNC_TAKES_US)).await;
        if running.role.get().is_none() {
            return;
        }
        running.server.with_engine(|engine| engine.note_synced(written));
    }
}

/// What the engine is asked for by a policy that goes by more than dice.
fn by_use_or_expiry(policy: Policy) -> Option<engine::Policy> {
    match policy {
        Policy::AllkeysLru | Policy::VolatileTtl => engine::Policy::parse(policy.as_str()),
        Policy::AllkeysRandom | Policy::VolatileRandom => None,
    }
}

/// The host of the server after so many failovers.
pub(super) fn server_host(failovers: usize) -> HostId {
    match failovers {
        0 => host(Node::Valkey),
        _ => HostId(0x2000 | failovers as u16),
    }
}

/// Tells the witness what the server does, and the operator which of his deeds are due for it.
struct Tap {
    time: link::SimClock,
    /// Which server, and as what it answers.
    number: u32,
    role: Rc<Cell<Option<Node>>>,
    /// Its replica, where it has one.
    replica: Option<Rc<Replica>>,
    /// The server that follows it and still answers, if there is one.
    follower: Rc<RefCell<Option<Server>>>,
    /// Where what it writes is kept, while it is the server.
    disk: Option<Rc<RefCell<Disk>>>,
    witness: Rc<RefCell<Witness<Watching>>>,
    cues: Rc<RefCell<Cues>>,
    /// The faults that come upon calls, where there are any, and where they are put down.
    upon: Option<(Rc<RefCell<Faults>>, Rc<Agenda>)>,
    names: Names,
    post: Post<Envelope>,
    late_until: Rc<Cell<SimTime>>,
    /// How long the calls of a deed take, about, microseconds.
    calls_us: u64,
}

impl Tap {
    /// Puts down what is to break because this call was executed.
    fn break_upon(&self, caller: Option<Node>, args: &[&[u8]]) {
        let Some((faults, agenda)) = &self.upon else { return };
        let Some(caller) = caller else { return };
        let Some((function, execution)) = called(args, &self.names) else { return };
        let now = self.time.now();
        let due = faults.borrow_mut().upon(caller, &function, execution.as_ref(), now);
        if let Some(last) = due.iter().map(|timed| timed.at).max() {
            self.late_until.set(self.late_until.get().max(last));
            agenda.add(due);
        }
    }

    /// Keeps what the server wrote, and has the one that follows it do the same. What a former one writes nobody will ever ask
    /// for.
    fn write(&self, server: Node, event: Option<Seq>, effects: &Effects, engine: &Engine) {
        if let Some(follower) = self.follower.borrow().as_ref().filter(|_| !effects.is_empty()) {
            follower.with_engine(|follower| follower.set_keyspace(engine.keyspace().clone()));
        }
        if let (Node::Valkey, Some(event), Some(disk)) = (server, event, &self.disk) {
            disk.borrow_mut().write(self.time.now(), event, effects);
        }
    }

    /// Sends the operator word of what is due.
    fn cue(&mut self, caller: Option<Node>, sent: Option<Seq>, args: &[&[u8]]) {
        let Some(caller) = caller else { return };
        let due = self.cues.borrow_mut().told(caller, args, &self.names);
        for Cue { deed, takes_ms } in due {
            let over = self.time.now().after(takes_ms.saturating_mul(1_000).saturating_add(self.calls_us));
            self.late_until.set(self.late_until.get().max(over));
            let envelope = Envelope { from: Node::Valkey, sent, message: Message::Cue(deed) };
            self.post.send(host(Node::Valkey), host(Node::Operator), envelope, link::Fate::Deliver);
        }
    }
}

impl Observer for Tap {
    fn executed(&mut self, executed: &Executed<'_>) {
        let Some(server) = self.role.get() else { return };
        let mut witness = self.witness.borrow_mut();
        let session = (self.number, executed.session);
        let seq = witness.at(self.time.now()).executed(&Told {
            server,
            session,
            nth: executed.nth,
            args: executed.args,
            now: executed.now,
            reply: executed.reply,
            effects: executed.effects,
            keyspace: executed.engine.keyspace(),
        });
        self.write(server, seq, executed.effects, executed.engine);
        if let Some(replica) = &self.replica {
            replica.sent(self.time.now(), executed.engine.replication().offset());
        }
        if self.cues.borrow().is_empty() && self.upon.is_none() {
            return;
        }
        let caller = witness.caller(session);
        drop(witness);
        self.break_upon(caller, executed.args);
        self.cue(caller, seq, executed.args);
    }

    fn reaped(&mut self, now: UnixMicros, effects: &Effects, engine: &Engine) {
        let Some(server) = self.role.get() else { return };
        let mut witness = self.witness.borrow_mut();
        let seq = witness.at(self.time.now()).reaped(server, now, effects, engine.keyspace());
        self.write(server, Some(seq), effects, engine);
    }
}
