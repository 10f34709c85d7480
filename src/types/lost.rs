//! Why a client never sees a reply.

use serde::{Deserialize, Serialize};

/// Why a client never sees a reply. Only [`Refused`](Lost::Refused) and
/// [`NotRun`](Lost::NotRun) say that nothing was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// It could not connect: the request was never sent.
    Refused,
    /// The server could not run it now: it loads, has no memory, or lacks the library. The function was never begun.
    NotRun,
    /// It was executed, and no replica is known to have it: who takes no answer for granted before cannot know whether it
    /// will have been.
    NotReplicated,
    /// It was executed, and the server's disk is not known to have it.
    NotSynced,
    /// The connection broke: the request may have been executed.
    Reset,
    /// It gave up waiting: the request may have been executed, or may yet be.
    TimedOut,
}
