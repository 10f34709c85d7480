//! What grants are for: an execution has one at a time, a claim consumes a claim grant and a reclaim a reclaim grant, a grant
//! dies when its execution stops being grantable, and it goes to a worker that has the capabilities (CG4; RFC-009 §3.3 and
//! §7.4; RFC-024 §3.1; 4, 18 and 54 of `docs/protocol.md`).
//!
//! Both kinds lie under one key, and nothing there tells them apart: the function that issued a grant does. Not here: whether
//! a grant was valid ([`expiry`](super::expiry)) or spent ([`at_most_once`](super::at_most_once)).
//! `ff_issue_grant_and_claim` compares no capabilities, by design.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    property::{Entry, Expect, Found, Kind, Property},
    trace::{Call, Change, GrantSeen, Happened, Moment, Step},
    types::{ExecutionId, ExecutionName, Function, LifecyclePhase, TimestampMs},
    view::StateVector,
};

const SECOND: Kind = Kind { name: "second-grant", about: "a grant was issued while another one was valid" };
const CLAIM_RECLAIMED: Kind =
    Kind { name: "claim-grant-reclaimed", about: "a reclaim consumed a claim grant" };
const RECLAIM_CLAIMED: Kind =
    Kind { name: "reclaim-grant-claimed", about: "a claim consumed a reclaim grant" };
const OUTLIVED: Kind = Kind {
    name: "outlived",
    about: "the execution can no longer be granted, and its grant lies there for another life",
};
const INCAPABLE: Kind = Kind {
    name: "incapable-worker",
    about: "a grant was issued to a worker that lacks a required capability",
};
const NOT_AS_SENT: Kind = Kind {
    name: "not-as-sent",
    about: "a grant was issued, and its record is another one than the call asked for",
};
const UNREAD: Kind = Kind {
    name: "requirements-unread",
    about: "the execution's policy requires capabilities, and its core says that it needs none",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "grants",
    numbers: &[4, 18, 54, 63],
    claim: "One grant at a time, consumed by its own kind of claim, by a worker with the capabilities; it dies with its purpose.",
    expect: Expect::Always,
    kinds: &[SECOND, CLAIM_RECLAIMED, RECLAIM_CLAIMED, OUTLIVED, INCAPABLE, NOT_AS_SENT, UNREAD],
    monitor: || Box::<Grants>::default(),
};

#[derive(Clone, Default, Hash)]
struct Grants {
    /// When the latest grant of an execution was issued, and whether it is a reclaim grant.
    issued: BTreeMap<ExecutionName, (TimestampMs, bool)>,
}

impl Property for Grants {
    fn observe(&mut self, moment: &Moment<'_>, found: &mut Found<'_>) {
        let Moment::Step(step) = moment else { return };
        for change in step.changes() {
            match &change.what {
                Happened::GrantIssued(seen) => self.issued(step, change, seen, found),
                Happened::LeaseCreated { grant, .. } => {
                    grants_over(step, change, found);
                    if let Some(seen) = grant {
                        self.consumed(step, change, seen, found);
                    }
                }
                Happened::StateChanged { from: Some(from), to }
                    if from.is_grantable() && !to.is_grantable() =>
                {
                    outlives(step, change, to, found);
                }
                Happened::Created { .. } => reads_requirements(step, change, found),
                _ => {}
            }
        }
    }
}

impl Grants {
    fn issued(&mut self, step: &Step<'_>, change: &Change, seen: &GrantSeen, found: &mut Found<'_>) {
        let name = &change.execution;
        let before = step.before.execution(&change.id).grant();
        if before.is_some_and(|grant| grant.is_visible(step.now) && grant.expires_at >= step.now) {
            found.violation(
                SECOND,
                Some(name),
                format!("{name} was granted although a grant of it was valid"),
            );
        }
        let Some(call) = &step.call else { return };
        let is_reclaim = call.function == Function::IssueReclaimGrant;
        self.issued.insert(name.clone(), (seen.grant.created_at, is_reclaim));
        if let Some(lacking) = lacks(step, call, &change.id) {
            let message =
                format!("{name} requires {lacking}, and was granted to {} without", seen.grant.worker);
            found.violation(INCAPABLE, Some(name), message);
        }
        if let Some(field) = not_as_sent(step, call, &change.id) {
            found.violation(
                NOT_AS_SENT,
                Some(name),
                format!("{name} was granted, and {field} is not as sent"),
            );
        }
    }

    fn consumed(&self, step: &Step<'_>, change: &Change, seen: &GrantSeen, found: &mut Found<'_>) {
        let Some(function) = step.call.as_ref().map(|call| &call.function) else { return };
        let Some((created_at, is_reclaim)) = self.issued.get(&change.execution) else { return };
        if *created_at != seen.grant.created_at || !function.consumes_grants() {
            return;
        }
        let name = Some(&change.execution);
        match (*function == Function::ReclaimExecution, is_reclaim) {
            (true, false) => found.violation(
                CLAIM_RECLAIMED,
                name,
                format!("{} was reclaimed with a grant that was issued for a claim", change.execution),
            ),
            (false, true) => found.violation(
                RECLAIM_CLAIMED,
                name,
                format!("{} was claimed with a grant that was issued for a reclaim", change.execution),
            ),
            _ => {}
        }
    }
}

/// A grant and claim in one call, while a grant lay there.
fn grants_over(step: &Step<'_>, change: &Change, found: &mut Found<'_>) {
    let is_both = step.call.as_ref().is_some_and(|call| call.function == Function::IssueGrantAndClaim);
    let before = step.before.execution(&change.id).grant();
    if is_both && before.is_some_and(|grant| grant.is_visible(step.now) && grant.expires_at >= step.now) {
        let name = &change.execution;
        let message = format!("{name} was granted and claimed although a grant of it was valid");
        found.violation(SECOND, Some(name), message);
    }
}

/// A field of the grant's record that the call asked for otherwise. A library that keeps less of an execution may keep less
/// of a grant, and the lane is [`lane`](super::lane)'s.
fn not_as_sent(step: &Step<'_>, call: &Call<'_>, id: &ExecutionId) -> Option<&'static str> {
    const FIELDS: [(&str, usize); 5] = [
        ("worker_id", 1),
        ("worker_instance_id", 2),
        ("capability_hash", 4),
        ("route_snapshot_json", 6),
        ("admission_summary", 7),
    ];
    let is_issue = matches!(call.function, Function::IssueClaimGrant | Function::IssueReclaimGrant);
    let execution = step.after.execution(id);
    execution.core().filter(|core| is_issue && core.is_whole())?;
    let record = execution.grant_record()?;
    let other = FIELDS.iter().find(|(name, index)| record.text(name) != call.arg(*index))?;
    Some(other.0)
}

/// An execution that stops being grantable. One that becomes leased has consumed its grant, or that is another's business.
fn outlives(step: &Step<'_>, change: &Change, to: &StateVector, found: &mut Found<'_>) {
    if to.phase == LifecyclePhase::Active {
        return;
    }
    let grant = step.after.execution(&change.id).grant();
    if grant.is_some_and(|grant| grant.is_visible(step.now)) {
        let name = &change.execution;
        let message = format!("{name} became {} and its grant lies there for another life", to.public);
        found.violation(OUTLIVED, Some(name), message);
    }
}

/// The first required capability that the worker of a grant does not have.
fn lacks(step: &Step<'_>, call: &Call<'_>, id: &ExecutionId) -> Option<String> {
    if !matches!(call.function, Function::IssueClaimGrant | Function::IssueReclaimGrant) {
        return None;
    }
    let required = step.before.execution(id).core()?.text("required_capabilities");
    let has = std::str::from_utf8(call.argv.get(8)?).ok()?;
    let mut required = required.split(',').filter(|capability| !capability.is_empty());
    required.find(|capability| !has.split(',').any(|one| one == *capability)).map(str::to_owned)
}

/// What is created with a policy that requires something has to say so in its core, where grants look.
fn reads_requirements(step: &Step<'_>, change: &Change, found: &mut Found<'_>) {
    let execution = step.after.execution(&change.id);
    let is_said = execution.core().is_some_and(|core| !core.text("required_capabilities").is_empty());
    if is_said {
        return;
    }
    let Some(policy) = step.after.string(&execution.keys().exec.policy()) else { return };
    let policy: Value = serde_json::from_str(&policy).unwrap_or_default();
    let requires = match &policy["routing_requirements"]["required_capabilities"] {
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => false,
    };
    if requires {
        let name = &change.execution;
        found.violation(
            UNREAD,
            Some(name),
            format!("{name} requires capabilities by its policy, and its core does not say so"),
        );
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases, grant, lease};

    fn created() -> Story {
        Story::new().created(0)
    }

    fn granted() -> Story {
        created().granted(10, 500)
    }

    /// The first lease is valid until 100.
    fn leased() -> Story {
        granted().claimed(20, 1, 100)
    }

    fn cancelled(story: Story, at: i64, more: &str) -> Story {
        let ended = "HSET :core lifecycle_phase terminal ownership_state unowned eligibility_state not_applicable \
                     terminal_outcome cancelled; ZREM :lane:gold:eligible e1; ZREM :lane:gold:active e1; \
                     ZADD :lane:gold:terminal 0 e1; DEL :lease";
        story.step(at, "ff_cancel_execution e1 why operator_override - -", "OK", &format!("{ended}; {more}"))
    }

    /// Granted to be reclaimed; then it waits again, as if nothing had been.
    fn waits_with_a_reclaim_grant() -> Story {
        let again = "HSET :core lifecycle_phase runnable ownership_state unowned eligibility_state eligible_now \
                     attempt_state attempt_interrupted; DEL :lease; ZADD :lane:gold:eligible 0 e1; ZREM :lane:gold:active e1";
        leased().marked(100).reclaim_granted(110, 400).step(
            120,
            "ff_unblock_execution e1 @120 why",
            "OK",
            again,
        )
    }

    /// An execution that requires a GPU, granted to a worker with these capabilities.
    fn granted_to(capabilities: &str) -> Story {
        let call = format!("ff_issue_claim_grant e1 w w-1 gold - 50 - - {capabilities}");
        let requires = created().plain(5, "HSET :core required_capabilities gpu,ssd");
        requires.step(10, &call, "OK", &grant(10, 60))
    }

    fn created_with(policy: &str, core: &str) -> Story {
        let call = format!("ff_create_execution e1 ns gold kind 0 me {policy} - - - - - 7");
        let commands = format!(
            "HSET :core lifecycle_phase runnable ownership_state unowned eligibility_state eligible_now lane_id gold {core}; \
             SET :policy {policy}; ZADD :lane:gold:eligible 0 e1"
        );
        Story::new().step(0, &call, "OK", &commands)
    }

    /// A grant of an execution with a whole core.
    fn granted_with(commands: &str) -> Story {
        let whole = created().plain(5, "HSET :core retry_count 0");
        let call = "ff_issue_claim_grant e1 w w-1 gold h 50 - - -";
        whole.step(10, call, "OK", &format!("{}; {commands}", grant(10, 60)))
    }

    fn granted_and_claimed(story: Story, at: i64) -> Story {
        let commands = format!("DEL :grant; {}", lease(1, at + 80));
        story.step(at, "ff_issue_grant_and_claim e1 w w-1 gold - l1 80 a1", "OK", &commands)
    }

    const AS_OBJECT: &str = r#"{"routing_requirements":{"required_capabilities":{"gpu":"yes"}}}"#;
    const NONE: &str = r#"{"routing_requirements":{"required_capabilities":[]}}"#;

    cases! {
        a_second_grant: "grants/ff_issue_claim_grant/OK/second-grant",
            granted().granted(30, 600),
            near granted().reaped(501).granted(510, 600);
        a_claim_grant_that_is_reclaimed: "grants/ff_reclaim_execution/OK/claim-grant-reclaimed",
            granted().reclaimed(30, 1, 100),
            near leased().marked(100).reclaim_granted(110, 400).reclaimed(120, 2, 300);
        a_reclaim_grant_that_is_claimed: "grants/ff_claim_execution/OK/reclaim-grant-claimed",
            waits_with_a_reclaim_grant().claimed(130, 2, 300),
            near waits_with_a_reclaim_grant().reaped(401).granted(410, 500).claimed(420, 2, 600);
        a_grant_that_outlives_a_cancel: "grants/ff_cancel_execution/OK/outlived",
            cancelled(granted(), 30, ""),
            near cancelled(granted(), 30, "DEL :grant");
        a_grant_to_a_worker_that_cannot: "grants/ff_issue_claim_grant/OK/incapable-worker",
            granted_to("gpu"),
            near granted_to("ssd,gpu");
        a_grant_beside_a_grant: "grants/ff_issue_grant_and_claim/OK/second-grant",
            granted_and_claimed(granted(), 30),
            alone granted_and_claimed(granted().reaped(501), 510);
        a_grant_without_its_hash: "grants/ff_issue_claim_grant/OK/not-as-sent",
            granted_with("HSET :grant capability_hash -"),
            alone granted_with("HSET :grant capability_hash h");
        requirements_that_nobody_read: "grants/ff_create_execution/OK/requirements-unread",
            created_with(AS_OBJECT, "required_capabilities -"),
            near created_with(NONE, "required_capabilities -");
    }

    #[test]
    fn a_grant_that_is_past_its_time_outlives_nothing() {
        assert!(cancelled(granted(), 501, "").fingerprints().is_empty());
    }
}
