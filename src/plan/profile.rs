//! Profiles: shapes of plans, by name.

use proptest::prelude::*;

use super::{
    Plan,
    strategy::{Budget, Families, Shape, Weights, plans},
};
use crate::types::FaultClass::*;

/// A shape of plans with a name.
pub struct Profile {
    /// Its name: on the command line and in tokens.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// Its plans.
    pub plans: fn() -> BoxedStrategy<Plan>,
}

/// The profile that a hunt draws from unless told otherwise.
pub const DEFAULT: &str = "swarm";

/// Every profile.
pub static PROFILES: &[Profile] = &[
    Profile {
        name: "swarm",
        about: "a random subset of all faults, with random weights: the default",
        plans: || swarm().boxed(),
    },
    Profile {
        name: "calm",
        about: "nothing breaks: the happy path, several lanes, retries and delays",
        plans: || plans(calm()).boxed(),
    },
    Profile {
        name: "race",
        about: "many workers, few executions, grants that live a few milliseconds",
        plans: || plans(race()).boxed(),
    },
    Profile {
        name: "edge",
        about: "claims that land at the grant's expiry and 1 ms around it; grants of 1 ms, and of none",
        plans: || plans(edge()).boxed(),
    },
    Profile {
        name: "crash",
        about: "workers, schedulers and scanners die, restart, and pause past their leases",
        plans: || plans(crash()).boxed(),
    },
    Profile {
        name: "lossy",
        about: "requests lost, replies lost after the commit, late and repeated requests, partitions",
        plans: || plans(lossy()).boxed(),
    },
    Profile {
        name: "restart",
        about: "the server is killed or loses its power, comes back with what it had, or with less, or lacks its library",
        plans: || plans(restart()).boxed(),
    },
    Profile {
        name: "failover",
        about: "a replica that lacks some of what was acknowledged takes the server's place; split brains; other clocks",
        plans: || plans(failover()).boxed(),
    },
    Profile {
        name: "clock",
        about: "every clock is wrong, drifts, and is set, the server's above all",
        plans: || plans(clock()).boxed(),
    },
    Profile {
        name: "pct",
        about: "who is quick and who is slow, and when that turns: priorities in the place of random latencies (PCT)",
        plans: || plans(pct()).boxed(),
    },
    Profile {
        name: "life",
        about: "the whole life of an execution: every family of workload at once, and few faults",
        plans: || plans(life()).boxed(),
    },
];

/// No profile has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no profile is called {0:?}: `grantsim profiles` lists them")]
pub struct UnknownProfile(pub String);

/// Finds a profile by name.
///
/// # Errors
/// [`UnknownProfile`].
pub fn find(name: &str) -> Result<&'static Profile, UnknownProfile> {
    PROFILES.iter().find(|profile| profile.name == name).ok_or_else(|| UnknownProfile(name.to_owned()))
}

fn calm() -> Shape {
    Shape {
        workers: 2..=4,
        schedulers: 1..=2,
        executions: 10..=40,
        slots: 1..=4,
        grant_ttl_ms: vec![500..=5_000],
        lease_ttl_ms: 600..=4_000,
        work_ms: 1..=1_500,
        request_timeout_ms: 500..=1_000,
        latency_us: 300..=2_000,
        jitter_us: 0..=2_000,
        loss_ppm: 0..=0,
        faults: 0..=0,
        weights: Weights::of([]),
        budget: Budget::ANY,
        skew_ms: 0,
        by_priority: false,
        families: Families::swarm_of_the_well_behaved(),
    }
}

fn race() -> Shape {
    Shape {
        workers: 4..=8,
        schedulers: 2..=3,
        executions: 3..=12,
        slots: 2..=6,
        grant_ttl_ms: vec![4..=60],
        latency_us: 50..=400,
        jitter_us: 0..=400,
        lease_ttl_ms: 30..=400,
        work_ms: 1..=200,
        faults: 0..=4,
        weights: Weights::of([(RepeatedRequest, 1), (GrantMessage, 3), (LateRequest, 1)]),
        families: Families::none(),
        ..calm()
    }
}

fn edge() -> Shape {
    Shape {
        executions: 6..=20,
        // At the shortest, only the quickest of claims arrive in time; of none, none does.
        grant_ttl_ms: vec![0..=0, 1..=1, 2..=10, 10..=60, 20..=200],
        latency_us: 50..=300,
        jitter_us: 0..=100,
        lease_ttl_ms: 10..=500,
        work_ms: 1..=600,
        faults: 4..=10,
        weights: Weights::of([(AtDeadline, 8), (GrantMessage, 1)]),
        families: Families::none(),
        ..calm()
    }
}

fn crash() -> Shape {
    Shape {
        executions: 8..=30,
        grant_ttl_ms: vec![50..=2_000],
        lease_ttl_ms: 200..=2_000,
        faults: 2..=8,
        weights: Weights::of([(Crash, 4), (Pause, 4), (GrantMessage, 1)]),
        // Of a deployment of few processes some are always there.
        budget: Budget { at_once: 3, ..Budget::ANY },
        families: Families::swarm(),
        ..calm()
    }
}

fn lossy() -> Shape {
    Shape {
        executions: 8..=30,
        grant_ttl_ms: vec![100..=3_000],
        lease_ttl_ms: 200..=2_500,
        request_timeout_ms: 100..=800,
        loss_ppm: 0..=20_000,
        faults: 4..=14,
        weights: Weights::of([
            (LostRequest, 2),
            (LostReply, 4),
            (LateRequest, 4),
            (RepeatedRequest, 3),
            (Partition, 2),
            (GrantMessage, 1),
        ]),
        families: Families::swarm(),
        ..calm()
    }
}

fn restart() -> Shape {
    Shape {
        executions: 8..=30,
        grant_ttl_ms: vec![100..=3_000],
        lease_ttl_ms: 300..=3_000,
        request_timeout_ms: 200..=800,
        faults: 1..=5,
        weights: Weights::of([
            (Restart, 4),
            (LostWrites, 4),
            (Library, 2),
            (OutOfMemory, 2),
            (Eviction, 1),
            (Slow, 1),
            (LostReply, 3),
        ]),
        budget: Budget { at_most: 3, at_once: 1, quiet_ms: 200 },
        families: Families::swarm(),
        ..calm()
    }
}

fn failover() -> Shape {
    Shape {
        executions: 8..=30,
        grant_ttl_ms: vec![100..=3_000],
        lease_ttl_ms: 300..=3_000,
        request_timeout_ms: 200..=800,
        faults: 1..=4,
        weights: Weights::of([(Failover, 4), (SplitBrain, 3), (Partition, 1), (Slow, 1), (LateRequest, 1)]),
        budget: Budget { at_most: 2, at_once: 1, quiet_ms: 500 },
        families: Families::swarm(),
        ..calm()
    }
}

fn clock() -> Shape {
    Shape {
        executions: 8..=30,
        grant_ttl_ms: vec![20..=3_000],
        lease_ttl_ms: 200..=3_000,
        faults: 0..=4,
        weights: Weights::of([(AtDeadline, 2), (LateRequest, 2), (Pause, 1)]),
        skew_ms: 3_000,
        families: Families::swarm(),
        ..calm()
    }
}

/// By priority, and not by chance: see [`Priorities`](super::Priorities). Short enough for each request to be one of few.
fn pct() -> Shape {
    Shape {
        workers: 2..=5,
        executions: 3..=12,
        grant_ttl_ms: vec![20..=200, 200..=2_000],
        lease_ttl_ms: 100..=1_500,
        work_ms: 1..=600,
        latency_us: 100..=800,
        jitter_us: 0..=0,
        faults: 0..=6,
        weights: Weights::of([
            (LostReply, 2),
            (LateRequest, 1),
            (RepeatedRequest, 2),
            (GrantMessage, 2),
            (Pause, 2),
            (Crash, 1),
        ]),
        by_priority: true,
        families: Families::swarm(),
        ..calm()
    }
}

fn life() -> Shape {
    Shape {
        executions: 8..=24,
        grant_ttl_ms: vec![200..=3_000],
        lease_ttl_ms: 200..=3_000,
        faults: 0..=5,
        weights: Weights::of([(Crash, 1), (Pause, 1), (LostReply, 2), (LateRequest, 2), (GrantMessage, 1)]),
        families: Families::all(),
        ..calm()
    }
}

/// Everything, in random amounts: see [`Weights::swarm`].
fn swarm() -> impl Strategy<Value = Plan> {
    // Grants of no duration never exist, and nothing comes of such a run: one in forty is enough.
    let grant_ttl_ms = prop_oneof![1 => Just(0..=0), 4 => Just(5..=60), 35 => Just(50..=3_000)];
    let skew_ms = prop_oneof![3 => Just(0i64), 1 => Just(50), 1 => Just(3_000)];
    let loss_ppm = prop_oneof![3 => Just(0u32), 1 => Just(20_000)];
    (Weights::swarm(), grant_ttl_ms, skew_ms, loss_ppm, 3..=8usize, 50..=3_000u64).prop_flat_map(
        |(weights, grant_ttl_ms, skew_ms, loss_ppm, most_workers, lease_ttl_ms)| {
            plans(Shape {
                workers: 2..=most_workers,
                schedulers: 1..=3,
                executions: 10..=40,
                grant_ttl_ms: vec![grant_ttl_ms],
                lease_ttl_ms: lease_ttl_ms..=lease_ttl_ms,
                request_timeout_ms: 100..=1_000,
                latency_us: 50..=1_500,
                jitter_us: 0..=1_500,
                loss_ppm: 0..=loss_ppm,
                faults: 0..=16,
                weights,
                skew_ms,
                families: Families::swarm(),
                ..calm()
            })
        },
    )
}
