//! A grant (its execution, its `created_at`) is consumed at most once, and never without a lease.
//!
//! FlowFabric's CG1 to CG3 in part. Whether the grant was still valid is [`expiry`](super::expiry)'s question.

use std::collections::BTreeSet;

use super::{Breach, Property, Scene, ensure};
use crate::trace::{GrantRef, Seq, What};

#[derive(Default)]
pub(super) struct AtMostOnce {
    /// Grants of which a lease was made.
    spent: BTreeSet<GrantRef>,
    /// The grant that the call just deleted, and the call.
    taken: Option<(GrantRef, Option<Seq>)>,
}

impl Property for AtMostOnce {
    fn observe(&mut self, scene: &Scene<'_>) -> Result<(), Breach> {
        match &scene.event.what {
            What::GrantConsumed { grant } => self.taken = Some((*grant, scene.event.cause)),
            What::GrantDropped { grant } => {
                return Err(Breach::new(
                    "grant-without-lease",
                    format!("the grant of {} was consumed and no lease came of it", grant.execution),
                ));
            }
            What::LeaseCreated { execution, grant: Some(grant), epoch, .. } => {
                ensure(self.spent.insert(*grant), "spent-grant", || {
                    format!("{execution} got a second lease (epoch {epoch}) from one grant")
                })?;
                ensure(self.taken == Some((*grant, scene.event.cause)), "grant-left-behind", || {
                    format!(
                        "{execution} got a lease (epoch {epoch}) and its grant still lies there for another"
                    )
                })?;
            }
            _ => {}
        }
        Ok(())
    }
}
