//! The properties against the libraries themselves: what is known of the published one is what they say, and nothing else.
//!
//! One execution, calls by hand, no world around them; hunts do the rest.

use super::testing::{EPOCH_MS, Story};
use crate::{
    library::Library,
    protocol::{self, ClaimFunction},
    types::{
        AttemptId, AttemptIndex, ExecutionId, LaneId, LeaseEpoch, LeaseFence, LeaseId, Millis, Namespace,
        QuotaPolicyId, TimestampMs, WorkerId, WorkerInstanceId,
    },
};

const ID: &str = "{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8";

pub(super) fn id() -> ExecutionId {
    ExecutionId::parse(ID).expect("an id")
}

pub(super) fn uuid(n: u64) -> uuid::Uuid {
    uuid::Uuid::from_u128(u128::from(n))
}

/// The calls of a life, by the n-th lease.
impl Story {
    pub(super) fn creates(self, at: i64, delay_until: Option<i64>) -> Self {
        let call = protocol::CreateExecution {
            execution_id: id(),
            namespace: Namespace::new("ns"),
            lane_id: LaneId::new("gold"),
            execution_kind: "kind".into(),
            priority: 0,
            creator_identity: "me".into(),
            policy_json: String::new(),
            payload: Vec::new(),
            delay_until: delay_until.map(|at| TimestampMs(EPOCH_MS + at)),
            idempotency_key: None,
            dedup_ttl: Millis(0),
            tags: Default::default(),
            execution_deadline_at: None,
        };
        self.sends(at, &call)
    }

    pub(super) fn grants(self, at: i64, is_reclaim: bool) -> Self {
        let request = protocol::GrantRequest {
            execution_id: id(),
            lane_id: LaneId::new("gold"),
            worker_id: WorkerId::new("w"),
            worker_instance_id: WorkerInstanceId::new("w-1"),
            grant_ttl: Millis(50),
            capabilities: Default::default(),
            notes: Default::default(),
        };
        match is_reclaim {
            true => self.sends(at, &protocol::IssueReclaimGrant(request)),
            false => self.sends(at, &protocol::IssueClaimGrant(request)),
        }
    }

    pub(super) fn claims(self, at: i64, n: u64, function: ClaimFunction) -> Self {
        let expected_attempt_index = AttemptIndex(n as u32 - 1);
        self.sends(at, &protocol::ClaimExecution { function, claim: claim(n), expected_attempt_index })
    }

    pub(super) fn reclaims(self, at: i64, n: u64) -> Self {
        let old_attempt_index = AttemptIndex(n as u32 - 2);
        self.sends(
            at,
            &protocol::ReclaimExecution {
                claim: claim(n),
                old_attempt_index,
                default_max_reclaim_count: None,
            },
        )
    }

    pub(super) fn renews(self, at: i64, n: u64) -> Self {
        let owned = owned(n);
        let call = protocol::RenewLease {
            execution_id: id(),
            attempt_index: owned.attempt_index,
            fence: owned.fence,
            lease_ttl: Millis(100),
            history_grace: Millis(1_000),
        };
        self.sends(at, &call)
    }

    pub(super) fn completes(self, at: i64, n: u64) -> Self {
        self.sends(at, &protocol::CompleteExecution { owned: owned(n), result: b"done".to_vec() })
    }

    pub(super) fn delays(self, at: i64, n: u64) -> Self {
        self.sends(
            at,
            &protocol::DelayExecution { owned: owned(n), delay_until: TimestampMs(EPOCH_MS + at + 500) },
        )
    }

    pub(super) fn cancels(self, at: i64, n: u64) -> Self {
        self.sends(at, &protocol::CancelExecution { owned: owned(n), reason: "why".into() })
    }

    pub(super) fn marks(self, at: i64) -> Self {
        self.sends(at, &protocol::MarkLeaseExpired { execution_id: id() })
    }
}

pub(super) fn claim(n: u64) -> protocol::Claim {
    protocol::Claim {
        execution_id: id(),
        lane_id: LaneId::new("gold"),
        worker_id: WorkerId::new("w"),
        worker_instance_id: WorkerInstanceId::new("w-1"),
        lease_id: LeaseId::from_uuid(uuid(n)),
        attempt_id: AttemptId::from_uuid(uuid(100 + n)),
        lease_ttl: Millis(100),
        attempt_policy_json: String::new(),
        attempt_timeout: None,
        execution_deadline_at: None,
    }
}

pub(super) fn owned(n: u64) -> protocol::Owned {
    let fence = LeaseFence {
        lease_id: LeaseId::from_uuid(uuid(n)),
        lease_epoch: LeaseEpoch(n),
        attempt_id: AttemptId::from_uuid(uuid(100 + n)),
    };
    protocol::Owned {
        execution_id: id(),
        lane_id: LaneId::new("gold"),
        worker_instance_id: WorkerInstanceId::new("w-1"),
        attempt_index: AttemptIndex(n as u32 - 1),
        fence: Some(fence),
        source: ff_core::types::CancelSource::LeaseHolder,
    }
}

pub(super) fn published() -> Story {
    Story::of(&Library::published())
}

/// The first lease is valid until 120.
pub(super) fn leased() -> Story {
    published().creates(0, None).grants(10, false).claims(20, 1, ClaimFunction::ClaimExecution)
}

/// Lost at 120, reclaimed at 140 with a lease until 240.
pub(super) fn leased_again() -> Story {
    leased().marks(120).grants(130, true).reclaims(140, 2)
}

#[test]
fn nothing_is_said_of_lives_that_go_as_they_should() {
    for story in [
        leased().renews(60, 1).completes(159, 1),
        leased().completes(120, 1).renews(121, 1),
        leased_again().renews(150, 1).completes(151, 1).completes(160, 2),
        leased_again().cancels(150, 1).cancels(160, 2).cancels(170, 2),
        published()
            .creates(0, None)
            .grants(10, false)
            .claims(61, 1, ClaimFunction::ClaimExecution)
            .grants(62, false),
    ] {
        assert_eq!(story.fingerprints(), Vec::<String>::new());
    }
    let reached = leased_again().renews(150, 1).completes(160, 2).verdict().reached;
    let expected = [
        "claimed-again",
        "lease-marked-expired",
        "paused-past-its-lease",
        "reclaimed",
        "stale-lease-refused",
    ];
    assert_eq!(reached.into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn nothing_is_said_of_the_smallest_library_either() {
    let minimal = Library::from_file("fixtures/libraries/minimal.lua").expect("minimal.lua is there");
    let claim = |story: Story, at, n| story.grants(at, false).claims(at + 10, n, ClaimFunction::AcquireLease);
    let first = claim(Story::of(&minimal).creates(0, None), 10, 1).renews(60, 1);
    let story = first.marks(159).marks(160).completes(165, 1);
    let story = claim(story, 170, 2).renews(180, 1).completes(190, 2);
    assert_eq!(story.fingerprints(), Vec::<String>::new());
    assert_eq!(story.verdict().counts.claims, 2);
}

#[test]
fn the_findings_about_the_published_library_are_what_the_properties_say() {
    for (story, fingerprint) in [
        (leased().cancels(120, 1), "fence/ff_cancel_execution/OK/expired-lease"),
        (leased().marks(120).cancels(130, 1), "fence/ff_cancel_execution/OK/expired-lease"),
        // The clock is set back once the lease was marked.
        (leased().marks(120).renews(60, 1), "fence/ff_renew_lease/OK/marked-lease"),
        (leased().marks(120).completes(60, 1), "fence/ff_complete_execution/OK/marked-lease"),
        (leased().marks(120).delays(60, 1), "fence/ff_delay_execution/OK/marked-lease"),
        (published().creates(50, Some(50)), "eligible/ff_create_execution/OK/delayed-set-and-due"),
    ] {
        assert_eq!(story.fingerprints(), [fingerprint]);
    }
    assert!(published().creates(49, Some(50)).fingerprints().is_empty());
    // The attempt that waited is left open: by whoever cancels.
    let told = leased_again().delays(150, 2).cancels(160, 1).fingerprints();
    assert_eq!(
        told,
        ["attempts/ff_cancel_execution/OK/left-open", "fence/ff_cancel_execution/OK/former-owner"]
    );
}

#[test]
fn the_sequel_of_a_finding_is_no_other_finding() {
    let promote = protocol::PromoteDelayed {
        execution_id: id(),
        lane_id: LaneId::new("gold"),
        now: TimestampMs(EPOCH_MS + 60),
    };
    let story = published().creates(50, Some(50)).sends(60, &promote);
    assert_eq!(story.fingerprints(), ["eligible/ff_create_execution/OK/delayed-set-and-due"]);
    // A lease that came back to life: the next reclaim makes a second owner, and the finding has said so.
    let revived =
        leased().marks(120).renews(60, 1).grants(70, true).reclaims(80, 2).renews(90, 1).completes(95, 2);
    assert_eq!(revived.fingerprints(), ["fence/ff_renew_lease/OK/marked-lease"]);
}

#[test]
fn an_execution_that_is_admitted_again_in_the_next_window_is_counted_twice() {
    let quota = QuotaPolicyId::from_uuid(uuid(5));
    let create = protocol::CreateQuotaPolicy {
        quota_policy_id: quota.clone(),
        window_seconds: 1,
        max_requests_per_window: 0,
        max_concurrent: 3,
        now: TimestampMs(EPOCH_MS),
    };
    let check = |at| protocol::CheckAdmission {
        quota_policy_id: quota.clone(),
        execution_id: id(),
        window_seconds: 1,
        rate_limit: 0,
        concurrency_cap: 3,
        jitter: Millis(0),
        now: TimestampMs(EPOCH_MS + at),
    };
    let admitted = |at| published().sends(0, &create).sends(10, &check(10)).sends(at, &check(at));
    assert!(admitted(1_010).fingerprints().is_empty());
    assert_eq!(admitted(1_011).fingerprints(), ["quota/ff_check_admission_and_record/reply/counted-again"]);
}
