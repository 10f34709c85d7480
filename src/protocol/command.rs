//! The plain commands that FlowFabric's Rust side sends beside its calls: looks at a clock, a set, a hash, a payload.

use std::{
    hash::{Hash, Hasher},
    marker::PhantomData,
};

use ff_core::types::{AttemptIndex, EdgeId, ExecutionId, LaneId, TimestampMs, WaitpointId};
use valkey_sim::engine::Reply;

use super::{
    Arg, CallError, Command, ExecutionKeys, Field, Malformed, Request, args,
    reply::{ReadError, ReadResult, array, text},
};
use crate::types::Function;

/// A command whose reply is read by a function: what all builders of this file return.
#[derive(Clone, Debug)]
pub struct Plain<T> {
    request: Request,
    read: fn(&Reply) -> ReadResult<T>,
    outcome: PhantomData<T>,
}

/// How its reply is read follows from what it asks.
impl<T> Hash for Plain<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.request.hash(hasher);
    }
}

impl<T> Command for Plain<T> {
    type Outcome = T;

    fn request(&self) -> Request {
        self.request.clone()
    }

    fn parse(&self, reply: &Reply) -> Result<T, CallError> {
        (self.read)(reply).map_err(|error| error.of(&String::from_utf8_lossy(self.request.name())))
    }
}

pub(super) fn plain<T>(args: Vec<Vec<u8>>, read: fn(&Reply) -> ReadResult<T>) -> Plain<T> {
    Plain { request: Request { args: args.into() }, read, outcome: PhantomData }
}

/// `TIME`, in milliseconds: what a scheduler reads before it grants.
pub fn server_time() -> Plain<TimestampMs> {
    plain(args!["TIME"], |reply| {
        let number = |index: usize| {
            let text = array(reply)?.get(index).and_then(text);
            text.and_then(|text| text.parse::<i64>().ok())
                .ok_or_else(|| ReadError::from(Malformed::new("seconds and microseconds", reply)))
        };
        Ok(TimestampMs(number(0)?.saturating_mul(1_000).saturating_add(number(1)? / 1_000)))
    })
}

/// `ff_version`: the version that the library says it is.
pub fn library_version() -> Plain<String> {
    plain(args!["FCALL", Function::Version.as_str(), "0"], |reply| required(reply, "a version"))
}

/// `FUNCTION LIST`: what [`Registered::from_list`](super::Registered::from_list) reads.
pub fn function_list() -> Plain<Reply> {
    plain(args!["FUNCTION", "LIST"], |reply| match reply {
        Reply::Error(error) => Err(ReadError::Server(error.clone())),
        other => Ok(other.clone()),
    })
}

/// `FUNCTION LOAD REPLACE`: loads a library. Answers its name.
pub fn load_library(source: &str) -> Plain<String> {
    plain(args!["FUNCTION", "LOAD", "REPLACE", source], |reply| required(reply, "the library's name"))
}

/// The execution that is first in a lane's eligible set of one partition.
pub fn first_eligible(partition: u16, lane_id: &LaneId) -> Plain<Option<ExecutionId>> {
    let key = ff_core::keys::IndexKeys::new(&super::flow_partition_at(partition)).lane_eligible(lane_id);
    plain(args!["ZRANGEBYSCORE", key, "-inf", "+inf", "LIMIT", "0", "1"], |reply| {
        Ok(execution_ids(reply)?.into_iter().next())
    })
}

/// A partition's leases that are due at `now`, the oldest first: what the lease expiry scanner and a reclaimer walk.
pub fn leases_due(partition: u16, now: TimestampMs, limit: usize) -> Plain<Vec<ExecutionId>> {
    let index = ff_core::keys::IndexKeys::new(&super::flow_partition_at(partition));
    due(index.lease_expiry(), now, limit)
}

/// A lane's delayed executions that are due at `now`: what the delayed promoter walks.
pub fn delayed_due(
    partition: u16,
    lane_id: &LaneId,
    now: TimestampMs,
    limit: usize,
) -> Plain<Vec<ExecutionId>> {
    let index = ff_core::keys::IndexKeys::new(&super::flow_partition_at(partition));
    due(index.lane_delayed(lane_id), now, limit)
}

/// A lane's executions that wait in a blocked set: what the unblock scanner walks.
pub fn blocked(
    partition: u16,
    lane_id: &LaneId,
    reason: super::BlockingReason,
    limit: usize,
) -> Plain<Vec<ExecutionId>> {
    let index = ff_core::keys::IndexKeys::new(&super::flow_partition_at(partition));
    due(reason.blocked_set(&index, lane_id), "+inf", limit)
}

pub(super) fn due(key: String, until: impl Arg, limit: usize) -> Plain<Vec<ExecutionId>> {
    plain(args!["ZRANGEBYSCORE", key, "-inf", until, "LIMIT", "0", limit], execution_ids)
}

/// One field of an execution's core: `None` when the execution or the field is missing.
pub fn core_field(execution_id: &ExecutionId, field: &str) -> Plain<Option<String>> {
    let core = ExecutionKeys::of(execution_id).exec.core();
    plain(args!["HGET", core, field], optional)
}

/// Several fields of an execution's core, in order.
pub fn core_fields(execution_id: &ExecutionId, fields: &[&str]) -> Plain<Vec<Option<String>>> {
    let mut args = args!["HMGET", ExecutionKeys::of(execution_id).exec.core()];
    args.extend(fields.iter().map(Arg::to_arg));
    plain(args, |reply| array(reply)?.iter().map(optional).collect())
}

/// The revision of a flow's graph; `None` for a flow that does not exist.
pub fn graph_revision(flow: &super::FlowAt) -> Plain<Option<String>> {
    let keys = ff_core::keys::FlowKeyContext::new(&super::flow_partition_at(flow.partition), &flow.flow_id);
    plain(args!["HGET", keys.core(), "graph_revision"], optional)
}

/// Asks for how many replicas have what this connection wrote, and waits for one for so long, milliseconds.
pub fn wait_for_a_replica(ms: u64) -> Request {
    Request { args: args!["WAIT", "1", ms].into() }
}

/// Asks whether the server's disk has what this connection wrote, and waits for it for so long, milliseconds.
pub fn wait_for_the_disk(ms: u64) -> Request {
    Request { args: args!["WAITAOF", "1", "0", ms].into() }
}

/// The token of a waitpoint; `None` for a waitpoint that does not exist.
pub fn waitpoint_token(execution_id: &ExecutionId, waitpoint_id: &WaitpointId) -> Plain<Option<String>> {
    let key = ExecutionKeys::of(execution_id).exec.waitpoint(waitpoint_id);
    plain(args!["HGET", key, "waitpoint_token"], optional)
}

/// The waitpoints at which a suspended execution waits beside that of its core, in order (RFC-014).
pub fn more_waitpoints(execution_id: &ExecutionId) -> Plain<Vec<WaitpointId>> {
    let key = ExecutionKeys::of(execution_id).exec.suspension_current();
    plain(args!["HGET", key, "additional_waitpoints_json"], |reply| {
        let ids = optional(reply)?.as_deref().map(additional_waitpoints).unwrap_or_default();
        Ok(ids.iter().filter_map(|id| WaitpointId::from_field(id)).collect())
    })
}

/// The ids in a suspension's `additional_waitpoints_json`.
pub fn additional_waitpoints(json: &str) -> Vec<String> {
    if json.is_empty() || json == "[]" {
        return Vec::new();
    }
    let all = serde_json::from_str::<Vec<serde_json::Value>>(json).unwrap_or_default();
    all.iter().filter_map(|one| one.get("waitpoint_id")?.as_str().map(str::to_owned)).collect()
}

/// The dependencies that were ever applied to an execution: what replaying a skipped one needs.
pub fn applied_edges(execution_id: &ExecutionId) -> Plain<Vec<EdgeId>> {
    plain(args!["SMEMBERS", ExecutionKeys::of(execution_id).exec.deps_all_edges()], |reply| {
        let read = |item| {
            let id = text(item).and_then(|text| EdgeId::from_field(&text));
            id.ok_or_else(|| Malformed::new("an edge's id", item).into())
        };
        array(reply)?.iter().map(read).collect()
    })
}

/// How many attempts an execution has had: the index of its next one, which a claim's keys name.
pub fn total_attempt_count(execution_id: &ExecutionId) -> Plain<AttemptIndex> {
    let core = ExecutionKeys::of(execution_id).exec.core();
    plain(args!["HGET", core, "total_attempt_count"], |reply| match optional(reply)? {
        None => Ok(AttemptIndex(0)),
        Some(text) => AttemptIndex::from_field(&text)
            .ok_or_else(|| Malformed::new("total_attempt_count, a number", text).into()),
    })
}

/// An execution's input: `None` when it has none.
pub fn payload(execution_id: &ExecutionId) -> Plain<Option<Vec<u8>>> {
    plain(args!["GET", ExecutionKeys::of(execution_id).exec.payload()], value)
}

/// An execution's policy, as it was submitted: `None` when it has none.
pub fn policy(execution_id: &ExecutionId) -> Plain<Option<Vec<u8>>> {
    plain(args!["GET", ExecutionKeys::of(execution_id).exec.policy()], value)
}

fn value(reply: &Reply) -> ReadResult<Option<Vec<u8>>> {
    match reply {
        Reply::Bulk(bytes) => Ok(Some(bytes.to_vec())),
        other => Ok(optional(other)?.map(String::into_bytes)),
    }
}

pub(super) fn optional(reply: &Reply) -> ReadResult<Option<String>> {
    match reply {
        Reply::Null => Ok(None),
        Reply::Error(error) => Err(ReadError::Server(error.clone())),
        other => text(other).map(Some).ok_or_else(|| Malformed::new("text or nothing", other).into()),
    }
}

fn required(reply: &Reply, what: &str) -> ReadResult<String> {
    optional(reply)?.ok_or_else(|| Malformed::new(what, reply).into())
}

pub(super) fn execution_ids(reply: &Reply) -> ReadResult<Vec<ExecutionId>> {
    array(reply)?
        .iter()
        .map(|item| {
            let id = text(item).and_then(|text| ExecutionId::from_field(&text));
            id.ok_or_else(|| Malformed::new("an execution id", item).into())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "{fp:7}:6ba7b810-9dad-41d1-80b4-00c04fd430c8";

    #[test]
    fn the_servers_time_is_read_in_milliseconds() {
        let reply = Reply::Array(vec![Reply::bulk("1700000000"), Reply::bulk("123999")]);
        assert_eq!(server_time().parse(&reply), Ok(TimestampMs(1_700_000_000_123)));
        assert!(server_time().parse(&Reply::Array(vec![])).is_err());
    }

    #[test]
    fn a_scheduler_looks_at_the_first_of_a_lane() {
        let look = first_eligible(7, &LaneId::new("gpu"));
        let sent = format!("{:?}", look.request());
        assert_eq!(
            sent,
            r#"["ZRANGEBYSCORE", "ff:idx:{fp:7}:lane:gpu:eligible", "-inf", "+inf", "LIMIT", "0", "1"]"#
        );
        assert_eq!(look.parse(&Reply::Array(vec![])), Ok(None));
        let found = look.parse(&Reply::Array(vec![Reply::bulk(ID)])).unwrap();
        assert_eq!(found, Some(ExecutionId::parse(ID).unwrap()));
        assert!(look.parse(&Reply::Array(vec![Reply::bulk("junk")])).is_err());
    }

    #[test]
    fn a_missing_field_is_no_error_and_an_error_reply_is_the_servers() {
        let id = ExecutionId::parse(ID).unwrap();
        assert_eq!(core_field(&id, "lane_id").parse(&Reply::Null), Ok(None));
        assert_eq!(total_attempt_count(&id).parse(&Reply::bulk("2")), Ok(AttemptIndex(2)));
        let error = valkey_sim::engine::WRONG_TYPE;
        assert_eq!(payload(&id).parse(&Reply::Error(error.clone())), Err(CallError::Server(error)));
    }
}
