//! Numbers: within what a run can bear, so that no sum of times overflows and no run is without end.

use super::{InvalidPlan, demand};
use crate::plan::{Deed, Execution, Fault, Plan, SafeOn};

/// Bounds on what one run may contain: far above any plan that a person or a profile makes.
mod limits {
    pub const NODES: usize = 1_000;
    pub const EXECUTIONS: usize = 100_000;
    pub const TIME_MS: u64 = 24 * 60 * 60 * 1_000;
    pub const PARTITIONS: u16 = 4_096;
    /// 2100-01-01: far enough, and all sums of times stay well inside 63 bits.
    pub const EPOCH_MS: u64 = 4_102_444_800_000;
    /// A clock may be wrong by ten years.
    pub const CLOCK_MS: u64 = 10 * 365 * TIME_MS;
    /// A clock may gain or lose a tenth.
    pub const DRIFT_PPM: u32 = 100_000;
    pub const MINUTE_US: u64 = 60_000_000;
    pub const MILLION: u32 = 1_000_000;
}

pub(super) fn check(plan: &Plan) -> Result<(), InvalidPlan> {
    size(plan)?;
    settings(plan)?;
    network(plan)?;
    clocks(plan)?;
    times(plan)
}

fn size(plan: &Plan) -> Result<(), InvalidPlan> {
    let nodes = plan.workers.len() + plan.schedulers.len();
    demand(nodes <= limits::NODES, || format!("it has more than {} nodes", limits::NODES))?;
    demand((1..=2).contains(&plan.scanners), || format!("scanners is {}, not 1 or 2", plan.scanners))?;
    let executions = plan.executions.len();
    demand(executions <= limits::EXECUTIONS, || format!("it has more than {} executions", limits::EXECUTIONS))
}

fn settings(plan: &Plan) -> Result<(), InvalidPlan> {
    let s = &plan.settings;
    demand((1..=limits::PARTITIONS).contains(&s.partitions), || {
        format!("settings.partitions is {}, not 1 to {}", s.partitions, limits::PARTITIONS)
    })?;
    let intervals = [
        ("lease_ttl_ms", s.lease_ttl_ms),
        ("request_timeout_ms", s.request_timeout_ms),
        ("poll_ms", s.poll_ms),
        ("lease_scan_ms", s.lease_scan_ms),
        ("delayed_scan_ms", s.delayed_scan_ms),
        ("unblock_scan_ms", s.unblock_scan_ms),
        ("reclaim_scan_ms", s.reclaim_scan_ms),
    ];
    for (name, ms) in intervals {
        demand((1..=limits::TIME_MS).contains(&ms), || {
            format!("settings.{name} is {ms}, not 1 ms to a day")
        })?;
    }
    for (name, number, most) in
        [("wait_ms", s.wait_ms, limits::TIME_MS), ("replica_lag_s", s.replica_lag_s, limits::TIME_MS / 1_000)]
    {
        demand(number.is_none_or(|number| (1..=most).contains(&number)), || {
            format!("settings.{name} is {}, not 1 to {most}", number.unwrap_or_default())
        })?;
    }
    demand(s.wait_ms.is_some() || s.safe_on == SafeOn::Replica, || {
        "settings.safe_on says where clients wait for their writes to be safe, and wait_ms not for how long"
            .to_owned()
    })?;
    if let Some(registry) = &s.registry {
        let times = [
            ("ttl_ms", registry.ttl_ms),
            ("heartbeat_ms", registry.heartbeat_ms),
            ("sweep_ms", registry.sweep_ms),
        ];
        for (name, ms) in times {
            demand((1..=limits::TIME_MS).contains(&ms), || {
                format!("settings.registry.{name} is {ms}, not 1 ms to a day")
            })?;
        }
    }
    for (name, ms) in s.scans.all() {
        demand(ms.is_none_or(|ms| (1..=limits::TIME_MS).contains(&ms)), || {
            format!("settings.scans.{name} is {}, not 1 ms to a day", ms.unwrap_or(0))
        })?;
    }
    Ok(())
}

fn network(plan: &Plan) -> Result<(), InvalidPlan> {
    let network = &plan.network;
    for (name, us) in [("latency_us", network.latency_us), ("jitter_us", network.jitter_us)] {
        demand(us <= limits::MINUTE_US, || format!("network.{name} is more than a minute"))?;
    }
    demand(network.loss_ppm < limits::MILLION, || {
        format!("network.loss_ppm leaves nothing: it is 0 to {}", limits::MILLION - 1)
    })
}

fn clocks(plan: &Plan) -> Result<(), InvalidPlan> {
    for (node, clock) in &plan.clocks {
        let jumps = clock.steps.iter().map(|step| step.by_ms).chain([clock.offset_ms]);
        let furthest_ms = jumps.map(i64::unsigned_abs).max().unwrap_or(0);
        demand(furthest_ms <= limits::CLOCK_MS, || {
            format!("the clock of {node} is wrong by more than ten years")
        })?;
        demand(clock.drift_ppm.unsigned_abs() <= limits::DRIFT_PPM, || {
            format!("the clock of {node} drifts by more than {} ppm", limits::DRIFT_PPM)
        })?;
    }
    Ok(())
}

/// Every other time is at most a day.
fn times(plan: &Plan) -> Result<(), InvalidPlan> {
    demand(plan.epoch_ms <= limits::EPOCH_MS, || "epoch_ms is after the year 2100".to_owned())?;
    let steps = plan.clocks.values().flat_map(|clock| clock.steps.iter().map(|step| step.at_ms));
    let longest = [
        ("run_for_ms", Some(plan.run_for_ms)),
        ("settings.grant_ttl_ms", Some(plan.settings.grant_ttl_ms)),
        ("settings.poll_jitter_ms", Some(plan.settings.poll_jitter_ms)),
        ("a time of an execution", plan.executions.iter().map(Execution::longest_ms).max()),
        ("a time of a fault", plan.faults.iter().map(Fault::longest_ms).max()),
        ("a time of a deed", plan.deeds.iter().map(Deed::longest_ms).max()),
        ("a time of a clock's step", steps.max()),
        ("a window of a quota", plan.quotas.iter().map(|it| it.window_seconds.saturating_mul(1_000)).max()),
        ("an interval of a budget", plan.budgets.iter().map(|it| it.reset_every_ms).max()),
    ];
    for (name, ms) in longest {
        demand(ms.unwrap_or(0) <= limits::TIME_MS, || format!("{name} is more than a day"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::tests::{said, sound},
        limits,
    };

    const MORE_THAN_A_DAY: u64 = limits::TIME_MS + 1;

    #[test]
    fn every_number_has_its_bounds() {
        let worker = |n: usize| json!({ "worker_id": n.to_string(), "lanes": ["gold"], "slots": 1 });
        let crowd: Vec<Value> = (0..999).map(worker).collect();
        let execution = &sound()["executions"][0];
        let unnamed = json!({ "at_ms": 0, "lane": "gold", "work": execution["work"] });
        for (pointer, value, message) in [
            ("/workers", json!(crowd), "it has more than 1000 nodes"),
            ("/executions", json!(vec![unnamed; 100_001]), "it has more than 100000 executions"),
            ("/settings/partitions", json!(0), "settings.partitions is 0, not 1 to 4096"),
            ("/settings/partitions", json!(4_097), "settings.partitions is 4097, not 1 to 4096"),
            ("/network/latency_us", json!(60_000_001), "network.latency_us is more than a minute"),
            ("/network/jitter_us", json!(60_000_001), "network.jitter_us is more than a minute"),
            (
                "/network",
                json!({ "latency_us": 0, "jitter_us": 0, "loss_ppm": 1_000_000 }),
                "network.loss_ppm leaves nothing: it is 0 to 999999",
            ),
            (
                "/clocks/valkey/offset_ms",
                json!(i64::MIN),
                "the clock of valkey is wrong by more than ten years",
            ),
            (
                "/clocks/valkey/steps/0/by_ms",
                json!(i64::MAX),
                "the clock of valkey is wrong by more than ten years",
            ),
            (
                "/clocks/valkey",
                json!({ "drift_ppm": -100_001 }),
                "the clock of valkey drifts by more than 100000 ppm",
            ),
            ("/epoch_ms", json!(u64::MAX), "epoch_ms is after the year 2100"),
            ("/run_for_ms", json!(MORE_THAN_A_DAY), "run_for_ms is more than a day"),
            ("/settings/grant_ttl_ms", json!(MORE_THAN_A_DAY), "settings.grant_ttl_ms is more than a day"),
            (
                "/settings/poll_jitter_ms",
                json!(MORE_THAN_A_DAY),
                "settings.poll_jitter_ms is more than a day",
            ),
            ("/executions/0/at_ms", json!(MORE_THAN_A_DAY), "a time of an execution is more than a day"),
            (
                "/executions/0/work/0/takes_ms",
                json!(MORE_THAN_A_DAY),
                "a time of an execution is more than a day",
            ),
            (
                "/executions/1/work/0/ends/delay",
                json!(MORE_THAN_A_DAY),
                "a time of an execution is more than a day",
            ),
            (
                "/clocks/valkey/steps/0/at_ms",
                json!(MORE_THAN_A_DAY),
                "a time of a clock's step is more than a day",
            ),
        ] {
            assert_eq!(said(pointer, value), message, "{pointer}");
        }
    }

    #[test]
    fn every_interval_is_1_ms_to_a_day() {
        for name in [
            "lease_ttl_ms",
            "request_timeout_ms",
            "poll_ms",
            "lease_scan_ms",
            "delayed_scan_ms",
            "unblock_scan_ms",
            "reclaim_scan_ms",
        ] {
            let pointer = format!("/settings/{name}");
            assert_eq!(said(&pointer, json!(1)), "sound");
            assert_eq!(said(&pointer, json!(limits::TIME_MS)), "sound");
            for ms in [0, MORE_THAN_A_DAY] {
                assert_eq!(said(&pointer, json!(ms)), format!("settings.{name} is {ms}, not 1 ms to a day"));
            }
        }
    }

    #[test]
    fn every_scan_is_absent_or_1_ms_to_a_day_apart() {
        for (name, _) in crate::plan::Scans::default().all() {
            let scans = |ms: u64| json!({ name: ms });
            let mut plan = sound();
            let mut said_of = |ms| {
                plan["settings"]["scans"] = scans(ms);
                let plan: crate::plan::Plan = serde_json::from_value(plan.clone()).unwrap();
                plan.check().map_or_else(|why| why.to_string(), |()| "sound".to_owned())
            };
            assert_eq!(said_of(1), "sound");
            for ms in [0, MORE_THAN_A_DAY] {
                assert_eq!(said_of(ms), format!("settings.scans.{name} is {ms}, not 1 ms to a day"));
            }
        }
    }

    #[test]
    fn a_grant_may_live_for_no_time_at_all() {
        assert_eq!(said("/settings/grant_ttl_ms", json!(0)), "sound");
    }

    #[test]
    fn every_time_of_a_fault_is_at_most_a_day() {
        let call = json!({ "node": "worker-1", "function": "claim", "nth": 1 });
        let long = MORE_THAN_A_DAY;
        for fault in [
            json!({ "fault": "crash", "node": "scanner", "at_ms": long }),
            json!({ "fault": "crash", "node": "scanner", "at_ms": 0, "down_ms": long }),
            json!({ "fault": "pause", "node": "scanner", "at_ms": long, "for_ms": 1 }),
            json!({ "fault": "pause", "node": "scanner", "at_ms": 0, "for_ms": long }),
            json!({ "fault": "partition", "a": "scanner", "b": "valkey", "at_ms": long, "for_ms": 1 }),
            json!({ "fault": "partition", "a": "scanner", "b": "valkey", "at_ms": 0, "for_ms": long }),
            json!({ "fault": "delay_request", "call": call, "by_ms": long }),
            json!({ "fault": "repeat_request", "call": call, "after_ms": long }),
            json!({ "fault": "at_deadline", "call": call, "offset_ms": long }),
            json!({ "fault": "at_deadline", "call": call, "offset_ms": i64::MIN }),
            json!({ "fault": "grant_message", "from": "scanner", "nth": 1, "fate": { "delay": long } }),
            json!({ "fault": "grant_message", "from": "scanner", "nth": 1, "fate": { "twice": long } }),
        ] {
            let mut plan = sound();
            plan["faults"] = json!([fault]);
            let why = serde_json::from_value::<crate::plan::Plan>(plan).unwrap().check().unwrap_err();
            assert_eq!(why.to_string(), "a time of a fault is more than a day", "{fault}");
        }
    }
}
