//! What a hunt ends with: what broke, what was never seen, and the exit code that says which.

use std::collections::BTreeSet;

use super::{Exit, Report};
use crate::{
    plan::profile,
    property::{Entry, reach},
    types::Function,
};

/// What a hunt ends with.
#[derive(Clone, Debug)]
pub struct Conclusion {
    /// The exit code: of several that hold, the first of 10, 11, 15, 2, 13.
    pub exit: Exit,
    /// Why it counts as passed by no means, whatever broke besides.
    pub unseen: Vec<Unseen>,
}

/// Something without which a hunt has shown nothing, or less than it claims.
#[derive(Clone, Copy, Debug)]
pub enum Unseen {
    /// No grant was ever seen.
    Grant,
    /// Grants were, and no claim of one.
    Claim,
    /// A state that a long hunt of the default profile must reach.
    State(&'static Entry),
}

/// What a hunt of this profile ends with.
pub fn verdict(report: &Report, profile: &str) -> Conclusion {
    let unseen = unseen(report, profile);
    let expected: BTreeSet<bool> =
        report.violations.iter().map(|found| found.violation.is_liveness()).collect();
    let failed = report.errors.iter().map(|failed| failed.exit).max_by_key(|exit| exit.code());
    let exit = exit(expected.contains(&false), expected.contains(&true), failed, !unseen.is_empty());
    Conclusion { exit, unseen }
}

fn exit(is_broken: bool, is_stuck: bool, failed: Option<Exit>, is_unseen: bool) -> Exit {
    match (is_broken, is_stuck, failed, is_unseen) {
        (true, ..) => Exit::Broken,
        (_, true, ..) => Exit::Stuck,
        (_, _, Some(failed), _) => failed,
        (.., true) => Exit::NotReached,
        _ => Exit::AllHeld,
    }
}

fn unseen(report: &Report, profile: &str) -> Vec<Unseen> {
    // Where no run came to its end, why is said already.
    let failed: u64 = report.errors.iter().map(|failed| failed.seeds).sum();
    if failed > 0 && failed >= report.seeds {
        return Vec::new();
    }
    if report.counts.grants == 0 {
        return vec![Unseen::Grant];
    }
    if report.counts.claims == 0 {
        return vec![Unseen::Claim];
    }
    let is_long = report.seeds >= reach::REQUIRED_FROM_SEEDS && !report.interrupted;
    if !is_long || profile != profile::DEFAULT {
        return Vec::new();
    }
    reach::missing(&report.reach).into_iter().map(Unseen::State).collect()
}

impl Unseen {
    /// The functions that would have had to make it, and the ways in which they answered are worth telling.
    pub fn functions(self) -> &'static [Function] {
        match self {
            Unseen::Grant => &[Function::IssueClaimGrant],
            Unseen::Claim => &[Function::ClaimExecution, Function::AcquireLease],
            Unseen::State(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hunt::{
        Failed,
        testing::{found, report},
    };

    /// A hunt that is long enough to demand that all is reached.
    fn long() -> Report {
        Report { seeds: reach::REQUIRED_FROM_SEEDS, ..report() }
    }

    fn without(mut report: Report, state: &str) -> Report {
        report.reach.remove(state).expect("it was reached");
        report
    }

    fn ends(report: &Report) -> Exit {
        verdict(report, profile::DEFAULT).exit
    }

    #[test]
    fn of_several_that_hold_broken_wins_over_stuck_over_a_failed_run_over_unseen() {
        let (bad, harness) = (Some(Exit::BadInput), Some(Exit::Harness));
        for (is_broken, is_stuck, failed, is_unseen, expected) in [
            (false, false, None, false, Exit::AllHeld),
            (false, false, None, true, Exit::NotReached),
            (false, false, bad, true, Exit::BadInput),
            (false, false, harness, false, Exit::Harness),
            (false, true, None, false, Exit::Stuck),
            (false, true, harness, true, Exit::Stuck),
            (true, false, None, false, Exit::Broken),
            (true, false, bad, true, Exit::Broken),
            (true, true, None, false, Exit::Broken),
            (true, true, harness, true, Exit::Broken),
        ] {
            assert_eq!(exit(is_broken, is_stuck, failed, is_unseen), expected);
        }
    }

    fn failed(seeds: u64, exit: Exit) -> Failed {
        Failed { token: None, message: "it did not return".to_owned(), seeds, exit }
    }

    #[test]
    fn a_run_that_failed_is_no_passed_hunt_and_the_harness_own_fault_wins() {
        let mut report = Report { seeds: 5, ..report() };
        report.errors = vec![failed(1, Exit::Harness), failed(1, Exit::BadInput)];
        assert_eq!(ends(&report), Exit::Harness);
        report.errors.remove(0);
        assert_eq!(ends(&report), Exit::BadInput);
        report.violations = vec![found("lane/-/-/core")];
        assert_eq!(ends(&report), Exit::Broken);
    }

    #[test]
    fn where_no_run_came_to_its_end_it_is_not_said_besides_that_nothing_was_seen() {
        let mut report = Report { seeds: 2, errors: vec![failed(2, Exit::BadInput)], ..report() };
        (report.counts.grants, report.counts.claims) = (0, 0);
        assert!(verdict(&report, "calm").unseen.is_empty());
        report.seeds = 3;
        assert_eq!(verdict(&report, "calm").unseen.len(), 1);
    }

    #[test]
    fn a_new_violation_breaks_and_what_is_known_fixed_or_in_the_baseline_does_not() {
        let mut report = long();
        report.known.insert("cancel-under-expired-lease".to_owned(), 1);
        report.fixed.insert("renewal-of-a-marked-lease".to_owned(), Vec::new());
        report.in_baseline = vec![found("lane/-/-/core")];
        assert_eq!(ends(&report), Exit::AllHeld);
        report.violations = report.in_baseline.clone();
        assert_eq!(ends(&report), Exit::Broken);
    }

    #[test]
    fn a_hunt_of_any_size_and_profile_that_saw_no_grant_or_no_claim_has_not_passed() {
        for (grants, claims) in [(0, 0), (3, 0)] {
            let mut report = report();
            (report.counts.grants, report.counts.claims, report.interrupted) = (grants, claims, true);
            let conclusion = verdict(&report, "calm");
            assert_eq!(conclusion.exit, Exit::NotReached);
            let expected = if grants == 0 { "[Grant]" } else { "[Claim]" };
            assert_eq!(format!("{:?}", conclusion.unseen), expected);
        }
    }

    #[test]
    fn a_long_whole_hunt_of_the_default_profile_must_reach_every_required_state() {
        assert_eq!(ends(&long()), Exit::AllHeld);
        let missed = without(long(), "late-claim");
        assert!(
            matches!(verdict(&missed, profile::DEFAULT).unseen[..], [Unseen::State(entry)] if entry.name == "late-claim")
        );
        assert_eq!(ends(&missed), Exit::NotReached);
        assert_eq!(ends(&without(long(), "reclaimed")), Exit::AllHeld, "only some libraries can do it");
        assert_eq!(verdict(&missed, "calm").exit, Exit::AllHeld);
        assert_eq!(ends(&Report { seeds: missed.seeds - 1, ..missed.clone() }), Exit::AllHeld);
        assert_eq!(ends(&Report { interrupted: true, ..missed }), Exit::AllHeld);
    }

    #[test]
    fn what_was_not_reached_is_said_beside_what_broke() {
        let mut report = without(long(), "late-claim");
        report.violations = vec![found("lane/-/-/core")];
        let conclusion = verdict(&report, profile::DEFAULT);
        assert_eq!((conclusion.exit, conclusion.unseen.len()), (Exit::Broken, 1));
    }
}
