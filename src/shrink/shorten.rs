//! Makes the story of a plan short: other settings and times, with which less happens until the violation.
//!
//! What makes a story long is mostly what happens again and again: a lease that is renewed nine times before a scanner
//! looks. So this tries times that are plain, but not the defaults: shorter leases and longer ones, scanners that look
//! sooner, work that ends at once, or never. A plan with a shorter story is taken though its numbers are less plain.

use valkey_sim::random::Random;

use super::{
    knobs,
    search::{Search, Take},
    trial::Shown,
};
use crate::{
    drive::RunError,
    plan::{Ending, Plan, Work},
    types::ExecutionName,
};

const LEASES_MS: [u64; 7] = [100, 300, 500, 1_000, 3_000, 10_000, 30_000];
const SCANS_MS: [u64; 4] = [100, 500, 2_000, 10_000];
const TIMEOUTS_MS: [u64; 4] = [100, 500, 1_000, 30_000];
const GRANTS_MS: [u64; 2] = [100, 10_000];
const LATENCIES_US: [u64; 3] = [100, 1_000, 10_000];
const WORK_MS: [u64; 6] = [1, 100, 300, 500, 2_000, 10_000];
const LENGTHS_MS: [u64; 6] = [100, 500, 1_000, 2_000, 3_000, 5_000];
/// A delay after which nothing happens any more.
const NEVER_MS: u64 = 1_000_000;
/// So many passes at most: each makes the story shorter by a line, and few have more than a handful.
const PASSES: u64 = 20;
/// So many plans of a pass have several other times at once.
const DRAWN: usize = 150;
/// Stories of less than this are short enough.
const SHORT: u64 = 20;

/// Changes a plan in one way.
type Change = Box<dyn Fn(&mut Plan)>;

/// Makes the story as short as it gets. Whether it became shorter.
pub(super) fn shorten(search: &mut Search<'_>) -> Result<bool, RunError> {
    let mut is_changed = false;
    for pass in 0..PASSES {
        let others = others(search.plan(), search.shown(), pass);
        if search.shown().told.before < SHORT || search.first_of(Take::Shorter, others)?.is_none() {
            break;
        }
        is_changed = true;
    }
    Ok(is_changed)
}

/// Ends the run with the violation: what follows is no part of its story. Of the ends that show nothing more, the roundest.
pub(super) fn cut_short(search: &mut Search<'_>) -> Result<bool, RunError> {
    let Some(at_ms) = search.shown().at_ms else { return Ok(false) };
    let ends = |search: &Search<'_>, ends_ms: &[u64]| -> Vec<Plan> {
        ends_ms.iter().map(|run_for_ms| Plan { run_for_ms: *run_for_ms, ..search.plan().clone() }).collect()
    };
    // What happens in the millisecond in which the run ends may be part of it, or not. What shows only once the world is
    // healed may come later than that.
    if search.plan().heals && at_ms >= search.plan().run_for_ms {
        return Ok(false);
    }
    let is_cut = search.first(ends(search, &[at_ms, at_ms + 1]))?.is_some();
    let round = [1_000, 100, 10].map(|round_ms| at_ms.next_multiple_of(round_ms));
    let is_round = search.first_of(Take::NothingMore, ends(search, &round))?.is_some();
    Ok(is_cut || is_round)
}

/// Plans with one other time, then with several, as they are drawn; they run for long enough to show what they show.
fn others(plan: &Plan, shown: &Shown, pass: u64) -> Vec<Plan> {
    let longer = Plan { run_for_ms: room_ms(plan, shown), ..plan.clone() };
    let changes = changes(shown.execution.clone());
    let with = |chosen: &[&Change]| {
        let mut changed = longer.clone();
        chosen.iter().for_each(|change| change(&mut changed));
        changed
    };
    let mut plans: Vec<Plan> = changes.iter().flatten().map(|change| with(&[change])).collect();
    // Drawn from a stream of their own, so that the same plan is always shortened in the same way.
    let mut random = Random::new(pass);
    for _ in 0..DRAWN {
        let mut chosen = Vec::new();
        for kind in &changes {
            if random.below(3) == 0 {
                chosen.extend(kind.get(random.below(kind.len() as u64) as usize));
            }
        }
        plans.push(with(&chosen));
    }
    plans
}

/// Time enough for whatever comes later with other settings.
fn room_ms(plan: &Plan, shown: &Shown) -> u64 {
    const ROOM_MS: u64 = 5_000;
    plan.run_for_ms.max(shown.at_ms.unwrap_or(0).saturating_mul(2).max(ROOM_MS))
}

/// The changes, kind by kind: of a kind, at most one is made. `about` is the execution that the violation is about.
fn changes(about: Option<ExecutionName>) -> Vec<Vec<Change>> {
    fn each<T: Copy + 'static>(values: &[T], set: fn(&mut Plan, T)) -> Vec<Change> {
        values.iter().map(|&value| Box::new(move |plan: &mut Plan| set(plan, value)) as Change).collect()
    }
    vec![
        each(&LEASES_MS, |plan, ms| plan.settings.lease_ttl_ms = ms),
        each(&SCANS_MS, |plan, ms| plan.settings.lease_scan_ms = ms),
        each(&SCANS_MS, |plan, ms| plan.settings.reclaim_scan_ms = ms),
        each(&TIMEOUTS_MS, |plan, ms| plan.settings.request_timeout_ms = ms),
        each(&GRANTS_MS, |plan, ms| plan.settings.grant_ttl_ms = ms),
        each(&LATENCIES_US, |plan, us| plan.network.latency_us = us),
        each(&WORK_MS, |plan, ms| works(plan).for_each(|work| work.takes_ms = ms)),
        each(&[Ending::Vanish, Ending::Complete], |plan, ends| works(plan).for_each(|work| work.ends = ends)),
        each(&LENGTHS_MS, |plan, ms| {
            plan.faults.iter_mut().filter_map(knobs::length).for_each(|length| *length = ms);
        }),
        each(&LENGTHS_MS, |plan, ms| {
            plan.faults.iter_mut().filter_map(knobs::start).for_each(|start| *start = ms);
        }),
        each(&[0, 50, 500], |plan, ms| {
            plan.executions.iter_mut().zip(0..).for_each(|(execution, nth)| execution.at_ms = nth * ms);
        }),
        // The others are only there.
        vec![Box::new(move |plan| {
            let others =
                plan.executions.iter_mut().filter(|it| about.as_ref().is_some_and(|name| it.name != *name));
            others.for_each(|execution| execution.delay_ms = Some(NEVER_MS));
        })],
    ]
}

fn works(plan: &mut Plan) -> impl Iterator<Item = &mut Work> {
    plan.executions.iter_mut().flat_map(|execution| execution.work.iter_mut())
}
