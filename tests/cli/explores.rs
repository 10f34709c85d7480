//! Explorations: what is counted, what is found, and that the line to copy shows it again.

use std::fs;

use super::{ALL_HELD, BAD_INPUT, BROKEN, grantsim, read_json, scratch, utf8};

#[test]
fn a_world_is_explored_and_the_line_to_copy_shows_what_was_found() {
    let (plans, json) = (scratch("explored-world"), scratch("explored-world.json"));
    let _ = fs::remove_dir_all(&plans);
    let what = ["explore", "world", "--scope", "claim", "--budget", "1", "--depth", "17"];
    let files = ["--mutant", "stale-grant", "--plans", utf8(&plans), "--json", utf8(&json)];
    let ran = grantsim(&[&what[..], &files].concat());
    assert_eq!(ran.code, BROKEN, "{}{}", ran.out, ran.err);
    let fingerprint = "expiry/ff_claim_execution/OK/expired-grant";
    for part in
        [fingerprint, "time goes on, and a request is held", "in which one thing may go wrong, with up to 17"]
    {
        assert!(ran.out.contains(part), "{part:?} is not said:\n{}", ran.out);
    }
    let report = read_json(&json);
    assert_eq!((&report["scopes"][0]["budget"], &report["scopes"][0]["depth"]), (&1.into(), &17.into()));
    let block = ran.out.split("\n\n").find(|block| block.contains(&format!("fingerprint: {fingerprint}")));
    let line = block.and_then(|block| block.lines().find_map(|line| line.trim().strip_prefix("replay:")));
    let line =
        line.and_then(|line| line.trim().strip_prefix("cargo run --release -- ")).expect("a line to copy");
    let replayed = grantsim(&line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(replayed.code, BROKEN, "{}{}", replayed.out, replayed.err);
    assert!(replayed.out.contains(fingerprint), "{}", replayed.out);
}

#[test]
fn a_scope_is_one_of_what_is_explored() {
    grantsim(&["explore", "world", "--scope", "one"]).fails(BAD_INPUT, &["one is no scope", "claim, again"]);
    let ran = grantsim(&["explore", "calls", "--scope", "two", "--depth", "2"]);
    assert_eq!(ran.code, ALL_HELD, "{}{}", ran.out, ran.err);
}
