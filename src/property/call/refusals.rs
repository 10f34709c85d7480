//! A function refuses with reason only: what its code says is so in the keyspace before the call (65 of `docs/protocol.md`).
//!
//! Judged are the codes whose reason the keys of the call hold: those of a lease, a grant, a state, a cap, a flow, a stream
//! and a waitpoint. A function that says that nothing is due yet refuses, too. Not here: codes that are about arguments
//! only, tokens ([`signals`](crate::property::state::signals)), the details of `execution_not_active`
//! ([`reply_state`](super::reply_state)), admissions and budgets, and libraries that keep less than FlowFabric's core.

use serde_json::Value;

use super::{Calls, Look, Wrong, retries};
use crate::{
    property::{Entry, Expect, Kind},
    trace::{Call, Step},
    types::{Answer, Code, Function, Status},
    view::{Core, Fields},
};

const WITHOUT_REASON: Kind =
    Kind { name: "without-reason", about: "the function refused, and what its code says is not so" };
const SAID_NOT_DUE: Kind =
    Kind { name: "said-not-due", about: "the function did nothing since nothing was due, and it was" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "refusals",
    numbers: &[65],
    claim: "A function refuses with reason only: what its code says is so.",
    expect: Expect::Always,
    kinds: &[WITHOUT_REASON, SAID_NOT_DUE],
    monitor: || Box::new(Calls(&[has_a_reason as Look, is_not_due])),
};

fn has_a_reason(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    let Answer::Refusal(code) = &call.answer else { return None };
    if step.after.is_mirrored() {
        return None;
    }
    let asked = Asked { step, call };
    if asked.reason(code)? || !asked.is_text() {
        return None;
    }
    let message = format!("{} answered {code}, and that is not so", call.function);
    Some(Wrong { kind: WITHOUT_REASON, message })
}

/// What says that it is not due yet, and by whose clock.
fn is_not_due(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    let asked = Asked { step, call };
    let said = |status, word: &str| call.answer == Answer::Consent(status) && call.says(word);
    let core = asked.core()?;
    let (due, now) = match call.function {
        Function::MarkLeaseExpiredIfDue if said(Status::AlreadySatisfied, "not_yet_expired") => {
            (core.text("lease_expires_at"), asked.now())
        }
        Function::PromoteDelayed if said(Status::Ok, "not_yet_due") => {
            (core.text("delay_until"), asked.number(1)?)
        }
        Function::ExpireSuspension if said(Status::Ok, "not_yet_due") => {
            (asked.execution_part("suspension:current")?.text("timeout_at"), asked.now())
        }
        _ => return None,
    };
    let due: f64 = due.parse().ok()?;
    let message = || format!("{} was told that nothing is due, and it was at {due}, by {now}", call.function);
    (0.0 < due && due <= now).then(|| Wrong { kind: SAID_NOT_DUE, message: message() })
}

/// A call, and what its keys held.
struct Asked<'s> {
    step: &'s Step<'s>,
    call: &'s Call<'s>,
}

impl<'s> Asked<'s> {
    fn key(&self, index: usize) -> &'s str {
        self.call.key(index).unwrap_or_default()
    }

    fn arg(&self, index: usize) -> &'s str {
        self.call.arg(index)
    }

    fn number(&self, index: usize) -> Option<f64> {
        self.arg(index).parse().ok()
    }

    fn now(&self) -> f64 {
        self.step.now.0 as f64
    }

    /// Whether arguments and hashes are texts: what is none, nobody compares here.
    fn is_text(&self) -> bool {
        let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
        let hashes = (0..self.call.keys.len()).filter_map(|index| self.step.before.hash(self.key(index)));
        self.call.argv.iter().all(|arg| is_text(arg))
            && hashes.flat_map(|hash| hash.iter()).all(|(_, value)| is_text(value))
    }

    /// Whether a key was there.
    fn has(&self, key: &str) -> bool {
        self.step.before.is_visible(key, self.step.now)
    }

    /// The hash under one of KEYS, as it was.
    fn hash(&self, index: usize) -> Option<Fields<'s>> {
        self.fields(self.key(index))
    }

    fn fields(&self, key: &str) -> Option<Fields<'s>> {
        self.step.before.fields(key).filter(|_| self.has(key))
    }

    fn contains(&self, index: usize, member: &str) -> bool {
        self.has(self.key(index)) && self.step.before.contains(self.key(index), member)
    }

    /// The core that the first of KEYS is, where it has all of FlowFabric's fields.
    fn core(&self) -> Option<Core<'s>> {
        self.key(0).strip_prefix("ff:exec:")?.strip_suffix(":core")?;
        self.hash(0).map(Core).filter(Core::is_whole)
    }

    /// The key of another part of that execution.
    fn part(&self, name: &str) -> Option<String> {
        Some(format!("{}{name}", self.key(0).strip_suffix("core")?))
    }

    fn execution_part(&self, name: &str) -> Option<Fields<'s>> {
        self.fields(&self.part(name)?)
    }

    /// Whether what the code says is so; none where that is not known.
    fn reason(&self, code: &Code) -> Option<bool> {
        if self.key(0).starts_with("ff:flow:") {
            return self.of_a_flow(code);
        }
        let core = self.core()?;
        match self.call.function {
            _ if *code == Code::ExecutionNotFound => Some(false),
            Function::IssueClaimGrant
            | Function::IssueReclaimGrant
            | Function::IssueGrantAndClaim
            | Function::ClaimExecution
            | Function::ClaimResumedExecution
            | Function::ReclaimExecution => self.of_a_grant(core, code),
            Function::RenewLease
            | Function::RevokeLease
            | Function::CompleteExecution
            | Function::FailExecution
            | Function::DelayExecution
            | Function::MoveToWaitingChildren
            | Function::CancelExecution
            | Function::SuspendExecution
            | Function::UpdateProgress
            | Function::CreatePendingWaitpoint => self.of_a_lease(core, code),
            Function::AppendFrame => self.of_a_stream(core, code),
            Function::DeliverSignal | Function::BufferSignalForPendingWaitpoint => {
                self.of_a_waitpoint(core, code)
            }
            _ => self.of_a_state(core, code),
        }
    }

    fn of_a_grant(&self, core: Core<'_>, code: &Code) -> Option<bool> {
        use Function::{ClaimExecution, ClaimResumedExecution, IssueClaimGrant, IssueGrantAndClaim};
        let is = |field: &str, word: &str| core.text(field) == word;
        let is_fresh = is("lifecycle_phase", "runnable") && is("terminal_outcome", "none");
        let is_eligible = is("lifecycle_phase", "runnable") && is("eligibility_state", "eligible_now");
        let is_interrupted = is("attempt_state", "attempt_interrupted");
        Some(match (code, &self.call.function) {
            (Code::GrantAlreadyExists, _) => self.has(self.key(1)),
            (Code::InvalidClaimGrant, _) => self.hash(1).is_none_or(|grant| self.is_anothers(grant)),
            (Code::ClaimGrantExpired, _) => {
                self.hash(1)?.text("grant_expires_at").parse::<f64>().ok()? < self.now()
            }
            (Code::CapabilityMismatch, _) => self.lacks(core.text("required_capabilities")),
            (Code::ExecutionNotInEligibleSet, _) => !self.contains(2, self.arg(0)),
            (Code::ExecutionNotReclaimable, _) => {
                let is_lost = is("ownership_state", "lease_expired_reclaimable");
                !(is("lifecycle_phase", "active") && (is_lost || is("ownership_state", "lease_revoked")))
            }
            (Code::MaxRetriesExhausted, _) => {
                let most = retries::reclaim_cap(self.step.before, &self.part("policy")?, self.call)?;
                core.0.count("lease_reclaim_count") as f64 >= most
            }
            (Code::LeaseConflict, _) => !is("ownership_state", "unowned"),
            (Code::ActiveAttemptExists, _) => is("attempt_state", "running_attempt"),
            (Code::UseClaimResumedExecution, _) => is_interrupted,
            (Code::NotAResumedExecution, _) => !is_interrupted,
            (Code::ExecutionNotEligible, IssueClaimGrant) => !is_eligible,
            (Code::ExecutionNotEligible, IssueGrantAndClaim) => {
                !is_fresh || !is_interrupted && !is("eligibility_state", "eligible_now")
            }
            (Code::ExecutionNotLeaseable, ClaimExecution) => !is_fresh || !is_eligible,
            (Code::ExecutionNotLeaseable, ClaimResumedExecution) => !is("lifecycle_phase", "runnable"),
            _ => return None,
        })
    }

    /// Whether a grant was issued to another one than the caller: a library may ask for the very process.
    fn is_anothers(&self, grant: Fields<'_>) -> bool {
        let names = ["worker_id", "worker_instance_id", "lane_id"];
        names.iter().zip(1..).any(|(name, index)| grant.text(name) != self.arg(index))
    }

    /// Whether the worker of a grant lacks one of the capabilities.
    fn lacks(&self, required: &str) -> bool {
        let mut required = required.split(',').filter(|capability| !capability.is_empty());
        required.any(|capability| !self.arg(8).split(',').any(|one| one == capability))
    }

    fn of_a_lease(&self, core: Core<'_>, code: &Code) -> Option<bool> {
        let is = |field: &str, word: &str| core.text(field) == word;
        let is_renewal = self.call.function == Function::RenewLease;
        Some(match code {
            Code::LeaseRevoked => {
                is("ownership_state", "lease_revoked")
                    || is_renewal && !core.text("lease_revoked_at").is_empty()
            }
            Code::LeaseExpired => core.text("lease_expires_at").parse::<f64>().ok()? <= self.now(),
            Code::NoActiveLease => !is("ownership_state", "leased"),
            Code::StaleLease => !self.names_the_lease(core)?,
            Code::InvalidLeaseForSuspend => !is("current_attempt_index", self.arg(1)),
            Code::AlreadySuspended => {
                self.execution_part("suspension:current").is_some_and(|it| it.text("closed_at").is_empty())
            }
            _ => return None,
        })
    }

    /// Whether the call names the current lease; none where it names no lease at all.
    fn names_the_lease(&self, core: Core<'_>) -> Option<bool> {
        let (presented, is) = (&self.call.presented, |field: &str, word: &str| core.text(field) == word);
        let is_index = is("current_attempt_index", self.arg(1));
        let is_lease = is("current_lease_id", &presented.lease_id);
        let is_epoch = is("current_lease_epoch", &presented.epoch);
        let is_attempt = is("current_attempt_id", &presented.attempt_id);
        let is_named = !presented.lease_id.is_empty();
        match self.call.function {
            Function::RevokeLease => Some(is("current_lease_id", self.arg(1))),
            Function::CreatePendingWaitpoint => Some(is_index),
            Function::UpdateProgress | Function::CancelExecution => is_named.then_some(is_lease && is_epoch),
            Function::RenewLease => is_named.then_some(is_lease && is_epoch && is_attempt && is_index),
            _ => is_named.then_some(is_lease && is_epoch && is_attempt),
        }
    }

    fn of_a_stream(&self, core: Core<'_>, code: &Code) -> Option<bool> {
        let is = |field: &str, word: &str| core.text(field) == word;
        let is_lost =
            is("ownership_state", "lease_expired_reclaimable") || is("ownership_state", "lease_revoked");
        Some(match code {
            Code::StreamClosed => {
                !is("lifecycle_phase", "active")
                    || self.hash(2).is_some_and(|meta| !meta.text("closed_at").is_empty())
            }
            Code::StaleOwnerCannotAppend => {
                is_lost
                    || core.text("lease_expires_at").parse::<f64>().ok()? <= self.now()
                    || !is("current_attempt_index", self.arg(1))
                    || !is("current_lease_id", self.arg(2))
                    || !is("current_lease_epoch", self.arg(3))
            }
            _ => return None,
        })
    }

    fn of_a_waitpoint(&self, core: Core<'_>, code: &Code) -> Option<bool> {
        let (phase, record) = (core.text("lifecycle_phase"), self.hash(7));
        let state = record.map(|record| record.text("state")).unwrap_or_default();
        let is_delivered = self.call.function == Function::DeliverSignal;
        Some(match code {
            Code::TargetNotSignalable => phase == "terminal" || phase != "suspended" && state != "active",
            Code::WaitpointPendingUseBufferScript => phase != "suspended" && state == "pending",
            Code::WaitpointNotFound if is_delivered => self.hash(1).is_none(),
            Code::WaitpointNotFound => record.is_none_or(|record| record.text("created_at").is_empty()),
            Code::WaitpointClosed if is_delivered => self.hash(1)?.text("closed") == "1",
            Code::WaitpointClosed => matches!(state, "closed" | "expired"),
            Code::SignalLimitExceeded => self.step.before.size(self.key(3)) as f64 >= self.number(16)?,
            _ => return None,
        })
    }

    fn of_a_state(&self, core: Core<'_>, code: &Code) -> Option<bool> {
        let is = |field: &str, word: &str| core.text(field) == word;
        let is_runnable = is("lifecycle_phase", "runnable");
        Some(match (code, &self.call.function) {
            (Code::ExecutionNotEligible, Function::ChangePriority) => {
                !is_runnable || !is("eligibility_state", "eligible_now")
            }
            (Code::ExecutionNotEligible, Function::BlockExecutionForAdmission) => !is_runnable,
            (Code::ExecutionNotEligible, Function::UnblockExecution) => {
                let blocked =
                    ["blocked_by_budget", "blocked_by_quota", "blocked_by_route", "blocked_by_operator"];
                let is_another = !self.arg(2).is_empty() && !is("blocking_reason", self.arg(2));
                !is_runnable || !blocked.contains(&core.text("eligibility_state")) || is_another
            }
            (Code::ExecutionNotSuspended, Function::ResumeExecution) => {
                let is_open = |record: Fields<'_>| {
                    !record.text("suspension_id").is_empty() && record.text("closed_at").is_empty()
                };
                !is("lifecycle_phase", "suspended") || !self.hash(1).is_some_and(is_open)
            }
            (Code::ExecutionNotTerminal, Function::ReplayExecution) => !core.is_terminal(),
            (Code::MaxReplaysExhausted, Function::ReplayExecution) => {
                core.0.count("replay_count") as f64 >= self.replay_cap()?
            }
            (Code::NotRunnable, Function::PromoteBlockedToEligible) => !is_runnable,
            (Code::NotBlockedByDeps, Function::PromoteBlockedToEligible) => {
                !is("eligibility_state", "blocked_by_dependencies")
            }
            (Code::DepsNotSatisfied, Function::PromoteBlockedToEligible) => {
                let count = |meta: Fields<'_>| meta.integer("unsatisfied_required_count").unwrap_or(0);
                self.hash(3).map_or(0, count) > 0 || self.step.before.size(self.key(4)) > 0
            }
            (Code::ExecutionAlreadyInFlow, Function::ApplyDependencyToChild) => {
                !core.text("flow_id").is_empty() && !is("flow_id", self.arg(0))
            }
            _ => return None,
        })
    }

    /// How often the execution may be replayed: by its policy, else ten times; unknown where that is no number.
    fn replay_cap(&self) -> Option<f64> {
        let Some(policy) = self.step.before.string(&self.part("policy")?) else { return Some(10.0) };
        let policy: Value = serde_json::from_str(&policy).ok()?;
        policy.get("max_replay_count").map_or(Some(10.0), Value::as_f64)
    }

    fn of_a_flow(&self, code: &Code) -> Option<bool> {
        self.key(0).strip_suffix(":core")?;
        let flow = self.hash(0)?;
        Some(match (code, &self.call.function) {
            (Code::FlowNotFound, _) => false,
            (Code::FlowAlreadyTerminal, _) => {
                matches!(flow.text("public_flow_state"), "cancelled" | "completed" | "failed")
            }
            (Code::ExecutionNotInFlow, Function::StageDependencyEdge) => {
                !self.contains(1, self.arg(2)) || !self.contains(1, self.arg(3))
            }
            (Code::DependencyAlreadyExists, Function::StageDependencyEdge) => self.has(self.key(2)),
            (Code::InvalidInput, Function::SetEdgeGroupPolicy) => self.is_bad_policy()?,
            _ => return None,
        })
    }

    /// Whether a group cannot have this policy, or not any more.
    fn is_bad_policy(&self) -> Option<bool> {
        let (variant, needed) = (self.arg(0), self.number(2)?);
        let is_silent = !matches!(self.arg(1), "cancel_remaining" | "let_run");
        let is_fixed = self.hash(1).is_some_and(|group| group.integer("n").is_some_and(|n| n > 0));
        Some(match variant {
            "all_of" => is_fixed,
            "any_of" => is_fixed || is_silent,
            "quorum" => is_fixed || is_silent || needed < 1.0,
            _ => true,
        })
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::{
        state::suspension::tests::{SUSPEND, suspends},
        testing::{Story, cases},
    };

    /// An execution with a whole core, granted until 50.
    fn granted() -> Story {
        Story::new().created(0).plain(1, "HSET :core retry_count 0 terminal_outcome none").granted(10, 50)
    }

    fn claims(at: i64, word: &str) -> Story {
        granted().step(at, "ff_claim_execution :core :grant | e1 w w-1 gold", word, "")
    }

    /// The lease is valid until 100.
    fn leased() -> Story {
        granted().claimed(20, 1, 100)
    }

    fn completes(at: i64, fence: &str, word: &str) -> Story {
        let call = format!("ff_complete_execution :core | e1 {fence} done lease_holder");
        leased().step(at, &call, word, "")
    }

    fn sets(needed: u32) -> Story {
        let flow = Story::new().step(0, "ff_create_flow f1", "OK", "HSET :flow:core public_flow_state open");
        let call =
            format!("ff_set_edge_group_policy :flow:core :flow:edgegroup:e1 | quorum let_run {needed} @5");
        flow.step(5, &call, "invalid_input k", "")
    }

    /// A signal comes to a waitpoint that is open, and is said not to be; `closed` is what its condition says.
    fn signals(closed: u32) -> Story {
        let waits = suspends(SUSPEND).plain(21, "HSET :core retry_count 0");
        let waits = waits.plain(22, &format!("HSET :wp:w1:condition closed {closed}"));
        let keys = ":core :wp:w1:condition :wp:w1:signals :e1:signals ff:signal:{fp:7}:g :x idem :wp:w1";
        waits.step(30, &format!("ff_deliver_signal {keys} | g e1 w1 go"), "waitpoint_closed x", "")
    }

    fn marks(at: i64) -> Story {
        let call = "ff_mark_lease_expired_if_due :core | e1";
        leased().step(at, call, "ALREADY_SATISFIED not_yet_expired", "")
    }

    cases! {
        a_grant_that_is_said_to_have_expired: "refusals/ff_claim_execution/claim_grant_expired/without-reason",
            claims(50, "claim_grant_expired x"),
            alone claims(51, "claim_grant_expired x");
        a_grant_that_is_said_to_be_anothers: "refusals/ff_claim_execution/invalid_claim_grant/without-reason",
            claims(50, "invalid_claim_grant x"),
            alone claims(51, "invalid_claim_grant x");
        a_lease_that_is_said_to_have_expired: "refusals/ff_complete_execution/lease_expired/without-reason",
            completes(99, "l1 1 a1", "lease_expired x"),
            alone completes(100, "l1 1 a1", "lease_expired x");
        a_lease_that_is_said_to_be_stale: "refusals/ff_complete_execution/stale_lease/without-reason",
            completes(99, "l1 1 a1", "stale_lease x"),
            alone completes(99, "l1 2 a1", "stale_lease x");
        a_policy_that_a_group_may_have: "refusals/ff_set_edge_group_policy/invalid_input/without-reason",
            sets(1),
            alone sets(0);
        a_waitpoint_that_is_said_to_be_closed: "refusals/ff_deliver_signal/waitpoint_closed/without-reason",
            signals(0),
            alone signals(1);
        a_lease_that_is_not_marked_in_time: "refusals/ff_mark_lease_expired_if_due/ALREADY_SATISFIED/said-not-due",
            marks(100),
            alone marks(99);
    }
}
