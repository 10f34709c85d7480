//! What came of the mutants: mutants by properties, with the seeds that each took; which live; and which kinds no mutant
//! shows. The JSON that `--json` writes is made here: its names are a promise, see the README.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::UNSHOWABLE;
use crate::{
    finding::Finding,
    hunt::{Exit, Failed},
    property::KindName,
};

/// What came of all mutants.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// A mutant of a library each.
    pub rows: Vec<Row>,
    /// How many seeds each start had at most.
    pub seeds: u64,
    /// How many starts.
    pub starts: u64,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

/// What came of one mutant of one library.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The mutant.
    pub mutant: String,
    /// What it breaks, in words.
    pub sentence: String,
    /// The library's name.
    pub library: String,
    /// The profile that its plans were drawn from.
    pub profile: String,
    /// The kinds that it names: each must be shown.
    pub names: Vec<KindName>,
    /// What each start showed, in order.
    pub starts: Vec<Start>,
}

/// What came of one start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start {
    /// The kinds that were shown, and after how many seeds. It ends once all were that the mutant names: what another
    /// kind would have taken longer for is not known.
    pub shown: BTreeMap<KindName, u64>,
    /// The seeds that showed one of the kinds which the mutant names before any other did, counted from the start.
    pub showed: BTreeSet<u64>,
    /// How many seeds were run.
    pub seeds: u64,
    /// The runs that did not come to their end: token, reason, and what the process says of it.
    pub failed: Vec<(String, String, Exit)>,
}

/// A kind that a mutant names and that its hunts do not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// The mutant.
    pub mutant: String,
    /// The library.
    pub library: String,
    /// The kind.
    pub kind: KindName,
    /// How many of its starts showed it: not most.
    pub shown_by: usize,
}

impl Row {
    /// After how many seeds a kind is shown: the median of the starts, if most of them show it.
    pub fn median(&self, kind: KindName) -> Option<u64> {
        self.middle(|start| start.shown.get(&kind).copied())
    }

    /// After how many seeds the mutant is dead, every kind shown that it names: the median of the starts.
    pub fn seeds(&self) -> Option<u64> {
        self.middle(|start| {
            let all: Option<Vec<u64>> =
                self.names.iter().map(|kind| start.shown.get(kind).copied()).collect();
            all?.into_iter().max()
        })
    }

    /// The middle of what the starts took, where a start that took forever comes last. Of an even number, the later.
    fn middle(&self, took: impl Fn(&Start) -> Option<u64>) -> Option<u64> {
        let mut all: Vec<u64> = self.starts.iter().map(|start| took(start).unwrap_or(u64::MAX)).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().filter(|took| *took != u64::MAX)
    }

    /// Every kind that most starts show, named or not.
    pub fn kinds(&self) -> BTreeMap<KindName, u64> {
        let all: BTreeSet<KindName> =
            self.starts.iter().flat_map(|start| start.shown.keys().copied()).collect();
        all.into_iter().filter_map(|kind| Some((kind, self.median(kind)?))).collect()
    }

    /// The kinds that it names and that most starts do not show.
    pub fn lives(&self) -> Vec<Life> {
        let lives = |kind: &KindName| Life {
            mutant: self.mutant.clone(),
            library: self.library.clone(),
            kind: *kind,
            shown_by: self.starts.iter().filter(|start| start.shown.contains_key(kind)).count(),
        };
        self.names.iter().filter(|kind| self.median(**kind).is_none()).map(lives).collect()
    }
}

impl Matrix {
    /// The kinds that mutants name and that their hunts do not show.
    pub fn survivors(&self) -> Vec<Life> {
        self.rows.iter().flat_map(Row::lives).collect()
    }

    /// Whether a mutant lives.
    pub fn has_survivors(&self) -> bool {
        self.rows.iter().any(|row| !row.lives().is_empty())
    }

    /// The kinds of the catalogue that no mutant of these shows, and that are not said to be unshowable. What a finding shows,
    /// the published library shows without any help.
    pub fn not_shown(&self) -> Vec<KindName> {
        let by_findings = Finding::all().into_iter().flat_map(|finding| finding.shows);
        let by_findings = by_findings.map(|shown| shown.fingerprint.kind_name());
        let by_mutants = self.rows.iter().flat_map(|row| row.kinds().into_keys());
        let shown: BTreeSet<KindName> = by_mutants.chain(by_findings).collect();
        let excused: BTreeSet<String> = UNSHOWABLE.iter().map(|(kind, _)| (*kind).to_owned()).collect();
        KindName::all().filter(|kind| !shown.contains(kind) && !excused.contains(&kind.to_string())).collect()
    }

    /// The runs that did not come to their end, one a mutant of a library and reason.
    pub fn failed(&self) -> Vec<Failed> {
        let mut all = Vec::new();
        for row in &self.rows {
            let mut by_reason: BTreeMap<&str, Failed> = BTreeMap::new();
            for (token, message, exit) in row.starts.iter().flat_map(|start| &start.failed) {
                let first = || Failed {
                    token: Some(token.clone()),
                    message: format!("the mutant {} of {}: {message}", row.mutant, row.library),
                    seeds: 0,
                    exit: *exit,
                };
                by_reason.entry(message).or_insert_with(first).seeds += 1;
            }
            all.extend(by_reason.into_values());
        }
        all
    }

    /// The mutants by name, each with its rows: one a library.
    pub fn by_mutant(&self) -> BTreeMap<&str, Vec<&Row>> {
        let mut by_mutant: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in &self.rows {
            by_mutant.entry(&row.mutant).or_default().push(row);
        }
        by_mutant
    }

    /// What is said in JSON.
    pub fn to_json(&self) -> MatrixJson {
        let mutants: Vec<MutantJson> = self.by_mutant().into_values().map(MutantJson::of).collect();
        let mut kills: BTreeMap<&'static str, usize> =
            KindName::all().map(|kind| (kind.property().as_str(), 0)).collect();
        for property in mutants.iter().flat_map(|mutant| &mutant.killed_by) {
            *kills.entry(property).or_default() += 1;
        }
        MatrixJson {
            oracles: kills.into_iter().map(|(property, kills)| OracleJson { property, kills }).collect(),
            mutants,
            survivors: self
                .survivors()
                .iter()
                .map(|life| format!("{} of {}: {}", life.mutant, life.library, life.kind))
                .collect(),
            not_shown: self.not_shown().iter().map(ToString::to_string).collect(),
            unshowable: UNSHOWABLE.iter().copied().collect(),
            seeds: self.seeds,
            starts: self.starts,
            interrupted: self.interrupted,
        }
    }
}

/// The matrix in JSON.
#[derive(Debug, Serialize)]
pub struct MatrixJson {
    mutants: Vec<MutantJson>,
    oracles: Vec<OracleJson>,
    survivors: Vec<String>,
    not_shown: Vec<String>,
    unshowable: BTreeMap<&'static str, &'static str>,
    seeds: u64,
    starts: u64,
    interrupted: bool,
}

#[derive(Debug, Serialize)]
struct MutantJson {
    name: String,
    about: String,
    /// The properties that show it, named or not.
    killed_by: BTreeSet<&'static str>,
    /// After how many seeds it is dead, on the slowest library; nothing where it lives.
    seeds: Option<u64>,
    /// The seeds that each kind took, on the slowest library that shows it.
    kinds: BTreeMap<String, u64>,
    libraries: Vec<String>,
    profile: String,
}

#[derive(Debug, Serialize)]
struct OracleJson {
    property: &'static str,
    kills: usize,
}

impl MutantJson {
    fn of(rows: Vec<&Row>) -> Self {
        let mut kinds: BTreeMap<KindName, u64> = BTreeMap::new();
        for (kind, seeds) in rows.iter().flat_map(|row| row.kinds()) {
            let slowest = kinds.entry(kind).or_default();
            *slowest = seeds.max(*slowest);
        }
        let seeds: Option<Vec<u64>> = rows.iter().map(|row| row.seeds()).collect();
        Self {
            name: rows[0].mutant.clone(),
            about: rows[0].sentence.clone(),
            killed_by: kinds.keys().map(|kind| kind.property().as_str()).collect(),
            seeds: seeds.and_then(|seeds| seeds.into_iter().max()),
            kinds: kinds.into_iter().map(|(kind, seeds)| (kind.to_string(), seeds)).collect(),
            libraries: rows.iter().map(|row| row.library.clone()).collect(),
            profile: rows[0].profile.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> KindName {
        text.parse().expect("a kind")
    }

    /// A row of three starts in which the kinds were shown after so many seeds, or not.
    fn row(library: &str, shown: [&[(&str, u64)]; 3]) -> Row {
        let start = |shown: &[(&str, u64)]| Start {
            shown: shown.iter().map(|(text, seeds)| (kind(text), *seeds)).collect(),
            showed: BTreeSet::new(),
            seeds: 9,
            failed: Vec::new(),
        };
        Row {
            mutant: "m".to_owned(),
            sentence: "It breaks.".to_owned(),
            library: library.to_owned(),
            profile: "swarm".to_owned(),
            names: vec![kind("fence/no-lease"), kind("lane/core")],
            starts: shown.map(start).into(),
        }
    }

    fn matrix(rows: Vec<Row>) -> Matrix {
        Matrix { rows, seeds: 9, starts: 3, interrupted: false }
    }

    #[test]
    fn the_median_is_of_all_starts_and_what_most_do_not_show_has_none() {
        let row = row(
            "l",
            [
                &[("fence/no-lease", 7), ("lane/core", 1), ("expiry/no-grant", 2)],
                &[("fence/no-lease", 2)],
                &[("fence/no-lease", 3), ("expiry/no-grant", 9)],
            ],
        );
        assert_eq!(row.median(kind("fence/no-lease")), Some(3));
        assert_eq!(row.median(kind("lane/core")), None);
        assert_eq!(row.median(kind("expiry/no-grant")), Some(9));
        assert_eq!(row.seeds(), None);
        let lives = row.lives();
        assert_eq!(lives.len(), 1);
        assert_eq!((lives[0].kind, lives[0].shown_by), (kind("lane/core"), 1));
    }

    #[test]
    fn a_mutant_is_dead_once_all_that_it_names_is_shown_on_every_library() {
        let both: &[(&str, u64)] = &[("fence/no-lease", 2), ("lane/core", 5)];
        let late: &[(&str, u64)] = &[("fence/no-lease", 8), ("lane/core", 1)];
        let json = |rows| serde_json::to_value(matrix(rows).to_json()).expect("plain data");
        let quick = row("quick", [both, both, late]);
        assert_eq!(quick.seeds(), Some(5));
        let told = json(vec![quick.clone(), row("slow", [late, late, both])]);
        assert_eq!(
            (&told["mutants"][0]["seeds"], &told["mutants"][0]["killed_by"]),
            (&8.into(), &["fence", "lane"][..].into())
        );
        assert_eq!(told["mutants"][0]["kinds"]["lane/core"], 5);
        let kills = |property: &str| {
            let all = told["oracles"].as_array().expect("a list");
            all.iter().find(|it| it["property"] == property).expect("it is listed")["kills"].clone()
        };
        assert_eq!((kills("lane"), kills("eligible")), (1.into(), 0.into()));
        let lives = json(vec![quick, row("other", [&[], &[], both])]);
        assert!(lives["mutants"][0]["seeds"].is_null());
        assert_eq!(lives["survivors"][0], "m of other: fence/no-lease");
    }

    #[test]
    fn a_kind_that_no_mutant_shows_is_named_unless_there_is_a_reason() {
        let both: &[(&str, u64)] = &[("fence/no-lease", 2), ("lane/core", 5)];
        let missing = matrix(vec![row("l", [both, both, both])]).not_shown();
        assert!(missing.contains(&kind("one-lease/live-lease")) && !missing.contains(&kind("lane/core")));
        for (excused, reason) in UNSHOWABLE {
            assert!(!missing.contains(&kind(excused)), "{excused} is excused: {reason}");
        }
    }
}
