//! A run as a timeline: a line an event, what a call wrote below it.
//!
//! ```text
//!  time/ms  node           → request  ← reply  × no reply  ⇒ message  ⇐ received  ! fault  └ written
//!  103.000  worker-1       → ff_claim_execution e1
//!  104.000  valkey +104    ff_claim_execution e1: OK  (worker-1 for w1, w1-1.1; lane gold)
//!                          └ claim grant of +102 consumed
//! ```
//!
//! The times on the left are true ones. `+104` is the server's clock, counted from what it read at the start of the
//! run, on the left as in the text. Executions are numbered, ids are cut to their first eight digits.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::{
    node::Node,
    trace::{Called, Ended, Event, Exec, GrantKind, GrantRef, Lost, Seq, Summary, Trace, What},
};

/// The heading of the events' column.
const LEGEND: &str = "→ request  ← reply  × no reply  ⇒ message  ⇐ received  ! fault  └ written";

/// How much of a run a timeline shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What becomes of executions, their grants and their leases. The questions for work, the schedulers' and
    /// scanners' calls that changed nothing, and the writes to indexes and single fields are left out.
    Life,
    /// Every event.
    Full,
}

/// Writes a trace as a timeline.
pub fn timeline(trace: &Trace, detail: Detail) -> String {
    let idle = if detail == Detail::Life { idle_calls(&trace.events) } else { BTreeSet::new() };
    let shown = trace
        .events
        .iter()
        .filter(|event| detail == Detail::Full || !(is_aside(&event.what) || idle.contains(&event.seq)));
    let end = match trace.ended {
        Ended::Quiet => "the end: every execution is terminal",
        Ended::OutOfTime => "the end: the plan's time is up",
        Ended::TooManyEvents => "the end: stopped, too many events",
    };
    format!("{}{}\n", excerpt(trace, shown), row(trace.simulated_us, "", end))
}

/// Some of a trace's events as a timeline.
pub(super) fn excerpt<'a>(trace: &Trace, events: impl IntoIterator<Item = &'a Event>) -> String {
    let teller = Teller::of(trace);
    let mut out = format!("{:>9}  {:<13}  {LEGEND}\n", "time/ms", "node");
    for event in events {
        out += &teller.line(event);
        out.push('\n');
    }
    out
}

fn row(at_us: u64, node: &str, text: &str) -> String {
    format!("{:>9.3}  {node:<13}  {text}", at_us as f64 / 1_000.0)
}

/// Whether an event is beside the story of a grant.
fn is_aside(what: &What) -> bool {
    matches!(
        what,
        What::Told { message: Summary::Ask { .. }, .. }
            | What::LaneWritten { .. }
            | What::EpochWritten { .. }
            | What::Indexed { .. }
            | What::Unindexed { .. }
    )
}

/// The schedulers' and scanners' calls that wrote nothing and to which nothing happened: each as sent, as executed, as
/// answered.
pub(super) fn idle_calls(events: &[Event]) -> BTreeSet<Seq> {
    let is_plain = |event: &&Event| matches!(event.what, What::Called(_) | What::Saw { .. });
    let eventful: BTreeSet<Seq> =
        events.iter().filter(|event| !is_plain(event)).filter_map(|event| event.cause).collect();
    let mut idle = BTreeSet::new();
    for event in events {
        match &event.what {
            What::Called(called) if matches!(called.caller, Node::Scheduler(_) | Node::Scanner) => {
                let call = [Some(event.seq), event.cause];
                if call.iter().flatten().all(|seq| !eventful.contains(seq)) {
                    idle.extend(call.into_iter().flatten());
                }
            }
            What::Saw { .. } if event.cause.is_some_and(|cause| idle.contains(&cause)) => {
                idle.insert(event.seq);
            }
            _ => {}
        }
    }
    idle
}

/// The calls that came late, with the times at which they were sent.
fn late(events: &[Event]) -> BTreeMap<Seq, u64> {
    let mut over = BTreeSet::new();
    let mut late = BTreeMap::new();
    for event in events {
        let Some(cause) = event.cause else { continue };
        let is_over = match event.what {
            What::Called(_) => !over.insert(cause),
            What::NoReply { .. } => {
                over.insert(cause);
                false
            }
            _ => false,
        };
        if is_over && let Some(sent) = events.get(cause as usize) {
            late.insert(event.seq, sent.at_us);
        }
    }
    late
}

/// Puts events into words.
struct Teller {
    /// What the server's clock read at the start of the run.
    start_ms: i64,
    /// What each grant of the run is for.
    kinds: Vec<(GrantRef, GrantKind)>,
    /// The calls that came when nobody waited for them any more, or a second time; and when they were sent.
    late: BTreeMap<Seq, u64>,
}

impl Teller {
    fn of(trace: &Trace) -> Self {
        let start_ms = trace.events.iter().find_map(|event| match &event.what {
            What::Called(called) => Some(called.now_ms - (event.at_us / 1_000) as i64),
            _ => None,
        });
        let kinds = trace.events.iter().filter_map(|event| match event.what {
            What::GrantIssued { grant, kind, .. } => Some((grant, kind)),
            _ => None,
        });
        Self { start_ms: start_ms.unwrap_or(0), kinds: kinds.collect(), late: late(&trace.events) }
    }

    fn line(&self, event: &Event) -> String {
        let text = match &event.what {
            What::Called(called) => call(called, self.late.get(&event.seq).copied()),
            what => self.event(what),
        };
        if is_written(&event.what) && event.cause.is_some() {
            return format!("{:26}└ {text}", "");
        }
        let node = match &event.what {
            What::Called(called) => format!("{} {}", event.node, self.clock(called.now_ms)),
            _ => event.node.to_string(),
        };
        row(event.at_us, &node, &text)
    }

    /// A time of the server's clock.
    fn clock(&self, ms: i64) -> String {
        format!("{:+}", ms.saturating_sub(self.start_ms))
    }

    fn event(&self, what: &What) -> String {
        match what {
            What::Sent { function, execution } => format!("→ {function}{}", about(*execution)),
            What::Saw { function, execution, answer } => {
                format!("← {function}{}: {answer}", about(*execution))
            }
            What::NoReply { function, execution, lost } => {
                let why = match lost {
                    Lost::Refused => "never sent, no connection",
                    Lost::Reset => "no reply, the connection broke",
                    Lost::TimedOut => "no reply, gave up waiting",
                };
                format!("× {function}{}: {why}", about(*execution))
            }
            What::Told { to, message } => format!("⇒ {to}: {}", self.message(message)),
            What::Heard { from, message } => format!("⇐ {from}: {}", self.message(message)),
            What::Crashed => "crashes".to_owned(),
            What::Restarted => "starts again".to_owned(),
            What::Paused => "stands still".to_owned(),
            What::Resumed => "goes on".to_owned(),
            What::PartitionBegan { a, b, cut } => format!("cannot reach: {a} and {b}, {}", word(cut)),
            What::PartitionHealed { a, b } => format!("can reach again: {a} and {b}"),
            What::CallFault { class, call } => format!("! fault {class}: {call}"),
            What::MessageFault { fate } => format!("! fault grant-message: {}", word(fate)),
            _ => self.written(what),
        }
    }

    fn written(&self, what: &What) -> String {
        match what {
            What::Created { execution, id, lane } => {
                format!("{execution} created on lane {lane}: {}", short_execution(id))
            }
            What::GrantIssued { grant, kind, worker, instance, lane, expires_at_ms } => format!(
                "{} grant of {} for {}: {worker}, {instance}; lane {lane}; valid to {}",
                kind_word(*kind),
                self.clock(grant.created_at_ms),
                grant.execution,
                self.clock(*expires_at_ms),
            ),
            What::GrantConsumed { grant } => format!("{} consumed", self.grant(*grant)),
            What::GrantExpired { grant } => format!("{} expired unconsumed", self.grant(*grant)),
            What::GrantDropped { grant } => format!("{} deleted without a lease", self.grant(*grant)),
            What::LeaseCreated { execution, lease_id, epoch, instance, expires_at_ms, .. } => format!(
                "lease {} of {execution}: {instance}; epoch {epoch}; until {}",
                short(lease_id),
                self.clock(*expires_at_ms)
            ),
            What::LeaseRenewed { execution, expires_at_ms } => {
                format!("lease of {execution} renewed until {}", self.clock(*expires_at_ms))
            }
            What::LeaseEnded { execution, epoch } => format!("lease of {execution}, epoch {epoch}, ended"),
            What::StateChanged { execution, phase, ownership, eligibility, public } => {
                format!("{execution} is {public}: {phase}, {ownership}, {eligibility}")
            }
            What::LaneWritten { execution, field, lane } => format!("{execution} {field} = {lane}"),
            What::EpochWritten { execution, epoch } => format!("{execution} epoch = {epoch}"),
            What::Indexed { execution, index } => format!("{execution} into {index}"),
            What::Unindexed { execution, index } => format!("{execution} out of {index}"),
            _ => String::new(),
        }
    }

    fn grant(&self, grant: GrantRef) -> String {
        let kind = self.kinds.iter().find(|(issued, _)| *issued == grant).map(|(_, kind)| kind_word(*kind));
        let of = self.clock(grant.created_at_ms);
        format!(
            "{}grant of {of} for {}",
            kind.map(|kind| format!("{kind} ")).unwrap_or_default(),
            grant.execution
        )
    }

    fn message(&self, message: &Summary) -> String {
        match message {
            Summary::Ask { lane } => format!("work on lane {lane}?"),
            Summary::NoGrant => "nothing to do".to_owned(),
            Summary::ClaimGrant { execution, expires_at_ms } => {
                format!("ClaimGrant {execution}, expires {}", self.clock(*expires_at_ms))
            }
            Summary::ReclaimGrant { execution, expires_at_ms, lane } => {
                format!("ReclaimGrant {execution}, expires {}, lane {lane}", self.clock(*expires_at_ms))
            }
        }
    }
}

/// What the server wrote: it stands below the call that wrote it.
fn is_written(what: &What) -> bool {
    matches!(
        what,
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
    )
}

/// A call as the server saw it: its answer first, then what was presented, and when it was sent if it comes late.
fn call(called: &Called, sent_at_us: Option<u64>) -> String {
    let Called { function, caller, presented, answer, .. } = called;
    let mut details = caller.to_string();
    let mut add = |separator: &str, text: std::fmt::Arguments<'_>| {
        // A String never refuses.
        let _ = write!(details, "{separator}{text}");
    };
    if !presented.worker.is_empty() {
        add(" ", format_args!("for {}, {}", presented.worker, presented.instance));
    }
    if !presented.lane.is_empty() {
        add("; ", format_args!("lane {}", presented.lane));
    }
    if presented.is_fenced() {
        add("; ", format_args!("lease {}, epoch {}", short(&presented.lease_id), presented.epoch));
    }
    if let Some(us) = sent_at_us {
        add("; ", format_args!("sent at {:.3}", us as f64 / 1_000.0));
    }
    format!("{function}{}: {answer}  ({details})", about(presented.execution))
}

fn about(execution: Option<Exec>) -> String {
    execution.map(|execution| format!(" {execution}")).unwrap_or_default()
}

fn kind_word(kind: GrantKind) -> &'static str {
    match kind {
        GrantKind::Claim => "claim",
        GrantKind::Resume => "resume",
        GrantKind::Reclaim => "reclaim",
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
