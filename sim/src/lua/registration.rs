//! `redis.register_function`: how a library names its functions while it loads.

use super::{
    raw::{Kind, Lua, Outcome, Raised, Ref},
    redis::{error_table, error_table_fmt, table_name},
};

/// A function that a library registered.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its name, as it was given.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it may do.
    pub flags: FunctionFlags,
    /// The Lua function.
    pub callback: Ref,
}

/// What a function or script declared about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionFlags(pub u8);

impl FunctionFlags {
    /// `no-writes`: calls no write command, and so may be called with `FCALL_RO`.
    pub const NO_WRITES: FunctionFlags = FunctionFlags(1);

    /// `allow-oom`: is called even when memory is short.
    pub const ALLOW_OOM: FunctionFlags = FunctionFlags(1 << 1);

    /// The flags by name, in the order in which they are listed.
    const NAMES: [(&'static str, u8); 5] = [
        ("no-writes", 1),
        ("allow-oom", 1 << 1),
        ("allow-stale", 1 << 2),
        ("no-cluster", 1 << 3),
        ("allow-cross-slot-keys", 1 << 4),
    ];

    /// The flag of a name.
    pub fn named(name: &[u8]) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(known, _)| known.as_bytes() == name);
        found.map(|&(_, bit)| FunctionFlags(bit))
    }

    /// Whether all of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags and others.
    pub fn and(self, other: Self) -> Self {
        FunctionFlags(self.0 | other.0)
    }

    /// The names of the flags that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |&(_, bit)| self.0 & bit != 0).map(|(name, _)| name)
    }
}

/// Whether a library or function may have this name.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// What is said of a name that may not be.
pub const BAD_NAME: &str = "Library names can only contain letters, numbers, or underscores(_) and must be at least one \
                            character long";

/// Where the parts of a registration are on the stack.
#[derive(Default)]
struct Parts<'l> {
    name: Option<&'l [u8]>,
    description: Option<&'l [u8]>,
    flags: FunctionFlags,
    callback: bool,
}

/// `register_function(name, callback)` or `register_function{function_name = …, callback = …, …}`.
pub fn register_function(lua: &mut Lua<'_>) -> Outcome {
    let (loading, dialect) = lua.with(|state| (state.loading.is_some(), state.dialect));
    let table = table_name(dialect);
    let fail = |lua: &Lua<'_>, text: &str| error_table_fmt(lua, format_args!("ERR {}", Named(text, table)));
    if !loading {
        return Err(fail(lua, "%.register_function can only be called on FUNCTION LOAD command"));
    }
    let parts = match lua.top() {
        1 => named_arguments(lua, &fail)?,
        2 => positional_arguments(lua, &fail)?,
        _ => return Err(fail(lua, "wrong number of arguments to %.register_function")),
    };
    let Some(name) = parts.name else {
        return Err(fail(lua, "%.register_function must get a function name argument"));
    };
    if !parts.callback {
        return Err(fail(lua, "%.register_function must get a callback argument"));
    }
    if !is_name(name) {
        return Err(fail(lua, BAD_NAME));
    }
    // The callback is on top of the stack.
    let callback = lua.keep();
    let registered = lua.with(|state| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let functions = state.loading.get_or_insert_default();
        let name = text(name);
        let new = functions.iter().all(|function| function.name != name);
        if new {
            let description = parts.description.map(text);
            functions.push(Registered { name, description, flags: parts.flags, callback });
        }
        new
    });
    if !registered {
        lua.forget(callback);
        return Err(error_table(lua, b"ERR Function already exists in the library"));
    }
    Ok(0)
}

/// A text with `%` for the name of the API's table.
struct Named<'a>(&'a str, &'a str);

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, part) in self.0.split('%').enumerate() {
            if position > 0 {
                f.write_str(self.1)?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

fn positional_arguments<'l>(
    lua: &mut Lua<'l>,
    fail: &dyn Fn(&Lua<'_>, &str) -> Raised,
) -> Result<Parts<'l>, Raised> {
    lua.text(1);
    // SAFETY: argument 1 stays on the stack.
    let Some(name) = (unsafe { lua.held(1) }) else {
        return Err(fail(lua, "first argument to %.register_function must be a string"));
    };
    if lua.kind(2) != Kind::Function {
        return Err(fail(lua, "second argument to %.register_function must be a function"));
    }
    Ok(Parts { name: Some(name), callback: true, ..Parts::default() })
}

/// Reads the table of named arguments; leaves the callback on top of the stack.
fn named_arguments<'l>(
    lua: &mut Lua<'l>,
    fail: &dyn Fn(&Lua<'_>, &str) -> Raised,
) -> Result<Parts<'l>, Raised> {
    if lua.kind(1) != Kind::Table {
        return Err(fail(
            lua,
            "calling %.register_function with a single argument is only applicable to Lua table (representing named \
             arguments).",
        ));
    }
    let mut parts = Parts::default();
    // Slots 2 to 4: the callback, and the name and description.
    lua.set_top(4);
    lua.push_nil();
    while lua.next(1) {
        let key = match lua.kind(-2) {
            Kind::String => lua.bytes(-2).unwrap_or_default(),
            Kind::Number => b"",
            _ => return Err(fail(lua, "named argument key given to %.register_function is not a string")),
        };
        if key.eq_ignore_ascii_case(b"function_name") {
            if lua.text(-1).is_none() {
                return Err(fail(
                    lua,
                    "function_name argument given to %.register_function must be a string",
                ));
            }
            lua.replace(3);
        } else if key.eq_ignore_ascii_case(b"description") {
            if lua.text(-1).is_none() {
                return Err(fail(lua, "description argument given to %.register_function must be a string"));
            }
            lua.replace(4);
        } else if key.eq_ignore_ascii_case(b"callback") {
            if lua.kind(-1) != Kind::Function {
                return Err(fail(lua, "callback argument given to %.register_function must be a function"));
            }
            parts.callback = true;
            lua.replace(2);
        } else if key.eq_ignore_ascii_case(b"flags") {
            if lua.kind(-1) != Kind::Table {
                return Err(fail(
                    lua,
                    "flags argument to %.register_function must be a table representing function flags",
                ));
            }
            parts.flags = read_flags(lua).ok_or_else(|| fail(lua, "unknown flag given"))?;
            lua.pop(1);
        } else {
            return Err(fail(lua, "unknown argument given to %.register_function"));
        }
    }
    lua.push_copy(2);
    // SAFETY: what is in slots 3 and 4 stays there until the function returns.
    (parts.name, parts.description) = unsafe { (lua.held(3), lua.held(4)) };
    Ok(parts)
}

/// The flags in the list on top of the stack; `None` when one is unknown.
fn read_flags(lua: &mut Lua<'_>) -> Option<FunctionFlags> {
    let mut flags = FunctionFlags::default();
    for position in 1.. {
        lua.raw_geti(-1, position);
        if lua.kind(-1) == Kind::Nil {
            lua.pop(1);
            break;
        }
        flags = flags.and(FunctionFlags::named(lua.bytes(-1)?)?);
        lua.pop(1);
    }
    Some(flags)
}
