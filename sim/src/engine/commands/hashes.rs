//! Hashes.

use bytes::Bytes;

use super::{
    Command, Flags, Keys,
    parse::{self, command_name, is},
    scan::{self, Extra},
    shape,
};
use crate::engine::{
    CommandResult, Context, ErrorReply, NOT_A_FLOAT, Reply, SYNTAX,
    number::{self, extended},
    value::{self, Hash},
    wrong_arity,
};

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);
const GROW_FAST: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("HSET", -4, GROW_FAST, set).on(Keys::FIRST),
    Command::new("HMSET", -4, GROW_FAST, set_many).on(Keys::FIRST),
    Command::new("HSETNX", 4, GROW_FAST, set_if_free).on(Keys::FIRST),
    Command::new("HGET", 3, READ_FAST, get).on(Keys::FIRST),
    Command::new("HMGET", -3, READ_FAST, get_many).on(Keys::FIRST),
    Command::new("HGETALL", 2, READ, get_all).on(Keys::FIRST),
    Command::new("HDEL", -3, WRITE_FAST, delete).on(Keys::FIRST),
    Command::new("HLEN", 2, READ_FAST, length).on(Keys::FIRST),
    Command::new("HSTRLEN", 3, READ_FAST, value_length).on(Keys::FIRST),
    Command::new("HEXISTS", 3, READ_FAST, exists).on(Keys::FIRST),
    Command::new("HKEYS", 2, READ, fields).on(Keys::FIRST),
    Command::new("HVALS", 2, READ, values).on(Keys::FIRST),
    Command::new("HINCRBY", 4, GROW_FAST, add).on(Keys::FIRST),
    Command::new("HINCRBYFLOAT", 4, GROW_FAST, add_float).on(Keys::FIRST),
    Command::new("HSCAN", -3, READ, scan).on(Keys::FIRST),
    Command::new("HRANDFIELD", -2, READ, random_fields).on(Keys::FIRST),
];

/// Sets the fields given as arguments and returns how many are new.
fn set_fields(cx: &mut Context<'_>) -> Result<usize, ErrorReply> {
    let pairs = cx.args[2..].chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(wrong_arity(&command_name(cx)));
    }
    let hash = cx.write_or_new::<Hash>(cx.arg(1))?;
    let before = hash.len();
    for pair in pairs {
        set_field(hash, pair[0], Bytes::copy_from_slice(pair[1]));
    }
    let added = hash.len() - before;
    cx.propagate();
    Ok(added)
}

/// Sets a field; one that is there keeps its place.
fn set_field(hash: &mut Hash, field: &[u8], value: Bytes) {
    match hash.get_mut(field) {
        Some(old) => *old = value,
        None => {
            hash.insert(Bytes::copy_from_slice(field), value);
        }
    }
}

/// Takes a field away. The others keep their order as long as a real server keeps one; beyond that keeping it would
/// only cost time.
fn remove_field(hash: &mut Hash, field: &[u8]) -> bool {
    if hash.len() <= value::ORDERED_HASH_ENTRIES {
        hash.shift_remove(field).is_some()
    } else {
        hash.swap_remove(field).is_some()
    }
}

fn set(cx: &mut Context<'_>) -> CommandResult {
    set_fields(cx).map(|added| Reply::Int(added as i64))
}

fn set_many(cx: &mut Context<'_>) -> CommandResult {
    set_fields(cx).map(|_| Reply::OK)
}

fn set_if_free(cx: &mut Context<'_>) -> CommandResult {
    let (field, value) = (cx.arg(2), cx.arg(3));
    let hash = cx.write_or_new::<Hash>(cx.arg(1))?;
    if hash.contains_key(field) {
        return Ok(Reply::Int(0));
    }
    set_field(hash, field, Bytes::copy_from_slice(value));
    cx.propagate();
    Ok(Reply::Int(1))
}

/// The value of a field, if there is one.
fn field<'c>(cx: &'c mut Context<'_>) -> Result<Option<&'c Bytes>, ErrorReply> {
    let (key, field) = (cx.arg(1), cx.arg(2));
    Ok(cx.read::<Hash>(key)?.and_then(|hash| hash.get(field)))
}

fn get(cx: &mut Context<'_>) -> CommandResult {
    field(cx).map(Reply::bulk_or_null)
}

fn value_length(cx: &mut Context<'_>) -> CommandResult {
    Ok(Reply::Int(field(cx)?.map_or(0, Bytes::len) as i64))
}

fn exists(cx: &mut Context<'_>) -> CommandResult {
    Ok(Reply::Int(field(cx)?.is_some().into()))
}

fn get_many(cx: &mut Context<'_>) -> CommandResult {
    let fields = &cx.args[2..];
    let hash = cx.read::<Hash>(cx.arg(1))?;
    let value = |field: &&[u8]| Reply::bulk_or_null(hash.and_then(|hash| hash.get(*field)));
    Ok(Reply::Array(fields.iter().map(value).collect()))
}

fn get_all(cx: &mut Context<'_>) -> CommandResult {
    let hash = cx.read::<Hash>(cx.arg(1))?;
    let pair = |(field, value): (&Bytes, &Bytes)| (Reply::Bulk(field.clone()), Reply::Bulk(value.clone()));
    Ok(Reply::Map(hash.map_or_else(Vec::new, |hash| hash.iter().map(pair).collect())))
}

fn fields(cx: &mut Context<'_>) -> CommandResult {
    let hash = cx.read::<Hash>(cx.arg(1))?;
    Ok(Reply::bulks(hash.into_iter().flat_map(Hash::keys)))
}

fn values(cx: &mut Context<'_>) -> CommandResult {
    let hash = cx.read::<Hash>(cx.arg(1))?;
    Ok(Reply::bulks(hash.into_iter().flat_map(Hash::values)))
}

fn length(cx: &mut Context<'_>) -> CommandResult {
    let hash = cx.read::<Hash>(cx.arg(1))?;
    Ok(Reply::Int(hash.map_or(0, Hash::len) as i64))
}

fn delete(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    let fields = &cx.args[2..];
    let Some(hash) = cx.write::<Hash>(key)? else { return Ok(Reply::Int(0)) };
    let removed = fields.iter().filter(|field| remove_field(hash, field)).count();
    let is_empty = hash.is_empty();
    cx.remove_emptied(key, is_empty);
    if removed > 0 {
        cx.propagate();
    }
    Ok(Reply::Int(removed as i64))
}

fn add(cx: &mut Context<'_>) -> CommandResult {
    const NOT_AN_INTEGER: ErrorReply = ErrorReply::new("ERR hash value is not an integer");
    let (field, by) = (cx.arg(2), parse::integer(cx, 3)?);
    let hash = cx.write_or_new::<Hash>(cx.arg(1))?;
    let old = match hash.get(field) {
        Some(old) => number::read_i64(old).ok_or(NOT_AN_INTEGER)?,
        None => 0,
    };
    let sum = parse::add(old, by)?;
    set_field(hash, field, sum.to_string().into());
    cx.propagate();
    Ok(Reply::Int(sum))
}

fn add_float(cx: &mut Context<'_>) -> CommandResult {
    let (key, field, by) = (cx.arg(1), cx.arg(2), cx.arg(3));
    if extended::is_infinite(by)? {
        return Err(ErrorReply::new("ERR value is NaN or Infinity"));
    }
    let hash = cx.write_or_new::<Hash>(key)?;
    let old = hash.get(field).map_or(&b"0"[..], |old| old);
    let sum = Bytes::from(extended::add(old, by).map_err(|error| {
        if error == NOT_A_FLOAT { ErrorReply::new("ERR hash value is not a float") } else { error }
    })?);
    set_field(hash, field, sum.clone());
    cx.propagate_as(&[b"HSET", key, field, &sum]);
    Ok(Reply::Bulk(sum))
}

fn scan(cx: &mut Context<'_>) -> CommandResult {
    let cursor = scan::cursor(cx.arg(2), cx.engine.dialect())?;
    let options = scan::Options::parse(cx, 3, Extra::NoValues);
    let limits = cx.engine.config.compact;
    let Some(hash) = cx.read::<Hash>(cx.arg(1))? else { return scan::reply(0, Vec::new()) };
    let options = options?;
    let (positions, next) = options.page(cursor, hash.len(), limits.holds_hash(hash));
    let looked_at = positions.len();
    let mut elements = Vec::new();
    for (field, value) in positions.filter_map(|position| hash.get_index(position)) {
        if options.matches(field) {
            elements.push(Reply::Bulk(field.clone()));
            if !options.no_values {
                elements.push(Reply::Bulk(value.clone()));
            }
        }
    }
    cx.pay(looked_at);
    scan::reply(next, elements)
}

fn random_fields(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    if cx.args.len() == 2 {
        let len = cx.read::<Hash>(key)?.map_or(0, Hash::len);
        let pick = cx.engine.random.index(len);
        let field = cx.read::<Hash>(key)?.and_then(|hash| hash.get_index(pick));
        return Ok(Reply::bulk_or_null(field.map(|(field, _)| field)));
    }
    let count = parse::sample_count(cx.arg(2))?;
    let with_values = match cx.args.get(3) {
        None => false,
        Some(word) if is(word, "WITHVALUES") && cx.args.len() == 4 => true,
        Some(_) => return Err(SYNTAX),
    };
    let sample = parse::sample(count, if with_values { 2 } else { 1 })?;
    let len = cx.read::<Hash>(key)?.map_or(0, Hash::len);
    let picks = sample.draw(cx, len);
    let protocol = cx.session.protocol;
    let Some(hash) = cx.read::<Hash>(key)? else { return Ok(Reply::Array(Vec::new())) };
    let picked = picks.into_iter().filter_map(|pick| hash.get_index(pick));
    if with_values {
        Ok(shape::pairs(protocol, picked.map(|(field, value)| (field.clone(), Reply::Bulk(value.clone())))))
    } else {
        Ok(Reply::bulks(picked.map(|(field, _)| field)))
    }
}
