//! What can differ: differences by function and kind, and their stable names. Never ids, never values.

use std::fmt;

use serde::Serialize;

use crate::types::{Answer, Function};

/// A kind of difference in the calls of one function. Its [`Display`](fmt::Display) is its stable name, which JSON and the
/// files of accepted differences have: `ff_renew_lease/exec:core/field:lease_expires_at/other`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difference {
    /// The function.
    pub function: Function,
    /// What differs.
    pub kind: Kind,
}

/// What differs between two executions of one call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Only one of the libraries has the function.
    OnlyIn(Side),
    /// The function runs without an end in one of the libraries.
    NeverReturns(Side),
    /// The reply has another status, or another code.
    Answer {
        /// The old library's.
        old: Answer,
        /// The new library's.
        new: Answer,
    },
    /// The reply says the same in a word, and differs in its fields, its detail, or its text.
    Reply {
        /// The word.
        answer: Answer,
        /// Which part.
        part: ReplyPart,
        /// How.
        change: Change,
    },
    /// The call leaves another state.
    State {
        /// The key without what names one thing of many: `exec:core`, `idx:lane:eligible`.
        key: String,
        /// What of it.
        part: Part,
        /// How.
        change: Change,
    },
}

/// One of the two libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The one that the plans run on.
    Old,
    /// The one that is compared with it.
    New,
}

/// How one part differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// The old library writes or says it, the new one does not.
    Missing,
    /// The new library writes or says it, the old one does not.
    Extra,
    /// Both do, and differ.
    Other,
}

/// A part of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReplyPart {
    /// The n-th field after the status, or the n-th detail after the code, counted from 1.
    Field(usize),
    /// All of many fields.
    Fields,
    /// The text of an error.
    Text,
    /// A reply without FlowFabric's grammar, as a whole.
    Whole,
}

/// A part of what a key holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Whether it is there.
    Key,
    /// Which type of value it has.
    Type,
    /// The text of a string.
    Text,
    /// A field of a hash: its name, digits as `#`.
    Field(String),
    /// A member of a set or a sorted set.
    Member,
    /// The score of a member.
    Score,
    /// The elements of a list.
    Elements,
    /// An entry of a stream.
    Entry,
    /// What a stream has besides its entries: ids, groups.
    Stream,
    /// When it expires.
    Ttl,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.function)?;
        match &self.kind {
            Kind::OnlyIn(side) => write!(f, "only-in-{side}"),
            Kind::NeverReturns(side) => write!(f, "never-returns/{side}"),
            Kind::Answer { old, new } => write!(f, "reply/{old}->{new}"),
            // What follows a code is its detail.
            Kind::Reply { answer: answer @ Answer::Refusal(_), part: ReplyPart::Field(n), change } => {
                write!(f, "reply/{answer}/detail-{n}/{change}")
            }
            Kind::Reply { answer, part, change } => write!(f, "reply/{answer}/{part}/{change}"),
            Kind::State { key, part, change } => write!(f, "{key}/{part}/{change}"),
        }
    }
}

impl Serialize for Difference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Side::Old => "old",
            Side::New => "new",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Change::Missing => "missing",
            Change::Extra => "extra",
            Change::Other => "other",
        })
    }
}

impl fmt::Display for ReplyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplyPart::Field(n) => write!(f, "field-{n}"),
            ReplyPart::Fields => f.pad("fields"),
            ReplyPart::Text => f.pad("text"),
            ReplyPart::Whole => f.pad("whole"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Field(name) => write!(f, "field:{name}"),
            Part::Key => f.pad("key"),
            Part::Type => f.pad("type"),
            Part::Text => f.pad("text"),
            Part::Member => f.pad("member"),
            Part::Score => f.pad("score"),
            Part::Elements => f.pad("elements"),
            Part::Entry => f.pad("entry"),
            Part::Stream => f.pad("stream"),
            Part::Ttl => f.pad("ttl"),
        }
    }
}

impl Change {
    /// How a part differs that was `before` and that the libraries left as `old` and `new`; none where they agree.
    pub(super) fn of<T: PartialEq>(before: &T, old: &T, new: &T) -> Option<Self> {
        if old == new {
            None
        } else if new == before {
            Some(Change::Missing)
        } else if old == before {
            Some(Change::Extra)
        } else {
            Some(Change::Other)
        }
    }
}
