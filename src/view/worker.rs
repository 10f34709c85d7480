//! A process in the worker registry.

use super::{Fields, View};
use crate::types::TimestampMs;

/// A process in a view of the registry.
#[derive(Clone, Copy)]
pub struct Worker<'v> {
    view: &'v View,
    namespace: &'v str,
    instance: &'v str,
}

impl<'v> Worker<'v> {
    pub(super) fn new(view: &'v View, namespace: &'v str, instance: &'v str) -> Self {
        Self { view, namespace, instance }
    }

    fn key(&self, part: &str) -> String {
        format!("ff:worker:{}:{}:{part}", self.namespace, self.instance)
    }

    /// Until when it counts as alive, unless it sends a heartbeat: none if it is not registered.
    pub fn alive_until(&self) -> Option<TimestampMs> {
        self.view.expires_at(&self.key("alive"))
    }

    /// Whether the server still shows that it is alive.
    pub fn is_alive(&self, now: TimestampMs) -> bool {
        self.view.is_visible(&self.key("alive"), now)
    }

    /// Whether the server still shows what it said of itself.
    pub fn is_described(&self, now: TimestampMs) -> bool {
        self.view.is_visible(&self.key("caps"), now)
    }

    /// Until when what it said of itself is kept.
    pub fn described_until(&self) -> Option<TimestampMs> {
        self.view.expires_at(&self.key("caps"))
    }

    /// What it said of itself: `worker_id`, `lanes_csv`, `caps_csv` …
    pub fn capabilities(&self) -> Option<Fields<'v>> {
        self.view.fields(&self.key("caps"))
    }

    /// Whether the namespace's index names it.
    pub fn is_indexed(&self) -> bool {
        self.view.contains(&format!("ff:idx:{}:workers", self.namespace), self.instance)
    }
}
