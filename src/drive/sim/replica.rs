//! The replica of a server, as far as the server and its clients notice it: it has what was written after a while, says so,
//! and is cut off before a failover. What a promoted one has is the disk's business; of what it said it has nothing is lost.
//!
//! There is one only where a plan's settings ask for it: clients that wait for it (`WAIT`), or a server that takes no writes
//! without it (`min-replicas-to-write`).

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{Future, poll_fn},
    ops::RangeInclusive,
    pin::pin,
    rc::Rc,
    task::{Poll, Waker},
};

use valkey_sim::engine::{
    Engine, UnixMicros,
    replication::{Address, ReplicaId},
    unit::Offset,
};

use super::{World, server::Running};
use crate::{
    plan::{Fault, Plan, SafeOn, ServerFault},
    types::SimTime,
};

const ID: ReplicaId = ReplicaId(1);
/// How often a replica says what it has, unasked.
const SAYS_EVERY_US: u64 = 1_000_000;

/// What a replica has received, and when it said so.
#[derive(Debug)]
pub(super) struct Replica {
    /// How long it takes there and back, microseconds.
    takes_us: u64,
    /// When it is cut off.
    cut: Vec<RangeInclusive<SimTime>>,
    /// Whether anybody waits for what it has.
    is_asked: bool,
    /// Its server is none any more that anybody replicates.
    is_gone: Cell<bool>,
    /// What it has been sent and will have said it has: when it was sent, and when it says so.
    due: RefCell<VecDeque<(SimTime, SimTime, Offset)>>,
    /// Until when what was written is there for good.
    has_until: Cell<Option<SimTime>>,
    /// Whoever has it say what it has, to be told that there is more.
    waker: RefCell<Option<Waker>>,
}

impl Replica {
    /// The replica of a plan's server, if it has one.
    pub fn of(plan: &Plan, latency_us: u64) -> Option<Rc<Self>> {
        let settings = &plan.settings;
        let is_asked = settings.waits_for(SafeOn::Replica).is_some();
        (is_asked || settings.replica_lag_s.is_some()).then(|| {
            Rc::new(Self {
                takes_us: 2 * latency_us,
                cut: plan.faults.iter().filter_map(cut_off).collect(),
                is_gone: Cell::new(false),
                due: RefCell::default(),
                has_until: Cell::new(None),
                is_asked,
                waker: RefCell::default(),
            })
        })
    }

    /// The server has written up to an offset.
    pub fn sent(&self, now: SimTime, offset: Offset) {
        if self.is_asked && !self.is_cut(now) {
            self.due.borrow_mut().push_back((now, now.after(self.takes_us), offset));
            self.wake();
        }
    }

    fn is_cut(&self, now: SimTime) -> bool {
        self.is_gone.get() || self.cut.iter().any(|cut| cut.contains(&now))
    }

    /// Until when what was written is on the replica, as it has said.
    pub fn has_until(&self) -> Option<SimTime> {
        self.has_until.get()
    }

    /// Its server is replaced: it hears nothing of it any more.
    pub fn leave(&self) {
        self.is_gone.set(true);
        self.due.borrow_mut().clear();
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The next thing that it says, if it is due.
    fn says(&self, now: SimTime) -> Option<Offset> {
        let mut due = self.due.borrow_mut();
        let (sent, _, offset) = *due.front().filter(|(_, at, _)| *at <= now)?;
        due.pop_front();
        self.has_until.set(Some(sent));
        Some(offset)
    }
}

/// When a fault has the replica cut off: a failover that has a time begins with that.
fn cut_off(fault: &Fault) -> Option<RangeInclusive<SimTime>> {
    let Fault::Server { at_ms, upon: None, breaks } = fault else { return None };
    let ServerFault::Failover { down_ms, .. } = breaks else { return None };
    let from = SimTime(SimTime::from_millis(*at_ms).0.saturating_sub(breaks.behind_us()));
    Some(SimTime(from.0 + 1)..=SimTime::from_millis(at_ms.saturating_add(*down_ms)))
}

/// Has an engine know its replica, and need it where the plan says so.
pub(super) fn attach(engine: &mut Engine, plan: &Plan, now: UnixMicros) {
    let address = Address { host: "replica".to_owned(), port: 6_379 };
    engine.attach_replica(ID, address, now);
    if let Some(seconds) = plan.settings.replica_lag_s {
        for (name, value) in [("min-replicas-to-write", 1), ("min-replicas-max-lag", seconds)] {
            engine.configure(name, &value.to_string()).expect("a setting that every server has");
        }
    }
}

/// Has the replica of a server say what it has, for as long as that is its server.
pub(super) async fn follow(world: Rc<World>, running: Running) {
    let Some(replica) = running.replica.clone() else { return };
    let mut unasked = world.now();
    while !replica.is_gone.get() {
        poll_fn(|cx| {
            replica.waker.replace(Some(cx.waker().clone()));
            let next = replica.due.borrow().front().map_or(unasked, |(_, at, _)| unasked.min(*at));
            // Polled once, the sleep leaves a timer behind that wakes this task.
            if replica.is_gone.get() {
                Poll::Ready(())
            } else {
                pin!(world.network.world().sleep_until(next)).poll(cx)
            }
        })
        .await;
        let now = world.now();
        while let Some(offset) = replica.says(now) {
            running.acknowledge(&world, offset);
        }
        if unasked <= now {
            unasked = now.after(SAYS_EVERY_US);
            if !replica.is_cut(now) {
                let offset = running.server.with_engine(|engine| engine.replication().offset());
                running.acknowledge(&world, offset);
            }
        }
    }
}

impl Running {
    fn acknowledge(&self, world: &World, offset: Offset) {
        let now = self.clock.now(world.now());
        self.server.with_engine(|engine| engine.acknowledge(ID, offset, None, now));
    }
}
