//! How hurried a deployment is, and how good its network: what a plan says once for everybody.

use serde::{Deserialize, Serialize};
use valkey_sim::durability::Fsync;

use super::{Keeps, ServerFault, reading::is_default};
use crate::types::{FaultClass, word::words};

/// Times to live, timeouts and intervals, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many flow partitions the deployment has (FlowFabric's default is 256; fewer find work sooner).
    pub partitions: u16,
    /// How long a claim or reclaim grant lives. FlowFabric allows 1 to 60,000; 0 is issued and never exists.
    pub grant_ttl_ms: u64,
    /// How long a lease lives without renewal; workers renew every third of it.
    pub lease_ttl_ms: u64,
    /// How long a client waits for a reply before it gives the connection up.
    pub request_timeout_ms: u64,
    /// How often an idle worker asks for work.
    pub poll_ms: u64,
    /// Up to this much is added each time: workers that ask in lockstep starve whoever is last.
    #[serde(default)]
    pub poll_jitter_ms: u64,
    /// How often the lease-expiry scanner walks the partitions (FlowFabric: 1,500).
    pub lease_scan_ms: u64,
    /// How often the delayed promoter does (FlowFabric: 750).
    pub delayed_scan_ms: u64,
    /// How often the unblock scanner does (FlowFabric: 5,000).
    pub unblock_scan_ms: u64,
    /// How often the reclaimer does. No published scheduler issues reclaim grants; this one is the harness's own.
    pub reclaim_scan_ms: u64,
    /// How many times more a worker claims with a grant after a claim whose reply it lost. The published SDK
    /// does not (0); a caller who still holds the grant may.
    pub claim_again: u8,
    /// How long every client waits, after each call, until what it wrote is safe: an answer of which it is not is taken for
    /// one that never came. Absent, nobody waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// Where it is safe, for those who wait.
    #[serde(default, skip_serializing_if = "is_default")]
    pub safe_on: SafeOn,
    /// The server takes no writes while its replica has been silent for longer than so many seconds
    /// (`min-replicas-to-write 1` and this `min-replicas-max-lag`). Absent, it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_lag_s: Option<u64>,
    /// Each worker loads the library when it starts (`FUNCTION LOAD REPLACE`), as FlowFabric's do: whatever stands in its
    /// place is gone then.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workers_load: bool,
    /// How often the other scanners do. One that is absent does not.
    #[serde(default, skip_serializing_if = "Scans::is_empty")]
    pub scans: Scans,
    /// The worker registry; absent, no worker registers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<Registry>,
}

words! {
    /// Where what is written is safe.
    #[derive(Default)]
    pub enum SafeOn {
        /// On a replica (`WAIT 1`).
        #[default]
        Replica = "replica",
        /// On the server's own disk (`WAITAOF 1 0`), which is synced every second.
        Disk = "disk",
    }
}

/// How workers keep themselves registered, milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// How long a worker counts as alive without a heartbeat.
    pub ttl_ms: u64,
    /// How often it sends one.
    pub heartbeat_ms: u64,
    /// How often those that are no longer alive are swept out of the index.
    pub sweep_ms: u64,
}

/// How often the scanners walk that only some deployments need, milliseconds. One that is absent does not walk at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scans {
    /// Ends executions whose attempt took too long (FlowFabric: 2,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_timeout_ms: Option<u64>,
    /// Ends executions that are past their deadline (FlowFabric: 5,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Ends suspensions that took too long (FlowFabric: 2,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspension_ms: Option<u64>,
    /// Closes waitpoints at which nobody came to wait (FlowFabric: 5,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waitpoint_ms: Option<u64>,
    /// Tells those that wait for others what became of them (FlowFabric: 15,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependency_ms: Option<u64>,
    /// Looks again at executions that wait for a budget or a quota (FlowFabric: 5,000, together with those that wait for a
    /// capable worker).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission_ms: Option<u64>,
    /// Trims the windows of quotas (FlowFabric: 30,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_ms: Option<u64>,
    /// Resets budgets that are due (FlowFabric: 15,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_ms: Option<u64>,
    /// Cancels the members of cancelled flows (FlowFabric: 15,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_ms: Option<u64>,
    /// Cancels those that nobody needs any more (FlowFabric: 1,000), and looks after groups that were left half done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sibling_ms: Option<u64>,
}

impl Settings {
    /// For how long every client waits, after each call, until what it wrote is safe there; none where it does not.
    pub fn waits_for(&self, safe_on: SafeOn) -> Option<u64> {
        self.wait_ms.filter(|_| self.safe_on == safe_on)
    }

    /// The class by which what breaks about the server counts: where clients wait until what they wrote is safe from it,
    /// nothing that they were told is lost.
    pub fn class_of(&self, breaks: &ServerFault) -> FaultClass {
        let waits_for = |safe_on| self.waits_for(safe_on).is_some();
        match breaks {
            ServerFault::Failover { former_ms: 0, .. } if waits_for(SafeOn::Replica) => FaultClass::Restart,
            ServerFault::Lost { keeps: Keeps::Synced(Fsync::EverySecond), .. } if waits_for(SafeOn::Disk) => {
                FaultClass::Restart
            }
            _ => breaks.class(),
        }
    }
}

impl Scans {
    /// Whether none walks.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Each by its name in a file, and how often it walks.
    pub fn all(&self) -> [(&'static str, Option<u64>); 10] {
        [
            ("attempt_timeout_ms", self.attempt_timeout_ms),
            ("deadline_ms", self.deadline_ms),
            ("suspension_ms", self.suspension_ms),
            ("waitpoint_ms", self.waitpoint_ms),
            ("dependency_ms", self.dependency_ms),
            ("admission_ms", self.admission_ms),
            ("quota_ms", self.quota_ms),
            ("budget_ms", self.budget_ms),
            ("cancel_ms", self.cancel_ms),
            ("sibling_ms", self.sibling_ms),
        ]
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            partitions: 4,
            grant_ttl_ms: 2_000,
            lease_ttl_ms: 3_000,
            request_timeout_ms: 1_000,
            poll_ms: 100,
            poll_jitter_ms: 0,
            lease_scan_ms: 1_500,
            delayed_scan_ms: 750,
            unblock_scan_ms: 5_000,
            reclaim_scan_ms: 1_000,
            claim_again: 0,
            wait_ms: None,
            safe_on: SafeOn::default(),
            replica_lag_s: None,
            workers_load: false,
            scans: Scans::default(),
            registry: None,
        }
    }
}

/// How long a segment takes from one node to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The least it takes, microseconds.
    pub latency_us: u64,
    /// Up to this much is added, microseconds.
    pub jitter_us: u64,
    /// How many segments in a million are lost; in a stream a loss is a delay until the retransmission.
    #[serde(default)]
    pub loss_ppm: u32,
}

impl Default for Network {
    fn default() -> Self {
        Self { latency_us: 1_000, jitter_us: 500, loss_ppm: 0 }
    }
}
