//! A run as a timeline: one line an event, what a call wrote indented below it.
//!
//! Times on the left are true ones, in milliseconds since the start. Times of the server's clock are shown as
//! `+1234`: milliseconds after what it read at the start of the run. Ids are cut to their first eight digits.

use std::fmt::Write;

use crate::trace::{Called, Event, GrantKind, Lost, Summary, Trace, What};

/// Writes a trace as a timeline.
pub fn timeline(trace: &Trace) -> String {
    let clock = ServerClock::of(&trace.events);
    let mut out = String::new();
    for event in &trace.events {
        let at_ms = event.at_us as f64 / 1_000.0;
        let node = event.node.to_string();
        let text = describe(&event.what, &clock);
        // A write stands below its call; a String never refuses.
        let _ = if is_written_by_a_call(event) {
            writeln!(out, "{:27}└ {text}", "")
        } else {
            writeln!(out, "{at_ms:>11.3}  {node:<12}  {text}")
        };
    }
    out
}

/// The server's clock, counted from the start of the run.
struct ServerClock {
    start_ms: i64,
}

impl ServerClock {
    fn of(events: &[Event]) -> Self {
        let first = events.iter().find_map(|event| match &event.what {
            What::Called(called) => Some(called.now_ms - (event.at_us / 1_000) as i64),
            _ => None,
        });
        Self { start_ms: first.unwrap_or(0) }
    }

    fn show(&self, ms: i64) -> String {
        format!("{:+}", ms.saturating_sub(self.start_ms))
    }
}

fn is_written_by_a_call(event: &Event) -> bool {
    let written = matches!(
        event.what,
        What::Created { .. }
            | What::GrantIssued { .. }
            | What::GrantConsumed { .. }
            | What::GrantExpired { .. }
            | What::GrantDropped { .. }
            | What::LeaseCreated { .. }
            | What::LeaseRenewed { .. }
            | What::LeaseEnded { .. }
            | What::StateChanged { .. }
            | What::LaneWritten { .. }
            | What::EpochWritten { .. }
            | What::Indexed { .. }
            | What::Unindexed { .. }
    );
    written && event.cause.is_some()
}

fn describe(what: &What, clock: &ServerClock) -> String {
    let about =
        |execution: &Option<_>| execution.map(|e: crate::trace::Exec| format!(" {e}")).unwrap_or_default();
    match what {
        What::Sent { function, execution } => format!("→ {function}{}", about(execution)),
        What::Saw { function, execution, answer } => format!("← {function}{}: {answer}", about(execution)),
        What::NoReply { function, execution, lost } => {
            let why = match lost {
                Lost::Refused => "not sent: no connection",
                Lost::Reset => "no reply: the connection broke",
                Lost::TimedOut => "no reply: gave up waiting",
            };
            format!("× {function}{}, {why}", about(execution))
        }
        What::Told { to, message } => format!("⇒ {to}: {}", describe_message(message, clock)),
        What::Heard { from, message } => format!("⇐ {from}: {}", describe_message(message, clock)),
        What::Crashed => "✝ crashes".to_owned(),
        What::Restarted => "starts again".to_owned(),
        What::Paused => "stands still".to_owned(),
        What::Resumed => "goes on".to_owned(),
        What::PartitionBegan { a, b, cut } => format!("loses sight: {a} and {b}, cut {}", word(cut)),
        What::PartitionHealed { a, b } => format!("back in sight: {a} and {b}"),
        What::CallFault { class, call } => format!("! {class}: {call}"),
        What::MessageFault { fate } => format!("! that message: {}", word(fate)),
        What::Called(called) => describe_call(called, clock),
        What::Created { execution, id, lane } => {
            format!("{execution} is {}, on lane {lane}", short_execution(id))
        }
        What::GrantIssued { grant, kind, worker, instance, lane, expires_at_ms } => format!(
            "{} grant for {} issued to {worker} ({instance}), lane {lane}, valid to {}",
            match kind {
                GrantKind::Claim => "claim",
                GrantKind::Resume => "resume",
                GrantKind::Reclaim => "reclaim",
            },
            grant.execution,
            clock.show(*expires_at_ms),
        ),
        What::GrantConsumed { grant } => format!("grant of {} consumed", clock.show(grant.created_at_ms)),
        What::GrantExpired { grant } => {
            format!("grant of {} for {} expired unconsumed", clock.show(grant.created_at_ms), grant.execution)
        }
        What::GrantDropped { grant } => {
            format!("grant of {} for {} deleted, no lease", clock.show(grant.created_at_ms), grant.execution)
        }
        What::LeaseCreated { execution, lease_id, epoch, instance, expires_at_ms, .. } => format!(
            "lease {} of {execution}, epoch {epoch}, for {instance}, until {}",
            short(lease_id),
            clock.show(*expires_at_ms)
        ),
        What::LeaseRenewed { execution, expires_at_ms } => {
            format!("lease of {execution} renewed until {}", clock.show(*expires_at_ms))
        }
        What::LeaseEnded { execution, epoch } => format!("lease of {execution}, epoch {epoch}, ended"),
        What::StateChanged { execution, phase, ownership, eligibility, public } => {
            format!("{execution} is {public}: {phase}, {ownership}, {eligibility}")
        }
        What::LaneWritten { execution, field, lane } => format!("{execution} {field} = {lane}"),
        What::EpochWritten { execution, epoch } => format!("{execution} epoch = {epoch}"),
        What::Indexed { execution, index } => format!("{execution} into {index}"),
        What::Unindexed { execution, index } => format!("{execution} out of {index}"),
    }
}

fn describe_call(called: &Called, clock: &ServerClock) -> String {
    let Called { function, caller, presented, now_ms, answer } = called;
    let execution = presented.execution.map(|e| format!(" {e}")).unwrap_or_default();
    let mut details = Vec::new();
    if !presented.worker.is_empty() {
        details.push(format!("as {} ({})", presented.worker, presented.instance));
    }
    if !presented.lane.is_empty() {
        details.push(format!("lane {}", presented.lane));
    }
    if presented.is_fenced() {
        details.push(format!("under lease {}, epoch {}", short(&presented.lease_id), presented.epoch));
    }
    let details = if details.is_empty() { String::new() } else { format!(" {}", details.join(", ")) };
    format!("{} {function}{execution} by {caller}{details}: {answer}", clock.show(*now_ms))
}

fn describe_message(message: &Summary, clock: &ServerClock) -> String {
    match message {
        Summary::Ask { lane } => format!("work on lane {lane}?"),
        Summary::NoGrant => "nothing to do".to_owned(),
        Summary::ClaimGrant { execution, expires_at_ms } => {
            format!("ClaimGrant {execution}, expires {}", clock.show(*expires_at_ms))
        }
        Summary::ReclaimGrant { execution, expires_at_ms, lane } => {
            format!("ReclaimGrant {execution}, expires {}, lane {lane}", clock.show(*expires_at_ms))
        }
    }
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn short_execution(id: &str) -> String {
    match id.split_once("}:") {
        Some((tag, uuid)) => format!("{tag}}}:{}…", short(uuid)),
        None => id.to_owned(),
    }
}

/// A plain enum as its JSON has it, without the quotes.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default().replace(['"', '{', '}'], "").replace(':', " ")
}
