//! States that hunts must reach: a test that never meets the interesting state proves nothing.
//!
//! Every hunt counts them; a hunt of the default profile that is long enough fails when it never met a required one. Nothing
//! here is right or wrong: what must hold is in the other files.

mod grants;
mod replies;
mod server;

use std::collections::BTreeMap;

use valkey_sim::engine::Reply;

use super::{Entry, Expect, Found, Property, catalogue};
use crate::{
    trace::{Call, GrantSeen, Happened, Moment, What, WorkEnd},
    types::{Answer, Code, FaultClass, Function, GrantKind, LeaseEpoch, Lost},
};
use grants::{GrantedAgain, Raced, at_expiry};
use replies::{LateClaim, ReplyLost};
use server::{Forgotten, LibraryUnderAGrant, LostInALease, OfClass, OtherClock, TwoAnswer, WorkOverlaps};

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
    entry("ending-reconciled", true, "an end was sent again, and the refusal told that it was done", || {
        Box::new(Saw(|what| matches!(what, What::WorkEnded { how: WorkEnd::Reconciled, .. })))
    }),
    entry("paused-past-its-lease", true, "a worker renewed a lease that had expired meanwhile", || {
        Box::new(Called(is_renewal_too_late))
    }),
    entry("work-overlaps", true, "two workers worked on one execution at once", || {
        Box::<WorkOverlaps>::default()
    }),
    entry("not-replicated", false, "a client was told that no replica has what it wrote", || {
        Box::new(Saw(|what| matches!(what, What::ReplyLost { lost: Lost::NotReplicated, .. })))
    }),
    entry("not-synced", false, "a client was told that what it wrote is not on the disk", || {
        Box::new(Saw(|what| matches!(what, What::ReplyLost { lost: Lost::NotSynced, .. })))
    }),
    entry("too-few-replicas", false, "a server took no write since its replica was silent", || {
        Box::new(Called(|call| says(call, "NOREPLICAS")))
    }),
    entry("consume-forgotten", true, "a server forgot that a grant was consumed: it was there again", || {
        Box::new(Forgotten::a_consume())
    }),
    entry("issue-forgotten", true, "a server forgot a grant that it had issued", || {
        Box::new(Forgotten::an_issue())
    }),
    entry("end-forgotten", true, "a server forgot that an execution had ended", || {
        Box::new(Forgotten::an_end())
    }),
    entry(
        "two-servers-answer",
        true,
        "a former server executed a call after another had taken its place",
        || Box::new(TwoAnswer),
    ),
    entry("lost-in-a-lease", true, "the server was lost while a lease lived", || {
        Box::<LostInALease>::default()
    }),
    entry("promoted-clock-behind", false, "the clock of a promoted server was behind", || {
        Box::new(OtherClock::behind(true))
    }),
    entry("promoted-clock-ahead", false, "the clock of a promoted server was ahead", || {
        Box::new(OtherClock::behind(false))
    }),
    entry(
        "library-missing-at-a-claim",
        true,
        "a claim came to a server without its function library",
        || Box::new(Called(|call| is_claim_refused(call, "ERR Function not found"))),
    ),
    entry(
        "library-replaced-under-a-grant",
        true,
        "the library was loaded anew between a grant and its claim",
        || Box::<LibraryUnderAGrant>::default(),
    ),
    entry("out-of-memory-at-a-claim", true, "a claim came to a server without memory", || {
        Box::new(Called(|call| is_claim_refused(call, "OOM")))
    }),
    entry("loading", true, "a call came to a server that was reading its data back", || {
        Box::new(Called(|call| says(call, "LOADING")))
    }),
    entry("fault-crash", true, "a process was killed", || Box::new(OfClass(FaultClass::Crash))),
    entry("fault-pause", true, "a process stood still", || Box::new(OfClass(FaultClass::Pause))),
    entry("fault-partition", true, "two nodes could not reach each other", || {
        Box::new(OfClass(FaultClass::Partition))
    }),
    entry("fault-lost-request", true, "a request was lost", || Box::new(OfClass(FaultClass::LostRequest))),
    entry("fault-lost-reply", true, "a reply was lost after the commit", || {
        Box::new(OfClass(FaultClass::LostReply))
    }),
    entry("fault-late-request", true, "a request stayed in the network", || {
        Box::new(OfClass(FaultClass::LateRequest))
    }),
    entry("fault-repeated-request", true, "a request was executed twice", || {
        Box::new(OfClass(FaultClass::RepeatedRequest))
    }),
    entry("fault-claim-held", true, "a claim was held until its grant expired", || {
        Box::new(OfClass(FaultClass::AtDeadline))
    }),
    entry("fault-grant-message", true, "a message about a grant was lost, late or doubled", || {
        Box::new(OfClass(FaultClass::GrantMessage))
    }),
    entry("fault-clock", true, "a clock was set", || Box::new(OfClass(FaultClass::Clock))),
    entry("fault-restart", true, "the server came back with all that it had", || {
        Box::new(OfClass(FaultClass::Restart))
    }),
    entry("fault-lost-writes", true, "the server came back without some of what it had acknowledged", || {
        Box::new(OfClass(FaultClass::LostWrites))
    }),
    entry("fault-failover", true, "a replica took the server's place", || {
        Box::new(OfClass(FaultClass::Failover))
    }),
    entry("fault-split-brain", true, "a replica took the server's place, and the former one went on", || {
        Box::new(OfClass(FaultClass::SplitBrain))
    }),
    entry("fault-library", true, "the function library was missing, or loaded anew", || {
        Box::new(OfClass(FaultClass::Library))
    }),
    entry("fault-out-of-memory", true, "the server had no memory for writes", || {
        Box::new(OfClass(FaultClass::OutOfMemory))
    }),
    entry("fault-eviction", true, "the server evicted keys", || Box::new(OfClass(FaultClass::Eviction))),
    entry("fault-slow", true, "the server was further away", || Box::new(OfClass(FaultClass::Slow))),
    entry("fault-other-lane", true, "a call was sent with another lane", || {
        Box::new(OfClass(FaultClass::OtherLane))
    }),
    entry("fault-stale-fence", true, "a call presented an older lease", || {
        Box::new(OfClass(FaultClass::StaleFence))
    }),
    entry("fault-bad-argument", true, "an argument was what none should be", || {
        Box::new(OfClass(FaultClass::BadArgument))
    }),
];

/// A state that is seen in something that happened to an execution.
#[derive(Clone, Hash)]
struct Change(fn(&Happened) -> bool);

impl Property for Change {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        step.changes().iter().filter(|change| (self.0)(&change.what)).for_each(|_| found.reached());
    }
}

/// A state that is seen in a call and its answer.
#[derive(Clone, Hash)]
struct Called(fn(&Call<'_>) -> bool);

impl Property for Called {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        step.call.iter().filter(|call| (self.0)(call)).for_each(|_| found.reached());
    }
}

/// A state that is seen in what a client did, or was told.
#[derive(Clone, Hash)]
struct Saw(fn(&What) -> bool);

impl Property for Saw {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        if let Moment::Client(event) = moment
            && (self.0)(&event.what)
        {
            found.reached();
        }
    }
}

fn is_lease_from(happened: &Happened, kind: GrantKind) -> bool {
    matches!(happened, Happened::LeaseCreated { grant: Some(GrantSeen { kind: of, .. }), .. } if *of == kind)
}

/// Whether the server itself refused a call with an error that begins so.
fn says(call: &Call<'_>, error: &str) -> bool {
    matches!(call.reply, Reply::Error(said) if said.0.starts_with(error))
}

fn is_claim_refused(call: &Call<'_>, error: &str) -> bool {
    call.function.consumes_grants() && says(call, error)
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
    use crate::{
        property::testing::Story,
        types::{ExecutionName, Node},
    };

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

    /// A call that the server itself refuses.
    fn told(story: Story, function: &str, error: &str) -> Story {
        story.answered(20, &format!("{function} e1"), Reply::Error(error.to_owned().into()))
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
                "ending-reconciled",
                works(1).event(WORKER, None, ended(WorkEnd::Reconciled)),
                works(1).event(WORKER, None, ended(WorkEnd::LostLease)),
            ),
            (
                "paused-past-its-lease",
                fenced(leased(), "ff_renew_lease", "lease_expired"),
                fenced(leased(), "ff_renew_lease", "execution_not_active"),
            ),
            ("work-overlaps", works(1).event(WORKER_2, None, began()), works(1).event(WORKER, None, began())),
            (
                "not-replicated",
                granted().event(WORKER, None, lost(Lost::NotReplicated)),
                granted().event(WORKER, None, lost(Lost::NotSynced)),
            ),
            (
                "not-synced",
                granted().event(WORKER, None, lost(Lost::NotSynced)),
                granted().event(WORKER, None, lost(Lost::NotReplicated)),
            ),
            (
                "too-few-replicas",
                told(granted(), claim, "NOREPLICAS Not enough good replicas to write."),
                told(granted(), claim, "READONLY You can't write against a read only replica."),
            ),
            (
                "consume-forgotten",
                granted().kept().claimed(20, 1, 100).rewound(),
                granted().kept().renewed(20, 1, 100).rewound(),
            ),
            (
                "issue-forgotten",
                Story::new().created(0).kept().granted(10, 100).rewound(),
                granted().kept().claimed(20, 1, 100).rewound(),
            ),
            (
                "end-forgotten",
                leased().kept().completed(30, 1).rewound(),
                leased().completed(30, 1).kept().granted(40, 90).rewound(),
            ),
            (
                "two-servers-answer",
                granted().at_the_former().claimed(20, 1, 100),
                granted().claimed(20, 1, 100),
            ),
            (
                "lost-in-a-lease",
                leased().event(Node::Valkey, None, broke(FaultClass::LostWrites)),
                leased().completed(30, 1).event(Node::Valkey, None, broke(FaultClass::LostWrites)),
            ),
            ("promoted-clock-behind", promoted(-5), promoted(5)),
            ("promoted-clock-ahead", promoted(5), Story::new().event(Node::Valkey, None, set(5))),
            (
                "library-missing-at-a-claim",
                told(granted(), "ff_claim_execution", "ERR Function not found"),
                told(granted(), "ff_renew_lease", "ERR Function not found"),
            ),
            (
                "library-replaced-under-a-grant",
                granted().event(Node::Valkey, None, broke(FaultClass::Library)).claimed(20, 1, 100),
                Story::new()
                    .created(0)
                    .event(Node::Valkey, None, broke(FaultClass::Library))
                    .granted(10, 100)
                    .claimed(20, 1, 100),
            ),
            (
                "out-of-memory-at-a-claim",
                told(granted(), "ff_claim_execution", "OOM command not allowed"),
                told(granted(), "ff_claim_execution", "LOADING it reads its data"),
            ),
            (
                "loading",
                told(granted(), "ff_renew_lease", "LOADING it reads its data"),
                told(granted(), "ff_renew_lease", "OOM command not allowed"),
            ),
        ]
    }

    const WORKER: Node = Node::Worker(1);
    const WORKER_2: Node = Node::Worker(2);

    fn began() -> What {
        What::WorkBegan { execution: ExecutionName::nth(1), epoch: LeaseEpoch(1) }
    }

    fn ended(how: WorkEnd) -> What {
        What::WorkEnded { execution: ExecutionName::nth(1), epoch: LeaseEpoch(1), how }
    }

    fn lost(lost: Lost) -> What {
        What::ReplyLost { function: Function::ClaimExecution, execution: None, lost }
    }

    fn works(epoch: u64) -> Story {
        let execution = ExecutionName::nth(1);
        leased().event(WORKER, None, What::WorkBegan { execution, epoch: LeaseEpoch(epoch) })
    }

    fn broke(class: FaultClass) -> What {
        What::ServerBroke { class, how: "breaks".to_owned() }
    }

    fn set(by_ms: i64) -> What {
        What::ClockSet { by_ms }
    }

    fn promoted(by_ms: i64) -> Story {
        let promoted = Story::new().event(Node::Valkey, None, broke(FaultClass::Failover));
        promoted.event(Node::Valkey, None, set(by_ms))
    }

    /// A fault of a class, as the trace tells it.
    fn fault(class: FaultClass) -> What {
        use crate::plan::{CallRef, Called, Cut, Fate};
        let (a, b) = (WORKER, Node::Valkey);
        match class {
            FaultClass::Crash => What::Crashed,
            FaultClass::Pause => What::Paused,
            FaultClass::Partition => What::PartitionBegan { a, b, cut: Cut::Both },
            FaultClass::Clock => set(5),
            FaultClass::GrantMessage => What::MessageFault { fate: Fate::Drop },
            _ if FaultClass::OF_THE_SERVER.contains(&class) => broke(class),
            _ => What::CallFault {
                class,
                call: CallRef { node: Some(a), function: Called::Claim, execution: None, nth: 1 },
            },
        }
    }

    #[test]
    fn each_class_of_faults_is_reached_by_a_fault_of_it_and_by_no_other() {
        for class in FaultClass::ALL {
            let verdict = Story::new().event(WORKER, None, fault(*class)).verdict();
            let reached: Vec<_> = verdict.reached.keys().filter(|name| name.starts_with("fault-")).collect();
            let name = match class {
                FaultClass::AtDeadline => "fault-claim-held".to_owned(),
                _ => format!("fault-{class}"),
            };
            assert_eq!(reached, [&&*name]);
        }
        let entries = catalogue::sometimes().filter(|entry| entry.name.starts_with("fault-"));
        assert_eq!(entries.count(), FaultClass::ALL.len());
    }

    #[test]
    fn each_state_is_reached_by_its_story_and_not_by_one_that_comes_near() {
        let names: Vec<_> = stories().iter().map(|(name, ..)| *name).collect();
        let of_faults = |entry: &&Entry| entry.name.starts_with("fault-");
        let others = catalogue::sometimes().filter(|entry| !of_faults(entry)).map(|entry| entry.name);
        assert_eq!(names, others.collect::<Vec<_>>());
        for (name, story, near) in stories() {
            let reached = story.verdict().reached;
            assert_eq!(reached.get(name), Some(&1), "{reached:?}");
            assert!(!near.verdict().reached.contains_key(name), "the near miss of {name}");
        }
    }

    #[test]
    fn only_what_is_required_can_be_missing() {
        assert_eq!(missing(&BTreeMap::<String, u64>::new()).len(), 44);
        let all = BTreeMap::from_iter(catalogue::sometimes().map(|entry| (entry.name, 1)));
        assert!(missing(&all).is_empty());
        let without = BTreeMap::from_iter(all.keys().map(|name| (*name, u64::from(*name != "grant-raced"))));
        assert_eq!(missing(&without)[0].name, "grant-raced");
    }
}
