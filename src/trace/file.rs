//! Traces as JSON lines: a header, an event a line, a footer.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use valkey_sim::engine::Dialect;

use super::{Ended, Event, FaultFate, Names, Trace};
use crate::{library::LibraryRef, types::digest::sha256_hex};

/// The version of the trace's shape that this build writes and reads.
pub const SCHEMA: u32 = 2;

/// The first line: what was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The token that makes the same plan again; none for a plan that came from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The library under test.
    pub library: LibraryRef,
    /// The server's dialect.
    #[serde(with = "crate::types::dialect")]
    pub dialect: Dialect,
    /// What the plan calls the executions, by id.
    pub executions: Names,
}

/// What every version's header has: the rest of a header is read once it is known to be of this one.
#[derive(Deserialize)]
struct Version {
    schema: u32,
}

/// The last line: how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Footer {
    ended: Ended,
    faults: Vec<FaultFate>,
}

/// A trace file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read at all.
    #[error("the trace cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A line is not what it should be.
    #[error(
        "line {line} of the trace is no {expected}: {source}; is this a file that `replay --trace` wrote?"
    )]
    Line {
        /// Which, from 1.
        line: usize,
        /// `header`, `event` or `footer`.
        expected: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// It stops in the middle.
    #[error("the trace has no last line that says how the run ended: it was cut short")]
    CutShort,
    /// It was written by another version.
    #[error("the trace has schema {0}, this build reads {SCHEMA}: replay its token or plan to write it anew")]
    Schema(u32),
}

impl Trace {
    /// Writes the trace, a JSON value a line.
    ///
    /// # Errors
    /// Whatever the writer says.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut line = |value: String| out.write_all((value + "\n").as_bytes());
        line(serde_json::to_string(&self.header)?)?;
        for event in &self.events {
            line(serde_json::to_string(event)?)?;
        }
        line(serde_json::to_string(&Footer { ended: self.ended.clone(), faults: self.faults.clone() })?)
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// [`ReadError`], with the line.
    pub fn read(input: impl BufRead) -> Result<Self, ReadError> {
        let lines: Vec<String> = input.lines().collect::<io::Result<_>>()?;
        let parse_error = |line, expected| move |source| ReadError::Line { line, expected, source };
        let [first, events @ .., last] = lines.as_slice() else { return Err(ReadError::CutShort) };
        let Version { schema } = serde_json::from_str(first).map_err(parse_error(1, "header"))?;
        if schema != SCHEMA {
            return Err(ReadError::Schema(schema));
        }
        let header = serde_json::from_str(first).map_err(parse_error(1, "header"))?;
        let Footer { ended, faults } = serde_json::from_str(last).map_err(|_| ReadError::CutShort)?;
        let event = |(i, line): (usize, &String)| -> Result<Event, ReadError> {
            serde_json::from_str(line).map_err(parse_error(i + 2, "event"))
        };
        let events = events.iter().enumerate().map(event).collect::<Result<_, _>>()?;
        Ok(Self { header, events, ended, faults })
    }

    /// The trace's SHA-256 in hex: equal iff the runs were, whether their plan came from a token or from a file.
    pub fn digest(&self) -> String {
        let run = (&self.header.library, self.header.dialect.name(), &self.events, &self.ended, &self.faults);
        let bytes = serde_json::to_vec(&run).expect("a trace is plain data");
        sha256_hex(&bytes)
    }
}
