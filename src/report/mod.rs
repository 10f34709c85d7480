//! What people read: a run as a timeline, a failure with the line that replays it, the summary of a hunt.

mod ci;
mod difference;
mod failure;
mod failures;
mod faults;
mod file;
mod kept;
mod run;
mod story;
mod summary;
#[cfg(test)]
mod testing;
mod timeline;
mod unseen;

pub use ci::{Told, github, github_summary, junit};
pub use difference::difference;
pub use failure::failure;
pub use failures::Failures;
pub use faults::faults;
pub use file::ReportFile;
pub use kept::{finding_folder, shrunk};
pub use run::Run;
pub use summary::summary;
pub use timeline::{Detail, timeline};
pub use unseen::{failed, unseen};
