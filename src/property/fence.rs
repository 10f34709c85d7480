//! Nothing is accepted from a lease that is not the current one.
//!
//! Accepted means written: a renewal, an end of the lease, a change of the execution's state. A call whose lease
//! has expired may mark it so, and nothing else (FlowFabric's L2, L3). Calls that present no lease (scanners,
//! operators) are not this property's business.

use super::{Breach, Leases, Property, Scene, ensure};
use crate::trace::{Called, Exec, What};

#[derive(Default)]
pub(super) struct Fence {
    leases: Leases,
}

impl Property for Fence {
    fn observe(&mut self, scene: &Scene<'_>) -> Result<(), Breach> {
        let call = scene.call.filter(|call| call.presented.is_fenced());
        let verdict = match (&scene.event.what, call) {
            (What::StateChanged { ownership, .. }, Some(_)) if ownership == "lease_expired_reclaimable" => {
                Ok(())
            }
            (What::StateChanged { execution, ownership, .. }, Some(call)) if ownership != "leased" => {
                self.check(*execution, call)
            }
            (What::LeaseRenewed { execution, .. } | What::LeaseEnded { execution, .. }, Some(call)) => {
                self.check(*execution, call)
            }
            _ => Ok(()),
        };
        self.leases.fold(scene);
        verdict
    }
}

impl Fence {
    fn check(&self, execution: Exec, call: &Called) -> Result<(), Breach> {
        let said =
            |what: &str| format!("{} by {} was accepted for {execution}, {what}", call.function, call.caller);
        let Some(held) = self.leases.get(execution) else {
            return Err(Breach::new("no-lease", said("which has no lease")));
        };
        let shown = &call.presented;
        let is_current = shown.lease_id == held.lease_id
            && shown.epoch == held.epoch.to_string()
            && (shown.attempt_id.is_empty() || shown.attempt_id == held.attempt_id);
        ensure(is_current, "stale-lease", || {
            said(&format!("whose lease is of epoch {}, not {}", held.epoch, shown.epoch))
        })?;
        ensure(held.is_live(call.now_ms), "expired-lease", || said("whose lease was over"))
    }
}
