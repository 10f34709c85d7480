//! Streams: entries with ids, appended in order, and the [groups](group) that read them.
//!
//! Entries are kept in nodes that fill as a real server's listpacks do, byte for byte, because `MAXLEN ~` shows where
//! their boundaries are: it removes whole nodes only.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use imbl::OrdMap;

pub mod group;
mod pages;

pub use group::Group;
pub use pages::Page;

/// How much a node takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    /// How many entries, deleted ones included: `stream-node-max-entries`; 0: any number.
    pub entries: usize,
    /// How many bytes: `stream-node-max-bytes`; 0: as many as a listpack holds.
    pub bytes: usize,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self { entries: 100, bytes: 4_096 }
    }
}

/// How large a server lets a listpack of entries become.
const LARGEST_NODE: usize = 1 << 30;

/// The id of an entry: milliseconds and a number within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds since the Unix epoch, where the server chose the id.
    pub ms: u64,
    /// The number within the millisecond.
    pub seq: u64,
}

impl StreamId {
    /// `0-0`, which no entry has.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The last id there can be.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// The id after this one; `None` after the last.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The id before this one; `None` before the first.
    pub fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamEntry {
    /// Its id.
    pub id: StreamId,
    /// Field, value, field, value …
    pub fields: Arc<[Bytes]>,
}

/// A stream. The only value that stays when it becomes empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    /// By the id of the first entry that each was made for.
    nodes: OrdMap<StreamId, Arc<Node>>,
    len: u64,
    /// The id that was given out last; a deleted entry's counts.
    pub last_id: StreamId,
    /// The greatest id that `XDEL` deleted; trimming does not count.
    pub max_deleted_id: StreamId,
    /// How many entries were ever added.
    pub entries_added: u64,
    /// The consumer groups by name.
    pub groups: OrdMap<Bytes, Group>,
}

/// What to remove from a stream's old end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// How much stays.
    pub keep: Keep,
    /// `~`: remove whole nodes only.
    pub approximate: bool,
    /// Look at this many entries at most; 0: at all.
    pub limit: u64,
}

/// What a trim keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// `MAXLEN`: so many entries.
    Newest(u64),
    /// `MINID`: the entries from this id on.
    From(StreamId),
}

#[derive(Clone, Debug, PartialEq)]
struct Node {
    /// The entries that live, in order; never empty.
    entries: Vec<StreamEntry>,
    /// The fields that the first entry had: later ones with the same need not repeat them.
    master: Arc<[Bytes]>,
    /// How many entries were deleted from it.
    deleted: usize,
    /// The last id it was given, even if that entry was deleted.
    last_id: StreamId,
    /// The size of the real server's listpack.
    bytes: usize,
}

impl Stream {
    /// How many entries there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many nodes hold them: `radix-tree-keys`.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The oldest entry.
    pub fn first(&self) -> Option<&StreamEntry> {
        self.nodes.get_min().and_then(|(_, node)| node.entries.first())
    }

    /// The newest entry.
    pub fn last(&self) -> Option<&StreamEntry> {
        self.nodes.get_max().and_then(|(_, node)| node.entries.last())
    }

    /// The entries from `start` to `end`, both included.
    pub fn range(&self, start: StreamId, end: StreamId) -> impl DoubleEndedIterator<Item = &StreamEntry> {
        let first = self.nodes.get_prev(&start).map_or(start, |(id, _)| *id);
        let nodes = (start <= end).then(|| self.nodes.range(first..=end));
        nodes.into_iter().flatten().flat_map(move |(_, node)| node.between(start, end))
    }

    /// Appends an entry. The caller made sure that `id` is greater than every one before.
    pub fn append(&mut self, id: StreamId, fields: Arc<[Bytes]>, limits: NodeLimits) {
        let payload: usize = fields.iter().map(Bytes::len).sum();
        let open = self.nodes.get_max().filter(|(_, node)| node.has_room(payload, limits)).map(|(id, _)| *id);
        let entry = StreamEntry { id, fields };
        match open.and_then(|master| Some((master, self.nodes.get_mut(&master)?))) {
            Some((master, node)) => Arc::make_mut(node).append(master, entry),
            None => {
                self.nodes.insert(id, Arc::new(Node::new(entry)));
            }
        }
        self.len += 1;
        self.entries_added += 1;
        self.last_id = id;
    }

    /// Deletes one entry; says whether it was there.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some(master) = self.nodes.get_prev(&id).map(|(master, _)| *master) else { return false };
        let Some(node) = self.nodes.get_mut(&master) else { return false };
        let Ok(at) = node.entries.binary_search_by_key(&id, |entry| entry.id) else { return false };
        if node.entries.len() == 1 {
            self.nodes.remove(&master);
        } else {
            let node = Arc::make_mut(node);
            node.entries.remove(at);
            node.deleted += 1;
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        true
    }

    /// Removes entries from the old end and returns how many.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        let mut removed = 0;
        while let Some((master, node)) = self.nodes.get_min() {
            let held = node.entries.len() as u64;
            if matches!(trim.keep, Keep::Newest(count) if self.len <= count)
                || (trim.limit > 0 && removed + held > trim.limit)
            {
                break;
            }
            let whole = match trim.keep {
                Keep::Newest(count) => self.len - held >= count,
                Keep::From(id) => node.last_id < id,
            };
            if !whole {
                return if trim.approximate { removed } else { removed + self.trim_first_node(trim.keep) };
            }
            let master = *master;
            self.nodes.remove(&master);
            self.len -= held;
            removed += held;
        }
        removed
    }

    /// Removes the entries of the first node that `keep` does not cover.
    fn trim_first_node(&mut self, keep: Keep) -> u64 {
        let Some((master, node)) = self.nodes.get_min().map(|(master, node)| (*master, node)) else {
            return 0;
        };
        let count = match keep {
            Keep::Newest(count) => (self.len - count) as usize,
            Keep::From(id) => node.entries.partition_point(|entry| entry.id < id),
        };
        if count == node.entries.len() {
            self.nodes.remove(&master);
        } else if count > 0
            && let Some(node) = self.nodes.get_mut(&master)
        {
            let node = Arc::make_mut(node);
            node.entries.drain(..count);
            node.deleted += count;
        }
        self.len -= count as u64;
        count as u64
    }
}

impl Node {
    fn new(entry: StreamEntry) -> Self {
        let fields = entry.fields.iter().step_by(2);
        let names: usize = fields.clone().map(|field| element_size(field)).sum();
        // Header and end byte; then count, deleted, the number of fields, the fields, a zero.
        let bytes = 7 + 2 + 2 + int_size(fields.len() as i64) + names + 2;
        let master = entry.fields.clone();
        let mut node = Self { entries: Vec::new(), master, deleted: 0, last_id: entry.id, bytes };
        let master_id = entry.id;
        node.append(master_id, entry);
        node
    }

    fn has_room(&self, payload: usize, limits: NodeLimits) -> bool {
        let bytes = if limits.bytes == 0 { LARGEST_NODE } else { limits.bytes.min(LARGEST_NODE) };
        let has_place = limits.entries == 0 || self.entries.len() + self.deleted < limits.entries;
        has_place && self.bytes + payload < bytes
    }

    fn append(&mut self, master_id: StreamId, entry: StreamEntry) {
        let fields = entry.fields.len() / 2;
        let repeats = entry.fields.len() == self.master.len()
            && entry.fields.iter().step_by(2).eq(self.master.iter().step_by(2));
        let values: usize = entry.fields.iter().skip(1).step_by(2).map(|value| element_size(value)).sum();
        // Flags, the id as two differences; the fields unless they are the master's; how many elements.
        self.bytes += 2
            + int_size(entry.id.ms.wrapping_sub(master_id.ms) as i64)
            + int_size(entry.id.seq.wrapping_sub(master_id.seq) as i64)
            + values;
        if repeats {
            self.bytes += int_size(fields as i64 + 3);
        } else {
            let names: usize = entry.fields.iter().step_by(2).map(|field| element_size(field)).sum();
            self.bytes += int_size(fields as i64) + names + int_size(2 * fields as i64 + 4);
        }
        self.last_id = entry.id;
        self.entries.push(entry);
    }

    fn between(&self, start: StreamId, end: StreamId) -> std::slice::Iter<'_, StreamEntry> {
        let from = self.entries.partition_point(|entry| entry.id < start);
        let to = self.entries.partition_point(|entry| entry.id <= end);
        self.entries[from..to.max(from)].iter()
    }
}

/// The bytes that an element takes in a listpack, its back length included.
fn element_size(element: &[u8]) -> usize {
    if let Ok(value) = crate::base::number::parse_i64(element) {
        return int_size(value);
    }
    let len = element.len();
    let size = len
        + match len {
            0..=63 => 1,
            64..=4_095 => 2,
            _ => 5,
        };
    size + match size {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

fn int_size(value: i64) -> usize {
    1 + match value {
        0..=127 => 1,
        -4_096..=4_095 => 2,
        -32_768..=32_767 => 3,
        -8_388_608..=8_388_607 => 4,
        -2_147_483_648..=2_147_483_647 => 5,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u64, fields: &[&'static str]) -> Stream {
        let fields: Arc<[Bytes]> = fields.iter().map(|field| Bytes::from_static(field.as_bytes())).collect();
        let mut stream = Stream::default();
        for ms in 1..=count {
            stream.append(StreamId { ms, seq: 0 }, fields.clone(), NodeLimits::default());
        }
        stream
    }

    fn newest(count: u64) -> Trim {
        Trim { keep: Keep::Newest(count), approximate: true, limit: 0 }
    }

    #[test]
    fn nodes_hold_a_hundred_small_entries() {
        let mut stream = filled(250, &["a", "1"]);
        assert_eq!(stream.nodes(), 3);
        assert_eq!(stream.trim(newest(151)), 0);
        assert_eq!(stream.trim(newest(149)), 100);
        assert_eq!(stream.trim(Trim { approximate: false, ..newest(10) }), 140);
        assert_eq!(stream.len(), 10);
        assert_eq!(stream.first().unwrap().id.ms, 241);
    }

    #[test]
    fn a_range_starts_and_ends_within_nodes() {
        let stream = filled(250, &["a", "1"]);
        let at = |ms| StreamId { ms, seq: 0 };
        let ids: Vec<u64> = stream.range(at(99), at(102)).map(|entry| entry.id.ms).collect();
        assert_eq!(ids, [99, 100, 101, 102]);
        assert_eq!(stream.range(at(99), at(102)).next_back().unwrap().id, at(102));
        assert_eq!(stream.range(at(9), at(2)).count(), 0);
    }

    #[test]
    fn a_deleted_entry_keeps_its_place_in_the_node() {
        let mut stream = filled(100, &["a", "1"]);
        for ms in 1..=99 {
            assert!(stream.delete(StreamId { ms, seq: 0 }));
        }
        assert!(!stream.delete(StreamId { ms: 1, seq: 0 }));
        stream.append(StreamId { ms: 101, seq: 0 }, Arc::from([]), NodeLimits::default());
        assert_eq!((stream.nodes(), stream.len()), (2, 2));
    }
}
