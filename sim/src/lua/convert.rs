//! Replies to Lua values and back, by Valkey's rules.

use std::{io::Write, os::raw::c_int};

use bytes::Bytes;

use super::{
    raw::{Kind, Lua, Outcome, Ref, to_integer},
    redis,
    state::BYTES_A_STEP,
};
use crate::base::{Dialect, ErrorReply, Protocol, Reply, number::format_double};

/// Writes a Lua number as an argument of a command: exact if it is integral, else as the dialect prints scores.
pub fn write_number(out: &mut Vec<u8>, value: f64, dialect: Dialect) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = value == value.trunc();
    let small = value.abs() < EXACT && (value != 0.0 || value.is_sign_positive());
    let fits_i64 = value.abs() < 9.2e18 && dialect == Dialect::Valkey8;
    let _ = if whole && (small || fits_i64) {
        write!(out, "{}", value as i64)
    } else if dialect == Dialect::Redis7 {
        super::number::write_general(out, value, 17);
        Ok(())
    } else {
        out.write_all(format_double(value, dialect).as_bytes())
    };
}

/// Pushes a reply. The frames of this function own nothing; the reply lives in the [`State`](super::state::State).
pub fn push_reply(lua: &mut Lua<'_>, reply: &Reply) -> Result<(), super::raw::Raised> {
    if !lua.reserve(8) {
        return Err(redis::error_table(lua, b"ERR reached lua stack limit"));
    }
    let resp3 = lua.with(|state| state.protocol) == Protocol::Resp3;
    match reply {
        Reply::Int(value) => lua.push_number(*value as f64),
        Reply::Bulk(bytes) => {
            lua.charge(bytes.len() as u64 / BYTES_A_STEP)?;
            lua.push_bytes(bytes);
        }
        Reply::Status(text) => push_single(lua, lua.with(|state| state.refs.ok), text.as_bytes()),
        Reply::Error(error) => push_single(lua, lua.with(|state| state.refs.err), error.0.as_bytes()),
        Reply::Null | Reply::NullArray if resp3 => lua.push_nil(),
        // Nothing blocks within a script, and SUBSCRIBE is not for scripts: no reply is no value.
        Reply::Null | Reply::NullArray | Reply::Nothing => lua.push_bool(false),
        Reply::Array(items) | Reply::Push(items) => push_items(lua, items)?,
        Reply::Set(items) if resp3 => push_members(lua, items)?,
        Reply::Set(items) => push_items(lua, items)?,
        Reply::Map(pairs) if resp3 => push_map(lua, pairs)?,
        Reply::Map(pairs) => push_pairs(lua, pairs)?,
        Reply::Bool(value) if resp3 => lua.push_bool(*value),
        Reply::Bool(value) => lua.push_number(f64::from(u8::from(*value))),
        Reply::Double(value) if resp3 => {
            lua.push_table(0, 1);
            lua.push_number(*value);
            lua.set_raw_field(-2, "double");
        }
        Reply::Double(value) => {
            lua.with(|state| {
                let text = format_double(*value, state.dialect);
                state.scratch.clear();
                state.scratch.extend_from_slice(text.as_bytes());
            });
            lua.push_scratch();
        }
        Reply::BigNumber(digits) if resp3 => {
            lua.push_table(0, 1);
            lua.push_bytes(digits.as_bytes());
            lua.set_raw_field(-2, "big_number");
        }
        Reply::BigNumber(digits) => lua.push_bytes(digits.as_bytes()),
        Reply::Verbatim(format, text) if resp3 => {
            lua.push_table(0, 1);
            lua.push_table(0, 2);
            lua.push_bytes(text);
            lua.set_raw_field(-2, "string");
            lua.push_bytes(format);
            lua.set_raw_field(-2, "format");
            lua.set_raw_field(-2, "verbatim_string");
        }
        Reply::Verbatim(_, text) => lua.push_bytes(text),
    }
    Ok(())
}

/// `{ok = …}` or `{err = …}`.
fn push_single(lua: &mut Lua<'_>, key: Ref, text: &[u8]) {
    lua.push_table(0, 1);
    lua.push_ref(key);
    lua.push_bytes(text);
    lua.raw_set(-3);
}

fn push_items(lua: &mut Lua<'_>, items: &[Reply]) -> Result<(), super::raw::Raised> {
    lua.charge(items.len() as u64)?;
    lua.push_table(items.len(), 0);
    for (position, item) in items.iter().enumerate() {
        push_reply(lua, item)?;
        lua.raw_seti(-2, position as c_int + 1);
    }
    Ok(())
}

/// A map as RESP2 has it: keys and values in turn.
fn push_pairs(lua: &mut Lua<'_>, pairs: &[(Reply, Reply)]) -> Result<(), super::raw::Raised> {
    lua.charge(pairs.len() as u64)?;
    lua.push_table(pairs.len() * 2, 0);
    for (position, (key, value)) in pairs.iter().enumerate() {
        push_reply(lua, key)?;
        lua.raw_seti(-2, position as c_int * 2 + 1);
        push_reply(lua, value)?;
        lua.raw_seti(-2, position as c_int * 2 + 2);
    }
    Ok(())
}

/// `{map = {key = value}}`.
fn push_map(lua: &mut Lua<'_>, pairs: &[(Reply, Reply)]) -> Result<(), super::raw::Raised> {
    lua.charge(pairs.len() as u64)?;
    lua.push_table(0, 1);
    // It grows as a server's grows: on that depends the order in which a script walks it.
    lua.push_table(0, 0);
    for (key, value) in pairs {
        push_reply(lua, key)?;
        push_reply(lua, value)?;
        lua.raw_set(-3);
    }
    lua.set_raw_field(-2, "map");
    Ok(())
}

/// `{set = {member = true}}`.
fn push_members(lua: &mut Lua<'_>, members: &[Reply]) -> Result<(), super::raw::Raised> {
    lua.charge(members.len() as u64)?;
    lua.push_table(0, 1);
    lua.push_table(0, members.len());
    for member in members {
        push_reply(lua, member)?;
        lua.push_bool(true);
        lua.raw_set(-3);
    }
    lua.set_raw_field(-2, "set");
    Ok(())
}

/// How deep a script's reply may nest, so that no recursion exhausts the thread's own stack. A real server goes on
/// until Lua's stack ends.
const MAX_DEPTH: usize = 256;

/// A reply under construction: it owns what the frames that read Lua's values must not.
#[derive(Debug, Default)]
pub struct Builder {
    open: Vec<(Shape, Vec<Reply>)>,
    done: Option<Reply>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Array,
    Map,
    Set,
}

impl Builder {
    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// About how much memory it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the finished reply; null when there is none.
    pub fn finish(&mut self) -> Reply {
        std::mem::take(self).done.unwrap_or(Reply::Null)
    }

    /// How many tables are open.
    fn depth(&self) -> usize {
        self.open.len()
    }

    fn add(&mut self, reply: Reply) {
        self.bytes += size_of::<Reply>() + if let Reply::Bulk(text) = &reply { text.len() } else { 0 };
        match self.open.last_mut() {
            Some((_, items)) => items.push(reply),
            None => self.done = Some(reply),
        }
    }

    fn open(&mut self, shape: Shape) {
        self.open.push((shape, Vec::new()));
    }

    fn close(&mut self) {
        let Some((shape, items)) = self.open.pop() else { return };
        self.add(match shape {
            Shape::Array => Reply::Array(items),
            Shape::Set => Reply::Set(items),
            Shape::Map => {
                let mut items = items.into_iter();
                let mut pairs = Vec::with_capacity(items.len() / 2);
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                Reply::Map(pairs)
            }
        });
    }
}

/// One line of text: what may be in a status or error.
fn line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).replace(['\r', '\n'], " ")
}

/// Adds to the script's reply. Whoever makes `reply` calls nothing of Lua's while holding it.
fn add(lua: &Lua<'_>, reply: Reply) {
    lua.with(move |state| state.builder.add(reply));
}

/// Takes the value on top of the stack as (part of) the script's reply, and pops it.
pub fn read_reply(lua: &mut Lua<'_>) -> Outcome {
    lua.charge_output(lua.bytes(-1).map_or(0, <[u8]>::len))?;
    match lua.kind(-1) {
        Kind::String => {
            let bytes = lua.bytes(-1).unwrap_or_default();
            lua.with(|state| state.builder.add(Reply::Bulk(Bytes::copy_from_slice(bytes))));
        }
        Kind::Number => add(lua, Reply::Int(to_integer(lua.number(-1)))),
        Kind::Boolean => {
            let resp3 = lua.with(|state| state.protocol) == Protocol::Resp3;
            let reply = match (resp3, lua.truth(-1)) {
                (true, value) => Reply::Bool(value),
                (false, true) => Reply::Int(1),
                (false, false) => Reply::Null,
            };
            add(lua, reply);
        }
        Kind::Table if !lua.reserve(12) || lua.with(|state| state.builder.depth()) >= MAX_DEPTH => {
            add(lua, Reply::Error(ErrorReply::new("ERR reached lua stack limit")));
        }
        Kind::Table => {
            read_table(lua)?;
        }
        _ => add(lua, Reply::Null),
    }
    lua.pop(1);
    Ok(0)
}

/// Reads the table on top of the stack, and leaves it there.
fn read_table(lua: &mut Lua<'_>) -> Outcome {
    // Each kind of reply is asked for by name.
    lua.charge(8)?;
    let table = lua.top();
    let refs = lua.with(|state| state.refs);
    let field = |lua: &mut Lua<'_>, name: Ref| {
        lua.push_ref(name);
        lua.raw_get(table);
        lua.kind(-1)
    };
    let text = |lua: &Lua<'_>| line(lua.bytes(-1).unwrap_or_default());
    if field(lua, refs.err) == Kind::String {
        add(lua, Reply::Error(ErrorReply::from(text(lua))));
    } else if field(lua, refs.ok) == Kind::String {
        add(lua, Reply::Status(text(lua).into()));
    } else if field(lua, refs.double) == Kind::Number {
        add(lua, Reply::Double(lua.number(-1)));
    } else if field(lua, refs.map) == Kind::Table {
        lua.with(|state| state.builder.open(Shape::Map));
        read_entries(lua, true)?;
    } else if field(lua, refs.set) == Kind::Table {
        lua.with(|state| state.builder.open(Shape::Set));
        read_entries(lua, false)?;
    } else if field(lua, refs.big_number) == Kind::String {
        add(lua, Reply::BigNumber(text(lua)));
    } else if field(lua, refs.verbatim_string) == Kind::Table {
        read_verbatim(lua);
    } else {
        lua.set_top(table);
        lua.with(|state| state.builder.open(Shape::Array));
        for position in 1.. {
            lua.raw_geti(table, position);
            if lua.kind(-1) == Kind::Nil {
                break;
            }
            read_reply(lua)?;
        }
        lua.with(|state| state.builder.close());
    }
    lua.set_top(table);
    Ok(0)
}

/// Reads the keys, and with them the values, of the table on top.
fn read_entries(lua: &mut Lua<'_>, values: bool) -> Outcome {
    let table = lua.top();
    lua.push_nil();
    while lua.next(table) {
        lua.push_copy(-2);
        read_reply(lua)?;
        if values {
            read_reply(lua)?;
        } else {
            lua.pop(1);
        }
    }
    lua.with(|state| state.builder.close());
    Ok(0)
}

/// Reads the `{format = …, string = …}` on top.
fn read_verbatim(lua: &Lua<'_>) {
    let table = lua.top();
    lua.raw_field(table, "format");
    lua.raw_field(table, "string");
    let (format, text) = (lua.bytes(-2).unwrap_or_default(), lua.bytes(-1).unwrap_or_default());
    lua.with(|state| {
        let mut three = *b"txt";
        for (slot, byte) in three.iter_mut().zip(format) {
            *slot = *byte;
        }
        state.builder.add(Reply::Verbatim(three, Bytes::copy_from_slice(text)));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: f64, dialect: Dialect) -> String {
        let mut out = Vec::new();
        write_number(&mut out, value, dialect);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_passed_to_commands_exactly_when_they_are_integral() {
        for (value, redis, valkey) in [
            (1.0, "1", "1"),
            (-1_700_000_000_000.0, "-1700000000000", "-1700000000000"),
            (1e17, "1e+17", "100000000000000000"),
            (-0.0, "-0", "0"),
            (0.1, "0.10000000000000001", "0.1"),
            (1.5, "1.5", "1.5"),
        ] {
            assert_eq!(written(value, Dialect::Redis7), redis);
            assert_eq!(written(value, Dialect::Valkey8), valkey);
        }
    }
}
