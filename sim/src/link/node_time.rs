//! A server's time on a simulated node: the node's clock over the simulation's time.

use super::SimClock;
use crate::{
    clock::Clock,
    engine::UnixMicros,
    server::{Environment, LocalFuture},
};

/// What a server that runs on a simulated node reads and sleeps by. Not to be turned by a client: a clock's steps
/// are part of the [`Clock`].
#[derive(Clone, Debug)]
pub struct NodeTime {
    clock: Clock,
    sim: SimClock,
}

impl NodeTime {
    /// The time of a node with this clock.
    pub fn new(clock: Clock, sim: SimClock) -> Self {
        Self { clock, sim }
    }
}

impl Environment for NodeTime {
    fn now(&self) -> UnixMicros {
        self.clock.now(self.sim.now())
    }

    fn sleep_until(&self, at: UnixMicros) -> LocalFuture {
        Box::pin(self.sim.sleep_until(self.clock.next_at(self.sim.now(), at)))
    }
}
