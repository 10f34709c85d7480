//! `SIM`: what no real server has. It turns the clock, and tells a test what it wants to know.

use super::{
    Command, Flags,
    parse::{count, is},
    reference, resolve,
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
pub const COMMANDS: &[Command] = &[Command::new("SIM", -2, Flags::NONE, resolve::container).containing(SIM)];

const ADMIN: Flags = Flags::ADMIN.and(Flags::NOSCRIPT);

/// The subcommands of SIM.
pub const SIM: &[Command] = &[
    Command::new("SIM|CLOCK", -2, ADMIN, clock),
    Command::new("SIM|SEED", -2, ADMIN, seed),
    Command::new("SIM|EFFECTS", -2, ADMIN, effects),
    Command::new("SIM|DIGEST", 2, ADMIN, data_digest),
    Command::new("SIM|HELP", 2, Flags::NONE, reference::help),
];

const SUMMARIES: &[(&str, &str)] = &[
    ("CLOCK", "Returns or turns the server's clock."),
    ("SEED", "Returns or sets the seed of all random choices."),
    ("EFFECTS", "Returns the last writes as they would be propagated."),
    ("DIGEST", "Returns a hash of the data."),
    ("HELP", "Returns helpful text about the different subcommands."),
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
        [what, ..] => return Err(resolve::unknown_subcommand(b"sim", what)),
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

/// What `SIM HELP` answers.
pub fn help_text() -> Reply {
    Reply::Array(HELP.lines().map(|line| Reply::Status(line.into())).collect())
}

/// What `COMMAND DOCS SIM` answers.
pub fn documentation() -> Reply {
    let map = |pairs: Vec<(&str, Reply)>| {
        Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
    };
    let about = |summary: &str| {
        vec![
            ("summary", Reply::bulk(summary)),
            ("since", Reply::bulk(env!("CARGO_PKG_VERSION"))),
            ("group", Reply::bulk("simulation")),
        ]
    };
    let within = SIM.iter().map(|command| {
        let summary = SUMMARIES.iter().find(|(name, _)| *name == command.own_name());
        (Reply::bulk(command.lower_name()), map(about(summary.map_or("", |(_, summary)| summary))))
    });
    let mut sim = about("A container for commands that only a simulated server has.");
    sim.push(("subcommands", Reply::Map(within.collect())));
    map(sim)
}
