//! Plans as files: pretty JSON that a person can read, edit and commit.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{InvalidPlan, Plan, SCHEMA, reading::OLDEST_SCHEMA};
use crate::library::LibraryRef;

/// A plan in a file, and what it was made for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// What the plan shows, in a sentence or two.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The library it was recorded with. Another one may be named at replay; a difference is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<LibraryRef>,
    /// The plan.
    pub plan: Plan,
}

/// A plan file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is no plan.
    #[error("{path} is no plan: {source}; `grantsim replay TOKEN --plan FILE` writes one to start from")]
    NotAPlan {
        /// The file.
        path: String,
        /// Why, with line and column.
        source: serde_json::Error,
    },
    /// It was written for another version of grantsim.
    #[error(
        "{path} has schema {found}, this build reads {OLDEST_SCHEMA} to {SCHEMA}: use the build that wrote it"
    )]
    Schema {
        /// The file.
        path: String,
        /// Its schema.
        found: u64,
    },
    /// It contradicts itself.
    #[error("{path} cannot be run: {source}")]
    Invalid {
        /// The file.
        path: String,
        /// How.
        source: InvalidPlan,
    },
}

impl PlanFile {
    /// Reads a plan file and checks that it can be run.
    ///
    /// # Errors
    /// [`PlanFileError`]: every variant says what to do next.
    pub fn read(path: &Path) -> Result<Self, PlanFileError> {
        let shown = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Self::from_json(&shown, &text),
            Err(source) => Err(PlanFileError::Io { path: shown, source }),
        }
    }

    /// Reads a plan file's text; `path` is what an error calls it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_json(path: &str, text: &str) -> Result<Self, PlanFileError> {
        let not_a_plan = |source| PlanFileError::NotAPlan { path: path.to_owned(), source };
        let value: serde_json::Value = serde_json::from_str(text).map_err(not_a_plan)?;
        let readable = u64::from(OLDEST_SCHEMA)..=u64::from(SCHEMA);
        if let Some(found) = value["plan"]["schema"].as_u64().filter(|found| !readable.contains(found)) {
            return Err(PlanFileError::Schema { path: path.to_owned(), found });
        }
        // From the text again, for the sake of line numbers in the error.
        let file: Self = serde_json::from_str(text).map_err(not_a_plan)?;
        file.plan.check().map_err(|source| PlanFileError::Invalid { path: path.to_owned(), source })?;
        Ok(file)
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan is plain data") + "\n"
    }

    /// Writes it, whole or not at all: whoever reads the file at any time finds a valid one.
    ///
    /// # Errors
    /// [`PlanFileError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), PlanFileError> {
        replace(path, &self.to_json())
            .map_err(|source| PlanFileError::Io { path: path.display().to_string(), source })
    }
}

/// Replaces a file by another one. A pipe or a device is written as it is.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Replacing a link would leave the file that it names as it was.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().filter(|_| fs::metadata(&path).map_or(true, |meta| meta.is_file()));
    let Some(name) = name else { return fs::write(&path, text) };
    let beside = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // What is half written is of no use; that it cannot be removed either is not the error to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::token::Token;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
        let folder = std::env::temp_dir().join(format!("grantsim-plans-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let plan = |seed| PlanFile {
            about: String::new(),
            library: None,
            plan: Token::new("calm", seed).unwrap().plan(),
        };
        let path = folder.join("plan.json");
        for seed in [1, 2] {
            plan(seed).write(&path).unwrap();
            assert_eq!(PlanFile::read(&path).unwrap(), plan(seed));
        }
        let taken = folder.join("taken");
        fs::create_dir_all(&taken).unwrap();
        let error = plan(1).write(&taken).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
