//! How large a client's request may be.

/// How much a server takes from a client, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// One argument: `proto-max-bulk-len`.
    pub bulk: usize,
    /// One request in all: `client-query-buffer-limit`.
    pub request: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { bulk: 512 * 1024 * 1024, request: 1024 * 1024 * 1024 }
    }
}
