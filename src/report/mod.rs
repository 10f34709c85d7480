//! What people read: a run as a timeline, a failure with the line that replays it, the summary of a hunt.

mod failure;
mod faults;
mod story;
mod summary;
mod timeline;

pub use failure::failure;
pub use faults::faults;
pub use summary::summary;
pub use timeline::{Detail, timeline};
