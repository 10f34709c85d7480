//! Settings: what `CONFIG GET` tells and `CONFIG SET` changes. `maxmemory` and the limits of compact encodings have the
//! effect they should; the others are kept and have none: in particular a call ends by its count of instructions, not after `busy-reply-threshold`.

use std::collections::BTreeMap;

use super::{ErrorReply, value::Compact};

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// From, to.
    Integer(i64, i64),
    /// At least so many bytes.
    Memory(u64),
    YesNo,
    OneOf(&'static [&'static str]),
    /// Is set when the server starts, and not after: with what a server says of it.
    Fixed(&'static str),
}

use Kind::{Fixed, Integer, Memory, OneOf, Text, YesNo};

const INT: i64 = i32::MAX as i64;
const COUNT: Kind = Integer(0, i64::MAX);
const IMMUTABLE: Kind = Fixed("can't set immutable config");
const PROTECTED: Kind = Fixed("can't set protected config");
const FSYNC: Kind = OneOf(&["everysec", "always", "no"]);
const POLICY: Kind = OneOf(&[
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
]);

/// Older names of settings.
const ALIASES: &[(&str, &str)] = &[
    ("hash-max-ziplist-entries", "hash-max-listpack-entries"),
    ("hash-max-ziplist-value", "hash-max-listpack-value"),
    ("list-max-ziplist-size", "list-max-listpack-size"),
    ("zset-max-ziplist-entries", "zset-max-listpack-entries"),
    ("zset-max-ziplist-value", "zset-max-listpack-value"),
];

/// The settings that clients ask for, in order of their names.
const SETTINGS: &[(&str, Kind, &str)] = &[
    ("activedefrag", YesNo, "no"),
    ("appendfsync", FSYNC, "everysec"),
    ("appendonly", YesNo, "no"),
    ("bind", Text, "127.0.0.1 -::1"),
    ("busy-reply-threshold", COUNT, "5000"),
    ("client-query-buffer-limit", Memory(1 << 20), "1073741824"),
    ("databases", IMMUTABLE, "16"),
    ("dbfilename", PROTECTED, "dump.rdb"),
    ("dir", PROTECTED, "/data"),
    ("hash-max-listpack-entries", COUNT, "512"),
    ("hash-max-listpack-value", Memory(0), "64"),
    ("hz", Integer(0, INT), "10"),
    ("lazyfree-lazy-user-del", YesNo, "no"),
    ("list-max-listpack-size", Integer(i32::MIN as i64, INT), "-2"),
    ("lua-time-limit", COUNT, "5000"),
    ("maxclients", Integer(1, u32::MAX as i64), "10000"),
    ("maxmemory", Memory(0), "0"),
    ("maxmemory-policy", POLICY, "noeviction"),
    ("maxmemory-samples", Integer(1, INT), "5"),
    ("min-replicas-max-lag", Integer(0, INT), "10"),
    ("min-replicas-to-write", Integer(0, INT), "0"),
    ("notify-keyspace-events", Text, ""),
    ("port", Integer(0, 65_535), "6379"),
    ("proto-max-bulk-len", Memory(1 << 20), "536870912"),
    ("requirepass", Text, ""),
    ("save", Text, ""),
    ("set-max-intset-entries", COUNT, "512"),
    ("set-max-listpack-entries", COUNT, "128"),
    ("set-max-listpack-value", Memory(0), "64"),
    ("slowlog-log-slower-than", Integer(-1, i64::MAX), "10000"),
    ("slowlog-max-len", COUNT, "128"),
    ("stream-node-max-bytes", Memory(0), "4096"),
    ("stream-node-max-entries", COUNT, "100"),
    ("tcp-keepalive", Integer(0, INT), "300"),
    ("timeout", Integer(0, INT), "0"),
    ("zset-max-listpack-entries", COUNT, "128"),
    ("zset-max-listpack-value", Memory(0), "64"),
];

/// The settings that differ from the default.
#[derive(Clone, Debug, Default)]
pub struct Config {
    changed: BTreeMap<&'static str, String>,
    /// `maxmemory`, in bytes; 0: as much as there is.
    pub max_memory: u64,
    /// The settings `*-max-listpack-*`.
    pub compact: Compact,
}

impl Config {
    /// All settings with their values, in order of their names, and then again under their older names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let aliases = ALIASES.iter().map(|(alias, name)| (*alias, self.get(name)));
        SETTINGS.iter().map(|(name, ..)| (*name, self.get(name))).chain(aliases)
    }

    /// The value of a setting; empty if there is none of this name.
    pub fn get(&self, name: &str) -> &str {
        let default =
            || SETTINGS.iter().find(|(known, ..)| *known == name).map_or("", |(.., default)| default);
        self.changed.get(name).map(String::as_str).unwrap_or_else(default)
    }

    /// The value of a setting that is a number.
    pub fn number(&self, name: &str) -> usize {
        self.get(name).parse().unwrap_or(usize::MAX)
    }

    /// Changes settings, all or none.
    pub fn set(&mut self, pairs: &[(&[u8], &[u8])]) -> Result<(), ErrorReply> {
        let mut changes = BTreeMap::new();
        for (name, value) in pairs {
            let text = String::from_utf8_lossy(name).to_ascii_lowercase();
            let alias = ALIASES.iter().find(|(alias, _)| *alias == text);
            let wanted = alias.map_or(&*text, |(_, name)| name);
            let (name, kind, _) = SETTINGS.iter().find(|(known, ..)| *known == wanted).ok_or_else(|| {
                format!("ERR Unknown option or number of arguments for CONFIG SET - '{text}'")
            })?;
            let value = String::from_utf8_lossy(value);
            let value = kind.check(&value).map_err(|why| failed(name, &why))?;
            if changes.insert(*name, value).is_some() && alias.is_none() {
                return Err(failed(name, "duplicate parameter"));
            }
        }
        self.changed.extend(changes);
        self.max_memory = self.get("maxmemory").parse().unwrap_or(0);
        self.compact = Compact {
            hash_entries: self.number("hash-max-listpack-entries"),
            hash_bytes: self.number("hash-max-listpack-value"),
            set_entries: self.number("set-max-listpack-entries"),
            set_bytes: self.number("set-max-listpack-value"),
            zset_entries: self.number("zset-max-listpack-entries"),
            zset_bytes: self.number("zset-max-listpack-value"),
        };
        Ok(())
    }
}

fn failed(name: &str, why: &str) -> ErrorReply {
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}").into()
}

impl Kind {
    /// The value as it is kept, or what is wrong with it.
    fn check(self, value: &str) -> Result<String, String> {
        let between = |low, high| format!("argument must be between {low} and {high} inclusive");
        match self {
            Text => Ok(value.to_owned()),
            Integer(low, high) => match value.parse::<i64>() {
                Ok(number) if (low..=high).contains(&number) => Ok(number.to_string()),
                Ok(_) => Err(between(low, high)),
                Err(_) => Err("argument couldn't be parsed into an integer".to_owned()),
            },
            Memory(least) => match memory(value) {
                Some(bytes) if bytes >= least => Ok(bytes.to_string()),
                Some(_) => Err(between(least as i64, i64::MAX)),
                None => Err("argument must be a memory value".to_owned()),
            },
            YesNo => {
                let known = ["yes", "no"].into_iter().find(|known| known.eq_ignore_ascii_case(value));
                known.map(Into::into).ok_or_else(|| "argument must be 'yes' or 'no'".to_owned())
            }
            OneOf(words) => {
                let known = words.iter().find(|known| known.eq_ignore_ascii_case(value));
                let expected = || format!("argument(s) must be one of the following: {}", words.join(", "));
                known.map(|word| (*word).to_owned()).ok_or_else(expected)
            }
            Fixed(why) => Err(why.to_owned()),
        }
    }
}

/// Reads nothing (0), `100`, `1k` (1000), `1kb` (1024) and so on.
fn memory(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    if text.is_empty() {
        return Some(0);
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_values_have_units() {
        assert_eq!(memory("1kb"), Some(1_024));
        assert_eq!(memory("2g"), Some(2_000_000_000));
        assert_eq!(memory("x"), None);
        assert_eq!(memory("99999999999gb"), None);
    }

    #[test]
    fn settings_change_all_or_none() {
        let mut config = Config::default();
        assert!(config.set(&[(b"maxmemory", b"1mb"), (b"nothing", b"1")]).is_err());
        assert_eq!(config.get("maxmemory"), "0");
        assert_eq!(config.set(&[(b"MAXMEMORY", b"1mb")]), Ok(()));
        assert_eq!(config.get("maxmemory"), "1048576");
    }
}
