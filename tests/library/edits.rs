//! One-line edits of the published library, each a bug of a kind that was once real, and the properties that notice it on
//! drawn calls.
//!
//! What an edit shows must be none of what the library itself shows. Mutants of whole deployments are elsewhere
//! (`tests/mutants.rs`).

use grantsim::library::Library;

use super::drawn::{fingerprints, known};
use crate::common::seed_that_shows;

/// Sequences after which an edit that shows nothing lives.
const SEEDS: u64 = 80;

/// An edit: behind which words it is made, what stands there, what then stands there, the kind that must be noticed, and the
/// sequence that is known to show it.
struct Edit(&'static str, &'static str, &'static str, &'static str, u64);

/// In the order of the library's text.
const EDITS: &[Edit] = &[
    Edit("'ff_register_worker'", "redis.call(\"PEXPIRE\", K.caps_key", "tostring(\"\"", "registry/ttl", 1),
    Edit(
        "'ff_register_worker'",
        "redis.call(\"SADD\", K.index_key",
        "tostring(\"\"",
        "registry/not-indexed",
        1,
    ),
    Edit("'ff_register_worker'", "if prior_alive == 0", "if prior_alive == 1", "registry/outcome", 1),
    Edit("'ff_register_worker'", "\"caps_csv\", A.caps_csv", "\"caps_csv\", \"\"", "registry/description", 9),
    Edit("'ff_heartbeat_worker'", "if applied == 0", "if applied == 1", "registry/denied", 14),
    Edit("'ff_heartbeat_worker'", "redis.call(\"PEXPIRE\", caps_key", "tostring(\"\"", "registry/ttl", 14),
    Edit(
        "'ff_suspend_execution'",
        "redis.call(\"ZREM\", K.pending_wp_expiry_key",
        "tostring(\"\"",
        "waitpoints/pending-index",
        8,
    ),
    Edit(
        "'ff_suspend_execution'",
        "redis.call(\"ZADD\", K.suspension_timeout_key",
        "tostring(\"\"",
        "suspension/timeout-index",
        79,
    ),
    Edit(
        "'ff_suspend_execution'",
        "\"current_suspension_id\", A.suspension_id",
        "\"current_suspension_id\", \"\"",
        "suspension/no-record",
        79,
    ),
    Edit(
        "'ff_resume_execution'",
        "\"closed_at\", tostring(now_ms),\n    \"close_reason\", \"resumed\")\n\n  -- Remove",
        "\"x\", \"y\")\n\n  -- Remove",
        "suspension/left-open",
        79,
    ),
    Edit(
        "'ff_resume_execution'",
        "redis.call(\"ZREM\", K.suspension_timeout_key",
        "tostring(\"\"",
        "suspension/timeout-index",
        79,
    ),
    Edit(
        "'ff_create_pending_waitpoint'",
        "redis.call(\"ZADD\", K.pending_wp_expiry_key",
        "tostring(\"\"",
        "waitpoints/pending-index",
        5,
    ),
    Edit(
        "'ff_create_pending_waitpoint'",
        "\"waitpoint_token\", waitpoint_token",
        "\"waitpoint_token\", \"\"",
        "waitpoints/no-token",
        5,
    ),
    Edit(
        "'ff_expire_suspension'",
        "redis.call(\"ZREM\", K.suspension_timeout_key, A.execution_id)\n\n    return ok(\"escalate\"",
        "return ok(\"escalate\"",
        "suspension/timeout-index",
        26,
    ),
    Edit(
        "'ff_close_waitpoint'",
        "redis.call(\"ZREM\", K.pending_wp_expiry_key",
        "tostring(\"\"",
        "waitpoints/pending-index",
        10,
    ),
    Edit(
        "'ff_deliver_signal'",
        "redis.call(\"ZADD\", K.exec_signals_zset",
        "tostring(\"\"",
        "signals/lost",
        79,
    ),
    Edit(
        "'ff_deliver_signal'",
        "if resume then",
        "if resume then redis.call(\"HINCRBY\", K.core_key, \"current_lease_epoch\", 1)",
        "signals/lease",
        3,
    ),
    Edit(
        "'ff_deliver_signal'",
        "if resume then",
        "if resume then redis.call(\"HINCRBY\", K.core_key, \"priority\", 1)",
        "signals/priority",
        3,
    ),
    Edit(
        "'ff_buffer_signal_for_pending_waitpoint'",
        "wp_for_auth.state == \"closed\"",
        "false",
        "signals/after-close",
        11,
    ),
    Edit(
        "'ff_create_budget'",
        "redis.call(\"ZADD\", K.resets_zset",
        "tostring(\"\"",
        "budget/reset-index",
        5,
    ),
    Edit("'ff_report_usage_and_check'", "if existing then", "if false then", "budget/counted-twice", 15),
    Edit("'ff_report_usage_and_check'", "\"PX\", 86400000", "\"PX\", 86400", "budget/not-remembered", 1),
    Edit("'ff_record_spend'", "redis.call(\"HINCRBY\", K.by_exec_key", "tostring(\"\"", "budget/ledger", 0),
    Edit("'ff_release_budget'", "redis.call(\"DEL\", K.by_exec_key)", "", "budget/ledger", 23),
    Edit("'ff_release_budget'", "cur - delta", "cur", "budget/miscounted", 27),
    Edit(
        "'ff_reset_budget'",
        "redis.call(\"HSET\", K.usage_key, unpack(zero_args))",
        "",
        "budget/miscounted",
        3,
    ),
    Edit("'ff_reset_budget'", "redis.call(\"ZADD\", K.resets_zset", "tostring(\"\"", "budget/reset-index", 9),
    Edit(
        "'ff_check_admission_and_record'",
        "active >= A.concurrency_cap",
        "active + 1 >= A.concurrency_cap",
        "admission/refused-below-limit",
        2,
    ),
    Edit(
        "'ff_check_admission_and_record'",
        "\"PX\", window_ms",
        "\"EX\", window_ms",
        "admission/forgotten",
        79,
    ),
    Edit(
        "'ff_check_admission_and_record'",
        "redis.call(\"SADD\", K.admitted_set",
        "tostring(\"\"",
        "admission/not-recorded",
        79,
    ),
    Edit(
        "'ff_release_admission'",
        "redis.call(\"SREM\", K.admitted_set",
        "tostring(\"\"",
        "admission/not-released",
        16,
    ),
    Edit(
        "'ff_add_execution_to_flow'",
        "redis.call(\"HSET\", K.exec_core, \"flow_id\", A.flow_id)\n\n  -- 6",
        "-- 6",
        "membership/not-named",
        79,
    ),
    Edit(
        "'ff_add_execution_to_flow'",
        "redis.call(\"SADD\", K.members_set",
        "tostring(\"\"",
        "membership/no-member",
        79,
    ),
    Edit("'ff_add_execution_to_flow'", "\"node_count\", 1", "\"node_count\", 2", "membership/node-count", 79),
    Edit(
        "'ff_add_execution_to_flow'",
        "\"graph_revision\", 1",
        "\"graph_revision\", 0",
        "flow-life/revision-stood",
        79,
    ),
    Edit("'ff_add_execution_to_flow'", "pfs == \"cancelled\"", "false", "flow-life/member-after-end", 79),
    Edit(
        "'ff_cancel_flow'",
        "redis.call(\"SADD\", K.pending_cancels",
        "tostring(\"\"",
        "flow-life/not-owed",
        1,
    ),
    Edit(
        "'ff_cancel_flow'",
        "redis.call(\"ZADD\", K.cancel_backlog",
        "tostring(\"\"",
        "flow-life/backlog",
        1,
    ),
    Edit(
        "'ff_stage_dependency_edge'",
        "~= A.expected_graph_revision",
        "== \"never\"",
        "edges/stale-revision",
        11,
    ),
    Edit(
        "'ff_stage_dependency_edge'",
        "redis.call(\"SADD\", K.in_adj_set",
        "tostring(\"\"",
        "edges/adjacency",
        1,
    ),
    Edit("'ff_stage_dependency_edge'", "\"edge_count\", 1", "\"edge_count\", 2", "edges/edge-count", 1),
    Edit(
        "'ff_stage_dependency_edge'",
        "\"data_passing_ref\", A.data_passing_ref",
        "\"data_passing_ref\", \"\"",
        "edges/not-as-staged",
        5,
    ),
    Edit(
        "'ff_apply_dependency_to_child'",
        "\"eligibility_state\", \"blocked_by_dependencies\"",
        "\"eligibility_state\", core.eligibility_state",
        "dependencies/eligible-while-open",
        79,
    ),
    Edit(
        "'ff_apply_dependency_to_child'",
        "redis.call(\"HINCRBY\", K.edgegroup, \"n\", 1)",
        "",
        "edge-groups/counters",
        0,
    ),
    Edit(
        "'ff_resolve_dependency'",
        "\"unsatisfied_required_count\", -1)\n    redis",
        "\"unsatisfied_required_count\", 0)\n    redis",
        "dependencies/count",
        6,
    ),
    Edit(
        "'ff_resolve_dependency'",
        "\"impossible_required_count\", 1",
        "\"impossible_required_count\", 0",
        "dependencies/impossible-count",
        0,
    ),
    Edit(
        "'ff_promote_blocked_to_eligible'",
        "unsatisfied > 0 or unresolved_count > 0",
        "false",
        "dependencies/eligible-while-open",
        79,
    ),
];

/// The library with an edit.
fn edited(Edit(behind, old, new, ..): &Edit) -> Library {
    let published = Library::published();
    let source = published.source();
    let from = source.find(behind).unwrap_or_else(|| panic!("the library has no {behind}"));
    let at = source[from..].find(old).unwrap_or_else(|| panic!("{behind} has no {old}")) + from;
    let text = format!("{}{new}{}", &source[..at], &source[at + old.len()..]);
    Library::from_source("an edit", &text).expect("a library")
}

/// Whether a sequence shows an edit, by a kind that the library itself does not show.
fn is_noticed(library: &Library, kind: &str, seed: u64) -> bool {
    let (property, kind) = kind.split_once('/').expect("a property and a kind");
    fingerprints(library, seed).iter().any(|fingerprint| {
        let is_this =
            fingerprint.starts_with(&format!("{property}/")) && fingerprint.ends_with(&format!("/{kind}"));
        is_this && !known(fingerprint)
    })
}

#[test]
fn edits_of_the_published_library_are_noticed() {
    let mut alive = Vec::new();
    for edit @ Edit(behind, old, new, kind, known) in EDITS {
        let (what, library) = (format!("{kind}: {behind} {old:?} → {new:?}"), edited(edit));
        if seed_that_shows(&what, *known, 0..SEEDS, |seed| is_noticed(&library, kind, seed)).is_none() {
            alive.push(what);
        }
    }
    assert!(alive.is_empty(), "{} of {} edits live: {alive:#?}", alive.len(), EDITS.len());
}
