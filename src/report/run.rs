//! What people read of one run: its timeline, what became of its faults, what broke, and the numbers.

use super::{Detail, Failure, UnknownExecution, failure, faults, timeline_of};
use crate::{
    finding::Finding,
    hunt::Exit,
    plan::Plan,
    property::{self, Entry, Verdict, Violation},
    trace::{End, Trace},
    types::ExecutionName,
};

/// A run, and what is known about it.
pub struct Run<'a> {
    /// What happened.
    pub trace: &'a Trace,
    /// Its plan, where that is known: a trace does not have it.
    pub plan: Option<&'a Plan>,
    /// The properties to judge by.
    pub properties: &'a [&'static Entry],
    /// The executions that the timeline is about; all where none is named.
    pub executions: &'a [ExecutionName],
    /// The findings that are not this run's news.
    pub known: &'a [Finding],
    /// The command line that shows it again.
    pub replay: &'a str,
}

impl Run<'_> {
    /// Judges it and tells it; says also how the process should end.
    ///
    /// # Errors
    /// [`UnknownExecution`], where the timeline is to be about one that the run does not have.
    pub fn tell(&self, detail: Option<Detail>) -> Result<(String, Exit), UnknownExecution> {
        let verdict = property::judge(self.trace, self.properties.iter().copied());
        let timeline = detail.map(|detail| timeline_of(self.trace, detail, self.executions)).transpose()?;
        let mut out = timeline.unwrap_or_default();
        out += &faults(self.plan, &self.trace.faults);
        let mut exit = Exit::AllHeld;
        for violation in &verdict.violations {
            match Finding::among(self.known, &violation.fingerprint) {
                Some(finding) => {
                    let (slug, message) = (&finding.slug, &violation.message);
                    out += &format!("known finding {slug}: {message} (see fixtures/findings/{slug})\n");
                }
                None => {
                    out += &failure(&Failure {
                        violation,
                        trace: self.trace,
                        plan: self.plan,
                        replay: self.replay,
                        seeds: None,
                    });
                    // Broken wins over stuck.
                    if exit != Exit::Broken {
                        exit = if violation.is_liveness() { Exit::Stuck } else { Exit::Broken };
                    }
                }
            }
        }
        for (class, Violation { property, message, fingerprint, .. }) in &verdict.excused {
            out += &format!("excused under {class}: {property}: {message} ({fingerprint})\n");
        }
        out += &waiting(self.trace);
        out += &numbers(self.trace, &verdict);
        if verdict.violations.is_empty() {
            out += "no violation\n";
        }
        // A run that did not come to its end shows what broke before, and that all held it cannot show.
        let exit = if self.trace.ended.how == End::Endless { Exit::BadInput } else { exit };
        Ok((out, exit))
    }
}

/// The executions that had not ended, and why they may stand still; those that are stuck have blocks of their own.
fn waiting(trace: &Trace) -> String {
    let legitimate = trace.ended.waiting.iter().filter_map(|one| Some((one, one.reason()?)));
    legitimate
        .map(|(one, reason)| format!("{} stands still ({reason}): {}\n", one.execution, one.story))
        .collect()
}

fn numbers(trace: &Trace, verdict: &Verdict) -> String {
    let counts = &verdict.counts;
    let how = ended(trace.ended.how);
    format!(
        "{} events, {} grants, {} claims, {} grants expired, {:.3} s simulated; {how}; trace {:.16}\n",
        counts.events,
        counts.grants,
        counts.claims,
        counts.expiries,
        counts.sim_us as f64 / 1e6,
        trace.digest()
    )
}

/// How a run ended, in words.
pub(super) fn ended(how: End) -> &'static str {
    match how {
        End::Quiet => "every execution ended",
        End::Settled => "every execution ended, goes on, or waits for a reason",
        End::Stuck => "stuck",
        End::OutOfTime => "the plan's time was up",
        End::TooManyEvents => "stopped after too many events",
        End::Endless => "stopped in a function that did not return",
    }
}
