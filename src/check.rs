//! Hunts as tests of another crate: `grantsim::check(profile, library).seeds(200).assert()`. What fails says all that
//! `grantsim hunt` says, and leaves the shrunk plan and the library in files, so that the line to copy works.

mod error;
mod keep;
mod plans;

use std::{fmt::Write, num::NonZero, path::PathBuf, thread, time::Duration};

use valkey_sim::engine::Dialect;

pub use error::CheckError;
pub use plans::{PlanRun, Plans, plans};

use crate::{
    drive::Subject,
    hunt::{self, Exit, Found, Hunt, Report, Stop, Until},
    library::Library,
    plan::token::Token,
    property::{self, Entry, Expect, catalogue},
    report,
};
use keep::Kept;

/// Seeds of a check that does not say how many.
const SEEDS: u64 = 100;
/// Runs that a shrink may take, as `grantsim shrink` does.
const RUNS: u64 = 2_000;
/// How long each new violation is shrunk at most.
const SHRINK_FOR: Duration = Duration::from_secs(15);

/// A hunt that a test makes. Nothing happens before [`run`](Self::run) or [`assert`](Self::assert).
#[derive(Clone, Debug)]
#[must_use = "a check hunts when it is run or asserted"]
pub struct Check {
    profile: String,
    library: Library,
    seeds: u64,
    start: u64,
    jobs: Option<NonZero<usize>>,
    dialect: Option<Dialect>,
    properties: Vec<String>,
    strict: bool,
    baseline: Option<Library>,
    shrink_for: Duration,
    failures: Option<PathBuf>,
}

/// Hunts through plans of a profile (`grantsim profiles` lists them; `swarm` breaks everything) for what a library breaks.
///
/// ```
/// use grantsim::library::Library;
///
/// grantsim::check("crash", Library::published()).seeds(3).assert();
/// ```
///
/// A library that breaks a promise fails with the failure block of the smallest plan that shows it:
///
/// ```
/// use grantsim::library::{Library, Mutant};
///
/// let forgetful = Library::published().mutant(&Mutant::named("keep-grant").expect("a mutant"));
/// let error = grantsim::check("calm", forgetful).seeds(1).run().expect_err("the grant is still there");
/// assert!(error.to_string().contains("grant-left-behind"), "{error}");
/// ```
pub fn check(profile: &str, library: Library) -> Check {
    Check {
        profile: profile.to_owned(),
        library,
        seeds: SEEDS,
        start: 0,
        jobs: None,
        dialect: None,
        properties: Vec::new(),
        strict: false,
        baseline: None,
        shrink_for: SHRINK_FOR,
        failures: None,
    }
}

impl Check {
    /// How many seeds; 100 unless said. From 200 on a check of the profile `swarm` demands that every required state was
    /// reached, as `grantsim hunt` does.
    pub fn seeds(self, seeds: u64) -> Self {
        Self { seeds, ..self }
    }

    /// The first seed; 0 unless said.
    pub fn start(self, start: u64) -> Self {
        Self { start, ..self }
    }

    /// How many runs at a time; as many as there are cores unless said. What comes of it does not depend on it.
    pub fn jobs(self, jobs: NonZero<usize>) -> Self {
        Self { jobs: Some(jobs), ..self }
    }

    /// The server to simulate; what each plan says unless said.
    pub fn dialect(self, dialect: Dialect) -> Self {
        Self { dialect: Some(dialect), ..self }
    }

    /// Judges by this property only; may be said several times. All of them unless said.
    pub fn property(mut self, name: &str) -> Self {
        self.properties.push(name.to_owned());
        self
    }

    /// Counts known findings of the published library as violations.
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// The library as it was before an edit: what it breaks in the same way does not fail.
    pub fn baseline(self, baseline: Library) -> Self {
        Self { baseline: Some(baseline), ..self }
    }

    /// How long each new violation is shrunk at most; 15 seconds unless said, and not at all for none.
    pub fn shrink_for(self, at_most: Duration) -> Self {
        Self { shrink_for: at_most, ..self }
    }

    /// The folder for the plans of failures and for the library; `grantsim-failures` in Cargo's target folder unless said.
    pub fn failures(self, folder: impl Into<PathBuf>) -> Self {
        Self { failures: Some(folder.into()), ..self }
    }

    /// Hunts, and answers what came of it.
    ///
    /// # Errors
    /// [`CheckError`]: something broke; or no grant, or no claim of one, was ever seen; or the library does not load.
    pub fn run(&self) -> Result<Report, CheckError> {
        let hunt = self.hunt()?;
        let mut report = hunt.run(&Stop::default(), |_| {});
        let kept = Kept::new(self.failures.as_deref(), &self.library);
        let mut text = String::new();
        for found in &mut report.violations {
            self.shrink(&hunt, found, &kept);
            text += &kept.tell(&hunt, found);
            text.push('\n');
        }
        let conclusion = hunt::verdict(&report, &self.profile);
        let failed = report.errors.iter().map(report::failed);
        let unseen = conclusion.unseen.iter().map(|unseen| report::unseen(*unseen, &report));
        for line in failed.chain(unseen) {
            // A String takes all that is written to it.
            let _ = writeln!(text, "{line}");
        }
        match conclusion.exit {
            Exit::AllHeld => Ok(report),
            exit => Err(CheckError::of(exit, text + &report::summary(&report), report)),
        }
    }

    /// Hunts, and fails the test with all that is to be said if something broke.
    ///
    /// # Panics
    /// Where [`run`](Self::run) has an error.
    #[track_caller]
    pub fn assert(&self) {
        if let Err(error) = self.run() {
            panic!("{error}");
        }
    }

    fn hunt(&self) -> Result<Hunt, CheckError> {
        let load = |library: &Library| Subject::new(library.clone()).map_err(CheckError::input);
        if self.seeds == 0 {
            return Err(CheckError::input("a check of no seed shows nothing: say how many with seeds(N)"));
        }
        let subject = load(&self.library)?;
        let baseline = self.baseline.as_ref().map(load).transpose()?;
        let first = Token::new(&self.profile, self.start).map_err(CheckError::input)?;
        Ok(Hunt {
            baseline,
            jobs: self.jobs.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZero::<usize>::MIN),
            properties: judged(&self.properties)?,
            dialect: self.dialect,
            strict: self.strict,
            ..Hunt::new(subject, first, Until::Seeds(self.seeds))
        })
    }

    fn shrink(&self, hunt: &Hunt, found: &mut Found, kept: &Kept) {
        if self.shrink_for.is_zero() {
            return;
        }
        let shrunk = hunt.shrink(found, RUNS, self.shrink_for, |_| {}).map_err(|why| why.to_string());
        match shrunk.and_then(|shrunk| kept.keep(hunt, found, shrunk)) {
            Ok(smaller) => found.shrunk = Some(smaller),
            Err(why) => found.not_shrunk = Some(why),
        }
    }
}

/// The properties of these names, or all.
fn judged(names: &[String]) -> Result<Vec<&'static Entry>, CheckError> {
    if names.is_empty() {
        return Ok(catalogue::promises().collect());
    }
    let entry = |name: &String| match property::find(name) {
        Ok(entry) if matches!(entry.expect, Expect::Sometimes { .. }) => Err(CheckError::input(format!(
            "{name} is a state that hunts reach, not a property that can break"
        ))),
        found => found.map_err(CheckError::input),
    };
    names.iter().map(entry).collect()
}
