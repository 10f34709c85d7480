//! The command table: what a command is, and how a name finds one.
//!
//! The engine knows the table's shape and is handed the table itself ([`Engine::with_commands`](super::Engine)). Which
//! commands there are is not known here.

use std::{fmt, sync::OnceLock};

use indexmap::IndexMap;

use super::{CommandResult, Context, Dialect, number::parse_i64, value::FixedState};

/// All commands of a server, findable by name.
pub struct CommandTable {
    families: &'static [&'static [Command]],
    by_name: OnceLock<IndexMap<&'static [u8], &'static Command, FixedState>>,
}

/// Room for the name of every command.
const LONGEST_NAME: usize = 32;

impl CommandTable {
    /// The table of these commands, family by family.
    pub const fn new(families: &'static [&'static [Command]]) -> Self {
        Self { families, by_name: OnceLock::new() }
    }

    /// The commands that are not within another, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = &'static Command> {
        self.families.iter().copied().flatten()
    }

    /// Looks a command up by name, in any case, without allocating.
    pub fn find(&self, name: &[u8]) -> Option<&'static Command> {
        let by_name = self
            .by_name
            .get_or_init(|| self.iter().map(|command| (command.name.as_bytes(), command)).collect());
        let mut buffer = [0; LONGEST_NAME];
        let capitals = buffer.get_mut(..name.len())?;
        capitals.copy_from_slice(name);
        capitals.make_ascii_uppercase();
        by_name.get(&*capitals).copied()
    }
}

impl fmt::Debug for CommandTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandTable").field("commands", &self.iter().count()).finish()
    }
}

/// One command of the table: what a server knows about it before it looks at the arguments.
pub struct Command {
    /// The name, in capitals; that of a subcommand is written `CLIENT|LIST`.
    pub name: &'static str,
    /// How many arguments, the name included; negative: at least that many.
    pub arity: i16,
    /// What it may do.
    pub flags: Flags,
    /// Where its keys are.
    pub keys: Keys,
    /// The commands that this one contains.
    pub within: &'static [Command],
    /// What runs it.
    pub run: fn(&mut Context<'_>) -> CommandResult,
}

impl Command {
    /// A command without keys.
    pub const fn new(
        name: &'static str,
        arity: i16,
        flags: Flags,
        run: fn(&mut Context<'_>) -> CommandResult,
    ) -> Self {
        Self { name, arity, flags, keys: Keys::None, within: &[], run }
    }

    /// The same with subcommands.
    pub const fn containing(self, within: &'static [Command]) -> Self {
        Self { within, flags: self.flags.and(Flags::CONTAINER), ..self }
    }

    /// The same with keys.
    pub const fn on(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// Whether it takes so many arguments, its name among them.
    #[inline]
    pub fn takes(&self, given: usize) -> bool {
        let (given, arity) = (given as i64, i64::from(self.arity));
        if arity >= 0 { given == arity } else { given >= -arity }
    }

    /// The name as a server reports it.
    pub fn lower_name(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// The name within its container, if it is a subcommand.
    pub fn own_name(&self) -> &'static str {
        self.name.rsplit('|').next().unwrap_or(self.name)
    }

    /// Whether a server of the dialect has it.
    #[inline]
    pub fn is_in(&self, dialect: Dialect) -> bool {
        dialect == Dialect::Valkey8 || !self.flags.has(Flags::VALKEY_ONLY)
    }

    /// The commands within it that a server of the dialect has.
    pub fn subcommands(&self, dialect: Dialect) -> impl Iterator<Item = &'static Command> {
        self.within.iter().filter(move |command| command.is_in(dialect))
    }
}

/// What a command may do, as `COMMAND` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// Reads keys.
    pub const READONLY: Flags = Flags(1);
    /// Changes keys.
    pub const WRITE: Flags = Flags(1 << 1);
    /// Takes constant or logarithmic time.
    pub const FAST: Flags = Flags(1 << 2);
    /// Is refused when memory is short.
    pub const DENYOOM: Flags = Flags(1 << 3);
    /// May not be called from a script.
    pub const NOSCRIPT: Flags = Flags(1 << 4);
    /// Is about publishing and subscribing; allowed while subscribed.
    pub const PUBSUB: Flags = Flags(1 << 5);
    /// Administers the server.
    pub const ADMIN: Flags = Flags(1 << 6);
    /// May be sent while a script is busy.
    pub const ALLOW_BUSY: Flags = Flags(1 << 7);
    /// Is no write, and yet a replica may get it: a read-only script may not call it.
    pub const MAY_REPLICATE: Flags = Flags(1 << 8);
    /// Holds other commands.
    pub const CONTAINER: Flags = Flags(1 << 9);
    /// Redis 7.0 does not have it.
    pub const VALKEY_ONLY: Flags = Flags(1 << 10);
    /// Redis 7.0 takes as many arguments as the arity says, and no more.
    pub const LONGER_ON_VALKEY: Flags = Flags(1 << 12);
    /// Is refused within a transaction, and makes it void.
    pub const NO_MULTI: Flags = Flags(1 << 11);
    /// Looks at all that its keys hold, or at all keys, whatever it answers: a script pays for that.
    pub const LINEAR: Flags = Flags(1 << 13);
    /// Redis 7.0 lets no script call it.
    pub const NOSCRIPT_ON_REDIS: Flags = Flags(1 << 14);
    /// Writes, and its looks at keys count among `keyspace_hits` and `keyspace_misses` all the same: `GETSET`.
    pub const LOOKS: Flags = Flags(1 << 15);
    /// Nothing of the above.
    pub const NONE: Flags = Flags(0);

    /// Both.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Where a command's keys are among its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// It has none.
    None,
    /// `first..=last` in steps of `step`; a negative `last` counts from the end.
    Range {
        /// Index of the first key, the name being 0.
        first: i16,
        /// Index of the last key; −1 is the last argument.
        last: i16,
        /// Distance between keys.
        step: i16,
    },
    /// The argument at this index says how many keys follow it (`FCALL f 2 k1 k2 …`).
    Counted(i16),
    /// The keys follow the word `STREAMS`, the first half of what comes after it.
    Streams,
    /// The first argument, and what follows the last word `STORE`: those of `SORT`, as far as its name tells.
    Sorted,
}

impl Keys {
    /// One key, the first argument.
    pub const FIRST: Keys = Keys::Range { first: 1, last: 1, step: 1 };
    /// One key, the second argument: where the first is a subcommand.
    pub const SECOND: Keys = Keys::Range { first: 2, last: 2, step: 1 };
    /// Every argument is a key.
    pub const ALL: Keys = Keys::Range { first: 1, last: -1, step: 1 };

    /// The keys among a command's arguments; `None` when these do not fit.
    pub fn of<'a>(self, args: &[&'a [u8]]) -> Option<Vec<&'a [u8]>> {
        match self {
            Keys::None => Some(Vec::new()),
            Keys::Range { first, last, step } => {
                let end = if last < 0 {
                    args.len().checked_sub(last.unsigned_abs().into())?
                } else {
                    last as usize
                };
                let keys = args.get(first as usize..=end)?;
                Some(keys.iter().step_by(step.max(1) as usize).copied().collect())
            }
            Keys::Counted(at) => {
                let first = at as usize + 1;
                let count = usize::try_from(parse_i64(args.get(at as usize)?).ok()?).ok()?;
                Some(args.get(first..first.checked_add(count)?)?.to_vec())
            }
            Keys::Sorted => {
                let stores = |at: &usize| args[*at - 1].eq_ignore_ascii_case(b"STORE");
                let target = (3..args.len()).rev().find(stores).map(|at| args[at]);
                Some(args.get(1).copied().into_iter().chain(target).collect())
            }
            Keys::Streams => {
                let word = args.iter().position(|arg| arg.eq_ignore_ascii_case(b"STREAMS"))?;
                let rest = &args[word + 1..];
                (rest.len().is_multiple_of(2) && !rest.is_empty()).then(|| rest[..rest.len() / 2].to_vec())
            }
        }
    }
}
