//! Sets and their algebra.

use bytes::Bytes;

use super::{
    Command, Flags, Keys,
    parse::{self, Words, is},
    scan::{self, Extra},
};
use crate::engine::{CommandResult, Context, Dialect, ErrorReply, Reply, SYNTAX, value::Set};

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const GROW: Flags = Flags::WRITE.and(Flags::DENYOOM);
const GROW_FAST: Flags = GROW.and(Flags::FAST);
const TWO_KEYS: Keys = Keys::Range { first: 1, last: 2, step: 1 };

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("SADD", -3, GROW_FAST, add).on(Keys::FIRST),
    Command::new("SREM", -3, WRITE_FAST, remove).on(Keys::FIRST),
    Command::new("SMEMBERS", 2, READ, members).on(Keys::FIRST),
    Command::new("SISMEMBER", 3, READ_FAST, is_member).on(Keys::FIRST),
    Command::new("SMISMEMBER", -3, READ_FAST, are_members).on(Keys::FIRST),
    Command::new("SCARD", 2, READ_FAST, length).on(Keys::FIRST),
    Command::new("SMOVE", 4, WRITE_FAST, move_member).on(TWO_KEYS),
    Command::new("SPOP", -2, WRITE_FAST, pop).on(Keys::FIRST),
    Command::new("SRANDMEMBER", -2, READ, random_members).on(Keys::FIRST),
    Command::new("SINTER", -2, READ.and(Flags::LINEAR), |cx| combine(cx, intersection)).on(Keys::ALL),
    Command::new("SUNION", -2, READ.and(Flags::LINEAR), |cx| combine(cx, union)).on(Keys::ALL),
    Command::new("SDIFF", -2, READ.and(Flags::LINEAR), |cx| combine(cx, difference)).on(Keys::ALL),
    Command::new("SINTERSTORE", -3, GROW.and(Flags::LINEAR).and(Flags::LOOKS), |cx| store(cx, intersection))
        .on(Keys::ALL),
    Command::new("SUNIONSTORE", -3, GROW.and(Flags::LINEAR).and(Flags::LOOKS), |cx| store(cx, union))
        .on(Keys::ALL),
    Command::new("SDIFFSTORE", -3, GROW.and(Flags::LINEAR).and(Flags::LOOKS), |cx| store(cx, difference))
        .on(Keys::ALL),
    Command::new("SINTERCARD", -3, READ.and(Flags::LINEAR), count_intersection).on(Keys::Counted(1)),
    Command::new("SSCAN", -3, READ, scan).on(Keys::FIRST),
];

fn add(cx: &mut Context<'_>) -> CommandResult {
    let members = &cx.args[2..];
    let set = cx.write_or_new::<Set>(cx.arg(1))?;
    let added = members.iter().filter(|member| set.insert(member)).count();
    if added > 0 {
        cx.propagate();
    }
    Ok(Reply::Int(added as i64))
}

fn remove(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    let members = &cx.args[2..];
    let Some(set) = cx.write::<Set>(key)? else { return Ok(Reply::Int(0)) };
    let removed = members.iter().filter(|member| set.remove(member)).count();
    let is_empty = set.is_empty();
    cx.remove_emptied(key, is_empty);
    if removed > 0 {
        cx.propagate();
    }
    Ok(Reply::Int(removed as i64))
}

fn members(cx: &mut Context<'_>) -> CommandResult {
    let set = cx.read::<Set>(cx.arg(1))?;
    Ok(set_reply(set.into_iter().flat_map(Set::iter)))
}

fn set_reply<'c>(members: impl Iterator<Item = &'c Bytes>) -> Reply {
    Reply::Set(members.cloned().map(Reply::Bulk).collect())
}

fn is_member(cx: &mut Context<'_>) -> CommandResult {
    let (key, member) = (cx.arg(1), cx.arg(2));
    let set = cx.read::<Set>(key)?;
    Ok(Reply::Int(set.is_some_and(|set| set.contains(member)).into()))
}

fn are_members(cx: &mut Context<'_>) -> CommandResult {
    let members = &cx.args[2..];
    let set = cx.read::<Set>(cx.arg(1))?;
    let is_member = |member: &&[u8]| Reply::Int(set.is_some_and(|set| set.contains(member)).into());
    Ok(Reply::Array(members.iter().map(is_member).collect()))
}

fn length(cx: &mut Context<'_>) -> CommandResult {
    let set = cx.read::<Set>(cx.arg(1))?;
    Ok(Reply::Int(set.map_or(0, Set::len) as i64))
}

fn move_member(cx: &mut Context<'_>) -> CommandResult {
    let (source, target, member) = (cx.arg(1), cx.arg(2), cx.arg(3));
    let Some(set) = cx.read::<Set>(source)? else { return Ok(Reply::Int(0)) };
    let is_there = set.contains(member);
    cx.read::<Set>(target)?;
    if !is_there || source == target {
        return Ok(Reply::Int(is_there.into()));
    }
    let Some(set) = cx.write::<Set>(source)? else { return Ok(Reply::Int(0)) };
    set.remove(member);
    let is_empty = set.is_empty();
    cx.remove_emptied(source, is_empty);
    if cx.write_or_new::<Set>(target)?.insert(member) {
        cx.touch(target);
    }
    cx.propagate();
    Ok(Reply::Int(1))
}

fn pop(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    let count = match cx.args {
        [_, _] => None,
        [_, _, count] => Some(parse::count(count)?),
        _ => return Err(SYNTAX),
    };
    let Some(set) = cx.read::<Set>(key)? else {
        return Ok(if count.is_some() { Reply::Set(Vec::new()) } else { Reply::Null });
    };
    let len = set.len();
    if count.is_some_and(|count| count >= len) {
        let all = set_reply(set.iter());
        cx.engine.db.remove(key);
        cx.propagate_as(&[cx.engine.deletion(), key]);
        return Ok(all);
    }
    let mut picks = cx.engine.random.indexes(count.unwrap_or(1), len);
    // From the back, so that no removal moves what is still to be removed.
    picks.sort_unstable_by(|a, b| b.cmp(a));
    let Some(set) = cx.write::<Set>(key)? else { return Ok(Reply::Null) };
    let popped: Vec<Bytes> = picks.into_iter().filter_map(|pick| set.remove_at(pick)).collect();
    let is_empty = set.is_empty();
    cx.remove_emptied(key, is_empty);
    propagate_removal(cx, key, &popped);
    Ok(match count {
        Some(_) => set_reply(popped.iter()),
        None => Reply::bulk_or_null(popped.first()),
    })
}

/// Random removals are propagated by name: all in one on Valkey 8, one by one on Redis 7.
fn propagate_removal(cx: &mut Context<'_>, key: &[u8], members: &[Bytes]) {
    let at_once = match cx.engine.dialect() {
        Dialect::Valkey8 => members.len().max(1),
        Dialect::Redis7 => 1,
    };
    for members in members.chunks(at_once) {
        cx.effects.extend([b"SREM", key].into_iter().chain(members.iter().map(|member| &member[..])));
    }
}

fn random_members(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    let sample = match cx.args {
        [_, _] => None,
        [_, _, count] => Some(parse::sample(parse::sample_count(count)?, 1)?),
        _ => return Err(SYNTAX),
    };
    let len = cx.read::<Set>(key)?.map_or(0, Set::len);
    let picks = sample.unwrap_or(parse::Sample::Repeating(1)).draw(cx, len);
    let set = cx.read::<Set>(key)?;
    let mut members = picks.into_iter().filter_map(|pick| set?.at(pick));
    Ok(match sample {
        Some(_) => Reply::bulks(members),
        None => Reply::bulk_or_null(members.next()),
    })
}

/// What combines sets; a key without a set counts as an empty one.
type Operation = fn(&[Option<&Set>]) -> Set;

fn union(sets: &[Option<&Set>]) -> Set {
    sets.iter().flatten().flat_map(|set| set.iter()).collect()
}

fn difference(sets: &[Option<&Set>]) -> Set {
    let Some((Some(first), others)) = sets.split_first() else { return Set::default() };
    let in_others = |member: &Bytes| others.iter().flatten().any(|other| other.contains(member));
    first.iter().filter(|member| !in_others(member)).collect()
}

fn intersection(sets: &[Option<&Set>]) -> Set {
    common_members(sets).collect()
}

/// The members that all sets have, in the order of the smallest.
fn common_members<'c>(sets: &[Option<&'c Set>]) -> impl Iterator<Item = &'c Bytes> {
    let mut all: Vec<&Set> = sets.iter().copied().collect::<Option<Vec<_>>>().unwrap_or_default();
    all.sort_by_key(|set| set.len());
    let smallest = all.first().copied();
    smallest
        .into_iter()
        .flat_map(Set::iter)
        .filter(move |member| all.iter().skip(1).all(|other| other.contains(member)))
}

fn combine(cx: &mut Context<'_>, operation: Operation) -> CommandResult {
    let sets = cx.read_all::<Set>(&cx.args[1..])?;
    Ok(set_reply(operation(&sets).iter()))
}

fn store(cx: &mut Context<'_>, operation: Operation) -> CommandResult {
    let target = cx.arg(1);
    let result = operation(&cx.read_all::<Set>(&cx.args[2..])?);
    let len = result.len();
    if cx.store(target, result, len == 0) {
        cx.propagate();
    }
    Ok(Reply::Int(len as i64))
}

fn count_intersection(cx: &mut Context<'_>) -> CommandResult {
    const TOO_MANY: ErrorReply = ErrorReply::new("ERR Number of keys can't be greater than number of args");
    const NEGATIVE: ErrorReply = ErrorReply::new("ERR LIMIT can't be negative");
    let mut words = Words::from(cx, 1);
    let keys =
        parse::counted_keys(&mut words).map_err(|error| if error == SYNTAX { TOO_MANY } else { error })?;
    let mut limit = 0;
    while let Some(word) = words.next() {
        if !is(word, "LIMIT") {
            return Err(SYNTAX);
        }
        limit = parse::count_or(words.value()?, NEGATIVE)?;
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    let sets = cx.read_all::<Set>(keys)?;
    Ok(Reply::Int(common_members(&sets).take(limit).count() as i64))
}

fn scan(cx: &mut Context<'_>) -> CommandResult {
    let cursor = scan::cursor(cx.arg(2), cx.engine.dialect())?;
    let options = scan::Options::parse(cx, 3, Extra::None);
    let (dialect, limits) = (cx.engine.dialect(), cx.engine.config.compact);
    let Some(set) = cx.read::<Set>(cx.arg(1))? else { return scan::reply(0, Vec::new()) };
    let options = options?;
    let (positions, next) = options.page(cursor, set.len(), limits.holds_set(set, dialect));
    let looked_at = positions.len();
    let members = positions.filter_map(|position| set.at(position)).filter(|member| options.matches(member));
    let members = members.cloned().map(Reply::Bulk).collect();
    cx.pay(looked_at);
    scan::reply(next, members)
}
