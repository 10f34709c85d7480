//! Random commands, drawn from the shapes in `grammar.txt`.

use std::sync::LazyLock;

use valkey_sim::engine::UnixMicros;

use super::{
    choices::Choices,
    server::Args,
    transcript::{START, Step},
};

/// The shapes, each cut into its words.
static SHAPES: LazyLock<Vec<Vec<&str>>> = LazyLock::new(|| {
    let lines = include_str!("grammar.txt").lines();
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split(' ').collect())
        .collect()
});

/// Scripts that run their arguments as a command, and look at the reply in different ways.
const SCRIPTS: [&str; 7] = [
    "return redis.call(unpack(ARGV))",
    "return redis.pcall(unpack(ARGV))",
    "redis.setresp(3) return redis.call(unpack(ARGV))",
    "local r = redis.pcall(unpack(ARGV)) return {type(r), r}",
    "local r = redis.pcall(unpack(ARGV)) if type(r) == 'table' and not r.err then return #r end return r",
    "redis.call('SET', 's1', 'written') return redis.call(unpack(ARGV))",
    "return {redis.pcall(unpack(ARGV)), redis.call('EXISTS', 's1', 'h1')}",
];

/// Scripts that compute with their arguments.
const BODIES: [&str; 6] = [
    "return {KEYS, ARGV}",
    "return tonumber(ARGV[2])",
    "return redis.call('ZADD', KEYS[1], tonumber(ARGV[2]) or 0.1, ARGV[1])",
    "return redis.call('HSET', KEYS[1], ARGV[1], (tonumber(ARGV[2]) or 1) / 3)",
    "return cjson.encode({ARGV[1], tonumber(ARGV[2]) or false})",
    "return tostring(tonumber(ARGV[1]))",
];

/// Functions, and what is no library.
const LIBRARIES: [&str; 18] = [
    "#!lua name=one\nredis.register_function('f1', function(keys, args) return {keys, args} end)",
    "#!lua name=one\nredis.register_function('f1', function(keys, args) return redis.call('GET', keys[1]) end)",
    "#!lua name=two\nredis.register_function{function_name='f2', callback=function(keys, args) return \
     redis.call('INCRBY', keys[1], args[1] or 1) end, description='adds'}",
    "#!lua name=two\nredis.register_function{function_name='f2', callback=function(keys, args) return \
     redis.call('GET', keys[1]) end, flags={'no-writes', 'allow-stale'}}\nlocal calls = 0\n\
     redis.register_function('f3', function() calls = calls + 1 return calls end)",
    "#!lua name=three\nredis.register_function{function_name='f3', callback=function(keys, args) return \
     redis.call('SET', keys[1], 'x') end, flags={'no-writes'}}",
    "#!lua name=three\nredis.register_function('F1', function() return redis.error_reply('MINE said so') end)",
    "#!lua name=three\nredis.register_function('f3', function(keys, args) return redis.pcall(unpack(args)) end)\n\
     redis.register_function('f3', function() end)",
    "#!lua name=three\nredis.register_function{function_name='f3', callback=function() end, flags={'bogus'}}",
    "#!lua name=three\nredis.register_function('f-3', function() end)",
    "#!lua name=three\nredis.register_function()",
    "#!lua name=three\nredis.call('GET', 's1')",
    "#!lua name=three\nlocal x = 1",
    "#!lua name=three\nreturn +",
    "#!lua name=a-b\nredis.register_function('f3', function() end)",
    "#!lua name=three other=1\nredis.register_function('f3', function() end)",
    "#!lua\nredis.register_function('f3', function() end)",
    "#!js name=three\nredis.register_function('f3', function() end)",
    "redis.register_function('f3', function() end)",
];

/// Scripts that call a library of Lua's with their arguments.
const PACKERS: [&str; 4] = [
    "return cmsgpack.pack(ARGV[1], tonumber(ARGV[2]) or false, {ARGV[1], {a = ARGV[2]}})",
    "return cjson.encode({ARGV[1], tonumber(ARGV[2]) or cjson.null, {a = {}}})",
    "return {cmsgpack.unpack(cmsgpack.pack(tonumber(ARGV[2]), ARGV[1]))}",
    "local n = tonumber(ARGV[2]) or 7 return {tostring(bit.band(n, 255)), bit.tohex(n), tostring(bit.bnot(n)), \
     tostring(bit.lshift(n, 3)), tostring(bit.arshift(n, 2)), tostring(bit.bswap(n)), tostring(n % 3)}",
];

/// Scripts that decode their argument, and say what they made of it.
const DECODERS: [&str; 3] = [
    "local ok, value = pcall(cjson.decode, ARGV[1]) return {tostring(ok), ok and cjson.encode({value}) or value}",
    "local ok, value = pcall(cjson.decode, ARGV[1]) return ok and cmsgpack.pack(value) or value",
    "local ok, value = pcall(cmsgpack.unpack, ARGV[1]) return {tostring(ok), type(value)}",
];

/// A script for `struct`, whose format is its first argument.
const STRUCT: &str = "local ok, packed = pcall(struct.pack, ARGV[1], tonumber(ARGV[3]) or ARGV[3], ARGV[2], 7) \
     if not ok then return packed end \
     local all = {pcall(struct.unpack, ARGV[1], packed)} \
     for i, v in ipairs(all) do all[i] = tostring(v) end \
     return {packed, all}";

/// What real servers dumped, redis 7.0 for the most part; one in which a byte was changed, and what is nothing at all.
#[rustfmt::skip]
const PAYLOADS: &[&[u8]] = &[
    b"\x00\x05hello\x0a\x00cr\xdfve4 \x0a",
    b"\x00\xc2\x87\xd6\x12\x00\x0a\x00\xe9>\x1e6+;|^",
    b"\x00\xc3\x09=\x01xx\xe00\x00\x01xy\x0a\x00R\xddq\xc9b\x942\xf5",
    b"\x12\x01\x02\xc3\x15@U\x0dU\x00\x00\x00\x03\x00\x81a\x02\x01\x01\xe0Fx\xe0<\x00\x01H\xff\x0a\x00V_\x7fM\x8e\xb2\x06\x8b",
    b"\x0b\x14\x04\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00p\x11\x01\x00\x0a\x00\x85\xd5\xc1\x06[\x1d\xd0U",
    b"\x10\x15\x15\x00\x00\x00\x04\x00\x82f1\x03\x81v\x02\x82f2\x03\xdf\xfd\x02\xff\x0a\x00[\xeaM\x12\xe3~\xca\x0e",
    b"\x11\x14\x14\x00\x00\x00\x04\x00\x81a\x02\x01\x01\x81b\x02\x832.5\x04\xff\x0a\x00\xd4Ln\xa4\xf6D\xd9\xd7",
    b"\x13\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01//\x00\x00\x00\x11\x00\x02\x01\x00\x01\x01\x01\x82f1\x03\x00\x01\x02\x01\x00\x01\x00\x01\x81v\x02\x04\x01\x00\x01\x00\x01\x01\x01\x01\x01\x82f2\x03\x81w\x02\x06\x01\xff\x02\x01\x02\x01\x01\x00\x00\x02\x01\x02g1\x01\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00h\xe5\xcf\x8b\x01\x00\x00\x01\x01\x02c1\x00h\xe5\xcf\x8b\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x0a\x00\x0c\x5c\x8f/\x13(\xf7\xec",
    b"\x00\xc0\x0c\x0a\x00<*\xf8Q\x5c\x04\xbc\xd5",
    b"\x10\x15\x15\x00\x00\x00\x04\x00\x82f1\x03\x81v\x02\x82f2\x03\xdf\xfd\x02\xff\x0b\x0025\xf0a\x1e\xe1#\x87",
    b"\x15\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01//\x00\x00\x00\x11\x00\x02\x01\x00\x01\x01\x01\x82f1\x03\x00\x01\x02\x01\x00\x01\x00\x01\x81v\x02\x04\x01\x00\x01\x00\x01\x01\x01\x01\x01\x82f2\x03\x81w\x02\x06\x01\xff\x02\x01\x02\x01\x01\x00\x00\x02\x01\x02g1\x01\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00h\xe5\xcf\x8b\x01\x00\x00\x01\x01\x02c1\x00h\xe5\xcf\x8b\x01\x00\x00\x00h\xe5\xcf\x8b\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x0b\x00(p\x9b\xd2\x15\xbe}\xcd",
    b"\x14\x0d\x0d\x00\x00\x00\x02\x00\x81a\x02\x81b\x02\xff\x0b\x00\x0a\xec\x0a\xb4I\xa3\xd6T",
    b"\x00\x05hello\x0a\x00cr\xdfve4 \x0b",
    b"x",
];

/// The steps of one case: each string of bytes is a command, or a turn of the clock.
pub fn steps(choices: &[Vec<u8>]) -> Vec<Step> {
    let mut now = START;
    let mut queuing = false;
    choices
        .iter()
        .map(|bytes| {
            let mut draw = Choices::new(bytes);
            if draw.once_in(12) {
                now = UnixMicros(now.0 + 1_000 * draw.of(&[1, 2, 500, 1_000, 10_000]));
                return Step::Clock(now);
            }
            // A transaction is short.
            let turns = draw.once_in(if queuing { 4 } else { 24 });
            let mut args = match (turns, queuing) {
                (true, true) => vec![draw.word("EXEC EXEC EXEC DISCARD").into_bytes()],
                (true, false) => vec![b"MULTI".to_vec()],
                (false, _) => command(&mut draw, now),
            };
            // In which protocol the replies before a HELLO come that is in the same transaction is not compared.
            if queuing && args[0].eq_ignore_ascii_case(b"HELLO") {
                args = vec![b"UNWATCH".to_vec()];
            }
            // What a time from now on comes to that is beyond all times depends on a server's compiler.
            if args[0].eq_ignore_ascii_case(b"RESTORE") && args.get(2).is_some_and(|ttl| ttl.len() > 18) {
                args[2] = b"1000".to_vec();
            }
            match &args[0].to_ascii_uppercase()[..] {
                b"MULTI" => queuing = true,
                b"EXEC" | b"DISCARD" | b"RESET" => queuing = false,
                _ => {}
            }
            let plain = !CONTROL.iter().any(|name| args[0].eq_ignore_ascii_case(name.as_bytes()));
            if plain && draw.once_in(8) { Step::Other(args) } else { Step::Command(args) }
        })
        .collect()
}

/// What changes a connection itself: only the first client does so.
const CONTROL: [&str; 8] = ["MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "SELECT", "HELLO", "RESET"];

/// What nothing is done to: a random choice must have only one outcome, and `HELLO` be understood.
const FIXED: [&str; 9] =
    ["SPOP", "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "HELLO", "u1", "u2", "v1", "w1"];

fn command(draw: &mut Choices<'_>, now: UnixMicros) -> Args {
    let mut args = well_formed(draw, now, 0);
    let is_fixed = |arg: &Vec<u8>| FIXED.iter().any(|word| arg.eq_ignore_ascii_case(word.as_bytes()));
    if args.iter().any(is_fixed) {
        return args;
    }
    // Now and then something is wrong with it.
    match draw.below(24) {
        20 => drop(args.pop()),
        21 => args.push(word(draw, "<value>", now)),
        22 => args[0].make_ascii_lowercase(),
        23 if args.len() > 1 => {
            let at = 1 + draw.below(args.len() - 1);
            args[at] = word(draw, "<value>", now);
        }
        _ => {}
    }
    if args.is_empty() { vec![b"PING".to_vec()] } else { args }
}

fn well_formed(draw: &mut Choices<'_>, now: UnixMicros, depth: usize) -> Args {
    // Two bytes: there are nearly as many shapes as one byte has values.
    let index = draw.below(256) * 256 + draw.below(256);
    let shape = &SHAPES[index % SHAPES.len()];
    let mut args = Args::new();
    for token in shape {
        match *token {
            "..." => {
                for _ in 0..draw.of(&[0, 1, 3]) {
                    let drawn = shape.iter().rev().skip(1).take_while(|token| token.starts_with('<'));
                    // The key of a command is not repeated with its values, unless keys are all there is.
                    let mut drawn: Vec<_> = drawn.collect();
                    drawn.reverse();
                    let values = drawn.iter().skip(usize::from(drawn.len() > 1));
                    args.extend(values.map(|token| word(draw, token, now)));
                }
            }
            "<command>" if depth == 0 => args.extend(well_formed(draw, now, 1)),
            "<command>" => args.push(b"PING".to_vec()),
            token if token.starts_with('[') && token.ends_with(']') && token != "[s-z]*" => {
                let options: Vec<&str> = token[1..token.len() - 1].split('|').collect();
                if draw.below(2) == 1 {
                    args.push(draw.of(&options).as_bytes().to_vec());
                }
            }
            token if token.starts_with('(') => {
                let options: Vec<&str> = token[1..token.len() - 1].split('|').collect();
                args.push(draw.of(&options).as_bytes().to_vec());
            }
            token if token.starts_with('<') => args.push(word(draw, token, now)),
            token => args.push(token.as_bytes().to_vec()),
        }
    }
    args
}

/// What a name in `<…>` stands for.
fn word(draw: &mut Choices<'_>, token: &str, now: UnixMicros) -> Vec<u8> {
    let now_ms = now.millis().0;
    let text = match token {
        "<string>" => key(draw, "s1 s2"),
        "<hash>" => key(draw, "h1 h2"),
        // A hash whose values may be long is listed in no certain order: it has one field only.
        "<wide>" => draw.word("w1 w2"),
        "<list>" => key(draw, "l1 l2"),
        "<set>" => key(draw, "t1 t2"),
        "<zset>" => key(draw, "z1 z2"),
        // Ranges by bytes are defined where all scores are equal, and only there.
        "<level>" => draw.word("y1 y2"),
        "<stream>" => key(draw, "x1 x2"),
        "<key>" => draw.word("s1 h1 l1 t1 z1 x1 s2 h2 z2 none"),
        "<field>" => draw.word("f1 f2 f3 1 2"),
        "<group>" => draw.word("g1 g2"),
        "<consumer>" => draw.word("c1 c2"),
        "<count>" => draw.word("1 1 1 0 2 -1 x"),
        "<small>" => draw.word("1 2 0 3 10 -1 x"),
        "<index>" => draw.word("0 1 -1 2 -2 5 -100 100 x 9223372036854775807 -9223372036854775808"),
        "<int>" => {
            draw.word("1 10 0 -1 100 1000 x 1.5 9223372036854775807 -9223372036854775808 9223372036854775808 01 +1")
        }
        "<float>" => draw.word(
            "1 2 0.1 -0.5 1e3 3.0 1e17 1e20 1e-7 -0 inf -inf nan x 0x10 9007199254740993 1.7976931348623157e308 5e-324 1e4932 1e5000 -1e-17 123456789012345678901234.5 3.14159265358979323846",
        ),
        "<score>" => draw.word("1 2 3 0 1.5 -1"),
        "<bound>" => draw.word("-inf +inf 1 (1 2 (2 0 1.5 inf (-inf x nan (x 3"),
        "<lex>" => draw.word("- + [a (a [b (b [c [ ( x -inf [1"),
        "<id>" => draw.word("* 1-1 1-2 2-1 5-* 0-0 3 10-0 1-1-1 x 18446744073709551615-18446744073709551615 - 1700000000000"),
        "<xbound>" => draw.word("- + 1-1 1-2 (1-1 2 0 5 (2 x 1700000000000 (- 18446744073709551615"),
        "<xstart>" => draw.word("0 1-1 $ 2 x 0-0"),
        "<seconds>" => (now_ms / 1_000 + draw.of(&[1, 0, -1, 10, 5])).to_string(),
        "<millis>" => (now_ms + draw.of(&[1, 0, -1, 2, 1_000, 10_000])).to_string(),
        "<single>" => draw.word("u1 u1 u1 u2"),
        "<db>" => draw.word("0 1 2 1 2 -1 16 x 4294967296"),
        "<library>" => draw.of(&LIBRARIES).to_owned(),
        "<packer>" => draw.of(&PACKERS).to_owned(),
        "<decoder>" => draw.of(&DECODERS).to_owned(),
        "<struct>" => STRUCT.to_owned(),
        "<json>" => draw.word(
            r#"1 {} [] [1,2.5,-0] {"a":{"b":[null,true]}} "\u00e9\n" 1e400 01 nul {"a":1,} [1 "\ud83d\ude00" [[[]]] 0x10 NaN {"1":2,"x":"/"}"#,
        ),
        "<format>" => draw.word("i4s s <i2>I4 bBhH <d>d f c3 i1 !8i8 >L xi2 l i17 c0 i4c0 q . !3i4"),
        "<payload>" => return draw.of(PAYLOADS).to_vec(),
        "<bit>" => draw.word("0 1 7 8 9 63 100 -1 x 4294967296 #1"),
        "<place>" => draw.word("0 1 7 #0 #1 #2 13 64 -1 x #x 4294967296"),
        "<type>" => draw.word("u8 i8 u1 i1 u4 i5 u16 i32 i64 u63 u64 i0 i65 x8 u"),
        "<pattern>" => draw.word("* s* h*->f1 #x # nosuch* w*->f1 nosort"),
        "<script>" => draw.of(&SCRIPTS).to_owned(),
        "<body>" => draw.of(&BODIES).to_owned(),
        "<value>" => {
            let values: [&[u8]; 16] = [
                b"a", b"b", b"c", b"1", b"2", b"-1", b"1.5", b"", b"\xff\x00\r\n", b"x y", b"B", b"0x10",
                b"9223372036854775807", b"abcdefghijklmnopqrstuvwxyz0123456789abcdefghijkl", b" 1", b"1e3",
            ];
            return draw.of(&values).to_vec();
        }
        other => panic!("the grammar names {other}"),
    };
    text.into_bytes()
}

/// A key of a type, mostly; now and then of another, or a binary one.
fn key(draw: &mut Choices<'_>, of_type: &str) -> String {
    match draw.below(16) {
        14 => draw.word("s1 h1 l1 t1 z1 x1"),
        15 => draw.word("\u{0}\u{ff}\r\n none"),
        _ => draw.word(of_type),
    }
}
