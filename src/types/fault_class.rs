//! The classes of faults: what the contract, the summary and `--json` count by.

use super::word::words;

words! {
    /// A class of faults. A plan's fault has exactly one.
    pub enum FaultClass {
        /// A process is killed.
        Crash = "crash",
        /// A process stands still.
        Pause = "pause",
        /// Two nodes cannot reach each other.
        Partition = "partition",
        /// A request is lost before it leaves.
        LostRequest = "lost-request",
        /// A request is executed and its reply is lost.
        LostReply = "lost-reply",
        /// A request stays in the network.
        LateRequest = "late-request",
        /// A request is executed twice.
        RepeatedRequest = "repeated-request",
        /// A claim is held back until its grant expires.
        ClaimAtExpiry = "claim-at-expiry",
        /// A message about a grant is lost, late or doubled.
        GrantMessage = "grant-message",
        /// A clock that is wrong, drifts, or is set.
        Clock = "clock",
        /// A call is sent with another lane.
        OtherLane = "other-lane",
        /// A call presents the fence of an older lease.
        StaleFence = "stale-fence",
        /// An argument of a call is replaced by what no caller should send.
        BadArgument = "bad-argument",
    }
}

impl FaultClass {
    /// Those of callers who send what no caller should: the world works, and somebody misuses it.
    pub const HOSTILE: [Self; 3] = [FaultClass::OtherLane, FaultClass::StaleFence, FaultClass::BadArgument];
}
