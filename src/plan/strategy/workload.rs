//! What the families of workload add to executions, workers and scanners: terms, endings, chores, scans, limits, the
//! registry. What operators do is in `deeds`.
//!
//! Times are short, so that what they are about happens within a run: FlowFabric's own are longer.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{Families, Family};
use crate::{
    plan::{
        Budget, Chore, Doing, Ending, Frame, Limit, Once, Plan, Quota, Registry, Retry, Suspend, Terms,
        Until, Work,
    },
    protocol::TimeoutBehavior,
    types::Label,
};

/// The names of what executions are charged to.
const BUDGETS: [&str; 2] = ["b1", "b2"];
const QUOTAS: [&str; 2] = ["q1", "q2"];
/// What budgets count.
const DIMENSIONS: [&str; 2] = ["tokens", "calls"];

/// Policies that no careful caller writes, and that the library takes nevertheless.
const ODD_POLICIES: [&str; 7] = [
    "{}",
    "[]",
    "no policy",
    r#"{"max_retries":2}"#,
    r#"{"max_retries":"1","backoff":{"type":"fixed","delay_ms":"50"}}"#,
    r#"{"max_retries":1,"backoff":{"type":"linear","delay_ms":50}}"#,
    r#"{"max_retries":1,"backoff":{"type":"exponential"}}"#,
];

/// Policies that only somebody hostile writes: by the first four no failure can be judged.
const HOSTILE_POLICIES: [&str; 6] = [
    r#"{"max_retries":"many"}"#,
    r#"{"max_retries":null}"#,
    r#"{"max_retries":1,"backoff":null}"#,
    r#"{"max_retries":1,"backoff":7}"#,
    r#"{"max_retries":1,"backoff":{"type":"fixed","delay_ms":-500}}"#,
    r#"{"max_retries":1,"backoff":{"type":"fixed","delay_ms":0.5}}"#,
];

/// What a family adds to a plan.
type Add = fn(Plan) -> BoxedStrategy<Plan>;

/// The plan with what its families add. Each draws after those before it, so that none moves the dice of another.
pub(super) fn workload(plan: Plan, families: &Families) -> BoxedStrategy<Plan> {
    let adds: [(Family, Add); 7] = [
        (Family::Timing, timing),
        (Family::Suspension, suspension),
        (Family::Flows, flows),
        (Family::Admission, admission),
        (Family::Streams, streams),
        (Family::Registry, registry),
        (Family::Hostile, hostile),
    ];
    let adds = adds.into_iter().filter(|(family, _)| families.has(*family));
    let all = adds.fold(Just(plan).boxed(), |plans, (_, add)| plans.prop_flat_map(add).boxed());
    let twice = prop::bool::weighted(0.3);
    (all, twice).prop_map(|(plan, twice)| Plan { scanners: if twice { 2 } else { 1 }, ..plan }).boxed()
}

/// Changes the executions of a plan, each by what is drawn for it.
fn each<T: std::fmt::Debug + Clone + 'static>(
    plan: Plan,
    drawn: impl Strategy<Value = T> + 'static,
    change: fn(&mut crate::plan::Execution, T),
) -> BoxedStrategy<Plan> {
    vec(drawn, plan.executions.len())
        .prop_map(move |drawn| {
            let mut plan = plan.clone();
            for (execution, drawn) in plan.executions.iter_mut().zip(drawn) {
                change(execution, drawn);
            }
            plan
        })
        .boxed()
}

fn timing(mut plan: Plan) -> BoxedStrategy<Plan> {
    let scans = &mut plan.settings.scans;
    (scans.attempt_timeout_ms, scans.deadline_ms) = (Some(700), Some(1_100));
    let priority = prop_oneof![
        6 => Just(None),
        1 => select(vec![-1, -9_000, 9_001, 20_000, i32::MIN, i32::MAX]).prop_map(Some),
    ];
    each(plan, (terms(), priority), |execution, (terms, priority)| {
        execution.terms = terms;
        execution.priority = priority.unwrap_or(execution.priority);
    })
}

fn terms() -> impl Strategy<Value = Terms> {
    let once = (select(vec!["k1", "k2", "k3"]), prop_oneof![Just(0), 1..=50u64, 1_000..=60_000u64]);
    (
        option::weighted(0.15, prop_oneof![1 => Just(0), 9 => 100..=6_000u64]),
        option::weighted(0.2, prop_oneof![1 => Just(0), 9 => 20..=2_000u64]),
        option::weighted(0.4, retry()),
        option::weighted(0.25, 0..=2u32),
        option::weighted(0.2, 0..=2u32),
        option::weighted(0.15, once),
    )
        .prop_map(|(deadline_ms, attempt_timeout_ms, retry, max_reclaims, max_replays, once)| Terms {
            deadline_ms,
            attempt_timeout_ms,
            retry,
            max_reclaims,
            max_replays,
            once: once.map(|(key, ttl_ms)| Once { key: key.to_owned(), ttl_ms }),
            ..Terms::default()
        })
}

fn retry() -> impl Strategy<Value = Retry> {
    let growing = (0..=3u32, 10..=400u64, 100..=1_000u64, select(vec![100u32, 150, 200, 300]));
    prop_oneof![
        1 => Just(Retry::Never),
        3 => (0..=3u32, 0..=800u64).prop_map(|(retries, delay_ms)| Retry::Fixed { retries, delay_ms }),
        3 => growing.prop_map(|(retries, first_ms, most_ms, percent)| {
            Retry::Exponential { retries, first_ms, most_ms, percent }
        }),
        1 => select(&ODD_POLICIES[..]).prop_map(|text| Retry::Text(text.to_owned())),
    ]
}

/// The work begins with something that gives the execution back for a while, and then is as it was.
fn first(execution: &mut crate::plan::Execution, ends: Ending, meanwhile: Vec<Chore>) {
    let takes_ms = execution.work.first().map_or(1, |work| work.takes_ms);
    execution.work.insert(0, Work { takes_ms, ends, meanwhile });
}

fn suspension(mut plan: Plan) -> BoxedStrategy<Plan> {
    let scans = &mut plan.settings.scans;
    (scans.suspension_ms, scans.waitpoint_ms) = (Some(600), Some(900));
    let until = prop_oneof![
        3 => Just(Until::Any),
        4 => Just(Until::Go),
        2 => Just(Until::Both),
        2 => Just(Until::AllOf),
        2 => (1..=2u8).prop_map(Until::Count),
        1 => Just(Until::Nothing),
    ];
    // One that escalates waits for an operator, and so may one without a timeout: few are enough.
    let then = prop_oneof![
        3 => Just(TimeoutBehavior::Fail),
        2 => Just(TimeoutBehavior::Cancel),
        2 => Just(TimeoutBehavior::Expire),
        4 => Just(TimeoutBehavior::AutoResume),
        1 => Just(TimeoutBehavior::Escalate),
    ];
    let timeout_ms = option::weighted(0.9, prop_oneof![1 => Just(0), 9 => 100..=4_000u64]);
    let opened = option::weighted(0.3, (0..=300u64, 50..=3_000u64, prop::bool::weighted(0.1)));
    let extra = prop_oneof![1 => Just(0u8), 1 => 1..=2u8];
    let once_ms = option::weighted(0.8, prop_oneof![1 => Just(0), 4 => 100..=8_000u64]);
    let wait = (until, timeout_ms, then, opened, extra, once_ms);
    // One in ten waits twice, one after the other.
    let waits = prop_oneof![26 => Just(0usize), 10 => Just(1), 4 => Just(2)];
    each(plan, waits.prop_flat_map(move |waits| vec(wait.clone(), waits)), |execution, waits| {
        for (until, timeout_ms, then, opened, extra, once_ms) in waits {
            // Only conditions of several parts wait at several waitpoints (RFC-014). Where the first is a pending one the
            // library refuses more, and a caller tries it now and then.
            let is_composite = matches!(until, Until::AllOf | Until::Count(_));
            let extra = match (is_composite, opened) {
                (false, _) => 0,
                (true, None) => extra,
                (true, Some(_)) => extra / 2,
            };
            let suspend = Suspend { until, timeout_ms, then, pending: opened.is_some(), extra, once_ms };
            let mut chores = Vec::new();
            if let Some((after_ms, lives_ms, closes)) = opened {
                chores.push(Chore { after_ms, does: Doing::Await(lives_ms) });
                if closes {
                    chores.push(Chore { after_ms: after_ms + 20, does: Doing::NoLongerAwait });
                }
            }
            first(execution, Ending::Suspend(suspend), chores);
        }
    })
}

fn flows(mut plan: Plan) -> BoxedStrategy<Plan> {
    let scans = &mut plan.settings.scans;
    (scans.dependency_ms, scans.cancel_ms, scans.sibling_ms) = (Some(800), Some(1_300), Some(500));
    each(plan, prop::bool::weighted(0.15), |execution, waits| {
        if waits {
            first(execution, Ending::WaitChildren, Vec::new());
        }
    })
}

fn admission(mut plan: Plan) -> BoxedStrategy<Plan> {
    let scans = &mut plan.settings.scans;
    (scans.admission_ms, scans.quota_ms, scans.budget_ms) = (Some(900), Some(2_000), Some(1_700));
    let usage = (select(&DIMENSIONS[..]), 0..=6u64, any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
    let charge = (
        option::weighted(0.4, select(&BUDGETS[..])),
        option::weighted(0.4, select(&QUOTAS[..])),
        option::weighted(0.6, usage),
    );
    let limited =
        (vec(budget(), BUDGETS.len()), vec(quota(), QUOTAS.len())).prop_map(move |(budgets, quotas)| {
            let mut plan = plan.clone();
            plan.budgets =
                BUDGETS.iter().zip(budgets).map(|(name, it)| Budget { name: (*name).into(), ..it }).collect();
            plan.quotas =
                QUOTAS.iter().zip(quotas).map(|(name, it)| Quota { name: (*name).into(), ..it }).collect();
            plan
        });
    limited
        .prop_flat_map(move |plan| {
            each(plan, charge.clone(), |execution, (budget, quota, usage)| {
                execution.terms.budgets = budget.map(Label::from).into_iter().collect();
                execution.terms.quota = quota.map(Label::from);
                let (Some(budget), Some((dimension, amount, by_execution, once, gives_back))) =
                    (budget, usage)
                else {
                    return;
                };
                let budget = Label::from(budget);
                let does = Doing::Use {
                    budget: budget.clone(),
                    dimension: dimension.to_owned(),
                    amount,
                    by_execution,
                    once,
                };
                for work in &mut execution.work {
                    work.meanwhile.push(Chore { after_ms: work.takes_ms / 2, does: does.clone() });
                    if gives_back {
                        let does = Doing::GiveBack(budget.clone());
                        work.meanwhile.push(Chore { after_ms: work.takes_ms / 2 + 1, does });
                    }
                }
            })
        })
        .boxed()
}

fn budget() -> impl Strategy<Value = Budget> {
    let limit = (prop_oneof![1 => Just(0), 6 => 3..=40u64], prop_oneof![Just(0), 1..=20u64])
        .prop_map(|(hard, soft)| Limit { hard, soft });
    let limits = prop::collection::btree_map(select(&DIMENSIONS[..]).prop_map(str::to_owned), limit, 1..=2);
    let reset_every_ms = prop_oneof![1 => Just(0), 3 => 500..=4_000u64];
    (limits, reset_every_ms).prop_map(|(limits, reset_every_ms)| Budget {
        name: BUDGETS[0].into(),
        limits,
        reset_every_ms,
    })
}

fn quota() -> impl Strategy<Value = Quota> {
    let window_seconds = prop_oneof![1 => Just(0), 8 => 1..=3u64];
    let requests = prop_oneof![1 => Just(0), 2 => 2..=8u64];
    let at_once = prop_oneof![1 => Just(0), 2 => 1..=4u64];
    (window_seconds, requests, at_once).prop_map(|(window_seconds, requests, at_once)| Quota {
        name: QUOTAS[0].into(),
        window_seconds,
        // A window of no time at all is a minute to FlowFabric's scheduler: longer than a run.
        requests: if window_seconds == 0 { 0 } else { requests },
        at_once,
    })
}

fn streams(plan: Plan) -> BoxedStrategy<Plan> {
    let frame = prop_oneof![
        4 => select(vec!["a", "", "{\"not\":\"a patch\"}"]).prop_map(|text| Frame::Durable(text.to_owned())),
        3 => select(vec!["{\"a\":1}", "{\"a\":null,\"b\":{\"c\":[1]}}", "[1]", "no patch"])
            .prop_map(|patch| Frame::Summary(patch.to_owned())),
        2 => prop_oneof![Just(0), 1..=1_000u64].prop_map(|ttl_ms| Frame::BestEffort { ttl_ms }),
    ];
    let tag = (select(vec!["team.name", "app.sub.field", "no-dot"]), select(vec!["a", ""]));
    let does = prop_oneof![
        5 => frame.prop_map(Doing::Append),
        2 => (0..=120u8).prop_map(Doing::Progress),
        1 => tag.prop_map(|(key, value)| Doing::Tag { key: key.to_owned(), value: value.to_owned() }),
        1 => select(vec![0u32, 1, 100]).prop_map(Doing::ReadStream),
        1 => Just(Doing::ReadSummary),
    ];
    let chore = (0..=1_500u64, does).prop_map(|(after_ms, does)| Chore { after_ms, does });
    let labelled = prop::bool::weighted(0.3);
    each(plan, (vec(chore, 0..=4), labelled), |execution, (chores, labelled)| {
        if labelled {
            execution.terms.tags.insert("team.name".to_owned(), "a".to_owned());
        }
        for work in &mut execution.work {
            // Most of what is later than the end of the work is never done: some of it is brought forward.
            let sooner =
                |chore: &Chore| Chore { after_ms: chore.after_ms.min(work.takes_ms), ..chore.clone() };
            work.meanwhile.extend(chores.iter().map(sooner));
        }
    })
}

fn registry(plan: Plan) -> BoxedStrategy<Plan> {
    let beat = prop_oneof![4 => Just(3u64), 1 => Just(0)];
    let same = vec(prop::bool::weighted(0.4), plan.workers.len());
    (300..=3_000u64, beat, 500..=2_000u64, same)
        .prop_map(move |(ttl_ms, part, sweep_ms, same)| {
            let mut plan = plan.clone();
            // One in five beats too late, and is away for a while each time.
            let heartbeat_ms = ttl_ms.checked_div(part).unwrap_or(ttl_ms + 200);
            plan.settings.registry = Some(Registry { ttl_ms, heartbeat_ms, sweep_ms });
            for (worker, same) in plan.workers.iter_mut().zip(same) {
                worker.same_instance = same;
            }
            plan
        })
        .boxed()
}

fn hostile(plan: Plan) -> BoxedStrategy<Plan> {
    let policy = option::weighted(0.1, select(&HOSTILE_POLICIES[..]));
    each(plan, policy, |execution, policy| {
        if let Some(policy) = policy {
            execution.terms.retry = Some(Retry::Text(policy.to_owned()));
        }
    })
}
