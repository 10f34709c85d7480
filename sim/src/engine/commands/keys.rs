//! Keys of any type, and their expiry.

use super::Command;

/// The family.
pub const COMMANDS: &[Command] = &[];
