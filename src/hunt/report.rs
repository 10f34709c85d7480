//! What came of a hunt, as data: the JSON that `--json` writes. Its names are a promise: see the README.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Exit, Resume, States};
use crate::{
    library::LibraryRef,
    property::{Counts, Fingerprint, PropertyName, Violation},
    shrink::Size,
    types::FaultClass,
};

/// In how many seeds a property was broken under a class of hostile fault that it need not withstand.
pub type Excused = BTreeMap<FaultClass, BTreeMap<PropertyName, u64>>;

/// A violation, and the token that shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The violation.
    #[serde(flatten)]
    pub violation: Violation,
    /// Its token.
    pub token: String,
    /// How many seeds showed the same.
    pub seeds: u64,
    /// The smaller plan that shows the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shrunk: Option<Smaller>,
    /// Why there is no smaller plan, where one was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_shrunk: Option<String>,
}

impl Found {
    /// The smallest plan that shows it, as `grantsim replay` takes it: the file of the shrunk one, else the token.
    pub fn smallest(&self) -> &str {
        self.shrunk.as_ref().map_or(&self.token, |smaller| &smaller.plan)
    }
}

/// The plan that a shrink made of a violation's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Smaller {
    /// Its file.
    pub plan: String,
    /// Executions in it.
    pub executions: usize,
    /// Workers in it.
    pub workers: usize,
    /// Schedulers in it.
    pub schedulers: usize,
    /// Faults in it.
    pub faults: usize,
    /// Wrong clocks in it.
    pub clocks: usize,
    /// Deeds in it.
    #[serde(default, skip_serializing_if = "is_none")]
    pub deeds: usize,
    /// Events of its run.
    pub events: u64,
    /// Whether no single part of it can go.
    pub minimal: bool,
    /// Runs that the shrink took.
    pub runs: u64,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Smaller {
    /// How big it is.
    pub fn size(&self) -> Size {
        let Self { executions, workers, schedulers, faults, clocks, deeds, events, .. } = *self;
        Size { executions, workers, schedulers, faults, clocks, deeds, events }
    }
}

/// Runs that did not come to their end, all for the same reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// The token of the lowest seed. None where it is no seed that failed: a finding's plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Why.
    pub message: String,
    /// How many seeds.
    pub seeds: u64,
    /// The exit code that this asks for.
    pub exit: Exit,
}

/// A seed that was still running: it hangs, or is very slow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hung {
    /// Its token.
    pub token: String,
    /// For how long it had been running, seconds of real time.
    pub seconds: f64,
}

/// What came of a hunt. Its JSON is a promise: see the README.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those that came to their end without a new violation.
    pub passed: u64,
    /// Known findings that were met again, by slug: in how many seeds.
    pub known: BTreeMap<String, u64>,
    /// What may break under a class of faults by the contract, and did: in how many seeds.
    pub excused: Excused,
    /// Kinds of known findings that this library does not show any more, by slug; of libraries that descend from a
    /// published one.
    pub fixed: BTreeMap<String, Vec<Fingerprint>>,
    /// What the baseline breaks in the same way, one a fingerprint.
    pub in_baseline: Vec<Found>,
    /// The first token of its share.
    pub first_token: String,
    /// The last token that was run.
    pub last_token: String,
    /// New violations, one a fingerprint, the lowest seed first.
    pub violations: Vec<Found>,
    /// Runs that did not come to their end, one a reason.
    pub errors: Vec<Failed>,
    /// Seeds that still ran when the report was written: for longer than is usual, or when the hunt was stopped.
    pub hung: Vec<Hung>,
    /// States reached, by name.
    pub reach: BTreeMap<String, u64>,
    /// How many states the seeds had, of every sort, and which was the last to bring a new one.
    pub states: States,
    /// States of the catalogue that no run reached.
    pub not_reached: Vec<&'static str>,
    /// What happened, counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// Real time, seconds.
    pub wall_seconds: f64,
    /// The library.
    pub library: LibraryRef,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// What a hunt needs that goes on from here.
    pub resume: Resume,
}
