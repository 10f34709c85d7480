//! What excuses a violation: whose hand is in it, or what the server has forgotten.
//!
//! What a server acknowledged and then lost (a power loss, a failover, an eviction) no library can keep. So from such a fault
//! on, the promises that remember are not asked, where the catalogue says so.
//!
//! What a caller sends who contradicts himself (another lane, another lease's fence, an argument that is no argument) no
//! library can turn into a sound state; it can only refuse it. So the promises about what is stored are not asked of a call
//! that such a fault changed, nor of what it wrote from then on, where the catalogue says so
//! ([`Entry::holds_under`](super::Entry::holds_under)). What guards against such callers is asked all the same: that a grant
//! is consumed once, that nothing is accepted from a former lease, that no function raises.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    trace::{Moment, What},
    types::{ExecutionName, FaultClass, Seq},
    view::Entity,
};

/// Remembers what hostile callers changed in a run, and what else excuses.
#[derive(Clone, Default, Hash)]
pub(super) struct Excuse {
    /// The sendings that were changed.
    changed: BTreeMap<Seq, FaultClass>,
    /// The class that changed the call which is looked at.
    now: Option<FaultClass>,
    /// What such calls have written.
    written: BTreeMap<ExecutionName, FaultClass>,
    /// What has made the server forget so far.
    forgetful: BTreeSet<FaultClass>,
}

impl Excuse {
    /// Looks at the next moment.
    pub fn observe(&mut self, moment: &Moment<'_>) {
        self.now = None;
        match moment {
            Moment::Fault(event) => {
                let class = event.what.fault_class();
                self.forgetful.extend(class.filter(|class| FaultClass::FORGETFUL.contains(class)));
                if let (What::CallFault { class, .. }, Some(sent)) = (&event.what, event.head.cause)
                    && FaultClass::HOSTILE.contains(class)
                {
                    self.changed.entry(sent).or_insert(*class);
                }
            }
            Moment::Step(step) if !self.changed.is_empty() => {
                self.now = step.head.cause.and_then(|sent| self.changed.get(&sent)).copied();
                let Some(class) = self.now else { return };
                for entity in step.touched {
                    if let Entity::Execution(id) = entity {
                        self.written.entry(step.names.of(id)).or_insert(class);
                    }
                }
            }
            _ => {}
        }
    }

    /// The classes of faults that have a hand in what is found now, about this execution if it is about one.
    pub fn under(&self, execution: Option<&ExecutionName>) -> impl Iterator<Item = FaultClass> + '_ {
        let written = execution.and_then(|execution| self.written.get(execution));
        self.now.into_iter().chain(written.copied()).chain(self.forgetful.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        property::testing::{Story, lease},
        types::FaultClass::{self, *},
    };

    /// What a story shows: the violations, and those that are excused.
    fn told(story: &Story) -> (Vec<String>, Vec<(FaultClass, String)>) {
        let excused = story.verdict().excused.into_iter();
        (story.fingerprints(), excused.map(|(class, it)| (class, it.fingerprint.to_string())).collect())
    }

    fn granted() -> Story {
        Story::new().created(0).granted(10, 100)
    }

    fn claimed_by(story: Story) -> Story {
        let commands = format!("DEL :grant; {}", lease(1, 900));
        story.step(20, "ff_claim_execution e1 w w-1 silver", "OK", &commands)
    }

    const CLAIM: &str = "lane/ff_claim_execution/OK/claim";

    #[test]
    fn what_a_call_broke_that_a_hostile_caller_changed_is_excused_where_the_catalogue_says_so() {
        let hostile = claimed_by(granted().sent("ff_claim_execution").changed(OtherLane));
        assert_eq!(told(&hostile), (vec![], vec![(OtherLane, CLAIM.to_owned())]));
        let sound = claimed_by(granted().sent("ff_claim_execution"));
        assert_eq!(told(&sound), (vec![CLAIM.to_owned()], vec![]));
        let unlucky = claimed_by(granted().sent("ff_claim_execution").changed(LateRequest));
        assert_eq!(told(&unlucky), (vec![CLAIM.to_owned()], vec![]), "a slow network is no excuse");
    }

    #[test]
    fn another_call_is_not_excused_but_where_it_finds_what_the_changed_one_wrote() {
        let unlisted = |first: &str| {
            let changed = Story::new().created(0).sent("ff_moon_phase").changed(BadArgument);
            let then = changed.step(5, "ff_moon_phase e1", "OK", first).sent("ff_moon_phase");
            then.step(30, "ff_moon_phase e1", "OK", "ZREM :lane:gold:eligible e1")
        };
        let not_listed = "eligible/ff_moon_phase/OK/not-listed".to_owned();
        assert_eq!(told(&unlisted("HSET :core note x")), (vec![], vec![(BadArgument, not_listed.clone())]));
        assert_eq!(told(&unlisted("")), (vec![not_listed], vec![]), "what wrote nothing has no hand in it");
    }

    #[test]
    fn what_guards_against_hostile_callers_must_hold_against_them() {
        let leased = granted().sent("ff_claim_execution");
        let commands = format!("DEL :grant; {}", lease(1, 900));
        let leased = leased.step(20, "ff_claim_execution e1 w w-1 gold", "OK", &commands);
        let stale = leased.sent("ff_renew_lease").changed(StaleFence).renewed(30, 7, 300);
        assert_eq!(told(&stale), (vec!["fence/ff_renew_lease/OK/stale-lease".to_owned()], vec![]));
    }
}
