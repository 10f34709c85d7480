//! Whatever arrives, the server neither panics nor hangs nor takes memory without bound, and goes on serving.
//!
//! A bounded, deterministic run of what `sim/fuzz` runs for as long as it is let, over the same functions.

use std::{path::Path, time::Instant};

use crate::support::{commands, fuzzing, seeds, server::Server, simulated::Simulated, transcript::Step};
use proptest::prelude::*;
use valkey_sim::{
    engine::{Dialect, Effects, Engine, Reply, UnixMicros, clients::asks_for_others, commands::FAMILIES},
    lua::{Interpreter, Limits},
    resp::encode_request,
};

/// Bytes that look like RESP more often than chance has it.
fn resp_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(b"*$%~>|_#,(=!+-:\r\n0123t\"'\\x ".to_vec()).prop_map(|byte| vec![byte]),
        any::<u8>().prop_map(|byte| vec![byte]),
        (prop::sample::select(b"*$%~>|=!".to_vec()), any::<i32>()).prop_map(|(kind, len)| [
            &[kind],
            format!("{len}\r\n").as_bytes()
        ]
        .concat()),
        Just(b"*2147483647\r\n".to_vec()),
        Just(b"$536870912\r\n".to_vec()),
        Just(b"*1\r\n".repeat(50)),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// Words that a command may be confused by: names, huge numbers, binary, scripts in scripts.
fn word() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: &[&str] = &[
        "k",
        "k",
        "k2",
        "0",
        "1",
        "-1",
        "2",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "4294967295",
        "1e308",
        "nan",
        "inf",
        "-inf",
        "",
        "*",
        "$",
        ">",
        "-",
        "+",
        "(1",
        "[a",
        "STREAMS",
        "COUNT",
        "LIMIT",
        "GROUP",
        "MAXLEN",
        "~",
        "MATCH",
        "WEIGHTS",
        "GET",
        "PXAT",
        "NX",
        "XX",
        "WITHSCORES",
        "BYLEX",
        "REV",
        "return redis.call(unpack(ARGV))",
        "return redis.pcall('EVAL', ARGV[1], 0)",
        "return {{{{}}}}",
        "#!lua name=l\nredis.register_function('f', function(k, a) return redis.pcall(unpack(a)) end)",
        "f",
        "LOAD",
        "1-1",
        "0-0",
        "18446744073709551615-18446744073709551615",
    ];
    prop_oneof![
        4 => prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::sample::select(names()).prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
    ]
}

/// What the fuzzer runs.
type Target = fn(&[u8]);

/// What the fuzzer starts from, and what it has found: bytes, and the target that they are for.
fn seeds() -> Vec<(Target, Vec<u8>)> {
    let targets: [(_, Target); 3] =
        [("decode", fuzzing::decode), ("dispatch", fuzzing::dispatch), ("script", fuzzing::script)];
    let read = |(name, run)| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
        let files = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().map(move |path| (run, std::fs::read(path).unwrap()))
    };
    targets.into_iter().flat_map(read).collect()
}

fn names() -> Vec<&'static str> {
    FAMILIES.iter().copied().flatten().map(|command| command.name).collect()
}

/// A small server: a command that would need more memory than it has fails the test.
fn engine() -> Engine {
    let limits = Limits { instructions_per_call: 2_000_000, memory_bytes: 16 << 20 };
    Engine::new(Dialect::Valkey8, Interpreter::new(limits))
}

proptest! {
    #![proptest_config(seeds::config(400, 11))]

    #[test]
    fn no_bytes_break_the_decoders(bytes in resp_like(), step in 1u8..50) {
        fuzzing::decode(&[&[step], &bytes[..]].concat());
    }

    #[test]
    fn no_words_of_lua_break_the_engine(words in prop::collection::vec(any::<u8>(), 0..40)) {
        fuzzing::script(&[&[0], &words[..]].concat());
    }

    #[test]
    fn no_seed_of_the_fuzzer_breaks_anything_when_it_is_changed_a_little(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        for (run, mut data) in seeds() {
            for (place, byte) in &changes {
                *place.get_mut(&mut data) = *byte;
            }
            run(&data);
        }
    }

    #[test]
    fn no_command_breaks_the_engine(
        commands in prop::collection::vec(
            (prop::sample::select(names()), prop::collection::vec(word(), 0..9)), 1..12),
    ) {
        let mut sent = Vec::new();
        for (name, words) in &commands {
            let args = [&[name.as_bytes()], &words.iter().map(Vec::as_slice).collect::<Vec<_>>()[..]].concat();
            encode_request(args.iter().copied(), &mut sent);
        }
        fuzzing::dispatch(&sent);
    }

    #[test]
    fn well_formed_commands_do_not_break_the_engine_either(
        choices in prop::collection::vec(prop::collection::vec(any::<u8>(), 24..40), 1..20),
    ) {
        let mut server = Simulated::new(Dialect::Valkey8);
        for step in commands::steps(&choices) {
            match step {
                Step::Clock(now) => server.set_clock(now),
                Step::Library(args) | Step::Command(args) => drop(server.send(&args)),
                Step::Other(args) => drop(server.send_over_other(&args)),
            }
        }
        server.send(&["RESET"]);
        prop_assert!(matches!(server.send(&["DBSIZE"]), Reply::Int(_)));
    }
}

/// What a script may try, and how a server answers it.
const ATTACKS: &[(&str, &str)] = &[
    ("while true do end", "killed"),
    ("local function f() return f() end return f()", "killed"),
    ("local s = 'x' while true do s = s .. s end", "not enough memory"),
    ("return string.rep('x', 1e9)", "not enough memory"),
    ("local t = {} for i = 1, 1e9 do t[i] = {} end", "not enough memory"),
    ("local t = {} for i = 1, 1e9 do t[i] = 'x' .. i end", "not enough memory"),
    ("return unpack({}, 1, 1e8)", "too many results to unpack"),
    ("local function f() return 1 + f() end return f()", "stack overflow"),
    ("return string.format('%1000d', 1)", "invalid format"),
    ("local t = {} t[1] = t return t", "reached lua stack limit"),
    ("return cjson.encode(setmetatable({}, {}))", "$2 {}"),
    ("local t = {} for i = 1, 2000 do t = {t} end return cjson.encode(t)", "nest"),
    ("return assert(loadstring('\\27Lua'))", "-ERR"),
    ("return os.exit()", "attempt to call field 'exit'"),
    ("return io.open('/etc/passwd')", "nonexistent global variable 'io'"),
    ("return require('os')", "nonexistent global variable 'require'"),
    ("return dofile('/etc/passwd')", "nonexistent global variable 'dofile'"),
    ("return debug.getregistry()", "nonexistent global variable 'debug'"),
    ("return getfenv(0).io", "nonexistent global variable 'getfenv'"),
    ("string.rep = nil", "readonly table"),
    ("getmetatable('').__index = nil", "readonly table"),
    ("redis.call = nil", "readonly table"),
    ("rawset(_G, 'x', 1)", "readonly table"),
    ("error({})", "and a real server dies of that script: "),
    ("error(nil)", "-ERR nil script: "),
    ("error({1, 2})", "and a real server dies of that script: "),
    ("error(setmetatable({}, {__tostring = function() error('again') end}))", "-ERR unknown error"),
    ("return redis.call(unpack({'SET', 'k', {}}))", "must be strings or integers"),
    ("return redis.call('EVAL', 'return 1', 0)", "not allowed from script"),
    ("coroutine.wrap(function() while true do end end)()", "killed"),
];

#[test]
fn a_script_cannot_hang_or_fill_the_server_or_leave_its_sandbox() {
    let mut engine = engine();
    let mut session = engine.connect();
    let now = UnixMicros::from_millis(1_700_000_000_000);
    let mut wrong = Vec::new();
    for (script, expected) in ATTACKS {
        let args: [&[u8]; 3] = [b"EVAL", script.as_bytes(), b"0"];
        let reply = engine.execute(&mut session, &args, now, &mut Effects::default());
        let text = crate::support::transcript::show(&reply);
        assert!(!expected.is_empty(), "nothing is expected of {script}, and everything would do");
        if !text.contains(expected) {
            wrong.push(format!("{script}\n    {text}"));
        }
        let next: [&[u8]; 3] = [b"EVAL", b"return redis.call('INCR', 'calls')", b"0"];
        let next = engine.execute(&mut session, &next, now, &mut Effects::default());
        assert!(matches!(next, Reply::Int(_)), "after {script}: {next:?}");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn many_keys_are_scanned_and_many_commands_queued_in_the_time_of_few() {
    const MANY: usize = 100_000;
    let mut engine = engine();
    let mut session = engine.connect();
    let now = UnixMicros::from_millis(1_700_000_000_000);
    let mut ask = |engine: &mut Engine, args: &[&[u8]]| {
        // What the server asks itself before each command.
        let _ = asks_for_others(&session, args);
        engine.execute(&mut session, args, now, &mut Effects::default())
    };
    let start = Instant::now();
    for number in 0..MANY {
        assert_eq!(ask(&mut engine, &[b"SET", number.to_string().as_bytes(), b"v"]), Reply::OK);
    }
    let (mut cursor, mut found) = (bytes::Bytes::from_static(b"0"), 0);
    loop {
        let Reply::Array(page) = ask(&mut engine, &[b"SCAN", &cursor]) else { panic!("SCAN answers a page") };
        let [Reply::Bulk(next), Reply::Array(keys)] = &page[..] else { panic!("{page:?}") };
        (cursor, found) = (next.clone(), found + keys.len());
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found, MANY);
    ask(&mut engine, &[b"MULTI"]);
    for _ in 0..MANY {
        ask(&mut engine, &[b"INCR", b"counter"]);
    }
    let Reply::Array(replies) = ask(&mut engine, &[b"EXEC"]) else { panic!("EXEC answers all") };
    assert_eq!((replies.len(), replies.last()), (MANY, Some(&Reply::Int(MANY as i64))));
    // Minutes, if each page walked over all keys, or each command over those queued before it.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
