//! The summary of a hunt.

use std::fmt::Write;

use super::functions;
use crate::{
    hunt::{Found, Hung, Report, States},
    property::catalogue,
};

/// Describes what came of a hunt, in a screenful.
pub fn summary(report: &Report) -> String {
    let mut out = String::new();
    write(report, &mut out).expect("a String takes all that is written to it");
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let counts = &report.counts;
    let library = &report.library;
    let stopped = if report.interrupted { ", interrupted" } else { "" };
    writeln!(out, "library    {} {} ({:.12}…)", library.name, library.version, library.sha256)?;
    writeln!(
        out,
        "seeds      {} run, {} passed{stopped}   {} … {}",
        report.seeds, report.passed, report.first_token, report.last_token
    )?;
    writeln!(
        out,
        "protocol   {} grants, {} claims, {} grants expired, {} leases lost, {} calls",
        counts.grants, counts.claims, counts.expiries, counts.lost_leases, counts.calls
    )?;
    let faults: Vec<String> = counts.faults.iter().map(|(class, count)| format!("{count} {class}")).collect();
    writeln!(out, "faults     {}", if faults.is_empty() { "none".to_owned() } else { faults.join(", ") })?;
    functions::write_brief(counts, out)?;
    let speed = report.seeds as f64 / report.wall_seconds.max(1e-9);
    writeln!(
        out,
        "time       {:.0} s simulated in {:.1} s ({speed:.0} seeds/s), {} events",
        counts.sim_us as f64 / 1e6,
        report.wall_seconds,
        counts.events
    )?;
    if let Some(token) = &report.states.last_new {
        let States { seen, quiet_for, .. } = &report.states;
        writeln!(
            out,
            "states     {seen}, the last new one in {token}, and none in the {quiet_for} seeds after it"
        )?;
    }
    unfinished(report, out)?;
    reached(report, out)?;
    known(report, out)?;
    ended(report, out)?;
    match report.violations.len() {
        0 => writeln!(out, "no new violation"),
        1 => writeln!(out, "1 new violation"),
        n => writeln!(out, "{n} new violations"),
    }
}

/// The runs that ended before all executions had: how many, and why.
fn unfinished(report: &Report, out: &mut String) -> std::fmt::Result {
    let counts = &report.counts;
    if counts.unfinished == 0 {
        return Ok(());
    }
    let stuck = if counts.stuck == 0 { String::new() } else { format!(", {} of them stuck", counts.stuck) };
    writeln!(out, "unfinished {} runs ended with executions still open{stuck}", counts.unfinished)?;
    for (place, (reason, runs)) in counts.stood_still.iter().enumerate() {
        let title = if place == 0 { "stood still" } else { "" };
        writeln!(out, "{title:<11}{runs:>7}  {reason}: {}", reason.about())?;
    }
    Ok(())
}

/// The states that hunts look for: how often each was reached, and which never.
fn reached(report: &Report, out: &mut String) -> std::fmt::Result {
    let (never, seen): (Vec<_>, Vec<_>) =
        catalogue::sometimes().partition(|entry| report.not_reached.contains(&entry.name));
    for (place, entry) in seen.iter().enumerate() {
        let title = if place == 0 { "reached" } else { "" };
        let count = report.reach.get(entry.name).copied().unwrap_or_default();
        writeln!(out, "{title:<10} {count:>7}  {}", entry.claim)?;
    }
    for (place, entry) in never.iter().enumerate() {
        let title = if place == 0 { "never" } else { "" };
        writeln!(out, "{title:<10} {:>7}  {}", 0, entry.claim)?;
    }
    Ok(())
}

/// What was known before, what the baseline does too, and what is mended.
fn known(report: &Report, out: &mut String) -> std::fmt::Result {
    for (slug, seeds) in &report.known {
        writeln!(out, "known      {seeds:>7}  {slug} (see fixtures/findings/{slug})")?;
    }
    for (class, properties) in &report.excused {
        let list: Vec<String> = properties.iter().map(|(name, seeds)| format!("{name} {seeds}")).collect();
        writeln!(out, "excused             under {class}, in so many seeds: {}", list.join(", "))?;
    }
    for Found { violation, seeds, token, .. } in &report.in_baseline {
        writeln!(
            out,
            "baseline   {seeds:>7}  {} ({token}): the baseline breaks in the same way",
            violation.fingerprint
        )?;
    }
    for (slug, kinds) in &report.fixed {
        let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        writeln!(out, "fixed               {slug}: this library no longer shows {}", kinds.join(", "))?;
    }
    Ok(())
}

/// The runs that did not come to their end.
fn ended(report: &Report, out: &mut String) -> std::fmt::Result {
    for failed in &report.errors {
        let token = failed.token.as_deref().unwrap_or("no seed");
        writeln!(out, "failed     {:>7}  {} ({token})", failed.seeds, failed.message)?;
    }
    for Hung { token, seconds } in &report.hung {
        writeln!(out, "hung                {token} was still running after {seconds:.0} s")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hunt::{
        Exit, Failed,
        testing::{found, report},
    };

    /// The lines that begin with this title.
    fn lines<'s>(summary: &'s str, title: &str) -> Vec<&'s str> {
        summary.lines().filter(|line| line.starts_with(title)).collect()
    }

    #[test]
    fn every_state_is_listed_once_as_reached_or_as_never_reached() {
        let mut report = report();
        report.not_reached = catalogue::sometimes().map(|entry| entry.name).skip(1).collect();
        report.reach.insert("grant-expired".to_owned(), 7);
        let told = summary(&report);
        assert_eq!(lines(&told, "reached"), ["reached          7  a grant expired before anyone took it"]);
        assert_eq!(lines(&told, "never").len(), 1);
        for entry in catalogue::sometimes() {
            assert_eq!(told.matches(&format!("  {}\n", entry.claim)).count(), 1, "{}: {told}", entry.name);
        }
    }

    #[test]
    fn what_is_known_what_the_baseline_does_what_is_fixed_and_what_is_new_are_told_apart() {
        let mut report = report();
        assert!(summary(&report).ends_with("\nno new violation\n"));
        report.known.insert("cancel-under-expired-lease".to_owned(), 3);
        report.in_baseline = vec![found("fence/ff_renew_lease/OK/stale-lease")];
        report.violations = vec![found("lane/-/-/core")];
        let fixed = vec!["fence/ff_renew_lease/OK/marked-lease".parse().unwrap()];
        report.fixed.insert("renewal-of-a-marked-lease".to_owned(), fixed);
        let told = summary(&report);
        assert_eq!(lines(&told, "known").len(), 1, "{told}");
        assert!(lines(&told, "baseline")[0].contains("fence/ff_renew_lease/OK/stale-lease"), "{told}");
        assert!(lines(&told, "fixed")[0].contains("renewal-of-a-marked-lease: "), "{told}");
        assert!(told.ends_with("\n1 new violation\n"), "{told}");
    }

    #[test]
    fn runs_that_did_not_come_to_their_end_are_listed_with_their_tokens() {
        let mut report = report();
        let message = "ff_renew_lease did not return".to_owned();
        report.errors =
            vec![Failed { token: Some("g1-calm-1f-0".to_owned()), message, seeds: 3, exit: Exit::BadInput }];
        report.hung = vec![Hung { token: "g1-calm-7-0".to_owned(), seconds: 31.2 }];
        let told = summary(&report);
        assert_eq!(
            lines(&told, "failed"),
            ["failed           3  ff_renew_lease did not return (g1-calm-1f-0)"]
        );
        assert_eq!(lines(&told, "hung"), ["hung                g1-calm-7-0 was still running after 31 s"]);
    }
}
