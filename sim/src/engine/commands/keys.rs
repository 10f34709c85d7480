//! Keys of any type, and their expiry.

use bytes::Bytes;

use super::{
    Command, Flags, Keys,
    expiry::Form,
    parse::{Words, is},
    reference, resolve,
    scan::{self, Extra},
};
use crate::engine::{
    CommandResult, Context, Dialect, Entry, ErrorReply, Reply, SYNTAX, UnixMillis, databases, glob, memory,
    value::Value,
};

const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const TWO_KEYS: Keys = Keys::Range { first: 1, last: 2, step: 1 };

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("EXISTS", -2, READ_FAST, count_existing).on(Keys::ALL),
    Command::new("TOUCH", -2, READ_FAST, count_existing).on(Keys::ALL),
    Command::new("DEL", -2, Flags::WRITE, delete).on(Keys::ALL),
    Command::new("UNLINK", -2, WRITE_FAST, delete).on(Keys::ALL),
    Command::new("TYPE", 2, READ_FAST, type_name).on(Keys::FIRST),
    Command::new("PERSIST", 2, WRITE_FAST, persist).on(Keys::FIRST),
    Command::new("EXPIRE", -3, WRITE_FAST, |cx| expire(cx, Form::EX)).on(Keys::FIRST),
    Command::new("PEXPIRE", -3, WRITE_FAST, |cx| expire(cx, Form::PX)).on(Keys::FIRST),
    Command::new("EXPIREAT", -3, WRITE_FAST, |cx| expire(cx, Form::EXAT)).on(Keys::FIRST),
    Command::new("PEXPIREAT", -3, WRITE_FAST, |cx| expire(cx, Form::PXAT)).on(Keys::FIRST),
    Command::new("TTL", 2, READ_FAST, |cx| time_left(cx, to_seconds)).on(Keys::FIRST),
    Command::new("PTTL", 2, READ_FAST, |cx| time_left(cx, |ms| ms)).on(Keys::FIRST),
    Command::new("EXPIRETIME", 2, READ_FAST, |cx| deadline(cx, to_seconds)).on(Keys::FIRST),
    Command::new("PEXPIRETIME", 2, READ_FAST, |cx| deadline(cx, |ms| ms)).on(Keys::FIRST),
    Command::new("COPY", -3, Flags::WRITE.and(Flags::DENYOOM).and(Flags::LOOKS), copy).on(TWO_KEYS),
    Command::new("MOVE", 3, WRITE_FAST, move_to).on(Keys::FIRST),
    Command::new("RENAME", 3, Flags::WRITE, rename).on(TWO_KEYS),
    Command::new("RENAMENX", 3, WRITE_FAST, rename_if_free).on(TWO_KEYS),
    Command::new("RANDOMKEY", 1, Flags::READONLY, random_key).on(Keys::None),
    Command::new("KEYS", 2, Flags::READONLY.and(Flags::LINEAR), keys).on(Keys::None),
    Command::new("SCAN", -2, Flags::READONLY, scan).on(Keys::None),
    Command::new("OBJECT", -2, Flags::NONE, resolve::container).containing(OBJECT),
];

/// The subcommands of OBJECT.
pub const OBJECT: &[Command] = &[
    Command::new("OBJECT|ENCODING", 3, Flags::READONLY, object_encoding).on(Keys::SECOND),
    Command::new("OBJECT|FREQ", 3, Flags::READONLY, object_freq).on(Keys::SECOND),
    Command::new("OBJECT|HELP", 2, Flags::NONE, reference::help),
    Command::new("OBJECT|IDLETIME", 3, Flags::READONLY, object_idletime).on(Keys::SECOND),
    Command::new("OBJECT|REFCOUNT", 3, Flags::READONLY, object_refcount).on(Keys::SECOND),
];

const SAME_OBJECT: ErrorReply = ErrorReply::new("ERR source and destination objects are the same");
const NO_SUCH_KEY: ErrorReply = ErrorReply::new("ERR no such key");

/// EXISTS and TOUCH.
fn count_existing(cx: &mut Context<'_>) -> CommandResult {
    let keys = &cx.args[1..];
    Ok(Reply::Int(keys.iter().filter(|key| cx.exists(key)).count() as i64))
}

/// DEL and UNLINK, which differ only in how long a real server takes.
fn delete(cx: &mut Context<'_>) -> CommandResult {
    let keys = &cx.args[1..];
    let mut removed = 0;
    for (nth, key) in keys.iter().enumerate() {
        if cx.db(key).remove(key).is_some() || cx.engine.remove_hidden(key) {
            removed += 1;
            cx.tell_of_deletion(key);
        } else {
            cx.engine.tracking.spare(key, &keys[..nth]);
        }
    }
    if removed > 0 {
        cx.propagate();
    }
    Ok(Reply::Int(removed))
}

fn type_name(cx: &mut Context<'_>) -> CommandResult {
    let name = cx.get(cx.arg(1)).map_or("none", |value| value.type_name());
    Ok(Reply::Status(name.into()))
}

fn persist(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    let db = cx.db(key);
    if db.get(key).is_none_or(|entry| entry.expires_at.is_none()) {
        return Ok(Reply::Int(0));
    }
    db.set_expiry(key, None);
    cx.propagate();
    Ok(Reply::Int(1))
}

/// The conditions of EXPIRE and its kin.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn parse(cx: &Context<'_>) -> Result<Self, ErrorReply> {
        let mut conditions = Self::default();
        for word in Words::from(cx, 3) {
            let condition = match word {
                word if is(word, "NX") => &mut conditions.nx,
                word if is(word, "XX") => &mut conditions.xx,
                word if is(word, "GT") => &mut conditions.gt,
                word if is(word, "LT") => &mut conditions.lt,
                word => {
                    return Err(format!("ERR Unsupported option {}", ErrorReply::quote(word)).into());
                }
            };
            *condition = true;
        }
        let Self { nx, xx, gt, lt } = conditions;
        if nx && (xx || gt || lt) {
            return Err(ErrorReply::new(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if gt && lt {
            return Err(ErrorReply::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// Whether a key with this expiry may get that one. No expiry counts as one that never comes.
    fn allow(self, current: Option<UnixMillis>, wanted: UnixMillis) -> bool {
        match current {
            None => !self.xx && !self.gt,
            Some(current) => !self.nx && (!self.gt || wanted > current) && (!self.lt || wanted < current),
        }
    }
}

fn expire(cx: &mut Context<'_>, form: Form) -> CommandResult {
    let key = cx.arg(1);
    let conditions = Conditions::parse(cx)?;
    let deadline = form.deadline(cx, cx.arg(2))?;
    let now = cx.now_ms();
    let db = cx.db(key);
    let Some(entry) = db.get(key) else { return Ok(Reply::Int(0)) };
    if !conditions.allow(entry.expires_at, deadline) {
        return Ok(Reply::Int(0));
    }
    if deadline <= now {
        cx.engine.expire(key, cx.effects);
        return Ok(Reply::Int(1));
    }
    db.set_expiry(key, Some(deadline));
    if form == Form::PXAT {
        cx.propagate();
    } else {
        let deadline = deadline.to_string();
        let absolute: [&[u8]; 3] = [b"PEXPIREAT", key, deadline.as_bytes()];
        cx.effects.extend(absolute.into_iter().chain(Words::from(&*cx, 3)));
    }
    Ok(Reply::Int(1))
}

/// Half a second is rounded up.
fn to_seconds(ms: i64) -> i64 {
    ms / 1_000 + i64::from(ms % 1_000 >= 500)
}

/// TTL and PTTL.
fn time_left(cx: &mut Context<'_>, unit: fn(i64) -> i64) -> CommandResult {
    let now = cx.now_ms();
    expiry(cx, |at| unit(at.0.saturating_sub(now.0).max(0)))
}

/// EXPIRETIME and PEXPIRETIME.
fn deadline(cx: &mut Context<'_>, unit: fn(i64) -> i64) -> CommandResult {
    expiry(cx, |at| unit(at.0))
}

/// What is to be said of a key's expiry; −1 if it has none, −2 if there is no key.
fn expiry(cx: &mut Context<'_>, say: impl FnOnce(UnixMillis) -> i64) -> CommandResult {
    let key = cx.arg(1);
    let entry = cx.db(key).get(key);
    Ok(Reply::Int(entry.map_or(-2, |entry| entry.expires_at.map_or(-1, say))))
}

fn copy(cx: &mut Context<'_>) -> CommandResult {
    let (source, target) = (cx.arg(1), cx.arg(2));
    let (mut replace, mut number) = (false, cx.selected());
    let mut words = Words::from(cx, 3);
    while let Some(word) = words.next() {
        if is(word, "REPLACE") {
            replace = true;
        } else if is(word, "DB") {
            number = databases::parse(words.value()?)?;
        } else {
            return Err(SYNTAX);
        }
    }
    if source == target && number == cx.selected() {
        return Err(SAME_OBJECT);
    }
    if !cx.exists(source) {
        return Ok(Reply::Int(0));
    }
    let Some(entry) = cx.engine.db.get(source).cloned() else { return Ok(Reply::Int(0)) };
    entry.use_at(cx.engine.db.now_s);
    cx.pay(entry.value.work());
    // Only the look at the source counts.
    cx.engine.lookups.is_counted = false;
    if cx.in_database(number, |cx| cx.exists(target)) && !replace {
        return Ok(Reply::Int(0));
    }
    cx.grow(memory::of_entry(target, &entry));
    cx.engine.database_mut(number).put(Bytes::copy_from_slice(target), entry);
    cx.propagate();
    Ok(Reply::Int(1))
}

/// MOVE: to another database, expiry included, unless there is such a key.
fn move_to(cx: &mut Context<'_>) -> CommandResult {
    let key = cx.arg(1);
    let number = databases::parse(cx.arg(2))?;
    if number == cx.selected() {
        return Err(SAME_OBJECT);
    }
    if !cx.exists(key) || cx.in_database(number, |cx| cx.exists(key)) {
        return Ok(Reply::Int(0));
    }
    if let Some(entry) = cx.engine.db.remove(key) {
        let entry = std::sync::Arc::unwrap_or_clone(entry);
        cx.engine.database_mut(number).put(Bytes::copy_from_slice(key), entry);
        cx.propagate();
    }
    Ok(Reply::Int(1))
}

fn rename(cx: &mut Context<'_>) -> CommandResult {
    let (source, target) = (cx.arg(1), cx.arg(2));
    if !cx.exists(source) {
        return Err(NO_SUCH_KEY);
    }
    if source != target {
        move_key(cx, source, target);
    }
    Ok(Reply::OK)
}

fn rename_if_free(cx: &mut Context<'_>) -> CommandResult {
    let (source, target) = (cx.arg(1), cx.arg(2));
    if !cx.exists(source) {
        return Err(NO_SUCH_KEY);
    }
    if cx.exists(target) {
        return Ok(Reply::Int(0));
    }
    move_key(cx, source, target);
    Ok(Reply::Int(1))
}

/// Moves an entry, its expiry included, over whatever is at the target.
fn move_key(cx: &mut Context<'_>, source: &[u8], target: &[u8]) {
    cx.drop_if_expired(target);
    let Some(entry) = cx.engine.db.remove(source) else { return };
    let entry = std::sync::Arc::unwrap_or_clone(entry);
    cx.engine.db.put(Bytes::copy_from_slice(target), entry);
    cx.propagate();
}

fn random_key(cx: &mut Context<'_>) -> CommandResult {
    while !cx.engine.db.is_empty() {
        let position = cx.engine.random.index(cx.engine.db.len());
        cx.pay(position);
        let Some(key) = cx.engine.db.iter().nth(position).map(|(key, _)| key.clone()) else { break };
        if cx.exists(&key) {
            return Ok(Reply::Bulk(key));
        }
    }
    Ok(Reply::Null)
}

/// KEYS shows no expired key and, unlike SCAN, removes none.
fn keys(cx: &mut Context<'_>) -> CommandResult {
    let (pattern, now) = (cx.arg(1), cx.now_ms());
    let visible = cx.engine.db.iter().filter(|(_, entry)| entry.expires_at.is_none_or(|at| now <= at));
    let matching = visible.map(|(key, _)| key).filter(|key| glob::matches(pattern, key));
    Ok(Reply::bulks(matching))
}

/// The place to go on from is the cursor.
fn scan(cx: &mut Context<'_>) -> CommandResult {
    let cursor = scan::cursor(cx.arg(1), cx.engine.dialect())?;
    let options = scan::Options::parse(cx, 2, Extra::Type)?;
    let db = &mut cx.engine.db;
    let ordered = if db.is_in_scan_order() { 0 } else { db.len() };
    let (page, next) = db.scan(cursor, options.count);
    cx.pay(ordered + page.len());
    let of_type = |value: &Value| options.type_name.is_none_or(|name| is(name, value.type_name()));
    // Only an expired key that is looked at goes: Valkey 8 tells its type without that.
    let peeks = cx.engine.dialect() == Dialect::Valkey8;
    let mut found = Vec::with_capacity(page.len());
    for key in page {
        let is_other = |entry: &Entry| peeks && !of_type(&entry.value);
        if !options.matches(&key) || cx.engine.db.get(&key).is_some_and(is_other) {
            continue;
        }
        if cx.get(&key).is_some_and(of_type) {
            found.push(Reply::Bulk(key));
        }
    }
    scan::reply(next, found)
}

fn object_encoding(cx: &mut Context<'_>) -> CommandResult {
    object(cx, |cx, entry| {
        Ok(Reply::bulk(entry.value.encoding(entry.encoding, cx.engine.dialect(), &cx.engine.config.compact)))
    })
}

fn object_refcount(cx: &mut Context<'_>) -> CommandResult {
    object(cx, |_, _| Ok(Reply::Int(1)))
}

const BY_FREQUENCY: ErrorReply = ErrorReply::new(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at \
     runtime LRU and LFU data will take some time to adjust.",
);
const NOT_BY_FREQUENCY: ErrorReply = ErrorReply::new(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between \
     policies at runtime LRU and LFU data will take some time to adjust.",
);

fn object_idletime(cx: &mut Context<'_>) -> CommandResult {
    object(cx, |cx, entry| {
        let idle_s = cx.engine.db.now_s.saturating_sub(entry.last_use_s());
        if cx.engine.evicts_by_frequency() { Err(BY_FREQUENCY) } else { Ok(Reply::Int(idle_s.into())) }
    })
}

fn object_freq(cx: &mut Context<'_>) -> CommandResult {
    let count = cx.engine.evicts_by_frequency().then(|| cx.use_count(cx.arg(2)));
    object(cx, |_, _| count.map(|count| Reply::Int(count.into())).ok_or(NOT_BY_FREQUENCY))
}

/// What is to be told of the value of a key, if it has one.
fn object(cx: &mut Context<'_>, tell: impl Fn(&Context<'_>, &Entry) -> CommandResult) -> CommandResult {
    let key = cx.arg(2);
    cx.drop_if_expired(key);
    let is_there = cx.engine.db.get(key).is_some();
    match is_there {
        true => cx.engine.stats.hits += 1,
        false => cx.engine.stats.misses += 1,
    }
    // How large a list is takes a look at its elements.
    if let Some(Value::List(list)) = cx.engine.db.get(key).map(|entry| &entry.value) {
        let elements = list.len();
        cx.pay(elements);
    }
    cx.engine.db.get(key).map_or(Ok(Reply::Null), |entry| tell(cx, entry))
}
