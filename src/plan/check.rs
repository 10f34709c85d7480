//! Whether a plan can be run: no contradictions, no names that lead nowhere, no numbers that no run survives.
//!
//! A message says where (`faults[2]`, counted from 0 as tools for JSON do), what is wrong, and what to do about it where
//! that is not obvious.

mod arrivals;
mod calls;
mod deeds;
mod faults;
mod names;
mod numbers;
mod priorities;

use super::{Plan, SCHEMA};

/// A plan that cannot be run, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPlan(String);

impl Plan {
    /// Whether the plan can be run.
    ///
    /// # Errors
    /// The first thing in it that cannot be.
    pub fn check(&self) -> Result<(), InvalidPlan> {
        demand(self.schema == SCHEMA, || format!("schema is {}, not {SCHEMA}", self.schema))?;
        let is_manned = |some: bool| some || !self.calls.is_empty();
        demand(is_manned(!self.schedulers.is_empty()), || "it has no scheduler: give it one".to_owned())?;
        demand(is_manned(!self.workers.is_empty()), || "it has no worker: give it one".to_owned())?;
        numbers::check(self)?;
        names::check(self)?;
        for worker in &self.workers {
            demand(!worker.lanes.is_empty(), || format!("{} serves no lane: give it one", worker.name))?;
        }
        for execution in &self.executions {
            let name = &execution.name;
            demand(!execution.work.is_empty(), || {
                format!("execution {name} has no work: say how its first attempt ends")
            })?;
        }
        deeds::check(self)?;
        calls::check(self)?;
        arrivals::check(self)?;
        priorities::check(self)?;
        faults::check(self)
    }
}

fn demand(holds: bool, problem: impl FnOnce() -> String) -> Result<(), InvalidPlan> {
    if holds { Ok(()) } else { Err(InvalidPlan(problem())) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What is said of the sound plan with other values in these places of it.
    pub(super) fn said_with<const N: usize>(values: [(&str, Value); N]) -> String {
        let mut plan = sound();
        values.into_iter().for_each(|(place, value)| plan[place] = value);
        let plan: Plan = serde_json::from_value(plan).unwrap();
        plan.check().map_or_else(|why| why.to_string(), |()| "sound".to_owned())
    }

    /// A plan with one of everything, to be spoiled.
    pub(super) fn sound() -> Value {
        json!({
            "schema": 2, "seed": 1, "epoch_ms": 0, "run_for_ms": 1_000,
            "settings": crate::plan::Settings::default(),
            "network": { "latency_us": 500, "jitter_us": 100 },
            "clocks": { "valkey": { "offset_ms": 5, "steps": [{ "at_ms": 100, "by_ms": 10 }] } },
            "schedulers": ["scheduler-1", "scheduler-2"],
            "workers": [
                { "name": "worker-1", "worker_id": "w1", "lanes": ["gold"], "slots": 2 },
                { "name": "worker-2", "worker_id": "w1", "lanes": ["gold"], "slots": 2 },
            ],
            "executions": [
                { "name": "e1", "at_ms": 0, "lane": "gold", "work": [{ "takes_ms": 100, "ends": "complete" }] },
                { "name": "e2", "at_ms": 0, "lane": "gold", "work": [{ "takes_ms": 100, "ends": { "delay": 5 } }] },
            ],
        })
    }

    /// What the check says of the sound plan with one value changed.
    pub(super) fn said(pointer: &str, value: Value) -> String {
        let mut spoiled = sound();
        *spoiled.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
        let plan: Plan = serde_json::from_value(spoiled).unwrap();
        plan.check().map_or_else(|why| why.to_string(), |()| "sound".to_owned())
    }

    #[test]
    fn a_sound_plan_passes() {
        assert_eq!(said("/seed", json!(2)), "sound");
        assert_eq!(said("/executions", json!([])), "sound");
    }

    #[test]
    fn a_plan_has_todays_schema_a_worker_and_a_scheduler() {
        for (pointer, value, message) in [
            ("/schema", json!(3), "schema is 3, not 2"),
            ("/schedulers", json!([]), "it has no scheduler: give it one"),
            ("/schedulers", json!(0), "it has no scheduler: give it one"),
            ("/workers", json!([]), "it has no worker: give it one"),
        ] {
            assert_eq!(said(pointer, value), message);
        }
    }

    #[test]
    fn workers_and_executions_have_something_to_do() {
        for (pointer, value, message) in [
            ("/workers/1/lanes", json!([]), "worker-2 serves no lane: give it one"),
            ("/executions/0/work", json!([]), "execution e1 has no work: say how its first attempt ends"),
        ] {
            assert_eq!(said(pointer, value), message);
        }
    }
}
