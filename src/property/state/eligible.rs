//! An execution that is eligible now is in its lane's eligible set: no scheduler would find it elsewhere (V and F rules; 24
//! of `docs/protocol.md`, in part).
//!
//! The part of the promise about indexes on which every grant depends. Not here: that it is in no other set besides, and
//! which set an execution belongs in that is not eligible. Whether the lane is the right one is asked by
//! [`lane`](crate::property::history::lane).

use super::{Broken, Check, State};
use crate::{
    property::{Entry, Expect, Kind},
    trace::Step,
    types::{EligibilityState, LaneId, TimestampMs},
    view::{Core, Entity, IndexName, View},
};

const NOT_LISTED: Kind = Kind { name: "not-listed", about: "it is eligible now and in no set of any lane" };
const DELAYED_AND_DUE: Kind = Kind {
    name: "delayed-set-and-due",
    about: "it is eligible now and in the delayed set, though it has no delay or its delay is over",
};
const DELAYED_TOO_EARLY: Kind = Kind {
    name: "delayed-set-before-its-time",
    about: "it is eligible now and in the delayed set, and its delay is not over",
};
const OTHER_SET: Kind = Kind {
    name: "other-set",
    about: "it is eligible now and in a set for executions that are active, blocked or ended",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "eligible",
    numbers: &[24],
    claim: "An execution that is eligible now is in its lane's eligible set, where a scheduler finds it.",
    expect: Expect::Always,
    kinds: &[NOT_LISTED, DELAYED_AND_DUE, DELAYED_TOO_EARLY, OTHER_SET],
    monitor: || Box::new(State(&[listed as Check])),
};

fn listed(entity: &Entity, view: &View, step: &Step<'_>) -> Option<Broken> {
    let Entity::Execution(id) = entity else { return None };
    let execution = view.execution(id);
    let core = execution.core()?;
    if core.text("eligibility_state") != EligibilityState::EligibleNow.as_str() {
        return None;
    }
    let lane = LaneId::try_new(core.lane()).ok();
    let set = lane.map(|lane| execution.keys().index.lane_eligible(&lane));
    if set.is_some_and(|set| execution.stands_in(&set)) {
        return None;
    }
    // Looking through all sets takes long, and it is rare that anyone comes this far.
    let sets: Vec<IndexName> = execution.indexes().into_iter().filter(|index| index.lane.is_some()).collect();
    if sets.iter().any(IndexName::is_eligible_set) {
        return None;
    }
    let Some(set) = sets.first() else {
        let message = format!("{} is eligible and in no set: it will never be granted", step.names.of(id));
        return Some(Broken { kind: NOT_LISTED, message });
    };
    let is_delayed = delay(&core, step).is_some_and(|until| until > step.now);
    let kind = match sets.iter().any(|set| set.name == "delayed") {
        true if is_delayed => DELAYED_TOO_EARLY,
        true => DELAYED_AND_DUE,
        false => OTHER_SET,
    };
    let message = format!("{} is eligible and in no eligible set; it is in {set}", step.names.of(id));
    Some(Broken { kind, message })
}

/// Until when it is delayed: as the call said, or else as its core says.
fn delay(core: &Core<'_>, step: &Step<'_>) -> Option<TimestampMs> {
    let presented =
        step.call.as_ref().and_then(|call| call.presented.delay_until.parse().ok().map(TimestampMs));
    presented.or_else(|| core.delay_until())
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    /// `e1` is created eligible, with a delay, and put into these sets.
    fn created(at: i64, delay_until: &str, sets: &str) -> Story {
        let call = format!("ff_create_execution e1 ns gold kind 0 me - - {delay_until}");
        let core = "HSET :core lifecycle_phase runnable eligibility_state eligible_now lane_id gold current_lane gold";
        Story::new().step(at, &call, "OK", &format!("{core}; {sets}"))
    }

    const ELIGIBLE: &str = "ZADD :lane:gold:eligible 0 e1";
    const DELAYED: &str = "ZADD :lane:gold:delayed 0 e1";

    cases! {
        an_eligible_execution_that_no_set_lists: "eligible/ff_create_execution/OK/not-listed",
            created(0, "-", "SADD :all_executions e1"),
            near created(0, "-", ELIGIBLE);
        a_delay_that_had_passed_on_arrival: "eligible/ff_create_execution/OK/delayed-set-and-due",
            created(50, "@50", DELAYED),
            near created(50, "@50", ELIGIBLE);
        a_delay_that_is_ignored: "eligible/ff_create_execution/OK/delayed-set-before-its-time",
            created(49, "@50", DELAYED),
            near Story::new().step(49, "ff_create_execution e1 ns gold kind 0 me - - @50", "OK", &format!("HSET :core lifecycle_phase runnable eligibility_state not_eligible_until_time lane_id gold; {DELAYED}"));
        a_delay_that_its_core_knows_and_ignores: "eligible/ff_unblock_execution/OK/delayed-set-before-its-time",
            created(0, "-", ELIGIBLE).step(10, "ff_unblock_execution e1", "OK", &format!("HSET :core delay_until @50; ZREM :lane:gold:eligible e1; {DELAYED}")),
            near created(0, "-", ELIGIBLE).step(10, "ff_unblock_execution e1", "OK", &format!("HSET :core delay_until @50; {DELAYED}"));
        an_eligible_execution_that_stays_blocked: "eligible/ff_unblock_execution/OK/other-set",
            created(0, "-", ELIGIBLE).step(10, "ff_unblock_execution e1", "OK", "ZREM :lane:gold:eligible e1; ZADD :lane:gold:blocked:budget 0 e1"),
            near created(0, "-", ELIGIBLE).step(10, "ff_block_execution_for_admission e1", "OK", "ZREM :lane:gold:eligible e1; ZADD :lane:gold:blocked:budget 0 e1; HSET :core eligibility_state blocked_by_budget");
        an_execution_that_its_set_loses: "eligible/ff_change_priority/OK/not-listed",
            created(0, "-", ELIGIBLE).step(10, "ff_change_priority e1 9", "OK", "ZPOPMIN :lane:gold:eligible"),
            near created(0, "-", ELIGIBLE).step(10, "ff_change_priority e1 9", "OK", "ZADD :lane:gold:eligible 9 e1");
    }

    #[test]
    fn whoever_finds_it_broken_is_not_blamed() {
        let cleaned =
            created(50, "@50", DELAYED).step(60, "ff_promote_delayed e1", "OK", "ZREM :lane:gold:delayed e1");
        assert_eq!(cleaned.fingerprints(), ["eligible/ff_create_execution/OK/delayed-set-and-due"]);
    }

    #[test]
    fn it_goes_on_once_the_execution_is_listed_again() {
        let lost =
            |story: Story, at| story.step(at, "ff_change_priority e1 9", "OK", "ZREM :lane:gold:eligible e1");
        let found = |story: Story, at| story.step(at, "ff_unblock_execution e1", "OK", ELIGIBLE);
        let story = lost(found(lost(created(0, "-", ELIGIBLE), 10), 20), 30);
        let violations = story.verdict().violations;
        assert_eq!((violations.len(), violations[0].times, violations[0].at), (1, 2, 1));
    }

    #[test]
    fn the_eligible_set_of_another_lane_is_not_this_propertys_business() {
        let story = created(0, "-", "ZADD :lane:silver:eligible 0 e1");
        assert_eq!(story.fingerprints(), ["lane/ff_create_execution/OK/index"]);
    }

    #[test]
    fn a_power_loss_leaves_nothing_to_be_blamed_for() {
        let story = created(0, "-", ELIGIBLE).kept().step(
            10,
            "ff_change_priority e1 9",
            "OK",
            "ZREM :lane:gold:eligible e1",
        );
        let story =
            story.rewound().step(20, "ff_change_priority e1 9", "DUPLICATE", "ZREM :lane:gold:eligible e1");
        let told = story.fingerprints();
        assert_eq!(
            told,
            [
                "eligible/ff_change_priority/OK/not-listed",
                "eligible/ff_change_priority/DUPLICATE/not-listed",
                // A change of priority is never answered so.
                "grammar/ff_change_priority/DUPLICATE/status"
            ]
        );
    }
}
