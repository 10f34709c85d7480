//! Exact counts, the same for any number of threads; the shortest histories of mutants; and that each of them is shown again by
//! the plan that it becomes.

use std::{num::NonZero, sync::atomic::AtomicBool};

use super::*;
use crate::{
    drive,
    finding::Finding,
    library::{Library, Mutant},
    plan::Part,
    property::{Judge, KindName},
};

fn exploration(library: Library, scope: &str, depth: usize) -> Exploration {
    let subject = Subject::new(library).expect("a library that loads");
    let mut exploration = Exploration::new(subject, Scope::named(scope).expect("a scope"));
    exploration.depth = depth;
    exploration
}

fn run(exploration: &Exploration) -> Report {
    exploration.run(&AtomicBool::new(false), &|_| {}).expect("it can be explored")
}

/// States and steps, level by level.
fn counts(library: Library, scope: &str, depth: usize) -> Vec<(u64, u64)> {
    let report = run(&exploration(library, scope, depth));
    assert_eq!(report.cut, None);
    report.levels.iter().map(|level| (level.states, level.steps)).collect()
}

fn minimal() -> Library {
    Library::from_file("fixtures/libraries/minimal.lua").expect("a library")
}

fn mutant(name: &str) -> Library {
    Library::published().mutant(&Mutant::named(name).expect("a mutant"))
}

/// Whether a plan shows a kind when it is run.
fn shows(plan: &Plan, subject: &Subject, fingerprint: &Fingerprint) -> bool {
    plan.check().expect("a plan that can be run");
    let watched = drive::watch(plan, subject, Judge::new(catalogue::promises())).expect("it runs");
    watched.1.finish().shows(fingerprint)
}

#[test]
fn the_counts_of_the_published_library_are_these() {
    let published = Library::published;
    assert_eq!(counts(published(), "one", 4), [(0, 0)]);
    assert_eq!(counts(published(), "two", 4), [(0, 0)]);
    assert_eq!(counts(published(), "flow", 3), [(0, 0)]);
}

#[test]
fn the_counts_of_the_minimal_library_are_these() {
    assert_eq!(counts(minimal(), "one", 5), [(0, 0)]);
    assert_eq!(counts(minimal(), "two", 5), [(0, 0)]);
}

#[test]
fn the_minimal_library_breaks_nothing() {
    for scope in SCOPES {
        assert_eq!(run(&exploration(minimal(), scope.name, 4)).counterexamples, [], "{}", scope.name);
    }
}

#[test]
fn the_published_library_breaks_nothing_but_what_is_known() {
    let known = Finding::all();
    for scope in SCOPES {
        for one in run(&exploration(Library::published(), scope.name, 4)).counterexamples {
            assert!(Finding::among(&known, &one.fingerprint).is_some(), "{}: {one:?}", one.fingerprint);
        }
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let mut exploration = exploration(Library::published(), "one", 4);
    let mut of = |jobs| {
        exploration.jobs = NonZero::new(jobs).expect("some");
        Report { elapsed: Duration::ZERO, ..run(&exploration) }
    };
    let one = of(1);
    assert_eq!(one, of(2));
    assert_eq!(one, of(5));
}

/// A mutant, a kind of violation that it is there for, the scope, and how many choices the shortest history has that shows it.
const SHORTEST: &[(&str, &str, &str, usize)] = &[];

#[test]
fn mutants_are_shown_by_histories_of_this_length_and_their_plans_show_the_same() {
    let known = Finding::all();
    for (name, kind, scope, length) in SHORTEST {
        let kind: KindName = kind.parse().expect("a kind");
        let exploration = exploration(mutant(name), scope, *length);
        let report = run(&exploration);
        let found = report.counterexamples.iter().find(|one| {
            one.fingerprint.kind_name() == kind && Finding::among(&known, &one.fingerprint).is_none()
        });
        let found = found.unwrap_or_else(|| panic!("{name} does not show {kind} in {length} choices"));
        assert_eq!(found.history.len(), *length, "{name} shows {kind}: {:?}", found.history);
        assert!(shows(&found.plan, &exploration.subject, &found.fingerprint), "{name}: the plan of {kind}");
    }
}

#[test]
fn the_plan_of_every_known_finding_that_is_met_shows_it() {
    for scope in SCOPES {
        let exploration = exploration(Library::published(), scope.name, 4);
        for one in run(&exploration).counterexamples {
            assert!(shows(&one.plan, &exploration.subject, &one.fingerprint), "{}", one.fingerprint);
        }
    }
}

#[test]
fn a_call_can_be_cut_from_a_plan_but_for_the_last() {
    let report = run(&exploration(Library::published(), "one", 2));
    let plan = &report.counterexamples.first().expect("it cancels what nobody owns").plan;
    let calls = |plan: &Plan| plan.parts().iter().filter(|part| matches!(part, Part::Call(_))).count();
    assert_eq!(calls(plan), plan.calls.len());
    let cut = plan.without(&Part::Call(0)).expect("it has more");
    assert_eq!(cut.calls, plan.calls[1..]);
    let mut last = plan.clone();
    last.calls.truncate(1);
    assert_eq!(last.without(&Part::Call(0)), None);
    assert_eq!(last.without(&Part::Call(7)), None);
}

/// The published library with an upvalue of the function that creates, which does this with it.
fn keeping(does: &str) -> Exploration {
    let create = "redis.register_function('ff_create_execution', function(keys, args)\n";
    let source = Library::published().source().to_owned();
    assert!(source.contains(create), "the published library has changed");
    let edited = source.replacen(create, &format!("local kept\n{create}  {does}\n"), 1);
    exploration(Library::from_source("keeping.lua", &edited).expect("a library"), "one", 3)
}

#[test]
fn a_library_that_keeps_something_from_call_to_call_is_refused() {
    let explored =
        keeping("kept = (kept or 0) + 1; args[6] = tostring(kept)").run(&AtomicBool::new(false), &|_| {});
    let said = explored.expect_err("it is refused").to_string();
    assert!(said.contains("it keeps something from call to call"), "{said}");
    assert!(said.contains("create e1"), "{said}");
    // What is kept and makes no difference is nobody's concern.
    let same = run(&keeping("kept = kept or args[3]; args[3] = kept"));
    let published = run(&exploration(Library::published(), "one", 3));
    assert_eq!(same.levels, published.levels);
}

#[test]
fn an_exploration_that_is_stopped_tells_what_it_has() {
    let mut exploration = exploration(Library::published(), "one", 12);
    exploration.max_states = 200;
    let report = run(&exploration);
    assert_eq!((report.cut, report.levels.len()), (Some(Why::States), 4));
    let stopped = exploration.run(&AtomicBool::new(true), &|_| {}).expect("it can be explored");
    assert_eq!((stopped.cut, stopped.states()), (Some(Why::Asked), 1));
    exploration.limit = Some(Duration::ZERO);
    assert_eq!(run(&exploration).cut, Some(Why::Time));
}
