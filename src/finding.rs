//! Findings: breaks of the published library that are known, each with the plan that shows it.
//!
//! A finding is a folder of `fixtures/findings`: `finding.json` says what goes wrong and why, `plan.json` reproduces
//! it. Hunts count what carries a known fingerprint apart from what is new; a finding that no longer reproduces
//! fails its test, and is retired on purpose. None is listed to silence a false alarm.

use serde::{Deserialize, Serialize};

use crate::{library::Library, property::Fingerprint};

/// A known break of a published library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The folder's name.
    pub slug: String,
    /// The property it breaks.
    pub property: String,
    /// The kind of break that its plan shows.
    pub fingerprint: Fingerprint,
    /// Other kinds that have the same cause: other functions that share the faulty check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Fingerprint>,
    /// The library.
    pub library: String,
    /// The versions of it on which the plan reproduces it.
    pub versions: Vec<String>,
    /// What goes wrong and why, in a paragraph.
    pub about: String,
}

/// The findings of this build: those of `fixtures/findings`, so that the command works without the folder.
const FINDINGS: &[&str] = &[
    include_str!("../fixtures/findings/cancel-from-a-former-owner/finding.json"),
    include_str!("../fixtures/findings/cancel-under-expired-lease/finding.json"),
    include_str!("../fixtures/findings/completion-of-a-marked-lease/finding.json"),
    include_str!("../fixtures/findings/eligible-in-the-delayed-set/finding.json"),
    include_str!("../fixtures/findings/renewal-of-a-marked-lease/finding.json"),
];

impl Finding {
    /// Every known finding.
    ///
    /// # Panics
    /// Never: the files are part of the build, and a test reads them all.
    pub fn all() -> Vec<Finding> {
        FINDINGS
            .iter()
            .map(|json| serde_json::from_str(json).expect("a finding of this build is well formed"))
            .collect()
    }

    /// Whether a break with this fingerprint is this finding.
    pub fn covers(&self, fingerprint: &Fingerprint) -> bool {
        self.fingerprint == *fingerprint || self.also.contains(fingerprint)
    }

    /// Those that concern a library.
    pub fn of(library: &Library) -> Vec<Finding> {
        let concerns = |f: &Finding| {
            f.library == library.name() && f.versions.iter().any(|version| version == library.version())
        };
        Self::all().into_iter().filter(concerns).collect()
    }
}
