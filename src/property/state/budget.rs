//! What is counted against a budget is what was reported, once, and never over a hard limit; a reset begins a new period
//! (37, 52, 55 and 59 of `docs/protocol.md`; RFC-008).
//!
//! Judged call by call, against the arguments: usage is the sum of what was accepted if each call adds what it says. A
//! report without an execution has no ledger, so the ledger may be less than usage, never more. Not here: what a
//! scheduler makes of a budget that is spent, and calls whose numbers are no whole ones.

use std::collections::BTreeMap;

use super::{Broken, entity_of_key, rules::differ};
use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Call, Moment, Step},
    types::{Answer, Function, Node, Status},
    view::{Budget, Entity},
};

/// How long a report's name is remembered.
const REMEMBERED_MS: i64 = 86_400_000;

const MISCOUNTED: Kind = Kind {
    name: "miscounted",
    about: "usage did not change by what the call was to count, release or reset",
};
const OVER_HARD: Kind = Kind { name: "over-hard", about: "a call took usage over a hard limit" };
const NAMED_TWICE: Kind = Kind {
    name: "over-hard-named-twice",
    about: "a call that names a dimension more than once took usage over its hard limit",
};
const WITHIN: Kind =
    Kind { name: "refused-within-limit", about: "a report was refused though no hard limit was exceeded" };
const SOFT: Kind = Kind {
    name: "soft-limit",
    about: "usage is over a soft limit and the answer does not say so, or says so and it is not",
};
const COUNTED_TWICE: Kind =
    Kind { name: "counted-twice", about: "a report whose name was remembered was counted again" };
const NOT_REMEMBERED: Kind = Kind {
    name: "not-remembered",
    about: "a report has a name, was counted, and is not remembered for 24 hours",
};
const NEVER_COUNTED: Kind = Kind {
    name: "never-counted",
    about: "a report is said to have been counted before, and its name was not remembered",
};
const LEDGER: Kind =
    Kind { name: "ledger", about: "the ledger of an execution is not what the call was to make of it" };
const LEDGER_OVER_USAGE: Kind = Kind {
    name: "ledger-over-usage",
    about: "the ledger has more than was used: a release will take too much",
};
const RESET_EARLY: Kind =
    Kind { name: "reset-early", about: "a scanner reset a budget whose period was not over" };
const RESET_INDEX: Kind = Kind {
    name: "reset-index",
    about: "a budget that is to be reset is not in the index of resets at its time",
};
const RESET_TIME: Kind = Kind {
    name: "reset-time",
    about: "a budget is to be reset next at another time than its period says, or though it has none",
};
const NOT_AS_SENT: Kind = Kind {
    name: "not-as-sent",
    about: "a budget was created, by the answer, and its definition is another one",
};
const NO_LIMITS: Kind =
    Kind { name: "no-limits", about: "a budget was created, by the answer, and it has no definition" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "budget",
    numbers: &[37, 52, 55, 59, 63],
    claim: "A budget counts what was reported, once, and never over a hard limit.",
    expect: Expect::Always,
    kinds: &[
        MISCOUNTED,
        OVER_HARD,
        NAMED_TWICE,
        WITHIN,
        SOFT,
        COUNTED_TWICE,
        NOT_REMEMBERED,
        NEVER_COUNTED,
        LEDGER,
        LEDGER_OVER_USAGE,
        RESET_EARLY,
        RESET_INDEX,
        RESET_TIME,
        NOT_AS_SENT,
        NO_LIMITS,
    ],
    monitor: || Box::new(Budgets),
};

#[derive(Clone, Hash)]
struct Budgets;

impl Property for Budgets {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        let Some(call) = &step.call else { return };
        if !matches!(
            call.function,
            Function::CreateBudget
                | Function::ReportUsageAndCheck
                | Function::RecordSpend
                | Function::ReleaseBudget
                | Function::ResetBudget
        ) {
            return;
        }
        let Some(Entity::Budget(tag, id)) = entity_of_key(call, 0) else { return };
        let sides =
            Sides { step, call, before: step.before.budget(&tag, &id), after: step.after.budget(&tag, &id) };
        sides.judge(found);
    }
}

/// A budget before a call and after it.
struct Sides<'s> {
    step: &'s Step<'s>,
    call: &'s Call<'s>,
    before: Budget<'s>,
    after: Budget<'s>,
}

/// What a call reports.
struct Report<'c> {
    /// By dimension: how much in all, and how often it is named.
    deltas: BTreeMap<&'c str, (i64, u32)>,
    dedup: &'c str,
    /// Whose ledger it is to be in; empty for nobody's.
    execution: &'c str,
}

impl<'c> Report<'c> {
    /// Reads the arguments; none where a number is no whole one.
    fn of(call: &'c Call<'_>) -> Option<Self> {
        let count: usize = call.arg(0).parse().ok().filter(|count| *count < call.argv.len())?;
        let is_paired = call.function == Function::RecordSpend;
        let mut deltas = BTreeMap::new();
        for i in 0..count {
            let (dimension, delta) = if is_paired { (1 + 2 * i, 2 + 2 * i) } else { (1 + i, 1 + count + i) };
            let entry: &mut (i64, u32) = deltas.entry(call.arg(dimension)).or_default();
            *entry = (entry.0.checked_add(call.arg(delta).parse().ok()?)?, entry.1 + 1);
        }
        let execution = if is_paired { call.arg(3 + 2 * count) } else { "" };
        Some(Self { deltas, dedup: call.arg(2 + 2 * count), execution })
    }
}

impl Sides<'_> {
    fn judge(&self, found: &mut Found<'_>) {
        let Answer::Consent(status) = self.call.answer else { return };
        match self.call.function {
            Function::CreateBudget => self.created(found),
            Function::ReleaseBudget => self.released(found),
            Function::ResetBudget => self.reset(found),
            _ => {
                let Some(report) = Report::of(self.call) else { return };
                match status {
                    Status::HardBreach | Status::AlreadyApplied => self.not_counted(&report, status, found),
                    _ => self.counted(&report, status, found),
                }
            }
        }
        let told = [self.ledger_over_usage(), self.reset_index(), self.reset_time(), self.not_as_sent()];
        told.into_iter().flatten().for_each(|Broken { kind, message }| found.violation(kind, None, message));
    }

    fn counted(&self, report: &Report<'_>, status: Status, found: &mut Found<'_>) {
        let mut is_over_soft = false;
        for (dimension, (delta, named)) in &report.deltas {
            let (old, new) = (self.before.used(dimension), self.after.used(dimension));
            if new - old != *delta {
                let message =
                    format!("{delta} of {dimension} were counted, and usage went from {old} to {new}");
                found.violation(MISCOUNTED, None, message);
            }
            if let Some(limit) = self.after.hard_limit(dimension).filter(|limit| new > *limit && new > old) {
                let kind = if *named > 1 { NAMED_TWICE } else { OVER_HARD };
                found.violation(kind, None, format!("{new} of {dimension} are used, and {limit} may be"));
            }
            is_over_soft |= self.after.soft_limit(dimension).is_some_and(|limit| new > limit);
        }
        if is_over_soft != (status == Status::SoftBreach) {
            let over = if is_over_soft { "over" } else { "not over" };
            found.violation(SOFT, None, format!("usage is {over} a soft limit, and the answer is {status}"));
        }
        self.remembered(report, found);
        self.in_ledger(report, found);
    }

    fn remembered(&self, report: &Report<'_>, found: &mut Found<'_>) {
        if report.dedup.is_empty() {
            return;
        }
        if self.step.before.is_visible(report.dedup, self.step.now) {
            found.violation(COUNTED_TWICE, None, "a report that had been counted was counted again");
        }
        let until = self.step.after.expires_at(report.dedup).map(|until| until.0 - self.step.now.0);
        if until != Some(REMEMBERED_MS) {
            let message = format!("the report is remembered for {until:?} ms, not {REMEMBERED_MS}");
            found.violation(NOT_REMEMBERED, None, message);
        }
    }

    fn in_ledger(&self, report: &Report<'_>, found: &mut Found<'_>) {
        let execution = report.execution;
        if execution.is_empty() {
            return;
        }
        let is_wrong = report.deltas.iter().any(|(dimension, (delta, _))| {
            self.after.spent_by(execution, dimension) - self.before.spent_by(execution, dimension) != *delta
        });
        if is_wrong || !self.after.is_in_ledger(execution) {
            found.violation(LEDGER, None, format!("what {execution} spent is not in the ledger as reported"));
        }
    }

    fn not_counted(&self, report: &Report<'_>, status: Status, found: &mut Found<'_>) {
        if self.before.usage() != self.after.usage() {
            found.violation(MISCOUNTED, None, format!("usage changed, and the answer is {status}"));
        }
        let exceeds = |(dimension, (delta, _)): (&&str, &(i64, u32))| {
            let limit = self.before.hard_limit(dimension);
            limit.is_some_and(|limit| self.before.used(dimension) + delta > limit)
        };
        if status == Status::HardBreach && !report.deltas.iter().any(exceeds) {
            found.violation(WITHIN, None, "a report was refused that goes over no hard limit");
        }
        let is_known = self.step.before.is_visible(report.dedup, self.step.now);
        if status == Status::AlreadyApplied && !is_known {
            found.violation(
                NEVER_COUNTED,
                None,
                "a report was not counted, and nobody had counted it before",
            );
        }
    }

    fn released(&self, found: &mut Found<'_>) {
        let execution = self.call.arg(1);
        let spent = |dimension: &str| self.before.spent_by(execution, dimension).max(0);
        for (dimension, old) in self.before.usage() {
            let (new, wanted) = (self.after.used(dimension), (old - spent(dimension)).max(0));
            if new != wanted {
                let message =
                    format!("{old} of {dimension} were used, {wanted} should be left, and {new} are");
                found.violation(MISCOUNTED, None, message);
            }
        }
        if self.after.entry(execution).is_some() || self.after.is_in_ledger(execution) {
            found.violation(
                LEDGER,
                None,
                format!("what {execution} spent was given back, and its ledger is there"),
            );
        }
    }

    fn reset(&self, found: &mut Found<'_>) {
        if self.after.usage().values().any(|used| *used != 0) {
            found.violation(MISCOUNTED, None, "a budget was reset and its usage is not 0");
        }
        let now: Option<i64> = self.call.arg(1).parse().ok();
        let early_ms = self.before.next_reset_at().zip(now).map(|(due, now)| due.0 - now);
        if matches!(self.call.caller, Node::Scanner | Node::SecondScanner)
            && early_ms.is_some_and(|early_ms| early_ms > 0)
        {
            let message =
                format!("a budget was reset {} ms before its period was over", early_ms.unwrap_or(0));
            found.violation(RESET_EARLY, None, message);
        }
    }

    fn created(&self, found: &mut Found<'_>) {
        let is_defined = self.after.definition().is_some_and(|it| !it.text("budget_id").is_empty());
        let wants_limits = self.call.arg(8).parse::<u32>().is_ok_and(|count| count > 0);
        if !is_defined || (self.call.answer.is_ok() && wants_limits && !self.after.has_limits()) {
            found.violation(NO_LIMITS, None, "a budget was created, and it has no definition or no limits");
        }
    }

    /// What was sent of a definition and is not stored.
    fn not_as_sent(&self) -> Option<Broken> {
        if self.call.function != Function::CreateBudget || !self.call.answer.is_ok() {
            return None;
        }
        const FIELDS: [&str; 6] = [
            "scope_type",
            "scope_id",
            "enforcement_mode",
            "on_hard_limit",
            "on_soft_limit",
            "reset_interval_ms",
        ];
        let definition = self.after.definition()?;
        let other =
            FIELDS.iter().zip(1..).find(|(field, index)| definition.text(field) != self.call.arg(*index));
        if let Some((field, index)) = other {
            let (sent, stored) = (self.call.arg(index), definition.text(field));
            return Broken::new(NOT_AS_SENT, format!("{field} {sent:?} was sent, and {stored:?} is stored"));
        }
        let count: usize = self.call.arg(8).parse().ok().filter(|count| *count < self.call.argv.len())?;
        let limit = |at: usize| self.call.arg(at).parse::<i64>().ok().filter(|limit| *limit > 0);
        let dimensions: BTreeMap<&str, usize> = (0..count).map(|i| (self.call.arg(9 + i), i)).collect();
        let is_other = |(dimension, i): (&&str, &usize)| {
            self.after.hard_limit(dimension) != limit(9 + count + i)
                || self.after.soft_limit(dimension) != limit(9 + 2 * count + i)
        };
        dimensions
            .iter()
            .any(is_other)
            .then(|| Broken::new(NOT_AS_SENT, "the limits are not those that were sent"))
            .flatten()
    }

    /// Whether this call left the next reset at another time than a period after its now.
    fn reset_time(&self) -> Option<Broken> {
        let now: f64 = match self.call.function {
            Function::CreateBudget if self.call.answer.is_ok() => self.call.arg(7).parse().ok()?,
            Function::ResetBudget => self.call.arg(1).parse().ok()?,
            _ => return None,
        };
        let interval: f64 = self.after.definition()?.text("reset_interval_ms").parse().ok()?;
        let (wanted, due) = ((interval > 0.0).then_some(now + interval), self.after.next_reset_at());
        let is_right = match (wanted, due) {
            (Some(wanted), Some(due)) => !differ(wanted, due.0 as f64),
            (None, None) => true,
            _ => false,
        };
        let message =
            || format!("a budget with a period of {interval} ms is to be reset at {due:?}, at {now}");
        (!is_right).then(|| Broken::new(RESET_TIME, message())).flatten()
    }

    /// Whether this call made the ledger say more than was used.
    fn ledger_over_usage(&self) -> Option<Broken> {
        let exceeds = |budget: &Budget<'_>| {
            let exceeding =
                budget.ledger().into_iter().find(|(dimension, spent)| *spent > budget.used(dimension));
            exceeding.map(|(dimension, spent)| (spent, budget.used(&dimension), dimension))
        };
        let (spent, used, dimension) = exceeds(&self.after)?;
        if exceeds(&self.before).is_some() {
            return None;
        }
        Broken::new(LEDGER_OVER_USAGE, format!("the ledger has {spent} of {dimension}, and {used} are used"))
    }

    fn reset_index(&self) -> Option<Broken> {
        let is_wrong = |budget: &Budget<'_>| budget.next_reset_at() != budget.reset_indexed_at();
        if !is_wrong(&self.after) || is_wrong(&self.before) {
            return None;
        }
        let (due, indexed) = (self.after.next_reset_at(), self.after.reset_indexed_at());
        Broken::new(
            RESET_INDEX,
            format!("a budget is to be reset at {due:?}, and the index says {indexed:?}"),
        )
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases};

    /// A budget of which 100 may be used, and 50 without a word.
    fn budget() -> Story {
        creates(BUDGET)
    }

    const BUDGET: &str = "HSET :budget budget_id b1 scope_type x scope_id x enforcement_mode x on_hard_limit x on_soft_limit x \
         reset_interval_ms 0; HSET :budget:limits hard:t 100 soft:t 50";

    fn creates(commands: &str) -> Story {
        Story::new().step(
            0,
            "ff_create_budget :budget :budget:limits | b1 x x x x x 0 @0 1 t 100 50",
            "OK",
            commands,
        )
    }

    const KEYS: &str = ":budget:usage :budget:limits :budget";

    fn reports(story: Story, delta: u32, answer: &str, commands: &str) -> Story {
        let call = format!("ff_report_usage_and_check {KEYS} | 1 t {delta} @10 -");
        story.step(10, &call, answer, commands)
    }

    fn named(story: Story, at: i64, answer: &str, commands: &str) -> Story {
        let call = format!("ff_report_usage_and_check {KEYS} | 1 t 7 @{at} r1");
        story.step(at, &call, answer, commands)
    }

    const REMEMBER: &str = "HINCRBY :budget:usage t 7; SET r1 1 PX 86400000";

    fn spends(story: Story, commands: &str) -> Story {
        let call = format!("ff_record_spend {KEYS} | 1 t 7 @10 - e1");
        story.step(10, &call, "OK", commands)
    }

    const SPEND: &str =
        "HINCRBY :budget:usage t 7; HINCRBY :budget:by_exec:WHO t 7; SADD :budget:by_exec:index WHO";

    fn spent() -> Story {
        let id = "{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8";
        spends(budget(), &SPEND.replace("WHO", id))
    }

    fn releases(commands: &str) -> Story {
        let id = "{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8";
        spent().step(20, "ff_release_budget :budget:usage | b1 e1", "OK", &commands.replace("WHO", id))
    }

    const RELEASE: &str = "HSET :budget:usage t 0; DEL :budget:by_exec:WHO; SREM :budget:by_exec:index WHO";

    fn due(at: i64) -> Story {
        let commands = format!("HSET :budget next_reset_at @{at}; ZADD :resets @{at} b1");
        budget().step(5, "ff_create_budget :budget | b1 x x x x x 90 @5 0", "ALREADY_SATISFIED", &commands)
    }

    /// As [`due`], every 100 ms.
    fn due_often(at: i64) -> Story {
        due(at).plain(6, "HSET :budget reset_interval_ms 100")
    }

    fn resets(commands: &str) -> Story {
        budget().step(30, "ff_reset_budget :budget | b1 @30", "OK", commands)
    }

    cases! {
        a_report_that_is_counted_by_half: "budget/ff_report_usage_and_check/OK/miscounted",
            reports(budget(), 8, "OK", "HINCRBY :budget:usage t 4"),
            alone reports(budget(), 8, "OK", "HINCRBY :budget:usage t 8");
        a_report_over_the_hard_limit: "budget/ff_report_usage_and_check/SOFT_BREACH/over-hard",
            reports(budget(), 101, "SOFT_BREACH t 101 50", "HINCRBY :budget:usage t 101"),
            alone reports(budget(), 100, "SOFT_BREACH t 100 50", "HINCRBY :budget:usage t 100");
        a_dimension_that_is_named_twice: "budget/ff_report_usage_and_check/SOFT_BREACH/over-hard-named-twice",
            budget().step(10, &format!("ff_report_usage_and_check {KEYS} | 2 t t 60 60 @10 -"), "SOFT_BREACH", "HINCRBY :budget:usage t 120"),
            alone budget().step(10, &format!("ff_report_usage_and_check {KEYS} | 2 t t 60 40 @10 -"), "SOFT_BREACH", "HINCRBY :budget:usage t 100");
        a_refusal_at_the_limit: "budget/ff_report_usage_and_check/HARD_BREACH/refused-within-limit",
            reports(budget(), 100, "HARD_BREACH t 0 100", ""),
            alone reports(budget(), 101, "HARD_BREACH t 0 100", "");
        a_soft_limit_of_which_nobody_is_told: "budget/ff_report_usage_and_check/OK/soft-limit",
            reports(budget(), 51, "OK", "HINCRBY :budget:usage t 51"),
            alone reports(budget(), 50, "OK", "HINCRBY :budget:usage t 50");
        a_report_that_is_counted_twice: "budget/ff_report_usage_and_check/OK/counted-twice",
            named(named(budget(), 10, "OK", REMEMBER), 20, "OK", REMEMBER),
            alone named(named(budget(), 10, "OK", REMEMBER), 86_400_011, "OK", REMEMBER);
        a_report_that_is_remembered_in_seconds: "budget/ff_report_usage_and_check/OK/not-remembered",
            named(budget(), 10, "OK", &REMEMBER.replace("86400000", "86400")),
            alone named(named(budget(), 10, "OK", REMEMBER), 20, "ALREADY_APPLIED", "");
        a_first_report_that_counts_as_a_second: "budget/ff_report_usage_and_check/ALREADY_APPLIED/never-counted",
            named(budget(), 10, "ALREADY_APPLIED", ""),
            alone named(named(budget(), 10, "OK", REMEMBER), 86_400_010, "ALREADY_APPLIED", "");
        what_an_execution_spent_is_nowhere: "budget/ff_record_spend/OK/ledger",
            spends(budget(), "HINCRBY :budget:usage t 7"),
            alone spent();
        a_release_that_keeps_the_ledger: "budget/ff_release_budget/OK/ledger",
            releases("HSET :budget:usage t 0; HSET :budget:by_exec:WHO t 0"),
            alone releases(RELEASE);
        a_reset_that_keeps_the_ledger: "budget/ff_reset_budget/OK/ledger-over-usage",
            spent().step(30, "ff_reset_budget :budget | b1 @30", "OK", "HSET :budget:usage t 0"),
            alone releases(RELEASE).step(30, "ff_reset_budget :budget | b1 @30", "OK", "HSET :budget:usage t 0");
        a_second_scanner_that_resets_what_was_reset: "budget/ff_reset_budget/OK/reset-early",
            due(100).scans(99, "ff_reset_budget :budget | b1 @99", "OK 0", "HSET :budget next_reset_at 0; ZREM :resets b1"),
            alone due(100).scans(100, "ff_reset_budget :budget | b1 @100", "OK 0", "HSET :budget next_reset_at 0; ZREM :resets b1");
        a_reset_that_is_not_indexed: "budget/ff_reset_budget/OK/reset-index",
            due_often(100).scans(100, "ff_reset_budget :budget | b1 @100", "OK", "HSET :budget next_reset_at @200"),
            alone due_often(100).scans(100, "ff_reset_budget :budget | b1 @100", "OK", "HSET :budget next_reset_at @200; ZADD :resets @200 b1");
        a_reset_of_what_has_no_period: "budget/ff_reset_budget/OK/reset-time",
            resets("HSET :budget next_reset_at @30; ZADD :resets @30 b1"),
            alone resets("HSET :budget last_reset_at @30");
        a_budget_of_another_scope: "budget/ff_create_budget/OK/not-as-sent",
            creates(&BUDGET.replace("scope_type x", "scope_type y")),
            alone creates(BUDGET);
        a_budget_with_another_limit: "budget/ff_create_budget/OK/not-as-sent",
            creates(&BUDGET.replace("soft:t 50", "soft:t 51")),
            alone creates(BUDGET);
        a_budget_that_was_reported_to_before_it_was_there: "budget/ff_create_budget/ALREADY_SATISFIED/no-limits",
            reports(Story::new(), 1, "OK", "HINCRBY :budget:usage t 1; HSET :budget last_updated_at 1").step(20, "ff_create_budget :budget | b1 x x x x x 0 @20 1 t 100 50", "ALREADY_SATISFIED", ""),
            alone budget().step(20, "ff_create_budget :budget | b1 x x x x x 0 @20 1 t 100 50", "ALREADY_SATISFIED", "");
    }
}
