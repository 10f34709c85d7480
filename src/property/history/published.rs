//! A flow member that becomes terminal is published exactly once each time, with its outcome, and nothing else is (ff-script
//! 0.15, ff_complete_execution and peers; 19 of `docs/protocol.md`).
//!
//! A cancel with source `flow_cascade` is not published, on purpose: whoever cancels the flow knows. Not here: whether
//! anyone listens, and what the dependency reconciler finds later.

use serde::Deserialize;

use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Call, Happened, Moment, Step},
    types::{Answer, ExecutionId, Function, LifecyclePhase, TerminalOutcome},
};

const MISSING: Kind =
    Kind { name: "missing", about: "a member of a flow became terminal and nobody was told" };
const TWICE: Kind =
    Kind { name: "twice", about: "a member of a flow became terminal and that was published twice" };
const UNCALLED: Kind = Kind {
    name: "uncalled-for",
    about: "an end was published that did not happen, or that is not to be published",
};
const OUTCOME: Kind =
    Kind { name: "other-outcome", about: "another outcome, or flow, was published than is stored" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "published",
    numbers: &[19],
    claim: "A flow member that becomes terminal is published exactly once, with its outcome.",
    expect: Expect::Always,
    kinds: &[MISSING, TWICE, UNCALLED, OUTCOME],
    monitor: || Box::new(Published),
};

const CHANNEL: &[u8] = b"ff:dag:completions";

#[derive(Clone, Hash)]
struct Published;

/// What is published.
#[derive(Deserialize)]
struct Message {
    execution_id: String,
    flow_id: String,
    outcome: TerminalOutcome,
}

impl Property for Published {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        // What a function leaves that raises is half done, which is the business of `refusal-writes`.
        if step.call.as_ref().is_some_and(|call| matches!(call.answer, Answer::Error(_))) {
            return;
        }
        let is_message = |name: &[u8], channel: &[u8]| name == b"PUBLISH" && channel == CHANNEL;
        let messages: Vec<Option<Message>> = step
            .effects
            .iter()
            .filter(|effect| is_message(effect.name(), effect.arg(1)))
            .map(|effect| serde_json::from_slice(effect.arg(2)).ok())
            .collect();
        if messages.is_empty() && step.call.is_none() {
            return;
        }
        let mut told = vec![false; messages.len()];
        for change in step.changes() {
            if let Happened::StateChanged { from: Some(from), to } = &change.what
                && from.phase != LifecyclePhase::Terminal
                && to.phase == LifecyclePhase::Terminal
            {
                judge(step, &change.id, &to.outcome, &messages, &mut told, found);
            }
        }
        for (message, _) in messages.iter().zip(told).filter(|(_, told)| !told) {
            let id = message.as_ref().and_then(|message| ExecutionId::parse(&message.execution_id).ok());
            let name = id.map(|id| step.names.of(&id));
            let whose = name.as_ref().map_or("an execution".to_owned(), ToString::to_string);
            found.violation(
                UNCALLED,
                name.as_ref(),
                format!("an end of {whose} was published that is not one"),
            );
        }
    }
}

/// One execution that became terminal. Messages that are about it are told.
fn judge(
    step: &Step<'_>,
    id: &ExecutionId,
    outcome: &TerminalOutcome,
    messages: &[Option<Message>],
    told: &mut [bool],
    found: &mut Found<'_>,
) {
    let core = step.after.execution(id).core();
    let flow = core.map_or("", |core| core.text("flow_id"));
    if flow.is_empty() || step.call.as_ref().is_some_and(cascades) {
        return;
    }
    let name = step.names.of(id);
    let mut count = 0;
    for (message, told) in messages.iter().zip(told) {
        let Some(message) = message.as_ref().filter(|message| message.execution_id == id.as_str()) else {
            continue;
        };
        (count, *told) = (count + 1, true);
        if message.outcome != *outcome || message.flow_id != flow {
            let text = format!("{name} ended as {outcome} and was published as {}", message.outcome);
            found.violation(OUTCOME, Some(&name), text);
        }
    }
    match count {
        0 => found.violation(
            MISSING,
            Some(&name),
            format!("{name} of a flow ended as {outcome} and was not published"),
        ),
        1 => {}
        _ => found.violation(TWICE, Some(&name), format!("the end of {name} was published {count} times")),
    }
}

fn cascades(call: &Call<'_>) -> bool {
    call.function == Function::CancelExecution && call.presented.source == "flow_cascade"
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    /// `e1` is a member of a flow and leased until 100.
    fn member() -> Story {
        let joined = "HSET :core flow_id f1";
        let created = Story::new().created(0).step(5, "ff_add_execution_to_flow f1 e1", "OK", joined);
        created.granted(10, 50).claimed(20, 1, 100)
    }

    fn ended(call: &str, commands: &str) -> Story {
        let outcome = if call.starts_with("ff_cancel") { "cancelled" } else { "success" };
        let ended = format!(
            "DEL :lease; HSET :core lifecycle_phase terminal ownership_state unowned eligibility_state not_applicable \
             terminal_outcome {outcome} current_lease_id - lease_expires_at -; ZREM :lane:gold:active e1; \
             ZADD :lane:gold:terminal 0 e1"
        );
        member().step(50, call, "OK", &format!("{ended}; {commands}"))
    }

    fn completed(commands: &str) -> Story {
        ended("ff_complete_execution e1 l1 1 a1 - lease_holder", commands)
    }

    fn cancelled(source: &str, commands: &str) -> Story {
        ended(&format!("ff_cancel_execution e1 why {source} l1 1"), commands)
    }

    const SUCCESS: &str =
        r#"PUBLISH ff:dag:completions {"execution_id":"<e1>","flow_id":"f1","outcome":"success"}"#;
    const CANCELLED: &str =
        r#"PUBLISH ff:dag:completions {"execution_id":"<e1>","flow_id":"f1","outcome":"cancelled"}"#;

    cases! {
        a_member_that_nobody_announces: "published/ff_complete_execution/OK/missing",
            completed(""),
            near completed(SUCCESS);
        a_member_that_is_announced_twice: "published/ff_complete_execution/OK/twice",
            completed(&format!("{SUCCESS}; {SUCCESS}")),
            near completed(SUCCESS);
        a_cascade_that_is_announced: "published/ff_cancel_execution/OK/uncalled-for",
            cancelled("flow_cascade", CANCELLED),
            near cancelled("flow_cascade", "");
        an_end_that_is_announced_as_another: "published/ff_complete_execution/OK/other-outcome",
            completed(CANCELLED),
            near cancelled("lease_holder", CANCELLED);
    }

    #[test]
    fn what_is_in_no_flow_is_not_published() {
        let story = Story::new().created(0).granted(10, 50).claimed(20, 1, 100).completed(50, 1);
        assert!(story.fingerprints().is_empty());
        let told =
            story.step(60, "ff_renew_lease e1 0 a1 l1 1 0 0", "fence_required", SUCCESS).fingerprints();
        assert_eq!(told, ["published/ff_renew_lease/fence_required/uncalled-for"]);
    }
}
