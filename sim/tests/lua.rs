//! Functions and scripts answer as a real server's do. Expected answers are those of redis-server 7.0.15, word
//! for word, unless a test says otherwise.

use crate::common::{Server, eval, show};
use valkey_sim::{
    engine::{Dialect, Protocol, Reply},
    lua::{Host, Input, Interpreter, Limits, PersistentState},
};

fn redis() -> Server {
    Server::new(Dialect::Redis7, Interpreter::default())
}

/// Checks bodies of functions against what a real server answered.
#[track_caller]
fn check(server: &mut Server, cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (body, expected) in cases {
        let answer = server.print(body);
        if answer != *expected {
            wrong.push(format!("{body}\n  expected {expected}\n  found    {answer}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn globals_are_read_only_and_unknown_ones_are_errors() {
    const PLACE: &str = "script: f, on @user_function:3.";
    let read_only = format!("-ERR user_function:3: Attempt to modify a readonly table {PLACE}");
    let bare = format!("-ERR Attempt to modify a readonly table {PLACE}");
    let cases = [
        ("x=1", &read_only),
        ("string=1", &read_only),
        ("string.x=1", &read_only),
        ("string.rep=1", &read_only),
        ("redis.x=1", &read_only),
        ("getmetatable('').__index=1", &read_only),
        ("_G.x=1", &read_only),
        ("rawset(string,'x',1)", &bare),
        ("rawset(_G,'x',1)", &bare),
        ("setmetatable(string,{})", &bare),
        ("setmetatable(_G,{})", &bare),
        ("table.insert(string,1)", &bare),
    ];
    let mut server = redis();
    let cases: Vec<_> = cases.iter().map(|(body, expected)| (*body, expected.as_str())).collect();
    check(&mut server, &cases);
    check(
        &mut server,
        &[
            (
                "return x",
                "-ERR user_function:3: Script attempted to access nonexistent global variable 'x' script: f, on \
                 @user_function:3.",
            ),
            ("return redis.nope", "null"),
            ("return string.nope", "null"),
            ("table.sort(string)", "null"),
            ("table.remove(string)", "null"),
            ("return tostring(getmetatable(redis))", "nil"),
            ("return tostring(getmetatable('').__index == string)", "true"),
            ("local n = 0 for k, v in pairs(string) do n = n + 1 end return n", ":15"),
            ("local n, t = pairs(string) t.rep = 1", &read_only),
            ("return ('x'):rep(3)", "xxx"),
            ("return tostring(next(string) ~= nil)", "true"),
        ],
    );
}

#[test]
fn the_sandbox_shows_what_a_server_shows() {
    let names = "local r={} for k in pairs(_G) do r[#r+1]=k end table.sort(r) return table.concat(r, ' ')";
    assert_eq!(
        redis().print(names),
        "_G _VERSION assert bit cjson cmsgpack collectgarbage coroutine error gcinfo getmetatable ipairs load \
         loadstring math next pairs pcall rawequal rawget rawset redis select setmetatable string struct table \
         tonumber tostring type unpack xpcall"
    );
    let names = "local r={} for k,v in pairs(redis) do r[#r+1]=k..(type(v)=='function' and '' or '='..tostring(v)) end \
                 table.sort(r) return table.concat(r, ' ')";
    assert_eq!(
        redis().print(names),
        "LOG_DEBUG=0 LOG_NOTICE=2 LOG_VERBOSE=1 LOG_WARNING=3 REDIS_VERSION=7.0.15 REDIS_VERSION_NUM=458767 REPL_ALL=3 \
         REPL_AOF=1 REPL_NONE=0 REPL_REPLICA=2 REPL_SLAVE=2 acl_check_cmd call error_reply log pcall set_repl setresp \
         sha1hex status_reply"
    );
    assert_eq!(Server::default().print("return server == redis and server.SERVER_NAME"), "valkey");
}

#[test]
fn errors_reach_the_client_with_their_place() {
    check(
        &mut redis(),
        &[
            ("error('boom')", "-ERR user_function:3: boom script: f, on @user_function:3."),
            ("error('boom', 0)", "-ERR boom script: f, on @user_function:3."),
            ("error('boom', 2)", "-ERR boom script: f, on @user_function:3."),
            ("error()", "-ERR nil script: f, on @user_function:3."),
            ("error(12)", "-ERR user_function:3: 12 script: f, on @user_function:3."),
            ("error({err='My Boom'})", "-My Boom script: f, on @user_function:3."),
            ("error({err='x', source='a', line=7})", "-x script: f, on @user_function:3."),
            ("return assert(false, 'as')", "-ERR user_function:3: as script: f, on @user_function:3."),
            (
                "local a = nil\nreturn a.b",
                "-ERR user_function:4: attempt to index local 'a' (a nil value) script: f, on @user_function:4.",
            ),
            (
                "return unpack({},1,8001)",
                "-ERR user_function:3: too many results to unpack script: f, on @user_function:3.",
            ),
            (
                "local f=loadstring('x=1') f()",
                "-ERR [string \"x=1\"]:1: Attempt to modify a readonly table script: f, on x=1:1.",
            ),
            (
                "return string.format('%s', {})",
                "-ERR user_function:3: bad argument #2 to 'format' (string expected, got table) script: f, on \
                 @user_function:3.",
            ),
            (
                "return redis.register_function('a', function() end)",
                "-ERR user_function:3: attempt to call field 'register_function' (a nil value) script: f, on \
                 @user_function:3.",
            ),
            (
                "return collectgarbage('foo')",
                "-ERR user_function:3: bad argument #1 to 'collectgarbage' (invalid option 'foo') script: f, on \
                 @user_function:3.",
            ),
        ],
    );
}

#[test]
fn a_failing_command_raises_and_pcall_hands_its_text_over() {
    const UNKNOWN: &str = "ERR Unknown Redis command called from script";
    let raised = format!("-{UNKNOWN} script: f, on @user_function:3.");
    let returned = format!("-{UNKNOWN}");
    let listed = format!("[null {UNKNOWN}]");
    check(
        &mut redis(),
        &[
            ("return redis.call('nope')", &raised),
            ("return redis.pcall('nope')", &returned),
            ("return {pcall(redis.call, 'nope')}", &listed),
            ("local co=coroutine.wrap(function() return redis.call('nope') end) return co()", &raised),
            (
                "local ok, e = xpcall(function() redis.call('nope') end, function(e) return e end) return type(e)",
                "table",
            ),
            ("return redis.pcall()", "-ERR Please specify at least one argument for this redis lib call"),
            (
                "return redis.call('get')",
                "-ERR Wrong number of args calling Redis command from script script: f, on @user_function:3.",
            ),
            (
                "return redis.pcall('get', {})",
                "-ERR Lua redis lib command arguments must be strings or integers",
            ),
            ("return redis.pcall('eval','return 1',0)", "-ERR This Redis command is not allowed from script"),
        ],
    );
    check(
        &mut Server::default(),
        &[
            ("return redis.pcall('nope')", "-ERR Unknown command called from script"),
            ("return redis.pcall('get')", "-ERR Wrong number of args calling command from script"),
            ("return redis.pcall('get', true)", "-ERR Command arguments must be strings or integers"),
        ],
    );
}

#[test]
fn replies_are_converted_as_a_server_converts_them() {
    check(
        &mut redis(),
        &[
            ("return redis.error_reply('nocode')", "-ERR nocode"),
            ("return redis.error_reply('My Code')", "-My Code"),
            ("return redis.error_reply('-My Code')", "-My Code"),
            ("return redis.error_reply('')", "-ERR "),
            ("return redis.error_reply()", "-ERR wrong number or type of arguments"),
            ("return {err='plain'}", "-plain"),
            ("return {ok='fi\\nne'}", "+fi ne"),
            ("return redis.status_reply('x')", "+x"),
            ("return {1.9,-0.5,true,false,'x',nil,3}", "[:1 :0 :1 null x]"),
            ("return cjson.null", "null"),
            ("return function() end", "null"),
            ("return 1e100", ":-9223372036854775808"),
            ("return {double=1.5}", ",1.5"),
            ("return {map={a=1}}", "{a=:1}"),
            ("return {set={a=true}}", "~[a]"),
            ("return {big_number='12'}", "(12"),
            ("return {verbatim_string={format='txt',string='hello'}}", "=hello"),
            ("redis.setresp(3) return true", "#true"),
            ("redis.setresp(3) return tostring(redis.call('get','nokey'))", "nil"),
            ("return tostring(redis.call('get','nokey'))", "false"),
            ("return redis.setresp(4)", "-ERR RESP version must be 2 or 3. script: f, on @user_function:3."),
            ("return redis.sha1hex('')", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("return redis.sha1hex()", "-ERR wrong number of arguments script: f, on @user_function:3."),
            ("return redis.log(9,'b')", "-ERR Invalid debug level. script: f, on @user_function:3."),
            ("return keys[1]..args[1]", "ka1"),
            ("return 5, 6", ":5"),
            ("return redis.acl_check_cmd('get','x')", ":1"),
        ],
    );
}

#[test]
fn cjson_writes_and_reads_as_lua_cjson_does() {
    check(
        &mut redis(),
        &[
            ("return cjson.encode({})", "{}"),
            ("return cjson.encode(cjson.decode('[]'))", "{}"),
            ("return cjson.encode({1,nil,3})", "[1,null,3]"),
            ("return cjson.encode('a/b\\n\\1')", "\"a\\/b\\n\\u0001\""),
            ("return cjson.encode(0.1)..cjson.encode(1e15)..cjson.encode(-5)", "0.11e+15-5"),
            (
                "return cjson.encode({[100]=1})",
                "-ERR user_function:3: Cannot serialise table: excessively sparse array script: f, on @user_function:3.",
            ),
            (
                "return cjson.encode(0/0)",
                "-ERR user_function:3: Cannot serialise number: must not be NaN or Inf script: f, on @user_function:3.",
            ),
            ("return tostring(cjson.decode('NaN'))", "nan"),
            ("return {cjson.decode('0x10'), cjson.decode('01'), cjson.decode('+1')}", "[:16 :1 :1]"),
            ("return cjson.decode('\"\\\\u00e9\\\\ud83d\\\\ude00\"')", "é😀"),
            ("return cjson.encode(cjson.decode('{\"a\":[1,{\"b\":null}]}'))", "{\"a\":[1,{\"b\":null}]}"),
            (
                "return cjson.decode('{')",
                "-ERR user_function:3: Expected object key string but found T_END at character 2 script: f, on \
                 @user_function:3.",
            ),
            (
                "return cjson.decode('[1,nope]')",
                "-ERR user_function:3: Expected value but found invalid token at character 4 script: f, on \
                 @user_function:3.",
            ),
            ("return #cjson.encode(cjson.decode(string.rep('[',1000)..'1'..string.rep(']',1000)))", ":2001"),
            (
                "return {bit.band(0xff,0x0f), bit.bnot(0), bit.tohex(255,4), bit.lshift(1,31)}",
                "[:15 :-1 00ff :-2147483648]",
            ),
        ],
    );
}

#[test]
fn random_numbers_are_the_servers_own() {
    let mut server = redis();
    let body = "return {tostring(math.random()),tostring(math.random()),math.random(10),math.random(5,7)}";
    let first = server.print(body);
    assert_ne!(server.print(body), first, "they go on from call to call");
    // An interpreter is shared, the numbers are not.
    assert_eq!(Server::new(Dialect::Redis7, Interpreter::default()).print(body), first);
    check(
        &mut server,
        &[(
            "math.randomseed(7) return {tostring(math.random()),tostring(math.random())}",
            "[0.26644419658298 0.68203523041775]",
        )],
    );
}

#[test]
fn a_library_that_does_not_load_says_why() {
    let failed = "ERR Error registering functions: ERR ";
    let cases = [
        ("foo", "ERR Missing library metadata".to_owned()),
        ("#!lua name=l", "ERR Invalid library metadata".to_owned()),
        ("#!lua \nx", "ERR Library name was not given".to_owned()),
        ("#!luax name=l\nx", "ERR Engine 'luax' not found".to_owned()),
        ("#! name=l\nx", "ERR Engine '' not found".to_owned()),
        ("#!lua foo=b\nx", "ERR Invalid metadata value given: foo=b".to_owned()),
        ("#!lua name=\"a\nx", "ERR Invalid library metadata".to_owned()),
        (
            "#!lua name=a name=b\nx",
            "ERR Invalid metadata value, name argument was given multiple times".to_owned(),
        ),
        ("#!lua name=l\nreturn nil", "ERR No functions registered".to_owned()),
        (
            "#!lua name=l\nlocal x=\n=",
            "ERR Error compiling function: user_function:3: unexpected symbol near '='".to_owned(),
        ),
        (
            "#!lua name=l\nlocal r={} r[1]=tostring",
            format!(
                "{failed}user_function:2: Script attempted to access nonexistent global variable 'tostring'"
            ),
        ),
        (
            "#!lua name=l\nredis.call('get','x')",
            format!("{failed}user_function:2: Script attempted to access nonexistent global variable 'call'"),
        ),
        ("#!lua name=l\nx=1", format!("{failed}user_function:2: Attempt to modify a readonly table")),
        (
            "#!lua name=l\nredis.register_function()",
            format!("{failed}wrong number of arguments to redis.register_function"),
        ),
        (
            "#!lua name=l\nredis.register_function('f',1)",
            format!("{failed}second argument to redis.register_function must be a function"),
        ),
        (
            "#!lua name=l\nredis.register_function{callback=function() end}",
            format!("{failed}redis.register_function must get a function name argument"),
        ),
        (
            "#!lua name=l\nredis.register_function{function_name='f',callback=function() end,flags={'x'}}",
            format!("{failed}unknown flag given"),
        ),
        (
            "#!lua name=l\nredis.register_function('f',function() end) redis.register_function('f',function() end)",
            format!("{failed}Function already exists in the library"),
        ),
        (
            "#!lua name=l\nwhile true do end",
            format!("{failed}FUNCTION LOAD timeout").replace("ERR ERR ", "ERR "),
        ),
    ];
    let mut server = Server::new(
        Dialect::Redis7,
        Interpreter::new(Limits { instructions_per_call: 1_000_000, ..Limits::default() }),
    );
    for (code, expected) in cases {
        assert_eq!(show(&server.load(code)), format!("-{expected}"), "{code}");
    }
}

#[test]
fn a_failed_replace_keeps_the_old_library() {
    let mut server = redis();
    assert_eq!(server.print("return 1"), ":1");
    server.load("#!lua name=l\nredis.register_function('g', function() end) nope()");
    assert_eq!(show(&server.run(&[b"FCALL", b"F", b"0"])), ":1", "and names are case-insensitive");
    let taken = server.load("#!lua name=m\nredis.register_function('f', function() end)");
    assert_eq!(show(&taken), "-ERR Function f already exists");
    let again =
        server.run(&[b"FUNCTION", b"LOAD", b"#!lua name=l\nredis.register_function('f', function() end)"]);
    assert_eq!(show(&again), "-ERR Library 'l' already exists");
}

#[test]
fn a_call_that_loops_is_killed_and_no_pcall_saves_it() {
    let limits = Limits { instructions_per_call: 1_000_000, ..Limits::default() };
    let mut server = Server::new(Dialect::Valkey8, Interpreter::new(limits));
    let killed = "-ERR Error running script: Script killed by user with FUNCTION KILL. script: f, on @user_function:3.";
    check(
        &mut server,
        &[
            ("while true do end", killed),
            ("while true do pcall(function() while true do end end) end", killed),
            (
                "while true do coroutine.wrap(function() pcall(function() while true do end end) end)() end",
                killed,
            ),
            ("return 1", ":1"),
        ],
    );
}

#[test]
fn memory_is_limited_and_the_engine_goes_on() {
    let limits = Limits { memory_bytes: 8 << 20, ..Limits::default() };
    let mut server = Server::new(Dialect::Valkey8, Interpreter::new(limits));
    let out = "-ERR Error running script (call to f): not enough memory";
    for _ in 0..3 {
        check(
            &mut server,
            &[
                ("return string.rep('x', 1e9)", out),
                ("local t = {} while true do t[#t+1] = {} end", out),
                ("local s = 'x' while true do s = s .. s end", out),
                ("return cjson.encode({1, 2})", "[1,2]"),
            ],
        );
    }
}

#[test]
fn nothing_leaks_from_one_engine_to_the_next() {
    let code = "#!lua name=l\nlocal n = 0\nredis.register_function('f', function() n = n + 1 return n end)";
    let interpreter = Interpreter::default();
    for _ in 0..2 {
        let mut server = Server::new(Dialect::Valkey8, interpreter.clone());
        server.load(code);
        assert_eq!(show(&server.run(&[b"FCALL", b"f", b"0"])), ":1");
        assert_eq!(show(&server.run(&[b"FCALL", b"f", b"0"])), ":2", "upvalues persist between calls");
    }
}

#[test]
fn loading_ten_thousand_times_does_not_grow_memory() {
    let interpreter = Interpreter::default();
    let mut server = Server::new(Dialect::Valkey8, interpreter.clone());
    let mut peak_of_first = 0;
    for round in 0..10_000 {
        server.load(&format!(
            "#!lua name=l\nlocal v = {}\nredis.register_function('f', function() return v end)",
            round % 100
        ));
        if round < 1_000 {
            peak_of_first = peak_of_first.max(interpreter.memory());
        }
    }
    assert!(interpreter.memory() <= peak_of_first * 2, "{} after {peak_of_first}", interpreter.memory());
}

/// Answers with what it was asked, or panics when told to.
struct Echo;

impl Host for Echo {
    fn call(&mut self, args: &[&[u8]], protocol: Protocol) -> Reply {
        assert_ne!(args[0], b"PANIC", "the host panics");
        let asked = args.iter().map(Reply::bulk).collect();
        Reply::Map(vec![(Reply::bulk("asked"), Reply::Array(asked)), (Reply::bulk("d"), Reply::Double(0.5))])
            .flattened_unless(protocol == Protocol::Resp3)
    }

    fn knows(&self, _: &[u8]) -> bool {
        true
    }
}

/// Only for `Echo`: some commands answer otherwise to a script that speaks RESP3.
trait Flattened {
    fn flattened_unless(self, keep: bool) -> Self;
}

impl Flattened for Reply {
    fn flattened_unless(self, keep: bool) -> Self {
        match self {
            Reply::Map(pairs) if !keep => {
                Reply::Array(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect())
            }
            other => other,
        }
    }
}

fn echo(interpreter: &Interpreter, body: &str) -> Reply {
    let code = format!("redis.register_function('f', function(keys, args) {body} end)");
    let functions = interpreter.load(Dialect::Valkey8, code.as_bytes()).unwrap();
    let input = Input { name: "f", keys: &[], args: &[] };
    functions[0].callback.call(input, &mut PersistentState::default(), &mut Echo)
}

#[test]
fn commands_with_many_arguments_and_nested_replies_cross_the_boundary() {
    let interpreter = Interpreter::default();
    let many = "local a = {} for i = 1, 7000 do a[i] = i end \
                local r = redis.call('X', unpack(a)) return {#r, #r[2], r[2][7001], r[4]}";
    assert_eq!(show(&echo(&interpreter, many)), "[:4 :7001 7000 0.5]");
    let resp3 = "redis.setresp(3) local r = redis.call('X', 1, 'b') return {#r.map.asked, r.map.d}";
    assert_eq!(show(&echo(&interpreter, resp3)), "[:3 ,0.5]");
    let nested = "local t = 1 for i = 1, 200 do t = {t} end return t";
    assert!(show(&echo(&interpreter, nested)).starts_with("[[[["));
    let endless = "local t = {} t[1] = t return t";
    assert!(show(&echo(&interpreter, endless)).contains("reached lua stack limit"));
}

#[test]
fn a_panic_of_the_host_passes_through_lua_and_leaves_it_usable() {
    let interpreter = Interpreter::default();
    let calls = std::panic::AssertUnwindSafe(|| echo(&interpreter, "pcall(redis.call, 'PANIC') return 1"));
    assert!(std::panic::catch_unwind(calls).is_err());
    assert_eq!(show(&echo(&interpreter, "return 1")), ":1");
}

#[test]
fn nothing_reveals_an_address() {
    check(
        &mut redis(),
        &[
            ("return tostring({}) == tostring({}) and tostring({})", "table: 0x7f0000000000"),
            (
                "return tostring(print == nil and tostring)",
                "-ERR user_function:3: Script attempted to access nonexistent global variable 'print' script: f, on @user_function:3.",
            ),
            ("return tostring(tostring)", "function: 0x7f0000000000"),
        ],
    );
}

#[test]
fn read_only_calls_refuse_writers() {
    let mut server = Server::default();
    server.body("return 1");
    let refused = server.run(&[b"FCALL_RO", b"f", b"0"]);
    assert_eq!(show(&refused), "-ERR Can not execute a script with write flag using *_ro command.");
    server.load(
        "#!lua name=l\nserver.register_function{function_name='r', flags={'no-writes'}, callback=function() return 2 end}",
    );
    assert_eq!(show(&server.run(&[b"FCALL_RO", b"r", b"0"])), ":2");
    assert_eq!(show(&server.run(&[b"FCALL", b"nope", b"0"])), "-ERR Function not found");
    assert_eq!(show(&server.run(&[b"FCALL", b"r", b"x"])), "-ERR Bad number of keys provided");
    assert_eq!(show(&server.run(&[b"FCALL", b"r", b"-1"])), "-ERR Number of keys can't be negative");
    assert_eq!(
        show(&server.run(&[b"FCALL", b"r", b"3"])),
        "-ERR Number of keys can't be greater than number of args"
    );
}

#[test]
fn functions_are_listed_with_their_flags_and_code() {
    let mut server = Server::default();
    let code = "#!lua name=l\nserver.register_function{function_name='r', flags={'no-writes'}, callback=function() end}";
    server.load(code);
    assert_eq!(server.effects.len(), 1, "a load is propagated");
    let listed = show(&server.run(&[b"FUNCTION", b"LIST", b"LIBRARYNAME", b"L*"]));
    assert_eq!(
        listed,
        "[{library_name=l engine=LUA functions=[{name=r description=null flags=~[+no-writes]}]}]"
    );
    assert_eq!(show(&server.run(&[b"FUNCTION", b"DELETE", b"l"])), "+OK");
    assert_eq!(server.run(&[b"FUNCTION", b"LIST"]), Reply::Array(vec![]));
}

#[test]
fn scripts_run_with_keys_and_argv_as_globals() {
    let mut server = redis();
    assert_eq!(show(&server.run(&[b"EVAL", b"return {KEYS[1], ARGV[1]}", b"1", b"k", b"a"])), "[k a]");
    let hash = show(&server.run(&[b"SCRIPT", b"LOAD", b"return 7"]));
    assert_eq!(show(&server.run(&[b"EVALSHA", hash.as_bytes(), b"0"])), ":7");
    let unknown = server.run(&[b"EVALSHA", b"nope", b"0"]);
    assert_eq!(show(&unknown), "-NOSCRIPT No matching script. Please use EVAL.");
    assert!(
        show(&server.run(&[b"EVAL", b"x=1", b"0"]))
            .contains("user_script:1: Attempt to modify a readonly table script: ")
    );
    assert!(server.print("return KEYS").contains("nonexistent global variable 'KEYS'"));
}

/// Large tables are stepped through by knowing where a key lies: keys of every kind are found, and those too that were taken
/// out meanwhile, and collected.
#[test]
fn next_goes_through_a_large_table_whatever_its_keys_are() {
    let mut server = Server::new(Dialect::Valkey8, Interpreter::default());
    let filled = "local keys = {} for i = 1, 3000 do keys[#keys + 1] = i keys[#keys + 1] = -i / 7 \
                  keys[#keys + 1] = 'k' .. i keys[#keys + 1] = {} keys[#keys + 1] = function() return i end \
                  keys[#keys + 1] = coroutine.create(function() end) end \
                  for _, key in ipairs({true, 0, 2 ^ 53, 1 / 0, cjson.null, type}) do keys[#keys + 1] = key end \
                  local t, n, sum = {}, 0, 0 for i, key in ipairs(keys) do t[key] = i end ";
    let by_pairs = "for _, i in pairs(t) do n, sum = n + 1, sum + i end return n .. ' ' .. sum";
    let by_next = "local key, i = next(t) while key do n, sum = n + 1, sum + i t[key] = nil \
                   if n % 1000 == 0 then keys = {} collectgarbage() end key, i = next(t, key) end \
                   return n .. ' ' .. sum";
    let all = 18_006_u64;
    let expected = format!("{all} {}", all * (all + 1) / 2);
    for steps in [by_pairs, by_next] {
        assert_eq!(eval(&mut server, &format!("{filled}{steps}")), expected, "{steps}");
    }
    let unknown = "local t = {} for i = 1, 999 do t['k' .. i] = i end return next(t, 'none')";
    assert!(eval(&mut server, unknown).contains("invalid key to 'next'"));
}
