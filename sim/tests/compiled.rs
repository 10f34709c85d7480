//! A library that is compiled once is loaded once for all interpreters that come one after the other, and none of them can
//! tell.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::common::{NoCommands, log::OnLine};
use valkey_sim::{
    engine::{Dialect, Reply},
    lua::{Compiled, Function, Input, Interpreter, Limits, PersistentState},
};

/// A library that keeps in its upvalues how often it was called, and more with every call.
const COUNTS: &str = "
local calls, kept = 0, {}
redis.register_function('count', function()
  calls = calls + 1
  kept[calls] = {('x'):rep(50000) .. calls}
  return calls
end)
redis.register_function{function_name = 'last', flags = {'no-writes'}, callback = function()
  return kept[#kept] and #kept[#kept][1]
end}";

fn call(function: &Function) -> Reply {
    let input = Input { name: &function.name, keys: &[], args: &[] };
    function.callback.call(input, &mut PersistentState::default(), &mut NoCommands)
}

fn compiled(library: &str) -> Compiled {
    Compiled::library(library.as_bytes()).expect("it compiles")
}

fn load(compiled: &Compiled, library: &str) -> (Interpreter, Vec<Function>) {
    load_as(compiled, library, Dialect::Valkey8, Limits::default())
}

fn load_as(
    compiled: &Compiled,
    library: &str,
    dialect: Dialect,
    limits: Limits,
) -> (Interpreter, Vec<Function>) {
    let interpreter = Interpreter::with_compiled(limits, compiled.clone());
    let functions = interpreter.load(dialect, library.as_bytes()).expect("it loads");
    (interpreter, functions)
}

/// All that can be seen of an interpreter that has just loaded the library, and of calls of it.
fn seen(interpreter: &Interpreter, functions: &[Function], calls: usize) -> Vec<String> {
    let mut seen: Vec<String> =
        functions.iter().map(|function| format!("{} {:?}", function.name, function.flags)).collect();
    for _ in 0..calls {
        for function in functions {
            seen.push(format!("{:?}, and holds {}", call(function), interpreter.memory()));
        }
    }
    seen
}

#[test]
fn an_interpreter_after_another_begins_as_that_began() {
    let compiled = compiled(COUNTS);
    // Three hundred need more memory than is put back.
    for calls in [1, 3, 300, 3, 2] {
        let of_its_own = {
            let interpreter = Interpreter::default();
            let functions = interpreter.load(Dialect::Valkey8, COUNTS.as_bytes()).expect("it loads");
            functions.iter().map(call).collect::<Vec<_>>()
        };
        let (interpreter, functions) = load(&compiled, COUNTS);
        let one = seen(&interpreter, &functions, calls);
        assert_eq!(of_its_own, [Reply::Int(1), Reply::Int(50001)]);
        drop((interpreter, functions));
        let (interpreter, functions) = load(&compiled, COUNTS);
        assert_eq!(one, seen(&interpreter, &functions, calls), "{calls} calls");
    }
}

#[test]
fn two_at_a_time_and_others_by_dialect_and_limits_have_nothing_in_common() {
    let compiled = compiled(COUNTS);
    for _ in 0..2 {
        let small = Limits { memory_bytes: 4 << 20, ..Limits::default() };
        let all = [
            load(&compiled, COUNTS),
            load(&compiled, COUNTS),
            load_as(&compiled, COUNTS, Dialect::Redis7, Limits::default()),
            load_as(&compiled, COUNTS, Dialect::Valkey8, small),
        ];
        for expected in 1..=3 {
            for (_, functions) in &all {
                assert_eq!(call(&functions[0]), Reply::Int(expected));
            }
        }
        let (_, functions) = &all[3];
        let full = (0..200).map(|_| call(&functions[0])).find(|reply| reply.error().is_some());
        assert!(full.is_some(), "so much memory it may not hold");
    }
}

#[test]
fn what_an_interpreter_does_besides_is_its_own() {
    let compiled = compiled(COUNTS);
    drop(load(&compiled, COUNTS));
    let interpreter = Interpreter::with_compiled(Limits::default(), compiled.clone());
    let script = interpreter.script(Dialect::Valkey8, b"return 7").expect("it compiles");
    let input = Input { name: "f", keys: &[], args: &[] };
    assert_eq!(script.call(input, &mut PersistentState::default(), &mut NoCommands), Reply::Int(7));
    let functions = interpreter.load(Dialect::Valkey8, COUNTS.as_bytes()).expect("it loads");
    assert_eq!(call(&functions[0]), Reply::Int(1));
    let again = interpreter.load(Dialect::Valkey8, COUNTS.as_bytes()).expect("it loads");
    assert_eq!(call(&again[0]), Reply::Int(1), "its upvalues are new");
    assert_eq!(call(&functions[0]), Reply::Int(2));
    assert_eq!(script.call(input, &mut PersistentState::default(), &mut NoCommands), Reply::Int(7));
}

#[test]
fn a_library_that_logs_while_it_loads_logs_every_time() {
    let logs = format!("redis.log(redis.LOG_WARNING, 'loads') {COUNTS}");
    let lines = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&lines);
    let count = OnLine(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    tracing::subscriber::with_default(count, || {
        let compiled = compiled(&logs);
        (0..3).for_each(|_| drop(load(&compiled, &logs)));
    });
    assert_eq!(lines.load(Ordering::Relaxed), 3);
}

/// The order of 60 tables as keys goes by their addresses.
const BY_ADDRESS: &str = "redis.register_function('order', function()
  local by_address, order = {}, ''
  for i = 1, 60 do by_address[{ i }] = i end
  for _, i in pairs(by_address) do order = order .. i .. ' ' end
  return order
end)";

#[test]
fn what_goes_by_addresses_is_the_same_after_one_another_and_differs_elsewhere() {
    let compiled = compiled(BY_ADDRESS);
    let order = |compiled: &Compiled| call(&load(compiled, BY_ADDRESS).1[0]);
    let here = order(&compiled);
    assert_eq!(order(&compiled), here, "it has the memory of the first");
    assert_ne!(order(&compiled.elsewhere()), here);
}
