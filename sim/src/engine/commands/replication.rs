//! What clients ask about replicas: ROLE, WAIT, WAITAOF. Not here: `REPLICAOF` and `PSYNC`; whom a server follows is the
//! host's to say.

use super::{Command, Flags, Keys, parse};
use crate::engine::{
    CommandResult, Context, Dialect, ErrorReply, NOT_AN_INTEGER, Reply,
    number::parse_i64,
    replication::{Address, LinkState, Role},
};

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("ROLE", 1, Flags::NOSCRIPT.and(Flags::FAST), role),
    Command::new("WAIT", 3, Flags::NONE, wait).on(Keys::None),
    Command::new("WAITAOF", 4, Flags::VALKEY_ONLY, wait_for_files).on(Keys::None),
];

/// A replica whose link is down has no offset to tell.
fn role(cx: &mut Context<'_>) -> CommandResult {
    let replication = cx.engine.replication();
    let offset = replication.offset().0 as i64;
    Ok(Reply::Array(match replication.role() {
        Role::Primary => {
            let replicas = replication.replicas().map(|(_, replica)| {
                let acknowledged = replica.acknowledged.unwrap_or_default().0;
                let Address { host, port } = &replica.address;
                Reply::Array(
                    [host.clone(), port.to_string(), acknowledged.to_string()].map(Reply::bulk).into(),
                )
            });
            vec![Reply::bulk("master"), Reply::Int(offset), Reply::Array(replicas.collect())]
        }
        Role::Replica { primary, link } => {
            let (state, offset) = match link {
                LinkState::Up => ("connected", offset),
                LinkState::Down(_) => ("connect", -1),
            };
            vec![
                Reply::bulk("slave"),
                Reply::bulk(&primary.host),
                Reply::Int(primary.port.into()),
                Reply::bulk(state),
                Reply::Int(offset),
            ]
        }
    }))
}

/// `WAIT numreplicas timeout`.
fn wait(cx: &mut Context<'_>) -> CommandResult {
    cx.refuse_script()?;
    if cx.engine.replication().role() != &Role::Primary {
        return Err(ErrorReply::new(match cx.engine.dialect() {
            Dialect::Valkey8 => {
                "ERR WAIT cannot be used with replica instances. Please also note that if a replica is configured to be \
                 writable (which is not the default) writes to replicas are just local and are not propagated."
            }
            Dialect::Redis7 => {
                "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is \
                 configured to be writable (which is not the default) writes to replicas are just local and are not \
                 propagated."
            }
        }));
    }
    let wanted = parse_i64(cx.arg(1)).map_err(|_| NOT_AN_INTEGER)?;
    let timeout_ms = parse::timeout_ms(cx, cx.arg(2))?;
    let offset = cx.written_to();
    let acknowledged = cx.engine.replication().acknowledged(offset) as i64;
    if acknowledged >= wanted || !cx.may_block() {
        return Ok(Reply::Int(acknowledged));
    }
    Ok(cx.block_for_replicas(offset, timeout_ms))
}

/// `WAITAOF numlocal numreplicas timeout`.
fn wait_for_files(cx: &mut Context<'_>) -> CommandResult {
    const NOT_ONE: ErrorReply = ErrorReply::new("ERR value is out of range, value must between 0 and 1");
    const NEGATIVE: ErrorReply = ErrorReply::new("ERR value is out of range, must be positive");
    let here = parse_i64(cx.arg(1)).map_err(|_| NOT_AN_INTEGER)?;
    let here = Some(here).filter(|here| (0..=1).contains(here)).ok_or(NOT_ONE)?;
    let wanted = parse_i64(cx.arg(2)).ok().filter(|wanted| *wanted >= 0).ok_or(NEGATIVE)?;
    let timeout_ms = parse::timeout_ms(cx, cx.arg(3))?;
    if cx.engine.replication().role() != &Role::Primary {
        return Err(ErrorReply::new(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local \
             and are not propagated.",
        ));
    }
    let has_file = cx.engine.config.has_file;
    if here > 0 && !has_file {
        return Err(ErrorReply::new(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    let offset = cx.written_to();
    let replication = cx.engine.replication();
    let synced_here = i64::from(has_file && replication.synced().is_some_and(|synced| synced >= offset));
    let synced = replication.synced_by_replicas(offset) as i64;
    if (synced_here >= here && synced >= wanted) || !cx.may_block() {
        return Ok(Reply::Array(vec![Reply::Int(synced_here), Reply::Int(synced)]));
    }
    Ok(cx.block_for_replicas(offset, timeout_ms))
}
