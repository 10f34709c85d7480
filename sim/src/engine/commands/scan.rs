//! What the SCAN family shares: cursors and the options MATCH, COUNT, TYPE.
//!
//! A cursor into a collection is the position up to which there is still something to list, and a scan walks from
//! the end to the front. That makes it stateless and yet complete: a removal moves members only towards the front
//! (never past the cursor), what is added comes at the end, so that whatever is there throughout is listed.

use std::ops::Range;

use super::parse::{Words, is};
use crate::engine::{CommandResult, Context, Dialect, ErrorReply, Reply, SYNTAX, glob, number, value::Value};

/// What a SCAN asks for.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    pattern: Option<&'a [u8]>,
    /// How many to look at.
    pub count: usize,
    /// Only keys of this type: `SCAN` alone has it.
    pub type_name: Option<&'a [u8]>,
    /// `HSCAN … NOVALUES`.
    pub no_values: bool,
    /// `ZSCAN … NOSCORES`.
    pub no_scores: bool,
}

/// Which options beyond MATCH and COUNT a command has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// None.
    None,
    /// TYPE.
    Type,
    /// NOVALUES, which only Valkey has.
    NoValues,
    /// NOSCORES, which only Valkey has.
    NoScores,
}

/// Reads a cursor. Both servers leave most of it to `strtoul`, and each its own part not.
pub fn cursor(text: &[u8], dialect: Dialect) -> Result<u64, ErrorReply> {
    let refused = match dialect {
        Dialect::Valkey8 => text.is_empty() || number::read_i64(text).is_some_and(|cursor| cursor < 0),
        Dialect::Redis7 => text.first().is_some_and(is_space),
    };
    let cursor = if text.is_empty() { Some(0) } else { strtoul(text) };
    cursor.filter(|_| !refused).ok_or(ErrorReply::new("ERR invalid cursor"))
}

/// What C's `strtoul` makes of a whole text: it skips space, lets a negative number wrap and sees no further than a
/// zero byte.
fn strtoul(text: &[u8]) -> Option<u64> {
    let start = text.iter().position(|byte| !is_space(byte))?;
    let text = text[start..].split(|&byte| byte == 0).next()?;
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    if !digits.first()?.is_ascii_digit() {
        return None;
    }
    let value: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if negative { value.wrapping_neg() } else { value })
}

/// What C takes for space.
fn is_space(byte: &u8) -> bool {
    byte.is_ascii_whitespace() || *byte == 0x0b
}

impl<'a> Options<'a> {
    /// Reads the options from the argument at `index` on.
    pub fn parse(cx: &Context<'a>, index: usize, extra: Extra) -> Result<Self, ErrorReply> {
        let mut options =
            Self { pattern: None, count: 10, type_name: None, no_values: false, no_scores: false };
        let is_valkey = cx.engine.dialect() == Dialect::Valkey8;
        let mut words = Words::from(cx, index);
        while let Some(word) = words.next() {
            if is(word, "MATCH") {
                options.pattern = Some(words.value()?).filter(|&pattern| pattern != b"*");
            } else if is(word, "COUNT") {
                let count = words.integer()?;
                options.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(SYNTAX)?;
            } else if extra == Extra::Type && is(word, "TYPE") {
                let name = words.value()?;
                if cx.engine.dialect() == Dialect::Valkey8
                    && !Value::TYPE_NAMES.iter().any(|known| is(name, known))
                {
                    return Err(format!("ERR unknown type name '{}'", ErrorReply::quote(name)).into());
                }
                options.type_name = Some(name);
            } else if is_valkey && is(word, "NOVALUES") {
                if extra != Extra::NoValues {
                    return Err(ErrorReply::new("ERR NOVALUES option can only be used in HSCAN"));
                }
                options.no_values = true;
            } else if is_valkey && is(word, "NOSCORES") {
                if extra != Extra::NoScores {
                    return Err(ErrorReply::new("ERR NOSCORES option can only be used in ZSCAN"));
                }
                options.no_scores = true;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }

    /// Whether MATCH lets a name pass.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name))
    }

    /// The positions to list now, out of `len`, and the cursor to go on with. A `compact` collection is listed in
    /// one go.
    pub fn page(&self, cursor: u64, len: usize, compact: bool) -> (Range<usize>, u64) {
        if compact {
            return (0..len, 0);
        }
        let end = match usize::try_from(cursor) {
            Ok(cursor) if 0 < cursor && cursor < len => cursor,
            _ => len,
        };
        let start = end.saturating_sub(self.count);
        (start..end, start as u64)
    }
}

/// `[cursor, elements]`.
pub fn reply(cursor: u64, elements: Vec<Reply>) -> CommandResult {
    Ok(Reply::Array(vec![Reply::bulk(cursor.to_string()), Reply::Array(elements)]))
}
