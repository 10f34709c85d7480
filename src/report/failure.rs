//! A violation for people, on one screen: what broke, which promise, what led there, and the line that replays it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    promise::Promise,
    sides::sides,
    slice::{Slice, Subject},
    story::{Much, Story},
    timeline::heading,
    words::{Style, named},
};
use crate::{
    plan::{Plan, WrongClock},
    property::{self, Violation},
    trace::Trace,
    types::Node,
};

/// The most lines that a failure block has.
pub const SCREEN_LINES: usize = 40;
/// The most characters of its lines. Those that are to be copied are as long as they must be.
pub const SCREEN_COLUMNS: usize = 120;

/// The most lines that an entry of the story takes up.
const ENTRY_LINES: usize = 6;
/// How many entries are tried, the closest to the cause first.
const TRIED: usize = 200;
/// What stands before a line of the story, and before the one that broke.
const MARGIN: &str = "    ";
const BROKEN: &str = "  > ";
/// Where the text begins that the labels stand before.
const INDENT: usize = 15;

/// A violation, and what is known about it.
#[derive(Clone, Copy)]
pub struct Failure<'a> {
    /// The violation.
    pub violation: &'a Violation,
    /// The run that shows it.
    pub trace: &'a Trace,
    /// The run's plan, where that is known: it says which clocks are wrong.
    pub plan: Option<&'a Plan>,
    /// The command line that shows the run again, with `--timeline` at its end.
    pub replay: &'a str,
    /// In how many seeds of a hunt it was seen, where it comes from a hunt.
    pub seeds: Option<u64>,
}

/// Describes a violation on one screen: [`SCREEN_LINES`] lines of [`SCREEN_COLUMNS`] characters.
///
/// What led there is not the last that happened before it but what made the difference: entries survive by how close they
/// are to the cause. Where some are left out it says how many, and which command shows them.
pub fn failure(failure: &Failure<'_>) -> String {
    let story = Story::of(failure.trace, Style::Exact);
    let broken = story.place(failure.violation.at).map(|place| &story.entries[place]);
    let subject = Subject::of(failure.violation, broken);
    let slice = Slice::new(&story, &subject, failure.violation.at);
    let mut lines = failure.head();
    let sides = sides(failure.violation, failure.trace, story.words, SCREEN_COLUMNS);
    // Three more: the wrong clocks (kept free where there are none, so that a trace's block, which knows of none, has the
    // same story), the heading of the story, and the line that says how to see the rest.
    let room = SCREEN_LINES.saturating_sub(lines.len() + sides.len() + 3);
    let shown = choose(&story, &slice, room);
    lines.extend(failure.clocks(&story, &slice));
    lines.extend(sides.iter().map(|line| cut(line)));
    lines.push(cut(&format!("{MARGIN}{}", heading(Style::Exact))));
    lines.extend(tell(&story, &slice, &shown));
    lines.extend(failure.rest(&slice, &shown, &subject));
    lines.join("\n") + "\n"
}

impl Failure<'_> {
    /// What broke, which promise, how often, and the line that replays it.
    fn head(&self) -> Vec<String> {
        let Violation { property, message, fingerprint, times, .. } = self.violation;
        let entry = property::find(property.as_str()).ok();
        let mut lines = wrap(&format!("{property}: {message}"), 2);
        let mut say = |label: &str, text: &str| lines.extend(wrap(&format!("  {label:<13}{text}"), INDENT));
        if let Some(entry) = entry {
            say("must hold:", entry.claim);
            let promises: Vec<String> = entry.numbers.iter().map(|number| promise(*number)).collect();
            say("protocol.md:", &promises.join(", "));
            let kind = entry.kinds.iter().find(|kind| kind.name == fingerprint.kind());
            kind.into_iter().for_each(|kind| say("kind:", kind.about));
        }
        say("fingerprint:", &fingerprint.to_string());
        let often = if *times == 1 { "once".to_owned() } else { format!("{times} times") };
        let seeds = match self.seeds {
            None => String::new(),
            Some(1) => "; in 1 seed of the hunt".to_owned(),
            Some(seeds) => format!("; in {seeds} seeds of the hunt"),
        };
        say("seen:", &format!("{often} in this run{seeds}"));
        lines.push(format!("  {:<13}{}", "replay:", self.replay));
        lines
    }

    /// The wrong clocks of the processes that took part.
    fn clocks(&self, story: &Story, slice: &Slice<'_>) -> Option<String> {
        let nodes: BTreeSet<Node> =
            slice.candidates.iter().flat_map(|place| story.entries[*place].facts.nodes.clone()).collect();
        let wrong = self.plan.map(|plan| &plan.clocks).into_iter().flatten();
        let told: Vec<String> = wrong
            .filter(|(node, _)| nodes.contains(node))
            .filter_map(|(node, clock)| wrongness(*node, clock))
            .collect();
        (!told.is_empty()).then(|| cut(&format!("  {:<13}! {}", "clocks:", told.join("; "))))
    }

    /// What is not shown, and the command that shows it.
    fn rest(&self, slice: &Slice<'_>, shown: &BTreeSet<usize>, subject: &Subject) -> Option<String> {
        let (left, all) = (slice.candidates.len() - shown.len(), slice.candidates.len());
        if left == 0 {
            return None;
        }
        let only: String = subject.executions.iter().map(|name| format!(" --execution {name}")).collect();
        let how =
            if only.is_empty() { format!("{}=full", self.replay) } else { format!("{}{only}", self.replay) };
        let names: Vec<String> = subject.executions.iter().map(named).collect();
        let about = if names.is_empty() { String::new() } else { format!(" about {}", names.join(" and ")) };
        Some(format!("  {:<13}{left} of {all} entries{about}: {how}", "left out:"))
    }
}

fn promise(number: u8) -> String {
    match Promise::of(number) {
        Some(Promise { name, source }) => format!("{number} {name} ({source})"),
        None => number.to_string(),
    }
}

fn wrongness(node: Node, clock: &WrongClock) -> Option<String> {
    let WrongClock { offset_ms, drift_ppm, .. } = *clock;
    let mut wrong = Vec::new();
    match offset_ms {
        0 => {}
        1.. => wrong.push(format!("{offset_ms} ms ahead")),
        _ => wrong.push(format!("{} ms behind", offset_ms.unsigned_abs())),
    }
    match drift_ppm {
        0 => {}
        1.. => wrong.push(format!("gains {drift_ppm} µs a second")),
        _ => wrong.push(format!("loses {} µs a second", drift_ppm.unsigned_abs())),
    }
    (!wrong.is_empty()).then(|| format!("{node} {}", wrong.join(", ")))
}

/// Chooses what fits into so many lines, the closest to the cause first.
fn choose(story: &Story, slice: &Slice<'_>, room: usize) -> BTreeSet<usize> {
    let mut heights = BTreeMap::new();
    let mut chosen = BTreeSet::new();
    for place in slice.ranked().into_iter().take(TRIED) {
        heights.insert(place, entry_lines(story, slice, place).len());
        chosen.insert(place);
        let height: usize = chosen.iter().map(|place| heights[place]).sum();
        if height + gaps(slice, &chosen).len() > room && chosen.len() > 1 {
            chosen.remove(&place);
        }
    }
    chosen
}

/// Where candidates are left out: how many before each of those that are shown, where there are any.
fn gaps(slice: &Slice<'_>, shown: &BTreeSet<usize>) -> BTreeMap<usize, usize> {
    let mut gaps = BTreeMap::new();
    let mut left = 0;
    for place in &slice.candidates {
        if !shown.contains(place) {
            left += 1;
        } else if left > 0 {
            gaps.insert(*place, std::mem::take(&mut left));
        }
    }
    gaps
}

fn tell(story: &Story, slice: &Slice<'_>, shown: &BTreeSet<usize>) -> Vec<String> {
    let gaps = gaps(slice, shown);
    let mut lines = Vec::new();
    for place in shown {
        lines.extend(gaps.get(place).map(|left| format!("{MARGIN}{:>9}  {left} left out", "…")));
        let is_broken = slice.candidates.last() == Some(place);
        for (n, line) in entry_lines(story, slice, *place).into_iter().enumerate() {
            let margin = if is_broken && n == 0 { BROKEN } else { MARGIN };
            lines.push(cut(&format!("{margin}{line}")));
        }
    }
    lines
}

fn entry_lines(story: &Story, slice: &Slice<'_>, place: usize) -> Vec<String> {
    let is_broken = slice.candidates.last() == Some(&place);
    let mut lines = story.entries[place].lines(if is_broken { Much::Life } else { Much::Short });
    if lines.len() > ENTRY_LINES {
        let more = lines.len() - (ENTRY_LINES - 1);
        lines.truncate(ENTRY_LINES - 1);
        lines.push(format!("{:26}└ … {more} more", ""));
    }
    lines
}

/// A line that is not longer than the screen is wide.
fn cut(line: &str) -> String {
    if line.chars().count() <= SCREEN_COLUMNS {
        return line.to_owned();
    }
    line.chars().take(SCREEN_COLUMNS - 1).chain(['…']).collect()
}

/// Breaks a text between words, and indents what follows the first line.
fn wrap(text: &str, indent: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let line = lines.last_mut().expect("there is one");
        if line.chars().count() + word.trim_end().chars().count() > SCREEN_COLUMNS && !line.trim().is_empty()
        {
            lines.push(format!("{:indent$}{word}", ""));
        } else {
            line.push_str(word);
        }
    }
    lines.iter().map(|line| cut(line.trim_end())).collect()
}
