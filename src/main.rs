//! The command line, and nothing else: arguments in, a report out, an exit code that says which.

use std::{
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
    drive::{self, RunError, Subject},
    finding::Finding,
    hunt::{self, Hunt, Progress, Report, Until},
    library::{Library, Mutant},
    plan::{
        Plan,
        file::{PlanFile, PlanFileError},
        profile,
        token::{Token, TokenError},
    },
    property::{self, Entry, Verdict, catalogue, reach},
    report::{self, Detail},
    trace::{Trace, file::ReadError},
};
use indicatif::{ProgressBar, ProgressStyle};
use valkey_sim::engine::Dialect;

/// A run is many small allocations on a thread of its own; glibc's allocator took a sixth of the time of a hunt.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the process says with its exit code. The README lists them.
#[derive(Clone, Copy)]
enum Exit {
    AllHeld = 0,
    BadInput = 2,
    Broken = 10,
    NotDeterministic = 12,
    NotReached = 13,
    Stale = 14,
    Harness = 15,
}

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
    /// Run one token or plan again and show what happened.
    Replay(ReplayArgs),
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
    /// A library that this one descends from: what it breaks in the same way is told apart from what is new.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct ReplayArgs {
    /// A token, a plan file, or a trace that `--trace` wrote: that is judged and told as it is, and nothing is run.
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

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Hunt(args) => hunt(&args),
        Command::Replay(args) => replay(&args),
        Command::Properties => print(&properties()),
        Command::Profiles => print(&profiles()),
    };
    let exit = result.unwrap_or_else(|error| {
        eprintln!("error: {}", describe(&error));
        exit_of(&error)
    });
    ExitCode::from(exit as u8)
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

/// Which kind of wrong an error is.
fn exit_of(error: &anyhow::Error) -> Exit {
    let stale_token = matches!(error.downcast_ref(), Some(TokenError::Stale { .. }));
    let stale_plan = matches!(error.downcast_ref(), Some(PlanFileError::Schema { .. }))
        || matches!(error.downcast_ref(), Some(ReadError::Schema(_)));
    let harness = matches!(error.downcast_ref(), Some(RunError::Harness(_)));
    match (stale_token || stale_plan, harness) {
        (true, _) => Exit::Stale,
        (_, true) => Exit::Harness,
        _ => Exit::BadInput,
    }
}

fn hunt(args: &HuntArgs) -> anyhow::Result<Exit> {
    let hunt = Hunt {
        subject: Subject::new(args.library.library()?)?,
        first: Token::new(&args.profile, args.start)?,
        until: args.r#for.map_or(Until::Seeds(args.seeds), Until::Elapsed),
        jobs: args.jobs.unwrap_or_else(|| thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)),
        shard: args.shard,
        properties: args.library.properties()?,
        dialect: args.library.dialect,
        strict: args.strict,
        baseline: args.baseline.as_deref().map(baseline).transpose()?,
    };
    // Opened before the hunt: a path that cannot be written is better known now than in an hour.
    let json = args.json.as_deref().map(create).transpose()?;
    let stop = Arc::new(AtomicBool::new(false));
    let on_interrupt = Arc::clone(&stop);
    ctrlc::set_handler(move || on_interrupt.store(true, Ordering::Relaxed))
        .context("cannot listen for Ctrl-C")?;
    let bar = Bar::new(&hunt);
    let report = hunt.run(&stop, |progress| bar.show(progress));
    bar.done();
    let report = report.map_err(|(token, error)| {
        anyhow::Error::new(error)
            .context(format!("token {token} (replay: {})", args.library.replay_line(&token)))
    })?;
    anyhow::ensure!(
        report.seeds > 0,
        "the hunt ran no seed: give it more time (--for), more --seeds, or another --shard"
    );
    if let Some(mut file) = json {
        serde_json::to_writer_pretty(&mut file, &report)?;
        file.write_all(b"\n").and_then(|()| file.flush()).context("cannot write the report")?;
    }
    show_report(&hunt, &report, args)
}

fn baseline(path: &Path) -> anyhow::Result<Subject> {
    Ok(Subject::new(Library::from_file(path)?)?)
}

fn show_report(hunt: &Hunt, report: &Report, args: &HuntArgs) -> anyhow::Result<Exit> {
    for found in &report.violations {
        let token: Token = found.token.parse()?;
        let trace = drive::run(&hunt.plan(token.seed()), &hunt.subject)?;
        if !judge(&trace, &hunt.properties).violations.contains(&found.violation) {
            eprintln!("error: {token} did not do again what it did; please report this with the library");
            return Ok(Exit::NotDeterministic);
        }
        print(&format!(
            "{}\n",
            report::failure(&found.violation, &trace, &args.library.replay_line(&token))
        ))?;
    }
    print(&report::summary(report))?;
    if !report.violations.is_empty() {
        return Ok(Exit::Broken);
    }
    let unseen = unseen(hunt, report, args);
    unseen.iter().for_each(|sentence| eprintln!("error: {sentence}"));
    Ok(if unseen.is_empty() { Exit::AllHeld } else { Exit::NotReached })
}

/// What keeps a hunt without a violation from counting as passed: nothing, or a sentence each.
fn unseen(hunt: &Hunt, report: &Report, args: &HuntArgs) -> Vec<String> {
    let library = hunt.subject.library.name();
    let looked_for = |what: &str, keys: &str, functions: &str| {
        format!(
            "not one {what} was seen in {} seeds of library {library}, so nothing was shown: grantsim looks for {keys}, written \
             by {functions}; see fixtures/libraries/minimal.lua for keys and fields",
            report.seeds
        )
    };
    let mut unseen = Vec::new();
    if report.counts.grants == 0 {
        let keys =
            "the hash ff:exec:{fp:N}:<execution>:claim_grant with worker_id, created_at and grant_expires_at";
        unseen.push(looked_for("grant", keys, "ff_issue_claim_grant"));
    } else if report.counts.claims == 0 {
        let keys =
            "the hash ff:exec:{fp:N}:<execution>:lease:current with lease_id, lease_epoch and expires_at";
        unseen.push(looked_for("claim", keys, "ff_claim_execution or ff_acquire_lease"));
    }
    let is_long = report.seeds >= hunt::REQUIRED_FROM_SEEDS && !report.interrupted;
    if unseen.is_empty() && is_long && args.profile == profile::DEFAULT {
        unseen.extend(reach::missing(&report.reach).iter().map(|entry| {
            format!("no run reached {} ({}): the hunt proves less than it claims", entry.name, entry.claim)
        }));
    }
    unseen
}

fn judge(trace: &Trace, properties: &[&'static Entry]) -> Verdict {
    property::judge(trace, properties.iter().copied())
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
        eprintln!(
            "note: {} was recorded with library {} {}, and this is {} {}",
            args.what,
            recorded.name,
            recorded.version,
            subject.library.name(),
            subject.library.version()
        );
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
    if let Some(at) = first_difference(&trace, &again) {
        eprintln!(
            "error: two runs differ from event {at} on; please report this with the token and the library"
        );
        return Ok(Exit::NotDeterministic);
    }
    trace.header.token = token.as_ref().map(Token::to_string);
    if let Some(path) = &args.trace {
        let mut file = create(path)?;
        trace.write(&mut file).and_then(|()| file.flush()).with_context(|| format!("{}", path.display()))?;
    }
    let mut out = String::new();
    if let Some(detail) = args.timeline {
        out += &report::timeline(&trace, detail);
    }
    out += &report::faults(&plan, &trace.faults);
    if let Some(error) = stopped {
        print(&out)?;
        return Err(error.into());
    }
    tell(&trace, &properties, &Finding::of(&subject), &args.library.replay_line(&args.what), out)
}

/// Judges a trace file and tells it.
fn retell(args: &ReplayArgs) -> anyhow::Result<Exit> {
    let path = Path::new(&args.what);
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let trace = Trace::read(io::BufReader::new(file)).map_err(|error| {
        let what = format!("{}", path.display());
        anyhow::Error::new(error).context(what)
    })?;
    anyhow::ensure!(
        args.plan.is_none() && args.trace.is_none(),
        "a trace is judged as it is, and has no plan: replay the token or plan that it came from to write one"
    );
    let known: Vec<_> =
        Finding::all().into_iter().filter(|finding| finding.library == trace.header.library.name).collect();
    let out = args.timeline.map(|detail| report::timeline(&trace, detail)).unwrap_or_default();
    let replay = format!("cargo run --release -- replay {} --timeline", quoted(&args.what));
    tell(&trace, &args.library.properties()?, &known, &replay, out)
}

/// Says what is to be said of a run, after what has been said already.
fn tell(
    trace: &Trace,
    properties: &[&'static Entry],
    known: &[Finding],
    replay: &str,
    mut out: String,
) -> anyhow::Result<Exit> {
    let verdict = judge(trace, properties);
    let mut exit = Exit::AllHeld;
    for violation in &verdict.violations {
        match known.iter().find(|finding| finding.covers(&violation.fingerprint)) {
            Some(finding) => out += &format!("known finding {}: {}\n", finding.slug, violation.message),
            None => {
                out += &report::failure(violation, trace, replay);
                exit = Exit::Broken;
            }
        }
    }
    out += &counts_line(trace, &verdict);
    print(&out)?;
    Ok(exit)
}

fn counts_line(trace: &Trace, verdict: &Verdict) -> String {
    let counts = &verdict.counts;
    format!(
        "{} events, {} grants, {} claims, {} grants expired, {:.3} s simulated, ended {}, trace {:.16}\n",
        counts.events,
        counts.grants,
        counts.claims,
        counts.expiries,
        counts.sim_us as f64 / 1e6,
        serde_json::to_string(&trace.ended.how).unwrap_or_default().trim_matches('"'),
        trace.digest()
    )
}

fn first_difference(one: &Trace, other: &Trace) -> Option<usize> {
    let differs = one.events.iter().zip(&other.events).position(|(a, b)| a != b);
    differs.or_else(|| (one != other).then_some(one.events.len().min(other.events.len())))
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

    fn properties(&self) -> anyhow::Result<Vec<&'static Entry>> {
        if self.properties.is_empty() {
            return Ok(catalogue::always().collect());
        }
        Ok(self.properties.iter().map(|name| property::find(name)).collect::<Result<_, _>>()?)
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
    said: std::cell::Cell<u64>,
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
        Self { bar, started: Instant::now(), said: std::cell::Cell::new(0) }
    }

    fn show(&self, progress: Progress) {
        let violations = format!("{} new violations", progress.violations);
        if let Some(bar) = &self.bar {
            bar.set_position(progress.seeds);
            bar.set_message(violations);
            return;
        }
        let due = self.started.elapsed().as_secs() / Self::SAY_EVERY.as_secs();
        if due > self.said.replace(due) {
            eprintln!("{} seeds, {violations}", progress.seeds);
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
fn print(text: &str) -> anyhow::Result<Exit> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the report")
        }
        _ => Ok(Exit::AllHeld),
    }
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?))
}

fn show_tracing(verbose: u8) {
    use tracing_subscriber::{filter::Targets, fmt, prelude::*};
    let level = if verbose > 1 { tracing::Level::TRACE } else { tracing::Level::DEBUG };
    let targets = Targets::new().with_target("grantsim", level).with_target("valkey_sim", level);
    let lines = fmt::layer().without_time().with_writer(io::stderr).with_ansi(false).with_filter(targets);
    tracing_subscriber::registry().with(lines).init();
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
