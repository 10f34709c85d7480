//! A server to talk to: an engine, a session and a clock that stands still. Beside it the program, and a world.

pub mod log;
#[cfg(feature = "tcp")]
pub mod program;
#[cfg(all(madsim, feature = "link", feature = "tcp"))]
pub mod world;

use valkey_sim::{
    engine::{Dialect, Effects, Engine, Protocol, Reply, Session, UnixMicros},
    lua::{Host, Interpreter},
};

/// The host of scripts that call no command.
pub struct NoCommands;

impl Host for NoCommands {
    fn call(&mut self, _: &[&[u8]], _: Protocol) -> Reply {
        Reply::Null
    }

    fn knows(&self, _: &[u8]) -> bool {
        false
    }
}

/// One connection to one server.
pub struct Server {
    pub engine: Engine,
    pub session: Session,
    pub now: UnixMicros,
    /// What the last command wrote.
    pub effects: Effects,
}

impl Server {
    pub fn new(dialect: Dialect, interpreter: Interpreter) -> Self {
        let mut engine = Engine::new(dialect, interpreter);
        let session = engine.connect();
        let now = UnixMicros::from_millis(1_700_000_000_000);
        Self { engine, session, now, effects: Effects::default() }
    }

    /// Runs a command.
    pub fn run(&mut self, args: &[&[u8]]) -> Reply {
        self.effects.clear();
        self.engine.execute(&mut self.session, args, self.now, &mut self.effects)
    }

    /// Loads a library over the one of the same name.
    pub fn load(&mut self, code: &str) -> Reply {
        self.run(&[b"FUNCTION", b"LOAD", b"REPLACE", code.as_bytes()])
    }

    /// What a function with this body answers, called with the key `k` and the argument `a1`.
    pub fn body(&mut self, body: &str) -> Reply {
        let code = format!("#!lua name=l\nredis.register_function('f', function(keys, args)\n{body}\nend)");
        let loaded = self.load(&code);
        assert_eq!(loaded, Reply::bulk("l"), "{body}");
        self.run(&[b"FCALL", b"f", b"1", b"k", b"a1"])
    }

    /// As [`body`](Self::body), printed.
    pub fn print(&mut self, body: &str) -> String {
        show(&self.body(body))
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new(Dialect::Valkey8, Interpreter::default())
    }
}

/// What a command answers, printed. Its arguments are words.
pub fn run(server: &mut Server, line: &str) -> String {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    show(&server.run(&args))
}

/// What a script answers, printed.
pub fn eval(server: &mut Server, code: &str) -> String {
    show(&server.run(&[b"EVAL", code.as_bytes(), b"0"]))
}

/// A reply as one line of text.
pub fn show(reply: &Reply) -> String {
    let list = |items: &[Reply]| items.iter().map(show).collect::<Vec<_>>().join(" ");
    match reply {
        Reply::Status(text) => format!("+{text}"),
        Reply::Error(error) => format!("-{error}"),
        Reply::Int(value) => format!(":{value}"),
        Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Reply::Null | Reply::NullArray => "null".to_owned(),
        Reply::Array(items) | Reply::Push(items) => format!("[{}]", list(items)),
        Reply::Set(items) => format!("~[{}]", list(items)),
        Reply::Map(pairs) => {
            let pairs: Vec<_> =
                pairs.iter().map(|(key, value)| format!("{}={}", show(key), show(value))).collect();
            format!("{{{}}}", pairs.join(" "))
        }
        Reply::Double(value) => format!(",{value}"),
        Reply::Bool(value) => format!("#{value}"),
        Reply::BigNumber(digits) => format!("({digits}"),
        Reply::Verbatim(_, text) => format!("={}", String::from_utf8_lossy(text)),
        Reply::Nothing => "nothing".to_owned(),
    }
}
