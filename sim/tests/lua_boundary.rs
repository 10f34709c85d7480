//! What a host may do while a script runs, and what it may not: the interpreter survives either.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::common::log::OnLine;
use valkey_sim::{
    engine::{Dialect, Protocol, Reply},
    lua::{Callback, Host, Input, Interpreter, Limits, PersistentState, Script},
};

const DIALECT: Dialect = Dialect::Valkey8;
const BUSY: &str = "a script is running already";

/// Answers each command with what a closure makes of it.
struct Answers<F>(F);

impl<F: FnMut(&[&[u8]]) -> Reply> Host for Answers<F> {
    fn call(&mut self, args: &[&[u8]], _: Protocol) -> Reply {
        (self.0)(args)
    }

    fn knows(&self, _: &[u8]) -> bool {
        true
    }
}

fn input<'a>() -> Input<'a> {
    Input { name: "f", keys: &[], args: &[] }
}

fn run(script: &Script, host: &mut dyn Host) -> Reply {
    script.call(input(), &mut PersistentState::default(), host)
}

fn text(reply: &Reply) -> &str {
    reply.error().map_or("", |error| error.0.as_ref())
}

/// A function of a library that returns 7.
fn seven(interpreter: &Interpreter) -> Callback {
    let library = b"redis.register_function('seven', function() return 7 end)";
    interpreter.load(DIALECT, library).expect("the library loads").remove(0).callback
}

#[test]
fn a_host_that_calls_back_into_the_interpreter_is_refused_and_the_running_script_goes_on() {
    let interpreter = Interpreter::default();
    let callback = seven(&interpreter);
    let inner = interpreter.script(DIALECT, b"return 1").expect("compiles");
    let outer = interpreter
        .script(
            DIALECT,
            b"local kept, t = 'kept', {} for i = 1, 100 do t[i] = redis.call('X', kept, i) end \
              return kept .. #t .. t[100]",
        )
        .expect("compiles");
    let mut refused = 0;
    let mut host = Answers(|_: &[&[u8]]| {
        let nobody = &mut Answers(|_: &[&[u8]]| Reply::Null);
        let attempts = [
            text(&callback.call(input(), &mut PersistentState::default(), nobody)).to_owned(),
            text(&run(&inner, nobody)).to_owned(),
            interpreter
                .load(DIALECT, b"return 1")
                .map_or_else(|error| error.0.into_owned(), |_| String::new()),
            interpreter
                .script(DIALECT, b"new()")
                .map_or_else(|error| error.0.into_owned(), |_| String::new()),
            interpreter
                .script(DIALECT, b"return 1")
                .map_or_else(|error| error.0.into_owned(), |_| String::new()),
        ];
        refused += attempts.iter().filter(|text| text.contains(BUSY)).count();
        assert!(interpreter.memory() > 0);
        Reply::bulk("r")
    });
    assert_eq!(run(&outer, &mut host), Reply::bulk("kept100r"));
    assert_eq!(refused, 500);
    let nobody = &mut Answers(|_: &[&[u8]]| Reply::Null);
    assert_eq!(callback.call(input(), &mut PersistentState::default(), nobody), Reply::Int(7));
    assert_eq!(run(&inner, nobody), Reply::Int(1));
}

#[test]
fn an_interpreter_of_the_other_dialect_may_be_entered_meanwhile() {
    let interpreter = Interpreter::default();
    let other = interpreter.script(Dialect::Redis7, b"return 2").expect("compiles");
    let outer = interpreter.script(DIALECT, b"return redis.call('X') + 1").expect("compiles");
    let mut host = Answers(|_: &[&[u8]]| run(&other, &mut Answers(|_: &[&[u8]]| Reply::Null)));
    assert_eq!(run(&outer, &mut host), Reply::Int(3));
}

#[test]
fn a_function_that_is_dropped_while_a_script_runs_is_forgotten_afterwards() {
    let interpreter = Interpreter::default();
    let dropped = RefCell::new(Some(seven(&interpreter)));
    let script = interpreter.script(DIALECT, b"local x = {1} redis.call('X') return x[1]").expect("compiles");
    let mut host = Answers(|_: &[&[u8]]| {
        drop(dropped.take());
        Reply::Null
    });
    assert_eq!(run(&script, &mut host), Reply::Int(1));
    let callback = seven(&interpreter);
    let nobody = &mut Answers(|_: &[&[u8]]| Reply::Null);
    assert_eq!(callback.call(input(), &mut PersistentState::default(), nobody), Reply::Int(7));
}

/// Panics where it is told to.
struct Panics(&'static str);

impl Panics {
    fn at(&self, place: &str) {
        assert!(self.0 != place, "the host panics: {place}");
    }
}

impl Host for Panics {
    fn call(&mut self, _: &[&[u8]], _: Protocol) -> Reply {
        self.at("call");
        Reply::Null
    }

    fn knows(&self, _: &[u8]) -> bool {
        self.at("knows");
        true
    }

    fn looked_at(&mut self) -> u64 {
        self.at("looked_at");
        0
    }
}

#[test]
fn a_host_that_panics_anywhere_ends_the_call_and_not_the_interpreter() {
    let interpreter = Interpreter::default();
    for place in ["call", "knows", "looked_at"] {
        let script = b"pcall(redis.call, 'X') pcall(redis.acl_check_cmd, 'X') while true do end";
        let script = interpreter.script(DIALECT, script).expect("compiles");
        let panic = catch_unwind(AssertUnwindSafe(|| run(&script, &mut Panics(place)))).expect_err(place);
        let message = panic.downcast_ref::<String>().map_or("", String::as_str);
        assert!(message.contains(place), "{place}: {message}");
        let next = interpreter.script(DIALECT, b"return 1").expect("compiles");
        assert_eq!(run(&next, &mut Panics("")), Reply::Int(1), "after a panic in {place}");
    }
}

#[test]
fn a_script_that_was_forgotten_for_others_says_so_and_runs_no_other() {
    let interpreter = Interpreter::default();
    let first = interpreter.script(DIALECT, b"return 'first'").expect("compiles");
    for number in 0..100 {
        interpreter.script(DIALECT, format!("return {number}").as_bytes()).expect("compiles");
    }
    assert!(text(&run(&first, &mut Panics(""))).contains("forgotten"));
}

/// Makes a source of many names and strings that fails when it runs: the collector works while it is parsed.
const FAILING: &str = "local parts = {} for i = 1, 300 do parts[i] = 'do local s' .. i .. ROUND .. \" = '\" .. \
                       ('x'):rep(20) .. i .. ROUND .. \"' end\" end parts[#parts + 1] = ' error(1)' ";

#[test]
fn sources_that_are_parsed_while_garbage_is_collected_keep_their_names() {
    let interpreter = Interpreter::new(Limits { instructions_per_call: 500_000_000, memory_bytes: 3 << 20 });
    for (load, name) in [
        ("loadstring(table.concat(parts, '\\n'), name)", "'@' .. ('n'):rep(30) .. ROUND"),
        // Up to its zero, the name is a string that nothing but the parser knows.
        ("loadstring(table.concat(parts, '\\n'), name)", "'@' .. ('z'):rep(30) .. ROUND .. '\\0rest'"),
        (
            "load(function() i = i + 1 for g = 1, 20 do junk[g] = ('g'):rep(100) .. i .. g end \
             return parts[i] and parts[i] .. '\\n' end, name)",
            "'@' .. ('p'):rep(30) .. ROUND",
        ),
    ] {
        let script = format!(
            "local failed = 0 for ROUND = 1, 60 do {FAILING} local i, junk, name = 0, {{}}, {name} \
             local chunk = assert({load}) local ok, message = pcall(chunk) \
             local expected = name:sub(2):match('^%Z+') \
             if not message:find(expected .. ':', 1, true) then return message end failed = failed + 1 end \
             return failed"
        );
        let script = interpreter.script(DIALECT, script.as_bytes()).expect("compiles");
        assert_eq!(run(&script, &mut Panics("")), Reply::Int(60), "{load} {name}");
    }
    for round in 0..2_000 {
        let source = format!("local t = {{}} for i = 1, 100 do t[i] = 'a{round}' .. i end error('x')");
        let script = interpreter.script(DIALECT, source.as_bytes()).expect("compiles");
        let reply = run(&script, &mut Panics(""));
        assert!(text(&reply).contains("on @user_script:1"), "{reply:?}");
    }
}

thread_local! {
    static LOGGED: RefCell<Option<Interpreter>> = const { RefCell::new(None) };
}

/// A subscriber of the log asks the interpreter what it holds, and then panics.
fn asks_and_panics() {
    let interpreter = LOGGED.take().expect("an interpreter");
    assert!(interpreter.memory() > 0);
    assert!(text_of(interpreter.script(DIALECT, b"return 1").err()).contains(BUSY));
    panic!("the subscriber panics");
}

fn text_of(error: Option<valkey_sim::engine::ErrorReply>) -> String {
    error.map(|error| error.0.into_owned()).unwrap_or_default()
}

#[test]
fn a_subscriber_of_the_log_that_panics_ends_the_call_and_not_the_interpreter() {
    let interpreter = Interpreter::default();
    let loads = |interpreter: &Interpreter| {
        let library = b"redis.log(redis.LOG_WARNING, 'x') redis.register_function('f', function() end)";
        drop(interpreter.load(DIALECT, library));
    };
    let logs = |interpreter: &Interpreter| {
        let script = interpreter.script(DIALECT, b"redis.log(redis.LOG_WARNING, 'x')").expect("compiles");
        run(&script, &mut Panics(""));
    };
    for call in [&loads as &dyn Fn(&Interpreter), &logs] {
        LOGGED.set(Some(interpreter.clone()));
        let panic = tracing::subscriber::with_default(OnLine(asks_and_panics), || {
            catch_unwind(AssertUnwindSafe(|| call(&interpreter))).expect_err("the panic goes on")
        });
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the subscriber panics"));
        assert_eq!(
            seven(&interpreter).call(input(), &mut PersistentState::default(), &mut Panics("")),
            Reply::Int(7)
        );
    }
}
