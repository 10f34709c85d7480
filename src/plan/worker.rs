//! Workers: who takes executions on, and which.

use serde::{Deserialize, Serialize};

use super::reading;
use crate::types::Node;

/// A worker process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// The process: a [`Node::Worker`]. Absent in a file: worker-N by its place, or by the next that is free.
    #[serde(default = "reading::unnamed_worker")]
    pub name: Node,
    /// The worker it is an instance of. Two processes may share one (`worker_id`), as replicas of a deployment do.
    pub worker_id: String,
    /// The lanes it serves, in turn.
    pub lanes: Vec<String>,
    /// What it is able to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// How many executions it works on at a time.
    pub slots: u16,
    /// Whether it calls itself by the same instance id after a restart, as a pod of a StatefulSet does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub same_instance: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}
