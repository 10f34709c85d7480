//! The catalogue: every property, and every state to be reached. Static, so that a fingerprint can be checked against it.

use std::collections::BTreeSet;

use super::{
    Entry, Expect,
    call::{done, grammar, raises, refusal_writes, refusals, reply_state, retries, slot, streams},
    contract,
    history::{
        at_most_once, creation, delay, expiry, fence, grants, lane, lease_history, one_lease, published,
        terminal,
    },
    liveness::{ends, grantable_again, granted, lease_marked, unblocked},
    nearest::nearest,
    reach,
    state::{
        admission, attempts, budget, denial, dependencies, edge_groups, edges, eligible, flow_life,
        grant_key, indexes, lease_record, membership, quota, registry, resume_condition, score, secrets,
        signals, suspension, timeout, transition, vector, waitpoints,
    },
};
use crate::types::FaultClass;

/// What must hold, in the order in which reports name it.
static PROMISES: &[&Entry] = &[
    &at_most_once::ENTRY,
    &expiry::ENTRY,
    &lane::ENTRY,
    &one_lease::ENTRY,
    &fence::ENTRY,
    &eligible::ENTRY,
    &vector::ENTRY,
    &transition::ENTRY,
    &indexes::ENTRY,
    &lease_record::ENTRY,
    &attempts::ENTRY,
    &score::ENTRY,
    &timeout::ENTRY,
    &grant_key::ENTRY,
    &denial::ENTRY,
    &delay::ENTRY,
    &quota::ENTRY,
    &granted::ENTRY,
    &lease_marked::ENTRY,
    &ends::ENTRY,
    &unblocked::ENTRY,
    &grantable_again::ENTRY,
    &raises::ENTRY,
    &grammar::ENTRY,
    &refusal_writes::ENTRY,
    &refusals::ENTRY,
    &slot::ENTRY,
    &reply_state::ENTRY,
    &done::ENTRY,
    &retries::ENTRY,
    &streams::ENTRY,
    &lease_history::ENTRY,
    &published::ENTRY,
    &grants::ENTRY,
    &terminal::ENTRY,
    &creation::ENTRY,
    &admission::ENTRY,
    &budget::ENTRY,
    &registry::ENTRY,
    &membership::ENTRY,
    &flow_life::ENTRY,
    &edges::ENTRY,
    &dependencies::ENTRY,
    &edge_groups::ENTRY,
    &suspension::ENTRY,
    &waitpoints::ENTRY,
    &secrets::ENTRY,
    &signals::ENTRY,
    &resume_condition::ENTRY,
];

/// No property has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no property is called {name:?}; did you mean {nearest:?}? `grantsim properties` lists them all")]
pub struct UnknownProperty {
    /// What was asked for.
    pub name: String,
    /// The most similar one.
    pub nearest: &'static str,
}

impl Entry {
    /// The classes of faults under which it must hold: all, unless the catalogue says otherwise.
    pub fn holds_under(&self) -> BTreeSet<FaultClass> {
        FaultClass::ALL.iter().copied().filter(|class| self.withstands(*class)).collect()
    }

    /// Whether it must hold under this class of faults.
    pub fn withstands(&self, class: FaultClass) -> bool {
        !contract::may_break(self.name, class)
    }
}

/// Every entry.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    PROMISES.iter().copied().chain(reach::ENTRIES)
}

/// What must hold at every moment.
pub fn always() -> impl Iterator<Item = &'static Entry> {
    all().filter(|entry| entry.expect == Expect::Always)
}

/// What is promised: what must hold at every moment, and what must hold some time after the last fault.
pub fn promises() -> impl Iterator<Item = &'static Entry> {
    all().filter(|entry| !matches!(entry.expect, Expect::Sometimes { .. }))
}

/// What some run must reach.
pub fn sometimes() -> impl Iterator<Item = &'static Entry> {
    all().filter(|entry| matches!(entry.expect, Expect::Sometimes { .. }))
}

/// What must hold some time after the last fault.
pub fn eventually() -> impl Iterator<Item = &'static Entry> {
    all().filter(|entry| entry.expect == Expect::Eventually)
}

/// Finds an entry by its name.
///
/// # Errors
/// [`UnknownProperty`], with the nearest name.
///
/// ```
/// use grantsim::property;
/// assert_eq!(property::find("lane")?.numbers, [25]);
/// assert_eq!(property::find("lanes").unwrap_err().nearest, "lane");
/// # Ok::<(), property::UnknownProperty>(())
/// ```
pub fn find(name: &str) -> Result<&'static Entry, UnknownProperty> {
    all().find(|entry| entry.name == name).ok_or_else(|| UnknownProperty {
        name: name.to_owned(),
        nearest: nearest(name, all().map(|entry| entry.name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_word(name: &str) -> bool {
        name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }

    #[test]
    fn names_are_words_and_no_two_entries_share_one() {
        let names: BTreeSet<_> = all().map(|entry| entry.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(names.iter().all(|name| is_word(name)), "{names:?}");
    }

    #[test]
    fn a_promise_has_kinds_and_numbers_and_a_state_to_be_reached_has_none() {
        for entry in all() {
            let kinds: BTreeSet<_> = entry.kinds.iter().map(|kind| kind.name).collect();
            assert_eq!(kinds.len(), entry.kinds.len(), "{}", entry.name);
            assert!(kinds.iter().all(|name| is_word(name)), "{kinds:?}");
            let is_promise = !matches!(entry.expect, Expect::Sometimes { .. });
            assert_eq!(is_promise, !kinds.is_empty(), "{}", entry.name);
            assert_eq!(is_promise, !entry.numbers.is_empty(), "{}", entry.name);
        }
    }

    #[test]
    fn everything_is_of_one_sort() {
        assert_eq!(always().count() + sometimes().count() + eventually().count(), all().count());
        assert!(
            always().count() >= 40 && sometimes().count() >= 14,
            "the catalogue does not shrink by accident"
        );
    }
}
