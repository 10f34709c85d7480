//! Replies on a client's side: bytes to [`Reply`].

use bytes::{Buf, Bytes, BytesMut};

use super::line;
use crate::base::{Reply, number};

/// How deep replies may nest.
const MAX_DEPTH: usize = 1_024;
/// How long a line may be.
const MAX_LINE: usize = 1024 * 1024;
/// How long a bulk string may be: `proto-max-bulk-len`.
const MAX_BULK: i64 = 512 * 1024 * 1024;
/// Room that is made for items before they have arrived: a length alone must not cost memory.
const MAX_RESERVED: usize = 1_024;

/// What is wrong with a server's bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No reply begins so.
    #[error("a reply cannot begin with byte {0:#04x}")]
    Kind(u8),
    /// A length or number is none.
    #[error("not a {what}: {text:?}")]
    Number {
        /// What was expected.
        what: &'static str,
        /// What was found.
        text: String,
    },
    /// A bulk string does not end where its length says.
    #[error("a bulk string is not followed by a line break")]
    Unterminated,
    /// More nesting, or a longer line, than any server sends.
    #[error("a reply exceeds the limit on {0}")]
    Limit(&'static str),
}

/// Cuts a stream of bytes into replies of either protocol. What has been read of an unfinished reply is kept, so every
/// byte is looked at once.
///
/// ```
/// use {bytes::BytesMut, valkey_sim::{engine::Reply, resp::ReplyDecoder}};
/// let mut decoder = ReplyDecoder::default();
/// let mut buffer = BytesMut::from(&b"*2\r\n:1\r\n$2\r\nh"[..]);
/// assert_eq!(decoder.next(&mut buffer), Ok(None));
/// buffer.extend_from_slice(b"i\r\n");
/// assert_eq!(decoder.next(&mut buffer), Ok(Some(Reply::Array(vec![Reply::Int(1), Reply::bulk("hi")]))));
/// ```
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    /// The aggregates that are open, outermost first.
    open: Vec<Aggregate>,
}

#[derive(Debug)]
struct Aggregate {
    kind: u8,
    missing: usize,
    items: Vec<Reply>,
}

/// What one line, or a bulk string, turned out to be.
enum Token {
    Reply(Reply),
    Open(Aggregate),
}

impl ReplyDecoder {
    /// Takes the next whole reply off the buffer; `None` when more bytes are needed. Attributes are passed over.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Reply>, DecodeError> {
        while let Some(token) = token(buffer)? {
            let complete = match token {
                Token::Reply(reply) => self.add(reply),
                Token::Open(aggregate) if aggregate.missing == 0 => self.close(aggregate),
                Token::Open(_) if self.open.len() == MAX_DEPTH => return Err(DecodeError::Limit("nesting")),
                Token::Open(aggregate) => {
                    self.open.push(aggregate);
                    None
                }
            };
            if complete.is_some() {
                return Ok(complete);
            }
        }
        Ok(None)
    }

    /// Puts a finished reply into the aggregate that waits for it; returns what is complete by that at the top.
    fn add(&mut self, mut reply: Reply) -> Option<Reply> {
        while let Some(mut parent) = self.open.pop() {
            parent.items.push(reply);
            parent.missing -= 1;
            if parent.missing > 0 {
                self.open.push(parent);
                return None;
            }
            reply = parent.finish()?;
        }
        Some(reply)
    }

    fn close(&mut self, aggregate: Aggregate) -> Option<Reply> {
        let reply = aggregate.finish()?;
        self.add(reply)
    }
}

impl Aggregate {
    /// The reply that the items make; an attribute makes none.
    fn finish(self) -> Option<Reply> {
        match self.kind {
            b'|' => None,
            b'~' => Some(Reply::Set(self.items)),
            b'>' => Some(Reply::Push(self.items)),
            b'%' => Some(Reply::Map(pairs(self.items))),
            _ => Some(Reply::Array(self.items)),
        }
    }
}

fn pairs(items: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut items = items.into_iter();
    let mut pairs = Vec::with_capacity(items.len() / 2);
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    pairs
}

/// Takes the next line, and the bulk string that it announces, off the buffer.
fn token(buffer: &mut BytesMut) -> Result<Option<Token>, DecodeError> {
    let Some((text, next)) = line(buffer, 0) else {
        return if buffer.len() > MAX_LINE { Err(DecodeError::Limit("line length")) } else { Ok(None) };
    };
    let Some((kind, text)) = text.split_first() else { return Err(DecodeError::Kind(b'\r')) };
    if matches!(kind, b'$' | b'=' | b'!') {
        return bulk(buffer);
    }
    let token = match kind {
        b'+' => Token::Reply(status(text)),
        b'-' => Token::Reply(Reply::Error(lossy(text).into())),
        b':' => Token::Reply(Reply::Int(integer(text)?)),
        b'_' => Token::Reply(Reply::Null),
        b',' => Token::Reply(Reply::Double(double(text)?)),
        b'#' => Token::Reply(Reply::Bool(text == b"t")),
        b'(' => Token::Reply(Reply::BigNumber(lossy(text))),
        b'*' | b'~' | b'>' | b'%' | b'|' => aggregate(*kind, integer(text)?)?,
        other => return Err(DecodeError::Kind(*other)),
    };
    buffer.advance(next);
    Ok(Some(token))
}

fn aggregate(kind: u8, len: i64) -> Result<Token, DecodeError> {
    if kind == b'*' && len == -1 {
        return Ok(Token::Reply(Reply::NullArray));
    }
    let per_item = if matches!(kind, b'%' | b'|') { 2 } else { 1 };
    let missing = u32::try_from(len).map_err(|_| not_a("length", len.to_string().as_bytes()))?;
    let missing = missing as usize * per_item;
    Ok(Token::Open(Aggregate { kind, missing, items: Vec::with_capacity(missing.min(MAX_RESERVED)) }))
}

/// A bulk string, a verbatim text or a bulk error.
fn bulk(buffer: &mut BytesMut) -> Result<Option<Token>, DecodeError> {
    let Some((text, start)) = line(buffer, 0) else { return Ok(None) };
    let kind = text[0];
    let len = integer(&text[1..])?;
    if kind == b'$' && len == -1 {
        buffer.advance(start);
        return Ok(Some(Token::Reply(Reply::Null)));
    }
    if !(0..=MAX_BULK).contains(&len) {
        return Err(DecodeError::Limit("bulk length"));
    }
    let end = start + len as usize;
    if buffer.len() < end + 2 {
        return Ok(None);
    }
    if &buffer[end..end + 2] != b"\r\n" {
        return Err(DecodeError::Unterminated);
    }
    let bytes = &buffer[start..end];
    let reply = match (kind, bytes) {
        (b'!', _) => Reply::Error(lossy(bytes).into()),
        (b'=', [a, b, c, b':', text @ ..]) => Reply::Verbatim([*a, *b, *c], Bytes::copy_from_slice(text)),
        (b'=', _) => return Err(not_a("verbatim text", bytes)),
        _ => Reply::bulk(bytes),
    };
    buffer.advance(end + 2);
    Ok(Some(Token::Reply(reply)))
}

fn status(text: &[u8]) -> Reply {
    if text == b"OK" { Reply::OK } else { Reply::Status(lossy(text).into()) }
}

fn integer(text: &[u8]) -> Result<i64, DecodeError> {
    number::parse_i64(text).map_err(|_| not_a("integer", text))
}

fn double(text: &[u8]) -> Result<f64, DecodeError> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(|| not_a("double", text))
}

fn not_a(what: &'static str, text: &[u8]) -> DecodeError {
    DecodeError::Number { what, text: lossy(text).chars().take(64).collect() }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Dialect, Protocol};
    use crate::resp::encode;
    use proptest::prelude::*;

    fn replies(bytes: &[u8], step: usize) -> Result<Vec<Reply>, DecodeError> {
        let (mut decoder, mut buffer, mut all) = (ReplyDecoder::default(), BytesMut::new(), Vec::new());
        for chunk in bytes.chunks(step) {
            buffer.extend_from_slice(chunk);
            while let Some(reply) = decoder.next(&mut buffer)? {
                all.push(reply);
            }
        }
        Ok(all)
    }

    fn any_reply() -> impl Strategy<Value = Reply> {
        let leaf = prop_oneof![
            "[ -~]{0,12}".prop_map(|text| Reply::Status(text.into())),
            "ERR [ -~]{0,12}".prop_map(|text| Reply::Error(text.into())),
            any::<i64>().prop_map(Reply::Int),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Reply::bulk),
            Just(Reply::Null),
            (-1e9..1e9).prop_map(Reply::Double),
            any::<bool>().prop_map(Reply::Bool),
            "-?[1-9][0-9]{0,30}".prop_map(Reply::BigNumber),
            "[ -~]{0,12}".prop_map(|text| Reply::Verbatim(*b"txt", text.into())),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Reply::Array),
                prop::collection::vec(inner.clone(), 0..5).prop_map(Reply::Set),
                prop::collection::vec(inner.clone(), 0..5).prop_map(Reply::Push),
                prop::collection::vec((inner.clone(), inner), 0..5).prop_map(Reply::Map),
            ]
        })
    }

    #[test]
    fn attributes_are_passed_over_and_nesting_is_bounded() {
        assert_eq!(
            replies(b"|1\r\n+ttl\r\n:3\r\n:7\r\n|0\r\n_\r\n", 1),
            Ok(vec![Reply::Int(7), Reply::Null])
        );
        assert_eq!(replies(&b"*1\r\n".repeat(2_000), 999), Err(DecodeError::Limit("nesting")));
    }

    proptest! {
        #[test]
        fn resp3_replies_come_back_as_they_were(
            sent in prop::collection::vec(any_reply(), 1..4), step in 1usize..30,
        ) {
            let mut bytes = Vec::new();
            for reply in &sent {
                encode(reply, Protocol::Resp3, Dialect::Valkey8, &mut bytes);
            }
            prop_assert_eq!(replies(&bytes, step), Ok(sent));
        }

        #[test]
        fn a_resp2_reply_encodes_to_what_it_was_decoded_from(sent in any_reply(), step in 1usize..30) {
            let (mut bytes, mut again) = (Vec::new(), Vec::new());
            encode(&sent, Protocol::Resp2, Dialect::Valkey8, &mut bytes);
            for reply in replies(&bytes, step).unwrap() {
                encode(&reply, Protocol::Resp2, Dialect::Valkey8, &mut again);
            }
            prop_assert_eq!(bytes, again);
        }

        #[test]
        fn no_bytes_make_it_panic(
            bytes in prop::collection::vec(prop_oneof![
                3 => prop::sample::select(b"*$%~>|_#,(=!+-:\r\n0123t".to_vec()),
                1 => any::<u8>(),
            ], 0..200),
            step in 1usize..20,
        ) {
            let _ = replies(&bytes, step);
        }
    }
}
