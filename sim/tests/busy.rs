//! A script that runs for longer than `busy-reply-threshold` on the server of real sockets: what others are told meanwhile,
//! and how they end it. Each scene is played to a real server, too.

use std::collections::BTreeMap;

use crate::common::program::{Client, Program};
use crate::support::{
    differences,
    real::{Connection, Real},
    server::Args,
    transcript,
};
use valkey_sim::{
    engine::{Dialect, Reply},
    resp::encode_request,
};

/// A client of either server.
enum Speaker {
    Real(Connection),
    Ours(Client),
}

impl Speaker {
    fn tell(&mut self, args: &Args) {
        let mut bytes = Vec::new();
        encode_request(args.iter().map(Vec::as_slice), &mut bytes);
        self.send(&bytes);
    }

    fn send(&mut self, bytes: &[u8]) {
        match self {
            Speaker::Real(connection) => connection.send(bytes),
            Speaker::Ours(client) => client.send(bytes),
        }
    }

    fn hear(&mut self) -> Reply {
        match self {
            Speaker::Real(connection) => connection.receive(),
            Speaker::Ours(client) => client.reply(),
        }
    }

    fn is_closed(&mut self) -> bool {
        match self {
            Speaker::Real(connection) => connection.is_closed(),
            Speaker::Ours(client) => client.is_closed(),
        }
    }
}

/// A server of either kind.
enum Stage {
    Real(Real),
    Ours(Program),
}

impl Stage {
    fn enter(&self) -> Speaker {
        match self {
            Stage::Real(real) => Speaker::Real(real.connect()),
            Stage::Ours(program) => Speaker::Ours(program.connect()),
        }
    }

    /// Waits for the end; answers its exit code.
    fn end(&mut self) -> Option<i32> {
        match self {
            Stage::Real(real) => real.wait(),
            Stage::Ours(program) => program.wait(),
        }
    }
}

const LIBRARY: &str = "#!lua name=l\n\
    redis.register_function('Ends', function() while true do end end)\n\
    redis.register_function('writes', function() redis.call('DEL', 'nothing') while true do end end)";

/// Who says what. `busy> …` is said by a client whose script is to be waited for until it has run too long; `?` is what a
/// client hears that was not answered yet; `+` is said in two pieces.
const SCENES: &[&str] = &[
    "b> SCRIPT KILL
     b> FUNCTION KILL
     b> FUNCTION STATS
     b> SHUTDOWN ABORT
     b> SHUTDOWN NEVER
     b> SHUTDOWN SAVE NOSAVE
     b> SHUTDOWN ABORT NOW
     b> CONFIG SET lua-time-limit 10",
    // What the others may say, before they came and after.
    "t> MULTI
     t> SET k v
     w> SELECT 3
     w> GET k
     a busy> EVAL \"while true do end\" 0
     c> PING
     c> GET k
     c> GET
     c> NOSUCH
     c> SELECT 1
     c> CLIENT LIST
     c> CLIENT KILL TYPE normal
     c> FUNCTION STATS
     c> FUNCTION LOAD x
     c> SCRIPT EXISTS x
     c> EVAL \"return 1\" 0
     c> SUBSCRIBE x
     c> CONFIG GET x
     c> MULTI
     c> SET k v
     c> EXEC
     c> MULTI
     c> DISCARD
     c> WATCH k
     c> UNWATCH
     c> AUTH secret
     c> HELLO 3
     c> GET k
     c> RESET
     c> SHUTDOWN
     c> SHUTDOWN SAVE
     c> SHUTDOWN NOW FORCE
     c> SHUTDOWN NEVER
     c+> GET k
     t> EXEC
     d> QUIT
     w> GET k
     w> FUNCTION KILL
     w> SCRIPT KILL
     a?
     w> SCRIPT KILL
     w> SET k w
     c> GET k
     t> GET k
     a> GET k",
    // Whoever waits goes on when it is over.
    "s> SUBSCRIBE news
     p waits> BLPOP l 0
     a busy> EVAL \"redis.call('SELECT', 2) redis.call('PUBLISH', 'news', 'one') while true do end\" 0
     s?
     c> SCRIPT KILL
     a?
     a> RPUSH l x
     p?
     c> GET k",
    // No pcall catches it.
    "a busy> EVAL \"while true do pcall(function() while true do end end) end\" 0
     c> SCRIPT KILL
     a?",
    "a busy> EVAL \"local f = coroutine.wrap(function() while true do end end) while true do pcall(f) end\" 0
     c> SCRIPT KILL
     a?",
    // Within a transaction, what follows it is executed.
    "a> MULTI
     a> SET k v
     a> EVAL \"while true do end\" 0
     a> INCR n
     a busy> EXEC
     c> GET k
     c> SCRIPT KILL
     a?
     c> MGET k n",
    // Functions.
    "a> FUNCTION LOAD <library>
     a busy> FCALL Ends 1 k v
     c> GET k
     c> FUNCTION STATS
     c> SCRIPT KILL
     c> SHUTDOWN
     c> FUNCTION KILL
     a?
     c> FUNCTION STATS
     a> MULTI
     a> FCALL ends 0 x
     a busy> EXEC
     c> FUNCTION STATS
     c> FUNCTION KILL
     a?",
    // One that has called a command that writes cannot be ended but with the server.
    "a busy> FCALL writes 0
     c> SCRIPT KILL
     c> FUNCTION KILL
     c> SHUTDOWN
     c!> SHUTDOWN NOSAVE",
];

/// Plays all scenes; answers what was heard.
fn play(stage: &mut Stage) -> Vec<String> {
    let mut heard = Vec::new();
    for scene in SCENES {
        let mut clients = BTreeMap::new();
        for line in scene.lines().map(str::trim) {
            heard.push(line.to_owned());
            if let Some(name) = line.strip_suffix('?') {
                let client: &mut Speaker = clients.get_mut(name).unwrap_or_else(|| panic!("who is {name}?"));
                heard.push(shown(line, &client.hear()));
                continue;
            }
            let (who, command) = line.split_once("> ").expect("somebody says something");
            let name = who.trim_end_matches(['+', '!']).split(' ').next().unwrap_or_default();
            let client = clients.entry(name).or_insert_with(|| stage.enter());
            let mut args = transcript::parse(command);
            args.iter_mut().filter(|arg| **arg == b"<library>").for_each(|arg| *arg = LIBRARY.into());
            if who.ends_with('+') {
                let mut bytes = Vec::new();
                encode_request(args.iter().map(Vec::as_slice), &mut bytes);
                let (first, rest) = bytes.split_at(bytes.len() / 2);
                client.send(first);
                let other = clients.entry("between").or_insert_with(|| stage.enter());
                other.tell(&transcript::parse("PING"));
                other.hear();
                let client = clients.get_mut(name).expect("it was there");
                client.send(rest);
                heard.push(shown(command, &client.hear()));
                continue;
            }
            client.tell(&args);
            if who.ends_with('!') {
                assert!(client.is_closed(), "{line}: it is answered");
                assert!(clients.values_mut().all(Speaker::is_closed), "{line}: not all are sent away");
                heard.push(format!("{:?}", stage.end()));
            } else if who.ends_with("busy") {
                wait_until_busy(stage);
            } else if !who.ends_with("waits") {
                let reply = client.hear();
                heard.push(shown(command, &reply));
            }
        }
    }
    heard
}

fn wait_until_busy(stage: &Stage) {
    loop {
        let mut client = stage.enter();
        client.tell(&transcript::parse("PING"));
        if client.hear().error().is_some_and(|error| error.0.starts_with("BUSY")) {
            return;
        }
        std::thread::yield_now();
    }
}

/// A reply, without how long a function had run.
fn shown(command: &str, reply: &Reply) -> String {
    let shown = transcript::show(reply);
    let is_time =
        |before: &str, word: &str| command == "FUNCTION STATS" && before == "duration_ms" && word != ":0";
    let words: Vec<&str> = shown.split(' ').collect();
    let before = std::iter::once("").chain(words.iter().copied());
    let words = before.zip(&words).map(|(before, word)| if is_time(before, word) { ":<time>" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_script_that_runs_too_long_is_ended_by_others_as_on_real_servers() {
    for dialect in [Dialect::Valkey8, Dialect::Redis7] {
        let mut ours = Stage::Ours(Program::start(&["--dialect", &dialect.to_string()]));
        let ours = play(&mut ours);
        assert_eq!(ours.last().map(String::as_str), Some("Some(0)"));
        let Some(real) = Real::start(dialect, "scripts that run too long") else { continue };
        let real = play(&mut Stage::Real(real));
        let mut said = "";
        for (real, ours) in real.iter().zip(&ours) {
            let is_known = differences::is_known(said.split("> ").last().unwrap_or_default(), real, ours);
            assert!(real == ours || is_known, "{dialect}: {said}\n    real: {real}\n    ours: {ours}");
            said = real;
        }
        assert_eq!(real.len(), ours.len());
    }
}

#[test]
fn while_a_script_runs_no_time_passes_for_those_who_wait() {
    let program = Program::start(&[]);
    let [mut script, mut waits, mut other] = [(); 3].map(|()| program.connect());
    assert_eq!(other.ask("CONFIG SET busy-reply-threshold 10"), Reply::OK);
    waits.send(b"PING\r\nBLPOP l 0.02\r\n");
    assert_eq!(waits.reply(), Reply::Status("PONG".into()));
    // What comes after the script is executed before anybody notices how late it is.
    script.send(b"EVAL \"while true do end\" 0\r\nRPUSH l x\r\n");
    let start = std::time::Instant::now();
    while start.elapsed().as_millis() < 100 {
        other.ask("PING");
    }
    assert!(other.ask("PING").error().is_some_and(|error| error.0.starts_with("BUSY")));
    assert_eq!(other.ask("SCRIPT KILL"), Reply::OK);
    assert!(script.reply().error().is_some());
    assert_eq!(waits.reply(), Reply::Array(vec![Reply::bulk("l"), Reply::bulk("x")]));
}

#[test]
fn a_clock_that_stands_still_shows_no_script_that_takes_long() {
    let program = Program::manual();
    let [mut script, mut other] = [(); 2].map(|()| program.connect());
    assert_eq!(other.ask("CONFIG SET busy-reply-threshold 1"), Reply::OK);
    script.send(b"EVAL \"while true do end\" 0\r\n");
    assert_eq!(other.ask("SCRIPT KILL").error().map(|error| &error.0[..7]), Some("NOTBUSY"));
    let killed = script.reply();
    assert!(
        killed.error().is_some_and(|error| error.0.starts_with("ERR Error running script")),
        "{killed:?}"
    );
}

#[test]
fn a_client_that_floods_a_busy_server_does_not_keep_the_others_from_ending_the_script() {
    let program = Program::start(&[]);
    let [mut script, mut other] = [(); 2].map(|()| program.connect());
    assert_eq!(other.ask("CONFIG SET busy-reply-threshold 1"), Reply::OK);
    script.send(b"EVAL \"while true do end\" 0\r\n");
    let flood = program.address();
    let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&is_over);
    let flooding = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let stream = std::net::TcpStream::connect(flood).expect("it listens");
        let mut reading = stream.try_clone().expect("a socket can be shared");
        std::thread::spawn(move || while reading.read(&mut [0; 1 << 16]).is_ok_and(|read| read > 0) {});
        while !seen.load(std::sync::atomic::Ordering::Relaxed) {
            let _ = (&stream).write_all(&b"PING\r\n".repeat(10_000));
        }
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
    while other.ask("PING").error().is_none() {}
    assert_eq!(other.ask("SCRIPT KILL"), Reply::OK);
    assert!(script.reply().error().is_some());
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    flooding.join().expect("it writes");
}
