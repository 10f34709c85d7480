//! Findings: breaks of the published library that are known, each with the plan that shows it.
//!
//! A finding is a folder of `fixtures/findings`: `finding.json` says what goes wrong and why, and names each fingerprint
//! with the plan that shows it. Hunts count what carries a known fingerprint apart from what is new: on the library
//! itself, and on every library that descends from it. A finding that no longer reproduces fails its test, and is retired
//! on purpose. None is listed to silence a false alarm.

use serde::{Deserialize, Serialize};

use crate::{
    drive::{self, RunError, Subject},
    library::LibraryRef,
    plan::{Plan, file::PlanFile},
    property::{Fingerprint, Judge, catalogue},
};

/// A known break of a published library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The folder's name.
    pub slug: String,
    /// The kinds of break that it causes: several where functions share the faulty check.
    pub shows: Vec<Shown>,
    /// The library.
    pub library: String,
    /// The versions of it on which the plans reproduce it.
    pub versions: Vec<String>,
    /// What goes wrong and why, in a paragraph.
    pub about: String,
}

/// A kind of break, and the plan that shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The kind.
    pub fingerprint: Fingerprint,
    /// The plan's file, in the finding's folder.
    pub plan: String,
    /// The versions on which it does, where these are not all of the finding's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<Vec<String>>,
}

/// A finding's JSON, and its plans: file name and text.
type Files = (&'static str, &'static [(&'static str, &'static str)]);

/// The files of `fixtures/findings`, within the program: a build has them wherever it runs, and `build.rs` lists them.
const FINDINGS: &[Files] = include!(concat!(env!("OUT_DIR"), "/findings.rs"));

impl Finding {
    /// Every known finding.
    ///
    /// # Panics
    /// Never: the files are part of the build, and a test reads them all.
    pub fn all() -> Vec<Finding> {
        FINDINGS
            .iter()
            .map(|(json, _)| serde_json::from_str(json).expect("a finding of this build is well formed"))
            .collect()
    }

    /// The text of its `finding.json`.
    ///
    /// # Panics
    /// Never: a finding is plain data.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a finding is plain data") + "\n"
    }

    /// Whether a break with this fingerprint is this finding.
    pub fn covers(&self, fingerprint: &Fingerprint) -> bool {
        self.shows.iter().any(|shown| shown.fingerprint == *fingerprint)
    }

    /// Which of these findings a break with this fingerprint is, if it is one of them.
    pub fn among<'f>(known: &'f [Finding], fingerprint: &Fingerprint) -> Option<&'f Finding> {
        known.iter().find(|finding| finding.covers(fingerprint))
    }

    /// Those that concern a library: it is the published one, or its name and the version it says it has are those of the
    /// published one that it descends from. A mutant descends from what it changes.
    pub fn of(subject: &Subject) -> Vec<Finding> {
        let versions = [Some(subject.library.version()), subject.says_version.as_deref()];
        let concern = |of: &[String]| of.iter().any(|version| versions.contains(&Some(version)));
        let mut all = Self::all();
        all.retain(|finding| finding.library == subject.library.name() && concern(&finding.versions));
        for finding in &mut all {
            finding.shows.retain(|shown| shown.versions.as_deref().is_none_or(concern));
        }
        all
    }

    /// Those that concern the library of a trace. What an edited library said of its version is not in the trace: its name
    /// decides.
    pub fn of_recorded(library: &LibraryRef) -> Vec<Finding> {
        let edited = format!("{}@", library.name);
        let mut all = Self::all();
        all.retain(|finding| {
            let is_of = |version: &String| {
                let mutant = library.version.strip_prefix(version.as_str());
                library.version.starts_with(&edited)
                    || mutant.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
            };
            finding.library == library.name && finding.versions.iter().any(is_of)
        });
        all
    }

    /// The plan that shows one of its kinds.
    ///
    /// # Panics
    /// Never: a test reads the plans of all findings.
    pub fn plan(&self, shown: &Shown) -> Plan {
        let files = FINDINGS.iter().flat_map(|(json, plans)| {
            let is_this =
                serde_json::from_str::<Finding>(json).is_ok_and(|finding| finding.slug == self.slug);
            plans.iter().filter(move |_| is_this)
        });
        let (name, text) = files
            .into_iter()
            .find(|(name, _)| *name == shown.plan)
            .expect("the plans of a finding are part of the build");
        PlanFile::from_json(name, text).expect("a plan of this build can be run").plan
    }

    /// Those of its kinds that a library does not show any more, of those that are asked for.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn fixed_on(
        &self,
        subject: &Subject,
        is_asked: impl Fn(&Fingerprint) -> bool,
    ) -> Result<Vec<&Shown>, RunError> {
        let mut fixed = Vec::new();
        for shown in self.shows.iter().filter(|shown| is_asked(&shown.fingerprint)) {
            let (_, judge) = drive::watch(&self.plan(shown), subject, Judge::new(catalogue::promises()))?;
            if !judge.finish().shows(&shown.fingerprint) {
                fixed.push(shown);
            }
        }
        Ok(fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::{Library, Mutant};

    #[test]
    fn a_recorded_library_is_known_by_its_name_and_version_as_the_library_itself_is() {
        let published = Library::published().reference();
        assert_eq!(Finding::of_recorded(&published), Finding::all());
        let recorded = |name: &str, version: &str| {
            let library = LibraryRef { name: name.into(), version: version.into(), sha256: String::new() };
            !Finding::of_recorded(&library).is_empty()
        };
        assert!(recorded("flowfabric", "34+keep-grant") && recorded("flowfabric", "flowfabric@0123456789ab"));
        for (name, version) in [
            ("flowfabric", "35"),
            ("flowfabric", "341"),
            ("minimal", "minimal@0123456789ab"),
            ("other", "34"),
        ] {
            assert!(!recorded(name, version), "{name} {version}");
        }
    }

    #[test]
    fn a_library_that_descends_from_the_published_one_has_its_findings() {
        let of = |library: Library| Finding::of(&Subject::new(library).unwrap());
        let published = Library::published();
        let edit = |from: &str, to: &str| {
            assert!(published.source().contains(from), "the published library has changed: {from}");
            Library::from_source("a test", &published.source().replacen(from, to, 1)).unwrap()
        };
        assert_eq!(of(published.clone()), Finding::all());
        assert_eq!(of(edit("\nlocal ", "\n-- ours\nlocal ")), Finding::all());
        assert_eq!(of(published.mutant(&Mutant::all()[0])), Finding::all());
        assert_eq!(of(edit("return '34'", "return '35'")), []);
        assert_eq!(of(edit("#!lua name=flowfabric", "#!lua name=ours")), []);
    }
}
