//! A member counts the edges that it waits for, is neither eligible nor claimed while one that it requires is open, and
//! goes on, or is skipped, in the call that decides it (15, 39, 45 and 58 of `docs/protocol.md`; F3, RFC-007).
//!
//! Of a group that does not require all of its edges (any of them, or a quorum), the group decides what is open. A reclaim
//! goes on with what had been claimed, and is not asked. Not here: the group's own counters, which
//! [`edge_groups`](super::edge_groups) asks about, and edges that nobody resolves.

use std::collections::BTreeSet;

use super::{Broken, entity_of_key, name_of};
use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Call, Moment, Step},
    types::{EligibilityState, ExecutionId, Function, LifecyclePhase, OwnershipState},
    view::{Dependencies, EdgeGroup, Entity, StateVector, View, tag_of},
};

const COUNT: Kind = Kind {
    name: "count",
    about: "the count of unsatisfied edges is not the number of those that are unresolved",
};
const COUNT_IN_GROUP: Kind =
    Kind { name: "count-in-a-group", about: "the same, of a member that does not require all of its edges" };
const IMPOSSIBLE_COUNT: Kind = Kind {
    name: "impossible-count",
    about: "the count of edges that can never be satisfied is not their number",
};
const ELIGIBLE: Kind = Kind {
    name: "eligible-while-open",
    about: "an execution became eligible while a dependency that it requires is open",
};
const CLAIMED: Kind = Kind {
    name: "claimed-while-open",
    about: "an execution that was not eligible was claimed while a dependency that it requires is open",
};
const NOT_PROMOTED: Kind = Kind {
    name: "not-promoted",
    about: "the last dependency that an execution required was satisfied, and it is still blocked by dependencies",
};
const NOT_SKIPPED: Kind = Kind {
    name: "not-skipped",
    about: "what an execution requires became impossible, and it was not ended as skipped",
};

const OF_ANOTHER: Kind = Kind {
    name: "of-another-flow",
    about: "an edge was applied to an execution that does not exist, or is in another flow",
};
const NOT_AS_SENT: Kind = Kind {
    name: "not-as-sent",
    about: "an edge was applied, and the execution's record of it is another one",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "dependencies",
    numbers: &[15, 39, 45, 58, 63],
    claim: "An execution is neither eligible nor claimed while a dependency that it requires is open.",
    expect: Expect::Always,
    kinds: &[
        COUNT,
        COUNT_IN_GROUP,
        IMPOSSIBLE_COUNT,
        ELIGIBLE,
        CLAIMED,
        NOT_PROMOTED,
        NOT_SKIPPED,
        OF_ANOTHER,
        NOT_AS_SENT,
    ],
    monitor: || Box::<Waiting>::default(),
};

#[derive(Clone, Default, Hash)]
struct Waiting {
    /// Executions that went on while a dependency is open: what follows from it is not told again.
    gone_on: BTreeSet<String>,
}

impl Property for Waiting {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        if let Some(call) =
            step.call.as_ref().filter(|call| call.function == Function::ApplyDependencyToChild)
        {
            applied(step, call, found);
        }
        for entity in step.touched {
            let Entity::Execution(id) = entity else { continue };
            let Some(after) = Side::of(id, step.after) else { continue };
            let before = Side::of(id, step.before);
            let told = [after.counts(before.as_ref()), after.state(before.as_ref(), step, id)];
            if !after.is_open() {
                self.gone_on.remove(id.as_str());
            }
            for Broken { kind, message } in told.into_iter().flatten() {
                let is_going_on = kind == ELIGIBLE || kind == CLAIMED;
                if is_going_on && !self.gone_on.insert(id.as_str().to_owned()) {
                    continue;
                }
                found.violation(kind, name_of(entity, step).as_ref(), message);
            }
        }
    }
}

/// An edge that was applied: to whom, and as what.
fn applied(step: &Step<'_>, call: &Call<'_>, found: &mut Found<'_>) {
    let Some(entity @ Entity::Execution(id)) = &entity_of_key(call, 0) else { return };
    if !call.answer.is_ok() || call.says("already_applied") || call.argv.len() < 7 {
        return;
    }
    let name = name_of(entity, step);
    let flow = step.before.execution(id).core().map(|core| core.text("flow_id"));
    if flow.is_none_or(|flow| !flow.is_empty() && flow != call.arg(0)) {
        let message = format!("an edge of flow {} was applied to one of {flow:?}", call.arg(0));
        return found.violation(OF_ANOTHER, name.as_ref(), message);
    }
    const FIELDS: [(&str, usize); 5] = [
        ("flow_id", 0),
        ("edge_id", 1),
        ("upstream_execution_id", 2),
        ("dependency_kind", 4),
        ("data_passing_ref", 5),
    ];
    let record = call.key(3).and_then(|key| step.after.fields(key));
    let text = |name: &str| record.map(|record| record.text(name)).unwrap_or_default();
    let other = FIELDS.iter().find(|(name, index)| text(name) != call.arg(*index)).map(|(name, _)| *name);
    let other = other.or((text("state") != "unsatisfied").then_some("state"));
    if let Some(field) = other {
        found.violation(
            NOT_AS_SENT,
            name.as_ref(),
            format!("{field} of an edge that was applied is not as sent"),
        );
    }
}

/// One who waits, in one view: only those that ever waited.
struct Side<'v> {
    dependencies: Dependencies<'v>,
    group: Option<EdgeGroup<'v>>,
    unresolved: usize,
    counted: i64,
    counted_impossible: i64,
    state: Option<StateVector>,
}

impl<'v> Side<'v> {
    fn of(id: &'v ExecutionId, view: &'v View) -> Option<Self> {
        let execution = view.execution(id);
        let dependencies = execution.dependencies();
        let meta = dependencies.meta()?;
        let group = view.flow(tag_of(id)?, meta.text("flow_id")).group(id.as_str());
        Some(Self {
            group,
            unresolved: dependencies.unresolved(),
            counted: meta.integer("unsatisfied_required_count").unwrap_or(0),
            counted_impossible: meta.integer("impossible_required_count").unwrap_or(0),
            state: execution.state(),
            dependencies,
        })
    }

    fn requires_all(&self) -> bool {
        self.group.is_none_or(|group| group.is_all_of())
    }

    /// Whether a dependency that it requires is open.
    fn is_open(&self) -> bool {
        match self.group.filter(|group| !group.is_all_of()) {
            Some(group) => group.state() == "pending" && group.count("n") > 0,
            None => self.unresolved > 0,
        }
    }

    /// Whether what it requires can never come.
    fn is_impossible(&self) -> bool {
        match self.group.filter(|group| !group.is_all_of()) {
            Some(group) => group.state() == "impossible",
            None => self.counted_impossible > 0,
        }
    }

    fn has_wrong_count(&self) -> bool {
        usize::try_from(self.counted) != Ok(self.unresolved)
    }

    fn impossible(&self) -> usize {
        self.dependencies.in_state("impossible")
    }

    fn counts(&self, before: Option<&Self>) -> Option<Broken> {
        if self.has_wrong_count() && !before.is_some_and(Self::has_wrong_count) {
            let kind = if self.requires_all() { COUNT } else { COUNT_IN_GROUP };
            let message =
                format!("it counts {} unsatisfied, and {} are unresolved", self.counted, self.unresolved);
            return Broken::new(kind, message);
        }
        let old = before.map_or(0, |before| before.counted_impossible);
        let is_asked =
            self.requires_all() && (self.counted_impossible, self.unresolved) != (old, before?.unresolved);
        if is_asked && usize::try_from(self.counted_impossible) != Ok(self.impossible()) {
            let message =
                format!("it counts {} impossible of {}", self.counted_impossible, self.impossible());
            return Broken::new(IMPOSSIBLE_COUNT, message);
        }
        None
    }

    fn is_eligible_while_open(&self) -> bool {
        self.is_open() && self.state.as_ref().is_some_and(StateVector::is_eligible)
    }

    fn state(&self, before: Option<&Self>, step: &Step<'_>, id: &ExecutionId) -> Option<Broken> {
        let state = self.state.as_ref()?;
        let was_eligible = before.is_some_and(Self::is_eligible_while_open);
        if self.is_eligible_while_open() && !was_eligible {
            return Broken::new(ELIGIBLE, format!("it is eligible, and waits for {} edges", self.unresolved));
        }
        let before = before?;
        let old = before.state.as_ref()?;
        if before.is_open() && !was_eligible && is_claimed(old, state) {
            return Broken::new(
                CLAIMED,
                format!("it was claimed, and waits for {} edges", before.unresolved),
            );
        }
        let is_over = state.phase == LifecyclePhase::Terminal;
        let is_now_impossible = self.is_impossible() && !before.is_impossible();
        if is_now_impossible && !is_over && old.phase != LifecyclePhase::Terminal {
            return Broken::new(NOT_SKIPPED, "what it requires can never come, and it is not skipped");
        }
        let is_free = before.is_open() && !self.is_open() && !self.is_impossible();
        let is_blocked = state.phase == LifecyclePhase::Runnable
            && state.eligibility == EligibilityState::BlockedByDependencies;
        if is_free && is_blocked && step.after.execution(id).core()?.text("terminal_outcome") == "none" {
            return Broken::new(
                NOT_PROMOTED,
                "it waits for nothing any more, and is blocked by dependencies",
            );
        }
        None
    }
}

fn is_claimed(old: &StateVector, new: &StateVector) -> bool {
    let is_leased = |state: &StateVector| {
        state.phase == LifecyclePhase::Active && state.ownership == OwnershipState::Leased
    };
    is_leased(new) && old.phase == LifecyclePhase::Runnable
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use super::super::membership::tests::{JOIN, joins};
    use crate::property::testing::{Story, cases};

    const BLOCK: &str = "HSET :core eligibility_state blocked_by_dependencies terminal_outcome none; \
                         ZREM :lane:gold:eligible e1; ZADD :lane:gold:blocked:dependencies 0 e1";
    const WAIT: &str = "HSET :e1:dep:x state unsatisfied; SADD :e1:deps:unresolved x; SADD :e1:deps:all_edges x; \
                        HINCRBY :e1:deps:meta unsatisfied_required_count 1; HSET :e1:deps:meta flow_id f1; \
                        HSET :flow:edgegroup:e1 policy_variant all_of n 1 succeeded 0 group_state pending";

    pub fn waits(commands: &str) -> Story {
        joins(JOIN).step(5, "ff_apply_dependency_to_child f1 x e2", "OK 1", commands)
    }

    pub fn waiting() -> Story {
        waits(&format!("{WAIT}; {BLOCK}"))
    }

    const SATISFY: &str = "HSET :e1:dep:x state satisfied; SREM :e1:deps:unresolved x; \
                           HINCRBY :e1:deps:meta unsatisfied_required_count -1; \
                           HSET :flow:edgegroup:e1 succeeded 1 group_state satisfied";
    const FREE: &str = "HSET :core eligibility_state eligible_now; ZREM :lane:gold:blocked:dependencies e1; \
                        ZADD :lane:gold:eligible 0 e1";
    const FAIL: &str = "HSET :e1:dep:x state impossible; SREM :e1:deps:unresolved x; \
                        HINCRBY :e1:deps:meta unsatisfied_required_count -1; HINCRBY :e1:deps:meta impossible_required_count 1; \
                        HSET :flow:edgegroup:e1 failed 1 group_state impossible";
    const SKIP: &str = "HSET :core lifecycle_phase terminal eligibility_state not_applicable terminal_outcome skipped; \
                        ZREM :lane:gold:blocked:dependencies e1; ZADD :lane:gold:terminal 0 e1";

    pub fn resolves(story: Story, outcome: &str, commands: &str) -> Story {
        story.step(6, &format!("ff_resolve_dependency x {outcome} @6 f1 e1"), "OK satisfied", commands)
    }

    fn any_of(story: Story) -> Story {
        story.step(
            5,
            "ff_set_edge_group_policy any_of let_run 0 @5",
            "OK set",
            "HSET :flow:edgegroup:e1 policy_variant any_of on_satisfied let_run k 0",
        )
    }

    const APPLY: &str = "ff_apply_dependency_to_child :core :e1:deps:meta :e1:deps:unresolved :e1:dep:x | f1 x e2 1 success_only - @5";
    const RECORD: &str = "HSET :e1:dep:x edge_id x flow_id f1 upstream_execution_id e2 dependency_kind success_only state unsatisfied";

    cases! {
        an_edge_of_another_flow: "dependencies/ff_apply_dependency_to_child/OK/of-another-flow",
            joins(JOIN).step(5, &APPLY.replace("f1", "f2"), "OK 1", ""),
            alone joins(JOIN).step(5, APPLY, "OK 1", RECORD);
        an_edge_into_nobody: "dependencies/ff_apply_dependency_to_child/OK/of-another-flow",
            Story::new().step(5, APPLY, "OK 1", ""),
            alone Story::new().step(5, APPLY, "execution_not_found", "");
        an_edge_without_its_state: "dependencies/ff_apply_dependency_to_child/OK/not-as-sent",
            joins(JOIN).step(5, APPLY, "OK 1", &RECORD.replace("state unsatisfied", "state -")),
            alone joins(JOIN).step(5, APPLY, "OK 1", RECORD);
        an_edge_that_is_resolved_and_still_counted: "dependencies/ff_resolve_dependency/OK/count",
            resolves(waiting(), "success", &format!("{}; {FREE}", SATISFY.replace("unsatisfied_required_count -1", "x 1"))),
            alone resolves(waiting(), "success", &format!("{SATISFY}; {FREE}"));
        an_edge_of_any_that_is_resolved_and_still_counted: "dependencies/ff_resolve_dependency/OK/count-in-a-group",
            resolves(any_of(waiting()), "success", &format!("{}; {FREE}", SATISFY.replace("unsatisfied_required_count -1", "x 1"))),
            alone resolves(any_of(waiting()), "success", &format!("{SATISFY}; {FREE}"));
        an_impossible_edge_that_nobody_counts: "dependencies/ff_resolve_dependency/OK/impossible-count",
            resolves(waiting(), "failed", &format!("{}; {SKIP}", FAIL.replace("impossible_required_count 1", "x 1"))),
            alone resolves(waiting(), "failed", &format!("{FAIL}; {SKIP}"));
        a_child_that_stays_eligible: "dependencies/ff_apply_dependency_to_child/OK/eligible-while-open",
            waits(WAIT),
            alone waiting();
        a_child_that_is_unblocked_for_another_reason: "dependencies/ff_unblock_execution/OK/eligible-while-open",
            waiting().step(7, "ff_unblock_execution e1", "OK", FREE),
            alone resolves(waiting(), "success", &format!("{SATISFY}; {FREE}")).step(7, "ff_unblock_execution e1", "OK", FREE);
        a_child_that_is_claimed_before_its_parent_is_done: "dependencies/ff_claim_execution/OK/claimed-while-open",
            waiting().granted(7, 50).claimed(8, 1, 90),
            alone resolves(waiting(), "success", &format!("{SATISFY}; {FREE}")).granted(7, 50).claimed(8, 1, 90);
        a_child_that_nobody_promotes: "dependencies/ff_resolve_dependency/OK/not-promoted",
            resolves(waiting(), "success", SATISFY),
            alone resolves(waiting(), "success", &format!("{SATISFY}; {FREE}"));
        a_child_that_nobody_skips: "dependencies/ff_resolve_dependency/OK/not-skipped",
            resolves(waiting(), "failed", FAIL),
            alone resolves(waiting(), "failed", &format!("{FAIL}; {SKIP}"));
    }

    fn of_this(story: &Story) -> Vec<String> {
        story
            .fingerprints()
            .into_iter()
            .filter(|fingerprint| fingerprint.starts_with("dependencies/"))
            .collect()
    }

    #[test]
    fn what_follows_from_one_that_went_on_is_not_told_again() {
        let unblocked = waiting().step(7, "ff_unblock_execution e1", "OK", FREE);
        let delayed = unblocked.granted(8, 50).claimed(9, 1, 90).delayed(10, 1);
        assert_eq!(of_this(&delayed), ["dependencies/ff_unblock_execution/OK/eligible-while-open"]);
    }

    #[test]
    fn one_that_was_eligible_against_the_rule_is_not_told_of_again_when_it_is_claimed() {
        let story = waits(WAIT).granted(7, 50).claimed(8, 1, 90);
        assert_eq!(
            story.fingerprints(),
            ["dependencies/ff_apply_dependency_to_child/OK/eligible-while-open"]
        );
    }
}
