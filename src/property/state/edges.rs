//! An edge of a flow is what was staged: between two members, named by both, in a graph without cycles (58 of
//! `docs/protocol.md`; RFC-007).
//!
//! Not here: what the one who waits makes of an edge, which [`dependencies`](super::dependencies) asks, and groups of
//! edges.

use super::{Broken, Check, Move, StateAndMoves};
use crate::{
    property::{Entry, Expect, Kind},
    trace::Step,
    types::Function,
    view::{Entity, Fields, Flow, View},
};

const ADJACENCY: Kind =
    Kind { name: "adjacency", about: "an edge is not in the set of those that begin, or end, at its member" };
const NO_MEMBERS: Kind =
    Kind { name: "no-members", about: "an edge was staged from or to what is no member of the flow" };
const CYCLE: Kind =
    Kind { name: "cycle", about: "an edge closed a cycle: all on it wait for each other forever" };
const NOT_AS_STAGED: Kind = Kind {
    name: "not-as-staged",
    about: "an edge names other members, or passes other data, than the call that staged it",
};
const EDGE_COUNT: Kind =
    Kind { name: "edge-count", about: "an edge was staged and the flow does not count it, or not once" };
const AFTER_END: Kind = Kind { name: "after-end", about: "an edge was staged in a flow that had ended" };
const STALE: Kind = Kind {
    name: "stale-revision",
    about: "an edge was staged by a caller who had not seen the graph as it was",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "edges",
    numbers: &[58],
    claim: "An edge is what was staged: between two members, named by both, in a graph without cycles.",
    expect: Expect::Always,
    kinds: &[ADJACENCY, NO_MEMBERS, CYCLE, NOT_AS_STAGED, EDGE_COUNT, AFTER_END, STALE],
    monitor: || Box::new(StateAndMoves(&[is_adjacent as Check], &[staged as Move])),
};

/// An edge's record, and the two that it connects.
fn ends<'v>(flow: Flow<'v>, edge: &str) -> Option<(Fields<'v>, &'v str, &'v str)> {
    let record = flow.edge(edge)?;
    Some((record, record.text("upstream_execution_id"), record.text("downstream_execution_id")))
}

fn is_adjacent(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let Entity::Edge(tag, flow, edge) = entity else { return None };
    let flow = view.flow(tag, flow);
    let (_, upstream, downstream) = ends(flow, edge)?;
    let missing = match flow.is_adjacent(edge, upstream, downstream) {
        (true, true) => return None,
        (false, _) => "begin where it begins",
        (true, false) => "end where it ends",
    };
    Broken::new(ADJACENCY, format!("edge {edge} is not among those that {missing}"))
}

/// An edge that is new.
fn staged(entity: &Entity, step: &Step<'_>) -> Option<Broken> {
    let Entity::Edge(tag, flow, edge) = entity else { return None };
    let (before, after) = (step.before.flow(tag, flow), step.after.flow(tag, flow));
    let (record, upstream, downstream) = ends(after, edge)?;
    if before.edge(edge).is_some() {
        return None;
    }
    if before.is_over() {
        return Broken::new(AFTER_END, format!("edge {edge} was staged in a flow that had ended"));
    }
    if !after.has_member(upstream) || !after.has_member(downstream) {
        return Broken::new(NO_MEMBERS, format!("edge {edge} connects what is not in the flow"));
    }
    if reaches(after, downstream, upstream) {
        return Broken::new(CYCLE, format!("edge {edge} closes a cycle"));
    }
    let edges = |flow: Flow<'_>| flow.core().map_or(0, |core| core.count("edge_count"));
    if edges(after) != edges(before) + 1 {
        let message = format!("edge {edge} was staged, and the flow counts {} edges", edges(after));
        return Broken::new(EDGE_COUNT, message);
    }
    as_asked(&record, before, step)
}

/// Whether there is a way along the edges.
fn reaches(flow: Flow<'_>, from: &str, to: &str) -> bool {
    let (mut seen, mut next) = (Vec::new(), vec![from.to_owned()]);
    while let Some(member) = next.pop() {
        if member == to {
            return true;
        }
        if seen.contains(&member) {
            continue;
        }
        let follow = flow.outgoing(&member);
        next.extend(follow.iter().filter_map(|edge| Some(ends(flow, edge)?.2.to_owned())));
        seen.push(member);
    }
    false
}

fn as_asked(record: &Fields<'_>, before: Flow<'_>, step: &Step<'_>) -> Option<Broken> {
    let call = step.call.as_ref().filter(|call| call.function == Function::StageDependencyEdge)?;
    if call.argv.len() < 8 {
        return None;
    }
    let seen = call.arg(6);
    if seen != before.graph_revision().to_string() {
        let message = format!("staged at revision {seen}, and the graph was at {}", before.graph_revision());
        return Broken::new(STALE, message);
    }
    let fields = ["upstream_execution_id", "downstream_execution_id", "dependency_kind", "data_passing_ref"];
    let other = fields.into_iter().zip(2..).find(|(field, index)| record.text(field) != call.arg(*index))?;
    Broken::new(NOT_AS_STAGED, format!("{} is not as it was staged", other.0))
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use super::super::membership::tests::{JOIN, joins};
    use crate::property::testing::{Story, cases};

    pub fn two() -> Story {
        let join = JOIN.replace("e1", "e2").replace(":core flow_id", ":e2:core flow_id");
        joins(JOIN).step(3, "ff_add_execution_to_flow f1 e2", "OK", &join)
    }

    pub const STAGE: &str = "HSET :flow:edge:x upstream_execution_id e2 downstream_execution_id e1 dependency_kind success_only \
                             data_passing_ref -; SADD :flow:out:e2 x; SADD :flow:in:e1 x; \
                             HINCRBY :flow:core edge_count 1; HINCRBY :flow:core graph_revision 1";

    pub fn stages(story: Story, revision: u32, commands: &str) -> Story {
        let call = format!("ff_stage_dependency_edge f1 x e2 e1 success_only - {revision} @4");
        story.step(4, &call, "OK", commands)
    }

    /// The edge back.
    fn back(story: Story) -> Story {
        let commands = "HSET :flow:edge:y upstream_execution_id e1 downstream_execution_id e2 dependency_kind success_only \
                        data_passing_ref -; SADD :flow:out:e1 y; SADD :flow:in:e2 y; \
                        HINCRBY :flow:core edge_count 1; HINCRBY :flow:core graph_revision 1";
        story.step(5, "ff_stage_dependency_edge f1 y e1 e2 success_only - 3 @5", "OK", commands)
    }

    cases! {
        an_edge_that_its_child_does_not_know: "edges/ff_stage_dependency_edge/OK/adjacency",
            stages(two(), 2, &STAGE.replace("SADD :flow:in", "SREM :flow:in")),
            alone stages(two(), 2, STAGE);
        an_edge_from_a_stranger: "edges/ff_stage_dependency_edge/OK/no-members",
            stages(joins(JOIN), 1, STAGE),
            alone stages(two(), 2, STAGE);
        an_edge_that_closes_a_cycle: "edges/ff_stage_dependency_edge/OK/cycle",
            back(stages(two(), 2, STAGE)),
            alone stages(two(), 2, STAGE).step(5, "ff_stage_dependency_edge f1 y e1 e2 success_only - 3 @5", "cycle_detected", "");
        an_edge_that_passes_other_data: "edges/ff_stage_dependency_edge/OK/not-as-staged",
            stages(two(), 2, &STAGE.replace("data_passing_ref -", "data_passing_ref r")),
            alone stages(two(), 2, STAGE);
        an_edge_that_nobody_counts: "edges/ff_stage_dependency_edge/OK/edge-count",
            stages(two(), 2, &STAGE.replace("edge_count 1", "edge_count 2")),
            alone stages(two(), 2, STAGE);
        an_edge_in_a_flow_that_has_ended: "edges/ff_stage_dependency_edge/OK/after-end",
            stages(two().step(3, "ff_cancel_flow f1", "OK", "HSET :flow:core public_flow_state cancelled"), 2, STAGE),
            alone stages(two().step(3, "ff_cancel_flow f1", "flow_not_found", ""), 2, STAGE);
        an_edge_by_one_who_has_not_seen_the_graph: "edges/ff_stage_dependency_edge/OK/stale-revision",
            stages(two(), 1, STAGE),
            alone stages(two(), 2, STAGE);
    }
}
