//! Any commands, as a client sends them, through the engine: `cargo +nightly fuzz run dispatch` in `sim/`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use valkey_sim::{
    engine::{Dialect, Effects, Engine, UnixMicros},
    lua::{Interpreter, Limits},
    resp::RequestDecoder,
};

fuzz_target!(|data: &[u8]| {
    let limits = Limits { instructions_per_call: 2_000_000, memory_bytes: 16 << 20 };
    let mut engine = Engine::new(Dialect::Valkey8, Interpreter::new(limits));
    let mut session = engine.connect();
    let mut now = UnixMicros::from_millis(1_700_000_000_000);
    let mut decoder = RequestDecoder::default();
    decoder.buffer().extend_from_slice(data);
    while let Ok(Some(args)) = decoder.next() {
        engine.execute(&mut session, &args, now, &mut Effects::default());
        if session.blocked.is_some() || session.subscriptions() > 0 {
            engine.disconnect(&session);
            session = engine.connect();
        }
        now.0 += 1_000;
    }
});
