//! `grantsim compare`: two libraries, call by call, and what differs.

use std::{
    fs,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;
use clap::Args;
use grantsim::{
    compare::{Accepted, Comparison, Found, Progress, Report},
    drive::Subject,
    hunt::Exit,
    library::Library,
    plan::{file::PlanFile, profile, token::Token},
    report,
};
use valkey_sim::engine::Dialect;

use super::{
    terminal::{Line, listen, print},
    values::{hex, jobs, profiles, program, quoted},
};

/// The word that stands for FlowFabric's own library in the place of a file.
const PUBLISHED: &str = "published";

#[derive(Args)]
pub(super) struct CompareArgs {
    /// The library as it was: a Lua file, or `published` for the published FlowFabric library. Plans run on this one.
    #[arg(value_name = "OLD.lua")]
    old: PathBuf,
    /// The library as it is now: a Lua file, or `published`.
    #[arg(value_name = "NEW.lua")]
    new: PathBuf,
    /// How many seeds.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed, in hex as in a token.
    #[arg(long, value_name = "S", default_value = "0", value_parser = hex)]
    start: u64,
    /// The profile to draw plans from.
    #[arg(long, default_value = profile::DEFAULT, value_parser = profiles())]
    profile: String,
    /// How many runs at a time; all cores when absent. The result does not depend on it.
    #[arg(long)]
    jobs: Option<NonZero<usize>>,
    /// The server to simulate: valkey-8 or redis-7.
    #[arg(long, value_name = "DIALECT")]
    dialect: Option<Dialect>,
    /// How many runs at most to make the plan of each difference small; 0 leaves it as it was met.
    #[arg(long, value_name = "RUNS", default_value_t = 200)]
    shrink_runs: u64,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Differences that were reviewed: these do not count. Written with all that differ where it is not there yet.
    #[arg(long, value_name = "FILE")]
    accept: Option<PathBuf>,
    /// Write the smallest plan of each difference into this folder.
    #[arg(long, value_name = "DIR")]
    plans: Option<PathBuf>,
}

impl CompareArgs {
    /// Compares, and tells what differs.
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let accepted = self.accept.as_deref().map(Accepted::read).transpose()?;
        let mut comparison = Comparison::new(
            subject(&self.old)?,
            subject(&self.new)?,
            Token::new(&self.profile, self.start)?,
        )?;
        (comparison.seeds, comparison.shrink_runs) = (self.seeds, self.shrink_runs);
        (comparison.jobs, comparison.dialect) = (jobs(self.jobs), self.dialect);
        let mut report = self.compare(&comparison)?;
        anyhow::ensure!(
            report.calls > 0 || !report.differences.is_empty(),
            "not one call was compared: try more --seeds or another --profile"
        );
        if let Some(Some(accepted)) = &accepted {
            accepted.mark(&mut report);
        }
        self.write(&report)?;
        print(&report::comparison(&report, |found| self.show(found)))?;
        if let (Some(path), Some(None), false) = (&self.accept, &accepted, report.differences.is_empty()) {
            Accepted::all_of(&report).write_new(path)?;
            print(&format!(
                "\n{} is written with these: take out what is not right, say why the rest is, and commit it\n",
                path.display()
            ))?;
        }
        Ok(if report.is_accepted() { Exit::AllHeld } else { Exit::Broken })
    }

    fn compare(&self, comparison: &Comparison) -> anyhow::Result<Report> {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        listen(move || asked.store(true, Ordering::Relaxed))?;
        let line = Line::new();
        let report = comparison.run(&stop, |progress| line.show(told(progress)));
        line.done();
        report.map_err(|(token, error)| anyhow::Error::new(error).context(format!("token {token}")))
    }

    fn write(&self, report: &Report) -> anyhow::Result<()> {
        if let Some(path) = &self.json {
            let json = serde_json::to_string_pretty(report).context("the report is plain data")? + "\n";
            fs::write(path, json).with_context(|| format!("cannot write the report {}", path.display()))?;
        }
        let Some(folder) = &self.plans else { return Ok(()) };
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        for found in &report.differences {
            if let Some(example) = &found.example {
                let about = format!("Shows {}: event {}.", found.difference, example.call.event);
                PlanFile { about, library: Some(report.old.clone()), plan: example.plan.clone() }
                    .write(&plan_path(folder, found))?;
            }
        }
        Ok(())
    }

    /// The line to copy that shows a difference.
    fn show(&self, found: &Found) -> String {
        let dialect = self.dialect.iter().map(|dialect| format!(" --dialect {dialect}")).collect::<String>();
        if let Some(folder) = &self.plans {
            let library = match self.old == Path::new(PUBLISHED) {
                true => String::new(),
                false => format!(" --library {}", quoted(&self.old.display())),
            };
            let plan = plan_path(folder, found);
            return format!("{} replay {}{library} --timeline", program(), quoted(&plan.display()));
        }
        let token = found.example.as_ref().and_then(|example| example.token.parse::<Token>().ok());
        format!(
            "{} compare {} {} --profile {} --start {:x} --seeds 1{dialect}",
            program(),
            quoted(&self.old.display()),
            quoted(&self.new.display()),
            self.profile,
            token.map_or(self.start, |token| token.seed())
        )
    }
}

fn subject(library: &Path) -> anyhow::Result<Subject> {
    let library = match library == Path::new(PUBLISHED) {
        true => Library::published(),
        false => Library::from_file(library)?,
    };
    Ok(Subject::new(library)?)
}

/// Where the plan of a difference is written: its name in letters that every system takes.
fn plan_path(folder: &Path, found: &Found) -> PathBuf {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name = found.difference.to_string();
    let name: String = name.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
    folder.join(format!("{name}.json"))
}

/// How far a comparison is.
fn told(progress: Progress) -> String {
    match progress {
        Progress::Comparing { seeds, differences } => format!("{seeds} seeds, {differences} differences"),
        Progress::Shrinking { done, of } => format!("making plans small: {done} of {of}"),
    }
}
