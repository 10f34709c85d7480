//! Settings: what `CONFIG GET` tells and `CONFIG SET` changes. `maxmemory` has the effect it should; the others are kept
//! and have none: in particular a call ends by its count of instructions, not after `busy-reply-threshold`.

use std::collections::BTreeMap;

use super::ErrorReply;

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Memory,
    YesNo,
}

use Kind::{Integer, Memory, Text, YesNo};

/// The settings that clients ask for, in order of their names.
const SETTINGS: &[(&str, Kind, &str)] = &[
    ("activedefrag", YesNo, "no"),
    ("appendfsync", Text, "everysec"),
    ("appendonly", YesNo, "no"),
    ("bind", Text, "127.0.0.1 -::1"),
    ("busy-reply-threshold", Integer, "5000"),
    ("client-query-buffer-limit", Memory, "1073741824"),
    ("databases", Integer, "16"),
    ("dbfilename", Text, "dump.rdb"),
    ("dir", Text, "/data"),
    ("hash-max-listpack-entries", Integer, "512"),
    ("hash-max-listpack-value", Memory, "64"),
    ("hz", Integer, "10"),
    ("lazyfree-lazy-user-del", YesNo, "no"),
    ("list-max-listpack-size", Integer, "-2"),
    ("lua-time-limit", Integer, "5000"),
    ("maxclients", Integer, "10000"),
    ("maxmemory", Memory, "0"),
    ("maxmemory-policy", Text, "noeviction"),
    ("maxmemory-samples", Integer, "5"),
    ("min-replicas-max-lag", Integer, "10"),
    ("min-replicas-to-write", Integer, "0"),
    ("notify-keyspace-events", Text, ""),
    ("port", Integer, "6379"),
    ("proto-max-bulk-len", Memory, "536870912"),
    ("requirepass", Text, ""),
    ("save", Text, ""),
    ("set-max-intset-entries", Integer, "512"),
    ("set-max-listpack-entries", Integer, "128"),
    ("set-max-listpack-value", Memory, "64"),
    ("slowlog-log-slower-than", Integer, "10000"),
    ("slowlog-max-len", Integer, "128"),
    ("stream-node-max-bytes", Memory, "4096"),
    ("stream-node-max-entries", Integer, "100"),
    ("tcp-keepalive", Integer, "300"),
    ("timeout", Integer, "0"),
    ("zset-max-listpack-entries", Integer, "128"),
    ("zset-max-listpack-value", Memory, "64"),
];

/// The settings that differ from the default.
#[derive(Clone, Debug, Default)]
pub struct Config {
    changed: BTreeMap<&'static str, String>,
    /// `maxmemory`, in bytes; 0: as much as there is.
    pub max_memory: u64,
}

impl Config {
    /// All settings with their values, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        SETTINGS
            .iter()
            .map(|(name, _, default)| (*name, self.changed.get(name).map_or(*default, |value| value)))
    }

    /// The value of a setting; empty if there is none of this name.
    pub fn get(&self, name: &str) -> &str {
        self.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// Changes settings, all or none.
    pub fn set(&mut self, pairs: &[(&[u8], &[u8])]) -> Result<(), ErrorReply> {
        let mut changes = BTreeMap::new();
        for (name, value) in pairs {
            let text = String::from_utf8_lossy(name);
            let (name, kind, _) =
                SETTINGS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(&text)).ok_or_else(|| {
                    format!("ERR Unknown option or number of arguments for CONFIG SET - '{text}'")
                })?;
            let value = String::from_utf8_lossy(value);
            if changes.insert(*name, kind.check(&value).map_err(|why| failed(name, why))?).is_some() {
                return Err(failed(name, "duplicate parameter"));
            }
        }
        self.changed.extend(changes);
        self.max_memory = self.get("maxmemory").parse().unwrap_or(0);
        Ok(())
    }
}

fn failed(name: &str, why: &str) -> ErrorReply {
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}").into()
}

impl Kind {
    /// The value as it is kept, or what is wrong with it.
    fn check(self, value: &str) -> Result<String, &'static str> {
        let normal = match self {
            Text => Some(value.to_owned()),
            Integer => value.parse::<i64>().ok().map(|value| value.to_string()),
            Memory => memory(value).map(|bytes| bytes.to_string()),
            YesNo => {
                ["yes", "no"].into_iter().find(|known| known.eq_ignore_ascii_case(value)).map(Into::into)
            }
        };
        normal.ok_or(match self {
            Text | Integer => "argument couldn't be parsed into an integer",
            Memory => "argument must be a memory value",
            YesNo => "argument must be 'yes' or 'no'",
        })
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
