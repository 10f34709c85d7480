//! Promises about what follows what.
//!
//! Leases, grants, lanes and states come from the keyspace before and after each step. What a property of these remembers is
//! only what the keyspace no longer tells: which grants were spent, the highest epoch, the lane that was chosen, and which
//! lease was said to be over before its time.

pub(super) mod at_most_once;
mod called_off;
pub(super) mod creation;
pub(super) mod delay;
pub(super) mod expiry;
pub(super) mod fence;
pub(super) mod grants;
pub(super) mod lane;
pub(super) mod lease_history;
pub(super) mod one_lease;
pub(super) mod published;
pub(super) mod terminal;
mod untold;
