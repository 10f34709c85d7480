//! The hunt from Rust: what it reports while it goes on, when it is stopped, and when a run cannot be repeated.

use std::{num::NonZero, time::Duration};

use crate::common::PUBLISHED;
use grantsim::{
    drive::Subject,
    hunt::{self, Exit, Hunt, Report, Stop, Until},
    library::{Library, Mutant},
    plan::{profile, token::Token},
};

fn hunt(subject: &Subject, until: Until) -> Hunt {
    let first = Token::new("calm", 0).expect("a profile");
    Hunt {
        jobs: NonZero::new(2).expect("two"),
        hang_after: Duration::from_secs(3_600),
        ..Hunt::new(subject.clone(), first, until)
    }
}

fn mutant(name: &str) -> Subject {
    let mutant = Mutant::named(name).expect("a mutant");
    Subject::new(Library::published().mutant(&mutant)).expect("it loads")
}

/// Hunts to the end and hands out the reports that were to be had on the way, one after each seed, and the last.
fn run(hunt: &Hunt) -> (Vec<Report>, Report) {
    let mut on_the_way: Vec<Report> = Vec::new();
    let report = hunt.run(&Stop::default(), |progress| {
        // Now and then it tells how far it is though no seed has ended.
        if on_the_way.last().is_none_or(|last| last.seeds < progress.seeds()) {
            on_the_way.push(progress.report());
        }
    });
    (on_the_way, report)
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
fn a_hunt_until_it_is_saturated_ends_when_so_many_seeds_bring_nothing_new_whoever_runs_them() {
    let minimal = Subject::new(Library::from_file("fixtures/libraries/minimal.lua").expect("a library"));
    let of = |jobs| {
        let first = Token::new("race", 0).expect("a profile");
        let hunt = Hunt::new(minimal.as_ref().expect("it loads").clone(), first, Until::Saturated(3));
        Hunt { jobs: NonZero::new(jobs).expect("one at least"), ..hunt }.run(&Stop::default(), |_| ())
    };
    let (one, two) = (of(1), of(2));
    let last = one.states.last_new.as_ref().expect("something happened").parse::<Token>().expect("a token");
    assert!(one.states.seen > 10, "{:?}", one.states);
    assert_eq!((one.states.quiet_for, one.seeds, one.interrupted), (3, last.seed() + 1 + 3, false));
    assert_eq!((two.seeds, &two.states, &two.reach), (one.seeds, &one.states, &one.reach));
}

#[test]
fn a_hunt_that_is_stopped_reports_what_it_has_and_that_it_is_not_all() {
    for until in [Until::Seeds(1_000_000), Until::Elapsed(Duration::from_secs(3_600))] {
        let hunt = hunt(&PUBLISHED, until);
        let stop = Stop::default();
        let report = hunt.run(&stop, |progress| {
            if progress.seeds() >= 3 {
                stop.ask();
            }
        });
        // What runs may end, and no other seed is begun.
        assert!((3..10).contains(&report.seeds) && report.interrupted, "{report:?}");
        assert_eq!(hunt::verdict(&report, profile::DEFAULT).exit, Exit::AllHeld);
    }
}

#[test]
fn a_hunt_that_is_stopped_before_it_begins_runs_no_seed() {
    let stop = Stop::default();
    stop.ask();
    let report = hunt(&PUBLISHED, Until::Seeds(5)).run(&stop, |_| ());
    assert!(report.seeds == 0 && report.interrupted, "{report:?}");
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

/// minimal.lua, where the first line of a function's body is another.
fn minimal_with(function: &str, line: &str) -> Subject {
    let minimal = std::fs::read_to_string("fixtures/libraries/minimal.lua").expect("minimal.lua is there");
    let call = format!("redis.register_function('{function}', function(keys, args)");
    assert!(minimal.contains(&call), "minimal.lua has changed");
    let changed = minimal.replacen(&call, &format!("{call} {line}"), 1);
    Subject::new(Library::from_source("a test", &changed).expect("a library")).expect("it loads")
}

#[test]
fn runs_that_do_not_return_lose_nothing_of_the_others_however_many_run_at_a_time() {
    // A lease expires in some of the runs only.
    let subject = minimal_with("ff_mark_lease_expired_if_due", "while true do end");
    let report = |jobs| {
        let mut hunt = hunt(&subject, Until::Seeds(6));
        (hunt.first, hunt.jobs) =
            (Token::new("calm", 6).expect("a profile"), NonZero::new(jobs).expect("some"));
        Report { wall_seconds: 0.0, ..run(&hunt).1 }
    };
    let one = report(1);
    let failed: u64 = one.errors.iter().map(|failed| failed.seeds).sum();
    assert!((1..6).contains(&failed), "{failed} of 6 seeds fail: choose other seeds");
    assert_eq!((one.seeds, one.passed, one.interrupted), (6, 6 - failed, false));
    assert!(one.errors[0].message.contains("ff_mark_lease_expired_if_due"), "{:?}", one.errors);
    assert!(one.counts.grants > 0, "the others were run");
    assert_eq!(hunt::verdict(&one, "calm").exit, Exit::BadInput);
    assert_eq!(one, report(4));
}

/// minimal.lua, by which the first creations of a run take more than half a second each: longer than anybody waits, and no
/// longer, as what is left behind takes its time from the other tests.
fn slow_minimal() -> Subject {
    let slow = "if redis.call('INCR', 'slow') <= 8 then for i = 1, 4000000 do tostring(i) end end";
    minimal_with("ff_create_execution", slow)
}

#[test]
fn a_run_that_takes_too_long_is_told_and_a_hunt_that_is_stopped_leaves_it_behind() {
    let mut hunt = hunt(&slow_minimal(), Until::Seeds(2));
    hunt.hang_after = Duration::from_millis(200);
    let stop = Stop::default();
    let mut told = 0;
    let report = hunt.run(&stop, |progress| {
        told = told.max(progress.hung().len());
        if told == 2 {
            stop.ask();
        }
    });
    assert_eq!((told, report.seeds, report.interrupted), (2, 0, true));
    let hung: Vec<_> = report.hung.iter().map(|hung| hung.token.clone()).collect();
    assert_eq!(hung, [0, 1].map(|seed| hunt.first.with_seed(seed).to_string()));
}

#[test]
fn a_hunt_whose_time_is_up_does_not_wait_for_a_run_that_hangs() {
    let mut hunt = hunt(&slow_minimal(), Until::Elapsed(Duration::from_millis(300)));
    hunt.hang_after = Duration::from_millis(100);
    let report = hunt.run(&Stop::default(), |_| ());
    assert_eq!((report.seeds, report.hung.len(), report.interrupted), (0, 2, false), "{report:?}");
}
