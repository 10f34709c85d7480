//! Calls word for word: what an exploration found, as a plan.
//!
//! Where a plan has calls, nobody takes part but the server and the operator, who sends them. Its executions give their names to
//! the ids in the calls, and are submitted by none but these.

use serde::{Deserialize, Serialize};

use crate::{protocol::Request, types::Function};

/// A call at a time, word for word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// When it is sent. With the network of an explored plan it is executed within the same millisecond, in the order of the plan.
    pub at_ms: u64,
    /// The function.
    pub function: Function,
    /// KEYS.
    pub keys: Vec<String>,
    /// ARGV.
    pub args: Vec<String>,
}

impl Sent {
    /// A call that is to be sent at this time; none where the request is no call, or has words that are no text.
    pub fn of(at_ms: u64, request: &Request) -> Option<Self> {
        let function = request.function()?;
        let words: Option<Vec<String>> =
            request.args.iter().map(|word| String::from_utf8(word.clone()).ok()).collect();
        let words = words?;
        let count: usize = words.get(2)?.parse().ok()?;
        let (keys, args) = words.get(3..)?.split_at_checked(count)?;
        Some(Self { at_ms, function, keys: keys.to_vec(), args: args.to_vec() })
    }

    /// The command for the wire.
    pub fn request(&self) -> Request {
        let count = self.keys.len().to_string();
        let head = ["FCALL", self.function.as_str(), &count].map(str::to_owned);
        let words = head.iter().chain(&self.keys).chain(&self.args);
        Request { args: words.map(|word| word.clone().into_bytes()).collect() }
    }
}
