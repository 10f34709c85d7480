//! Ten lives of a grant, as timelines to review: a change of the protocol or of the harness that alters one shows here.
//!
//! Each is the run of `fixtures/plans/life-<name>.json`. After a change that is meant: `INSTA_UPDATE=always cargo test
//! traces::`, then read the difference.

use std::path::Path;

use crate::common::{PUBLISHED, run};
use grantsim::{
    plan::file::PlanFile,
    report::{self, Detail},
};

/// What fits on a page.
const MOST_LINES: usize = 60;

fn assert_life(name: &str) {
    let file = PlanFile::read(Path::new(&format!("fixtures/plans/life-{name}.json")))
        .unwrap_or_else(|error| panic!("{error}"));
    let life = report::timeline(&run(&file.plan, &PUBLISHED), Detail::Order);
    assert!(life.lines().count() < MOST_LINES, "the life {name} is too long to be read:\n{life}");
    insta::with_settings!({ description => file.about, omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, life);
    });
}

#[test]
fn nothing_breaks() {
    assert_life("happy-path");
}

#[test]
fn two_workers_race_for_one_grant() {
    assert_life("race");
}

#[test]
fn a_grant_expires_unconsumed_and_is_issued_again() {
    assert_life("expires-unconsumed");
}

#[test]
fn a_claim_at_the_expiry_millisecond_is_accepted_and_one_after_it_is_not() {
    assert_life("expiry-millisecond");
}

#[test]
fn the_reply_is_lost_after_the_grant_was_consumed() {
    assert_life("reply-lost");
}

#[test]
fn a_claim_arrives_a_second_time_late() {
    assert_life("late-duplicate");
}

#[test]
fn a_worker_is_paused_past_its_lease() {
    assert_life("paused-past-lease");
}

#[test]
fn an_expired_lease_is_reclaimed_by_another_worker() {
    assert_life("reclaim");
}

#[test]
fn a_worker_presents_a_grant_that_was_issued_to_another() {
    assert_life("wrong-worker");
}

#[test]
fn a_grant_of_no_duration_is_never_seen() {
    assert_life("ttl-0");
}
