//! How the keys are used: in what order, and how often. Noted only where `maxmemory-policy` goes by it.
//!
//! The order is exact, where a real server keeps seconds. How often is its counter of eight bits: it grows by chance, the
//! less likely the higher it is (`lfu-log-factor`), and shrinks by the minute (`lfu-decay-time`). Commands that ask *about* a
//! key (`TTL`, `TYPE`, `OBJECT` …) do not use it, nor does a client that said `CLIENT NO-TOUCH ON`.

use bytes::Bytes;
use imbl::OrdMap;

use super::{Context, Engine, Session, UnixMicros, eviction::By};
use crate::random::Random;

/// What a key's counter starts with.
const NEW: u8 = 5;
const MINUTE_US: u64 = 60_000_000;
/// What asks about keys without using them. Of containers, all of it.
const ASKING: [&str; 8] = ["EXISTS", "TYPE", "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "SCAN", "RANDOMKEY"];

/// Whether a command uses the keys that it looks at.
pub(super) fn uses(args: &[&[u8]], session: &Session) -> bool {
    let name = args.first().copied().unwrap_or_default();
    // Most names begin otherwise.
    let may_ask = name.first().is_some_and(|first| b"ETPSROM".contains(&first.to_ascii_uppercase()));
    if !may_ask && !session.no_touch {
        return true;
    }
    let is = |asking: &str| name.eq_ignore_ascii_case(asking.as_bytes());
    is("TOUCH") || !session.no_touch && !ASKING.into_iter().chain(["OBJECT", "MEMORY"]).any(is)
}

/// How one key was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Which command used it last, counted from 1; 0: none since such things are noted.
    pub last: u64,
    count: u8,
    minute: u64,
}

impl Used {
    /// How often it was used, as a counter that shrinks by one in `decay_minutes`; 0: it does not.
    pub fn count(self, now: UnixMicros, decay_minutes: u64) -> u8 {
        let minutes = (now.0 / MINUTE_US).saturating_sub(self.minute);
        let lost = minutes.checked_div(decay_minutes).unwrap_or_default();
        self.count.saturating_sub(u8::try_from(lost).unwrap_or(u8::MAX))
    }
}

/// How the keys are used.
#[derive(Clone, Debug)]
pub struct Usage {
    keys: OrdMap<(u8, Bytes), Used>,
    /// The command that runs.
    command: u64,
    /// Whether it uses the keys that it looks at.
    uses: bool,
    pub(super) random: Random,
}

impl Usage {
    /// Nothing is noted yet. The counters grow by chance, from this seed on.
    pub fn new(seed: u64) -> Self {
        Self { keys: OrdMap::new(), command: 0, uses: true, random: Random::new(!seed) }
    }

    /// How a key was used.
    pub fn of(&self, database: u8, key: &Bytes) -> Used {
        self.keys.get(&(database, key.clone())).copied().unwrap_or_default()
    }

    /// A command begins.
    pub fn begin(&mut self, name: &str, touches: bool) {
        self.command += 1;
        let asks = ASKING.contains(&name) || name.starts_with("OBJECT|") || name.starts_with("MEMORY|");
        self.uses = touches && !asks;
    }

    /// Two databases are exchanged.
    pub fn swap(&mut self, one: u8, other: u8) {
        let exchanged = |number: u8| {
            if number == one {
                other
            } else if number == other {
                one
            } else {
                number
            }
        };
        let keys = std::mem::take(&mut self.keys);
        self.keys = keys.into_iter().map(|((number, key), used)| ((exchanged(number), key), used)).collect();
    }

    /// Of how many keys something is noted, some of which may be no more.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Forgets the keys that are no more.
    pub fn retain(&mut self, exists: impl Fn(u8, &Bytes) -> bool) {
        self.keys =
            std::mem::take(&mut self.keys).into_iter().filter(|((n, key), _)| exists(*n, key)).collect();
    }

    /// The command that runs looks at a key, which is there or not. One that is not may be about to be made.
    fn note(&mut self, database: u8, key: &[u8], is_there: bool, now: UnixMicros, growth: Growth) {
        let place = (database, Bytes::copy_from_slice(key));
        let minute = now.0 / MINUTE_US;
        let old = self.keys.get(&place).copied().filter(|_| is_there);
        let used = match old {
            None => Used { last: self.command, count: NEW, minute },
            Some(old) if old.last == self.command => return,
            Some(old) => {
                let count = self.grown(old.count(now, growth.decay_minutes), growth.log_factor);
                Used { last: self.command, count, minute }
            }
        };
        self.keys.insert(place, used);
    }

    fn grown(&mut self, count: u8, log_factor: u64) -> u8 {
        let above = u64::from(count.saturating_sub(NEW));
        let grows = self.random.below(above.saturating_mul(log_factor).saturating_add(1)) == 0;
        count.saturating_add(u8::from(grows))
    }
}

/// How counters grow and shrink.
#[derive(Clone, Copy, Debug)]
struct Growth {
    log_factor: u64,
    decay_minutes: u64,
}

/// Keys that are no more are forgotten when there are as many of them as of others, and these more.
const KEPT: usize = 64;

impl Engine {
    /// A command of a client begins: what it looks at is noted.
    pub(super) fn begin_to_use(&mut self, name: &str, touches: bool) {
        self.usage.begin(name, touches);
        let there: usize = self.databases().map(|(_, db)| db.len()).sum();
        if self.usage.len() > 2 * there + KEPT {
            self.forget_removed();
        }
    }

    /// Forgets how keys were used that are no more.
    pub(super) fn forget_removed(&mut self) {
        let mut usage = std::mem::replace(&mut self.usage, Usage::new(0));
        usage.retain(|number, key| self.database(number).is_some_and(|db| db.get(key).is_some()));
        self.usage = usage;
    }

    /// How often a counter shrinks: `lfu-decay-time`, in minutes.
    pub(super) fn decay_minutes(&self) -> u64 {
        self.config.number("lfu-decay-time") as u64
    }
}

impl Engine {
    /// Whether it counts how often keys are used.
    pub(super) fn evicts_by_frequency(&self) -> bool {
        self.config.eviction.is_some_and(|policy| policy.by == By::Frequency)
    }
}

impl Context<'_> {
    /// How often a key of the selected database was used, as `OBJECT FREQ` tells it.
    pub(super) fn use_count(&self, key: &[u8]) -> u8 {
        let used = self.engine.usage.of(self.selected(), &Bytes::copy_from_slice(key));
        used.count(self.now, self.engine.decay_minutes())
    }

    /// Notes that the command looks at a key of the selected database.
    pub(super) fn note_use(&mut self, key: &[u8]) {
        if !self.engine.usage.uses {
            return;
        }
        let growth = Growth {
            log_factor: self.engine.config.number("lfu-log-factor") as u64,
            decay_minutes: self.engine.decay_minutes(),
        };
        let is_there = self.engine.db.get(key).is_some();
        let database = self.selected();
        self.engine.usage.note(database, key, is_there, self.now, growth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROWTH: Growth = Growth { log_factor: 10, decay_minutes: 1 };

    #[test]
    fn a_counter_grows_slower_the_higher_it_is_and_shrinks_by_the_minute() {
        let mut usage = Usage::new(0);
        let key = Bytes::from_static(b"k");
        let mut counts = Vec::new();
        for command in 0..1_000 {
            usage.begin("GET", true);
            usage.note(0, &key, command > 0, UnixMicros(0), GROWTH);
            counts.push(usage.of(0, &key).count(UnixMicros(0), 1));
        }
        assert_eq!((counts[0], counts[1]), (NEW, NEW + 1), "the first use of a new key always counts");
        // Redis' documentation: a factor of 10 leads to about 18 after 1,000 uses.
        assert!((15..=22).contains(&counts[999]), "{}", counts[999]);
        let used = usage.of(0, &key);
        let later = |minutes: u64| UnixMicros(minutes * MINUTE_US);
        assert_eq!(used.count(later(3), 1), counts[999] - 3);
        assert_eq!(used.count(later(3), 2), counts[999] - 1);
        assert_eq!((used.count(later(999), 1), used.count(later(999), 0)), (0, counts[999]));
    }

    #[test]
    fn a_command_uses_a_key_once_and_one_that_asks_about_it_does_not() {
        let mut usage = Usage::new(0);
        let key = Bytes::from_static(b"k");
        for (name, touches) in [("OBJECT|IDLETIME", true), ("TTL", true), ("GET", false)] {
            usage.begin(name, touches);
            assert!(!usage.uses, "{name}");
        }
        for _ in 0..2 {
            usage.begin("HSET", true);
            for _ in 0..50 {
                usage.note(0, &key, true, UnixMicros(0), GROWTH);
            }
        }
        assert_eq!((usage.of(0, &key).last, usage.of(0, &key).count), (5, NEW + 1));
        usage.note(0, &key, false, UnixMicros(0), GROWTH);
        assert_eq!(usage.of(0, &key).count, NEW, "another key of the same name is new");
        usage.swap(0, 3);
        assert_eq!((usage.of(0, &key).last, usage.of(3, &key).last), (0, 5));
    }
}
