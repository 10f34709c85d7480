//! Which functions of the library a hunt called, and what they answered: in two or three lines, and as a table.

use std::fmt::{Result, Write};

use crate::{
    property::Counts,
    types::{Answer, Function},
};

/// How wide the lines are that list names.
const COLUMNS: usize = 110;
/// Where what a line of the summary says begins.
const INDENT: usize = 11;

/// The table: each function of the library, how often it was called, and what it answered, the most frequent first.
pub fn functions(counts: &Counts) -> String {
    let mut out = String::new();
    for (function, answers) in &counts.answers {
        let mut by_count: Vec<(&Answer, &u64)> = answers.iter().collect();
        by_count.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let total: u64 = answers.values().sum();
        let said: Vec<String> = by_count.iter().map(|(answer, count)| format!("{answer} {count}")).collect();
        let said = if said.is_empty() { "never called".to_owned() } else { said.join(", ") };
        // A String takes all that is written to it.
        let _ = writeln!(out, "{:<40} {total:>8}  {said}", function.as_str());
    }
    out
}

/// How many functions were called and how many consented; and by name those that nobody called, and that never consented.
pub(super) fn write_brief(counts: &Counts, out: &mut String) -> Result {
    let all = counts.answers.len();
    if all == 0 {
        return Ok(());
    }
    let (called, uncalled): (Vec<_>, Vec<_>) =
        counts.answers.iter().partition(|(_, answers)| !answers.is_empty());
    let refused: Vec<&Function> = called
        .iter()
        .filter(|(function, answers)| !answers.keys().any(|answer| is_consent(function, answer)))
        .map(|(function, _)| *function)
        .collect();
    let consented = called.len() - refused.len();
    writeln!(out, "functions  {} of {all} called, {consented} of them consented", called.len())?;
    let uncalled: Vec<&Function> = uncalled.into_iter().map(|(function, _)| function).collect();
    write_names("uncalled", &uncalled, out)?;
    write_names("refused", &refused, out)?;
    write_absent(counts, out)
}

/// The functions that FlowFabric's latest library has and this one has not: nobody can call them. Of a library that has less
/// than half of them, as one of your own, the number says enough.
fn write_absent(counts: &Counts, out: &mut String) -> Result {
    // What the documentation names beside the other.
    let is_published = |function: &&Function| **function != Function::AcquireLease;
    let published = Function::KNOWN.iter().filter(is_published);
    let absent: Vec<&Function> =
        published.filter(|function| !counts.answers.contains_key(function)).collect();
    let all = Function::KNOWN.len() - 1;
    if absent.len() * 2 > all {
        return writeln!(
            out,
            "{:<INDENT$}{} of the {all} functions of the published library",
            "absent",
            absent.len()
        );
    }
    write_names("absent", &absent, out)
}

/// Whether an answer is a yes. A function with a grammar of its own says it in other words.
fn is_consent(function: &Function, answer: &Answer) -> bool {
    match answer {
        Answer::Consent(_) => true,
        Answer::Other => function.has_its_own_grammar(),
        Answer::Refusal(_) | Answer::Error(_) => false,
    }
}

/// Names with commas, in as many lines as they take.
fn write_names(title: &str, functions: &[&Function], out: &mut String) -> Result {
    let mut line = format!("{title:<INDENT$}");
    for (place, function) in functions.iter().enumerate() {
        let comma = if place + 1 < functions.len() { ", " } else { "" };
        let name = function.as_str();
        if line.len() + name.len() + comma.len() > COLUMNS && line.len() > INDENT {
            writeln!(out, "{}", line.trim_end())?;
            line = " ".repeat(INDENT);
        }
        line += name;
        line += comma;
    }
    if functions.is_empty() { Ok(()) } else { writeln!(out, "{}", line.trim_end()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of these functions, each with its answers.
    fn counts(functions: &[(&str, &[(&str, u64)])]) -> Counts {
        let answers =
            |list: &[(&str, u64)]| list.iter().map(|(word, count)| (Answer::from(*word), *count)).collect();
        let answers = functions.iter().map(|(name, list)| (Function::from(*name), answers(list))).collect();
        Counts { answers, ..Counts::default() }
    }

    fn brief(counts: &Counts) -> String {
        let mut out = String::new();
        write_brief(counts, &mut out).expect("a String takes all");
        out
    }

    #[test]
    fn what_nobody_called_and_what_never_consented_is_named() {
        let counts = counts(&[
            ("ff_renew_lease", &[("stale_lease", 3)]),
            ("ff_check_admission_and_record", &[("reply", 2)]),
            ("ff_claim_execution", &[("OK", 1), ("lease_conflict", 9)]),
            ("ff_replay_execution", &[("reply", 4), ("ERR", 1)]),
            ("ff_cancel_flow", &[]),
        ]);
        assert_eq!(
            brief(&counts),
            "functions  4 of 5 called, 2 of them consented\n\
             uncalled   ff_cancel_flow\n\
             refused    ff_renew_lease, ff_replay_execution\n\
             absent     54 of the 59 functions of the published library\n"
        );
    }

    #[test]
    fn where_all_is_called_there_is_one_line_and_where_nothing_is_known_none() {
        let yes: &[(&str, u64)] = &[("reply", 1), ("OK", 1)];
        let mut all: Vec<_> = Function::KNOWN.iter().map(|function| (function.as_str(), yes)).collect();
        assert_eq!(brief(&counts(&all)), "functions  60 of 60 called, 60 of them consented\n");
        all.retain(|(name, _)| *name != "ff_renew_lease" && *name != "ff_acquire_lease");
        assert!(brief(&counts(&all)).ends_with("\nabsent     ff_renew_lease\n"), "{}", brief(&counts(&all)));
        assert_eq!(brief(&Counts::default()), "");
    }

    #[test]
    fn long_lists_take_more_lines_and_lose_no_name() {
        let none: &[(&str, u64)] = &[];
        let all: Vec<_> = Function::KNOWN.iter().map(|function| (function.as_str(), none)).collect();
        let told = brief(&counts(&all));
        assert!(told.lines().all(|line| line.len() <= COLUMNS), "{told}");
        for function in Function::KNOWN {
            let name = function.as_str();
            assert!(told.split([' ', ',', '\n']).any(|word| word == name), "{name}: {told}");
        }
    }

    #[test]
    fn the_table_has_every_function_with_its_answers_the_most_frequent_first() {
        let told = functions(&counts(&[
            ("ff_claim_execution", &[("OK", 1), ("lease_conflict", 9)]),
            ("ff_version", &[]),
        ]));
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[0].ends_with("      10  lease_conflict 9, OK 1"), "{told}");
        assert!(lines[1].ends_with("       0  never called"), "{told}");
    }
}
