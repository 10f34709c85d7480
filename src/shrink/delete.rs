//! Deletes parts: chunks of a kind, halves first (ddmin, after Zeller and Hildebrandt, "Simplifying and isolating
//! failure-inducing input"), then any one of all that is left, until none can go.
//!
//! It departs from the paper in what is cheap to know: faults that did not happen go first, all at once, and the execution
//! that the violation is about is tried alone.

use super::search::Search;
use crate::{
    drive::RunError,
    plan::{Part, Plan},
};

/// The kinds of parts, in the order in which they are deleted.
const KINDS: [fn(&Part) -> bool; 7] = [
    |part| matches!(part, Part::Fault(_)),
    |part| matches!(part, Part::Deed(_)),
    |part| matches!(part, Part::Call(_)),
    |part| matches!(part, Part::Execution(_)),
    |part| matches!(part, Part::Worker(_)),
    |part| matches!(part, Part::Scheduler(_)),
    |part| matches!(part, Part::Clock(_)),
];

/// Deletes what can go. Whether the rest is 1-minimal: with any one part less it does not show the violation.
pub(super) fn delete(search: &mut Search<'_>) -> Result<bool, RunError> {
    idle_faults(search)?;
    all_but_one_execution(search)?;
    for is_kind in KINDS {
        chunks(search, is_kind)?;
    }
    one_by_one(search)
}

/// Faults that did not happen: nothing came of them, so that nothing should change without them.
fn idle_faults(search: &mut Search<'_>) -> Result<(), RunError> {
    let idle: Vec<Part> = search.shown().idle.iter().copied().map(Part::Fault).collect();
    search.first([without(search.plan(), &idle)])?;
    Ok(())
}

/// Every execution but the one that the violation is about.
fn all_but_one_execution(search: &mut Search<'_>) -> Result<(), RunError> {
    let Some(name) = search.shown().execution.clone() else { return Ok(()) };
    let parts = parts(search.plan(), |part| matches!(part, Part::Execution(_)));
    let others: Vec<Part> = parts.into_iter().filter(|part| *part != Part::Execution(name.clone())).collect();
    search.first([without(search.plan(), &others)])?;
    Ok(())
}

/// Deletes chunks: all of a kind, then halves, quarters, and so on down to single ones.
fn chunks(search: &mut Search<'_>, is_kind: fn(&Part) -> bool) -> Result<(), RunError> {
    let mut size = parts(search.plan(), is_kind).len();
    while size > 0 && !search.is_out() {
        // The chunks before this place cannot go.
        let mut from = 0;
        loop {
            let parts = parts(search.plan(), is_kind);
            let rest = parts.get(from..).unwrap_or_default();
            let candidates: Vec<Plan> =
                rest.chunks(size).map(|chunk| without(search.plan(), chunk)).collect();
            match search.first(candidates)? {
                Some(place) => from += place * size,
                None => break,
            }
        }
        size /= 2;
    }
    Ok(())
}

/// Deletes single parts of any kind until none can go; `false` where a budget ended that.
pub(super) fn one_by_one(search: &mut Search<'_>) -> Result<bool, RunError> {
    loop {
        let single = |is_kind: &fn(&Part) -> bool| parts(search.plan(), *is_kind);
        let all = KINDS.iter().flat_map(single);
        let candidates: Vec<Plan> = all.filter_map(|part| search.plan().without(&part)).collect();
        if search.first(candidates)?.is_none() {
            return Ok(!search.is_out());
        }
    }
}

fn parts(plan: &Plan, is_kind: fn(&Part) -> bool) -> Vec<Part> {
    plan.parts().into_iter().filter(is_kind).collect()
}

/// The plan without these parts of one kind; those that it needs stay.
fn without(plan: &Plan, parts: &[Part]) -> Plan {
    let mut rest = plan.clone();
    // From the last: a fault or a deed is known by its place, and cutting one moves those behind it.
    for part in parts.iter().rev() {
        rest = rest.without(part).unwrap_or(rest);
    }
    rest
}
