//! A quota policy: how many executions may run at a time, and which do.

use super::{Fields, View};
use crate::types::TimestampMs;

/// A quota policy in a view.
#[derive(Clone, Copy)]
pub struct Quota<'v> {
    view: &'v View,
    tag: &'v str,
    id: &'v str,
}

impl<'v> Quota<'v> {
    pub(super) fn new(view: &'v View, tag: &'v str, id: &'v str) -> Self {
        Self { view, tag, id }
    }

    fn key(&self, part: &str) -> String {
        format!("ff:quota:{}:{}{part}", self.tag, self.id)
    }

    /// Its definition, if it exists.
    pub fn definition(&self) -> Option<Fields<'v>> {
        self.view.fields(&self.key(""))
    }

    /// The most that may be admitted at a time; none where there is no such limit.
    pub fn concurrency_cap(&self) -> Option<i64> {
        self.definition()?.integer("active_concurrency_cap").filter(|cap| *cap > 0)
    }

    /// The counter of those that are admitted; 0 where there is none, none where it is no number.
    pub fn concurrency(&self) -> Option<i64> {
        self.view.string(&self.key(":concurrency")).map_or(Some(0), |text| text.parse().ok())
    }

    /// Whether an execution is admitted.
    pub fn is_admitted(&self, execution: &str) -> bool {
        self.view.contains(&self.key(":admitted_set"), execution)
    }

    /// Whether an execution's admission is remembered, so that it is not counted again within its window.
    pub fn is_remembered(&self, execution: &str, now: TimestampMs) -> bool {
        self.view.is_visible(&self.key(&format!(":admitted:{execution}")), now)
    }

    /// Until when an execution's admission is remembered.
    pub fn remembered_until(&self, execution: &str) -> Option<TimestampMs> {
        self.view.expires_at(&self.key(&format!(":admitted:{execution}")))
    }

    /// How many executions are admitted.
    pub fn admitted_count(&self) -> usize {
        self.view.size(&self.key(":admitted_set"))
    }

    /// The executions that are admitted.
    pub fn admitted(&self) -> Vec<String> {
        self.view.members(&self.key(":admitted_set"))
    }
}
