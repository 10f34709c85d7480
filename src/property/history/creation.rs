//! One idempotency key makes one execution while it lives, and the input of an execution does not change after its creation
//! (E8; RFC-001 §1.1 and §4.1; 20 and 21 of `docs/protocol.md`).
//!
//! An edge that passes data replaces the input of a child that is still blocked, on purpose (RFC-007). Not here: what a
//! refused creation leaves, which [`refusal_writes`](crate::property::call::refusal_writes) asks.

use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    protocol::shape::is_plain_number,
    trace::{Call, Moment, Step},
    types::{Answer, EligibilityState, ExecutionId, Function, LifecyclePhase, Status},
    view::{Entity, View, keys_of},
};

const SECOND: Kind = Kind {
    name: "second-execution",
    about: "an execution was created with an idempotency key that had made one",
};
const FORGOTTEN: Kind = Kind {
    name: "forgotten-key",
    about: "the idempotency key of a creation is not remembered for as long as was asked",
};
const OTHER: Kind = Kind {
    name: "other-duplicate",
    about: "a creation was answered as a duplicate of an execution that is none",
};
const INPUT: Kind =
    Kind { name: "other-input", about: "an execution was created with another input than was sent" };
const CHANGED: Kind =
    Kind { name: "input-changed", about: "the input of an execution changed after its creation" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "creation",
    numbers: &[20, 21],
    claim: "One idempotency key makes one execution, and an execution's input never changes.",
    expect: Expect::Always,
    kinds: &[SECOND, FORGOTTEN, OTHER, INPUT, CHANGED],
    monitor: || Box::new(Creation),
};

#[derive(Clone, Hash)]
struct Creation;

impl Property for Creation {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        if let Some(call) = step.call.as_ref().filter(|call| call.function == Function::CreateExecution)
            && let Some(id) = &call.presented.execution
        {
            match call.answer {
                Answer::Consent(Status::Ok) => created(step, call, id, found),
                Answer::Consent(Status::Duplicate) => repeated(step, call, id, found),
                _ => {}
            }
        }
        for key in step.effects.iter().flat_map(keys_of).filter(|key| key.ends_with(b":payload")) {
            let Some(key) = std::str::from_utf8(key).ok().filter(|key| key.starts_with("ff:exec:")) else {
                continue;
            };
            if let Some(Entity::Execution(id)) = Entity::of_key(key) {
                input_stays(step, &id, key, found);
            }
        }
    }
}

/// The idempotency key of a creation, where it has one. It is the sixth of its KEYS.
fn idempotency_key<'c>(call: &Call<'c>) -> Option<&'c str> {
    let key = call.key(5)?;
    key.starts_with("ff:idem:").then_some(key)
}

/// The execution that an idempotency key stands for, as the server would show it.
fn remembered(view: &View, key: &str, step: &Step<'_>) -> Option<String> {
    let has_expired = view.expires_at(key).is_some_and(|last| last < step.now);
    view.string(key).filter(|_| !has_expired).map(std::borrow::Cow::into_owned)
}

fn created(step: &Step<'_>, call: &Call<'_>, id: &ExecutionId, found: &mut Found<'_>) {
    let name = step.names.of(id);
    if let Some(key) = idempotency_key(call) {
        if let Some(earlier) = remembered(step.before, key, step) {
            let earlier = step.names.of_text(&earlier);
            let message = format!("{name} was created with the idempotency key of {earlier}");
            found.violation(SECOND, Some(&name), message);
        }
        let ttl = call.argv.get(9).filter(|ttl| is_plain_number(ttl)).map_or(&b"0"[..], |ttl| ttl);
        let is_remembered = remembered(step.after, key, step).as_deref() == Some(id.as_str());
        // A library with names of its own may keep such keys where no table tells of them, or not at all.
        if ttl != b"0" && !is_remembered && !step.after.is_mirrored() {
            found.violation(
                FORGOTTEN,
                Some(&name),
                format!("the idempotency key of {name} is not remembered"),
            );
        }
    }
    let execution = step.after.execution(id);
    let (input, stored) = (call.argv.get(7), step.after.string(&execution.keys().exec.payload()));
    if execution.core().is_some()
        && let Some(input) = input.and_then(|input| std::str::from_utf8(input).ok())
        && stored.as_deref().unwrap_or_default() != input
    {
        found.violation(INPUT, Some(&name), format!("{name} was created with another input than was sent"));
    }
}

fn repeated(step: &Step<'_>, call: &Call<'_>, id: &ExecutionId, found: &mut Found<'_>) {
    let valkey_sim::engine::Reply::Array(items) = call.reply else { return };
    let Some(valkey_sim::engine::Reply::Bulk(said)) = items.get(2) else { return };
    let said = String::from_utf8_lossy(said);
    let earlier = idempotency_key(call).and_then(|key| remembered(step.before, key, step));
    let is_true = match earlier {
        Some(earlier) => said == earlier,
        None => said == id.as_str() && step.before.execution(id).core().is_some(),
    };
    if !is_true {
        let (name, said) = (step.names.of(id), step.names.of_text(&said));
        found.violation(
            OTHER,
            Some(&name),
            format!("{name} was refused as a duplicate of {said}, which it is not"),
        );
    }
}

fn input_stays(step: &Step<'_>, id: &ExecutionId, key: &str, found: &mut Found<'_>) {
    let execution = step.before.execution(id);
    let (Some(core), true) = (execution.core(), execution.seen_in(step.after).core().is_some()) else {
        return;
    };
    if step.before.entry(key).map(|entry| &entry.value) == step.after.entry(key).map(|entry| &entry.value) {
        return;
    }
    // An operator may have blocked it for another reason since.
    let is_blocked = core.text("lifecycle_phase") == LifecyclePhase::Runnable.as_str()
        && core.text("eligibility_state") != EligibilityState::EligibleNow.as_str();
    let passes_data = step.call.as_ref().is_some_and(|call| call.function == Function::ResolveDependency);
    if !(passes_data && is_blocked) {
        let name = step.names.of(id);
        let message = format!("the input of {name} changed while it was {}", core.text("public_state"));
        found.violation(CHANGED, Some(&name), message);
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    const IDEMPOTENCY: &str = "ff:idem:{fp:7}:ns:k";
    const OTHER: &str = "{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c9";
    const CREATED: &str = "HSET :core lifecycle_phase runnable ownership_state unowned eligibility_state eligible_now \
        attempt_state pending_first_attempt current_lease_epoch 0 lane_id gold current_lane gold; ZADD :lane:gold:eligible 0 e1";

    fn create(story: Story, at: i64, id: &str, key: &str, answer: &str, commands: &str) -> Story {
        let keys = [
            ":core",
            ":payload",
            ":policy",
            ":tags",
            ":lane:gold:eligible",
            key,
            ":execution_deadline",
            ":all_executions",
        ];
        let argv = [id, "ns", "gold", "kind", "0", "me", "-", "input", "-", "1000", "{}", "-", "7"];
        story.keyed(at, "ff_create_execution", &keys, &argv, answer, commands)
    }

    fn created(input: &str, more: &str) -> Story {
        let remembers = format!("SET {IDEMPOTENCY} e1 PXAT @1000");
        let commands = format!("{CREATED}; SET :payload {input}; {remembers}; {more}");
        create(Story::new(), 0, "e1", IDEMPOTENCY, "OK", &commands)
    }

    /// The same id comes again under the key, after the first was removed by hand.
    fn again(at: i64) -> Story {
        let commands = format!("{CREATED}; SET :payload input; SET {IDEMPOTENCY} e1 PXAT @9000");
        let removed = created("input", "").plain(10, "DEL :core").plain(11, "DEL :payload");
        create(removed, at, "e1", IDEMPOTENCY, "OK", &commands)
    }

    fn resolved(eligibility: &str) -> Story {
        let blocked = created("input", "").plain(5, &format!("HSET :core eligibility_state {eligibility}"));
        let blocked = blocked
            .plain(6, "ZREM :lane:gold:eligible e1")
            .plain(7, "ZADD :lane:gold:blocked:dependencies 0 e1");
        blocked.step(10, "ff_resolve_dependency e success @10 f e1", "OK", "SET :payload passed")
    }

    cases! {
        a_key_that_makes_a_second_execution: "creation/ff_create_execution/OK/second-execution",
            again(1000),
            near again(1001);
        a_key_that_is_not_remembered: "creation/ff_create_execution/OK/forgotten-key",
            created("input", &format!("DEL {IDEMPOTENCY}")),
            near create(Story::new(), 0, "e1", "ff:noop:{fp:7}", "OK", &format!("{CREATED}; SET :payload input"));
        a_duplicate_of_another: "creation/ff_create_execution/DUPLICATE/other-duplicate",
            create(Story::new().plain(0, &format!("SET {IDEMPOTENCY} {OTHER}")), 5, "e1", IDEMPOTENCY, "DUPLICATE", ""),
            near create(created("input", ""), 5, "e1", IDEMPOTENCY, "DUPLICATE", "");
        an_input_that_was_not_sent: "creation/ff_create_execution/OK/other-input",
            created("inputs", ""),
            near created("input", "");
        an_input_that_changes: "creation/ff_resolve_dependency/OK/input-changed",
            resolved("eligible_now"),
            near resolved("blocked_by_budget");
    }
}
