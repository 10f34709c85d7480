//! The seeds of generated tests: one that stays, so that a run can be compared with the last one, and one that moves, so
//! that not the same few hundred cases are looked at forever.
//!
//! `GRANTSIM_SEED` says which seed the moving one is; without it, it is drawn from the clock. A failure prints it.

#![allow(dead_code, unused_macros, unused_imports, reason = "each test uses its own part")]

use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngSeed, TestCaseError, TestRunner},
};

/// The variable that chooses the moving seed.
const VARIABLE: &str = "GRANTSIM_SEED";

/// Of so many cases with the seed that stays, one is run with the one that moves.
const FEW: u32 = 8;

/// `cases` cases from a seed, or as many as `PROPTEST_CASES` says.
pub fn fixed(cases: u32, seed: u64) -> Config {
    let given = std::env::var_os("PROPTEST_CASES").is_some();
    let default = Config::default();
    let cases = if given { default.cases } else { cases };
    Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..default }
}

/// Few cases from the seed that moves, which is printed: the output of a test that fails shows it.
///
/// # Panics
/// `GRANTSIM_SEED` is set and no number.
#[allow(clippy::disallowed_methods, reason = "what moves the seed is no node's time")]
pub fn moving(cases: u32) -> Config {
    let seed = match std::env::var(VARIABLE) {
        Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("{VARIABLE} is a number, not {seed:?}")),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()),
    };
    eprintln!("the moving seed: {VARIABLE}={seed}");
    fixed(cases.div_ceil(FEW), seed)
}

/// Runs `cases` cases from the seed that stays, and few from the one that moves.
///
/// # Panics
/// A case fails; the message says what it is, and the seed has been printed.
pub fn check<S: Strategy>(
    seed: u64,
    cases: u32,
    strategy: &S,
    mut test: impl FnMut(S::Value) -> Result<(), TestCaseError>,
) {
    for config in [fixed(cases, seed), moving(cases)] {
        let test = RefCell::new(&mut test);
        let outcome = TestRunner::new(config).run(strategy, |value| test.borrow_mut()(value));
        outcome.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The tests of a `proptest!`, twice: so many cases from the seed that stays, and few from the one that moves.
macro_rules! with_both_seeds {
    ($cases:expr, $seed:expr, { $($tests:tt)* }) => {
        mod from_the_seed_that_stays {
            use super::*;
            proptest! { #![proptest_config(seeds::fixed($cases, $seed))] $($tests)* }
        }
        mod from_the_seed_that_moves {
            use super::*;
            proptest! { #![proptest_config(seeds::moving($cases))] $($tests)* }
        }
    };
}
pub(crate) use with_both_seeds;
