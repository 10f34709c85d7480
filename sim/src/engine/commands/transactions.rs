//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use bytes::Bytes;

use super::{Command, Flags, Keys, parse::is};
use crate::engine::{CommandResult, Context, ErrorReply, Reply, ReplyMode};

const CONTROL: Flags = Flags::NOSCRIPT.and(Flags::FAST).and(Flags::ALLOW_BUSY);

const BEGIN: Flags = CONTROL.and(Flags::NO_MULTI);

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("MULTI", 1, BEGIN, multi).on(Keys::None),
    Command::new("EXEC", 1, Flags::NOSCRIPT, exec).on(Keys::None),
    Command::new("DISCARD", 1, CONTROL, discard).on(Keys::None),
    Command::new("WATCH", -2, BEGIN, watch).on(Keys::ALL),
    Command::new("UNWATCH", 1, CONTROL, unwatch).on(Keys::None),
];

fn multi(cx: &mut Context<'_>) -> CommandResult {
    if cx.session.transaction.is_some() {
        return Err(ErrorReply::new("ERR MULTI calls can not be nested"));
    }
    cx.session.transaction = Some(Box::default());
    Ok(Reply::OK)
}

/// Everything in it happens at one time, and its effects are those of one command.
fn exec(cx: &mut Context<'_>) -> CommandResult {
    let Some(transaction) = cx.session.transaction.take() else {
        cx.show_exec();
        return Err(ErrorReply::new("ERR EXEC without MULTI"));
    };
    let touched = cx.unwatch();
    if transaction.void || touched {
        cx.show_exec();
    }
    if transaction.void {
        return Err(ErrorReply::new("EXECABORT Transaction discarded because of previous errors."));
    }
    if touched {
        return Ok(Reply::NullArray);
    }
    let mut replies = Vec::with_capacity(transaction.queued.len());
    cx.session.deny_blocking = true;
    let announces = cx.session.reply_mode != ReplyMode::Off;
    for args in &transaction.queued {
        let before = replies.len();
        cx.execute_queued(args, &mut replies);
        if cx.session.reply_mode == ReplyMode::Off {
            let unheard = replies.split_off(before);
            replies.extend(unheard.into_iter().filter(|reply| matches!(reply, Reply::Push(_))));
        }
    }
    cx.session.deny_blocking = false;
    cx.show_exec();
    if !transaction.queued.iter().any(|args| is_client_reply(args)) {
        return Ok(Reply::Array(replies));
    }
    // As a real server's, the array is announced before anything is executed, and may have fewer elements than that.
    cx.session.announced = announces.then_some(transaction.queued.len());
    cx.session.pushes.extend(replies);
    Ok(Reply::Nothing)
}

fn is_client_reply(args: &[Bytes]) -> bool {
    matches!(args, [name, subcommand, ..] if is(name, "CLIENT") && is(subcommand, "REPLY"))
}

fn discard(cx: &mut Context<'_>) -> CommandResult {
    cx.session.transaction.take().ok_or(ErrorReply::new("ERR DISCARD without MULTI"))?;
    cx.unwatch();
    Ok(Reply::OK)
}

fn watch(cx: &mut Context<'_>) -> CommandResult {
    if cx.session.transaction.is_some() {
        return Err(ErrorReply::new("ERR WATCH inside MULTI is not allowed"));
    }
    for key in &cx.args[1..] {
        cx.watch(key);
    }
    Ok(Reply::OK)
}

fn unwatch(cx: &mut Context<'_>) -> CommandResult {
    cx.unwatch();
    Ok(Reply::OK)
}
