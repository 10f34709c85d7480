//! A hunt that has seen nothing has not passed, and every hunt says what it never reached.

use grantsim::property::catalogue;

use super::{ALL_HELD, BAD_INPUT, BROKEN, MINIMAL, NOT_REACHED, STUCK, changed_library, grantsim, hunt};

const GRANTS: &str = "redis.register_function('ff_issue_claim_grant', function(keys, args)";
const CLAIMS: &str = "redis.register_function('ff_acquire_lease', function(keys, args)";

/// The ways in which a hunt might get by: the default profile, another one, and the smallest of all.
const HUNTS: [&[&str]; 3] =
    [&["hunt", "--seeds", "3"], &["hunt", "--seeds", "2", "--profile", "race"], &["hunt", "--seeds", "1"]];

#[track_caller]
fn is_never_passed(library: &str, says: &[&str]) {
    for args in HUNTS {
        let ran = grantsim(&[args, &["--no-shrink", "--library", library]].concat());
        // What is acknowledged and not done, and what nobody is granted in time, is broken, or stuck, too: that wins.
        assert!([BROKEN, STUCK, NOT_REACHED].contains(&ran.code), "{args:?}: {}{}", ran.out, ran.err);
        ran.fails(ran.code, says);
        ran.fails(ran.code, &["so nothing was shown", MINIMAL]);
        assert!(ran.out.contains("\nnever "), "{args:?} does not list what it never reached:\n{}", ran.out);
    }
}

#[test]
fn a_library_that_keeps_its_grants_under_another_key_is_never_passed() {
    let other_key =
        changed_library("other-key.lua", GRANTS, &format!("{GRANTS} keys[2] = keys[2] .. ':mine'"));
    is_never_passed(&other_key, &["not one grant", ":claim_grant", "ff_issue_claim_grant answered ", "OK ("]);
}

#[test]
fn a_library_that_refuses_all_grants_is_never_passed() {
    let refuses = changed_library(
        "no-grants.lua",
        GRANTS,
        &format!("{GRANTS} if true then return refuse('rate_limit_exceeded') end"),
    );
    is_never_passed(&refuses, &["not one grant", "ff_issue_claim_grant answered rate_limit_exceeded ("]);
}

#[test]
fn a_library_that_refuses_all_claims_is_never_passed() {
    let refuses = changed_library(
        "no-claims.lua",
        CLAIMS,
        &format!("{CLAIMS} if true then return refuse('invalid_claim_grant') end"),
    );
    is_never_passed(
        &refuses,
        &["not one claim", ":lease:current", "ff_acquire_lease answered invalid_claim_grant ("],
    );
}

#[test]
fn what_a_hunt_never_reached_is_listed_beside_what_broke() {
    // Every grant is of another lane, so that the claims are refused: a violation, and not one claim.
    let library = changed_library(
        "other-lane.lua",
        "'lane_id', args[4],\n    'created_at', now, 'grant_expires_at'",
        "'lane_id', 'elsewhere',\n    'created_at', now, 'grant_expires_at'",
    );
    let ran = grantsim(&["hunt", "--seeds", "3", "--no-shrink", "--library", &library]);
    ran.fails(BROKEN, &["not one claim"]);
    assert!(ran.out.contains("\nnever ") && ran.out.contains(" new violation"), "{}", ran.out);
}

#[test]
fn a_hunt_of_any_profile_and_size_lists_every_state_as_reached_or_not() {
    for (name, args) in
        [("some", ["--seeds", "3", "--profile", "calm"]), ("one", ["--seeds", "1", "--profile", "edge"])]
    {
        let report = hunt(&format!("states-{name}"), ALL_HELD, &args);
        let missed: Vec<_> = report["not_reached"].as_array().expect("a list").iter().collect();
        for entry in catalogue::sometimes() {
            let is_reached = report["reach"][entry.name].as_u64().is_some_and(|count| count > 0);
            assert_ne!(is_reached, missed.contains(&&entry.name.into()), "{}: {report}", entry.name);
        }
        assert!(!missed.is_empty(), "so small a hunt reaches not all");
    }
}

#[test]
fn a_hunt_that_runs_no_seed_is_an_error() {
    for args in [&["hunt", "--for", "0s"] as &[&str], &["hunt", "--seeds", "1", "--shard", "2/2"]] {
        grantsim(args).fails(BAD_INPUT, &["ran no seed", "--for", "--seeds", "--shard"]);
    }
}
