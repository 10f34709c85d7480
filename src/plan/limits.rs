//! Budgets and quotas: what executions may use of something that is counted, and how many may be admitted.
//!
//! They exist before anything is submitted; an execution is charged to them by its [`Terms`](super::Terms). Their ids follow
//! from their names and the seed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::Label;

/// A budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// What the plan calls it.
    pub name: Label,
    /// Its limits, by dimension.
    pub limits: BTreeMap<String, Limit>,
    /// How often its usage goes back to nothing, milliseconds; 0 for never.
    #[serde(default)]
    pub reset_every_ms: u64,
}

/// The limits of a dimension; 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// No execution is granted once so much is used.
    pub hard: u64,
    /// More than this is told.
    #[serde(default)]
    pub soft: u64,
}

/// A quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// What the plan calls it.
    pub name: Label,
    /// How long a window is, seconds.
    pub window_seconds: u64,
    /// How many may be admitted in a window; 0 for any number.
    #[serde(default)]
    pub requests: u64,
    /// How many may be admitted at once; 0 for any number.
    #[serde(default)]
    pub at_once: u64,
}
