//! The functions of `table` that loop: Lua's own answers, and every step paid for.

use std::os::raw::c_int;

use super::{
    raw::{Kind, Lua, Native, Outcome, Raised, native},
    sandbox,
};

/// What replaces Lua's own.
pub const FUNCTIONS: &[(&str, Native)] = &[
    ("insert", native!(insert)),
    ("remove", native!(remove)),
    ("sort", native!(sort)),
    ("maxn", native!(maxn)),
    ("foreach", native!(foreach)),
    ("foreachi", native!(foreachi)),
];

/// What is put in front of Lua's own, which is its upvalue.
pub const WRAPPERS: &[(&str, Native)] = &[("concat", native!(concat))];

/// `insert(table [, position], value)`. Lua's own takes a position of 2^31 for a negative one, and moves two thousand
/// million elements; here they are paid for before the first one moves.
fn insert(lua: &mut Lua<'_>) -> Outcome {
    sandbox::refuse_proxy(lua)?;
    lua.check_table(1);
    let end = (lua.length(1) as c_int).wrapping_add(1);
    let position = match lua.top() {
        2 => end,
        3 => lua.check_int(2),
        _ => return Err(lua.error_here(format_args!("wrong number of arguments to 'insert'"))),
    };
    lua.charge((i64::from(end) - i64::from(position)).max(0) as u64)?;
    for index in (position..end).rev() {
        lua.raw_geti(1, index);
        lua.raw_seti(1, index + 1);
    }
    lua.raw_seti(1, position);
    Ok(0)
}

/// `remove(table [, position])`: pays for the elements that move down.
fn remove(lua: &mut Lua<'_>) -> Outcome {
    lua.check_table(1);
    let end = lua.length(1) as c_int;
    let position = lua.optional_int(2, end);
    if !(1..=end).contains(&position) {
        return Ok(0);
    }
    lua.charge((end - position) as u64)?;
    lua.raw_geti(1, position);
    for index in position..end {
        lua.raw_geti(1, index + 1);
        lua.raw_seti(1, index);
    }
    lua.push_nil();
    lua.raw_seti(1, end);
    Ok(1)
}

/// `concat(table [, separator [, first [, last]]])`: pays for the elements, of which there are no more than memory
/// holds.
fn concat(lua: &mut Lua<'_>) -> Outcome {
    if lua.kind(1) == Kind::Table {
        let first = sandbox::narrow(lua, 3).unwrap_or(1);
        let last = sandbox::narrow(lua, 4).unwrap_or(lua.length(1) as c_int);
        let elements = (i64::from(last) - i64::from(first) + 1).max(0) as u64;
        let held = lua.with(|state| state.memory_used()) / 16;
        lua.charge(elements.min(held as u64))?;
    }
    lua.tail_call(lua.upvalue(1))
}

/// `maxn(table)`: the largest key that is a number.
fn maxn(lua: &mut Lua<'_>) -> Outcome {
    lua.check_table(1);
    let mut largest = 0.0;
    lua.push_nil();
    while lua.next(1) {
        lua.charge(1)?;
        lua.pop(1);
        if lua.kind(-1) == Kind::Number {
            largest = lua.number(-1).max(largest);
        }
    }
    lua.push_number(largest);
    Ok(1)
}

/// `foreach(table, function)`: until the function returns something.
fn foreach(lua: &mut Lua<'_>) -> Outcome {
    lua.check_table(1);
    lua.check_function(2);
    sandbox::reveal(lua);
    lua.push_nil();
    while lua.next(1) {
        lua.charge(1)?;
        lua.push_copy(2);
        lua.push_copy(-3);
        lua.push_copy(-3);
        lua.call(2, 1);
        if lua.kind(-1) != Kind::Nil {
            return Ok(1);
        }
        lua.pop(2);
    }
    Ok(0)
}

/// `foreachi(table, function)`: the elements only.
fn foreachi(lua: &mut Lua<'_>) -> Outcome {
    lua.check_table(1);
    lua.check_function(2);
    for index in 1..=lua.length(1) as c_int {
        lua.charge(1)?;
        lua.push_copy(2);
        lua.push_number(f64::from(index));
        lua.raw_geti(1, index);
        lua.call(2, 1);
        if lua.kind(-1) != Kind::Nil {
            return Ok(1);
        }
        lua.pop(1);
    }
    Ok(0)
}

/// `sort(table [, less])`: Sedgewick's quicksort as Lua has it, since the order of what compares equal, and what an
/// inconsistent `less` comes to, show the algorithm.
fn sort(lua: &mut Lua<'_>) -> Outcome {
    lua.check_table(1);
    let length = lua.length(1) as c_int;
    lua.check_stack(40);
    if !matches!(lua.kind(2), Kind::None | Kind::Nil) {
        lua.check_function(2);
    }
    lua.set_top(2);
    sort_range(lua, 1, length)?;
    Ok(0)
}

fn sort_range(lua: &mut Lua<'_>, mut low: c_int, mut high: c_int) -> Result<(), Raised> {
    while low < high {
        order(lua, low, high)?;
        if high - low == 1 {
            break;
        }
        let middle = (low + high) / 2;
        if !order(lua, low, middle)? {
            order(lua, middle, high)?;
        }
        if high - low == 2 {
            break;
        }
        // The median of the three is the pivot; it waits on the stack and one place before the end.
        lua.raw_geti(1, middle);
        lua.push_copy(-1);
        lua.raw_geti(1, high - 1);
        store(lua, middle, high - 1);
        let middle = partition(lua, low, high)?;
        // The smaller half by recursion, so that it never gets deep; the larger one by the loop.
        if middle - low < high - middle {
            sort_range(lua, low, middle - 1)?;
            low = middle + 1;
        } else {
            sort_range(lua, middle + 1, high)?;
            high = middle - 1;
        }
    }
    Ok(())
}

/// Parts a range by the pivot on top of the stack, takes it off, and returns the place where it went.
fn partition(lua: &mut Lua<'_>, low: c_int, high: c_int) -> Result<c_int, Raised> {
    let (mut left, mut right) = (low, high - 1);
    loop {
        loop {
            left += 1;
            lua.raw_geti(1, left);
            if !less(lua, -1, -2)? {
                break;
            }
            check_order(lua, left <= high)?;
            lua.pop(1);
        }
        loop {
            right -= 1;
            lua.raw_geti(1, right);
            if !less(lua, -3, -1)? {
                break;
            }
            check_order(lua, right >= low)?;
            lua.pop(1);
        }
        if right < left {
            break;
        }
        store(lua, left, right);
    }
    lua.pop(3);
    lua.raw_geti(1, high - 1);
    lua.raw_geti(1, left);
    store(lua, high - 1, left);
    Ok(left)
}

fn check_order(lua: &Lua<'_>, holds: bool) -> Result<(), Raised> {
    if holds { Ok(()) } else { Err(lua.error_here(format_args!("invalid order function for sorting"))) }
}

/// Swaps two elements if the second is less than the first, and says whether it was.
fn order(lua: &mut Lua<'_>, first: c_int, second: c_int) -> Result<bool, Raised> {
    lua.raw_geti(1, first);
    lua.raw_geti(1, second);
    let swap = less(lua, -1, -2)?;
    if swap {
        store(lua, first, second);
    } else {
        lua.pop(2);
    }
    Ok(swap)
}

/// Takes the topmost value into the first element, and the one below it into the second.
fn store(lua: &mut Lua<'_>, first: c_int, second: c_int) {
    lua.raw_seti(1, first);
    lua.raw_seti(1, second);
}

/// Whether one value on the stack is less than another, by argument 2 if there is one. Long strings cost more.
fn less(lua: &mut Lua<'_>, one: c_int, other: c_int) -> Result<bool, Raised> {
    let length = if lua.kind(one) == Kind::String { lua.length(one) } else { 0 };
    lua.charge(1 + length as u64 / 16)?;
    if lua.kind(2) == Kind::Nil {
        return Ok(lua.less_than(one, other));
    }
    lua.push_copy(2);
    lua.push_copy(one - 1);
    lua.push_copy(other - 2);
    lua.call(2, 1);
    let less = lua.truth(-1);
    lua.pop(1);
    Ok(less)
}
