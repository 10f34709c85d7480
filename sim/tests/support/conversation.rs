//! Conversations: what several clients say to a server, and what each of them hears, when.
//!
//! ```text
//! # valkey 8.0.1
//! a> SUBSCRIBE news
//!     a: *3 $9 subscribe $4 news :1
//! b> PUBLISH news hello
//!     a: *3 $7 message $4 news $5 hello
//!     b: :1
//! SIM CLOCK ADVANCE 10
//! ```
//!
//! A client connects when it first speaks. Below each line is what was heard because of it, by client, until nothing
//! more comes; `closed` is the end of a connection. The clock starts at [`START`]; expired keys are removed in time. A
//! line of `MONITOR` is told without its time and address. `#` starts a comment.

use std::{
    cell::Cell,
    collections::BTreeMap,
    future::poll_fn,
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use valkey_sim::{
    engine::{Dialect, Engine, Reply, UnixMicros},
    lua::Interpreter,
    resp::{ReplyDecoder, encode_request},
    server::{Environment, LocalFuture, Server as Serving},
};

use super::{
    real::Real,
    server::{Args, Server},
    transcript::{self, START},
};

/// A server of either kind that clients talk to by name.
pub trait Room {
    /// A client sends a command.
    fn speak(&mut self, client: &str, args: &Args);
    /// The clock is turned.
    fn turn(&mut self, now: UnixMicros);
    /// What has been heard since the last time, a line each, in order of the clients' names.
    fn heard(&mut self) -> Vec<String>;
}

/// Plays a script in a room; answers its transcript, without the server's name.
pub fn play(script: &str, room: &mut impl Room) -> String {
    let (mut lines, mut now) = (Vec::new(), START);
    room.turn(now);
    for line in transcript::script(script) {
        lines.push(line.to_owned());
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(ms) = line.strip_prefix("SIM CLOCK ADVANCE ") {
            let ms: u64 = ms.parse().unwrap_or_else(|_| panic!("no milliseconds: {line}"));
            now = UnixMicros(now.0 + ms * 1_000);
            room.turn(now);
        } else {
            let (client, command) = line.split_once("> ").unwrap_or_else(|| panic!("nobody says {line}"));
            room.speak(client, &transcript::parse(command));
        }
        lines.extend(room.heard().into_iter().map(|heard| format!("    {heard}")));
    }
    lines.join("\n") + "\n"
}

/// One client's ear.
#[derive(Default)]
struct Ear {
    decoder: ReplyDecoder,
    buffer: BytesMut,
    is_closed: bool,
}

impl Ear {
    fn take(&mut self, name: &str, lines: &mut Vec<String>) {
        while let Some(reply) = self.decoder.next(&mut self.buffer).expect("a server speaks RESP") {
            lines.push(format!("{name}: {}", told(&reply)));
        }
    }

    fn close(&mut self, name: &str, lines: &mut Vec<String>) {
        if !std::mem::replace(&mut self.is_closed, true) {
            lines.push(format!("{name}: closed"));
        }
    }
}

/// A reply on one line; of a line of `MONITOR` what does not depend on the connection.
fn told(reply: &Reply) -> String {
    let shown = transcript::show(reply);
    let of_monitor = shown.strip_prefix('+').filter(|text| text.starts_with("17") && text.contains('['));
    let Some((_, rest)) = of_monitor.and_then(|text| text.split_once('[')) else { return shown };
    let (from, command) = rest.split_once(']').unwrap_or((rest, ""));
    let database = from.split(' ').next().unwrap_or_default();
    let who = if from.ends_with(" lua") { "lua" } else { "client" };
    format!("+[{database} {who}]{command}")
}

fn request(args: &Args) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_request(args.iter().map(Vec::as_slice), &mut bytes);
    bytes
}

/// A real server, its clients, and one more who asks whether it has come so far.
pub struct RealRoom {
    server: Real,
    socket: PathBuf,
    clients: BTreeMap<String, (UnixStream, Ear)>,
    is_turned: bool,
}

/// How long a server may take to do what its own timers do.
const TIMERS: Duration = Duration::from_millis(300);
/// How long it may take to deliver what it has to say.
const DELIVERY: Duration = Duration::from_millis(40);

impl RealRoom {
    pub fn new(mut server: Real) -> Self {
        assert_eq!(server.send(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"]), Reply::OK);
        let socket = server.socket();
        Self { server, socket, clients: BTreeMap::new(), is_turned: false }
    }

    pub fn name(&self) -> String {
        self.server.name()
    }
}

impl Room for RealRoom {
    fn speak(&mut self, client: &str, args: &Args) {
        let socket = &self.socket;
        let (stream, _) = self.clients.entry(client.to_owned()).or_insert_with(|| {
            let stream = UnixStream::connect(socket).expect("it listens");
            stream.set_nonblocking(true).expect("a socket can be told not to block");
            (stream, Ear::default())
        });
        // Who was hung up on may not be able to speak.
        let _ = stream.write_all(&request(args));
    }

    fn turn(&mut self, now: UnixMicros) {
        self.server.set_clock(now);
        self.is_turned = true;
    }

    fn heard(&mut self) -> Vec<String> {
        let patience = if std::mem::take(&mut self.is_turned) { TIMERS } else { DELIVERY };
        let (mut start, mut lines) = (Instant::now(), Vec::new());
        while start.elapsed() < patience {
            for (name, (stream, ear)) in &mut self.clients {
                let mut chunk = [0; 4_096];
                match stream.read(&mut chunk) {
                    Ok(0) => ear.close(name, &mut lines),
                    Ok(read) => {
                        ear.buffer.extend_from_slice(&chunk[..read]);
                        start = start.max(Instant::now() - (patience - DELIVERY.min(patience)));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => ear.close(name, &mut lines),
                }
                ear.take(name, &mut lines);
            }
        }
        in_order(lines)
    }
}

/// Lines by client, each client's in order.
fn in_order(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_by(|one, other| {
        let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        name(one).cmp(&name(other))
    });
    lines
}

/// How many connections a real server has had when the first client comes.
const CONNECTIONS: usize = 4;

/// The simulated server behind streams in memory, polled by hand.
pub struct SimulatedRoom {
    server: Serving,
    now: Rc<Cell<UnixMicros>>,
    housekeeping: LocalFuture,
    clients: BTreeMap<String, Client>,
}

struct Client {
    near: DuplexStream,
    serving: Option<LocalFuture>,
    ear: Ear,
}

struct Clock(Rc<Cell<UnixMicros>>);

impl Environment for Clock {
    fn now(&self) -> UnixMicros {
        self.0.get()
    }

    fn sleep_until(&self, at: UnixMicros) -> LocalFuture {
        let now = Rc::clone(&self.0);
        Box::pin(poll_fn(move |_| if now.get() >= at { Poll::Ready(()) } else { Poll::Pending }))
    }
}

impl SimulatedRoom {
    pub fn new(dialect: Dialect) -> Self {
        let now = Rc::new(Cell::new(START));
        let mut engine = Engine::new(dialect, Interpreter::default());
        // Those of a real server over which it is started and set up.
        for _ in 0..CONNECTIONS {
            drop(engine.connect());
        }
        let server = Serving::new(engine, Clock(Rc::clone(&now)), ());
        let keeper = server.clone();
        let housekeeping = Box::pin(async move { keeper.housekeeping().await });
        Self { server, now, housekeeping, clients: BTreeMap::new() }
    }

    /// Has everything happen that can.
    fn settle(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..8 {
            for client in self.clients.values_mut() {
                let is_over =
                    client.serving.as_mut().is_some_and(|serving| serving.as_mut().poll(&mut cx).is_ready());
                if is_over {
                    client.serving = None;
                }
            }
            let _ = self.housekeeping.as_mut().poll(&mut cx);
        }
    }
}

impl Room for SimulatedRoom {
    fn speak(&mut self, client: &str, args: &Args) {
        let server = &self.server;
        let client = self.clients.entry(client.to_owned()).or_insert_with(|| {
            let (near, far) = tokio::io::duplex(1 << 20);
            let connection = server.connection(far);
            let serving: LocalFuture = Box::pin(async move { drop(connection.await) });
            Client { near, serving: Some(serving), ear: Ear::default() }
        });
        let mut cx = Context::from_waker(Waker::noop());
        // Who was hung up on may not be able to speak.
        let _ = Pin::new(&mut client.near).poll_write(&mut cx, &request(args));
    }

    fn turn(&mut self, now: UnixMicros) {
        self.now.set(now);
    }

    fn heard(&mut self) -> Vec<String> {
        self.settle();
        let mut cx = Context::from_waker(Waker::noop());
        let mut lines = Vec::new();
        for (name, client) in &mut self.clients {
            loop {
                let mut chunk = [0; 4_096];
                let mut read = ReadBuf::new(&mut chunk);
                match Pin::new(&mut client.near).poll_read(&mut cx, &mut read) {
                    Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                        client.ear.buffer.extend_from_slice(read.filled());
                    }
                    Poll::Ready(_) => {
                        client.ear.take(name, &mut lines);
                        client.ear.close(name, &mut lines);
                        break;
                    }
                    Poll::Pending => break,
                }
            }
            client.ear.take(name, &mut lines);
        }
        in_order(lines)
    }
}
