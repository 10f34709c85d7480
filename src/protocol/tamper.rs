//! Requests as a wrong or hostile caller sends them: with another lane, another lease's fence, another argument.
//!
//! Nothing here says when: see the plan's faults.

use super::{Request, presented::Positions};
use crate::types::FencePart;

/// The fence of a lease, as it was presented.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PresentedFence {
    /// The lease.
    pub lease_id: Vec<u8>,
    /// Its epoch.
    pub epoch: Vec<u8>,
    /// Its attempt; empty where the function does not take it.
    pub attempt_id: Vec<u8>,
}

impl PresentedFence {
    /// Only these parts of it: what is left out stays as it was where it is presented.
    #[must_use]
    pub fn only(self, part: FencePart) -> Self {
        let keep = |own: FencePart, value: Vec<u8>| if part == own { value } else { Vec::new() };
        match part {
            FencePart::Whole => self,
            _ => Self {
                lease_id: keep(FencePart::Lease, self.lease_id),
                epoch: keep(FencePart::Epoch, self.epoch),
                attempt_id: keep(FencePart::Attempt, self.attempt_id),
            },
        }
    }
}

impl Request {
    /// Where the ARGV begin; none for a plain command.
    fn argv_at(&self) -> Option<usize> {
        self.function()?;
        let keys: usize = std::str::from_utf8(self.args.get(2)?).ok()?.parse().ok()?;
        keys.checked_add(3).filter(|at| *at <= self.args.len())
    }

    fn positions(&self) -> Option<(usize, Positions)> {
        Some((self.argv_at()?, Positions::of(&self.function()?)))
    }

    /// The same with one ARGV replaced, the first being 1; past the last, it is one more.
    #[must_use]
    pub fn with_argument(&self, nth: usize, value: &[u8]) -> Self {
        let mut args = self.args.to_vec();
        if let Some(at) = self.argv_at() {
            match args.get_mut(at.saturating_add(nth.saturating_sub(1))) {
                Some(arg) => *arg = value.to_vec(),
                None => args.push(value.to_vec()),
            }
        }
        Self { args: args.into() }
    }

    /// The same on another lane: in every key of a lane's index, and in the argument that names the lane.
    #[must_use]
    pub fn with_lane(&self, lane: &str) -> Self {
        let Some((argv_at, positions)) = self.positions() else { return self.clone() };
        let mut args = self.args.to_vec();
        for key in args.iter_mut().take(argv_at).skip(3) {
            let text = String::from_utf8_lossy(key);
            if let Some((before, after)) = text.split_once(":lane:")
                && let Some((_, index)) = after.split_once(':')
            {
                *key = format!("{before}:lane:{lane}:{index}").into_bytes();
            }
        }
        if let Some(arg) = positions.lane.and_then(|place| args.get_mut(argv_at + place)) {
            *arg = lane.as_bytes().to_vec();
        }
        Self { args: args.into() }
    }

    /// The fence that it presents; none where it presents none, or an operator's override says that it does not count.
    pub fn fence(&self) -> Option<PresentedFence> {
        let (argv_at, positions) = self.positions()?;
        let arg = |place: Option<usize>| place.and_then(|place| self.args.get(argv_at + place)).cloned();
        let fence = PresentedFence {
            lease_id: arg(positions.lease)?,
            epoch: arg(positions.epoch)?,
            attempt_id: arg(positions.attempt).unwrap_or_default(),
        };
        (!fence.lease_id.is_empty()).then_some(fence)
    }

    /// The same with another fence. An attempt's id that the other fence did not show stays.
    #[must_use]
    pub fn with_fence(&self, fence: &PresentedFence) -> Self {
        let Some((argv_at, positions)) = self.positions() else { return self.clone() };
        let mut args = self.args.to_vec();
        let parts = [
            (positions.lease, &fence.lease_id),
            (positions.epoch, &fence.epoch),
            (positions.attempt, &fence.attempt_id),
        ];
        for (place, value) in parts {
            if let Some(arg) = place.and_then(|place| args.get_mut(argv_at + place))
                && !value.is_empty()
            {
                arg.clone_from(value);
            }
        }
        Self { args: args.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::{Command, MarkLeaseExpired, PromoteDelayed, RenewLease, server_time},
        types::{
            AttemptId, AttemptIndex, ExecutionId, LaneId, LeaseEpoch, LeaseFence, LeaseId, Millis,
            TimestampMs,
        },
    };

    fn execution_id() -> ExecutionId {
        ExecutionId::parse("{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8").unwrap()
    }

    fn words(request: &Request) -> Vec<String> {
        request.args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
    }

    fn renewal(epoch: u64) -> Request {
        let uuid = |n| uuid::Uuid::from_u128(n + u128::from(epoch) * 16);
        let fence = LeaseFence {
            lease_id: LeaseId::from_uuid(uuid(1)),
            lease_epoch: LeaseEpoch(epoch),
            attempt_id: AttemptId::from_uuid(uuid(2)),
        };
        RenewLease {
            execution_id: execution_id(),
            attempt_index: AttemptIndex(0),
            fence: Some(fence),
            lease_ttl: Millis(5),
            history_grace: Millis(6),
        }
        .request()
    }

    #[test]
    fn an_argument_is_replaced_by_its_number_and_no_key_is() {
        let request = MarkLeaseExpired { execution_id: execution_id() }.request();
        let (before, after) = (words(&request), words(&request.with_argument(1, b"inf")));
        assert_eq!(before[..before.len() - 1], after[..after.len() - 1]);
        assert_eq!(after.last().unwrap(), "inf");
        let more = words(&request.with_argument(9, b"more"));
        assert_eq!((more.len(), more.last().unwrap().as_str()), (before.len() + 1, "more"));
    }

    #[test]
    fn another_lane_is_in_the_keys_and_in_the_argument() {
        let lane_id = LaneId::new("gold");
        let promote = PromoteDelayed { execution_id: execution_id(), lane_id, now: TimestampMs(1) };
        let (before, after) = (words(&promote.request()), words(&promote.request().with_lane("tin")));
        assert!(before.iter().any(|word| word == "ff:idx:{fp:7}:lane:gold:delayed"), "{before:?}");
        assert_eq!(before.iter().map(|word| word.replace(":gold:", ":tin:")).collect::<Vec<_>>(), after);
        let claim = crate::protocol::Request {
            args: [&b"FCALL"[..], b"ff_claim_execution", b"0", b"e", b"w", b"w-1", b"gold"]
                .map(<[u8]>::to_vec)
                .into(),
        };
        assert_eq!(words(&claim.with_lane("tin")).last().unwrap(), "tin");
    }

    #[test]
    fn a_fence_is_read_and_replaced_where_the_function_takes_it() {
        let (old, new) = (renewal(1), renewal(2));
        let fence = old.fence().unwrap();
        assert_eq!(fence.epoch, b"1");
        assert_eq!(new.with_fence(&fence), old);
        assert_eq!(MarkLeaseExpired { execution_id: execution_id() }.request().fence(), None);
    }

    #[test]
    fn a_plain_command_stays_as_it_is() {
        let time = server_time().request();
        assert_eq!([time.with_argument(1, b"x"), time.with_lane("x")], [time.clone(), time]);
    }
}
