//! A violation for people: what broke, the calls that led there, and the line that replays it.

use std::fmt::Write;

use super::{
    story::{Entry, Story},
    timeline::excerpt,
};
use crate::{
    property::{self, Violation},
    trace::Trace,
};

/// How many of the last events about the execution are shown.
const CONTEXT: usize = 24;

/// Describes a violation in its trace. `replay` is the command line that shows it again.
pub fn failure(violation: &Violation, trace: &Trace, replay: &str) -> String {
    let mut out = String::new();
    let property = violation.property.as_str();
    let claim = property::find(property).map(|entry| entry.claim).unwrap_or_default();
    // A String never refuses.
    let _ = writeln!(out, "{property}: {}", violation.message);
    let _ = writeln!(out, "  must hold:   {claim}");
    let _ = writeln!(out, "  fingerprint: {}", violation.fingerprint);
    let _ = writeln!(out, "  replay:      {replay}");
    let _ = writeln!(out, "  what led there:");
    let story = Story::of(trace);
    for line in excerpt(context(violation, &story), false).lines() {
        let _ = writeln!(out, "    {line}");
    }
    out
}

/// The last events about the violation's execution, up to the one that broke it; without the calls that changed nothing.
fn context<'s>(violation: &Violation, story: &'s Story) -> Vec<&'s Entry> {
    let concerned = |entry: &&Entry| {
        let of_ours = violation.execution.as_ref().is_none_or(|execution| entry.about.contains(execution));
        entry.head.seq == violation.at || of_ours && !entry.is_idle
    };
    let until = story.entries.iter().take_while(|entry| entry.head.seq <= violation.at);
    let mut entries: Vec<&Entry> = until.filter(concerned).collect();
    entries.split_off(entries.len().saturating_sub(CONTEXT))
}
