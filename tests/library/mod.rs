//! Every function of FlowFabric's published library does on the engine what it does on a real server: the same reply
//! to every call, and the same keyspace after it.
//!
//! Calls are drawn for a small world of executions, flows, budgets and waitpoints (`calls.rs`): valid, stale, wrong,
//! malformed and repeated. Both servers have the same clock. `PROPTEST_CASES` says how many sequences; what differs is
//! shrunk and printed.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use grantsim::library::Library;
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};

mod calls;
mod drawn;
mod edits;
mod judged;
mod who;

use crate::support::{
    self,
    dump::{self, dump},
    real::Real,
    server::Server,
    simulated::Simulated,
    transcript::{self, START},
};
use calls::{Step, World};
use valkey_sim::engine::{Dialect, Reply};

/// The fewest sequences that a test runs, which take some seconds.
const CASES: u32 = 24;
/// Calls of one sequence.
const CALLS: std::ops::Range<usize> = 20..60;

#[test]
fn every_function_does_on_the_engine_what_it_does_on_valkey() {
    compare_with(Dialect::Valkey8);
}

#[test]
fn every_function_does_on_the_engine_what_it_does_on_redis() {
    compare_with(Dialect::Redis7);
}

fn compare_with(dialect: Dialect) {
    let Some(mut real) = Real::start(dialect, "the functions of the published library") else { return };
    let mut ours = Simulated::new(dialect);
    let mut tally = Tally::new();
    compare(&mut real, &mut ours, &[], &mut tally).unwrap_or_else(|error| panic!("{error}"));
    let given = std::env::var_os("PROPTEST_CASES").is_some();
    let default = Config::default();
    let cases = if given { default.cases.max(CASES) } else { CASES };
    let config = Config { cases, rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..default };
    let sequences = prop::collection::vec(prop::collection::vec(any::<u8>(), 32..48), CALLS);
    let servers = RefCell::new((real, ours));
    let tally = RefCell::new(tally);
    let compared = Cell::new(0);
    let compared_all = TestRunner::new(config).run(&sequences, |choices| {
        let (real, ours) = &mut *servers.borrow_mut();
        let mut tally = tally.borrow_mut();
        let calls = compare(real, ours, &choices, &mut tally).map_err(TestCaseError::fail)?;
        compared.set(compared.get() + calls);
        Ok(())
    });
    let tally = tally.into_inner();
    eprintln!("{dialect}: {cases} sequences, {} calls compared", compared.get());
    for (function, outcomes) in &tally {
        eprintln!("{function}: {outcomes:?}");
    }
    compared_all.unwrap_or_else(|error| panic!("{error}"));
    let never: Vec<_> = calls::FUNCTIONS
        .iter()
        .filter(|&&function| tally.get(function).is_none_or(|outcomes| !outcomes.contains_key(CONSENTED)))
        .collect();
    assert!(never.is_empty(), "never consented to: {never:?}");
}

/// Whether two replies say the same. Of a flow that is cancelled a server names the members as SMEMBERS does, and the
/// order of a set of texts is its own.
fn agree(function: &[u8], theirs: &Reply, mine: &Reply) -> bool {
    let sorted = |reply: &Reply| {
        let mut reply = reply.clone();
        dump::sort(&mut reply, 1);
        reply
    };
    theirs == mine || (function == b"ff_cancel_flow" && sorted(theirs) == sorted(mine))
}

/// Where the next call comes from.
enum Next<'a> {
    Plain(&'a str),
    Drawn(&'a [u8]),
}

/// Function by function: how many calls had which outcome.
type Tally = BTreeMap<String, BTreeMap<String, usize>>;

/// The outcome of a call that was consented to.
const CONSENTED: &str = "consented";

/// What a reply says of the call: that it was done, or the code of what is wrong with it.
fn outcome(reply: &Reply) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match reply {
        Reply::Array(items) => match &items[..] {
            [Reply::Int(1), ..] => CONSENTED.to_owned(),
            [Reply::Int(0), Reply::Bulk(code), ..] => text(code),
            // An admission has its own words for both.
            [Reply::Bulk(word), ..] if word.ends_with(b"ADMITTED") => CONSENTED.to_owned(),
            [Reply::Bulk(word), ..] => text(word),
            _ => "no code".to_owned(),
        },
        // A version.
        Reply::Bulk(_) => CONSENTED.to_owned(),
        Reply::Error(error) => error.code().to_owned(),
        _ => "no code".to_owned(),
    }
}

/// Runs the calls on both; without any choices, one plain call of every function. The error is a transcript that ends where they differ.
fn compare(
    real: &mut Real,
    ours: &mut Simulated,
    choices: &[Vec<u8>],
    tally: &mut Tally,
) -> Result<usize, String> {
    ours.restart();
    let library = Library::published();
    for server in [&mut *real as &mut dyn Server, ours] {
        server.set_clock(START);
        let load = ["FUNCTION", "LOAD", "REPLACE", library.source()];
        let begin = [&["FLUSHALL"][..], &["FUNCTION", "FLUSH"], &load];
        let begin: Vec<_> = begin.iter().map(|args| calls::bytes(args)).collect();
        assert_eq!(server.send_all(&begin).pop(), Some(Reply::bulk(library.name())));
    }
    let mut world = World::default();
    let mut transcript = String::new();
    // Once each, in an order in which much of it succeeds; then as it comes.
    let plain = calls::FUNCTIONS.iter().filter(|_| choices.is_empty()).map(|function| Next::Plain(function));
    for next in plain.chain(choices.iter().map(|bytes| Next::Drawn(bytes))) {
        let step = match next {
            Next::Plain(function) => world.plain(function, ours),
            Next::Drawn(bytes) => world.step(bytes, ours),
        };
        let args = match step {
            Step::Clock(now) => {
                real.set_clock(now);
                ours.set_clock(now);
                transcript += &format!("SIM CLOCK SET {}\n", now.millis());
                continue;
            }
            Step::Call(args) => args,
        };
        let [theirs, mine] = [real.send(&args), ours.send(&args)];
        let shown = transcript::show(&theirs);
        transcript += &format!("{}\n    {shown}\n", transcript::write(&args));
        if !agree(&args[1], &theirs, &mine) {
            return Err(format!("\n{transcript}    ours: {}", transcript::show(&mine)));
        }
        let parted = dump::differences(&dump(real), &dump(ours));
        if !parted.is_empty() {
            return Err(format!("\n{transcript}{}", parted.join("\n")));
        }
        let function = String::from_utf8_lossy(&args[1]).into_owned();
        *tally.entry(function).or_default().entry(outcome(&theirs)).or_default() += 1;
    }
    Ok(choices.len())
}
