//! Inputs that are none: refused with what was expected, and where to find it.

use std::fs;

use super::{BAD_INPUT, BROKEN, LIFE, STALE, changed_library, changed_plan, grantsim, scratch, written};

#[test]
fn a_library_file_that_is_not_there_is_named() {
    grantsim(&["hunt", "--seeds", "1", "--library", "no-such.lua"]).fails(BAD_INPUT, &["no-such.lua"]);
}

#[test]
fn a_file_that_is_no_library_is_refused_with_what_a_library_begins_with() {
    let prose = written("prose.lua", "Dear reader,\n\nthis is no library.\n");
    grantsim(&["hunt", "--seeds", "1", "--library", &prose]).fails(BAD_INPUT, &["prose", "#!lua name="]);
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let path = scratch("binary.lua");
    fs::write(&path, [0xff, 0xfe, 0x00, 0x9f]).expect("a temporary file");
    grantsim(&["hunt", "--seeds", "1", "--library", path.to_str().expect("a path in UTF-8")])
        .fails(BAD_INPUT, &["binary.lua"]);
}

#[test]
fn a_syntax_error_in_a_library_is_reported_with_its_line() {
    let line = "local function already_satisfied(reason)";
    let broken = changed_library("syntax.lua", line, "local local function already_satisfied(reason)");
    let text = fs::read_to_string(&broken).expect("it was just written");
    let number = text.lines().position(|l| l.contains("local local")).expect("it is there") + 1;
    grantsim(&["hunt", "--seeds", "1", "--library", &broken])
        .fails(BAD_INPUT, &["minimal", &format!(":{number}:"), "near"]);
}

#[test]
fn a_library_that_registers_too_little_is_told_what_it_lacks() {
    let empty = written(
        "empty.lua",
        "#!lua name=empty\nredis.register_function('ff_version', function() return '1' end)\n",
    );
    grantsim(&["hunt", "--seeds", "1", "--library", &empty])
        .fails(BAD_INPUT, &["ff_create_execution", "fixtures/libraries/minimal.lua"]);
}

#[test]
fn a_library_that_loops_while_it_loads_is_stopped() {
    let register = "redis.register_function('ff_version'";
    let looping = changed_library("loop-at-load.lua", register, &format!("while true do end\n{register}"));
    grantsim(&["hunt", "--seeds", "1", "--library", &looping])
        .fails(BAD_INPUT, &["minimal", "does not load"]);
}

#[test]
fn a_function_that_loops_is_stopped_and_named() {
    let call = "redis.register_function('ff_renew_lease', function(keys, args)";
    let looping = changed_library("loop-in-call.lua", call, &format!("{call} while true do end"));
    grantsim(&["replay", LIFE, "--library", &looping])
        .fails(BAD_INPUT, &["ff_renew_lease", "did not return", "instructions"]);
    let claim = "redis.register_function('ff_acquire_lease', function(keys, args)";
    let looping = changed_library("loop-in-claim.lua", claim, &format!("{claim} while true do end"));
    grantsim(&["hunt", "--seeds", "20", "--library", &looping])
        .fails(BAD_INPUT, &["ff_acquire_lease", "did not return", "replay"]);
}

#[test]
fn a_loop_that_catches_its_own_errors_is_stopped_all_the_same() {
    let call = "redis.register_function('ff_renew_lease', function(keys, args)";
    let body = "while true do pcall(function() while true do end end) end";
    let looping = changed_library("stubborn.lua", call, &format!("{call} {body}"));
    grantsim(&["replay", LIFE, "--library", &looping])
        .fails(BAD_INPUT, &["ff_renew_lease", "did not return"]);
}

#[test]
fn a_pattern_that_takes_for_ever_is_stopped_like_a_loop() {
    let call = "redis.register_function('ff_renew_lease', function(keys, args)";
    let body = "local a = string.rep('a', 100) string.find(a, string.rep('a-', 50) .. 'b')";
    let slow = changed_library("pattern.lua", call, &format!("{call} {body}"));
    grantsim(&["replay", LIFE, "--library", &slow])
        .fails(BAD_INPUT, &["ff_renew_lease", "did not return", "instructions"]);
}

#[test]
fn unknown_names_are_answered_with_where_to_find_the_known_ones() {
    grantsim(&["hunt", "--seeds", "1", "--profile", "storm"])
        .fails(BAD_INPUT, &["storm", "grantsim profiles"]);
    grantsim(&["hunt", "--seeds", "1", "--property", "beauty"])
        .fails(BAD_INPUT, &["beauty", "grantsim properties"]);
    grantsim(&["hunt", "--seeds", "1", "--mutant", "godzilla"]).fails(BAD_INPUT, &["godzilla", "keep-grant"]);
    grantsim(&["hunt", "--seeds", "1", "--dialect", "sqlite"]).fails(BAD_INPUT, &["sqlite", "valkey-8"]);
}

#[test]
fn a_token_of_another_generator_is_stale_and_a_malformed_one_is_not_one() {
    grantsim(&["replay", "g1-swarm-2a-00000000"]).fails(STALE, &["another generator"]);
    grantsim(&["replay", "g1-swarm"]).fails(BAD_INPUT, &["neither a file nor a token"]);
    grantsim(&["replay", "g1-storm-2a-00000000"]).fails(BAD_INPUT, &["storm", "grantsim profiles"]);
}

#[test]
fn a_plan_file_that_cannot_be_read_says_why() {
    grantsim(&["replay", "no-such.json"]).fails(BAD_INPUT, &["no-such.json"]);
    let broken = changed_plan("broken.json", "\"schema\": 1,", "\"schema\" 1,");
    grantsim(&["replay", &broken]).fails(BAD_INPUT, &["broken.json", "line 4"]);
    let misspelt = changed_plan("misspelt.json", "\"poll_ms\"", "\"pole_ms\"");
    grantsim(&["replay", &misspelt]).fails(BAD_INPUT, &["misspelt.json", "pole_ms", "line"]);
    let other = changed_plan("other-schema.json", "\"schema\": 1,", "\"schema\": 99,");
    grantsim(&["replay", &other]).fails(STALE, &["schema 99"]);
    let newer = changed_plan("newer.json", "\"schema\": 1,", "\"schema\": 99, \"weather\": \"fine\",");
    grantsim(&["replay", &newer]).fails(STALE, &["schema 99"]);
    let node = changed_plan(
        "node.json",
        "\"executions\": [",
        "\"faults\": [{ \"fault\": \"crash\", \"node\": \"worker-7\", \"at_ms\": 1 }],\n    \"executions\": [",
    );
    grantsim(&["replay", &node]).fails(BAD_INPUT, &["node.json", "worker-7"]);
}

#[test]
fn an_error_is_said_once() {
    let missing = grantsim(&["replay", "no-such.json"]);
    assert_eq!(missing.err.matches("No such file").count(), 1, "{}", missing.err);
    let broken = changed_plan("said-once.json", "\"schema\": 1,", "\"schema\" 1,");
    let broken = grantsim(&["replay", &broken]);
    assert_eq!(broken.err.matches("line 4").count(), 1, "{}", broken.err);
}

#[test]
fn a_hunt_of_no_seeds_proves_nothing_and_is_refused() {
    grantsim(&["hunt", "--seeds", "0"]).fails(BAD_INPUT, &["--seeds"]);
}

#[test]
fn a_mutant_of_ones_own_is_a_file_of_lua() {
    let text = fs::read_to_string("fixtures/mutants/keep-grant.lua").expect("a mutant");
    let own = written("my-own-mutant.lua", &text);
    let ran = grantsim(&["hunt", "--seeds", "1", "--profile", "calm", "--no-shrink", "--mutant", &own]);
    assert_eq!(ran.code, BROKEN, "{}{}", ran.out, ran.err);
    for part in ["34+my-own-mutant", "grant-left-behind", &format!("--mutant {own}")] {
        assert!(ran.out.contains(part), "the hunt does not say {part:?}:\n{}", ran.out);
    }
    grantsim(&["hunt", "--seeds", "1", "--mutant", "no-such.lua"])
        .fails(BAD_INPUT, &["cannot read the mutant no-such.lua"]);
    let prose = written("prose-mutant.lua", "Dear reader,\n");
    grantsim(&["hunt", "--seeds", "1", "--mutant", &prose])
        .fails(BAD_INPUT, &["the mutant prose-mutant must begin with"]);
}
