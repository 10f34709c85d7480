//! A hash of the data, for `SIM DIGEST`: two servers have the same one if and only if they hold the same.
//!
//! What counts: keys, types, contents, expiries, and of streams also the counters, groups and pending entries. What
//! does not: the order of fields and members where the type keeps none, how a value is encoded, keys that have
//! expired and that nobody has removed yet, and when a consumer was last seen.

use sha1::{Digest, Sha1};

use super::{
    Keyspace, UnixMillis,
    value::{
        Stream, Value,
        stream::{Group, StreamId},
    },
};

/// The digest of all databases as they look at `now`: SHA-1 over a form in which nothing can be read two ways.
pub fn digest<'k>(databases: impl Iterator<Item = (u8, &'k Keyspace)>, now: UnixMillis) -> [u8; 20] {
    let mut form = Form(Sha1::new());
    for (number, keyspace) in databases {
        for (key, entry) in keyspace.iter() {
            if entry.expires_at.is_some_and(|at| now > at) {
                continue;
            }
            form.number(u64::from(number));
            form.bytes(key);
            form.option(entry.expires_at.map(|at| at.0 as u64));
            form.value(&entry.value);
        }
    }
    form.0.finalize().into()
}

/// The form that is hashed: every text is led by its length, every list by its count.
struct Form(Sha1);

impl Form {
    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn option(&mut self, number: Option<u64>) {
        self.number(u64::from(number.is_some()));
        self.number(number.unwrap_or_default());
    }

    fn id(&mut self, id: StreamId) {
        self.number(id.ms);
        self.number(id.seq);
    }

    /// The order in which they come does not count.
    fn unordered<T: Ord>(&mut self, items: impl Iterator<Item = T>, mut each: impl FnMut(&mut Self, T)) {
        let mut items: Vec<T> = items.collect();
        items.sort_unstable();
        self.number(items.len() as u64);
        items.into_iter().for_each(|item| each(self, item));
    }

    fn value(&mut self, value: &Value) {
        self.bytes(value.type_name().as_bytes());
        match value {
            Value::String(text) => self.bytes(text),
            Value::Hash(hash) => self.unordered(hash.iter(), |form, (field, value)| {
                form.bytes(field);
                form.bytes(value);
            }),
            Value::List(list) => {
                self.number(list.len() as u64);
                list.iter().for_each(|element| self.bytes(element));
            }
            Value::Set(set) => self.unordered(set.iter(), |form, member| form.bytes(member)),
            Value::SortedSet(zset) => {
                self.number(zset.len() as u64);
                for (member, score) in zset.iter() {
                    self.bytes(member);
                    self.number(score.to_bits());
                }
            }
            Value::Stream(stream) => self.stream(stream),
        }
    }

    fn stream(&mut self, stream: &Stream) {
        self.number(stream.len());
        for entry in stream.range(StreamId::MIN, StreamId::MAX) {
            self.id(entry.id);
            self.number(entry.fields.len() as u64);
            entry.fields.iter().for_each(|part| self.bytes(part));
        }
        self.id(stream.last_id);
        self.id(stream.max_deleted_id);
        self.number(stream.entries_added);
        self.number(stream.groups.len() as u64);
        for (name, group) in &stream.groups {
            self.bytes(name);
            self.group(group);
        }
    }

    fn group(&mut self, group: &Group) {
        self.id(group.last_id);
        self.option(group.entries_read);
        self.number(group.pending.len() as u64);
        for (id, pending) in &group.pending {
            self.id(*id);
            self.bytes(&pending.consumer);
            self.number(pending.delivered_at.0 as u64);
            self.number(pending.deliveries);
        }
        self.number(group.consumers.len() as u64);
        group.consumers.keys().for_each(|name| self.bytes(name));
    }
}
