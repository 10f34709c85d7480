//! Unions, intersections and differences of sorted sets; a set takes part as one whose scores are all 1.

use bytes::Bytes;
use indexmap::IndexMap;

use super::super::{
    parse::{self, Words, command_name, is},
    shape,
};
use crate::engine::{
    CommandResult, Context, ErrorReply, Reply, SYNTAX, WRONG_TYPE, number,
    value::{FixedState, Set, SortedSet, Value},
};

/// An operation, and whether it has WEIGHTS and AGGREGATE.
#[derive(Clone, Copy)]
pub struct Operation {
    combine: fn(&[Source<'_>], Aggregate) -> SortedSet,
    weighs: bool,
}

/// ZUNION.
pub const UNION: Operation = Operation { combine: union, weighs: true };
/// ZINTER.
pub const INTERSECTION: Operation = Operation { combine: intersection, weighs: true };
/// ZDIFF.
pub const DIFFERENCE: Operation = Operation { combine: difference, weighs: false };

/// How the scores of one member in several sets become one.
#[derive(Clone, Copy, Debug, Default)]
enum Aggregate {
    #[default]
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn parse(word: &[u8]) -> Result<Self, ErrorReply> {
        match word {
            word if is(word, "SUM") => Ok(Self::Sum),
            word if is(word, "MIN") => Ok(Self::Min),
            word if is(word, "MAX") => Ok(Self::Max),
            _ => Err(SYNTAX),
        }
    }

    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Sum => number_or_zero(a + b),
            Self::Min => a.min(b),
            Self::Max => a.max(b),
        }
    }
}

/// ∞ − ∞ and 0 × ∞ are 0 here.
fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What an operation reads: a sorted set, a set, or nothing.
#[derive(Clone, Copy)]
struct Source<'c> {
    members: Members<'c>,
    weight: f64,
}

#[derive(Clone, Copy)]
enum Members<'c> {
    None,
    Set(&'c Set),
    SortedSet(&'c SortedSet),
}

impl<'c> Source<'c> {
    fn len(&self) -> usize {
        match self.members {
            Members::None => 0,
            Members::Set(set) => set.len(),
            Members::SortedSet(zset) => zset.len(),
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        let score = match self.members {
            Members::None => None,
            Members::Set(set) => set.contains(member).then_some(1.0),
            Members::SortedSet(zset) => zset.score(member),
        };
        score.map(|score| number_or_zero(self.weight * score))
    }

    fn for_each(&self, mut visit: impl FnMut(&'c Bytes, f64)) {
        let weigh = |score| number_or_zero(self.weight * score);
        match self.members {
            Members::None => {}
            Members::Set(set) => set.iter().for_each(|member| visit(member, weigh(1.0))),
            Members::SortedSet(zset) => zset.iter().for_each(|(member, score)| visit(member, weigh(score))),
        }
    }
}

/// The sources, smallest first: the order in which scores are added up.
fn smallest_first<'s, 'c>(sources: &'s [Source<'c>]) -> Vec<&'s Source<'c>> {
    let mut sorted: Vec<_> = sources.iter().collect();
    sorted.sort_by_key(|source| source.len());
    sorted
}

fn union(sources: &[Source<'_>], aggregate: Aggregate) -> SortedSet {
    let mut scores = IndexMap::<&Bytes, f64, FixedState>::default();
    for source in smallest_first(sources) {
        source.for_each(|member, score| {
            scores.entry(member).and_modify(|sum| *sum = aggregate.of(*sum, score)).or_insert(score);
        });
    }
    scores.into_iter().map(|(member, score)| (member.clone(), score)).collect()
}

fn intersection(sources: &[Source<'_>], aggregate: Aggregate) -> SortedSet {
    let sources = smallest_first(sources);
    let Some((smallest, others)) = sources.split_first() else { return SortedSet::default() };
    let mut result = SortedSet::default();
    smallest.for_each(|member, score| {
        let sum = others.iter().try_fold(score, |sum, other| Some(aggregate.of(sum, other.score(member)?)));
        if let Some(sum) = sum {
            result.insert(member, sum);
        }
    });
    result
}

fn difference(sources: &[Source<'_>], _: Aggregate) -> SortedSet {
    let Some((first, others)) = sources.split_first() else { return SortedSet::default() };
    let mut result = SortedSet::default();
    first.for_each(|member, score| {
        if others.iter().all(|other| other.score(member).is_none()) {
            result.insert(member, score);
        }
    });
    result
}

/// What a command asks for but the operation.
struct Query {
    result: SortedSet,
    with_scores: bool,
}

/// Reads keys and options from `numkeys` on and carries the operation out.
fn run(cx: &mut Context<'_>, index: usize, operation: Operation, lists: bool) -> Result<Query, ErrorReply> {
    let mut words = Words::from(cx, index);
    let keys = keys(cx, &mut words)?;
    let mut sources = sources(cx, keys)?;
    let (mut aggregate, mut with_scores) = (Aggregate::default(), false);
    while let Some(word) = words.next() {
        if operation.weighs && is(word, "WEIGHTS") {
            let weights = words.take_slice(sources.len()).ok_or(SYNTAX)?;
            for (source, weight) in sources.iter_mut().zip(weights) {
                source.weight = number::parse_f64(weight)
                    .map_err(|_| ErrorReply::new("ERR weight value is not a float"))?;
            }
        } else if operation.weighs && is(word, "AGGREGATE") {
            aggregate = Aggregate::parse(words.value()?)?;
        } else if lists && is(word, "WITHSCORES") {
            with_scores = true;
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(Query { result: (operation.combine)(&sources, aggregate), with_scores })
}

fn keys<'a>(cx: &Context<'_>, words: &mut Words<'a>) -> Result<&'a [&'a [u8]], ErrorReply> {
    let count = words.integer()?;
    if count < 1 {
        return Err(format!("ERR at least 1 input key is needed for '{}' command", command_name(cx)).into());
    }
    usize::try_from(count).ok().and_then(|count| words.take_slice(count)).ok_or(SYNTAX)
}

fn sources<'c>(cx: &'c mut Context<'_>, keys: &[&[u8]]) -> Result<Vec<Source<'c>>, ErrorReply> {
    for key in keys {
        match cx.get(key) {
            None | Some(Value::Set(_) | Value::SortedSet(_)) => {}
            Some(_) => return Err(WRONG_TYPE),
        }
    }
    let db = &cx.engine.db;
    let members = |key: &&[u8]| match db.get(key).map(|entry| &entry.value) {
        Some(Value::Set(set)) => Members::Set(set),
        Some(Value::SortedSet(zset)) => Members::SortedSet(zset),
        _ => Members::None,
    };
    Ok(keys.iter().map(|key| Source { members: members(key), weight: 1.0 }).collect())
}

/// ZUNION, ZINTER and ZDIFF.
pub fn list(cx: &mut Context<'_>, operation: Operation) -> CommandResult {
    let Query { result, with_scores } = run(cx, 1, operation, true)?;
    let members = result.iter().map(|(member, score)| (member.clone(), score));
    Ok(shape::members(cx.session.protocol, with_scores, members))
}

/// ZUNIONSTORE, ZINTERSTORE and ZDIFFSTORE.
pub fn store(cx: &mut Context<'_>, operation: Operation) -> CommandResult {
    let target = cx.arg(1);
    let Query { result, .. } = run(cx, 2, operation, false)?;
    let len = result.len();
    if cx.store(target, result, len == 0) {
        cx.propagate();
    }
    Ok(Reply::Int(len as i64))
}

/// ZINTERCARD.
pub fn count_intersection(cx: &mut Context<'_>) -> CommandResult {
    const NEGATIVE: ErrorReply = ErrorReply::new("ERR LIMIT can't be negative");
    let mut words = Words::from(cx, 1);
    let keys = keys(cx, &mut words)?;
    let sources = sources(cx, keys)?;
    let mut limit = 0;
    while let Some(word) = words.next() {
        if !is(word, "LIMIT") {
            return Err(SYNTAX);
        }
        limit = parse::count_or(words.value()?, NEGATIVE)?;
    }
    let sources = smallest_first(&sources);
    let mut count = 0;
    if let Some((smallest, others)) = sources.split_first() {
        smallest.for_each(|member, _| {
            let reached = limit != 0 && count == limit;
            if !reached && others.iter().all(|other| other.score(member).is_some()) {
                count += 1;
            }
        });
    }
    Ok(Reply::Int(count as i64))
}
