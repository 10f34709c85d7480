//! How hurried a deployment is, and how good its network: what a plan says once for everybody.

use serde::{Deserialize, Serialize};

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
