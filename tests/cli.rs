//! The command line as a user meets it: what it prints, what it writes, and the exit code that says which.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use grantsim::{drive, plan::file::PlanFile, plan::profile, property, trace::Trace};

mod common;

const ALL_HELD: i32 = 0;
const BAD_INPUT: i32 = 2;
const BROKEN: i32 = 10;
const STALE: i32 = 14;

const LIFE: &str = "fixtures/plans/life-happy-path.json";

/// What a run of the command came to.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn grantsim(args: &[&str]) -> Ran {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_grantsim"))
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("the command does not run: {error}"));
    let text = |bytes| String::from_utf8(bytes).expect("the command prints UTF-8");
    Ran {
        code: status.code().expect("the command is not killed by a signal"),
        out: text(stdout),
        err: text(stderr),
    }
}

impl Ran {
    /// Demands an exit code, and an error message that says all of these.
    #[track_caller]
    fn fails(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        for part in says {
            assert!(self.err.contains(part), "the message does not say {part:?}:\n{}", self.err);
        }
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }

    #[track_caller]
    fn succeeds(self) -> String {
        assert_eq!(self.code, ALL_HELD, "{}{}", self.out, self.err);
        self.out
    }
}

/// A path for a file that one test writes.
fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn written(name: &str, text: &str) -> String {
    let path = scratch(name);
    fs::write(&path, text).expect("a temporary file");
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// minimal.lua with one piece of its text replaced.
fn changed_library(name: &str, from: &str, to: &str) -> String {
    let minimal = fs::read_to_string("fixtures/libraries/minimal.lua").expect("minimal.lua is there");
    assert!(minimal.contains(from), "minimal.lua has changed: it does not contain {from:?} any more");
    written(name, &minimal.replacen(from, to, 1))
}

/// The happy path's plan file with one piece of its text replaced.
fn changed_plan(name: &str, from: &str, to: &str) -> String {
    let plan = fs::read_to_string(LIFE).expect("the plan is there");
    assert!(plan.contains(from), "{LIFE} has changed: it does not contain {from:?} any more");
    written(name, &plan.replacen(from, to, 1))
}

#[test]
fn a_hunt_in_which_all_holds_ends_0_and_prints_the_counts() {
    let out = grantsim(&["hunt", "--seeds", "5"]).succeeds();
    for part in
        ["5 run, 5 passed", "grants", "claims", "expired", "faults", "s simulated", "no new violation"]
    {
        assert!(out.contains(part), "the summary does not say {part:?}:\n{out}");
    }
}

#[test]
fn the_json_of_a_hunt_has_the_documented_names() {
    let path = scratch("hunt.json");
    let path = path.to_str().expect("a path in UTF-8");
    grantsim(&["hunt", "--seeds", "3", "--profile", "calm", "--json", path]).succeeds();
    let text = fs::read_to_string(path).expect("the report was written");
    let report: serde_json::Value = serde_json::from_str(&text).expect("the report is JSON");
    let names = [
        "seeds",
        "passed",
        "known",
        "first_token",
        "last_token",
        "violations",
        "reach",
        "events",
        "grants",
        "claims",
        "sim_seconds",
        "wall_seconds",
    ];
    for name in names {
        assert!(!report[name].is_null(), "the report has no {name}:\n{text}");
    }
    assert_eq!(report["seeds"], 3);
    assert_eq!(report["passed"], 3);
    assert!(report["library"]["version"].is_string());
    assert_eq!(report["library"]["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn the_shards_of_a_hunt_are_the_hunt_in_parts() {
    let report = |name: &str, shard: &str| -> serde_json::Value {
        let path = scratch(name);
        let path = path.to_str().expect("a path in UTF-8");
        grantsim(&["hunt", "--seeds", "5", "--shard", shard, "--json", path]).succeeds();
        serde_json::from_str(&fs::read_to_string(path).expect("the report was written")).expect("JSON")
    };
    let (whole, odd, even) =
        (report("1-1.json", "1/1"), report("1-2.json", "1/2"), report("2-2.json", "2/2"));
    let number = |report: &serde_json::Value, name: &str| report[name].as_u64().expect("a number");
    for name in ["seeds", "passed", "grants", "claims", "events"] {
        assert_eq!(number(&odd, name) + number(&even, name), number(&whole, name), "{name}");
    }
    assert_eq!([&odd["first_token"], &odd["last_token"]], [&whole["first_token"], &whole["last_token"]]);
    assert_ne!(even["first_token"], whole["first_token"], "a shard begins where its first seed is");
}

#[test]
fn a_violation_in_the_json_names_its_property_fingerprint_token_and_message() {
    let path = scratch("mutant.json");
    let path = path.to_str().expect("a path in UTF-8");
    let hunt = grantsim(&["hunt", "--seeds", "4", "--mutant", "keep-grant", "--json", path]);
    assert_eq!(hunt.code, BROKEN, "{}", hunt.err);
    let text = fs::read_to_string(path).expect("the report was written");
    let report: serde_json::Value = serde_json::from_str(&text).expect("the report is JSON");
    for name in ["property", "fingerprint", "token", "message"] {
        assert!(report["violations"][0][name].is_string(), "the violation has no {name}:\n{text}");
    }
}

#[test]
fn a_mutant_is_found_and_the_replay_line_shows_it_again() {
    let hunt = grantsim(&["hunt", "--seeds", "4", "--mutant", "keep-grant"]);
    assert_eq!(hunt.code, BROKEN, "{}{}", hunt.out, hunt.err);
    let line = hunt.out.lines().find_map(|line| line.trim().strip_prefix("replay:"));
    let line = line.unwrap_or_else(|| panic!("no replay line:\n{}", hunt.out)).trim();
    let args: Vec<&str> = line
        .strip_prefix("cargo run --release -- ")
        .unwrap_or_else(|| panic!("the replay line runs something else: {line}"))
        .split_whitespace()
        .collect();
    let replay = grantsim(&args);
    assert_eq!(replay.code, BROKEN, "{}{}", replay.out, replay.err);
    let fingerprint = hunt.out.lines().find(|line| line.trim().starts_with("fingerprint:"));
    let fingerprint = fingerprint.expect("a failure has a fingerprint");
    assert!(replay.out.contains(fingerprint), "the replay shows something else:\n{}", replay.out);
}

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
fn a_plan_file_is_replayed_as_a_timeline_to_its_end() {
    let out = grantsim(&["replay", LIFE, "--timeline"]).succeeds();
    assert!(out.contains("ff_claim_execution e1: OK"), "{out}");
    assert!(out.contains("the end: every execution is terminal"), "{out}");
    assert!(!out.contains("eligible of lane"), "the life of a grant shows an index:\n{out}");
    let full = grantsim(&["replay", LIFE, "--timeline=full"]).succeeds();
    assert!(full.contains("e1 into eligible of lane gold"), "{full}");
    grantsim(&["replay", LIFE, "--timeline=novel"]).fails(BAD_INPUT, &["novel", "life", "full"]);
}

#[test]
fn the_trace_that_a_replay_writes_is_the_run() {
    let path = scratch("life.jsonl");
    let path = path.to_str().expect("a path in UTF-8");
    grantsim(&["replay", LIFE, "--trace", path]).succeeds();
    let read = Trace::read(fs::read(path).expect("the trace was written").as_slice());
    let plan = PlanFile::read(Path::new(LIFE)).expect("a plan").plan;
    assert_eq!(read.expect("a trace"), drive::run(&plan, &common::PUBLISHED).expect("a run"));
}

#[test]
fn the_plan_that_a_replay_writes_replays_to_the_same_run() {
    let path = scratch("saved.json");
    let path = path.to_str().expect("a path in UTF-8");
    let one = grantsim(&["replay", LIFE, "--plan", path, "--timeline=full"]).succeeds();
    assert_eq!(one, grantsim(&["replay", path, "--timeline=full"]).succeeds());
}

#[test]
fn two_processes_print_the_same_timeline() {
    let print = || grantsim(&["replay", LIFE, "--timeline=full"]).succeeds();
    assert_eq!(print(), print());
}

#[test]
fn every_property_and_every_profile_is_listed() {
    let properties = grantsim(&["properties"]).succeeds();
    for entry in property::catalogue::always() {
        assert!(properties.contains(entry.name) && properties.contains(entry.claim), "{properties}");
    }
    let profiles = grantsim(&["profiles"]).succeeds();
    for profile in profile::PROFILES {
        assert!(profiles.contains(profile.name) && profiles.contains(profile.about), "{profiles}");
    }
}

#[test]
fn nothing_is_coloured_where_no_terminal_is() {
    let runs: [&[&str]; 4] = [
        &["hunt", "--seeds", "2"],
        &["replay", LIFE, "--timeline", "-v"],
        &["hunt", "--profile", "storm"],
        &["hunt", "--no-such-flag"],
    ];
    for args in runs {
        let Ran { out, err, .. } = grantsim(args);
        assert!(
            !out.contains('\u{1b}') && !err.contains('\u{1b}'),
            "{args:?} prints escape codes:\n{out}{err}"
        );
    }
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
fn a_plan_recorded_with_another_library_says_so() {
    let path = scratch("recorded.json");
    let path = path.to_str().expect("a path in UTF-8");
    grantsim(&["replay", LIFE, "--plan", path]).succeeds();
    let about = PlanFile::read(Path::new(LIFE)).expect("a plan").about;
    assert_eq!(PlanFile::read(Path::new(path)).expect("a plan").about, about, "the plan lost its purpose");
    let same = grantsim(&["replay", path]);
    assert!(!same.err.contains("recorded with"), "{}", same.err);
    let other = grantsim(&["replay", path, "--library", "fixtures/libraries/minimal.lua"]);
    other.fails(ALL_HELD, &["recorded with library flowfabric", "minimal@"]);
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
fn a_plan_that_breaks_a_property_prints_a_line_that_replays_it() {
    let plan = written("a plan's name.json", &fs::read_to_string(LIFE).expect("the plan is there"));
    let broken = grantsim(&["replay", &plan, "--mutant", "keep-grant"]);
    assert_eq!(broken.code, BROKEN, "{}{}", broken.out, broken.err);
    let quoted = plan.replace('\'', r"'\''");
    let line = format!("cargo run --release -- replay '{quoted}' --mutant keep-grant --timeline");
    assert!(broken.out.contains(&line), "{}", broken.out);
}
