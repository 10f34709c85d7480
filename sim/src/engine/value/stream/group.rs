//! Consumer groups: who was given which entry, and has not acknowledged it.

use std::collections::BTreeMap;

use bytes::Bytes;
use imbl::OrdMap;

use super::{Stream, StreamEntry, StreamId};
use crate::base::UnixMillis;

/// A group of consumers that share the entries of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// The entry that was delivered last.
    pub last_id: StreamId,
    /// How many entries of the stream the group has read or passed over, while that is known.
    pub entries_read: Option<u64>,
    /// What was delivered and not acknowledged.
    pub pending: OrdMap<StreamId, Pending>,
    /// By name.
    pub consumers: OrdMap<Bytes, Consumer>,
}

/// A delivery that nobody has acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Who has it.
    pub consumer: Bytes,
    /// When it was last delivered.
    pub delivered_at: UnixMillis,
    /// How often.
    pub deliveries: u64,
}

/// A consumer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Consumer {
    /// When it last asked for something.
    pub seen_at: UnixMillis,
    /// When it last got something.
    pub active_at: Option<UnixMillis>,
}

impl Group {
    /// Notes that a consumer asked, which makes it one; says whether it is new.
    pub fn see(&mut self, consumer: &Bytes, now: UnixMillis) -> bool {
        match self.consumers.get_mut(consumer) {
            Some(known) => known.seen_at = now,
            None => {
                self.consumers.insert(consumer.clone(), Consumer { seen_at: now, active_at: None });
                return true;
            }
        }
        false
    }

    /// Notes that a consumer got something.
    pub fn activate(&mut self, consumer: &Bytes, now: UnixMillis) {
        self.see(consumer, now);
        if let Some(consumer) = self.consumers.get_mut(consumer) {
            consumer.active_at = Some(now);
        }
    }

    /// What a consumer has not acknowledged, in order.
    pub fn pending_of(&self, consumer: &Bytes) -> impl Iterator<Item = (&StreamId, &Pending)> {
        self.pending.iter().filter(move |(_, pending)| pending.consumer == *consumer)
    }

    /// How much each consumer has not acknowledged; those are left out that have acknowledged all.
    pub fn pending_counts(&self) -> BTreeMap<&Bytes, usize> {
        let mut counts = BTreeMap::new();
        self.pending.values().for_each(|pending| *counts.entry(&pending.consumer).or_default() += 1);
        counts
    }

    /// Takes a consumer away with all that is pending for it; returns how much that was.
    pub fn remove_consumer(&mut self, consumer: &Bytes) -> usize {
        self.consumers.remove(consumer);
        let ids: Vec<StreamId> = self.pending_of(consumer).map(|(id, _)| *id).collect();
        for id in &ids {
            self.pending.remove(id);
        }
        ids.len()
    }
}

impl Stream {
    /// The entry of this id.
    pub fn get(&self, id: StreamId) -> Option<&StreamEntry> {
        self.range(id, id).next()
    }

    /// Gives a consumer the next entries that the group has not seen; unless `no_ack`, they are pending then.
    pub fn deliver(
        &mut self,
        group: &[u8],
        consumer: &Bytes,
        count: usize,
        no_ack: bool,
        now: UnixMillis,
    ) -> Vec<StreamEntry> {
        let Some(first) = self.groups.get(group).and_then(|group| group.last_id.next()) else {
            return Vec::new();
        };
        let entries: Vec<StreamEntry> = self.range(first, StreamId::MAX).take(count).cloned().collect();
        // What is known after the first of them may be counted on from there.
        let after = |entry: &StreamEntry| (self.was_deleted_from(entry.id), self.distance(entry.id));
        let after: Vec<_> = entries.iter().map(after).collect();
        let Some(group) = self.groups.get_mut(group) else { return Vec::new() };
        for (entry, (has_gaps, distance)) in entries.iter().zip(after) {
            group.entries_read = match group.entries_read {
                Some(read) if !has_gaps => Some(read.wrapping_add(1)),
                _ => distance,
            };
            group.last_id = entry.id;
            if !no_ack {
                let pending = Pending { consumer: consumer.clone(), delivered_at: now, deliveries: 1 };
                group.pending.insert(entry.id, pending);
            }
        }
        if !entries.is_empty() {
            group.activate(consumer, now);
        }
        entries
    }

    /// Whether an entry was deleted at this id or later, out of the middle of the stream.
    fn was_deleted_from(&self, id: StreamId) -> bool {
        self.first().is_some_and(|first| first.id <= self.max_deleted_id) && id <= self.max_deleted_id
    }

    /// How many entries were ever added up to this id, if that can be known without counting.
    fn distance(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if id == self.last_id || (self.is_empty() && id < self.last_id) {
            return Some(self.entries_added);
        }
        let first = self.first()?.id;
        let whole = self.max_deleted_id == StreamId::MIN || self.max_deleted_id < first;
        if id > self.last_id || id > first || !whole || (id != StreamId::MIN && id < self.max_deleted_id) {
            return None;
        }
        Some(self.entries_added - self.len() + u64::from(id == first))
    }

    /// How many entries a group has not read, if that can be known. Less than none, where `ENTRIESREAD` said that it has
    /// read more than there were.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        let read = group.entries_read.filter(|_| !self.was_deleted_from(group.last_id));
        read.or_else(|| self.distance(group.last_id)).map(|read| self.entries_added.wrapping_sub(read) as i64)
    }
}
