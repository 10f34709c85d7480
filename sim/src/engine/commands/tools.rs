//! What dashboards and tools ask besides INFO: MEMORY, SLOWLOG, LATENCY, MODULE. A simulated server is never slow
//! and has no modules, so most answers are empty; they are well-formed. With `slowlog-log-slower-than 0` everything is slow.

use super::{Command, Flags, Keys, parse::is, reference, resolve};
use crate::engine::{
    CommandResult, Context, Dialect, ErrorReply, NOT_AN_INTEGER, Reply, SYNTAX, number::parse_i64,
};

const ADMIN: Flags = Flags::ADMIN.and(Flags::NOSCRIPT);

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("LATENCY", -2, Flags::NONE, resolve::container).containing(LATENCY),
    Command::new("MEMORY", -2, Flags::NONE, resolve::container).containing(MEMORY),
    Command::new("MODULE", -2, Flags::NONE, resolve::container).containing(MODULE),
    Command::new("SLOWLOG", -2, Flags::NONE, resolve::container).containing(SLOWLOG),
];

/// The subcommands of LATENCY.
pub const LATENCY: &[Command] = &[
    Command::new("LATENCY|DOCTOR", 2, ADMIN, latency_doctor),
    Command::new("LATENCY|GRAPH", 3, ADMIN, latency_graph),
    Command::new("LATENCY|HELP", 2, Flags::NONE, reference::help),
    Command::new("LATENCY|HISTOGRAM", -2, ADMIN, |_| Ok(Reply::Map(Vec::new()))),
    Command::new("LATENCY|HISTORY", 3, ADMIN, nothing),
    Command::new("LATENCY|LATEST", 2, ADMIN, nothing),
    Command::new("LATENCY|RESET", -2, ADMIN, |_| Ok(Reply::Int(0))),
];

/// The subcommands of MEMORY.
pub const MEMORY: &[Command] = &[
    Command::new("MEMORY|DOCTOR", 2, Flags::NONE, memory_doctor),
    Command::new("MEMORY|HELP", 2, Flags::NONE, reference::help),
    Command::new("MEMORY|PURGE", 2, Flags::NONE, |_| Ok(Reply::OK)),
    Command::new("MEMORY|USAGE", -3, Flags::READONLY, memory_usage).on(Keys::SECOND),
];

/// The subcommands of MODULE.
pub const MODULE: &[Command] = &[
    Command::new("MODULE|HELP", 2, Flags::NONE, reference::help),
    Command::new("MODULE|LIST", 2, ADMIN, nothing),
];

/// The subcommands of SLOWLOG.
pub const SLOWLOG: &[Command] = &[
    Command::new("SLOWLOG|GET", -2, Flags::ADMIN, slowlog_get),
    Command::new("SLOWLOG|HELP", 2, Flags::NONE, reference::help),
    Command::new("SLOWLOG|LEN", 2, Flags::ADMIN, |cx| Ok(Reply::Int(cx.engine.slow_log.len() as i64))),
    Command::new("SLOWLOG|RESET", 2, Flags::ADMIN, slowlog_reset),
];

fn nothing(_: &mut Context<'_>) -> CommandResult {
    Ok(Reply::Array(Vec::new()))
}

fn latency_doctor(cx: &mut Context<'_>) -> CommandResult {
    let text = match cx.engine.dialect() {
        Dialect::Valkey8 => {
            "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Valkey instance. You may use \
             \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it.\n"
        }
        Dialect::Redis7 => {
            "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \
             \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it. If we weren't in a deep \
             space mission I'd suggest to take a look at https://redis.io/topics/latency-monitor.\n"
        }
    };
    Ok(Reply::Verbatim(*b"txt", text.into()))
}

fn latency_graph(cx: &mut Context<'_>) -> CommandResult {
    Err(format!("ERR No samples available for event '{}'", ErrorReply::quote(cx.arg(2))).into())
}

fn memory_doctor(_: &mut Context<'_>) -> CommandResult {
    let text = "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this base.\n";
    Ok(Reply::Verbatim(*b"txt", text.into()))
}

/// About what a real server uses for the key. All elements are looked at, whatever `SAMPLES` says.
fn memory_usage(cx: &mut Context<'_>) -> CommandResult {
    match &cx.args[3..] {
        [] => {}
        [word, count] if is(word, "SAMPLES") => {
            if parse_i64(count).map_err(|_| NOT_AN_INTEGER)? < 0 {
                return Err(SYNTAX);
            }
        }
        _ => return Err(SYNTAX),
    }
    let key = cx.arg(2);
    cx.drop_if_expired(key);
    let entry = cx.engine.db.get(key);
    let looked_at = entry.map_or(0, |entry| entry.value.work());
    let used = entry.map(|entry| crate::engine::memory::of_entry(key, entry));
    cx.pay(looked_at);
    Ok(used.map_or(Reply::Null, |bytes| Reply::Int(bytes as i64)))
}

fn slowlog_get(cx: &mut Context<'_>) -> CommandResult {
    const TOO_FEW: ErrorReply = ErrorReply::new("ERR count should be greater than or equal to -1");
    let count = match &cx.args[2..] {
        [] => 10,
        [count] => match parse_i64(count) {
            Ok(-1) => usize::MAX,
            Ok(count) => usize::try_from(count).map_err(|_| TOO_FEW)?,
            Err(_) => return Err(TOO_FEW),
        },
        _ => return Err(cx.wrong_subcommand("SLOWLOG")),
    };
    Ok(cx.engine.slow_log.told(count))
}

fn slowlog_reset(cx: &mut Context<'_>) -> CommandResult {
    cx.engine.slow_log.clear();
    Ok(Reply::OK)
}
