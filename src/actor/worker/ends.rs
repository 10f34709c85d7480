//! How a job goes on and ends: renewals, and the call by which the worker gives the execution up.

use ff_core::types::{SuspensionId, WaitpointId, WaitpointKey};
use serde_json::json;
use valkey_sim::engine::Reply;

use super::{Continuation, Job, JobId, Worker};
use crate::{
    actor::Outbox,
    plan::{Ending, Suspend, Until},
    protocol::{
        CancelExecution, Command, CompleteExecution, Consent, DelayExecution, FailExecution,
        MoveToWaitingChildren, NotActive, Owned, RenewLease, Request, Status, SuspendExecution, Waitpoint,
        reply::ReadError,
    },
    trace::WorkEnd,
    types::{Function, Millis, TimestampMs},
};

/// How often an ending is sent, at most; the SDK leaves this to its caller.
pub(super) const END_TRIES: u8 = 5;
/// How long it waits before it sends an ending again.
pub(super) const END_AGAIN_MS: u64 = 200;

impl Worker {
    pub(super) fn renew_every_ms(&self) -> u64 {
        (self.config.settings.lease_ttl_ms / 3).max(1)
    }

    pub(super) fn renew(&mut self, id: JobId, out: &mut Outbox<Continuation>) {
        let Some(job) = self.jobs.get(&id).filter(|job| !job.ending) else { return };
        let call = RenewLease::of(&job.lease, Millis(self.config.settings.lease_ttl_ms));
        out.call(call, |call| Continuation::Renewed(id, Box::new(call)));
        out.wake(self.renew_every_ms(), Continuation::Renew(id));
    }

    /// A refusal ends the job: another owns the execution, or nobody does. A lost reply does not, the next tick
    /// tries again.
    pub(super) fn renewed(
        &mut self,
        id: JobId,
        call: &RenewLease,
        reply: &Reply,
        out: &mut Outbox<Continuation>,
    ) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match call.parse(reply) {
            Ok(expires_at_ms) => job.lease.expires_at_ms = expires_at_ms,
            Err(_) if job.ending => {}
            Err(_) => self.stop(id, WorkEnd::LostLease, out),
        }
    }

    /// Forgets a job before its work was done.
    pub(super) fn stop(&mut self, id: JobId, ended: WorkEnd, out: &mut Outbox<Continuation>) {
        if let Some(job) = self.jobs.remove(&id) {
            out.work(&job.lease, Some(ended));
        }
    }

    /// Sends the ending that the work calls for; where the library has no such function, it completes.
    pub(super) fn end(&mut self, now: TimestampMs, id: JobId, tries: u8, out: &mut Outbox<Continuation>) {
        let Some(ending) = self.jobs.get(&id).map(|job| job.ends.filter(|ends| *ends != Ending::Vanish))
        else {
            return;
        };
        let Some(ending) = ending else {
            self.stop(id, WorkEnd::Vanished, out);
            return;
        };
        if let Ending::Suspend(wait) = ending {
            self.choose_ids(id, wait.extra);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if !job.ending {
            out.work(&job.lease, Some(WorkEnd::Done));
        }
        job.ending = true;
        let job = &*job;
        let owned = Owned::by(&job.lease, job.lane_id.clone(), self.config.instance.clone());
        let has = |function: &Function| self.config.functions.has(function);
        let request: Request = match ending {
            Ending::Fail if has(&Function::FailExecution) => FailExecution {
                owned,
                reason: "planned".to_owned(),
                category: "planned".to_owned(),
                retry_policy_json: job.retry_json.clone(),
            }
            .request(),
            Ending::Delay(by_ms) if has(&Function::DelayExecution) => {
                let delay_until = TimestampMs(now.0.saturating_add_unsigned(by_ms));
                DelayExecution { owned, delay_until }.request()
            }
            Ending::Cancel if has(&Function::CancelExecution) => {
                CancelExecution { owned, reason: "planned".to_owned() }.request()
            }
            Ending::Suspend(wait) if has(&Function::SuspendExecution) => {
                suspension(owned, job, wait, now).request()
            }
            Ending::WaitChildren if has(&Function::MoveToWaitingChildren) => {
                MoveToWaitingChildren { owned }.request()
            }
            _ => CompleteExecution { owned, result: b"done".to_vec() }.request(),
        };
        out.request(request, Continuation::Ended(id, tries));
    }

    /// A suspension that is sent again is the same one, and so has the same ids.
    fn choose_ids(&mut self, id: JobId, extra: u8) {
        let suspension = SuspensionId::from_uuid(self.uuid());
        let mut waitpoints: Vec<Waitpoint> = (0..=extra).map(|_| waitpoint(self.uuid())).collect();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        waitpoints[0] = job.waitpoint.clone().unwrap_or_else(|| waitpoints[0].clone());
        job.suspension.get_or_insert((suspension, waitpoints));
    }

    /// An ending whose reply was lost is sent again. When the first did arrive, the second is refused with
    /// `execution_not_active`, which says by its detail that the deed is done; any answer ends the job, but one: a
    /// suspension that is satisfied already leaves the lease with the worker, which goes on and completes.
    pub(super) fn ended(
        &mut self,
        id: JobId,
        tries: u8,
        reply: Option<&Reply>,
        out: &mut Outbox<Continuation>,
    ) {
        let Some(reply) = reply else {
            if tries + 1 < END_TRIES {
                out.wake(END_AGAIN_MS, Continuation::Ended(id, tries + 1));
            } else {
                self.jobs.remove(&id);
            }
            return;
        };
        let answer = Consent::read(reply);
        let goes_on = answer.as_ref().is_ok_and(|answer| answer.status == Status::AlreadySatisfied);
        let told = match &answer {
            Err(ReadError::Refused(refusal)) => refusal.not_active(),
            _ => None,
        };
        match self.jobs.get_mut(&id) {
            Some(job) if goes_on && matches!(job.ends, Some(Ending::Suspend(_))) => {
                (job.ends, job.ending) = (Some(Ending::Complete), false);
                out.work(&job.lease, None);
                out.wake(job.takes_ms, Continuation::Done(id));
                out.wake(1, Continuation::Renew(id));
            }
            Some(job) if tries > 0 && told.is_some_and(|told| job.ended_so(&told)) => {
                out.work(&job.lease, Some(WorkEnd::Reconciled));
                self.jobs.remove(&id);
            }
            _ => drop(self.jobs.remove(&id)),
        }
    }
}

impl Job {
    /// Whether what a refusal tells of an execution is what this job's own end has made of it: the same lease, the same
    /// attempt, and an outcome that such an end has.
    fn ended_so(&self, told: &NotActive<'_>) -> bool {
        let is_ours = told.lease_epoch == self.lease.epoch.0.to_string()
            && told.attempt_id == self.lease.attempt_id.to_string();
        let is_so = match self.ends {
            Some(Ending::Complete) => told.terminal_outcome == "success",
            Some(Ending::Cancel) => told.terminal_outcome == "cancelled",
            Some(Ending::Fail) => told.terminal_outcome == "failed" || told.lifecycle_phase == "runnable",
            _ => false,
        };
        is_ours && is_so
    }
}

/// A waitpoint of this id, called as FlowFabric's SDK calls its own.
pub(super) fn waitpoint(id: uuid::Uuid) -> Waitpoint {
    Waitpoint { id: WaitpointId::from_uuid(id), key: WaitpointKey::new(format!("wpk:{id}")) }
}

fn suspension(owned: Owned, job: &Job, wait: Suspend, now: TimestampMs) -> SuspendExecution {
    let (suspension_id, mut waitpoints) =
        job.suspension.clone().expect("the ids of a suspension are chosen before");
    let resume_condition_json = condition(wait.until, &waitpoints);
    let waitpoint = waitpoints.remove(0);
    SuspendExecution {
        execution_id: owned.execution_id,
        lane_id: owned.lane_id,
        worker_instance_id: owned.worker_instance_id,
        attempt_index: owned.attempt_index,
        fence: owned.fence,
        suspension_id,
        resume_condition_json,
        waitpoint,
        extra_waitpoints: waitpoints,
        reason_code: "waiting_for_signal".to_owned(),
        requested_by: "worker".to_owned(),
        timeout_at: wait.timeout_ms.map(|ms| TimestampMs(now.0.saturating_add_unsigned(ms))),
        timeout_behavior: wait.then,
        resume_policy_json: RESUME_POLICY.to_owned(),
        continuation_metadata_pointer: None,
        use_pending_waitpoint: wait.pending,
        // One that is sent again is the same; the next lease's is another.
        idempotency_key: wait.once_ms.map(|_| format!("epoch {}", job.lease.epoch.0)),
        dedup_ttl: Millis(wait.once_ms.unwrap_or(0)),
    }
}

/// What FlowFabric's SDK sends unless it is told otherwise; the library only stores it.
const RESUME_POLICY: &str = r#"{"resume_target":"runnable","consume_matched_signals":true,"retain_signal_buffer_until_closed":false,"close_waitpoint_on_resume":true}"#;

/// The condition that the library reads, at these waitpoints: the last part of several is waited for at the last of them.
fn condition(until: Until, waitpoints: &[Waitpoint]) -> String {
    let keys: Vec<String> = waitpoints.iter().map(|waitpoint| waitpoint.key.to_string()).collect();
    let (first, last) = (&keys[0], &keys[keys.len() - 1]);
    let names = |names: &[&str], mode: &str| {
        json!({
            "condition_type": "signal_set", "required_signal_names": names, "signal_match_mode": mode,
            "minimum_signal_count": 1,
        })
    };
    let composite = |tree: serde_json::Value| json!({ "v": 1, "composite": true, "tree": tree });
    let leaf = |path: &str, key: &str, name: &str| {
        json!({
            "kind": "Single", "path": path, "waitpoint_key": key,
            "matcher": { "kind": "ByName", "name": name },
        })
    };
    let condition = match until {
        Until::Any => names(&[], "any"),
        Until::Go => names(&["go"], "any"),
        Until::Both => names(&["go", "stop"], "all"),
        Until::Nothing => names(&["__operator_only__"], "any"),
        Until::AllOf => composite(json!({
            "kind": "AllOf", "path": "root",
            "members": [leaf("members[0]", first, "go"), leaf("members[1]", last, "stop")],
        })),
        Until::Count(n) => composite(json!({
            "kind": "Count", "path": "root", "n": n, "count_kind": "DistinctSignals",
            "waitpoints": keys,
        })),
    };
    condition.to_string()
}
