//! Functions: FUNCTION, FCALL, FCALL_RO.

use super::{Command, Flags, Keys, reference, resolve, scripts};
use crate::{
    engine::{CommandResult, Context, ErrorReply, Reply, ScriptRules, busy::Kind, functions::Library, glob},
    lua::{FunctionFlags, Input},
};

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("FUNCTION", -2, Flags::NONE, resolve::container).containing(FUNCTION),
    Command::new("FCALL", -3, Flags::NOSCRIPT, fcall).on(Keys::Counted(2)),
    Command::new("FCALL_RO", -3, Flags::NOSCRIPT.and(Flags::READONLY), fcall_ro).on(Keys::Counted(2)),
];

fn fcall(cx: &mut Context<'_>) -> CommandResult {
    call(cx, false)
}

fn fcall_ro(cx: &mut Context<'_>) -> CommandResult {
    call(cx, true)
}

fn call(cx: &mut Context<'_>, read_only: bool) -> CommandResult {
    let function = cx.engine.functions.find(cx.arg(1)).ok_or(ErrorReply::new("ERR Function not found"))?;
    let bad_count = ErrorReply::new("ERR Bad number of keys provided");
    let (keys, args) = scripts::keys_and_args(cx, bad_count)?;
    let no_writes = function.flags.has(FunctionFlags::NO_WRITES);
    if read_only && !no_writes {
        return Err(scripts::WRITES_IN_READ_ONLY);
    }
    let mut persistent = cx.engine.functions.persistent;
    let input = Input { name: &function.name, keys, args };
    let refusal_of_writes = cx.engine.refusal_of_writes(cx.session, cx.now);
    let rules = ScriptRules { read_only: no_writes, short_of_memory: false, refusal_of_writes };
    let kind = Kind::Function(&function.name);
    let reply =
        scripts::with_host(cx, kind, rules, |host| function.callback.call(input, &mut persistent, host));
    cx.engine.functions.persistent = persistent;
    Ok(reply)
}

const WRITES: Flags = Flags::NOSCRIPT.and(Flags::WRITE);
const LOADS: Flags = WRITES.and(Flags::DENYOOM);
const BUSY: Flags = Flags::NOSCRIPT.and(Flags::ALLOW_BUSY);

/// The subcommands of FUNCTION.
pub const FUNCTION: &[Command] = &[
    Command::new("FUNCTION|LOAD", -3, LOADS, load),
    Command::new("FUNCTION|LIST", -2, Flags::NOSCRIPT, list),
    Command::new("FUNCTION|DELETE", 3, WRITES, delete),
    Command::new("FUNCTION|FLUSH", -2, WRITES, flush),
    Command::new("FUNCTION|STATS", 2, BUSY, stats),
    Command::new("FUNCTION|KILL", 2, BUSY, kill),
    Command::new("FUNCTION|HELP", 2, Flags::NONE, reference::help),
    Command::new("FUNCTION|DUMP", 2, Flags::NOSCRIPT, |_| Err(NO_DUMPS)),
    Command::new("FUNCTION|RESTORE", -3, LOADS, |_| Err(NO_DUMPS)),
];

const NO_DUMPS: ErrorReply =
    ErrorReply::new("ERR FUNCTION DUMP and RESTORE are not supported by the simulation");

fn delete(cx: &mut Context<'_>) -> CommandResult {
    let name = String::from_utf8_lossy(cx.arg(2)).into_owned();
    if !cx.engine.functions.delete(&name) {
        return Err(ErrorReply::new("ERR Library not found"));
    }
    cx.propagate();
    Ok(Reply::OK)
}

fn load(cx: &mut Context<'_>) -> CommandResult {
    let mut replace = false;
    for option in &cx.args[2..cx.args.len() - 1] {
        if !option.eq_ignore_ascii_case(b"REPLACE") {
            return Err(format!("ERR Unknown option given: {}", ErrorReply::quote(option)).into());
        }
        replace = true;
    }
    let code = cx.arg(cx.args.len() - 1);
    let (dialect, interpreter) = (cx.engine.dialect, cx.engine.interpreter.clone());
    let name = cx.engine.functions.load(code, replace, dialect, &interpreter)?;
    cx.propagate();
    Ok(Reply::bulk(name))
}

fn flush(cx: &mut Context<'_>) -> CommandResult {
    match &cx.args[2..] {
        [] => {}
        [mode] if mode.eq_ignore_ascii_case(b"SYNC") || mode.eq_ignore_ascii_case(b"ASYNC") => {}
        [_] => return Err(ErrorReply::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
        _ => return Err(cx.wrong_subcommand("FUNCTION")),
    }
    cx.engine.functions.clear();
    cx.propagate();
    Ok(Reply::OK)
}

fn list(cx: &mut Context<'_>) -> CommandResult {
    let (mut with_code, mut pattern) = (false, None);
    let mut options = cx.args[2..].iter();
    while let Some(option) = options.next() {
        if !with_code && option.eq_ignore_ascii_case(b"WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && option.eq_ignore_ascii_case(b"LIBRARYNAME") {
            let given = options.next().ok_or(ErrorReply::new("ERR library name argument was not given"))?;
            pattern = Some(given.to_ascii_lowercase());
        } else {
            return Err(format!("ERR Unknown argument {}", ErrorReply::quote(option)).into());
        }
    }
    let wanted = |library: &&Library| {
        pattern
            .as_ref()
            .is_none_or(|pattern| glob::matches(pattern, library.name.to_ascii_lowercase().as_bytes()))
    };
    let libraries = cx.engine.functions.libraries().filter(wanted);
    Ok(Reply::Array(libraries.map(|library| describe(library, with_code)).collect()))
}

fn describe(library: &Library, with_code: bool) -> Reply {
    let functions = library.functions.iter().map(|function| {
        Reply::Map(vec![
            (Reply::bulk("name"), Reply::bulk(&function.name)),
            (Reply::bulk("description"), function.description.as_ref().map_or(Reply::Null, Reply::bulk)),
            (
                Reply::bulk("flags"),
                Reply::Set(function.flags.names().map(|name| Reply::Status(name.into())).collect()),
            ),
        ])
    });
    let mut fields = vec![
        (Reply::bulk("library_name"), Reply::bulk(&library.name)),
        (Reply::bulk("engine"), Reply::bulk("LUA")),
        (Reply::bulk("functions"), Reply::Array(functions.collect())),
    ];
    if with_code {
        fields.push((Reply::bulk("library_code"), Reply::Bulk(library.code.clone())));
    }
    Reply::Map(fields)
}

fn kill(cx: &mut Context<'_>) -> CommandResult {
    cx.engine.kill(true)
}

fn stats(cx: &mut Context<'_>) -> CommandResult {
    let running = cx.engine.running_function()?;
    let functions = &cx.engine.functions;
    let counts = Reply::Map(vec![
        (Reply::bulk("libraries_count"), Reply::Int(functions.libraries().len() as i64)),
        (Reply::bulk("functions_count"), Reply::Int(functions.function_count() as i64)),
    ]);
    Ok(Reply::Map(vec![
        (Reply::bulk("running_script"), running),
        (Reply::bulk("engines"), Reply::Map(vec![(Reply::bulk("LUA"), counts)])),
    ]))
}
