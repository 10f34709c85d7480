//! A library compiled once, for every interpreter that will load it.
//!
//! Compiling is what costs: 5 ms for a library of 400 KB, against 0.6 ms to read its bytecode back. A simulation that
//! starts afresh for every seed hands one of these to each. It changes nothing but the time: an interpreter knows the
//! text by comparing it, and compiles any other itself.
//!
//! Nor is it loaded more often than there are interpreters at a time: an interpreter that has loaded it first of all
//! remembers its memory as it was then, and leaves it behind for the next, which takes a copy of that for its own loading.
//! So two interpreters may have their tables at the same addresses; see [`Compiled::elsewhere`].

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    LIBRARY_CHUNK, Limits, compiling_function,
    registration::Registered,
    state::{Bytecode, Idle, Machine},
};
use crate::base::{Dialect, ErrorReply};

/// A library's text and its bytecode. Clones are the same.
///
/// ```
/// use valkey_sim::{engine::Dialect, lua::{Compiled, Interpreter, Limits}};
/// let text = b"#!lua name=l\nredis.register_function('f', function() return 1 end)";
/// let compiled = Compiled::library(text)?;
/// let interpreter = Interpreter::with_compiled(Limits::default(), compiled);
/// assert_eq!(interpreter.load(Dialect::Valkey8, &text[12..])?.len(), 1);
/// # Ok::<(), valkey_sim::engine::ErrorReply>(())
/// ```
#[derive(Clone)]
pub struct Compiled(Arc<Parts>);

struct Parts {
    source: Arc<[u8]>,
    bytecode: Arc<Bytecode>,
    /// What interpreters have left behind.
    idle: Mutex<Vec<Idle>>,
}

impl Compiled {
    /// Compiles a library; its `#!` line, if it has one, is taken off as `FUNCTION LOAD` does.
    ///
    /// # Errors
    /// What [`Interpreter::load`](super::Interpreter::load) says of a text that does not compile.
    pub fn library(text: &[u8]) -> Result<Self, ErrorReply> {
        let line = text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len());
        let source = if text.starts_with(b"#!") { &text[line..] } else { text };
        // Bytecode is the same for every dialect.
        let machine = Machine::new(Dialect::default(), Limits::default(), None);
        let bytecode = machine.bytecode(source, LIBRARY_CHUNK).map_err(|text| compiling_function(&text))?;
        Ok(Self::of(source.into(), bytecode.into()))
    }

    fn of(source: Arc<[u8]>, bytecode: Arc<Bytecode>) -> Self {
        Self(Arc::new(Parts { source, bytecode, idle: Mutex::default() }))
    }

    /// The same library for interpreters that have all their memory elsewhere. What goes by addresses in a library
    /// (`pairs` of a table whose keys are tables or functions) need not differ between two interpreters of one `Compiled`;
    /// here it does.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        Self::of(Arc::clone(&self.0.source), Arc::clone(&self.0.bytecode))
    }

    /// A machine that has loaded the library and done nothing else, if another has left its memory behind.
    pub(super) fn machine(&self, dialect: Dialect, limits: Limits) -> Option<(Machine, Vec<Registered>)> {
        let idle = {
            let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let at = idle.iter().rposition(|idle| idle.is_of(dialect, limits))?;
            idle.swap_remove(at)
        };
        Some(Machine::woken(idle, self.clone()))
    }

    /// Keeps what a machine leaves behind.
    pub(super) fn keep(&self, idle: Idle) {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
    }

    /// The text without its `#!` line.
    pub(super) fn source(&self) -> &Arc<[u8]> {
        &self.0.source
    }

    /// What it was compiled to, under the name [`LIBRARY_CHUNK`].
    pub(super) fn bytecode(&self) -> &Bytecode {
        &self.0.bytecode
    }
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled").field("source_bytes", &self.0.source.len()).finish_non_exhaustive()
    }
}
