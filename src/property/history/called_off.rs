//! Leases that were said to have expired before they had: whoever says so does not end them.
//!
//! A library marks a lease expired by its ownership state, or removes the lease and frees the execution. If the lease was
//! live by the server's clock at that moment, its worker still counts on it, and so do the properties that ask here.

use std::collections::BTreeMap;

use crate::{
    trace::{Change, Happened, Step},
    types::{ExecutionName, Function, LifecyclePhase, OwnershipState, TimestampMs},
    view::Lease,
};

/// Which lease of an execution was called off while it was live.
#[derive(Clone, Default, Hash)]
pub(super) struct CalledOff(BTreeMap<ExecutionName, Lease>);

impl CalledOff {
    /// The lease that was called off, with the expiry that it had.
    pub(super) fn of(&self, execution: &ExecutionName) -> Option<&Lease> {
        self.0.get(execution)
    }

    /// Whether a lease was marked expired when it had expired, so that it is over, whatever the clock says later.
    pub(super) fn is_over(
        &self,
        execution: &ExecutionName,
        lease: &Lease,
        ownership: &OwnershipState,
    ) -> bool {
        let is_early =
            self.of(execution).is_some_and(|early| (&early.id, early.epoch) == (&lease.id, lease.epoch));
        *ownership == OwnershipState::LeaseRevoked
            || (*ownership == OwnershipState::LeaseExpiredReclaimable && !is_early)
    }

    /// Takes a step in. Properties judge first: they judge by what was before.
    pub(super) fn note(&mut self, step: &Step<'_>) {
        for change in step.changes() {
            if calls_off(step, change) {
                self.called_off(&change.execution, step.before.execution(&change.id).lease(), step.now);
            } else if settles(change) {
                self.0.remove(&change.execution);
            }
        }
    }

    fn called_off(&mut self, execution: &ExecutionName, lease: Option<Lease>, now: TimestampMs) {
        match lease.filter(|lease| lease.is_live(now)) {
            Some(early) => self.0.insert(execution.clone(), early),
            None => self.0.remove(execution),
        };
    }
}

/// Whether the step says here that a lease has expired.
fn calls_off(step: &Step<'_>, change: &Change) -> bool {
    let is_marked = |state: &OwnershipState| *state == OwnershipState::LeaseExpiredReclaimable;
    match &change.what {
        Happened::StateChanged { from, to } => {
            is_marked(&to.ownership) && !from.as_ref().is_some_and(|from| is_marked(&from.ownership))
        }
        Happened::LeaseEnded { .. } => {
            step.call.as_ref().is_some_and(|call| call.function == Function::MarkLeaseExpiredIfDue)
        }
        _ => false,
    }
}

/// Whether nothing hangs on an earlier lease any more.
fn settles(change: &Change) -> bool {
    match &change.what {
        Happened::LeaseCreated { .. } => true,
        Happened::StateChanged { to, .. } => to.phase == LifecyclePhase::Terminal,
        _ => false,
    }
}
