//! Lists. The commands that wait for elements are in `list_waits.rs`.

use bytes::Bytes;

use super::{
    Command, Flags, Keys,
    parse::{self, Words, is},
};
use crate::engine::{
    CommandResult, Context, Dialect, ErrorReply, Reply, SYNTAX, number, value::List, wrong_arity,
};

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);
const WRITE: Flags = Flags::WRITE;
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const GROW: Flags = Flags::WRITE.and(Flags::DENYOOM);
const GROW_FAST: Flags = GROW.and(Flags::FAST);
const TWO_KEYS: Keys = Keys::Range { first: 1, last: 2, step: 1 };

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("LPUSH", -3, GROW_FAST, |cx| push(cx, End::Left)).on(Keys::FIRST),
    Command::new("RPUSH", -3, GROW_FAST, |cx| push(cx, End::Right)).on(Keys::FIRST),
    Command::new("LPUSHX", -3, GROW_FAST, |cx| push_if_list(cx, End::Left)).on(Keys::FIRST),
    Command::new("RPUSHX", -3, GROW_FAST, |cx| push_if_list(cx, End::Right)).on(Keys::FIRST),
    Command::new("LPOP", -2, WRITE_FAST, |cx| pop(cx, End::Left)).on(Keys::FIRST),
    Command::new("RPOP", -2, WRITE_FAST, |cx| pop(cx, End::Right)).on(Keys::FIRST),
    Command::new("LLEN", 2, READ_FAST, length).on(Keys::FIRST),
    Command::new("LINDEX", 3, READ, at).on(Keys::FIRST),
    Command::new("LSET", 4, GROW, set).on(Keys::FIRST),
    Command::new("LRANGE", 4, READ, range).on(Keys::FIRST),
    Command::new("LTRIM", 4, WRITE, trim).on(Keys::FIRST),
    Command::new("LREM", 4, WRITE.and(Flags::LINEAR), remove).on(Keys::FIRST),
    Command::new("LINSERT", 5, GROW.and(Flags::LINEAR), insert).on(Keys::FIRST),
    Command::new("LPOS", -3, READ.and(Flags::LINEAR), positions).on(Keys::FIRST),
    Command::new("LMOVE", 5, GROW, move_between).on(TWO_KEYS),
    Command::new("RPOPLPUSH", 3, GROW, pop_and_push).on(TWO_KEYS),
    Command::new("LMPOP", -4, WRITE, pop_from_first).on(Keys::Counted(1)),
];

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Left,
    Right,
}

impl End {
    pub(super) fn parse(word: &[u8]) -> Result<Self, ErrorReply> {
        match word {
            word if is(word, "LEFT") => Ok(End::Left),
            word if is(word, "RIGHT") => Ok(End::Right),
            _ => Err(SYNTAX),
        }
    }

    fn push(self, list: &mut List, element: Bytes) {
        match self {
            End::Left => list.push_front(element),
            End::Right => list.push_back(element),
        }
    }

    pub(super) fn pop(self, list: &mut List) -> Option<Bytes> {
        match self {
            End::Left => list.pop_front(),
            End::Right => list.pop_back(),
        }
    }

    /// The command that takes elements off here, as which the others are propagated.
    pub(super) fn command(self) -> &'static [u8] {
        match self {
            End::Left => b"LPOP",
            End::Right => b"RPOP",
        }
    }

    /// Takes up to `count` elements off, in the order in which they come off.
    pub(super) fn pop_many(self, list: &mut List, count: usize) -> Vec<Bytes> {
        (0..count.min(list.len())).filter_map(|_| self.pop(list)).collect()
    }
}

fn push(cx: &mut Context<'_>, end: End) -> CommandResult {
    let elements = &cx.args[2..];
    let list = cx.write_or_new::<List>(cx.arg(1))?;
    for element in elements {
        end.push(list, Bytes::copy_from_slice(element));
    }
    let len = list.len();
    cx.propagate();
    Ok(Reply::Int(len as i64))
}

fn push_if_list(cx: &mut Context<'_>, end: End) -> CommandResult {
    match cx.read::<List>(cx.arg(1))? {
        Some(_) => push(cx, end),
        None => Ok(Reply::Int(0)),
    }
}

fn pop(cx: &mut Context<'_>, end: End) -> CommandResult {
    let key = cx.arg(1);
    let count = match cx.args {
        [_, _] => None,
        [_, _, count] => Some(parse::count(count)?),
        _ => return Err(wrong_arity(&parse::command_name(cx))),
    };
    let Some(list) = cx.write::<List>(key)? else {
        return Ok(if count.is_some() { Reply::NullArray } else { Reply::Null });
    };
    let popped = end.pop_many(list, count.unwrap_or(1));
    let is_empty = list.is_empty();
    cx.remove_emptied(key, is_empty);
    if !popped.is_empty() {
        cx.propagate();
    }
    Ok(match count {
        Some(_) => Reply::bulks(&popped),
        None => Reply::bulk_or_null(popped.first()),
    })
}

fn length(cx: &mut Context<'_>) -> CommandResult {
    let list = cx.read::<List>(cx.arg(1))?;
    Ok(Reply::Int(list.map_or(0, List::len) as i64))
}

/// The index is read only once there is a list to look it up in, as in a server.
fn at(cx: &mut Context<'_>) -> CommandResult {
    let index = cx.arg(2);
    let Some(list) = cx.read::<List>(cx.arg(1))? else { return Ok(Reply::Null) };
    let index = parse::index(number::parse_i64(index)?, list.len());
    Ok(Reply::bulk_or_null(index.and_then(|index| list.get(index))))
}

fn set(cx: &mut Context<'_>) -> CommandResult {
    let (dialect, index, element) = (cx.engine.dialect, cx.arg(2), cx.arg(3));
    let list = cx.write::<List>(cx.arg(1))?.ok_or(ErrorReply::new("ERR no such key"))?;
    let index = match dialect {
        // Valkey 8 looks at the low 32 bits only.
        Dialect::Valkey8 => i64::from(number::parse_i64(index)? as i32),
        Dialect::Redis7 => number::parse_i64(index)?,
    };
    let index = parse::index(index, list.len());
    let place =
        index.and_then(|index| list.get_mut(index)).ok_or(ErrorReply::new("ERR index out of range"))?;
    *place = Bytes::copy_from_slice(element);
    cx.propagate();
    Ok(Reply::OK)
}

fn range(cx: &mut Context<'_>) -> CommandResult {
    let (start, stop) = (parse::integer(cx, 2)?, parse::integer(cx, 3)?);
    let Some(list) = cx.read::<List>(cx.arg(1))? else { return Ok(Reply::Array(Vec::new())) };
    Ok(Reply::bulks(list.range(parse::index_range(start, stop, list.len()))))
}

fn trim(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    let (start, stop) = (parse::integer(cx, 2)?, parse::integer(cx, 3)?);
    let Some(list) = cx.write::<List>(key)? else { return Ok(Reply::OK) };
    let before = list.len();
    let kept = parse::index_range(start, stop, before);
    list.truncate(kept.end);
    list.drain(..kept.start);
    let after = list.len();
    cx.remove_emptied(key, after == 0);
    if after != before {
        cx.propagate();
    } else {
        // A change to who watches it, and to nobody else.
        cx.touch(key);
    }
    Ok(Reply::OK)
}

fn remove(cx: &mut Context<'_>) -> CommandResult {
    let (key, count, element) = (cx.arg(1), parse::integer(cx, 2)?, cx.arg(3));
    if count == i64::MIN && cx.engine.dialect == Dialect::Valkey8 {
        return Err(parse::OUT_OF_LONG);
    }
    let Some(list) = cx.write::<List>(key)? else { return Ok(Reply::Int(0)) };
    let before = list.len();
    let mut left = if count == 0 { u64::MAX } else { count.unsigned_abs() };
    let mut keep = |candidate: &Bytes| {
        let goes = left > 0 && candidate == element;
        left -= u64::from(goes);
        !goes
    };
    if count < 0 {
        list.make_contiguous().reverse();
        list.retain(&mut keep);
        list.make_contiguous().reverse();
    } else {
        list.retain(&mut keep);
    }
    let after = list.len();
    cx.remove_emptied(key, after == 0);
    if after != before {
        cx.propagate();
    }
    Ok(Reply::Int((before - after) as i64))
}

fn insert(cx: &mut Context<'_>) -> CommandResult {
    let offset = match cx.arg(2) {
        word if is(word, "BEFORE") => 0,
        word if is(word, "AFTER") => 1,
        _ => return Err(SYNTAX),
    };
    let (pivot, element) = (cx.arg(3), cx.arg(4));
    let Some(list) = cx.write::<List>(cx.arg(1))? else { return Ok(Reply::Int(0)) };
    let Some(position) = list.iter().position(|candidate| candidate == pivot) else {
        return Ok(Reply::Int(-1));
    };
    list.insert(position + offset, Bytes::copy_from_slice(element));
    let len = list.len();
    cx.propagate();
    Ok(Reply::Int(len as i64))
}

/// The options of LPOS.
struct Search {
    /// Which match to begin with, from 1 on.
    first: u64,
    from_right: bool,
    /// How many matches; `None`: one, and the reply is no array.
    count: Option<usize>,
    /// How many elements to compare at most; 0: all.
    max_compared: usize,
}

impl Search {
    fn parse(cx: &Context<'_>) -> Result<Self, ErrorReply> {
        let mut search = Self { first: 1, from_right: false, count: None, max_compared: 0 };
        let mut words = Words::from(cx, 3);
        while let Some(word) = words.next() {
            if is(word, "RANK") {
                let rank = words.integer()?;
                if rank == i64::MIN && cx.engine.dialect == Dialect::Valkey8 {
                    return Err(parse::OUT_OF_LONG);
                }
                if rank == 0 {
                    return Err(ErrorReply::new(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                         negative to start from the end of the list",
                    ));
                }
                (search.first, search.from_right) = (rank.unsigned_abs(), rank < 0);
                if rank == i64::MIN {
                    // Its opposite overflows, so that the first match is enough.
                    search.first = 1;
                }
            } else if is(word, "COUNT") {
                let error = ErrorReply::new("ERR COUNT can't be negative");
                search.count = Some(parse::count_or(words.value()?, error)?);
            } else if is(word, "MAXLEN") {
                let error = ErrorReply::new("ERR MAXLEN can't be negative");
                search.max_compared = parse::count_or(words.value()?, error)?;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(search)
    }

    /// The positions found, in the order of the search.
    fn run(&self, list: &List, element: &[u8]) -> Vec<Reply> {
        let compared = if self.max_compared == 0 { list.len() } else { self.max_compared.min(list.len()) };
        let wanted = match self.count {
            None => 1,
            Some(0) => usize::MAX,
            Some(count) => count,
        };
        let skipped = usize::try_from(self.first - 1).unwrap_or(usize::MAX);
        let position = |step: usize| if self.from_right { list.len() - 1 - step } else { step };
        let matches = (0..compared).map(position).filter(|&position| list[position] == element);
        matches.skip(skipped).take(wanted).map(|position| Reply::Int(position as i64)).collect()
    }
}

fn positions(cx: &mut Context<'_>) -> CommandResult {
    let (key, element) = (cx.arg(1), cx.arg(2));
    let search = Search::parse(cx)?;
    let list = cx.read::<List>(key)?;
    let mut found = list.map_or_else(Vec::new, |list| search.run(list, element));
    Ok(match search.count {
        Some(_) => Reply::Array(found),
        None => found.pop().unwrap_or(Reply::Null),
    })
}

fn move_between(cx: &mut Context<'_>) -> CommandResult {
    let (from, to) = (End::parse(cx.arg(3))?, End::parse(cx.arg(4))?);
    move_element(cx, from, to)
}

fn pop_and_push(cx: &mut Context<'_>) -> CommandResult {
    move_element(cx, End::Right, End::Left)
}

/// Moves one element between two lists, or within one.
pub(super) fn move_element(cx: &mut Context<'_>, from: End, to: End) -> CommandResult {
    let (source, target) = (cx.arg(1), cx.arg(2));
    if cx.read::<List>(source)?.is_none() {
        return Ok(Reply::Null);
    }
    cx.read::<List>(target)?;
    let Some(list) = cx.write::<List>(source)? else { return Ok(Reply::Null) };
    let Some(element) = from.pop(list) else { return Ok(Reply::Null) };
    let is_empty = list.is_empty();
    to.push(cx.write_or_new::<List>(target)?, element.clone());
    cx.remove_emptied(source, is_empty && source != target);
    // Those that wait are propagated as those that do not.
    match cx.args {
        [name, ..] if is(name, "BRPOPLPUSH") => cx.propagate_as(&[b"RPOPLPUSH", source, target]),
        [name, _, _, from, to, ..] if is(name, "BLMOVE") => {
            cx.propagate_as(&[b"LMOVE", source, target, from, to]);
        }
        _ => cx.propagate(),
    }
    Ok(Reply::Bulk(element))
}

fn pop_from_first(cx: &mut Context<'_>) -> CommandResult {
    let Several { keys, end, count } = Several::parse(Words::from(cx, 1))?;
    Ok(first_of(cx, keys, end, count)?.unwrap_or(Reply::NullArray))
}

/// What `LMPOP` and `BLMPOP` are asked for.
pub(super) struct Several<'a> {
    pub keys: &'a [&'a [u8]],
    pub end: End,
    pub count: usize,
}

impl<'a> Several<'a> {
    pub(super) fn parse(mut words: Words<'a>) -> Result<Self, ErrorReply> {
        let keys = parse::counted_keys(&mut words)?;
        Ok(Self { keys, end: End::parse(words.value()?)?, count: parse::pop_count(&mut words)? })
    }
}

/// Takes elements off the first of the lists that has any.
pub(super) fn first_of(
    cx: &mut Context<'_>,
    keys: &[&[u8]],
    end: End,
    count: usize,
) -> Result<Option<Reply>, ErrorReply> {
    for key in keys {
        let Some(list) = cx.write::<List>(key)? else { continue };
        let popped = end.pop_many(list, count);
        let is_empty = list.is_empty();
        cx.remove_emptied(key, is_empty);
        cx.propagate_as(&[end.command(), key, popped.len().to_string().as_bytes()]);
        return Ok(Some(Reply::Array(vec![Reply::bulk(key), Reply::bulks(&popped)])));
    }
    Ok(None)
}
