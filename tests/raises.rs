//! A library of which any one function raises is found out: for every function that hunts call, a copy of the published
//! library in which it raises is caught within a hundred seeds, and by what it is.

mod common;

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use common::PUBLISHED;
use grantsim::{
    drive::Subject,
    finding::Finding,
    library::Library,
    plan::token::Token,
    property::{self, catalogue},
    types::Function,
};

/// So many seeds are hunted.
const SEEDS: u64 = 100;

/// Functions that no hunt calls yet.
const UNCALLED: &[&str] = &[
    "ff_ack_cancel_member",
    "ff_add_execution_to_flow",
    "ff_append_frame",
    "ff_apply_dependency_to_child",
    "ff_buffer_signal_for_pending_waitpoint",
    "ff_cancel_flow",
    "ff_change_priority",
    "ff_check_admission_and_record",
    "ff_close_waitpoint",
    "ff_create_budget",
    "ff_create_flow",
    "ff_create_pending_waitpoint",
    "ff_create_quota_policy",
    "ff_deliver_signal",
    "ff_drain_sibling_cancel_group",
    "ff_evaluate_flow_eligibility",
    "ff_expire_execution",
    "ff_expire_suspension",
    "ff_heartbeat_worker",
    "ff_issue_grant_and_claim",
    "ff_list_waitpoint_hmac_kids",
    "ff_move_to_waiting_children",
    "ff_promote_blocked_to_eligible",
    "ff_read_attempt_stream",
    "ff_read_summary",
    "ff_reconcile_sibling_cancel_group",
    "ff_record_spend",
    "ff_register_worker",
    "ff_release_admission",
    "ff_release_budget",
    "ff_replay_execution",
    "ff_report_usage_and_check",
    "ff_reset_budget",
    "ff_resolve_dependency",
    "ff_resume_execution",
    "ff_revoke_lease",
    "ff_rotate_waitpoint_hmac_secret",
    "ff_set_edge_group_policy",
    "ff_set_execution_tags",
    "ff_set_flow_tags",
    "ff_stage_dependency_edge",
    "ff_suspend_execution",
    "ff_update_progress",
    "ff_version",
];

/// The published library, in which a function raises whenever it is called.
fn raising(function: &Function) -> Subject {
    let source = PUBLISHED.library.source();
    let begins = format!("redis.register_function('{function}', function(keys, args)");
    assert_eq!(source.matches(&begins).count(), 1, "{function}");
    let broken = source.replace(&begins, &format!("{begins} error('broken on purpose')"));
    Subject::new(Library::from_source("it", &broken).expect("its first line")).expect("it loads")
}

/// The first seed that shows that the function raises, as something that is not known of the published library.
fn first_seed(function: &Function) -> Option<u64> {
    let (subject, known) = (raising(function), Finding::of(&PUBLISHED));
    (0..SEEDS).find(|seed| {
        let plan = Token::new("swarm", *seed).expect("a profile").plan();
        let verdict = property::judge(&common::run(&plan, &subject), catalogue::always());
        verdict.violations.iter().any(|violation| {
            let fingerprint = &violation.fingerprint;
            fingerprint.property() == "raises"
                && fingerprint.to_string().contains(function.as_str())
                && !known.iter().any(|finding| finding.covers(fingerprint))
        })
    })
}

#[test]
fn a_library_of_which_any_one_function_raises_is_caught() {
    let called: Vec<&Function> = Function::KNOWN
        .iter()
        .filter(|function| **function != Function::AcquireLease && !UNCALLED.contains(&function.as_str()))
        .collect();
    assert_eq!(called.len() + UNCALLED.len(), 59, "a name is listed that is no function");
    let (next, survivors) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(function) = called.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match first_seed(function) {
                        Some(seed) => println!("{function:<36} seed {seed}"),
                        None => survivors.lock().expect("no hunt panics").push(function.to_string()),
                    }
                }
            });
        }
    });
    let survivors = survivors.into_inner().expect("no hunt panics");
    assert!(survivors.is_empty(), "not caught in {SEEDS} seeds: {survivors:?}");
}
