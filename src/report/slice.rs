//! The causal slice: which entries of a story a violation can be explained with, those first that are closest to its cause.
//!
//! How close an entry is to a violation is the length of the shortest way back to it. A way leads from an entry to what led
//! to it (its cause), to what befell its call, to where the lease that it presents was made, to where the grant that it
//! consumes was issued, to what changed the same execution before, and to what broke in between at a process that took
//! part. Time does not count: a pause long before is close if the call that broke the promise lies across it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use super::{
    facts::{Break, Facts, Turn, Weight},
    story::{Entry, Story},
};
use crate::{
    property::Violation,
    types::{ExecutionName, Node, Seq},
    view::Entity,
};

/// The lengths of ways.
const MADE_IT: u32 = 1;
const MISHAP: u32 = 1;
const BROKE: u32 = 1;
const CAUSE: u32 = 2;
const HELD: u32 = 2;
const BEFORE: u32 = 3;
const CREATION: u32 = 6;
/// How many entries are visited, the closest first: many times what a screen has room for.
const VISITED: usize = 500;
/// What is not connected at all stands behind all that is.
const UNCONNECTED: u32 = 1_000_000;

/// Whom a story is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Subject {
    pub executions: Vec<ExecutionName>,
    /// Where it is about no execution: a quota, a budget, a process of the registry, a flow.
    pub entity: Option<Entity>,
}

impl Subject {
    /// Whom a violation is about, which this entry showed: its execution and the one that the call named, or else what the
    /// call touched that is no execution.
    pub fn of(violation: &Violation, entry: Option<&Entry>) -> Self {
        let Some(execution) = &violation.execution else {
            let touched = entry.iter().flat_map(|entry| &entry.facts.touched);
            let entity = touched.clone().find(|entity| !matches!(entity, Entity::Execution(_)));
            return Self { executions: Vec::new(), entity: entity.cloned() };
        };
        let named = entry.and_then(|entry| entry.called.clone());
        let mut executions = vec![execution.clone()];
        executions.extend(named.filter(|named| named != execution));
        Self { executions, entity: None }
    }

    fn is_everything(&self) -> bool {
        self.executions.is_empty() && self.entity.is_none()
    }

    fn has(&self, entry: &Entry) -> bool {
        self.executions.iter().any(|execution| entry.about.contains(execution))
            || self.entity.as_ref().is_some_and(|entity| entry.facts.touched.contains(entity))
    }
}

/// Something that was broken for a time: from one entry to another, or to the end.
struct Span {
    begin: usize,
    end: Option<usize>,
    kind: Break,
    nodes: Vec<Node>,
}

impl Span {
    /// Whether it can have made a difference to what these processes did between two entries.
    fn hits(&self, from: usize, to: usize, takes_part: impl Fn(&Node) -> bool) -> bool {
        let is_between = self.begin < to && self.end.is_none_or(|end| end > from);
        is_between
            && match self.kind {
                Break::Partition => self.nodes.iter().all(takes_part),
                _ => self.nodes.iter().any(takes_part),
            }
    }
}

fn spans(entries: &[Entry]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        let Facts { turn: Some(Turn { kind, begins }), nodes, .. } = &entry.facts else { continue };
        if *begins {
            // A clock that is set is another one from then on: what lies across that moment is what it can have changed.
            let end = (*kind == Break::Clock).then_some(place);
            spans.push(Span { begin: place, end, kind: *kind, nodes: nodes.clone() });
        } else if let Some(span) = spans
            .iter_mut()
            .rev()
            .find(|span| span.end.is_none() && span.kind == *kind && span.nodes == *nodes)
        {
            span.end = Some(place);
        }
    }
    spans
}

/// Which entries concern the subject: those that are about it, and what broke at the processes that took part, from the
/// first thing that each did.
pub(super) fn concerned(story: &Story, subject: &Subject) -> Vec<bool> {
    let entries = &story.entries;
    if subject.is_everything() {
        return vec![true; entries.len()];
    }
    let mut concerned: Vec<bool> = entries.iter().map(|entry| subject.has(entry)).collect();
    let mut first: BTreeMap<Node, usize> = BTreeMap::new();
    let mut last = 0;
    for (place, entry) in
        entries.iter().enumerate().filter(|(place, entry)| concerned[*place] && !entry.is_idle)
    {
        last = place;
        for node in &entry.facts.nodes {
            first.entry(*node).or_insert(place);
        }
    }
    for span in spans(entries) {
        let is_hit =
            |node: &Node| first.get(node).is_some_and(|first| span.end.is_none_or(|end| end > *first));
        if span.hits(0, last, is_hit) {
            concerned[span.begin] = true;
            span.end.into_iter().for_each(|end| concerned[end] = true);
        }
    }
    concerned
}

/// A story up to one of its entries, and the ways back from there.
pub(super) struct Slice<'s> {
    entries: &'s [Entry],
    subject: &'s Subject,
    /// The places of the entries to choose from, in the order of the run; the last is the one that broke.
    pub candidates: Vec<usize>,
    spans: Vec<Span>,
    /// What befell the call or message that an entry sent.
    mishaps: BTreeMap<Seq, Vec<usize>>,
}

impl<'s> Slice<'s> {
    /// The slice that ends with an entry. Idle calls are left out, as in the life that a timeline shows.
    pub fn new(story: &'s Story, subject: &'s Subject, at: Seq) -> Self {
        let entries = &story.entries[..];
        let is_concerned = concerned(story, subject);
        let is_candidate = |place: &usize| {
            let entry = &entries[*place];
            entry.head.seq == at || entry.head.seq < at && is_concerned[*place] && !entry.is_idle
        };
        let candidates: Vec<usize> = (0..entries.len()).filter(is_candidate).collect();
        let mut mishaps: BTreeMap<Seq, Vec<usize>> = BTreeMap::new();
        for place in candidates.iter().filter(|place| entries[**place].facts.is_mishap) {
            if let Some(cause) = entries[*place].head.cause {
                mishaps.entry(cause).or_default().push(*place);
            }
        }
        Self { entries, subject, candidates, spans: spans(entries), mishaps }
    }

    /// The candidates, the closest to the cause first. Where two are equally close, the later one comes first.
    pub fn ranked(&self) -> Vec<usize> {
        let Some(last) = self.candidates.last() else { return Vec::new() };
        let far = self.distances(*last);
        let mut ranked = self.candidates.clone();
        ranked.sort_by_key(|place| {
            let far = far.get(place).copied().unwrap_or(UNCONNECTED);
            (if place == last { 0 } else { 1 + far + self.dullness(*place) }, Reverse(*place))
        });
        ranked
    }

    /// The length of the shortest way from an entry to each that it is connected with.
    fn distances(&self, from: usize) -> BTreeMap<usize, u32> {
        let mut far = BTreeMap::new();
        let mut open = BinaryHeap::from([Reverse((0, from))]);
        while let Some(Reverse((length, place))) = open.pop() {
            if far.len() == VISITED {
                break;
            }
            if far.contains_key(&place) {
                continue;
            }
            far.insert(place, length);
            for (next, more) in self.ways(place, place == from) {
                open.push(Reverse((length + more, next)));
            }
        }
        far
    }

    /// What an entry is connected with, and how closely.
    fn ways(&self, place: usize, is_last: bool) -> Vec<(usize, u32)> {
        let entry = &self.entries[place];
        let facts = &entry.facts;
        let mut ways: Vec<(usize, u32)> = Vec::new();
        let mut way = |to: Option<usize>, length| ways.extend(to.map(|to| (to, length)));
        let before = |is_it: &dyn Fn(&Entry) -> bool| self.before(place, is_it);
        way(entry.head.cause.and_then(|cause| self.candidate(cause)), CAUSE);
        if let Some(id) = &facts.presents {
            way(before(&|it| it.facts.leased.contains(id)), MADE_IT);
        }
        for grant in &facts.used {
            way(before(&|it| it.facts.issued.contains(grant)), MADE_IT);
        }
        for id in &facts.held {
            way(before(&|it| it.facts.leased.contains(id)), HELD);
        }
        for execution in entry.about.iter().filter(|it| self.subject.executions.contains(it)) {
            way(before(&|it| it.facts.changed.contains(execution)), BEFORE);
            way(before(&|it| it.facts.renewed.contains(execution)), BEFORE);
            if is_last {
                way(before(&|it| it.facts.created.contains(execution)), CREATION);
            }
        }
        if let Some(entity) = &self.subject.entity {
            way(before(&|it| it.facts.touched.contains(entity)), BEFORE);
        }
        let broke: Vec<_> =
            ways.iter().flat_map(|(from, length)| self.broke(*from, place, *length)).collect();
        ways.extend(broke);
        let mishaps = self.mishaps.get(&entry.head.seq).into_iter().flatten();
        ways.extend(mishaps.filter(|it| self.is_candidate(**it)).map(|it| (*it, MISHAP)));
        ways
    }

    /// What broke between two entries, at a process that took part in either.
    fn broke(&self, from: usize, to: usize, length: u32) -> Vec<(usize, u32)> {
        let nodes = |place: usize| &self.entries[place].facts.nodes;
        let takes_part = |node: &Node| nodes(from).contains(node) || nodes(to).contains(node);
        let hits = self.spans.iter().filter(|span| span.hits(from, to, takes_part));
        let ends =
            |span: &Span| [Some((span.begin, length + BROKE)), span.end.map(|end| (end, length + BROKE + 1))];
        hits.flat_map(ends).flatten().filter(|(place, _)| self.is_candidate(*place)).collect()
    }

    /// The latest candidate before a place that is what is asked for.
    fn before(&self, place: usize, is_it: &dyn Fn(&Entry) -> bool) -> Option<usize> {
        let earlier = &self.candidates[..self.candidates.partition_point(|candidate| *candidate < place)];
        earlier.iter().rev().copied().find(|candidate| is_it(&self.entries[*candidate]))
    }

    /// The place of an event's entry, if that is a candidate.
    fn candidate(&self, seq: Seq) -> Option<usize> {
        let place = self.entries.binary_search_by_key(&seq, |entry| entry.head.seq).ok()?;
        self.is_candidate(place).then_some(place)
    }

    fn is_candidate(&self, place: usize) -> bool {
        self.candidates.binary_search(&place).is_ok()
    }

    /// How little an entry says that others do not: a request that was executed at once, its reply, a message.
    fn dullness(&self, place: usize) -> u32 {
        let entry = &self.entries[place];
        match entry.facts.weight {
            Weight::Turn => 0,
            _ if entry.facts.is_late => 0,
            _ if self.mishaps.contains_key(&entry.head.seq) => 0,
            Weight::Step => 4,
            Weight::Message => 8,
        }
    }
}
