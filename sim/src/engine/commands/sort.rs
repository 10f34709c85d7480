//! SORT and SORT_RO: the elements of a list or set in another order, or what other keys say about them.

use std::cmp::Ordering;

use bytes::Bytes;

use super::{
    Command, Flags, Keys,
    parse::{Words, is},
};
use crate::engine::{
    CommandResult, Context, ErrorReply, Reply, SYNTAX, WRONG_TYPE,
    number::{self, parse_i64},
    value::{List, Value},
};

const READ: Flags = Flags::READONLY.and(Flags::LINEAR);
const GROW: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::LINEAR);

/// The family.
pub const COMMANDS: &[Command] = &[
    Command::new("SORT", -2, GROW, |cx| sort(cx, true)).on(Keys::Sorted),
    Command::new("SORT_RO", -2, READ, |cx| sort(cx, false)).on(Keys::Sorted),
];

/// What is asked for.
#[derive(Default)]
struct Request<'a> {
    descending: bool,
    alpha: bool,
    limit: Option<(i64, i64)>,
    store: Option<&'a [u8]>,
    by: Option<&'a [u8]>,
    get: Vec<&'a [u8]>,
}

impl<'a> Request<'a> {
    fn parse(cx: &Context<'a>, may_store: bool) -> Result<Self, ErrorReply> {
        let mut request = Self::default();
        let mut words = Words::from(cx, 2);
        while let Some(word) = words.next() {
            if is(word, "ASC") {
                request.descending = false;
            } else if is(word, "DESC") {
                request.descending = true;
            } else if is(word, "ALPHA") {
                request.alpha = true;
            } else if is(word, "LIMIT") {
                let [start, count] = words.take_slice(2).ok_or(SYNTAX)? else { return Err(SYNTAX) };
                request.limit = Some((parse_i64(start)?, parse_i64(count)?));
            } else if is(word, "STORE") && may_store {
                request.store = Some(words.value()?);
            } else if is(word, "BY") {
                request.by = Some(words.value()?);
            } else if is(word, "GET") {
                request.get.push(words.value()?);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(request)
    }

    /// The positions that are asked for, of so many.
    fn positions(&self, len: usize) -> std::ops::Range<usize> {
        let (start, count) = self.limit.unwrap_or((0, -1));
        let start = usize::try_from(start).unwrap_or_default().min(len);
        let count = usize::try_from(count).unwrap_or(len).min(len);
        start..start.saturating_add(count).min(len)
    }
}

fn sort(cx: &mut Context<'_>, may_store: bool) -> CommandResult {
    let request = Request::parse(cx, may_store)?;
    let is_set = matches!(cx.get(cx.arg(1)), Some(Value::Set(_)));
    let mut elements = elements(cx)?;
    // A pattern without a place for the element says that there is nothing to sort by.
    let is_constant = request.by.is_some_and(|pattern| !pattern.contains(&b'*'));
    let is_forced = is_constant && is_set && (request.store.is_some() || cx.script.is_some());
    let order = Order {
        by: request.by.filter(|_| !is_constant),
        alpha: request.alpha || is_forced,
        descending: request.descending,
        bytewise: request.store.is_some(),
    };
    if !is_constant || is_forced {
        elements = order.sorted(cx, elements)?;
    } else if request.descending && !is_set {
        elements.reverse();
    }
    let elements = &elements[request.positions(elements.len())];
    let mut results: Vec<Option<Bytes>> = Vec::new();
    for element in elements {
        if request.get.is_empty() {
            results.push(Some(element.clone()));
        }
        for pattern in &request.get {
            results.push(look_up(cx, pattern, element));
        }
    }
    let Some(target) = request.store else {
        let replies = results.into_iter().map(|result| result.map_or(Reply::Null, Reply::Bulk));
        return Ok(Reply::Array(replies.collect()));
    };
    let list: List = results.into_iter().map(Option::unwrap_or_default).collect();
    let len = list.len();
    if cx.store(target, list, len == 0) {
        if len == 0 {
            cx.propagate_as(&[b"DEL", target]);
        } else {
            cx.propagate();
        }
    }
    Ok(Reply::Int(len as i64))
}

/// The elements as they are listed.
fn elements(cx: &mut Context<'_>) -> Result<Vec<Bytes>, ErrorReply> {
    Ok(match cx.get(cx.arg(1)) {
        None => Vec::new(),
        Some(Value::List(list)) => list.iter().cloned().collect(),
        Some(Value::Set(set)) => set.iter().cloned().collect(),
        Some(Value::SortedSet(zset)) => zset.iter().map(|(member, _)| member.clone()).collect(),
        Some(_) => return Err(WRONG_TYPE),
    })
}

/// What a pattern says about an element: `#` is itself, `weight_*` the string of that name, `h_*->field` a field of a hash.
fn look_up(cx: &mut Context<'_>, pattern: &[u8], element: &Bytes) -> Option<Bytes> {
    if pattern == b"#" {
        return Some(element.clone());
    }
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = after.windows(2).position(|pair| pair == b"->").filter(|at| at + 2 < after.len());
    let (after, field) = arrow.map_or((after, None), |at| (&after[..at], Some(&after[at + 2..])));
    let key = [before, element, after].concat();
    match (cx.get(&key)?, field) {
        (Value::Hash(hash), Some(field)) => hash.get(field).cloned(),
        (Value::String(text), None) => Some(text.clone()),
        _ => None,
    }
}

/// What an element is sorted by, as text and as a number; and the element.
type Weighed = (Option<Bytes>, f64, Bytes);

/// By what elements are sorted.
struct Order<'a> {
    by: Option<&'a [u8]>,
    alpha: bool,
    /// The last comes first. What is equal stays as it is.
    descending: bool,
    /// All bytes of a text count, and not only those up to its first zero.
    bytewise: bool,
}

impl Order<'_> {
    /// The elements in order.
    fn sorted(&self, cx: &mut Context<'_>, elements: Vec<Bytes>) -> Result<Vec<Bytes>, ErrorReply> {
        let mut weighed: Vec<Weighed> = Vec::with_capacity(elements.len());
        let mut are_numbers = true;
        for element in elements {
            let weight = match self.by {
                Some(pattern) => look_up(cx, pattern, &element),
                None => Some(element.clone()),
            };
            let score = match &weight {
                Some(weight) if !self.alpha => to_number(weight).unwrap_or_else(|| {
                    are_numbers = false;
                    0.0
                }),
                _ => 0.0,
            };
            weighed.push((weight, score, element));
        }
        if !are_numbers {
            return Err(ErrorReply::new("ERR One or more scores can't be converted into double"));
        }
        let compare =
            |(weight, score, element): &Weighed, (other_weight, other_score, other): &Weighed| match self
                .alpha
            {
                true => match (weight, other_weight) {
                    (Some(weight), Some(other)) => self.compare(weight, other),
                    (weight, other) => weight.is_some().cmp(&other.is_some()),
                },
                false => {
                    score.partial_cmp(other_score).unwrap_or(Ordering::Equal).then_with(|| element.cmp(other))
                }
            };
        weighed.sort_by(|one, other| match self.descending {
            true => compare(other, one),
            false => compare(one, other),
        });
        Ok(weighed.into_iter().map(|(_, _, element)| element).collect())
    }

    /// Compares texts as C does, unless they are to be stored.
    fn compare(&self, one: &[u8], other: &[u8]) -> Ordering {
        if self.bytewise { one.cmp(other) } else { until_zero(one).cmp(until_zero(other)) }
    }
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number as `strtod` reads it to its end: leading spaces are skipped, and nothing is 0.
fn to_number(text: &[u8]) -> Option<f64> {
    let text = until_zero(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != 0x0b);
    number::parse_f64(&text[start?..]).ok()
}
