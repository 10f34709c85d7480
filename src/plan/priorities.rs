//! Priorities: whose requests and messages come first, where it is not left to the latencies.
//!
//! A run draws latencies, and so orders what happens at random; an order that takes several rare draws after another is rare as
//! their product. Priorities say instead who is quick and who is slow for as long as it lasts, and at which request that turns:
//! with *n* nodes, *k* requests and *d* − 1 turns, an order for which *d* things must come in a certain sequence is met with a
//! probability of at least 1/(n·k^(d−1)) (Burckhardt, Kothari, Musuvathi, Nagarakatte: *A randomized scheduler with
//! probabilistic guarantees of finding bugs*, ASPLOS 2010). That is so as far as whoever is a step ahead is done within the step:
//! in simulated time a place is a delay, and what stands behind comes through in the end, as in a network.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::Node;

/// The places of nodes among those that send: what is sent from the place *p* is under way for *p* steps longer.
///
/// ```
/// use grantsim::{plan::Priorities, types::Node};
/// let priorities: Priorities = serde_json::from_str(
///     r#"{ "step_us": 2000, "places": { "worker-1": { "1": 2, "14": 7 }, "scanner": { "3": 1 } } }"#,
/// )?;
/// assert_eq!(priorities.wait_us(Node::Worker(1), 13), 4_000);
/// assert_eq!(priorities.wait_us(Node::Worker(1), 14), 14_000);
/// assert_eq!(priorities.wait_us(Node::Scanner, 2), 0, "whoever has no place yet is first");
/// assert_eq!(priorities.most_us(), 14_000);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Priorities {
    /// How much later a place is than the one before it, microseconds: a round trip, for those before to go on meanwhile.
    pub step_us: u64,
    /// From which of its requests on, counted from 1 over all lives of the node, a node has which place. 0 is the first, and
    /// that of whoever is not named.
    pub places: BTreeMap<Node, BTreeMap<u64, u32>>,
}

impl Priorities {
    /// How much longer the network has what a node sends as its `nth` request, or before its next, microseconds.
    pub fn wait_us(&self, node: Node, nth: u64) -> u64 {
        let places = self.places.get(&node);
        let place = places.and_then(|places| places.range(..=nth).next_back()).map_or(0, |(_, place)| *place);
        self.step_us.saturating_mul(u64::from(place))
    }

    /// How much longer it is at most, microseconds.
    pub fn most_us(&self) -> u64 {
        let last = self.places.values().flat_map(BTreeMap::values).max();
        self.step_us.saturating_mul(u64::from(last.copied().unwrap_or(0)))
    }
}
