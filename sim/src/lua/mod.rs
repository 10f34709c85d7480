//! Functions and scripts: PUC Lua 5.1, sandboxed as Valkey sandboxes it.
//!
//! An [`Interpreter`] is a Lua state of this thread (one for each dialect in use). It loads libraries
//! ([`Interpreter::load`]) and compiles scripts ([`Interpreter::script`]) into [`Callback`]s; calling one runs it
//! with a [`Host`], which runs the commands it calls. What a script may keep between calls without being a
//! library's upvalue is a [`PersistentState`], and belongs to the server.
//!
//! It is deterministic: a call is stopped by a count of instructions ([`Limits`]), `math.random` is the server's
//! own, and no address or clock can be seen. One thing remains of the process: `pairs` over a table whose *keys*
//! are tables or functions goes by their addresses, as it does on a server.

mod arena;
mod bit;
mod cjson;
mod cmsgpack;
mod compiled;
mod convert;
mod coroutines;
mod layout;
mod number;
mod pattern;
mod random;
mod raw;
mod redis;
mod registration;
mod sandbox;
mod slots;
mod state;
mod strings;
mod tables;
mod weighed;

use std::{cell::OnceCell, ffi::CStr, fmt, rc::Rc};

use sha1::{Digest as _, Sha1};

pub use self::{
    compiled::Compiled,
    registration::{BAD_NAME, FunctionFlags, is_name},
};
use self::{
    random::Random,
    raw::Ref,
    registration::Registered,
    sandbox::Entry,
    state::{Failure, Machine},
};
use crate::base::{Dialect, ErrorReply, Protocol, Reply};

/// What a library's code is called in error texts.
const LIBRARY_CHUNK: &CStr = c"@user_function";
/// What a script's is.
const SCRIPT_CHUNK: &CStr = c"@user_script";

/// What a script may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lua instructions of one call (or of one load of a library), looked at every 100,000; then it is killed as
    /// `FUNCTION KILL` kills. Work between two instructions counts as instructions, too: what a pattern tries, the
    /// bytes and elements that are copied, the values that are converted, the bytes of long strings that an instruction
    /// compares, joins or reads a number from, and 100 for each command and each resumed coroutine.
    ///
    /// A load of a library has no more than the default, however many a call has.
    pub instructions_per_call: u64,
    /// Memory of one Lua state; beyond it a call fails. And as much as one call may write to the server.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { instructions_per_call: 50_000_000, memory_bytes: 256 << 20 }
    }
}

/// Whether an error says that a call (or a load) was stopped because it had used up its instructions.
pub fn is_out_of_instructions(error: &ErrorReply) -> bool {
    state::KILLED.iter().any(|text| error.0.starts_with(text))
}

/// Runs the commands that a script calls.
///
/// A host may not call back into the interpreter that called it: whatever it asks of it is refused with an error reply.
pub trait Host {
    /// Runs one command. The reply is for a script that speaks `protocol`.
    fn call(&mut self, args: &[&[u8]], protocol: Protocol) -> Reply;
    /// Whether there is a command of this name.
    fn knows(&self, command: &[u8]) -> bool;
    /// How many elements commands have looked at since the last call, beside those in their replies.
    fn looked_at(&mut self) -> u64 {
        0
    }
    /// How many bytes they have written since.
    fn written(&mut self) -> u64 {
        0
    }
    /// Asked every 100,000 instructions: whether somebody has ended the script.
    fn is_killed(&mut self) -> bool {
        false
    }
}

/// The persistent script state of a server: what its Lua keeps from call to call outside of upvalues. That is the state
/// of `math.random` and the settings of `cjson`. It belongs to the engine, so nothing passes from one engine to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PersistentState {
    random: Random,
    cjson: cjson::Config,
}

impl PersistentState {
    /// A server whose `math.random` starts from a seed.
    pub fn seeded(seed: u32) -> Self {
        Self { random: Random::seeded(seed), ..Self::default() }
    }
}

/// A Lua state with Valkey's sandbox in it: costly to make, cheap to clone (a clone is the same state).
#[derive(Clone)]
pub struct Interpreter(Rc<Machines>);

struct Machines {
    limits: Limits,
    compiled: Option<Compiled>,
    valkey: OnceCell<Rc<Machine>>,
    redis: OnceCell<Rc<Machine>>,
}

impl Interpreter {
    /// An interpreter with limits of one's own.
    pub fn new(limits: Limits) -> Self {
        Self::of(limits, None)
    }

    /// As [`new`](Self::new), and a library that was compiled before need not be again.
    pub fn with_compiled(limits: Limits, compiled: Compiled) -> Self {
        Self::of(limits, Some(compiled))
    }

    fn of(limits: Limits, compiled: Option<Compiled>) -> Self {
        Self(Rc::new(Machines { limits, compiled, valkey: OnceCell::new(), redis: OnceCell::new() }))
    }

    /// Bytes that Lua holds, garbage included.
    pub fn memory(&self) -> usize {
        [&self.0.valkey, &self.0.redis]
            .into_iter()
            .filter_map(OnceCell::get)
            .map(|machine| machine.memory())
            .sum()
    }

    fn cell(&self, dialect: Dialect) -> &OnceCell<Rc<Machine>> {
        match dialect {
            Dialect::Valkey8 => &self.0.valkey,
            Dialect::Redis7 => &self.0.redis,
        }
    }

    fn machine(&self, dialect: Dialect) -> &Rc<Machine> {
        let new = || Rc::new(Machine::new(dialect, self.0.limits, self.0.compiled.clone()));
        self.cell(dialect).get_or_init(new)
    }

    /// Runs a library's main chunk, its `#!` line taken off but not the end of that line, and returns what it
    /// registered. A text that was loaded before is not compiled again, but run again: its upvalues are new.
    ///
    /// # Errors
    /// The text does not compile, or fails, or takes too long: in a server's words.
    pub fn load(&self, dialect: Dialect, code: &[u8]) -> Result<Vec<Function>, ErrorReply> {
        let cell = self.cell(dialect);
        let is_compiled = |compiled: &&Compiled| cell.get().is_none() && **compiled.source() == *code;
        let compiled = self.0.compiled.as_ref().filter(is_compiled);
        if let Some((machine, registered)) =
            compiled.and_then(|compiled| compiled.machine(dialect, self.0.limits))
        {
            return Ok(functions(cell.get_or_init(|| Rc::new(machine)), registered));
        }
        let machine = self.machine(dialect);
        machine.check_idle()?;
        let main = machine.chunk(code, LIBRARY_CHUNK).map_err(|text| compiling_function(&text))?;
        let registered = machine.load(main).map_err(|failure| match failure {
            Failure::Error { text, .. } => one_line(format!("ERR Error registering functions: {text}")),
            Failure::Memory => ErrorReply::new("ERR Error registering functions: not enough memory"),
        })?;
        if compiled.is_some() {
            machine.remember(main, &registered);
        }
        Ok(functions(machine, registered))
    }

    /// Compiles a script for `EVAL`.
    ///
    /// # Errors
    /// What the compiler says.
    pub fn script(&self, dialect: Dialect, code: &[u8]) -> Result<Script, ErrorReply> {
        let machine = self.machine(dialect);
        machine.check_idle()?;
        let (chunk, number) = machine
            .numbered_chunk(code, SCRIPT_CHUNK)
            .map_err(|text| one_line(format!("ERR Error compiling script (new function): {text}")))?;
        Ok(Script { machine: Rc::clone(machine), chunk, number })
    }
}

impl Default for Interpreter {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interpreter").field("limits", &self.0.limits).field("memory", &self.memory()).finish()
    }
}

fn functions(machine: &Rc<Machine>, registered: Vec<Registered>) -> Vec<Function> {
    let callback = |reference| Callback { machine: Rc::clone(machine), reference: Some(reference) };
    let function = |Registered { name, description, flags, callback: reference }| Function {
        name,
        description,
        flags,
        callback: callback(reference),
    };
    registered.into_iter().map(function).collect()
}

/// A function that a library registered.
#[derive(Debug)]
pub struct Function {
    /// Its name, as it was given.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it declared about itself.
    pub flags: FunctionFlags,
    /// The function itself.
    pub callback: Callback,
}

/// What a script is called with.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// What errors call it: the function's name, or the script's hash.
    pub name: &'a str,
    /// Its keys.
    pub keys: &'a [&'a [u8]],
    /// Its other arguments.
    pub args: &'a [&'a [u8]],
}

/// A Lua function, kept alive until this is dropped.
pub struct Callback {
    machine: Rc<Machine>,
    reference: Option<Ref>,
}

impl Callback {
    /// Calls the function.
    pub fn call(&self, input: Input<'_>, persistent: &mut PersistentState, host: &mut dyn Host) -> Reply {
        let function = self.reference.unwrap_or_default();
        let outcome = self.machine.call(Entry::Function, function, input.keys, input.args, persistent, host);
        outcome.unwrap_or_else(|failure| error_reply(failure, input.name))
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        if let Some(reference) = self.reference.take() {
            self.machine.release(reference);
        }
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback")
    }
}

/// A compiled script, to be run at once: the interpreter may forget it when many others follow.
pub struct Script {
    machine: Rc<Machine>,
    chunk: Ref,
    number: u64,
}

impl Script {
    /// Runs the script. An error when the interpreter has forgotten it: see [`Script`].
    pub fn call(&self, input: Input<'_>, persistent: &mut PersistentState, host: &mut dyn Host) -> Reply {
        if !self.machine.knows_chunk(self.number) {
            return Reply::Error(ErrorReply::new(
                "ERR the script was forgotten for others: compile it again",
            ));
        }
        let outcome = self.machine.call(Entry::Script, self.chunk, input.keys, input.args, persistent, host);
        outcome.unwrap_or_else(|failure| error_reply(failure, input.name))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

/// The error that a client sees.
fn error_reply(failure: Failure, name: &str) -> Reply {
    Reply::Error(one_line(match failure {
        Failure::Error { text, place: None } => text,
        Failure::Error { text, place: Some((source, line)) } => {
            format!("{text} script: {name}, on {source}:{line}.")
        }
        Failure::Memory => format!("ERR Error running script (call to {name}): not enough memory"),
    }))
}

/// A library's text does not compile.
fn compiling_function(text: &str) -> ErrorReply {
    one_line(format!("ERR Error compiling function: {text}"))
}

/// Errors are one line on the wire.
fn one_line(text: String) -> ErrorReply {
    ErrorReply::from(text.replace(['\r', '\n'], " "))
}

/// The SHA-1 of a text, in hexadecimal.
pub fn sha1_hex(text: &[u8]) -> [u8; 40] {
    hex(Sha1::digest(text).into())
}

/// A SHA-1 in hexadecimal.
pub(crate) fn hex(sha1: [u8; 20]) -> [u8; 40] {
    let mut hex = [0; 40];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(sha1) {
        let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    hex
}
