//! A grant's life (create, grant, claim, renew, complete) straight on the engine; and, where there are real servers, what
//! they spend on the same five calls by their own count, and the ratio.
//!
//! `cargo bench --bench cycle`. Instructions of one cycle: `valgrind --tool=callgrind --toggle-collect='*Arm*run_cycle*'`
//! on the built bench, with `--test`.

mod common;

use std::time::{Duration, Instant};

use common::{
    cycle,
    real_server::{RealServer, SERVERS, is_measurement},
};
use criterion::{Criterion, criterion_group, criterion_main};
use grantsim::{
    library::Library,
    protocol::{Command, Request, load_library},
};
use valkey_sim::{
    engine::{Dialect, Effects, Engine, Reply, Session, UnixMicros},
    lua::Interpreter,
};

/// Cycles of one comparison; both arms forget what they know before each.
const CYCLES: u128 = 2_000;
const NOW: UnixMicros = UnixMicros(1_735_689_600_000_000);

/// The engine with the published library in it.
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
        arm.send(&load_library(Library::published().source()).request());
        arm
    }

    fn send(&mut self, request: &Request) -> Reply {
        let args: Vec<&[u8]> = request.args.iter().map(Vec::as_slice).collect();
        self.effects.clear();
        let reply = self.engine.execute(&mut self.session, &args, NOW, &mut self.effects);
        assert!(reply.error().is_none(), "{reply:?} to {request:?}");
        reply
    }

    #[inline(never)]
    fn run_cycle(&mut self, cycle: &[Request; 5]) {
        cycle.iter().for_each(|request| drop(self.send(request)));
    }

    fn flush(&mut self) {
        self.send(&Request { args: [b"FLUSHALL".to_vec()].into() });
    }

    /// The mean cost of one cycle of many.
    fn mean(&mut self, cycles: &[[Request; 5]]) -> Duration {
        self.flush();
        let start = Instant::now();
        cycles.iter().for_each(|cycle| self.run_cycle(cycle));
        start.elapsed() / cycles.len() as u32
    }
}

fn engine(criterion: &mut Criterion) {
    let mut arm = Arm::new(Dialect::Valkey8);
    let requests = cycle(1);
    // A cycle of an id that is known would be refused early, and be cheap.
    criterion.bench_function("cycle/engine", |bencher| {
        bencher.iter(|| {
            arm.flush();
            arm.run_cycle(&requests);
        });
    });
}

fn compared(_: &mut Criterion) {
    if is_measurement() {
        SERVERS.iter().for_each(|(program, dialect)| compare(program, *dialect));
    }
}

fn compare(program: &str, dialect: Dialect) {
    let Some(mut server) = RealServer::start(program) else { return };
    server.send(&load_library(Library::published().source()).request().args);
    let mut arm = Arm::new(dialect);
    let cycles: Vec<_> = (1..=CYCLES).map(cycle).collect();
    // Alternating, and the best of each: what disturbs one disturbs the other.
    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        ours = ours.min(arm.mean(&cycles));
        server.send(&["FLUSHALL"]);
        server.reset_stats();
        cycles.iter().flatten().for_each(|request| drop(server.send(&request.args)));
        theirs = theirs.min(server.spent_on("fcall") / cycles.len() as u32);
    }
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("cycle: engine {ours:.1?}, {program} {theirs:.1?} by its own count: ratio {ratio:.2}");
}

criterion_group!(benches, engine, compared);
criterion_main!(benches);
