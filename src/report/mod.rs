//! What people read: a run as a timeline, a failure with the line that replays it, the summary of a hunt.

mod beside;
mod ci;
mod comparison;
mod contract;
mod difference;
mod explored;
mod facts;
mod failure;
mod failures;
mod faults;
mod file;
mod folder;
mod functions;
mod kept;
mod lists;
mod mermaid;
mod mutants;
mod page;
mod promise;
mod run;
mod shell;
mod sides;
mod slice;
mod story;
mod summary;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timeline;
mod unseen;
mod violation;
mod words;

pub use ci::{Told, github, github_summary, junit};
pub use comparison::comparison;
pub use contract::{contract, contract_in_markdown, contract_in_short};
pub use difference::difference;
pub use explored::explored;
pub use failure::{Failure, SCREEN_COLUMNS, SCREEN_LINES, failure};
pub use failures::Failures;
pub use faults::faults;
pub use file::ReportFile;
pub use folder::ReportFolder;
pub use functions::functions;
pub use kept::{shrunk, snapshot, snapshot_file, snapshot_name};
pub use lists::{findings, findings_in_short, oracles, profiles, properties};
pub use mermaid::mermaid;
pub use mutants::mutants;
pub use page::page;
pub use run::Run;
pub use shell::quoted;
pub use summary::summary;
pub use timeline::{Detail, UnknownExecution, timeline, timeline_of};
pub use unseen::{failed, unseen};
pub use violation::violation;
