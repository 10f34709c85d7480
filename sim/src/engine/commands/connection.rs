//! Connections: PING, HELLO, CLIENT, …

use super::Command;

/// The family.
pub const COMMANDS: &[Command] = &[];
