//! What a worker does on the way: frames, progress, tags, looks at what it wrote, waitpoints that it opens early.
//!
//! None of it is tried again, and none of it ends the job: as with FlowFabric's SDK, that is left to the work itself. Only
//! renewals and the ending tell a worker that it has lost its lease.

use std::collections::BTreeMap;

use valkey_sim::engine::Reply;

use super::{Continuation, JobId, Worker};
use crate::{
    actor::Outbox,
    plan::{Doing, Frame},
    protocol::{
        AppendFrame, CloseWaitpoint, Command, CreatePendingWaitpoint, ReadAttemptStream, ReadSummary,
        RecordSpend, ReleaseBudget, ReportUsage, Request, SetExecutionTags, StreamMode, UpdateProgress,
        Waitpoint,
    },
    types::{Millis, TimestampMs},
};

/// How many frames a stream keeps, and how long one may be: FlowFabric's defaults.
const RETENTION: u32 = 10_000;
const MAX_BYTES: u32 = 65_536;

impl Worker {
    /// Does one of the chores of a job, unless its work is over.
    pub(super) fn does(&mut self, now: TimestampMs, id: JobId, nth: usize, out: &mut Outbox<Continuation>) {
        let Some(job) = self.jobs.get(&id).filter(|job| !job.ending) else { return };
        let Some(does) = job.meanwhile.get(nth) else { return };
        let (execution_id, attempt_index) = (job.lease.execution_id.clone(), job.lease.attempt_index);
        let fence = Some(job.lease.fence());
        let request: Request = match does {
            Doing::Append(frame) => {
                let (mode, payload, ttl_ms) = match frame {
                    Frame::Durable(text) => (StreamMode::Durable, text.as_str(), 0),
                    Frame::Summary(patch) => (StreamMode::Summary, patch.as_str(), 0),
                    Frame::BestEffort { ttl_ms } => (StreamMode::BestEffort, "tick", *ttl_ms),
                };
                AppendFrame {
                    execution_id,
                    attempt_index,
                    fence,
                    frame_type: "delta".to_owned(),
                    now,
                    payload: payload.as_bytes().to_vec(),
                    retention_maxlen: RETENTION,
                    max_payload_bytes: MAX_BYTES,
                    mode,
                    ttl: Millis(ttl_ms),
                }
                .request()
            }
            Doing::Progress(percent) => {
                let (percent, message) = (percent.to_string(), "on the way".to_owned());
                UpdateProgress { execution_id, fence, percent, message }.request()
            }
            Doing::Tag { key, value } => {
                let tags = BTreeMap::from([(key.clone(), value.clone())]);
                SetExecutionTags { execution_id, tags }.request()
            }
            Doing::ReadStream(count) => {
                ReadAttemptStream { execution_id, attempt_index, count: *count, durable_only: false }
                    .request()
            }
            Doing::ReadSummary => ReadSummary { execution_id, attempt_index }.request(),
            Doing::Use { budget, dimension, amount, by_execution, once } => {
                let budget_id = self.config.plan.budget_id(budget);
                let deltas = BTreeMap::from([(dimension.clone(), *amount)]);
                let named = once.then(|| format!("{execution_id}/{attempt_index}/{nth}"));
                let dedup = named.unwrap_or_default();
                match by_execution {
                    true => RecordSpend { budget_id, execution_id, deltas, now, dedup }.request(),
                    false => ReportUsage { budget_id, deltas, now, dedup }.request(),
                }
            }
            Doing::GiveBack(budget) => {
                ReleaseBudget { budget_id: self.config.plan.budget_id(budget), execution_id }.request()
            }
            Doing::Await(for_ms) => {
                let Some(name) = &job.name else { return };
                let waitpoint = self.config.plan.waitpoint(name);
                let expires_at = TimestampMs(now.0.saturating_add_unsigned(*for_ms));
                let call = CreatePendingWaitpoint { execution_id, attempt_index, waitpoint, expires_at };
                out.call(call, |call| Continuation::Awaits(id, Box::new(call)));
                return;
            }
            Doing::NoLongerAwait => {
                let Some(Waitpoint { id: waitpoint_id, .. }) = job.waitpoint.clone() else { return };
                CloseWaitpoint { execution_id, waitpoint_id, reason: "no longer needed".to_owned() }.request()
            }
        };
        out.request(request, Continuation::Told);
    }

    /// A waitpoint is open: the suspension to come may wait at it.
    pub(super) fn awaits(&mut self, id: JobId, call: &CreatePendingWaitpoint, reply: &Reply) {
        if call.parse(reply).is_ok()
            && let Some(job) = self.jobs.get_mut(&id)
        {
            job.waitpoint = Some(call.waitpoint.clone());
        }
    }
}
