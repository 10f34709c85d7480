//! `INFO`: what a server tells about itself, as far as a simulated one has it to tell.

use super::{Dialect, Engine, Keyspace, UnixMicros, pubsub::Kind};

/// The sections in the order in which a server lists them, and whether they are shown unasked.
const SECTIONS: &[(&str, bool)] = &[
    ("Server", true),
    ("Clients", true),
    ("Memory", true),
    ("Persistence", true),
    ("Stats", true),
    ("Replication", true),
    ("Commandstats", false),
    ("Cluster", true),
    ("Keyspace", true),
];

/// The sections asked for; without a name, the usual ones.
pub fn text(engine: &Engine, names: &[&[u8]], now: UnixMicros) -> String {
    let asked = |word: &str| names.iter().any(|name| name.eq_ignore_ascii_case(word.as_bytes()));
    let usual = names.is_empty() || asked("default");
    let all = asked("all") || asked("everything");
    let mut text = String::new();
    for (section, by_default) in SECTIONS {
        if all || (usual && *by_default) || asked(section) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            text.push_str(&format!("# {section}\r\n"));
            for (name, value) in fields(engine, section, now) {
                text.push_str(&format!("{name}:{value}\r\n"));
            }
        }
    }
    text
}

type Fields = Vec<(String, String)>;

fn fields(engine: &Engine, section: &str, now: UnixMicros) -> Fields {
    match section {
        "Server" => server(engine, now),
        "Clients" => list(&[
            ("connected_clients", engine.clients.count() as u64),
            ("maxclients", engine.config.number("maxclients") as u64),
            ("blocked_clients", engine.clients.blocked.len() as u64),
        ]),
        "Memory" => memory(engine),
        "Persistence" => list(&[("loading", 0), ("aof_enabled", 0)]),
        "Stats" => stats(engine),
        "Replication" => vec![pair("role", "master"), pair("connected_slaves", "0")],
        "Commandstats" => commandstats(engine),
        "Cluster" => list(&[("cluster_enabled", 0)]),
        _ => keyspace(engine),
    }
}

fn pair(name: impl Into<String>, value: impl Into<String>) -> (String, String) {
    (name.into(), value.into())
}

fn list(numbers: &[(&str, u64)]) -> Fields {
    numbers.iter().map(|(name, value)| pair(*name, value.to_string())).collect()
}

fn server(engine: &Engine, now: UnixMicros) -> Fields {
    let mut fields = match engine.dialect() {
        Dialect::Valkey8 => vec![
            pair("redis_version", "7.2.4"),
            pair("server_name", "valkey"),
            pair("valkey_version", "8.0.1"),
            pair("server_mode", "standalone"),
        ],
        Dialect::Redis7 => vec![pair("redis_version", "7.0.15")],
    };
    let up_seconds = now.0.saturating_sub(engine.stats.since.unwrap_or(now).0) / 1_000_000;
    fields.extend([pair("redis_mode", "standalone"), pair("arch_bits", "64")]);
    fields.extend([pair("process_id", "1"), pair("tcp_port", engine.config.get("port"))]);
    fields.extend(list(&[
        ("server_time_usec", now.0),
        ("uptime_in_seconds", up_seconds),
        ("uptime_in_days", up_seconds / 86_400),
        ("hz", 10),
    ]));
    fields
}

fn memory(engine: &Engine) -> Fields {
    let setting = |name| pair(name, engine.config.get(name));
    let used = engine.used_memory() as u64;
    let mut fields = list(&[("used_memory", used), ("used_memory_rss", used), ("used_memory_peak", used)]);
    fields.push(setting("maxmemory"));
    fields.push(pair("maxmemory_policy", engine.config.get("maxmemory-policy")));
    fields
}

fn stats(engine: &Engine) -> Fields {
    list(&[
        ("total_connections_received", engine.stats.connections),
        ("total_commands_processed", engine.stats.calls().map(|(_, calls)| calls).sum()),
        ("expired_keys", engine.stats.expired_keys),
        ("evicted_keys", 0),
        ("pubsub_channels", engine.pubsub.listeners(Kind::Channel).len() as u64),
        ("pubsub_patterns", engine.pubsub.listeners(Kind::Pattern).len() as u64),
    ])
}

/// Calls only: how long they took is not the simulated server's to say.
fn commandstats(engine: &Engine) -> Fields {
    let line = |(name, calls): (&str, u64)| {
        let name = format!("cmdstat_{}", name.to_ascii_lowercase());
        (name, format!("calls={calls},usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0"))
    };
    engine.stats.calls().map(line).collect()
}

fn keyspace(engine: &Engine) -> Fields {
    let line = |(number, db): (u8, &Keyspace)| {
        let expires = db.iter().filter(|(_, entry)| entry.expires_at.is_some()).count();
        pair(format!("db{number}"), format!("keys={},expires={expires},avg_ttl=0", db.len()))
    };
    engine.databases().filter(|(_, db)| !db.is_empty()).map(line).collect()
}
