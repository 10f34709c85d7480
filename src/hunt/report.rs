//! What came of a hunt, as data: the JSON that `--json` writes. Its names are a promise: see the README.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    library::LibraryRef,
    property::{Counts, Fingerprint, Violation},
};

/// A violation, and the token that shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The violation.
    #[serde(flatten)]
    pub violation: Violation,
    /// Its token.
    pub token: String,
    /// How many seeds showed the same.
    pub seeds: u64,
}

/// What came of a hunt. Its JSON is a promise: see the README.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those without a new violation.
    pub passed: u64,
    /// Known findings that were met again, by slug: in how many seeds.
    pub known: BTreeMap<String, u64>,
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
    /// States reached, by name.
    pub reach: BTreeMap<String, u64>,
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
}
