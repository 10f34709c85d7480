//! A run as a file: judged and told by itself, and refused when it is not whole.

use std::{fs, path::Path};

use grantsim::{
    drive,
    plan::{file::PlanFile, token::Token},
    trace::{Trace, What},
};
use valkey_sim::engine::Effects;

use super::{BAD_INPUT, BROKEN, LIFE, MINIMAL, STALE, changed_plan, grantsim, scratch, utf8, written};

#[test]
fn the_trace_that_a_replay_writes_is_the_run() {
    let path = scratch("life.jsonl");
    let path = path.to_str().expect("a path in UTF-8");
    grantsim(&["replay", LIFE, "--trace", path]).succeeds();
    let read = Trace::read(fs::read(path).expect("the trace was written").as_slice());
    let plan = PlanFile::read(Path::new(LIFE)).expect("a plan").plan;
    assert_eq!(read.expect("a trace"), drive::run(&plan, &crate::common::PUBLISHED).expect("a run"));
}

/// The happy path's trace with one piece of its text replaced.
fn changed_trace(name: &str, change: impl FnOnce(String) -> String) -> String {
    let path = scratch(&format!("{name}-before.jsonl"));
    grantsim(&["replay", LIFE, "--trace", utf8(&path)]).succeeds();
    let text = fs::read_to_string(path).expect("the trace was written");
    let changed = change(text.clone());
    assert_ne!(changed, text, "the trace has changed: nothing was replaced");
    written(&format!("{name}.jsonl"), &changed)
}

/// Runs a plan, then tells its trace: both must say the same.
fn assert_told_alike(name: &str, what: &str, args: &[&str]) {
    let path = scratch(&format!("{name}.jsonl"));
    let run = grantsim(&[&["replay", what, "--timeline=full", "--trace", utf8(&path)], args].concat());
    let told = grantsim(&["replay", utf8(&path), "--timeline=full"]);
    assert_eq!(told.code, run.code, "{}{}", told.out, told.err);
    // The lines to copy name what was replayed, and a trace does not say what a fault was, nor which clocks were wrong.
    let own = ["  replay:", "  left out:", "  clocks:", "fault "];
    let comparable = |out: &str| -> String {
        let kept = out.lines().filter(|line| own.iter().all(|own| !line.starts_with(own)));
        kept.map(|line| line.to_owned() + "\n").collect()
    };
    assert_eq!(comparable(&told.out), comparable(&run.out));
}

#[test]
fn a_trace_file_is_judged_and_told_as_its_run_was() {
    assert_told_alike("told-life", LIFE, &[]);
    assert_told_alike("told-mutant", LIFE, &["--mutant", "keep-grant"]);
    assert_told_alike("told-finding", "fixtures/findings/cancel-under-expired-lease/plan.json", &[]);
    let token = Token::new("swarm", 5).expect("a profile").to_string();
    assert_told_alike("told-token", &token, &[]);
    assert_told_alike("told-redis", &token, &["--dialect", "redis-7"]);
}

#[test]
fn what_became_of_its_faults_is_in_a_trace_too() {
    let idle = r#""faults": [{ "fault": "lose_request", "call": { "node": "worker-1", "function": "ff_renew_lease", "nth": 99 } }], "executions": ["#;
    let plan = changed_plan("trace-of-idle.json", "\"executions\": [", idle);
    let path = scratch("idle.jsonl");
    grantsim(&["replay", &plan, "--trace", utf8(&path)]).succeeds();
    let told = grantsim(&["replay", utf8(&path)]).succeeds();
    assert!(told.contains("fault 1 never happened"), "{told}");
}

#[test]
fn a_trace_whose_effects_were_tampered_with_is_judged_by_what_it_says_now() {
    // The claim's grant stays where it was: its deletion is written as that of another key.
    let kept = changed_trace("tampered", |text| {
        let mut trace = Trace::read(text.as_bytes()).expect("a trace");
        let spends = |effect: &[Vec<u8>]| matches!(effect, [command, key] if command.eq_ignore_ascii_case(b"DEL") && key.ends_with(b":claim_grant"));
        for event in &mut trace.events {
            let What::Executed(executed) = &mut event.what else { continue };
            let effects: Vec<Vec<Vec<u8>>> =
                executed.effects.iter().map(|effect| effect.args().map(<[u8]>::to_vec).collect()).collect();
            executed.effects = Effects::default();
            for effect in effects.iter().filter(|effect| !spends(effect)) {
                let args: Vec<&[u8]> = effect.iter().map(Vec::as_slice).collect();
                executed.effects.push(&args);
            }
        }
        let mut out = Vec::new();
        trace.write(&mut out).expect("it is written to memory");
        String::from_utf8(out).expect("a trace is JSON")
    });
    let told = grantsim(&["replay", &kept]);
    assert_eq!(told.code, BROKEN, "{}{}", told.out, told.err);
    assert!(told.out.contains("fingerprint: at-most-once/ff_claim_execution/OK/"), "{}", told.out);
}

#[test]
fn a_broken_trace_is_refused_with_its_line() {
    let broken = changed_trace("broken-event", |text| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines[4] = "{\"seq\": 3, \"weather\": \"fine\"}";
        lines.join("\n")
    });
    grantsim(&["replay", &broken]).fails(BAD_INPUT, &["broken-event.jsonl", "line 5", "no event"]);
    let header = changed_trace("broken-header", |text| text.replacen("\"sha256\"", "\"sha\"", 1));
    grantsim(&["replay", &header]).fails(BAD_INPUT, &["broken-header.jsonl", "line 1", "no header"]);
    grantsim(&["replay", "no-such.jsonl"]).fails(BAD_INPUT, &["no-such.jsonl", "No such file"]);
}

#[test]
fn a_trace_that_was_cut_short_is_refused() {
    let cut = |at: fn(&str) -> usize| move |text: String| text[..at(&text)].to_owned();
    let at_a_line =
        changed_trace("cut-at-a-line", cut(|text| text.trim_end().rfind('\n').expect("lines") + 1));
    let within = changed_trace("cut-within", cut(|text| text.len() - 20));
    let empty = changed_trace("cut-to-nothing", cut(|_| 0));
    for trace in [at_a_line, within, empty] {
        grantsim(&["replay", &trace]).fails(BAD_INPUT, &[&trace, "cut short"]);
    }
}

#[test]
fn a_trace_of_another_version_is_stale() {
    let other = changed_trace("other-version", |text| text.replacen("{\"schema\":2", "{\"schema\":99", 1));
    grantsim(&["replay", &other]).fails(STALE, &["other-version.jsonl", "schema 99"]);
}

#[test]
fn a_trace_takes_no_flags_that_belong_to_a_run() {
    let path = scratch("flags.jsonl");
    grantsim(&["replay", LIFE, "--trace", utf8(&path)]).succeeds();
    for flags in
        [["--library", MINIMAL], ["--mutant", "keep-grant"], ["--dialect", "redis-7"], ["--plan", "x.json"]]
    {
        grantsim(&[&["replay", utf8(&path)], &flags as &[&str]].concat())
            .fails(BAD_INPUT, &["trace", flags[0]]);
    }
    grantsim(&["replay", utf8(&path), "--property", "lane"]).succeeds();
}
