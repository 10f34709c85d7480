//! The search: breadth first, level by level, so that the first history that shows something is a shortest one.
//!
//! The states of a level are spread over threads in small chunks, each thread with an engine of its own; what they reach is
//! put together in the order of the chunks, so that the result does not depend on how many threads there are. Of states that
//! have been looked at, a hash of 128 bits is kept, and by which choice of which state each was reached first: any history can
//! be told from that. The states of the last level are not kept at all.

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use indexmap::IndexMap;

use super::{
    ExploreError, Level, Progress, Why,
    memo::{Memo, Outcome},
    server::Violations,
    state::StateKey,
};
use crate::{
    plan::Plan,
    property::{Fingerprint, Violation},
};

/// States that a thread takes at a time.
const CHUNK: usize = 64;

/// A state, by its number, and which of its choices: how another was first reached. Choices are counted in the menu's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct From {
    pub state: u32,
    pub choice: u16,
}

/// States by number, in the order in which they were reached.
type Known = IndexMap<StateKey, From, plain::State>;

pub(super) mod plain {
    use std::hash::{BuildHasherDefault, Hasher};

    /// A key is a hash already.
    #[derive(Default)]
    pub struct Plain(u64);

    pub type State = BuildHasherDefault<Plain>;

    impl Hasher for Plain {
        fn write(&mut self, bytes: &[u8]) {
            let mut word = [0; 8];
            let count = bytes.len().min(8);
            word[..count].copy_from_slice(&bytes[..count]);
            self.0 = u64::from_le_bytes(word);
        }

        fn write_u128(&mut self, key: u128) {
            self.0 = key as u64;
        }

        fn finish(&self) -> u64 {
            self.0
        }
    }
}

/// What is searched: states, and the choices that lead from one to another. The same state has the same choices, and leads by
/// each of them to the same state.
pub(super) trait Space: Sync {
    /// All that the future of a history depends on.
    type State: Clone + Send + Sync;
    /// What may happen next.
    type Choice: fmt::Display;
    /// What takes steps; every thread has its own.
    type Runner;

    /// A fresh runner: one that does again what a call is known to do, or one that makes each call anew.
    fn runner(&self, memo: Option<&Arc<Memo>>) -> Result<Self::Runner, ExploreError>;

    /// The state in which exploring begins.
    fn start(&self, runner: &mut Self::Runner) -> Result<Self::State, ExploreError>;

    /// What may happen next in a state.
    fn choices(&self, state: &Self::State) -> Vec<Self::Choice>;

    /// What comes of a choice: the next state, and what the server did, if it was asked. Adds what the properties find.
    fn step(
        &self,
        runner: &mut Self::Runner,
        from: &Self::State,
        choice: &Self::Choice,
        found: &mut Violations,
    ) -> Result<(Self::State, Option<Arc<Outcome>>), ExploreError>;

    /// What tells a state from others.
    fn key(&self, state: &Self::State) -> StateKey;

    /// The server's clock, milliseconds of the run.
    fn at_ms(&self, state: &Self::State) -> u64;

    /// The plan whose run is this history: each choice with the state in which it is made, and the state to which they lead.
    fn plan(&self, history: &[(Self::State, Self::Choice)], end: &Self::State) -> Result<Plan, ExploreError>;
}

/// A state that is still to be looked at. It is not kept: its parent is, which is the parent of others as well, and the step
/// that led to it is taken once more.
struct Waiting<S> {
    /// Itself, where nothing led to it.
    parent: Arc<S>,
    choice: Option<u16>,
}

/// A state, and what may happen next in it.
type Siblings<'s, S> = (&'s Arc<<S as Space>::State>, Vec<<S as Space>::Choice>);

/// A kind of violation: the first step that showed it, and how many did.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub violation: Violation,
    pub by: From,
    pub steps: u64,
}

/// What a search has.
pub(super) struct Search<'s, S> {
    pub space: &'s S,
    /// What calls are known to do, for all threads.
    pub memo: Arc<Memo>,
    pub jobs: NonZero<usize>,
    pub depth: usize,
    pub max_states: u64,
    pub deadline: Option<Instant>,
    pub stop: &'s AtomicBool,
}

/// What came of a search.
pub(super) struct Searched {
    pub known: Known,
    pub levels: Vec<Level>,
    pub shown: BTreeMap<Fingerprint, Shown>,
    /// Why it ended before its depth.
    pub cut: Option<Why>,
}

/// What a chunk of states leads to.
struct Reached<S> {
    steps: u64,
    fresh: Vec<(StateKey, From, Option<Waiting<S>>)>,
    shown: Vec<(Fingerprint, Shown)>,
}

impl<S> Default for Reached<S> {
    fn default() -> Self {
        Self { steps: 0, fresh: Vec::new(), shown: Vec::new() }
    }
}

impl<S: Space> Search<'_, S> {
    /// Searches from a state on.
    pub fn run(
        &self,
        start: S::State,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Searched, ExploreError> {
        let began = Instant::now();
        let mut known = Known::default();
        known.insert(self.space.key(&start), From { state: u32::MAX, choice: 0 });
        let mut levels = vec![Level { depth: 0, states: 1, steps: 0 }];
        let mut shown: BTreeMap<Fingerprint, Shown> = BTreeMap::new();
        let mut frontier = vec![Waiting { parent: Arc::new(start), choice: None }];
        let mut cut = None;
        let steps_so_far = AtomicU64::new(0);
        for depth in 1..=self.depth {
            if frontier.is_empty() {
                break;
            }
            let first = (known.len() - frontier.len()) as u32;
            let is_last = depth == self.depth;
            let level = self.level(&known, &frontier, first, depth, &steps_so_far, &|queue| {
                progress(Progress {
                    depth,
                    states: known.len() as u64,
                    steps: steps_so_far.load(Ordering::Relaxed),
                    queue: queue as u64,
                    elapsed: began.elapsed(),
                });
            })?;
            if level.iter().any(Option::is_none) {
                cut = Some(if self.stop.load(Ordering::Relaxed) { Why::Asked } else { Why::Time });
            }
            let mut next = Vec::new();
            let (mut steps, before) = (0, known.len());
            for chunk in level.into_iter().flatten() {
                steps += chunk.steps;
                for (key, from, waiting) in chunk.fresh {
                    if let indexmap::map::Entry::Vacant(vacant) = known.entry(key) {
                        vacant.insert(from);
                        next.extend(waiting);
                    }
                }
                for (fingerprint, one) in chunk.shown {
                    match shown.get_mut(&fingerprint) {
                        Some(first) => first.steps += one.steps,
                        None => _ = shown.insert(fingerprint, one),
                    }
                }
            }
            levels.push(Level { depth, states: (known.len() - before) as u64, steps });
            if cut.is_some() {
                break;
            }
            if known.len() as u64 >= self.max_states.min(u64::from(u32::MAX)) && !is_last {
                cut = Some(Why::States);
                break;
            }
            frontier = next;
        }
        Ok(Searched { known, levels, shown, cut })
    }

    /// All that a level leads to, chunk by chunk in its order; none of a chunk that there was no time to look at.
    fn level(
        &self,
        known: &Known,
        frontier: &[Waiting<S::State>],
        first: u32,
        depth: usize,
        steps: &AtomicU64,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Option<Reached<S::State>>>, ExploreError> {
        let chunks: Vec<&[Waiting<S::State>]> = frontier.chunks(CHUNK).collect();
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<Option<Reached<S::State>>>> =
            Mutex::new(chunks.iter().map(|_| None).collect());
        let failed: Mutex<Option<ExploreError>> = Mutex::new(None);
        let is_over = || {
            self.stop.load(Ordering::Relaxed)
                || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
        };
        let work = |is_first: bool| -> Result<(), ExploreError> {
            let mut runner = self.space.runner(Some(&self.memo))?;
            let mut told = Instant::now();
            while !is_over() {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(chunk) = chunks.get(place) else { break };
                let number = first + (place * CHUNK) as u32;
                let reached = self.chunk(&mut runner, known, chunk, number, depth)?;
                steps.fetch_add(reached.steps, Ordering::Relaxed);
                results.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(reached);
                if is_first && told.elapsed() > Duration::from_millis(200) {
                    told = Instant::now();
                    progress(frontier.len().saturating_sub(place * CHUNK));
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            for job in 0..self.jobs.get().min(chunks.len()) {
                let (work, failed) = (&work, &failed);
                scope.spawn(move || {
                    if let Err(error) = work(job == 0) {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                });
            }
        });
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// What some states lead to.
    fn chunk(
        &self,
        runner: &mut S::Runner,
        known: &Known,
        waiting: &[Waiting<S::State>],
        first: u32,
        depth: usize,
    ) -> Result<Reached<S::State>, ExploreError> {
        let mut reached = Reached::default();
        let mut here: IndexMap<StateKey, (), plain::State> = IndexMap::default();
        let mut places: BTreeMap<Fingerprint, usize> = BTreeMap::new();
        let is_last = depth == self.depth;
        // Those that have one parent come one after the other.
        let mut parent: Option<Siblings<'_, S>> = None;
        for (place, waiting) in waiting.iter().enumerate() {
            let state = match waiting.choice {
                None => Arc::clone(&waiting.parent),
                Some(choice) => {
                    let menu = match parent.take() {
                        Some((last, menu)) if Arc::ptr_eq(last, &waiting.parent) => menu,
                        _ => self.space.choices(&waiting.parent),
                    };
                    let choices = &parent.insert((&waiting.parent, menu)).1;
                    let choice = &choices[usize::from(choice)];
                    Arc::new(self.space.step(runner, &waiting.parent, choice, &mut Violations::new())?.0)
                }
            };
            for (choice, next) in self.space.choices(&state).iter().enumerate() {
                let choice = choice as u16;
                let from = From { state: first + place as u32, choice };
                let mut found = Violations::new();
                let (after, _) = self.space.step(runner, &state, next, &mut found)?;
                reached.steps += 1;
                for (fingerprint, violation) in found {
                    match places.get(&fingerprint) {
                        Some(&place) => reached.shown[place].1.steps += 1,
                        None => {
                            places.insert(fingerprint.clone(), reached.shown.len());
                            reached.shown.push((fingerprint, Shown { violation, by: from, steps: 1 }));
                        }
                    }
                }
                let key = self.space.key(&after);
                if !known.contains_key(&key) && here.insert(key, ()).is_none() {
                    let waiting =
                        (!is_last).then(|| Waiting { parent: Arc::clone(&state), choice: Some(choice) });
                    reached.fresh.push((key, from, waiting));
                }
            }
        }
        Ok(reached)
    }
}

impl Searched {
    /// The choices that led to a state, by their places in the menus.
    pub fn path(&self, to: From) -> Vec<u16> {
        let mut path = vec![to.choice];
        let mut at = to.state;
        while let Some((_, from)) =
            self.known.get_index(at as usize).filter(|(_, from)| from.state != u32::MAX)
        {
            path.push(from.choice);
            at = from.state;
        }
        path.reverse();
        path
    }
}
