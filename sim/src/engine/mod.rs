//! The server without its world.
//!
//! [`Engine::execute`] is the whole interface: a session, a command, the time; a reply and effects come back.
//! There is no socket, no clock and no random source here, and the time stands still for the whole of a command,
//! function calls included, as it does in Valkey 8. Cloning an engine is a snapshot and costs next to nothing;
//! clones share one [`Interpreter`], and so the upvalues of the libraries loaded into it.
//!
//! ```
//! use valkey_sim::engine::{Dialect, Effects, Engine, Reply, Session, UnixMicros};
//! use valkey_sim::lua::Interpreter;
//!
//! let mut engine = Engine::new(Dialect::Valkey8, Interpreter::default());
//! let mut session = engine.connect();
//! let mut effects = Effects::default();
//! let now = UnixMicros::from_millis(1_700_000_000_000);
//! let reply = engine.execute(&mut session, &[b"SET", b"k", b"v", b"PX", b"10"], now, &mut effects);
//! assert_eq!(reply, Reply::OK);
//! // A relative expiry is propagated as an absolute one.
//! assert_eq!(effects.iter().next().unwrap().arg(3), b"PXAT");
//! ```

mod blocking;
pub mod busy;
pub mod clients;
pub mod commands;
pub mod config;
mod databases;
mod digest;
mod effect;
mod effect_log;
mod eviction;
pub mod functions;
pub mod glob;
mod hidden;
mod identity;
mod info;
mod keyspace;
mod loading;
mod looks;
mod memory;
mod monitor;
mod notify;
mod pause;
mod pubsub;
mod rdb;
pub mod replication;
mod resolve;
mod script_cache;
mod script_header;
mod session;
mod slow_log;
mod stats;
pub mod table;
pub mod tracking;
mod transactions;
pub mod turn;
mod typed;
pub mod unit;
mod usage;
pub mod value;
mod watches;
mod writes;

pub use effect::{Effect, Effects};
pub use eviction::{Among, By, Policy};
pub use keyspace::{Entry, Keyspace};
pub use resolve::{wrong_arity, wrong_arity_in_script};
pub use session::{Blocked, ReplyMode, Session};
pub use transactions::Transaction;
pub use typed::Kind;

pub use crate::base::{
    CommandResult, Dialect, ErrorReply, NOT_A_FLOAT, NOT_AN_INTEGER, Protocol, Reply, UnixMicros, UnixMillis,
    UnknownDialect, number,
};
use crate::lua::Interpreter;
use crate::random::Random;
use busy::{Attended, Running};
use clients::Clients;
use config::Config;
use databases::Databases;
use effect_log::EffectLog;
use functions::Functions;
use hidden::Hidden;
use looks::Looks;
use notify::Lookups;
use pubsub::PubSub;
use replication::Replication;
use slow_log::SlowLog;
use stats::Stats;
use table::{Command, CommandTable, Flags, Keys};
use tracking::Tracking;
use usage::Usage;
use value::Value;
use watches::Watches;

/// A simulated Valkey: all that a server knows but for its connections and the time.
#[derive(Clone, Debug)]
pub struct Engine {
    commands: &'static CommandTable,
    dialect: Dialect,
    /// The selected database; see [`databases`].
    db: Keyspace,
    databases: Databases,
    functions: Functions,
    interpreter: Interpreter,
    seed: u64,
    random: Random,
    clients: Clients,
    pubsub: PubSub,
    config: Config,
    stats: Stats,
    /// Kept for `SIM EFFECTS` where the host asked for it.
    effect_log: Option<EffectLog>,
    watches: Watches,
    replication: Replication,
    usage: Usage,
    /// Expired keys that the command of a replica that runs does not see.
    hidden: Hidden,
    /// It reads its data back; see [`set_loading`](Self::set_loading).
    is_loading: bool,
    /// It answers as a cluster of one node.
    is_cluster: bool,
    /// How many elements the commands of a script have looked at that it has not paid for yet.
    looked_at: u64,
    /// How many bytes they have written, beyond what is in the memory of Lua.
    written: u64,
    /// The last error that one of them answered: who counted it need not count it again when the script ends with it.
    error_in_script: Option<ErrorReply>,
    slow_log: SlowLog,
    lookups: Lookups,
    looks: Looks,
    tracking: Tracking,
    attended: Attended,
    /// The script that has run for too long.
    running: Option<Running>,
    /// Whether the script that runs has called a command that writes.
    has_written: bool,
}

impl Engine {
    /// An empty server that knows the commands of a table.
    pub fn with_commands(
        commands: &'static CommandTable,
        dialect: Dialect,
        interpreter: Interpreter,
    ) -> Self {
        Self {
            commands,
            dialect,
            db: Keyspace::default(),
            databases: Databases::default(),
            functions: Functions::default(),
            interpreter,
            seed: 0,
            random: Random::new(0),
            clients: Clients::default(),
            pubsub: PubSub::default(),
            config: Config::new(dialect),
            stats: Stats::default(),
            effect_log: None,
            watches: Watches::default(),
            replication: Replication::default(),
            usage: Usage::new(0),
            hidden: Hidden::new(),
            is_loading: false,
            is_cluster: false,
            looked_at: 0,
            written: 0,
            error_in_script: None,
            slow_log: SlowLog::default(),
            lookups: Lookups::default(),
            looks: Looks::default(),
            tracking: Tracking::default(),
            attended: Attended::default(),
            running: None,
            has_written: false,
        }
    }

    /// The server it answers as.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Database 0, to look at.
    pub fn keyspace(&self) -> &Keyspace {
        &self.db
    }

    /// Puts another keyspace in the place of database 0, as it was at some moment on this server or another. Whoever watches
    /// a key is not told.
    pub fn set_keyspace(&mut self, keyspace: Keyspace) {
        self.db = keyspace;
    }

    /// Starts all random choices anew from a seed: those of `SPOP`, `RANDOMKEY` … and `math.random` in functions. A
    /// new engine has seed 0; a real server's `math.random` always starts from the same one.
    pub fn seed(&mut self, seed: u64) {
        self.seed = seed;
        self.random = Random::new(seed);
        self.usage.random = Random::new(!seed);
        self.functions.persistent = crate::lua::PersistentState::seeded(seed as u32);
    }

    /// Keeps the last effects from now on, for `SIM EFFECTS`.
    pub fn keep_effects(&mut self) {
        self.effect_log.get_or_insert_default();
    }

    /// Hands on what was just written, from the `first` effect on, to whoever keeps it.
    fn log_effects(&mut self, effects: &Effects, first: usize, now: UnixMicros) {
        self.extend_stream(effects, first, now);
        if let Some(log) = &mut self.effect_log {
            log.note(effects, first);
        }
    }

    /// Changes a setting, as `CONFIG SET` does.
    ///
    /// # Errors
    /// What `CONFIG SET` answers when there is no such setting, or when it cannot have this value.
    pub fn configure(&mut self, name: &str, value: &str) -> Result<(), ErrorReply> {
        self.config.set(&[(name.as_bytes(), value.as_bytes())])
    }

    /// A new connection.
    pub fn connect(&mut self) -> Session {
        self.stats.connections += 1;
        self.clients.connect(!self.config.password.is_empty())
    }

    /// A connection is gone, and with it its subscriptions.
    pub fn disconnect(&mut self, session: &Session) {
        self.pubsub.forget(session);
        self.watches.forget(session.id);
        self.tracking.forget(session.id);
        self.clients.forget(session.id);
    }

    /// Runs one command and appends what it wrote to `effects`. Keys that were evicted to make room for it come first, each as
    /// a [unit](Effects::units) of its own.
    pub fn execute(
        &mut self,
        session: &mut Session,
        args: &[&[u8]],
        now: UnixMicros,
        effects: &mut Effects,
    ) -> Reply {
        let command = match self.commands.resolve(self.dialect, args) {
            Ok(command) => command,
            Err(_) if is_http(args) => {
                self.clients.order(clients::Order::Close(session.id));
                return Reply::Nothing;
            }
            Err(unresolved) => {
                return self.refuse(session, unresolved.command(), args, unresolved.to_client(args));
            }
        };
        if self.config.max_memory > 0 && !session.from_primary && !self.is_loading && !self.is_busy() {
            self.make_room(now, effects);
        }
        if let Err(error) = self.admit(command, session, args, now) {
            return self.refuse(session, Some(command), args, error);
        }
        session.note(command, now);
        if session.transaction.is_some() && transactions::is_queued(command) {
            return self.queue(session, args);
        }
        self.begin(command, session, now);
        self.show(command, session, args, now, false);
        let first = effects.len();
        let reply = self.run(command, session, args, now, effects);
        self.log_effects(effects, first, now);
        session.written_to = self.replication.offset();
        session.commands += 1;
        // Where the host's clock is asked, the host answers.
        if let Reply::Error(error) = &reply
            && session.turn.is_none()
        {
            self.count_failure(command, error);
        }
        if self.config.logs_all {
            self.log_as_slow(command, session, args, now, false);
        }
        if !self.tracking.is_empty() {
            self.end_tracked(session, Some(command));
        }
        reply
    }

    /// Counts a call that failed; the error only if it is not one that a command of its script was counted for.
    fn count_failure(&mut self, command: &Command, error: &ErrorReply) {
        let within = self.error_in_script.take();
        match within.is_some_and(|within| error.0.starts_with(&*within.0)) {
            true => self.stats.count_failure_within(command),
            false => self.stats.count_failure(command, error),
        }
    }

    /// Counts the error that a command was answered which had waited.
    pub fn count_late_failure(&mut self, args: &[&[u8]], error: &ErrorReply) {
        if let Ok(command) = self.commands.lookup(self.dialect, args) {
            self.stats.count_failure(command, error);
        }
    }

    /// Does what another engine did: runs its effects, in order. They come over `stream`, a connection of this engine
    /// that is kept for them, because an effect may select a database. `now` is when they were made: at a later time a key
    /// may have expired between two of them, which a real server that loads an append-only file does not let happen. What
    /// is propagated in turn goes to `own`.
    ///
    /// # Errors
    /// An effect that is refused, with its reason; what came before it is done. Effects that come whole and in order to
    /// an engine of the same dialect, from its beginning on, are never refused.
    pub fn apply(
        &mut self,
        stream: &mut Session,
        effects: &Effects,
        now: UnixMicros,
        own: &mut Effects,
    ) -> Result<(), ErrorReply> {
        stream.from_primary = true;
        for effect in effects.iter() {
            let args: Vec<&[u8]> = effect.args().collect();
            if let Reply::Error(error) = self.execute(stream, &args, now, own) {
                return Err(format!("{effect:?} is refused: {}", error.0).into());
            }
        }
        Ok(())
    }

    /// What stands in the way of a command before it is looked at closely.
    fn admit(
        &self,
        command: &Command,
        session: &Session,
        args: &[&[u8]],
        now: UnixMicros,
    ) -> Result<(), ErrorReply> {
        if self.is_stranger(session) && !matches!(command.name, "AUTH" | "HELLO" | "QUIT" | "RESET") {
            return Err(ErrorReply::new("NOAUTH Authentication required."));
        }
        if let Some(error) = self.loading(command) {
            return Err(error);
        }
        if self.config.max_memory > 0
            && !session.from_primary
            && self.needs_memory(command, session, args)
            && self.is_short_of_memory()
        {
            return Err(memory::OUT_OF_MEMORY);
        }
        if let Some(refusal) = self.refusal_of_writes(session, now)
            && self.writes(command, session, args)
        {
            return Err(refusal.clone());
        }
        if session.transaction.is_some()
            && command.flags.has(Flags::NO_MULTI)
            && (self.dialect == Dialect::Valkey8 || command.name == "SHUTDOWN")
        {
            return Err(transactions::NOT_IN_ONE);
        }
        if session.only_listens() && !pubsub::allowed_while_listening(command) {
            return Err(pubsub::only_listens(command));
        }
        if self.dialect == Dialect::Valkey8
            && pubsub::is_only_for_listeners(command)
            && session.subscriptions() == 0
        {
            return Err(pubsub::listens_to_nothing(command));
        }
        if self.is_busy()
            && !command.flags.has(Flags::ALLOW_BUSY)
            && let Some(busy) = self.busy()
        {
            return Err(busy);
        }
        if session.is_monitor && self.asks_keyspace(command, args) {
            return Err(monitor::IS_REPLICA);
        }
        Ok(())
    }

    /// Whether a connection has to give the password before it may do anything else.
    #[inline]
    pub(crate) fn is_stranger(&self, session: &Session) -> bool {
        !self.config.password.is_empty() && session.is_stranger && !session.from_primary
    }

    /// A command is about to run, by itself, in a transaction or in a script.
    #[inline]
    fn begin(&mut self, command: &Command, session: &Session, now: UnixMicros) {
        self.db.now_s = now.seconds();
        self.stats.count(command, now);
        let reads = command.flags.has(Flags::READONLY) && command.keys != Keys::None;
        self.lookups.begin(reads || command.flags.has(Flags::LOOKS));
        self.looks.begin(command);
        if self.config.notes_use {
            self.begin_to_use(command.name, !session.no_touch);
        }
    }

    fn run(
        &mut self,
        command: &Command,
        session: &mut Session,
        args: &[&[u8]],
        now: UnixMicros,
        effects: &mut Effects,
    ) -> Reply {
        self.enter(session.db, effects);
        let (before, database) = (effects.len(), self.databases.propagated());
        self.tracking.seen = before;
        let mut context = Context { engine: self, session, args, now, effects, script: None };
        let reply = context.perform(command).into();
        self.leave(effects);
        if !self.watches.is_empty() {
            self.touch_watched(effects.iter().skip(before), database);
        }
        reply
    }

    /// Removes keys that have expired, `limit` at most, as Valkey's background cycle does. Returns how many. A replica leaves
    /// that to its primary.
    pub fn reap(&mut self, now: UnixMicros, limit: usize, effects: &mut Effects) -> usize {
        let (mut reaped, first) = (0, effects.len());
        let database = self.databases.propagated();
        let keeps = self.keeps_expired(now);
        self.enter(0, effects);
        while reaped < limit
            && !keeps
            && let Some((at, number)) = self.next_expiry_of_all()
            && now.millis() > at
        {
            self.select(number, effects);
            let Some((_, key)) = self.db.next_expiry() else { break };
            let key = key.clone();
            self.expire_in_time(&key, effects);
            reaped += 1;
        }
        self.leave(effects);
        if !self.watches.is_empty() {
            self.touch_watched(effects.iter().skip(first), database);
        }
        self.invalidate_for_all(effects, first);
        self.log_effects(effects, first, now);
        reaped
    }

    /// Whether expired keys stay, unseen: a replica leaves them to its primary, and nothing changes during a pause.
    fn keeps_expired(&self, now: UnixMicros) -> bool {
        self.is_replica() || (self.may_be_paused() && self.pause(now).is_some())
    }

    /// When the next key expires, for a server that wants to [`reap`](Self::reap) in time; never, on a replica, and not
    /// before a pause ends.
    pub fn next_expiry(&self) -> Option<UnixMillis> {
        let next = if self.is_replica() { None } else { self.next_expiry_of_all() };
        let pause = self.clients.pause.map_or(UnixMillis(0), |pause| pause.until);
        next.map(|(at, _)| at.max(pause))
    }

    /// The loaded libraries, to look at.
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// A key's time has come.
    fn expire_in_time(&mut self, key: &[u8], effects: &mut Effects) {
        self.expire(key, effects);
        self.stats.expired_by_time += 1;
        let database = self.databases.selected();
        self.notify(notify::Events::EXPIRED, "expired", key, database);
        if !self.tracking.is_empty() {
            self.tracking.note_expired(key);
        }
    }

    fn expire(&mut self, key: &[u8], effects: &mut Effects) {
        self.db.remove(key);
        self.stats.expired_keys += 1;
        effects.push(&[self.deletion(), key]);
    }

    /// How many elements a command looks at whose work grows with all that its keys hold, or with the number of keys.
    fn extent(&self, command: &Command, args: &[&[u8]]) -> u64 {
        if command.keys == Keys::None {
            return self.db.len() as u64;
        }
        let keys = command.keys.of(args).unwrap_or_default();
        let elements = keys.iter().filter_map(|key| Some(self.db.get(key)?.value.elements()));
        // Each byte of one string with each of the other; of collections, each element once.
        if command.name == "LCS" { elements.fold(1, u64::saturating_mul) } else { elements.sum() }
    }

    /// The command by which the deletion of an expired key is propagated.
    fn deletion(&self) -> &'static [u8] {
        match self.dialect {
            Dialect::Valkey8 => b"UNLINK",
            Dialect::Redis7 => b"DEL",
        }
    }
}

/// Whether a request is the first line of one by HTTP, or one of its headers: a server has no word for a browser that was
/// lured to it.
fn is_http(args: &[&[u8]]) -> bool {
    args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"HOST:"))
}

/// A value of another type is under the key.
pub const WRONG_TYPE: ErrorReply =
    ErrorReply::new("WRONGTYPE Operation against a key holding the wrong kind of value");
/// The arguments do not fit the command's grammar.
pub const SYNTAX: ErrorReply = ErrorReply::new("ERR syntax error");

/// What a command's implementation works with.
pub struct Context<'a> {
    /// The server.
    pub engine: &'a mut Engine,
    /// The connection that sent the command; for a script, the one that called it.
    pub session: &'a mut Session,
    /// The command, its name first.
    pub args: &'a [&'a [u8]],
    /// The server's clock: the same for everything within one command.
    pub now: UnixMicros,
    /// What was written so far.
    pub effects: &'a mut Effects,
    /// Set while a script or function calls: what it may do.
    pub script: Option<ScriptRules>,
}

/// What a running script or function may do.
#[derive(Clone, Copy, Debug)]
pub struct ScriptRules {
    /// `FCALL_RO`, `EVAL_RO` or the flag `no-writes`: write commands are refused.
    pub read_only: bool,
    /// Memory was short when it began, and it has not written yet: commands that need memory are refused.
    pub short_of_memory: bool,
    /// What its writes are refused with, if the server takes none.
    pub refusal_of_writes: Option<&'static ErrorReply>,
}

impl<'a> Context<'a> {
    /// Runs the command, tells those who want to know what became of its keys, and puts back what was set aside for it.
    #[inline]
    pub(super) fn perform(&mut self, command: &Command) -> CommandResult {
        let result = self.perform_and_tell(command);
        self.engine.show_hidden();
        result
    }

    #[inline]
    fn perform_and_tell(&mut self, command: &Command) -> CommandResult {
        if self.engine.config.events.is_empty() && self.engine.tracking.is_empty() {
            return (command.run)(self);
        }
        let before = self.before(command);
        let result = (command.run)(self);
        if !self.engine.tracking.is_empty() {
            self.track(command);
        }
        if self.engine.config.events.is_empty() {
            return result;
        }
        let reply = match &result {
            Ok(reply) => reply.clone(),
            Err(error) => Reply::Error(error.clone()),
        };
        self.after(command, &before, &reply);
        result
    }

    /// The argument at `index`. The arity was checked, so the required ones are there.
    pub fn arg(&self, index: usize) -> &'a [u8] {
        self.args[index]
    }

    /// The argument at `index`, if there is one.
    pub fn opt(&self, index: usize) -> Option<&'a [u8]> {
        self.args.get(index).copied()
    }

    /// Milliseconds of [`now`](Self::now).
    pub fn now_ms(&self) -> UnixMillis {
        self.now.millis()
    }

    /// The value of a key, if it has one that has not expired.
    pub fn get(&mut self, key: &[u8]) -> Option<&Value> {
        self.drop_if_expired(key);
        let Engine { db, lookups, stats, config, .. } = &mut *self.engine;
        let found = db.get(key);
        if let Some(entry) = found
            && entry.last_use_s() != db.now_s
            && usage::uses(self.args, self.session)
        {
            entry.use_at(db.now_s);
        }
        if lookups.is_counted {
            lookups.note(key, found.is_some(), stats, config.events);
        }
        found.map(|entry| &entry.value)
    }

    /// The value of a key, for changing.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut Value> {
        self.look(key);
        self.engine.db.value_mut(key)
    }

    /// The value of a key for changing, made by `empty` where there is none.
    pub fn get_or_insert(&mut self, key: &[u8], empty: impl FnOnce() -> Value) -> &mut Value {
        self.drop_if_expired(key);
        self.engine.db.value_or_insert(key, empty)
    }

    /// Whether the key exists.
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// The keyspace after removing `key` from it if it has expired: what every look at a key goes through.
    pub fn db(&mut self, key: &[u8]) -> &mut Keyspace {
        self.look(key);
        &mut self.engine.db
    }

    /// Removes a key that has expired, and counts the look at it where such looks are counted.
    #[inline]
    fn look(&mut self, key: &[u8]) {
        self.drop_if_expired(key);
        if self.engine.lookups.is_counted {
            let is_there = self.engine.db.get(key).is_some();
            self.engine.count_lookup(key, is_there);
        }
    }

    fn drop_if_expired(&mut self, key: &[u8]) {
        self.engine.looks.note(key);
        let now = self.now_ms();
        if self.engine.db.next_expiry().is_some_and(|(at, _)| now > at) && self.engine.db.is_expired(key, now)
        {
            match self.engine.keeps_expired(self.now) {
                false => self.engine.expire_in_time(key, self.effects),
                true if self.session.from_primary => {}
                true => self.engine.hide(key),
            }
        }
        if self.engine.config.notes_use {
            self.note_use(key);
        }
    }

    /// Records that the command changed something, to be propagated as it was sent.
    pub fn propagate(&mut self) {
        self.effects.push(self.args);
    }

    /// Records a write in the form in which Valkey would propagate it.
    pub fn propagate_as(&mut self, args: &[&[u8]]) {
        self.effects.push(args);
    }

    /// A script pays for work that shows neither in the command's arguments nor in its reply: so many elements looked at, or
    /// sixteen times as many bytes copied.
    pub fn pay(&mut self, elements: usize) {
        self.engine.looked_at += elements as u64;
    }

    /// So many bytes more are used, which are not in the command's effects: a script may write no more than it may hold.
    pub fn grow(&mut self, bytes: usize) {
        self.engine.written += bytes as u64;
    }

    /// Runs a command on behalf of the running script.
    pub fn call_from_script(&mut self, args: &[&[u8]], rules: ScriptRules) -> CommandResult {
        let dialect = self.engine.dialect;
        let resolved = self.engine.commands.resolve(dialect, args);
        let refusal = match resolved {
            Err(unresolved) => Some((unresolved.command(), unresolved.to_script(dialect, args))),
            Ok(command) => refusal_in_script(command, rules, dialect).map(|refusal| (Some(command), refusal)),
        };
        let (Ok(command), None) = (resolved, &refusal) else {
            let (command, error) = refusal.unwrap_or((None, SYNTAX));
            self.engine.stats.count_rejection(command, &error);
            self.engine.error_in_script = Some(error.clone());
            return Err(error);
        };
        self.engine.has_written |= command.flags.has(Flags::WRITE);
        self.engine.begin(command, self.session, self.now);
        self.engine.show(command, self.session, args, self.now, true);
        if command.flags.has(Flags::LINEAR) {
            self.engine.looked_at += self.engine.extent(command, args);
        }
        let mut context = Context {
            engine: self.engine,
            session: self.session,
            args,
            now: self.now,
            effects: self.effects,
            script: Some(rules),
        };
        let before = context.effects.weight();
        let result = context.perform(command);
        self.engine.written += (self.effects.weight() - before) as u64;
        if let Err(error) = &result {
            self.engine.stats.count_failure(command, error);
            self.engine.error_in_script = Some(error.clone());
        }
        if self.engine.config.logs_all {
            self.engine.log_as_slow(command, self.session, args, self.now, true);
        }
        result
    }
}

/// Why a script may not call a command, if it may not.
fn refusal_in_script(command: &Command, rules: ScriptRules, dialect: Dialect) -> Option<ErrorReply> {
    let is_redis = dialect == Dialect::Redis7;
    if command.flags.has(Flags::NOSCRIPT) || is_redis && command.flags.has(Flags::NOSCRIPT_ON_REDIS) {
        // Valkey 8 says Redis here, too.
        return Some(ErrorReply::new("ERR This Redis command is not allowed from script"));
    }
    let writes = command.flags.has(Flags::WRITE) || command.flags.has(Flags::MAY_REPLICATE);
    if rules.read_only && writes {
        return Some(ErrorReply::new("ERR Write commands are not allowed from read-only scripts."));
    }
    if let Some(refusal) = rules.refusal_of_writes
        && command.flags.has(Flags::WRITE)
    {
        return Some(refusal.clone());
    }
    (rules.short_of_memory && command.flags.has(Flags::DENYOOM)).then_some(memory::OUT_OF_MEMORY)
}
