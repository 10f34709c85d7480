//! The scheduler: `claim_for_worker` of FlowFabric's `ff-scheduler` 0.15, step by step.
//!
//! It reads the server's TIME once, walks up to 32 partitions from a start that differs from worker to worker, and
//! issues a grant for the first execution that the worker is able to do. What it asks of budgets and quotas is in
//! [`admission`].

mod admission;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ff_core::types::QuotaPolicyId;

use valkey_sim::engine::Reply;

use super::{Actor, Ask, Input, Message, Outbox};
use crate::{
    protocol::{
        BlockExecution, BlockingReason, Command, GrantNotes, GrantRequest, IssueClaimGrant, Plain,
        ReleaseAdmission, core_field, first_eligible, server_time,
    },
    types::{ExecutionId, Millis, Node, TimestampMs, grant::ClaimGrant},
};

/// Partitions that one question looks at, at most.
const SCAN_AT_MOST: u16 = 32;
/// The rotation cursor moves when a question falls into a new window of this many milliseconds.
const WINDOW_MS: i64 = 250;

/// Issues claim grants.
#[derive(Clone, Debug, Hash)]
pub struct Scheduler {
    partitions: u16,
    /// Whether it asks what an execution is charged to: it need not where no execution is charged to anything.
    admits: bool,
    grant_ttl: Millis,
    cursor: u16,
    window: i64,
}

/// A question on its way through the partitions.
#[derive(Clone, Debug, Hash)]
pub struct Scan {
    worker: Node,
    ask: Ask,
    /// The server's time when the scan began: what the grant's `expires_at_ms` is reckoned from.
    now: TimestampMs,
    start: u16,
    /// Partitions looked at so far.
    seen: u16,
    /// The budgets looked at so far, and what of each is used up.
    budgets: BTreeMap<String, Option<String>>,
    /// The quota that admitted the execution that is about to be granted.
    admitted: Option<QuotaPolicyId>,
}

/// What the scheduler goes on with.
#[derive(Clone, Debug, Hash)]
pub enum Continuation {
    /// The server's time.
    Time(Node, Ask, Plain<TimestampMs>),
    /// The head of the eligible set of the scan's partition.
    Head(Scan, Plain<Option<ExecutionId>>),
    /// What an execution requires.
    Required(Scan, ExecutionId, Plain<Option<String>>),
    /// An execution that the worker cannot do was put aside.
    Blocked(Scan),
    /// On the way through budgets and quota.
    Admission(Box<admission::Step>),
    /// A grant was issued, or not.
    Issued(Scan, IssueClaimGrant),
    /// An admission was given back.
    Released,
}

impl Scheduler {
    /// A scheduler of a deployment with so many partitions, some of whose executions are charged to budgets or quotas, or
    /// none.
    pub fn new(partitions: u16, grant_ttl: Millis, admits: bool) -> Self {
        Self { partitions, admits, grant_ttl, cursor: 0, window: i64::MIN }
    }

    fn answered(&mut self, continuation: Continuation, reply: &Reply, out: &mut Outbox<Continuation>) {
        match continuation {
            Continuation::Time(worker, ask, read) => match read.parse(reply) {
                Ok(now) => {
                    let start = self.start(&ask, now);
                    let (budgets, admitted) = (BTreeMap::new(), None);
                    self.look(Scan { worker, ask, now, start, seen: 0, budgets, admitted }, out);
                }
                Err(_) => no_grant(worker, &ask, out),
            },
            Continuation::Head(scan, read) => match read.parse(reply) {
                Ok(Some(id)) => {
                    out.call(core_field(&id, "required_capabilities"), |read| {
                        Continuation::Required(scan, id, read)
                    });
                }
                Ok(None) | Err(_) => self.look_further(scan, out),
            },
            Continuation::Required(scan, id, read) => match read.parse(reply) {
                Ok(required) => self.consider(scan, id, required.unwrap_or_default(), out),
                Err(_) => self.look_further(scan, out),
            },
            Continuation::Blocked(scan) => self.look_further(scan, out),
            Continuation::Issued(scan, call) => match call.parse(reply) {
                Ok(()) => {
                    let expires_at_ms = TimestampMs(scan.now.0.saturating_add_unsigned(self.grant_ttl.0));
                    let grant = ClaimGrant::new(call.0.execution_id, expires_at_ms);
                    out.send(scan.worker, Message::Grant(scan.ask.id, grant));
                }
                Err(_) => {
                    release(&scan, call.0.execution_id, out);
                    self.look_further(scan, out);
                }
            },
            Continuation::Admission(step) => self.admission_step(*step, reply, out),
            Continuation::Released => {}
        }
    }

    /// Goes on with an execution that the worker is able to do, and puts it aside for one that is not.
    fn consider(&self, scan: Scan, id: ExecutionId, required: String, out: &mut Outbox<Continuation>) {
        let able = required.split(',').filter(|c| !c.is_empty()).all(|c| scan.ask.capabilities.contains(c));
        if !able {
            block(scan, id, BlockingReason::Capability, required, out);
        } else if self.admits {
            self.ask_budgets(scan, id, out);
        } else {
            self.grant(scan, id, out);
        }
    }

    fn grant(&self, scan: Scan, id: ExecutionId, out: &mut Outbox<Continuation>) {
        let call = IssueClaimGrant(GrantRequest {
            execution_id: id,
            lane_id: scan.ask.lane_id.clone(),
            worker_id: scan.ask.worker_id.clone(),
            worker_instance_id: scan.ask.worker_instance_id.clone(),
            grant_ttl: self.grant_ttl,
            capabilities: scan.ask.capabilities.clone(),
            notes: GrantNotes::default(),
        });
        out.call(call, |call| Continuation::Issued(scan, call));
    }

    /// Where a worker's scan starts: workers spread out, and all of them move on as time does.
    fn start(&mut self, ask: &Ask, now: TimestampMs) -> u16 {
        let window = now.0.div_euclid(WINDOW_MS);
        if window != self.window {
            self.window = window;
            self.cursor = (self.cursor + SCAN_AT_MOST) % self.partitions;
        }
        let own = fnv1a(ask.worker_instance_id.as_str().as_bytes()) % u64::from(self.partitions);
        (own as u16 + self.cursor) % self.partitions
    }

    fn look(&self, scan: Scan, out: &mut Outbox<Continuation>) {
        if scan.seen < self.partitions.min(SCAN_AT_MOST) {
            let partition = (scan.start + scan.seen) % self.partitions;
            out.call(first_eligible(partition, &scan.ask.lane_id), |read| Continuation::Head(scan, read));
        } else {
            no_grant(scan.worker, &scan.ask, out);
        }
    }

    fn look_further(&self, scan: Scan, out: &mut Outbox<Continuation>) {
        self.look(Scan { seen: scan.seen + 1, admitted: None, ..scan }, out);
    }
}

impl Actor for Scheduler {
    type Continuation = Continuation;

    fn step(&mut self, _: TimestampMs, input: Input<Continuation>, out: &mut Outbox<Continuation>) {
        match input {
            Input::Received { from, message: Message::Ask(ask) } => {
                out.call(server_time(), |read| Continuation::Time(from, ask, read))
            }
            Input::Answered { continuation, answer: Ok(reply) } => self.answered(continuation, &reply, out),
            Input::Answered { continuation, answer: Err(_) } => give_up(continuation, out),
            Input::Started | Input::Due(_) | Input::Received { .. } => {}
        }
    }
}

/// Puts an execution aside.
fn block(
    scan: Scan,
    execution_id: ExecutionId,
    reason: BlockingReason,
    detail: String,
    out: &mut Outbox<Continuation>,
) {
    let (lane_id, now) = (scan.ask.lane_id.clone(), scan.now);
    let call = BlockExecution { execution_id, lane_id, reason, detail, now };
    out.call(call, |_| Continuation::Blocked(scan));
}

/// Gives the admission back of an execution that is not granted.
fn release(scan: &Scan, execution_id: ExecutionId, out: &mut Outbox<Continuation>) {
    if let Some(quota_policy_id) = scan.admitted.clone() {
        out.call(ReleaseAdmission { quota_policy_id, execution_id }, |_| Continuation::Released);
    }
}

/// A transport error ends the question, as in the published scheduler: the caller asks again. If a grant was issued
/// all the same, nobody will hear of it before it expires; an admission is given back, as the published scheduler does it.
fn give_up(continuation: Continuation, out: &mut Outbox<Continuation>) {
    match continuation {
        Continuation::Time(worker, ask, _) => no_grant(worker, &ask, out),
        Continuation::Head(scan, _) | Continuation::Required(scan, ..) | Continuation::Blocked(scan) => {
            no_grant(scan.worker, &scan.ask, out)
        }
        Continuation::Issued(scan, call) => {
            release(&scan, call.0.execution_id, out);
            no_grant(scan.worker, &scan.ask, out);
        }
        Continuation::Admission(step) => {
            let scan = step.scan();
            no_grant(scan.worker, &scan.ask, out);
        }
        Continuation::Released => {}
    }
}

fn no_grant(worker: Node, ask: &Ask, out: &mut Outbox<Continuation>) {
    out.send(worker, Message::NoGrant(ask.id));
}

/// 64-bit FNV-1a.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
