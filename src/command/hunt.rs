//! `grantsim hunt`: many seeds, a bar, and what came of them.

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use grantsim::{
    drive::Subject,
    hunt::{self, Exit, Hunt, Report, Until},
    library::Library,
    plan::{profile, token::Token},
    report::{self, ReportFile},
};

use super::{
    library::LibraryArgs,
    terminal::{Bar, print, say},
    values::{duration, hex, jobs, shard},
};

#[derive(Args)]
pub(super) struct HuntArgs {
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

impl HuntArgs {
    /// Hunts, and tells what came of it.
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let hunt = self.hunt()?;
        let mut file = self.json.as_deref().map(ReportFile::new);
        let report = run(&hunt, self, file.as_mut())?;
        anyhow::ensure!(
            report.seeds > 0,
            "the hunt ran no seed: give it more time (--for), more --seeds, or another --shard"
        );
        if let Some(file) = file {
            file.finish(&report).with_context(|| self.cannot_write())?;
        }
        conclude(&hunt, &report, self)
    }

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

fn baseline(path: &Path) -> anyhow::Result<Subject> {
    Ok(Subject::new(Library::from_file(path)?)?)
}
