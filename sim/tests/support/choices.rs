//! Choices out of a string of bytes: generators draw from it, and proptest shrinks it.
//!
//! Zero is always the first of the choices, and an exhausted string yields zeros: so put the plainest choice first, and
//! a failure shrinks towards it.

/// Bytes to draw choices from.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        let byte = self.bytes.split_off_first().copied().unwrap_or_default();
        usize::from(byte) % bound.max(1)
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// One of these.
    pub fn of<T: Clone>(&mut self, options: &[T]) -> T {
        options[self.below(options.len())].clone()
    }

    /// One of these words.
    pub fn word(&mut self, words: &str) -> String {
        let words: Vec<&str> = words.split(' ').collect();
        self.of(&words).to_owned()
    }
}
