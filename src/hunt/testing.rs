//! Reports for tests.

use std::collections::BTreeMap;

use super::{Found, Report, Resume, States};
use crate::{
    library::Library,
    property::{Counts, Fingerprint, Violation, catalogue},
};

/// A hunt of one seed in which all was reached and nothing broke.
pub fn report() -> Report {
    Report {
        seeds: 1,
        passed: 1,
        known: BTreeMap::new(),
        excused: BTreeMap::new(),
        fixed: BTreeMap::new(),
        in_baseline: Vec::new(),
        first_token: "g1-swarm-0-00000000".to_owned(),
        last_token: "g1-swarm-0-00000000".to_owned(),
        violations: Vec::new(),
        errors: Vec::new(),
        hung: Vec::new(),
        states: States { seen: 0, last_new: None, quiet_for: 0 },
        reach: catalogue::sometimes().map(|entry| (entry.name.to_owned(), 1)).collect(),
        not_reached: Vec::new(),
        counts: Counts { grants: 1, claims: 1, ..Counts::default() },
        wall_seconds: 1.0,
        library: Library::published().reference(),
        interrupted: false,
        resume: Resume::default(),
    }
}

/// A violation that one seed showed.
pub fn found(fingerprint: &str) -> Found {
    let fingerprint: Fingerprint = fingerprint.parse().expect("a fingerprint");
    let violation = Violation {
        property: fingerprint.property(),
        fingerprint,
        message: "it broke".to_owned(),
        at: 1,
        execution: None,
        times: 1,
    };
    Found { violation, token: "g1-swarm-0-00000000".to_owned(), seeds: 1, shrunk: None, not_shrunk: None }
}
