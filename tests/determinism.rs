//! A run is a function of the plan, the library and the build: in any thread, in any order, in any process.

use std::{collections::BTreeSet, env, path::PathBuf, process::Command, thread};

use crate::common::{PUBLISHED, run, until_all_broke};
use grantsim::{
    drive::Subject,
    library::Library,
    plan::{Plan, profile, token::Token},
    trace::Trace,
    types::FaultClass,
};

fn tokens() -> Vec<Token> {
    let seeds = [0u64, 1, 0xbeef];
    let of_profile = |profile: &'static profile::Profile| {
        seeds.map(|seed| Token::new(profile.name, seed).expect("a profile of the catalogue"))
    };
    profile::PROFILES.iter().flat_map(of_profile).collect()
}

/// Compares two runs and, where they differ, shows the first event that does, with what came before it.
fn assert_same(token: &Token, one: &Trace, other: &Trace) {
    let differs = one.events.iter().zip(&other.events).position(|(a, b)| a != b);
    if let Some(at) = differs {
        let context = |trace: &Trace| {
            let from = at.saturating_sub(5);
            trace.events[from..=at].iter().map(|event| format!("  {event:?}\n")).collect::<String>()
        };
        panic!("{token}: event {at} differs\none run:\n{}the other:\n{}", context(one), context(other));
    }
    assert_eq!(one.events.len(), other.events.len(), "{token}: one run goes on where the other ends");
    assert_eq!(one.digest(), other.digest(), "{token}");
}

/// Of the seeds of the gate, the one whose run takes as long as fifty others.
const LONG: u64 = 3;

/// So many pairs of runs there are,
const PAIRS: usize = 120;
/// or as many as this says.
const OTHER_PAIRS: &str = "GRANTSIM_PAIRS";
/// The first of them go on to their end. All others end when all has broken.
const WHOLE_PAIRS: usize = 40;

/// The gate: pairs of runs in which every class of faults happened, in threads of their own and in another order.
#[test]
fn whatever_breaks_two_runs_of_a_plan_are_one() {
    let pairs = env::var(OTHER_PAIRS).map_or(PAIRS, |pairs| pairs.parse().expect("a number of pairs"));
    let swarm = Token::new("swarm", 0).expect("a profile of the catalogue");
    let tokens = (0..).filter(|seed| *seed != LONG).map(|seed| swarm.with_seed(seed)).take(pairs);
    let plan = |(nth, token): (usize, Token)| {
        let plan = token.plan();
        (token, if nth < WHOLE_PAIRS { plan } else { until_all_broke(plan) })
    };
    let plans: Vec<(Token, Plan)> = tokens.enumerate().map(plan).collect();
    let digest = |(_, plan): &(Token, Plan)| -> (String, BTreeSet<FaultClass>) {
        let trace = run(plan, &PUBLISHED);
        let classes = trace.events.iter().filter_map(|event| event.what.fault_class()).collect();
        (trace.digest(), classes)
    };
    let (forwards, mut backwards) = thread::scope(|scope| {
        let one = scope.spawn(|| plans.iter().map(digest).collect::<Vec<_>>());
        let other = scope.spawn(|| plans.iter().rev().map(digest).collect::<Vec<_>>());
        (one.join().expect("runs"), other.join().expect("runs"))
    });
    backwards.reverse();
    for ((token, plan), ((one, _), (other, _))) in plans.iter().zip(forwards.iter().zip(&backwards)) {
        if one != other {
            assert_same(token, &run(plan, &PUBLISHED), &run(plan, &PUBLISHED));
            panic!("{token} gave two traces, and now gives one: run this test again");
        }
    }
    let met: BTreeSet<FaultClass> = forwards.into_iter().flat_map(|(_, classes)| classes).collect();
    let never: Vec<_> = FaultClass::ALL.iter().filter(|class| !met.contains(class)).collect();
    assert!(never.is_empty(), "in no pair did these happen: {never:?}");
}

#[test]
fn the_order_of_runs_and_their_neighbours_do_not_matter() {
    let tokens = tokens();
    let forwards: Vec<Trace> = tokens.iter().map(|token| run(&token.plan(), &PUBLISHED)).collect();
    let backwards = thread::scope(|scope| {
        let reversed = scope.spawn(|| -> Vec<Trace> {
            tokens.iter().rev().map(|token| run(&token.plan(), &PUBLISHED)).collect()
        });
        // Something else runs beside it all the while.
        tokens.iter().for_each(|token| drop(run(&token.with_seed(77).plan(), &PUBLISHED)));
        reversed.join().expect("the reversed runs do not fail")
    });
    for ((token, one), other) in tokens.iter().zip(&forwards).zip(backwards.iter().rev()) {
        assert_same(token, one, other);
    }
}

#[test]
fn another_process_prints_the_same_bytes() {
    let token = Token::new("swarm", 5).expect("a profile").to_string();
    let print = || {
        let output =
            Command::new(env!("CARGO_BIN_EXE_grantsim")).args(["replay", &token, "--timeline"]).output();
        output.expect("the command runs").stdout
    };
    let one = print();
    assert!(!one.is_empty());
    assert_eq!(one, print(), "two processes print different timelines of {token}");
}

#[test]
fn a_library_that_counts_in_an_upvalue_carries_nothing_from_run_to_run() {
    let minimal = std::fs::read_to_string("fixtures/libraries/minimal.lua").expect("minimal.lua is there");
    // Every grant gets a lane hash that counts the grants of the library's whole life.
    let counting = minimal.replacen(
        "\n",
        "\nlocal calls = 0; local function count() calls = calls + 1; return tostring(calls) end\n",
        1,
    );
    let counting = counting.replace(
        "redis.register_function('ff_version', function() return",
        "redis.register_function('ff_version', function() count() return",
    );
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("counting.lua");
    let text = counting.replace("'capability_hash', ", "'count', count(), 'capability_hash', ");
    assert!(
        text.matches("count()").count() >= 2,
        "minimal.lua has changed: this test must count somewhere else"
    );
    std::fs::write(&path, text).expect("a temporary file");
    let subject = Subject::new(Library::from_file(&path).expect("it was just written")).expect("it loads");
    let token = Token::new("calm", 3).expect("a profile");
    let alone = run(&token.plan(), &subject);
    drop(run(&token.with_seed(4).plan(), &subject));
    assert_same(&token, &alone, &run(&token.plan(), &subject));
}
