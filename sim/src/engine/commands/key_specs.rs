//! Where a command's keys are, read from the key specifications that a server publishes: for `COMMAND GETKEYS` only.
//! What the engine itself does with keys goes by [`Keys`](super::Keys).

use super::parse::is;
use crate::engine::{Reply, number::parse_i64};

/// A key, and what is done to it: `RW`, `access` …
pub type Key<'a> = (&'a [u8], Vec<Reply>);

/// The key specifications in what `COMMAND INFO` tells about a command.
pub fn of(info: &Reply) -> &[Reply] {
    match info {
        Reply::Array(parts) => match parts.get(8) {
            Some(Reply::Set(specs)) => specs,
            _ => &[],
        },
        _ => &[],
    }
}

/// The keys among a command's arguments, specification by specification; `None` when the arguments do not fit.
pub fn keys<'a>(specs: &[Reply], args: &[&'a [u8]]) -> Option<Vec<Key<'a>>> {
    let mut keys = Vec::new();
    for spec in specs {
        let flags = flags(spec, args)?;
        let at = range(spec, args)?;
        keys.extend(at.map(|at| (args[at], flags.clone())));
    }
    Some(keys)
}

/// What is done to the keys of a specification. Only `SET` does now this, now that.
fn flags(spec: &Reply, args: &[&[u8]]) -> Option<Vec<Reply>> {
    let Reply::Set(flags) = member(spec, "flags")? else { return None };
    let words = |words: &[&'static str]| words.iter().map(|word| Reply::Status((*word).into())).collect();
    if !flags.contains(&Reply::Status("variable_flags".into())) {
        return Some(flags.clone());
    }
    let reads = args.iter().skip(3).any(|arg| is(arg, "GET"));
    Some(if reads { words(&["RW", "access", "update"]) } else { words(&["OW", "update"]) })
}

/// The places of the keys of a specification.
fn range(spec: &Reply, args: &[&[u8]]) -> Option<std::iter::StepBy<std::ops::RangeInclusive<usize>>> {
    let count = args.len() as i64;
    let mut first = begin(member(spec, "begin_search")?, args)?;
    let find = member(spec, "find_keys")?;
    let found = member(find, "spec")?;
    let step = number(found, "keystep")?;
    let last = match kind(find)? {
        b"range" => match (number(found, "lastkey")?, number(found, "limit")?) {
            (last @ 0.., _) => first + last,
            (-1, limit @ 2..) => first + (count - first) / limit - 1,
            (last, _) => count + last,
        },
        b"keynum" => {
            let at = usize::try_from(first + number(found, "keynumidx")?).ok()?;
            let keys = parse_i64(args.get(at)?).ok().filter(|keys| (0..=count).contains(keys))?;
            if keys == 0 {
                return Some(nothing());
            }
            first += number(found, "firstkey")?;
            first + (keys - 1) * step
        }
        _ => return None,
    };
    let fits = (1..count).contains(&first) && (first..count).contains(&last) && step > 0;
    fits.then(|| (first as usize..=last as usize).step_by(step as usize))
}

fn nothing() -> std::iter::StepBy<std::ops::RangeInclusive<usize>> {
    #[allow(clippy::reversed_empty_ranges)] // Empty on purpose.
    (1..=0).step_by(1)
}

/// Where to look for keys.
fn begin(search: &Reply, args: &[&[u8]]) -> Option<i64> {
    let spec = member(search, "spec")?;
    match kind(search)? {
        b"index" => number(spec, "index"),
        b"keyword" => {
            let Reply::Bulk(word) = member(spec, "keyword")? else { return None };
            let from = number(spec, "startfrom")?;
            let is_word = |at: &usize| args[*at].eq_ignore_ascii_case(word);
            let found = if from >= 0 {
                (from as usize..args.len()).find(is_word)?
            } else {
                (1..=args.len().checked_sub(from.unsigned_abs() as usize)?).rev().find(is_word)?
            };
            Some(found as i64 + 1)
        }
        _ => None,
    }
}

fn kind(part: &Reply) -> Option<&[u8]> {
    match member(part, "type")? {
        Reply::Bulk(kind) => Some(kind),
        _ => None,
    }
}

fn number(spec: &Reply, name: &str) -> Option<i64> {
    match member(spec, name)? {
        Reply::Int(value) => Some(*value),
        _ => None,
    }
}

fn member<'r>(map: &'r Reply, name: &str) -> Option<&'r Reply> {
    let Reply::Map(pairs) = map else { return None };
    let is_named =
        |(key, _): &&(Reply, Reply)| matches!(key, Reply::Bulk(text) if &text[..] == name.as_bytes());
    pairs.iter().find(is_named).map(|(_, value)| value)
}
