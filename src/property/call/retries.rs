//! A failure is retried as often as the policy of its call says, each time after the policy's backoff, and then no more (64
//! of `docs/protocol.md`); a lost lease is reclaimed as often as the execution's policy says, or else the caller.
//!
//! Not here: that what is delayed is not run before (`delay`), and that a number is a whole one (`grammar`).

use serde_json::Value;

use super::{Calls, Look, Wrong};
use crate::{
    property::{Entry, Expect, Kind},
    protocol::shape::Shape,
    trace::{Call, Step},
    types::{Answer, Function, LifecyclePhase},
    view::View,
};

const OVER: Kind =
    Kind { name: "over-the-cap", about: "a failure was retried though its policy's retries were used up" };
const GIVEN_UP: Kind =
    Kind { name: "given-up", about: "a failure ended the execution though its policy had a retry left" };
const BACKOFF: Kind =
    Kind { name: "backoff", about: "a retry is due at another time than its policy's backoff says" };

const OVER_RECLAIMS: Kind = Kind {
    name: "over-the-reclaim-cap",
    about: "an execution was reclaimed though it had been as often as its policy, or else the call, allows",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "retries",
    numbers: &[64],
    claim: "A failure is retried as often as its policy says, each time after its backoff, and a lost lease reclaimed as often.",
    expect: Expect::Always,
    kinds: &[OVER, GIVEN_UP, BACKOFF, OVER_RECLAIMS],
    monitor: || Box::new(Calls(&[failed as Look, reclaimed])),
};

/// Where ff_fail_execution has the policy, among its ARGV.
const POLICY: usize = 6;

fn failed(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    let is_plain = call.function == Function::FailExecution && Shape::of(&call.function)?.takes(call.argv);
    if !is_plain || !matches!(call.answer, Answer::Consent(_)) || step.after.is_mirrored() {
        return None;
    }
    let execution = step.before.execution(call.presented.execution.as_ref()?);
    let count: u32 = execution.core()?.text("retry_count").parse().unwrap_or(0);
    let policy: Value = match *call.argv.get(POLICY)? {
        b"" => Value::Null,
        text => serde_json::from_slice(text).ok()?,
    };
    let most = match policy.get("max_retries") {
        None => 0,
        Some(most) => most.as_u64()?,
    };
    let name = step.names.of(execution.id());
    let after = execution.seen_in(step.after).core()?;
    let is_left = u64::from(count) < most;
    let wrong = |kind, message| Some(Wrong { kind, message });
    match after.state().phase {
        LifecyclePhase::Runnable if !is_left => {
            wrong(OVER, format!("{name} is retried, and {count} of {most} retries were used"))
        }
        LifecyclePhase::Terminal if is_left => {
            wrong(GIVEN_UP, format!("{name} failed for good, and {count} of {most} retries were used"))
        }
        LifecyclePhase::Runnable => {
            let backoff_ms = backoff_ms(&policy, count)?;
            let due: f64 = after.text("delay_until").parse().ok()?;
            let waits_ms = due - step.now.0 as f64;
            let message = || {
                format!(
                    "retry {} of {name} is due in {waits_ms} ms, and its policy says {backoff_ms}",
                    count + 1
                )
            };
            ((waits_ms - backoff_ms).abs() >= 1.0).then(|| Wrong { kind: BACKOFF, message: message() })
        }
        _ => None,
    }
}

fn reclaimed(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    if call.function != Function::ReclaimExecution || !call.answer.is_ok() || step.after.is_mirrored() {
        return None;
    }
    let execution = step.before.execution(call.presented.execution.as_ref()?);
    let most = reclaim_cap(step.before, &execution.keys().exec.policy(), call)?;
    let count = execution.core()?.0.count("lease_reclaim_count");
    let message = || {
        let name = step.names.of(execution.id());
        format!("{name} is reclaimed, and {count} of {most} reclaims were used")
    };
    (count as f64 >= most).then(|| Wrong { kind: OVER_RECLAIMS, message: message() })
}

/// How often an execution may be reclaimed: by its own policy, else by the call, else 100 times (RFC-024 §4.6). Unknown where
/// that is no number.
pub(super) fn reclaim_cap(view: &View, policy: &str, call: &Call<'_>) -> Option<f64> {
    if let Some(policy) = view.string(policy) {
        let policy: Value = serde_json::from_str(&policy).ok()?;
        if let Some(most) = policy.get("max_reclaim_count") {
            return most.as_f64();
        }
    }
    match call.argv.get(8) {
        Some(most) => std::str::from_utf8(most).ok()?.parse().ok(),
        None => Some(100.0),
    }
}

/// How long the policy waits before the retry after so many; unknown where it says nothing, or no number.
fn backoff_ms(policy: &Value, count: u32) -> Option<f64> {
    let backoff = policy.get("backoff")?;
    let number = |name: &str| backoff.get(name)?.as_f64();
    match backoff.get("type")?.as_str()? {
        "fixed" => number("delay_ms"),
        "exponential" => {
            let growth = number("multiplier")?.powi(count.try_into().ok()?);
            Some((number("initial_delay_ms")? * growth).min(number("max_delay_ms")?))
        }
        _ => None,
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use crate::property::testing::{Story, cases, lease};

    const FIXED: &str = r#"{"max_retries":2,"backoff":{"type":"fixed","delay_ms":200}}"#;
    const GROWING: &str = concat!(
        r#"{"max_retries":9,"backoff":{"type":"exponential","initial_delay_ms":100,"#,
        r#""max_delay_ms":350,"multiplier":2.0}}"#
    );

    /// A failure at 100 ms with this policy, after so many retries, which leaves this behind.
    fn failed(policy: &str, count: u32, after: &str) -> Story {
        let leased = Story::new().created(0).granted(10, 50).claimed(20, 1, 900);
        let counted = leased.plain(30, &format!("HSET :core retry_count {count}"));
        let ended = "DEL :lease; HSET :core current_lease_id - lease_expires_at -; ZREM :lane:gold:active e1";
        let call = format!("ff_fail_execution e1 l1 1 a1 boom worker_error {policy} lease_holder");
        counted.step(100, &call, "OK", &format!("{ended}; {after}"))
    }

    fn retried(until: i64) -> String {
        format!(
            "HSET :core lifecycle_phase runnable ownership_state unowned eligibility_state not_eligible_until_time \
             attempt_state pending_retry_attempt delay_until @{until}; ZADD :lane:gold:delayed @{until} e1"
        )
    }

    const ENDED: &str = "HSET :core lifecycle_phase terminal ownership_state unowned eligibility_state not_applicable \
                         attempt_state attempt_terminal; ZADD :lane:gold:terminal 0 e1";

    /// Reclaimed once more after so many times, by a call that allows three; its policy allows two, if it has one.
    fn reclaimed(policy: &str, count: u32) -> Story {
        let marked = Story::new().created(0).granted(10, 50).claimed(20, 1, 100).marked(100);
        let counted = marked.plain(101, &format!("HSET :core lease_reclaim_count {count}"));
        let counted =
            if policy.is_empty() { counted } else { counted.plain(102, &format!("SET :policy {policy}")) };
        let call = "ff_reclaim_execution e1 w w-1 gold l2 100 a2 - 3";
        counted.reclaim_granted(110, 400).step(120, call, "OK", &format!("DEL :grant; {}", lease(2, 220)))
    }

    cases! {
        one_reclaim_too_many_by_the_policy: "retries/ff_reclaim_execution/OK/over-the-reclaim-cap",
            reclaimed(r#"{"max_reclaim_count":2}"#, 2),
            alone reclaimed(r#"{"max_reclaim_count":2}"#, 1);
        one_reclaim_too_many_by_the_call: "retries/ff_reclaim_execution/OK/over-the-reclaim-cap",
            reclaimed("", 3),
            alone reclaimed("", 2);
        one_retry_too_many: "retries/ff_fail_execution/OK/over-the-cap",
            failed(FIXED, 2, &retried(300)),
            alone failed(FIXED, 1, &retried(300));
        a_retry_without_a_policy: "retries/ff_fail_execution/OK/over-the-cap",
            failed("-", 0, &retried(1_100)),
            alone failed("-", 0, ENDED);
        a_retry_that_is_left_and_not_taken: "retries/ff_fail_execution/OK/given-up",
            failed(FIXED, 1, ENDED),
            alone failed(FIXED, 2, ENDED);
        a_fixed_backoff_that_is_not_waited: "retries/ff_fail_execution/OK/backoff",
            failed(FIXED, 0, &retried(301)),
            alone failed(FIXED, 0, &retried(300));
        a_backoff_that_does_not_grow: "retries/ff_fail_execution/OK/backoff",
            failed(GROWING, 1, &retried(200)),
            alone failed(GROWING, 1, &retried(300));
        a_backoff_beyond_its_most: "retries/ff_fail_execution/OK/backoff",
            failed(GROWING, 2, &retried(500)),
            alone failed(GROWING, 2, &retried(450));
    }
}
