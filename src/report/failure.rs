//! A violation for people: what broke, the calls that led there, and the line that replays it.

use std::fmt::Write;

use super::timeline::{excerpt, idle_calls};
use crate::{
    property::{self, Violation},
    trace::{Event, Exec, Seq, Trace, What},
};

/// How many of the last events about the execution are shown.
const CONTEXT: usize = 24;

/// Describes a violation in its trace. `replay` is the command line that shows it again.
pub fn failure(violation: &Violation, trace: &Trace, replay: &str) -> String {
    let mut out = String::new();
    let claim = property::find(&violation.property).map(|entry| entry.claim).unwrap_or_default();
    // A String never refuses.
    let _ = writeln!(out, "{}: {}", violation.property, violation.message);
    let _ = writeln!(out, "  must hold:   {claim}");
    let _ = writeln!(out, "  fingerprint: {}", violation.fingerprint);
    let _ = writeln!(out, "  replay:      {replay}");
    let _ = writeln!(out, "  what led there:");
    for line in excerpt(trace, context(violation.at, trace)).lines() {
        let _ = writeln!(out, "    {line}");
    }
    out
}

/// The last events about the violation's execution, up to the end of the call that broke it; without the calls that
/// changed nothing.
fn context(at: Seq, trace: &Trace) -> Vec<&Event> {
    let execution = trace.events.get(at as usize).and_then(|event| execution_of(event, &trace.events));
    let end = end_of_call(at, &trace.events);
    let idle = idle_calls(&trace.events[..end]);
    let about = |event: &&Event| {
        let concerned = execution.is_none() || execution_of(event, &trace.events) == execution;
        concerned && !idle.contains(&event.seq)
    };
    let mut events: Vec<&Event> = trace.events[..end].iter().filter(about).collect();
    events.split_off(events.len().saturating_sub(CONTEXT))
}

fn end_of_call(at: Seq, events: &[Event]) -> usize {
    let call = events.get(at as usize).and_then(|event| event.cause);
    let after = events.iter().skip(at as usize).take_while(|event| event.seq == at || event.cause == call);
    at as usize + after.count()
}

/// The execution that an event is about.
fn execution_of(event: &Event, events: &[Event]) -> Option<Exec> {
    match &event.what {
        What::Sent { execution, .. } | What::Saw { execution, .. } | What::NoReply { execution, .. } => {
            *execution
        }
        What::Called(called) => called.presented.execution,
        What::Told { message, .. } | What::Heard { message, .. } => message.execution(),
        What::Created { execution, .. }
        | What::LeaseCreated { execution, .. }
        | What::LeaseRenewed { execution, .. }
        | What::LeaseEnded { execution, .. }
        | What::StateChanged { execution, .. }
        | What::LaneWritten { execution, .. }
        | What::EpochWritten { execution, .. }
        | What::Indexed { execution, .. }
        | What::Unindexed { execution, .. } => Some(*execution),
        What::GrantIssued { grant, .. }
        | What::GrantConsumed { grant }
        | What::GrantExpired { grant }
        | What::GrantDropped { grant } => Some(grant.execution),
        What::CallFault { .. } | What::MessageFault { .. } => {
            execution_of(events.get(event.cause? as usize)?, events)
        }
        _ => None,
    }
}
