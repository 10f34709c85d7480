//! Requests: arrays of bulk strings, or a line of words.

use std::ops::Range;

use bytes::{Buf, BytesMut};

use super::line;
use crate::base::{ErrorReply, RequestLimits, number};

/// How long an inline command, or the line that carries a length, may be.
const MAX_LINE: usize = 64 * 1024;

/// From here on the memory of a request is not kept for the next.
const LARGE_REQUEST: usize = 1 << 20;

/// What is wrong with a client's bytes. The connection is closed after telling it so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The client is told: `ERR Protocol error: …`.
    #[error("{0}")]
    Malformed(ErrorReply),
    /// The request is larger than a server buffers; the client is told nothing.
    #[error("the request is larger than client-query-buffer-limit")]
    TooLarge,
}

impl From<&'static str> for ProtocolError {
    fn from(text: &'static str) -> Self {
        ProtocolError::Malformed(ErrorReply::new(text))
    }
}

/// Cuts a stream of bytes into requests, looking at every byte once however they arrive.
///
/// ```
/// use valkey_sim::resp::RequestDecoder;
/// let mut decoder = RequestDecoder::default();
/// decoder.buffer().extend_from_slice(b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nPING\r\n*1\r\n");
/// assert_eq!(decoder.next().unwrap(), Some(vec![&b"ECHO"[..], b"hi"]));
/// assert_eq!(decoder.next().unwrap(), Some(vec![&b"PING"[..]]));
/// assert_eq!(decoder.next().unwrap(), None);
/// ```
#[derive(Debug, Default)]
pub struct RequestDecoder {
    buffer: BytesMut,
    limits: RequestLimits,
    /// Where the arguments of the request at the head of `buffer` are, as far as they have been seen.
    args: Vec<Range<usize>>,
    /// The words of an inline command, end to end: what quotes and escapes leave is not in `buffer`.
    words: Vec<u8>,
    /// How far into `buffer` the current request has been read.
    at: usize,
    /// Arguments of the current array still to come.
    missing: usize,
    /// The length of the argument that comes next, once it is known.
    bulk_len: Option<usize>,
    /// The request at the head was handed out.
    done: bool,
}

impl RequestDecoder {
    /// Changes what is taken from here on.
    pub fn limit(&mut self, limits: RequestLimits) {
        self.limits = limits;
    }

    /// Where to append what arrives.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole request; `None` when more bytes are needed. Empty requests are passed over.
    #[allow(clippy::should_implement_trait)] // What it lends lives in the decoder: no iterator can.
    pub fn next(&mut self) -> Result<Option<Vec<&[u8]>>, ProtocolError> {
        if self.done {
            self.start_over();
        }
        loop {
            let inline = self.missing == 0 && self.buffer.first().is_some_and(|byte| *byte != b'*');
            let complete = if inline { self.read_inline()? } else { self.read_array()? };
            if !complete {
                let too_large = self.buffer.len() > self.limits.request;
                return if too_large { Err(ProtocolError::TooLarge) } else { Ok(None) };
            }
            if self.args.is_empty() {
                self.start_over();
                continue;
            }
            self.done = true;
            let source = if inline { &self.words[..] } else { &self.buffer[..] };
            return Ok(Some(self.args.iter().map(|range| &source[range.clone()]).collect()));
        }
    }

    /// Has the request that was handed out come again.
    pub fn hold(&mut self) {
        self.words.clear();
        self.args.clear();
        self.at = 0;
        self.missing = 0;
        self.bulk_len = None;
        self.done = false;
    }

    /// Forgets the request at the head, and gives back the memory of a large one.
    fn start_over(&mut self) {
        if self.at > LARGE_REQUEST {
            self.buffer = BytesMut::from(&self.buffer[self.at..]);
        } else {
            self.buffer.advance(self.at);
        }
        self.args.clear();
        self.at = 0;
        self.missing = 0;
        self.done = false;
    }

    fn read_array(&mut self) -> Result<bool, ProtocolError> {
        if self.missing == 0 {
            let Some((count, next)) = line(&self.buffer, 0) else {
                return self.wait("ERR Protocol error: too big mbulk count string");
            };
            let count = parse_len(&count[1..])
                .filter(|count| *count <= i64::from(i32::MAX))
                .ok_or("ERR Protocol error: invalid multibulk length")?;
            self.at = next;
            self.missing = count.max(0) as usize;
        }
        while self.missing > 0 {
            let Some(len) = self.next_bulk_len()? else { return Ok(false) };
            if self.buffer.len() - self.at < len + 2 {
                return Ok(false);
            }
            self.args.push(self.at..self.at + len);
            self.at += len + 2;
            self.bulk_len = None;
            self.missing -= 1;
        }
        Ok(true)
    }

    fn next_bulk_len(&mut self) -> Result<Option<usize>, ProtocolError> {
        if let Some(len) = self.bulk_len {
            return Ok(Some(len));
        }
        let Some((text, next)) = line(&self.buffer, self.at) else {
            self.wait("ERR Protocol error: too big bulk count string")?;
            return Ok(None);
        };
        let Some(digits) = text.strip_prefix(b"$") else {
            let found = char::from(*text.first().unwrap_or(&b'\r'));
            let text = format!("ERR Protocol error: expected '$', got '{found}'");
            return Err(ProtocolError::Malformed(text.into()));
        };
        let len = parse_len(digits)
            .and_then(|len| usize::try_from(len).ok())
            .filter(|len| *len <= self.limits.bulk)
            .ok_or("ERR Protocol error: invalid bulk length")?;
        self.at = next;
        self.bulk_len = Some(len);
        Ok(self.bulk_len)
    }

    fn read_inline(&mut self) -> Result<bool, ProtocolError> {
        // A server looks for the end of the line no further than to a zero byte.
        let end = self.buffer.iter().position(|byte| matches!(byte, b'\n' | 0));
        let Some(end) = end.filter(|end| self.buffer[*end] == b'\n') else {
            return self.wait("ERR Protocol error: too big inline request");
        };
        let line = &self.buffer[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.words.clear();
        split_words(line, &mut self.words, &mut self.args)
            .ok_or("ERR Protocol error: unbalanced quotes in request")?;
        self.at = end + 1;
        Ok(true)
    }

    /// Says that the line is not whole yet, unless it is already too long to become one.
    fn wait(&self, too_long: &'static str) -> Result<bool, ProtocolError> {
        if self.buffer.len() - self.at > MAX_LINE { Err(too_long.into()) } else { Ok(false) }
    }
}

fn parse_len(digits: &[u8]) -> Option<i64> {
    number::parse_i64(digits).ok()
}

/// Splits a line into words as `sdssplitargs` does: `"…"` knows escapes, `'…'` only `\'`, and a closing quote must be
/// followed by space. `None` when quotes do not balance.
fn split_words(line: &[u8], words: &mut Vec<u8>, ranges: &mut Vec<Range<usize>>) -> Option<()> {
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(());
        }
        let start = words.len();
        rest = split_word(rest, words)?;
        ranges.push(start..words.len());
    }
}

/// Reads one word into `words` and returns what follows it.
fn split_word<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return Some(rest),
            [byte, ..] if byte.is_ascii_whitespace() => return Some(rest),
            [quote @ (b'"' | b'\''), inside @ ..] => {
                rest = split_quoted(inside, *quote, words)?;
                return rest.first().is_none_or(|byte| byte.is_ascii_whitespace()).then_some(rest);
            }
            [byte, after @ ..] => {
                words.push(*byte);
                rest = after;
            }
        }
    }
}

/// Reads up to the closing quote and returns what follows it.
fn split_quoted<'a>(mut rest: &'a [u8], quote: u8, words: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [] => return None,
            [b'\\', b'x', high, low, after @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), after)
            }
            [b'\\', escaped, after @ ..] if quote == b'"' => (unescape(*escaped), after),
            [b'\\', b'\'', after @ ..] if quote == b'\'' => (b'\'', after),
            [byte, after @ ..] if *byte == quote => return Some(after),
            [byte, after @ ..] => (*byte, after),
        };
        words.push(byte);
        rest = after;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or_default() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All requests in `bytes`, fed `step` bytes at a time, and the error that ended them.
    fn requests(bytes: &[u8], step: usize) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
        let mut decoder = RequestDecoder::default();
        let mut all = Vec::new();
        for chunk in bytes.chunks(step) {
            decoder.buffer().extend_from_slice(chunk);
            loop {
                match decoder.next() {
                    Ok(Some(args)) => all.push(args.into_iter().map(<[u8]>::to_vec).collect()),
                    Ok(None) => break,
                    Err(error) => return (all, Some(error)),
                }
            }
        }
        (all, None)
    }

    fn error(bytes: &[u8]) -> String {
        requests(bytes, usize::MAX).1.map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn malformed_requests_get_the_words_of_a_server() {
        assert_eq!(error(b"*x\r\n"), "ERR Protocol error: invalid multibulk length");
        assert_eq!(error(b"*2147483648\r\n"), "ERR Protocol error: invalid multibulk length");
        assert_eq!(error(b"*1\r\n$-1\r\n"), "ERR Protocol error: invalid bulk length");
        assert_eq!(error(b"*1\r\n$536870913\r\n"), "ERR Protocol error: invalid bulk length");
        assert_eq!(error(b"*1\r\n+OK\r\n"), "ERR Protocol error: expected '$', got '+'");
        assert_eq!(error(b"SET \"a\r\n"), "ERR Protocol error: unbalanced quotes in request");
        assert_eq!(error(b"SET \"a\"b\r\n"), "ERR Protocol error: unbalanced quotes in request");
        let long = vec![b'1'; MAX_LINE + 2];
        assert_eq!(error(&long), "ERR Protocol error: too big inline request");
        assert_eq!(error(&[b"*", &long[..]].concat()), "ERR Protocol error: too big mbulk count string");
        assert_eq!(error(&[b"*1\r\n$", &long[..]].concat()), "ERR Protocol error: too big bulk count string");
    }

    #[test]
    fn inline_commands_know_quotes_and_escapes() {
        let (all, error) =
            requests(b"\r\n*0\r\n*-1\r\nset  k \"a\\x41\\n\\\"\" 'it\\'s \\n' ''\n", usize::MAX);
        assert_eq!(error, None);
        assert_eq!(all, [[&b"set"[..], b"k", b"aA\n\"", b"it's \\n", b""]]);
    }

    proptest! {
        #[test]
        fn requests_survive_any_cutting(
            sent in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5), 0..6),
            step in 1usize..40,
        ) {
            let mut bytes = Vec::new();
            for request in &sent {
                bytes.extend_from_slice(format!("*{}\r\n", request.len()).as_bytes());
                for arg in request {
                    bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
                    bytes.extend_from_slice(arg);
                    bytes.extend_from_slice(b"\r\n");
                }
            }
            prop_assert_eq!(requests(&bytes, step), (sent, None));
        }

        #[test]
        fn no_bytes_make_it_panic(
            bytes in prop::collection::vec(prop_oneof![
                3 => prop::sample::select(b"*$\r\n-0123\"'\\x ".to_vec()),
                1 => any::<u8>(),
            ], 0..200),
            step in 1usize..20,
        ) {
            requests(&bytes, step);
        }
    }
}
