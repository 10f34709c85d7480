//! The events of a trace: a closed list.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Presented;
use crate::{
    node::Node,
    plan::{CallRef, Cut, Fate},
};

/// The position of an event in its trace, from 0.
pub type Seq = u32;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its position in the trace.
    pub seq: Seq,
    /// True time since the start of the run, microseconds. No node can see it.
    pub at_us: u64,
    /// Where.
    pub node: Node,
    /// The event that led to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Seq>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// An execution, numbered in the order in which a run first hears of it. Its id is in [`What::Created`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Exec(pub u32);

/// A grant's identity: its execution and the server's time at which it was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GrantRef {
    /// What it is for.
    pub execution: Exec,
    /// `created_at` of the grant hash, by the server's clock.
    pub created_at_ms: i64,
}

/// Which function a grant is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantKind {
    /// For an eligible execution: `ff_claim_execution`, or `ff_acquire_lease`.
    Claim,
    /// For an interrupted one: `ff_claim_resumed_execution`.
    Resume,
    /// For one whose lease expired or was revoked: `ff_reclaim_execution`.
    Reclaim,
}

/// An index that names executions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IndexName {
    /// The lane it belongs to; none for the indexes of a whole partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// `eligible`, `active`, `lease_expiry`, `worker:<instance>:leases` …
    pub name: String,
}

/// Why a client never saw a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// It could not connect: the request was never sent.
    Refused,
    /// The connection broke: the request may have been executed.
    Reset,
    /// It gave up waiting: the request may have been executed, or may yet be.
    TimedOut,
}

/// What a message between processes says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum Summary {
    /// A worker asks a scheduler for work on a lane of its choice.
    Ask {
        /// The lane it picked.
        lane: String,
    },
    /// There is none.
    NoGrant,
    /// A ClaimGrant. It carries no lane.
    ClaimGrant {
        /// For which execution.
        execution: Exec,
        /// When it expires, as the scheduler reckons.
        expires_at_ms: i64,
    },
    /// A ReclaimGrant.
    ReclaimGrant {
        /// For which execution.
        execution: Exec,
        /// When it expires, as the server said.
        expires_at_ms: i64,
        /// The lane it carries.
        lane: String,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    // What clients did and saw.
    /// A client sent a function call.
    Sent {
        /// The function.
        function: String,
        /// About which execution.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution: Option<Exec>,
    },
    /// A client read the reply. The cause is the server's [`Called`](What::Called).
    Saw {
        /// The function.
        function: String,
        /// About which execution.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution: Option<Exec>,
        /// `OK`, `DUPLICATE`, the refusal's code, or the error.
        answer: String,
    },
    /// A client will never read the reply.
    NoReply {
        /// The function.
        function: String,
        /// About which execution.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution: Option<Exec>,
        /// Why.
        lost: Lost,
    },
    /// A process sent a message to another.
    Told {
        /// To whom.
        to: Node,
        /// What.
        #[serde(flatten)]
        message: Summary,
    },
    /// A message arrived.
    Heard {
        /// From whom.
        from: Node,
        /// What.
        #[serde(flatten)]
        message: Summary,
    },

    // What broke.
    /// A process was killed.
    Crashed,
    /// It runs again, and remembers nothing.
    Restarted,
    /// A process stands still.
    Paused,
    /// It goes on.
    Resumed,
    /// Two nodes lost sight of each other.
    PartitionBegan {
        /// One side.
        a: Node,
        /// The other.
        b: Node,
        /// Which way nothing passes.
        cut: Cut,
    },
    /// They see each other again.
    PartitionHealed {
        /// One side.
        a: Node,
        /// The other.
        b: Node,
    },
    /// A fault of the plan hit a call.
    CallFault {
        /// The fault's class.
        class: String,
        /// The call.
        call: CallRef,
    },
    /// A fault of the plan hit a message.
    MessageFault {
        /// What became of it.
        fate: Fate,
    },

    // What the server did.
    /// A function ran. What it wrote follows, with this event as the cause.
    Called(Called),
    /// An execution came to be.
    Created {
        /// Which.
        execution: Exec,
        /// Its id.
        id: String,
        /// The lane it was created on.
        lane: String,
    },
    /// A grant was written.
    GrantIssued {
        /// Which.
        grant: GrantRef,
        /// What for.
        kind: GrantKind,
        /// The worker it is for.
        worker: String,
        /// The worker's process it is for.
        instance: String,
        /// The lane in it.
        lane: String,
        /// The last millisecond at which it is valid.
        expires_at_ms: i64,
    },
    /// A grant was taken, by a call that made a lease of it.
    GrantConsumed {
        /// Which.
        grant: GrantRef,
    },
    /// A grant's time was up before anyone took it; seen when the server removed it.
    GrantExpired {
        /// Which.
        grant: GrantRef,
    },
    /// A grant was deleted before its time, and no lease came of it.
    GrantDropped {
        /// Which.
        grant: GrantRef,
    },
    /// A lease began.
    LeaseCreated {
        /// Of what.
        execution: Exec,
        /// Its id.
        lease_id: String,
        /// Its epoch.
        epoch: u64,
        /// The attempt it is for.
        attempt_id: String,
        /// Whose.
        worker: String,
        /// The process.
        instance: String,
        /// The first millisecond at which it is no longer valid.
        expires_at_ms: i64,
        /// The grant that lay there when the call began, or that the call itself issued.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant: Option<GrantRef>,
    },
    /// A lease was prolonged.
    LeaseRenewed {
        /// Of what.
        execution: Exec,
        /// The first millisecond at which it is no longer valid.
        expires_at_ms: i64,
    },
    /// A lease's record is gone: its execution ended, went to wait, or was taken over.
    LeaseEnded {
        /// Of what.
        execution: Exec,
        /// Its epoch.
        epoch: u64,
    },
    /// An execution's state changed.
    StateChanged {
        /// Which.
        execution: Exec,
        /// `lifecycle_phase`.
        phase: String,
        /// `ownership_state`.
        ownership: String,
        /// `eligibility_state`.
        eligibility: String,
        /// `public_state`.
        public: String,
    },
    /// `core` says that the execution is on this lane.
    LaneWritten {
        /// Which.
        execution: Exec,
        /// `lane_id` or `current_lane`.
        field: String,
        /// The lane.
        lane: String,
    },
    /// `core` says that this is the epoch.
    EpochWritten {
        /// Which.
        execution: Exec,
        /// The epoch.
        epoch: u64,
    },
    /// An execution entered an index.
    Indexed {
        /// Which.
        execution: Exec,
        /// The index.
        index: IndexName,
    },
    /// An execution left an index.
    Unindexed {
        /// Which.
        execution: Exec,
        /// The index.
        index: IndexName,
    },
}

/// A function call, as the server saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Called {
    /// The function.
    pub function: String,
    /// Who called.
    pub caller: Node,
    /// What the caller presented.
    #[serde(flatten)]
    pub presented: Presented,
    /// The server's clock.
    pub now_ms: i64,
    /// What it answered: `OK`, `DUPLICATE`, the refusal's code, or the error's.
    pub answer: String,
}

impl Summary {
    /// The execution that the message is about.
    pub fn execution(&self) -> Option<Exec> {
        match self {
            Summary::Ask { .. } | Summary::NoGrant => None,
            Summary::ClaimGrant { execution, .. } | Summary::ReclaimGrant { execution, .. } => {
                Some(*execution)
            }
        }
    }
}

impl fmt::Display for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.lane {
            Some(lane) => write!(f, "{} of lane {lane}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
