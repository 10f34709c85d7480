//! Several clients at once: a real server and ours, each with clients that may wait, and a clock that the test moves.
//!
//! Whatever a step causes is there when it is over: on the real server two questions of a bystander have been answered since,
//! and ours has come to rest.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use valkey_sim::{
    engine::{Dialect, Engine, Reply, UnixMicros},
    lua::Interpreter,
    resp::{ReplyDecoder, encode_request},
    server::{Environment, LocalFuture, Server as OurServer},
};

use super::{
    real::{Connection, Real},
    server::{Args, Server},
    transcript::START,
};

/// How many clients there are, beside the bystander.
pub const CLIENTS: usize = 5;

/// A server with several clients.
pub trait Several: Server + Sized {
    /// Ends all clients, empties the server and connects new ones.
    fn begin_anew(&mut self);
    /// Has a client send a command.
    fn tell(&mut self, client: usize, args: &Args);
    /// What each client has heard since the last time.
    fn heard(&mut self) -> Vec<Vec<Reply>>;
    /// What `CLIENT ID` answers to a client.
    fn id(&self, client: usize) -> i64;
}

/// What empties a server, settings included.
const EMPTY: [&[&str]; 6] = [
    &["RESET"],
    &["CLIENT", "UNPAUSE"],
    &["FLUSHALL"],
    &["SCRIPT", "FLUSH"],
    &["CONFIG", "SET", "notify-keyspace-events", ""],
    &["CONFIG", "RESETSTAT"],
];

/// A real one. The bystander is its own connection.
pub struct RealClients {
    pub real: Real,
    clients: Vec<Connection>,
    ids: Vec<i64>,
}

impl RealClients {
    pub fn new(real: Real) -> Self {
        Self { real, clients: Vec::new(), ids: Vec::new() }
    }

    fn settle(&mut self) {
        for _ in 0..2 {
            self.real.send(&["PING"]);
        }
    }
}

impl Server for RealClients {
    fn name(&self) -> String {
        self.real.name()
    }

    fn set_clock(&mut self, now: UnixMicros) {
        self.real.set_clock(now);
    }

    fn switch(&mut self) {
        self.real.switch();
    }

    fn send_all(&mut self, commands: &[Args]) -> Vec<Reply> {
        self.real.send_all(commands)
    }
}

impl Several for RealClients {
    fn begin_anew(&mut self) {
        self.clients.clear();
        self.settle();
        for command in EMPTY {
            self.real.send(command);
        }
        self.real.set_clock(START);
        self.clients = (0..CLIENTS).map(|_| self.real.connect()).collect();
        let id = |client: &mut Connection| match client.ask(&["CLIENT", "ID"]) {
            Reply::Int(id) => id,
            other => panic!("CLIENT ID answers {other:?}"),
        };
        self.ids = self.clients.iter_mut().map(id).collect();
        self.settle();
    }

    fn tell(&mut self, client: usize, args: &Args) {
        self.clients[client].tell(args);
    }

    fn heard(&mut self) -> Vec<Vec<Reply>> {
        self.settle();
        self.clients.iter_mut().map(Connection::received).collect()
    }

    fn id(&self, client: usize) -> i64 {
        self.ids[client]
    }
}

/// A clock that the test turns.
#[derive(Clone)]
struct Clock(Rc<Cell<u64>>);

impl Environment for Clock {
    fn now(&self) -> UnixMicros {
        UnixMicros(self.0.get())
    }

    fn sleep_until(&self, at: UnixMicros) -> LocalFuture {
        let clock = self.clone();
        Box::pin(poll_fn(move |_| if clock.now() >= at { Poll::Ready(()) } else { Poll::Pending }))
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One connection as the server sees it.
struct Task {
    work: Pin<Box<dyn Future<Output = io::Result<()>>>>,
    woken: Arc<Woken>,
}

struct Client {
    stream: DuplexStream,
    decoder: ReplyDecoder,
    buffer: BytesMut,
}

impl Client {
    fn tell(&mut self, args: &Args) {
        let mut bytes = Vec::new();
        encode_request(args.iter().map(Vec::as_slice), &mut bytes);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(self.stream.write_all(&bytes)).poll(&mut cx).is_ready(), "the pipe has room");
    }

    fn received(&mut self) -> Vec<Reply> {
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Ok(1..)) = pin!(self.stream.read_buf(&mut self.buffer)).poll(&mut cx) {}
        let mut replies = Vec::new();
        while let Some(reply) = self.decoder.next(&mut self.buffer).expect("a server sends replies") {
            replies.push(reply);
        }
        replies
    }
}

/// Ours, behind connections. The bystander is the last client.
pub struct OurClients {
    dialect: Dialect,
    interpreter: Interpreter,
    clock: Clock,
    server: OurServer,
    tasks: Vec<Task>,
    clients: Vec<Client>,
}

impl OurClients {
    pub fn new(dialect: Dialect) -> Self {
        let (interpreter, clock) = (Interpreter::default(), Clock(Rc::new(Cell::new(START.0))));
        let engine = Engine::new(dialect, interpreter.clone());
        let server = OurServer::new(engine, clock.clone(), ());
        Self { dialect, interpreter, clock, server, tasks: Vec::new(), clients: Vec::new() }
    }

    fn connect(&mut self) {
        let (stream, served) = tokio::io::duplex(1 << 20);
        let connection = self.server.connection(served);
        let work = Box::pin(connection);
        self.tasks.push(Task { work, woken: Arc::new(Woken(AtomicBool::new(true))) });
        self.clients.push(Client { stream, decoder: ReplyDecoder::default(), buffer: BytesMut::new() });
    }

    fn settle(&mut self) {
        let is_woken = |task: &Task| task.woken.0.load(Ordering::Relaxed);
        for _ in 0..10_000 {
            if !self.tasks.iter().any(is_woken) {
                return;
            }
            self.tasks.retain_mut(|task| {
                if !task.woken.0.swap(false, Ordering::Relaxed) {
                    return true;
                }
                let waker = Waker::from(task.woken.clone());
                task.work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
            });
        }
        panic!("the tasks wake each other and do not come to rest");
    }
}

impl Server for OurClients {
    fn name(&self) -> String {
        format!("the engine ({})", self.dialect)
    }

    /// Whoever sleeps by the clock looks at it.
    fn set_clock(&mut self, now: UnixMicros) {
        self.clock.0.set(now.0);
        self.tasks.iter().for_each(|task| task.woken.0.store(true, Ordering::Relaxed));
        self.settle();
    }

    fn switch(&mut self) {}

    fn send_all(&mut self, commands: &[Args]) -> Vec<Reply> {
        let mut replies = Vec::new();
        for command in commands {
            self.clients[CLIENTS].tell(command);
            self.settle();
            replies.extend(self.clients[CLIENTS].received());
        }
        replies
    }
}

impl Several for OurClients {
    fn begin_anew(&mut self) {
        self.clients.clear();
        self.tasks.clear();
        self.clock.0.set(START.0);
        let engine = Engine::new(self.dialect, self.interpreter.clone());
        self.server = OurServer::new(engine, self.clock.clone(), ());
        for _ in 0..=CLIENTS {
            self.connect();
        }
        self.settle();
    }

    fn tell(&mut self, client: usize, args: &Args) {
        self.clients[client].tell(args);
        self.settle();
    }

    fn heard(&mut self) -> Vec<Vec<Reply>> {
        self.settle();
        self.clients[..CLIENTS].iter_mut().map(Client::received).collect()
    }

    fn id(&self, client: usize) -> i64 {
        client as i64 + 1
    }
}
