//! The monitor of promises about one execution: it looks at those that a step touched, and at all of them at the end.
//!
//! A [`Rule`] says what is wrong with an execution in one view. A step is blamed for what it broke: for a fault that the
//! execution did not have before. A call that raised is blamed by nobody here: what it leaves half done is a sequel of its
//! raising. At the end of a run every execution is looked at once more, for what nobody saw it break.
//!
//! Only executions whose core has all of FlowFabric's fields are judged ([`Core::is_whole`]).

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    hash::{Hash, Hasher},
};

use crate::{
    property::{Found, Kind, Property},
    trace::{Change, End, Ended, Happened, Moment, Names, Step},
    types::{Answer, ExecutionId, ExecutionName, Function, TimestampMs},
    view::{Core, Entity, Execution, IndexName, StateVector, View},
};

/// When the end is looked at: all that only holds for a time is over then, and no clock that was set back matters.
pub(super) const LONG_AFTER: TimestampMs = TimestampMs(i64::MAX);

/// Says what is wrong with an execution.
pub(super) type Rule = fn(&Seen<'_>, &mut Vec<Fault>);

/// Something that is wrong with an execution.
pub(super) struct Fault {
    pub kind: Kind,
    /// What of it. Two faults of one kind that differ in this are two.
    pub what: Cow<'static, str>,
    pub message: String,
}

impl Fault {
    /// Says of an execution that it has it.
    pub fn tell(&self, name: &ExecutionName, found: &mut Found<'_>) {
        found.violation(self.kind, Some(name), format!("{name} {}", self.message));
    }
}

/// An execution in a view.
pub(super) struct Seen<'v> {
    pub execution: Execution<'v>,
    pub core: Core<'v>,
    pub state: StateVector,
    pub now: TimestampMs,
}

/// What a step did to one execution.
pub(super) struct Deed<'s> {
    pub step: &'s Step<'s>,
    pub id: &'s ExecutionId,
    pub changes: &'s [Change],
}

/// A property that consists of rules.
#[derive(Clone)]
pub(super) struct Rules {
    /// Whether a step can have broken one.
    concerns: fn(&Deed<'_>) -> bool,
    rules: &'static [Rule],
    seen: Memory,
}

/// The run so far, as far as its end is to be judged.
#[derive(Clone, Default)]
pub(super) struct Memory {
    last: Option<View>,
    names: Option<Names>,
    /// The faults that were seen, whoever was blamed: kind, and what of it.
    known: BTreeMap<String, BTreeSet<(&'static str, Cow<'static, str>)>>,
}

/// A number as a library writes it; none where it is no number.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| !number.is_nan())
}

/// Whether two times or scores are not the same. Lua writes 14 digits, and Valkey 17: of a fraction of a millisecond, or of
/// the year 6000, the rest is lost.
pub(super) fn differ(one: f64, other: f64) -> bool {
    one != other && (one - other).abs() >= f64::max(1.0, one.abs() * 1e-13)
}

impl<'v> Seen<'v> {
    /// An execution with a whole core.
    pub fn of(view: &'v View, id: &ExecutionId, now: TimestampMs) -> Option<Self> {
        let execution = view.execution(id);
        let core = execution.core().filter(Core::is_whole)?;
        Some(Self { execution, core, state: core.state(), now })
    }
}

impl<'s> Deed<'s> {
    /// What a step did, to each execution that it touched.
    pub fn all(step: &'s Step<'s>) -> impl Iterator<Item = Deed<'s>> {
        let mut rest = step.changes();
        step.touched.iter().filter_map(move |entity| {
            let Entity::Execution(id) = entity else { return None };
            let count = rest.iter().take_while(|change| change.id == *id).count();
            let (changes, others) = rest.split_at(count);
            rest = others;
            Some(Deed { step, id, changes })
        })
    }

    /// Whether something of this kind happened to it.
    pub fn did(&self, what: impl Fn(&Happened) -> bool) -> bool {
        self.changes.iter().any(|change| what(&change.what))
    }

    /// Whether its state changed, or the sets that it is in.
    pub fn moved(&self) -> bool {
        self.did(|what| {
            matches!(what, Happened::StateChanged { .. } | Happened::Indexed(_) | Happened::Unindexed(_))
        })
    }

    /// Whether its state changed, or it got another lease.
    pub fn changed_state(&self) -> bool {
        self.did(|what| matches!(what, Happened::StateChanged { .. } | Happened::LeaseCreated { .. }))
    }

    /// The function that was called.
    pub fn function(&self) -> Option<&'s Function> {
        self.step.call.as_ref().map(|call| &call.function)
    }

    /// Whether the call raised an error.
    pub fn has_raised(&self) -> bool {
        self.step.call.as_ref().is_some_and(|call| matches!(call.answer, Answer::Error(_)))
    }

    /// Whether nobody is to be blamed here, since what is wrong with the call is told elsewhere: it raised, or its caller
    /// passed the keys of another lane ([`lane`](crate::property::history::lane)) or the id of another execution
    /// ([`indexes`](super::indexes)).
    pub fn is_told_elsewhere(&self) -> bool {
        self.has_raised() || self.names_another_id() || self.names_another_lane()
    }

    /// Whether KEYS are of this execution, and ARGV names another one, or none.
    pub fn names_another_id(&self) -> bool {
        let Some(call) = self.step.call.as_ref().filter(|call| takes_id_first(&call.function)) else {
            return false;
        };
        let core = call.keys.first().and_then(|key| std::str::from_utf8(key).ok()).and_then(Entity::of_key);
        core == Some(Entity::Execution(self.id.clone()))
            && call.argv.first().is_some_and(|id| *id != self.id.as_str().as_bytes())
    }

    /// Whether KEYS are of another lane than this execution's.
    pub fn names_another_lane(&self) -> bool {
        let Some(call) = &self.step.call else { return false };
        let core = |view: &'s View| view.execution(self.id).core();
        let Some(core) = core(self.step.before).or_else(|| core(self.step.after)) else { return false };
        let lanes =
            call.keys.iter().filter_map(|key| IndexName::of_key(std::str::from_utf8(key).ok()?)?.lane);
        lanes.into_iter().any(|lane| lane != core.lane())
    }

    /// The execution before the step.
    pub fn before(&self) -> Option<Seen<'s>> {
        Seen::of(self.step.before, self.id, self.step.now)
    }

    /// The execution after it.
    pub fn after(&self) -> Option<Seen<'s>> {
        Seen::of(self.step.after, self.id, self.step.now)
    }
}

/// Whether the first of a function's ARGV is the id of the execution that the first of its KEYS is the core of.
fn takes_id_first(function: &Function) -> bool {
    !matches!(
        function,
        Function::ApplyDependencyToChild
            | Function::ResolveDependency
            | Function::EvaluateFlowEligibility
            | Function::CloseWaitpoint
            | Function::SetExecutionTags
            | Function::DeliverSignal
            | Function::BufferSignalForPendingWaitpoint
            | Function::AppendFrame
    )
}

impl Memory {
    /// Remembers a fault. Answers whether it is seen for the first time.
    pub fn note(&mut self, id: &ExecutionId, fault: &Fault) -> bool {
        self.known.entry(id.as_str().to_owned()).or_default().insert((fault.kind.name, fault.what.clone()))
    }

    /// Remembers the faults that a step leaves, and blames it for those that were not there before.
    pub fn blame(&mut self, deed: &Deed<'_>, faults: &[Fault], before: &[Fault], found: &mut Found<'_>) {
        let name = deed.step.names.of(deed.id);
        for fault in faults {
            self.note(deed.id, fault);
            let was_there = before.iter().any(|old| (old.kind, &old.what) == (fault.kind, &fault.what));
            if !was_there && !deed.is_told_elsewhere() {
                fault.tell(&name, found);
            }
        }
    }

    /// Remembers how a step left the keyspace.
    pub fn stepped(&mut self, step: &Step<'_>) {
        self.last = Some(step.after.clone());
        self.names.get_or_insert_with(|| step.names.clone());
    }

    /// What is there at the end, if the run came to one.
    pub fn at_end(&mut self, ended: &Ended) -> Option<(View, Names)> {
        let is_over = matches!(ended.how, End::Quiet | End::OutOfTime);
        let view = self.last.take().filter(|_| is_over)?;
        Some((view, self.names.take()?))
    }

    /// The keyspace is an earlier one again.
    pub fn rewound(&mut self, to: &View) {
        if let Some(last) = &mut self.last {
            *last = to.clone();
        }
    }
}

impl Rules {
    /// A monitor that asks the rules about whatever a step did to an execution that concerns them.
    pub fn new(concerns: fn(&Deed<'_>) -> bool, rules: &'static [Rule]) -> Self {
        Self { concerns, rules, seen: Memory::default() }
    }

    fn faults(&self, seen: &Seen<'_>) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.rules.iter().for_each(|rule| rule(seen, &mut faults));
        faults
    }

    fn judge(&mut self, deed: &Deed<'_>, found: &mut Found<'_>) {
        let Some(after) = deed.after() else { return };
        let faults = self.faults(&after);
        if faults.is_empty() {
            return;
        }
        let before = deed.before().map(|before| self.faults(&before)).unwrap_or_default();
        self.seen.blame(deed, &faults, &before, found);
    }

    fn judge_end(&mut self, ended: &Ended, found: &mut Found<'_>) {
        let Some((view, names)) = self.seen.at_end(ended) else { return };
        for id in view.executions() {
            let Some(seen) = Seen::of(&view, &id, LONG_AFTER) else { continue };
            for fault in self.faults(&seen) {
                if self.seen.note(&id, &fault) {
                    let name = names.of(&id);
                    let message = format!("at the end, {name} {}", fault.message);
                    found.violation(fault.kind, Some(&name), message);
                }
            }
        }
    }
}

impl Hash for Memory {
    /// The faults that were seen; the keyspace is known without it.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.known.hash(hasher);
    }
}

impl Hash for Rules {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.seen.hash(hasher);
    }
}

impl Property for Rules {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        match moment {
            Moment::Step(step) => {
                let concerns = self.concerns;
                Deed::all(step).filter(concerns).for_each(|deed| self.judge(&deed, found));
                self.seen.stepped(step);
            }
            Moment::Rewound { to, .. } => self.seen.rewound(to),
            Moment::End(ended) => self.judge_end(ended, found),
            _ => {}
        }
    }
}
