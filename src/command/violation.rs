//! A violation of a hunt as it is printed: its story, the plan that it was shrunk to, and the lines to copy.

use std::{fmt::Write, sync::Arc};

use grantsim::{
    hunt::{Again, Found, Hunt, NotDone, Smaller, Stop},
    property::Violation,
    report::{self, Failure},
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
    let replay = library.replay_line(&found.smallest());
    let again = stop.wait_for({
        let (hunt, found) = (Arc::clone(hunt), found.clone());
        move || hunt.show_smallest(&found)
    });
    let (mut text, error) = match again {
        Ok(Ok(Again { violation, plan, trace })) => {
            let failure = Failure {
                violation: &violation,
                trace: &trace,
                plan: Some(&plan),
                replay: &replay,
                seeds: Some(found.seeds),
            };
            (report::failure(&failure), None)
        }
        Ok(Err(error)) => (without_story(&found.violation, &replay, &error.to_string()), Some(error.into())),
        Err(why) => {
            let error = (why == NotDone::Harness).then(|| anyhow::Error::new(why));
            (without_story(&found.violation, &replay, &why.to_string()), error)
        }
    };
    shrunk(found, library, &mut text);
    Shown { text, error }
}

fn without_story(violation: &Violation, replay: &str, why: &str) -> String {
    let Violation { property, message, fingerprint, .. } = violation;
    format!(
        "{property}: {message}\n  fingerprint: {fingerprint}\n  replay:      {replay}\n  no story:    {why}\n"
    )
}

/// Adds how the plan was found, and what it was shrunk to.
fn shrunk(found: &Found, library: &LibraryArgs, text: &mut String) {
    let seeds = if found.seeds == 1 { "1 seed".to_owned() } else { format!("{} seeds", found.seeds) };
    // A String takes all that is written to it.
    if let Some(smaller) = &found.shrunk {
        let Smaller { plan, minimal, runs, .. } = smaller;
        let as_found = library.replay_line(&found.token);
        let minimal = if *minimal { "no single part of it can go" } else { "there may be a smaller one" };
        let _ = writeln!(text, "  as found:    {as_found}   (the first of {seeds})");
        let _ = writeln!(text, "  shrunk to:   {plan}: {}; {minimal} ({runs} runs)", smaller.size());
    } else if let Some(why) = &found.not_shrunk {
        let _ = writeln!(text, "  not shrunk:  {why}");
    }
}
