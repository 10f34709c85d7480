//! The commands, one file a family, and the one table that names them all.

use super::{Engine, resolve};
use crate::{base::Dialect, lua::Interpreter};

pub use super::table::{Command, CommandTable, Flags, Keys};

mod acl;
mod bitmaps;
mod client;
mod cluster;
mod command;
mod connection;
mod dump;
mod expiry;
mod functions;
mod hashes;
mod key_specs;
mod keys;
mod lcs;
mod list_waits;
mod lists;
mod parse;
mod pubsub;
mod reference;
mod replication;
mod scan;
mod scripts;
mod server;
mod sets;
mod shape;
mod sim;
mod sort;
mod sorted_sets;
mod stream_groups;
mod streams;
mod strings;
mod tools;
mod tracking;
mod transactions;

/// The table that an engine made with [`Engine::new`] is handed.
pub static TABLE: CommandTable = CommandTable::new(FAMILIES);

/// Every command, family by family.
pub static FAMILIES: &[&[Command]] = &[
    keys::COMMANDS,
    strings::COMMANDS,
    lcs::COMMANDS,
    bitmaps::COMMANDS,
    hashes::COMMANDS,
    lists::COMMANDS,
    list_waits::COMMANDS,
    sets::COMMANDS,
    sorted_sets::COMMANDS,
    sort::COMMANDS,
    dump::COMMANDS,
    streams::COMMANDS,
    stream_groups::COMMANDS,
    pubsub::COMMANDS,
    transactions::COMMANDS,
    functions::COMMANDS,
    scripts::COMMANDS,
    connection::COMMANDS,
    acl::COMMANDS,
    cluster::COMMANDS,
    server::COMMANDS,
    replication::COMMANDS,
    command::COMMANDS,
    tools::COMMANDS,
    sim::COMMANDS,
];

impl Engine {
    /// An empty server with all commands. Interpreters are costly to make and free to share within a thread.
    pub fn new(dialect: Dialect, interpreter: Interpreter) -> Self {
        Self::with_commands(&TABLE, dialect, interpreter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_case_and_named_once() {
        for command in FAMILIES.iter().copied().flatten() {
            let found = TABLE.find(command.name.to_ascii_lowercase().as_bytes()).expect(command.name);
            assert!(std::ptr::eq(found, command), "{} is in the table twice", command.name);
        }
        assert!(TABLE.find(b"").is_none());
        assert!(TABLE.find(&[b'G'; 100]).is_none());
    }
}
