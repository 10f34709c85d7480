//! Commands that hold others: `CLIENT ID`, `CONFIG GET` …

use crate::engine::{CommandResult, Context, ErrorReply, Reply, wrong_arity};

/// One command within another.
pub struct Subcommand {
    /// Its name, in capitals.
    pub name: &'static str,
    /// How many arguments, both names included; negative: at least that many.
    pub arity: i16,
    /// What runs it.
    pub run: fn(&mut Context<'_>) -> CommandResult,
}

/// Runs the subcommand that the second argument names.
pub fn dispatch(cx: &mut Context<'_>, container: &str, subcommands: &[Subcommand]) -> CommandResult {
    (resolve(cx.args, container, subcommands)?.run)(cx)
}

/// Finds the subcommand that the second argument names, and checks its arity.
pub fn resolve<'s>(
    args: &[&[u8]],
    container: &str,
    subcommands: &'s [Subcommand],
) -> Result<&'s Subcommand, ErrorReply> {
    let name = args.get(1).copied().unwrap_or_default();
    let found = subcommands.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name));
    let subcommand = found.ok_or_else(|| unknown(container, name))?;
    let given = args.len() as i64;
    let arity = i64::from(subcommand.arity);
    if (arity >= 0 && given != arity) || given < -arity {
        return Err(wrong_arity(&format!("{container}|{}", subcommand.name.to_ascii_lowercase())));
    }
    Ok(subcommand)
}

/// The text of a `HELP` subcommand, line by line.
pub fn help(text: &'static str) -> CommandResult {
    Ok(Reply::Array(text.lines().map(|line| Reply::Status(line.into())).collect()))
}

/// There is no such subcommand.
pub fn unknown(container: &str, name: &[u8]) -> ErrorReply {
    let name: String = String::from_utf8_lossy(name).chars().take(128).collect();
    format!("ERR unknown subcommand '{name}'. Try {} HELP.", container.to_ascii_uppercase()).into()
}
