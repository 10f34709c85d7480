//! Work: what a worker does with an attempt, on the way and in the end.
//!
//! It travels in the execution's payload, so a worker does with a lease what this says of it, whichever worker it is. Who
//! sends the signals that a suspension waits for is not here.

use serde::{Deserialize, Serialize};

use crate::{protocol::TimeoutBehavior, types::Label};

/// What a worker does with an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// How long, by the worker's clock.
    pub takes_ms: u64,
    /// How it ends.
    pub ends: Ending,
    /// What it does on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meanwhile: Vec<Chore>,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// `ff_complete_execution`.
    Complete,
    /// `ff_fail_execution`, with the execution's retry policy.
    Fail,
    /// `ff_delay_execution`, by this many milliseconds of the worker's clock; the same attempt goes on later.
    Delay(u64),
    /// `ff_cancel_execution`, under the worker's own lease.
    Cancel,
    /// `ff_suspend_execution`; the same attempt goes on when the wait is over.
    Suspend(Suspend),
    /// `ff_move_to_waiting_children`; the same attempt goes on when nothing that it depends on is open.
    WaitChildren,
    /// The worker forgets it without a word: no renewal, no outcome.
    Vanish,
}

/// What a suspended execution waits for, and for how long.
///
/// ```
/// use grantsim::plan::{Ending, Until};
/// let ending: Ending = serde_json::from_str(r#"{ "suspend": { "until": "both", "timeout_ms": 900, "then": "fail" } }"#)?;
/// assert!(matches!(ending, Ending::Suspend(wait) if wait.until == Until::Both && !wait.pending));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suspend {
    /// Which signals end it.
    pub until: Until,
    /// It ends without them after so long, by the worker's clock; absent, it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What becomes of the execution then.
    #[serde(default = "fails", skip_serializing_if = "is_fails")]
    pub then: TimeoutBehavior,
    /// Whether it waits at the waitpoint that the attempt opened on the way ([`Doing::Await`]); where it opened none, it
    /// asks for one that does not exist.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pending: bool,
    /// At how many waitpoints it waits beside that one (RFC-014): a condition of several parts has its last part there. None
    /// where it waits at a pending one, which the library refuses.
    #[serde(default, skip_serializing_if = "super::reading::is_default")]
    pub extra: u8,
    /// For how long the library remembers what it answered, so that one who never saw the answer may ask again (RFC-013);
    /// absent, it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once_ms: Option<u64>,
}

fn fails() -> TimeoutBehavior {
    TimeoutBehavior::Fail
}

fn is_fails(then: &TimeoutBehavior) -> bool {
    *then == fails()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Which signals end a suspension: their names are `go` and `stop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Any signal at all.
    Any,
    /// `go`.
    Go,
    /// `go` and `stop`, both.
    Both,
    /// As `both`, said as a condition of several parts (RFC-014).
    AllOf,
    /// So many different signals, of any name (RFC-014).
    Count(u8),
    /// A name that no signal has: an operator has to end it, or the timeout.
    Nothing,
}

/// Something that a worker does on the way, some time after it began.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chore {
    /// When, after it knows what there is to do, by the worker's clock. Nothing is done after the end of the work.
    pub after_ms: u64,
    /// What.
    pub does: Doing,
}

/// What a worker does on the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Doing {
    /// `ff_append_frame`: a frame of the attempt's stream.
    Append(Frame),
    /// `ff_update_progress`: so many in a hundred.
    Progress(u8),
    /// `ff_set_execution_tags`: one of them.
    Tag {
        /// Its name; FlowFabric wants a dot in it: `team.name`.
        key: String,
        /// Its value.
        value: String,
    },
    /// `ff_read_attempt_stream`: so many frames at most.
    ReadStream(u32),
    /// `ff_read_summary`.
    ReadSummary,
    /// `ff_report_usage_and_check`, or `ff_record_spend`: something of a budget was used.
    Use {
        /// Which budget.
        budget: Label,
        /// Of which dimension.
        dimension: String,
        /// How much.
        amount: u64,
        /// Whether the execution is remembered as who used it (`ff_record_spend`).
        #[serde(default, skip_serializing_if = "is_false")]
        by_execution: bool,
        /// Whether the report has a name, by which a second one is known.
        #[serde(default, skip_serializing_if = "is_false")]
        once: bool,
    },
    /// `ff_release_budget`: what the execution used is given back.
    GiveBack(Label),
    /// `ff_create_pending_waitpoint`: signals may come before the suspension does. It expires after this many milliseconds.
    Await(u64),
    /// `ff_close_waitpoint`: of the waitpoint that it opened; it decided not to wait.
    NoLongerAwait,
}

/// A frame of an attempt's stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Frame {
    /// Kept: a text.
    Durable(String),
    /// Merged into the attempt's summary: a JSON object.
    Summary(String),
    /// Kept for so long.
    BestEffort {
        /// Milliseconds.
        ttl_ms: u64,
    },
}

impl Work {
    /// Work that ends like this, and does nothing on the way.
    pub fn new(takes_ms: u64, ends: Ending) -> Self {
        Self { takes_ms, ends, meanwhile: Vec::new() }
    }

    /// Whether it needs the secret of waitpoint tokens.
    pub(super) fn suspends(&self) -> bool {
        let awaits = self.meanwhile.iter().any(|chore| matches!(chore.does, Doing::Await(_)));
        awaits || matches!(self.ends, Ending::Suspend(_))
    }

    /// The longest of the times in it, milliseconds.
    pub(super) fn longest_ms(&self) -> u64 {
        let end_ms = match self.ends {
            Ending::Delay(by_ms) => by_ms,
            Ending::Suspend(Suspend { timeout_ms, once_ms, .. }) => timeout_ms.max(once_ms).unwrap_or(0),
            Ending::Complete | Ending::Fail | Ending::Cancel | Ending::WaitChildren | Ending::Vanish => 0,
        };
        let chores = self.meanwhile.iter().map(|chore| match chore.does {
            Doing::Await(ms) | Doing::Append(Frame::BestEffort { ttl_ms: ms }) => chore.after_ms.max(ms),
            _ => chore.after_ms,
        });
        chores.chain([self.takes_ms, end_ms]).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_work_is_written_as_it_always_was() {
        let json = r#"{"takes_ms":100,"ends":{"delay":5}}"#;
        let work: Work = serde_json::from_str(json).unwrap();
        assert_eq!(work, Work::new(100, Ending::Delay(5)));
        assert_eq!(serde_json::to_string(&work).unwrap(), json);
    }

    #[test]
    fn the_longest_time_is_found_wherever_it_is() {
        for json in [
            r#"{ "takes_ms": 9, "ends": "wait_children" }"#,
            r#"{ "takes_ms": 1, "ends": { "suspend": { "until": "any", "timeout_ms": 9 } } }"#,
            r#"{ "takes_ms": 1, "ends": { "suspend": { "until": "any", "once_ms": 9 } } }"#,
            r#"{ "takes_ms": 1, "ends": "complete", "meanwhile": [{ "after_ms": 9, "does": "read_summary" }] }"#,
            r#"{ "takes_ms": 1, "ends": "complete", "meanwhile": [{ "after_ms": 1, "does": { "await": 9 } }] }"#,
            r#"{ "takes_ms": 1, "ends": "complete", "meanwhile": [
                { "after_ms": 1, "does": { "append": { "best_effort": { "ttl_ms": 9 } } } }] }"#,
        ] {
            assert_eq!(serde_json::from_str::<Work>(json).unwrap().longest_ms(), 9, "{json}");
        }
    }
}
