//! Waitpoints and signals from outside: what a caller does who holds a waitpoint's token, and how the tokens' secret is
//! rotated. Suspending and resuming are in `suspension`.

use ff_core::types::{AttemptIndex, ExecutionId, LaneId, SignalId, TimestampMs, WaitpointId};

use super::{Call, Consent, ExecutionKeys, Malformed, Status, Waitpoint, args, flow_partition_at};
use crate::types::{Function, Millis};

/// A signal to a waitpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// A fresh id.
    pub signal_id: SignalId,
    /// The execution that waits, or will.
    pub execution_id: ExecutionId,
    /// Its lane; only a delivered signal needs it.
    pub lane_id: LaneId,
    /// The waitpoint.
    pub waitpoint_id: WaitpointId,
    /// What the condition of a suspension asks for.
    pub name: String,
    /// What it brings; empty for nothing.
    pub payload: Vec<u8>,
    /// A second signal under the same key is a duplicate.
    pub idempotency_key: Option<String>,
    /// How long the key is remembered.
    pub dedup_ttl: Millis,
    /// The caller's now.
    pub created_at: TimestampMs,
    /// How long an execution that it resumes waits before it is eligible.
    pub resume_delay: Millis,
    /// How many signals an execution may have had; 0 for any number.
    pub max_signals: u32,
    /// What proves that the caller was given the waitpoint.
    pub token: String,
}

/// How many signals a waitpoint's stream keeps, about.
const SIGNAL_MAXLEN: u32 = 1_000;

/// What came of a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalOutcome {
    /// It is recorded; what it did: `resume_condition_satisfied`, `buffered_for_pending_waitpoint` …
    Accepted {
        /// The effect.
        effect: String,
    },
    /// One of the same idempotency key was recorded before.
    Duplicate {
        /// That one.
        signal_id: SignalId,
    },
}

impl Signal {
    /// KEYS that both functions begin with.
    fn keys(&self) -> Vec<String> {
        let exec = ExecutionKeys::of(&self.execution_id).exec;
        vec![
            exec.core(),
            exec.waitpoint_condition(&self.waitpoint_id),
            exec.waitpoint_signals(&self.waitpoint_id),
            exec.exec_signals(),
            exec.signal(&self.signal_id),
            exec.signal_payload(&self.signal_id),
            match &self.idempotency_key {
                Some(key) => exec.signal_dedup(&self.waitpoint_id, key),
                None => exec.noop(),
            },
            exec.waitpoint(&self.waitpoint_id),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![
            self.signal_id,
            self.execution_id,
            self.waitpoint_id,
            self.name,
            "external", // signal_category
            "external", // source_type
            "operator", // source_identity
            self.payload,
            "json",
            self.idempotency_key,
            "", // correlation_id
            "waitpoint",
            self.created_at,
            self.dedup_ttl,
            self.resume_delay,
            SIGNAL_MAXLEN,
            self.max_signals,
            self.token,
        ]
    }

    fn outcome(answer: &Consent) -> Result<SignalOutcome, Malformed> {
        match answer.status {
            Status::Ok => Ok(SignalOutcome::Accepted { effect: answer.field(1, "effect")? }),
            Status::Duplicate => Ok(SignalOutcome::Duplicate { signal_id: answer.field(0, "signal_id")? }),
            _ => Err(answer.unexpected()),
        }
    }
}

/// `ff_deliver_signal`: a signal to a waitpoint at which an execution waits; it may resume it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliverSignal(pub Signal);

impl Call for DeliverSignal {
    const FUNCTION: Function = Function::DeliverSignal;
    type Outcome = SignalOutcome;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.0.execution_id);
        let mut keys = self.0.keys();
        keys.extend([
            exec.suspension_current(),
            index.lane_eligible(&self.0.lane_id),
            index.lane_suspended(&self.0.lane_id),
            index.lane_delayed(&self.0.lane_id),
            index.suspension_timeout(),
            index.waitpoint_hmac_secrets(),
            index.partition_signal_delivery(),
        ]);
        keys
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        self.0.argv()
    }

    fn outcome(&self, answer: &Consent) -> Result<SignalOutcome, Malformed> {
        Signal::outcome(answer)
    }
}

/// `ff_buffer_signal_for_pending_waitpoint`: a signal to a waitpoint at which nobody waits yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferSignal(pub Signal);

impl Call for BufferSignal {
    const FUNCTION: Function = Function::BufferSignalForPendingWaitpoint;
    type Outcome = SignalOutcome;

    fn keys(&self) -> Vec<String> {
        let mut keys = self.0.keys();
        keys.push(ExecutionKeys::of(&self.0.execution_id).index.waitpoint_hmac_secrets());
        keys
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        self.0.argv()
    }

    fn outcome(&self, answer: &Consent) -> Result<SignalOutcome, Malformed> {
        Signal::outcome(answer)
    }
}

/// `ff_create_pending_waitpoint`: a waitpoint before the suspension, so that signals may come early. Answers its token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CreatePendingWaitpoint {
    /// The execution; somebody must hold its lease.
    pub execution_id: ExecutionId,
    /// The current attempt.
    pub attempt_index: AttemptIndex,
    /// The waitpoint.
    pub waitpoint: Waitpoint,
    /// When it is closed if no suspension has taken it.
    pub expires_at: TimestampMs,
}

impl Call for CreatePendingWaitpoint {
    const FUNCTION: Function = Function::CreatePendingWaitpoint;
    type Outcome = String;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        vec![
            exec.core(),
            exec.waitpoint(&self.waitpoint.id),
            index.pending_waitpoint_expiry(),
            index.waitpoint_hmac_secrets(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let Waitpoint { id, key } = &self.waitpoint;
        args![self.execution_id, self.attempt_index, id, key, self.expires_at]
    }

    fn outcome(&self, answer: &Consent) -> Result<String, Malformed> {
        answer.field(2, "waitpoint_token")
    }
}

/// `ff_close_waitpoint`: a waitpoint that nobody needs. Answers whether it was open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseWaitpoint {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The waitpoint.
    pub waitpoint_id: WaitpointId,
    /// Why.
    pub reason: String,
}

impl Call for CloseWaitpoint {
    const FUNCTION: Function = Function::CloseWaitpoint;
    type Outcome = bool;

    fn keys(&self) -> Vec<String> {
        let ExecutionKeys { exec, index } = ExecutionKeys::of(&self.execution_id);
        vec![exec.core(), exec.waitpoint(&self.waitpoint_id), index.pending_waitpoint_expiry()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.waitpoint_id, self.reason]
    }

    fn outcome(&self, answer: &Consent) -> Result<bool, Malformed> {
        Ok(answer.fields.first().is_none_or(|word| word != "already_closed"))
    }
}

/// `ff_rotate_waitpoint_hmac_secret`: tokens are made with a new secret from now on. A deployment does it in every
/// partition. Answers whether anything changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotateWaitpointSecret {
    /// The partition's number.
    pub partition: u16,
    /// What the secret is called.
    pub kid: String,
    /// The secret, in hex.
    pub secret_hex: String,
    /// How long tokens of the secret before it are still taken.
    pub grace: Millis,
}

fn secrets(partition: u16) -> String {
    ff_core::keys::IndexKeys::new(&flow_partition_at(partition)).waitpoint_hmac_secrets()
}

impl Call for RotateWaitpointSecret {
    const FUNCTION: Function = Function::RotateWaitpointHmacSecret;
    type Outcome = bool;

    fn keys(&self) -> Vec<String> {
        vec![secrets(self.partition)]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.kid, self.secret_hex, self.grace]
    }

    fn outcome(&self, answer: &Consent) -> Result<bool, Malformed> {
        Ok(answer.field::<String>(0, "outcome")? == "rotated")
    }
}

/// `ff_list_waitpoint_hmac_kids`: the secrets whose tokens are taken. Answers the current one's name; empty for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListWaitpointSecrets {
    /// The partition's number.
    pub partition: u16,
}

impl Call for ListWaitpointSecrets {
    const FUNCTION: Function = Function::ListWaitpointHmacKids;
    type Outcome = String;

    fn keys(&self) -> Vec<String> {
        vec![secrets(self.partition)]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![]
    }

    fn outcome(&self, answer: &Consent) -> Result<String, Malformed> {
        answer.field(0, "current_kid")
    }
}
