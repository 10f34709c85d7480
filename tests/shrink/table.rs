//! The table of shrinking: what every mutant and every finding shrinks to, and how long that takes.
//!
//! `cargo test --release --test all -- --ignored --nocapture shrink::table` prints it. `SHRINK_ONLY` is a part of the rows' names,
//! `SHRINK_PLANS` a folder for the shrunk plans.

use std::time::Instant;

use grantsim::{
    drive,
    report::{self, Detail},
    shrink::{self, Shrunk},
};

use super::{
    broken::{Broken, by_all_findings, by_all_mutants},
    budget,
};
use crate::common::as_file;

/// What a shrunk plan has at most.
const MOST_EXECUTIONS: usize = 2;
const MOST_FAULTS: usize = 2;
/// Lines of the life that a shrunk plan's run is told in.
const MOST_LINES: usize = 39;
/// Violations of which no shorter life is known, and how long that is at most: two owners, or two lanes, take more to tell.
const LONGER: [(&str, usize); 4] = [
    ("cancel-from-a-former-owner", 54),
    ("early-expiry", 47),
    ("neighbours-lane", 49),
    ("no-fence of flowfabric", 49),
];

/// What a violation shrank to.
pub struct Row {
    pub broken: Broken,
    pub shrunk: Shrunk,
    pub lines: usize,
    seconds: f64,
    /// Of all cores together; what other programs of the machine do does not count. Linux only.
    cpu_seconds: f64,
}

impl Row {
    pub fn of(broken: Broken, runs: u64, jobs: usize) -> Self {
        let (started, cpu_before) = (Instant::now(), cpu_seconds());
        let shrunk =
            shrink::run(&broken.plan, &broken.subject, &broken.fingerprint, budget(runs, jobs), |_| {})
                .expect("the plan shows it");
        let (seconds, cpu_seconds) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
        let trace = drive::run(&shrunk.plan, &broken.subject).expect("it runs");
        let lines = report::timeline(&trace, Detail::Life).lines().count();
        Self { broken, shrunk, lines, seconds, cpu_seconds }
    }

    /// Whether it is as small as a shrunk plan should be.
    pub fn is_small(&self) -> bool {
        let after = self.shrunk.after;
        after.executions <= MOST_EXECUTIONS && after.faults <= MOST_FAULTS && self.lines <= MOST_LINES
    }

    /// Whether it is as small as it was.
    pub fn is_as_small_as_known(&self) -> bool {
        let longer = LONGER.iter().find(|(name, _)| self.broken.name.contains(name));
        let after = self.shrunk.after;
        after.executions <= MOST_EXECUTIONS
            && after.faults <= MOST_FAULTS
            && self.lines <= longer.map_or(MOST_LINES, |(_, lines)| *lines)
    }

    pub fn line(&self) -> String {
        let Self { broken, shrunk, lines, seconds, cpu_seconds } = self;
        let after = shrunk.after;
        format!(
            "{:<42} {:<56} {:<13} {:>5} {:>6.1} {:>6.1} {:>4} {:>4} {:>4} {:>4} {:>4} {:>5} {:<5} {}",
            broken.name,
            broken.fingerprint.to_string(),
            broken.from,
            shrunk.runs,
            seconds,
            cpu_seconds,
            after.executions,
            after.faults,
            after.clocks,
            after.workers,
            after.schedulers,
            lines,
            shrunk.minimal,
            if self.is_small() { "" } else { "MISSED" },
        )
    }
}

/// What this process has used of its processors so far.
fn cpu_seconds() -> f64 {
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in parentheses, may hold anything; user and system time are the 12th and 13th after it.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS
}

#[test]
#[ignore = "minutes; it prints a table"]
fn table() {
    let only = std::env::var("SHRINK_ONLY").unwrap_or_default();
    let mut all = by_all_mutants();
    all.extend(by_all_findings(200));
    all.retain(|broken| format!("{} {}", broken.name, broken.fingerprint).contains(&only));
    println!(
        "{:<42} {:<56} {:<13} {:>5} {:>6} {:>6} {:>4} {:>4} {:>4} {:>4} {:>4} {:>5} {:<5}",
        "what",
        "fingerprint",
        "from",
        "runs",
        "s",
        "cpu s",
        "exe",
        "flt",
        "clk",
        "wrk",
        "sch",
        "life",
        "1-min"
    );
    let (mut seconds, mut cpu_seconds, mut missed) = (Vec::new(), Vec::new(), 0);
    for broken in all {
        let row = Row::of(broken, 2_000, 2);
        println!("{}", row.line());
        seconds.push(row.seconds);
        cpu_seconds.push(row.cpu_seconds);
        missed += usize::from(!row.is_small());
        if let Some(folder) = std::env::var_os("SHRINK_PLANS") {
            let name =
                format!("{} {}.json", row.broken.name, row.broken.fingerprint).replace(['/', ' '], "-");
            std::fs::write(std::path::Path::new(&folder).join(name), as_file(&row.shrunk.plan))
                .expect("a folder for plans");
        }
    }
    println!("{} rows, {missed} missed the goal", seconds.len());
    for (what, mut all) in [("seconds", seconds), ("cpu seconds", cpu_seconds)] {
        all.sort_by(f64::total_cmp);
        let (median, most) = (all.get(all.len() / 2), all.last());
        let [median, most] = [median, most].map(|value| value.copied().unwrap_or_default());
        println!("{what}: median {median:.1}, most {most:.1}, sum {:.1}", all.iter().sum::<f64>());
    }
}
