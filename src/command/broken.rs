//! A plan that shows a violation, as `shrink` and `keep` take it.

use std::{num::NonZero, path::Path, time::Duration};

use anyhow::Context;
use clap::Args;
use grantsim::{
    drive::{self, Subject},
    finding::Finding,
    plan::{file::PlanFile, token::Token},
    property::{self, Fingerprint, Violation},
    report::{self, Failure},
    shrink::{self, Budget, Shrunk},
};

use super::{
    library::LibraryArgs,
    terminal::{Spinner, print, say},
    values::{duration, jobs},
};

/// A plan that shows a violation, and on which library.
pub(super) struct Broken {
    pub(super) file: PlanFile,
    pub(super) subject: Subject,
    pub(super) fingerprint: Fingerprint,
}

#[derive(Args)]
pub(super) struct BreakArgs {
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

impl BreakArgs {
    /// Runs the plan once, and chooses the violation.
    pub(super) fn find(&self) -> anyhow::Result<Broken> {
        let (mut file, _) = read_plan(&self.what)?;
        self.library.adjust(&mut file.plan);
        let subject = Subject::new(self.library.library()?)?;
        file.library = Some(subject.reference());
        let trace = drive::run(&file.plan, &subject)?;
        let found = property::judge(&trace, self.library.properties()).violations;
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

    pub(super) fn shrink(&self, broken: &Broken) -> anyhow::Result<Shrunk> {
        let Broken { file, subject, fingerprint } = broken;
        say(&format!("shrinking {} to the least that shows {fingerprint}", self.what));
        let budget = Budget { runs: self.runs, wall: self.r#for, jobs: jobs(self.jobs) };
        let progress = Spinner::new();
        let shrunk = shrink::run(&file.plan, subject, fingerprint, budget, |now| progress.show(&now));
        progress.done();
        Ok(shrunk?)
    }

    /// Runs the plan that was written, and tells its violation with the line that replays it.
    pub(super) fn tell(&self, broken: &Broken, path: &Path) -> anyhow::Result<()> {
        let Broken { file, subject, fingerprint } = broken;
        let trace = drive::run(&file.plan, subject)?;
        let found = property::judge(&trace, self.library.properties()).violations;
        let violation =
            found.iter().find(|violation| violation.fingerprint == *fingerprint).with_context(|| {
                format!(
                    "{} did not do again what it did: it does not show {fingerprint} any more",
                    path.display()
                )
            })?;
        let replay = self.library.replay_line(&path.display());
        print(&report::failure(&Failure {
            violation,
            trace: &trace,
            plan: Some(&file.plan),
            replay: &replay,
            seeds: None,
        }))
    }
}

/// The plan that a token or a file names.
pub(super) fn read_plan(what: &str) -> anyhow::Result<(PlanFile, Option<Token>)> {
    let path = Path::new(what);
    if path.exists() || what.ends_with(".json") {
        return Ok((PlanFile::read(path)?, None));
    }
    let token: Token = what.parse()?;
    Ok((PlanFile { about: String::new(), library: None, plan: token.plan() }, Some(token)))
}
