//! The network as a whole: hosts, the paths between them, and who listens where.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

use serde::{Deserialize, Serialize};

use super::path::{Latency, Path};
use super::post::Post;
use super::stream::{Connection, Stream};
use super::{HostId, SimClock};
use crate::clock::SimTime;

/// Connections that wait to be accepted, at most; Linux has 4096, Valkey asks for 511. One more is refused.
const BACKLOG: usize = 511;

/// Which way a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Neither hears the other.
    Both,
    /// The second no longer hears the first, and the first still hears the second.
    OneWay,
}

/// The simulated network of one run. Clones are handles to the same network.
#[derive(Clone, Debug)]
pub struct Network {
    clock: SimClock,
    state: Rc<RefCell<State>>,
}

#[derive(Debug)]
struct State {
    seed: u64,
    latency: Latency,
    paths: BTreeMap<(HostId, HostId), Rc<Path>>,
    listeners: BTreeMap<HostId, Weak<RefCell<Backlog>>>,
    /// In the order in which they were made. The ends own them.
    connections: Vec<Weak<RefCell<Connection>>>,
    /// Connections so far.
    made: u64,
}

impl Network {
    /// A network without partitions, on the time of the current madsim runtime.
    ///
    /// # Panics
    ///
    /// Outside a madsim runtime.
    pub fn new(seed: u64, default: Latency) -> Self {
        let state = State {
            seed,
            latency: default,
            paths: BTreeMap::new(),
            listeners: BTreeMap::new(),
            connections: Vec::new(),
            made: 0,
        };
        Self { clock: SimClock::current(), state: Rc::new(RefCell::new(state)) }
    }

    /// The time that this network runs on.
    pub fn clock(&self) -> &SimClock {
        &self.clock
    }

    #[doc(hidden)]
    pub fn world(&self) -> &SimClock {
        self.clock()
    }

    /// How long the run has lasted.
    pub fn now(&self) -> SimTime {
        self.clock.now()
    }

    /// How long what is sent from one host to another takes from now on.
    pub fn set_latency(&self, from: HostId, to: HostId, latency: Latency) {
        self.path(from, to).set_latency(latency);
    }

    /// Accepts connections for a host, in place of whoever did before.
    pub fn listen(&self, host: HostId) -> Listener {
        let backlog = Rc::<RefCell<Backlog>>::default();
        self.state.borrow_mut().listeners.insert(host, Rc::downgrade(&backlog));
        Listener { host, backlog }
    }

    /// Connects to a host: established after a round trip, and across a partition never, so bring a timeout.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` after a round trip if nothing listens there, `ConnectionReset` if the process that did
    /// was killed in the meantime.
    pub fn connect(&self, from: HostId, to: HostId) -> impl Future<Output = io::Result<Stream>> + use<> {
        let network = self.clone();
        async move {
            let (client, server) = Stream::pair(
                network.next_connection(),
                network.clock.clone(),
                network.path(from, to),
                network.path(to, from),
            );
            network.register(&client);
            client.greet();
            server.greeted().await?;
            server.greet();
            let refused = network.offer(server).err();
            client.greeted().await?;
            let outcome = if refused.is_none() { "connected" } else { "refused" };
            tracing::debug!(sim_us = network.now().0, %from, %to, outcome);
            refused.map_or(Ok(client), |_| Err(io::ErrorKind::ConnectionRefused.into()))
        }
    }

    /// Parts two hosts: streams hold their bytes, messages are lost. A path that is parted already stays so.
    pub fn partition(&self, a: HostId, b: HostId, direction: Direction) {
        tracing::debug!(sim_us = self.now().0, %a, %b, ?direction, "partition");
        self.path(a, b).hold(self.now());
        if direction == Direction::Both {
            self.path(b, a).hold(self.now());
        }
    }

    /// Ends what parts two hosts, in both directions: streams go on where they were, after their next try.
    pub fn heal(&self, a: HostId, b: HostId) {
        tracing::debug!(sim_us = self.now().0, %a, %b, "heal");
        for path in [self.path(a, b), self.path(b, a)] {
            if let Some(since) = path.release() {
                self.for_each_connection(|connection| connection.release(&path, since));
            }
        }
    }

    /// The process on a host dies. To be called right before madsim kills its node: whatever the node's tasks
    /// still drop is dropped in silence.
    pub fn kill(&self, host: HostId) {
        tracing::debug!(sim_us = self.now().0, %host, "kill");
        self.state.borrow_mut().listeners.remove(&host);
        self.for_each_connection(|connection| connection.kill(host));
    }

    /// Resets every connection between two hosts, as a failover or a firewall does.
    pub fn cut(&self, a: HostId, b: HostId) {
        tracing::debug!(sim_us = self.now().0, %a, %b, "cut");
        self.for_each_connection(|connection| {
            if connection.joins(a, b) {
                connection.cut();
            }
        });
    }

    /// A message service of its own for messages of type `M`.
    pub fn post<M>(&self) -> Post<M> {
        Post::new(self.clone())
    }

    /// The way from one host to another, made when it is first needed.
    pub(super) fn path(&self, from: HostId, to: HostId) -> Rc<Path> {
        let State { seed, latency, paths, .. } = &mut *self.state.borrow_mut();
        paths.entry((from, to)).or_insert_with(|| Rc::new(Path::new(from, to, *latency, *seed))).clone()
    }

    /// Hands a new connection to whoever listens on its server's host, or hands it back.
    fn offer(&self, server: Stream) -> Result<(), Stream> {
        let backlog = self.state.borrow().listeners.get(&server.host()).and_then(Weak::upgrade);
        match backlog {
            Some(backlog) => backlog.borrow_mut().push(server),
            None => Err(server),
        }
    }

    fn next_connection(&self) -> u64 {
        let made = &mut self.state.borrow_mut().made;
        *made += 1;
        *made
    }

    fn register(&self, stream: &Stream) {
        let connections = &mut self.state.borrow_mut().connections;
        connections.retain(|connection| connection.strong_count() > 0);
        connections.push(Rc::downgrade(stream.connection()));
    }

    fn for_each_connection(&self, mut act: impl FnMut(&mut Connection)) {
        for connection in self.state.borrow().connections.iter().filter_map(Weak::upgrade) {
            act(&mut connection.borrow_mut());
        }
    }
}

/// Connections that were made and not yet accepted.
#[derive(Debug, Default)]
struct Backlog {
    waiting: VecDeque<Stream>,
    acceptor: Option<Waker>,
}

impl Backlog {
    fn push(&mut self, server: Stream) -> Result<(), Stream> {
        if self.waiting.len() == BACKLOG {
            return Err(server);
        }
        server.mark_offered();
        self.waiting.push_back(server);
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.wake();
        }
        Ok(())
    }
}

/// Where a host's process accepts connections. Dropping it refuses all that come later.
#[derive(Debug)]
pub struct Listener {
    host: HostId,
    backlog: Rc<RefCell<Backlog>>,
}

impl Listener {
    /// The host that it listens on.
    pub fn host(&self) -> HostId {
        self.host
    }

    /// The next connection, in the order in which they came. One task accepts; a second one would starve the first.
    pub async fn accept(&self) -> Stream {
        poll_fn(|cx| {
            let mut backlog = self.backlog.borrow_mut();
            match backlog.waiting.pop_front() {
                Some(stream) => Poll::Ready(stream),
                None => {
                    backlog.acceptor = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
