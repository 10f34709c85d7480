//! Executions: what is submitted. What a worker does with each of its attempts is [`Work`].

use serde::{Deserialize, Serialize};

use super::{Terms, Work, reading};
use crate::types::{ExecutionName, Label};

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
    /// The flow in whose partition it lives, so that it can become a member of it (`add_member`). None for a solo one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Label>,
    /// More urgent first. FlowFabric takes what is below 0 for 0, and what is above 9,000 for 9,000.
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
    /// Under what else it is submitted.
    #[serde(default, skip_serializing_if = "Terms::is_empty")]
    pub terms: Terms,
    /// What the worker does, attempt by attempt; further attempts do as the last.
    pub work: Vec<Work>,
}

impl Execution {
    /// The longest of the times in it, milliseconds.
    pub(super) fn longest_ms(&self) -> u64 {
        let own = [self.at_ms, self.delay_ms.unwrap_or(0), self.terms.longest_ms()];
        own.into_iter().chain(self.work.iter().map(Work::longest_ms)).max().unwrap_or(0)
    }
}
