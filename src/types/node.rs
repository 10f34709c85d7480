//! The processes of a simulated deployment, by name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A process: what can crash, be paused, be cut off, and has a clock of its own.
///
/// ```
/// use grantsim::types::Node;
/// assert_eq!(Node::Worker(2).to_string(), "worker-2");
/// assert_eq!("worker-2".parse(), Ok(Node::Worker(2)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Node {
    /// The server.
    Valkey,
    /// The one that was the server before a failover, and goes on answering for a while.
    FormerValkey,
    /// The client that creates executions.
    Submitter,
    /// A scheduler, numbered from 1.
    Scheduler(u16),
    /// A worker, numbered from 1.
    Worker(u16),
    /// The process that runs the background scanners and the reclaimer.
    Scanner,
    /// A second copy of it, which overlaps with the first.
    SecondScanner,
    /// Whoever carries out the deeds of a plan: an operator, an administrator's tool, a caller from outside.
    Operator,
}

/// No process has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no node is called {0:?}: valkey, submitter, scanner, scanner-2, operator, scheduler-N and worker-N are (N from 1)"
)]
pub struct UnknownNode(String);

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Valkey => f.pad("valkey"),
            Node::FormerValkey => f.pad("valkey-former"),
            Node::Submitter => f.pad("submitter"),
            Node::Scanner => f.pad("scanner"),
            Node::SecondScanner => f.pad("scanner-2"),
            Node::Operator => f.pad("operator"),
            Node::Scheduler(n) => f.pad(&format!("scheduler-{n}")),
            Node::Worker(n) => f.pad(&format!("worker-{n}")),
        }
    }
}

/// A number from 1, in its only spelling: a node has one name, so that `worker-01` and `worker-+1` are none.
fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|n: &u16| *n > 0 && n.to_string() == text)
}

impl FromStr for Node {
    type Err = UnknownNode;

    fn from_str(name: &str) -> Result<Self, UnknownNode> {
        let node = match name {
            "valkey" => Some(Node::Valkey),
            "valkey-former" => Some(Node::FormerValkey),
            "submitter" => Some(Node::Submitter),
            "scanner" => Some(Node::Scanner),
            "scanner-2" => Some(Node::SecondScanner),
            "operator" => Some(Node::Operator),
            _ => match name.split_once('-') {
                Some(("scheduler", n)) => number(n).map(Node::Scheduler),
                Some(("worker", n)) => number(n).map(Node::Worker),
                _ => None,
            },
        };
        node.ok_or_else(|| UnknownNode(name.to_owned()))
    }
}

impl From<Node> for String {
    fn from(node: Node) -> Self {
        node.to_string()
    }
}

impl TryFrom<String> for Node {
    type Error = UnknownNode;

    fn try_from(name: String) -> Result<Self, UnknownNode> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_one_name() {
        for name in [
            "valkey",
            "submitter",
            "scanner",
            "scanner-2",
            "operator",
            "scheduler-1",
            "worker-1",
            "worker-65535",
        ] {
            assert_eq!(name.parse::<Node>().unwrap().to_string(), name);
        }
        for name in
            ["", "worker", "worker-", "worker-0", "worker-01", "worker-+1", "worker-65536", "Valkey", "w1"]
        {
            assert_eq!(name.parse::<Node>(), Err(UnknownNode(name.to_owned())));
        }
    }
}
