//! The engine as a server to compare: replies go through the wire format, so that they are what a client sees.

use bytes::BytesMut;
use valkey_sim::{
    engine::{Dialect, Effects, Engine, Protocol, Reply, Session, UnixMicros},
    lua::Interpreter,
    resp::{self, ReplyDecoder},
};

use super::server::{Args, Server};

/// An engine and two sessions.
pub struct Simulated {
    interpreter: Interpreter,
    pub engine: Engine,
    pub session: Session,
    other: Session,
    pub now: UnixMicros,
}

impl Simulated {
    pub fn new(dialect: Dialect) -> Self {
        let interpreter = Interpreter::default();
        let mut engine = Engine::new(dialect, interpreter.clone());
        let (session, other) = (engine.connect(), engine.connect());
        Self { interpreter, engine, session, other, now: UnixMicros::default() }
    }

    /// An empty server again, and new connections to it.
    pub fn restart(&mut self) {
        self.engine = Engine::new(self.engine.dialect(), self.interpreter.clone());
        (self.session, self.other) = (self.engine.connect(), self.engine.connect());
    }

    /// The protocol in force.
    pub fn protocol(&self) -> Protocol {
        self.session.protocol
    }

    fn run(&mut self, args: &Args) -> Reply {
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let mut effects = Effects::default();
        let reply = self.engine.execute(&mut self.session, &args, self.now, &mut effects);
        let mut bytes = Vec::new();
        resp::encode(&reply, self.session.protocol, self.engine.dialect(), &mut bytes);
        let mut bytes = BytesMut::from(&bytes[..]);
        let decoded = ReplyDecoder::default().next(&mut bytes).expect("the engine speaks RESP");
        decoded.unwrap_or(Reply::Nothing)
    }
}

impl Server for Simulated {
    fn name(&self) -> String {
        format!("the engine ({})", self.engine.dialect())
    }

    fn set_clock(&mut self, now: UnixMicros) {
        self.now = now;
    }

    fn switch(&mut self) {
        std::mem::swap(&mut self.session, &mut self.other);
    }

    fn send_all(&mut self, commands: &[Args]) -> Vec<Reply> {
        commands.iter().map(|args| self.run(args)).collect()
    }
}
