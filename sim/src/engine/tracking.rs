//! Client-side caching: who is told that keys which it may have read are no longer what they were (`CLIENT TRACKING`).
//!
//! A client is told of the keys that it read, or of all keys that begin with one of its prefixes (`BCAST`). Nothing is looked
//! at as long as nobody tracks.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{
    Context, Dialect, Effects, Engine, Protocol, Reply, Session,
    table::{Command, Flags},
    watches::written_keys,
};

/// The channel by which a client that speaks RESP2 is told.
const CHANNEL: &str = "__redis__:invalidate";

/// What a client asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `REDIRECT`: the client that is told in its place; 0: none.
    pub redirect: u64,
    /// `BCAST`: by prefixes, not by what it reads.
    pub by_prefix: bool,
    /// `OPTIN`: what it reads only if it says so before.
    pub opt_in: bool,
    /// `OPTOUT`: what it reads unless it says otherwise before.
    pub opt_out: bool,
    /// `NOLOOP`: not of what it changes itself.
    pub no_loop: bool,
}

/// A client that tracks.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    /// What it asked for.
    pub options: Options,
    /// Its prefixes; the empty one is that of all keys.
    pub prefixes: BTreeSet<Bytes>,
    /// `CLIENT CACHING`: what it said of the next command.
    pub is_caching: bool,
    /// Whether it was to be told by a client that is gone.
    pub is_broken: bool,
}

/// Who tracks what.
#[derive(Clone, Debug, Default)]
pub struct Tracking {
    clients: BTreeMap<u64, Tracker>,
    /// Who read a key, in whatever database, since it was changed last.
    readers: BTreeMap<Bytes, BTreeSet<u64>>,
    /// For each prefix the keys that were changed since those who track by it were told, and who changed each last.
    changed: BTreeMap<Bytes, BTreeMap<Bytes, Option<u64>>>,
    /// What clients are told after the reply to the command that runs.
    pending: Vec<(u64, Told)>,
    /// Keys of `DEL` that were not there.
    spared: Vec<Bytes>,
    /// Keys whose time had come: nobody changed them, whoever found it so.
    expired: Vec<Bytes>,
    /// How many effects of the command that runs have been looked at.
    pub seen: usize,
    /// Whether a command runs that has waited.
    pub is_waking: bool,
    /// The keys that the script which runs declares.
    declared: Vec<Bytes>,
    /// Who speaks RESP3.
    modern: BTreeSet<u64>,
}

/// What a client is told.
#[derive(Clone, Debug)]
enum Told {
    /// These keys were changed.
    Keys(Vec<Bytes>),
    /// All of them.
    All,
}

impl Tracking {
    /// Whether nobody tracks anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// A client that tracks.
    pub fn of(&self, client: u64) -> Option<&Tracker> {
        self.clients.get(&client)
    }

    /// The same, for changing.
    pub fn of_mut(&mut self, client: u64) -> Option<&mut Tracker> {
        self.clients.get_mut(&client)
    }

    /// Has a client track, or track otherwise.
    pub fn begin(&mut self, client: u64, options: Options, prefixes: Vec<Bytes>) {
        let tracker = self.clients.entry(client).or_default();
        *tracker = Tracker { options, prefixes: std::mem::take(&mut tracker.prefixes), ..Tracker::default() };
        if tracker.options.by_prefix {
            let all = prefixes.is_empty().then(Bytes::new);
            tracker.prefixes.extend(prefixes.into_iter().chain(all));
        }
    }

    /// A client tracks no more. What it has read is remembered, for the case that it begins again.
    pub fn end(&mut self, client: u64) {
        self.clients.remove(&client);
    }

    /// A client is gone.
    pub fn forget(&mut self, client: u64) {
        self.end(client);
        self.modern.remove(&client);
        self.readers.retain(|_, readers| {
            readers.remove(&client);
            !readers.is_empty()
        });
    }

    /// A client speaks a protocol from now on.
    pub fn note_protocol(&mut self, client: u64, protocol: Protocol) {
        match protocol {
            Protocol::Resp3 => self.modern.insert(client),
            Protocol::Resp2 => self.modern.remove(&client),
        };
    }

    /// One more effect was put before all from the `at`th on.
    pub fn note_inserted(&mut self, at: usize) {
        self.seen += usize::from(self.seen > at);
    }

    /// The time of a key had come, and its deletion is the next effect.
    pub fn note_expired(&mut self, key: &[u8]) {
        self.expired.push(Bytes::copy_from_slice(key));
    }

    /// A script begins that declares these keys.
    pub fn begin_script(&mut self, keys: Option<Vec<&[u8]>>) {
        self.declared = keys.unwrap_or_default().into_iter().map(Bytes::copy_from_slice).collect();
    }

    /// A key of `DEL` is not there, or not any more: these came before it.
    pub fn spare(&mut self, key: &[u8], before: &[&[u8]]) {
        if !self.is_empty() && !before.contains(&key) {
            self.spared.push(Bytes::copy_from_slice(key));
        }
    }

    /// How many clients track, keys were read, reads there were, and prefixes there are.
    pub fn counts(&self) -> [usize; 4] {
        let prefixes: BTreeSet<&Bytes> =
            self.clients.values().flat_map(|tracker| &tracker.prefixes).collect();
        let reads = self.readers.values().map(BTreeSet::len).sum();
        [self.clients.len(), self.readers.len(), reads, prefixes.len()]
    }
}

impl Tracker {
    /// Whether what it reads now is remembered.
    fn remembers(&self) -> bool {
        let Options { by_prefix, opt_in, opt_out, .. } = self.options;
        let is_asked_for = if self.is_caching { !opt_out } else { !opt_in };
        is_asked_for && !by_prefix
    }
}

impl Engine {
    /// Tells who tracks them of the keys that effects wrote, from the `first` on; nobody's command did.
    pub(super) fn invalidate_for_all(&mut self, effects: &Effects, first: usize) {
        if !self.tracking.is_empty() {
            self.tracking.seen = first;
            self.invalidate(effects, None, None);
        }
    }

    /// Tells who tracks them of the keys that were written since the last time. `by` is the client whose command runs, `directly`
    /// the same unless a script changed them.
    fn invalidate(&mut self, effects: &Effects, by: Option<u64>, directly: Option<u64>) {
        let first = std::mem::replace(&mut self.tracking.seen, effects.len());
        let spared = std::mem::take(&mut self.tracking.spared);
        let mut expired = std::mem::take(&mut self.tracking.expired);
        // Redis 7.0 says nothing of a list from which it serves who waited for it, but by BLMPOP.
        let is_silent = self.tracking.is_waking && self.dialect == Dialect::Redis7;
        for effect in effects.iter().skip(first) {
            let args: Vec<&[u8]> = effect.args().collect();
            match effect.name() {
                b"FLUSHALL" | b"FLUSHDB" => self.invalidate_all(by),
                b"COPY" => self.invalidate_key(args[2], by, directly),
                b"LPOP" | b"RPOP" if is_silent && args.len() == 2 => {}
                b"LMOVE" | b"RPOPLPUSH" if is_silent => self.invalidate_key(args[2], by, directly),
                b"MOVE" => self.invalidate_key(args[1], by, directly),
                name => {
                    let deletes = matches!(name, b"DEL" | b"UNLINK");
                    for key in written_keys(self.commands, name, &args) {
                        let expired_at = expired.iter().position(|expired| deletes && expired == key);
                        if let Some(at) = expired_at {
                            expired.remove(at);
                            self.invalidate_key(key, by, None);
                        } else if !deletes || !spared.iter().any(|spared| spared == key) {
                            self.invalidate_key(key, by, directly);
                        }
                    }
                }
            }
        }
    }

    fn invalidate_key(&mut self, key: &[u8], by: Option<u64>, directly: Option<u64>) {
        let Tracking { clients, changed, .. } = &mut self.tracking;
        for prefix in clients.values().flat_map(|tracker| &tracker.prefixes) {
            if key.starts_with(prefix) {
                let keys = changed.entry(prefix.clone()).or_default();
                keys.insert(Bytes::copy_from_slice(key), directly);
            }
        }
        let Some((key, readers)) = self.tracking.readers.remove_entry(key) else { return };
        for reader in readers {
            let Some(tracker) = self.tracking.of(reader).filter(|tracker| !tracker.options.by_prefix) else {
                continue;
            };
            let is_own = by == Some(reader);
            if is_own && tracker.options.no_loop {
                continue;
            }
            let told = Told::Keys(vec![key.clone()]);
            match is_own {
                true => self.tracking.pending.push((reader, told)),
                false => self.tell_tracker(reader, told),
            }
        }
    }

    fn invalidate_all(&mut self, by: Option<u64>) {
        self.tracking.readers.clear();
        let clients: Vec<u64> = self.tracking.clients.keys().copied().collect();
        for client in clients {
            match by == Some(client) {
                true => self.tracking.pending.push((client, Told::All)),
                false => self.tell_tracker(client, Told::All),
            }
        }
    }

    /// Tells those who track by prefixes what was changed since they were told last: once for each of their prefixes. A real
    /// server does so before it waits for more requests.
    pub fn tell_by_prefix(&mut self) {
        let changed = std::mem::take(&mut self.tracking.changed);
        if changed.is_empty() {
            return;
        }
        let mut told = Vec::new();
        for (client, tracker) in &self.tracking.clients {
            for keys in tracker.prefixes.iter().filter_map(|prefix| changed.get(prefix)) {
                let is_told = |by: &Option<u64>| !(tracker.options.no_loop && *by == Some(*client));
                let keys: Vec<Bytes> =
                    keys.iter().filter(|(_, by)| is_told(by)).map(|(key, _)| key.clone()).collect();
                if !keys.is_empty() {
                    told.push((*client, Told::Keys(keys)));
                }
            }
        }
        told.into_iter().for_each(|(client, keys)| self.tell_tracker(client, keys));
    }

    /// Tells a client that tracks, or the one that is told in its place.
    fn tell_tracker(&mut self, client: u64, told: Told) {
        let Some(tracker) = self.tracking.clients.get_mut(&client) else { return };
        let redirect = tracker.options.redirect;
        let is_modern = self.tracking.modern.contains(&client);
        if redirect != 0 && !self.clients.exists(redirect) {
            tracker.is_broken = true;
            if is_modern {
                let news = vec![Reply::bulk("tracking-redir-broken"), Reply::Int(redirect as i64)];
                self.pubsub.send(client, Reply::Push(news));
            }
            return;
        }
        let target = if redirect == 0 { client } else { redirect };
        let keys = match told {
            Told::Keys(keys) => Reply::bulks(&keys),
            Told::All => Reply::Null,
        };
        let news = if self.tracking.modern.contains(&target) {
            vec![Reply::bulk("invalidate"), keys]
        } else if redirect != 0 && self.pubsub.listens(target) {
            vec![Reply::bulk("message"), Reply::bulk(CHANNEL), keys]
        } else {
            return;
        };
        self.pubsub.send(target, Reply::Push(news));
    }

    /// A command of a client is over, or was refused: tells what is to be told after its reply.
    pub(super) fn end_tracked(&mut self, session: &Session, command: Option<&Command>) {
        let client = session.id;
        for (client, told) in std::mem::take(&mut self.tracking.pending) {
            self.tell_tracker(client, told);
        }
        // What it says of the next command holds until that is over, and a transaction is one command.
        let says_more = session.transaction.is_some()
            || command.is_some_and(|command| command.name.starts_with("CLIENT|"));
        if let Some(tracker) = self.tracking.of_mut(client)
            && !says_more
        {
            tracker.is_caching = false;
        }
    }
}

impl Context<'_> {
    /// A key is changed in a way that no effect tells.
    pub(super) fn invalidate(&mut self, key: &[u8]) {
        let client = self.session.id;
        let directly = self.script.is_none().then_some(client);
        self.engine.invalidate(self.effects, Some(client), directly);
        self.engine.invalidate_key(key, Some(client), directly);
    }

    /// A command was performed while somebody tracks.
    pub(super) fn track(&mut self, command: &Command) {
        let client = self.session.id;
        let directly = self.script.is_none().then_some(client);
        self.engine.invalidate(self.effects, Some(client), directly);
        let reads = command.flags.has(Flags::READONLY)
            && !matches!(command.name, "EVAL_RO" | "EVALSHA_RO" | "FCALL_RO")
            // Redis 7.0 serves who has waited without executing the command once more.
            && !(self.engine.tracking.is_waking && self.engine.dialect == Dialect::Redis7);
        if reads && self.engine.tracking.of(client).is_some_and(Tracker::remembers) {
            // What a script reads, for Redis 7.0, are the keys that it declares.
            let keys = match self.script.is_some() && self.engine.dialect == Dialect::Redis7 {
                true => self.engine.tracking.declared.clone(),
                false => command
                    .keys
                    .of(self.args)
                    .unwrap_or_default()
                    .into_iter()
                    .map(Bytes::copy_from_slice)
                    .collect(),
            };
            for key in keys {
                self.engine.tracking.readers.entry(key).or_default().insert(client);
            }
        }
    }
}
