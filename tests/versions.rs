//! Every published version of the library can be tested from its file: calls and replies that differ are adapted to, and
//! what a version does not have is said.

use std::{fs, path::PathBuf};

use crate::common::{PUBLISHED, run, verdict};
use grantsim::{
    drive::Subject,
    finding::Finding,
    hunt::{Exit, Hunt, Report, Stop, Until, verdict as conclude},
    library::Library,
    plan::token::Token,
    report,
    types::{Answer, Function},
};

/// ff-script 0.9, library version 26.
fn old() -> Subject {
    let library = Library::from_source("ff-script 0.9", ff_script_0_9::LIBRARY_SOURCE).expect("a library");
    Subject::new(library).expect("it loads")
}

fn hunt(subject: Subject, profile: &str, seeds: u64) -> Report {
    let first = Token::new(profile, 0).expect("a profile");
    // What today's version breaks in the same way is no matter of versions.
    let hunt = Hunt { baseline: Some(PUBLISHED.clone()), ..Hunt::new(subject, first, Until::Seeds(seeds)) };
    hunt.run(&Stop::default(), |_| ())
}

#[test]
fn the_grant_and_lease_core_of_an_old_version_is_hunted_through_reclaims_and_all() {
    assert_eq!(old().says_version.as_deref(), Some("26"));
    let report = hunt(old(), "crash", 25);
    let broken: Vec<String> =
        report.violations.iter().map(|found| found.violation.fingerprint.to_string()).collect();
    assert_eq!(broken, Vec::<String>::new(), "only an old version breaks these");
    assert_eq!(conclude(&report, "crash").exit, Exit::AllHeld);
    let consents = |function: Function| {
        let answers = &report.counts.answers[&function];
        let consents = answers.iter().filter(|(answer, _)| matches!(answer, Answer::Consent(_)));
        consents.map(|(_, count)| count).sum::<u64>()
    };
    for function in [
        Function::CreateExecution,
        Function::IssueClaimGrant,
        Function::ClaimExecution,
        Function::RenewLease,
        Function::CompleteExecution,
        Function::MarkLeaseExpiredIfDue,
        // It answers one field less than from version 28 on.
        Function::IssueReclaimGrant,
        Function::ReclaimExecution,
    ] {
        assert!(consents(function.clone()) > 0, "{function} never consented");
    }
}

#[test]
fn what_an_old_version_does_not_have_is_said() {
    let report = hunt(old(), "calm", 1);
    let told = report::summary(&report);
    for name in ["ff_issue_grant_and_claim", "ff_register_worker", "ff_heartbeat_worker", "ff_record_spend"] {
        assert!(told.contains(name), "{name}: {told}");
    }
    assert!(told.contains("absent"), "{told}");
}

#[test]
fn the_findings_of_an_old_version_reproduce_on_it() {
    let subject = old();
    let known = Finding::of(&subject);
    assert!(!known.is_empty(), "version 26 has findings");
    for finding in known {
        for shown in &finding.shows {
            let violations = verdict(&run(&finding.plan(shown), &subject)).violations;
            let is_shown = violations.iter().any(|violation| violation.fingerprint == shown.fingerprint);
            assert!(is_shown, "{} is not shown by version 26: {}", shown.fingerprint, finding.slug);
        }
    }
}

#[test]
fn the_published_bytes_under_another_name_are_the_published_library() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ours-says-the-name.lua");
    fs::write(&path, PUBLISHED.library.source()).expect("a temporary file");
    let library = Library::from_file(&path).expect("a library");
    assert!(library.is_published());
    assert_eq!(library.reference(), PUBLISHED.reference());
    let copy = Subject::new(library).expect("it loads");
    assert_eq!(Finding::of(&copy), Finding::of(&PUBLISHED));
}
