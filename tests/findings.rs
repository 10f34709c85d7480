//! Every finding of `fixtures/findings` still reproduces; one that does not is to be retired on purpose.

mod common;

use std::{collections::BTreeSet, path::Path};

use common::{PUBLISHED, run, violation};
use grantsim::{finding::Finding, plan::file::PlanFile};

#[test]
fn every_finding_reproduces_with_its_plan() {
    for finding in Finding::of(&PUBLISHED.library) {
        let path = Path::new("fixtures/findings").join(&finding.slug).join("plan.json");
        let file = PlanFile::read(&path).unwrap_or_else(|error| panic!("{error}"));
        let found = violation(&finding.property, &run(&file.plan, &PUBLISHED));
        let fingerprint = found.map(|violation| violation.fingerprint);
        assert_eq!(fingerprint.as_ref(), Some(&finding.fingerprint), "{} no longer reproduces", finding.slug);
    }
}

#[test]
fn the_build_knows_every_finding_of_the_folder() {
    let folders = std::fs::read_dir("fixtures/findings").expect("the folder of findings");
    let folders: BTreeSet<String> =
        folders.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    let built: BTreeSet<String> = Finding::all().into_iter().map(|finding| finding.slug).collect();
    assert_eq!(folders, built, "src/finding.rs lists what the build knows");
}
