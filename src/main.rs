//! The command line, and nothing else: arguments in, a report out, an exit code that says which.

use std::{
    cell::Cell,
    fmt::Display,
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    num::NonZero,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::{ArgAction, Args, Parser, Subcommand};
use grantsim::{
    drive::{self, Subject},
    finding::Finding,
    hunt::{self, Exit, Hunt, Progress, Report, Until},
    library::{Library, Mutant},
    plan::{Plan, file::PlanFile, profile, token::Token},
    property::{self, Entry, Expect, Fingerprint, Violation, catalogue},
    report::{self, Detail, ReportFile, Run},
    shrink::{self, Budget, Shrunk},
    trace::Trace,
};
use indicatif::{ProgressBar, ProgressStyle};
use valkey_sim::engine::Dialect;

/// A run is many small allocations on a thread of its own; glibc's allocator took a sixth of the time of a hunt.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Deterministic simulation and property testing of claim grants and leases kept in Valkey.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run many seeds and check every property on each.
    Hunt(HuntArgs),
    /// Run one token or plan again, or judge a trace, and show what happened.
    Replay(ReplayArgs),
    /// Make the plan of a violation as small and as plain as it can be.
    Shrink(ShrinkArgs),
    /// Keep the plan of a violation among those that the tests run: fixtures/plans/NAME.json.
    Keep(KeepArgs),
    /// List the properties.
    Properties,
    /// List the profiles.
    Profiles,
}

#[derive(Args)]
struct LibraryArgs {
    /// The function library to test: a Lua file. The published FlowFabric library when absent.
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// Break the library in a known way first, to see what a failure looks like.
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
    /// The server to simulate: valkey-8 or redis-7.
    #[arg(long, value_name = "DIALECT")]
    dialect: Option<Dialect>,
    /// Judge by this property only; may be repeated.
    #[arg(long = "property", value_name = "NAME")]
    properties: Vec<String>,
}

#[derive(Args)]
struct HuntArgs {
    #[command(flatten)]
    library: LibraryArgs,
    /// How many seeds.
    #[arg(long, default_value_t = 500, conflicts_with = "for", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// How long instead: 90s, 10m, 2h.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    r#for: Option<Duration>,
    /// The first seed, in hex as in a token.
    #[arg(long, value_name = "S", default_value = "0", value_parser = hex)]
    start: u64,
    /// The profile to draw plans from.
    #[arg(long, default_value = profile::DEFAULT)]
    profile: String,
    /// How many runs at a time; all cores when absent.
    #[arg(long)]
    jobs: Option<NonZero<usize>>,
    /// Take the K-th of N shares of the seeds.
    #[arg(long, value_name = "K/N", default_value = "1/1", value_parser = shard)]
    shard: (u64, u64),
    /// Count known findings as violations.
    #[arg(long, conflicts_with = "baseline")]
    strict: bool,
    /// The library as it was before an edit: what it breaks in the same way is told apart from what is new.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct ReplayArgs {
    /// A token, a plan file, or a trace file that `--trace` wrote (its name ends in .jsonl). Of a trace nothing is run
    /// again: it is judged as it is.
    #[arg(value_name = "TOKEN|PLAN.json|TRACE.jsonl")]
    what: String,
    #[command(flatten)]
    library: LibraryArgs,
    /// Write the trace as JSON lines.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the plan, to edit it or to keep it.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Print the run as a timeline: the life of its grants and leases, or every event.
    #[arg(long, value_name = "life|full", num_args = 0..=1, require_equals = true, default_missing_value = "life",
          value_parser = detail)]
    timeline: Option<Detail>,
    /// Show what engine, links and processes do as they do it, on standard error; twice for more.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Args)]
struct BreakArgs {
    /// A token or a plan file that shows a violation.
    #[arg(value_name = "TOKEN|PLAN.json")]
    what: String,
    #[command(flatten)]
    library: LibraryArgs,
    /// The violation to keep: the first new one when absent. One of a known finding must be named.
    #[arg(long, value_name = "F")]
    fingerprint: Option<Fingerprint>,
    /// How many runs at most.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// How long at most: 30s, 10m, 2h.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    r#for: Duration,
    /// How many runs at a time; all cores when absent. The result does not depend on it.
    #[arg(long)]
    jobs: Option<NonZero<usize>>,
}

#[derive(Args)]
struct ShrinkArgs {
    #[command(flatten)]
    of: BreakArgs,
    /// Where to write the plan.
    #[arg(long, value_name = "FILE", default_value = "shrunk.json")]
    out: PathBuf,
}

#[derive(Args)]
struct KeepArgs {
    #[command(flatten)]
    of: BreakArgs,
    /// What the plan is called: lower-case letters, digits and dashes.
    #[arg(long = "as", value_name = "NAME", value_parser = plan_name)]
    name: String,
    /// Keep the plan as it is.
    #[arg(long)]
    no_shrink: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Hunt(args) => hunt(&args),
        Command::Replay(args) => replay(&args),
        Command::Shrink(args) => shrink(&args),
        Command::Keep(args) => keep(&args),
        Command::Properties => print(&properties()).map(|()| Exit::AllHeld),
        Command::Profiles => print(&profiles()).map(|()| Exit::AllHeld),
    };
    let exit = result.unwrap_or_else(|error| {
        say(&format!("error: {}", describe(&error)));
        Exit::of_error(error.chain())
    });
    ExitCode::from(exit.code())
}

/// An error and its causes in a line. Most errors name their cause themselves, before they say what to do about it: what
/// has been said is not said again.
fn describe(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match &*said {
        "" => cause,
        _ if said.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    })
}

fn hunt(args: &HuntArgs) -> anyhow::Result<Exit> {
    let hunt = args.hunt()?;
    let mut file = args.json.as_deref().map(ReportFile::new);
    let report = run(&hunt, args, file.as_mut())?;
    anyhow::ensure!(
        report.seeds > 0,
        "the hunt ran no seed: give it more time (--for), more --seeds, or another --shard"
    );
    if let Some(file) = file {
        file.finish(&report).with_context(|| args.cannot_write())?;
    }
    conclude(&hunt, &report, args)
}

/// Hunts until the end or Ctrl-C; shows how far it is, and keeps the report's file up to date.
fn run(hunt: &Hunt, args: &HuntArgs, mut file: Option<&mut ReportFile>) -> anyhow::Result<Report> {
    let stop = Arc::new(AtomicBool::new(false));
    let on_interrupt = Arc::clone(&stop);
    ctrlc::set_handler(move || on_interrupt.store(true, Ordering::Relaxed))
        .context("cannot listen for Ctrl-C")?;
    let bar = Bar::new(hunt);
    let mut unwritten = None;
    let report = hunt.run(&stop, |progress| {
        bar.show(&progress);
        let written = file.as_mut().map_or(Ok(()), |file| file.update(|| progress.report()));
        if let Err(error) = written {
            stop.store(true, Ordering::Relaxed);
            unwritten.get_or_insert(error);
        }
    });
    bar.done();
    if let Some(error) = unwritten {
        return Err(error).with_context(|| args.cannot_write());
    }
    report.map_err(|(token, error)| {
        let replay = args.library.replay_line(&token);
        anyhow::Error::new(error).context(format!("token {token} (replay: {replay})"))
    })
}

/// Prints what came of a hunt: each new violation with its story, the numbers, and what was never seen.
fn conclude(hunt: &Hunt, report: &Report, args: &HuntArgs) -> anyhow::Result<Exit> {
    for found in &report.violations {
        let trace = hunt.show(found)?;
        let replay = args.library.replay_line(&found.token);
        print(&format!("{}\n", report::failure(&found.violation, &trace, &replay)))?;
    }
    print(&report::summary(report))?;
    let conclusion = hunt::verdict(report, &args.profile);
    for unseen in conclusion.unseen {
        say(&format!("error: {}", report::unseen(unseen, report)));
    }
    Ok(conclusion.exit)
}

fn replay(args: &ReplayArgs) -> anyhow::Result<Exit> {
    if args.verbose > 0 {
        show_tracing(args.verbose);
    }
    if args.what.ends_with(".jsonl") {
        return retell(args);
    }
    let (mut file, token) = read_plan(&args.what)?;
    args.library.adjust(&mut file.plan);
    let subject = Subject::new(args.library.library()?)?;
    let properties = args.library.properties()?;
    if let Some(recorded) = file.library.replace(subject.reference()).filter(|it| *it != subject.reference())
    {
        say(&format!(
            "note: {} was recorded with library {} {}, and this is {} {}",
            args.what,
            recorded.name,
            recorded.version,
            subject.library.name(),
            subject.library.version()
        ));
    }
    if let Some(path) = &args.plan {
        file.write(path)?;
    }
    let plan = file.plan;
    let (mut trace, stopped) = drive::story(&plan, &subject)?;
    // Nothing is shown of the second run: it only has to be the same.
    let (again, _) = tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || {
        drive::story(&plan, &subject)
    })?;
    if let Err(differ) = hunt::same(&trace, &again) {
        print(&report::difference(&trace, &again, &differ))?;
        return Err(differ.into());
    }
    trace.header.token = token.as_ref().map(Token::to_string);
    if let Some(path) = &args.trace {
        let mut file = create(path)?;
        trace
            .write(&mut file)
            .and_then(|()| file.flush())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let run = Run {
        trace: &trace,
        plan: Some(&plan),
        properties: &properties,
        known: &Finding::of(&subject),
        replay: &args.library.replay_line(&args.what),
    };
    let (out, exit) = run.tell(args.timeline);
    print(&out)?;
    stopped.map_or(Ok(exit), |error| Err(error.into()))
}

/// A plan that shows a violation, and on which library.
struct Broken {
    file: PlanFile,
    subject: Subject,
    fingerprint: Fingerprint,
}

fn shrink(args: &ShrinkArgs) -> anyhow::Result<Exit> {
    let mut broken = args.of.find()?;
    let shrunk = args.of.shrink(&broken)?;
    print(&report::shrunk(&shrunk))?;
    broken.file.plan = shrunk.plan;
    // What it was made for was said of the whole plan.
    broken.file.about.clear();
    broken.file.write(&args.out)?;
    print(&format!("plan       {}\n\n", args.out.display()))?;
    args.of.tell(&broken, &args.out)?;
    Ok(Exit::AllHeld)
}

fn keep(args: &KeepArgs) -> anyhow::Result<Exit> {
    let path = Path::new("fixtures/plans").join(&args.name).with_extension("json");
    let shown = path.display().to_string();
    anyhow::ensure!(
        !path.exists(),
        "{shown} is there already: keep the plan under another name, or remove that one"
    );
    let folder = path.parent().is_some_and(Path::is_dir);
    anyhow::ensure!(folder, "there is no fixtures/plans here: run this in the repository's root");
    let mut broken = args.of.find()?;
    if !args.no_shrink {
        let shrunk = args.of.shrink(&broken)?;
        print(&report::shrunk(&shrunk))?;
        broken.file.plan = shrunk.plan;
    }
    let Broken { file, fingerprint, .. } = &mut broken;
    file.about = format!("TODO: say what happens here, and why it matters. It was kept for {fingerprint}.");
    file.write(&path)?;
    print(&format!("plan       {shown}\n\n"))?;
    args.of.tell(&broken, &path)?;
    print(&format!(
        "\nkept as {shown}: finish its \"about\". From now on `cargo test --test regressions` runs it on the published \
         library.\n"
    ))?;
    print(&on_published(&args.name, &broken)?)?;
    Ok(Exit::AllHeld)
}

/// What the test will say of a plan that was kept, where it is not that all is well.
fn on_published(name: &str, broken: &Broken) -> anyhow::Result<String> {
    let published = Subject::new(Library::published())?;
    let plan = &broken.file.plan;
    let trace = drive::run(plan, &published)?;
    let mut said = report::faults(Some(plan), &trace.faults);
    if !said.is_empty() {
        said += "that is so on the published library, and the test refuses it: take the fault out, or time it by a call\n";
    }
    let known = Finding::of(&published);
    for Violation { fingerprint, .. } in property::judge(&trace, catalogue::always()).violations {
        match known.iter().find(|finding| finding.covers(&fingerprint)) {
            Some(finding) => {
                let slug = &finding.slug;
                said += &format!(
                    "the published library itself breaks {fingerprint}: it is the known finding {slug} (see \
                     fixtures/findings/{slug})\n"
                );
            }
            None => said += &report::finding_folder(name, &fingerprint.to_string()),
        }
    }
    Ok(said)
}

impl BreakArgs {
    /// Runs the plan once, and chooses the violation.
    fn find(&self) -> anyhow::Result<Broken> {
        let (mut file, _) = read_plan(&self.what)?;
        self.library.adjust(&mut file.plan);
        let subject = Subject::new(self.library.library()?)?;
        file.library = Some(subject.reference());
        let trace = drive::run(&file.plan, &subject)?;
        let found = property::judge(&trace, self.library.properties()?).violations;
        let fingerprint = self.choose(found, &Finding::of(&subject))?;
        Ok(Broken { file, subject, fingerprint })
    }

    fn choose(&self, found: Vec<Violation>, known: &[Finding]) -> anyhow::Result<Fingerprint> {
        let fingerprints: Vec<Fingerprint> =
            found.into_iter().map(|violation| violation.fingerprint).collect();
        let listed: Vec<String> = fingerprints.iter().map(Fingerprint::to_string).collect();
        let listed = listed.join(", ");
        anyhow::ensure!(
            !fingerprints.is_empty(),
            "nothing breaks in {}, so there is nothing to shrink or keep",
            self.what
        );
        let is_new = |it: &&Fingerprint| known.iter().all(|finding| !finding.covers(it));
        let chosen = match &self.fingerprint {
            Some(named) => fingerprints.iter().find(|it| *it == named),
            None => fingerprints.iter().find(is_new),
        };
        chosen.cloned().with_context(|| match &self.fingerprint {
            Some(named) => format!("{} does not show {named}; it shows {listed}", self.what),
            None => format!(
                "nothing new breaks in {}: it shows the known {listed}; name one with --fingerprint to shrink or keep it",
                self.what
            ),
        })
    }

    fn shrink(&self, broken: &Broken) -> anyhow::Result<Shrunk> {
        let Broken { file, subject, fingerprint } = broken;
        say(&format!("shrinking {} to the least that shows {fingerprint}", self.what));
        let budget = Budget { runs: self.runs, wall: self.r#for, jobs: jobs(self.jobs) };
        let progress = Spinner::new();
        let shrunk = shrink::run(&file.plan, subject, fingerprint, budget, |now| progress.show(&now));
        progress.done();
        Ok(shrunk?)
    }

    /// Runs the plan that was written, and tells its violation with the line that replays it.
    fn tell(&self, broken: &Broken, path: &Path) -> anyhow::Result<()> {
        let Broken { file, subject, fingerprint } = broken;
        let trace = drive::run(&file.plan, subject)?;
        let found = property::judge(&trace, self.library.properties()?).violations;
        let violation =
            found.iter().find(|violation| violation.fingerprint == *fingerprint).with_context(|| {
                format!(
                    "{} did not do again what it did: it does not show {fingerprint} any more",
                    path.display()
                )
            })?;
        print(&report::failure(violation, &trace, &self.library.replay_line(&path.display())))
    }
}

/// Judges a trace file and tells it.
fn retell(args: &ReplayArgs) -> anyhow::Result<Exit> {
    let LibraryArgs { library, mutant, dialect, .. } = &args.library;
    anyhow::ensure!(
        library.is_none() && mutant.is_none() && dialect.is_none(),
        "a trace is what one library did, and nothing is run: --library, --mutant and --dialect go with the token or plan that \
         it came from"
    );
    anyhow::ensure!(
        args.plan.is_none() && args.trace.is_none(),
        "a trace is judged as it is, and has no plan: --plan and --trace go with the token or plan that it came from"
    );
    let path = Path::new(&args.what);
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let trace = Trace::read(io::BufReader::new(file)).with_context(|| path.display().to_string())?;
    trace.check().with_context(|| path.display().to_string())?;
    let run = Run {
        trace: &trace,
        plan: None,
        properties: &args.library.properties()?,
        known: &Finding::of_recorded(&trace.header.library),
        replay: &format!("cargo run --release -- replay {} --timeline", quoted(&args.what)),
    };
    let (out, exit) = run.tell(args.timeline);
    print(&out)?;
    Ok(exit)
}

/// The plan that a token or a file names.
fn read_plan(what: &str) -> anyhow::Result<(PlanFile, Option<Token>)> {
    let path = Path::new(what);
    if path.exists() || what.ends_with(".json") {
        return Ok((PlanFile::read(path)?, None));
    }
    let token: Token = what.parse()?;
    Ok((PlanFile { about: String::new(), library: None, plan: token.plan() }, Some(token)))
}

impl HuntArgs {
    fn hunt(&self) -> anyhow::Result<Hunt> {
        Ok(Hunt {
            subject: Subject::new(self.library.library()?)?,
            first: Token::new(&self.profile, self.start)?,
            until: self.r#for.map_or(Until::Seeds(self.seeds), Until::Elapsed),
            jobs: jobs(self.jobs),
            shard: self.shard,
            properties: self.library.properties()?,
            dialect: self.library.dialect,
            strict: self.strict,
            baseline: self.baseline.as_deref().map(baseline).transpose()?,
        })
    }

    fn cannot_write(&self) -> String {
        let path = self.json.as_deref().unwrap_or(Path::new("")).display();
        format!("cannot write the report {path}")
    }
}

fn baseline(path: &Path) -> anyhow::Result<Subject> {
    Ok(Subject::new(Library::from_file(path)?)?)
}

impl LibraryArgs {
    fn library(&self) -> anyhow::Result<Library> {
        let library = self.library.as_deref().map_or_else(|| Ok(Library::published()), Library::from_file)?;
        match &self.mutant {
            None => Ok(library),
            Some(name) => {
                let mutant = Mutant::named(name);
                let names: Vec<_> = Mutant::all().into_iter().map(|mutant| mutant.name).collect();
                let mutant = mutant.with_context(|| {
                    format!("no mutant is called {name:?}; there are {}", names.join(", "))
                })?;
                Ok(library.mutant(&mutant))
            }
        }
    }

    /// The properties to judge by, each once.
    fn properties(&self) -> anyhow::Result<Vec<&'static Entry>> {
        let mut chosen: Vec<&'static Entry> = Vec::new();
        for name in &self.properties {
            let entry = property::find(name)?;
            anyhow::ensure!(
                !matches!(entry.expect, Expect::Sometimes { .. }),
                "{name} is a state that hunts reach, not a property that can break: `grantsim properties` lists those"
            );
            if chosen.iter().all(|other| other.name != entry.name) {
                chosen.push(entry);
            }
        }
        Ok(if chosen.is_empty() { catalogue::always().collect() } else { chosen })
    }

    fn adjust(&self, plan: &mut Plan) {
        if let Some(dialect) = self.dialect {
            plan.dialect = dialect;
        }
    }

    fn flags(&self) -> String {
        let library = self.library.iter().map(|path| format!(" --library {}", quoted(&path.display())));
        let mutant = self.mutant.iter().map(|name| format!(" --mutant {name}"));
        let dialect = self.dialect.iter().map(|dialect| format!(" --dialect {dialect}"));
        library.chain(mutant).chain(dialect).collect()
    }

    /// The line to copy that replays a token or a plan file.
    fn replay_line(&self, what: &impl Display) -> String {
        format!("cargo run --release -- replay {}{} --timeline", quoted(what), self.flags())
    }
}

/// A word of a command line as a shell takes it.
fn quoted(word: &impl Display) -> String {
    let word = word.to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "-_./+@=:".contains(c);
    if word.chars().all(is_plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// A progress bar on a terminal, a line now and then elsewhere.
struct Bar {
    bar: Option<ProgressBar>,
    started: Instant,
    said: Cell<u64>,
}

impl Bar {
    const SAY_EVERY: Duration = Duration::from_secs(10);

    fn new(hunt: &Hunt) -> Self {
        let bar = io::stderr().is_terminal().then(|| match hunt.seeds() {
            Some(seeds) => ProgressBar::new(seeds).with_style(
                ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {msg}, {eta} left")
                    .expect("a template"),
            ),
            None => ProgressBar::new_spinner(),
        });
        Self { bar, started: Instant::now(), said: Cell::new(0) }
    }

    fn show(&self, progress: &Progress<'_>) {
        let violations = match progress.violations() {
            0 => "no new violation".to_owned(),
            1 => "1 new violation".to_owned(),
            n => format!("{n} new violations"),
        };
        if let Some(bar) = &self.bar {
            bar.set_position(progress.seeds());
            bar.set_message(violations);
            return;
        }
        let due = self.started.elapsed().as_secs() / Self::SAY_EVERY.as_secs();
        if due > self.said.replace(due) {
            say(&format!("{} seeds, {violations}", progress.seeds()));
        }
    }

    fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What a shrink does: a line that changes on a terminal, a line now and then elsewhere.
struct Spinner {
    bar: Option<ProgressBar>,
    said: Cell<Option<(shrink::Phase, u64)>>,
    started: Instant,
}

impl Spinner {
    fn new() -> Self {
        let bar = io::stderr().is_terminal().then(ProgressBar::new_spinner);
        Self { bar, said: Cell::new(None), started: Instant::now() }
    }

    fn show(&self, progress: &shrink::Progress<'_>) {
        let line = format!("{}: {} runs, {}", progress.phase, progress.runs, progress.size);
        if let Some(bar) = &self.bar {
            bar.set_message(line);
            bar.tick();
            return;
        }
        let due = Some((progress.phase, self.started.elapsed().as_secs() / Bar::SAY_EVERY.as_secs()));
        if due != self.said.replace(due) {
            say(&line);
        }
    }

    fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn properties() -> String {
    catalogue::always().map(|entry| format!("{:<14} {}\n", entry.name, entry.claim)).collect()
}

fn profiles() -> String {
    profile::PROFILES.iter().map(|profile| format!("{:<8} {}\n", profile.name, profile.about)).collect()
}

/// Prints to standard output; that nobody reads it (`| head`) is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Says something on standard error. Where that cannot be, there is nobody left to tell.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?))
}

fn show_tracing(verbose: u8) {
    use tracing_subscriber::{filter::Targets, fmt, prelude::*};
    let level = if verbose > 1 { tracing::Level::TRACE } else { tracing::Level::DEBUG };
    let targets = Targets::new().with_target("grantsim", level).with_target("valkey_sim", level);
    let lines = fmt::layer().without_time().with_writer(io::stderr).with_ansi(false);
    // That a line cannot be written is not worth another one, which cannot be written either.
    let lines = lines.log_internal_errors(false).with_filter(targets);
    tracing_subscriber::registry().with(lines).init();
}

/// As many runs at a time as were asked for, or as there are cores.
fn jobs(asked: Option<NonZero<usize>>) -> NonZero<usize> {
    asked.unwrap_or_else(|| thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN))
}

/// A name that makes a file's name on every system, and a finding's.
fn plan_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let holds = (1..=60).contains(&text.len()) && text.chars().all(is_plain) && !text.starts_with('-');
    if holds {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} cannot name a plan: a name is 1 to 60 lower-case letters, digits and dashes"))
    }
}

fn detail(text: &str) -> Result<Detail, String> {
    match text {
        "life" => Ok(Detail::Life),
        "full" => Ok(Detail::Full),
        _ => Err(format!("{text:?} is no timeline: say life or full")),
    }
}

fn hex(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16)
        .map_err(|_| format!("{text:?} is no hexadecimal number"))
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let parsed =
        text.split_once('/').and_then(|(k, n)| Some((k.parse::<u64>().ok()?, n.parse::<u64>().ok()?)));
    parsed
        .filter(|(k, n)| (1..=*n).contains(k))
        .ok_or_else(|| format!("{text:?} is no share: say 1/4 to 4/4"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: say 90s, 10m or 2h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(count.saturating_mul(seconds)))
}
