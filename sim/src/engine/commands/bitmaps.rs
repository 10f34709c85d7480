//! Strings as rows of bits: SETBIT, BITCOUNT, BITOP, BITFIELD …

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::{
    Command, Flags, Keys,
    parse::{Words, is},
};
use crate::engine::{
    CommandResult, Context, Dialect, ErrorReply, Reply, SYNTAX,
    number::{parse_i64, read_i64},
    value::Encoding,
};

const GROW: Flags = Flags::WRITE.and(Flags::DENYOOM);
const READ: Flags = Flags::READONLY.and(Flags::LINEAR);
const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("SETBIT", 4, GROW, set).on(Keys::FIRST),
    Command::new("GETBIT", 3, READ_FAST, get).on(Keys::FIRST),
    Command::new("BITCOUNT", -2, READ, count).on(Keys::FIRST),
    Command::new("BITPOS", -3, READ, position).on(Keys::FIRST),
    Command::new("BITOP", -4, GROW.and(Flags::LINEAR), operate).on(Keys::Range {
        first: 2,
        last: -1,
        step: 1,
    }),
    Command::new("BITFIELD", -2, GROW, |cx| fields(cx, false)).on(Keys::FIRST),
    Command::new("BITFIELD_RO", -2, READ_FAST, |cx| fields(cx, true)).on(Keys::FIRST),
];

const BAD_OFFSET: ErrorReply = ErrorReply::new("ERR bit offset is not an integer or out of range");

/// The offset of a bit. `#n` is the n-th field of so many `bits`, where there are fields.
fn offset(text: &[u8], bits: Option<u32>, cx: &Context<'_>) -> Result<usize, ErrorReply> {
    let (number, unit) = match (text, bits) {
        ([b'#', number @ ..], Some(bits)) => (number, i64::from(bits)),
        (number, _) => (number, 1),
    };
    let offset = read_i64(number).and_then(|number| number.checked_mul(unit));
    let offset = offset.and_then(|offset| usize::try_from(offset).ok());
    let longest = cx.engine.config.longest_bulk;
    offset.filter(|offset| cx.session.from_primary || offset / 8 < longest).ok_or(BAD_OFFSET)
}

fn bit(bytes: &[u8], at: usize) -> bool {
    bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
}

fn put_bit(bytes: &mut [u8], at: usize, on: bool) {
    let mask = 1 << (7 - at % 8);
    if on {
        bytes[at / 8] |= mask;
    } else {
        bytes[at / 8] &= !mask;
    }
}

/// Has `change` work on the bytes under a key, at least `len` of them. Says also whether that made the string, or made it
/// longer.
fn change<T>(
    cx: &mut Context<'_>,
    len: usize,
    change: impl FnOnce(&mut [u8]) -> T,
) -> Result<(T, bool), ErrorReply> {
    let key = cx.arg(1);
    let is_new = cx.read::<Bytes>(key)?.is_none();
    let (text, encoding, _) = cx.write_text(key)?;
    *encoding = Encoding::Raw;
    // Nobody else holds it, unless there is a snapshot: then nothing is copied.
    let mut bytes = std::mem::take(text).try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    let grows = is_new || bytes.len() < len;
    if bytes.len() < len {
        bytes.resize(len, 0);
    }
    let result = change(&mut bytes);
    *text = bytes.freeze();
    Ok((result, grows))
}

fn set(cx: &mut Context<'_>) -> CommandResult {
    let at = offset(cx.arg(2), None, cx)?;
    const BAD_BIT: ErrorReply = ErrorReply::new("ERR bit is not an integer or out of range");
    let on = match read_i64(cx.arg(3)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(BAD_BIT),
    };
    let (was, grows) = change(cx, at / 8 + 1, |bytes| {
        let was = bit(bytes, at);
        put_bit(bytes, at, on);
        was
    })?;
    if grows || was != on {
        cx.propagate();
    }
    Ok(Reply::Int(i64::from(was)))
}

fn get(cx: &mut Context<'_>) -> CommandResult {
    let at = offset(cx.arg(2), None, cx)?;
    let text = cx.read::<Bytes>(cx.arg(1))?;
    Ok(Reply::Int(text.map_or(0, |text| i64::from(bit(text, at)))))
}

/// Which part of a string is looked at: `[start [end [BYTE|BIT]]]`.
struct Part {
    start: i64,
    /// `None`: to the end, and what comes after it counts as zeros.
    end: Option<i64>,
    in_bits: bool,
}

impl Part {
    /// Reads it from the arguments at `from` and after; the unit before the end, or in order.
    fn parse(cx: &Context<'_>, from: usize, unit_first: bool) -> Result<Self, ErrorReply> {
        let words = &cx.args[from.min(cx.args.len())..];
        if words.len() > 3 {
            return Err(SYNTAX);
        }
        let start = words.first().map_or(Ok(0), |text| parse_i64(text))?;
        let unit = |word: &[u8]| match word {
            word if is(word, "BIT") => Ok(true),
            word if is(word, "BYTE") => Ok(false),
            _ => Err(SYNTAX),
        };
        match words {
            [] | [_] => Ok(Self { start, end: None, in_bits: false }),
            [_, end] => Ok(Self { start, end: Some(parse_i64(end)?), in_bits: false }),
            [_, end, word] => {
                let early = if unit_first { Some(unit(word)?) } else { None };
                let end = parse_i64(end)?;
                Ok(Self { start, end: Some(end), in_bits: early.map_or_else(|| unit(word), Ok)? })
            }
            _ => Err(SYNTAX),
        }
    }

    /// The bits that it covers of so many bytes.
    fn of(&self, bytes: usize) -> Range<usize> {
        let total = if self.in_bits { bytes * 8 } else { bytes } as i64;
        let from_front = |index: i64| if index < 0 { index.saturating_add(total).max(0) } else { index };
        let (start, end) = (from_front(self.start), from_front(self.end.unwrap_or(-1)));
        let end = end.min(total - 1);
        if start > end {
            return 0..0;
        }
        let unit = if self.in_bits { 1 } else { 8 };
        start as usize * unit..(end as usize + 1) * unit
    }
}

fn count(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    let is_redis = cx.engine.dialect() == Dialect::Redis7;
    // Redis 7.0 looks for the key first, and at the arguments only if there is one.
    if is_redis && cx.read::<Bytes>(key)?.is_none() {
        return Ok(Reply::Int(0));
    }
    if cx.args.len() == 3 && is_redis {
        return Err(SYNTAX);
    }
    let part = Part::parse(cx, 2, !is_redis)?;
    let Some(text) = cx.read::<Bytes>(key)? else { return Ok(Reply::Int(0)) };
    if let Some(end) = part.end
        && part.start < 0
        && end < 0
        && part.start > end
    {
        return Ok(Reply::Int(0));
    }
    Ok(Reply::Int(ones(text, part.of(text.len())) as i64))
}

/// How many bits of a range are set.
fn ones(bytes: &[u8], range: Range<usize>) -> u64 {
    let (first, last) = (range.start.div_ceil(8), range.end / 8);
    if first >= last {
        return range.filter(|at| bit(bytes, *at)).count() as u64;
    }
    let whole: u64 = bytes[first..last].iter().map(|byte| u64::from(byte.count_ones())).sum();
    let edges = (range.start..first * 8).chain(last * 8..range.end);
    whole + edges.filter(|at| bit(bytes, *at)).count() as u64
}

fn position(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    let wanted = match parse_i64(cx.arg(2))? {
        0 => false,
        1 => true,
        _ => return Err(ErrorReply::new("ERR The bit argument must be 1 or 0.")),
    };
    // There are no ones in nothing, and a zero at its beginning.
    let absent = Ok(Reply::Int(if wanted { -1 } else { 0 }));
    if cx.engine.dialect() == Dialect::Redis7 && cx.read::<Bytes>(key)?.is_none() {
        return absent;
    }
    let part = Part::parse(cx, 3, true)?;
    let Some(text) = cx.read::<Bytes>(key)? else { return absent };
    let range = part.of(text.len());
    if range.is_empty() {
        return Ok(Reply::Int(-1));
    }
    // Whole bytes that do not have it are passed over at once.
    let without = if wanted { 0 } else { 0xff };
    let mut at = range.start;
    while at < range.end {
        if at.is_multiple_of(8) && text[at / 8] == without {
            at += 8;
        } else if bit(text, at) == wanted {
            return Ok(Reply::Int(at as i64));
        } else {
            at += 1;
        }
    }
    let is_open = !wanted && part.end.is_none();
    Ok(Reply::Int(if is_open { range.end as i64 } else { -1 }))
}

fn operate(cx: &mut Context<'_>) -> CommandResult {
    let (name, target, sources) = (cx.arg(1), cx.arg(2), &cx.args[3..]);
    let join: fn(u8, u8) -> u8 = match name {
        name if is(name, "AND") => |a, b| a & b,
        name if is(name, "OR") => |a, b| a | b,
        name if is(name, "XOR") => |a, b| a ^ b,
        name if is(name, "NOT") => |a, _| !a,
        _ => return Err(SYNTAX),
    };
    if is(name, "NOT") && sources.len() != 1 {
        return Err(ErrorReply::new("ERR BITOP NOT must be called with a single source key."));
    }
    let mut texts = Vec::with_capacity(sources.len());
    for source in sources {
        texts.push(cx.read::<Bytes>(source)?.cloned().unwrap_or_default());
    }
    let len = texts.iter().map(Bytes::len).max().unwrap_or_default();
    let byte = |text: &Bytes, at: usize| text.get(at).copied().unwrap_or_default();
    let joined: Vec<u8> = match &texts[..] {
        [only] if is(name, "NOT") => only.iter().map(|byte| !byte).collect(),
        [first, rest @ ..] => {
            let at = |at: usize| rest.iter().fold(byte(first, at), |sum, text| join(sum, byte(text, at)));
            (0..len).map(at).collect()
        }
        [] => Vec::new(),
    };
    if cx.store(target, Bytes::from(joined), len == 0) {
        cx.engine.db.keep_raw(target);
        if len == 0 {
            cx.propagate_as(&[b"DEL", target]);
        } else {
            cx.propagate();
        }
    }
    Ok(Reply::Int(len as i64))
}

/// What to do when a field is too small for its value.
#[derive(Clone, Copy)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// The type of a field: `i5`, `u63`.
#[derive(Clone, Copy)]
struct FieldType {
    is_signed: bool,
    bits: u32,
}

impl FieldType {
    fn parse(text: &[u8]) -> Result<Self, ErrorReply> {
        const BAD: ErrorReply = ErrorReply::new(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        );
        let (is_signed, bits, most) = match text {
            [b'i', bits @ ..] => (true, bits, 64),
            [b'u', bits @ ..] => (false, bits, 63),
            _ => return Err(BAD),
        };
        let bits = read_i64(bits).filter(|bits| (1..=most).contains(bits)).ok_or(BAD)?;
        Ok(Self { is_signed, bits: bits as u32 })
    }

    fn least(self) -> i128 {
        if self.is_signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    fn greatest(self) -> i128 {
        (1 << (self.bits - u32::from(self.is_signed))) - 1
    }

    /// The value of such a field.
    fn read(self, bytes: &[u8], at: usize) -> i128 {
        let raw = (0..self.bits as usize).fold(0_i128, |sum, n| sum << 1 | i128::from(bit(bytes, at + n)));
        if raw > self.greatest() { raw - (1 << self.bits) } else { raw }
    }

    fn write(self, bytes: &mut [u8], at: usize, value: i128) {
        for n in 0..self.bits as usize {
            put_bit(bytes, at + n, value >> (self.bits as usize - 1 - n) & 1 == 1);
        }
    }

    /// A value as it is kept; `None` if that fails.
    fn fit(self, value: i128, overflow: Overflow) -> Option<i128> {
        if (self.least()..=self.greatest()).contains(&value) {
            return Some(value);
        }
        match overflow {
            Overflow::Fail => None,
            Overflow::Saturate if value < self.least() => Some(self.least()),
            Overflow::Saturate => Some(self.greatest()),
            Overflow::Wrap => {
                let raw = value.rem_euclid(1 << self.bits);
                Some(if raw > self.greatest() { raw - (1 << self.bits) } else { raw })
            }
        }
    }
}

/// One operation of BITFIELD.
struct Operation {
    kind: FieldType,
    at: usize,
    does: Does,
}

enum Does {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

impl Operation {
    /// Reads all of them.
    fn parse_all(cx: &Context<'_>) -> Result<Vec<Self>, ErrorReply> {
        let mut operations = Vec::new();
        let mut overflow = Overflow::Wrap;
        let mut words = Words::from(cx, 2);
        while let Some(word) = words.next() {
            if is(word, "OVERFLOW") {
                overflow = match words.value()? {
                    word if is(word, "WRAP") => Overflow::Wrap,
                    word if is(word, "SAT") => Overflow::Saturate,
                    word if is(word, "FAIL") => Overflow::Fail,
                    _ => return Err(ErrorReply::new("ERR Invalid OVERFLOW type specified")),
                };
                continue;
            }
            let needed = if is(word, "GET") {
                2
            } else if is(word, "SET") || is(word, "INCRBY") {
                3
            } else {
                return Err(SYNTAX);
            };
            let rest = words.take_slice(needed).ok_or(SYNTAX)?;
            let kind = FieldType::parse(rest[0])?;
            let at = offset(rest[1], Some(kind.bits), cx)?;
            let does = match rest.get(2) {
                None => Does::Get,
                Some(value) if is(word, "SET") => Does::Set(parse_i64(value)?, overflow),
                Some(value) => Does::Add(parse_i64(value)?, overflow),
            };
            operations.push(Self { kind, at, does });
        }
        Ok(operations)
    }

    fn end(&self) -> usize {
        self.at + self.kind.bits as usize
    }

    fn only_reads(&self) -> bool {
        matches!(self.does, Does::Get)
    }

    /// Does it to these bytes; says whether that changed them.
    fn run(&self, bytes: &mut [u8]) -> (Reply, bool) {
        let old = self.kind.read(bytes, self.at);
        let (new, answers_new) = match self.does {
            Does::Get => return (Reply::Int(old as i64), false),
            // A number that is set in an unsigned field is taken for one without a sign.
            // Real servers reckon how much room is above a number in 64 bits, and take one that is far below for one above.
            Does::Set(value, Overflow::Saturate)
                if self.kind.is_signed
                    && self.kind.bits < 64
                    && self.kind.greatest() - i128::from(value) > i64::MAX.into() =>
            {
                (Some(self.kind.greatest()), false)
            }
            Does::Set(value, overflow) if self.kind.is_signed => {
                (self.kind.fit(value.into(), overflow), false)
            }
            Does::Set(value, overflow) => (self.kind.fit(i128::from(value as u64), overflow), false),
            Does::Add(by, overflow) => (self.kind.fit(old + i128::from(by), overflow), true),
        };
        let Some(new) = new else { return (Reply::Null, false) };
        self.kind.write(bytes, self.at, new);
        (Reply::Int(if answers_new { new } else { old } as i64), new != old)
    }
}

fn fields(cx: &mut Context<'_>, may_only_read: bool) -> CommandResult {
    let operations = Operation::parse_all(cx)?;
    if operations.iter().all(Operation::only_reads) {
        let text = cx.read::<Bytes>(cx.arg(1))?;
        let bytes: &[u8] = text.map_or(&[], |text| text);
        let get = |operation: &Operation| Reply::Int(operation.kind.read(bytes, operation.at) as i64);
        return Ok(Reply::Array(operations.iter().map(get).collect()));
    }
    if may_only_read {
        return Err(ErrorReply::new("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    let end = operations.iter().filter(|it| !it.only_reads()).map(Operation::end).max().unwrap_or_default();
    let ((replies, changes), grows) = change(cx, end.div_ceil(8), |bytes| {
        let mut changes = false;
        let mut run = |operation: &Operation| {
            let (reply, changed) = operation.run(bytes);
            changes |= changed;
            reply
        };
        (operations.iter().map(&mut run).collect(), changes)
    })?;
    if changes || grows {
        cx.propagate();
    }
    Ok(Reply::Array(replies))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_are_counted_within_and_across_bytes() {
        let bytes = [0b1010_0001, 0xff, 0b1000_0000, 0x0f];
        for start in 0..=32 {
            for end in start..=32 {
                let slow = (start..end).filter(|at| bit(&bytes, *at)).count() as u64;
                assert_eq!(ones(&bytes, start..end), slow, "{start}..{end}");
            }
        }
    }

    #[test]
    fn a_field_holds_what_it_was_given_or_overflows_as_told() {
        let kind = |is_signed, bits| FieldType { is_signed, bits };
        assert_eq!(kind(true, 8).fit(128, Overflow::Wrap), Some(-128));
        assert_eq!(kind(true, 8).fit(-129, Overflow::Saturate), Some(-128));
        assert_eq!(kind(false, 8).fit(256, Overflow::Wrap), Some(0));
        assert_eq!(kind(false, 63).fit(-1, Overflow::Fail), None);
        for (is_signed, bits, value) in
            [(true, 64, i64::MIN), (true, 64, i64::MAX), (true, 5, -16), (false, 63, 9)]
        {
            let mut bytes = [0xa5; 12];
            kind(is_signed, bits).write(&mut bytes, 13, value.into());
            assert_eq!(kind(is_signed, bits).read(&bytes, 13), i128::from(value));
        }
    }
}
