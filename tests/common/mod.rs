//! What the tests share: the libraries under test, proptest's settings, and a verdict that says how to go on.

use std::{
    collections::BTreeMap,
    fs, iter,
    ops::Range,
    path::Path,
    sync::{Arc, LazyLock, Mutex, OnceLock},
    thread,
};

use grantsim::{
    drive::{self, Subject},
    finding::Finding,
    hunt::mutants::KnownSeeds,
    library::{Library, Mutant},
    plan::{Plan, file::PlanFile, profile, token::Token},
    property::{self, Verdict, Violation, catalogue},
    report::{self, Failure},
    trace::Trace,
};
use proptest::{prelude::*, test_runner::Config};

use crate::support::seeds;

/// As the program has it: a sixth of what a simulation took was the allocator's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// FlowFabric's published library.
pub static PUBLISHED: LazyLock<Subject> =
    LazyLock::new(|| Subject::new(Library::published()).expect("the published library loads"));

/// The library of this repository.
pub static MINIMAL: LazyLock<Subject> = LazyLock::new(|| {
    let library =
        Library::from_file(Path::new("fixtures/libraries/minimal.lua")).expect("minimal.lua is there");
    Subject::new(library).expect("minimal.lua loads")
});

/// Which seeds show which mutant. To search for them is five times as much as to run them; `tests/mutants.rs` writes them.
pub const KNOWN: &str = "fixtures/mutants.json";

/// The seeds that show the mutants, by library and mutant.
pub static KNOWN_SEEDS: LazyLock<KnownSeeds> = LazyLock::new(|| {
    let text = fs::read_to_string(KNOWN).expect("the seeds that show the mutants");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{KNOWN}: {error}"))
});

/// Neighbours of which no run takes long: one of the first hundred and fifty takes as long as all of these together, and some
/// far longer.
pub const SHORT: Range<u64> = 53..63;

/// The seeds that are known to show a mutant of a library, and then the first ones.
pub fn seeds_that_show(mutant: &Mutant, library: &Library, first: u64) -> impl Iterator<Item = u64> {
    let known = KNOWN_SEEDS.get(library.name()).and_then(|mutants| mutants.get(&mutant.name));
    known.into_iter().flatten().copied().chain(0..first)
}

/// The seed that is known to show something, or else the first of others that does. Says so where it is another one.
pub fn seed_that_shows(
    what: &str,
    known: u64,
    others: Range<u64>,
    shows: impl Fn(u64) -> bool,
) -> Option<u64> {
    let shown = iter::once(known).chain(others).find(|seed| shows(*seed))?;
    if shown != known {
        eprintln!("{what}: by {shown}, and no more by {known}");
    }
    Some(shown)
}

/// Does something with each, two at a time.
pub fn two_at_a_time<I>(all: I, work: impl Fn(I::Item) + Sync)
where
    I: IntoIterator<IntoIter: Send>,
{
    let all = Mutex::new(all.into_iter());
    let next = || all.lock().expect("no iterator panics").next();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(one) = next() {
                    work(one);
                }
            });
        }
    });
}

/// Proptest's settings: a fixed seed, so that a build stays what it was, red or green. `GRANTSIM_SEED` sets another, and
/// `PROPTEST_CASES` more cases. What fails is printed as a plan, which outlives the strategy; a stored seed would not.
pub fn config() -> Config {
    seeds::config(32, 7)
}

/// The plan of a seed of the default profile.
pub fn swarm(seed: u64) -> Plan {
    Token::new(profile::DEFAULT, seed).expect("a profile").plan()
}

/// A plan that was drawn, which ends when the last of its faults has begun that has a time.
pub fn until_all_broke(plan: Plan) -> Plan {
    Plan { heals: false, run_for_ms: 8_000, ..plan }
}

/// Plans of a profile.
pub fn plans(profile: &str) -> BoxedStrategy<Plan> {
    (grantsim::plan::profile::find(profile).expect("a profile").plans)()
}

/// Runs a plan. That the harness does not fail is part of every test.
pub fn run(plan: &Plan, subject: &Subject) -> Trace {
    drive::run(plan, subject).unwrap_or_else(|error| panic!("{error}\n{}", as_file(plan)))
}

/// Judges a run by every property.
pub fn verdict(trace: &Trace) -> Verdict {
    property::judge(trace, catalogue::all())
}

/// Fails with the plan and the story unless the property holds.
pub fn check(property: &str, plan: &Plan, subject: &Subject) -> Result<(), TestCaseError> {
    check_but(&[], property, plan, subject)
}

/// As [`check`], but for what is known of the library.
pub fn check_but_known(property: &str, plan: &Plan, subject: &Subject) -> Result<(), TestCaseError> {
    check_but(&Finding::of(subject), property, plan, subject)
}

fn check_but(known: &[Finding], property: &str, plan: &Plan, subject: &Subject) -> Result<(), TestCaseError> {
    property::find(property).expect("a property");
    let is_new = |violation: &&Violation| {
        violation.fingerprint.property() == property
            && Finding::among(known, &violation.fingerprint).is_none()
    };
    let judged = judged(plan, subject);
    let verdict = judged.get().expect("it was run");
    let Some(violation) = verdict.violations.iter().find(is_new) else { return Ok(()) };
    let replay = "cargo run --release -- replay fixtures/plans/<name>.json --timeline";
    let trace = run(plan, subject);
    let failure = Failure { violation, trace: &trace, plan: Some(plan), replay, seeds: None };
    let story = report::failure(&failure);
    Err(TestCaseError::fail(format!("{story}\nfixtures/plans/<name>.json, to save:\n{}", as_file(plan))))
}

/// What every property says of a run, once it was run.
type Judged = Arc<OnceLock<Verdict>>;

/// What every property says of a run. It is run once: the tests of the properties draw the same plans.
fn judged(plan: &Plan, subject: &Subject) -> Judged {
    static JUDGED: Mutex<BTreeMap<(String, String), Judged>> = Mutex::new(BTreeMap::new());
    let key = (subject.library.name().to_owned(), as_file(plan));
    let once = Arc::clone(JUDGED.lock().expect("nothing panics here").entry(key).or_default());
    once.get_or_init(|| verdict(&run(plan, subject)));
    once
}

/// The plan as a file to keep.
pub fn as_file(plan: &Plan) -> String {
    PlanFile { about: String::new(), library: None, plan: plan.clone() }.to_json()
}

/// Every plan file of a folder, by name.
pub fn plan_files(folder: &str) -> Vec<(String, PlanFile)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let paths = entries.map(|entry| entry.expect("a folder that can be listed").path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            (name, PlanFile::read(&path).unwrap_or_else(|error| panic!("{error}")))
        })
        .collect();
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    files
}
