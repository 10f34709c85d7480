//! The seed of generated tests: one that stays, so that a build that was green stays green and one that is red stays red.
//!
//! `GRANTSIM_SEED` sets another, and `PROPTEST_CASES` how many cases there are: what looks further than a build does.

use std::cell::RefCell;

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngSeed, TestCaseError, TestRunner},
};

/// The variable that sets the seed.
const VARIABLE: &str = "GRANTSIM_SEED";

/// `cases` cases from a seed, or as many as `PROPTEST_CASES` and from the seed that `GRANTSIM_SEED` say.
///
/// # Panics
/// `GRANTSIM_SEED` is set and no number.
pub fn config(cases: u32, seed: u64) -> Config {
    let default = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    let seed = match std::env::var(VARIABLE) {
        Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("{VARIABLE} is a number, not {seed:?}")),
        Err(_) => seed,
    };
    Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..default }
}

/// Runs so many cases of a strategy.
///
/// # Panics
/// A case fails; the message says what it is.
pub fn check<S: Strategy>(
    seed: u64,
    cases: u32,
    strategy: &S,
    test: impl FnMut(S::Value) -> Result<(), TestCaseError>,
) {
    let test = RefCell::new(test);
    let outcome = TestRunner::new(config(cases, seed)).run(strategy, |value| test.borrow_mut()(value));
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
