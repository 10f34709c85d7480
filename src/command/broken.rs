//! A plan that shows a violation, as `shrink` and `keep` take it.

use std::{
    num::NonZero,
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use grantsim::{
    drive::{self, Subject},
    finding::Finding,
    hunt::{self, Exit},
    plan::{Plan, file::PlanFile, token::Token},
    property::{self, Fingerprint, Verdict},
    report::{self, Failure},
    shrink::{self, Budget, ShrinkError, Shrunk},
};

use super::{
    library::LibraryArgs,
    terminal::{Spinner, print, say},
    values::{duration, jobs, program, quoted},
};

/// Whoever interrupts a shrink waits no longer than this for a run to end.
const PATIENCE: Duration = Duration::from_secs(2);

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
    /// Runs the plan twice, and chooses the violation.
    pub(super) fn find(&self) -> anyhow::Result<Broken> {
        let (mut file, _) = read_plan(&self.what)?;
        self.library.adjust(&mut file.plan);
        let subject = self.library.subject()?;
        file.library = Some(subject.reference());
        let trace = drive::run(&file.plan, &subject)?;
        hunt::same(&trace, &drive::run(&file.plan, &subject.elsewhere())?)
            .with_context(|| format!("{} cannot be shrunk or kept", self.what))?;
        let found = property::judge(&trace, self.library.properties());
        let fingerprint = self.choose(found, &Finding::of(&subject))?;
        Ok(Broken { file, subject, fingerprint })
    }

    fn choose(&self, found: Verdict, known: &[Finding]) -> anyhow::Result<Fingerprint> {
        if let Some(named) = self.fingerprint.as_ref().filter(|named| found.shows(named)) {
            return Ok(named.clone());
        }
        let fingerprints: Vec<Fingerprint> =
            found.violations.into_iter().map(|violation| violation.fingerprint).collect();
        let listed: Vec<String> = fingerprints.iter().map(Fingerprint::to_string).collect();
        let listed = listed.join(", ");
        anyhow::ensure!(
            !fingerprints.is_empty(),
            "nothing breaks in {}, so there is nothing to shrink or keep",
            self.what
        );
        let is_new = |it: &&Fingerprint| Finding::among(known, it).is_none();
        let new = fingerprints.iter().find(is_new).filter(|_| self.fingerprint.is_none());
        new.cloned().with_context(|| match &self.fingerprint {
            Some(named) => format!("{} does not show {named}; it shows {listed}", self.what),
            None => format!(
                "nothing new breaks in {}: it shows the known {listed}; name one with --fingerprint to shrink or keep it",
                self.what
            ),
        })
    }

    /// Shrinks the plan, until the end or Ctrl-C. `out` holds the smallest plan so far at any time.
    pub(super) fn shrink(&self, broken: &mut Broken, out: Option<&Path>) -> anyhow::Result<Ended> {
        let Broken { file, subject, fingerprint } = broken;
        say(&format!("shrinking {} to the least that shows {fingerprint}", self.what));
        let budget = Budget { runs: self.runs, wall: self.r#for, jobs: jobs(self.jobs) };
        let stop = interruption(out)?;
        let mut so_far = SoFar::new(file, out)?;
        let start = file.plan.clone();
        let mut unwritten = None;
        let progress = Spinner::new();
        let shrunk = shrink::run_until(&stop, &start, subject, fingerprint, budget, |now| {
            progress.show(&now);
            if let Err(error) = so_far.update(now.plan) {
                stop.store(true, Ordering::Relaxed);
                unwritten.get_or_insert(error);
            }
        });
        progress.done();
        if let Some(error) = unwritten {
            return Err(error);
        }
        let shrunk = shrunk?;
        file.plan = shrunk.plan.clone();
        Ok(Ended { shrunk, is_interrupted: stop.load(Ordering::Relaxed) })
    }

    /// The line to copy that goes on with a plan that was not shrunk to the end.
    pub(super) fn go_on(&self, broken: &Broken, path: &Path) -> String {
        let (path, flags) = (quoted(&path.display()), self.library.flags());
        let fingerprint = quoted(&broken.fingerprint);
        format!("{} shrink {path}{flags} --fingerprint {fingerprint} --out {path}", program())
    }

    /// Runs the plan that was written, and tells its violation with the line that replays it.
    pub(super) fn tell(&self, broken: &Broken, path: &Path) -> anyhow::Result<()> {
        let Broken { file, subject, fingerprint } = broken;
        let trace = drive::run(&file.plan, subject)?;
        let found = property::judge(&trace, self.library.properties()).violations;
        let violation = found.iter().find(|violation| violation.fingerprint == *fingerprint);
        let not_again =
            || ShrinkError::NotAgain { fingerprint: fingerprint.clone(), plan: Box::new(file.plan.clone()) };
        let violation = violation.ok_or_else(not_again)?;
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

/// What came of a shrink.
pub(super) struct Ended {
    pub(super) shrunk: Shrunk,
    pub(super) is_interrupted: bool,
}

/// A file that holds the smallest plan so far, so that nothing is lost whatever ends the shrink.
struct SoFar<'a> {
    file: PlanFile,
    out: Option<&'a Path>,
}

impl<'a> SoFar<'a> {
    /// Writes the plan as it is: a path that cannot be written is better known at once. A pipe or a device is left alone
    /// until the end.
    fn new(file: &PlanFile, out: Option<&'a Path>) -> anyhow::Result<Self> {
        let is_stream = |path: &Path| path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir());
        let out = out.filter(|path| !is_stream(path));
        out.map_or(Ok(()), |out| file.write(out))?;
        Ok(Self { file: file.clone(), out })
    }

    fn update(&mut self, plan: &Plan) -> anyhow::Result<()> {
        if let Some(out) = self.out.filter(|_| self.file.plan != *plan) {
            self.file.plan = plan.clone();
            self.file.write(out)?;
        }
        Ok(())
    }
}

/// What Ctrl-C, SIGTERM and SIGHUP set. A run that takes its time is not waited for: what there is, is in the file.
fn interruption(out: Option<&Path>) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let on_interrupt = Arc::clone(&stop);
    let (said, exit) = match out {
        Some(out) => {
            (format!("interrupted: the smallest plan so far is in {}", out.display()), Exit::AllHeld)
        }
        None => ("interrupted: nothing is kept".to_owned(), Exit::BadInput),
    };
    ctrlc::set_handler(move || {
        on_interrupt.store(true, Ordering::Relaxed);
        thread::park_timeout(PATIENCE);
        say(&said);
        process::exit(i32::from(exit.code()));
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
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
