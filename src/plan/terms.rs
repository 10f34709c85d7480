//! Terms: under what an execution is submitted, beside its lane, its priority and its delay.
//!
//! They become what FlowFabric calls an execution's policy (`ff_core::policy`), and a few arguments of its creation. An
//! execution without terms is submitted with the capabilities that it requires, and nothing else. What a worker does with
//! an attempt is not here: that is its [`Work`](super::Work).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::types::Label;

/// Under what an execution is submitted. All of it is optional.
///
/// ```
/// use grantsim::plan::{Retry, Terms};
/// let terms: Terms = serde_json::from_str(r#"{
///     "deadline_ms": 5000, "attempt_timeout_ms": 800, "max_reclaims": 1,
///     "retry": { "fixed": { "retries": 2, "delay_ms": 50 } }
/// }"#)?;
/// assert_eq!(terms.retry, Some(Retry::Fixed { retries: 2, delay_ms: 50 }));
/// assert_eq!(serde_json::to_string(&Terms::default())?, "{}");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// It must have ended so long after its submission, by the submitter's clock, milliseconds. 0 is due at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// How long each attempt may take, milliseconds, by the server's clock. FlowFabric takes 0 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_timeout_ms: Option<u64>,
    /// How failed attempts are tried again; absent, `max_retries` of the execution says how often, 200 ms apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How often the execution may be taken over from a worker that lost its lease; the next loss ends it. FlowFabric's own
    /// default is 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_reclaims: Option<u32>,
    /// How often it may be replayed once it has ended. FlowFabric's own default is 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replays: Option<u32>,
    /// Submitted at most once under a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<Once>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The budgets that it is charged to: those of the plan, or one that does not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Label>,
    /// The quota that admits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Label>,
}

/// An idempotency key: of several submissions under one key, the first counts for as long as the key is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Once {
    /// The key. Submissions with the same key must be on the same lane to meet.
    pub key: String,
    /// How long the server remembers it, milliseconds. 0: not at all.
    pub ttl_ms: u64,
}

/// How an attempt that failed is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Retry {
    /// Not at all: no policy is sent.
    Never,
    /// After the same time each time.
    Fixed {
        /// How often.
        retries: u32,
        /// After how long, milliseconds.
        delay_ms: u64,
    },
    /// After a time that grows.
    Exponential {
        /// How often.
        retries: u32,
        /// After how long the first time, milliseconds.
        first_ms: u64,
        /// After how long at most, milliseconds.
        most_ms: u64,
        /// By how much it grows each time, in hundredths: 150 is half as much again.
        percent: u32,
    },
    /// This text in place of a policy, whatever it means.
    Text(String),
}

impl Retry {
    /// The policy as `ff_fail_execution` takes it; empty for none.
    ///
    /// ```
    /// use grantsim::plan::Retry;
    /// let retry = Retry::Fixed { retries: 2, delay_ms: 50 };
    /// assert_eq!(retry.policy_json(), r#"{"backoff":{"delay_ms":50,"type":"fixed"},"max_retries":2}"#);
    /// assert_eq!(Retry::Never.policy_json(), "");
    /// ```
    pub fn policy_json(&self) -> String {
        match self {
            Retry::Text(text) => text.clone(),
            other => other.policy().map_or_else(String::new, |policy| policy.to_string()),
        }
    }

    /// Whether a failure can be judged by it: where it says how often it is tried again it gives a number, and where it says
    /// after how long it gives an object, or it is no JSON at all. The published library raises at anything else (finding
    /// `arguments-that-raise`), so that such an execution cannot fail.
    pub fn can_be_judged_by(&self) -> bool {
        let Some(policy) = self.policy() else { return true };
        let counts =
            |most: &Value| most.is_number() || most.as_str().is_some_and(|it| it.parse::<f64>().is_ok());
        policy.get("max_retries").is_none_or(counts) && policy.get("backoff").is_none_or(Value::is_object)
    }

    /// The policy, where it is one.
    fn policy(&self) -> Option<Value> {
        match self {
            Retry::Never => None,
            Retry::Fixed { retries, delay_ms } => Some(json!({
                "max_retries": retries, "backoff": { "type": "fixed", "delay_ms": delay_ms },
            })),
            Retry::Exponential { retries, first_ms, most_ms, percent } => Some(json!({
                "max_retries": retries,
                "backoff": {
                    "type": "exponential", "initial_delay_ms": first_ms, "max_delay_ms": most_ms,
                    "multiplier": f64::from(*percent) / 100.0, "jitter": false,
                },
            })),
            Retry::Text(text) => serde_json::from_str(text).ok(),
        }
    }

    /// The longest of its times, milliseconds.
    fn longest_ms(&self) -> u64 {
        match self {
            Retry::Never | Retry::Text(_) => 0,
            Retry::Fixed { delay_ms, .. } => *delay_ms,
            Retry::Exponential { first_ms, most_ms, .. } => *first_ms.max(most_ms),
        }
    }
}

impl Terms {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it is charged to a budget or a quota.
    pub fn is_charged(&self) -> bool {
        !self.budgets.is_empty() || self.quota.is_some()
    }

    /// What of them belongs into an execution's policy, in the shape of `ff_core::policy::ExecutionPolicy`; `None` where
    /// nothing does.
    pub fn policy(&self) -> Option<Value> {
        let mut policy = serde_json::Map::new();
        if let Some(retry) = self.retry.as_ref().and_then(Retry::policy) {
            policy.insert("retry_policy".to_owned(), retry);
        }
        if let Some(ms) = self.attempt_timeout_ms {
            policy.insert("timeout_policy".to_owned(), json!({ "attempt_timeout_ms": ms }));
        }
        if let Some(most) = self.max_reclaims {
            policy.insert("max_reclaim_count".to_owned(), most.into());
        }
        if let Some(most) = self.max_replays {
            policy.insert("max_replay_count".to_owned(), most.into());
        }
        (!policy.is_empty()).then(|| policy.into())
    }

    /// The longest of the times in them, milliseconds.
    pub(super) fn longest_ms(&self) -> u64 {
        let retry = self.retry.as_ref().map(Retry::longest_ms);
        let once = self.once.as_ref().map(|once| once.ttl_ms);
        [self.deadline_ms, self.attempt_timeout_ms, retry, once].into_iter().flatten().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_cannot_be_judged_by_what_is_no_number_or_no_backoff() {
        let can = |text: &str| Retry::Text(text.to_owned()).can_be_judged_by();
        let odd = ["{}", "[]", "no policy", r#"{"max_retries":"1","backoff":{"type":"fixed"}}"#];
        assert_eq!(odd.map(can), [true; 4]);
        let none = [
            r#"{"max_retries":"many"}"#,
            r#"{"max_retries":null}"#,
            r#"{"max_retries":1,"backoff":null}"#,
            r#"{"max_retries":1,"backoff":7}"#,
        ];
        assert_eq!(none.map(can), [false; 4]);
        assert!(
            Retry::Never.can_be_judged_by() && Retry::Fixed { retries: 1, delay_ms: 5 }.can_be_judged_by()
        );
    }

    #[test]
    fn a_growing_delay_is_what_ff_core_reads_as_one() {
        let retry = Retry::Exponential { retries: 3, first_ms: 20, most_ms: 90, percent: 150 };
        let read: ff_core::policy::RetryPolicy = serde_json::from_str(&retry.policy_json()).unwrap();
        let backoff = ff_core::policy::BackoffStrategy::Exponential {
            initial_delay_ms: 20,
            max_delay_ms: 90,
            multiplier: 1.5,
            jitter: false,
        };
        assert_eq!((read.max_retries, read.backoff), (3, backoff));
    }

    #[test]
    fn terms_are_the_policy_that_ff_core_reads() {
        let terms = Terms {
            attempt_timeout_ms: Some(70),
            retry: Some(Retry::Fixed { retries: 1, delay_ms: 5 }),
            max_reclaims: Some(2),
            max_replays: Some(0),
            ..Terms::default()
        };
        let read: ff_core::policy::ExecutionPolicy = serde_json::from_value(terms.policy().unwrap()).unwrap();
        assert_eq!((read.max_reclaim_count, read.max_replay_count), (2, 0));
        assert_eq!(read.retry_policy.map(|retry| retry.max_retries), Some(1));
        assert_eq!(read.timeout_policy.and_then(|timeouts| timeouts.attempt_timeout_ms), Some(70));
    }

    #[test]
    fn what_is_no_policy_of_an_execution_makes_none() {
        let terms = Terms {
            deadline_ms: Some(1),
            once: Some(Once { key: "k".to_owned(), ttl_ms: 0 }),
            retry: Some(Retry::Never),
            ..Terms::default()
        };
        assert_eq!(terms.policy(), None);
    }

    #[test]
    fn a_text_is_sent_as_it_is() {
        assert_eq!(Retry::Text("[".to_owned()).policy_json(), "[");
        let terms = Terms { retry: Some(Retry::Text("[".to_owned())), ..Terms::default() };
        assert_eq!(terms.policy(), None, "a policy of JSON cannot hold it");
    }

    #[test]
    fn the_longest_time_is_found_wherever_it_is() {
        for json in [
            r#"{ "deadline_ms": 9 }"#,
            r#"{ "attempt_timeout_ms": 9, "deadline_ms": 3 }"#,
            r#"{ "retry": { "fixed": { "retries": 1, "delay_ms": 9 } } }"#,
            r#"{ "retry": { "exponential": { "retries": 1, "first_ms": 9, "most_ms": 1, "percent": 1 } } }"#,
            r#"{ "retry": { "exponential": { "retries": 1, "first_ms": 1, "most_ms": 9, "percent": 1 } } }"#,
            r#"{ "once": { "key": "k", "ttl_ms": 9 } }"#,
        ] {
            assert_eq!(serde_json::from_str::<Terms>(json).unwrap().longest_ms(), 9, "{json}");
        }
    }
}
