//! Ranges of sorted sets, by rank, by score and by name: to list, to count, to store and to remove.

use std::ops::Range;

use bytes::Bytes;

use super::super::{
    parse::{self, LexBound, Limit, ScoreBound, Words, is},
    shape,
};
use crate::engine::{CommandResult, Context, ErrorReply, Reply, SYNTAX, number, value::SortedSet};

/// What a range is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Positions.
    Rank,
    /// Scores.
    Score,
    /// Members, where all scores are equal.
    Lex,
}

/// Both ends of a range.
#[derive(Clone, Copy, Debug)]
enum Bounds<'a> {
    Rank(i64, i64),
    Score(ScoreBound, ScoreBound),
    Lex(LexBound<'a>, LexBound<'a>),
}

impl<'a> Bounds<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Self, ErrorReply> {
        Ok(match by {
            By::Rank => Self::Rank(number::parse_i64(min)?, number::parse_i64(max)?),
            By::Score => Self::Score(ScoreBound::parse(min)?, ScoreBound::parse(max)?),
            By::Lex => Self::Lex(LexBound::parse(min)?, LexBound::parse(max)?),
        })
    }

    /// The positions of the members within. Ranks count from the end if `reverse`.
    fn positions(self, zset: &SortedSet, reverse: bool) -> Range<usize> {
        match self {
            Self::Rank(start, stop) => {
                let range = parse::index_range(start, stop, zset.len());
                if reverse { zset.len() - range.end..zset.len() - range.start } else { range }
            }
            Self::Score(min, max) => {
                zset.positions(|_, score| min.excludes_below(score), |_, score| max.excludes_above(score))
            }
            Self::Lex(min, max) => {
                zset.positions(|member, _| min.excludes_below(member), |member, _| max.excludes_above(member))
            }
        }
    }
}

/// A whole ZRANGE, whatever it is called.
struct Query<'a> {
    key: &'a [u8],
    bounds: Bounds<'a>,
    reverse: bool,
    limit: Option<Limit>,
    with_scores: bool,
}

impl<'a> Query<'a> {
    /// Reads key, ends and options from the argument at `index` on. The older commands fix what the range is over
    /// and its direction; WITHSCORES is an option where members are listed.
    fn parse(
        cx: &Context<'a>,
        index: usize,
        by: Option<By>,
        reverse: Option<bool>,
        lists: bool,
    ) -> Result<Self, ErrorReply> {
        let (key, first, second) = (cx.arg(index), cx.arg(index + 1), cx.arg(index + 2));
        let (mut chosen_by, mut reversed) = (by, reverse);
        let (mut limit, mut with_scores) = (None, false);
        let mut words = Words::from(cx, index + 3);
        while let Some(word) = words.next() {
            if lists && is(word, "WITHSCORES") {
                with_scores = true;
            } else if is(word, "LIMIT") {
                limit = Some(Limit::parse(&mut words)?);
            } else if reversed.is_none() && is(word, "REV") {
                reversed = Some(true);
            } else if chosen_by.is_none() && is(word, "BYSCORE") {
                chosen_by = Some(By::Score);
            } else if chosen_by.is_none() && is(word, "BYLEX") {
                chosen_by = Some(By::Lex);
            } else {
                return Err(SYNTAX);
            }
        }
        let by = chosen_by.unwrap_or(By::Rank);
        if by == By::Rank && limit.take().is_some_and(|limit| !limit.is_absent()) {
            return Err(ErrorReply::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(ErrorReply::new(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let reverse = reversed.unwrap_or(false);
        // Read backwards, a range by score or name is given from its upper end.
        let (min, max) = if reverse && by != By::Rank { (second, first) } else { (first, second) };
        Ok(Self { key, bounds: Bounds::parse(by, min, max)?, reverse, limit, with_scores })
    }

    /// The positions asked for.
    fn positions(&self, zset: &SortedSet) -> Range<usize> {
        let positions = self.bounds.positions(zset, self.reverse);
        match self.limit {
            Some(limit) => limit.of(positions, self.reverse),
            None => positions,
        }
    }
}

/// ZRANGE and its older forms.
pub fn list(cx: &mut Context<'_>, by: Option<By>, reverse: Option<bool>) -> CommandResult {
    let query = Query::parse(cx, 1, by, reverse, true)?;
    let protocol = cx.session.protocol;
    let Some(zset) = cx.read::<SortedSet>(query.key)? else { return Ok(Reply::Array(Vec::new())) };
    let members = zset.range(query.positions(zset)).map(|(member, score)| (member.clone(), score));
    Ok(if query.reverse {
        shape::members(protocol, query.with_scores, members.rev())
    } else {
        shape::members(protocol, query.with_scores, members)
    })
}

/// ZRANGESTORE.
pub fn store(cx: &mut Context<'_>) -> CommandResult {
    let target = cx.arg(1);
    let query = Query::parse(cx, 2, None, None, false)?;
    let zset = cx.read::<SortedSet>(query.key)?;
    let members = zset.into_iter().flat_map(|zset| zset.range(query.positions(zset)));
    let result: SortedSet = members.map(|(member, score): (&Bytes, f64)| (member.clone(), score)).collect();
    let len = result.len();
    if cx.store(target, result, len == 0) {
        cx.propagate();
    }
    Ok(Reply::Int(len as i64))
}

/// ZCOUNT and ZLEXCOUNT.
pub fn count(cx: &mut Context<'_>, by: By) -> CommandResult {
    let bounds = Bounds::parse(by, cx.arg(2), cx.arg(3))?;
    let zset = cx.read::<SortedSet>(cx.arg(1))?;
    Ok(Reply::Int(zset.map_or(0, |zset| bounds.positions(zset, false).len()) as i64))
}

/// ZREMRANGEBYRANK, ZREMRANGEBYSCORE and ZREMRANGEBYLEX.
pub fn remove(cx: &mut Context<'_>, by: By) -> CommandResult {
    let key = cx.arg(1);
    let bounds = Bounds::parse(by, cx.arg(2), cx.arg(3))?;
    let Some(zset) = cx.write::<SortedSet>(key)? else { return Ok(Reply::Int(0)) };
    let positions = bounds.positions(zset, false);
    let removed = zset.remove_range(positions).len();
    let is_empty = zset.is_empty();
    cx.remove_emptied(key, is_empty);
    if removed > 0 {
        cx.propagate();
    }
    Ok(Reply::Int(removed as i64))
}
