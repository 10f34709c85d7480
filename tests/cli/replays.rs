//! One run again: its timeline, its faults, its plan as a file.

use std::{fs, path::Path};

use grantsim::plan::{file::PlanFile, token::Token};

use super::{
    ALL_HELD, BAD_INPUT, BROKEN, LIFE, NOT_DETERMINISTIC, changed_library, changed_plan, goes_by_addresses,
    grantsim, scratch, utf8, written,
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
    grantsim(&["replay", LIFE, "--timeline=novel"]).fails(BAD_INPUT, &["novel", "life", "order", "full"]);
    let order = grantsim(&["replay", LIFE, "--timeline=order"]).succeeds();
    assert!(
        order.contains("\nvalkey       ff_claim_execution e1: OK  (worker-1 as w1-1.1; lane gold)\n"),
        "{order}"
    );
}

#[test]
fn one_execution_is_told_alone_and_an_unknown_one_is_told_the_nearest() {
    let token = Token::new("swarm", 5).expect("a profile").to_string();
    let all = grantsim(&["replay", &token, "--timeline"]).out;
    let one = grantsim(&["replay", &token, "--execution", "e3"]).out;
    assert!(one.contains("ff_create_execution e3: OK") && !one.contains("ff_create_execution e4"), "{one}");
    assert!(one.lines().count() < all.lines().count() / 2, "{one}");
    let full = grantsim(&["replay", &token, "--execution", "e3", "--timeline=full"]).out;
    assert!(full.contains("e3 into eligible of lane "), "{full}");
    let both = grantsim(&["replay", &token, "--execution", "e3", "--execution", "e4"]).out;
    assert!(both.contains("ff_create_execution e3") && both.contains("ff_create_execution e4"), "{both}");
    let unknown = grantsim(&["replay", &token, "--execution", "e333"]);
    unknown.fails(BAD_INPUT, &["no execution of this run is called \"e333\"", "e3"]);
    let trace = scratch("one-execution.jsonl");
    grantsim(&["replay", &token, "--trace", utf8(&trace)]);
    assert_eq!(
        grantsim(&["replay", utf8(&trace), "--execution", "e3", "--timeline=full"]).out.lines().next(),
        full.lines().next()
    );
    grantsim(&["replay", utf8(&trace), "--execution", "e333"]).fails(BAD_INPUT, &["e333"]);
}

#[test]
fn strict_makes_a_violation_of_a_known_finding_in_a_plan_and_in_a_trace() {
    let plan = "fixtures/findings/cancel-under-expired-lease/plan.json";
    let trace = scratch("strict.jsonl");
    let lenient = grantsim(&["replay", plan, "--trace", utf8(&trace)]).succeeds();
    assert!(lenient.contains("known finding cancel-under-expired-lease"), "{lenient}");
    for what in [plan, utf8(&trace)] {
        let strict = grantsim(&["replay", what, "--strict"]);
        assert_eq!(strict.code, BROKEN, "{}{}", strict.out, strict.err);
        assert!(
            strict.out.contains("fingerprint: fence/ff_cancel_execution/OK/expired-lease"),
            "{}",
            strict.out
        );
        assert!(!strict.out.contains("known finding"), "{}", strict.out);
    }
}

#[test]
fn the_command_that_a_block_names_for_what_it_left_out_shows_it() {
    let broken = |seed| {
        let token = Token::new("crash", seed).expect("a profile").to_string();
        let broken = grantsim(&["replay", &token, "--mutant", "no-fence"]);
        let is_meant = broken.code == BROKEN && broken.out.contains("\n  left out:    ");
        is_meant.then_some(broken)
    };
    let broken = (0..12).find_map(broken).expect("a life too long for a screen");
    let line = broken.out.lines().find_map(|line| line.strip_prefix("  left out:    ")).expect("a line");
    let (count, command) = line.split_once(": cargo run --release -- ").expect("a command");
    let args: Vec<&str> = command.split(' ').collect();
    let shown = grantsim(&args);
    let timeline = shown.out.split("the end:").next().expect("a timeline");
    let name = count.rsplit(' ').next().expect("a name");
    assert!(timeline.contains(&format!("ff_create_execution {name}")), "{timeline}");
    let marked = broken.out.lines().find_map(|line| line.strip_prefix("  > ")).expect("a marked line");
    assert!(marked.ends_with('…') || timeline.contains(marked), "{marked}\n{timeline}");
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
    let library = goes_by_addresses("by-address.lua");
    let replay = grantsim(&["replay", LIFE, "--library", &library]);
    replay.fails(NOT_DETERMINISTIC, &["two runs of the same plan differ from event", "pairs"]);
    assert!(replay.out.contains("one run:\n") && replay.out.contains("the other:\n"), "{}", replay.out);
    let orders: Vec<&str> = replay.out.lines().filter(|line| line.contains("\"order\"")).collect();
    assert!(orders.len() == 2 && orders[0] != orders[1], "{}", replay.out);
}
