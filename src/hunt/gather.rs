//! Puts the outcomes of seeds together, in whatever order they come, to the same report.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Earlier, Excused, Exit, Failed, Found, Hung, Hunt, Places, Report, Resume, Smaller, States,
    settle::Settled, states::Novelty,
};
use crate::{
    drive::RunError,
    finding::Finding,
    plan::token::Token,
    property::{Counts, Fingerprint, Verdict, Violation, catalogue},
};

/// What came of one seed.
pub(super) struct Outcome {
    /// Its place in the hunt's share, counted from 0.
    pub nth: u64,
    pub result: Result<Verdict, RunError>,
}

/// What is gathered so far. Seeds are named by their places in the hunt's share.
pub(super) struct Gather<'a> {
    hunt: &'a Hunt,
    known: Vec<Finding>,
    done: Places,
    found: BTreeMap<Fingerprint, Seen>,
    known_met: BTreeMap<String, u64>,
    excused: Excused,
    reach: BTreeMap<String, u64>,
    counts: Counts,
    /// Runs that did not come to their end, by what is said of them.
    failed: BTreeMap<String, Failures>,
    /// Those that still run: which, and for how long.
    pub hung: Vec<(u64, Duration)>,
    settled: Settled,
    novelty: Novelty,
    /// Real time of the hunts that this one goes on from.
    before: Duration,
}

/// A kind of violation that is not a known finding.
struct Seen {
    /// Of the lowest seed that showed it.
    violation: Violation,
    seeds: Places,
    /// What an earlier hunt made of it, for as long as no lower seed shows it.
    shrunk: Option<Smaller>,
}

struct Failures {
    exit: Exit,
    lowest: u64,
    seeds: u64,
}

impl<'a> Gather<'a> {
    /// Nothing yet, or what an earlier hunt had.
    pub fn new(hunt: &'a Hunt) -> Self {
        let mut gather = Self {
            known: hunt.known(),
            hunt,
            done: Places::default(),
            found: BTreeMap::new(),
            known_met: BTreeMap::new(),
            excused: Excused::new(),
            reach: BTreeMap::new(),
            counts: Counts::default(),
            failed: BTreeMap::new(),
            hung: Vec::new(),
            settled: Settled::default(),
            novelty: Novelty::default(),
            before: Duration::ZERO,
        };
        if let Some(earlier) = &hunt.resume {
            gather.go_on_from(earlier);
        }
        gather.counts.name_functions(hunt.subject.functions.iter());
        gather
    }

    fn go_on_from(&mut self, earlier: &Earlier) {
        self.done = earlier.resume.done.clone();
        self.novelty = earlier.resume.states.clone();
        self.known_met = earlier.known.clone();
        self.excused = earlier.excused.clone();
        self.reach = earlier.reach.clone();
        self.counts = earlier.counts.clone();
        self.before = Duration::try_from_secs_f64(earlier.wall_seconds).unwrap_or_default();
        for found in earlier.violations.iter().chain(&earlier.in_baseline) {
            let fingerprint = found.violation.fingerprint.clone();
            let seeds = earlier.resume.shown_by.get(&fingerprint).cloned().unwrap_or_default();
            let seen = Seen { violation: found.violation.clone(), seeds, shrunk: found.shrunk.clone() };
            self.found.insert(fingerprint, seen);
        }
        for Failed { token, message, seeds, exit } in &earlier.errors {
            // What is asked once all seeds are in is asked again.
            let Some(token) = token.as_ref().and_then(|token| token.parse::<Token>().ok()) else { continue };
            let failures = Failures { exit: *exit, lowest: self.hunt.nth(token.seed()), seeds: *seeds };
            self.failed.insert(message.clone(), failures);
        }
    }

    /// Takes in what came of a seed.
    pub fn add(&mut self, outcome: Outcome) {
        let Outcome { nth, result } = outcome;
        self.done.insert(nth);
        match result {
            Ok(verdict) => self.judged(nth, verdict),
            Err(error) => self.failed(nth, &error),
        }
    }

    fn judged(&mut self, nth: u64, verdict: Verdict) {
        self.novelty.add(nth, &verdict);
        self.counts.add(&verdict.counts);
        for (name, count) in verdict.reached {
            *self.reach.entry(name.to_owned()).or_default() += count;
        }
        let mut met = BTreeSet::new();
        for violation in verdict.violations {
            match Finding::among(&self.known, &violation.fingerprint) {
                Some(finding) => _ = met.insert(finding.slug.clone()),
                None => self.violated(nth, violation),
            }
        }
        let mut excused = BTreeSet::new();
        for (class, violation) in verdict.excused {
            match Finding::among(&self.known, &violation.fingerprint) {
                Some(finding) => _ = met.insert(finding.slug.clone()),
                None => _ = excused.insert((class, violation.property)),
            }
        }
        for (class, property) in excused {
            *self.excused.entry(class).or_default().entry(property).or_default() += 1;
        }
        for slug in met {
            *self.known_met.entry(slug).or_default() += 1;
        }
    }

    fn violated(&mut self, nth: u64, violation: Violation) {
        let first = || Seen { violation: violation.clone(), seeds: Places::default(), shrunk: None };
        let seen = self.found.entry(violation.fingerprint.clone()).or_insert_with(first);
        if seen.seeds.first().is_some_and(|lowest| nth < lowest) {
            (seen.violation, seen.shrunk) = (violation, None);
        }
        seen.seeds.insert(nth);
    }

    fn failed(&mut self, nth: u64, error: &RunError) {
        let first = Failures { exit: Exit::of_error([error as _]), lowest: nth, seeds: 0 };
        let failures = self.failed.entry(error.to_string()).or_insert(first);
        failures.lowest = failures.lowest.min(nth);
        failures.seeds += 1;
    }

    /// Seeds that were run.
    pub fn seeds(&self) -> u64 {
        self.done.len()
    }

    /// How many seeds there are to run until so many in a row bring nothing new, as far as is known now.
    pub fn saturated_after(&self, quiet: u64) -> u64 {
        self.novelty.last_new().map_or(0, |last| last + 1).saturating_add(quiet)
    }

    fn states(&self) -> States {
        let last_new = self.novelty.last_new();
        let after = self.done.last().zip(last_new).map_or(0, |(last, new)| last.saturating_sub(new));
        States {
            seen: self.novelty.seen(),
            last_new: last_new.map(|nth| self.hunt.token(nth)),
            quiet_for: after,
        }
    }

    /// The seeds that were run.
    pub fn done(&self) -> &Places {
        &self.done
    }

    /// How many kinds of violation are not known.
    pub fn violations(&self) -> usize {
        self.found.len()
    }

    /// How many reasons there were for a run not to come to its end.
    pub fn failures(&self) -> usize {
        self.failed.len()
    }

    /// Each kind of violation, and the first of the seeds that showed it.
    pub fn shown_by(&self, at_most: usize) -> Vec<(Fingerprint, Vec<u64>)> {
        let seeds = |seen: &Seen| seen.seeds.iter().take(at_most).collect();
        self.found.iter().map(|(fingerprint, seen)| (fingerprint.clone(), seeds(seen))).collect()
    }

    /// Whether anything was claimed.
    pub fn has_claims(&self) -> bool {
        self.counts.claims > 0
    }

    /// Takes in what is asked once all seeds are in.
    pub fn settle(&mut self, settled: Settled) {
        self.settled = settled;
    }

    /// The report of what is gathered so far.
    pub fn report(&self, elapsed: Duration, is_interrupted: bool) -> Report {
        let hunt = self.hunt;
        let mut seen: Vec<&Seen> = self.found.values().collect();
        seen.sort_by_key(|seen| seen.seeds.first());
        let (inherited, new): (Vec<&Seen>, Vec<&Seen>) =
            seen.into_iter().partition(|seen| self.settled.inherited.contains(&seen.violation.fingerprint));
        let broken: BTreeSet<u64> = new.iter().flat_map(|seen| seen.seeds.iter()).collect();
        let failed: u64 = self.failed.values().map(|failures| failures.seeds).sum();
        let missed = catalogue::sometimes().filter(|entry| !self.reach.contains_key(entry.name));
        Report {
            seeds: self.seeds(),
            passed: self.seeds().saturating_sub(broken.len() as u64 + failed),
            known: self.known_met.clone(),
            excused: self.excused.clone(),
            fixed: self.settled.fixed.clone(),
            in_baseline: inherited.iter().map(|seen| self.found(seen)).collect(),
            first_token: hunt.token(0),
            last_token: hunt.token(self.done.last().unwrap_or(0)),
            violations: new.iter().map(|seen| self.found(seen)).collect(),
            errors: self.errors(),
            hung: self.hung(),
            not_reached: missed.map(|entry| entry.name).collect(),
            reach: self.reach.clone(),
            states: self.states(),
            counts: self.counts.clone(),
            wall_seconds: (self.before + elapsed).as_secs_f64(),
            library: hunt.subject.reference(),
            interrupted: is_interrupted,
            resume: self.resume(),
        }
    }

    fn found(&self, seen: &Seen) -> Found {
        Found {
            violation: seen.violation.clone(),
            token: self.hunt.token(seen.seeds.first().unwrap_or(0)),
            seeds: seen.seeds.len(),
            shrunk: seen.shrunk.clone(),
            not_shrunk: None,
        }
    }

    /// The runs that failed, the lowest seed first, and what could not be asked at the end.
    fn errors(&self) -> Vec<Failed> {
        let mut failed: Vec<_> = self.failed.iter().collect();
        failed.sort_by_key(|(_, failures)| failures.lowest);
        let of_seeds = failed.into_iter().map(|(message, failures)| Failed {
            token: Some(self.hunt.token(failures.lowest)),
            message: message.clone(),
            seeds: failures.seeds,
            exit: failures.exit,
        });
        of_seeds.chain(self.settled.errors.iter().cloned()).collect()
    }

    /// The seeds that still run, as they are told.
    pub fn hung(&self) -> Vec<Hung> {
        let hung = |(nth, time): &(u64, Duration)| Hung {
            token: self.hunt.token(*nth),
            seconds: time.as_secs_f64(),
        };
        self.hung.iter().map(hung).collect()
    }

    fn resume(&self) -> Resume {
        let shown_by = |(fingerprint, seen): (&Fingerprint, &Seen)| (fingerprint.clone(), seen.seeds.clone());
        Resume {
            done: self.done.clone(),
            shown_by: self.found.iter().map(shown_by).collect(),
            states: self.novelty.clone(),
            ..Resume::of(self.hunt)
        }
    }
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
        Hunt::new(
            Subject::new(Library::published()).unwrap(),
            Token::new("calm", 0).unwrap(),
            Until::Seeds(10),
        )
    }

    /// A seed that shows a violation, and says which seed it was.
    fn shows(seed: u64, fingerprint: &str) -> Outcome {
        let mut violation = found(fingerprint).violation;
        violation.message = format!("seed {seed}");
        let reached = BTreeMap::from([("late-claim", seed)]);
        let counts = Counts { events: seed, ..Counts::default() };
        Outcome {
            nth: seed,
            result: Ok(Verdict { violations: vec![violation], reached, counts, ..Verdict::default() }),
        }
    }

    fn gathered(hunt: &Hunt, outcomes: impl IntoIterator<Item = Outcome>) -> Report {
        let mut gather = Gather::new(hunt);
        outcomes.into_iter().for_each(|outcome| gather.add(outcome));
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
    fn a_run_that_fails_loses_nothing_of_the_others_and_of_several_the_lowest_seed_is_named() {
        let hunt = hunt();
        let fails = |nth, why: &str| Outcome { nth, result: Err(RunError::Harness(why.to_owned())) };
        for order in [[3, 8], [8, 3]] {
            let failures = order.map(|nth| fails(nth, "index out of bounds"));
            let others = [shows(5, "lane/-/-/core"), fails(1, "no thread")];
            let report = gathered(&hunt, failures.into_iter().chain(others));
            let told: Vec<_> = report
                .errors
                .iter()
                .map(|failed| (failed.token.clone().unwrap(), failed.seeds, failed.exit))
                .collect();
            let token = |seed| hunt.first.with_seed(seed).to_string();
            assert_eq!(told, [(token(1), 1, Exit::Harness), (token(3), 2, Exit::Harness)]);
            assert!(report.errors[1].message.contains("index out of bounds"), "{report:?}");
            assert_eq!((report.seeds, report.passed, report.violations.len()), (4, 0, 1));
        }
    }

    /// What another process reads of a report.
    fn read_back(report: &Report) -> Earlier {
        serde_json::from_value(serde_json::to_value(report).unwrap()).unwrap()
    }

    #[test]
    fn a_hunt_that_goes_on_from_a_report_ends_with_that_of_one_that_was_never_stopped() {
        let hunt = hunt();
        let outcomes = || {
            let fails = |nth| Outcome { nth, result: Err(RunError::Harness("no thread".to_owned())) };
            vec![
                shows(4, "lane/-/-/core"),
                shows(9, "lane/-/-/grant"),
                fails(6),
                shows(3, "fence/ff_renew_lease/OK/marked-lease"),
                shows(2, "lane/-/-/core"),
                fails(0),
                shows(7, "fence/ff_renew_lease/OK/marked-lease"),
            ]
        };
        let whole = gathered(&hunt, outcomes());
        for first_part in 0..=outcomes().len() {
            let mut head = outcomes();
            let tail = head.split_off(first_part);
            let resumed = Hunt { resume: Some(read_back(&gathered(&hunt, head))), ..hunt.clone() };
            assert_eq!(
                resumed.resume.as_ref().unwrap().check(&resumed).map_err(|why| why.to_string()),
                Ok(())
            );
            assert_eq!(gathered(&resumed, tail), whole, "after {first_part}");
        }
    }

    #[test]
    fn a_report_of_another_hunt_is_refused_with_what_differs() {
        let hunt = hunt();
        let earlier = || read_back(&gathered(&hunt, [shows(1, "lane/-/-/core")]));
        let refused = |earlier: &Earlier, hunt: &Hunt| earlier.check(hunt).unwrap_err().to_string();
        let first = Token::new("crash", 0).unwrap();
        let told = refused(&earlier(), &Hunt { first, ..hunt.clone() });
        assert!(told.contains("its profile is calm, and here it is crash"), "{told}");
        let later = Hunt { first: hunt.first.with_seed(16), ..hunt.clone() };
        assert!(refused(&earlier(), &later).contains("its first seed is 0, and here it is 10"));
        assert!(
            refused(&earlier(), &Hunt { shard: (2, 3), ..hunt.clone() }).contains("1/1, and here it is 2/3")
        );
        assert!(refused(&earlier(), &Hunt { strict: true, ..hunt.clone() }).contains("known findings"));
        let dialect = Some(valkey_sim::engine::Dialect::Redis7);
        assert!(refused(&earlier(), &Hunt { dialect, ..hunt.clone() }).contains("redis-7"));
        let baseline = Some(hunt.subject.clone());
        assert!(
            refused(&earlier(), &Hunt { baseline, ..hunt.clone() }).contains("baseline is none, and here")
        );
        let properties = vec![crate::property::find("lane").unwrap()];
        assert!(refused(&earlier(), &Hunt { properties, ..hunt.clone() }).contains("here it is lane"));
        let mut other = earlier();
        other.library.sha256 = "0123456789abcdef".to_owned();
        assert!(refused(&other, &hunt).contains("its library is flowfabric 34 (0123456789ab…)"));
        let mut other = earlier();
        other.resume.build = "0.0.1".to_owned();
        assert!(refused(&other, &hunt).contains("written by grantsim 0.0.1"));
        let mut other = earlier();
        other.first_token = "g1-calm-0-00000000".to_owned();
        assert!(refused(&other, &hunt).contains("another generator"));
        let more = Hunt { until: Until::Seeds(99), jobs: NonZero::new(7).unwrap(), ..hunt.clone() };
        assert!(earlier().check(&more).is_ok());
    }

    #[test]
    fn a_smaller_plan_is_kept_until_a_lower_seed_shows_the_violation() {
        let hunt = hunt();
        let mut report = gathered(&hunt, [shows(4, "lane/-/-/core")]);
        let smaller = Smaller {
            plan: "small.json".to_owned(),
            executions: 1,
            workers: 1,
            schedulers: 1,
            faults: 0,
            clocks: 0,
            deeds: 0,
            events: 9,
            minimal: true,
            runs: 7,
        };
        report.violations[0].shrunk = Some(smaller.clone());
        let resumed = Hunt { resume: Some(read_back(&report)), ..hunt.clone() };
        let shrunk = |outcome| gathered(&resumed, [outcome]).violations[0].shrunk.clone();
        assert_eq!(shrunk(shows(5, "lane/-/-/core")), Some(smaller));
        assert_eq!(shrunk(shows(3, "lane/-/-/core")), None);
    }
}
