//! Memory: what a server would use for its keys, roughly, and what it refuses when that is too much.
//!
//! The estimate walks over all keys, so it is made only where `maxmemory` is set. Not here: what is evicted before anything is
//! refused.

use super::{
    Dialect, Engine, Entry, ErrorReply, Session,
    table::{Command, Flags},
    value::Value,
};
use crate::lua::FunctionFlags;

/// What a server without keys uses.
pub const EMPTY_SERVER: usize = 1_000_000;
/// What a key costs beside its name and value: its place in the table, the header of its value.
const PER_KEY: usize = 72;
/// What an element of a collection costs beside its bytes.
const PER_ELEMENT: usize = 16;

/// About what an element costs that is not a copy of its own.
pub const PER_STORED: usize = 64;

/// A command that would use more memory, when there is none.
pub const OUT_OF_MEMORY: ErrorReply =
    ErrorReply::new("OOM command not allowed when used memory > 'maxmemory'.");

impl Engine {
    /// About how many bytes a server would use.
    pub fn used_memory(&self) -> usize {
        let entries = self.databases().flat_map(|(_, db)| db.iter());
        EMPTY_SERVER + entries.map(|(key, entry)| of_entry(key, entry)).sum::<usize>()
    }

    /// `maxmemory` in bytes, if it is set. A replica leaves it to its primary, unless told otherwise.
    pub(super) fn memory_limit(&self) -> Option<u64> {
        let limit = Some(self.config.max_memory).filter(|limit| *limit > 0)?;
        let is_left_to_primary = self.is_replica() && self.config.get("replica-ignore-maxmemory") == "yes";
        (!is_left_to_primary).then_some(limit)
    }

    /// Whether more memory is used than `maxmemory` allows.
    pub(super) fn is_short_of_memory(&self) -> bool {
        self.memory_limit().is_some_and(|limit| self.used_memory() as u64 > limit)
    }

    /// Whether a command is refused when memory is short.
    pub(super) fn needs_memory(&self, command: &Command, session: &Session, args: &[&[u8]]) -> bool {
        let needs = |command: &Command, args: &[&[u8]]| {
            command.flags.has(Flags::DENYOOM) || script_needs_memory(self, command, args)
        };
        match (&session.transaction, command.name) {
            (_, "DISCARD" | "QUIT" | "RESET") | (None, "EXEC") => false,
            (Some(transaction), "EXEC") => transaction.queued.iter().any(|args| {
                let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
                self.commands.resolve(self.dialect, &args).is_ok_and(|command| needs(command, &args))
            }),
            // What is queued takes memory, whatever it is: Valkey no longer minds.
            (Some(_), _) if self.dialect == Dialect::Redis7 => true,
            _ => needs(command, args),
        }
    }
}

/// Whether a call of a script or function is refused up front when memory is short: unless it declared that it writes
/// nothing or that it does not mind. A script that declares nothing is let in.
fn script_needs_memory(engine: &Engine, command: &Command, args: &[&[u8]]) -> bool {
    if command.name == "FUNCTION" {
        return args.get(1).is_some_and(|name| name.eq_ignore_ascii_case(b"LOAD"));
    }
    let flags = engine.declared_flags(command, args);
    flags.is_some_and(|flags| !flags.has(FunctionFlags::NO_WRITES) && !flags.has(FunctionFlags::ALLOW_OOM))
}

/// About how many bytes a server would use for a key and its value.
pub fn of_entry(key: &[u8], entry: &Entry) -> usize {
    PER_KEY + key.len() + size(&entry.value)
}

fn size(value: &Value) -> usize {
    let sum = |bytes: &mut dyn Iterator<Item = usize>| bytes.map(|len| PER_ELEMENT + len).sum();
    match value {
        Value::String(text) => text.len(),
        Value::Hash(hash) => sum(&mut hash.iter().map(|(field, value)| field.len() + value.len())),
        Value::List(list) => sum(&mut list.iter().map(|element| element.len())),
        Value::Set(set) => sum(&mut set.iter().map(|member| member.len())),
        Value::SortedSet(zset) => sum(&mut zset.iter().map(|(member, _)| member.len() + 8)),
        // Entries are not looked into.
        Value::Stream(stream) => PER_ELEMENT * 8 * stream.len() as usize,
    }
}
