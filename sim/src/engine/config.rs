//! Settings: what `CONFIG GET` tells and `CONFIG SET` changes.
//!
//! Real are `maxmemory` with its policies, the limits of
//! compact encodings, of replicas (`min-replicas-to-write`, `repl-backlog-size`, `replica-read-only`), of clients (`maxclients`, `client-query-buffer-limit`, `client-output-buffer-limit`) and of
//! strings (`proto-max-bulk-len`). After `busy-reply-threshold` a script is shown to the others where a host
//! [attends](super::busy) to it. The others are kept and have no effect.

mod kind;
mod settings;

use std::collections::BTreeMap;

pub use kind::OutputLimit;

use super::{
    Dialect, ErrorReply,
    eviction::Policy,
    notify::Events,
    value::{Compact, stream::NodeLimits},
};
use settings::{ALIASES, SETTINGS, Setting, VALKEY_ALIASES};

/// The settings of one server.
#[derive(Clone, Debug)]
pub struct Config {
    dialect: Dialect,
    /// Those that differ from the default.
    changed: BTreeMap<&'static str, String>,
    /// `maxmemory`, in bytes; 0: as much as there is.
    pub max_memory: u64,
    /// `appendonly`.
    pub has_file: bool,
    /// `notify-keyspace-events`.
    pub events: Events,
    /// `requirepass`; empty: none is asked for.
    pub password: String,
    /// Whether every command is logged as slow: `slowlog-log-slower-than 0`. None takes longer than that.
    pub logs_all: bool,
    /// `timeout`, in seconds; 0: a client may be silent as long as it likes.
    pub silence_limit: u64,
    /// `stream-node-max-entries` and `stream-node-max-bytes`.
    pub stream_node: NodeLimits,
    /// `maxmemory-policy`; `None`: nothing is evicted.
    pub eviction: Option<Policy>,
    /// Whether the policy goes by how keys are used.
    pub notes_use: bool,
    /// `min-replicas-to-write`: how many good replicas a write takes; 0: none.
    pub min_replicas: usize,
    /// `min-replicas-max-lag`, in seconds; 0: writes take no replicas.
    pub max_lag: u64,
    /// The settings `*-max-listpack-*` and `set-max-intset-entries`.
    pub compact: Compact,
    /// `proto-max-bulk-len`, in bytes.
    pub longest_bulk: usize,
    /// `client-query-buffer-limit`, in bytes.
    pub largest_request: usize,
    /// `client-output-buffer-limit` of normal clients, of replicas (and monitors) and of listeners.
    pub output_limits: [OutputLimit; 3],
}

impl Config {
    /// What a server starts with.
    pub fn new(dialect: Dialect) -> Self {
        let mut config = Self {
            dialect,
            changed: BTreeMap::new(),
            max_memory: 0,
            has_file: false,
            events: Events::default(),
            password: String::new(),
            logs_all: false,
            silence_limit: 0,
            stream_node: NodeLimits::default(),
            eviction: None,
            notes_use: false,
            min_replicas: 0,
            max_lag: 0,
            compact: Compact::default(),
            longest_bulk: 0,
            largest_request: 0,
            output_limits: Default::default(),
        };
        config.apply();
        config
    }

    /// All settings with their values, in order of their names, and then again under their other names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let aliases = self.aliases().map(|(alias, name)| (*alias, self.get(name)));
        let shown = self.settings().filter(|setting| !setting.is_hidden);
        let told = |setting: &Setting| match setting.name {
            name @ "notify-keyspace-events" => (name, kind::told_events(self.get(name))),
            name => (name, self.get(name)),
        };
        shown.map(told).chain(aliases)
    }

    /// The value of a setting; empty if there is none of this name.
    pub fn get(&self, name: &str) -> &str {
        self.setting(name).map_or("", |setting| self.value(setting))
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
            let alias = self.aliases().find(|(alias, _)| *alias == text);
            let wanted = alias.map_or(&*text, |(_, name)| name);
            let setting = self.setting(wanted).ok_or_else(|| {
                format!("ERR Unknown option or number of arguments for CONFIG SET - '{text}'")
            })?;
            let value = String::from_utf8_lossy(value);
            let value = setting.kind.check(&value, self.value(setting));
            let value = value.map_err(|why| failed(setting.name, &why))?;
            if changes.insert(setting.name, value).is_some() && alias.is_none() {
                return Err(failed(setting.name, "duplicate parameter"));
            }
        }
        self.changed.extend(changes);
        self.apply();
        Ok(())
    }

    /// Reads what is asked for often out of the settings.
    fn apply(&mut self) {
        self.max_memory = self.get("maxmemory").parse().unwrap_or(0);
        self.has_file = self.get("appendonly") == "yes";
        self.events = Events::parse(self.get("notify-keyspace-events"));
        self.password = self.get("requirepass").to_owned();
        self.logs_all = self.get("slowlog-log-slower-than") == "0";
        self.silence_limit = self.number("timeout") as u64;
        self.stream_node = NodeLimits {
            entries: self.number("stream-node-max-entries"),
            bytes: self.number("stream-node-max-bytes"),
        };
        self.eviction = Policy::parse(self.get("maxmemory-policy"));
        self.notes_use = self.eviction.is_some_and(Policy::asks_for_use);
        self.min_replicas = self.number("min-replicas-to-write");
        self.max_lag = self.number("min-replicas-max-lag") as u64;
        self.compact = Compact {
            hash_entries: self.number("hash-max-listpack-entries"),
            hash_bytes: self.number("hash-max-listpack-value"),
            list_size: self.get("list-max-listpack-size").parse().unwrap_or_default(),
            intset_entries: self.number("set-max-intset-entries"),
            set_entries: self.number("set-max-listpack-entries"),
            set_bytes: self.number("set-max-listpack-value"),
            zset_entries: self.number("zset-max-listpack-entries"),
            zset_bytes: self.number("zset-max-listpack-value"),
        };
        self.longest_bulk = self.number("proto-max-bulk-len");
        self.largest_request = self.number("client-query-buffer-limit");
        self.output_limits = OutputLimit::read_all(self.get("client-output-buffer-limit"));
    }

    /// The value of a setting that is told only to who asks for it by its whole name.
    pub fn hidden(&self, name: &str) -> Option<(&'static str, &str)> {
        let setting = self.settings().find(|setting| setting.name == name && setting.is_hidden)?;
        Some((setting.name, self.value(setting)))
    }

    fn settings(&self) -> impl Iterator<Item = &'static Setting> {
        let dialect = self.dialect;
        SETTINGS.iter().filter(move |setting| setting.is_in(dialect))
    }

    fn setting(&self, name: &str) -> Option<&'static Setting> {
        self.settings().find(|setting| setting.name == name)
    }

    fn aliases(&self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        let valkey = if self.dialect == Dialect::Valkey8 { VALKEY_ALIASES } else { &[] };
        ALIASES.iter().chain(valkey)
    }

    fn value<'s>(&'s self, setting: &'s Setting) -> &'s str {
        self.changed.get(setting.name).map_or(setting.default, String::as_str)
    }
}

fn failed(name: &str, why: &str) -> ErrorReply {
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_change_all_or_none() {
        let mut config = Config::new(Dialect::Valkey8);
        assert!(config.set(&[(b"maxmemory", b"1mb"), (b"nothing", b"1")]).is_err());
        assert_eq!(config.get("maxmemory"), "0");
        assert_eq!(config.set(&[(b"MAXMEMORY", b"1mb")]), Ok(()));
        assert_eq!(config.get("maxmemory"), "1048576");
    }
}
