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
    let budget = match report.budget {
        0 => String::new(),
        1 => ", in which one thing may go wrong,".to_owned(),
        budget => format!(", in which {budget} things may go wrong,"),
    };
    line(format!(
        "every history of {}{budget} with up to {complete} choices{cut}: {} states, {} steps in {seconds:.1} s, {verdict}",
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::{drive::Subject, explore::Exploration, library::Library};

    fn report(scope: &'static Scope, edit: impl FnOnce(&mut Exploration)) -> Report {
        let mut exploration = Exploration::new(Subject::new(Library::published()).expect("it loads"), scope);
        exploration.depth = 2;
        edit(&mut exploration);
        exploration.run(&AtomicBool::new(false), &|_| {}).expect("it can be explored")
    }

    #[test]
    fn what_is_known_is_counted_and_what_is_new_is_told_with_its_history() {
        let scope = Scope::named("one").expect("a scope");
        let report = report(scope, |_| {});
        let text = explored(&report, scope, &Finding::all(), |_| "REPLAY".to_owned());
        let last = text.lines().next_back().expect("a line");
        assert!(
            last.starts_with(
                "every history of one execution and two workers with up to 2 choices: 34 states, 124 steps in"
            ),
            "{last}"
        );
        assert!(last.contains("no violation but "), "{last}");
        assert!(!text.contains("REPLAY"), "{text}");
        let text = explored(&report, scope, &[], |_| "REPLAY".to_owned());
        let block = "  fingerprint: fence/ff_cancel_execution/OK/no-lease\n       100 ms  create e1: OK\n       100 ms  \
                     cancel e1 by its holder: OK\n  replay:      REPLAY\n";
        assert!(text.contains(block), "{text}");
        assert!(text.trim_end().ends_with("new violations"), "{text}");
    }

    #[test]
    fn how_far_it_got_is_said_where_it_was_cut() {
        let scope = Scope::named("two").expect("a scope");
        let told = |report: &Report| explored(report, scope, &Finding::all(), |_| String::new());
        let full = told(&report(scope, |exploration| exploration.max_states = 1));
        assert!(full.contains("with up to 1 choices (it has as many states as it may): 3 states"), "{full}");
        let late = told(&report(scope, |exploration| exploration.limit = Some(std::time::Duration::ZERO)));
        assert!(late.contains("with up to 0 choices (its time was up): 1 states"), "{late}");
    }
}
