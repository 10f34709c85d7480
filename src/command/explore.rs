//! `grantsim explore`: every history of calls, or of a world, up to a depth.

use std::{
    fs,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use grantsim::{
    explore::{CALLS, Counterexample, Exploration, Progress, Report, Scope, WORLD},
    finding::Finding,
    hunt::Exit,
    library::LibraryRef,
    plan::file::PlanFile,
    report,
};
use serde::Serialize;

use super::{
    library::LibraryArgs,
    terminal::{Line, listen, print},
    values::{Named, duration, jobs},
};

#[derive(Args)]
pub(super) struct ExploreArgs {
    /// What is explored.
    what: What,
    /// What takes part; may be repeated. All scopes of what is explored when absent.
    #[arg(long = "scope", value_name = "NAME", value_parser = scopes())]
    scopes: Vec<&'static Scope>,
    /// How many choices a history has: calls, or what arrives, and turns of the clock. Each scope's own when absent.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=200))]
    depth: Option<u64>,
    /// How much goes wrong in a history of a world, at most. Each scope's own when absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=8))]
    budget: Option<u8>,
    /// How many threads; all cores when absent. The result does not depend on it.
    #[arg(long)]
    jobs: Option<NonZero<usize>>,
    /// For how long at most, as 90s or 10m; each scope.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    limit: Option<Duration>,
    /// Begin no level after so many states of a scope: a state that waits takes some kilobytes.
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    max_states: u64,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the plans of new violations are written.
    #[arg(long, value_name = "DIR", default_value = "grantsim-explored")]
    plans: PathBuf,
    /// Write the plans of known findings, too.
    #[arg(long)]
    all_plans: bool,
    /// Take known findings for violations.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    library: LibraryArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Every sequence of calls, without a network: every call of a menu in every state, and time moved to every instant at which
    /// something is due, a millisecond before, and one after. The shortest histories come first. What must hold at every moment
    /// is judged at each step; a history that breaks it is written as a plan, for `replay`.
    Calls,
    /// What a deployment does, with everything that is in flight in it: each order in which requests reach the server, and, as
    /// often as the budget allows, a request that is held while time goes on, is lost, or comes twice, a reply that is lost, a
    /// process that crashes, or stands still.
    World,
}

impl What {
    /// Its scopes.
    fn scopes(self) -> &'static [Scope] {
        match self {
            What::Calls => CALLS,
            What::World => WORLD,
        }
    }
}

/// What `--json` writes. Its names are a promise: see the README.
#[derive(Serialize)]
struct Json<'r> {
    library: LibraryRef,
    scopes: Vec<JsonScope<'r>>,
}

#[derive(Serialize)]
struct JsonScope<'r> {
    #[serde(flatten)]
    report: &'r Report,
    states: u64,
    steps: u64,
    steps_per_second: u64,
    /// Findings that were met again, and how many of their kinds.
    known: std::collections::BTreeMap<&'r str, usize>,
    /// Kinds that no finding covers.
    new: Vec<String>,
}

impl ExploreArgs {
    /// Explores, and tells what was found.
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        listen(move || asked.store(true, Ordering::Relaxed))?;
        let all: Vec<&'static Scope> = self.what.scopes().iter().collect();
        if let Some(other) = self.scopes.iter().find(|scope| !all.contains(scope)) {
            let names: Vec<&str> = all.iter().map(|scope| scope.name).collect();
            bail!("{} is no scope of what is to be explored: there are {}", other.name, names.join(", "));
        }
        let scopes = if self.scopes.is_empty() { all } else { self.scopes.clone() };
        let subject = self.library.subject()?;
        let known = if self.strict { Vec::new() } else { Finding::of(&subject) };
        let mut reports = Vec::new();
        let mut is_broken = false;
        for scope in scopes {
            let mut exploration = Exploration::new(subject.clone(), scope);
            if let Some(depth) = self.depth {
                exploration.depth = depth as usize;
            }
            exploration.budget = self.budget.unwrap_or(exploration.budget);
            exploration.jobs = jobs(self.jobs);
            exploration.dialect = self.library.dialect.unwrap_or_default();
            exploration.entries = self.library.properties();
            (exploration.max_states, exploration.limit) = (self.max_states, self.limit);
            let line = Line::new();
            let report = exploration.run(&stop, &|progress| line.show(told(scope, progress)));
            line.done();
            let report = report?;
            print(&report::explored(&report, scope, &known, |one| {
                self.library.replay_line(&self.path(scope, one).display())
            }))?;
            is_broken |= self.write_plans(&report, scope, &known)?;
            reports.push(report);
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        if let Some(path) = &self.json {
            let scopes = reports.iter().map(|report| json(report, &known)).collect();
            let text = serde_json::to_string_pretty(&Json { library: subject.reference(), scopes })
                .context("plain data")?;
            fs::write(path, text + "\n")
                .with_context(|| format!("cannot write the report {}", path.display()))?;
        }
        Ok(if is_broken { Exit::Broken } else { Exit::AllHeld })
    }

    /// Writes the plans of what is new; whether anything is.
    fn write_plans(&self, report: &Report, scope: &Scope, known: &[Finding]) -> anyhow::Result<bool> {
        let is_new = |one: &&Counterexample| Finding::among(known, &one.fingerprint).is_none();
        for one in report.counterexamples.iter().filter(|one| self.all_plans || is_new(one)) {
            fs::create_dir_all(&self.plans)
                .with_context(|| format!("cannot make the folder {}", self.plans.display()))?;
            let choices: Vec<&str> = one.history.iter().map(|told| told.choice.as_str()).collect();
            let about = format!("Shows {}: {}.", one.fingerprint, choices.join("; "));
            let library = Some(self.library.library()?.reference());
            PlanFile { about, library, plan: one.plan.clone() }.write(&self.path(scope, one))?;
        }
        Ok(report.counterexamples.iter().any(|one| is_new(&one)))
    }

    fn path(&self, scope: &Scope, one: &Counterexample) -> PathBuf {
        let name: String = one
            .fingerprint
            .to_string()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
            .collect();
        Path::new(&self.plans).join(format!("{}-{name}.json", scope.name))
    }
}

fn json<'r>(report: &'r Report, known: &'r [Finding]) -> JsonScope<'r> {
    let mut met = std::collections::BTreeMap::new();
    let mut new = Vec::new();
    for one in &report.counterexamples {
        match Finding::among(known, &one.fingerprint) {
            Some(finding) => *met.entry(finding.slug.as_str()).or_default() += 1,
            None => new.push(one.fingerprint.to_string()),
        }
    }
    let seconds = report.elapsed.as_secs_f64().max(1e-9);
    JsonScope {
        report,
        states: report.states(),
        steps: report.steps(),
        steps_per_second: (report.steps() as f64 / seconds) as u64,
        known: met,
        new,
    }
}

fn scopes() -> Named<&'static Scope> {
    fn all() -> impl Iterator<Item = &'static Scope> {
        CALLS.iter().chain(WORLD)
    }
    Named::new(all().map(|scope| (scope.name.to_owned(), scope.about.to_owned())), |name| {
        let names = || all().map(|scope| scope.name).collect::<Vec<_>>().join(", ");
        Scope::named(name).ok_or_else(|| format!("no scope is called {name:?}; there are {}", names()))
    })
}

/// How far an exploration of a scope is.
fn told(scope: &Scope, Progress { depth, states, steps, queue, elapsed }: Progress) -> String {
    let rate = (steps as f64 / elapsed.as_secs_f64().max(1e-3)) as u64;
    format!(
        "{}: depth {depth}, {states} states, {queue} in the queue, {steps} steps, {rate} a second",
        scope.name
    )
}
