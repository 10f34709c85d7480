//! Who listens to which channel, and what is on its way to them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Engine, ErrorReply, Reply, Session, glob, table::Command};

/// What one subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A channel: `SUBSCRIBE`.
    Channel,
    /// All channels of a pattern: `PSUBSCRIBE`.
    Pattern,
    /// A channel of a cluster's shard: `SSUBSCRIBE`. Where there is no cluster, a world of channels of its own.
    Shard,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];
}

/// The subscriptions of all connections.
#[derive(Clone, Debug, Default)]
pub struct PubSub {
    /// Listeners in the order in which they subscribed.
    channels: BTreeMap<Bytes, Vec<u64>>,
    patterns: BTreeMap<Bytes, Vec<u64>>,
    shard_channels: BTreeMap<Bytes, Vec<u64>>,
    /// Messages that were published and not yet taken away.
    outbox: Vec<(u64, Reply)>,
}

impl PubSub {
    /// Subscribes a connection.
    pub fn subscribe(&mut self, kind: Kind, name: &Bytes, session: &mut Session) {
        if session.subscribed_mut(kind).insert(name.clone()) {
            self.listeners_mut(kind).entry(name.clone()).or_default().push(session.id);
        }
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, kind: Kind, name: &Bytes, session: &mut Session) {
        if session.subscribed_mut(kind).remove(name) {
            remove(self.listeners_mut(kind), name, session.id);
        }
    }

    /// Ends all subscriptions of a connection that is gone, and drops what was on its way to it.
    pub fn forget(&mut self, session: &Session) {
        for kind in Kind::ALL {
            for name in session.subscribed(kind) {
                remove(self.listeners_mut(kind), name, session.id);
            }
        }
        self.outbox.retain(|(id, _)| *id != session.id);
    }

    /// Sends a message to all who listen; returns to how many.
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let before = self.outbox.len();
        let (channel, message) = (Reply::bulk(channel), Reply::bulk(message));
        let Reply::Bulk(name) = &channel else { return 0 };
        for id in self.channels.get(name).into_iter().flatten() {
            let push = vec![Reply::bulk("message"), channel.clone(), message.clone()];
            self.outbox.push((*id, Reply::Push(push)));
        }
        for (pattern, ids) in self.patterns.iter().filter(|(pattern, _)| glob::matches(pattern, name)) {
            for id in ids {
                let pattern = Reply::Bulk(pattern.clone());
                let push = vec![Reply::bulk("pmessage"), pattern, channel.clone(), message.clone()];
                self.outbox.push((*id, Reply::Push(push)));
            }
        }
        self.outbox.len() - before
    }

    /// Whether a connection listens to anything.
    pub fn listens(&self, id: u64) -> bool {
        let kinds = [&self.channels, &self.patterns, &self.shard_channels];
        kinds.into_iter().flat_map(BTreeMap::values).flatten().any(|listener| *listener == id)
    }

    /// How many connections listen to anything.
    pub fn clients(&self) -> usize {
        let kinds = [Kind::Channel, Kind::Pattern, Kind::Shard];
        let listeners = kinds.into_iter().flat_map(|kind| self.listeners(kind).values().flatten());
        listeners.collect::<BTreeSet<_>>().len()
    }

    /// Sends something to one connection.
    pub fn send(&mut self, id: u64, reply: Reply) {
        self.outbox.push((id, reply));
    }

    /// Sends a message to all who listen on a shard's channel; returns to how many.
    pub fn publish_in_shard(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let ids = self.shard_channels.get(channel).map_or(&[][..], Vec::as_slice);
        let push = Reply::Push(vec![Reply::bulk("smessage"), Reply::bulk(channel), Reply::bulk(message)]);
        self.outbox.extend(ids.iter().map(|id| (*id, push.clone())));
        ids.len()
    }

    /// The channels, or patterns, that someone listens to, and who does.
    pub fn listeners(&self, kind: Kind) -> &BTreeMap<Bytes, Vec<u64>> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shard_channels,
        }
    }

    fn listeners_mut(&mut self, kind: Kind) -> &mut BTreeMap<Bytes, Vec<u64>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shard_channels,
        }
    }
}

fn remove(listeners: &mut BTreeMap<Bytes, Vec<u64>>, name: &Bytes, id: u64) {
    if let Some(ids) = listeners.get_mut(name) {
        ids.retain(|listener| *listener != id);
        if ids.is_empty() {
            listeners.remove(name);
        }
    }
}

impl Session {
    /// What the connection is subscribed to.
    pub fn subscribed(&self, kind: Kind) -> &BTreeSet<Bytes> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shard_channels,
        }
    }

    fn subscribed_mut(&mut self, kind: Kind) -> &mut BTreeSet<Bytes> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shard_channels,
        }
    }
}

impl Engine {
    /// The messages published since the last call, each with the id of the session that it goes to.
    pub fn take_deliveries(&mut self) -> Vec<(u64, Reply)> {
        std::mem::take(&mut self.pubsub.outbox)
    }
}

/// Whether a RESP2 connection may send this while it is subscribed.
pub fn allowed_while_listening(command: &Command) -> bool {
    matches!(
        command.name,
        "SUBSCRIBE"
            | "UNSUBSCRIBE"
            | "PSUBSCRIBE"
            | "PUNSUBSCRIBE"
            | "SSUBSCRIBE"
            | "SUNSUBSCRIBE"
            | "PING"
            | "QUIT"
            | "RESET"
    )
}

/// What it is told otherwise.
pub fn only_listens(command: &Command) -> ErrorReply {
    let name = command.name.to_ascii_lowercase();
    format!(
        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
         this context"
    )
    .into()
}

/// Whether this is refused to who is not subscribed to anything: Valkey 8 does so.
pub fn is_only_for_listeners(command: &Command) -> bool {
    matches!(command.name, "UNSUBSCRIBE" | "PUNSUBSCRIBE" | "SUNSUBSCRIBE")
}

/// What it is told.
pub fn listens_to_nothing(command: &Command) -> ErrorReply {
    let name = command.name.to_ascii_lowercase();
    format!("NOSUB '{name}' command executed not in subscribed mode").into()
}
