//! What a command answers, before any wire format.
//!
//! Commands answer with RESP3's richer types. The wire encoder flattens them for a RESP2 connection, and the Lua
//! boundary for a script, each by Valkey's own rules.

use std::borrow::Cow;

use bytes::Bytes;

/// A reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+OK`: a status.
    Status(Cow<'static, str>),
    /// `-ERR …`: an error, its code included.
    Error(ErrorReply),
    /// `:1`.
    Int(i64),
    /// `$…`: a binary-safe string.
    Bulk(Bytes),
    /// The absence of a value: `_` in RESP3, `$-1` in RESP2.
    Null,
    /// The absence of an array: `_` in RESP3, `*-1` in RESP2.
    NullArray,
    /// `*…`.
    Array(Vec<Reply>),
    /// `%…`: pairs; a flat array in RESP2.
    Map(Vec<(Reply, Reply)>),
    /// `~…`: members; an array in RESP2.
    Set(Vec<Reply>),
    /// `,…`: a floating-point number; a bulk string in RESP2.
    Double(f64),
    /// `#t`: a truth value; an integer in RESP2.
    Bool(bool),
    /// `(…`: an integer of any size, in decimal; a bulk string in RESP2.
    BigNumber(String),
    /// `=…`: text with a three-letter format; a bulk string in RESP2.
    Verbatim([u8; 3], Bytes),
    /// `>…`: out-of-band data (pub/sub); an array in RESP2.
    Push(Vec<Reply>),
    /// No reply now: the connection is blocked, it asked for none, or the answers come as pushes.
    Nothing,
}

/// The text of an error reply, its code first: `WRONGTYPE Operation against a key …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply(pub Cow<'static, str>);

/// An argument that should be a 64-bit integer is not.
pub const NOT_AN_INTEGER: ErrorReply = ErrorReply::new("ERR value is not an integer or out of range");
/// An argument that should be a number is not.
pub const NOT_A_FLOAT: ErrorReply = ErrorReply::new("ERR value is not a valid float");

/// What a command's implementation returns.
pub type CommandResult = Result<Reply, ErrorReply>;

impl Reply {
    /// `+OK`.
    pub const OK: Reply = Reply::Status(Cow::Borrowed("OK"));

    /// A bulk string, copied.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Reply::Bulk(Bytes::copy_from_slice(bytes.as_ref()))
    }

    /// An array of bulk strings; the strings are shared, not copied.
    pub fn bulks<'b>(strings: impl IntoIterator<Item = &'b Bytes>) -> Self {
        Reply::Array(strings.into_iter().cloned().map(Reply::Bulk).collect())
    }

    /// A bulk string, or the absence of one.
    pub fn bulk_or_null(string: Option<&Bytes>) -> Self {
        string.map_or(Reply::Null, |string| Reply::Bulk(string.clone()))
    }

    /// The error in this reply, if it is one.
    pub fn error(&self) -> Option<&ErrorReply> {
        match self {
            Reply::Error(error) => Some(error),
            _ => None,
        }
    }
}

impl ErrorReply {
    /// An error whose text never changes.
    pub const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// An argument as errors quote it: up to its first NUL byte, where a server's `%s` ends.
    pub fn quote(arg: &[u8]) -> Cow<'_, str> {
        let end = arg.iter().position(|byte| *byte == 0).unwrap_or(arg.len());
        String::from_utf8_lossy(&arg[..end])
    }

    /// The first word: `ERR`, `WRONGTYPE`, `NOSCRIPT` …
    pub fn code(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }
}

impl From<CommandResult> for Reply {
    fn from(result: CommandResult) -> Self {
        result.unwrap_or_else(Reply::Error)
    }
}

impl From<String> for ErrorReply {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl std::fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ErrorReply {}
