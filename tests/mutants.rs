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

fn killed(library: &Library, mutant: &Mutant) -> Option<u64> {
    let subject =
        Subject::new(library.mutant(mutant)).unwrap_or_else(|error| panic!("{}: {error}", mutant.name));
    let first = Token::new("swarm", 0).expect("a profile");
    (0..SEEDS)
        .find(|seed| violation(&mutant.breaks, &run(&first.with_seed(*seed).plan(), &subject)).is_some())
}

#[test]
fn every_mutant_of_the_published_library_is_killed_by_the_property_it_breaks() {
    assert!(Mutant::all().len() >= 8, "there are fewer mutants than the tests promise");
    let survivors: Vec<_> =
        Mutant::all().into_iter().filter(|mutant| killed(&Library::published(), mutant).is_none()).collect();
    let names: Vec<_> = survivors.iter().map(|mutant| &mutant.name).collect();
    assert!(survivors.is_empty(), "these survived {SEEDS} seeds: {names:?}");
}

#[test]
fn the_mutants_die_in_a_library_of_our_own_too() {
    let minimal =
        Library::from_file(Path::new("fixtures/libraries/minimal.lua")).expect("minimal.lua is there");
    for name in ["keep-grant", "other-lane-keys"] {
        let mutant = Mutant::named(name).unwrap_or_else(|| panic!("no mutant is called {name}"));
        assert!(killed(&minimal, &mutant).is_some(), "{name} survived {SEEDS} seeds");
    }
}
