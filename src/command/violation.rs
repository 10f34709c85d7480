//! A violation of a hunt as it is printed.

use std::sync::Arc;

use grantsim::{
    hunt::{Found, Hunt, NotDone, Stop},
    report,
};

use super::library::LibraryArgs;

/// A violation for people.
pub(super) struct Shown {
    pub(super) text: String,
    /// Why its story cannot be told, where that is an error.
    pub(super) error: Option<anyhow::Error>,
}

/// Runs a violation again, by the smallest plan that there is, and tells it. A run that does not end in time, once the hunt
/// is to stop, is told without its story.
pub(super) fn show(hunt: &Arc<Hunt>, stop: &Stop, found: &Found, library: &LibraryArgs) -> Shown {
    let again = stop.wait_for({
        let (hunt, found) = (Arc::clone(hunt), found.clone());
        move || hunt.show_smallest(&found)
    });
    let (again, error) = match again {
        Ok(Ok(again)) => (Ok(again), None),
        Ok(Err(error)) => (Err(error.to_string()), Some(error.into())),
        Err(why) => (Err(why.to_string()), (why == NotDone::Harness).then(|| anyhow::Error::new(why))),
    };
    let again = again.as_ref().map_err(|why| &**why);
    Shown { text: report::violation(found, again, |what| library.replay_line(&what)), error }
}
