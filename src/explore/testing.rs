//! What the tests of explorations share.

use std::{collections::BTreeSet, num::NonZero, sync::atomic::AtomicBool};

use super::{Counterexample, Exploration, Report, Scope, search::Space, server::Violations, state::StateKey};
use crate::{
    drive::{self, Subject},
    library::{Library, Mutant},
    plan::Plan,
    property::{Fingerprint, Judge, KindName, catalogue},
};

pub fn exploration(library: Library, scope: &str, depth: usize) -> Exploration {
    let subject = Subject::new(library).expect("a library that loads");
    let mut exploration = Exploration::new(subject, Scope::named(scope).expect("a scope"));
    exploration.depth = depth;
    exploration.jobs = NonZero::<usize>::MIN;
    exploration
}

pub fn run(exploration: &Exploration) -> Report {
    exploration.run(&AtomicBool::new(false), &|_| {}).expect("it can be explored")
}

/// States and steps, level by level.
pub fn counts(library: Library, scope: &str, depth: usize) -> Vec<(u64, u64)> {
    let report = run(&exploration(library, scope, depth));
    assert_eq!(report.cut, None);
    report.levels.iter().map(|level| (level.states, level.steps)).collect()
}

pub fn minimal() -> Library {
    Library::from_file("fixtures/libraries/minimal.lua").expect("a library")
}

pub fn mutant(name: &str) -> Library {
    Library::published().mutant(&Mutant::named(name).expect("a mutant"))
}

/// Whether a plan shows a kind when it is run.
pub fn shows(plan: &Plan, subject: &Subject, fingerprint: &Fingerprint) -> bool {
    plan.check().expect("a plan that can be run");
    let watched = drive::watch(plan, subject, Judge::new(catalogue::promises())).expect("it runs");
    watched.1.finish().shows(fingerprint)
}

/// A mutant shows a kind, in a counterexample that counts, by a shortest history as long as is explored; and the plan of that
/// shows it again.
#[track_caller]
pub fn assert_shortest(
    exploration: &Exploration,
    mutant: &str,
    kind: &str,
    counts: impl Fn(&Counterexample) -> bool,
) {
    let (kind, length): (KindName, _) = (kind.parse().expect("a kind"), exploration.depth);
    let report = run(exploration);
    let found = report.counterexamples.iter().find(|one| one.fingerprint.kind_name() == kind && counts(one));
    let found = found.unwrap_or_else(|| panic!("{mutant} does not show {kind} in {length} choices"));
    assert_eq!(found.history.len(), length, "{mutant} shows {kind}: {:?}", found.history);
    assert!(shows(&found.plan, &exploration.subject, &found.fingerprint), "{mutant}: the plan of {kind}");
}

/// A history that was walked.
pub struct Walked<S: Space> {
    /// What was chosen, and in which state.
    pub history: Vec<(S::State, S::Choice)>,
    /// Where that leads to.
    pub state: S::State,
    /// What the last step shows.
    pub found: Violations,
}

/// Walks a history by the names of its choices.
pub fn walked<S: Space>(space: &S, names: &[&str]) -> Walked<S> {
    let mut runner = space.runner(None).expect("it loads");
    let mut state = space.start(&mut runner).expect("it starts");
    let (mut history, mut found) = (Vec::new(), Violations::new());
    for name in names {
        found.clear();
        let mut all = space.choices(&state);
        let place = all.iter().position(|choice| choice.to_string() == *name).unwrap_or_else(|| {
            panic!("{name} is none of {:#?}", all.iter().map(ToString::to_string).collect::<Vec<_>>())
        });
        let choice = all.swap_remove(place);
        let next = space.step(&mut runner, &state, &choice, &mut found).expect("it can be taken").0;
        history.push((std::mem::replace(&mut state, next), choice));
    }
    Walked { history, state, found }
}

/// A state, and what each of some changes makes of it, are all told apart.
#[track_caller]
pub fn assert_told_apart<S: Space>(space: &S, state: &S::State, changes: &[fn(&mut S::State)]) {
    let others = changes.iter().map(|change| {
        let mut other = state.clone();
        change(&mut other);
        space.key(&other)
    });
    let all: BTreeSet<StateKey> = others.chain([space.key(state)]).collect();
    assert_eq!(all.len(), 1 + changes.len());
}

/// Does something with each of a list, on two threads.
pub fn in_two_threads<T: Sync>(all: &[T], each: impl Fn(&T) + Sync) {
    let (one, other) = all.split_at(all.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| one.iter().for_each(&each));
        other.iter().for_each(&each);
    });
}
