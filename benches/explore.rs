//! Steps a second of `explore calls`, on the real Lua: on one core, and by how much two are faster.
//!
//! `cargo bench --bench explore`.

mod common;

use std::num::NonZero;

use common::real_server::is_measurement;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grantsim::{
    drive::Subject,
    explore::{Exploration, Report, Scope},
    library::Library,
};

/// A scope, and how deep it goes here: some hundred thousand steps.
const SCOPES: [(&str, usize); 4] = [("one", 6), ("two", 7), ("flow", 5), ("admission", 5)];

fn exploration(scope: &str, depth: usize, jobs: usize) -> Exploration {
    let subject = Subject::new(Library::published()).expect("the published library loads");
    let mut exploration = Exploration::new(subject, Scope::named(scope).expect("a scope"));
    exploration.depth = depth;
    exploration.jobs = NonZero::new(jobs).expect("some");
    exploration
}

fn explored(exploration: &Exploration) -> Report {
    exploration.run(&Default::default(), &|_| {}).expect("it can be explored")
}

fn explore(criterion: &mut Criterion) {
    let exploration = exploration("one", 4, 1);
    let mut group = criterion.benchmark_group("explore");
    group.throughput(Throughput::Elements(explored(&exploration).steps()));
    group.bench_function("one, four choices", |bencher| bencher.iter(|| explored(&exploration)));
    group.finish();
}

fn compared(_: &mut Criterion) {
    if !is_measurement() {
        return;
    }
    for (scope, depth) in SCOPES {
        let [alone, both] = [1, 2].map(|jobs| {
            let report = explored(&exploration(scope, depth, jobs));
            report.steps() as f64 / report.elapsed.as_secs_f64()
        });
        println!(
            "explore: {scope}: {alone:.0} steps a second on one core, {both:.0} on two: ratio {:.2}",
            both / alone
        );
    }
}

criterion_group!(benches, explore, compared);
criterion_main!(benches);
