//! What the scheduler asks of budgets and quotas before it grants (`ff-scheduler` 0.15, `check_budgets` and `check_quota`).
//!
//! It reads from the execution what it is charged to. A budget of which a dimension is used up puts the execution aside, and
//! so does a quota that does not admit it; each budget is read once a question. What admits, is given back when the
//! grant then fails.

use ff_core::types::{BudgetId, QuotaPolicyId};
use valkey_sim::engine::Reply;

use super::{Continuation, Scan, Scheduler, block};
use crate::{
    actor::{
        Outbox,
        limits::{Hard, QuotaLimits},
    },
    protocol::{
        Admission, BlockingReason, CheckAdmission, Command, Plain, budget_limits, budget_usage, core_field,
        quota_definition,
    },
    types::{ExecutionId, Millis},
};

/// A step on the way through budgets and quota.
#[derive(Clone, Debug, Hash)]
pub enum Step {
    /// The budgets that the execution is charged to.
    Budgets(Scan, ExecutionId, Plain<Option<String>>),
    /// The limits of the first of those that are still to be looked at.
    Limits(Scan, ExecutionId, Vec<BudgetId>, Plain<Vec<String>>),
    /// What is used of it, in the dimensions that have a hard limit.
    Usage(Scan, ExecutionId, Vec<BudgetId>, Hard, Plain<Vec<Option<String>>>),
    /// The quota that it is charged to.
    Quota(Scan, ExecutionId, Plain<Option<String>>),
    /// How the quota is defined.
    Definition(Scan, ExecutionId, QuotaPolicyId, Plain<Vec<Option<String>>>),
    /// Whether it admits the execution.
    Check(Scan, CheckAdmission),
}

impl Step {
    /// The question that it belongs to.
    pub(super) fn scan(&self) -> &Scan {
        match self {
            Step::Budgets(scan, ..)
            | Step::Limits(scan, ..)
            | Step::Usage(scan, ..)
            | Step::Quota(scan, ..)
            | Step::Definition(scan, ..)
            | Step::Check(scan, _) => scan,
        }
    }
}

impl Scheduler {
    pub(super) fn ask_budgets(&self, scan: Scan, id: ExecutionId, out: &mut Outbox<Continuation>) {
        out.call(core_field(&id, "budget_ids"), |read| next(Step::Budgets(scan, id, read)));
    }

    pub(super) fn admission_step(&self, step: Step, reply: &Reply, out: &mut Outbox<Continuation>) {
        match step {
            Step::Budgets(scan, id, read) => match read.parse(reply) {
                Ok(budgets) => self.next_budget(scan, id, ids_of(&budgets.unwrap_or_default()), out),
                Err(_) => self.look_further(scan, out),
            },
            Step::Limits(scan, id, budgets, read) => match read.parse(reply) {
                Ok(limits) => self.limited(scan, id, budgets, Hard::read(&limits), out),
                Err(_) => self.look_further(scan, out),
            },
            Step::Usage(mut scan, id, budgets, hard, read) => match (read.parse(reply), budgets.first()) {
                (Ok(usage), Some(first)) => {
                    let breach = hard.breach(&usage);
                    let detail =
                        breach.map(|(name, used, limit)| format!("budget {first}: {name} {used}/{limit}"));
                    scan.budgets.insert(first.to_string(), detail);
                    self.next_budget(scan, id, budgets, out);
                }
                _ => self.look_further(scan, out),
            },
            Step::Quota(scan, id, read) => match read.parse(reply) {
                Ok(quota) => match quota.and_then(|quota| QuotaPolicyId::parse(&quota).ok()) {
                    Some(quota) => out
                        .call(quota_definition(&quota), |read| next(Step::Definition(scan, id, quota, read))),
                    None => self.grant(scan, id, out),
                },
                Err(_) => self.look_further(scan, out),
            },
            Step::Definition(scan, id, quota, read) => match read.parse(reply) {
                Ok(fields) => self.defined(scan, id, quota, QuotaLimits::read(&fields), out),
                Err(_) => self.look_further(scan, out),
            },
            Step::Check(scan, call) => {
                let answer = call.parse(reply);
                let CheckAdmission { execution_id: id, quota_policy_id: quota, .. } = call;
                match answer {
                    Ok(Admission::Admitted | Admission::AlreadyAdmitted) => {
                        self.grant(Scan { admitted: Some(quota), ..scan }, id, out);
                    }
                    Ok(Admission::RateExceeded { .. }) => {
                        block(scan, id, BlockingReason::Quota, format!("quota {quota}: rate limit"), out);
                    }
                    Ok(Admission::ConcurrencyExceeded) => {
                        block(
                            scan,
                            id,
                            BlockingReason::Quota,
                            format!("quota {quota}: concurrency cap"),
                            out,
                        );
                    }
                    // The published scheduler gives its caller the error.
                    Err(_) => super::no_grant(scan.worker, &scan.ask, out),
                }
            }
        }
    }

    /// Looks at the first of these budgets, unless this question knows of it already; after the last, at the quota.
    fn next_budget(
        &self,
        scan: Scan,
        id: ExecutionId,
        budgets: Vec<BudgetId>,
        out: &mut Outbox<Continuation>,
    ) {
        let known = budgets.iter().map_while(|budget| scan.budgets.get(&budget.to_string()));
        let breach = known.clone().flatten().next().cloned();
        let seen = known.count();
        if let Some(detail) = breach {
            block(scan, id, BlockingReason::Budget, detail, out);
        } else if let Some(first) = budgets.get(seen) {
            let rest = budgets[seen..].to_vec();
            out.call(budget_limits(first), |read| next(Step::Limits(scan, id, rest, read)));
        } else {
            out.call(core_field(&id, "quota_policy_id"), |read| next(Step::Quota(scan, id, read)));
        }
    }

    fn limited(
        &self,
        mut scan: Scan,
        id: ExecutionId,
        budgets: Vec<BudgetId>,
        hard: Hard,
        out: &mut Outbox<Continuation>,
    ) {
        let Some(first) = budgets.first().cloned() else { return };
        if hard.is_empty() {
            scan.budgets.insert(first.to_string(), None);
            self.next_budget(scan, id, budgets, out);
        } else {
            out.call(budget_usage(&first, &hard.dimensions()), |read| {
                next(Step::Usage(scan, id, budgets, hard, read))
            });
        }
    }

    fn defined(
        &self,
        scan: Scan,
        id: ExecutionId,
        quota: QuotaPolicyId,
        limits: QuotaLimits,
        out: &mut Outbox<Continuation>,
    ) {
        if limits.is_unlimited() {
            self.grant(scan, id, out);
            return;
        }
        let call = CheckAdmission {
            quota_policy_id: quota,
            execution_id: id,
            window_seconds: limits.window_seconds,
            rate_limit: limits.rate,
            concurrency_cap: limits.at_once,
            jitter: Millis(0),
            now: scan.now,
        };
        out.call(call, |call| next(Step::Check(scan, call)));
    }
}

fn next(step: Step) -> Continuation {
    Continuation::Admission(Box::new(step))
}

fn ids_of(csv: &str) -> Vec<BudgetId> {
    csv.split(',').filter_map(|id| BudgetId::parse(id.trim()).ok()).collect()
}
