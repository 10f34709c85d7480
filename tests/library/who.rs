//! Who calls about which execution, with which proof of ownership, and what may be called next.

use ff_core::{keys::FlowKeyContext, types::*};
use grantsim::protocol::*;
use uuid::Uuid;
use valkey_sim::engine::Reply;

use super::support::{choices::Choices, server::Server, simulated::Simulated};

/// The partition of everything that has one.
pub const PARTITION: u16 = 7;

/// Who calls about what, and with which proof of ownership.
#[derive(Clone)]
pub struct Who {
    pub execution_id: ExecutionId,
    pub lane_id: LaneId,
    pub worker_id: WorkerId,
    pub worker_instance_id: WorkerInstanceId,
    pub attempt_index: AttemptIndex,
    pub fence: Option<LeaseFence>,
}

impl Who {
    /// The holder of an execution's lease, mostly.
    pub fn draw(draw: &mut Choices<'_>, ours: &mut Simulated) -> Self {
        let execution_id = execution(draw.of(&[0, 0, 0, 1, 1, 2]));
        let mut core = |field: &str| core_field(ours, &execution_id, field);
        let uuid = |text: String| Uuid::parse_str(&text).unwrap_or_default();
        let mut fence = LeaseFence {
            lease_id: LeaseId::from_uuid(uuid(core("current_lease_id"))),
            lease_epoch: LeaseEpoch(core("current_lease_epoch").parse().unwrap_or_default()),
            attempt_id: AttemptId::from_uuid(uuid(core("current_attempt_id"))),
        };
        let mut attempt_index = AttemptIndex(core("current_attempt_index").parse().unwrap_or_default());
        let (lane, instance) = (core("lane_id"), core("current_worker_instance_id"));
        let mut lane = if lane.is_empty() { "gpu".to_owned() } else { lane };
        let mut instance = if instance.is_empty() { "w1".to_owned() } else { instance };
        // Something may be stale, or another's.
        match draw.below(60) {
            17 => fence.lease_epoch = LeaseEpoch(fence.lease_epoch.0 + 1),
            18 => fence.lease_id = LeaseId::from_uuid(Uuid::from_u128(1)),
            19 => fence.attempt_id = AttemptId::from_uuid(Uuid::from_u128(1)),
            20 => attempt_index = AttemptIndex(attempt_index.0 + 1),
            21 => lane = "cpu".into(),
            22 => instance = "w2".into(),
            _ => {}
        }
        Self {
            execution_id,
            lane_id: LaneId::new(lane),
            worker_id: WorkerId::new("w"),
            worker_instance_id: WorkerInstanceId::new(instance),
            attempt_index,
            fence: (!draw.once_in(24)).then_some(fence),
        }
    }

    /// A field of the execution's core; empty where there is none.
    pub fn core(&self, ours: &mut Simulated, name: &str) -> String {
        core_field(ours, &self.execution_id, name)
    }

    pub fn attempts(&self, ours: &mut Simulated) -> u32 {
        self.core(ours, "total_attempt_count").parse().unwrap_or_default()
    }

    /// The waitpoint that the execution waits at, mostly.
    pub fn waitpoint(&self, draw: &mut Choices<'_>, ours: &mut Simulated) -> WaitpointId {
        let drawn = WaitpointId::from_uuid(Uuid::from_u128(draw.of(&[41, 41, 41, 42])));
        let current = WaitpointId::parse(&self.core(ours, "current_waitpoint_id")).ok();
        current.filter(|_| !draw.once_in(8)).unwrap_or(drawn)
    }

    /// A field of one of its waitpoints; empty where there is none.
    pub fn waitpoint_field(&self, ours: &mut Simulated, id: &WaitpointId, name: &str) -> String {
        field(ours, &ExecutionKeys::of(&self.execution_id).exec.waitpoint(id), name)
    }

    pub fn lease(&self) -> String {
        self.fence.as_ref().map(|fence| fence.lease_id.to_string()).unwrap_or_default()
    }

    pub fn epoch(&self) -> String {
        self.fence.as_ref().map(|fence| fence.lease_epoch.to_string()).unwrap_or_default()
    }

    pub fn attempt(&self) -> String {
        self.fence.as_ref().map(|fence| fence.attempt_id.to_string()).unwrap_or_default()
    }
}

pub fn execution(n: u128) -> ExecutionId {
    let uuid = Uuid::from_u128(11 + n);
    ExecutionId::parse(&format!("{{fp:{PARTITION}}}:{uuid}")).expect("an execution's id")
}

impl Who {
    /// The functions that move the execution on from where it is, and what it needs on its way.
    pub fn fitting(&self, ours: &mut Simulated) -> &'static [&'static str] {
        let keys = ExecutionKeys::of(&self.execution_id);
        let flow =
            FlowKeyContext::new(&flow_partition_at(PARTITION), &FlowId::from_uuid(Uuid::from_u128(21)));
        let has_flow = !field(ours, &flow.core(), "flow_id").is_empty();
        let has_secret = !field(ours, &keys.index.waitpoint_hmac_secrets(), "current_kid").is_empty();
        let granted = !field(ours, &keys.exec.claim_grant(), "worker_id").is_empty();
        let waitpoint = WaitpointId::from_uuid(Uuid::from_u128(41));
        let pending = self.waitpoint_field(ours, &waitpoint, "state") == "pending";
        let blocked = self.core(ours, "eligibility_state").starts_with("blocked_by_");
        let interrupted = self.core(ours, "attempt_state") == "attempt_interrupted";
        let phase = self.core(ours, "lifecycle_phase");
        match (phase.as_str(), self.core(ours, "ownership_state").as_str()) {
            ("", _) if !has_flow => &["ff_create_execution", "ff_create_flow"],
            ("", _) => &["ff_create_execution"],
            ("runnable", _) if blocked => &["ff_unblock_execution", "ff_promote_blocked_to_eligible"],
            ("runnable", _) if granted && interrupted => &["ff_claim_resumed_execution"],
            ("runnable", _) if granted => &["ff_claim_execution"],
            ("runnable", _) if has_flow && !is_member(&self.execution_id, ours) => {
                &["ff_add_execution_to_flow", "ff_issue_claim_grant", "ff_issue_grant_and_claim"]
            }
            ("runnable", _) if !has_flow => {
                &["ff_create_flow", "ff_issue_claim_grant", "ff_issue_grant_and_claim"]
            }
            ("runnable", _) => &[
                "ff_issue_claim_grant",
                "ff_issue_claim_grant",
                "ff_stage_dependency_edge",
                "ff_stage_dependency_edge",
                "ff_apply_dependency_to_child",
                "ff_resolve_dependency",
                "ff_promote_delayed",
                "ff_promote_blocked_to_eligible",
                "ff_block_execution_for_admission",
                "ff_change_priority",
                "ff_issue_grant_and_claim",
            ],
            ("active", "lease_expired_reclaimable" | "lease_revoked") if granted => &["ff_reclaim_execution"],
            ("active", "lease_expired_reclaimable" | "lease_revoked") => &["ff_issue_reclaim_grant"],
            ("active", _) if !has_secret => &["ff_rotate_waitpoint_hmac_secret", "ff_renew_lease"],
            ("active", _) if pending => &[
                "ff_buffer_signal_for_pending_waitpoint",
                "ff_buffer_signal_for_pending_waitpoint",
                "ff_suspend_execution",
                "ff_close_waitpoint",
            ],
            ("active", _) => &[
                "ff_renew_lease",
                "ff_suspend_execution",
                "ff_suspend_execution",
                "ff_suspend_execution",
                "ff_append_frame",
                "ff_update_progress",
                "ff_create_pending_waitpoint",
                "ff_mark_lease_expired_if_due",
                "ff_complete_execution",
                "ff_fail_execution",
                "ff_delay_execution",
                "ff_move_to_waiting_children",
                "ff_revoke_lease",
            ],
            ("suspended", _) => {
                &["ff_deliver_signal", "ff_deliver_signal", "ff_resume_execution", "ff_expire_suspension"]
            }
            _ => &["ff_replay_execution", "ff_resolve_dependency", "ff_cancel_flow", "ff_set_execution_tags"],
        }
    }
}

/// Whether an execution belongs to a flow.
pub fn is_member(execution_id: &ExecutionId, ours: &mut Simulated) -> bool {
    !core_field(ours, execution_id, "flow_id").is_empty()
}

/// A field of an execution's core; empty where there is none.
fn core_field(ours: &mut Simulated, execution_id: &ExecutionId, name: &str) -> String {
    field(ours, &ExecutionKeys::of(execution_id).exec.core(), name)
}

/// A field of a hash; empty where there is none.
pub fn field(ours: &mut Simulated, key: &str, field: &str) -> String {
    match ours.send(&["HGET", key, field]) {
        Reply::Bulk(value) => String::from_utf8_lossy(&value).into_owned(),
        _ => String::new(),
    }
}
