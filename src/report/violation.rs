//! A violation of a hunt for people: its story, the plan that it was shrunk to, and the lines to copy.

use std::fmt::Write;

use super::{Failure, failure};
use crate::{
    hunt::{Again, Found, Smaller},
    property::Violation,
};

/// Tells a violation: its story, or why there is none, how it was found and what it was shrunk to. `replay` makes the line to
/// copy of a token or the path of a plan.
pub fn violation(found: &Found, again: Result<&Again, &str>, replay: impl Fn(&str) -> String) -> String {
    let line = replay(found.smallest());
    let mut text = match again {
        Ok(Again { violation, plan, trace }) => {
            failure(&Failure { violation, trace, plan: Some(plan), replay: &line, seeds: Some(found.seeds) })
        }
        Err(why) => without_story(&found.violation, &line, why),
    };
    let seeds = if found.seeds == 1 { "1 seed".to_owned() } else { format!("{} seeds", found.seeds) };
    // A String takes all that is written to it.
    if let Some(smaller) = &found.shrunk {
        let Smaller { plan, minimal, runs, .. } = smaller;
        let as_found = replay(&found.token);
        let minimal = if *minimal { "no single part of it can go" } else { "there may be a smaller one" };
        let _ = writeln!(text, "  as found:    {as_found}   (the first of {seeds})");
        let _ = writeln!(text, "  shrunk to:   {plan}: {}; {minimal} ({runs} runs)", smaller.size());
    } else if let Some(why) = &found.not_shrunk {
        let _ = writeln!(text, "  not shrunk:  {why}");
    }
    text
}

fn without_story(violation: &Violation, replay: &str, why: &str) -> String {
    let Violation { property, message, fingerprint, .. } = violation;
    format!(
        "{property}: {message}\n  fingerprint: {fingerprint}\n  replay:      {replay}\n  no story:    {why}\n"
    )
}
