//! A flow: executions that wait for each other. Its members and edges, and what each member waits for.

use super::{Execution, Fields, View};
use crate::types::ExecutionId;

/// A flow in a view.
#[derive(Clone, Copy)]
pub struct Flow<'v> {
    view: &'v View,
    tag: &'v str,
    id: &'v str,
}

/// What an execution waits for, as its own partition has it.
pub struct Dependencies<'v> {
    view: &'v View,
    execution: Execution<'v>,
}

/// The edges into one member, and how many of them must be satisfied (RFC-016).
#[derive(Clone, Copy, Debug)]
pub struct EdgeGroup<'v>(Fields<'v>);

impl<'v> Flow<'v> {
    pub(super) fn new(view: &'v View, tag: &'v str, id: &'v str) -> Self {
        Self { view, tag, id }
    }

    fn key(&self, part: &str) -> String {
        format!("ff:flow:{}:{}:{part}", self.tag, self.id)
    }

    fn index(&self, name: &str) -> String {
        format!("ff:idx:{}:{name}", self.tag)
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

    /// How many members it has.
    pub fn size(&self) -> usize {
        self.view.size(&self.key("members"))
    }

    /// Whether an execution is one of its members.
    pub fn has_member(&self, execution: &str) -> bool {
        self.view.contains(&self.key("members"), execution)
    }

    /// `public_flow_state`.
    pub fn public_state(&self) -> &'v str {
        self.core().map(|core| core.text("public_flow_state")).unwrap_or_default()
    }

    /// Whether it has ended: nothing joins it any more.
    pub fn is_over(&self) -> bool {
        matches!(self.public_state(), "cancelled" | "completed" | "failed")
    }

    /// `graph_revision`: how often its graph has changed.
    pub fn graph_revision(&self) -> u64 {
        self.core().map_or(0, |core| core.count("graph_revision"))
    }

    /// Members of a cancelled flow that nobody has cancelled yet.
    pub fn pending_cancels(&self) -> Vec<String> {
        self.view.members(&self.key("pending_cancels"))
    }

    /// Whether the partition's index of flows names it.
    pub fn is_indexed(&self) -> bool {
        self.view.contains(&self.index("flow_index"), self.id)
    }

    /// Whether the partition's backlog of cancelled flows names it.
    pub fn is_in_backlog(&self) -> bool {
        self.view.contains(&self.index("cancel_backlog"), self.id)
    }

    /// An edge's record.
    pub fn edge(&self, edge: &str) -> Option<Fields<'v>> {
        self.view.fields(&self.key(&format!("edge:{edge}")))
    }

    /// How many edges it has. Looks at all of them.
    pub fn edge_count(&self) -> usize {
        self.view.keys(&self.key("edge:")).count()
    }

    /// The edges that begin at a member.
    pub fn outgoing(&self, member: &str) -> Vec<String> {
        self.view.members(&self.key(&format!("out:{member}")))
    }

    /// The edges that end at a member.
    pub fn incoming(&self, member: &str) -> Vec<String> {
        self.view.members(&self.key(&format!("in:{member}")))
    }

    /// Whether a member's sets of edges name this one: as one that begins there, as one that ends there.
    pub fn is_adjacent(&self, edge: &str, upstream: &str, downstream: &str) -> (bool, bool) {
        let names =
            |part: &str, member: &str| self.view.contains(&self.key(&format!("{part}:{member}")), edge);
        (names("out", upstream), names("in", downstream))
    }

    /// The edges into a member, as a group.
    pub fn group(&self, member: &str) -> Option<EdgeGroup<'v>> {
        self.view.fields(&self.key(&format!("edgegroup:{member}"))).map(EdgeGroup)
    }

    /// Whether the partition's index of groups whose siblings are to be cancelled names a member's.
    pub fn is_cancelling_siblings_of(&self, member: &str) -> bool {
        self.view.contains(&self.index("pending_cancel_groups"), &format!("{}|{member}", self.id))
    }
}

impl<'v> Dependencies<'v> {
    pub(super) fn new(view: &'v View, execution: Execution<'v>) -> Self {
        Self { view, execution }
    }

    /// `deps:meta`: none for an execution that never waited.
    pub fn meta(&self) -> Option<Fields<'v>> {
        self.view.fields(&self.execution.keys().exec.deps_meta())
    }

    /// How many edges are unresolved.
    pub fn unresolved(&self) -> usize {
        self.view.size(&self.execution.keys().exec.deps_unresolved())
    }

    /// All edges that were ever applied.
    pub fn edges(&self) -> Vec<String> {
        self.view.members(&self.execution.keys().exec.deps_all_edges())
    }

    /// An edge as this execution has it.
    pub fn edge(&self, edge: &str) -> Option<Fields<'v>> {
        let keys = &self.execution.keys().exec;
        self.view.fields(&format!("ff:exec:{}:{}:dep:{edge}", keys.hash_tag(), self.execution.id()))
    }

    /// How many edges are in this state: `satisfied`, `impossible`, `unsatisfied`.
    pub fn in_state(&self, state: &str) -> usize {
        self.edges().iter().filter(|edge| self.edge(edge).is_some_and(|it| it.text("state") == state)).count()
    }
}

impl<'v> EdgeGroup<'v> {
    /// A field's text.
    pub fn text(&self, name: &str) -> &'v str {
        self.0.text(name)
    }

    /// Whether all edges are required: the policy without a name, too.
    pub fn is_all_of(&self) -> bool {
        !matches!(self.text("policy_variant"), "any_of" | "quorum")
    }

    /// How many must be satisfied, of a group that does not require all.
    pub fn needed(&self) -> i64 {
        match self.text("policy_variant") {
            "any_of" => 1,
            _ => self.0.integer("k").unwrap_or(1).max(1),
        }
    }

    /// One of its counters: `n`, `succeeded`, `failed`, `skipped`.
    pub fn count(&self, name: &str) -> i64 {
        self.0.integer(name).unwrap_or(0)
    }

    /// `group_state`: `pending`, `satisfied`, `impossible`.
    pub fn state(&self) -> &'v str {
        self.text("group_state")
    }

    /// Whether it is satisfied or impossible, and so has fired.
    pub fn has_fired(&self) -> bool {
        matches!(self.state(), "satisfied" | "impossible")
    }

    /// Whether its siblings are to be cancelled.
    pub fn is_flagged(&self) -> bool {
        self.text("cancel_siblings_pending_flag") == "true"
    }
}
