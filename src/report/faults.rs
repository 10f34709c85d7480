//! What became of a plan's faults, for people: those that never happened, or that nothing came of.

use crate::{
    plan::{Fault, Plan},
    trace::FaultFate,
    types::FencePart,
};

/// A line for each fault of the plan that did not happen, or came to nothing. Faults are counted from 1, in the order of the
/// plan; what they were is said where the plan is known.
pub fn faults(plan: Option<&Plan>, fates: &[FaultFate]) -> String {
    let idle = fates.iter().enumerate().filter_map(|(place, fate)| {
        let why = match fate {
            FaultFate::Happened => return None,
            FaultFate::HiddenBy(by) => {
                format!("came to nothing: fault {} had hit the same first", by + 1)
            }
            FaultFate::Never => "never happened: what it was to hit never came".to_owned(),
        };
        let fault = plan.and_then(|plan| plan.faults.get(place));
        let which = fault.map(|fault| format!(" ({})", describe(fault))).unwrap_or_default();
        Some(format!("fault {}{which} {why}\n", place + 1))
    });
    idle.collect()
}

fn describe(fault: &Fault) -> String {
    let class = fault.class();
    let at = |ms: &u64| match fault.upon() {
        Some(call) => format!("{ms} ms after {call}"),
        None => format!("at {ms} ms"),
    };
    match fault {
        Fault::Crash { node, at_ms, .. } | Fault::Pause { node, at_ms, .. } => {
            format!("{class}: {node} {}", at(at_ms))
        }
        Fault::Server { at_ms, .. } => format!("{class}: {}", at(at_ms)),
        Fault::Partition { a, b, at_ms, .. } => format!("{class}: {a} and {b} {}", at(at_ms)),
        Fault::GrantMessage { from, execution, nth, .. } => {
            let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
            let about = execution.as_ref().map(|about| format!(" about {about}")).unwrap_or_default();
            format!("{class}: #{nth}{from}{about}")
        }
        Fault::OtherLane { call, lane } => format!("{class}: {call} on {lane}"),
        Fault::StaleFence { call, age, part: FencePart::Whole } => format!("{class}: {call}, {age} older"),
        Fault::StaleFence { call, age, part } => {
            format!("{class}: {call}, the {part:?} {age} older").to_lowercase()
        }
        Fault::BadArgument { call, argument, value } => {
            format!("{class}: {call}, argument {argument} is {value:?}")
        }
        _ => fault.call().map_or_else(|| class.to_string(), |call| format!("{class}: {call}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::token::Token;

    #[test]
    fn only_what_did_not_happen_is_told_and_by_its_place_in_the_plan() {
        let mut plan = Token::new("calm", 1).unwrap().plan();
        let crash = |at_ms| Fault::Crash { node: plan.workers[0].name, at_ms, down_ms: Some(10), upon: None };
        plan.faults = vec![crash(1), crash(2), crash(3)];
        let fates = [FaultFate::Happened, FaultFate::HiddenBy(0), FaultFate::Never];
        let told = faults(Some(&plan), &fates);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with("fault 2 (crash: worker-1 at 2 ms) came to nothing: fault 1 "),
            "{told}"
        );
        assert!(lines[1].starts_with("fault 3 (crash: worker-1 at 3 ms) never happened"), "{told}");
        let without_plan = faults(None, &fates);
        assert!(without_plan.starts_with("fault 2 came to nothing: fault 1 had"), "{without_plan}");
    }
}
