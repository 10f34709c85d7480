//! RESP2 and RESP3: requests in, replies out, and replies in again on a client's side.
//!
//! Written by hand rather than on the `redis-protocol` crate (6.0 was looked at), which cannot serve here: its maps
//! are hash maps, so the order of a map reply is lost and differs from run to run; its decoders start over at
//! the first byte whenever more input arrives and recurse without a bound; it prints doubles in one way only; and
//! it knows neither inline commands nor the limits and error texts of a server.

mod decode;
mod encode;
mod request;

pub use decode::{DecodeError, ReplyDecoder};
pub use encode::{encode, encode_request};
pub use request::{ProtocolError, RequestDecoder};

pub use crate::base::RequestLimits;

/// The line in the buffer from `start` on, without its `\r\n`, and where the next one begins.
fn line(buffer: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let rest = buffer.get(start..)?;
    let end = rest.iter().position(|byte| *byte == b'\r')?;
    // Whatever follows the carriage return is taken for the line feed, as a server takes it.
    (rest.len() >= end + 2).then(|| (&rest[..end], start + end + 2))
}
