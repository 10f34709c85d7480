//! Functions: FUNCTION, FCALL, FCALL_RO.

use super::Command;

/// The family.
pub const COMMANDS: &[Command] = &[];
