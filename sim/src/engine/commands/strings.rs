//! Strings.

use bytes::Bytes;

use super::{Command, Flags, Keys};
use crate::engine::{CommandResult, Context, Reply, WRONG_TYPE, value::Value};

/// The family.
pub const COMMANDS: &[Command] = &[Command {
    name: "GET",
    arity: 2,
    flags: Flags::READONLY.and(Flags::FAST),
    keys: Keys::FIRST,
    run: get,
}];

fn get(cx: &mut Context<'_>) -> CommandResult {
    Ok(string(cx, cx.arg(1))?.map_or(Reply::Null, |value| Reply::Bulk(value.clone())))
}

/// The string under a key; an error if another type is.
fn string<'c>(cx: &'c mut Context<'_>, key: &[u8]) -> Result<Option<&'c Bytes>, crate::engine::ErrorReply> {
    match cx.get(key) {
        None => Ok(None),
        Some(Value::String(value)) => Ok(Some(value)),
        Some(_) => Err(WRONG_TYPE),
    }
}
