//! Replies as bytes, by Valkey's rules for each protocol.

use crate::base::{Dialect, Protocol, Reply, number};

/// Appends a reply to `out`. RESP2 knows fewer types: there, maps are flat arrays, doubles and verbatim texts are
/// bulk strings, truth values are integers.
///
/// ```
/// use valkey_sim::{engine::{Dialect, Protocol, Reply}, resp};
/// let reply = Reply::Map(vec![(Reply::bulk("proto"), Reply::Int(2))]);
/// let mut out = Vec::new();
/// resp::encode(&reply, Protocol::Resp2, Dialect::Valkey8, &mut out);
/// assert_eq!(out, b"*2\r\n$5\r\nproto\r\n:2\r\n");
/// ```
pub fn encode(reply: &Reply, protocol: Protocol, dialect: Dialect, out: &mut Vec<u8>) {
    Encoder { resp3: protocol == Protocol::Resp3, dialect, out }.reply(reply);
}

struct Encoder<'a> {
    resp3: bool,
    dialect: Dialect,
    out: &'a mut Vec<u8>,
}

impl Encoder<'_> {
    fn reply(&mut self, reply: &Reply) {
        match reply {
            Reply::Nothing => {}
            Reply::Status(text) => self.line(b'+', text.as_bytes()),
            Reply::Error(error) => self.line(b'-', error.0.as_bytes()),
            Reply::Int(value) => self.number(b':', *value),
            Reply::Bulk(bytes) => self.bulk(b'$', &[bytes]),
            Reply::Null => self.raw(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" }),
            Reply::NullArray => self.raw(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" }),
            Reply::Array(items) => self.items(b'*', items),
            Reply::Set(items) => self.items(b'~', items),
            Reply::Push(items) => self.items(b'>', items),
            Reply::Map(pairs) => self.map(pairs),
            Reply::Double(value) => self.text(b',', &number::format_double(*value, self.dialect)),
            Reply::BigNumber(digits) => self.text(b'(', digits),
            Reply::Bool(value) if self.resp3 => self.raw(if *value { b"#t\r\n" } else { b"#f\r\n" }),
            Reply::Bool(value) => self.number(b':', i64::from(*value)),
            Reply::Verbatim(format, text) if self.resp3 => self.bulk(b'=', &[format, b":", text]),
            Reply::Verbatim(_, text) => self.bulk(b'$', &[text]),
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A one-line reply; a line break in it would end it early, so it becomes a space.
    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        let start = self.out.len();
        self.raw(text);
        for byte in &mut self.out[start..] {
            if matches!(*byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.raw(b"\r\n");
    }

    /// A number in RESP3's own type, a bulk string in RESP2.
    fn text(&mut self, kind: u8, text: &str) {
        if self.resp3 {
            self.line(kind, text.as_bytes());
        } else {
            self.bulk(b'$', &[text.as_bytes()]);
        }
    }

    fn number(&mut self, kind: u8, value: i64) {
        // Put together from its end, and appended at once: a kind, a sign, 19 digits, the line's end.
        let mut line = *b".....................\r\n";
        let mut at = line.len() - 2;
        let mut put = |byte| {
            at -= 1;
            line[at] = byte;
        };
        let mut rest = value.unsigned_abs();
        loop {
            put(b'0' + (rest % 10) as u8);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            put(b'-');
        }
        put(kind);
        self.raw(&line[at..]);
    }

    fn bulk(&mut self, kind: u8, parts: &[&[u8]]) {
        self.number(kind, parts.iter().map(|part| part.len()).sum::<usize>() as i64);
        for part in parts {
            self.raw(part);
        }
        self.raw(b"\r\n");
    }

    fn items(&mut self, kind: u8, items: &[Reply]) {
        self.number(if self.resp3 { kind } else { b'*' }, items.len() as i64);
        for item in items {
            self.reply(item);
        }
    }

    fn map(&mut self, pairs: &[(Reply, Reply)]) {
        let (kind, count) = if self.resp3 { (b'%', pairs.len()) } else { (b'*', pairs.len() * 2) };
        self.number(kind, count as i64);
        for (key, value) in pairs {
            self.reply(key);
            self.reply(value);
        }
    }
}

/// Appends a request to `out` as clients write it: an array of bulk strings.
pub fn encode_request<'a>(args: impl ExactSizeIterator<Item = &'a [u8]> + Clone, out: &mut Vec<u8>) {
    /// Room for a length and its line ends, as long as no argument has a million bytes.
    const FRAME: usize = 11;
    out.reserve(FRAME + args.clone().map(|arg| FRAME + arg.len()).sum::<usize>());
    let mut encoder = Encoder { resp3: false, dialect: Dialect::default(), out };
    encoder.number(b'*', args.len() as i64);
    for arg in args {
        encoder.bulk(b'$', &[arg]);
    }
}
