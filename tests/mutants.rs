//! The tests are tested: each mutant breaks the protocol in one way, and the properties must notice it in a hunt, and say
//! what kind of violation it is.
//!
//! A kind that a library shows by itself, in the same plan and by the same call, is no merit of the mutant.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use common::{MINIMAL, PUBLISHED};
use grantsim::{
    drive::Subject,
    library::Mutant,
    plan::token::Token,
    property::{Fingerprint, KindName},
};

/// A kind that so many seeds do not show is not shown.
const SEEDS: u64 = 150;

/// Kinds that no hunt can show, and why.
const NOT_SHOWN: [(&str, &str); 3] =
    [("quota/counter", NO_QUOTA), ("quota/negative", NO_QUOTA), ("quota/over-cap", NO_QUOTA)];

const NO_QUOTA: &str = "no execution of a plan has a quota; the property's own tests show it";

/// A mutant of a library, and the seed that first showed each of its kinds.
struct Hunted {
    mutant: String,
    library: String,
    shown: BTreeMap<KindName, u64>,
    missed: Vec<KindName>,
}

fn breaks(mutant: &Mutant) -> Vec<KindName> {
    let parse =
        |text: &String| text.parse().unwrap_or_else(|error| panic!("the mutant {}: {error}", mutant.name));
    mutant.breaks.iter().map(parse).collect()
}

/// What a library shows by the plan of a seed.
fn shows(subject: &Subject, seed: u64) -> BTreeSet<Fingerprint> {
    let plan = Token::new("swarm", seed).expect("a profile").plan();
    let violations = common::verdict(&common::run(&plan, subject)).violations;
    violations.into_iter().map(|violation| violation.fingerprint).collect()
}

/// Hunts until every kind that the mutant names was shown.
fn hunt(mutant: &Mutant, unchanged: &Subject) -> Hunted {
    let subject = Subject::new(unchanged.library.mutant(mutant))
        .unwrap_or_else(|error| panic!("the mutant {}: {error}", mutant.name));
    let (mut missed, mut shown) = (breaks(mutant), BTreeMap::new());
    for seed in 0..SEEDS {
        let mut found = shows(&subject, seed);
        found.retain(|fingerprint| missed.contains(&fingerprint.kind_name()));
        if !found.is_empty() {
            let by_itself = shows(unchanged, seed);
            found.retain(|fingerprint| !by_itself.contains(fingerprint));
        }
        for fingerprint in found {
            shown.entry(fingerprint.kind_name()).or_insert(seed);
        }
        missed.retain(|kind| !shown.contains_key(kind));
        if missed.is_empty() {
            break;
        }
    }
    Hunted { mutant: mutant.name.clone(), library: unchanged.library.name().to_owned(), shown, missed }
}

/// Hunts all, two at a time.
fn hunt_all(mutants: &[Mutant]) -> Vec<Hunted> {
    let libraries: [&Subject; 2] = [&PUBLISHED, &MINIMAL];
    let of = |mutant| libraries.into_iter().map(move |library| (mutant, library));
    let pairs: Vec<(&Mutant, &Subject)> =
        mutants.iter().flat_map(of).filter(|(mutant, library)| mutant.suits(&library.library)).collect();
    let (next, hunted) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((mutant, library)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = hunt(mutant, library);
                    hunted.lock().expect("no hunt panics").push(result);
                }
            });
        }
    });
    let mut hunted = hunted.into_inner().expect("no hunt panics");
    hunted.sort_by(|a: &Hunted, b: &Hunted| (&a.mutant, &a.library).cmp(&(&b.mutant, &b.library)));
    hunted
}

#[test]
fn every_kind_that_a_mutant_names_is_shown_by_a_hunt_on_every_library_that_it_suits() {
    let hunted = hunt_all(&Mutant::all());
    let mut survivors = Vec::new();
    for Hunted { mutant, library, shown, missed } in &hunted {
        for (kind, seed) in shown {
            println!("{mutant:<26} {library:<10} {kind:<36} seed {seed}");
        }
        survivors.extend(missed.iter().map(|kind| format!("{mutant} of {library}: {kind}")));
    }
    assert_eq!(survivors, Vec::<String>::new(), "not shown in {SEEDS} seeds");
}

#[test]
fn every_kind_of_violation_has_a_mutant_or_a_reason() {
    let shown: BTreeSet<KindName> = Mutant::all().iter().flat_map(breaks).collect();
    let mut excused = BTreeSet::new();
    for (kind, reason) in NOT_SHOWN {
        println!("no hunt shows {kind}: {reason}");
        excused.insert(kind.parse::<KindName>().unwrap_or_else(|error| panic!("{error}")));
    }
    let without: Vec<_> =
        KindName::all().filter(|kind| !shown.contains(kind) && !excused.contains(kind)).collect();
    assert!(without.is_empty(), "neither a mutant nor a reason: {without:?}");
    let both: Vec<_> = shown.intersection(&excused).collect();
    assert!(both.is_empty(), "a mutant and a reason why there can be none: {both:?}");
}
