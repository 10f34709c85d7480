//! Which command a request names: `GET`, or `CLIENT LIST` within `CLIENT`. Whatever is wrong with a request's name and
//! the count of its arguments is found here, before anything looks at it closely.

use super::{
    CommandResult, Context, Dialect, ErrorReply,
    table::{Command, CommandTable, Flags},
};

/// Why a request is no command.
#[derive(Clone, Copy)]
pub enum Unresolved {
    /// There is no such command.
    Command,
    /// This one has no such subcommand.
    Subcommand(&'static Command),
    /// This one takes another number of arguments.
    Arity(&'static Command),
}

impl CommandTable {
    /// Finds the command or subcommand that `args` names, and checks its arity.
    #[inline]
    pub fn resolve(&self, dialect: Dialect, args: &[&[u8]]) -> Result<&'static Command, Unresolved> {
        let command = self.lookup(dialect, args)?;
        let too_long = dialect == Dialect::Redis7
            && command.flags.has(Flags::LONGER_ON_VALKEY)
            && args.len() > usize::from(command.arity.unsigned_abs());
        if command.takes(args.len()) && !too_long { Ok(command) } else { Err(Unresolved::Arity(command)) }
    }

    /// Finds the command or subcommand that `args` names, however many there are.
    #[inline]
    pub fn lookup(&self, dialect: Dialect, args: &[&[u8]]) -> Result<&'static Command, Unresolved> {
        let command = self.find(args.first().copied().unwrap_or_default());
        let command = command.filter(|command| command.is_in(dialect)).ok_or(Unresolved::Command)?;
        match args.get(1) {
            Some(name) if command.flags.has(Flags::CONTAINER) => {
                subcommand(dialect, command, name).ok_or(Unresolved::Subcommand(command))
            }
            _ => Ok(command),
        }
    }
}

/// The subcommand of this name, in any case, if a server of the dialect has it.
fn subcommand(dialect: Dialect, container: &Command, name: &[u8]) -> Option<&'static Command> {
    container
        .subcommands(dialect)
        .find(|subcommand| subcommand.own_name().as_bytes().eq_ignore_ascii_case(name))
}

/// What runs a container that no subcommand was found for.
pub fn container(cx: &mut Context<'_>) -> CommandResult {
    Err(unknown_subcommand(cx.arg(0), cx.opt(1).unwrap_or_default()))
}

/// Commands that only a real server has, and that it lets no script call.
const NOT_FOR_SCRIPTS: &[&str] = &[
    "ACL",
    "BGREWRITEAOF",
    "BGSAVE",
    "FAILOVER",
    "PSYNC",
    "REPLCONF",
    "REPLICAOF",
    "SAVE",
    "SLAVEOF",
    "SYNC",
];
/// What a server can be asked about its cluster.
const OF_CLUSTERS: &[&str] = &[
    "COUNTKEYSINSLOT",
    "GETKEYSINSLOT",
    "INFO",
    "KEYSLOT",
    "LINKS",
    "MYID",
    "MYSHARDID",
    "NODES",
    "REPLICAS",
    "SHARDS",
    "SLOTS",
];

impl Unresolved {
    /// The command that was meant, if there is one.
    pub fn command(self) -> Option<&'static Command> {
        match self {
            Unresolved::Arity(command) => Some(command),
            Unresolved::Command | Unresolved::Subcommand(_) => None,
        }
    }

    /// As a client is told of it.
    pub fn to_client(self, args: &[&[u8]]) -> ErrorReply {
        match self {
            Unresolved::Command => unknown_command(args),
            Unresolved::Subcommand(command) => {
                unknown_subcommand(command.name.as_bytes(), args.get(1).copied().unwrap_or_default())
            }
            Unresolved::Arity(command) => wrong_arity(&command.lower_name()),
        }
    }

    /// As a script is told of it. Commands that a server has and this one has not it does not let a script call either.
    pub fn to_script(self, dialect: Dialect, args: &[&[u8]]) -> ErrorReply {
        let is_one_of = |index: usize, names: &[&str]| {
            args.get(index)
                .is_some_and(|arg| names.iter().any(|name| arg.eq_ignore_ascii_case(name.as_bytes())))
        };
        match self {
            Unresolved::Command if is_one_of(0, NOT_FOR_SCRIPTS) => {
                ErrorReply::new("ERR This Redis command is not allowed from script")
            }
            Unresolved::Command if is_one_of(0, &["CLUSTER"]) && args.len() == 1 => {
                wrong_arity_in_script(dialect)
            }
            Unresolved::Command if is_one_of(0, &["CLUSTER"]) && is_one_of(1, OF_CLUSTERS) => {
                ErrorReply::new("ERR This instance has cluster support disabled")
            }
            Unresolved::Command | Unresolved::Subcommand(_) => ErrorReply::new(match dialect {
                Dialect::Valkey8 => "ERR Unknown command called from script",
                Dialect::Redis7 => "ERR Unknown Redis command called from script",
            }),
            Unresolved::Arity(_) => wrong_arity_in_script(dialect),
        }
    }
}

fn unknown_command(args: &[&[u8]]) -> ErrorReply {
    let name = ErrorReply::quote(args.first().copied().unwrap_or_default());
    let mut rest = String::new();
    for arg in args.iter().skip(1) {
        if rest.len() >= 128 {
            break;
        }
        let room = 128 - rest.len();
        let text: String = ErrorReply::quote(arg).chars().take(room).collect();
        rest.push_str(&format!("'{text}' "));
    }
    let name: String = name.chars().take(128).collect();
    format!("ERR unknown command '{name}', with args beginning with: {rest}").into()
}

/// There is no such subcommand.
pub fn unknown_subcommand(container: &[u8], name: &[u8]) -> ErrorReply {
    let name: String = ErrorReply::quote(name).chars().take(128).collect();
    let container = ErrorReply::quote(container).to_ascii_uppercase();
    format!("ERR unknown subcommand '{name}'. Try {container} HELP.").into()
}

impl Context<'_> {
    /// A subcommand that takes other arguments; it is named as the client wrote it.
    pub fn wrong_subcommand(&self, container: &str) -> ErrorReply {
        let name: String = ErrorReply::quote(self.opt(1).unwrap_or_default()).chars().take(128).collect();
        format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try {container} HELP.")
            .into()
    }
}

/// `ERR wrong number of arguments for 'get' command`; subcommands are written `client|id`.
pub fn wrong_arity(name: &str) -> ErrorReply {
    format!("ERR wrong number of arguments for '{name}' command").into()
}

/// As [`wrong_arity`], with the words that a script sees.
pub fn wrong_arity_in_script(dialect: Dialect) -> ErrorReply {
    ErrorReply::new(match dialect {
        Dialect::Valkey8 => "ERR Wrong number of args calling command from script",
        Dialect::Redis7 => "ERR Wrong number of args calling Redis command from script",
    })
}
