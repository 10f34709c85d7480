//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use super::{Command, Flags, Keys};
use crate::engine::{CommandResult, Context, ErrorReply, Reply};

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
    for args in &transaction.queued {
        cx.execute_queued(args, &mut replies);
    }
    cx.session.deny_blocking = false;
    cx.show_exec();
    Ok(Reply::Array(replies))
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
