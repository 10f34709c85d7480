//! The course of a run: when the world is healed, when all has settled, and when it is too late for what has not.
//!
//! First things break. When the plan's `run_for_ms` is up the world is healed, if the plan says so, and from then on there is a
//! bound ([`Plan::settle_ms`](crate::plan::Plan::settle_ms)). A run ends as soon as nothing is left that time could change.
//! *Whether* standing still is legitimate is decided in [`standing`](super::standing). A driver asks now and then.

use std::collections::BTreeMap;

use super::{Deployment, standing::Standing};
use crate::{
    trace::End,
    types::{ExecutionName, LeaseEpoch, Node, Reason, SimTime, Stuck, TimestampMs, Waiting, Why},
    view::View,
};

/// How often it is worth while to look at what every execution waits for.
const LOOK_EVERY_US: u64 = 500_000;

/// Where a run stands.
#[derive(Clone, Debug)]
pub struct Course {
    phase: Phase,
    next_look: SimTime,
    /// What the executions looked like, and since when.
    last: Vec<Mark>,
    changed_at: SimTime,
    /// The place of an execution for which the run went on.
    found: usize,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Things may break.
    Breaking,
    /// Nothing breaks any more; these were the epochs then.
    Healed {
        until: SimTime,
        epochs: BTreeMap<ExecutionName, u64>,
        /// How many executions had not ended, and since when it is as many.
        open: usize,
        open_since: SimTime,
    },
}

/// What one execution looks like: as long as it stays, nothing happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    state: Option<crate::view::StateVector>,
    epoch: LeaseEpoch,
    grant: Option<TimestampMs>,
    until: Option<TimestampMs>,
}

/// What a driver does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Goes on.
    GoOn,
    /// Heals the world, and goes on.
    Heal,
    /// Ends the run.
    End(End, Vec<Waiting>),
}

/// A run at an instant.
pub struct Instant<'a> {
    /// Who takes part.
    pub deployment: &'a Deployment,
    /// The keyspace.
    pub view: &'a View,
    /// The true time.
    pub now: SimTime,
    /// Whether all that has a time is over, and nothing that a fault held is under way.
    pub is_over: bool,
    /// Whether a hostile caller has taken part so far.
    pub was_hostile: bool,
    /// Whether a process lives.
    pub lives: &'a dyn Fn(Node) -> bool,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            phase: Phase::Breaking,
            next_look: SimTime::START,
            last: Vec::new(),
            changed_at: SimTime::START,
            found: 0,
        }
    }
}

impl Course {
    /// When it must be asked again at the latest.
    pub fn next(&self, deployment: &Deployment) -> SimTime {
        match &self.phase {
            Phase::Breaking => SimTime::from_millis(deployment.plan.run_for_ms),
            Phase::Healed { until, .. } => *until,
        }
    }

    /// Looks at a run that has not come to its quiet end.
    pub fn look(&mut self, at: &Instant<'_>) -> Turn {
        let is_up = at.now >= self.next(at.deployment);
        if !at.deployment.plan.heals {
            return if is_up { Turn::End(End::OutOfTime, Vec::new()) } else { Turn::GoOn };
        }
        if !is_up && (!at.is_over || at.now < self.next_look) {
            return Turn::GoOn;
        }
        self.next_look = at.now.after(LOOK_EVERY_US);
        match &self.phase {
            Phase::Breaking => self.while_breaking(at, is_up),
            Phase::Healed { epochs, .. } => {
                let waiting = judge(at, epochs);
                self.when_healed(at, is_up, waiting)
            }
        }
    }

    fn while_breaking(&mut self, at: &Instant<'_>, is_up: bool) -> Turn {
        // What the plan has yet to come may change everything.
        let is_over = at.is_over && at.now >= SimTime::from_millis(at.deployment.plan.over_ms());
        if !is_up && (!is_over || self.finds_one_that_goes_on(at)) {
            return Turn::GoOn;
        }
        let waiting = judge(at, &BTreeMap::new());
        let is_for_good = waiting.iter().all(Waiting::is_for_good);
        if is_over && (is_for_good || is_up && !waiting.iter().any(Waiting::needs_time)) {
            return verdict(at, waiting, true);
        }
        if !is_up {
            return Turn::GoOn;
        }
        let plan = &at.deployment.plan;
        let over = at.now.max(SimTime::from_millis(plan.over_ms()));
        self.phase = Phase::Healed {
            until: over.after(plan.settle_ms().saturating_mul(1_000)),
            epochs: epochs(at.deployment, at.view),
            open: waiting.len(),
            open_since: over,
        };
        self.changed_at = over;
        Turn::Heal
    }

    /// Whether there is an execution for which it is worth while to go on. The one that was found last is asked first.
    fn finds_one_that_goes_on(&mut self, at: &Instant<'_>) -> bool {
        let epochs = BTreeMap::new();
        let standing = Standing {
            deployment: at.deployment,
            view: at.view,
            now: at.now,
            lives: at.lives,
            epochs: &epochs,
        };
        let executions = &at.deployment.plan.executions;
        let places = (self.found..executions.len()).chain(0..self.found.min(executions.len()));
        let goes_on = |place: &usize| standing.of(&executions[*place]).is_some_and(|one| !one.is_for_good());
        let found = places.into_iter().find(goes_on);
        self.found = found.unwrap_or(0);
        found.is_some()
    }

    /// Whether none of the executions has ended for longer than it takes the next of them.
    fn none_ends(&mut self, at: &Instant<'_>, waiting: &[Waiting]) -> bool {
        let Phase::Healed { open, open_since, .. } = &mut self.phase else { return false };
        if waiting.len() != *open {
            (*open, *open_since) = (waiting.len(), at.now.max(*open_since));
        }
        let plan = &at.deployment.plan;
        // Whoever requires a capability may have been put aside for as long as the tail is.
        let has_tail = |one: &Waiting| {
            is_tail(one)
                || plan.executions.iter().any(|it| it.name == one.execution && !it.capabilities.is_empty())
        };
        let tail_ms = if waiting.iter().any(has_tail) { plan.tail_ms() } else { 0 };
        at.now > open_since.after((plan.next_end_ms() + tail_ms).saturating_mul(1_000))
    }

    /// Whether an execution is leased, and until after the bound.
    fn outlives(&self, at: &Instant<'_>, one: &Waiting) -> bool {
        let bound = at.deployment.clock_over_time(Node::Valkey).now(self.next(at.deployment)).millis();
        let found = at.view.execution(at.deployment.id(&one.execution));
        one.reason() == Some(Reason::Running)
            && found.core().and_then(|core| core.lease_expires_at()).is_some_and(|until| until.0 > bound.0)
    }

    fn when_healed(&mut self, at: &Instant<'_>, is_up: bool, waiting: Vec<Waiting>) -> Turn {
        if at.is_over && !waiting.iter().any(Waiting::needs_time) {
            return verdict(at, waiting, true);
        }
        let marks = marks(at.deployment, at.view);
        if marks != self.last {
            (self.last, self.changed_at) = (marks, self.changed_at.max(at.now));
        }
        let is_stuck = waiting.iter().any(|one| one.stuck().is_some());
        let none_ends = self.none_ends(at, &waiting);
        let patience_us = at.deployment.plan.patience_ms().saturating_mul(1_000);
        let is_still = at.is_over && at.now > self.changed_at.after(patience_us);
        // A worker would have been done long ago.
        let stays_so = waiting.iter().all(|one| !one.needs_time() || self.outlives(at, one));
        let is_late = is_up || is_still && (is_stuck || stays_so) || is_stuck && none_ends;
        if is_late { verdict(at, waiting, is_up || none_ends) } else { Turn::GoOn }
    }
}

/// What a run ends with whose time is up: whoever is at work under a live lease goes on, and what a hostile caller wrote
/// where it does not belong was judged when it was written, as was the failure that a policy which is none kept from being
/// one. A run that another's standing still ends has not given a tail its time.
fn verdict(at: &Instant<'_>, waiting: Vec<Waiting>, had_its_time: bool) -> Turn {
    let plan = &at.deployment.plan;
    let cannot_fail = |name: &ExecutionName| {
        let execution = plan.executions.iter().find(|execution| execution.name == *name);
        let retry = execution.and_then(|execution| execution.terms.retry.as_ref());
        retry.is_some_and(|retry| !retry.can_be_judged_by())
    };
    let excuse = |one: Waiting| match one.why {
        Why::Stuck(_) if at.was_hostile || cannot_fail(&one.execution) => {
            Waiting { why: Why::Legitimate(Reason::Hostile), ..one }
        }
        _ => one,
    };
    // Grants of no duration never exist, and nothing comes round that is never granted.
    let had_its_time = had_its_time && plan.settings.grant_ttl_ms > 0;
    let timed = |one: Waiting| if had_its_time { round(one) } else { one };
    let waiting: Vec<Waiting> = waiting.into_iter().map(timed).map(excuse).collect();
    let is_stuck = waiting.iter().any(|one| one.stuck().is_some());
    Turn::End(if is_stuck { End::Stuck } else { End::Settled }, waiting)
}

/// Whether a lane of mixed capabilities is the reason. It has had its time when the bound is reached.
fn is_tail(one: &Waiting) -> bool {
    one.reason() == Some(Reason::MixedCapabilities)
}

/// What has had its time and still is put aside goes round.
fn round(one: Waiting) -> Waiting {
    if is_tail(&one) { Waiting { why: Why::Stuck(Stuck::GoesRound), ..one } } else { one }
}

fn judge(at: &Instant<'_>, epochs: &BTreeMap<ExecutionName, u64>) -> Vec<Waiting> {
    Standing { deployment: at.deployment, view: at.view, now: at.now, lives: at.lives, epochs }.waiting()
}

fn epochs(deployment: &Deployment, view: &View) -> BTreeMap<ExecutionName, u64> {
    let executions = deployment.plan.executions.iter();
    let epoch =
        |name: &ExecutionName| view.execution(deployment.id(name)).core().map_or(0, |core| core.epoch().0);
    executions.map(|execution| (execution.name.clone(), epoch(&execution.name))).collect()
}

fn marks(deployment: &Deployment, view: &View) -> Vec<Mark> {
    let mark = |execution: &crate::plan::Execution| {
        let found = view.execution(deployment.id(&execution.name));
        let core = found.core();
        Mark {
            state: core.map(|core| core.state()),
            epoch: core.map_or(LeaseEpoch(0), |core| core.epoch()),
            grant: found.grant().map(|grant| grant.created_at),
            until: core.and_then(|core| core.lease_expires_at()),
        }
    };
    deployment.plan.executions.iter().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::support::{ms, plan, view},
        *,
    };
    use crate::{
        plan::{Plan, Retry},
        protocol::{ClaimFunction, ExecutionKeys, Registered},
        types::Function,
    };

    fn deployment(heals: bool) -> Deployment {
        let functions = Registered::from_iter(Function::KNOWN.iter().cloned());
        Deployment::new(&Plan { heals, ..plan([]) }, functions, ClaimFunction::default())
    }

    /// A course that is asked about the same state again and again.
    struct Bench {
        course: Course,
        deployment: Deployment,
        view: View,
        is_over: bool,
        was_hostile: bool,
    }

    impl Bench {
        /// `e1` is as these fields of its core say, and listed as eligible.
        fn new(heals: bool, core: &[&str]) -> Self {
            let deployment = deployment(heals);
            let keys = ExecutionKeys::of(deployment.id(&ExecutionName::nth(1)));
            let (key, id) = (keys.exec.core(), deployment.id(&ExecutionName::nth(1)).to_string());
            let eligible = keys.index.lane_eligible(&crate::types::LaneId::new("gold"));
            let state = [&["HSET", key.as_str(), "lane_id", "gold"][..], core].concat();
            let view = view(&[&state[..], &["ZADD", eligible.as_str(), "0", id.as_str()][..]]);
            Self { course: Course::default(), deployment, view, is_over: true, was_hostile: false }
        }

        fn at(&mut self, at_ms: u64, lives: bool) -> Turn {
            self.course.look(&Instant {
                deployment: &self.deployment,
                view: &self.view,
                now: ms(at_ms),
                is_over: self.is_over,
                was_hostile: self.was_hostile,
                lives: &|_| lives,
            })
        }
    }

    const ELIGIBLE: [&str; 4] = ["lifecycle_phase", "runnable", "eligibility_state", "eligible_now"];

    /// What a run ended with.
    fn end(turn: Turn) -> (End, Vec<Why>) {
        match turn {
            Turn::End(how, waiting) => (how, waiting.into_iter().map(|one| one.why).collect()),
            other => panic!("it goes on: {other:?}"),
        }
    }

    #[test]
    fn a_plan_that_does_not_heal_ends_when_its_time_is_up_and_nothing_is_judged() {
        let mut bench = Bench::new(false, &ELIGIBLE);
        assert_eq!(bench.at(9_999, true), Turn::GoOn);
        assert_eq!(end(bench.at(10_000, true)), (End::OutOfTime, vec![]));
    }

    #[test]
    fn the_world_is_healed_once_and_what_then_stands_still_for_too_long_is_stuck() {
        let mut bench = Bench::new(true, &ELIGIBLE);
        assert_eq!(bench.at(9_000, true), Turn::GoOn);
        assert_eq!(bench.at(10_000, true), Turn::Heal);
        assert_eq!(bench.at(10_500, true), Turn::GoOn);
        let patience_ms = bench.deployment.plan.patience_ms();
        assert_eq!(bench.at(10_500 + patience_ms, true), Turn::GoOn);
        let stuck = vec![Why::Stuck(Stuck::NotGranted)];
        assert_eq!(end(bench.at(11_001 + patience_ms, true)), (End::Stuck, stuck));
    }

    #[test]
    fn what_changes_all_the_time_is_stuck_when_the_next_should_have_ended() {
        let mut bench = Bench::new(true, &ELIGIBLE);
        assert_eq!(bench.at(10_000, true), Turn::Heal);
        let mut now_ms = 10_000;
        let how = loop {
            now_ms += 1_000;
            let reason = if now_ms % 2_000 == 0 { "none" } else { "waiting_for_worker" };
            bench.view = Bench::new(true, &[&ELIGIBLE[..], &["blocking_reason", reason]].concat()).view;
            match bench.at(now_ms, true) {
                Turn::GoOn => {}
                turn => break end(turn).0,
            }
        };
        let (next_ms, bound_ms) = (bench.deployment.plan.next_end_ms(), bench.deployment.plan.settle_ms());
        assert_eq!(how, End::Stuck);
        assert!((next_ms..next_ms + 1_001).contains(&(now_ms - 10_000)), "{now_ms} is not {next_ms} later");
        assert!(next_ms <= bound_ms, "of one execution they are the same");
    }

    #[test]
    fn what_may_stand_still_for_good_ends_the_run_at_once() {
        let mut bench = Bench::new(true, &ELIGIBLE);
        let reason = vec![Why::Legitimate(Reason::NoScheduler)];
        assert_eq!(end(bench.at(700, false)), (End::Settled, reason));
        let mut bench = Bench::new(true, &ELIGIBLE);
        bench.is_over = false;
        assert_eq!(bench.at(700, false), Turn::GoOn, "a fault is not over yet");
    }

    #[test]
    fn the_tail_of_a_lane_of_mixed_capabilities_has_until_the_bound() {
        let mut bench = Bench::new(true, &[&ELIGIBLE[..], &["required_capabilities", "gpu"]].concat());
        let mut plan = (*bench.deployment.plan).clone();
        plan.workers[1].capabilities = vec!["gpu".to_owned()];
        bench.deployment.plan = plan.into();
        assert_eq!(bench.at(10_000, true), Turn::Heal);
        let bound_ms = 10_000 + bench.deployment.plan.settle_ms();
        assert_eq!(bench.at(bound_ms - 1, true), Turn::GoOn);
        assert_eq!(end(bench.at(bound_ms, true)), (End::Stuck, vec![Why::Stuck(Stuck::GoesRound)]));
    }

    #[test]
    fn what_nobody_looks_for_is_stuck_at_once() {
        let mut bench =
            Bench::new(true, &["lifecycle_phase", "runnable", "eligibility_state", "not_applicable"]);
        assert_eq!(end(bench.at(700, true)), (End::Stuck, vec![Why::Stuck(Stuck::NoWayOut)]));
    }

    #[test]
    fn what_a_hostile_caller_left_behind_is_judged_elsewhere() {
        let mut bench = Bench::new(true, &ELIGIBLE);
        bench.was_hostile = true;
        assert_eq!(bench.at(700, true), Turn::GoOn, "it is no reason to end at once");
        assert_eq!(bench.at(10_000, true), Turn::Heal);
        let bound_ms = 10_000 + bench.deployment.plan.settle_ms();
        assert_eq!(end(bench.at(bound_ms, true)), (End::Settled, vec![Why::Legitimate(Reason::Hostile)]));
    }

    #[test]
    fn what_no_failure_can_end_is_told_by_the_failure() {
        let ends = |policy: &str| {
            let mut bench = Bench::new(true, &ELIGIBLE);
            let mut plan = (*bench.deployment.plan).clone();
            plan.executions[0].terms.retry = Some(Retry::Text(policy.to_owned()));
            bench.deployment.plan = plan.into();
            assert_eq!(bench.at(10_000, true), Turn::Heal);
            let bound_ms = 10_000 + bench.deployment.plan.settle_ms();
            end(bench.at(bound_ms, true)).0
        };
        assert_eq!(ends(r#"{"max_retries":"many"}"#), End::Settled);
        assert_eq!(ends(r#"{"max_retries":2}"#), End::Stuck);
    }

    #[test]
    fn who_is_at_work_is_waited_for_up_to_the_end_of_the_lease_or_until_the_work_must_be_done() {
        let leased_until = |until_ms: u64| {
            let until = (plan([]).epoch_ms + until_ms).to_string();
            let core = ["lifecycle_phase", "active", "ownership_state", "leased", "lease_expires_at", &until];
            let mut bench = Bench::new(true, &core);
            assert_eq!(bench.at(10_000, true), Turn::Heal);
            assert_eq!(bench.at(10_500, true), Turn::GoOn);
            bench
        };
        let plan = plan([]);
        let (done_ms, bound_ms) = (10_500 + plan.patience_ms(), 10_000 + plan.settle_ms());
        assert!(done_ms + 1_000 < bound_ms);
        let mut ends_with_the_run = leased_until(bound_ms);
        assert_eq!(ends_with_the_run.at(done_ms + 500, true), Turn::GoOn);
        assert_eq!(ends_with_the_run.at(bound_ms - 1, true), Turn::GoOn);
        let mut outlives_it = leased_until(bound_ms + 1);
        assert_eq!(outlives_it.at(done_ms, true), Turn::GoOn);
        let ended = end(outlives_it.at(done_ms + 500, true));
        assert_eq!(ended, (End::Settled, vec![Why::Legitimate(Reason::Running)]));
    }
}
