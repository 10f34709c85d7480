//! Typed access to values: `cx.read::<Hash>(key)` is the hash under a key, nothing, or `WRONGTYPE`.

use bytes::Bytes;

use super::{
    Context, ErrorReply, WRONG_TYPE,
    value::{Encoding, Hash, List, Set, SortedSet, Value},
};

/// A type that a key can hold.
pub trait Kind: Default {
    /// The value as this type.
    fn of(value: &Value) -> Option<&Self>;
    /// The value as this type, for changing.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    /// As a value.
    fn into_value(self) -> Value;
}

macro_rules! kind {
    ($type:ty, $variant:ident) => {
        impl Kind for $type {
            fn of(value: &Value) -> Option<&Self> {
                match value {
                    Value::$variant(this) => Some(this),
                    _ => None,
                }
            }

            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                match value {
                    Value::$variant(this) => Some(this),
                    _ => None,
                }
            }

            fn into_value(self) -> Value {
                Value::$variant(self)
            }
        }
    };
}

kind!(Bytes, String);
kind!(Hash, Hash);
kind!(List, List);
kind!(Set, Set);
kind!(SortedSet, SortedSet);

impl Context<'_> {
    /// The value under a key, if there is one; an error if it is of another type.
    pub fn read<T: Kind>(&mut self, key: &[u8]) -> Result<Option<&T>, ErrorReply> {
        self.get(key).map(|value| T::of(value).ok_or(WRONG_TYPE)).transpose()
    }

    /// What [`read`](Self::read) gives for each of several keys; the first error, if any is of another type.
    pub fn read_all<T: Kind>(&mut self, keys: &[&[u8]]) -> Result<Vec<Option<&T>>, ErrorReply> {
        for key in keys {
            self.read::<T>(key)?;
        }
        let db = &self.engine.db;
        Ok(keys.iter().map(|key| T::of(&db.get(key)?.value)).collect())
    }

    /// As [`read`](Self::read), for changing. Whoever empties a collection calls
    /// [`remove_emptied`](Self::remove_emptied) or removes the key.
    pub fn write<T: Kind>(&mut self, key: &[u8]) -> Result<Option<&mut T>, ErrorReply> {
        self.get_mut(key).map(|value| T::of_mut(value).ok_or(WRONG_TYPE)).transpose()
    }

    /// As [`write`](Self::write), and an empty value is put where there is none.
    pub fn write_or_new<T: Kind>(&mut self, key: &[u8]) -> Result<&mut T, ErrorReply> {
        T::of_mut(self.get_or_insert(key, || T::default().into_value())).ok_or(WRONG_TYPE)
    }

    /// The string under a key for changing in its place, with how it is kept; an empty one is put where there is
    /// none. Says whether it was.
    pub fn write_text(&mut self, key: &[u8]) -> Result<(&mut Bytes, &mut Encoding, bool), ErrorReply> {
        self.drop_if_expired(key);
        let (entry, is_new) = self.engine.db.entry_or_insert(key, || Value::String(Bytes::new()));
        match &mut entry.value {
            Value::String(text) => Ok((text, &mut entry.encoding, is_new)),
            _ => Err(WRONG_TYPE),
        }
    }

    /// The string under a key for changing in its place, if there is one, with how it is kept.
    pub fn change_text(&mut self, key: &[u8]) -> Result<Option<(&mut Bytes, &mut Encoding)>, ErrorReply> {
        self.look(key);
        let entry = self.engine.db.entry_mut(key);
        let text = entry.map(|entry| match &mut entry.value {
            Value::String(text) => Ok((text, &mut entry.encoding)),
            _ => Err(WRONG_TYPE),
        });
        text.transpose()
    }

    /// Removes the key of a collection that a command has emptied.
    pub fn remove_emptied(&mut self, key: &[u8], is_empty: bool) {
        if is_empty {
            self.engine.db.remove(key);
        }
    }

    /// Replaces what is under a key, its expiry included, by `value`; by nothing if `is_empty`. Returns whether
    /// anything was written: that is, unless there is nothing where nothing was.
    pub fn store(&mut self, key: &[u8], value: impl Kind, is_empty: bool) -> bool {
        // What is deleted is not looked at: whether it has expired does not matter.
        if is_empty {
            return self.engine.db.remove(key).is_some();
        }
        // The look at what is replaced does not count.
        self.drop_if_expired(key);
        let value = value.into_value();
        self.pay(value.work());
        self.grow(value.work() * crate::engine::memory::PER_STORED);
        let is_news = self.is_news_without_a_stream(key);
        self.engine.db.overwrite(Bytes::copy_from_slice(key), value, is_news);
        true
    }
}
