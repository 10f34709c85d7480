//! The group of edges into a member counts what became of each, fires once and when it must, and has its siblings cancelled
//! as its policy says (58 of `docs/protocol.md`; Q1 to Q6 of RFC-016).
//!
//! Not here: what becomes of the member, which [`dependencies`](super::dependencies) asks, and who cancels the siblings.

use super::{Broken, name_of};
use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Call, Moment, Step},
    types::{ExecutionId, Function},
    view::{EdgeGroup, Entity, Flow, View, tag_of},
};

const COUNTERS: Kind = Kind {
    name: "counters",
    about: "a group counts other edges, or other outcomes, than its member has (Q2 follows from it)",
};
const FIRED_TWICE: Kind = Kind {
    name: "fired-twice",
    about: "a group that was satisfied or impossible is something else now (Q1)",
};
const TOO_EARLY: Kind = Kind {
    name: "too-early",
    about: "a group became satisfied or impossible, and by its counters it was not (Q3, Q4)",
};
const TOO_LATE: Kind = Kind {
    name: "too-late",
    about: "a group is pending, and by its counters it is satisfied or impossible (Q3, Q4)",
};
const FLAG: Kind = Kind {
    name: "flag",
    about: "a group's siblings are to be cancelled and the index does not name it, or the other way round (Q6)",
};
const SIBLINGS: Kind = Kind {
    name: "siblings",
    about: "a group fired, and the siblings to cancel are not those that still live (Q6)",
};
const LET_RUN: Kind = Kind {
    name: "let-run",
    about: "a group whose policy does not cancel siblings wants some cancelled, or one that does wants none",
};
const NOT_AS_SENT: Kind =
    Kind { name: "not-as-sent", about: "a group's policy was set, by the answer, and another one is stored" };
const DRAINED_EARLY: Kind = Kind {
    name: "drained-early",
    about: "the reconciler forgot a group while a sibling that is to be cancelled lives",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "edge-groups",
    numbers: &[58, 63],
    claim: "A group of edges counts right, fires once and when it must, and has its siblings cancelled once.",
    expect: Expect::Always,
    kinds: &[COUNTERS, FIRED_TWICE, TOO_EARLY, TOO_LATE, FLAG, SIBLINGS, LET_RUN, NOT_AS_SENT, DRAINED_EARLY],
    monitor: || Box::new(Groups),
};

#[derive(Clone, Hash)]
struct Groups;

impl Property for Groups {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        if let Some(Broken { kind, message }) = step.call.as_ref().and_then(|call| not_as_sent(step, call)) {
            found.violation(kind, None, message);
        }
        for entity in step.touched {
            let Entity::Execution(id) = entity else { continue };
            let Some(after) = Side::of(id, step.after) else { continue };
            let before = Side::of(id, step.before);
            let told = [
                after.counters(before.as_ref()),
                after.fires(before.as_ref()),
                after.flag(before.as_ref(), step, id),
                after.siblings(before.as_ref(), step),
            ];
            for Broken { kind, message } in told.into_iter().flatten() {
                found.violation(kind, name_of(entity, step).as_ref(), message);
            }
        }
    }
}

/// What a call said that sets a group's policy, and the group's record does not.
fn not_as_sent(step: &Step<'_>, call: &Call<'_>) -> Option<Broken> {
    let is_set = call.function == Function::SetEdgeGroupPolicy && call.answer.is_ok() && call.says("set");
    if !is_set || step.after.is_mirrored() {
        return None;
    }
    let group = step.after.fields(call.key(1)?);
    let text = |name: &str| group.map(|group| group.text(name)).unwrap_or_default();
    let needed: i64 = call.arg(2).parse().ok()?;
    let stored = (text("policy_variant"), text("on_satisfied"), text("k").parse().unwrap_or(0));
    let sent = (call.arg(0), call.arg(1), needed);
    (stored != sent)
        .then(|| Broken::new(NOT_AS_SENT, format!("the policy {sent:?} was set, and {stored:?} is stored")))
        .flatten()
}

/// A group in one view.
struct Side<'v> {
    member: &'v ExecutionId,
    view: &'v View,
    flow: Flow<'v>,
    group: EdgeGroup<'v>,
}

impl<'v> Side<'v> {
    fn of(id: &'v ExecutionId, view: &'v View) -> Option<Self> {
        let flow_id = view.execution(id).core()?.text("flow_id");
        if flow_id.is_empty() {
            return None;
        }
        let flow = view.flow(tag_of(id)?, flow_id);
        Some(Self { member: id, view, flow, group: flow.group(id.as_str())? })
    }

    /// How many edges, of which so many satisfied and so many impossible: as the group counts.
    fn counted(&self) -> [i64; 3] {
        let count = |name| self.group.count(name);
        [count("n"), count("succeeded"), count("failed") + count("skipped")]
    }

    /// The same, as the member's edges are.
    fn real(&self) -> [i64; 3] {
        let execution = self.view.execution(self.member);
        let dependencies = execution.dependencies();
        let all = dependencies.edges().len();
        [all, dependencies.in_state("satisfied"), dependencies.in_state("impossible")]
            .map(|count| count as i64)
    }

    fn counters(&self, before: Option<&Self>) -> Option<Broken> {
        let (counted, real) = (self.counted(), self.real());
        if counted == real || before.is_some_and(|before| before.counted() != before.real()) {
            return None;
        }
        let message = format!(
            "the group counts {} edges, {} satisfied and {} impossible; they are {}, {} and {}",
            counted[0], counted[1], counted[2], real[0], real[1], real[2]
        );
        Broken::new(COUNTERS, message)
    }

    /// What it should be by its counters: satisfied, impossible, or pending.
    fn wanted(&self) -> &'static str {
        let [n, succeeded, lost] = self.counted();
        let needed = if self.group.is_all_of() { n } else { self.group.needed() };
        match () {
            // A quorum that has not all of its edges yet waits for them (RFC-016 §6.1).
            () if n == 0 || n < needed => "pending",
            () if lost > n - needed => "impossible",
            () if succeeded >= needed => "satisfied",
            () => "pending",
        }
    }

    fn fires(&self, before: Option<&Self>) -> Option<Broken> {
        let (old, new) = (before.map_or("pending", |before| before.group.state()), self.group.state());
        let wanted = self.wanted();
        if old != "pending" && !old.is_empty() && old != new {
            return Broken::new(FIRED_TWICE, format!("the group was {old} and is {new}"));
        }
        if old != new && new != "pending" && new != wanted {
            return Broken::new(TOO_EARLY, format!("the group became {new}, and should be {wanted}"));
        }
        let was_late = before.is_some_and(|before| before.wanted() != "pending" && old == "pending");
        (new == "pending" && wanted != "pending" && !was_late)
            .then(|| Broken::new(TOO_LATE, format!("the group is pending, and should be {wanted}")))
            .flatten()
    }

    fn is_indexed(&self) -> bool {
        self.flow.is_cancelling_siblings_of(self.member.as_str())
    }

    fn flag(&self, before: Option<&Self>, step: &Step<'_>, _: &ExecutionId) -> Option<Broken> {
        let is_wrong = |side: &Self| side.group.is_flagged() != side.is_indexed();
        if is_wrong(self) && !before.is_some_and(is_wrong) {
            let message =
                format!("flagged: {}; in the index: {}", self.group.is_flagged(), self.is_indexed());
            return Broken::new(FLAG, message);
        }
        let before = before.filter(|before| before.group.is_flagged() && !self.group.is_flagged())?;
        let is_reconciled =
            step.call.as_ref().is_some_and(|call| call.function == Function::ReconcileSiblingCancelGroup);
        let alive = before.listed().into_iter().find(|sibling| self.lives(sibling))?;
        is_reconciled.then(|| Broken::new(DRAINED_EARLY, format!("{alive} still lives"))).flatten()
    }

    /// The siblings that the group wants cancelled.
    fn listed(&self) -> Vec<String> {
        let members = self.group.text("cancel_siblings_pending_members").split('|');
        members.filter(|member| !member.is_empty()).map(str::to_owned).collect()
    }

    fn lives(&self, execution: &str) -> bool {
        let id = ExecutionId::parse(execution).ok();
        id.is_some_and(|id| self.view.execution(&id).core().is_some_and(|core| !core.is_terminal()))
    }

    fn siblings(&self, before: Option<&Self>, _: &Step<'_>) -> Option<Broken> {
        let has_fired = before.is_some_and(|before| before.group.state() == "pending")
            && self.group.state() != "pending"
            && !self.group.is_all_of();
        if !has_fired {
            return None;
        }
        let cancels = self.group.text("on_satisfied") == "cancel_remaining";
        if cancels != self.group.is_flagged() {
            let message = format!("the policy cancels siblings: {cancels}; they are to be: {}", !cancels);
            return Broken::new(LET_RUN, message);
        }
        let edges = self.flow.incoming(self.member.as_str());
        let upstream = |edge: &String| Some(self.flow.edge(edge)?.text("upstream_execution_id").to_owned());
        let mut alive: Vec<_> = edges.iter().filter_map(upstream).filter(|one| self.lives(one)).collect();
        let mut listed = self.listed();
        alive.sort();
        listed.sort();
        (cancels && alive != listed)
            .then(|| {
                Broken::new(
                    SIBLINGS,
                    format!("{} siblings are to be cancelled, and {} live", listed.len(), alive.len()),
                )
            })
            .flatten()
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use super::super::edges::tests::{STAGE, stages, two};
    use crate::property::testing::{Story, cases};

    /// `e1` waits for any of two edges; `x` comes from `e2`.
    fn group(policy: &str, on_satisfied: &str, n: u32) -> Story {
        let commands = format!(
            "HSET :flow:edgegroup:e1 policy_variant {policy} on_satisfied {on_satisfied} k 0 n {n} succeeded 0 failed 0 skipped 0 group_state pending; \
             HSET :e1:dep:x state unsatisfied; HSET :e1:dep:y state unsatisfied; SADD :e1:deps:all_edges x; SADD :e1:deps:all_edges y; \
             SADD :e1:deps:unresolved x; SADD :e1:deps:unresolved y; HSET :e1:deps:meta unsatisfied_required_count 2 flow_id f1; \
             HSET :core eligibility_state blocked_by_dependencies terminal_outcome none; ZREM :lane:gold:eligible e1; ZADD :lane:gold:blocked:dependencies 0 e1"
        );
        let story = stages(two(), 2, STAGE);
        story.step(5, "ff_apply_dependency_to_child f1 x e2", "OK 1", &commands)
    }

    const FREE: &str = "HSET :core eligibility_state eligible_now; ZREM :lane:gold:blocked:dependencies e1; \
                        ZADD :lane:gold:eligible 0 e1";

    /// One edge is satisfied, and what the group says then.
    fn satisfied(story: Story, edge: &str, left: u32, commands: &str) -> Story {
        let commands = format!(
            "HSET :e1:dep:{edge} state satisfied; SREM :e1:deps:unresolved {edge}; \
             HSET :e1:deps:meta unsatisfied_required_count {left}; {commands}"
        );
        story.step(6, &format!("ff_resolve_dependency {edge} success @6 f1 e1"), "OK", &commands)
    }

    fn first(story: Story, commands: &str) -> Story {
        satisfied(story, "x", 1, commands)
    }

    const FIRE: &str = "HSET :flow:edgegroup:e1 succeeded 1 group_state satisfied";
    const FLAGGED: &str = "HSET :flow:edgegroup:e1 cancel_siblings_pending_flag true cancel_siblings_pending_members e2; \
                           SADD :pending_cancel_groups f1|{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8";
    const ALIVE: &str = "HSET :e2:core lifecycle_phase active";

    fn flagged(commands: &str) -> Story {
        first(group("any_of", "cancel_remaining", 2), &format!("{ALIVE}; {FIRE}; {commands}; {FREE}"))
    }

    fn sets(commands: &str) -> Story {
        let call = "ff_set_edge_group_policy :flow:core :flow:edgegroup:e1 | quorum let_run 2 @5";
        stages(two(), 2, STAGE).step(5, call, "OK set", commands)
    }

    fn reconciled(phase: &str) -> Story {
        let commands = format!(
            "HSET :e2:core lifecycle_phase {phase}; HDEL :flow:edgegroup:e1 cancel_siblings_pending_flag; \
            SREM :pending_cancel_groups f1|{{fp:7}}:6ba7b810-9dad-41d1-80b4-00c04fd430c8"
        );
        flagged(FLAGGED).step(8, "ff_reconcile_sibling_cancel_group f1 e1", "OK completed_drain", &commands)
    }

    cases! {
        a_group_that_counts_one_edge_of_two: "edge-groups/ff_apply_dependency_to_child/OK/counters",
            group("any_of", "let_run", 1),
            alone group("any_of", "let_run", 2);
        a_group_that_fires_again: "edge-groups/ff_resolve_dependency/OK/fired-twice",
            satisfied(first(group("any_of", "let_run", 2), &format!("{FIRE}; {FREE}")), "y", 0, "HSET :flow:edgegroup:e1 succeeded 2 group_state impossible"),
            alone satisfied(first(group("any_of", "let_run", 2), &format!("{FIRE}; {FREE}")), "y", 0, "HSET :flow:edgegroup:e1 succeeded 2");
        a_group_of_all_that_is_satisfied_by_one: "edge-groups/ff_resolve_dependency/OK/too-early",
            first(group("all_of", "-", 2), FIRE),
            alone first(group("all_of", "-", 2), "HSET :flow:edgegroup:e1 succeeded 1");
        a_group_of_any_that_waits_on: "edge-groups/ff_resolve_dependency/OK/too-late",
            first(group("any_of", "let_run", 2), "HSET :flow:edgegroup:e1 succeeded 1"),
            alone first(group("any_of", "let_run", 2), &format!("{FIRE}; {FREE}"));
        siblings_that_no_dispatcher_finds: "edge-groups/ff_resolve_dependency/OK/flag",
            flagged(FLAGGED.split(';').next().unwrap()),
            alone flagged(FLAGGED);
        a_sibling_that_is_left_out: "edge-groups/ff_resolve_dependency/OK/siblings",
            flagged(&FLAGGED.replace("members e2", "members -")),
            alone flagged(FLAGGED);
        siblings_that_should_run: "edge-groups/ff_resolve_dependency/OK/let-run",
            first(group("any_of", "let_run", 2), &format!("{ALIVE}; {FIRE}; {FLAGGED}; {FREE}")),
            alone first(group("any_of", "let_run", 2), &format!("{ALIVE}; {FIRE}; {FREE}"));
        a_policy_that_is_another_one: "edge-groups/ff_set_edge_group_policy/OK/not-as-sent",
            sets("HSET :flow:edgegroup:e1 policy_variant any_of on_satisfied let_run k 2 n 0 group_state pending"),
            alone sets("HSET :flow:edgegroup:e1 policy_variant quorum on_satisfied let_run k 2 n 0 group_state pending");
        a_group_that_is_forgotten_before_its_time: "edge-groups/ff_reconcile_sibling_cancel_group/OK/drained-early",
            reconciled("active"),
            alone reconciled("terminal");
    }
}
