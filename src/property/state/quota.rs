//! A quota's counter is the number of executions it has admitted, and never over its cap (36 of `docs/protocol.md`).
//!
//! Asked where the policy has a cap on concurrency. Not here: windows and rates, and that a release is idempotent, which
//! shows as a wrong counter.

use super::{Broken, Check, State};
use crate::{
    property::{Entry, Expect, Kind},
    trace::Step,
    view::{Entity, Quota, View},
};

const COUNTER: Kind = Kind {
    name: "counter",
    about: "the counter is no number, or not that of the executions in the admitted set",
};
const NEGATIVE: Kind = Kind { name: "negative", about: "the counter is below zero" };
const OVER_CAP: Kind = Kind { name: "over-cap", about: "more executions are counted than the cap allows" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "quota",
    numbers: &[36],
    claim: "A quota's counter is the number of executions it has admitted, and never over its cap.",
    expect: Expect::Always,
    kinds: &[COUNTER, NEGATIVE, OVER_CAP],
    monitor: || Box::new(State(&[counts_the_admitted as Check, is_not_negative, is_within_cap])),
};

fn counts_the_admitted(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let (quota, _) = capped(entity, view)?;
    let (counter, admitted) = (quota.concurrency(), quota.admitted().len());
    // One below zero is reported as such.
    let is_equal = counter.is_some_and(|counter| counter < 0 || usize::try_from(counter) == Ok(admitted));
    let counted = counter.map_or("no number".to_owned(), |counter| counter.to_string());
    let message = || format!("a quota counts {counted} and has {admitted} executions in its admitted set");
    (!is_equal).then(|| Broken { kind: COUNTER, message: message() })
}

fn is_not_negative(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let counter = capped(entity, view)?.0.concurrency()?;
    (counter < 0).then(|| Broken { kind: NEGATIVE, message: format!("a quota counts {counter}") })
}

fn is_within_cap(entity: &Entity, view: &View, _: &Step<'_>) -> Option<Broken> {
    let (quota, cap) = capped(entity, view)?;
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
            released(admitted(capped(3), "x"), "SET :quota:concurrency many"),
            near released(admitted(capped(3), "x"), RELEASE);
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
