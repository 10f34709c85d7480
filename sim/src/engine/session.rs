//! What a server remembers about one connection.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    Protocol, Reply, UnixMicros, UnixMillis, table::Command, transactions::Transaction, turn::Turn,
    unit::Offset,
};

/// Which replies a client wants: `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// All but this one and the next.
    SkipNext,
    /// All but this one.
    Skip,
}

/// A command that waits for data, or for replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The command, to be run again; `$` is already the id that it stood for.
    pub args: Vec<Bytes>,
    /// When it gives up; `None`: never.
    pub until: Option<UnixMillis>,
    /// The keys of which one has to change before it is worth another look.
    pub keys: Vec<Bytes>,
    /// `WAIT`: the offset that replicas have to acknowledge.
    pub awaits: Option<Offset>,
}

/// One connection's state. The engine keeps only what others ask it about a connection, so the same engine serves any
/// number of them.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// `CLIENT ID`. Ids are given out by [`Engine::connect`](super::Engine::connect).
    pub id: u64,
    /// The protocol in force.
    pub protocol: Protocol,
    /// `CLIENT GETNAME`; empty when none was set.
    pub name: Bytes,
    /// `CLIENT SETINFO lib-name`.
    pub lib_name: Bytes,
    /// `CLIENT SETINFO lib-ver`.
    pub lib_ver: Bytes,
    /// Where it comes from and where it connected to, `address:port` each, if it has a socket.
    pub addresses: Option<(Arc<str>, Arc<str>)>,
    /// When it connected, if anyone noted that.
    pub connected_at: Option<UnixMicros>,
    /// When it last sent a command.
    pub last_at: Option<UnixMicros>,
    /// The last command, in capitals.
    pub last_command: Option<&'static str>,
    /// Commands so far.
    pub commands: u64,
    /// Bytes that came from it.
    pub received: u64,
    /// Bytes of replies to it.
    pub sent: u64,
    /// `CLIENT NO-EVICT`.
    pub no_evict: bool,
    /// `CLIENT NO-TOUCH`.
    pub no_touch: bool,
    /// Whether it sees what the others do: `MONITOR`.
    pub is_monitor: bool,
    /// Whether the client asked to close (`QUIT`); the server closes after the reply.
    pub closing: bool,
    /// Which replies the client wants; the server drops the others.
    pub reply_mode: ReplyMode,
    /// An array of so many elements is announced, and those that there are come as messages: `EXEC`, where a queued
    /// `CLIENT REPLY` has it that some are not heard.
    pub announced: Option<usize>,
    /// Messages to deliver after the current reply, in order: acknowledgements of `SUBSCRIBE a b`, say, which
    /// answers once a channel.
    pub pushes: VecDeque<Reply>,
    /// The channels it is subscribed to.
    pub channels: BTreeSet<Bytes>,
    /// The patterns it is subscribed to.
    pub patterns: BTreeSet<Bytes>,
    /// The channels of shards that it is subscribed to.
    pub shard_channels: BTreeSet<Bytes>,
    /// The command it waits in. No other may be run before [`Engine::resume`](super::Engine::resume) ended it.
    pub blocked: Option<Blocked>,
    /// While its next command waits for the end of a pause: how many bytes its arguments are, or 1.
    pub postponed: usize,
    /// Whether it has to give the password first, if there is one.
    pub is_stranger: bool,
    /// The database that it selected.
    pub db: u8,
    /// What was queued since `MULTI`.
    pub transaction: Option<Box<Transaction>>,
    /// The end of the server's stream after its last command: what `WAIT` waits for.
    pub written_to: Offset,
    /// Set while `WAIT` has another look: what it began to wait for.
    pub awaited: Option<Offset>,
    /// Set while a transaction runs: nothing blocks in it.
    pub deny_blocking: bool,
    /// Whether its commands are the effects of another engine, see [`Engine::apply`](super::Engine::apply).
    pub from_primary: bool,
    /// What the command that was just run asks of the host's clock; the host takes it, and its answer is the reply.
    pub turn: Option<Turn>,
}

impl Session {
    /// Notes a command that it sent.
    #[inline]
    pub(super) fn note(&mut self, command: &Command, now: UnixMicros) {
        self.last_command = Some(command.name);
        self.last_at = Some(now);
    }

    /// How many channels and patterns it is subscribed to.
    pub fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shard_channels.len()
    }

    /// Whether it speaks RESP2 and is subscribed: then it may say little else.
    pub fn only_listens(&self) -> bool {
        self.protocol == Protocol::Resp2 && self.subscriptions() > 0
    }
}
