//! Nothing is lost: a hunt that is killed, stopped, hangs, or finds the disk full, and one that goes on from its report.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use grantsim::{
    drive::{self, Subject},
    library::Library,
    plan::token::Token,
};
use serde_json::Value;

use super::{
    ALL_HELD, BAD_INPUT, BROKEN, MINIMAL, STALE, changed, changed_library, command, fingerprints, grantsim,
    hunt, read_json, scratch, utf8, written,
};

/// What is in a report that is waited for: none comes later than that.
const ROUNDS: usize = 12_000;

/// A hunt in the background that writes a report.
struct Background {
    child: Child,
    report: PathBuf,
}

impl Background {
    fn start(name: &str, args: &[&str]) -> Self {
        let report = scratch(&format!("{name}.json"));
        let _ = fs::remove_file(&report);
        let mut command = command(&[&["hunt", "--no-shrink", "--json", utf8(&report)], args].concat());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        Self { child, report }
    }

    /// Waits until the report says so, and is sure that it is valid at every look.
    fn wait_until(&mut self, says: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..ROUNDS {
            if self.report.exists() {
                let report = read_json(&self.report);
                if says(&report) {
                    return report;
                }
            }
            thread::park_timeout(Duration::from_millis(10));
        }
        panic!("the report never says so: {:?}", fs::read_to_string(&self.report));
    }

    fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &script]).status().expect("a shell runs");
        assert!(sent.success(), "{script}");
    }

    /// Waits for its end: the exit code (none where a signal ended it), what it printed, and its report.
    fn end(self) -> (Option<i32>, String, String, Value) {
        let output = self.child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let report = read_json(&self.report);
        (output.status.code(), text(output.stdout), text(output.stderr), report)
    }
}

/// The first line that says so, of those to come.
fn line_with(lines: &mut impl BufRead, part: &str) -> String {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        let length = lines.read_line(&mut line).expect("a line");
        assert!(length > 0, "it never says {part:?}, but:\n{said}");
        if line.contains(part) {
            return line;
        }
        said += &line;
    }
}

/// A report but for the time that it took.
fn timeless(report: &Value) -> Value {
    let mut report = report.clone();
    report["wall_seconds"] = Value::Null;
    report
}

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[cfg(unix)]
#[test]
fn a_hunt_that_was_killed_has_lost_nothing_and_goes_on_to_the_report_of_one_that_was_not() {
    let of_grants = ["--mutant", "keep-grant", "--profile", "crash", "--property", "at-most-once"];
    let args = [&of_grants as &[&str], &["--seeds", "12"]].concat();
    let mut killed = Background::start("killed", &args);
    killed.wait_until(|report| number(report, "seeds") > 0 && report["violations"][0].is_object());
    killed.signal("KILL");
    let path = killed.report.clone();
    let (code, _, _, left) = killed.end();
    assert_eq!(
        (code, &left["interrupted"]),
        (None, &true.into()),
        "it was over before it was killed: {left}"
    );
    let found = fingerprints(&left["violations"]).len();
    assert!(found > 0 && number(&left, "seeds") < 12, "{left}");
    let whole = hunt("never-killed", BROKEN, &args);
    let went_on = grantsim(&[&["hunt", "--no-shrink", "--resume", utf8(&path)], &args as &[&str]].concat());
    assert_eq!(went_on.code, BROKEN, "{}", went_on.err);
    assert_eq!(timeless(&read_json(&path)), timeless(&whole));
    // What is done already is not done again, and a hunt can be made longer.
    let again = hunt("done-already", BROKEN, &[&args as &[&str], &["--resume", utf8(&path)]].concat());
    assert_eq!(timeless(&again), timeless(&whole));
    let more = [&of_grants as &[&str], &["--seeds", "14", "--jobs", "1"]].concat();
    let longer = hunt("longer", BROKEN, &[&more as &[&str], &["--resume", utf8(&path)]].concat());
    assert_eq!(timeless(&longer), timeless(&hunt("as-long", BROKEN, &more)));
}

#[test]
fn a_hunt_does_not_go_on_from_the_report_of_another_one_or_from_what_is_none() {
    let path = scratch("to-go-on-from.json");
    let path = utf8(&path);
    grantsim(&["hunt", "--seeds", "2", "--profile", "calm", "--json", path]).succeeds();
    let text = fs::read_to_string(path).expect("it was written");
    let resume = |path: &str, args: &[&str]| {
        grantsim(&[&["hunt", "--seeds", "4", "--no-shrink", "--resume", path], args].concat())
    };
    resume(path, &[]).fails(BAD_INPUT, &[path, "profile is calm, and here it is swarm"]);
    let calm = ["--profile", "calm"];
    let with = |args: &[&'static str]| resume(path, &[&calm as &[&str], args].concat());
    with(&["--library", MINIMAL]).fails(BAD_INPUT, &["library is flowfabric 34", "here it is minimal"]);
    with(&["--mutant", "keep-grant"]).fails(BAD_INPUT, &["here it is flowfabric 34+keep-grant"]);
    with(&["--start", "5"]).fails(BAD_INPUT, &["first seed is 0, and here it is 5"]);
    with(&["--shard", "1/2"]).fails(BAD_INPUT, &["share of the seeds is 1/1", "1/2"]);
    with(&["--strict"]).fails(BAD_INPUT, &["--strict"]);
    assert_eq!(
        fs::read_to_string(path).expect("it is there"),
        text,
        "a report that is refused stays as it is"
    );
    resume("no-such.json", &calm).fails(BAD_INPUT, &["no-such.json", "No such file"]);
    let plan = scratch("no-report.json");
    fs::copy(super::LIFE, &plan).expect("a copy");
    resume(utf8(&plan), &calm).fails(BAD_INPUT, &["no-report.json", "no report", "--json"]);
    let first = Token::new("calm", 0).expect("a profile").to_string();
    let stale = written("stale-report.json", &text.replace(&first, "g1-calm-0-00000000"));
    resume(&stale, &calm).fails(STALE, &["another generator"]);
    let torn = written("torn-report.json", &text[..text.len() / 2]);
    resume(&torn, &calm).fails(BAD_INPUT, &["torn-report.json", "line"]);
    with(&[]).succeeds();
    assert_eq!(number(&read_json(Path::new(path)), "seeds"), 4);
}

#[cfg(unix)]
#[test]
fn sigterm_and_ctrl_c_end_a_hunt_with_its_report_and_its_summary() {
    for signal in ["TERM", "INT"] {
        let name = format!("stopped-by-{signal}");
        let mut stopped = Background::start(&name, &["--for", "1h", "--profile", "race"]);
        stopped.wait_until(|report| number(report, "seeds") > 0);
        stopped.signal(signal);
        let (code, out, err, report) = stopped.end();
        assert_eq!((code, &report["interrupted"]), (Some(ALL_HELD), &true.into()), "{err}");
        assert!(out.contains("passed, interrupted") && err.contains("a second Ctrl-C"), "{out}{err}");
        assert_eq!(report["hung"], Value::Array(Vec::new()), "what runs may end: {report}");
    }
}

/// A library in which every call about an execution of one seed takes half a second: nobody waits for its end.
fn slow_for_one_seed(name: &str, token: &Token) -> String {
    let minimal = Library::from_file(MINIMAL).expect("a library");
    let run = drive::run(&token.plan(), &Subject::new(minimal).expect("it loads")).expect("it runs");
    let slow: String = run.header.executions.iter().map(|(id, _)| format!("['{id}'] = true, ")).collect();
    let line = format!(
        "local slow = {{ {slow} }}
  for id in pairs(slow) do
    if keys[1]:find(id, 1, true) then for i = 1, 3500000 do tostring(i) end end
  end"
    );
    let slow = |text: String, function: &str| {
        let call = format!("redis.register_function('{function}', function(keys, args)");
        changed(MINIMAL, &text, &call, &format!("{call} {line}"))
    };
    let minimal = fs::read_to_string(MINIMAL).expect("minimal.lua is there");
    let functions =
        ["ff_create_execution", "ff_issue_claim_grant", "ff_acquire_lease", "ff_complete_execution"];
    written(name, &functions.into_iter().fold(minimal, slow))
}

#[cfg(unix)]
#[test]
fn a_run_that_hangs_is_told_while_the_others_go_on_and_is_named_when_the_hunt_is_stopped() {
    let hangs = Token::new("race", 2).expect("a profile");
    let library = slow_for_one_seed("slow-for-one.lua", &hangs);
    let args =
        ["--library", &library, "--profile", "race", "--seeds", "6", "--jobs", "2", "--hang-after", "1s"];
    let mut hunt = Background::start("hangs", &args);
    let mut errors = BufReader::new(hunt.child.stderr.take().expect("a pipe"));
    let told = line_with(&mut errors, &format!("token {hangs} has been running for"));
    assert!(told.contains("replay: ") && told.contains("--library"), "{told}");
    hunt.wait_until(|report| number(report, "seeds") == 5);
    hunt.signal("TERM");
    let (code, out, _, report) = hunt.end();
    assert_eq!((code, number(&report, "seeds"), number(&report, "passed")), (Some(ALL_HELD), 5, 5));
    assert_eq!((&report["interrupted"], &report["resume"]["done"]), (&true.into(), &"0-1,3-5".into()));
    let hung = report["hung"].as_array().expect("a list");
    assert!(hung.len() == 1 && hung[0]["token"] == hangs.to_string(), "{report}");
    assert!(out.contains(&format!("hung                {hangs} was still running")), "{out}");
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_a_hunt_at_once() {
    let library = slow_for_one_seed("slow-for-two.lua", &Token::new("calm", 0).expect("a profile"));
    let mut hunt = Background::start("twice", &["--library", &library, "--profile", "calm", "--seeds", "1"]);
    hunt.wait_until(|_| true);
    hunt.signal("INT");
    let mut errors = BufReader::new(hunt.child.stderr.take().expect("a pipe"));
    line_with(&mut errors, "a second Ctrl-C");
    hunt.signal("INT");
    assert_eq!(hunt.end().0, Some(130));
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_ends_the_hunt_with_what_it_has() {
    let path = scratch("full.json");
    let args = ["hunt", "--no-shrink", "--json", utf8(&path), "--mutant", "keep-grant", "--profile", "calm"];
    // How long the first report is, before any seed, and one with a violation.
    grantsim(&[&args as &[&str], &["--for", "0s"]].concat()).fails(BAD_INPUT, &["ran no seed"]);
    let before = fs::metadata(&path).expect("it was written").len();
    grantsim(&[&args as &[&str], &["--seeds", "12"]].concat()).fails(BROKEN, &[]);
    let after = fs::metadata(&path).expect("it was written").len();
    fs::remove_file(&path).expect("it is there");
    // As many blocks as the first one needs. A block has 512 bytes in some shells, and 1024 in others.
    let blocks = before.div_ceil(512);
    assert!(blocks * 1024 < after, "{before} bytes before the first seed, {after} after");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let program = env!("CARGO_BIN_EXE_grantsim");
    let output = Command::new("sh").args(["-c", &script, program]).args(args).args(["--for", "1h"]).output();
    let output = output.expect("a shell runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(BROKEN), "{err}");
    assert_eq!(err.matches("cannot write the report").count(), 2, "while it hunts and at its end: {err}");
    assert!(err.contains("full.json") && err.contains("File too large"), "{err}");
    assert!(out.contains("fingerprint: at-most-once/") && out.contains(", interrupted"), "{out}");
    assert_eq!(number(&read_json(&path), "seeds"), 0, "the last report that fitted is whole");
}

#[test]
fn a_report_that_cannot_be_written_from_the_start_runs_no_seed() {
    let ran = grantsim(&["hunt", "--for", "1h", "--json", "no/such/folder/report.json"]);
    ran.fails(BAD_INPUT, &["cannot write the report no/such/folder/report.json", "No such file"]);
    assert_eq!(ran.out, "");
}

#[test]
fn one_seed_that_fails_loses_nothing_of_the_others() {
    let call = "redis.register_function('ff_mark_lease_expired_if_due', function(keys, args)";
    let looping = changed_library("loops-sometimes.lua", call, &format!("{call} while true do end"));
    let report = hunt("some-fail", BAD_INPUT, &["--library", &looping, "--profile", "calm", "--seeds", "12"]);
    let failed: u64 = number(&report["errors"][0], "seeds");
    assert!((1..12).contains(&failed), "{failed} of 12 seeds fail: choose other seeds");
    assert_eq!((number(&report, "seeds"), number(&report, "passed")), (12, 12 - failed));
    assert_eq!(report["errors"][0]["exit"], BAD_INPUT);
    let token = report["errors"][0]["token"].as_str().expect("a token").to_owned();
    let args = ["hunt", "--no-shrink", "--library", &looping, "--profile", "calm", "--seeds", "12"];
    let broken = grantsim(&[&args as &[&str], &["--mutant", "keep-grant"]].concat());
    // What broke wins, and the run that failed is told all the same.
    broken.fails(BROKEN, &[&token, "did not return", "replay: "]);
    assert!(
        broken.out.contains("fingerprint: at-most-once/") && broken.out.contains("\nfailed "),
        "{}",
        broken.out
    );
}
