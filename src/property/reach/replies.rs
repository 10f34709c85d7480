//! States that are about claims whose replies their workers never read.

use std::collections::BTreeSet;

use crate::{
    property::{Found, Property},
    trace::{Call, Event, Moment, Step, What},
    types::Seq,
};

/// A claim made a lease and its worker never knew.
#[derive(Clone, Default, Hash)]
pub(super) struct ReplyLost {
    /// The requests that made a lease.
    leased: BTreeSet<Seq>,
}

impl Property for ReplyLost {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        match moment {
            Moment::Step(step) if claims(step).is_some_and(|call| call.answer.is_ok()) => {
                self.leased.extend(step.head.cause);
            }
            Moment::Client(event) if given_up(event).is_some_and(|sent| self.leased.contains(&sent)) => {
                found.reached()
            }
            _ => {}
        }
    }
}

/// A claim was executed after its worker had given it up.
#[derive(Clone, Default, Hash)]
pub(super) struct LateClaim {
    /// The requests that were given up.
    given_up: BTreeSet<Seq>,
}

impl Property for LateClaim {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        match moment {
            Moment::Client(event) => self.given_up.extend(given_up(event)),
            Moment::Step(step) if claims(step).is_some() && self.is_given_up(step.head.cause) => {
                found.reached()
            }
            _ => {}
        }
    }
}

impl LateClaim {
    fn is_given_up(&self, request: Option<Seq>) -> bool {
        request.is_some_and(|sent| self.given_up.contains(&sent))
    }
}

fn claims<'s>(step: &'s Step<'_>) -> Option<&'s Call<'s>> {
    step.call.as_ref().filter(|call| call.function.consumes_grants())
}

/// The sending of a claim whose reply its worker will never read.
fn given_up(event: &Event) -> Option<Seq> {
    match &event.what {
        What::ReplyLost { function, .. } if function.consumes_grants() => event.head.cause,
        _ => None,
    }
}
