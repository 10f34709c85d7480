//! An answer in a word: what fingerprints, counts and timelines say of a reply.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Code, word::words};

words! {
    /// How a function consents.
    pub enum Status {
        /// It did what was asked.
        Ok = "OK",
        /// There was nothing left to do.
        AlreadySatisfied = "ALREADY_SATISFIED",
        /// What was to be created exists.
        Duplicate = "DUPLICATE",
        /// Budgets: this report was counted before.
        AlreadyApplied = "ALREADY_APPLIED",
        /// Budgets: counted, and over a soft limit.
        SoftBreach = "SOFT_BREACH",
        /// Budgets: not counted, since it would go over a hard limit.
        HardBreach = "HARD_BREACH",
    }
}

/// A reply in a word.
///
/// ```
/// use grantsim::types::Answer;
/// for word in ["OK", "stale_lease", "ERR", "reply"] {
///     assert_eq!(word.parse::<Answer>().unwrap().to_string(), word);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Answer {
    /// The function consented.
    Consent(Status),
    /// The function refused.
    Refusal(Code),
    /// The server answered an error: `ERR`, `WRONGTYPE`, `OOM` … The function raised it, or was never run.
    Error(std::sync::Arc<str>),
    /// A reply outside of FlowFabric's grammar.
    Other,
}

impl Answer {
    /// Whether the function consented with `OK`.
    pub fn is_ok(&self) -> bool {
        *self == Answer::Consent(Status::Ok)
    }

    /// Whether the function refused with this code.
    pub fn is(&self, code: &Code) -> bool {
        matches!(self, Answer::Refusal(said) if said == code)
    }

    /// Whether the published library, or a server, can answer so.
    pub fn is_known(&self) -> bool {
        match self {
            Answer::Refusal(code) => code.is_known(),
            _ => true,
        }
    }
}

impl From<&str> for Answer {
    fn from(word: &str) -> Self {
        let is_error = word.bytes().all(|b| b.is_ascii_uppercase()) && !word.is_empty();
        match Status::from_word(word) {
            Some(status) => Answer::Consent(status),
            None if word == "reply" => Answer::Other,
            None if is_error => Answer::Error(word.into()),
            None => Answer::Refusal(Code::from(word)),
        }
    }
}

impl From<String> for Answer {
    fn from(word: String) -> Self {
        Self::from(word.as_str())
    }
}

impl FromStr for Answer {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Infallible> {
        Ok(Self::from(word))
    }
}

impl From<Answer> for String {
    fn from(answer: Answer) -> Self {
        answer.to_string()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Consent(status) => status.fmt(f),
            Answer::Refusal(code) => code.fmt(f),
            Answer::Error(code) => f.pad(code),
            Answer::Other => f.pad("reply"),
        }
    }
}
