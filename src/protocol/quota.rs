//! Quotas: how many executions may be admitted in a window, and how many at once.

use ff_core::{
    keys::{QuotaKeyContext, quota_policies_index},
    partition::{PartitionConfig, quota_partition},
    types::{ExecutionId, QuotaPolicyId, TimestampMs},
};
use valkey_sim::engine::Reply;

use super::{
    Call, Consent, Malformed, Status, args,
    reply::{ReadError, ReadResult, array, text},
    words,
};
use crate::types::{Function, Millis};

/// The window that requests are counted in. The library leaves its name to the caller; this one is ours.
pub(super) const DIMENSION: &str = "requests_per_window";

fn keys_of(quota_policy_id: &QuotaPolicyId) -> QuotaKeyContext {
    QuotaKeyContext::new(&quota_partition(quota_policy_id, &PartitionConfig::default()), quota_policy_id)
}

/// The hash tag of a quota's keys: `{q:7}`.
pub fn quota_tag(quota_policy_id: &QuotaPolicyId) -> String {
    keys_of(quota_policy_id).hash_tag().to_owned()
}

/// `ff_create_quota_policy`. Answers whether it is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateQuotaPolicy {
    /// A fresh id.
    pub quota_policy_id: QuotaPolicyId,
    /// How long a window is.
    pub window_seconds: u64,
    /// How many may be admitted in a window; 0 for any number.
    pub max_requests_per_window: u64,
    /// How many may be admitted at once; 0 for any number.
    pub max_concurrent: u64,
    /// The caller's now.
    pub now: TimestampMs,
}

impl Call for CreateQuotaPolicy {
    const FUNCTION: Function = Function::CreateQuotaPolicy;
    type Outcome = bool;

    fn keys(&self) -> Vec<String> {
        let keys = keys_of(&self.quota_policy_id);
        vec![
            keys.definition(),
            keys.window(DIMENSION),
            keys.concurrency(),
            keys.admitted_set(),
            quota_policies_index(keys.hash_tag()),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![
            self.quota_policy_id,
            self.window_seconds,
            self.max_requests_per_window,
            self.max_concurrent,
            self.now
        ]
    }

    fn outcome(&self, answer: &Consent) -> Result<bool, Malformed> {
        Ok(answer.status == Status::Ok)
    }
}

/// `ff_check_admission_and_record`: asks to be admitted, and is counted if so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CheckAdmission {
    /// The policy.
    pub quota_policy_id: QuotaPolicyId,
    /// Who asks.
    pub execution_id: ExecutionId,
    /// How long a window is.
    pub window_seconds: u64,
    /// How many may be admitted in a window; 0 for any number.
    pub rate_limit: u64,
    /// How many may be admitted at once; 0 for any number.
    pub concurrency_cap: u64,
    /// Spreads those who are told to come back.
    pub jitter: Millis,
    /// The caller's now.
    pub now: TimestampMs,
}

/// What came of [`CheckAdmission`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Admitted and counted.
    Admitted,
    /// Had been admitted before; not counted again.
    AlreadyAdmitted,
    /// The window is full.
    RateExceeded {
        /// When to come back.
        retry_after: Millis,
    },
    /// Too many at once.
    ConcurrencyExceeded,
}

words! {
    /// The words of this one function, which answers outside of the common grammar: `{"ADMITTED"}`.
    pub enum AdmissionWord {
        /// See [`Admission::Admitted`].
        Admitted = "ADMITTED",
        /// See [`Admission::AlreadyAdmitted`].
        AlreadyAdmitted = "ALREADY_ADMITTED",
        /// See [`Admission::RateExceeded`].
        RateExceeded = "RATE_EXCEEDED",
        /// See [`Admission::ConcurrencyExceeded`].
        ConcurrencyExceeded = "CONCURRENCY_EXCEEDED",
    }
}

impl Call for CheckAdmission {
    const FUNCTION: Function = Function::CheckAdmissionAndRecord;
    type Outcome = Admission;

    fn keys(&self) -> Vec<String> {
        let keys = keys_of(&self.quota_policy_id);
        vec![
            keys.window(DIMENSION),
            keys.concurrency(),
            keys.definition(),
            keys.admitted(&self.execution_id),
            keys.admitted_set(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![
            self.now,
            self.window_seconds,
            self.rate_limit,
            self.concurrency_cap,
            self.execution_id,
            self.jitter
        ]
    }

    fn read(&self, reply: &Reply) -> ReadResult<Admission> {
        let items = array(reply)?;
        if matches!(items.first(), Some(Reply::Int(0))) {
            Consent::read(reply)?; // a refusal, in the common grammar
        }
        let fields = items.iter().map(|item| text(item).unwrap_or_default()).collect();
        let answer = Consent { status: Status::Ok, fields };
        self.outcome(&answer).map_err(ReadError::from)
    }

    fn outcome(&self, answer: &Consent) -> Result<Admission, Malformed> {
        Ok(match answer.field(0, "admission")? {
            AdmissionWord::Admitted => Admission::Admitted,
            AdmissionWord::AlreadyAdmitted => Admission::AlreadyAdmitted,
            AdmissionWord::RateExceeded => {
                Admission::RateExceeded { retry_after: answer.field(1, "retry_after_ms")? }
            }
            AdmissionWord::ConcurrencyExceeded => Admission::ConcurrencyExceeded,
        })
    }
}

/// `ff_release_admission`: gives an admission back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseAdmission {
    /// The policy.
    pub quota_policy_id: QuotaPolicyId,
    /// Who was admitted.
    pub execution_id: ExecutionId,
}

impl Call for ReleaseAdmission {
    const FUNCTION: Function = Function::ReleaseAdmission;
    type Outcome = ();

    fn keys(&self) -> Vec<String> {
        let keys = keys_of(&self.quota_policy_id);
        vec![keys.admitted(&self.execution_id), keys.admitted_set(), keys.concurrency()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.execution_id]
    }

    fn outcome(&self, _: &Consent) -> Result<(), Malformed> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Command;

    #[test]
    fn an_admission_is_read_from_its_own_grammar_and_a_refusal_from_the_common_one() {
        let id = QuotaPolicyId::from_uuid(uuid::Uuid::from_u128(5));
        let call = CheckAdmission {
            quota_policy_id: id,
            execution_id: ExecutionId::parse("{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8").unwrap(),
            window_seconds: 1,
            rate_limit: 1,
            concurrency_cap: 1,
            jitter: Millis(0),
            now: TimestampMs(0),
        };
        let reply = |words: &[&str]| Reply::Array(words.iter().map(Reply::bulk).collect());
        assert_eq!(call.parse(&reply(&["ADMITTED"])), Ok(Admission::Admitted));
        let later = Admission::RateExceeded { retry_after: Millis(250) };
        assert_eq!(call.parse(&reply(&["RATE_EXCEEDED", "250"])), Ok(later));
        let refusal = Reply::Array(vec![Reply::Int(0), Reply::bulk("invalid_input"), Reply::bulk("x")]);
        assert_eq!(call.parse(&refusal).unwrap_err().to_string(), "refused: invalid_input (x)");
        assert!(call.parse(&reply(&["PERHAPS"])).is_err());
    }
}
