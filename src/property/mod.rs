//! What must hold: one oracle a file.
//!
//! A property is a monitor. It is shown a trace event by event and says nothing, or what went wrong. It judges
//! what the server wrote, never what a reply claims. All of them know FlowFabric's vocabulary and none of them
//! knows a library: the same oracles judge the published one and yours.

mod at_most_once;
mod eligible;
mod expiry;
mod fence;
mod lane;
mod one_lease;
pub mod reach;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::trace::{Called, Event, Exec, Seq, What};

/// A monitor of one property over one run.
pub trait Property {
    /// Looks at the next event.
    ///
    /// # Errors
    /// What broke. The monitor is not asked again in this run: what follows a broken invariant proves nothing.
    fn observe(&mut self, scene: &Scene<'_>) -> Result<(), Breach>;
}

/// An event, and the call that it belongs to.
pub struct Scene<'a> {
    /// The event.
    pub event: &'a Event,
    /// The function call that caused it; for [`What::Called`], the call itself.
    pub call: Option<&'a Called>,
    /// Whether it is the last that the call caused: what holds between calls is judged here.
    pub ends_call: bool,
}

/// What a monitor says went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The part that the entity played: `expired-grant`, `stale-lease`. Part of the fingerprint.
    pub role: &'static str,
    /// What happened, for people. Never part of the fingerprint.
    pub message: String,
}

/// A property was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub property: String,
    /// What kind of break it is.
    pub fingerprint: Fingerprint,
    /// What happened, for people.
    pub message: String,
    /// The event at which it showed.
    pub at: Seq,
}

/// What makes two breaks the same: the property, the function, its answer, and the role of what was hurt. No ids,
/// times or wording, so that shrinking cannot wander to another bug.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

/// A property as the catalogue lists it.
pub struct Entry {
    /// Its name: in reports, in `--property`, and in a mutant's `breaks`.
    pub name: &'static str,
    /// What it says, in a sentence.
    pub claim: &'static str,
    /// A fresh monitor.
    pub monitor: fn() -> Box<dyn Property>,
}

/// Every property, in the order in which reports name them.
pub static CATALOGUE: &[Entry] = &[
    Entry {
        name: "at-most-once",
        claim: "A grant is consumed at most once, and never without a lease.",
        monitor: || Box::<at_most_once::AtMostOnce>::default(),
    },
    Entry {
        name: "expiry",
        claim: "No lease comes from a grant that had expired by the server's clock, nor from none.",
        monitor: || Box::<expiry::Expiry>::default(),
    },
    Entry {
        name: "lane",
        claim: "The lane the caller chose is the lane in the grant, the claim, the core and every index.",
        monitor: || Box::<lane::Lane>::default(),
    },
    Entry {
        name: "one-lease",
        claim: "An execution has at most one live lease, and its epochs strictly rise.",
        monitor: || Box::<one_lease::OneLease>::default(),
    },
    Entry {
        name: "fence",
        claim: "Nothing is accepted from a lease that is not the current one.",
        monitor: || Box::<fence::Fence>::default(),
    },
    Entry {
        name: "eligible",
        claim: "An execution that is eligible now is in its lane's eligible set, where a scheduler finds it.",
        monitor: || Box::<eligible::Eligible>::default(),
    },
];

/// No property has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no property is called {0:?}: `grantsim properties` lists them")]
pub struct UnknownProperty(pub String);

/// Finds a property by name.
///
/// # Errors
/// [`UnknownProperty`].
pub fn find(name: &str) -> Result<&'static Entry, UnknownProperty> {
    CATALOGUE.iter().find(|entry| entry.name == name).ok_or_else(|| UnknownProperty(name.to_owned()))
}

/// Judges a whole trace by the given properties: at most one violation each, in the order of the events.
pub fn judge(events: &[Event], properties: &[&'static Entry]) -> Vec<Violation> {
    let mut monitors: Vec<_> = properties.iter().map(|entry| Some((entry.monitor)())).collect();
    let mut violations = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let call = call_of(event, events);
        let goes_on =
            events.get(at + 1).is_some_and(|next| next.node == event.node && next.cause == event.cause);
        let scene = Scene { event, call, ends_call: call.is_some() && !goes_on };
        for (entry, slot) in properties.iter().zip(&mut monitors) {
            let Some(monitor) = slot else { continue };
            if let Err(breach) = monitor.observe(&scene) {
                violations.push(violation(entry.name, breach, &scene));
                *slot = None;
            }
        }
    }
    violations
}

fn call_of<'a>(event: &'a Event, events: &'a [Event]) -> Option<&'a Called> {
    let called = |event: &'a Event| match &event.what {
        What::Called(called) => Some(called),
        _ => None,
    };
    called(event).or_else(|| called(events.get(event.cause? as usize)?))
}

fn violation(property: &str, breach: Breach, scene: &Scene<'_>) -> Violation {
    let (function, answer) = scene.call.map_or(("-", "-"), |call| (&call.function, &call.answer));
    Violation {
        property: property.to_owned(),
        fingerprint: Fingerprint(format!("{property}/{function}/{answer}/{}", breach.role)),
        message: breach.message,
        at: scene.event.seq,
    }
}

impl Breach {
    fn new(role: &'static str, message: impl Into<String>) -> Self {
        Self { role, message: message.into() }
    }
}

/// Fails with `role` and the message unless `holds`.
fn ensure(holds: bool, role: &'static str, message: impl FnOnce() -> String) -> Result<(), Breach> {
    if holds { Ok(()) } else { Err(Breach::new(role, message())) }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A lease as the monitors remember it.
#[derive(Clone, Debug)]
struct Held {
    lease_id: String,
    epoch: u64,
    attempt_id: String,
    /// The first millisecond of the server's clock at which it is no longer valid.
    expires_at_ms: i64,
    /// Marked expired when it was, revoked, or given back: whatever the clock says later.
    over: bool,
}

/// The current lease of every execution, folded from the events: what more than one property asks about.
#[derive(Debug, Default)]
struct Leases(std::collections::BTreeMap<Exec, Held>);

impl Leases {
    fn get(&self, execution: Exec) -> Option<&Held> {
        self.0.get(&execution)
    }

    /// Takes the event in. Properties look first and fold then: they judge by what was before.
    fn fold(&mut self, scene: &Scene<'_>) {
        match &scene.event.what {
            What::LeaseCreated { execution, lease_id, epoch, attempt_id, expires_at_ms, .. } => {
                let held = Held {
                    lease_id: lease_id.clone(),
                    epoch: *epoch,
                    attempt_id: attempt_id.clone(),
                    expires_at_ms: *expires_at_ms,
                    over: false,
                };
                self.0.insert(*execution, held);
            }
            What::LeaseRenewed { execution, expires_at_ms } => {
                if let Some(held) = self.0.get_mut(execution) {
                    held.expires_at_ms = *expires_at_ms;
                }
            }
            What::LeaseEnded { execution, .. } => {
                // Whoever says that a lease has expired does not end one that has not.
                let declared = scene.call.filter(|call| call.function == "ff_mark_lease_expired_if_due");
                let held = self.0.get(execution);
                if !declared.is_some_and(|call| held.is_some_and(|held| held.is_live(call.now_ms))) {
                    self.0.remove(execution);
                }
            }
            What::StateChanged { execution, ownership, .. } => {
                let now_ms = scene.call.map_or(i64::MIN, |call| call.now_ms);
                if let Some(held) = self.0.get_mut(execution) {
                    held.over |=
                        ownership == "lease_revoked" || (ownership != "leased" && !held.is_live(now_ms));
                }
            }
            _ => {}
        }
    }
}

impl Held {
    fn is_live(&self, now_ms: i64) -> bool {
        !self.over && now_ms < self.expires_at_ms
    }
}
