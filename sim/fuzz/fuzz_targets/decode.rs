//! `fuzzing::decode` on any bytes: `cargo +nightly fuzz run decode` in `sim/`.

#![no_main]

#[allow(dead_code)]
#[path = "../../tests/support/fuzzing.rs"]
mod fuzzing;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::decode(data));
