//! No lease comes from a grant that had expired by the server's clock, nor from none (CG3; 3 of `docs/protocol.md`).
//!
//! A grant is valid up to and including the millisecond it names: the published library refuses when
//! `grant_expires_at < now`. Whether a worker may take this grant is not asked here.

use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Happened, Moment},
};

const NO_GRANT: Kind = Kind { name: "no-grant", about: "a lease was created where no grant was to be seen" };
const EXPIRED_GRANT: Kind =
    Kind { name: "expired-grant", about: "a lease was created from a grant whose last millisecond was over" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "expiry",
    numbers: &[3],
    claim: "No lease comes from a grant that had expired by the server's clock, nor from none.",
    expect: Expect::Always,
    kinds: &[NO_GRANT, EXPIRED_GRANT],
    monitor: || Box::new(Expiry),
};

#[derive(Clone, Hash)]
struct Expiry;

impl Property for Expiry {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        for change in step.changes() {
            let execution = &change.execution;
            let Happened::LeaseCreated { grant, .. } = &change.what else { continue };
            let Some(seen) = grant else {
                let message = format!("{execution} got a lease, and there was no valid grant");
                found.violation(NO_GRANT, Some(execution), message);
                continue;
            };
            let late_ms = step.now.0 - seen.grant.expires_at.0;
            if late_ms > 0 {
                let message =
                    format!("{execution} got a lease from a grant that had expired {late_ms} ms before");
                found.violation(EXPIRED_GRANT, Some(execution), message);
            }
        }
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases, grant, lease};

    /// A grant that is valid until 100, and whose key stays: the server does not hide that it expires.
    fn granted() -> Story {
        Story::new().created(0).step(
            10,
            "ff_issue_claim_grant e1 w w-1 gold - 0",
            "OK",
            &grant(10, 100).replace("PEXPIREAT", "PERSIST :grant; EXISTS"),
        )
    }

    /// At 10, a grant that is valid until then, and a lease, in one call.
    fn granted_and_claimed(until: i64) -> Story {
        let commands = format!("{}; DEL :grant; {}", grant(10, until), lease(1, 900));
        Story::new().created(0).step(10, "ff_issue_grant_and_claim e1 w w-1 gold", "OK", &commands)
    }

    cases! {
        a_lease_from_a_grant_that_expired_a_millisecond_ago: "expiry/ff_claim_execution/OK/expired-grant",
            granted().claimed(101, 1, 900),
            near granted().claimed(100, 1, 900);
        a_lease_from_a_grant_whose_key_is_gone: "expiry/ff_claim_execution/OK/no-grant",
            Story::new().created(0).granted(10, 100).claimed(101, 1, 900),
            near Story::new().created(0).granted(10, 100).claimed(99, 1, 900);
        a_lease_from_no_grant_at_all: "expiry/ff_acquire_lease/OK/no-grant",
            Story::new().created(0).step(10, "ff_acquire_lease e1 w w-1 gold", "OK", &lease(1, 900)),
            near Story::new().created(0).granted(10, 100).step(100, "ff_acquire_lease e1 w w-1 gold", "OK", &format!("DEL :grant; {}", lease(1, 900)));
        a_grant_that_one_call_issues_and_takes: "expiry/ff_issue_grant_and_claim/OK/expired-grant",
            granted_and_claimed(9),
            // It may last no time at all.
            near granted_and_claimed(10);
    }
}
