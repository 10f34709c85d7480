//! Every plan of `fixtures/plans` keeps every property: anything that failed once is there.
//!
//! `grantsim keep` writes such a plan, and the snapshot of its life, `tests/snapshots/kept-<plan>.snap`. After a change that
//! is meant: `INSTA_UPDATE=always cargo test regressions::`, then read the difference. The lives (`life-*`) and faults
//! (`fault-*`) have their snapshots in `tests/traces.rs` and `tests/faults.rs`.

use std::collections::BTreeSet;

use crate::common::{PUBLISHED, plan_files, run, verdict};
use grantsim::{finding::Finding, plan::file::PlanFile, report, trace::FaultFate};

#[test]
fn every_committed_plan_keeps_every_property() {
    let known = Finding::of(&PUBLISHED);
    let files = plan_files("fixtures/plans");
    assert!(!files.is_empty(), "fixtures/plans holds no plan: is the test run from the repository's root?");
    for (name, file) in files {
        assert!(!file.about.is_empty(), "{name} does not say what it shows");
        let trace = run(&file.plan, &PUBLISHED);
        let idle = trace.faults.iter().position(|fate| *fate != FaultFate::Happened);
        let idle = idle.filter(|_| !is_of_an_edit(&file));
        assert_eq!(idle, None, "{name}: a fault of the plan does not happen (`grantsim replay` says why)");
        let new = verdict(&trace)
            .violations
            .into_iter()
            .find(|violation| Finding::among(&known, &violation.fingerprint).is_none());
        assert_eq!(new, None, "{name}");
    }
}

/// Whether the plan was made for a mutant, or for a library of somebody's own: there its faults happened.
fn is_of_an_edit(file: &PlanFile) -> bool {
    file.library.as_ref().is_some_and(|library| library.version.contains(['+', '@']))
}

#[test]
fn every_kept_plan_lives_as_its_snapshot_says() {
    let snapshots = std::fs::read_dir("tests/snapshots").expect("the snapshots are there");
    let names = snapshots.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
    let kept: BTreeSet<String> =
        names.filter_map(|name| Some(name.strip_suffix(".snap")?.to_owned())).collect();
    let mut orphans: BTreeSet<&String> =
        kept.iter().filter(|name| name.starts_with(&report::snapshot_name(""))).collect();
    assert!(!orphans.is_empty(), "no plan has a snapshot: is the test run from the repository's root?");
    for (plan, file) in plan_files("fixtures/plans") {
        let name = report::snapshot_name(&plan);
        if orphans.remove(&name) {
            let life = report::snapshot(&run(&file.plan, &PUBLISHED));
            insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
                insta::assert_snapshot!(name, life);
            });
        }
    }
    assert!(orphans.is_empty(), "snapshots without a plan: {orphans:?}");
}
