//! Each reason to stand still, with the near miss that is stuck.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::support::{WORKER, ms, plan, view},
    *,
};
use crate::{
    plan::{Plan, Priorities, Work, WrongClock},
    protocol::{ClaimFunction, ExecutionKeys, Registered},
    types::{Reason::*, Stuck::*},
};

const NOW_MS: u64 = 100_000;
const SCHEDULER: Node = Node::Scheduler(1);

/// A run at its end: the plan of [`plan`], and `e1` as the fields and commands say.
#[derive(Clone)]
struct Scene {
    plan: Plan,
    core: BTreeMap<&'static str, String>,
    commands: Vec<Vec<String>>,
    down: BTreeSet<Node>,
    lacks: BTreeSet<Function>,
    epochs: BTreeMap<ExecutionName, u64>,
}

impl Scene {
    /// `e1` is as these fields of its core say.
    fn of(core: &[(&'static str, &str)]) -> Self {
        let mut scene = Self {
            plan: plan([]),
            core: BTreeMap::new(),
            commands: Vec::new(),
            down: BTreeSet::new(),
            lacks: BTreeSet::new(),
            epochs: BTreeMap::new(),
        };
        scene.core.insert("lane_id", "gold".to_owned());
        scene.with(core)
    }

    fn with(mut self, core: &[(&'static str, &str)]) -> Self {
        self.core.extend(core.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self
    }

    fn planned(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(&mut self.plan);
        self
    }

    fn without(mut self, nodes: &[Node]) -> Self {
        self.down.extend(nodes);
        self
    }

    fn lacking(mut self, function: Function) -> Self {
        self.lacks.insert(function);
        self
    }

    /// A command that follows; `:` stands for the execution's keys, `%` for the partition's, `e1` for its id.
    fn wrote(mut self, words: &[&str]) -> Self {
        let id = self.id();
        let keys = ExecutionKeys::of(&id);
        let core = keys.exec.core();
        let own = core.strip_suffix("core").expect("a core's key ends so").to_owned();
        let index = keys.index.lease_expiry();
        let index = index.strip_suffix("lease_expiry").expect("an index's key ends so").to_owned();
        let word = |word: &&str| match word.as_bytes() {
            b"e1" => id.to_string(),
            [b':', ..] => format!("{own}{}", &word[1..]),
            [b'%', ..] => format!("{index}{}", &word[1..]),
            _ => (*word).to_owned(),
        };
        self.commands.push(words.iter().map(word).collect());
        self
    }

    fn deployment(&self) -> Deployment {
        let known = Function::KNOWN.iter().filter(|function| !self.lacks.contains(function)).cloned();
        Deployment::new(&self.plan, Registered::from_iter(known), ClaimFunction::default())
    }

    fn id(&self) -> ExecutionId {
        self.deployment().id(&ExecutionName::nth(1)).clone()
    }

    fn waiting(&self) -> Vec<Waiting> {
        let deployment = self.deployment();
        let mut commands = Vec::new();
        if self.core.len() > 1 {
            let mut core = vec!["HSET".to_owned(), ExecutionKeys::of(&self.id()).exec.core()];
            core.extend(self.core.iter().flat_map(|(name, value)| [(*name).to_owned(), value.clone()]));
            commands.push(core);
        }
        commands.extend(self.commands.iter().cloned());
        let words: Vec<Vec<&str>> =
            commands.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
        let commands: Vec<&[&str]> = words.iter().map(Vec::as_slice).collect();
        let view = view(&commands);
        let lives = |node: Node| !self.down.contains(&node);
        let now = ms(NOW_MS);
        Standing { deployment: &deployment, view: &view, now, lives: &lives, epochs: &self.epochs }.waiting()
    }

    /// Why `e1` waits.
    fn why(&self) -> Why {
        let waiting = self.waiting();
        assert!(!waiting.is_empty(), "it has ended");
        assert!(!waiting[0].story.is_empty());
        waiting[0].why
    }
}

/// A time of the run, by a clock that is true.
fn at(ms: u64) -> String {
    (plan([]).epoch_ms + ms).to_string()
}

fn may(reason: Reason) -> Why {
    Why::Legitimate(reason)
}

fn stuck(stuck: Stuck) -> Why {
    Why::Stuck(stuck)
}

fn eligible() -> Scene {
    let state = [
        ("lifecycle_phase", "runnable"),
        ("ownership_state", "unowned"),
        ("eligibility_state", "eligible_now"),
    ];
    Scene::of(&state).wrote(&["ZADD", "%lane:gold:eligible", "0", "e1"])
}

fn delayed(until_ms: u64) -> Scene {
    Scene::of(&[
        ("lifecycle_phase", "runnable"),
        ("eligibility_state", "not_eligible_until_time"),
        ("delay_until", &at(until_ms)),
    ])
    .wrote(&["ZADD", "%lane:gold:delayed", "0", "e1"])
}

fn blocked(since_ms: u64) -> Scene {
    Scene::of(&[
        ("lifecycle_phase", "runnable"),
        ("eligibility_state", "blocked_by_route"),
        ("last_mutation_at", &at(since_ms)),
    ])
    .wrote(&["ZADD", "%lane:gold:blocked:route", "0", "e1"])
}

fn leased(until_ms: u64) -> Scene {
    Scene::of(&[
        ("lifecycle_phase", "active"),
        ("ownership_state", "leased"),
        ("lease_expires_at", &at(until_ms)),
        ("current_lease_epoch", "1"),
    ])
    .wrote(&["ZADD", "%lease_expiry", "0", "e1"])
}

fn lost() -> Scene {
    leased(50_000).with(&[("ownership_state", "lease_expired_reclaimable")])
}

/// Only worker-2 is able to do it.
fn demanding(scene: Scene) -> Scene {
    scene
        .with(&[("required_capabilities", "gpu")])
        .planned(|plan| plan.workers[1].capabilities = vec!["gpu".into()])
}

/// All do it.
fn demanded_of_all(scene: Scene) -> Scene {
    demanding(scene).planned(|plan| plan.workers[0].capabilities = vec!["gpu".into()])
}

#[test]
fn what_has_ended_waits_for_nothing() {
    assert!(Scene::of(&[("lifecycle_phase", "terminal")]).waiting().is_empty());
}

#[test]
fn what_does_not_exist_may_wait_where_nobody_submits_it_or_nothing_is_to_be_seen() {
    assert_eq!(Scene::of(&[]).why(), may(Unseen));
    assert_eq!(Scene::of(&[]).without(&[Node::Submitter]).why(), may(NobodySubmits));
    let two = eligible().planned(|plan| {
        let second = Execution { name: ExecutionName::nth(2), ..plan.executions[0].clone() };
        plan.executions.push(second);
    });
    assert_eq!(two.waiting()[1].why, stuck(NeverCreated));
}

#[test]
fn an_eligible_execution_waits_for_a_scheduler_and_a_worker_that_live_serve_its_lane_and_are_able() {
    let workers = [WORKER, Node::Worker(2)];
    assert_eq!(eligible().why(), stuck(NotGranted));
    assert_eq!(eligible().without(&[SCHEDULER]).why(), may(NoScheduler));
    assert_eq!(eligible().without(&workers[..1]).why(), stuck(NotGranted));
    assert_eq!(eligible().without(&workers).why(), may(NoWorker));
    assert_eq!(demanding(eligible()).without(&workers[1..]).why(), may(NoCapableWorker));
    assert_eq!(demanding(eligible()).without(&workers[..1]).why(), stuck(NotGranted));
    let elsewhere =
        |plan: &mut Plan| plan.workers.iter_mut().for_each(|worker| worker.lanes = vec!["silver".into()]);
    assert_eq!(eligible().planned(elsewhere).why(), may(NoWorker));
}

#[test]
fn an_eligible_execution_stands_in_the_eligible_set() {
    let unlisted = eligible().wrote(&["ZREM", "%lane:gold:eligible", "e1"]);
    assert_eq!(unlisted.why(), stuck(NotEligibleListed));
    assert_eq!(unlisted.wrote(&["ZADD", "%lane:silver:eligible", "0", "e1"]).why(), stuck(NotEligibleListed));
}

#[test]
fn a_lane_of_mixed_capabilities_has_a_tail_and_one_of_equals_has_none() {
    assert_eq!(demanding(eligible()).why(), may(MixedCapabilities));
    assert_eq!(demanded_of_all(eligible()).why(), stuck(NotGranted));
}

#[test]
fn a_grant_must_outlive_the_way_of_its_claim() {
    // Five messages of a millisecond each, and two of a request that is ahead in the line.
    let ttl = |ttl_ms| eligible().planned(move |plan| plan.settings.grant_ttl_ms = ttl_ms).why();
    assert_eq!([0, 4].map(ttl), [may(GrantNeverInTime); 2]);
    assert_eq!([5, 7].map(ttl), [may(GrantTooShort); 2]);
    assert_eq!(ttl(8), stuck(NotGranted));
    let jitter = |us| {
        let slow = move |plan: &mut Plan| (plan.settings.grant_ttl_ms, plan.network.jitter_us) = (10, us);
        eligible().planned(slow).why()
    };
    assert_eq!([400, 500].map(jitter), [stuck(NotGranted), may(GrantTooShort)]);
    let by_place = |step_us| {
        let waits = move |plan: &mut Plan| {
            (plan.settings.grant_ttl_ms, plan.priorities) = (10, Some(behind(SCHEDULER, step_us)));
        };
        eligible().planned(waits).why()
    };
    assert_eq!([400, 500].map(by_place), [stuck(NotGranted), may(GrantTooShort)]);
}

/// A node is a step behind all others.
fn behind(node: Node, step_us: u64) -> Priorities {
    Priorities { step_us, places: [(node, [(1, 1)].into())].into() }
}

#[test]
fn a_grant_that_nobody_removes_is_in_the_way_and_one_that_goes_by_itself_is_not() {
    let grant = |until_ms: u64| {
        let until = at(until_ms);
        eligible().wrote(&["HSET", ":claim_grant", "created_at", &at(1), "grant_expires_at", &until])
    };
    assert_eq!(grant(90_000).why(), stuck(GrantInTheWay));
    assert_eq!(grant(NOW_MS + 10).why(), stuck(NeverClaimed));
    let expiring = grant(90_000).wrote(&["PEXPIREAT", ":claim_grant", &at(90_000)]);
    assert_eq!(expiring.why(), stuck(NeverClaimed));
}

#[test]
fn whoever_has_its_hands_full_grants_no_wish() {
    let busy = |slots| {
        let mut scene = eligible().without(&[Node::Worker(2)]).planned(move |plan| {
            plan.workers[0].slots = slots;
            let second = Execution { name: ExecutionName::nth(2), ..plan.executions[0].clone() };
            plan.executions.push(second);
        });
        let second = scene.deployment().id(&ExecutionName::nth(2)).clone();
        let key = ExecutionKeys::of(&second).exec.lease_current();
        let until = at(NOW_MS + 1);
        let lease = ["HSET", key.as_str(), "expires_at", until.as_str(), "worker_instance_id", "w1-1.1"];
        scene.commands.push(lease.map(str::to_owned).to_vec());
        scene.why()
    };
    assert_eq!([1, 2].map(busy), [may(Busy), stuck(NotGranted)]);
}

#[test]
fn whoever_is_behind_another_waits_for_that_one() {
    let two = |score: &str| {
        let mut scene = eligible().planned(|plan| {
            let second = Execution { name: ExecutionName::nth(2), ..plan.executions[0].clone() };
            plan.executions.push(second);
        });
        let deployment = scene.deployment();
        let keys = ExecutionKeys::of(deployment.id(&ExecutionName::nth(2)));
        let (core, eligible) = (keys.exec.core(), keys.index.lane_eligible(&LaneId::new("gold")));
        let id = deployment.id(&ExecutionName::nth(2)).to_string();
        for words in [
            vec![
                "HSET",
                &core,
                "lane_id",
                "gold",
                "lifecycle_phase",
                "runnable",
                "eligibility_state",
                "eligible_now",
            ],
            vec!["ZADD", &eligible, score, &id],
        ] {
            scene.commands.push(words.into_iter().map(str::to_owned).collect());
        }
        let waiting = scene.waiting();
        [waiting[0].why, waiting[1].why]
    };
    assert_eq!(two("1"), [stuck(NotGranted), may(BehindAnother)]);
    assert_eq!(two("-1"), [may(BehindAnother), stuck(NotGranted)]);
}

#[test]
fn whoever_is_behind_one_that_cannot_be_granted_waits_for_ever() {
    let other = "{fp:0}:00000000-0000-4000-8000-000000000001";
    let before = |score| eligible().wrote(&["ZADD", "%lane:gold:eligible", score, other]).why();
    assert_eq!([before("-1"), before("1")], [stuck(BehindAGhost), stuck(NotGranted)]);
}

#[test]
fn a_delay_that_is_over_is_promoted_where_there_is_a_promoter() {
    assert_eq!(delayed(NOW_MS + 100).why(), may(NotDue));
    assert_eq!(delayed(NOW_MS).why(), stuck(NotPromoted));
    assert_eq!(delayed(NOW_MS).without(&[Node::Scanner]).why(), may(NoScanner));
    assert_eq!(delayed(NOW_MS).lacking(Function::PromoteDelayed).why(), may(NobodyDoesIt));
    assert_eq!(delayed(NOW_MS).wrote(&["ZREM", "%lane:gold:delayed", "e1"]).why(), stuck(NotDelayedListed));
    assert_eq!(delayed(NOW_MS).wrote(&["HDEL", ":core", "delay_until"]).why(), stuck(NoTimeToPromote));
}

#[test]
fn a_delay_is_as_long_as_somebody_asked_for() {
    let planned =
        |delay_ms| delayed(NOW_MS + 60_000).planned(move |plan| plan.executions[0].delay_ms = delay_ms).why();
    assert_eq!([None, Some(60_000)].map(planned), [stuck(DelayTooLong), may(NotDue)]);
    let clock = |offset_ms| {
        delayed(NOW_MS + 600_000)
            .planned(move |plan| {
                plan.clocks.insert(Node::Submitter, WrongClock { offset_ms, ..WrongClock::default() });
            })
            .why()
    };
    assert_eq!([1_000, 600_000].map(clock), [stuck(DelayTooLong), may(NotDue)]);
}

#[test]
fn what_is_blocked_for_want_of_a_capable_worker_is_unblocked_when_one_lives() {
    assert_eq!(blocked(50_000).why(), stuck(NotUnblocked));
    assert_eq!(demanding(blocked(50_000)).why(), stuck(NotUnblocked));
    assert_eq!(demanding(blocked(50_000)).without(&[Node::Worker(2)]).why(), may(NoCapableWorker));
    assert_eq!(blocked(50_000).without(&[Node::Scanner]).why(), may(NoScanner));
    assert_eq!(blocked(50_000).lacking(Function::UnblockExecution).why(), may(NobodyDoesIt));
    assert_eq!(demanding(blocked(99_000)).why(), may(MixedCapabilities));
    assert_eq!(blocked(99_000).why(), may(NotDue));
    assert_eq!(blocked(99_000).wrote(&["DEL", "%lane:gold:blocked:route"]).why(), stuck(NotBlockedListed));
}

#[test]
fn a_block_by_somebody_who_has_the_say_stays() {
    let blocked = |eligibility, reason| {
        let state = [
            ("lifecycle_phase", "runnable"),
            ("eligibility_state", eligibility),
            ("blocking_reason", reason),
        ];
        Scene::of(&state).why()
    };
    assert_eq!(blocked("blocked_by_operator", "paused_by_operator"), may(Operator));
    assert_eq!(blocked("blocked_by_operator", "paused_by_flow_cancel"), may(FlowCancelled));
    assert_eq!(blocked("blocked_by_quota", "waiting_for_quota"), may(Limit));
    assert_eq!(blocked("blocked_by_the_moon", "none"), stuck(NoWayOut));
}

#[test]
fn what_depends_on_nothing_any_more_is_promoted() {
    let scanned = |plan: &mut Plan| plan.settings.scans.dependency_ms = Some(1_000);
    let dependent =
        Scene::of(&[("lifecycle_phase", "runnable"), ("eligibility_state", "blocked_by_dependencies")]);
    assert_eq!(dependent.why(), may(NobodyDoesIt));
    let dependent = dependent.planned(scanned);
    assert_eq!(dependent.why(), stuck(NotResolved));
    assert_eq!(dependent.clone().without(&[Node::Scanner]).why(), may(NoScanner));
    assert_eq!(dependent.clone().with(&[("last_mutation_at", &at(NOW_MS - 100))]).why(), may(NotDue));
    assert_eq!(dependent.wrote(&["SADD", ":deps:unresolved", "an-edge"]).why(), may(Dependency));
}

#[test]
fn a_lease_is_live_or_marked() {
    assert_eq!(leased(NOW_MS + 1).why(), may(Running));
    assert_eq!(leased(NOW_MS).why(), may(NotDue));
    assert_eq!(leased(90_000).why(), stuck(LeaseNotMarked));
    assert_eq!(leased(90_000).without(&[Node::Scanner]).why(), may(NoScanner));
    assert_eq!(leased(90_000).lacking(Function::MarkLeaseExpiredIfDue).why(), may(NobodyDoesIt));
    assert_eq!(leased(NOW_MS).wrote(&["DEL", "%lease_expiry"]).why(), stuck(LeaseNotListed));
}

#[test]
fn a_lost_lease_is_taken_over_by_a_worker_that_lives_and_is_able() {
    assert_eq!(lost().why(), stuck(NotReclaimed));
    assert_eq!(lost().lacking(Function::ReclaimExecution).why(), may(NobodyDoesIt));
    assert_eq!(lost().with(&[("ownership_state", "lease_revoked")]).why(), may(NobodyDoesIt));
    assert_eq!(lost().without(&[Node::Scanner]).why(), may(NoScanner));
    assert_eq!(demanding(lost()).without(&[Node::Worker(2)]).why(), may(NoCapableWorker));
    assert_eq!(demanding(lost()).why(), stuck(NotReclaimed));
    assert_eq!(lost().wrote(&["DEL", "%lease_expiry"]).why(), stuck(LeaseNotListed));
}

#[test]
fn more_leases_than_there_is_work_for_are_a_circle() {
    let leases = |epoch: &str, change: fn(&mut Plan)| {
        let mut scene = leased(NOW_MS + 1).with(&[("current_lease_epoch", epoch)]).planned(change);
        scene.epochs.insert(ExecutionName::nth(1), 2);
        let payload = serde_json::to_string(&scene.plan.executions[0]).expect("a plan is plain data");
        let scene = scene.wrote(&["SET", ":payload", &payload]);
        scene.why()
    };
    // One piece of work, and four leases to spare.
    assert_eq!(leases("7", |_| {}), may(Running));
    assert_eq!(leases("8", |_| {}), stuck(NeverEnds));
    let forgotten = |plan: &mut Plan| plan.executions[0].work = vec![Work::new(1, Ending::Vanish)];
    assert_eq!(leases("8", forgotten), may(WorkIsForgotten));
    assert_eq!(leases("8", |plan| plan.settings.lease_ttl_ms = 5), may(LeaseTooShort));
    let waits = |plan: &mut Plan| plan.priorities = Some(behind(Node::Worker(1), 1_000_000));
    assert_eq!(leases("8", waits), may(LeaseTooShort));
    let mut passed_on =
        leased(NOW_MS + 1).with(&[("current_lease_epoch", "8")]).wrote(&["SET", ":payload", "done"]);
    passed_on.epochs.insert(ExecutionName::nth(1), 2);
    assert_eq!(passed_on.why(), may(WorkIsForgotten));
    // Between two leases it is eligible for a while.
    let between = |epoch: &str| {
        let mut scene = eligible().with(&[("current_lease_epoch", epoch)]).planned(forgotten);
        scene.epochs.insert(ExecutionName::nth(1), 2);
        scene.why()
    };
    assert_eq!([between("7"), between("8")], [stuck(NotGranted), may(WorkIsForgotten)]);
}

#[test]
fn a_suspension_ends_by_its_timeout_or_by_a_signal() {
    let suspended = Scene::of(&[("lifecycle_phase", "suspended")]);
    assert_eq!(suspended.why(), may(NoSignal));
    let until = |ms| suspended.clone().wrote(&["HSET", ":suspension:current", "timeout_at", &at(ms)]);
    assert_eq!(until(50_000).why(), may(NobodyDoesIt));
    let scanned = |plan: &mut Plan| plan.settings.scans.suspension_ms = Some(1_000);
    let until = |ms| until(ms).planned(scanned).why();
    assert_eq!([NOW_MS + 1, NOW_MS, 50_000].map(until), [may(NotDue), may(NotDue), stuck(NotTimedOut)]);
}

#[test]
fn the_second_of_two_under_one_key_never_exists() {
    let keyed = |plan: &mut Plan| {
        let mut second = Execution { name: ExecutionName::nth(2), ..plan.executions[0].clone() };
        second.terms.once = Some(plan::Once { key: "k".to_owned(), ttl_ms: 1 });
        plan.executions[0].terms.once = second.terms.once.clone();
        plan.executions.push(second);
    };
    assert_eq!(eligible().planned(keyed).waiting()[1].why, may(Duplicate));
}

#[test]
fn a_state_that_leads_nowhere_is_no_reason() {
    for (phase, ownership) in [("active", "unowned"), ("moonlit", "leased"), ("", "")] {
        assert_eq!(
            Scene::of(&[("lifecycle_phase", phase), ("ownership_state", ownership)]).why(),
            stuck(NoWayOut)
        );
    }
}
