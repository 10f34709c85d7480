//! Functions and scripts: PUC Lua 5.1, sandboxed as Valkey sandboxes it.

/// A Lua state with Valkey's sandbox in it: costly to make, cheap to clone (a clone is the same state).
#[derive(Clone, Debug, Default)]
pub struct Interpreter {}
