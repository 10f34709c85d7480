//! `redis.*` (on Valkey also `server.*`): the boundary between scripts and the server.

use std::os::raw::c_int;

use super::{
    convert,
    raw::{Kind, Lua, Native, Outcome, Raised, native},
    state,
};
use crate::base::{Dialect, Protocol, Reply};

/// What functions and scripts find in the table.
pub const RUNNING: &[(&str, Native)] = &[
    ("call", native!(call)),
    ("pcall", native!(pcall)),
    ("error_reply", native!(error_reply)),
    ("status_reply", native!(status_reply)),
    ("sha1hex", native!(sha1hex)),
    ("setresp", native!(setresp)),
    ("set_repl", native!(set_repl)),
    ("acl_check_cmd", native!(acl_check_cmd)),
    ("log", native!(log)),
];

/// What scripts, but not functions, find in it: they do nothing here.
const SCRIPTS_ONLY: &[(&[u8], Native)] = &[
    (b"replicate_commands", native!(replicate_commands)),
    (b"breakpoint", native!(breakpoint)),
    (b"debug", native!(debug)),
];

/// The `__index` of the table: a script's further functions.
pub fn scripts_only(lua: &mut Lua<'_>) -> Outcome {
    let is_script = lua.with(|state| state.is_script);
    let name = lua.bytes(2);
    let found = SCRIPTS_ONLY.iter().find(|(known, _)| is_script && name == Some(known));
    match found {
        Some(&(_, function)) => lua.push_native(function, 0),
        None => lua.push_nil(),
    }
    Ok(1)
}

/// Effects are always what is replicated.
fn replicate_commands(lua: &mut Lua<'_>) -> Outcome {
    lua.push_bool(true);
    Ok(1)
}

/// No debugger is attached.
fn breakpoint(lua: &mut Lua<'_>) -> Outcome {
    lua.push_bool(false);
    Ok(1)
}

fn debug(_: &mut Lua<'_>) -> Outcome {
    Ok(0)
}

/// What a library finds in it while it loads.
pub const LOADING: &[(&str, Native)] =
    &[("register_function", native!(super::registration::register_function)), ("log", native!(log))];

/// The numbers in the table.
pub const NUMBERS: &[(&str, u32)] =
    &[("LOG_DEBUG", 0), ("LOG_VERBOSE", 1), ("LOG_NOTICE", 2), ("LOG_WARNING", 3)];

/// The numbers in the table once a library has loaded.
pub const REPLICATION: &[(&str, u32)] =
    &[("REPL_NONE", 0), ("REPL_AOF", 1), ("REPL_SLAVE", 2), ("REPL_REPLICA", 2), ("REPL_ALL", 3)];

/// The versions a server of this dialect claims, as strings and as numbers.
pub fn versions(dialect: Dialect) -> &'static [(&'static str, &'static str, u32)] {
    match dialect {
        Dialect::Redis7 => &[("REDIS_VERSION", "7.0.15", 0x0007_000f)],
        Dialect::Valkey8 => {
            &[("REDIS_VERSION", "7.2.4", 0x0007_0204), ("VALKEY_VERSION", "8.0.1", 0x0008_0001)]
        }
    }
}

/// What the table is called in error texts.
pub fn table_name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Redis7 => "redis",
        Dialect::Valkey8 => "server",
    }
}

/// Pushes `{err = text}` as an error to raise.
pub fn error_table(lua: &Lua<'_>, text: &[u8]) -> Raised {
    error_table_with(lua, |lua| lua.push_bytes(text))
}

/// As [`error_table`], with a formatted text.
pub fn error_table_fmt(lua: &Lua<'_>, text: std::fmt::Arguments<'_>) -> Raised {
    error_table_with(lua, |lua| lua.push_fmt(text))
}

fn error_table_with(lua: &Lua<'_>, push_text: impl FnOnce(&Lua<'_>)) -> Raised {
    lua.push_table(0, 3);
    lua.push_ref(lua.with(|state| state.refs.err));
    push_text(lua);
    // SAFETY: takes off the key and the text that were just pushed.
    unsafe { lua.again() }.raw_set(-3);
    Raised
}

fn call(lua: &mut Lua<'_>) -> Outcome {
    let failed = command(lua)?;
    if failed { Err(Raised) } else { Ok(1) }
}

fn pcall(lua: &mut Lua<'_>) -> Outcome {
    let is_counted = lua.top() > 0 && !has_odd_argument(lua);
    if command(lua)? && is_counted {
        // A server marks what it has counted already: not what never became a command.
        lua.push_bool(true);
        lua.set_raw_field(-2, "ignore_error_stats_update");
    }
    Ok(1)
}

/// Whether an argument is neither text nor number, so that there is no command to be run.
fn has_odd_argument(lua: &Lua<'_>) -> bool {
    (1..=lua.top()).any(|index| !matches!(lua.kind(index), Kind::String | Kind::Number))
}

/// What a command costs its script, whatever it does: about as many instructions as take as long.
const COMMAND_STEPS: u64 = 100;

/// Runs the command in the arguments and pushes its reply; true when that is an error.
fn command(lua: &mut Lua<'_>) -> Result<bool, Raised> {
    let count = lua.top();
    if let Some(problem) = gather(lua, count) {
        error_table(lua, problem);
        return Ok(true);
    }
    let (steps, too_much) = lua.with(|state| (state.argument_steps(), state.has_written_too_much()));
    lua.charge(COMMAND_STEPS + steps)?;
    if too_much {
        lua.raise_out_of_memory();
    }
    // SAFETY: the arguments are on the stack, where `gather` found them: nothing was taken off since.
    if !unsafe { state::send(lua) } {
        return Err(error_table(lua, b"ERR the simulated server panicked"));
    }
    // The arguments may fill the stack, and are not needed any more.
    lua.set_top(0);
    // SAFETY: no command is sent while the reply is pushed: pushing runs neither Lua code nor a host.
    let reply = unsafe { state::reply(lua) };
    convert::push_reply(lua, reply)?;
    Ok(matches!(reply, Reply::Error(_)))
}

/// Points the state's argument list at the arguments on the stack; what is wrong with them, if anything is.
fn gather(lua: &Lua<'_>, count: c_int) -> Option<&'static [u8]> {
    let dialect = lua.with(|state| state.dialect);
    if count == 0 {
        return Some(match dialect {
            Dialect::Redis7 => b"ERR Please specify at least one argument for this redis lib call",
            Dialect::Valkey8 => b"ERR Please specify at least one argument for this call",
        });
    }
    lua.with(|state| state.begin_command(count as usize));
    for index in 1..=count {
        if let Some(bytes) = lua.bytes(index) {
            lua.with(|state| state.add_argument(bytes));
        } else if lua.kind(index) == Kind::Number {
            let number = lua.number(index);
            lua.with(|state| state.add_number(number));
        } else {
            return Some(match dialect {
                Dialect::Redis7 => b"ERR Lua redis lib command arguments must be strings or integers",
                Dialect::Valkey8 => b"ERR Command arguments must be strings or integers",
            });
        }
    }
    None
}

fn error_reply(lua: &mut Lua<'_>) -> Outcome {
    // SAFETY: argument 1 stays on the stack.
    let (1, Some(text)) = (lua.top(), unsafe { lua.held(1) }) else {
        error_table(lua, b"ERR wrong number or type of arguments");
        return Ok(1);
    };
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let end = text.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let text = &text[..end];
    lua.push_table(0, 1);
    lua.push_ref(lua.with(|state| state.refs.err));
    lua.with(|state| {
        state.scratch.clear();
        if !text.contains(&b' ') {
            state.scratch.extend_from_slice(b"ERR ");
        }
        state.scratch.extend_from_slice(text);
    });
    lua.push_scratch();
    lua.raw_set(-3);
    Ok(1)
}

fn status_reply(lua: &mut Lua<'_>) -> Outcome {
    if lua.top() != 1 || lua.kind(1) != Kind::String {
        error_table(lua, b"ERR wrong number or type of arguments");
        return Ok(1);
    }
    lua.push_table(0, 1);
    lua.push_ref(lua.with(|state| state.refs.ok));
    lua.push_copy(1);
    lua.raw_set(-3);
    Ok(1)
}

fn sha1hex(lua: &mut Lua<'_>) -> Outcome {
    if lua.top() != 1 {
        return Err(error_table(lua, b"ERR wrong number of arguments"));
    }
    let text = lua.text(1).unwrap_or_default();
    lua.charge(text.len() as u64)?;
    lua.push_bytes(&super::sha1_hex(text));
    Ok(1)
}

fn setresp(lua: &mut Lua<'_>) -> Outcome {
    let table = table_name(lua.with(|state| state.dialect));
    if lua.top() != 1 {
        return Err(error_table_fmt(lua, format_args!("ERR {table}.setresp() requires one argument.")));
    }
    let protocol = match lua.number(1) {
        2.0 => Protocol::Resp2,
        3.0 => Protocol::Resp3,
        _ => return Err(error_table(lua, b"ERR RESP version must be 2 or 3.")),
    };
    lua.with(|state| state.protocol = protocol);
    Ok(0)
}

/// Accepted, and without consequence: effects are the truth of the simulation.
fn set_repl(lua: &mut Lua<'_>) -> Outcome {
    let table = table_name(lua.with(|state| state.dialect));
    if lua.top() != 1 {
        // Redis counts wrong.
        let one = if table == "server" { "one argument" } else { "two arguments" };
        return Err(error_table_fmt(lua, format_args!("ERR {table}.set_repl() requires {one}.")));
    }
    if !(0.0..=3.0).contains(&lua.number(1)) {
        let text = b"ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return Err(error_table(lua, text));
    }
    Ok(0)
}

/// There are no ACL rules: every command that exists may be run.
fn acl_check_cmd(lua: &mut Lua<'_>) -> Outcome {
    if let Some(problem) = gather(lua, lua.top()) {
        return Err(error_table(lua, problem));
    }
    let table = table_name(lua.with(|state| state.dialect));
    let known = lua.bytes(1).is_some_and(|name| state::knows(lua, name));
    if !known {
        let text = format_args!("ERR Invalid command passed to {table}.acl_check_cmd()");
        return Err(error_table_fmt(lua, text));
    }
    lua.push_bool(true);
    Ok(1)
}

fn log(lua: &mut Lua<'_>) -> Outcome {
    let table = table_name(lua.with(|state| state.dialect));
    let count = lua.top();
    if count < 2 {
        return Err(error_table_fmt(lua, format_args!("ERR {table}.log() requires two arguments or more.")));
    }
    if !lua.is_number(1) {
        return Err(error_table(lua, b"ERR First argument must be a number (log level)."));
    }
    let level = lua.number(1);
    if !(0.0..=3.0).contains(&level) {
        return Err(error_table(
            lua,
            match lua.with(|state| state.dialect) {
                Dialect::Redis7 => b"ERR Invalid debug level.".as_slice(),
                Dialect::Valkey8 => b"ERR Invalid log level.",
            },
        ));
    }
    lua.with(|state| state.scratch.clear());
    for index in 2..=count {
        let text = lua.text(index).unwrap_or_default();
        lua.charge(text.len() as u64)?;
        lua.with(|state| {
            if index > 2 {
                state.scratch.push(b' ');
            }
            state.scratch.extend_from_slice(text);
        });
    }
    state::log(lua, level as u8);
    Ok(0)
}
