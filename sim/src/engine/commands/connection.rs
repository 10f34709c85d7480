//! Connections: PING, HELLO, CLIENT, …

use bytes::Bytes;

use super::{Command, Flags, Keys, reference, resolve};
use crate::engine::{
    CommandResult, Context, Dialect, ErrorReply, Protocol, Reply, ReplyMode, SYNTAX, Session, clients,
    databases, number::parse_i64, pubsub::Kind, wrong_arity,
};

const QUICK: Flags = Flags::FAST.and(Flags::NOSCRIPT).and(Flags::ALLOW_BUSY);

/// The family.
pub const COMMANDS: &[Command] = &[
    Command { name: "PING", arity: -1, flags: Flags::FAST, keys: Keys::None, run: ping },
    Command { name: "ECHO", arity: 2, flags: Flags::FAST, keys: Keys::None, run: echo },
    Command { name: "HELLO", arity: -1, flags: QUICK, keys: Keys::None, run: hello },
    Command { name: "AUTH", arity: -2, flags: QUICK, keys: Keys::None, run: auth },
    Command::new("CLIENT", -2, Flags::CONTAINER, resolve::container),
    Command { name: "QUIT", arity: -1, flags: QUICK, keys: Keys::None, run: quit },
    Command { name: "RESET", arity: 1, flags: QUICK, keys: Keys::None, run: reset },
    Command { name: "SELECT", arity: 2, flags: Flags::FAST, keys: Keys::None, run: select },
];

const ADMIN: Flags = Flags::NOSCRIPT.and(Flags::ADMIN);

/// The subcommands of CLIENT.
pub const CLIENT: &[Command] = &[
    Command::new("CLIENT|ID", 2, Flags::NOSCRIPT, client_id),
    Command::new("CLIENT|GETNAME", 2, Flags::NOSCRIPT, client_getname),
    Command::new("CLIENT|SETNAME", 3, Flags::NOSCRIPT, client_setname),
    Command::new("CLIENT|SETINFO", 4, Flags::NOSCRIPT.and(Flags::VALKEY_ONLY), client_setinfo),
    Command::new("CLIENT|INFO", 2, Flags::NOSCRIPT, client_info),
    Command::new("CLIENT|LIST", -2, ADMIN, client_list),
    Command::new("CLIENT|KILL", -3, ADMIN, client_kill),
    Command::new("CLIENT|REPLY", 3, Flags::NOSCRIPT, client_reply),
    Command::new("CLIENT|NO-EVICT", 3, ADMIN, client_no_evict),
    Command::new("CLIENT|NO-TOUCH", 3, Flags::NOSCRIPT.and(Flags::VALKEY_ONLY), client_no_touch),
    Command::new("CLIENT|GETREDIR", 2, Flags::NOSCRIPT, client_getredir),
    Command::new("CLIENT|HELP", 2, Flags::NONE, reference::help),
];

fn ping(cx: &mut Context<'_>) -> CommandResult {
    if cx.args.len() > 2 {
        return Err(wrong_arity("ping"));
    }
    if cx.session.only_listens() {
        return Ok(Reply::Array(vec![Reply::bulk("pong"), Reply::bulk(cx.opt(1).unwrap_or_default())]));
    }
    Ok(cx.opt(1).map_or(Reply::Status("PONG".into()), Reply::bulk))
}

fn echo(cx: &mut Context<'_>) -> CommandResult {
    Ok(Reply::bulk(cx.arg(1)))
}

/// Everything is checked before anything changes.
fn hello(cx: &mut Context<'_>) -> CommandResult {
    let protocol = cx.opt(1).map(protocol).transpose()?;
    let mut name = None;
    let mut rest = cx.args.get(2..).unwrap_or_default();
    while let [option, more @ ..] = rest {
        rest = match more {
            [user, password, more @ ..] if option.eq_ignore_ascii_case(b"AUTH") => {
                check_password(user, password)?;
                more
            }
            [given, more @ ..] if option.eq_ignore_ascii_case(b"SETNAME") => {
                name = Some(client_text(given, "Client names")?);
                more
            }
            _ => {
                let option = String::from_utf8_lossy(option);
                return Err(format!("ERR Syntax error in HELLO option '{option}'").into());
            }
        };
    }
    cx.session.protocol = protocol.unwrap_or(cx.session.protocol);
    if let Some(name) = name {
        cx.session.name = name;
    }
    note(cx);
    Ok(greeting(cx))
}

fn protocol(text: &[u8]) -> Result<Protocol, ErrorReply> {
    match parse_i64(text) {
        Err(_) => Err(ErrorReply::new("ERR Protocol version is not an integer or out of range")),
        Ok(2) => Ok(Protocol::Resp2),
        Ok(3) => Ok(Protocol::Resp3),
        Ok(_) => Err(ErrorReply::new("NOPROTO unsupported protocol version")),
    }
}

fn greeting(cx: &Context<'_>) -> Reply {
    let (server, version) = match cx.engine.dialect() {
        Dialect::Valkey8 => ("valkey", "8.0.1"),
        Dialect::Redis7 => ("redis", "7.0.15"),
    };
    let proto = if cx.session.protocol == Protocol::Resp3 { 3 } else { 2 };
    let pairs = [
        ("server", Reply::bulk(server)),
        ("version", Reply::bulk(version)),
        ("proto", Reply::Int(proto)),
        ("id", Reply::Int(cx.session.id as i64)),
        ("mode", Reply::bulk("standalone")),
        ("role", Reply::bulk("master")),
        ("modules", Reply::Array(Vec::new())),
    ];
    Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
}

fn auth(cx: &mut Context<'_>) -> CommandResult {
    match &cx.args[1..] {
        [_] => Err(ErrorReply::new(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        )),
        [user, password] => check_password(user, password).map(|()| Reply::OK),
        _ => Err(SYNTAX),
    }
}

/// There is one user, and any password is right.
fn check_password(user: &[u8], _password: &[u8]) -> Result<(), ErrorReply> {
    if user == b"default" {
        return Ok(());
    }
    Err(ErrorReply::new("WRONGPASS invalid username-password pair or user is disabled."))
}

fn quit(cx: &mut Context<'_>) -> CommandResult {
    cx.session.closing = true;
    Ok(Reply::OK)
}

fn reset(cx: &mut Context<'_>) -> CommandResult {
    for kind in Kind::ALL {
        for name in cx.session.subscribed(kind).clone() {
            cx.engine.pubsub.unsubscribe(kind, &name, cx.session);
        }
    }
    cx.unwatch();
    let (lib_name, lib_ver) = (cx.session.lib_name.clone(), cx.session.lib_ver.clone());
    *cx.session = Session { id: cx.session.id, lib_name, lib_ver, ..Session::default() };
    note(cx);
    Ok(Reply::Status("RESET".into()))
}

/// What a script selects is selected until it ends.
fn select(cx: &mut Context<'_>) -> CommandResult {
    let number = databases::parse(cx.arg(1))?;
    cx.engine.select(number, cx.effects);
    if cx.script.is_none() {
        cx.session.db = number;
    }
    Ok(Reply::OK)
}

fn client_id(cx: &mut Context<'_>) -> CommandResult {
    Ok(Reply::Int(cx.session.id as i64))
}

fn client_getname(cx: &mut Context<'_>) -> CommandResult {
    let name = &cx.session.name;
    Ok(if name.is_empty() { Reply::Null } else { Reply::Bulk(name.clone()) })
}

fn client_setname(cx: &mut Context<'_>) -> CommandResult {
    cx.session.name = client_text(cx.arg(2), "Client names")?;
    note(cx);
    Ok(Reply::OK)
}

fn client_setinfo(cx: &mut Context<'_>) -> CommandResult {
    let option = cx.arg(2);
    if option.eq_ignore_ascii_case(b"LIB-NAME") {
        cx.session.lib_name = client_text(cx.arg(3), &String::from_utf8_lossy(option))?;
    } else if option.eq_ignore_ascii_case(b"LIB-VER") {
        cx.session.lib_ver = client_text(cx.arg(3), &String::from_utf8_lossy(option))?;
    } else {
        let option = String::from_utf8_lossy(option);
        return Err(format!("ERR Unrecognized option '{option}'").into());
    }
    note(cx);
    Ok(Reply::OK)
}

/// What a client calls itself must fit on a line of `CLIENT LIST`.
fn client_text(text: &[u8], what: &str) -> Result<Bytes, ErrorReply> {
    if text.iter().all(u8::is_ascii_graphic) {
        return Ok(Bytes::copy_from_slice(text));
    }
    Err(format!("ERR {what} cannot contain spaces, newlines or special characters.").into())
}

fn note(cx: &mut Context<'_>) {
    cx.engine.clients.update(cx.session, cx.engine.dialect);
}

fn client_info(cx: &mut Context<'_>) -> CommandResult {
    let line = clients::describe(cx.session, cx.engine.dialect(), "client|info");
    Ok(Reply::Verbatim(*b"txt", format!("{line}\n").into()))
}

fn client_list(cx: &mut Context<'_>) -> CommandResult {
    let ids = match &cx.args[2..] {
        [] => cx.engine.clients.ids().collect(),
        [word, ids @ ..] if word.eq_ignore_ascii_case(b"ID") && !ids.is_empty() => ids
            .iter()
            .map(|id| client_id_from(id).ok_or(ErrorReply::new("ERR Invalid client ID")))
            .collect::<Result<Vec<_>, _>>()?,
        [word, kind] if word.eq_ignore_ascii_case(b"TYPE") => of_type(cx, kind)?,
        _ => return Err(SYNTAX),
    };
    let mut list = String::new();
    for id in ids {
        let line = if id == cx.session.id {
            Some(clients::describe(cx.session, cx.engine.dialect(), "client|list"))
        } else {
            cx.engine.clients.line(id, cx.engine.dialect())
        };
        if let Some(line) = line {
            list.push_str(&line);
            list.push('\n');
        }
    }
    Ok(Reply::Verbatim(*b"txt", list.into()))
}

/// Everyone is a normal client here but those who listen.
fn of_type(cx: &Context<'_>, kind: &[u8]) -> Result<Vec<u64>, ErrorReply> {
    let kind = String::from_utf8_lossy(kind).to_ascii_lowercase();
    let listens = match kind.as_str() {
        "normal" => false,
        "pubsub" => true,
        "master" | "primary" | "replica" | "slave" => return Ok(Vec::new()),
        _ => return Err(format!("ERR Unknown client type '{kind}'").into()),
    };
    let is_listening = |id: &u64| {
        cx.engine.clients.line(*id, cx.engine.dialect()).is_some_and(|line| line.contains(" flags=P"))
    };
    Ok(cx.engine.clients.ids().filter(|id| is_listening(id) == listens).collect())
}

fn client_id_from(text: &[u8]) -> Option<u64> {
    parse_i64(text).ok().and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0)
}

/// By id only: a simulated client has no address.
fn client_kill(cx: &mut Context<'_>) -> CommandResult {
    let (mut target, mut skip_me) = (None, true);
    if let [_] = &cx.args[2..] {
        return Err(ErrorReply::new("ERR No such client"));
    }
    for pair in cx.args[2..].chunks(2) {
        match pair {
            [word, id] if word.eq_ignore_ascii_case(b"ID") => {
                let id = client_id_from(id);
                target = Some(id.ok_or(ErrorReply::new("ERR client-id should be greater than 0"))?);
            }
            [word, answer] if word.eq_ignore_ascii_case(b"SKIPME") => skip_me = yes(answer, b"YES", b"NO")?,
            _ => return Err(SYNTAX),
        }
    }
    let Some(id) = target else { return Err(SYNTAX) };
    if id == cx.session.id {
        cx.session.closing = !skip_me;
        return Ok(Reply::Int(i64::from(!skip_me)));
    }
    Ok(Reply::Int(i64::from(cx.engine.clients.kill(id))))
}

/// Reads a word that is one of two.
fn yes(word: &[u8], yes: &[u8], no: &[u8]) -> Result<bool, ErrorReply> {
    if word.eq_ignore_ascii_case(yes) {
        Ok(true)
    } else if word.eq_ignore_ascii_case(no) {
        Ok(false)
    } else {
        Err(SYNTAX)
    }
}

fn client_reply(cx: &mut Context<'_>) -> CommandResult {
    let mode = cx.arg(2);
    if mode.eq_ignore_ascii_case(b"SKIP") {
        if cx.session.reply_mode != ReplyMode::Off {
            cx.session.reply_mode = ReplyMode::SkipNext;
        }
        return Ok(Reply::Nothing);
    }
    if yes(mode, b"ON", b"OFF")? {
        cx.session.reply_mode = ReplyMode::On;
        Ok(Reply::OK)
    } else {
        cx.session.reply_mode = ReplyMode::Off;
        Ok(Reply::Nothing)
    }
}

/// Nothing is evicted here, and nothing is touched by reading.
fn client_no_evict(cx: &mut Context<'_>) -> CommandResult {
    yes(cx.arg(2), b"ON", b"OFF").map(|_| Reply::OK)
}

fn client_no_touch(cx: &mut Context<'_>) -> CommandResult {
    yes(cx.arg(2), b"ON", b"OFF").map(|_| Reply::OK)
}

fn client_getredir(_: &mut Context<'_>) -> CommandResult {
    Ok(Reply::Int(-1))
}
