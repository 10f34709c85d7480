//! An execution that is eligible now is in its lane's eligible set: no scheduler would ever find it elsewhere.
//!
//! The part of FlowFabric's index membership (its V and F rules) on which every grant depends. It holds between
//! calls: within one, the state changes before the indexes do.

use std::collections::BTreeMap;

use super::{Breach, Property, Scene, ensure};
use crate::trace::{Exec, IndexName, What};

#[derive(Default)]
pub(super) struct Eligible {
    executions: BTreeMap<Exec, Standing>,
    /// What the present call has touched.
    touched: Vec<Exec>,
}

#[derive(Default)]
struct Standing {
    eligible: bool,
    listed: bool,
}

impl Eligible {
    fn touch(&mut self, execution: Exec) -> &mut Standing {
        if !self.touched.contains(&execution) {
            self.touched.push(execution);
        }
        self.executions.entry(execution).or_default()
    }
}

impl Property for Eligible {
    fn observe(&mut self, scene: &Scene<'_>) -> Result<(), Breach> {
        match &scene.event.what {
            What::StateChanged { execution, eligibility, .. } => {
                self.touch(*execution).eligible = eligibility == "eligible_now";
            }
            What::Indexed { execution, index } if is_eligible_set(index) => {
                self.touch(*execution).listed = true
            }
            What::Unindexed { execution, index } if is_eligible_set(index) => {
                self.touch(*execution).listed = false
            }
            _ => {}
        }
        if !scene.ends_call {
            return Ok(());
        }
        for execution in std::mem::take(&mut self.touched) {
            let lost =
                self.executions.get(&execution).is_some_and(|standing| standing.eligible && !standing.listed);
            ensure(!lost, "not-listed", || {
                format!("{execution} is eligible and in no eligible set: it will never be granted")
            })?;
        }
        Ok(())
    }
}

fn is_eligible_set(index: &IndexName) -> bool {
    index.lane.is_some() && index.name == "eligible"
}
