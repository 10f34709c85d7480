//! What the boundary between Lua and the server costs: calls with canned replies, for a profiler to count.
//!
//! `valgrind --tool=callgrind target/release/examples/boundary 1000`; the argument is the number of rounds of 47
//! calls with 418 arguments, which is the shape of one grant cycle.

use valkey_sim::{
    engine::{Dialect, Protocol, Reply},
    lua::{Host, Input, Interpreter, PersistentState},
};

const LIBRARY: &[u8] = b"
redis.register_function('cycle', function(keys, args)
  local sum = 0
  for i = 1, 47 do
    sum = sum + redis.call('HSET', keys[1], 'a', args[1], 'b', i, 'c', args[2], 'd')
  end
  return sum
end)";

/// Answers everything with 1.
struct Canned;

impl Host for Canned {
    fn call(&mut self, args: &[&[u8]], _: Protocol) -> Reply {
        Reply::Int(std::hint::black_box(args.len() as i64))
    }

    fn knows(&self, _: &[u8]) -> bool {
        true
    }
}

fn main() {
    let rounds: u32 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    let functions = Interpreter::default().load(Dialect::Valkey8, LIBRARY).expect("the library loads");
    let input = Input { name: "cycle", keys: &[b"{p}:key"], args: &[b"value", b"1700000000000"] };
    let mut persistent = PersistentState::default();
    for _ in 0..rounds {
        let reply = functions[0].callback.call(input, &mut persistent, &mut Canned);
        assert!(matches!(reply, Reply::Int(_)), "{reply:?}");
    }
}
