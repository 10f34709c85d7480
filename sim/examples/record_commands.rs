//! Records what a real server tells about the commands that the engine has:
//! `cargo run -p valkey-sim --example record_commands -- valkey-8 > sim/src/engine/commands/reference/valkey-8.resp`.
//!
//! Three maps from names to replies, as RESP3: of `COMMAND INFO`, of `COMMAND DOCS` and of each container's `HELP`.
//! Subcommands that the engine does not have are left out.

use std::{
    io::{self, Write},
    process::ExitCode,
};

#[path = "../tests/support/mod.rs"]
mod support;

use support::{real::Real, server::Server};
use valkey_sim::{
    engine::{
        Dialect, Protocol, Reply,
        commands::{Command, FAMILIES, Flags},
    },
    resp,
};

fn main() -> ExitCode {
    let dialect = match std::env::args().nth(1).unwrap_or_default().parse() {
        Ok(dialect) => dialect,
        Err(error) => {
            eprintln!("usage: record_commands DIALECT\n{error}");
            return ExitCode::from(2);
        }
    };
    let Some(mut server) = Real::start(dialect, "nothing is recorded") else { return ExitCode::FAILURE };
    server.send(&["HELLO", "3"]);
    let commands: Vec<&Command> =
        FAMILIES.iter().copied().flatten().filter(|it| it.name != "SIM" && it.is_in(dialect)).collect();
    let (mut info, mut docs, mut help) = (Vec::new(), Vec::new(), Vec::new());
    for command in commands {
        let name = || Reply::bulk(command.lower_name());
        if let Reply::Array(mut told) = server.send(&["COMMAND", "INFO", command.name]) {
            info.push((name(), served(told.remove(0), command, dialect)));
        }
        if let Reply::Map(told) = server.send(&["COMMAND", "DOCS", command.name]) {
            docs.extend(told.into_iter().map(|(name, told)| (name, served(told, command, dialect))));
        }
        if command.flags.has(Flags::CONTAINER) {
            help.push((name(), server.send(&[command.name, "HELP"])));
        }
    }
    let mut recorded = Vec::new();
    for map in [info, docs, help] {
        resp::encode(&Reply::Map(map), Protocol::Resp3, dialect, &mut recorded);
    }
    match io::stdout().write_all(&recorded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A description or documentation without the subcommands that the engine does not have, and with the others in order
/// of their names: a real server has them in another one each time.
fn served(told: Reply, command: &Command, dialect: Dialect) -> Reply {
    let has = |name: &Reply| {
        command.subcommands(dialect).any(|within| *name == Reply::bulk(within.name.to_ascii_lowercase()))
    };
    match told {
        Reply::Array(mut parts) => {
            if let Some(Reply::Array(within)) = parts.last_mut() {
                within.retain(|told| matches!(told, Reply::Array(parts) if has(&parts[0])));
                within.sort_by_key(|told| format!("{told:?}"));
            }
            Reply::Array(parts)
        }
        Reply::Map(mut parts) => {
            for (_, part) in parts.iter_mut().filter(|(name, _)| *name == Reply::bulk("subcommands")) {
                if let Reply::Map(within) = part {
                    within.retain(|(name, _)| has(name));
                    within.sort_by_key(|(name, _)| format!("{name:?}"));
                }
            }
            Reply::Map(parts)
        }
        told => told,
    }
}
