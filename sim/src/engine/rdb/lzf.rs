//! LZF: how a server compresses what is longer than 20 bytes.
//!
//! A compressed text is a sequence of runs: `000LLLLL` and L + 1 bytes as they are; `LLLooooo oooooooo`: L + 2 bytes from o + 1
//! bytes ago; `111ooooo LLLLLLLL oooooooo`: L + 9 of them. Any choice of runs can be read; that a real server makes the same
//! choice needs its hash of three bytes and its way of looking for matches.

/// Slots of the table of places, by a hash of the three bytes there.
const SLOTS: usize = 1 << 16;
const LONGEST_LITERAL: usize = 1 << 5;
const FARTHEST: usize = 1 << 13;
const LONGEST_MATCH: usize = (1 << 8) + (1 << 3);

/// Compresses; `None` where that does not save four bytes.
pub fn compress(input: &[u8]) -> Option<Vec<u8>> {
    let mut out = Output { bytes: Vec::new(), literals: 0, limit: input.len().checked_sub(4)? };
    if out.limit == 0 {
        return None;
    }
    out.begin_run();
    let mut places = vec![0_usize; SLOTS];
    let slot = |at: usize| {
        let hash = u32::from_be_bytes([0, input[at], input[at + 1], input[at + 2]]);
        (hash >> 8).wrapping_sub(hash.wrapping_mul(5)) as usize & (SLOTS - 1)
    };
    let (mut at, searched) = (0, input.len() - 2);
    while at < searched {
        // Place 0 stands for none, as it does there.
        let before = std::mem::replace(&mut places[slot(at)], at);
        let distance = at.wrapping_sub(before).wrapping_sub(1);
        if before == 0
            || before >= at
            || distance >= FARTHEST
            || input[before..before + 3] != input[at..at + 3]
        {
            out.literal(input[at])?;
            at += 1;
            continue;
        }
        let length = match_length(input, before, at);
        out.reference(distance, length)?;
        at += length;
        if at >= searched {
            break;
        }
        // Of what was skipped, only the last two places are noted.
        for place in [at - 2, at - 1] {
            places[slot(place)] = place;
        }
    }
    if out.bytes.len() + 3 > out.limit {
        return None;
    }
    for byte in &input[at..] {
        out.push_literal(*byte);
    }
    out.end_run();
    Some(out.bytes)
}

/// How many bytes from two places on are the same. The first sixteen are compared without a look at the limit, if there are
/// so many.
fn match_length(input: &[u8], before: usize, at: usize) -> usize {
    let most = (input.len() - at - 2).min(LONGEST_MATCH);
    let same = |length: usize| input[before + length] == input[at + length];
    let mut length = 2;
    if most > 16 {
        for _ in 0..16 {
            length += 1;
            if !same(length) {
                return length;
            }
        }
    }
    loop {
        length += 1;
        if length >= most || !same(length) {
            return length;
        }
    }
}

/// What is written, and the run of literals that it ends with; a byte before that holds its length.
struct Output {
    bytes: Vec<u8>,
    literals: usize,
    limit: usize,
}

impl Output {
    fn begin_run(&mut self) {
        self.literals = 0;
        self.bytes.push(0);
    }

    fn end_run(&mut self) {
        if self.literals == 0 {
            self.bytes.pop();
        } else {
            let length = self.bytes.len() - self.literals - 1;
            self.bytes[length] = (self.literals - 1) as u8;
        }
    }

    fn literal(&mut self, byte: u8) -> Option<()> {
        if self.bytes.len() >= self.limit {
            return None;
        }
        self.push_literal(byte);
        Some(())
    }

    fn push_literal(&mut self, byte: u8) {
        self.bytes.push(byte);
        self.literals += 1;
        if self.literals == LONGEST_LITERAL {
            self.end_run();
            self.begin_run();
        }
    }

    fn reference(&mut self, distance: usize, length: usize) -> Option<()> {
        if self.bytes.len() - usize::from(self.literals == 0) + 4 >= self.limit {
            return None;
        }
        self.end_run();
        let (high, length) = ((distance >> 8) as u8, length - 2);
        if length < 7 {
            self.bytes.push(high | (length as u8) << 5);
        } else {
            self.bytes.extend([high | 7 << 5, (length - 7) as u8]);
        }
        self.bytes.push(distance as u8);
        self.begin_run();
        Some(())
    }
}

/// Reads what was compressed, which must be exactly `length` bytes.
pub fn decompress(input: &[u8], length: usize) -> Option<Vec<u8>> {
    // A run of three bytes makes no more than this: so a length alone costs no memory.
    if length > input.len().saturating_mul(LONGEST_MATCH) {
        return None;
    }
    let mut out = Vec::with_capacity(length);
    let mut rest = input.iter().copied();
    while let Some(control) = rest.next() {
        let control = usize::from(control);
        if control < LONGEST_LITERAL {
            for _ in 0..=control {
                out.push(rest.next()?);
            }
        } else {
            let mut count = control >> 5;
            if count == 7 {
                count += usize::from(rest.next()?);
            }
            let distance = (control & 0x1f) << 8 | usize::from(rest.next()?);
            let from = out.len().checked_sub(distance + 1)?;
            // What is copied may be what was just copied.
            for place in from..from + count + 2 {
                out.push(out[place]);
            }
        }
        if out.len() > length {
            return None;
        }
    }
    (out.len() == length).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn what_is_compressed_is_read_back() {
        let mut random = Random::new(7);
        for round in 0..2_000 {
            let (length, letters) = (random.below(600) as usize + 5, random.below(5) + 1);
            let text: Vec<u8> = (0..length).map(|_| b'a' + random.below(letters) as u8).collect();
            if let Some(compressed) = compress(&text) {
                assert!(compressed.len() <= length - 4, "round {round}");
                assert_eq!(decompress(&compressed, length), Some(text), "round {round}");
            }
        }
        let long = b"0123456789".repeat(5_000);
        assert_eq!(decompress(&compress(&long).unwrap(), long.len()), Some(long));
    }

    #[test]
    fn what_is_no_compressed_text_is_refused() {
        assert_eq!(decompress(&[0x20, 0], 3), None, "a reference before the beginning");
        assert_eq!(decompress(&[5, b'a'], 6), None, "too few literals");
        assert_eq!(decompress(&[0, b'a'], 2), None, "another length");
        assert_eq!(decompress(&[0, b'a'], usize::MAX), None, "a length alone");
    }
}
