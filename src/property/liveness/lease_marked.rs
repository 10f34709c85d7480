//! Every lease that is over is marked expired within the plan's bound once the faults are over (43 of `docs/protocol.md`).
//!
//! Not here: that whoever has the lease is told no more (8, 12), and that somebody takes the execution over (44).

use super::InTheEnd;
use crate::{
    property::{Entry, Expect, Kind},
    types::Stuck,
};

const NOT_MARKED: Kind =
    Kind { name: "not-marked", about: "its lease is over by the server's clock, and no scanner marks it" };
const NOT_LISTED: Kind = Kind {
    name: "not-listed",
    about: "its lease is over, and lease_expiry, where scanners look, does not have it",
};

pub(super) const STUCK: &[(Stuck, Kind)] =
    &[(Stuck::LeaseNotMarked, NOT_MARKED), (Stuck::LeaseNotListed, NOT_LISTED)];

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "lease-marked",
    numbers: &[43],
    claim: "Every lease that is over is marked expired once the faults are over.",
    expect: Expect::Eventually,
    kinds: &[NOT_MARKED, NOT_LISTED],
    monitor: || Box::new(InTheEnd(STUCK)),
};

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::{
        property::{liveness::granted, testing::cases},
        types::{Reason, Stuck, Why},
    };

    cases! {
        lease_not_marked: "lease-marked/-/-/not-marked",
            granted().stands_still(Why::Stuck(Stuck::LeaseNotMarked)),
            near granted().stands_still(Why::Legitimate(Reason::NoScanner));
        lease_not_listed: "lease-marked/-/-/not-listed",
            granted().stands_still(Why::Stuck(Stuck::LeaseNotListed)),
            near granted().stands_still(Why::Legitimate(Reason::Running));
    }
}
