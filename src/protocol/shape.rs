//! The documented shape of calls: what each argument is, and what a consent has to tell (docs/protocol.md, replies; the
//! ARGV comments and the `ok(…)` of ff-script 0.15).
//!
//! For judging what a caller sent and what a function answered, whoever wrote either. Not here: KEYS, which are the
//! client's, and what the values mean.

use serde_json::Value;
use valkey_sim::engine::Reply;

use crate::types::{Function, Status};

/// The largest number that counts as plain: a time in milliseconds of the year 2286. Lua's `tostring` keeps 14 digits.
const MOST: u64 = 10_000_000_000_000;

/// The fields of retry, reclaim and replay policies that are numbers.
const NUMBERS: [&str; 8] = [
    "max_retries",
    "initial_delay_ms",
    "max_delay_ms",
    "multiplier",
    "delay_ms",
    "max_reclaim_count",
    "max_replay_count",
    "resume_delay_ms",
];

/// The shape of a function's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// A letter an argument: `t` any text, `n` a number, `p` one above zero, `o` a number or empty, `i` an integer that may be negative, `f` a
    /// fraction, `j` a JSON object or empty, `J` one that is not, `e` the id of an execution, `s` that of a stream entry. What follows `?` may be left out; `*` is anything.
    argv: &'static str,
    /// What a consent may look like. Fields by the same letters, `e` the id of an execution, `=word` this word, `r` any
    /// reply at all.
    consents: &'static [(Status, &'static str)],
}

const OK: Status = Status::Ok;
const SATISFIED: Status = Status::AlreadySatisfied;
const DUPLICATE: Status = Status::Duplicate;

const LEASE: &[(Status, &str)] = &[(OK, "t n n t n t")];
const DONE: &[(Status, &str)] = &[(OK, "")];
const NAMED: &[(Status, &str)] = &[(OK, "t"), (SATISFIED, "t")];
const SIGNAL: &[(Status, &str)] = &[(OK, "t t"), (DUPLICATE, "t")];
const COUNT: &[(Status, &str)] = &[(OK, "n")];
const USAGE: &[(Status, &str)] =
    &[(OK, ""), (Status::AlreadyApplied, ""), (Status::HardBreach, "t n n"), (Status::SoftBreach, "t n n")];

impl Shape {
    /// The shape of a function of FlowFabric's; none for functions that only another library has.
    pub fn of(function: &Function) -> Option<Self> {
        let (argv, consents): (&str, &[(Status, &str)]) = match function {
            Function::CreateExecution => ("etttitjtoojot", &[(OK, "e t"), (DUPLICATE, "e")]),
            Function::IssueClaimGrant => ("ettttnttt", &[(OK, "e")]),
            // Before version 28 it does not tell the expiry.
            Function::IssueReclaimGrant => ("ettttnttt", &[(OK, "e n"), (OK, "e")]),
            Function::ClaimExecution | Function::AcquireLease => ("ttttttnntjoo", LEASE),
            Function::ClaimResumedExecution => ("ttttttno", LEASE),
            Function::ReclaimExecution => ("tttttntj?n", LEASE),
            Function::IssueGrantAndClaim => ("ttttttntjoo", &[(OK, "t n n")]),
            Function::RenewLease => ("tntttnn", COUNT),
            Function::MarkLeaseExpiredIfDue => ("t", &[(OK, "=marked_expired"), (SATISFIED, "t")]),
            Function::RevokeLease => ("ttt", &[(OK, "=revoked t n"), (SATISFIED, "t")]),
            Function::CompleteExecution => ("tttttt", &[(OK, "=completed")]),
            Function::FailExecution => ("ttttttjt", &[(OK, "=retry_scheduled n"), (OK, "=terminal_failed")]),
            Function::DelayExecution => ("ttttnt", COUNT),
            Function::MoveToWaitingChildren => ("ttttt", DONE),
            Function::CancelExecution => ("ttttt", &[(OK, "=cancelled t")]),
            Function::ExpireExecution => {
                ("tt", &[(OK, "=expired t"), (OK, "=already_terminal"), (OK, "=not_found_cleaned")])
            }
            Function::ReplayExecution => ("tt*", COUNT),
            Function::PromoteDelayed => (
                "en",
                &[
                    (OK, "=promoted"),
                    (OK, "=not_yet_due"),
                    (OK, "=not_found_cleaned"),
                    (OK, "=not_runnable_cleaned"),
                    (OK, "=not_delayed_cleaned"),
                ],
            ),
            Function::BlockExecutionForAdmission => ("tttn", &[(OK, "=blocked")]),
            Function::UnblockExecution => ("tnt", &[(OK, "=unblocked")]),
            Function::ChangePriority => ("ti", &[(OK, "i i")]),
            Function::UpdateProgress => ("ttttt", DONE),
            Function::SetExecutionTags | Function::SetFlowTags => ("*", COUNT),
            Function::RegisterWorker => ("ttttpn", &[(OK, "=registered"), (OK, "=refreshed")]),
            Function::HeartbeatWorker => ("n", &[(OK, "=not_registered"), (OK, "=refreshed n")]),
            Function::SuspendExecution => {
                ("tnttttttttoJjtttntnn*", &[(OK, "t t t t n *"), (SATISFIED, "t t t t n *")])
            }
            Function::ResumeExecution => ("ttn", &[(OK, "t")]),
            Function::CreatePendingWaitpoint => ("tnttn", &[(OK, "t t t")]),
            Function::ExpireSuspension => (
                "t",
                &[
                    (OK, "=not_found_cleaned"),
                    (OK, "=not_suspended_cleaned"),
                    (OK, "=no_active_suspension_cleaned"),
                    (OK, "=not_yet_due"),
                    (OK, "t t"),
                ],
            ),
            Function::CloseWaitpoint => ("tt", &[(OK, ""), (OK, "=already_closed")]),
            Function::RotateWaitpointHmacSecret => ("ttt", &[(OK, "=noop t"), (OK, "=rotated t t n")]),
            Function::ListWaitpointHmacKids => ("", &[(OK, "t n *")]),
            Function::DeliverSignal | Function::BufferSignalForPendingWaitpoint => {
                ("ttttttttttttonnnnt", SIGNAL)
            }
            Function::AppendFrame => ("tnttttttttotottooof", &[(OK, "t n"), (OK, "t n t")]),
            Function::ReadAttemptStream => ("ssot", &[(OK, "r t t")]),
            Function::ReadSummary => ("", &[(OK, "t n t t t")]),
            Function::CreateBudget => ("ttttttnnn*", NAMED),
            Function::ReportUsageAndCheck | Function::RecordSpend => ("n*", USAGE),
            Function::ReleaseBudget => ("tt", &[(OK, "=noop"), (OK, "=released")]),
            Function::ResetBudget => ("tn", &[(OK, "t")]),
            Function::CreateQuotaPolicy => ("tnnnn", NAMED),
            Function::CheckAdmissionAndRecord => ("nnnnt?o", &[]),
            Function::ReleaseAdmission => ("t", &[(OK, "=released")]),
            Function::CreateFlow => ("ttt?t", NAMED),
            Function::AddExecutionToFlow => ("te?t", &[(OK, "e n"), (SATISFIED, "e n")]),
            Function::CancelFlow => ("ttt?to", &[(OK, "t *")]),
            Function::AckCancelMember => ("tt", DONE),
            Function::StageDependencyEdge => ("ttttttnn", &[(OK, "t n")]),
            Function::SetEdgeGroupPolicy => ("ttnn", &[(OK, "=set"), (OK, "=already_set")]),
            Function::ApplyDependencyToChild => ("tttnttn", &[(OK, "n"), (OK, "=already_applied")]),
            Function::ResolveDependency => ("ttn?tt", &[(OK, "t t"), (OK, "=already_resolved")]),
            Function::DrainSiblingCancelGroup | Function::ReconcileSiblingCancelGroup => {
                ("tt", &[(OK, "t t")])
            }
            Function::EvaluateFlowEligibility => ("", &[(OK, "t")]),
            Function::PromoteBlockedToEligible => ("tn", DONE),
            Function::Version => ("", &[]),
            Function::Unknown(_) => return None,
        };
        Some(Self { argv, consents })
    }

    /// Whether the arguments are what the function documents: as many, and each of its kind. What is left of a number that
    /// is too large for Lua to write down is not plain, either.
    pub fn takes(&self, argv: &[&[u8]]) -> bool {
        let mut rest = argv.iter();
        let mut is_optional = false;
        for kind in self.argv.bytes() {
            match kind {
                b'*' => return budget_is_plain(self.argv, argv),
                b'?' => is_optional = true,
                _ => match rest.next() {
                    Some(argument) if is_of_kind(kind, argument) => {}
                    None if is_optional => return true,
                    _ => return false,
                },
            }
        }
        rest.next().is_none()
    }

    /// Whether a consent with this status may have these fields.
    pub fn allows(&self, status: Status, fields: &[Reply]) -> bool {
        let mut rows = self.consents.iter().filter(|(known, _)| *known == status);
        rows.any(|(_, row)| are_of(row, fields))
    }

    /// Fields that a consent with this status may have, for stories that do not care which.
    #[cfg(test)]
    pub fn example(&self, status: Status, id: &str) -> Vec<String> {
        let row = self.consents.iter().find(|(known, _)| *known == status).map_or("", |(_, row)| row);
        let example = |kind: &str| match kind {
            "e" => id.to_owned(),
            "n" | "i" => "0".to_owned(),
            _ => kind.strip_prefix('=').unwrap_or("text").to_owned(),
        };
        row.split_ascii_whitespace().filter(|kind| *kind != "*").map(example).collect()
    }

    /// Whether a consent ever has this status.
    pub fn has(&self, status: Status) -> bool {
        self.consents.iter().any(|(known, _)| *known == status)
    }
}

/// Whether a text is plain JSON of a policy: an object without `null`s, whose known numbers are numbers. Empty is none.
pub fn is_plain_json(text: &[u8]) -> bool {
    if text.is_empty() {
        return true;
    }
    serde_json::from_slice::<Value>(text).is_ok_and(|value| value.is_object() && is_plain(&value))
}

/// Whether a text is a number as the library writes them: an integer that Lua keeps whole.
pub fn is_plain_number(text: &[u8]) -> bool {
    number(text).is_some()
}

fn number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().filter(|number| *number < MOST)
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(fields) => fields.iter().all(|(name, value)| {
            let is_right = match name.as_str() {
                "backoff" => value.is_object(),
                name if NUMBERS.contains(&name) => value.as_f64().is_some_and(|number| number >= 0.0),
                _ => true,
            };
            is_right && is_plain(value)
        }),
        _ => true,
    }
}

fn is_of_kind(kind: u8, argument: &[u8]) -> bool {
    let text = || std::str::from_utf8(argument).ok();
    match kind {
        b'n' => is_plain_number(argument),
        b'p' => number(argument).is_some_and(|number| number > 0),
        b'o' => argument.is_empty() || is_plain_number(argument),
        b'i' => is_plain_number(argument.strip_prefix(b"-").unwrap_or(argument)),
        b'f' => text().and_then(|text| text.parse::<f64>().ok()).is_some_and(|n| n.is_finite() && n >= 0.0),
        b'j' => is_plain_json(argument),
        b'J' => !argument.is_empty() && is_plain_json(argument),
        b'e' => argument.starts_with(b"{"),
        b's' => argument == b"-" || argument == b"+" || argument.split(|b| *b == b'-').all(is_plain_number),
        _ => true,
    }
}

/// The arguments of budgets say how many dimensions follow: names, then numbers.
fn budget_is_plain(known: &str, argv: &[&[u8]]) -> bool {
    if !known.contains('n') || known.len() > 10 {
        return true;
    }
    let at = known.len() - 2;
    let Some(count) = argv.get(at).and_then(|count| number(count)) else { return false };
    let rest = &argv[at + 1..];
    let Some(count) = usize::try_from(count).ok().filter(|count| count.saturating_mul(2) <= rest.len())
    else {
        return false;
    };
    let is_number = |argument: &&[u8]| is_plain_number(argument);
    if at > 0 {
        // Names, hard limits, soft limits.
        return rest.len() == 3 * count && rest[count..].iter().all(is_number);
    }
    // Names and then deltas, or pairs of both; the caller's now; what else there is.
    let [names_first, pairs] = [
        rest[count..2 * count].iter().all(is_number),
        rest[..2 * count].chunks(2).all(|pair| is_plain_number(pair[1])),
    ];
    (names_first || pairs) && rest.get(2 * count).is_some_and(is_number)
}

fn are_of(row: &str, fields: &[Reply]) -> bool {
    let mut rest = fields.iter();
    for kind in row.split_ascii_whitespace() {
        if kind == "*" {
            return rest.all(|field| bytes_of(field).is_some());
        }
        let Some(field) = rest.next() else { return false };
        if kind != "r" && !is_of(kind, field) {
            return false;
        }
    }
    rest.next().is_none()
}

fn is_of(kind: &str, field: &Reply) -> bool {
    let Some(bytes) = bytes_of(field) else { return false };
    match kind {
        "e" => !bytes.is_empty(),
        "n" | "i" => is_of_kind(kind.as_bytes()[0], &bytes),
        _ => kind.strip_prefix('=').is_none_or(|word| word.as_bytes() == &*bytes),
    }
}

/// The text of a field; a number may come as one.
fn bytes_of(field: &Reply) -> Option<std::borrow::Cow<'_, [u8]>> {
    match field {
        Reply::Bulk(bytes) => Some(bytes.as_ref().into()),
        Reply::Int(number) => Some(number.to_string().into_bytes().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(function: &str) -> Shape {
        Shape::of(&Function::from(function)).expect("FlowFabric's")
    }

    fn takes(function: &str, argv: &[&str]) -> bool {
        of(function).takes(&argv.iter().map(|argument| argument.as_bytes()).collect::<Vec<_>>())
    }

    #[test]
    fn every_known_function_has_a_shape_and_no_other() {
        assert!(Function::KNOWN.iter().all(|function| Shape::of(function).is_some()));
        assert_eq!(Shape::of(&Function::from("ff_moon_phase")), None);
    }

    #[test]
    fn a_number_is_plain_where_lua_can_write_it_down() {
        let renew = |ttl| takes("ff_renew_lease", &["e", "0", "a", "l", "1", ttl, "0"]);
        assert!(renew("0") && renew("30000") && renew("9999999999999"));
        for odd in ["", "x", "-1", "1.5", "nan", "inf", "1e3", "0x10", "10000000000000", "9007199254740993"] {
            assert!(!renew(odd), "{odd}");
        }
        assert!(takes("ff_change_priority", &["e", "-1"]) && !takes("ff_change_priority", &["e", "1.5"]));
    }

    #[test]
    fn what_may_be_empty_and_what_may_be_left_out() {
        let resume =
            |timeout| takes("ff_claim_resumed_execution", &["e", "w", "i", "l", "", "x", "5", timeout]);
        assert!(resume("") && resume("7") && !resume("soon"));
        let reclaim = ["e", "w", "i", "l", "x", "5", "a", "", "3"];
        assert!(takes("ff_reclaim_execution", &reclaim) && takes("ff_reclaim_execution", &reclaim[..8]));
        assert!(!takes("ff_reclaim_execution", &reclaim[..7]), "too few");
        assert!(!takes("ff_mark_lease_expired_if_due", &["e", "more"]), "too many");
    }

    #[test]
    fn a_policy_is_an_object_whose_numbers_are_numbers() {
        for plain in ["", "{}", r#"{"max_retries":2,"backoff":{"type":"exponential","multiplier":1.5}}"#] {
            assert!(is_plain_json(plain.as_bytes()), "{plain}");
        }
        for odd in ["[", "7", "[]", r#"{"backoff":null}"#, r#"{"max_retries":"many"}"#, r#"{"a":{"b":null}}"#]
        {
            assert!(!is_plain_json(odd.as_bytes()), "{odd}");
        }
    }

    #[test]
    fn a_budgets_dimensions_are_counted() {
        let report = |argv: &[&str]| takes("ff_report_usage_and_check", argv);
        assert!(report(&["2", "tokens", "usd", "5", "1", "1700000000000", "dedup"]));
        assert!(!report(&["2", "tokens", "usd", "5", "0.5", "1700000000000", ""]));
        assert!(!report(&["9", "tokens", "5", "1700000000000"]) && !report(&["x"]) && !report(&[]));
        assert!(takes("ff_record_spend", &["1", "tokens", "5", "1700000000000", "", "e"]));
        let create = |rest: &[&str]| {
            takes("ff_create_budget", &[&["b", "s", "i", "m", "h", "s", "0", "1"], rest].concat())
        };
        assert!(create(&["1", "tokens", "5", "4"]) && create(&["0"]) && !create(&["1", "tokens", "x", "4"]));
    }

    #[test]
    fn a_consent_has_its_fields_and_no_others() {
        let texts = |fields: &[&str]| fields.iter().map(Reply::bulk).collect::<Vec<_>>();
        let renew = of("ff_renew_lease");
        assert!(renew.allows(OK, &texts(&["5"])) && renew.allows(OK, &[Reply::Int(5)]));
        for odd in [&[][..], &["5", "6"], &["soon"], &["5.5"]] {
            assert!(!renew.allows(OK, &texts(odd)), "{odd:?}");
        }
        assert!(!renew.allows(OK, &[Reply::Null]) && !renew.has(DUPLICATE));
        let fail = of("ff_fail_execution");
        assert!(
            fail.allows(OK, &texts(&["terminal_failed"]))
                && fail.allows(OK, &texts(&["retry_scheduled", "5"]))
        );
        assert!(!fail.allows(OK, &texts(&["retry_scheduled"])) && !fail.allows(OK, &texts(&["gone"])));
        assert!(of("ff_cancel_flow").allows(OK, &texts(&["cancel_all", "{fp:1}:a", "{fp:1}:b"])));
    }
}
