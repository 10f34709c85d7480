//! What is told of a running execution and read by others: frames of an attempt's stream, its summary, progress, tags.

use std::collections::BTreeMap;

use ff_core::{
    keys::FlowKeyContext,
    types::{AttemptIndex, ExecutionId, LeaseFence, TimestampMs},
};
use valkey_sim::engine::Reply;

use super::{
    Call, Consent, ExecutionKeys, FlowAt, Malformed, args, fence_args, flow_partition_at,
    reply::{ReadError, ReadResult, array},
    words,
};
use crate::types::{Function, Millis};

words! {
    /// How a frame is kept.
    pub enum StreamMode {
        /// For as long as the stream.
        Durable = "durable",
        /// As a patch of the attempt's summary.
        Summary = "summary",
        /// For a while.
        BestEffort = "best_effort",
    }
}

/// `ff_append_frame`: a worker tells something of its attempt. Answers how many frames there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendFrame {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The current attempt.
    pub attempt_index: AttemptIndex,
    /// Proof of ownership.
    pub fence: Option<LeaseFence>,
    /// What kind of frame it is: `delta`, `log` …
    pub frame_type: String,
    /// The caller's now.
    pub now: TimestampMs,
    /// What it says; a summary's patch is a JSON object.
    pub payload: Vec<u8>,
    /// How many frames the stream keeps, about; 0 for all.
    pub retention_maxlen: u32,
    /// The most that a frame may hold, bytes.
    pub max_payload_bytes: u32,
    /// How it is kept.
    pub mode: StreamMode,
    /// How long a frame of best effort is kept.
    pub ttl: Millis,
}

impl Call for AppendFrame {
    const FUNCTION: Function = Function::AppendFrame;
    type Outcome = u64;

    fn keys(&self) -> Vec<String> {
        let exec = ExecutionKeys::of(&self.execution_id).exec;
        vec![
            exec.core(),
            exec.stream(self.attempt_index),
            exec.stream_meta(self.attempt_index),
            exec.stream_summary(self.attempt_index),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let [lease_id, lease_epoch, attempt_id] = fence_args(self.fence.as_ref());
        args![
            self.execution_id,
            self.attempt_index,
            lease_id,
            lease_epoch,
            self.frame_type,
            self.now,
            self.payload,
            "utf8",
            "", // correlation_id
            "worker",
            self.retention_maxlen,
            attempt_id,
            self.max_payload_bytes,
            self.mode,
            (self.mode == StreamMode::Summary).then_some("json-merge-patch"),
            self.ttl,
            "0", // maxlen_floor, maxlen_ceiling, ema_alpha: the library's own
            "0",
            "0",
        ]
    }

    fn outcome(&self, answer: &Consent) -> Result<u64, Malformed> {
        answer.field(1, "frame_count")
    }
}

/// `ff_read_attempt_stream`: the frames of an attempt, from the first. Answers how many there are of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAttemptStream {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The attempt.
    pub attempt_index: AttemptIndex,
    /// At most so many.
    pub count: u32,
    /// Whether frames of best effort are left out.
    pub durable_only: bool,
}

impl Call for ReadAttemptStream {
    const FUNCTION: Function = Function::ReadAttemptStream;
    type Outcome = usize;

    fn keys(&self) -> Vec<String> {
        let exec = ExecutionKeys::of(&self.execution_id).exec;
        vec![exec.stream(self.attempt_index), exec.stream_meta(self.attempt_index)]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args!["-", "+", self.count, self.durable_only.then_some("exclude_best_effort")]
    }

    fn read(&self, reply: &Reply) -> ReadResult<usize> {
        // The frames are a list within the answer, which the common grammar has no place for.
        match array(reply)? {
            [Reply::Int(1), _, Reply::Array(frames), ..] => Ok(frames.len()),
            [Reply::Int(0), ..] => Err(match Consent::read(reply) {
                Err(error) => error,
                Ok(_) => Malformed::new("a refusal", reply).into(),
            }),
            _ => Err(ReadError::from(Malformed::new("{1, OK, frames, …}", reply))),
        }
    }

    fn outcome(&self, answer: &Consent) -> Result<usize, Malformed> {
        Err(answer.unexpected())
    }
}

/// `ff_read_summary`: what the patches of an attempt's summary add up to. Answers the document; empty for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSummary {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The attempt.
    pub attempt_index: AttemptIndex,
}

impl Call for ReadSummary {
    const FUNCTION: Function = Function::ReadSummary;
    type Outcome = String;

    fn keys(&self) -> Vec<String> {
        vec![ExecutionKeys::of(&self.execution_id).exec.stream_summary(self.attempt_index)]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![]
    }

    fn outcome(&self, answer: &Consent) -> Result<String, Malformed> {
        answer.field(0, "document")
    }
}

/// `ff_update_progress`: how far a worker is. The attempt id of the fence is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateProgress {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Proof of ownership.
    pub fence: Option<LeaseFence>,
    /// How far, in a hundred; the library stores what it is given.
    pub percent: String,
    /// In words.
    pub message: String,
}

impl Call for UpdateProgress {
    const FUNCTION: Function = Function::UpdateProgress;
    type Outcome = ();

    fn keys(&self) -> Vec<String> {
        vec![ExecutionKeys::of(&self.execution_id).exec.core()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let [lease_id, lease_epoch, _] = fence_args(self.fence.as_ref());
        args![self.execution_id, lease_id, lease_epoch, self.percent, self.message]
    }

    fn outcome(&self, _: &Consent) -> Result<(), Malformed> {
        Ok(())
    }
}

/// Labels: each is called `<caller>.<field>`.
pub type Tags = BTreeMap<String, String>;

fn pairs(tags: &Tags) -> Vec<Vec<u8>> {
    tags.iter().flat_map(|(name, value)| args![name, value]).collect()
}

/// `ff_set_execution_tags`. Answers how many were set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetExecutionTags {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The tags.
    pub tags: Tags,
}

impl Call for SetExecutionTags {
    const FUNCTION: Function = Function::SetExecutionTags;
    type Outcome = u32;

    fn keys(&self) -> Vec<String> {
        let exec = ExecutionKeys::of(&self.execution_id).exec;
        vec![exec.core(), exec.tags()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        pairs(&self.tags)
    }

    fn outcome(&self, answer: &Consent) -> Result<u32, Malformed> {
        answer.field(0, "count")
    }
}

/// `ff_set_flow_tags`. Answers how many were set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFlowTags {
    /// The flow.
    pub flow: FlowAt,
    /// The tags.
    pub tags: Tags,
}

impl Call for SetFlowTags {
    const FUNCTION: Function = Function::SetFlowTags;
    type Outcome = u32;

    fn keys(&self) -> Vec<String> {
        let keys = FlowKeyContext::new(&flow_partition_at(self.flow.partition), &self.flow.flow_id);
        vec![keys.core(), keys.tags()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        pairs(&self.tags)
    }

    fn outcome(&self, answer: &Consent) -> Result<u32, Malformed> {
        answer.field(0, "count")
    }
}
