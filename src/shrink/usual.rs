//! What usually does it: the plan's own violation by one execution and one fault of the plainest kind, in place of all faults
//! and clocks that it has.
//!
//! A late request is most of what a broken fence needs, and many plans make one in a roundabout way: a claim that holds up
//! the connection of which a renewal waits for its turn. Deleting parts never leads from there to the plain one.

use super::search::{Search, Take};
use crate::{
    drive::RunError,
    plan::{CallRef, Called, Deed, Ending, Execution, Fault, Plan, Worker, is_nobody},
    types::{ExecutionName, Function, Node},
};

/// How late a request comes, milliseconds.
const LATE_MS: [u64; 5] = [500, 1_000, 2_000, 3_000, 5_000];
/// When a worker stands still, and for how long, milliseconds.
const PAUSES_MS: [(u64, u64); 4] = [(50, 2_000), (50, 5_000), (500, 2_000), (500, 5_000)];
/// How long the run is, milliseconds.
const RUN_FOR_MS: u64 = 10_000;
/// Stories of less than this need nothing else.
const SHORT: u64 = 32;

/// Tries to show it in the usual ways, up to the one with the shortest story. Whether the plan has become smaller, or as
/// small with a shorter story.
pub(super) fn usual(search: &mut Search<'_>) -> Result<bool, RunError> {
    let mut is_changed = false;
    while !is_plain(search) && usual_once(search)? {
        is_changed = true;
    }
    Ok(is_changed)
}

/// Whether there is nothing to be gained.
fn is_plain(search: &Search<'_>) -> bool {
    let plan = search.plan();
    let is_short = search.shown().told.before < SHORT;
    plan.executions.len() == 1 && (is_short || plan.faults.is_empty() && plan.clocks.is_empty())
}

/// Each time the plan has fewer parts or a shorter story, so that this has an end.
fn usual_once(search: &mut Search<'_>) -> Result<bool, RunError> {
    let now = size(search.plan());
    let candidates = candidates(search);
    let smaller: Vec<Plan> = candidates.iter().filter(|plan| size(plan) < now).cloned().collect();
    if search.first(smaller)?.is_some() {
        return Ok(true);
    }
    let as_small = candidates.into_iter().filter(|plan| size(plan) == now);
    Ok(search.first_of(Take::Shorter, as_small)?.is_some())
}

fn size(plan: &Plan) -> usize {
    plan.parts().len()
}

fn candidates(search: &Search<'_>) -> Vec<Plan> {
    let plan = search.plan();
    let about = search.shown().execution.as_ref();
    let is_about = |execution: &&Execution| about.is_none_or(|name| execution.name == *name);
    let Some(execution) = plan.executions.iter().find(is_about) else { return Vec::new() };
    let alone = Plan {
        run_for_ms: RUN_FOR_MS.max(plan.run_for_ms),
        executions: vec![execution.clone()],
        deeds: deeds(plan, execution),
        faults: Vec::new(),
        clocks: std::collections::BTreeMap::new(),
        ..plan.clone()
    };
    let mut plans = Vec::new();
    for workers in crews(&plan.workers, &execution.lane) {
        let alone = Plan { workers, ..alone.clone() };
        let faults = faults(execution, alone.workers[0].name);
        plans.extend(faults.into_iter().map(|fault| Plan { faults: vec![fault], ..alone.clone() }));
    }
    plans
}

/// What is done to the execution, and to nobody else; no deed that waits for a node, which may be gone.
fn deeds(plan: &Plan, execution: &Execution) -> Vec<Deed> {
    let is_his = |name: &ExecutionName| *name == execution.name || is_nobody(name);
    let stays = |deed: &&Deed| {
        let waits_for_a_node = deed.upon.as_ref().is_some_and(|call| call.node.is_some());
        !waits_for_a_node && deed.executions().into_iter().all(is_his)
    };
    plan.deeds.iter().filter(stays).cloned().collect()
}

/// One worker, and two that are alike.
fn crews(workers: &[Worker], lane: &str) -> Vec<Vec<Worker>> {
    let mut one = workers[0].clone();
    (one.lanes, one.slots) = (vec![lane.to_owned()], 1);
    let free = (1..).map(Node::Worker).find(|name| *name != one.name);
    let other = Worker {
        name: free.unwrap_or(one.name),
        worker_id: format!("{}-other", one.worker_id),
        ..one.clone()
    };
    vec![vec![one.clone()], vec![one, other]]
}

/// What may happen to the calls of the execution, and to the worker.
fn faults(execution: &Execution, worker: Node) -> Vec<Fault> {
    let outcome = execution.work.first().and_then(|work| match work.ends {
        Ending::Complete => Some(Function::CompleteExecution),
        Ending::Fail => Some(Function::FailExecution),
        Ending::Delay(_) => Some(Function::DelayExecution),
        Ending::Cancel => Some(Function::CancelExecution),
        Ending::Suspend(_) => Some(Function::SuspendExecution),
        Ending::WaitChildren => Some(Function::MoveToWaitingChildren),
        Ending::Vanish => None,
    });
    let functions = outcome.into_iter().chain([Function::RenewLease]).map(Called::Function);
    let mut faults = Vec::new();
    for function in functions.chain([Called::Claim]) {
        let call = || CallRef {
            node: None,
            function: function.clone(),
            execution: Some(execution.name.clone()),
            nth: 1,
        };
        faults.extend(LATE_MS.map(|by_ms| Fault::DelayRequest { call: call(), by_ms }));
        faults.extend(LATE_MS.map(|after_ms| Fault::RepeatRequest { call: call(), after_ms }));
        faults.extend([Fault::LoseReply { call: call() }, Fault::LoseRequest { call: call() }]);
    }
    faults.extend(PAUSES_MS.map(|(at_ms, for_ms)| Fault::Pause { node: worker, at_ms, for_ms, upon: None }));
    faults
}
