//! A folder of plans as a test: each is run, and judged.

use std::{
    fs,
    path::{Path, PathBuf},
};

use valkey_sim::engine::Dialect;

use super::{CheckError, judged, keep::Kept};
use crate::{
    drive::{self, Subject},
    finding::Finding,
    hunt::{self, Exit},
    library::Library,
    plan::file::PlanFile,
    property::{self, Entry, Violation},
    report::{self, Detail, Failure},
    trace::{FaultFate, Trace},
};

/// The plan files of a folder, run on a library.
#[derive(Clone, Debug)]
#[must_use = "plans run when they are asserted, or their runs are asked for"]
pub struct Plans {
    folder: PathBuf,
    library: Library,
    dialect: Option<Dialect>,
    properties: Vec<String>,
    strict: bool,
}

/// One plan's run.
#[derive(Clone, Debug)]
pub struct PlanRun {
    /// The name of the plan's file without `.json`.
    pub name: String,
    /// The plan, and what it was made for.
    pub file: PlanFile,
    /// What happened.
    pub trace: Trace,
    /// What broke, but for known findings.
    pub violations: Vec<Violation>,
}

/// The plans of a folder (its `*.json` files, in the order of their names), to be run on a library. A relative path begins
/// where Cargo runs tests: in the folder of the crate's Cargo.toml.
///
/// ```
/// use grantsim::{library::Library, report::Detail};
///
/// let plans = grantsim::plans("fixtures/plans", Library::published());
/// plans.clone().assert();
/// for run in plans.runs()? {
///     // For a snapshot, say `insta::assert_snapshot!(&*run.name, run.timeline(Detail::Order))`.
///     assert!(run.timeline(Detail::Order).contains("ff_create_execution"), "{}", run.name);
/// }
/// # Ok::<(), grantsim::check::CheckError>(())
/// ```
pub fn plans(folder: impl Into<PathBuf>, library: Library) -> Plans {
    Plans { folder: folder.into(), library, dialect: None, properties: Vec::new(), strict: false }
}

impl PlanRun {
    /// The run as a story.
    pub fn timeline(&self, detail: Detail) -> String {
        report::timeline(&self.trace, detail)
    }
}

impl Plans {
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

    /// Runs each plan twice, and answers what happened, broken or not.
    ///
    /// # Errors
    /// [`CheckError`]: the folder has no plan, a file is none, a run does not come to its end, or two runs of a plan differ.
    pub fn runs(&self) -> Result<Vec<PlanRun>, CheckError> {
        let subject = Subject::new(self.library.clone()).map_err(CheckError::input)?;
        let properties = judged(&self.properties)?;
        let known = if self.strict { Vec::new() } else { Finding::of(&subject) };
        self.files()?.iter().map(|path| self.run(path, &subject, &properties, &known)).collect()
    }

    /// Runs each plan, and fails the test where one breaks a promise, or has a fault that does not happen: such a plan does
    /// not test what it was made for.
    ///
    /// # Panics
    /// As [`runs`](Self::runs) has errors, and where a plan fails.
    #[track_caller]
    pub fn assert(&self) {
        let failed = match self.runs() {
            Ok(runs) => self.failed(&runs),
            Err(error) => Some(error),
        };
        if let Some(error) = failed {
            panic!("{error}");
        }
    }

    /// What is wrong with the runs, in words.
    fn failed(&self, runs: &[PlanRun]) -> Option<CheckError> {
        let kept = Kept::new(None, &self.library);
        let mut text = String::new();
        for run in runs {
            let path = self.folder.join(format!("{}.json", run.name));
            let replay = kept.replay(&path.display());
            for violation in &run.violations {
                text += &report::failure(&Failure {
                    violation,
                    trace: &run.trace,
                    plan: Some(&run.file.plan),
                    replay: &replay,
                    seeds: None,
                });
                text.push('\n');
            }
            if run.trace.faults.iter().any(|fate| *fate != FaultFate::Happened) {
                text += &format!("{}: a fault of the plan does not happen\n", path.display());
                text += &report::faults(Some(&run.file.plan), &run.trace.faults);
                text += &format!("  replay:      {replay}\n\n");
            }
        }
        (!text.is_empty()).then(|| CheckError::of_plans(Exit::Broken, text))
    }

    fn run(
        &self,
        path: &Path,
        subject: &Subject,
        properties: &[&'static Entry],
        known: &[Finding],
    ) -> Result<PlanRun, CheckError> {
        let shown = path.display();
        let mut file = PlanFile::read(path).map_err(CheckError::input)?;
        if let Some(dialect) = self.dialect {
            file.plan.dialect = dialect;
        }
        let run = |subject| {
            drive::run(&file.plan, subject).map_err(|why| CheckError::input(format!("{shown}: {why}")))
        };
        let (trace, again) = (run(subject)?, run(&subject.elsewhere())?);
        if let Err(differ) = hunt::same(&trace, &again) {
            let text = format!("{shown}: {differ}\n{}", report::difference(&trace, &again, &differ));
            return Err(CheckError::of_plans(Exit::NotDeterministic, text));
        }
        let is_new = |found: &Violation| Finding::among(known, &found.fingerprint).is_none();
        let found = property::judge(&trace, properties.iter().copied()).violations;
        let violations = found.into_iter().filter(is_new).collect();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(PlanRun { name, file, trace, violations })
    }

    /// The plan files, in the order of their names.
    fn files(&self) -> Result<Vec<PathBuf>, CheckError> {
        let shown = self.folder.display();
        let cannot = |why| CheckError::input(format!("cannot read the folder of plans {shown}: {why}"));
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
        files.sort();
        if files.is_empty() {
            let what = format!(
                "{shown} holds no plan: a test of it would show nothing. `grantsim shrink` writes one"
            );
            return Err(CheckError::input(what));
        }
        Ok(files)
    }
}
