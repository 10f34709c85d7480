//! The submitter creates the plan's executions, and asks again until it knows that they exist.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
};

use ff_core::types::{BudgetId, QuotaPolicyId};
use serde_json::json;

use super::{Actor, Input, Outbox};
use crate::{
    plan::{Budget, Execution, Plan, Quota},
    protocol::{
        Command, CreateBudget, CreateExecution, CreateExecutionOutcome, CreateQuotaPolicy, Limits,
        Registered, RotateWaitpointSecret, attach, policy_json,
    },
    types::{ExecutionId, Function, Label, LaneId, Millis, Namespace, TimestampMs},
};

/// How long it waits before it asks again after a lost reply. The id stays the same, so nothing is created twice.
const AGAIN_MS: u64 = 250;
/// What the first secret of waitpoint tokens is called.
const FIRST_SECRET: &str = "k0";

/// Creates executions, and what they are charged to.
#[derive(Clone, Debug)]
pub struct Submitter {
    executions: Vec<(ExecutionId, Execution)>,
    /// What exists before anything is submitted.
    set_up: Vec<SetUp>,
    budgets: BTreeMap<Label, BudgetId>,
    quotas: BTreeMap<Label, QuotaPolicyId>,
    /// Whether the library has anything that ends a delay.
    delays: bool,
}

/// Something that is created when the submitter starts.
#[derive(Clone, Debug)]
enum SetUp {
    Budget(Budget, BudgetId),
    Quota(Quota, QuotaPolicyId),
    /// The first secret of a partition's waitpoint tokens, as FlowFabric's server makes one when it boots.
    Secret(u16, String),
}

/// What the submitter goes on with.
#[derive(Clone, Debug, Hash)]
pub enum Continuation {
    /// Something to be created before, by its place.
    SetUp(usize),
    /// An execution to be submitted, by its place in the plan.
    Submit(usize),
    /// What came of that.
    Submitted(usize, Box<CreateExecution>),
    /// What the execution is charged to is to be noted.
    Charge(usize),
}

impl Submitter {
    /// Submits these, each at its time; a library that promotes nothing is asked for no delay.
    pub fn new(executions: Vec<(ExecutionId, Execution)>, functions: &Registered) -> Self {
        let delays = functions.has(&Function::PromoteDelayed);
        let (budgets, quotas) = (BTreeMap::new(), BTreeMap::new());
        Self { executions, set_up: Vec::new(), budgets, quotas, delays }
    }

    /// And creates what a plan says has to be there before.
    pub fn after_setting_up(mut self, plan: &Plan) -> Self {
        let charged = || plan.executions.iter().map(|execution| &execution.terms);
        let budgets = charged().flat_map(|terms| &terms.budgets);
        self.budgets = budgets.map(|name| (name.clone(), plan.budget_id(name))).collect();
        let quotas = charged().filter_map(|terms| terms.quota.as_ref());
        self.quotas = quotas.map(|name| (name.clone(), plan.quota_id(name))).collect();
        let budgets = plan.budgets.iter().map(|it| SetUp::Budget(it.clone(), plan.budget_id(&it.name)));
        let quotas = plan.quotas.iter().map(|it| SetUp::Quota(it.clone(), plan.quota_id(&it.name)));
        let partitions = if plan.suspends() { plan.settings.partitions } else { 0 };
        let secrets = (0..partitions).map(|at| SetUp::Secret(at, plan.secret_hex(&FIRST_SECRET.into())));
        self.set_up = budgets.chain(quotas).chain(secrets).collect();
        self
    }

    fn sets_up(&self, now: TimestampMs, place: usize, out: &mut Outbox<Continuation>) {
        let request = match self.set_up.get(place) {
            Some(SetUp::Budget(budget, id)) => create_budget(budget, id, now).request(),
            Some(SetUp::Quota(quota, id)) => create_quota(quota, id, now).request(),
            Some(SetUp::Secret(partition, secret_hex)) => RotateWaitpointSecret {
                partition: *partition,
                kid: FIRST_SECRET.to_owned(),
                secret_hex: secret_hex.clone(),
                grace: Millis(0),
            }
            .request(),
            None => return,
        };
        out.request(request, Continuation::SetUp(place));
    }

    /// Notes what the execution is charged to. FlowFabric's schedulers read it; nothing of the library writes it.
    fn charge(&self, place: usize, out: &mut Outbox<Continuation>) {
        let Some((id, execution)) = self.executions.get(place) else { return };
        let terms = &execution.terms;
        let budgets: Vec<_> =
            terms.budgets.iter().filter_map(|name| self.budgets.get(name).cloned()).collect();
        let quota = terms.quota.as_ref().and_then(|name| self.quotas.get(name));
        out.call(attach(id, &budgets, quota), |_| Continuation::Charge(place));
    }
}

/// It knows from the start what it does, and remembers nothing.
impl Hash for Submitter {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Actor for Submitter {
    type Continuation = Continuation;

    fn step(&mut self, now: TimestampMs, input: Input<Continuation>, out: &mut Outbox<Continuation>) {
        match input {
            Input::Started => {
                for place in 0..self.set_up.len() {
                    self.sets_up(now, place, out);
                }
                for (place, (_, execution)) in self.executions.iter().enumerate() {
                    out.wake(execution.at_ms, Continuation::Submit(place));
                }
            }
            Input::Due(Continuation::SetUp(place)) => self.sets_up(now, place, out),
            Input::Due(Continuation::Submit(place)) => {
                if let Some((id, execution)) = self.executions.get(place) {
                    let delay_ms = execution.delay_ms.filter(|_| self.delays);
                    out.call(creation(id, execution, delay_ms, now), |call| {
                        Continuation::Submitted(place, Box::new(call))
                    });
                }
            }
            Input::Due(Continuation::Charge(place)) => self.charge(place, out),
            Input::Answered { continuation: Continuation::Submitted(place, call), answer: Ok(reply) } => {
                let is_charged = self.executions.get(place).is_some_and(|(_, it)| it.terms.is_charged());
                // What was there before was charged before, unless nobody came so far: it is done again.
                let exists = match call.parse(&reply) {
                    Ok(CreateExecutionOutcome::Created { .. }) => true,
                    Ok(CreateExecutionOutcome::Duplicate { execution_id }) => {
                        execution_id == call.execution_id
                    }
                    Err(_) => false,
                };
                if is_charged && exists {
                    self.charge(place, out);
                }
            }
            Input::Answered { continuation: Continuation::Submitted(place, _), answer: Err(_) } => {
                out.wake(AGAIN_MS, Continuation::Submit(place));
            }
            Input::Answered { continuation, answer: Err(_) } => out.wake(AGAIN_MS, continuation),
            Input::Due(_) | Input::Answered { .. } | Input::Received { .. } => {}
        }
    }
}

fn create_budget(budget: &Budget, id: &BudgetId, now: TimestampMs) -> CreateBudget {
    let limits = budget
        .limits
        .iter()
        .map(|(dimension, limit)| (dimension.clone(), Limits { hard: limit.hard, soft: limit.soft }));
    CreateBudget {
        budget_id: id.clone(),
        scope_type: "lane".to_owned(),
        scope_id: budget.name.to_string(),
        enforcement_mode: "strict".to_owned(),
        on_hard_limit: "fail".to_owned(),
        on_soft_limit: "warn".to_owned(),
        reset_interval: Millis(budget.reset_every_ms),
        now,
        limits: limits.collect(),
    }
}

fn create_quota(quota: &Quota, id: &QuotaPolicyId, now: TimestampMs) -> CreateQuotaPolicy {
    CreateQuotaPolicy {
        quota_policy_id: id.clone(),
        window_seconds: quota.window_seconds,
        max_requests_per_window: quota.requests,
        max_concurrent: quota.at_once,
        now,
    }
}

fn creation(
    id: &ExecutionId,
    execution: &Execution,
    delay_ms: Option<u64>,
    now: TimestampMs,
) -> CreateExecution {
    let terms = &execution.terms;
    let later = |ms: u64| TimestampMs(now.0.saturating_add_unsigned(ms));
    CreateExecution {
        execution_id: id.clone(),
        namespace: Namespace::new("sim"),
        lane_id: LaneId::new(&execution.lane),
        execution_kind: "task".to_owned(),
        priority: execution.priority,
        creator_identity: "submitter".to_owned(),
        policy_json: policy(execution),
        // What the worker is to do travels with the execution, as work does.
        payload: serde_json::to_vec(execution).expect("a plan is plain data"),
        delay_until: delay_ms.map(later),
        idempotency_key: terms.once.as_ref().map(|once| once.key.clone()),
        dedup_ttl: Millis(terms.once.as_ref().map_or(0, |once| once.ttl_ms)),
        tags: terms.tags.clone(),
        execution_deadline_at: terms.deadline_ms.map(later),
    }
}

/// What FlowFabric keeps as the execution's policy: what it requires of a worker, and those of its terms that belong there.
fn policy(execution: &Execution) -> String {
    let capabilities = execution.capabilities.iter().map(String::as_str);
    let Some(mut policy) = execution.terms.policy() else { return policy_json(capabilities) };
    if !execution.capabilities.is_empty() {
        policy["routing_requirements"] = json!({ "required_capabilities": execution.capabilities });
    }
    policy.to_string()
}

#[cfg(test)]
mod tests {
    use super::{
        super::support::{Stage, argv, id, ok, refusal, words},
        *,
    };
    use crate::{
        plan::{Once, Retry, Terms},
        types::ExecutionName,
    };

    const PROMOTES: [Function; 1] = [Function::PromoteDelayed];

    fn execution(n: usize, at_ms: u64, delay_ms: Option<u64>) -> Execution {
        Execution {
            name: ExecutionName::nth(n),
            at_ms,
            lane: "gold".to_owned(),
            flow: None,
            priority: 7,
            delay_ms,
            capabilities: vec!["gpu".to_owned()],
            max_retries: 0,
            terms: Terms::default(),
            work: Vec::new(),
        }
    }

    fn submitter(functions: impl IntoIterator<Item = Function>) -> Stage<Submitter> {
        let executions = vec![(id(1, 1), execution(1, 30, None)), (id(1, 2), execution(2, 10, Some(500)))];
        Stage::new(Submitter::new(executions, &Registered::from_iter(functions)))
    }

    #[test]
    fn each_execution_is_submitted_at_its_time() {
        let mut submitter = submitter(PROMOTES);
        let started = submitter.start();
        let at: Vec<_> = started.wakes().iter().map(|(at, it)| (*at, format!("{it:?}"))).collect();
        assert_eq!(at, [(30, "Submit(0)".to_owned()), (10, "Submit(1)".to_owned())]);
        assert!(started.calls().is_empty());
        let (second, _) = submitter.due(Continuation::Submit(1)).call_of("ff_create_execution");
        assert_eq!(argv(&second)[0], id(1, 2).to_string());
    }

    #[test]
    fn what_the_plan_says_of_an_execution_is_what_is_submitted() {
        let (request, _) = submitter(PROMOTES).due(Continuation::Submit(0)).call();
        let argv = argv(&request);
        assert_eq!((argv[2].as_str(), argv[4].as_str()), ("gold", "7"), "lane and priority");
        assert!(argv[6].contains("gpu"), "the policy: {}", argv[6]);
        let payload: Execution = serde_json::from_str(&argv[7]).unwrap();
        assert_eq!(payload, execution(1, 30, None), "the work travels with it");
    }

    #[test]
    fn a_creation_whose_reply_is_lost_is_sent_again_with_the_same_id() {
        let mut submitter = submitter(PROMOTES);
        let (first, continuation) = submitter.due(Continuation::Submit(0)).call();
        let lost = submitter.lose(continuation);
        assert!(lost.calls().is_empty(), "not at once");
        let again = |wakes: &[(u64, Continuation)]| matches!(wakes, [(AGAIN_MS, Continuation::Submit(0))]);
        assert!(again(&lost.wakes()));
        assert_eq!(words(&submitter.due(Continuation::Submit(0)).call().0), words(&first));
        // However often.
        let second = submitter.due(Continuation::Submit(0)).call().1;
        assert!(again(&submitter.lose(second).wakes()));
    }

    #[test]
    fn any_answer_ends_it() {
        for reply in [ok(&[]), refusal("execution_already_exists")] {
            let mut submitter = submitter(PROMOTES);
            let submitted = submitter.due(Continuation::Submit(0)).call().1;
            assert!(submitter.answer(submitted, reply).is_empty());
        }
    }

    #[test]
    fn a_delay_counts_by_the_submitters_clock_from_when_it_is_sent() {
        let mut submitter = submitter(PROMOTES);
        let delay_until = |submitter: &mut Stage<Submitter>| {
            argv(&submitter.due(Continuation::Submit(1)).call().0)[8].clone()
        };
        assert_eq!(delay_until(&mut submitter), (submitter.now.0 + 500).to_string());
        submitter.now.0 += 40;
        assert_eq!(delay_until(&mut submitter), (submitter.now.0 + 500).to_string());
        assert_eq!(
            argv(&submitter.due(Continuation::Submit(0)).call().0)[8],
            "",
            "none where the plan has none"
        );
    }

    /// The ARGV of the creation of an execution with these terms.
    fn submitted(terms: Terms) -> Vec<String> {
        let execution = Execution { terms, ..execution(1, 0, None) };
        let mut submitter =
            Stage::new(Submitter::new(vec![(id(1, 1), execution)], &Registered::from_iter(PROMOTES)));
        argv(&submitter.due(Continuation::Submit(0)).call().0)
    }

    #[test]
    fn an_execution_without_terms_asks_for_its_capabilities_and_nothing_else() {
        let argv = submitted(Terms::default());
        assert_eq!(argv[6], r#"{"routing_requirements":{"required_capabilities":["gpu"]}}"#);
        assert_eq!((argv[9].as_str(), argv[10].as_str(), argv[11].as_str()), ("", "{}", ""));
    }

    #[test]
    fn the_terms_of_an_execution_are_its_policy_beside_what_it_requires() {
        let argv = submitted(Terms {
            attempt_timeout_ms: Some(70),
            retry: Some(Retry::Fixed { retries: 2, delay_ms: 5 }),
            max_reclaims: Some(1),
            max_replays: Some(0),
            ..Terms::default()
        });
        let read: ff_core::policy::ExecutionPolicy = serde_json::from_str(&argv[6]).unwrap();
        assert_eq!((read.max_reclaim_count, read.max_replay_count), (1, 0));
        assert_eq!(read.retry_policy.map(|retry| retry.max_retries), Some(2));
        assert_eq!(read.timeout_policy.and_then(|timeouts| timeouts.attempt_timeout_ms), Some(70));
        let required = read.routing_requirements.map(|routing| routing.required_capabilities);
        assert_eq!(required, Some(["gpu".to_owned()].into()));
    }

    #[test]
    fn a_deadline_counts_by_the_submitters_clock_and_a_key_and_tags_go_along() {
        let argv = submitted(Terms {
            deadline_ms: Some(70),
            once: Some(Once { key: "k".to_owned(), ttl_ms: 0 }),
            tags: [("team.name".to_owned(), "a".to_owned())].into(),
            ..Terms::default()
        });
        assert_eq!(argv[11], "1000070");
        assert_eq!((argv[9].as_str(), argv[10].as_str()), ("0", r#"{"team.name":"a"}"#));
    }

    #[test]
    fn a_library_that_promotes_nothing_is_asked_for_no_delay() {
        assert_eq!(argv(&submitter([]).due(Continuation::Submit(1)).call().0)[8], "");
    }
}
