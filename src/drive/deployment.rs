//! A plan as a deployment: named nodes, a clock each, ids for its executions, and the process that runs on a node.
//!
//! Everything here is a function of the plan and a name. So a plan without one of its parts gives all others the same
//! clocks, ids and random numbers.

use std::{collections::BTreeMap, sync::Arc};

use valkey_sim::{
    clock::{Clock, Step},
    engine::UnixMicros,
};

use super::{faults::Hold, process::Process, shell::Shell};
use crate::{
    actor::{Operator, Scanner, Scheduler, Submitter, Worker, WorkerConfig},
    plan::{self, Fault, Plan, ServerFault},
    protocol::{ClaimFunction, Registered},
    trace::Names,
    types::{ExecutionId, ExecutionName, LaneId, Millis, Node, SimTime, WorkerId, WorkerInstanceId},
    view::View,
};

/// A deployment, before anything happens.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The plan.
    pub plan: Arc<Plan>,
    /// What the library registers.
    pub functions: Arc<Registered>,
    /// Which function claims.
    pub claim_function: ClaimFunction,
    /// What the plan calls the executions.
    pub names: Names,
    clocks: BTreeMap<Node, Clock>,
    /// The clock of the service over all failovers.
    service_clock: Clock,
    ids: BTreeMap<ExecutionName, ExecutionId>,
}

impl Deployment {
    /// The deployment of a plan, with a library that registers these functions.
    pub fn new(plan: &Plan, functions: Registered, claim_function: ClaimFunction) -> Self {
        let ids: BTreeMap<_, _> = plan
            .executions
            .iter()
            .map(|execution| (execution.name.clone(), plan.execution_id(&execution.name)))
            .collect();
        Self {
            service_clock: server_clock(plan, usize::MAX),
            names: ids.iter().map(|(name, id)| (id.clone(), name.clone())).collect(),
            clocks: plan.nodes().map(|node| (node, clock(plan, node))).collect(),
            ids,
            plan: Arc::new(plan.clone()),
            functions: Arc::new(functions),
            claim_function,
        }
    }

    /// The clock of a node of the plan.
    ///
    /// # Panics
    /// The plan has no such node.
    pub fn clock(&self, node: Node) -> &Clock {
        &self.clocks[&node]
    }

    /// The clock of the server that serves after so many failovers: it knows nothing of later ones.
    pub fn server_clock(&self, failovers_so_far: usize) -> Clock {
        server_clock(&self.plan, failovers_so_far)
    }

    /// The clock of a node as others see it: of the server, that of whichever serves.
    pub fn clock_over_time(&self, node: Node) -> &Clock {
        match node {
            Node::Valkey => &self.service_clock,
            _ => self.clock(node),
        }
    }

    /// The id of an execution of the plan.
    ///
    /// # Panics
    /// The plan has no such execution.
    pub fn id(&self, name: &ExecutionName) -> &ExecutionId {
        &self.ids[name]
    }

    /// How long a client waits for a reply.
    pub fn request_timeout(&self) -> Millis {
        Millis(self.plan.settings.request_timeout_ms)
    }

    /// The process that runs on a node when it starts for the `life`-th time, counted from 1; none on the server's.
    pub fn process(&self, node: Node, life: u32) -> Option<Process> {
        let plan = &self.plan;
        Some(match node {
            Node::Valkey | Node::FormerValkey => return None,
            Node::Submitter => {
                let executions = plan.executions.iter();
                let executions = executions.map(|it| (self.id(&it.name).clone(), it.clone())).collect();
                let submitter = Submitter::new(executions, &self.functions).after_setting_up(plan);
                Process::Submitter(Shell::new(node, submitter))
            }
            Node::Scheduler(_) => {
                let grant_ttl = Millis(plan.settings.grant_ttl_ms);
                let scheduler = Scheduler::new(plan.settings.partitions, grant_ttl, plan.charges());
                Process::Scheduler(Shell::new(node, scheduler))
            }
            Node::Scanner | Node::SecondScanner => {
                let lanes = plan.lanes().into_iter().map(LaneId::new).collect();
                let scanner = Scanner::new(lanes, plan.settings.clone(), &self.functions);
                Process::Scanner(Shell::new(node, scanner))
            }
            Node::Operator => {
                let operator = Operator::new(Arc::clone(plan), Arc::clone(&self.functions), life);
                Process::Operator(Box::new(Shell::new(node, operator)))
            }
            Node::Worker(_) => Process::Worker(Shell::new(node, Worker::new(self.worker(node, life)?))),
        })
    }

    /// What a worker is told when it starts for the `life`-th time, counted from 1; none for a node that is no worker of
    /// the plan.
    pub fn worker(&self, node: Node, life: u32) -> Option<WorkerConfig> {
        let worker = self.plan.workers.iter().find(|worker| worker.name == node)?;
        let number = node.to_string();
        let number = number.rsplit('-').next().unwrap_or_default();
        let named = if worker.same_instance { 1 } else { life };
        Some(WorkerConfig {
            worker_id: WorkerId::new(&worker.worker_id),
            // `process_of` reads it back.
            instance: WorkerInstanceId::new(format!("{}-{number}.{named}", worker.worker_id)),
            lanes: worker.lanes.iter().map(LaneId::new).collect(),
            capabilities: worker.capabilities.iter().cloned().collect(),
            slots: worker.slots,
            schedulers: self.plan.schedulers.clone(),
            settings: self.plan.settings.clone(),
            functions: Arc::clone(&self.functions),
            claim_function: self.claim_function,
            plan: Arc::clone(&self.plan),
            reads_policies: self.plan.executions.iter().any(|it| it.terms.attempt_timeout_ms.is_some()),
            seed: self.plan.random(&format!("{node} life {life}")).next_u64(),
        })
    }

    /// When the last of the faults and deeds that have a time is over. A plan that says when things arrive is about all of its
    /// time.
    pub fn faults_end(&self) -> SimTime {
        let ends = self.plan.faults.iter().filter_map(Fault::holds).map(|holds| *holds.end());
        let timed = self.plan.deeds.iter().filter(|deed| deed.upon.is_none());
        let deeds = timed.map(|deed| deed.at_ms.saturating_add(deed.takes_ms()));
        let calls = self.plan.calls.iter().map(|call| call.at_ms.saturating_add(1));
        let arrivals = (!self.plan.arrivals.is_empty()).then_some(self.plan.run_for_ms);
        SimTime::from_millis(ends.chain(deeds).chain(calls).chain(arrivals).max().unwrap_or(0))
    }

    /// Until when a hold keeps a request in the network; none where there is no such deadline.
    pub fn held_until(
        &self,
        hold: Hold,
        execution: Option<&ExecutionName>,
        now: SimTime,
        view: &View,
    ) -> Option<SimTime> {
        match hold {
            Hold::By(millis) => Some(now.after(millis.0.saturating_mul(1_000))),
            Hold::Until(deadline, offset_ms) => {
                let stored = view.execution(self.ids.get(execution?)?).deadline(deadline)?;
                let local_ms = stored.0.saturating_add(offset_ms).max(0) as u64;
                Some(self.clock_over_time(Node::Valkey).next_at(now, UnixMicros::from_millis(local_ms)))
            }
        }
    }

    /// Whether every execution of the plan exists and is terminal, but for those that another kept from being created.
    pub fn is_done(&self, view: &View, now: SimTime) -> bool {
        let is_terminal = |name| view.execution(self.id(name)).core().map(|core| core.is_terminal());
        self.plan.executions.iter().all(|execution| {
            is_terminal(&execution.name).unwrap_or_else(|| self.is_duplicate(execution, view, now))
        })
    }

    /// Whether an execution will never be: another exists under its idempotency key, and it has been submitted, with time
    /// to ask again.
    pub(super) fn is_duplicate(&self, execution: &plan::Execution, view: &View, now: SimTime) -> bool {
        let key_of = |it: &plan::Execution| it.terms.once.as_ref().map(|once| once.key.clone());
        let Some(key) = key_of(execution) else { return false };
        let asked_by_ms = execution.at_ms.saturating_add(4 * self.plan.settings.request_timeout_ms);
        let mut others = self.plan.executions.iter().filter(|it| it.name != execution.name);
        now >= SimTime::from_millis(asked_by_ms)
            && others.any(|it| {
                let meet = self.id(&it.name).partition() == self.id(&execution.name).partition();
                meet && key_of(it).as_ref() == Some(&key)
                    && view.execution(self.id(&it.name)).core().is_some()
            })
    }
}

fn clock(plan: &Plan, node: Node) -> Clock {
    let mut clock = Clock::starting_at(UnixMicros::from_millis(plan.epoch_ms));
    if let Some(wrong) = plan.clocks.get(&node) {
        let epoch_ms = plan.epoch_ms.saturating_add_signed(wrong.offset_ms);
        clock.epoch = UnixMicros::from_millis(epoch_ms);
        clock.drift_ppm = wrong.drift_ppm;
        let step = |step: &plan::ClockStep| Step { at: SimTime::from_millis(step.at_ms), by_ms: step.by_ms };
        clock.steps = wrong.steps.iter().map(step).collect();
    }
    clock
}

fn server_clock(plan: &Plan, failovers_so_far: usize) -> Clock {
    let mut clock = clock(plan, Node::Valkey);
    clock.steps.extend(failovers(plan).into_iter().take(failovers_so_far));
    clock
}

/// What each failover of a plan does to the clock of the service, in the order of their times: the clock of the one that is
/// promoted differs.
fn failovers(plan: &Plan) -> Vec<Step> {
    let step = |fault: &Fault| match *fault {
        Fault::Server { at_ms, breaks: ServerFault::Failover { down_ms, clock_ms, .. }, .. } => {
            Some(Step { at: SimTime::from_millis(at_ms.saturating_add(down_ms)), by_ms: clock_ms })
        }
        _ => None,
    };
    let mut steps: Vec<Step> = plan.faults.iter().filter_map(step).collect();
    steps.sort_by_key(|step| step.at);
    steps
}

/// The worker process that calls itself by an instance id; none where no deployment makes such an id.
///
/// ```
/// use grantsim::{drive::process_of, types::Node};
/// assert_eq!(process_of("w1-2.1"), Some(Node::Worker(2)));
/// assert_eq!(process_of("somebody"), None);
/// ```
pub fn process_of(instance: &str) -> Option<Node> {
    let (_, process) = instance.rsplit_once('-')?;
    let (number, life) = process.split_once('.')?;
    life.parse::<u32>().ok()?;
    format!("worker-{number}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{
        super::support::{WORKER, ms, plan, view},
        *,
    };
    use crate::{
        plan::{CallRef, Called, ClockStep, Cut, WrongClock},
        protocol::ExecutionKeys,
        types::{Deadline, Function},
    };

    fn deployment(plan: &Plan) -> Deployment {
        Deployment::new(plan, Registered::default(), ClaimFunction::default())
    }

    fn e(n: usize) -> ExecutionName {
        ExecutionName::nth(n)
    }

    /// A plan with as many executions.
    fn with_executions(count: usize) -> Plan {
        let mut plan = plan([]);
        let one = plan.executions[0].clone();
        plan.executions = (1..=count).map(|n| plan::Execution { name: e(n), ..one.clone() }).collect();
        plan
    }

    #[test]
    fn an_executions_id_follows_from_its_name_and_the_seed() {
        let three = deployment(&with_executions(3));
        let mut without_the_second = with_executions(3);
        without_the_second.executions.remove(1);
        let two = deployment(&without_the_second);
        assert_eq!((three.id(&e(1)), three.id(&e(3))), (two.id(&e(1)), two.id(&e(3))));
        assert_ne!(three.id(&e(1)), three.id(&e(3)));
        let reseeded = deployment(&Plan { seed: 8, ..with_executions(3) });
        assert_ne!(three.id(&e(1)), reseeded.id(&e(1)));
        assert_eq!(three.names.of(three.id(&e(3))), e(3));
    }

    #[test]
    fn executions_lie_in_partitions_that_are_walked() {
        let plan = with_executions(20);
        let deployment = deployment(&plan);
        let all: std::collections::BTreeSet<u16> =
            (1..=20).map(|n| deployment.id(&e(n)).partition()).collect();
        // FlowFabric gives a lane one partition: among those that schedulers and scanners walk.
        assert!(all.iter().all(|partition| *partition < plan.settings.partitions), "{all:?}");
    }

    #[test]
    fn a_clock_is_true_unless_the_plan_says_how_it_is_wrong() {
        let mut plan = plan([]);
        let steps = vec![ClockStep { at_ms: 1_000, by_ms: -70 }];
        plan.clocks.insert(WORKER, WrongClock { offset_ms: 5, drift_ppm: 1_000, steps });
        plan.clocks.insert(Node::Scanner, WrongClock { offset_ms: -5, ..WrongClock::default() });
        let deployment = deployment(&plan);
        let reads = |node, at| deployment.clock(node).now(at).millis().0 - plan.epoch_ms as i64;
        assert_eq!((reads(Node::Valkey, ms(0)), reads(Node::Valkey, ms(1_000))), (0, 1_000));
        assert_eq!((reads(WORKER, ms(0)), reads(WORKER, ms(500)), reads(WORKER, ms(1_000))), (5, 505, 936));
        assert_eq!(reads(Node::Scanner, ms(0)), -5);
    }

    #[test]
    fn a_worker_is_another_instance_with_other_dice_in_each_life() {
        let plan = plan([]);
        let deployment = deployment(&plan);
        let [first, again, second] =
            [(1, 1), (1, 1), (1, 2)].map(|(n, life)| deployment.worker(Node::Worker(n), life).unwrap());
        assert_eq!((first.instance.as_str(), second.instance.as_str()), ("w1-1.1", "w1-1.2"));
        assert_eq!(first.seed, again.seed);
        assert_ne!(first.seed, second.seed);
        assert_eq!(deployment.worker(Node::Worker(3), 1).map(|worker| worker.seed), None);
    }

    #[test]
    fn two_processes_of_one_worker_are_two_instances() {
        let mut plan = plan([]);
        plan.workers[1].worker_id = "w1".to_owned();
        let deployment = deployment(&plan);
        let instance = |n| deployment.worker(Node::Worker(n), 1).unwrap().instance;
        assert_eq!((instance(1).as_str(), instance(2).as_str()), ("w1-1.1", "w1-2.1"));
        assert_eq!(
            (1..=2).map(|n| process_of(instance(n).as_str())).collect::<Vec<_>>(),
            [1, 2].map(|n| Some(Node::Worker(n)))
        );
    }

    #[test]
    fn a_worker_is_the_same_instance_with_the_same_dice_without_the_one_before_it() {
        let mut without_the_first = plan([]);
        without_the_first.workers.remove(0);
        let [one, other] =
            [plan([]), without_the_first].map(|plan| deployment(&plan).worker(Node::Worker(2), 1).unwrap());
        assert_eq!((one.instance, one.seed), (other.instance, other.seed));
    }

    #[test]
    fn a_worker_is_told_what_the_plan_says_of_it() {
        let plan = plan([]);
        let worker = deployment(&plan).worker(Node::Worker(2), 1).unwrap();
        let lanes: Vec<_> = worker.lanes.iter().map(LaneId::as_str).collect();
        assert_eq!((worker.worker_id.as_str(), lanes), ("w2", vec!["gold", "silver"]));
        assert_eq!((worker.schedulers, worker.slots, worker.settings), (plan.schedulers, 1, plan.settings));
    }

    #[test]
    fn every_node_but_the_servers_has_a_process_of_its_kind() {
        let plan = plan([]);
        let deployment = deployment(&plan);
        let kinds = plan.nodes().map(|node| match deployment.process(node, 1) {
            None => "none",
            Some(Process::Submitter(_)) => "submitter",
            Some(Process::Scheduler(_)) => "scheduler",
            Some(Process::Worker(_)) => "worker",
            Some(Process::Scanner(_)) => "scanner",
            Some(Process::Operator(_)) => "operator",
        });
        assert_eq!(
            kinds.collect::<Vec<_>>(),
            ["none", "submitter", "scanner", "scheduler", "worker", "worker"]
        );
        assert!(deployment.process(Node::Worker(9), 1).is_none());
    }

    #[test]
    fn the_faults_are_over_when_the_last_that_has_a_time_is() {
        let lost = Fault::LoseReply {
            call: CallRef { node: Some(WORKER), function: Called::Claim, execution: None, nth: 1 },
        };
        let crash = |down_ms| Fault::Crash { node: WORKER, at_ms: 50, down_ms, upon: None };
        let pause = Fault::Pause { node: WORKER, at_ms: 60, for_ms: 20, upon: None };
        let partition = Fault::Partition {
            a: WORKER,
            b: Node::Valkey,
            at_ms: 10,
            for_ms: 90,
            cut: Cut::Both,
            upon: None,
        };
        for (faults, end) in [
            (vec![lost], 0),
            (vec![crash(None)], 50),
            (vec![crash(Some(40)), pause.clone()], 90),
            (vec![pause.clone(), crash(None)], 80),
            (vec![partition, pause], 100),
        ] {
            assert_eq!(deployment(&plan(faults)).faults_end(), ms(end));
        }
    }

    #[test]
    fn a_late_request_is_held_for_its_time_whatever_it_is_about() {
        let deployment = deployment(&plan([]));
        assert_eq!(
            deployment.held_until(Hold::By(Millis(70)), None, ms(30), &View::default()),
            Some(ms(100))
        );
    }

    #[test]
    fn a_call_at_a_deadline_is_held_until_the_servers_clock_reads_what_is_stored_and_the_offset() {
        let mut plan = plan([]);
        plan.clocks.insert(Node::Valkey, WrongClock { offset_ms: 200, ..WrongClock::default() });
        let deployment = deployment(&plan);
        let grant_key = ExecutionKeys::of(deployment.id(&e(1))).exec.claim_grant();
        let expires_at = (plan.epoch_ms + 500).to_string();
        let view = view(&[&["HSET", &grant_key, "grant_expires_at", &expires_at, "created_at", "1"]]);
        let until = |offset_ms, now| {
            let hold = Hold::Until(Deadline::Grant, offset_ms);
            deployment.held_until(hold, Some(&e(1)), now, &view)
        };
        // The server's clock is 200 ms ahead: it reads +500 when 300 ms are over.
        assert_eq!([-1, 0, 1].map(|offset| until(offset, ms(10))), [299, 300, 301].map(|at| Some(ms(at))));
        assert_eq!(until(0, ms(400)), Some(ms(400)), "what is past holds nothing");
    }

    #[test]
    fn where_there_is_no_grant_a_call_at_its_expiry_waits_for_nothing() {
        let deployment = deployment(&plan([]));
        let until = |execution: Option<&ExecutionName>| {
            deployment.held_until(Hold::Until(Deadline::Grant, 0), execution, ms(10), &View::default())
        };
        assert_eq!([until(Some(&e(1))), until(Some(&e(9))), until(None)], [None; 3]);
    }

    #[test]
    fn all_is_done_when_every_execution_exists_and_is_terminal() {
        let deployment = deployment(&with_executions(2));
        let core = |n| ExecutionKeys::of(deployment.id(&e(n))).exec.core();
        let (one, two) = (core(1), core(2));
        let phase = |key, phase| ["HSET", key, "lifecycle_phase", phase];
        let (over, goes_on) = (phase(&one, "terminal"), phase(&two, "active"));
        assert!(!deployment.is_done(&View::default(), ms(0)));
        assert!(!deployment.is_done(&view(&[&over]), ms(0)), "the other does not exist yet");
        assert!(!deployment.is_done(&view(&[&over, &goes_on]), ms(0)));
        assert!(deployment.is_done(&view(&[&over, &goes_on, &phase(&two, "terminal")]), ms(0)));
    }

    #[test]
    fn one_whose_key_another_has_is_done_without_ever_being_once_it_has_been_submitted() {
        let mut plan = with_executions(2);
        for (execution, ttl_ms) in plan.executions.iter_mut().zip([900, 900]) {
            execution.terms.once = Some(plan::Once { key: "k".to_owned(), ttl_ms });
        }
        plan.executions[1].at_ms = 300;
        let over = view(&[&[
            "HSET",
            &ExecutionKeys::of(deployment(&plan).id(&e(1))).exec.core(),
            "lifecycle_phase",
            "terminal",
        ]]);
        let asked = 300 + 4 * plan.settings.request_timeout_ms;
        assert!(!deployment(&plan).is_done(&over, ms(asked - 1)));
        assert!(deployment(&plan).is_done(&over, ms(asked)));
        assert!(!deployment(&plan).is_done(&View::default(), ms(asked)), "the first must be");
    }

    #[test]
    fn a_library_decides_which_function_claims() {
        let plan = plan([]);
        let deployment = Deployment::new(
            &plan,
            Registered::from_iter([Function::AcquireLease]),
            ClaimFunction::AcquireLease,
        );
        let worker = deployment.worker(WORKER, 1).unwrap();
        assert_eq!(worker.claim_function, ClaimFunction::AcquireLease);
        assert!(worker.functions.has(&Function::AcquireLease));
    }
}
