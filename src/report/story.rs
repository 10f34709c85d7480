//! A run in words: one entry an event, what a call wrote below it. Timelines and failures choose from its entries.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::{
    trace::{
        Call, Command, End, Event, GrantSeen, Happened, Head, Moment, Step, Summary, Trace, What, WorkEnd,
    },
    types::{ExecutionName, GrantKind, Lost, Node, Seq, SimTime, TimestampMs},
    view::Lease,
};

/// A run in words.
pub(super) struct Story {
    pub entries: Vec<Entry>,
    pub end: String,
    ended_at: SimTime,
}

/// An event in words.
pub(super) struct Entry {
    pub head: Head,
    /// Where, and what that node's clock showed.
    node: String,
    text: String,
    written: Vec<Written>,
    /// The executions that it is about.
    pub about: Vec<ExecutionName>,
    /// Whether it belongs to a scheduler's or a scanner's call that changed nothing, or is a question for work.
    pub is_idle: bool,
}

/// Something that a call wrote.
struct Written {
    text: String,
    /// Whether it is beside the story of a grant.
    is_aside: bool,
}

impl Story {
    /// Tells a trace.
    pub fn of(trace: &Trace) -> Self {
        let mut teller = Teller::of(trace);
        trace.replay(|moment| teller.see(moment));
        Self { entries: teller.entries, end: end(trace.ended.how), ended_at: trace.ended.at_us }
    }

    /// The last line: when and why it ended.
    pub fn last_line(&self) -> String {
        row(self.ended_at, "", &self.end)
    }
}

impl Entry {
    /// Its lines; `asides` says whether those that are beside the story are among them.
    pub fn lines(&self, asides: bool) -> Vec<String> {
        let mut written = self.written.iter().filter(|written| asides || !written.is_aside);
        let mut lines = Vec::new();
        if self.text.is_empty() {
            // Nobody called: what was written stands for itself.
            lines.extend(written.next().map(|first| row(self.head.at, &self.node, &first.text)));
        } else {
            lines.push(row(self.head.at, &self.node, &self.text));
        }
        lines.extend(written.map(|written| format!("{:26}└ {}", "", written.text)));
        lines
    }
}

fn row(at: SimTime, node: &str, text: &str) -> String {
    format!("{:>9.3}  {node:<13}  {text}", at.0 as f64 / 1_000.0)
}

fn end(how: End) -> String {
    match how {
        End::Quiet => "the end: every execution is terminal",
        End::OutOfTime => "the end: the plan's time is up",
        End::TooManyEvents => "the end: stopped, too many events",
        End::Endless => "the end: stopped in a function that did not return",
    }
    .to_owned()
}

/// Puts moments into words.
struct Teller {
    entries: Vec<Entry>,
    /// What the server's clock read at the start of the run.
    start: TimestampMs,
    /// The calls that came when nobody waited for them any more, or a second time; and when they were sent.
    late: BTreeMap<Seq, SimTime>,
    idle: BTreeSet<Seq>,
}

impl Teller {
    fn of(trace: &Trace) -> Self {
        let start = trace.events.iter().find_map(|event| match &event.what {
            What::Executed(executed) if !executed.args.is_empty() => {
                Some(TimestampMs(executed.now_ms.0 - (event.head.at.0 / 1_000) as i64))
            }
            _ => None,
        });
        Self {
            entries: Vec::new(),
            start: start.unwrap_or(TimestampMs(0)),
            late: late(&trace.events),
            idle: idle_calls(&trace.events),
        }
    }

    fn see(&mut self, moment: &Moment<'_>) {
        match moment {
            Moment::Step(step) => self.step(step),
            Moment::Client(event) | Moment::Fault(event) => {
                let is_question =
                    matches!(event.what, What::MessageSent { message: Summary::Ask { .. }, .. });
                let about = self.about(event);
                self.entries.push(Entry {
                    head: event.head,
                    node: event.head.node.to_string(),
                    text: self.event(&event.what),
                    written: Vec::new(),
                    about,
                    is_idle: is_question || self.idle.contains(&event.head.seq),
                });
            }
            Moment::Rewound { .. } | Moment::End(_) => {}
        }
    }

    fn step(&mut self, step: &Step<'_>) {
        let written: Vec<Written> = step
            .changes()
            .iter()
            .map(|change| Written {
                text: self.written(&change.execution, &change.what),
                is_aside: matches!(
                    change.what,
                    Happened::LaneWritten { .. }
                        | Happened::EpochWritten(_)
                        | Happened::Indexed(_)
                        | Happened::Unindexed(_)
                ),
            })
            .collect();
        if step.call.is_none() && written.is_empty() {
            return;
        }
        let mut about: Vec<ExecutionName> =
            step.changes().iter().map(|change| change.execution.clone()).collect();
        let called = step.call.as_ref();
        about.extend(called.and_then(|call| call.presented.execution.as_ref()).map(|id| step.names.of(id)));
        about.sort();
        about.dedup();
        let node = match called {
            Some(_) => format!("{} {}", step.head.node, self.clock(step.now)),
            None => step.head.node.to_string(),
        };
        let sent = self.late.get(&step.head.seq).copied();
        self.entries.push(Entry {
            head: step.head,
            node,
            text: called.map(|call| self.call(call, step, sent)).unwrap_or_default(),
            written,
            about,
            is_idle: self.idle.contains(&step.head.seq),
        });
    }

    /// The executions that an event is about: for a fault of a call or a message, those of what it hit.
    fn about(&self, event: &Event) -> Vec<ExecutionName> {
        let one = |execution: &Option<ExecutionName>| execution.iter().cloned().collect();
        match &event.what {
            What::RequestSent { execution, .. }
            | What::ReplyReceived { execution, .. }
            | What::ReplyLost { execution, .. } => one(execution),
            What::MessageSent { message, .. } | What::MessageReceived { message, .. } => {
                message.execution().into_iter().cloned().collect()
            }
            What::WorkBegan { execution, .. } | What::WorkEnded { execution, .. } => vec![execution.clone()],
            What::CallFault { .. } | What::MessageFault { .. } => {
                let hit = event.head.cause.and_then(|cause| self.entry(cause));
                hit.map(|entry| entry.about.clone()).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    fn entry(&self, seq: Seq) -> Option<&Entry> {
        let at = self.entries.binary_search_by_key(&seq, |entry| entry.head.seq).ok()?;
        self.entries.get(at)
    }

    /// A time of the server's clock, counted from what it read at the start.
    fn clock(&self, at: TimestampMs) -> String {
        format!("{:+}", at.0.saturating_sub(self.start.0))
    }

    /// A call as the server saw it: its answer first, then what was presented, and when it was sent if it comes late.
    fn call(&self, call: &Call<'_>, step: &Step<'_>, sent: Option<SimTime>) -> String {
        let shown = &call.presented;
        let mut details = call.caller.to_string();
        let mut add = |separator: &str, text: std::fmt::Arguments<'_>| {
            // A String never refuses.
            let _ = write!(details, "{separator}{text}");
        };
        if !shown.worker.is_empty() {
            add(" ", format_args!("for {}, {}", shown.worker, shown.instance));
        }
        if !shown.lane.is_empty() {
            add("; ", format_args!("lane {}", shown.lane));
        }
        if !shown.lease_id.is_empty() {
            add("; ", format_args!("lease {}, epoch {}", short(&shown.lease_id), shown.epoch));
        }
        if let Some(sent) = sent {
            add("; ", format_args!("sent at {:.3}", sent.0 as f64 / 1_000.0));
        }
        let execution = shown.execution.as_ref().map(|id| step.names.of(id));
        let error = call.reply.error().map(|error| format!(": {error}"));
        let answer = error.unwrap_or_else(|| format!(": {}", call.answer));
        format!("{}{}{answer}  ({details})", call.function, about(execution.as_ref()))
    }

    fn event(&self, what: &What) -> String {
        match what {
            What::RequestSent { function, execution } => format!("→ {function}{}", about(execution.as_ref())),
            What::ReplyReceived { function, execution, answer } => {
                format!("← {function}{}: {answer}", about(execution.as_ref()))
            }
            What::ReplyLost { function, execution, lost } => {
                let why = match lost {
                    Lost::Refused => "never sent, no connection",
                    Lost::Reset => "no reply, the connection broke",
                    Lost::TimedOut => "no reply, timed out",
                };
                format!("× {function}{}: {why}", about(execution.as_ref()))
            }
            What::MessageSent { to, message } => format!("⇒ {to}: {}", self.message(message)),
            What::MessageReceived { from, message } => format!("⇐ {from}: {}", self.message(message)),
            What::WorkBegan { execution, epoch } => format!("begins work on {execution}, epoch {epoch}"),
            What::WorkEnded { execution, epoch, how } => {
                let how = match how {
                    WorkEnd::Done => "done",
                    WorkEnd::LostLease => "its lease is lost",
                    WorkEnd::Vanished => "forgotten without a word",
                };
                format!("ends work on {execution}, epoch {epoch}: {how}")
            }
            What::Crashed => "! crashes".to_owned(),
            What::Restarted => "! starts again".to_owned(),
            What::Paused => "! stands still".to_owned(),
            What::Resumed => "! goes on".to_owned(),
            What::PartitionBegan { a, b, cut } => format!("! cannot reach: {a} and {b}, {}", word(cut)),
            What::PartitionHealed { a, b } => format!("! can reach again: {a} and {b}"),
            What::ClockSet { by_ms } => format!("! its clock is set by {by_ms:+} ms"),
            What::CallFault { class, call } => format!("! fault {class}: {call}"),
            What::MessageFault { fate } => format!("! fault grant-message: {}", word(fate)),
            What::Executed(_) => String::new(),
        }
    }

    fn written(&self, execution: &ExecutionName, what: &Happened) -> String {
        match what {
            Happened::Created { lane } => format!("{execution} created on lane {lane}"),
            Happened::GrantIssued(seen) => {
                let GrantSeen { kind, grant } = seen;
                format!(
                    "{kind} grant of {} for {execution}: {}, {}; lane {}; valid to {}",
                    self.clock(grant.created_at),
                    grant.worker,
                    grant.instance,
                    grant.lane,
                    self.clock(grant.expires_at),
                )
            }
            Happened::GrantConsumed(seen) => format!("{} consumed", self.grant(execution, seen)),
            Happened::GrantExpired(seen) => format!("{} expired unconsumed", self.grant(execution, seen)),
            Happened::GrantDropped(seen) => {
                format!("{} deleted without a lease", self.grant(execution, seen))
            }
            Happened::LeaseCreated { lease, .. } => self.lease(execution, lease),
            Happened::LeaseRenewed { until, .. } => {
                format!("lease of {execution} renewed until {}", self.clock(*until))
            }
            Happened::LeaseEnded { epoch } => format!("lease of {execution}, epoch {epoch}, ended"),
            Happened::StateChanged { to, .. } => {
                format!("{execution} is {}: {}, {}, {}", to.public, to.phase, to.ownership, to.eligibility)
            }
            Happened::LaneWritten { field, lane } => format!("{execution} {field} = {lane}"),
            Happened::EpochWritten(epoch) => format!("{execution} epoch = {epoch}"),
            Happened::Indexed(index) => format!("{execution} into {index}"),
            Happened::Unindexed(index) => format!("{execution} out of {index}"),
        }
    }

    fn grant(&self, execution: &ExecutionName, seen: &GrantSeen) -> String {
        let kind: GrantKind = seen.kind;
        format!("{kind} grant of {} for {execution}", self.clock(seen.grant.created_at))
    }

    fn lease(&self, execution: &ExecutionName, lease: &Lease) -> String {
        format!(
            "lease {} of {execution}: {}; epoch {}; until {}",
            short(&lease.id),
            lease.instance,
            lease.epoch,
            self.clock(lease.expires_at)
        )
    }

    fn message(&self, message: &Summary) -> String {
        match message {
            Summary::Ask { lane } => format!("work on lane {}?", lane.0),
            Summary::ClaimGrant { execution, expires_at_ms } => {
                format!("ClaimGrant {execution}, expires {}", self.clock(*expires_at_ms))
            }
            Summary::ReclaimGrant { execution, expires_at_ms, lane } => {
                format!("ReclaimGrant {execution}, expires {}, lane {}", self.clock(*expires_at_ms), lane.0)
            }
        }
    }
}

/// The schedulers' and scanners' calls that wrote nothing and to which nothing happened: each as sent, as executed, as
/// answered.
fn idle_calls(events: &[Event]) -> BTreeSet<Seq> {
    let mut eventful = BTreeSet::new();
    for event in events {
        match &event.what {
            What::ReplyReceived { .. } => {}
            What::Executed(executed) if executed.effects.is_empty() => {}
            What::Executed(_) => {
                eventful.insert(event.head.seq);
            }
            _ => eventful.extend(event.head.cause),
        }
    }
    let mut idle = BTreeSet::new();
    for event in events {
        match &event.what {
            What::Executed(executed)
                if matches!(executed.caller, Some(Node::Scheduler(_) | Node::Scanner))
                    && is_call(&executed.args) =>
            {
                let call = [Some(event.head.seq), event.head.cause];
                if call.iter().flatten().all(|seq| !eventful.contains(seq)) {
                    idle.extend(call.into_iter().flatten());
                }
            }
            What::ReplyReceived { .. } if event.head.cause.is_some_and(|cause| idle.contains(&cause)) => {
                idle.insert(event.head.seq);
            }
            _ => {}
        }
    }
    idle
}

fn is_call(args: &[Vec<u8>]) -> bool {
    Command::function(&args.iter().take(2).map(Vec::as_slice).collect::<Vec<_>>()).is_some()
}

/// The calls that came late, with the times at which they were sent.
fn late(events: &[Event]) -> BTreeMap<Seq, SimTime> {
    let mut over = BTreeSet::new();
    let mut late = BTreeMap::new();
    for event in events {
        let Some(cause) = event.head.cause else { continue };
        let is_over = match &event.what {
            What::Executed(executed) if is_call(&executed.args) => !over.insert(cause),
            What::ReplyLost { .. } => {
                over.insert(cause);
                false
            }
            _ => false,
        };
        if is_over && let Some(sent) = events.get(cause as usize) {
            late.insert(event.head.seq, sent.head.at);
        }
    }
    late
}

fn about(execution: Option<&ExecutionName>) -> String {
    execution.map(|execution| format!(" {execution}")).unwrap_or_default()
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// A plain enum as its JSON has it, without the quotes.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default().replace(['"', '{', '}'], "").replace(':', " ")
}
