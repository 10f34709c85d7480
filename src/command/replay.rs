//! `grantsim replay`: one token, plan or trace, judged and told.

use std::{
    convert::Infallible,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{ArgAction, Args};
use grantsim::{
    drive,
    finding::Finding,
    hunt::{self, Exit},
    plan::token::Token,
    report::{self, Detail, Run},
    trace::Trace,
    types::ExecutionName,
};

use super::{
    broken::read_plan,
    library::LibraryArgs,
    terminal::{create, print, say},
};

#[derive(Args)]
pub(super) struct ReplayArgs {
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
    /// Print the run as a timeline: the life of its grants and leases, its order and outcome without times, or every event.
    #[arg(long, value_name = "life|order|full", num_args = 0..=1, require_equals = true, default_missing_value = "life",
          value_parser = detail)]
    timeline: Option<Detail>,
    /// Print the timeline of this execution alone, with what broke at the processes that took part; may be repeated.
    #[arg(long = "execution", value_name = "NAME", value_parser = execution)]
    executions: Vec<ExecutionName>,
    /// Count known findings as violations.
    #[arg(long)]
    strict: bool,
    /// Write the run as a page: one HTML file that needs no network.
    #[arg(long, value_name = "FILE.html")]
    page: Option<PathBuf>,
    /// Print the run as a Mermaid sequence diagram, fenced for a pull request; or write it to a file.
    #[arg(long, value_name = "FILE.mmd", num_args = 0..=1, require_equals = true)]
    mermaid: Option<Option<PathBuf>>,
    /// Show what engine, links and processes do as they do it, on standard error; twice for more.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

impl ReplayArgs {
    /// Runs it again, twice, and tells it.
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let silence = (self.verbose > 0).then(|| show_tracing(self.verbose));
        if self.what.ends_with(".jsonl") {
            return retell(self);
        }
        let (mut file, token) = read_plan(&self.what)?;
        self.library.adjust(&mut file.plan);
        let subject = self.library.subject()?;
        let properties = self.library.properties();
        if let Some(recorded) =
            file.library.replace(subject.reference()).filter(|it| *it != subject.reference())
        {
            say(&format!(
                "note: {} was recorded with library {} {}, and this is {} {}",
                self.what,
                recorded.name,
                recorded.version,
                subject.library.name(),
                subject.library.version()
            ));
        }
        if let Some(path) = &self.plan {
            file.write(path)?;
        }
        let plan = file.plan;
        let (mut trace, stopped) = drive::story(&plan, &subject)?;
        // Nothing is shown of the second run: it only has to be the same.
        if let Some(silence) = silence {
            silence();
        }
        let (again, _) = drive::story(&plan, &subject.elsewhere())?;
        if let Err(differ) = hunt::same(&trace, &again) {
            print(&report::difference(&trace, &again, &differ))?;
            return Err(differ.into());
        }
        trace.header.token = token.as_ref().map(Token::to_string);
        if let Some(path) = &self.trace {
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
            executions: &self.executions,
            known: &self.known(|| Finding::of(&subject)),
            replay: &self.library.replay_line(&self.what),
        };
        let exit = self.show(&run)?;
        stopped.map_or(Ok(exit), |error| Err(error.into()))
    }

    /// How much to tell: of an execution that is named its life, where nothing else is asked for.
    fn detail(&self) -> Option<Detail> {
        self.timeline.or((!self.executions.is_empty()).then_some(Detail::Life))
    }

    fn known(&self, findings: impl FnOnce() -> Vec<Finding>) -> Vec<Finding> {
        if self.strict { Vec::new() } else { findings() }
    }

    /// Tells a run in every form that was asked for.
    fn show(&self, run: &Run<'_>) -> anyhow::Result<Exit> {
        if let Some(path) = &self.page {
            write(path, &report::page(run, None))?;
        }
        let (out, exit) = run.tell(self.detail())?;
        print(&out)?;
        match &self.mermaid {
            Some(Some(path)) => write(path, &report::mermaid(run, None))?,
            Some(None) => print(&format!("```mermaid\n{}```\n", report::mermaid(run, None)))?,
            None => {}
        }
        Ok(exit)
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
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
        properties: &args.library.properties(),
        executions: &args.executions,
        known: &args.known(|| Finding::of_recorded(&trace.header.library)),
        replay: &args.library.replay_line(&args.what),
    };
    args.show(&run)
}

/// Shows what happens on standard error, on whatever thread, until it is silenced.
fn show_tracing(verbose: u8) -> impl FnOnce() {
    use tracing_subscriber::{filter::Targets, fmt, prelude::*, reload};
    let level = if verbose > 1 { tracing::Level::TRACE } else { tracing::Level::DEBUG };
    let targets = Targets::new().with_target("grantsim", level).with_target("valkey_sim", level);
    let (targets, handle) = reload::Layer::new(targets);
    let lines = fmt::layer().without_time().with_writer(io::stderr).with_ansi(false);
    // That a line cannot be written is not worth another one, which cannot be written either.
    let lines = lines.log_internal_errors(false).with_filter(targets);
    tracing_subscriber::registry().with(lines).init();
    move || handle.reload(Targets::new()).expect("the subscriber lives as long as the process")
}

fn detail(text: &str) -> Result<Detail, String> {
    match text {
        "life" => Ok(Detail::Life),
        "order" => Ok(Detail::Order),
        "full" => Ok(Detail::Full),
        _ => Err(format!("{text:?} is no timeline: say life, order or full")),
    }
}

/// A name, or the id of an execution that no plan names.
fn execution(text: &str) -> Result<ExecutionName, Infallible> {
    Ok(ExecutionName::of_id(text))
}
