//! The first page of a hunt's folder: what broke, what was reached, what the functions answered.

use std::collections::BTreeMap;

use serde::Serialize;

use super::html::{self, Kind};
use crate::{
    finding::Finding,
    hunt::{Found, Report},
    property::{self, Expect, catalogue},
};

const INDEX: Kind = Kind {
    body: include_str!("assets/index.html"),
    script: &[include_str!("assets/common.js"), include_str!("assets/index.js")],
};

/// What the index says beside the report.
#[derive(Serialize)]
struct Index<'a> {
    report: &'a Report,
    violations: Vec<Row>,
    in_baseline: Vec<Row>,
    known: Vec<Known>,
    reach: Vec<Reached>,
    /// Whether the hunt goes on: the page is of now.
    is_going_on: bool,
}

/// A violation, and where its page is.
#[derive(Serialize)]
struct Row {
    property: String,
    claim: String,
    message: String,
    fingerprint: String,
    token: String,
    seeds: u64,
    replay: String,
    page: Option<String>,
}

#[derive(Serialize)]
struct Known {
    slug: String,
    seeds: u64,
    about: String,
}

/// A state that hunts look for.
#[derive(Serialize)]
struct Reached {
    name: &'static str,
    claim: &'static str,
    count: u64,
    required: bool,
}

/// What the index needs to know of each violation: its line to copy, and the file of its page.
pub(in crate::report) struct Link {
    pub replay: String,
    pub page: Option<String>,
}

/// Makes the index. `link` answers for each violation.
pub(in crate::report) fn index(report: &Report, is_going_on: bool, link: &dyn Fn(&Found) -> Link) -> String {
    let row = |found: &Found| {
        let Link { replay, page } = link(found);
        let violation = &found.violation;
        let entry = property::find(violation.property.as_str()).ok();
        Row {
            property: violation.property.to_string(),
            claim: entry.map(|entry| entry.claim).unwrap_or_default().to_owned(),
            message: violation.message.clone(),
            fingerprint: violation.fingerprint.to_string(),
            token: found.token.clone(),
            seeds: found.seeds,
            replay,
            page,
        }
    };
    let about: BTreeMap<String, String> =
        Finding::all().into_iter().map(|finding| (finding.slug, finding.about)).collect();
    let known = report.known.iter().map(|(slug, seeds)| Known {
        slug: slug.clone(),
        seeds: *seeds,
        about: about.get(slug).cloned().unwrap_or_default(),
    });
    let reached = catalogue::sometimes().map(|entry| Reached {
        name: entry.name,
        claim: entry.claim,
        count: report.reach.get(entry.name).copied().unwrap_or_default(),
        required: matches!(entry.expect, Expect::Sometimes { required: true }),
    });
    let index = Index {
        report,
        violations: report.violations.iter().map(row).collect(),
        in_baseline: report.in_baseline.iter().map(row).collect(),
        known: known.collect(),
        reach: reached.collect(),
        is_going_on,
    };
    let title = match report.violations.len() {
        0 => format!("no new violation in {} seeds", report.seeds),
        1 => format!("1 new violation in {} seeds", report.seeds),
        n => format!("{n} new violations in {} seeds", report.seeds),
    };
    html::html(&INDEX, &title, &index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hunt::testing::{found, report};

    #[test]
    fn the_index_has_every_violation_with_its_page_and_its_line_to_copy_as_data_only() {
        let mut report = report();
        let mut broken = found("fence/ff_renew_lease/OK/stale-lease");
        broken.violation.message = "</script><img src=x onerror=alert(1)>".to_owned();
        report.violations = vec![broken];
        report.known = [("renewal-of-a-marked-lease".to_owned(), 3)].into();
        let link = |found: &Found| Link {
            replay: format!("replay {}", found.token),
            page: Some("a-page.html".to_owned()),
        };
        let page = index(&report, false, &link);
        assert!(page.contains("1 new violation in 1 seeds") && !page.contains("<img"), "{page}");
        for part in ["a-page.html", "replay g1-swarm-0-00000000", "late-claim", "A lease expires while"] {
            assert!(page.contains(part), "the index does not have {part}");
        }
    }
}
