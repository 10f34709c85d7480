//! The keys, their values and their expiries.
//!
//! Cloning is free ([`imbl::OrdMap`] of [`Arc`]ed entries, copied on write), so a snapshot before every command
//! costs nothing. Nothing here looks at a clock: the caller says what time it is, and an expired key is removed
//! by whoever looks at it, as Valkey does ([`Engine`](super::Engine) does so before a handler sees the key).

use std::{
    hash::BuildHasher,
    mem::discriminant,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use imbl::{OrdMap, OrdSet};

use super::{
    UnixMillis, identity,
    value::{Encoding, FixedState, Value},
};

/// What a key holds: a value and, perhaps, when it ends.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// The last millisecond at which the key is still visible; it is gone one later. `None`: it stays.
    pub expires_at: Option<UnixMillis>,
    /// How a server keeps it, if it is a string.
    pub encoding: Encoding,
    /// It came in the place of something of another type, and nobody who waits for it was told.
    pub is_quiet: bool,
    /// When it was last used. Snapshots share it with what they were taken of.
    last_use: Seconds,
    /// What [`identity`] says of it, once it was asked; forgotten when it changes.
    identity: OnceLock<u128>,
}

/// A time in seconds.
#[derive(Debug, Default)]
struct Seconds(AtomicU32);

impl Clone for Seconds {
    fn clone(&self) -> Self {
        Self(self.0.load(Ordering::Relaxed).into())
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (&self.value, self.expires_at) == (&other.value, other.expires_at)
    }
}

impl Entry {
    fn new(value: Value, expires_at: Option<UnixMillis>, now_s: u32) -> Self {
        let (encoding, last_use) = (Encoding::default(), Seconds(now_s.into()));
        Self { value, expires_at, encoding, is_quiet: false, last_use, identity: OnceLock::new() }
    }

    /// See [`identity`].
    fn identity(&self, key: &[u8]) -> u128 {
        *self.identity.get_or_init(|| identity::of_entry(key, self))
    }

    /// When it was last used, in seconds.
    pub fn last_use_s(&self) -> u32 {
        self.last_use.0.load(Ordering::Relaxed)
    }

    /// It is used.
    #[inline]
    pub fn use_at(&self, now_s: u32) {
        self.last_use.0.store(now_s, Ordering::Relaxed);
    }

    /// An entry that is about to change.
    fn changing(entry: &mut Arc<Self>) -> &mut Self {
        let entry = Arc::make_mut(entry);
        entry.identity = OnceLock::new();
        entry
    }

    /// An entry whose value is about to change. Who changes a string says how it is kept from then on.
    fn used(entry: &mut Arc<Self>, now_s: u32) -> &mut Self {
        let entry = Self::changing(entry);
        *entry.last_use.0.get_mut() = now_s;
        entry
    }
}

/// One database.
#[derive(Clone, Debug, Default)]
pub struct Keyspace {
    entries: OrdMap<Bytes, Arc<Entry>>,
    expiries: OrdSet<(UnixMillis, Bytes)>,
    /// The sum of all expiries, in milliseconds.
    expiry_sum: i128,
    /// The time of the command that runs, in seconds.
    pub now_s: u32,
    /// The keys in the order of a scan: made when somebody begins one, and kept up from then on.
    places: Option<OrdSet<(u64, Bytes)>>,
}

/// A key's place in a scan: never 0, and small enough for clients that read a cursor as a double. It is the key's own
/// whatever comes and goes around it, so nothing needs to be remembered about a scan but how far it came.
fn place(key: &[u8]) -> u64 {
    (FixedState::default().hash_one(key) >> 12).max(1)
}

impl Keyspace {
    /// The entry of a key, expired or not.
    pub fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key).map(|entry| &**entry)
    }

    /// The entry of a key, expired or not, to be [put](Self::share) into another keyspace.
    pub fn shared(&self, key: &[u8]) -> Option<&Arc<Entry>> {
        self.entries.get(key)
    }

    /// The value of a key for changing. Callers remove the key when they leave a collection empty.
    pub fn value_mut(&mut self, key: &[u8]) -> Option<&mut Value> {
        self.entry_mut(key).map(|entry| &mut entry.value)
    }

    /// The entry of a key, its value for changing.
    pub fn entry_mut(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let now_s = self.now_s;
        self.entries.get_mut(key).map(|entry| Entry::used(entry, now_s))
    }

    /// The value of a key for changing, made by `empty` where there is none.
    pub fn value_or_insert(&mut self, key: &[u8], empty: impl FnOnce() -> Value) -> &mut Value {
        &mut self.entry_or_insert(key, empty).0.value
    }

    /// The entry of a key for changing, made by `empty` where there is none; and whether it was.
    pub fn entry_or_insert(&mut self, key: &[u8], empty: impl FnOnce() -> Value) -> (&mut Entry, bool) {
        let now_s = self.now_s;
        let is_new = !self.entries.contains_key(key);
        if is_new {
            let entry = Arc::new(Entry::new(empty(), None, now_s));
            let key = Bytes::copy_from_slice(key);
            self.note_place(&key);
            self.entries.insert(key, entry);
        }
        let entry = self.entries.get_mut(key).expect("the key is there, or was just put there");
        (Entry::used(entry, now_s), is_new)
    }

    /// Puts a value under a key, with its expiry, replacing both.
    pub fn insert(&mut self, key: Bytes, value: Value, expires_at: Option<UnixMillis>) {
        self.place(key, Entry::new(value, expires_at, self.now_s));
    }

    /// Puts an entry under a key that was another one's.
    pub fn put(&mut self, key: Bytes, entry: Entry) {
        self.place(key, Entry { is_quiet: false, identity: OnceLock::new(), ..entry });
    }

    /// Puts a value in the place of another one, if there is one; it does not expire. Where the other was a stream, whether
    /// that is news to those who wait for the key.
    pub fn overwrite(&mut self, key: Bytes, value: Value, is_news: bool) {
        let kind = discriminant(&value);
        let is_told = |old: &Value| discriminant(old) == kind || (is_news && matches!(old, Value::Stream(_)));
        let is_quiet = |old: &Entry| old.is_quiet || !is_told(&old.value);
        let is_quiet = self.get(&key).is_some_and(is_quiet);
        self.place(key, Entry { is_quiet, ..Entry::new(value, None, self.now_s) });
    }

    fn place(&mut self, key: Bytes, entry: Entry) {
        self.share(key, Arc::new(entry));
    }

    /// Puts an entry under a key that is the same key's in another keyspace, as [`shared`](Self::shared) gives it.
    pub fn share(&mut self, key: Bytes, entry: Arc<Entry>) {
        let expires_at = entry.expires_at;
        let Some(old) = self.entries.get_mut(&key) else {
            self.move_expiry(&key, None, expires_at);
            self.note_place(&key);
            self.entries.insert(key, entry);
            return;
        };
        let old = std::mem::replace(old, entry);
        self.move_expiry(&key, old.expires_at, expires_at);
    }

    /// The string that was just put under a key is kept by itself.
    pub fn keep_raw(&mut self, key: &[u8]) {
        if let Some(entry) = self.entries.get_mut(key) {
            Entry::changing(entry).encoding = Encoding::Raw;
        }
    }

    /// A key that was just put there was last used so many seconds ago.
    pub fn set_idle(&mut self, key: &[u8], seconds: u32) {
        if let Some(entry) = self.get(key) {
            entry.use_at(self.now_s.saturating_sub(seconds));
        }
    }

    /// Takes a key away.
    pub fn remove(&mut self, key: &[u8]) -> Option<Arc<Entry>> {
        let entry = self.entries.remove(key)?;
        if entry.expires_at.is_some() {
            self.move_expiry(&Bytes::copy_from_slice(key), entry.expires_at, None);
        }
        if let Some(places) = &mut self.places {
            places.remove(&(place(key), Bytes::copy_from_slice(key)));
        }
        Some(entry)
    }

    fn note_place(&mut self, key: &Bytes) {
        if let Some(places) = &mut self.places {
            places.insert((place(key), key.clone()));
        }
    }

    /// About `count` keys from a place in a scan on, and the place to go on from; 0 when there are no more. Keys of one
    /// place stay together.
    pub fn scan(&mut self, from: u64, count: usize) -> (Vec<Bytes>, u64) {
        let entries = &self.entries;
        let places = self
            .places
            .get_or_insert_with(|| entries.iter().map(|(key, _)| (place(key), key.clone())).collect());
        let (mut page, mut last) = (Vec::with_capacity(count.min(places.len())), 0);
        for (place, key) in places.range((from, Bytes::new())..) {
            if page.len() >= count && *place != last {
                return (page, *place);
            }
            last = *place;
            page.push(key.clone());
        }
        (page, 0)
    }

    /// Whether a scan finds the keys in its order, or has to put them in order first.
    pub fn is_in_scan_order(&self) -> bool {
        self.places.is_some()
    }

    /// How many milliseconds the keys that expire have left, on average.
    pub fn average_ttl(&self, now: UnixMillis) -> i64 {
        let average = self.expiry_sum.checked_div(self.expiries.len() as i128).unwrap_or_default();
        if self.expiries.is_empty() { 0 } else { (average - i128::from(now.0)).max(0) as i64 }
    }

    /// How many keys expire.
    pub fn expiring(&self) -> usize {
        self.expiries.len()
    }

    /// Changes when a key that exists expires.
    pub fn set_expiry(&mut self, key: &[u8], expires_at: Option<UnixMillis>) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let old = entry.expires_at;
        if old == expires_at {
            return;
        }
        let entry = Entry::changing(entry);
        entry.expires_at = expires_at;
        entry.use_at(self.now_s);
        self.move_expiry(&Bytes::copy_from_slice(key), old, expires_at);
    }

    fn move_expiry(&mut self, key: &Bytes, old: Option<UnixMillis>, new: Option<UnixMillis>) {
        if old == new {
            return;
        }
        if let Some(at) = old {
            self.expiries.remove(&(at, key.clone()));
            self.expiry_sum -= i128::from(at.0);
        }
        if let Some(at) = new {
            self.expiries.insert((at, key.clone()));
            self.expiry_sum += i128::from(at.0);
        }
    }

    /// Whether a key is past its expiry: one millisecond after the one it names.
    pub fn is_expired(&self, key: &[u8], now: UnixMillis) -> bool {
        !self.expiries.is_empty() && self.get(key).and_then(|e| e.expires_at).is_some_and(|at| now > at)
    }

    /// The key that expires first, and when.
    pub fn next_expiry(&self) -> Option<(UnixMillis, &Bytes)> {
        self.expiries.get_min().map(|(at, key)| (*at, key))
    }

    /// All keys in byte order, expired ones included.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Entry)> {
        self.entries.iter().map(|(key, entry)| (key, &**entry))
    }

    /// The keys from `start` on, in byte order.
    pub fn range_from(&self, start: Bytes) -> impl Iterator<Item = (&Bytes, &Entry)> {
        self.entries.range(start..).map(|(key, entry)| (key, &**entry))
    }

    /// A number that two keyspaces share if and only if the same can be read in both, but for a chance of 10⁻²⁵ among ten
    /// million ([`Hash128`](crate::hash::Hash128)). What it says of an entry is kept with the entry: of a keyspace that differs
    /// in a few keys from one that was asked before, only these are looked at.
    pub fn identity(&self) -> u128 {
        self.entries.iter().map(|(key, entry)| entry.identity(key)).fold(0, u128::wrapping_add)
    }

    /// What the [`identity`](Self::identity) says of one key; 0 where it is not there.
    pub fn identity_of(&self, key: &[u8]) -> u128 {
        self.entries.get(key).map_or(0, |entry| entry.identity(key))
    }

    /// How many keys there are, expired ones included: what `DBSIZE` counts.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes all keys away.
    pub fn clear(&mut self) {
        *self = Self { now_s: self.now_s, ..Self::default() };
    }
}
