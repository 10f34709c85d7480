//! The tests are tested: each mutant breaks the protocol in one way, and a hunt must notice, and say what kind of violation
//! it is.
//!
//! A mutant is hunted on every library that it suits, from several starts, each time until every kind that it names was
//! shown. A kind that a library shows by itself, in the same plan and by the same call, is no merit of the mutant. What comes
//! of it is a [`Matrix`]: mutants by properties. How it is told stands in `report`.

mod matrix;
mod unshowable;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
};

pub use matrix::{Life, Matrix, Row, Start};
pub use unshowable::UNSHOWABLE;

use super::{Exit, Hunt, Stop, Until, side_by_side::of_each};
use crate::{
    drive::{LoadError, RunError, Subject},
    library::Mutant,
    plan::{
        Plan,
        profile::{self, UnknownProfile},
        token::Token,
    },
    property::{Fingerprint, FingerprintError, KindName},
};

/// How far one start is from the next, in seeds.
const STRIDE: u64 = 1 << 20;

/// Which mutants to hunt, and for how long.
pub struct Mutants {
    /// The libraries as they are: a mutant is hunted on each that it suits.
    pub libraries: Vec<Subject>,
    /// The mutants.
    pub mutants: Vec<Mutant>,
    /// How many seeds from each start. A kind that so many do not show is not shown.
    pub seeds: u64,
    /// From how many starts. What most of them show is shown.
    pub starts: NonZero<u64>,
    /// How many runs at a time. The result does not depend on it.
    pub jobs: NonZero<usize>,
    /// The profile for all of them, where it is not the one that each mutant names, or the default one.
    pub profile: Option<String>,
    /// The seeds that are known to show a mutant, counted from the start, by library and mutant: they are run before all
    /// others. As [`Start::showed`] tells them.
    pub first: KnownSeeds,
}

/// Seeds by the names of a library and of a mutant, in the order in which they are run.
pub type KnownSeeds = BTreeMap<String, BTreeMap<String, Vec<u64>>>;

/// Mutants cannot be hunted.
#[derive(Debug, thiserror::Error)]
pub enum MutantsError {
    /// The catalogue lacks a kind that one names.
    #[error("the mutant {mutant} names a kind of violation that there is not: {source}")]
    Kind {
        /// The mutant.
        mutant: String,
        /// Why.
        source: FingerprintError,
    },
    /// There is no such profile.
    #[error("the mutant {mutant}: {source}")]
    Profile {
        /// The mutant.
        mutant: String,
        /// Why.
        source: UnknownProfile,
    },
    /// The changed library does not load.
    #[error("the mutant {mutant}: {source}")]
    Load {
        /// The mutant.
        mutant: String,
        /// Why.
        source: LoadError,
    },
}

/// One mutant of one library.
struct Pair<'a> {
    mutant: &'a Mutant,
    kinds: Vec<KindName>,
    unchanged: &'a Subject,
    changed: Subject,
    profile: &'a str,
}

impl Mutants {
    /// Hunts them all, and tells how many starts are done, and of how many.
    ///
    /// Where it is to stop, the rows are of what was done by then.
    ///
    /// # Errors
    /// [`MutantsError`]: a mutant's file says what cannot be.
    pub fn run(&self, stop: &Stop, progress: impl Fn(usize, usize) + Sync) -> Result<Matrix, MutantsError> {
        let pairs = self.pairs()?;
        let starts = self.starts.get();
        let work: Vec<(usize, u64)> =
            (0..pairs.len()).flat_map(|pair| (0..starts).map(move |start| (pair, start))).collect();
        let (unchanged, count) = (Unchanged::default(), Mutex::new(0));
        progress(0, work.len());
        let done = of_each(&work, self.jobs.get(), |&(pair, start)| {
            let result = (!stop.is_asked()).then(|| self.hunt(&pairs[pair], start, &unchanged, stop))?;
            let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
            *count += 1;
            progress(*count, work.len());
            Some(result)
        });
        let mut done = done.into_iter();
        let rows = pairs.iter().map(|pair| Row {
            mutant: pair.mutant.name.clone(),
            sentence: pair.mutant.sentence.clone(),
            library: pair.unchanged.library.name().to_owned(),
            profile: pair.profile.to_owned(),
            names: pair.kinds.clone(),
            starts: done.by_ref().take(starts as usize).flatten().collect(),
        });
        Ok(Matrix { rows: rows.collect(), seeds: self.seeds, starts, interrupted: stop.is_asked() })
    }

    fn pairs(&self) -> Result<Vec<Pair<'_>>, MutantsError> {
        let mut pairs = Vec::new();
        for mutant in &self.mutants {
            let name = || mutant.name.clone();
            let kinds: Result<Vec<KindName>, _> = mutant.breaks.iter().map(|text| text.parse()).collect();
            let kinds = kinds.map_err(|source| MutantsError::Kind { mutant: name(), source })?;
            let profile = self.profile.as_deref().or(mutant.profile.as_deref()).unwrap_or(profile::DEFAULT);
            Token::new(profile, 0).map_err(|source| MutantsError::Profile { mutant: name(), source })?;
            for unchanged in self.libraries.iter().filter(|it| mutant.suits(&it.library)) {
                let changed = Subject::new(unchanged.library.mutant(mutant))
                    .map_err(|source| MutantsError::Load { mutant: name(), source })?;
                pairs.push(Pair { mutant, kinds: kinds.clone(), unchanged, changed, profile });
            }
        }
        Ok(pairs)
    }

    /// Hunts one mutant of one library from one start, until every kind that it names was shown.
    fn hunt(&self, pair: &Pair<'_>, start: u64, unchanged: &Unchanged, stop: &Stop) -> Start {
        let first = Token::new(pair.profile, start * STRIDE).expect("the profile was looked up");
        let hunt = Hunt::new(pair.changed.clone(), first, Until::Seeds(self.seeds));
        let mut came = Start::default();
        let known = self.first.get(pair.unchanged.library.name());
        let known = known.and_then(|mutants| mutants.get(&pair.mutant.name)).cloned().unwrap_or_default();
        let others = (0..self.seeds).filter(|seed| !known.contains(seed));
        for seed in known.iter().copied().chain(others) {
            let is_missing = |kind: &KindName| !came.shown.contains_key(kind);
            if !pair.kinds.iter().any(is_missing) || stop.is_asked() {
                break;
            }
            let token = hunt.token(seed);
            let plan = hunt.plan(hunt.seed(seed));
            came.seeds += 1;
            let new = shown(&hunt, &plan, &pair.changed).and_then(|found| {
                let is_new = found.iter().any(|it| !came.shown.contains_key(&it.kind_name()));
                let by_itself = match is_new {
                    true => unchanged.shown(token, &hunt, &plan, pair.unchanged)?,
                    false => Arc::default(),
                };
                Ok(found.into_iter().filter(move |fingerprint| !by_itself.contains(fingerprint)))
            });
            match new {
                Ok(new) => {
                    for kind in new.map(|fingerprint| fingerprint.kind_name()) {
                        if !came.shown.contains_key(&kind) && pair.kinds.contains(&kind) {
                            came.showed.insert(seed);
                        }
                        came.shown.entry(kind).or_insert(came.seeds);
                    }
                }
                Err(error) => came.failed.push((
                    hunt.token(seed),
                    error.to_string(),
                    Exit::of_error([&error as &(dyn std::error::Error + 'static)]),
                )),
            }
        }
        came
    }
}

/// The fingerprints that a library shows by a plan.
fn shown(hunt: &Hunt, plan: &Plan, subject: &Subject) -> Result<BTreeSet<Fingerprint>, RunError> {
    let verdict = hunt.judge(plan, subject)?;
    Ok(verdict.violations.into_iter().map(|violation| violation.fingerprint).collect())
}

/// What the libraries show by themselves. All mutants of a library are hunted with the same plans: each is run once.
#[derive(Default)]
struct Unchanged(Mutex<BTreeMap<(String, String), Shown>>);

/// What a run showed.
type Shown = Arc<BTreeSet<Fingerprint>>;

impl Unchanged {
    /// By the plan of this token. Where two ask at once both run it, to the same end.
    fn shown(&self, token: String, hunt: &Hunt, plan: &Plan, library: &Subject) -> Result<Shown, RunError> {
        let place = (library.library.name().to_owned(), token);
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = known().get(&place).cloned() {
            return Ok(shown);
        }
        let shown = Arc::new(shown(hunt, plan, library)?);
        known().insert(place, shown.clone());
        Ok(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::Library;

    fn mutants(mutants: impl IntoIterator<Item = Mutant>) -> Mutants {
        Mutants {
            libraries: vec![Subject::new(Library::published()).expect("it loads")],
            mutants: mutants.into_iter().collect(),
            seeds: 5,
            starts: NonZero::new(3).expect("three"),
            jobs: NonZero::new(2).expect("two"),
            profile: Some("race".to_owned()),
            first: KnownSeeds::new(),
        }
    }

    fn parsed(breaks: &str, body: &str) -> Mutant {
        let text = format!(
            "-- It breaks.\n-- breaks: {breaks}\nreturn function(call, fn, keys, args, cmd, key, ...) {body} end"
        );
        Mutant::parse("x", &text).expect("a mutant")
    }

    fn run(mutants: &Mutants) -> Matrix {
        mutants.run(&Stop::default(), |_, _| ()).expect("they can be hunted")
    }

    const HARMLESS: &str = "return call(cmd, key, ...)";

    #[test]
    fn a_mutant_that_breaks_what_it_names_dies_and_one_that_breaks_nothing_lives() {
        let dies = Mutant::named("keep-grant").expect("a mutant");
        let matrix = run(&mutants([dies, parsed("fence/stale-lease", HARMLESS)]));
        assert_eq!(matrix.rows[0].lives(), []);
        let kind = matrix.rows[0].names[0];
        assert_eq!(matrix.rows[0].median(kind), Some(1), "each run keeps a grant");
        let lives = matrix.rows[1].lives();
        assert_eq!(lives.len(), 1, "{lives:?}");
        assert_eq!((matrix.rows[1].starts.len(), matrix.rows[1].starts[2].seeds), (3, 5));
        assert!(matrix.has_survivors());
    }

    #[test]
    fn what_a_library_shows_by_itself_is_no_merit_of_a_mutant() {
        let broken = Mutant::named("keep-grant").expect("a mutant");
        let library = Library::published().mutant(&broken);
        let libraries = vec![Subject::new(library).expect("it loads")];
        let matrix =
            run(&Mutants { libraries, ..mutants([parsed("at-most-once/grant-left-behind", HARMLESS)]) });
        assert!(matrix.has_survivors(), "{matrix:?}");
    }

    #[test]
    fn the_seeds_that_showed_a_mutant_show_it_at_once_and_others_follow_them() {
        let dies = Mutant::named("keep-grant").expect("a mutant");
        let starts = NonZero::<u64>::MIN;
        let known = |seed: u64| {
            let of_mutant = BTreeMap::from([(dies.name.clone(), vec![seed])]);
            let first = BTreeMap::from([(Library::published().name().to_owned(), of_mutant)]);
            let hunted =
                Mutants { first, starts, ..mutants([dies.clone(), parsed("fence/stale-lease", HARMLESS)]) };
            run(&hunted)
        };
        assert_eq!(known(3).rows[0].starts[0].showed, BTreeSet::from([3]));
        assert_eq!(known(3).rows[1].starts[0].seeds, 5, "of another mutant nothing is known");
        let lives = parsed("fence/stale-lease", HARMLESS);
        let of_mutant = BTreeMap::from([(lives.name.clone(), vec![3, 9])]);
        let first = BTreeMap::from([(Library::published().name().to_owned(), of_mutant)]);
        let matrix = run(&Mutants { first, starts, ..mutants([lives]) });
        assert_eq!(matrix.rows[0].starts[0].seeds, 6, "five seeds, of which one is known, and one more");
        assert_eq!(matrix.rows[0].starts[0].showed, BTreeSet::new());
    }

    #[test]
    fn the_number_of_jobs_does_not_matter() {
        let of = |jobs| {
            let all = ["keep-grant", "skip-epoch"].map(|name| Mutant::named(name).expect("a mutant"));
            run(&Mutants { jobs: NonZero::new(jobs).expect("some"), seeds: 2, ..mutants(all) })
        };
        assert_eq!(of(1), of(3));
    }

    #[test]
    fn a_mutant_that_cannot_be_hunted_is_refused_with_its_name() {
        let refused = |mutants: Mutants| mutants.run(&Stop::default(), |_, _| ()).unwrap_err().to_string();
        assert!(refused(mutants([parsed("fence/moon", HARMLESS)])).contains("the mutant x names a kind"));
        assert!(refused(mutants([parsed("fence/stale-lease", "return (")])).contains("does not load"));
        let profile = Some("moon".to_owned());
        let told = refused(Mutants { profile, ..mutants([parsed("fence/stale-lease", HARMLESS)]) });
        assert!(told.contains("moon"), "{told}");
    }

    #[test]
    fn a_run_that_does_not_return_is_told_and_nothing_is_shown_by_it() {
        let matrix = run(&mutants([parsed("fence/stale-lease", "while true do end")]));
        let failed = matrix.failed();
        assert!(!failed.is_empty(), "nobody is told");
        assert!(failed.iter().all(|run| run.message.contains("did not return")), "{failed:?}");
    }

    #[test]
    fn one_that_is_stopped_says_so() {
        let stop = Stop::default();
        stop.ask();
        let matrix =
            mutants([parsed("fence/stale-lease", HARMLESS)]).run(&stop, |_, _| ()).expect("it stops");
        assert!(matrix.interrupted && matrix.rows[0].starts.is_empty());
    }
}
