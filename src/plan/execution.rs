//! Executions: what is submitted, and what comes of each attempt.

use serde::{Deserialize, Serialize};

use super::reading;
use crate::types::ExecutionName;

/// An execution to be submitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Execution {
    /// What the plan and every report call it. Absent in a file: `e1`, `e2` … by its place, or by the next that is free.
    #[serde(default = "reading::unnamed_execution", deserialize_with = "reading::execution_name")]
    pub name: ExecutionName,
    /// When it is submitted.
    pub at_ms: u64,
    /// The lane the submitter chose.
    pub lane: String,
    /// 0 to 9,000; more urgent first.
    #[serde(default)]
    pub priority: i32,
    /// Not to be run before this long after its submission, by the submitter's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// What a worker must be able to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// How often a failed attempt is tried again.
    #[serde(default)]
    pub max_retries: u8,
    /// What the worker does, attempt by attempt; further attempts do as the last.
    pub work: Vec<Work>,
}

/// What a worker does with an attempt. It travels in the execution's payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// How long, by the worker's clock.
    pub takes_ms: u64,
    /// How it ends.
    pub ends: Ending,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// `ff_complete_execution`.
    Complete,
    /// `ff_fail_execution`, with the execution's retry policy.
    Fail,
    /// `ff_delay_execution`, by this many milliseconds of the worker's clock; the same attempt goes on later.
    Delay(u64),
    /// `ff_cancel_execution`, under the worker's own lease.
    Cancel,
    /// The worker forgets it without a word: no renewal, no outcome.
    Vanish,
}

impl Execution {
    /// The longest of the times in it, milliseconds.
    pub(super) fn longest_ms(&self) -> u64 {
        let of_work = |work: &Work| match work.ends {
            Ending::Delay(by_ms) => work.takes_ms.max(by_ms),
            Ending::Complete | Ending::Fail | Ending::Cancel | Ending::Vanish => work.takes_ms,
        };
        let own = [self.at_ms, self.delay_ms.unwrap_or(0)];
        own.into_iter().chain(self.work.iter().map(of_work)).max().unwrap_or(0)
    }
}
