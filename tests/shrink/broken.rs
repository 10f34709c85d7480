//! Violations to shrink: of every mutant a plan of a hunt that shows it, and the plans of the findings.

use std::{collections::BTreeSet, sync::Mutex};

use grantsim::{
    drive::Subject,
    finding::Finding,
    library::Mutant,
    plan::Plan,
    property::{Fingerprint, KindName},
};

use crate::common::{MINIMAL, PUBLISHED, run, seeds_that_show, swarm, two_at_a_time, verdict};

/// Seeds in which a mutant shows itself.
const SEEDS: u64 = 150;

/// A plan that shows a violation.
pub struct Broken {
    /// The mutant and its library, or the finding.
    pub name: String,
    /// What the plan is: a seed of the default profile, or a finding's file.
    pub from: String,
    pub subject: Subject,
    pub fingerprint: Fingerprint,
    pub plan: Plan,
}

/// What a subject shows by the plan of a seed.
fn shows(subject: &Subject, plan: &Plan) -> BTreeSet<Fingerprint> {
    verdict(&run(plan, subject)).violations.into_iter().map(|violation| violation.fingerprint).collect()
}

/// Of every kind that the mutant names, a plan of the default profile in which the mutant, and not the library by
/// itself, shows it.
pub fn by_mutant(mutant: &Mutant, unchanged: &Subject) -> Vec<Broken> {
    let subject = Subject::new(unchanged.library.mutant(mutant)).expect("the mutant loads");
    let mut kinds: Vec<KindName> =
        mutant.breaks.iter().map(|kind| kind.parse().expect("a kind of the catalogue")).collect();
    let mut broken = Vec::new();
    for seed in seeds_that_show(mutant, &unchanged.library, SEEDS) {
        if kinds.is_empty() {
            break;
        }
        let plan = swarm(seed);
        let mut found = shows(&subject, &plan);
        found.retain(|fingerprint| kinds.contains(&fingerprint.kind_name()));
        if found.is_empty() {
            continue;
        }
        let by_itself = shows(unchanged, &plan);
        for fingerprint in found.difference(&by_itself) {
            if !kinds.contains(&fingerprint.kind_name()) {
                continue;
            }
            kinds.retain(|kind| *kind != fingerprint.kind_name());
            broken.push(Broken {
                name: format!("{} of {}", mutant.name, unchanged.library.name()),
                from: format!("seed {seed}"),
                subject: subject.clone(),
                fingerprint: fingerprint.clone(),
                plan: plan.clone(),
            });
        }
    }
    assert!(kinds.is_empty(), "{} does not show {kinds:?} in {SEEDS} seeds", mutant.name);
    broken
}

/// Every mutant on every library that it suits.
pub fn by_all_mutants() -> Vec<Broken> {
    let mutants = Mutant::all();
    let libraries: [&Subject; 2] = [&PUBLISHED, &MINIMAL];
    let of = |mutant| libraries.into_iter().map(move |library| (mutant, library));
    let pairs: Vec<(&Mutant, &Subject)> =
        mutants.iter().flat_map(of).filter(|(mutant, library)| mutant.suits(&library.library)).collect();
    let found = Mutex::new(Vec::new());
    two_at_a_time(&pairs, |(mutant, library)| {
        let broken = by_mutant(mutant, library);
        found.lock().expect("no hunt panics").extend(broken);
    });
    let mut found: Vec<Broken> = found.into_inner().expect("no hunt panics");
    found.sort_by(|a, b| (&a.name, &a.fingerprint).cmp(&(&b.name, &b.fingerprint)));
    found
}

/// Every kind of every finding, by a plan of a hunt of so many seeds that shows it, and by the finding's own plan
/// where none does.
pub fn by_all_findings(most: u64) -> Vec<Broken> {
    let of = |finding: Finding| {
        let of_shown = |shown: &grantsim::finding::Shown| Broken {
            name: format!("finding {}", finding.slug),
            from: shown.plan.clone(),
            subject: PUBLISHED.clone(),
            fingerprint: shown.fingerprint.clone(),
            plan: finding.plan(shown),
        };
        finding.shows.iter().map(of_shown).collect::<Vec<_>>()
    };
    let mut all: Vec<Broken> = Finding::all().into_iter().flat_map(of).collect();
    let mut missed: BTreeSet<Fingerprint> = all.iter().map(|broken| broken.fingerprint.clone()).collect();
    for seed in 0..most {
        if missed.is_empty() {
            break;
        }
        let plan = swarm(seed);
        for fingerprint in shows(&PUBLISHED, &plan) {
            if missed.remove(&fingerprint)
                && let Some(broken) = all.iter_mut().find(|broken| broken.fingerprint == fingerprint)
            {
                (broken.plan, broken.from) = (plan.clone(), format!("seed {seed}"));
            }
        }
    }
    all
}
