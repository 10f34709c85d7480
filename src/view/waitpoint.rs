//! A waitpoint: where signals are delivered, what they were, and what they are to satisfy.

use valkey_sim::engine::value::stream::StreamId;

use super::{Fields, View};
use crate::types::TimestampMs;

/// A waitpoint in a view.
#[derive(Clone, Copy)]
pub struct Waitpoint<'v> {
    view: &'v View,
    tag: &'v str,
    id: &'v str,
}

/// A signal as a waitpoint's stream has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalSeen<'v> {
    /// `signal_id`.
    pub id: &'v str,
    /// `signal_name`.
    pub name: &'v str,
    /// `source_type` and `source_identity`.
    pub source: (&'v str, &'v str),
    /// `accepted_at`.
    pub accepted_at: TimestampMs,
}

impl<'v> Waitpoint<'v> {
    pub(super) fn new(view: &'v View, tag: &'v str, id: &'v str) -> Self {
        Self { view, tag, id }
    }

    fn key(&self, part: &str) -> String {
        format!("ff:wp:{}:{}{part}", self.tag, self.id)
    }

    /// Its record, if it exists.
    pub fn record(&self) -> Option<Fields<'v>> {
        self.view.fields(&self.key(""))
    }

    /// `state`: `pending`, `active`, `closed`; empty where there is no such waitpoint.
    pub fn state(&self) -> &'v str {
        self.record().map(|record| record.text("state")).unwrap_or_default()
    }

    /// What signals are to satisfy, if that is known: not of a pending waitpoint.
    pub fn condition(&self) -> Option<Fields<'v>> {
        self.view.fields(&self.key(":condition"))
    }

    /// When it expires unless a suspension uses it, as the partition's index of pending waitpoints has it.
    pub fn pending_until(&self) -> Option<TimestampMs> {
        let score = self.view.score(&format!("ff:idx:{}:pending_waitpoint_expiry", self.tag), self.id)?;
        Some(TimestampMs(score as i64))
    }

    /// How many signals were ever accepted for it.
    pub fn accepted(&self) -> u64 {
        self.view.stream(&self.key(":signals")).map_or(0, |stream| stream.entries_added)
    }

    /// When it was made.
    pub fn created_at(&self) -> Option<TimestampMs> {
        self.record()?.time("created_at")
    }

    /// The signals that its stream has, in the order in which they came. What came before it was made is another's: of one
    /// that was under the same id.
    pub fn signals(&self) -> impl Iterator<Item = SignalSeen<'v>> + use<'v> {
        let entries =
            self.view.stream(&self.key(":signals")).map(|stream| stream.range(StreamId::MIN, StreamId::MAX));
        let since = self.created_at().unwrap_or(TimestampMs(0));
        let all = entries.into_iter().flatten().map(|entry| {
            let field = |name: &str| {
                let at = entry.fields.chunks_exact(2).find(|pair| pair[0] == name.as_bytes());
                at.and_then(|pair| std::str::from_utf8(&pair[1]).ok()).unwrap_or_default()
            };
            SignalSeen {
                id: field("signal_id"),
                name: field("signal_name"),
                source: (field("source_type"), field("source_identity")),
                accepted_at: TimestampMs(field("accepted_at").parse().unwrap_or(i64::MAX)),
            }
        });
        all.filter(move |signal| signal.accepted_at.0 >= since.0)
    }
}
