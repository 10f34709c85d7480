//! What came of the mutants, as text: a line a mutant with the properties that show it and the seeds that each took.

use std::{
    collections::BTreeMap,
    fmt::{Result, Write},
};

use crate::hunt::mutants::{Matrix, Row, UNSHOWABLE};

/// Describes what came of the mutants. Where a mutant lives, or a kind has none, the last lines say so.
pub fn mutants(matrix: &Matrix, is_whole: bool) -> String {
    let mut out = String::new();
    write(matrix, is_whole, &mut out).expect("a String takes all that is written to it");
    out
}

fn write(matrix: &Matrix, is_whole: bool, out: &mut String) -> Result {
    let by_mutant = matrix.by_mutant();
    let widest = by_mutant.keys().map(|name| name.len()).max().unwrap_or_default();
    writeln!(
        out,
        "after how many seeds each property shows a mutant: the median of {}, on the slower library where it suits several",
        many(matrix.starts, "start")
    )?;
    for (name, rows) in &by_mutant {
        let profile = &rows[0].profile;
        let profile = if profile == crate::plan::profile::DEFAULT { "" } else { profile };
        writeln!(out, "{name:<widest$}  {profile:<8} {}", properties(rows))?;
    }
    let survivors = matrix.survivors();
    for life in &survivors {
        writeln!(
            out,
            "lives      {} of {}: {} starts of {} show {} within {}",
            life.mutant,
            life.library,
            life.shown_by,
            matrix.starts,
            life.kind,
            many(matrix.seeds, "seed")
        )?;
    }
    let not_shown = if is_whole { matrix.not_shown() } else { Vec::new() };
    for kind in &not_shown {
        writeln!(out, "not shown  {kind}: no mutant shows it")?;
    }
    for (kind, reason) in UNSHOWABLE.iter().filter(|_| is_whole) {
        writeln!(out, "no mutant  {kind}: {reason}")?;
    }
    let lives = by_mutant.values().filter(|rows| rows.iter().any(|row| !row.lives().is_empty())).count();
    write!(out, "{}, {lives} of them live", many(by_mutant.len() as u64, "mutant"))?;
    match is_whole {
        true => writeln!(out, "; {} no mutant shows", many(not_shown.len() as u64, "kind")),
        false => writeln!(out),
    }
}

fn many(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The properties that show a mutant, the quickest first. Those whose kinds it names stand without brackets: they must.
fn properties(rows: &[&Row]) -> String {
    let mut seeds: BTreeMap<&str, u64> = BTreeMap::new();
    for row in rows {
        // The first kind of a property is when the property shows it.
        let mut of_row: BTreeMap<&str, u64> = BTreeMap::new();
        for (kind, took) in row.kinds() {
            let least = of_row.entry(kind.property().as_str()).or_insert(took);
            *least = took.min(*least);
        }
        for (property, took) in of_row {
            let slowest = seeds.entry(property).or_default();
            *slowest = took.max(*slowest);
        }
    }
    let is_named = |property: &str| rows[0].names.iter().any(|kind| kind.property() == property);
    let mut listed: Vec<(u64, &str)> = seeds.into_iter().map(|(property, took)| (took, property)).collect();
    listed.sort_unstable();
    let told = listed.into_iter().map(|(took, property)| match is_named(property) {
        true => format!("{property} {took}"),
        false => format!("({property} {took})"),
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { "-".to_owned() } else { told.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hunt::mutants::Start;

    fn row(library: &str, shown: &[(&str, u64)]) -> Row {
        let start = Start {
            shown: shown.iter().map(|(kind, seeds)| (kind.parse().expect("a kind"), *seeds)).collect(),
            seeds: 9,
            ..Start::default()
        };
        Row {
            mutant: "keep-grant".to_owned(),
            sentence: "It breaks.".to_owned(),
            library: library.to_owned(),
            profile: "swarm".to_owned(),
            names: vec!["lane/core".parse().expect("a kind"), "lane/grant".parse().expect("a kind")],
            starts: vec![start],
        }
    }

    fn told(rows: Vec<Row>, is_whole: bool) -> String {
        mutants(&Matrix { rows, seeds: 9, starts: 1, interrupted: false }, is_whole)
    }

    #[test]
    fn a_mutant_is_a_line_with_the_seeds_of_the_slower_library() {
        let quick = row("one", &[("lane/core", 1), ("lane/grant", 8), ("fence/no-lease", 7)]);
        let slow = row("two", &[("lane/core", 4), ("lane/grant", 3)]);
        let told = told(vec![quick, slow], false);
        assert!(told.contains("keep-grant           lane 3, (fence 7)\n"), "{told}");
        assert!(told.ends_with("1 mutant, 0 of them live\n"), "{told}");
    }

    #[test]
    fn what_lives_and_which_kinds_have_no_mutant_is_said() {
        let told = told(vec![row("one", &[("lane/core", 1)])], true);
        assert!(
            told.contains("lives      keep-grant of one: 0 starts of 1 show lane/grant within 9 seeds"),
            "{told}"
        );
        assert!(told.contains("not shown  one-lease/live-lease: no mutant shows it"), "{told}");
        assert!(told.contains("1 mutant, 1 of them live; "), "{told}");
        for (kind, reason) in UNSHOWABLE {
            assert!(told.contains(&format!("no mutant  {kind}: {reason}")), "{told}");
        }
    }
}
