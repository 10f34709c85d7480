//! The fields of a hash, as the types they stand for.

use valkey_sim::engine::value::Hash;

use crate::types::{LeaseEpoch, TimestampMs, written_time};

/// The fields of a hash. FlowFabric writes the empty string for what is not there, and so both read the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fields<'v>(pub(super) &'v Hash);

impl<'v> Fields<'v> {
    /// A field's text; empty where there is none, or where it is no text.
    pub fn text(&self, name: &str) -> &'v str {
        self.0.get(name.as_bytes()).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
    }

    /// A field that is an integer.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.text(name).parse().ok()
    }

    /// A field that counts; 0 where there is none.
    pub fn count(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// A field that is a time of the server's clock.
    pub fn time(&self, name: &str) -> Option<TimestampMs> {
        written_time(self.text(name))
    }

    /// A field that is a lease's epoch.
    pub fn epoch(&self, name: &str) -> Option<LeaseEpoch> {
        self.text(name).parse().ok().map(LeaseEpoch)
    }

    /// Every field and its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'v str, &'v str)> + use<'v> {
        let text = |bytes: &'v bytes::Bytes| std::str::from_utf8(bytes).unwrap_or_default();
        self.0.iter().map(move |(name, value)| (text(name), text(value)))
    }
}
