//! Every eligible execution is granted within the plan's bound once the faults are over (42 of `docs/protocol.md`).
//!
//! A grant alone does not help: where a worker that is able asks for work and has time enough to claim, the claim succeeds,
//! too. RFC-009 accepts that low priorities starve (§4.3) and that lanes of mixed capabilities have a tail (§7.4).

use super::InTheEnd;
use crate::{
    property::{Entry, Expect, Kind},
    types::Stuck,
};

const NO_GRANT: Kind = Kind {
    name: "no-grant",
    about: "it is eligible, a worker that is able asks for work, and nobody grants it",
};
const NOT_LISTED: Kind = Kind {
    name: "not-listed",
    about: "it is eligible, and the eligible set, where schedulers look, does not have it",
};
const BEHIND_A_GHOST: Kind = Kind {
    name: "behind-a-ghost",
    about: "it is eligible, and one that is not stands before it in the eligible set for ever",
};
const NEVER_CLAIMED: Kind =
    Kind { name: "never-claimed", about: "it is granted in time, and no claim succeeds" };
const NEVER_LISTED: Kind = Kind {
    name: "never-listed",
    about: "it was eligible from the start, and has never been in the eligible set",
};

pub(super) const STUCK: &[(Stuck, Kind)] = &[
    (Stuck::NotGranted, NO_GRANT),
    (Stuck::NotEligibleListed, NOT_LISTED),
    (Stuck::BehindAGhost, BEHIND_A_GHOST),
    (Stuck::NeverClaimed, NEVER_CLAIMED),
    (Stuck::NeverListed, NEVER_LISTED),
];

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "granted",
    numbers: &[42],
    claim: "Every eligible execution is granted, and claimed, once the faults are over.",
    expect: Expect::Eventually,
    kinds: &[NO_GRANT, NOT_LISTED, BEHIND_A_GHOST, NEVER_CLAIMED, NEVER_LISTED],
    monitor: || Box::new(InTheEnd(STUCK)),
};

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::{
        property::{liveness::granted, testing::cases},
        types::{Reason, Stuck, Why},
    };

    cases! {
        not_granted: "granted/-/-/no-grant",
            granted().stands_still(Why::Stuck(Stuck::NotGranted)),
            near granted().stands_still(Why::Legitimate(Reason::NoCapableWorker));
        not_eligible_listed: "granted/-/-/not-listed",
            granted().stands_still(Why::Stuck(Stuck::NotEligibleListed)),
            near granted().stands_still(Why::Legitimate(Reason::NoWorker));
        behind_a_ghost: "granted/-/-/behind-a-ghost",
            granted().stands_still(Why::Stuck(Stuck::BehindAGhost)),
            near granted().stands_still(Why::Legitimate(Reason::BehindAnother));
        never_claimed: "granted/-/-/never-claimed",
            granted().stands_still(Why::Stuck(Stuck::NeverClaimed)),
            near granted().stands_still(Why::Legitimate(Reason::GrantTooShort));
        never_listed: "granted/-/-/never-listed",
            granted().stands_still(Why::Stuck(Stuck::NeverListed)),
            near granted().stands_still(Why::Legitimate(Reason::NoScheduler));
    }

    #[test]
    fn it_showed_at_the_last_step_that_did_anything_to_the_execution() {
        let story = granted().plain(200, "SET other 1").stands_still(Why::Stuck(Stuck::NotGranted));
        let violation = &story.verdict().violations[0];
        assert_eq!((violation.at, violation.execution.as_ref().map(|name| name.as_str())), (1, Some("e1")));
        assert!(violation.message.contains("waits: "), "{}", violation.message);
        assert!(violation.is_liveness());
    }
}
