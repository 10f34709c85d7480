//! The secrets that sign a partition's waitpoint tokens: the current one, and those that are rotated out.

use super::{Fields, View};
use crate::types::TimestampMs;

/// The secrets of a partition in a view.
#[derive(Clone, Copy)]
pub struct Secrets<'v>(Option<Fields<'v>>);

impl<'v> Secrets<'v> {
    pub(super) fn new(view: &'v View, tag: &str) -> Self {
        Self(view.fields(&format!("ff:sec:{tag}:waitpoint_hmac")))
    }

    /// The name of the secret that signs; empty before the first.
    pub fn current(&self) -> &'v str {
        self.0.map(|fields| fields.text("current_kid")).unwrap_or_default()
    }

    /// A secret, by its name; empty where there is none.
    pub fn secret(&self, kid: &str) -> &'v str {
        self.0.map(|fields| fields.text(&format!("secret:{kid}"))).unwrap_or_default()
    }

    /// Until when a secret that was rotated out is accepted: its last millisecond.
    pub fn expires_at(&self, kid: &str) -> Option<TimestampMs> {
        self.0?.time(&format!("expires_at:{kid}"))
    }

    /// The secrets that have an end, by name.
    pub fn rotated_out(&self) -> impl Iterator<Item = (&'v str, Option<TimestampMs>)> + use<'v> {
        let fields = self.0;
        fields.into_iter().flat_map(|fields| fields.iter()).filter_map(|(name, until)| {
            Some((name.strip_prefix("expires_at:")?, until.parse().ok().map(TimestampMs)))
        })
    }
}
