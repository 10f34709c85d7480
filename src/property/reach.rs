//! States that hunts must reach: a test that never meets the interesting state proves nothing.
//!
//! The catalogue is static. Every hunt counts it; a hunt of the default profile that is long enough fails when a
//! required state was never met.

use std::collections::{BTreeMap, BTreeSet};

use crate::trace::{Called, Event, Exec, GrantKind, GrantRef, Seq, What};

/// A state worth reaching.
pub struct Mark {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Whether a long hunt of the default profile must meet it. What only some libraries can do is not required.
    pub required: bool,
}

/// A hunt of so many seeds of the default profile must meet all that is required.
pub const REQUIRED_FROM_SEEDS: u64 = 200;

macro_rules! marks {
    ($($constant:ident = $name:literal, $required:literal, $about:literal;)*) => {
        $(const $constant: &str = $name;)*
        /// Every state of the catalogue.
        pub static CATALOGUE: &[Mark] = &[$(Mark { name: $name, about: $about, required: $required },)*];
    };
}

marks! {
    GRANT_EXPIRED = "grant-expired", true, "a grant's time was up before anyone took it";
    GRANT_AGAIN = "grant-issued-again", true, "an execution whose grant had expired was granted anew";
    GRANT_RACED = "grant-raced", true, "two claims of one grant reached the server";
    EDGE_BEFORE = "claim-1ms-before-expiry", true, "a claim landed a millisecond before its grant's expiry";
    EDGE_AT = "claim-at-expiry", true, "a claim landed at the very millisecond of its grant's expiry";
    EDGE_AFTER = "claim-1ms-after-expiry", true, "a claim landed a millisecond after its grant's expiry";
    CLAIM_REPLY_LOST = "claim-reply-lost", true, "a claim made a lease and its worker never knew";
    LATE_CLAIM = "late-claim", true, "a claim was executed after its worker had given it up";
    STALE_REFUSED = "stale-lease-refused", true, "a call under a lease that was over was refused";
    EXPIRED_MARKED = "lease-marked-expired", true, "a lease expired and was marked so";
    RECLAIMED = "reclaimed", false, "an execution was taken over from a lost lease";
    RESUMED = "resumed", false, "a delayed execution went on with the same attempt";
    RETRIED = "claimed-again", true, "an execution got a second lease";
    WORKER_BACK = "paused-past-its-lease", true, "a worker renewed a lease that had expired meanwhile";
}

/// Counts what one trace reached.
pub fn count(events: &[Event]) -> BTreeMap<&'static str, u64> {
    let mut counter = Counter::default();
    events.iter().for_each(|event| counter.observe(event));
    counter.counts
}

/// The required states that these counts lack.
pub fn missing(counts: &BTreeMap<String, u64>) -> Vec<&'static Mark> {
    CATALOGUE.iter().filter(|mark| mark.required && counts.get(mark.name).is_none_or(|n| *n == 0)).collect()
}

#[derive(Default)]
struct Counter {
    counts: BTreeMap<&'static str, u64>,
    expires_at_ms: BTreeMap<Exec, (GrantRef, i64)>,
    claims: BTreeMap<GrantRef, u32>,
    expired: BTreeSet<Exec>,
    /// The sending of claims that were given up, and of those that were answered with a lease.
    given_up: BTreeSet<Seq>,
    leased: BTreeSet<Seq>,
    kinds: BTreeMap<GrantRef, GrantKind>,
}

impl Counter {
    fn hit(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }

    fn observe(&mut self, event: &Event) {
        match &event.what {
            What::GrantIssued { grant, expires_at_ms, kind, .. } => {
                if self.expired.remove(&grant.execution) {
                    self.hit(GRANT_AGAIN);
                }
                self.expires_at_ms.insert(grant.execution, (*grant, *expires_at_ms));
                self.kinds.insert(*grant, *kind);
            }
            What::GrantExpired { grant } => {
                self.hit(GRANT_EXPIRED);
                self.expired.insert(grant.execution);
            }
            What::Called(called) => self.called(event, called),
            What::LeaseCreated { epoch, grant, .. } => {
                if *epoch > 1 {
                    self.hit(RETRIED);
                }
                match grant.and_then(|grant| self.kinds.get(&grant)) {
                    Some(GrantKind::Reclaim) => self.hit(RECLAIMED),
                    Some(GrantKind::Resume) => self.hit(RESUMED),
                    _ => {}
                }
            }
            What::NoReply { function, .. } if is_claim(function) => {
                if let Some(sent) = event.cause {
                    self.given_up.insert(sent);
                    if self.leased.contains(&sent) {
                        self.hit(CLAIM_REPLY_LOST);
                    }
                }
            }
            _ => {}
        }
    }

    fn called(&mut self, event: &Event, called: &Called) {
        if matches!(called.answer.as_str(), "stale_lease" | "lease_expired" | "execution_not_active")
            && called.presented.is_fenced()
        {
            self.hit(STALE_REFUSED);
            if called.function == "ff_renew_lease" && called.answer != "execution_not_active" {
                self.hit(WORKER_BACK);
            }
        }
        if called.function == "ff_mark_lease_expired_if_due" && called.answer == "OK" {
            self.hit(EXPIRED_MARKED);
        }
        if !is_claim(&called.function) {
            return;
        }
        if event.cause.is_some_and(|sent| self.given_up.contains(&sent)) {
            self.hit(LATE_CLAIM);
        }
        if let (Some(sent), "OK") = (event.cause, called.answer.as_str()) {
            self.leased.insert(sent);
        }
        let Some(execution) = called.presented.execution else { return };
        let Some((grant, expires_at_ms)) = self.expires_at_ms.get(&execution).copied() else { return };
        // A claim that is sent on to another function has not raced anyone yet.
        if called.answer == "use_claim_resumed_execution" {
            return;
        }
        let claims = self.claims.entry(grant).or_default();
        *claims += 1;
        if *claims == 2 {
            self.hit(GRANT_RACED);
        }
        match called.now_ms - expires_at_ms {
            -1 => self.hit(EDGE_BEFORE),
            0 => self.hit(EDGE_AT),
            1 => self.hit(EDGE_AFTER),
            _ => {}
        }
    }
}

fn is_claim(function: &str) -> bool {
    matches!(
        function,
        "ff_claim_execution" | "ff_acquire_lease" | "ff_claim_resumed_execution" | "ff_reclaim_execution"
    )
}
