//! Known findings survive an edit of the library: what it broke before is told apart from what the edit breaks, and from
//! what it mends.

use std::{fs, sync::LazyLock};

use grantsim::library::Library;
use serde_json::Value;

use super::{ALL_HELD, BAD_INPUT, BROKEN, edited, fingerprints, grantsim, hunt, hunt_told, written};

/// A hunt that meets known findings of the published library.
const SEEDS: [&str; 6] = ["--seeds", "8", "--profile", "swarm", "--start", "4"];

/// The check of a lease's expiry that complete, fail and delay share.
const EXPIRY: &str = r#"  if tonumber(core.lease_expires_at or "0") <= now_ms then
    mark_expired(keys, core, now_ms, maxlen)
    return err("lease_expired")
  end
"#;
/// Where a new execution is found to have a delay.
const DELAY: &str = "local is_delayed = is_set(A.delay_until) and tonumber(A.delay_until) > now_ms";
/// What a cancellation under a lease compares.
const CANCEL: &str =
    "        if core.current_lease_epoch ~= A.lease_epoch then return err(\"stale_lease\") end\n";

/// What the published library's hunt reports.
static PUBLISHED: LazyLock<Value> = LazyLock::new(|| hunt("published", ALL_HELD, &SEEDS));

fn with_seeds<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&SEEDS, args].concat()
}

/// A report without what is this hunt's own.
fn of_any_library(report: &Value) -> Value {
    let mut report = report.clone();
    for own in ["library", "wall_seconds"] {
        report.as_object_mut().expect("an object").remove(own).expect("it is there");
    }
    report
}

#[test]
fn an_edit_that_changes_nothing_hunts_like_the_published_library() {
    let commented = edited("commented.lua", &[("\nlocal ", "\n-- A comment of ours.\nlocal ")]);
    let report = hunt("commented", ALL_HELD, &with_seeds(&["--library", &commented]));
    assert!(
        !PUBLISHED["known"].as_object().expect("by slug").is_empty(),
        "these seeds meet no finding: {PUBLISHED:?}"
    );
    assert_eq!(of_any_library(&report), of_any_library(&PUBLISHED));
    assert_eq!(report["fixed"], serde_json::json!({}));
}

#[test]
fn the_published_bytes_under_another_name_are_the_published_library() {
    let copy = written("a-copy.lua", Library::published().source());
    let report = hunt("copy", ALL_HELD, &with_seeds(&["--library", &copy]));
    assert_eq!(report["library"], PUBLISHED["library"]);
    assert_eq!(of_any_library(&report), of_any_library(&PUBLISHED));
}

#[test]
fn strict_makes_violations_of_what_is_known() {
    let commented = edited("strict.lua", &[("\nlocal ", "\n-- A comment of ours.\nlocal ")]);
    for args in [&["--strict"] as &[&str], &["--strict", "--library", &commented]] {
        let report = hunt("strict", BROKEN, &[args, &["--seeds", "10", "--start", "4"]].concat());
        assert_eq!(report["known"], serde_json::json!({}));
        assert!(!fingerprints(&report["violations"]).is_empty());
        assert!(report["passed"].as_u64() < report["seeds"].as_u64());
    }
    grantsim(&["hunt", "--strict", "--baseline", &commented]).fails(BAD_INPUT, &["--strict", "--baseline"]);
}

#[test]
fn a_finding_that_an_edit_mends_is_reported_as_fixed() {
    let check = "        if tonumber(core.lease_expires_at or \"0\") <= now_ms then return err(\"lease_expired\") end\n";
    let mended = edited("mended.lua", &[(CANCEL, &format!("{CANCEL}{check}"))]);
    let (report, summary) = hunt_told("mended", ALL_HELD, &with_seeds(&["--library", &mended]));
    let expected =
        serde_json::json!({ "cancel-under-expired-lease": ["fence/ff_cancel_execution/OK/expired-lease"] });
    assert_eq!(report["fixed"], expected);
    assert!(report["known"]["cancel-under-expired-lease"].is_null());
    let fixed =
        summary.lines().find(|line| line.starts_with("fixed ")).unwrap_or_else(|| panic!("{summary}"));
    assert!(fixed.contains("cancel-under-expired-lease") && fixed.contains("no longer shows"), "{fixed}");
    // A hunt that does not judge by the fence says nothing of it.
    let lanes = hunt("mended-lanes", ALL_HELD, &["--seeds", "1", "--property", "lane", "--library", &mended]);
    assert_eq!(lanes["fixed"], serde_json::json!({}));
}

#[test]
fn what_the_baseline_breaks_in_the_same_way_is_told_apart_and_is_no_failure() {
    let baseline = edited("no-expiry.lua", &[(EXPIRY, "")]);
    let commented = fs::read_to_string(&baseline).expect("it was just written") + "-- A comment of ours.\n";
    let library = written("no-expiry-commented.lua", &commented);
    let alone = hunt("no-baseline", BROKEN, &with_seeds(&["--library", &library]));
    let args = ["--library", &library, "--baseline", &baseline];
    let (report, summary) = hunt_told("baseline", ALL_HELD, &with_seeds(&args));
    assert_eq!(report["in_baseline"], alone["violations"], "what was new is the baseline's doing");
    assert_eq!((&report["passed"], &report["known"]), (&report["seeds"], &alone["known"]));
    let told = summary.lines().filter(|line| line.starts_with("baseline ")).count();
    assert_eq!(told, fingerprints(&report["in_baseline"]).len(), "{summary}");
}

#[test]
fn what_is_new_beside_a_baseline_is_all_that_is_listed_as_new() {
    let baseline = edited("old-break.lua", &[(EXPIRY, "")]);
    let library = edited("new-break.lua", &[(EXPIRY, ""), (DELAY, "local is_delayed = false")]);
    let report = hunt("new-break", BROKEN, &with_seeds(&["--library", &library, "--baseline", &baseline]));
    assert_eq!(
        fingerprints(&report["violations"]),
        ["eligible/ff_create_execution/OK/delayed-set-before-its-time"]
    );
    let inherited = fingerprints(&report["in_baseline"]);
    assert!(inherited.contains(&"fence/ff_complete_execution/OK/expired-lease"), "{inherited:?}");
}

#[test]
fn a_library_that_ignores_expiry_is_not_taken_for_one_that_completes_under_a_marked_lease() {
    let library = edited("ignores-expiry.lua", &[(EXPIRY, "")]);
    let report = hunt("ignores-expiry", BROKEN, &with_seeds(&["--library", &library]));
    let new = fingerprints(&report["violations"]);
    assert!(new.contains(&"fence/ff_complete_execution/OK/expired-lease"), "{new:?}");
    assert!(report["known"]["completion-of-a-marked-lease"].is_null(), "{report}");
}

#[test]
fn a_library_that_ignores_delays_is_not_taken_for_one_that_puts_what_is_due_in_the_delayed_set() {
    let library = edited("ignores-delays.lua", &[(DELAY, "local is_delayed = false")]);
    let report = hunt("ignores-delays", BROKEN, &with_seeds(&["--library", &library]));
    assert_eq!(
        fingerprints(&report["violations"]),
        ["eligible/ff_create_execution/OK/delayed-set-before-its-time"]
    );
}

#[test]
fn the_plan_of_a_finding_replays_to_what_is_known_and_to_a_violation_on_another_library() {
    let plan = "fixtures/findings/cancel-under-expired-lease/plan.json";
    let replay = grantsim(&["replay", plan]).succeeds();
    assert!(replay.contains("known finding cancel-under-expired-lease: ff_cancel_execution by"), "{replay}");
    assert!(!replay.contains("must hold:"), "{replay}");
    let other = edited("another-name.lua", &[("#!lua name=flowfabric", "#!lua name=ours")]);
    let replay = grantsim(&["replay", plan, "--library", &other]);
    assert_eq!(replay.code, BROKEN, "{}{}", replay.out, replay.err);
    assert!(replay.out.contains("fingerprint: fence/ff_cancel_execution/OK/expired-lease"), "{}", replay.out);
}
