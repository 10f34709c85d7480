//! What is new of a hunt: the states that its seeds had, and which seed was the last to bring one that none before it had.
//!
//! A state is told by name: one of the catalogue that was reached, a function's answer, a class of faults that happened, a
//! kind of violation. A hunt whose last new state is long ago has seen what its plans can show.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::property::Verdict;

/// The states of the seeds so far: which is the lowest seed that had each, by its place in the hunt's share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Novelty(BTreeMap<String, u64>);

/// How much of what can happen a hunt has seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct States {
    /// How many different states its seeds had.
    pub seen: usize,
    /// The token of the first seed that had the last new one; none before anything happened.
    pub last_new: Option<String>,
    /// How many seeds of the hunt came after that one.
    pub quiet_for: u64,
}

impl Novelty {
    /// Takes in what came of a seed.
    pub fn add(&mut self, nth: u64, verdict: &Verdict) {
        let reached = verdict.reached.iter().filter(|(_, count)| **count > 0);
        let reached = reached.map(|(name, _)| format!("reached {name}"));
        let counts = &verdict.counts;
        let faults = counts.faults.keys().map(|class| format!("fault {class}"));
        let answers = counts.answers.iter().flat_map(|(function, answers)| {
            let answers = answers.iter().filter(|(_, count)| **count > 0);
            answers.map(move |(answer, _)| format!("{function} answers {answer}"))
        });
        let excused = verdict.excused.iter().map(|(_, violation)| violation);
        let broken = verdict.violations.iter().chain(excused);
        let broken = broken.map(|violation| format!("broke {}", violation.fingerprint));
        for state in reached.chain(faults).chain(answers).chain(broken) {
            let first = self.0.entry(state).or_insert(nth);
            *first = nth.min(*first);
        }
    }

    /// How many states there are.
    pub fn seen(&self) -> usize {
        self.0.len()
    }

    /// The seed that was the last to have a state that none before it had.
    pub fn last_new(&self) -> Option<u64> {
        self.0.values().max().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(reached: &'static str) -> Verdict {
        Verdict { reached: BTreeMap::from([(reached, 1), ("late-claim", 0)]), ..Verdict::default() }
    }

    #[test]
    fn the_last_new_state_is_that_of_the_lowest_seeds_in_whatever_order_they_come() {
        let seeds = [(0, "grant-raced"), (3, "grant-raced"), (2, "claimed-again"), (5, "claimed-again")];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
            let mut novelty = Novelty::default();
            for place in order {
                novelty.add(seeds[place].0, &verdict(seeds[place].1));
            }
            assert_eq!((novelty.seen(), novelty.last_new()), (2, Some(2)));
        }
        assert_eq!(Novelty::default().last_new(), None);
    }
}
