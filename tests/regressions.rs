//! Every plan of `fixtures/plans` keeps every property: anything that failed once is there.

mod common;

use common::{PUBLISHED, plan_files, run, verdict};
use grantsim::{finding::Finding, trace::FaultFate};

#[test]
fn every_committed_plan_keeps_every_property() {
    let known = Finding::of(&PUBLISHED);
    let files = plan_files("fixtures/plans");
    assert!(!files.is_empty(), "fixtures/plans holds no plan: is the test run from the repository's root?");
    for (name, file) in files {
        assert!(!file.about.is_empty(), "{name} does not say what it shows");
        let trace = run(&file.plan, &PUBLISHED);
        let idle = trace.faults.iter().position(|fate| *fate != FaultFate::Happened);
        assert_eq!(idle, None, "{name}: a fault of the plan does not happen (`grantsim replay` says why)");
        let new = verdict(&trace)
            .violations
            .into_iter()
            .find(|violation| known.iter().all(|finding| !finding.covers(&violation.fingerprint)));
        assert_eq!(new, None, "{name}");
    }
}
