//! Writing values.

use bytes::Bytes;

use super::{form, listpack::Writer, lzf, pages};
use crate::{
    base::number::{format_double, read_i64},
    engine::{
        Dialect,
        value::{
            Compact, Hash, List, Set, SortedSet, Stream, Value,
            stream::{Group, StreamId},
        },
    },
};

/// What is no longer than this may be written as an integer, and what is longer than the other may be compressed.
const LONGEST_INTEGER: usize = 11;
const SHORTEST_COMPRESSED: usize = 21;

/// A value, led by the form that it is in.
pub fn value(value: &Value, dialect: Dialect, limits: &Compact) -> Vec<u8> {
    let mut out = Out(Vec::new());
    match value {
        Value::String(text) => {
            out.byte(form::STRING);
            match read_i64(text) {
                Some(value) if out.integer(value) => {}
                Some(_) => out.plain(text),
                None => out.text(text),
            }
        }
        Value::List(list) => out.list(list, dialect, limits),
        Value::Set(set) => out.set(set, dialect, limits),
        Value::Hash(hash) => out.hash(hash, limits),
        Value::SortedSet(zset) => out.zset(zset, dialect, limits),
        Value::Stream(stream) => out.stream(stream, dialect),
    }
    out.0
}

struct Out(Vec<u8>);

impl Out {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn length(&mut self, length: u64) {
        match length {
            0..=0x3f => self.byte(length as u8),
            0x40..=0x3fff => self.0.extend((length as u16 | 0x4000).to_be_bytes()),
            0x4000..=0xffff_ffff => {
                self.byte(0x80);
                self.0.extend((length as u32).to_be_bytes());
            }
            _ => {
                self.byte(0x81);
                self.0.extend(length.to_be_bytes());
            }
        }
    }

    /// An integer in as few bytes as it needs; says whether there is such a form of it.
    fn integer(&mut self, value: i64) -> bool {
        let bytes = value.to_le_bytes();
        let (kind, width) = match value {
            -0x80..=0x7f => (0, 1),
            -0x8000..=0x7fff => (1, 2),
            -0x8000_0000..=0x7fff_ffff => (2, 4),
            _ => return false,
        };
        self.byte(0xc0 | kind);
        self.0.extend(&bytes[..width]);
        true
    }

    fn plain(&mut self, text: &[u8]) {
        self.length(text.len() as u64);
        self.0.extend(text);
    }

    /// A text in the shortest form that a server tries.
    fn text(&mut self, text: &[u8]) {
        if text.len() <= LONGEST_INTEGER
            && let Some(value) = read_i64(text)
            && self.integer(value)
        {
            return;
        }
        if text.len() >= SHORTEST_COMPRESSED
            && let Some(compressed) = lzf::compress(text)
        {
            self.byte(0xc3);
            self.length(compressed.len() as u64);
            self.length(text.len() as u64);
            self.0.extend(compressed);
            return;
        }
        self.plain(text);
    }

    fn listpack<'a>(&mut self, elements: impl Iterator<Item = &'a Bytes>) {
        let mut listpack = Writer::new();
        elements.for_each(|element| listpack.text(element));
        self.text(&listpack.finish());
    }

    /// Nodes that were filled from the left: a list that grew otherwise has others.
    fn list(&mut self, list: &List, dialect: Dialect, limits: &Compact) {
        const PLAIN: u64 = 1;
        const PACKED: u64 = 2;
        let mut nodes: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut open = Writer::new();
        for element in list {
            // Redis 7.0 does so from a gigabyte on.
            let is_large = dialect == Dialect::Valkey8 && limits.is_large_element(element.len());
            if open.count() > 0
                && (is_large || !limits.holds_list_node(open.len() + element.len() + 8, open.count() + 1))
            {
                nodes.push((PACKED, std::mem::replace(&mut open, Writer::new()).finish()));
            }
            if is_large {
                nodes.push((PLAIN, element.to_vec()));
            } else {
                open.text(element);
            }
        }
        if open.count() > 0 {
            nodes.push((PACKED, open.finish()));
        }
        self.byte(form::LIST_OF_LISTPACKS);
        self.length(nodes.len() as u64);
        for (container, node) in nodes {
            self.length(container);
            self.text(&node);
        }
    }

    fn set(&mut self, set: &Set, dialect: Dialect, limits: &Compact) {
        if limits.holds_intset(set) {
            let members: Vec<i64> = set.iter().filter_map(|member| read_i64(member)).collect();
            let fits = |width: u32| members.iter().all(|value| value >> (8 * width - 1) == value >> 63);
            let width = [2, 4].into_iter().find(|width| fits(*width)).unwrap_or(8);
            let mut intset = width.to_le_bytes().to_vec();
            intset.extend((members.len() as u32).to_le_bytes());
            members.iter().for_each(|value| intset.extend(&value.to_le_bytes()[..width as usize]));
            self.byte(form::SET_INTSET);
            self.text(&intset);
        } else if limits.holds_set(set, dialect) {
            self.byte(form::SET_LISTPACK);
            self.listpack(set.iter());
        } else {
            self.byte(form::SET);
            self.length(set.len() as u64);
            set.iter().for_each(|member| self.text(member));
        }
    }

    fn hash(&mut self, hash: &Hash, limits: &Compact) {
        if limits.holds_hash(hash) {
            self.byte(form::HASH_LISTPACK);
            self.listpack(hash.iter().flat_map(|(field, value)| [field, value]));
        } else {
            self.byte(form::HASH);
            self.length(hash.len() as u64);
            for (field, value) in hash {
                self.text(field);
                self.text(value);
            }
        }
    }

    fn zset(&mut self, zset: &SortedSet, dialect: Dialect, limits: &Compact) {
        if !limits.holds_zset(zset) {
            self.byte(form::ZSET);
            self.length(zset.len() as u64);
            // So that whoever reads it inserts each at the head.
            for (member, score) in zset.iter().rev() {
                self.text(member);
                self.0.extend(score.to_le_bytes());
            }
            return;
        }
        let mut listpack = Writer::new();
        for (member, score) in zset.iter() {
            listpack.text(member);
            match whole(score) {
                Some(score) => listpack.integer(score),
                None => listpack.text(format_double(score, dialect).as_bytes()),
            }
        }
        self.byte(form::ZSET_LISTPACK);
        self.text(&listpack.finish());
    }

    fn stream(&mut self, stream: &Stream, dialect: Dialect) {
        let is_valkey = dialect == Dialect::Valkey8;
        self.byte(if is_valkey { form::STREAM_3 } else { form::STREAM_2 });
        self.length(stream.nodes() as u64);
        for node in stream.pages() {
            self.text(&id_bytes(node.master_id));
            self.text(&pages::write(&node));
        }
        self.length(stream.len());
        self.id(stream.last_id);
        self.id(stream.first().map_or(StreamId::MIN, |entry| entry.id));
        self.id(stream.max_deleted_id);
        self.length(stream.entries_added);
        self.length(stream.groups.len() as u64);
        for (name, group) in &stream.groups {
            self.text(name);
            self.group(group, is_valkey);
        }
    }

    fn group(&mut self, group: &Group, knows_activity: bool) {
        self.id(group.last_id);
        self.length(group.entries_read.unwrap_or(u64::MAX));
        self.length(group.pending.len() as u64);
        for (id, pending) in &group.pending {
            self.0.extend(id_bytes(*id));
            self.0.extend(pending.delivered_at.0.to_le_bytes());
            self.length(pending.deliveries);
        }
        self.length(group.consumers.len() as u64);
        for (name, consumer) in &group.consumers {
            self.text(name);
            self.0.extend(consumer.seen_at.0.to_le_bytes());
            if knows_activity {
                self.0.extend(consumer.active_at.map_or(-1, |at| at.0).to_le_bytes());
            }
            self.length(group.pending_of(name).count() as u64);
            group.pending_of(name).for_each(|(id, _)| self.0.extend(id_bytes(*id)));
        }
    }

    fn id(&mut self, id: StreamId) {
        self.length(id.ms);
        self.length(id.seq);
    }
}

fn id_bytes(id: StreamId) -> Vec<u8> {
    [id.ms.to_be_bytes(), id.seq.to_be_bytes()].concat()
}

/// The integer that a score is, if a server takes it for one.
fn whole(score: f64) -> Option<i64> {
    const LARGEST: f64 = (i64::MAX / 2) as f64;
    (score.abs() <= LARGEST && score == score.trunc()).then_some(score as i64)
}
