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
    witness.opened(SESSION, Node::Worker(1), SESSION);
    let mut world = World::default();
    world.keeps_keys = true;
    let (mut bytes, mut nth) = (Bytes(seed), 0);
    let plain = calls::FUNCTIONS.iter().filter(|_| seed % 8 == 0);
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
            session: SESSION,
            nth,
            args: &args,
            now,
            reply: &reply,
            effects: &effects,
            keyspace,
        });
    }
    let (judge, ..) = witness.end(End::Quiet);
    for violation in judge.finish().violations {
        let (times, _) = told.entry(violation.fingerprint.to_string()).or_insert((0, violation.message));
        *times += violation.times;
    }
}

#[test]
fn what_the_properties_say_of_the_published_library_is_known() {
    let mut ours = Simulated::new(Dialect::Valkey8);
    let mut told = BTreeMap::new();
    for seed in 0..SEQUENCES {
        judge(seed, &mut ours, &mut told);
    }
    for (fingerprint, (times, message)) in &told {
        println!("{times:>6} {fingerprint}: {message}");
    }
}
