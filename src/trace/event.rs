//! The events of a trace: a closed list.

use serde::{Deserialize, Serialize};
use valkey_sim::engine::{Effects, Reply};

use super::wire;
use crate::{
    plan::{CallRef, Cut, Fate},
    types::{
        Answer, ExecutionName, FaultClass, Function, LaneId, LeaseEpoch, Lost, Node, Seq, SimTime,
        TimestampMs,
    },
};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, where, and what led to it.
    #[serde(flatten)]
    pub head: Head,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// When and where something happened, and what led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its position in the run, from 0.
    pub seq: Seq,
    /// True time since the start of the run. No node can see it.
    #[serde(rename = "at_us")]
    pub at: SimTime,
    /// Where.
    pub node: Node,
    /// The event that led to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Seq>,
}

/// What a message between processes says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum Summary {
    /// A worker asks a scheduler for work on a lane of its choice.
    Ask {
        /// The lane it picked.
        lane: LaneName,
    },
    /// A ClaimGrant. It carries no lane.
    ClaimGrant {
        /// For which execution.
        execution: ExecutionName,
        /// When it expires, as the scheduler reckons.
        expires_at_ms: TimestampMs,
    },
    /// A ReclaimGrant.
    ReclaimGrant {
        /// For which execution.
        execution: ExecutionName,
        /// When it expires, as the server said.
        expires_at_ms: TimestampMs,
        /// The lane it carries.
        lane: LaneName,
    },
}

/// A lane in an event. `ff-core`'s own type refuses, when it is read, what a library may have made of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaneName(pub String);

/// How a worker's work on an execution ended, as the worker saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkEnd {
    /// It had done what there was to do.
    Done,
    /// It was told that the lease is no longer its own.
    LostLease,
    /// It had sent the end more than once, and the detail of a refusal told it that the end was its own.
    Reconciled,
    /// It could not read what there was to do, or forgot it as its plan said.
    Vanished,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    // What clients did and saw.
    /// A client sent a function call.
    RequestSent {
        /// The function.
        function: Function,
        /// About which execution.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution: Option<ExecutionName>,
    },
    /// A client read the reply. The cause is the server's [`Executed`](What::Executed).
    ReplyReceived {
        /// The function.
        function: Function,
        /// About which execution.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution: Option<ExecutionName>,
        /// The reply in a word.
        answer: Answer,
    },
    /// A client will never read the reply.
    ReplyLost {
        /// The function.
        function: Function,
        /// About which execution.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution: Option<ExecutionName>,
        /// Why.
        lost: Lost,
    },
    /// A process sent a message to another.
    MessageSent {
        /// To whom.
        to: Node,
        /// What.
        #[serde(flatten)]
        message: Summary,
    },
    /// A message arrived.
    MessageReceived {
        /// From whom.
        from: Node,
        /// What.
        #[serde(flatten)]
        message: Summary,
    },
    /// A worker began to work on an execution.
    WorkBegan {
        /// On which.
        execution: ExecutionName,
        /// Under the lease of this epoch.
        epoch: LeaseEpoch,
    },
    /// A worker ended its work on an execution.
    WorkEnded {
        /// On which.
        execution: ExecutionName,
        /// Under the lease of this epoch.
        epoch: LeaseEpoch,
        /// How.
        how: WorkEnd,
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
    /// From here on nothing breaks: partitions are healed, and whoever was to come back does.
    Healed,
    /// A node's clock was set.
    ClockSet {
        /// By so many milliseconds; negative: back.
        by_ms: i64,
    },
    /// The server broke, or what is stored in it.
    ServerBroke {
        /// The fault's class.
        class: FaultClass,
        /// What is the matter, to be read after the server's name.
        how: String,
    },
    /// What was broken of the server is mended.
    ServerMended {
        /// What, to be read after the server's name.
        how: String,
    },
    /// What the server holds is what it held earlier: the rest was not on its disk, or not on the replica that is the server now.
    Rewound {
        /// The last event that is still there; none where nothing is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<Seq>,
        /// How many that wrote something are gone.
        lost: usize,
        /// The former server goes on from where it was.
        former_lives: bool,
    },
    /// A fault of the plan hit a call.
    CallFault {
        /// The fault's class.
        class: FaultClass,
        /// The call.
        call: CallRef,
    },
    /// A fault of the plan hit a message.
    MessageFault {
        /// What became of it.
        fate: Fate,
    },

    // What the server did.
    /// A function ran, a plain command wrote, or the server removed what had expired.
    Executed(Executed),
}

/// A command as the server executed it: enough to judge a run again by its trace alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Executed {
    /// Whose connection it came by; none for the server's own expiry cycle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Node>,
    /// The server's clock.
    pub now_ms: TimestampMs,
    /// The command and its arguments; empty for the expiry cycle.
    #[serde(with = "wire::words", default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Vec<u8>>,
    /// What it answered.
    #[serde(with = "wire::reply")]
    pub reply: Reply,
    /// What it wrote.
    #[serde(with = "wire::effects")]
    pub effects: Effects,
}

impl Summary {
    /// The execution that the message is about.
    pub fn execution(&self) -> Option<&ExecutionName> {
        match self {
            Summary::Ask { .. } => None,
            Summary::ClaimGrant { execution, .. } | Summary::ReclaimGrant { execution, .. } => {
                Some(execution)
            }
        }
    }

    /// Whether it is about a grant: only these are told when they arrive, and only these does a fault of messages hit.
    pub fn is_about_a_grant(&self) -> bool {
        self.execution().is_some()
    }
}

impl What {
    /// Whether it is something that broke, and not what clients or the server did.
    pub fn is_fault(&self) -> bool {
        matches!(
            self,
            What::Crashed
                | What::Restarted
                | What::Paused
                | What::Resumed
                | What::PartitionBegan { .. }
                | What::PartitionHealed { .. }
                | What::Healed
                | What::ClockSet { .. }
                | What::ServerBroke { .. }
                | What::ServerMended { .. }
                | What::Rewound { .. }
                | What::CallFault { .. }
                | What::MessageFault { .. }
        )
    }

    /// The class of the fault that begins here, if one does.
    pub fn fault_class(&self) -> Option<FaultClass> {
        match self {
            What::Crashed => Some(FaultClass::Crash),
            What::Paused => Some(FaultClass::Pause),
            What::PartitionBegan { .. } => Some(FaultClass::Partition),
            What::ClockSet { .. } => Some(FaultClass::Clock),
            What::CallFault { class, .. } | What::ServerBroke { class, .. } => Some(*class),
            What::MessageFault { .. } => Some(FaultClass::GrantMessage),
            _ => None,
        }
    }
}

impl From<&LaneId> for LaneName {
    fn from(lane: &LaneId) -> Self {
        Self(lane.as_str().to_owned())
    }
}
