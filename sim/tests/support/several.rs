//! Several clients at once: a real server and ours, each with clients that may wait, and a clock that the test moves.
//!
//! Whatever a step causes is there when it is over: on the real server the questions of a bystander have been answered since,
//! and ours has come to rest.

use std::{cell::Cell, rc::Rc};

use valkey_sim::{
    engine::{Dialect, Engine, Reply, UnixMicros},
    lua::Interpreter,
    resp::encode_request,
    server::Server as OurServer,
};

use super::{
    executor::{Client, Clock, Tasks},
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

/// How many questions of a bystander, one after the other, a real server has answered when what was sent before them has
/// been answered too. Linux may tell of the first of them before it tells of what came while it was collecting what to tell;
/// the second may be read with that in one turn, and its answer written first; and who was woken may have said more meanwhile,
/// which is read one turn later.
const QUESTIONS: usize = 4;

/// Who is connected to a real one without any client: its own two connections, and who publishes.
const ALWAYS_THERE: &str = "3";

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
    publisher: Connection,
    /// What was said and heard last.
    pub last: String,
}

impl RealClients {
    pub fn new(mut real: Real) -> Self {
        // It looks five hundred times a second whether a pause is over, and not ten times.
        assert_eq!(real.send(&["CONFIG", "SET", "hz", "500"]), Reply::OK);
        let publisher = real.connect();
        Self { real, clients: Vec::new(), ids: Vec::new(), publisher, last: String::new() }
    }

    /// Waits until it has noticed that a pause is over. Who publishes is held by a pause, and changes nothing.
    pub fn await_the_end_of_pauses(&mut self) {
        let heard = self.publisher.ask(&["PUBLISH", "nobody", ""]);
        assert_eq!(heard, Reply::Int(0), "nobody listens there");
    }

    fn settle(&mut self) {
        for _ in 0..QUESTIONS {
            self.real.send(&["PING"]);
        }
    }

    /// Ends all clients, and waits until it has noticed: one that it still has may take what others are sent.
    fn end_all(&mut self) {
        self.clients.clear();
        self.settle();
        self.real.wait_for_field("connected_clients", ALWAYS_THERE);
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
        self.end_all();
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

/// Ours, behind connections. The bystander is the last client.
pub struct OurClients {
    dialect: Dialect,
    interpreter: Interpreter,
    clock: Clock,
    server: OurServer,
    tasks: Tasks,
    clients: Vec<Client>,
}

impl OurClients {
    pub fn new(dialect: Dialect) -> Self {
        let (interpreter, clock) = (Interpreter::default(), Clock(Rc::new(Cell::new(START.0))));
        let engine = Engine::new(dialect, interpreter.clone());
        let server = OurServer::new(engine, clock.clone(), ());
        Self { dialect, interpreter, clock, server, tasks: Tasks::default(), clients: Vec::new() }
    }

    /// Whether clients are held.
    pub fn is_paused(&self) -> bool {
        let now = UnixMicros(self.clock.0.get());
        self.server.with_engine(|engine| engine.pause(now).is_some())
    }

    fn connect(&mut self) {
        let (stream, served) = tokio::io::duplex(1 << 20);
        self.tasks.spawn(self.server.connection(served));
        self.clients.push(Client::new(stream));
    }

    fn ask(&mut self, client: usize, args: &Args) {
        let mut bytes = Vec::new();
        encode_request(args.iter().map(Vec::as_slice), &mut bytes);
        self.clients[client].send(&bytes);
        self.tasks.settle();
    }
}

impl Server for OurClients {
    fn name(&self) -> String {
        format!("the engine ({})", self.dialect)
    }

    /// Whoever sleeps by the clock looks at it.
    fn set_clock(&mut self, now: UnixMicros) {
        self.clock.0.set(now.0);
        self.tasks.wake_all();
        self.tasks.settle();
    }

    fn switch(&mut self) {}

    fn send_all(&mut self, commands: &[Args]) -> Vec<Reply> {
        let mut replies = Vec::new();
        for command in commands {
            self.ask(CLIENTS, command);
            replies.extend(self.clients[CLIENTS].replies());
        }
        replies
    }
}

impl Several for OurClients {
    fn begin_anew(&mut self) {
        self.clients.clear();
        self.tasks = Tasks::default();
        self.clock.0.set(START.0);
        let engine = Engine::new(self.dialect, self.interpreter.clone());
        self.server = OurServer::new(engine, self.clock.clone(), ());
        for _ in 0..=CLIENTS {
            self.connect();
        }
        self.tasks.settle();
    }

    fn tell(&mut self, client: usize, args: &Args) {
        self.ask(client, args);
    }

    fn heard(&mut self) -> Vec<Vec<Reply>> {
        self.tasks.settle();
        self.clients[..CLIENTS].iter_mut().map(Client::replies).collect()
    }

    fn id(&self, client: usize) -> i64 {
        client as i64 + 1
    }
}
