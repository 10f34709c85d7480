//! The entries of a stream's node as a listpack: how many live and how many are deleted, the fields of the first, and then
//! each as a difference to that.

use std::sync::Arc;

use bytes::Bytes;

use super::listpack::{self, Writer};
use crate::{
    base::number::read_i64,
    engine::value::stream::{Page, StreamEntry, StreamId},
};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// A node as a listpack. Deleted entries are left out.
pub fn write(page: &Page) -> Vec<u8> {
    let mut out = Writer::new();
    let fields = page.master.len() / 2;
    out.integer(page.entries.len() as i64);
    out.integer(0);
    out.integer(fields as i64);
    page.master.iter().step_by(2).for_each(|field| out.text(field));
    out.integer(0);
    for entry in &page.entries {
        let is_same = entry.fields.len() == page.master.len()
            && entry.fields.iter().step_by(2).eq(page.master.iter().step_by(2));
        out.integer(if is_same { SAME_FIELDS } else { 0 });
        out.integer(entry.id.ms.wrapping_sub(page.master_id.ms) as i64);
        out.integer(entry.id.seq.wrapping_sub(page.master_id.seq) as i64);
        let own = (entry.fields.len() / 2) as i64;
        if is_same {
            entry.fields.iter().skip(1).step_by(2).for_each(|value| out.text(value));
            out.integer(own + 3);
        } else {
            out.integer(own);
            entry.fields.iter().for_each(|part| out.text(part));
            out.integer(2 * own + 4);
        }
    }
    out.finish()
}

/// The node that a listpack is; `None` if it is none.
pub fn read(master_id: StreamId, bytes: &[u8]) -> Option<Page> {
    let mut elements = listpack::read(bytes)?.into_iter();
    let mut count = || read_i64(&elements.next()?).and_then(|value| usize::try_from(value).ok());
    let (live, deleted, fields) = (count()?, count()?, count()?);
    let names: Vec<Bytes> = elements.by_ref().take(fields).collect();
    if names.len() != fields || elements.next()? != "0" {
        return None;
    }
    let mut page = Page { master_id, master: Arc::from([]), entries: Vec::new(), deleted };
    let mut left_out = 0;
    while let Some(flags) = elements.next() {
        let flags = read_i64(&flags)?;
        let mut number = || read_i64(&elements.next()?);
        let (ms, seq) = (number()?, number()?);
        let id = StreamId {
            ms: master_id.ms.wrapping_add_signed(ms),
            seq: master_id.seq.wrapping_add_signed(seq),
        };
        let parts: Vec<Bytes> = if flags & SAME_FIELDS != 0 {
            let values: Vec<Bytes> = elements.by_ref().take(fields).collect();
            names.iter().cloned().zip(values).flat_map(|(name, value)| [name, value]).collect()
        } else {
            let own = usize::try_from(number()?).ok()?;
            elements.by_ref().take(own.checked_mul(2)?).collect()
        };
        // How many elements the entry takes.
        elements.next()?;
        if flags & DELETED != 0 {
            left_out += 1;
        } else {
            page.entries.push(StreamEntry { id, fields: parts.into() });
        }
    }
    let nothing = Bytes::new();
    page.master = names.into_iter().flat_map(|name| [name, nothing.clone()]).collect();
    (page.entries.len() == live && left_out == deleted).then_some(page)
}
