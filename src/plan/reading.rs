//! Reading what a plan file may leave out, and what older files left out.
//!
//! Schema 1 had no names: workers and executions were known by their places, schedulers by their number, a call by its
//! node. Schema 2 reads all of that, so that upgrading is nothing but filling in names. A file of today may leave the
//! same things out, for a person's convenience.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, de::Error};

use super::{Deed, Execution, SCHEMA, Worker};
use crate::types::{ExecutionName, Label, Node};

/// Whether something need not be written, as it is what is read where nothing stands.
pub(super) fn is_default<T: Default + PartialEq>(it: &T) -> bool {
    *it == T::default()
}

/// The oldest schema that can be read.
pub(super) const OLDEST_SCHEMA: u32 = 1;

/// The version: an older one that can be read becomes today's. Any other stays, for `Plan::check` to refuse.
pub(super) fn schema<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let written = u32::deserialize(from)?;
    Ok(if (OLDEST_SCHEMA..SCHEMA).contains(&written) { SCHEMA } else { written })
}

/// Schedulers by name, or their number.
pub(super) fn schedulers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Node>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "schedulers are a list of names, or their number (at most 65535)")]
    enum Written {
        Number(u16),
        Names(Vec<Node>),
    }
    Ok(match Written::deserialize(from)? {
        Written::Number(number) => (1..=number).map(Node::Scheduler).collect(),
        Written::Names(names) => names,
    })
}

/// Workers; those without a name get one by their place.
pub(super) fn workers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Worker>, D::Error> {
    let mut workers = Vec::<Worker>::deserialize(from)?;
    if u16::try_from(workers.len() * 2).is_err() {
        return Err(Error::custom(format!("{} workers are more than can be numbered", workers.len())));
    }
    let by_place = |place| Node::Worker(u16::try_from(place).expect("at most twice their number"));
    fill(&mut workers, |worker| &mut worker.name, unnamed_worker(), by_place);
    Ok(workers)
}

/// Executions; those without a name get one by their place.
pub(super) fn executions<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Execution>, D::Error> {
    let mut executions = Vec::<Execution>::deserialize(from)?;
    fill(&mut executions, |execution| &mut execution.name, unnamed_execution(), ExecutionName::nth);
    Ok(executions)
}

/// Deeds; those without a name get one by their place.
pub(super) fn deeds<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Deed>, D::Error> {
    let mut deeds = Vec::<Deed>::deserialize(from)?;
    fill(&mut deeds, |deed| &mut deed.name, unnamed_deed(), Deed::nth);
    Ok(deeds)
}

/// The name of an execution that has one: unlike elsewhere (an id may stand for a name), it must be well formed.
pub(super) fn execution_name<'de, D: Deserializer<'de>>(from: D) -> Result<ExecutionName, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// Stands for an absent name until [`workers`] fills it in. No file can say it: numbers count from 1.
pub(super) fn unnamed_worker() -> Node {
    Node::Worker(0)
}

/// Stands for an absent name until [`executions`] fills it in. No file can say it: a name has a character.
pub(super) fn unnamed_execution() -> ExecutionName {
    ExecutionName::of_id("")
}

/// Stands for an absent name until [`deeds`] fills it in: a name has a character.
pub(super) fn unnamed_deed() -> Label {
    Label::from("")
}

/// Names what has no name by its place, counted from 1, or by the next name after it that nobody has.
fn fill<T, N: Ord + Clone>(
    all: &mut [T],
    name: impl Fn(&mut T) -> &mut N,
    unnamed: N,
    by_place: impl Fn(usize) -> N,
) {
    let taken: BTreeSet<N> = all.iter_mut().map(|one| name(one).clone()).collect();
    // Every name from a place up to the one it got is taken, so the search never goes back.
    let mut number = 0;
    for (index, one) in all.iter_mut().enumerate() {
        if *name(one) == unnamed {
            number = (index + 1).max(number + 1);
            while taken.contains(&by_place(number)) {
                number += 1;
            }
            *name(one) = by_place(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn names<T>(
        read: fn(Value) -> serde_json::Result<Vec<T>>,
        written: Value,
        name: fn(&T) -> String,
    ) -> Vec<String> {
        read(written).unwrap().iter().map(name).collect()
    }

    fn execution(name: Option<&str>) -> Value {
        let mut written = json!({ "at_ms": 0, "lane": "gold", "work": [] });
        if let Some(name) = name {
            written["name"] = name.into();
        }
        written
    }

    fn execution_names(written: &[Option<&str>]) -> Vec<String> {
        let written = written.iter().map(|name| execution(*name)).collect();
        names(executions, written, |execution| execution.name.to_string())
    }

    #[test]
    fn executions_without_names_are_named_by_their_places() {
        assert_eq!(execution_names(&[None, None, None]), ["e1", "e2", "e3"]);
        assert_eq!(execution_names(&[Some("first"), None]), ["first", "e2"]);
    }

    #[test]
    fn a_name_that_is_taken_is_skipped() {
        assert_eq!(execution_names(&[None, Some("e1"), None]), ["e2", "e1", "e3"]);
        assert_eq!(execution_names(&[None, None, Some("e2")]), ["e1", "e3", "e2"]);
    }

    #[test]
    fn a_name_that_is_written_must_be_well_formed() {
        for name in ["", "no spaces", "a\u{e9}"] {
            let error = executions(json!([execution(Some(name))])).unwrap_err().to_string();
            assert!(error.contains("cannot name an execution"), "{error}");
        }
    }

    #[test]
    fn workers_without_names_are_named_by_their_places() {
        let plain = json!({ "worker_id": "w", "lanes": ["gold"], "slots": 1 });
        let mut second = plain.clone();
        second["name"] = "worker-1".into();
        let written = json!([plain, second, plain]);
        let read = names(workers, written, |worker| worker.name.to_string());
        assert_eq!(read, ["worker-2", "worker-1", "worker-3"]);
        assert!(workers(Value::Array(vec![plain; 40_000])).is_err());
    }

    #[test]
    fn schedulers_are_names_or_a_number() {
        let both = vec![Node::Scheduler(1), Node::Scheduler(2)];
        assert_eq!(schedulers(json!(2)).unwrap(), both);
        assert_eq!(schedulers(json!(["scheduler-1", "scheduler-2"])).unwrap(), both);
        for none in [json!(-1), json!(65_536), json!("two"), json!([2])] {
            let error = schedulers(none).unwrap_err().to_string();
            assert!(error.starts_with("schedulers are a list of names"), "{error}");
        }
    }

    #[test]
    fn an_older_schema_becomes_todays_and_an_unknown_one_stays() {
        for (written, read) in [(0, 0), (1, 2), (2, 2), (3, 3)] {
            assert_eq!(schema(json!(written)).unwrap(), read);
        }
    }
}
