//! The core, the record of the lease and the set of expiries tell of one lease (28 of `docs/protocol.md`), and only while the
//! execution is active (29); what is leased is not revoked (34).
//!
//! Not here: who may act under a lease, which is [`fence`](crate::property::history::fence)'s, and the attempt's record, which
//! is [`attempts`](super::attempts)'.

use super::rules::{Deed, Fault, Rules, Seen, differ, number};
use crate::{
    property::{Entry, Expect, Kind},
    types::{LifecyclePhase, OwnershipState},
    view::{Fields, Place},
};

const DEADLINE: Kind = Kind {
    name: "deadline",
    about: "the core, the lease's record and lease_expiry say three times, not one",
};
const IDENTITY: Kind =
    Kind { name: "identity", about: "the lease's record tells of another lease than the core" };
const NO_RECORD: Kind =
    Kind { name: "no-record", about: "it is leased, and the lease has no record, or half of one" };
const OUTLIVES: Kind =
    Kind { name: "outlives", about: "a lease's record is there, and nobody holds a lease" };
const LEFTOVER: Kind = Kind { name: "leftover", about: "it is not active, and its core still names a lease" };
const REVOKED: Kind =
    Kind { name: "revoked-stamp", about: "it is leased, and says when its lease was revoked" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "lease-record",
    numbers: &[28, 29, 34],
    claim: "Core, lease record and lease_expiry tell of the same lease until the same time, and of none when there is none.",
    expect: Expect::Always,
    kinds: &[DEADLINE, IDENTITY, NO_RECORD, OUTLIVES, LEFTOVER, REVOKED],
    monitor: || Box::new(Rules::new(|_: &Deed<'_>| true, &[of_a_lease, of_none])),
};

fn of_a_lease(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let is_leased = seen.state.ownership == OwnershipState::Leased;
    let is_lost = seen.state.ownership == OwnershipState::LeaseExpiredReclaimable;
    if seen.state.phase != LifecyclePhase::Active || !is_leased && !is_lost {
        return;
    }
    let mut tell =
        |kind, what: &'static str, message| faults.push(Fault { kind, what: what.into(), message });
    let until = number(seen.core.text("lease_expires_at"));
    let score = seen.execution.places(seen.core.lane()).and_then(|places| places.score(Place::LeaseExpiry));
    // That it is in the set at all is for `indexes`.
    if let Some(score) = score.filter(|score| until.is_none_or(|until| differ(*score, until))) {
        let message =
            format!("has a lease until {} by its core, and until {score} by lease_expiry", said(until));
        tell(DEADLINE, "index", message);
    }
    if is_leased && !seen.core.text("lease_revoked_at").is_empty() {
        let at = seen.core.text("lease_revoked_at");
        tell(REVOKED, "", format!("is leased, and lease_revoked_at says {at}"));
    }
    match seen.execution.lease_record().filter(|record| !record.text("lease_id").is_empty()) {
        // After a renewal the record has a time to live: it is longer than the lease's.
        None => {
            if is_leased && until.is_some_and(|until| (seen.now.0 as f64) < until) {
                tell(NO_RECORD, "", "is leased, and lease:current is gone or lacks its fields".to_owned());
            }
        }
        Some(record) => {
            let until_by_record = number(record.text("expires_at"));
            if until.zip(until_by_record).is_none_or(|(one, other)| differ(one, other)) {
                let (one, other) = (said(until), said(until_by_record));
                tell(
                    DEADLINE,
                    "record",
                    format!("has a lease until {one} by its core, and until {other} by lease:current"),
                );
            }
            if let Some(message) = other_lease(seen, &record) {
                tell(IDENTITY, "", message);
            }
        }
    }
}

/// What the record says otherwise than the core.
fn other_lease(seen: &Seen<'_>, record: &Fields<'_>) -> Option<String> {
    let fields = [
        ("current_lease_id", "lease_id"),
        ("current_lease_epoch", "lease_epoch"),
        ("current_attempt_id", "attempt_id"),
        ("current_worker_id", "worker_id"),
        ("current_worker_instance_id", "worker_instance_id"),
    ];
    let (core, field) =
        fields.into_iter().find(|(core, field)| seen.core.text(core) != record.text(field))?;
    Some(format!(
        "has {core} {:?}, and lease:current has {field} {:?}",
        seen.core.text(core),
        record.text(field)
    ))
}

fn of_none(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let is_active = seen.state.phase == LifecyclePhase::Active;
    if is_active && seen.state.ownership != OwnershipState::LeaseRevoked {
        return;
    }
    let state = &seen.state;
    if seen.execution.lease_record().is_some() {
        let message = format!("is {}, {}, and lease:current is there", state.phase, state.ownership);
        faults.push(Fault { kind: OUTLIVES, what: "".into(), message });
    }
    const OF_A_LEASE: [&str; 4] =
        ["current_lease_id", "lease_expires_at", "current_worker_id", "current_worker_instance_id"];
    if is_active {
        return;
    }
    if let Some(field) = OF_A_LEASE.into_iter().find(|field| !seen.core.text(field).is_empty()) {
        let message =
            format!("is {}, and its core still has {field} {:?}", state.phase, seen.core.text(field));
        faults.push(Fault { kind: LEFTOVER, what: "".into(), message });
    }
}

fn said(time: Option<f64>) -> String {
    time.map_or("no time".to_owned(), |time| time.to_string())
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::{
        libraries::{leased, leased_again},
        testing::{Story, cases},
    };

    fn renewed(commands: &str) -> Story {
        leased().step(30, "ff_renew_lease e1 0 a1 l1 1 0 0", "OK", commands)
    }

    fn done(commands: &str) -> Story {
        leased().completes(50, 1).step(60, "ff_set_execution_tags e1", "OK", commands)
    }

    cases! {
        a_renewal_that_two_of_three_do_not_see: "lease-record/ff_renew_lease/OK/deadline",
            renewed("HSET :core lease_expires_at @500"),
            near leased().renews(30, 1);
        a_renewal_that_the_index_does_not_see: "lease-record/ff_renew_lease/OK/deadline",
            renewed("HSET :core lease_expires_at @500; HSET :lease expires_at @500"),
            near leased().renews(30, 1);
        a_record_of_another_lease: "lease-record/ff_renew_lease/OK/identity",
            renewed("HSET :lease worker_id other"),
            near leased_again();
        a_lease_without_its_record: "lease-record/ff_renew_lease/OK/no-record",
            renewed("DEL :lease"),
            near leased_again().renews(150, 2);
        a_record_that_outlives_its_lease: "lease-record/ff_set_execution_tags/OK/outlives",
            done("HSET :lease lease_id l1"),
            near done("");
        a_core_that_still_names_a_lease: "lease-record/ff_set_execution_tags/OK/leftover",
            done("HSET :core current_lease_id l1"),
            near done("HSET :core current_lease_id -");
        a_core_that_still_names_a_worker: "lease-record/ff_set_execution_tags/OK/leftover",
            done("HSET :core current_worker_id w"),
            near done("HSET :core current_worker_id -");
        a_lease_that_says_it_was_revoked: "lease-record/ff_renew_lease/OK/revoked-stamp",
            renewed("HSET :core lease_revoked_at @30"),
            near leased().revokes(30).grants(40, true).reclaims(50, 2);
    }

    #[test]
    fn a_record_may_be_gone_once_its_lease_is_over() {
        let gone = leased().renews(30, 1).reaped(1_200).marks(1_300).grants(1_310, true).reclaims(1_320, 2);
        assert!(gone.fingerprints().is_empty());
    }
}
