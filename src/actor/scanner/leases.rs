//! Leases: those that have expired are marked, and the reclaimer follows them; delayed executions are promoted.
//!
//! The reclaimer follows an expired lease with `ff_issue_reclaim_grant` to a worker that said lately that it lives.

use super::{ALIVE_FOR_MS, Continuation, Place, Scanner, words_of};
use crate::{
    actor::Outbox,
    protocol::{GrantNotes, GrantRequest, IssueReclaimGrant, MarkLeaseExpired, PromoteDelayed, core_fields},
    types::{ExecutionId, LaneId, Millis, OwnershipState, TimestampMs},
};

/// What the reclaimer reads of an expired execution.
pub(super) const RECLAIM_FIELDS: [&str; 3] = ["lane_id", "ownership_state", "required_capabilities"];

impl Scanner {
    pub(super) fn mark_expired(&self, execution_id: ExecutionId, out: &mut Outbox<Continuation>) {
        out.call(MarkLeaseExpired { execution_id }, |_| Continuation::Told);
    }

    pub(super) fn promote(
        &self,
        now: TimestampMs,
        place: Place,
        execution_id: ExecutionId,
        out: &mut Outbox<Continuation>,
    ) {
        let lane_id = self.lanes[place.lane].clone();
        out.call(PromoteDelayed { execution_id, lane_id, now }, |_| Continuation::Told);
    }

    pub(super) fn look_at_orphan(&self, execution_id: ExecutionId, out: &mut Outbox<Continuation>) {
        out.call(core_fields(&execution_id, &RECLAIM_FIELDS), |read| Continuation::Read(execution_id, read));
    }

    /// Issues a reclaim grant to one of the workers that live, serve the lane and are able, in turn.
    pub(super) fn reclaim(
        &mut self,
        now: TimestampMs,
        execution_id: ExecutionId,
        fields: &[Option<String>],
        out: &mut Outbox<Continuation>,
    ) {
        let [Some(lane), Some(ownership), required] = fields else { return };
        if !OwnershipState::from(ownership.as_str()).is_reclaimable() {
            return;
        }
        let lane_id = LaneId::new(lane);
        let required = words_of(required.as_deref());
        let able = self.workers.iter().filter(|(_, (alive, heard))| {
            now.0.saturating_sub(heard.0) <= ALIVE_FOR_MS
                && alive.lanes.contains(&lane_id)
                && required.iter().all(|c| alive.capabilities.contains(*c))
        });
        let able: Vec<_> = able.collect();
        if able.is_empty() {
            return;
        }
        let (node, (alive, _)) = able[self.turn % able.len()];
        let call = IssueReclaimGrant(GrantRequest {
            execution_id,
            lane_id,
            worker_id: alive.worker_id.clone(),
            worker_instance_id: alive.worker_instance_id.clone(),
            // A grant of no duration would never be seen: the reclaimer's own grants always live.
            grant_ttl: Millis(self.settings.grant_ttl_ms.max(1)),
            capabilities: alive.capabilities.clone(),
            notes: GrantNotes::default(),
        });
        let node = *node;
        self.turn += 1;
        out.call(call, |call| Continuation::Granted(node, Box::new(call)));
    }
}
