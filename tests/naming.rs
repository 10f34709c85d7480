//! Names, not positions: a plan without one of its parts is the same plan for all the others.
//!
//! Shrinking, comparing and regressions stand on this: what is left out must change nothing but what it could reach. Of a
//! plan that fails here, the file is printed.

use std::{collections::BTreeSet, sync::Arc};

use crate::common::{PUBLISHED, as_file, plans, run, until_all_broke};
use grantsim::{
    actor::WorkerConfig,
    drive::Deployment,
    plan::{Deed, Fault, Part, Plan},
    trace::{Event, FaultFate, Trace, What},
    types::{ExecutionName, Node, SimTime},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseResult},
};

fn config() -> Config {
    Config { cases: crate::common::config().cases.min(8), ..crate::common::config() }
}

fn deployment(plan: &Plan) -> Deployment {
    let loaded = PUBLISHED.load(plan.dialect, 0).expect("the published library loads");
    Deployment::new(plan, loaded.functions, loaded.claim_function)
}

/// Every part that can be left out, with the rest.
fn rests(plan: &Plan) -> impl Iterator<Item = (Part, Plan)> + '_ {
    plan.parts().into_iter().filter_map(|part| plan.without(&part).map(|rest| (part, rest)))
}

/// What a worker is told of itself: all but whom it asks, and the plan that it reads others' names in.
fn alone(worker: Option<WorkerConfig>, nobody: &Arc<Plan>) -> String {
    let alone = |worker| WorkerConfig { schedulers: Vec::new(), plan: Arc::clone(nobody), ..worker };
    format!("{:?}", worker.map(alone))
}

fn same_deployment(part: &Part, whole: &Deployment, rest: &Deployment) -> TestCaseResult {
    for name in rest.plan.executions.iter().map(|execution| &execution.name) {
        prop_assert_eq!(rest.id(name), whole.id(name), "without {}, the id of {}", part, name);
    }
    for node in rest.plan.nodes() {
        if *part != Part::Clock(node) {
            prop_assert_eq!(rest.clock(node), whole.clock(node), "without {}, the clock of {}", part, node);
        }
        for life in [1, 2] {
            let of = |it: &Deployment| alone(it.worker(node, life), &rest.plan);
            let (one, other) = (of(rest), of(whole));
            prop_assert_eq!(one, other, "without {}, life {} of {}", part, life, node);
        }
    }
    let streams = ["valkey", "network", "runtime"];
    let draw = |plan: &Plan| streams.map(|label| plan.random(label).next_u64());
    prop_assert_eq!(draw(&rest.plan), draw(&whole.plan), "without {}", part);
    Ok(())
}

/// Up to where two runs must be the same.
#[derive(Clone, Copy, Debug)]
enum Until {
    /// Up to this instant, the instant itself excluded.
    Time(SimTime),
    /// Up to this event, the event itself excluded.
    Event(usize),
    /// To the end.
    End,
}

/// Up to where nothing can have come of a fault: to the end if it never happened.
fn before_fault(plan: &Plan, trace: &Trace, place: usize, fault: &Fault) -> Until {
    let first = |is_it: &dyn Fn(&What) -> bool| trace.events.iter().position(|event| is_it(&event.what));
    let hit = match fault {
        Fault::Crash { at_ms, upon: None, .. }
        | Fault::Pause { at_ms, upon: None, .. }
        | Fault::Partition { at_ms, upon: None, .. }
        | Fault::Server { at_ms, upon: None, .. } => return Until::Time(SimTime::from_millis(*at_ms)),
        // One that was hidden, or overtaken by the end of all faults, was waited for all the same: the run may end later.
        _ if fault.upon().is_some() && trace.faults[place] != FaultFate::Happened => {
            return Until::Time(trace.ended.at_us);
        }
        _ if trace.faults[place] != FaultFate::Happened => return Until::End,
        // The first of its class, which is this one or comes before it; what is put down for it may order what is done at one
        // instant from then on.
        Fault::Crash { at_ms, .. }
        | Fault::Pause { at_ms, .. }
        | Fault::Partition { at_ms, .. }
        | Fault::Server { at_ms, .. } => {
            let class = match fault {
                Fault::Server { breaks, .. } => plan.settings.class_of(breaks),
                _ => fault.class(),
            };
            let broke = first(&|what| what.fault_class() == Some(class));
            let at = |place: usize| SimTime(trace.events[place].head.at.0.saturating_sub(at_ms * 1_000));
            return broke.map_or(Until::End, |place| Until::Time(at(place)));
        }
        Fault::GrantMessage { fate, .. } => first(&|what| *what == What::MessageFault { fate: *fate }),
        _ => first(
            &|what| matches!(what, What::CallFault { class, call } if *class == fault.class() && Some(call) == fault.call()),
        ),
    };
    hit.map_or(Until::End, Until::Event)
}

/// Up to where nothing can have come of an execution: its submission, by the submitter's clock.
fn before_execution(plan: &Plan, name: &ExecutionName) -> Until {
    let execution = plan.executions.iter().find(|execution| execution.name == *name).expect("it is there");
    let submitter = deployment(plan).clock(Node::Submitter).clone();
    Until::Time(submitter.world_at_monotonic(execution.at_ms * 1_000))
}

/// The events up to there. A run may end sooner than the other: what comes after its end is not compared.
fn prefix<'t>(trace: &'t Trace, until: Until, other: &Trace) -> &'t [Event] {
    let events = &trace.events;
    let before = |end: SimTime| events.partition_point(|event| event.head.at < end);
    match until {
        Until::End => events,
        Until::Event(at) => &events[..at.min(events.len())],
        Until::Time(end) => &events[..before(end.min(trace.ended.at_us).min(other.ended.at_us))],
    }
}

fn same_run(part: &Part, until: Until, whole: &Trace, rest: &Trace) -> TestCaseResult {
    let (one, other) = (prefix(whole, until, rest), prefix(rest, until, whole));
    let differs = one.iter().zip(other).position(|(a, b)| a != b);
    if let Some(at) = differs {
        let (one, other) = (&one[at], &other[at]);
        prop_assert!(false, "without {part}, event {at} differs:\n  {one:?}\n  {other:?}");
    }
    prop_assert_eq!(one.len(), other.len(), "without {}, up to {:?}", part, until);
    if matches!(until, Until::End) {
        prop_assert_eq!(&whole.ended, &rest.ended, "without {}", part);
    }
    Ok(())
}

/// Adds the plan's file to what failed.
fn with_plan(plan: &Plan, result: TestCaseResult) -> TestCaseResult {
    result.map_err(|error| match error {
        TestCaseError::Fail(why) => TestCaseError::fail(format!("{why}\n{}", as_file(plan))),
        rejected => rejected,
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn without_a_part_all_others_have_the_same_ids_clocks_and_dice(plan in plans("swarm")) {
        let whole = deployment(&plan);
        // Workers read policies if any execution has one: a deployment does so as a whole.
        let reads = |plan: &Plan| plan.executions.iter().any(|it| it.terms.attempt_timeout_ms.is_some());
        for (part, rest) in rests(&plan).filter(|(_, rest)| reads(rest) == reads(&plan)) {
            with_plan(&plan, same_deployment(&part, &whole, &deployment(&rest)))?;
        }
    }

    #[test]
    fn without_a_fault_a_run_is_the_same_until_the_fault(plan in plans("swarm")) {
        // What comes after a fault is not compared.
        let plan = until_all_broke(plan);
        let whole = run(&plan, &PUBLISHED);
        for (place, fault) in plan.faults.iter().enumerate() {
            let part = Part::Fault(place);
            let Some(rest) = plan.without(&part) else { continue };
            let until = before_fault(&plan, &whole, place, fault);
            with_plan(&plan, same_run(&part, until, &whole, &run(&rest, &PUBLISHED)))?;
        }
    }

    #[test]
    fn without_an_execution_a_run_is_the_same_until_its_submission(plan in plans("swarm"), drawn in any::<prop::sample::Index>()) {
        let whole = run(&plan, &PUBLISHED);
        let name = &plan.executions[drawn.index(plan.executions.len())].name;
        let part = Part::Execution(name.clone());
        // Without its lane, the scanner walks less from the start; without the last that suspends, or that is charged, there is
        // less to set up.
        let at_ms = plan.executions.iter().find(|it| it.name == *name).map_or(0, |it| it.at_ms);
        // Nor may a deed that goes with it have been done before.
        let is_later = |deed: &&Deed| {
            let waits_for_it = deed.upon.as_ref().is_some_and(|call| call.execution.as_ref() == Some(name));
            waits_for_it || deed.upon.is_none() && deed.at_ms >= at_ms
        };
        let is_alike = |rest: &Plan| {
            let of = |plan: &Plan| (plan.suspends(), plan.charges());
            let mut gone = plan.deeds.iter().filter(|deed| rest.deeds.iter().all(|it| it.name != deed.name));
            rest.lanes() == plan.lanes() && of(rest) == of(&plan) && gone.all(|deed| is_later(&deed))
        };
        let rest = plan.without(&part).filter(is_alike);
        if let Some(rest) = rest {
            with_plan(&plan, same_run(&part, before_execution(&plan, name), &whole, &run(&rest, &PUBLISHED)))?;
        }
    }
}

/// The properties above show nothing where no fault is idle, and none that happens.
#[test]
fn swarms_have_faults_of_every_fate() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::new(config());
    let mut fates = BTreeSet::new();
    for _ in 0..16 {
        let plan = plans("swarm").new_tree(&mut runner).expect("a plan").current();
        fates.extend(run(&plan, &PUBLISHED).faults.into_iter().map(|fate| match fate {
            FaultFate::Happened => "happened",
            FaultFate::HiddenBy(_) => "hidden",
            FaultFate::Never => "never",
        }));
        if fates.len() == 3 {
            return;
        }
    }
    panic!("of the faults of 16 plans only these fates: {fates:?}");
}
