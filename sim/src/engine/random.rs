//! The engine's only source of randomness: a small generator with a seed, part of every snapshot.

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, and good enough for picking members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator that draws the same numbers whenever it starts from the same seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// `count` different numbers below `bound`, in the order in which they were drawn; all of them if there are
    /// no more than that.
    pub fn distinct_below(&mut self, count: usize, bound: usize) -> Vec<usize> {
        let mut indexes: Vec<usize> = (0..bound).collect();
        let count = count.min(bound);
        for drawn in 0..count {
            let pick = drawn + self.below(bound - drawn);
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
    fn a_seed_fixes_what_is_drawn() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..8).map(|_| random.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn distinct_numbers_are_distinct_and_below_the_bound() {
        let mut drawn = Random::new(1).distinct_below(50, 60);
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 50);
        assert!(drawn.iter().all(|&n| n < 60));
        assert_eq!(Random::new(1).distinct_below(9, 3).len(), 3);
        assert_eq!(Random::new(1).below(0), 0);
    }
}
