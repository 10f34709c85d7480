//! Plans as files: pretty JSON that a person can read, edit and commit.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{Ending, Execution, Fault, Network, Plan, SCHEMA, Work};
use crate::trace::file::LibraryRef;

/// A plan in a file, and what it was made for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// What the plan shows, in a sentence or two.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The library it was recorded with. Another one may be named at replay; a difference is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<LibraryRef>,
    /// The plan.
    pub plan: Plan,
}

/// A plan file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is no plan.
    #[error("{path} is no plan: {source}; `grantsim replay TOKEN --plan FILE` writes one to start from")]
    NotAPlan {
        /// The file.
        path: String,
        /// Why, with line and column.
        source: serde_json::Error,
    },
    /// It was written for another version of grantsim.
    #[error("{path} has schema {found}, this build reads {SCHEMA}: find its token or write it anew")]
    Schema {
        /// The file.
        path: String,
        /// Its schema.
        found: u64,
    },
    /// It contradicts itself.
    #[error("{path} cannot be run: {source}")]
    Invalid {
        /// The file.
        path: String,
        /// How.
        source: InvalidPlan,
    },
}

/// A plan that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPlan(String);

impl PlanFile {
    /// Reads a plan file and checks that it can be run.
    ///
    /// # Errors
    /// [`PlanFileError`]: every variant says what to do next.
    pub fn read(path: &Path) -> Result<Self, PlanFileError> {
        let shown = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Self::from_json(&shown, &text),
            Err(source) => Err(PlanFileError::Io { path: shown, source }),
        }
    }

    /// Reads a plan file's text; `path` is what an error calls it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_json(path: &str, text: &str) -> Result<Self, PlanFileError> {
        let not_a_plan = |source| PlanFileError::NotAPlan { path: path.to_owned(), source };
        let value: serde_json::Value = serde_json::from_str(text).map_err(not_a_plan)?;
        if let Some(found) = value["plan"]["schema"].as_u64().filter(|found| *found != u64::from(SCHEMA)) {
            return Err(PlanFileError::Schema { path: path.to_owned(), found });
        }
        // From the text again, for the sake of line numbers in the error.
        let file: Self = serde_json::from_str(text).map_err(not_a_plan)?;
        file.plan.check().map_err(|source| PlanFileError::Invalid { path: path.to_owned(), source })?;
        Ok(file)
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan is plain data") + "\n"
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`PlanFileError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), PlanFileError> {
        fs::write(path, self.to_json())
            .map_err(|source| PlanFileError::Io { path: path.display().to_string(), source })
    }
}

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
}

impl Plan {
    /// Whether the plan can be run.
    ///
    /// # Errors
    /// What contradicts what.
    pub fn check(&self) -> Result<(), InvalidPlan> {
        let demand = |holds: bool, problem: String| if holds { Ok(()) } else { Err(InvalidPlan(problem)) };
        demand(self.schema == SCHEMA, format!("schema is {}, not {SCHEMA}", self.schema))?;
        self.dialect
            .parse::<valkey_sim::engine::Dialect>()
            .map_err(|unknown| InvalidPlan(unknown.to_string()))?;
        demand(self.schedulers > 0, "it has no scheduler".to_owned())?;
        demand(!self.workers.is_empty(), "it has no worker".to_owned())?;
        demand(
            self.workers.len() + usize::from(self.schedulers) <= limits::NODES,
            format!("it has more than {} nodes", limits::NODES),
        )?;
        demand(
            self.executions.len() <= limits::EXECUTIONS,
            format!("it has more than {} executions", limits::EXECUTIONS),
        )?;
        demand(self.run_for_ms <= limits::TIME_MS, "run_for_ms is more than a day".to_owned())?;
        demand(self.epoch_ms <= limits::EPOCH_MS, "epoch_ms is after the year 2100".to_owned())?;
        let partitions = self.settings.partitions;
        demand(
            (1..=limits::PARTITIONS).contains(&partitions),
            format!("settings.partitions is {partitions}, not 1 to {}", limits::PARTITIONS),
        )?;
        self.check_intervals()?;
        self.check_network()?;
        self.check_clocks()?;
        self.check_times()?;
        for lane in self.lanes() {
            ff_core::types::LaneId::try_new(lane)
                .map_err(|why| InvalidPlan(format!("lane {lane:?}: {why}")))?;
        }
        for worker in &self.workers {
            demand(!worker.lanes.is_empty(), format!("worker {:?} serves no lane", worker.worker_id))?;
        }
        for execution in &self.executions {
            demand(!execution.work.is_empty(), "an execution has no work".to_owned())?;
        }
        self.check_faults()
    }

    fn check_intervals(&self) -> Result<(), InvalidPlan> {
        let s = &self.settings;
        let intervals = [
            ("lease_ttl_ms", s.lease_ttl_ms),
            ("request_timeout_ms", s.request_timeout_ms),
            ("poll_ms", s.poll_ms),
            ("lease_scan_ms", s.lease_scan_ms),
            ("delayed_scan_ms", s.delayed_scan_ms),
            ("unblock_scan_ms", s.unblock_scan_ms),
            ("reclaim_scan_ms", s.reclaim_scan_ms),
        ];
        match intervals.iter().find(|(_, ms)| !(1..=limits::TIME_MS).contains(ms)) {
            Some((name, ms)) => Err(InvalidPlan(format!("settings.{name} is {ms}, not 1 ms to a day"))),
            None => Ok(()),
        }
    }

    fn check_network(&self) -> Result<(), InvalidPlan> {
        let Network { latency_us, jitter_us, loss_ppm } = self.network;
        let slow = latency_us > limits::MINUTE_US || jitter_us > limits::MINUTE_US;
        match (slow, loss_ppm) {
            (true, _) => Err(InvalidPlan("network.latency_us or jitter_us is more than a minute".to_owned())),
            (_, 1_000_000..) => {
                Err(InvalidPlan("network.loss_ppm leaves nothing: it is 0 to 999999".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn check_clocks(&self) -> Result<(), InvalidPlan> {
        for (node, clock) in &self.clocks {
            let jumps = clock.steps.iter().map(|step| step.by_ms).chain([clock.offset_ms]);
            if jumps.map(i64::unsigned_abs).any(|ms| ms > limits::CLOCK_MS) {
                return Err(InvalidPlan(format!("the clock of {node} is wrong by more than ten years")));
            }
            if clock.drift_ppm.unsigned_abs() > limits::DRIFT_PPM {
                return Err(InvalidPlan(format!(
                    "the clock of {node} drifts by more than {} ppm",
                    limits::DRIFT_PPM
                )));
            }
        }
        Ok(())
    }

    /// Every other time of the plan is at most a day, so that no sum of some overflows.
    fn check_times(&self) -> Result<(), InvalidPlan> {
        let of_execution = |execution: &Execution| {
            let of_work = |work: &Work| match work.ends {
                Ending::Delay(by_ms) => work.takes_ms.max(by_ms),
                _ => work.takes_ms,
            };
            let own = [execution.at_ms, execution.delay_ms.unwrap_or(0)];
            own.into_iter().chain(execution.work.iter().map(of_work)).max().unwrap_or(0)
        };
        let steps = self.clocks.values().flat_map(|clock| clock.steps.iter().map(|step| step.at_ms));
        let times = [
            ("settings.grant_ttl_ms", Some(self.settings.grant_ttl_ms)),
            ("a time of an execution", self.executions.iter().map(of_execution).max()),
            ("a time of a fault", self.faults.iter().map(Fault::longest_ms).max()),
            ("a time of a clock's step", steps.max()),
        ];
        match times.iter().find(|(_, ms)| ms.is_some_and(|ms| ms > limits::TIME_MS)) {
            Some((name, _)) => Err(InvalidPlan(format!("{name} is more than a day"))),
            None => Ok(()),
        }
    }

    fn check_faults(&self) -> Result<(), InvalidPlan> {
        let known: std::collections::BTreeSet<_> = self.nodes().collect();
        let named = self.faults.iter().flat_map(Fault::nodes).chain(self.clocks.keys().copied());
        for node in named {
            if !known.contains(&node) {
                return Err(InvalidPlan(format!("it names {node}, which it does not have")));
            }
        }
        Ok(())
    }
}
