//! A quota's counter is the number of executions it has admitted, and never over its cap (36 of `docs/protocol.md`).
//!
//! Asked where the policy has a cap on concurrency. A release of what is not admitted is the same as none, and who is
//! admitted again is one execution: both show as a wrong counter, and have kinds of their own. Not here: windows and
//! rates, which [`admission`](super::admission) asks about.

use super::{Broken, Check, State};
use crate::{
    property::{Entry, Expect, Kind},
    trace::Step,
    types::Function,
    view::{Entity, Quota, View},
};

const COUNTER: Kind = Kind {
    name: "counter",
    about: "the counter is no number, or not that of the executions in the admitted set",
};
const COUNTED_AGAIN: Kind = Kind {
    name: "counted-again",
    about: "an execution that is in the admitted set already was counted once more",
};
const RELEASED_TWICE: Kind = Kind {
    name: "released-twice",
    about: "the release of an execution that is not in the admitted set lowered the counter",
};
const NEGATIVE: Kind = Kind { name: "negative", about: "the counter is below zero" };
const OVER_CAP: Kind = Kind { name: "over-cap", about: "more executions are counted than the cap allows" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "quota",
    numbers: &[36],
    claim: "A quota's counter is the number of executions it has admitted, and never over its cap.",
    expect: Expect::Always,
    kinds: &[COUNTER, COUNTED_AGAIN, RELEASED_TWICE, NEGATIVE, OVER_CAP],
    monitor: || Box::new(State(&[counts_the_admitted as Check, is_not_negative, is_within_cap])),
};

fn counts_the_admitted(entity: &Entity, view: &View, step: &Step<'_>) -> Option<Broken> {
    let (quota, cap) = capped(entity, view)?;
    let (counter, admitted) = (quota.concurrency(), quota.admitted_count());
    // One below zero is reported as such.
    let is_equal = counter.is_some_and(|counter| counter < 0 || usize::try_from(counter) == Ok(admitted));
    let counted = counter.map_or("no number".to_owned(), |counter| counter.to_string());
    let message = || format!("a quota counts {counted} and has {admitted} executions in its admitted set");
    if is_equal || is_asked_with_another_cap(step, cap) {
        return None;
    }
    Broken::new(kind_of_count(entity, step), message())
}

/// The caller says what the cap is. One that says another has the counter kept by another rule.
fn is_asked_with_another_cap(step: &Step<'_>, cap: i64) -> bool {
    step.call.as_ref().is_some_and(|call| {
        call.function == Function::CheckAdmissionAndRecord
            && call.argv.len() > 4
            && call.arg(3).parse() != Ok(cap)
    })
}

fn kind_of_count(entity: &Entity, step: &Step<'_>) -> Kind {
    let (Some(call), Some((before, _))) = (&step.call, capped(entity, step.before)) else { return COUNTER };
    match call.function {
        Function::CheckAdmissionAndRecord if before.is_admitted(call.arg(4)) => COUNTED_AGAIN,
        Function::ReleaseAdmission if !call.argv.is_empty() && !before.is_admitted(call.arg(0)) => {
            RELEASED_TWICE
        }
        _ => COUNTER,
    }
}

fn is_not_negative(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let counter = capped(entity, view)?.0.concurrency()?;
    (counter < 0).then(|| Broken { kind: NEGATIVE, message: format!("a quota counts {counter}") })
}

fn is_within_cap(entity: &Entity, view: &View, step: &Step<'_>) -> Option<Broken> {
    let (quota, cap) = capped(entity, view)?;
    if is_asked_with_another_cap(step, cap) {
        return None;
    }
    let counter = quota.concurrency()?;
    let message = || format!("a quota counts {counter} and its cap is {cap}");
    (counter > cap).then(|| Broken { kind: OVER_CAP, message: message() })
}

/// The quota and its cap, where the entity is a quota that has one.
fn capped<'v>(entity: &'v Entity, view: &'v View) -> Option<(Quota<'v>, i64)> {
    let Entity::Quota(tag, id) = entity else { return None };
    let quota = view.quota(tag, id);
    Some((quota, quota.concurrency_cap()?))
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    fn capped(cap: u32) -> Story {
        let commands = format!("HSET :quota active_concurrency_cap {cap}; SET :quota:concurrency 0");
        Story::new().step(0, "ff_create_quota_policy q1 1 0 1", "OK", &commands)
    }

    fn admitted(story: Story, who: &str) -> Story {
        let commands = format!("INCR :quota:concurrency; SADD :quota:admitted_set {who}");
        story.step(10, "ff_check_admission_and_record @10", "reply", &commands)
    }

    fn released(story: Story, commands: &str) -> Story {
        story.step(20, "ff_release_admission e1", "OK", commands)
    }

    const RELEASE: &str = "SREM :quota:admitted_set x; DECR :quota:concurrency";

    cases! {
        an_execution_that_is_counted_twice: "quota/ff_check_admission_and_record/reply/counter",
            admitted(admitted(capped(3), "x"), "x"),
            near admitted(admitted(capped(3), "x"), "y");
        a_counter_that_is_no_number: "quota/ff_release_admission/OK/counter",
            admitted(capped(3), "e1").step(20, "ff_release_admission e1", "OK", "SET :quota:concurrency many"),
            near released(admitted(capped(3), "x"), RELEASE);
        an_execution_that_is_admitted_again: "quota/ff_check_admission_and_record/reply/counted-again",
            admitted(capped(3), "e1").step(20, "ff_check_admission_and_record @20 0 0 3 e1", "reply", "INCR :quota:concurrency"),
            near admitted(capped(3), "x").step(20, "ff_check_admission_and_record @20 0 0 3 e1", "reply", "INCR :quota:concurrency; SADD :quota:admitted_set e1");
        a_release_of_what_is_not_admitted: "quota/ff_release_admission/OK/released-twice",
            released(admitted(capped(3), "x"), "DECR :quota:concurrency"),
            near released(admitted(capped(3), "x"), "SREM :quota:admitted_set e1");
        a_release_that_counts_below_zero: "quota/ff_release_admission/OK/negative",
            released(capped(3), RELEASE),
            near released(capped(3), "SREM :quota:admitted_set x");
        one_more_than_the_cap: "quota/ff_check_admission_and_record/reply/over-cap",
            admitted(admitted(capped(1), "x"), "y"),
            near admitted(admitted(capped(2), "x"), "y");
    }

    #[test]
    fn without_a_cap_nothing_is_counted() {
        assert!(admitted(admitted(capped(0), "x"), "x").fingerprints().is_empty());
    }

    #[test]
    fn a_counter_that_is_wrong_already_does_not_hide_that_it_goes_over_the_cap() {
        let story = admitted(admitted(admitted(capped(2), "x"), "x"), "y");
        let told = story.verdict().violations;
        let told: Vec<_> =
            told.iter().map(|violation| (violation.fingerprint.kind(), violation.times)).collect();
        assert_eq!(told, [("counter", 1), ("over-cap", 1)]);
    }
}
