//! A run in words: one entry an event, what a call wrote below it. Timelines and failures choose from its entries.
//!
//! Not here: how something is called ([`words`](super::words)), and what connects one entry with another
//! ([`facts`](super::facts)).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    beside::{idle_calls, late_calls},
    facts::Facts,
    words::{Style, Words},
};
use crate::{
    trace::{Change, End, Event, Happened, Head, Moment, Step, Summary, Trace, What},
    types::{ExecutionName, Seq, SimTime},
};

/// A run in words.
pub(super) struct Story {
    /// In the order in which they happened.
    pub entries: Vec<Entry>,
    /// How times and ids are told.
    pub words: Words,
    end: String,
    ended_at: SimTime,
}

/// An event in words.
pub(super) struct Entry {
    pub head: Head,
    /// Where, and what that node's clock showed.
    node: String,
    pub text: String,
    pub written: Vec<Written>,
    style: Style,
    /// The executions that it is about.
    pub about: Vec<ExecutionName>,
    /// The execution that a call named.
    pub called: Option<ExecutionName>,
    /// Whether it belongs to a scheduler's or a scanner's call that changed nothing, or is a question for work.
    pub is_idle: bool,
    /// What connects it with other entries.
    pub facts: Facts,
}

/// Something that a call wrote.
pub(super) struct Written {
    pub text: String,
    place: Place,
}

impl Written {
    /// Whether it is beside the story of a grant.
    pub fn is_aside(&self) -> bool {
        self.place == Place::Beside
    }
}

/// Where what was written stands in the story of a grant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It belongs to it.
    Within,
    /// It follows from what else the call wrote: who has a lease is active.
    Implied,
    /// It is beside it: an index, a single field.
    Beside,
}

/// How much of what a call wrote is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Much {
    /// All of it.
    All,
    /// What belongs to the story of a grant.
    Life,
    /// What belongs to it and does not follow from the rest.
    Short,
}

impl Story {
    /// Tells a trace.
    pub fn of(trace: &Trace, style: Style) -> Self {
        let mut teller = Teller::of(trace, style);
        trace.replay(|moment| teller.see(moment));
        let Teller { entries, words, .. } = teller;
        Self { entries, words, end: end(trace.ended.how), ended_at: trace.ended.at_us }
    }

    /// The last line: when and why it ended.
    pub fn last_line(&self) -> String {
        row(self.words.style(), self.ended_at, "", &self.end)
    }

    /// The place of an event's entry.
    pub fn place(&self, seq: Seq) -> Option<usize> {
        self.entries.binary_search_by_key(&seq, |entry| entry.head.seq).ok()
    }
}

impl Entry {
    /// Its lines.
    pub fn lines(&self, much: Much) -> Vec<String> {
        let mut written = self.written.iter().filter(|written| match written.place {
            Place::Within => true,
            Place::Implied => much != Much::Short,
            Place::Beside => much == Much::All,
        });
        let mut lines = Vec::new();
        let text = if self.text.is_empty() {
            // Nobody called: what was written stands for itself.
            written.next().map(|first| &first.text)
        } else {
            Some(&self.text)
        };
        lines.extend(text.map(|text| row(self.style, self.head.at, &self.node, text)));
        let indent = match self.style {
            Style::Exact => 26,
            Style::Order => 13,
        };
        lines.extend(written.map(|written| format!("{:indent$}└ {}", "", printable(&written.text))));
        lines
    }
}

/// Where a change stands among those of its step.
fn place(step: &Step<'_>, change: &Change) -> Place {
    let others = || step.changes().iter().filter(|other| other.execution == change.execution);
    let is_implied = match &change.what {
        what if what.is_beside() => return Place::Beside,
        Happened::StateChanged { .. } => others()
            .any(|other| !matches!(other.what, Happened::StateChanged { .. }) && !other.what.is_beside()),
        // A lease says that its grant is consumed, unless that was over.
        Happened::GrantConsumed(seen) => {
            let makes_lease = others().any(|other| matches!(other.what, Happened::LeaseCreated { .. }));
            makes_lease && step.now < seen.grant.expires_at
        }
        Happened::Created { lane } => step.call.as_ref().is_some_and(|call| call.presented.lane == *lane),
        _ => false,
    };
    if is_implied { Place::Implied } else { Place::Within }
}

fn row(style: Style, at: SimTime, node: &str, text: &str) -> String {
    let text = printable(text);
    match style {
        Style::Exact => format!("{:>9.3}  {node:<13}  {text}", at.0 as f64 / 1_000.0),
        Style::Order => format!("{node:<11}  {text}"),
    }
}

/// A text without what a library may have put in that would move the cursor or break the line.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

fn end(how: End) -> String {
    match how {
        End::Quiet => "the end: every execution is terminal",
        End::Settled => "the end: every execution is terminal, goes on, or waits for a reason",
        End::Stuck => "the end: something that must happen did not",
        End::OutOfTime => "the end: the plan's time is up",
        End::TooManyEvents => "the end: stopped, too many events",
        End::Endless => "the end: stopped in a function that did not return",
    }
    .to_owned()
}

/// Puts moments into words, one after the other.
struct Teller {
    entries: Vec<Entry>,
    words: Words,
    /// The calls that came when nobody waited for them any more, or a second time; and when they were sent.
    late: BTreeMap<Seq, SimTime>,
    idle: BTreeSet<Seq>,
    /// The errors that calls ended with, by the event that executed them.
    errors: BTreeMap<Seq, String>,
}

impl Teller {
    fn of(trace: &Trace, style: Style) -> Self {
        Self {
            entries: Vec::new(),
            words: Words::of(trace, style),
            late: late_calls(&trace.events),
            idle: idle_calls(&trace.events),
            errors: BTreeMap::new(),
        }
    }

    fn see(&mut self, moment: &Moment<'_>) {
        match moment {
            Moment::Step(step) => self.step(step),
            Moment::Client(event) | Moment::Fault(event) => self.event(event),
            Moment::Rewound { .. } | Moment::End(_) => {}
        }
    }

    fn event(&mut self, event: &Event) {
        let is_question = matches!(event.what, What::MessageSent { message: Summary::Ask { .. }, .. });
        let error = event.head.cause.and_then(|cause| self.errors.get(&cause)).map(String::as_str);
        let entry = Entry {
            head: event.head,
            node: event.head.node.to_string(),
            text: self.words.event(&event.what, error),
            written: Vec::new(),
            style: self.words.style(),
            about: self.about(event),
            called: None,
            is_idle: is_question || self.idle.contains(&event.head.seq),
            facts: Facts::of_event(event),
        };
        self.entries.push(entry);
    }

    fn step(&mut self, step: &Step<'_>) {
        let written: Vec<Written> = step
            .changes()
            .iter()
            .map(|change| Written {
                text: self.words.written(&change.execution, &change.what, step.now),
                place: place(step, change),
            })
            .collect();
        if step.call.is_none() && written.is_empty() {
            return;
        }
        let mut about: Vec<ExecutionName> =
            step.changes().iter().map(|change| change.execution.clone()).collect();
        let call = step.call.as_ref();
        let called = call.and_then(|call| call.presented.execution.as_ref()).map(|id| step.names.of(id));
        about.extend(called.clone());
        about.sort();
        about.dedup();
        let sent = self.late.get(&step.head.seq).copied();
        let error = call.and_then(|call| call.reply.error()).map(ToString::to_string);
        self.errors.extend(error.map(|error| (step.head.seq, error)));
        self.entries.push(Entry {
            head: step.head,
            node: self.words.server(step),
            text: call.map(|call| self.words.call(call, step, sent)).unwrap_or_default(),
            written,
            style: self.words.style(),
            about,
            called,
            is_idle: self.idle.contains(&step.head.seq),
            facts: Facts::of_step(step, sent.is_some()),
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
}
