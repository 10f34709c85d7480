//! Replication as one server knows it: whom it follows, who follows it, and its stream of units.
//!
//! The stream is kept as far back as `repl-backlog-size` allows, from when the first replica was attached. Offsets count its
//! bytes as a real server writes them; without the `PING` and `REPLCONF GETACK` of real links, which change nothing. Until
//! there is a replica, Valkey counts every command as one that it writes to its file, and Redis 7.0 none. Not here: links, and what of the stream is on its way.

use std::{collections::BTreeMap, sync::Arc};

use imbl::Vector;

use super::{
    Context, Dialect, Effects, Engine, ErrorReply, Reply, Session, UnixMicros,
    clients::Order,
    unit::{self, Offset, Unit},
};

/// What ends a command that waits when its server becomes a replica.
const DEMOTED: ErrorReply = ErrorReply::new(
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
);

/// A replica as its primary knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address.
    pub host: String,
    /// A port.
    pub port: u16,
}

/// What a server is to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    #[default]
    Primary,
    /// It follows another server.
    Replica {
        /// That server.
        primary: Address,
        /// Whether the link to it is up.
        link: LinkState,
    },
}

/// The link of a replica to its primary, as the replica sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Units come over it.
    Up,
    /// It broke at this time of the replica's clock; `None`: it was never up.
    Down(Option<UnixMicros>),
}

/// A replica that is attached to this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Where it listens.
    pub address: Address,
    /// How far it said that it has executed the stream; `None`: it has said nothing yet.
    pub acknowledged: Option<Offset>,
    /// How far it said that its append-only file is synced; `None`: it has said nothing of one.
    pub synced: Option<Offset>,
    /// When it last said anything, by the clock of this server.
    pub acknowledged_at: UnixMicros,
}

impl Attached {
    /// For how long it has said nothing: in the seconds of a clock that ticks once in each, as a server's does for this.
    pub fn lag_seconds(&self, now: UnixMicros) -> u64 {
        (now.0 / 1_000_000).saturating_sub(self.acknowledged_at.0 / 1_000_000)
    }
}

/// What an engine knows of replication.
#[derive(Clone, Debug, Default)]
pub struct Replication {
    role: Role,
    /// The name of the stream; `None`: the one that the server gives to its own.
    history: Option<u64>,
    /// The name of the stream that it went on with when it was promoted, and the first offset that is its own.
    previous: Option<(u64, Offset)>,
    offset: Offset,
    /// How far its own append-only file is synced; `None`: nobody said.
    synced: Option<Offset>,
    replicas: BTreeMap<ReplicaId, Attached>,
    backlog: Option<Backlog>,
}

/// The end of the stream.
#[derive(Clone, Debug)]
struct Backlog {
    /// Oldest first.
    units: Vector<Arc<Unit>>,
    /// Where the oldest begins.
    from: Offset,
    /// The database that the next effect is for, unless it says otherwise.
    database: u8,
    /// Whether the next unit names its database: a replica was attached since the last one.
    names_database: bool,
}

impl Backlog {
    fn new(from: Offset, database: u8) -> Self {
        Self { units: Vector::new(), from, database, names_database: true }
    }

    fn push(&mut self, unit: Arc<Unit>, room: u64) {
        for effect in unit.effects.iter().filter(|effect| effect.name() == b"SELECT") {
            self.database = super::databases::parse(effect.arg(1)).unwrap_or(self.database);
        }
        let end = unit.end;
        self.units.push_back(unit);
        // The newest unit is kept whatever it weighs.
        while self.units.len() > 1 && end.0 - self.from.0 > room {
            self.units.pop_front();
            self.from = self.units.front().map_or(end, |unit| unit.start);
        }
    }
}

impl Replication {
    /// What the server is to others.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The attached replicas.
    pub fn replicas(&self) -> impl ExactSizeIterator<Item = (ReplicaId, &Attached)> {
        self.replicas.iter().map(|(id, replica)| (*id, replica))
    }

    /// The name of the stream that it went on with when it was promoted, and the first offset that is its own.
    pub fn previous(&self) -> Option<(u64, Offset)> {
        self.previous
    }

    /// The end of its stream: what it has executed.
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// How many replicas have acknowledged that they executed the stream to an offset.
    pub fn acknowledged(&self, offset: Offset) -> usize {
        self.replicas.values().filter(|replica| replica.acknowledged >= Some(offset)).count()
    }

    /// How far its own append-only file is synced, if it was ever said.
    pub fn synced(&self) -> Option<Offset> {
        self.synced
    }

    /// How many replicas have acknowledged that their files are synced to an offset.
    pub fn synced_by_replicas(&self, offset: Offset) -> usize {
        self.replicas.values().filter(|replica| replica.synced >= Some(offset)).count()
    }

    /// Where what is kept of the stream begins; `None`: nothing is kept, because there never was a replica.
    pub fn kept_from(&self) -> Option<Offset> {
        self.backlog.as_ref().map(|backlog| backlog.from)
    }

    /// The units of the stream after an offset, oldest first; `None` when not all of them are kept, or when the stream does
    /// not reach so far.
    pub fn units_after(&self, offset: Offset) -> Option<impl Iterator<Item = &Arc<Unit>>> {
        let backlog = self.backlog.as_ref()?;
        let is_kept = (backlog.from..=self.offset).contains(&offset);
        let first = backlog.units.iter().position(|unit| unit.start >= offset).unwrap_or(backlog.units.len());
        is_kept.then(|| backlog.units.iter().skip(first))
    }
}

impl Engine {
    /// What it knows of replication.
    pub fn replication(&self) -> &Replication {
        &self.replication
    }

    /// The name of its stream, which is its primary's on a replica (`master_replid`). A server names its own by its seed.
    pub fn history(&self) -> u64 {
        self.replication.history.unwrap_or(self.seed)
    }

    /// Whether it follows another server.
    pub(super) fn is_replica(&self) -> bool {
        self.replication.role != Role::Primary
    }

    /// Adds what was just written, from the `first` effect on, to the stream. The stream of a replica is its primary's.
    pub(super) fn extend_stream(&mut self, effects: &Effects, first: usize, now: UnixMicros) {
        if effects.len() == first || self.is_replica() {
            return;
        }
        let Some(backlog) = &mut self.replication.backlog else {
            if self.dialect == Dialect::Valkey8 && self.config.has_file {
                let own = effects.iter().skip(first).filter(|effect| effect.name() != b"SELECT");
                let written = own.count() as u64;
                // Two for MULTI and EXEC.
                self.replication.offset.0 += written + if written > 1 { 2 } else { 0 };
            }
            return;
        };
        let mut own = Effects::default();
        effects.iter().skip(first).for_each(|effect| own.extend(effect.args()));
        let names_database = std::mem::take(&mut backlog.names_database);
        let mut bytes = Vec::new();
        unit::encode(&own, names_database.then_some(backlog.database), self.dialect, |_| true, &mut bytes);
        let start = self.replication.offset;
        let end = Offset(start.0 + bytes.len() as u64);
        let room = self.config.number("repl-backlog-size") as u64;
        backlog.push(Arc::new(Unit { effects: own, now, start, end }), room);
        self.replication.offset = end;
    }

    /// A replica has synchronised with this server and follows its stream from here on. Answers from where.
    pub fn attach_replica(&mut self, id: ReplicaId, address: Address, now: UnixMicros) -> Offset {
        let (offset, database) = (self.replication.offset, self.databases.propagated());
        let backlog = self.replication.backlog.get_or_insert_with(|| Backlog::new(offset, database));
        backlog.names_database = true;
        let attached = Attached { address, acknowledged: None, synced: None, acknowledged_at: now };
        self.replication.replicas.insert(id, attached);
        offset
    }

    /// A replica is gone: its link broke, or the server gave it up.
    pub fn detach_replica(&mut self, id: ReplicaId) {
        self.replication.replicas.remove(&id);
    }

    /// A replica says how far it has executed the stream and, where it has an append-only file, how far that is synced. `now`
    /// is this server's clock. Whoever waits for replicas is to have another look: [`Order::LookAgain`]. A replica says so
    /// once a second, and at once while somebody [waits](Self::wants_acknowledgements). Nothing is noted of one that is not
    /// attached.
    pub fn acknowledge(&mut self, id: ReplicaId, applied: Offset, synced: Option<Offset>, now: UnixMicros) {
        let Some(replica) = self.replication.replicas.get_mut(&id) else { return };
        replica.acknowledged = replica.acknowledged.max(Some(applied));
        replica.synced = replica.synced.max(synced);
        replica.acknowledged_at = now;
        self.have_waiting_look_again();
    }

    /// How many good replicas a write takes, if it takes any.
    pub(super) fn good_replicas_wanted(&self) -> Option<usize> {
        let wanted = self.config.min_replicas;
        (wanted > 0 && self.config.max_lag > 0).then_some(wanted)
    }

    /// How many replicas said something within `min-replicas-max-lag`. Whole seconds of the clock count. A real server looks
    /// once a second, and so takes writes for up to a second longer.
    pub fn good_replicas(&self, now: UnixMicros) -> usize {
        let is_good = |replica: &&Attached| replica.lag_seconds(now) <= self.config.max_lag;
        self.replication.replicas.values().filter(is_good).count()
    }

    /// The server's own append-only file is synced to an offset of its stream.
    pub fn note_synced(&mut self, offset: Offset) {
        self.replication.synced = self.replication.synced.max(Some(offset));
        self.have_waiting_look_again();
    }

    /// Whether a client waits for replicas: a real server asks them all at once then (`REPLCONF GETACK`).
    pub fn wants_acknowledgements(&self) -> bool {
        !self.clients.awaiting.is_empty()
    }

    fn have_waiting_look_again(&mut self) {
        for id in self.clients.awaiting.clone() {
            self.clients.order(Order::LookAgain(id));
        }
    }

    /// Has the server follow another one from now on. It keeps its data until it is synchronised. Who waits in a command is
    /// told that it ends: [`Order::Unblock`].
    pub fn follow(&mut self, primary: Address) {
        self.replication.role = Role::Replica { primary, link: LinkState::Down(None) };
        for id in self.clients.blocked.clone() {
            self.clients.forget_wait(id);
            self.clients.order(Order::Unblock(id, Reply::Error(DEMOTED)));
        }
    }

    /// The link to the server that it follows is up, or down. A primary has none.
    pub fn set_link(&mut self, state: LinkState) {
        if let Role::Replica { link, .. } = &mut self.replication.role {
            *link = state;
        }
    }

    /// Has the server take writes from now on (`REPLICAOF NO ONE`). Its stream goes on where it is.
    pub fn lead(&mut self) {
        if !self.is_replica() {
            return;
        }
        let followed = self.history();
        self.replication.role = Role::Primary;
        self.replication.previous = Some((followed, Offset(self.replication.offset.0 + 1)));
        let own = if self.seed == followed { followed.wrapping_add(1) } else { self.seed };
        self.replication.history = Some(own);
        // Its own effects follow those of another server.
        let database = self.databases.propagated();
        if let Some(backlog) = &mut self.replication.backlog {
            (backlog.database, backlog.names_database) = (database, true);
        }
    }

    /// Puts all data of a primary, its functions included, in the place of its own: a full synchronisation. What it had
    /// is gone, its stream too. The libraries are loaded anew: what they carry from call to call is not copied. `stream` is
    /// the connection over which the primary's units will be applied.
    ///
    /// # Errors
    /// A library that does not load here, because this engine's interpreter has other limits.
    ///
    /// # Panics
    /// The two are of different dialects.
    pub fn synchronise(&mut self, stream: &mut Session, primary: &Engine) -> Result<(), ErrorReply> {
        assert_eq!(self.dialect, primary.dialect, "a replica is of its primary's dialect");
        for number in 0..super::databases::COUNT {
            self.touch_database(number, None);
        }
        self.clear_databases();
        for (number, keyspace) in primary.databases() {
            *self.database_mut(number) = keyspace.clone();
        }
        self.functions.clear();
        let (dialect, interpreter): (Dialect, _) = (self.dialect, self.interpreter.clone());
        for library in primary.functions.libraries() {
            self.functions.load(&library.code, true, dialect, &interpreter)?;
        }
        stream.db = primary.databases.propagated();
        self.replication.history = Some(primary.history());
        self.replication.previous = None;
        self.replication.offset = primary.replication.offset;
        self.replication.backlog = Some(Backlog::new(self.replication.offset, stream.db));
        self.replication.synced = None;
        self.replication.replicas.clear();
        Ok(())
    }

    /// Executes a unit of the primary's stream by [`apply`](Self::apply), at the primary's time, and makes it part of its own
    /// stream. `stream` is the connection that was given to [`synchronise`](Self::synchronise).
    ///
    /// # Errors
    /// Those of [`apply`](Self::apply).
    ///
    /// # Panics
    /// The unit does not follow on what was executed.
    pub fn apply_unit(
        &mut self,
        stream: &mut Session,
        unit: &Arc<Unit>,
        own: &mut Effects,
    ) -> Result<(), ErrorReply> {
        assert_eq!(unit.start, self.replication.offset, "units are executed in order and without a gap");
        self.apply(stream, &unit.effects, unit.now, own)?;
        let room = self.config.number("repl-backlog-size") as u64;
        if let Some(backlog) = &mut self.replication.backlog {
            backlog.push(Arc::clone(unit), room);
        }
        self.replication.offset = unit.end;
        Ok(())
    }
}

impl Context<'_> {
    /// What `WAIT` waits for: the end of the stream after the last command of its client. A script's client has sent none.
    pub fn written_to(&self) -> Offset {
        match self.script {
            Some(_) => Offset::default(),
            None => self.session.awaited.unwrap_or(self.session.written_to),
        }
    }
}
