//! An execution has at most one live lease, and the epochs of its leases strictly rise.
//!
//! A lease is live until it is given back, revoked, or the server's clock reaches the millisecond at which it
//! expires (FlowFabric's L1, E3).

use std::collections::BTreeMap;

use super::{Breach, Leases, Property, Scene, ensure};
use crate::trace::{Exec, What};

#[derive(Default)]
pub(super) struct OneLease {
    leases: Leases,
    last_epoch: BTreeMap<Exec, u64>,
}

impl Property for OneLease {
    fn observe(&mut self, scene: &Scene<'_>) -> Result<(), Breach> {
        if let What::LeaseCreated { execution, epoch, .. } = &scene.event.what {
            let now_ms = scene.call.map_or(i64::MIN, |call| call.now_ms);
            if let Some(held) = self.leases.get(*execution) {
                ensure(!held.is_live(now_ms), "live-lease", || {
                    format!(
                        "{execution} got a lease (epoch {epoch}) while that of epoch {} was live",
                        held.epoch
                    )
                })?;
            }
            let last = self.last_epoch.insert(*execution, *epoch).unwrap_or(0);
            ensure(*epoch > last, "epoch", || {
                format!("{execution} got a lease of epoch {epoch} after one of epoch {last}")
            })?;
        }
        self.leases.fold(scene);
        Ok(())
    }
}
