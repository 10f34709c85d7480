//! What processes tell each other. A ClaimGrant travels as the documented wire type, without its lane.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::types::{
    Label, LaneId, WorkerId, WorkerInstanceId,
    grant::{ClaimGrant, ReclaimGrant},
};

/// A worker's own number for a question, so that a late answer finds the question it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AskId(pub u64);

/// A worker asks a scheduler for work on a lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// The question.
    pub id: AskId,
    /// The lane that the worker picked. It will not be in the answer.
    pub lane_id: LaneId,
    /// Who asks.
    pub worker_id: WorkerId,
    /// Which process of it.
    pub worker_instance_id: WorkerInstanceId,
    /// What it is able to do.
    pub capabilities: BTreeSet<String>,
}

/// A worker says that it lives, to whoever hands out reclaim grants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alive {
    /// Who.
    pub worker_id: WorkerId,
    /// Which process of it.
    pub worker_instance_id: WorkerInstanceId,
    /// The lanes it serves.
    pub lanes: Vec<LaneId>,
    /// What it is able to do.
    pub capabilities: BTreeSet<String>,
}

/// A message between processes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// From a worker to a scheduler.
    Ask(Ask),
    /// From a scheduler to a worker: nothing to do.
    NoGrant(AskId),
    /// From a scheduler to a worker.
    Grant(AskId, ClaimGrant),
    /// From the reclaimer to a worker.
    Reclaim(ReclaimGrant),
    /// From a worker to the reclaimer.
    Alive(Alive),
    /// To the operator: the call that the deed of this name waits for was executed.
    Cue(Label),
}
