//! A plan as a deployment: named nodes, a clock each, ids for its executions, and the process that runs on a node.
//!
//! Everything here is a function of the plan and a name. So a plan without one of its parts gives all others the same
//! clocks, ids and random numbers.

use std::{collections::BTreeMap, sync::Arc};

use ff_core::partition::PartitionConfig;
use valkey_sim::{
    clock::{Clock, Step},
    engine::UnixMicros,
};

use super::{faults::Hold, process::Process, shell::Shell};
use crate::{
    actor::{Scanner, Scheduler, Submitter, Worker, WorkerConfig},
    plan::{self, Fault, Plan},
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
    ids: BTreeMap<ExecutionName, ExecutionId>,
}

impl Deployment {
    /// The deployment of a plan, with a library that registers these functions.
    pub fn new(plan: &Plan, functions: Registered, claim_function: ClaimFunction) -> Self {
        let ids: BTreeMap<_, _> =
            plan.executions.iter().map(|execution| (execution.name.clone(), id(plan, execution))).collect();
        Self {
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
            Node::Valkey => return None,
            Node::Submitter => {
                let executions = plan.executions.iter();
                let executions = executions.map(|it| (self.id(&it.name).clone(), it.clone())).collect();
                Process::Submitter(Shell::new(node, Submitter::new(executions, &self.functions)))
            }
            Node::Scheduler(_) => {
                let grant_ttl = Millis(plan.settings.grant_ttl_ms);
                Process::Scheduler(Shell::new(node, Scheduler::new(plan.settings.partitions, grant_ttl)))
            }
            Node::Scanner => {
                let lanes = plan.lanes().into_iter().map(LaneId::new).collect();
                let scanner = Scanner::new(lanes, plan.settings.clone(), &self.functions);
                Process::Scanner(Shell::new(node, scanner))
            }
            Node::Worker(_) => {
                let worker = plan.workers.iter().find(|worker| worker.name == node)?;
                Process::Worker(Shell::new(node, Worker::new(self.worker_config(worker, life))))
            }
        })
    }

    fn worker_config(&self, worker: &plan::Worker, life: u32) -> WorkerConfig {
        let node = worker.name;
        let number = node.to_string();
        let number = number.rsplit('-').next().unwrap_or_default();
        WorkerConfig {
            worker_id: WorkerId::new(&worker.worker_id),
            instance: WorkerInstanceId::new(format!("{}-{number}.{life}", worker.worker_id)),
            lanes: worker.lanes.iter().map(LaneId::new).collect(),
            capabilities: worker.capabilities.iter().cloned().collect(),
            slots: worker.slots,
            schedulers: self.plan.schedulers.clone(),
            settings: self.plan.settings.clone(),
            functions: Arc::clone(&self.functions),
            claim_function: self.claim_function,
            seed: self.plan.random(&format!("{node} life {life}")).next_u64(),
        }
    }

    /// When the last of the faults that have a time is over.
    pub fn faults_end(&self) -> SimTime {
        let ends = self.plan.faults.iter().map(|fault| match fault {
            Fault::Crash { at_ms, down_ms, .. } => at_ms.saturating_add(down_ms.unwrap_or(0)),
            Fault::Pause { at_ms, for_ms, .. } | Fault::Partition { at_ms, for_ms, .. } => {
                at_ms.saturating_add(*for_ms)
            }
            _ => 0,
        });
        SimTime::from_millis(ends.max().unwrap_or(0))
    }

    /// Until when a hold keeps a request in the network; none where there is no grant to wait for.
    pub fn held_until(
        &self,
        hold: Hold,
        execution: Option<&ExecutionName>,
        now: SimTime,
        view: &View,
    ) -> Option<SimTime> {
        match hold {
            Hold::By(millis) => Some(now.after(millis.0.saturating_mul(1_000))),
            Hold::UntilGrantExpiry(offset_ms) => {
                let grant = view.execution(self.ids.get(execution?)?).grant()?;
                let local_ms = grant.expires_at.0.saturating_add(offset_ms).max(0) as u64;
                Some(self.clock(Node::Valkey).next_at(now, UnixMicros::from_millis(local_ms)))
            }
        }
    }

    /// Whether every execution of the plan exists and is terminal.
    pub fn is_done(&self, view: &View) -> bool {
        self.ids.values().all(|id| view.execution(id).core().is_some_and(|core| core.is_terminal()))
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

fn id(plan: &Plan, execution: &plan::Execution) -> ExecutionId {
    let config =
        PartitionConfig { num_flow_partitions: plan.settings.partitions, ..PartitionConfig::default() };
    let mut random = plan.random(&format!("execution {}", execution.name));
    let bits = (u128::from(random.next_u64()) << 64) | u128::from(random.next_u64());
    let uuid = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
    ExecutionId::deterministic_solo(&LaneId::new(&execution.lane), &config, uuid)
}
