//! What people read: a run as a timeline, a failure with the line that replays it, the summary of a hunt.

mod failure;
mod summary;
mod timeline;

pub use failure::failure;
pub use summary::summary;
pub use timeline::{Detail, timeline};
