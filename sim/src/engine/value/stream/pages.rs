//! A stream's nodes as they are written down and read.

use std::sync::Arc;

use bytes::Bytes;

use super::{Node, Stream, StreamEntry, StreamId};

/// What is in one node.
pub struct Page {
    /// The id that the node is found by: of the entry that it was made for.
    pub master_id: StreamId,
    /// Field, value … of that entry, whose fields the others need not repeat.
    pub master: Arc<[Bytes]>,
    /// The entries that live.
    pub entries: Vec<StreamEntry>,
    /// How many were deleted.
    pub deleted: usize,
}

impl Stream {
    /// The nodes, oldest first.
    pub fn pages(&self) -> impl Iterator<Item = Page> {
        self.nodes.iter().map(|(master_id, node)| Page {
            master_id: *master_id,
            master: node.master.clone(),
            entries: node.entries.clone(),
            deleted: node.deleted,
        })
    }

    /// Appends a node that was written down in so many bytes; `None` if it does not follow on what is there. The counters
    /// of the stream are not touched, but for its length.
    pub fn add_page(&mut self, page: Page, bytes: usize) -> Option<()> {
        let Page { master_id, master, entries, deleted } = page;
        let last = self.last().map(|entry| entry.id);
        let is_in_order = entries.windows(2).all(|pair| pair[0].id < pair[1].id);
        let first = entries.first()?.id;
        if !is_in_order || first < master_id || last.is_some_and(|last| master_id <= last) {
            return None;
        }
        self.len += entries.len() as u64;
        let last_id = entries.last()?.id;
        self.nodes.insert(master_id, Arc::new(Node { entries, master, deleted, last_id, bytes }));
        Some(())
    }
}
