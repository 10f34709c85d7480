//! The background scanners, in one process. Each walks all partitions in turn, as FlowFabric's do.
//!
//! Which of them walk, and how often, is the plan's to say. The reclaimer is the harness's own (no published scheduler
//! issues reclaim grants). The retention trimmer and the flow projector are left out: neither calls a function of the
//! library.

mod admission;
mod blocked;
mod flows;
mod leases;
mod registry;
#[cfg(test)]
mod tests;
mod timeouts;

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash, Hasher},
};

use super::{Actor, Alive, Input, Message, Outbox};
use crate::{
    plan::Settings,
    protocol::{
        BlockingReason, Command, IssueReclaimGrant, Plain, Registered, attempts_timed_out, blocked,
        budgets_due, cancelled_flows_due, deadlines_due, delayed_due, leases_due, quota_policies,
        registered_workers, sibling_groups, suspensions_due, waiting_for_others, waitpoints_due,
    },
    types::{ExecutionId, Function, LaneId, Node, TimestampMs, WaitpointId, WorkerInstanceId},
};

/// How many executions a scanner takes from a partition at a time.
const BATCH: usize = 50;
/// As [`BATCH`], for the unblock scanner and for waitpoints.
const WIDE_BATCH: usize = 100;
/// A worker that has not been heard of for this long gets no reclaim grant.
const ALIVE_FOR_MS: i64 = 3_000;
/// How many budget partitions and how many quota partitions there are: FlowFabric's default.
const LIMIT_PARTITIONS: u16 = 32;

/// Runs the scanners.
#[derive(Clone, Debug)]
pub struct Scanner {
    lanes: Vec<LaneId>,
    settings: Settings,
    functions: Registered,
    workers: BTreeMap<Node, (Alive, TimestampMs)>,
    turn: usize,
}

/// One of the scanners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scan {
    /// Marks leases that have expired.
    LeaseExpiry,
    /// Makes delayed executions eligible.
    Delayed,
    /// Gives executions that no worker could do another chance.
    Unblock,
    /// Issues reclaim grants for expired leases.
    Reclaim,
    /// Ends executions whose attempt took too long.
    AttemptTimeout,
    /// Ends executions that are past their deadline.
    Deadline,
    /// Ends suspensions that took too long.
    Suspension,
    /// Closes waitpoints at which nobody came to wait.
    Waitpoint,
    /// Tells those that wait for others what became of them.
    Dependency,
    /// Gives executions that wait for a budget another chance.
    Budget,
    /// Gives executions that wait for a quota another chance.
    Quota,
    /// Trims the windows of quotas.
    QuotaWindow,
    /// Resets budgets.
    BudgetReset,
    /// Cancels the members of cancelled flows.
    Cancel,
    /// Cancels those that nobody needs any more.
    Sibling,
    /// Sweeps workers out of the registry that are no longer alive.
    Workers,
}

impl Scan {
    /// All of them, in the order in which they start.
    pub const ALL: [Scan; 16] = [
        Scan::LeaseExpiry,
        Scan::Delayed,
        Scan::Unblock,
        Scan::Reclaim,
        Scan::AttemptTimeout,
        Scan::Deadline,
        Scan::Suspension,
        Scan::Waitpoint,
        Scan::Dependency,
        Scan::Budget,
        Scan::Quota,
        Scan::QuotaWindow,
        Scan::BudgetReset,
        Scan::Cancel,
        Scan::Sibling,
        Scan::Workers,
    ];

    /// Whether it walks the lanes of each partition.
    fn is_by_lane(self) -> bool {
        matches!(self, Scan::Delayed | Scan::Unblock | Scan::Dependency | Scan::Budget | Scan::Quota)
    }

    /// Without which functions it does nothing.
    fn needs(self) -> &'static [Function] {
        match self {
            // As before there was a choice: a library without them refuses.
            Scan::LeaseExpiry | Scan::Delayed | Scan::Unblock => &[],
            Scan::Reclaim => &[Function::IssueReclaimGrant, Function::ReclaimExecution],
            Scan::AttemptTimeout | Scan::Deadline => &[Function::ExpireExecution],
            Scan::Suspension => &[Function::ExpireSuspension],
            Scan::Waitpoint => &[Function::CloseWaitpoint],
            Scan::Dependency => &[Function::ResolveDependency],
            Scan::Budget | Scan::Quota => &[Function::UnblockExecution],
            Scan::QuotaWindow => &[Function::CheckAdmissionAndRecord],
            Scan::BudgetReset => &[Function::ResetBudget],
            Scan::Cancel => &[Function::CancelExecution, Function::AckCancelMember],
            Scan::Sibling => &[Function::CancelExecution, Function::DrainSiblingCancelGroup],
            Scan::Workers => &[Function::RegisterWorker],
        }
    }
}

/// Where a scanner's walk stands.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Place {
    scan: Scan,
    partition: u16,
    lane: usize,
}

/// What the scanner goes on with.
#[derive(Clone, Debug, Hash)]
pub enum Continuation {
    /// Time for a walk.
    Walk(Scan),
    /// The executions found at a place.
    Found(Place, Plain<Vec<ExecutionId>>),
    /// What else was found there, by name.
    Listed(Place, Plain<Vec<String>>),
    /// A call whose answer changes nothing here.
    Told,
    /// What the reclaimer needs to know of an execution.
    Read(ExecutionId, Plain<Vec<Option<String>>>),
    /// A reclaim grant for a worker was issued, or not.
    Granted(Node, Box<IssueReclaimGrant>),
    /// What a scan needs to know of an execution that is overdue.
    Overdue(Scan, ExecutionId, Plain<Vec<Option<String>>>),
    /// Whose waitpoint it is.
    Owner(WaitpointId, Plain<Option<String>>),
    /// On the way to unblocking an execution.
    Blocked(Place, blocked::Step),
    /// On the way to resolving a dependency, or to cancelling members.
    Flow(flows::Step),
    /// On the way to trimming a quota.
    Admission(admission::Step),
    /// Whether a worker is alive.
    Lives(WorkerInstanceId, Plain<Option<String>>),
}

impl Scanner {
    /// Scanners over these lanes.
    pub fn new(lanes: Vec<LaneId>, settings: Settings, functions: &Registered) -> Self {
        Self { lanes, settings, functions: functions.clone(), workers: BTreeMap::new(), turn: 0 }
    }

    /// How often a scan walks; none where it does not.
    fn every_ms(&self, scan: Scan) -> Option<u64> {
        let scans = &self.settings.scans;
        let every_ms = match scan {
            Scan::LeaseExpiry => Some(self.settings.lease_scan_ms),
            Scan::Delayed => Some(self.settings.delayed_scan_ms),
            Scan::Unblock => Some(self.settings.unblock_scan_ms),
            Scan::Reclaim => Some(self.settings.reclaim_scan_ms),
            Scan::AttemptTimeout => scans.attempt_timeout_ms,
            Scan::Deadline => scans.deadline_ms,
            Scan::Suspension => scans.suspension_ms,
            Scan::Waitpoint => scans.waitpoint_ms,
            Scan::Dependency => scans.dependency_ms,
            Scan::Budget | Scan::Quota => scans.admission_ms,
            Scan::QuotaWindow => scans.quota_ms,
            Scan::BudgetReset => scans.budget_ms,
            Scan::Cancel => scans.cancel_ms,
            Scan::Sibling => scans.sibling_ms,
            Scan::Workers => self.settings.registry.as_ref().map(|registry| registry.sweep_ms),
        };
        every_ms.filter(|_| scan.needs().iter().all(|function| self.functions.has(function)))
    }

    /// Asks what is due at a place.
    fn look(&self, now: TimestampMs, place: Place, out: &mut Outbox<Continuation>) {
        let Place { scan, partition, lane } = place;
        let lane = || &self.lanes[lane];
        let executions = match scan {
            Scan::LeaseExpiry | Scan::Reclaim => leases_due(partition, now, BATCH),
            Scan::Delayed => delayed_due(partition, lane(), now, BATCH),
            Scan::Unblock => blocked(partition, lane(), BlockingReason::Capability, WIDE_BATCH),
            Scan::Budget => blocked(partition, lane(), BlockingReason::Budget, WIDE_BATCH),
            Scan::Quota => blocked(partition, lane(), BlockingReason::Quota, WIDE_BATCH),
            Scan::AttemptTimeout => attempts_timed_out(partition, now, BATCH),
            Scan::Deadline => deadlines_due(partition, now, BATCH),
            Scan::Suspension => suspensions_due(partition, now, BATCH),
            Scan::Dependency => waiting_for_others(partition, lane(), BATCH),
            Scan::Waitpoint
            | Scan::QuotaWindow
            | Scan::BudgetReset
            | Scan::Cancel
            | Scan::Sibling
            | Scan::Workers => {
                let names = match scan {
                    Scan::Waitpoint => waitpoints_due(partition, now, WIDE_BATCH),
                    Scan::QuotaWindow => quota_policies(partition),
                    Scan::BudgetReset => budgets_due(partition, now, BATCH),
                    Scan::Cancel => cancelled_flows_due(partition, now, BATCH),
                    Scan::Workers => registered_workers(&registry::namespace()),
                    _ => sibling_groups(partition, BATCH),
                };
                out.call(names, |look| Continuation::Listed(place, look));
                return;
            }
        };
        out.call(executions, |look| Continuation::Found(place, look));
    }

    /// The place after this one; none after the last.
    fn next(&self, place: Place) -> Option<Place> {
        if place.scan.is_by_lane() && place.lane + 1 < self.lanes.len() {
            return Some(Place { lane: place.lane + 1, ..place });
        }
        let partitions = match place.scan {
            Scan::QuotaWindow | Scan::BudgetReset => LIMIT_PARTITIONS,
            Scan::Workers => 1,
            _ => self.settings.partitions,
        };
        let partition = place.partition + 1;
        (partition < partitions).then_some(Place { partition, lane: 0, ..place })
    }

    /// Goes on with a walk. A scanner that lost its connection leaves the walk and begins anew.
    fn go_on(&self, now: TimestampMs, place: Place, is_lost: bool, out: &mut Outbox<Continuation>) {
        match self.next(place).filter(|_| !is_lost) {
            Some(place) => self.look(now, place, out),
            None => self.wait(place.scan, out),
        }
    }

    fn wait(&self, scan: Scan, out: &mut Outbox<Continuation>) {
        if let Some(every_ms) = self.every_ms(scan) {
            out.wake(every_ms, Continuation::Walk(scan));
        }
    }

    fn found(&self, now: TimestampMs, place: Place, found: Vec<ExecutionId>, out: &mut Outbox<Continuation>) {
        for execution_id in found {
            match place.scan {
                Scan::LeaseExpiry => self.mark_expired(execution_id, out),
                Scan::Delayed => self.promote(now, place, execution_id, out),
                Scan::Reclaim => self.look_at_orphan(execution_id, out),
                Scan::Unblock | Scan::Budget | Scan::Quota => self.look_at_blocked(place, execution_id, out),
                Scan::Dependency => self.look_at_dependencies(place, execution_id, out),
                scan => self.look_at_overdue(scan, execution_id, out),
            }
        }
    }

    fn listed(&self, now: TimestampMs, place: Place, names: &[String], out: &mut Outbox<Continuation>) {
        for name in names {
            match place.scan {
                Scan::Waitpoint => self.look_at_waitpoint(place.partition, name, out),
                Scan::QuotaWindow => self.look_at_quota(name, out),
                Scan::BudgetReset => self.reset_budget(now, name, out),
                Scan::Cancel => self.look_at_cancelled_flow(place.partition, name, out),
                Scan::Workers => self.look_at_worker(name, out),
                _ => self.look_at_siblings(place.partition, name, out),
            }
        }
    }
}

/// Without what it is told when it starts.
impl Hash for Scanner {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { lanes: _, settings: _, functions: _, workers, turn } = self;
        (workers, turn).hash(hasher);
    }
}

impl Actor for Scanner {
    type Continuation = Continuation;

    fn step(&mut self, now: TimestampMs, input: Input<Continuation>, out: &mut Outbox<Continuation>) {
        match input {
            Input::Started => Scan::ALL.into_iter().for_each(|scan| self.wait(scan, out)),
            Input::Due(Continuation::Walk(scan)) => {
                self.look(now, Place { scan, partition: 0, lane: 0 }, out)
            }
            Input::Answered { continuation: Continuation::Found(place, look), answer } => {
                let found = answer.ok().and_then(|reply| look.parse(&reply).ok());
                let is_lost = found.is_none();
                self.found(now, place, found.unwrap_or_default(), out);
                self.go_on(now, place, is_lost, out);
            }
            Input::Answered { continuation: Continuation::Listed(place, look), answer } => {
                let names = answer.ok().and_then(|reply| look.parse(&reply).ok());
                self.listed(now, place, names.as_deref().unwrap_or_default(), out);
                self.go_on(now, place, names.is_none(), out);
            }
            Input::Answered { continuation, answer: Ok(reply) } => match continuation {
                Continuation::Read(execution_id, read) => {
                    if let Ok(fields) = read.parse(&reply) {
                        self.reclaim(now, execution_id, &fields, out);
                    }
                }
                Continuation::Granted(worker, call) => {
                    if let Ok(grant) = call.parse(&reply) {
                        out.send(worker, Message::Reclaim(grant.unwrap_or_else(|| call.computed(now))));
                    }
                }
                Continuation::Overdue(scan, execution_id, read) => {
                    if let Ok(fields) = read.parse(&reply) {
                        self.end_overdue(scan, execution_id, &fields, out);
                    }
                }
                Continuation::Owner(waitpoint_id, read) => {
                    if let Ok(Some(owner)) = read.parse(&reply) {
                        self.close_waitpoint(waitpoint_id, &owner, out);
                    }
                }
                Continuation::Blocked(place, step) => self.blocked_step(now, place, step, &reply, out),
                Continuation::Flow(step) => self.flow_step(now, step, &reply, out),
                Continuation::Admission(step) => self.admission_step(now, step, &reply, out),
                Continuation::Lives(instance, read) => self.sweep(&instance, &read, &reply, out),
                _ => {}
            },
            Input::Received { from, message: Message::Alive(alive) } => {
                self.workers.insert(from, (alive, now));
            }
            Input::Due(_) | Input::Answered { .. } | Input::Received { .. } => {}
        }
    }
}

/// The words of a list with commas.
fn words_of(csv: Option<&str>) -> BTreeSet<&str> {
    csv.into_iter().flat_map(|csv| csv.split(',')).map(str::trim).filter(|word| !word.is_empty()).collect()
}
