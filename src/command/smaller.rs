//! The violations of a hunt, made small: each is shrunk, and its plan written to a file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use grantsim::{
    hunt::{Found, Hunt, NotDone, Smaller, Stop},
    plan::file::PlanFile,
    report::Failures,
    shrink::{self, ShrinkError, Shrunk},
};

use super::{
    terminal::{Spinner, Step, say},
    values::duration,
};

/// Runs that a shrink may take, as `grantsim shrink` does.
const RUNS: u64 = 2_000;
/// All shrinks of a hunt take so many times as long as one may.
const SHRINKS: u32 = 6;
/// A run in which a shrink hangs is left behind after this long.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Args)]
pub(super) struct SmallerArgs {
    /// Do not shrink the plans of violations.
    #[arg(long)]
    no_shrink: bool,
    /// How long to shrink each violation at most; all of them together take six times as long at most.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = duration, conflicts_with = "no_shrink")]
    shrink_for: Duration,
    /// The folder to write shrunk plans to. No file that is there is changed.
    #[arg(long, value_name = "DIR", default_value = "grantsim-failures", conflicts_with = "no_shrink")]
    failures: PathBuf,
}

/// What shrinks the violations of a hunt, one after the other.
pub(super) struct Shrinks<'a> {
    args: &'a SmallerArgs,
    hunt: Arc<Hunt>,
    stop: &'a Stop,
    until: Instant,
}

impl<'a> Shrinks<'a> {
    pub(super) fn new(args: &'a SmallerArgs, hunt: &Arc<Hunt>, stop: &'a Stop) -> Self {
        let until =
            Instant::now() + args.shrink_for.saturating_mul(SHRINKS).min(Duration::from_secs(1 << 32));
        Self { args, hunt: Arc::clone(hunt), stop, until }
    }

    /// Shrinks a violation's plan and notes what came of it. One that an earlier hunt shrank stays as it is.
    pub(super) fn shrink(&self, found: &mut Found) {
        let is_there = |smaller: &Smaller| PlanFile::read(Path::new(&smaller.plan)).is_ok();
        if self.args.no_shrink || found.shrunk.as_ref().is_some_and(is_there) {
            return;
        }
        found.shrunk = None;
        match self.smaller(found) {
            Ok(smaller) => found.shrunk = Some(smaller),
            Err(why) => {
                say(&format!("not shrunk: {}: {why}", found.violation.fingerprint));
                found.not_shrunk = Some(why);
            }
        }
    }

    /// Shrinks it and writes the plan, or says why there is none.
    fn smaller(&self, found: &Found) -> Result<Smaller, String> {
        let left = self.until.saturating_duration_since(Instant::now());
        if self.stop.is_asked() {
            return Err(NotDone::Interrupted.to_string());
        }
        if left.is_zero() {
            return Err("the time for shrinking was used up by those before it".to_owned());
        }
        let shrunk = self.run(found, self.args.shrink_for.min(left)).map_err(|why| match why {
            Ok(why) => why.to_string(),
            Err(why) => why.to_string(),
        })?;
        Failures::new(&self.args.failures)
            .keep_shrunk(&self.hunt, found, shrunk)
            .map_err(|why| format!("its plan cannot be written to {}: {why}", self.args.failures.display()))
    }

    fn run(&self, found: &Found, wall: Duration) -> Result<Shrunk, Result<ShrinkError, NotDone>> {
        say(&format!("shrinking {} to the least that shows {}", found.token, found.violation.fingerprint));
        let spinner = Spinner::new();
        let (hunt, found) = (Arc::clone(&self.hunt), found.clone());
        let work = move |tell: &mut dyn FnMut(Step)| {
            hunt.shrink(&found, RUNS, wall, |progress: shrink::Progress<'_>| tell(Step::from(&progress)))
        };
        let shrunk = self.stop.wait_within(wall.saturating_add(PATIENCE), work, |step| spinner.step(step));
        spinner.done();
        shrunk.map_err(Err)?.map_err(Ok)
    }
}
