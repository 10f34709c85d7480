//! The lane that the submitter chose is the lane in the core, the grant, the claim and every index of the execution (25 of
//! `docs/protocol.md`).
//!
//! A ClaimGrant carries no lane: the worker passes the one it asked for. A ReclaimGrant carries it. Once an execution has
//! got a wrong lane, what follows from that is not told again. Not here: whether the execution is in the *right* index of
//! its lane, which [`eligible`](crate::property::state::eligible) asks in part.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
};

use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Change, Happened, Moment, Step, Summary, What},
    types::{ExecutionName, Function, Seq},
};

const CORE: Kind = Kind { name: "core", about: "the execution's core says another lane" };
const GRANT: Kind = Kind { name: "grant", about: "the execution's grant says another lane" };
const CLAIM: Kind = Kind { name: "claim", about: "a claim for another lane made a lease" };
const INDEX: Kind = Kind { name: "index", about: "the execution entered an index of another lane" };
const RECLAIM_GRANT: Kind =
    Kind { name: "reclaim-grant", about: "a ReclaimGrant was sent that carries another lane" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "lane",
    numbers: &[25],
    claim: "The lane that the submitter chose is the lane in the core, the grant, the claim and every index.",
    expect: Expect::Always,
    kinds: &[CORE, GRANT, CLAIM, INDEX, RECLAIM_GRANT],
    monitor: || Box::<Lane>::default(),
};

#[derive(Clone, Default)]
struct Lane {
    /// What the submitter chose. A core that is wrong from its first moment on does not tell.
    chosen: BTreeMap<ExecutionName, String>,
    /// By which event an execution got a wrong lane: later ones are its sequels.
    wrong_since: BTreeMap<ExecutionName, Seq>,
}

impl Hash for Lane {
    /// Every later event is another than the one by which a lane went wrong.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.chosen.hash(hasher);
        self.wrong_since.len().hash(hasher);
        self.wrong_since.keys().for_each(|execution| execution.hash(hasher));
    }
}

impl Property for Lane {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        match moment {
            Moment::Step(step) => {
                for change in step.changes() {
                    self.changed(step, change, found);
                }
            }
            Moment::Client(event) => {
                if let What::MessageSent { message: Summary::ReclaimGrant { execution, lane, .. }, .. } =
                    &event.what
                {
                    self.check(event.head.seq, execution, &lane.0, RECLAIM_GRANT, "its ReclaimGrant", found);
                }
            }
            _ => {}
        }
    }
}

impl Lane {
    fn changed(&mut self, step: &Step<'_>, change: &Change, found: &mut Found<'_>) {
        let (execution, seq) = (&change.execution, step.head.seq);
        match &change.what {
            Happened::Created { lane } => {
                self.chosen.insert(execution.clone(), chosen(step, lane));
                self.check(seq, execution, lane, CORE, "its core", found);
            }
            Happened::LaneWritten { field, lane } => self.check(seq, execution, lane, CORE, field, found),
            Happened::GrantIssued(seen) => {
                self.check(seq, execution, &seen.grant.lane, GRANT, "its grant", found);
            }
            Happened::LeaseCreated { .. } => {
                if let Some(call) = step.call.as_ref().filter(|call| takes_lane(&call.function)) {
                    self.check(seq, execution, &call.presented.lane, CLAIM, "the claim", found);
                }
            }
            Happened::Indexed(index) => {
                if let Some(lane) = &index.lane {
                    self.check(seq, execution, lane, INDEX, &format!("the index {}", index.name), found);
                }
            }
            _ => {}
        }
    }

    fn check(
        &mut self,
        seq: Seq,
        execution: &ExecutionName,
        lane: &str,
        kind: Kind,
        place: &str,
        found: &mut Found<'_>,
    ) {
        let chosen = self.chosen.get(execution);
        if let Some(chosen) = chosen.filter(|chosen| *chosen != lane) {
            if *self.wrong_since.entry(execution.clone()).or_insert(seq) != seq {
                return;
            }
            let message = format!("{execution} was submitted to lane {chosen:?}, and {place} says {lane:?}");
            found.violation(kind, Some(execution), message);
        }
    }
}

/// Whether the caller passes a lane to this function when it wants a lease.
fn takes_lane(function: &Function) -> bool {
    function.consumes_grants() || *function == Function::IssueGrantAndClaim
}

/// The lane that the submitter passed; where no call created the execution, what its core says.
fn chosen(step: &Step<'_>, core: &str) -> String {
    let created = step.call.as_ref().filter(|call| call.function == Function::CreateExecution);
    created.map_or(core, |call| &call.presented.lane).to_owned()
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases, grant, lease};

    fn granted() -> Story {
        Story::new().created(0).granted(10, 100)
    }

    fn claimed(lane: &str) -> Story {
        granted().step(
            20,
            &format!("ff_claim_execution e1 w w-1 {lane}"),
            "OK",
            &format!("DEL :grant; {}", lease(1, 900)),
        )
    }

    fn created(lane: &str, current_lane: &str) -> Story {
        let commands = format!(
            "HSET :core lifecycle_phase runnable eligibility_state eligible_now lane_id {lane} current_lane {current_lane}; \
             ZADD :lane:gold:eligible 0 e1"
        );
        Story::new().step(0, "ff_create_execution e1 ns gold kind 0 me - - -", "OK", &commands)
    }

    cases! {
        a_core_that_says_another_lane_from_the_start: "lane/ff_create_execution/OK/core",
            created("silver", "gold"),
            near created("gold", "gold");
        a_current_lane_that_is_another_from_the_start: "lane/ff_create_execution/OK/core",
            created("gold", "silver"),
            near created("gold", "-");
        a_core_that_changes_its_lane: "lane/ff_claim_execution/OK/core",
            granted().step(20, "ff_claim_execution e1 w w-1 gold", "OK", &format!("DEL :grant; {}; HSET :core current_lane silver", lease(1, 900))),
            near claimed("gold");
        a_grant_for_another_lane: "lane/ff_issue_claim_grant/OK/grant",
            Story::new().created(0).step(10, "ff_issue_claim_grant e1 w w-1 gold - 0", "OK", &grant(10, 100).replace("gold", "silver")),
            near Story::new().created(0).granted(10, 100);
        a_claim_for_another_lane: "lane/ff_claim_execution/OK/claim",
            claimed("silver"),
            near granted().step(20, "ff_claim_execution e1 w w-1 silver", "invalid_claim_grant", "");
        an_index_of_another_lane: "lane/ff_claim_execution/OK/index",
            granted().step(20, "ff_claim_execution e1 w w-1 gold", "OK", &format!("DEL :grant; {}; ZADD :lane:silver:active 0 e1", lease(1, 900))),
            near granted().step(20, "ff_claim_execution e1 w w-1 gold", "OK", &format!("DEL :grant; {}; SADD :worker:w-1:leases e1; ZADD :lease_expiry 0 e1", lease(1, 900)));
        a_reclaim_grant_that_carries_another_lane: "lane/-/-/reclaim-grant",
            claimed("gold").reclaim_grant("silver"),
            near claimed("gold").reclaim_grant("gold");
    }

    #[test]
    fn a_core_that_was_wrong_from_the_start_is_reported_once_and_nothing_that_is_right() {
        let story = created("silver", "gold").granted(10, 100).claimed(20, 1, 100).reclaim_grant("gold");
        assert_eq!(story.fingerprints(), ["lane/ff_create_execution/OK/core"]);
    }

    #[test]
    fn what_follows_from_a_wrong_lane_is_not_told_again() {
        let wrong = |story: Story| story.reclaim_grant("silver");
        let moved = "RENAME :lane:gold:active :lane:silver:active";
        let found =
            wrong(wrong(claimed("gold"))).step(90, "ff_moon_phase e1", "OK", moved).verdict().violations;
        assert_eq!((found.len(), found[0].times), (1, 1));
        assert_eq!(found[0].execution.as_ref().map(|name| name.as_str()), Some("e1"));
    }

    #[test]
    fn the_lane_stays_chosen_after_a_power_loss() {
        let story = Story::new().created(0).kept().granted(10, 100).rewound();
        let wrong = story.step(
            20,
            "ff_issue_claim_grant e1 w w-1 gold - 0",
            "OK",
            &grant(20, 100).replace("gold", "silver"),
        );
        assert_eq!(wrong.fingerprints(), ["lane/ff_issue_claim_grant/OK/grant"]);
    }

    #[test]
    fn what_is_written_under_another_name_first_is_seen_where_it_goes() {
        let core = "HSET aside lifecycle_phase runnable lane_id silver; RENAME aside :core";
        let created = Story::new().step(0, "ff_create_execution e1 ns gold kind 0 me - - -", "OK", core);
        assert_eq!(created.fingerprints(), ["lane/ff_create_execution/OK/core"]);
        let moved =
            granted().step(20, "ff_moon_phase e1", "OK", "RENAME :lane:gold:eligible :lane:silver:eligible");
        assert_eq!(moved.fingerprints(), ["lane/ff_moon_phase/OK/index"]);
    }
}
