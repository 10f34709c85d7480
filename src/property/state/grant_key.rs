//! The key of a grant expires when the grant does (27 of `docs/protocol.md`), and a grant dies when its execution stops being
//! grantable (35, 54).
//!
//! Not here: who takes a grant and how often, which [`at_most_once`](crate::property::history::at_most_once) asks.

use super::rules::{Deed, Fault, Rules, Seen, differ, number};
use crate::{
    property::{Entry, Expect, Kind},
    types::Function,
};

const NO_TTL: Kind =
    Kind { name: "no-ttl", about: "the key of a grant has no time to live: it stays for ever" };
const TTL: Kind = Kind { name: "ttl", about: "the key of a grant expires at another time than the grant" };
const OUTLIVES: Kind = Kind {
    name: "outlives",
    about: "a grant is there, and its execution can be neither claimed nor reclaimed",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "grant-key",
    numbers: &[27, 35, 54],
    claim: "The key of a grant expires with the grant, and there is none where nobody could take it.",
    expect: Expect::Always,
    kinds: &[NO_TTL, TTL, OUTLIVES],
    monitor: || Box::new(Rules::new(|deed: &Deed<'_>| !is_sequel(deed), &[expires, outlives])),
};

/// A lease that was marked expired, and whose holder ends it all the same: that is what is wrong then, and the reclaim grant
/// that it leaves is a sequel.
fn is_sequel(deed: &Deed<'_>) -> bool {
    let by_holder = matches!(
        deed.function(),
        Some(
            Function::CompleteExecution
                | Function::FailExecution
                | Function::DelayExecution
                | Function::MoveToWaitingChildren
                | Function::SuspendExecution
        )
    );
    by_holder && deed.before().is_some_and(|before| before.state.ownership.is_reclaimable())
}

fn expires(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let Some(grant) = seen.execution.grant() else { return };
    match grant.key_expires_at {
        None => {
            let message = format!("has a grant until {} whose key never expires", grant.expires_at.0);
            faults.push(Fault { kind: NO_TTL, what: "".into(), message });
        }
        Some(at) => {
            let record = seen.execution.grant_record();
            let until = record.and_then(|record| number(record.text("grant_expires_at")));
            if until.is_none_or(|until| differ(until, at.0 as f64)) {
                let message =
                    format!("has a grant until {}, and its key expires at {}", grant.expires_at.0, at.0);
                faults.push(Fault { kind: TTL, what: "".into(), message });
            }
        }
    }
}

fn outlives(seen: &Seen<'_>, faults: &mut Vec<Fault>) {
    let state = &seen.state;
    if state.is_grantable() || !seen.execution.grant().is_some_and(|grant| grant.is_visible(seen.now)) {
        return;
    }
    let message = format!("is {}, {}, {}, and has a grant", state.phase, state.ownership, state.eligibility);
    faults.push(Fault { kind: OUTLIVES, what: "".into(), message });
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::{
        libraries::{leased, published},
        testing::{Story, cases, grant},
    };
    use crate::protocol::BlockingReason;

    fn granted(commands: &str) -> Story {
        published().creates(0, None).step(10, "ff_issue_claim_grant e1 w w-1 gold - 0", "OK", commands)
    }

    cases! {
        a_grant_that_stays: "grant-key/ff_issue_claim_grant/OK/no-ttl",
            granted(&grant(10, 100).replace("PEXPIREAT", "PERSIST :grant; EXISTS")),
            near granted(&grant(10, 100));
        a_grant_whose_key_goes_at_another_time: "grant-key/ff_issue_claim_grant/OK/ttl",
            granted(&grant(10, 100).replace("PEXPIREAT :grant @100", "PEXPIREAT :grant @200")),
            near published().creates(0, None).grants(10, false);
        a_grant_of_what_cannot_be_claimed: "grant-key/ff_block_execution_for_admission/OK/outlives",
            published().creates(0, None).grants(10, false).blocks(20, BlockingReason::Budget),
            near published().creates(0, None).grants(10, false).reaped(61).blocks(70, BlockingReason::Budget);
    }

    #[test]
    fn a_reclaim_grant_is_for_what_lost_its_lease() {
        assert!(leased().marks(120).grants(130, true).fingerprints().is_empty());
        let told = leased().marks(120).grants(130, true).overrides_cancel(140, 0).fingerprints();
        assert_eq!(
            told,
            ["grant-key/ff_cancel_execution/OK/outlives", "grants/ff_cancel_execution/OK/outlived"]
        );
    }
}
