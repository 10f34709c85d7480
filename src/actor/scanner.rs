//! The background scanners, in one process: lease expiry, delayed promotion, unblocking, and the reclaimer.
//!
//! Each walks all partitions in turn, as FlowFabric's do. The reclaimer is the harness's own (no published scheduler
//! issues reclaim grants): it follows an expired lease with `ff_issue_reclaim_grant` to a worker that said lately
//! that it lives. The scanners for timeouts, deadlines, suspensions, dependencies, quotas, budgets and retention are
//! left out, as no execution of a plan has any of these.

use std::collections::{BTreeMap, BTreeSet};

use super::{Actor, Alive, Input, Message, Outbox};
use crate::{
    plan::Settings,
    protocol::{
        BlockingReason, Command, GrantNotes, GrantRequest, IssueReclaimGrant, MarkLeaseExpired, Plain,
        PromoteDelayed, Registered, UnblockExecution, blocked, core_fields, delayed_due, leases_due,
    },
    types::{ExecutionId, Function, LaneId, Millis, Node, OwnershipState, TimestampMs},
};

/// How many executions a scanner takes from a partition at a time.
const BATCH: usize = 50;
/// As [`BATCH`], for the unblock scanner.
const UNBLOCK_BATCH: usize = 100;
/// A worker that has not been heard of for this long gets no reclaim grant.
const ALIVE_FOR_MS: i64 = 3_000;
/// What the reclaimer reads of an expired execution.
const RECLAIM_FIELDS: [&str; 3] = ["lane_id", "ownership_state", "required_capabilities"];

/// Runs the scanners.
#[derive(Clone, Debug)]
pub struct Scanner {
    lanes: Vec<LaneId>,
    settings: Settings,
    reclaims: bool,
    workers: BTreeMap<Node, (Alive, TimestampMs)>,
    turn: usize,
}

/// One of the scanners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Marks leases that have expired.
    LeaseExpiry,
    /// Makes delayed executions eligible.
    Delayed,
    /// Gives executions that no worker could do another chance.
    Unblock,
    /// Issues reclaim grants for expired leases.
    Reclaim,
}

/// Where a scanner's walk stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    scan: Scan,
    partition: u16,
    lane: usize,
}

/// What the scanner goes on with.
#[derive(Clone, Debug)]
pub enum Continuation {
    /// Time for a walk.
    Walk(Scan),
    /// The executions found at a place.
    Found(Place, Plain<Vec<ExecutionId>>),
    /// A call whose answer changes nothing here.
    Told,
    /// What the reclaimer needs to know of an execution.
    Read(ExecutionId, Plain<Vec<Option<String>>>),
    /// A reclaim grant for a worker was issued, or not.
    Granted(Node, Box<IssueReclaimGrant>),
}

impl Scanner {
    /// Scanners over these lanes.
    pub fn new(lanes: Vec<LaneId>, settings: Settings, functions: &Registered) -> Self {
        let reclaims =
            functions.has(&Function::IssueReclaimGrant) && functions.has(&Function::ReclaimExecution);
        Self { lanes, settings, reclaims, workers: BTreeMap::new(), turn: 0 }
    }

    fn every_ms(&self, scan: Scan) -> u64 {
        match scan {
            Scan::LeaseExpiry => self.settings.lease_scan_ms,
            Scan::Delayed => self.settings.delayed_scan_ms,
            Scan::Unblock => self.settings.unblock_scan_ms,
            Scan::Reclaim => self.settings.reclaim_scan_ms,
        }
    }

    /// Asks what is due at a place.
    fn look(&self, now: TimestampMs, place: Place, out: &mut Outbox<Continuation>) {
        let Place { scan, partition, lane } = place;
        let look = match scan {
            Scan::LeaseExpiry | Scan::Reclaim => leases_due(partition, now, BATCH),
            Scan::Delayed => delayed_due(partition, &self.lanes[lane], now, BATCH),
            Scan::Unblock => blocked(partition, &self.lanes[lane], BlockingReason::Capability, UNBLOCK_BATCH),
        };
        out.call(look, |look| Continuation::Found(place, look));
    }

    /// The place after this one; none after the last.
    fn next(&self, place: Place) -> Option<Place> {
        let by_lane = matches!(place.scan, Scan::Delayed | Scan::Unblock);
        if by_lane && place.lane + 1 < self.lanes.len() {
            return Some(Place { lane: place.lane + 1, ..place });
        }
        let partition = place.partition + 1;
        (partition < self.settings.partitions).then_some(Place { partition, lane: 0, ..place })
    }

    fn found(&self, now: TimestampMs, place: Place, found: Vec<ExecutionId>, out: &mut Outbox<Continuation>) {
        for execution_id in found {
            let lane_id = || self.lanes[place.lane].clone();
            match place.scan {
                Scan::LeaseExpiry => out.call(MarkLeaseExpired { execution_id }, |_| Continuation::Told),
                Scan::Delayed => {
                    out.call(PromoteDelayed { execution_id, lane_id: lane_id(), now }, |_| {
                        Continuation::Told
                    });
                }
                Scan::Unblock => {
                    let expected_reason = BlockingReason::Capability;
                    let call = UnblockExecution { execution_id, lane_id: lane_id(), expected_reason, now };
                    out.call(call, |_| Continuation::Told);
                }
                Scan::Reclaim => {
                    out.call(core_fields(&execution_id, &RECLAIM_FIELDS), |read| {
                        Continuation::Read(execution_id, read)
                    });
                }
            }
        }
    }

    /// Issues a reclaim grant to one of the workers that live, serve the lane and are able, in turn.
    fn reclaim(
        &mut self,
        now: TimestampMs,
        execution_id: ExecutionId,
        fields: &[Option<String>],
        out: &mut Outbox<Continuation>,
    ) {
        let [Some(lane), Some(ownership), required] = fields else { return };
        if !OwnershipState::from(ownership.as_str()).is_reclaimable() {
            return;
        }
        let lane_id = LaneId::new(lane);
        let required: BTreeSet<&str> =
            required.iter().flat_map(|csv| csv.split(',')).filter(|c| !c.is_empty()).collect();
        let able = self.workers.iter().filter(|(_, (alive, heard))| {
            now.0.saturating_sub(heard.0) <= ALIVE_FOR_MS
                && alive.lanes.contains(&lane_id)
                && required.iter().all(|c| alive.capabilities.contains(*c))
        });
        let able: Vec<_> = able.collect();
        if able.is_empty() {
            return;
        }
        let (node, (alive, _)) = able[self.turn % able.len()];
        let call = IssueReclaimGrant(GrantRequest {
            execution_id,
            lane_id,
            worker_id: alive.worker_id.clone(),
            worker_instance_id: alive.worker_instance_id.clone(),
            // A grant of no duration would never be seen: the reclaimer's own grants always live.
            grant_ttl: Millis(self.settings.grant_ttl_ms.max(1)),
            capabilities: alive.capabilities.clone(),
            notes: GrantNotes::default(),
        });
        let node = *node;
        self.turn += 1;
        out.call(call, |call| Continuation::Granted(node, Box::new(call)));
    }
}

impl Actor for Scanner {
    type Continuation = Continuation;

    fn step(&mut self, now: TimestampMs, input: Input<Continuation>, out: &mut Outbox<Continuation>) {
        match input {
            Input::Started => {
                for scan in [Scan::LeaseExpiry, Scan::Delayed, Scan::Unblock, Scan::Reclaim] {
                    if scan != Scan::Reclaim || self.reclaims {
                        out.wake(self.every_ms(scan), Continuation::Walk(scan));
                    }
                }
            }
            Input::Due(Continuation::Walk(scan)) => {
                self.look(now, Place { scan, partition: 0, lane: 0 }, out)
            }
            Input::Answered { continuation: Continuation::Found(place, look), answer } => {
                // A scanner that lost its connection leaves the walk and begins anew.
                let found = answer.ok().and_then(|reply| look.parse(&reply).ok());
                let next = self.next(place).filter(|_| found.is_some());
                self.found(now, place, found.unwrap_or_default(), out);
                match next {
                    Some(place) => self.look(now, place, out),
                    None => out.wake(self.every_ms(place.scan), Continuation::Walk(place.scan)),
                }
            }
            Input::Answered { continuation: Continuation::Read(execution_id, read), answer: Ok(reply) } => {
                if let Ok(fields) = read.parse(&reply) {
                    self.reclaim(now, execution_id, &fields, out);
                }
            }
            Input::Answered { continuation: Continuation::Granted(worker, call), answer: Ok(reply) } => {
                if let Ok(grant) = call.parse(&reply) {
                    out.send(worker, Message::Reclaim(grant));
                }
            }
            Input::Received { from, message: Message::Alive(alive) } => {
                self.workers.insert(from, (alive, now));
            }
            Input::Due(_) | Input::Answered { .. } | Input::Received { .. } => {}
        }
    }
}
