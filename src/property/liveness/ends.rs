//! Every execution becomes terminal, goes on, or has a reason to wait, within the plan's bound once the faults are over (44
//! of `docs/protocol.md`).
//!
//! Here is what stands still in no state of which another promise speaks. What may stand still is
//! [`Reason`](crate::types::Reason).

use super::InTheEnd;
use crate::{
    property::{Entry, Expect, Kind},
    types::Stuck,
};

const NEVER_CREATED: Kind = Kind {
    name: "never-created",
    about: "it was submitted, the submitter asks again, and it does not exist",
};
const NOT_RECLAIMED: Kind =
    Kind { name: "not-reclaimed", about: "its lost lease is marked, and no worker can take it over" };
const NEVER_ENDS: Kind =
    Kind { name: "never-ends", about: "it gets more leases than there is work for, and never ends" };
const NOT_PROMOTED: Kind =
    Kind { name: "not-promoted", about: "its delay is over, and it does not become eligible" };
const NO_TIME: Kind =
    Kind { name: "no-time", about: "it is delayed and does not say until when: nobody can promote it" };
const NOT_LISTED: Kind = Kind {
    name: "not-listed",
    about: "it is delayed, and the delayed set, where the promoter looks, does not have it",
};
const DELAY_TOO_LONG: Kind =
    Kind { name: "delay-too-long", about: "it is delayed for longer than anybody asked for" };
const NOT_TIMED_OUT: Kind =
    Kind { name: "not-timed-out", about: "the time of its suspension is up, and it is still suspended" };
const NO_WAY_OUT: Kind = Kind { name: "no-way-out", about: "it is in a state from which nothing leads on" };

pub(super) const STUCK: &[(Stuck, Kind)] = &[
    (Stuck::NeverCreated, NEVER_CREATED),
    (Stuck::NotReclaimed, NOT_RECLAIMED),
    (Stuck::NeverEnds, NEVER_ENDS),
    (Stuck::NotPromoted, NOT_PROMOTED),
    (Stuck::NoTimeToPromote, NO_TIME),
    (Stuck::NotDelayedListed, NOT_LISTED),
    (Stuck::DelayTooLong, DELAY_TOO_LONG),
    (Stuck::NotTimedOut, NOT_TIMED_OUT),
    (Stuck::NoWayOut, NO_WAY_OUT),
];

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "ends",
    numbers: &[44],
    claim: "Every execution becomes terminal, or has a reason to wait, once the faults are over.",
    expect: Expect::Eventually,
    kinds: &[
        NEVER_CREATED,
        NOT_RECLAIMED,
        NEVER_ENDS,
        NOT_PROMOTED,
        NO_TIME,
        NOT_LISTED,
        DELAY_TOO_LONG,
        NOT_TIMED_OUT,
        NO_WAY_OUT,
    ],
    monitor: || Box::new(InTheEnd(STUCK)),
};

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::{
        property::{liveness::granted, testing::cases},
        types::{Reason, Stuck, Why},
    };

    cases! {
        never_created: "ends/-/-/never-created",
            granted().stands_still(Why::Stuck(Stuck::NeverCreated)),
            near granted().stands_still(Why::Legitimate(Reason::NobodySubmits));
        not_reclaimed: "ends/-/-/not-reclaimed",
            granted().stands_still(Why::Stuck(Stuck::NotReclaimed)),
            near granted().stands_still(Why::Legitimate(Reason::NobodyDoesIt));
        never_ends: "ends/-/-/never-ends",
            granted().stands_still(Why::Stuck(Stuck::NeverEnds)),
            near granted().stands_still(Why::Legitimate(Reason::LeaseTooShort));
        not_promoted: "ends/-/-/not-promoted",
            granted().stands_still(Why::Stuck(Stuck::NotPromoted)),
            near granted().stands_still(Why::Legitimate(Reason::NotDue));
        delayed_without_a_time: "ends/-/-/no-time",
            granted().stands_still(Why::Stuck(Stuck::NoTimeToPromote)),
            near granted().stands_still(Why::Legitimate(Reason::NotDue));
        not_delayed_listed: "ends/-/-/not-listed",
            granted().stands_still(Why::Stuck(Stuck::NotDelayedListed)),
            near granted().stands_still(Why::Legitimate(Reason::NoScanner));
        delay_too_long: "ends/-/-/delay-too-long",
            granted().stands_still(Why::Stuck(Stuck::DelayTooLong)),
            near granted().stands_still(Why::Legitimate(Reason::NotDue));
        not_timed_out: "ends/-/-/not-timed-out",
            granted().stands_still(Why::Stuck(Stuck::NotTimedOut)),
            near granted().stands_still(Why::Legitimate(Reason::NoSignal));
        no_way_out: "ends/-/-/no-way-out",
            granted().stands_still(Why::Stuck(Stuck::NoWayOut)),
            near granted().stands_still(Why::Legitimate(Reason::Operator));
    }
}
