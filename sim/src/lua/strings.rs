//! `string.find`, `match`, `gmatch` and `gsub`, on a matcher whose work is bounded; and `string.char`.

use std::{io::Write as _, os::raw::c_int};

use memchr::memmem;

use super::{
    pattern::{Captured, Matcher, Problem, until_zero},
    raw::{Kind, Lua, Native, Outcome, Raised, native},
};

/// What replaces Lua's own.
pub const FUNCTIONS: &[(&str, Native)] = &[
    ("find", native!(find)),
    ("match", native!(find_captures)),
    ("gmatch", native!(gmatch)),
    ("gfind", native!(gmatch)),
    ("gsub", native!(gsub)),
    ("char", native!(char)),
];

/// `char(…)`: the bytes with these values.
fn char(lua: &mut Lua<'_>) -> Outcome {
    lua.with(|state| state.scratch.clear());
    for index in 1..=lua.top() {
        let Ok(byte) = u8::try_from(lua.check_int(index)) else {
            return Err(lua.bad_argument(index, c"invalid value"));
        };
        lua.with(|state| state.scratch.push(byte));
    }
    lua.push_scratch();
    Ok(1)
}

fn raise(lua: &Lua<'_>, problem: Problem) -> Raised {
    match problem {
        Problem::Pattern(text) => lua.error_here(format_args!("{text}")),
        Problem::OutOfSteps => lua.kill(),
    }
}

/// The first match at or behind a place, paid for by the call.
fn search(
    lua: &Lua<'_>,
    matcher: &mut Matcher<'_>,
    from: usize,
    anchored: bool,
) -> Result<Option<(usize, usize)>, Raised> {
    let found =
        lua.with(|state| matcher.search(from, anchored, &mut state.choices, &mut state.instructions_left));
    found.map_err(|problem| raise(lua, problem))
}

fn find(lua: &mut Lua<'_>) -> Outcome {
    // SAFETY: arguments 1 and 2 stay on the stack.
    let (subject, pattern) = unsafe { (lua.check_held(1), lua.check_held(2)) };
    let from = start(lua, subject.len());
    let is_plain = |pattern| !until_zero(pattern).iter().any(|byte| b"^$*+?.([%-".contains(byte));
    if lua.truth(4) || is_plain(pattern) {
        lua.charge((subject.len() - from + pattern.len()) as u64 / 16)?;
        let Some(offset) = memmem::find(&subject[from..], pattern) else {
            lua.push_nil();
            return Ok(1);
        };
        push_range(lua, from + offset, from + offset + pattern.len());
        return Ok(2);
    }
    let (mut matcher, anchored) = Matcher::anchored(subject, pattern);
    let Some((start, end)) = search(lua, &mut matcher, from, anchored)? else {
        lua.push_nil();
        return Ok(1);
    };
    push_range(lua, start, end);
    if matcher.captures() == 0 {
        return Ok(2);
    }
    Ok(2 + push_captures(lua, &matcher, start, end)?)
}

fn find_captures(lua: &mut Lua<'_>) -> Outcome {
    // SAFETY: arguments 1 and 2 stay on the stack.
    let (subject, pattern) = unsafe { (lua.check_held(1), lua.check_held(2)) };
    let from = start(lua, subject.len());
    let (mut matcher, anchored) = Matcher::anchored(subject, pattern);
    match search(lua, &mut matcher, from, anchored)? {
        Some((start, end)) => push_captures(lua, &matcher, start, end),
        None => {
            lua.push_nil();
            Ok(1)
        }
    }
}

/// Where argument 3 says that the search begins: a place from 1, or from the end when it is negative.
fn start(lua: &Lua<'_>, length: usize) -> usize {
    let place = lua.optional_integer(3, 1);
    let place = if place < 0 { place.saturating_add(length as i64) } else { place.saturating_sub(1) };
    usize::try_from(place).unwrap_or(0).min(length)
}

/// Pushes the first and last place of a range.
fn push_range(lua: &Lua<'_>, start: usize, end: usize) {
    lua.push_number(start as f64 + 1.0);
    lua.push_number(end as f64);
}

/// Pushes all captures of a match, or the whole when it has none.
fn push_captures(lua: &Lua<'_>, matcher: &Matcher<'_>, start: usize, end: usize) -> Outcome {
    let count = matcher.captures().max(1);
    if !lua.reserve(count as c_int) {
        return Err(lua.error_here(format_args!("stack overflow (too many captures)")));
    }
    for index in 0..count {
        push_capture(lua, matcher, index, start, end)?;
    }
    Ok(count as c_int)
}

fn push_capture(
    lua: &Lua<'_>,
    matcher: &Matcher<'_>,
    index: usize,
    start: usize,
    end: usize,
) -> Result<(), Raised> {
    match matcher.capture(index, start, end).map_err(|problem| raise(lua, problem))? {
        Captured::Text(text) => lua.push_bytes(text),
        Captured::Position(place) => lua.push_number(place as f64),
    }
    Ok(())
}

/// `gmatch(subject, pattern)`: an iterator, which keeps both and the place where it goes on.
fn gmatch(lua: &mut Lua<'_>) -> Outcome {
    lua.check_bytes(1);
    lua.check_bytes(2);
    lua.set_top(2);
    lua.push_number(0.0);
    lua.push_native(native!(gmatch_next), 3);
    Ok(1)
}

fn gmatch_next(lua: &mut Lua<'_>) -> Outcome {
    // SAFETY: upvalues 1 and 2 are the iterator's for as long as it runs; only the third is ever replaced.
    let text = |number| unsafe { lua.held(lua.upvalue(number)) }.unwrap_or_default();
    let (subject, pattern) = (text(1), text(2));
    let from = lua.number(lua.upvalue(3)) as usize;
    let mut matcher = Matcher::new(subject, pattern);
    let Some((start, end)) = search(lua, &mut matcher, from, false)? else { return Ok(0) };
    let next = if end == start { end + 1 } else { end };
    lua.push_number(next as f64);
    lua.replace(lua.upvalue(3));
    push_captures(lua, &matcher, start, end)
}

fn gsub(lua: &mut Lua<'_>) -> Outcome {
    // SAFETY: arguments 1 and 2 stay on the stack.
    let (subject, pattern) = unsafe { (lua.check_held(1), lua.check_held(2)) };
    let most = lua.optional_int(4, subject.len() as c_int + 1);
    if !matches!(lua.kind(3), Kind::Number | Kind::String | Kind::Function | Kind::Table) {
        return Err(lua.bad_argument(3, c"string/function/table expected"));
    }
    let (mut matcher, anchored) = Matcher::anchored(subject, pattern);
    // A replacement may call `gsub`: its result is put together behind this one's.
    let result = lua.with(|state| state.replaced.len());
    let (mut from, mut count) = (0, 0);
    while count < most {
        let Some((start, end)) = search(lua, &mut matcher, from, anchored)? else { break };
        append(lua, &subject[from..start])?;
        count += 1;
        replace(lua, &matcher, subject, start, end)?;
        from = end;
        if end == start {
            // Behind an empty match, the next byte stays.
            let Some(byte) = subject.get(start..=start) else { break };
            append(lua, byte)?;
            from += 1;
        }
        if anchored {
            break;
        }
    }
    append(lua, &subject[from..])?;
    lua.push_replaced(result);
    lua.with(|state| state.replaced.truncate(result));
    lua.push_number(f64::from(count));
    Ok(2)
}

fn append(lua: &Lua<'_>, text: &[u8]) -> Result<(), Raised> {
    lua.charge_output(text.len())?;
    lua.with(|state| state.replaced.extend_from_slice(text));
    Ok(())
}

/// Appends what stands for a match: by the string, table or function that argument 3 is.
fn replace(
    lua: &mut Lua<'_>,
    matcher: &Matcher<'_>,
    subject: &[u8],
    start: usize,
    end: usize,
) -> Result<(), Raised> {
    match lua.kind(3) {
        Kind::Function => {
            lua.push_copy(3);
            let captures = push_captures(lua, matcher, start, end)?;
            lua.call(captures, 1);
        }
        Kind::Table => {
            push_capture(lua, matcher, 0, start, end)?;
            lua.get(3);
        }
        _ => return append_template(lua, matcher, start, end),
    }
    if !lua.truth(-1) {
        append(lua, &subject[start..end])?;
    } else if let Some(text) = lua.text(-1) {
        append(lua, text)?;
    } else {
        let kind = lua.type_name(-1);
        return Err(lua.error_here(format_args!("invalid replacement value (a {kind})")));
    }
    lua.pop(1);
    Ok(())
}

/// Appends argument 3 with the captures in the places of `%0` to `%9`.
fn append_template(lua: &Lua<'_>, matcher: &Matcher<'_>, start: usize, end: usize) -> Result<(), Raised> {
    let mut template = lua.text(3).unwrap_or_default();
    while let Some(escape) = memchr::memchr(b'%', template) {
        append(lua, &template[..escape])?;
        // What Lua finds behind a `%` at the end is its strings' final zero.
        let escaped = template.get(escape + 1).copied().unwrap_or(0);
        template = template.get(escape + 2..).unwrap_or_default();
        let captured = match escaped {
            b'0' => matcher.whole(start, end),
            b'1'..=b'9' => matcher
                .capture(usize::from(escaped - b'1'), start, end)
                .map_err(|problem| raise(lua, problem))?,
            _ => {
                append(lua, &[escaped])?;
                continue;
            }
        };
        match captured {
            Captured::Text(text) => append(lua, text)?,
            Captured::Position(place) => {
                lua.charge_output(20)?;
                lua.with(|state| drop(write!(state.replaced, "{place}")));
            }
        }
    }
    append(lua, template)
}
