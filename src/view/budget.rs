//! A budget: what may be spent, what was, and by whom.

use std::collections::BTreeMap;

use super::{Fields, View};

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

    /// A hard limit: what may never be exceeded in a dimension.
    pub fn hard_limit(&self, dimension: &str) -> Option<i64> {
        self.view.fields(&self.key(":limits"))?.integer(&format!("hard:{dimension}"))
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
