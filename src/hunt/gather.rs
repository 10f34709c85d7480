//! Puts the outcomes of seeds together, in whatever order they come, to the same report.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Found, Hunt, Report};
use crate::{
    drive::RunError,
    finding::Finding,
    plan::token::Token,
    property::{Counts, Fingerprint, Verdict, Violation, catalogue},
};

/// How many of the seeds that show a violation are run on the baseline. A library that differs runs differently, so that
/// the lowest seed alone may miss what the baseline shows by the next.
const BASELINE_SEEDS: usize = 16;

/// What came of one seed.
pub(super) struct Outcome {
    pub seed: u64,
    pub result: Result<Verdict, RunError>,
}

/// What is gathered so far.
pub(super) struct Gather<'a> {
    hunt: &'a Hunt,
    known: Vec<Finding>,
    pub seeds: u64,
    last_seed: u64,
    found: BTreeMap<Fingerprint, Seen>,
    known_met: BTreeMap<String, BTreeSet<u64>>,
    fixed: BTreeMap<String, Vec<Fingerprint>>,
    reach: BTreeMap<String, u64>,
    counts: Counts,
    error: Option<(u64, RunError)>,
}

/// A kind of violation that is not a known finding.
struct Seen {
    /// Of the lowest seed that showed it.
    violation: Violation,
    seeds: BTreeSet<u64>,
    /// Whether the baseline breaks in the same way.
    is_inherited: bool,
}

impl<'a> Gather<'a> {
    pub fn new(hunt: &'a Hunt) -> Self {
        Self {
            known: hunt.known(),
            hunt,
            seeds: 0,
            last_seed: hunt.seed(hunt.place(0)),
            found: BTreeMap::new(),
            known_met: BTreeMap::new(),
            fixed: BTreeMap::new(),
            reach: BTreeMap::new(),
            counts: Counts::default(),
            error: None,
        }
    }

    /// Takes in what came of a seed.
    pub fn add(&mut self, outcome: Outcome) {
        let Outcome { seed, result } = outcome;
        let verdict = match result {
            Ok(verdict) => verdict,
            Err(error) => {
                if self.error.as_ref().is_none_or(|(first, _)| seed < *first) {
                    self.error = Some((seed, error));
                }
                return;
            }
        };
        self.seeds += 1;
        self.last_seed = self.last_seed.max(seed);
        self.counts.add(&verdict.counts);
        for (name, count) in verdict.reached {
            *self.reach.entry(name.to_owned()).or_default() += count;
        }
        for violation in verdict.violations {
            self.violated(seed, violation);
        }
    }

    fn violated(&mut self, seed: u64, violation: Violation) {
        if let Some(finding) = self.known.iter().find(|finding| finding.covers(&violation.fingerprint)) {
            self.known_met.entry(finding.slug.clone()).or_default().insert(seed);
            return;
        }
        let first = || Seen { violation: violation.clone(), seeds: BTreeSet::new(), is_inherited: false };
        let seen = self.found.entry(violation.fingerprint.clone()).or_insert_with(first);
        if seen.seeds.first().is_some_and(|lowest| seed < *lowest) {
            seen.violation = violation;
        }
        seen.seeds.insert(seed);
    }

    /// How many kinds of violation are not known.
    pub fn violations(&self) -> usize {
        self.found.len()
    }

    /// Once all seeds are in: asks the baseline what it breaks, too, and the library which findings it no longer shows.
    ///
    /// # Errors
    /// [`RunError`] of the lowest seed that had one, with its token.
    pub fn settle(&mut self) -> Result<(), (Token, RunError)> {
        let hunt = self.hunt;
        let token = |seed| hunt.first.with_seed(seed);
        if let Some((seed, error)) = self.error.take() {
            return Err((token(seed), error));
        }
        for (fingerprint, seen) in &mut self.found {
            for seed in seen.seeds.iter().take(BASELINE_SEEDS) {
                let inherits = baseline_breaks(hunt, *seed, fingerprint);
                seen.is_inherited |= inherits.map_err(|error| (token(*seed), error))?;
                if seen.is_inherited {
                    break;
                }
            }
        }
        self.fixed = self.fixed().map_err(|error| (hunt.first.clone(), error))?;
        Ok(())
    }

    /// The kinds of known findings that the library no longer shows. Of the published library itself nothing is fixed; and
    /// where nothing was claimed, nothing is shown either way.
    fn fixed(&self) -> Result<BTreeMap<String, Vec<Fingerprint>>, RunError> {
        let mut fixed = BTreeMap::new();
        if self.hunt.subject.library.is_published() || self.counts.claims == 0 {
            return Ok(fixed);
        }
        for finding in &self.known {
            let gone: Vec<_> = finding
                .fixed_on(&self.hunt.subject)?
                .into_iter()
                .map(|shown| shown.fingerprint.clone())
                .filter(|gone| self.hunt.properties.iter().any(|entry| gone.property() == entry.name))
                .collect();
            if !gone.is_empty() {
                fixed.insert(finding.slug.clone(), gone);
            }
        }
        Ok(fixed)
    }

    /// The report of what is gathered so far.
    pub fn report(&self, elapsed: Duration, is_interrupted: bool) -> Report {
        let hunt = self.hunt;
        let token = |seed| hunt.first.with_seed(seed).to_string();
        let mut seen: Vec<&Seen> = self.found.values().collect();
        seen.sort_by_key(|seen| seen.seeds.first());
        let entry = |seen: &&Seen| Found {
            violation: seen.violation.clone(),
            token: token(seen.seeds.first().copied().unwrap_or_default()),
            seeds: seen.seeds.len() as u64,
        };
        let (inherited, new): (Vec<&Seen>, Vec<&Seen>) = seen.into_iter().partition(|seen| seen.is_inherited);
        let failed: BTreeSet<u64> = new.iter().flat_map(|seen| &seen.seeds).copied().collect();
        let missed = catalogue::sometimes().filter(|entry| !self.reach.contains_key(entry.name));
        Report {
            seeds: self.seeds,
            passed: self.seeds - failed.len() as u64,
            known: self.known_met.iter().map(|(slug, seeds)| (slug.clone(), seeds.len() as u64)).collect(),
            fixed: self.fixed.clone(),
            in_baseline: inherited.iter().map(entry).collect(),
            first_token: token(hunt.seed(hunt.place(0))),
            last_token: token(self.last_seed),
            violations: new.iter().map(entry).collect(),
            not_reached: missed.map(|entry| entry.name).collect(),
            reach: self.reach.clone(),
            counts: self.counts.clone(),
            wall_seconds: elapsed.as_secs_f64(),
            library: hunt.subject.reference(),
            interrupted: is_interrupted,
        }
    }
}

/// Whether the baseline breaks in the same way, by the same plan.
fn baseline_breaks(hunt: &Hunt, seed: u64, fingerprint: &Fingerprint) -> Result<bool, RunError> {
    let Some(baseline) = &hunt.baseline else { return Ok(false) };
    let verdict = hunt.judge(&hunt.plan(seed), baseline)?;
    Ok(verdict.violations.iter().any(|theirs| theirs.fingerprint == *fingerprint))
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;
    use crate::{
        drive::Subject,
        hunt::{Until, testing::found},
        library::Library,
    };

    fn hunt() -> Hunt {
        Hunt {
            subject: Subject::new(Library::published()).unwrap(),
            baseline: None,
            first: Token::new("calm", 0).unwrap(),
            until: Until::Seeds(10),
            jobs: NonZero::<usize>::MIN,
            shard: (1, 1),
            properties: catalogue::always().collect(),
            dialect: None,
            strict: false,
        }
    }

    /// A seed that shows a violation, and says which seed it was.
    fn shows(seed: u64, fingerprint: &str) -> Outcome {
        let mut violation = found(fingerprint).violation;
        violation.message = format!("seed {seed}");
        let reached = BTreeMap::from([("late-claim", seed)]);
        let counts = Counts { events: seed, ..Counts::default() };
        Outcome { seed, result: Ok(Verdict { violations: vec![violation], reached, counts }) }
    }

    fn gathered(hunt: &Hunt, outcomes: impl IntoIterator<Item = Outcome>) -> Report {
        let mut gather = Gather::new(hunt);
        outcomes.into_iter().for_each(|outcome| gather.add(outcome));
        gather.settle().map_err(|(_, error)| error).unwrap();
        gather.report(Duration::ZERO, false)
    }

    #[test]
    fn the_order_in_which_seeds_end_does_not_matter_and_the_lowest_one_shows_the_violation() {
        let hunt = hunt();
        let outcomes = || {
            let lane = [shows(7, "lane/-/-/core"), shows(2, "lane/-/-/core"), shows(5, "lane/-/-/core")];
            lane.into_iter()
                .chain([shows(3, "lane/-/-/grant"), shows(1, "fence/ff_renew_lease/OK/marked-lease")])
        };
        let report = gathered(&hunt, outcomes());
        assert_eq!(report, gathered(&hunt, outcomes().collect::<Vec<_>>().into_iter().rev()));
        let told: Vec<_> =
            report.violations.iter().map(|found| (&*found.violation.message, found.seeds)).collect();
        assert_eq!(told, [("seed 2", 3), ("seed 3", 1)]);
        assert_eq!(report.violations[0].token, hunt.first.with_seed(2).to_string());
        assert_eq!(
            (report.seeds, report.passed, report.counts.events, report.reach["late-claim"]),
            (5, 1, 18, 18)
        );
        assert_eq!(report.known, BTreeMap::from([("renewal-of-a-marked-lease".to_owned(), 1)]));
        assert_eq!(report.last_token, hunt.first.with_seed(7).to_string());
    }

    #[test]
    fn of_several_runs_that_fail_the_lowest_seed_is_named() {
        let hunt = hunt();
        let fails = |seed| Outcome { seed, result: Err(RunError::Harness(format!("seed {seed}"))) };
        for seeds in [[3, 8], [8, 3]] {
            let mut gather = Gather::new(&hunt);
            seeds.map(fails).into_iter().for_each(|outcome| gather.add(outcome));
            let (token, error) = gather.settle().unwrap_err();
            assert_eq!(token, hunt.first.with_seed(3));
            assert!(error.to_string().contains("seed 3"), "{error}");
        }
    }
}
