//! ACL: what there is to tell of the one user, who may do everything.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Command, Flags, parse::is, reference};
use crate::engine::{CommandResult, Context, Dialect, ErrorReply, Reply, resolve};

const OWN: Flags = Flags::NOSCRIPT;
const ADMIN: Flags = Flags::NOSCRIPT.and(Flags::ADMIN);

/// The family.
pub const COMMANDS: &[Command] =
    &[Command::new("ACL", -2, Flags::NONE, resolve::container).containing(SUBCOMMANDS)];

const SUBCOMMANDS: &[Command] = &[
    Command::new("ACL|CAT", -2, OWN, categories),
    Command::new("ACL|GETUSER", 3, ADMIN, user),
    Command::new("ACL|HELP", 2, Flags::NONE, reference::help),
    Command::new("ACL|LIST", 2, ADMIN, list),
    Command::new("ACL|USERS", 2, ADMIN, |_| Ok(Reply::Array(vec![Reply::bulk(USER)]))),
    Command::new("ACL|WHOAMI", 2, OWN, |_| Ok(Reply::bulk(USER))),
];

const USER: &str = "default";

/// In the order in which servers list them.
const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

fn flags(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Valkey8 => &["on", "nopass", "sanitize-payload"],
        Dialect::Redis7 => &["on", "nopass"],
    }
}

fn list(cx: &mut Context<'_>) -> CommandResult {
    let flags = flags(cx.engine.dialect()).join(" ");
    Ok(Reply::Array(vec![Reply::bulk(format!("user {USER} {flags} ~* &* +@all"))]))
}

fn user(cx: &mut Context<'_>) -> CommandResult {
    if cx.arg(2) != USER.as_bytes() {
        return Ok(Reply::Null);
    }
    let flags = flags(cx.engine.dialect()).iter().map(|flag| Reply::bulk(*flag)).collect();
    let pairs = [
        ("flags", Reply::Set(flags)),
        ("passwords", Reply::Array(Vec::new())),
        ("commands", Reply::bulk("+@all")),
        ("keys", Reply::bulk("~*")),
        ("channels", Reply::bulk("&*")),
        ("selectors", Reply::Array(Vec::new())),
    ];
    Ok(Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect()))
}

/// `ACL CAT [category]`: the categories, or the commands of one, as far as they are there.
fn categories(cx: &mut Context<'_>) -> CommandResult {
    let [wanted] = &cx.args[2..] else {
        if cx.args.len() > 3 {
            return Err(resolve::unknown_subcommand(cx.arg(0), cx.arg(1)));
        }
        return Ok(Reply::Array(CATEGORIES.iter().map(|name| Reply::bulk(*name)).collect()));
    };
    let Some(category) = CATEGORIES.iter().find(|name| is(wanted, name)) else {
        return Err(format!("ERR Unknown category '{}'", ErrorReply::quote(wanted)).into());
    };
    let mark = Reply::Status(format!("@{category}").into());
    let mut names: BTreeSet<Bytes> = BTreeSet::new();
    for (name, told) in &reference::of(cx.engine.dialect()).info {
        if let Reply::Array(parts) = told
            && let Some(Reply::Set(marks)) = parts.get(6)
            && marks.contains(&mark)
        {
            names.insert(name.clone());
        }
    }
    Ok(Reply::Array(names.into_iter().map(Reply::Bulk).collect()))
}
