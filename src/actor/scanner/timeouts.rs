//! What took too long: attempts, executions, suspensions, and waitpoints at which nobody came to wait.

use ff_core::types::{AttemptIndex, WaitpointId, WorkerInstanceId};

use super::{Continuation, Scan, Scanner};
use crate::{
    actor::Outbox,
    protocol::{CloseWaitpoint, ExpireExecution, ExpireSuspension, core_fields, waitpoint_owner},
    types::{ExecutionId, LaneId},
};

/// What is read of an execution that is overdue.
pub(super) const OVERDUE_FIELDS: [&str; 3] = ["lane_id", "current_attempt_index", "current_waitpoint_id"];

impl Scanner {
    pub(super) fn look_at_overdue(
        &self,
        scan: Scan,
        execution_id: ExecutionId,
        out: &mut Outbox<Continuation>,
    ) {
        out.call(core_fields(&execution_id, &OVERDUE_FIELDS), |read| {
            Continuation::Overdue(scan, execution_id, read)
        });
    }

    /// Ends it. Where the execution is gone, the call cleans the index: FlowFabric's scanners take a lane called default,
    /// and 0 for the attempt.
    pub(super) fn end_overdue(
        &self,
        scan: Scan,
        execution_id: ExecutionId,
        fields: &[Option<String>],
        out: &mut Outbox<Continuation>,
    ) {
        let [lane, attempt, waitpoint] = fields else { return };
        let lane_id = LaneId::new(lane.as_deref().unwrap_or("default"));
        let attempt = attempt.as_ref().and_then(|text| text.parse().ok());
        let attempt_index = AttemptIndex(attempt.unwrap_or(0));
        if scan == Scan::Suspension {
            let waitpoint = waitpoint.as_ref().and_then(|text| WaitpointId::parse(text).ok());
            let waitpoint_id = waitpoint.unwrap_or_else(|| WaitpointId::from_uuid(uuid::Uuid::nil()));
            let call = ExpireSuspension { execution_id, lane_id, waitpoint_id, attempt_index };
            out.call(call, |_| Continuation::Told);
            return;
        }
        let reason = if scan == Scan::Deadline { "execution_deadline" } else { "attempt_timeout" };
        let call = ExpireExecution {
            execution_id,
            lane_id,
            // FlowFabric's scanners do not know the worker either: the library finds it.
            worker_instance_id: WorkerInstanceId::new(""),
            attempt_index,
            reason: reason.to_owned(),
        };
        out.call(call, |_| Continuation::Told);
    }

    pub(super) fn look_at_waitpoint(&self, partition: u16, name: &str, out: &mut Outbox<Continuation>) {
        let Ok(waitpoint_id) = WaitpointId::parse(name) else { return };
        out.call(waitpoint_owner(partition, &waitpoint_id), |read| Continuation::Owner(waitpoint_id, read));
    }

    pub(super) fn close_waitpoint(
        &self,
        waitpoint_id: WaitpointId,
        owner: &str,
        out: &mut Outbox<Continuation>,
    ) {
        let Ok(execution_id) = ExecutionId::parse(owner) else { return };
        let call = CloseWaitpoint { execution_id, waitpoint_id, reason: "never_committed".to_owned() };
        out.call(call, |_| Continuation::Told);
    }
}
