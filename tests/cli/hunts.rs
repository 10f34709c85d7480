//! Many seeds: the summary, the report as JSON, and violations with a line that replays them.

use std::fs;

use serde_json::Value;

use super::{ALL_HELD, BROKEN, grantsim, hunt, scratch};

#[test]
fn a_hunt_in_which_all_holds_ends_0_and_prints_the_counts() {
    let out = grantsim(&["hunt", "--seeds", "3"]).succeeds();
    for part in
        ["3 run, 3 passed", "grants", "claims", "expired", "faults", "s simulated", "no new violation"]
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
    let report: Value = serde_json::from_str(&text).expect("the report is JSON");
    let names = [
        "seeds",
        "passed",
        "known",
        "fixed",
        "in_baseline",
        "first_token",
        "last_token",
        "violations",
        "errors",
        "hung",
        "reach",
        "not_reached",
        "events",
        "grants",
        "claims",
        "functions",
        "sim_seconds",
        "wall_seconds",
        "resume",
    ];
    for name in names {
        assert!(!report[name].is_null(), "the report has no {name}:\n{text}");
    }
    assert_eq!(report["seeds"], 3);
    assert_eq!(report["passed"], 3);
    // Each call is counted once, by function and answer.
    let answers = report["functions"].as_object().expect("by function").values();
    let calls = answers.flat_map(|answers| answers.as_object().expect("by answer").values());
    assert_eq!(calls.map(|count| count.as_u64().expect("a number")).sum::<u64>(), report["calls"]);
    let granted = ["ff_issue_claim_grant", "ff_issue_reclaim_grant"]
        .map(|function| report["functions"][function]["OK"].as_u64());
    assert_eq!(granted.into_iter().flatten().sum::<u64>(), report["grants"]);
    assert!(report["library"]["version"].is_string());
    assert_eq!(report["library"]["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn the_shards_of_a_hunt_are_the_hunt_in_parts() {
    let report = |name: &str, shard: &str| hunt(name, ALL_HELD, &["--seeds", "3", "--shard", shard]);
    let (whole, odd, even) = (report("1-1", "1/1"), report("1-2", "1/2"), report("2-2", "2/2"));
    let number = |report: &Value, name: &str| report[name].as_u64().expect("a number");
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
    let hunt = grantsim(&[
        "hunt",
        "--profile",
        "race",
        "--seeds",
        "2",
        "--mutant",
        "keep-grant",
        "--no-shrink",
        "--json",
        path,
    ]);
    assert_eq!(hunt.code, BROKEN, "{}", hunt.err);
    let text = fs::read_to_string(path).expect("the report was written");
    let report: Value = serde_json::from_str(&text).expect("the report is JSON");
    for name in ["property", "fingerprint", "token", "message"] {
        assert!(report["violations"][0][name].is_string(), "the violation has no {name}:\n{text}");
    }
}

#[test]
fn a_mutant_is_found_and_the_replay_line_shows_it_again() {
    let hunt =
        grantsim(&["hunt", "--profile", "race", "--seeds", "2", "--mutant", "keep-grant", "--no-shrink"]);
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

/// The words of the README's block of the report's names.
fn promised() -> Vec<&'static str> {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("```text\nseeds, passed,").expect("the README has the block");
    let (block, _) = rest.split_once("\n```").expect("it ends");
    let words = block.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.chain(["seeds", "passed"]).filter(|word| !word.is_empty()).collect()
}

#[test]
fn the_readme_promises_every_name_that_is_in_a_report() {
    let args = ["--seeds", "4", "--mutant", "keep-grant", "--profile", "crash"];
    let report = hunt("promised", BROKEN, &args);
    let promised = promised();
    for part in [&report, &report["violations"][0], &report["resume"], &report["library"]] {
        for name in part.as_object().expect("an object").keys() {
            assert!(promised.contains(&name.as_str()), "{name} is not in the README");
        }
    }
    let not_in_all =
        ["shrunk", "not_shrunk", "errors", "hung", "executions", "workers", "minimal", "runs", "plan"];
    for name in not_in_all {
        assert!(promised.contains(&name), "{name} is not in the README");
    }
}
