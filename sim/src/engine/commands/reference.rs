//! What real servers tell about their commands, as recorded from each: descriptions, documentation, help.
//!
//! The engine acts on none of this and only repeats it; what it acts on is in the tables of the families, and a test
//! holds the two together. `examples/record_commands.rs` writes the files. They are read when somebody first asks.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use indexmap::IndexMap;

use super::{Command, Flags, Keys, sim};
use crate::{
    engine::{CommandResult, Context, Dialect, Reply, value::FixedState},
    resp::ReplyDecoder,
};

/// What one server tells.
pub struct Reference {
    /// `COMMAND INFO`, subcommands included, each under its whole name (`client|list`).
    pub info: ByName,
    /// `COMMAND DOCS`, likewise.
    pub docs: ByName,
    /// The answers of `HELP`, by container.
    help: ByName,
}

type ByName = IndexMap<Bytes, Reply, FixedState>;

/// What the server of a dialect tells.
pub fn of(dialect: Dialect) -> &'static Reference {
    static VALKEY: LazyLock<Reference> =
        LazyLock::new(|| Reference::read(include_bytes!("reference/valkey-8.resp"), Dialect::Valkey8));
    static REDIS: LazyLock<Reference> =
        LazyLock::new(|| Reference::read(include_bytes!("reference/redis-7.resp"), Dialect::Redis7));
    match dialect {
        Dialect::Valkey8 => &VALKEY,
        Dialect::Redis7 => &REDIS,
    }
}

/// Runs the subcommand `HELP` of any container.
pub fn help(cx: &mut Context<'_>) -> CommandResult {
    let container = Bytes::from(cx.arg(0).to_ascii_lowercase());
    let text = of(cx.engine.dialect()).help.get(&container);
    Ok(text.cloned().unwrap_or(Reply::Array(Vec::new())))
}

impl Reference {
    /// Reads a recording: three maps, one after the other.
    fn read(recorded: &[u8], dialect: Dialect) -> Self {
        let (mut decoder, mut rest) = (ReplyDecoder::default(), BytesMut::from(recorded));
        let mut next = || match decoder.next(&mut rest) {
            Ok(Some(Reply::Map(pairs))) => pairs,
            _ => Vec::new(),
        };
        let mut reference = Self { info: by_name(next()), docs: by_name(next()), help: by_name(next()) };
        reference.add_own(dialect);
        for (containing, index) in [(&mut reference.info, 9), (&mut reference.docs, usize::MAX)] {
            let within: Vec<_> = containing.values().flat_map(|told| subcommands(told, index)).collect();
            containing.extend(within);
        }
        reference
    }

    /// Adds what no real server has.
    fn add_own(&mut self, dialect: Dialect) {
        let [sim] = sim::COMMANDS else { return };
        let name = Bytes::from(sim.lower_name());
        self.info.insert(name.clone(), description(sim, dialect));
        self.docs.insert(name.clone(), sim::documentation());
        self.help.insert(name, sim::help_text());
    }
}

fn by_name(pairs: Vec<(Reply, Reply)>) -> ByName {
    pairs.into_iter().filter_map(|(name, told)| Some((text(&name)?, told))).collect()
}

fn text(reply: &Reply) -> Option<Bytes> {
    match reply {
        Reply::Bulk(text) => Some(text.clone()),
        _ => None,
    }
}

/// The subcommands in a description, where they are at `index`, or in documentation, where they have a name.
fn subcommands(told: &Reply, index: usize) -> Vec<(Bytes, Reply)> {
    match told {
        Reply::Array(parts) => match parts.get(index) {
            Some(Reply::Array(within)) => {
                within.iter().filter_map(|told| Some((first_text(told)?, told.clone()))).collect()
            }
            _ => Vec::new(),
        },
        Reply::Map(parts) => match parts.iter().find(|(name, _)| *name == Reply::bulk("subcommands")) {
            Some((_, Reply::Map(within))) => by_name(within.clone()).into_iter().collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn first_text(told: &Reply) -> Option<Bytes> {
    match told {
        Reply::Array(parts) => parts.first().and_then(text),
        _ => None,
    }
}

/// What the engine itself knows of a command, in the form of `COMMAND INFO`.
pub fn description(command: &Command, dialect: Dialect) -> Reply {
    const NAMES: &[(Flags, &str)] = &[
        (Flags::WRITE, "write"),
        (Flags::READONLY, "readonly"),
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::PUBSUB, "pubsub"),
        (Flags::NOSCRIPT, "noscript"),
        (Flags::FAST, "fast"),
        (Flags::ALLOW_BUSY, "allow_busy"),
        (Flags::NO_MULTI, "no_multi"),
    ];
    let flags = NAMES.iter().filter(|(flag, _)| command.flags.has(*flag));
    let mut flags: Vec<Reply> = flags.map(|(_, name)| Reply::Status((*name).into())).collect();
    let (first, last, step) = match command.keys {
        Keys::Range { first, last, step } => (first, last, step),
        Keys::None => (0, 0, 0),
        Keys::Counted(_) | Keys::Streams | Keys::Sorted => {
            flags.push(Reply::Status("movablekeys".into()));
            (0, 0, 0)
        }
    };
    let number = |value: i16| Reply::Int(i64::from(value));
    let within = if command.flags.has(Flags::CONTAINER) {
        command.subcommands(dialect).map(|within| description(within, dialect)).collect()
    } else {
        Vec::new()
    };
    Reply::Array(vec![
        Reply::bulk(command.lower_name()),
        number(command.arity),
        Reply::Set(flags),
        number(first),
        number(last),
        number(step),
        Reply::Set(Vec::new()),
        Reply::Array(Vec::new()),
        Reply::Array(Vec::new()),
        Reply::Array(within),
    ])
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Debug};

    use super::{super::FAMILIES, *};

    /// All commands that the engine has in a dialect, subcommands included.
    fn all(dialect: Dialect) -> impl Iterator<Item = &'static Command> {
        let commands = FAMILIES.iter().copied().flatten().filter(move |command| command.is_in(dialect));
        commands.flat_map(move |command| std::iter::once(command).chain(command.subcommands(dialect)))
    }

    fn parts(reply: &Reply) -> &[Reply] {
        match reply {
            Reply::Array(parts) | Reply::Set(parts) => parts,
            other => panic!("not a list: {other:?}"),
        }
    }

    /// Arities that Redis 7.0 has otherwise; the commands themselves see to it.
    const OTHERWISE: &[&str] = &["command|getkeys", "command|getkeysandflags", "zrank", "zrevrank"];

    /// Flags that the tables do not have, because nothing here depends on them.
    const REPEATED: &[&str] =
        &["loading", "stale", "blocking", "no_auth", "no_mandatory_keys", "skip_monitor", "skip_slowlog"];

    fn flag(told: &Reply) -> &str {
        match told {
            Reply::Status(name) => name,
            other => panic!("not a flag: {other:?}"),
        }
    }

    fn flags(told: &Reply) -> BTreeSet<&str> {
        parts(told).iter().map(flag).filter(|name| !REPEATED.contains(name)).collect()
    }

    #[test]
    fn the_tables_and_the_recordings_agree() {
        let mut disagreements = Vec::new();
        for dialect in [Dialect::Valkey8, Dialect::Redis7] {
            for command in all(dialect) {
                let name = command.lower_name();
                let Some(told) = of(dialect).info.get(name.as_bytes()) else {
                    disagreements.push(format!("{dialect} {name}: not recorded"));
                    continue;
                };
                let known = description(command, dialect);
                let (told, known) = (parts(told), parts(&known));
                let mut compare = |what: &str, same: bool, told: &dyn Debug, known: &dyn Debug| {
                    if !same {
                        disagreements.push(format!("{dialect} {name}: {what} {told:?}, not {known:?}"));
                    }
                };
                // Where the dialects differ, the table is Valkey's.
                if dialect == Dialect::Valkey8 {
                    let (told, known) = (flags(&told[2]), flags(&known[2]));
                    compare("flags", told == known, &told, &known);
                }
                if dialect == Dialect::Valkey8 || !OTHERWISE.contains(&&*name) {
                    compare("arity", told[1] == known[1], &told[1], &known[1]);
                }
                if !matches!(command.keys, Keys::Counted(_) | Keys::Streams | Keys::Sorted) {
                    compare("keys", told[3..6] == known[3..6], &&told[3..6], &&known[3..6]);
                }
            }
            let names: BTreeSet<Bytes> = all(dialect).map(|command| command.lower_name().into()).collect();
            for recorded in [&of(dialect).info, &of(dialect).docs] {
                assert_eq!(recorded.keys().cloned().collect::<BTreeSet<_>>(), names);
            }
        }
        assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
    }
}
