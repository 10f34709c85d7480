//! Shrinking by a fake trial: a pure function of the plan says whether it shows what is looked for.

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use super::{
    Budget, Outcome, Progress, Shrunk, Size,
    trial::{Shown, Told, Trial},
};
use crate::{
    drive::RunError,
    plan::{CallRef, Called, Fault, Part, Plan, token::Token},
    types::{ExecutionName, Function, Node},
};

impl<F: Fn(&Plan) -> bool + Sync> Trial for F {
    fn show(&self, plan: &Plan) -> Result<Option<Shown>, RunError> {
        Ok(self(plan).then(Shown::default))
    }
}

const PLENTY: u64 = 100_000;

fn budget(runs: u64, jobs: usize) -> Budget {
    Budget { runs, wall: Duration::from_secs(600), jobs: NonZero::new(jobs).expect("a job at least") }
}

fn plan(seed: u64) -> Plan {
    Token::new("swarm", seed).unwrap().plan()
}

/// A plan with some faults.
fn faulty() -> Plan {
    let is_big =
        |plan: &Plan| plan.faults.len() >= 6 && plan.workers.len() >= 2 && plan.executions.len() >= 3;
    (0..).map(plan).find(is_big).expect("the default profile has faults")
}

/// Shrinks without anybody who interrupts it.
fn shrink(
    plan: &Plan,
    trial: &impl Trial,
    budget: Budget,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome, RunError> {
    super::shrink(plan, trial, budget, &AtomicBool::new(false), progress)
}

impl Outcome {
    #[track_caller]
    fn shrunk(self) -> Shrunk {
        match self {
            Outcome::Shrunk(shrunk) => shrunk,
            other => panic!("the plan shows it: {other:?}"),
        }
    }
}

fn run(plan: &Plan, trial: impl Fn(&Plan) -> bool + Sync) -> Shrunk {
    shrink(plan, &trial, budget(PLENTY, 2), &mut |_| {}).unwrap().shrunk()
}

fn has(plan: &Plan, name: &ExecutionName) -> bool {
    plan.executions.iter().any(|execution| execution.name == *name)
}

/// Every single part less, and it is gone.
fn assert_minimal(shrunk: &Shrunk, trial: impl Fn(&Plan) -> bool) {
    assert!(shrunk.minimal && !shrunk.stopped, "{shrunk:?}");
    for part in shrunk.plan.parts() {
        let rest = shrunk.plan.without(&part);
        assert!(!rest.is_some_and(|rest| trial(&rest)), "{part} could go");
    }
}

#[test]
fn what_matters_to_nobody_goes() {
    for seed in 0..20 {
        let shrunk = run(&plan(seed), |_| true);
        let after = shrunk.after;
        assert_eq!((after.executions, after.workers, after.schedulers), (0, 1, 1), "seed {seed}");
        assert_eq!((after.faults, after.clocks), (0, 0), "seed {seed}");
        assert_eq!((shrunk.plan.settings.partitions, shrunk.plan.seed), (1, 1));
        assert_minimal(&shrunk, |_| true);
    }
}

#[test]
fn parts_that_only_show_it_together_stay_together() {
    for seed in 0..10 {
        let plan = plan(seed);
        let last = plan.executions.last().expect("it has executions").name.clone();
        let first = plan.executions[0].name.clone();
        let trial = |plan: &Plan| has(plan, &last) && has(plan, &first);
        let shrunk = run(&plan, trial);
        assert_eq!(shrunk.after.executions, if first == last { 1 } else { 2 }, "seed {seed}");
        assert_minimal(&shrunk, trial);
    }
}

#[test]
fn faults_that_only_show_it_together_stay_and_only_they() {
    let plan = faulty();
    let (one, other) = (plan.faults[1].class(), plan.faults[plan.faults.len() - 1].class());
    let trial = |plan: &Plan| {
        let has = |class| plan.faults.iter().any(|fault| fault.class() == class);
        has(one) && has(other)
    };
    let shrunk = run(&plan, trial);
    assert!(shrunk.after.faults <= 2, "{:?}", shrunk.plan.faults);
    assert_minimal(&shrunk, trial);
}

#[test]
fn a_part_that_became_unnecessary_by_a_plainer_setting_goes_too() {
    let mut start = faulty();
    start.settings.partitions = 4;
    // Needs a fault as long as there are several partitions.
    let trial = |plan: &Plan| plan.settings.partitions == 1 || !plan.faults.is_empty();
    let shrunk = run(&start, trial);
    assert_eq!((shrunk.after.faults, shrunk.plan.settings.partitions), (0, 1));
    assert_minimal(&shrunk, trial);
}

#[test]
fn of_priorities_those_places_stay_that_matter() {
    let falls = |plan: &Plan| {
        let places = plan.priorities.iter().flat_map(|priorities| priorities.places.values());
        places.flat_map(BTreeMap::keys).any(|nth| *nth > 1)
    };
    let of_pct = |seed| Token::new("pct", seed).unwrap().plan();
    let start = (0..).map(of_pct).find(falls).expect("somebody falls behind");
    assert_eq!(run(&start, |_| true).plan.priorities, None);
    let left = run(&start, falls).plan.priorities.expect("it matters");
    let places: usize = left.places.values().map(BTreeMap::len).sum();
    assert_eq!((left.step_us, places), (1_000, 1), "{left:?}");
}

#[test]
fn numbers_become_round_and_small_as_far_as_it_still_shows() {
    let mut start = plan(1);
    let worker = start.workers[0].name;
    start.faults = vec![Fault::Pause { node: worker, at_ms: 4_321, for_ms: 5_678, upon: None }];
    start.settings.lease_ttl_ms = 777;
    let shrunk = run(&start, |plan| {
        let [Fault::Pause { at_ms, for_ms, .. }] = plan.faults[..] else { return false };
        at_ms >= 250 && for_ms > plan.settings.lease_ttl_ms && plan.settings.lease_ttl_ms < 1_000
    });
    assert_eq!(shrunk.plan.faults, [Fault::Pause { node: worker, at_ms: 500, for_ms: 1_000, upon: None }]);
    assert_eq!(shrunk.plan.settings.lease_ttl_ms, 700);
}

#[test]
fn the_result_and_its_runs_do_not_depend_on_the_jobs() {
    let start = faulty();
    let wanted = start.executions[1].name.clone();
    // Slower for some plans than for others, so that later candidates are done first.
    let trial = |plan: &Plan| {
        let spin = if plan.faults.len().is_multiple_of(2) { 2_000 } else { 0 };
        std::hint::black_box((0..spin).sum::<u64>());
        has(plan, &wanted) && !plan.faults.is_empty()
    };
    for runs in [1, 2, 17, 60, PLENTY] {
        let by = |jobs| shrink(&start, &trial, budget(runs, jobs), &mut |_| {}).unwrap().shrunk();
        let one = by(1);
        assert_eq!(one, by(2), "{runs} runs");
        assert_eq!(one, by(7), "{runs} runs");
    }
}

#[test]
fn a_budget_of_runs_is_kept_and_what_it_left_is_said() {
    let start = faulty();
    let wanted = start.executions[0].name.clone();
    for runs in [1, 2, 5, 20] {
        let asked = AtomicU64::new(0);
        let trial = |plan: &Plan| {
            asked.fetch_add(1, Ordering::Relaxed);
            has(plan, &wanted)
        };
        let shrunk = shrink(&start, &trial, budget(runs, 1), &mut |_| {}).unwrap().shrunk();
        assert_eq!(shrunk.runs, runs);
        // And once more to see that the plan shows it again.
        assert_eq!(asked.into_inner(), runs + 1);
        assert!(shrunk.stopped && !shrunk.minimal);
        assert!(has(&shrunk.plan, &wanted));
    }
}

#[test]
fn when_the_time_is_up_the_smallest_plan_so_far_is_what_there_is() {
    let start = faulty();
    let none = Budget { wall: Duration::ZERO, ..budget(PLENTY, 2) };
    let shrunk = shrink(&start, &|_: &Plan| true, none, &mut |_| {}).unwrap().shrunk();
    assert_eq!((&shrunk.plan, shrunk.runs), (&start, 1));
    assert!(shrunk.stopped && !shrunk.minimal);
}

#[test]
fn it_never_wanders_to_a_plan_that_shows_something_else() {
    let start = faulty();
    let (ours, other) = (start.executions[0].name.clone(), start.executions[1].name.clone());
    let is_ours = |plan: &Plan| has(plan, &ours) && plan.workers.len() >= 2;
    // What shows ours would be easy to lose: the other one is in every plan with another execution.
    let is_other = |plan: &Plan| has(plan, &other);
    let verdict = |plan: &Plan| (is_ours(plan), is_other(plan));
    let mut met = Vec::new();
    let mut progress = |progress: super::Progress<'_>| met.push(verdict(progress.plan));
    let trial = |plan: &Plan| verdict(plan).0;
    let shrunk = shrink(&start, &trial, budget(PLENTY, 2), &mut progress).unwrap().shrunk();
    assert!(met.iter().all(|(ours, _)| *ours));
    assert_eq!(verdict(&shrunk.plan), (true, false));
}

#[test]
fn a_plan_that_does_not_show_it_is_not_shrunk() {
    let outcome = shrink(&plan(1), &|_: &Plan| false, budget(PLENTY, 1), &mut |_| {}).unwrap();
    assert_eq!(outcome, Outcome::NotShown);
}

#[test]
fn every_plan_that_is_tried_can_be_run() {
    for seed in 0..10 {
        run(&plan(seed), |plan| {
            assert_eq!(plan.check(), Ok(()));
            plan.workers.len() > 1 || !plan.executions.is_empty()
        });
    }
}

#[test]
fn faults_that_did_not_happen_go_in_one_run() {
    struct Idle;
    impl Trial for Idle {
        fn show(&self, plan: &Plan) -> Result<Option<Shown>, RunError> {
            let idle = |fault: &Fault| !matches!(fault, Fault::Crash { .. });
            let places = plan.faults.iter().enumerate().filter(|(_, fault)| idle(fault));
            Ok(Some(Shown { idle: places.map(|(place, _)| place).collect(), ..Shown::default() }))
        }
    }
    let mut start = faulty();
    let node = Node::Scanner;
    start.faults = vec![
        Fault::Pause { node, at_ms: 1, for_ms: 1, upon: None },
        Fault::Crash { node, at_ms: 1, down_ms: None, upon: None },
        Fault::Pause { node, at_ms: 2, for_ms: 1, upon: None },
    ];
    let shrunk = shrink(&start, &Idle, budget(2, 1), &mut |_| {}).unwrap().shrunk();
    assert_eq!(shrunk.plan.faults, [start.faults[1].clone()]);
}

#[test]
fn whoever_interrupts_it_gets_the_smallest_plan_so_far_and_may_go_on_from_there() {
    let start = faulty();
    let wanted = start.executions[0].name.clone();
    let (stop, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let trial = |plan: &Plan| {
        if asked.fetch_add(1, Ordering::Relaxed) == 6 {
            stop.store(true, Ordering::Relaxed);
        }
        has(plan, &wanted)
    };
    let interrupted = super::shrink(&start, &trial, budget(PLENTY, 1), &stop, &mut |_| {}).unwrap().shrunk();
    assert!(interrupted.stopped && !interrupted.minimal, "{interrupted:?}");
    assert_eq!(interrupted.runs, 7);
    assert!(has(&interrupted.plan, &wanted) && interrupted.plan != start);
    let whole = run(&start, |plan| has(plan, &wanted));
    let rest = run(&interrupted.plan, |plan| has(plan, &wanted));
    assert!(rest.minimal && rest.runs < whole.runs, "{} of {} runs", rest.runs, whole.runs);
    assert_eq!(rest.plan, whole.plan);
}

#[test]
fn what_shows_it_only_once_is_no_result() {
    let start = faulty();
    let met = std::sync::Mutex::new(Vec::new());
    // Each plan shows it the first time that it is run.
    let trial = |plan: &Plan| {
        let mut met = met.lock().unwrap();
        let is_new = !met.contains(plan);
        met.push(plan.clone());
        is_new
    };
    let outcome = shrink(&start, &trial, budget(PLENTY, 2), &mut |_| {}).unwrap();
    let Outcome::NotAgain(plan) = outcome else { panic!("{outcome:?}") };
    assert!(plan.executions.is_empty(), "the smallest plan that showed it once: {plan:?}");
}

#[test]
fn runs_that_take_much_longer_than_others_change_nothing_but_the_time() {
    let start = faulty();
    let wanted = start.executions[1].name.clone();
    // What does not show it takes a hundred times as long.
    let trial = |plan: &Plan| {
        let shows = has(plan, &wanted) && !plan.faults.is_empty();
        std::hint::black_box((0..if shows { 1_000 } else { 100_000 }).map(std::hint::black_box).sum::<u64>());
        shows
    };
    let by = |jobs| shrink(&start, &trial, budget(PLENTY, jobs), &mut |_| {}).unwrap().shrunk();
    assert_eq!(by(1), by(4));
}

/// A trial by what the plan's run would show.
struct By<F>(F);

impl<F: Fn(&Plan) -> Option<Shown> + Sync> Trial for By<F> {
    fn show(&self, plan: &Plan) -> Result<Option<Shown>, RunError> {
        Ok((self.0)(plan))
    }
}

#[test]
fn a_shorter_story_is_worth_a_number_that_is_not_the_default() {
    let told = |plan: &Plan| {
        let renewals = if plan.settings.lease_ttl_ms < 10_000 { 30 } else { 0 };
        let scans = if plan.settings.lease_scan_ms > 500 { 5 } else { 0 };
        Told { before: 25 + renewals + scans, all: 0 }
    };
    let trial = By(|plan: &Plan| Some(Shown { told: told(plan), ..Shown::default() }));
    let shrunk = shrink(&plan(1), &trial, budget(PLENTY, 2), &mut |_| {}).unwrap().shrunk();
    assert_eq!(told(&shrunk.plan).before, 25);
    let settings = &shrunk.plan.settings;
    // As round as that leaves it; everything else as it is by default.
    assert_eq!((settings.lease_ttl_ms, settings.lease_scan_ms), (10_000, 100));
    assert_eq!((settings.reclaim_scan_ms, settings.poll_ms, settings.partitions), (1_000, 100, 1));
    assert!(shrunk.minimal && !shrunk.stopped, "{shrunk:?}");
}

#[test]
fn a_run_ends_with_the_violation_or_as_round_as_it_can_without_more_to_tell() {
    let ends = |more_from_ms: u64| {
        let trial = By(move |plan: &Plan| {
            let told = Told { before: 5, all: if plan.run_for_ms >= more_from_ms { 9 } else { 5 } };
            (plan.run_for_ms >= 1_234).then(|| Shown { at_ms: Some(1_234), told, ..Shown::default() })
        });
        shrink(&plan(1), &trial, budget(PLENTY, 2), &mut |_| {}).unwrap().shrunk().plan.run_for_ms
    };
    assert_eq!(ends(9_999), 2_000);
    assert_eq!(ends(1_400), 1_300);
    assert_eq!(ends(1_250), 1_240);
    assert_eq!(ends(1_236), 1_234);
}

#[test]
fn a_roundabout_way_is_left_for_the_usual_one_where_that_shows_it_too() {
    let is_late = |fault: &Fault| {
        let is_completion = |call: &CallRef| call.function == Called::Function(Function::CompleteExecution);
        matches!(fault, Fault::DelayRequest { call, by_ms } if is_completion(call) && *by_ms >= 1_000)
    };
    // Taking parts away does not lead from one to the other.
    let trial = |plan: &Plan| plan.executions.len() >= 3 || plan.faults.iter().any(is_late);
    let mut start = faulty();
    start.faults.retain(|fault| !is_late(fault));
    let shrunk = run(&start, trial);
    assert_eq!((shrunk.after.executions, shrunk.after.faults, shrunk.after.workers), (1, 1, 1));
    assert_minimal(&shrunk, trial);
}

#[test]
fn a_fault_of_the_harness_ends_it() {
    struct Fails;
    impl Trial for Fails {
        fn show(&self, plan: &Plan) -> Result<Option<Shown>, RunError> {
            let fails = plan.executions.len() < 2;
            if fails { Err(RunError::Harness("a panic".into())) } else { Ok(Some(Shown::default())) }
        }
    }
    let error = shrink(&faulty(), &Fails, budget(PLENTY, 2), &mut |_| {}).unwrap_err();
    assert!(matches!(error, RunError::Harness(_)), "{error}");
}

#[test]
fn a_size_is_told_in_words() {
    let plan = run(&plan(1), |plan| plan.parts().contains(&Part::Worker(Node::Worker(1)))).plan;
    let told = Size::of(&plan, 7).to_string();
    assert_eq!(told, "0 executions, 1 worker, 1 scheduler, 0 faults, 7 events");
}
