//! A library of which any one function raises is found out: for each of the 59 functions, a copy of the published
//! library in which it raises is caught within a hundred seeds, and by what it is.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::{LazyLock, Mutex},
};

use crate::common::{KNOWN_SEEDS, PUBLISHED, run, swarm, two_at_a_time};
use grantsim::{
    drive::Subject,
    finding::Finding,
    library::Library,
    property::{self, catalogue},
    trace::{Event, What},
    types::Function,
};

/// So many seeds are hunted.
const SEEDS: usize = 100;

/// The published library, in which a function raises whenever it is called.
fn raising(function: &Function) -> Subject {
    let source = PUBLISHED.library.source();
    let begins = format!("redis.register_function('{function}', function(keys, args)");
    assert_eq!(source.matches(&begins).count(), 1, "{function}");
    let broken = source.replace(&begins, &format!("{begins} error('broken on purpose')"));
    Subject::new(Library::from_source("it", &broken).expect("its first line")).expect("it loads")
}

/// What is called by the plan of a seed: until it raises, one that would raise is called as the published one is.
fn called(seed: u64) -> BTreeSet<Function> {
    let called = |event: &Event| match &event.what {
        What::RequestSent { function, .. } => Some(function.clone()),
        _ => None,
    };
    run(&swarm(seed), &PUBLISHED).events.iter().filter_map(called).collect()
}

/// The seeds that are hunted: first those of short runs, which show the mutants and thus call every function.
fn seeds() -> Vec<u64> {
    let known = &KNOWN_SEEDS[PUBLISHED.library.name()];
    let mut of_mutants: BTreeMap<u64, usize> = BTreeMap::new();
    known.values().flatten().for_each(|seed| *of_mutants.entry(*seed).or_default() += 1);
    let mut seeds: Vec<u64> = of_mutants.keys().copied().collect();
    seeds.sort_by_key(|seed| Reverse(of_mutants[seed]));
    let others: Vec<u64> = (0..).filter(|seed| !seeds.contains(seed)).take(SEEDS).collect();
    seeds.into_iter().chain(others).take(SEEDS).collect()
}

/// The first seed that shows that the function raises, as something that is not known of the published library, of those
/// that call it.
fn first_seed(function: &Function, mut that_call_it: impl Iterator<Item = u64>) -> Option<u64> {
    let (subject, known) = (raising(function), Finding::of(&PUBLISHED));
    that_call_it.find(|seed| {
        let verdict = property::judge(&run(&swarm(*seed), &subject), catalogue::always());
        verdict.violations.iter().any(|violation| {
            let fingerprint = &violation.fingerprint;
            fingerprint.property() == "raises"
                && fingerprint.to_string().contains(function.as_str())
                && Finding::among(&known, fingerprint).is_none()
        })
    })
}

#[test]
fn a_library_of_which_any_one_function_raises_is_caught() {
    // The published library claims by another name.
    let functions: Vec<&Function> =
        Function::KNOWN.iter().filter(|function| **function != Function::AcquireLease).collect();
    assert_eq!(functions.len(), 59);
    let called: Vec<_> =
        seeds().into_iter().map(|seed| (seed, LazyLock::new(move || called(seed)))).collect();
    let survivors = Mutex::new(Vec::new());
    two_at_a_time(&functions, |function| {
        let that_call_it =
            called.iter().filter(|(_, called)| called.contains(function)).map(|(seed, _)| *seed);
        match first_seed(function, that_call_it) {
            Some(seed) => println!("{function:<36} seed {seed}"),
            None => survivors.lock().expect("no hunt panics").push(function.to_string()),
        }
    });
    let survivors = survivors.into_inner().expect("no hunt panics");
    assert!(survivors.is_empty(), "not caught in {SEEDS} seeds: {survivors:?}");
}
