//! What single commands cost on the engine; and, where there are real servers, what they spend on the same ones by their
//! own count, and the ratio.
//!
//! `cargo bench -p valkey-sim --bench commands`.

#[allow(dead_code, reason = "shared with the benches of grant cycles")]
#[path = "../../benches/common/real_server.rs"]
mod real_server;

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use real_server::{RealServer, SERVERS, is_measurement};
use valkey_sim::{
    engine::{Dialect, Effects, Engine, Session, UnixMicros},
    lua::Interpreter,
};

const NOW: UnixMicros = UnixMicros(1_735_689_600_000_000);
/// Members of the sorted set.
const MEMBERS: u32 = 100_000;
/// Commands of one comparison.
const TIMES: u32 = 5_000;

/// A command to measure, the `n`th time it is sent.
struct Case {
    name: &'static str,
    /// Its line in `INFO commandstats`.
    stat: &'static str,
    command: fn(u32) -> String,
}

/// The commands, as words: none holds a space where it should not, but the script, which has none.
const CASES: &[Case] = &[
    Case { name: "SET", stat: "set", command: |n| format!("SET key{} value{n}", n % 1_000) },
    Case { name: "GET", stat: "get", command: |n| format!("GET key{}", n % 1_000) },
    Case {
        name: "ZADD of 100,000",
        stat: "zadd",
        command: |n| format!("ZADD zset {} member{}", n.wrapping_mul(7_919) % MEMBERS, n * 31 % MEMBERS),
    },
    Case {
        name: "ZRANGEBYSCORE of 100,000",
        stat: "zrangebyscore",
        command: |n| format!("ZRANGEBYSCORE zset {} +inf LIMIT 0 10", n.wrapping_mul(7_919) % MEMBERS),
    },
    Case { name: "HGETALL of 40", stat: "hgetall", command: |_| "HGETALL hash".to_owned() },
    Case {
        name: "EVAL of ten GETs",
        stat: "eval",
        command: |_| "EVAL for\ti=1,10\tdo\tredis.call('GET',KEYS[1])\tend 1 key1".to_owned(),
    },
];

/// What must be there before.
fn preparation() -> impl Iterator<Item = String> {
    let strings = (0..1_000).map(|n| format!("SET key{n} value"));
    let fields: String = (0..40).map(|n| format!(" field{n} value-{n}")).collect();
    let members = (0..MEMBERS).map(|n| format!("ZADD zset {n} member{n}"));
    strings.chain([format!("HSET hash{fields}")]).chain(members)
}

fn words(command: &str) -> Vec<&[u8]> {
    command.split(' ').map(str::as_bytes).collect()
}

/// The engine.
struct Arm {
    engine: Engine,
    session: Session,
    effects: Effects,
}

impl Arm {
    fn new(dialect: Dialect) -> Self {
        let mut engine = Engine::new(dialect, Interpreter::default());
        let session = engine.connect();
        let mut arm = Self { engine, session, effects: Effects::default() };
        preparation().for_each(|command| arm.send(&words(&command)));
        arm
    }

    fn send(&mut self, args: &[&[u8]]) {
        self.effects.clear();
        let reply = self.engine.execute(&mut self.session, args, NOW, &mut self.effects);
        assert!(reply.error().is_none(), "{reply:?}");
    }
}

fn engine(criterion: &mut Criterion) {
    let mut arm = Arm::new(Dialect::Valkey8);
    for case in CASES {
        let commands: Vec<String> = (0..TIMES).map(case.command).collect();
        let commands: Vec<_> = commands.iter().map(|command| words(command)).collect();
        let mut next = commands.iter().cycle();
        criterion.bench_function(case.name, |bencher| {
            bencher.iter(|| next.by_ref().take(1).for_each(|args| arm.send(args)));
        });
    }
}

fn compared(_: &mut Criterion) {
    if is_measurement() {
        SERVERS.iter().for_each(|(program, dialect)| compare(program, *dialect));
    }
}

fn compare(program: &str, dialect: Dialect) {
    let Some(mut server) = RealServer::start(program) else { return };
    preparation().for_each(|command| drop(server.send(&words(&command))));
    let mut arm = Arm::new(dialect);
    for case in CASES {
        let commands: Vec<String> = (0..TIMES).map(case.command).collect();
        let commands: Vec<_> = commands.iter().map(|command| words(command)).collect();
        // Alternating, and the best of each: what disturbs one disturbs the other.
        let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
        for _ in 0..5 {
            let start = Instant::now();
            commands.iter().for_each(|args| arm.send(args));
            ours = ours.min(start.elapsed());
            server.reset_stats();
            commands.iter().for_each(|args| drop(server.send(args)));
            theirs = theirs.min(server.spent_on(case.stat));
        }
        let us = |spent: Duration| spent.as_secs_f64() * 1e6 / f64::from(TIMES);
        let (ours, theirs) = (us(ours), us(theirs));
        let name = case.name;
        println!(
            "{name}: engine {ours:.2} µs, {program} {theirs:.2} µs by its own count: ratio {:.2}",
            ours / theirs
        );
    }
}

criterion_group!(benches, engine, compared);
criterion_main!(benches);
