//! What the properties say of the published library, whatever it is called with: calls drawn as for the comparison with real
//! servers, and each run judged. All that is said is known: it is in the list below, with its place in `docs/protocol.md`.

use std::collections::BTreeMap;

use grantsim::{
    drive::witness::{Told, Witness},
    library::Library,
    property::{Judge, catalogue},
    trace::{End, Names},
    types::Node,
};
use valkey_sim::engine::{Dialect, Effects, UnixMicros};

use super::{
    calls::{self, Step, World},
    support::{server::Server, simulated::Simulated, transcript::START},
};

/// Sequences, and calls in each.
const SEQUENCES: u64 = 300;
const CALLS: usize = 60;

/// A byte, and another one next time (SplitMix64).
struct Bytes(u64);

impl Bytes {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// What is said of the calls of one sequence.
fn judge(seed: u64, ours: &mut Simulated, told: &mut BTreeMap<String, (u64, String)>) {
    const SESSION: u64 = 1;
    ours.restart();
    ours.set_clock(START);
    ours.send(&calls::bytes(&["FUNCTION", "LOAD", "REPLACE", Library::published().source()]));
    let mut witness = Witness::new(Judge::new(catalogue::all()), Names::default());
    witness.opened((0, SESSION), Node::Worker(1), SESSION);
    let mut world = World::default();
    world.keeps_keys = true;
    let (mut bytes, mut nth) = (Bytes(seed), 0);
    let plain = calls::FUNCTIONS.iter().filter(|_| seed.is_multiple_of(8));
    let mut plain = plain.collect::<Vec<_>>().into_iter();
    for _ in 0..CALLS {
        let step = match plain.next() {
            Some(function) => world.plain(function, ours),
            None => world.step(&bytes.take(44), ours),
        };
        let args = match step {
            Step::Clock(now) => {
                ours.set_clock(now);
                continue;
            }
            Step::Call(args) => args,
        };
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let (now, mut effects): (UnixMicros, _) = (ours.now, Effects::default());
        let reply = ours.engine.execute(&mut ours.session, &args, now, &mut effects);
        nth += 1;
        let keyspace = ours.engine.keyspace();
        witness.executed(&Told {
            server: Node::Valkey,
            session: (0, SESSION),
            nth,
            args: &args,
            now,
            reply: &reply,
            effects: &effects,
            keyspace,
        });
    }
    let (judge, ..) = witness.end(End::Quiet, Vec::new());
    for violation in judge.finish().violations {
        let (times, _) = told.entry(violation.fingerprint.to_string()).or_insert((0, violation.message));
        *times += violation.times;
    }
}

/// What is said of calls whose arguments are what their functions document: all of it is under the departures of
/// `docs/protocol.md` (D1, D13, D14, D18, D21, D25, D29, D33, D39). `ff_replay_execution` raises when a skipped member of a flow
/// is replayed without the keys of its dependencies.
const KNOWN: &[&str] = &[
    "grants/ff_apply_dependency_to_child/OK/outlived",
    "grants/ff_block_execution_for_admission/OK/outlived",
    "grants/ff_cancel_execution/OK/outlived",
    "grants/ff_claim_execution/OK/reclaim-grant-claimed",
    "grants/ff_expire_execution/OK/outlived",
    "grants/ff_reclaim_execution/max_retries_exhausted/outlived",
    "grants/ff_resolve_dependency/OK/outlived",
    "lease-history/ff_reclaim_execution/max_retries_exhausted/missing",
    "lease-history/ff_resolve_dependency/OK/missing",
    "published/ff_reclaim_execution/max_retries_exhausted/missing",
    "raises/ff_expire_suspension/ERR/on-what-it-stored",
    "raises/ff_promote_delayed/ERR/on-what-it-stored",
    "raises/ff_replay_execution/ERR/raised",
    "refusal-writes/ff_append_frame/invalid_input/wrote",
    "refusal-writes/ff_reclaim_execution/max_retries_exhausted/wrote",
    "refusal-writes/ff_suspend_execution/use_pending_with_extras_unsupported/wrote",
    "terminal/ff_replay_execution/OK/no-reclaims-left",
];

/// The properties that are asked: of calls, and of what grants, histories, ends and creations owe.
const ASKED: [&str; 12] = [
    "creation",
    "grammar",
    "grants",
    "lease-history",
    "published",
    "raises",
    "refusal-writes",
    "refusals",
    "reply-state",
    "slot",
    "streams",
    "terminal",
];

#[test]
fn what_the_properties_say_of_the_published_library_is_known() {
    let mut ours = Simulated::new(Dialect::Valkey8);
    let mut told = BTreeMap::new();
    for seed in 0..SEQUENCES {
        judge(seed, &mut ours, &mut told);
    }
    let is_asked = |fingerprint: &str| ASKED.iter().any(|name| fingerprint.split('/').next() == Some(name));
    told.retain(|fingerprint, _| is_asked(fingerprint));
    let bad_arguments = told.keys().filter(|fingerprint| fingerprint.ends_with("on-bad-arguments")).count();
    assert!(bad_arguments > 10, "functions that raise over an argument: {bad_arguments}");
    told.retain(|fingerprint, _| !fingerprint.ends_with("on-bad-arguments"));
    let new: Vec<_> = told.iter().filter(|(fingerprint, _)| !KNOWN.contains(&fingerprint.as_str())).collect();
    assert!(new.is_empty(), "{new:#?}");
    let gone: Vec<_> = KNOWN.iter().filter(|known| !told.contains_key(**known)).collect();
    assert!(gone.is_empty(), "no longer said: {gone:?}");
}
