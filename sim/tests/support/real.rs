//! A real server of a dialect: found on the PATH, started on a socket of its own, stopped when it is dropped.
//!
//! Its clock is the test's: `clock.c` is compiled with the C compiler that linked the test, and preloaded. So both
//! sides of a comparison see the same microsecond, and a key can be looked at one millisecond before and after its end.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::{fs::FileExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use valkey_sim::{
    engine::{Dialect, Reply, UnixMicros},
    resp::{ReplyDecoder, encode_request},
};

use super::server::{Args, Server};

/// Set, a missing server is a failure. CI sets it.
const REQUIRED: &str = "GRANTSIM_REQUIRE_SERVER";
/// Where a server keeps what it appends.
const FILE: &str = "appendonlydir/appendonly.aof.1.incr.aof";
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs, and two connections to it.
pub struct Real {
    process: Child,
    dir: PathBuf,
    clock: File,
    connection: Connection,
    other: Connection,
    name: String,
    program: &'static str,
    /// What it is told of its file: `always`, `everysec`, `no`; none where it has none.
    fsync: Option<&'static str>,
}

impl Real {
    /// Starts the server of a dialect. Where there is none: `None`, after saying plainly `what` is not compared.
    ///
    /// # Panics
    /// There is none and `GRANTSIM_REQUIRE_SERVER` is set, or it does not come up.
    pub fn start(dialect: Dialect, what: &str) -> Option<Self> {
        Self::begin(dialect, what, None)
    }

    /// The same, of a server with an append-only file.
    pub fn with_file(dialect: Dialect, fsync: &'static str, what: &str) -> Option<Self> {
        Self::begin(dialect, what, Some(fsync))
    }

    fn begin(dialect: Dialect, what: &str, fsync: Option<&'static str>) -> Option<Self> {
        Self::find(dialect, fsync)
            .inspect_err(|missing| {
                assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and {missing}");
                // Not by `eprintln!`, which a test that passes keeps to itself.
                let said = writeln!(io::stderr(), "NOT COMPARED as {dialect}, {missing}: {what}");
                said.expect("there is somebody to say it to");
            })
            .ok()
    }

    /// Starts the server of a dialect, or says what is missing.
    fn find(dialect: Dialect, fsync: Option<&'static str>) -> Result<Self, String> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("valkey-sim-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for the socket");
        let clock = clock(&dir);
        let (program, version) = program(dialect);
        let Some(process) = spawn(program, &dir, fsync) else {
            let _ = std::fs::remove_dir_all(&dir);
            return Err(format!("no {program} on the PATH"));
        };
        let [connection, other] = [(); 2].map(|()| Connection::to(&dir.join("socket")));
        let mut server = Self { process, dir, clock, connection, other, name: String::new(), program, fsync };
        server.name = server.ask_its_name();
        if !server.name.starts_with(version) {
            return Err(format!("{program} is {}, and {dialect} is {version}x", server.name));
        }
        // Expired keys go when somebody looks at them, not whenever the server finds the time.
        assert_eq!(server.send(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]), Reply::OK);
        Ok(server)
    }

    /// The socket that it listens on.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// One more connection.
    pub fn connect(&self) -> Connection {
        Connection::to(&self.socket())
    }

    /// Has it follow the primary at a port of this machine, and waits until it is synchronised.
    pub fn follow(&mut self, port: &str) {
        assert_eq!(self.send(&["REPLICAOF", "127.0.0.1", port]), Reply::OK);
        self.wait_for_field("master_link_status", "up");
    }

    /// A field of `INFO`.
    pub fn info_field(&mut self, name: &str) -> String {
        let Reply::Bulk(info) = self.send(&["INFO"]) else { panic!("INFO is text") };
        let info = String::from_utf8_lossy(&info).into_owned();
        let field = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        field.unwrap_or_else(|| panic!("no {name} in {info}")).to_owned()
    }

    /// Waits until a field of `INFO` has a value.
    pub fn wait_for_field(&mut self, name: &str, value: &str) {
        let start = Instant::now();
        while self.info_field(name) != value {
            let found = self.info_field(name);
            assert!(start.elapsed() < PATIENCE, "{name} is {found}, and not {value} after all this time");
            std::thread::yield_now();
        }
    }

    /// Its append-only file, as far as it is written.
    pub fn append_only_file(&self) -> Vec<u8> {
        std::fs::read(self.dir.join(FILE)).expect("a server with a file keeps it there")
    }

    /// Kills it and starts it again. Answers the file that it was started with.
    pub fn restart(&mut self) -> Vec<u8> {
        let _ = self.process.kill();
        self.process.wait().expect("it is gone");
        let file = self.append_only_file();
        self.start_again(&file);
        file
    }

    /// Kills it, and starts it again with this file in the place of its own.
    pub fn restart_with(&mut self, file: &[u8]) {
        let _ = self.process.kill();
        self.process.wait().expect("it is gone");
        self.start_again(file);
    }

    fn start_again(&mut self, file: &[u8]) {
        std::fs::write(self.dir.join(FILE), file).expect("the directory can be written");
        let _ = std::fs::remove_file(self.dir.join("socket"));
        self.process = spawn(self.program, &self.dir, self.fsync).expect("it was started before");
        [self.connection, self.other] = [(); 2].map(|()| Connection::to(&self.dir.join("socket")));
        while matches!(self.send(&["PING"]), Reply::Error(_)) {
            std::thread::yield_now();
        }
        assert_eq!(self.send(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]), Reply::OK);
    }

    /// Waits until it ends; answers its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.process.wait().expect("it was started").code()
    }

    /// Whether it runs: a server that a command brought down says so.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    fn ask_its_name(&mut self) -> String {
        let Reply::Bulk(info) = self.send(&["INFO", "server"]) else { panic!("INFO is text") };
        let info = String::from_utf8_lossy(&info).into_owned();
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        match (field("valkey_version"), field("redis_version")) {
            (Some(version), _) => format!("valkey {version}"),
            (None, version) => format!("redis {}", version.unwrap_or("?")),
        }
    }
}

impl Server for Real {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn set_clock(&mut self, now: UnixMicros) {
        self.clock.write_all_at(&now.0.to_ne_bytes(), 0).expect("the clock's file can be written");
    }

    fn switch(&mut self) {
        std::mem::swap(&mut self.connection, &mut self.other);
    }

    fn send_all(&mut self, commands: &[Args]) -> Vec<Reply> {
        let mut replies = Vec::with_capacity(commands.len());
        // No more at once than the socket holds in both directions: neither side waits for the other to read.
        for batch in commands.chunks(64) {
            let mut bytes = Vec::new();
            for args in batch {
                encode_request(args.iter().map(Vec::as_slice), &mut bytes);
            }
            self.connection.stream.write_all(&bytes).expect("the server reads");
            replies.extend(batch.iter().map(|_| self.connection.receive()));
        }
        replies
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        // Best effort: the test is over.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A connection, and what was read from it and not yet understood.
pub struct Connection {
    stream: UnixStream,
    decoder: ReplyDecoder,
    received: BytesMut,
}

impl Connection {
    /// Connects as soon as the server listens.
    fn to(socket: &Path) -> Self {
        let stream = connect(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Self { stream, decoder: ReplyDecoder::default(), received: BytesMut::new() }
    }

    /// Sends a command.
    pub fn tell(&mut self, args: &[impl AsRef<[u8]>]) {
        let mut bytes = Vec::new();
        encode_request(args.iter().map(AsRef::as_ref), &mut bytes);
        self.stream.write_all(&bytes).expect("the server reads");
    }

    /// Sends a command, and waits for the reply.
    pub fn ask(&mut self, args: &[impl AsRef<[u8]>]) -> Reply {
        self.tell(args);
        self.receive()
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Whether the server has hung up, without another word.
    pub fn is_closed(&mut self) -> bool {
        self.received.is_empty() && matches!(self.stream.read(&mut [0]), Ok(0))
    }

    /// What is there, without waiting for more.
    pub fn received(&mut self) -> Vec<Reply> {
        self.stream.set_nonblocking(true).expect("a socket can be asked without waiting");
        let mut chunk = [0; 16 * 1024];
        while let Ok(read @ 1..) = self.stream.read(&mut chunk) {
            self.received.extend_from_slice(&chunk[..read]);
        }
        self.stream.set_nonblocking(false).expect("a socket can be waited for");
        let mut replies = Vec::new();
        while let Some(reply) = self.decoder.next(&mut self.received).expect("a server speaks RESP") {
            replies.push(reply);
        }
        replies
    }

    /// Waits for the next reply.
    pub fn receive(&mut self) -> Reply {
        loop {
            if let Some(reply) = self.decoder.next(&mut self.received).expect("a server speaks RESP") {
                return reply;
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => panic!("the server is gone"),
                Ok(read) => self.received.extend_from_slice(&chunk[..read]),
                Err(error) => panic!("the server does not answer: {error}"),
            }
        }
    }
}

/// The program that answers as a dialect, and how the name and version that it tells begin.
fn program(dialect: Dialect) -> (&'static str, &'static str) {
    match dialect {
        Dialect::Valkey8 => ("valkey-server", "valkey 8."),
        Dialect::Redis7 => ("redis-server", "redis 7.0."),
    }
}

/// Builds the clock and sets it to a moment of our century: a server reads it while it starts.
fn clock(dir: &Path) -> File {
    std::fs::write(dir.join("clock.c"), include_str!("clock.c")).expect("the directory can be written");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o", "clock.so", "clock.c"])
        .current_dir(dir)
        .status()
        .expect("the C compiler that linked this test runs");
    assert!(built.success(), "clock.c compiles");
    let file = File::create(dir.join("clock")).expect("the directory can be written");
    file.write_all_at(&1_700_000_000_000_000_u64.to_ne_bytes(), 0).expect("the clock's file can be written");
    file
}

fn spawn(program: &str, dir: &Path, fsync: Option<&str>) -> Option<Child> {
    let kept = fsync.map(|fsync| ["--appendfsync", fsync, "--auto-aof-rewrite-percentage", "0"]);
    Command::new(program)
        .args(["--port", "0", "--unixsocket", "socket", "--save", ""])
        .args(["--appendonly", if kept.is_some() { "yes" } else { "no" }])
        .args(kept.into_iter().flatten())
        // Under a clock that stands still, its threads take the waits for over: a core is gone.
        .args(["--jemalloc-bg-thread", "no"])
        .args(["--enable-debug-command", "yes"])
        .env("LD_PRELOAD", dir.join("clock.so"))
        .env("VALKEY_SIM_CLOCK", dir.join("clock"))
        .current_dir(dir)
        .stdout(Stdio::null())
        .spawn()
        .ok()
}

fn connect(socket: &Path) -> UnixStream {
    let start = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return stream,
            Err(error) => assert!(start.elapsed() < PATIENCE, "the server does not come up: {error}"),
        }
        std::thread::yield_now();
    }
}
