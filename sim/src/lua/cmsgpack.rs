//! `cmsgpack`: lua-cmsgpack 0.4.0, its answers and its errors, over the MessagePack of [`rmp`].

use std::os::raw::c_int;

use rmp::{Marker, encode};

use super::raw::{Kind, Lua, Native, Outcome, Raised, native};

/// The library.
pub const FUNCTIONS: &[(&str, Native)] = &[
    ("pack", native!(pack)),
    ("unpack", native!(unpack)),
    ("unpack_one", native!(unpack_one)),
    ("unpack_limit", native!(unpack_limit)),
];

/// What else is in the table.
pub const CONSTANTS: &[(&str, &str)] = &[
    ("_NAME", "cmsgpack"),
    ("_VERSION", "lua-cmsgpack 0.4.0"),
    ("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"),
    ("_DESCRIPTION", "MessagePack C implementation for Lua"),
];

/// Tables nested deeper are packed as nil.
const MAX_NESTING: usize = 16;

/// `pack(…)`: all values, one after the other.
fn pack(lua: &mut Lua<'_>) -> Outcome {
    let count = lua.top();
    if count == 0 {
        return Err(lua.bad_argument(0, c"MessagePack pack needs input."));
    }
    lua.with(|state| state.output.clear());
    for index in 1..=count {
        lua.push_copy(index);
        pack_value(lua, 0)?;
        lua.pop(1);
    }
    lua.push_output();
    Ok(1)
}

/// Writes the value on top of the stack, and leaves it there.
fn pack_value(lua: &mut Lua<'_>, depth: usize) -> Result<(), Raised> {
    if !lua.reserve(5) {
        lua.set_top(1);
        return Err(lua.error_here(format_args!("not enough memory")));
    }
    let bytes = lua.bytes(-1).unwrap_or_default();
    lua.charge_output(bytes.len())?;
    match lua.kind(-1) {
        Kind::Boolean => {
            let value = lua.truth(-1);
            write(lua, |out| encode::write_bool(out, value).is_ok());
        }
        Kind::Number => pack_number(lua, lua.number(-1)),
        Kind::String => {
            write(lua, |out| encode::write_str_len(out, bytes.len() as u32).is_ok());
            lua.with(|state| state.output.extend_from_slice(bytes));
        }
        Kind::Table if depth < MAX_NESTING => match array_length(lua)? {
            Some(length) => pack_array(lua, length, depth + 1)?,
            None => pack_map(lua, depth + 1)?,
        },
        _ => write(lua, |out| encode::write_nil(out).is_ok()),
    }
    Ok(())
}

/// Writes to the output buffer, which is memory and takes everything.
fn write(lua: &Lua<'_>, encode: impl FnOnce(&mut Vec<u8>) -> bool + Send) {
    let done = lua.with(|state| encode(&mut state.output));
    debug_assert!(done, "a vector takes everything");
}

/// Whole numbers are integers, the others floats if that loses nothing.
fn pack_number(lua: &Lua<'_>, value: f64) {
    // Where the cast saturates, C's gives the smallest integer, which is not equal either.
    let whole = value as i64;
    if whole as f64 == value && value < i64::MAX as f64 {
        write(lua, |out| encode::write_sint(out, whole).is_ok());
    } else if f64::from(value as f32) == value {
        write(lua, |out| encode::write_f32(out, value as f32).is_ok());
    } else {
        write(lua, |out| encode::write_f64(out, value).is_ok());
    }
}

/// The length of the table on top, if its keys are the integers from 1 on.
fn array_length(lua: &mut Lua<'_>) -> Result<Option<u32>, Raised> {
    let table = lua.top();
    let (mut count, mut largest) = (0.0, 0.0_f64);
    lua.push_nil();
    while lua.next(table) {
        lua.charge(1)?;
        lua.pop(1);
        let key = if lua.kind(-1) == Kind::Number { lua.number(-1) } else { 0.0 };
        if key <= 0.0 || f64::from(key as i32) != key {
            lua.set_top(table);
            return Ok(None);
        }
        largest = largest.max(key);
        count += 1.0;
    }
    Ok((largest == count).then_some(count as u32))
}

fn pack_array(lua: &mut Lua<'_>, length: u32, depth: usize) -> Result<(), Raised> {
    write(lua, |out| encode::write_array_len(out, length).is_ok());
    let table = lua.top();
    for position in 1..=length {
        lua.raw_geti(table, position as c_int);
        pack_value(lua, depth)?;
        lua.pop(1);
    }
    Ok(())
}

fn pack_map(lua: &mut Lua<'_>, depth: usize) -> Result<(), Raised> {
    let table = lua.top();
    let mut count = 0;
    lua.push_nil();
    while lua.next(table) {
        lua.charge(1)?;
        lua.pop(1);
        count += 1;
    }
    write(lua, |out| encode::write_map_len(out, count).is_ok());
    lua.push_nil();
    while lua.next(table) {
        lua.push_copy(-2);
        pack_value(lua, depth)?;
        lua.pop(1);
        pack_value(lua, depth)?;
        lua.pop(1);
    }
    Ok(())
}

/// `unpack(text)`: all values in it.
fn unpack(lua: &mut Lua<'_>) -> Outcome {
    unpack_from(lua, 0, 0)
}

/// `unpack_one(text [, offset])`: where to go on, and a value.
fn unpack_one(lua: &mut Lua<'_>) -> Outcome {
    let offset = lua.optional_integer(2, 0);
    unpack_from(lua, 1, offset)
}

/// `unpack_limit(text, limit [, offset])`: where to go on, and some values.
fn unpack_limit(lua: &mut Lua<'_>) -> Outcome {
    let limit = lua.check_integer(2);
    let offset = lua.optional_integer(3, 0);
    unpack_from(lua, limit, offset)
}

fn unpack_from(lua: &mut Lua<'_>, limit: i64, offset: i64) -> Outcome {
    let all = limit == 0 && offset == 0;
    // SAFETY: argument 1 stays where it is: only what is above it is taken off.
    let text = unsafe { lua.check_held(1) };
    if offset < 0 || limit < 0 {
        return Err(lua.error_here(format_args!(
            "Invalid request to unpack with offset of {offset} and limit of {}.",
            text.len()
        )));
    }
    lua.charge(text.len() as u64 / 4)?;
    let Some(mut rest) = text.get(offset as usize..) else {
        return Err(
            lua.error_here(format_args!("Start offset {offset} greater than input length {}.", text.len()))
        );
    };
    lua.set_top(1);
    let mut count = 0;
    while !rest.is_empty() && (all || i64::from(count) < limit) {
        unpack_value(lua, &mut rest).map_err(|broken| fail(lua, broken))?;
        count += 1;
    }
    if all {
        return Ok(count);
    }
    if !lua.reserve(1) {
        return Err(fail(lua, Broken::Overflow("in function mp_unpack_full")));
    }
    let next = if rest.is_empty() { -1.0 } else { (text.len() - rest.len()) as f64 };
    lua.push_number(next);
    lua.insert(2);
    Ok(count + 1)
}

/// Raises what is wrong with a text. The values read so far make room for it.
fn fail(lua: &mut Lua<'_>, broken: Broken) -> Raised {
    lua.set_top(1);
    match broken {
        Broken::Missing => lua.error_here(format_args!("Missing bytes in input.")),
        Broken::Malformed => lua.error_here(format_args!("Bad data format in input.")),
        Broken::Overflow(what) => lua.error_here(format_args!("stack overflow ({what})")),
    }
}

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug)]
enum Broken {
    /// The text ends too early.
    Missing,
    /// The text is no MessagePack, or of a kind that the library does not know.
    Malformed,
    /// There are too many values for Lua's stack.
    Overflow(&'static str),
}

const TOO_MANY: Broken =
    Broken::Overflow("too many return values at once; use unpack_one or unpack_limit instead.");

/// A table that is being read: it is on the stack, and above it the key of the next value, if that is known.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// Values to come.
    left: u32,
    /// The last position in an array; none in a map.
    position: Option<u32>,
    /// Whether the key is there, so that a value comes next.
    keyed: bool,
}

/// What was read: a value, or the beginning of a table.
enum Item {
    Value,
    Array(u32),
    Map(u32),
}

/// Reads one value and pushes it. Open tables are kept in a list of their own: a text may nest as deep as Lua's stack.
fn unpack_value(lua: &mut Lua<'_>, rest: &mut &[u8]) -> Result<(), Broken> {
    lua.with(|state| state.unpacking.clear());
    loop {
        if !lua.reserve(1) {
            return Err(TOO_MANY);
        }
        let open = match unpack_item(lua, rest)? {
            Item::Value => None,
            Item::Array(left) => Some(Open { left, position: Some(0), keyed: false }),
            Item::Map(left) => Some(Open { left, position: None, keyed: false }),
        };
        let mut complete = open.is_none();
        if let Some(open) = open {
            lua.push_table(0, 0);
            lua.with(|state| state.unpacking.push(open));
            complete = open.left == 0 && lua.with(|state| state.unpacking.pop().is_some());
        }
        if complete && fold(lua) {
            return Ok(());
        }
        begin_element(lua)?;
    }
}

/// Puts the value on top into the table it belongs to, and that into its own if it is full; true when nothing is open.
fn fold(lua: &mut Lua<'_>) -> bool {
    loop {
        let Some(mut open) = lua.with(|state| state.unpacking.pop()) else { return true };
        if !open.keyed {
            // A map's key: its value comes next.
            open.keyed = true;
            lua.with(|state| state.unpacking.push(open));
            return false;
        }
        lua.raw_set(-3);
        open.keyed = false;
        open.left -= 1;
        if open.left > 0 {
            lua.with(|state| state.unpacking.push(open));
            return false;
        }
    }
}

/// Pushes the key of an array's next element.
fn begin_element(lua: &mut Lua<'_>) -> Result<(), Broken> {
    let Some(mut open) = lua.with(|state| state.unpacking.pop()) else { return Ok(()) };
    if let (Some(position), false) = (open.position, open.keyed) {
        if !lua.reserve(1) {
            return Err(Broken::Overflow("in function mp_decode_to_lua_array"));
        }
        lua.push_number(f64::from(position) + 1.0);
        open.position = Some(position.saturating_add(1));
        open.keyed = true;
    }
    lua.with(|state| state.unpacking.push(open));
    Ok(())
}

/// Reads up to where the next value begins, and pushes what is no table.
fn unpack_item(lua: &Lua<'_>, rest: &mut &[u8]) -> Result<Item, Broken> {
    let [marker] = take(rest)?;
    match Marker::from_u8(marker) {
        Marker::Null => lua.push_nil(),
        Marker::True => lua.push_bool(true),
        Marker::False => lua.push_bool(false),
        Marker::FixPos(value) => lua.push_number(f64::from(value)),
        Marker::FixNeg(value) => lua.push_number(f64::from(value)),
        Marker::U8 => lua.push_number(f64::from(u8::from_be_bytes(take(rest)?))),
        Marker::U16 => lua.push_number(f64::from(u16::from_be_bytes(take(rest)?))),
        Marker::U32 => lua.push_number(f64::from(u32::from_be_bytes(take(rest)?))),
        // The library reads 64 bits as signed, whatever they are.
        Marker::U64 | Marker::I64 => lua.push_number(i64::from_be_bytes(take(rest)?) as f64),
        Marker::I8 => lua.push_number(f64::from(i8::from_be_bytes(take(rest)?))),
        Marker::I16 => lua.push_number(f64::from(i16::from_be_bytes(take(rest)?))),
        Marker::I32 => lua.push_number(f64::from(i32::from_be_bytes(take(rest)?))),
        Marker::F32 => lua.push_number(f64::from(f32::from_be_bytes(take(rest)?))),
        Marker::F64 => lua.push_number(f64::from_be_bytes(take(rest)?)),
        Marker::FixStr(length) => unpack_bytes(lua, rest, u32::from(length))?,
        Marker::Str8 => {
            let length = u8::from_be_bytes(take(rest)?);
            unpack_bytes(lua, rest, u32::from(length))?;
        }
        Marker::Str16 => {
            let length = u16::from_be_bytes(take(rest)?);
            unpack_bytes(lua, rest, u32::from(length))?;
        }
        Marker::Str32 => {
            let length = u32::from_be_bytes(take(rest)?);
            unpack_bytes(lua, rest, length)?;
        }
        Marker::FixArray(length) => return Ok(Item::Array(u32::from(length))),
        Marker::Array16 => return Ok(Item::Array(u32::from(u16::from_be_bytes(take(rest)?)))),
        Marker::Array32 => return Ok(Item::Array(u32::from_be_bytes(take(rest)?))),
        Marker::FixMap(length) => return Ok(Item::Map(u32::from(length))),
        Marker::Map16 => return Ok(Item::Map(u32::from(u16::from_be_bytes(take(rest)?)))),
        Marker::Map32 => return Ok(Item::Map(u32::from_be_bytes(take(rest)?))),
        _ => return Err(Broken::Malformed),
    }
    Ok(Item::Value)
}

fn unpack_bytes(lua: &Lua<'_>, rest: &mut &[u8], length: u32) -> Result<(), Broken> {
    let (bytes, behind) = rest.split_at_checked(length as usize).ok_or(Broken::Missing)?;
    *rest = behind;
    lua.push_bytes(bytes);
    Ok(())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Broken> {
    let (bytes, behind) = rest.split_first_chunk().ok_or(Broken::Missing)?;
    *rest = behind;
    Ok(*bytes)
}
