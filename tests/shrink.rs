//! Shrinking finds the heart of a violation: a dozen mutants of the published library, each from a plan of the default
//! profile, down to two executions, two faults and two workers at most.

mod common;

use std::{
    num::NonZero,
    time::{Duration, Instant},
};

use common::{PUBLISHED, as_file, run, verdict};
use grantsim::{
    drive::Subject,
    finding::Finding,
    library::{Library, Mutant},
    plan::{Plan, token::Token},
    property::Fingerprint,
    shrink::{self, Budget, ShrinkError, Shrunk},
};

const MUTANTS: [&str; 12] = [
    "claim-without-grant",
    "early-expiry",
    "finish-late",
    "grant-without-lease",
    "keep-grant",
    "leased-stays-eligible",
    "no-fence",
    "other-lane-keys",
    "revive-lease",
    "skip-epoch",
    "stale-grant",
    "wrong-lane-in-core",
];

/// Seeds in which a mutant shows itself.
const SEEDS: u64 = 150;

fn budget(runs: u64, jobs: usize) -> Budget {
    Budget { runs, wall: Duration::from_secs(600), jobs: NonZero::new(jobs).expect("a job at least") }
}

fn mutant(name: &str) -> (Mutant, Subject) {
    let mutant = Mutant::named(name).unwrap_or_else(|| panic!("no mutant is called {name}"));
    let subject = Subject::new(Library::published().mutant(&mutant)).expect("the mutant loads");
    (mutant, subject)
}

/// The first plan of the default profile in which the mutant breaks what it says it breaks, and how.
fn broken_plan(mutant: &Mutant, subject: &Subject) -> (Plan, Fingerprint) {
    let known = Finding::of(subject);
    let shows = |seed| {
        let plan = Token::new("swarm", seed).expect("a profile").plan();
        let violations = verdict(&run(&plan, subject)).violations;
        let new = violations.into_iter().map(|violation| violation.fingerprint).find(|fingerprint| {
            mutant.breaks.contains(&format!("{}/{}", fingerprint.property(), fingerprint.kind()))
                && known.iter().all(|it| !it.covers(fingerprint))
        });
        new.map(|fingerprint| (plan, fingerprint))
    };
    (0..SEEDS).find_map(shows).unwrap_or_else(|| panic!("{} is not found", mutant.name))
}

fn shows(plan: &Plan, subject: &Subject, fingerprint: &Fingerprint) -> bool {
    verdict(&run(plan, subject)).violations.iter().any(|violation| violation.fingerprint == *fingerprint)
}

#[test]
fn a_dozen_mutants_shrink_to_two_executions_two_faults_and_two_workers() {
    let mut big = Vec::new();
    for name in MUTANTS {
        let (mutant, subject) = mutant(name);
        let (plan, fingerprint) = broken_plan(&mutant, &subject);
        let started = Instant::now();
        let shrunk =
            shrink::run(&plan, &subject, &fingerprint, budget(400, 2), |_| {}).expect("the plan shows it");
        let Shrunk { before, after, runs, minimal, .. } = &shrunk;
        let took = started.elapsed();
        println!("{name}: {before} -> {after}; {runs} runs, minimal: {minimal}, {took:.1?}");
        assert!(shows(&shrunk.plan, &subject, &fingerprint), "{name} lost {fingerprint}");
        if after.executions > 2 || after.faults > 2 || after.workers > 2 {
            big.push(format!("{name}: {after}\n{}", as_file(&shrunk.plan)));
        }
    }
    assert!(big.is_empty(), "{}", big.join("\n"));
}

#[test]
fn what_is_1_minimal_shows_it_with_no_part_less() {
    let (mutant, subject) = mutant("no-fence");
    let (plan, fingerprint) = broken_plan(&mutant, &subject);
    let shrunk = shrink::run(&plan, &subject, &fingerprint, budget(2_000, 2), |_| {}).expect("it shows it");
    assert!(shrunk.minimal && !shrunk.stopped, "{} runs, {}", shrunk.runs, shrunk.after);
    for part in shrunk.plan.parts() {
        if let Some(rest) = shrunk.plan.without(&part) {
            assert!(!shows(&rest, &subject, &fingerprint), "{part} could go");
        }
    }
}

#[test]
fn the_result_does_not_depend_on_the_jobs() {
    let (mutant, subject) = mutant("keep-grant");
    let (plan, fingerprint) = broken_plan(&mutant, &subject);
    let by = |jobs| {
        shrink::run(&plan, &subject, &fingerprint, budget(60, jobs), |_| {}).expect("the plan shows it")
    };
    assert_eq!(by(1), by(2));
}

#[test]
fn a_plan_that_does_not_show_the_violation_is_refused() {
    let plan = Token::new("calm", 1).expect("a profile").plan();
    let fingerprint: Fingerprint = "fence/ff_renew_lease/OK/stale-lease".parse().expect("a fingerprint");
    let error = shrink::run(&plan, &PUBLISHED, &fingerprint, budget(10, 1), |_| {}).unwrap_err();
    assert!(matches!(error, ShrinkError::NotShown(_)), "{error}");
}
