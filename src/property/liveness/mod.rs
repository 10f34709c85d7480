//! Promises about the end: what must have happened some time after the last fault. One promise a file.
//!
//! Whether an execution that has not ended is stuck is decided where a run is driven, from the state and the plan
//! (`drive/standing.rs`), and the end of the run says it ([`Ended::waiting`](crate::trace::Ended)). Here it gets the promise
//! that it breaks, and the step at which it showed: the last that did anything to the execution.

pub(super) mod ends;
pub(super) mod grantable_again;
pub(super) mod granted;
pub(super) mod lease_marked;
pub(super) mod unblocked;

use super::{Found, Kind, Property};
use crate::{trace::Moment, types::Stuck};

/// A property that is judged at the end: what is stuck, and the kind of violation that it is.
#[derive(Clone)]
pub(super) struct InTheEnd(&'static [(Stuck, Kind)]);

impl std::hash::Hash for InTheEnd {
    /// It is judged at the end only.
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl Property for InTheEnd {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::End(ended) = moment else { return };
        for waiting in &ended.waiting {
            let kind = self.0.iter().find(|(stuck, _)| waiting.stuck() == Some(*stuck));
            if let Some((_, kind)) = kind {
                let execution = &waiting.execution;
                found.stuck(*kind, execution, format!("{execution} waits: {}", waiting.story));
            }
        }
    }
}

/// An execution that was granted, and waits.
#[cfg(test)]
fn granted() -> super::testing::Story {
    super::testing::Story::new().created(0).granted(10, 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_can_be_stuck_breaks_one_promise() {
        let all =
            [ends::STUCK, grantable_again::STUCK, granted::STUCK, lease_marked::STUCK, unblocked::STUCK];
        for stuck in Stuck::ALL {
            let kinds = all.iter().flat_map(|kinds| kinds.iter()).filter(|(of, _)| of == stuck);
            assert_eq!(kinds.count(), 1, "{stuck}");
        }
    }
}
