//! What any bytes are put through: the targets of `sim/fuzz`, which `tests/hardened.rs` runs too.
//!
//! Each function panics when something is wrong with the server, and only then.

use std::thread_local;

use bytes::BytesMut;
use valkey_sim::{
    engine::{Dialect, Effects, Engine, Reply, UnixMicros},
    lua::{Interpreter, Limits},
    resp::{ReplyDecoder, RequestDecoder},
};

const NOW: UnixMicros = UnixMicros(1_700_000_000_000_000);

/// Bytes, cut into pieces as long as the first byte says, through both decoders.
pub fn decode(data: &[u8]) {
    let Some((step, bytes)) = data.split_first() else { return };
    let step = usize::from(*step).max(1);
    let mut decoder = RequestDecoder::default();
    'requests: for chunk in bytes.chunks(step) {
        decoder.buffer().extend_from_slice(chunk);
        loop {
            match decoder.next() {
                Ok(Some(args)) => {
                    let held: usize = args.iter().map(|arg| arg.len()).sum();
                    assert!(held <= bytes.len(), "more than arrived");
                }
                Ok(None) => break,
                Err(_) => break 'requests,
            }
        }
    }
    assert!(decoder.buffer().capacity() <= 2 * bytes.len() + 1024, "a length alone costs memory");
    let (mut decoder, mut buffer) = (ReplyDecoder::default(), BytesMut::new());
    'replies: for chunk in bytes.chunks(step) {
        buffer.extend_from_slice(chunk);
        loop {
            match decoder.next(&mut buffer) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => break 'replies,
            }
        }
    }
}

thread_local! {
    /// A small one, and one for all runs: what a run leaves behind must not harm the next.
    static INTERPRETER: Interpreter =
        Interpreter::new(Limits { instructions_per_call: 200_000, memory_bytes: 16 << 20 });
}

fn engine() -> Engine {
    Engine::new(Dialect::Valkey8, INTERPRETER.with(Clone::clone))
}

/// Commands, as a client sends them, through an engine.
pub fn dispatch(data: &[u8]) {
    let mut engine = engine();
    let mut session = engine.connect();
    let mut now = NOW;
    let mut decoder = RequestDecoder::default();
    decoder.buffer().extend_from_slice(data);
    while let Ok(Some(args)) = decoder.next() {
        engine.execute(&mut session, &args, now, &mut Effects::default());
        // What it waits for never comes: the next command is another client's.
        if session.blocked.is_some() || session.subscriptions() > 0 {
            engine.disconnect(&session);
            session = engine.connect();
        }
        now.0 += 1_000;
    }
    let mut other = engine.connect();
    let alive = engine.execute(&mut other, &[b"DBSIZE"], now, &mut Effects::default());
    assert!(matches!(alive, Reply::Int(_)), "{alive:?}");
}

/// A script: text as it is, or, behind a zero, a word for each byte.
pub fn script(data: &[u8]) {
    let words;
    let text = match data.split_first() {
        Some((0, picks)) => {
            let pick = |byte: &u8| WORDS[usize::from(*byte) % WORDS.len()];
            words = picks.iter().map(pick).collect::<Vec<_>>().join(" ");
            words.as_bytes()
        }
        _ => data,
    };
    let mut engine = engine();
    let mut session = engine.connect();
    for script in [text, b"return #cjson.encode({('x'):rep(9)}) + select(2, ('abc'):gsub('%w', '%0'))"] {
        let reply = engine.execute(&mut session, &[b"EVAL", script, b"0"], NOW, &mut Effects::default());
        if script != text {
            assert_eq!(reply, Reply::Int(16), "after {}", String::from_utf8_lossy(text));
        }
    }
}

/// Enough of Lua to meet every library: statements that are whole, and what makes expressions.
const WORDS: &[&str] = &[
    "local t, s, n = {1, 2, 3, x = 'y'}, 'abc(de)f', 7",
    "local f = function(...) return ... end",
    "t",
    "s",
    "n",
    "f",
    "(",
    ")",
    ",",
    "{",
    "}",
    "=",
    "..",
    "+",
    "-",
    "*",
    "^",
    "==",
    "<",
    "not",
    "and",
    "or",
    "nil",
    "true",
    "1",
    "0",
    "-1",
    "1e9",
    "0/0",
    "1/0",
    "''",
    "'%'",
    "'%w+'",
    "'(.-)%1'",
    "'[^%s]*'",
    "'%f[%w]%b()'",
    "'\\0\\255'",
    "'s<i4>dc0'",
    "'[1,{\"a\":null}]'",
    "'\\147\\1\\162ab\\192'",
    "('x'):rep(5000)",
    "t[n]",
    "t.x",
    "t[#t + 1] =",
    "return",
    "pcall(",
    "xpcall(",
    "error(",
    "do",
    "end",
    "if n then",
    "else",
    "for i = 1, 9 do",
    "while true do",
    "for k, v in pairs(t) do",
    "function(a, b)",
    "local function g(...)",
    "g(",
    "break",
    ";",
    "string.find(",
    "string.match(",
    "string.gsub(",
    "string.gmatch(",
    "string.format('%s %q %5.1f',",
    "string.rep(",
    "string.byte(",
    "string.sub(",
    "string.char(",
    "string.dump(",
    "table.insert(t,",
    "table.remove(t",
    "table.concat(t,",
    "table.sort(t",
    "table.foreach(t,",
    "table.maxn(",
    "unpack(",
    "select('#',",
    "next(",
    "rawset(t,",
    "rawget(",
    "setmetatable(t,",
    "getmetatable(",
    "tostring(",
    "tonumber(",
    "type(",
    "loadstring(",
    "load(",
    "coroutine.wrap(",
    "coroutine.create(",
    "coroutine.resume(",
    "coroutine.yield(",
    "cjson.encode(",
    "cjson.decode(",
    "cjson.encode_sparse_array(",
    "cjson.encode_max_depth(",
    "cmsgpack.pack(",
    "cmsgpack.unpack(",
    "cmsgpack.unpack_limit(",
    "struct.pack(",
    "struct.unpack(",
    "struct.size(",
    "bit.tohex(",
    "bit.lshift(",
    "math.random(",
    "math.floor(",
    "redis.call('set','k',",
    "redis.pcall('lrange','l',0,",
    "redis.call('rpush','l',",
    "redis.call(",
    "redis.sha1hex(",
    "redis.setresp(3)",
    "redis.error_reply(",
    "redis.status_reply(",
    "redis.log(1,",
    "redis.acl_check_cmd(",
    "{ok=",
    "{err=",
    "{map=",
    "{set=",
    "{__index=",
    "{__call=",
    "{__concat=",
    "{__lt=",
    "{__tostring=",
    "_G",
    "KEYS",
    "ARGV[1]",
    "collectgarbage(",
];
