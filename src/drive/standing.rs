//! Whether standing still is legitimate: what an execution waits for that has not ended, read from the state and the plan.
//!
//! Asked when all that breaks is over. The state says what must happen next, the plan and who lives say who could do it. If
//! somebody could and it does not happen, the execution is stuck. *When* to ask, and how long to wait first, is in
//! [`course`](super::course). Budgets, quotas and dependencies are judged by what the execution's own record says.

use std::collections::BTreeMap;

use super::Deployment;
use crate::{
    plan::{self, Ending, Execution, Worker},
    protocol::TimeoutBehavior,
    types::{
        AttemptState, BlockingReason, EligibilityState, ExecutionId, ExecutionName, Function, LaneId,
        LifecyclePhase, Node, OwnershipState, Reason, SimTime, Stuck, TimestampMs, Waiting, Why,
    },
    view::{self, Core, EdgeGroup, StateVector, View, tag_of},
};

/// Messages from the server's clock that dates a grant to the claim that it reads: the reply, the grant, a question and its
/// answer, the claim.
const GRANT_HOPS: u64 = 5;
/// Four more where the claim is told that the attempt goes on: that answer, another question and its answer, the next claim.
const RESUME_HOPS: u64 = GRANT_HOPS + 4;
/// Two more for each claim that has another request of its process ahead of it in the line.
const QUEUED_HOPS: u64 = 2;
/// A segment that the network loses is sent again after this long, microseconds.
const RETRANSMIT_US: u64 = 200_000;
/// More leases than the plan has work for, in a world in which nothing breaks: by so many.
const LEASES_TO_SPARE: u64 = 4;

/// A run at an instant, to be judged.
pub struct Standing<'a> {
    /// Who takes part.
    pub deployment: &'a Deployment,
    /// The keyspace.
    pub view: &'a View,
    /// The true time.
    pub now: SimTime,
    /// Whether a process lives.
    pub lives: &'a dyn Fn(Node) -> bool,
    /// The epochs that the executions had when the faults were over.
    pub epochs: &'a BTreeMap<ExecutionName, u64>,
}

impl Standing<'_> {
    /// Every execution that has not ended, and why.
    pub fn waiting(&self) -> Vec<Waiting> {
        let executions = self.deployment.plan.executions.iter();
        let mut waiting: Vec<Waiting> = executions.filter_map(|execution| self.of(execution)).collect();
        self.excuse_those_behind(&mut waiting);
        waiting
    }

    /// What one execution waits for, seen by itself; none if it has ended.
    pub fn of(&self, execution: &Execution) -> Option<Waiting> {
        let id = self.deployment.id(&execution.name);
        let found = self.view.execution(id);
        let case = Case { standing: self, execution, found: &found };
        let (why, story) = match found.core() {
            None => case.never_created(),
            Some(core) if core.is_terminal() => return None,
            Some(core) => case.judge(core, &core.state()),
        };
        Some(Waiting { execution: execution.name.clone(), why, story })
    }

    /// Whoever stands behind another of its lane waits for that one: what is wrong with the first is said once.
    fn excuse_those_behind(&self, waiting: &mut [Waiting]) {
        let firsts: BTreeMap<String, Waiting> = waiting
            .iter()
            .filter_map(|one| {
                let (key, first) = self.queue(&one.execution)?;
                (first == *self.deployment.id(&one.execution)).then(|| (key, one.clone()))
            })
            .collect();
        for one in waiting.iter_mut() {
            let Why::Stuck(Stuck::NotGranted | Stuck::NeverClaimed) = one.why else { continue };
            let Some((key, _)) = self.queue(&one.execution) else { continue };
            if let Some(first) = firsts.get(&key).filter(|first| first.execution != one.execution) {
                one.why = Why::Legitimate(Reason::BehindAnother);
                one.story = format!("{} is before it on its lane: {}", first.execution, first.story);
            }
        }
    }

    /// The eligible set that an execution stands in, and who is first there.
    fn queue(&self, execution: &ExecutionName) -> Option<(String, ExecutionId)> {
        let found = self.view.execution(self.deployment.id(execution));
        let key = found.keys().index.lane_eligible(&LaneId::new(found.core()?.lane()));
        found.stands_in(&key).then_some(())?;
        let (first, _) = self.view.sorted_set(&key)?.iter().next()?;
        Some((key, ExecutionId::parse(std::str::from_utf8(first).ok()?).ok()?))
    }

    /// What a node's clock reads.
    fn clock(&self, node: Node) -> i64 {
        self.deployment.clock_over_time(node).now(self.now).millis().0
    }

    fn has(&self, function: &Function) -> bool {
        self.deployment.functions.has(function)
    }
}

/// An execution to be judged.
struct Case<'a> {
    standing: &'a Standing<'a>,
    execution: &'a Execution,
    found: &'a view::Execution<'a>,
}

/// What it waits for, and the story of it.
type Verdict = (Why, String);

fn may(reason: Reason, story: impl Into<String>) -> Verdict {
    (Why::Legitimate(reason), story.into())
}

fn stuck(stuck: Stuck, story: impl Into<String>) -> Verdict {
    (Why::Stuck(stuck), story.into())
}

impl Case<'_> {
    fn never_created(&self) -> Verdict {
        let standing = self.standing;
        if !(standing.lives)(Node::Submitter) {
            return may(Reason::NobodySubmits, "the submitter is down for good");
        }
        if standing.deployment.is_duplicate(self.execution, standing.view, standing.now) {
            return may(Reason::Duplicate, "another came first under its idempotency key");
        }
        let executions = standing.deployment.plan.executions.iter();
        let exists =
            |it: &Execution| standing.view.execution(standing.deployment.id(&it.name)).core().is_some();
        if !executions.clone().any(exists) {
            return may(
                Reason::Unseen,
                "no execution of the run has a record that FlowFabric's keys lead to",
            );
        }
        let at_ms = self.execution.at_ms;
        stuck(Stuck::NeverCreated, format!("submitted at {at_ms} ms of the run, and it has no record"))
    }

    fn judge(&self, core: Core<'_>, state: &StateVector) -> Verdict {
        match (&state.phase, &state.ownership) {
            (LifecyclePhase::Runnable, _) => self.runnable(core, state),
            (LifecyclePhase::Active, OwnershipState::Leased) => self.leased(core),
            (LifecyclePhase::Active, ownership) if ownership.is_reclaimable() => self.lost(core, ownership),
            (LifecyclePhase::Suspended, _) => self.suspended(state),
            _ => self.no_way_out(state),
        }
    }

    fn no_way_out(&self, state: &StateVector) -> Verdict {
        let story = format!(
            "it is {}, {}, {}, {}: nothing leads on from there",
            state.phase.as_str(),
            state.ownership.as_str(),
            state.eligibility.as_str(),
            state.blocking.as_str()
        );
        stuck(Stuck::NoWayOut, story)
    }

    fn runnable(&self, core: Core<'_>, state: &StateVector) -> Verdict {
        match state.eligibility {
            EligibilityState::EligibleNow => self.eligible(core),
            EligibilityState::NotEligibleUntilTime => self.delayed(core),
            EligibilityState::BlockedByOperator if state.blocking == BlockingReason::PausedByFlowCancel => {
                may(Reason::FlowCancelled, "its flow was cancelled")
            }
            EligibilityState::BlockedByOperator | EligibilityState::BlockedByLaneState => {
                may(Reason::Operator, format!("blocked: {}", state.blocking.as_str()))
            }
            EligibilityState::BlockedByBudget | EligibilityState::BlockedByQuota => self.limited(core, state),
            EligibilityState::BlockedByRoute => self.blocked_by_route(core),
            EligibilityState::BlockedByDependencies => self.dependent(core),
            EligibilityState::NotApplicable | EligibilityState::Unknown(_) => self.no_way_out(state),
        }
    }

    // Eligible: a scheduler grants it to a worker that asks, and the worker claims it.

    fn eligible(&self, core: Core<'_>) -> Verdict {
        let lane = LaneId::new(core.lane());
        if !self.found.stands_in(&self.found.keys().index.lane_eligible(&lane)) {
            let is_new = core.epoch().0 == 0 && self.execution.delay_ms.is_some();
            let kind = if is_new { Stuck::NeverListed } else { Stuck::NotEligibleListed };
            return stuck(kind, format!("eligible, and not in the eligible set of lane {lane}"));
        }
        if !self.any_lives(&self.plan().schedulers) {
            return may(Reason::NoScheduler, "eligible, and every scheduler is down for good");
        }
        if let Err(nobody) = self.able(core) {
            return nobody;
        }
        if let Some(verdict) = self.grant_in_the_way() {
            return verdict;
        }
        if let Some(verdict) = self.too_short_a_grant(core) {
            return verdict;
        }
        if let Some(verdict) = self.tail(core) {
            return verdict;
        }
        if let Some(verdict) = self.all_busy(core) {
            return verdict;
        }
        if let Some(verdict) = self.ghost() {
            return verdict;
        }
        // It is granted again and again, and this is between two times.
        if let Some(verdict) = self.going_round(core) {
            return verdict;
        }
        let who = self.idle(core);
        match self.found.grant() {
            Some(grant) => {
                let worker = &grant.instance;
                stuck(
                    Stuck::NeverClaimed,
                    format!("granted once more, now to {worker}, and no claim succeeds"),
                )
            }
            None => {
                let since = self.ago(core.0.time("last_mutation_at"));
                stuck(Stuck::NotGranted, format!("eligible{since}, and no grant although {who}"))
            }
        }
    }

    /// Where one stands first on its lane that cannot be granted: schedulers ask for that one for ever.
    fn ghost(&self) -> Option<Verdict> {
        let standing = self.standing;
        let (_, first) = standing.queue(&self.execution.name)?;
        let state = standing.view.execution(&first).state();
        if state.as_ref().is_some_and(StateVector::is_eligible) {
            return None;
        }
        let phase = state.map_or("not there".to_owned(), |state| state.phase.as_str().to_owned());
        let name = standing.deployment.names.of(&first);
        let story = format!("{name} is before it in the eligible set of its lane, and is {phase}");
        Some(stuck(Stuck::BehindAGhost, story))
    }

    /// The workers that live, serve its lane and are able; or why nobody is there.
    fn able(&self, core: Core<'_>) -> Result<Vec<&Worker>, Verdict> {
        let lane = core.lane();
        let serving = self.serving(lane);
        if serving.is_empty() {
            return Err(may(Reason::NoWorker, format!("no living worker serves {lane}")));
        }
        let able: Vec<_> = serving.into_iter().filter(|worker| is_able(worker, core)).collect();
        if able.is_empty() {
            let required = core.text("required_capabilities");
            return Err(may(
                Reason::NoCapableWorker,
                format!("no living worker of {lane} is able to do {required}"),
            ));
        }
        Ok(able)
    }

    /// The workers that live and serve a lane.
    fn serving(&self, lane: &str) -> Vec<&Worker> {
        let serves = |worker: &&Worker| worker.lanes.iter().any(|served| served == lane);
        let workers = self.plan().workers.iter().filter(serves);
        workers.filter(|worker| (self.standing.lives)(worker.name)).collect()
    }

    fn grant_in_the_way(&self) -> Option<Verdict> {
        let grant = self.found.grant()?;
        let over_ms = self.standing.clock(Node::Valkey) - grant.expires_at.0;
        let patience_ms = self.plan().patience_ms() as i64;
        // Its key would have to go by itself.
        let stays = grant.key_expires_at.is_none_or(|at| at.0 - grant.expires_at.0 > patience_ms);
        (stays && over_ms > 0).then(|| {
            let story =
                format!("a grant to {} is over since {over_ms} ms and still lies there", grant.instance);
            stuck(Stuck::GrantInTheWay, story)
        })
    }

    fn too_short_a_grant(&self, core: Core<'_>) -> Option<Verdict> {
        let network = &self.plan().network;
        let ttl_ms = self.plan().settings.grant_ttl_ms;
        let state = core.state();
        let goes_on =
            state.phase == LifecyclePhase::Runnable && state.attempt == AttemptState::AttemptInterrupted;
        let (hops, claims) = if goes_on { (RESUME_HOPS, 2) } else { (GRANT_HOPS, 1) };
        let most_hops = hops + QUEUED_HOPS * claims;
        let (least_us, most_us) = (hops * network.latency_us, most_hops * self.plan().hop_us());
        let story =
            || format!("grants live {ttl_ms} ms, and a claim takes {least_us} to {most_us} µs to arrive");
        // A grant is dated to the millisecond, and valid through its last one.
        if ttl_ms == 0 || least_us >= (ttl_ms + 1) * 1_000 {
            return Some(may(Reason::GrantNeverInTime, story()));
        }
        let again_us = if network.loss_ppm > 0 { RETRANSMIT_US } else { 0 };
        (most_us + again_us >= ttl_ms * 1_000).then(|| may(Reason::GrantTooShort, story()))
    }

    /// Where a lane has workers that are not able, an execution comes round until one that is happens to ask first.
    fn tail(&self, core: Core<'_>) -> Option<Verdict> {
        let unable = self.serving(core.lane()).into_iter().find(|worker| !is_able(worker, core))?;
        let (name, required) = (unable.name, core.text("required_capabilities"));
        Some(may(
            Reason::MixedCapabilities,
            format!("{name} serves its lane and is not able to do {required}"),
        ))
    }

    fn all_busy(&self, core: Core<'_>) -> Option<Verdict> {
        let able = self.able(core).ok()?;
        let has_room = |worker: &&Worker| self.leases_of(worker) < usize::from(worker.slots);
        (!able.iter().any(has_room))
            .then(|| may(Reason::Busy, "every worker that is able has its hands full"))
    }

    /// How many live leases the processes of a node have.
    fn leases_of(&self, worker: &Worker) -> usize {
        let now = TimestampMs(self.standing.clock(Node::Valkey));
        let leases = self.plan().executions.iter().filter_map(|execution| {
            self.standing.view.execution(self.standing.deployment.id(&execution.name)).lease()
        });
        let is_its = |lease: &view::Lease| super::process_of(&lease.instance) == Some(worker.name);
        leases.filter(|lease| lease.is_live(now) && is_its(lease)).count()
    }

    /// Who could do it: the sentence that goes on after `although`.
    fn idle(&self, core: Core<'_>) -> String {
        let names: Vec<String> =
            self.able(core).unwrap_or_default().iter().map(|worker| worker.name.to_string()).collect();
        let (serves, asks) = if names.len() == 1 { ("serves", "asks") } else { ("serve", "ask") };
        format!("{} {serves} {} and {asks} for work", names.join(", "), core.lane())
    }

    // Delayed: the promoter makes it eligible when its time has come.

    fn delayed(&self, core: Core<'_>) -> Verdict {
        let standing = self.standing;
        if !standing.has(&Function::PromoteDelayed) {
            return may(Reason::NobodyDoesIt, "the library promotes nothing");
        }
        if let Some(verdict) = self.no_scanner() {
            return verdict;
        }
        let Some(until) = core.delay_until() else {
            return stuck(Stuck::NoTimeToPromote, "it is delayed, and its core does not say until when");
        };
        let left_ms = until.0 - standing.clock(Node::Scanner);
        let plan = self.plan();
        if left_ms > plan.longest_delay_ms().saturating_add(plan.clock_spread_ms()) as i64 {
            // A clock that is wrong by more than is waited for may have asked for anything.
            let is_wild = plan.clocks.values().any(|clock| is_wild(clock, left_ms));
            let story = format!("delayed for {left_ms} ms more");
            return if is_wild { may(Reason::NotDue, story) } else { stuck(Stuck::DelayTooLong, story) };
        }
        if left_ms > 0 {
            return may(Reason::NotDue, format!("delayed for {left_ms} ms more"));
        }
        let over_ms = -left_ms;
        let lane = LaneId::new(core.lane());
        if !self.found.stands_in(&self.found.keys().index.lane_delayed(&lane)) {
            let story = format!("delayed until {over_ms} ms ago, and not in the delayed set of lane {lane}");
            return stuck(Stuck::NotDelayedListed, story);
        }
        stuck(Stuck::NotPromoted, format!("its delay is over since {over_ms} ms, and nobody promotes it"))
    }

    fn no_scanner(&self) -> Option<Verdict> {
        let lives = self.plan().scanners().any(|node| (self.standing.lives)(node));
        (!lives).then(|| may(Reason::NoScanner, "the scanner is down for good"))
    }

    // Blocked: the unblock scanner gives it another chance, or somebody resolves what it depends on.

    fn blocked_by_route(&self, core: Core<'_>) -> Verdict {
        if let Err(nobody) = self.able(core) {
            return nobody;
        }
        if !self.standing.has(&Function::UnblockExecution) {
            return may(Reason::NobodyDoesIt, "the library unblocks nothing");
        }
        if let Some(verdict) = self.no_scanner() {
            return verdict;
        }
        let lane = LaneId::new(core.lane());
        if !self.found.stands_in(&self.found.keys().index.lane_blocked_route(&lane)) {
            let story = format!("blocked for want of a capable worker, and not in that set of lane {lane}");
            return stuck(Stuck::NotBlockedListed, story);
        }
        let since = core.0.time("last_mutation_at");
        if since.is_none_or(|since| self.is_long(since, self.plan().settings.unblock_scan_ms)) {
            let (ago, who) = (self.ago(since), self.idle(core));
            return stuck(
                Stuck::NotUnblocked,
                format!("blocked{ago} for want of a capable worker although {who}"),
            );
        }
        self.tail(core).unwrap_or_else(|| may(Reason::NotDue, "the unblock scanner will come"))
    }

    fn limited(&self, core: Core<'_>, state: &StateVector) -> Verdict {
        let scan_ms = self.plan().settings.scans.admission_ms;
        let since = core.0.time("last_mutation_at");
        let will_come = scan_ms.zip(since).is_some_and(|(scan_ms, since)| !self.is_long(since, scan_ms));
        let reason = if will_come { Reason::NotDue } else { Reason::Limit };
        may(reason, format!("blocked{}: {}", self.ago(since), state.blocking.as_str()))
    }

    fn dependent(&self, core: Core<'_>) -> Verdict {
        let unresolved = self.standing.view.members(&self.found.keys().exec.deps_unresolved()).len();
        if unresolved > 0 {
            let will_come = self.plan().settings.scans.dependency_ms.zip(core.0.time("last_mutation_at"));
            if will_come.is_some_and(|(scan_ms, since)| !self.is_long(since, scan_ms)) {
                return may(Reason::NotDue, "the scanner of dependencies will come");
            }
            return may(Reason::Dependency, format!("{unresolved} of its dependencies are not resolved"));
        }
        let Some(scan_ms) = self.plan().settings.scans.dependency_ms else {
            return may(Reason::NobodyDoesIt, "no scanner looks after dependencies");
        };
        if let Some(verdict) = self.no_scanner() {
            return verdict;
        }
        let since = core.0.time("last_mutation_at");
        if since.is_some_and(|since| !self.is_long(since, scan_ms)) {
            return may(Reason::NotDue, "the scanner of dependencies will come");
        }
        let ago = self.ago(since);
        let id = self.found.id();
        let flow = tag_of(id).map(|tag| self.standing.view.flow(tag, core.text("flow_id")));
        if let Some(group) = flow.and_then(|flow| flow.group(id.as_str())).filter(EdgeGroup::has_fired) {
            let story = format!("its group of edges was {} before the last was added{ago}", group.state());
            return stuck(Stuck::GroupHasFired, story);
        }
        stuck(Stuck::NotResolved, format!("all that it depends on is resolved, and it is still blocked{ago}"))
    }

    /// Whether something is so for longer than a scanner takes that walks so often.
    fn is_long(&self, since: TimestampMs, scan_ms: u64) -> bool {
        let plan = self.plan();
        let rounds_ms = 4 * (scan_ms + plan.settings.request_timeout_ms);
        let so_ms = self.standing.clock(Node::Valkey) - since.0;
        so_ms > rounds_ms.saturating_add(plan.clock_spread_ms()) as i64
    }

    // Active: its worker ends it; a lease that is over is marked, and a lost one reclaimed.

    fn leased(&self, core: Core<'_>) -> Verdict {
        let now = self.standing.clock(Node::Valkey);
        let until = self.found.lease().map(|lease| lease.expires_at).or_else(|| core.lease_expires_at());
        let left_ms = until.map_or(0, |until| until.0) - now;
        if left_ms > 0 {
            let who = core.text("current_worker_instance_id");
            return self
                .going_round(core)
                .unwrap_or_else(|| may(Reason::Running, format!("{who} works on it")));
        }
        if !self.standing.has(&Function::MarkLeaseExpiredIfDue) {
            return may(Reason::NobodyDoesIt, "the library marks no lease");
        }
        if let Some(verdict) = self.no_scanner() {
            return verdict;
        }
        let over_ms = -left_ms;
        if !self.is_in_lease_expiry() {
            let story = format!("its lease is over since {over_ms} ms, and lease_expiry does not have it");
            return stuck(Stuck::LeaseNotListed, story);
        }
        // Between two walks of the scanner.
        let plan = self.plan();
        let scan_ms = 3 * (plan.settings.lease_scan_ms + plan.settings.request_timeout_ms);
        if over_ms <= scan_ms.saturating_add(plan.clock_spread_ms()) as i64 {
            let running = || may(Reason::NotDue, "its lease is over, and the scanner will come");
            return self.going_round(core).unwrap_or_else(running);
        }
        stuck(Stuck::LeaseNotMarked, format!("its lease is over since {over_ms} ms, and nobody marks it"))
    }

    fn lost(&self, core: Core<'_>, ownership: &OwnershipState) -> Verdict {
        let reclaims =
            self.standing.has(&Function::IssueReclaimGrant) && self.standing.has(&Function::ReclaimExecution);
        if !reclaims {
            return may(Reason::NobodyDoesIt, "the library reclaims nothing");
        }
        if *ownership == OwnershipState::LeaseRevoked {
            // Nothing published issues reclaim grants (RFC-024 §5), and lease_expiry, where the harness's reclaimer looks,
            // no longer has it.
            return may(Reason::NobodyDoesIt, "its lease was revoked, and no reclaimer looks for those");
        }
        if let Some(verdict) = self.no_scanner() {
            return verdict;
        }
        if let Err(nobody) = self.able(core) {
            return nobody;
        }
        if !self.is_in_lease_expiry() {
            let story =
                "its lost lease is marked, and lease_expiry, where the reclaimer looks, does not have it";
            return stuck(Stuck::LeaseNotListed, story);
        }
        if let Some(verdict) = self.grant_in_the_way().or_else(|| self.too_short_a_grant(core)) {
            return verdict;
        }
        if let Some(verdict) = self.going_round(core) {
            return verdict;
        }
        let who = self.idle(core);
        let since = self.ago(core.0.time("lease_expired_at"));
        stuck(
            Stuck::NotReclaimed,
            format!("its lost lease is marked{since}, and nobody takes it over although {who}"),
        )
    }

    fn is_in_lease_expiry(&self) -> bool {
        self.found.stands_in(&self.found.keys().index.lease_expiry())
    }

    /// Whether it got more leases since the faults were over than its plan has work for.
    fn going_round(&self, core: Core<'_>) -> Option<Verdict> {
        let before = self.standing.epochs.get(&self.execution.name)?;
        let leases = core.epoch().0.saturating_sub(*before);
        let work = &self.execution.work;
        if leases
            <= work.len() as u64
                + self.plan().retries_of(self.execution)
                + self.plan().deeds.len() as u64
                + LEASES_TO_SPARE
        {
            return None;
        }
        let story = format!("{leases} leases since the faults were over, and it has not ended");
        if matches!(
            work.last()?.ends,
            Ending::Vanish | Ending::Delay(_) | Ending::Suspend(_) | Ending::WaitChildren
        ) {
            return Some(may(Reason::WorkIsForgotten, story));
        }
        // Data that a dependency passed on stands where the work stood: whoever takes it on cannot read what to do.
        let payload = self.standing.view.string(&self.found.keys().exec.payload());
        if payload.is_none_or(|text| serde_json::from_str::<Execution>(&text).is_err()) {
            return Some(may(
                Reason::WorkIsForgotten,
                format!("{story}, and its payload says nothing of work"),
            ));
        }
        Some(if self.has_short_leases() {
            may(Reason::LeaseTooShort, story)
        } else {
            stuck(Stuck::NeverEnds, story)
        })
    }

    /// Whether a renewal may arrive when the lease is over: it is sent after a third of the lease's life.
    fn has_short_leases(&self) -> bool {
        let (network, ttl_ms) = (&self.plan().network, self.plan().settings.lease_ttl_ms);
        let again_us = if network.loss_ppm > 0 { 2 * RETRANSMIT_US } else { 0 };
        let way_us = 3 * self.plan().hop_us() + again_us;
        (ttl_ms - ttl_ms / 3).saturating_sub(2) * 1_000 <= way_us
    }

    // Suspended: a signal or its timeout ends it.

    fn suspended(&self, state: &StateVector) -> Verdict {
        let timeout = self.found.suspension().and_then(|suspension| suspension.timeout_at());
        let Some(at) = timeout else { return may(Reason::NoSignal, "suspended without a timeout") };
        let left_ms = at.0 - self.standing.clock(Node::Valkey);
        let scan = self.plan().settings.scans.suspension_ms;
        let Some(scan_ms) = scan.filter(|_| self.standing.has(&Function::ExpireSuspension)) else {
            return may(Reason::NobodyDoesIt, "no scanner looks after suspensions");
        };
        if left_ms > 0 {
            return may(Reason::NotDue, format!("suspended for {left_ms} ms more"));
        }
        if state.blocking == BlockingReason::PausedByOperator || self.may_escalate() {
            return may(Reason::Operator, "its suspension timed out, and an operator has to look at it");
        }
        if let Some(verdict) = self.no_scanner() {
            return verdict;
        }
        let ago = format!("{} ms ago", -left_ms);
        if !self.is_long(at, scan_ms) {
            return may(Reason::NotDue, format!("its suspension timed out {ago}, and the scanner will come"));
        }
        stuck(Stuck::NotTimedOut, format!("its suspension timed out {ago}, and it is still suspended"))
    }

    /// Whether its work suspends so that it stays suspended after its time. No deed suspends anything.
    fn may_escalate(&self) -> bool {
        let escalates = |work: &plan::Work| matches!(&work.ends, Ending::Suspend(wait) if wait.then == TimeoutBehavior::Escalate);
        self.execution.work.iter().any(escalates)
    }

    fn plan(&self) -> &plan::Plan {
        &self.standing.deployment.plan
    }

    fn any_lives(&self, nodes: &[Node]) -> bool {
        nodes.iter().any(|node| (self.standing.lives)(*node))
    }

    /// How long ago something was, by the server's clock.
    fn ago(&self, since: Option<TimestampMs>) -> String {
        let ms = since.map(|since| self.standing.clock(Node::Valkey) - since.0);
        ms.map(|ms| format!(" since {ms} ms")).unwrap_or_default()
    }
}

fn is_able(worker: &Worker, core: Core<'_>) -> bool {
    let required = core.text("required_capabilities").split(',').filter(|word| !word.is_empty());
    required.into_iter().all(|word| worker.capabilities.iter().any(|has| has == word))
}

/// Whether a clock is wrong by so much that it explains a time so far ahead.
fn is_wild(clock: &plan::WrongClock, ahead_ms: i64) -> bool {
    let steps: i64 = clock.steps.iter().map(|step| step.by_ms.saturating_abs()).fold(0, i64::saturating_add);
    clock.offset_ms.saturating_abs().saturating_add(steps) >= ahead_ms / 2
}

#[cfg(test)]
mod tests;
