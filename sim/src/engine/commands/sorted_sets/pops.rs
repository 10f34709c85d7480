//! Taking members off the ends of sorted sets, now or as soon as there are any.

use bytes::Bytes;

use crate::engine::{
    CommandResult, Context, ErrorReply, Reply, SYNTAX,
    commands::{
        parse::{self, Words, is},
        shape,
    },
    value::SortedSet,
};

/// An end of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The lowest score.
    Min,
    /// The highest score.
    Max,
}

impl End {
    fn parse(words: &mut Words<'_>) -> Result<Self, ErrorReply> {
        match words.value()? {
            word if is(word, "MIN") => Ok(End::Min),
            word if is(word, "MAX") => Ok(End::Max),
            _ => Err(SYNTAX),
        }
    }

    /// The command that takes members off here, as which every other one is propagated.
    fn command(self) -> &'static [u8] {
        match self {
            End::Min => b"ZPOPMIN",
            End::Max => b"ZPOPMAX",
        }
    }

    /// Takes up to `count` members off, in the order in which they come off.
    fn take(self, zset: &mut SortedSet, count: usize) -> Vec<(Bytes, f64)> {
        let len = zset.len();
        match self {
            End::Min => zset.remove_range(0..count.min(len)),
            End::Max => {
                let mut taken = zset.remove_range(len.saturating_sub(count)..len);
                taken.reverse();
                taken
            }
        }
    }

    /// As [`take`](Self::take), from the set under a key, which goes when it is empty. `None`: there is none.
    fn take_from(
        self,
        cx: &mut Context<'_>,
        key: &[u8],
        count: usize,
    ) -> Result<Option<Vec<(Bytes, f64)>>, ErrorReply> {
        let Some(zset) = cx.write::<SortedSet>(key)? else { return Ok(None) };
        let taken = self.take(zset, count);
        let is_empty = zset.is_empty();
        cx.remove_emptied(key, is_empty);
        Ok(Some(taken))
    }
}

/// `ZPOPMIN key [count]`.
pub fn pop(cx: &mut Context<'_>, end: End) -> CommandResult {
    let count = match cx.args {
        [_, _] => None,
        [_, _, count] => Some(parse::count(count)?),
        _ => return Err(SYNTAX),
    };
    let Some(popped) = end.take_from(cx, cx.arg(1), count.unwrap_or(1))? else {
        return Ok(Reply::Array(Vec::new()));
    };
    if !popped.is_empty() {
        cx.propagate();
    }
    match (count, popped.first()) {
        // Without a count there is one pair, and it is not nested in either protocol.
        (None, Some((member, score))) => {
            Ok(Reply::Array(vec![Reply::Bulk(member.clone()), Reply::Double(*score)]))
        }
        _ => Ok(shape::members(cx.session.protocol, true, popped.into_iter())),
    }
}

/// `ZMPOP numkeys key [key …] MIN|MAX [COUNT n]`.
pub fn pop_from_first(cx: &mut Context<'_>) -> CommandResult {
    let Several { keys, end, count } = Several::parse(Words::from(cx, 1))?;
    Ok(first_of(cx, keys, end, count)?.unwrap_or(Reply::NullArray))
}

/// `BZMPOP timeout numkeys key [key …] MIN|MAX [COUNT n]`.
pub fn wait_and_pop_from_first(cx: &mut Context<'_>) -> CommandResult {
    let timeout_ms = parse::timeout(cx.arg(1), cx)?;
    let Several { keys, end, count } = Several::parse(Words::from(cx, 2))?;
    match first_of(cx, keys, end, count)? {
        Some(reply) => Ok(reply),
        None => Ok(cx.wait(timeout_ms, keys)),
    }
}

/// `BZPOPMIN key [key …] timeout`.
pub fn wait_and_pop(cx: &mut Context<'_>, end: End) -> CommandResult {
    let last = cx.args.len() - 1;
    let (keys, timeout_ms) = (&cx.args[1..last], parse::timeout(cx.arg(last), cx)?);
    for key in keys {
        let Some(popped) = end.take_from(cx, key, 1)? else { continue };
        cx.propagate_as(&[end.command(), key]);
        let parts =
            popped.into_iter().flat_map(|(member, score)| [Reply::Bulk(member), Reply::Double(score)]);
        return Ok(Reply::Array(std::iter::once(Reply::bulk(key)).chain(parts).collect()));
    }
    Ok(cx.wait(timeout_ms, keys))
}

/// What `ZMPOP` and `BZMPOP` are asked for.
struct Several<'a> {
    keys: &'a [&'a [u8]],
    end: End,
    count: usize,
}

impl<'a> Several<'a> {
    fn parse(mut words: Words<'a>) -> Result<Self, ErrorReply> {
        let keys = parse::counted_keys(&mut words)?;
        Ok(Self { keys, end: End::parse(&mut words)?, count: parse::pop_count(&mut words)? })
    }
}

/// Takes members off the first of the sets that has any.
fn first_of(
    cx: &mut Context<'_>,
    keys: &[&[u8]],
    end: End,
    count: usize,
) -> Result<Option<Reply>, ErrorReply> {
    for key in keys {
        let Some(popped) = end.take_from(cx, key, count)? else { continue };
        cx.propagate_as(&[end.command(), key, popped.len().to_string().as_bytes()]);
        let pair = |(member, score)| Reply::Array(vec![Reply::Bulk(member), Reply::Double(score)]);
        let pairs = popped.into_iter().map(pair).collect();
        return Ok(Some(Reply::Array(vec![Reply::bulk(key), Reply::Array(pairs)])));
    }
    Ok(None)
}
