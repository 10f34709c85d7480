//! Exploring calls: no network, nobody acts by himself. From an empty keyspace, every call of a menu is made in every
//! state that such calls lead to, and time goes on to every instant at which something is due, a millisecond before, and one
//! after.
//!
//! Workers are all alike, and so are executions, but for the last of a flow: of those that nothing has come of yet only the first is
//! called upon. A history and the one in which they change their names are one; what differs between the two is only in which order
//! they stand where their scores are equal. Those of which something has come are told apart.
//!
//! A counterexample becomes a plan of calls, word for word.

mod menu;
#[cfg(test)]
mod tests;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use valkey_sim::{
    engine::{Dialect, Keyspace},
    hash::Hash128,
};

use super::{
    ExploreError,
    memo::{Memo, Outcome},
    scope::{Calls, START_MS},
    search::Space,
    server::{Server, Violations, since},
    state::{Remembered, StateKey},
};
use crate::{
    drive::{Deployment, Log, Subject},
    plan::{Plan, Sent},
    property::Entry,
    protocol::{Request, reply},
    trace::What,
    types::{Node, TimestampMs},
};
use menu::{Act, Choice, Known, Menu};

/// The histories of calls.
pub(super) struct Histories<'e> {
    subject: &'e Subject,
    dialect: Dialect,
    entries: &'e [&'static Entry],
    deployment: &'e Deployment,
    menu: Menu,
}

/// Where a history has come to.
#[derive(Clone)]
pub(super) struct State {
    /// What the server holds.
    keyspace: Keyspace,
    /// The server's clock.
    now: TimestampMs,
    /// What the properties remember.
    remembered: Remembered,
    /// Of whom anything has come.
    known: Known,
}

impl<'e> Histories<'e> {
    pub fn new(
        calls: Calls,
        subject: &'e Subject,
        dialect: Dialect,
        entries: &'e [&'static Entry],
        deployment: &'e Deployment,
    ) -> Self {
        Self { subject, dialect, entries, deployment, menu: Menu::new(calls, deployment) }
    }

    fn call(
        &self,
        server: &mut Server,
        from: &State,
        request: &Request,
        found: &mut Violations,
    ) -> Result<(State, Arc<Outcome>), ExploreError> {
        server.hold(&from.keyspace);
        let mut onlooker = server.onlooker(&from.remembered, found);
        let (outcome, executed) = server.execute(request, Node::Operator, from.now, &mut onlooker)?;
        if let Some(function) = request.function().filter(|_| !outcome.effects.is_empty()) {
            // Whoever calls is told: no reply is lost here.
            let execution = request.execution_id().map(|id| self.deployment.names.of_text(id));
            let what = What::ReplyReceived { function, execution, answer: reply::answer(&outcome.reply) };
            onlooker.record(Node::Operator, executed, what);
        }
        let (keyspace, remembered) = (server.keyspace().clone(), server.remembered(onlooker));
        let has_effect =
            || remembered.key != from.remembered.key || keyspace.identity() != from.keyspace.identity();
        let known = if has_effect() { self.menu.known_after(from.known, request) } else { from.known };
        Ok((State { keyspace, now: from.now, remembered, known }, outcome))
    }
}

impl Space for Histories<'_> {
    type State = State;
    type Choice = Choice;
    type Runner = Server;

    fn runner(&self, memo: Option<&Arc<Memo>>) -> Result<Server, ExploreError> {
        Server::new(self.subject, self.dialect, self.deployment, memo)
    }

    fn start(&self, server: &mut Server) -> Result<State, ExploreError> {
        let now = TimestampMs(self.deployment.plan.epoch_ms.saturating_add(START_MS) as i64);
        let keyspace = server.keyspace().clone();
        let remembered = Remembered::nothing(self.entries);
        let mut state = State { keyspace, now, remembered, known: Known::default() };
        for request in self.menu.prelude(now) {
            state = self.call(server, &state, &request, &mut Violations::new())?.0;
        }
        // It does the same for all of a kind.
        state.known = Known::default();
        Ok(state)
    }

    fn choices(&self, state: &State) -> Vec<Choice> {
        self.menu.of_state(state)
    }

    fn step(
        &self,
        server: &mut Server,
        from: &State,
        choice: &Choice,
        found: &mut Violations,
    ) -> Result<(State, Option<Arc<Outcome>>), ExploreError> {
        match &choice.act {
            Act::Call(request) => {
                self.call(server, from, request, found).map(|(state, outcome)| (state, Some(outcome)))
            }
            Act::Wait(until) => {
                server.hold(&from.keyspace);
                let mut onlooker = server.onlooker(&from.remembered, found);
                server.expire(*until, &mut onlooker);
                let (keyspace, remembered) = (server.keyspace().clone(), server.remembered(onlooker));
                Ok((State { keyspace, now: *until, remembered, ..*from }, None))
            }
        }
    }

    /// The keyspace with every expiry, the clock, and what the properties remember. Times are raw: two histories that differ in
    /// when something happened long ago are two states. Distances from now would make no two of them one, which was counted:
    /// all histories begin at one time, and with a call. To forget what is past would (of 50,000 states of the scope `one` an
    /// eighth, of `two` the half), but what a library computes from it, it may store.
    fn key(&self, state: &State) -> StateKey {
        let mut hash = Hash128::default();
        hash.key(state.keyspace.identity());
        hash.key(state.remembered.key);
        hash.write_u64(state.now.0 as u64);
        state.known.hash(&mut hash);
        hash.finish128()
    }

    fn at_ms(&self, state: &State) -> u64 {
        since(self.deployment.plan.epoch_ms, state.now)
    }

    fn plan(&self, history: &[(State, Choice)], end: &State) -> Result<Plan, ExploreError> {
        let prelude =
            history.first().map_or_else(Vec::new, |(start, _)| self.menu.prelude(start.now)).into_iter();
        let prelude = prelude.map(|request| (START_MS, request));
        let made = history.iter().filter_map(|(state, choice)| match &choice.act {
            Act::Call(request) => Some((self.at_ms(state), request.clone())),
            Act::Wait(_) => None,
        });
        let calls = prelude.chain(made).map(|(at_ms, request)| {
            let not_text = || ExploreError::Harness("a call has an argument that is no text".to_owned());
            Sent::of(at_ms, &request).ok_or_else(not_text)
        });
        let calls = calls.collect::<Result<_, _>>()?;
        Ok(Plan { run_for_ms: self.at_ms(end) + 1, calls, ..(*self.deployment.plan).clone() })
    }
}
