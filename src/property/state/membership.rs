//! An execution's flow and the flow's members name each other, and the flow counts them (38 of `docs/protocol.md`; F2,
//! RFC-011 §7.3).
//!
//! Not here: what becomes of a flow in the course of time, which [`flow_life`](super::flow_life) asks about, and members
//! whose execution is gone, which retention removes.

use super::{Broken, Check, State, entity_of_key};
use crate::{
    property::{Entry, Expect, Kind},
    trace::Step,
    types::{ExecutionId, Function},
    view::{Entity, View, tag_of},
};

const NO_MEMBER: Kind =
    Kind { name: "no-member", about: "an execution names a flow that does not have it among its members" };
const NOT_NAMED: Kind =
    Kind { name: "not-named", about: "a flow has a member that names another flow, or none" };
const NODE_COUNT: Kind = Kind { name: "node-count", about: "a flow does not count its members right" };
const NOT_INDEXED: Kind =
    Kind { name: "not-indexed", about: "a flow that is open is not in its partition's index of flows" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "membership",
    numbers: &[38],
    claim: "An execution's flow and the flow's members name each other.",
    expect: Expect::Always,
    kinds: &[NO_MEMBER, NOT_NAMED, NODE_COUNT, NOT_INDEXED],
    monitor: || Box::new(State(&[has_its_member as Check, is_named, counts_members, is_indexed])),
};

fn has_its_member(entity: &Entity, view: &View, step: &Step<'_>) -> Option<Broken> {
    let Entity::Execution(id) = entity else { return None };
    if is_contradictory(step) {
        return None;
    }
    let flow_id = flow_of(id, view)?;
    let tag = tag_of(id)?;
    let flow = view.flow(tag, flow_id);
    let is_alone = flow.core().is_some() && !flow.has_member(id.as_str());
    is_alone
        .then(|| Broken::new(NO_MEMBER, format!("it names flow {flow_id}, which does not have it")))
        .flatten()
}

fn is_named(entity: &Entity, view: &View, step: &Step<'_>) -> Option<Broken> {
    let Entity::Flow(tag, flow_id) = entity else { return None };
    if is_contradictory(step) {
        return None;
    }
    let names_other = |member: &ExecutionId| {
        let core = view.execution(member).core();
        core.is_some_and(|core| core.text("flow_id") != flow_id)
    };
    let member = view.flow(tag, flow_id).members().into_iter().find(names_other)?;
    Broken::new(NOT_NAMED, format!("{member} is a member and does not name the flow"))
}

fn counts_members(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let Entity::Flow(tag, flow_id) = entity else { return None };
    let flow = view.flow(tag, flow_id);
    let (counted, size) = (flow.core()?.count("node_count"), flow.size());
    (counted != size as u64)
        .then(|| Broken::new(NODE_COUNT, format!("a flow counts {counted} members and has {size}")))
        .flatten()
}

fn is_indexed(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let Entity::Flow(tag, flow_id) = entity else { return None };
    let flow = view.flow(tag, flow_id);
    let is_lost = flow.core().is_some() && !flow.is_over() && !flow.is_indexed();
    is_lost.then(|| Broken::new(NOT_INDEXED, "a flow that is open is in no index")).flatten()
}

/// Whether the caller passed the keys of one execution and the id of another.
fn is_contradictory(step: &Step<'_>) -> bool {
    let joins = step
        .call
        .as_ref()
        .filter(|call| call.function == Function::AddExecutionToFlow && !call.keys.is_empty());
    joins.is_some_and(|call| {
        let keys = entity_of_key(call, 3);
        !matches!(keys, Some(Entity::Execution(id)) if id.as_str() == call.arg(1))
    })
}

/// The flow that an execution names.
fn flow_of<'v>(id: &ExecutionId, view: &'v View) -> Option<&'v str> {
    Some(view.execution(id).core()?.text("flow_id")).filter(|flow| !flow.is_empty())
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    pub const OPEN: &str = "HSET :flow:core public_flow_state open node_count 0 graph_revision 0 edge_count 0; SADD :flow_index f1";

    pub fn flow() -> Story {
        Story::new().created(0).step(1, "ff_create_flow f1", "OK", OPEN)
    }

    pub const JOIN: &str = "SADD :flow:members e1; HSET :core flow_id f1; HINCRBY :flow:core node_count 1; \
                            HINCRBY :flow:core graph_revision 1";

    pub fn joins(commands: &str) -> Story {
        flow().step(2, "ff_add_execution_to_flow f1 e1", "OK", commands)
    }

    cases! {
        a_member_that_its_flow_does_not_have: "membership/ff_add_execution_to_flow/OK/no-member",
            joins("HSET :core flow_id f1"),
            alone joins(JOIN);
        a_member_that_does_not_name_its_flow: "membership/ff_add_execution_to_flow/OK/not-named",
            joins(&JOIN.replace("HSET :core flow_id f1", "HSET :core x y")),
            alone joins(JOIN);
        a_flow_that_counts_one_too_many: "membership/ff_add_execution_to_flow/OK/node-count",
            joins(&JOIN.replace("node_count 1", "node_count 2")),
            alone joins(JOIN);
        a_flow_that_nobody_finds: "membership/ff_create_flow/OK/not-indexed",
            Story::new().step(1, "ff_create_flow f1", "OK", &OPEN.replace("SADD", "SREM")),
            alone joins(JOIN).step(3, "ff_cancel_flow f1", "OK", "HSET :flow:core public_flow_state cancelled; SREM :flow_index f1");
    }
}
