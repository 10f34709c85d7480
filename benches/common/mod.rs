//! What the benches share: the grant cycle as requests, and the real server.

#![allow(dead_code, reason = "each bench uses its own part")]

pub mod real_server;

use ff_core::types::*;
use grantsim::{
    protocol::*,
    types::{
        Millis,
        grant::{AttemptKind, Lease},
    },
};
use uuid::Uuid;

/// As in the program: what is measured is what users get.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TTL: Millis = Millis(600_000);

/// The life of the `n`th execution: create, grant, claim, renew, complete. What the server would tell is known before:
/// a first lease has epoch 1 and works on attempt 0.
pub fn cycle(n: u128) -> [Request; 5] {
    let uuid = Uuid::from_u128(n);
    let execution_id = ExecutionId::parse(&format!("{{fp:7}}:{uuid}")).expect("an id of this form");
    let (lane_id, worker_id) = (LaneId::new("gold"), WorkerId::new("w"));
    let worker_instance_id = WorkerInstanceId::new("w-1");
    let lease = Lease {
        execution_id: execution_id.clone(),
        lease_id: LeaseId::from_uuid(uuid),
        epoch: LeaseEpoch(1),
        attempt_id: AttemptId::from_uuid(uuid),
        attempt_index: AttemptIndex(0),
        attempt_kind: AttemptKind::Initial,
        expires_at_ms: TimestampMs(0),
    };
    let create = CreateExecution {
        execution_id: execution_id.clone(),
        namespace: Namespace::new("ns"),
        lane_id: lane_id.clone(),
        execution_kind: "kind".into(),
        priority: 5,
        creator_identity: "me".into(),
        policy_json: String::new(),
        payload: b"input".to_vec(),
        delay_until: None,
        idempotency_key: None,
        dedup_ttl: Millis(0),
        tags: Default::default(),
        execution_deadline_at: None,
    };
    let grant = IssueClaimGrant(GrantRequest {
        execution_id: execution_id.clone(),
        lane_id: lane_id.clone(),
        worker_id: worker_id.clone(),
        worker_instance_id: worker_instance_id.clone(),
        grant_ttl: TTL,
        capabilities: Default::default(),
        notes: GrantNotes::default(),
    });
    let claim = Claim {
        execution_id,
        lane_id: lane_id.clone(),
        worker_id,
        worker_instance_id: worker_instance_id.clone(),
        lease_id: lease.lease_id.clone(),
        attempt_id: lease.attempt_id.clone(),
        lease_ttl: TTL,
        attempt_policy_json: String::new(),
        attempt_timeout: None,
        execution_deadline_at: None,
    };
    let claim = ClaimExecution {
        function: ClaimFunction::ClaimExecution,
        claim,
        expected_attempt_index: lease.attempt_index,
    };
    let owned = Owned::by(&lease, lane_id, worker_instance_id);
    [
        create.request(),
        grant.request(),
        claim.request(),
        RenewLease::of(&lease, TTL).request(),
        CompleteExecution { owned, result: b"output".to_vec() }.request(),
    ]
}
