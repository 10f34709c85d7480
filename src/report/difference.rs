//! Where two runs of one plan part, for people: what led there in each, and what of the event differs.

use super::{
    story::{Entry, Much, Story},
    timeline::excerpt,
    words::Style,
};
use crate::{hunt::NotTheSame, trace::Trace};

/// How many events before the one that differs are shown.
const CONTEXT: usize = 5;
/// How much of an event's text is shown before what differs, and from there on.
const BEFORE: usize = 40;
const AFTER: usize = 80;

/// Shows both runs around the first event that differs.
pub fn difference(one: &Trace, other: &Trace, differ: &NotTheSame) -> String {
    let (this, that) = parting(&event(one, differ.at), &event(other, differ.at));
    format!(
        "one run:\n{}    {this}\nthe other:\n{}    {that}\n",
        around(one, differ.at),
        around(other, differ.at)
    )
}

fn around(trace: &Trace, at: usize) -> String {
    let story = Story::of(trace, Style::Exact);
    let near = |entry: &&Entry| (at.saturating_sub(CONTEXT)..=at).contains(&(entry.head.seq as usize));
    excerpt(Style::Exact, story.entries.iter().filter(near), Much::All)
}

/// An event as the trace's file has it: a timeline leaves fields out.
fn event(trace: &Trace, at: usize) -> String {
    let event = trace.events.get(at).map(|event| serde_json::to_string(event).unwrap_or_default());
    event.unwrap_or_else(|| format!("no event {at}: {:?}, faults {:?}", trace.ended, trace.faults))
}

/// Two texts from shortly before they differ.
pub(super) fn parting(one: &str, other: &str) -> (String, String) {
    let common = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let from = common.saturating_sub(BEFORE);
    let piece = |text: &str| {
        let mark = if from > 0 { "…" } else { "" };
        let piece: String = text.chars().skip(from).take(BEFORE + AFTER).collect();
        format!("{mark}{piece}")
    };
    (piece(one), piece(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drive::{self, Subject},
        hunt::same,
        library::Library,
        plan::token::Token,
        trace::What,
    };

    #[test]
    fn what_differs_is_shown_although_no_timeline_has_it() {
        let subject = Subject::new(Library::published()).unwrap();
        let one = drive::run(&Token::new("calm", 1).unwrap().plan(), &subject).unwrap();
        let mut other = one.clone();
        let at = one.events.iter().position(|event| matches!(event.what, What::Executed(_))).unwrap();
        let What::Executed(executed) = &mut other.events[at].what else { unreachable!() };
        executed.args.push(b"a hidden field".to_vec());
        let told = difference(&one, &other, &same(&one, &other).unwrap_err());
        assert!(told.starts_with("one run:\n") && told.contains("\nthe other:\n"), "{told}");
        assert_eq!(told.matches("a hidden field").count(), 1, "{told}");
    }

    #[test]
    fn a_run_that_is_over_sooner_is_shown_as_such() {
        let subject = Subject::new(Library::published()).unwrap();
        let one = drive::run(&Token::new("calm", 1).unwrap().plan(), &subject).unwrap();
        let mut short = one.clone();
        short.events.pop();
        let told = difference(&one, &short, &same(&one, &short).unwrap_err());
        assert!(told.contains("no event"), "{told}");
    }

    #[test]
    fn texts_are_shown_from_shortly_before_they_differ() {
        let long = "x".repeat(100);
        let (one, other) = parting(&format!("{long}1"), &format!("{long}2"));
        assert_eq!((one, other), (format!("…{}1", "x".repeat(BEFORE)), format!("…{}2", "x".repeat(BEFORE))));
        assert_eq!(parting("a", "b"), ("a".to_owned(), "b".to_owned()));
    }
}
