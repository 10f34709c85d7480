//! What is asked once all seeds are in: what the baseline breaks, too, and which findings the library no longer shows.

use std::collections::{BTreeMap, BTreeSet};

use super::{Exit, Failed, Hunt, side_by_side::of_each};
use crate::{drive::RunError, finding::Finding, property::Fingerprint};

/// How many of the seeds that show a violation are run on the baseline. A library that differs runs differently, so that
/// the lowest seed alone may miss what the baseline shows by the next.
pub(super) const BASELINE_SEEDS: usize = 16;

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settled {
    /// What the baseline breaks in the same way.
    pub inherited: BTreeSet<Fingerprint>,
    /// The kinds of known findings that the library no longer shows, by slug.
    pub fixed: BTreeMap<String, Vec<Fingerprint>>,
    /// Runs that did not come to their end.
    pub errors: Vec<Failed>,
}

/// Asks. `shown_by` has the violations and the seeds that showed each.
pub(super) fn settle(hunt: &Hunt, shown_by: &[(Fingerprint, Vec<u64>)], has_claims: bool) -> Settled {
    let mut settled = Settled::default();
    for (fingerprint, seeds) in shown_by {
        for nth in seeds {
            match baseline_breaks(hunt, *nth, fingerprint) {
                Ok(true) => {
                    settled.inherited.insert(fingerprint.clone());
                    break;
                }
                Ok(false) => {}
                Err(error) => settled.errors.push(failed(Some(hunt.token(*nth)), "the baseline", &error)),
            }
        }
    }
    // Of the published library itself nothing is fixed, and a mutant fixes nothing; and where nothing was claimed, nothing
    // is shown either way.
    let library = &hunt.subject.library;
    if has_claims && !library.is_published() && !library.is_mutant() {
        settled.ask(hunt);
    }
    settled
}

impl Settled {
    /// Which kinds of known findings the library no longer shows.
    fn ask(&mut self, hunt: &Hunt) {
        let is_judged = |it: &Fingerprint| hunt.properties.iter().any(|entry| it.property() == entry.name);
        let gone = |finding: &Finding| -> Result<Vec<Fingerprint>, RunError> {
            let gone = finding.fixed_on(&hunt.subject, is_judged)?;
            Ok(gone.into_iter().map(|shown| shown.fingerprint.clone()).collect())
        };
        let known = hunt.known();
        for (finding, gone) in known.iter().zip(of_each(&known, hunt.jobs.get(), gone)) {
            match gone {
                Ok(gone) if gone.is_empty() => {}
                Ok(gone) => _ = self.fixed.insert(finding.slug.clone(), gone),
                Err(error) => {
                    let what = format!("the finding {} cannot be looked for", finding.slug);
                    self.errors.push(failed(None, &what, &error));
                }
            }
        }
    }
}

/// Whether the baseline breaks in the same way, by the same plan.
fn baseline_breaks(hunt: &Hunt, nth: u64, fingerprint: &Fingerprint) -> Result<bool, RunError> {
    let Some(baseline) = &hunt.baseline else { return Ok(false) };
    let verdict = hunt.judge(&hunt.plan(hunt.seed(nth)), baseline)?;
    Ok(verdict.violations.iter().any(|theirs| theirs.fingerprint == *fingerprint))
}

fn failed(token: Option<String>, what: &str, error: &RunError) -> Failed {
    Failed { token, message: format!("{what}: {error}"), seeds: 1, exit: Exit::of_error([error as _]) }
}
