//! Moments: a run as it is shown, in order, to whoever looks: properties, reach, counts, timelines.
//!
//! A moment borrows. Of what the server executed it shows the keyspace before and after, which costs nothing: both are
//! handles. [`Trace::replay`](super::Trace::replay) shows a recorded run once more, moment by moment, from its effects alone.

use std::cell::OnceCell;

use valkey_sim::engine::{Effects, Reply};

use super::{Change, Command, Ended, Event, Head, Names};
use crate::{
    protocol::Presented,
    types::{Answer, Function, Node, TimestampMs},
    view::{Entity, View},
};

/// What is shown.
pub enum Moment<'a> {
    /// The server executed something: one unit of effects.
    Step(&'a Step<'a>),
    /// What a client sent, saw, or never saw; when work began and ended.
    Client(&'a Event),
    /// What broke: what did happen, not what was planned.
    Fault(&'a Event),
    /// A server's truth is an earlier one again: after a power loss, or a failover.
    Rewound {
        /// Which server.
        server: Node,
        /// What it holds now.
        to: &'a View,
    },
    /// The run is over.
    End(&'a Ended),
}

/// One unit of effects: a function call, a plain command that wrote, or an expiry.
pub struct Step<'a> {
    /// When, on which server, and which request led to it.
    pub head: Head,
    /// The server's clock; it stood still throughout.
    pub now: TimestampMs,
    /// The command as it was executed.
    pub command: Command<'a>,
    /// The function call, if it was one.
    pub call: Option<Call<'a>>,
    /// What was written.
    pub effects: &'a Effects,
    /// Whose keys the effects name.
    pub touched: &'a [Entity],
    /// The keyspace before.
    pub before: &'a View,
    /// The keyspace after.
    pub after: &'a View,
    /// What the plan calls the executions.
    pub names: &'a Names,
    pub(super) changes: OnceCell<Vec<Change>>,
}

/// A function call, as the server saw it.
pub struct Call<'a> {
    /// The function.
    pub function: Function,
    /// Who called.
    pub caller: Node,
    /// KEYS.
    pub keys: &'a [&'a [u8]],
    /// ARGV.
    pub argv: &'a [&'a [u8]],
    /// The parts of ARGV that properties ask about.
    pub presented: Presented,
    /// The whole reply.
    pub reply: &'a Reply,
    /// The reply in a word.
    pub answer: Answer,
}

impl<'a> Call<'a> {
    /// One of KEYS, counted from 0; none where there is none, or where it is no text.
    pub fn key(&self, index: usize) -> Option<&'a str> {
        std::str::from_utf8(self.keys.get(index)?).ok()
    }

    /// One of ARGV as text, counted from 0; empty where there is none, or where it is no text.
    pub fn arg(&self, index: usize) -> &'a str {
        self.argv.get(index).and_then(|arg| std::str::from_utf8(arg).ok()).unwrap_or_default()
    }

    /// Whether this word is the first after the status, or the code, of the reply.
    pub fn says(&self, word: &str) -> bool {
        matches!(self.reply, Reply::Array(items) if items.get(2) == Some(&Reply::bulk(word)))
    }
}

impl Step<'_> {
    /// What the step changed, execution by execution: read from before and after when it is first asked for.
    pub fn changes(&self) -> &[Change] {
        self.changes.get_or_init(|| super::change::changes(self))
    }
}
