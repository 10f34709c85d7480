//! What must happen in the end and does not: exit code 11, and what waits for what.

use super::{BROKEN, STUCK, fingerprints, grantsim, hunt};

#[test]
fn a_library_that_marks_no_lease_is_stuck_and_the_run_says_what_waits_for_what() {
    let args =
        ["--seeds", "4", "--profile", "crash", "--mutant", "mark-nothing", "--property", "lease-marked"];
    let report = hunt("stuck", STUCK, &args);
    assert_eq!(fingerprints(&report["violations"]), ["lease-marked/-/-/not-marked"]);
    assert!(report["stuck"].as_u64() > Some(0), "{report}");
    assert!(report["stuck"].as_u64() <= report["unfinished"].as_u64(), "{report}");
    let token = report["violations"][0]["token"].as_str().expect("a token");
    let replay = grantsim(&["replay", token, "--mutant", "mark-nothing", "--property", "lease-marked"]);
    assert_eq!(replay.code, STUCK, "{}{}", replay.out, replay.err);
    for part in ["waits: its lease is over since", "and nobody marks it", "; stuck; trace"] {
        assert!(replay.out.contains(part), "the replay does not say {part:?}:\n{}", replay.out);
    }
}

#[test]
fn broken_wins_over_stuck_and_both_are_told() {
    let report = hunt(
        "broken-and-stuck",
        BROKEN,
        &["--seeds", "40", "--profile", "calm", "--mutant", "unblock-unlists"],
    );
    let told = fingerprints(&report["violations"]);
    assert!(told.contains(&"granted/-/-/not-listed"), "{told:?}");
    assert!(told.contains(&"eligible/ff_unblock_execution/OK/not-listed"), "{told:?}");
}
