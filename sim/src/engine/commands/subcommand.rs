//! Commands that hold others: `CLIENT ID`, `CONFIG GET` …

use crate::engine::{
    CommandResult, Context, ErrorReply, unknown_in_script, wrong_arity, wrong_arity_in_script,
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

/// Runs the subcommand that the second argument names.
pub fn dispatch(cx: &mut Context<'_>, container: &str, subcommands: &[Subcommand]) -> CommandResult {
    let name = cx.arg(1);
    let found = subcommands.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name));
    let Some(subcommand) = found else {
        return Err(match cx.script {
            Some(_) => unknown_in_script(cx.engine.dialect),
            None => unknown(container, name),
        });
    };
    let given = cx.args.len() as i64;
    let arity = i64::from(subcommand.arity);
    if (arity >= 0 && given != arity) || given < -arity {
        if cx.script.is_some() {
            return Err(wrong_arity_in_script(cx.engine.dialect));
        }
        return Err(wrong_arity(&format!("{container}|{}", subcommand.name.to_ascii_lowercase())));
    }
    (subcommand.run)(cx)
}

/// There is no such subcommand.
pub fn unknown(container: &str, name: &[u8]) -> ErrorReply {
    let name: String = ErrorReply::quote(name).chars().take(128).collect();
    format!("ERR unknown subcommand '{name}'. Try {} HELP.", container.to_ascii_uppercase()).into()
}
