//! The sets in which FlowFabric keeps its executions, by name: those of a lane, and those of a whole partition.
//!
//! Not here: the lease sets of workers, of which there is one a process ([`Execution::is_in_lease_set`]).

use super::{Execution, View};
use crate::{
    protocol::ExecutionKeys,
    types::{LaneId, WorkerInstanceId},
};

/// A set that executions stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Of a lane: what schedulers look through.
    Eligible,
    /// Of a lane: what waits for a time.
    Delayed,
    /// Of a lane: what a worker has, or had.
    Active,
    /// Of a lane: what waits for a signal.
    Suspended,
    /// Of a lane: what has ended.
    Terminal,
    /// Of a lane: what waits for other executions.
    BlockedDependencies,
    /// Of a lane: what waits for a budget.
    BlockedBudget,
    /// Of a lane: what waits for a quota.
    BlockedQuota,
    /// Of a lane: what waits for a worker that can do it.
    BlockedRoute,
    /// Of a lane: what an operator holds back.
    BlockedOperator,
    /// Leases, by when they are over.
    LeaseExpiry,
    /// Suspensions, by when they time out.
    SuspensionTimeout,
    /// Attempts, by when they time out.
    AttemptTimeout,
    /// Executions, by when they must have ended.
    ExecutionDeadline,
    /// All there are.
    AllExecutions,
}

impl Place {
    /// Those of a lane. An execution is in one of them.
    pub const OF_LANE: [Self; 10] = [
        Self::Eligible,
        Self::Delayed,
        Self::Active,
        Self::Suspended,
        Self::Terminal,
        Self::BlockedDependencies,
        Self::BlockedBudget,
        Self::BlockedQuota,
        Self::BlockedRoute,
        Self::BlockedOperator,
    ];

    /// Its name: the end of its key.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eligible => "eligible",
            Self::Delayed => "delayed",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Terminal => "terminal",
            Self::BlockedDependencies => "blocked:dependencies",
            Self::BlockedBudget => "blocked:budget",
            Self::BlockedQuota => "blocked:quota",
            Self::BlockedRoute => "blocked:route",
            Self::BlockedOperator => "blocked:operator",
            Self::LeaseExpiry => "lease_expiry",
            Self::SuspensionTimeout => "suspension_timeout",
            Self::AttemptTimeout => "attempt_timeout",
            Self::ExecutionDeadline => "execution_deadline",
            Self::AllExecutions => "all_executions",
        }
    }

    fn key(self, keys: &ExecutionKeys, lane: &LaneId) -> String {
        let index = &keys.index;
        match self {
            Self::Eligible => index.lane_eligible(lane),
            Self::Delayed => index.lane_delayed(lane),
            Self::Active => index.lane_active(lane),
            Self::Suspended => index.lane_suspended(lane),
            Self::Terminal => index.lane_terminal(lane),
            Self::BlockedDependencies => index.lane_blocked_dependencies(lane),
            Self::BlockedBudget => index.lane_blocked_budget(lane),
            Self::BlockedQuota => index.lane_blocked_quota(lane),
            Self::BlockedRoute => index.lane_blocked_route(lane),
            Self::BlockedOperator => index.lane_blocked_operator(lane),
            Self::LeaseExpiry => index.lease_expiry(),
            Self::SuspensionTimeout => index.suspension_timeout(),
            Self::AttemptTimeout => index.attempt_timeout(),
            Self::ExecutionDeadline => index.execution_deadline(),
            Self::AllExecutions => index.all_executions(),
        }
    }
}

/// An execution in the sets of its partition and of one lane.
pub struct Places<'e, 'v> {
    execution: &'e Execution<'v>,
    view: &'v View,
    lane: LaneId,
}

impl<'v> Execution<'v> {
    /// Where it stands in a lane; none if that is no lane's name.
    pub fn places(&self, lane: &str) -> Option<Places<'_, 'v>> {
        let lane = LaneId::try_new(lane).ok()?;
        Some(Places { execution: self, view: self.view(), lane })
    }

    /// Whether it is in the lease set of a worker's process.
    pub fn is_in_lease_set(&self, instance: &str) -> bool {
        self.stands_in(&self.keys().index.worker_leases(&WorkerInstanceId::new(instance)))
    }
}

impl Places<'_, '_> {
    /// Its score there; 0 in a set without scores. None if it is not there.
    pub fn score(&self, place: Place) -> Option<f64> {
        let key = place.key(self.execution.keys(), &self.lane);
        let id = self.execution.id().as_str();
        self.view.score(&key, id).or_else(|| self.view.contains(&key, id).then_some(0.0))
    }

    /// Whether it is there.
    pub fn holds(&self, place: Place) -> bool {
        self.view.contains(&place.key(self.execution.keys(), &self.lane), self.execution.id().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::IndexName;

    #[test]
    fn a_place_is_called_as_its_key_says() {
        let id = crate::types::ExecutionId::parse("{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8").unwrap();
        let (keys, lane) = (ExecutionKeys::of(&id), LaneId::new("a:b"));
        for place in Place::OF_LANE {
            let index = IndexName::of_key(&place.key(&keys, &lane)).unwrap();
            assert_eq!((index.lane.as_deref(), &*index.name), (Some("a:b"), place.name()));
        }
        let index = IndexName::of_key(&Place::LeaseExpiry.key(&keys, &lane)).unwrap();
        assert_eq!((index.lane, &*index.name), (None, Place::LeaseExpiry.name()));
    }
}
