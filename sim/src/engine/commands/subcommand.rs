//! Commands that hold others: `CLIENT ID`, `CONFIG GET` …

use crate::engine::{
    CommandResult, Context, ErrorReply, Reply, unknown_in_script, wrong_arity, wrong_arity_in_script,
};

/// One command within another.
pub struct Subcommand {
    /// Its name, in capitals.
    pub name: &'static str,
    /// How many arguments, both names included; negative: at least that many.
    pub arity: i16,
    /// What runs it.
    pub run: fn(&mut Context<'_>) -> CommandResult,
}

/// Runs the subcommand that the second argument names. A script is told what is wrong in other words.
pub fn dispatch(cx: &mut Context<'_>, container: &str, subcommands: &[Subcommand]) -> CommandResult {
    match resolve(cx.args, container, subcommands) {
        Ok(subcommand) => (subcommand.run)(cx),
        Err(_) if cx.script.is_some() && find(cx.args, subcommands).is_none() => {
            Err(unknown_in_script(cx.engine.dialect))
        }
        Err(_) if cx.script.is_some() => Err(wrong_arity_in_script(cx.engine.dialect)),
        Err(error) => Err(error),
    }
}

/// Finds the subcommand that the second argument names, and checks its arity.
pub fn resolve<'s>(
    args: &[&[u8]],
    container: &str,
    subcommands: &'s [Subcommand],
) -> Result<&'s Subcommand, ErrorReply> {
    let name = args.get(1).copied().unwrap_or_default();
    let subcommand = find(args, subcommands).ok_or_else(|| unknown(container, name))?;
    let given = args.len() as i64;
    let arity = i64::from(subcommand.arity);
    if (arity >= 0 && given != arity) || given < -arity {
        return Err(wrong_arity(&format!("{container}|{}", subcommand.name.to_ascii_lowercase())));
    }
    Ok(subcommand)
}

fn find<'s>(args: &[&[u8]], subcommands: &'s [Subcommand]) -> Option<&'s Subcommand> {
    let name = args.get(1).copied().unwrap_or_default();
    subcommands.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The text of a `HELP` subcommand, line by line.
pub fn help(text: &'static str) -> CommandResult {
    Ok(Reply::Array(text.lines().map(|line| Reply::Status(line.into())).collect()))
}

/// There is no such subcommand.
pub fn unknown(container: &str, name: &[u8]) -> ErrorReply {
    let name: String = ErrorReply::quote(name).chars().take(128).collect();
    format!("ERR unknown subcommand '{name}'. Try {} HELP.", container.to_ascii_uppercase()).into()
}
