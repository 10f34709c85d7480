//! The violations of a hunt, shrunk: the plan in a file, the story of that plan, and what was not shrunk.

use std::{fs, path::PathBuf};

use grantsim::plan::file::PlanFile;
use serde_json::Value;

use super::{BROKEN, MINIMAL, Ran, grantsim, read_json, scratch, utf8};

/// A hunt of a small library, as what is shrunk is run many times, that finds one kind of violation; with a folder of its own for failures.
fn shrinking(name: &str, args: &[&str]) -> (Ran, Value, PathBuf) {
    let (folder, report) = (scratch(&format!("{name}-failures")), scratch(&format!("{name}.json")));
    let fixed = ["hunt", "--library", MINIMAL, "--mutant", "keep-grant", "--profile", "race", "--seeds", "2"];
    let args = [&["--json", utf8(&report)], args].concat();
    let ran = grantsim(&[&fixed as &[&str], &["--failures", utf8(&folder)], &args].concat());
    assert_eq!(ran.code, BROKEN, "{}{}", ran.out, ran.err);
    (ran, read_json(&report), folder)
}

fn line_to_copy<'o>(out: &'o str, title: &str) -> Vec<&'o str> {
    let line = out.lines().find_map(|line| line.trim().strip_prefix(title));
    let line = line.and_then(|line| line.trim().strip_prefix("cargo run --release -- "));
    let line = line.unwrap_or_else(|| panic!("no {title} line:\n{out}"));
    line.split("   (").next().expect("a part").split_whitespace().collect()
}

#[test]
fn a_hunt_shrinks_what_it_finds_and_prints_the_token_and_the_plan() {
    let _ = fs::remove_dir_all(scratch("shrinks-failures"));
    let (ran, report, folder) = shrinking("shrinks", &["--property", "at-most-once"]);
    let found = &report["violations"][0];
    let path = found["shrunk"]["plan"].as_str().expect("the path of a plan");
    assert!(path.starts_with(utf8(&folder)) && path.contains("at-most-once.ff_acquire_lease.OK."), "{path}");
    let file = PlanFile::read(path.as_ref()).expect("a plan was written");
    let (fingerprint, token) =
        (found["fingerprint"].as_str().expect("one"), found["token"].as_str().expect("one"));
    assert!(file.about.contains(fingerprint) && file.about.contains(token), "{}", file.about);
    let version = file.library.expect("it is recorded").version;
    assert!(version.starts_with("minimal@") && version.ends_with("+keep-grant"), "{version}");
    assert_eq!((file.plan.executions.len(), file.plan.faults.len()), (1, 0));
    let shrunk = &found["shrunk"];
    assert_eq!(
        (&shrunk["executions"], &shrunk["faults"], &shrunk["minimal"]),
        (&1.into(), &0.into(), &true.into())
    );
    // Both lines show the violation again; the first is that of the shrunk plan.
    for (title, what) in [("replay:", path), ("as found:", token)] {
        let line = line_to_copy(&ran.out, title);
        assert_eq!(line[..2], ["replay", what], "{title}");
        let replay = grantsim(&line);
        assert_eq!(replay.code, BROKEN, "{}{}", replay.out, replay.err);
        assert!(replay.out.contains(&format!("fingerprint: {fingerprint}")), "{}", replay.out);
    }
    assert!(ran.out.contains(&format!("shrunk to:   {path}: 1 execution, ")), "{}", ran.out);
}

#[test]
fn a_plan_that_is_there_already_is_not_changed() {
    let folder = scratch("shrinks-again-failures");
    let _ = fs::remove_dir_all(&folder);
    let args = ["--property", "at-most-once"];
    let (_, first, _) = shrinking("shrinks-again", &args);
    let (_, second, _) = shrinking("shrinks-again", &args);
    assert_eq!(first["violations"], second["violations"], "the same plan is in the same file");
    let path = first["violations"][0]["shrunk"]["plan"].as_str().expect("a path").to_owned();
    fs::write(&path, "mine").expect("it is there");
    let (_, third, _) = shrinking("shrinks-again", &args);
    let other = third["violations"][0]["shrunk"]["plan"].as_str().expect("a path");
    assert!(other != path && other.ends_with("-2.json"), "{other}");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "mine");
}

#[test]
fn what_was_shrunk_before_is_not_shrunk_again_when_a_hunt_goes_on() {
    let _ = fs::remove_dir_all(scratch("shrinks-once-failures"));
    let args = ["--property", "at-most-once"];
    let (ran, first, _) = shrinking("shrinks-once", &args);
    assert!(ran.err.contains("shrinking g1-race-"), "{}", ran.err);
    let report = scratch("shrinks-once.json");
    let resume = [&args as &[&str], &["--resume", utf8(&report)]].concat();
    let (ran, second, _) = shrinking("shrinks-once", &resume);
    assert!(!ran.err.contains("shrinking"), "{}", ran.err);
    assert_eq!(first["violations"], second["violations"]);
    assert!(ran.out.contains("shrunk to: "), "{}", ran.out);
    // Without its file there is nothing to go on from.
    fs::remove_dir_all(scratch("shrinks-once-failures")).expect("it is there");
    let (ran, third, _) = shrinking("shrinks-once", &resume);
    assert!(ran.err.contains("shrinking"), "{}", ran.err);
    assert_eq!(first["violations"], third["violations"]);
}

#[test]
fn what_is_not_shrunk_is_said_and_shown_as_it_was_found() {
    let (ran, report, folder) = shrinking("shrinks-nothing", &["--shrink-for", "0s"]);
    let violations = report["violations"].as_array().expect("a list");
    for found in violations {
        assert!(found["shrunk"].is_null() && found["not_shrunk"].is_string(), "{found}");
        assert!(ran.err.contains(&format!("not shrunk: {}", found["fingerprint"].as_str().expect("one"))));
    }
    assert_eq!(ran.out.matches("  not shrunk:  the time").count(), violations.len(), "{}", ran.out);
    assert!(line_to_copy(&ran.out, "replay:")[1].starts_with("g1-race-") && !folder.exists(), "{}", ran.out);
    // A file where the folder should be.
    fs::write(&folder, "mine").expect("a file");
    let (ran, report, _) = shrinking("shrinks-nothing", &["--property", "at-most-once"]);
    let why = report["violations"][0]["not_shrunk"].as_str().expect("a reason");
    assert!(why.contains("cannot be written") && why.contains(utf8(&folder)), "{why}");
    assert!(ran.out.contains("  not shrunk:  its plan cannot be written"), "{}", ran.out);
    fs::remove_file(&folder).expect("it is there");
}

#[test]
fn a_hunt_that_is_not_to_shrink_does_not() {
    let report = scratch("unshrunk.json");
    let args = ["hunt", "--mutant", "keep-grant", "--profile", "race", "--seeds", "1", "--no-shrink"];
    let ran = grantsim(&[&args as &[&str], &["--json", utf8(&report)]].concat());
    assert_eq!(ran.code, BROKEN);
    assert!(!ran.out.contains("shrunk") && !ran.err.contains("shr"), "{}{}", ran.out, ran.err);
    let found = &read_json(&report)["violations"][0];
    assert!(found["shrunk"].is_null() && found["not_shrunk"].is_null(), "{found}");
}
