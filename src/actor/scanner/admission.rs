//! Budgets that are due to be reset, and quotas whose windows hold what is long past (`ff-engine` 0.15,
//! `scanner/budget_reset.rs` and `scanner/quota_reconciler.rs`).
//!
//! The published reconciler of quotas corrects a counter that is negative, which no function of the library makes it: that
//! is left out, as are the marks that the published reconciler of budgets leaves for people. One thing is the
//! harness's own: an execution that has ended gives its admission back. Nothing published does that, and a quota of so many at
//! once would admit so many in all.

use ff_core::types::{BudgetId, ExecutionId, QuotaPolicyId};
use valkey_sim::engine::Reply;

use super::{Continuation, Scanner};
use crate::{
    actor::{Outbox, limits::QuotaLimits},
    protocol::{
        Command, Plain, ReleaseAdmission, ResetBudget, admitted, core_field, quota_definition, trim_window,
    },
    types::TimestampMs,
};

/// A step on the way to trimming a quota.
#[derive(Clone, Debug, Hash)]
pub enum Step {
    /// How it is defined.
    Definition(QuotaPolicyId, Plain<Vec<Option<String>>>),
    /// Whom it has admitted.
    Admitted(QuotaPolicyId, Plain<Vec<ExecutionId>>),
    /// Whether one of them has ended.
    Phase(QuotaPolicyId, ExecutionId, Plain<Option<String>>),
}

impl Scanner {
    pub(super) fn look_at_quota(&self, name: &str, out: &mut Outbox<Continuation>) {
        let Ok(quota) = QuotaPolicyId::parse(name) else { return };
        out.call(quota_definition(&quota), |read| Continuation::Admission(Step::Definition(quota, read)));
    }

    pub(super) fn admission_step(
        &self,
        now: TimestampMs,
        step: Step,
        reply: &Reply,
        out: &mut Outbox<Continuation>,
    ) {
        let next = Continuation::Admission;
        match step {
            Step::Definition(quota, read) => {
                if let Ok(fields) = read.parse(reply) {
                    trim(now, &quota, &fields, out);
                    out.call(admitted(&quota), |read| next(Step::Admitted(quota, read)));
                }
            }
            Step::Admitted(quota, read) => {
                for id in read.parse(reply).unwrap_or_default() {
                    out.call(core_field(&id, "lifecycle_phase"), |read| {
                        next(Step::Phase(quota.clone(), id, read))
                    });
                }
            }
            Step::Phase(quota_policy_id, execution_id, read) => {
                if read.parse(reply).is_ok_and(|phase| phase.as_deref() == Some("terminal")) {
                    out.call(ReleaseAdmission { quota_policy_id, execution_id }, |_| Continuation::Told);
                }
            }
        }
    }

    pub(super) fn reset_budget(&self, now: TimestampMs, name: &str, out: &mut Outbox<Continuation>) {
        let Ok(budget_id) = BudgetId::parse(name) else { return };
        out.call(ResetBudget { budget_id, now }, |_| Continuation::Told);
    }
}

/// Forgets what is older than a window. A quota without one has nothing to trim.
fn trim(now: TimestampMs, quota: &QuotaPolicyId, fields: &[Option<String>], out: &mut Outbox<Continuation>) {
    if fields.get(1).and_then(Option::as_ref).is_some_and(|seconds| seconds != "0") {
        let until = TimestampMs(now.0.saturating_sub_unsigned(QuotaLimits::read(fields).window_ms()));
        out.call(trim_window(quota, until), |_| Continuation::Told);
    }
}
