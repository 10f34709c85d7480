//! Why a check failed, in all the words that a test's output should have.

use std::fmt;

use crate::hunt::{Exit, Report};

/// A check or a folder of plans did not hold. Shown either way, `{}` or `{:?}`, it is what a person reads: the failure
/// block of each violation with the line to copy.
#[derive(Clone)]
pub struct CheckError {
    text: String,
    exit: Exit,
    report: Option<Box<Report>>,
}

impl CheckError {
    /// What came of a hunt.
    pub(super) fn of(exit: Exit, text: String, report: Report) -> Self {
        Self { text, exit, report: Some(Box::new(report)) }
    }

    /// What came of plans.
    pub(super) fn of_plans(exit: Exit, text: String) -> Self {
        Self { text, exit, report: None }
    }

    /// Something that cannot be used.
    pub(super) fn input(why: impl fmt::Display) -> Self {
        Self { text: why.to_string(), exit: Exit::BadInput, report: None }
    }

    /// How `grantsim` would end.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What came of the hunt, where there was one.
    pub fn report(&self) -> Option<&Report> {
        self.report.as_deref()
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.trim_end())
    }
}

/// As `Display`: what `unwrap` shows is the text, and not its letters between quotes.
impl fmt::Debug for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for CheckError {}
