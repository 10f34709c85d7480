//! How two replies differ, and a reply as text.

use valkey_sim::engine::Reply;

use super::{
    Row,
    difference::{Change, Kind, ReplyPart},
    shape,
};
use crate::{
    protocol::reply::answer,
    types::{Answer, Code},
};

/// Up to so many fields are compared one by one.
const MOST_FIELDS: usize = 16;
/// What stands before a line number in the errors that Lua raises.
const PLACE: &str = "user_function:";

/// How two replies differ. The lines of the library in an error's text do not count: a comment moves them.
pub(super) fn differences(old: &Reply, new: &Reply) -> Vec<(Kind, Row)> {
    if old == new {
        return Vec::new();
    }
    let (old_answer, new_answer) = (plain_answer(old), plain_answer(new));
    let row = |what: &str, old: &Reply, new: &Reply| Row::reply(what, Some(text(old)), Some(text(new)));
    if old_answer != new_answer {
        // The replies themselves are shown with every call.
        return vec![(Kind::Answer { old: old_answer, new: new_answer }, row("reply", old, new))];
    }
    let differs = |part| Kind::Reply { answer: old_answer.clone(), part, change: Change::Other };
    match (&old_answer, old, new) {
        (Answer::Error(_), ..) if without_lines(&text(old)) == without_lines(&text(new)) => Vec::new(),
        (Answer::Error(_), ..) => vec![(differs(ReplyPart::Text), row("text", old, new))],
        (Answer::Consent(_) | Answer::Refusal(_), Reply::Array(olds), Reply::Array(news))
            if olds.len().max(news.len()) <= MOST_FIELDS + 2 =>
        {
            let found = fields(&old_answer, &olds[2..], &news[2..]);
            // What is left is a code that holds an id.
            if found.is_empty() { vec![(differs(ReplyPart::Fields), row("fields", old, new))] } else { found }
        }
        (Answer::Other, ..) => vec![(differs(ReplyPart::Whole), row("reply", old, new))],
        _ => vec![(differs(ReplyPart::Fields), row("fields", old, new))],
    }
}

/// The fields that differ, by their places.
fn fields(answer: &Answer, olds: &[Reply], news: &[Reply]) -> Vec<(Kind, Row)> {
    let differs = |place: usize| {
        let (old, new) = (olds.get(place), news.get(place));
        let change = Change::of(&None, &old, &new)?;
        let part = ReplyPart::Field(place + 1);
        let row = Row::reply(&format!("field {}", place + 1), old.map(text), new.map(text));
        Some((Kind::Reply { answer: answer.clone(), part, change }, row))
    };
    (0..olds.len().max(news.len())).filter_map(differs).collect()
}

/// A reply in a word that holds no ids, whatever a library says.
fn plain_answer(reply: &Reply) -> Answer {
    match answer(reply) {
        Answer::Refusal(Code::Unknown(word)) => Answer::Refusal(Code::from(&*shape::of_text(&word))),
        Answer::Error(code) => Answer::Error(shape::of_text(&code).into()),
        answer => answer,
    }
}

/// Whether the function consented.
pub(super) fn is_consent(reply: &Reply) -> bool {
    matches!(answer(reply), Answer::Consent(_))
}

/// A reply as text: `{1, "OK", "1735689600450"}`.
pub(super) fn text(reply: &Reply) -> String {
    let list = |items: &[Reply]| items.iter().map(text).collect::<Vec<_>>().join(", ");
    match reply {
        Reply::Status(status) => format!("+{status}"),
        Reply::Error(error) => format!("-{error}"),
        Reply::Int(number) => number.to_string(),
        Reply::Bulk(bytes) | Reply::Verbatim(_, bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Reply::Null | Reply::NullArray | Reply::Nothing => "nil".to_owned(),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => format!("{{{}}}", list(items)),
        Reply::Map(pairs) => {
            let pairs: Vec<_> =
                pairs.iter().map(|(key, value)| format!("{} = {}", text(key), text(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Reply::Double(number) => number.to_string(),
        Reply::Bool(value) => value.to_string(),
        Reply::BigNumber(number) => number.clone(),
    }
}

/// An error's text without the numbers of the lines at which it was raised.
fn without_lines(text: &str) -> String {
    let mut pieces = text.split(PLACE);
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |told, piece| {
        let rest = piece.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
        told + PLACE + rest
    })
}

#[cfg(test)]
mod tests {
    use valkey_sim::engine::ErrorReply;

    use super::*;

    fn said(flag: i64, words: &[&str]) -> Reply {
        Reply::Array(std::iter::once(Reply::Int(flag)).chain(words.iter().map(Reply::bulk)).collect())
    }

    fn kinds(old: &Reply, new: &Reply) -> Vec<String> {
        let name = |(kind, _): (Kind, Row)| {
            let function = crate::types::Function::RenewLease;
            super::super::Difference { function, kind }.to_string()
        };
        differences(old, new).into_iter().map(name).collect()
    }

    #[test]
    fn a_status_a_code_and_a_field_are_told_apart() {
        let ok = said(1, &["OK", "5", "6"]);
        for (other, expected) in [
            (said(1, &["OK", "5", "6"]), vec![]),
            (said(1, &["DUPLICATE", "5", "6"]), vec!["ff_renew_lease/reply/OK->DUPLICATE"]),
            (said(0, &["stale_lease"]), vec!["ff_renew_lease/reply/OK->stale_lease"]),
            (said(1, &["OK", "5", "7"]), vec!["ff_renew_lease/reply/OK/field-2/other"]),
            (said(1, &["OK", "5"]), vec!["ff_renew_lease/reply/OK/field-2/missing"]),
            (said(1, &["OK", "5", "6", "7"]), vec!["ff_renew_lease/reply/OK/field-3/extra"]),
            (Reply::OK, vec!["ff_renew_lease/reply/OK->reply"]),
        ] {
            assert_eq!(kinds(&ok, &other), expected, "{other:?}");
        }
        let (one, other) = (said(0, &["stale_lease", "a"]), said(0, &["stale_lease", "b"]));
        assert_eq!(kinds(&one, &other), ["ff_renew_lease/reply/stale_lease/detail-1/other"]);
    }

    #[test]
    fn a_number_is_not_the_text_of_one() {
        let (text, mut number) = (said(1, &["OK", "5"]), said(1, &["OK"]));
        let Reply::Array(items) = &mut number else { unreachable!() };
        items.push(Reply::Int(5));
        let differences = differences(&text, &number);
        let (_, row) = &differences[0];
        assert_eq!((row.old.as_deref(), row.new.as_deref()), (Some("\"5\""), Some("5")));
    }

    #[test]
    fn an_error_is_the_same_at_another_line_and_another_with_another_text() {
        let error = |text: &str| Reply::Error(ErrorReply::from(text.to_owned()));
        let one = error("ERR user_function:7: no field script: ff_x, on @user_function:7.");
        let moved = error("ERR user_function:12: no field script: ff_x, on @user_function:12.");
        assert!(kinds(&one, &moved).is_empty());
        let other = error("ERR user_function:7: no lease script: ff_x, on @user_function:7.");
        assert_eq!(kinds(&one, &other), ["ff_renew_lease/reply/ERR/text/other"]);
        assert_eq!(kinds(&one, &said(1, &["OK"])), ["ff_renew_lease/reply/ERR->OK"]);
    }

    #[test]
    fn replies_outside_of_the_grammar_and_long_lists_differ_as_a_whole() {
        assert_eq!(kinds(&Reply::Int(1), &Reply::Int(2)), ["ff_renew_lease/reply/reply/whole/other"]);
        let long = |last: &str| said(1, &[&["OK"; 30][..], &[last]].concat());
        assert_eq!(kinds(&long("a"), &long("b")), ["ff_renew_lease/reply/OK/fields/other"]);
    }

    #[test]
    fn an_unknown_code_names_no_ids() {
        let (one, other) = (said(0, &["no_such_7"]), said(0, &["no_such_8"]));
        assert!(kinds(&one, &said(0, &["gone"]))[0].ends_with("no_such_#->gone"));
        assert_eq!(kinds(&one, &other), ["ff_renew_lease/reply/no_such_#/fields/other"]);
    }
}
