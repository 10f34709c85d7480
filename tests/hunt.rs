//! The hunt from Rust: what it reports while it goes on, when it is stopped, and when a run cannot be repeated.

mod common;

use std::{
    num::NonZero,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use common::PUBLISHED;
use grantsim::{
    drive::Subject,
    hunt::{self, Exit, Hunt, Report, Until},
    library::{Library, Mutant},
    plan::{profile, token::Token},
    property::catalogue,
};

fn hunt(subject: &Subject, until: Until) -> Hunt {
    Hunt {
        subject: subject.clone(),
        baseline: None,
        first: Token::new("calm", 0).expect("a profile"),
        until,
        jobs: NonZero::new(2).expect("two"),
        shard: (1, 1),
        properties: catalogue::always().collect(),
        dialect: None,
        strict: false,
    }
}

fn mutant(name: &str) -> Subject {
    let mutant = Mutant::named(name).expect("a mutant");
    Subject::new(Library::published().mutant(&mutant)).expect("it loads")
}

/// Hunts to the end and hands out the reports that were to be had on the way, and the last.
fn run(hunt: &Hunt) -> (Vec<Report>, Report) {
    let mut on_the_way = Vec::new();
    let report = hunt.run(&AtomicBool::new(false), |progress| on_the_way.push(progress.report()));
    (on_the_way, report.unwrap_or_else(|(token, error)| panic!("{token}: {error}")))
}

#[test]
fn there_is_a_report_before_the_first_seed_and_after_each() {
    let (on_the_way, last) = run(&hunt(&PUBLISHED, Until::Seeds(4)));
    assert_eq!(on_the_way.iter().map(|report| report.seeds).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(on_the_way.iter().all(|report| report.interrupted) && !last.interrupted);
    let whole = Report { interrupted: false, wall_seconds: last.wall_seconds, ..on_the_way[4].clone() };
    assert_eq!(whole, last);
}

#[test]
fn a_hunt_that_is_stopped_reports_what_it_has_and_that_it_is_not_all() {
    for until in [Until::Seeds(1_000_000), Until::Elapsed(Duration::from_secs(3_600))] {
        let hunt = hunt(&PUBLISHED, until);
        let stop = AtomicBool::new(false);
        let report = hunt.run(&stop, |progress| stop.store(progress.seeds() >= 3, Ordering::Relaxed));
        let report = report.unwrap_or_else(|(token, error)| panic!("{token}: {error}"));
        assert!((3..10).contains(&report.seeds) && report.interrupted, "{report:?}");
        assert_eq!(hunt::verdict(&report, profile::DEFAULT).exit, Exit::AllHeld);
    }
}

#[test]
fn a_violation_is_shown_again_and_one_that_cannot_be_is_told_apart() {
    let hunt = hunt(&mutant("keep-grant"), Until::Seeds(1));
    let (_, report) = run(&hunt);
    let found = &report.violations[0];
    let trace = hunt.show(found).expect("it happens again");
    assert!(trace.events.len() > found.violation.at as usize);
    let mut imagined = found.clone();
    imagined.violation.message += ", they say";
    let error = anyhow::Error::new(hunt.show(&imagined).expect_err("it never happened"));
    assert!(error.to_string().starts_with(&format!("{} did not do again", found.token)), "{error}");
    assert_eq!(Exit::of_error(error.chain()), Exit::NotDeterministic);
}

#[test]
fn a_run_that_hangs_names_the_lowest_seed_that_does_however_many_run_at_a_time() {
    let minimal = std::fs::read_to_string("fixtures/libraries/minimal.lua").expect("minimal.lua is there");
    let call = "redis.register_function('ff_mark_lease_expired_if_due', function(keys, args)";
    assert!(minimal.contains(call), "minimal.lua has changed");
    let hangs = minimal.replacen(call, &format!("{call} while true do end"), 1);
    let subject = Subject::new(Library::from_source("a test", &hangs).expect("a library")).expect("it loads");
    let failed = |jobs| {
        let mut hunt = hunt(&subject, Until::Seeds(1_000));
        (hunt.first, hunt.jobs) =
            (Token::new("crash", 0).expect("a profile"), NonZero::new(jobs).expect("some"));
        let (token, error) =
            hunt.run(&AtomicBool::new(false), |_| ()).expect_err("a lease expires at some time");
        assert!(error.to_string().contains("ff_mark_lease_expired_if_due"), "{error}");
        token
    };
    assert_eq!(failed(1), failed(4));
}
