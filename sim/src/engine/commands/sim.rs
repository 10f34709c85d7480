//! `SIM`: what no real server has. It turns the clock, and tells a test what it wants to know.

use super::{
    Command, Flags, Keys,
    parse::{count, is},
    subcommand::{Subcommand, dispatch, unknown},
};
use crate::engine::{
    CommandResult, Context, ErrorReply, Reply, SYNTAX, UnixMillis,
    digest::digest,
    number::parse_i64,
    turn::{NOT_ADJUSTABLE, Turn},
    wrong_arity,
};
use crate::lua::hex;

/// The family.
pub const COMMANDS: &[Command] = &[Command {
    name: "SIM",
    arity: -2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT),
    keys: Keys::None,
    run: sim,
}];

const SIM: &[Subcommand] = &[
    Subcommand { name: "CLOCK", arity: -2, run: clock },
    Subcommand { name: "SEED", arity: -2, run: seed },
    Subcommand { name: "EFFECTS", arity: -2, run: effects },
    Subcommand { name: "DIGEST", arity: 2, run: data_digest },
    Subcommand { name: "HELP", arity: 2, run: help },
];

/// The effects that are shown when nobody says how many.
const USUAL_EFFECTS: usize = 10;

const HELP: &str = "\
SIM <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
CLOCK
    Return what the server's clock shows, in milliseconds, and whether it runs.
CLOCK FREEZE|RUN
    Stop the clock, or let it run from what it shows.
CLOCK SET <milliseconds>
    Set the clock, forward or back.
CLOCK ADVANCE <milliseconds>
    Have the clock jump ahead. What is due by then happens at once, at the new time:
    keys expire and commands that wait give up.
SEED [<seed>]
    Return the seed of all random choices, or start them anew from another.
EFFECTS [<count>]
    Return the last writes as they would be propagated, oldest first (10 by default).
DIGEST
    Return a hash of the data: equal if, and only if, the data are.
HELP
    Print this help.";

fn sim(cx: &mut Context<'_>) -> CommandResult {
    dispatch(cx, "sim", SIM)
}

/// Leaves the request with the session. The reply is what a host that takes no requests has its clients see.
fn clock(cx: &mut Context<'_>) -> CommandResult {
    let turn = match &cx.args[2..] {
        [] => Turn::Show,
        [what] if is(what, "FREEZE") => Turn::Freeze,
        [what] if is(what, "RUN") => Turn::Run,
        [what, ms] if is(what, "SET") => Turn::Set(UnixMillis(parse_i64(ms)?)),
        [what, ms] if is(what, "ADVANCE") => Turn::Advance(count(ms)? as u64),
        [what, ..] if ["FREEZE", "RUN", "SET", "ADVANCE"].iter().any(|known| is(what, known)) => {
            return Err(wrong_arity("sim|clock"));
        }
        [what, ..] => return Err(unknown("sim", what)),
    };
    // The time stands still within a transaction, and its replies are not the host's to write.
    if cx.session.deny_blocking {
        return Err(ErrorReply::new("ERR SIM CLOCK is not allowed in transactions"));
    }
    cx.session.turn = Some(turn);
    Err(NOT_ADJUSTABLE)
}

fn seed(cx: &mut Context<'_>) -> CommandResult {
    match &cx.args[2..] {
        [] => Ok(Reply::bulk(cx.engine.seed.to_string())),
        [seed] => {
            let seed = std::str::from_utf8(seed).ok().and_then(|seed| seed.parse().ok());
            cx.engine.seed(seed.ok_or(ErrorReply::new("ERR seed is not an integer or out of range"))?);
            Ok(Reply::OK)
        }
        _ => Err(wrong_arity("sim|seed")),
    }
}

fn effects(cx: &mut Context<'_>) -> CommandResult {
    let wanted = match &cx.args[2..] {
        [] => USUAL_EFFECTS,
        [wanted] => count(wanted)?,
        _ => return Err(SYNTAX),
    };
    let log = cx.engine.effect_log.as_ref();
    let log =
        log.ok_or(ErrorReply::new("ERR this server keeps no effects: its host records them elsewhere"))?;
    Ok(Reply::Array(log.last(wanted).map(Reply::bulks).collect()))
}

fn data_digest(cx: &mut Context<'_>) -> CommandResult {
    Ok(Reply::bulk(hex(digest(cx.engine.databases(), cx.now_ms()))))
}

fn help(_: &mut Context<'_>) -> CommandResult {
    Ok(Reply::Array(HELP.lines().map(|line| Reply::Status(line.into())).collect()))
}
