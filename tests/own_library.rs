//! A library with functions, keys and fields of its own is tested by a table: it keeps every promise, and what is broken in
//! it is found. `tickets` has states, epochs and hashes; `locks` has none of these.

use std::{fs, path::Path, time::Duration};

use crate::common::seed_that_shows;

use grantsim::{check::Check, hunt::Exit, library::Library};

const TICKETS: [&str; 2] = ["fixtures/outside/lua/tickets.lua", "fixtures/outside/lua/tickets.table.lua"];
const LOCKS: [&str; 2] = ["fixtures/libraries/locks.lua", "fixtures/libraries/locks.table.lua"];

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// A text with a piece of it replaced, which is there once.
fn edited(path: &str, from: &str, to: &str) -> String {
    let text = read(path);
    assert_eq!(text.matches(from).count(), 1, "{path} has changed: {from:?}");
    text.replace(from, to)
}

#[test]
fn the_table_of_a_library_is_the_file_beside_it() {
    for [path, table] in [TICKETS, LOCKS] {
        let from_file = Library::from_file(path).expect("a library");
        assert_eq!(from_file, library(&read(path), &read(table)));
        assert_eq!(from_file.file(), Some(Path::new(path)));
    }
    let minimal = "fixtures/libraries/minimal.lua";
    assert_eq!(Library::from_file(minimal).expect("a library").source(), read(minimal), "it has no table");
}

fn library(text: &str, table: &str) -> Library {
    Library::from_source("it", text).expect("its first line").with_table(table)
}

fn check(text: &str, table: &str) -> Check {
    grantsim::check("swarm", library(text, table)).seeds(45).shrink_for(Duration::ZERO)
}

#[test]
fn both_libraries_keep_every_promise() {
    for [path, table] in [TICKETS, LOCKS] {
        let report = check(&read(path), &read(table)).seeds(30).run().unwrap();
        let counts = &report.counts;
        assert!(counts.grants > 250 && counts.claims > 250 && counts.expiries > 25, "{path}: {counts:?}");
        for state in ["grant-raced", "claim-at-expiry", "lease-marked-expired", "claimed-again"] {
            assert!(report.reach.contains_key(state), "{path} never reached {state}");
        }
    }
}

/// Edits of a line each, a way in which the library then breaks, and a seed that shows it.
const BREAKS: &[([&str; 2], &str, &str, &str, u64)] = &[
    (TICKETS, "redis.call('DEL', keys[3])", "", "at-most-once/ff_claim_execution/OK/grant-left-behind", 0),
    (
        TICKETS,
        "~= args[2] then return redis.error_reply('NOOFFER",
        "== '' then return redis.error_reply('NOOFFER",
        "expiry/ff_claim_execution/OK/no-grant",
        69,
    ),
    (
        TICKETS,
        "if tonumber(held_until) <= now_ms() then",
        "if not held_until then",
        "fence/ff_renew_lease/OK/expired-lease",
        16,
    ),
    (TICKETS, "'turn', 1)", "'turn', 0)", "one-lease/ff_claim_execution/OK/epoch", 0),
    (
        TICKETS,
        "redis.call('ZADD', keys[2], redis.call('HGET', keys[1], 'opened'), args[1])",
        "",
        "eligible/ff_mark_lease_expired_if_due/OK/not-listed",
        0,
    ),
    (LOCKS, "redis.call('DEL', keys[2])\n", "\n", "at-most-once/ff_claim_execution/OK/grant-left-behind", 0),
    (
        LOCKS,
        "redis.call('GET', keys[1]) ~= args[1] then return 0 end\n  return redis.call('PEXPIRE'",
        "not keys[1] then return 0 end\n  return redis.call('PEXPIRE'",
        "fence/ff_renew_lease/OK/stale-lease",
        6,
    ),
    (LOCKS, "redis.call('EXISTS', keys[1]) == 1 or ", "", "one-lease/ff_claim_execution/OK/live-lease", 51),
];

#[test]
fn what_is_broken_in_them_is_found() {
    for ([path, table], from, to, fingerprint, known) in BREAKS {
        let (text, table) = (edited(path, from, to), read(table));
        let (property, _) = fingerprint.split_once('/').expect("its property");
        let shows = |seed: u64| {
            let check = check(&text, &table).start(seed).seeds(1).property(property);
            let Err(error) = check.run() else { return false };
            let violations = &error.report().expect("it hunted").violations;
            violations.iter().any(|found| found.violation.fingerprint.to_string() == *fingerprint)
        };
        let shown = seed_that_shows(&format!("{path}: {fingerprint}"), *known, 0..70, shows);
        assert!(shown.is_some(), "{path}: 70 seeds do not show {fingerprint}");
    }
}

/// Mistakes in the table of tickets, what the failure says, and a seed by which no claim is reached: in most runs something is
/// stuck for want of one, which is told before.
const MISTAKES: &[(&str, &str, &str, u64)] = &[
    (
        "'ticket_take'",
        "'ticket_taek'",
        "ff_claim_execution answered no_function_registered_as_ticket_taek (",
        2,
    ),
    ("held = 'running', ", "", "ff_claim_execution answered no_word_in_states_for_held (", 2),
];

#[test]
fn a_mistake_in_the_table_is_told() {
    for (from, to, told, known) in MISTAKES {
        let table = edited(TICKETS[1], from, to);
        let error = |seed| check(&read(TICKETS[0]), &table).start(seed).seeds(1).run().expect_err(told);
        let is_not_reached = |seed| error(seed).exit() == Exit::NotReached;
        let error = error(seed_that_shows(told, *known, 0..40, is_not_reached).expect(told));
        assert!(error.to_string().contains(told), "{told:?} is not said:\n{error}");
    }
    let typo = check(&read(TICKETS[0]), &edited(TICKETS[1], "  record = {", "  record == {")).run();
    let told = typo.expect_err("it does not load").to_string();
    let line = read(TICKETS[1]).lines().position(|line| line.starts_with("  record =")).expect("it is there");
    assert!(told.contains(&format!(":{}:", 1_001 + line)), "the table's first line is 1001: {told}");
}

#[test]
fn a_library_without_the_functions_is_sent_to_the_guide() {
    let alone = Library::from_source("it", &read(TICKETS[0])).expect("its first line");
    let told = grantsim::check("calm", alone).run().expect_err("nothing can be called").to_string();
    for said in ["ff_create_execution", "it registers ticket_close, ticket_keep", "docs/your-own-library.md"]
    {
        assert!(told.contains(said), "{said:?} is not said: {told}");
    }
}
