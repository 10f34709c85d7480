//! The server itself: TIME, INFO, COMMAND, CONFIG, DBSIZE, FLUSHALL.

use super::{Command, Flags, Keys, reference, resolve};
use crate::engine::{
    CommandResult, Context, ErrorReply, Reply, SYNTAX, Value, clients::Order, databases, glob, info,
};

const ADMIN: Flags = Flags::ADMIN.and(Flags::NOSCRIPT);

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("TIME", 1, Flags::FAST, time).on(Keys::None),
    Command::new("DBSIZE", 1, Flags::READONLY.and(Flags::FAST), dbsize).on(Keys::None),
    Command::new("FLUSHALL", -1, Flags::WRITE, flush_all).on(Keys::None),
    Command::new("FLUSHDB", -1, Flags::WRITE, flush_selected).on(Keys::None),
    Command::new("SWAPDB", 3, Flags::WRITE.and(Flags::FAST), swap).on(Keys::None),
    Command::new("INFO", -1, Flags::NONE, info).on(Keys::None),
    Command::new("CONFIG", -2, Flags::NONE, resolve::container).containing(CONFIG),
    Command::new("LASTSAVE", 1, Flags::FAST, lastsave).on(Keys::None),
    Command::new("SHUTDOWN", -1, ADMIN.and(Flags::ALLOW_BUSY).and(Flags::NO_MULTI), shutdown).on(Keys::None),
    Command::new("DEBUG", -2, ADMIN, debug).on(Keys::None),
];

/// The subcommands of CONFIG.
pub const CONFIG: &[Command] = &[
    Command::new("CONFIG|GET", -3, ADMIN, config_get),
    Command::new("CONFIG|SET", -4, ADMIN, config_set),
    Command::new("CONFIG|RESETSTAT", 2, ADMIN, config_resetstat),
    Command::new("CONFIG|REWRITE", 2, ADMIN, |_| Err(NO_CONFIG_FILE)),
    Command::new("CONFIG|HELP", 2, Flags::NONE, reference::help),
];

/// Ends the server. There is nothing that it could save.
fn shutdown(cx: &mut Context<'_>) -> CommandResult {
    let (mut saves, mut keeps_nothing, mut others, mut aborts) = (false, false, false, false);
    for option in &cx.args[1..] {
        match &*option.to_ascii_uppercase() {
            b"SAVE" => saves = true,
            b"NOSAVE" => keeps_nothing = true,
            b"NOW" | b"FORCE" => others = true,
            b"ABORT" => aborts = true,
            _ => return Err(SYNTAX),
        }
    }
    if saves && keeps_nothing || aborts && (saves || keeps_nothing || others) {
        return Err(SYNTAX);
    }
    if aborts {
        return Err(ErrorReply::new("ERR No shutdown in progress."));
    }
    if let Some(busy) = cx.engine.busy()
        && !keeps_nothing
    {
        return Err(busy);
    }
    if !cx.engine.is_attended() {
        return Err(ErrorReply::new("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    cx.engine.clients.order(Order::ShutDown);
    Ok(Reply::Nothing)
}

fn time(cx: &mut Context<'_>) -> CommandResult {
    let micros = cx.now.0;
    let parts = [micros / 1_000_000, micros % 1_000_000];
    Ok(Reply::Array(parts.iter().map(|part| Reply::Bulk(part.to_string().into())).collect()))
}

fn dbsize(cx: &mut Context<'_>) -> CommandResult {
    Ok(Reply::Int(cx.engine.key_count() as i64))
}

/// Checks the one option of FLUSHALL and FLUSHDB.
fn check_mode(cx: &Context<'_>) -> Result<(), ErrorReply> {
    match &cx.args[1..] {
        [] => Ok(()),
        [how] if how.eq_ignore_ascii_case(b"ASYNC") || how.eq_ignore_ascii_case(b"SYNC") => Ok(()),
        _ => Err(SYNTAX),
    }
}

/// Propagated even when there was nothing to remove, as a real server does. Functions stay.
fn flush_all(cx: &mut Context<'_>) -> CommandResult {
    check_mode(cx)?;
    for number in 0..databases::COUNT {
        cx.engine.touch_database(number, None);
    }
    cx.engine.clear_databases();
    cx.propagate();
    Ok(Reply::OK)
}

fn flush_selected(cx: &mut Context<'_>) -> CommandResult {
    check_mode(cx)?;
    cx.engine.touch_database(cx.selected(), None);
    cx.engine.db.clear();
    cx.propagate();
    Ok(Reply::OK)
}

fn swap(cx: &mut Context<'_>) -> CommandResult {
    const FIRST: ErrorReply = ErrorReply::new("ERR invalid first DB index");
    const SECOND: ErrorReply = ErrorReply::new("ERR invalid second DB index");
    let first = databases::int_or(cx.arg(1), FIRST)?;
    let second = databases::int_or(cx.arg(2), SECOND)?;
    let (first, second) = (databases::checked(first)?, databases::checked(second)?);
    if first != second {
        cx.engine.touch_database(first, Some(second));
        cx.engine.touch_database(second, Some(first));
        cx.engine.swap(first, second);
    }
    cx.propagate();
    Ok(Reply::OK)
}

/// What it costs to put `INFO` together, without a look at the keys.
const TEXT: usize = 1_000;

fn info(cx: &mut Context<'_>) -> CommandResult {
    let entries = cx.engine.databases().flat_map(|(_, db)| db.iter());
    let looked_at = entries.map(|(_, entry)| match &entry.value {
        Value::String(_) => 1,
        collection => 1 + collection.work(),
    });
    let looked_at: usize = looked_at.sum();
    cx.pay(TEXT + looked_at);
    let text = info::text(cx.engine, &cx.args[1..], cx.now);
    Ok(Reply::Verbatim(*b"txt", text.into()))
}

const NO_CONFIG_FILE: ErrorReply = ErrorReply::new("ERR The server is running without a config file");

/// What is named whole is told under the name that it was given, even if it is hidden.
fn config_get(cx: &mut Context<'_>) -> CommandResult {
    let config = &cx.engine.config;
    let is_pattern = |name: &&&[u8]| name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
    let patterns: Vec<Vec<u8>> =
        cx.args[2..].iter().filter(is_pattern).map(|pattern| pattern.to_ascii_lowercase()).collect();
    let fits = |name: &str| patterns.iter().any(|pattern| glob::matches(pattern, name.as_bytes()));
    let mut told: Vec<(Reply, Reply)> = Vec::new();
    for (name, value) in config.iter().filter(|(name, _)| fits(name)) {
        told.push((Reply::bulk(name), Reply::bulk(value)));
    }
    for given in cx.args[2..].iter().filter(|name| !is_pattern(name)) {
        let given = Reply::bulk(given);
        let Reply::Bulk(text) = &given else { continue };
        let name = String::from_utf8_lossy(text).to_ascii_lowercase();
        let found = config.iter().find(|(known, _)| *known == name).or_else(|| config.hidden(&name));
        if let Some((_, value)) = found
            && !told.iter().any(|(known, _)| *known == given)
        {
            told.push((given.clone(), Reply::bulk(value)));
        }
    }
    Ok(Reply::Map(told))
}

fn config_set(cx: &mut Context<'_>) -> CommandResult {
    let (pairs, []) = cx.args[2..].as_chunks::<2>() else { return Err(SYNTAX) };
    let pairs: Vec<_> = pairs.iter().map(|[name, value]| (*name, *value)).collect();
    cx.engine.config.set(&pairs)?;
    if pairs.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"timeout")) {
        // Those who are silent have to look how long they may be.
        cx.engine.clients.order(Order::Continue);
    }
    Ok(Reply::OK)
}

fn config_resetstat(cx: &mut Context<'_>) -> CommandResult {
    cx.engine.stats.reset();
    Ok(Reply::OK)
}

/// The server never saved; one that was started now would say so with its starting time.
fn lastsave(cx: &mut Context<'_>) -> CommandResult {
    let since = cx.engine.stats.since.unwrap_or(cx.now);
    Ok(Reply::Int((since.0 / 1_000_000) as i64))
}

fn debug(_: &mut Context<'_>) -> CommandResult {
    Err(ErrorReply::new(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
         local connection, otherwise you need to set this option in the configuration file, and then restart the \
         server.",
    ))
}
