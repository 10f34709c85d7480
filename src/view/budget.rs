//! A budget: what may be spent, what was, and by whom.

use std::collections::BTreeMap;

use super::{Fields, View};
use crate::types::TimestampMs;

/// A budget in a view.
#[derive(Clone, Copy)]
pub struct Budget<'v> {
    view: &'v View,
    tag: &'v str,
    id: &'v str,
}

impl<'v> Budget<'v> {
    pub(super) fn new(view: &'v View, tag: &'v str, id: &'v str) -> Self {
        Self { view, tag, id }
    }

    fn key(&self, part: &str) -> String {
        format!("ff:budget:{}:{}{part}", self.tag, self.id)
    }

    /// Its definition, if it exists.
    pub fn definition(&self) -> Option<Fields<'v>> {
        self.view.fields(&self.key(""))
    }

    /// A hard limit: what may never be exceeded in a dimension. A limit of 0 is none.
    pub fn hard_limit(&self, dimension: &str) -> Option<i64> {
        self.limit("hard", dimension)
    }

    /// A soft limit: going over it is told. A limit of 0 is none.
    pub fn soft_limit(&self, dimension: &str) -> Option<i64> {
        self.limit("soft", dimension)
    }

    fn limit(&self, which: &str, dimension: &str) -> Option<i64> {
        let limits = self.view.fields(&self.key(":limits"))?;
        limits.integer(&format!("{which}:{dimension}")).filter(|limit| *limit > 0)
    }

    /// Whether it has any limits, be they 0.
    pub fn has_limits(&self) -> bool {
        self.view.fields(&self.key(":limits")).is_some()
    }

    /// What was spent in a dimension.
    pub fn used(&self, dimension: &str) -> i64 {
        self.view.fields(&self.key(":usage")).and_then(|usage| usage.integer(dimension)).unwrap_or(0)
    }

    /// What one execution spent in a dimension, as the ledger has it.
    pub fn spent_by(&self, execution: &str, dimension: &str) -> i64 {
        self.entry(execution).and_then(|entry| entry.integer(dimension)).unwrap_or(0)
    }

    /// What one execution spent, as the ledger has it.
    pub fn entry(&self, execution: &str) -> Option<Fields<'v>> {
        self.view.fields(&self.key(&format!(":by_exec:{execution}")))
    }

    /// Whether the ledger's index names an execution.
    pub fn is_in_ledger(&self, execution: &str) -> bool {
        self.view.contains(&self.key(":by_exec:index"), execution)
    }

    /// When usage goes back to nothing, as its definition says.
    pub fn next_reset_at(&self) -> Option<TimestampMs> {
        self.definition()?.time("next_reset_at").filter(|at| at.0 > 0)
    }

    /// When usage goes back to nothing, as the partition's index of resets has it.
    pub fn reset_indexed_at(&self) -> Option<TimestampMs> {
        let score = self.view.score(&format!("ff:idx:{}:budget_resets", self.tag), self.id)?;
        Some(TimestampMs(score as i64))
    }

    /// What was spent, by dimension.
    pub fn usage(&self) -> BTreeMap<&'v str, i64> {
        let usage = self.view.fields(&self.key(":usage"));
        let numbers = |(dimension, amount): (&'v str, &'v str)| Some((dimension, amount.parse().ok()?));
        usage.map(|usage| usage.iter().filter_map(numbers).collect()).unwrap_or_default()
    }

    /// What the executions of its ledger spent together, by dimension.
    pub fn ledger(&self) -> BTreeMap<String, i64> {
        let mut sum = BTreeMap::new();
        for execution in self.view.members(&self.key(":by_exec:index")) {
            let entry = self.view.fields(&self.key(&format!(":by_exec:{execution}")));
            for (dimension, amount) in entry.iter().flat_map(Fields::iter) {
                *sum.entry(dimension.to_owned()).or_default() += amount.parse::<i64>().unwrap_or(0);
            }
        }
        sum
    }
}
