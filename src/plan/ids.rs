//! The ids of what a plan names: each is a function of the seed and the name alone.
//!
//! So a plan without one of its parts gives all others the same ids, and whoever needs an id needs the name only.

use ff_core::partition::{PartitionConfig, flow_partition};
use uuid::Uuid;
use valkey_sim::random::Random;

use super::Plan;
use crate::{
    protocol::{FlowAt, Waitpoint},
    types::{
        BudgetId, EdgeId, ExecutionId, ExecutionName, FlowId, Label, LaneId, QuotaPolicyId, WaitpointId,
        WaitpointKey,
    },
};

/// The lane of an execution that was never submitted, where a caller has to say one.
pub const NOBODYS_LANE: &str = "gold";

impl Plan {
    /// The id of an execution: in the partition of its flow, else in that of its lane. One that the plan does not have is
    /// in that of [`NOBODYS_LANE`].
    pub fn execution_id(&self, name: &ExecutionName) -> ExecutionId {
        let execution = self.executions.iter().find(|execution| execution.name == *name);
        let uuid = self.uuid(&format!("execution {name}"));
        if let Some(flow) = execution.and_then(|execution| execution.flow.as_ref()) {
            let id = format!("{{fp:{}}}:{uuid}", self.flow(flow).partition);
            return ExecutionId::parse(&id).expect("a partition and a UUID make an id");
        }
        let lane = execution.map_or(NOBODYS_LANE, |execution| &execution.lane);
        ExecutionId::deterministic_solo(&LaneId::new(lane), &self.partitioning(), uuid)
    }

    /// A flow, and where it lives.
    pub fn flow(&self, name: &Label) -> FlowAt {
        let flow_id = FlowId::from_uuid(self.uuid(&format!("flow {name}")));
        let partition = flow_partition(&flow_id, &self.partitioning()).index;
        FlowAt { flow_id, partition }
    }

    /// The dependency of one member of a flow on another.
    pub fn edge_id(&self, flow: &Label, from: &ExecutionName, to: &ExecutionName) -> EdgeId {
        EdgeId::from_uuid(self.uuid(&format!("edge {flow} {from} {to}")))
    }

    /// A quota policy.
    pub fn quota_id(&self, name: &Label) -> QuotaPolicyId {
        QuotaPolicyId::from_uuid(self.uuid(&format!("quota {name}")))
    }

    /// A budget.
    pub fn budget_id(&self, name: &Label) -> BudgetId {
        BudgetId::from_uuid(self.uuid(&format!("budget {name}")))
    }

    /// The waitpoint that is created for an execution before it waits: who creates it, signals it and suspends at it
    /// agree on it by the execution's name.
    pub fn waitpoint(&self, execution: &ExecutionName) -> Waitpoint {
        let id = WaitpointId::from_uuid(self.uuid(&format!("waitpoint {execution}")));
        Waitpoint { key: WaitpointKey::new(format!("wpk:{id}")), id }
    }

    /// A secret of waitpoint tokens, in hex.
    pub fn secret_hex(&self, name: &Label) -> String {
        self.uuid(&format!("secret {name}")).simple().to_string()
    }

    fn partitioning(&self) -> PartitionConfig {
        PartitionConfig { num_flow_partitions: self.settings.partitions, ..PartitionConfig::default() }
    }

    fn uuid(&self, label: &str) -> Uuid {
        drawn_uuid(&mut self.random(label))
    }
}

/// The next id of a random stream.
pub(crate) fn drawn_uuid(random: &mut Random) -> Uuid {
    let bits = (u128::from(random.next_u64()) << 64) | u128::from(random.next_u64());
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
}
