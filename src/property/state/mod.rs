//! Promises that hold between any two calls, about one execution, quota, flow … at a time. They remember nothing.
//!
//! A [`Check`] is a function of one entity in one view; it is asked about what each step touched, before and after. A step
//! is blamed for what it broke, not for what it found broken.

pub(super) mod eligible;
pub(super) mod quota;

use super::{Found, Kind, Property};
use crate::{
    trace::{Moment, Step},
    view::{Entity, View},
};

/// Looks at an entity in a view, which is the keyspace before the step or after it. `None` where the promise holds.
pub(super) type Check = fn(&Entity, &View, &Step<'_>) -> Option<Broken>;

/// What is wrong with an entity.
pub(super) struct Broken {
    kind: Kind,
    message: String,
}

/// A property that consists of checks.
pub(super) struct State(&'static [Check]);

impl Property for State {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        for entity in step.touched {
            for check in self.0 {
                let Some(Broken { kind, message }) = check(entity, step.after, step) else { continue };
                if check(entity, step.before, step).is_none() {
                    let execution = match entity {
                        Entity::Execution(id) => Some(step.names.of(id)),
                        _ => None,
                    };
                    found.violation(kind, execution.as_ref(), message);
                }
            }
        }
    }
}
