//! Which real server the engine answers as.

use std::{fmt, str::FromStr};

/// A server whose answers were measured. The differences that matter are few; each place that has one asks the
/// dialect by name, so that a search for `Dialect` finds them all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Valkey 8: the default.
    #[default]
    Valkey8,
    /// Redis 7.0, because a real one can be installed anywhere to compare with.
    Redis7,
}

/// No dialect has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no dialect is called {0:?}: valkey-8 and redis-7 are")]
pub struct UnknownDialect(String);

impl Dialect {
    /// The name on the command line and in trace headers.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Valkey8 => "valkey-8",
            Dialect::Redis7 => "redis-7",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, UnknownDialect> {
        match name {
            "valkey-8" => Ok(Dialect::Valkey8),
            "redis-7" => Ok(Dialect::Redis7),
            _ => Err(UnknownDialect(name.to_owned())),
        }
    }
}
