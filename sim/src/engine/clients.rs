//! The connections there are: what one can learn of the others, and do to them.
//!
//! A connection's state is its [`Session`], and sessions live with the host. So the host shows them to the engine
//! ([`Engine::see_clients`]) when a command is about to ask for others ([`asks_for_others`]); no other command pays
//! for it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{
    Dialect, Engine, ErrorReply, Protocol, Reply, Session, UnixMicros, UnixMillis, config::OutputLimit,
    pause::Pause, tracking::Tracker,
};
use crate::base::RequestLimits;

/// The connected clients.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    last_id: u64,
    /// As they were when they were last shown.
    table: BTreeMap<u64, Session>,
    /// Those who wait in a command.
    pub blocked: BTreeSet<u64>,
    /// Those whose next command waits for the end of a pause, in the order in which they sent it.
    pub postponed: Vec<u64>,
    /// The one whose turn it is to go on after a pause.
    pub going_on: Option<u64>,
    /// The one whose command is run that had to wait for the end of a pause.
    pub released: Option<u64>,
    /// Those of them who wait for replicas.
    pub awaiting: BTreeSet<u64>,
    /// Those of them who wait for a stream; of one who waits for a group, what that is under.
    pub for_streams: BTreeMap<u64, Option<GroupWait>>,
    /// Those who see what the others do.
    pub monitors: BTreeSet<u64>,
    /// What was asked for with `CLIENT PAUSE`.
    pub pause: Option<Pause>,
    orders: Vec<Order>,
}

/// Where a client waits for a group of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupWait {
    /// The database.
    pub db: u8,
    /// The keys of the streams.
    pub keys: Vec<Bytes>,
}

/// What a command has the host do to another connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Close it without another word.
    Close(u64),
    /// End the server.
    ShutDown,
    /// Let all go on that have to wait: the pause is over.
    Continue,
    /// End the command that it waits in with this reply.
    Unblock(u64, Reply),
    /// Have another look at the command that it waits in: [`Engine::resume`].
    LookAgain(u64),
    /// End the command that it waits in as if its time were up.
    TimeOut(u64),
}

/// The kinds of clients that `CLIENT LIST TYPE` tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientType {
    /// `normal`.
    Normal,
    /// `pubsub`: it is subscribed to something.
    PubSub,
    /// `replica`, `slave`; those who watch with `MONITOR` are counted among them.
    Replica,
    /// `primary`, `master`: never seen here.
    Primary,
}

impl ClientType {
    /// Reads the name of a type.
    pub fn parse(name: &[u8], dialect: Dialect) -> Result<Self, ErrorReply> {
        match &*name.to_ascii_lowercase() {
            b"normal" => Ok(Self::Normal),
            b"pubsub" => Ok(Self::PubSub),
            b"replica" | b"slave" => Ok(Self::Replica),
            b"master" => Ok(Self::Primary),
            b"primary" if dialect == Dialect::Valkey8 => Ok(Self::Primary),
            _ => Err(format!("ERR Unknown client type '{}'", ErrorReply::quote(name)).into()),
        }
    }

    /// The type of a client.
    pub fn of(session: &Session) -> Self {
        match (session.is_monitor, session.subscriptions()) {
            (true, _) => Self::Replica,
            (false, 0) => Self::Normal,
            (false, _) => Self::PubSub,
        }
    }
}

impl Clients {
    /// Gives out the next id.
    pub fn connect(&mut self, is_stranger: bool) -> Session {
        self.last_id += 1;
        let session = Session { id: self.last_id, is_stranger, ..Session::default() };
        self.table.insert(self.last_id, session.clone());
        session
    }

    /// A client is gone.
    pub fn forget(&mut self, id: u64) {
        self.table.remove(&id);
        self.forget_wait(id);
        self.postponed.retain(|other| *other != id);
        self.monitors.remove(&id);
    }

    /// A client waits no longer. Says whether it did.
    pub fn forget_wait(&mut self, id: u64) -> bool {
        self.awaiting.remove(&id);
        self.for_streams.remove(&id);
        self.blocked.remove(&id)
    }

    /// All clients, as they were when they were last shown.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.table.values()
    }

    /// Whether there is one of this number.
    pub fn exists(&self, id: u64) -> bool {
        self.table.contains_key(&id)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.table.len()
    }

    /// Asks for something to be done to another connection.
    pub fn order(&mut self, order: Order) {
        self.orders.push(order);
    }
}

/// Whether a command is about to ask for other clients, at once or at the end of a transaction.
pub fn asks_for_others(session: &Session, args: &[&[u8]]) -> bool {
    fn asks<T: AsRef<[u8]>>(args: &[T]) -> bool {
        let [name, subcommand, ..] = args else { return false };
        let subcommand = subcommand.as_ref();
        name.as_ref().eq_ignore_ascii_case(b"CLIENT")
            && (subcommand.eq_ignore_ascii_case(b"LIST") || subcommand.eq_ignore_ascii_case(b"KILL"))
    }
    match &session.transaction {
        None => asks(args),
        Some(transaction) => {
            let executes = args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"EXEC"));
            executes && transaction.queued.iter().any(|args| asks(args))
        }
    }
}

/// Whether a script may run in a command, or in the transaction that it ends.
pub fn may_call_script(session: &Session, args: &[&[u8]]) -> bool {
    fn calls<T: AsRef<[u8]>>(args: &[T]) -> bool {
        const CALLS: [&[u8]; 6] = [b"FCALL", b"FCALL_RO", b"EVALSHA", b"EVAL", b"EVALSHA_RO", b"EVAL_RO"];
        let Some(name) = args.first().map(AsRef::as_ref) else { return false };
        matches!(name.first(), Some(b'E' | b'e' | b'F' | b'f'))
            && CALLS.iter().any(|call| name.eq_ignore_ascii_case(call))
    }
    calls(args)
        || session.transaction.as_ref().is_some_and(|transaction| {
            args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"EXEC"))
                && transaction.queued.iter().any(|args| calls(args))
        })
}

impl Engine {
    /// Shows the clients as they are now.
    pub fn see_clients<'s>(&mut self, sessions: impl Iterator<Item = &'s Session>) {
        for session in sessions {
            self.clients.table.insert(session.id, session.clone());
        }
    }

    /// How much a client may send.
    pub fn request_limits(&self) -> RequestLimits {
        RequestLimits { bulk: self.config.longest_bulk, request: self.config.largest_request }
    }

    /// When a client has been silent for too long: `timeout`. One that listens, or waits, may be silent.
    pub(crate) fn silent_until(&self, session: &Session) -> Option<UnixMillis> {
        let limit = self.config.silence_limit;
        let may_be_silent = session.subscriptions() > 0 || session.is_monitor || session.blocked.is_some();
        let since = session.last_at.or(session.connected_at)?;
        let seconds = (since.0 / 1_000_000).saturating_add(limit).saturating_add(1);
        (limit > 0 && !may_be_silent).then(|| UnixMillis(seconds.saturating_mul(1_000) as i64))
    }

    /// How much may wait to be sent to a client.
    pub fn output_limit(&self, session: &Session) -> OutputLimit {
        let [normal, replica, pubsub] = self.config.output_limits;
        match ClientType::of(session) {
            ClientType::Normal | ClientType::Primary => normal,
            ClientType::Replica => replica,
            ClientType::PubSub => pubsub,
        }
    }

    /// Whether one more client may connect; if not, it is counted as turned away: `maxclients`.
    pub fn admits_client(&mut self) -> bool {
        let admits = self.clients.count() < self.config.number("maxclients");
        self.stats.rejected_connections += u64::from(!admits);
        admits
    }

    /// What the commands since the last call have the host do to other connections.
    pub fn take_orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.clients.orders)
    }

    /// Of these, those that end somebody's waiting, with the reply: that is done before anybody hears of the keys that were
    /// written.
    pub fn take_unblocked(&mut self) -> Vec<(u64, Reply)> {
        let mut unblocked = Vec::new();
        self.clients.orders.retain(|order| match order {
            Order::Unblock(id, reply) => {
                unblocked.push((*id, reply.clone()));
                false
            }
            _ => true,
        });
        unblocked
    }

    /// A client's line in `CLIENT LIST`. What a simulated server does not have (buffers, a user, the memory they take)
    /// is there with the values of a client that has just spoken.
    pub fn client_line(&self, session: &Session, now: UnixMicros) -> String {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let valkey = self.dialect() == Dialect::Valkey8;
        let seconds_since =
            |at: Option<UnixMicros>| at.map_or(0, |at| now.0.saturating_sub(at.0) / 1_000_000);
        let (addr, laddr) = self.addresses(session);
        let queued = session.transaction.as_ref().map(|transaction| &transaction.queued);
        let multi = queued.map_or(-1, |queued| queued.len() as i64);
        let queued_bytes = queued.map_or(0, |queued| {
            let size = |args: &Vec<Bytes>| QUEUED_COMMAND + args.iter().map(Bytes::len).sum::<usize>();
            queued.iter().map(size).sum()
        });
        let tracker = self.tracking.of(session.id);
        let blocked = session.blocked.as_ref();
        let argument_bytes =
            blocked.map_or(session.postponed, |blocked| blocked.args.iter().map(Bytes::len).sum::<usize>());
        let argument_pointers = blocked.map_or(0, |blocked| blocked.args.len() * size_of::<u64>());
        let (watch, buffers, base) = match valkey {
            true => (format!(" watch={}", self.watches.count(session.id)), "qbuf=0 qbuf-free=0", 1_920),
            false => (String::new(), "qbuf=0 qbuf-free=20474", 22_272),
        };
        let library = match valkey {
            true => format!(
                " lib-name={} lib-ver={} tot-net-in={} tot-net-out={} tot-cmds={}",
                text(&session.lib_name),
                text(&session.lib_ver),
                session.received,
                session.sent,
                session.commands,
            ),
            false => String::new(),
        };
        format!(
            "id={id} addr={addr} laddr={laddr} fd={fd} name={name} age={age} idle={idle} flags={flags} db={db} sub={sub} \
             psub={psub} ssub={ssub} multi={multi}{watch} {buffers} argv-mem={argument_bytes} multi-mem={queued_bytes} \
             rbs=1024 rbp=0 obl=0 oll=0 omem=0 tot-mem={memory} events=r cmd={command} user=default redir={redir} \
             resp={resp}{library}",
            redir = tracker.map_or(-1, |tracker| tracker.options.redirect as i64),
            id = session.id,
            fd = session.id + 7,
            name = text(&session.name),
            age = seconds_since(session.connected_at),
            idle = seconds_since(session.last_at),
            flags = flags(session, tracker),
            db = session.db,
            sub = session.channels.len(),
            psub = session.patterns.len(),
            ssub = session.shard_channels.len(),
            memory = base + argument_bytes + argument_pointers + queued_bytes,
            command = session.last_command.map_or("NULL".to_owned(), str::to_ascii_lowercase),
            resp = if session.protocol == Protocol::Resp3 { 3 } else { 2 },
        )
    }

    /// Where a client comes from and where it connected to: for one without a socket, addresses like those it would have.
    pub fn addresses(&self, session: &Session) -> (String, String) {
        match &session.addresses {
            Some((addr, laddr)) => (addr.to_string(), laddr.to_string()),
            None => (
                format!("127.0.0.1:{}", 10_000 + session.id % 50_000),
                format!("127.0.0.1:{}", self.config.get("port")),
            ),
        }
    }
}

/// What a queued command takes beside its arguments.
const QUEUED_COMMAND: usize = 16;

fn flags(session: &Session, tracker: Option<&Tracker>) -> String {
    let tracks = |how: fn(&Tracker) -> bool| tracker.is_some_and(how);
    let known = [
        (session.is_monitor, 'O'),
        (session.subscriptions() > 0, 'P'),
        (session.transaction.is_some(), 'x'),
        (session.blocked.is_some() || session.postponed > 0, 'b'),
        (tracks(|_| true), 't'),
        (tracks(|tracker| tracker.is_broken), 'R'),
        (tracks(|tracker| tracker.options.by_prefix), 'B'),
        (session.no_evict, 'e'),
        (session.no_touch, 'T'),
    ];
    let flags: String = known.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).collect();
    if flags.is_empty() { "N".to_owned() } else { flags }
}
