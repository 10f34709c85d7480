//! Exploring a world: the processes of a deployment, what they have in flight, and what goes wrong about it.
//!
//! The processes are those that a run has ([`Process`]), each with its line to the server. What happens next is a
//! choice: which request in flight reaches the server, or that time goes on to the next instant at which
//! somebody has something to do; and, as often as the budget of a history allows, that a request stays in flight while time
//! goes on, is lost, comes a second time, that its reply is lost, or that the process which sent it crashes or stands still.
//! In a scope of failovers a replica takes the server's place instead, when a call was executed and before its reply: all
//! connections are reset, and what the last command or two wrote is lost. What a failover excuses is not reported.
//!
//! **What is left out, and why that is sound.** What must hold at every moment is judged where the server executes something. All
//! orders in which requests in flight reach the server are explored. Replies and messages are not held: they arrive as soon as
//! they are sent, before anything else reaches the server. That loses no order of what the server executes, since deliveries to
//! different nodes commute, and to have a reply late is, for the server, to have the client's next request late; but for a client
//! to whom something else happens in between, and that is what a pause is for. While requests are under way, time stands still
//! unless one of them is held.
//!
//! **Time.** The clock counts milliseconds, as the library does. Within one, what happens has an order and no duration: in a run it is
//! some microseconds apart, and a state's key knows nothing of them. In a new millisecond what is due comes first.
//!
//! A counterexample becomes a plan with [arrivals](crate::plan::Arrivals) and faults, whose run is the same history, on the
//! simulated network.

mod choice;
mod plan;
mod step;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{Hash, Hasher},
    sync::Arc,
};

use valkey_sim::{
    engine::{Keyspace, Reply},
    hash::Hash128,
};

use super::{
    ExploreError,
    memo::{Memo, Outcome},
    scope::World,
    search::Space,
    server::{Server, Violations},
    state::{Remembered, StateKey},
};
use crate::{
    drive::{Deployment, Process, Subject, shell::Envelope},
    plan::Plan,
    property::Entry,
    protocol::Request,
    types::{Node, Seq, SimTime, TimestampMs},
};
use choice::Choice;
use plan::Record;
use step::Step;

/// How long everything takes that is not held, microseconds.
pub(super) const WAY_US: u64 = 1;
/// One thing that arrives is so long after the other: there is time for a connection, and for the reply.
const SLOT_US: u64 = 4;
/// A history ends when so much has arrived in it that the next would be in the next millisecond.
const LAST_SLOT_US: u64 = 960;

/// The histories of a world.
pub(super) struct Histories<'e> {
    budget: u8,
    /// Whether it is the server that goes wrong.
    fails_over: bool,
    subject: &'e Subject,
    entries: &'e [&'static Entry],
    deployment: &'e Deployment,
}

/// Where a history has come to.
#[derive(Clone)]
pub(super) struct State {
    /// What the server holds.
    keyspace: Keyspace,
    /// What the properties remember.
    remembered: Remembered,
    /// The true time, which is that of every clock.
    now: SimTime,
    /// How much may still go wrong.
    budget: u8,
    hosts: BTreeMap<Node, Arc<Host>>,
    /// Those on which something is in flight.
    connections: Vec<Connection>,
    /// Of each node the last call that was executed, while it may come once more.
    copies: BTreeMap<Node, Flight>,
    /// When the server wrote, and what it held before: what a replica holds that is behind. The latest is last, and there are no
    /// more than a failover asks for. None where there is to be none.
    past: Option<Vec<(SimTime, Keyspace)>>,
}

/// A node, and the process on it.
#[derive(Clone)]
struct Host {
    /// Which of its lives it is, counted from 1.
    life: u32,
    /// None while it is down.
    process: Option<Process>,
    /// Until when it is down, or stands still.
    away_until: Option<SimTime>,
    /// What has arrived while it stood still.
    inbox: VecDeque<Mail>,
    /// A hash of all that.
    key: StateKey,
}

/// What arrives at a process.
#[derive(Clone)]
enum Mail {
    /// The reply to the oldest request, and the event that executed it.
    Reply(Reply, Option<Seq>),
    /// A message.
    Message(Envelope),
}

/// What a client has in flight on one connection: it arrives in order.
#[derive(Clone)]
struct Connection {
    client: Node,
    /// Whether the client still reads what comes back.
    is_open: bool,
    flights: VecDeque<Flight>,
}

/// A request in flight.
#[derive(Clone)]
struct Flight {
    request: Request,
    /// The event that says that it was sent; none for a plain command.
    sent: Option<Seq>,
    /// When it was.
    at: SimTime,
    /// Whether time has gone on since.
    is_held: bool,
    /// Whether nothing else was in flight from its client then.
    was_alone: bool,
    /// What a plan calls it. It is known only where one is made.
    ticket: plan::Ticket,
}

impl<'e> Histories<'e> {
    pub fn new(
        world: World,
        budget: u8,
        subject: &'e Subject,
        entries: &'e [&'static Entry],
        deployment: &'e Deployment,
    ) -> Self {
        Self { budget, fails_over: world.fails_over, subject, entries, deployment }
    }
}

impl Space for Histories<'_> {
    type State = State;
    type Choice = Choice;
    type Runner = Server;

    fn runner(&self, memo: Option<&Arc<Memo>>) -> Result<Server, ExploreError> {
        Server::new(self.subject, self.deployment.plan.dialect, self.deployment, memo)
    }

    fn start(&self, server: &mut Server) -> Result<State, ExploreError> {
        self.started(server, None)
    }

    fn choices(&self, state: &State) -> Vec<Choice> {
        choice::choices(self, state)
    }

    fn step(
        &self,
        server: &mut Server,
        from: &State,
        choice: &Choice,
        found: &mut Violations,
    ) -> Result<(State, Option<Arc<Outcome>>), ExploreError> {
        Step::new(self, server, from, None, found).take(choice)
    }

    fn key(&self, state: &State) -> StateKey {
        let mut hash = Hash128::default();
        let mut add = |key: u128| hash.key(key);
        add(state.keyspace.identity());
        add(state.remembered.key);
        state.hosts.values().for_each(|host| add(host.key));
        // Connections have no order among each other.
        add(state.connections.iter().map(key_of).fold(0, u128::wrapping_add));
        add(key_of(&(millis(state.now), state.budget)));
        state.copies.iter().for_each(|(node, copy)| add(key_of(&(node, &copy.request))));
        let past = state.past.iter().flatten();
        past.for_each(|(_, held)| add(held.identity()));
        add(u128::from(state.past.is_some()));
        hash.finish128()
    }

    fn at_ms(&self, state: &State) -> u64 {
        millis(state.now)
    }

    fn plan(&self, history: &[(State, Choice)], end: &State) -> Result<Plan, ExploreError> {
        let (mut server, mut record) = (self.runner(None)?, Record::default());
        let mut state = self.started(&mut server, Some(&mut record))?;
        for (_, choice) in history {
            let step = Step::new(self, &mut server, &state, Some(&mut record), &mut Violations::new())
                .take(choice)?
                .0;
            state = step;
        }
        if self.key(&state) != self.key(end) {
            return Err(ExploreError::Harness(
                "a history leads to another state when it is written down".to_owned(),
            ));
        }
        Ok(record.plan(&self.deployment.plan, millis(state.now) + 1))
    }
}

impl Histories<'_> {
    /// All processes have started, and nothing that they sent has arrived.
    fn started(&self, server: &mut Server, record: Option<&mut Record>) -> Result<State, ExploreError> {
        let down = Host { life: 0, process: None, away_until: None, inbox: VecDeque::new(), key: 0 };
        let nodes = self.deployment.plan.nodes().filter(|node| *node != Node::Valkey);
        let state = State {
            keyspace: server.keyspace().clone(),
            remembered: Remembered::nothing(self.entries),
            now: SimTime::START,
            budget: self.budget,
            hosts: nodes.map(|node| (node, Arc::new(down.clone()))).collect(),
            connections: Vec::new(),
            copies: BTreeMap::new(),
            past: self.fails_over.then(Vec::new),
        };
        let mut found = Violations::new();
        Step::new(self, server, &state, record, &mut found).start()
    }

    /// What the server's clock reads.
    fn server_time(&self, now: SimTime) -> TimestampMs {
        TimestampMs(self.deployment.clock(Node::Valkey).now(now).millis().0)
    }
}

impl State {
    /// Whether a node's process runs.
    fn is_up(&self, node: Node) -> bool {
        self.hosts.get(&node).is_some_and(|host| host.process.is_some() && host.away_until.is_none())
    }

    /// From when on all is lost that the server wrote, where a replica is so many writes behind, and what that holds.
    fn lost_by(&self, behind: u8) -> Option<(SimTime, Keyspace)> {
        let past = self.past.as_ref()?;
        past.get(past.len().checked_sub(behind.into())?).cloned()
    }

    /// All that is in flight from a node.
    fn flights_of(&self, node: Node) -> usize {
        self.connections.iter().filter(|it| it.client == node).map(|it| it.flights.len()).sum()
    }
}

impl Host {
    /// When it wants to be looked at again.
    fn due(&self) -> Option<SimTime> {
        self.away_until.or_else(|| self.process.as_ref()?.wake_at())
    }

    fn key(&self) -> StateKey {
        let mut hash = Hash128::default();
        let Self { life, process, away_until, inbox, key: _ } = self;
        (life, process, away_until.map(millis), inbox).hash(&mut hash);
        hash.finish128()
    }
}

impl Hash for Mail {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        match self {
            Self::Reply(reply, _) => format!("{reply:?}").hash(hasher),
            Self::Message(envelope) => (envelope.from, &envelope.message).hash(hasher),
        }
    }
}

impl Hash for Connection {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.client, self.is_open, &self.flights).hash(hasher);
    }
}

impl Hash for Flight {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        // A request that was sent in this millisecond can be lost, and with it what is in flight beside it.
        (&self.request, self.is_held, self.was_alone).hash(hasher);
    }
}

fn key_of(it: &impl Hash) -> u128 {
    let mut hash = Hash128::default();
    it.hash(&mut hash);
    hash.finish128()
}

/// Milliseconds of the run.
fn millis(at: SimTime) -> u64 {
    at.0 / 1_000
}
