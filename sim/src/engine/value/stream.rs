//! Streams.

/// A stream: entries with ids, appended in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {}
