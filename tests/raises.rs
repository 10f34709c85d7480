//! A library of which any one function raises is found out: for each of the 59 functions, a copy of the published
//! library in which it raises is caught within a hundred seeds, and by what it is.

use std::{
    collections::BTreeSet,
    sync::{LazyLock, Mutex},
};

use crate::common::{PUBLISHED, run, swarm, two_at_a_time};
use grantsim::{
    drive::Subject,
    finding::Finding,
    library::Library,
    property::{self, catalogue},
    trace::{Event, What},
    types::Function,
};

/// So many seeds are hunted.
const SEEDS: u64 = 100;

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

/// The first seed that shows that the function raises, as something that is not known of the published library, of those
/// that call it.
fn first_seed(function: &Function, calls_it: impl Fn(&u64) -> bool) -> Option<u64> {
    let (subject, known) = (raising(function), Finding::of(&PUBLISHED));
    (0..SEEDS).filter(calls_it).find(|seed| {
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
    let called: Vec<_> = (0..SEEDS).map(|seed| LazyLock::new(move || called(seed))).collect();
    let survivors = Mutex::new(Vec::new());
    two_at_a_time(&functions, |function| {
        match first_seed(function, |seed| called[*seed as usize].contains(*function)) {
            Some(seed) => println!("{function:<36} seed {seed}"),
            None => survivors.lock().expect("no hunt panics").push(function.to_string()),
        }
    });
    let survivors = survivors.into_inner().expect("no hunt panics");
    assert!(survivors.is_empty(), "not caught in {SEEDS} seeds: {survivors:?}");
}
