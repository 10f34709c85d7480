//! No lease comes from a grant that had expired by the server's clock, nor from none.
//!
//! A grant is valid up to and including the millisecond it names (`grant_expires_at < now` refuses).

use std::collections::BTreeMap;

use super::{Breach, Property, Scene, ensure};
use crate::trace::{GrantRef, What};

#[derive(Default)]
pub(super) struct Expiry {
    expires_at_ms: BTreeMap<GrantRef, i64>,
}

impl Property for Expiry {
    fn observe(&mut self, scene: &Scene<'_>) -> Result<(), Breach> {
        match &scene.event.what {
            What::GrantIssued { grant, expires_at_ms, .. } => {
                self.expires_at_ms.insert(*grant, *expires_at_ms);
            }
            What::LeaseCreated { execution, grant: None, .. } => {
                return Err(Breach::new(
                    "no-grant",
                    format!("{execution} got a lease, and there was no valid grant"),
                ));
            }
            What::LeaseCreated { execution, grant: Some(grant), .. } => {
                let expired_at_ms = self.expires_at_ms.get(grant).copied().unwrap_or(i64::MAX);
                let now_ms = scene.call.map_or(i64::MIN, |call| call.now_ms);
                ensure(now_ms <= expired_at_ms, "expired-grant", || {
                    format!(
                        "{execution} got a lease from a grant that had expired {} ms before",
                        now_ms - expired_at_ms
                    )
                })?;
            }
            _ => {}
        }
        Ok(())
    }
}
