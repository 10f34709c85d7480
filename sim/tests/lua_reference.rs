//! The functions of Lua's that were written anew, or wrapped, answer as Lua 5.1's own do.
//!
//! The same scripts run in the plain Lua that the crate is built with and in the sandbox; no server is needed.

use std::{ffi::CStr, ptr};

use crate::{common::NoCommands, support::seeds};
use mlua_sys as ffi;
use proptest::prelude::*;
use valkey_sim::{
    engine::{Dialect, Reply},
    lua::{Input, Interpreter, PersistentState},
};

/// Lua 5.1 as it is.
struct Plain(*mut ffi::lua_State);

impl Plain {
    fn new() -> Self {
        // SAFETY: a state of its own, which lives until this is dropped.
        unsafe {
            let raw = ffi::luaL_newstate();
            assert!(!raw.is_null());
            ffi::luaL_openlibs(raw);
            Self(raw)
        }
    }

    fn run(&self, script: &str) -> String {
        // SAFETY: loading and calling are protected; the result is copied before it is popped.
        unsafe {
            let name = c"@user_script".as_ptr();
            let failed = ffi::luaL_loadbuffer(self.0, script.as_ptr().cast(), script.len(), name) != 0
                || ffi::lua_pcall(self.0, 0, 1, 0) != 0;
            let text = ffi::lua_tolstring(self.0, -1, ptr::null_mut());
            let text =
                if text.is_null() { c"?" } else { CStr::from_ptr(text) }.to_string_lossy().into_owned();
            ffi::lua_settop(self.0, 0);
            assert!(!failed, "{text}\n{script}");
            text
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // SAFETY: nobody uses the state after this.
        unsafe { ffi::lua_close(self.0) };
    }
}

fn sandboxed(interpreter: &Interpreter, script: &str) -> String {
    let input = Input { name: "s", keys: &[], args: &[] };
    let script = interpreter.script(Dialect::Valkey8, script.as_bytes()).unwrap();
    match script.call(input, &mut PersistentState::default(), &mut NoCommands) {
        Reply::Bulk(text) => String::from_utf8_lossy(&text).into_owned(),
        other => panic!("{other:?}"),
    }
}

/// `show(…)` prints any values; what it prints of them is the same in every process.
const SHOW: &str = "local function show(...) local out = {} for i = 1, select('#', ...) do local v = select(i, ...) \
                    local t = type(v) out[i] = t == 'string' and string.format('%q', v):gsub('%z', '<0>') or \
                    (t == 'table' or t == 'function' or t == 'thread') and t or tostring(v) end \
                    return table.concat(out, ' ') end ";

struct Both {
    plain: Plain,
    interpreter: Interpreter,
}

impl Both {
    fn new() -> Self {
        Self { plain: Plain::new(), interpreter: Interpreter::default() }
    }

    /// What both print, or how they differ.
    fn agree(&self, body: &str) -> Result<(), String> {
        let script = format!("{SHOW}{body}");
        let (expected, found) = (self.plain.run(&script), sandboxed(&self.interpreter, &script));
        if expected == found { Ok(()) } else { Err(format!("{body}\n  Lua: {expected}\n  we:  {found}")) }
    }
}

/// Checks the arguments of a call, protected; and, for the place in its errors, a call that is not.
#[track_caller]
fn check(bodies: &[&str]) {
    let both = Both::new();
    let wrong: Vec<_> = bodies.iter().filter_map(|body| both.agree(body).err()).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A string as Lua source.
fn quoted(bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\{byte:03}")).collect();
    format!("\"{escaped}\"")
}

fn subject() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        8 => prop::sample::select(b"aab1 (()).-%\n".to_vec()),
        1 => Just(0),
        1 => any::<u8>(),
    ];
    prop::collection::vec(byte, 0..14)
}

/// Patterns of all items, most of them well formed.
fn pattern() -> impl Strategy<Value = Vec<u8>> {
    let item = prop::sample::select(vec![
        "a", "b", "1", ".", "%a", "%A", "%d", "%s", "%w", "%p", "%x", "%z", "%c", "%l", "%u", "%S", "%W",
        "%.", "%%", "%(", "[ab]", "[^a]", "[a-c1]", "[%d%s]", "[^%w]", "[]]", "[^]a]", "[a-]", "[%]]",
        "[--.]", "[%a-z]", "(", ")", "()", "(a)", "(.-)", "(%w*)", "%1", "%2", "%b()", "%bab", "%f[%w]",
        "%f[^a]", "^", "$", "-", "*", "+", "?", "%", "[", "[^", "%f", "%b", "%0", "]", "\0", "\u{e9}",
    ]);
    let repeated = (item, prop::sample::select(vec!["", "", "", "*", "+", "-", "?"]))
        .prop_map(|(item, repetition)| format!("{item}{repetition}").into_bytes());
    let anchor = prop::sample::select(vec!["", "", "^"]);
    (anchor, prop::collection::vec(repeated, 0..7))
        .prop_map(|(anchor, items)| [anchor.as_bytes(), &items.concat()].concat())
}

fn replacement() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "''",
            "'x'",
            "'<%0>'",
            "'%1-%2'",
            "'%%'",
            "'%'",
            "'%a'",
            "'%9'",
            "12",
            "true",
            "nil",
            "{a='A', ['1']=2}",
            "{a=false}",
            "{a={}}",
            "setmetatable({}, {__index=function(_, k) return k..k end})",
            "function(...) return show(...) end",
            "function() end",
            "function(a, b) return b end",
            "function() return {} end",
            "function(a) error('in '..a) end",
            "function() error({}) end",
            "function(a) return (a:gsub('.', '%0%0')) end",
            "function(a) pcall(string.gsub, a, '.', error) return 1 end",
            "string.upper",
            "string.find",
        ])
        .prop_map(str::to_owned),
    ]
}

#[test]
fn patterns_match_as_lua_matches_them() {
    let both = Both::new();
    let cases = (subject(), pattern(), -16i32..17, any::<bool>(), replacement(), -1i32..4);
    seeds::check(51, 6_000, &cases, |(subject, pattern, init, plain, replacement, most)| {
        let (subject, pattern) = (quoted(&subject), quoted(&pattern));
        let body = format!(
            "local s, p = {subject}, {pattern} local out = {{}} \
             local function add(...) out[#out + 1] = show(...) end \
             add(pcall(string.find, s, p)) add(pcall(string.find, s, p, {init}, {plain})) \
             add(pcall(string.match, s, p, {init})) add(pcall(string.gsub, s, p, {replacement})) \
             add(pcall(string.gsub, s, p, {replacement}, {most})) \
             add(pcall(function() for a, b in s:gmatch(p) do add(a, b) end end)) \
             add(pcall(function() return s:find(p) end)) return table.concat(out, '\\n')"
        );
        both.agree(&body).map_err(TestCaseError::fail)
    });
}

#[test]
fn wrong_arguments_are_named_as_lua_names_them() {
    let mut bodies = Vec::new();
    for function in [
        "string.find",
        "string.match",
        "string.gmatch",
        "string.gsub",
        "string.rep",
        "string.byte",
        "string.sub",
        "string.format",
        "string.upper",
        "string.lower",
        "string.reverse",
        "table.insert",
        "table.remove",
        "table.concat",
        "table.sort",
        "table.maxn",
        "table.foreach",
        "table.foreachi",
        "coroutine.resume",
        "coroutine.wrap",
        "xpcall",
        "unpack",
        "string.gfind",
    ] {
        for arguments in [
            "",
            "nil",
            "'a'",
            "12",
            "{}",
            "{}, 1",
            "'a', nil",
            "'a', 'b'",
            "'a', {}",
            "'a', 'a', {}",
            "'a', 'a', 'x', {}",
            "'a', 'a', true",
            "{1, 2}, 1, 3",
            "{1, 2}, 'x'",
            "{1, 2}, 1, 'x'",
            "{1, 2}, 5",
            "{1, 2}, -1",
            "{{}}, ','",
            "{1, {}, 3}",
            "{1, 2, 3}, nil, 2, 3",
            "{1, 2}, ',', 1, 5",
            "{3, 1, 2}, type",
            "{3, 'x'}",
            "{2, 1}, 5",
            "function() end, 1",
            "function() error('x') end, function(e) return e end",
            "{1, 2}, type",
            "12, 1",
            "121, 2, 0",
            "'x', -3",
            "'', 1e9",
            "error, error",
            "error, nil",
            "error, 'x'",
        ] {
            let comma = if arguments.is_empty() { "" } else { ", " };
            bodies.push(format!("return show(pcall({function}{comma}{arguments}))"));
            bodies.push(format!("return show(pcall(function() return ({function}({arguments})) end))"));
        }
    }
    check(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn tables_are_sorted_as_lua_sorts_them() {
    let both = Both::new();
    let numbers = prop::collection::vec(0i32..20, 0..60);
    let less = prop::sample::select(vec![
        "nil",
        "function(a, b) return a > b end",
        "function(a, b) return a % 3 < b % 3 end",
        "function(a, b) return a <= b end",
        "function() return true end",
        "function(a, b) n = (n * 31 + 7) % 101 return n > 50 end",
        "function(a) if a > 15 then error('large') end return false end",
    ]);
    seeds::check(51, 3_000, &(numbers, less, any::<bool>()), |(numbers, less, text)| {
        let item = |n: &i32| if text { format!("'{n}'") } else { n.to_string() };
        let list = numbers.iter().map(item).collect::<Vec<_>>().join(",");
        let body = format!(
            "local n, t = 1, {{{list}}} local ok, why = pcall(table.sort, t, {less}) \
             return show(ok, why, unpack(t))"
        );
        both.agree(&body).map_err(TestCaseError::fail)
    });
}

#[test]
fn coroutines_handlers_and_loops_over_tables_are_as_luas() {
    check(&[
        "local f = coroutine.wrap(function(...) local a = coroutine.yield(...) error('e'..a) end) \
         return show(f(1, 2)) .. show(pcall(f, 'x')) .. show(pcall(f))",
        "local c = coroutine.create(function(a) return coroutine.yield(a + 1) end) \
         return show(coroutine.resume(c, 1)) .. show(coroutine.resume(c, 'z')) .. show(coroutine.resume(c)) \
         .. coroutine.status(c)",
        "local f = coroutine.wrap(function() error({}) end) return show(pcall(f))",
        "local f f = coroutine.wrap(function() return f() end) return show(pcall(f))",
        "return show(coroutine.resume(coroutine.create(function() return ('x'):gsub('x', coroutine.yield) end)))",
        "local function g(n) return coroutine.wrap(function() if n > 0 then return g(n - 1) + 1 end return 0 end)() end \
         return show(g(50))",
        "local function g(n) return coroutine.wrap(function() return g(n + 1) end)() end local _, e = pcall(g, 0) return (e:gsub('user_script:1: ', ''))",
        "return show(xpcall(function() local x = nil; return x.y end, function(e) return e .. '!' end))",
        "return show(xpcall(function() error('a') end, function(e) error('b') end))",
        "return show(xpcall(function() return 1, nil, 3 end, error))",
        "return show(xpcall(function() error() end, function(e) return e, 2 end))",
        "local function f() return f() + 1 end return show(xpcall(f, function(e) return (e:gsub('%d', '#')) end))",
        "local function f(s) return (s:gsub('.', f)) end return show(pcall(f, 'a'))",
        "local n = 0 local function f(s) n = n + 1 return n < 150 and (s:gsub('.', f)) or 'z' end return show(f('a'))",
        "local s = '' table.foreach({1, 2, x = 3}, function(k, v) s = s .. k .. v end) return s",
        "return show(table.foreach({1, 2}, function(k, v) return v end)) .. show(table.foreachi({1}, function() end))",
        "return show(table.maxn({1, 2, [7.5] = 1, x = 2})) .. show(table.maxn({})) .. show(table.maxn({[-1] = 1}))",
        "local t = {1, 2, 3} table.insert(t, 2, 'x') table.insert(t, 9, 'y') return show(table.remove(t, 1), unpack(t))",
        "local t = setmetatable({}, {__lt = function(a, b) return true end}) return show(pcall(table.sort, {t, t}))",
        "return show(string.find('a\\0b', '\\0b')) .. show(('a\\0b'):find('\\0', 1, true)) .. show(('ab'):find('', 9))",
        "return show(string.find(('a'):rep(5000), ('a?'):rep(5000)))",
        "return show(pcall(string.find, ('a'):rep(40), ('()'):rep(33)))",
        "return show(pcall(string.rep)) .. show(('ab'):rep(3)) .. show(('x'):rep(0)) .. show((''):rep(-1))",
    ]);
}
