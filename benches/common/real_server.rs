//! The real servers to compare with, where they are there.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command as Process, Stdio},
    time::{Duration, Instant},
};

use valkey_sim::engine::Dialect;

/// Whether this is a measurement, and not `cargo test --all-targets` looking whether a bench runs at all.
pub fn is_measurement() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}

/// The servers to compare with, and which of them the engine then plays.
pub const SERVERS: [(&str, Dialect); 2] =
    [("valkey-server", Dialect::Valkey8), ("redis-server", Dialect::Redis7)];

/// A server on a socket of its own, stopped when it is dropped.
pub struct RealServer {
    process: Child,
    dir: PathBuf,
    stream: BufReader<UnixStream>,
}

impl RealServer {
    /// `None` where there is no such program.
    pub fn start(program: &str) -> Option<Self> {
        let dir = std::env::temp_dir().join(format!("grantsim-bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for the socket");
        let spawned = Process::new(program)
            .args(["--port", "0", "--save", "", "--unixsocket", "s"])
            .current_dir(&dir)
            .stdout(Stdio::null())
            .spawn();
        let Ok(process) = spawned else {
            println!("no {program} here to compare with");
            return None;
        };
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(dir.join("s")) {
                Ok(stream) => break BufReader::new(stream),
                Err(error) => assert!(start.elapsed() < Duration::from_secs(10), "no server: {error}"),
            }
        };
        Some(Self { process, dir, stream })
    }

    /// Sends a command and returns its reply as it came: a line, and for a bulk string what follows it.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> String {
        let mut bytes = Vec::new();
        valkey_sim::resp::encode_request(args.iter().map(A::as_ref), &mut bytes);
        self.stream.get_mut().write_all(&bytes).expect("the server reads");
        let reply = self.reply();
        assert!(!reply.starts_with('-'), "the server refuses: {reply}");
        reply
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the server answers");
        let count = line[1..].trim_end().parse::<usize>();
        match (line.as_bytes()[0], count) {
            (b'*', Ok(count)) => (0..count).for_each(|_| line.push_str(&self.reply())),
            (b'$', Ok(length)) => {
                let mut bytes = vec![0; length + 2];
                self.stream.read_exact(&mut bytes).expect("the server answers");
                line.push_str(&String::from_utf8_lossy(&bytes));
            }
            _ => {}
        }
        line
    }

    /// Starts `INFO commandstats` afresh.
    pub fn reset_stats(&mut self) {
        self.send(&["CONFIG", "RESETSTAT"]);
    }

    /// What the server itself has spent on a command since then, by its own count.
    pub fn spent_on(&mut self, command: &str) -> Duration {
        let stats = self.send(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:")));
        let usec = line.and_then(|line| line.split(',').find_map(|part| part.strip_prefix("usec=")));
        Duration::from_micros(usec.and_then(|usec| usec.parse().ok()).unwrap_or_default())
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        // Best effort: the bench is over.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
