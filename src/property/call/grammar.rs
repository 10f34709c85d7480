//! A reply is in FlowFabric's grammar: `{1, status, fields…}` or `{0, code, detail…}` (RFC-010 §4.9; 62 of
//! `docs/protocol.md`, with the exceptions that it accepts).
//!
//! A status and a code are ones that the published library knows, and a consent has the fields that its callers read, each
//! of its type. Error replies are the business of [`raises`](super::raises); whether a field is true, of
//! [`reply_state`](super::reply_state).

use valkey_sim::engine::Reply;

use super::{Calls, Look, Wrong};
use crate::{
    property::{Entry, Expect, Kind},
    protocol::{reply, shape::Shape},
    trace::{Call, Step},
    types::{Code, Function, Status},
};

const OUTSIDE: Kind = Kind { name: "outside", about: "the reply is neither a consent nor a refusal" };
const STATUS: Kind = Kind { name: "status", about: "the function never consents with this status" };
const CODE: Kind = Kind { name: "code", about: "no function refuses with this code" };
const FIELDS: Kind =
    Kind { name: "fields", about: "the consent lacks a field, has one too many, or one of another type" };
const BAD_ARGUMENTS: Kind = Kind {
    name: "on-bad-arguments",
    about: "the reply to arguments that are not what the function documents is outside of the grammar",
};

pub(in crate::property) static ENTRY: Entry = Entry {
    name: "grammar",
    numbers: &[62],
    claim: "A reply is a consent with its fields or a refusal with a known code.",
    expect: Expect::Always,
    kinds: &[OUTSIDE, STATUS, CODE, FIELDS, BAD_ARGUMENTS],
    monitor: || Box::new(Calls(&[is_in_grammar as Look])),
};

fn is_in_grammar(step: &Step<'_>, call: &Call<'_>) -> Option<Wrong> {
    let shape = Shape::of(&call.function)?;
    let (kind, what) = wrong(&shape, call)?;
    if step.after.is_mirrored() {
        return None;
    }
    let kind = if shape.takes(call.argv) { kind } else { BAD_ARGUMENTS };
    Some(Wrong { kind, message: format!("{} answered {what}", call.function) })
}

/// What is wrong with a reply, and the part of it that is.
fn wrong(shape: &Shape, call: &Call<'_>) -> Option<(Kind, String)> {
    let outside = || Some((OUTSIDE, format!("outside of the grammar: {:?}", call.reply)));
    match (call.reply, &call.function) {
        (Reply::Error(_), _) | (Reply::Bulk(_) | Reply::Status(_), Function::Version) => None,
        (Reply::Array(items), function) => match items.as_slice() {
            [Reply::Int(1), Reply::Bulk(status), fields @ ..] => consent(shape, status, fields),
            [Reply::Int(0), Reply::Bulk(code), details @ ..] => refusal(code, details),
            [Reply::Bulk(word), rest @ ..] if *function == Function::CheckAdmissionAndRecord => {
                if is_admission(word, rest) {
                    None
                } else {
                    outside()
                }
            }
            _ => outside(),
        },
        _ => outside(),
    }
}

fn consent(shape: &Shape, status: &[u8], fields: &[Reply]) -> Option<(Kind, String)> {
    let word = String::from_utf8_lossy(status);
    match Status::from_word(&word).filter(|status| shape.has(*status)) {
        None => Some((STATUS, format!("{word}, a status that it never consents with"))),
        Some(status) if !shape.allows(status, fields) => {
            Some((FIELDS, format!("{word} with fields that no caller can read: {fields:?}")))
        }
        Some(_) => None,
    }
}

fn refusal(code: &[u8], details: &[Reply]) -> Option<(Kind, String)> {
    let word = String::from_utf8_lossy(code);
    // The one code that carries its detail within.
    let is_known = Code::from(&*word).is_known() || word.starts_with("already_member_of_different_flow:");
    match is_known || CODES_OF_THE_LUA.contains(&&*word) {
        false => Some((CODE, format!("{word}, a code that FlowFabric does not have"))),
        true if details.iter().any(|detail| reply::text(detail).is_none()) => {
            Some((FIELDS, format!("{word} with a detail that is no text: {details:?}")))
        }
        true => None,
    }
}

/// Codes that the Lua passes on from a variable, so that [`Code`] does not list them.
const CODES_OF_THE_LUA: [&str; 5] = [
    "hmac_secret_not_initialized",
    "invalid_keys_missing_hmac",
    "invalid_secret",
    "missing_token",
    "token_expired",
];

/// Admission has words of its own.
fn is_admission(word: &[u8], rest: &[Reply]) -> bool {
    match (word, rest) {
        (b"ADMITTED" | b"ALREADY_ADMITTED" | b"CONCURRENCY_EXCEEDED", []) => true,
        (b"RATE_EXCEEDED", [after]) => reply::text(after).is_some_and(|after| after.parse::<u64>().is_ok()),
        _ => false,
    }
}

#[cfg(test)]
pub(in crate::property) mod tests {
    use valkey_sim::engine::Reply;

    use crate::property::testing::{Story, cases};

    fn answered(call: &str, reply: Reply) -> Story {
        Story::new().answered(0, call, reply)
    }

    fn said(flag: i64, words: &[&str]) -> Reply {
        Reply::Array(std::iter::once(Reply::Int(flag)).chain(words.iter().map(Reply::bulk)).collect())
    }

    const MARK: &str = "ff_mark_lease_expired_if_due e1";
    const ADMIT: &str = "ff_check_admission_and_record 5 60 10 1 e1 0";

    cases! {
        a_reply_without_a_flag: "grammar/ff_mark_lease_expired_if_due/reply/outside",
            answered(MARK, Reply::bulk("OK")),
            near answered(MARK, said(1, &["ALREADY_SATISFIED", "not_active"]));
        no_reply_at_all: "grammar/ff_mark_lease_expired_if_due/reply/outside",
            answered(MARK, Reply::Null),
            near answered("ff_version", Reply::bulk("34"));
        a_status_that_nobody_knows: "grammar/ff_mark_lease_expired_if_due/reply/status",
            answered(MARK, said(1, &["FINE", "marked_expired"])),
            near answered(MARK, said(0, &["execution_not_found"]));
        a_status_that_this_function_never_gives: "grammar/ff_mark_lease_expired_if_due/DUPLICATE/status",
            answered(MARK, said(1, &["DUPLICATE", "e1"])),
            near answered("ff_create_budget b s i m h s - 1 0", said(1, &["ALREADY_SATISFIED", "b"]));
        a_code_that_nobody_knows: "grammar/ff_mark_lease_expired_if_due/moon_phase/code",
            answered(MARK, said(0, &["moon_phase"])),
            near answered("ff_deliver_signal - e1", said(0, &["token_expired"]));
        a_detail_that_is_no_text: "grammar/ff_mark_lease_expired_if_due/execution_not_found/fields",
            answered(MARK, Reply::Array(vec![Reply::Int(0), Reply::bulk("execution_not_found"), Reply::Null])),
            near answered(MARK, said(0, &["execution_not_found", "e1"]));
        a_consent_without_its_fields: "grammar/ff_mark_lease_expired_if_due/OK/fields",
            answered(MARK, said(1, &["OK"])),
            near answered("ff_release_admission e1", said(1, &["OK", "released"]));
        a_field_of_another_type: "grammar/ff_set_execution_tags/OK/fields",
            answered("ff_set_execution_tags a.b c", said(1, &["OK", "one"])),
            near answered("ff_set_execution_tags a.b c", said(1, &["OK", "1"]));
        an_odd_reply_to_an_odd_argument: "grammar/ff_replay_execution/reply/on-bad-arguments",
            answered("ff_replay_execution", Reply::Null),
            near answered("ff_replay_execution", said(0, &["execution_not_found"]));
        a_word_of_admission_that_nobody_knows: "grammar/ff_check_admission_and_record/reply/outside",
            answered(ADMIT, Reply::Array(vec![Reply::bulk("MAYBE")])),
            near answered(ADMIT, Reply::Array(vec![Reply::bulk("RATE_EXCEEDED"), Reply::bulk("7")]));
    }

    #[test]
    fn what_only_another_library_has_is_not_judged() {
        assert!(answered("job_push e1", Reply::Null).fingerprints().is_empty());
        let mirrored = Story::new().plain(0, "SET grantsim:table 1").answered(1, MARK, said(0, &["refused"]));
        assert!(mirrored.fingerprints().is_empty());
    }
}
