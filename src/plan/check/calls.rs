//! Calls word for word: in order, within the run, and by themselves.

use super::{InvalidPlan, demand};
use crate::plan::Plan;

/// More than any history that was explored has.
const MOST: usize = 10_000;

pub(super) fn check(plan: &Plan) -> Result<(), InvalidPlan> {
    if plan.calls.is_empty() {
        return Ok(());
    }
    demand(plan.calls.len() <= MOST, || format!("it has more than {MOST} calls"))?;
    demand(plan.deeds.is_empty(), || {
        "it has calls, and deeds as well: whoever sends calls word for word does nothing else".to_owned()
    })?;
    for (place, call) in plan.calls.iter().enumerate() {
        demand(!call.function.as_str().is_empty(), || format!("calls[{place}] names no function"))?;
        let before = place.checked_sub(1).map_or(0, |last| plan.calls[last].at_ms);
        demand(before <= call.at_ms, || {
            format!(
                "calls[{place}] is sent at {} ms, before calls[{}], which is sent at {before} ms: put them in order",
                call.at_ms,
                place - 1
            )
        })?;
        demand(call.at_ms < plan.run_for_ms, || {
            format!(
                "calls[{place}] is sent at {} ms, and the run ends at {} ms: let run_for_ms be longer",
                call.at_ms, plan.run_for_ms
            )
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::said_with;

    fn said(calls: Value, deeds: Value) -> String {
        said_with([("calls", calls), ("deeds", deeds), ("clocks", json!({})), ("faults", json!([]))])
    }

    fn at(at_ms: u64) -> Value {
        json!({ "at_ms": at_ms, "function": "ff_version", "keys": [], "args": [] })
    }

    #[test]
    fn calls_come_in_order_within_the_run_and_alone() {
        assert_eq!(said(json!([at(5), at(5), at(999)]), json!([])), "sound");
        let late = said(json!([at(1_000)]), json!([]));
        assert_eq!(
            late,
            "calls[0] is sent at 1000 ms, and the run ends at 1000 ms: let run_for_ms be longer"
        );
        let crossed = said(json!([at(6), at(5)]), json!([]));
        assert!(
            crossed.contains("calls[1] is sent at 5 ms, before calls[0], which is sent at 6 ms"),
            "{crossed}"
        );
        let both = said(json!([at(6)]), json!([{ "at_ms": 1, "does": { "deed": "version" } }]));
        assert!(both.contains("deeds as well"), "{both}");
        let nameless = json!([{ "at_ms": 1, "function": "", "keys": [], "args": [] }]);
        assert_eq!(said(nameless, json!([])), "calls[0] names no function");
    }
}
