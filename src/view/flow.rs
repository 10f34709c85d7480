//! A flow: executions that wait for each other.

use super::{Fields, View};
use crate::types::ExecutionId;

/// A flow in a view.
#[derive(Clone, Copy)]
pub struct Flow<'v> {
    view: &'v View,
    tag: &'v str,
    id: &'v str,
}

impl<'v> Flow<'v> {
    pub(super) fn new(view: &'v View, tag: &'v str, id: &'v str) -> Self {
        Self { view, tag, id }
    }

    fn key(&self, part: &str) -> String {
        format!("ff:flow:{}:{}:{part}", self.tag, self.id)
    }

    /// Its record, if it exists.
    pub fn core(&self) -> Option<Fields<'v>> {
        self.view.fields(&self.key("core"))
    }

    /// Its members.
    pub fn members(&self) -> Vec<ExecutionId> {
        let members = self.view.members(&self.key("members"));
        members.iter().filter_map(|id| ExecutionId::parse(id).ok()).collect()
    }

    /// `public_flow_state`.
    pub fn public_state(&self) -> &'v str {
        self.core().map(|core| core.text("public_flow_state")).unwrap_or_default()
    }

    /// `graph_revision`: how often its graph has changed.
    pub fn graph_revision(&self) -> u64 {
        self.core().map_or(0, |core| core.count("graph_revision"))
    }

    /// Members of a cancelled flow that nobody has cancelled yet.
    pub fn pending_cancels(&self) -> Vec<String> {
        self.view.members(&self.key("pending_cancels"))
    }
}
