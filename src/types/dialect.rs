//! A server's dialect in JSON: its name, `valkey-8` or `redis-7`. For `#[serde(with = "crate::types::dialect")]`.

use serde::{Deserialize, Deserializer, Serializer, de::Error};
use valkey_sim::engine::Dialect;

/// Writes the name.
///
/// # Errors
/// Whatever the serializer says.
pub fn serialize<S: Serializer>(dialect: &Dialect, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(dialect.name())
}

/// Reads a name.
///
/// # Errors
/// No dialect has it.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Dialect, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
