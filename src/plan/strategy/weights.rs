//! How often each class of fault is drawn.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::types::FaultClass;

/// A weight for each class of fault; those with 0, and those that are absent, are never drawn.
#[derive(Clone, Debug)]
pub(in crate::plan) struct Weights(BTreeMap<FaultClass, u32>);

impl Weights {
    pub(in crate::plan) fn of<const N: usize>(weights: [(FaultClass, u32); N]) -> Self {
        Self(BTreeMap::from(weights))
    }

    /// Swarm testing: most runs switch most faults off and turn the rest up, because a bug that needs three faults
    /// is not met by a mixture in which thirty take turns (Groce et al., "Swarm Testing", ISSTA 2012). One run in twenty is
    /// calm, and three in twenty have one class alone: what breaks there needs no other.
    pub(in crate::plan) fn swarm() -> impl Strategy<Value = Self> {
        let classes: Vec<FaultClass> = classes().collect();
        let weights: Vec<_> = classes.iter().map(|class| weight(*class)).collect();
        let alone = prop::sample::select(classes.clone()).prop_map(|class| Self::of([(class, 1)]));
        let mixed = weights.prop_map(move |weights| Self(classes.iter().copied().zip(weights).collect()));
        prop_oneof![1 => Just(Self::of([])), 3 => alone, 16 => mixed]
    }

    /// The classes that are drawn, and how often.
    pub(super) fn drawn(&self) -> impl Iterator<Item = (FaultClass, u32)> + '_ {
        self.0.iter().map(|(class, weight)| (*class, *weight)).filter(|(_, weight)| *weight > 0)
    }
}

/// One in three is on. Those that take back what was acknowledged excuse so much that most runs must be without them all.
fn weight(class: FaultClass) -> impl Strategy<Value = u32> {
    let off = match class {
        _ if FaultClass::FORGETFUL.contains(&class) => 7,
        _ if FaultClass::OF_THE_SERVER.contains(&class) => 4,
        _ => 2,
    };
    prop_oneof![off => Just(0u32), 1 => 1..=8u32]
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
            let expected = match FaultClass::FORGETFUL.contains(&class) {
                true => 18..60,
                false if FaultClass::OF_THE_SERVER.contains(&class) => 35..90,
                false => 70..130,
            };
            assert!(expected.contains(&share), "{class} is on in {share} of 300 runs");
        }
        let with = |classes: usize| drawn.iter().filter(|drawn| drawn.len() == classes).count();
        assert!(with(0) > 7 && with(1) > 30, "{} runs are calm, {} have one class alone", with(0), with(1));
        let keeps =
            drawn.iter().filter(|drawn| FaultClass::FORGETFUL.iter().all(|class| !drawn.contains(class)));
        assert!(keeps.count() > 150, "most runs keep what was acknowledged");
    }
}
