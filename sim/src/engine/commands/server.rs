//! The server itself: TIME, INFO, COMMAND, DBSIZE, FLUSHALL.

use super::Command;

/// The family.
pub const COMMANDS: &[Command] = &[];
