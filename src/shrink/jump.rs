//! Jumps: out of a plan that no single deletion makes smaller, though a smaller one shows the same.
//!
//! What holds such a plan in place is mostly timing: a third execution that is there to occupy a worker for the moment that
//! it takes. So two parts are deleted at once, and single ones together with another seed, which draws other moments, or
//! with a slower network, on which a grant expires by itself where else it takes a crowd to be late.

use super::search::Search;
use crate::{
    drive::RunError,
    plan::{Network, Part, Plan},
};

/// Pairs are tried of plans with up to so many parts.
const MOST_PARTS: usize = 12;
/// The seeds that are tried with each part less.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=12;
/// The latencies that are tried with each part less, microseconds: up to several times the least life of a grant.
const LATENCIES_US: [u64; 5] = [2_000, 5_000, 10_000, 20_000, 50_000];

/// Tries to leave a plan that is 1-minimal for a smaller one. Whether it did.
pub(super) fn jump(search: &mut Search<'_>) -> Result<bool, RunError> {
    let plan = search.plan();
    let parts = plan.parts();
    if parts.len() > MOST_PARTS {
        return Ok(false);
    }
    let mut candidates = pairs(plan, &parts);
    let smaller: Vec<Plan> = parts.iter().filter_map(|part| plan.without(part)).collect();
    for seed in SEEDS {
        candidates.extend(smaller.iter().map(|rest| Plan { seed, ..rest.clone() }));
    }
    for latency_us in LATENCIES_US {
        let slower = |rest: &Plan| Network { latency_us, ..rest.network.clone() };
        candidates.extend(smaller.iter().map(|rest| Plan { network: slower(rest), ..rest.clone() }));
    }
    Ok(search.first(candidates)?.is_some())
}

/// The plan without any two parts. The one that stands later goes first: a fault is known by its place.
fn pairs(plan: &Plan, parts: &[Part]) -> Vec<Plan> {
    let mut pairs = Vec::new();
    for (place, later) in parts.iter().enumerate().rev() {
        let Some(rest) = plan.without(later) else { continue };
        pairs.extend(parts[..place].iter().filter_map(|earlier| rest.without(earlier)));
    }
    pairs
}
