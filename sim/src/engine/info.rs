//! `INFO`: what a server tells about itself.
//!
//! The fields are those of a real server of the dialect, in its order, and the files beside this one hold them with
//! the values that a simulated server cannot know better: it takes no processor time and forks
//! nothing. The values that it does know are filled in here.

mod replication;

use std::cell::LazyCell;

use super::{Dialect, Engine, Keyspace, UnixMicros, pubsub::Kind};

/// The sections in the order in which a server lists them, and when they are shown: unasked, with `all`, or by name.
const SECTIONS: &[(&str, Shown)] = &[
    ("Server", Shown::Always),
    ("Clients", Shown::Always),
    ("Memory", Shown::Always),
    ("Persistence", Shown::Always),
    ("Stats", Shown::Always),
    ("Replication", Shown::Always),
    ("CPU", Shown::Always),
    ("Modules", Shown::Always),
    ("Commandstats", Shown::WithAll),
    ("Errorstats", Shown::Always),
    ("Latencystats", Shown::WithAll),
    ("Cluster", Shown::Always),
    ("Keyspace", Shown::Always),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Always,
    WithAll,
}

/// The sections asked for; without a name, the usual ones.
pub fn text(engine: &Engine, names: &[&[u8]], now: UnixMicros) -> String {
    let asked = |word: &str| names.iter().any(|name| name.eq_ignore_ascii_case(word.as_bytes()));
    let usual = names.is_empty() || asked("default");
    let all = asked("all") || asked("everything");
    // It takes a walk over all keys.
    let used = LazyCell::new(|| engine.used_memory() as u64);
    let mut text = String::new();
    for (section, shown) in SECTIONS {
        if all || (usual && *shown == Shown::Always) || asked(section) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            text.push_str(&format!("# {section}\r\n"));
            for (name, value) in fields(engine, section, now, &|| *used) {
                text.push_str(&format!("{name}:{value}\r\n"));
            }
        }
    }
    text
}

type Fields = Vec<(String, String)>;

fn fields(engine: &Engine, section: &str, now: UnixMicros, used: &dyn Fn() -> u64) -> Fields {
    match section {
        "Commandstats" => commandstats(engine),
        "Errorstats" => {
            let line = |(code, count)| (format!("errorstat_{code}"), format!("count={count}"));
            engine.stats.errors().map(line).collect()
        }
        // How long commands took is not the simulated server's to say.
        "Latencystats" => Vec::new(),
        "Keyspace" => keyspace(engine, now),
        "Replication" => replication::fields(engine, recorded(engine.dialect(), section), now),
        _ => {
            let fill_in = |(name, value): (&'static str, &'static str)| {
                let known = known(engine, name, now, used);
                (name.to_owned(), known.unwrap_or_else(|| value.to_owned()))
            };
            recorded(engine.dialect(), section).map(fill_in).collect()
        }
    }
}

/// The fields of a section of a real server.
fn recorded(dialect: Dialect, section: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let text = match dialect {
        Dialect::Valkey8 => include_str!("info/valkey-8.txt"),
        Dialect::Redis7 => include_str!("info/redis-7.txt"),
    };
    let title = format!("# {section}");
    let lines = text.lines().skip_while(move |line| *line != title).skip(1);
    lines.map_while(|line| line.split_once(':'))
}

/// The value of a field, if the simulated server knows one.
fn known(engine: &Engine, field: &str, now: UnixMicros, used: &dyn Fn() -> u64) -> Option<String> {
    let clients = &engine.clients;
    let now_seconds = now.0 / 1_000_000;
    let up_seconds = now_seconds.saturating_sub(engine.stats.since.unwrap_or(now).0 / 1_000_000);
    let listeners = |kind| engine.pubsub.listeners(kind).len() as u64;
    let setting = |name| engine.config.number(name) as u64;
    let value = match field {
        "tcp_port" => setting("port"),
        "server_time_usec" => now.0,
        "uptime_in_seconds" => up_seconds,
        "uptime_in_days" => up_seconds / 86_400,
        "hz" | "configured_hz" => setting("hz"),
        // Seconds in 24 bits.
        "cluster_enabled" => u64::from(engine.is_cluster),
        "lru_clock" => now_seconds & 0x00ff_ffff,
        "run_id" => return Some(format!("{:040x}", engine.seed)),
        "connected_clients" => clients.count() as u64,
        "maxclients" => setting("maxclients"),
        "blocked_clients" => (clients.blocked.len() + clients.postponed.len()) as u64,
        "pubsub_clients" => engine.pubsub.clients() as u64,
        "tracking_clients" => engine.tracking.counts()[0] as u64,
        "tracking_total_keys" => engine.tracking.counts()[1] as u64,
        "tracking_total_items" => engine.tracking.counts()[2] as u64,
        "tracking_total_prefixes" => engine.tracking.counts()[3] as u64,
        "watching_clients" => engine.watches.clients() as u64,
        "total_watched_keys" => engine.watches.keys() as u64,
        "used_memory" | "used_memory_rss" | "used_memory_peak" => used(),
        "used_memory_human" | "used_memory_rss_human" | "used_memory_peak_human" => {
            return Some(human(used()));
        }
        "used_memory_dataset" => used().saturating_sub(super::memory::EMPTY_SERVER as u64),
        "used_memory_startup" | "used_memory_overhead" => super::memory::EMPTY_SERVER as u64,
        "number_of_cached_scripts" => engine.functions.scripts.count() as u64,
        "evicted_scripts" => engine.functions.scripts.evicted(),
        "number_of_functions" => engine.functions.function_count() as u64,
        "number_of_libraries" => engine.functions.libraries().len() as u64,
        "maxmemory" => engine.config.max_memory,
        "maxmemory_human" => return Some(human(engine.config.max_memory)),
        "maxmemory_policy" => return Some(engine.config.get("maxmemory-policy").to_owned()),
        "rdb_last_save_time" => engine.stats.since.unwrap_or(now).0 / 1_000_000,
        "aof_enabled" => u64::from(engine.config.get("appendonly") == "yes"),
        "total_connections_received" => engine.stats.connections,
        "rejected_connections" => engine.stats.rejected_connections,
        "total_commands_processed" => engine.stats.commands().map(|(_, calls)| calls.calls).sum(),
        "evicted_keys" => engine.stats.evicted_keys,
        "expired_keys" => engine.stats.expired_keys,
        "keyspace_hits" => engine.stats.hits,
        "keyspace_misses" => engine.stats.misses,
        "pubsub_channels" => listeners(Kind::Channel),
        "pubsub_patterns" => listeners(Kind::Pattern),
        "pubsubshard_channels" => listeners(Kind::Shard),
        "total_error_replies" => engine.stats.errors().map(|(_, count)| count).sum(),
        _ => return None,
    };
    Some(value.to_string())
}

/// Bytes as a person reads them: `1.04M`.
fn human(bytes: u64) -> String {
    const UNITS: [(u64, char); 4] = [(1 << 40, 'T'), (1 << 30, 'G'), (1 << 20, 'M'), (1 << 10, 'K')];
    match UNITS.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{:.2}{unit}", bytes as f64 / *size as f64),
        None => format!("{bytes}B"),
    }
}

/// Calls only: how long they took is not the simulated server's to say.
fn commandstats(engine: &Engine) -> Fields {
    let commands = engine.stats.commands().map(|(name, calls)| {
        let counts = format!(
            "calls={},usec=0,usec_per_call=0.00,rejected_calls={},failed_calls={}",
            calls.calls, calls.rejected, calls.failed
        );
        (format!("cmdstat_{}", name.to_ascii_lowercase()), counts)
    });
    commands.collect()
}

fn keyspace(engine: &Engine, now: UnixMicros) -> Fields {
    let line = |(number, db): (u8, &Keyspace)| {
        let expires = db.expiring();
        let average = db.average_ttl(now.millis());
        (format!("db{number}"), format!("keys={},expires={expires},avg_ttl={average}", db.len()))
    };
    engine.databases().filter(|(_, db)| !db.is_empty()).map(line).collect()
}
