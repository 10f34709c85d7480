//! States that are about the latest grant of an execution and the claims of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    property::{Found, Property},
    trace::{Happened, Moment, Step},
    types::{Code, ExecutionName, TimestampMs},
};

/// An execution whose grant had expired was granted again.
#[derive(Clone, Default, Hash)]
pub(super) struct GrantedAgain {
    expired: BTreeSet<ExecutionName>,
}

impl Property for GrantedAgain {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        for change in step.changes() {
            match change.what {
                Happened::GrantIssued(_) if self.expired.remove(&change.execution) => found.reached(),
                Happened::GrantExpired(_) => {
                    self.expired.insert(change.execution.clone());
                }
                _ => {}
            }
        }
    }
}

/// The latest grant of each execution. Its key may be gone when a claim of it arrives.
#[derive(Clone, Default, Hash)]
struct LatestGrants(BTreeMap<ExecutionName, Latest>);

#[derive(Clone, Hash)]
struct Latest {
    expires_at: TimestampMs,
    claims: u32,
}

impl LatestGrants {
    /// The grant that the step claims, with this claim counted.
    fn claimed(&mut self, step: &Step<'_>) -> Option<&Latest> {
        let call = step.call.as_ref().filter(|call| call.function.consumes_grants())?;
        // A claim that is sent on to another function has not raced anyone yet.
        if call.answer.is(&Code::UseClaimResumedExecution) {
            return None;
        }
        let latest = self.0.get_mut(&step.names.of(call.presented.execution.as_ref()?))?;
        latest.claims += 1;
        Some(latest)
    }

    /// Takes a step in, once its claim was looked at.
    fn note(&mut self, step: &Step<'_>) {
        for change in step.changes() {
            if let Happened::GrantIssued(seen) = &change.what {
                let latest = Latest { expires_at: seen.grant.expires_at, claims: 0 };
                self.0.insert(change.execution.clone(), latest);
            }
        }
    }
}

/// Two claims of one grant reached the server.
#[derive(Clone, Default, Hash)]
pub(super) struct Raced {
    grants: LatestGrants,
}

impl Property for Raced {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        if self.grants.claimed(step).is_some_and(|grant| grant.claims == 2) {
            found.reached();
        }
        self.grants.note(step);
    }
}

/// A claim arrived so many milliseconds after its grant's expiry.
#[derive(Clone, Hash)]
struct AtExpiry {
    grants: LatestGrants,
    offset_ms: i64,
}

/// A monitor of claims that arrive so many milliseconds after their grant's expiry.
pub(super) fn at_expiry(offset_ms: i64) -> Box<dyn Property> {
    Box::new(AtExpiry { grants: LatestGrants::default(), offset_ms })
}

impl Property for AtExpiry {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        if self.grants.claimed(step).is_some_and(|grant| step.now.0 - grant.expires_at.0 == self.offset_ms) {
            found.reached();
        }
        self.grants.note(step);
    }
}
