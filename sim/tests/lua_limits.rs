//! Whatever a script does, it comes to an end within the work and memory it is given, and the engine goes on.
//!
//! Each attack is a loop of something whose single step is large, or one call that is.

use valkey_sim::{
    engine::{Dialect, Effects, Engine, Reply, UnixMicros},
    lua::{Interpreter, Limits},
};

const LIMITS: Limits = Limits { instructions_per_call: 5_000_000, memory_bytes: 64 << 20 };
const NOW: UnixMicros = UnixMicros(1_700_000_000_000_000);

/// Where scripts may find what takes long to make: each step of the loop is short, its work is not.
const PREPARED: &str = "local long = ('x'):rep(1e6) local list = {} for i = 1, 1e5 do list[i] = i end ";

const KILLED: &str = "Script killed by user with SCRIPT KILL";
const MEMORY: &str = "not enough memory";

/// What a script does, and what its error contains, or what it answers.
const ATTACKS: &[(&str, &str)] = &[
    // One call of a pattern function.
    ("return ('x'):rep(1e5):find(('.-'):rep(1e3)..'y')", KILLED),
    ("return ('a'):rep(30):find(('a?'):rep(30)..('a'):rep(31))", KILLED),
    ("return ('a'):rep(1e5):match('(.*)(.*)(.*)b')", KILLED),
    ("return ('a'):rep(1e5):gsub('a*b', '')", KILLED),
    ("return ('('):rep(1e5):gsub('%b()', '')", KILLED),
    ("for w in ('a'):rep(1e5):gmatch('.-b') do end", KILLED),
    ("return ('x'):rep(1e5):find('['..('a'):rep(1e4)..']')", KILLED),
    ("return ('a'):rep(1e5):match('(a*)%1%1b')", KILLED),
    ("return ('a'):rep(3e5):find(('a?'):rep(3e5))", "pattern too complex"),
    ("return ('a'):rep(100):find(('()'):rep(33))", "too many captures"),
    ("return ('x'):rep(1e6):gsub('', ('y'):rep(100))", KILLED),
    ("return ('x'):rep(1e6):gsub('x', ('%0'):rep(1000))", KILLED),
    ("return ('x'):rep(1e6):gsub('.', function() error('stop') end)", "stop"),
    ("while true do pcall(string.gsub, long, '.', function() error(1) end) end", KILLED),
    ("while true do long:find('y', 1, true) end", KILLED),
    ("while true do long:find(('x'):rep(1e3)..'y', 1, true) end", KILLED),
    // Loops of other functions of Lua's.
    ("while true do table.insert(list, 1, 0) end", KILLED),
    ("while true do list[#list + 1] = table.remove(list, 1) end", KILLED),
    ("while true do table.concat(list) end", KILLED),
    ("local t = {} for i = 1, 1e5 do t[i] = '' end while true do table.concat(t) end", KILLED),
    ("while true do table.sort(list) end", KILLED),
    ("while true do table.sort(list, function() return true end) end", "invalid order function"),
    ("while true do pcall(table.sort, list, function() return true end) end", KILLED),
    ("while true do table.maxn(list) end", KILLED),
    ("while true do table.foreach(list, type) end", KILLED),
    ("while true do table.foreachi(list, type) end", KILLED),
    ("while true do unpack(list, 1, 7000) end", KILLED),
    ("while true do long:byte(1, 7000) end", KILLED),
    ("while true do long:rep(3) end", KILLED),
    ("while true do ('x'):rep(1e6) end", KILLED),
    ("while true do (''):rep(1e15) end", KILLED),
    ("while true do long:reverse() end", KILLED),
    ("while true do long:upper() end", KILLED),
    ("while true do long:sub(2) end", KILLED),
    ("while true do ('%s'):format(long) end", KILLED),
    ("while true do ('%q'):format(long) end", KILLED),
    ("local n = 0 while true do n = n + 1 local s = long .. n end", KILLED),
    ("while true do loadstring(long) end", KILLED),
    ("return load(function() return ' ' end)", KILLED),
    ("while true do local t = {unpack(list, 1, 7000)} end", KILLED),
    ("return ('x'):rep(1e9)", MEMORY),
    ("return ('x'):rep(1e300)", "\"\""),
    ("return unpack({}, 1, 1e8)", "too many results to unpack"),
    ("return table.concat(list, ',', 1, 1e9)", "invalid value (nil) at index 100001"),
    ("return ('%99999d'):format(1)", "invalid format"),
    // Coroutines: none of these runs long by itself.
    ("while true do coroutine.wrap(function() for i = 1, 20000 do end end)() end", KILLED),
    (
        "local f = coroutine.wrap(function() while true do for i = 1, 90 do end coroutine.yield() end end) \
      while true do f() end",
        KILLED,
    ),
    ("while true do pcall(coroutine.wrap(function() while true do pcall(error) end end)) end", KILLED),
    ("local function f() return coroutine.wrap(f)() end f()", "C stack overflow"),
    ("local t = {} while true do t[#t + 1] = coroutine.create(function() end) end", MEMORY),
    (
        "local t = {} while true do local c = coroutine.wrap(function() coroutine.yield() end) c() t[#t + 1] = c end",
        KILLED,
    ),
    // Who is killed stays killed.
    ("while true do pcall(function() while true do end end) end", KILLED),
    ("xpcall(function() while true do end end, function() while true do end end)", KILLED),
    (
        "xpcall(function() local f f = function() return 1 + f() end f() end, function() while true do end end)",
        KILLED,
    ),
    ("while true do xpcall(error, function() while true do end end) end", KILLED),
    ("while true do pcall(string.find, ('a'):rep(30), ('a?'):rep(30)..('a'):rep(31)) end", KILLED),
    ("local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return t[1]", "overflow"),
    ("local t = {} setmetatable(t, {__index = t}) return t.x", "loop in gettable"),
    ("local t = setmetatable({}, {__lt = function() while true do end end}) return t < t", KILLED),
    (
        "local t = setmetatable({}, {__tostring = function() while true do end end}) return tostring(t)",
        KILLED,
    ),
    ("error(setmetatable({}, {__tostring = function() while true do end end}))", "unknown error"),
    ("local function f() return pcall(f) end return f()", ":1"),
    ("local function f(s) return s:gsub('.', f) end return f('x')", "C stack overflow"),
    ("local function f() return load(f) end return f()", "C stack overflow"),
    ("local function f(a, b) table.sort({1, 2, 3}, f) end f()", "C stack overflow"),
    ("return loadstring(('('):rep(1e5))()", "attempt to call a nil value"),
    // Libraries of the server's.
    ("local t = {} for i = 1, 40 do t = {t, t} end return cjson.encode(t)", KILLED),
    ("local t = {} for i = 1, 40 do t = {a = t, b = t} end return cjson.encode(t)", KILLED),
    (
        "local t = {} for i = 1, 9 do t[i] = long end for i = 1, 5 do t = {t, t, t} end return cjson.encode(t)",
        KILLED,
    ),
    ("cjson.encode_sparse_array(true, 0) return cjson.encode({[2000000000] = 1})", KILLED),
    ("while true do cjson.encode(list) end", KILLED),
    ("while true do cjson.encode(long) end", KILLED),
    ("local s = cjson.encode(list) while true do cjson.decode(s) end", KILLED),
    ("return cjson.decode(('['):rep(1e6))", "too many nested"),
    ("return cjson.decode('['..('1,'):rep(2e6)..'1]')", KILLED),
    ("local t = {} for i = 1, 15 do t = {t, t, t, t, t, t, t, t} end return cmsgpack.pack(t)", KILLED),
    ("local s = cmsgpack.pack(list) while true do cmsgpack.unpack(s) end", KILLED),
    ("return cmsgpack.unpack(('\\145'):rep(1e6))", "overflow"),
    ("return cmsgpack.unpack('\\221\\255\\255\\255\\255')", "Missing bytes"),
    ("while true do cmsgpack.pack(list) end", KILLED),
    ("while true do struct.pack('s', long) end", KILLED),
    ("while true do struct.unpack('s', long .. '\\0') end", KILLED),
    ("return struct.pack('c2000000000', long)", "string too short"),
    ("local f = ('x'):rep(1e6) while true do struct.size(f) end", KILLED),
    ("while true do redis.sha1hex(long) end", KILLED),
    // What a script returns.
    ("local t = {} for i = 1, 40 do t = {t, t} end return t", KILLED),
    ("local t = {} for i = 1, 9 do t[i] = long end for i = 1, 5 do t = {t, t, t} end return t", KILLED),
    ("local t = {} t[1] = t return t", "reached lua stack limit"),
    // Commands.
    ("while true do redis.call('PING') end", KILLED),
    ("while true do redis.pcall('KEYS', '*') end", KILLED),
    (
        "redis.call('RPUSH', 'l', unpack(list, 1, 7000)) while true do redis.call('LRANGE', 'l', 0, -1) end",
        KILLED,
    ),
    ("while true do redis.log(redis.LOG_WARNING, long) end", KILLED),
    // Numbers that C would cast to `int`: too large, too small, or none at all.
    ("return unpack({}, 0, 2147483647)", "too many results to unpack"),
    ("return unpack({}, -1, 2147483647)", "too many results to unpack"),
    ("return unpack({}, 1, 2147483647)", "too many results to unpack"),
    ("return unpack({}, -2147483648, -1)", "too many results to unpack"),
    ("return unpack({}, -2147483648, 0)", "too many results to unpack"),
    ("return unpack({}, -2147483648, 2147483647)", "too many results to unpack"),
    ("return unpack({}, 2147483648, 2147483647)", "too many results to unpack"),
    ("return unpack({}, 2147483647, 2147483647)", "null"),
    ("return unpack({}, -2147483648, -2147483648)", "null"),
    ("return unpack({}, 0/0, 1/0)", "null"),
    ("return unpack({}, -1e300, 1e300)", "null"),
    ("return table.insert({}, 2147483648, 'x')", KILLED),
    ("return table.insert({}, -2147483648, 'x')", KILLED),
    ("while true do pcall(table.insert, {}, 2147483648, 'x') end", KILLED),
    ("while true do table.insert(list, 4294967297, 0) end", KILLED),
    ("return table.insert({}, 0/0, 'x')", "null"),
    ("while true do list[#list + 1] = table.remove(list, 4294967297) end", KILLED),
    ("return table.remove({1}, 2147483648)", "null"),
    ("return table.remove({1}, -2147483648)", "null"),
    ("while true do table.concat(list, '', 4294967297) end", KILLED),
    ("return table.concat({}, ',', -2147483648, 2147483647)", "invalid value (nil) at index -2147483648"),
    ("return table.concat({}, ',', 2147483647, -2147483648)", "\"\""),
    ("return table.concat({}, ',', 2147483647, 2147483647)", "invalid value (nil) at index 2147483647"),
    ("return table.concat({}, ',', 0/0, 1/0)", "invalid value (nil) at index 0"),
    ("return ('x'):rep(1e9 - 4294967296)", MEMORY),
    ("while true do ('x'):rep(1e6 - 4294967296) end", KILLED),
    ("while true do pcall(string.rep, 'x', 1e9) end", KILLED),
    ("return ('x'):rep(-2147483648)", "\"\""),
    ("return ('x'):rep(0/0)", "\"\""),
    ("return ('x'):rep(5):sub(-1e300, 1e300)", "\"\""),
    ("return ('x'):rep(100):sub(0/0, 1/0)", "\"\""),
    ("return ('x'):rep(100):byte(-1e300, 9e18)", ":120"),
    ("return ('x'):rep(100):byte(1/0, 0/0)", "null"),
    ("return ('x'):rep(9000):byte(1, 2147483647)", "string slice too long"),
    ("return ('x'):rep(100):find('x', -1e300)", ":1"),
    ("return ('x'):rep(5):gsub('x', 'y', 2147483648)", "\"xxxxx\""),
    ("return string.char(4294967296 + 256)", "invalid value"),
    ("return string.char(-1)", "invalid value"),
    ("return string.char(0/0, 2147483648)", "bad argument #2 to 'char' (invalid value)"),
    ("return string.char(unpack(list, 1, 7000))", "invalid value"),
    ("return #('%99.99f'):format(-1e308)", ":410"),
    ("return #('%.99f'):rep(50):format(unpack(list, 1, 50))", ":5091"),
    (
        "return ('%d%c%x%u%i%o'):format(1e300, 1e300, -1e300, 0/0, 1/0, -1/0)",
        "\"-922337203685477580880000000000000009223372036854775808-92233720368547758081000000000000000000000\"",
    ),
    ("return ('%2147483648d'):format(1)", "invalid format"),
    ("return ('%.2147483648d'):format(1)", "invalid format"),
    ("return ('%s'):rep(9000):format()", "no value"),
    ("return select(-2147483648, 1)", "index out of range"),
    ("return select(2147483648, 1)", "index out of range"),
    ("return select(2147483647, 1)", "null"),
    ("return select(0/0, 1)", "index out of range"),
    ("return select('#', unpack(list, 1, 7000))", ":7000"),
    ("return ipairs({})({}, 2147483647)", "null"),
    ("return ipairs({})({}, -2147483649)", "null"),
    ("return math.random(2147483648)", "interval is empty"),
    ("return math.random(-2147483648, 2147483647)", ":1462373527"),
    ("return math.random(2147483647, -2147483648)", "interval is empty"),
    ("return math.random(0/0)", "interval is empty"),
    ("math.randomseed(-1e300) return math.random()", ":0"),
    ("return math.ldexp(1, 1e300) + math.ldexp(1, -2147483648)", ":1"),
    ("return math.fmod(1, 0)", ":-9223372036854775808"),
    ("error('x', 2147483648)", "-ERR x script: "),
    ("error('x', -2147483648)", "-ERR x script: "),
    ("return tonumber('10', 2147483648)", "base out of range"),
    ("return tonumber('10', 0/0)", "base out of range"),
    ("local digits = ('9'):rep(1e6) while true do tonumber(digits) end", KILLED),
    ("return bit.tohex(1, -2147483648) .. bit.lshift(1, 4294967295)", "\"00000001-2147483648\""),
    ("return cmsgpack.unpack_limit('\\1\\2', 2147483648, -2147483648)", "Invalid request to unpack"),
    ("return cmsgpack.unpack_one('\\1\\2', 1e300)", "Invalid request to unpack"),
    ("return struct.unpack('i4', 'abcd', -2147483648)", "data string too short"),
    ("return struct.unpack('i4', 'abcd', 0/0)", "data string too short"),
    ("return struct.unpack('dc0', struct.pack('d', 1e300) .. 'x')", "\"\""),
    ("return struct.pack('i2147483648', 1)", "integral size overflow"),
    ("return struct.pack('!2147483648', 1)", "integral size overflow"),
    ("cjson.encode_max_depth(2147483648)", "expected integer between"),
    ("cjson.encode_sparse_array(false, 0, 0) return cjson.encode({[1e300] = 1})", KILLED),
    ("return coroutine.wrap(function(...) return select('#', ...) end)(unpack(list, 1, 7900))", ":7900"),
    ("return string.dump(function() end):sub(1, 1)", "\"\\x1b\""),
    ("return assert(loadstring(string.dump(function() end)))", "binary chunk"),
    // What was taken out of a table is stepped over at every look; in one of few slots that is nothing.
    (
        "local t = {} for i = 1, 1e5 do t[i] = i end for i = 1, 1e5 do t[i] = nil end \
         for i = 1, 500 do next(t) end",
        KILLED,
    ),
    (
        "local t = {} for i = 1, 1e5 do t['k' .. i] = i end for k in pairs(t) do t[k] = nil end \
         for i = 1, 500 do next(t) end",
        KILLED,
    ),
    (
        "local t = {} for i = 1, 1e5 do t[i + 0.5] = i end for k in pairs(t) do t[k] = nil end \
         for i = 1, 500 do for _ in pairs(t) do end end",
        KILLED,
    ),
    (
        "local t = {} for i = 1, 1e5 do t['k' .. i] = i end for k in pairs(t) do t[k] = nil end \
         for i = 1, 500 do cjson.encode(t) end",
        KILLED,
    ),
    ("local t = {1} t[1] = nil for i = 1, 1e5 do next(t) end return next(t)", "null"),
];

/// A reply on one line; a string in quotes, so that an empty one is something.
fn shown(reply: &Reply) -> String {
    match reply {
        Reply::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        reply => crate::common::show(reply),
    }
}

/// Whether an expectation is of an error, which says more than that: where it happened. All else is compared whole.
fn is_error(expected: &str) -> bool {
    !expected.starts_with(['"', ':']) && expected != "null"
}

struct Server {
    engine: Engine,
    interpreter: Interpreter,
}

impl Server {
    fn new() -> Self {
        Self::with(LIMITS)
    }

    fn with(limits: Limits) -> Self {
        let interpreter = Interpreter::new(limits);
        Self { engine: Engine::new(Dialect::Valkey8, interpreter.clone()), interpreter }
    }

    fn send(&mut self, args: &[&[u8]]) -> Reply {
        let mut session = self.engine.connect();
        self.engine.execute(&mut session, args, NOW, &mut Effects::default())
    }

    fn eval(&mut self, script: &str) -> Reply {
        self.send(&[b"EVAL", script.as_bytes(), b"0"])
    }
}

#[test]
fn every_script_ends_and_the_engine_goes_on() {
    let mut server = Server::new();
    let mut wrong = Vec::new();
    for (attack, expected) in ATTACKS {
        let prepared = if attack.contains("long") || attack.contains("list") { PREPARED } else { "" };
        let reply = server.eval(&format!("{prepared}{attack}"));
        assert!(!expected.is_empty(), "nothing is expected of {attack}, and everything would do");
        let answer = shown(&reply);
        let is_so = if is_error(expected) { answer.contains(expected) } else { answer == *expected };
        if !is_so {
            wrong.push(format!("{attack}\n  {answer:.300}\n  expected {expected}"));
        }
        let next = server.eval("return #cjson.encode({('x'):rep(1000)}) + #('x'):gsub('x', 'yy')");
        assert_eq!(next, Reply::Int(1_006), "after {attack}");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(server.interpreter.memory() < LIMITS.memory_bytes);
}

/// What goes through strings within one instruction.
const THROUGH_STRINGS: &[&str] = &[
    "local _ = one < other",
    "local _ = one >= other",
    "if one > other then return 2 end",
    "local _ = one .. 'y'",
    "local _ = 'y' .. one .. 'y' .. other",
    "local _ = digits + 1",
    "local _ = 1 % digits",
    "local _ = -digits",
    "for _ = digits, 1 do end",
    "math.floor(digits)",
    "math.max(1, 2, digits)",
    "math.max(unpack({1, digits}))",
    "tonumber(spaces)",
    "coroutine.wrap(function() for _ = 1, 5 do local _ = one < other end end)()",
];

#[test]
fn what_goes_through_a_long_string_in_one_instruction_pays_for_it() {
    let mut server = Server::new();
    let mut eval = |length: &str, body: &str| {
        server.eval(&format!(
            "local long = ('x'):rep({length}) local one, other = long .. 'y', long .. 'z' \
             local digits, spaces = ('1'):rep({length}), (' '):rep({length}) .. '1' \
             local kept = {{one .. 'y', 'y' .. one .. 'y' .. other}} \
             for _ = 1, 200 do {body} end return 1"
        ))
    };
    for body in THROUGH_STRINGS {
        assert_eq!(eval("1e2", body), Reply::Int(1), "{body}");
        let reply = eval("1e6", body);
        assert!(reply.error().is_some_and(|error| error.0.contains(KILLED)), "{body}: {reply:?}");
        assert_eq!(eval("1e2", body), Reply::Int(1), "{body}, once more");
    }
    // What is only held or handed on costs nothing more.
    for body in ["local _ = one == other", "type(one)", "select('#', one)", "local t = {one} t[one] = 1"] {
        assert_eq!(eval("1e6", body), Reply::Int(1), "{body}");
    }
}

/// A string that is part of a script was there before the script is called.
#[test]
fn a_long_string_of_the_script_itself_is_paid_for_as_well() {
    let mut server = Server::new();
    let long = "x".repeat(1_000_000);
    let script = format!("for _ = 1, 200 do local _ = ARGV[1] < '{long}y' end return 1");
    for time in 1..=2 {
        let reply = server.send(&[b"EVAL", script.as_bytes(), b"0", format!("{long}z").as_bytes()]);
        assert!(reply.error().is_some_and(|error| error.0.contains(KILLED)), "call {time}: {reply:?}");
        let reply = server.send(&[b"EVAL", script.as_bytes(), b"0", b"a"]);
        assert_eq!(reply, Reply::Int(1), "call {time}");
    }
}

#[test]
fn other_instructions_cost_the_same_beside_long_strings_and_tables() {
    let turns = |prepare: &str, each: &str| {
        let mut server = Server::new();
        let reply = server.eval(&format!(
            "{prepare} local n = 0 while true do n = n + 1 \
             if n % 1000 == 0 then redis.call('SET', 'n', n) {each} end end"
        ));
        assert!(reply.error().is_some_and(|error| error.0.contains(KILLED)), "{prepare}: {reply:?}");
        let Reply::Bulk(turns) = server.send(&[b"GET", b"n"]) else { panic!("it was set") };
        String::from_utf8_lossy(&turns).parse::<u64>().expect("a number")
    };
    let plain = turns("", "");
    for (prepare, each, share) in [
        ("local long = ('x'):rep(5000)", "", 98..=100),
        ("local long = ('x'):rep(5000) long = nil", "", 98..=100),
        ("", "local list = {1, 2, 3, unpack(ARGV)}", 98..=100),
        // These are paid for, once, and so is a buffer of Lua's own now and then. A thousand turns are some four thousand
        // instructions.
        ("local list = {} for n = 1, 300 do list[n] = n end", "local copy = {unpack(list)}", 70..=90),
        ("local long = ('x'):rep(50000)", "local longer = long .. n", 38..=60),
        (
            "local list = {} for n = 1, 300 do list[n] = n end local f = coroutine.wrap(function() \
             while true do coroutine.yield({unpack(list)}) end end)",
            "f()",
            70..=90,
        ),
        (
            "local long = ('x'):rep(50000) local f = coroutine.wrap(function() local n = 0 \
             while true do n = n + 1 coroutine.yield(long .. n) end end)",
            "f()",
            38..=60,
        ),
    ] {
        let found = turns(prepare, each) * 100 / plain;
        assert!(share.contains(&found), "{prepare} … {each}: {found} of a hundred turns");
    }
}

/// What is there for commands to look at: much of it, of every kind; and a stream of which two consumers have had
/// everything.
const MUCH: &[&str] = &[
    "for n = 1, 20000 do redis.call('SET', 'key' .. n, 1) redis.call('RPUSH', 'list', n) end",
    "for n = 1, 20000 do redis.call('HSET', 'hash', n, n) redis.call('SADD', 'set', 'm' .. n) end",
    "for n = 1, 20000 do redis.call('ZADD', 'zset', n, n) end redis.call('SADD', 'one', 1) \
     redis.call('SET', 'text', ('a'):rep(200)) redis.call('SET', 'long', ('a'):rep(200000))",
    "redis.call('XGROUP', 'CREATE', 'x', 'g', 0, 'MKSTREAM') \
     for n = 1, 10000 do redis.call('XADD', 'x', '1-' .. n, 'f', n) end \
     for n = 1, 100 do redis.call('XREADGROUP', 'GROUP', 'g', 'c' .. n % 2, 'COUNT', 100, 'STREAMS', 'x', '>') end",
];

/// Commands whose work does not show in their arguments, nor in their replies.
const WORK: &[&str] = &[
    "'KEYS', 'x'",
    "'LPOS', 'list', 'x'",
    "'LREM', 'list', 0, 'x'",
    "'LCS', 'text', 'text'",
    "'INFO'",
    "'INFO', 'keyspace'",
    "'SETRANGE', 'long', 0, 'x'",
    "'APPEND', 'long', 'x'",
    "'COPY', 'hash', 'other', 'REPLACE'",
    "'COPY', 'list', 'other', 'REPLACE'",
    "'SCAN', 0, 'COUNT', 20000, 'MATCH', 'x'",
    "'HSCAN', 'hash', 0, 'COUNT', 20000, 'MATCH', 'x'",
    "'SSCAN', 'set', 0, 'COUNT', 20000, 'MATCH', 'x'",
    "'ZSCAN', 'zset', 0, 'COUNT', 20000, 'MATCH', 'x'",
    "'MEMORY', 'USAGE', 'hash'",
    "'MEMORY', 'USAGE', 'zset'",
    "'OBJECT', 'ENCODING', 'list'",
    "'XINFO', 'STREAM', 'x', 'FULL', 'COUNT', 1",
    "'XINFO', 'CONSUMERS', 'x', 'g'",
    "'XPENDING', 'x', 'g'",
    "'XPENDING', 'x', 'g', '-', '+', 10, 'nobody'",
    "'XREADGROUP', 'GROUP', 'g', 'nobody', 'STREAMS', 'x', 0",
    "'XAUTOCLAIM', 'x', 'g', 'c0', 1000000, 0, 'COUNT', 10000",
    "'COMMAND'",
    "'COMMAND', 'DOCS'",
    "'GET', 'long'",
    "'ECHO', ('x'):rep(200000)",
    "'SUNIONSTORE', 'other', 'set'",
    "'ZRANGESTORE', 'other', 'zset', 0, -1",
];

#[test]
fn a_command_that_looks_at_much_costs_a_script_as_much() {
    let mut server = Server::new();
    for prepare in MUCH {
        assert_eq!(server.eval(prepare), Reply::Null);
    }
    let limits = Limits { instructions_per_call: 1_000_000, ..LIMITS };
    let keyspace = server.engine.keyspace().clone();
    let mut server = Server::with(limits);
    server.engine.set_keyspace(keyspace);
    for command in WORK {
        let reply = server.eval(&format!("for n = 1, 200 do redis.call({command}) end"));
        // What copies much may have written too much before.
        let ends = |error: &str| error.contains("killed") || error.contains(MEMORY);
        assert!(reply.error().is_some_and(|error| ends(&error.0)), "{command}: {reply:?}");
    }
    // Half of the keys are passed over, on average.
    let reply = server.eval("for n = 1, 400 do redis.call('RANDOMKEY') end");
    assert!(reply.error().is_some_and(|error| error.0.contains("killed")), "{reply:?}");
    assert_eq!(
        server.eval(
            "for n = 1, 1000 do redis.call('SINTER', 'one', 'one') redis.call('TYPE', 'list') end return 1"
        ),
        Reply::Int(1)
    );
}

#[test]
fn a_script_writes_no_more_than_it_may_hold() {
    for (script, kept) in [
        (
            "local v = {} for n = 1, 7000 do v[n] = 'x' end while true do redis.call('RPUSH', 'k', unpack(v, 1, 7000)) end",
            1_200_000,
        ),
        ("local v = ('x'):rep(1e6) for n = 1, 1e9 do redis.call('SET', 'k' .. n, v) end", 70),
        ("for n = 1, 1e9 do redis.call('SETRANGE', 'k' .. n, 10000000, 'x') end", 8),
        ("for n = 1, 1e9 do pcall(redis.call, 'SETRANGE', 'k' .. n, 10000000, 'x') end", 8),
        (
            "for n = 1, 5000 do redis.call('RPUSH', 'k', ('x'):rep(100)) end for n = 1, 1e9 do redis.call('COPY', 'k', 'k' .. n) end",
            150,
        ),
    ] {
        let mut server = Server::new();
        let reply = server.eval(script);
        let ends = |error: &str| error.contains("not enough memory") || error.contains("killed");
        assert!(reply.error().is_some_and(|error| ends(&error.0)), "{script}: {reply:?}");
        let count = match server.send(&[b"LLEN", b"k"]) {
            Reply::Int(count) if count > 0 && script.contains("unpack") => count,
            _ => server.engine.keyspace().len() as i64,
        };
        assert!((1..=kept).contains(&count), "{script} leaves {count}");
    }
}

#[test]
fn memory_stays_flat_over_many_different_scripts() {
    let mut server = Server::new();
    let mut early = 0;
    for number in 0..20_000 {
        assert_eq!(server.eval(&format!("local t = {{}} return {number}")), Reply::Int(number));
        if number < 2_000 {
            early = early.max(server.interpreter.memory());
        }
    }
    assert!(server.interpreter.memory() <= 2 * early, "{} after {early}", server.interpreter.memory());
}

#[test]
fn libraries_that_keep_everything_fill_the_memory_and_flushing_frees_it() {
    let mut server = Server::new();
    let library = "#!lua name=l\nlocal kept = {} server.register_function('keep', function() \
                   kept[#kept + 1] = ('x'):rep(1e6) .. #kept return #kept end)";
    server.send(&[b"FUNCTION", b"LOAD", library.as_bytes()]);
    let full =
        (0..100).map(|_| server.send(&[b"FCALL", b"keep", b"0"])).find(|reply| reply.error().is_some());
    assert!(full.is_some_and(|reply| reply.error().is_some_and(|error| error.0.contains(MEMORY))));
    assert_eq!(server.eval("return 1"), Reply::Int(1), "small scripts still run");
    server.send(&[b"FUNCTION", b"FLUSH"]);
    assert_eq!(server.eval("return #('x'):rep(1e3):rep(1e4)"), Reply::Int(10_000_000));
}

/// Numbers that a C `int`, `long` or `size_t` does not hold, and their neighbours that it just holds.
const EXTREMES: &[&str] =
    &["0/0", "1/0", "-1e300", "-1", "2147483647", "2147483648", "-2147483648", "4294967297", "9e18"];

#[test]
fn every_function_answers_whatever_numbers_it_is_given() {
    let limits = Limits { instructions_per_call: 200_000, memory_bytes: 8 << 20 };
    let mut engine = Engine::new(Dialect::Valkey8, Interpreter::new(limits));
    let mut session = engine.connect();
    let mut eval = |script: &str| {
        engine.execute(&mut session, &[b"EVAL", script.as_bytes(), b"0"], NOW, &mut Effects::default())
    };
    let names = eval(
        "local names = {} for _, library in ipairs{'string', 'table', 'math', 'bit', 'struct', 'cmsgpack', 'cjson', \
         'coroutine', 'os', 'redis'} do for name, value in pairs(_G[library]) do \
         if type(value) == 'function' then names[#names + 1] = library .. '.' .. name end end end \
         for name, value in pairs(_G) do if type(value) == 'function' then names[#names + 1] = name end end \
         table.sort(names) return names",
    );
    let Reply::Array(names) = names else { panic!("not a list of names: {names:?}") };
    let mut called = 0;
    for name in &names {
        let Reply::Bulk(name) = name else { panic!("not a name: {name:?}") };
        let name = std::str::from_utf8(name).expect("text");
        for (one, other) in EXTREMES.iter().flat_map(|one| EXTREMES.iter().map(move |other| (one, other))) {
            for first in ["'abc'", "{1, 2, 3}", one] {
                eval(&format!("return select('#', {name}({first}, {one}, {other}))"));
                called += 1;
            }
        }
        let next = eval("return #cjson.encode({('x'):rep(1000), unpack({1, 2, 3}, 2)})");
        assert_eq!(next, Reply::Int(1_008), "after {name}");
    }
    assert!(called > 20_000, "{called} calls of {} functions", names.len());
}
