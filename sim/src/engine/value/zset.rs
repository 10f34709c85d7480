//! Sorted sets: members with scores, ordered by score and then by bytes.
//!
//! Whatever is asked for by score, by name or by rank comes down to a range of positions, found by binary search:
//! [`SortedSet::positions`] of a predicate, then [`SortedSet::range`].

use std::{cmp::Ordering, ops::Range};

use bytes::Bytes;
use indexmap::IndexMap;

use super::FixedState;

/// A chunk is split in two when it has grown to this many members. Small enough to move within at once, large
/// enough that 10^5 members make a list of chunks that is read in a microsecond.
const CHUNK_MAX: usize = 256;

/// A sorted set.
#[derive(Clone, Debug, Default)]
pub struct SortedSet {
    scores: IndexMap<Bytes, f64, FixedState>,
    /// The members in order, in chunks, none of them empty.
    chunks: Vec<Vec<Scored>>,
}

/// A member in its place.
#[derive(Clone, Debug)]
struct Scored {
    score: f64,
    member: Bytes,
}

/// What [`SortedSet::insert`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The member is new.
    Added,
    /// The member was there with another score.
    Moved,
    /// The member was there with this score.
    Unchanged,
}

/// Two sorted sets are equal if they have the same members with the same scores.
impl PartialEq for SortedSet {
    fn eq(&self, other: &Self) -> bool {
        self.scores == other.scores
    }
}

impl SortedSet {
    /// How many members.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).copied()
    }

    /// Adds a member or moves it to another score. A score is never NaN: callers have refused that.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Inserted {
        debug_assert!(!score.is_nan(), "a score that does not compare");
        // −0 becomes 0, as in a listpack.
        let score = score + 0.0;
        match self.scores.get_full_mut(member) {
            Some((_, _, old)) if *old == score => Inserted::Unchanged,
            Some((_, shared, old)) => {
                let shared = shared.clone();
                let old = std::mem::replace(old, score);
                self.unplace(&shared, old);
                self.place(shared, score);
                Inserted::Moved
            }
            None => {
                let member = Bytes::copy_from_slice(member);
                self.scores.insert(member.clone(), score);
                self.place(member, score);
                Inserted::Added
            }
        }
    }

    /// Takes a member away. Returns the score it had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let (member, score) = self.scores.swap_remove_entry(member)?;
        self.unplace(&member, score);
        Some(score)
    }

    /// Takes away the members at these positions. Returns them in order.
    pub fn remove_range(&mut self, positions: Range<usize>) -> Vec<(Bytes, f64)> {
        let removed: Vec<_> = self.range(positions).map(|(member, score)| (member.clone(), score)).collect();
        for (member, _) in &removed {
            self.remove(member);
        }
        removed
    }

    /// How many members come before this one.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = self.score(member)?;
        Some(self.position(|other, other_score| compare((other_score, other), (score, member)).is_lt()))
    }

    /// How many members come first for which `is_before` holds; it holds for no member after one for which it
    /// does not.
    pub fn position(&self, is_before: impl Fn(&[u8], f64) -> bool) -> usize {
        let is_before = |scored: &Scored| is_before(&scored.member, scored.score);
        let chunk = self.chunks.partition_point(|chunk| chunk.last().is_some_and(&is_before));
        let skipped: usize = self.chunks[..chunk].iter().map(Vec::len).sum();
        skipped + self.chunks.get(chunk).map_or(0, |chunk| chunk.partition_point(is_before))
    }

    /// The positions of the members that are not before the range and not after it.
    pub fn positions(
        &self,
        is_before: impl Fn(&[u8], f64) -> bool,
        is_after: impl Fn(&[u8], f64) -> bool,
    ) -> Range<usize> {
        let start = self.position(is_before);
        let end = self.position(|member, score| !is_after(member, score));
        start..end.max(start)
    }

    /// The members at these positions, in order.
    pub fn range(&self, positions: Range<usize>) -> impl DoubleEndedIterator<Item = (&Bytes, f64)> {
        let end = positions.end.min(self.len());
        let start = positions.start.min(end);
        let (first, first_offset) = self.locate(start);
        let (last, last_offset) = self.locate(end);
        let chunks = first..self.chunks.len().min(last + 1);
        chunks
            .flat_map(move |index| {
                let chunk = &self.chunks[index];
                let from = if index == first { first_offset } else { 0 };
                let to = if index == last { last_offset } else { chunk.len() };
                chunk[from..to].iter()
            })
            .map(|scored| (&scored.member, scored.score))
    }

    /// All members in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Bytes, f64)> {
        self.range(0..self.len())
    }

    /// The member at a place that no removal moves further back, for scans: see `commands::scan`.
    pub fn at_slot(&self, slot: usize) -> Option<(&Bytes, f64)> {
        self.scores.get_index(slot).map(|(member, score)| (member, *score))
    }

    /// The chunk of a position and the offset in it; one past the last chunk for the position past the end.
    fn locate(&self, position: usize) -> (usize, usize) {
        let mut rest = position;
        for (index, chunk) in self.chunks.iter().enumerate() {
            if rest < chunk.len() {
                return (index, rest);
            }
            rest -= chunk.len();
        }
        (self.chunks.len(), 0)
    }

    /// Where a member is or would be: the chunk and the offset in it.
    fn seek(&self, member: &[u8], score: f64) -> (usize, usize) {
        let is_before = |scored: &Scored| compare((scored.score, &scored.member), (score, member)).is_lt();
        let chunk = self.chunks.partition_point(|chunk| chunk.last().is_some_and(is_before));
        (chunk, self.chunks.get(chunk).map_or(0, |chunk| chunk.partition_point(is_before)))
    }

    fn place(&mut self, member: Bytes, score: f64) {
        let (mut index, mut offset) = self.seek(&member, score);
        if index == self.chunks.len() {
            // After all others: at the end of the last chunk.
            match self.chunks.last() {
                Some(last) => (index, offset) = (index - 1, last.len()),
                None => self.chunks.push(Vec::new()),
            }
        }
        let chunk = &mut self.chunks[index];
        chunk.insert(offset, Scored { score, member });
        if chunk.len() == CHUNK_MAX {
            let upper = chunk.split_off(CHUNK_MAX / 2);
            self.chunks.insert(index + 1, upper);
        }
    }

    fn unplace(&mut self, member: &[u8], score: f64) {
        let (index, offset) = self.seek(member, score);
        let chunk = &mut self.chunks[index];
        debug_assert_eq!(chunk[offset].member, member);
        chunk.remove(offset);
        if chunk.is_empty() {
            self.chunks.remove(index);
        }
    }
}

impl FromIterator<(Bytes, f64)> for SortedSet {
    fn from_iter<I: IntoIterator<Item = (Bytes, f64)>>(members: I) -> Self {
        let mut zset = Self::default();
        for (member, score) in members {
            zset.insert(&member, score);
        }
        zset
    }
}

/// By score, then by bytes.
fn compare(a: (f64, &[u8]), b: (f64, &[u8])) -> Ordering {
    a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(b.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// The obvious sorted set: one vector, sorted whenever it is looked at.
    fn sorted(model: &IndexMap<Bytes, f64, FixedState>) -> Vec<(Bytes, f64)> {
        let mut all: Vec<_> = model.iter().map(|(m, s)| (m.clone(), *s)).collect();
        all.sort_by(|a, b| compare((a.1, &a.0), (b.1, &b.0)));
        all
    }

    #[test]
    fn it_stays_sorted_and_ranked_through_random_changes() {
        let mut random = Random::new(1);
        let mut zset = SortedSet::default();
        let mut model = IndexMap::<Bytes, f64, FixedState>::default();
        for step in 0..20_000 {
            let member = Bytes::from(format!("m{}", random.below(1_500)));
            if random.below(3) == 0 {
                assert_eq!(zset.remove(&member), model.swap_remove(&member));
            } else {
                let score = random.below(50) as f64;
                zset.insert(&member, score);
                model.insert(member, score);
            }
            if step % 1_000 == 0 {
                let expected = sorted(&model);
                let actual: Vec<_> = zset.iter().map(|(m, s)| (m.clone(), s)).collect();
                assert_eq!(actual, expected);
                for (rank, (member, _)) in expected.iter().enumerate() {
                    assert_eq!(zset.rank(member), Some(rank));
                }
                let reversed: Vec<_> = zset.range(3..700).rev().map(|(m, _)| m.clone()).collect();
                let wanted: Vec<_> =
                    expected.iter().take(700).skip(3).rev().map(|(m, _)| m.clone()).collect();
                assert_eq!(reversed, wanted);
            }
        }
    }

    #[test]
    fn equal_scores_sort_bytewise() {
        let zset: SortedSet =
            ["ab", "b", "", "B", "\u{ff}", "a"].map(|m| (Bytes::from(m), 1.0)).into_iter().collect();
        let order: Vec<_> = zset.iter().map(|(m, _)| m.clone()).collect();
        assert_eq!(order, ["", "B", "a", "ab", "b", "\u{ff}"]);
    }

    #[test]
    fn ranges_by_score_are_positions() {
        let zset: SortedSet =
            (0..1_000).map(|n| (Bytes::from(format!("{n:04}")), f64::from(n / 10))).collect();
        let positions = zset.positions(|_, score| score < 20.0, |_, score| score > 29.0);
        assert_eq!(positions, 200..300);
        assert!(zset.positions(|_, score| score < 9.5, |_, score| score > 9.4).is_empty());
        assert_eq!(zset.range(5_000..9_000).count(), 0);
    }
}
