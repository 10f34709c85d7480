//! Streams.

use std::sync::Arc;

use bytes::Bytes;

use super::{Command, Flags, Keys, parse, reference, resolve, stream_groups};
use crate::engine::{
    CommandResult, Context, Dialect, ErrorReply, NOT_AN_INTEGER, Protocol, Reply, SYNTAX, WRONG_TYPE,
    number::parse_i64,
    value::{
        Stream, Value,
        stream::{Group, Keep, StreamEntry, StreamId, Trim},
    },
    wrong_arity,
};

const ADD: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("XADD", -5, ADD, xadd).on(Keys::FIRST),
    Command::new("XLEN", 2, Flags::READONLY.and(Flags::FAST), xlen).on(Keys::FIRST),
    Command::new("XRANGE", -4, Flags::READONLY, xrange).on(Keys::FIRST),
    Command::new("XREVRANGE", -4, Flags::READONLY, xrevrange).on(Keys::FIRST),
    Command::new("XTRIM", -4, Flags::WRITE, xtrim).on(Keys::FIRST),
    Command::new("XDEL", -3, WRITE_FAST, xdel).on(Keys::FIRST),
    Command::new("XREAD", -4, Flags::READONLY, xread).on(Keys::Streams),
    Command::new("XSETID", -3, ADD, xsetid).on(Keys::FIRST),
    Command::new("XINFO", -2, Flags::NONE, resolve::container).containing(XINFO),
];

/// The subcommands of XINFO.
pub const XINFO: &[Command] = &[
    Command::new("XINFO|STREAM", -3, Flags::READONLY, xinfo_stream).on(Keys::SECOND),
    Command::new("XINFO|GROUPS", 3, Flags::READONLY, stream_groups::xinfo_groups).on(Keys::SECOND),
    Command::new("XINFO|CONSUMERS", 4, Flags::READONLY, stream_groups::xinfo_consumers).on(Keys::SECOND),
    Command::new("XINFO|HELP", 2, Flags::NONE, reference::help),
];

const INVALID_ID: ErrorReply = ErrorReply::new("ERR Invalid stream ID specified as stream command argument");
pub(super) const NO_SUCH_KEY: ErrorReply = ErrorReply::new("ERR no such key");

fn xadd(cx: &mut Context<'_>) -> CommandResult {
    let options = AddOptions::parse(cx)?;
    let key = cx.arg(1);
    let exists = stream(cx, key)?.is_some();
    if !exists && options.no_create {
        return Ok(Reply::Null);
    }
    let now = cx.now_ms().0 as u64;
    let last = stream(cx, key)?.map(|stream| stream.last_id).unwrap_or_default();
    let id = options.id.resolve(last, now)?;
    let fields: Arc<[Bytes]> =
        cx.args[options.fields_at..].iter().map(|arg| Bytes::copy_from_slice(arg)).collect();
    let limits = cx.engine.config.stream_node;
    let Value::Stream(stream) = cx.get_or_insert(key, || Value::Stream(Stream::default())) else {
        return Err(WRONG_TYPE);
    };
    stream.append(id, fields, limits);
    let trimmed = options.trim.map(|option| {
        stream.trim(option.trim);
        (option, threshold_reached(stream, option.trim))
    });
    let id = Bytes::from(id.to_string());
    let mut effect = cx.args.to_vec();
    effect[options.fields_at - 1] = &id;
    if let Some((option, threshold)) = &trimmed {
        option.rewrite(&mut effect, threshold);
    }
    cx.propagate_as(&effect);
    Ok(Reply::Bulk(id))
}

/// What an approximate trim came to: propagated as an exact one, so that every copy trims the same.
fn threshold_reached(stream: &Stream, trim: Trim) -> String {
    match trim.keep {
        Keep::Newest(_) => stream.len().to_string(),
        // What is left of an empty stream is what comes after all ids (t_stream.c, streamGetEdgeID).
        Keep::From(_) => stream.first().map_or(StreamId::MAX, |entry| entry.id).to_string(),
    }
}

struct AddOptions {
    no_create: bool,
    trim: Option<TrimOption>,
    id: NewId,
    /// Where the fields begin; the id is before them.
    fields_at: usize,
}

/// A trim, and where its threshold is among the arguments.
#[derive(Clone, Copy)]
struct TrimOption {
    trim: Trim,
    threshold_at: usize,
}

impl TrimOption {
    fn rewrite<'a>(&self, effect: &mut [&'a [u8]], threshold: &'a str) {
        if self.trim.approximate {
            effect[self.threshold_at - 1] = b"=";
            effect[self.threshold_at] = threshold.as_bytes();
        }
    }
}

/// The id an entry is to get.
enum NewId {
    /// `*`.
    Auto,
    /// `ms-*`.
    AutoSeq(u64),
    /// Given whole.
    Given(StreamId),
}

impl NewId {
    fn parse(text: &[u8]) -> Result<Self, ErrorReply> {
        if text == b"*" {
            return Ok(NewId::Auto);
        }
        match text.strip_suffix(b"-*") {
            Some(ms) => Ok(NewId::AutoSeq(parse_part(ms)?)),
            None => Ok(NewId::Given(parse_id(text, 0)?)),
        }
    }

    /// A clock behind the last id keeps that id's millisecond and counts on.
    fn resolve(&self, last: StreamId, now_ms: u64) -> Result<StreamId, ErrorReply> {
        const TOO_SMALL: ErrorReply = ErrorReply::new(
            "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        );
        let next = last.next().ok_or(ErrorReply::new(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ))?;
        let id = match *self {
            NewId::Auto if now_ms > last.ms => StreamId { ms: now_ms, seq: 0 },
            NewId::Auto => next,
            NewId::AutoSeq(ms) if ms == last.ms => {
                StreamId { ms, seq: last.seq.checked_add(1).ok_or(TOO_SMALL)? }
            }
            NewId::AutoSeq(ms) => StreamId { ms, seq: 0 },
            NewId::Given(id) => id,
        };
        if id > last { Ok(id) } else { Err(TOO_SMALL) }
    }
}

impl AddOptions {
    fn parse(cx: &Context<'_>) -> Result<Self, ErrorReply> {
        let mut parser = TrimParser::new(cx);
        let mut no_create = false;
        let id_at = loop {
            if parser.option()? {
                continue;
            }
            let arg = cx.opt(parser.at).ok_or(SYNTAX)?;
            if !arg.eq_ignore_ascii_case(b"NOMKSTREAM") {
                break parser.at;
            }
            no_create = true;
            parser.at += 1;
        };
        let id = NewId::parse(cx.arg(id_at))?;
        let trim = parser.finish()?;
        let fields_at = id_at + 1;
        let fields = cx.args.len() - fields_at;
        if fields < 2 || fields % 2 == 1 {
            return Err(wrong_arity("xadd"));
        }
        if matches!(id, NewId::Given(StreamId::MIN)) {
            return Err(ErrorReply::new("ERR The ID specified in XADD must be greater than 0-0"));
        }
        Ok(Self { no_create, trim, id, fields_at })
    }
}

/// Reads `MAXLEN|MINID [=|~] threshold [LIMIT count]`, wherever its parts are.
struct TrimParser<'a> {
    args: &'a [&'a [u8]],
    at: usize,
    trim: Option<TrimOption>,
    limit: Option<u64>,
    /// A primary has trimmed already, and says exactly how far: its `LIMIT` means nothing any more.
    from_primary: bool,
    /// How many entries go at most where nothing is said: those of a hundred nodes.
    usual_limit: u64,
}

impl<'a> TrimParser<'a> {
    fn new(cx: &Context<'a>) -> Self {
        let of_nodes = (cx.engine.config.stream_node.entries as u64).saturating_mul(100);
        let usual_limit = if of_nodes == 0 { 10_000 } else { of_nodes.min(1_000_000) };
        Self {
            args: cx.args,
            at: 2,
            trim: None,
            limit: None,
            from_primary: cx.session.from_primary,
            usual_limit,
        }
    }

    /// Reads one option, if one is next.
    fn option(&mut self) -> Result<bool, ErrorReply> {
        let (Some(word), Some(next)) = (self.args.get(self.at), self.args.get(self.at + 1)) else {
            return Ok(false);
        };
        if word.eq_ignore_ascii_case(b"MAXLEN") || word.eq_ignore_ascii_case(b"MINID") {
            self.strategy(word, next)?;
        } else if word.eq_ignore_ascii_case(b"LIMIT") {
            self.limit = Some(non_negative(next, "ERR The LIMIT argument must be >= 0.")?);
            self.at += 2;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn strategy(&mut self, word: &[u8], next: &[u8]) -> Result<(), ErrorReply> {
        if self.trim.is_some() {
            return Err(ErrorReply::new(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let marked = matches!(next, b"~" | b"=") && self.args.len() > self.at + 2;
        let threshold_at = self.at + 1 + usize::from(marked);
        let threshold = self.args[threshold_at];
        let keep = if word.eq_ignore_ascii_case(b"MAXLEN") {
            Keep::Newest(non_negative(threshold, "ERR The MAXLEN argument must be >= 0.")?)
        } else {
            Keep::From(parse_id(threshold, 0)?)
        };
        let trim = Trim { keep, approximate: marked && next == b"~", limit: 0 };
        self.trim = Some(TrimOption { trim, threshold_at });
        self.at = threshold_at + 1;
        Ok(())
    }

    fn finish(self) -> Result<Option<TrimOption>, ErrorReply> {
        let Some(mut option) = self.trim else {
            return match self.limit {
                Some(limit) if limit > 0 => Err(ErrorReply::new(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                )),
                _ => Ok(None),
            };
        };
        if self.limit.is_some() && !option.trim.approximate && !self.from_primary {
            return Err(ErrorReply::new(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        if option.trim.approximate {
            option.trim.limit = self.limit.unwrap_or(self.usual_limit);
        }
        Ok(Some(option))
    }
}

fn xtrim(cx: &mut Context<'_>) -> CommandResult {
    let mut parser = TrimParser::new(cx);
    while parser.at < cx.args.len() {
        if !parser.option()? {
            return Err(SYNTAX);
        }
    }
    let option = parser.finish()?.ok_or(SYNTAX)?;
    let Some(stream) = stream_mut(cx, cx.arg(1))? else { return Ok(Reply::Int(0)) };
    let removed = stream.trim(option.trim);
    let threshold = threshold_reached(stream, option.trim);
    if removed > 0 {
        let mut effect = cx.args.to_vec();
        option.rewrite(&mut effect, &threshold);
        cx.propagate_as(&effect);
    }
    Ok(Reply::Int(removed as i64))
}

fn xlen(cx: &mut Context<'_>) -> CommandResult {
    Ok(Reply::Int(stream(cx, cx.arg(1))?.map_or(0, |stream| stream.len() as i64)))
}

fn xrange(cx: &mut Context<'_>) -> CommandResult {
    range(cx, cx.arg(2), cx.arg(3), false)
}

fn xrevrange(cx: &mut Context<'_>) -> CommandResult {
    range(cx, cx.arg(3), cx.arg(2), true)
}

fn range(cx: &mut Context<'_>, start: &[u8], end: &[u8], reverse: bool) -> CommandResult {
    let start = interval_start(start)?;
    let end = interval_end(end)?;
    let count = match &cx.args[4..] {
        [] => usize::MAX,
        options => last_count(options)?.max(0) as usize,
    };
    let Some(stream) = stream(cx, cx.arg(1))? else { return Ok(Reply::Array(Vec::new())) };
    if count == 0 {
        return Ok(Reply::NullArray);
    }
    let entries = stream.range(start, end);
    Ok(Reply::Array(if reverse {
        entries.rev().take(count).map(entry_reply).collect()
    } else {
        entries.take(count).map(entry_reply).collect()
    }))
}

/// Reads `COUNT n`, the last of several if it is given more than once.
fn last_count(options: &[&[u8]]) -> Result<i64, ErrorReply> {
    let mut count = 0;
    for pair in options.chunks(2) {
        match pair {
            [word, number] if word.eq_ignore_ascii_case(b"COUNT") => count = parse_i64(number)?,
            _ => return Err(SYNTAX),
        }
    }
    Ok(count)
}

pub(super) fn interval_start(text: &[u8]) -> Result<StreamId, ErrorReply> {
    match text.strip_prefix(b"(") {
        Some(id) if !id.is_empty() => {
            parse_id(id, 0)?.next().ok_or(ErrorReply::new("ERR invalid start ID for the interval"))
        }
        _ => parse_bound(text, 0),
    }
}

pub(super) fn interval_end(text: &[u8]) -> Result<StreamId, ErrorReply> {
    match text.strip_prefix(b"(") {
        Some(id) if !id.is_empty() => {
            parse_id(id, u64::MAX)?.previous().ok_or(ErrorReply::new("ERR invalid end ID for the interval"))
        }
        _ => parse_bound(text, u64::MAX),
    }
}

fn xdel(cx: &mut Context<'_>) -> CommandResult {
    if stream(cx, cx.arg(1))?.is_none() {
        return Ok(Reply::Int(0));
    }
    let ids = cx.args[2..].iter().map(|id| parse_id(id, 0)).collect::<Result<Vec<_>, _>>()?;
    let Some(stream) = stream_mut(cx, cx.arg(1))? else { return Ok(Reply::Int(0)) };
    let deleted = ids.into_iter().filter(|id| stream.delete(*id)).count();
    if deleted > 0 {
        cx.propagate();
    }
    Ok(Reply::Int(deleted as i64))
}

fn xsetid(cx: &mut Context<'_>) -> CommandResult {
    let id = parse_id(cx.arg(2), 0)?;
    let mut added = None;
    let mut max_deleted = None;
    for pair in cx.args[3..].chunks(2) {
        match pair {
            [word, count] if word.eq_ignore_ascii_case(b"ENTRIESADDED") => {
                added = Some(non_negative(count, "ERR entries_added must be positive")?);
            }
            [word, deleted] if word.eq_ignore_ascii_case(b"MAXDELETEDID") => {
                let deleted = parse_id(deleted, 0)?;
                if id < deleted {
                    return Err(ErrorReply::new(
                        "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                    ));
                }
                max_deleted = Some(deleted);
            }
            _ => return Err(SYNTAX),
        }
    }
    let dialect = cx.engine.dialect();
    let stream = stream_mut(cx, cx.arg(1))?.ok_or(NO_SUCH_KEY)?;
    check_new_last_id(stream, id, added, dialect)?;
    stream.last_id = id;
    stream.entries_added = added.unwrap_or(stream.entries_added);
    stream.max_deleted_id = max_deleted.unwrap_or(stream.max_deleted_id);
    cx.propagate();
    Ok(Reply::OK)
}

fn check_new_last_id(
    stream: &Stream,
    id: StreamId,
    added: Option<u64>,
    dialect: Dialect,
) -> Result<(), ErrorReply> {
    // Redis 7.0.15 does not look at this.
    if dialect == Dialect::Valkey8 && id < stream.max_deleted_id {
        return Err(ErrorReply::new(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if stream.last().is_some_and(|last| id < last.id) {
        return Err(ErrorReply::new(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if !stream.is_empty() && added.is_some_and(|added| stream.len() > added) {
        return Err(ErrorReply::new(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    Ok(())
}

/// The arguments of `XREAD` and `XREADGROUP`.
pub(super) struct Read<'a> {
    pub block_ms: Option<u64>,
    pub count: usize,
    pub keys: &'a [&'a [u8]],
    pub ids: &'a [&'a [u8]],
    /// The group and the consumer.
    pub group: Option<(&'a [u8], &'a [u8])>,
    pub no_ack: bool,
}

impl<'a> Read<'a> {
    /// `grouped`: it is `XREADGROUP`.
    pub fn parse(cx: &Context<'a>, grouped: bool) -> Result<Self, ErrorReply> {
        let args = cx.args;
        let mut read =
            Self { block_ms: None, count: usize::MAX, keys: &[], ids: &[], group: None, no_ack: false };
        let mut at = 1;
        loop {
            let Some((word, rest)) = args.get(at..).and_then(<[_]>::split_first) else { return Err(SYNTAX) };
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            at += match rest {
                [_, ..] if is("BLOCK") && cx.script.is_some() && cx.engine.dialect() == Dialect::Redis7 => {
                    let name = ErrorReply::quote(args[0]);
                    let text = format!("ERR {name} command is not allowed with BLOCK option from scripts");
                    return Err(text.into());
                }
                [ms, ..] if is("BLOCK") => {
                    read.block_ms = Some(parse::timeout_ms(cx, ms)?);
                    2
                }
                [count, ..] if is("COUNT") => {
                    let count = parse_i64(count)?.max(0) as usize;
                    read.count = if count == 0 { usize::MAX } else { count };
                    2
                }
                [_, ..] if is("GROUP") && !grouped => return Err(GROUP_WITHOUT_GROUPS),
                [group, consumer, ..] if is("GROUP") => {
                    read.group = Some((group, consumer));
                    3
                }
                [_, ..] if is("STREAMS") => {
                    if rest.len() % 2 == 1 {
                        return Err(unbalanced(cx.engine.dialect(), grouped));
                    }
                    (read.keys, read.ids) = rest.split_at(rest.len() / 2);
                    return Ok(read);
                }
                _ if is("NOACK") && grouped => {
                    read.no_ack = true;
                    1
                }
                _ => return Err(SYNTAX),
            };
        }
    }

    /// The id after which to read a stream.
    fn after(&self, cx: &mut Context<'_>, index: usize) -> Result<StreamId, ErrorReply> {
        let last = stream(cx, self.keys[index])?.map(|stream| stream.last_id).unwrap_or_default();
        match self.ids[index] {
            b"$" => Ok(last),
            // What comes after the id before the last one: the last entry, unless it was deleted.
            b"+" if cx.engine.dialect() == Dialect::Valkey8 => Ok(last.previous().unwrap_or(last)),
            b">" => Err(ErrorReply::new(
                "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
                 option.",
            )),
            id => parse_id(id, 0),
        }
    }

    /// The command as it is run again: what `$` stood for is known by then, and `+` is the last entry of that time.
    fn again(&self, cx: &Context<'_>, after: &[StreamId]) -> Vec<Bytes> {
        let ids_at = cx.args.len() - after.len();
        let words = cx.args[..ids_at].iter().map(|arg| Bytes::copy_from_slice(arg));
        let ids = self.ids.iter().zip(after).map(|(word, id)| match *word {
            b"+" => Bytes::from_static(b"+"),
            _ => Bytes::from(id.to_string()),
        });
        words.chain(ids).collect()
    }
}

const GROUP_WITHOUT_GROUPS: ErrorReply =
    ErrorReply::new("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");

fn unbalanced(dialect: Dialect, grouped: bool) -> ErrorReply {
    let (name, id) = match dialect {
        Dialect::Redis7 => ("XREAD", '$'),
        Dialect::Valkey8 if grouped => ("'xreadgroup'", '>'),
        Dialect::Valkey8 => ("'xread'", '$'),
    };
    format!("ERR Unbalanced {name} list of streams: for each stream key an ID or '{id}' must be specified.")
        .into()
}

fn xread(cx: &mut Context<'_>) -> CommandResult {
    let read = Read::parse(cx, false)?;
    // It looks twice at each: for where it ends, and for what comes.
    cx.engine.lookups.counts_all = true;
    let after = (0..read.keys.len()).map(|index| read.after(cx, index)).collect::<Result<Vec<_>, _>>()?;
    let mut found = Vec::new();
    for (key, after) in read.keys.iter().zip(&after) {
        let (Some(stream), Some(first)) = (stream(cx, key)?, after.next()) else { continue };
        let entries: Vec<Reply> =
            stream.range(first, StreamId::MAX).take(read.count).map(entry_reply).collect();
        if !entries.is_empty() {
            found.push((Reply::bulk(key), Reply::Array(entries)));
        }
    }
    cx.engine.lookups.counts_all = false;
    match read.block_ms {
        _ if !found.is_empty() => Ok(by_stream(cx, found)),
        Some(timeout_ms) => Ok(cx.block(read.again(cx, &after), timeout_ms, read.keys)),
        None => Ok(Reply::NullArray),
    }
}

/// Streams with their entries: a map in RESP3, an array of pairs in RESP2.
pub(super) fn by_stream(cx: &Context<'_>, streams: Vec<(Reply, Reply)>) -> Reply {
    if cx.session.protocol == Protocol::Resp3 {
        return Reply::Map(streams);
    }
    Reply::Array(streams.into_iter().map(|(key, entries)| Reply::Array(vec![key, entries])).collect())
}

fn xinfo_stream(cx: &mut Context<'_>) -> CommandResult {
    stream(cx, cx.arg(2))?.ok_or(NO_SUCH_KEY)?;
    let full = match &cx.args[3..] {
        [] => None,
        [word, rest @ ..] if word.eq_ignore_ascii_case(b"FULL") => Some(full_count(cx, rest)?),
        _ => return Err(cx.wrong_subcommand("XINFO")),
    };
    let dialect = cx.engine.dialect();
    let stream = stream(cx, cx.arg(2))?.ok_or(NO_SUCH_KEY)?;
    let first_id = stream.first().map(|entry| entry.id).unwrap_or_default();
    // Each consumer's share is looked for among all that is pending.
    let of_group = |group: &Group| group.pending.len() * (1 + group.consumers.len());
    let looked_at = if full.is_some() { stream.groups.values().map(of_group).sum() } else { 0 };
    let mut info = vec![
        ("length", Reply::Int(stream.len() as i64)),
        ("radix-tree-keys", Reply::Int(stream.nodes() as i64)),
        ("radix-tree-nodes", Reply::Int(radix_nodes(stream))),
        ("last-generated-id", id_reply(stream.last_id)),
        ("max-deleted-entry-id", id_reply(stream.max_deleted_id)),
        ("entries-added", Reply::Int(stream.entries_added as i64)),
        ("recorded-first-entry-id", id_reply(first_id)),
    ];
    match full {
        Some(count) => {
            let entries = stream.range(StreamId::MIN, StreamId::MAX).take(count).map(entry_reply);
            info.push(("entries", Reply::Array(entries.collect())));
            info.push(("groups", stream_groups::all_groups(stream, count, dialect)));
        }
        None => {
            info.push(("groups", Reply::Int(stream.groups.len() as i64)));
            info.push(("first-entry", stream.first().map_or(Reply::Null, entry_reply)));
            info.push(("last-entry", stream.last().map_or(Reply::Null, entry_reply)));
        }
    }
    let told = named(info);
    cx.pay(looked_at);
    Ok(told)
}

/// A map with names for keys.
pub(super) fn named(pairs: Vec<(&str, Reply)>) -> Reply {
    Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
}

/// How many entries `FULL [COUNT n]` shows; 0 means all.
fn full_count(cx: &Context<'_>, options: &[&[u8]]) -> Result<usize, ErrorReply> {
    match options {
        [] => Ok(10),
        [_] | [_, _, _, ..] => Err(cx.wrong_subcommand("XINFO")),
        [word, count] if word.eq_ignore_ascii_case(b"COUNT") => {
            Ok(usize::try_from(parse_i64(count)?).ok().unwrap_or(10))
                .map(|n| if n == 0 { usize::MAX } else { n })
        }
        _ => Err(SYNTAX),
    }
}

/// The nodes of the server's radix tree: its root, and one a listpack where ids do not share much. Exact for streams
/// of up to one node; beyond that a real server's number depends on the bytes of its ids.
fn radix_nodes(stream: &Stream) -> i64 {
    stream.nodes() as i64 + 1
}

/// The stream under a key.
pub(super) fn stream<'c>(cx: &'c mut Context<'_>, key: &[u8]) -> Result<Option<&'c Stream>, ErrorReply> {
    match cx.get(key) {
        None => Ok(None),
        Some(Value::Stream(stream)) => Ok(Some(stream)),
        Some(_) => Err(WRONG_TYPE),
    }
}

/// The stream under a key, for changing.
pub(super) fn stream_mut<'c>(
    cx: &'c mut Context<'_>,
    key: &[u8],
) -> Result<Option<&'c mut Stream>, ErrorReply> {
    match cx.get_mut(key) {
        None => Ok(None),
        Some(Value::Stream(stream)) => Ok(Some(stream)),
        Some(_) => Err(WRONG_TYPE),
    }
}

pub(super) fn entry_reply(entry: &StreamEntry) -> Reply {
    let fields = entry.fields.iter().map(|field| Reply::Bulk(field.clone())).collect();
    Reply::Array(vec![id_reply(entry.id), Reply::Array(fields)])
}

pub(super) fn id_reply(id: StreamId) -> Reply {
    Reply::Bulk(id.to_string().into())
}

/// Reads an id that may also be `-` or `+`.
fn parse_bound(text: &[u8], missing_seq: u64) -> Result<StreamId, ErrorReply> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        id => parse_id(id, missing_seq),
    }
}

/// Reads `ms-seq`, or `ms` with the number that is meant by leaving it out.
pub(super) fn parse_id(text: &[u8], missing_seq: u64) -> Result<StreamId, ErrorReply> {
    match text.iter().position(|byte| *byte == b'-') {
        Some(dash) => Ok(StreamId { ms: parse_part(&text[..dash])?, seq: parse_part(&text[dash + 1..])? }),
        None => Ok(StreamId { ms: parse_part(text)?, seq: missing_seq }),
    }
}

/// Half an id, as C's `strtoull` reads it: after white space and with a sign. A server refuses a negative number that
/// is written plainly, and lets a padded one wrap.
fn parse_part(text: &[u8]) -> Result<u64, ErrorReply> {
    let space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let trimmed = &text[text.iter().take_while(|byte| space(byte)).count()..];
    let (negative, digits) = match trimmed {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if !digits.iter().all(u8::is_ascii_digit) || parse_i64(text).is_ok_and(i64::is_negative) {
        return Err(INVALID_ID);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| INVALID_ID)?;
    let value: u64 = digits.parse().map_err(|_| INVALID_ID)?;
    Ok(if negative { value.wrapping_neg() } else { value })
}

fn non_negative(text: &[u8], complaint: &'static str) -> Result<u64, ErrorReply> {
    let number = parse_i64(text).map_err(|_| NOT_AN_INTEGER)?;
    u64::try_from(number).map_err(|_| ErrorReply::new(complaint))
}
