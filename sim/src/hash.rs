//! A 128-bit hash that is the same in every process: for states of which there are millions, not against adversaries.
//!
//! Two lanes of folded 64-bit multiplications, as in wyhash. Among n states two have the same hash with a chance of about
//! n² / 2¹²⁹: for ten million states, 10⁻²⁵.

use std::hash::Hasher;

const KEYS: [u64; 4] =
    [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3, 0x5899_65cc_7537_4cc3];

/// Takes bytes and numbers in, and gives a hash of 128 bits.
///
/// ```
/// use std::hash::{Hash, Hasher};
/// use valkey_sim::hash::Hash128;
///
/// let hash = |what: &str| {
///     let mut hash = Hash128::default();
///     what.hash(&mut hash);
///     hash.finish128()
/// };
/// assert_eq!(hash("a lease"), hash("a lease"));
/// assert_ne!(hash("a lease"), hash("a grant"));
/// ```
#[derive(Clone, Debug)]
pub struct Hash128 {
    lanes: [u64; 2],
}

impl Default for Hash128 {
    fn default() -> Self {
        Self { lanes: [KEYS[2], KEYS[3]] }
    }
}

impl Hash128 {
    /// Takes two words in.
    #[inline]
    pub fn words(&mut self, one: u64, other: u64) {
        let [a, b] = self.lanes;
        self.lanes = [fold(one ^ KEYS[0], other ^ a), fold(other ^ KEYS[1], one ^ b.rotate_left(32))];
    }

    /// Takes another hash in.
    #[inline]
    pub fn key(&mut self, key: u128) {
        self.words((key >> 64) as u64, key as u64);
    }

    /// Takes bytes in, and how many there are.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(16);
        for chunk in &mut chunks {
            let (low, high) = chunk.split_at(8);
            self.words(word(low), word(high));
        }
        let rest = chunks.remainder();
        let (low, high) = rest.split_at(rest.len().min(8));
        // The length tells what is padded.
        self.words(word(low), word(high) ^ (bytes.len() as u64).rotate_left(56));
    }

    /// The hash.
    #[inline]
    pub fn finish128(&self) -> u128 {
        let mut last = self.clone();
        last.words(KEYS[2], KEYS[3]);
        (u128::from(last.lanes[0]) << 64) | u128::from(last.lanes[1])
    }
}

impl Hasher for Hash128 {
    fn write(&mut self, bytes: &[u8]) {
        self.bytes(bytes);
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        // Not with the key that the second lane begins with: that would leave nothing of it.
        self.words(number, KEYS[2]);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.finish128() as u64
    }
}

/// Up to eight bytes as a number.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

#[inline]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn hash(parts: &[&[u8]]) -> u128 {
        let mut hash = Hash128::default();
        parts.iter().for_each(|part| hash.bytes(part));
        hash.finish128()
    }

    #[test]
    fn what_differs_in_a_bit_a_length_or_a_border_has_another_hash() {
        let mut seen = BTreeSet::new();
        for length in 0..70 {
            let text = vec![0_u8; length];
            assert!(seen.insert(hash(&[&text])), "{length} zeros");
            for bit in 0..length * 8 {
                let mut other = text.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(seen.insert(hash(&[&other])), "{length} zeros but for bit {bit}");
            }
        }
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"ab"]), hash(&[b"ab", b""]));
    }

    #[test]
    fn each_half_tells_what_came_before_a_number_and_the_number() {
        let mut seen = [BTreeSet::new(), BTreeSet::new()];
        for (text, number) in (0..50_u64).flat_map(|text| (0..50_u64).map(move |number| (text, number))) {
            let mut hash = Hash128::default();
            hash.bytes(&text.to_le_bytes());
            hash.write_u64(number);
            hash.write_u8(1);
            let hash = hash.finish128();
            let halves = seen.iter_mut().zip([hash as u64, (hash >> 64) as u64]);
            halves.for_each(|(seen, half)| assert!(seen.insert(half), "{text} and {number}"));
        }
    }

    #[test]
    fn it_is_the_same_in_every_process() {
        assert_eq!(hash(&[b"grant", b"lease"]), 0xf2d6_540a_30a1_9fe2_a73f_1ddf_d9b8_71e7);
    }
}
