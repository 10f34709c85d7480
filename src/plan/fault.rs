//! What breaks, as data. Each fault names who it hits and when, so that a plan without it is the same plan.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{CallRef, ServerFault};
use crate::types::{Deadline, ExecutionName, FaultClass, FencePart, Node};

/// What a hostile caller sends in place of an argument: each has broken a parser somewhere. The generator of plans draws
/// from it, and so does the one that compares the engine with real servers (`tests/library`).
pub const ODD_ARGUMENTS: [&str; 22] = [
    "",
    "x",
    "inf",
    "-inf",
    "nan",
    "0",
    "-1",
    "1.5",
    "1e400",
    "9007199254740993",
    "9223372036854775808",
    "99999999999999999999",
    "0x10",
    " 1",
    "null",
    "[]",
    "{}",
    "{\"a\":",
    "[1,2",
    "true",
    "{\"max_retries\":\"many\",\"backoff\":7}",
    "\u{0}\u{e9}",
];

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// A process is killed. It forgets everything and its connections are reset.
    Crash {
        /// Which.
        node: Node,
        /// When: of the run, or after the call was executed that it comes upon.
        at_ms: u64,
        /// The call upon which it comes, where it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upon: Option<CallRef>,
        /// How long it stays down; forever when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        down_ms: Option<u64>,
    },
    /// A process stands still, as in a long garbage collection, and then goes on as if nothing had been.
    Pause {
        /// Which.
        node: Node,
        /// When: of the run, or after the call was executed that it comes upon.
        at_ms: u64,
        /// The call upon which it comes, where it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upon: Option<CallRef>,
        /// How long.
        for_ms: u64,
    },
    /// Two nodes cannot reach each other. What is under way is held and arrives after the partition heals.
    Partition {
        /// One side.
        a: Node,
        /// The other side.
        b: Node,
        /// When: of the run, or after the call was executed that it comes upon.
        at_ms: u64,
        /// The call upon which it comes, where it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upon: Option<CallRef>,
        /// How long.
        for_ms: u64,
        /// Which way nothing passes.
        #[serde(default)]
        cut: Cut,
    },
    /// The connection is reset before the request leaves: it is never executed, and the client cannot know.
    LoseRequest {
        /// The request.
        call: CallRef,
    },
    /// The request is executed, and the connection is reset before the reply arrives.
    LoseReply {
        /// The request.
        call: CallRef,
    },
    /// The request, and whatever follows it on its connection, stays in the network. A client whose timeout is
    /// shorter gives up, and the request executes later all the same: a late duplicate.
    DelayRequest {
        /// The request.
        call: CallRef,
        /// How long.
        by_ms: u64,
    },
    /// The request is executed a second time later, as when a client library repeats it on a fresh connection.
    RepeatRequest {
        /// The request.
        call: CallRef,
        /// How much later.
        after_ms: u64,
    },
    /// The call stays in the network until the server's clock reads a deadline of its execution, as it is stored, plus this.
    /// Where there is none, or it is past, the call is not held.
    #[serde(alias = "claim_at_expiry")]
    AtDeadline {
        /// The call.
        call: CallRef,
        /// Which deadline; that of the grant when absent.
        #[serde(default)]
        deadline: Deadline,
        /// 0 is the very millisecond: the last at which a grant is valid, the first at which a lease is over.
        offset_ms: i64,
    },
    /// What happens to a message that carries a grant to a worker. It is given by its sender, by the execution that
    /// the grant is for, or by both.
    GrantMessage {
        /// Who sends it, a scheduler or the scanner (which has the reclaimer); any of them when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Node>,
        /// The execution of the grant; any when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution: Option<ExecutionName>,
        /// Counted from 1 over the whole run, among the messages that match all of the above.
        nth: u32,
        /// What happens to it.
        fate: Fate,
    },
    /// The call is sent with another lane, in its keys and in the argument that names it.
    OtherLane {
        /// The call.
        call: CallRef,
        /// The lane.
        lane: String,
    },
    /// The call presents the fence of an older lease of its execution. It hits the call, or the first after it for which
    /// there is such a lease.
    StaleFence {
        /// The call.
        call: CallRef,
        /// How many leases older than the one that it presents: 1 is the one before.
        age: u32,
        /// Which part of it: the rest is that of the lease that it would present.
        #[serde(default, skip_serializing_if = "FencePart::is_whole")]
        part: FencePart,
    },
    /// An argument of the call is replaced.
    BadArgument {
        /// The call.
        call: CallRef,
        /// Which of its ARGV, counted from 1; past the last, it is one more.
        argument: u32,
        /// By what.
        value: String,
    },
    /// The server breaks, or what is stored in it.
    Server {
        /// When: of the run, or after the call was executed that it comes upon.
        at_ms: u64,
        /// The call upon which it comes, where it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upon: Option<CallRef>,
        /// How.
        breaks: ServerFault,
    },
}

/// Which way a partition cuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Both ways.
    #[default]
    Both,
    /// What `a` sends does not arrive; what `b` sends does.
    AToB,
    /// What `b` sends does not arrive; what `a` sends does.
    BToA,
}

impl Cut {
    /// The same cut as seen from the other side.
    pub fn reversed(self) -> Self {
        match self {
            Cut::Both => Cut::Both,
            Cut::AToB => Cut::BToA,
            Cut::BToA => Cut::AToB,
        }
    }
}

/// What happens to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It never arrives.
    Drop,
    /// It arrives this much later, milliseconds.
    Delay(u64),
    /// It arrives, and once more this much later, milliseconds.
    Twice(u64),
}

impl Fault {
    /// The class that the contract and the summary count it by.
    pub fn class(&self) -> FaultClass {
        match self {
            Fault::Crash { .. } => FaultClass::Crash,
            Fault::Pause { .. } => FaultClass::Pause,
            Fault::Partition { .. } => FaultClass::Partition,
            Fault::LoseRequest { .. } => FaultClass::LostRequest,
            Fault::LoseReply { .. } => FaultClass::LostReply,
            Fault::DelayRequest { .. } => FaultClass::LateRequest,
            Fault::RepeatRequest { .. } => FaultClass::RepeatedRequest,
            Fault::AtDeadline { .. } => FaultClass::AtDeadline,
            Fault::GrantMessage { .. } => FaultClass::GrantMessage,
            Fault::OtherLane { .. } => FaultClass::OtherLane,
            Fault::StaleFence { .. } => FaultClass::StaleFence,
            Fault::BadArgument { .. } => FaultClass::BadArgument,
            Fault::Server { breaks, .. } => breaks.class(),
        }
    }

    /// From when until when it holds, milliseconds of the run; none where that hangs on a call or a message.
    pub fn holds(&self) -> Option<RangeInclusive<u64>> {
        if self.upon().is_some() {
            return None;
        }
        let (at_ms, lasts_ms) = match self {
            Fault::Crash { at_ms, down_ms, .. } => (*at_ms, down_ms.unwrap_or(0)),
            Fault::Pause { at_ms, for_ms, .. } | Fault::Partition { at_ms, for_ms, .. } => (*at_ms, *for_ms),
            Fault::Server { at_ms, breaks, .. } => (*at_ms, breaks.lasts_ms()),
            _ => return None,
        };
        Some(at_ms..=at_ms.saturating_add(lasts_ms))
    }

    /// From when until when it has the server lost or replaced, milliseconds of the run; at any time, where it comes upon a
    /// call. None for other faults.
    pub fn replaces_server(&self) -> Option<RangeInclusive<u64>> {
        let Fault::Server { breaks, .. } = self else { return None };
        breaks.replaces_it().then(|| self.holds().unwrap_or(0..=u64::MAX))
    }

    /// The nodes it names.
    pub fn nodes(&self) -> Vec<Node> {
        let mut nodes = match self {
            Fault::Crash { node, .. } | Fault::Pause { node, .. } => vec![*node],
            Fault::Partition { a, b, .. } => vec![*a, *b],
            Fault::GrantMessage { from, .. } => from.iter().copied().collect(),
            _ => Vec::new(),
        };
        nodes.extend(self.call().or(self.upon()).and_then(|call| call.node));
        nodes
    }

    /// The execution it names.
    pub fn execution(&self) -> Option<&ExecutionName> {
        match self {
            Fault::GrantMessage { execution, .. } => execution.as_ref(),
            _ => self.call().or(self.upon())?.execution.as_ref(),
        }
    }

    /// The call upon which it comes, for the faults that have a time: that time is counted from when the call was executed.
    pub fn upon(&self) -> Option<&CallRef> {
        match self {
            Fault::Crash { upon, .. }
            | Fault::Pause { upon, .. }
            | Fault::Partition { upon, .. }
            | Fault::Server { upon, .. } => upon.as_ref(),
            _ => None,
        }
    }

    /// The call it hits, for the faults of calls.
    pub fn call(&self) -> Option<&CallRef> {
        match self {
            Fault::LoseRequest { call }
            | Fault::LoseReply { call }
            | Fault::DelayRequest { call, .. }
            | Fault::RepeatRequest { call, .. }
            | Fault::AtDeadline { call, .. }
            | Fault::OtherLane { call, .. }
            | Fault::StaleFence { call, .. }
            | Fault::BadArgument { call, .. } => Some(call),
            Fault::Crash { .. }
            | Fault::Pause { .. }
            | Fault::Partition { .. }
            | Fault::Server { .. }
            | Fault::GrantMessage { .. } => None,
        }
    }

    /// The longest of the times in it, milliseconds.
    pub(super) fn longest_ms(&self) -> u64 {
        match *self {
            Fault::Crash { at_ms, down_ms, .. } => at_ms.max(down_ms.unwrap_or(0)),
            Fault::Pause { at_ms, for_ms, .. } | Fault::Partition { at_ms, for_ms, .. } => at_ms.max(for_ms),
            Fault::Server { at_ms, breaks, .. } => at_ms.max(breaks.lasts_ms()),
            Fault::LoseRequest { .. }
            | Fault::LoseReply { .. }
            | Fault::OtherLane { .. }
            | Fault::StaleFence { .. }
            | Fault::BadArgument { .. } => 0,
            Fault::DelayRequest { by_ms: ms, .. } | Fault::RepeatRequest { after_ms: ms, .. } => ms,
            Fault::AtDeadline { offset_ms, .. } => offset_ms.unsigned_abs(),
            Fault::GrantMessage { fate, .. } => match fate {
                Fate::Drop => 0,
                Fate::Delay(ms) | Fate::Twice(ms) => ms,
            },
        }
    }
}
