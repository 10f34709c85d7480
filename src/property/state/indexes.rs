//! An execution is in exactly the sets of its state (24 of `docs/protocol.md`), in the lease set of no worker but its
//! holder's (26), and no set names an execution that does not exist (33).
//!
//! That what is eligible is in the eligible set is left to [`eligible`](super::eligible), which came first: here is asked
//! what it is in besides. Timeouts and deadlines are [`timeout`](super::timeout)'s; sets of other lanes are
//! [`lane`](crate::property::history::lane)'s.

use std::collections::BTreeMap;

use super::rules::{Deed, Fault, LONG_AFTER, Memory, Seen};
use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Ended, Happened, Moment},
    types::{EligibilityState, ExecutionId, LifecyclePhase, OwnershipState},
    view::{IndexName, Place, Places, View},
};

const MISSING: Kind = Kind { name: "missing", about: "it is not in a set in which its state puts it" };
const LISTED: Kind = Kind {
    name: "in-eligible",
    about: "it is among what is eligible, or delayed, and its state does not put it there",
};
const HELD: Kind = Kind {
    name: "in-active",
    about: "it is among what is active, or suspended, or in the set of what ends such a time, and its state does not put it there",
};
const BLOCKED: Kind = Kind {
    name: "in-blocked",
    about: "it is in a set of what is blocked in which its state does not put it",
};
const ENDED: Kind =
    Kind { name: "in-terminal", about: "it is among what has ended, and its state does not put it there" };
const WORKER: Kind =
    Kind { name: "worker-set", about: "it is in the lease set of a worker that does not hold its lease" };
const OF_THE_NAMED: Kind = Kind {
    name: "worker-set-of-the-named",
    about: "a call names the lease set of another worker than the one that held the lease, and leaves it in the holder's",
};
const ORPHAN: Kind = Kind { name: "orphan", about: "a set names an execution that does not exist" };

const ANOTHER_ID: Kind = Kind {
    name: "another-id",
    about: "a call was accepted whose arguments name another execution than its keys",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "indexes",
    numbers: &[24, 26, 33, 50],
    claim: "An execution is in the sets of its state and in no other, and every member of a set exists.",
    expect: Expect::Always,
    kinds: &[MISSING, LISTED, HELD, BLOCKED, ENDED, WORKER, OF_THE_NAMED, ORPHAN, ANOTHER_ID],
    monitor: || Box::<Indexes>::default(),
};

#[derive(Clone, Default, Hash)]
struct Indexes {
    seen: Memory,
}

impl Property for Indexes {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        match moment {
            Moment::Step(step) => {
                for deed in Deed::all(step).filter(|deed| !deed.changes.is_empty()) {
                    another_id(&deed, found);
                    if deed.moved() {
                        self.judge(&deed, found);
                    }
                }
                self.seen.stepped(step);
            }
            Moment::Rewound { to, .. } => self.seen.rewound(to),
            Moment::End(ended) => self.judge_end(ended, found),
            _ => {}
        }
    }
}

impl Indexes {
    fn judge(&mut self, deed: &Deed<'_>, found: &mut Found<'_>) {
        let Some(after) = deed.after() else { return self.judge_orphan(deed, found) };
        let mut faults = Vec::new();
        misplaced(&after, &mut faults);
        in_foreign_sets(deed, &after, &mut faults);
        if faults.is_empty() {
            return;
        }
        let mut before = Vec::new();
        if let Some(seen) = deed.before() {
            all_misplaced(&seen, &mut before);
            in_foreign_sets(deed, &seen, &mut before);
        }
        self.seen.blame(deed, &faults, &before, found);
        // The end of the run does not know what the call named.
        for fault in faults.iter().filter(|fault| fault.kind == OF_THE_NAMED) {
            self.seen.note(deed.id, &foreign(&fault.what));
        }
    }

    /// A set was told of an execution without a core.
    fn judge_orphan(&mut self, deed: &Deed<'_>, found: &mut Found<'_>) {
        if deed.step.after.execution(deed.id).core().is_some() {
            return;
        }
        for change in deed.changes {
            let Happened::Indexed(index) = &change.what else { continue };
            let fault = orphan(index);
            if self.seen.note(deed.id, &fault) && !deed.has_raised() {
                fault.tell(&deed.step.names.of(deed.id), found);
            }
        }
    }

    /// Looks at every set there is.
    fn judge_end(&mut self, ended: &Ended, found: &mut Found<'_>) {
        let Some((view, names)) = self.seen.at_end(ended) else { return };
        for (id, sets) in members(&view) {
            let Ok(id) = ExecutionId::parse(&id) else { continue };
            let mut faults = Vec::new();
            match Seen::of(&view, &id, LONG_AFTER) {
                Some(seen) => {
                    misplaced(&seen, &mut faults);
                    let holders =
                        sets.iter().filter_map(worker_of).filter(|instance| !holds(&seen, instance));
                    faults.extend(holders.map(foreign));
                }
                None if view.execution(&id).core().is_none() => faults.extend(sets.iter().map(orphan)),
                None => {}
            }
            for fault in faults {
                if self.seen.note(&id, &fault) {
                    fault.tell(&names.of(&id), found);
                }
            }
        }
    }
}

/// A library that finds the core by KEYS and lists by ARGV must compare the two.
fn another_id(deed: &Deed<'_>, found: &mut Found<'_>) {
    if !deed.has_raised() && deed.names_another_id() {
        let name = deed.step.names.of(deed.id);
        let message =
            format!("{name} was changed by a call that names another execution to be listed in its place");
        found.violation(ANOTHER_ID, Some(&name), message);
    }
}

/// The members of all sets of executions, each with the sets that it is in.
fn members(view: &View) -> BTreeMap<String, Vec<IndexName>> {
    let mut members: BTreeMap<String, Vec<IndexName>> = BTreeMap::new();
    for key in view.keys("ff:idx:{fp:") {
        let Some(index) = IndexName::of_key(key) else { continue };
        for member in view.members(key).into_iter().filter(|member| member.starts_with("{fp:")) {
            members.entry(member).or_default().push(index.clone());
        }
    }
    // Those that no set names, and that should be in one.
    for id in view.executions() {
        members.entry(id.as_str().to_owned()).or_default();
    }
    members
}

/// The set of a lane in which a state puts an execution; none where it has no set of its own.
fn place_of(seen: &Seen<'_>) -> Option<Place> {
    Some(match (&seen.state.phase, &seen.state.eligibility) {
        (LifecyclePhase::Active, _) => Place::Active,
        (LifecyclePhase::Suspended, _) => Place::Suspended,
        (LifecyclePhase::Terminal, _) => Place::Terminal,
        (LifecyclePhase::Runnable, eligibility) => match eligibility {
            EligibilityState::EligibleNow => Place::Eligible,
            EligibilityState::NotEligibleUntilTime => Place::Delayed,
            EligibilityState::BlockedByDependencies => Place::BlockedDependencies,
            EligibilityState::BlockedByBudget => Place::BlockedBudget,
            EligibilityState::BlockedByQuota => Place::BlockedQuota,
            EligibilityState::BlockedByRoute => Place::BlockedRoute,
            EligibilityState::BlockedByOperator => Place::BlockedOperator,
            _ => return None,
        },
        _ => return None,
    })
}

/// What is wrong with its places. Of one that is eligible and not listed as such, [`eligible`](super::eligible) has told; of
/// one that was claimed in another lane, [`lane`](crate::property::history::lane).
fn misplaced(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    all_misplaced(seen, faults);
    let is_unlisted = |fault: &Fault| fault.kind == MISSING && fault.what == Place::Eligible.name();
    let current_lane = seen.core.text("current_lane");
    let is_astray = !current_lane.is_empty() && current_lane != seen.core.lane();
    if is_astray || faults.iter().any(is_unlisted) {
        faults.retain(|fault| Place::OF_LANE.iter().all(|place| place.name() != fault.what));
    }
}

fn all_misplaced(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let Some(places) = seen.execution.places(seen.core.lane()) else { return };
    in_the_lane(seen, &places, faults);
    let is_held = seen.state.phase == LifecyclePhase::Active && !is_revoked(seen);
    let is_timed =
        seen.state.phase == LifecyclePhase::Suspended && !seen.execution.suspension_timeout().is_empty();
    for (place, belongs) in
        [(Place::LeaseExpiry, is_held), (Place::SuspensionTimeout, is_timed), (Place::AllExecutions, true)]
    {
        compare(seen, place, places.holds(place), belongs, faults);
    }
    let holder = seen.core.instance();
    if is_held && !holder.is_empty() && !seen.execution.is_in_lease_set(holder) {
        let message = format!("is leased to {holder} and not in that process's lease set");
        faults.push(Fault { kind: MISSING, what: "worker".into(), message });
    }
}

/// Its place in its lane.
fn in_the_lane(seen: &Seen<'_>, places: &Places<'_, '_>, faults: &mut Vec<Fault>) {
    let own = place_of(seen);
    for place in Place::OF_LANE {
        match own {
            Some(own) => compare(seen, place, places.holds(place), place == own, faults),
            // A state without a set of its own waits in whichever the caller chose.
            None if !is_blocked_set(place) => compare(seen, place, places.holds(place), false, faults),
            None => {}
        }
    }
}

fn is_blocked_set(place: Place) -> bool {
    place.name().starts_with("blocked:")
}

fn compare(seen: &Seen<'_>, place: Place, is_there: bool, belongs: bool, faults: &mut Vec<Fault>) {
    if is_there == belongs {
        return;
    }
    let state = &seen.state;
    let says = if belongs { "is not in" } else { "is in" };
    let message = format!(
        "is {}, {}, {}, and {says} the set {}",
        state.phase,
        state.ownership,
        state.eligibility,
        place.name()
    );
    let kind = if belongs { MISSING } else { beside(place) };
    faults.push(Fault { kind, what: place.name().into(), message });
}

/// Being in a set besides: which kind, so that one that is known in a call does not hide another of the same call.
fn beside(place: Place) -> Kind {
    match place {
        Place::Eligible | Place::Delayed => LISTED,
        Place::Terminal => ENDED,
        _ if is_blocked_set(place) => BLOCKED,
        _ => HELD,
    }
}

fn is_revoked(seen: &Seen<'_>) -> bool {
    seen.state.ownership == OwnershipState::LeaseRevoked
}

/// Whether it belongs in the lease set of this process.
fn holds(seen: &Seen<'_>, instance: &str) -> bool {
    seen.state.phase == LifecyclePhase::Active && !is_revoked(seen) && seen.core.instance() == instance
}

/// Of the worker sets only those are looked at that the step can have made foreign: the one it was in before, and those
/// that it entered.
fn in_foreign_sets(deed: &Deed<'_>, seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let before = deed.step.before.execution(deed.id);
    let held = before.core().map(|core| core.instance().to_owned()).unwrap_or_default();
    let entered = deed.changes.iter().filter_map(|change| match &change.what {
        Happened::Indexed(index) => worker_of(index),
        _ => None,
    });
    for instance in entered.chain([&*held]).filter(|instance| !instance.is_empty()) {
        if !holds(seen, instance) && seen.execution.is_in_lease_set(instance) {
            let kind = if names_another_holder(deed, instance) { OF_THE_NAMED } else { WORKER };
            faults.push(Fault { kind, ..foreign(instance) });
        }
    }
}

/// Whether KEYS have a lease set, and not that of this process.
fn names_another_holder(deed: &Deed<'_>, instance: &str) -> bool {
    let keys = deed.step.call.iter().flat_map(|call| call.keys);
    let indexes = keys.filter_map(|key| IndexName::of_key(std::str::from_utf8(key).ok()?));
    let mut named = indexes.filter_map(|index| worker_of(&index).map(str::to_owned)).peekable();
    named.peek().is_some() && named.all(|other| other != instance)
}

/// The process whose lease set this is.
fn worker_of(index: &IndexName) -> Option<&str> {
    index.name.strip_prefix("worker:")?.strip_suffix(":leases")
}

fn foreign(instance: &str) -> Fault {
    let message = format!("is in the lease set of {instance}, which does not hold its lease");
    Fault { kind: WORKER, what: instance.to_owned().into(), message }
}

fn orphan(index: &IndexName) -> Fault {
    let message = format!("does not exist, and the set {index} names it");
    Fault { kind: ORPHAN, what: index.name.clone().into(), message }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::{
        libraries::{leased, leased_again, published},
        testing::{Story, cases},
    };

    fn renewed(commands: &str) -> Story {
        leased().step(30, "ff_renew_lease e1 0 a1 l1 1 0 0", "OK", commands)
    }

    /// `w-1` holds the lease, and the call names the set of `w-2`.
    fn cancelled(commands: &str) -> Story {
        let ended = "HSET :core lifecycle_phase terminal ownership_state unowned eligibility_state not_applicable \
                     current_worker_instance_id -; ZREM :lane:gold:active e1; ZREM :lease_expiry e1; \
                     ZADD :lane:gold:terminal 0 e1";
        let call = "ff_cancel_execution :worker:w-2:leases | e1 why operator_override - -";
        leased().step(30, call, "OK", &format!("{ended}; {commands}"))
    }

    cases! {
        a_set_that_loses_it: "indexes/ff_renew_lease/OK/missing",
            renewed("ZREM :lane:gold:active e1"),
            near leased().renews(30, 1);
        blocked_besides: "indexes/ff_renew_lease/OK/in-blocked",
            renewed("ZADD :lane:gold:blocked:route 0 e1"),
            near published().creates(0, None).blocks(10, crate::protocol::BlockingReason::Quota);
        eligible_besides: "indexes/ff_renew_lease/OK/in-eligible",
            renewed("ZADD :lane:gold:delayed 0 e1"),
            near published().creates(0, Some(100));
        suspended_besides: "indexes/ff_renew_lease/OK/in-active",
            renewed("ZADD :lane:gold:suspended 0 e1"),
            near leased().suspends(50, 1, None);
        ended_besides: "indexes/ff_renew_lease/OK/in-terminal",
            renewed("ZADD :lane:gold:terminal 0 e1"),
            near leased().completes(50, 1);
        another_workers_set: "indexes/ff_renew_lease/OK/worker-set",
            renewed("SADD :worker:w-9:leases e1"),
            near leased_again();
        the_set_of_another_worker_than_the_holder: "indexes/ff_cancel_execution/OK/worker-set-of-the-named",
            cancelled("DEL :lease"),
            alone cancelled("SREM :worker:w-1:leases e1");
        a_member_that_does_not_exist: "indexes/ff_create_execution/OK/orphan",
            Story::new().step(0, "ff_create_execution e1 ns gold kind 0 me - - -", "OK", "ZADD :lane:gold:eligible 0 e1"),
            near published().creates(0, None);
        a_call_that_names_another_execution: "indexes/ff_complete_execution/OK/another-id",
            leased().completes_another(50, 1),
            near leased().completes(50, 1);
    }

    #[test]
    fn the_set_of_the_worker_that_had_it_is_looked_at_too() {
        let kept = "HSET :core lifecycle_phase runnable ownership_state unowned eligibility_state eligible_now current_worker_instance_id -";
        let told = leased().step(30, "ff_delay_execution e1", "OK", kept).fingerprints();
        assert!(told.contains(&"indexes/ff_delay_execution/OK/worker-set".to_owned()), "{told:?}");
    }

    #[test]
    fn at_the_end_every_set_is_looked_at_and_what_was_told_is_not_told_again() {
        let told = renewed("ZREM :lane:gold:active e1").renews(40, 1).fingerprints();
        let told: Vec<_> = told.iter().filter(|it| it.starts_with("indexes/")).collect();
        assert_eq!(told, ["indexes/ff_renew_lease/OK/missing"]);
    }

    #[test]
    fn the_sets_of_another_lane_are_another_propertys_business() {
        let told = renewed("ZADD :lane:silver:delayed 0 e1").fingerprints();
        assert!(told.contains(&"lane/ff_renew_lease/OK/index".to_owned()), "{told:?}");
        assert!(!told.iter().any(|it| it.starts_with("indexes/")), "{told:?}");
    }

    #[test]
    fn every_state_of_a_life_is_in_its_sets() {
        use crate::protocol::{
            BlockingReason::Budget,
            TimeoutBehavior::{AutoResume, Escalate, Fail},
        };
        let suspended =
            |behavior| leased().suspends(50, 1, Some((80, behavior))).times_out(79, 0).times_out(80, 0);
        for story in [
            published()
                .creates(0, Some(100))
                .promotes(99, 99)
                .promotes(100, 100)
                .leases(110, 1)
                .fails(120, 1, 1)
                .promotes(170, 170)
                .leases(180, 2)
                .completes(190, 2),
            published()
                .creates(0, None)
                .blocks(10, Budget)
                .unblocks(20, Budget)
                .leases(30, 1)
                .completes(40, 1)
                .replays(50)
                .leases(60, 2)
                .fails(70, 2, 0),
            published()
                .creates(0, None)
                .depends(10, 1)
                .depends(11, 2)
                .resolves(20, 1, "success")
                .resolves(21, 2, "success")
                .leases(30, 1)
                .waits_for_children(40, 1)
                .promotes_blocked(50)
                .resumes_lease(60, 2, 0)
                .completes_as(70, 2, 1),
            published().creates(0, None).depends(10, 1).resolves(20, 1, "failed"),
            suspended(AutoResume).resumes_lease(90, 2, 0).completes_as(95, 2, 1),
            suspended(Escalate),
            suspended(Fail).replays(90),
            leased().revokes(30).grants(40, true).reclaims(50, 2).completes(60, 2),
            leased().delays(30, 1).promotes(530, 530).resumes_lease(540, 2, 0).completes_as(550, 2, 1),
            published()
                .creates_with(0, 9_001, "", Some(900))
                .changes_priority(5, -3)
                .leases_with_timeout(10, 1, 50)
                .expires(60, 0),
        ] {
            assert_eq!(story.fingerprints(), Vec::<String>::new());
        }
    }
}
