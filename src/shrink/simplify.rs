//! Makes a plan plain: one knob after the other, each toward what a person would have written, as long as one can be turned.

use super::{
    knobs::knobs,
    search::{Search, Take},
    trial::Shown,
};
use crate::{drive::RunError, plan::Plan};

/// A run goes on for up to this much after the violation.
const ROUND_MS: u64 = 1_000;
/// How many plans are offered at a time, so that all cores have something to do. The result does not depend on it.
const ROUND: usize = 16;

/// Turns every knob as far as it goes. Whether any was turned.
pub(super) fn simplify(search: &mut Search<'_>) -> Result<bool, RunError> {
    let mut is_changed = false;
    loop {
        let is_sooner = search.first(ends(search.plan(), search.shown(), 0))?.is_some();
        let is_turned = turn_all(search, Take::Any)? || is_sooner;
        is_changed |= is_turned;
        if !is_turned || search.is_out() {
            return Ok(is_changed);
        }
    }
}

/// Turns every knob as far as the story does not become longer.
pub(super) fn simplify_no_longer(search: &mut Search<'_>) -> Result<(), RunError> {
    while turn_all(search, Take::NoLonger)? && !search.is_out() {}
    Ok(())
}

/// Turns one knob after the other, each as far as it goes. What the next knobs have to offer for the same plan is tried
/// along with it.
fn turn_all(search: &mut Search<'_>, take: Take) -> Result<bool, RunError> {
    let knobs = knobs(search.plan());
    let (mut next, mut is_turned) = (0, false);
    while next < knobs.len() && !search.is_out() {
        let (mut places, mut plans) = (Vec::new(), Vec::new());
        let mut until = next;
        while until < knobs.len() && plans.len() < ROUND {
            let offered = knobs[until](search.plan());
            places.extend(offered.iter().map(|_| until));
            plans.extend(offered);
            until += 1;
        }
        let turned = search.first_of(take, plans)?.map(|place| places[place]);
        is_turned |= turned.is_some();
        next = turned.unwrap_or(until);
    }
    Ok(is_turned)
}

/// The plan with a run that ends not too long after the violation: what follows only costs time. Deleting parts may move
/// the violation, and there is room for that.
pub(super) fn trimmed(plan: &Plan, shown: &Shown) -> Vec<Plan> {
    ends(plan, shown, shown.at_ms.unwrap_or(0))
}

/// The plan with a run that ends so long after the violation, and up to a second more.
fn ends(plan: &Plan, shown: &Shown, later_ms: u64) -> Vec<Plan> {
    let Some(at_ms) = shown.at_ms else { return Vec::new() };
    let run_for_ms = (at_ms + later_ms + 1).next_multiple_of(ROUND_MS);
    let sooner = Plan { run_for_ms, ..plan.clone() };
    if run_for_ms < plan.run_for_ms { vec![sooner] } else { Vec::new() }
}
