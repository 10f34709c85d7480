//! Scripts: EVAL, EVALSHA, their read-only forms, SCRIPT; and how any script calls commands.

use bytes::Bytes;

use super::{Command, Flags, Keys, reference, resolve};
use crate::{
    engine::{
        CommandResult, Context, Dialect, ErrorReply, Protocol, Reply, ScriptRules, busy::Kind,
        number::parse_i64, script_cache::ScriptCache, script_header::ScriptHeader,
    },
    lua::{FunctionFlags, Host, Input, sha1_hex},
};

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("EVAL", -3, Flags::NOSCRIPT, eval).on(Keys::Counted(2)),
    Command::new("EVALSHA", -3, Flags::NOSCRIPT, evalsha).on(Keys::Counted(2)),
    Command::new("EVAL_RO", -3, Flags::NOSCRIPT.and(Flags::READONLY), eval_ro).on(Keys::Counted(2)),
    Command::new("EVALSHA_RO", -3, Flags::NOSCRIPT.and(Flags::READONLY), evalsha_ro).on(Keys::Counted(2)),
    Command::new("SCRIPT", -2, Flags::NONE, resolve::container).containing(SCRIPT),
];

/// A read-only call of what may write.
pub const WRITES_IN_READ_ONLY: ErrorReply =
    ErrorReply::new("ERR Can not execute a script with write flag using *_ro command.");

/// Some of a command's arguments.
type Arguments<'a> = &'a [&'a [u8]];

/// Splits the arguments behind the count of keys (argument 2) into keys and others.
pub fn keys_and_args<'a>(
    cx: &Context<'a>,
    not_a_number: ErrorReply,
) -> Result<(Arguments<'a>, Arguments<'a>), ErrorReply> {
    let count = parse_i64(cx.arg(2)).map_err(|_| not_a_number)?;
    let rest = &cx.args[3..];
    if count > rest.len() as i64 {
        return Err(ErrorReply::new("ERR Number of keys can't be greater than number of args"));
    }
    let count =
        usize::try_from(count).map_err(|_| ErrorReply::new("ERR Number of keys can't be negative"))?;
    Ok(rest.split_at(count))
}

/// Runs commands for a script.
struct ScriptHost<'c, 'a> {
    cx: &'c mut Context<'a>,
    kind: Kind<'c>,
    rules: ScriptRules,
}

impl Host for ScriptHost<'_, '_> {
    fn call(&mut self, args: &[&[u8]], protocol: Protocol) -> Reply {
        // A script speaks a protocol of its own, whatever its client does.
        let client = std::mem::replace(&mut self.cx.session.protocol, protocol);
        let reply = self.cx.call_from_script(args, self.rules).into();
        if self.rules.short_of_memory {
            // A script that has begun to write may end what it began.
            let engine = &self.cx.engine;
            let command = engine.commands.lookup(engine.dialect, args).ok();
            let writes =
                |command: &Command| command.flags.has(Flags::WRITE) && !command.flags.has(Flags::DENYOOM);
            self.rules.short_of_memory = !command.is_some_and(writes);
        }
        self.cx.session.protocol = client;
        reply
    }

    fn knows(&self, command: &[u8]) -> bool {
        self.cx.engine.commands.lookup(self.cx.engine.dialect, &[command]).is_ok()
    }

    fn looked_at(&mut self) -> u64 {
        std::mem::take(&mut self.cx.engine.looked_at)
    }

    fn written(&mut self) -> u64 {
        std::mem::take(&mut self.cx.engine.written)
    }

    fn is_killed(&mut self) -> bool {
        self.cx.is_killed(self.kind)
    }
}

/// Has `run` call a script whose commands are executed in this context.
pub fn with_host(
    cx: &mut Context<'_>,
    kind: Kind<'_>,
    rules: ScriptRules,
    run: impl FnOnce(&mut dyn Host) -> Reply,
) -> Reply {
    let database = cx.selected();
    // What other commands have looked at and written is not the script's.
    (cx.engine.looked_at, cx.engine.written) = (0, 0);
    cx.engine.error_in_script = None;
    if !cx.engine.tracking.is_empty() {
        cx.engine.tracking.begin_script(Keys::Counted(2).of(cx.args));
    }
    cx.engine.begin_script();
    let reply = run(&mut ScriptHost { cx, kind, rules });
    cx.engine.end_script();
    cx.engine.select(database, cx.effects);
    reply
}

fn eval(cx: &mut Context<'_>) -> CommandResult {
    let code = Bytes::copy_from_slice(cx.arg(1));
    run(cx, &sha1_hex(&code), &code, false)
}

fn eval_ro(cx: &mut Context<'_>) -> CommandResult {
    let code = Bytes::copy_from_slice(cx.arg(1));
    run(cx, &sha1_hex(&code), &code, true)
}

fn evalsha(cx: &mut Context<'_>) -> CommandResult {
    run_known(cx, false)
}

fn evalsha_ro(cx: &mut Context<'_>) -> CommandResult {
    run_known(cx, true)
}

fn unknown(cx: &Context<'_>) -> ErrorReply {
    ErrorReply::new(match cx.engine.dialect() {
        Dialect::Valkey8 => "NOSCRIPT No matching script.",
        Dialect::Redis7 => "NOSCRIPT No matching script. Please use EVAL.",
    })
}

fn show(cx: &mut Context<'_>) -> CommandResult {
    let hash = <[u8; 40]>::try_from(cx.arg(2).to_ascii_lowercase()).map_err(|_| unknown(cx))?;
    let code = cx.engine.functions.scripts.get(&hash);
    code.map(|code| Reply::Bulk(code.clone())).ok_or_else(|| unknown(cx))
}

fn run_known(cx: &mut Context<'_>, read_only: bool) -> CommandResult {
    let hash = <[u8; 40]>::try_from(cx.arg(1).to_ascii_lowercase()).map_err(|_| unknown(cx))?;
    keys_and_args(cx, crate::engine::NOT_AN_INTEGER)?;
    let code = cx.engine.functions.scripts.get(&hash).cloned().ok_or_else(|| unknown(cx))?;
    run(cx, &hash, &code, read_only)
}

fn run(cx: &mut Context<'_>, hash: &[u8; 40], code: &Bytes, read_only: bool) -> CommandResult {
    let (keys, args) = keys_and_args(cx, crate::engine::NOT_AN_INTEGER)?;
    let header = ScriptHeader::parse(code)?;
    let script = cx.engine.interpreter.script(cx.engine.dialect, header.body)?;
    let dialect = cx.engine.dialect;
    cx.engine.functions.scripts.evaluate(hash, code, dialect);
    if read_only && header.flags.is_some_and(|flags| !flags.has(FunctionFlags::NO_WRITES)) {
        return Err(WRITES_IN_READ_ONLY);
    }
    let no_writes = read_only || header.flags.is_some_and(|flags| flags.has(FunctionFlags::NO_WRITES));
    let mut persistent = cx.engine.functions.persistent;
    let name = String::from_utf8_lossy(hash);
    let input = Input { name: &name, keys, args };
    // A script that declares nothing is let in, and stopped where it needs memory.
    let short_of_memory = header.flags.is_none() && cx.engine.is_short_of_memory();
    let refusal_of_writes = cx.engine.refusal_of_writes(cx.session, cx.now);
    let rules = ScriptRules { read_only: no_writes, short_of_memory, refusal_of_writes };
    let reply = with_host(cx, Kind::Script, rules, |host| script.call(input, &mut persistent, host));
    cx.engine.functions.persistent = persistent;
    Ok(reply)
}

/// The subcommands of SCRIPT.
pub const SCRIPT: &[Command] = &[
    Command::new("SCRIPT|LOAD", 3, Flags::NOSCRIPT, load),
    Command::new("SCRIPT|EXISTS", -3, Flags::NOSCRIPT, exists),
    Command::new("SCRIPT|FLUSH", -2, Flags::NOSCRIPT, flush),
    Command::new("SCRIPT|KILL", 2, Flags::NOSCRIPT.and(Flags::ALLOW_BUSY), kill),
    Command::new("SCRIPT|SHOW", 3, Flags::NOSCRIPT.and(Flags::VALKEY_ONLY), show),
    Command::new("SCRIPT|HELP", 2, Flags::NONE, reference::help),
];

fn load(cx: &mut Context<'_>) -> CommandResult {
    let code = cx.arg(2);
    let header = ScriptHeader::parse(code)?;
    cx.engine.interpreter.script(cx.engine.dialect, header.body)?;
    let hash = sha1_hex(code);
    cx.engine.functions.scripts.load(&hash, &Bytes::copy_from_slice(code));
    Ok(Reply::bulk(hash))
}

fn kill(cx: &mut Context<'_>) -> CommandResult {
    cx.engine.kill(false)
}

fn exists(cx: &mut Context<'_>) -> CommandResult {
    let scripts = &cx.engine.functions.scripts;
    let known = |hash: &&[u8]| {
        <[u8; 40]>::try_from(hash.to_ascii_lowercase()).is_ok_and(|hash| scripts.get(&hash).is_some())
    };
    Ok(Reply::Array(cx.args[2..].iter().map(|hash| Reply::Int(i64::from(known(hash)))).collect()))
}

fn flush(cx: &mut Context<'_>) -> CommandResult {
    let known = |mode: &[u8]| mode.eq_ignore_ascii_case(b"SYNC") || mode.eq_ignore_ascii_case(b"ASYNC");
    match &cx.args[2..] {
        [] => {}
        [mode] if known(mode) => {}
        _ => return Err(ErrorReply::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option")),
    }
    cx.engine.functions.scripts = ScriptCache::default();
    Ok(Reply::OK)
}
