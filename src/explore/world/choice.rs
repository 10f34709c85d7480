//! What may happen next in a world.

use std::{collections::BTreeSet, fmt};

use super::{Flight, Histories, LAST_SLOT_US, State, millis};
use crate::{
    drive::cues::called,
    trace::Names,
    types::{Deadline, ExecutionName, Node},
    view::View,
};

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The oldest request on a connection, by its place, reaches the server. And then:
    Arrives(usize, Then, What),
    /// It never does: its connection is reset.
    IsLost(usize, What),
    /// The last call of a node reaches the server once more, at the beginning of this millisecond.
    ComesAgain(Node, u64, What),
    /// Time goes on to this millisecond. So many requests are held for that.
    TimeGoesOn(u64, u8),
}

/// What becomes of a request that was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Its reply arrives.
    IsAnswered,
    /// Its reply is lost: the connection is reset before.
    ReplyIsLost,
    /// Whoever sent it crashes before the reply arrives.
    ClientCrashes,
    /// Whoever sent it stands still before the reply arrives.
    ClientStandsStill,
    /// A replica takes the server's place before the reply leaves it, which lacks what so many commands wrote last.
    ServerFailsOver(u8),
}

/// What is sent, by whom, and about what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct What {
    pub client: Node,
    pub name: String,
    pub execution: Option<ExecutionName>,
}

/// How many of the commands that wrote a replica may lack.
pub(super) const MOST_BEHIND: u8 = 2;

/// The deadlines at which a request that is held, or one that comes once more, may arrive: a millisecond before, at, and after.
const DEADLINES: [Deadline; 3] = [Deadline::Grant, Deadline::Lease, Deadline::Delay];

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arrives(_, Then::IsAnswered, what) => write!(f, "{what}"),
            Self::Arrives(_, Then::ReplyIsLost, what) => write!(f, "{what}, and its reply is lost"),
            Self::Arrives(_, Then::ClientCrashes, what) => {
                write!(f, "{what}, and {} crashes before the reply", what.client)
            }
            Self::Arrives(_, Then::ClientStandsStill, what) => {
                write!(f, "{what}, and {} stands still before the reply", what.client)
            }
            Self::Arrives(_, Then::ServerFailsOver(1), what) => {
                write!(f, "{what}, and the server fails over: what was written last is lost")
            }
            Self::Arrives(_, Then::ServerFailsOver(lost), what) => {
                write!(
                    f,
                    "{what}, and the server fails over: what was written by the last {lost} commands is lost"
                )
            }
            Self::IsLost(_, what) => write!(f, "{what}: it is lost"),
            Self::ComesAgain(_, _, what) => write!(f, "{what}, once more"),
            Self::TimeGoesOn(_, 0) => f.write_str("time goes on"),
            Self::TimeGoesOn(_, 1) => f.write_str("time goes on, and a request is held"),
            Self::TimeGoesOn(_, held) => write!(f, "time goes on, and {held} requests are held"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, name, execution } = self;
        match execution {
            Some(execution) => write!(f, "{name} of {execution} by {client}"),
            None => write!(f, "{name} by {client}"),
        }
    }
}

impl What {
    fn of(client: Node, flight: &Flight, names: &Names) -> Self {
        let args: Vec<&[u8]> = flight.request.args.iter().map(Vec::as_slice).collect();
        let execution = called(&args, names).and_then(|(_, execution)| execution);
        let name = String::from_utf8_lossy(flight.request.name()).into_owned();
        Self { client, name, execution }
    }
}

/// What may happen next in a state.
pub(super) fn choices(histories: &Histories<'_>, state: &State) -> Vec<Choice> {
    let mut list = List { histories, state, choices: Vec::new() };
    if state.now.0 % 1_000 < LAST_SLOT_US && !list.is_over() {
        list.arrivals();
        list.time();
    }
    list.choices
}

/// A list of choices that is being written.
struct List<'s> {
    histories: &'s Histories<'s>,
    state: &'s State,
    choices: Vec<Choice>,
}

impl List<'_> {
    /// Whether all is done, and nothing more can go wrong.
    fn is_over(&self) -> bool {
        let is_quiet = self.state.budget == 0 && self.state.connections.is_empty();
        is_quiet && self.histories.deployment.is_done(&View::new(self.state.keyspace.clone()), self.state.now)
    }

    fn what(&self, client: Node, flight: &Flight) -> What {
        What::of(client, flight, &self.histories.deployment.names)
    }

    fn arrivals(&mut self) {
        let state = self.state;
        for (place, connection) in state.connections.iter().enumerate() {
            let Some(flight) = connection.flights.front() else { continue };
            let client = connection.client;
            let what = self.what(client, flight);
            let arrives = |then| Choice::Arrives(place, then, what.clone());
            self.choices.push(arrives(Then::IsAnswered));
            let is_call = flight.sent.is_some();
            if state.budget == 0 || !is_call || !connection.is_open || !state.is_up(client) {
                continue;
            }
            if self.histories.fails_over {
                // A plan has the server replaced upon a call once.
                let behind = if state.past.is_some() { MOST_BEHIND } else { 0 };
                self.choices.extend((1..=behind).map(|behind| arrives(Then::ServerFailsOver(behind))));
                continue;
            }
            self.choices.push(arrives(Then::ReplyIsLost));
            // What else is in flight shares what becomes of its connection.
            let is_alone = state.flights_of(client) == 1;
            if is_alone && flight.was_alone && !flight.is_held {
                self.choices.push(Choice::IsLost(place, what.clone()));
            }
            if is_alone && matches!(client, Node::Worker(_) | Node::Scheduler(_)) {
                self.choices.push(arrives(Then::ClientCrashes));
            }
            if matches!(client, Node::Worker(_)) {
                self.choices.push(arrives(Then::ClientStandsStill));
            }
        }
    }

    fn time(&mut self) {
        let (state, now_ms) = (self.state, millis(self.state.now));
        let due = state.hosts.values().filter_map(|host| host.due()).min();
        let Some(next_ms) = due.map(|due| millis(due).max(now_ms + 1)) else { return };
        let mut flights = state.connections.iter().flat_map(|connection| &connection.flights);
        let held = flights.clone().filter(|flight| !flight.is_held).count();
        if held > usize::from(state.budget) {
            return;
        }
        // Where nothing can arrive at a deadline, nobody looks at it.
        let is_any = flights.next().is_some();
        let is_looked_at = is_any || !state.copies.is_empty();
        let deadlines = if is_looked_at { self.deadlines(now_ms, next_ms) } else { BTreeSet::new() };
        let until_ms = deadlines.first().copied().filter(|_| is_any).unwrap_or(next_ms);
        self.choices.push(Choice::TimeGoesOn(until_ms, held as u8));
        if held == 0 && state.budget > 0 {
            for (node, copy) in state.copies.iter().filter(|(node, _)| state.is_up(**node)) {
                let what = self.what(*node, copy);
                for at_ms in deadlines.iter().copied().chain([next_ms]) {
                    self.choices.push(Choice::ComesAgain(*node, at_ms, what.clone()));
                }
            }
        }
    }

    /// The milliseconds around a deadline, after now and before the next instant at which somebody has something to do.
    fn deadlines(&self, now_ms: u64, next_ms: u64) -> BTreeSet<u64> {
        let plan = &self.histories.deployment.plan;
        let view = View::new(self.state.keyspace.clone());
        let ids = plan.executions.iter().map(|execution| self.histories.deployment.id(&execution.name));
        let stored = ids.flat_map(|id| DEADLINES.map(|deadline| view.execution(id).deadline(deadline)));
        let at_ms = stored.flatten().map(|at| at.0.saturating_sub_unsigned(plan.epoch_ms));
        let around = at_ms.flat_map(|at_ms| [-1, 0, 1].map(|offset| at_ms.saturating_add(offset)));
        around
            .filter_map(|at_ms| u64::try_from(at_ms).ok())
            .filter(|at_ms| (now_ms + 1..next_ms).contains(at_ms))
            .collect()
    }
}

impl Choice {
    /// How much of the budget it takes.
    pub fn costs(&self) -> u8 {
        match self {
            Self::Arrives(_, Then::IsAnswered, _) => 0,
            Self::Arrives(..) | Self::IsLost(..) | Self::ComesAgain(..) => 1,
            Self::TimeGoesOn(_, held) => *held,
        }
    }
}
