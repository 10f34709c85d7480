//! The unblock scanner: an execution that waits for a capable worker, a budget or a quota gets another chance once what it
//! waits for is there (`ff-engine` 0.15, `scanner/unblock.rs`).
//!
//! Capable is whoever is heard of: what all live workers can do together covers what the execution requires. The scheduler
//! then decides worker by worker, and may put it aside again.

use std::collections::BTreeSet;

use ff_core::types::{BudgetId, QuotaPolicyId};
use valkey_sim::engine::Reply;

use super::{ALIVE_FOR_MS, Continuation, Place, Scan, Scanner, words_of};
use crate::{
    actor::{
        Outbox,
        limits::{self, QuotaLimits},
    },
    protocol::{
        BlockingReason, Command, Plain, UnblockExecution, budget_limits, budget_usage, concurrency,
        core_fields, quota_definition, trim_window, window_size,
    },
    types::{ExecutionId, TimestampMs},
};

/// What is read of a blocked execution.
pub(super) const BLOCKED_FIELDS: [&str; 4] =
    ["blocking_reason", "required_capabilities", "budget_ids", "quota_policy_id"];

/// A step on the way to unblocking an execution.
#[derive(Clone, Debug, Hash)]
pub enum Step {
    /// What it waits for.
    Core(ExecutionId, Plain<Vec<Option<String>>>),
    /// The limits of the first of the budgets that are still to be looked at.
    Limits(ExecutionId, Vec<BudgetId>, Plain<Vec<String>>),
    /// What is used of it, in the dimensions that have a hard limit.
    Usage(ExecutionId, Vec<BudgetId>, limits::Hard, Plain<Vec<Option<String>>>),
    /// How its quota is defined.
    Definition(ExecutionId, QuotaPolicyId, Plain<Vec<Option<String>>>),
    /// The quota's window was trimmed.
    Trimmed(ExecutionId, QuotaPolicyId, QuotaLimits),
    /// How full the window is.
    Window(ExecutionId, QuotaPolicyId, QuotaLimits, Plain<Option<String>>),
    /// How many are admitted at once.
    Concurrency(ExecutionId, QuotaLimits, Plain<Option<String>>),
}

impl Scanner {
    pub(super) fn look_at_blocked(
        &self,
        place: Place,
        execution_id: ExecutionId,
        out: &mut Outbox<Continuation>,
    ) {
        out.call(core_fields(&execution_id, &BLOCKED_FIELDS), |read| {
            Continuation::Blocked(place, Step::Core(execution_id, read))
        });
    }

    pub(super) fn blocked_step(
        &self,
        now: TimestampMs,
        place: Place,
        step: Step,
        reply: &Reply,
        out: &mut Outbox<Continuation>,
    ) {
        let next = |step| Continuation::Blocked(place, step);
        match step {
            Step::Core(id, read) => {
                if let Ok(fields) = read.parse(reply) {
                    self.judge(now, place, id, &fields, out);
                }
            }
            Step::Limits(id, budgets, read) => {
                // What cannot be read keeps it blocked.
                let Ok(limits) = read.parse(reply) else { return };
                let hard = limits::Hard::read(&limits);
                let Some(budget) = budgets.first() else { return };
                let usage = budget_usage(budget, &hard.dimensions());
                if hard.is_empty() {
                    self.next_budget(now, place, id, &budgets[1..], out);
                } else {
                    out.call(usage, |read| next(Step::Usage(id, budgets, hard, read)));
                }
            }
            Step::Usage(id, budgets, hard, read) => {
                let Ok(usage) = read.parse(reply) else { return };
                if hard.breach(&usage).is_none() {
                    self.next_budget(now, place, id, budgets.get(1..).unwrap_or_default(), out);
                }
            }
            Step::Definition(id, quota, read) => {
                let Ok(fields) = read.parse(reply) else { return };
                let limits = QuotaLimits::read(&fields);
                if limits.rate > 0 {
                    let until = TimestampMs(now.0.saturating_sub_unsigned(limits.window_ms()));
                    out.call(trim_window(&quota, until), |_| next(Step::Trimmed(id, quota, limits)));
                } else {
                    self.check_concurrency(now, place, id, &quota, limits, out);
                }
            }
            Step::Trimmed(id, quota, limits) => {
                out.call(window_size(&quota), |read| next(Step::Window(id, quota, limits, read)));
            }
            Step::Window(id, quota, limits, read) => {
                if count(&read, reply).is_some_and(|size| size < limits.rate) {
                    self.check_concurrency(now, place, id, &quota, limits, out);
                }
            }
            Step::Concurrency(id, limits, read) => {
                if count(&read, reply).is_some_and(|active| active < limits.at_once) {
                    self.unblock(now, place, id, out);
                }
            }
        }
    }

    /// Looks whether what it waits for is there. One that waits for something else is left alone.
    fn judge(
        &self,
        now: TimestampMs,
        place: Place,
        id: ExecutionId,
        fields: &[Option<String>],
        out: &mut Outbox<Continuation>,
    ) {
        let [reason, required, budgets, quota] = fields else { return };
        if reason.as_deref() != Some(reason_of(place.scan).as_str()) {
            return;
        }
        match place.scan {
            Scan::Budget => {
                let budgets = words_of(budgets.as_deref());
                let budgets: Vec<_> = budgets.iter().filter_map(|id| BudgetId::parse(id).ok()).collect();
                self.next_budget(now, place, id, &budgets, out);
            }
            Scan::Quota => match quota.as_ref().and_then(|id| QuotaPolicyId::parse(id).ok()) {
                Some(quota) => out.call(quota_definition(&quota), |read| {
                    Continuation::Blocked(place, Step::Definition(id, quota, read))
                }),
                None => self.unblock(now, place, id, out),
            },
            _ => {
                let live = self.capabilities(now);
                if words_of(required.as_deref()).iter().all(|word| live.contains(word)) {
                    self.unblock(now, place, id, out);
                }
            }
        }
    }

    /// What the workers that were heard of lately can do, all together.
    fn capabilities(&self, now: TimestampMs) -> BTreeSet<&str> {
        let live = self.workers.values().filter(|(_, heard)| now.0.saturating_sub(heard.0) <= ALIVE_FOR_MS);
        live.flat_map(|(alive, _)| alive.capabilities.iter().map(String::as_str)).collect()
    }

    fn next_budget(
        &self,
        now: TimestampMs,
        place: Place,
        id: ExecutionId,
        budgets: &[BudgetId],
        out: &mut Outbox<Continuation>,
    ) {
        match budgets.first() {
            Some(first) => out.call(budget_limits(first), |read| {
                Continuation::Blocked(place, Step::Limits(id, budgets.to_vec(), read))
            }),
            None => self.unblock(now, place, id, out),
        }
    }

    fn check_concurrency(
        &self,
        now: TimestampMs,
        place: Place,
        id: ExecutionId,
        quota: &QuotaPolicyId,
        limits: QuotaLimits,
        out: &mut Outbox<Continuation>,
    ) {
        if limits.at_once > 0 {
            out.call(concurrency(quota), |read| {
                Continuation::Blocked(place, Step::Concurrency(id, limits, read))
            });
        } else {
            self.unblock(now, place, id, out);
        }
    }

    fn unblock(
        &self,
        now: TimestampMs,
        place: Place,
        execution_id: ExecutionId,
        out: &mut Outbox<Continuation>,
    ) {
        let lane_id = self.lanes[place.lane].clone();
        let expected_reason = reason_of(place.scan);
        out.call(UnblockExecution { execution_id, lane_id, expected_reason, now }, |_| Continuation::Told);
    }
}

/// What the executions wait for that a scan looks at.
fn reason_of(scan: Scan) -> BlockingReason {
    match scan {
        Scan::Budget => BlockingReason::Budget,
        Scan::Quota => BlockingReason::Quota,
        _ => BlockingReason::Capability,
    }
}

/// A number that is 0 where there is none; none where it cannot be read.
fn count(read: &Plain<Option<String>>, reply: &Reply) -> Option<u64> {
    let text = read.parse(reply).ok()?;
    text.map_or(Some(0), |text| text.parse::<i64>().ok().map(|number| number.max(0).unsigned_abs()))
}
