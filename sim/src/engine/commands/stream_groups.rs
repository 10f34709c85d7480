//! Consumer groups of streams.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Command, Flags, Keys, reference, resolve,
    streams::{
        NO_SUCH_KEY, Read, by_stream, entry_reply, id_reply, interval_end, interval_start, named, parse_id,
        stream, stream_mut,
    },
};
use crate::engine::{
    CommandResult, Context, Dialect, ErrorReply, Reply, SYNTAX, UnixMillis,
    number::parse_i64,
    value::{
        Stream, Value,
        stream::{
            Group, StreamEntry, StreamId,
            group::{Consumer, Pending},
        },
    },
};

const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("XGROUP", -2, Flags::NONE, resolve::container).containing(XGROUP),
    Command::new("XREADGROUP", -7, Flags::WRITE.and(Flags::LOOKS), xreadgroup).on(Keys::Streams),
    Command::new("XACK", -4, WRITE_FAST.and(Flags::LOOKS), xack).on(Keys::FIRST),
    Command::new("XCLAIM", -6, WRITE_FAST.and(Flags::LOOKS), xclaim).on(Keys::FIRST),
    Command::new("XAUTOCLAIM", -6, WRITE_FAST.and(Flags::LOOKS), xautoclaim).on(Keys::FIRST),
    Command::new("XPENDING", -3, Flags::READONLY, xpending).on(Keys::FIRST),
];

/// The subcommands of XGROUP.
pub const XGROUP: &[Command] = &[
    Command::new("XGROUP|CREATE", -5, Flags::WRITE.and(Flags::DENYOOM), create).on(Keys::SECOND),
    Command::new("XGROUP|SETID", -5, Flags::WRITE, set_id).on(Keys::SECOND),
    Command::new("XGROUP|DESTROY", 4, Flags::WRITE, destroy).on(Keys::SECOND),
    Command::new("XGROUP|CREATECONSUMER", 5, Flags::WRITE.and(Flags::DENYOOM), create_consumer)
        .on(Keys::SECOND),
    Command::new("XGROUP|DELCONSUMER", 5, Flags::WRITE, delete_consumer).on(Keys::SECOND),
    Command::new("XGROUP|HELP", 2, Flags::NONE, reference::help),
];

const KEY_REQUIRED: ErrorReply = ErrorReply::new(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
     option to create an empty stream automatically.",
);

fn create(cx: &mut Context<'_>) -> CommandResult {
    let args = cx.args;
    let (make_stream, entries_read) = group_options(cx)?;
    let (key, name) = (cx.arg(2), Bytes::copy_from_slice(cx.arg(3)));
    if stream(cx, key)?.is_none() {
        if !make_stream {
            return Err(KEY_REQUIRED);
        }
        first_id(cx.arg(4), StreamId::MIN)?;
        cx.get_or_insert(key, || Value::Stream(Stream::default()));
        // A group that a stream gets is no change of it.
        cx.touch(key);
    }
    let stream = stream_mut(cx, key)?.ok_or(KEY_REQUIRED)?;
    let last_id = first_id(args[4], stream.last_id)?;
    if stream.groups.contains_key(&name) {
        return Err(ErrorReply::new("BUSYGROUP Consumer Group name already exists"));
    }
    stream.groups.insert(name, Group { last_id, entries_read, ..Group::default() });
    cx.propagate();
    Ok(Reply::OK)
}

fn set_id(cx: &mut Context<'_>) -> CommandResult {
    let args = cx.args;
    let (_, entries_read) = group_options(cx)?;
    let stream = stream_mut(cx, cx.arg(2))?.ok_or(KEY_REQUIRED)?;
    let newest = stream.last_id;
    let group = group_mut(stream, args[2], args[3])?;
    let last_id = start_id(args[4], newest)?;
    group.last_id = last_id;
    group.entries_read = entries_read;
    cx.propagate();
    Ok(Reply::OK)
}

/// Reads `[MKSTREAM] [ENTRIESREAD n]`.
fn group_options(cx: &Context<'_>) -> Result<(bool, Option<u64>), ErrorReply> {
    let mut options = &cx.args[5..];
    let creates = cx.arg(1).eq_ignore_ascii_case(b"CREATE");
    let (mut make_stream, mut entries_read) = (false, None);
    loop {
        options = match options {
            [] => return Ok((make_stream, entries_read)),
            [word, rest @ ..] if word.eq_ignore_ascii_case(b"MKSTREAM") && creates => {
                make_stream = true;
                rest
            }
            [word, count, rest @ ..] if word.eq_ignore_ascii_case(b"ENTRIESREAD") => {
                entries_read =
                    match parse_i64(count)? {
                        -1 => None,
                        count => Some(u64::try_from(count).map_err(|_| {
                            ErrorReply::new("ERR value for ENTRIESREAD must be positive or -1")
                        })?),
                    };
                rest
            }
            _ => return Err(cx.wrong_subcommand("XGROUP")),
        };
    }
}

/// Where a new group begins: unlike `SETID`, `CREATE` takes neither `-` nor `+`.
fn first_id(text: &[u8], last: StreamId) -> Result<StreamId, ErrorReply> {
    match text {
        b"$" => Ok(last),
        id => parse_id(id, 0),
    }
}

fn start_id(text: &[u8], last: StreamId) -> Result<StreamId, ErrorReply> {
    match text {
        b"$" => Ok(last),
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        id => parse_id(id, 0),
    }
}

fn destroy(cx: &mut Context<'_>) -> CommandResult {
    let name = cx.arg(3);
    let stream = stream_mut(cx, cx.arg(2))?.ok_or(KEY_REQUIRED)?;
    let existed = stream.groups.remove(name).is_some();
    if existed {
        cx.propagate();
    }
    Ok(Reply::Int(i64::from(existed)))
}

fn create_consumer(cx: &mut Context<'_>) -> CommandResult {
    let args = cx.args;
    let (now, consumer) = (cx.now_ms(), Bytes::copy_from_slice(cx.arg(4)));
    let stream = stream_mut(cx, cx.arg(2))?.ok_or(KEY_REQUIRED)?;
    let group = group_mut(stream, args[2], args[3])?;
    if group.consumers.contains_key(&consumer) {
        return Ok(Reply::Int(0));
    }
    group.see(&consumer, now);
    cx.propagate();
    Ok(Reply::Int(1))
}

fn delete_consumer(cx: &mut Context<'_>) -> CommandResult {
    let args = cx.args;
    let consumer = Bytes::copy_from_slice(cx.arg(4));
    let stream = stream_mut(cx, cx.arg(2))?.ok_or(KEY_REQUIRED)?;
    let group = group_mut(stream, args[2], args[3])?;
    if !group.consumers.contains_key(&consumer) {
        return Ok(Reply::Int(0));
    }
    let looked_at = group.pending.len();
    let dropped = group.remove_consumer(&consumer);
    cx.pay(looked_at);
    cx.propagate();
    Ok(Reply::Int(dropped as i64))
}

fn group_mut<'s>(stream: &'s mut Stream, key: &[u8], name: &[u8]) -> Result<&'s mut Group, ErrorReply> {
    stream.groups.get_mut(name).ok_or_else(|| {
        let text = ErrorReply::quote;
        format!("NOGROUP No such consumer group '{}' for key name '{}'", text(name), text(key)).into()
    })
}

/// A group that a command needs, in the words of those that take a key which need not exist.
fn required<'c>(
    cx: &'c mut Context<'_>,
    key: &[u8],
    name: &[u8],
    suffix: &str,
) -> Result<&'c mut Stream, ErrorReply> {
    let text = ErrorReply::quote;
    stream_mut(cx, key)?.filter(|stream| stream.groups.contains_key(name)).ok_or_else(|| {
        format!("NOGROUP No such key '{}' or consumer group '{}'{suffix}", text(key), text(name)).into()
    })
}

/// Entries given to a consumer, with all that is propagated about them.
fn propagate_claims(
    cx: &mut Context<'_>,
    key: &[u8],
    group: &[u8],
    claims: &[(StreamId, Pending)],
    last: StreamId,
) {
    for (id, pending) in claims {
        let id = id.to_string();
        let last = last.to_string();
        let (at, deliveries) = (pending.delivered_at.to_string(), pending.deliveries.to_string());
        cx.propagate_as(&[
            b"XCLAIM",
            key,
            group,
            &pending.consumer,
            b"0",
            id.as_bytes(),
            b"TIME",
            at.as_bytes(),
            b"RETRYCOUNT",
            deliveries.as_bytes(),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            last.as_bytes(),
        ]);
    }
}

fn xreadgroup(cx: &mut Context<'_>) -> CommandResult {
    let read = Read::parse(cx, true)?;
    let (group, consumer) = read.group.ok_or(ErrorReply::new("ERR Missing GROUP option for XREADGROUP"))?;
    let mut after = Vec::new();
    cx.engine.lookups.counts_all = true;
    for (key, id) in read.keys.iter().zip(read.ids) {
        required(cx, key, group, " in XREADGROUP with GROUP option")?;
        after.push(position(id, cx.engine.dialect())?);
    }
    let consumer = Bytes::copy_from_slice(consumer);
    let mut found = Vec::new();
    for (key, after) in read.keys.iter().zip(after) {
        let entries = match after {
            Some(after) => Some(read_again(cx, key, group, &consumer, after, read.count)?),
            None => read_new(cx, key, group, &consumer, &read)?,
        };
        if let Some(entries) = entries {
            found.push((Reply::bulk(key), Reply::Array(entries)));
        }
    }
    cx.engine.lookups.counts_all = false;
    match read.block_ms {
        _ if !found.is_empty() => Ok(by_stream(cx, found)),
        Some(timeout_ms) => Ok(cx.wait(timeout_ms, read.keys)),
        None => Ok(Reply::NullArray),
    }
}

/// `>` asks for what nobody has had (`None`), an id for what the consumer has not acknowledged after it.
fn position(id: &[u8], dialect: Dialect) -> Result<Option<StreamId>, ErrorReply> {
    match id {
        b">" => Ok(None),
        b"+" if dialect == Dialect::Valkey8 => Err(ErrorReply::new(
            "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer \
             by specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty \
             result set.",
        )),
        b"$" => Err(ErrorReply::new(
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer \
             by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty \
             result set.",
        )),
        id => parse_id(id, 0).map(Some),
    }
}

/// Delivers entries that the group has not seen; `None` when there are none.
fn read_new(
    cx: &mut Context<'_>,
    key: &[u8],
    group: &[u8],
    consumer: &Bytes,
    read: &Read<'_>,
) -> Result<Option<Vec<Reply>>, ErrorReply> {
    let (now, dialect) = (cx.now_ms(), cx.engine.dialect());
    let stream = required(cx, key, group, "")?;
    let mut is_new = false;
    if dialect == Dialect::Valkey8
        && let Some(group) = stream.groups.get_mut(group)
    {
        is_new = group.see(consumer, now);
    }
    let known = stream.groups.get(group).is_some_and(|group| group.consumers.contains_key(consumer));
    let entries = stream.deliver(group, consumer, read.count, read.no_ack, now);
    is_new |= !known && !entries.is_empty();
    let (last, entries_read) =
        stream.groups.get(group).map(|group| (group.last_id, group.entries_read)).unwrap_or_default();
    if read.no_ack && is_new {
        cx.propagate_as(&[b"XGROUP", b"CREATECONSUMER", key, group, consumer]);
    }
    if entries.is_empty() {
        return Ok(None);
    }
    if !read.no_ack {
        for StreamEntry { id, .. } in &entries {
            // Each is propagated as it was delivered, when it was the last one.
            let pending = Pending { consumer: consumer.clone(), delivered_at: now, deliveries: 1 };
            propagate_claims(cx, key, group, &[(*id, pending)], *id);
        }
    }
    // XCLAIM does not tell how many entries the group has read. Redis 7.0 leaves it at that, and its replicas do not know
    // (valkey 8.0, t_stream.c, streamReplyWithRange).
    if read.no_ack || dialect == Dialect::Valkey8 {
        let last = last.to_string();
        let read = entries_read.map_or(-1, |read| read as i64).to_string();
        let (last, read) = (last.as_bytes(), read.as_bytes());
        cx.propagate_as(&[b"XGROUP", b"SETID", key, group, last, b"ENTRIESREAD", read]);
    }
    Ok(Some(entries.iter().map(entry_reply).collect()))
}

/// Delivers once more what the consumer has not acknowledged. That it did is not propagated.
fn read_again(
    cx: &mut Context<'_>,
    key: &[u8],
    group: &[u8],
    consumer: &Bytes,
    after: StreamId,
    count: usize,
) -> Result<Vec<Reply>, ErrorReply> {
    let now = cx.now_ms();
    let stream = required(cx, key, group, "")?;
    if let Some(group) = stream.groups.get_mut(group) {
        group.see(consumer, now);
    }
    let ids: Vec<StreamId> = stream.groups.get(group).map_or_else(Vec::new, |group| {
        group.pending_of(consumer).map(|(id, _)| *id).filter(|id| *id > after).take(count).collect()
    });
    let looked_at = stream.groups.get(group).map_or(0, |group| group.pending.len());
    let mut entries = Vec::new();
    for id in ids {
        let Some(entry) = stream.get(id).map(entry_reply) else {
            entries.push(Reply::Array(vec![id_reply(id), Reply::NullArray]));
            continue;
        };
        entries.push(entry);
        if let Some(pending) = stream.groups.get_mut(group).and_then(|group| group.pending.get_mut(&id)) {
            pending.delivered_at = now;
            pending.deliveries += 1;
        }
    }
    cx.pay(looked_at);
    Ok(entries)
}

fn xack(cx: &mut Context<'_>) -> CommandResult {
    let name = cx.arg(2);
    if stream(cx, cx.arg(1))?.is_none_or(|stream| !stream.groups.contains_key(name)) {
        return Ok(Reply::Int(0));
    }
    let ids = cx.args[3..].iter().map(|id| parse_id(id, 0)).collect::<Result<Vec<_>, _>>()?;
    let group = stream_mut(cx, cx.arg(1))?.and_then(|stream| stream.groups.get_mut(name));
    let Some(group) = group else { return Ok(Reply::Int(0)) };
    let acknowledged = ids.iter().filter(|id| group.pending.remove(*id).is_some()).count();
    if acknowledged > 0 {
        cx.propagate();
    }
    Ok(Reply::Int(acknowledged as i64))
}

/// How entries change hands.
struct Claim {
    min_idle_ms: i64,
    delivered_at: UnixMillis,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
}

/// What became of one id.
enum Claimed {
    No,
    /// The entry is gone, and so is the claim to it.
    Deleted(Pending),
    Yes(Pending),
}

impl Claim {
    fn take(
        &self,
        stream: &mut Stream,
        name: &[u8],
        consumer: &Bytes,
        id: StreamId,
        now: UnixMillis,
    ) -> Claimed {
        let exists = stream.get(id).is_some();
        let Some(group) = stream.groups.get_mut(name) else { return Claimed::No };
        if !exists {
            return group.pending.remove(&id).map_or(Claimed::No, Claimed::Deleted);
        }
        let mut pending = match group.pending.get(&id) {
            Some(pending) if now.0 - pending.delivered_at.0 < self.min_idle_ms => return Claimed::No,
            Some(pending) => pending.clone(),
            None if self.force => Pending { consumer: consumer.clone(), delivered_at: now, deliveries: 1 },
            None => return Claimed::No,
        };
        pending.consumer = consumer.clone();
        pending.delivered_at = self.delivered_at;
        pending.deliveries = self.deliveries.unwrap_or(pending.deliveries + u64::from(!self.just_id));
        group.pending.insert(id, pending.clone());
        group.activate(consumer, now);
        Claimed::Yes(pending)
    }

    fn reply(&self, stream: &Stream, id: StreamId) -> Reply {
        match stream.get(id) {
            Some(entry) if !self.just_id => entry_reply(entry),
            _ => id_reply(id),
        }
    }
}

fn xclaim(cx: &mut Context<'_>) -> CommandResult {
    let (now, dialect) = (cx.now_ms(), cx.engine.dialect());
    let (key, name) = (cx.arg(1), cx.arg(2));
    required(cx, key, name, "")?;
    let min_idle_ms = min_idle(cx.arg(4), "XCLAIM")?;
    let ids: Vec<StreamId> = cx.args[5..].iter().map_while(|id| parse_id(id, 0).ok()).collect();
    let (claim, last) = claim_options(&cx.args[5 + ids.len()..], min_idle_ms, now)?;
    let consumer = Bytes::copy_from_slice(cx.arg(3));
    let stream = required(cx, key, name, "")?;
    if let Some(group) = stream.groups.get_mut(name) {
        group.last_id = group.last_id.max(last);
        if dialect == Dialect::Valkey8 {
            group.see(&consumer, now);
        }
    }
    let (mut replies, mut claims) = (Vec::new(), Vec::new());
    for id in ids {
        match claim.take(stream, name, &consumer, id, now) {
            Claimed::No => {}
            Claimed::Deleted(pending) => claims.push((id, pending)),
            Claimed::Yes(pending) => {
                replies.push(claim.reply(stream, id));
                claims.push((id, pending));
            }
        }
    }
    let last = stream.groups.get(name).map(|group| group.last_id).unwrap_or_default();
    propagate_claims(cx, key, name, &claims, last);
    Ok(Reply::Array(replies))
}

fn min_idle(text: &[u8], command: &str) -> Result<i64, ErrorReply> {
    let invalid = |_| format!("ERR Invalid min-idle-time argument for {command}");
    Ok(parse_i64(text).map_err(invalid)?.max(0))
}

fn claim_options(
    mut options: &[&[u8]],
    min_idle_ms: i64,
    now: UnixMillis,
) -> Result<(Claim, StreamId), ErrorReply> {
    let mut claim = Claim { min_idle_ms, delivered_at: now, deliveries: None, force: false, just_id: false };
    let mut last = StreamId::MIN;
    while let [word, rest @ ..] = options {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let number = |text: &[u8], name: &str| {
            parse_i64(text)
                .map_err(|_| ErrorReply::from(format!("ERR Invalid {name} option argument for XCLAIM")))
        };
        options = match rest {
            _ if is("FORCE") => {
                claim.force = true;
                rest
            }
            _ if is("JUSTID") => {
                claim.just_id = true;
                rest
            }
            [ms, rest @ ..] if is("IDLE") => {
                claim.delivered_at = UnixMillis(now.0.saturating_sub(number(ms, "IDLE")?));
                rest
            }
            [ms, rest @ ..] if is("TIME") => {
                claim.delivered_at = UnixMillis(number(ms, "TIME")?);
                rest
            }
            [count, rest @ ..] if is("RETRYCOUNT") => {
                claim.deliveries = u64::try_from(number(count, "RETRYCOUNT")?).ok();
                rest
            }
            [id, rest @ ..] if is("LASTID") => {
                last = parse_id(id, 0)?;
                rest
            }
            _ => {
                let word = ErrorReply::quote(word);
                return Err(format!("ERR Unrecognized XCLAIM option '{word}'").into());
            }
        };
    }
    if claim.delivered_at.0 < 0 || claim.delivered_at > now {
        claim.delivered_at = now;
    }
    Ok((claim, last))
}

fn xautoclaim(cx: &mut Context<'_>) -> CommandResult {
    let (now, dialect) = (cx.now_ms(), cx.engine.dialect());
    let (key, name) = (cx.arg(1), cx.arg(2));
    let min_idle_ms = min_idle(cx.arg(4), "XAUTOCLAIM")?;
    let start = interval_start(cx.arg(5))?;
    let (mut count, just_id) = autoclaim_options(&cx.args[6..])?;
    let consumer = Bytes::copy_from_slice(cx.arg(3));
    let stream = required(cx, key, name, "")?;
    let claim = Claim { min_idle_ms, delivered_at: now, deliveries: None, force: false, just_id };
    let Some(group) = stream.groups.get_mut(name) else { return Err(NO_SUCH_KEY) };
    if dialect == Dialect::Valkey8 {
        group.see(&consumer, now);
    }
    let last = group.last_id;
    // Ten entries are looked at for each that is asked for.
    let looked_at: Vec<StreamId> = group
        .pending
        .range(start..)
        .map(|(id, _)| *id)
        .take(count.saturating_mul(10).saturating_add(1))
        .collect();
    let looked = looked_at.len();
    let (mut replies, mut deleted, mut claims) = (Vec::new(), Vec::new(), Vec::new());
    let mut attempts = count.saturating_mul(10);
    let mut next = StreamId::MIN;
    for id in looked_at {
        if attempts == 0 || count == 0 {
            next = id;
            break;
        }
        attempts -= 1;
        match claim.take(stream, name, &consumer, id, now) {
            Claimed::No => continue,
            Claimed::Deleted(pending) => {
                deleted.push(id_reply(id));
                claims.push((id, pending));
            }
            Claimed::Yes(pending) => {
                replies.push(claim.reply(stream, id));
                claims.push((id, pending));
            }
        }
        count -= 1;
    }
    propagate_claims(cx, key, name, &claims, last);
    cx.pay(looked);
    Ok(Reply::Array(vec![id_reply(next), Reply::Array(replies), Reply::Array(deleted)]))
}

/// Reads `[COUNT n] [JUSTID]`.
fn autoclaim_options(mut options: &[&[u8]]) -> Result<(usize, bool), ErrorReply> {
    let (mut count, mut just_id) = (100, false);
    loop {
        options = match options {
            [] => return Ok((count, just_id)),
            [word, rest @ ..] if word.eq_ignore_ascii_case(b"JUSTID") => {
                just_id = true;
                rest
            }
            [word, number, rest @ ..] if word.eq_ignore_ascii_case(b"COUNT") => {
                // A server sees to it that so many ids fit into memory's addresses.
                const MOST: usize = usize::MAX >> 5;
                let number = parse_i64(number).ok().and_then(|number| usize::try_from(number).ok());
                count = number
                    .filter(|n| (1..=MOST).contains(n))
                    .ok_or(ErrorReply::new("ERR COUNT must be > 0"))?;
                rest
            }
            _ => return Err(SYNTAX),
        };
    }
}

fn xpending(cx: &mut Context<'_>) -> CommandResult {
    let args = cx.args;
    let now = cx.now_ms();
    let query = match &args[3..] {
        [] => None,
        [_] | [_, _] => return Err(SYNTAX),
        [_, _, _, _, _, _, _, ..] => return Err(SYNTAX),
        [word, ms, rest @ ..] if word.eq_ignore_ascii_case(b"IDLE") => Some((parse_i64(ms)?, rest)),
        rest => Some((0, rest)),
    };
    let Some((min_idle_ms, range)) = query else {
        let stream = required(cx, cx.arg(1), cx.arg(2), "")?;
        let group = stream.groups.get(args[2]);
        let (looked_at, told) =
            group.map_or((0, Reply::NullArray), |group| (group.pending.len(), pending_summary(group)));
        cx.pay(looked_at);
        return Ok(told);
    };
    let [start, end, count, rest @ ..] = range else { return Err(SYNTAX) };
    // A server looks no further than the consumer: more words are neither read nor refused.
    let consumer = &rest[..rest.len().min(1)];
    let count = parse_i64(count)?.max(0) as usize;
    let (start, end) = (interval_start(start)?, interval_end(end)?);
    let stream = required(cx, cx.arg(1), cx.arg(2), "")?;
    let Some(group) = stream.groups.get(args[2]) else { return Ok(Reply::NullArray) };
    let idle = |pending: &Pending| (now.0 - pending.delivered_at.0).max(0);
    let wanted = group
        .pending
        .range(start..)
        .take_while(|(id, _)| **id <= end)
        .filter(|(_, pending)| consumer.iter().all(|name| pending.consumer == *name))
        .filter(|(_, pending)| idle(pending) >= min_idle_ms);
    let row = |(id, pending): (&StreamId, &Pending)| {
        Reply::Array(vec![
            id_reply(*id),
            Reply::Bulk(pending.consumer.clone()),
            Reply::Int(idle(pending)),
            Reply::Int(pending.deliveries as i64),
        ])
    };
    let (looked_at, told) = (group.pending.len(), Reply::Array(wanted.take(count).map(row).collect()));
    cx.pay(looked_at);
    Ok(told)
}

fn pending_summary(group: &Group) -> Reply {
    let ids = group.pending.get_min().zip(group.pending.get_max());
    let Some(((first, _), (last, _))) = ids else {
        return Reply::Array(vec![Reply::Int(0), Reply::Null, Reply::Null, Reply::NullArray]);
    };
    let counts = group.pending_counts();
    let row = |(name, count): (&Bytes, &usize)| {
        Reply::Array(vec![Reply::Bulk(name.clone()), Reply::bulk(count.to_string())])
    };
    let consumers = counts.iter().map(|(name, count)| row((name, count))).collect();
    let count = Reply::Int(group.pending.len() as i64);
    Reply::Array(vec![count, id_reply(*first), id_reply(*last), Reply::Array(consumers)])
}

/// `XINFO GROUPS`.
pub(super) fn xinfo_groups(cx: &mut Context<'_>) -> CommandResult {
    let stream = stream(cx, cx.arg(2))?.ok_or(NO_SUCH_KEY)?;
    let group = |(name, group): (&Bytes, &Group)| {
        named(vec![
            ("name", Reply::Bulk(name.clone())),
            ("consumers", Reply::Int(group.consumers.len() as i64)),
            ("pending", Reply::Int(group.pending.len() as i64)),
            ("last-delivered-id", id_reply(group.last_id)),
            ("entries-read", count_or_null(group.entries_read)),
            ("lag", stream.lag(group).map_or(Reply::Null, Reply::Int)),
        ])
    };
    Ok(Reply::Array(stream.groups.iter().map(group).collect()))
}

/// `XINFO CONSUMERS`.
pub(super) fn xinfo_consumers(cx: &mut Context<'_>) -> CommandResult {
    let (now, dialect) = (cx.now_ms(), cx.engine.dialect());
    let (key, name) = (cx.arg(2), cx.arg(3));
    let stream = stream_mut(cx, key)?.ok_or(NO_SUCH_KEY)?;
    let group = group_mut(stream, key, name)?;
    let since = |at: UnixMillis| Reply::Int((now.0 - at.0).max(0));
    let (pending, counts) = (group.pending.len(), group.pending_counts());
    let consumer = |(name, consumer): (&Bytes, &Consumer)| {
        let mut info = vec![
            ("name", Reply::Bulk(name.clone())),
            ("pending", Reply::Int(counts.get(name).map_or(0, |count| *count as i64))),
            ("idle", since(consumer.seen_at)),
        ];
        if dialect == Dialect::Valkey8 {
            info.push(("inactive", consumer.active_at.map_or(Reply::Int(-1), since)));
        }
        named(info)
    };
    let told = Reply::Array(group.consumers.iter().map(consumer).collect());
    cx.pay(pending);
    Ok(told)
}

fn count_or_null(count: Option<u64>) -> Reply {
    count.map_or(Reply::Null, |count| Reply::Int(count as i64))
}

/// The groups as `XINFO STREAM FULL` shows them, with `count` pending entries each.
pub(super) fn all_groups(stream: &Stream, count: usize, dialect: Dialect) -> Reply {
    let time = |at: UnixMillis| Reply::Int(at.0);
    let consumer = |group: &Group, counts: &BTreeMap<&Bytes, usize>, name: &Bytes, consumer: &Consumer| {
        let row = |(id, pending): (&StreamId, &Pending)| {
            let deliveries = Reply::Int(pending.deliveries as i64);
            Reply::Array(vec![id_reply(*id), time(pending.delivered_at), deliveries])
        };
        let mut info = vec![("name", Reply::Bulk(name.clone())), ("seen-time", time(consumer.seen_at))];
        if dialect == Dialect::Valkey8 {
            info.push(("active-time", consumer.active_at.map_or(Reply::Int(-1), time)));
        }
        let pending = group.pending_of(name);
        info.push(("pel-count", Reply::Int(counts.get(name).map_or(0, |count| *count as i64))));
        info.push(("pending", Reply::Array(pending.take(count).map(row).collect())));
        named(info)
    };
    let group = |(name, group): (&Bytes, &Group)| {
        let row = |(id, pending): (&StreamId, &Pending)| {
            let who = Reply::Bulk(pending.consumer.clone());
            let deliveries = Reply::Int(pending.deliveries as i64);
            Reply::Array(vec![id_reply(*id), who, time(pending.delivered_at), deliveries])
        };
        let counts = group.pending_counts();
        let consumers = group.consumers.iter().map(|(name, known)| consumer(group, &counts, name, known));
        named(vec![
            ("name", Reply::Bulk(name.clone())),
            ("last-delivered-id", id_reply(group.last_id)),
            ("entries-read", count_or_null(group.entries_read)),
            ("lag", stream.lag(group).map_or(Reply::Null, Reply::Int)),
            ("pel-count", Reply::Int(group.pending.len() as i64)),
            ("pending", Reply::Array(group.pending.iter().take(count).map(row).collect())),
            ("consumers", Reply::Array(consumers.collect())),
        ])
    };
    Reply::Array(stream.groups.iter().map(group).collect())
}
