//! A library of which any one function raises is found out: for each of the 59 functions, a copy of the published
//! library in which it raises is caught within a hundred seeds, and by what it is.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use crate::common::PUBLISHED;
use grantsim::{
    drive::Subject,
    finding::Finding,
    library::Library,
    plan::token::Token,
    property::{self, catalogue},
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

/// The first seed that shows that the function raises, as something that is not known of the published library.
fn first_seed(function: &Function) -> Option<u64> {
    let (subject, known) = (raising(function), Finding::of(&PUBLISHED));
    (0..SEEDS).find(|seed| {
        let plan = Token::new("swarm", *seed).expect("a profile").plan();
        let verdict = property::judge(&crate::common::run(&plan, &subject), catalogue::always());
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
    let called: Vec<&Function> =
        Function::KNOWN.iter().filter(|function| **function != Function::AcquireLease).collect();
    assert_eq!(called.len(), 59);
    let (next, survivors) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(function) = called.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match first_seed(function) {
                        Some(seed) => println!("{function:<36} seed {seed}"),
                        None => survivors.lock().expect("no hunt panics").push(function.to_string()),
                    }
                }
            });
        }
    });
    let survivors = survivors.into_inner().expect("no hunt panics");
    assert!(survivors.is_empty(), "not caught in {SEEDS} seeds: {survivors:?}");
}
