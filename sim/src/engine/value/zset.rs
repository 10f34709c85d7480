//! Sorted sets.

/// A sorted set: members with scores, ordered by score and then by bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SortedSet {}
