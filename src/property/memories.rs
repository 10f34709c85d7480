//! What the properties remember at one point of a tree of runs: it is copied where the tree branches, and hashed.
//!
//! Only what must hold at every moment is judged, and what a fault excuses is not reported. What must hold in the end, and what is
//! to be reached, is for whoever runs a plan to its end: [`Judge`](super::Judge).

use std::{collections::BTreeMap, hash::Hash};

use valkey_sim::hash::Hash128;

use super::{Entry, Expect, Fingerprint, Found, Property, Violation, excuse::Excuse};
use crate::{trace::Moment, types::Seq};

/// What the properties remember at one point, and what excuses a violation there.
pub struct Memories {
    monitors: Vec<(&'static Entry, Box<dyn Property>)>,
    excuse: Excuse,
}

impl Memories {
    /// What they remember before anything has happened: those of these entries that must hold at every moment.
    pub fn new(entries: impl IntoIterator<Item = &'static Entry>) -> Self {
        let always = entries.into_iter().filter(|entry| entry.expect == Expect::Always);
        Self { monitors: always.map(|entry| (entry, (entry.monitor)())).collect(), excuse: Excuse::default() }
    }

    /// Shows them the next moment, which is the event `at`, and adds what they find.
    pub fn observe(&mut self, moment: &Moment<'_>, at: Seq, found: &mut BTreeMap<Fingerprint, Violation>) {
        let call = match moment {
            Moment::Step(step) => step.call.as_ref(),
            _ => None,
        };
        self.excuse.observe(moment);
        let latest = BTreeMap::new();
        for (entry, monitor) in &mut self.monitors {
            let mut found = Found {
                entry,
                at,
                call,
                latest: &latest,
                excuse: &self.excuse,
                violations: found,
                excused: &mut BTreeMap::new(),
                reached: &mut 0,
            };
            monitor.observe(moment, &mut found);
        }
    }

    /// A hash of what they remember.
    pub fn key(&self) -> u128 {
        let mut hash = Hash128::default();
        self.monitors.iter().for_each(|(_, monitor)| hash.key(monitor.key()));
        self.excuse.hash(&mut hash);
        hash.finish128()
    }
}

impl Clone for Memories {
    fn clone(&self) -> Self {
        let monitors = self.monitors.iter().map(|(entry, monitor)| (*entry, monitor.fork())).collect();
        Self { monitors, excuse: self.excuse.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::{catalogue, testing::Story};

    /// A first lease, of which one property remembers that its grant is spent.
    fn story() -> Story {
        Story::new().created(0).granted(10, 50).claimed(20, 1, 100)
    }

    /// What is remembered after a story, and what was found in it.
    fn after(story: &Story, mut memories: Memories) -> (Memories, Vec<String>) {
        let mut found = BTreeMap::new();
        let trace = story.trace().expect("no power loss");
        trace.replay(|moment| memories.observe(moment, 0, &mut found));
        (memories, found.keys().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_remembered_is_copied_and_hashed() {
        let fresh = Memories::new(catalogue::all());
        let (later, _) = after(&story(), fresh.clone());
        assert_eq!(fresh.key(), Memories::new(catalogue::all()).key(), "what a copy sees changes the copy");
        assert_ne!(fresh.key(), later.key());
        assert_eq!(later.key(), later.clone().key());
    }

    #[test]
    fn they_find_what_a_judge_finds() {
        let story = story().delayed(30, 2).granted(40, 90).claimed(50, 1, 200).renewed(60, 7, 300);
        let (_, found) = after(&story, Memories::new(catalogue::all()));
        let mut judged = story.fingerprints();
        judged.sort();
        assert_eq!(found, judged);
        assert!(!found.is_empty());
    }
}
