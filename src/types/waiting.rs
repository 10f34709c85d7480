//! Executions that had not ended when a run did: what each waited for, and whether standing still was legitimate.
//!
//! The driver decides it from the state and the plan; a trace keeps it, because nobody who reads a trace has the plan.

use serde::{Deserialize, Serialize};

use super::{ExecutionName, word::words};

/// An execution that had not ended when the run did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Which.
    pub execution: ExecutionName,
    /// Why.
    pub why: Why,
    /// What waits for what, for people: names, times, and who could help.
    pub story: String,
}

/// Why an execution had not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It may stand still, for this reason.
    Legitimate(Reason),
    /// It is stuck: something that must happen does not.
    Stuck(Stuck),
}

words! {
    /// Why an execution may stand still.
    pub enum Reason {
        /// The submitter is down for good, or had not come to it yet.
        NobodySubmits = "nobody-submits",
        /// Another execution came first under its idempotency key.
        Duplicate = "duplicate",
        /// It is stuck in a run with a caller that does what no published one does: what follows from that is judged by other
        /// promises.
        Hostile = "hostile",
        /// The library keeps its executions in a way that is not FlowFabric's: nothing is known of any.
        Unseen = "unseen",
        /// Every scheduler is down for good.
        NoScheduler = "no-scheduler",
        /// The process of the scanners is down for good, and one of them would have to act.
        NoScanner = "no-scanner",
        /// No living worker serves its lane.
        NoWorker = "no-worker",
        /// Workers serve its lane, and none that lives has the capabilities.
        NoCapableWorker = "no-capable-worker",
        /// No process of this deployment, or no function of the library, does what it waits for.
        NobodyDoesIt = "nobody-does-it",
        /// A grant is over before the network can have carried a claim, the quickest too.
        GrantNeverInTime = "grant-never-in-time",
        /// A grant may be over before the network has carried the claim.
        GrantTooShort = "grant-too-short",
        /// A lease is over before the network can have carried its renewal: it is lost again and again.
        LeaseTooShort = "lease-too-short",
        /// The last thing that its plan has a worker do is to forget it.
        WorkIsForgotten = "work-is-forgotten",
        /// Its lane has workers that are not able: they put it aside until one that is happens to ask first (RFC-009 §7.4: the
        /// tail). Within the bound of the plan; then it [goes round](Stuck::GoesRound).
        MixedCapabilities = "mixed-capabilities",
        /// Another of its lane comes first and may stand still itself, or is stuck (RFC-009 §4.3: low priorities starve).
        BehindAnother = "behind-another",
        /// Every worker that is able has its hands full.
        Busy = "busy",
        /// A worker works on it under a live lease.
        Running = "running",
        /// A time that the plan asks for has not come yet.
        NotDue = "not-due",
        /// It waits for a signal without a limit of time, and nobody sends it.
        NoSignal = "no-signal",
        /// A quota or a budget is used up.
        Limit = "limit",
        /// It waits for another execution that has not ended either.
        Dependency = "dependency",
        /// An operator blocked it.
        Operator = "operator",
        /// Its flow was cancelled: nothing unblocks it (RFC-010 §6.15).
        FlowCancelled = "flow-cancelled",
    }
}

words! {
    /// What must happen to an execution and does not.
    pub enum Stuck {
        /// It was submitted and does not exist.
        NeverCreated = "never-created",
        /// It is eligible and nobody grants it.
        NotGranted = "not-granted",
        /// It is eligible and not in the set in which schedulers look.
        NotEligibleListed = "not-eligible-listed",
        /// It was eligible from the start, and was never in the set in which schedulers look.
        NeverListed = "never-listed",
        /// One that is not eligible stands before it in the set in which schedulers look, and nobody takes that one away.
        BehindAGhost = "behind-a-ghost",
        /// It is granted, and no claim of it succeeds.
        NeverClaimed = "never-claimed",
        /// A grant that is over still lies there, so that no other can be issued.
        GrantInTheWay = "grant-in-the-way",
        /// Its lease is over by the server's clock, and nobody marks it.
        LeaseNotMarked = "lease-not-marked",
        /// Its lease is over, and the index in which scanners look does not have it.
        LeaseNotListed = "lease-not-listed",
        /// Its lost lease is marked, and nobody takes the execution over.
        NotReclaimed = "not-reclaimed",
        /// Workers take it on again and again, and it never ends.
        NeverEnds = "never-ends",
        /// Its delay is over, and nobody promotes it.
        NotPromoted = "not-promoted",
        /// It is delayed and does not say until when, so that nobody can promote it.
        NoTimeToPromote = "no-time-to-promote",
        /// It is delayed, and not in the set in which the promoter looks.
        NotDelayedListed = "not-delayed-listed",
        /// Its delay is longer than anything that the plan asks for.
        DelayTooLong = "delay-too-long",
        /// It is blocked, what it was blocked for is there, and nobody unblocks it.
        NotUnblocked = "not-unblocked",
        /// It is put aside and comes back again and again, though a worker that is able lives.
        GoesRound = "goes-round",
        /// It is blocked, and not in the set of its reason.
        NotBlockedListed = "not-blocked-listed",
        /// All that it depends on is resolved, and it is still blocked.
        NotResolved = "not-resolved",
        /// All that it depends on is resolved, and its group of edges had fired before the last of them was added.
        GroupHasFired = "group-has-fired",
        /// The time of its suspension is up, and it is still suspended.
        NotTimedOut = "not-timed-out",
        /// It is in a state that leads nowhere.
        NoWayOut = "no-way-out",
    }
}

impl Reason {
    /// Whether time alone may change it: a run does not end with it as long as there is time.
    pub fn needs_time(self) -> bool {
        matches!(
            self,
            Reason::Running
                | Reason::NotDue
                | Reason::Busy
                | Reason::LeaseTooShort
                | Reason::WorkIsForgotten
                | Reason::MixedCapabilities
        )
    }

    /// Whether nothing can change it any more, whatever the faults that are left hit.
    pub fn is_for_good(self) -> bool {
        !self.needs_time() && !matches!(self, Reason::Unseen | Reason::GrantTooShort)
    }

    /// What it says of the execution: `it waits because …`.
    pub fn about(self) -> &'static str {
        match self {
            Reason::NobodySubmits => "nobody submits it any more",
            Reason::Duplicate => "another came first under its idempotency key",
            Reason::Hostile => "a hostile caller took part",
            Reason::Unseen => "the library keeps its executions elsewhere",
            Reason::NoScheduler => "no scheduler lives",
            Reason::NoScanner => "the scanners are down for good",
            Reason::NoWorker => "no living worker serves the lane",
            Reason::NoCapableWorker => "no living worker of the lane is able",
            Reason::NobodyDoesIt => "nobody in this deployment does what it waits for",
            Reason::GrantNeverInTime => "grants are over before any claim can arrive",
            Reason::GrantTooShort => "grants may be over before a claim arrives",
            Reason::LeaseTooShort => "leases are over before a renewal can arrive",
            Reason::WorkIsForgotten => "its plan has workers forget it",
            Reason::MixedCapabilities => "workers of the lane that are not able put it aside (RFC-009 §7.4)",
            Reason::BehindAnother => "another of its lane comes first (RFC-009 §4.3)",
            Reason::Busy => "every worker that is able has its hands full",
            Reason::Running => "a worker works on it",
            Reason::NotDue => "its time has not come",
            Reason::NoSignal => "nobody sends the signal",
            Reason::Limit => "a quota or budget is used up",
            Reason::Dependency => "what it depends on has not ended",
            Reason::Operator => "an operator blocked it",
            Reason::FlowCancelled => "its flow was cancelled",
        }
    }
}

impl Stuck {
    /// Whether it stays so whatever time does: nobody looks where it is.
    pub fn is_for_good(self) -> bool {
        matches!(
            self,
            Stuck::NotEligibleListed
                | Stuck::NeverListed
                | Stuck::GrantInTheWay
                | Stuck::LeaseNotListed
                | Stuck::NotDelayedListed
                | Stuck::DelayTooLong
                | Stuck::NotBlockedListed
                | Stuck::NoWayOut
        )
    }
}

impl Waiting {
    /// Whether nothing can change it any more.
    pub fn is_for_good(&self) -> bool {
        match self.why {
            Why::Legitimate(reason) => reason.is_for_good(),
            Why::Stuck(stuck) => stuck.is_for_good(),
        }
    }

    /// Whether time alone may change it.
    pub fn needs_time(&self) -> bool {
        match self.why {
            Why::Legitimate(reason) => reason.needs_time(),
            Why::Stuck(stuck) => !stuck.is_for_good(),
        }
    }

    /// What is stuck in it, if it is.
    pub fn stuck(&self) -> Option<Stuck> {
        match self.why {
            Why::Stuck(stuck) => Some(stuck),
            Why::Legitimate(_) => None,
        }
    }

    /// Why it may stand still, if it may.
    pub fn reason(&self) -> Option<Reason> {
        match self.why {
            Why::Legitimate(reason) => Some(reason),
            Why::Stuck(_) => None,
        }
    }
}
