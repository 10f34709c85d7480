//! Plans and traces as files: what is written is read back, and whatever else is read is answered, never with a panic.

use crate::common::{PUBLISHED, plans, run, swarm};
use grantsim::{
    drive,
    plan::{
        file::{PlanFile, PlanFileError},
        profile,
        token::Token,
    },
    trace::{Trace, What, file::ReadError},
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Numbers at which sums and products overflow.
const EXTREMES: [fn() -> Value; 6] =
    [|| json!(0), || json!(1), || json!(-1), || json!(i64::MAX), || json!(i64::MIN), || json!(u64::MAX)];

fn file(seed: u64) -> PlanFile {
    let plan = swarm(seed);
    PlanFile { about: "what it shows".to_owned(), library: Some(PUBLISHED.reference()), plan }
}

fn lines(trace: &Trace) -> Vec<u8> {
    let mut bytes = Vec::new();
    trace.write(&mut bytes).expect("writing to memory does not fail");
    bytes
}

/// The paths of all numbers in a JSON value.
fn numbers(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(at.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| numbers(item, &format!("{at}/{i}"), found));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| numbers(field, &format!("{at}/{name}"), found));
        }
        _ => {}
    }
}

#[test]
fn a_trace_that_is_written_is_read_back() {
    for profile in profile::PROFILES {
        let token = Token::new(profile.name, 9).expect("a profile of the catalogue");
        let mut trace = run(&token.plan(), &PUBLISHED);
        trace.header.token = Some(token.to_string());
        let read = Trace::read(lines(&trace).as_slice()).expect("it was just written");
        assert_eq!(read, trace, "{token}");
        assert_eq!(read.digest(), trace.digest(), "{token}");
        assert_eq!(read.check(), Ok(()), "{token}");
    }
}

#[test]
fn a_trace_that_was_changed_into_what_no_server_does_is_told_by_its_event() {
    let mut trace = run(&file(1).plan, &PUBLISHED);
    let place = trace
        .events
        .iter()
        .position(|event| matches!(&event.what, What::Executed(it) if !it.effects.is_empty()));
    let event = &mut trace.events[place.expect("something is written")];
    let What::Executed(executed) = &mut event.what else { unreachable!("it was just found") };
    executed.effects.push(&[b"INCRBY", b"counter", b"not a number"]);
    let error = trace.check().expect_err("a number is one").to_string();
    assert!(error.contains(&format!("event {} of the trace", place.unwrap_or_default())), "{error}");
    assert!(error.contains("not an integer"), "{error}");
}

#[test]
fn a_trace_of_another_version_is_refused_whatever_else_its_header_says() {
    let read = Trace::read(&b"{\"schema\":99,\"weather\":\"fine\"}\n{}\n"[..]);
    assert!(matches!(read, Err(ReadError::Schema(99))), "{read:?}");
}

#[test]
fn a_trace_that_was_cut_short_is_never_taken_for_a_whole_one() {
    let bytes = lines(&run(&file(1).plan, &PUBLISHED));
    // Without its last newline it is still whole.
    for end in (0..bytes.len() - 1).rev().step_by(997).chain(bytes.len() - 40..bytes.len() - 1) {
        let read = Trace::read(&bytes[..end]);
        assert!(matches!(read, Err(ReadError::CutShort)), "cut at {end} of {}: {read:?}", bytes.len());
    }
}

#[test]
fn no_number_in_a_plan_breaks_the_harness() {
    let mut plan = file(3);
    // One that has everything: each kind of fault, a wrong clock, a delayed execution.
    plan.plan = serde_json::from_value(everything()).expect("a plan");
    let whole = serde_json::to_value(&plan).expect("a plan is plain data");
    let mut paths = Vec::new();
    numbers(&whole, "", &mut paths);
    let mut ran = 0;
    for path in &paths {
        for extreme in EXTREMES {
            let mut changed = whole.clone();
            *changed.pointer_mut(path).expect("the path was just found") = extreme();
            let Ok(file) = PlanFile::from_json("plan", &changed.to_string()) else { continue };
            ran += 1;
            if let Err(error) = drive::run(&file.plan, &PUBLISHED) {
                panic!("{path} = {}: {error}", extreme());
            }
        }
    }
    assert!(ran > paths.len(), "only {ran} of the changed plans could be run");
}

fn everything() -> Value {
    let call = |function: &str, nth: u32| json!({ "node": "worker-1", "function": function, "nth": nth });
    json!({
        "schema": 1, "seed": 1, "dialect": "valkey-8", "epoch_ms": 1_767_225_600_000u64, "run_for_ms": 1_500,
        "settings": grantsim::plan::Settings { partitions: 1, ..Default::default() },
        "network": { "latency_us": 500, "jitter_us": 100, "loss_ppm": 10 },
        "clocks": {
            "valkey": { "offset_ms": 5, "drift_ppm": 10, "steps": [{ "at_ms": 100, "by_ms": 10 }] },
            "worker-1": { "offset_ms": 5, "drift_ppm": 10, "steps": [{ "at_ms": 100, "by_ms": 10 }] },
        },
        "schedulers": 1,
        "workers": [{ "worker_id": "w1", "lanes": ["gold"], "slots": 2 }],
        "executions": [
            { "at_ms": 0, "lane": "gold", "priority": 5, "max_retries": 1,
              "work": [{ "takes_ms": 100, "ends": { "delay": 50 } }, { "takes_ms": 50, "ends": "fail" }] },
            { "at_ms": 10, "lane": "gold", "delay_ms": 100, "work": [{ "takes_ms": 100, "ends": "complete" }] },
        ],
        "faults": [
            { "fault": "crash", "node": "scanner", "at_ms": 100, "down_ms": 50 },
            { "fault": "pause", "node": "scheduler-1", "at_ms": 150, "for_ms": 50 },
            { "fault": "partition", "a": "worker-1", "b": "valkey", "at_ms": 200, "for_ms": 50 },
            { "fault": "at_deadline", "call": call("claim", 1), "deadline": "grant", "offset_ms": 0 },
            { "fault": "delay_request", "call": call("ff_renew_lease", 1), "by_ms": 100 },
            { "fault": "repeat_request", "call": call("claim", 2), "after_ms": 100 },
            { "fault": "grant_message", "from": "scheduler-1", "nth": 1, "fate": { "delay": 10 } },
            { "fault": "grant_message", "from": "scheduler-1", "nth": 2, "fate": { "twice": 10 } },
        ],
    })
}

proptest! {
    #![proptest_config(crate::common::config())]

    #[test]
    fn a_plan_that_is_written_is_read_back(plan in plans("swarm"), about in ".*") {
        let file = PlanFile { about, library: Some(PUBLISHED.reference()), plan };
        prop_assert_eq!(PlanFile::from_json("it", &file.to_json()).expect("it was just written"), file);
    }

    #[test]
    fn what_is_no_file_of_ours_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".*") {
        prop_assert!(Trace::read(bytes.as_slice()).is_err());
        prop_assert!(Trace::read(text.as_bytes()).is_err());
        prop_assert!(PlanFile::from_json("it", &text).is_err());
        prop_assert!(text.parse::<Token>().is_err());
    }

    /// One byte of a plan's text becomes another: it is still a plan that can be run, or an error says what is wrong.
    #[test]
    fn a_damaged_plan_is_a_plan_or_an_error(at in any::<prop::sample::Index>(), with in 0x20u8..0x7f) {
        let mut text = file(2).to_json().into_bytes();
        let at = at.index(text.len());
        text[at] = with;
        let text = String::from_utf8_lossy(&text);
        match PlanFile::from_json("it", &text) {
            Ok(file) => prop_assert_eq!(file.plan.check(), Ok(())),
            Err(PlanFileError::Io { .. }) => prop_assert!(false, "nothing was read from a disk"),
            Err(error) => prop_assert!(error.to_string().starts_with("it "), "{}", error),
        }
    }
}
