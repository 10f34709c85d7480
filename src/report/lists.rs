//! The lists: the properties with the faults under which they hold, the profiles, and the findings.

use std::collections::BTreeSet;

use super::promise::Promise;
use crate::{finding::Finding, library::Mutant, plan::profile, property::catalogue, types::FaultClass};

/// What must hold: name and sentence, and below them the promises by number and the faults under which they are kept.
pub fn properties() -> String {
    let row = |entry: &'static crate::property::Entry| {
        let claim = format!("{:<18} {}", entry.name, entry.claim);
        let numbers: Vec<String> = entry.numbers.iter().map(u8::to_string).collect();
        let promises = if numbers.len() == 1 { "promise" } else { "promises" };
        format!(
            "{claim}\n{:<18} {promises} {}; holds under {}\n",
            "",
            numbers.join(", "),
            faults(&entry.holds_under())
        )
    };
    let all: String = catalogue::promises().map(row).collect();
    let classes: Vec<String> = FaultClass::ALL.iter().map(ToString::to_string).collect();
    format!("{all}\nfault classes: {}\n", classes.join(", "))
}

/// Fault classes in as few words as say which.
fn faults(holds_under: &BTreeSet<FaultClass>) -> String {
    let list =
        |classes: Vec<&FaultClass>| classes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let others: Vec<&FaultClass> =
        FaultClass::ALL.iter().filter(|class| !holds_under.contains(class)).collect();
    match (holds_under.len(), others.len()) {
        (_, 0) => "every fault".to_owned(),
        (0, _) => "no fault".to_owned(),
        (under, without) if without <= under => format!("every fault but {}", list(others)),
        _ => list(holds_under.iter().collect()),
    }
}

/// The profiles, a line each.
pub fn profiles() -> String {
    profile::PROFILES.iter().map(|profile| format!("{:<8} {}\n", profile.name, profile.about)).collect()
}

/// The known findings, a line a fingerprint: the folder, the promise, the fingerprint, and the versions of the library on
/// which it reproduces.
pub fn findings() -> String {
    let rows: Vec<[String; 4]> = Finding::all()
        .iter()
        .flat_map(|finding| {
            let versions = finding.versions.join(" ");
            finding.shows.iter().map(move |shown| {
                let property = shown.fingerprint.property();
                let numbers =
                    catalogue::find(property.as_str()).map(|entry| entry.numbers).unwrap_or_default();
                [finding.slug.clone(), promise(numbers), shown.fingerprint.to_string(), versions.clone()]
            })
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let (slug, promise, fingerprint) = (width(0), width(1), width(2));
    let line = |[a, b, c, versions]: &[String; 4]| {
        format!("{a:<slug$}  {b:<promise$}  {c:<fingerprint$}  {versions}\n")
    };
    rows.iter().map(line).collect()
}

/// The known findings in short, a line each: the folder, how many fingerprints it has, and the promise.
pub fn findings_in_short() -> String {
    let all = Finding::all();
    let widest = all.iter().map(|finding| finding.slug.len()).max().unwrap_or_default();
    let line = |finding: &Finding| {
        let property = finding.shows.first().map(|shown| shown.fingerprint.property());
        let entry = property.and_then(|property| catalogue::find(property.as_str()).ok());
        let promise = promise(entry.map(|entry| entry.numbers).unwrap_or_default());
        format!("{:<widest$}  {:>2}  {promise}\n", finding.slug, finding.shows.len())
    };
    all.iter().map(line).collect()
}

/// The kill matrix in short: of each property its kinds of violation, and how many mutants must show one of them.
pub fn oracles() -> String {
    let named: Vec<BTreeSet<String>> =
        Mutant::all().into_iter().map(|mutant| mutant.breaks.into_iter().collect()).collect();
    let row = |entry: &'static crate::property::Entry| {
        let of_it: BTreeSet<String> =
            entry.kinds.iter().map(|kind| format!("{}/{}", entry.name, kind.name)).collect();
        let mutants = named.iter().filter(|kinds| !kinds.is_disjoint(&of_it)).count();
        let shown = of_it.iter().filter(|kind| named.iter().any(|kinds| kinds.contains(*kind))).count();
        format!("{:<18} {shown:>2} of {:>2} kinds by {mutants:>2} mutants\n", entry.name, of_it.len())
    };
    catalogue::promises().map(row).collect()
}

/// The first of the promises that a property checks, with its name.
fn promise(numbers: &[u8]) -> String {
    let Some(number) = numbers.first() else { return String::new() };
    Promise::of(*number).map_or_else(|| number.to_string(), |promise| format!("{number} {}", promise.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_is_listed_with_its_promises_and_the_faults_under_which_it_holds() {
        let told = properties();
        for entry in catalogue::promises() {
            let (_, of_it) = told.split_once(entry.claim).expect(entry.name);
            let line = of_it.lines().nth(1).expect("a second line");
            assert!(line.contains("holds under "), "{}: {line}", entry.name);
            assert!(line.contains(&entry.numbers[0].to_string()), "{}: {line}", entry.name);
        }
    }

    #[test]
    fn faults_are_said_in_few_words_and_none_is_lost() {
        let all: BTreeSet<FaultClass> = FaultClass::ALL.iter().copied().collect();
        assert_eq!(faults(&all), "every fault");
        assert_eq!(faults(&BTreeSet::new()), "no fault");
        let without = all.iter().copied().filter(|class| *class != FaultClass::Clock).collect();
        assert_eq!(faults(&without), "every fault but clock");
        assert_eq!(faults(&[FaultClass::Pause, FaultClass::Crash].into()), "crash, pause");
    }

    #[test]
    fn every_fingerprint_of_every_finding_is_a_line_with_its_promise_and_its_versions() {
        let told = findings();
        for finding in Finding::all() {
            for shown in &finding.shows {
                let fingerprint = shown.fingerprint.to_string();
                let line = told.lines().find(|line| line.contains(&fingerprint)).expect("a line");
                assert!(
                    line.starts_with(&finding.slug) && line.ends_with(&finding.versions.join(" ")),
                    "{line}"
                );
            }
        }
        assert!(told.contains("  8 fence  "), "{told}");
    }
}
