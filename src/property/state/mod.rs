//! Promises that hold between any two calls, about one execution, quota, flow … at a time. They remember nothing.
//!
//! A [`Check`] is a function of one entity in one view; it is asked about what each step touched, before and after. A step
//! is blamed for what it broke, not for what it found broken.

pub(super) mod admission;
pub(super) mod attempts;
pub(super) mod budget;
pub(super) mod denial;
pub(super) mod dependencies;
pub(super) mod edge_groups;
pub(super) mod edges;
pub(super) mod eligible;
pub(super) mod flow_life;
pub(super) mod grant_key;
pub(super) mod indexes;
pub(super) mod lease_record;
pub(super) mod membership;
pub(super) mod quota;
pub(super) mod registry;
pub(super) mod resume_condition;
mod rules;
pub(super) mod score;
pub(super) mod secrets;
pub(super) mod signals;
pub(super) mod suspension;
pub(super) mod timeout;
pub(super) mod transition;
pub(super) mod vector;
pub(super) mod waitpoints;

use super::{Found, Kind, Property};
use crate::{
    trace::{Call, Moment, Step},
    types::ExecutionName,
    view::{Entity, View},
};

/// Looks at an entity in a view, which is the keyspace before the step or after it. `None` where the promise holds.
pub(super) type Check = fn(&Entity, &View, &Step<'_>) -> Option<Broken>;

/// Looks at what a step did to an entity. `None` where the promise holds.
pub(super) type Move = fn(&Entity, &Step<'_>) -> Option<Broken>;

/// What is wrong with an entity.
pub(super) struct Broken {
    kind: Kind,
    message: String,
}

impl Broken {
    /// It is of this kind, in words.
    fn new(kind: Kind, message: impl Into<String>) -> Option<Self> {
        Some(Self { kind, message: message.into() })
    }
}

/// A property that consists of checks.
#[derive(Clone)]
pub(super) struct State(&'static [Check]);

impl std::hash::Hash for State {
    /// Functions are no memory.
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl Property for State {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        StateAndMoves(self.0, &[]).observe(moment, found);
    }
}

/// A property that consists of checks, and of looks at what each step did.
#[derive(Clone)]
pub(super) struct StateAndMoves(&'static [Check], &'static [Move]);

impl std::hash::Hash for StateAndMoves {
    /// Functions are no memory.
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl Property for StateAndMoves {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        for entity in step.touched {
            let broken = self.0.iter().filter_map(|check| {
                let broken = check(entity, step.after, step)?;
                check(entity, step.before, step).is_none().then_some(broken)
            });
            let broken = broken.chain(self.1.iter().filter_map(|moved| moved(entity, step)));
            for Broken { kind, message } in broken {
                found.violation(kind, name_of(entity, step).as_ref(), message);
            }
        }
    }
}

/// What the plan calls an entity, if it is an execution.
fn name_of(entity: &Entity, step: &Step<'_>) -> Option<ExecutionName> {
    match entity {
        Entity::Execution(id) => Some(step.names.of(id)),
        _ => None,
    }
}

/// Whom one of a call's KEYS belongs to.
fn entity_of_key(call: &Call<'_>, index: usize) -> Option<Entity> {
    Entity::of_key(call.key(index)?)
}
