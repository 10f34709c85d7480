//! Going on where a hunt was: what its report keeps for that, and which reports are refused.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Excused, Failed, Found, Hunt, Places, states::Novelty};
use crate::{
    library::LibraryRef,
    plan::token::{Token, TokenError},
    property::{Counts, Fingerprint},
};

/// The version of grantsim. What a run does may change with it, even where the generator stays as it is.
const BUILD: &str = env!("CARGO_PKG_VERSION");

/// What a report keeps for a hunt that goes on from it. Its JSON is a promise: see the README.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// The version of grantsim that wrote it.
    pub build: String,
    /// Which share of the seeds it was: `1/1` for all.
    pub shard: String,
    /// The properties it judged by.
    pub properties: Vec<String>,
    /// The server's dialect, where it was not the plans'.
    pub dialect: Option<String>,
    /// Whether known findings counted as violations.
    pub strict: bool,
    /// The library that its own descends from.
    pub baseline: Option<LibraryRef>,
    /// The seeds that were run, counted from 0 at the first of its share.
    pub done: Places,
    /// Those that showed a violation, by its fingerprint.
    pub shown_by: BTreeMap<Fingerprint, Places>,
    /// Which seed was the first to have each state.
    #[serde(default)]
    pub(super) states: Novelty,
}

/// What a report's file says of the hunt that wrote it.
#[derive(Clone, Debug, Deserialize)]
pub struct Earlier {
    pub(super) first_token: String,
    pub(super) library: LibraryRef,
    pub(super) known: BTreeMap<String, u64>,
    #[serde(default)]
    pub(super) excused: Excused,
    pub(super) violations: Vec<Found>,
    pub(super) in_baseline: Vec<Found>,
    pub(super) errors: Vec<Failed>,
    pub(super) reach: BTreeMap<String, u64>,
    pub(super) wall_seconds: f64,
    #[serde(flatten)]
    pub(super) counts: Counts,
    pub(super) resume: Resume,
}

/// A report that a hunt cannot go on from.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// It cannot be read.
    #[error("cannot read the report {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no report of a hunt.
    #[error("{} is no report that a hunt can go on from (`hunt --json FILE` writes one): {source}", path.display())]
    NotAReport {
        /// The file.
        path: PathBuf,
        /// Why, with line and column.
        source: serde_json::Error,
    },
    /// Its tokens cannot be used.
    #[error("the report cannot be gone on from: {0}")]
    Token(#[from] TokenError),
    /// Another version of grantsim wrote it.
    #[error(
        "the report was written by grantsim {theirs}, and this is {BUILD}: go on with that version, or begin anew without \
         --resume"
    )]
    Build {
        /// The version.
        theirs: String,
    },
    /// It is of another hunt.
    #[error(
        "the report is of another hunt: its {what} is {theirs}, and here it is {ours}; hunt with the flags that it was begun \
         with, or begin anew without --resume"
    )]
    Other {
        /// What differs.
        what: &'static str,
        /// In the report.
        theirs: String,
        /// In this hunt.
        ours: String,
    },
}

impl Resume {
    /// What the report of a hunt keeps, but for its seeds.
    pub(super) fn of(hunt: &Hunt) -> Self {
        let (share, shares) = hunt.shard;
        Self {
            build: BUILD.to_owned(),
            shard: format!("{share}/{shares}"),
            properties: hunt.properties.iter().map(|entry| entry.name.to_owned()).collect(),
            dialect: hunt.dialect.map(|dialect| dialect.name().to_owned()),
            strict: hunt.strict,
            baseline: hunt.baseline.as_ref().map(|baseline| baseline.reference()),
            done: Places::default(),
            shown_by: BTreeMap::new(),
            states: Novelty::default(),
        }
    }
}

impl Earlier {
    /// Reads a report's file.
    ///
    /// # Errors
    /// [`ResumeError`]: it cannot be read, or is no report.
    pub fn read(path: &Path) -> Result<Self, ResumeError> {
        let text =
            fs::read_to_string(path).map_err(|source| ResumeError::Read { path: path.to_owned(), source })?;
        serde_json::from_str(&text)
            .map_err(|source| ResumeError::NotAReport { path: path.to_owned(), source })
    }

    /// Checks that a hunt can go on from here: it is of the same library, profile, seeds and rules. How many seeds it is to
    /// run, and how many at a time, may differ.
    ///
    /// # Errors
    /// [`ResumeError`], with what differs.
    pub fn check(&self, hunt: &Hunt) -> Result<(), ResumeError> {
        let (theirs, ours) = (&self.resume, Resume::of(hunt));
        if theirs.build != ours.build {
            return Err(ResumeError::Build { theirs: theirs.build.clone() });
        }
        let first: Token = self.first_token.parse()?;
        let library = |it: &LibraryRef| format!("{} {} ({:.12}…)", it.name, it.version, it.sha256);
        let baseline = |it: &Option<LibraryRef>| it.as_ref().map_or("none".to_owned(), library);
        let list = |it: &[String]| it.join(", ");
        let or_plans = |it: &Option<String>| it.clone().unwrap_or_else(|| "that of each plan".to_owned());
        let known = |is_strict| if is_strict { "violations (--strict)" } else { "told apart" }.to_owned();
        // What a person recognises comes first: another share begins at another seed, too.
        let pairs = [
            ("profile", first.profile().to_owned(), hunt.first.profile().to_owned()),
            ("library", library(&self.library), library(&hunt.subject.reference())),
            ("baseline", baseline(&theirs.baseline), baseline(&ours.baseline)),
            ("share of the seeds", theirs.shard.clone(), ours.shard.clone()),
            ("first seed", format!("{:x}", first.seed()), format!("{:x}", hunt.seed(0))),
            ("list of properties", list(&theirs.properties), list(&ours.properties)),
            ("dialect", or_plans(&theirs.dialect), or_plans(&ours.dialect)),
            ("rule for known findings", known(theirs.strict), known(ours.strict)),
        ];
        match pairs.into_iter().find(|(_, theirs, ours)| theirs != ours) {
            Some((what, theirs, ours)) => Err(ResumeError::Other { what, theirs, ours }),
            None => Ok(()),
        }
    }
}
