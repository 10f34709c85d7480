//! Strings.

use bytes::Bytes;

use super::{
    Command, Flags, Keys,
    expiry::Form,
    parse::{self, Words, command_name, is},
};
use crate::engine::{
    CommandResult, Context, Dialect, ErrorReply, Reply, SYNTAX, UnixMillis, WRONG_TYPE,
    number::{self, extended},
    value::{Encoding, Value},
    wrong_arity,
};

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);
const GROW: Flags = Flags::WRITE.and(Flags::DENYOOM);
const GROW_FAST: Flags = GROW.and(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const EVERY_OTHER: Keys = Keys::Range { first: 1, last: -1, step: 2 };

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("GET", 2, READ_FAST, get).on(Keys::FIRST),
    Command::new("SET", -3, GROW, set).on(Keys::FIRST),
    Command::new("SETNX", 3, GROW_FAST, set_if_free).on(Keys::FIRST),
    Command::new("SETEX", 4, GROW, |cx| set_expiring(cx, Form::EX)).on(Keys::FIRST),
    Command::new("PSETEX", 4, GROW, |cx| set_expiring(cx, Form::PX)).on(Keys::FIRST),
    Command::new("GETSET", 3, GROW_FAST.and(Flags::LOOKS), get_and_set).on(Keys::FIRST),
    Command::new("GETEX", -2, WRITE_FAST.and(Flags::LOOKS), get_and_expire).on(Keys::FIRST),
    Command::new("GETDEL", 2, WRITE_FAST.and(Flags::LOOKS), get_and_delete).on(Keys::FIRST),
    Command::new("MGET", -2, READ_FAST, get_many).on(Keys::ALL),
    Command::new("MSET", -3, GROW, set_many).on(EVERY_OTHER),
    Command::new("MSETNX", -3, GROW, set_many_if_free).on(EVERY_OTHER),
    Command::new("APPEND", 3, GROW_FAST, append).on(Keys::FIRST),
    Command::new("STRLEN", 2, READ_FAST, length).on(Keys::FIRST),
    Command::new("GETRANGE", 4, READ, get_range).on(Keys::FIRST),
    Command::new("SUBSTR", 4, READ, get_range).on(Keys::FIRST),
    Command::new("SETRANGE", 4, GROW, set_range).on(Keys::FIRST),
    Command::new("INCR", 2, GROW_FAST, |cx| add(cx, 1)).on(Keys::FIRST),
    Command::new("DECR", 2, GROW_FAST, |cx| add(cx, -1)).on(Keys::FIRST),
    Command::new("INCRBY", 3, GROW_FAST, add_given).on(Keys::FIRST),
    Command::new("DECRBY", 3, GROW_FAST, subtract_given).on(Keys::FIRST),
    Command::new("INCRBYFLOAT", 3, GROW_FAST, add_float).on(Keys::FIRST),
];

const TOO_LONG: ErrorReply = ErrorReply::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

fn get(cx: &mut Context<'_>) -> CommandResult {
    let value = cx.read::<Bytes>(cx.arg(1))?;
    Ok(Reply::bulk_or_null(value))
}

/// What the options of SET and GETEX say about the expiry.
#[derive(Clone, Copy, Debug, Default)]
enum Lifetime<'a> {
    /// Nothing: SET drops the expiry, GETEX leaves it.
    #[default]
    Unsaid,
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Persist,
    /// EX, PX, EXAT or PXAT with its number.
    Until(Form, &'a [u8]),
}

/// The options of SET.
#[derive(Clone, Copy, Debug, Default)]
struct SetOptions<'a> {
    nx: bool,
    xx: bool,
    get: bool,
    lifetime: Lifetime<'a>,
}

impl<'a> SetOptions<'a> {
    fn parse(cx: &Context<'a>) -> Result<Self, ErrorReply> {
        let mut options = Self::default();
        let mut words = Words::from(cx, 3);
        while let Some(word) = words.next() {
            let lifetime_unsaid = matches!(options.lifetime, Lifetime::Unsaid);
            if is(word, "NX") && !options.xx {
                options.nx = true;
            } else if is(word, "XX") && !options.nx {
                options.xx = true;
            } else if is(word, "GET") {
                options.get = true;
            } else if is(word, "KEEPTTL") && (lifetime_unsaid || matches!(options.lifetime, Lifetime::Keep)) {
                options.lifetime = Lifetime::Keep;
            } else if let Some(form) = Form::of_option(word).filter(|_| lifetime_unsaid) {
                options.lifetime = Lifetime::Until(form, words.value()?);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }

    fn is_plain(&self) -> bool {
        !self.nx && !self.xx && !self.get
    }
}

fn set(cx: &mut Context<'_>) -> CommandResult {
    let (key, value) = (cx.arg(1), cx.arg(2));
    let options = SetOptions::parse(cx)?;
    let until = match options.lifetime {
        Lifetime::Until(form, text) => Some(form.positive_deadline(cx, text)?),
        _ => None,
    };
    let keeps = matches!(options.lifetime, Lifetime::Keep);
    let mut expires_at = until;
    let mut reply = Reply::OK;
    if keeps || !options.is_plain() {
        if options.get {
            let is_there = cx.exists(key);
            cx.engine.count_lookup(key, is_there);
        }
        let old = cx.db(key).get(key);
        if options.get {
            reply = match old.map(|entry| &entry.value) {
                None => Reply::Null,
                Some(Value::String(old)) => Reply::Bulk(old.clone()),
                Some(_) => return Err(WRONG_TYPE),
            };
        }
        if (options.nx && old.is_some()) || (options.xx && old.is_none()) {
            return Ok(if options.get { reply } else { Reply::Null });
        }
        if keeps {
            expires_at = old.and_then(|entry| entry.expires_at);
        }
    }
    if cx.engine.dialect() == Dialect::Valkey8 && until.is_some_and(|until| until <= cx.now_ms()) {
        // What would end at once is not written at all.
        if cx.exists(key) {
            cx.engine.expire(key, cx.effects);
        }
        return Ok(reply);
    }
    put(cx, key, value, expires_at);
    match until {
        Some(until) => propagate_until(cx, key, value, until),
        None => cx.effects.extend(cx.args.iter().copied().enumerate().filter_map(|(index, arg)| {
            // What GET answers does not concern a replica.
            (index < 3 || !is(arg, "GET")).then_some(arg)
        })),
    }
    Ok(reply)
}

/// Puts a string under a key.
fn put(cx: &mut Context<'_>, key: &[u8], value: &[u8], expires_at: Option<UnixMillis>) {
    let value = Value::String(Bytes::copy_from_slice(value));
    cx.db(key).insert(Bytes::copy_from_slice(key), value, expires_at);
}

fn propagate_until(cx: &mut Context<'_>, key: &[u8], value: &[u8], until: UnixMillis) {
    cx.propagate_as(&[b"SET", key, value, b"PXAT", until.to_string().as_bytes()]);
}

fn set_if_free(cx: &mut Context<'_>) -> CommandResult {
    let (key, value) = (cx.arg(1), cx.arg(2));
    if cx.exists(key) {
        return Ok(Reply::Int(0));
    }
    put(cx, key, value, None);
    cx.propagate();
    Ok(Reply::Int(1))
}

/// SETEX and PSETEX.
fn set_expiring(cx: &mut Context<'_>, form: Form) -> CommandResult {
    let (key, value) = (cx.arg(1), cx.arg(3));
    let until = form.positive_deadline(cx, cx.arg(2))?;
    put(cx, key, value, Some(until));
    propagate_until(cx, key, value, until);
    Ok(Reply::OK)
}

fn get_and_set(cx: &mut Context<'_>) -> CommandResult {
    let (key, value) = (cx.arg(1), cx.arg(2));
    let old = Reply::bulk_or_null(cx.read::<Bytes>(key)?);
    put(cx, key, value, None);
    cx.propagate_as(&[b"SET", key, value]);
    Ok(old)
}

fn get_and_expire(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    let mut lifetime = Lifetime::Unsaid;
    let mut words = Words::from(cx, 2);
    while let Some(word) = words.next() {
        let unsaid = matches!(lifetime, Lifetime::Unsaid);
        lifetime = if is(word, "PERSIST") && (unsaid || matches!(lifetime, Lifetime::Persist)) {
            Lifetime::Persist
        } else if let Some(form) = Form::of_option(word).filter(|_| unsaid) {
            Lifetime::Until(form, words.value()?)
        } else {
            return Err(SYNTAX);
        };
    }
    let Some(value) = cx.read::<Bytes>(key)? else { return Ok(Reply::Null) };
    let reply = Reply::Bulk(value.clone());
    match lifetime {
        Lifetime::Until(form, text) => {
            let until = form.positive_deadline(cx, text)?;
            if until <= cx.now_ms() {
                cx.engine.expire(key, cx.effects);
            } else {
                cx.engine.db.set_expiry(key, Some(until));
                cx.propagate_as(&[b"PEXPIREAT", key, until.to_string().as_bytes()]);
            }
        }
        Lifetime::Persist if cx.engine.db.get(key).is_some_and(|entry| entry.expires_at.is_some()) => {
            cx.engine.db.set_expiry(key, None);
            cx.propagate_as(&[b"PERSIST", key]);
        }
        _ => {}
    }
    Ok(reply)
}

fn get_and_delete(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    let Some(value) = cx.read::<Bytes>(key)? else { return Ok(Reply::Null) };
    let reply = Reply::Bulk(value.clone());
    cx.engine.db.remove(key);
    cx.propagate_as(&[b"DEL", key]);
    Ok(reply)
}

/// MGET takes what is no string for absent.
fn get_many(cx: &mut Context<'_>) -> CommandResult {
    let keys = &cx.args[1..];
    let value = |key: &&[u8]| Reply::bulk_or_null(cx.read::<Bytes>(key).unwrap_or_default());
    Ok(Reply::Array(keys.iter().map(value).collect()))
}

fn set_many(cx: &mut Context<'_>) -> CommandResult {
    for (key, value) in key_value_pairs(cx)? {
        cx.telling_of_set(key, |cx| put(cx, key, value, None));
    }
    cx.propagate();
    Ok(Reply::OK)
}

fn set_many_if_free(cx: &mut Context<'_>) -> CommandResult {
    let pairs = key_value_pairs(cx)?;
    if pairs.clone().any(|(key, _)| cx.exists(key)) {
        return Ok(Reply::Int(0));
    }
    for (key, value) in pairs {
        put(cx, key, value, None);
    }
    cx.propagate();
    Ok(Reply::Int(1))
}

fn key_value_pairs<'a>(
    cx: &Context<'a>,
) -> Result<impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a>, ErrorReply> {
    let pairs = cx.args[1..].chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(wrong_arity(&command_name(cx)));
    }
    Ok(pairs.map(|pair| (pair[0], pair[1])))
}

fn append(cx: &mut Context<'_>) -> CommandResult {
    let (key, suffix) = (cx.arg(1), cx.arg(2));
    let longest = cx.engine.config.longest_bulk;
    let (value, encoding, is_new) = cx.write_text(key)?;
    if value.len() + suffix.len() > longest {
        return Err(TOO_LONG);
    }
    let joined = [value, suffix].concat();
    let len = joined.len();
    *value = joined.into();
    if !is_new {
        *encoding = Encoding::Raw;
    }
    cx.pay(len / 16);
    cx.propagate();
    Ok(Reply::Int(len as i64))
}

fn length(cx: &mut Context<'_>) -> CommandResult {
    let value = cx.read::<Bytes>(cx.arg(1))?;
    Ok(Reply::Int(value.map_or(0, Bytes::len) as i64))
}

/// GETRANGE and its old name SUBSTR.
fn get_range(cx: &mut Context<'_>) -> CommandResult {
    let (start, stop) = (parse::integer(cx, 2)?, parse::integer(cx, 3)?);
    let Some(value) = cx.read::<Bytes>(cx.arg(1))? else { return Ok(Reply::Bulk(Bytes::new())) };
    let first_of_all = start < 0 && stop < 0 && start > stop;
    let range = if first_of_all { 0..0 } else { byte_range(start, stop, value.len()) };
    Ok(Reply::Bulk(value.slice(range)))
}

/// As [`parse::index_range`], but an end before the first byte means the first byte.
fn byte_range(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let stop = if stop < 0 { stop.saturating_add(len as i64).max(0) } else { stop };
    parse::index_range(start, stop, len)
}

fn set_range(cx: &mut Context<'_>) -> CommandResult {
    let (key, patch) = (cx.arg(1), cx.arg(3));
    let Ok(offset) = usize::try_from(parse::integer(cx, 2)?) else {
        return Err(ErrorReply::new("ERR offset is out of range"));
    };
    let old_len = cx.read::<Bytes>(key)?.map_or(0, Bytes::len);
    if patch.is_empty() {
        return Ok(Reply::Int(old_len as i64));
    }
    let end = offset
        .checked_add(patch.len())
        .filter(|&end| end <= cx.engine.config.longest_bulk)
        .ok_or(TOO_LONG)?;
    let (value, encoding, _) = cx.write_text(key)?;
    *encoding = Encoding::Raw;
    let mut bytes = value.to_vec();
    bytes.resize(end.max(old_len), 0);
    bytes[offset..end].copy_from_slice(patch);
    let len = bytes.len();
    *value = bytes.into();
    cx.pay(len / 16);
    cx.grow(len - old_len);
    cx.propagate();
    Ok(Reply::Int(len as i64))
}

fn add_given(cx: &mut Context<'_>) -> CommandResult {
    add(cx, parse::integer(cx, 2)?)
}

fn subtract_given(cx: &mut Context<'_>) -> CommandResult {
    let by = parse::integer(cx, 2)?.checked_neg();
    add(cx, by.ok_or(ErrorReply::new("ERR decrement would overflow"))?)
}

fn add(cx: &mut Context<'_>, by: i64) -> CommandResult {
    let key = cx.arg(1);
    let sum = match cx.change_text(key)? {
        Some((value, encoding)) => {
            let sum = parse::add(number::parse_i64(value)?, by)?;
            (*value, *encoding) = (sum.to_string().into(), Encoding::Compact);
            sum
        }
        None => {
            put(cx, key, by.to_string().as_bytes(), None);
            by
        }
    };
    cx.propagate();
    Ok(Reply::Int(sum))
}

fn add_float(cx: &mut Context<'_>) -> CommandResult {
    let (key, by) = (cx.arg(1), cx.arg(2));
    let old = cx.read::<Bytes>(key)?.cloned().unwrap_or_else(|| Bytes::from_static(b"0"));
    let sum = Bytes::from(extended::add(&old, by)?);
    let (value, encoding, _) = cx.write_text(key)?;
    (*value, *encoding) = (sum.clone(), Encoding::Text);
    cx.propagate_as(&[b"SET", key, &sum, b"KEEPTTL"]);
    Ok(Reply::Bulk(sum))
}
