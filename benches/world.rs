//! A whole simulated world against the engine alone on the very commands that the world's server executed, and seeds
//! per second.
//!
//! `cargo bench --bench world`.

mod common;

use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, Instant},
};

use common::real_server::is_measurement;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use grantsim::{
    drive::{self, Recorded, Subject},
    library::Library,
    plan::{Plan, token::Token},
    property::{Judge, catalogue},
    protocol::{Command, load_library},
};
use valkey_sim::{
    engine::{Effects, Engine, Session, UnixMicros},
    lua::{Compiled, Interpreter, Limits},
};

/// Seeds of one comparison.
const SEEDS: u64 = 40;

fn subject() -> Subject {
    Subject::new(Library::published()).expect("the published library loads")
}

fn plans() -> Vec<Plan> {
    let first = Token::new("swarm", 0).expect("a profile");
    (0..SEEDS).map(|seed| first.with_seed(seed).plan()).collect()
}

/// An engine as a run begins with: the library is loaded, the sessions are open.
struct Alone {
    engine: Engine,
    sessions: BTreeMap<u64, Session>,
}

impl Alone {
    fn new(plan: &Plan, compiled: &Compiled, commands: &[Recorded]) -> Self {
        let interpreter = Interpreter::with_compiled(Limits::default(), compiled.clone());
        let mut engine = Engine::new(plan.dialect, interpreter);
        engine.seed(plan.random("valkey").next_u64());
        let mut admin = engine.connect();
        let request = load_library(Library::published().source()).request();
        let args: Vec<&[u8]> = request.args.iter().map(Vec::as_slice).collect();
        engine.execute(&mut admin, &args, UnixMicros::default(), &mut Effects::default());
        let mut sessions = BTreeMap::new();
        for command in commands {
            sessions.entry(command.session).or_insert_with(|| engine.connect());
        }
        Self { engine, sessions }
    }

    fn run(&mut self, commands: &[Recorded]) {
        let mut effects = Effects::default();
        for Recorded { session, now, args } in commands {
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            let Some(session) = self.sessions.get_mut(session) else { continue };
            effects.clear();
            black_box(self.engine.execute(session, &args, *now, &mut effects));
        }
    }
}

fn world(criterion: &mut Criterion) {
    let (subject, plan) = (subject(), &plans()[0]);
    let commands = drive::commands(plan, &subject).expect("the plan runs");
    let compiled = Compiled::library(subject.library.source().as_bytes()).expect("it compiles");
    criterion.bench_function("world/whole", |bencher| bencher.iter(|| drive::run(plan, &subject)));
    criterion.bench_function("world/engine alone", |bencher| {
        bencher.iter_batched_ref(
            || Alone::new(plan, &compiled, &commands),
            |alone| alone.run(&commands),
            BatchSize::PerIteration,
        );
    });
}

fn compared(_: &mut Criterion) {
    if !is_measurement() {
        return;
    }
    let subject = subject();
    let compiled = Compiled::library(subject.library.source().as_bytes()).expect("it compiles");
    let [mut whole, mut judged, mut loading, mut alone] = [Duration::ZERO; 4];
    let (mut claims, mut calls, mut commands_run) = (0, 0, 0);
    let timed = |spent: &mut Duration, work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        *spent += start.elapsed();
    };
    for plan in plans() {
        let commands = drive::commands(&plan, &subject).expect("the plan runs");
        let (_, judge) = drive::watch(&plan, &subject, Judge::new([])).expect("the plan runs");
        let counts = judge.finish().counts;
        (claims, calls) = (claims + counts.claims, calls + counts.calls);
        commands_run += commands.len() as u64;
        timed(&mut whole, &mut || drop(black_box(drive::watch(&plan, &subject, Judge::new([])))));
        timed(&mut judged, &mut || {
            drop(black_box(drive::watch(&plan, &subject, Judge::new(catalogue::all()))));
        });
        let mut engine = None;
        timed(&mut loading, &mut || engine = Some(Alone::new(&plan, &compiled, &commands)));
        timed(&mut alone, &mut || engine.iter_mut().for_each(|engine| engine.run(&commands)));
    }
    let a_seed = |spent: Duration| spent / SEEDS as u32;
    println!(
        "world: {:.1?} a seed ({:.0} seeds/s on one core; {} claims, {} calls, {} commands each); judged by all \
         properties {:.1?} (ratio {:.2}); loading the library {:.1?}, the engine alone {:.1?}: ratio {:.2}, with loading {:.2}",
        a_seed(whole),
        SEEDS as f64 / whole.as_secs_f64(),
        claims / SEEDS,
        calls / SEEDS,
        commands_run / SEEDS,
        a_seed(judged),
        judged.as_secs_f64() / whole.as_secs_f64(),
        a_seed(loading),
        a_seed(alone),
        whole.as_secs_f64() / alone.as_secs_f64(),
        whole.as_secs_f64() / (alone + loading).as_secs_f64(),
    );
}

criterion_group!(benches, world, compared);
criterion_main!(benches);
