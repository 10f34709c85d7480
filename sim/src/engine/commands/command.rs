//! COMMAND: what a server tells about its commands.

use bytes::Bytes;

use super::{Command, Flags, TABLE, key_specs, parse::is, reference};
use crate::engine::{CommandResult, Context, Dialect, ErrorReply, Reply, SYNTAX, glob, wrong_arity};

/// The family.
pub const COMMANDS: &[Command] = &[Command::new("COMMAND", -1, Flags::NONE, every_info).containing(COMMAND)];

/// The subcommands of COMMAND.
pub const COMMAND: &[Command] = &[
    Command::new("COMMAND|COUNT", 2, Flags::NONE, count),
    Command::new("COMMAND|DOCS", -2, Flags::NONE, docs),
    Command::new("COMMAND|GETKEYS", -3, Flags::NONE, getkeys),
    Command::new("COMMAND|GETKEYSANDFLAGS", -3, Flags::NONE, getkeysandflags),
    Command::new("COMMAND|HELP", 2, Flags::NONE, reference::help),
    Command::new("COMMAND|INFO", -2, Flags::NONE, info),
    Command::new("COMMAND|LIST", -2, Flags::NONE, list),
];

/// The commands that are not within another.
fn all(dialect: Dialect) -> impl Iterator<Item = &'static Command> {
    TABLE.iter().filter(move |command| command.is_in(dialect))
}

fn count(cx: &mut Context<'_>) -> CommandResult {
    Ok(Reply::Int(all(cx.engine.dialect()).count() as i64))
}

fn every_info(cx: &mut Context<'_>) -> CommandResult {
    let info = &reference::of(cx.engine.dialect()).info;
    let told =
        all(cx.engine.dialect()).filter_map(|command| info.get(command.lower_name().as_bytes()).cloned());
    Ok(Reply::Array(told.collect()))
}

fn info(cx: &mut Context<'_>) -> CommandResult {
    if cx.args.len() == 2 {
        return every_info(cx);
    }
    let info = &reference::of(cx.engine.dialect()).info;
    let told = cx.args[2..].iter().map(|name| info.get(&*name.to_ascii_lowercase()).cloned());
    Ok(Reply::Array(told.map(|told| told.unwrap_or(Reply::NullArray)).collect()))
}

fn docs(cx: &mut Context<'_>) -> CommandResult {
    let docs = &reference::of(cx.engine.dialect()).docs;
    let names: Vec<Vec<u8>> = match &cx.args[2..] {
        [] => all(cx.engine.dialect()).map(|command| command.lower_name().into()).collect(),
        names => names.iter().map(|name| name.to_ascii_lowercase()).collect(),
    };
    let told = names.iter().filter_map(|name| docs.get_key_value(&name[..]));
    Ok(Reply::Map(told.map(|(name, told)| (Reply::Bulk(name.clone()), told.clone())).collect()))
}

fn list(cx: &mut Context<'_>) -> CommandResult {
    let info = &reference::of(cx.engine.dialect()).info;
    let wanted: Vec<&Bytes> = match cx.args[2..] {
        [] => info.keys().collect(),
        // There are no modules.
        [by, kind, _] if is(by, "FILTERBY") && is(kind, "MODULE") => Vec::new(),
        [by, kind, which] if is(by, "FILTERBY") && is(kind, "ACLCAT") => {
            let category = format!("@{}", String::from_utf8_lossy(which).to_ascii_lowercase());
            let of_category = info.iter().filter(|(_, told)| has_category(told, &category));
            of_category.map(|(name, _)| name).collect()
        }
        [by, kind, which] if is(by, "FILTERBY") && is(kind, "PATTERN") => {
            let pattern = which.to_ascii_lowercase();
            info.keys().filter(|name| glob::matches(&pattern, name)).collect()
        }
        _ => return Err(SYNTAX),
    };
    Ok(Reply::bulks(wanted))
}

fn has_category(told: &Reply, category: &str) -> bool {
    let Reply::Array(parts) = told else { return false };
    let Some(Reply::Set(categories)) = parts.get(6) else { return false };
    categories.contains(&Reply::Status(category.to_owned().into()))
}

fn getkeys(cx: &mut Context<'_>) -> CommandResult {
    let keys = keys(cx, "command|getkeys")?;
    Ok(Reply::Array(keys.into_iter().map(|(key, _)| Reply::bulk(key)).collect()))
}

fn getkeysandflags(cx: &mut Context<'_>) -> CommandResult {
    let keys = keys(cx, "command|getkeysandflags")?;
    let pair = |(key, flags)| Reply::Array(vec![Reply::bulk(key), Reply::Set(flags)]);
    Ok(Reply::Array(keys.into_iter().map(pair).collect()))
}

/// The keys of the command that follows, each with what is done to it.
fn keys<'a>(cx: &Context<'a>, asking: &str) -> Result<Vec<key_specs::Key<'a>>, ErrorReply> {
    let (args, dialect) = (&cx.args[2..], cx.engine.dialect());
    if dialect == Dialect::Redis7 && args.len() < 2 {
        return Err(wrong_arity(asking));
    }
    let command =
        TABLE.lookup(dialect, args).map_err(|_| ErrorReply::new("ERR Invalid command specified"))?;
    let name = command.lower_name();
    let specs = reference::of(dialect).info.get(name.as_bytes()).map(key_specs::of).unwrap_or_default();
    if specs.is_empty() {
        return Err(ErrorReply::new("ERR The command has no key arguments"));
    }
    if !command.takes(args.len()) {
        return Err(ErrorReply::new("ERR Invalid number of arguments specified for command"));
    }
    key_specs::keys(specs, args).ok_or(ErrorReply::new("ERR Invalid arguments specified for command"))
}
