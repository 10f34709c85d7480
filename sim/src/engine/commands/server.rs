//! The server itself: TIME, INFO, COMMAND, CONFIG, DBSIZE, FLUSHALL.

use super::{Command, Flags, Keys, reference, resolve};
use crate::engine::{
    CommandResult, Context, ErrorReply, NOT_AN_INTEGER, Reply, SYNTAX, databases, glob, info,
    number::parse_i64,
};

const ADMIN: Flags = Flags::ADMIN.and(Flags::NOSCRIPT);

/// The family.
pub const COMMANDS: &[Command] = &[
    Command { name: "TIME", arity: 1, flags: Flags::FAST, keys: Keys::None, run: time },
    Command {
        name: "DBSIZE",
        arity: 1,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: Keys::None,
        run: dbsize,
    },
    Command { name: "FLUSHALL", arity: -1, flags: Flags::WRITE, keys: Keys::None, run: flush_all },
    Command { name: "FLUSHDB", arity: -1, flags: Flags::WRITE, keys: Keys::None, run: flush_selected },
    Command { name: "SWAPDB", arity: 3, flags: Flags::WRITE.and(Flags::FAST), keys: Keys::None, run: swap },
    Command { name: "INFO", arity: -1, flags: Flags::NONE, keys: Keys::None, run: info },
    Command::new("CONFIG", -2, Flags::CONTAINER, resolve::container),
    Command { name: "WAIT", arity: 3, flags: Flags::NONE, keys: Keys::None, run: wait },
    Command { name: "LASTSAVE", arity: 1, flags: Flags::FAST, keys: Keys::None, run: lastsave },
    Command { name: "DEBUG", arity: -2, flags: ADMIN, keys: Keys::None, run: debug },
];

/// The subcommands of CONFIG.
pub const CONFIG: &[Command] = &[
    Command::new("CONFIG|GET", -3, ADMIN, config_get),
    Command::new("CONFIG|SET", -4, ADMIN, config_set),
    Command::new("CONFIG|RESETSTAT", 2, ADMIN, config_resetstat),
    Command::new("CONFIG|REWRITE", 2, ADMIN, |_| Err(NO_CONFIG_FILE)),
    Command::new("CONFIG|HELP", 2, Flags::NONE, reference::help),
];

fn time(cx: &mut Context<'_>) -> CommandResult {
    let micros = cx.now.0;
    let parts = [micros / 1_000_000, micros % 1_000_000];
    Ok(Reply::Array(parts.iter().map(|part| Reply::Bulk(part.to_string().into())).collect()))
}

fn dbsize(cx: &mut Context<'_>) -> CommandResult {
    Ok(Reply::Int(cx.engine.db.len() as i64))
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

fn info(cx: &mut Context<'_>) -> CommandResult {
    let text = info::text(cx.engine, &cx.args[1..], cx.now);
    Ok(Reply::Verbatim(*b"txt", text.into()))
}

impl Keys {
    /// The keys among a command's arguments; `None` when these do not fit.
    pub fn of<'a>(self, args: &[&'a [u8]]) -> Option<Vec<&'a [u8]>> {
        match self {
            Keys::None => Some(Vec::new()),
            Keys::Range { first, last, step } => {
                let end = if last < 0 {
                    args.len().checked_sub(last.unsigned_abs().into())?
                } else {
                    last as usize
                };
                let keys = args.get(first as usize..=end)?;
                Some(keys.iter().step_by(step.max(1) as usize).copied().collect())
            }
            Keys::Counted(at) => {
                let first = at as usize + 1;
                let count = usize::try_from(parse_i64(args.get(at as usize)?).ok()?).ok()?;
                Some(args.get(first..first.checked_add(count)?)?.to_vec())
            }
            Keys::Streams => {
                let word = args.iter().position(|arg| arg.eq_ignore_ascii_case(b"STREAMS"))?;
                let rest = &args[word + 1..];
                (rest.len().is_multiple_of(2) && !rest.is_empty()).then(|| rest[..rest.len() / 2].to_vec())
            }
        }
    }
}

const NO_CONFIG_FILE: ErrorReply = ErrorReply::new("ERR The server is running without a config file");

fn config_get(cx: &mut Context<'_>) -> CommandResult {
    let wanted = |name: &str| {
        cx.args[2..].iter().any(|pattern| glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes()))
    };
    let settings = cx.engine.config.iter().filter(|(name, _)| wanted(name));
    Ok(Reply::Map(settings.map(|(name, value)| (Reply::bulk(name), Reply::bulk(value))).collect()))
}

fn config_set(cx: &mut Context<'_>) -> CommandResult {
    let (pairs, []) = cx.args[2..].as_chunks::<2>() else { return Err(SYNTAX) };
    let pairs: Vec<_> = pairs.iter().map(|[name, value]| (*name, *value)).collect();
    cx.engine.config.set(&pairs)?;
    Ok(Reply::OK)
}

fn config_resetstat(cx: &mut Context<'_>) -> CommandResult {
    cx.engine.stats.reset();
    Ok(Reply::OK)
}

/// No replica is connected to an engine: nobody acknowledges, and there is nothing to wait for.
fn wait(cx: &mut Context<'_>) -> CommandResult {
    parse_i64(cx.arg(1)).map_err(|_| NOT_AN_INTEGER)?;
    match parse_i64(cx.arg(2)) {
        Err(_) => Err(ErrorReply::new("ERR timeout is not an integer or out of range")),
        Ok(timeout) if timeout < 0 => Err(ErrorReply::new("ERR timeout is negative")),
        Ok(_) => Ok(Reply::Int(0)),
    }
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
