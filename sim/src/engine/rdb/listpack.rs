//! Listpacks, and ziplists, which they replaced: small collections as one piece of memory.
//!
//! A listpack is its size in 4 bytes, the number of its elements in 2, the elements, and `0xff`. An element is an integer or a
//! text, led by what it is and followed by how long it is, so that it can be read from both ends.

use bytes::Bytes;

use crate::base::number::read_i64;

/// The end of either.
const END: u8 = 0xff;
/// As many elements as this and more are not counted in the header.
const UNCOUNTED: usize = 0xffff;

/// A listpack that is being written.
pub struct Writer {
    elements: Vec<u8>,
    count: usize,
}

impl Writer {
    pub fn new() -> Self {
        Self { elements: Vec::new(), count: 0 }
    }

    /// How large it is: header, elements and end.
    pub fn len(&self) -> usize {
        6 + self.elements.len() + 1
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Appends a text, or the integer that it is.
    pub fn text(&mut self, text: &[u8]) {
        if let Some(value) = read_i64(text) {
            return self.integer(value);
        }
        let start = self.elements.len();
        let len = text.len();
        match len {
            0..=63 => self.elements.push(0x80 | len as u8),
            64..=4_095 => self.elements.extend([0xe0 | (len >> 8) as u8, len as u8]),
            _ => {
                self.elements.push(0xf0);
                self.elements.extend((len as u32).to_le_bytes());
            }
        }
        self.elements.extend(text);
        self.end(start);
    }

    pub fn integer(&mut self, value: i64) {
        let start = self.elements.len();
        let bytes = value.to_le_bytes();
        match value {
            0..=127 => self.elements.push(value as u8),
            -4_096..=4_095 => self.elements.extend([0xc0 | (value >> 8) as u8 & 0x1f, value as u8]),
            -32_768..=32_767 => self.led(0xf1, &bytes[..2]),
            -8_388_608..=8_388_607 => self.led(0xf2, &bytes[..3]),
            -2_147_483_648..=2_147_483_647 => self.led(0xf3, &bytes[..4]),
            _ => self.led(0xf4, &bytes),
        }
        self.end(start);
    }

    fn led(&mut self, by: u8, bytes: &[u8]) {
        self.elements.push(by);
        self.elements.extend(bytes);
    }

    /// Appends the length of the element that began at `start`, seven bits a byte, to be read backwards.
    fn end(&mut self, start: usize) {
        let len = self.elements.len() - start;
        let digits = back_length_size(len);
        for digit in (0..digits).rev() {
            let more = if digit + 1 == digits { 0 } else { 0x80 };
            self.elements.push((len >> (7 * digit)) as u8 & 0x7f | more);
        }
        self.count += 1;
    }

    pub fn finish(self) -> Vec<u8> {
        let mut bytes = (self.len() as u32).to_le_bytes().to_vec();
        bytes.extend((self.count.min(UNCOUNTED) as u16).to_le_bytes());
        bytes.extend(self.elements);
        bytes.push(END);
        bytes
    }
}

fn back_length_size(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// The elements of a listpack; `None` if it is none.
pub fn read(bytes: &[u8]) -> Option<Vec<Bytes>> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let (count, mut rest) = rest.split_first_chunk::<2>()?;
    if u32::from_le_bytes(*size) as usize != bytes.len() {
        return None;
    }
    let mut elements = Vec::new();
    while *rest.first()? != END {
        let (element, size) = element(rest)?;
        elements.push(element);
        rest = rest.get(size + back_length_size(size)..)?;
    }
    let count = usize::from(u16::from_le_bytes(*count));
    (rest.len() == 1 && (count == UNCOUNTED || count == elements.len())).then_some(elements)
}

/// The first element, and how many bytes it takes without its length at the end.
fn element(bytes: &[u8]) -> Option<(Bytes, usize)> {
    let first = *bytes.first()?;
    let text = |head, len| text(bytes, head, len);
    let integer = |width| integer(bytes, width);
    match first {
        0..=0x7f => Some((decimal(i64::from(first)), 1)),
        0x80..=0xbf => text(1, usize::from(first & 0x3f)),
        0xc0..=0xdf => {
            let value = i64::from(first & 0x1f) << 8 | i64::from(*bytes.get(1)?);
            Some((decimal(if value >= 1 << 12 { value - (1 << 13) } else { value }), 2))
        }
        0xe0..=0xef => text(2, usize::from(first & 0x0f) << 8 | usize::from(*bytes.get(1)?)),
        0xf0 => text(5, u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?) as usize),
        0xf1 => integer(2),
        0xf2 => integer(3),
        0xf3 => integer(4),
        0xf4 => integer(8),
        _ => None,
    }
}

/// The elements of a ziplist; `None` if it is none.
pub fn read_ziplist(bytes: &[u8]) -> Option<Vec<Bytes>> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let mut rest = rest.get(6..)?;
    if u32::from_le_bytes(*size) as usize != bytes.len() {
        return None;
    }
    let mut elements = Vec::new();
    while *rest.first()? != END {
        // How long the element before is.
        rest = rest.get(if rest[0] == 0xfe { 5 } else { 1 }..)?;
        let (element, size) = ziplist_element(rest)?;
        elements.push(element);
        rest = rest.get(size..)?;
    }
    (rest.len() == 1).then_some(elements)
}

fn ziplist_element(bytes: &[u8]) -> Option<(Bytes, usize)> {
    let first = *bytes.first()?;
    let text = |head, len| text(bytes, head, len);
    let integer = |width| integer(bytes, width);
    match first {
        0..=0x3f => text(1, usize::from(first)),
        0x40..=0x7f => text(2, usize::from(first & 0x3f) << 8 | usize::from(*bytes.get(1)?)),
        0x80..=0xbf => text(5, u32::from_be_bytes(bytes.get(1..5)?.try_into().ok()?) as usize),
        0xc0 => integer(2),
        0xd0 => integer(4),
        0xe0 => integer(8),
        0xf0 => integer(3),
        0xfe => integer(1),
        0xf1..=0xfd => Some((decimal(i64::from(first & 0x0f) - 1), 1)),
        _ => None,
    }
}

/// The text of an element with a head of so many bytes, and how many bytes both take.
fn text(bytes: &[u8], head: usize, len: usize) -> Option<(Bytes, usize)> {
    let text = bytes.get(head..head.checked_add(len)?)?;
    Some((Bytes::copy_from_slice(text), head + len))
}

/// The integer of so many bytes after the first, and how many bytes both take.
fn integer(bytes: &[u8], width: usize) -> Option<(Bytes, usize)> {
    Some((decimal(signed(bytes.get(1..=width)?)), 1 + width))
}

fn decimal(value: i64) -> Bytes {
    value.to_string().into()
}

/// An integer of up to eight bytes, the lowest first.
pub fn signed(bytes: &[u8]) -> i64 {
    let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut whole = [fill; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_every_kind_are_read_back() {
        let mut texts: Vec<Bytes> =
            [0, 1, 63, 64, 4_095, 4_096, 20_000].map(|len| "x".repeat(len).into()).into();
        for power in 0..64 {
            for value in [1_i64.wrapping_shl(power), (1_i64.wrapping_shl(power)).wrapping_neg()] {
                texts.extend([value.wrapping_sub(1), value, value.wrapping_add(1)].map(decimal));
            }
        }
        let mut writer = Writer::new();
        texts.iter().for_each(|text| writer.text(text));
        let len = writer.len();
        let bytes = writer.finish();
        assert_eq!(bytes.len(), len);
        assert_eq!(read(&bytes), Some(texts));
        assert_eq!(read(&bytes[..len - 1]), None);
    }
}
