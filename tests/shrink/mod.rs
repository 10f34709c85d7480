//! Shrinking finds the heart of a violation: every mutant and every finding, down to two executions, two faults and a life
//! that fits a screen. A sample is tried here; `table.rs` tries all.

mod broken;
mod table;

use std::{num::NonZero, time::Duration};

use crate::common::{PUBLISHED, as_file, run, verdict};
use broken::Broken;
use grantsim::{
    drive::Subject,
    library::Mutant,
    plan::{Plan, token::Token},
    property::Fingerprint,
    shrink::{self, Budget, ShrinkError},
};
use table::Row;

/// Mutants that take something to be shown: a crowd, a scanner, a clock.
const SAMPLE: [&str; 2] = ["early-expiry", "neighbours-lane"];

/// Findings whose plans were drawn, and are larger than they must be.
const FINDINGS: [&str; 2] = ["completion-of-a-marked-lease", "eligible-in-the-delayed-set"];

fn budget(runs: u64, jobs: usize) -> Budget {
    Budget { runs, wall: Duration::from_secs(600), jobs: NonZero::new(jobs).expect("a job at least") }
}

/// A plan of a hunt in which a mutant of the published library breaks what it says it breaks.
fn broken_by(mutant: &str) -> Broken {
    let mutant = Mutant::named(mutant).unwrap_or_else(|| panic!("no mutant is called {mutant}"));
    broken::by_mutant(&mutant, &PUBLISHED).swap_remove(0)
}

fn shows(plan: &Plan, subject: &Subject, fingerprint: &Fingerprint) -> bool {
    verdict(&run(plan, subject)).violations.iter().any(|violation| violation.fingerprint == *fingerprint)
}

#[test]
fn a_sample_of_mutants_and_of_findings_shrinks_to_what_fits_a_screen() {
    let mut all: Vec<Broken> = SAMPLE.into_iter().map(broken_by).collect();
    let is_sampled = |it: &Broken| FINDINGS.iter().any(|slug| it.name == format!("finding {slug}"));
    all.extend(broken::by_all_findings(9).into_iter().filter(is_sampled));
    let mut big = Vec::new();
    for broken in all {
        let row = Row::of(broken, 1_000, 2);
        println!("{}", row.line());
        assert!(shows(&row.shrunk.plan, &row.broken.subject, &row.broken.fingerprint), "{}", row.line());
        if !row.is_as_small_as_known() {
            big.push(format!("{}\n{}", row.line(), as_file(&row.shrunk.plan)));
        }
    }
    assert!(big.is_empty(), "{}", big.join("\n"));
}

#[test]
fn what_is_1_minimal_shows_it_with_no_part_less() {
    let Broken { subject, fingerprint, plan, .. } = broken_by("no-fence");
    let shrunk = shrink::run(&plan, &subject, &fingerprint, budget(2_000, 2), |_| {}).expect("it shows it");
    assert!(shrunk.minimal && !shrunk.stopped, "{} runs, {}", shrunk.runs, shrunk.after);
    for part in shrunk.plan.parts() {
        if let Some(rest) = shrunk.plan.without(&part) {
            assert!(!shows(&rest, &subject, &fingerprint), "{part} could go");
        }
    }
}

#[test]
fn the_result_does_not_depend_on_the_jobs() {
    let Broken { subject, fingerprint, plan, .. } = broken_by("keep-grant");
    let by = |jobs| {
        shrink::run(&plan, &subject, &fingerprint, budget(60, jobs), |_| {}).expect("the plan shows it")
    };
    assert_eq!(by(1), by(2));
}

#[test]
fn a_plan_that_does_not_show_the_violation_is_refused() {
    let plan = Token::new("calm", 1).expect("a profile").plan();
    let fingerprint: Fingerprint = "fence/ff_renew_lease/OK/stale-lease".parse().expect("a fingerprint");
    let error = shrink::run(&plan, &PUBLISHED, &fingerprint, budget(10, 1), |_| {}).unwrap_err();
    assert!(matches!(error, ShrinkError::NotShown(_)), "{error}");
}
