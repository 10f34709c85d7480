//! Plans as files: pretty JSON that a person can read, edit and commit.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{Plan, SCHEMA};
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
        let text =
            fs::read_to_string(path).map_err(|source| PlanFileError::Io { path: shown.clone(), source })?;
        let not_a_plan = |source| PlanFileError::NotAPlan { path: shown.clone(), source };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(not_a_plan)?;
        if let Some(found) = value["plan"]["schema"].as_u64().filter(|found| *found != u64::from(SCHEMA)) {
            return Err(PlanFileError::Schema { path: shown, found });
        }
        // From the text again, for the sake of line numbers in the error.
        let file: Self = serde_json::from_str(&text).map_err(not_a_plan)?;
        file.plan.check().map_err(|source| PlanFileError::Invalid { path: shown.clone(), source })?;
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

    fn check_faults(&self) -> Result<(), InvalidPlan> {
        let known: std::collections::BTreeSet<_> = self.nodes().collect();
        let named = self.faults.iter().flat_map(super::Fault::nodes).chain(self.clocks.keys().copied());
        for node in named {
            if !known.contains(&node) {
                return Err(InvalidPlan(format!("it names {node}, which it does not have")));
            }
        }
        Ok(())
    }
}
