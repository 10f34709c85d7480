//! A reply's details are the state: what was acknowledged is stored, and what a refusal tells is so (13, 22, 56 and 63 of
//! `docs/protocol.md`).
//!
//! Of a consent the state after the call is asked, of a refusal the state before it. Not here: that a stored outcome stays
//! ([`terminal`](crate::property::history::terminal)), and the form of a reply ([`grammar`](super::grammar)).

use super::{Calls, Look, Wrong, texts};
use crate::{
    property::{Entry, Expect, Kind},
    protocol::shape::is_plain_number,
    trace::{Call, Step},
    types::{Answer, Code, ExecutionId, Function, LifecyclePhase, Status, TerminalOutcome, TimestampMs},
    view::Core,
};

const LEASE: Kind = Kind {
    name: "lease",
    about: "the reply names another lease, epoch, expiry, attempt or index than is stored",
};
const LATE_EXPIRY: Kind =
    Kind { name: "late-expiry", about: "the reply promises a later expiry than is stored" };
const LENGTH: Kind = Kind {
    name: "lease-length",
    about: "the lease is longer or shorter than was asked for, by the server's clock",
};
const GRANT_LENGTH: Kind = Kind {
    name: "grant-length",
    about: "the grant is longer or shorter than was asked for, by the server's clock",
};
const OUTCOME: Kind =
    Kind { name: "outcome", about: "the outcome that was acknowledged is not the one that is stored" };
const RESULT: Kind =
    Kind { name: "result", about: "the result that was acknowledged is not the one that is stored" };
const OLD_RESULT: Kind = Kind {
    name: "old-result",
    about: "a completion without a result was acknowledged, and that of an earlier life stays",
};
const FIELD: Kind = Kind { name: "field", about: "the reply names another value than is stored" };
const DETAILS: Kind =
    Kind { name: "details", about: "the details of execution_not_active are not the state of the execution" };

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "reply-state",
    numbers: &[13, 22, 56, 63],
    claim: "A reply's details are the state: what was acknowledged is stored, to the millisecond.",
    expect: Expect::Always,
    kinds: &[LEASE, LATE_EXPIRY, LENGTH, GRANT_LENGTH, OUTCOME, RESULT, OLD_RESULT, FIELD, DETAILS],
    monitor: || {
        Box::new(Calls(&[
            lease_is_stored as Look,
            lease_is_as_long,
            grant_is_as_long,
            outcome_is_stored,
            fields_are_stored,
            details_are_true,
        ]))
    },
};

/// Where a grant's call says for how long, among its ARGV.
const GRANT_TTL_AT: usize = 5;

/// The fields of a consent with `OK`, the core of the call's execution after it, and which execution that is.
fn consented<'s>(
    step: &'s Step<'_>,
    call: &'s Call<'_>,
) -> Option<(Vec<&'s str>, Core<'s>, &'s ExecutionId)> {
    let id = call.presented.execution.as_ref().filter(|_| call.answer == Answer::Consent(Status::Ok))?;
    Some((texts(call)?, step.after.execution(id).core()?, id))
}

/// Where a function's arguments have the length of the lease, if it makes or renews one.
fn ttl_at(function: &Function) -> Option<usize> {
    match function {
        Function::ClaimExecution
        | Function::AcquireLease
        | Function::ClaimResumedExecution
        | Function::IssueGrantAndClaim => Some(6),
        Function::ReclaimExecution | Function::RenewLease => Some(5),
        _ => None,
    }
}

fn lease_is_stored(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    ttl_at(&call.function)?;
    let (fields, core, id) = consented(step, call)?;
    let differs = |place: usize, name: &str| {
        // What a core does not have at all is no business of this promise.
        let stored = core.text(name);
        let said = fields.get(place).filter(|said| !stored.is_empty() && **said != stored);
        said.map(|said| (name.to_owned(), *said))
    };
    let (expiry, others): (_, &[(usize, &str)]) = match call.function {
        Function::RenewLease => (Some(0), &[]),
        Function::IssueGrantAndClaim => {
            (None, &[(0, "current_lease_id"), (1, "current_lease_epoch"), (2, "current_attempt_index")])
        }
        _ => (
            Some(2),
            &[
                (0, "current_lease_id"),
                (1, "current_lease_epoch"),
                (3, "current_attempt_id"),
                (4, "current_attempt_index"),
            ],
        ),
    };
    let wrong = |kind, (name, said): (String, &str)| {
        let message = format!(
            "{} of {} answered {name} {said}, and {} is stored",
            call.function,
            step.names.of(id),
            core.text(&name)
        );
        Some(Wrong { kind, message })
    };
    if let Some(place) = expiry
        && let Some(found) = differs(place, "lease_expires_at")
    {
        let said: Option<i64> = found.1.parse().ok();
        let is_late = said.map(TimestampMs) > core.lease_expires_at();
        return wrong(if is_late { LATE_EXPIRY } else { LEASE }, found);
    }
    let found = others.iter().find_map(|(place, name)| differs(*place, name))?;
    wrong(LEASE, found)
}

/// One of a call's ARGV, if it is a number as every library reads it.
fn plain_number(call: &Call<'_>, place: usize) -> Option<i64> {
    let number = call.argv.get(place).filter(|number| is_plain_number(number))?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn lease_is_as_long(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    let ttl = plain_number(call, ttl_at(&call.function)?)?;
    let (_, core, id) = consented(step, call)?;
    let expires_at = core.lease_expires_at()?;
    if expires_at.0 == step.now.0 + ttl || step.after.is_mirrored() {
        return None;
    }
    let long = expires_at.0 - step.now.0;
    let message =
        format!("a lease of {} for {ttl} ms was asked for and is {long} ms long", step.names.of(id));
    Some(Wrong { kind: LENGTH, message })
}

fn grant_is_as_long(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    let is_issue = matches!(call.function, Function::IssueClaimGrant | Function::IssueReclaimGrant);
    if !is_issue || !matches!(call.answer, Answer::Consent(_)) || step.after.is_mirrored() {
        return None;
    }
    let ttl = plain_number(call, GRANT_TTL_AT)?;
    let id = call.presented.execution.as_ref()?;
    let long = step.after.execution(id).grant()?.expires_at.0 - step.now.0;
    let message =
        format!("a grant of {} for {ttl} ms was asked for and is {long} ms long", step.names.of(id));
    // A grant for no time at all is gone at once.
    (ttl > 0 && long != ttl).then_some(Wrong { kind: GRANT_LENGTH, message })
}

fn outcome_is_stored(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    let is_ending = matches!(
        call.function,
        Function::CompleteExecution
            | Function::FailExecution
            | Function::CancelExecution
            | Function::ExpireExecution
    );
    if !is_ending {
        return None;
    }
    let (fields, core, id) = consented(step, call)?;
    let first = fields.first().copied().unwrap_or_default();
    let expected = match (&call.function, first) {
        (Function::CompleteExecution, _) => Some(TerminalOutcome::Success),
        (Function::FailExecution, "terminal_failed") => Some(TerminalOutcome::Failed),
        (Function::CancelExecution, _) => Some(TerminalOutcome::Cancelled),
        (Function::ExpireExecution, "expired") => Some(TerminalOutcome::Expired),
        _ => None,
    };
    let Some(expected) = expected else {
        let is_retried = call.function == Function::FailExecution && first == "retry_scheduled";
        let is_wrong = is_retried && (core.is_terminal() || fields.get(1) != Some(&core.text("delay_until")));
        return is_wrong.then(|| Wrong {
            kind: OUTCOME,
            message: format!(
                "a retry of {} was acknowledged as {fields:?} and is not stored so",
                step.names.of(id)
            ),
        });
    };
    let found = core.text("terminal_outcome");
    // A core that has no such field at all is another library's.
    if found.is_empty() {
        return None;
    }
    if !core.is_terminal() || found != expected.as_str() {
        let phase = core.text("lifecycle_phase");
        let message = format!(
            "{} of {} was acknowledged, which is {phase} with outcome {found}",
            call.function,
            step.names.of(id)
        );
        return Some(Wrong { kind: OUTCOME, message });
    }
    result_is_stored(step, call, id)
}

fn result_is_stored(step: &Step<'_>, call: &Call<'_>, id: &ExecutionId) -> Option<Wrong> {
    let result = call.argv.get(4).filter(|_| call.function == Function::CompleteExecution)?;
    let key = step.after.execution(id).keys().exec.result();
    let stored = step.after.string(&key);
    let name = step.names.of(id);
    match stored {
        Some(stored) if result.is_empty() && !stored.is_empty() => {
            let message = format!("{name} completed without a result, and that of an earlier life stays");
            Some(Wrong { kind: OLD_RESULT, message })
        }
        Some(stored) if stored.as_bytes() != *result && !is_lossy(result) => Some(Wrong {
            kind: RESULT,
            message: format!("{name} completed with another result than is stored"),
        }),
        // A library with keys of its own keeps it elsewhere, if at all.
        None if !result.is_empty() && !step.after.is_mirrored() && call.keys.contains(&key.as_bytes()) => {
            Some(Wrong { kind: RESULT, message: format!("{name} completed with a result that is nowhere") })
        }
        _ => None,
    }
}

/// Whether a result is no text, so that the view cannot tell it from another.
fn is_lossy(result: &[u8]) -> bool {
    std::str::from_utf8(result).is_err()
}

fn fields_are_stored(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    let (place, name, of_before) = match call.function {
        Function::DelayExecution => (0, "delay_until", false),
        Function::ChangePriority => (1, "priority", false),
        Function::CreateExecution => (1, "public_state", false),
        Function::ResumeExecution => (0, "public_state", false),
        Function::CancelExecution => (1, "lifecycle_phase", true),
        _ => return None,
    };
    let (fields, after, id) = consented(step, call)?;
    let core = if of_before { step.before.execution(id).core()? } else { after };
    let said = fields.get(place).copied().unwrap_or_default();
    let stored = core.text(name);
    if said == stored || stored.is_empty() {
        return None;
    }
    let message = format!(
        "{} of {} answered {name} {said:?}, and it is {:?}",
        call.function,
        step.names.of(id),
        core.text(name)
    );
    Some(Wrong { kind: FIELD, message })
}

fn details_are_true(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    if !call.answer.is(&Code::ExecutionNotActive) || !call.function.is_known() {
        return None;
    }
    let id = call.presented.execution.as_ref()?;
    let (said, core) = (texts(call)?, step.before.execution(id).core()?);
    let names = ["terminal_outcome", "current_lease_epoch", "lifecycle_phase", "current_attempt_id"];
    let is_true = said.iter().copied().eq(names.map(|name| core.text(name)));
    let is_active = core.text("lifecycle_phase") == LifecyclePhase::Active.as_str();
    if is_true && !is_active || step.after.is_mirrored() {
        return None;
    }
    let is_so: Vec<&str> = names.map(|name| core.text(name)).into();
    let message =
        format!("{} of {} was told {said:?}, and it is {is_so:?}", call.function, step.names.of(id));
    Some(Wrong { kind: DETAILS, message })
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use valkey_sim::engine::Reply;

    use crate::property::testing::{EPOCH_MS, Story, cases, grant, lease};

    fn granted() -> Story {
        Story::new().created(0).granted(10, 50)
    }

    /// The first lease is valid until 100.
    fn leased() -> Story {
        granted().claimed(20, 1, 100)
    }

    fn said(flag: i64, words: &[&str]) -> Reply {
        let text = |word: &&str| match word.strip_prefix('@') {
            Some(at) => Reply::bulk((EPOCH_MS + at.parse::<i64>().expect("a time")).to_string()),
            None => Reply::bulk(word),
        };
        Reply::Array(std::iter::once(Reply::Int(flag)).chain(words.iter().map(text)).collect())
    }

    fn claimed(words: &[&str]) -> Story {
        let commands = format!("DEL :grant; {}; HSET :core current_attempt_index 0", lease(1, 100));
        granted().replied(
            20,
            "ff_claim_execution e1 w w-1 gold - l1 80 53 a1 - - -",
            said(1, words),
            &commands,
        )
    }

    fn renewed(ttl: i64, words: &[&str]) -> Story {
        let call = format!("ff_renew_lease e1 0 a1 l1 1 {ttl} 0");
        let commands = "HSET :core lease_expires_at @160; HSET :lease expires_at @160";
        leased().replied(60, &call, said(1, words), commands)
    }

    fn completed(result: &str, commands: &str) -> Story {
        let ended = "DEL :lease; HSET :core lifecycle_phase terminal ownership_state unowned eligibility_state \
                     not_applicable attempt_state attempt_terminal current_lease_id - lease_expires_at -; \
                     ZREM :lane:gold:active e1; ZADD :lane:gold:terminal 0 e1";
        let call = format!("ff_complete_execution e1 l1 1 a1 {result} lease_holder");
        leased().step(50, &call, "OK", &format!("{ended}; {commands}"))
    }

    fn refused(words: &[&str]) -> Story {
        leased().completed(50, 1).replied(60, "ff_renew_lease e1 0 a1 l1 1 100 0", said(0, words), "")
    }

    const SUCCESS: &str = "HSET :core terminal_outcome success";
    const DELAY: &str = "ff_delay_execution e1 l1 1 a1 @90 lease_holder";
    const DELAYED: &str = "DEL :lease; HSET :core lifecycle_phase runnable ownership_state unowned eligibility_state \
        not_eligible_until_time attempt_state attempt_interrupted delay_until @90 current_lease_id - lease_expires_at -; \
        ZREM :lane:gold:active e1; ZADD :lane:gold:delayed @90 e1";

    cases! {
        a_reply_that_names_another_epoch: "reply-state/ff_claim_execution/OK/lease",
            claimed(&["OK", "l1", "2", "@100", "a1", "0", "initial"]),
            near claimed(&["OK", "l1", "1", "@100", "a1", "0", "initial"]);
        a_reply_that_promises_a_millisecond_too_much: "reply-state/ff_renew_lease/OK/late-expiry",
            renewed(100, &["OK", "@161"]),
            near renewed(100, &["OK", "@160"]);
        a_lease_that_is_a_millisecond_too_long: "reply-state/ff_renew_lease/OK/lease-length",
            renewed(99, &["OK", "@160"]),
            near renewed(100, &["OK", "@160"]);
        an_outcome_that_is_not_stored: "reply-state/ff_complete_execution/OK/outcome",
            completed("-", "HSET :core terminal_outcome failed"),
            near completed("-", SUCCESS);
        a_grant_that_is_longer_than_was_asked_for: "reply-state/ff_issue_claim_grant/OK/grant-length",
            Story::new().created(0).step(10, "ff_issue_claim_grant e1 w w-1 gold - 90", "OK", &grant(10, 101)),
            near Story::new().created(0).step(10, "ff_issue_claim_grant e1 w w-1 gold - 90", "OK", &grant(10, 100));
        another_result_than_was_acknowledged: "reply-state/ff_complete_execution/OK/result",
            completed("done", &format!("{SUCCESS}; SET :result undone")),
            near completed("done", &format!("{SUCCESS}; SET :result done"));
        the_result_of_an_earlier_life: "reply-state/ff_complete_execution/OK/old-result",
            completed("-", &format!("{SUCCESS}; SET :result done")),
            near completed("-", SUCCESS);
        a_delay_until_another_time: "reply-state/ff_delay_execution/OK/field",
            leased().replied(50, DELAY, said(1, &["OK", "@80"]), DELAYED),
            near leased().replied(50, DELAY, said(1, &["OK", "@90"]), DELAYED);
        details_that_are_not_so: "reply-state/ff_renew_lease/execution_not_active/details",
            refused(&["execution_not_active", "success", "2", "terminal", "a1"]),
            near refused(&["execution_not_active", "success", "1", "terminal", "a1"]);
    }

    #[test]
    fn a_refusal_without_its_details_and_one_of_what_is_active_are_not_true() {
        let told = refused(&["execution_not_active"]).fingerprints();
        assert_eq!(told, ["reply-state/ff_renew_lease/execution_not_active/details"]);
        let active = leased().step(60, "ff_renew_lease e1 0 a1 l1 1 100 0", "execution_not_active", "");
        assert_eq!(active.fingerprints(), ["reply-state/ff_renew_lease/execution_not_active/details"]);
    }
}
