//! What is blocked and has nothing left to wait for is unblocked within the plan's bound once the faults are over (45 of
//! `docs/protocol.md`).
//!
//! For a want of capable workers: a living worker of the lane is able. For dependencies: none is unresolved.

use super::InTheEnd;
use crate::{
    property::{Entry, Expect, Kind},
    types::Stuck,
};

const NOT_UNBLOCKED: Kind = Kind {
    name: "not-unblocked",
    about: "it is blocked for want of a capable worker, one lives, and nobody unblocks it",
};
const NOT_LISTED: Kind = Kind {
    name: "not-listed",
    about: "it is blocked, and the set of its reason, where scanners look, does not have it",
};
const NOT_RESOLVED: Kind =
    Kind { name: "not-resolved", about: "all that it depends on is resolved, and it is still blocked" };
const GROUP_HAS_FIRED: Kind = Kind {
    name: "group-has-fired",
    about: "an edge was added to a group that had fired: it is blocked, and no group will fire for it again",
};
const GOES_ROUND: Kind = Kind {
    name: "goes-round",
    about: "it is put aside and comes back again and again, though a worker that is able lives",
};

pub(super) const STUCK: &[(Stuck, Kind)] = &[
    (Stuck::NotUnblocked, NOT_UNBLOCKED),
    (Stuck::NotBlockedListed, NOT_LISTED),
    (Stuck::NotResolved, NOT_RESOLVED),
    (Stuck::GroupHasFired, GROUP_HAS_FIRED),
    (Stuck::GoesRound, GOES_ROUND),
];

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "unblocked",
    numbers: &[45],
    claim: "What is blocked and has nothing left to wait for is unblocked once the faults are over.",
    expect: Expect::Eventually,
    kinds: &[NOT_UNBLOCKED, NOT_LISTED, NOT_RESOLVED, GROUP_HAS_FIRED, GOES_ROUND],
    monitor: || Box::new(InTheEnd(STUCK)),
};

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::{
        property::{liveness::granted, testing::cases},
        types::{Reason, Stuck, Why},
    };

    cases! {
        not_unblocked: "unblocked/-/-/not-unblocked",
            granted().stands_still(Why::Stuck(Stuck::NotUnblocked)),
            near granted().stands_still(Why::Legitimate(Reason::MixedCapabilities));
        not_blocked_listed: "unblocked/-/-/not-listed",
            granted().stands_still(Why::Stuck(Stuck::NotBlockedListed)),
            near granted().stands_still(Why::Legitimate(Reason::NoCapableWorker));
        group_has_fired: "unblocked/-/-/group-has-fired",
            granted().stands_still(Why::Stuck(Stuck::GroupHasFired)),
            near granted().stands_still(Why::Legitimate(Reason::Dependency));
        not_resolved: "unblocked/-/-/not-resolved",
            granted().stands_still(Why::Stuck(Stuck::NotResolved)),
            near granted().stands_still(Why::Legitimate(Reason::Dependency));
        goes_round: "unblocked/-/-/goes-round",
            granted().stands_still(Why::Stuck(Stuck::GoesRound)),
            near granted().stands_still(Why::Legitimate(Reason::MixedCapabilities));
    }
}
