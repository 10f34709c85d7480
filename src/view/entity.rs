//! Which entity a key belongs to, and whose keys a step's effects name.

use std::fmt;

use serde::{Deserialize, Serialize};
use valkey_sim::engine::{Effect, Effects};

use super::View;
use crate::types::ExecutionId;

pub(super) const EXECUTIONS: &str = "ff:exec:";
const INDEXES: &str = "ff:idx:";

/// What a promise can be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entity {
    /// An execution.
    Execution(ExecutionId),
    /// A flow: its partition's hash tag, and its id.
    Flow(String, String),
    /// A budget: its partition's hash tag, and its id.
    Budget(String, String),
    /// A quota policy: its partition's hash tag, and its id.
    Quota(String, String),
    /// A process of the worker registry: its namespace, and its instance id.
    Worker(String, String),
    /// A waitpoint: its partition's hash tag, and its id.
    Waitpoint(String, String),
    /// The secrets that sign a partition's waitpoint tokens: its hash tag.
    Secrets(String),
    /// A flow's edge: the partition's hash tag, the flow's id, and the edge's.
    Edge(String, String, String),
}

/// An index that names executions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IndexName {
    /// The lane it belongs to; none for the indexes of a whole partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// `eligible`, `active`, `lease_expiry`, `worker:<instance>:leases` …
    pub name: String,
}

impl IndexName {
    /// Reads a key like `ff:idx:{fp:N}:lane:<lane>:eligible` or `ff:idx:{fp:N}:lease_expiry`.
    pub fn of_key(key: &str) -> Option<Self> {
        const LANE_INDEXES: [&str; 5] = ["eligible", "delayed", "active", "suspended", "terminal"];
        let (_, name) = key.strip_prefix(INDEXES)?.split_once("}:")?;
        let plain = || Some(Self { lane: None, name: name.to_owned() });
        let Some(lane) = name.strip_prefix("lane:") else { return plain() };
        let at = LANE_INDEXES
            .iter()
            .find_map(|index| lane.strip_suffix(index)?.strip_suffix(':').map(str::len))
            .or_else(|| lane.find(":blocked:"));
        match at {
            Some(at) => Some(Self { lane: Some(lane[..at].to_owned()), name: lane[at + 1..].to_owned() }),
            None => plain(),
        }
    }

    /// Whether it is the eligible set of a lane, where schedulers look.
    pub fn is_eligible_set(&self) -> bool {
        self.lane.is_some() && self.name == "eligible"
    }
}

impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.lane {
            Some(lane) => write!(f, "{} of lane {lane}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Entity {
    /// The entity that a key belongs to; none for indexes, and for keys that are nobody's.
    pub fn of_key(key: &str) -> Option<Self> {
        let (family, rest) = key.strip_prefix("ff:")?.split_once(':')?;
        match family {
            "exec" | "attempt" | "stream" => {
                let (_, rest) = rest.split_once("}:")?;
                // `{fp:N}:` and a UUID of 36 characters.
                let end = rest.find("}:")? + 2 + 36;
                ExecutionId::parse(rest.get(..end)?).ok().map(Entity::Execution)
            }
            "flow" => tagged(rest).map(|(tag, id)| Entity::Flow(tag, id)),
            "budget" => tagged(rest).map(|(tag, id)| Entity::Budget(tag, id)),
            "quota" => tagged(rest).map(|(tag, id)| Entity::Quota(tag, id)),
            "wp" => tagged(rest).map(|(tag, id)| Entity::Waitpoint(tag, id)),
            "sec" => rest.strip_suffix(":waitpoint_hmac").map(|tag| Entity::Secrets(tag.to_owned())),
            "worker" => {
                let (namespace, rest) = rest.split_once(':')?;
                let instance = rest.strip_suffix(":alive").or_else(|| rest.strip_suffix(":caps"))?;
                Some(Entity::Worker(namespace.to_owned(), instance.to_owned()))
            }
            _ => None,
        }
    }

    /// Whom a flow's key is about besides the flow: the edge, or the member that waits for a group of edges.
    fn within_flow(key: &str) -> Option<Self> {
        let rest = key.strip_prefix("ff:flow:")?;
        let (tag, id) = tagged(rest)?;
        let part = rest.get(tag.len() + id.len() + 2..)?;
        match part.split_once(':')? {
            ("edge", edge) => Some(Entity::Edge(tag, id, edge.to_owned())),
            ("edgegroup", member) => ExecutionId::parse(member).ok().map(Entity::Execution),
            _ => None,
        }
    }
}

/// The hash tag of an execution's partition, `{fp:7}`, which is that of its flow.
pub(crate) fn tag_of(id: &ExecutionId) -> Option<&str> {
    let id = id.as_str();
    id.get(..id.find('}')? + 1)
}

/// Splits `{q:7}:<id>` and `{q:7}:<id>:more`.
fn tagged(rest: &str) -> Option<(String, String)> {
    let end = rest.find('}')? + 1;
    let id = rest.get(end..)?.strip_prefix(':')?;
    let id = id.split(':').next()?;
    Some((rest[..end].to_owned(), id.to_owned()))
}

/// The entities whose keys the effects name, each once, in the order in which they were first named. Of an index these are
/// the executions that came into it, left it, or changed their score; of a flow's keys also the edge, or the member that
/// waits for a group of edges.
pub fn touched(effects: &Effects, before: &View, after: &View) -> Vec<Entity> {
    let mut found = Touched(Vec::new());
    for effect in effects.iter() {
        for key in keys_of(effect).filter_map(|key| std::str::from_utf8(key).ok()) {
            if key.starts_with(INDEXES) {
                found.add_members(effect, key, before, after);
            } else if let Some(entity) = Entity::of_key(key) {
                let part = matches!(entity, Entity::Flow(..)).then(|| Entity::within_flow(key)).flatten();
                found.add(entity);
                part.into_iter().for_each(|part| found.add(part));
            }
        }
    }
    found.0
}

/// The keys that a write names: all of its arguments for those that take several, the first two where something moves from
/// one to the other, else the first.
pub(crate) fn keys_of(effect: Effect<'_>) -> impl Iterator<Item = &[u8]> {
    let count = match effect.name() {
        b"DEL" | b"UNLINK" => effect.len().saturating_sub(1),
        b"RENAME" | b"RENAMENX" | b"COPY" | b"SMOVE" => 2,
        // A message has a channel.
        b"PUBLISH" | b"SPUBLISH" => 0,
        _ => 1,
    };
    (1..=count).map(move |index| effect.arg(index))
}

struct Touched(Vec<Entity>);

impl Touched {
    fn add(&mut self, entity: Entity) {
        if !self.0.contains(&entity) {
            self.0.push(entity);
        }
    }

    fn add_text(&mut self, id: &str) {
        if let Ok(id) = ExecutionId::parse(id) {
            self.add(Entity::Execution(id));
        }
    }

    /// The usual four name the members they write; of any other command the set before and after says.
    fn add_members(&mut self, effect: Effect<'_>, key: &str, before: &View, after: &View) {
        if matches!(effect.name(), b"ZADD" | b"ZREM" | b"SADD" | b"SREM") {
            for arg in effect.args().skip(2).filter(|arg| arg.starts_with(b"{")) {
                self.add_text(&String::from_utf8_lossy(arg));
            }
            return;
        }
        let changed = |one: &View, other: &View| {
            let moved = |member: &String| {
                one.contains(key, member) != other.contains(key, member)
                    || one.score(key, member) != other.score(key, member)
            };
            one.members(key).into_iter().filter(moved).collect::<Vec<_>>()
        };
        for member in changed(before, after).into_iter().chain(changed(after, before)) {
            self.add_text(&member);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "{fp:3}:0e8a5d2c-0000-4000-8000-000000000001";

    #[test]
    fn keys_belong_to_entities() {
        let of = |key: &str| Entity::of_key(key);
        let execution = Some(Entity::Execution(ExecutionId::parse(ID).unwrap()));
        for part in ["core", "claim_grant", "lease:current", "dep:0e8a5d2c-0000-4000-8000-000000000002"] {
            assert_eq!(of(&format!("ff:exec:{{fp:3}}:{ID}:{part}")), execution, "{part}");
        }
        assert_eq!(of(&format!("ff:attempt:{{fp:3}}:{ID}:0:usage")), execution);
        assert_eq!(of(&format!("ff:stream:{{fp:3}}:{ID}:0")), execution);
        let pair = |tag: &str, id: &str| (tag.to_owned(), id.to_owned());
        let (tag, id) = pair("{q:2}", "p");
        assert_eq!(of("ff:quota:{q:2}:p:concurrency"), Some(Entity::Quota(tag, id)));
        let (tag, id) = pair("{b:2}", "p");
        assert_eq!(of("ff:budget:{b:2}:p"), Some(Entity::Budget(tag, id)));
        let (tag, id) = pair("{fp:2}", "f");
        assert_eq!(of("ff:flow:{fp:2}:f:members"), Some(Entity::Flow(tag, id)));
        let (tag, id) = pair("{fp:2}", "w");
        assert_eq!(of("ff:wp:{fp:2}:w:signals"), Some(Entity::Waitpoint(tag, id)));
        assert_eq!(of("ff:sec:{fp:2}:waitpoint_hmac"), Some(Entity::Secrets("{fp:2}".to_owned())));
        let (ns, instance) = pair("sim", "w1-1.1");
        assert_eq!(of("ff:worker:sim:w1-1.1:alive"), Some(Entity::Worker(ns, instance)));
        for odd in ["", "ff:exec:{fp:3}:x:payload", "other", "ff:idx:{fp:3}:lease_expiry", "ff:exec:{é"] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_flows_key_may_be_about_an_edge_or_about_the_member_that_waits() {
        let of = |part: &str| Entity::within_flow(&format!("ff:flow:{{fp:3}}:f:{part}"));
        let edge = Entity::Edge("{fp:3}".to_owned(), "f".to_owned(), "e7".to_owned());
        assert_eq!(of("edge:e7"), Some(edge));
        let waits = Entity::Execution(ExecutionId::parse(ID).unwrap());
        assert_eq!(of(&format!("edgegroup:{ID}")), Some(waits));
        assert_eq!([of("core"), of(&format!("in:{ID}")), of("edgegroup:x")], [None, None, None]);
    }

    #[test]
    fn index_names_carry_their_lane() {
        let name = |key: &str| IndexName::of_key(key).unwrap().to_string();
        assert_eq!(name("ff:idx:{fp:3}:lane:gold:eligible"), "eligible of lane gold");
        assert_eq!(name("ff:idx:{fp:3}:lane:a:b:blocked:route"), "blocked:route of lane a:b");
        assert_eq!(name("ff:idx:{fp:3}:lease_expiry"), "lease_expiry");
        assert_eq!(name("ff:idx:{fp:3}:worker:w-1:leases"), "worker:w-1:leases");
    }
}
