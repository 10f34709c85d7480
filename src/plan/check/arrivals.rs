//! Arrivals: of nodes that send, and within a day.

use super::{InvalidPlan, demand};
use crate::plan::Plan;

/// A day, microseconds.
const DAY_US: u64 = 24 * 60 * 60 * 1_000_000;
/// More than any history that was explored has.
const MOST: usize = 100_000;

pub(super) fn check(plan: &Plan) -> Result<(), InvalidPlan> {
    for (node, arrivals) in &plan.arrivals {
        demand(plan.sends(*node), || format!("arrivals names {node}, who sends nothing in this plan"))?;
        for (what, at_us) in [("requests", &arrivals.requests), ("messages", &arrivals.messages)] {
            demand(at_us.len() <= MOST, || format!("arrivals has more than {MOST} {what} of {node}"))?;
            let late = at_us.iter().find(|at_us| **at_us > DAY_US);
            demand(late.is_none(), || {
                format!("arrivals has {what} of {node} that arrive after more than a day: let it be less")
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::said_with;

    fn said(arrivals: Value) -> String {
        said_with([("arrivals", arrivals)])
    }

    #[test]
    fn what_arrives_was_sent_by_somebody_and_within_a_day() {
        assert_eq!(said(json!({ "worker-1": { "requests": [7, 5], "messages": [] } })), "sound");
        for nobody in ["valkey", "worker-9", "operator"] {
            let said = said(json!({ nobody: { "requests": [7] } }));
            assert_eq!(said, format!("arrivals names {nobody}, who sends nothing in this plan"));
        }
        let late = said(json!({ "scanner": { "messages": [86_400_000_000u64, 86_400_000_001u64] } }));
        assert!(late.contains("messages of scanner that arrive after more than a day"), "{late}");
    }
}
