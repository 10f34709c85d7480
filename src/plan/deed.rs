//! Deeds: what operators and other callers do to a deployment, as data. Each says when, and what, by name.
//!
//! What workers, scanners, schedulers and the submitter do by themselves is no deed. A caller that misuses a call (another
//! lane, a malformed argument) is a fault: see [`Fault`](super::Fault).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CallRef, Ending, reading};
use crate::{
    protocol::{BlockingReason, ResumeTrigger},
    types::{ExecutionName, Function, Label, word::words},
};

/// An execution whose name begins so is one that nobody submitted: deeds may name it all the same.
pub const NOBODY: &str = "nobody";

/// Something that somebody does to the deployment.
///
/// ```
/// use grantsim::plan::Deed;
/// // Half a second after the first claim of e1, a cancellation by whoever holds no lease.
/// let deed: Deed = serde_json::from_str(r#"{
///     "at_ms": 500, "upon": { "function": "claim", "execution": "e1", "nth": 1 },
///     "does": { "deed": "cancel", "execution": "e1", "right": "none" }
/// }"#)?;
/// assert_eq!(deed.does.kind().as_str(), "cancel");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deed {
    /// Its name; ids that it makes up follow from it. Absent in a file: `d1`, `d2` … by its place.
    #[serde(default = "reading::unnamed_deed")]
    pub name: Label,
    /// When: so long after the start of the run, or after the call of `upon` was executed.
    pub at_ms: u64,
    /// The call that it waits for; none where it has a time of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upon: Option<CallRef>,
    /// How old what it knows is when it acts: it reads what it needs (a lease, a graph's revision, a token), and acts so
    /// much later.
    #[serde(default, skip_serializing_if = "reading::is_default")]
    pub stale_ms: u64,
    /// How often it is done again, from the beginning, when nobody knows whether a call of it was executed.
    #[serde(default, skip_serializing_if = "reading::is_default")]
    pub again: u64,
    /// What is done.
    pub does: Does,
}

fn hundred() -> u64 {
    100
}

fn is_hundred(number: &u64) -> bool {
    *number == hundred()
}

words! {
    /// By what right somebody ends an execution that another runs.
    pub enum Right {
        /// It presents the current lease's fence, as it last read it.
        Fence = "fence",
        /// It presents nothing, and claims nothing.
        None = "none",
        /// It is an operator's override.
        Override = "override",
    }
}

words! {
    /// Which token a signal presents.
    pub enum Token {
        /// The waitpoint's own.
        Valid = "valid",
        /// One that nobody made.
        Forged = "forged",
        /// None.
        Missing = "missing",
    }
}

words! {
    /// How many of a member's dependencies must be satisfied.
    pub enum GroupPolicy {
        /// All.
        AllOf = "all_of",
        /// One.
        AnyOf = "any_of",
        /// So many.
        Quorum = "quorum",
    }
}

words! {
    /// How the one who was waited for has ended, as whoever resolves a dependency says.
    pub enum Upstream {
        /// It succeeded.
        Success = "success",
        /// It failed.
        Failed = "failed",
        /// It was cancelled.
        Cancelled = "cancelled",
        /// It expired.
        Expired = "expired",
        /// It was skipped.
        Skipped = "skipped",
    }
}

words! {
    /// Why an execution expires.
    pub enum Overdue {
        /// Its attempt took too long.
        Attempt = "attempt_timeout",
        /// Its deadline is over.
        Deadline = "execution_deadline",
    }
}

/// What is used of a budget, or may be: a number for each dimension.
pub type Dimensions = BTreeMap<String, u64>;

/// Declares the deeds: a kind, its fields, and the function that it is about.
macro_rules! deeds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal, $function:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        /// What is done. Every one is carried out as the tool of FlowFabric would that does such things: it reads what the
        /// call needs, and then calls.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "deed", deny_unknown_fields)]
        pub enum Does {
            $($(#[$doc])* #[serde(rename = $word)] $kind { $($(#[$field_doc])* $field: $type,)* },)*
        }

        words! {
            /// The kinds of deeds.
            pub enum DeedKind { $($(#[$doc])* $kind = $word,)* }
        }

        impl Does {
            /// Its kind.
            pub fn kind(&self) -> DeedKind {
                match self { $(Does::$kind { .. } => DeedKind::$kind,)* }
            }
        }

        impl DeedKind {
            /// The function that it is about; it may call others after it.
            pub fn function(self) -> Function {
                match self { $(DeedKind::$kind => Function::$function,)* }
            }
        }
    };
}

deeds! {
    /// An execution is cancelled.
    Cancel = "cancel", CancelExecution {
        /// Which.
        execution: ExecutionName,
        /// By what right.
        right: Right,
    }
    /// A lease is taken away.
    Revoke = "revoke", RevokeLease {
        /// Whose.
        execution: ExecutionName,
        /// Whether it names the lease that it knows of, or means whichever there is.
        named: bool,
    }
    /// An operator completes what a worker runs.
    Complete = "complete", CompleteExecution {
        /// Which.
        execution: ExecutionName,
    }
    /// An operator fails what a worker runs.
    Fail = "fail", FailExecution {
        /// Which.
        execution: ExecutionName,
        /// How often it may be tried again; 0 for never.
        max_retries: u8,
    }
    /// An operator sends back what a worker runs, until later.
    Delay = "delay", DelayExecution {
        /// Which.
        execution: ExecutionName,
        /// Until so much later.
        by_ms: u64,
    }
    /// What has ended begins anew.
    Replay = "replay", ReplayExecution {
        /// Which.
        execution: ExecutionName,
    }
    /// An execution is ended because its time is over.
    Expire = "expire", ExpireExecution {
        /// Which.
        execution: ExecutionName,
        /// What is over.
        reason: Overdue,
    }
    /// Somebody says that a delay is over, whether it is or not: a scanner that goes by an old list.
    PromoteDelayed = "promote_delayed", PromoteDelayed {
        /// Of which execution.
        execution: ExecutionName,
    }
    /// Somebody says that a lease is over, whether it is or not: a scanner that goes by an old list.
    MarkExpired = "mark_expired", MarkLeaseExpiredIfDue {
        /// Of which execution.
        execution: ExecutionName,
    }
    /// An execution gets another priority.
    ChangePriority = "change_priority", ChangePriority {
        /// Which.
        execution: ExecutionName,
        /// The library clamps it to 0 to 9,000.
        priority: i32,
    }
    /// An execution is kept from being granted.
    Block = "block", BlockExecutionForAdmission {
        /// Which.
        execution: ExecutionName,
        /// Why.
        reason: BlockingReason,
    }
    /// An execution may be granted again.
    Unblock = "unblock", UnblockExecution {
        /// Which.
        execution: ExecutionName,
        /// Why it was not.
        reason: BlockingReason,
    }
    /// Somebody grants and claims an execution in one call, and does with it as a worker would.
    GrantAndClaim = "grant_and_claim", IssueGrantAndClaim {
        /// Which.
        execution: ExecutionName,
        /// How long the lease is.
        lease_ttl_ms: u64,
        /// How long the work takes; nobody renews the lease.
        takes_ms: u64,
        /// How it ends.
        ends: Ending,
    }
    /// An execution gets a label.
    TagExecution = "tag_execution", SetExecutionTags {
        /// Which.
        execution: ExecutionName,
        /// The label: `<caller>.<field>`, else it is refused.
        tag: String,
    }
    /// Somebody reads what an attempt's summary says.
    ReadSummary = "read_summary", ReadSummary {
        /// Of which execution's current attempt.
        execution: ExecutionName,
    }
    /// Somebody reads an attempt's frames.
    ReadStream = "read_stream", ReadAttemptStream {
        /// Of which execution's current attempt.
        execution: ExecutionName,
        /// At most so many; 0 is refused.
        count: u32,
        /// Whether frames of best effort are left out.
        durable_only: bool,
    }
    /// Somebody says how far an execution is, under the lease that it knows of.
    UpdateProgress = "update_progress", UpdateProgress {
        /// Which.
        execution: ExecutionName,
        /// How far: the library takes any text.
        percent: String,
    }
    /// A signal comes to the waitpoint at which an execution waits.
    Signal = "signal", DeliverSignal {
        /// Which.
        execution: ExecutionName,
        /// The signal: `go` is what workers wait for.
        signal: String,
        /// Which token it presents.
        token: Token,
        /// Its idempotency key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Label>,
        /// How long the execution is to wait before it is eligible.
        resume_delay_ms: u64,
        /// At which of its waitpoints: 0 is the one that the core names, n the n-th beside it, where there is one.
        #[serde(default, skip_serializing_if = "reading::is_default")]
        at: u64,
        /// How many signals the caller lets the execution have; 0 for any number.
        #[serde(default = "hundred", skip_serializing_if = "is_hundred")]
        most: u64,
    }
    /// A signal comes to a waitpoint at which nobody waits yet.
    BufferSignal = "buffer_signal", BufferSignalForPendingWaitpoint {
        /// The waitpoint's execution.
        execution: ExecutionName,
        /// The signal.
        signal: String,
        /// Which token it presents.
        token: Token,
        /// Its idempotency key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Label>,
    }
    /// A waitpoint is created before the execution waits at it.
    CreateWaitpoint = "create_waitpoint", CreatePendingWaitpoint {
        /// The execution.
        execution: ExecutionName,
        /// How long it stays if no suspension takes it.
        lives_ms: u64,
    }
    /// A waitpoint is closed.
    CloseWaitpoint = "close_waitpoint", CloseWaitpoint {
        /// Whose: the one at which it waits, else the one that was created before.
        execution: ExecutionName,
    }
    /// A suspended execution goes on.
    Resume = "resume", ResumeExecution {
        /// Which.
        execution: ExecutionName,
        /// Who or what resumes it.
        trigger: ResumeTrigger,
        /// How long it is to wait before it is eligible.
        delay_ms: u64,
    }
    /// Somebody says that a suspension timed out, whether it did or not.
    ExpireSuspension = "expire_suspension", ExpireSuspension {
        /// Of which execution.
        execution: ExecutionName,
    }
    /// The secret of waitpoint tokens is rotated, in one partition after the other.
    RotateSecret = "rotate_secret", RotateWaitpointHmacSecret {
        /// What the new one is called.
        kid: String,
        /// Which secret it is: another one under the same kid is a conflict.
        secret: Label,
        /// How long tokens of the one before are still taken.
        grace_ms: u64,
    }
    /// Somebody looks which secrets are in use.
    ListSecrets = "list_secrets", ListWaitpointHmacKids {
        /// In the partition of this number.
        partition: u16,
    }
    /// A flow is created.
    CreateFlow = "create_flow", CreateFlow {
        /// Which.
        flow: Label,
    }
    /// An execution joins a flow.
    AddMember = "add_member", AddExecutionToFlow {
        /// The flow.
        flow: Label,
        /// The execution.
        execution: ExecutionName,
    }
    /// It is said how many of a member's dependencies must be satisfied.
    SetGroup = "set_group", SetEdgeGroupPolicy {
        /// The flow.
        flow: Label,
        /// Who waits.
        execution: ExecutionName,
        /// How many.
        policy: GroupPolicy,
        /// For a quorum: so many; 0 is refused.
        quorum: u32,
        /// Whether the others run on when enough are satisfied; else they are cancelled.
        let_run: bool,
    }
    /// A dependency is staged in the flow's graph, and applied to the one who waits.
    Edge = "edge", StageDependencyEdge {
        /// The flow.
        flow: Label,
        /// Who is waited for.
        from: ExecutionName,
        /// Who waits.
        to: ExecutionName,
        /// Whether the result of the one becomes the input of the other.
        passes_data: bool,
        /// Whether it is applied, too; a dependency that is staged only keeps nobody waiting.
        apply: bool,
    }
    /// A dependency is applied to the one who waits, whether it was staged or not.
    ApplyEdge = "apply_edge", ApplyDependencyToChild {
        /// The flow.
        flow: Label,
        /// Who is waited for.
        from: ExecutionName,
        /// Who waits.
        to: ExecutionName,
    }
    /// Somebody says how the one who is waited for has ended, whether it has or not.
    ResolveEdge = "resolve_edge", ResolveDependency {
        /// The flow.
        flow: Label,
        /// Who is waited for.
        from: ExecutionName,
        /// Who waits.
        to: ExecutionName,
        /// How it has ended.
        outcome: Upstream,
    }
    /// Somebody looks whether an execution's dependencies let it run.
    Evaluate = "evaluate", EvaluateFlowEligibility {
        /// Which.
        execution: ExecutionName,
    }
    /// An execution that waits for nothing any more becomes eligible.
    Promote = "promote", PromoteBlockedToEligible {
        /// Which.
        execution: ExecutionName,
    }
    /// A flow is cancelled, and then its members, one after the other.
    CancelFlow = "cancel_flow", CancelFlow {
        /// Which.
        flow: Label,
        /// `cancel_all`, or what else is to become of the members.
        policy: String,
        /// How long the reconciler leaves the members to the caller.
        grace_ms: u64,
        /// Whether the members are cancelled and acknowledged; else somebody else has to.
        members: bool,
    }
    /// A member of a cancelled flow is acknowledged.
    AckMember = "ack_member", AckCancelMember {
        /// The flow.
        flow: Label,
        /// The member.
        execution: ExecutionName,
    }
    /// What a satisfied group no longer needs was cancelled.
    DrainGroup = "drain_group", DrainSiblingCancelGroup {
        /// The flow.
        flow: Label,
        /// Who waited.
        execution: ExecutionName,
    }
    /// Somebody looks whether a group was left over from a crash.
    ReconcileGroup = "reconcile_group", ReconcileSiblingCancelGroup {
        /// The flow.
        flow: Label,
        /// Who waited.
        execution: ExecutionName,
    }
    /// A flow gets a label.
    TagFlow = "tag_flow", SetFlowTags {
        /// Which.
        flow: Label,
        /// The label: `<caller>.<field>`, else it is refused.
        tag: String,
    }
    /// A quota policy is created.
    CreateQuota = "create_quota", CreateQuotaPolicy {
        /// Which.
        quota: Label,
        /// How long a window is.
        window_s: u64,
        /// How many in a window; 0 for any number.
        rate: u64,
        /// How many at once; 0 for any number.
        concurrent: u64,
    }
    /// Somebody asks a quota to admit an execution.
    Admit = "admit", CheckAdmissionAndRecord {
        /// The policy.
        quota: Label,
        /// Who asks.
        execution: ExecutionName,
        /// How long a window is.
        window_s: u64,
        /// How many in a window; 0 for any number.
        rate: u64,
        /// How many at once; 0 for any number.
        concurrent: u64,
    }
    /// An admission is given back.
    Release = "release", ReleaseAdmission {
        /// The policy.
        quota: Label,
        /// Who was admitted, perhaps.
        execution: ExecutionName,
    }
    /// A budget is created.
    CreateBudget = "create_budget", CreateBudget {
        /// Which.
        budget: Label,
        /// Nothing is counted that would go over these; 0 for no limit.
        hard: Dimensions,
        /// Going over these is told; 0 for no limit.
        soft: Dimensions,
        /// How often usage goes back to nothing; 0 for never.
        reset_ms: u64,
    }
    /// Usage is reported to a budget.
    ReportUsage = "report_usage", ReportUsageAndCheck {
        /// The budget.
        budget: Label,
        /// What was used.
        used: Dimensions,
        /// The report's name: another of the same name is not counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Label>,
    }
    /// What an execution used is reported to a budget.
    Spend = "spend", RecordSpend {
        /// The budget.
        budget: Label,
        /// Who used it.
        execution: ExecutionName,
        /// What was used.
        used: Dimensions,
        /// The report's name: another of the same name is not counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Label>,
    }
    /// What an execution used is given back to a budget.
    ReleaseBudget = "release_budget", ReleaseBudget {
        /// The budget.
        budget: Label,
        /// Who used it, perhaps.
        execution: ExecutionName,
    }
    /// A budget's usage goes back to nothing.
    ResetBudget = "reset_budget", ResetBudget {
        /// Which.
        budget: Label,
    }
    /// A worker's process is registered, by itself or by somebody in its name.
    Register = "register", RegisterWorker {
        /// The process.
        instance: Label,
        /// The worker that it says it is of.
        worker_id: String,
        /// The lanes.
        lanes: Vec<String>,
        /// How long it counts as alive.
        ttl_ms: u64,
    }
    /// A worker's process says that it lives.
    Heartbeat = "heartbeat", HeartbeatWorker {
        /// The process.
        instance: Label,
    }
    /// Somebody asks which version the library is.
    Version = "version", Version {}
}

impl Does {
    /// The executions that it names.
    pub fn executions(&self) -> Vec<&ExecutionName> {
        match self {
            Does::Cancel { execution, .. }
            | Does::Revoke { execution, .. }
            | Does::Complete { execution }
            | Does::Fail { execution, .. }
            | Does::Delay { execution, .. }
            | Does::Replay { execution }
            | Does::Expire { execution, .. }
            | Does::ChangePriority { execution, .. }
            | Does::Block { execution, .. }
            | Does::Unblock { execution, .. }
            | Does::GrantAndClaim { execution, .. }
            | Does::TagExecution { execution, .. }
            | Does::ReadSummary { execution }
            | Does::ReadStream { execution, .. }
            | Does::UpdateProgress { execution, .. }
            | Does::Signal { execution, .. }
            | Does::BufferSignal { execution, .. }
            | Does::CreateWaitpoint { execution, .. }
            | Does::CloseWaitpoint { execution }
            | Does::Resume { execution, .. }
            | Does::ExpireSuspension { execution }
            | Does::PromoteDelayed { execution }
            | Does::MarkExpired { execution }
            | Does::AddMember { execution, .. }
            | Does::SetGroup { execution, .. }
            | Does::Evaluate { execution }
            | Does::Promote { execution }
            | Does::AckMember { execution, .. }
            | Does::DrainGroup { execution, .. }
            | Does::ReconcileGroup { execution, .. }
            | Does::Admit { execution, .. }
            | Does::Release { execution, .. }
            | Does::Spend { execution, .. }
            | Does::ReleaseBudget { execution, .. } => vec![execution],
            Does::Edge { from, to, .. }
            | Does::ApplyEdge { from, to, .. }
            | Does::ResolveEdge { from, to, .. } => vec![from, to],
            Does::RotateSecret { .. }
            | Does::ListSecrets { .. }
            | Does::CreateFlow { .. }
            | Does::CancelFlow { .. }
            | Does::TagFlow { .. }
            | Does::CreateQuota { .. }
            | Does::CreateBudget { .. }
            | Does::ReportUsage { .. }
            | Does::ResetBudget { .. }
            | Does::Register { .. }
            | Does::Heartbeat { .. }
            | Does::Version {} => Vec::new(),
        }
    }

    /// The longest of the times in it, milliseconds.
    fn longest_ms(&self) -> u64 {
        match *self {
            Does::Delay { by_ms: ms, .. }
            | Does::Signal { resume_delay_ms: ms, .. }
            | Does::CreateWaitpoint { lives_ms: ms, .. }
            | Does::Resume { delay_ms: ms, .. }
            | Does::RotateSecret { grace_ms: ms, .. }
            | Does::CancelFlow { grace_ms: ms, .. }
            | Does::CreateBudget { reset_ms: ms, .. }
            | Does::Register { ttl_ms: ms, .. } => ms,
            Does::CreateQuota { window_s, .. } | Does::Admit { window_s, .. } => {
                window_s.saturating_mul(1_000)
            }
            Does::GrantAndClaim { lease_ttl_ms, takes_ms, ends, .. } => {
                let until_later = if let Ending::Delay(by_ms) = ends { by_ms } else { 0 };
                lease_ttl_ms.max(takes_ms).max(until_later)
            }
            _ => 0,
        }
    }

    /// For how long it goes on after its first call, milliseconds.
    fn lasts_ms(&self) -> u64 {
        if let Does::GrantAndClaim { takes_ms, .. } = self { *takes_ms } else { 0 }
    }
}

impl Deed {
    /// The n-th deed of a plan that does not name its deeds, counted from 1.
    pub(in crate::plan) fn nth(n: usize) -> Label {
        Label::from(format!("d{n}").as_str())
    }

    /// The executions that it names, those of the call that it waits for included.
    pub fn executions(&self) -> Vec<&ExecutionName> {
        let upon = self.upon.as_ref().and_then(|call| call.execution.as_ref());
        self.does.executions().into_iter().chain(upon).collect()
    }

    /// How long it takes from when it is due to its last call, milliseconds, where every call is answered at once.
    pub fn takes_ms(&self) -> u64 {
        self.stale_ms.saturating_add(self.does.lasts_ms())
    }

    /// The longest of the times in it, milliseconds.
    pub(super) fn longest_ms(&self) -> u64 {
        self.at_ms.max(self.stale_ms).max(self.does.longest_ms())
    }
}

/// Whether nobody submits this execution, by its name.
pub fn is_nobody(name: &ExecutionName) -> bool {
    name.as_str().starts_with(NOBODY)
}
