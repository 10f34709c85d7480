//! What scripts can see and what they cannot change.
//!
//! Plain Lua 5.1 has no read-only tables, which Valkey patches in. Here a protected table is an empty proxy whose
//! metatable reads from the real table and refuses writes; `pairs`, `next`, `rawget`, `rawset`, `getmetatable`,
//! `setmetatable`, `table.insert` and `table.foreach` know proxies. The real tables never reach a script.
//!
//! What a real server shows and this does not: addresses in `tostring` (they differ between processes), the memory
//! use in `collectgarbage`, the metatable of `_G` (`getmetatable(_G)` is nil here), and four functions of no use to
//! scripts: `newproxy` (its finalizers would run at any time), `getfenv` and `setfenv` (they reach from one script to
//! the next), `cjson.new`.

use std::{ffi::CStr, os::raw::c_int};

use mlua_sys as ffi;

use super::{
    bit, cjson, cmsgpack, convert, coroutines, layout, number, random,
    raw::{ALL_RESULTS, GLOBALS, Kind, Lua, Native, Outcome, REGISTRY, Raised, Ref, native, to_integer},
    redis, state, strings, tables,
};
use crate::base::Dialect;

/// The registry slot through which a value is handed from outside protection to inside.
pub const PARCEL: c_int = 1_000_001;

/// What the sandbox keeps in the registry. Names of fields are kept because reading them must not allocate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refs {
    pub ok: Ref,
    pub err: Ref,
    pub source: Ref,
    pub line: Ref,
    pub double: Ref,
    pub map: Ref,
    pub set: Ref,
    pub big_number: Ref,
    pub verbatim_string: Ref,
    pub error_handler: Ref,
    /// The proxy that is every function's environment.
    globals: Ref,
    /// What it shows while functions run, and while a library loads.
    running: Ref,
    loading: Ref,
    enter_load: Ref,
    enter_function: Ref,
    enter_script: Ref,
}

/// The ways into Lua.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A library's main chunk.
    Load,
    /// `FCALL`: keys and arguments are parameters.
    Function,
    /// `EVAL`: they are the globals `KEYS` and `ARGV`.
    Script,
}

impl Refs {
    /// The native function behind an entry.
    pub fn entry(&self, entry: Entry) -> Ref {
        match entry {
            Entry::Load => self.enter_load,
            Entry::Function => self.enter_function,
            Entry::Script => self.enter_script,
        }
    }
}

/// The globals that a real server leaves of Lua's own.
const BASE: &[&str] = &[
    "_VERSION",
    "assert",
    "error",
    "ipairs",
    "next",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawset",
    "select",
    "setmetatable",
    "tonumber",
    "tostring",
    "type",
    "unpack",
    "xpcall",
    "getmetatable",
    "load",
    "loadstring",
    "collectgarbage",
    "gcinfo",
    "coroutine",
    "math",
    "string",
    "table",
];

/// Replacements among the globals, by reason: see the module's documentation.
const GLOBAL_REPLACEMENTS: &[(&str, Native)] = &[
    ("pcall", native!(pcall)),
    ("xpcall", native!(xpcall)),
    ("tostring", native!(tostring)),
    ("getmetatable", native!(getmetatable)),
    ("load", native!(load)),
    ("loadstring", native!(loadstring)),
    ("collectgarbage", native!(collectgarbage)),
    ("gcinfo", native!(gcinfo)),
    ("select", native!(select)),
    ("unpack", native!(unpack)),
];

/// Fills an empty state.
pub fn set_up(lua: &mut Lua<'_>) -> Outcome {
    open_libraries(lua);
    lua.push_table(0, 64);
    let globals = lua.top();
    for name in BASE {
        lua.raw_field(GLOBALS, name);
        lua.set_raw_field(globals, name);
    }
    replace_base(lua, globals);
    add_libraries(lua, globals);
    protect_tables(lua, globals);
    add_api(lua, globals);
    set_missing(lua, globals);
    let mut refs = Refs { running: keep(lua, globals), ..Refs::default() };
    refs.loading = loading_globals(lua);
    protect(lua, globals);
    lua.push_copy(-1);
    lua.set_raw_field(globals, "_G");
    lua.push_copy(-1);
    lua.replace(GLOBALS);
    refs.globals = lua.keep();
    keep_names(lua, &mut refs);
    let mut native = |function| {
        lua.push_native(function, 0);
        lua.keep()
    };
    refs.error_handler = native(native!(error_handler));
    refs.enter_load = native(native!(enter_load));
    refs.enter_function = native(native!(enter_function));
    refs.enter_script = native(native!(enter_script));
    lua.with(|state| state.refs = refs);
    // Lua makes these where nothing would catch that there is no memory for them; so they are there already.
    for text in ["C stack overflow", "cannot resume non-suspended coroutine", "error in error handling"] {
        lua.push_bytes(text.as_bytes());
        lua.keep();
    }
    keep_chunk_names(lua);
    // The slot exists from now on: filling it allocates nothing.
    lua.push_bool(true);
    lua.raw_seti(REGISTRY, PARCEL);
    Ok(0)
}

/// What a chunk of the server's is called, without which the parser would make a string that nothing holds.
fn keep_chunk_names(lua: &mut Lua<'_>) {
    for name in [super::LIBRARY_CHUNK, super::SCRIPT_CHUNK] {
        lua.push_bytes(name.to_bytes());
        lua.keep();
    }
}

fn open_libraries(lua: &mut Lua<'_>) {
    let libraries: [(Native, &CStr); 4] = [
        (ffi::luaopen_base, c""),
        (ffi::luaopen_table, c"table"),
        (ffi::luaopen_string, c"string"),
        (ffi::luaopen_math, c"math"),
    ];
    for (open, name) in libraries {
        lua.open(open, name);
    }
}

/// Replaces what must know proxies, what reveals the process, and what a server replaces.
fn replace_base(lua: &mut Lua<'_>, globals: c_int) {
    for &(name, function) in GLOBAL_REPLACEMENTS {
        lua.push_native(function, 0);
        lua.set_raw_field(globals, name);
    }
    for (name, wrapper) in [
        ("rawset", native!(guarded)),
        ("setmetatable", native!(guarded)),
        ("rawget", native!(see_through)),
        ("error", native!(narrowed)),
        ("tonumber", native!(tonumber)),
    ] {
        wrap(lua, globals, name, wrapper);
    }
    lua.push_native(native!(next), 0);
    lua.set_raw_field(globals, "next");
    // `pairs` goes by one `next` for ordinary tables and by the other for proxies.
    lua.push_native(native!(next_of_a_table), 0);
    lua.raw_field(globals, "next");
    lua.push_native(native!(pairs), 2);
    lua.set_raw_field(globals, "pairs");
    lua.push_native(native!(ipairs_next), 0);
    lua.push_native(native!(ipairs), 1);
    lua.set_raw_field(globals, "ipairs");
    for (library, functions, wrappers) in [
        ("string", strings::FUNCTIONS, CHARGED_STRINGS),
        ("table", tables::FUNCTIONS, tables::WRAPPERS),
        ("math", random::FUNCTIONS, &[("ldexp", native!(narrowed))]),
        ("coroutine", &[], coroutines::WRAPPERS),
    ] {
        lua.raw_field(globals, library);
        for &(name, function) in functions {
            lua.push_native(function, 0);
            lua.set_raw_field(-2, name);
        }
        for &(name, wrapper) in wrappers {
            wrap(lua, -1, name, wrapper);
        }
        lua.pop(1);
    }
}

/// Functions of `string` whose work grows with their arguments.
const CHARGED_STRINGS: &[(&str, Native)] = &[
    ("rep", native!(string_rep)),
    ("byte", native!(slice)),
    ("format", native!(charged)),
    ("lower", native!(charged)),
    ("reverse", native!(charged)),
    ("sub", native!(slice)),
    ("upper", native!(charged)),
];

/// Puts a native function in another's place and gives it the other as its upvalue.
fn wrap(lua: &mut Lua<'_>, table: c_int, name: &str, wrapper: Native) {
    let table = lua.absolute(table);
    lua.raw_field(table, name);
    lua.push_native(wrapper, 1);
    lua.set_raw_field(table, name);
}

/// The libraries that a server adds to Lua's.
fn add_libraries(lua: &mut Lua<'_>, globals: c_int) {
    for (name, functions) in [
        ("bit", bit::FUNCTIONS),
        ("cjson", cjson::FUNCTIONS),
        ("cmsgpack", cmsgpack::FUNCTIONS),
        ("struct", layout::FUNCTIONS),
    ] {
        push_functions(lua, functions);
        lua.set_raw_field(globals, name);
    }
    lua.raw_field(globals, "cjson");
    cjson::add_constants(lua);
    lua.raw_field(globals, "cmsgpack");
    for &(name, text) in cmsgpack::CONSTANTS {
        lua.push_bytes(text.as_bytes());
        lua.set_raw_field(-2, name);
    }
    lua.pop(2);
    if lua.with(|state| state.dialect) == Dialect::Valkey8 {
        push_functions(lua, &[("clock", native!(os_clock))]);
        lua.set_raw_field(globals, "os");
    }
}

fn push_functions(lua: &mut Lua<'_>, functions: &[(&str, Native)]) {
    lua.push_table(0, functions.len());
    for &(name, function) in functions {
        lua.push_native(function, 0);
        lua.set_raw_field(-2, name);
    }
}

/// Replaces every table among the globals by its proxy, and lets methods of strings find the real one.
fn protect_tables(lua: &mut Lua<'_>, globals: c_int) {
    for name in ["string", "table", "math", "coroutine", "bit", "cjson", "cmsgpack", "struct", "os"] {
        lua.raw_field(globals, name);
        if lua.kind(-1) == Kind::Table {
            let table = lua.top();
            protect(lua, table);
            lua.set_raw_field(globals, name);
        }
        lua.set_top(globals);
    }
}

/// Adds `redis` and, on Valkey, `server`.
fn add_api(lua: &mut Lua<'_>, globals: c_int) {
    push_functions(lua, redis::RUNNING);
    add_numbers(lua, redis::REPLICATION);
    set_index(lua, globals + 1, native!(redis::scripts_only));
    publish_api(lua, globals);
}

/// Pushes what a library sees while it loads, and keeps it.
fn loading_globals(lua: &mut Lua<'_>) -> Ref {
    lua.push_table(0, 2);
    let globals = lua.top();
    push_functions(lua, redis::LOADING);
    set_missing(lua, globals + 1);
    publish_api(lua, globals);
    set_missing(lua, globals);
    lua.keep()
}

fn add_numbers(lua: &mut Lua<'_>, numbers: &[(&str, u32)]) {
    for &(name, value) in numbers {
        lua.push_number(f64::from(value));
        lua.set_raw_field(-2, name);
    }
}

/// Completes the API's table on top of the stack and puts it among the globals under its names.
fn publish_api(lua: &mut Lua<'_>, globals: c_int) {
    let dialect = lua.with(|state| state.dialect);
    add_numbers(lua, redis::NUMBERS);
    for &(name, text, number) in redis::versions(dialect) {
        lua.push_bytes(text.as_bytes());
        lua.set_raw_field(-2, name);
        lua.push_fmt(format_args!("{name}_NUM"));
        lua.push_number(f64::from(number));
        lua.raw_set(-3);
    }
    let table = lua.top();
    if dialect == Dialect::Valkey8 {
        lua.push_bytes(b"valkey");
        lua.set_raw_field(table, "SERVER_NAME");
    }
    protect(lua, table);
    if dialect == Dialect::Valkey8 {
        lua.push_copy(-1);
        lua.set_raw_field(globals, "server");
    }
    lua.set_raw_field(globals, "redis");
    lua.set_top(table - 1);
}

fn keep(lua: &mut Lua<'_>, index: c_int) -> Ref {
    lua.push_copy(index);
    lua.keep()
}

fn keep_names(lua: &mut Lua<'_>, refs: &mut Refs) {
    for (slot, name) in [
        (&mut refs.ok, "ok"),
        (&mut refs.err, "err"),
        (&mut refs.source, "source"),
        (&mut refs.line, "line"),
        (&mut refs.double, "double"),
        (&mut refs.map, "map"),
        (&mut refs.set, "set"),
        (&mut refs.big_number, "big_number"),
        (&mut refs.verbatim_string, "verbatim_string"),
    ] {
        lua.push_bytes(name.as_bytes());
        *slot = lua.keep();
    }
}

/// Its address marks the metatable of a proxy; no script can make a pointer.
static MARK: u8 = 0;

fn mark() -> *const () {
    (&raw const MARK).cast()
}

/// Pushes a read-only proxy of the table at an index. Its metatable holds the table at 1 and the mark at 2.
fn protect(lua: &mut Lua<'_>, table: c_int) {
    lua.push_table(0, 0);
    lua.push_table(2, 2);
    lua.push_copy(table);
    lua.set_raw_field(-2, "__index");
    lua.push_native(native!(refuse_write), 0);
    lua.set_raw_field(-2, "__newindex");
    lua.push_copy(table);
    lua.raw_seti(-2, 1);
    lua.push_pointer(mark());
    lua.raw_seti(-2, 2);
    lua.set_metatable(-2);
}

/// Pushes the table behind a proxy; false, and nothing pushed, for every other value.
fn push_behind(lua: &mut Lua<'_>, index: c_int) -> bool {
    if !lua.push_metatable(index) {
        return false;
    }
    lua.raw_geti(-1, 2);
    let is_proxy = lua.kind(-1) == Kind::LightUserdata && lua.pointer(-1) == mark();
    lua.pop(1);
    if is_proxy {
        lua.raw_geti(-1, 1);
        lua.remove(-2);
    } else {
        lua.pop(1);
    }
    is_proxy
}

/// Makes reading an absent field of a table an error.
fn set_missing(lua: &mut Lua<'_>, table: c_int) {
    set_index(lua, table, native!(missing));
}

/// Has a function answer for the absent fields of a table.
fn set_index(lua: &mut Lua<'_>, table: c_int, index: Native) {
    lua.push_table(0, 1);
    lua.push_native(index, 0);
    lua.set_raw_field(-2, "__index");
    lua.set_metatable(table);
}

fn missing(lua: &mut Lua<'_>) -> Outcome {
    lua.push_where(1);
    lua.push_bytes(b"Script attempted to access nonexistent global variable '");
    lua.push_copy(2);
    if lua.text(-1).is_none() {
        lua.push_bytes(lua.type_name(2).as_bytes());
        lua.replace(-2);
    }
    lua.push_bytes(b"'");
    lua.concat(4);
    Err(Raised)
}

const READ_ONLY: &str = "Attempt to modify a readonly table";

fn refuse_write(lua: &mut Lua<'_>) -> Outcome {
    Err(lua.error_here(format_args!("{READ_ONLY}")))
}

/// Lua's own function in the upvalue, paid for by the lengths of its strings and the number of its results.
fn charged(lua: &mut Lua<'_>) -> Outcome {
    let mut bytes = 0;
    for index in 1..=lua.top() {
        if lua.kind(index) == Kind::String {
            bytes += lua.length(index) as u64;
        }
    }
    lua.charge(bytes / state::BYTES_A_STEP)?;
    let results = lua.tail_call(lua.upvalue(1))?;
    if lua.with(|state| state.charge(results as u64)) {
        return Ok(results);
    }
    // They may fill the stack.
    lua.set_top(0);
    Err(lua.kill())
}

/// Lua's own function in the upvalue, for anything but a proxy.
fn guarded(lua: &mut Lua<'_>) -> Outcome {
    refuse_proxy(lua)?;
    lua.tail_call(lua.upvalue(1))
}

/// Lets no proxy be changed.
pub fn refuse_proxy(lua: &Lua<'_>) -> Result<(), Raised> {
    // SAFETY: what `push_behind` takes off the stack, it has put there.
    if lua.kind(1) == Kind::Table && push_behind(&mut unsafe { lua.again() }, 1) {
        return Err(lua.error_bare(READ_ONLY.as_bytes()));
    }
    Ok(())
}

/// Replaces an argument that is a number by the C `int` that Lua's own functions take it for, so that they need not
/// cast it; what it is, if it is one.
pub fn narrow(lua: &mut Lua<'_>, index: c_int) -> Option<c_int> {
    if !lua.is_number(index) {
        return None;
    }
    let value = to_integer(lua.number(index)) as c_int;
    lua.push_number(f64::from(value));
    lua.replace(index);
    Some(value)
}

/// Lua's own function in the upvalue, whose argument 2 is a C `int`.
fn narrowed(lua: &mut Lua<'_>) -> Outcome {
    narrow(lua, 2);
    lua.tail_call(lua.upvalue(1))
}

/// `string.sub` and `string.byte`, as [`charged`]; their places are 64-bit integers.
fn slice(lua: &mut Lua<'_>) -> Outcome {
    const FITS: std::ops::Range<f64> = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
    for index in [2, 3] {
        if lua.kind(index) == Kind::Number && !FITS.contains(&lua.number(index)) {
            lua.push_number(to_integer(lua.number(index)) as f64);
            lua.replace(index);
        }
    }
    charged(lua)
}

/// `tonumber(value [, base])`: pays for the text.
fn tonumber(lua: &mut Lua<'_>) -> Outcome {
    if lua.top() == 1 && lua.kind(1) == Kind::Number {
        lua.push_copy(1);
        return Ok(1);
    }
    if lua.kind(1) == Kind::String {
        lua.charge(lua.length(1) as u64 / state::BYTES_A_STEP)?;
    }
    narrow(lua, 2);
    lua.tail_call(lua.upvalue(1))
}

/// `select('#', …)`, `select(n, …)`.
fn select(lua: &mut Lua<'_>) -> Outcome {
    let count = lua.top();
    if lua.bytes(1).is_some_and(|text| text.first() == Some(&b'#')) {
        lua.push_number(f64::from(count - 1));
        return Ok(1);
    }
    let first = lua.check_int(1);
    let first = if first < 0 { first.wrapping_add(count) } else { first.min(count) };
    if first < 1 {
        return Err(lua.bad_argument(1, c"index out of range"));
    }
    Ok(count - first)
}

/// `unpack(list [, first [, last]])`. Lua's own counts in C's `int`, and loses the check that it makes for an overflow
/// to the optimiser: `unpack({}, 0, 2^31 - 1)` wrote over the heap (CVE-2025-46817).
fn unpack(lua: &mut Lua<'_>) -> Outcome {
    lua.check_table(1);
    let first = lua.optional_int(2, 1);
    let last = if lua.is_absent(3) { lua.length(1) as c_int } else { lua.check_int(3) };
    if first > last {
        return Ok(0);
    }
    let count = i64::from(last) - i64::from(first) + 1;
    // Lua's stack holds 8,000 values.
    let count = c_int::try_from(count).ok().filter(|count| *count <= 8_000 && lua.reserve(*count));
    let Some(count) = count else {
        return Err(lua.error_here(format_args!("too many results to unpack")));
    };
    lua.charge(count as u64)?;
    for offset in 0..count {
        lua.raw_geti(1, first + offset);
    }
    Ok(count)
}

/// `ipairs(table)`.
fn ipairs(lua: &mut Lua<'_>) -> Outcome {
    lua.check_table(1);
    lua.push_copy(lua.upvalue(1));
    lua.push_copy(1);
    lua.push_number(0.0);
    Ok(3)
}

/// The iterator of `ipairs`, which a script may call with any number.
fn ipairs_next(lua: &mut Lua<'_>) -> Outcome {
    let before = lua.check_int(2);
    lua.check_table(1);
    let Some(index) = before.checked_add(1) else { return Ok(0) };
    lua.push_number(f64::from(index));
    lua.raw_geti(1, index);
    Ok(if lua.kind(-1) == Kind::Nil { 0 } else { 2 })
}

/// Lua's own function in the upvalue, with the table behind a proxy in the proxy's place.
fn see_through(lua: &mut Lua<'_>) -> Outcome {
    reveal(lua);
    lua.tail_call(lua.upvalue(1))
}

/// `next(table [, key])`: of the table behind a proxy where it is one.
fn next(lua: &mut Lua<'_>) -> Outcome {
    reveal(lua);
    next_of_a_table(lua)
}

fn next_of_a_table(lua: &mut Lua<'_>) -> Outcome {
    lua.check_table(1);
    lua.set_top(2);
    if lua.next(1) {
        return Ok(2);
    }
    lua.push_nil();
    Ok(1)
}

/// Puts the table behind a proxy in its place as the first argument.
pub fn reveal(lua: &mut Lua<'_>) {
    if lua.kind(1) == Kind::Table && push_behind(lua, 1) {
        lua.replace(1);
    }
}

fn pairs(lua: &mut Lua<'_>) -> Outcome {
    lua.check_table(1);
    let proxy = push_behind(lua, 1);
    lua.push_copy(lua.upvalue(if proxy { 2 } else { 1 }));
    lua.push_copy(1);
    lua.push_nil();
    Ok(3)
}

/// As Lua's, but shows no metatable of a protected table, and a protected one of strings.
fn getmetatable(lua: &mut Lua<'_>) -> Outcome {
    lua.check_any(1);
    if lua.kind(1) == Kind::Table && push_behind(lua, 1) {
        // That of the globals answers for what is not there.
        lua.push_ref(lua.with(|state| state.refs.globals));
        if lua.is_same(1, -1) {
            lua.set_top(1);
            lua.push_table(0, 1);
            lua.push_native(native!(missing), 0);
            lua.set_raw_field(-2, "__index");
            let table = lua.top();
            protect(lua, table);
            return Ok(1);
        }
        lua.push_nil();
        return Ok(1);
    }
    if lua.kind(1) == Kind::String {
        // `{__index = string}`, made anew each time: the real one is out of reach.
        lua.push_table(0, 1);
        lua.push_ref(lua.with(|state| state.refs.running));
        lua.raw_field(-1, "string");
        lua.set_raw_field(-3, "__index");
        lua.pop(1);
        let table = lua.top();
        protect(lua, table);
        return Ok(1);
    }
    if !lua.push_metatable(1) {
        lua.push_nil();
        return Ok(1);
    }
    lua.raw_field(-1, "__metatable");
    if lua.kind(-1) == Kind::Nil {
        lua.pop(1);
    }
    Ok(1)
}

/// As Valkey's: an error raised by the server reaches the script as its text, not as a table.
fn pcall(lua: &mut Lua<'_>) -> Outcome {
    if lua.top() == 0 {
        // Valkey's own `pcall` puts its result in the place of the function, and calls that.
        lua.push_bool(false);
        lua.push_bytes(b"attempt to call a boolean value");
        return Ok(2);
    }
    let arguments = lua.top() - 1;
    // The results may leave no room for what comes before them.
    lua.push_bool(true);
    lua.insert(1);
    if !catching(lua, arguments, 0) {
        if lua.kind(-1) == Kind::Table {
            lua.raw_field(-1, "err");
            if matches!(lua.kind(-1), Kind::String | Kind::Number) {
                lua.replace(-2);
            } else {
                lua.pop(1);
            }
        }
        lua.push_bool(false);
        lua.replace(1);
    }
    Ok(lua.top())
}

/// Calls the function below its arguments; whatever was under construction when it failed is dropped.
fn catching(lua: &mut Lua<'_>, arguments: c_int, handler: c_int) -> bool {
    let replaced = lua.with(|state| state.replaced.len());
    let done = lua.protected_call(arguments, ALL_RESULTS, handler);
    if !done {
        lua.with(|state| state.replaced.truncate(replaced));
    }
    done
}

/// As Lua's, but a script that was killed while its hooks were off (they are while a hook raises) runs no handler: it
/// might never come back.
fn xpcall(lua: &mut Lua<'_>) -> Outcome {
    lua.check_any(2);
    lua.set_top(2);
    if lua.kind(2) == Kind::Function {
        lua.push_native(native!(handle), 1);
    }
    lua.insert(1);
    lua.push_bool(true);
    lua.insert(1);
    if !catching(lua, 0, 2) {
        lua.push_bool(false);
        lua.replace(1);
    }
    lua.remove(2);
    Ok(lua.top())
}

/// Hands an error to the handler in the upvalue.
fn handle(lua: &mut Lua<'_>) -> Outcome {
    if lua.with(|state| state.charge(0)) {
        lua.push_copy(lua.upvalue(1));
        lua.insert(1);
        lua.call(1, 1);
    }
    Ok(1)
}

/// As Lua's, but tables and functions all print alike: their addresses differ from process to process.
fn tostring(lua: &mut Lua<'_>) -> Outcome {
    lua.check_any(1);
    match lua.kind(1) {
        Kind::String => lua.push_copy(1),
        Kind::Number => {
            let value = lua.number(1);
            lua.with(|state| {
                state.scratch.clear();
                number::write_general(&mut state.scratch, value, 14);
            });
            lua.push_scratch();
        }
        Kind::Boolean => lua.push_bytes(if lua.truth(1) { b"true" } else { b"false" }),
        Kind::Nil | Kind::None => lua.push_bytes(b"nil"),
        Kind::LightUserdata => lua.push_bytes(b"userdata: (nil)"),
        _ => {
            if lua.push_metatable(1) {
                lua.raw_field(-1, "__tostring");
                if lua.kind(-1) != Kind::Nil {
                    lua.push_copy(1);
                    lua.call(1, 1);
                    return Ok(1);
                }
            }
            lua.push_fmt(format_args!("{}: 0x7f0000000000", lua.type_name(1)));
        }
    }
    Ok(1)
}

/// `load(function [, name])`: compiles what the function returns piece by piece.
fn load(lua: &mut Lua<'_>) -> Outcome {
    if lua.kind(1) != Kind::Function {
        lua.push_fmt(format_args!("function expected, got {}", lua.type_name(1)));
        return Err(lua.bad_argument_on_top(1));
    }
    lua.set_top(2);
    lua.push_bytes(b"");
    loop {
        lua.push_copy(1);
        lua.call(0, 1);
        match lua.kind(-1) {
            Kind::Nil => break,
            Kind::String if lua.length(-1) == 0 => break,
            Kind::String => lua.concat(2),
            _ => {
                lua.push_nil();
                lua.push_bytes(b"reader function must return a string");
                return Ok(2);
            }
        }
    }
    lua.pop(1);
    if lua.kind(2) == Kind::Nil {
        lua.push_bytes(b"=(load)");
        lua.replace(2);
    }
    compile(lua, 3, 2)
}

/// `loadstring(text [, name])`.
fn loadstring(lua: &mut Lua<'_>) -> Outcome {
    lua.check_bytes(1);
    lua.set_top(2);
    if lua.kind(2) == Kind::Nil {
        lua.push_copy(1);
        lua.replace(2);
    }
    compile(lua, 1, 2)
}

/// Compiles the text at one index under the name at another: the function, or nil and the message.
fn compile(lua: &mut Lua<'_>, text: c_int, name: c_int) -> Outcome {
    lua.check_bytes(name);
    lua.charge(lua.bytes(text).map_or(0, <[u8]>::len) as u64)?;
    if lua.compile_named(text, name) {
        return Ok(1);
    }
    lua.push_nil();
    lua.insert(-2);
    Ok(2)
}

/// Accepts what Lua's accepts; the garbage is nobody's business.
fn collectgarbage(lua: &mut Lua<'_>) -> Outcome {
    let option = if matches!(lua.kind(1), Kind::None | Kind::Nil) { b"collect" } else { lua.check_bytes(1) };
    match option {
        b"collect" | b"stop" | b"restart" | b"count" | b"setpause" | b"setstepmul" => lua.push_number(0.0),
        b"step" => lua.push_bool(false),
        _ => {
            lua.push_fmt(format_args!("invalid option '{}'", Lossy(option)));
            return Err(lua.bad_argument_on_top(1));
        }
    }
    Ok(1)
}

/// Bytes printed as text.
pub struct Lossy<'a>(pub &'a [u8]);

impl std::fmt::Display for Lossy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
        }
        Ok(())
    }
}

fn gcinfo(lua: &mut Lua<'_>) -> Outcome {
    lua.push_number(0.0);
    Ok(1)
}

/// Time stands still within a call.
fn os_clock(lua: &mut Lua<'_>) -> Outcome {
    lua.push_number(0.0);
    Ok(1)
}

/// As Lua's, which would count to the end even when there is nothing to repeat, and fill its memory before it finds that the
/// result does not fit. Each time is a step.
fn string_rep(lua: &mut Lua<'_>) -> Outcome {
    lua.check_bytes(1);
    let times = lua.check_int(2).max(0);
    let length = lua.length(1) as u64;
    if length == 0 || times == 0 {
        lua.push_bytes(b"");
        return Ok(1);
    }
    narrow(lua, 2);
    let bytes = length.saturating_mul(times as u64);
    if bytes > lua.with(|state| state.memory_limit()) as u64 {
        lua.raise_out_of_memory();
    }
    lua.charge(times as u64 + bytes / state::BYTES_A_STEP)?;
    lua.tail_call(lua.upvalue(1))
}

/// Valkey's: makes every error a table with its place.
fn error_handler(lua: &mut Lua<'_>) -> Outcome {
    lua.set_top(1);
    let line = lua.push_error_source();
    if line.is_none() {
        lua.push_nil();
    }
    if lua.kind(1) != Kind::Table {
        lua.push_table(0, 3);
        lua.push_bytes(b"ERR ");
        lua.push_native(native!(tostring), 0);
        lua.push_copy(1);
        lua.call(1, 1);
        lua.concat(2);
        lua.set_raw_field(3, "err");
        lua.replace(1);
    }
    if let Some(line) = line {
        lua.push_copy(2);
        lua.set_raw_field(1, "source");
        lua.push_number(f64::from(line));
        lua.set_raw_field(1, "line");
    }
    lua.set_top(1);
    Ok(1)
}

/// Decides what the environment shows.
fn show(lua: &mut Lua<'_>, globals: Ref) {
    lua.push_ref(lua.with(|state| state.refs.globals));
    lua.push_metatable(-1);
    lua.push_ref(globals);
    lua.push_copy(-1);
    lua.raw_seti(-3, 1);
    lua.set_raw_field(-2, "__index");
    lua.pop(2);
}

/// Runs a library's main chunk while only the API for loading is visible.
fn enter_load(lua: &mut Lua<'_>) -> Outcome {
    let (refs, main) = lua.with(|state| (state.refs, state.function()));
    show(lua, refs.loading);
    lua.push_ref(main);
    let done = lua.protected_call(0, 0, 0);
    show(lua, refs.running);
    if done { Ok(0) } else { Err(Raised) }
}

fn push_list(lua: &mut Lua<'_>, keys: bool) {
    // SAFETY: the list is borrowed for as long as the call is in progress.
    let list = unsafe { &*lua.with(|state| state.call_arguments(keys)) };
    lua.push_table(list.len(), 0);
    for (position, item) in list.iter().enumerate() {
        lua.push_bytes(item);
        lua.raw_seti(-2, position as c_int + 1);
    }
}

fn enter_function(lua: &mut Lua<'_>) -> Outcome {
    lua.push_ref(lua.with(|state| state.function()));
    push_list(lua, true);
    push_list(lua, false);
    lua.call(2, 1);
    convert::read_reply(lua)
}

fn enter_script(lua: &mut Lua<'_>) -> Outcome {
    let refs = lua.with(|state| state.refs);
    lua.push_ref(refs.running);
    push_list(lua, true);
    lua.set_raw_field(1, "KEYS");
    push_list(lua, false);
    lua.set_raw_field(1, "ARGV");
    lua.push_ref(lua.with(|state| state.function()));
    lua.call(0, 1);
    convert::read_reply(lua)?;
    Ok(0)
}

/// Takes `KEYS` and `ARGV` away again, so that functions do not see them.
pub fn forget_script(lua: &mut Lua<'_>) -> Outcome {
    lua.push_ref(lua.with(|state| state.refs.running));
    let globals = lua.top();
    for name in ["KEYS", "ARGV"] {
        lua.push_nil();
        lua.set_raw_field(globals, name);
    }
    Ok(0)
}
