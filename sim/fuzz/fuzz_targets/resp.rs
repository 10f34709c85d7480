//! Any bytes, cut anywhere, through both decoders: `cargo +nightly fuzz run resp` in `sim/`.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use valkey_sim::resp::{ReplyDecoder, RequestDecoder};

fuzz_target!(|data: &[u8]| {
    let Some((step, bytes)) = data.split_first() else { return };
    let step = usize::from(*step).max(1);
    let mut decoder = RequestDecoder::default();
    for chunk in bytes.chunks(step) {
        decoder.buffer().extend_from_slice(chunk);
        while let Ok(Some(_)) = decoder.next() {}
    }
    let (mut decoder, mut buffer) = (ReplyDecoder::default(), BytesMut::new());
    for chunk in bytes.chunks(step) {
        buffer.extend_from_slice(chunk);
        while let Ok(Some(_)) = decoder.next(&mut buffer) {}
    }
});
