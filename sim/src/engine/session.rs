//! What a server remembers about one connection.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Reply;

/// The wire protocol a connection negotiated with `HELLO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2: what a connection starts with.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// One connection's state. The engine holds none of it, so that the same engine serves any number of them.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// `CLIENT ID`. Ids are given out by [`Engine::connect`](super::Engine::connect).
    pub id: u64,
    /// The protocol in force.
    pub protocol: Protocol,
    /// `CLIENT GETNAME`; empty when none was set.
    pub name: Bytes,
    /// `CLIENT SETINFO lib-name`.
    pub lib_name: Bytes,
    /// `CLIENT SETINFO lib-ver`.
    pub lib_ver: Bytes,
    /// Whether the client asked to close (`QUIT`); the server closes after the reply.
    pub closing: bool,
    /// Messages to deliver after the current reply, in order: acknowledgements of `SUBSCRIBE a b`, say, which
    /// answers once a channel.
    pub pushes: VecDeque<Reply>,
}
