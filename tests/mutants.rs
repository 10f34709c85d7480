//! The tests are tested: each mutant breaks the protocol in one way, and the properties must notice it in a hunt, and say
//! what kind of violation it is. This is `grantsim mutants` with a small budget: one start, two hunts at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::{self, Write},
    num::NonZero,
};

use crate::common::{KNOWN, KNOWN_SEEDS, MINIMAL, PUBLISHED, run};
use grantsim::{
    finding::Finding,
    hunt::{
        Stop,
        mutants::{KnownSeeds, Matrix, Mutants, UNSHOWABLE},
    },
    library::Mutant,
    plan::{profile, token::Token},
    property::KindName,
    report,
};

/// A kind that so many seeds do not show is not shown.
const SEEDS: u64 = 150;
/// Set, the seeds are written anew.
const WRITE: &str = "GRANTSIM_WRITE";

#[test]
fn every_kind_that_a_mutant_names_is_shown_by_a_hunt_on_every_library_that_it_suits() {
    let is_to_write = env::var_os(WRITE).is_some();
    let mutants = Mutants {
        libraries: vec![PUBLISHED.clone(), MINIMAL.clone()],
        mutants: Mutant::all(),
        seeds: SEEDS,
        starts: NonZero::<u64>::MIN,
        jobs: NonZero::new(2).expect("two"),
        profile: None,
        first: if is_to_write { short_runs() } else { KNOWN_SEEDS.clone() },
    };
    let matrix = mutants.run(&Stop::default(), |_, _| ()).unwrap_or_else(|error| panic!("{error}"));
    println!("{}", report::mutants(&matrix, true));
    assert_eq!(matrix.survivors(), [], "not shown in {SEEDS} seeds");
    assert_eq!(matrix.not_shown(), [], "no mutant shows these");
    assert_eq!(matrix.failed(), [], "every run comes to its end");
    let showed = showed(&matrix);
    if is_to_write {
        let text =
            serde_json::to_string(&showed).expect("plain data").replace("},", "},\n").replace("],", "],\n");
        fs::write(KNOWN, text + "\n").unwrap_or_else(|error| panic!("{KNOWN}: {error}"));
    } else if showed != *KNOWN_SEEDS {
        // Not by `eprintln!`, which a test that passes keeps to itself.
        let told = format!(
            "{KNOWN} is old: what its seeds did not show was searched. {WRITE}=1 before the command writes it anew."
        );
        writeln!(io::stderr(), "{told}").expect("there is somebody to say it to");
    }
}

/// The seeds of every mutant, those first by which a run of the library that it suits is shortest: what they show is shown
/// soonest.
fn short_runs() -> KnownSeeds {
    let mut by_profile: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
    let mut first = KnownSeeds::new();
    let mutants = Mutant::all();
    for subject in [&*PUBLISHED, &*MINIMAL] {
        let library = subject.library.name();
        for mutant in mutants.iter().filter(|mutant| mutant.suits(&subject.library)) {
            let profile = mutant.profile.as_deref().unwrap_or(profile::DEFAULT);
            let seeds = by_profile.entry((library, profile)).or_insert_with(|| {
                let events = |seed| {
                    let plan = Token::new(profile, seed).expect("a profile").plan();
                    run(&plan, subject).events.len()
                };
                let mut seeds: Vec<(usize, u64)> = (0..SEEDS).map(|seed| (events(seed), seed)).collect();
                seeds.sort_unstable();
                seeds.into_iter().map(|(_, seed)| seed).collect()
            });
            first.entry(library.to_owned()).or_default().insert(mutant.name.clone(), seeds.clone());
        }
    }
    first
}

/// The seeds that showed each mutant.
fn showed(matrix: &Matrix) -> KnownSeeds {
    let mut seeds = KnownSeeds::new();
    for row in &matrix.rows {
        let showed = row.starts.iter().flat_map(|start| &start.showed).copied().collect();
        seeds.entry(row.library.clone()).or_default().insert(row.mutant.clone(), showed);
    }
    seeds
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
