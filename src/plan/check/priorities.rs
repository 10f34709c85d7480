//! Priorities: of nodes that send, and never so low that nothing is answered in time.

use super::{InvalidPlan, demand};
use crate::plan::Plan;

pub(super) fn check(plan: &Plan) -> Result<(), InvalidPlan> {
    let Some(priorities) = &plan.priorities else { return Ok(()) };
    for (node, places) in &priorities.places {
        demand(plan.sends(*node), || {
            format!("priorities.places names {node}, who sends nothing in this plan")
        })?;
        demand(!places.contains_key(&0), || {
            format!("priorities.places counts the requests of {node} from 0: the first is 1")
        })?;
    }
    let (most_ms, timeout_ms) = (priorities.most_us().div_ceil(1_000), plan.settings.request_timeout_ms);
    demand(most_ms < timeout_ms, || {
        format!(
            "priorities keep requests for {most_ms} ms, and settings.request_timeout_ms is {timeout_ms}: make the steps shorter"
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::said_with;

    fn said(priorities: Value) -> String {
        said_with([("priorities", priorities)])
    }

    #[test]
    fn those_with_a_place_send_and_are_answered_in_time() {
        let places = |places: Value| said(json!({ "step_us": 1_000, "places": places }));
        assert_eq!(places(json!({ "worker-1": { "1": 2, "9": 4 }, "scanner": { "2": 1 } })), "sound");
        assert_eq!(places(json!({})), "sound");
        for nobody in ["valkey", "worker-9", "operator"] {
            let said = places(json!({ nobody: { "1": 1 } }));
            assert_eq!(said, format!("priorities.places names {nobody}, who sends nothing in this plan"));
        }
        let from_0 = places(json!({ "worker-1": { "0": 1 } }));
        assert!(from_0.contains("counts the requests of worker-1 from 0"), "{from_0}");
        let late = places(json!({ "worker-1": { "1": 1_000 } }));
        assert!(
            late.contains("for 1000 ms, and settings.request_timeout_ms is 1000: make the steps"),
            "{late}"
        );
    }
}
