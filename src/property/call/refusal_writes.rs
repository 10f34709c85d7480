//! An error reply means that nothing was written (RFC-010 §4.8; 41 of `docs/protocol.md`), and a refused creation leaves
//! nothing behind (52).
//!
//! Lawful are stamps, and marking a lease expired. What counts is what stands there afterwards: a key that was written and
//! removed again is as it was. Keys that had expired, and that the server removed at last, are not the call's doing.

use valkey_sim::engine::value::Hash;

use super::{Calls, Look, Wrong};
use crate::{
    property::{Entry, Expect, Kind},
    protocol::shape::Shape,
    trace::{Call, Step},
    types::{Answer, Code, Function, OwnershipState},
    view::{Entity, keys_of},
};

const WROTE: Kind = Kind { name: "wrote", about: "the function refused and wrote all the same" };
const CREATED: Kind =
    Kind { name: "created", about: "the function refused to create something and left a part of it" };
const HALF_DONE: Kind =
    Kind { name: "half-done", about: "the function raised an error after it had written a part" };
const BAD_ARGUMENTS: Kind = Kind {
    name: "on-bad-arguments",
    about: "the function refused or raised over an argument, after it had written a part",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "refusal-writes",
    numbers: &[41, 52],
    claim: "What answers an error has written nothing, and a refused creation leaves nothing.",
    expect: Expect::Always,
    kinds: &[WROTE, CREATED, HALF_DONE, BAD_ARGUMENTS],
    monitor: || Box::new(Calls(&[wrote_nothing as Look])),
};

/// Fields of a core that say when something was refused last.
const STAMPS: [&str; 2] = ["last_capability_mismatch_at", "last_hmac_validation_failed_at"];

/// What marking a lease expired writes to a core.
const MARKS: [&str; 6] = [
    "attempt_state",
    "blocking_detail",
    "blocking_reason",
    "last_mutation_at",
    "lease_expired_at",
    "ownership_state",
];

fn wrote_nothing(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    if step.effects.is_empty() {
        return None;
    }
    let is_error = match &call.answer {
        Answer::Refusal(_) => false,
        Answer::Error(_) => true,
        _ => return None,
    };
    let shape = Shape::of(&call.function)?;
    let key = step.effects.iter().flat_map(keys_of).find_map(|key| unlawful(step, call, key))?;
    if step.after.is_mirrored() {
        return None;
    }
    let kind = match (is_error, &call.function) {
        _ if !shape.takes(call.argv) => BAD_ARGUMENTS,
        (true, _) => HALF_DONE,
        (
            false,
            Function::CreateExecution
            | Function::CreateBudget
            | Function::CreateFlow
            | Function::CreatePendingWaitpoint
            | Function::CreateQuotaPolicy,
        ) => CREATED,
        _ => WROTE,
    };
    Some(Wrong { kind, message: format!("{} answered {} and wrote {key}", call.function, call.answer) })
}

/// The key, if it is another one than before, and may not be.
fn unlawful<'k>(step: &Step<'_>, call: &Call<'_>, key: &'k [u8]) -> Option<&'k str> {
    let key = std::str::from_utf8(key).ok().filter(|key| key.starts_with("ff:"))?;
    let (before, after) = (step.before.entry(key), step.after.entry(key));
    if before == after {
        return None;
    }
    let had_expired = step.before.expires_at(key).is_some_and(|last| last < step.now);
    if after.is_none() && had_expired {
        return None;
    }
    let is_marked = call.answer.is(&Code::LeaseExpired) && marks(step, key);
    if key.ends_with(":core")
        && let (Some(before), Some(after)) = (step.before.hash(key), step.after.hash(key))
    {
        let may = |name: &str| STAMPS.contains(&name) || is_marked && MARKS.contains(&name);
        return (!differ_only_in(before, after, may)).then_some(key);
    }
    let is_of_marking = is_marked && (key.ends_with(":lease:history") || key.ends_with(":meta"));
    (!is_of_marking).then_some(key)
}

/// Whether the execution of a key was marked expired in the step.
fn marks(step: &Step<'_>, key: &str) -> bool {
    let Some(Entity::Execution(id)) = Entity::of_key(key) else { return false };
    let ownership = |view: &crate::view::View| view.execution(&id).core().map(|core| core.ownership());
    ownership(step.before) == Some(OwnershipState::Leased)
        && ownership(step.after) == Some(OwnershipState::LeaseExpiredReclaimable)
}

fn differ_only_in(before: &Hash, after: &Hash, may: impl Fn(&str) -> bool) -> bool {
    let mut fields = before.iter().chain(after.iter());
    fields.all(|(name, _)| before.get(name) == after.get(name) || std::str::from_utf8(name).is_ok_and(&may))
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    /// The first lease is valid until 100.
    fn leased() -> Story {
        Story::new().created(0).granted(10, 50).claimed(20, 1, 100)
    }

    fn renewal(at: i64, answer: &str, commands: &str) -> Story {
        leased().step(at, "ff_renew_lease e1 0 a1 l1 1 100 0", answer, commands)
    }

    const MARK: &str =
        "HSET :core ownership_state lease_expired_reclaimable attempt_state attempt_interrupted";
    const CREATE: &str = "ff_create_execution e1 ns gold kind 0 me - - - - - - 7";

    cases! {
        a_refusal_that_has_written: "refusal-writes/ff_renew_lease/stale_lease/wrote",
            renewal(50, "stale_lease", "HSET :core lease_renewal_deadline @90"),
            near renewal(50, "stale_lease", "");
        a_refusal_that_marks_a_lease_and_does_more: "refusal-writes/ff_renew_lease/lease_expired/wrote",
            renewal(100, "lease_expired", &format!("{MARK}; HSET :core retry_count 3")),
            near renewal(100, "lease_expired", MARK);
        a_mismatch_that_does_more_than_stamp: "refusal-writes/ff_issue_claim_grant/capability_mismatch/wrote",
            Story::new().created(0).step(10, "ff_issue_claim_grant e1 w w-1 gold - 50 - - -", "capability_mismatch", "HSET :core last_capability_mismatch_at @10 priority 7"),
            near Story::new().created(0).step(10, "ff_issue_claim_grant e1 w w-1 gold - 50 - - -", "capability_mismatch", "HSET :core last_capability_mismatch_at @10");
        a_refused_creation_that_leaves_a_part: "refusal-writes/ff_create_execution/invalid_policy_json/created",
            Story::new().step(0, CREATE, "invalid_policy_json", "SADD :all_executions e1"),
            near Story::new().step(0, CREATE, "invalid_policy_json", "SADD :all_executions e1; SREM :all_executions e1");
        an_error_in_the_middle: "refusal-writes/ff_renew_lease/ERR/half-done",
            renewal(50, "ERR user_function:7: no field", "HSET :core lease_renewal_deadline @90"),
            near renewal(50, "OOM command not allowed", "");
        an_error_over_an_argument_in_the_middle: "refusal-writes/ff_renew_lease/invalid_input/on-bad-arguments",
            leased().step(50, "ff_renew_lease e1 0 a1 l1 1 soon 0", "invalid_input", "HSET :core lease_renewal_deadline @90"),
            near leased().step(50, "ff_renew_lease e1 0 a1 l1 1 soon 0", "invalid_input", "HSET :core lease_renewal_deadline @90; HDEL :core lease_renewal_deadline");
    }

    #[test]
    fn what_the_server_removes_since_its_time_is_up_is_not_written_by_the_call() {
        let granted = Story::new().created(0).granted(10, 50);
        let story = granted.step(
            51,
            "ff_claim_execution e1 w w-1 gold - l 100 66 a - - -",
            "invalid_claim_grant",
            "DEL :grant",
        );
        assert!(story.fingerprints().is_empty());
    }
}
