//! A failure block is one screen that tells the cause: for every mutant, for every finding, and for a pause long before.

use std::{collections::BTreeSet, path::Path, sync::Mutex};

use crate::common::{MINIMAL, PUBLISHED, run, seeds_that_show, swarm, two_at_a_time, verdict};
use grantsim::{
    drive::Subject,
    finding::Finding,
    library::{Library, Mutant},
    plan::{Plan, file::PlanFile, token::Token},
    property::{Fingerprint, KindName},
    report::{self, Detail, Failure, SCREEN_COLUMNS, SCREEN_LINES},
    trace::Trace,
};

const REPLAY: &str = "grantsim replay TOKEN --timeline";
/// A mutant that so many seeds do not show has no block.
const SEEDS: u64 = 150;

/// The failure block of the first violation of a run, be it excused, that is one of these; checked.
fn block(plan: &Plan, trace: &Trace, is_meant: impl Fn(&Fingerprint) -> bool) -> Option<String> {
    let verdict = verdict(trace);
    let violation = verdict.all().find(|violation| is_meant(&violation.fingerprint))?;
    let failure = Failure { violation, trace, plan: Some(plan), replay: REPLAY, seeds: None };
    let told = report::failure(&failure);
    check(&told);
    Some(told)
}

/// It fits a screen, the line that broke is marked, and what is left out is counted.
fn check(told: &str) {
    assert!(told.lines().count() <= SCREEN_LINES, "{} lines:\n{told}", told.lines().count());
    for line in told.lines().filter(|line| !line.contains(REPLAY)) {
        assert!(line.chars().count() <= SCREEN_COLUMNS, "{line:?} is too wide:\n{told}");
    }
    let marked = told.lines().filter(|line| line.starts_with("  > ")).count();
    assert_eq!(marked, 1, "one line is marked:\n{told}");
    assert!(told.contains("\n  must hold:   ") && told.contains("\n  protocol.md: "), "{told}");
    let gaps: usize = told
        .lines()
        .filter_map(|line| {
            line.trim_start().strip_prefix("…  ")?.strip_suffix(" left out")?.parse::<usize>().ok()
        })
        .sum();
    let all =
        told.lines().find_map(|line| line.strip_prefix("  left out:    ")?.split(' ').next()?.parse().ok());
    assert_eq!(gaps, all.unwrap_or(0), "the elisions do not add up:\n{told}");
}

/// Checks the blocks of a seed that shows a kind that the mutant names. Answers one of them.
fn first_block(mutant: &Mutant, library: &Subject) -> Option<String> {
    let kinds: Vec<KindName> = mutant.breaks.iter().map(|kind| kind.parse().expect("a kind")).collect();
    let subject = Subject::new(library.library.mutant(mutant)).expect("it loads");
    seeds_that_show(mutant, &library.library, SEEDS).find_map(|seed| {
        let profile = mutant.profile.as_deref().unwrap_or("swarm");
        let plan = Token::new(profile, seed).expect("a profile").plan();
        let trace = run(&plan, &subject);
        block(&plan, &trace, |fingerprint| kinds.contains(&fingerprint.kind_name()))
    })
}

/// A mutant of each property: how a violation is told depends on what it is, hardly on what brought it about.
fn sample() -> Vec<Mutant> {
    let property = |mutant: &Mutant| mutant.breaks[0].split('/').next().map(str::to_owned);
    let mut seen = BTreeSet::new();
    Mutant::all().into_iter().filter(|mutant| seen.insert(property(mutant))).collect()
}

#[test]
fn the_block_of_a_mutant_of_every_property_is_one_screen_with_the_line_that_broke() {
    let mutants = sample();
    let libraries: [&Subject; 2] = [&PUBLISHED, &MINIMAL];
    // On the first library that it suits: tests/mutants.rs hunts it on each.
    let of = |mutant: &Mutant| libraries.into_iter().find(|library| mutant.suits(&library.library));
    let pairs: Vec<(&Mutant, &Subject)> =
        mutants.iter().filter_map(|mutant| Some((mutant, of(mutant)?))).collect();
    let without = Mutex::new(Vec::new());
    two_at_a_time(&pairs, |(mutant, library)| match first_block(mutant, library) {
        Some(told) => println!("{} of {}\n{told}", mutant.name, library.library.name()),
        None => without.lock().expect("no panic").push(mutant.name.clone()),
    });
    assert_eq!(without.into_inner().expect("no panic"), Vec::<String>::new());
}

#[test]
fn the_block_of_every_finding_is_one_screen_with_the_line_that_broke() {
    for finding in Finding::all() {
        for shown in &finding.shows {
            let plan = finding.plan(shown);
            let told = block(&plan, &run(&plan, &PUBLISHED), |it| *it == shown.fingerprint);
            let told = told.expect("it reproduces");
            println!("{}\n{told}", finding.slug);
        }
    }
}

/// The block of a fingerprint that an example's plan shows on a mutant of the published library.
fn block_of(mutant: &str, example: &str, fingerprint: &str) -> (Trace, String) {
    let mutant = Mutant::named(mutant).expect("a mutant");
    let subject = Subject::new(Library::published().mutant(&mutant)).expect("it loads");
    let plan = PlanFile::read(&Path::new("fixtures/examples").join(example)).expect("an example").plan;
    let trace = run(&plan, &subject);
    let found = block(&plan, &trace, |it| it.to_string() == fingerprint);
    (trace, found.unwrap_or_else(|| panic!("{example} does not show {fingerprint}")))
}

/// The README's example.
const PAUSED: &str = "paused-past-its-lease.json";

#[test]
fn the_pause_that_made_the_difference_is_in_the_block_of_the_readme() {
    let (trace, told) = block_of("no-fence", PAUSED, "fence/ff_complete_execution/OK/stale-lease");
    println!("{told}");
    let life = report::timeline(&trace, Detail::Life);
    let place = |part: &str| life.lines().position(|line| line.contains(part));
    let paused = told.lines().find(|line| line.contains("worker-2") && line.contains("! stands still"));
    let paused = paused.unwrap_or_else(|| panic!("the pause is missing:\n{told}")).trim_start();
    let broken = told.lines().find_map(|line| line.strip_prefix("  > ")).expect("a marked line");
    let broken = broken.trim_start().trim_end_matches('…');
    let between = place(broken).expect("it is there") - place(paused).expect("it is there");
    assert!(between > 150, "{between} lines lie between");
}

#[test]
fn an_error_that_a_function_raises_is_told_with_its_text_on_either_side() {
    let minimal = std::fs::read_to_string("fixtures/libraries/minimal.lua").expect("minimal.lua is there");
    let spent = "  redis.call('DEL', keys[2])\n\n  local epoch, expires_at";
    assert!(minimal.contains(spent), "minimal.lua has changed");
    let raises = minimal.replacen(
        spent,
        "  redis.call('DEL', keys[2])\n  error('out of ink')\n  local epoch, expires_at",
        1,
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("out-of-ink.lua");
    std::fs::write(&path, raises).expect("a temporary file");
    let subject = Subject::new(Library::from_file(&path).expect("it is there")).expect("it loads");
    let plan = swarm(0);
    let trace = run(&plan, &subject);
    let life = report::timeline(&trace, Detail::Life);
    let told = |sign: &str| life.lines().any(|line| line.contains(sign) && line.contains("out of ink"));
    assert!(told("valkey") && told("←"), "{life}");
    let told = block(&plan, &trace, |it| it.kind() == "grant-without-lease").expect("it is shown");
    let marked = told.lines().find(|line| line.starts_with("  > ")).expect("a marked line");
    assert!(marked.contains("ff_acquire_lease e") && marked.contains("out of ink"), "{told}");
}

#[test]
fn names_stand_before_ids_and_are_those_of_the_plan() {
    let (trace, told) = block_of("no-fence", PAUSED, "fence/ff_complete_execution/OK/stale-lease");
    let names: Vec<String> = trace.header.executions.iter().map(|(_, name)| name.to_string()).collect();
    for lease in told.lines().filter(|line| line.contains("└ lease of ") && line.contains("; id ")) {
        let (_, rest) = lease.split_once("└ lease of ").expect("it was asked for");
        let (execution, rest) = rest.split_once(": ").expect("whose it is");
        assert!(names.iter().any(|name| name == execution), "{lease}");
        assert!(rest.starts_with("worker-"), "{lease}");
    }
    assert!(told.contains("└ lease of "), "{told}");
    for (id, _) in trace.header.executions.iter() {
        assert!(!told.contains(id), "{told}");
    }
}
