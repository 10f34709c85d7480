//! Promises about one call: its arguments, its reply, and what it wrote. They remember nothing.
//!
//! A [`Look`] is a function of one step that is a function call. Functions that FlowFabric does not have are not judged, and
//! where a library with names of its own is tested by a table, neither are words and writes that only it knows.

pub(super) mod grammar;
pub(super) mod raises;
pub(super) mod refusal_writes;
pub(super) mod reply_state;
pub(super) mod slot;

use super::{Found, Kind, Property};
use crate::trace::{Call, Moment, Step};

/// Looks at a call. `None` where the promise holds.
pub(super) type Look = fn(&Step<'_>, &Call<'_>) -> Option<Wrong>;

/// What is wrong with a call.
pub(super) struct Wrong {
    pub kind: Kind,
    pub message: String,
}

/// A property that consists of looks.
pub(super) struct Calls(pub &'static [Look]);

impl Property for Calls {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        let Some(call) = &step.call else { return };
        for Wrong { kind, message } in self.0.iter().filter_map(|look| look(step, call)) {
            let execution = call.presented.execution.as_ref().map(|id| step.names.of(id));
            found.violation(kind, execution.as_ref(), message);
        }
    }
}
