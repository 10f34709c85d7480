//! Takes a step in a world: what a choice says happens, and with it all that follows at once.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use valkey_sim::engine::{Keyspace, Reply};

use super::{
    Connection, Flight, Histories, Host, Mail, SLOT_US, State,
    choice::{Choice, MOST_BEHIND, Then},
    millis,
    plan::{Record, Ticket, call, call_of},
};
use crate::{
    drive::{
        Faults, Log,
        line::{Act as LineAct, Write},
        shell::{Act, Envelope, Post, Surroundings},
    },
    explore::{
        ExploreError,
        memo::Outcome,
        server::{Onlooker, Server, Violations, since},
    },
    plan::{Fault, ServerFault},
    protocol::Request,
    trace::What,
    types::{FaultClass, Node, Seq, SimTime},
};

/// How long a process that crashes is down, milliseconds.
const DOWN_MS: u64 = 50;
/// How long one stands still: longer than any lease and any grant.
const STILL_MS: u64 = 450;

/// A step that is being taken.
pub(super) struct Step<'s> {
    histories: &'s Histories<'s>,
    server: &'s mut Server,
    onlooker: Onlooker<'s>,
    record: Option<&'s mut Record>,
    /// A plan without faults has none: what goes wrong is chosen.
    faults: Faults,
    state: State,
    /// Messages on their way: the sender, the receiver, and what it says.
    posts: VecDeque<Post>,
    touched: BTreeSet<Node>,
}

impl<'s> Step<'s> {
    pub fn new(
        histories: &'s Histories<'s>,
        server: &'s mut Server,
        from: &'s State,
        record: Option<&'s mut Record>,
        found: &'s mut Violations,
    ) -> Self {
        server.hold(&from.keyspace);
        let deployment = histories.deployment;
        Self {
            onlooker: server.onlooker(&from.remembered, found),
            faults: Faults::new(&deployment.plan, deployment.claim_function.into()),
            state: from.clone(),
            posts: VecDeque::new(),
            touched: BTreeSet::new(),
            histories,
            server,
            record,
        }
    }

    /// All processes start.
    pub fn start(mut self) -> Result<State, ExploreError> {
        let nodes: Vec<Node> = self.state.hosts.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.begin(node, SimTime::START));
        self.deliver();
        Ok(self.end())
    }

    /// Does what a choice says.
    pub fn take(mut self, choice: &Choice) -> Result<(State, Option<Arc<Outcome>>), ExploreError> {
        self.state.budget = self.state.budget.saturating_sub(choice.costs());
        let reply = match choice {
            Choice::Arrives(place, then, _) => self.arrive(*place, *then)?,
            Choice::IsLost(place, _) => {
                self.lose(*place);
                None
            }
            Choice::ComesAgain(node, at_ms, _) => {
                let reply = self.come_again(*node, *at_ms)?;
                self.go_on(*at_ms);
                reply
            }
            Choice::TimeGoesOn(until_ms, _) => {
                self.go_on(*until_ms);
                None
            }
        };
        self.deliver();
        Ok((self.end(), reply))
    }

    fn end(mut self) -> State {
        for node in std::mem::take(&mut self.touched) {
            let host = self.host(node);
            host.key = host.key();
        }
        if self.state.budget == 0 {
            self.state.copies.clear();
            self.state.past = None;
        }
        self.state.keyspace = self.server.keyspace().clone();
        self.state.remembered = self.server.remembered(self.onlooker);
        self.state
    }

    /// The next slot of this millisecond.
    fn next_slot(&mut self) -> SimTime {
        self.state.now = self.state.now.after(SLOT_US);
        self.state.now
    }

    // The server.

    /// The oldest request of a connection is executed. Says what came of it, if it is a call.
    fn arrive(&mut self, place: usize, then: Then) -> Result<Option<Arc<Outcome>>, ExploreError> {
        let at = self.next_slot();
        let Some(flight) = self.state.connections[place].flights.pop_front() else { return Ok(None) };
        let Connection { client, is_open, .. } = self.state.connections[place];
        self.tidy();
        if let Some(record) = &mut self.record {
            record.arrived(client, flight.ticket, at);
        }
        let (outcome, executed) = self.execute(client, &flight.request, at)?;
        let function = flight.request.function();
        if let (Some(record), Some(function)) = (&mut self.record, function.clone()) {
            let nth = record.executed(client, function.clone());
            match then {
                Then::IsAnswered => {}
                Then::ReplyIsLost => {
                    record.breaks(Fault::LoseReply { call: call_of(client, function, flight.ticket) });
                }
                Then::ClientCrashes => {
                    let upon = Some(call(client, function, nth));
                    record.breaks(Fault::Crash { node: client, at_ms: 0, upon, down_ms: Some(DOWN_MS) });
                }
                Then::ClientStandsStill => {
                    let upon = Some(call(client, function, nth));
                    record.breaks(Fault::Pause { node: client, at_ms: 0, upon, for_ms: STILL_MS });
                }
                Then::ServerFailsOver(behind) => {
                    let upon = Some(call(client, function, nth));
                    // What was written in the microsecond before is kept.
                    let lag_us = self.state.lost_by(behind).map_or(0, |(first, _)| at.0 - first.0 + 1);
                    let breaks = ServerFault::Failover {
                        down_ms: 0,
                        lag_ms: lag_us / 1_000,
                        lag_us: lag_us % 1_000,
                        clock_ms: 0,
                        former_ms: 0,
                        demoted_ms: 0,
                    };
                    record.breaks(Fault::Server { at_ms: 0, upon, breaks });
                }
            }
        }
        if function.is_some() && self.state.budget > 0 && !self.histories.fails_over {
            self.state.copies.insert(client, flight);
        }
        let back = at.after(super::WAY_US);
        let reply = || Mail::Reply(outcome.reply.clone(), executed);
        match then {
            Then::IsAnswered if is_open => self.receive(client, reply(), back),
            // Nobody waits for it any more.
            Then::IsAnswered => {}
            Then::ReplyIsLost => self.reset(client, back),
            Then::ClientCrashes => self.crash(client, at),
            Then::ClientStandsStill => {
                self.onlooker.record(client, None, What::Paused);
                self.host(client).away_until = Some(at.after(STILL_MS * 1_000));
                self.receive(client, reply(), back);
            }
            Then::ServerFailsOver(behind) => self.fail_over(behind, at),
        }
        Ok(function.is_some().then_some(outcome))
    }

    /// A replica that is behind takes the server's place, and all connections are reset.
    fn fail_over(&mut self, behind: u8, at: SimTime) {
        self.onlooker.at = at;
        let how = "is another one from now on, a replica".to_owned();
        self.onlooker.record(Node::Valkey, None, What::ServerBroke { class: FaultClass::Failover, how });
        if let Some((_, held)) = self.state.lost_by(behind) {
            self.server.fail_over(&held, self.histories.server_time(at), &mut self.onlooker);
        }
        self.state.past = None;
        self.state.connections.clear();
        let nodes: Vec<Node> =
            self.state.hosts.keys().copied().filter(|node| self.state.is_up(*node)).collect();
        nodes.into_iter().for_each(|node| self.reset(node, at.after(super::WAY_US)));
    }

    fn execute(
        &mut self,
        client: Node,
        request: &Request,
        at: SimTime,
    ) -> Result<(Arc<Outcome>, Option<Seq>), ExploreError> {
        self.onlooker.at = at;
        let (now, before) = (self.histories.server_time(at), self.server.keyspace().clone());
        let came = self.server.execute(request, client, now, &mut self.onlooker)?;
        self.remember(at, before);
        Ok(came)
    }

    /// What the server removes by itself up to an instant.
    fn expire(&mut self, until: SimTime) {
        let (until, before) = (self.histories.server_time(until), self.server.keyspace().clone());
        let first = self.server.next_tick();
        self.server.expire(until, &mut self.onlooker);
        if let Some(first) = first {
            let first_ms = since(self.histories.deployment.plan.epoch_ms, first);
            self.remember(SimTime::from_millis(first_ms), before);
        }
    }

    /// If the server has written since it held this, a replica that is behind does not know of it.
    fn remember(&mut self, at: SimTime, before: Keyspace) {
        let Some(past) = &mut self.state.past else { return };
        if before.identity() == self.server.keyspace().identity() {
            return;
        }
        past.push((at, before));
        if past.len() > usize::from(MOST_BEHIND) {
            past.remove(0);
        }
    }

    /// A request never arrives, and its connection is reset.
    fn lose(&mut self, place: usize) {
        let Some(flight) = self.state.connections[place].flights.pop_front() else { return };
        let client = self.state.connections[place].client;
        self.tidy();
        if let (Some(record), Some(function)) = (&mut self.record, flight.request.function()) {
            record.never_wrote(client);
            record.breaks(Fault::LoseRequest { call: call_of(client, function, flight.ticket) });
        }
        let at = self.next_slot();
        self.reset(client, at);
    }

    /// A node's last call is executed once more.
    fn come_again(&mut self, node: Node, at_ms: u64) -> Result<Option<Arc<Outcome>>, ExploreError> {
        let Some(copy) = self.state.copies.remove(&node) else { return Ok(None) };
        if let (Some(record), Some(function)) = (&mut self.record, copy.request.function()) {
            record.executed(node, function.clone());
            let after_ms = at_ms - millis(copy.at);
            record.breaks(Fault::RepeatRequest { call: call_of(node, function, copy.ticket), after_ms });
        }
        let at = SimTime::from_millis(at_ms);
        self.expire(at);
        self.execute(node, &copy.request, at).map(|(outcome, _)| Some(outcome))
    }

    // Time.

    /// Time goes on to this millisecond, and what is due in it happens.
    fn go_on(&mut self, until_ms: u64) {
        let slot_us = self.state.now.0 % 1_000;
        self.state.now = SimTime::from_millis(until_ms).after(slot_us);
        self.state.connections.iter_mut().flat_map(|it| &mut it.flights).for_each(|it| it.is_held = true);
        self.expire(self.state.now);
        let nodes: Vec<Node> = self.state.hosts.keys().copied().collect();
        for node in nodes {
            while let Some(due) = self.state.hosts[&node].due().filter(|due| millis(*due) <= until_ms) {
                self.wake(node, due);
            }
        }
    }

    /// Something is due at a node.
    fn wake(&mut self, node: Node, due: SimTime) {
        let host = self.host(node);
        if host.away_until.take().is_none() {
            return self.run(node, due);
        }
        if host.process.is_none() {
            self.begin(node, due);
        } else {
            self.onlooker.record(node, None, What::Resumed);
            self.run(node, due);
        }
    }

    // Processes.

    fn host(&mut self, node: Node) -> &mut Host {
        self.touched.insert(node);
        Arc::make_mut(self.state.hosts.get_mut(&node).expect("every node of the plan has a host"))
    }

    /// A process starts, or starts anew.
    fn begin(&mut self, node: Node, at: SimTime) {
        let deployment = self.histories.deployment;
        let host = self.host(node);
        host.life += 1;
        let life = host.life;
        host.process = deployment.process(node, life);
        if life > 1 {
            self.onlooker.record(node, None, What::Restarted);
        }
        self.with(node, at, |process, around| process.start(around));
        self.run(node, at);
    }

    fn crash(&mut self, node: Node, at: SimTime) {
        self.onlooker.record(node, None, What::Crashed);
        let host = self.host(node);
        host.process = None;
        host.away_until = Some(at.after(DOWN_MS * 1_000));
        // It had nothing else in flight, and whatever would come once more goes with it.
        self.state.copies.remove(&node);
    }

    fn reset(&mut self, node: Node, at: SimTime) {
        self.hang_up(node);
        self.with(node, at, |process, around| process.reset(around));
        self.run(node, at);
    }

    /// Something arrives at a process.
    fn receive(&mut self, node: Node, mail: Mail, at: SimTime) {
        let host = self.host(node);
        if host.process.is_none() {
            return;
        }
        host.inbox.push_back(mail);
        if host.away_until.is_none() {
            self.run(node, at);
        }
    }

    /// Lets a process do something.
    fn with<T>(
        &mut self,
        node: Node,
        at: SimTime,
        act: impl FnOnce(&mut crate::drive::Process, &mut Surroundings<'_>) -> T,
    ) -> Option<T> {
        self.touched.insert(node);
        let deployment = self.histories.deployment;
        let host = self.state.hosts.get_mut(&node).map(Arc::make_mut)?;
        self.onlooker.at = at;
        let mut around = Surroundings {
            now: at,
            clock: deployment.clock(node),
            request_timeout: deployment.request_timeout(),
            names: &deployment.names,
            faults: &mut self.faults,
            log: &mut self.onlooker,
        };
        host.process.as_mut().map(|process| act(process, &mut around))
    }

    /// Has a process do what there is for it to do, in the order in which one on the simulated network does: what came of
    /// requests before messages, messages before timers.
    fn run(&mut self, node: Node, at: SimTime) {
        loop {
            while let Some(act) = self.with(node, at, |process, around| process.next(around)).flatten() {
                self.perform(node, at, act);
            }
            if let Some((reply, executed)) = self.next_reply(node) {
                self.with(node, at, |process, around| process.replied(reply, executed, around));
            } else if self.with(node, at, |process, around| process.complete(around)) == Some(true) {
            } else if let Some(envelope) = self.next_message(node) {
                self.with(node, at, |process, around| process.receive(envelope, around));
            } else if self.with(node, at, |process, around| process.tick(around)) != Some(true) {
                return;
            }
        }
    }

    fn next_reply(&mut self, node: Node) -> Option<(Reply, Option<Seq>)> {
        let inbox = &mut self.host(node).inbox;
        let place = inbox.iter().position(|mail| matches!(mail, Mail::Reply(..)))?;
        match inbox.remove(place)? {
            Mail::Reply(reply, executed) => Some((reply, executed)),
            Mail::Message(_) => None,
        }
    }

    fn next_message(&mut self, node: Node) -> Option<Envelope> {
        match self.host(node).inbox.pop_front()? {
            Mail::Message(envelope) => Some(envelope),
            Mail::Reply(..) => None,
        }
    }

    fn perform(&mut self, node: Node, at: SimTime, act: Act) {
        match act {
            Act::Post(post) => self.posts.push_back(post),
            // Nothing of a handshake can be seen but the time that it takes.
            Act::Line(LineAct::Connect) => _ = self.with(node, at, |process, _| process.connected()),
            Act::Line(LineAct::Write(write)) => self.write(node, at, write),
            Act::Line(LineAct::Cut) => self.hang_up(node),
            Act::Line(LineAct::Close) => {
                let open = self.state.connections.iter_mut().filter(|it| it.client == node);
                open.for_each(|it| it.is_open = false);
            }
        }
    }

    // The network.

    fn write(&mut self, client: Node, at: SimTime, write: Write) {
        let Write { request, sent, .. } = write;
        let function = request.function();
        let ticket = self.record.as_mut().map_or(Ticket::default(), |record| record.wrote(client, function));
        let was_alone = self.state.flights_of(client) == 0;
        let flight = Flight { request, sent, at, is_held: false, was_alone, ticket };
        let open = self.state.connections.iter_mut().find(|it| it.client == client && it.is_open);
        match open {
            Some(connection) => connection.flights.push_back(flight),
            None => {
                let flights = VecDeque::from([flight]);
                self.state.connections.push(Connection { client, is_open: true, flights });
            }
        }
    }

    /// What is in flight on a client's connection is gone.
    fn hang_up(&mut self, client: Node) {
        self.state.connections.retain(|it| it.client != client || !it.is_open);
    }

    /// Forgets connections on which nothing is in flight.
    fn tidy(&mut self) {
        self.state.connections.retain(|it| !it.flights.is_empty());
    }

    /// Messages arrive, and those that they lead to.
    fn deliver(&mut self) {
        while let Some(Post { to, envelope, .. }) = self.posts.pop_front() {
            let at = self.next_slot();
            if let Some(record) = &mut self.record {
                record.delivered(envelope.from, at);
            }
            self.receive(to, Mail::Message(envelope), at);
        }
    }
}
