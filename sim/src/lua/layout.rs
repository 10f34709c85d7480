//! `struct`: Roberto Ierusalimschy's library for C's memory layouts, as Valkey ships it.

use std::os::raw::c_int;

use super::{
    raw::{Lua, Native, Outcome, Raised, native},
    state::BYTES_A_STEP,
};

/// The library.
pub const FUNCTIONS: &[(&str, Native)] =
    &[("pack", native!(pack)), ("unpack", native!(unpack)), ("size", native!(size))];

/// The largest integer, in bytes.
const MAX_INTEGER: usize = 32;
/// What `!` alone aligns to.
const MAX_ALIGN: usize = 8;

/// A format string that is being read, and what it has set so far.
struct Format<'l> {
    rest: &'l [u8],
    big_endian: bool,
    align: usize,
}

/// One element of a format: its letter, its size, and the padding before it.
struct Item {
    option: u8,
    size: usize,
    padding: usize,
}

impl<'l> Format<'l> {
    /// Reads argument 1, up to its first zero, as C does.
    fn read(lua: &mut Lua<'l>) -> Result<Self, Raised> {
        // SAFETY: nothing below takes argument 1 off the stack while the format is read.
        let text = unsafe { lua.check_held(1) };
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        lua.charge(end as u64)?;
        Ok(Self { rest: &text[..end], big_endian: false, align: 1 })
    }

    /// The next element at a position, or nothing at the end.
    fn next(&mut self, lua: &Lua<'_>, position: usize) -> Result<Option<Item>, Raised> {
        let Some((&option, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(lua, 1)?,
            b'i' | b'I' => self.integer_size(lua)?,
            _ => 0,
        };
        let padding = self.padding(position, option, size);
        Ok(Some(Item { option, size, padding }))
    }

    fn integer_size(&mut self, lua: &Lua<'_>) -> Result<usize, Raised> {
        let size = self.number(lua, 4)?;
        if size > MAX_INTEGER {
            return Err(
                lua.error_here(format_args!("integral size {size} is larger than limit of {MAX_INTEGER}"))
            );
        }
        Ok(size)
    }

    /// The number that follows, or a default.
    fn number(&mut self, lua: &Lua<'_>, default: usize) -> Result<usize, Raised> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        if number.is_empty() {
            return Ok(default);
        }
        let add = |sum: i32, digit: &u8| sum.checked_mul(10)?.checked_add(i32::from(digit - b'0'));
        let sum = number.iter().try_fold(0, add);
        let sum = sum.ok_or_else(|| lua.error_here(format_args!("integral size overflow")))?;
        Ok(sum as usize)
    }

    fn padding(&self, position: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.align);
        (size - (position & (size - 1))) & (size - 1)
    }

    /// Acts on a letter that stands for no element.
    fn control(&mut self, lua: &mut Lua<'_>, option: u8) -> Result<(), Raised> {
        match option {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let align = self.number(lua, MAX_ALIGN)?;
                if !align.is_power_of_two() {
                    let text = format_args!("alignment {align} is not a power of 2");
                    return Err(lua.error_here(text));
                }
                self.align = align;
            }
            _ => {
                lua.push_bytes(b"invalid format option '");
                lua.push_bytes(&[option]);
                lua.push_bytes(b"'");
                lua.concat(3);
                return Err(lua.bad_argument_on_top(1));
            }
        }
        Ok(())
    }
}

/// `pack(format, …)`.
fn pack(lua: &mut Lua<'_>) -> Outcome {
    let mut format = Format::read(lua)?;
    // What is missing is nil.
    lua.push_nil();
    lua.with(|state| state.output.clear());
    let mut argument = 1;
    let mut position = 0;
    while let Some(Item { option, size, padding }) = format.next(lua, position)? {
        let big = format.big_endian;
        let mut length = size;
        lua.with(|state| state.output.resize(state.output.len() + padding, 0));
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                argument += 1;
                let value = integer(lua.check_number(argument));
                let mut bytes = [0; MAX_INTEGER];
                bytes[..8].copy_from_slice(&value.to_le_bytes());
                put(lua, &mut bytes[..size], big);
            }
            b'x' => put(lua, &mut [0], big),
            b'f' => {
                argument += 1;
                put(lua, &mut (lua.check_number(argument) as f32).to_le_bytes(), big);
            }
            b'd' => {
                argument += 1;
                put(lua, &mut lua.check_number(argument).to_le_bytes(), big);
            }
            b'c' | b's' => {
                argument += 1;
                let text = lua.check_bytes(argument);
                length = if size == 0 { text.len() } else { size };
                let Some(text) = text.get(..length) else {
                    return Err(lua.bad_argument(argument + 1, c"string too short"));
                };
                lua.charge_output(text.len())?;
                lua.with(|state| state.output.extend_from_slice(text));
                if option == b's' {
                    put(lua, &mut [0], big);
                    length += 1;
                }
            }
            control => format.control(lua, control)?,
        }
        position += padding + length;
    }
    lua.push_output();
    Ok(1)
}

/// Appends the bytes of a number, given in little-endian order.
fn put(lua: &mut Lua<'_>, bytes: &mut [u8], big_endian: bool) {
    if big_endian {
        bytes.reverse();
    }
    lua.with(|state| state.output.extend_from_slice(bytes));
}

/// The cast of C on x86-64: signed below zero, unsigned above, and its marks for what does not fit.
fn integer(value: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    let signed = |value: f64| if (-HALF..HALF).contains(&value) { value as i64 } else { i64::MIN } as u64;
    if value >= HALF { signed(value - HALF) ^ (1 << 63) } else { signed(value) }
}

/// `unpack(format, text [, position])`: the values, and where to go on.
fn unpack(lua: &mut Lua<'_>) -> Outcome {
    let mut format = Format::read(lua)?;
    // SAFETY: argument 2 stays where it is: only what is above it is taken off.
    let text = unsafe { lua.check_held(2) };
    let start = lua.optional_integer(3, 1);
    if start == 0 {
        return Err(lua.bad_argument(3, c"offset must be 1 or greater"));
    }
    // A negative one is a large one.
    let mut position = (start as usize).wrapping_sub(1);
    let mut count: c_int = 0;
    let too_short = |lua: &Lua<'_>| lua.bad_argument(2, c"data string too short");
    while let Some(Item { option, mut size, padding }) = format.next(lua, position)? {
        position = position.wrapping_add(padding);
        if !lua.reserve(8) {
            lua.set_top(2);
            return Err(lua.error_here(format_args!("stack overflow (too many results)")));
        }
        let mut data =
            text.get(position..).filter(|data| size <= data.len()).ok_or_else(|| too_short(lua))?;
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let value = bits(&data[..size], format.big_endian);
                lua.push_number(if option.is_ascii_lowercase() { signed(value, size) } else { value as f64 });
                count += 1;
            }
            b'f' => {
                lua.push_number(f64::from(f32::from_bits(bits(&data[..size], format.big_endian) as u32)));
                count += 1;
            }
            b'd' => {
                lua.push_number(f64::from_bits(bits(&data[..size], format.big_endian)));
                count += 1;
            }
            b'c' => {
                if size == 0 {
                    if count == 0 || !lua.is_number(-1) {
                        return Err(lua.error_here(format_args!("format 'c0' needs a previous size")));
                    }
                    size = integer(lua.number(-1)) as usize;
                    lua.pop(1);
                    count -= 1;
                }
                let data = data.get(..size).ok_or_else(|| too_short(lua))?;
                lua.charge(size as u64 / BYTES_A_STEP)?;
                lua.push_bytes(data);
                count += 1;
            }
            b's' => {
                let end = data.iter().position(|byte| *byte == 0);
                let end = end.ok_or_else(|| lua.error_here(format_args!("unfinished string in data")))?;
                data = &data[..end];
                size = end + 1;
                lua.charge(size as u64 / BYTES_A_STEP)?;
                lua.push_bytes(data);
                count += 1;
            }
            b'x' => {}
            control => format.control(lua, control)?,
        }
        position = position.wrapping_add(size);
    }
    lua.push_number(position as f64 + 1.0);
    Ok(count + 1)
}

/// The bits of an integer of any size: those of the last eight bytes.
fn bits(bytes: &[u8], big_endian: bool) -> u64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    if big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
}

/// Bits with the sign that an integer of this size has, shifted as x86-64 shifts.
fn signed(value: u64, size: usize) -> f64 {
    let mask = u64::MAX.wrapping_shl((size as u32).wrapping_mul(8).wrapping_sub(1));
    (if value & mask == 0 { value } else { value | mask }) as i64 as f64
}

/// `size(format)`: how long what `pack` makes is.
fn size(lua: &mut Lua<'_>) -> Outcome {
    let mut format = Format::read(lua)?;
    let mut position = 0_usize;
    while let Some(Item { option, size, padding }) = format.next(lua, position)? {
        if option == b's' {
            return Err(lua.bad_argument(1, c"option 's' has no fixed size"));
        }
        if option == b'c' && size == 0 {
            return Err(lua.bad_argument(1, c"option 'c0' has no fixed size"));
        }
        if !option.is_ascii_alphanumeric() {
            format.control(lua, option)?;
        }
        position = position.saturating_add(padding).saturating_add(size);
    }
    lua.push_number(position as f64);
    Ok(1)
}
