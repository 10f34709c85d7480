//! The worker registry: which workers are alive and what they can do.

use std::collections::BTreeSet;

use ff_core::{
    keys::{worker_alive_key_ns, worker_caps_key_ns, workers_index_key_ns},
    types::{LaneId, Namespace, TimestampMs, WorkerId, WorkerInstanceId},
};

use super::{Call, Consent, Malformed, args, words};
use crate::types::{Function, Millis};

/// `ff_register_worker`: a worker says that it is there, for `ttl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterWorker {
    /// The tenant.
    pub namespace: Namespace,
    /// The process.
    pub worker_instance_id: WorkerInstanceId,
    /// The worker.
    pub worker_id: WorkerId,
    /// The lanes it works for.
    pub lanes: BTreeSet<LaneId>,
    /// What it can do.
    pub capabilities: BTreeSet<String>,
    /// How long it counts as alive without a heartbeat.
    pub ttl: Millis,
    /// The caller's now.
    pub now: TimestampMs,
}

words! {
    /// What came of [`RegisterWorker`].
    pub enum RegisterWorkerOutcome {
        /// It is new, or was away.
        Registered = "registered",
        /// It was there.
        Refreshed = "refreshed",
    }
}

impl Call for RegisterWorker {
    const FUNCTION: Function = Function::RegisterWorker;
    type Outcome = RegisterWorkerOutcome;

    fn keys(&self) -> Vec<String> {
        vec![
            worker_alive_key_ns(&self.namespace, &self.worker_instance_id),
            worker_caps_key_ns(&self.namespace, &self.worker_instance_id),
            workers_index_key_ns(&self.namespace),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let lanes = self.lanes.iter().map(LaneId::as_str).collect::<Vec<_>>().join(",");
        let capabilities = self.capabilities.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        args![self.worker_instance_id, self.worker_id, lanes, capabilities, self.ttl, self.now]
    }

    fn outcome(&self, answer: &Consent) -> Result<RegisterWorkerOutcome, Malformed> {
        answer.field(0, "outcome")
    }
}

/// `ff_heartbeat_worker`: a worker says that it is still there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeartbeatWorker {
    /// The tenant.
    pub namespace: Namespace,
    /// The process.
    pub worker_instance_id: WorkerInstanceId,
    /// The caller's now.
    pub now: TimestampMs,
}

/// What came of [`HeartbeatWorker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatWorkerOutcome {
    /// It counts as alive for this long again.
    Refreshed(Millis),
    /// It has to register first.
    NotRegistered,
}

impl Call for HeartbeatWorker {
    const FUNCTION: Function = Function::HeartbeatWorker;
    type Outcome = HeartbeatWorkerOutcome;

    fn keys(&self) -> Vec<String> {
        vec![
            worker_alive_key_ns(&self.namespace, &self.worker_instance_id),
            worker_caps_key_ns(&self.namespace, &self.worker_instance_id),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.now]
    }

    fn outcome(&self, answer: &Consent) -> Result<HeartbeatWorkerOutcome, Malformed> {
        match answer.field::<String>(0, "outcome")?.as_str() {
            "refreshed" => Ok(HeartbeatWorkerOutcome::Refreshed(answer.field(1, "ttl_ms")?)),
            "not_registered" => Ok(HeartbeatWorkerOutcome::NotRegistered),
            _ => Err(answer.unexpected()),
        }
    }
}
