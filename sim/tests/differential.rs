//! The engine answers as the real server of its dialect does: random sequences of commands, run on both with the same
//! clock, get the same replies and leave the same keys, types, expiries and contents.
//!
//! `PROPTEST_CASES` says how many sequences, `GRANTSIM_SEED` which some of them are. What differs is shrunk and printed as a transcript.

use std::cell::{Cell, RefCell};

use crate::support::{
    commands, company,
    compare::compare,
    real::Real,
    seeds,
    server::Server,
    several::{OurClients, RealClients},
    simulated::Simulated,
    transcript::{self, START},
    values,
};
use proptest::prelude::*;
use valkey_sim::engine::{Dialect, Reply};

/// The fewest sequences that a test runs, which take some seconds.
const CASES: u32 = 1_500;

#[test]
fn random_sequences_of_commands_do_on_the_engine_what_they_do_on_valkey() {
    compare_with(Dialect::Valkey8);
}

#[test]
fn random_sequences_of_commands_do_on_the_engine_what_they_do_on_redis() {
    compare_with(Dialect::Redis7);
}

#[test]
fn several_clients_that_wait_are_answered_as_by_valkey() {
    compare_several(Dialect::Valkey8);
}

#[test]
fn several_clients_that_wait_are_answered_as_by_redis() {
    compare_several(Dialect::Redis7);
}

#[test]
fn values_of_every_type_and_size_are_dumped_as_by_real_servers_and_restored_from_their_dumps() {
    for dialect in [Dialect::Valkey8, Dialect::Redis7] {
        let Some(mut real) = Real::start(dialect, "dumps of values") else { return };
        let mut ours = Simulated::new(dialect);
        real.set_clock(START);
        ours.set_clock(START);
        for (nth, commands) in values::all(dialect).into_iter().enumerate() {
            let case = format!("{dialect}: value {nth}: {:.200}", transcript::write(&commands[0]));
            let [theirs, mine] = [&mut real as &mut dyn Server, &mut ours].map(|server| {
                server.send_all(&[vec![b"DEL".to_vec(), b"k".to_vec()]]);
                server.send_all(&commands);
                server.send_all(&[vec![b"DUMP".to_vec(), b"k".to_vec()]]).remove(0)
            });
            assert_eq!(transcript::show(&theirs), transcript::show(&mine), "{case}");
            let Reply::Bulk(payload) = theirs else { panic!("{case}: {theirs:?}") };
            let restore = [&b"RESTORE"[..], b"r", b"0", &payload, b"REPLACE"];
            for server in [&mut real as &mut dyn Server, &mut ours] {
                let args = restore.iter().map(|arg| arg.to_vec()).collect();
                let replies = server.send_all(&[args, vec![b"DUMP".to_vec(), b"r".to_vec()]]);
                assert_eq!(replies, [Reply::OK, Reply::Bulk(payload.clone())], "{case}: {}", server.name());
            }
        }
    }
}

#[test]
fn what_queue_libraries_send_is_answered_as_by_real_servers() {
    for dialect in [Dialect::Valkey8, Dialect::Redis7] {
        let Some(real) = Real::start(dialect, "the idioms of queue libraries") else { return };
        let (mut real, mut ours) = (RealClients::new(real), OurClients::new(dialect));
        let scenes = company::scenes(company::IDIOMS);
        assert_eq!(scenes.len(), 4);
        for (title, steps) in scenes {
            let woken = company::compare(&mut real, &mut ours, &steps)
                .unwrap_or_else(|parted| panic!("{dialect}: {title}{parted}"));
            assert!(woken > 0, "{title}: nobody waited, or nobody was woken");
        }
    }
}

#[test]
fn what_parted_them_once_is_answered_as_by_real_servers() {
    for dialect in [Dialect::Valkey8, Dialect::Redis7] {
        let Some(real) = Real::start(dialect, "what parted them once") else { return };
        let (mut real, mut ours) = (RealClients::new(real), OurClients::new(dialect));
        for (title, steps) in company::scenes(company::PARTED) {
            let compared = company::compare(&mut real, &mut ours, &steps);
            assert_eq!(compared.err(), None, "{dialect}: {title}");
        }
    }
}

/// The fewest sequences of several clients.
const CASES_OF_SEVERAL: u32 = 400;

fn compare_several(dialect: Dialect) {
    let Some(real) = Real::start(dialect, "several clients") else { return };
    let servers = RefCell::new((RealClients::new(real), OurClients::new(dialect)));
    let sequences = prop::collection::vec(prop::collection::vec(any::<u8>(), 12..24), 1..40);
    let (compared, woken) = (Cell::new(0), Cell::new(0));
    seeds::check(5, CASES_OF_SEVERAL, &sequences, |choices| {
        let steps = company::steps(&choices);
        compared.set(compared.get() + steps.len());
        let (real, ours) = &mut *servers.borrow_mut();
        woken.set(woken.get() + company::compare(real, ours, &steps).map_err(TestCaseError::fail)?);
        Ok(())
    });
    eprintln!(
        "{dialect}: {} steps of several clients compared, {} of them heard by another",
        compared.get(),
        woken.get()
    );
    assert!(woken.get() > 100, "nobody waited, or nobody was woken: {}", woken.get());
}

fn compare_with(dialect: Dialect) {
    let Some(real) = Real::start(dialect, "random sequences of commands") else { return };
    let ours = Simulated::new(dialect);
    let sequences = prop::collection::vec(prop::collection::vec(any::<u8>(), 24..40), 1..30);
    let servers = RefCell::new((real, ours));
    let compared = Cell::new(0);
    seeds::check(3, CASES, &sequences, |choices| {
        let steps = commands::steps(&choices);
        compared.set(compared.get() + steps.len());
        let (real, ours) = &mut *servers.borrow_mut();
        compare(real, ours, &steps).map_err(TestCaseError::fail)
    });
    eprintln!("{dialect}: {} steps compared", compared.get());
}
