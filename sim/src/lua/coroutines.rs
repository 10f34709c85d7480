//! `coroutine.resume` and `wrap`: Lua's own, with the instructions of coroutines counted.
//!
//! Lua counts the instructions of each thread by itself, and looks at the budget when a thread has counted to the
//! end of its interval. So a coroutine that rests before that would cost nothing: it gets a short interval, anew and
//! paid for with each resume.

use std::os::raw::c_int;

use super::raw::{Lua, Native, Outcome, Raised, native};

/// What is put in front of Lua's own, which is its upvalue.
pub const WRAPPERS: &[(&str, Native)] = &[("resume", native!(resume)), ("wrap", native!(wrap))];

/// The instructions that a resume pays for.
pub const INTERVAL: u64 = 100;

/// Pays for the coroutine at an index to run on; what is no coroutine, Lua's own function will complain about.
fn prepare(lua: &Lua<'_>, index: c_int) -> Result<(), Raised> {
    if let Some(thread) = lua.thread(index) {
        lua.charge(INTERVAL)?;
        thread.reserve_unprotected(lua.top());
        thread.count_instructions(lua.with(|state| state.hook_interval(INTERVAL)));
    }
    Ok(())
}

/// `resume(coroutine, …)`.
fn resume(lua: &mut Lua<'_>) -> Outcome {
    prepare(lua, 1)?;
    let replaced = lua.with(|state| state.replaced.len());
    let results = lua.tail_call(lua.upvalue(1))?;
    lua.with(|state| state.replaced.truncate(replaced));
    Ok(results)
}

/// `wrap(function)`: a function that resumes a new coroutine.
fn wrap(lua: &mut Lua<'_>) -> Outcome {
    lua.tail_call(lua.upvalue(1))?;
    lua.push_upvalue_of(-1, 1);
    lua.insert(-2);
    // Lua's function finds its coroutine in the first upvalue of whoever runs it: this one's is the same.
    lua.push_native(native!(wrapped), 2);
    Ok(1)
}

fn wrapped(lua: &mut Lua<'_>) -> Outcome {
    prepare(lua, lua.upvalue(1))?;
    lua.tail_call(lua.upvalue(2))
}
