//! Eviction: which keys go when memory is short, by `maxmemory-policy`.
//!
//! A server makes room before it runs a command, whatever that is, as long as it uses more than `maxmemory` and a key may go.
//! Each key that goes is a unit of its own. Where a real server looks at a sample (`maxmemory-samples`), this one looks at all
//! keys: the one that was used longest ago, or least often, or that expires first, is the one that goes; which one does at
//! random, the engine's seed decides. Nothing is evicted in the middle of a command, nor by a replica.

use bytes::Bytes;

use super::{Effects, Engine, Entry, UnixMicros, memory};

/// Which keys may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// All of them.
    All,
    /// Those that expire.
    Volatile,
}

/// Which of these goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Any.
    Random,
    /// The one that expires first.
    Expiry,
    /// The one that was used longest ago.
    LastUse,
    /// The one that is used least often; of several, the one that was used longest ago.
    Frequency,
}

/// A `maxmemory-policy` that evicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which keys may go.
    pub among: Among,
    /// Which of these goes first.
    pub by: By,
}

impl Policy {
    /// Reads the name of a policy; `None` for `noeviction`.
    pub fn parse(name: &str) -> Option<Self> {
        let (among, by) = name.split_once('-')?;
        let among = if among == "allkeys" { Among::All } else { Among::Volatile };
        let by = match by {
            "random" => By::Random,
            "ttl" => By::Expiry,
            "lru" => By::LastUse,
            "lfu" => By::Frequency,
            _ => return None,
        };
        Some(Self { among, by })
    }

    /// Whether it goes by how keys are used.
    pub fn asks_for_use(self) -> bool {
        matches!(self.by, By::LastUse | By::Frequency)
    }
}

impl Engine {
    /// Evicts keys while more memory is used than there may be, and keys may go.
    pub(super) fn make_room(&mut self, now: UnixMicros, effects: &mut Effects) {
        let (Some(policy), Some(limit)) = (self.config.eviction, self.memory_limit()) else { return };
        let mut used = self.used_memory() as u64;
        if used > limit && policy.asks_for_use() {
            self.forget_removed();
        }
        while used > limit
            && let Some((number, key)) = self.victim(policy, now)
        {
            used = used.saturating_sub(self.evict(number, &key, now, effects) as u64);
        }
    }

    /// Which keys of database 0 would go, were so many to go by a policy, in that order. Nothing is removed. Keys are told by
    /// their use only from when a `maxmemory-policy` asked for it.
    pub fn next_to_go(&mut self, policy: Policy, count: usize, now: UnixMicros) -> Vec<Bytes> {
        let whole = self.db.clone();
        let mut gone = Vec::new();
        while gone.len() < count
            && let Some((0, key)) = self.victim(policy, now)
        {
            self.db.remove(&key);
            gone.push(key);
        }
        self.db = whole;
        gone
    }

    /// The key that goes next, and its database.
    fn victim(&mut self, policy: Policy, now: UnixMicros) -> Option<(u8, Bytes)> {
        let may_go = |entry: &Entry| policy.among == Among::All || entry.expires_at.is_some();
        let candidates = || {
            let all = self.databases().flat_map(|(number, db)| db.iter().map(move |it| (number, it)));
            all.filter(|(_, (_, entry))| may_go(entry)).map(|(number, (key, entry))| (number, key, entry))
        };
        let last = |number, key| self.usage.of(number, key).last;
        let chosen = match policy.by {
            By::Expiry => candidates().min_by_key(|(.., entry)| entry.expires_at),
            By::LastUse => candidates().min_by_key(|(number, key, _)| last(*number, key)),
            By::Frequency => {
                let decay = self.decay_minutes();
                candidates().min_by_key(|(number, key, _)| {
                    let used = self.usage.of(*number, key);
                    (used.count(now, decay), used.last)
                })
            }
            By::Random => {
                let count = candidates().count();
                let mut random = self.usage.random.clone();
                let chosen = candidates().nth(random.index(count));
                let chosen = chosen.map(|(number, key, _)| (number, key.clone()));
                self.usage.random = random;
                return chosen;
            }
        };
        chosen.map(|(number, key, _)| (number, key.clone()))
    }

    /// Removes a key and answers how many bytes are free for it.
    fn evict(&mut self, number: u8, key: &Bytes, now: UnixMicros, effects: &mut Effects) -> usize {
        let first = effects.len();
        self.enter(0, effects);
        self.select(number, effects);
        let database = self.databases.propagated();
        let freed = self.db.remove(key).map_or(0, |entry| memory::of_entry(key, &entry));
        self.stats.evicted_keys += 1;
        self.notify(super::notify::Events::EVICTED, "evicted", key, number);
        let is_lazy = self.config.get("lazyfree-lazy-eviction") == "yes";
        effects.push(&[if is_lazy { b"UNLINK" } else { &b"DEL"[..] }, key]);
        self.leave(effects);
        if !self.watches.is_empty() {
            self.touch_watched(effects.iter().skip(first), database);
        }
        self.invalidate_for_all(effects, first);
        effects.end_unit();
        self.log_effects(effects, first, now);
        freed
    }
}
