//! Makes a plan plain: one knob after the other, each toward what a person would have written, as long as one can be turned.

use super::{knobs::knobs, search::Search, trial::Shown};
use crate::{drive::RunError, plan::Plan};

/// A run goes on for up to this much after the violation.
const ROUND_MS: u64 = 1_000;

/// Turns every knob as far as it goes. Whether any was turned.
pub(super) fn simplify(search: &mut Search<'_>) -> Result<bool, RunError> {
    let mut is_changed = false;
    loop {
        let mut is_turned = turn(search, |plan, shown| ends(plan, shown, 0))?;
        for knob in knobs(search.plan()) {
            is_turned |= turn(search, |plan, _| knob(plan))?;
        }
        is_changed |= is_turned;
        if !is_turned || search.is_out() {
            return Ok(is_changed);
        }
    }
}

fn turn(search: &mut Search<'_>, knob: impl Fn(&Plan, &Shown) -> Vec<Plan>) -> Result<bool, RunError> {
    let mut is_turned = false;
    while search.first(knob(search.plan(), search.shown()))?.is_some() {
        is_turned = true;
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
