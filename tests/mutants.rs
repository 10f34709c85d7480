//! The tests are tested: each mutant breaks the protocol in one way, and the property that it breaks must notice.

mod common;

use std::path::Path;

use common::{run, violation};
use grantsim::{
    drive::Subject,
    library::{Library, Mutant},
    plan::token::Token,
};

/// A mutant that lives through so many seeds survives.
const SEEDS: u64 = 150;

/// The names of the mutants that live. What the library breaks by itself, in the same plan, kills nobody.
fn survivors(library: &Library) -> Vec<String> {
    let first = Token::new("swarm", 0).expect("a profile");
    let unchanged = Subject::new(library.clone()).expect("the library loads");
    let shows = |mutant: &Mutant, subject: &Subject, seed: u64| {
        let found = violation(&mutant.breaks, &run(&first.with_seed(seed).plan(), subject));
        found.map(|violation| violation.fingerprint)
    };
    let survives = |mutant: &Mutant| {
        let subject =
            Subject::new(library.mutant(mutant)).unwrap_or_else(|error| panic!("{}: {error}", mutant.name));
        (0..SEEDS).all(|seed| {
            let shown = shows(mutant, &subject, seed);
            shown.is_none() || shown == shows(mutant, &unchanged, seed)
        })
    };
    Mutant::all().into_iter().filter(survives).map(|mutant| mutant.name).collect()
}

#[test]
fn every_mutant_of_the_published_library_is_killed_by_the_property_it_breaks() {
    assert!(Mutant::all().len() >= 8, "there are fewer mutants than the tests promise");
    assert_eq!(survivors(&Library::published()), Vec::<String>::new(), "these survived {SEEDS} seeds");
}

#[test]
fn every_mutant_of_a_library_of_our_own_is_killed_too() {
    let minimal =
        Library::from_file(Path::new("fixtures/libraries/minimal.lua")).expect("minimal.lua is there");
    assert_eq!(survivors(&minimal), Vec::<String>::new(), "these survived {SEEDS} seeds");
}
