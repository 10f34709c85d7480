//! A comparison of two libraries for people: what differs, how often, and the two calls side by side.

use std::fmt::{Display, Write};

use super::difference::parting;
use crate::{
    compare::{Change, Example, Found, Kind, Part, Report, Row, SideBySide},
    library::LibraryRef,
};

/// How many parts that differ are shown of one call.
const MOST_ROWS: usize = 12;
/// How much of a text is shown whole.
const WHOLE: usize = 100;
/// How much of an argument is shown.
const ARGUMENT: usize = 48;
/// How wide a line of arguments is.
const WIDTH: usize = 100;

/// Describes what came of a comparison. `show` is the command line that shows the smallest plan of a difference.
pub fn comparison(report: &Report, show: impl Fn(&Found) -> String) -> String {
    let mut out = String::new();
    // A String never refuses.
    let same = if report.old.sha256 == report.new.sha256 { ", the same text" } else { "" };
    let _ = writeln!(out, "old         {}", library(&report.old, report.old_says.as_deref()));
    let _ = writeln!(out, "new         {}{same}", library(&report.new, report.new_says.as_deref()));
    let interrupted = if report.interrupted { ", interrupted" } else { "" };
    let _ = writeln!(
        out,
        "compared    {} of {} from {} on{interrupted}",
        count(report.calls, "call"),
        count(report.seeds, "seed"),
        report.first_token
    );
    if report.passed_over > 0 {
        let _ = writeln!(
            out,
            "passed over {} of functions that had not returned in the same run",
            count(report.passed_over, "call")
        );
    }
    if report.spelt_otherwise > 0 {
        let _ = writeln!(
            out,
            "respelt     {}: the same state, written by other commands",
            count(report.spelt_otherwise, "call")
        );
    }
    if !report.not_called.is_empty() {
        out += &not_called(report);
    }
    listed(report, &mut out);
    for group in groups(report) {
        out.push('\n');
        block(&group, report.seeds, &show, &mut out);
    }
    out
}

/// The functions that no plan called.
fn not_called(report: &Report) -> String {
    let functions = count(report.not_called.len() as u64, "function");
    if report.not_called_edited.is_empty() {
        return format!("not called  {functions}; their text is the same\n");
    }
    let edited: Vec<&str> = report.not_called_edited.iter().map(|function| function.as_str()).collect();
    let names = wrapped(&edited, "            ");
    format!("not called  {functions}: what they do was not compared, and the text differs of\n{names}")
}

/// All differences in a line each: those to review, those that are accepted, those that were accepted and not met.
fn listed(report: &Report, out: &mut String) {
    let (accepted, new): (Vec<&Found>, Vec<&Found>) =
        report.differences.iter().partition(|found| found.accepted.is_some());
    let _ = match (new.len(), accepted.len()) {
        (0, 0) => writeln!(out, "no difference"),
        (0, n) => writeln!(out, "no difference but for {n} accepted"),
        (n, 0) => writeln!(out, "{}", count(n as u64, "difference")),
        (n, m) => writeln!(out, "{}, and {m} accepted", count(n as u64, "difference")),
    };
    let line = |found: &Found| format!("{:>9} {:>7}  {}", found.calls, found.seeds, found.difference);
    if !report.differences.is_empty() {
        let _ = writeln!(out, "{:>9} {:>7}", "calls", "seeds");
    }
    for found in new {
        let _ = writeln!(out, "{}", line(found));
    }
    for found in accepted {
        let why = found.accepted.as_deref().unwrap_or_default();
        let _ = writeln!(out, "{}  (accepted{}{why})", line(found), if why.is_empty() { "" } else { ": " });
    }
    for name in &report.not_met {
        let _ =
            writeln!(out, "{:>9} {:>7}  {name}  (accepted, and not met: stale, or too few seeds)", "-", "-");
    }
}

/// The differences to review that have an example; those that one call of one plan shows together.
fn groups(report: &Report) -> Vec<Vec<(&Found, &Example)>> {
    let mut groups: Vec<Vec<(&Found, &Example)>> = Vec::new();
    let shown = report.differences.iter().filter(|found| found.accepted.is_none());
    for (found, example) in shown.filter_map(|found| Some((found, found.example.as_ref()?))) {
        let is_same = |group: &&mut Vec<(&Found, &Example)>| {
            let (_, other) = group[0];
            other.call.event == example.call.event && other.plan == example.plan
        };
        match groups.iter_mut().find(is_same) {
            Some(group) => group.push((found, example)),
            None => groups.push(vec![(found, example)]),
        }
    }
    groups
}

fn block(group: &[(&Found, &Example)], seeds: u64, show: &impl Fn(&Found) -> String, out: &mut String) {
    let (first, example) = group[0];
    for (found, _) in group {
        let _ = writeln!(out, "{}", found.difference);
        let _ = writeln!(
            out,
            "  {}: {}, {} of {seeds}",
            sentence(&found.difference.kind),
            count(found.calls, "call"),
            count(found.seeds, "seed")
        );
    }
    let call = &example.call;
    let minimal = if example.minimal { ", 1-minimal" } else { "" };
    let _ = writeln!(out, "  smallest plan: {}{minimal}", example.size);
    let _ = writeln!(out, "  show it:       {}", show(first));
    let about = call.execution.as_ref().map(|name| format!(" for {name}")).unwrap_or_default();
    let _ = writeln!(
        out,
        "  {} calls {}{about}, event {} at {}.{:03} ms, server {}",
        call.caller,
        first.difference.function,
        call.event,
        call.at.0 / 1_000,
        call.at.0 % 1_000,
        call.server_ms.0
    );
    let argv: Vec<String> =
        call.argv.iter().map(|arg| format!("{:?}", short(&named(call, arg), ARGUMENT))).collect();
    let _ = write!(out, "    ARGV\n{}", wrapped(&argv, "      "));
    let new_reply = call.new_reply.as_ref();
    if new_reply == Some(&call.old_reply) {
        let _ = writeln!(
            out,
            "    reply, the same\n      both    {}",
            short(&named(call, &call.old_reply), WHOLE)
        );
    } else {
        values(out, call, "reply", [None, Some(&call.old_reply), new_reply], false);
    }
    let rows: Vec<&Row> =
        group.iter().flat_map(|(_, example)| &example.call.rows).filter(|row| row.key.is_some()).collect();
    for row in rows.iter().take(MOST_ROWS) {
        let values_of = [row.before.as_ref(), row.old.as_ref(), row.new.as_ref()];
        values(out, call, &label(call, row), values_of, true);
    }
    if rows.len() > MOST_ROWS {
        let _ = writeln!(out, "    … and {} parts more", rows.len() - MOST_ROWS);
    }
}

/// Where a row is: `exec:core of e1, KEYS[2]: lease_expires_at`.
fn label(call: &SideBySide, row: &Row) -> String {
    let key = row.key.as_deref().unwrap_or_default();
    let owner = call.names.iter().find(|(id, _)| key.contains(id));
    let owner = owner.map(|(_, name)| format!(" of {name}")).unwrap_or_default();
    let place = match call.keys.iter().position(|given| given == key) {
        Some(place) => format!("KEYS[{}]", place + 1),
        None => "not in KEYS".to_owned(),
    };
    let what = if row.what.is_empty() { String::new() } else { format!(": {}", named(call, &row.what)) };
    format!("{}{owner}, {place}{what}", row.place)
}

/// What something was, and what each library made of it.
fn values(out: &mut String, call: &SideBySide, label: &str, values: [Option<&String>; 3], with_before: bool) {
    let [before, old, new] = values.map(|value| value.map(|value| named(call, value)));
    let (old_text, new_text) = match (&old, &new) {
        (Some(old), Some(new)) if old.chars().count().max(new.chars().count()) > WHOLE => parting(old, new),
        _ => (shown(old.as_deref()), shown(new.as_deref())),
    };
    let number =
        |text: &Option<String>| text.as_ref().and_then(|text| text.trim_matches('"').parse::<i64>().ok());
    let by = match (number(&old), number(&new)) {
        (Some(old), Some(new)) => format!("  ({:+})", i128::from(new) - i128::from(old)),
        _ => String::new(),
    };
    let _ = writeln!(out, "    {label}");
    if with_before {
        let _ = writeln!(out, "      before  {}", shown(before.as_deref()));
    }
    let _ = writeln!(out, "      old     {old_text}\n      new     {new_text}{by}");
}

fn shown(value: Option<&str>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| short(value, WHOLE))
}

/// A kind of difference as a sentence.
fn sentence(kind: &Kind) -> String {
    match kind {
        Kind::OnlyIn(side) => format!("only the {side} library has the function"),
        Kind::NeverReturns(side) => format!("the function does not return in the {side} library"),
        Kind::Answer { old, new } => format!("the old library answers {old}, the new one {new}"),
        Kind::Reply { answer, part, change } => {
            let part = part.to_string().replace('-', " ");
            match change {
                Change::Missing => format!("{part} of the reply {answer} is missing in the new library"),
                Change::Extra => format!("{part} of the reply {answer} is new"),
                Change::Other => format!("{part} of the reply {answer} is another"),
            }
        }
        Kind::State { key, part, change } => {
            let what = match part {
                Part::Key => format!("whether {key} is there"),
                Part::Type => format!("the type of {key}"),
                Part::Text => format!("the text of {key}"),
                Part::Field(name) => format!("field {name} of {key}"),
                Part::Member => format!("a member of {key}"),
                Part::Score => format!("a score in {key}"),
                Part::Elements => format!("the elements of {key}"),
                Part::Entry => format!("an entry of {key}"),
                Part::Stream => format!("the ids or groups of {key}"),
                Part::Ttl => format!("when {key} expires"),
            };
            match change {
                Change::Missing => format!("{what}: the old library changes it, the new one does not"),
                Change::Extra => format!("{what}: the new library changes it, the old one does not"),
                Change::Other => format!("{what}: both change it, and differ"),
            }
        }
    }
}

fn library(library: &LibraryRef, says: Option<&str>) -> String {
    let sha256 = library.sha256.get(..12).unwrap_or_default();
    let says = says.map(|version| format!(", which says it is {version}")).unwrap_or_default();
    if library.version.contains(sha256) {
        format!("{}{says}", library.version)
    } else {
        format!("{} {}@{sha256}{says}", library.name, library.version)
    }
}

/// A text with the names of executions for their ids.
fn named(call: &SideBySide, text: &str) -> String {
    call.names.iter().fold(text.to_owned(), |text, (id, name)| text.replace(&**id, name.as_str()))
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// Words in lines, separated by commas.
fn wrapped(words: &[impl Display], indent: &str) -> String {
    let (mut out, mut line) = (String::new(), String::new());
    for (place, word) in words.iter().enumerate() {
        let word = format!("{word}{}", if place + 1 < words.len() { "," } else { "" });
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out += &format!("{indent}{line}\n");
            line.clear();
        }
        line += &format!("{}{word}", if line.is_empty() { "" } else { " " });
    }
    if !line.is_empty() {
        out += &format!("{indent}{line}\n");
    }
    out
}

fn count(n: u64, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}
