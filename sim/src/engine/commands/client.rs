//! CLIENT: what a connection tells about itself, learns of the others and does to them.

use bytes::Bytes;

use super::{Command, Flags, parse::is, reference, tracking};
use crate::engine::{
    CommandResult, Context, Dialect, ErrorReply, NOT_AN_INTEGER, Reply, ReplyMode, SYNTAX, Session,
    UnixMillis,
    clients::{ClientType, Order},
    number::parse_i64,
    pause::Pause,
};

const OWN: Flags = Flags::NOSCRIPT;
const OTHERS: Flags = Flags::NOSCRIPT.and(Flags::ADMIN);
const VALKEY: Flags = OWN.and(Flags::VALKEY_ONLY);

/// The subcommands of CLIENT.
pub const CLIENT: &[Command] = &[
    Command::new("CLIENT|CACHING", 3, OWN, tracking::caching),
    Command::new("CLIENT|CAPA", -3, VALKEY, |_| Ok(Reply::OK)),
    Command::new("CLIENT|GETNAME", 2, OWN, getname),
    Command::new("CLIENT|GETREDIR", 2, OWN, tracking::getredir),
    Command::new("CLIENT|HELP", 2, Flags::NONE, reference::help),
    Command::new("CLIENT|ID", 2, OWN, id),
    Command::new("CLIENT|INFO", 2, OWN, info),
    Command::new("CLIENT|KILL", -3, OTHERS, kill),
    Command::new("CLIENT|LIST", -2, OTHERS, list),
    Command::new("CLIENT|NO-EVICT", 3, OTHERS, no_evict),
    Command::new("CLIENT|NO-TOUCH", 3, VALKEY, no_touch),
    Command::new("CLIENT|PAUSE", -3, OTHERS, pause),
    Command::new("CLIENT|REPLY", 3, OWN, reply),
    Command::new("CLIENT|SETINFO", 4, VALKEY, setinfo),
    Command::new("CLIENT|SETNAME", 3, OWN, setname),
    Command::new("CLIENT|TRACKING", -3, OWN, tracking::tracking),
    Command::new("CLIENT|TRACKINGINFO", 2, OWN, tracking::trackinginfo),
    Command::new("CLIENT|UNBLOCK", -3, OTHERS, unblock),
    Command::new("CLIENT|UNPAUSE", 2, OTHERS, unpause),
];

fn id(cx: &mut Context<'_>) -> CommandResult {
    Ok(Reply::Int(cx.session.id as i64))
}

fn getname(cx: &mut Context<'_>) -> CommandResult {
    let name = &cx.session.name;
    Ok(if name.is_empty() { Reply::Null } else { Reply::Bulk(name.clone()) })
}

fn setname(cx: &mut Context<'_>) -> CommandResult {
    cx.session.name = text(cx.arg(2), "Client names")?;
    Ok(Reply::OK)
}

fn setinfo(cx: &mut Context<'_>) -> CommandResult {
    let option = cx.arg(2);
    let quoted = ErrorReply::quote(option);
    if is(option, "LIB-NAME") {
        cx.session.lib_name = text(cx.arg(3), &quoted)?;
    } else if is(option, "LIB-VER") {
        cx.session.lib_ver = text(cx.arg(3), &quoted)?;
    } else {
        return Err(format!("ERR Unrecognized option '{quoted}'").into());
    }
    Ok(Reply::OK)
}

/// What a client calls itself must fit on a line of `CLIENT LIST`.
pub fn text(text: &[u8], what: &str) -> Result<Bytes, ErrorReply> {
    if text.iter().all(u8::is_ascii_graphic) {
        return Ok(Bytes::copy_from_slice(text));
    }
    Err(format!("ERR {what} cannot contain spaces, newlines or special characters.").into())
}

fn info(cx: &mut Context<'_>) -> CommandResult {
    let line = cx.engine.client_line(cx.session, cx.now);
    Ok(Reply::Verbatim(*b"txt", format!("{line}\n").into()))
}

fn list(cx: &mut Context<'_>) -> CommandResult {
    let wanted: Box<dyn Fn(&Session) -> bool> = match &cx.args[2..] {
        [] => Box::new(|_| true),
        [word, ids @ ..] if is(word, "ID") && !ids.is_empty() => {
            let ids: Result<Vec<i64>, _> = ids.iter().map(|id| parse_i64(id)).collect();
            let ids = ids.map_err(|_| ErrorReply::new("ERR Invalid client ID"))?;
            Box::new(move |session| ids.contains(&(session.id as i64)))
        }
        [word, kind] if is(word, "TYPE") => {
            let kind = ClientType::parse(kind, cx.engine.dialect())?;
            Box::new(move |session| ClientType::of(session) == kind)
        }
        _ => return Err(SYNTAX),
    };
    let me = cx.session.clone();
    cx.engine.see_clients(std::iter::once(&me));
    let mut list = String::new();
    for session in cx.engine.clients.iter().filter(|session| wanted(session)) {
        list.push_str(&cx.engine.client_line(session, cx.now));
        list.push('\n');
    }
    Ok(Reply::Verbatim(*b"txt", list.into()))
}

/// Which clients `CLIENT KILL` is to end.
struct Filter<'a> {
    id: Option<i64>,
    kind: Option<ClientType>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    /// Seconds that it has been connected at least.
    max_age: Option<i64>,
    skip_me: bool,
}

impl<'a> Filter<'a> {
    fn parse(options: &[&'a [u8]], dialect: Dialect) -> Result<Self, ErrorReply> {
        let mut filter = Self { id: None, kind: None, addr: None, laddr: None, max_age: None, skip_me: true };
        let (pairs, []) = options.as_chunks::<2>() else { return Err(SYNTAX) };
        for [option, value] in pairs {
            if is(option, "ID") {
                let id = parse_i64(value).ok().filter(|id| *id > 0);
                filter.id = Some(id.ok_or(ErrorReply::new("ERR client-id should be greater than 0"))?);
            } else if is(option, "TYPE") {
                filter.kind = Some(ClientType::parse(value, dialect)?);
            } else if is(option, "ADDR") {
                filter.addr = Some(value);
            } else if is(option, "LADDR") {
                filter.laddr = Some(value);
            } else if is(option, "USER") {
                // Everyone is the default user.
                if *value != b"default" {
                    return Err(format!("ERR No such user '{}'", ErrorReply::quote(value)).into());
                }
            } else if is(option, "SKIPME") {
                filter.skip_me = one_of(value, "YES", "NO")?;
            } else if is(option, "MAXAGE") && dialect == Dialect::Valkey8 {
                const NOT_A_NUMBER: ErrorReply =
                    ErrorReply::new("ERR maxage is not an integer or out of range");
                let age = parse_i64(value).map_err(|_| NOT_A_NUMBER)?;
                if age <= 0 {
                    return Err(ErrorReply::new("ERR maxage should be greater than 0"));
                }
                filter.max_age = Some(age);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(filter)
    }

    fn matches(&self, session: &Session, cx: &Context<'_>) -> bool {
        let (addr, laddr) = cx.engine.addresses(session);
        let age = session.connected_at.map_or(0, |at| cx.now.0.saturating_sub(at.0) / 1_000_000);
        self.id.is_none_or(|id| id == session.id as i64)
            && self.kind.is_none_or(|kind| kind == ClientType::of(session))
            && self.addr.is_none_or(|wanted| wanted == addr.as_bytes())
            && self.laddr.is_none_or(|wanted| wanted == laddr.as_bytes())
            && self.max_age.is_none_or(|least| age as i64 >= least)
            && !(self.skip_me && session.id == cx.session.id)
    }
}

/// In its old form (`CLIENT KILL addr:port`) it ends one client and may end its own.
fn kill(cx: &mut Context<'_>) -> CommandResult {
    let old_form = cx.args.len() == 3;
    let dialect = cx.engine.dialect();
    let filter = if old_form {
        Filter { addr: cx.opt(2), skip_me: false, ..Filter::parse(&[], dialect)? }
    } else {
        Filter::parse(&cx.args[2..], dialect)?
    };
    let me = cx.session.clone();
    cx.engine.see_clients(std::iter::once(&me));
    let killed: Vec<u64> = cx
        .engine
        .clients
        .iter()
        .filter(|client| filter.matches(client, cx))
        .map(|client| client.id)
        .collect();
    for id in &killed {
        if *id == cx.session.id {
            cx.session.closing = true;
        } else {
            cx.engine.clients.order(Order::Close(*id));
        }
    }
    match (old_form, killed.len()) {
        (false, count) => Ok(Reply::Int(count as i64)),
        (true, 0) => Err(ErrorReply::new("ERR No such client")),
        (true, _) => Ok(Reply::OK),
    }
}

fn unblock(cx: &mut Context<'_>) -> CommandResult {
    let reply = match &cx.args[3..] {
        [] => Reply::NullArray,
        [how] if is(how, "TIMEOUT") => Reply::NullArray,
        [how] if is(how, "ERROR") => {
            Reply::Error(ErrorReply::new("UNBLOCKED client unblocked via CLIENT UNBLOCK"))
        }
        [_] => return Err(ErrorReply::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => return Err(SYNTAX),
    };
    let id = parse_i64(cx.arg(2)).map_err(|_| NOT_AN_INTEGER)? as u64;
    let clients = &mut cx.engine.clients;
    let counts_replicas = clients.awaiting.contains(&id) && reply == Reply::NullArray;
    let was_blocked = clients.forget_wait(id);
    if was_blocked {
        clients.order(if counts_replicas { Order::TimeOut(id) } else { Order::Unblock(id, reply) });
    }
    Ok(Reply::Int(i64::from(was_blocked)))
}

fn pause(cx: &mut Context<'_>) -> CommandResult {
    let writes_only = match &cx.args[3..] {
        [] => false,
        [mode] if is(mode, "ALL") => false,
        [mode] if is(mode, "WRITE") => true,
        [_] => return Err(ErrorReply::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(SYNTAX),
    };
    let timeout_ms = match parse_i64(cx.arg(2)) {
        Err(_) => return Err(ErrorReply::new("ERR timeout is not an integer or out of range")),
        Ok(timeout_ms) if timeout_ms < 0 => return Err(ErrorReply::new("ERR timeout is negative")),
        Ok(timeout_ms) => timeout_ms,
    };
    // Redis 7.0 goes on when the time is past, Valkey when it has come.
    let timeout_ms = timeout_ms.saturating_add(i64::from(cx.engine.dialect() == Dialect::Redis7));
    let pause = Pause { until: UnixMillis(cx.now_ms().0.saturating_add(timeout_ms)), writes_only };
    let earlier = cx.engine.pause(cx.now);
    cx.engine.clients.pause = Some(earlier.map_or(pause, |earlier| pause.beside(earlier)));
    Ok(Reply::OK)
}

fn unpause(cx: &mut Context<'_>) -> CommandResult {
    cx.engine.clients.pause = None;
    cx.engine.clients.order(Order::Continue);
    Ok(Reply::OK)
}

/// Reads a word that is one of two.
fn one_of(word: &[u8], yes: &str, no: &str) -> Result<bool, ErrorReply> {
    match word {
        word if is(word, yes) => Ok(true),
        word if is(word, no) => Ok(false),
        _ => Err(SYNTAX),
    }
}

fn reply(cx: &mut Context<'_>) -> CommandResult {
    let mode = cx.arg(2);
    if is(mode, "SKIP") {
        if cx.session.reply_mode != ReplyMode::Off {
            cx.session.reply_mode = ReplyMode::SkipNext;
        }
        return Ok(Reply::Nothing);
    }
    if one_of(mode, "ON", "OFF")? {
        // What a SKIP in the same transaction skips comes after it.
        if cx.session.reply_mode != ReplyMode::SkipNext {
            cx.session.reply_mode = ReplyMode::On;
        }
        Ok(Reply::OK)
    } else {
        cx.session.reply_mode = ReplyMode::Off;
        Ok(Reply::Nothing)
    }
}

/// Is told to others, and has no effect: no client is evicted here.
fn no_evict(cx: &mut Context<'_>) -> CommandResult {
    cx.session.no_evict = one_of(cx.arg(2), "ON", "OFF")?;
    Ok(Reply::OK)
}

/// Is told to others, and has no effect: when a key was last read is not kept.
fn no_touch(cx: &mut Context<'_>) -> CommandResult {
    cx.session.no_touch = one_of(cx.arg(2), "ON", "OFF")?;
    Ok(Reply::OK)
}
