//! How arguments are read that occur in several families: options, counts, ranges and bounds.

use std::ops::Range;

use crate::engine::{Context, Dialect, ErrorReply, NOT_AN_INTEGER, SYNTAX, number};

/// A count that may not be negative is.
const NOT_POSITIVE: ErrorReply = ErrorReply::new("ERR value is out of range, must be positive");
/// An integer is outside what the command can take.
const OUT_OF_RANGE: ErrorReply = ErrorReply::new("ERR value is out of range");
/// The one integer whose opposite is none.
pub const OUT_OF_LONG: ErrorReply = ErrorReply::new(
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
);
/// `SINTERCARD`, `LMPOP`, `ZMPOP` name no key.
const NO_KEYS: ErrorReply = ErrorReply::new("ERR numkeys should be greater than 0");
/// `HRANDFIELD key -n` and its like repeat elements; a real server goes on until memory ends, we stop here.
const MOST_REPEATED: u64 = 10_000_000;

/// Whether an argument is this option, in any case.
pub fn is(arg: &[u8], option: &str) -> bool {
    arg.eq_ignore_ascii_case(option.as_bytes())
}

/// The name of the running command as error texts have it.
pub fn command_name(cx: &Context<'_>) -> String {
    String::from_utf8_lossy(cx.arg(0)).to_ascii_lowercase()
}

/// The arguments of a command, one after the other.
pub struct Words<'a> {
    rest: &'a [&'a [u8]],
}

impl<'a> Words<'a> {
    /// The arguments from `index` on.
    pub fn from(cx: &Context<'a>, index: usize) -> Self {
        Self { rest: cx.args.get(index..).unwrap_or_default() }
    }

    /// Whether there are no more.
    pub fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// The value of an option that must have one.
    pub fn value(&mut self) -> Result<&'a [u8], ErrorReply> {
        self.next().ok_or(SYNTAX)
    }

    /// The integer of an option that must have one.
    pub fn integer(&mut self) -> Result<i64, ErrorReply> {
        number::parse_i64(self.value()?)
    }

    /// The next `count` arguments, if there are that many.
    pub fn take_slice(&mut self, count: usize) -> Option<&'a [&'a [u8]]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }
}

/// A count that must not be negative.
pub fn count(text: &[u8]) -> Result<usize, ErrorReply> {
    count_or(text, NOT_POSITIVE)
}

/// As [`count`], with an error of the command's own for all that is wrong.
pub fn count_or(text: &[u8], error: ErrorReply) -> Result<usize, ErrorReply> {
    number::read_i64(text).and_then(|count| usize::try_from(count).ok()).ok_or(error)
}

/// A count that must be 1 or more, with an error of the command's own for all that is wrong.
pub fn positive_or(text: &[u8], error: ErrorReply) -> Result<usize, ErrorReply> {
    match count_or(text, error.clone())? {
        0 => Err(error),
        count => Ok(count),
    }
}

/// The `[COUNT n]` that ends `LMPOP` and `ZMPOP`. A bad count is complained of before what follows it.
pub fn pop_count(words: &mut Words<'_>) -> Result<usize, ErrorReply> {
    const NOT_POSITIVE: ErrorReply = ErrorReply::new("ERR count should be greater than 0");
    let count = match (words.next(), words.next()) {
        (None, _) => return Ok(1),
        (Some(word), Some(count)) if is(word, "COUNT") => positive_or(count, NOT_POSITIVE)?,
        _ => return Err(SYNTAX),
    };
    if words.next().is_some() { Err(SYNTAX) } else { Ok(count) }
}

/// How long a command may wait: seconds and their parts, in milliseconds rounded up. 0: without end.
pub fn timeout(text: &[u8], cx: &Context<'_>) -> Result<u64, ErrorReply> {
    const NEGATIVE: ErrorReply = ErrorReply::new("ERR timeout is negative");
    const NOT_A_FLOAT: ErrorReply = ErrorReply::new("ERR timeout is not a float or out of range");
    let milliseconds = match number::read_i64(text) {
        Some(seconds) => i128::from(seconds) * 1_000,
        None => match number::parse_f64(text) {
            Ok(seconds) => (seconds * 1_000.0).ceil() as i128,
            // A server reads more digits than an `f64` has.
            Err(_) if number::extended::is_infinite(text).is_err() => return Err(NOT_A_FLOAT),
            Err(_) if text.starts_with(b"-") => i128::MIN,
            Err(_) => i128::MAX,
        },
    };
    let last = i128::from(i64::MAX);
    match cx.engine.dialect() {
        _ if milliseconds < 0 => Err(NEGATIVE),
        // Too large a number becomes a negative one there.
        Dialect::Redis7 if milliseconds > last => Err(NEGATIVE),
        Dialect::Valkey8 if milliseconds > last - i128::from(cx.now_ms().0) => {
            Err(ErrorReply::new("ERR timeout is out of range"))
        }
        _ => Ok(milliseconds as u64),
    }
}

/// `numkeys key [key …]`; too few keys is a syntax error.
pub fn counted_keys<'a>(words: &mut Words<'a>) -> Result<&'a [&'a [u8]], ErrorReply> {
    let count = positive_or(words.value()?, NO_KEYS)?;
    words.take_slice(count).ok_or(SYNTAX)
}

/// How many random elements are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// That many different ones, at most.
    Distinct(usize),
    /// Exactly that many, which may repeat.
    Repeating(usize),
}

/// The count of `SRANDMEMBER` and its like: negative for elements that may repeat. It is read before the options, and
/// its size is looked at after them, by [`sample`].
pub fn sample_count(text: &[u8]) -> Result<i64, ErrorReply> {
    let count = number::parse_i64(text)?;
    if count == i64::MIN { Err(OUT_OF_LONG) } else { Ok(count) }
}

/// What a [`sample_count`] asks for, given how many elements of the reply each of them takes.
pub fn sample(count: i64, elements_each: u64) -> Result<Sample, ErrorReply> {
    let magnitude = count.unsigned_abs();
    if magnitude > i64::MAX as u64 / elements_each || (count < 0 && magnitude > MOST_REPEATED) {
        return Err(OUT_OF_RANGE);
    }
    Ok(if count < 0 { Sample::Repeating(magnitude as usize) } else { Sample::Distinct(magnitude as usize) })
}

impl Sample {
    /// Positions of that many elements of `len`.
    pub fn draw(self, cx: &mut Context<'_>, len: usize) -> Vec<usize> {
        match self {
            Sample::Distinct(count) if count >= len => (0..len).collect(),
            Sample::Distinct(count) => cx.engine.random.indexes(count, len),
            Sample::Repeating(_) if len == 0 => Vec::new(),
            Sample::Repeating(count) => (0..count).map(|_| cx.engine.random.index(len)).collect(),
        }
    }
}

/// The positions from `start` to `stop`, both included and both from the end if negative, of `len` elements.
pub fn index_range(start: i64, stop: i64, len: usize) -> Range<usize> {
    let from_front = |index: i64| if index < 0 { index.saturating_add(len as i64) } else { index };
    let start = from_front(start).max(0) as usize;
    let end = from_front(stop).saturating_add(1).clamp(0, len as i64) as usize;
    start.min(end)..end
}

/// The position that an index means, negative from the end; `None` outside.
pub fn index(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(len as i64)? } else { index };
    usize::try_from(index).ok().filter(|&index| index < len)
}

/// `LIMIT offset count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    offset: i64,
    count: i64,
}

impl Limit {
    /// Reads the two numbers after the word.
    pub fn parse(words: &mut Words<'_>) -> Result<Self, ErrorReply> {
        let (Some(offset), Some(count)) = (words.next(), words.next()) else { return Err(SYNTAX) };
        Ok(Self { offset: number::parse_i64(offset)?, count: number::parse_i64(count)? })
    }

    /// Whether a server takes it for no limit where there must be none: it looks at the count only.
    pub fn is_absent(self) -> bool {
        self.count == -1
    }

    /// What is left of a range of positions that is read forwards, or backwards if `reverse`. A negative offset
    /// leaves nothing, a negative count everything.
    pub fn of(self, positions: Range<usize>, reverse: bool) -> Range<usize> {
        let Range { start, end } = positions;
        let Ok(offset) = usize::try_from(self.offset) else { return start..start };
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        if reverse {
            let end = end.saturating_sub(offset).max(start);
            end.saturating_sub(count).max(start)..end
        } else {
            let start = start.saturating_add(offset).min(end);
            start..start.saturating_add(count).min(end)
        }
    }
}

/// One end of a range by score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBound {
    value: f64,
    exclusive: bool,
}

impl ScoreBound {
    /// Reads `1.5`, `(1.5`, `-inf` …
    pub fn parse(text: &[u8]) -> Result<Self, ErrorReply> {
        let (exclusive, number) = match text {
            [b'(', rest @ ..] => (true, rest),
            text => (false, text),
        };
        let value = bare_strtod(number).ok_or(ErrorReply::new("ERR min or max is not a float"))?;
        Ok(Self { value, exclusive })
    }

    /// Whether a score is below the range that starts here.
    pub fn excludes_below(self, score: f64) -> bool {
        score < self.value || (self.exclusive && score == self.value)
    }

    /// Whether a score is above the range that ends here.
    pub fn excludes_above(self, score: f64) -> bool {
        score > self.value || (self.exclusive && score == self.value)
    }
}

/// Bounds of a range go through `strtod` without the checks other numbers get: leading spaces are skipped, nothing
/// is 0, and what is too large is infinite.
fn bare_strtod(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii_start();
    if text.is_empty() {
        return Some(0.0);
    }
    if let Ok(value) = number::parse_f64(text) {
        return Some(value);
    }
    std::str::from_utf8(text).ok()?.parse().ok().filter(|value: &f64| !value.is_nan())
}

/// One end of a range by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// `-`: before every member.
    Lowest,
    /// `+`: after every member.
    Highest,
    /// `[name`.
    Inclusive(&'a [u8]),
    /// `(name`.
    Exclusive(&'a [u8]),
}

impl<'a> LexBound<'a> {
    /// Reads `-`, `+`, `[name` or `(name`.
    pub fn parse(text: &'a [u8]) -> Result<Self, ErrorReply> {
        match text {
            b"-" => Ok(Self::Lowest),
            b"+" => Ok(Self::Highest),
            [b'[', name @ ..] => Ok(Self::Inclusive(name)),
            [b'(', name @ ..] => Ok(Self::Exclusive(name)),
            _ => Err(ErrorReply::new("ERR min or max not valid string range item")),
        }
    }

    /// Whether a member is below the range that starts here.
    pub fn excludes_below(self, member: &[u8]) -> bool {
        match self {
            Self::Lowest => false,
            Self::Highest => true,
            Self::Inclusive(name) => member < name,
            Self::Exclusive(name) => member <= name,
        }
    }

    /// Whether a member is above the range that ends here.
    pub fn excludes_above(self, member: &[u8]) -> bool {
        match self {
            Self::Lowest => true,
            Self::Highest => false,
            Self::Inclusive(name) => member > name,
            Self::Exclusive(name) => member >= name,
        }
    }
}

/// Adds to an integer, unless it overflows.
pub fn add(value: i64, by: i64) -> Result<i64, ErrorReply> {
    value.checked_add(by).ok_or(ErrorReply::new("ERR increment or decrement would overflow"))
}

/// An `i64` where a plain `NOT_AN_INTEGER` is the error, from the argument at `index`.
pub fn integer(cx: &Context<'_>, index: usize) -> Result<i64, ErrorReply> {
    number::read_i64(cx.arg(index)).ok_or(NOT_AN_INTEGER)
}

/// Reads how many milliseconds a command waits at most.
pub fn timeout_ms(cx: &Context<'_>, text: &[u8]) -> Result<u64, ErrorReply> {
    let ms = number::parse_i64(text)
        .map_err(|_| ErrorReply::new("ERR timeout is not an integer or out of range"))?;
    let timeout = u64::try_from(ms).map_err(|_| ErrorReply::new("ERR timeout is negative"))?;
    // Redis 7.0 lets the sum wrap, and waits without end.
    match cx.engine.dialect() {
        Dialect::Valkey8 if cx.now_ms().0.checked_add(ms).is_none() => {
            Err(ErrorReply::new("ERR timeout is out of range"))
        }
        _ => Ok(timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_ranges_are_clamped() {
        assert_eq!(index_range(0, -1, 5), 0..5);
        assert_eq!(index_range(-2, -1, 5), 3..5);
        assert_eq!(index_range(1, 100, 5), 1..5);
        assert!(index_range(3, 1, 5).is_empty());
        assert!(index_range(i64::MIN, i64::MIN, 5).is_empty());
        assert_eq!(index_range(i64::MIN, i64::MAX, 5), 0..5);
        assert!(index_range(7, 9, 5).is_empty());
    }

    #[test]
    fn a_limit_counts_from_the_end_when_reversed() {
        let limit = |offset, count| Limit { offset, count };
        assert_eq!(limit(1, 2).of(10..20, false), 11..13);
        assert_eq!(limit(1, 2).of(10..20, true), 17..19);
        assert_eq!(limit(8, -1).of(10..20, false), 18..20);
        assert!(limit(-1, 5).of(10..20, false).is_empty());
        assert!(limit(50, 5).of(10..20, true).is_empty());
    }
}
