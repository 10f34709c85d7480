//! Flags do what they say: each is given and left out, and what it is to change changes.

use grantsim::{
    plan::{file::PlanFile, token::Token},
    trace::Trace,
};
use serde_json::Value;

use super::{
    ALL_HELD, BAD_INPUT, BROKEN, LIFE, changed_library, fingerprints, grantsim, hunt, scratch, utf8,
};

/// A library that breaks on one server only: there a claim leaves its grant where it is.
fn breaks_on_redis_7(name: &str) -> String {
    let spend = "  redis.call('DEL', keys[2])\n";
    changed_library(name, spend, &format!("  if redis.REDIS_VERSION ~= '7.0.15' then{spend}  end\n"))
}

/// The line to copy in what a hunt or a replay printed, as arguments.
fn replay_line(out: &str) -> Vec<&str> {
    let line = out.lines().find_map(|line| line.trim().strip_prefix("replay:"));
    let line = line.and_then(|line| line.trim().strip_prefix("cargo run --release -- "));
    line.unwrap_or_else(|| panic!("no line to copy:\n{out}")).split_whitespace().collect()
}

#[test]
fn dialect_chooses_the_server_of_a_hunt_and_of_its_replay_line() {
    let library = breaks_on_redis_7("redis-only.lua");
    grantsim(&["hunt", "--seeds", "3", "--library", &library]).succeeds();
    grantsim(&["hunt", "--seeds", "3", "--library", &library, "--dialect", "valkey-8"]).succeeds();
    let redis = ["--dialect", "redis-7", "--no-shrink"];
    let broken = grantsim(&[&["hunt", "--seeds", "3", "--library", &library], &redis as &[&str]].concat());
    assert_eq!(broken.code, BROKEN, "{}{}", broken.out, broken.err);
    let line = replay_line(&broken.out);
    assert!(line.windows(2).any(|words| words == ["--dialect", "redis-7"]), "{line:?}");
    assert_eq!(grantsim(&line).code, BROKEN);
}

#[test]
fn dialect_chooses_the_server_of_a_replay_and_is_in_what_it_writes() {
    let library = breaks_on_redis_7("redis-only-replay.lua");
    grantsim(&["replay", LIFE, "--library", &library]).succeeds();
    let (trace, plan) = (scratch("redis.jsonl"), scratch("redis.json"));
    let redis = ["--dialect", "redis-7", "--trace", utf8(&trace), "--plan", utf8(&plan)];
    assert_eq!(
        grantsim(&[&["replay", LIFE, "--library", &library], &redis as &[&str]].concat()).code,
        BROKEN
    );
    let trace = Trace::read(std::fs::read(trace).expect("it was written").as_slice()).expect("a trace");
    let plan = PlanFile::read(&plan).expect("a plan").plan;
    assert_eq!((trace.header.dialect.name(), plan.dialect.name()), ("redis-7", "redis-7"));
}

#[test]
fn for_hunts_that_long() {
    let report = hunt("for", ALL_HELD, &["--for", "1s", "--profile", "calm"]);
    let seconds = report["wall_seconds"].as_f64().expect("a number");
    // Each job ends the seed that it has begun; of the default number of seeds there is no trace.
    assert!((1.0..30.0).contains(&seconds), "{seconds} s");
    assert!(report["seeds"] != 500 && report["interrupted"] == false, "{report}");
    grantsim(&["hunt", "--for", "1s", "--seeds", "3"]).fails(BAD_INPUT, &["--for", "--seeds"]);
    grantsim(&["hunt", "--for", "soon"]).fails(BAD_INPUT, &["soon", "10m"]);
}

#[test]
fn property_limits_what_is_judged() {
    let broken = ["--profile", "race", "--seeds", "4", "--mutant", "keep-grant"];
    let all = hunt("all-properties", BROKEN, &broken);
    assert!(fingerprints(&all["violations"]).iter().any(|it| it.starts_with("at-most-once/")));
    assert_eq!(all["fixed"], serde_json::json!({}), "a mutant fixes nothing, whatever it hides");
    let lane = hunt("lane-only", ALL_HELD, &[&broken as &[&str], &["--property", "lane"]].concat());
    assert_eq!(fingerprints(&lane["violations"]), Vec::<&str>::new());
    let named = ["--property", "at-most-once", "--property", "lane", "--property", "at-most-once"];
    let two = hunt("two-properties", BROKEN, &[&broken as &[&str], &named].concat());
    assert!(fingerprints(&two["violations"]).iter().all(|it| it.starts_with("at-most-once/")));
    assert_eq!(two["reach"], all["reach"], "what is reached is counted all the same");
    grantsim(&["replay", LIFE, "--mutant", "keep-grant", "--property", "lane"]).succeeds();
    assert_eq!(
        grantsim(&["replay", LIFE, "--mutant", "keep-grant", "--property", "at-most-once"]).code,
        BROKEN
    );
    grantsim(&["hunt", "--property", "grant-raced"])
        .fails(BAD_INPUT, &["grant-raced", "grantsim properties"]);
}

#[test]
fn however_many_jobs_the_report_is_the_same_to_the_byte_but_for_the_time_it_took() {
    let text = |name: &str, jobs: &str, more: &[&str], code: i32| {
        hunt(name, code, &[&["--seeds", "8", "--start", "4", "--jobs", jobs], more].concat());
        let text = std::fs::read_to_string(scratch(&format!("{name}.json"))).expect("the report was written");
        let is_time = |line: &&str| line.trim_start().starts_with("\"wall_seconds\": ");
        let (times, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(is_time);
        assert_eq!(times.len(), 1, "{text}");
        rest.join("\n")
    };
    assert_eq!(text("jobs-1", "1", &[], ALL_HELD), text("jobs-2", "2", &[], ALL_HELD));
    let broken = ["--mutant", "no-fence", "--profile", "crash", "--property", "fence"];
    assert_eq!(text("broken-1", "1", &broken, BROKEN), text("broken-7", "7", &broken, BROKEN));
}

#[test]
fn start_is_the_first_seed_in_hex_as_in_a_token() {
    let whole = hunt("from-0", ALL_HELD, &["--seeds", "3"]);
    let (head, tail) = (
        hunt("first-two", ALL_HELD, &["--seeds", "2"]),
        hunt("from-2", ALL_HELD, &["--seeds", "1", "--start", "2"]),
    );
    for name in ["events", "grants", "claims"] {
        let number = |report: &Value| report[name].as_u64().expect("a number");
        assert_eq!(number(&head) + number(&tail), number(&whole), "{name}");
    }
    let high = hunt("from-ff", ALL_HELD, &["--seeds", "2", "--start", "0xff", "--profile", "calm"]);
    let token = |seed| Value::from(Token::new("calm", seed).expect("a profile").to_string());
    assert_eq!((&high["first_token"], &high["last_token"]), (&token(0xff), &token(0x100)));
    grantsim(&["hunt", "--start", "xyz"]).fails(BAD_INPUT, &["xyz", "hexadecimal"]);
}

#[test]
fn shard_is_a_share_that_there_is() {
    for share in ["0/2", "3/2", "1", "a/b", "1/0"] {
        grantsim(&["hunt", "--shard", share]).fails(BAD_INPUT, &["no share", "1/4"]);
    }
}

#[test]
fn mutant_breaks_the_library_of_a_hunt_and_of_a_replay() {
    grantsim(&["replay", LIFE]).succeeds();
    assert_eq!(grantsim(&["replay", LIFE, "--mutant", "keep-grant"]).code, BROKEN);
    let report = hunt("keep-grant", BROKEN, &["--seeds", "2", "--profile", "race", "--mutant", "keep-grant"]);
    assert_eq!(report["library"]["version"], "34+keep-grant");
    assert_eq!(report["known"], serde_json::json!({}), "what is new is not known");
}
