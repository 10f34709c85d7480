//! Points in time as a server counts them: since the Unix epoch, in a unit that the type names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch: what `TIME` answers, and what the engine is handed with a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMicros(pub u64);

/// Milliseconds since the Unix epoch: the unit of every expiry.
///
/// Signed, because Valkey's is: `PEXPIREAT key -1` is legal and deletes the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMicros {
    /// The millisecond that this microsecond falls in.
    ///
    /// ```
    /// use valkey_sim::engine::{UnixMicros, UnixMillis};
    /// assert_eq!(UnixMicros(1_999).millis(), UnixMillis(1));
    /// ```
    pub fn millis(self) -> UnixMillis {
        UnixMillis((self.0 / 1_000) as i64)
    }

    /// The second that it falls in; the last one that fits for what is later than the year 2106.
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0 / 1_000_000).unwrap_or(u32::MAX)
    }

    /// The first microsecond of a millisecond.
    pub fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000)
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
