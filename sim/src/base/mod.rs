//! What every floor of the crate names: replies, times, dialects, protocols, numbers, limits.
//!
//! Nothing here imports another module of the crate. The floors above re-export what their users need, so that
//! `valkey_sim::engine::Reply` is this [`Reply`].

mod dialect;
mod limits;
pub mod number;
mod protocol;
mod reply;
mod time;

pub use dialect::{Dialect, UnknownDialect};
pub use limits::RequestLimits;
pub use protocol::Protocol;
pub use reply::{CommandResult, ErrorReply, NOT_A_FLOAT, NOT_AN_INTEGER, Reply};
pub use time::{UnixMicros, UnixMillis};
