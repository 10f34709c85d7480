//! A budget and a quota, and what executions are charged to them.

use std::collections::BTreeMap;

use ff_core::types::CancelSource;

use super::{Due, LANE, List, Seen};
use crate::{
    plan::Plan,
    protocol::*,
    types::{BudgetId, Label, LaneId, Millis, QuotaPolicyId, TimestampMs},
    view::View,
};

const WINDOW_SECONDS: u64 = 1;
const RESET: Millis = Millis(400);
const DIMENSION: &str = "tokens";

/// The budget and the quota.
pub(super) struct Ids {
    budget: BudgetId,
    quota: QuotaPolicyId,
}

impl Ids {
    pub fn of(plan: &Plan) -> Self {
        Self { budget: plan.budget_id(&Label::from("budget")), quota: plan.quota_id(&Label::from("quota")) }
    }
}

impl List<'_> {
    /// What an execution is charged, and as much of its life as that has to do with.
    pub(super) fn charged(&mut self, seen: &Seen<'_>) {
        let (budget_id, quota_policy_id) =
            (self.menu.admission.budget.clone(), self.menu.admission.quota.clone());
        let (execution_id, now) = (seen.id.clone(), seen.now);
        let admit = CheckAdmission {
            quota_policy_id: quota_policy_id.clone(),
            execution_id: execution_id.clone(),
            window_seconds: WINDOW_SECONDS,
            rate_limit: 1,
            concurrency_cap: 1,
            jitter: Millis(0),
            now,
        };
        self.add("ask whether the quota admits {}", seen, &admit);
        let release = ReleaseAdmission { quota_policy_id, execution_id: execution_id.clone() };
        self.add("release the admission of {}", seen, &release);
        let spend = |used, dedup: &str| RecordSpend {
            budget_id: budget_id.clone(),
            execution_id: execution_id.clone(),
            deltas: BTreeMap::from([(DIMENSION.to_owned(), used)]),
            now,
            dedup: dedup.to_owned(),
        };
        self.add("spend 1 for {}", seen, &spend(1, ""));
        self.add("spend 1 for {}, once", seen, &spend(1, "once"));
        self.add("spend 2 for {}", seen, &spend(2, ""));
        let give_back = ReleaseBudget { budget_id, execution_id: execution_id.clone() };
        self.add("give back what {} spent", seen, &give_back);
        for (reason, block, unblock) in [
            (BlockingReason::Budget, "block {} for its budget", "unblock {} from its budget"),
            (BlockingReason::Quota, "block {} for its quota", "unblock {} from its quota"),
        ] {
            let (execution_id, lane_id) = (execution_id.clone(), LaneId::new(LANE));
            let blocks = BlockExecution {
                execution_id: execution_id.clone(),
                lane_id: lane_id.clone(),
                reason,
                detail: "admission".into(),
                now,
            };
            self.add(block, seen, &blocks);
            let unblocks = UnblockExecution { execution_id, lane_id, expected_reason: reason, now };
            self.add(unblock, seen, &unblocks);
        }
        let claim = IssueGrantAndClaim { claim: seen.claim(&super::WORKERS[0], LANE, None) };
        self.add("grant and claim {} by w1", seen, &claim);
        let owned = seen.owned(seen.fence(), CancelSource::LeaseHolder);
        self.add("complete {}", seen, &CompleteExecution { owned, result: b"output".to_vec() });
    }

    /// What befalls the budget and the quota themselves.
    pub(super) fn of_admission(&mut self, view: &View, all: &[Seen<'_>], now: TimestampMs) {
        let Ids { budget, quota } = &self.menu.admission;
        let limits = BTreeMap::from([(DIMENSION.to_owned(), Limits { hard: 2, soft: 1 })]);
        let create = |reset_interval| CreateBudget {
            budget_id: budget.clone(),
            scope_type: "lane".into(),
            scope_id: LANE.into(),
            enforcement_mode: "strict".into(),
            on_hard_limit: "fail".into(),
            on_soft_limit: "warn".into(),
            reset_interval,
            now,
            limits: limits.clone(),
        };
        let report = ReportUsage {
            budget_id: budget.clone(),
            deltas: BTreeMap::from([(DIMENSION.to_owned(), 1)]),
            now,
            dedup: String::new(),
        };
        let limit = CreateQuotaPolicy {
            quota_policy_id: quota.clone(),
            window_seconds: WINDOW_SECONDS,
            max_requests_per_window: 1,
            max_concurrent: 1,
            now,
        };
        let is_there = view.budget(&budget_tag(budget), &budget.to_string()).definition().is_some();
        let mut requests = vec![
            ("create the budget", create(RESET).request()),
            ("create the quota", limit.request()),
            ("report the use of 1", report.request()),
            ("reset the budget", ResetBudget { budget_id: budget.clone(), now }.request()),
        ];
        if !is_there {
            requests.push(("create the budget without a period", create(Millis(0)).request()));
        }
        for (text, request) in requests {
            self.push(text, all[0].name, request);
        }
    }

    /// When the budget is reset, and when the quota forgets an admission.
    pub(super) fn admission_due<'d>(&self, view: &View, all: &'d [Seen<'_>]) -> Vec<Due<'d>> {
        if !self.menu.calls.admission {
            return Vec::new();
        }
        let Ids { budget, quota } = &self.menu.admission;
        let reset = view.budget(&budget_tag(budget), &budget.to_string()).next_reset_at();
        let mut due: Vec<Due<'d>> =
            reset.into_iter().map(|at| ("the budget's reset", all[0].name, at)).collect();
        let (tag, id) = (quota_tag(quota), quota.to_string());
        for seen in all {
            let until = view.quota(&tag, &id).remembered_until(seen.id.as_str());
            due.extend(until.map(|at| ("the end of the window of {}", seen.name, at)));
        }
        due
    }
}
