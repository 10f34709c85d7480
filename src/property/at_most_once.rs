//! A grant (its execution, its `created_at`) is consumed at most once, and never without a lease.
//!
//! FlowFabric's CG1 to CG3 in part. Whether the grant was still valid is [`expiry`](super::expiry)'s question.

use std::collections::BTreeSet;

use super::{Breach, Property, Scene, ensure};
use crate::trace::{Exec, GrantRef, Seq, What};

#[derive(Default)]
pub(super) struct AtMostOnce {
    /// Grants of which a lease was made.
    spent: BTreeSet<GrantRef>,
    /// Executions whose latest grant was consumed.
    without_grant: BTreeSet<Exec>,
    /// The grant that the call just deleted, and the call.
    taken: Option<(GrantRef, Option<Seq>)>,
}

impl Property for AtMostOnce {
    fn observe(&mut self, scene: &Scene<'_>) -> Result<(), Breach> {
        match &scene.event.what {
            What::GrantIssued { grant, .. } => {
                self.without_grant.remove(&grant.execution);
            }
            What::GrantConsumed { grant } => {
                self.taken = Some((*grant, scene.event.cause));
                self.without_grant.insert(grant.execution);
            }
            What::GrantDropped { grant } => {
                return Err(Breach::new(
                    "grant-without-lease",
                    format!("the grant of {} was consumed and no lease came of it", grant.execution),
                ));
            }
            // The grant is gone, and a second lease came of it all the same.
            What::LeaseCreated { execution, grant: None, epoch, .. } => {
                ensure(!self.without_grant.contains(execution), "spent-grant", || {
                    format!("{execution} got a second lease (epoch {epoch}) from one grant")
                })?;
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
