//! The properties of flows, suspension, admission and the registry, on drawn calls of every function: what they say of the
//! published library is known.
//!
//! Hunts run deployments; here anybody calls anything, in any order, with ids that were used before. So rare states are
//! reached within seconds, and an alarm that is no departure of `docs/protocol.md` is a bug of the property.

use std::collections::BTreeMap;

use grantsim::{
    library::Library,
    property::{self, Judge},
    trace::{Command, Head, Names, Stepper},
    types::{Node, SimTime, TimestampMs},
    view::View,
};
use valkey_sim::engine::{Dialect, Effects};

use super::{
    calls::{self, Step, World},
    support::{server::Server, simulated::Simulated, transcript::START},
};

/// Whose alarms are asked for.
const PROPERTIES: [&str; 14] = [
    "quota",
    "admission",
    "budget",
    "registry",
    "membership",
    "flow-life",
    "edges",
    "dependencies",
    "edge-groups",
    "suspension",
    "waitpoints",
    "secrets",
    "signals",
    "resume-condition",
];

/// Sequences that are drawn, unless `JUDGED_CASES` says another number.
const CASES: u64 = 60;
/// Calls of one sequence.
const CALLS: u32 = 120;

/// What is known of the published library: the alarm, and where `docs/protocol.md` tells of it.
const KNOWN: &[(&str, &str)] = &[
    ("budget/ff_create_budget/ALREADY_SATISFIED/no-limits", "D24"),
    ("budget/ff_reset_budget/OK/ledger-over-usage", "D24"),
    (
        "dependencies/ff_deliver_signal/OK/eligible-while-open",
        "an edge that was applied to what was not runnable",
    ),
    ("dependencies/ff_issue_grant_and_claim/OK/claimed-while-open", "D8"),
    (
        "dependencies/ff_promote_delayed/OK/eligible-while-open",
        "an edge that was applied to what was not runnable",
    ),
    ("dependencies/ff_replay_execution/OK/eligible-while-open", "D11"),
    ("dependencies/ff_replay_execution/OK/impossible-count", "the caller names the edges that are reset"),
    ("dependencies/ff_resolve_dependency/OK/count-in-a-group", "D12, and edges of two flows"),
    ("dependencies/ff_resolve_dependency/OK/eligible-while-open", "D12, and edges of two flows"),
    ("dependencies/ff_resolve_dependency/invariant_violation/count", "D12, and edges of two flows"),
    ("dependencies/ff_resolve_dependency/invariant_violation/not-promoted", "D12, and edges of two flows"),
    (
        "dependencies/ff_resume_execution/OK/eligible-while-open",
        "an edge that was applied to what was not runnable",
    ),
    ("dependencies/ff_unblock_execution/OK/eligible-while-open", "D9"),
    ("edge-groups/ff_apply_dependency_to_child/OK/too-late", "D12"),
    ("edge-groups/ff_replay_execution/OK/counters", "D12"),
    ("edge-groups/ff_resolve_dependency/OK/counters", "edges of two flows"),
    ("edge-groups/ff_resolve_dependency/OK/fired-twice", "D12"),
    ("quota/ff_create_quota_policy/OK/counter", "admissions before there is a quota, as D24"),
    ("resume-condition/ff_deliver_signal/OK/still-waiting", "a waitpoint id that was used before"),
    ("resume-condition/ff_deliver_signal/OK/too-soon", "a waitpoint id that was used before"),
    ("signals/ff_buffer_signal_for_pending_waitpoint/OK/buffered-too-late", "D2"),
    ("signals/ff_buffer_signal_for_pending_waitpoint/OK/other-execution", "D4"),
    ("signals/ff_deliver_signal/OK/after-close", "D3"),
    ("signals/ff_deliver_signal/OK/other-execution", "D4"),
    ("suspension/ff_cancel_execution/OK/waitpoint-left-open", "D3, D30"),
    ("suspension/ff_deliver_signal/OK/waitpoint-left-open", "D3, D30"),
    ("suspension/ff_expire_execution/OK/waitpoint-left-open", "D3, D30"),
    ("suspension/ff_expire_suspension/OK/waitpoint-left-open", "D3, D30"),
    ("suspension/ff_resume_execution/OK/waitpoint-left-open", "D3, D30"),
    ("waitpoints/ff_close_waitpoint/OK/condition-left-open", "D3, and waitpoint ids that were used before"),
    ("waitpoints/ff_create_pending_waitpoint/OK/reopened", "D3, and waitpoint ids that were used before"),
    ("waitpoints/ff_resume_execution/OK/condition-left-open", "D3, and waitpoint ids that were used before"),
    ("waitpoints/ff_resume_execution/OK/pending-index", "D3, and waitpoint ids that were used before"),
    (
        "waitpoints/ff_suspend_execution/ALREADY_SATISFIED/condition-left-open",
        "D3, and waitpoint ids that were used before",
    ),
    ("waitpoints/ff_suspend_execution/ERR/reopened", "D3, and waitpoint ids that were used before"),
    ("waitpoints/ff_suspend_execution/OK/expired-used", "D3, and waitpoint ids that were used before"),
    ("waitpoints/ff_suspend_execution/OK/pending-index", "D3, and waitpoint ids that were used before"),
    ("waitpoints/ff_suspend_execution/OK/reopened", "D3, and waitpoint ids that were used before"),
];

/// The next random number (SplitMix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut it = *state;
    it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ (it >> 31)
}

/// Plays a sequence of calls, and says what the properties found, with the first message of each.
fn judged(library: &Library, seed: u64) -> BTreeMap<String, String> {
    let mut ours = Simulated::new(Dialect::Valkey8);
    ours.set_clock(START);
    let load = calls::bytes(&["FUNCTION", "LOAD", library.source()]);
    ours.send_all(&[load]);
    let entries = PROPERTIES.map(|name| property::find(name).expect("a property of the catalogue"));
    let (mut judge, mut stepper, names) = (Judge::new(entries), Stepper::default(), Names::default());
    let mut world = World::of_clients();
    let mut state = seed;
    for seq in 0..CALLS {
        let choices: Vec<u8> = (0..6).flat_map(|_| next(&mut state).to_le_bytes()).collect();
        let args = match world.step(&choices, &mut ours) {
            Step::Clock(now) => {
                ours.set_clock(now);
                continue;
            }
            Step::Call(args) => args,
        };
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let mut effects = Effects::default();
        let reply = ours.engine.execute(&mut ours.session, &args, ours.now, &mut effects);
        let head = Head { seq, at: SimTime::from_millis(u64::from(seq)), node: Node::Valkey, cause: None };
        let now = TimestampMs(ours.now.millis().0);
        let command =
            Command { caller: Some(Node::Worker(1)), now, args: &args, reply: &reply, effects: &effects };
        let after = View::new(ours.engine.keyspace().clone());
        stepper.step(head, &command, after, &names, &mut |moment| judge.observe(moment));
    }
    let told = judge.finish().violations;
    told.into_iter().map(|violation| (violation.fingerprint.to_string(), violation.message)).collect()
}

/// The fingerprints that a sequence shows on a library.
pub fn fingerprints(library: &Library, seed: u64) -> Vec<String> {
    judged(library, seed).into_keys().collect()
}

/// Whether the published library itself shows a fingerprint.
pub fn known(fingerprint: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == fingerprint)
}

#[test]
fn what_the_properties_say_of_drawn_calls_is_known() {
    let given = std::env::var("JUDGED_CASES").ok().and_then(|cases| cases.parse().ok());
    let mut all: BTreeMap<String, (u64, u64, String)> = BTreeMap::new();
    for seed in 0..given.unwrap_or(CASES) {
        for (fingerprint, message) in judged(&Library::published(), seed) {
            all.entry(fingerprint).or_insert((seed, 0, message)).1 += 1;
        }
    }
    for (fingerprint, (seed, times, message)) in &all {
        eprintln!("{fingerprint}: {times} times, first in {seed}: {message}");
    }
    let new: Vec<_> = all.keys().filter(|fingerprint| !known(fingerprint)).collect();
    assert!(new.is_empty(), "the properties say what is not known of the published library: {new:#?}");
}
