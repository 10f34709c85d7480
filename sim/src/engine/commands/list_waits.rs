//! Taking elements off the ends of lists as soon as there are any: BLPOP, BLMOVE and their like.

use super::{
    Command, Flags, Keys,
    lists::{self, End, Several},
    parse::{self, Words},
};
use crate::engine::{CommandResult, Context, Reply, value::List};

const WRITE: Flags = Flags::WRITE;
const TAKE: Flags = Flags::WRITE.and(Flags::NOSCRIPT_ON_REDIS);
const MOVE: Flags = TAKE.and(Flags::DENYOOM);
const ALL_BUT_LAST: Keys = Keys::Range { first: 1, last: -2, step: 1 };
const TWO_KEYS: Keys = Keys::Range { first: 1, last: 2, step: 1 };

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("BLPOP", -3, TAKE, |cx| pop(cx, End::Left)).on(ALL_BUT_LAST),
    Command::new("BRPOP", -3, TAKE, |cx| pop(cx, End::Right)).on(ALL_BUT_LAST),
    Command::new("BLMPOP", -5, WRITE, pop_from_first).on(Keys::Counted(2)),
    Command::new("BLMOVE", 6, MOVE, move_between).on(TWO_KEYS),
    Command::new("BRPOPLPUSH", 4, MOVE, pop_and_push).on(TWO_KEYS),
];

/// `BLPOP key [key …] timeout`.
fn pop(cx: &mut Context<'_>, end: End) -> CommandResult {
    let last = cx.args.len() - 1;
    let (keys, timeout_ms) = (&cx.args[1..last], parse::timeout(cx.arg(last), cx)?);
    for key in keys {
        let Some(list) = cx.write::<List>(key)? else { continue };
        let Some(element) = end.pop(list) else { continue };
        let is_empty = list.is_empty();
        cx.remove_emptied(key, is_empty);
        cx.propagate_as(&[end.command(), key]);
        return Ok(Reply::Array(vec![Reply::bulk(key), Reply::Bulk(element)]));
    }
    Ok(cx.wait(timeout_ms, keys))
}

/// `BLMPOP timeout numkeys key [key …] LEFT|RIGHT [COUNT n]`.
fn pop_from_first(cx: &mut Context<'_>) -> CommandResult {
    let Several { keys, end, count } = Several::parse(Words::from(cx, 2))?;
    let timeout_ms = parse::timeout(cx.arg(1), cx)?;
    match lists::first_of(cx, keys, end, count)? {
        Some(reply) => Ok(reply),
        None => Ok(cx.wait(timeout_ms, keys)),
    }
}

/// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`.
fn move_between(cx: &mut Context<'_>) -> CommandResult {
    let (from, to) = (End::parse(cx.arg(3))?, End::parse(cx.arg(4))?);
    let timeout_ms = parse::timeout(cx.arg(5), cx)?;
    move_or_wait(cx, from, to, timeout_ms)
}

/// `BRPOPLPUSH source destination timeout`.
fn pop_and_push(cx: &mut Context<'_>) -> CommandResult {
    let timeout_ms = parse::timeout(cx.arg(3), cx)?;
    move_or_wait(cx, End::Right, End::Left, timeout_ms)
}

fn move_or_wait(cx: &mut Context<'_>, from: End, to: End, timeout_ms: u64) -> CommandResult {
    let source = cx.arg(1);
    if cx.read::<List>(source)?.is_some() {
        return lists::move_element(cx, from, to);
    }
    // Where nothing may wait, they alone answer as if there were one element that is not there.
    if cx.may_block() { Ok(cx.wait(timeout_ms, &[source])) } else { Ok(Reply::Null) }
}
