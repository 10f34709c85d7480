//! The words of a story: how calls, events and changes are called, exactly or by order and outcome alone.
//!
//! Names come first: an execution and a process are called as in the plan, and ids stand behind them, cut short.

use std::fmt::Write;

use crate::{
    drive::process_of,
    trace::{Call, GrantSeen, Happened, Step, Summary, Trace, What, WorkEnd},
    types::{ExecutionName, Lost, OwnershipState, SimTime, TimestampMs},
    view::{Grant, Lease},
};

/// How exactly a story is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// With every time, and with ids.
    Exact,
    /// Without times and ids: what came before what, and how it ended.
    Order,
}

/// Puts what happened into words.
#[derive(Clone, Copy)]
pub(super) struct Words {
    style: Style,
    /// What the server's clock read at the start of the run.
    start: TimestampMs,
}

impl Words {
    /// Words for a trace.
    pub fn of(trace: &Trace, style: Style) -> Self {
        let start = trace.events.iter().find_map(|event| match &event.what {
            What::Executed(executed) if !executed.args.is_empty() => {
                Some(TimestampMs(executed.now_ms.0.saturating_sub((event.head.at.0 / 1_000) as i64)))
            }
            _ => None,
        });
        Self { style, start: start.unwrap_or(TimestampMs(0)) }
    }

    /// How exactly they tell.
    pub fn style(&self) -> Style {
        self.style
    }

    /// A time of the server's clock, counted from what it read at the start.
    pub fn clock(&self, at: TimestampMs) -> String {
        format!("{:+}", at.0.saturating_sub(self.start.0))
    }

    /// A text that belongs to the exact style only.
    fn exact(&self, text: impl FnOnce() -> String) -> String {
        if self.style == Style::Exact { text() } else { String::new() }
    }

    /// The server, and what its clock reads where somebody called.
    pub fn server(&self, step: &Step<'_>) -> String {
        let clock = step.call.as_ref().map(|_| self.exact(|| format!(" {}", self.clock(step.now))));
        format!("{}{}", step.head.node, clock.unwrap_or_default())
    }

    /// A call as the server saw it: its answer first, or the error that it ended with; then what was presented, and when
    /// it was sent if it comes late.
    pub fn call(&self, call: &Call<'_>, step: &Step<'_>, sent: Option<SimTime>) -> String {
        let shown = &call.presented;
        let mut details = call.caller.to_string();
        let mut add = |text: std::fmt::Arguments<'_>| {
            // A String never refuses.
            let _ = write!(details, "{text}");
        };
        if !shown.worker.is_empty() {
            match process_of(&shown.instance) {
                Some(node) if node == call.caller => add(format_args!(" as {}", shown.instance)),
                _ => add(format_args!(" for {}", process(&shown.worker, &shown.instance))),
            }
        }
        if !shown.lane.is_empty() {
            add(format_args!("; lane {}", shown.lane));
        }
        if !shown.delay_until.is_empty() {
            let until = shown.delay_until.parse().map(|at| self.clock(TimestampMs(at)));
            let until =
                self.exact(|| format!(" until {}", until.unwrap_or_else(|_| shown.delay_until.clone())));
            add(format_args!("; delayed{until}"));
        }
        if let Some(standing) = self.standing(call, step) {
            add(format_args!("; {standing}"));
        }
        if !shown.lease_id.is_empty() {
            let id = self.exact(|| format!(", id {}", short(&shown.lease_id)));
            add(format_args!("; epoch {}{id}", shown.epoch));
        }
        if let Some(sent) = sent {
            let when = self.exact(|| format!(", sent at {:.3}", sent.0 as f64 / 1_000.0));
            add(format_args!("; late{when}"));
        }
        let execution = shown.execution.as_ref().map(|id| step.names.of(id));
        let answer = match call.reply.error() {
            Some(error) => error.to_string(),
            None => call.answer.to_string(),
        };
        format!("{}{}: {answer}  ({details})", call.function, about(execution.as_ref()))
    }

    /// What is wrong with the lease that a call presents, as the server's state says: another is current, or it is over.
    fn standing(&self, call: &Call<'_>, step: &Step<'_>) -> Option<String> {
        let shown = &call.presented;
        let id = shown.execution.as_ref().filter(|_| shown.is_fenced())?;
        let execution = step.before.execution(id);
        let core = execution
            .core()
            .filter(|core| !core.is_terminal() && core.ownership() != OwnershipState::Unowned)?;
        let lease = execution.lease().or_else(|| core.lease())?;
        if lease.epoch.to_string() != shown.epoch {
            return Some(format!("stale, epoch {} is current", lease.epoch));
        }
        if lease.id != shown.lease_id {
            return Some(format!(
                "stale, another lease{} is current",
                self.exact(|| format!(" ({})", short(&lease.id)))
            ));
        }
        let over_ms = step.now.0.saturating_sub(lease.expires_at.0);
        let since = self.exact(|| format!(" since {over_ms} ms"));
        (!lease.is_live(step.now)).then(|| format!("lease over{since}"))
    }

    /// An event that is no step of the server's; `error` is the error that its call ended with.
    pub fn event(&self, what: &What, error: Option<&str>) -> String {
        match what {
            What::RequestSent { function, execution } => format!("→ {function}{}", about(execution.as_ref())),
            What::ReplyReceived { function, execution, answer } => {
                let answer = error.map_or_else(|| answer.to_string(), str::to_owned);
                format!("← {function}{}: {answer}", about(execution.as_ref()))
            }
            What::ReplyLost { function, execution, lost } => {
                let why = match lost {
                    Lost::Refused => "never sent, no connection",
                    Lost::NotRun => "the server could not run it",
                    Lost::NotReplicated => "executed, but no replica has it",
                    Lost::NotSynced => "executed, but not synced to the disk",
                    Lost::Reset => "no reply, the connection broke",
                    Lost::TimedOut => "no reply, timed out",
                };
                format!("× {function}{}: {why}", about(execution.as_ref()))
            }
            What::MessageSent { to, message } => format!("⇒ {to}: {}", self.message(message)),
            What::MessageReceived { from, message } => format!("⇐ {from}: {}", self.message(message)),
            What::WorkBegan { execution, epoch } => {
                format!("begins work on {}, epoch {epoch}", named(execution))
            }
            What::WorkEnded { execution, epoch, how } => {
                let how = match how {
                    WorkEnd::Done => "done",
                    WorkEnd::LostLease => "its lease is lost",
                    WorkEnd::Reconciled => "it was its own, as the refusal tells",
                    WorkEnd::Vanished => "forgotten without a word",
                };
                format!("ends work on {}, epoch {epoch}: {how}", named(execution))
            }
            What::Crashed => "! crashes".to_owned(),
            What::Restarted => "! starts again".to_owned(),
            What::Paused => "! stands still".to_owned(),
            What::Resumed => "! goes on".to_owned(),
            What::PartitionBegan { a, b, cut } => format!("! cannot reach: {a} and {b}, {}", word(cut)),
            What::PartitionHealed { a, b } => format!("! can reach again: {a} and {b}"),
            What::Healed => "! from here on nothing breaks".to_owned(),
            What::ServerBroke { class, how } => format!("! {how} ({class})"),
            What::ServerMended { how } => format!("! {how}"),
            What::Rewound { kept, lost, former_lives } => {
                let which = match (kept, lost) {
                    (_, 0) => "lacks none of what was written",
                    (None, _) => "has lost all that was written",
                    (Some(_), 1) => "has lost the last thing that was written",
                    (Some(_), _) => &format!("has lost the last {lost} things that were written"),
                };
                let former = if *former_lives { "; the former one goes on from there" } else { "" };
                format!("! {which}{former}")
            }
            What::ClockSet { by_ms } => format!("! its clock is set by {by_ms:+} ms"),
            What::CallFault { class, call } => format!("! fault {class}: {call}"),
            What::MessageFault { fate } => format!("! fault grant-message: {}", word(fate)),
            What::Executed(_) => String::new(),
        }
    }

    /// Something that a step did to an execution, at a time of the server's clock.
    pub fn written(&self, execution: &ExecutionName, what: &Happened, now: TimestampMs) -> String {
        let execution = named(execution);
        match what {
            Happened::Created { lane } => format!("{execution} created on lane {lane}"),
            Happened::GrantIssued(seen) => {
                let of = self.grant(&execution, seen);
                format!("{of}: {}", self.granted(&seen.grant))
            }
            Happened::GrantConsumed(seen) => {
                let of = self.grant(&execution, seen);
                format!("{of} consumed{}", self.how_late(now, seen.grant.expires_at))
            }
            Happened::GrantExpired(seen) => format!("{} expired unconsumed", self.grant(&execution, seen)),
            Happened::GrantDropped(seen) => {
                format!("{} deleted without a lease", self.grant(&execution, seen))
            }
            Happened::LeaseCreated { lease, .. } => format!("lease of {execution}: {}", self.lease(lease)),
            Happened::LeaseRenewed { until, .. } => {
                let until = self.exact(|| format!(" until {}", self.clock(*until)));
                format!("lease of {execution} renewed{until}")
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

    /// How a time stands to the last millisecond at which a grant is valid; nothing where it is well before it.
    fn how_late(&self, now: TimestampMs, last: TimestampMs) -> String {
        match now.0.saturating_sub(last.0) {
            ..0 => String::new(),
            0 => ", in its last millisecond".to_owned(),
            late_ms => format!(",{} after its expiry", self.exact(|| format!(" {late_ms} ms"))),
        }
    }

    fn grant(&self, execution: &str, seen: &GrantSeen) -> String {
        let of = self.exact(|| format!(" of {}", self.clock(seen.grant.created_at)));
        format!("{} grant{of} for {execution}", seen.kind)
    }

    /// To whom a grant was given, for which lane, and until when it is valid.
    pub fn granted(&self, grant: &Grant) -> String {
        let valid = self.exact(|| format!("; valid to {}", self.clock(grant.expires_at)));
        format!("{}; lane {}{valid}", process(&grant.worker, &grant.instance), grant.lane)
    }

    /// Whose a lease is, its epoch, and until when it is valid.
    pub fn lease(&self, lease: &Lease) -> String {
        let until =
            self.exact(|| format!("; until {}; id {}", self.clock(lease.expires_at), short(&lease.id)));
        format!("{}; epoch {}{until}", process(&lease.worker, &lease.instance), lease.epoch)
    }

    fn message(&self, message: &Summary) -> String {
        let expires = |at: &TimestampMs| self.exact(|| format!(", expires {}", self.clock(*at)));
        match message {
            Summary::Ask { lane } => format!("work on lane {}?", lane.0),
            Summary::ClaimGrant { execution, expires_at_ms } => {
                format!("ClaimGrant {}{}", named(execution), expires(expires_at_ms))
            }
            Summary::ReclaimGrant { execution, expires_at_ms, lane } => {
                format!("ReclaimGrant {}{}, lane {}", named(execution), expires(expires_at_ms), lane.0)
            }
        }
    }
}

/// A process of a worker: by the name that the plan gives it, where its instance id is one of the harness's.
fn process(worker: &str, instance: &str) -> String {
    match process_of(instance) {
        Some(node) => format!("{node} ({worker}, {instance})"),
        None if worker.is_empty() && instance.is_empty() => "no worker".to_owned(),
        None => format!("{worker}, {instance}"),
    }
}

fn about(execution: Option<&ExecutionName>) -> String {
    execution.map(|execution| format!(" {}", named(execution))).unwrap_or_default()
}

/// An execution's name; one that no plan names is called by its id, cut short.
pub(super) fn named(execution: &ExecutionName) -> String {
    match execution.as_str().split_once("}:") {
        Some((tag, uuid)) if tag.starts_with('{') && uuid.len() > 8 => format!("{tag}}}:{}…", short(uuid)),
        _ => execution.to_string(),
    }
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// A plain enum as its JSON has it, without the quotes.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default().replace(['"', '{', '}'], "").replace(':', " ")
}
