//! States that hunts must reach: a test that never meets the interesting state proves nothing.
//!
//! Every hunt counts them; a hunt of the default profile that is long enough fails when it never met a required one. Nothing
//! here is right or wrong: what must hold is in the other files.

mod grants;
mod replies;

use std::collections::BTreeMap;

use super::{Entry, Expect, Found, Property, catalogue};
use crate::{
    trace::{Call, GrantSeen, Happened, Moment},
    types::{Answer, Code, Function, GrantKind, LeaseEpoch},
};
use grants::{GrantedAgain, Raced, at_expiry};
use replies::{LateClaim, ReplyLost};

/// A hunt of so many seeds of the default profile must meet all that is required.
pub const REQUIRED_FROM_SEEDS: u64 = 200;

/// The entries whose states are required and not in these counts.
pub fn missing<N: AsRef<str>>(reached: &BTreeMap<N, u64>) -> Vec<&'static Entry> {
    let is_reached =
        |entry: &Entry| reached.iter().any(|(name, count)| name.as_ref() == entry.name && *count > 0);
    let is_required = |entry: &&Entry| entry.expect == Expect::Sometimes { required: true };
    catalogue::sometimes().filter(is_required).filter(|entry| !is_reached(entry)).collect()
}

const fn entry(
    name: &'static str,
    required: bool,
    claim: &'static str,
    monitor: fn() -> Box<dyn Property>,
) -> Entry {
    Entry { name, numbers: &[], claim, expect: Expect::Sometimes { required }, kinds: &[], monitor }
}

/// Every state to be reached.
pub(super) static ENTRIES: &[Entry] = &[
    entry("grant-expired", true, "a grant expired before anyone took it", || {
        Box::new(Change(|happened| matches!(happened, Happened::GrantExpired(_))))
    }),
    entry("grant-issued-again", true, "an execution whose grant had expired was granted again", || {
        Box::<GrantedAgain>::default()
    }),
    entry("grant-raced", true, "two claims of one grant reached the server", || Box::<Raced>::default()),
    entry(
        "claim-1ms-before-expiry",
        true,
        "a claim arrived one millisecond before its grant's expiry",
        || at_expiry(-1),
    ),
    entry("claim-at-expiry", true, "a claim arrived in the very millisecond of its grant's expiry", || {
        at_expiry(0)
    }),
    entry("claim-1ms-after-expiry", true, "a claim arrived one millisecond after its grant's expiry", || {
        at_expiry(1)
    }),
    entry("claim-reply-lost", true, "a claim made a lease and its worker never knew", || {
        Box::<ReplyLost>::default()
    }),
    entry("late-claim", true, "a claim was executed after its worker had given it up", || {
        Box::<LateClaim>::default()
    }),
    entry("stale-lease-refused", true, "a call under a lease that was over was refused", || {
        Box::new(Called(|call| call.presented.is_fenced() && is_refused_as_over(&call.answer)))
    }),
    entry("lease-marked-expired", true, "a lease expired and was marked so", || {
        Box::new(Called(|call| call.function == Function::MarkLeaseExpiredIfDue && call.answer.is_ok()))
    }),
    entry("reclaimed", false, "an execution was taken over from a lost lease", || {
        Box::new(Change(|happened| is_lease_from(happened, GrantKind::Reclaim)))
    }),
    entry("resumed", false, "a delayed execution went on with the same attempt", || {
        Box::new(Change(|happened| is_lease_from(happened, GrantKind::Resume)))
    }),
    entry("claimed-again", true, "an execution got a second lease", || {
        Box::new(Change(
            |happened| matches!(happened, Happened::LeaseCreated { lease, .. } if lease.epoch > LeaseEpoch(1)),
        ))
    }),
    entry("paused-past-its-lease", true, "a worker renewed a lease that had expired meanwhile", || {
        Box::new(Called(is_renewal_too_late))
    }),
];

/// A state that is seen in something that happened to an execution.
struct Change(fn(&Happened) -> bool);

impl Property for Change {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        step.changes().iter().filter(|change| (self.0)(&change.what)).for_each(|_| found.reached());
    }
}

/// A state that is seen in a call and its answer.
struct Called(fn(&Call<'_>) -> bool);

impl Property for Called {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        step.call.iter().filter(|call| (self.0)(call)).for_each(|_| found.reached());
    }
}

fn is_lease_from(happened: &Happened, kind: GrantKind) -> bool {
    matches!(happened, Happened::LeaseCreated { grant: Some(GrantSeen { kind: of, .. }), .. } if *of == kind)
}

fn is_refused_as_over(answer: &Answer) -> bool {
    matches!(answer, Answer::Refusal(Code::StaleLease | Code::LeaseExpired | Code::ExecutionNotActive))
}

fn is_renewal_too_late(call: &Call<'_>) -> bool {
    call.function == Function::RenewLease
        && call.presented.is_fenced()
        && matches!(call.answer, Answer::Refusal(Code::StaleLease | Code::LeaseExpired))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::testing::Story;

    fn granted() -> Story {
        Story::new().created(0).granted(10, 100)
    }

    fn leased() -> Story {
        granted().claimed(20, 1, 100)
    }

    /// A claim that is refused.
    fn refused(story: Story, at: i64, answer: &str) -> Story {
        story.step(at, "ff_claim_execution e1 w w-1 gold", answer, "")
    }

    fn fenced(story: Story, function: &str, answer: &str) -> Story {
        let fence = if function == "ff_renew_lease" { "0 a1 l1 1" } else { "l1 1 a1 done lease_holder" };
        story.step(90, &format!("{function} e1 {fence}"), answer, "")
    }

    /// Each state, a story that reaches it once, and one that comes near.
    fn stories() -> Vec<(&'static str, Story, Story)> {
        let claim = "ff_claim_execution";
        vec![
            ("grant-expired", granted().reaped(101), granted().reaped(100)),
            (
                "grant-issued-again",
                granted().reaped(101).granted(110, 200),
                leased().delayed(30, 1).granted(40, 200),
            ),
            (
                "grant-raced",
                refused(refused(leased(), 30, "lease_conflict"), 31, "lease_conflict"),
                refused(granted(), 20, "use_claim_resumed_execution").claimed(20, 1, 100),
            ),
            ("claim-1ms-before-expiry", granted().claimed(99, 1, 900), granted().claimed(98, 1, 900)),
            ("claim-at-expiry", granted().claimed(100, 1, 900), granted().claimed(99, 1, 900)),
            (
                "claim-1ms-after-expiry",
                refused(granted().reaped(101), 101, "invalid_claim_grant"),
                refused(granted(), 102, "x"),
            ),
            (
                "claim-reply-lost",
                granted().sent(claim).claimed(20, 1, 100).reply_lost(claim),
                refused(granted().sent(claim), 20, "lease_conflict").reply_lost(claim),
            ),
            (
                "late-claim",
                granted().sent(claim).reply_lost(claim).claimed(20, 1, 100),
                granted().sent(claim).reply_lost(claim).sent(claim).claimed(20, 1, 100),
            ),
            (
                "stale-lease-refused",
                fenced(leased(), "ff_complete_execution", "execution_not_active"),
                fenced(leased(), "ff_complete_execution", "fence_required"),
            ),
            (
                "lease-marked-expired",
                leased().marked(100),
                leased().step(90, "ff_mark_lease_expired_if_due e1", "ALREADY_SATISFIED", ""),
            ),
            ("reclaimed", leased().marked(100).reclaim_granted(110, 200).reclaimed(120, 2, 900), leased()),
            (
                "resumed",
                leased().delayed(30, 1).granted(40, 90).claimed(50, 2, 900),
                leased().marked_and_freed(100).granted(110, 200).claimed(120, 2, 900),
            ),
            (
                "claimed-again",
                leased().marked_and_freed(100).granted(110, 200).claimed(120, 2, 900),
                leased(),
            ),
            (
                "paused-past-its-lease",
                fenced(leased(), "ff_renew_lease", "lease_expired"),
                fenced(leased(), "ff_renew_lease", "execution_not_active"),
            ),
        ]
    }

    #[test]
    fn each_state_is_reached_by_its_story_and_not_by_one_that_comes_near() {
        let names: Vec<_> = stories().iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, catalogue::sometimes().map(|entry| entry.name).collect::<Vec<_>>());
        for (name, story, near) in stories() {
            let reached = story.verdict().reached;
            assert_eq!(reached.get(name), Some(&1), "{reached:?}");
            assert!(!near.verdict().reached.contains_key(name), "the near miss of {name}");
        }
    }

    #[test]
    fn only_what_is_required_can_be_missing() {
        assert_eq!(missing(&BTreeMap::<String, u64>::new()).len(), 12);
        let all = BTreeMap::from_iter(catalogue::sometimes().map(|entry| (entry.name, 1)));
        assert!(missing(&all).is_empty());
        let without = BTreeMap::from_iter(all.keys().map(|name| (*name, u64::from(*name != "grant-raced"))));
        assert_eq!(missing(&without)[0].name, "grant-raced");
    }
}
