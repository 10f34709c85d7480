//! One run again: its timeline, its faults, its plan as a file.

use std::{fs, path::Path};

use grantsim::plan::file::PlanFile;

use crate::{
    ALL_HELD, BAD_INPUT, BROKEN, LIFE, NOT_DETERMINISTIC, changed_library, changed_plan, grantsim, scratch,
    utf8, written,
};

#[test]
fn a_plan_file_is_replayed_as_a_timeline_to_its_end() {
    let out = grantsim(&["replay", LIFE, "--timeline"]).succeeds();
    assert!(out.contains("ff_claim_execution e1: OK"), "{out}");
    assert!(out.contains("the end: every execution is terminal"), "{out}");
    assert!(out.ends_with("\nno violation\n"), "{out}");
    assert!(!out.contains("eligible of lane"), "the life of a grant shows an index:\n{out}");
    let full = grantsim(&["replay", LIFE, "--timeline=full"]).succeeds();
    assert!(full.contains("e1 into eligible of lane gold"), "{full}");
    grantsim(&["replay", LIFE, "--timeline=novel"]).fails(BAD_INPUT, &["novel", "life", "full"]);
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
fn a_plan_that_breaks_a_property_prints_a_line_that_replays_it() {
    let plan = written("a plan's name.json", &fs::read_to_string(LIFE).expect("the plan is there"));
    let broken = grantsim(&["replay", &plan, "--mutant", "keep-grant"]);
    assert_eq!(broken.code, BROKEN, "{}{}", broken.out, broken.err);
    let line =
        broken.out.lines().find_map(|line| line.trim().strip_prefix("replay:")).expect("a line to copy");
    let words = shlex::split(line).expect("a shell can read it");
    let expected =
        ["cargo", "run", "--release", "--", "replay", &plan, "--mutant", "keep-grant", "--timeline"];
    assert_eq!(words, expected, "{line}");
}

#[test]
fn what_a_run_does_is_shown_once_though_it_is_run_twice() {
    for verbose in ["-v", "-vv"] {
        let ran = grantsim(&["replay", LIFE, verbose]);
        let lines: Vec<&str> = ran.err.lines().collect();
        assert!(lines.len() > 20, "{verbose} shows little:\n{}", ran.err);
        let (one, other) = lines.split_at(lines.len() / 2);
        assert_ne!(one, other, "{verbose} shows both runs");
        let claims = |lines: &[&str]| lines.iter().filter(|line| line.contains("ff_claim_execution")).count();
        assert!(
            claims(one) == 0 || claims(other) == 0 || claims(one) != claims(other),
            "{verbose} shows both runs"
        );
    }
}

#[test]
fn faults_that_never_happened_or_were_hidden_are_told_in_words() {
    let call = r#""call": { "node": "worker-1", "function": "ff_renew_lease", "nth": "#;
    let faults = format!(
        r#""faults": [
            {{ "fault": "lose_request", {call} 1 }} }},
            {{ "fault": "lose_reply", {call} 1 }} }},
            {{ "fault": "lose_request", {call} 99 }} }}
        ],
        "executions": ["#
    );
    let plan = changed_plan("idle-faults.json", "\"executions\": [", &faults);
    let out = grantsim(&["replay", &plan]).succeeds();
    let told: Vec<&str> = out.lines().filter(|line| line.starts_with("fault ")).collect();
    assert_eq!(
        told,
        [
            "fault 2 (lost-reply: ff_renew_lease #1 of worker-1) came to nothing: fault 1 had hit the same first",
            "fault 3 (lost-request: ff_renew_lease #99 of worker-1) never happened: what it was to hit never came",
        ]
    );
}

#[test]
fn the_timeline_of_a_run_that_hangs_ends_with_the_call_that_does_not_return() {
    let call = "redis.register_function('ff_renew_lease', function(keys, args)";
    let hangs = changed_library("hangs.lua", call, &format!("{call} while true do end"));
    let trace = scratch("hangs.jsonl");
    let replay = grantsim(&["replay", LIFE, "--library", &hangs, "--timeline", "--trace", utf8(&trace)]);
    replay.fails(BAD_INPUT, &["ff_renew_lease", "did not return"]);
    let story: Vec<&str> = replay.out.lines().collect();
    let claimed = story.iter().position(|line| line.contains("ff_acquire_lease e1: OK"));
    let renewed = story.iter().position(|line| line.contains("→ ff_renew_lease e1"));
    assert!(claimed.is_some() && claimed < renewed, "{}", replay.out);
    assert!(replay.out.contains("the end: stopped in a function that did not return"), "{}", replay.out);
    // Its trace tells the same, and that not all of it is there.
    let again = grantsim(&["replay", utf8(&trace), "--timeline"]);
    assert_eq!((again.code, again.out), (BAD_INPUT, replay.out));
}

#[test]
fn what_broke_before_a_function_hung_is_told_too() {
    let call = "redis.register_function('ff_complete_execution', function(keys, args)";
    let minimal = changed_library("hangs-late.lua", call, &format!("{call} while true do end"));
    let replay = grantsim(&["replay", LIFE, "--library", &minimal, "--mutant", "keep-grant"]);
    replay.fails(BAD_INPUT, &["ff_complete_execution", "did not return"]);
    assert!(replay.out.contains("fingerprint: at-most-once/"), "{}", replay.out);
}

#[test]
fn a_library_that_goes_by_addresses_is_not_deterministic_and_what_differs_is_shown() {
    let grant = "redis.register_function('ff_issue_claim_grant', function(keys, args)";
    let by_address = format!(
        "{grant}
  local by_address, order = {{}}, ''
  for i = 1, 60 do by_address[{{ i }}] = i end
  for _, i in pairs(by_address) do order = order .. i .. ' ' end
  redis.call('HSET', keys[1], 'order', order)"
    );
    let library = changed_library("by-address.lua", grant, &by_address);
    let replay = grantsim(&["replay", LIFE, "--library", &library]);
    replay.fails(NOT_DETERMINISTIC, &["two runs of the same plan differ from event", "pairs"]);
    assert!(replay.out.contains("one run:\n") && replay.out.contains("the other:\n"), "{}", replay.out);
    let orders: Vec<&str> = replay.out.lines().filter(|line| line.contains("\"order\"")).collect();
    assert!(orders.len() == 2 && orders[0] != orders[1], "{}", replay.out);
}
