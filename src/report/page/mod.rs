//! A run as a page: one HTML file that needs no network, with a lane a process, a time axis, and every event in words.
//!
//! What the page shows is a [`Model`], made of the trace, its moments, and the [story](super::story)'s words. How it is
//! drawn is in `assets/`; how untrusted text gets there is in [`html`]. The index of a hunt is in [`index`].

mod bars;
mod clock;
mod html;
pub(super) mod index;
pub(super) mod model;
mod spans;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    bars::Bars,
    clock::ServerClock,
    html::Kind,
    model::{About, Broken, Called, Happening, Known, Lane, Model, Named, Relevance, Sort, Written},
    words::Words,
};
use super::{
    Run,
    run::ended,
    story::{Entry, Story},
    words::Style,
};
use crate::{
    finding::Finding,
    property::{self, Fingerprint, Violation},
    trace::{Event, Moment, Step, Trace, What},
    types::{ExecutionName, Node, Seq},
};

const RUN: Kind = Kind {
    body: include_str!("assets/run.html"),
    script: &[
        include_str!("assets/common.js"),
        include_str!("assets/run.js"),
        include_str!("assets/draw.js"),
        include_str!("assets/bars.js"),
        include_str!("assets/marks.js"),
        include_str!("assets/legend.js"),
        include_str!("assets/list.js"),
        include_str!("assets/pointer.js"),
        include_str!("assets/control.js"),
    ],
};

/// Tells a run as a page. It opens with the violation of this fingerprint, else with the first that is no known finding,
/// else with the first.
///
/// ```
/// use grantsim::{drive::{self, Subject}, library::Library, plan::token::Token, property::catalogue, report::{self, Run}};
///
/// let subject = Subject::new(Library::published())?;
/// let plan = Token::new("calm", 1)?.plan();
/// let trace = drive::run(&plan, &subject)?;
/// let properties: Vec<_> = catalogue::promises().collect();
/// let run = Run {
///     trace: &trace,
///     plan: Some(&plan),
///     properties: &properties,
///     executions: &[],
///     known: &[],
///     replay: "the line to copy",
/// };
/// assert!(report::page(&run, None).starts_with("<!doctype html>"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn page(run: &Run<'_>, focus: Option<&Fingerprint>) -> String {
    told(&model(run, focus), run.replay)
}

/// As [`page`], in a folder with an index that the page links to.
pub(super) fn page_of_folder(run: &Run<'_>, focus: &Fingerprint) -> String {
    let mut model = model(run, Some(focus));
    model.about.index = true;
    told(&model, run.replay)
}

fn told(model: &Model, replay: &str) -> String {
    let title = match model.violations.get(model.focus) {
        Some(violation) => format!("{} broke: {}", violation.property, violation.message),
        None => format!("no violation: {}", model.about.token.as_deref().unwrap_or(replay)),
    };
    html::html(&RUN, &title, model)
}

pub(super) fn model(run: &Run<'_>, focus: Option<&Fingerprint>) -> Model {
    let trace = run.trace;
    let found = property::judge(trace, run.properties.iter().copied()).violations;
    let is_news = |it: &Violation| Finding::among(run.known, &it.fingerprint).is_none();
    let place = found.iter().position(|it| Some(&it.fingerprint) == focus);
    let focus = place.or_else(|| found.iter().position(is_news)).unwrap_or_default();

    let story = Story::of(trace, Style::Exact);
    let nodes = nodes(trace);
    let executions = executions(trace, &story);
    let clock = ServerClock::of(&trace.events);
    let mut bars = Bars::new(&nodes, &executions, &clock);
    let mut gather = Gather { nodes: &nodes, words: Words::default(), calls: BTreeMap::new() };
    trace.replay(|moment| gather.learn(moment, &mut bars));
    trace.replay(|moment| {
        gather.see(moment);
        bars.see(moment);
    });
    let routine = routine(trace, &bars, &found);
    let entries = story.entries.iter();
    let events = entries.map(|entry| gather.happening(entry, trace, &executions, &routine)).collect();
    let id = |name: &ExecutionName| trace.header.executions.id(name).map(|id| id.as_str().to_owned());
    Model {
        about: about(run, &clock),
        nodes: nodes
            .iter()
            .map(|node| Lane { name: node.to_string(), clock: spans::clock(run.plan, *node) })
            .collect(),
        violations: found.iter().map(|violation| broken(violation, run, &executions)).collect(),
        focus,
        events,
        bars: bars.finish(trace.ended.at_us),
        spans: spans::spans(trace, run.plan, &nodes),
        words: gather.words.into_texts(),
        executions: executions
            .iter()
            .map(|name| Named { name: name.to_string(), id: id(name).unwrap_or_else(|| name.to_string()) })
            .collect(),
    }
}

fn about(run: &Run<'_>, clock: &ServerClock) -> About {
    let header = &run.trace.header;
    About {
        library: format!("{} {}", header.library.name, header.library.version),
        dialect: header.dialect.name().to_owned(),
        token: header.token.clone(),
        replay: run.replay.to_owned(),
        ended: ended(run.trace.ended.how).to_owned(),
        ended_us: run.trace.ended.at_us.0,
        start_ms: clock.start().0,
        index: false,
    }
}

fn broken(violation: &Violation, run: &Run<'_>, executions: &[ExecutionName]) -> Broken {
    let entry = property::find(violation.property.as_str()).ok();
    let kind = entry.and_then(|entry| {
        entry.kinds.iter().find(|kind| kind.name == violation.fingerprint.kind()).map(|kind| kind.about)
    });
    let finding = Finding::among(run.known, &violation.fingerprint);
    Broken {
        property: violation.property.to_string(),
        claim: entry.map(|entry| entry.claim).unwrap_or_default().to_owned(),
        kind: kind.unwrap_or_default().to_owned(),
        message: violation.message.clone(),
        fingerprint: violation.fingerprint.to_string(),
        at: violation.at,
        execution: violation.execution.as_ref().and_then(|name| position(executions, name)),
        times: violation.times,
        finding: finding.map(|it| Known { slug: it.slug.clone(), about: it.about.clone() }),
    }
}

/// Every process that the trace names, from those that submit to those that work.
fn nodes(trace: &Trace) -> Vec<Node> {
    let mut nodes = BTreeSet::from([Node::Valkey]);
    for event in &trace.events {
        nodes.insert(event.head.node);
        match &event.what {
            What::MessageSent { to: other, .. } | What::MessageReceived { from: other, .. } => {
                nodes.insert(*other);
            }
            What::PartitionBegan { a, b, .. } => nodes.extend([*a, *b]),
            What::Executed(executed) => nodes.extend(executed.caller),
            _ => {}
        }
    }
    let mut nodes: Vec<Node> = nodes.into_iter().collect();
    let rank = |node: &Node| match node {
        Node::Submitter => (0, 0),
        Node::Scheduler(n) => (1, *n),
        Node::Scanner => (2, 0),
        Node::SecondScanner => (2, 1),
        Node::Operator => (2, 2),
        Node::Valkey => (3, 0),
        Node::FormerValkey => (3, 1),
        Node::Worker(n) => (4, *n),
    };
    nodes.sort_by_key(rank);
    nodes
}

/// Every execution that the plan or an event names; `e2` stands before `e10`.
fn executions(trace: &Trace, story: &Story) -> Vec<ExecutionName> {
    let named = trace.header.executions.iter().map(|(_, name)| name.clone());
    let met = story.entries.iter().flat_map(|entry| entry.about.iter().cloned());
    let all: BTreeSet<ExecutionName> = named.chain(met).collect();
    let mut all: Vec<ExecutionName> = all.into_iter().collect();
    all.sort_by_cached_key(|name| (name.to_string().len(), name.to_string()));
    all
}

/// The renewals that went as they should, but for the last one of a lease and the last before a violation: each as sent,
/// as executed, as answered.
fn routine(trace: &Trace, bars: &Bars<'_>, found: &[Violation]) -> BTreeSet<Seq> {
    let mut dull: BTreeSet<Seq> = BTreeSet::new();
    let mut last = BTreeMap::new();
    for (seq, execution, epoch) in &bars.renewals {
        dull.extend(last.insert((execution, epoch), *seq));
    }
    for violation in found {
        let of =
            bars.renewals.iter().filter(|(_, execution, _)| Some(execution) == violation.execution.as_ref());
        if let Some((seq, ..)) = of.take_while(|(seq, ..)| *seq <= violation.at).last() {
            dull.remove(seq);
        }
        dull.remove(&violation.at);
    }
    let faulty: BTreeSet<Seq> = trace
        .events
        .iter()
        .filter(|event| matches!(event.what, What::CallFault { .. } | What::ReplyLost { .. }))
        .filter_map(|event| event.head.cause)
        .collect();
    let request = |seq: Seq| trace.events.get(seq as usize).and_then(|event| event.head.cause);
    dull.retain(|seq| request(*seq).is_none_or(|request| !faulty.contains(&request)));
    let requests: Vec<Seq> = dull.iter().filter_map(|seq| request(*seq)).collect();
    let replies = trace.events.iter().filter(|event| {
        matches!(event.what, What::ReplyReceived { .. })
            && event.head.cause.is_some_and(|cause| dull.contains(&cause))
    });
    let replies: Vec<Seq> = replies.map(|event| event.head.seq).collect();
    dull.extend(requests.into_iter().chain(replies));
    dull
}

/// Takes the calls' details from the moments.
struct Gather<'n> {
    nodes: &'n [Node],
    words: Words,
    calls: BTreeMap<Seq, Called>,
}

impl Gather<'_> {
    /// Before the bars are made: which process is which instance.
    fn learn(&self, moment: &Moment<'_>, bars: &mut Bars<'_>) {
        if let Moment::Step(step) = moment
            && let Some(call) = &step.call
        {
            bars.learn(&call.presented.instance, call.caller);
        }
    }

    fn see(&mut self, moment: &Moment<'_>) {
        let Moment::Step(step) = moment else { return };
        let called = self.called(step);
        self.calls.insert(step.head.seq, called);
    }

    fn called(&mut self, step: &Step<'_>) -> Called {
        let words = &mut self.words;
        let mut places = |list: &[&[u8]]| list.iter().map(|word| words.place(word)).collect::<Vec<_>>();
        let (name, keys, argv) = match &step.call {
            Some(call) => (call.function.to_string(), places(call.keys), places(call.argv)),
            None => {
                let (name, rest) =
                    step.command.args.split_first().map_or((&b""[..], &[][..]), |(n, r)| (*n, r));
                (String::from_utf8_lossy(name).into_owned(), Vec::new(), places(rest))
            }
        };
        let effects = step.effects.iter().map(|effect| places(&effect.args().collect::<Vec<_>>())).collect();
        let by = step.command.caller.and_then(|caller| position(self.nodes, &caller));
        let reply = words::reply(step.command.reply);
        Called { name, by, now: step.now.0, keys, argv, reply, effects }
    }

    fn happening(
        &mut self,
        entry: &Entry,
        trace: &Trace,
        executions: &[ExecutionName],
        routine: &BTreeSet<Seq>,
    ) -> Happening {
        let head = entry.head;
        let event = &trace.events[head.seq as usize];
        let call = self.calls.remove(&head.seq);
        let r = match entry {
            _ if routine.contains(&head.seq) => Relevance::Routine,
            entry if entry.is_idle => Relevance::Idle,
            _ => Relevance::Matters,
        };
        let written = entry.written.iter();
        Happening {
            s: head.seq,
            t: head.at.0,
            n: position(self.nodes, &head.node).unwrap_or_default(),
            k: sort(event, entry),
            c: head.cause,
            text: entry.text.clone(),
            x: entry.about.iter().filter_map(|name| position(executions, name)).collect(),
            w: written.map(|it| Written { text: it.text.clone(), aside: it.is_aside() }).collect(),
            r,
            to: other_end(event).and_then(|node| position(self.nodes, &node)),
            f: word(event),
            call: call.filter(|_| matches!(event.what, What::Executed(_))),
        }
    }
}

fn sort(event: &Event, entry: &Entry) -> Sort {
    match &event.what {
        What::RequestSent { .. } => Sort::Request,
        What::ReplyReceived { .. } => Sort::Reply,
        What::ReplyLost { .. } => Sort::Lost,
        What::MessageSent { .. } => Sort::Message,
        What::MessageReceived { .. } => Sort::Received,
        What::WorkBegan { .. } | What::WorkEnded { .. } => Sort::Work,
        What::Executed(_) if entry.text.is_empty() => Sort::Server,
        What::Executed(executed) => {
            let answer = crate::protocol::reply::answer(&executed.reply);
            let consents = matches!(answer, crate::types::Answer::Consent(_));
            if consents { Sort::Call } else { Sort::Refused }
        }
        _ => Sort::Fault,
    }
}

fn other_end(event: &Event) -> Option<Node> {
    match &event.what {
        What::MessageSent { to: other, .. } | What::MessageReceived { from: other, .. } => Some(*other),
        _ => None,
    }
}

/// What stands at an arrow: the function of a request, the answer of a reply.
fn word(event: &Event) -> String {
    match &event.what {
        What::RequestSent { function, .. } | What::ReplyLost { function, .. } => function.to_string(),
        What::ReplyReceived { answer, .. } => answer.to_string(),
        _ => String::new(),
    }
}

fn position<T: PartialEq>(list: &[T], item: &T) -> Option<usize> {
    list.iter().position(|known| known == item)
}
