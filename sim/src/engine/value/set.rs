//! Sets, in the order in which a server lists them.

use bytes::Bytes;
use indexmap::IndexSet;

use super::FixedState;
use crate::base::number::read_i64;

/// `set-max-intset-entries`: up to here a set of integers is an intset.
pub const INTSET_ENTRIES: usize = 512;
/// Above this a server keeps no order, so that we need not pay for keeping one on removal.
const ORDERED_ENTRIES: usize = 512;

/// A set: its members in the order in which they were added, but sorted by value while it is an intset, which it
/// is until a member is no integer or there are too many.
#[derive(Clone, Debug)]
pub struct Set {
    members: IndexSet<Bytes, FixedState>,
    is_intset: bool,
}

impl Default for Set {
    fn default() -> Self {
        Self { members: IndexSet::default(), is_intset: true }
    }
}

/// Two sets are equal if they have the same members.
impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

impl Set {
    /// How many members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether a server would still keep it as a sorted array of integers.
    pub fn is_intset(&self) -> bool {
        self.is_intset
    }

    /// Whether it has this member.
    pub fn contains(&self, member: &[u8]) -> bool {
        self.members.contains(member)
    }

    /// The member at a position of the listing.
    pub fn at(&self, index: usize) -> Option<&Bytes> {
        self.members.get_index(index)
    }

    /// The members as they are listed.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Bytes> + ExactSizeIterator {
        self.members.iter()
    }

    /// Adds a member. Returns whether it is new.
    pub fn insert(&mut self, member: &[u8]) -> bool {
        if self.members.contains(member) {
            return false;
        }
        let value = if self.is_intset { read_i64(member) } else { None };
        let member = Bytes::copy_from_slice(member);
        match value {
            Some(value) => {
                // Every member of an intset is an integer, so that `None`, which sorts first, does not occur.
                let place = self.members.partition_point(|other| read_i64(other) < Some(value));
                self.members.shift_insert(place, member);
                self.is_intset = self.members.len() <= INTSET_ENTRIES;
            }
            None => {
                self.is_intset = false;
                self.members.insert(member);
            }
        }
        true
    }

    /// Takes a member away. Returns whether there was one.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        if self.members.len() <= ORDERED_ENTRIES {
            self.members.shift_remove(member)
        } else {
            self.members.swap_remove(member)
        }
    }

    /// Takes away the member at a position of the listing.
    pub fn remove_at(&mut self, index: usize) -> Option<Bytes> {
        if self.members.len() <= ORDERED_ENTRIES {
            self.members.shift_remove_index(index)
        } else {
            self.members.swap_remove_index(index)
        }
    }
}

impl<'a> FromIterator<&'a Bytes> for Set {
    fn from_iter<I: IntoIterator<Item = &'a Bytes>>(members: I) -> Self {
        let mut set = Self::default();
        members.into_iter().for_each(|member| {
            set.insert(member);
        });
        set
    }
}

#[cfg(test)]
mod tests {
    use super::Set;

    fn listed(members: &[&str]) -> Vec<String> {
        let mut set = Set::default();
        members.iter().for_each(|m| {
            set.insert(m.as_bytes());
        });
        set.iter().map(|m| String::from_utf8_lossy(m).into_owned()).collect()
    }

    #[test]
    fn integers_are_listed_sorted_and_strings_as_added() {
        assert_eq!(listed(&["10", "9", "-1"]), ["-1", "9", "10"]);
        assert_eq!(listed(&["b", "a", "10", "9"]), ["b", "a", "10", "9"]);
        assert_eq!(listed(&["10", "9", "b", "8"]), ["9", "10", "b", "8"], "sorted so far, then as added");
        assert_eq!(listed(&["10", "09"]), ["10", "09"], "09 is no integer");
    }

    #[test]
    fn an_intset_ends_at_512_members() {
        let mut set = Set::default();
        (0..512).for_each(|n: i32| {
            set.insert(n.to_string().as_bytes());
        });
        assert!(set.is_intset());
        set.insert(b"512");
        assert!(!set.is_intset());
    }
}
