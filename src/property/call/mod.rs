//! Promises about one call: its arguments, its reply, and what it wrote. They remember nothing.
//!
//! A [`Look`] is a function of one step that is a function call. Functions that FlowFabric does not have are not judged, and
//! where a library with names of its own is tested by a table, neither are words and writes that only it knows.

pub(super) mod done;
pub(super) mod grammar;
pub(super) mod raises;
pub(super) mod refusal_writes;
pub(super) mod refusals;
pub(super) mod reply_state;
pub(super) mod retries;
pub(super) mod slot;
pub(super) mod streams;

use valkey_sim::engine::Reply;

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
#[derive(Clone)]
pub(super) struct Calls(pub &'static [Look]);

impl std::hash::Hash for Calls {
    /// Functions are no memory.
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

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

/// The texts after the status or code of an array reply. One that is no text is empty here.
fn texts<'s>(call: &Call<'s>) -> Option<Vec<&'s str>> {
    let Reply::Array(items) = call.reply else { return None };
    let text = |item: &'s Reply| match item {
        Reply::Bulk(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
        _ => "",
    };
    Some(items.get(2..)?.iter().map(text).collect())
}
