//! Nothing is accepted from a lease that is not the current one, or is over (L2, L3; RFC-003 §5–6; 8, 12 and 53 of
//! `docs/protocol.md`).
//!
//! Accepted means written: the lease was renewed or ended, or the execution's state changed. A call whose lease has expired
//! may mark it so, and nothing else. Not here: calls that present no lease (scanners, operators), and what a call does to
//! other executions than the one it names.

use super::called_off::CalledOff;
use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    protocol::Presented,
    trace::{Call, Happened, Moment, Step},
    types::{Answer, ExecutionId, ExecutionName, Function, LeaseEpoch, OwnershipState},
    view::{Execution, Lease, View},
};

const NO_LEASE: Kind = Kind {
    name: "no-lease",
    about: "accepted for an execution that never had a lease, has ended, or does not exist",
};
const FORMER_OWNER: Kind = Kind {
    name: "former-owner",
    about: "accepted for an execution that nobody owns and that waits to go on",
};
const STALE_LEASE: Kind =
    Kind { name: "stale-lease", about: "accepted although another lease, epoch or attempt is current" };
const OTHER_ATTEMPT: Kind = Kind {
    name: "other-attempt",
    about: "accepted although the caller names the index of another attempt than the current one",
};
const REVOKED_LEASE: Kind =
    Kind { name: "revoked-lease", about: "accepted under a lease that had been revoked" };
const EXPIRED_LEASE: Kind =
    Kind { name: "expired-lease", about: "accepted under a lease that had expired by the server's clock" };
const MARKED_LEASE: Kind = Kind {
    name: "marked-lease",
    about: "accepted under a lease that had expired and was marked so, before the server's clock was set back",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "fence",
    numbers: &[8, 12, 53],
    claim: "Nothing is accepted from a lease that is not the current one, or is over.",
    expect: Expect::Always,
    kinds: &[NO_LEASE, FORMER_OWNER, STALE_LEASE, OTHER_ATTEMPT, REVOKED_LEASE, EXPIRED_LEASE, MARKED_LEASE],
    monitor: || Box::<Fence>::default(),
};

#[derive(Clone, Default, Hash)]
struct Fence {
    called_off: CalledOff,
}

/// What is wrong with a call that was accepted.
struct Wrong {
    kind: Kind,
    /// `whose lease …`
    message: String,
}

impl Property for Fence {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        if let Some((call, id)) = fenced(step)
            && is_accepted(step, call, id)
        {
            let name = step.names.of(id);
            if let Some(Wrong { kind, message }) = self.wrong(step, &name, id, call) {
                let message =
                    format!("{} by {} was accepted for {name}, {message}", call.function, call.caller);
                found.violation(kind, Some(&name), message);
            }
        }
        self.called_off.note(step);
    }
}

/// The call, if it presents a lease, and the execution that it names.
fn fenced<'s>(step: &'s Step<'_>) -> Option<(&'s Call<'s>, &'s ExecutionId)> {
    let call = step.call.as_ref().filter(|call| call.presented.is_fenced())?;
    Some((call, call.presented.execution.as_ref()?))
}

/// Whether the step wrote what only the owner of the execution may write.
fn is_accepted(step: &Step<'_>, call: &Call<'_>, id: &ExecutionId) -> bool {
    if matches!(call.function, Function::AppendFrame | Function::UpdateProgress) {
        return matches!(call.answer, Answer::Consent(_)) && !step.effects.is_empty();
    }
    let mut changes = step.changes().iter().filter(|change| change.id == *id);
    changes.any(|change| match &change.what {
        Happened::LeaseRenewed { .. } => true,
        Happened::LeaseEnded { .. } => !is_record_expired(step, id),
        Happened::StateChanged { to, .. } => {
            !matches!(to.ownership, OwnershipState::Leased | OwnershipState::LeaseExpiredReclaimable)
        }
        _ => false,
    })
}

/// Whether the server itself removed the record of the lease, since its key's time was up.
fn is_record_expired(step: &Step<'_>, id: &ExecutionId) -> bool {
    let key = step.before.execution(id).keys().exec.lease_current();
    step.before.expires_at(&key).is_some_and(|last| last < step.now)
}

impl Fence {
    fn wrong(
        &self,
        step: &Step<'_>,
        name: &ExecutionName,
        id: &ExecutionId,
        call: &Call<'_>,
    ) -> Option<Wrong> {
        let shown = &call.presented;
        let wrong = |kind, message: String| Some(Wrong { kind, message });
        let execution = step.before.execution(id);
        let Some((lease, ownership)) = held(&execution) else {
            return if waits(&execution) {
                wrong(FORMER_OWNER, "which nobody owns".into())
            } else {
                wrong(NO_LEASE, "which has no lease".into())
            };
        };
        let LeaseEpoch(epoch) = lease.epoch;
        if !is_current(step.before, &lease, shown) {
            let message =
                format!("whose lease is of epoch {epoch}, not {}, or of another attempt", shown.epoch);
            return wrong(STALE_LEASE, message);
        }
        if let Some(index) = other_attempt(&execution, call)
            && step.before.is_told("attempt_index")
        {
            return wrong(OTHER_ATTEMPT, format!("whose current attempt is not the {index}th"));
        }
        if ownership == OwnershipState::LeaseRevoked {
            return wrong(REVOKED_LEASE, format!("whose lease (epoch {epoch}) had been revoked"));
        }
        if !lease.is_live(step.now) {
            let late_ms = step.now.0 - lease.expires_at.0;
            return wrong(
                EXPIRED_LEASE,
                format!("whose lease (epoch {epoch}) had expired {late_ms} ms before"),
            );
        }
        if self.called_off.is_over(name, &lease, &ownership) {
            return wrong(MARKED_LEASE, format!("whose lease (epoch {epoch}) had been marked expired"));
        }
        None
    }
}

/// The lease under which an execution is owned: as its record says, or, where that is gone, its core.
fn held(execution: &Execution<'_>) -> Option<(Lease, OwnershipState)> {
    let core = execution.core()?;
    let ownership = core.ownership();
    if core.is_terminal() || ownership == OwnershipState::Unowned {
        return None;
    }
    let lease = execution.lease().or_else(|| core.lease())?;
    Some((lease, ownership))
}

/// Whether it had a lease once and waits for its next.
fn waits(execution: &Execution<'_>) -> bool {
    execution.core().is_some_and(|core| !core.is_terminal() && core.epoch() > LeaseEpoch(0))
}

/// The index of the attempt that the caller names, if another one is current. Most calls name it in a key only, which is
/// accepted (docs/protocol.md, promise 53).
fn other_attempt(execution: &Execution<'_>, call: &Call<'_>) -> Option<String> {
    if !matches!(call.function, Function::RenewLease | Function::SuspendExecution) {
        return None;
    }
    let (named, current) = (call.argv.get(1)?, execution.core()?.text("current_attempt_index"));
    let is_other = !current.is_empty() && current.as_bytes() != *named;
    is_other.then(|| String::from_utf8_lossy(named).into_owned())
}

/// Whether the lease is the one that is presented, by every part of it that the library is told.
fn is_current(view: &View, lease: &Lease, shown: &Presented) -> bool {
    let is_same = |part, shown: &str, own: &str| shown == own || !view.is_told(part);
    is_same("lease_id", &shown.lease_id, &lease.id)
        && is_same("epoch", &shown.epoch, &lease.epoch.to_string())
        && (shown.attempt_id.is_empty() || is_same("attempt_id", &shown.attempt_id, &lease.attempt_id))
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    /// The first lease is valid until 100.
    fn leased() -> Story {
        Story::new().created(0).granted(10, 50).claimed(20, 1, 100)
    }

    /// The second lease is valid until 300.
    fn leased_again() -> Story {
        leased().marked(100).reclaim_granted(110, 200).reclaimed(120, 2, 300)
    }

    const SUSPENDED: &str = "DEL :lease; ZREM :lane:gold:active e1; HSET :core lifecycle_phase suspended ownership_state unowned \
         current_suspension_id s1 current_waitpoint_id w1; HSET :e1:suspension:current suspension_id s1 waitpoint_id w1; \
         HSET :wp:w1 state active execution_id e1 suspension_id s1 waitpoint_token t; HSET :wp:w1:condition closed 0";

    cases! {
        a_cancel_of_an_execution_that_was_never_leased: "fence/ff_cancel_execution/OK/no-lease",
            Story::new().created(0).cancelled(10, 1),
            near Story::new().created(0).step(10, "ff_cancel_execution e1 why operator_override l1 1", "OK", "HSET :core lifecycle_phase terminal ownership_state unowned eligibility_state not_applicable");
        a_completion_of_an_execution_that_has_ended: "fence/ff_complete_execution/OK/no-lease",
            leased().completed(30, 1).step(40, "ff_complete_execution e1 l1 1 a1 done lease_holder", "OK", "HSET :core public_state completed"),
            near leased().completed(30, 1).step(40, "ff_complete_execution e1 l1 1 a1 done lease_holder", "execution_not_active", "");
        a_cancel_by_a_former_owner: "fence/ff_cancel_execution/OK/former-owner",
            leased().delayed(30, 1).cancelled(40, 1),
            near leased().cancelled(40, 1);
        a_renewal_that_names_another_attempt: "fence/ff_renew_lease/OK/other-attempt",
            leased().plain(30, "HSET :core current_attempt_index 1").renewed(40, 1, 200),
            near leased().plain(30, "HSET :core current_attempt_index 0").renewed(40, 1, 200);
        a_suspension_by_a_former_owner: "fence/ff_suspend_execution/OK/former-owner",
            leased().marked_and_freed(100).step(101, "ff_suspend_execution e1 0 a1 l1 1", "OK", SUSPENDED),
            near leased().step(99, "ff_suspend_execution e1 0 a1 l1 1", "OK", SUSPENDED);
        a_renewal_of_the_lease_before_the_current_one: "fence/ff_renew_lease/OK/stale-lease",
            leased_again().renewed(130, 1, 500),
            near leased_again().renewed(130, 2, 500);
        a_completion_for_another_attempt: "fence/ff_complete_execution/OK/stale-lease",
            leased().step(30, "ff_complete_execution e1 l1 1 a2 done lease_holder", "OK", "DEL :lease; HSET :core lifecycle_phase terminal ownership_state unowned"),
            near leased().step(30, "ff_complete_execution e1 l1 1 a1 done lease_holder", "OK", "DEL :lease; HSET :core lifecycle_phase terminal ownership_state unowned");
        a_renewal_with_another_epoch: "fence/ff_renew_lease/OK/stale-lease",
            leased().step(30, "ff_renew_lease e1 0 a1 l1 2 70 0", "OK", "HSET :lease expires_at @500"),
            near leased().step(30, "ff_renew_lease e1 0 a1 l1 1 70 0", "OK", "HSET :lease expires_at @500");
        a_completion_under_a_revoked_lease: "fence/ff_complete_execution/OK/revoked-lease",
            leased().step(30, "ff_revoke_lease e1 - why", "OK", "HSET :core ownership_state lease_revoked").completed(40, 1),
            near leased().revoked(30).step(40, "ff_complete_execution e1 l1 1 a1 done lease_holder", "lease_revoked", "");
        a_cancel_under_a_revoked_lease_whose_record_is_gone: "fence/ff_cancel_execution/OK/revoked-lease",
            leased().revoked(30).cancelled(40, 1),
            near leased().revoked(30).step(40, "ff_cancel_execution e1 why operator_override - -", "OK", "HSET :core lifecycle_phase terminal ownership_state unowned");
        a_completion_in_the_millisecond_of_expiry: "fence/ff_complete_execution/OK/expired-lease",
            leased().completed(100, 1),
            near leased().completed(99, 1);
        a_renewal_that_revives_a_lease: "fence/ff_renew_lease/OK/expired-lease",
            leased().renewed(101, 1, 500),
            near leased().step(101, "ff_renew_lease e1 0 a1 l1 1 0 0", "lease_expired", "HSET :core ownership_state lease_expired_reclaimable");
        a_cancel_under_an_expired_lease_whose_record_is_gone: "fence/ff_cancel_execution/OK/expired-lease",
            leased().plain(20, "PEXPIREAT :lease @150").reaped(151).cancelled(160, 1),
            // The record goes by itself while a call that is refused looks at it.
            near leased().plain(20, "PEXPIREAT :lease @150").step(151, "ff_complete_execution e1 l1 1 a1 done lease_holder", "lease_expired", "TYPE :lease; HSET :core ownership_state lease_expired_reclaimable");
        a_renewal_of_a_marked_lease_after_the_clock_was_set_back: "fence/ff_renew_lease/OK/marked-lease",
            leased().marked(100).renewed(60, 1, 500),
            // Marked by somebody who may not have been right.
            near leased().marked(99).renewed(99, 1, 500);
        a_completion_of_a_marked_lease_after_the_clock_was_set_back: "fence/ff_complete_execution/OK/marked-lease",
            leased().step(100, "ff_renew_lease e1 0 a1 l1 1 0 0", "lease_expired", "HSET :core ownership_state lease_expired_reclaimable").completed(99, 1),
            near leased().marked(99).completed(99, 1);
    }

    #[test]
    fn a_marked_lease_that_the_clock_has_reached_is_expired() {
        assert_eq!(
            leased().marked(100).completed(100, 1).fingerprints(),
            ["fence/ff_complete_execution/OK/expired-lease"]
        );
    }

    #[test]
    fn a_lease_that_was_marked_early_and_then_in_time_is_over() {
        let story = leased()
            .marked(99)
            .step(99, "ff_moon_phase e1", "OK", "HSET :core ownership_state leased")
            .marked(100);
        assert_eq!(story.renewed(60, 1, 500).fingerprints(), ["fence/ff_renew_lease/OK/marked-lease"]);
    }

    #[test]
    fn it_goes_on_after_a_stale_write_was_accepted_and_does_not_blame_the_owner() {
        // The stale renewal moves the current lease's expiry; the owner goes on as before.
        let story = leased_again()
            .renewed(130, 1, 500)
            .renewed(140, 2, 500)
            .renewed(150, 1, 600)
            .completed(160, 2)
            .cancelled(170, 2);
        let told: Vec<_> =
            story.verdict().violations.into_iter().map(|v| (v.fingerprint.to_string(), v.times)).collect();
        // The cancel of what has ended changes terminal_outcome.
        assert_eq!(
            told,
            [
                ("fence/ff_renew_lease/OK/stale-lease".into(), 2),
                ("fence/ff_cancel_execution/OK/no-lease".into(), 1),
                ("terminal/ff_cancel_execution/OK/other-outcome".into(), 1),
            ]
        );
    }

    #[test]
    fn a_refusal_that_writes_is_accepted_all_the_same() {
        let call = "ff_complete_execution e1 l1 1 a1 done lease_holder";
        let story = leased().step(
            100,
            call,
            "lease_expired",
            "HSET :core lifecycle_phase terminal ownership_state unowned",
        );
        assert_eq!(
            story.fingerprints(),
            [
                "fence/ff_complete_execution/lease_expired/expired-lease",
                "refusal-writes/ff_complete_execution/lease_expired/wrote"
            ]
        );
    }

    #[test]
    fn after_a_power_loss_the_lease_is_the_earlier_one() {
        let story = || leased().kept().delayed(30, 1).granted(35, 90).claimed(40, 2, 300).rewound();
        assert!(story().renewed(50, 1, 500).fingerprints().is_empty());
        assert_eq!(story().renewed(50, 2, 500).fingerprints(), ["fence/ff_renew_lease/OK/stale-lease"]);
    }

    #[test]
    fn a_record_that_was_left_behind_makes_nobody_an_owner() {
        let call = "ff_complete_execution e1 l1 1 a1 done lease_holder";
        let left = |state: &str| leased().step(30, call, "OK", &format!("HSET :core {state}"));
        let ended = left("lifecycle_phase terminal ownership_state leased");
        let again = ended.step(40, call, "OK", "HSET :core ownership_state unowned");
        assert_eq!(again.fingerprints(), ["fence/ff_complete_execution/OK/no-lease"]);
        let freed = left("lifecycle_phase runnable ownership_state unowned");
        assert_eq!(freed.cancelled(40, 1).fingerprints(), ["fence/ff_cancel_execution/OK/former-owner"]);
    }

    #[test]
    fn a_library_cannot_tell_leases_apart_by_what_it_is_not_told() {
        let story = |told: &str| leased().plain(25, &format!("SET grantsim:table {told}"));
        let is_told = |told: &str, fence: &str| {
            let call = format!("ff_renew_lease e1 {fence} 70 0");
            !story(told).step(30, &call, "OK", "HSET :lease expires_at @500").fingerprints().is_empty()
        };
        let [lease, epoch, attempt] = ["0 a1 l9 1", "0 a1 l1 9", "0 a9 l1 1"];
        assert_eq!([lease, epoch, attempt].map(|it| is_told("lease_id", it)), [true, false, false]);
        assert_eq!([lease, epoch, attempt].map(|it| is_told("epoch", it)), [false, true, false]);
        assert_eq!([lease, epoch, attempt].map(|it| is_told("attempt_id", it)), [false, false, true]);
        let other = "HSET :core current_attempt_index 1";
        let named = |told: &str| story(told).plain(26, other).renewed(40, 1, 200).fingerprints();
        assert_eq!(named("attempt_index"), ["fence/ff_renew_lease/OK/other-attempt"]);
        assert!(named("epoch").is_empty());
    }

    #[test]
    fn to_end_the_lease_is_enough() {
        let call = "ff_complete_execution e1 l1 1 a1 done lease_holder";
        let story = leased_again().step(130, call, "OK", "DEL :lease");
        assert_eq!(story.fingerprints(), ["fence/ff_complete_execution/OK/stale-lease"]);
    }
}
