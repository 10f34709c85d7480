//! Exploring: every history up to a depth, on the real Lua.
//!
//! A hunt runs deployments and finds what many seeds meet. Here every choice is made in every state that choices lead to, breadth
//! first, in one of two ways:
//!
//! - **calls**: there is no network and nobody acts by himself. Every call of a menu is made, and time goes on to every instant at which
//!   something is due, a millisecond before, and one after. The scopes are [`CALLS`].
//! - **world**: a small deployment takes part, with its scheduler, workers and scanner. What is chosen is which request in flight
//!   reaches the server, that time goes on, and what goes wrong: a request that is held, lost or comes twice, a lost reply, a crash, a
//!   pause; or a replica that takes the server's place and is behind. The scopes are [`WORLD`].
//!
//! What the properties say of each step is kept by fingerprint, with a shortest history that shows it; [`Counterexample::plan`] is a
//! plan of that, which `replay` runs.
//!
//! A state is all that the future depends on: what the server holds, the time, what the properties remember, and in a world the
//! processes and what they have in flight. States are told apart by a hash of 128 bits (among ten million, two are mistaken for each
//! other with a chance of 10⁻²⁵). What an exploration counts is a function of the scope, the library and this build, whatever the
//! number of threads: tests pin it.
//!
//! Judged is what must hold at every moment. Not here: what must happen in the end; and what a library keeps in its upvalues from call
//! to call, which is no part of a state. A library of which that shows is [refused](ExploreError::KeepsState).
//!
//! ```
//! use grantsim::{drive::Subject, explore::{Exploration, Scope}, library::Library};
//!
//! let scope = Scope::named("one").expect("a scope");
//! let library = Library::from_file("fixtures/libraries/minimal.lua")?;
//! let mut exploration = Exploration::new(Subject::new(library)?, scope);
//! exploration.depth = 2;
//! let report = exploration.run(&Default::default(), &|_| {})?;
//! assert_eq!(report.counterexamples, []);
//!
//! let world = Exploration { scope: Scope::named("claim").expect("a scope"), depth: 9, budget: 0, ..exploration };
//! let report = world.run(&Default::default(), &|_| {})?;
//! assert_eq!((report.states(), report.counterexamples), (26, vec![]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calls;
mod memo;
mod scope;
mod search;
mod server;
mod state;
#[cfg(test)]
mod testing;
mod world;

use std::{
    collections::BTreeSet,
    num::NonZero,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use serde::Serialize;
use valkey_sim::engine::{Dialect, Reply};

pub use scope::{CALLS, Scope, WORLD};

use crate::{
    drive::{Deployment, LoadError, Subject},
    plan::Plan,
    property::{Entry, Fingerprint, catalogue},
    protocol::reply,
    types::Answer,
};
use scope::Kind;
use search::{Search, Searched, Space};
use server::Violations;

/// To one of so many states that were reached a history is run once more on a fresh engine,
const RUN_AGAIN_ONE_OF: usize = 100;
/// and to so many at most.
const RUN_AGAIN_AT_MOST: usize = 20;

/// What is explored.
pub struct Exploration {
    /// The library.
    pub subject: Subject,
    /// What takes part.
    pub scope: &'static Scope,
    /// How many choices a history has.
    pub depth: usize,
    /// How much may go wrong in a history of a world. Nothing does in one of calls.
    pub budget: u8,
    /// The server.
    pub dialect: Dialect,
    /// By which properties it is judged; those that must hold at every moment count.
    pub entries: Vec<&'static Entry>,
    /// How many threads. The result does not depend on it.
    pub jobs: NonZero<usize>,
    /// No level is begun after so many states.
    pub max_states: u64,
    /// How long at most.
    pub limit: Option<Duration>,
}

/// How far an exploration is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The level: how many choices the histories have that are looked at.
    pub depth: usize,
    /// States that were reached.
    pub states: u64,
    /// Steps that were taken.
    pub steps: u64,
    /// States of the level that are still to be looked at.
    pub queue: u64,
    /// How long it has taken.
    pub elapsed: Duration,
}

/// Histories of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Level {
    /// How many choices they have.
    pub depth: usize,
    /// States that no shorter history reaches.
    pub states: u64,
    /// Steps that were taken from the states of the level before.
    pub steps: u64,
}

/// Why an exploration ended before its depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It was asked to.
    Asked,
    /// Its time was up.
    Time,
    /// It had reached as many states as it might.
    States,
}

/// What came of an exploration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The scope's name.
    pub scope: &'static str,
    /// How many choices a history was to have.
    pub depth: usize,
    /// How much might go wrong in one.
    pub budget: u8,
    /// Level by level.
    pub levels: Vec<Level>,
    /// What was violated, each kind once, with a shortest history: the shortest first.
    pub counterexamples: Vec<Counterexample>,
    /// Why it ended before its depth.
    pub cut: Option<Why>,
    /// How long it took.
    #[serde(rename = "wall_seconds", serialize_with = "seconds")]
    pub elapsed: Duration,
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((time.as_secs_f64() * 1e3).round() / 1e3)
}

impl Report {
    /// States in all.
    pub fn states(&self) -> u64 {
        self.levels.iter().map(|level| level.states).sum()
    }

    /// Steps in all.
    pub fn steps(&self) -> u64 {
        self.levels.iter().map(|level| level.steps).sum()
    }
}

/// A kind of violation, and a shortest history that shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counterexample {
    /// The kind.
    pub fingerprint: Fingerprint,
    /// What happened, for people.
    pub message: String,
    /// How many steps showed it.
    pub steps: u64,
    /// The history: what was chosen, and what was answered.
    pub history: Vec<Told>,
    /// The same as a plan, which shows the same fingerprint when it is run.
    pub plan: Plan,
}

/// A choice of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The server's clock, milliseconds of the run.
    pub at_ms: u64,
    /// Its name.
    pub choice: String,
    /// What was answered to a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// An exploration that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ExploreError {
    /// The library does not load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A function did not return.
    #[error(
        "{0} did not return: it was stopped after as many instructions as a call may take; look for a loop without an end"
    )]
    Endless(String),
    /// A library keeps something from call to call.
    #[error(
        "library {library} cannot be explored: it keeps something from call to call beside the keyspace (an upvalue of its \
         functions), and answered two calls differently that were made from the same state: {choice}. Hunts run it"
    )]
    KeepsState {
        /// The library.
        library: String,
        /// The choice that showed it.
        choice: String,
    },
    /// The explored history and its plan are not the same.
    #[error("the harness itself failed: {0}; please report this with the library")]
    Harness(String),
}

impl Exploration {
    /// All that a scope has, judged by all properties.
    pub fn new(subject: Subject, scope: &'static Scope) -> Self {
        Self {
            subject,
            scope,
            depth: scope.depth,
            budget: scope.budget(),
            dialect: Dialect::default(),
            entries: catalogue::always().collect(),
            jobs: std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
            max_states: 20_000_000,
            limit: None,
        }
    }

    /// Explores.
    ///
    /// # Errors
    /// [`ExploreError`]. What the protocol does wrong is no error: it is in the report.
    pub fn run(
        &self,
        stop: &AtomicBool,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Report, ExploreError> {
        let deployment = self.deployment()?;
        let (subject, entries) = (&self.subject, &self.entries);
        match self.scope.kind {
            Kind::Calls(calls) => {
                let space = calls::Histories::new(calls, subject, self.dialect, entries, &deployment);
                self.explore(&space, stop, progress)
            }
            Kind::World(world) => {
                let space = world::Histories::new(world, self.budget, subject, entries, &deployment);
                self.explore(&space, stop, progress)
            }
        }
    }

    /// Who takes part.
    fn deployment(&self) -> Result<Deployment, LoadError> {
        let plan = Plan { dialect: self.dialect, ..self.scope.plan() };
        let claim_function = self.subject.load(self.dialect, 0)?.claim_function;
        Ok(Deployment::new(&plan, self.subject.functions.clone(), claim_function))
    }

    fn explore<S: Space>(
        &self,
        space: &S,
        stop: &AtomicBool,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Report, ExploreError> {
        let began = Instant::now();
        let walk = Walk { space, library: self.subject.library.name() };
        let start = space.start(&mut space.runner(None)?)?;
        walk.probe(&start)?;
        let search = Search {
            space,
            memo: Arc::default(),
            jobs: self.jobs,
            depth: self.depth,
            max_states: self.max_states,
            deadline: self.limit.map(|limit| began + limit),
            stop,
        };
        let searched = search.run(start, progress)?;
        walk.run_again(&searched)?;
        let mut counterexamples = Vec::new();
        for (fingerprint, shown) in &searched.shown {
            let (history, plan) = walk.tell(&searched.path(shown.by), fingerprint)?;
            counterexamples.push(Counterexample {
                fingerprint: fingerprint.clone(),
                message: shown.violation.message.clone(),
                steps: shown.steps,
                history,
                plan,
            });
        }
        counterexamples.sort_by_key(|one| one.history.len());
        Ok(Report {
            scope: self.scope.name,
            depth: self.depth,
            budget: self.budget,
            levels: searched.levels,
            counterexamples,
            cut: searched.cut,
            elapsed: began.elapsed(),
        })
    }
}

/// Walks single histories.
struct Walk<'e, S> {
    space: &'e S,
    library: &'e str,
}

impl<S: Space> Walk<'_, S> {
    /// Takes every choice of the first two levels twice, those of the second that are called alike in one state, in both directions,
    /// on one engine: what a library keeps from call to call makes a difference.
    fn probe(&self, start: &S::State) -> Result<(), ExploreError> {
        let mut runner = self.space.runner(None)?;
        let mut outcome =
            |state: &S::State, choice: &S::Choice| -> Result<(S::State, Option<Reply>), ExploreError> {
                let (state, came) = self.space.step(&mut runner, state, choice, &mut Violations::new())?;
                Ok((state, came.map(|outcome| outcome.reply.clone())))
            };
        let (mut first, mut names) = (Vec::new(), BTreeSet::new());
        for choice in self.space.choices(start) {
            let (state, reply) = outcome(start, &choice)?;
            first.push((start.clone(), choice, self.space.key(&state), reply));
            let mut nexts = self.space.choices(&state);
            nexts.retain(|next| names.insert(next.to_string()));
            for next in nexts {
                let (after, reply) = outcome(&state, &next)?;
                first.push((state.clone(), next, self.space.key(&after), reply));
            }
        }
        for (from, choice, key, reply) in first.into_iter().rev() {
            let (state, again) = outcome(&from, &choice)?;
            if (self.space.key(&state), again) != (key, reply) {
                return Err(self.keeps_state(choice.to_string()));
            }
        }
        Ok(())
    }

    /// Runs some histories once more, each on a fresh engine: what a library keeps would have made another state of it.
    fn run_again(&self, searched: &Searched) -> Result<(), ExploreError> {
        let count = searched.known.len();
        let samples = (count / RUN_AGAIN_ONE_OF + 1).min(RUN_AGAIN_AT_MOST);
        for sample in 0..samples {
            let place = count - 1 - sample * (count / samples);
            let Some((key, from)) = searched.known.get_index(place) else { continue };
            if from.state == u32::MAX {
                continue;
            }
            let mut runner = self.space.runner(None)?;
            let mut state = self.space.start(&mut runner)?;
            let mut last = None;
            for place in searched.path(*from) {
                let Some(choice) = self.choice(&state, place) else { break };
                state = self.space.step(&mut runner, &state, &choice, &mut Violations::new())?.0;
                last = Some(choice);
            }
            if let Some(choice) = last.filter(|_| self.space.key(&state) != *key) {
                return Err(self.keeps_state(choice.to_string()));
            }
        }
        Ok(())
    }

    /// The choice at a place among those of a state.
    fn choice(&self, state: &S::State, place: u16) -> Option<S::Choice> {
        self.space.choices(state).into_iter().nth(place.into())
    }

    /// A history in words, and as a plan.
    fn tell(&self, path: &[u16], shows: &Fingerprint) -> Result<(Vec<Told>, Plan), ExploreError> {
        let mut runner = self.space.runner(None)?;
        let mut state = self.space.start(&mut runner)?;
        let (mut told, mut history, mut shown) = (Vec::new(), Vec::new(), false);
        for place in path {
            let choice = self
                .choice(&state, *place)
                .ok_or_else(|| ExploreError::Harness("a history leads to another state".to_owned()))?;
            let mut found = Violations::new();
            let (next, came) = self.space.step(&mut runner, &state, &choice, &mut found)?;
            shown |= found.contains_key(shows);
            told.push(Told {
                at_ms: self.space.at_ms(&next),
                choice: choice.to_string(),
                answer: came.map(|outcome| reply::answer(&outcome.reply)),
            });
            history.push((std::mem::replace(&mut state, next), choice));
        }
        if !shown {
            return Err(self.keeps_state(told.pop().map(|last| last.choice).unwrap_or_default()));
        }
        let plan = self.space.plan(&history, &state)?;
        Ok((told, plan))
    }

    fn keeps_state(&self, choice: String) -> ExploreError {
        ExploreError::KeepsState { library: self.library.to_owned(), choice }
    }
}
