//! The looks that FlowFabric's background scanners take before they call: what is due in an index, and what they must know
//! of what they find. All are plain commands.

use ff_core::{
    keys::{
        BudgetKeyContext, FlowIndexKeys, FlowKeyContext, IndexKeys, QuotaKeyContext, budget_resets_key,
        quota_policies_index, worker_alive_key_ns, workers_index_key_ns,
    },
    partition::{Partition, PartitionConfig, PartitionFamily, budget_partition, quota_partition},
    types::{
        BudgetId, EdgeId, ExecutionId, LaneId, Namespace, QuotaPolicyId, TimestampMs, WaitpointId,
        WorkerInstanceId,
    },
};
use valkey_sim::engine::Reply;

use super::{
    ExecutionKeys, FlowAt, Plain, args,
    command::{due, execution_ids, optional, plain},
    flow_partition_at,
    reply::{ReadResult, array, text},
};

fn texts(reply: &Reply) -> ReadResult<Vec<String>> {
    Ok(array(reply)?.iter().filter_map(text).collect())
}

fn fields(reply: &Reply) -> ReadResult<Vec<Option<String>>> {
    array(reply)?.iter().map(optional).collect()
}

fn index(partition: u16) -> IndexKeys {
    IndexKeys::new(&flow_partition_at(partition))
}

/// A partition's attempts that took too long, the longest overdue first.
pub fn attempts_timed_out(partition: u16, now: TimestampMs, limit: usize) -> Plain<Vec<ExecutionId>> {
    due(index(partition).attempt_timeout(), now, limit)
}

/// A partition's executions that are past their deadline.
pub fn deadlines_due(partition: u16, now: TimestampMs, limit: usize) -> Plain<Vec<ExecutionId>> {
    due(index(partition).execution_deadline(), now, limit)
}

/// A partition's suspensions that took too long.
pub fn suspensions_due(partition: u16, now: TimestampMs, limit: usize) -> Plain<Vec<ExecutionId>> {
    due(index(partition).suspension_timeout(), now, limit)
}

/// A partition's pending waitpoints that nobody came to wait at in time.
pub fn waitpoints_due(partition: u16, now: TimestampMs, limit: usize) -> Plain<Vec<String>> {
    let key = index(partition).pending_waitpoint_expiry();
    plain(args!["ZRANGEBYSCORE", key, "-inf", now, "LIMIT", "0", limit], texts)
}

/// Whose waitpoint it is.
pub fn waitpoint_owner(partition: u16, waitpoint_id: &WaitpointId) -> Plain<Option<String>> {
    let key = format!("ff:wp:{}:{waitpoint_id}", flow_partition_at(partition).hash_tag());
    plain(args!["HGET", key, "execution_id"], optional)
}

/// A lane's executions that wait for others.
pub fn waiting_for_others(partition: u16, lane_id: &LaneId, limit: usize) -> Plain<Vec<ExecutionId>> {
    due(index(partition).lane_blocked_dependencies(lane_id), "+inf", limit)
}

/// What an execution waits for: the edges that are open.
pub fn open_edges(execution_id: &ExecutionId) -> Plain<Vec<String>> {
    plain(args!["SMEMBERS", ExecutionKeys::of(execution_id).exec.deps_unresolved()], texts)
}

/// What an execution knows of an edge: the flow, who is waited for, the kind, what of its result is passed on.
pub fn edge(execution_id: &ExecutionId, edge_id: &EdgeId) -> Plain<Vec<Option<String>>> {
    let key = ExecutionKeys::of(execution_id).exec.dep_edge(edge_id);
    let names = ["flow_id", "upstream_execution_id", "dependency_kind", "data_passing_ref"];
    plain(args!["HMGET", key, names[0], names[1], names[2], names[3]], fields)
}

/// A partition's cancelled flows whose members should have been cancelled by now.
pub fn cancelled_flows_due(partition: u16, now: TimestampMs, limit: usize) -> Plain<Vec<String>> {
    let key = FlowIndexKeys::new(&flow_partition_at(partition)).cancel_backlog();
    plain(args!["ZRANGEBYSCORE", key, "-inf", now, "LIMIT", "0", limit], texts)
}

fn flow_keys(flow: &FlowAt) -> FlowKeyContext {
    FlowKeyContext::new(&flow_partition_at(flow.partition), &flow.flow_id)
}

/// The members of a cancelled flow that are still to be cancelled.
pub fn members_to_cancel(flow: &FlowAt, limit: usize) -> Plain<Vec<ExecutionId>> {
    plain(args!["SRANDMEMBER", flow_keys(flow).pending_cancels(), limit], execution_ids)
}

/// Takes a flow without such members out of the backlog. Answers how many that was.
pub fn forget_cancelled_flow(flow: &FlowAt) -> Plain<Option<String>> {
    let key = FlowIndexKeys::new(&flow_partition_at(flow.partition)).cancel_backlog();
    plain(args!["ZREM", key, flow.flow_id], optional)
}

/// A partition's groups of which some are no longer needed: `<flow>|<who waited>`.
pub fn sibling_groups(partition: u16, limit: usize) -> Plain<Vec<String>> {
    let key = FlowIndexKeys::new(&flow_partition_at(partition)).pending_cancel_groups();
    plain(args!["SRANDMEMBER", key, limit], texts)
}

/// Those of a group that are no longer needed, one `|` between two; none where none is left.
pub fn unneeded_siblings(flow: &FlowAt, downstream: &ExecutionId) -> Plain<Option<String>> {
    let key = flow_keys(flow).edgegroup(downstream);
    plain(args!["HGET", key, "cancel_siblings_pending_members"], optional)
}

fn quota_keys(id: &QuotaPolicyId) -> QuotaKeyContext {
    QuotaKeyContext::new(&quota_partition(id, &PartitionConfig::default()), id)
}

/// The quota policies of a quota partition.
pub fn quota_policies(partition: u16) -> Plain<Vec<String>> {
    let tag = Partition { family: PartitionFamily::Quota, index: partition }.hash_tag();
    plain(args!["SMEMBERS", quota_policies_index(&tag)], texts)
}

/// How a quota is defined: how many requests a window, how long a window is in seconds, how many at once.
pub fn quota_definition(id: &QuotaPolicyId) -> Plain<Vec<Option<String>>> {
    let key = quota_keys(id).definition();
    let names = ["max_requests_per_window", "requests_per_window_seconds", "active_concurrency_cap"];
    plain(args!["HMGET", key, names[0], names[1], names[2]], fields)
}

/// Forgets the requests of a quota up to a time. Answers how many.
pub fn trim_window(id: &QuotaPolicyId, until: TimestampMs) -> Plain<Option<String>> {
    let key = quota_keys(id).window(super::quota::DIMENSION);
    plain(args!["ZREMRANGEBYSCORE", key, "-inf", until], optional)
}

/// How many requests a quota's window has.
pub fn window_size(id: &QuotaPolicyId) -> Plain<Option<String>> {
    plain(args!["ZCARD", quota_keys(id).window(super::quota::DIMENSION)], optional)
}

/// How many are admitted at once, by the quota's counter.
pub fn concurrency(id: &QuotaPolicyId) -> Plain<Option<String>> {
    plain(args!["GET", quota_keys(id).concurrency()], optional)
}

/// Those that a quota has admitted, and nobody gave back.
pub fn admitted(id: &QuotaPolicyId) -> Plain<Vec<ExecutionId>> {
    plain(args!["SMEMBERS", quota_keys(id).admitted_set()], execution_ids)
}

fn budget_keys(id: &BudgetId) -> BudgetKeyContext {
    BudgetKeyContext::new(&budget_partition(id, &PartitionConfig::default()), id)
}

/// The budgets of a budget partition that are due to be reset.
pub fn budgets_due(partition: u16, now: TimestampMs, limit: usize) -> Plain<Vec<String>> {
    let tag = Partition { family: PartitionFamily::Budget, index: partition }.hash_tag();
    plain(args!["ZRANGEBYSCORE", budget_resets_key(&tag), "-inf", now, "LIMIT", "0", limit], texts)
}

/// The limits of a budget: `hard:<dimension>` and what it is, and so on.
pub fn budget_limits(id: &BudgetId) -> Plain<Vec<String>> {
    plain(args!["HGETALL", budget_keys(id).limits()], |reply| match reply {
        Reply::Map(pairs) => Ok(pairs.iter().flat_map(|(k, v)| [k, v]).filter_map(text).collect()),
        other => texts(other),
    })
}

/// What is used of a budget, in these dimensions.
pub fn budget_usage(id: &BudgetId, dimensions: &[String]) -> Plain<Vec<Option<String>>> {
    let mut words = args!["HMGET", budget_keys(id).usage()];
    words.extend(dimensions.iter().map(|dimension| dimension.clone().into_bytes()));
    plain(words, fields)
}

/// The worker processes that the registry knows of, alive or not.
pub fn registered_workers(namespace: &Namespace) -> Plain<Vec<String>> {
    plain(args!["SMEMBERS", workers_index_key_ns(namespace)], texts)
}

/// Whether a worker process of the registry is alive.
pub fn worker_is_alive(namespace: &Namespace, instance: &WorkerInstanceId) -> Plain<Option<String>> {
    plain(args!["EXISTS", worker_alive_key_ns(namespace, instance)], optional)
}

/// Takes a worker process out of the registry's index. Answers how many that was.
pub fn forget_worker(namespace: &Namespace, instance: &WorkerInstanceId) -> Plain<Option<String>> {
    plain(args!["SREM", workers_index_key_ns(namespace), instance], optional)
}

/// Notes in an execution what it is charged to: what the scheduler reads before it grants.
pub fn attach(
    execution_id: &ExecutionId,
    budgets: &[BudgetId],
    quota: Option<&QuotaPolicyId>,
) -> Plain<Option<String>> {
    let budgets: Vec<String> = budgets.iter().map(BudgetId::to_string).collect();
    let core = ExecutionKeys::of(execution_id).exec.core();
    plain(args!["HSET", core, "budget_ids", budgets.join(","), "quota_policy_id", quota], optional)
}
