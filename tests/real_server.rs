//! What only a real server can say: every mutant of every library loads, and the typed calls carry a whole life of
//! an execution through the published library and through minimal.lua.
//!
//! Each test runs on `valkey-server` and on `redis-server`; where one of them is missing it says that it compared nothing.
//! Whether a mutant is *killed* is for the hunts to show.

use ff_core::types::*;
use grantsim::{
    library::{Library, Mutant},
    protocol::*,
    types::{
        Code, Function, Millis,
        grant::{AttemptKind, Lease},
    },
};
use uuid::Uuid;
use valkey_sim::engine::{Dialect, Reply, UnixMicros};

use crate::support::{real::Real, server::Server as _};

/// Makes two tests of each of these, one for each dialect's server.
macro_rules! on_each_server {
    ($($claim:ident),+ $(,)?) => {
        mod on_valkey {
            use super::*;
            $(#[test] fn $claim() { super::$claim(Dialect::Valkey8) })+
        }
        mod on_redis {
            use super::*;
            $(#[test] fn $claim() { super::$claim(Dialect::Redis7) })+
        }
    };
}

on_each_server! {
    every_mutant_of_every_library_loads,
    an_execution_is_created_granted_claimed_renewed_and_completed_by_either_library,
    an_expired_lease_is_marked_and_the_next_one_has_a_higher_epoch_in_either_library,
    the_published_library_fails_delays_promotes_blocks_revokes_cancels_and_replays,
    quotas_and_budgets_and_the_worker_registry_answer_in_their_own_words,
    a_suspended_execution_is_resumed_and_claimed_with_the_same_attempt,
    a_member_of_a_flow_waits_for_another_and_goes_on_when_that_has_succeeded,
}

/// A server with one connection, and typed calls on it.
struct Server(Real);

impl Server {
    /// `None` where there is no server to start.
    fn start(dialect: Dialect, what: &str) -> Option<Self> {
        Real::start(dialect, what).map(Self)
    }

    /// Sends a command and reads its outcome.
    fn run<C: Command>(&mut self, command: &C) -> Result<C::Outcome, CallError> {
        let reply = self.send(&command.request().args);
        command.parse(&reply)
    }

    fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Reply {
        self.0.send(args)
    }

    /// Loads a library alone: libraries share function names, and a server has each name once.
    fn load(&mut self, library: &Library) -> Registered {
        self.send(&["FUNCTION", "FLUSH"]);
        assert_eq!(self.run(&load_library(library.source())), Ok(library.name().to_owned()), "{library:?}");
        Registered::from_list(&self.run(&function_list()).unwrap()).unwrap()
    }
}

fn libraries() -> [Library; 2] {
    let minimal = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/libraries/minimal.lua");
    [Library::published(), Library::from_file(minimal).unwrap()]
}

fn every_mutant_of_every_library_loads(dialect: Dialect) {
    let Some(mut server) = Server::start(dialect, "mutants") else { return };
    for library in libraries() {
        let functions = server.load(&library);
        let version = server.run(&library_version());
        for mutant in Mutant::all() {
            assert_eq!(server.load(&library.mutant(&mutant)), functions, "{}", mutant.name);
            assert_eq!(server.run(&library_version()), version, "{}", mutant.name);
        }
    }
}

/// One execution and the worker that works on it.
struct Life {
    execution_id: ExecutionId,
    lane_id: LaneId,
    worker_id: WorkerId,
    worker_instance_id: WorkerInstanceId,
    functions: Registered,
    /// Makes ids that were not used before.
    drawn: u128,
}

impl Life {
    /// The `n`th execution of a test.
    fn new(n: u128, functions: &Registered) -> Self {
        let execution_id = ExecutionId::parse(&format!("{{fp:7}}:{}", Uuid::from_u128(n))).unwrap();
        Self {
            execution_id,
            lane_id: LaneId::new("gpu"),
            worker_id: WorkerId::new("w"),
            worker_instance_id: WorkerInstanceId::new("w1"),
            functions: functions.clone(),
            drawn: n << 64,
        }
    }

    fn create(&self) -> CreateExecution {
        CreateExecution {
            execution_id: self.execution_id.clone(),
            namespace: Namespace::new("ns"),
            lane_id: self.lane_id.clone(),
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
        }
    }

    fn request(&self) -> GrantRequest {
        GrantRequest {
            execution_id: self.execution_id.clone(),
            lane_id: self.lane_id.clone(),
            worker_id: self.worker_id.clone(),
            worker_instance_id: self.worker_instance_id.clone(),
            grant_ttl: Millis(60_000),
            capabilities: Default::default(),
            notes: GrantNotes::default(),
        }
    }

    fn claim(&mut self, lease_ttl: Millis) -> Claim {
        self.drawn += 1;
        Claim {
            execution_id: self.execution_id.clone(),
            lane_id: self.lane_id.clone(),
            worker_id: self.worker_id.clone(),
            worker_instance_id: self.worker_instance_id.clone(),
            lease_id: LeaseId::from_uuid(Uuid::from_u128(self.drawn)),
            attempt_id: AttemptId::from_uuid(Uuid::from_u128(self.drawn)),
            lease_ttl,
            attempt_policy_json: String::new(),
            attempt_timeout: None,
            execution_deadline_at: None,
        }
    }

    /// Created, granted and claimed.
    fn begin(&mut self, server: &mut Server, lease_ttl: Millis) -> Lease {
        server.run(&self.create()).unwrap();
        self.lease(server, lease_ttl)
    }

    /// Granted and claimed.
    fn lease(&mut self, server: &mut Server, lease_ttl: Millis) -> Lease {
        server.run(&IssueClaimGrant(self.request())).unwrap();
        let function = self.functions.claim_function().unwrap();
        let expected_attempt_index = server.run(&total_attempt_count(&self.execution_id)).unwrap();
        server
            .run(&ClaimExecution { function, claim: self.claim(lease_ttl), expected_attempt_index })
            .unwrap()
    }

    fn owned(&self, lease: &Lease) -> Owned {
        Owned::by(lease, self.lane_id.clone(), self.worker_instance_id.clone())
    }

    fn state(&self, server: &mut Server) -> String {
        server.run(&core_field(&self.execution_id, "public_state")).unwrap().unwrap()
    }
}

fn an_execution_is_created_granted_claimed_renewed_and_completed_by_either_library(dialect: Dialect) {
    let Some(mut server) = Server::start(dialect, "cycle") else { return };
    for library in libraries() {
        server.send(&["FLUSHALL"]);
        let mut life = Life::new(1, &server.load(&library));
        let lease = life.begin(&mut server, Millis(60_000));
        assert_eq!((lease.epoch, lease.attempt_index), (LeaseEpoch(1), AttemptIndex(0)));
        assert_eq!(lease.attempt_kind, AttemptKind::Initial);
        assert_eq!(server.run(&first_eligible(7, &life.lane_id)), Ok(None));
        assert_eq!(server.run(&payload(&life.execution_id)), Ok(Some(b"input".to_vec())));
        let renewed = server.run(&RenewLease::of(&lease, Millis(90_000))).unwrap();
        assert!(renewed > lease.expires_at_ms);

        let stranger = Lease { epoch: LeaseEpoch(9), ..lease.clone() };
        let refused = server.run(&RenewLease::of(&stranger, Millis(1))).unwrap_err();
        assert_eq!(refused.refusal().unwrap().code, Code::StaleLease);

        let complete = CompleteExecution { owned: life.owned(&lease), result: b"output".to_vec() };
        server.run(&complete).unwrap();
        assert_eq!(life.state(&mut server), "completed");
        let again = server.run(&complete).unwrap_err();
        let not_active = again.refusal().unwrap().not_active().unwrap();
        assert_eq!((not_active.terminal_outcome, not_active.lease_epoch), ("success", "1"));
    }
}

fn an_expired_lease_is_marked_and_the_next_one_has_a_higher_epoch_in_either_library(dialect: Dialect) {
    let Some(mut server) = Server::start(dialect, "expiry") else { return };
    for library in libraries() {
        server.send(&["FLUSHALL"]);
        let mut life = Life::new(1, &server.load(&library));
        let first = life.begin(&mut server, Millis(1));
        let mark = MarkLeaseExpired { execution_id: life.execution_id.clone() };
        server.0.set_clock(UnixMicros::from_millis(first.expires_at_ms.0 as u64 + 1));
        let now = server.run(&server_time()).unwrap();
        assert_eq!(server.run(&leases_due(7, now, 50)), Ok(vec![life.execution_id.clone()]));
        assert_eq!(server.run(&mark), Ok(MarkLeaseExpiredOutcome::Marked));
        let second = if life.functions.has(&Function::ReclaimExecution) {
            let grant = server.run(&IssueReclaimGrant(life.request())).unwrap();
            assert_eq!(grant.expect("this version tells the expiry").lane_id, life.lane_id);
            let claim = life.claim(Millis(60_000));
            let reclaim = ReclaimExecution {
                claim,
                old_attempt_index: first.attempt_index,
                default_max_reclaim_count: Some(3),
            };
            server.run(&reclaim).unwrap()
        } else {
            life.lease(&mut server, Millis(60_000))
        };
        assert_eq!((second.epoch, second.attempt_index), (LeaseEpoch(2), AttemptIndex(1)));
        let stale = CompleteExecution { owned: life.owned(&first), result: vec![] };
        assert_eq!(server.run(&stale).unwrap_err().refusal().unwrap().code, Code::StaleLease);
    }
}

fn the_published_library_fails_delays_promotes_blocks_revokes_cancels_and_replays(dialect: Dialect) {
    let Some(mut server) = Server::start(dialect, "moves") else { return };
    let functions = server.load(&Library::published());
    let now = server.run(&server_time()).unwrap();
    let later = Millis(3_600_000).after(now);

    let mut life = Life::new(1, &functions);
    let lease = life.begin(&mut server, Millis(60_000));
    let delay = DelayExecution { owned: life.owned(&lease), delay_until: later };
    assert_eq!(server.run(&delay), Ok(later));
    assert_eq!(server.run(&delayed_due(7, &life.lane_id, later, 50)), Ok(vec![life.execution_id.clone()]));
    let (execution_id, lane_id) = (life.execution_id.clone(), life.lane_id.clone());
    let promote = |now| PromoteDelayed { execution_id: execution_id.clone(), lane_id: lane_id.clone(), now };
    assert_eq!(server.run(&promote(now)), Ok(PromoteDelayedOutcome::NotYetDue));
    assert_eq!(server.run(&promote(later)), Ok(PromoteDelayedOutcome::Promoted));
    assert_eq!(
        server.run(&ChangePriority {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            priority: 9
        }),
        Ok((5, 9))
    );
    let reason = BlockingReason::Capability;
    server
        .run(&BlockExecution {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            reason,
            detail: String::new(),
            now,
        })
        .unwrap();
    assert_eq!(life.state(&mut server), "rate_limited");
    server
        .run(&UnblockExecution {
            execution_id: execution_id.clone(),
            lane_id: lane_id.clone(),
            expected_reason: reason,
            now,
        })
        .unwrap();
    let cancel = |owned| CancelExecution { owned, reason: "why".into() };
    let operator = Owned { fence: None, source: CancelSource::OperatorOverride, ..life.owned(&lease) };
    assert_eq!(server.run(&cancel(operator)), Ok("runnable".to_owned()));
    let replay = ReplayExecution { execution_id, lane_id, now, edges: vec![] };
    assert_eq!(server.run(&replay), Ok(0));
    let lease = life.lease(&mut server, Millis(60_000));
    assert_eq!(lease.attempt_kind, AttemptKind::Replay);
    let fail = FailExecution {
        owned: life.owned(&lease),
        reason: "why".into(),
        category: "c".into(),
        retry_policy_json: String::new(),
    };
    assert_eq!(server.run(&fail), Ok(FailExecutionOutcome::TerminalFailed));

    let mut life = Life::new(2, &functions);
    life.begin(&mut server, Millis(60_000));
    let revoke = RevokeLease {
        execution_id: life.execution_id.clone(),
        worker_instance_id: life.worker_instance_id.clone(),
        expected_lease_id: None,
        reason: "why".into(),
    };
    assert_eq!(server.run(&revoke), Ok(RevokeLeaseOutcome::Revoked));
    assert_eq!(server.run(&revoke), Ok(RevokeLeaseOutcome::AlreadyRevoked));
}

fn quotas_and_budgets_and_the_worker_registry_answer_in_their_own_words(dialect: Dialect) {
    let Some(mut server) = Server::start(dialect, "limits") else { return };
    server.load(&Library::published());
    let now = server.run(&server_time()).unwrap();
    let execution_id = ExecutionId::parse(&format!("{{fp:7}}:{}", Uuid::from_u128(1))).unwrap();

    let quota_policy_id = QuotaPolicyId::from_uuid(Uuid::from_u128(2));
    let policy = CreateQuotaPolicy {
        quota_policy_id: quota_policy_id.clone(),
        window_seconds: 60,
        max_requests_per_window: 1,
        max_concurrent: 1,
        now,
    };
    assert_eq!((server.run(&policy), server.run(&policy)), (Ok(true), Ok(false)));
    let check = CheckAdmission {
        quota_policy_id: quota_policy_id.clone(),
        execution_id: execution_id.clone(),
        window_seconds: 60,
        rate_limit: 1,
        concurrency_cap: 1,
        jitter: Millis(0),
        now,
    };
    let other = ExecutionId::parse(&format!("{{fp:7}}:{}", Uuid::from_u128(3))).unwrap();
    assert_eq!(server.run(&check), Ok(Admission::Admitted));
    assert_eq!(server.run(&check), Ok(Admission::AlreadyAdmitted));
    let full = server.run(&CheckAdmission { execution_id: other, ..check });
    assert!(matches!(full, Ok(Admission::RateExceeded { .. })), "{full:?}");
    server.run(&ReleaseAdmission { quota_policy_id, execution_id: execution_id.clone() }).unwrap();

    let budget_id = BudgetId::from_uuid(Uuid::from_u128(4));
    let create = CreateBudget {
        budget_id: budget_id.clone(),
        scope_type: "lane".into(),
        scope_id: "gpu".into(),
        enforcement_mode: "strict".into(),
        on_hard_limit: "fail".into(),
        on_soft_limit: "warn".into(),
        reset_interval: Millis(0),
        now,
        limits: [("tokens".to_owned(), Limits { hard: 10, soft: 5 })].into(),
    };
    assert_eq!((server.run(&create), server.run(&create)), (Ok(true), Ok(false)));
    let mut spend = |delta, dedup: &str| {
        let deltas = [("tokens".to_owned(), delta)].into();
        let (budget_id, execution_id) = (budget_id.clone(), execution_id.clone());
        server.run(&RecordSpend { budget_id, execution_id, deltas, now, dedup: dedup.into() }).unwrap()
    };
    assert_eq!((spend(4, "a"), spend(4, "a")), (Usage::Counted, Usage::AlreadyCounted));
    assert!(matches!(spend(3, "b"), Usage::SoftBreach(_)));
    assert!(matches!(spend(9, "c"), Usage::HardBreach(_)));
    let release = ReleaseBudget { budget_id, execution_id };
    assert_eq!(server.run(&release), Ok(ReleaseBudgetOutcome::Released));

    let (namespace, worker_instance_id) = (Namespace::new("ns"), WorkerInstanceId::new("w1"));
    let heartbeat =
        HeartbeatWorker { namespace: namespace.clone(), worker_instance_id: worker_instance_id.clone(), now };
    assert_eq!(server.run(&heartbeat), Ok(HeartbeatWorkerOutcome::NotRegistered));
    let register = RegisterWorker {
        namespace,
        worker_instance_id,
        worker_id: WorkerId::new("w"),
        lanes: [LaneId::new("gpu")].into(),
        capabilities: Default::default(),
        ttl: Millis(60_000),
        now,
    };
    assert_eq!(server.run(&register), Ok(RegisterWorkerOutcome::Registered));
    assert_eq!(server.run(&heartbeat), Ok(HeartbeatWorkerOutcome::Refreshed(Millis(60_000))));
}

fn a_suspended_execution_is_resumed_and_claimed_with_the_same_attempt(dialect: Dialect) {
    let Some(mut server) = Server::start(dialect, "suspension") else { return };
    let mut life = Life::new(1, &server.load(&Library::published()));
    let keys = ExecutionKeys::of(&life.execution_id);
    server.send(&["HSET", &keys.index.waitpoint_hmac_secrets(), "current_kid", "k1", "secret:k1", "abcd"]);
    let lease = life.begin(&mut server, Millis(60_000));
    let waitpoint =
        Waitpoint { id: WaitpointId::from_uuid(Uuid::from_u128(5)), key: WaitpointKey::new("wpk:a") };
    let suspended = server
        .run(&SuspendExecution {
            execution_id: life.execution_id.clone(),
            lane_id: life.lane_id.clone(),
            worker_instance_id: life.worker_instance_id.clone(),
            attempt_index: lease.attempt_index,
            fence: Some(lease.fence()),
            suspension_id: SuspensionId::from_uuid(Uuid::from_u128(6)),
            waitpoint: waitpoint.clone(),
            extra_waitpoints: vec![],
            reason_code: "waiting_for_signal".into(),
            requested_by: "worker".into(),
            timeout_at: Some(Millis(3_600_000).after(lease.expires_at_ms)),
            timeout_behavior: TimeoutBehavior::Fail,
            resume_condition_json: r#"{"required_signal_names":["go"]}"#.into(),
            resume_policy_json: "{}".into(),
            continuation_metadata_pointer: None,
            use_pending_waitpoint: false,
            idempotency_key: None,
            dedup_ttl: Millis(0),
        })
        .unwrap();
    assert_eq!((suspended.already_satisfied, &suspended.waitpoint), (false, &waitpoint));
    assert_eq!(life.state(&mut server), "suspended");
    let not_due = ExpireSuspension {
        execution_id: life.execution_id.clone(),
        lane_id: life.lane_id.clone(),
        waitpoint_id: waitpoint.id.clone(),
        attempt_index: lease.attempt_index,
    };
    assert_eq!(server.run(&not_due), Ok("not_yet_due".to_owned()));
    let resume = ResumeExecution {
        execution_id: life.execution_id.clone(),
        lane_id: life.lane_id.clone(),
        waitpoint_id: waitpoint.id,
        trigger: ResumeTrigger::Operator,
        resume_delay: Millis(0),
    };
    assert_eq!(server.run(&resume), Ok("waiting".to_owned()));

    server.run(&IssueClaimGrant(life.request())).unwrap();
    let claim = life.claim(Millis(60_000));
    let fresh = ClaimExecution {
        function: Default::default(),
        claim: claim.clone(),
        expected_attempt_index: AttemptIndex(1),
    };
    let refused = server.run(&fresh).unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, Code::UseClaimResumedExecution);
    let resumed = server.run(&ClaimResumedExecution { claim, attempt_index: lease.attempt_index }).unwrap();
    assert_eq!((resumed.epoch, resumed.attempt_kind), (LeaseEpoch(2), AttemptKind::Resumed));
    assert_eq!((&resumed.attempt_id, resumed.attempt_index), (&lease.attempt_id, lease.attempt_index));
}

fn a_member_of_a_flow_waits_for_another_and_goes_on_when_that_has_succeeded(dialect: Dialect) {
    let Some(mut server) = Server::start(dialect, "flow") else { return };
    let functions = server.load(&Library::published());
    let now = server.run(&server_time()).unwrap();
    let (upstream, downstream) = (Life::new(1, &functions), Life::new(2, &functions));
    let flow = FlowAt { flow_id: FlowId::from_uuid(Uuid::from_u128(7)), partition: 7 };
    let create =
        CreateFlow { flow: flow.clone(), flow_kind: "dag".into(), namespace: Namespace::new("ns"), now };
    assert_eq!((server.run(&create), server.run(&create)), (Ok(true), Ok(false)));
    for (member, count) in [(&upstream, 1), (&downstream, 2)] {
        server.run(&member.create()).unwrap();
        let execution_id = member.execution_id.clone();
        assert_eq!(server.run(&AddExecutionToFlow { flow: flow.clone(), execution_id, now }), Ok(count));
    }
    let dependency = Dependency {
        flow: flow.clone(),
        edge_id: EdgeId::from_uuid(Uuid::from_u128(8)),
        upstream: upstream.execution_id.clone(),
        downstream: downstream.execution_id.clone(),
        dependency_kind: "success_only".into(),
        data_passing_ref: None,
    };
    let revision =
        server.run(&StageDependencyEdge { dependency: dependency.clone(), expected_graph_revision: 2, now });
    let lane_id = downstream.lane_id.clone();
    let apply = ApplyDependencyToChild {
        dependency: dependency.clone(),
        lane_id: lane_id.clone(),
        graph_revision: revision.unwrap(),
        now,
    };
    assert_eq!(server.run(&apply), Ok(ApplyDependencyOutcome::Applied { unsatisfied: 1 }));
    assert_eq!(server.run(&apply), Ok(ApplyDependencyOutcome::AlreadyApplied));
    let evaluate = EvaluateFlowEligibility { execution_id: downstream.execution_id.clone() };
    assert_eq!(server.run(&evaluate), Ok(FlowEligibility::Blocked));
    let resolve = ResolveDependency {
        dependency,
        lane_id,
        attempt_index: AttemptIndex(0),
        upstream_outcome: "success".into(),
        now,
    };
    assert_eq!(server.run(&resolve), Ok("satisfied".to_owned()));
    assert_eq!(server.run(&evaluate), Ok(FlowEligibility::Eligible));
    let cancel =
        CancelFlow { flow, reason: "why".into(), cancellation_policy: "cancel_all".into(), now, grace: None };
    assert_eq!(server.run(&cancel).map(|members| members.len()), Ok(2));
}
