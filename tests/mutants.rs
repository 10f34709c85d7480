//! The tests are tested: each mutant breaks the protocol in one way, and the properties must notice it in a hunt, and say
//! what kind of violation it is. This is `grantsim mutants` with a small budget: one start, two hunts at a time.

mod common;

use std::{collections::BTreeSet, num::NonZero};

use common::{MINIMAL, PUBLISHED};
use grantsim::{
    finding::Finding,
    hunt::{
        Stop,
        mutants::{Mutants, UNSHOWABLE},
    },
    library::Mutant,
    property::KindName,
    report,
};

/// A kind that so many seeds do not show is not shown.
const SEEDS: u64 = 150;

#[test]
fn every_kind_that_a_mutant_names_is_shown_by_a_hunt_on_every_library_that_it_suits() {
    let mutants = Mutants {
        libraries: vec![PUBLISHED.clone(), MINIMAL.clone()],
        mutants: Mutant::all(),
        seeds: SEEDS,
        starts: NonZero::<u64>::MIN,
        jobs: NonZero::new(2).expect("two"),
        profile: None,
    };
    let matrix = mutants.run(&Stop::default(), |_, _| ()).unwrap_or_else(|error| panic!("{error}"));
    println!("{}", report::mutants(&matrix, true));
    assert_eq!(matrix.survivors(), [], "not shown in {SEEDS} seeds");
    assert_eq!(matrix.not_shown(), [], "no mutant shows these");
    assert_eq!(matrix.failed(), [], "every run comes to its end");
}

#[test]
fn every_kind_of_violation_has_a_mutant_or_a_reason() {
    let kind = |text: &str| -> KindName { text.parse().unwrap_or_else(|error| panic!("{text}: {error}")) };
    let named: BTreeSet<KindName> = Mutant::all()
        .iter()
        .flat_map(|mutant| mutant.breaks.iter().map(|text| kind(text)).collect::<Vec<_>>())
        .collect();
    // What a finding shows, the published library shows without any help.
    let found: BTreeSet<KindName> = Finding::all()
        .into_iter()
        .flat_map(|finding| finding.shows)
        .map(|shown| shown.fingerprint.kind_name())
        .collect();
    let excused: BTreeSet<KindName> = UNSHOWABLE.iter().map(|(text, _)| kind(text)).collect();
    assert_eq!(excused.len(), UNSHOWABLE.len(), "each once");
    assert!(UNSHOWABLE.iter().all(|(_, reason)| reason.len() > 20), "a reason is a sentence");
    let is_shown = |kind: &KindName| [&named, &excused, &found].iter().any(|kinds| kinds.contains(kind));
    let without: Vec<_> = KindName::all().filter(|kind| !is_shown(kind)).collect();
    assert!(without.is_empty(), "neither a mutant nor a reason: {without:?}");
    let both: Vec<_> = named.intersection(&excused).collect();
    assert!(both.is_empty(), "a mutant and a reason why there can be none: {both:?}");
}
