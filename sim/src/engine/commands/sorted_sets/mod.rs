//! Sorted sets: their members. What takes them off an end is in [`pops`], ranges are in [`ranges`], unions, intersections
//! and differences in [`algebra`].

mod algebra;
mod pops;
mod ranges;

use bytes::Bytes;

use super::{
    Command, Flags, Keys,
    parse::{self, Sample, is},
    scan::{self, Extra},
    shape,
};
use crate::engine::{
    CommandResult, Context, ErrorReply, Reply, SYNTAX, number,
    value::{SortedSet, zset::Inserted},
    wrong_arity,
};
use pops::End;
use ranges::By;

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);
/// `WITHSCORE` is new.
const RANK: Flags = READ_FAST.and(Flags::LONGER_ON_VALKEY);
const WRITE: Flags = Flags::WRITE;
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const WAIT: Flags = WRITE_FAST.and(Flags::NOSCRIPT_ON_REDIS);
const GROW: Flags = Flags::WRITE.and(Flags::DENYOOM);
const GROW_FAST: Flags = GROW.and(Flags::FAST);
const FIRST: Keys = Keys::FIRST;
const TWO_KEYS: Keys = Keys::Range { first: 1, last: 2, step: 1 };
const ALL_BUT_LAST: Keys = Keys::Range { first: 1, last: -2, step: 1 };

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    Command::new("ZADD", -4, GROW_FAST, add).on(FIRST),
    Command::new("ZINCRBY", 4, GROW_FAST, increase).on(FIRST),
    Command::new("ZREM", -3, WRITE_FAST, remove).on(FIRST),
    Command::new("ZSCORE", 3, READ_FAST, score).on(FIRST),
    Command::new("ZMSCORE", -3, READ_FAST, scores).on(FIRST),
    Command::new("ZCARD", 2, READ_FAST, length).on(FIRST),
    Command::new("ZRANK", -3, RANK, |cx| rank(cx, false)).on(FIRST),
    Command::new("ZREVRANK", -3, RANK, |cx| rank(cx, true)).on(FIRST),
    Command::new("ZPOPMIN", -2, WRITE_FAST, |cx| pops::pop(cx, End::Min)).on(FIRST),
    Command::new("ZPOPMAX", -2, WRITE_FAST, |cx| pops::pop(cx, End::Max)).on(FIRST),
    Command::new("ZMPOP", -4, WRITE, pops::pop_from_first).on(Keys::Counted(1)),
    Command::new("BZPOPMIN", -3, WAIT, |cx| pops::wait_and_pop(cx, End::Min)).on(ALL_BUT_LAST),
    Command::new("BZPOPMAX", -3, WAIT, |cx| pops::wait_and_pop(cx, End::Max)).on(ALL_BUT_LAST),
    Command::new("BZMPOP", -5, WRITE, pops::wait_and_pop_from_first).on(Keys::Counted(2)),
    Command::new("ZSCAN", -3, READ, scan).on(FIRST),
    Command::new("ZRANDMEMBER", -2, READ, random_members).on(FIRST),

    Command::new("ZCOUNT", 4, READ_FAST, |cx| ranges::count(cx, By::Score)).on(FIRST),
    Command::new("ZLEXCOUNT", 4, READ_FAST, |cx| ranges::count(cx, By::Lex)).on(FIRST),
    Command::new("ZRANGE", -4, READ, |cx| ranges::list(cx, None, None)).on(FIRST),
    Command::new("ZREVRANGE", -4, READ, |cx| ranges::list(cx, Some(By::Rank), Some(true))).on(FIRST),
    Command::new("ZRANGEBYSCORE", -4, READ, |cx| ranges::list(cx, Some(By::Score), Some(false))).on(FIRST),
    Command::new("ZREVRANGEBYSCORE", -4, READ, |cx| ranges::list(cx, Some(By::Score), Some(true))).on(FIRST),
    Command::new("ZRANGEBYLEX", -4, READ, |cx| ranges::list(cx, Some(By::Lex), Some(false))).on(FIRST),
    Command::new("ZREVRANGEBYLEX", -4, READ, |cx| ranges::list(cx, Some(By::Lex), Some(true))).on(FIRST),
    Command::new("ZRANGESTORE", -5, GROW.and(Flags::LOOKS), ranges::store).on(TWO_KEYS),
    Command::new("ZREMRANGEBYRANK", 4, WRITE, |cx| ranges::remove(cx, By::Rank)).on(FIRST),
    Command::new("ZREMRANGEBYSCORE", 4, WRITE, |cx| ranges::remove(cx, By::Score)).on(FIRST),
    Command::new("ZREMRANGEBYLEX", 4, WRITE, |cx| ranges::remove(cx, By::Lex)).on(FIRST),

    Command::new("ZUNION", -3, READ.and(Flags::LINEAR), |cx| algebra::list(cx, algebra::UNION)).on(Keys::Counted(1)),
    Command::new("ZINTER", -3, READ.and(Flags::LINEAR), |cx| algebra::list(cx, algebra::INTERSECTION)).on(Keys::Counted(1)),
    Command::new("ZDIFF", -3, READ.and(Flags::LINEAR), |cx| algebra::list(cx, algebra::DIFFERENCE)).on(Keys::Counted(1)),
    Command::new("ZUNIONSTORE", -4, GROW.and(Flags::LINEAR).and(Flags::LOOKS), |cx| algebra::store(cx, algebra::UNION)).on(Keys::Counted(2)),
    Command::new("ZINTERSTORE", -4, GROW.and(Flags::LINEAR).and(Flags::LOOKS), |cx| algebra::store(cx, algebra::INTERSECTION)).on(Keys::Counted(2)),
    Command::new("ZDIFFSTORE", -4, GROW.and(Flags::LINEAR).and(Flags::LOOKS), |cx| algebra::store(cx, algebra::DIFFERENCE)).on(Keys::Counted(2)),
    Command::new("ZINTERCARD", -3, READ.and(Flags::LINEAR), algebra::count_intersection).on(Keys::Counted(1)),
];

const NOT_A_NUMBER: ErrorReply = ErrorReply::new("ERR resulting score is not a number (NaN)");

/// The options of ZADD.
#[derive(Clone, Copy, Debug, Default)]
struct AddOptions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
    /// CH: count changes, not additions.
    changes: bool,
    /// INCR: add to the score, and answer with it.
    increase: bool,
}

impl AddOptions {
    /// Reads more options and returns them all with the pairs of scores and members that follow.
    fn parse<'a>(mut self, cx: &Context<'a>) -> Result<(Self, &'a [&'a [u8]]), ErrorReply> {
        let mut rest = &cx.args[2..];
        while let Some((word, after)) = rest.split_first() {
            let option = match word {
                word if is(word, "NX") => &mut self.nx,
                word if is(word, "XX") => &mut self.xx,
                word if is(word, "GT") => &mut self.gt,
                word if is(word, "LT") => &mut self.lt,
                word if is(word, "CH") => &mut self.changes,
                word if is(word, "INCR") => &mut self.increase,
                _ => break,
            };
            *option = true;
            rest = after;
        }
        if rest.is_empty() || !rest.len().is_multiple_of(2) {
            return Err(SYNTAX);
        }
        self.check(rest.len() / 2)?;
        Ok((self, rest))
    }

    fn check(self, pairs: usize) -> Result<(), ErrorReply> {
        let Self { nx, xx, gt, lt, .. } = self;
        if nx && xx {
            return Err(ErrorReply::new("ERR XX and NX options at the same time are not compatible"));
        }
        if [nx, gt, lt].into_iter().filter(|&given| given).count() > 1 {
            return Err(ErrorReply::new("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if self.increase && pairs > 1 {
            return Err(ErrorReply::new("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// The score that a member gets, if it gets one.
    fn new_score(self, old: Option<f64>, given: f64) -> Result<Option<f64>, ErrorReply> {
        let Some(old) = old else { return Ok((!self.xx).then_some(given)) };
        if self.nx {
            return Ok(None);
        }
        let score = if self.increase { old + given } else { given };
        if score.is_nan() {
            return Err(NOT_A_NUMBER);
        }
        let refused = (self.gt && score <= old) || (self.lt && score >= old);
        Ok((!refused).then_some(score))
    }
}

fn add(cx: &mut Context<'_>) -> CommandResult {
    add_with(cx, AddOptions::default())
}

/// ZINCRBY is ZADD INCR by another name: it even takes ZADD's options where its increment should be.
fn increase(cx: &mut Context<'_>) -> CommandResult {
    add_with(cx, AddOptions { increase: true, ..AddOptions::default() })
}

/// Sets scores, with the options given as arguments on top of those that the command implies.
fn add_with(cx: &mut Context<'_>, implied: AddOptions) -> CommandResult {
    let (options, pairs) = implied.parse(cx)?;
    let key = cx.arg(1);
    // All scores are checked before the first is set.
    for pair in pairs.chunks_exact(2) {
        number::parse_f64(pair[0])?;
    }
    let nothing_set = if options.increase { Reply::Null } else { Reply::Int(0) };
    let zset = if options.xx {
        let Some(zset) = cx.write::<SortedSet>(key)? else { return Ok(nothing_set) };
        zset
    } else {
        cx.write_or_new::<SortedSet>(key)?
    };
    let (mut added, mut moved, mut last_set) = (0, 0, None);
    for pair in pairs.chunks_exact(2) {
        let member = pair[1];
        let given = number::parse_f64(pair[0])?;
        let Some(score) = options.new_score(zset.score(member), given)? else { continue };
        last_set = Some(score);
        match zset.insert(member, score) {
            Inserted::Added => added += 1,
            Inserted::Moved => moved += 1,
            Inserted::Unchanged => {}
        }
    }
    if added + moved > 0 {
        cx.propagate();
    }
    Ok(match last_set {
        _ if !options.increase => Reply::Int(if options.changes { added + moved } else { added }),
        Some(score) => Reply::Double(score),
        None => nothing_set,
    })
}

fn remove(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    let members = &cx.args[2..];
    let Some(zset) = cx.write::<SortedSet>(key)? else { return Ok(Reply::Int(0)) };
    let removed = members.iter().filter(|member| zset.remove(member).is_some()).count();
    let is_empty = zset.is_empty();
    cx.remove_emptied(key, is_empty);
    if removed > 0 {
        cx.propagate();
    }
    Ok(Reply::Int(removed as i64))
}

fn score(cx: &mut Context<'_>) -> CommandResult {
    let (key, member) = (cx.arg(1), cx.arg(2));
    let zset = cx.read::<SortedSet>(key)?;
    Ok(score_reply(zset, member))
}

fn scores(cx: &mut Context<'_>) -> CommandResult {
    let members = &cx.args[2..];
    let zset = cx.read::<SortedSet>(cx.arg(1))?;
    Ok(Reply::Array(members.iter().map(|member| score_reply(zset, member)).collect()))
}

fn score_reply(zset: Option<&SortedSet>, member: &[u8]) -> Reply {
    zset.and_then(|zset| zset.score(member)).map_or(Reply::Null, Reply::Double)
}

fn length(cx: &mut Context<'_>) -> CommandResult {
    let zset = cx.read::<SortedSet>(cx.arg(1))?;
    Ok(Reply::Int(zset.map_or(0, SortedSet::len) as i64))
}

fn rank(cx: &mut Context<'_>, reverse: bool) -> CommandResult {
    let (key, member) = (cx.arg(1), cx.arg(2));
    let with_score = match cx.args {
        [_, _, _] => false,
        [_, _, _, word] if is(word, "WITHSCORE") => true,
        [_, _, _, _] => return Err(SYNTAX),
        _ => return Err(wrong_arity(&parse::command_name(cx))),
    };
    let zset = cx.read::<SortedSet>(key)?;
    let found = zset.and_then(|zset| {
        let rank = zset.rank(member)?;
        Some((if reverse { zset.len() - 1 - rank } else { rank }, zset.score(member)?))
    });
    Ok(match found {
        Some((rank, score)) if with_score => {
            Reply::Array(vec![Reply::Int(rank as i64), Reply::Double(score)])
        }
        Some((rank, _)) => Reply::Int(rank as i64),
        None if with_score => Reply::NullArray,
        None => Reply::Null,
    })
}

fn scan(cx: &mut Context<'_>) -> CommandResult {
    let cursor = scan::cursor(cx.arg(2), cx.engine.dialect())?;
    let options = scan::Options::parse(cx, 3, Extra::NoScores);
    let (dialect, limits) = (cx.engine.dialect(), cx.engine.config.compact);
    let Some(zset) = cx.read::<SortedSet>(cx.arg(1))? else { return scan::reply(0, Vec::new()) };
    let options = options?;
    let is_compact = limits.holds_zset(zset);
    let score_kept = |score: f64| {
        // A listpack keeps a whole score as an integer, and a scan shows what is kept.
        let is_kept_whole = is_compact && score.trunc() == score && score.abs() <= (i64::MAX / 2) as f64;
        match is_kept_whole {
            true => (score as i64).to_string(),
            false => number::format_double(score, dialect),
        }
    };
    let (slots, next) = options.page(cursor, zset.len(), is_compact);
    let looked_at = slots.len();
    let mut elements = Vec::new();
    let mut add = |(member, score): (&Bytes, f64)| {
        if options.matches(member) {
            elements.push(Reply::Bulk(member.clone()));
            if !options.no_scores {
                elements.push(Reply::bulk(score_kept(score)));
            }
        }
    };
    match is_compact {
        true => zset.iter().for_each(&mut add),
        false => slots.filter_map(|slot| zset.at_slot(slot)).for_each(&mut add),
    }
    cx.pay(looked_at);
    scan::reply(next, elements)
}

fn random_members(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    if cx.args.len() == 2 {
        let len = cx.read::<SortedSet>(key)?.map_or(0, SortedSet::len);
        let pick = cx.engine.random.index(len);
        let member = cx.read::<SortedSet>(key)?.and_then(|zset| zset.at_slot(pick));
        return Ok(Reply::bulk_or_null(member.map(|(member, _)| member)));
    }
    let count = parse::sample_count(cx.arg(2))?;
    let with_scores = match cx.args.get(3) {
        None => false,
        Some(word) if is(word, "WITHSCORES") && cx.args.len() == 4 => true,
        Some(_) => return Err(SYNTAX),
    };
    let sample = parse::sample(count, if with_scores { 2 } else { 1 })?;
    let len = cx.read::<SortedSet>(key)?.map_or(0, SortedSet::len);
    let protocol = cx.session.protocol;
    if matches!(sample, Sample::Distinct(count) if count >= len) {
        // No choice: all of them, as a server walks them, from the end.
        let zset = cx.read::<SortedSet>(key)?;
        let all = zset.into_iter().flat_map(|zset| zset.iter().rev());
        return Ok(shape::members(protocol, with_scores, all.map(|(member, score)| (member.clone(), score))));
    }
    let picks = sample.draw(cx, len);
    let zset = cx.read::<SortedSet>(key)?;
    let picked = picks.into_iter().filter_map(|pick| zset?.at_slot(pick));
    Ok(shape::members(protocol, with_scores, picked.map(|(member, score)| (member.clone(), score))))
}
