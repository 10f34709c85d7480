//! Keyspace notifications: `notify-keyspace-events`.
//!
//! Which events a command is, is read off the command, of what it changed, and of which of its keys there were before and
//! are after it: no command says so itself. Nothing is looked at as long as nobody asked for events. Not here: who listens.

use bytes::Bytes;

use super::{
    Context, Engine, Reply, Value, databases,
    stats::Stats,
    table::{Command, Keys},
};

/// Kinds of events, as the letters of the setting name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(u16);

impl Events {
    const KEYSPACE: Events = Events(1);
    const KEYEVENT: Events = Events(1 << 1);
    const GENERIC: Events = Events(1 << 2);
    const STRING: Events = Events(1 << 3);
    const LIST: Events = Events(1 << 4);
    const SET: Events = Events(1 << 5);
    const HASH: Events = Events(1 << 6);
    const SORTED_SET: Events = Events(1 << 7);
    const STREAM: Events = Events(1 << 8);
    pub(super) const EXPIRED: Events = Events(1 << 9);
    pub(super) const EVICTED: Events = Events(1 << 10);
    const MISSED: Events = Events(1 << 11);
    const NEW: Events = Events(1 << 12);

    /// Reads the setting.
    pub fn parse(letters: &str) -> Self {
        let mut events = 0;
        for letter in letters.chars() {
            events |= match letter {
                'K' => Self::KEYSPACE.0,
                'E' => Self::KEYEVENT.0,
                'g' => Self::GENERIC.0,
                '$' => Self::STRING.0,
                'l' => Self::LIST.0,
                's' => Self::SET.0,
                'h' => Self::HASH.0,
                'z' => Self::SORTED_SET.0,
                't' => Self::STREAM.0,
                'x' => Self::EXPIRED.0,
                'e' => Self::EVICTED.0,
                'm' => Self::MISSED.0,
                'n' => Self::NEW.0,
                // All but those that somebody must ask for by name.
                'A' => (Self::MISSED.0 - 1) & !(Self::KEYSPACE.0 | Self::KEYEVENT.0),
                _ => 0,
            };
        }
        Self(events)
    }

    /// Whether nobody asked for any.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn has(self, other: Events) -> bool {
        self.0 & other.0 != 0
    }
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    exists: bool,
    elements: u64,
    consumers: usize,
}

/// What was there before a command.
pub(super) struct Before {
    keys: Vec<(u8, Bytes, Known)>,
    effects: usize,
    expired: u64,
}

impl Engine {
    /// Publishes an event of a key.
    pub(super) fn notify(&mut self, kind: Events, event: &str, key: &[u8], database: u8) {
        let wanted = self.config.events;
        if !wanted.has(kind) {
            return;
        }
        if wanted.has(Events::KEYSPACE) {
            let channel = [format!("__keyspace@{database}__:").as_bytes(), key].concat();
            self.pubsub.publish(&channel, event.as_bytes());
        }
        if wanted.has(Events::KEYEVENT) {
            self.pubsub.publish(format!("__keyevent@{database}__:{event}").as_bytes(), key);
        }
    }

    fn known(&self, database: u8, key: &[u8]) -> Known {
        let Some(entry) = self.database(database).and_then(|db| db.get(key)) else { return Known::default() };
        let (elements, consumers) = match &entry.value {
            Value::Stream(stream) => {
                (stream.len(), stream.groups.values().map(|group| group.consumers.len()).sum())
            }
            Value::Set(set) => (set.len() as u64, 0),
            _ => (0, 0),
        };
        Known { exists: true, elements, consumers }
    }
}

/// Where else than among the keys of its description a command writes.
fn written_besides<'a>(command: &Command, args: &[&'a [u8]]) -> Option<&'a [u8]> {
    let stores = matches!(command.keys, Keys::Counted(2)) && command.name.ends_with("STORE");
    stores.then(|| args.get(1).copied()).flatten()
}

impl Context<'_> {
    /// Puts a string under a key, and tells of that before the next one.
    pub(super) fn telling_of_set(&mut self, key: &[u8], put: impl FnOnce(&mut Self)) {
        if self.engine.config.events.is_empty() {
            return put(self);
        }
        self.drop_if_expired(key);
        let (is_new, here) = (self.engine.db.get(key).is_none(), self.selected());
        put(self);
        if is_new {
            self.engine.notify(Events::NEW, "new", key, here);
        }
        self.engine.notify(Events::STRING, "set", key, here);
    }

    /// Tells that a key was deleted, before anything happens to the next one.
    pub(super) fn tell_of_deletion(&mut self, key: &[u8]) {
        self.engine.notify(Events::GENERIC, "del", key, self.selected());
    }

    /// Notes what there is before a command that may be news.
    pub(super) fn before(&self, command: &Command) -> Before {
        let (now, here) = (self.now_ms(), self.selected());
        let mut keys = command.keys.of(self.args).unwrap_or_default();
        keys.extend(written_besides(command, self.args));
        let mut places: Vec<(u8, &[u8])> = keys.into_iter().map(|key| (here, key)).collect();
        if let Some((number, key)) = self.elsewhere(command) {
            places.push((number, key));
        }
        let known = |number: u8, key: &[u8]| {
            let is_expired = self.engine.database(number).is_some_and(|db| db.is_expired(key, now));
            if is_expired { Known::default() } else { self.engine.known(number, key) }
        };
        let keys =
            places.into_iter().map(|(number, key)| (number, Bytes::copy_from_slice(key), known(number, key)));
        Before {
            keys: keys.collect(),
            effects: self.effects.len(),
            expired: self.engine.stats.expired_by_time,
        }
    }

    /// The key in another database that a command writes.
    fn elsewhere(&self, command: &Command) -> Option<(u8, &[u8])> {
        match command.name {
            "MOVE" => Some((databases::parse(self.opt(2)?).ok()?, self.arg(1))),
            "COPY" => {
                let at = self.args.iter().position(|arg| arg.eq_ignore_ascii_case(b"DB"))?;
                Some((databases::parse(self.opt(at + 1)?).ok()?, self.arg(2)))
            }
            _ => None,
        }
    }

    /// Publishes the events that a command was.
    pub(super) fn after(&mut self, command: &Command, before: &Before, reply: &Reply) {
        for key in std::mem::take(&mut self.engine.lookups.missed) {
            self.engine.notify(Events::MISSED, "keymiss", &key, self.selected());
        }
        let own =
            self.effects.iter().skip(before.effects).filter(|effect| effect.name() != b"SELECT").count();
        let expired = self.engine.stats.expired_by_time.saturating_sub(before.expired);
        let is_changed = own as u64 > expired;
        let news = News { cx: self, command, before, reply, is_changed };
        news.tell();
    }
}

struct News<'n, 'c, 'a> {
    cx: &'n mut Context<'a>,
    command: &'c Command,
    before: &'n Before,
    reply: &'n Reply,
    is_changed: bool,
}

impl News<'_, '_, '_> {
    fn tell(mut self) {
        use Events as E;
        let name = self.command.name;
        let lower = name.to_ascii_lowercase();
        if name == "LTRIM" && self.reply.error().is_none() && self.was(0).exists {
            return self.one(E::LIST, "ltrim", 0);
        }
        // That a consumer asked for the first time is no change of the data.
        let asks = matches!(name, "XREADGROUP" | "XCLAIM" | "XAUTOCLAIM");
        if asks {
            return self.consumers();
        }
        if !self.is_changed || self.reply.error().is_some() {
            return;
        }
        match name {
            "SET" | "SETNX" | "GETSET" | "SETEX" | "PSETEX" => self.set(),
            // Told key by key, as what has expired is.
            "MSET" | "DEL" | "UNLINK" => {}
            "MSETNX" => (0..self.before.keys.len()).for_each(|at| self.one(E::STRING, "set", at)),
            "GETEX" => self.expiry(),
            "EXPIRE" | "PEXPIRE" | "EXPIREAT" | "PEXPIREAT" => self.expiry(),
            "PERSIST" => self.one(E::GENERIC, "persist", 0),
            "APPEND" | "SETRANGE" | "INCRBYFLOAT" | "SETBIT" => self.one(E::STRING, &lower, 0),
            "BITFIELD" => self.one(E::STRING, "setbit", 0),
            "BITOP" => self.stored(E::STRING, "set", 0),
            "RESTORE" => {
                self.replaced(0);
                self.event(E::GENERIC, "restore", 0);
            }
            "SORT" => self.sorted(),
            "INCR" | "DECR" | "INCRBY" | "DECRBY" => self.one(E::STRING, "incrby", 0),
            "GETDEL" => self.event(E::GENERIC, "del", 0),
            "RENAME" | "RENAMENX" => {
                self.made(1);
                self.event(E::GENERIC, "rename_from", 0);
                self.event(E::GENERIC, "rename_to", 1);
            }
            "COPY" => {
                let target = self.before.keys.len() - 1;
                self.replaced(target);
                self.event(E::GENERIC, "copy_to", target);
            }
            "MOVE" => {
                self.made(1);
                self.event(E::GENERIC, "move_from", 0);
                self.event(E::GENERIC, "move_to", 1);
            }
            "HMSET" => self.one(E::HASH, "hset", 0),
            "HSETNX" => self.one(E::HASH, "hset", 0),
            "HSET" | "HINCRBY" | "HINCRBYFLOAT" | "HDEL" => self.one(E::HASH, &lower, 0),
            "LPUSHX" | "RPUSHX" => self.one(E::LIST, &lower[..5], 0),
            "LPUSH" | "RPUSH" | "LINSERT" | "LSET" | "LREM" | "LPOP" | "RPOP" => self.one(E::LIST, &lower, 0),
            "LMOVE" | "RPOPLPUSH" | "BLMOVE" | "BRPOPLPUSH" => self.list_moved(),
            "LMPOP" | "BLMPOP" => self.popped(E::LIST, "lpop", "rpop", b"LEFT"),
            "BLPOP" | "BRPOP" => {
                let event = &lower[1..];
                self.popped(E::LIST, event, event, b"");
            }
            "SADD" | "SREM" | "SPOP" => self.one(E::SET, &lower, 0),
            "SMOVE" => {
                self.one(E::SET, "srem", 0);
                if self.is(1).elements > self.was(1).elements {
                    self.one(E::SET, "sadd", 1);
                }
            }
            "SINTERSTORE" | "SUNIONSTORE" | "SDIFFSTORE" => self.stored(E::SET, &lower, 0),
            "ZUNIONSTORE" | "ZINTERSTORE" | "ZDIFFSTORE" => {
                let target = self.before.keys.len() - 1;
                self.stored(E::SORTED_SET, &lower, target);
            }
            "ZRANGESTORE" => self.stored(E::SORTED_SET, &lower, 0),
            "ZADD" => {
                let adds = self.cx.args.iter().any(|arg| arg.eq_ignore_ascii_case(b"INCR"));
                self.one(E::SORTED_SET, if adds { "zincr" } else { "zadd" }, 0);
            }
            "ZINCRBY" => self.one(E::SORTED_SET, "zincr", 0),
            "BZPOPMIN" | "BZPOPMAX" => {
                let event = &lower[1..];
                self.popped(E::SORTED_SET, event, event, b"");
            }
            "ZMPOP" | "BZMPOP" => self.popped(E::SORTED_SET, "zpopmin", "zpopmax", b"MIN"),
            "XADD" => {
                self.one(E::STREAM, "xadd", 0);
                if self.is(0).elements <= self.was(0).elements {
                    self.event(E::STREAM, "xtrim", 0);
                }
            }
            "XTRIM" | "XDEL" | "XSETID" => self.one(E::STREAM, &lower, 0),
            name if name.starts_with("XGROUP|") => {
                let event = lower.replace('|', "-");
                self.one(E::STREAM, &event, 0);
            }
            name if name.starts_with('Z') => self.one(E::SORTED_SET, &lower, 0),
            _ => {}
        }
    }

    fn was(&self, at: usize) -> Known {
        self.before.keys.get(at).map(|(.., known)| *known).unwrap_or_default()
    }

    fn is(&self, at: usize) -> Known {
        self.before
            .keys
            .get(at)
            .map(|(number, key, _)| self.cx.engine.known(*number, key))
            .unwrap_or_default()
    }

    /// One event of one of the command's keys.
    fn event(&mut self, kind: Events, event: &str, at: usize) {
        if let Some((number, key, _)) = self.before.keys.get(at) {
            self.cx.engine.notify(kind, event, key, *number);
        }
    }

    /// A key is there that was not.
    fn made(&mut self, at: usize) {
        if self.is(at).exists {
            self.event(Events::NEW, "new", at);
        }
    }

    /// As [`made`](Self::made), and one that was replaced is new, too.
    fn replaced(&mut self, at: usize) {
        self.made(at);
    }

    /// An event of a key that the command changed: it may have made the key, or emptied it.
    fn one(&mut self, kind: Events, event: &str, at: usize) {
        if !self.was(at).exists {
            self.made(at);
        }
        self.event(kind, event, at);
        if !self.is(at).exists {
            self.event(Events::GENERIC, "del", at);
        }
    }

    fn set(&mut self) {
        if !self.is(0).exists {
            return self.event(Events::GENERIC, "del", 0);
        }
        self.one(Events::STRING, "set", 0);
        let has = |word: &&[u8]| {
            ["EX", "PX", "EXAT", "PXAT"].iter().any(|option| word.eq_ignore_ascii_case(option.as_bytes()))
        };
        let expires = match self.command.name {
            "SET" => self.cx.args.iter().skip(3).any(has),
            name => name.ends_with("SETEX"),
        };
        if expires {
            self.event(Events::GENERIC, "expire", 0);
        }
    }

    /// A key expires at another time, no longer, or at once.
    fn expiry(&mut self) {
        let persists = self.cx.args.iter().skip(2).any(|arg| arg.eq_ignore_ascii_case(b"PERSIST"));
        let event = match self.is(0).exists {
            false => "del",
            true if persists => "persist",
            true => "expire",
        };
        self.event(Events::GENERIC, event, 0);
    }

    fn stored(&mut self, kind: Events, event: &str, at: usize) {
        if self.is(at).exists {
            self.one(kind, event, at);
        } else {
            self.event(Events::GENERIC, "del", at);
        }
    }

    /// `SORT … STORE`.
    fn sorted(&mut self) {
        let stores = self.cx.args.iter().position(|arg| arg.eq_ignore_ascii_case(b"STORE"));
        let target = stores.and_then(|at| self.cx.opt(at + 1));
        let at = self.before.keys.iter().position(|(_, key, _)| Some(&key[..]) == target);
        if let Some(at) = at {
            self.stored(Events::LIST, "sortstore", at);
        }
    }

    fn list_moved(&mut self) {
        let from_left = self.cx.opt(3).is_some_and(|side| side.eq_ignore_ascii_case(b"LEFT"));
        let to_left = self.cx.opt(4).is_none_or(|side| side.eq_ignore_ascii_case(b"LEFT"));
        if !self.was(1).exists {
            self.made(1);
        }
        self.event(Events::LIST, if to_left { "lpush" } else { "rpush" }, 1);
        self.event(Events::LIST, if from_left { "lpop" } else { "rpop" }, 0);
        if !self.is(0).exists {
            self.event(Events::GENERIC, "del", 0);
        }
    }

    /// Elements of the key that the reply names were taken, from one end or the other.
    fn popped(&mut self, kind: Events, first: &str, other: &str, word: &[u8]) {
        let Reply::Array(parts) = self.reply else { return };
        let Some(Reply::Bulk(key)) = parts.first() else { return };
        let is_first = word.is_empty() || self.cx.args.iter().any(|arg| arg.eq_ignore_ascii_case(word));
        if let Some(at) = self.before.keys.iter().position(|(_, known, _)| known == key) {
            self.one(kind, if is_first { first } else { other }, at);
        }
    }

    /// Consumers that were not there before.
    fn consumers(&mut self) {
        for at in 0..self.before.keys.len() {
            if self.is(at).consumers > self.was(at).consumers {
                self.event(Events::STREAM, "xgroup-createconsumer", at);
            }
        }
    }
}

/// Looks at keys that are counted: `keyspace_hits` and `keyspace_misses`.
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    /// Whether the command that runs is one whose looks are counted: one that reads.
    pub is_counted: bool,
    /// Whether it counts each look at a key, not each key.
    pub counts_all: bool,
    /// Where the argument is that was looked at last.
    last: usize,
    /// Keys that were looked for in vain, for those who want to be told.
    missed: Vec<Bytes>,
}

impl Lookups {
    /// A command begins.
    #[inline]
    pub fn begin(&mut self, is_counted: bool) {
        self.is_counted = is_counted;
        self.counts_all = false;
        self.last = 0;
    }

    /// Counts a look at a key, unless it is one more at the same argument.
    pub fn note(&mut self, key: &[u8], is_there: bool, stats: &mut Stats, wanted: Events) {
        let place = key.as_ptr() as usize;
        if !self.counts_all && std::mem::replace(&mut self.last, place) == place {
            return;
        }
        if is_there {
            stats.hits += 1;
        } else {
            stats.misses += 1;
            if wanted.has(Events::MISSED) {
                self.missed.push(Bytes::copy_from_slice(key));
            }
        }
    }
}

impl Engine {
    /// Counts a look at a key that is not one of those that are counted by themselves.
    pub(super) fn count_lookup(&mut self, key: &[u8], is_there: bool) {
        self.lookups.note(key, is_there, &mut self.stats, self.config.events);
    }
}
