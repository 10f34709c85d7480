//! Files of every age are read, and nothing that they say is changed by it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use grantsim::{
    plan::{
        Plan, SCHEMA,
        file::{PlanFile, PlanFileError},
    },
    types::{ExecutionName, Node},
};
use serde_json::{Value, json};

/// Every committed plan file.
fn committed() -> Vec<PathBuf> {
    let inside = |folder: &str| {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        entries.map(|entry| entry.expect("a folder that can be listed").path()).collect::<Vec<_>>()
    };
    let plans =
        inside("fixtures/plans").into_iter().filter(|path| path.extension().is_some_and(|it| it == "json"));
    let findings = inside("fixtures/findings").into_iter().map(|folder| folder.join("plan.json"));
    plans.chain(findings.filter(|path| path.exists())).collect()
}

/// Asserts that everything the file says, the plan says; the plan may say more.
fn assert_kept(said: &Value, kept: &Value, at: &str) {
    match (said, kept) {
        // What was upgraded, and is compared apart.
        _ if at == "/plan/schema" || at == "/plan/schedulers" => {}
        (Value::Object(said), Value::Object(_)) => {
            said.iter().for_each(|(name, value)| assert_kept(value, &kept[name], &format!("{at}/{name}")));
        }
        (Value::Array(said), Value::Array(kept)) => {
            assert_eq!(said.len(), kept.len(), "{at}");
            said.iter().zip(kept).enumerate().for_each(|(i, (said, kept))| {
                assert_kept(said, kept, &format!("{at}/{i}"));
            });
        }
        // What is written may be the default, which is not.
        (_, Value::Null) => assert!(is_default(said), "{at} is lost: {said}"),
        _ => assert_eq!(said, kept, "{at}"),
    }
}

fn is_default(value: &Value) -> bool {
    matches!(value, Value::Null) || value == &json!([]) || value == &json!({}) || value == &json!("")
}

fn assert_named_by_place(plan: &Plan) {
    for (i, execution) in plan.executions.iter().enumerate() {
        assert_eq!(execution.name, ExecutionName::nth(i + 1));
    }
    assert!(plan.workers.iter().zip(1..).all(|(worker, n)| worker.name == Node::Worker(n)));
    assert!(plan.schedulers.iter().zip(1..).all(|(scheduler, n)| *scheduler == Node::Scheduler(n)));
}

#[test]
fn every_committed_plan_is_read_and_keeps_what_it_says() {
    let files = committed();
    assert!(files.len() >= 15, "only {} committed plans were found", files.len());
    for path in files {
        check_committed(&path);
    }
}

fn check_committed(path: &Path) {
    let file = PlanFile::read(path).unwrap_or_else(|error| panic!("{error}"));
    let said: Value = serde_json::from_str(&fs::read_to_string(path).expect("just read")).expect("just read");
    let kept = serde_json::to_value(&file).expect("plain data");
    assert_kept(&said, &kept, "");
    assert_eq!(file.plan.schema, SCHEMA);
    assert_eq!(file.plan.check(), Ok(()), "{}", path.display());
    if said["plan"]["schema"] == 1 {
        assert_named_by_place(&file.plan);
        assert_eq!(said["plan"]["schedulers"], json!(file.plan.schedulers.len()));
    }
    let again = PlanFile::from_json("it", &file.to_json()).expect("it was just written");
    assert_eq!(again, file, "{}", path.display());
}

/// As the first version wrote it: no names, a number of schedulers, calls of nodes.
fn of_schema_1() -> Value {
    json!({ "plan": {
        "schema": 1, "seed": 1, "dialect": "redis-7", "epoch_ms": 1_767_225_600_000u64, "run_for_ms": 1_500,
        "settings": grantsim::plan::Settings::default(),
        "network": { "latency_us": 500, "jitter_us": 100 },
        "schedulers": 2,
        "workers": [
            { "worker_id": "w1", "lanes": ["gold"], "slots": 2 },
            { "worker_id": "w1", "lanes": ["gold"], "slots": 1 },
        ],
        "executions": [
            { "at_ms": 0, "lane": "gold", "work": [{ "takes_ms": 50, "ends": "fail" }] },
            { "at_ms": 9, "lane": "gold", "work": [{ "takes_ms": 50, "ends": "complete" }] },
        ],
        "faults": [
            { "fault": "lose_reply", "call": { "node": "worker-2", "function": "claim", "nth": 1 } },
            { "fault": "grant_message", "from": "scheduler-2", "nth": 1, "fate": "drop" },
        ],
    } })
}

#[test]
fn a_file_of_the_first_version_is_upgraded_when_it_is_read() {
    let said = of_schema_1();
    let file = PlanFile::from_json("it", &said.to_string()).expect("a plan of the first version");
    assert_named_by_place(&file.plan);
    assert_eq!((file.plan.schema, file.plan.schedulers.len()), (SCHEMA, 2));
    assert_eq!(file.plan.dialect.name(), "redis-7");
    assert_kept(&said, &serde_json::to_value(&file).expect("plain data"), "");
}

#[test]
fn a_plan_without_a_dialect_is_for_valkey_8_and_an_unknown_one_is_refused_with_its_line() {
    let mut said = of_schema_1();
    said["plan"].as_object_mut().expect("a plan").remove("dialect");
    let file = PlanFile::from_json("it", &said.to_string()).expect("a plan");
    assert_eq!(file.plan.dialect.name(), "valkey-8");
    said["plan"]["dialect"] = "mongo".into();
    let error = PlanFile::from_json("it", &said.to_string()).expect_err("no dialect").to_string();
    assert!(error.contains("no dialect is called \"mongo\"") && error.contains("line 1"), "{error}");
}

#[test]
fn a_schema_that_cannot_be_read_is_named_whatever_else_the_file_says() {
    for schema in [0, 3, 99] {
        let text = json!({ "plan": { "schema": schema, "weather": "fine" } }).to_string();
        let error = PlanFile::from_json("it", &text).expect_err("another schema");
        assert!(matches!(error, PlanFileError::Schema { found, .. } if found == schema), "{error}");
    }
}
