//! The submitter creates the plan's executions, and asks again until it knows that they exist.

use super::{Actor, Input, Outbox};
use crate::{
    plan::Execution,
    protocol::{CreateExecution, Registered, policy_json},
    types::{ExecutionId, Function, LaneId, Millis, Namespace, TimestampMs},
};

/// How long it waits before it asks again after a lost reply. The id stays the same, so nothing is created twice.
const AGAIN_MS: u64 = 250;

/// Creates executions.
#[derive(Clone, Debug)]
pub struct Submitter {
    executions: Vec<(ExecutionId, Execution)>,
    /// Whether the library has anything that ends a delay.
    delays: bool,
}

/// What the submitter goes on with: an execution, by its place in the plan.
pub type Continuation = usize;

impl Submitter {
    /// Submits these, each at its time; a library that promotes nothing is asked for no delay.
    pub fn new(executions: Vec<(ExecutionId, Execution)>, functions: &Registered) -> Self {
        Self { executions, delays: functions.has(&Function::PromoteDelayed) }
    }
}

impl Actor for Submitter {
    type Continuation = Continuation;

    fn step(&mut self, now: TimestampMs, input: Input<Continuation>, out: &mut Outbox<Continuation>) {
        match input {
            Input::Started => {
                for (place, (_, execution)) in self.executions.iter().enumerate() {
                    out.wake(execution.at_ms, place);
                }
            }
            Input::Due(place) => {
                if let Some((id, execution)) = self.executions.get(place) {
                    let delay_ms = execution.delay_ms.filter(|_| self.delays);
                    out.call(creation(id, execution, delay_ms, now), |_| place);
                }
            }
            Input::Answered { continuation, answer: Err(_) } => out.wake(AGAIN_MS, continuation),
            Input::Answered { .. } | Input::Received { .. } => {}
        }
    }
}

fn creation(
    id: &ExecutionId,
    execution: &Execution,
    delay_ms: Option<u64>,
    now: TimestampMs,
) -> CreateExecution {
    CreateExecution {
        execution_id: id.clone(),
        namespace: Namespace::new("sim"),
        lane_id: LaneId::new(&execution.lane),
        execution_kind: "task".to_owned(),
        priority: execution.priority,
        creator_identity: "submitter".to_owned(),
        policy_json: policy_json(execution.capabilities.iter().map(String::as_str)),
        // What the worker is to do travels with the execution, as work does.
        payload: serde_json::to_vec(execution).expect("a plan is plain data"),
        delay_until: delay_ms.map(|ms| TimestampMs(now.0.saturating_add_unsigned(ms))),
        idempotency_key: None,
        dedup_ttl: Millis(0),
        tags: Default::default(),
        execution_deadline_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::support::{Stage, argv, id, ok, refusal, words},
        *,
    };
    use crate::types::ExecutionName;

    const PROMOTES: [Function; 1] = [Function::PromoteDelayed];

    fn execution(n: usize, at_ms: u64, delay_ms: Option<u64>) -> Execution {
        Execution {
            name: ExecutionName::nth(n),
            at_ms,
            lane: "gold".to_owned(),
            priority: 7,
            delay_ms,
            capabilities: vec!["gpu".to_owned()],
            max_retries: 0,
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
        assert_eq!(started.wakes(), [(30, 0), (10, 1)]);
        assert!(started.calls().is_empty());
        let (second, _) = submitter.due(1).call_of("ff_create_execution");
        assert_eq!(argv(&second)[0], id(1, 2).to_string());
    }

    #[test]
    fn what_the_plan_says_of_an_execution_is_what_is_submitted() {
        let (request, _) = submitter(PROMOTES).due(0).call();
        let argv = argv(&request);
        assert_eq!((argv[2].as_str(), argv[4].as_str()), ("gold", "7"), "lane and priority");
        assert!(argv[6].contains("gpu"), "the policy: {}", argv[6]);
        let payload: Execution = serde_json::from_str(&argv[7]).unwrap();
        assert_eq!(payload, execution(1, 30, None), "the work travels with it");
    }

    #[test]
    fn a_creation_whose_reply_is_lost_is_sent_again_with_the_same_id() {
        let mut submitter = submitter(PROMOTES);
        let (first, continuation) = submitter.due(0).call();
        let lost = submitter.lose(continuation);
        assert!(lost.calls().is_empty(), "not at once");
        assert_eq!(lost.wakes(), [(AGAIN_MS, 0)]);
        assert_eq!(words(&submitter.due(0).call().0), words(&first));
        // However often.
        assert_eq!(submitter.lose(0).wakes(), [(AGAIN_MS, 0)]);
    }

    #[test]
    fn any_answer_ends_it() {
        for reply in [ok(&[]), refusal("execution_already_exists")] {
            assert!(submitter(PROMOTES).answer(0, reply).is_empty());
        }
    }

    #[test]
    fn a_delay_counts_by_the_submitters_clock_from_when_it_is_sent() {
        let mut submitter = submitter(PROMOTES);
        let delay_until = |submitter: &mut Stage<Submitter>| argv(&submitter.due(1).call().0)[8].clone();
        assert_eq!(delay_until(&mut submitter), (submitter.now.0 + 500).to_string());
        submitter.now.0 += 40;
        assert_eq!(delay_until(&mut submitter), (submitter.now.0 + 500).to_string());
        assert_eq!(argv(&submitter.due(0).call().0)[8], "", "none where the plan has none");
    }

    #[test]
    fn a_library_that_promotes_nothing_is_asked_for_no_delay() {
        assert_eq!(argv(&submitter([]).due(1).call().0)[8], "");
    }
}
