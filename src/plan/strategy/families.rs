//! Families of workload: which kinds of life a plan draws beyond that of grants and leases. What a family adds to a plan is
//! not here: see `deeds` and whatever else draws by it.

use std::collections::BTreeSet;

use proptest::{prelude::*, sample::subsequence};

use crate::types::word::words;

words! {
    /// A family of workload: what belongs together, and is switched on and off together.
    pub enum Family {
        /// Deadlines, attempt timeouts, delays, idempotency keys, retry policies, caps on reclaims and replays.
        Timing = "timing",
        /// Suspension and resume: waitpoints, signals, tokens and their secrets.
        Suspension = "suspension",
        /// Flows: members, dependencies, cancellation.
        Flows = "flows",
        /// Quotas, budgets, and what blocks an execution.
        Admission = "admission",
        /// What an operator does to executions: cancel, revoke, override, replay, expire.
        Operator = "operator",
        /// Frames, progress, tags, summaries.
        Streams = "streams",
        /// The worker registry.
        Registry = "registry",
        /// Callers that send what no caller should: another lane, an old fence, a malformed argument.
        Hostile = "hostile",
    }
}

/// The families that a plan draws.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::plan) struct Families(BTreeSet<Family>);

impl Families {
    /// None: the small life of grants and leases.
    pub(in crate::plan) fn none() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    /// All of them.
    pub(in crate::plan) fn all() -> BoxedStrategy<Self> {
        Just(Family::ALL.iter().copied().collect()).boxed()
    }

    /// Swarm testing, a family at a time: half of the plans draw none, so that the small life stays as frequent as it is
    /// useful; the others draw any subset.
    pub(in crate::plan) fn swarm() -> BoxedStrategy<Self> {
        Self::swarm_of(Family::ALL)
    }

    /// The same without those who send nonsense.
    pub(in crate::plan) fn swarm_of_the_well_behaved() -> BoxedStrategy<Self> {
        let well_behaved: Vec<Family> =
            Family::ALL.iter().copied().filter(|family| *family != Family::Hostile).collect();
        Self::swarm_of(&well_behaved)
    }

    fn swarm_of(families: &[Family]) -> BoxedStrategy<Self> {
        let subset = subsequence(families.to_vec(), 1..=families.len()).prop_map(Self::from_iter);
        prop_oneof![1 => Self::none(), 1 => subset].boxed()
    }

    /// Whether a family is drawn.
    pub(in crate::plan) fn has(&self, family: Family) -> bool {
        self.0.contains(&family)
    }

    /// Whether none is.
    pub(in crate::plan) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Family> for Families {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        Self(families.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};

    use super::*;

    fn drawn(of: BoxedStrategy<Families>) -> Vec<Families> {
        let mut runner = TestRunner::deterministic();
        (0..400).map(|_| of.new_tree(&mut runner).unwrap().current()).collect()
    }

    #[test]
    fn half_of_a_swarm_draws_no_family_and_the_rest_every_one_about_as_often() {
        let drawn = drawn(Families::swarm());
        let share = |is_meant: &dyn Fn(&Families) -> bool| drawn.iter().filter(|it| is_meant(it)).count();
        assert!((160..240).contains(&share(&Families::is_empty)));
        for family in Family::ALL {
            let share = share(&|families| families.has(*family));
            assert!((80..150).contains(&share), "{family} is on in {share} of 400 plans");
        }
    }

    #[test]
    fn the_well_behaved_are_all_but_the_hostile() {
        let drawn = drawn(Families::swarm_of_the_well_behaved());
        for family in Family::ALL {
            let is_met = drawn.iter().any(|families| families.has(*family));
            assert_eq!(is_met, *family != Family::Hostile, "{family}");
        }
    }

    #[test]
    fn none_is_none_and_all_is_all() {
        assert!(drawn(Families::none()).iter().all(Families::is_empty));
        let has_all = |families: &Families| Family::ALL.iter().all(|family| families.has(*family));
        assert!(drawn(Families::all()).iter().all(has_all));
    }
}
