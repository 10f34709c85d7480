//! A seeded source of randomness: splitmix64, eight bytes of state.
//!
//! Whatever in the simulated world is left to chance is drawn from one of these, each owned by the thing that
//! draws, so that one more draw here does not move the dice there.

/// A generator: the same seed gives the same numbers, on every machine.
///
/// ```
/// use valkey_sim::random::Random;
/// let (mut one, mut other) = (Random::new(7), Random::new(7));
/// assert_eq!(one.next_u64(), other.next_u64());
/// assert!(one.below(10) < 10);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Random(u64);

impl Random {
    /// A generator that starts from `seed`. Neighbouring seeds give unrelated numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`; 0 if the bound is 0. The bias is below `bound / 2^64`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A place in something of this length; 0 if it is empty.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// `count` different places in something of this length, in the order in which they were drawn; all of them if
    /// there are no more than that.
    pub fn indexes(&mut self, count: usize, len: usize) -> Vec<usize> {
        let mut indexes: Vec<usize> = (0..len).collect();
        let count = count.min(len);
        for drawn in 0..count {
            let pick = drawn + self.index(len - drawn);
            indexes.swap(drawn, pick);
        }
        indexes.truncate(count);
        indexes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_reference_implementation() {
        // splitmix64.c (Vigna), seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn drawn_places_are_distinct_and_within_bounds() {
        let mut drawn = Random::new(1).indexes(50, 60);
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 50);
        assert!(drawn.iter().all(|&n| n < 60));
        assert_eq!(Random::new(1).indexes(9, 3).len(), 3);
    }

    #[test]
    fn below_stays_below_and_reaches_every_number() {
        let mut random = Random::new(1);
        let mut seen = [false; 6];
        (0..200).for_each(|_| seen[random.below(6) as usize] = true);
        assert_eq!(seen, [true; 6]);
        assert_eq!(random.below(0), 0);
    }
}
