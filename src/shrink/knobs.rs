//! What can be made plain in a plan, knob by knob: whole groups first, since most of a plan matters to no violation.
//!
//! A knob offers plans that are plainer than the one it is shown, the plainest first, and none when there is nothing left
//! to turn. Each follows a measure that only goes down, so that turning them again and again has an end.

use super::numbers::{Toward, plainer};
use crate::{
    plan::{
        CallRef, ClockStep, Cut, Ending, Execution, Fate, Fault, Network, Plan, Retry, Scans, Settings,
        Terms, Work, WrongClock,
    },
    types::{FencePart, Node},
};

/// Offers plans in place of one.
pub(super) type Knob = Box<dyn Fn(&Plan) -> Vec<Plan>>;

/// How long the work of an attempt takes when it does not matter.
const WORK_MS: u64 = 100;
/// Seeds up to this are tried in place of a larger one.
const SMALL_SEEDS: u64 = 8;

/// The settings of a plan that has no reason for others.
fn plain_settings() -> Settings {
    Settings { partitions: 1, ..Settings::default() }
}

/// A network that does nothing unexpected.
fn plain_network() -> Network {
    Network { latency_us: 1_000, jitter_us: 0, loss_ppm: 0 }
}

/// All knobs of a plan.
pub(super) fn knobs(plan: &Plan) -> Vec<Knob> {
    let mut knobs = vec![
        set(|plan| plan.heals = false),
        set(|plan| plan.settings = plain_settings()),
        set(|plan| plan.settings.scans = Scans::default()),
        set(|plan| plan.settings.registry = None),
        set(|plan| plan.settings.workers_load = false),
        set(|plan| (plan.settings.wait_ms, plan.settings.safe_on) = Default::default()),
        set(|plan| plan.settings.replica_lag_s = None),
        set(|plan| plan.scanners = 1),
        fewer(0, |plan| Some(&mut plan.budgets)),
        fewer(0, |plan| Some(&mut plan.quotas)),
        set(|plan| plan.network = plain_network()),
        set(|plan| plan.priorities = None),
        set(|plan| plan.executions.iter_mut().for_each(make_plain)),
        set(one_lane),
        set(only_needed_lanes),
        set(|plan| plan.workers.iter_mut().for_each(|worker| worker.slots = 1)),
        set(no_capabilities),
    ];
    knobs.extend((0..plan.executions.len()).flat_map(of_execution));
    knobs.extend((0..plan.workers.len()).flat_map(of_worker));
    knobs.extend((0..plan.faults.len()).flat_map(of_fault));
    knobs.extend((0..plan.clocks.len()).flat_map(of_clock));
    knobs.extend((0..plan.deeds.len()).flat_map(of_deed));
    knobs.extend(of_settings());
    knobs.extend(of_scans());
    knobs.extend(of_network());
    knobs.extend(of_priorities());
    knobs.push(Box::new(small_seeds));
    knobs
}

/// One change, made or not. It must not undo what another knob does.
fn set(change: impl Fn(&mut Plan) + 'static) -> Knob {
    Box::new(move |plan| {
        let mut changed = plan.clone();
        change(&mut changed);
        if changed == *plan { Vec::new() } else { vec![changed] }
    })
}

/// A number, where the plan has it.
fn number<N>(toward: Toward, of: impl Fn(&mut Plan) -> Option<&mut N> + 'static) -> Knob
where
    N: Copy + TryInto<i64> + TryFrom<i64> + 'static,
{
    Box::new(move |plan| {
        let mut plan = plan.clone();
        let value = of(&mut plan).and_then(|value| (*value).try_into().ok());
        let others = value.map(|value| plainer(value, toward)).unwrap_or_default();
        let with = |other: i64| {
            let mut changed = plan.clone();
            *of(&mut changed)? = N::try_from(other).ok()?;
            Some(changed)
        };
        others.into_iter().filter_map(with).collect()
    })
}

/// The plan without one item of a list, as long as so many are left.
fn fewer<T>(least: usize, of: impl Fn(&mut Plan) -> Option<&mut Vec<T>> + 'static) -> Knob {
    Box::new(move |plan| {
        let mut plan = plan.clone();
        let items = of(&mut plan).map_or(0, |items| items.len());
        let without = |place: usize| {
            let mut changed = plan.clone();
            of(&mut changed)?.remove(place);
            Some(changed)
        };
        (0..items).filter(|_| items > least).filter_map(without).collect()
    })
}

/// An execution as a person would write it who does not care.
fn make_plain(execution: &mut Execution) {
    let Execution {
        name: _,
        at_ms,
        lane: _,
        flow: _,
        priority,
        delay_ms,
        capabilities,
        max_retries,
        terms,
        work,
    } = execution;
    (*at_ms, *priority, *delay_ms, *max_retries) = (0, 0, None, 0);
    capabilities.clear();
    *terms = Terms::default();
    *work = vec![Work::new(WORK_MS, Ending::Complete)];
}

/// Every attempt does as the last did.
fn last_attempt(execution: &mut Execution) {
    execution.work = execution.work.split_off(execution.work.len().saturating_sub(1));
}

/// Everything on the first of its lanes.
fn one_lane(plan: &mut Plan) {
    let Some(first) = plan.lanes().first().map(|lane| (*lane).to_owned()) else { return };
    plan.executions.iter_mut().for_each(|execution| execution.lane.clone_from(&first));
    plan.workers.iter_mut().for_each(|worker| worker.lanes = vec![first.clone()]);
}

/// Workers serve no lane on which nothing is submitted, but for the last that they have.
fn only_needed_lanes(plan: &mut Plan) {
    let Plan { workers, executions, .. } = plan;
    for worker in workers {
        let is_needed = |lane: &String| executions.iter().any(|execution| execution.lane == *lane);
        if worker.lanes.iter().any(is_needed) {
            worker.lanes.retain(is_needed);
        }
    }
}

fn no_capabilities(plan: &mut Plan) {
    plan.workers.iter_mut().for_each(|worker| worker.capabilities.clear());
    plan.executions.iter_mut().for_each(|execution| execution.capabilities.clear());
}

fn small_seeds(plan: &Plan) -> Vec<Plan> {
    let smaller = (1..=SMALL_SEEDS).take_while(|seed| *seed < plan.seed);
    smaller.map(|seed| Plan { seed, ..plan.clone() }).collect()
}

fn of_execution(place: usize) -> Vec<Knob> {
    let at =
        move |plan: &mut Plan, change: fn(&mut Execution)| plan.executions.get_mut(place).map_or((), change);
    let mut knobs = vec![
        set(move |plan| at(plan, make_plain)),
        set(move |plan| at(plan, last_attempt)),
        fewer(1, move |plan| Some(&mut plan.executions.get_mut(place)?.work)),
        set(move |plan| at(plan, |execution| execution.priority = 0)),
        set(move |plan| at(plan, |execution| execution.delay_ms = None)),
        set(move |plan| at(plan, |execution| execution.capabilities.clear())),
        number(Toward::Small(0), move |plan| Some(&mut plan.executions.get_mut(place)?.max_retries)),
        number(Toward::Small(0), move |plan| Some(&mut plan.executions.get_mut(place)?.at_ms)),
        number(Toward::Small(0), move |plan| plan.executions.get_mut(place)?.delay_ms.as_mut()),
    ];
    knobs.extend(of_terms(place));
    // Few plans have more attempts that matter.
    knobs.extend((0..4).flat_map(|attempt| of_work(place, attempt)));
    knobs
}

fn of_terms(place: usize) -> Vec<Knob> {
    fn terms(plan: &mut Plan, place: usize) -> Option<&mut Terms> {
        Some(&mut plan.executions.get_mut(place)?.terms)
    }
    let at = move |plan: &mut Plan, change: fn(&mut Terms)| terms(plan, place).map_or((), change);
    vec![
        set(move |plan| at(plan, |terms| *terms = Terms::default())),
        set(move |plan| at(plan, |terms| terms.deadline_ms = None)),
        set(move |plan| at(plan, |terms| terms.attempt_timeout_ms = None)),
        set(move |plan| at(plan, |terms| terms.retry = None)),
        set(move |plan| at(plan, |terms| terms.max_reclaims = None)),
        set(move |plan| at(plan, |terms| terms.max_replays = None)),
        set(move |plan| at(plan, |terms| terms.once = None)),
        set(move |plan| at(plan, |terms| terms.tags.clear())),
        set(move |plan| at(plan, |terms| terms.budgets.clear())),
        set(move |plan| at(plan, |terms| terms.quota = None)),
        number(Toward::Small(1_000), move |plan| terms(plan, place)?.deadline_ms.as_mut()),
        number(Toward::Small(1_000), move |plan| terms(plan, place)?.attempt_timeout_ms.as_mut()),
        number(Toward::Small(0), move |plan| terms(plan, place)?.max_reclaims.as_mut()),
        number(Toward::Small(0), move |plan| terms(plan, place)?.max_replays.as_mut()),
        number(Toward::Small(1_000), move |plan| Some(&mut terms(plan, place)?.once.as_mut()?.ttl_ms)),
        number(Toward::Small(1), move |plan| match terms(plan, place)?.retry.as_mut()? {
            Retry::Fixed { retries, .. } | Retry::Exponential { retries, .. } => Some(retries),
            Retry::Never | Retry::Text(_) => None,
        }),
        number(Toward::Small(100), move |plan| match terms(plan, place)?.retry.as_mut()? {
            Retry::Fixed { delay_ms, .. } => Some(delay_ms),
            Retry::Exponential { first_ms, .. } => Some(first_ms),
            Retry::Never | Retry::Text(_) => None,
        }),
    ]
}

fn of_work(place: usize, attempt: usize) -> Vec<Knob> {
    fn work(plan: &mut Plan, place: usize, attempt: usize) -> Option<&mut Work> {
        plan.executions.get_mut(place)?.work.get_mut(attempt)
    }
    let toward = Toward::Round(i64::try_from(WORK_MS).expect("a small number"));
    vec![
        set(move |plan| {
            if let Some(work) = work(plan, place, attempt) {
                work.ends = Ending::Complete;
            }
        }),
        number(toward, move |plan| Some(&mut work(plan, place, attempt)?.takes_ms)),
        number(Toward::Small(0), move |plan| match &mut work(plan, place, attempt)?.ends {
            Ending::Delay(ms) => Some(ms),
            Ending::Suspend(wait) => wait.timeout_ms.as_mut(),
            Ending::Complete | Ending::Fail | Ending::Cancel | Ending::WaitChildren | Ending::Vanish => None,
        }),
        set(move |plan| {
            if let Some(work) = work(plan, place, attempt) {
                work.meanwhile.clear();
            }
        }),
        fewer(0, move |plan| Some(&mut work(plan, place, attempt)?.meanwhile)),
        number(Toward::Small(0), move |plan| {
            Some(&mut work(plan, place, attempt)?.meanwhile.first_mut()?.after_ms)
        }),
    ]
}

fn of_worker(place: usize) -> Vec<Knob> {
    vec![
        number(Toward::Small(1), move |plan| Some(&mut plan.workers.get_mut(place)?.slots)),
        set(move |plan| {
            if let Some(worker) = plan.workers.get_mut(place) {
                worker.capabilities.clear();
            }
        }),
        set(move |plan| {
            if let Some(worker) = plan.workers.get_mut(place) {
                worker.same_instance = false;
            }
        }),
        fewer(1, move |plan| Some(&mut plan.workers.get_mut(place)?.lanes)),
    ]
}

fn of_fault(place: usize) -> Vec<Knob> {
    vec![
        number(Toward::Small(0), move |plan| start(plan.faults.get_mut(place)?)),
        number(Toward::Small(1_000), move |plan| length(plan.faults.get_mut(place)?)),
        number(Toward::Small(1), move |plan| nth(plan.faults.get_mut(place)?)),
        number(Toward::Small(0), move |plan| match plan.faults.get_mut(place)? {
            Fault::AtDeadline { offset_ms, .. } => Some(offset_ms),
            _ => None,
        }),
        number(Toward::Small(1), move |plan| match plan.faults.get_mut(place)? {
            Fault::StaleFence { age, .. } => Some(age),
            _ => None,
        }),
        set(move |plan| match plan.faults.get_mut(place) {
            Some(Fault::StaleFence { part, .. }) => *part = FencePart::Whole,
            Some(Fault::Partition { cut, .. }) => *cut = Cut::Both,
            Some(Fault::GrantMessage { from, execution: Some(_), .. }) => *from = None,
            _ => {}
        }),
    ]
}

/// When a fault happens, where its plan says when.
pub(super) fn start(fault: &mut Fault) -> Option<&mut u64> {
    match fault {
        Fault::Crash { at_ms, .. }
        | Fault::Pause { at_ms, .. }
        | Fault::Server { at_ms, .. }
        | Fault::Partition { at_ms, .. } => Some(at_ms),
        _ => None,
    }
}

/// How long it lasts, or holds something up.
pub(super) fn length(fault: &mut Fault) -> Option<&mut u64> {
    match fault {
        Fault::Crash { down_ms, .. } => down_ms.as_mut(),
        Fault::Pause { for_ms, .. } | Fault::Partition { for_ms, .. } => Some(for_ms),
        Fault::DelayRequest { by_ms: ms, .. } | Fault::RepeatRequest { after_ms: ms, .. } => Some(ms),
        Fault::GrantMessage { fate: Fate::Delay(ms) | Fate::Twice(ms), .. } => Some(ms),
        Fault::Server { breaks, .. } => breaks.lasting_mut(),
        Fault::GrantMessage { fate: Fate::Drop, .. }
        | Fault::LoseRequest { .. }
        | Fault::LoseReply { .. }
        | Fault::OtherLane { .. }
        | Fault::StaleFence { .. }
        | Fault::BadArgument { .. }
        | Fault::AtDeadline { .. } => None,
    }
}

/// Which of the calls or messages it hits.
fn nth(fault: &mut Fault) -> Option<&mut u32> {
    match fault {
        Fault::LoseRequest { call: CallRef { nth, .. } }
        | Fault::LoseReply { call: CallRef { nth, .. } }
        | Fault::DelayRequest { call: CallRef { nth, .. }, .. }
        | Fault::RepeatRequest { call: CallRef { nth, .. }, .. }
        | Fault::AtDeadline { call: CallRef { nth, .. }, .. }
        | Fault::OtherLane { call: CallRef { nth, .. }, .. }
        | Fault::StaleFence { call: CallRef { nth, .. }, .. }
        | Fault::BadArgument { call: CallRef { nth, .. }, .. }
        | Fault::GrantMessage { nth, .. } => Some(nth),
        Fault::Crash { upon, .. }
        | Fault::Pause { upon, .. }
        | Fault::Server { upon, .. }
        | Fault::Partition { upon, .. } => upon.as_mut().map(|call| &mut call.nth),
    }
}

/// When a deed is done. What it does stays: it is what the plan is about.
fn of_deed(place: usize) -> Vec<Knob> {
    vec![
        number(Toward::Small(0), move |plan| Some(&mut plan.deeds.get_mut(place)?.at_ms)),
        number(Toward::Small(0), move |plan| Some(&mut plan.deeds.get_mut(place)?.stale_ms)),
        number(Toward::Small(0), move |plan| Some(&mut plan.deeds.get_mut(place)?.again)),
        number(Toward::Small(1), move |plan| Some(&mut plan.deeds.get_mut(place)?.upon.as_mut()?.nth)),
    ]
}

fn of_clock(place: usize) -> Vec<Knob> {
    fn clock(plan: &mut Plan, place: usize) -> Option<&mut WrongClock> {
        plan.clocks.values_mut().nth(place)
    }
    fn step(plan: &mut Plan, place: usize, nth: usize) -> Option<&mut ClockStep> {
        clock(plan, place)?.steps.get_mut(nth)
    }
    let mut knobs = vec![
        number(Toward::Small(0), move |plan| Some(&mut clock(plan, place)?.offset_ms)),
        number(Toward::Small(0), move |plan| Some(&mut clock(plan, place)?.drift_ppm)),
        fewer(0, move |plan| Some(&mut clock(plan, place)?.steps)),
    ];
    // Few clocks have more steps that matter.
    for nth in 0..4 {
        knobs.push(number(Toward::Small(0), move |plan| Some(&mut step(plan, place, nth)?.at_ms)));
        knobs.push(number(Toward::Small(0), move |plan| Some(&mut step(plan, place, nth)?.by_ms)));
    }
    knobs
}

fn of_priorities() -> Vec<Knob> {
    let fewer_places = |plan: &Plan| {
        let places = plan.priorities.iter().flat_map(|priorities| &priorities.places);
        let all = places.flat_map(|(node, places)| places.keys().map(move |nth| (*node, *nth)));
        let without = |(node, nth): (Node, u64)| {
            let mut rest = plan.clone();
            let places = &mut rest.priorities.as_mut()?.places;
            places.get_mut(&node)?.remove(&nth);
            places.retain(|_, places| !places.is_empty());
            Some(rest)
        };
        all.filter_map(without).collect()
    };
    vec![
        Box::new(fewer_places),
        number(Toward::Round(1_000), |plan| Some(&mut plan.priorities.as_mut()?.step_us)),
    ]
}

fn of_settings() -> Vec<Knob> {
    macro_rules! knobs {
        ($($field:ident),*) => {{
            let plain = plain_settings();
            // Whoever adds a setting is told here.
            let Settings { scans: _, registry: _, wait_ms: _, safe_on: _, replica_lag_s: _, workers_load: _, $($field: _),* } = plain;
            vec![$(setting(i64::try_from(plain.$field).expect("a small number"), |settings| &mut settings.$field)),*]
        }};
    }
    knobs!(
        partitions,
        grant_ttl_ms,
        lease_ttl_ms,
        request_timeout_ms,
        poll_ms,
        poll_jitter_ms,
        lease_scan_ms,
        delayed_scan_ms,
        unblock_scan_ms,
        reclaim_scan_ms,
        claim_again
    )
}

fn of_scans() -> Vec<Knob> {
    macro_rules! knobs {
        ($($field:ident),*) => {{
            // Whoever adds a scan is told here.
            let Scans { $($field: _),* } = Scans::default();
            vec![
                $(set(|plan| plan.settings.scans.$field = None),
                number(Toward::Round(1_000), |plan| plan.settings.scans.$field.as_mut())),*
            ]
        }};
    }
    knobs!(
        attempt_timeout_ms,
        deadline_ms,
        suspension_ms,
        waitpoint_ms,
        dependency_ms,
        admission_ms,
        quota_ms,
        budget_ms,
        cancel_ms,
        sibling_ms
    )
}

fn setting<N>(best: i64, of: fn(&mut Settings) -> &mut N) -> Knob
where
    N: Copy + TryInto<i64> + TryFrom<i64> + 'static,
{
    number(Toward::Round(best), move |plan| Some(of(&mut plan.settings)))
}

fn of_network() -> Vec<Knob> {
    vec![
        set(|plan| plan.network.loss_ppm = 0),
        set(|plan| plan.network.jitter_us = 0),
        number(Toward::Round(1_000), |plan| Some(&mut plan.network.latency_us)),
        number(Toward::Small(0), |plan| Some(&mut plan.network.jitter_us)),
        number(Toward::Small(0), |plan| Some(&mut plan.network.loss_ppm)),
    ]
}
