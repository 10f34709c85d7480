//! Replies whose shape depends on the protocol.

use bytes::Bytes;

use crate::engine::{Protocol, Reply};

/// Pairs: nested in RESP3 (`[[a, 1], [b, 2]]`), one after the other in RESP2 (`[a, 1, b, 2]`).
pub fn pairs(protocol: Protocol, pairs: impl Iterator<Item = (Bytes, Reply)>) -> Reply {
    Reply::Array(match protocol {
        Protocol::Resp2 => pairs.flat_map(|(first, second)| [Reply::Bulk(first), second]).collect(),
        Protocol::Resp3 => {
            pairs.map(|(first, second)| Reply::Array(vec![Reply::Bulk(first), second])).collect()
        }
    })
}

/// Members, with their scores if `with_scores`.
pub fn members(protocol: Protocol, with_scores: bool, members: impl Iterator<Item = (Bytes, f64)>) -> Reply {
    if with_scores {
        pairs(protocol, members.map(|(member, score)| (member, Reply::Double(score))))
    } else {
        Reply::Array(members.map(|(member, _)| Reply::Bulk(member)).collect())
    }
}
