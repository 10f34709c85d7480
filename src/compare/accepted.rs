//! Accepted differences: a file of those that somebody has reviewed, by their stable names.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::Report;

/// Differences that were reviewed. In a file:
/// `{ "accepted": [{ "difference": "ff_renew_lease/reply/OK/field-1/other", "why": "…" }] }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    accepted: Vec<Entry>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The stable name.
    difference: String,
    /// Why it is right, for whoever reads the file.
    #[serde(default)]
    why: String,
}

/// A file of accepted differences cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AcceptedError {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is none.
    #[error(
        "{path} holds no accepted differences: {source}; a file that is not there yet is written with all that differ, to \
         review and to commit"
    )]
    Malformed {
        /// The file.
        path: String,
        /// Why, with line and column.
        source: serde_json::Error,
    },
}

impl Accepted {
    /// Reads a file; none where there is no such file yet.
    ///
    /// # Errors
    /// [`AcceptedError`].
    pub fn read(path: &Path) -> Result<Option<Self>, AcceptedError> {
        let shown = || path.display().to_string();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(AcceptedError::Io { path: shown(), source }),
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|source| AcceptedError::Malformed { path: shown(), source })
    }

    /// All that a report has, for a person to go through.
    pub fn all_of(report: &Report) -> Self {
        let entry = |name: String| Entry { difference: name, why: String::new() };
        Self {
            accepted: report.differences.iter().map(|found| entry(found.difference.to_string())).collect(),
        }
    }

    /// Writes it as a new file.
    ///
    /// # Errors
    /// [`AcceptedError::Io`], above all where there is a file already.
    pub fn write_new(&self, path: &Path) -> Result<(), AcceptedError> {
        let json = serde_json::to_string_pretty(self).expect("names and reasons are plain data") + "\n";
        let written =
            fs::File::create_new(path).and_then(|mut file| io::Write::write_all(&mut file, json.as_bytes()));
        written.map_err(|source| AcceptedError::Io { path: path.display().to_string(), source })
    }

    /// Marks what a report has of these, and notes those that it has not.
    pub fn mark(&self, report: &mut Report) {
        let mut left: BTreeMap<&str, &str> =
            self.accepted.iter().map(|entry| (&*entry.difference, &*entry.why)).collect();
        for found in &mut report.differences {
            let why = left.remove(&*found.difference.to_string());
            found.accepted = why.map(str::to_owned);
        }
        report.not_met = left.into_keys().map(str::to_owned).collect();
    }
}
