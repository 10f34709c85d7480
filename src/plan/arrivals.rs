//! Arrivals: what a node sends is under way for as long as the plan says, piece by piece.
//!
//! A run draws its latencies; a plan that an exploration found says them, so that things happen in the order that was explored.

use serde::{Deserialize, Serialize};

/// When what a node sends arrives, microseconds of the run, in the order in which it is sent over all lives of the node. What
/// could not be there so early arrives as soon as it can; what is past the end of a list, with the network's latency.
///
/// ```
/// use grantsim::plan::Arrivals;
/// let arrivals: Arrivals = serde_json::from_str(r#"{ "requests": [4, 12], "messages": [8] }"#)?;
/// assert_eq!(arrivals.requests.get(1), Some(&12));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrivals {
    /// Its requests, at the server: those that are written to a connection, plain commands, too. A request that a fault keeps in
    /// the network arrives as the fault says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<u64>,
    /// Its messages, at whom each is for. One that a fault hits arrives as the fault says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<u64>,
}
