//! Faults that last: from a crash to the restart, while a process stands still, while two cannot reach each other, while
//! a clock is wrong.

use std::collections::BTreeMap;

use super::model::{Point, Span, SpanSort};
use crate::{
    plan::{Cut, Plan},
    trace::{Event, Trace, What},
    types::Node,
};

/// The faults of a run that last. A clock that is wrong from the start is known from the plan alone.
pub(super) fn spans(trace: &Trace, plan: Option<&Plan>, nodes: &[Node]) -> Vec<Span> {
    let mut open = Open { nodes, begun: BTreeMap::new(), clocks: BTreeMap::new(), over: Vec::new() };
    let start = Point { s: None, t: 0 };
    for (node, clock) in plan.iter().flat_map(|plan| &plan.clocks) {
        if clock.offset_ms != 0 {
            open.clock(start, *node, clock.offset_ms);
        }
    }
    for event in &trace.events {
        open.see(event);
    }
    open.finish(Point { s: None, t: trace.ended.at_us.0 })
}

/// What is wrong with a node's clock from the start, in words; nothing for a true one.
pub(super) fn clock(plan: Option<&Plan>, node: Node) -> String {
    let Some(clock) = plan.and_then(|plan| plan.clocks.get(&node)) else { return String::new() };
    let mut parts = Vec::new();
    if clock.offset_ms != 0 {
        parts.push(format!("clock {:+} ms", clock.offset_ms));
    }
    if clock.drift_ppm != 0 {
        parts.push(format!("drifts {:+} µs/s", clock.drift_ppm));
    }
    parts.join(", ")
}

/// What kind of fault, and whom it hits: what ends it is found by it.
type Hit = (u8, Node, Option<Node>);

struct Open<'n> {
    nodes: &'n [Node],
    begun: BTreeMap<Hit, Span>,
    /// How wrong each clock is, milliseconds, without its drift.
    clocks: BTreeMap<Node, i64>,
    over: Vec<Span>,
}

impl Open<'_> {
    fn see(&mut self, event: &Event) {
        let point = Point { s: Some(event.head.seq), t: event.head.at.0 };
        let node = event.head.node;
        match &event.what {
            What::Crashed => self.begin((0, node, None), SpanSort::Crash, point, "down".to_owned()),
            What::Restarted => self.end((0, node, None), point),
            What::Paused => self.begin((1, node, None), SpanSort::Pause, point, "stands still".to_owned()),
            What::Resumed => self.end((1, node, None), point),
            What::PartitionBegan { a, b, cut } => {
                let label = match cut {
                    Cut::Both => format!("{a} and {b} cannot reach each other"),
                    Cut::AToB => format!("nothing passes from {a} to {b}"),
                    Cut::BToA => format!("nothing passes from {b} to {a}"),
                };
                self.begin((2, *a, Some(*b)), SpanSort::Partition, point, label);
            }
            What::PartitionHealed { a, b } => self.end((2, *a, Some(*b)), point),
            What::ClockSet { by_ms } => self.clock(point, node, *by_ms),
            _ => {}
        }
    }

    fn begin(&mut self, hit: Hit, k: SpanSort, from: Point, label: String) {
        let (_, a, b) = hit;
        let hit_nodes = [Some(a), b];
        let n = self.nodes.iter().enumerate().filter(|(_, node)| hit_nodes.contains(&Some(**node)));
        let span = Span { k, n: n.map(|(place, _)| place).collect(), from, to: from, label };
        self.begun.insert(hit, span);
    }

    fn end(&mut self, hit: Hit, to: Point) {
        let span = self.begun.remove(&hit);
        self.over.extend(span.map(|span| Span { to, ..span }));
    }

    fn clock(&mut self, at: Point, node: Node, by_ms: i64) {
        let hit = (3, node, None);
        self.end(hit, at);
        let wrong = self.clocks.entry(node).or_default();
        *wrong = wrong.saturating_add(by_ms);
        let wrong = *wrong;
        if wrong != 0 {
            self.begin(hit, SpanSort::Clock, at, format!("clock {wrong:+} ms"));
        }
    }

    fn finish(mut self, end: Point) -> Vec<Span> {
        self.over.extend(self.begun.into_values().map(|span| Span { to: end, ..span }));
        self.over.sort_by_key(|span| (span.from.t, span.from.s));
        self.over
    }
}
