//! What an exploration says: how far it went, which known findings it met again, and what is new, with its history.

use std::{collections::BTreeMap, fmt::Write};

use crate::{
    explore::{Counterexample, Report, Scope, Why},
    finding::Finding,
};

/// An exploration as text; `replay` is the line to copy that runs a counterexample's plan.
pub fn explored(
    report: &Report,
    scope: &Scope,
    known: &[Finding],
    replay: impl Fn(&Counterexample) -> String,
) -> String {
    let mut text = String::new();
    let mut line = |line: String| _ = writeln!(text, "{line}");
    for one in report.counterexamples.iter().filter(|one| Finding::among(known, &one.fingerprint).is_none()) {
        line(block(one));
        line(format!("  replay:      {}\n", replay(one)));
    }
    line(format!("scope {}", report.scope));
    line(format!("{:>8} {:>10} {:>12}", "depth", "states", "steps"));
    for level in &report.levels {
        line(format!("{:>8} {:>10} {:>12}", level.depth, level.states, level.steps));
    }
    let mut met: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut new = 0;
    for one in &report.counterexamples {
        match Finding::among(known, &one.fingerprint) {
            Some(finding) => {
                let (kinds, shortest) = met.entry(&finding.slug).or_insert((0, usize::MAX));
                (*kinds, *shortest) = (*kinds + 1, (*shortest).min(one.history.len()));
            }
            None => new += 1,
        }
    }
    for (slug, (kinds, shortest)) in &met {
        line(format!("known: {slug}, {kinds} of its kinds, the shortest history has {shortest} choices"));
    }
    let (complete, cut) = match report.cut {
        None => (report.depth, ""),
        Some(why) => {
            let why = match why {
                Why::Asked => " (it was stopped)",
                Why::Time => " (its time was up)",
                Why::States => " (it has as many states as it may)",
            };
            // Of the last level there may be a part only.
            let whole =
                report.levels.len().saturating_sub(if report.cut == Some(Why::States) { 1 } else { 2 });
            (whole, why)
        }
    };
    let findings = match met.len() {
        0 => String::new(),
        1 => " but 1 known finding".to_owned(),
        count => format!(" but {count} known findings"),
    };
    let verdict = match new {
        0 => format!("no violation{findings}"),
        1 => "1 new violation".to_owned(),
        count => format!("{count} new violations"),
    };
    let seconds = report.elapsed.as_secs_f64();
    line(format!(
        "every history of {} with up to {complete} choices{cut}: {} states, {} steps in {seconds:.1} s, {verdict}",
        scope.about,
        report.states(),
        report.steps(),
    ));
    text
}

/// A kind of violation with its history.
fn block(one: &Counterexample) -> String {
    let mut text = format!("{}\n  fingerprint: {}\n", one.message, one.fingerprint);
    for told in &one.history {
        let answer = told.answer.as_ref().map(|answer| format!(": {answer}")).unwrap_or_default();
        _ = writeln!(text, "  {:>8} ms  {}{answer}", told.at_ms, told.choice);
    }
    text.truncate(text.trim_end().len());
    text
}
