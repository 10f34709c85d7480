//! `grantsim hunt`: many seeds, a bar, and what came of them.

use std::{
    collections::BTreeSet,
    num::NonZero,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use grantsim::{
    drive::Subject,
    hunt::{self, Earlier, Exit, Hunt, Progress, Report, Stop, Until},
    library::Library,
    plan::{profile, token::Token},
    report::{self, ReportFile, ReportFolder},
};

use super::{
    ci::CiArgs,
    library::LibraryArgs,
    smaller::{Shrinks, SmallerArgs},
    terminal::{Bar, listen, print, say},
    values::{duration, hex, jobs, profiles, shard},
    violation::{Shown, show},
};

#[derive(Args)]
pub(super) struct HuntArgs {
    #[command(flatten)]
    pub(super) library: LibraryArgs,
    /// How many seeds.
    #[arg(long, default_value_t = 500, conflicts_with = "for", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// How long instead: 90s, 10m, 2h.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    r#for: Option<Duration>,
    /// Until so many seeds in a row bring nothing new instead: no state, no answer, no class of faults, no violation that
    /// none before them had.
    #[arg(long, value_name = "K", conflicts_with_all = ["seeds", "for"], value_parser = clap::value_parser!(u64).range(1..))]
    until_saturated: Option<u64>,
    /// The first seed, in hex as in a token.
    #[arg(long, value_name = "S", default_value = "0", value_parser = hex)]
    start: u64,
    /// The profile to draw plans from.
    #[arg(long, default_value = profile::DEFAULT, value_parser = profiles())]
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
    /// Say so when a run takes longer than this.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    hang_after: Duration,
    /// Write the report as JSON. The file holds a valid report at any time of the hunt.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as a folder: an index, a page for each new violation, and the report as JSON.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print how often each function answered what, and not only which were called.
    #[arg(long)]
    functions: bool,
    /// Go on where the hunt was that wrote this report. The other flags are those that it was begun with, but --seeds, --for
    /// and --jobs. The report is written to the same file, unless --json names another.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    smaller: SmallerArgs,
    #[command(flatten)]
    ci: CiArgs,
}

/// What went wrong that loses nothing of what was found: it is said at once, and the hunt goes on.
#[derive(Default)]
struct Troubles(Option<Exit>);

impl Troubles {
    fn note<T>(&mut self, result: anyhow::Result<T>) -> Option<T> {
        result.map_err(|error| self.say(&error)).ok()
    }

    fn say(&mut self, error: &anyhow::Error) {
        say(&format!("error: {}", super::describe(error)));
        self.0.get_or_insert(Exit::of_error(error.chain()));
    }
}

/// Where the report is written, while the hunt goes on and when it is over.
struct Written<'h> {
    file: Option<(&'h Path, ReportFile)>,
    folder: Option<(&'h Path, ReportFolder<'h>)>,
}

impl Written<'_> {
    /// Writes what is due. `to_tell` grows when there is something new.
    fn update(&mut self, to_tell: usize, report: impl Fn() -> Report) -> anyhow::Result<()> {
        if let Some((path, file)) = &mut self.file {
            file.update(to_tell, &report).with_context(|| cannot_write(path))?;
        }
        if let Some((path, folder)) = &mut self.folder {
            folder.update(to_tell, &report).with_context(|| cannot_write(path))?;
        }
        Ok(())
    }

    /// Writes the whole report; one that cannot be written does not keep the other from it.
    fn finish(&mut self, report: &Report, troubles: &mut Troubles) {
        if let Some((path, file)) = &self.file {
            troubles.note(file.finish(report).with_context(|| cannot_write(path)));
        }
        if let Some((path, folder)) = &mut self.folder {
            troubles.note(folder.finish(report).with_context(|| cannot_write(path)));
        }
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write the report {}", path.display())
}

impl HuntArgs {
    /// Hunts, and tells what came of it.
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let hunt = Arc::new(self.hunt()?);
        self.ci.check()?;
        let stop = Arc::new(Stop::default());
        let asked = Arc::clone(&stop);
        listen(move || asked.ask())?;
        let mut written = self.written(&hunt);
        let mut troubles = Troubles::default();
        let mut report = self.seeds(&hunt, &stop, &mut written, &mut troubles);
        if let (0, Some(exit)) = (report.seeds, troubles.0) {
            return Ok(exit);
        }
        anyhow::ensure!(
            report.seeds > 0 || report.interrupted,
            "the hunt ran no seed: give it more time (--for), more --seeds, or another --shard"
        );
        let shown = self.violations(&hunt, &stop, &mut report, &mut written, &mut troubles);
        written.finish(&report, &mut troubles);
        Ok(self.conclude(&hunt, &report, &shown, troubles))
    }

    fn hunt(&self) -> anyhow::Result<Hunt> {
        let hunt = Hunt {
            subject: self.library.subject()?,
            first: Token::new(&self.profile, self.start)?,
            until: match (self.until_saturated, self.r#for) {
                (Some(quiet), _) => Until::Saturated(quiet),
                (None, Some(limit)) => Until::Elapsed(limit),
                (None, None) => Until::Seeds(self.seeds),
            },
            jobs: jobs(self.jobs),
            shard: self.shard,
            properties: self.library.properties(),
            dialect: self.library.dialect,
            strict: self.strict,
            baseline: self.baseline.as_deref().map(baseline).transpose()?,
            hang_after: self.hang_after,
            resume: None,
        };
        let Some(path) = &self.resume else { return Ok(hunt) };
        let earlier = Earlier::read(path)?;
        earlier.check(&hunt).with_context(|| format!("cannot go on from {}", path.display()))?;
        Ok(Hunt { resume: Some(earlier), ..hunt })
    }

    fn report_file(&self) -> Option<&Path> {
        self.json.as_deref().or(self.resume.as_deref())
    }

    fn written<'h>(&'h self, hunt: &'h Hunt) -> Written<'h> {
        let replay = |what: &str| self.library.replay_line(&what);
        Written {
            file: self.report_file().map(|path| (path, ReportFile::new(path))),
            folder: self.report.as_deref().map(|path| (path, ReportFolder::new(path, hunt, replay))),
        }
    }

    /// Hunts until the end or Ctrl-C; shows how far it is, says which runs hang, and keeps the report's file up to date.
    fn seeds(&self, hunt: &Hunt, stop: &Stop, written: &mut Written<'_>, troubles: &mut Troubles) -> Report {
        let bar = Bar::new(hunt);
        let (mut unwritten, mut told, mut is_stopping) = (None, BTreeSet::new(), false);
        let report = hunt.run(stop, |progress| {
            bar.show(&progress);
            self.tell_hung(&bar, &progress, &mut told);
            if stop.is_asked() && unwritten.is_none() && !std::mem::replace(&mut is_stopping, true) {
                bar.say(
                    "stopping: what runs may end within two seconds; a second Ctrl-C ends everything at once",
                );
            }
            if unwritten.is_some() {
                return;
            }
            let to_tell = progress.violations() + progress.failures();
            if let Err(error) = written.update(to_tell, || progress.report()) {
                stop.ask();
                unwritten = Some(error);
            }
        });
        bar.done();
        if let Some(error) = unwritten {
            troubles.say(&error);
        }
        report
    }

    fn tell_hung(&self, bar: &Bar, progress: &Progress<'_>, told: &mut BTreeSet<String>) {
        for hung in progress.hung() {
            if told.insert(hung.token.clone()) {
                bar.say(&format!(
                    "token {} has been running for {:.0} s, and the hunt goes on beside it; Ctrl-C ends both (replay: {})",
                    hung.token,
                    hung.seconds,
                    self.library.replay_line(&hung.token)
                ));
            }
        }
    }

    /// Shrinks each new violation and prints it with its story.
    fn violations(
        &self,
        hunt: &Arc<Hunt>,
        stop: &Stop,
        report: &mut Report,
        written: &mut Written<'_>,
        troubles: &mut Troubles,
    ) -> Vec<Shown> {
        let shrinks = Shrinks::new(&self.smaller, hunt, stop);
        let mut all = Vec::new();
        for nth in 0..report.violations.len() {
            shrinks.shrink(&mut report.violations[nth]);
            if report.violations[nth].shrunk.is_some() {
                let to_tell = report.violations.len() + report.errors.len() + nth + 1;
                troubles.note(written.update(to_tell, || report.clone()));
            }
            let shown = show(hunt, stop, &report.violations[nth], &self.library);
            if let Some(error) = &shown.error {
                troubles.say(error);
            }
            troubles.note(print(&format!("{}\n", shown.text)));
            all.push(shown);
        }
        all
    }

    /// Prints the numbers, and what was never seen; says how the process ends.
    fn conclude(&self, hunt: &Hunt, report: &Report, shown: &[Shown], mut troubles: Troubles) -> Exit {
        if self.functions {
            troubles.note(print(&report::functions(&report.counts)));
        }
        troubles.note(print(&report::summary(report)));
        let conclusion = hunt::verdict(report, &self.profile);
        for failed in &report.errors {
            let replay = failed.token.as_ref().map(|token| self.library.replay_line(token));
            let replay = replay.map(|line| format!(" (replay: {line})")).unwrap_or_default();
            say(&format!("error: {}{replay}", report::failed(failed)));
        }
        for unseen in &conclusion.unseen {
            say(&format!("error: {}", report::unseen(*unseen, report)));
        }
        let failures: Vec<String> = shown.iter().map(|shown| shown.text.clone()).collect();
        let told = report::Told {
            report,
            properties: &hunt.properties,
            failures: &failures,
            unseen: &conclusion.unseen,
        };
        troubles.note(self.ci.write(&told));
        // That something broke wins, but not where nothing of it could be shown again.
        let is_broken = matches!(conclusion.exit, Exit::Broken | Exit::Stuck);
        if is_broken && shown.iter().any(|shown| shown.error.is_none()) {
            return conclusion.exit;
        }
        troubles.0.unwrap_or(conclusion.exit)
    }
}

fn baseline(path: &Path) -> anyhow::Result<Subject> {
    Ok(Subject::new(Library::from_file(path)?)?)
}
