//! A server's time on a simulated node: the node's clock over the world's time.

use super::World;
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
    world: World,
}

impl NodeTime {
    /// The time of a node with this clock.
    pub fn new(clock: Clock, world: World) -> Self {
        Self { clock, world }
    }
}

impl Environment for NodeTime {
    fn now(&self) -> UnixMicros {
        self.clock.now(self.world.now())
    }

    fn sleep_until(&self, at: UnixMicros) -> LocalFuture {
        Box::pin(self.world.sleep_until(self.clock.next_at(self.world.now(), at)))
    }
}
