//! Transcripts: commands as a person types them, each followed by its reply, indented.
//!
//! ```text
//! # redis 7.0.15
//! SET k "a\x00b" PX 10
//!     +OK
//! SIM CLOCK ADVANCE 11
//! GET k
//!     $-1
//! ```
//!
//! A command is written as an inline command is: words, quotes where needed. A reply is RESP with spaces for its line
//! breaks and escapes for what cannot be printed. The clock starts at [`START`] and stands still but for `SIM CLOCK
//! SET` and `SIM CLOCK ADVANCE` (in milliseconds), which have no reply. `SIM LIBRARY published` loads the published
//! library, whose text is too long for a line, and has none either. `@` before a command says that another client sends
//! it, in RESP2. `#` starts a comment; the first one says which server answered.

use valkey_sim::{
    engine::{Dialect, Protocol, Reply, UnixMicros},
    resp::{self, RequestDecoder},
};

use super::server::{Args, Server};

/// What the clock says when a transcript begins: November 2023.
pub const START: UnixMicros = UnixMicros(1_700_000_000_000_000);

/// A line of a transcript that is no comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `SIM CLOCK …`: what the clock is to say.
    Clock(UnixMicros),
    /// `SIM LIBRARY published`: the command that loads FlowFabric's library.
    Library(Args),
    /// A command.
    Command(Args),
    /// A command of another client.
    Other(Args),
}

/// Reads the lines of a script one by one, keeping its clock.
pub struct Reader {
    now: UnixMicros,
}

impl Default for Reader {
    fn default() -> Self {
        Self { now: START }
    }
}

impl Reader {
    /// What a line says; `None` for comments, empty lines and replies.
    ///
    /// # Panics
    /// Its quotes do not balance, or it turns the clock in a way that there is none.
    pub fn step(&mut self, line: &str) -> Option<Step> {
        if line.trim().is_empty() || line.starts_with(['#', ' ']) {
            return None;
        }
        let args = parse(line);
        let words: Vec<_> = args.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        match words[..] {
            ["SIM", "LIBRARY", "published"] => {
                let load = ["FUNCTION", "LOAD", "REPLACE", ff_script::LIBRARY_SOURCE];
                Some(Step::Library(load.map(|arg| arg.as_bytes().to_vec()).to_vec()))
            }
            ["SIM", "CLOCK", how, ms] => {
                let ms: u64 = ms.parse().unwrap_or_else(|_| panic!("no milliseconds: {line}"));
                self.now = match how {
                    "SET" => UnixMicros::from_millis(ms),
                    "ADVANCE" => UnixMicros(self.now.0 + ms * 1_000),
                    _ => panic!("SIM CLOCK SET or ADVANCE, not {line}"),
                };
                Some(Step::Clock(self.now))
            }
            ["@", ..] => Some(Step::Other(args[1..].to_vec())),
            _ => Some(Step::Command(args)),
        }
    }
}

/// The command that a line says.
pub fn parse(line: &str) -> Args {
    let mut decoder = RequestDecoder::default();
    decoder.buffer().extend_from_slice(format!("{line}\n").as_bytes());
    let args = decoder.next().unwrap_or_else(|error| panic!("{error}: {line}"));
    args.expect("a line is a command").into_iter().map(<[u8]>::to_vec).collect()
}

/// A command as [`parse`] reads it.
pub fn write(args: &[impl AsRef<[u8]>]) -> String {
    let word = |arg: &[u8]| {
        let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
        if !arg.is_empty() && arg.iter().all(plain) && arg[0] != b'#' && arg[0] != b'*' {
            return String::from_utf8_lossy(arg).into_owned();
        }
        // A single quote is a single quote between double ones.
        format!("\"{}\"", arg.escape_ascii().to_string().replace("\\'", "'"))
    };
    args.iter().map(|arg| word(arg.as_ref())).collect::<Vec<_>>().join(" ")
}

/// A reply on one line, in RESP3: no type is lost.
pub fn show(reply: &Reply) -> String {
    show_in(reply, Protocol::Resp3)
}

/// A reply on one line, as it was on the wire of a connection that speaks `protocol`.
pub fn show_in(reply: &Reply, protocol: Protocol) -> String {
    let mut bytes = Vec::new();
    resp::encode(reply, protocol, Dialect::Redis7, &mut bytes);
    let mut text = String::new();
    let mut rest = &bytes[..];
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\r' if after.first() == Some(&b'\n') => {
                rest = &after[1..];
                text.push(' ');
            }
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\x{other:02x}")),
        }
    }
    text.trim_end().to_owned()
}

/// What a transcript tells to do: its lines without the replies and without the server that gave them.
pub fn script(transcript: &str) -> impl Iterator<Item = &str> {
    let names_server = |line: &&str| line.starts_with("# redis ") || line.starts_with("# valkey ");
    transcript.lines().skip_while(names_server).filter(|line| !line.starts_with("    "))
}

/// Runs a script on a server and returns its transcript, comments and all; replies that it has already are left out.
pub fn record(script: &str, server: &mut impl Server) -> String {
    let mut reader = Reader::default();
    let mut protocol = Protocol::Resp2;
    let mut lines = vec![format!("# {}", server.name())];
    server.set_clock(START);
    for line in self::script(script) {
        match reader.step(line) {
            Some(Step::Clock(now)) => {
                server.set_clock(now);
                lines.push(line.to_owned());
            }
            Some(Step::Library(args)) => {
                server.send(&args);
                lines.push(line.to_owned());
            }
            Some(Step::Command(args)) => {
                let reply = server.send(&args);
                protocol = protocol_after(&args, protocol);
                lines.push(line.to_owned());
                lines.push(format!("    {}", show_in(&reply, protocol)));
            }
            Some(Step::Other(args)) => {
                let reply = server.send_over_other(&args);
                lines.push(line.to_owned());
                lines.push(format!("    {}", show_in(&reply, Protocol::Resp2)));
            }
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

/// The protocol that a connection speaks after a command: `HELLO` may change it.
fn protocol_after(args: &Args, protocol: Protocol) -> Protocol {
    match &args[..] {
        [name, version, ..] if name.eq_ignore_ascii_case(b"HELLO") && version == b"3" => Protocol::Resp3,
        [name, version, ..] if name.eq_ignore_ascii_case(b"HELLO") && version == b"2" => Protocol::Resp2,
        [name] if name.eq_ignore_ascii_case(b"RESET") => Protocol::Resp2,
        _ => protocol,
    }
}
