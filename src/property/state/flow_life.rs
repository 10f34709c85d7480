//! A flow changes by rules: its revision rises with its graph, one that has ended stays as it is, an execution is in no
//! second flow, and each member of a cancelled flow is owed its cancellation once (58 of `docs/protocol.md`; RFC-007,
//! RFC-011 B).
//!
//! Not here: whether both sides of a membership agree, which [`membership`](super::membership) asks, edges, and that no
//! flow stays open forever.

use super::{Broken, Check, Move, StateAndMoves};
use crate::{
    property::{Entry, Expect, Kind},
    trace::Step,
    types::{ExecutionId, Function},
    view::{Entity, Flow, View},
};

const REVISION_FELL: Kind = Kind { name: "revision-fell", about: "the revision of a flow's graph went back" };
const REVISION_STOOD: Kind = Kind {
    name: "revision-stood",
    about: "a member or an edge was added and the revision of the flow's graph is the same",
};
const REOPENED: Kind = Kind { name: "reopened", about: "a flow that had ended has another state" };
const AFTER_END: Kind =
    Kind { name: "member-after-end", about: "a member was added to a flow that had ended" };
const CANCELLED_AGAIN: Kind =
    Kind { name: "cancelled-after-end", about: "a flow that had ended was cancelled, by the answer" };
const SECOND_FLOW: Kind =
    Kind { name: "second-flow", about: "an execution of one flow came to be in another" };
const EMPTY: Kind = Kind { name: "empty-completed", about: "a flow without a member has completed" };
const NOT_OWED: Kind = Kind {
    name: "not-owed",
    about: "a flow was cancelled with all its members, and a member that still lives is owed no cancellation",
};
const OWED_AGAIN: Kind =
    Kind { name: "owed-again", about: "a member whose cancellation was acknowledged is owed it once more" };
const BACKLOG: Kind = Kind {
    name: "backlog",
    about: "a flow owes cancellations and the backlog does not name it, or it does and there is nothing owed",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "flow-life",
    numbers: &[58],
    claim: "A flow's revision rises with its graph, and a flow that has ended stays as it is.",
    expect: Expect::Always,
    kinds: &[
        REVISION_FELL,
        REVISION_STOOD,
        REOPENED,
        AFTER_END,
        CANCELLED_AGAIN,
        SECOND_FLOW,
        EMPTY,
        NOT_OWED,
        OWED_AGAIN,
        BACKLOG,
    ],
    monitor: || {
        const MOVES: &[Move] = &[revision, ended, cancelled_again, second_flow, owed, owed_again];
        Box::new(StateAndMoves(&[backlog as Check, is_not_empty], MOVES))
    },
};

/// A flow before a step and after it.
fn sides<'s>(entity: &'s Entity, step: &'s Step<'_>) -> Option<(Flow<'s>, Flow<'s>)> {
    let Entity::Flow(tag, id) = entity else { return None };
    Some((step.before.flow(tag, id), step.after.flow(tag, id)))
}

fn revision(entity: &Entity, step: &Step<'_>) -> Option<Broken> {
    let (before, after) = sides(entity, step)?;
    let (old, new) = (before.graph_revision(), after.graph_revision());
    let edges = |flow: Flow<'_>| flow.core().map_or(0, |core| core.count("edge_count"));
    after.core()?;
    if new < old {
        return Broken::new(REVISION_FELL, format!("the revision of the graph went from {old} to {new}"));
    }
    let has_grown = after.size() > before.size() || edges(after) > edges(before);
    (new == old && has_grown)
        .then(|| Broken::new(REVISION_STOOD, format!("the graph has grown, and its revision is still {new}")))
        .flatten()
}

fn ended(entity: &Entity, step: &Step<'_>) -> Option<Broken> {
    let (before, after) = sides(entity, step)?;
    if !before.is_over() || after.core().is_none() {
        return None;
    }
    let (old, new) = (before.public_state(), after.public_state());
    if old != new {
        return Broken::new(REOPENED, format!("a flow that was {old} is {new}"));
    }
    let has_grown = after.size() > before.size();
    has_grown.then(|| Broken::new(AFTER_END, format!("a member was added to a flow that is {old}"))).flatten()
}

fn cancelled_again(entity: &Entity, step: &Step<'_>) -> Option<Broken> {
    let Entity::Flow(_, id) = entity else { return None };
    let call = step.call.as_ref().filter(|call| call.function == Function::CancelFlow)?;
    let (before, _) = sides(entity, step)?;
    (call.answer.is_ok() && call.arg(0) == id && before.is_over())
        .then(|| {
            Broken::new(CANCELLED_AGAIN, format!("a flow that is {} was cancelled", before.public_state()))
        })
        .flatten()
}

fn second_flow(entity: &Entity, step: &Step<'_>) -> Option<Broken> {
    let Entity::Execution(id) = entity else { return None };
    let flow_in = |view: &View| view.execution(id).core().map(|core| core.text("flow_id").to_owned());
    let new = flow_in(step.after)?;
    if new.is_empty() {
        return None;
    }
    let old = flow_in(step.before)?;
    (!old.is_empty() && new != old)
        .then(|| Broken::new(SECOND_FLOW, format!("it was in flow {old} and is in flow {new}")))
        .flatten()
}

fn is_not_empty(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let Entity::Flow(tag, id) = entity else { return None };
    let flow = view.flow(tag, id);
    (flow.public_state() == "completed" && flow.size() == 0)
        .then(|| Broken::new(EMPTY, "a flow without a member has completed"))
        .flatten()
}

/// Whom a cancelled flow owes, at the moment it is cancelled.
fn owed(entity: &Entity, step: &Step<'_>) -> Option<Broken> {
    let (before, after) = sides(entity, step)?;
    let core = after.core()?;
    let is_now = core.text("public_flow_state") == "cancelled" && before.public_state() != "cancelled";
    if !is_now || core.text("cancellation_policy") != "cancel_all" {
        return None;
    }
    let pending = after.pending_cancels();
    let lives = |id: &&ExecutionId| {
        step.after.execution(id).core().is_some_and(|core| !core.is_terminal())
            && !pending.iter().any(|owed| owed == id.as_str())
    };
    let members = after.members();
    let member = members.iter().find(lives)?;
    Broken::new(NOT_OWED, format!("{member} still lives and is not owed a cancellation"))
}

fn owed_again(entity: &Entity, step: &Step<'_>) -> Option<Broken> {
    let (before, after) = sides(entity, step)?;
    if before.public_state() != "cancelled" {
        return None;
    }
    let old = before.pending_cancels();
    let member = after.pending_cancels().into_iter().find(|member| !old.contains(member))?;
    Broken::new(OWED_AGAIN, format!("{member} is owed a cancellation that the flow had not owed"))
}

fn backlog(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let Entity::Flow(tag, id) = entity else { return None };
    let flow = view.flow(tag, id);
    let (owes, is_listed) = (!flow.pending_cancels().is_empty(), flow.is_in_backlog());
    let words = |yes: bool| if yes { "" } else { "not " };
    (owes != is_listed)
        .then(|| {
            let message = format!("a flow is {}owing, and {}in the backlog", words(owes), words(is_listed));
            Broken::new(BACKLOG, message)
        })
        .flatten()
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use super::super::membership::tests::{JOIN, flow, joins};
    use crate::property::testing::{Story, cases};

    const CANCEL: &str = "HSET :flow:core public_flow_state cancelled cancellation_policy cancel_all; \
                          SADD :flow:pending_cancels e1; ZADD :cancel_backlog @9 f1";

    fn cancelled(commands: &str) -> Story {
        joins(JOIN).step(5, "ff_cancel_flow f1 why cancel_all", "OK", commands)
    }

    const ACK: &str = "SREM :flow:pending_cancels e1; ZREM :cancel_backlog f1";

    fn acknowledged(commands: &str) -> Story {
        cancelled(CANCEL).step(6, "ff_ack_cancel_member e1 f1", "OK", commands)
    }

    cases! {
        a_revision_that_goes_back: "flow-life/ff_set_flow_tags/OK/revision-fell",
            joins(JOIN).step(3, "ff_set_flow_tags a.b c", "OK", "HSET :flow:core graph_revision 0"),
            alone joins(JOIN).step(3, "ff_set_flow_tags a.b c", "OK", "HSET :flow:core graph_revision 1");
        a_member_of_which_the_revision_says_nothing: "flow-life/ff_add_execution_to_flow/OK/revision-stood",
            joins(&JOIN.replace("graph_revision 1", "graph_revision 0")),
            alone joins(JOIN);
        a_flow_that_is_open_again: "flow-life/ff_create_flow/OK/reopened",
            acknowledged(ACK).step(7, "ff_create_flow f1", "OK", "HSET :flow:core public_flow_state open"),
            alone acknowledged(ACK).step(7, "ff_create_flow f1", "ALREADY_SATISFIED", "SADD :flow_index f1");
        a_member_of_a_flow_that_has_ended: "flow-life/ff_add_execution_to_flow/OK/member-after-end",
            acknowledged(ACK).step(7, "ff_add_execution_to_flow f1 e2", "OK", &JOIN.replace("e1", "e2").replace(":core flow_id", ":e2:core flow_id")),
            alone acknowledged(ACK).step(7, "ff_add_execution_to_flow f1 e2", "flow_already_terminal", "");
        an_execution_of_two_flows: "flow-life/ff_add_execution_to_flow/OK/second-flow",
            joins(JOIN).step(3, "ff_add_execution_to_flow f2 e1", "OK", "HSET :core flow_id f2"),
            alone joins(JOIN).step(3, "ff_add_execution_to_flow f1 e1", "ALREADY_SATISFIED", "HSET :core flow_id f1");
        an_empty_flow_that_completes: "flow-life/ff_set_flow_tags/OK/empty-completed",
            flow().step(3, "ff_set_flow_tags a.b c", "OK", "HSET :flow:core public_flow_state completed"),
            alone joins(JOIN).step(3, "ff_set_flow_tags a.b c", "OK", "HSET :flow:core public_flow_state completed");
        a_cancelled_flow_that_forgets_its_member: "flow-life/ff_cancel_flow/OK/not-owed",
            cancelled("HSET :flow:core public_flow_state cancelled cancellation_policy cancel_all"),
            alone cancelled("HSET :flow:core public_flow_state cancelled cancellation_policy let_finish");
        a_cancellation_that_is_owed_twice: "flow-life/ff_ack_cancel_member/OK/owed-again",
            acknowledged(ACK).step(7, "ff_ack_cancel_member e1 f1", "OK", "SADD :flow:pending_cancels e1; ZADD :cancel_backlog @9 f1"),
            alone acknowledged(ACK).step(7, "ff_cancel_flow f1 why cancel_all", "flow_already_terminal", "");
        a_flow_that_is_cancelled_twice: "flow-life/ff_cancel_flow/OK/cancelled-after-end",
            acknowledged(ACK).step(7, "ff_cancel_flow f1 why let_finish", "OK", "HSET :flow:core cancelled_at @7"),
            alone acknowledged(ACK).step(7, "ff_cancel_flow f1 why let_finish", "flow_already_terminal", "");
        a_debt_that_no_reconciler_finds: "flow-life/ff_cancel_flow/OK/backlog",
            cancelled(&CANCEL.replace("ZADD :cancel_backlog @9 f1", "ZREM :cancel_backlog f1")),
            alone cancelled(CANCEL);
        a_backlog_that_nobody_leaves: "flow-life/ff_ack_cancel_member/OK/backlog",
            acknowledged("SREM :flow:pending_cancels e1"),
            alone acknowledged(ACK);
    }
}
