//! What befalls the server, at the moments at which it matters.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    property::{Found, Property},
    trace::{Happened, Moment, What},
    types::{ExecutionId, ExecutionName, FaultClass, LifecyclePhase, Node},
    view::View,
};

/// A fault of a class happened.
#[derive(Clone, Hash)]
pub(super) struct OfClass(pub FaultClass);

impl Property for OfClass {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Fault(event) = moment else { return };
        if event.what.fault_class() == Some(self.0) {
            found.reached();
        }
    }
}

/// A server's truth became an earlier one: what of an execution was lost by that.
#[derive(Clone)]
pub(super) struct Forgotten {
    is_it: fn(before: &View, after: &View, id: &ExecutionId) -> bool,
    last: View,
}

impl Forgotten {
    /// That a grant was consumed: it is there again.
    pub fn a_consume() -> Self {
        Self::of(|before, after, id| {
            before.execution(id).grant().is_none()
                && after.execution(id).grant().is_some()
                && before.execution(id).state().is_some_and(|state| state.phase == LifecyclePhase::Active)
        })
    }

    /// That a grant was issued.
    pub fn an_issue() -> Self {
        Self::of(|before, after, id| {
            before.execution(id).grant().is_some()
                && after.execution(id).grant().is_none()
                && after.execution(id).core().is_some()
        })
    }

    /// That it ended.
    pub fn an_end() -> Self {
        Self::of(|before, after, id| {
            let is_over = |view: &View| view.execution(id).core().is_some_and(|core| core.is_terminal());
            is_over(before) && !is_over(after)
        })
    }

    fn of(is_it: fn(&View, &View, &ExecutionId) -> bool) -> Self {
        Self { is_it, last: View::default() }
    }
}

impl std::hash::Hash for Forgotten {
    /// What is reached is no part of a state.
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl Property for Forgotten {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        match moment {
            Moment::Step(step) if step.head.node == Node::Valkey => self.last = step.after.clone(),
            Moment::Rewound { to, .. } => {
                let lost = self.last.executions().filter(|id| (self.is_it)(&self.last, to, id));
                lost.for_each(|_| found.reached());
                self.last = (*to).clone();
            }
            _ => {}
        }
    }
}

/// A former server executed a call.
#[derive(Clone, Hash)]
pub(super) struct TwoAnswer;

impl Property for TwoAnswer {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        if step.head.node == Node::FormerValkey && step.call.is_some() {
            found.reached();
        }
    }
}

/// The server is lost while a lease lives.
#[derive(Clone, Default, Hash)]
pub(super) struct LostInALease {
    leased: BTreeSet<ExecutionName>,
}

impl Property for LostInALease {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        match moment {
            Moment::Step(step) => {
                for change in step.changes() {
                    match &change.what {
                        Happened::LeaseCreated { .. } => _ = self.leased.insert(change.execution.clone()),
                        Happened::LeaseEnded { .. } => _ = self.leased.remove(&change.execution),
                        _ => {}
                    }
                }
            }
            Moment::Fault(event) => {
                let is_lost = matches!(
                    &event.what,
                    What::ServerBroke { class: FaultClass::Restart | FaultClass::LostWrites, .. }
                );
                if is_lost && !self.leased.is_empty() {
                    found.reached();
                }
            }
            _ => {}
        }
    }
}

/// The library is loaded anew between a grant and its claim.
#[derive(Clone, Default, Hash)]
pub(super) struct LibraryUnderAGrant {
    granted: BTreeSet<ExecutionName>,
    replaced: BTreeSet<ExecutionName>,
}

impl Property for LibraryUnderAGrant {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        match moment {
            Moment::Step(step) => {
                for change in step.changes() {
                    let execution = &change.execution;
                    match &change.what {
                        Happened::GrantIssued(_) => _ = self.granted.insert(execution.clone()),
                        Happened::GrantConsumed(_) => {
                            self.granted.remove(execution);
                            if self.replaced.remove(execution) {
                                found.reached();
                            }
                        }
                        Happened::GrantExpired(_) | Happened::GrantDropped(_) => {
                            self.granted.remove(execution);
                            self.replaced.remove(execution);
                        }
                        _ => {}
                    }
                }
            }
            Moment::Fault(event)
                if matches!(event.what, What::ServerBroke { class: FaultClass::Library, .. }) =>
            {
                self.replaced.extend(self.granted.iter().cloned());
            }
            _ => {}
        }
    }
}

/// The clock of a server that took another one's place is behind, or ahead.
#[derive(Clone, Hash)]
pub(super) struct OtherClock {
    is_behind: bool,
    promoted: bool,
}

impl OtherClock {
    pub fn behind(is_behind: bool) -> Self {
        Self { is_behind, promoted: false }
    }
}

impl Property for OtherClock {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Fault(event) = moment else { return };
        match event.what {
            What::ServerBroke { class: FaultClass::Failover | FaultClass::SplitBrain, .. } => {
                self.promoted = true;
            }
            What::ClockSet { by_ms } if event.head.node == Node::Valkey && self.promoted => {
                self.promoted = false;
                if (by_ms < 0) == self.is_behind {
                    found.reached();
                }
            }
            _ => {}
        }
    }
}

/// Work on an execution began under a lease while the work under an earlier one goes on.
#[derive(Clone, Default, Hash)]
pub(super) struct WorkOverlaps {
    working: BTreeMap<ExecutionName, BTreeSet<Node>>,
}

impl Property for WorkOverlaps {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        match moment {
            Moment::Client(event) => match &event.what {
                What::WorkBegan { execution, .. } => {
                    let working = self.working.entry(execution.clone()).or_default();
                    if working.iter().any(|node| *node != event.head.node) {
                        found.reached();
                    }
                    working.insert(event.head.node);
                }
                What::WorkEnded { execution, .. } => {
                    self.working.get_mut(execution).map(|working| working.remove(&event.head.node));
                }
                _ => {}
            },
            Moment::Fault(event) if event.what == What::Crashed => {
                self.working.values_mut().for_each(|working| _ = working.remove(&event.head.node));
            }
            _ => {}
        }
    }
}
