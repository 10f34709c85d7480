//! The lane the caller chose is the lane in the grant, in the claim, in the lease's execution and in every index.
//!
//! A ClaimGrant carries no lane: the worker passes the one it asked for. A ReclaimGrant carries it. Both must be
//! the lane that the submitter chose.

use std::collections::BTreeMap;

use super::{Breach, Property, Scene, ensure};
use crate::trace::{Exec, Summary, What};

#[derive(Default)]
pub(super) struct Lane {
    chosen: BTreeMap<Exec, String>,
}

impl Lane {
    fn check(&self, execution: Exec, lane: &str, role: &'static str, place: &str) -> Result<(), Breach> {
        let Some(chosen) = self.chosen.get(&execution) else { return Ok(()) };
        ensure(lane == chosen, role, || {
            format!("{execution} was submitted to lane {chosen}, and {place} says {lane}")
        })
    }
}

impl Property for Lane {
    fn observe(&mut self, scene: &Scene<'_>) -> Result<(), Breach> {
        match &scene.event.what {
            What::Created { execution, lane, .. } => {
                let submitted = scene.call.map_or(lane, |call| &call.presented.lane);
                self.chosen.insert(*execution, submitted.clone());
                self.check(*execution, lane, "core", "its core")
            }
            What::GrantIssued { grant, lane, .. } => self.check(grant.execution, lane, "grant", "its grant"),
            What::LeaseCreated { execution, .. } => {
                let Some(call) = scene.call else { return Ok(()) };
                self.check(*execution, &call.presented.lane, "claim", "the claim")
            }
            What::LaneWritten { execution, field, lane } => self.check(*execution, lane, "core", field),
            What::Indexed { execution, index } => match &index.lane {
                Some(lane) => self.check(*execution, lane, "index", &format!("the index {}", index.name)),
                None => Ok(()),
            },
            What::Told { message: Summary::ReclaimGrant { execution, lane, .. }, .. } => {
                self.check(*execution, lane, "reclaim-grant", "its ReclaimGrant")
            }
            _ => Ok(()),
        }
    }
}
