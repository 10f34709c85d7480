//! What a suspended execution waits for.

use super::Fields;
use crate::{protocol::additional_waitpoints, types::TimestampMs};

/// `suspension:current`.
#[derive(Clone, Copy, Debug)]
pub struct Suspension<'v>(Fields<'v>);

impl<'v> Suspension<'v> {
    pub(super) fn new(fields: Fields<'v>) -> Self {
        Self(fields)
    }

    /// `suspension_id`.
    pub fn id(&self) -> &'v str {
        self.0.text("suspension_id")
    }

    /// A field's text; empty where there is none.
    pub fn text(&self, name: &str) -> &'v str {
        self.0.text(name)
    }

    /// Whether it is still waited for something.
    pub fn is_open(&self) -> bool {
        !self.id().is_empty() && self.text("closed_at").is_empty()
    }

    /// The waitpoints besides the first one, by their ids (RFC-014).
    pub fn more_waitpoints(&self) -> Vec<String> {
        additional_waitpoints(self.text("additional_waitpoints_json"))
    }

    /// `waitpoint_id`: where it waits.
    pub fn waitpoint(&self) -> &'v str {
        self.0.text("waitpoint_id")
    }

    /// `timeout_at`: when it ends by itself; none if it does not.
    pub fn timeout_at(&self) -> Option<TimestampMs> {
        self.0.time("timeout_at")
    }

    /// `closed_at`: when it was over; none while it is open.
    pub fn closed_at(&self) -> Option<TimestampMs> {
        self.0.time("closed_at")
    }
}
