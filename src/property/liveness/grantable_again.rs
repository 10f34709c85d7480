//! A grant that nobody took leaves its execution grantable again once it is over (CG2; 5 of `docs/protocol.md`).
//!
//! What stands in the way is a grant that stays under its key: no second one is issued beside it. That an execution leaves
//! the eligible set with its grant is for 42.

use super::InTheEnd;
use crate::{
    property::{Entry, Expect, Kind},
    types::Stuck,
};

const IN_THE_WAY: Kind = Kind {
    name: "grant-in-the-way",
    about: "a grant that is over still lies there, and no other can be issued",
};

pub(super) const STUCK: &[(Stuck, Kind)] = &[(Stuck::GrantInTheWay, IN_THE_WAY)];

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "grantable-again",
    numbers: &[5],
    claim: "A grant that nobody took leaves its execution grantable again once it is over.",
    expect: Expect::Eventually,
    kinds: &[IN_THE_WAY],
    monitor: || Box::new(InTheEnd(STUCK)),
};

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::{
        property::{liveness::granted, testing::cases},
        types::{Reason, Stuck, Why},
    };

    cases! {
        grant_in_the_way: "grantable-again/-/-/grant-in-the-way",
            granted().stands_still(Why::Stuck(Stuck::GrantInTheWay)),
            near granted().stands_still(Why::Legitimate(Reason::GrantNeverInTime));
    }
}
