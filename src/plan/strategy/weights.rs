//! How often each class of fault is drawn.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use crate::types::FaultClass;

/// A weight for each class of fault; those with 0, and those that are absent, are never drawn.
#[derive(Clone, Debug)]
pub(in crate::plan) struct Weights(BTreeMap<FaultClass, u32>);

impl Weights {
    pub(in crate::plan) fn of<const N: usize>(weights: [(FaultClass, u32); N]) -> Self {
        Self(BTreeMap::from(weights))
    }

    /// Swarm testing: every run switches most faults off and turns the rest up, because a bug that needs three faults
    /// is not met by a mixture in which thirty take turns (Groce et al., "Swarm Testing", ISSTA 2012).
    pub(in crate::plan) fn swarm() -> impl Strategy<Value = Self> {
        let weight = prop_oneof![2 => Just(0u32), 1 => 1..=8u32];
        let classes: Vec<FaultClass> = classes().collect();
        vec(weight, classes.len())
            .prop_map(move |weights| Self(classes.iter().copied().zip(weights).collect()))
    }

    /// The classes that are drawn, and how often.
    pub(super) fn drawn(&self) -> impl Iterator<Item = (FaultClass, u32)> + '_ {
        self.0.iter().map(|(class, weight)| (*class, *weight)).filter(|(_, weight)| *weight > 0)
    }
}

/// The classes that can have a weight: those of a plan's list of faults. Clocks are wrong by the shape's `skew_ms`; hostile
/// callers are a family of workload.
pub(super) fn classes() -> impl Iterator<Item = FaultClass> {
    let is_weighed = |class: &FaultClass| *class != FaultClass::Clock && !FaultClass::HOSTILE.contains(class);
    FaultClass::ALL.iter().copied().filter(is_weighed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{strategy::ValueTree, test_runner::TestRunner};

    use super::*;

    #[test]
    fn swarm_gives_every_class_a_weight_and_switches_most_off() {
        let mut runner = TestRunner::deterministic();
        let drawn: Vec<BTreeSet<FaultClass>> = (0..300)
            .map(|_| Weights::swarm().new_tree(&mut runner).unwrap().current())
            .map(|weights| weights.drawn().map(|(class, _)| class).collect())
            .collect();
        for class in classes() {
            let share = drawn.iter().filter(|drawn| drawn.contains(&class)).count();
            assert!((70..130).contains(&share), "{class} is on in {share} of 300 runs");
        }
    }
}
