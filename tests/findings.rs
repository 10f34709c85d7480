//! Every finding of `fixtures/findings` still reproduces; one that does not is to be retired on purpose.

use std::collections::BTreeSet;

use crate::common::{MINIMAL, PUBLISHED, run, verdict};
use grantsim::{finding::Finding, trace::FaultFate};

#[test]
fn every_fingerprint_of_every_finding_reproduces_with_its_plan() {
    for finding in Finding::all() {
        for shown in &finding.shows {
            let trace = run(&finding.plan(shown), &PUBLISHED);
            let verdict = verdict(&trace);
            let found: BTreeSet<_> =
                verdict.all().map(|violation| violation.fingerprint.to_string()).collect();
            assert!(
                verdict.shows(&shown.fingerprint),
                "{} with {} no longer shows {}; it shows {found:?}",
                finding.slug,
                shown.plan,
                shown.fingerprint
            );
            let idle = trace.faults.iter().position(|fate| *fate != FaultFate::Happened);
            assert_eq!(idle, None, "{} {}: a fault of the plan does not happen", finding.slug, shown.plan);
        }
    }
}

#[test]
fn a_finding_is_fixed_where_no_plan_of_it_shows_it_any_more() {
    for finding in Finding::all() {
        assert_eq!(
            finding.fixed_on(&PUBLISHED, |_| true).expect("its plans run"),
            Vec::<&grantsim::finding::Shown>::new(),
            "{}",
            finding.slug
        );
    }
    // A library without cancellation cannot cancel under an expired lease.
    let cancel = Finding::all().into_iter().find(|finding| finding.slug == "cancel-under-expired-lease");
    let cancel = cancel.expect("the finding is there");
    assert_eq!(cancel.fixed_on(&MINIMAL, |_| true).expect("its plans run").len(), cancel.shows.len());
}

#[test]
fn the_build_knows_every_finding_and_every_plan_of_the_folder() {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    let built: BTreeSet<String> = Finding::all().into_iter().map(|finding| finding.slug).collect();
    assert_eq!(names("fixtures/findings"), built, "build.rs lists what the build knows");
    for finding in Finding::all() {
        let mut plans: BTreeSet<String> = finding.shows.iter().map(|shown| shown.plan.clone()).collect();
        plans.insert("finding.json".to_owned());
        assert_eq!(names(&format!("fixtures/findings/{}", finding.slug)), plans, "{}", finding.slug);
    }
}
