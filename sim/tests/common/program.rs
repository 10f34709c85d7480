//! The program `valkey-sim` as a child process, and a client that talks to it over a plain socket.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::BytesMut;
use valkey_sim::{engine::Reply, resp::ReplyDecoder};

/// A server that should answer and does not fails its test after this long. Nothing waits for it otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; killed when it is dropped.
pub struct Program {
    child: Child,
    address: SocketAddr,
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    decoder: ReplyDecoder,
    buffer: BytesMut,
    /// Keeps the server of a client that has one to itself.
    _program: Option<Program>,
}

impl Program {
    /// A server on a free port, with these arguments besides.
    pub fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_valkey-sim"))
            .args(["--port", "0"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("valkey-sim starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("its output is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says that it is ready");
        let address = line.split(' ').find_map(|word| word.parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("no address: {line:?}")) }
    }

    /// A server whose clock stands still.
    pub fn manual() -> Self {
        Self::start(&["--clock", "manual"])
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it by a signal; returns its exit code.
    pub fn end(&mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().expect("there is a kill");
        assert!(sent.success());
        self.child.wait().expect("it ends").code()
    }

    /// Waits until it ends; returns its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }

    /// A connection.
    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        Client { stream, decoder: ReplyDecoder::default(), buffer: BytesMut::new(), _program: None }
    }

    /// A connection, with which the server ends.
    pub fn into_client(self) -> Client {
        let client = self.connect();
        Client { _program: Some(self), ..client }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended before, as it was told to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Client {
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// The next reply.
    pub fn reply(&mut self) -> Reply {
        loop {
            if let Some(reply) = self.decoder.next(&mut self.buffer).expect("a server sends replies") {
                return reply;
            }
            assert!(self.read() > 0, "the server hung up");
        }
    }

    /// Sends one command, as typed, and returns its reply.
    pub fn ask(&mut self, command: &str) -> Reply {
        self.send(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// Whether the server has hung up, without another word.
    pub fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && self.read() == 0
    }

    fn read(&mut self) -> usize {
        let mut bytes = [0; 4_096];
        let count = self.stream.read(&mut bytes).expect("the server answers in time");
        self.buffer.extend_from_slice(&bytes[..count]);
        count
    }
}
