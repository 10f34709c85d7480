//! The command line as a user meets it: what it prints, what it writes, and the exit code that says which.
//!
//! Exit code 15 is a fault of the harness, which no command line can ask for: it is tested where it is decided
//! (`src/hunt/exit.rs`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use grantsim::{library::Library, plan::profile, property};
use serde_json::Value;

mod ci;
mod compares;
mod explores;
mod flags;
mod hunts;
mod inputs;
mod known;
mod lost;
mod pages;
mod replays;
mod shrinks;
mod smaller;
mod streams;
mod stuck;
mod traces;
mod unseen;

const ALL_HELD: i32 = 0;
const BAD_INPUT: i32 = 2;
const BROKEN: i32 = 10;
const STUCK: i32 = 11;
const NOT_DETERMINISTIC: i32 = 12;
const NOT_REACHED: i32 = 13;
const STALE: i32 = 14;

const LIFE: &str = "fixtures/plans/life-happy-path.json";
const MINIMAL: &str = "fixtures/libraries/minimal.lua";

/// What a run of the command came to.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantsim"));
    command.args(args);
    command
}

fn grantsim(args: &[&str]) -> Ran {
    let Output { status, stdout, stderr } =
        command(args).output().unwrap_or_else(|error| panic!("the command does not run: {error}"));
    let text = |bytes| String::from_utf8(bytes).expect("the command prints UTF-8");
    Ran {
        code: status.code().expect("the command is not killed by a signal"),
        out: text(stdout),
        err: text(stderr),
    }
}

/// Hunts without shrinking, demands an exit code, and reads the report. `name` is that of the report's file: each test has
/// its own.
#[track_caller]
fn hunt(name: &str, code: i32, args: &[&str]) -> Value {
    hunt_told(name, code, args).0
}

/// The same, and what it prints.
#[track_caller]
fn hunt_told(name: &str, code: i32, args: &[&str]) -> (Value, String) {
    let path = scratch(&format!("{name}.json"));
    let ran = grantsim(&[&["hunt", "--no-shrink", "--json", utf8(&path)], args].concat());
    assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
    (read_json(&path), ran.out)
}

/// The fingerprints of a list in a report.
fn fingerprints(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list of violations");
    list.iter().map(|found| found["fingerprint"].as_str().expect("a fingerprint")).collect()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("the report was written"))
        .expect("the report is JSON")
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

fn utf8(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn written(name: &str, text: &str) -> String {
    let path = scratch(name);
    fs::write(&path, text).expect("a temporary file");
    utf8(&path).to_owned()
}

/// A text with one piece of it replaced; `what` is what a failure calls it.
fn changed(what: &str, text: &str, from: &str, to: &str) -> String {
    assert_eq!(
        text.matches(from).count().min(1),
        1,
        "{what} has changed: it does not contain {from:?} any more"
    );
    text.replacen(from, to, 1)
}

/// minimal.lua with one piece of its text replaced.
fn changed_library(name: &str, from: &str, to: &str) -> String {
    let minimal = fs::read_to_string(MINIMAL).expect("minimal.lua is there");
    written(name, &changed(MINIMAL, &minimal, from, to))
}

/// A copy of minimal.lua in which a grant depends on where tables lie in memory: no two runs of it are the same.
fn goes_by_addresses(name: &str) -> String {
    let grant = "redis.register_function('ff_issue_claim_grant', function(keys, args)";
    let by_address = format!(
        "{grant}
  local by_address, order = {{}}, ''
  for i = 1, 60 do by_address[{{ i }}] = i end
  for _, i in pairs(by_address) do order = order .. i .. ' ' end
  redis.call('HSET', keys[1], 'order', order)"
    );
    changed_library(name, grant, &by_address)
}

/// The published library with pieces of its text replaced. It still says that it is version 34.
fn edited(name: &str, edits: &[(&str, &str)]) -> String {
    let published = Library::published().source().to_owned();
    let text =
        edits.iter().fold(published, |text, (from, to)| changed("the published library", &text, from, to));
    written(name, &text)
}

/// The happy path's plan file with one piece of its text replaced.
fn changed_plan(name: &str, from: &str, to: &str) -> String {
    let plan = fs::read_to_string(LIFE).expect("the plan is there");
    written(name, &changed(LIFE, &plan, from, to))
}

#[test]
fn every_property_and_every_profile_is_listed() {
    let properties = grantsim(&["properties"]).succeeds();
    for entry in property::catalogue::promises() {
        assert!(properties.contains(entry.name) && properties.contains(entry.claim), "{properties}");
    }
    let profiles = grantsim(&["profiles"]).succeeds();
    for profile in profile::PROFILES {
        assert!(profiles.contains(profile.name) && profiles.contains(profile.about), "{profiles}");
    }
}
