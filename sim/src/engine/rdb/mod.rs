//! Values as a server writes them down: what `DUMP` answers and `RESTORE` takes.
//!
//! A payload is a type, the value, the version of the format and a checksum over all of it. What is written is what a real
//! server of the dialect writes for a value that was made as it is now: where bytes depend on how a value came to be (the
//! order of a hash table, the nodes of a long list, entries deleted out of a stream) they may differ, and mean the same.
//! What is read is every form that servers since Redis 2.6 have written, but for zipmaps and modules.

mod crc64;
mod listpack;
mod load;
mod lzf;
mod pages;
mod save;

use super::{
    Dialect,
    value::{Compact, Value},
};

/// The types of values in their different forms.
mod form {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const ZSET_TEXT: u8 = 3;
    pub const HASH: u8 = 4;
    pub const ZSET: u8 = 5;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_OF_ZIPLISTS: u8 = 14;
    pub const STREAM_1: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_OF_LISTPACKS: u8 = 18;
    pub const STREAM_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_3: u8 = 21;
}

/// The version of the format that a server writes, and the last that it reads.
fn version(dialect: Dialect) -> u16 {
    match dialect {
        Dialect::Valkey8 => 11,
        Dialect::Redis7 => 10,
    }
}

/// Why a payload is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It ends wrongly, or was written by a later server.
    Checksum,
    /// It is no value.
    Format,
}

/// A value as a payload.
pub fn dump(value: &Value, dialect: Dialect, limits: &Compact) -> Vec<u8> {
    let mut payload = save::value(value, dialect, limits);
    payload.extend(version(dialect).to_le_bytes());
    payload.extend(crc64::of(&payload).to_le_bytes());
    payload
}

/// The value in a payload.
///
/// # Errors
/// When there is none in it.
pub fn restore(payload: &[u8], dialect: Dialect) -> Result<Value, Refused> {
    let (rest, checksum) = payload.split_last_chunk::<8>().ok_or(Refused::Checksum)?;
    let (body, written_as) = rest.split_last_chunk::<2>().ok_or(Refused::Checksum)?;
    if u16::from_le_bytes(*written_as) > version(dialect) || u64::from_le_bytes(*checksum) != crc64::of(rest)
    {
        return Err(Refused::Checksum);
    }
    load::value(body, dialect).ok_or(Refused::Format)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::engine::value::List;

    #[test]
    fn a_payload_that_is_cut_or_changed_anywhere_is_refused() {
        let list = Value::List(List::from([Bytes::from_static(b"a"), Bytes::from_static(b"17")]));
        let payload = dump(&list, Dialect::Redis7, &Compact::default());
        assert_eq!(restore(&payload, Dialect::Valkey8), Ok(list));
        for at in 0..payload.len() {
            let mut changed = payload.clone();
            changed[at] ^= 1;
            assert_eq!(restore(&changed, Dialect::Redis7), Err(Refused::Checksum), "byte {at}");
            assert_eq!(restore(&payload[..at], Dialect::Redis7), Err(Refused::Checksum), "{at} bytes");
        }
        let later = dump(&Value::String(Bytes::new()), Dialect::Valkey8, &Compact::default());
        assert_eq!(restore(&later, Dialect::Redis7), Err(Refused::Checksum), "written by a later server");
    }
}
