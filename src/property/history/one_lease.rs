//! An execution has at most one live lease, and the epochs of its leases strictly rise (L1, E3; 7 and 9 of
//! `docs/protocol.md`).
//!
//! A lease is live until it is given back, revoked, or the server's clock reaches the millisecond at which it expires; one
//! that was marked expired before that is live all the same. Not here: that ids of leases and attempts are fresh (10).

use std::collections::BTreeMap;

use super::{called_off::CalledOff, untold::Untold};
use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Change, Event, Happened, Moment, Step},
    types::{ExecutionId, ExecutionName, LeaseEpoch},
    view::{Lease, View},
};

const LIVE_LEASE: Kind =
    Kind { name: "live-lease", about: "a lease was created while another one of the execution was live" };
const EPOCH: Kind =
    Kind { name: "epoch", about: "a lease got an epoch that was no higher than all before it" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "one-lease",
    numbers: &[7, 9],
    claim: "An execution has at most one live lease, and the epochs of its leases strictly rise.",
    expect: Expect::Always,
    kinds: &[LIVE_LEASE, EPOCH],
    monitor: || Box::<OneLease>::default(),
};

#[derive(Clone, Default, Hash)]
struct OneLease {
    called_off: CalledOff,
    /// The highest epoch so far: also one that a power loss made undone was told to a worker.
    highest: BTreeMap<ExecutionName, LeaseEpoch>,
    /// The highest that somebody was told, and those that nobody was told yet.
    told: BTreeMap<ExecutionName, LeaseEpoch>,
    untold: Untold<(ExecutionName, ExecutionId, LeaseEpoch)>,
}

impl Property for OneLease {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let step = match moment {
            Moment::Step(step) => step,
            Moment::Client(event) => return self.told(event),
            Moment::Rewound { to, .. } => return self.rewound(to),
            _ => return,
        };
        for change in step.changes() {
            if let Happened::LeaseCreated { lease, .. } = &change.what {
                self.check_live(step, change, lease, found);
                self.check_epoch(&change.execution, lease.epoch, found);
                let made = (change.execution.clone(), change.id.clone(), lease.epoch);
                self.untold.add(step.head.seq, made);
            }
        }
        self.called_off.note(step);
    }
}

impl OneLease {
    fn told(&mut self, event: &Event) {
        if let Some((execution, _, epoch)) = self.untold.told(event) {
            for known in [&mut self.told, &mut self.highest] {
                let highest = known.entry(execution.clone()).or_insert(epoch);
                *highest = epoch.max(*highest);
            }
        }
    }

    /// A lease that the server has forgotten, and of which nobody was told, was never made.
    fn rewound(&mut self, to: &View) {
        for (execution, id, _) in self.untold.iter() {
            let there = to.execution(id).core().map_or(LeaseEpoch(0), |core| core.epoch());
            let told = self.told.get(execution).copied().unwrap_or(LeaseEpoch(0));
            self.highest.insert(execution.clone(), there.max(told));
        }
    }
}

impl OneLease {
    fn check_live(&self, step: &Step<'_>, change: &Change, lease: &Lease, found: &mut Found<'_>) {
        let execution = &change.execution;
        let before = step.before.execution(&change.id);
        let ownership = before.core().map(|core| core.ownership());
        let is_over = |old: &Lease| {
            ownership.as_ref().is_some_and(|state| self.called_off.is_over(execution, old, state))
        };
        let old = before.lease().or_else(|| self.called_off.of(execution).cloned());
        if let Some(old) = old.filter(|old| old.is_live(step.now) && !is_over(old)) {
            let message = format!(
                "{execution} got a lease (epoch {}) while that of epoch {} was live for {} ms more",
                lease.epoch,
                old.epoch,
                old.expires_at.0 - step.now.0
            );
            found.violation(LIVE_LEASE, Some(execution), message);
        }
    }

    fn check_epoch(&mut self, execution: &ExecutionName, epoch: LeaseEpoch, found: &mut Found<'_>) {
        let highest = self.highest.entry(execution.clone()).or_insert(LeaseEpoch(0));
        if epoch <= *highest {
            let message = format!("{execution} got a lease of epoch {epoch} after one of epoch {highest}");
            found.violation(EPOCH, Some(execution), message);
        }
        *highest = epoch.max(*highest);
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    /// The first lease is valid until 100; the execution is granted again in time.
    fn leased() -> Story {
        Story::new().created(0).granted(10, 50).claimed(20, 1, 100)
    }

    cases! {
        a_lease_a_millisecond_before_the_other_is_over: "one-lease/ff_reclaim_execution/OK/live-lease",
            leased().reclaim_granted(90, 200).reclaimed(99, 2, 900),
            near leased().reclaim_granted(90, 200).reclaimed(100, 2, 900);
        a_lease_that_was_marked_early_is_live: "one-lease/ff_reclaim_execution/OK/live-lease",
            leased().marked(99).reclaim_granted(99, 200).reclaimed(99, 2, 900),
            // Marked in its time, and then the clock was set back.
            near leased().marked(100).reclaim_granted(60, 200).reclaimed(70, 2, 900);
        a_lease_that_was_removed_early_is_live: "one-lease/ff_claim_execution/OK/live-lease",
            leased().marked_and_freed(99).granted(99, 200).claimed(99, 2, 900),
            near leased().marked_and_freed(99).granted(99, 200).claimed(100, 2, 900);
        a_lease_that_was_removed_in_time_is_over: "one-lease/ff_claim_execution/OK/epoch",
            leased().marked_and_freed(100).granted(100, 200).claimed(100, 1, 900).delayed(110, 1).granted(120, 200).claimed(120, 1, 901),
            near leased().marked_and_freed(100).granted(60, 200).claimed(70, 2, 900);
        an_epoch_that_goes_back: "one-lease/ff_claim_execution/OK/epoch",
            leased().delayed(30, 1).granted(40, 200).claimed(50, 3, 300).delayed(60, 3).granted(70, 200).claimed(80, 2, 900),
            near leased().delayed(30, 1).granted(40, 200).claimed(50, 3, 300).delayed(60, 3).granted(70, 200).claimed(80, 4, 900);
    }

    #[test]
    fn a_revoked_lease_is_over_and_so_is_one_that_was_given_back() {
        assert!(
            leased().revoked(30).reclaim_granted(40, 200).reclaimed(50, 2, 900).fingerprints().is_empty()
        );
        assert!(leased().delayed(30, 1).granted(40, 200).claimed(50, 2, 900).fingerprints().is_empty());
    }

    #[test]
    fn a_renewed_lease_is_live_until_its_new_end() {
        let renewed = || leased().renewed(90, 1, 150).reclaim_granted(95, 400);
        assert_eq!(
            renewed().reclaimed(149, 2, 900).fingerprints(),
            ["one-lease/ff_reclaim_execution/OK/live-lease"]
        );
        assert!(renewed().reclaimed(150, 2, 900).fingerprints().is_empty());
    }

    #[test]
    fn two_kinds_in_one_run_are_both_reported_and_the_same_one_is_counted() {
        let claim = |story: Story, at, n| story.reclaim_granted(at - 1, 999).reclaimed(at, n, 900);
        let story = claim(claim(claim(leased(), 50, 2), 60, 3), 70, 1);
        let found = story.verdict().violations;
        let told: Vec<_> = found.iter().map(|v| (v.fingerprint.kind(), v.at, v.times)).collect();
        assert_eq!(told, [("live-lease", 4, 3), ("epoch", 8, 1)]);
        assert!(found[0].message.contains("50 ms more"), "{}", found[0].message);
    }

    #[test]
    fn an_epoch_that_a_power_loss_made_undone_is_not_used_again() {
        let claimed = || leased().delayed(30, 1).granted(40, 400).kept().claimed(50, 2, 900);
        let again = |story: Story| story.rewound().reaped(401).granted(410, 500);
        let told = || again(claimed().told("ff_claim_execution"));
        assert_eq!(told().claimed(420, 2, 901).fingerprints(), ["one-lease/ff_claim_execution/OK/epoch"]);
        assert!(told().claimed(420, 3, 901).fingerprints().is_empty());
        assert!(again(claimed()).claimed(420, 2, 901).fingerprints().is_empty(), "nobody was told of it");
    }

    #[test]
    fn an_epoch_below_the_highest_is_reported_each_time() {
        let claim = |story: Story, at, n| story.reclaim_granted(at - 1, 999).reclaimed(at, n, at + 1);
        let found = claim(claim(claim(leased(), 100, 5), 110, 2), 120, 3).verdict().violations;
        assert_eq!((found.len(), found[0].fingerprint.kind(), found[0].times), (1, "epoch", 2));
    }

    #[test]
    fn a_revoked_lease_is_over_even_where_its_record_stays() {
        let revoked =
            leased().step(30, "ff_revoke_lease e1 - why", "OK", "HSET :core ownership_state lease_revoked");
        assert!(revoked.reclaim_granted(40, 200).reclaimed(50, 2, 900).fingerprints().is_empty());
    }
}
