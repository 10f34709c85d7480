//! Connections: PING, HELLO, SELECT, MONITOR …

use std::mem;

use super::{Command, Flags, Keys, client, resolve};
use crate::engine::{
    CommandResult, Context, Dialect, ErrorReply, Protocol, Reply, SYNTAX, Session, databases,
    number::parse_i64, pubsub::Kind, wrong_arity,
};

const QUICK: Flags = Flags::FAST.and(Flags::NOSCRIPT).and(Flags::ALLOW_BUSY);

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("PING", -1, Flags::FAST, ping).on(Keys::None),
    Command::new("ECHO", 2, Flags::FAST, echo).on(Keys::None),
    Command::new("HELLO", -1, QUICK, hello).on(Keys::None),
    Command::new("AUTH", -2, QUICK, auth).on(Keys::None),
    Command::new("CLIENT", -2, Flags::NONE, resolve::container).containing(client::CLIENT),
    Command::new("MONITOR", 1, Flags::ADMIN.and(Flags::NOSCRIPT), monitor),
    Command::new("QUIT", -1, QUICK, quit).on(Keys::None),
    Command::new("RESET", 1, QUICK, reset).on(Keys::None),
    Command::new("SELECT", 2, Flags::FAST, select).on(Keys::None),
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
    let (mut name, mut is_known) = (None, !cx.engine.is_stranger(cx.session));
    let mut rest = cx.args.get(2..).unwrap_or_default();
    while let [option, more @ ..] = rest {
        rest = match more {
            [user, password, more @ ..] if option.eq_ignore_ascii_case(b"AUTH") => {
                check_password(cx, user, password)?;
                is_known = true;
                more
            }
            [given, more @ ..] if option.eq_ignore_ascii_case(b"SETNAME") => {
                name = Some(client::text(given, "Client names")?);
                more
            }
            _ => {
                let option = String::from_utf8_lossy(option);
                return Err(format!("ERR Syntax error in HELLO option '{option}'").into());
            }
        };
    }
    if !is_known {
        return Err(ErrorReply::new(match cx.engine.dialect() {
            Dialect::Valkey8 => {
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
                 <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
                 the same time"
            }
            Dialect::Redis7 => {
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> \
                 <pass> option can be used to authenticate the client and select the RESP protocol version at the same \
                 time"
            }
        }));
    }
    cx.session.protocol = protocol.unwrap_or(cx.session.protocol);
    cx.engine.tracking.note_protocol(cx.session.id, cx.session.protocol);
    if let Some(name) = name {
        cx.session.name = name;
    }
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
        Dialect::Valkey8 if cx.engine.config.get("extended-redis-compatibility") == "yes" => {
            ("redis", "7.2.4")
        }
        Dialect::Valkey8 => ("valkey", "8.0.1"),
        Dialect::Redis7 => ("redis", "7.0.15"),
    };
    let proto = if cx.session.protocol == Protocol::Resp3 { 3 } else { 2 };
    let pairs = [
        ("server", Reply::bulk(server)),
        ("version", Reply::bulk(version)),
        ("proto", Reply::Int(proto)),
        ("id", Reply::Int(cx.session.id as i64)),
        ("mode", Reply::bulk(if cx.engine.is_cluster { "cluster" } else { "standalone" })),
        ("role", Reply::bulk("master")),
        ("modules", Reply::Array(Vec::new())),
    ];
    Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
}

fn auth(cx: &mut Context<'_>) -> CommandResult {
    match &cx.args[1..] {
        [_] if cx.engine.config.password.is_empty() => Err(ErrorReply::new(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        )),
        [password] => check_password(cx, b"default", password).map(|()| Reply::OK),
        [user, password] => check_password(cx, user, password).map(|()| Reply::OK),
        _ => Err(SYNTAX),
    }
}

/// There is one user; without `requirepass` any password is right. Who has given it may do everything.
fn check_password(cx: &mut Context<'_>, user: &[u8], password: &[u8]) -> Result<(), ErrorReply> {
    let wanted = cx.engine.config.password.as_bytes();
    if user != b"default" || (!wanted.is_empty() && password != wanted) {
        return Err(ErrorReply::new("WRONGPASS invalid username-password pair or user is disabled."));
    }
    cx.session.is_stranger = false;
    Ok(())
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
    cx.engine.clients.monitors.remove(&cx.session.id);
    cx.engine.tracking.end(cx.session.id);
    cx.engine.tracking.note_protocol(cx.session.id, Protocol::Resp2);
    let old = mem::take(cx.session);
    *cx.session = Session {
        lib_name: old.lib_name,
        lib_ver: old.lib_ver,
        addresses: old.addresses,
        connected_at: old.connected_at,
        received: old.received,
        sent: old.sent,
        commands: old.commands,
        id: old.id,
        is_stranger: !cx.engine.config.password.is_empty(),
        ..Session::default()
    };
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

fn monitor(cx: &mut Context<'_>) -> CommandResult {
    if !cx.may_block() {
        return Err(ErrorReply::new("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    if cx.session.is_monitor {
        return Ok(Reply::Nothing);
    }
    cx.monitor();
    Ok(Reply::OK)
}
