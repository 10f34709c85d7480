//! `bit`: Lua BitOp 1.0, operations on 32-bit integers.

use super::raw::{Lua, Native, Outcome, native};

/// The library.
pub const FUNCTIONS: &[(&str, Native)] = &[
    ("tobit", native!(tobit)),
    ("bnot", native!(bnot)),
    ("band", native!(band)),
    ("bor", native!(bor)),
    ("bxor", native!(bxor)),
    ("lshift", native!(lshift)),
    ("rshift", native!(rshift)),
    ("arshift", native!(arshift)),
    ("rol", native!(rol)),
    ("ror", native!(ror)),
    ("bswap", native!(bswap)),
    ("tohex", native!(tohex)),
];

/// An argument, wrapped into 32 bits: adding 2^52 + 2^51 rounds a double and leaves its integer in the low bits.
fn bits(lua: &Lua<'_>, index: i32) -> u32 {
    (lua.check_number(index) + 6_755_399_441_055_744.0).to_bits() as u32
}

fn push(lua: &Lua<'_>, value: u32) -> Outcome {
    lua.push_number(f64::from(value as i32));
    Ok(1)
}

fn fold(lua: &mut Lua<'_>, combine: fn(u32, u32) -> u32) -> Outcome {
    let mut value = bits(lua, 1);
    for index in 2..=lua.top() {
        value = combine(value, bits(lua, index));
    }
    push(lua, value)
}

fn shift(lua: &mut Lua<'_>, by: fn(u32, u32) -> u32) -> Outcome {
    let (value, count) = (bits(lua, 1), bits(lua, 2) & 31);
    push(lua, by(value, count))
}

fn tobit(lua: &mut Lua<'_>) -> Outcome {
    push(lua, bits(lua, 1))
}

fn bnot(lua: &mut Lua<'_>) -> Outcome {
    push(lua, !bits(lua, 1))
}

fn band(lua: &mut Lua<'_>) -> Outcome {
    fold(lua, |a, b| a & b)
}

fn bor(lua: &mut Lua<'_>) -> Outcome {
    fold(lua, |a, b| a | b)
}

fn bxor(lua: &mut Lua<'_>) -> Outcome {
    fold(lua, |a, b| a ^ b)
}

fn lshift(lua: &mut Lua<'_>) -> Outcome {
    shift(lua, |value, count| value << count)
}

fn rshift(lua: &mut Lua<'_>) -> Outcome {
    shift(lua, |value, count| value >> count)
}

fn arshift(lua: &mut Lua<'_>) -> Outcome {
    shift(lua, |value, count| ((value as i32) >> count) as u32)
}

fn rol(lua: &mut Lua<'_>) -> Outcome {
    shift(lua, u32::rotate_left)
}

fn ror(lua: &mut Lua<'_>) -> Outcome {
    shift(lua, u32::rotate_right)
}

fn bswap(lua: &mut Lua<'_>) -> Outcome {
    push(lua, bits(lua, 1).swap_bytes())
}

/// `tohex(x [, n])`: `n` digits, in capitals when negative.
fn tohex(lua: &mut Lua<'_>) -> Outcome {
    let value = bits(lua, 1);
    let digits = if lua.top() < 2 { 8 } else { bits(lua, 2) as i32 };
    let capitals = digits < 0;
    let count = digits.unsigned_abs().min(8) as usize;
    let mut text = [0; 8];
    for (position, slot) in text.iter_mut().rev().enumerate() {
        let nibble = (value >> (4 * position)) & 15;
        let digit = char::from_digit(nibble, 16).unwrap_or('0');
        *slot = if capitals { digit.to_ascii_uppercase() } else { digit } as u8;
    }
    lua.push_bytes(&text[8 - count..]);
    Ok(1)
}
