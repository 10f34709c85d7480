//! The one grammar of FlowFabric's replies: `{1, status, fields…}` or `{0, code, detail…}`.
//!
//! Three kinds of no are kept apart, because they mean different things to a caller and to a property:
//! a [`Refusal`] is the protocol's own answer, an error reply (`-ERR …`) comes from the server or from a function
//! that crashed, and a malformed reply fits no grammar. A lost reply is none of these and is not seen here.

use serde::{Deserialize, Serialize};
use valkey_sim::engine::{ErrorReply, Reply};

use crate::types::{Answer, Status};
use crate::types::{Code, wire::Field};

/// A function's consent: `{1, status, fields…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// How it consented.
    pub status: Status,
    /// What it has to tell, in order.
    pub fields: Vec<String>,
}

/// A function's refusal: `{0, code, detail…}`. Nothing was changed but for stamps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("refused: {code}{}", if detail.is_empty() { String::new() } else { format!(" ({})", detail.join(", ")) })]
pub struct Refusal {
    /// Why.
    pub code: Code,
    /// What else it said; what it means depends on the code.
    pub detail: Vec<String>,
}

/// What `execution_not_active` says about the execution, so that a caller can tell its own lost reply from
/// somebody else's deed (the detail's layout is that of the library's `validate_lease`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotActive<'a> {
    /// `success`, `failed` …; `none` or empty while it has not ended.
    pub terminal_outcome: &'a str,
    /// The epoch of the last lease.
    pub lease_epoch: &'a str,
    /// `runnable`, `terminal` …
    pub lifecycle_phase: &'a str,
    /// The attempt that was last current.
    pub attempt_id: &'a str,
}

impl Refusal {
    /// The detail of `execution_not_active`; `None` for any other code.
    pub fn not_active(&self) -> Option<NotActive<'_>> {
        let detail = |index: usize| self.detail.get(index).map(String::as_str).unwrap_or_default();
        (self.code == Code::ExecutionNotActive).then(|| NotActive {
            terminal_outcome: detail(0),
            lease_epoch: detail(1),
            lifecycle_phase: detail(2),
            attempt_id: detail(3),
        })
    }
}

/// A reply that fits no grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct Malformed {
    /// What the grammar wants here.
    pub expected: String,
    /// What is here.
    pub found: String,
}

impl Malformed {
    /// Says what was expected and what was found.
    pub fn new(expected: impl Into<String>, found: impl std::fmt::Debug) -> Self {
        Self { expected: expected.into(), found: format!("{found:?}") }
    }
}

/// Why a call has no outcome although it was answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The protocol's own no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An error reply of the server, or of a function that crashed; writes made before it stay.
    #[error("the server answered {0}")]
    Server(ErrorReply),
    /// A reply that fits no grammar: the library's fault.
    #[error("{function} answered outside of its grammar: {malformed}")]
    Malformed {
        /// The function or command.
        function: String,
        /// What is wrong.
        #[source]
        malformed: Malformed,
    },
}

impl CallError {
    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            CallError::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// What a reader of replies returns before the function's name is added to the error.
pub type ReadResult<T> = Result<T, ReadError>;

/// A [`CallError`] that does not know yet which function was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// See [`CallError::Refused`].
    Refused(Refusal),
    /// See [`CallError::Server`].
    Server(ErrorReply),
    /// See [`CallError::Malformed`].
    Malformed(Malformed),
}

impl ReadError {
    /// The error of a call of `function`.
    pub fn of(self, function: &str) -> CallError {
        match self {
            ReadError::Refused(refusal) => CallError::Refused(refusal),
            ReadError::Server(error) => CallError::Server(error),
            ReadError::Malformed(malformed) => {
                CallError::Malformed { function: function.to_owned(), malformed }
            }
        }
    }
}

impl From<Malformed> for ReadError {
    fn from(malformed: Malformed) -> Self {
        ReadError::Malformed(malformed)
    }
}

impl Consent {
    /// Reads a reply by the grammar.
    pub fn read(reply: &Reply) -> ReadResult<Self> {
        let items = array(reply)?;
        let (Some(Reply::Int(flag @ (0 | 1))), Some(word)) = (items.first(), items.get(1).and_then(text))
        else {
            return Err(Malformed::new("{1, status, …} or {0, code, …}", reply).into());
        };
        let rest = items[2..]
            .iter()
            .map(|item| text(item).ok_or_else(|| Malformed::new("text", item)))
            .collect::<Result<Vec<_>, _>>()?;
        if *flag == 0 {
            return Err(ReadError::Refused(Refusal { code: Code::from(word), detail: rest }));
        }
        let status = Status::from_field(&word).ok_or_else(|| Malformed::new(Status::kind(), &word))?;
        Ok(Self { status, fields: rest })
    }

    /// The field at `index`, which the library calls `name`.
    pub fn field<T: Field>(&self, index: usize, name: &str) -> Result<T, Malformed> {
        let text = self.fields.get(index).ok_or_else(|| Malformed::new(name, "nothing"))?;
        T::from_field(text).ok_or_else(|| Malformed::new(format!("{name}, {}", T::kind()), text))
    }

    /// The error for a status that this function never gives.
    pub fn unexpected(&self) -> Malformed {
        Malformed::new("another status or fields", self)
    }
}

/// The items of an array reply. An error reply is the server's.
pub fn array(reply: &Reply) -> ReadResult<&[Reply]> {
    match reply {
        Reply::Array(items) | Reply::Set(items) => Ok(items),
        Reply::Error(error) => Err(ReadError::Server(error.clone())),
        other => Err(Malformed::new("an array", other).into()),
    }
}

/// The text of a reply that is one, or that a function could have meant as one.
pub fn text(reply: &Reply) -> Option<String> {
    match reply {
        Reply::Bulk(bytes) | Reply::Verbatim(_, bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Reply::Status(status) => Some(status.to_string()),
        Reply::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A reply in a word: a status, the code of a refusal, the code of an error; else it follows no grammar.
pub fn answer(reply: &Reply) -> Answer {
    match reply {
        Reply::Error(error) => Answer::Error(error.code().into()),
        Reply::Array(items) => match items.as_slice() {
            [Reply::Int(1), Reply::Bulk(word), ..] => match Status::from_word(&String::from_utf8_lossy(word))
            {
                Some(status) => Answer::Consent(status),
                None => Answer::Other,
            },
            [Reply::Int(0), Reply::Bulk(word), ..] => {
                Answer::Refusal(Code::from(&*String::from_utf8_lossy(word)))
            }
            _ => Answer::Other,
        },
        _ => Answer::Other,
    }
}

/// The codes by which a server says that it could not run a function, or a command of it, now.
const NOT_NOW: [&str; 10] = [
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "TRYAGAIN",
    "UNKILLABLE",
];

/// Whether a server says by this error that it could not begin the function now, and may be able to later.
///
/// ```
/// use grantsim::protocol::reply::was_not_run;
/// assert!(was_not_run(&"LOADING Valkey is loading the dataset in memory".to_owned().into()));
/// assert!(!was_not_run(&"ERR user_script:7: attempt to compare nil with number".to_owned().into()));
/// ```
pub fn was_not_run(error: &ErrorReply) -> bool {
    NOT_NOW.contains(&error.code()) || error.0.starts_with("ERR Function not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(flag: i64, words: &[&str]) -> Reply {
        Reply::Array(std::iter::once(Reply::Int(flag)).chain(words.iter().map(Reply::bulk)).collect())
    }

    #[test]
    fn consent_is_a_status_and_fields() {
        let answer = Consent::read(&reply(1, &["OK", "42"])).unwrap();
        assert_eq!(answer, Consent { status: Status::Ok, fields: vec!["42".into()] });
        assert_eq!(answer.field::<u64>(0, "expires_at"), Ok(42));
        let missing = answer.field::<u64>(1, "epoch").unwrap_err();
        assert_eq!(missing.to_string(), "expected epoch, found \"nothing\"");
    }

    #[test]
    fn a_refusal_keeps_its_code_and_detail_even_when_the_code_is_new() {
        let error = Consent::read(&reply(0, &["moon_phase", "waxing"])).unwrap_err();
        let expected = Refusal { code: Code::Unknown("moon_phase".into()), detail: vec!["waxing".into()] };
        assert_eq!(error, ReadError::Refused(expected.clone()));
        assert_eq!(expected.to_string(), "refused: moon_phase (waxing)");
    }

    #[test]
    fn not_active_tells_what_became_of_the_execution() {
        let error =
            Consent::read(&reply(0, &["execution_not_active", "success", "3", "terminal", "a"])).unwrap_err();
        let ReadError::Refused(refusal) = error else { panic!("{error:?}") };
        let expected = NotActive {
            terminal_outcome: "success",
            lease_epoch: "3",
            lifecycle_phase: "terminal",
            attempt_id: "a",
        };
        assert_eq!(refusal.not_active(), Some(expected));
    }

    #[test]
    fn an_error_reply_is_the_servers_and_anything_else_is_malformed() {
        let down = ErrorReply::new("ERR Function not found");
        assert_eq!(Consent::read(&Reply::Error(down.clone())), Err(ReadError::Server(down)));
        for odd in [Reply::OK, Reply::Array(vec![]), reply(2, &["OK"]), reply(1, &["FINE"]), reply(1, &[])] {
            let error = Consent::read(&odd).unwrap_err().of("ff_renew_lease");
            assert!(matches!(error, CallError::Malformed { .. }), "{odd:?}: {error}");
            assert!(error.to_string().starts_with("ff_renew_lease answered outside"), "{error}");
        }
    }
}
