//! Which wire protocol a connection or a script speaks.

/// The wire protocol a connection negotiated with `HELLO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2: what a connection starts with.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}
