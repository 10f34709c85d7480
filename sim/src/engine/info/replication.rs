//! The section `Replication` of `INFO`.

use super::{super::replication::LinkState, Fields};
use crate::engine::{Dialect, Engine, UnixMicros, replication::Role};

/// The fields, from those of a server without replicas: a replica has others before `connected_slaves`, and a primary tells
/// of its replicas behind that.
pub fn fields(
    engine: &Engine,
    recorded: impl Iterator<Item = (&'static str, &'static str)>,
    now: UnixMicros,
) -> Fields {
    let mut fields = role(engine, now);
    for (name, value) in recorded.filter(|(name, _)| *name != "role") {
        fields.push((name.to_owned(), known(engine, name).unwrap_or_else(|| value.to_owned())));
        if name == "connected_slaves" {
            if engine.good_replicas_wanted().is_some() {
                fields.push(("min_slaves_good_slaves".to_owned(), engine.good_replicas(now).to_string()));
            }
            fields.extend(replicas(engine, now));
        }
    }
    fields
}

fn role(engine: &Engine, now: UnixMicros) -> Fields {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let Role::Replica { primary, link } = engine.replication().role() else {
        return vec![field("role", "master")];
    };
    let offset = engine.replication().offset().0.to_string();
    let (status, last_io) = match link {
        LinkState::Up => ("up", "0"),
        LinkState::Down(_) => ("down", "-1"),
    };
    let mut fields = vec![
        field("role", "slave"),
        field("master_host", &primary.host),
        field("master_port", &primary.port.to_string()),
        field("master_link_status", status),
        field("master_last_io_seconds_ago", last_io),
        field("master_sync_in_progress", "0"),
        field("slave_read_repl_offset", &offset),
        field("slave_repl_offset", &offset),
    ];
    if engine.dialect() == Dialect::Valkey8 {
        fields
            .extend(["replicas_repl_buffer_size", "replicas_repl_buffer_peak"].map(|name| field(name, "0")));
    }
    if let LinkState::Down(since) = link {
        let seconds = since.map_or(-1, |since| whole_seconds(since, now) as i64);
        fields.push(field("master_link_down_since_seconds", &seconds.to_string()));
    }
    let is_yes = |name| if engine.config.get(name) == "yes" { "1" } else { "0" };
    fields.push(field("slave_priority", engine.config.get("replica-priority")));
    fields.push(field("slave_read_only", is_yes("replica-read-only")));
    fields.push(field("replica_announced", is_yes("replica-announced")));
    fields
}

fn replicas(engine: &Engine, now: UnixMicros) -> Fields {
    let line = |(index, replica): (usize, &crate::engine::replication::Attached)| {
        let offset = replica.acknowledged.unwrap_or_default().0;
        let lag = replica.lag_seconds(now);
        let kind = if engine.dialect() == Dialect::Valkey8 { ",type=replica" } else { "" };
        let (host, port) = (&replica.address.host, replica.address.port);
        (
            format!("slave{index}"),
            format!("ip={host},port={port},state=online,offset={offset},lag={lag}{kind}"),
        )
    };
    engine.replication().replicas().map(|(_, replica)| replica).enumerate().map(line).collect()
}

/// As a server counts them, whose clock for this ticks once a second.
fn whole_seconds(since: UnixMicros, now: UnixMicros) -> u64 {
    (now.0 / 1_000_000).saturating_sub(since.0 / 1_000_000)
}

fn known(engine: &Engine, field: &str) -> Option<String> {
    let replication = engine.replication();
    let kept_from = replication.kept_from();
    let value = match field {
        "connected_slaves" => replication.replicas().len() as u64,
        "master_replid" => return Some(format!("{:040x}", engine.history())),
        "master_replid2" => return replication.previous().map(|(history, _)| format!("{history:040x}")),
        "second_repl_offset" => replication.previous()?.1.0,
        "master_repl_offset" => replication.offset().0,
        "repl_backlog_active" => u64::from(kept_from.is_some()),
        "repl_backlog_size" => engine.config.number("repl-backlog-size") as u64,
        "repl_backlog_first_byte_offset" => kept_from?.0 + 1,
        "repl_backlog_histlen" => replication.offset().0 - kept_from?.0,
        _ => return None,
    };
    Some(value.to_string())
}
