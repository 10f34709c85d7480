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
        /// A call is held back until a deadline of its execution: its grant's expiry, its lease's end …
        AtDeadline = "at-deadline",
        /// A message about a grant is lost, late or doubled.
        GrantMessage = "grant-message",
        /// A clock that is wrong, drifts, or is set.
        Clock = "clock",
        /// The server is lost and comes back with all that it had acknowledged; or a replica takes its place for which clients
        /// wait, and that has all that they were told.
        Restart = "restart",
        /// The server is lost and comes back without some of what it had acknowledged.
        LostWrites = "lost-writes",
        /// A replica takes the server's place that lacks some of what was acknowledged.
        Failover = "failover",
        /// The same, and the former primary goes on answering for a while.
        SplitBrain = "split-brain",
        /// The function library is missing for a while, loaded anew, or another version is in its place.
        Library = "library",
        /// The server has no memory for writes.
        OutOfMemory = "out-of-memory",
        /// The server evicts keys.
        Eviction = "eviction",
        /// What goes to the server and comes from it takes longer, or its clients are paused.
        Slow = "slow",
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
    /// Those of the server.
    pub const OF_THE_SERVER: [Self; 8] = [
        FaultClass::Restart,
        FaultClass::LostWrites,
        FaultClass::Failover,
        FaultClass::SplitBrain,
        FaultClass::Library,
        FaultClass::OutOfMemory,
        FaultClass::Eviction,
        FaultClass::Slow,
    ];
    /// Those that take back what the server had acknowledged.
    pub const FORGETFUL: [Self; 4] =
        [FaultClass::LostWrites, FaultClass::Failover, FaultClass::SplitBrain, FaultClass::Eviction];
}
