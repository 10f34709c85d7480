//! Budgets: what executions may use of something that is counted, with a soft and a hard limit for each dimension.

use std::collections::BTreeMap;

use ff_core::{
    keys::{BudgetKeyContext, budget_policies_index, budget_resets_key, usage_dedup_key},
    partition::{PartitionConfig, budget_partition},
    types::{BudgetId, ExecutionId, TimestampMs},
};

use super::{Call, Consent, Malformed, Status, args, words};
use crate::types::{Function, Millis};

fn keys_of(budget_id: &BudgetId) -> BudgetKeyContext {
    BudgetKeyContext::new(&budget_partition(budget_id, &PartitionConfig::default()), budget_id)
}

/// The hash tag of a budget's keys: `{b:7}`.
pub fn budget_tag(budget_id: &BudgetId) -> String {
    keys_of(budget_id).hash_tag().to_owned()
}

/// The key under which a report is remembered, so that it is counted once; empty for a report without a name.
fn dedup_key(keys: &BudgetKeyContext, name: &str) -> String {
    if name.is_empty() { String::new() } else { usage_dedup_key(keys.hash_tag(), name) }
}

/// The limits of one dimension; 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nothing is counted that would go over it.
    pub hard: u64,
    /// Going over it is told.
    pub soft: u64,
}

/// `ff_create_budget`. Answers whether it is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateBudget {
    /// A fresh id.
    pub budget_id: BudgetId,
    /// What kind of thing it is for: `lane`, `namespace` …
    pub scope_type: String,
    /// Which of them.
    pub scope_id: String,
    /// `strict` or `advisory`.
    pub enforcement_mode: String,
    /// What happens at a hard limit.
    pub on_hard_limit: String,
    /// What happens at a soft limit.
    pub on_soft_limit: String,
    /// How often usage goes back to nothing; 0 for never.
    pub reset_interval: Millis,
    /// The caller's now.
    pub now: TimestampMs,
    /// The limits, by dimension.
    pub limits: BTreeMap<String, Limits>,
}

impl Call for CreateBudget {
    const FUNCTION: Function = Function::CreateBudget;
    type Outcome = bool;

    fn keys(&self) -> Vec<String> {
        let keys = keys_of(&self.budget_id);
        vec![
            keys.definition(),
            keys.limits(),
            keys.usage(),
            budget_resets_key(keys.hash_tag()),
            budget_policies_index(keys.hash_tag()),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let mut argv = args![
            self.budget_id,
            self.scope_type,
            self.scope_id,
            self.enforcement_mode,
            self.on_hard_limit,
            self.on_soft_limit,
            self.reset_interval,
            self.now,
            self.limits.len(),
        ];
        argv.extend(self.limits.keys().flat_map(|dimension| args![dimension]));
        argv.extend(self.limits.values().flat_map(|limits| args![limits.hard]));
        argv.extend(self.limits.values().flat_map(|limits| args![limits.soft]));
        argv
    }

    fn outcome(&self, answer: &Consent) -> Result<bool, Malformed> {
        Ok(answer.status == Status::Ok)
    }
}

/// What came of a report of usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Counted.
    Counted,
    /// It had been counted before.
    AlreadyCounted,
    /// Counted, and a dimension is over its soft limit.
    SoftBreach(Breach),
    /// Not counted: a dimension would go over its hard limit.
    HardBreach(Breach),
}

/// A dimension at its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The dimension.
    pub dimension: String,
    /// What is used of it.
    pub current: u64,
    /// What may be used of it.
    pub limit: u64,
}

fn usage(answer: &Consent) -> Result<Usage, Malformed> {
    let breach = || {
        Ok(Breach {
            dimension: answer.field(0, "dimension")?,
            current: answer.field(1, "current_usage")?,
            limit: answer.field(2, "limit")?,
        })
    };
    match answer.status {
        Status::Ok => Ok(Usage::Counted),
        Status::AlreadyApplied => Ok(Usage::AlreadyCounted),
        Status::SoftBreach => breach().map(Usage::SoftBreach),
        Status::HardBreach => breach().map(Usage::HardBreach),
        _ => Err(answer.unexpected()),
    }
}

/// `ff_report_usage_and_check`: counts usage against a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportUsage {
    /// The budget.
    pub budget_id: BudgetId,
    /// What was used, by dimension.
    pub deltas: BTreeMap<String, u64>,
    /// The caller's now.
    pub now: TimestampMs,
    /// The report's name: a second report of the same name is not counted. Empty for none.
    pub dedup: String,
}

impl Call for ReportUsage {
    const FUNCTION: Function = Function::ReportUsageAndCheck;
    type Outcome = Usage;

    fn keys(&self) -> Vec<String> {
        let keys = keys_of(&self.budget_id);
        vec![keys.usage(), keys.limits(), keys.definition()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let mut argv = args![self.deltas.len()];
        argv.extend(self.deltas.keys().flat_map(|dimension| args![dimension]));
        argv.extend(self.deltas.values().flat_map(|delta| args![delta]));
        argv.extend(args![self.now, dedup_key(&keys_of(&self.budget_id), &self.dedup)]);
        argv
    }

    fn outcome(&self, answer: &Consent) -> Result<Usage, Malformed> {
        usage(answer)
    }
}

/// `ff_record_spend`: counts usage against a budget and remembers which execution it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSpend {
    /// The budget.
    pub budget_id: BudgetId,
    /// Who used it.
    pub execution_id: ExecutionId,
    /// What was used, by dimension.
    pub deltas: BTreeMap<String, u64>,
    /// The caller's now.
    pub now: TimestampMs,
    /// The report's name: a second report of the same name is not counted. Empty for none.
    pub dedup: String,
}

impl Call for RecordSpend {
    const FUNCTION: Function = Function::RecordSpend;
    type Outcome = Usage;

    fn keys(&self) -> Vec<String> {
        let keys = keys_of(&self.budget_id);
        vec![
            keys.usage(),
            keys.limits(),
            keys.definition(),
            keys.by_exec(self.execution_id.as_str()),
            keys.by_exec_index(),
        ]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        let mut argv = args![self.deltas.len()];
        argv.extend(self.deltas.iter().flat_map(|(dimension, delta)| args![dimension, delta]));
        argv.extend(args![self.now, dedup_key(&keys_of(&self.budget_id), &self.dedup), self.execution_id]);
        argv
    }

    fn outcome(&self, answer: &Consent) -> Result<Usage, Malformed> {
        usage(answer)
    }
}

/// `ff_release_budget`: gives back what an execution used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseBudget {
    /// The budget.
    pub budget_id: BudgetId,
    /// Who used it.
    pub execution_id: ExecutionId,
}

words! {
    /// What came of [`ReleaseBudget`].
    pub enum ReleaseBudgetOutcome {
        /// It was given back.
        Released = "released",
        /// There was nothing to give back.
        Noop = "noop",
    }
}

impl Call for ReleaseBudget {
    const FUNCTION: Function = Function::ReleaseBudget;
    type Outcome = ReleaseBudgetOutcome;

    fn keys(&self) -> Vec<String> {
        let keys = keys_of(&self.budget_id);
        vec![keys.usage(), keys.by_exec(self.execution_id.as_str()), keys.by_exec_index()]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.budget_id, self.execution_id]
    }

    fn outcome(&self, answer: &Consent) -> Result<ReleaseBudgetOutcome, Malformed> {
        answer.field(0, "outcome")
    }
}

/// `ff_reset_budget`: usage goes back to nothing. Answers when it does so next; 0 for never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetBudget {
    /// The budget.
    pub budget_id: BudgetId,
    /// The caller's now.
    pub now: TimestampMs,
}

impl Call for ResetBudget {
    const FUNCTION: Function = Function::ResetBudget;
    type Outcome = TimestampMs;

    fn keys(&self) -> Vec<String> {
        let keys = keys_of(&self.budget_id);
        vec![keys.definition(), keys.usage(), budget_resets_key(keys.hash_tag())]
    }

    fn argv(&self) -> Vec<Vec<u8>> {
        args![self.budget_id, self.now]
    }

    fn outcome(&self, answer: &Consent) -> Result<TimestampMs, Malformed> {
        answer.field(0, "next_reset_at")
    }
}
