//! What the SCAN family shares: cursors and the options MATCH, COUNT, TYPE.
//!
//! A cursor into a collection is the position up to which there is still something to list, and a scan walks from
//! the end to the front. That makes it stateless and yet complete: a removal moves members only towards the front
//! (never past the cursor), what is added comes at the end, so that whatever is there throughout is listed.

use std::ops::Range;

use super::parse::{Words, is};
use crate::engine::{CommandResult, Context, ErrorReply, Reply, SYNTAX, glob};

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
}

/// Which options beyond MATCH and COUNT a command has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// None.
    None,
    /// TYPE.
    Type,
    /// NOVALUES.
    NoValues,
}

/// Reads a cursor: an unsigned integer; a negative one wraps, as `strtoul` has it.
pub fn cursor(text: &[u8]) -> Result<u64, ErrorReply> {
    const INVALID: ErrorReply = ErrorReply::new("ERR invalid cursor");
    let text = std::str::from_utf8(text).map_err(|_| INVALID)?;
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    if digits.is_empty() && !negative {
        return Ok(0);
    }
    let cursor: u64 = digits.parse().map_err(|_| INVALID)?;
    Ok(if negative { cursor.wrapping_neg() } else { cursor })
}

impl<'a> Options<'a> {
    /// Reads the options from the argument at `index` on.
    pub fn parse(cx: &Context<'a>, index: usize, extra: Extra) -> Result<Self, ErrorReply> {
        let mut options = Self { pattern: None, count: 10, type_name: None, no_values: false };
        let mut words = Words::from(cx, index);
        while let Some(word) = words.next() {
            if is(word, "MATCH") {
                options.pattern = Some(words.value()?).filter(|&pattern| pattern != b"*");
            } else if is(word, "COUNT") {
                let count = words.integer()?;
                options.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(SYNTAX)?;
            } else if extra == Extra::Type && is(word, "TYPE") {
                options.type_name = Some(words.value()?);
            } else if extra == Extra::NoValues && is(word, "NOVALUES") {
                options.no_values = true;
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
