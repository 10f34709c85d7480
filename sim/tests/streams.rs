//! What a stream does with the clock, and how its writes are propagated. What it answers is in the transcripts.

use valkey_sim::{
    engine::{Dialect, Effects, Engine, Session, UnixMicros},
    lua::Interpreter,
    resp::{self, RequestDecoder},
};

struct Server {
    engine: Engine,
    session: Session,
    now_ms: u64,
    effects: Effects,
}

impl Server {
    fn new(dialect: Dialect) -> Self {
        let mut engine = Engine::new(dialect, Interpreter::default());
        let session = engine.connect();
        Self { engine, session, now_ms: 1_700_000_000_000, effects: Effects::default() }
    }

    /// Runs an inline command, a little later than the last, and returns its reply on one line.
    fn run(&mut self, line: &str) -> String {
        let mut decoder = RequestDecoder::default();
        decoder.buffer().extend_from_slice(format!("{line}\n").as_bytes());
        let args = decoder.next().unwrap().unwrap();
        self.now_ms += 150;
        self.effects.clear();
        let now = UnixMicros::from_millis(self.now_ms);
        let reply = self.engine.execute(&mut self.session, &args, now, &mut self.effects);
        let mut out = Vec::new();
        resp::encode(&reply, self.session.protocol, self.engine.dialect(), &mut out);
        String::from_utf8_lossy(&out).replace("\r\n", " ").trim_end().to_owned()
    }

    /// What the last command wrote.
    fn wrote(&self) -> Vec<String> {
        let words = |args: Vec<&[u8]>| {
            args.iter().map(|arg| String::from_utf8_lossy(arg)).collect::<Vec<_>>().join(" ")
        };
        self.effects.iter().map(|effect| words(effect.args().collect())).collect()
    }
}

#[test]
fn a_clock_behind_the_last_id_counts_on() {
    let mut server = Server::new(Dialect::Valkey8);
    server.run("XADD s 9999999999999-5 a 1");
    assert_eq!(server.run("XADD s * a 1"), "$15 9999999999999-6");
}

/// As in the append-only file of redis 7.0.15.
#[test]
fn writes_are_propagated_as_exact_ones() {
    let mut server = Server::new(Dialect::Redis7);
    server.run("XADD s * a 1");
    assert_eq!(server.wrote(), ["XADD s 1700000000150-0 a 1"]);
    server.run("XADD s MAXLEN ~ 10 LIMIT 5 * a 1");
    assert_eq!(server.wrote(), ["XADD s MAXLEN = 2 LIMIT 5 1700000000300-0 a 1"]);
    server.run("XADD s MINID ~ 1 * a 1");
    assert_eq!(server.wrote(), ["XADD s MINID = 1700000000150-0 1700000000450-0 a 1"]);
    server.run("XTRIM s MAXLEN ~ 100");
    assert_eq!(server.wrote(), [""; 0]);
    server.run("XTRIM s MAXLEN ~ 0");
    assert_eq!(server.wrote(), ["XTRIM s MAXLEN = 0"]);
    server.run("XGROUP CREATE s g 0");
    server.run("XADD s 1800000000000-1 a 1");
    server.run("XREADGROUP GROUP g c STREAMS s >");
    let claim =
        "XCLAIM s g c 0 1800000000000-1 TIME 1700000001200 RETRYCOUNT 1 FORCE JUSTID LASTID 1800000000000-1";
    assert_eq!(server.wrote(), [claim]);
}

/// As t_stream.c of valkey 8.0 has it.
#[test]
fn a_group_propagates_how_much_it_has_read_and_who_came_without_acknowledging() {
    let mut server = Server::new(Dialect::Valkey8);
    server.run("XADD s 1-1 a 1");
    server.run("XADD s 2-1 a 1");
    server.run("XGROUP CREATE s g 0");
    server.run("XREADGROUP GROUP g c COUNT 1 STREAMS s >");
    let claim = "XCLAIM s g c 0 1-1 TIME 1700000000600 RETRYCOUNT 1 FORCE JUSTID LASTID 1-1";
    assert_eq!(server.wrote(), [claim, "XGROUP SETID s g 1-1 ENTRIESREAD 1"]);
    server.run("XREADGROUP GROUP g d NOACK STREAMS s >");
    assert_eq!(server.wrote(), ["XGROUP CREATECONSUMER s g d", "XGROUP SETID s g 2-1 ENTRIESREAD 2"]);
    server.run("XREADGROUP GROUP g e NOACK STREAMS s >");
    assert_eq!(server.wrote(), ["XGROUP CREATECONSUMER s g e"], "there was nothing to read");
    server.run("XREADGROUP GROUP g f STREAMS s >");
    assert_eq!(server.wrote(), [""; 0], "no server propagates that");
}
