//! The summary of a hunt.

use std::fmt::Write;

use crate::{
    hunt::{Found, Report},
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
    let speed = report.seeds as f64 / report.wall_seconds.max(1e-9);
    writeln!(
        out,
        "time       {:.0} s simulated in {:.1} s ({speed:.0} seeds/s), {} events",
        counts.sim_us as f64 / 1e6,
        report.wall_seconds,
        counts.events
    )?;
    if counts.unfinished > 0 {
        writeln!(out, "unfinished {} runs were out of time with executions still open", counts.unfinished)?;
    }
    let mut title = "reached";
    for entry in catalogue::sometimes() {
        if let Some(count) = report.reach.get(entry.name) {
            writeln!(out, "{title:<10} {count:>7}  {}", entry.claim)?;
            title = "";
        }
    }
    if !report.not_reached.is_empty() {
        writeln!(out, "never      {}", report.not_reached.join(", "))?;
    }
    known(report, out)?;
    match report.violations.len() {
        0 => writeln!(out, "no new violation"),
        n => writeln!(out, "{n} new violation{}", if n == 1 { "" } else { "s" }),
    }
}

/// What is not this library's doing, and what it mended.
fn known(report: &Report, out: &mut String) -> std::fmt::Result {
    for (slug, seeds) in &report.known {
        writeln!(out, "known      {seeds:>7}  {slug} (fixtures/findings/{slug})")?;
    }
    for Found { violation, seeds, token } in &report.in_baseline {
        writeln!(
            out,
            "baseline   {seeds:>7}  {} ({token}): the baseline breaks in the same way",
            violation.fingerprint
        )?;
    }
    for (slug, kinds) in &report.fixed {
        let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        writeln!(out, "fixed               {slug}: {} shows no more", kinds.join(", "))?;
    }
    Ok(())
}
