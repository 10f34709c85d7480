//! What the tests of explorations share.

use std::{num::NonZero, sync::atomic::AtomicBool};

use super::{Exploration, Report, Scope};
use crate::{
    drive::{self, Subject},
    library::{Library, Mutant},
    plan::Plan,
    property::{Fingerprint, Judge, catalogue},
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
