//! The documented types of a grant's life: what a scheduler hands to a worker, and what the worker gets for it.
//!
//! A [`ClaimGrant`] is permission to claim one execution. It names **no lane**: its caller picked the lane before
//! there was a grant, and passes it beside the grant when it claims. [`ResumeGrant`] and [`ReclaimGrant`] are
//! found by scanners, where nobody picked a lane, so they carry the execution's own. Any of the three is consumed
//! once, and what comes of it is a [`Lease`].
//!
//! Ids, lanes, epochs, times and partitions are `ff-core`'s. These types differ from
//! [`ff_core::contracts`] in one thing: the partition is a [`Partition`] and not an opaque key, so that it is
//! checked once, on the way in. What the server stores of a grant (its hash, its worker) is not here; see
//! `view`.

use ff_core::{
    contracts,
    keys::ExecKeyContext,
    partition::{Partition, PartitionFamily, PartitionKey, PartitionKeyParseError},
    types::{AttemptId, AttemptIndex, ExecutionId, LaneId, LeaseEpoch, LeaseFence, LeaseId, TimestampMs},
};
use serde::{Deserialize, Serialize};

/// Permission to claim one execution, once, until it expires.
///
/// ```
/// use ff_core::types::{ExecutionId, TimestampMs};
/// use grantsim::types::grant::ClaimGrant;
///
/// let execution_id = ExecutionId::parse("{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8")?;
/// let grant = ClaimGrant::new(execution_id, TimestampMs(1_700_000_008_000));
/// assert_eq!(grant.grant_key, "ff:exec:{fp:7}:{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8:claim_grant");
/// assert_eq!(grant.partition.index, 7);
/// # Ok::<(), ff_core::types::ExecutionIdParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClaimGrant {
    /// The execution that was granted.
    pub execution_id: ExecutionId,
    /// Where the execution and its grant live.
    #[serde(with = "hash_tag")]
    pub partition: Partition,
    /// The key under which the server keeps the grant.
    pub grant_key: String,
    /// The last millisecond at which the grant can be consumed.
    pub expires_at_ms: TimestampMs,
}

/// Permission to go on with an execution whose suspension ended: same attempt, new lease.
///
/// Up to FlowFabric 0.11 this was called `ReclaimGrant`.
///
/// ```
/// use ff_core::types::{ExecutionId, LaneId, TimestampMs};
/// use grantsim::types::grant::ResumeGrant;
///
/// let execution_id = ExecutionId::parse("{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8")?;
/// let grant = ResumeGrant::new(execution_id, LaneId::new("gpu"), TimestampMs(1_700_000_008_000));
/// assert_eq!(grant.lane_id.as_str(), "gpu");
/// # Ok::<(), ff_core::types::ExecutionIdParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeGrant {
    /// The execution that was granted.
    pub execution_id: ExecutionId,
    /// Where the execution and its grant live.
    #[serde(with = "hash_tag")]
    pub partition: Partition,
    /// The key under which the server keeps the grant: the same as a [`ClaimGrant`]'s.
    pub grant_key: String,
    /// The last millisecond at which the grant can be consumed.
    pub expires_at_ms: TimestampMs,
    /// The execution's lane.
    pub lane_id: LaneId,
}

/// Permission to take over an execution whose lease expired or was revoked: new attempt, new lease.
///
/// ```
/// use ff_core::types::{ExecutionId, LaneId, TimestampMs};
/// use grantsim::types::grant::ReclaimGrant;
///
/// let execution_id = ExecutionId::parse("{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8")?;
/// let grant = ReclaimGrant::new(execution_id, LaneId::new("gpu"), TimestampMs(1_700_000_008_000));
/// assert_eq!(grant.lane_id.as_str(), "gpu");
/// # Ok::<(), ff_core::types::ExecutionIdParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReclaimGrant {
    /// The execution that was granted.
    pub execution_id: ExecutionId,
    /// Where the execution and its grant live.
    #[serde(with = "hash_tag")]
    pub partition: Partition,
    /// The key under which the server keeps the grant: the same as a [`ClaimGrant`]'s.
    pub grant_key: String,
    /// The last millisecond at which the grant can be consumed.
    pub expires_at_ms: TimestampMs,
    /// The execution's lane.
    pub lane_id: LaneId,
}

impl ClaimGrant {
    /// The grant of an execution; its partition and key follow from the id.
    pub fn new(execution_id: ExecutionId, expires_at_ms: TimestampMs) -> Self {
        let (partition, grant_key) = place(&execution_id);
        Self { execution_id, partition, grant_key, expires_at_ms }
    }
}

impl ResumeGrant {
    /// The grant of an execution; its partition and key follow from the id.
    pub fn new(execution_id: ExecutionId, lane_id: LaneId, expires_at_ms: TimestampMs) -> Self {
        let (partition, grant_key) = place(&execution_id);
        Self { execution_id, partition, grant_key, expires_at_ms, lane_id }
    }
}

impl ReclaimGrant {
    /// The grant of an execution; its partition and key follow from the id.
    pub fn new(execution_id: ExecutionId, lane_id: LaneId, expires_at_ms: TimestampMs) -> Self {
        let (partition, grant_key) = place(&execution_id);
        Self { execution_id, partition, grant_key, expires_at_ms, lane_id }
    }
}

/// Where an execution's grant lives. Family "execution" is an alias of "flow" that a hash tag cannot express, so
/// grants name the flow family throughout and survive any round trip unchanged.
fn place(execution_id: &ExecutionId) -> (Partition, String) {
    let partition = Partition { family: PartitionFamily::Flow, index: execution_id.partition() };
    let grant_key = ExecKeyContext::new(&partition, execution_id).claim_grant();
    (partition, grant_key)
}

/// The right to work on an execution, until it expires or somebody else's epoch is higher.
///
/// ```
/// use ff_core::types::{AttemptId, AttemptIndex, ExecutionId, LeaseEpoch, LeaseId, TimestampMs};
/// use grantsim::types::grant::{AttemptKind, Lease};
///
/// let lease = Lease {
///     execution_id: ExecutionId::parse("{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8")?,
///     lease_id: LeaseId::from_uuid(uuid::Uuid::from_u128(1)),
///     epoch: LeaseEpoch(1),
///     attempt_id: AttemptId::from_uuid(uuid::Uuid::from_u128(2)),
///     attempt_index: AttemptIndex(0),
///     attempt_kind: AttemptKind::Initial,
///     expires_at_ms: TimestampMs(1_700_000_030_000),
/// };
/// assert_eq!(lease.fence().lease_epoch, lease.epoch);
/// # Ok::<(), ff_core::types::ExecutionIdParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// The execution that is leased.
    pub execution_id: ExecutionId,
    /// The lease.
    pub lease_id: LeaseId,
    /// One more than any earlier lease of the execution had.
    pub epoch: LeaseEpoch,
    /// The attempt that the lease works on.
    pub attempt_id: AttemptId,
    /// The attempt's place among the execution's attempts, from 0.
    pub attempt_index: AttemptIndex,
    /// Why there is such an attempt.
    pub attempt_kind: AttemptKind,
    /// The first millisecond at which the lease is no longer valid, unless it is renewed.
    pub expires_at_ms: TimestampMs,
}

impl Lease {
    /// What proves ownership in every later call.
    pub fn fence(&self) -> LeaseFence {
        LeaseFence {
            lease_id: self.lease_id.clone(),
            lease_epoch: self.epoch,
            attempt_id: self.attempt_id.clone(),
        }
    }
}

super::word::words! {
    /// Why a lease's attempt exists.
    pub enum AttemptKind {
        /// The execution's first.
        Initial = "initial",
        /// After a failed one.
        Retry = "retry",
        /// After one whose lease expired or was revoked.
        Reclaim = "reclaim",
        /// After the execution had ended and was replayed.
        Replay = "replay",
        /// With the next provider.
        Fallback = "fallback",
        /// No new attempt: the suspended one goes on.
        Resumed = "resumed",
    }
}

super::word::words! {
    /// Which function a grant is meant for.
    pub enum GrantKind {
        /// For an eligible execution: `ff_claim_execution`, or `ff_acquire_lease`.
        Claim = "claim",
        /// For an interrupted one: `ff_claim_resumed_execution`.
        Resume = "resume",
        /// For one whose lease expired or was revoked: `ff_reclaim_execution`.
        Reclaim = "reclaim",
    }
}

/// A grant of `ff-core` that cannot be one of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// The partition key is not a hash tag like `{fp:7}`.
    #[error("the grant's partition key {key:?} is no hash tag like {{fp:7}}: {source}")]
    Partition {
        /// What was found.
        key: String,
        /// What is wrong with it.
        source: PartitionKeyParseError,
    },
    /// The expiry is later than a server can count.
    #[error("the grant's expiry, {0} ms, is later than a server can count (2^63 - 1 ms)")]
    Expiry(u64),
}

fn partition_of(key: &PartitionKey) -> Result<Partition, GrantError> {
    key.parse().map_err(|source| GrantError::Partition { key: key.to_string(), source })
}

fn expiry_of(expires_at_ms: u64) -> Result<TimestampMs, GrantError> {
    i64::try_from(expires_at_ms).map(TimestampMs).map_err(|_| GrantError::Expiry(expires_at_ms))
}

/// `ff-core` counts from 1970 on. An earlier expiry becomes 0: either way the grant has long expired.
fn expiry_from(expires_at_ms: TimestampMs) -> u64 {
    u64::try_from(expires_at_ms.0).unwrap_or(0)
}

impl From<ClaimGrant> for contracts::ClaimGrant {
    fn from(grant: ClaimGrant) -> Self {
        let expires_at_ms = expiry_from(grant.expires_at_ms);
        Self::new(grant.execution_id, grant.partition.into(), grant.grant_key, expires_at_ms)
    }
}

impl TryFrom<contracts::ClaimGrant> for ClaimGrant {
    type Error = GrantError;

    fn try_from(grant: contracts::ClaimGrant) -> Result<Self, GrantError> {
        Ok(Self {
            partition: partition_of(&grant.partition_key)?,
            expires_at_ms: expiry_of(grant.expires_at_ms)?,
            execution_id: grant.execution_id,
            grant_key: grant.grant_key,
        })
    }
}

/// The two grants that carry a lane are converted alike.
macro_rules! convert_grant_with_lane {
    ($grant:ident) => {
        impl From<$grant> for contracts::$grant {
            fn from(grant: $grant) -> Self {
                let expires_at_ms = expiry_from(grant.expires_at_ms);
                let partition = grant.partition.into();
                Self::new(grant.execution_id, partition, grant.grant_key, expires_at_ms, grant.lane_id)
            }
        }

        impl TryFrom<contracts::$grant> for $grant {
            type Error = GrantError;

            fn try_from(grant: contracts::$grant) -> Result<Self, GrantError> {
                Ok(Self {
                    partition: partition_of(&grant.partition_key)?,
                    expires_at_ms: expiry_of(grant.expires_at_ms)?,
                    execution_id: grant.execution_id,
                    grant_key: grant.grant_key,
                    lane_id: grant.lane_id,
                })
            }
        }
    };
}

convert_grant_with_lane!(ResumeGrant);
convert_grant_with_lane!(ReclaimGrant);

/// A partition in JSON is its hash tag: `"{fp:7}"`.
mod hash_tag {
    use super::{Partition, PartitionKey};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(partition: &Partition, to: S) -> Result<S::Ok, S::Error> {
        PartitionKey::from(partition).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Partition, D::Error> {
        PartitionKey::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execution_id() -> ExecutionId {
        ExecutionId::parse("{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8").unwrap()
    }

    /// Out to `ff-core` and back, and out to JSON and back.
    macro_rules! round_trip {
        ($grant:expr, $theirs:ty, $ours:ty) => {{
            let grant = $grant;
            assert_eq!(<$ours>::try_from(<$theirs>::from(grant.clone())).unwrap(), grant);
            let json = serde_json::to_string(&grant).unwrap();
            assert_eq!(serde_json::from_str::<$ours>(&json).unwrap(), grant);
            json
        }};
    }

    #[test]
    fn a_claim_grant_survives_the_round_trip_and_names_no_lane() {
        let grant = ClaimGrant::new(execution_id(), TimestampMs(42));
        let json = round_trip!(grant, contracts::ClaimGrant, ClaimGrant);
        assert_eq!(
            json,
            r#"{"execution_id":"{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8","partition":"{fp:7}","grant_key":"ff:exec:{fp:7}:{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8:claim_grant","expires_at_ms":42}"#
        );
    }

    #[test]
    fn resume_and_reclaim_grants_survive_the_round_trip_with_their_lane() {
        let resume = ResumeGrant::new(execution_id(), LaneId::new("gpu"), TimestampMs(42));
        assert!(round_trip!(resume, contracts::ResumeGrant, ResumeGrant).contains(r#""lane_id":"gpu""#));
        let reclaim = ReclaimGrant::new(execution_id(), LaneId::new("gpu"), TimestampMs(42));
        assert!(round_trip!(reclaim, contracts::ReclaimGrant, ReclaimGrant).contains(r#""lane_id":"gpu""#));
    }

    #[test]
    fn a_partition_key_that_is_no_hash_tag_is_refused_by_name() {
        let key: PartitionKey = serde_json::from_str(r#""fp:7""#).unwrap();
        let theirs = contracts::ClaimGrant::new(execution_id(), key, "k".into(), 42);
        let error = ClaimGrant::try_from(theirs).unwrap_err();
        assert!(error.to_string().contains(r#""fp:7""#), "{error}");
    }

    #[test]
    fn an_expiry_beyond_the_servers_clock_is_refused() {
        let mut theirs = contracts::ClaimGrant::from(ClaimGrant::new(execution_id(), TimestampMs(42)));
        theirs.expires_at_ms = u64::MAX;
        assert_eq!(ClaimGrant::try_from(theirs), Err(GrantError::Expiry(u64::MAX)));
    }

    #[test]
    fn a_lease_survives_json() {
        let lease = Lease {
            execution_id: execution_id(),
            lease_id: LeaseId::from_uuid(uuid::Uuid::from_u128(1)),
            epoch: LeaseEpoch(3),
            attempt_id: AttemptId::from_uuid(uuid::Uuid::from_u128(2)),
            attempt_index: AttemptIndex(2),
            attempt_kind: AttemptKind::Reclaim,
            expires_at_ms: TimestampMs(42),
        };
        let json = serde_json::to_string(&lease).unwrap();
        assert_eq!(serde_json::from_str::<Lease>(&json).unwrap(), lease);
    }
}
