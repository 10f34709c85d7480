//! Reading values. Nothing of what is read is trusted: lengths are held against what there is.

use bytes::Bytes;

use super::{form, listpack, lzf, pages};
use crate::{
    base::{UnixMillis, number::parse_f64},
    engine::{
        Dialect,
        value::{
            Hash, List, Set, SortedSet, Stream, Value,
            stream::{
                Group, StreamId,
                group::{Consumer, Pending},
            },
            zset::Inserted,
        },
    },
};

/// The value that these bytes are from the first to the last; `None` if they are none.
pub fn value(bytes: &[u8], dialect: Dialect) -> Option<Value> {
    let mut input = Input(bytes);
    let kind = input.byte()?;
    if kind > form::STREAM_2 && dialect == Dialect::Redis7 {
        return None;
    }
    match kind {
        form::STRING => Some(Value::String(input.text()?)),
        form::LIST => filled(input.texts(1)?.into(), List::is_empty, Value::List),
        form::LIST_ZIPLIST => {
            filled(listpack::read_ziplist(&input.text()?)?.into(), List::is_empty, Value::List)
        }
        form::LIST_OF_ZIPLISTS | form::LIST_OF_LISTPACKS => {
            filled(input.list(kind == form::LIST_OF_LISTPACKS)?, List::is_empty, Value::List)
        }
        form::SET => set(input.texts(1)?),
        form::SET_INTSET => set(intset(&input.text()?)?),
        form::SET_LISTPACK => set(listpack::read(&input.text()?)?),
        form::HASH => hash(input.texts(2)?),
        form::HASH_ZIPLIST => hash(listpack::read_ziplist(&input.text()?)?),
        form::HASH_LISTPACK => hash(listpack::read(&input.text()?)?),
        form::ZSET | form::ZSET_TEXT => zset(input.scored(kind == form::ZSET)?),
        form::ZSET_ZIPLIST => zset(scored(listpack::read_ziplist(&input.text()?)?)?),
        form::ZSET_LISTPACK => zset(scored(listpack::read(&input.text()?)?)?),
        form::STREAM_1 | form::STREAM_2 | form::STREAM_3 => input.stream(kind).map(Value::Stream),
        _ => None,
    }
}

/// A collection as a value, unless there is nothing in it.
fn filled<T>(collection: T, is_empty: fn(&T) -> bool, into: fn(T) -> Value) -> Option<Value> {
    if is_empty(&collection) { None } else { Some(into(collection)) }
}

fn set(members: Vec<Bytes>) -> Option<Value> {
    let mut set = Set::default();
    members.iter().all(|member| set.insert(member)).then_some(())?;
    filled(set, Set::is_empty, Value::Set)
}

fn hash(parts: Vec<Bytes>) -> Option<Value> {
    let mut hash = Hash::default();
    let mut parts = parts.into_iter();
    while let Some(field) = parts.next() {
        if hash.insert(field, parts.next()?).is_some() {
            return None;
        }
    }
    filled(hash, Hash::is_empty, Value::Hash)
}

fn zset(members: Vec<(Bytes, f64)>) -> Option<Value> {
    let mut zset = SortedSet::default();
    for (member, score) in members {
        if score.is_nan() || zset.insert(&member, score) != Inserted::Added {
            return None;
        }
    }
    filled(zset, SortedSet::is_empty, Value::SortedSet)
}

fn scored(parts: Vec<Bytes>) -> Option<Vec<(Bytes, f64)>> {
    let (pairs, []) = parts.as_chunks::<2>() else { return None };
    pairs.iter().map(|[member, score]| Some((member.clone(), parse_f64(score).ok()?))).collect()
}

fn intset(bytes: &[u8]) -> Option<Vec<Bytes>> {
    let (width, rest) = bytes.split_first_chunk::<4>()?;
    let (count, members) = rest.split_first_chunk::<4>()?;
    let width = u32::from_le_bytes(*width) as usize;
    if ![2, 4, 8].contains(&width)
        || members.len() != (u32::from_le_bytes(*count) as usize).checked_mul(width)?
    {
        return None;
    }
    Some(members.chunks(width).map(|member| listpack::signed(member).to_string().into()).collect())
}

/// A length, or a form that a text is in.
enum Length {
    Of(u64),
    Special(u8),
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.0.split_off_first().copied()
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        self.0.split_off(..count)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn any_length(&mut self) -> Option<Length> {
        let first = self.byte()?;
        Some(match first {
            0..=0x3f => Length::Of(u64::from(first)),
            0x40..=0x7f => Length::Of(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            0x80 => Length::Of(u64::from(u32::from_be_bytes(self.array()?))),
            0x81 => Length::Of(u64::from_be_bytes(self.array()?)),
            0xc0.. => Length::Special(first & 0x3f),
            _ => return None,
        })
    }

    fn length(&mut self) -> Option<u64> {
        match self.any_length()? {
            Length::Of(length) => Some(length),
            Length::Special(_) => None,
        }
    }

    /// How many of something follow, each of at least one byte.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.length()?).ok().filter(|count| *count <= self.0.len())
    }

    fn text(&mut self) -> Option<Bytes> {
        let integer = |bytes: &[u8]| Bytes::from(listpack::signed(bytes).to_string());
        match self.any_length()? {
            Length::Of(length) => self.bytes(usize::try_from(length).ok()?).map(Bytes::copy_from_slice),
            Length::Special(kind @ 0..=2) => self.bytes(1 << kind).map(integer),
            Length::Special(3) => {
                let (compressed, length) = (self.count()?, self.length()?);
                lzf::decompress(self.bytes(compressed)?, usize::try_from(length).ok()?).map(Bytes::from)
            }
            Length::Special(_) => None,
        }
    }

    /// As many texts as a length says, `each` for each.
    fn texts(&mut self, each: usize) -> Option<Vec<Bytes>> {
        let count = self.count()?.checked_mul(each)?;
        (0..count).map(|_| self.text()).collect()
    }

    fn list(&mut self, names_containers: bool) -> Option<List> {
        let mut list = List::new();
        for _ in 0..self.count()? {
            let container = if names_containers { self.length()? } else { 0 };
            let node = self.text()?;
            match container {
                0 => list.extend(listpack::read_ziplist(&node)?),
                1 => list.push_back(node),
                2 => list.extend(listpack::read(&node)?),
                _ => return None,
            }
        }
        Some(list)
    }

    fn scored(&mut self, is_binary: bool) -> Option<Vec<(Bytes, f64)>> {
        let count = self.count()?;
        let member = |_| {
            let member = self.text()?;
            let score = if is_binary { f64::from_le_bytes(self.array()?) } else { self.score_text()? };
            Some((member, score))
        };
        (0..count).map(member).collect()
    }

    /// A score as text, led by its length or by what it is.
    fn score_text(&mut self) -> Option<f64> {
        match self.byte()? {
            253 => None,
            254 => Some(f64::INFINITY),
            255 => Some(f64::NEG_INFINITY),
            length => parse_f64(self.bytes(usize::from(length))?).ok(),
        }
    }

    fn stream(&mut self, kind: u8) -> Option<Stream> {
        let mut stream = Stream::default();
        for _ in 0..self.count()? {
            let master_id = Input(&self.text()?).raw_id()?;
            let node = self.text()?;
            stream.add_page(pages::read(master_id, &node)?, node.len())?;
        }
        if stream.len() != self.length()? {
            return None;
        }
        stream.last_id = self.id()?;
        if kind == form::STREAM_1 {
            stream.entries_added = stream.len();
        } else {
            self.id()?;
            stream.max_deleted_id = self.id()?;
            stream.entries_added = self.length()?;
        }
        for _ in 0..self.count()? {
            let name = self.text()?;
            let group = self.group(kind)?;
            if stream.groups.insert(name, group).is_some() {
                return None;
            }
        }
        Some(stream)
    }

    fn group(&mut self, kind: u8) -> Option<Group> {
        let mut group = Group { last_id: self.id()?, ..Group::default() };
        if kind != form::STREAM_1 {
            group.entries_read = Some(self.length()?).filter(|read| *read != u64::MAX);
        }
        let nobody = Bytes::new();
        for _ in 0..self.count()? {
            let id = self.raw_id()?;
            let delivered_at = UnixMillis(i64::from_le_bytes(self.array()?));
            let deliveries = self.length()?;
            group.pending.insert(id, Pending { consumer: nobody.clone(), delivered_at, deliveries });
        }
        let mut owned = 0;
        for _ in 0..self.count()? {
            let name = self.text()?;
            let seen_at = UnixMillis(i64::from_le_bytes(self.array()?));
            let active_at = match kind {
                form::STREAM_3 => {
                    Some(i64::from_le_bytes(self.array()?)).filter(|at| *at >= 0).map(UnixMillis)
                }
                _ => Some(seen_at),
            };
            for _ in 0..self.count()? {
                group.pending.get_mut(&self.raw_id()?)?.consumer = name.clone();
                owned += 1;
            }
            if group.consumers.insert(name, Consumer { seen_at, active_at }).is_some() {
                return None;
            }
        }
        (owned == group.pending.len()).then_some(group)
    }

    fn id(&mut self) -> Option<StreamId> {
        Some(StreamId { ms: self.length()?, seq: self.length()? })
    }

    fn raw_id(&mut self) -> Option<StreamId> {
        Some(StreamId { ms: u64::from_be_bytes(self.array()?), seq: u64::from_be_bytes(self.array()?) })
    }
}
