//! How a worker comes by a lease: it asks for a grant, and claims, resumes or reclaims with what it is given.

use valkey_sim::engine::Reply;

use super::{Attempt, Continuation, Question, Worker};
use crate::{
    actor::{Ask, AskId, Message, Outbox, attempt_index},
    protocol::{
        CallError, Claim, ClaimExecution, ClaimResumedExecution, Command, Plain, ReclaimExecution,
        core_field, policy, total_attempt_count,
    },
    types::{AttemptId, AttemptIndex, Code, ExecutionId, LaneId, LeaseId, Lost, Millis, grant::ReclaimGrant},
};

/// A way to a lease, once the worker knows which attempt it is about.
#[derive(Clone, Debug, Hash)]
pub enum Way {
    /// A claim of the attempt of this index, which is still to be made.
    Claim(Attempt, AttemptIndex),
    /// A claim of this attempt, which goes on.
    Resume(Attempt, AttemptIndex),
    /// A reclaim of an execution whose last attempt this was.
    Reclaim(ReclaimGrant, AttemptIndex),
}

/// What an execution's policy says of an attempt.
#[derive(Debug, Default)]
struct Allowance {
    /// As JSON; empty where nothing is said.
    policy_json: String,
    /// How long it may take.
    timeout: Option<Millis>,
}

impl Worker {
    pub(super) fn poll(&mut self, out: &mut Outbox<Continuation>) {
        let waiting = self.asked.values().filter(|question| question.open).count();
        if self.jobs.len() + waiting < usize::from(self.config.slots) {
            let lane_id = self.config.lanes[self.turn % self.config.lanes.len()].clone();
            let scheduler = self.config.schedulers[self.turn % self.config.schedulers.len()];
            self.turn += 1;
            // Drawn, not counted: an answer to a question of an earlier life must not look like one to this life's.
            let id = AskId(self.random.next_u64());
            self.asked.insert(id, Question { lane_id: lane_id.clone(), open: true, granted: false });
            let ask = Ask {
                id,
                lane_id,
                worker_id: self.config.worker_id.clone(),
                worker_instance_id: self.config.instance.clone(),
                capabilities: self.config.capabilities.clone(),
            };
            out.send(scheduler, Message::Ask(ask));
            out.wake(self.config.settings.request_timeout_ms.saturating_mul(2), Continuation::Overdue(id));
        }
        let jitter_ms = self.random.below(self.config.settings.poll_jitter_ms.saturating_add(1));
        out.wake(self.config.settings.poll_ms.saturating_add(jitter_ms), Continuation::Poll);
    }

    /// `claim_from_grant(lane, grant)`, its first step.
    pub(super) fn count(&self, attempt: Attempt, out: &mut Outbox<Continuation>) {
        out.call(total_attempt_count(&attempt.grant.execution_id), |read| {
            Continuation::Counted(attempt, read)
        });
    }

    /// Takes an execution over, by a grant that carries its lane.
    pub(super) fn take_over(&self, grant: ReclaimGrant, out: &mut Outbox<Continuation>) {
        out.call(current_attempt_index(&grant.execution_id), |read| Continuation::Orphaned(grant, read));
    }

    /// What came of a step on the way to a lease.
    pub(super) fn on_the_way(
        &mut self,
        continuation: Continuation,
        answer: Result<Reply, Lost>,
        out: &mut Outbox<Continuation>,
    ) {
        match (continuation, answer) {
            (Continuation::Counted(attempt, read), Ok(reply)) => {
                let index = read.parse(&reply).unwrap_or(AttemptIndex(0));
                self.go(Way::Claim(attempt, index), out);
            }
            (Continuation::Policy(way, read), Ok(reply)) => {
                let policy = read.parse(&reply).ok().flatten();
                self.send(way, policy.map(|json| Allowance::read(&json)).unwrap_or_default(), out);
            }
            (Continuation::Claimed(attempt, call), Ok(reply)) => match call.parse(&reply) {
                Ok(lease) => {
                    self.close(attempt.ask);
                    self.begin(lease, attempt.lane_id, out);
                }
                Err(error) if refused(&error, &Code::UseClaimResumedExecution) => {
                    let read = current_attempt_index(&attempt.grant.execution_id);
                    out.call(read, |read| Continuation::Interrupted(attempt, read));
                }
                Err(_) => self.close(attempt.ask),
            },
            // Unknown to the worker: the claim may stand. With the grant still in hand it may try once more.
            (Continuation::Claimed(attempt, _), Err(_)) if attempt.tries_left > 0 => {
                self.count(Attempt { tries_left: attempt.tries_left - 1, ..attempt }, out);
            }
            (Continuation::Interrupted(attempt, read), Ok(reply)) => {
                self.go(
                    Way::Resume(attempt, attempt_index(read.parse(&reply).ok().flatten().as_deref())),
                    out,
                );
            }
            (Continuation::Resumed(ask, call), Ok(reply)) => {
                self.close(ask);
                if let Ok(lease) = call.parse(&reply) {
                    self.begin(lease, call.claim.lane_id, out);
                }
            }
            (Continuation::Orphaned(grant, read), Ok(reply)) => {
                self.go(
                    Way::Reclaim(grant, attempt_index(read.parse(&reply).ok().flatten().as_deref())),
                    out,
                );
            }
            (Continuation::Reclaimed(call), Ok(reply)) => {
                if let Ok(lease) = call.parse(&reply) {
                    self.begin(lease, call.claim.lane_id, out);
                }
            }
            (Continuation::Resumed(ask, _), Err(_)) => self.close(ask),
            (
                Continuation::Counted(attempt, _)
                | Continuation::Claimed(attempt, _)
                | Continuation::Interrupted(attempt, _)
                | Continuation::Policy(Way::Claim(attempt, _) | Way::Resume(attempt, _), _),
                Err(_),
            ) => {
                self.close(attempt.ask);
            }
            _ => {}
        }
    }

    /// Goes on to the call, by way of the execution's policy where some execution has one that matters.
    fn go(&mut self, way: Way, out: &mut Outbox<Continuation>) {
        if self.config.reads_policies {
            out.call(policy(way.execution_id()), |read| Continuation::Policy(way, read));
        } else {
            self.send(way, Allowance::default(), out);
        }
    }

    fn send(&mut self, way: Way, allowance: Allowance, out: &mut Outbox<Continuation>) {
        match way {
            Way::Claim(attempt, expected_attempt_index) => {
                let claim =
                    self.claim(attempt.grant.execution_id.clone(), attempt.lane_id.clone(), allowance);
                let function = self.config.claim_function;
                let call = ClaimExecution { function, claim, expected_attempt_index };
                out.call(call, |call| Continuation::Claimed(attempt, Box::new(call)));
            }
            Way::Resume(attempt, attempt_index) => {
                let claim = self.claim(attempt.grant.execution_id, attempt.lane_id, allowance);
                let call = ClaimResumedExecution { claim, attempt_index };
                out.call(call, |call| Continuation::Resumed(attempt.ask, Box::new(call)));
            }
            Way::Reclaim(grant, old_attempt_index) => {
                let claim = self.claim(grant.execution_id, grant.lane_id, allowance);
                let call = ReclaimExecution { claim, old_attempt_index, default_max_reclaim_count: None };
                out.call(call, |call| Continuation::Reclaimed(Box::new(call)));
            }
        }
    }

    fn claim(&mut self, execution_id: ExecutionId, lane_id: LaneId, allowance: Allowance) -> Claim {
        Claim {
            execution_id,
            lane_id,
            worker_id: self.config.worker_id.clone(),
            worker_instance_id: self.config.instance.clone(),
            lease_id: LeaseId::from_uuid(self.uuid()),
            attempt_id: AttemptId::from_uuid(self.uuid()),
            lease_ttl: Millis(self.config.settings.lease_ttl_ms),
            attempt_policy_json: allowance.policy_json,
            attempt_timeout: allowance.timeout,
            execution_deadline_at: None,
        }
    }

    /// Nothing more will come of a question: its slot is free, or taken by a job.
    pub(super) fn close(&mut self, ask: AskId) {
        if let Some(question) = self.asked.get_mut(&ask) {
            question.open = false;
        }
    }
}

impl Way {
    fn execution_id(&self) -> &ExecutionId {
        match self {
            Way::Claim(attempt, _) | Way::Resume(attempt, _) => &attempt.grant.execution_id,
            Way::Reclaim(grant, _) => &grant.execution_id,
        }
    }
}

impl Allowance {
    /// Of a policy in the shape of `ff_core::policy::ExecutionPolicy`: its timeouts are what an attempt is started with.
    fn read(policy: &[u8]) -> Self {
        let policy: serde_json::Value = serde_json::from_slice(policy).unwrap_or_default();
        let timeouts = &policy["timeout_policy"];
        Self {
            policy_json: if timeouts.is_object() { timeouts.to_string() } else { String::new() },
            timeout: timeouts["attempt_timeout_ms"].as_u64().map(Millis),
        }
    }
}

fn refused(error: &CallError, code: &Code) -> bool {
    error.refusal().is_some_and(|refusal| refusal.code == *code)
}

fn current_attempt_index(execution_id: &ExecutionId) -> Plain<Option<String>> {
    core_field(execution_id, "current_attempt_index")
}
